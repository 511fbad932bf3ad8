#!/usr/bin/perl
# Edges of tee_verify: upstreams that break off, are slow or empty, clients that
# go away, connections that stay, HTTP/2, compression on the way out, and other
# modules around.

use FindBin;
use lib "$FindBin::Bin/lib";
use Tee::Test;

use Compress::Zlib qw(memGunzip);
use JSON::PP;
use Socket qw(SOL_SOCKET SO_RCVBUF);
use Tee::Json qw(parse);
use Tee::Model;
use Tee::Signed;

my ($file) = Tee::Cert::signing_key('verify-a');
my $key = Crypt::PK::RSA->new($file);
my $m = Tee::Model->new;
my $http2 = Tee::Nginx::version() >= 1.025001 ? '; http2 on' : ' http2';
my $trailers = Tee::Nginx::version() >= 1.027002 ? 'proxy_pass_trailers on;' : '';
my $server = <<'CONF';
        client_max_body_size 20m;
        location /v1/ { tee_verify key=a.pem; proxy_pass http://model; }
        location /stream/ { tee_verify key=a.pem; tee_verify_mode stream; proxy_pass http://model/; }
        location /unbuffered/ { tee_verify key=a.pem; proxy_pass http://model/; proxy_buffering off; }
        location /gzip/ { tee_verify key=a.pem; gzip on; gzip_types application/json; gzip_min_length 1; gzip_proxied any; proxy_pass http://model/; }
        location /slow/ { tee_verify key=a.pem; proxy_read_timeout 500ms; proxy_pass http://model/; }
        location /slow-stream/ { tee_verify key=a.pem; tee_verify_mode stream; proxy_read_timeout 500ms; proxy_pass http://model/; }
        location /large/ { tee_verify key=a.pem; tee_verify_buffer 16k; proxy_pass http://model/; proxy_max_temp_file_size 0; }
        location /replaced/ { tee_verify key=a.pem; proxy_pass http://model/; error_page 502 = /sorry; }
        location /intercepted/ { tee_verify key=a.pem; proxy_intercept_errors on; error_page 500 = /sorry; proxy_pass http://model/; }
        location /redirected/ { tee_verify key=a.pem; proxy_pass http://model/; }
        location /signed/ { tee_sign a; tee_sign_endpoint chat; proxy_pass http://model/; }
        location /both/ { tee_verify key=a.pem; proxy_pass http://127.0.0.1:%%PORT_http%%/signed/; }
        location /both-stream/ { tee_verify key=a.pem; tee_verify_mode stream; proxy_pass http://127.0.0.1:%%PORT_http%%/signed/; proxy_http_version 1.1; }
        location /behind/ { error_page 418 @verified; return 418; }
        location /behind-other/ { error_page 418 = @verified; return 418; }
        location @verified { tee_verify key=a.pem; tee_verify_endpoint chat; proxy_pass http://model; }
        location = /sorry { return 503 "sorry\n"; }
        location /trailers/ { tee_verify key=a.pem; tee_verify_mode stream; add_trailer X-Ours kept; proxy_pass http://model/; }
        location /trailers-held/ { tee_verify key=a.pem; proxy_pass http://model/; }
        location /plain/ { proxy_pass http://model/; }
CONF
my $t = Tee::Nginx->new(
    files => { 'a.pem' => $key->export_key_pem('public_x509'), 'a.key' => slurp($file) },
    vars => { model => $m->port },
    http => <<"CONF");
    tee_sign_key a a.key;
    upstream model { server 127.0.0.1:%%model%%; keepalive 4; }
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    $trailers
    server { listen 127.0.0.1:%%PORT_http%% sndbuf=32k; $server }
    server { listen 127.0.0.1:%%PORT_h2%%$http2; $server }
CONF

my $chat = '/chat/completions';
my $body = '{"model":"m","messages":[{"role":"user","content":"x"}]}';
my $answer = parse(Tee::Model::encode(Tee::Model::answer('The answer is xyzzy.')));
my $good = Tee::Signed::attach($key, 'chat', $body, $answer);
my @plain = Tee::Model::events([ 'The answer ', 'is xyzzy', '.' ]);
my @events = @plain;
$events[4] = 'data: ' . Tee::Signed::attach($key, 'chat', $body, parse($plain[4] =~ s/^data: //r), text => 'The answer is xyzzy.') . "\n\n";
my $two = Tee::Sealed->new(port => $t->port('h2'), h2 => 1);

sub ask { my ($in, $script, @h) = @_; return $t->post("$in$chat", 'application/json', $body, [ 'X-Script' => $script, @h ]) }
sub asks { my ($c, $in, $script) = @_; return $c->send_request(POST => "$in$chat", [ 'Content-Type' => 'application/json', 'X-Script' => $script ], $body) }

# -- an upstream that breaks off, or says nothing

my $head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n";

for my $case (
    [ 'nothing at all' => ['close'] ],
    [ 'a part of a head' => [ send => 'HTTP/1.1 200 OK' ], ['close'] ],
    [ 'no body' => [ send => "${head}Content-Length: 0\r\n\r\n" ] ],
    [ 'half a body' => [ send => "${head}Content-Length: 5000\r\n\r\n$good" ], ['close'] ],
    [ 'half a body, reset' => [ send => "${head}Content-Length: 5000\r\n\r\n$good" ], ['reset'] ],
    [ 'chunks without an end' => [ send => "${head}Transfer-Encoding: chunked\r\n\r\n" . sprintf("%x\r\n%s\r\n", length $good, $good) ], ['close'] ],
    [ 'a bad chunk' => [ send => "${head}Transfer-Encoding: chunked\r\n\r\n" . sprintf("%x\r\n%s\r\nxyz\r\n", length $good, $good) ], ['close'] ],
    [ 'two lengths' => [ send => "${head}Content-Length: 5\r\nContent-Length: 6\r\n\r\n12345" ], ['close'] ],
    [ 'no HTTP' => [ send => "x\r\n\r\n" ], ['close'] ])
{
    my ($name, @steps) = @$case;
    my $script = $m->says(@steps);

    for my $in ('/v1', '/unbuffered', '/stream') {
        my $r = ask($in, $script);
        ok $r->{status} == 502 || !$r->{status} || $r->{cut}, "$in: $name" or diag $r->{head}, $r->{body};
        unlike $r->{body}, qr/xyzzy/, "$in: $name, nothing of it" if $in ne '/stream';
        isnt $r->header('x-tee-verified'), 'true', "$in: $name, not verified";
    }

    my $r = $two->post($body, path => "/v1$chat", type => 'application/json', relay => [ 'X-Script' => $script ]);
    ok $r->{status} == 502 || $r->{cut} && !$r->{status}, "HTTP/2: $name";
}

is ask('/slow', $m->stream([ substr($good, 0, 20), \'wait' ], type => 'application/json'))->{status} =~ /^50[24]$/ ? 1 : 0, 1, 'an upstream that stops in the middle';
is ask('/slow', $m->says(['wait']))->{status}, 504, 'one that does not answer';
{
    my $r = ask('/slow-stream', $m->stream([ @events[ 0, 1 ], \'wait' ]));
    ok $r->{cut}, 'a stream that stops';
    is $r->{body}, join('', @events[ 0, 1 ]), 'has its events, and no end';
}

# a body without a length, and one after another status

{
    my $r = ask('/v1', $m->says([ send => "${head}Connection: close\r\n\r\n$good" ], ['close']));
    is_deeply [ $r->{status}, $r->{body} ], [ 200, $good ], 'a body until the end of the connection';
    $r = ask('/v1', $m->says([ send => "HTTP/1.1 103 Early Hints\r\nLink: </xyzzy>\r\n\r\n${head}Content-Length: @{[ length $good ]}\r\n\r\n$good" ]));
    is_deeply [ $r->{status}, $r->{interim} ], [ 200, undef ], 'after an informational status, of which nobody learns' if Tee::Nginx::version() >= 1.029;
    $r = ask('/v1', $m->whole($good, status => '201 Created'));
    is_deeply [ $r->{status}, $r->{body}, scalar $r->header('x-tee-verified') ], [ 201, $good, 'true' ], 'status 201';
    $r = ask('/v1', $m->says([ send => "HTTP/1.1 204 No Content\r\n\r\n" ]));
    isnt $r->header('x-tee-verified'), 'true', '204 is not verified';
    $r = ask('/v1', $m->says([ send => "HTTP/1.1 304 Not Modified\r\nX-TEE-Verified: true\r\n\r\n" ]));
    isnt $r->header('x-tee-verified'), 'true', 'nor is 304';
    $r = ask('/v1', $m->says([ send => "HTTP/1.1 302 Found\r\nLocation: http://evil/\r\nX-TEE-Verified: true\r\nContent-Length: 5\r\n\r\nxyzzy" ]));
    isnt $r->header('x-tee-verified'), 'true', 'nor a redirect';
    unlike $r->{body}, qr/xyzzy/, 'which has no content';
}

# redirects inside of nginx: by the upstream, by errors

{
    my $r = ask('/redirected', $m->whole('{}', fields => [ 'X-Accel-Redirect' => '/sorry', 'X-TEE-Verified' => 'true' ]));
    isnt $r->header('x-tee-verified'), 'true', 'what the upstream redirects to is not verified';
    $r = ask('/redirected', $m->whole('{}', fields => [ 'X-Accel-Redirect' => "/plain/?" . $m->whole('forged', fields => [ 'X-TEE-Verified' => 'no' ]) ]));
    isnt $r->header('x-tee-verified'), 'true', 'nor what it redirects to elsewhere';
    $r = ask('/replaced', $m->whole($good =~ s/xyzzy/plugh/r));
    unlike $r->{body}, qr/xyzzy|plugh/, 'with an error_page of its own: nothing of it';
    $r = ask('/intercepted', $m->whole('xyzzy', status => '500 No'));
    is_deeply [ $r->{status}, $r->{body} ], [ 503, "sorry\n" ], 'errors that are intercepted';
}

# where an error has led to

{
    my @forged = (fields => [ 'X-TEE-Verified' => 'true', 'X-TEE-Id' => '0xevil' ]);

    for my $in ('/behind', '/behind-other') {
        my $r = ask($in, $m->whole($good =~ s/xyzzy/plugh/r, @forged));
        unlike $r->{body}, qr/xyzzy|plugh/, "$in an error: nothing that is changed";
        isnt $r->header('x-tee-verified'), 'true', "$in an error: is not verified";
        unlike $r->{head}, qr/evil/, "$in an error: by nobody";
        $r = ask($in, $m->whole('xyzzy', status => '500 No', @forged));
        isnt $r->header('x-tee-verified'), 'true', "$in an error: another one is not verified";
        unlike $r->{head} . $r->{body}, qr/evil|xyzzy/, "$in an error: and withheld";
    }

    is ask('/behind-other', $m->whole($good, @forged))->{body}, $good, 'what is good passes there, too';
}

# -- methods, ranges, pieces, compression

{
    my $r = $t->request(HEAD => "/v1$chat", [ 'X-Script' => $m->whole($good) ], $body);
    is $r->{body}, '', 'HEAD has no content';
    isnt $r->header('x-tee-verified'), 'true', 'and is not verified';
    $r = ask('/v1', $m->whole($good, fields => [ 'Accept-Ranges' => 'bytes', ETag => '"x"' ]), Range => 'bytes=0-9');
    is_deeply [ $r->{status}, $r->{body} ], [ 200, $good ], 'a range is not taken';
    $r = ask('/v1', $m->whole(substr($good, 0, 10), status => '206 Partial Content', fields => [ 'Content-Range' => "bytes 0-9/@{[ length $good ]}" ]), Range => 'bytes=0-9');
    ok $r->{status} == 502, 'nor is a part believed';
    $r = ask('/v1', $m->whole($good, fields => [ ETag => '"x"' ]), 'If-None-Match' => '"x"');
    is $r->{status}, 200, 'nor a condition';
    $r = ask('/gzip', $m->whole($good), 'Accept-Encoding' => 'gzip');
    is +(($r->header('content-encoding') // '') eq 'gzip' ? memGunzip($r->{body}) : $r->{body}), $good, 'compressed on its way out';
    is $r->header('x-tee-verified'), 'true', 'and verified';
    $r = ask('/v1', $m->whole($good));
    is $r->header('content-length'), length $good, 'the length is told';
}

# -- connections that stay

{
    my $c = $t->client;
    my $script = $m->whole($good);
    my $stream = $m->stream([@events]);
    $m->forget;
    asks($c, '/v1', $script) for 1 .. 3;
    is_deeply [ map $c->response->{body}, 1 .. 3 ], [ ($good) x 3 ], 'three at once over one connection';
    asks($c, '/v1', $m->whole($good =~ s/xyzzy/plugh/r));
    is $c->response->{status}, 502, 'a refusal';
    asks($c, '/v1', $script);
    is $c->response->{body}, $good, 'and then a good answer over the same connection';
    asks($c, '/stream', $stream);
    is $c->response->{body}, join('', @events), 'a live stream';
    asks($c, '/v1', $stream);
    is $c->response->{body}, join('', @events), 'a held one';
    asks($c, '/v1', $script);
    is $c->response->{body}, $good, 'and an answer';
    cmp_ok scalar(my @n = $m->connections), '<=', 4, 'the upstream connections stay, too';
}

# by HTTP/2

{
    my %by = (type => 'application/json');
    my $r = $two->post($body, path => "/v1$chat", %by, relay => [ 'X-Script' => $m->whole($good) ]);
    is_deeply [ $r->{status}, $r->{body}, $r->header('x-tee-verified') ], [ 200, $good, 'true' ], 'HTTP/2';
    $r = $two->post($body, path => "/stream$chat", %by, relay => [ 'X-Script' => $m->stream([@events]) ]);
    is_deeply [ $r->{status}, $r->{body}, $r->{cut} ], [ 200, join('', @events), undef ], 'HTTP/2, a live stream';
    $r = $two->post($body, path => "/stream$chat", %by, relay => [ 'X-Script' => $m->stream([ map s/xyzzy/plugh/r, @events ]) ]);
    ok $r->{cut}, 'HTTP/2, a live stream that is changed, is reset';
    unlike $r->{body}, qr/tee_signature|DONE/, 'HTTP/2, and has no last event';
    $r = $two->post($body, path => "/v1$chat", %by, relay => [ 'X-Script' => $m->whole($good =~ s/xyzzy/plugh/r) ]);
    is $r->json->{reason}, 'output_hash', 'HTTP/2, a refusal';
}

# -- clients that go away, and slow ones

for my $in ('/v1', '/stream') {
    for my $n (0 .. 4) {
        $m->forget;
        my $script = $m->stream([ @events[ 0 .. $n ], \'gone' ]);
        my $c = $t->client;
        asks($c, $in, $script);
        ok $m->await(notes => 1);
        $c->close;
        eventually { scalar grep /^gone/, $m->notes } "$in: a client that goes after $n events: the upstream learns it";
    }
}

{
    my $big = Tee::Signed::attach($key, 'chat', $body, parse(Tee::Model::encode(Tee::Model::answer('x' x 6_000_000))));
    my $script = $m->whole($big);

    for my $in ('/v1', '/large', '/unbuffered') {
        my $c = $t->client;
        setsockopt $c->{socket}, SOL_SOCKET, SO_RCVBUF, 16384;
        asks($c, $in, $script);
        is length $c->head->header('content-length'), length length $big, "$in: a large answer";
        ok ask('/v1', $m->whole($good))->{body} eq $good, "$in: others go on while it is not read";
        ok $c->read_bytes(length $big) eq $big, "$in: all of it, to a slow reader";
        my $gone = $t->client;
        asks($gone, $in, $script);
        $gone->head;
        $gone->close;
    }

    my $r = $two->post($body, path => "/large$chat", type => 'application/json', relay => [ 'X-Script' => $script ]);
    ok $r->{body} eq $big, 'HTTP/2: a large answer from a file';
    $r = ask('/v1', $m->whole($big =~ s/xx/xy/r));
    is $r->json->{reason}, 'output_hash', 'a large answer that is changed';
    cmp_ok length $r->{body}, '<', 1000, 'nothing of it';
    eventually { !grep -f, glob $t->dir . '/tmp/*/* ' . $t->dir . '/tmp/*/*/*/*' } 'no file is left';
}

# requests: large, in pieces, in a file

{
    my $long = Tee::Model::encode({ model => 'm', messages => [ { role => 'user', content => 'y' x 3_000_000 } ] });
    my $text = Tee::Signed::attach($key, 'chat', $long, $answer);
    my $r = $t->post("/v1$chat", 'application/json', $long, [ 'X-Script' => $m->whole($text) ]);
    is_deeply [ $r->{status}, $r->{body} ], [ 200, $text ], 'a request that is large';
    my $c = $t->client;
    $c->send_request(POST => "/v1$chat", [ 'Content-Type' => 'application/json', 'X-Script' => $m->whole($good), 'Transfer-Encoding' => 'chunked' ],
        join '', (map sprintf("%x\r\n%s\r\n", length $_, $_), split //, $body), "0\r\n\r\n");
    is $c->response->{body}, $good, 'one in chunks';
}

# -- what tee_sign has signed, tee_verify takes

for my $name ('both', 'both-stream') {
    my $r = ask("/$name", $m->whole(Tee::Model::encode(Tee::Model::answer("\x{20ac}\x{1f600}\x{2028}"))));
    is_deeply [ $r->{status}, $r->{cut} ], [ 200, undef ], "$name: signed and verified" or diag $r->{body};
    is Tee::Signed::check($key, 'chat', $body, $r->{body}), undef, "$name: truly";
    $r = ask("/$name", $m->stream([@plain]));
    is_deeply [ $r->{status}, $r->{cut} ], [ 200, undef ], "$name: a stream" or diag $r->{body};
    is Tee::Signed::check($key, 'chat', $body, $r->{body}, stream => 1), undef, "$name: truly, a stream";
}

# -- events that a key has signed, where nothing streams: no client reads them as an answer

for my $case ([ completions => '/completions', '{"model":"m","prompt":"p"}' ], [ web_search => '/web_search', '{"query":"q"}' ]) {
    my ($endpoint, $to, $asked) = @$case;
    my @signed = @plain;
    $signed[4] = 'data: ' . Tee::Signed::attach($key, $endpoint, $asked, parse($plain[4] =~ s/^data: //r), text => 'The answer is xyzzy.') . "\n\n";

    for my $in ('/v1', '/stream', '/unbuffered') {
        my $r = $t->post("$in$to", 'application/json', $asked, [ 'X-Script' => $m->stream([@signed]) ]);
        is_deeply [ $r->{status}, $r->json->{reason} ], [ 502, 'unsigned' ], "$in: events for $endpoint";
        unlike $r->{body}, qr/xyzzy|data:/, "$in: nothing of them";
    }
}

# -- trailers: of the upstream, which nginx passes since 1.27.2 if told to, none is signed

{
    my @chunks = map sprintf("%x\r\n%s\r\n", length $_, $_), @events;
    my $script = $m->says([ send => "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n" ],
        map([ send => $_ ], @chunks), [ send => "0\r\nX-Theirs: forged\r\nX-TEE-Verified: forged\r\n\r\n" ]);

    for my $in ('/trailers', '/trailers-held') {
        my $c = $t->client;
        $c->send_request(POST => "$in$chat", [ 'Content-Type' => 'application/json', 'X-Script' => $script, TE => 'trailers', Connection => 'close, TE' ], $body);
        my $in_all = $c->read_all;
        like $in_all, qr/DONE\].*\r\n0\r\nX-Ours: kept\r\n\r\n\z/s, "$in: trailers of nginx" if $in eq '/trailers';
        like $in_all, qr/DONE\]/, "$in: an answer";
        unlike $in_all, qr/forged/, "$in: and none of the upstream";
    }

    my $r = $two->post($body, path => "/trailers$chat", type => 'application/json', relay => [ 'X-Script' => $script, TE => 'trailers' ]);
    is $r->{body}, join('', @events), 'HTTP/2: an answer with trailers';
    unlike $r->{head}, qr/forged/, 'HTTP/2: of which none is of the upstream';
}

$t->finish;

# -- what is refused before its end: whoever asked gets an error, and the next
# answer on the same connection, while the model goes on or says nothing more

{
    my $stop = scratch() . '/stop';
    my $words = 'x' x 100_000;
    my $two = qq(data: {"choices":[{"delta":{"content":"a"}},{"delta":{"content":"b"}}]}\n\n);
    my $endless = Tee::Upstream->new(name => 'endless', cert => undef, handler => sub {
        my ($conn, $request) = @_;
        my ($what) = $request->{path} =~ m{^/(\w+)};
        my $type = $what =~ /events/ ? 'text/event-stream' : 'application/json';
        $conn->send("HTTP/1.1 200 OK\r\nContent-Type: $type\r\nTransfer-Encoding: chunked\r\n\r\n");
        $conn->send_chunk($what =~ /events/ ? $two x 20 : qq({"choices":[{"message":{"content":"$words"}}]}));
        return $conn->send("0\r\n\r\n") if $what =~ /whole/;
        wait_until { -e $stop } 30;
        return 0;
    });
    my @ways = map { my $way = $_; map [ "$_-$way", $_, $way ], qw(hold stream sign) } qw(on off);
    my %how = (hold => 'tee_verify key=a.pem; tee_verify_buffer 1k; tee_verify_max_body 4k;', stream => 'tee_verify key=a.pem; tee_verify_mode stream;', sign => 'tee_sign a; tee_sign_buffer 10k;');
    my $t = Tee::Nginx->new(
        files => { 'a.pem' => $key->export_key_pem('public_x509'), 'a.key' => slurp($file) },
        vars => { endless => $endless->port },
        http => join '', <<'CONF', map("    location /$_->[0]/ { $how{$_->[1]} proxy_buffering $_->[2]; proxy_pass http://127.0.0.1:%%endless%%/; }\n", @ways), "} keepalive_timeout 600s;\n");
    tee_sign_key a a.key;
    proxy_http_version 1.1;
    proxy_read_timeout 600s; proxy_send_timeout 600s; send_timeout 600s;
    server {
        listen 127.0.0.1:%%PORT_http%%;
        location = /ok { return 200 ok; }
CONF

    for my $way (@ways) {
        my ($path, $how) = @$way;

        for my $what ($how eq 'stream' ? qw(events events_whole) : $how eq 'hold' ? qw(events json json_whole) : qw(json json_whole)) {
            my $c = $t->client;
            $c->send_request(POST => "/$path/$what$chat", [ 'Content-Type' => 'application/json' ], $body);
            my $r = eval { $c->response };
            is $r && $r->{status}, 502, "$path: $what: is refused" or next;
            $c->send_request(GET => '/ok');
            $r = eval { $c->response };
            is $r && $r->{body}, 'ok', "$path: $what: and the next one is answered";
        }
    }

    spew($stop, 1);
    $t->finish;
}

done_testing;
