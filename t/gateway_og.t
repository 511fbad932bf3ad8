#!/usr/bin/perl
# The profile of OpenGradient: JSON inside, events in chunks, costs and errors
# in the clear.

use FindBin;
use lib "$FindBin::Bin/lib";
use Tee::Test;

use JSON::PP;

my $key = Tee::Ohttp::keygen();
my $go = scratch() . '/go';
my $cost = '{"cost_opg":"1200000000","cost_usd":"0.000012","opg_price_usd":"1.25"}';
my $mark = "\n--opengradient-ohttp-billing-v1--\n";

sub event { return 'data: ' . $_[0] . "\n\n" }
sub chat { my ($model, %more) = @_; return encode_json({ model => $model, messages => [ { role => 'user', content => 'hi' } ], %more }) }

# answers as the model says

my $events = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nX-Tee-Id: 0xab\r\nX-Other: secret\r\nTransfer-Encoding: chunked\r\n\r\n";
my @hello = map event($_), '{"delta":"one"}', '{"delta":"two"}', "{\"last\":true,\"opengradient\":$cost}", '[DONE]';
my %stream = (
    stream => [@hello],
    pieces => [ map split(//), @hello ],
    together => [ join '', @hello ],
    uneven => [ unpack '(a7)*', join '', @hello ],
    free => [ @hello[ 0, 1, 3 ] ],
    nothing => [],
    plain => [ @hello[ 0, 1 ] ],
    crlf => [ map s/\n/\r\n/gr, @hello ],
    lines => [ "event: x\ndata: a\ndata: b\n\n", ": a comment\n\n", @hello[ 2, 3 ] ],
    image => [ event('{"image":"' . 'A' x 300_000 . '"}'), @hello[ 2, 3 ] ],
    failed => [ $hello[0], event('{"error":"the provider failed"}') ],
    spelled => [ event('{"opengradient": ' . $cost =~ s/":/": /gr . ', "x": 1}'), $hello[3] ],
);
my %fields = (
    'X-Payment-Response' => 'p', 'X-Upto-Session' => 's', 'X-Settlement-Tx-Hash' => 't', 'X-TEE-Id' => 'i', 'X-Moderation-Flagged' => 'true',
    'Set-Cookie' => 'secret', 'Cache-Control' => 'secret', 'X-Other' => 'secret', 'ETag' => '"secret"', 'X-Pay' => 'secret',
    'WWW-Authenticate-Info' => 'secret', 'Retry-After' => 'secret', 'Content-Language' => 'secret', 'X-Processing-Hash' => 'secret',
    'X-Inference-Cost-OPG' => 'secret',
);
my $backend = backend(sub {
    my ($conn, $request) = @_;
    my $model = eval { decode_json($request->{body})->{model} } // '';
    my @fields = ((map { ($_ => $fields{$_}) } sort keys %fields), map { ('WWW-Authenticate' => $_) } 'Basic realm="a"', 'Bearer');

    if (my $stream = $stream{$model}) {
        $conn->send($events);
        $conn->send_chunk($_) for @$stream;
        return $conn->send("0\r\n\r\n");
    }

    if ($model eq 'wait') {
        $conn->send($events);
        $conn->send_chunk($hello[0]);
        wait_until { -e $go } 20;
        $conn->send_chunk($hello[3]);
        return $conn->send("0\r\n\r\n");
    }

    if ($model =~ /^broken-(\d+)/) {
        $conn->send($events);
        $conn->send_chunk(substr join('', @hello), 0, $1) if $1;
        return 0;
    }

    return $conn->respond("$1 Status", [ 'Content-Type' => 'application/json; x=y', @fields ], qq({"error":"status $1"}))
        if $model =~ /^status-(\d+)/;
    return $conn->respond('404 Not Found', [ 'Content-Type' => 'text/plain' ], 'not JSON') if $model eq 'text';
    return $conn->respond('200 OK', [ 'Content-Type' => 'application/json' ], qq({"a":1,"opengradient":$cost})) if $model eq 'paid';
    return $conn->respond('200 OK', [ 'Content-Type' => 'application/json' ], qq({"opengradient":$1})) if $model =~ /^paid (.*)/s;
    return 0 if $model eq 'silent';
    return $conn->respond('200 OK', [ 'Content-Type' => 'application/json', @fields ], encode_json({ head => $request->{head}, body => $request->{body} }));
});

my $http2 = Tee::Nginx::version() >= 1.025001 ? '; http2 on' : ' http2';
my $server = <<'CONF';
        location = /v1/ohttp { tee_gateway og profile=opengradient; }
        location = /small { tee_gateway og profile=opengradient; tee_gateway_max_body 1000; }
        location = /v1/chat/completions { proxy_pass http://127.0.0.1:%%backend%%; proxy_http_version 1.1; proxy_set_header Host $host; gzip on; }
        location = /v1/web_search { proxy_pass http://127.0.0.1:%%backend%%; }
        location /tee/status { tee_status; }
CONF
my $t = Tee::Nginx->new(
    files => { 'og.key' => Tee::Ohttp::key_pem($key) },
    vars => { backend => $backend->port },
    http => <<"CONF");
    tee_gateway_keys og { key 1 og.key; suite hkdf-sha256 chacha20-poly1305; }
    server { listen 127.0.0.1:%%PORT_http%%; server_name inside.example; $server }
    server { listen 127.0.0.1:%%PORT_h2%%$http2; server_name inside.example; $server }
CONF

my %to = (pk => Tee::Ohttp::public_key($key), id => 1, aead => 3);
my $g = Tee::Sealed->new(port => $t->port, path => '/v1/ohttp', to => \%to);

# what came back, and what was in it

sub ask {
    my ($json, %o) = @_;
    my $g = $o{with} // $g;
    my ($bytes, $ctx) = $g->seal($json);
    my $r = $g->post($bytes, %o);
    my $type = $r->header('content-type') // '';
    $r->{text} = Tee::Ohttp::open_response($ctx, $r->{body}) if $type eq 'message/ohttp-res';

    if ($type eq 'message/ohttp-chunked-res') {
        my $body = $r->{body};
        ($r->{frame}) = $body =~ s/\Q$mark\E(....)(\{.*?\})//s ? "$1$2" : ();
        $r->{frame} = undef if defined $r->{frame} && unpack('N', $r->{frame}) != length($r->{frame}) - 4;

        $r->{texts} = Tee::Ohttp::open_chunked_response($ctx, $body);

        # it stands where the final chunk begins
        my $at = index $r->{body}, $mark;
        $r->{at_final} = $at >= 0 && $r->{texts} && length($body) == $at + 1 + 16 + length $r->{texts}[-1];
    }

    return $r;
}

# one answer

my $r = ask(chat('m', user => 'secret', metadata => { a => 'secret' }, 'x-request-id' => 'secret', request_id => 'secret', kept => [ 1.50, 'u' ]),
    relay => [ Cookie => 'secret', 'User-Agent' => 'secret', 'X-TEE-ID' => 'secret', 'X-Forwarded-For' => 'secret', Authorization => 'secret',
        Accept => 'message/ohttp-chunked-res', 'X-OHTTP-Stream' => 'true', Host => 'inside.example' ]);
is $r->{status}, 200, 'an answer';
is $r->header('content-type'), 'message/ohttp-res', 'is sealed';
my $seen = eval { decode_json($r->{text}) } // {};
like $seen->{head}, qr{^POST /v1/chat/completions HTTP}, 'the request goes to chat/completions';
like $seen->{head}, qr{^content-type: application/json\r$}mi, 'as JSON';
like $seen->{head}, qr{^authorization: Bearer ohttp\r$}mi, 'with an authorization that is always the same';
like $seen->{head}, qr{^host: inside\.example\r$}mi, 'to this server';
unlike "$seen->{head}$seen->{body}", qr/secret/, 'it tells nobody';
is_deeply decode_json($seen->{body}), { model => 'm', messages => [ { role => 'user', content => 'hi' } ], kept => [ 1.5, 'u' ] }, 'all else is kept';
like $seen->{head}, qr{^content-length: @{[ length $seen->{body} ]}\r$}mi, 'with its own length';

for my $case ([ '{"model":"m","\u0075ser":"secret","n":1.0e2}', '{"model":"m","n":1.0e2}', 'an escaped name; numbers as they are' ],
    [ '{"user":1,"model":"m","user":{"a":[]}}', '{"model":"m"}', 'a name twice' ],
    [ '{"model":"m","x":{"user":"kept"}}', '{"model":"m","x":{"user":"kept"}}', 'only at the top' ],
    [ '{"user":1}', '{}', 'nothing remains' ], [ '{"endpoint":"chat.completions","model":"m"}', '{"model":"m"}', 'an endpoint that is named' ],
    [ " {\n \"model\" : \"\\ud83d\\ude00\" } ", '{"model":"\\ud83d\\ude00"}', 'blanks around' ])
{
    my $seen = eval { decode_json(ask($case->[0])->{text})->{body} } // '';
    is $seen =~ s/[ \n]//gr, $case->[1], "members: $case->[2]";
}

like ask('{"endpoint":"web_search","query":"q"}')->{text}, qr{POST /v1/web_search HTTP}, 'the endpoint web_search';
like ask('{"endpoint":"chat.completions","endpoint":"web_search"}')->{text}, qr{POST /v1/web_search HTTP}, 'of two the last one counts';

for my $endpoint ('"none"', '"/etc/passwd"', '"../v1/ohttp"', '""', 'null', '1', '[]', '"web_search "') {
    my $r = ask("{\"endpoint\":$endpoint,\"model\":\"m\"}");
    is_deeply [ $r->{status}, scalar $r->header('content-type') ], [ 200, 'message/ohttp-res' ], "another endpoint: $endpoint";
    my $inner = eval { decode_json($r->{text}) } // {};
    is_deeply [ $inner->{status}, ref $inner->{body}, ref \$inner->{body}{error} ], [ 400, 'HASH', 'SCALAR' ], 'is an error within';
}

# fields

for my $model ('m', 'status-200', 'status-402', 'status-503') {
    my $r = ask(chat($model));
    my @names = sort grep !/^(?:server|date|content-type|content-length|transfer-encoding|connection|cache-control)$/, map lc $_->[0], @{ $r->{headers} };
    is_deeply \@names, [qw(www-authenticate www-authenticate x-moderation-flagged x-payment-response x-settlement-tx-hash x-tee-id x-upto-session)],
        "only fields of the list pass: $model";
    unlike $r->{head}, qr/secret/, "nothing of the others: $model";
    is_deeply [ $r->header('www-authenticate') ], [ 'Basic realm="a"', 'Bearer' ], "and each as often as it was: $model";
}

# costs

$r = ask(chat('paid'));
is_deeply [ map scalar $r->header("x-inference-$_"), qw(cost-opg cost-usd price-opg-usd) ], [qw(1200000000 0.000012 1.25)], 'costs';
is $r->{text}, qq({"a":1,"opengradient":$cost}), 'and they stay in the answer';

for my $block ('null', '{}', '"x"', '{"cost_opg":"1","cost_usd":"1"}', '{"cost_opg":1,"cost_usd":"1","opg_price_usd":"1"}',
    '{"cost_opg":"1.5","cost_usd":"1","opg_price_usd":"1"}', '{"cost_opg":"1","cost_usd":"x","opg_price_usd":"1"}',
    '{"cost_opg":"1\r\nX: y","cost_usd":"1","opg_price_usd":"1"}', '{"cost_opg":"","cost_usd":"","opg_price_usd":""}',
    '{"cost_opg":"-1","cost_usd":"1","opg_price_usd":"1"}')
{
    my $r = ask(chat("paid $block"));
    is_deeply [ $r->{status}, grep /inference/i, map $_->[0], @{ $r->{headers} } ], [200], "no costs: $block";
}

# other statuses

for my $status (201, 202, 299) {
    my $r = ask(chat("status-$status"));
    is_deeply [ $r->{status}, $r->{text} ], [ $status, qq({"error":"status $status"}) ], "$status is sealed, and told";
}

for my $status (400, 401, 402, 415, 418, 429, 451, 500, 502, 503, 504) {
    my $r = ask(chat("status-$status"));
    is_deeply [ $r->{status}, $r->{body}, scalar $r->header('content-type') ], [ $status, qq({"error":"status $status"}), 'application/json; x=y' ],
        "$status is in the clear";
}

$r = ask(chat('text'));
is_deeply [ $r->{status}, $r->{body}, scalar $r->header('content-type') ], [ 404, 'not JSON', 'text/plain' ], 'whatever its type';
is ask(chat('silent'))->{status}, 502, 'a model that does not answer';

# before anything is run

sub bare {
    my ($r, $status, $error, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return is_deeply [ $r->{status}, scalar $r->header('content-type'), $r->json ], [ $status, 'application/json', { error => $error } ], $name
        || diag $r->{body};
}

my $asked = () = $backend->requests;
my ($sealed) = $g->seal(chat('m'));
bare($g->post(''), 400, 'empty body', 'an empty body');
bare($g->post('x' x 1001, path => '/small'), 413, 'request body too large', 'a large body');
is $g->post($sealed, outer_method => 'PUT')->{status}, 405, 'another method';
bare(ask($_->[0]), 400, 'inner payload is not valid JSON', "no JSON: $_->[1]")
    for [ '', 'nothing' ], [ '{', 'cut' ], [ '{"a":1}x', 'more' ], [ "{\"a\":\"\xff\"}", 'not UTF-8' ], [ 'x', 'a word' ], [ "\0", 'binary' ], [ '{a:1}', 'a bare name' ];
bare(ask($_), 400, 'inner payload must be a JSON object', "no object: $_") for '[]', '"text"', '1', 'null', 'true';

my $malformed = 'malformed encapsulated request';
bare($g->post(substr $sealed, 0, $_), 400, $malformed, "cut to $_ bytes") for 1, 6, 7, 38, 39, 54, 55, length($sealed) - 1;
bare($g->post(pack('C', 9) . substr $sealed, 1), 400, $malformed, 'another key');
bare($g->post(pack('Cnnn', 1, 0x20, 1, 1) . substr $sealed, 7), 400, $malformed, 'another AEAD');
bare($g->post(($g->seal(chat('m'), to => { %to, aead => 1 }))[0]), 400, $malformed, 'another AEAD, sealed with it');
bare($g->post(($g->seal(chat('m'), chunked => 1))[0]), 400, $malformed, 'a chunked request');
bare($g->post(($g->seal(chat('m'), to => { %to, enc => "\0" x 32, dh => "\0" x 32 }))[0]), 400, $malformed, 'a point of low order');
bare($g->post($sealed ^ "\0" x 60 . "\1"), 400, $malformed, 'a changed byte');
is scalar(my @now = $backend->requests), $asked, 'nothing of this was asked';
is ask(chat('m'), type => $_)->{status}, 200, 'any type is taken: ' . ($_ // 'none') for undef, 'application/octet-stream', 'message/ohttp-chunked-req';

{
    my ($bytes, $ctx) = $g->seal(chat('m'));
    is $g->post($bytes)->{status}, 200, 'a request';
    is $g->post($bytes)->{status}, 400, 'is not taken twice';
}

# streams

for my $case ([ stream => @hello ], [ pieces => @hello ], [ uneven => @hello ], [ free => @hello[ 0, 1, 3 ] ], [ nothing => '' ],
    [ lines => @{ $stream{lines} } ], [ image => @{ $stream{image} } ], [ failed => @{ $stream{failed} } ], [ crlf => @{ $stream{crlf} } ],
    [ together => @hello ], [ spelled => @{ $stream{spelled} } ])
{
    my ($model, @texts) = @$case;
    my $r = ask(chat($model, stream => JSON::PP::true));
    is $r->header('content-type'), 'message/ohttp-chunked-res', "$model: a stream";
    is_deeply $r->{texts}, \@texts, "$model: a chunk for each event, the last one final";
    my $paid = join('', @texts) =~ /opengradient/;
    is $r->{frame}, $paid ? pack 'N/a', $cost : undef, "$model: " . ($paid ? 'the costs' : 'no costs');
    ok $r->{at_final}, "$model: right before the final chunk" if $paid;
    is $r->header('x-tee-id'), '0xab', "$model: fields of the list";
    unlike $r->{head}, qr/secret|inference/i, "$model: and no others";
}

$r = ask(chat('plain'));
is join('', @{ $r->{texts} // [] }), join('', @hello[ 0, 1 ]), 'a stream without [DONE]';
is scalar(grep !length, @{ $r->{texts} }[ 0 .. $#{ $r->{texts} } - 1 ]), 0, 'has no empty chunk but the final one';

for my $cut (0, 5, length $hello[0], length($hello[0]) + 5, length("@hello[0, 1]") - 1) {
    my $r = ask(chat("broken-$cut"));
    my @texts = @{ $r->{texts} // [] };
    my @whole = join('', @hello) =~ /\G(data: .*?\n\n)/gs;
    my $n = grep { my $end = 0; $end += length for @whole[ 0 .. $_ ]; $end <= $cut } 0 .. $#whole;
    like pop(@texts) // '', qr/^data: \{"error":.*\}\n\n\z/s, "cut after $cut bytes: the final event is an error";
    is_deeply \@texts, [ @whole[ 0 .. $n - 1 ] ], "cut after $cut bytes: after what was whole";
    is $r->{frame}, undef, "cut after $cut bytes: without costs";
}

for my $port ($t->port, $t->port('h2')) {
    my $way = $port == $t->port ? 'HTTP/1.1' : 'HTTP/2';
    unlink $go;
    my ($bytes, $ctx) = $g->seal(chat('wait', stream => JSON::PP::true));
    my $read = Tee::Ohttp::chunk_reader($ctx);
    my $got = '';

    # the second event is not sent before the first has come
    if ($port == $t->port) {
        my $c = $t->client;
        $c->send_request(POST => '/v1/ohttp', [], $bytes);
        $c->head;

        while (length(my $chunk = $c->chunk // '')) {
            $got .= join '', map $_->[0] // 'broken', $read->($chunk);
            spew($go, 1) if $got eq $hello[0];
        }

    } else {
        my $file = $t->write('sealed', $bytes);
        open my $out, '-|', qw(curl -sN --http2-prior-knowledge -H Expect: --data-binary), "\@$file", "http://127.0.0.1:$port/v1/ohttp";
        binmode $out;

        while (sysread $out, my $chunk, 65536) {
            $got .= join '', map $_->[0] // 'broken', $read->($chunk);
            spew($go, 1) if $got eq $hello[0];
        }
    }

    $got .= join '', map $_->[0] // 'broken', $read->();
    is $got, $hello[0] . $hello[3], "$way: an event is sent on before the next has come";
}

my $h2 = $g->with(port => $t->port('h2'), h2 => 1);
is ask(chat('paid'), with => $h2)->{text}, qq({"a":1,"opengradient":$cost}), 'HTTP/2: an answer';
is_deeply ask(chat('stream'), with => $h2)->{texts}, \@hello, 'HTTP/2: a stream';
is ask(chat('status-402'), with => $h2)->{status}, 402, 'HTTP/2: an error';

unlike $t->log, qr/"hi"/, 'nothing of what was said is in the log';

$t->finish;
done_testing;
