#!/usr/bin/perl
# Any request through any gateway: Binary HTTP, in one piece and in chunks, to
# the keys of a registry or of a list.

use FindBin;
use lib "$FindBin::Bin/lib";
use Tee::Roles;
use Tee::Test;

use IO::Compress::Gzip qw(gzip);
use JSON::PP;

my $go = scratch() . '/go';
my $dir = scratch();

my $roles = Tee::Roles->new(
    profile => 'rfc9458',
    model => sub {
        my ($conn, $request) = @_;
        my ($what) = $request->{path} =~ m{^/[^/]*/([^/?]*)};

        return $conn->respond('200 OK', [ 'Content-Type' => 'text/plain; charset=utf-8', 'Set-Cookie' => 'a=1', 'Set-Cookie' => 'b=2', 'X-Request' => 'kept',
            'Last-Modified' => 'Sun, 06 Nov 1994 08:49:37 GMT', ETag => '"tag"', 'Cache-Control' => 'no-store', Location => '/there' ], 'text') if $what eq 'fields';
        return $conn->respond("$1 Status", [ 'Content-Type' => 'text/plain', 'WWW-Authenticate' => 'Basic realm="x"' ], "status $1") if $what =~ /^status-(\d+)$/ && $1 != 204 && $1 != 304;
        return $conn->send("HTTP/1.1 $1 Status\r\nX-A: b\r\n\r\n") if $what =~ /^status-(\d+)$/;
        return $conn->respond('200 OK', [], 'x' x $1) if $what =~ /^big-(\d+)$/;

        if ($what eq 'gzip') {
            gzip \('text ' x 100) => \my $bytes;
            return $conn->respond('200 OK', [ 'Content-Type' => 'text/html', 'Content-Encoding' => 'gzip' ], $bytes);
        }

        if ($what eq 'stream') {
            $conn->send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n");
            $conn->send_chunk('one');
            wait_until { -e $go } 20;
            $conn->send_chunk('two');
            return $conn->send("0\r\n\r\n");
        }

        if ($what eq 'cut') {
            $conn->send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nfirst");
            wait_until { -e $go } 20;
            return 0;
        }

        return $conn->send("HTTP/1.1 200 OK\r\nContent-Length: 12\r\nContent-Type: text/x\r\n\r\n") if $request->{method} eq 'HEAD';
        return $conn->respond('200 OK', [ 'Content-Type' => 'application/json' ], JSON::PP->new->canonical->encode({ head => $request->{head}, body => $request->{body} }));
    },
    relay => sub {
        my ($conn, $request, $forward) = @_;
        my (undef, $what, $n) = split m{/}, $request->{path};
        my $r = $forward->();
        my $type = $r->header('content-type');
        my $body = $r->{body};

        if ($what eq 'swap') { $type = $type eq 'message/ohttp-res' ? 'message/ohttp-chunked-res' : 'message/ohttp-res' }
        substr($body, $n, 1) ^= "\1" if $what eq 'flip' && $n < length $body;
        $body = substr $body, 0, length($body) - $n if $what eq 'cut';
        return $conn->respond('201 Created', [ 'Content-Type' => $type ], $body) if $what eq 'status';

        if ($what eq 'bytes') {
            $conn->send("HTTP/1.1 200 OK\r\nContent-Type: $type\r\nTransfer-Encoding: chunked\r\n\r\n");
            $conn->send_chunk($_) for split //, $body;
            return $conn->send("0\r\n\r\n");
        }

        return $conn->respond("$r->{status} OK", [ 'Content-Type' => $type ], $body);
    },
    http => <<'CONF',
    upstream any { tee_peers og; }
    tee_client_target https://api.example;
    server {
        listen 127.0.0.1:%%PORT_any%%;
        location = /any { tee_relay on; proxy_pass https://any/v1/ohttp; }
    }
CONF
    client => join('', map { my ($name, $chunked) = @$_; <<"CONF" }
        location /$name/ { tee_client og profile=rfc9458$chunked; proxy_pass http://%%relay%%; }
        location /k$name/ { tee_client keys_file=%%DIR%%/keys$chunked; proxy_pass http://127.0.0.1:%%PORT_any%%/any; tee_client_pass_header X-Mine Content-Type; }
        location /${name}-swap/ { tee_client og profile=rfc9458$chunked; proxy_pass http://%%evil%%/swap; }
        location /${name}-status/ { tee_client og profile=rfc9458$chunked; proxy_pass http://%%evil%%/status; }
        location /${name}-bytes/ { tee_client og profile=rfc9458$chunked; proxy_pass http://%%evil%%/bytes; }
        location /${name}-cut1/ { tee_client og profile=rfc9458$chunked; proxy_pass http://%%evil%%/cut/1; }
        location /${name}-cut17/ { tee_client og profile=rfc9458$chunked; proxy_pass http://%%evil%%/cut/17; }
        location /${name}-cut40/ { tee_client og profile=rfc9458$chunked; proxy_pass http://%%evil%%/cut/40; }
        location /${name}-flip0/ { tee_client og profile=rfc9458$chunked; proxy_pass http://%%evil%%/flip/0; }
        location /${name}-flip17/ { tee_client og profile=rfc9458$chunked; proxy_pass http://%%evil%%/flip/17; }
        location /${name}-flip60/ { tee_client og profile=rfc9458$chunked; proxy_pass http://%%evil%%/flip/60; }
CONF
        [ whole => '' ], [ chunked => ' chunked' ]),
    gateway => 'location ~ /trailers$ { add_trailer X-Inner yes; proxy_pass http://127.0.0.1:%%model%%; }',
    stopped => 1);

my $t = $roles->nginx;
$t->write('keys', $roles->keys(1));
$t->start;

for my $form (qw(whole chunked)) {
    my $r = $t->request(POST => "/$form/a%20b?q=secret&x=%2F", [ Accept => 'text/x', Authorization => 'Bearer key', 'Content-Type' => 'text/plain', 'User-Agent' => 'hidden',
        Cookie => 'hidden', 'X-Mine' => 'hidden', 'OpenAI-Beta' => 'beta', Host => 'hidden', 'X-TEE-ID' => 'hidden' ], 'the body');
    is $r->{status}, 200, "$form: an answer";
    my $seen = $r->json;
    my ($line, %fields) = (split(/\r\n/, $seen->{head} // ''))[0];
    %fields = map { /^([^:]+): *(.*)$/ ? (lc $1 => $2) : () } split /\r\n/, $seen->{head} // '';
    is $line, "POST /$form/a%20b?q=secret&x=%2F HTTP/1.1", "$form: the request is what it was";
    is $seen->{body}, 'the body', "$form: its content as well";
    is_deeply { map { $_ => $fields{$_} } grep !/^(?:host|connection|date)$/, keys %fields },
        { accept => 'text/x', authorization => 'Bearer key', 'content-type' => 'text/plain', 'openai-beta' => 'beta', 'content-length' => 8 }, "$form: and the fields that are passed";
    like $fields{date}, qr/GMT$/, "$form: with a date";
    unlike $r->{body}, qr/hidden/, "$form: nothing else";

    $r = $t->request(POST => "/k$form/x", [ Accept => 'hidden', 'Content-Type' => 'text/plain', 'X-Mine' => 'one', 'X-Mine' => 'two', Authorization => 'hidden' ], '');
    is $r->{status}, 200, "$form: to a list of keys";
    like $r->{body}, qr/x-mine: one.*x-mine: two/is, "$form: fields by name, each as often as it was";
    unlike $r->{body}, qr/hidden/, "$form: and no others";

    for my $method (qw(GET PUT DELETE PATCH OPTIONS)) {
        my $r = $t->request($method => "/$form/method", [], $method eq 'GET' ? undef : 'x');
        like $r->json->{head} // '', qr{^$method /$form/method HTTP}, "$form: $method";
    }

    problem($t->request(TRACE => "/$form/method"), 405, 'method', "$form: not TRACE") if 0;

    $r = $t->get("/$form/fields");
    is_deeply [ map { [ lc $_->[0], $_->[1] ] } grep $_->[0] !~ /^(?:server|date|connection)$/i, @{ $r->{headers} } ],
        [ [ 'content-type', 'text/plain; charset=utf-8' ], $form eq 'chunked' ? [ 'transfer-encoding', 'chunked' ] : [ 'content-length', 4 ], [ 'set-cookie', 'a=1' ], [ 'set-cookie', 'b=2' ], [ 'x-request', 'kept' ],
            [ 'last-modified', 'Sun, 06 Nov 1994 08:49:37 GMT' ], [ 'etag', '"tag"' ], [ 'cache-control', 'no-store' ], [ 'location', '/there' ] ], "$form: fields of the answer"
        || diag $r->{head};
    is scalar($r->header('date')) && scalar(my @dates = $r->header('date')), 1, "$form: one date";

    for my $status (201, 301, 400, 401, 404, 429, 500, 503) {
        my $r = $t->get("/$form/status-$status");
        is_deeply [ $r->{status}, $r->{body}, scalar $r->header('www-authenticate') ], [ $status, "status $status", 'Basic realm="x"' ], "$form: $status within";
    }

    for my $status (204, 304) {
        my $c = $t->client;
        $c->send_request(GET => "/$form/status-$status");
        my $r = $c->response;
        is_deeply [ $r->{status}, $r->{body}, scalar $r->header('x-a') ], [ $status, '', 'b' ], "$form: $status";
        $c->send_request(GET => "/$form/after");
        is $c->response->{status}, 200, "$form: and the connection goes on";
    }

    my $c = $t->client;
    $c->send_request(HEAD => "/$form/x");
    $r = $c->response(head => 1);
    is_deeply [ $r->{status}, scalar $r->header('content-length'), scalar $r->header('content-type') ], [ 200, 12, 'text/x' ], "$form: HEAD";
    $c->send_request(GET => "/$form/after");
    is $c->response->{status}, 200, "$form: has no content";

    for my $size (0, 1, 16383, 16384, 100_000, 3_000_000) {
        my $r = $t->get("/$form/big-$size");
        ok $r->{status} == 200 && $r->{body} eq 'x' x $size && !$r->{cut}, "$form: an answer of $size bytes";
        my $body = 'y' x $size;
        $r = $t->post("/$form/x", 'text/plain', $body);
        ok $r->{status} == 200 && $r->{body} =~ /"body":"(y*)"/ && $1 eq $body, "$form: a request of $size bytes";
    }

    $r = $t->get("/$form/gzip");
    is scalar $r->header('content-encoding'), 'gzip', "$form: what is encoded stays so";

    is $t->get("/$form-bytes/x")->{status}, 200, "$form: byte by byte";
    problem($t->get("/$form-swap/x"), 502, 'not_sealed', "$form: another form of answer");
    problem($t->get("/$form-status/x"), 502, 'not_sealed', "$form: another status than 200");
    problem($t->get("/$form-$_/x"), 502, 'broken_answer', "$form: $_") for qw(flip0 flip17), $form eq 'whole' ? qw(cut1 cut17 cut40 flip60) : ();
}

# in chunks things come as they are

unlink $go;

{
    my $c = $t->client;
    $c->send_request(GET => '/chunked/stream');
    is $c->head->{status}, 200, 'a stream begins';
    is $c->chunk, 'one', 'goes on';
    spew($go, 1);
    is $c->chunk, 'two', 'and ends';
    is $c->chunk, '', 'properly';
    is $t->get('/whole/stream')->{body}, 'onetwo', 'in one piece it is the same';
}

{
    my $c = $t->client;
    $c->send_request(GET => '/chunked/trailers', [ TE => 'trailers', Connection => 'TE' ]);
    my $r = $c->head;
    is $r->header('transfer-encoding'), 'chunked', 'an answer with trailers';
    my $all = $c->read_until(qr/\r\n0\r\n(?:[^\r]+\r\n)*\r\n/);
    like $all, qr/\r\n0\r\nx-inner: yes\r\n\r\n\z/i, 'has them behind it';
}

unlink $go;

{
    my $c = $t->client;
    $c->send_request(GET => '/chunked/cut');
    my $r = $c->head;
    is_deeply [ $r->{status}, scalar $r->header('content-length') ], [ 200, undef ], 'an answer that had a length';
    is $c->chunk, 'first', 'has begun';
    spew($go, 1);
    ok $c->closed, 'and is cut where the model breaks off';
}

is $t->get('/whole/cut')->{status}, 502, 'in one piece it is an error';

for my $cut (qw(cut1 cut17 cut40)) {
    my $r = $t->get("/chunked-$cut/big-50000");
    ok $r->{status} == 502 || $r->{cut}, "a stream without its end: $cut";
    ok $r->{status} == 502 || $r->{body} =~ /\Ax{0,50000}\z/, 'and no other bytes';
}

my $r = $t->get('/chunked-flip60/big-50000');
ok $r->{status} == 502 || $r->{cut}, 'a stream with a changed byte';

unlike $t->log, qr/the body|secret&/, 'nothing of what was said is in the log';
$t->finish;
done_testing;
