#!/usr/bin/perl
# A sealed request is one of the server's own: what a gateway takes, what it
# runs, and what comes back.

use FindBin;
use lib "$FindBin::Bin/lib";
use Tee::Test;

my $keys = Tee::Sealed::keys();

# tells what it was asked, and answers as the path says

my $backend = backend(sub {
    my ($conn, $request) = @_;
    my %answer = (
        '/cookies' => [ '200 OK', [ 'Set-Cookie' => 'a=1', 'X-One' => 1, 'Set-Cookie' => 'b=2', 'X-Two' => 2, 'x-one' => 3 ], 'x' ],
        '/nothing' => [ '204 No Content', [ 'X-Kept' => 1 ], undef ],
        '/same' => [ '304 Not Modified', [ ETag => '"e"' ], undef ],
        '/teapot' => [ "418 I'm a teapot", [], 'short and stout' ],
        '/hop' => [ '200 OK', [ Connection => 'X-Hop', 'X-Hop' => 1, 'Keep-Alive' => 'timeout=5', Upgrade => 'x', 'Proxy-Connection' => 'x',
            TE => 'x', 'X-Kept' => 1 ], 'x' ],
    );
    my $answer = $answer{ $request->{path} };

    # a page, and what is included in it, which takes its time

    return $conn->respond('200 OK', [ 'Content-Type' => 'text/html' ], 'a <!--#include virtual="/piece" --> b')
        if $request->{path} eq '/page';

    if ($request->{path} eq '/piece') {
        $conn->send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        for my $text ('one', ' two') {
            select undef, undef, undef, 0.1;
            $conn->send(sprintf "%x\r\n%s\r\n", length $text, $text);
        }
        return $conn->send("0\r\n\r\n");
    }

    if ($answer && !defined $answer->[2]) {
        my @h = @{ $answer->[1] };
        return $conn->send("HTTP/1.1 $answer->[0]\r\n$h[0]: $h[1]\r\n\r\n");
    }

    return $conn->respond(@$answer) if $answer;

    if ($request->{method} eq 'HEAD') {
        return $conn->send("HTTP/1.1 200 OK\r\nContent-Length: 1234\r\nX-Kept: 1\r\n\r\n");
    }

    return $conn->respond('200 OK', [ 'Content-Type' => 'text/plain' ], "$request->{head}$request->{body}");
});

