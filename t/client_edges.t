#!/usr/bin/perl
# What comes back may be anything: no connection is held by it, none is ended
# as if all had come, and nothing of it looks like a part of HTTP that it is not.

use FindBin;
use lib "$FindBin::Bin/lib";
use Tee::Bhttp;
use Tee::Ohttp;
use Tee::Roles;
use Tee::Test;

use Errno qw(ECONNRESET);
use JSON::PP;

my $chat = '{"model":"m","messages":[{"role":"user","content":"hi"}]}';
my $stream = $chat =~ s/\}\z/,"stream":true}/r;
my @hello = map "data: $_\n\n", map(qq({"delta":"word $_"}), 1 .. 6), '[DONE]';
my @json = ('Content-Type' => 'application/json');

my $roles = Tee::Roles->new(
    model => sub {
        my ($conn, $request) = @_;
        return $conn->respond('200 OK', [@json], '{"answer":"ok"}') unless $request->{body} =~ /"stream": *true/;
        $conn->send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n");
        $conn->send_chunk($_) for @hello;
        return $conn->send("0\r\n\r\n");
    },
    relay => sub {
        my ($conn, $request, $forward) = @_;
        my $what = $request->{path} =~ m{^/(\w+)\z} ? $1 : 'forged';

        if ($what eq 'headless') {
            $conn->send('FORGED without a header');
            return 0;
        }

        my $r = $forward->();
        my $type = $r->header('content-type');
        my $body = $r->{body};
        substr($body, 40, 1) ^= "\1" if $what =~ /flip/;
        substr($body, -30) = '' if $what eq 'cut';
        return $conn->respond('200 OK', [ 'Content-Type' => 'text/html', 'Set-Cookie' => 'forged=1' ], '<p>forged</p>') if $what eq 'forged';
        return $conn->respond('200 OK', [ 'Content-Type' => $type ], $body) unless $what eq 'flip_more';

        $conn->send("HTTP/1.1 200 OK\r\nContent-Type: $type\r\nTransfer-Encoding: chunked\r\n\r\n");
        $conn->send_chunk($_) for $body, 'x' x 100_000;
        $conn->send("0\r\n\r\n");
        return 0;
    },
    http => 'upstream forged { server %%evil%%; }',
    client => join('', map("location /$_/ { tee_client og; proxy_pass http://%%evil%%/$_; }\n", qw(flip flip_more cut headless pass)), <<'CONF'));
        proxy_read_timeout 600s; proxy_send_timeout 600s; send_timeout 600s;
        location /bare/ { chunked_transfer_encoding off; tee_client og; proxy_pass http://%%evil%%/cut; }
        location /good/ { chunked_transfer_encoding off; tee_client og; proxy_pass http://%%evil%%/pass; }
        location /page/ { root /nonexistent; error_page 404 405 @client; }
        location /page2/ { root /nonexistent; error_page 404 405 = @client; }
        location @client { tee_client og; proxy_pass http://forged; proxy_set_header Host forged; }
        location = /ok { return 200 ok; }
CONF

my $t = $roles->nginx;

# what does not open is not waited for

for my $way (qw(flip flip_more)) {
    my $c = $t->client;
    $c->send_request(POST => "/$way/chat/completions", [@json], $stream);
    my $r = $c->response;
    problem($r, 502, 'broken_answer', "$way: an error");
    $c->send_request(GET => '/ok');
    is $c->response->{body}, 'ok', "$way: after which the connection goes on";
}

# an end of the connection that is none of the answer

sub raw {
    my ($path, $version) = @_;
    my $c = $t->client;
    $c->send("POST $path/chat/completions HTTP/$version\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: " . length($stream) . "\r\n\r\n$stream");
    my ($in, $n) = ('');
    my $s = $c->{socket};
    $s->blocking(1);
    1 while $n = sysread $s, $in, 65536, length $in;
    return ($in, defined $n ? 'end' : $! == ECONNRESET ? 'reset' : "$!");
}

for my $case ([ 'HTTP/1.0', '/cut', '/pass', '1.0' ], [ 'without chunks', '/bare', '/good', '1.1' ]) {
    my ($name, $cut, $whole, $version) = @$case;
    my ($in, $end) = raw($cut, $version);
    is $end, 'reset', "$name: what is cut ends with a reset";
    unlike $in, qr/DONE|transfer-encoding|content-length/i, "$name: without its end";
    ($in, $end) = raw($whole, $version);
    is $end, 'end', "$name: what is whole does not";
    like $in, qr/\[DONE\]\n\n\z/, "$name: it has all";
}

# an answer is the client's, whatever led to it

for my $path (qw(page page2)) {
    my $r = $t->post("/$path/chat/completions", 'application/json', $chat);
    problem($r, 502, 'not_sealed', "$path: from an error page");
    unlike "$r->{head}$r->{body}", qr/forged/, "$path: nothing of what is not sealed";
}

problem($t->post('/headless/chat/completions', 'application/json', $chat), 502, 'not_sealed', 'a response without a header');
$t->finish;

# -- sealed, and odd all the same

my $own = Tee::Ohttp::keygen();
my @text = ('content-type' => 'text/plain');

# by path: status, fields, content, trailers; and a chunk that is too much

my %odd = (
    head => [ 200, [ [@text] ], '', [], 1 ],
    none => [ 204, [], '', [], 1 ],
    pseudo => [ 200, [ [@text], [ ':foo', 'b' ] ], 'hello' ],
    'pseudo-status' => [ 200, [ [ ':status', '500' ] ], 'hello' ],
    'pseudo-trailer' => [ 200, [ [@text] ], 'hello', [ [ ':foo', 'b' ] ] ],
    verified => [ 200, [ [@text], map [ $_, 'forged' ], qw(X-TEE-Verified x-tee-id) ], 'hello', [ [ 'x-tee-verified', 'forged' ] ] ],
    trailers => [ 200, [ [@text] ], 'hello', [ [ 'x-t', '1' ], [ 'x-u', '2' ], map [ $_, 'forged' ], qw(content-length transfer-encoding host set-cookie content-type trailer connection cache-control) ] ],
);

my $gateway = Tee::Upstream->new(name => 'gateway', cert => undef, handler => sub {
    my ($conn, $request) = @_;
    my ($form) = $request->{path} =~ m{/(\w+)};
    my $chunked = $form ne 'whole';
    my ($text, $c) = $chunked ? Tee::Ohttp::open_chunked_request({ 1 => $own }, $request->{body}) : Tee::Ohttp::open_request({ 1 => $own }, $request->{body});
    my $inner = Tee::Bhttp::parse_request($chunked ? join '', @$text : $text);
    my ($name) = $inner->{path} =~ m{([^/]+)\z};
    my ($status, $fields, $content, $trailers, $more) = @{ $odd{$name} // [ 200, [ [@text] ], join ', ', map "$_->[0]=[$_->[1]]", grep $_->[0] =~ /^(?:accept|range)$/, @{ $inner->{headers} } ] };
    my $answer = Tee::Bhttp::response($status, $fields, $content, trailers => $trailers // []);
    return $conn->respond('200 OK', [ 'Content-Type' => 'message/ohttp-res' ], Tee::Ohttp::seal_response($c, $answer)) unless $chunked;

    my $write = Tee::Ohttp::chunk_writer($c);
    my @pieces = ($form eq 'bytes' ? split(//, $answer) : $answer, $more ? "\0" x 10 : ());
    return $conn->respond('200 OK', [ 'Content-Type' => 'message/ohttp-chunked-res' ], join '', map($write->($_), @pieces), $write->('', 1)) unless $form eq 'bytes';

    $conn->send("HTTP/1.1 200 OK\r\nContent-Type: message/ohttp-chunked-res\r\nTrailer: x-relay\r\nTransfer-Encoding: chunked\r\n\r\n");
    $conn->send_chunk($write->($_)) for @pieces;
    $conn->send_chunk($write->('', 1));
    return $conn->send("0\r\nx-relay: forged\r\n\r\n");
});

$t = Tee::Nginx->new(
    files => { list => pack 'n/a', Tee::Ohttp::key_config(Tee::Ohttp::public_key($own), 1, 1) },
    vars => { gw => $gateway->port },
    http => <<'CONF');
    tee_client_target https://api.example;
    proxy_read_timeout 600s;
    server {
        listen 127.0.0.1:%%PORT_http%%;
        location /whole/ { tee_client keys_file=list; proxy_pass http://127.0.0.1:%%gw%%/whole/; }
        location /chunks/ { tee_client keys_file=list chunked; proxy_pass http://127.0.0.1:%%gw%%/chunks/; }
        location /bytes/ { tee_client keys_file=list chunked; proxy_pass http://127.0.0.1:%%gw%%/bytes/; }
        location = /ok { return 200 ok; }
    }
CONF

for my $form (qw(whole chunks bytes)) {
    for my $case ([ HEAD => 'head', 200 ], [ DELETE => 'none', 204 ]) {
        my ($method, $path, $status) = @$case;
        my $c = $t->client;
        $c->send_request($method => "/$form/$path");
        like $c->read_until(qr/\r\n\r\n/), qr{^HTTP/1\.1 $status }, "$form: $method";
        $c->send_request(GET => '/ok');
        is $c->response->{body}, 'ok', "$form: $method: the connection goes on";
    }

    problem($t->get("/$form/$_"), 502, 'broken_answer', "$form: $_") for qw(pseudo pseudo-status);
    my $r = $t->get("/$form/pseudo-trailer");
    ok $r->{status} == 502 || $r->{cut}, "$form: pseudo-trailer";

    is $t->request(GET => "/$form/fields", [ Accept => "\tone\t", Range => " \t bytes=0-1 \t" ])->{body}, 'accept=[one], range=[bytes=0-1]', "$form: blanks around values stay behind";

    is $t->request(GET => "/$form/fields", [ Accept => 'one', Range => 'bytes=0-1', Connection => 'x-y, Range', Connection => 'close' ])->{body}, 'accept=[one]', "$form: what is about the connection, too";

    $r = $t->get("/$form/verified");
    is $r->{status}, 200, "$form: a gateway that says it is verified";
    unlike $r->{head}, qr/forged/, "$form: is not heard";

    next if $form eq 'whole';
    my $c = $t->client;
    $c->send_request(GET => "/$form/trailers");
    my $in = $c->read_until(qr/\r\n0\r\n(?:[^\r]+\r\n)*\r\n/);
    like $in, qr/\r\n0\r\nx-t: 1\r\nx-u: 2\r\n\r\n\z/, "$form: trailers, but none that a header has, and none of the relay";
}

$t->finish;
done_testing;
