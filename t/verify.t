#!/usr/bin/perl
# A location passes on what an enclave has signed, and nothing else: each part
# of an answer that is signed is changed, and each of the signature.

use FindBin;
use lib "$FindBin::Bin/lib";
use Tee::Test;

use Compress::Zlib qw(memGzip);
use JSON::PP;
use MIME::Base64 qw(decode_base64 encode_base64);
use Tee::Json qw(dump_json num parse);
use Tee::Model;
use Tee::Signed;

my %pem = map { $_ => (Tee::Cert::signing_key($_))[0] } 'verify-a', 'verify-b';
my %key = map { $_ => Crypt::PK::RSA->new($pem{"verify-$_"}) } 'a', 'b';
my $m = Tee::Model->new;
my %cert = map { $_ => Tee::Cert->new(name => "$_.test") } 'a', 'b';
my %tls = map { $_ => Tee::Model->new(cert => $cert{$_}, name => $_) } 'a', 'b';
my %tee = map { $_ => Tee::Cert::enclave($_, key => "verify-$_", endpoint => 'https://127.0.0.1:' . $tls{$_}->port, cert => $cert{$_}) } 'a', 'b';

my $t = Tee::Nginx->new(
    files => {
        'tees.json' => tees($tee{a}, $tee{b}),
        'a.pem' => $key{a}->export_key_pem('public_x509'),
        'a.der' => $key{a}->export_key_der('public_x509'),
    },
    vars => { model => $m->port },
    http => <<'CONF');
    log_format verified '$request_uri $status [$tee_verified] $tee_request_hash $tee_output_hash $tee_timestamp $tee_error';
    access_log logs/verified.log verified;
    tee_registry og { file tees.json; allow_private on; }
    upstream model { server 127.0.0.1:%%model%%; keepalive 4; }
    upstream tee { tee_peers og id=$http_x_tee_id; }
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    server {
        listen 127.0.0.1:%%PORT_http%%;
        client_max_body_size 20m;
        location /v1/ { tee_verify key=a.pem; proxy_pass http://model; }
        location /der/ { tee_verify key=a.der; proxy_pass http://model/; }
        location /stream/ { tee_verify key=a.pem; tee_verify_mode stream; proxy_pass http://model/; }
        location /registry/ { tee_verify on; proxy_pass https://tee/; }
        location /registry-stream/ { tee_verify on; tee_verify_mode stream; proxy_pass https://tee/; }
        location /old/ { tee_verify key=a.pem; tee_verify_max_age off; proxy_pass http://model/; }
        location /minute/ { tee_verify key=a.pem; tee_verify_max_age 60s; tee_verify_max_skew 10s; proxy_pass http://model/; }
        location /small/ { tee_verify key=a.pem; tee_verify_buffer 4k; tee_verify_max_body 64k; proxy_pass http://model/; }
        location /errors/ { tee_verify key=a.pem; tee_verify_errors pass; proxy_pass http://model/; }
        location /errors-stream/ { tee_verify key=a.pem; tee_verify_errors pass; tee_verify_mode stream; proxy_pass http://model/; }
        location /named/ { tee_verify key=a.pem; tee_verify_headers X-OpenGradient-Verified X-OpenGradient-TEE-Id; proxy_pass http://model/; }
        location /unnamed/ { tee_verify key=a.pem; tee_verify_headers off; proxy_pass http://model/; }
        location /fields/ { tee_verify key=a.pem; tee_verify_fields temperature; proxy_pass http://model/; }
        location /chat { tee_verify key=a.pem; tee_verify_endpoint chat; proxy_pass http://model; }
        location /search { tee_verify key=a.pem; tee_verify_endpoint web_search; proxy_pass http://model; }
        location /off/ { tee_verify off; proxy_pass http://model/; }
        location /plain/ { proxy_pass http://model/; }
    }
CONF

my $chat = '/chat/completions';
my $id = Tee::Signed::tee_id($key{a});
my $body = Tee::Model::encode({ model => 'm', messages => [ { role => 'user', content => "Is it \x{20ac}?" } ] });
my $secret = 'The answer is xyzzy.';
my $answer = parse(Tee::Model::encode(Tee::Model::answer($secret)));
my @calls = ({ id => 'call_1', type => 'function', function => { name => 'weather', arguments => "{\"city\": \"Z\x{fc}rich\"}" } });
my $called = parse(Tee::Model::encode(Tee::Model::answer(undef, calls => \@calls)));

sub attach { my ($answer, %o) = @_; return Tee::Signed::attach($o{key} // $key{a}, $o{endpoint} // 'chat', $o{body} // $body, $answer, %o) }

sub ask {
    my ($script, %o) = @_;
    my $path = ($o{in} // '/v1') . ($o{to} // $chat);
    return $t->post($path, 'application/json', $o{body} // $body, [ 'X-Script' => $script, @{ $o{headers} // [] } ]);
}

# an answer, or events; who says them

sub whole { my ($text, %o) = @_; return $m->whole($text, %o) }

sub passes {
    my ($name, $script, $want, %o) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $r = ask($script, %o);
    return is_deeply [ $r->{status}, $r->{body}, $r->{cut}, scalar $r->header('x-tee-verified'), scalar $r->header('x-tee-id') ],
        [ 200, $want, undef, $o{says} // 'true', $o{id} // $id ], "passes: $name" || diag $r->{head}, $r->{body};
}

my $words = qr/xyzzy|plugh|Is it|weather|rich|choices|data:/;

sub fails {
    my ($name, $script, $reason, %o) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $r = ask($script, %o);
    my $json = $r->json;
    my $ok = is_deeply [ $r->{status}, scalar $r->header('content-type'), $json->{status}, $r->{body} =~ /"reason":"($reason)"/, scalar $r->header('x-tee-verified'), $r->header('content-encoding') ],
        [ 502, 'application/problem+json', 502, $json->{reason} // 'none', 'false' ], "$reason: $name";
    $ok &= unlike $r->{head} . $r->{body}, $words, "$reason: $name, nothing of the answer";
    diag $r->{head}, $r->{body} if !$ok;
    return $ok;
}

# -- what is right

my $good = attach($answer);
my @spelled = (
    [ 'as the gateway says it', $good ],
    [ 'without blanks', encode_json(decode_json($good)) ],
    [ 'with many', JSON::PP->new->pretty->encode(decode_json($good)) ],
    [ 'with an id without 0x', $good =~ s/"tee_id": "0x/"tee_id": "/r ],
    [ 'with an id in capitals', $good =~ s/"tee_id": "0x([^"]*)/"tee_id": "0x\U$1/r ],
    [ 'with escaped names', $good =~ s/"tee_/"te\\u0065_/gr ],
    [ 'with a time that is a text', $good =~ s/"tee_timestamp": (\d+)/"tee_timestamp": "$1"/r ],
    [ 'with members that are not signed', $good =~ s/\}\z/, "other": [1]}/r ],
);
passes($_->[0], whole($_->[1]), $_->[1]) for @spelled;
{
    my $text = attach($called);
    passes('tool calls', whole($text), $text);
    my $big = attach(parse(Tee::Model::encode(Tee::Model::answer('x' x 3_000_000))));
    passes('a large one, from a file', whole($big), $big);
    passes('from a smaller buffer', whole($text = attach(parse(Tee::Model::encode(Tee::Model::answer('x' x 50_000))))), $text, in => '/small');
}
passes('by a key in DER', whole($good), $good, in => '/der');
passes('chat, as told', whole($good), $good, in => '', to => '/chat');

{
    my $b = '{"model":"m","prompt":"p"}';
    my $text = attach({ choices => [ { text => 'x', index => num(0) } ] }, endpoint => 'completions', body => $b);
    passes('completions', whole($text), $text, to => '/completions', body => $b);
    $b = '{"query":"q"}';
    $text = attach({ content => 'x' }, endpoint => 'web_search', body => $b);
    passes('web_search', whole($text), $text, to => '/web_search', body => $b);
    passes('web_search, as told', whole($text), $text, in => '', to => '/search', body => $b);
    $b = Tee::Model::encode({ model => 'm', max_tokens => 5, messages => [ { role => 'user', content => 'x' } ] });
    $text = attach($answer, body => $b, fields => ['temperature']);
    passes('with fields', whole($text), $text, in => '/fields', body => $b);
    fails('other fields', whole($text), 'request_hash', body => $b);
}

# -- what is not

my %member = map { $_ => parse($good)->{$_} } qw(tee_signature tee_request_hash tee_output_hash tee_timestamp tee_id);

fails('nothing is signed', whole(dump_json($answer)), 'unsigned');
fails("no tee_$_", whole($good =~ s/, "tee_$_": [^,}]*//r), 'unsigned|malformed') for qw(signature request_hash output_hash timestamp id);

for my $name (sort keys %member) {
    for my $value ('null', '1.5', '[]', '{}', 'true', '""', '"x"', $name eq 'tee_timestamp' ? '-1' : '1') {
        my $r = ask(whole($good =~ s/"$name": (?:"[^"]*"|\d+)/"$name": $value/r));
        is_deeply [ $r->{status}, scalar $r->header('content-type') ], [ 502, 'application/problem+json' ], "$name is $value" or diag $r->{body};
        unlike $r->{body}, $words, "$name is $value: nothing of the answer";
    }
}

fails('by another enclave', whole(attach($answer, key => $key{b})), 'tee_id');
fails('by another enclave, who says that he is this one', whole(attach($answer, key => $key{b}, change => { tee_id => $id })), 'signature');
fails('an id of another', whole($good =~ s/"tee_id": "0x(.)/'"tee_id": "0x' . ($1 eq '0' ? 1 : 0)/er), 'tee_id');
fails('another request', whole(attach($answer, body => $body =~ s/Is/is/r)), 'request_hash');
fails('another request, its hash changed', whole($good =~ s/("tee_request_hash": ")(.)/$1 . ($2 eq '0' ? 1 : 0)/er), 'request_hash');
fails('a hash in capitals', whole($good =~ s/("tee_request_hash": ")([^"]*)/$1\U$2/r), 'request_hash|malformed|unsigned') if $member{tee_request_hash} =~ /[a-f]/;
fails('another answer', whole($good =~ s/xyzzy/plugh/r), 'output_hash');
fails('another answer, by an escape', whole($good =~ s/xyzzy/plu\\u0067h/r), 'output_hash');
fails('another answer, its hash changed', whole($good =~ s/("tee_output_hash": ")(.)/$1 . ($2 eq '0' ? 1 : 0)/er), 'output_hash');
fails('another answer, and its own hash', whole(attach({ %$answer }, text => 'x', change => { tee_signature => $member{tee_signature} })), 'output_hash');
{
    my $other = parse(attach($answer, text => 'The answer is plugh.'));
    my $text = $good =~ s/xyzzy/plugh/r =~ s/\Q$member{tee_output_hash}/$other->{tee_output_hash}/r;
    fails('another answer, its right hash', whole($text), 'signature');
    fails('another time', whole($good =~ s/"tee_timestamp": (\d+)/'"tee_timestamp": ' . ($1 - 1)/er), 'signature');
    fails('the members of an answer before', whole($good =~ s/\Q$member{tee_signature}/$other->{tee_signature}/r), 'signature');
}

# every byte of the signature, and its form

{
    my $sig = decode_base64($member{tee_signature});
    my $c = $t->client;
    my @passed;

    for my $at (0 .. length($sig) - 1) {
        my $bad = $sig;
        substr($bad, $at, 1) ^= chr(1 << $at % 8);
        my $script = whole($good =~ s/\Q$member{tee_signature}/encode_base64($bad, '')/er);
        $c->send_request(POST => "/v1$chat", [ 'Content-Type' => 'application/json', 'X-Script' => $script ], $body);
        my $r = $c->response;
        push @passed, $at if $r->{status} != 502 || $r->json->{reason} ne 'signature' || $r->{body} =~ $words;
    }

    is "@passed", '', 'signature: no byte of it may change';
    is length $sig, 256;

    for my $case ([ 'shorter' => substr $sig, 0, -1 ], [ 'longer' => "$sig\0" ], [ 'longer in front' => "\0$sig" ], [ 'of nothing' => "\0" x 256 ], [ 'too large' => "\xff" x 256 ],
        [ 'twice' => $sig x 2 ])
    {
        my $r = ask(whole($good =~ s/\Q$member{tee_signature}/encode_base64($case->[1], '')/er));
        is_deeply [ $r->{status}, $r->{body} =~ $words ? 1 : 0 ], [ 502, 0 ], "signature: one that is $case->[0]";
    }

    for my $form ($member{tee_signature} =~ s/=+\z//r, $member{tee_signature} . 'AAAA', ' ' . $member{tee_signature}, $member{tee_signature} =~ tr{+/}{-_}r . '!') {
        next if $form eq $member{tee_signature};
        is ask(whole($good =~ s/\Q$member{tee_signature}/$form/r))->{status}, 502, 'signature: base64 that is none, ' . substr $form, -6;
    }

    my $pkcs = encode_base64($key{a}->sign_message(pack('H*', 'ab' x 32), 'SHA256', 'v1.5'), '');
    fails('of another kind', whole($good =~ s/\Q$member{tee_signature}/$pkcs/r), 'signature');
    my ($r, $o, $hash) = Tee::Signed::_hashes(Tee::Signed::canonical_chat(parse($body)), $secret, $member{tee_timestamp}{text});

    for my $salt (0, 20, 64) {
        my $other = encode_base64($key{a}->sign_message($hash, 'SHA256', 'pss', $salt), '');
        fails("with a salt of $salt bytes", whole($good =~ s/\Q$member{tee_signature}/$other/r), 'signature');
    }
}

# times

for my $case ([ '/v1', -3590, 1 ], [ '/v1', -3660, 0 ], [ '/v1', 290, 1 ], [ '/v1', 360, 0 ], [ '/minute', -50, 1 ], [ '/minute', -70, 0 ], [ '/minute', 20, 0 ],
    [ '/old', -4_000_000, 1 ], [ '/old', 290, 1 ], [ '/v1', -1_700_000_000, 0 ], [ '/v1', 1 << 40, 0 ])
{
    my ($in, $at, $fresh) = @$case;
    my $text = attach($answer, time => time + $at);
    $fresh ? passes("$at seconds, $in", whole($text), $text, in => $in) : fails("$at seconds, $in", whole($text), 'stale', in => $in);
}

# finish_reason decides what was signed

fails('calls that are told as text', whole(attach($called) =~ s/"finish_reason": "tool_calls"/"finish_reason": "stop"/r), 'output_hash');
fails('text that is told as calls', whole(attach(parse(Tee::Model::encode(Tee::Model::answer('text', calls => \@calls, finish => 'stop')))) =~
    s/"finish_reason": "stop"/"finish_reason": "tool_calls"/r), 'output_hash');
fails("calls, $_->[0]", whole(attach($called) =~ s/$_->[1]/$_->[2]/r), 'output_hash')
    for [ 'a name', 'weather', 'whether' ], [ 'an id', 'call_1', 'call_2' ], [ 'an argument', 'city', 'town' ], [ 'a type', '"type": "function"', '"type": "other"' ];

# not JSON at all

fails($_->[0], whole($_->[1], @{ $_->[2] // [] }), 'unsigned|malformed|encoded|unsupported')
    for [ 'nothing', '' ], [ 'text', 'The answer is xyzzy.' ], [ 'a list', "[$good]" ], [ 'a part', substr $good, 0, -1 ], [ 'more', "$good x" ],
    [ 'gzip', memGzip($good), [ fields => [ 'Content-Encoding' => 'gzip' ] ] ], [ 'another type', $good, [ type => 'text/plain' ] ],
    [ 'a part that is whole', $good, [ status => '206 Partial Content', fields => [ 'Content-Range' => 'bytes 0-9/10' ] ] ], [ 'an encoding of no name', $good, [ fields => [ 'Content-Encoding' => 'x-none' ] ] ];

{
    my $r = ask(whole($good, type => 'application/json; charset=iso-8859-1'));
    is_deeply [ $r->{status}, scalar $r->header('content-type'), $r->{body} ], [ 200, 'application/json', $good ], 'a label that nobody has signed is removed';
    my $b = '{"model":"m","prompt":"p"}';
    my @e = ('data: ' . attach({ choices => [ { text => 'xyzzy', index => num(0), finish_reason => 'stop' } ] }, endpoint => 'completions', body => $b, text => '') . "\n\n", "data: [DONE]\n\n");
    fails('events of what does not stream', $m->stream(\@e), 'unsigned|unsupported', to => '/completions', body => $b);
}

# -- sizes

{
    my $script = $m->says([ send => "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n{" ], ['wait'], ['close']);
    fails('a length that is too large is enough', $script, 'too_large', in => '/small');
    $m->go($script);
}

fails('larger than may be', whole(attach(parse(Tee::Model::encode(Tee::Model::answer('xyzzy' x 40_000))))), 'too_large', in => '/small');
fails('larger, of no told length', $m->stream([ unpack '(a1000)*', attach(parse(Tee::Model::encode(Tee::Model::answer('xyzzy' x 40_000)))) ], type => 'application/json'), 'too_large', in => '/small');
fails('a large one that is changed', whole(attach(parse(Tee::Model::encode(Tee::Model::answer('xyzzy' x 1_500_000)))) =~ s/xyzzy/plugh/r), 'output_hash');
is scalar(grep -f, glob $t->dir . '/tmp/*/* ' . $t->dir . '/tmp/*/*/*/*'), 0, 'no file is left';

# -- fields

{
    my @forged = ('X-TEE-Verified' => 'true', 'x-tee-verified' => 'yes', 'X-TEE-Id' => '0xevil', 'X-Other' => 'stays');
    my $r = ask(whole($good, fields => \@forged));
    is_deeply [ $r->header('x-tee-verified'), $r->header('x-tee-id'), $r->header('x-other') ], [ 'true', $id, 'stays' ], 'fields of the upstream are replaced';
    $r = ask(whole($good =~ s/xyzzy/plugh/r, fields => \@forged));
    is_deeply [ $r->header('x-tee-verified'), $r->header('x-tee-id') ], ['false'], 'and of what is refused';
    unlike $r->{head}, qr/X-Other/, 'which has no fields of it';
    $r = ask(whole('{"error":"no"}', status => '429 Slow', fields => \@forged));
    is_deeply [ $r->{status}, grep $_ ne 'false', $r->header('x-tee-verified') ], [429], 'nor does an error say that it was verified';
    unlike $r->{head}, qr/evil/, 'nor by whom';
    $r = ask(whole($good, fields => [ 'X-OpenGradient-Verified' => 'forged', 'X-TEE-Verified' => 'other' ]), in => '/named');
    is_deeply [ $r->header('x-opengradient-verified'), $r->header('x-opengradient-tee-id') ], [ 'true', $id ], 'they have other names';
    $r = ask(whole($good, fields => \@forged), in => '/unnamed');
    is_deeply [ $r->{status}, $r->{body}, grep /verified|tee-id/i, map $_->[0], @{ $r->{headers} } ], [ 200, $good ], 'or are not there';
    is ask(whole($good, fields => \@forged), in => '/plain')->header('x-tee-id'), '0xevil', 'elsewhere, fields are what they are';
    is ask(whole($good =~ s/xyzzy/plugh/r), in => '/off')->{status}, 200, 'switched off';
}

# -- errors

for my $status ('400 Bad', '402 Pay', '429 Slow', '500 Error', '503 Away') {
    my $n = substr $status, 0, 3;
    my $script = whole('{"error":"xyzzy"}', status => $status, fields => [ 'Retry-After' => 7, 'X-Payment' => 'p' ]);
    my $r = ask($script);
    is_deeply [ $r->{status}, scalar $r->header('content-type'), $r->json->{status}, $r->json->{reason}, scalar $r->header('retry-after') ],
        [ $n, 'application/problem+json', $n, 'unsigned_error', 7 ], "hide: $n" or diag $r->{head};
    unlike $r->{body}, $words, "hide: $n, nothing of it";
    $r = ask($script, in => '/errors');
    is_deeply [ $r->{status}, $r->{body}, scalar $r->header('x-tee-verified') ], [ $n, '{"error":"xyzzy"}', 'false' ], "pass: $n";
}

{
    my $r = ask(whole(memGzip('{"error":"xyzzy"}'), status => '500 No', fields => [ 'Content-Encoding' => 'gzip' ]));
    is_deeply [ $r->{status}, $r->json->{reason}, $r->header('content-encoding') ], [ 500, 'unsigned_error' ], 'hide: an error that is compressed';
}

is ask(whole($good, status => '404 Not'), in => '/errors')->header('x-tee-verified'), 'false', 'an error is never verified';

# -- requests that cannot be

$m->forget;

for my $case ([ 'not JSON', 'x' ], [ 'nothing', '' ], [ 'a list', '[]' ], [ 'no messages', '{"model":"m"}' ], [ 'an unknown role', '{"model":"m","messages":[{"role":"x","content":"y"}]}' ]) {
    problem(ask(whole($good), body => $case->[1]), 400, 'unverifiable', "a request: $case->[0]");
}

problem(ask(whole($good), to => '/models'), 400, 'unverifiable', 'no endpoint');
problem($t->get("/v1$chat"), 405, 'unverifiable', 'no request');
is scalar(my @none = $m->requests), 0, 'nothing of this was sent';
unlike ask(whole($good), headers => [ 'Accept-Encoding' => 'gzip', Range => 'bytes=0-3' ])->{head}, qr/206|content-range/i, 'no ranges of an answer';
unlike +($m->requests)[-1]{head}, qr/^accept-encoding/mi, 'the upstream is not told of encodings';

# -- streams

sub stream_of {
    my ($events, %o) = @_;
    my @e = @$events;
    my ($at) = grep $e[$_] =~ /"finish_reason":"(?:stop|tool_calls)"/, 0 .. $#e;
    my $r = Tee::Signed::read_stream(join '', @e);
    $e[$at] = 'data: ' . attach(parse($e[$at] =~ s/^data: //r), text => $r->{text}, %o) . "\n\n";
    return @e;
}

my @plain = Tee::Model::events([ 'The answer ', "is xyzzy\x{20ac}", '.' ]);
my @events = stream_of(\@plain);
my @tool = stream_of([ Tee::Model::events([], calls => \@calls, split => 4) ]);
my %streams = (
    text => [@events],
    'in bytes' => [ split //, join '', @events ],
    'in sevens' => [ unpack '(a7)*', join '', @events ],
    calls => [@tool],
    CRLF => [ map s/\n/\r\n/gr, @events ],
    comments => [ ": xyzzy\n\n", @events[ 0, 1 ], ":\n\n", @events[ 2 .. $#events ] ],
    'no [DONE]' => [ @events[ 0 .. $#events - 1 ] ],
);

for my $name (sort keys %streams) {
    my $script = $m->stream($streams{$name});
    passes("stream, held: $name", $script, join('', @{ $streams{$name} }));
    passes("stream, live: $name", $script, join('', @{ $streams{$name} }), in => '/stream', says => 'pending', id => $id);
}

my $last = '"finish_reason": "stop"';
my %bad = (
    'a text changed' => [ output_hash => map s/answer/ANSWER/r, @events ],
    'a text dropped' => [ output_hash => @events[ 0, 1, 3 .. $#events ] ],
    'a text twice' => [ output_hash => @events[ 0, 1, 1 .. $#events ] ],
    'texts in another order' => [ output_hash => @events[ 0, 2, 1, 3 .. $#events ] ],
    'a text behind the signature' => [ 'output_hash|unsupported' => @events[ 0 .. 4 ], Tee::Model::delta({ content => 'x' }), @events[ 5 .. $#events ] ],
    'no signature' => [ unsigned => @plain ],
    'an end before the signature' => [ unsigned => @plain[ 0 .. 3 ] ],
    'only [DONE]' => [ unsigned => $plain[-1] ],
    'nothing' => [ unsigned => '' ],
    'an error' => [ 'malformed|unsigned' => @events[ 0, 1 ], Tee::Model::event('{"error":"xyzzy"}') ],
    'no JSON' => [ 'malformed|unsigned' => @events[ 0, 1 ], "data: {xyzzy\n\n", @events[ 2 .. $#events ] ],
    'by another enclave' => [ tee_id => stream_of(\@plain, key => $key{b}) ],
    'for another request' => [ request_hash => stream_of(\@plain, body => $body =~ s/Is/is/r) ],
    'an old one' => [ stale => stream_of(\@plain, time => time - 4000) ],
    'a hash changed' => [ output_hash => map s/("tee_output_hash": ")(.)/$1 . ($2 eq '0' ? 1 : 0)/er, @events ],
    'a signature changed' => [ signature => map s/("tee_signature": ")(.)/$1 . ($2 eq 'A' ? 'B' : 'A')/er, @events ],
    'calls told as text' => [ output_hash => map s/"finish_reason": "tool_calls"/"finish_reason": "stop"/r, @tool ],
    'a call changed' => [ output_hash => map s/weather/whether/r, @tool ],
);

for my $name (sort keys %bad) {
    my ($reason, @e) = @{ $bad{$name} };
    my $script = $m->stream(\@e);
    fails("stream, held: $name", $script, $reason);
    my $before = $t->logged(qr/\[error\].*tee verify/);
    my $r = ask($script, in => '/stream');
    ok $r->{cut} || !$r->{status} || $r->{status} == 502, "stream, live: $name, breaks off" or diag $r->{body};
    unlike $r->{head}, qr/x-tee-verified: *true/mi, "stream, live: $name, is not told to be verified";
    unlike $r->{body}, qr/tee_signature|\[DONE\]/, "stream, live: $name, nothing of the last event" or diag $r->{body};
    ok wait_until { $t->logged(qr/\[error\].*tee verify/) > $before }, "stream, live: $name, a line in the log";
}

# each cut of a stream

{
    my $all = join '', @events;
    my @wrong;

    for my $cut (map({ int $_ * length($all) / 24 } 0 .. 23), length($all) - length($events[-1]) - length($events[-2]) - 3) {
        for my $end (\'cut', \'reset') {
            for my $in ('/v1', '/stream') {
                my $r = ask($m->stream([ substr($all, 0, $cut), $end ]), in => $in);
                push @wrong, "$in $$end $cut $r->{status}" if !$r->{cut} && $r->{status} =~ /^[1-4]/ || $r->{body} =~ /\[DONE\]/ || $in eq '/v1' && $r->{body} =~ $words;
            }
        }
    }

    is "@wrong", '', 'streams that are cut anywhere have no good end';
}

like $t->log, qr/\[error\].*tee verify:.*cut/, 'which is logged';

# held until the verdict; live until the last

{
    my $script = $m->stream([ map { ($_, \'wait') } @events ]);
    my $c = $t->client;
    $m->forget;
    $c->send_request(POST => "/stream$chat", [ 'Content-Type' => 'application/json', 'X-Script' => $script ], $body);
    my $head = $c->head;
    is $head->header('x-tee-verified'), 'pending', 'live: it says that the verdict comes last';

    for my $n (0 .. 3) {
        is $c->chunk, $events[$n], "live: event $n comes before the next is sent";
        $m->go($script);
    }

    my $rest = '';
    $m->go($script), $rest .= '' for 4 .. $#events;
    while (length(my $chunk = $c->chunk // '')) { $rest .= $chunk }
    is $rest, join('', @events[ 4 .. $#events ]), 'live: and the rest';

    $script = $m->stream([ map { ($_, \'wait') } @events ]);
    $m->forget;
    $c = $t->client;
    $c->send_request(POST => "/v1$chat", [ 'Content-Type' => 'application/json', 'X-Script' => $script ], $body);

    for my $n (1 .. @events) {
        ok $m->await(notes => $n);
        is $c->{in}, '', "held: nothing comes with event $n" if $n < @events;
        $m->go($script);
    }

    is $c->response->{body}, join('', @events), 'held: then all of it';
}

# -- the key of the very enclave that has answered

for my $mode ('', '-stream') {
    for my $name ('a', 'b') {
        my $other = $name eq 'a' ? 'b' : 'a';
        my %to = (in => "/registry$mode", headers => [ 'X-TEE-ID' => $tee{$name}{id} ]);
        my $text = attach($answer, key => $key{$name});
        my $foreign = attach($answer, key => $key{$other});
        my $lies = attach($answer, key => $key{$other}, change => { tee_id => $tee{$name}{id} });
        passes("registry$mode: $name, by itself", $tls{$name}->whole($text), $text, %to, id => $tee{$name}{id}) if !$mode;
        my $r = ask($tls{$name}->whole($foreign), %to);
        ok $r->{cut} || $r->{status} == 502 && $r->json->{reason} eq 'tee_id', "registry$mode: $name, by the other" or diag $r->{head}, $r->{body};
        $r = ask($tls{$name}->whole($lies), %to);
        ok $r->{cut} || $r->{status} == 502 && $r->json->{reason} eq 'signature', "registry$mode: $name, by the other, who lies" or diag $r->{head}, $r->{body};
        my @e = stream_of(\@plain, key => $key{$name});
        passes("registry$mode: $name, a stream", $tls{$name}->stream(\@e), join('', @e), %to, id => $tee{$name}{id}, says => $mode ? 'pending' : 'true');
    }
}

# -- variables and the log

$t->get('/plain/last');
ok wait_until { $t->read('logs/verified.log') =~ m{/plain/last} };
my @lines = split /\n/, $t->read('logs/verified.log');
like +(grep m{^/chat }, @lines)[0], qr/^\S+ 200 \[1\] [0-9a-f]{64} [0-9a-f]{64} 1\d{9} -$/, 'variables of what is verified';
is scalar(grep m{^/v1/\S+ 502 \[1\]}, @lines), 0, 'nothing that is refused is verified';
cmp_ok scalar(grep m{^/v1/\S+ 502 \[0\] .*signature}, @lines), '>', 256, 'but named';
like $lines[-1], qr{^/plain/last \d+ \[-?\] - - - -$}, 'and nothing is said elsewhere';
my @said = grep /\[error\].*tee verify/, split /\n/, $t->log;
cmp_ok scalar(@said), '>', 300, 'a line for each in the log';
unlike "@said", $words, 'which tells nothing of the answers';

$t->finish(allow => qr/^$/);
done_testing;
