#!/usr/bin/perl
# Where the gateway meets the rest of nginx: buffers that are not sent unless
# asked for, error pages, trailers, compression, slices, a worker that has to
# go while the store of seen requests thinks.

use FindBin;
use lib "$FindBin::Bin/lib";
use Tee::Test;

use IO::Socket::INET;
use Tee::Ohttp;

my $keys = Tee::Sealed::keys();
my $og_key = Tee::Ohttp::keygen();

# bodies that error pages ask for are noted; a Redis that never answers

my $backend = backend(sub {
    my ($conn, $request) = @_;

    if ($request->{path} eq '/cut') {
        $conn->send("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n");
        $conn->send(sprintf "%x\r\n%s\r\n", 5000, 'x' x 5000);
        return 0;
    }

    return $conn->respond('200 OK', [ 'Content-Type' => 'text/plain' ], 'plaintext ' x 2_000_000) if $request->{path} eq '/large';

    if ($request->{path} =~ m{^/v1/}) {
        my ($n) = $request->{body} =~ /n(\d+)/;
        my $events = join '', (map "data: $_\n\n", 1 .. $n), "data: [DONE]\n\n";
        return $conn->send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: @{[ length $events ]}\r\n\r\n$events");
    }

    return $conn->respond('200 OK', [ 'Content-Type' => 'text/plain' ], "$request->{head}$request->{body}");
});

my $silent = IO::Socket::INET->new(Listen => 8, LocalAddr => '127.0.0.1') or die "socket: $!\n";