my $http2 = Tee::Nginx::version() >= 1.025001 ? '; http2 on' : ' http2';
my $server = <<'CONF';
        server_name inside.example;
        client_max_body_size 1m;
        proxy_http_version 1.1;
        location = /ohttp {
            tee_gateway main;
            tee_gateway_target inside.example;
            tee_gateway_target http://inside.example;
        }
        location = /small {
            tee_gateway main;
            tee_gateway_target inside.example;
            tee_gateway_max_body 1000;
        }
        location = /vars { return 200 "$request_method $host $request_uri $uri $args $content_length $content_type $http_x"; }
        location = /trailer { add_trailer X-Sum abc; add_trailer X-More def; alias %%DIR%%/html/file; }
        location /file { alias %%DIR%%/html/file; }
        location /empty { return 200; }
        location = /page { ssi on; proxy_pass http://127.0.0.1:%%backend%%; proxy_set_header Host $host; }
        location = /piece { proxy_buffering off; proxy_pass http://127.0.0.1:%%backend%%; }
        location /tee/status { tee_status; }
        location / { proxy_pass http://127.0.0.1:%%backend%%; proxy_pass_request_headers on; proxy_set_header Host $host; }
CONF

my $t = Tee::Nginx->new(
    files => { %{ $keys->{files} }, 'html/file' => 'of the file' },
    vars => { backend => $backend->port, http2 => $http2, conf => $keys->{conf} },
    http => <<"CONF");
    tee_gateway_keys main { $keys->{conf} }
    log_format inside '\$tee_gateway_status \$tee_gateway_key_id';
    access_log %%DIR%%/logs/inside.log inside;
    server { listen 127.0.0.1:%%PORT_http%%; $server }
    server { listen 127.0.0.1:%%PORT_h2%%$http2; $server }
CONF

my $g = Tee::Sealed->new(port => $t->port, to => $keys->{x25519});

# every form

for my $kem (qw(x25519 p256)) {
    for my $aead (1 .. 3) {
        for my $chunked (0, 1) {
            my $r = $g->request(POST => '/a?b', content => 'question', to => $keys->{$kem}, aead => $aead, chunked => $chunked);
            my $form = join ', ', $kem, "AEAD $aead", $chunked ? 'chunked' : 'whole';
            is $r->{status}, 200, $form or diag $r->{error};
            like $r->{body}, qr{^POST /a\?b HTTP/1\.1\r\n.*\r\n\r\nquestion\z}s, "the answer: $form";
        }
    }
}

for my $chunked (0, 1) {
    for my $indeterminate (0, 1) {
        my $form = join ', ', $chunked ? 'chunked' : 'whole', $indeterminate ? 'of indeterminate length' : 'of known length';
        my %form = (chunked => $chunked, indeterminate => $indeterminate);
        my $r = $g->request(POST => '/', %form, content => 'y' x 100_000);
        is $r->{status}, 200, $form or diag $r->{error};
        is length($r->{body} =~ s/^.*?\r\n\r\n//sr), 100_000, "the whole content: $form";

        $r = $g->request(POST => '/', %form, split => 1, content => 'letters');
        like $r->{body}, qr/\r\n\r\nletters\z/, "in small pieces: $form";

        $r = $g->request(GET => '/', %form, cut => 1);
        is $r->{status}, 200, "what is empty is left out: $form" or diag $r->{error};

        $r = $g->request(GET => '/', %form, pad => 1000);
        is $r->{status}, 200, "padded: $form" or diag $r->{error};

        $r = $g->request(POST => '/', %form, content => 'text', trailers => [ [ 'x-sum' => 'abc' ] ]);
        like $r->{body}, qr/\r\n\r\ntext\z/, "with trailers: $form";
        unlike $r->{body}, qr/x-sum/i, "which are not made fields: $form";
    }
}

my $r = $g->request(POST => '/', indeterminate => 1, chunks => [ 'one', 'two', 'x' x 20_000, 'end' ]);
like $r->{body}, qr/\r\n\r\nonetwox{20000}end\z/, 'content in chunks';
like $r->{body}, qr/^content-length: 20009\r$/mi, 'has a length for those behind';

# the outer response

for my $chunked (0, 1) {
    my $r = $g->request(GET => '/cookies', chunked => $chunked);
    my $outer = $r->{outer};
    my $form = $chunked ? 'chunked' : 'whole';
    is $outer->{status}, 200, "the outer status: $form";
    is $outer->header('content-type'), $chunked ? 'message/ohttp-chunked-res' : 'message/ohttp-res', "the outer type: $form";
    is $outer->header('cache-control'), 'no-store', "it is not stored: $form";
    is $outer->header('incremental') // '', $chunked ? '?1' : '', "it says whether it comes bit by bit: $form";
    is_deeply [ grep !/^(?:server|date|content-type|content-length|transfer-encoding|connection|cache-control|incremental)$/,
        map lc $_->[0], @{ $outer->{headers} } ], [], "and it says no more: $form";
    unlike $outer->{head}, qr/cookie|x-one/i, "nothing of what is inside: $form";
    is_deeply [ map "@$_", grep $_->[0] =~ /^(?:set-cookie|x-)/, @{ $r->{headers} } ],
        [ 'set-cookie a=1', 'x-one 1', 'set-cookie b=2', 'x-two 2', 'x-one 3' ], "fields keep their order and number: $form";
}

# methods

for my $method (qw(GET POST PUT DELETE PATCH OPTIONS REPORT)) {
    my $r = $g->request($method => '/path', content => $method eq 'GET' ? '' : 'text');
    like $r->{body}, qr{^$method /path HTTP}, "the method $method";
}

for my $chunked (0, 1) {
    my $form = $chunked ? 'chunked' : 'whole';
    my $r = $g->request(HEAD => '/', chunked => $chunked);
    is_deeply [ @{$r}{qw(status body)}, $r->header('content-length'), $r->header('x-kept') ], [ 200, '', 1234, 1 ], "HEAD: $form";
    $r = $g->request(GET => '/nothing', chunked => $chunked);
    is_deeply [ @{$r}{qw(status body)}, $r->header('x-kept') ], [ 204, '', 1 ], "204: $form";
    $r = $g->request(GET => '/same', chunked => $chunked);
    is_deeply [ @{$r}{qw(status body)}, $r->header('etag') ], [ 304, '', '"e"' ], "304: $form";
    $r = $g->request(GET => '/teapot', chunked => $chunked);
    is_deeply [ @{$r}{qw(status body)} ], [ 418, 'short and stout' ], "any other: $form";
    $r = $g->request(GET => '/empty', chunked => $chunked);
    is_deeply [ @{$r}{qw(status body)} ], [ 200, '' ], "nothing at all: $form";
    $r = $g->request(GET => '/trailer', chunked => $chunked);
    is_deeply [ $r->{body}, map "@$_", @{ $r->{trailers} } ], [ 'of the file', 'x-sum abc', 'x-more def' ], "trailers: $form"
        or diag explain $r;
}

# a part that comes slowly is no page that breaks off

for my $chunked (0, 1) {
    is $g->request(GET => '/page', chunked => $chunked)->{body}, 'a one two b', 'a page put together: ' . ($chunked ? 'chunked' : 'whole');
}

# what the locations see

$r = $g->request(POST => '/vars?c=%41', content => 'text', headers => [ [ 'content-type' => 'a/b' ], [ x => 'y' ] ]);
is $r->{body}, 'POST inside.example /vars?c=%41 /vars c=%41 4 a/b y', 'variables are those of the sealed request';
$r = $g->request(GET => '/%76ars?', scheme => 'http', headers => [ [ x => 1 ] ]);
is $r->{body}, 'GET inside.example /%76ars? /vars    1', 'and so they are without content';
$r = $g->request(GET => '/', headers => [ [ 'x-a' => 1 ], [ 'x-b' => 'two words' ], [ 'x-a' => 3 ], [ 'x-empty' => '' ] ]);
like $r->{body}, qr/^x-a: 1\r\nx-b: two words\r\nx-a: 3\r\nx-empty: \r\n/mi, 'fields pass in their order';
unlike $r->{body}, qr{ohttp}i, 'nothing of the outer request does';
$r = $g->request(GET => '/', headers => [ map [ cookie => "$_=1" ], qw(a b) ]);
like join('; ', $r->{body} =~ /^cookie: (.*)\r$/mig), qr/^a=1; b=1$/, 'cookies too';

# the authority

like $g->request(GET => '/')->{body}, qr/^host: inside\.example\r$/mi, 'it is the Host';
like $g->request(GET => '/', headers => [ [ host => 'inside.example' ] ])->{body}, qr/^host: inside\.example\r$/mi, 'which may say the same';
is $g->request(GET => '/', headers => [ [ host => 'other.example' ] ])->{status}, 400, 'but nothing else';
is $g->request(GET => '/', headers => [ [ host => 'inside.example' ], [ host => 'inside.example' ] ])->{status}, 400, 'nor twice';
is $g->request(GET => '/', authority => '', headers => [ [ host => 'inside.example' ] ])->{status}, 200, 'Host stands for an authority';
is $g->request(GET => '/', authority => '')->{status}, 400, 'one of them is needed';

# fields that belong to a connection

$r = $g->request(GET => '/', headers => [ [ connection => 'x-hop, close' ], [ 'x-hop' => 'secret' ], [ 'keep-alive' => 'secret' ],
    [ te => 'secret' ], [ 'proxy-connection' => 'secret' ], [ upgrade => 'secret' ], [ 'x-kept' => 'ok' ] ]);
is $r->{status}, 200, 'fields of a connection are no error';
unlike $r->{body}, qr/secret/, 'and are not passed on';
like $r->{body}, qr/^x-kept: ok\r$/mi, 'while others are';
$r = $g->request(GET => '/hop');
is_deeply [ grep /^(?:x-kept|keep|connection|transfer|upgrade|proxy|te)/, map $_->[0], @{ $r->{headers} } ], ['x-kept'], 'the same in a response';

# connections

{
    my $c = $t->client;

    for my $path (qw(/one /two /three)) {
        my $r = $g->request(POST => $path, content => 'x', client => $c, chunked => $path eq '/two');
        like $r->{body}, qr{^POST $path }, "$path over the same connection";
    }

    is $g->request(POST => '/bad', client => $c, text => 'no message')->{status}, 400, 'one that is not well-formed';
    like $g->request(GET => '/four', client => $c)->{body}, qr{^GET /four }, 'and one more';
}

{
    my $c = $t->client;
    my @sent = map [ $g->seal(Tee::Bhttp::request(GET => "/$_"), chunked => $_ % 2) ], 1 .. 6;
    $c->send(join '', map {
        my $type = $_ % 2 ? 'message/ohttp-chunked-req' : 'message/ohttp-req';
        my $bytes = $sent[ $_ - 1 ][0];
        "POST /ohttp HTTP/1.1\r\nHost: a\r\nContent-Type: $type\r\nContent-Length: @{[ length $bytes ]}\r\n\r\n$bytes"
    } 1 .. 6);
    my @got = map { my $r = $g->open($sent[ $_ - 1 ][1], $c->response, $_ % 2); $r->{body} =~ m{^GET /(\d)} } 1 .. 6;
    is "@got", '1 2 3 4 5 6', 'pipelined requests';
}

{
    my ($bytes, $ctx) = $g->seal(Tee::Bhttp::request(POST => '/', content => 'text'));
    my $c = $t->client;
    $c->send("POST /ohttp HTTP/1.1\r\nHost: a\r\nContent-Type: message/ohttp-req\r\nTransfer-Encoding: chunked\r\n\r\n");
    $c->send(map sprintf("%x\r\n%s\r\n", length, $_), unpack '(a5)*', $bytes);
    $c->send("0\r\n\r\n");
    like $g->open($ctx, $c->response)->{body}, qr/\r\n\r\ntext\z/, 'sent in chunks of HTTP/1.1';
}

for my $chunked (0, 1) {
    my $form = $chunked ? 'chunked' : 'whole';
    my $h2 = $g->with(port => $t->port('h2'), h2 => 1, chunked => $chunked);
    my $r = $h2->request(POST => '/a', content => 'z' x 200_000);
    is $r->{status}, 200, "HTTP/2: $form" or diag $r->{error};
    is length($r->{body} =~ s{^POST /a HTTP.*?\r\n\r\n}{}sr), 200_000, "all of it: $form";
    is $h2->request(GET => '/nothing')->{status}, 204, "without content: $form";
    is_deeply [ map "@$_", @{ $h2->request(GET => '/trailer')->{trailers} } ], [ 'x-sum abc', 'x-more def' ], "with trailers: $form";
    is $h2->request(HEAD => '/')->header('content-length'), 1234, "HEAD: $form";
}

# nginx answers before it has read everything, which curl takes for no answer

for my $case ([ 415, 'media_type', 'a/b', 'x' ],
    [ 400, 'undecryptable', 'message/ohttp-req', pack('Cnnn', 1, 0x20, 1, 1) . 'x' x 100 ], [ 422, 'unknown_key', 'message/ohttp-req', 'x' x 100 ],
    [ 413, 'too_large', 'message/ohttp-req', 'x' x 1001 ])
{
    my ($status, $reason, $type, $bytes) = @$case;
    my $file = $t->write('sealed', $bytes);
    my $said = qx{nghttp -v -H 'content-type: $type' -d $file http://127.0.0.1:@{[ $t->port('h2') ]}/small};
    like $said, qr/:status: $status\b.*"reason":"$reason"/s, "HTTP/2: $reason";
}

# errors before anything is opened

my $sealed = ($g->seal(Tee::Bhttp::request(GET => '/')))[0];

for my $method (qw(GET HEAD PUT DELETE OPTIONS)) {
    my $r = $g->post($sealed, outer_method => $method);
    is $r->{status}, 405, "the outer method $method";
    is $r->header('allow'), 'POST', "$method: POST is allowed";
}

problem($g->post($sealed, outer_method => 'PUT'), 405, 'method', 'a wrong method is a problem');

for my $type (undef, 'message/ohttp-res', 'message/ohttp-reqs', 'message/ohttp', 'application/json', 'message/bhttp') {
    problem($g->post($sealed, type => $type), 415, 'media_type', 'the type ' . ($type // 'that is missing'));
}

for my $type ('Message/OHTTP-Req', 'message/ohttp-req; a=b', 'message/ohttp-req;a="b;c"') {
    my ($bytes, $ctx) = $g->seal(Tee::Bhttp::request(GET => '/'));
    is $g->open($ctx, $g->post($bytes, type => $type))->{status}, 200, "the type $type";
}

problem($g->post($sealed, relay => [ 'Content-Encoding' => 'gzip' ]), 415, 'media_type', 'a content coding');
problem($g->post(''), 400, 'no_content', 'no content');
problem($g->post('x' x 1001, path => '/small'), 413, 'too_large', 'too large');
problem($g->post($sealed, relay => [ 'Early-Data' => 1 ]), 425, 'early_data', 'early data');

{
    my $c = $t->client;
    $c->send("POST /small HTTP/1.1\r\nHost: a\r\nContent-Type: message/ohttp-req\r\nTransfer-Encoding: chunked\r\n\r\n");
    $c->send(sprintf "%x\r\n%s\r\n0\r\n\r\n", 1001, 'x' x 1001);
    is $c->response->{status}, 413, 'too large, without having said so';
    $c = $t->client;
    $c->send("POST /ohttp HTTP/1.1\r\nHost: a\r\nContent-Type: message/ohttp-req\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
    is $c->response->{status}, 400, 'empty, without having said so';
}

for my $text (pack('Cnnn', 99, 0x20, 1, 1), pack('Cnnn', 1, 0x10, 1, 1), pack('Cnnn', 1, 0x20, 2, 1), pack('Cnnn', 1, 0x20, 1, 9),
    pack('Cnnn', 1, 0x647a, 1, 1))
{
    my $r = $g->post($text . substr $sealed, 7);
    my $json = $r->json;
    is_deeply [ $r->{status}, scalar $r->header('content-type'), $json->{type} ],
        [ 422, 'application/problem+json', 'https://iana.org/assignments/http-problem-types#ohttp-key' ],
        'not a key that is offered: ' . unpack 'H*', $text or diag $r->{body};
}

# errors once it is open come back sealed

is $g->request(GET => '/', authority => 'other.example')->{status}, 403, 'another target';
is $g->request(GET => '/', text => "\4")->{status}, 400, 'no Binary HTTP';
is $g->request(POST => '/', headers => [ [ expect => '100-continue' ] ], content => 'x')->{status}, 417, 'Expect: 100-continue';
like $g->request(CONNECT => '/')->{status}, qr/^(?:40[05]|501)$/, 'CONNECT';

{
    my ($bytes, $ctx) = $g->seal(Tee::Bhttp::request(GET => '/once'));
    my $first = $g->open($ctx, $g->post($bytes));
    my $second = $g->open($ctx, $g->post($bytes));
    is $first->{status}, 200, 'a request the first time';
    is $second->{status}, 400, 'and the second';
    isnt $second->{outer}{body}, $g->post($bytes)->{body}, 'sealed afresh each time';
}

# the log and the counters

ok wait_until { $t->read('logs/inside.log') =~ /^418 1$/m && $t->read('logs/inside.log') =~ /^200 2$/m }, 'variables of the log';

my $counters = $t->status->{counters}{gateway};
cmp_ok $counters->{$_} // 0, '>=', 1, "counted: $_"
    for qw(requests responses method media_type no_content too_large early_data unknown_key malformed target replay expect);

$t->finish;
done_testing;
