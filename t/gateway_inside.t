#!/usr/bin/perl
# Of the outer request nothing remains but the connection: what has been found,
# asked and counted for it is found, asked and counted anew for the sealed one.

use FindBin;
use lib "$FindBin::Bin/lib";
use Tee::Test;

use Tee::Ohttp;

my $keys = Tee::Sealed::keys();
my $og_key = Tee::Ohttp::keygen();
my $http2 = Tee::Nginx::version() >= 1.025001 ? '; http2 on' : ' http2';

my $backend = backend(sub {
    my ($conn, $request) = @_;

    return $conn->send("HTTP/1.1 $1 Status\r\nContent-Length: 0\r\n\r\n") if $request->{path} =~ m{^/status/(\d+)};

    if ($request->{path} eq '/cut') {
        $conn->send("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nX-Made: secret\r\nTransfer-Encoding: chunked\r\n\r\n");
        $conn->send_chunk('begun');
        return 0;
    }

    if ($request->{path} eq '/v1/web_search') {
        $conn->send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n");
        $conn->send_chunk($_) for "data: one\n\n", 'data: ' . 'x' x ($request->{body} =~ /(\d+)/)[0] . "\n\n", "data: [DONE]\n\n";
        return $conn->send("0\r\n\r\n");
    }

    if ($request->{path} =~ m{^/unknown/(\d+)}) {
        $conn->send("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n");
        $conn->send_chunk('x' x $1);
        return $conn->send("0\r\n\r\n");
    }

    return $conn->respond('200 OK', [ 'Content-Type' => 'text/plain', 'X-Made' => 'secret' ], "$request->{head}$request->{body}");
});