my $t = Tee::Nginx->new(
    workers => 1,
    main => 'worker_shutdown_timeout 1s;',
    files => { %{ $keys->{files} }, 'og.key' => Tee::Ohttp::key_pem($og_key), 'html/big' => join('', 'a' .. 'zz') x 30 },
    vars => { backend => $backend->port, redis => $silent->sockport, conf => $keys->{conf} },
    http => <<"CONF");
    tee_gateway_keys main { $keys->{conf} }
    tee_gateway_keys og { key 1 og.key; suite hkdf-sha256 chacha20-poly1305; }
    upstream b { server 127.0.0.1:%%backend%%; keepalive 4; }
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_cache_path %%DIR%%/cache keys_zone=c:1m;
    proxy_read_timeout 5s;
    server {
        listen 127.0.0.1:%%PORT_http%%;
        server_name inside.example;
        location = /ohttp { tee_gateway main; tee_gateway_target http://inside.example; }
        location = /pages {
            tee_gateway main;
            tee_gateway_target http://inside.example /served;
            error_page 400 413 422 /page;
            error_page 403 = \@fallback;
            tee_gateway_max_body 2000;
        }
        location = /waits {
            tee_gateway main;
            tee_gateway_target http://inside.example;
            tee_gateway_replay redis=127.0.0.1:%%redis%% redis_timeout=30s;
        }
        location = /page { proxy_pass http://b; }
        location \@fallback { proxy_pass http://b; proxy_set_header X-Uri \$uri; }
        location = /og { tee_gateway og profile=opengradient; }
        location = /v1/chat/completions { add_trailer X-Secret secret; proxy_pass http://b; }
        location = /v1/web_search { add_trailer X-Secret secret; default_type application/json; return 200 "{}"; }
        location = /large { proxy_pass http://b; }
        location = /cut { gzip on; proxy_pass http://b; }
        location = /slice {
            slice 512;
            proxy_cache c; proxy_cache_key \$uri\$slice_range; proxy_cache_valid 200 206 1m;
            proxy_set_header Range \$slice_range;
            proxy_pass http://127.0.0.1:%%PORT_http%%/big;
        }
        location = /big { alias %%DIR%%/html/big; access_log %%DIR%%/logs/big.log; }
        location / { return 200 ok; }
    }
CONF

my $g = Tee::Sealed->new(port => $t->port, to => $keys->{x25519}, scheme => 'http');
my $og = Tee::Sealed->new(port => $t->port, path => '/og', to => { pk => Tee::Ohttp::public_key($og_key), id => 1, aead => 3 });

# many small events at once are less than nginx sends by itself, and more than the gateway has buffers

for my $n (3, 7, 8, 9, 40) {
    my ($bytes, $ctx) = $og->seal(qq({"model":"n$n"}));
    my $r = $og->post($bytes, timeout => 10);
    my $texts = Tee::Ohttp::open_chunked_response($ctx, $r->{body} // '');
    is scalar @{ $texts // [] }, $n + 1, "$n events at once, and the end";
}

for my $body ('{"model":"n2"}', '{"endpoint":"web_search"}', '{"endpoint":"other"}') {
    my ($bytes) = $og->seal($body);
    my $c = $t->client;
    $c->send("POST /og HTTP/1.1\r\nHost: inside.example\r\nConnection: close\r\nContent-Length: @{[ length $bytes ]}\r\n\r\n$bytes");
    unlike $c->read_all, qr/secret/i, "nothing but what is sealed: $body";
}

# an error page gets neither the length of a content that has been taken, nor what is not for anybody

for my $bytes ("\1\0\x20\0\1\0\1" . 'x' x 300, 'x' x 300) {
    my $r = $g->post($bytes, path => '/pages');
    like $r->{body}, qr/^GET .* HTTP/, 'an error page of an upstream';
    unlike $r->{body}, qr/content-length: [1-9]/i, 'is asked for without content';
}

{
    my $c = $t->client;
    $c->send("POST /pages HTTP/1.1\r\nHost: inside.example\r\nContent-Type: message/ohttp-req\r\nTransfer-Encoding: chunked\r\n\r\n");
    $c->send(sprintf "%x\r\n%s\r\n0\r\n\r\n", 2001, 'x' x 2001);
    unlike $c->response->{body}, qr/content-length: [1-9]|xxx/i, 'nor is one that has become too large';
}

for my $later (0, 1) {
    my $c = $t->client;
    $c->send("POST /pages HTTP/1.1\r\nHost: inside.example\r\nContent-Type: message/ohttp-req\r\nTransfer-Encoding: chunked\r\n"
        . ($later ? "Expect: 100-continue\r\n\r\n" : "\r\nno chunk\r\n"));
    $c->read_until(qr/100 Continue\r\n\r\n/), $c->send("5\r\nxxxxx\r\nno chunk\r\n") if $later;
    my $r = $c->response;
    like $r->{body}, qr/^GET .* HTTP/, 'an error page for content that is no HTTP, ' . ($later ? 'later' : 'at once');
    unlike $r->{body}, qr/content-length: [1-9]|transfer-encoding|xxx/i, 'is asked for without any';
}

my $r = $g->with(path => '/pages')->request(GET => '/secret?query');
is $r->{status}, 200, 'a named location stands in for what is no target';
unlike $r->{body}, qr/secret|query/, 'without a word of it' or diag $r->{body};
like $r->{body}, qr{^x-uri: /pages\r$}mi, 'but for the outer path';
like $g->with(path => '/pages')->request(GET => '/served/x')->{body}, qr/ok/, 'while targets are served';

# an answer that breaks off in a buffered, compressed response

$r = $g->request(GET => '/cut', headers => [ [ 'accept-encoding' => 'gzip' ] ]);
is $r->{status}, 502, 'a compressed answer that breaks off' or diag $r->{error};

# slices are fetched once

for my $chunked (0, 1) {
    is length $g->request(GET => '/slice', chunked => $chunked)->{body}, -s $t->dir . '/html/big', 'all slices';
}

my $slices = () = $t->read('logs/big.log') =~ /"GET /g;
is $slices, int((-s $t->dir . '/html/big') / 512) + 1, 'each one once';

# who does not read has nothing written to a file

{
    my ($bytes) = $g->seal(Tee::Bhttp::request(GET => '/large', authority => 'inside.example', scheme => 'http'));
    my $c = $t->client;
    $c->send("POST /ohttp HTTP/1.1\r\nHost: a\r\nContent-Type: message/ohttp-req\r\nContent-Length: @{[ length $bytes ]}\r\n\r\n$bytes");
    is length $c->read_bytes(1000), 1000, 'a large response begins';
    is length $g->request(GET => '/')->{body}, 2, 'and goes on, unread';
    my @files = map { grep { defined && index($_, $t->dir) == 0 && !m{/logs/|\.tee_replay_} } map { readlink } glob "/proc/$_/fd/*" } $t->workers;
    is "@files", '', 'without a file';
    $c->close;
}

unlike $t->log, qr/buffered to a temporary file/, 'nor a word about one';

# what a sealed request causes must not be logged by itself

my $said = Tee::Nginx->conf_error(files => $keys->{files}, http => <<"CONF");
    tee_gateway_keys main { $keys->{conf} }
    server {
        listen 127.0.0.1:%%PORT_http%%;
        location = /ohttp { tee_gateway main; }
        location /logged { log_subrequest on; }
    }
CONF
like $said, qr{"log_subrequest" in location "/logged" would log what was sealed}, 'subrequests are not logged';

# a worker ends while requests wait for the store

my @waiting = map {
    my ($bytes) = $g->seal(Tee::Bhttp::request(GET => '/', authority => 'inside.example', scheme => 'http'));
    my $c = $t->client;
    $c->send("POST /waits HTTP/1.1\r\nHost: a\r\nContent-Type: message/ohttp-req\r\nContent-Length: @{[ length $bytes ]}\r\n\r\n$bytes");
    $c
} 1 .. 3;

my $asked = $silent->accept;
my $text = '';
sysread $asked, $text, 65536, length $text while (() = $text =~ /SET/g) < 3;
$t->reload;
eventually { $t->log =~ /exited with code 0/ } 'a worker that has to go ends well';
undef $asked;

$t->finish;
done_testing;
