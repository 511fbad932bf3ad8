#!/usr/bin/perl
# A location signs what its model server answers: whole answers, streams, tool
# calls.  What cannot be signed passes unsigned or is refused, and nothing is
# ever half signed.

use FindBin;
use lib "$FindBin::Bin/lib";
use Tee::Test;

use Compress::Zlib qw(memGunzip memGzip);
use JSON::PP;
use Tee::Json qw(parse);
use Tee::Model;
use Tee::Signed;

my ($file) = Tee::Cert::signing_key('sign-a');
my $key = Crypt::PK::RSA->new($file);
my $m = Tee::Model->new;
my $keys = Tee::Sealed::keys();
my $og = Tee::Ohttp::keygen();
my $http2 = Tee::Nginx::version() >= 1.025001 ? '; http2 on' : ' http2';
my $server = <<'CONF';
        server_name inside.example;
        client_max_body_size 20m;
        location = /ohttp { tee_gateway main; tee_gateway_target inside.example; tee_gateway_replay off; }
        location = /og { tee_gateway og profile=opengradient; tee_gateway_replay off; }
        location /v1/ { tee_sign a; proxy_pass http://model; }
        location /unbuffered/ { tee_sign a; proxy_pass http://model/; proxy_buffering off; }
        location /pass/ { tee_sign a; tee_sign_unsigned pass; proxy_pass http://model/; }
        location /errors/ { tee_sign a; tee_sign_unsigned errors; proxy_pass http://model/; }
        location /refuse/ { tee_sign a; tee_sign_unsigned refuse; proxy_pass http://model/; }
        location /small/ { tee_sign a; tee_sign_buffer 1k; proxy_pass http://model/; }
        location /small-pass/ { tee_sign a; tee_sign_buffer 1k; tee_sign_unsigned pass; proxy_pass http://model/; }
        location /chat { tee_sign a; tee_sign_endpoint chat; proxy_pass http://model; }
        location /completions-of { tee_sign a; tee_sign_endpoint completions; proxy_pass http://model; }
        location /search { tee_sign a; tee_sign_endpoint web_search; proxy_pass http://model/web_search; }
        location /fields/ { tee_sign a; tee_sign_fields top_p temperature; proxy_pass http://model/; }
        location /no-fields/ { tee_sign a; tee_sign_fields temperature; proxy_pass http://model/; }
        location /gzip/ { tee_sign a; gzip on; gzip_types application/json; gzip_min_length 1; gzip_proxied any; proxy_pass http://model/; }
        location /file/ { tee_sign a; client_body_in_file_only clean; proxy_pass http://model/; }
        location /off/ { tee_sign off; proxy_pass http://model/; }
        location /plain/ { proxy_pass http://model/; }
CONF

my $t = Tee::Nginx->new(
    files => { %{ $keys->{files} }, 'og.key' => Tee::Ohttp::key_pem($og), 'a.key' => slurp($file)},
    vars => { model => $m->port },
    http => <<"CONF");
    tee_sign_key a a.key;
    tee_gateway_keys main { $keys->{conf} }
    tee_gateway_keys og { key 1 og.key; suite hkdf-sha256 chacha20-poly1305; }
    log_format signed '\$request_uri \$status \$tee_request_hash \$tee_output_hash \$tee_timestamp';
    access_log logs/signed.log signed;
    upstream model { server 127.0.0.1:%%model%%; keepalive 8; }
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    server { listen 127.0.0.1:%%PORT_http%%; $server }
    server { listen 127.0.0.1:%%PORT_h2%%$http2; $server }
CONF

my $chat = '/v1/chat/completions';
my $direct = Tee::Sealed->new(port => $t->port, to => $keys->{x25519});
my $two = $direct->with(port => $t->port('h2'), h2 => 1);
my %ways = (
    'HTTP/1.1' => sub { my ($path, $body, $h) = @_; return $t->post($path, 'application/json', $body, $h) },
    'HTTP/2' => sub { my ($path, $body, $h) = @_; return $two->post($body, path => $path, type => 'application/json', relay => $h) },
    'gateway' => sub { return inside($direct, @_) },
    'gateway, chunked' => sub { return inside($direct->with(chunked => 1), @_) },
    'gateway, HTTP/2, chunked' => sub { return inside($two->with(chunked => 1), @_) },
);

sub inside {
    my ($g, $path, $body, $h) = @_;
    my @h = @{ $h // [] };
    my @headers = ([ 'content-type' => 'application/json' ]);
    push @headers, [ lc shift @h, shift @h ] while @h;
    return $g->request(POST => $path, headers => \@headers, content => $body);
}

# a request for a script

sub body {
    my ($script, %more) = @_;
    return Tee::Model::encode({ model => $script, messages => [ { role => 'user', content => "h\x{e9}\x{1f600}\x{2028} \x7f" } ], %more });
}

sub ask {
    my ($script, %o) = @_;
    my $body = $o{body} // body($script, $o{stream} ? (stream => JSON::PP::true) : ());
    my $r = ($o{by} // $ways{'HTTP/1.1'})->($o{path} // $chat, $body, [ 'X-Script' => $script, @{ $o{headers} // [] } ])
        // { status => 0, body => '', head => '' };
    eval { $r->{why} = Tee::Signed::check($key, $o{endpoint} // 'chat', $body, $r->{body}, stream => $o{stream}, fields => $o{fields}); 1 }
        or $r->{why} = "no answer: $@";
    return $r;
}

sub signed {
    my ($name, $script, %o) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $r = ask($script, %o);
    is_deeply [ $r->{status}, $r->{why}, $r->{cut} ], [ 200, undef, undef ], "$name: signed" or diag $r->{head}, substr $r->{body}, 0, 2000;
    return $r;
}

# -- whole answers: every byte is as it was, but for the brace

sub json { my ($text, %o) = @_; return Tee::Model::encode(Tee::Model::answer($text, %o)) }

my $unicode = "\x{20ac}\x{1f600}\x{2028}\x{2029}\x{85}\x7f \"q\" \\ / \x{fc}";
my @calls = ({ id => 'call_1', type => 'function', function => { name => 'weather', arguments => "{\"city\": \"Z\x{fc}rich\"}" } },
    { id => 'call_2', type => 'function', function => { name => 'f', arguments => '{}' } });
my $plain = json('Hello!');
my %whole = (
    text => $plain,
    empty => json(''),
    null => json(undef),
    unicode => json($unicode),
    escaped => JSON::PP->new->ascii->canonical->encode(Tee::Model::answer($unicode)),
    pretty => JSON::PP->new->pretty->canonical->encode(Tee::Model::answer('Hello!')),
    blanks => " \r\n\t$plain \n",
    big => json(join ' ', 1 .. 200_000),
    calls => json(undef, calls => \@calls),
    'calls and text' => json('I look', calls => \@calls),
    'calls that are not told' => json('text', calls => \@calls, finish => 'stop'),
    'no calls' => json('text', calls => [], finish => 'tool_calls'),
    parts => json([ { type => 'text', text => 'Hi ' }, { type => 'text', text => 'there' } ]),
    length => json('cut', finish => 'length'),
    'without a name' => '{"choices":[{"message":{"content":"x"}}]}',
    'nested names' => '{"choices":[{"message":{"content":"x","tee_id":"stays"},"tee_x":1}],"a":{"tee_signature":"stays"}}',
);

for my $name (sort keys %whole) {
    my $r = signed($name, $m->whole($whole{$name}));
    my $was = $whole{$name} =~ s/\}\s*\z//r;
    is substr($r->{body}, 0, length $was), $was, "$name: byte for byte";
    is length($r->{body}) - length $was, length(', "tee_signature": "", "tee_request_hash": "", "tee_output_hash": "", "tee_timestamp": , "tee_id": ""}') + 344 + 64 * 2 + 10 + 66,
        "$name: and the five members" if $whole{$name} !~ /\s\z/;
    is $r->header('content-length'), length $r->{body}, "$name: the length";
}

# an answer may come in any way

my %sent = (
    'pieces of a byte' => [ split //, $plain ],
    'pieces of seven' => [ unpack '(a7)*', $plain ],
);
signed("in $_", $m->stream($sent{$_}, type => 'application/json')) for sort keys %sent;
signed('until the end', $m->says([ send => "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n$plain" ], ['close']));
signed("type: $_", $m->whole($plain, type => $_)) for 'application/json; charset=utf-8', 'APPLICATION/JSON', 'application/json;charset="UTF-8"';
signed('201', $m->whole($plain, status => '201 Created')) if 0;
is length signed('unbuffered', $m->whole($whole{big}), path => '/unbuffered/chat/completions')->{body}, length(signed('buffered', $m->whole($whole{big}))->{body}),
    'with buffers or without';

# members that the model says itself

my @own = (
    '"tee_id":"0xab",', '"tee_signature":"AAAA","tee_timestamp":1,', '"te\u0065_id":1,', '"\u0074\u0065\u0065\u005Frequest_hash":{"a":[1,{"b":"}"}]},',
    '"tee_":null,', '"tee_other":"x\"}",', ' "tee_id" : 1 , ',
);

for my $own (@own) {
    my $r = signed("$own in front", $m->whole($plain =~ s/^\{/{$own/r));
    is_deeply without($r->{body}), decode_json($plain), "$own in front: nothing of it remains";
    unlike $r->{body} =~ s/, "tee_[^{}]*\}\s*\z//r, qr/tee_|te\\u|\\u0074/, "$own in front: not a byte of the name";
    my $last = $own =~ s/,\s*\z//r;
    $r = signed("$own at the end", $m->whole($plain =~ s/\}\z/,$last}/r));
    is_deeply without($r->{body}), decode_json($plain), "$own at the end: nothing of it remains";
}

sub without { my $j = eval { decode_json($_[0]) } // { broken => $@ }; delete @$j{ grep /^tee_/, keys %$j }; return $j }

signed('only own members', $m->whole('{"choices":[{"message":{"content":"x"}}],"tee_id":"1","tee_signature":"2"}'));
signed('names that only begin alike', $m->whole('{"choices":[{"message":{"content":"x"}}],"tee":1,"xtee_id":3}'));

# -- endpoints and fields

my $prompt = '{"model":"m","prompt":"p","temperature":1,"top_p":0.5}';
is ask('', body => $prompt, path => '/v1/completions', endpoint => 'completions')->{why}, undef, 'completions';
is ask('', body => '{"model":"m","prompt":"p","max_tokens":null,"stop":["x"],"web_search":1}', path => '/completions-of', endpoint => 'completions')->{why}, undef,
    'completions, as told';
is ask('', body => '{"query":"q","user":"u","n":1.50}', path => '/v1/web_search', endpoint => 'web_search')->{why}, undef, 'web_search';
is ask('', body => '{"query":"q"}', path => '/search', endpoint => 'web_search')->{why}, undef, 'web_search, as told';
signed('chat, as told', $m->whole($plain), path => '/chat');
my $many = body('m', temperature => 0.5, max_tokens => 7, stop => ['x'], top_p => 0.25, aspect_ratio => '1:1', response_format => { type => 'text' }, web_search => JSON::PP::true);
is ask('', body => $many)->{why}, undef, 'all optional members';
is ask('', body => $many, path => '/fields/chat/completions', fields => [ 'top_p', 'temperature' ])->{why}, undef, 'those that are told';
is ask('', body => $many, path => '/no-fields/chat/completions', fields => ['temperature'])->{why}, undef, 'only one of them';
isnt ask('', body => $many, path => '/no-fields/chat/completions')->{why}, undef, 'which is another signature';

# -- requests, as the gateway hashes them

my $vectors = decode_json(slurp(root() . '/t/vectors/canonical_json.json'));
my $same = $m->whole($plain);

{
    my $c = $t->client;
    my (@wrong, @refused);
    my $n = 0;

    for my $case (@{ $vectors->{chat} }) {
        my $input = pack 'H*', $case->{input_hex};
        my $want = $case->{gateway}{keccak256};
        $c->send_request(POST => $chat, [ 'Content-Type' => 'application/json', 'X-Script' => $same ], $input);
        my $r = $c->response;
        my $hash = $r->json->{tee_request_hash};
        $n++ if $hash;
        push @wrong, $case->{name} if $hash && $hash ne ($want // '');
        push @refused, $case->{name} if !$hash && $want;
        push @wrong, "$case->{name}: $r->{status}" if !$hash && $r->{status} !~ /^[45]/;
    }

    is "@wrong", '', 'requests: no wrong hash';
    cmp_ok $n, '>', 40, 'requests: most have one';
    is "@refused", 'duplicate_top_level user_parts_nested_list user_content_object', 'requests: few that the gateway takes are refused';
}

my $long = body($same, messages => [ { role => 'user', content => 'x' x 3_000_000 } ]);
is ask($same, body => $long)->{why}, undef, 'a long request';
is ask($same, body => $long, path => '/file/chat/completions')->{why}, undef, 'one in a file';
{
    my $body = body($same);
    my $c = $t->client;
    $c->send_request(POST => $chat, [ 'Content-Type' => 'application/json', 'Transfer-Encoding' => 'chunked' ],
        join '', (map sprintf("%x\r\n%s\r\n", length $_, $_), unpack '(a5)*', $body), "0\r\n\r\n");
    is Tee::Signed::check($key, 'chat', $body, $c->response->{body}), undef, 'one in chunks';
    $c->send_request(POST => $chat, [ 'Content-Type' => 'application/json' ], $body) for 1 .. 3;
    is scalar(grep !defined Tee::Signed::check($key, 'chat', $body, $c->response->{body}), 1 .. 3), 3, 'three at once, over one connection';
}

# -- what the model is asked

$m->forget;
signed('encodings', $m->whole($plain), headers => [ 'Accept-Encoding' => 'gzip, br' ]);
signed('a range is asked for', $m->whole($plain, fields => [ 'Accept-Ranges' => 'bytes', ETag => '"x"' ]), headers => [ Range => 'bytes=0-5' ]);
my ($asked) = grep $_->{body} ne '', $m->requests;
unlike $asked->{head}, qr/^accept-encoding/mi, 'the model is not told of encodings';
is $asked->{body}, body($asked->{head} =~ /x-script: (\S+)/i), 'it gets the request as it was';
my $zipped = ask($m->whole($plain), path => '/gzip/chat/completions', headers => [ 'Accept-Encoding' => 'gzip' ]);
my $open = ($zipped->header('content-encoding') // '') eq 'gzip' ? memGunzip($zipped->{body}) : $zipped->{body};
is Tee::Signed::check($key, 'chat', body('script-' . $m->{n}), $open), undef, 'it may be compressed on its way out';
is ask($same, path => '/off/chat/completions')->{body}, $plain, 'switched off';
is ask($same, path => '/plain/chat/completions')->{body}, $plain, 'not switched on';

for my $name ('ETag', 'Last-Modified', 'Accept-Ranges', 'Content-MD5', 'Digest', 'Content-Digest', 'Repr-Digest') {
    my $r = signed("with $name", $m->whole($plain, fields => [ $name => $name =~ /Mod/ ? 'Sat, 21 Nov 2026 12:00:00 GMT' : '"x"' ]));
    is $r->header($name), undef, "$name is of something else, and is removed";
}

# -- streams

my @hello = Tee::Model::events([ 'Hel', "lo $unicode", '!' ]);

# as they are passed on: these three are ends of lines for some clients

sub fixed { return join('', @_) =~ s/\xc2\x85/\\u0085/gr =~ s/\xe2\x80([\xa8\xa9])/sprintf '\\u20%x', ord($1) - 0x80/ger }

my @fixed = fixed(@hello) =~ /\G(.*?\n\n)/gs;

my %streams = (
    text => [@hello],
    'in bytes' => [ split //, join '', @hello ],
    'in sevens' => [ unpack '(a7)*', join '', @hello ],
    'at once' => [ join '', @hello ],
    calls => [ Tee::Model::events([], calls => \@calls) ],
    'calls in fragments' => [ Tee::Model::events([], calls => \@calls, split => 3) ],
    'calls with text' => [ Tee::Model::events(['I look'], calls => \@calls, split => 3) ],
    'calls at the end of nothing' => [ Tee::Model::events(['text'], calls => \@calls, finish => 'stop') ],
    'no text' => [ Tee::Model::events([]) ],
    'no usage' => [ @hello[ 0 .. $#hello - 2 ], $hello[-1] ],
    'text in the last event' => [ Tee::Model::delta({ content => 'a' }), Tee::Model::delta({ content => 'b' }, 'stop'), Tee::Model::event('[DONE]') ],
    'no [DONE]' => [ @hello[ 0 .. $#hello - 1 ] ],
    'no [DONE] and no usage' => [ @hello[ 0 .. $#hello - 2 ] ],
    'no finish_reason' => [ @hello[ 0 .. 2 ], $hello[-1] ],
    'nothing' => [ $hello[-1] ],
    'long event' => [ Tee::Model::delta({ content => 'x' x 500_000 }), @hello[ -3 .. -1 ] ],
    'billing' => [ Tee::Model::events(['x'], more => { opengradient => { cost_opg => '1' } }) ],
);

for my $name (sort keys %streams) {
    my $r = signed($name, $m->stream($streams{$name}), stream => 1);
    like $r->header('content-type'), qr{^text/event-stream}, "$name: a stream";
    is $r->header('content-length'), undef, "$name: of no length";

    # only one event is longer
    my @was = fixed(@{ $streams{$name} }) =~ /\G(.*?\n\n)/gs;
    my @is = $r->{body} =~ /\G(.*?\n\n)/gs;
    my %was = map { $_ => 1 } @was;
    my @other = grep !$was{$_}, @is;
    is scalar @other, 1, "$name: one event is another one" or diag explain \@other;
    my $front = ($other[0] // '') =~ s/, "tee_\w+":.*//sr;
    ok $name =~ /^no finish|^nothing/ || scalar(grep index($_, $front) == 0, @was), "$name: it has become longer";
    is scalar @is, @was + ($name =~ /^no finish|^nothing/ ? 1 : 0), "$name: none is lost";
}

# other forms of events

my %forms = (
    CRLF => [ map s/\n/\r\n/gr, @hello ],
    CR => [ map s/\n/\r/gr, @hello ],
    comments => [ ": hello\n\n", @hello[ 0, 1 ], ": ping\n\n", "event: ping\ndata: {}\n\n", ":\n\n", "\n\n", @hello[ 2 .. $#hello ] ],
    'no blank' => [ map s/^data: /data:/r, @hello ],
    'more lines' => [ map s/,"id"/,\ndata: "id"/r, @hello ],
    'fields around' => [ map "id: 1\nevent: message\n${_}retry: 5\n\n", @hello ],
    'own members' => [ map s/\}\n\n\z/,"tee_signature":"AAAA","t\\u0065e_id":"x"}\n\n/r, @hello ],
    'own members in front' => [ map s/^data: \{/data: {"tee_timestamp":[{}],/r, @hello ],
    'pretty' => [ map "data: " . JSON::PP->new->utf8->pretty->canonical->encode(decode_json(s/^data: //r)) =~ s/\n(?=.)/\ndata: /gr . "\n", @hello[ 1 .. $#hello - 1 ] ],
    'after [DONE]' => [ @hello, ": bye\n\n" ],
);

for my $name (sort keys %forms) {
    my $sent = join '', @{ $forms{$name} };

    for my $split (1, 5, 100_000) {
        my $r = ask($m->stream([ unpack "(a$split)*", $sent ]), stream => 1);
        is_deeply [ $r->{status}, $r->{why}, $r->{cut} ], [ 200, undef, undef ], "$name, pieces of $split: signed" or diag $r->{body};
        my $members = () = $r->{body} =~ /(?:t|\\u0074)(?:e|\\u0065)(?:e|\\u0065)_/g;
        is $members, 5, "$name, pieces of $split: nothing of others";
    }
}

# by each way, and inside of a gateway

my $stream = $m->stream([@hello]);
my $buffered = $m->whole($whole{big});

for my $way (sort keys %ways) {
    signed("$way, whole", $same, by => $ways{$way});
    signed("$way, calls", $m->whole($whole{calls}), by => $ways{$way});
    signed("$way, large", $buffered, by => $ways{$way});
    signed("$way, stream", $stream, by => $ways{$way}, stream => 1);
    signed("$way, calls in fragments", $m->stream($streams{'calls in fragments'}), by => $ways{$way}, stream => 1);
    is ask('', by => $ways{$way}, path => '/v1/completions', endpoint => 'completions', body => $prompt)->{why}, undef, "$way, completions";
    my $r = ask($m->whole('[1]'), by => $ways{$way});
    is_deeply [ $r->{status}, $r->json->{status} ], [ 502, 502 ], "$way: what cannot be signed is refused" or diag $r->{body};
    $r = ask($m->whole('{"error":"no"}', status => '429 Slow'), by => $ways{$way});
    is_deeply [ $r->{status}, $r->{body} ], [ 429, '{"error":"no"}' ], "$way: an error";
}

{
    my $g = Tee::Sealed->new(port => $t->port, path => '/og', to => { pk => Tee::Ohttp::public_key($og), id => 1, aead => 3 });

    for my $case ([ 'whole', body($same) ], [ 'stream', body($stream, stream => JSON::PP::true) ]) {
        my ($name, $body) = @$case;
        my ($bytes, $ctx) = $g->seal($body);
        my $r = $g->post($bytes);
        my $text = $name eq 'stream' ? join '', @{ Tee::Ohttp::open_chunked_response($ctx, $r->{body}) // [] } : Tee::Ohttp::open_response($ctx, $r->{body});
        is Tee::Signed::check($key, 'chat', $body, $text, stream => $name eq 'stream'), undef, "gateway of OpenGradient, $name: signed" or diag $r->{head}, $text;
    }
}

# -- events pass as they come, and only the last one waits

{
    my @chunks = @hello;
    my $script = $m->stream([ map { ($_, \'wait') } @chunks ]);
    my $c = $t->client;
    $m->forget;
    $c->send_request(POST => '/unbuffered/chat/completions', [ 'Content-Type' => 'application/json' ], body($script, stream => JSON::PP::true));
    is $c->head->{status}, 200, 'the head comes before the first event is followed';

    # role, three texts, finish, usage, [DONE]
    for my $n (0 .. 3) {
        is $c->chunk, $fixed[$n], "event $n comes before the next is sent";
        $m->go($script);
    }

    ok $m->await(notes => 5), 'the event that finishes is sent';
    $m->go($script);
    is $c->chunk, $hello[5], 'the one behind it comes first';
    $m->go($script);
    my $rest = $c->chunk;
    $rest .= $c->chunk until $rest =~ /\[DONE\]/;
    like $rest, qr/^data: [^\n]*"finish_reason":"stop"[^\n]*, "tee_[^\n]*\}\n\ndata: \[DONE\]\n\n\z/, 'the signed one comes with [DONE], before the end is sent';
    $m->go($script);
    is $c->chunk, '', 'then the end';
}

# what came with the last event does not wait with it

{
    my $r = signed('all events at once', $m->stream([ join '', @hello ]), stream => 1);
    is scalar(grep /"Hel"/ && /tee_signature/, @{ $r->{chunks} }), 0, 'they are sent before the signature is made';
}

# a piece of an event stays until it is whole

{
    my $script = $m->stream([ substr($hello[0], 0, 30), \'wait', substr($hello[0], 30) . substr($hello[1], 0, -1), \'wait', substr($hello[1], -1), @hello[ 2 .. $#hello ] ]);
    my $c = $t->client;
    $m->forget;
    $c->send_request(POST => '/unbuffered/chat/completions', [ 'Content-Type' => 'application/json' ], body($script, stream => JSON::PP::true));
    ok $m->await(notes => 1), 'a part of an event is sent';
    $m->go($script);
    $c->head;
    is $c->chunk, $hello[0], 'a whole event, when a part of the next has come';
    $m->go($script);
    my $rest = '';
    while (length(my $chunk = $c->chunk // '')) { $rest .= $chunk }
    is Tee::Signed::check($key, 'chat', body($script), $hello[0] . $rest, stream => 1), undef, 'and the others';
}

# -- what cannot be signed

my $error = Tee::Model::event('{"error":{"message":"the provider failed"}}');
my %unsigned = (
    'text' => [ $m->whole('Hello!', type => 'text/plain') ],
    'no type' => [ $m->whole($plain, type => undef) ],
    'another charset' => [ $m->whole($plain, type => 'application/json; charset=iso-8859-1') ],
    'an unknown parameter' => [ $m->whole($plain, type => 'application/json; x=y') ],
    'events of another charset' => [ $m->whole(join('', @hello), type => 'text/event-stream; charset=utf-16') ],
    'members twice' => [ $m->whole($plain =~ s/\{/{"choices":[],/r) ],
    'members in another case' => [ $m->whole($plain =~ s/\{/{"Choices":[],/r) ],
    'own members twice' => [ $m->whole($plain =~ s/\{/{"tee_id":1,"tee_id":2,/r) ],
    'no JSON' => [ $m->whole('Hello!') ],
    'JSON and more' => [ $m->whole("$plain x") ],
    'a part' => [ $m->whole(substr $plain, 0, -1) ],
    'a list' => [ $m->whole("[$plain]") ],
    'a null' => [ $m->whole('null') ],
    'nothing' => [ $m->whole('') ],
    'not UTF-8' => [ $m->whole("{\"choices\":[{\"message\":{\"content\":\"\xff\"}}]}") ],
    'gzip' => [ $m->whole(memGzip($plain), fields => [ 'Content-Encoding' => 'gzip' ]) ],
    'encoded, by its field alone' => [ $m->whole($plain, fields => [ 'Content-Encoding' => 'x-none' ]) ],
    'two choices' => [ $m->whole('{"choices":[{"index":0,"message":{"content":"a"}},{"index":1,"message":{"content":"b"}}]}') ],
    'the second choice' => [ $m->whole('{"choices":[{"index":1,"message":{"content":"b"}}]}') ],
    'a number' => [ $m->whole('{"choices":[{"index":0,"message":{"content":1}}]}') ],
    'deep' => [ $m->whole('{"a":' . '[' x 2000 . ']' x 2000 . '}') ],
    'a part of it' => [ $m->whole($plain, status => '206 Partial Content', fields => [ 'Content-Range' => "bytes 0-@{[ length($plain) - 1 ]}/@{[ length($plain) ]}" ]) ],
);

for my $name (sort keys %unsigned) {
    my ($script) = @{ $unsigned{$name} };
    my $status = $name eq 'a part of it' ? 206 : 200;
    my $was = ask($script, path => '/plain/chat/completions')->{body};
    my $r = ask($script, path => '/pass/chat/completions');
    is_deeply [ $r->{status}, $r->{body}, $r->{cut} ], [ $status, $was, undef ], "pass: $name, as it was";

    for my $policy ('errors', 'refuse') {
        $r = ask($script, path => "/$policy/chat/completions");
        is_deeply [ $r->{status}, scalar $r->header('content-type'), $r->json->{status} ], [ 502, 'application/problem+json', 502 ], "$policy: $name is refused"
            or diag $r->{head}, $r->{body};
        unlike $r->{body}, qr/tee_|Hello/, "$policy: $name, with nothing of it";
        is $r->header('content-encoding'), undef, "$policy: $name, in no encoding";
    }
}

for my $status ('400 Bad Request', '404 Not Found', '402 Payment Required', '429 Slow', '500 Error', '503 Away', '302 Found', '304 Not Modified') {
    my $no_body = $status =~ /^304/;
    my $script = $no_body ? $m->says([ send => "HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\n\r\n" ]) : $m->whole($plain, status => $status);

    for my $policy ('pass', 'errors') {
        my $r = ask($script, path => "/$policy/chat/completions");
        is_deeply [ $r->{status}, $r->{body} ], [ 0 + substr($status, 0, 3), $no_body ? '' : $plain ], "$policy: $status, as it was";
    }

    my $r = ask($script, path => '/refuse/chat/completions');
    is $r->{status}, $no_body ? 304 : 502, "refuse: $status";
}

for my $policy ('pass', 'errors', 'refuse') {
    my $r = ask($m->says([ send => "HTTP/1.1 204 No Content\r\n\r\n" ]), path => "/$policy/chat/completions");
    is_deeply [ $r->{status}, $r->{body}, $r->header('content-type') ], [ 204, '' ], "$policy: 204";
    my $head = $t->request(HEAD => "/$policy/chat/completions", [ 'X-Script' => $same ]);
    is $head->{status}, 200, "$policy: HEAD is answered";
    is $head->{body}, '', "$policy: HEAD, without content";
}

# requests that cannot be

my %requests = (
    'not JSON' => 'x', 'nothing' => '', 'a list' => '[]', 'no messages' => '{"model":"m"}', 'no model' => '{"messages":[{"role":"user","content":"x"}]}',
    'cut' => substr(body('m'), 0, -1), 'an unknown role' => body('m', messages => [ { role => 'developer', content => 'x' } ]),
    'an object as a content' => body('m', messages => [ { role => 'user', content => {} } ]), 'not UTF-8' => "{\"model\":\"\xff\"}",
);

for my $name (sort keys %requests) {
    my $r = ask($same, body => $requests{$name}, path => '/pass/chat/completions');
    is_deeply [ $r->{status}, $r->{body} ], [ 200, $plain ], "a request, $name: passed unsigned";
    $m->forget;

    for my $policy ('errors', 'refuse') {
        $r = ask($same, body => $requests{$name}, path => "/$policy/chat/completions");
        cmp_ok $r->{status}, '>=', 400, "a request, $name: $policy";
        is $r->header('content-type'), 'application/problem+json', "a request, $name: $policy, a problem" or diag $r->{head};
        unlike $r->{body}, qr/Hello|tee_/, "a request, $name: $policy, no answer";
    }
}

for my $policy ('pass', 'errors', 'refuse') {
    my @r = (ask($same, path => "/$policy/models"), $t->get("/$policy/chat/completions", [ 'X-Script' => $same ]));

    for my $what ('no endpoint', 'no request') {
        my $r = shift @r;
        $policy eq 'refuse' ? problem($r, 502, 'unsigned', "$policy: $what") : is $r->{body}, $plain, "$policy: $what, passes";
    }
}

# sizes

my $limit = json('x' x (1024 - length json('')));
is length $limit, 1024;
signed('as large as may be', $m->whole($limit), path => '/small/chat/completions');
signed('as large, in pieces', $m->stream([ unpack '(a100)*', $limit ], type => 'application/json'), path => '/small/chat/completions');

for my $form ('told', 'not told') {
    my $large = $limit =~ s/x/xx/r;
    my $script = $form eq 'told' ? $m->whole($large) : $m->stream([ unpack '(a100)*', $large ], type => 'application/json');
    my $r = ask($script, path => '/small-pass/chat/completions');
    is_deeply [ $r->{status}, $r->{body}, $r->{cut} ], [ 200, $large, undef ], "a byte too large, $form: passed unsigned";
    $r = ask($script, path => '/small/chat/completions');
    is_deeply [ $r->{status}, scalar $r->header('content-type') ], [ 502, 'application/problem+json' ], "a byte too large, $form: refused";
}

{
    my $script = $m->says([ send => "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 5000\r\n\r\n{" ], ['wait'], ['close']);
    problem(ask($script, path => '/small/chat/completions'), 502, 'unsigned', 'a length that is too large is enough');
    $m->go($script);
}

# streams that cannot be signed end with a reset, or go on as they are

my @first = @hello[ 0, 1 ];
my %broken = (
    'no JSON' => [ @first, "data: {\n\n", @hello[ 2 .. $#hello ] ],
    'two choices' => [ @first, Tee::Model::event('{"choices":[{"index":0,"delta":{"content":"a"}},{"index":1,"delta":{"content":"b"}}]}'), @hello[ 2 .. $#hello ] ],
    'the second choice' => [ @first, Tee::Model::event('{"choices":[{"index":1,"delta":{"content":"b"}}]}'), @hello[ 2 .. $#hello ] ],
    'a number' => [ @first, Tee::Model::event('{"choices":[{"index":0,"delta":{"content":1}}]}'), @hello[ 2 .. $#hello ] ],
    'not UTF-8' => [ @first, "data: {\"choices\":[{\"delta\":{\"content\":\"\xff\"}}]}\n\n", @hello[ 2 .. $#hello ] ],
    'large' => [ @first, Tee::Model::delta({ content => 'x' x 2_000_000 }), @hello[ 2 .. $#hello ] ],
    'no end' => [@first],
    'two that finish' => [ @first, Tee::Model::delta({ content => 'a' }, 'stop'), Tee::Model::delta({ content => 'b' }, 'stop'), $hello[-1] ],
    'another event' => [ @first, "event: x\n$hello[2]", @hello[ 3 .. $#hello ] ],
    'a byte order mark' => [ "\xef\xbb\xbf$hello[0]", @hello[ 1 .. $#hello ] ],
);

for my $name (sort keys %broken) {
    my $script = $m->stream($broken{$name});
    my $r = ask($script, path => '/pass/chat/completions', stream => 1);
    my $was = ask($script, path => '/plain/chat/completions', stream => 1)->{body};
    ok !$r->{cut}, "stream, pass, $name: comes to its end" or diag $r->{body};
    is fixed($r->{body}), fixed($was), "stream, pass, $name: as it was";
    unlike $r->{body}, qr/tee_/, "stream, pass, $name: unsigned";

    for my $policy ('errors', 'refuse') {
        $r = ask($script, path => "/$policy/chat/completions", stream => 1);
        ok $r->{cut} || !$r->{status}, "stream, $policy, $name: breaks off" or diag $r->{head}, $r->{body};
        unlike $r->{body}, qr/tee_|\[DONE\]/, "stream, $policy, $name: unsigned, and no end" or diag $r->{body};
    }
}

for my $policy ('pass', 'errors') {
    my $r = ask($m->stream([ @first, $error ]), path => "/$policy/chat/completions", stream => 1);
    like $r->{body}, qr/\Q$error\E\z/, "stream, $policy, an error event: passes";
    unlike $r->{body}, qr/tee_/, "stream, $policy, an error event: nothing is signed";
    $r = ask($m->stream([ @first, $error, @hello[ 2 .. $#hello ] ]), path => "/$policy/chat/completions", stream => 1);
    unlike $r->{body}, qr/tee_/, "stream, $policy, an error event and more: nothing is signed";
}

# upstreams that break off: never a signature, never a good end

my $lone = join '', @hello;

for my $cut (0, 5, 30, length($hello[0]), length("@hello[0..3]"), length($lone) - length($hello[-1]) - 3) {
    for my $end (\'cut', \'reset') {
        for my $path ('/v1', '/pass') {
            my $r = ask($m->stream([ substr($lone, 0, $cut), $end ]), stream => 1, path => "$path/chat/completions");
            ok $r->{cut} || $r->{status} >= 500 || !$r->{status}, "$path: a stream that is $$end after $cut bytes has no good end" or diag $r->{body};
            unlike $r->{body}, qr/tee_/, "$path: $$end after $cut bytes, and no signature";
        }
    }
}

like $t->log, qr/\[error\].*tee sign: closing the connection over a stream.*: it has been cut/, 'which is logged';

for my $path ('/v1', '/pass') {
    my $r = ask($m->says([ send => "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 5000\r\n\r\n$plain" ], ['close']), path => "$path/chat/completions");
    ok $r->{cut} || $r->{status} >= 500, "$path: an answer that is cut";
    unlike $r->{body}, qr/tee_/, "$path: is not signed";
}

# -- variables

$t->get('/plain/last');
ok wait_until { $t->read('logs/signed.log') =~ m{/plain/last} };
my @lines = split /\n/, $t->read('logs/signed.log');
my ($line) = grep m{^/chat 200}, @lines;
like $line, qr/^\S+ 200 [0-9a-f]{64} [0-9a-f]{64} 1[0-9]{9}$/, 'hashes and time are variables';
like $lines[-1], qr{^/plain/last \d+ - - -$}, 'which are empty elsewhere';
is scalar(grep m{^\S+ (?:502|500|4\d\d) [0-9a-f]}, @lines), 0, 'and of what is refused or passes unsigned';
is scalar(grep !m{^\S+ \d+ (?:[0-9a-f]{64} (?:[0-9a-f]{64} 1\d{9}|- -)|- - -)$}, @lines), 0, 'all or nothing';

$t->finish;
done_testing;