my $t = Tee::Nginx->new(
    files => { %{ $keys->{files} }, 'og.key' => Tee::Ohttp::key_pem($og_key), 'html/file' => 'the file' },
    vars => { backend => $backend->port, conf => $keys->{conf}, http2 => $http2 },
    http => <<'CONF');
    tee_gateway_keys main { %%conf%% }
    tee_gateway_keys og { key 1 og.key; suite hkdf-sha256 chacha20-poly1305; }
    map $uri $mapped { default none; ~^/(?:ohttp|front|tried) outer; /mapped inner; }
    map $uri $where { default $uri; }
    limit_req_zone $server_addr zone=wide:1m rate=1000r/s;
    limit_req_zone $server_addr zone=narrow:1m rate=1r/m;
    limit_conn_zone $server_addr zone=busy:1m;
    log_format inside '$request_method $where $upstream_http_x_made $status';
    access_log %%DIR%%/logs/inside.log inside;
    proxy_http_version 1.1;
    server_tokens off;

    server {
        listen 127.0.0.1:%%PORT_http%%;
        listen 127.0.0.1:%%PORT_h2%%%%http2%%;
        server_name default.example;
        location /tee/status { tee_status; }
        location / { return 200 "default $host"; }
    }
    server {
        listen 127.0.0.1:%%PORT_http%%;
        listen 127.0.0.1:%%PORT_h2%%;
        server_name inside.example;
        set_real_ip_from 127.0.0.1;
        real_ip_header X-Forwarded-For;

        location = /ohttp {
            set $copy $mapped;
            limit_req zone=wide burst=1000 nodelay;
            limit_conn busy 100;
            auth_request /yes;
            tee_gateway main;
            tee_gateway_target http://inside.example;
            tee_gateway_target http://strange.example;
            tee_gateway_target http://unnamed.example;
            tee_gateway_buffer_size 16k;
        }
        location = /tried { try_files /nothing /ohttp; }
        location = /front { error_page 418 = @gateway; return 418; }
        location @gateway { limit_conn busy 100; tee_gateway main; tee_gateway_target http://inside.example; }
        location = /yes { internal; return 204; }
        location = /no { internal; return 403; }

        location = /asked { auth_request /no; alias %%DIR%%/html/file; }
        location = /internal { internal; alias %%DIR%%/html/file; }
        location = /page { error_page 404 = /made; return 404; }
        location = /made { return 200 made; }
        location = /limited { limit_req zone=narrow; alias %%DIR%%/html/file; }
        location = /one { limit_conn busy 1; alias %%DIR%%/html/file; }
        location = /mapped { return 200 $mapped; }
        location = /address { return 200 $remote_addr; }
        location = /mirrored { mirror /ohttp; proxy_pass http://127.0.0.1:%%backend%%; }
        location ~ ^/x+$ { rewrite ^/x(x+)$ /$1 last; rewrite ^ /ohttp last; }
        location ~ ^/y+$ { rewrite ^/y(y+)$ /$1 last; return 200 often; }
        location = /trailers { add_trailer X-Sum secret; alias %%DIR%%/html/file; }
        location = /varied { gzip on; gzip_vary on; gzip_min_length 1; gzip_types *; expires 1h; charset utf-8; default_type text/plain; alias %%DIR%%/html/file; }
        location /added { add_header X-Uri $uri; add_header X-Blank " a "; return 200 ok; }
        location / { proxy_pass http://127.0.0.1:%%backend%%; proxy_set_header X-Where $where; }
    }
    server {
        listen 127.0.0.1:%%PORT_http%%;
        server_name strange.example;
        ignore_invalid_headers off;
        location / { proxy_pass http://127.0.0.1:%%backend%%; }
    }
    server {
        listen 127.0.0.1:%%PORT_http%%;
        server_name og.example;
        location = /og { tee_gateway og profile=opengradient; tee_gateway_buffer_size 16k; }
        location = /v1/web_search { proxy_pass http://127.0.0.1:%%backend%%; proxy_buffering off; }
        location = /v1/chat/completions { default_type application/json; return 200 "{\"host\":\"$server_name\"}"; }
    }
CONF

my $g = Tee::Sealed->new(port => $t->port, to => $keys->{x25519}, scheme => 'http', relay => [ Host => 'inside.example' ]);

# over a location that was found, and over those that nginx was led to

my %ways = ('a location' => '/ohttp', 'try_files' => '/tried', 'a named location' => '/front');

for my $way (sort keys %ways) {
    my $g = $g->with(path => $ways{$way});
    is $g->request(GET => '/internal')->{status}, 404, "$way: what is internal stays so";
    is $g->request(GET => '/asked')->{status}, 403, "$way: who has been let in once is asked again";
    is $g->request(GET => '/page')->{body}, 'made', "$way: an error page";
    is $g->request(GET => '/mapped')->{body}, 'inner', "$way: a variable that was known";
    is $g->request(GET => '/address', headers => [ [ 'x-forwarded-for' => '1.2.3.4' ] ])->{body}, '127.0.0.1',
        "$way: no sealed field changes the address";
    is $g->request(GET => '/one')->{status}, 503, "$way: connections are counted again";
}

is $g->request(GET => '/address', relay => [ Host => 'inside.example', 'X-Forwarded-For' => '1.2.3.4' ])->{body}, '1.2.3.4',
    'while the relay may say it';
is_deeply [ map $g->request(GET => '/limited')->{status}, 1, 2 ], [ 200, 503 ], 'requests are limited again';

is $g->with(path => '/xxxxxxxx')->request(GET => '/yyyyyy')->{body}, 'often', 'so are changes of the path';

# the server is that of the authority

like $g->request(GET => '/', authority => 'unnamed.example')->{body}, qr/^default unnamed\.example$/, 'the default server';
like $g->request(GET => '/', relay => [ Host => 'inside.example' ])->{body}, qr/^host: 127/mi, 'one with a name';

{
    my $og = $g->with(path => '/og', to => { pk => Tee::Ohttp::public_key($og_key), id => 1, aead => 3 });
    my ($bytes, $ctx) = $og->seal('{"model":"m"}');
    my $r = $og->post($bytes, relay => [ Host => 'og.example' ]);
    is Tee::Ohttp::open_response($ctx, $r->{body}), '{"host":"og.example"}', 'in the other profile, that of the outer request';

    # an event is sealed as a whole, or not at all

    my $broken = $t->status->{counters}{gateway}{broken};

    for my $size (16384 - 8, 16384 - 7) {
        my ($bytes, $ctx) = $og->seal(qq({"endpoint":"web_search","size":$size}));
        my $r = $og->post($bytes, relay => [ Host => 'og.example' ], timeout => 5);
        my $texts = Tee::Ohttp::open_chunked_response($ctx, $r->{body});

        if ($size == 16384 - 8) {
            is length(($texts // [])->[1] // ''), 16384, 'an event of the size of the buffer';
        } else {
            ok $r->{cut} && !$texts, 'a larger one breaks the response off';
        }
    }

    is $t->status->{counters}{gateway}{broken} - $broken, 1, 'and is counted';
}

# fields

my $r = $g->request(GET => '/', authority => 'strange.example', headers => [ [ ':protocol' => 'websocket' ], [ 'x!y' => 'kept' ] ]);
is $r->{status}, 200, 'extensions of the control data are no error';
like $r->{body}, qr/^x!y: kept\r$/m, 'where fields with strange names pass';
unlike $r->{body}, qr/protocol/, 'they do not';
like $g->request($_ => '/')->{body}, qr/^content-length: 0\r$/mi, "$_ without content has its length" for qw(POST PUT PATCH);
unlike $g->request(GET => '/')->{body}, qr/^content-length/mi, 'GET has none';

for my $chunked (0, 1) {
    my $form = $chunked ? 'chunked' : 'whole';
    my $r = $g->request(GET => '/added%0d%0ax-split:%20yes', chunked => $chunked);
    is $r->{body}, 'ok', "a line end in a field of the response: $form" or diag $r->{error};
    is_deeply [ grep /^x-(?:uri|split)/, map $_->[0], @{ $r->{headers} } ], [], "leaves it out: $form";
    is scalar $r->header('x-blank'), 'a', "blanks around are no part of it: $form";
    is scalar $r->header('server'), 'nginx', "server_tokens: $form";

    for my $status (101, 199, 600, 999) {
        my $r = $g->request(GET => "/status/$status", chunked => $chunked);
        ok $r->{error} || $r->{status} == 502, "$status is no status: $form" or diag $r->{status};
    }

    my %outer;
    $outer{ join ' ', sort map lc $_->[0], @{ $g->request(GET => $_, chunked => $chunked, headers => [ [ 'accept-encoding' => 'gzip' ] ])->{outer}{headers} } }++
        for qw(/varied /mapped /internal /added /asked /page);
    is scalar(keys %outer), 1, "outer fields tell nothing: $form" or diag explain \%outer;

    my ($bytes, $ctx) = $g->seal(Tee::Bhttp::request(GET => '/trailers', scheme => 'http'), chunked => $chunked);
    my $c = $t->client;
    my $type = $chunked ? 'message/ohttp-chunked-req' : 'message/ohttp-req';
    $c->send_request(POST => '/ohttp', [ Host => 'inside.example', Connection => 'close', 'Content-Type' => $type ], $bytes);
    unlike $c->read_all, qr/secret/, "trailers are within: $form";

    is $g->request(GET => "/status/$_", chunked => $chunked)->{status}, $_, "$_ is one: $form" for 207, 599;
}

# what is not known to be short is held; the first byte tells of the length

for my $size (0, 1, 16383, 16384, 16385, 20_000, 100_000) {
    my $r = $g->request(GET => "/unknown/$size");
    is $r->{status}, 200, "$size bytes, without a length" or diag $r->{error};
    is length $r->{body}, $size, "$size bytes: all of it";
    is ord $r->{texts}[0], $size > 16384 ? 3 : 1, "$size bytes: " . ($size > 16384 ? 'not held' : 'held');
}

$r = $g->request(GET => '/cut');
is_deeply [ $r->{status}, scalar $r->header('content-type'), scalar $r->header('x-made') ], [ 502, 'application/problem+json', undef ],
    'of an answer that has been cut nothing is kept';
unlike $r->{body}, qr/begun/, 'nor of its content';

# a subrequest is no sealed one

{
    my $requests = $t->status->{counters}{gateway}{requests};
    my ($bytes) = $g->seal(Tee::Bhttp::request(GET => '/', scheme => 'http'));
    my $r = $g->post($bytes, path => '/mirrored');
    is length($r->{body} =~ s/^.*?\r\n\r\n//sr), length $bytes, 'a request with a mirror';
    is $t->status->{counters}{gateway}{requests}, $requests, 'which is no gateway';
}

# the log

$g->request(SECRETMETHOD => '/secretpath');
like $g->request(POST => '/where')->{body}, qr{^x-where: /where\r$}mi, 'a variable that depends on the path';
eventually { (() = $t->read('logs/inside.log') =~ m{^POST /ohttp }mg) >= 10 } 'the log tells of the outer path';
my $outer = qr{^(?:POST /(?:ohttp|tried|front|og) - \d+|POST /mirrored secret 200|GET /tee/status - 200)$};
is_deeply [ grep !/$outer/, split /^/, $t->read('logs/inside.log') ], [], 'and of no other';

# what was sealed is nowhere in memory, when it has been answered

if (!$ENV{TEE_SANITIZE}) {
    for my $chunked (0, 1) {
        my $form = $chunked ? 'chunked' : 'whole';
        my $marker = unpack 'H*', pack 'N4', map rand 2**32, 1 .. 4;
        is $g->request(POST => '/mapped', content => $marker x 1000, chunked => $chunked)->{body}, 'inner', "content: $form";
        eventually { !copies($t->pid, $marker) } "and none of it is left: $form";
    }
}

sub copies {
    my ($pid, $text) = @_;
    my $n = 0;
    no warnings 'portable';
    open my $memory, '<:raw', "/proc/$pid/mem" or die "memory of $pid: $!\n";

    for (slurp("/proc/$pid/maps") =~ /^([0-9a-f]+-[0-9a-f]+) r/mg) {
        my ($from, $to) = map hex, split /-/;
        sysseek $memory, $from, 0;
        sysread $memory, my $bytes, $to - $from or next;
        $n++ while $bytes =~ /\Q$text\E/g;
    }

    return $n;
}

$t->finish;
done_testing;
