#!/usr/bin/perl
# What a client may try, and what it gets: nothing that was not offered, and no
# word of why.

use FindBin;
use lib "$FindBin::Bin/lib";
use Tee::Test;

use IO::Select;
use Tee::Ohttp qw(chunk_writer open_chunked_response open_response public_key request_writer seal_chunked_request seal_request varint);

my $keys = Tee::Sealed::keys();
my $og = Tee::Ohttp::keygen();
my $backend = backend();
my $t = Tee::Nginx->new(
    files => { %{ $keys->{files} }, 'og.key' => Tee::Ohttp::key_pem($og) },
    vars => { backend => $backend->port },
    http => <<'CONF');
    log_format all '$request $request_uri $uri $args $host $http_x_secret $request_body $request_filename $http_host $status';
    access_log %%DIR%%/logs/access.log combined;
    access_log %%DIR%%/logs/all.log all;
    tee_gateway_keys main {
        key 1 x25519.key;
        key 2 p256.key;
        suite hkdf-sha256 aes-128-gcm;
    }
    tee_gateway_keys og { key 7 og.key; suite hkdf-sha256 chacha20-poly1305; }
    server {
        listen 127.0.0.1:%%PORT_http%%;
        server_name inside.example;
        location = /ohttp {
            tee_gateway main;
            tee_gateway_target inside.example;
            tee_gateway_replay off;
            tee_gateway_max_body 1m;
        }
        location = /closed { tee_gateway main; }
        location = /og { tee_gateway og profile=opengradient; }
        location = /dated {
            tee_gateway main;
            tee_gateway_target inside.example;
            tee_gateway_replay zone=dated:1m window=60s;
        }
        location = /required {
            tee_gateway main;
            tee_gateway_target inside.example;
            tee_gateway_replay zone=dated:1m window=60s date=require;
        }
        location = /to-gateway { rewrite ^ /ohttp last; }
        location = /page-gateway { error_page 404 = /ohttp; return 404; }
        location /down { proxy_pass http://127.0.0.1:1; }
        location /internal { internal; return 200 internal; }
        location /vars { return 200 "$host $http_x_y $content_length"; }
        location /tee/status { tee_status; }
        location / { proxy_pass http://127.0.0.1:%%backend%%; proxy_set_header Host $host; }
    }
CONF

my $g = Tee::Sealed->new(port => $t->port, to => $keys->{x25519});
my $get = Tee::Bhttp::request(GET => '/');

# -- before it is opened

for my $aead (2, 3) {
    is $g->post(($g->seal($get, aead => $aead))[0])->{status}, 422, "AEAD $aead, which is not offered";
}

is $g->post(($g->seal($get, to => { %{ $keys->{x25519} }, id => 3 }))[0])->{status}, 422, 'an unknown key';
is $g->post(($g->seal($get, to => { pk => public_key($og), id => 7, aead => 1 }))[0])->{status}, 422, 'a key of another profile';
is $g->with(path => '/og')->post(($g->seal('{}'))[0])->{status}, 400, 'and the other way round';

# whoever sends a point of low order knows the shared secret

my @low = map pack('H*', $_), '00' x 32, '01' . '00' x 31,
    'e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800',
    '5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157',
    'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
    'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
    'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
    'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff';
my %text;

sub answered {
    my ($r) = @_;
    return $text{ $r->{body} . join '', map "$_->[0]: $_->[1]\n", grep $_->[0] !~ /^(?:date|connection)$/i, @{ $r->{headers} } }++;
}

sub refused {
    my ($bytes, $name, %o) = @_;
    my $r = $g->post($bytes, %o);
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    answered($r);
    return is $r->{status}, 400, $name;
}

for my $point (@low) {
    refused(($g->seal($get, to => { %{ $keys->{x25519} }, enc => $point, dh => "\0" x 32 }))[0], 'a point of low order');
}

my $p256 = $keys->{p256};
my ($good) = $g->seal($get, to => $p256);

for my $point ("\0" x 65, "\4" . "\0" x 64, "\4" . "\1" x 64, "\2" . substr($good, 8, 64), "\4" . "\xff" x 64,
    substr($good, 7, 64) . (substr($good, 71, 1) ^ "\1"))
{
    refused(($g->seal($get, to => { %$p256, enc => $point, dh => "\0" x 32 }))[0],
        'no point of P-256: ' . unpack 'H8', $point);
}

for my $chunked (0, 1) {
    my $form = $chunked ? 'chunked' : 'whole';
    my %form = (chunked => $chunked);
    my ($bytes) = $g->seal($get, %form);
    my $n = length $bytes;

    # but for the length of a chunk, which everyone can see
    for my $at (7, 38, 45, $chunked ? () : (39, $n - 17), $n - 16, $n - 1) {
        refused(substr($bytes, 0, $at) . (substr($bytes, $at, 1) ^ "\x80") . substr($bytes, $at + 1), "byte $at changed: $form", %form);
    }

    refused("$bytes\0", "a byte too much: $form", %form);
    refused(($g->seal($get, %form, to => { %{ $keys->{x25519} }, label => 'other request' }))[0], "another label: $form", %form);
    refused(($g->seal($get, %form, to => { %{ $keys->{x25519} }, pk => $low[2] ^ "\7" }))[0], "another key: $form", %form);
    like $g->post(($g->seal($get, chunked => !$chunked))[0], %form)->{status}, qr/^4(?:00|13)$/, "the other form: $form";

    my $c = $t->client;
    my %status;

    for my $at (1 .. $n - 1) {
        my $r = $g->post(substr($bytes, 0, $at), %form, client => $c);
        $status{ $r->{status} }++;
        answered($r);
        $c = $t->client if ($r->header('connection') // '') eq 'close';
    }

    is_deeply \%status, { 400 => $n - 1 }, "cut at every byte: $form";
}

# chunks that are whole, and not what was sent

{
    my ($write) = request_writer($keys->{x25519});
    my @chunks = map $write->(substr $get, 3 * $_, 3), 0 .. 3;
    my $final = $write->(substr($get, 12), 1);
    my %form = (chunked => 1);
    refused(join('', @chunks[0, 2, 1, 3], $final), 'chunks in another order', %form);
    refused(join('', @chunks[0, 1, 3], $final), 'a chunk is missing', %form);
    refused(join('', @chunks[0, 1, 1, 2, 3], $final), 'a chunk twice', %form);
    refused(join('', @chunks), 'the final chunk is missing', %form);
    refused(join('', @chunks, "\0"), 'the final chunk is empty', %form);
    refused(join('', @chunks, $final, $final), 'something follows the final chunk', %form);
    refused(join('', @chunks, varint(length($final) - 1) . substr $final, 1), 'the final chunk as if it were none', %form);
    refused(join('', $chunks[0], "\0" . substr $chunks[1], 1), 'a chunk as if it were the final one', %form);

    my ($short) = seal_chunked_request($keys->{x25519}, $get, '', '');
    refused($short, 'an empty chunk that is not final', %form);

    for my $length (2**14, 2**30, 2**61) {
        my $c = $t->client;
        my $bytes = $chunks[0] . varint($length) . 'x' x 100;
        $c->send("POST /ohttp HTTP/1.1\r\nHost: a\r\nContent-Type: message/ohttp-chunked-req\r\nContent-Length: @{[ length $bytes ]}\r\n\r\n$bytes");
        like $c->response->{status}, qr/^4(?:00|13)$/, "a chunk that says it has @{[ $length ]} bytes";
    }

    my ($bytes, $ctx) = seal_chunked_request($keys->{x25519}, $get . "\0" x (16384 - length $get), '');
    is $g->open($ctx, $g->post($bytes, %form), 1)->{status}, 200, 'a chunk of 16384 bytes is taken';
}

# the time of the answer tells nothing about where it has failed

for my $chunked (0, 1) {
    my $form = $chunked ? 'chunked' : 'whole';
    my %form = (chunked => $chunked);
    my ($good) = $g->seal($get, %form, split => 5);
    my @cases = ([ 'an unknown key', "\x63" . substr($good, 1), 422 ],
        $chunked ? [ 'a changed chunk', substr($good, 0, 42) . (substr($good, 42, 1) ^ "\1") . substr($good, 43), 400 ] : ());

    for my $case (@cases) {
        my ($name, $bytes, $status) = @$case;
        my $c = $t->client;
        my $type = $chunked ? 'message/ohttp-chunked-req' : 'message/ohttp-req';
        $c->send("POST /ohttp HTTP/1.1\r\nHost: a\r\nContent-Type: $type\r\nContent-Length: @{[ length $bytes ]}\r\n\r\n", substr $bytes, 0, -1);
        ok !IO::Select->new($c->{socket})->can_read(0.3), "$name, $form: no answer before the end";
        $c->send(substr $bytes, -1);
        is $c->response->{status}, $status, "$name, $form: but then";
    }
}

is scalar(keys %text), 1, 'there is one text for whatever does not open' or diag explain \%text;
is scalar($backend->requests), 1, 'and nothing of it went anywhere';
$backend->forget;

# -- where it may go

is $g->with(path => '/closed')->request(GET => '/')->{status}, 403, 'without targets all are refused';

for my $authority ('other.example', 'inside.example:80', 'inside.example:8443', 'inside.example.other.example', 'xinside.example',
    'localhost', '127.0.0.1', '[::1]', '127.0.0.1:' . $t->port, 'inside.example..', 'inside.exampl%65', 'inside.example:0',
    'inside.example:443443', 'inside.example:-1', 'inside.example:4 43')
{
    like $g->request(GET => '/', authority => $authority)->{status}, qr/^40[03]$/, "another authority: $authority";
}

for my $authority ('user@inside.example', 'inside.example@other.example', 'user:password@inside.example', 'inside.example/..',
    'inside.example#other.example', "inside.example\0other", "inside.example\r\nx: y", ' inside.example', 'inside.example,other',
    'inside.example\\other', 'https://inside.example', 'inside.example?x')
{
    like $g->request(GET => '/', authority => $authority)->{status}, qr/^40[03]$/,
        'no authority: ' . $authority =~ s/([^ -~])/sprintf '%%%02x', ord $1/ger;
}

for my $authority ('inside.example', 'INSIDE.example', 'inside.example:443') {
    is $g->request(GET => '/', authority => $authority)->{status}, 200, "the authority itself: $authority";
}

for my $scheme ('http', 'HTTPS ', 'ftp', 'file', '', 'https:', 'wss', 'javascript', 'unix') {
    like $g->request(GET => '/', scheme => $scheme)->{status}, qr/^40[03]$/, "another scheme: $scheme";
}

for my $path ('', 'x', 'http://other.example/', 'https://inside.example/', '*', '?', '#', ' /', '/ x', "/\0", "/\r\nX: y", "/\x7f",
    '@other.example/', '%2f', '/%', '/%zz', '/%00', '/../..', '\\', "/x HTTP/1.1\r\nHost: other")
{
    is $g->request(GET => $path)->{status}, 400, 'no path: ' . $path =~ s/([^ -~])/sprintf '%%%02x', ord $1/ger;
}

is scalar(grep $_->{head} !~ /^host: inside\.example(?::443)?\r$/mi, $backend->requests), 0, 'the backend has seen but one host';
$backend->forget;

# a gateway within

my ($inner) = $g->seal($get);

for my $path ('/ohttp', '/%6fhttp', '//ohttp', '/x/../ohttp', '/to-gateway', '/page-gateway', '/dated', '/og') {
    for my $chunked (0, 1) {
        my $r = $g->request(POST => $path, content => $inner, chunked => $chunked, headers => [ [ 'content-type' => 'message/ohttp-req' ] ]);
        is $r->{status}, 403, "a gateway within: $path";
    }
}

is $g->request(GET => '/internal')->{status}, 404, 'an internal location stays so';

# -- what would be read as something else

for my $field ([ "x\r\ny" => 1 ], [ x => "1\r\ny: 2" ], [ x => "1\n" ], [ x => "1\r" ], [ x => "\0" ], [ "x\0" => 1 ], [ '' => 1 ],
    [ ':path' => '/other' ], [ ':authority' => 'other.example' ], [ 'x:' => 1 ], [ 'x y' => 1 ], [ 'x ' => 1 ], [ ' x' => 1 ],
    [ "x\t" => 1 ], [ x => ' 1' ], [ x => '1 ' ], [ x => "\t1" ], [ "\xff" => 1 ], [ "x\x7f" => 1 ])
{
    my $name = join(': ', @$field) =~ s/([^ -~])/sprintf '%%%02x', ord $1/ger;
    is $g->request(GET => '/', headers => [ [ a => 'b' ], $field ])->{status}, 400, "no field: $name";
    is $g->request(GET => '/', indeterminate => 1, headers => [$field])->{status}, 400, "no field, indeterminate: $name"
        if $field->[0] ne '';
    is $g->request(POST => '/', trailers => [ [ a => 'b' ], $field ])->{status}, 400, "no trailer: $name";
}

for my $length ('4', '6', '5, 5', '+5', '-5', '0x5', ' 5', '5 ', '', '05 ', '5.0', '99999999999999999999', 'five') {
    is $g->request(POST => '/', content => '12345', headers => [ [ 'content-length' => $length ] ])->{status}, 400,
        "a length that is not so: '$length'";
}

for my $lengths ([ 5, 6 ], [ 6, 5 ]) {
    is $g->request(POST => '/', content => '12345', headers => [ map [ 'content-length' => $_ ], @$lengths ])->{status}, 400, "two lengths: @$lengths";
}

is $g->request(POST => '/', content => '12345', headers => [ map [ 'content-length' => $_ ], 5, 5 ])->{status}, 200, 'the same twice';
is $g->request(GET => '/', headers => [ [ 'content-length' => 5 ] ])->{status}, 400, 'a length without content';
is $g->request(POST => '/', content => '12345', headers => [ [ 'content-length' => 5 ] ])->{status}, 200, 'one that is so';

for my $value ('chunked', 'gzip, chunked', 'identity', 'x') {
    $backend->forget;
    my $r = $g->request(POST => '/', content => "0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
        headers => [ [ 'transfer-encoding' => $value ] ]);
    ok wait_until { $backend->requests || $r->{status} == 400 };
    is scalar(grep $_->{head} =~ /^transfer-encoding/mi || $_->{path} =~ /smuggled/, $backend->requests), 0,
        "transfer-encoding: $value, is not passed on";
}

for my $method ('', 'get', 'GET ', "GET\r\nX:", 'GET / HTTP/1.1', 'G T', "GET\0", 'CONNECT', 'TRACE') {
    like $g->request($method => '/')->{status}, qr/^(?:40[05]|501)$/,
        'no method: ' . $method =~ s/([^ -~])/sprintf '%%%02x', ord $1/ger;
}

is $g->request(GET => '/vars', headers => [ [ x_y => 'spoofed' ] ])->{body}, 'inside.example  ',
    'names with an underscore are ignored, as they are in a plain request';
is $g->request(GET => '/vars', headers => [ [ 'x-y' => 'y' ] ])->{body}, 'inside.example y ', 'while others are not';

for my $text ("\1" . varint(200) . "\0\0\0", "\3" . varint(200) . "\0\0\0", "\4", "\x40\4", 'HTTP/1.1', '', $get . "\1",
    $get . "\0\0\0\1")
{
    is $g->request(GET => '/', text => $text)->{status}, 400, 'no request: ' . unpack 'H*', $text;
}

# -- more than there is

my $before = rss($t->pid);

for my $length (2**14, 2**30 - 1, 2**32, 2**61, (1 << 62) - 1) {
    my $n = varint($length);
    my $head = substr $get, 0, -3;

    for my $text ("\0$n", "\0\3GET$n", "$head$n", $head . "\2" . $n, "$head\0$n", "$head\0\0$n", "\2" . substr($head, 1) . $n,
        "\2" . substr($head, 1) . "\1x$n", "\2" . substr($head, 1) . "\0$n")
    {
        is $g->request(GET => '/', text => $text)->{status}, 400, 'a length beyond the end: ' . unpack 'H*', $text;
    }
}

sub rss { my ($pid) = @_; return slurp("/proc/$pid/status") =~ /^VmRSS:\s+(\d+)/m ? $1 : 0 }

for my $form (0, 1) {
    for my $case ([ 'many fields' => map [ "x$_" => 1 ], 1 .. 5000 ], [ 'a large name' => [ 'x' x 100_000 => 1 ] ],
        [ 'a large value' => [ x => 'y' x 100_000 ] ], [ 'large fields' => map [ "x$_" => 'y' x 4000 ], 1 .. 100 ])
    {
        my ($name, @fields) = @$case;
        like $g->request(GET => '/', indeterminate => $form, headers => \@fields)->{status}, qr/^4(?:00|31)$/, $name;
        like $g->request(POST => '/', indeterminate => $form, trailers => \@fields)->{status}, qr/^4(?:00|31)$/, "$name, as trailers";
    }
}

is $g->request(POST => '/', indeterminate => 1, chunks => [ ('x') x 100_000 ])->{body} =~ tr/x//, 100_000, 'content in many pieces';
is $g->request(GET => '/vars', headers => [ ([ a => '' ]) x $_->[0] ])->{status}, $_->[1], "$_->[0] fields" for [ 1000, 200 ], [ 1001, 400 ];
is $g->request(GET => '/' . 'x' x 100_000)->{status}, 400, 'a long path';
is $g->request(GET => '/', authority => 'x' x 100_000)->{status}, 400, 'a long authority';
is $g->request('X' x 100_000, '/')->{status}, 400, 'a long method';
is $g->request(GET => '/', pad => 900_000)->{status}, 200, 'much padding';

{
    my $c = $t->client;
    $c->send("POST /ohttp HTTP/1.1\r\nHost: a\r\nContent-Type: message/ohttp-req\r\nContent-Length: 4000000000\r\n\r\n");
    is $c->response->{status}, 413, 'four gigabytes, before they are sent';
}

cmp_ok rss($t->pid) - $before, '<', 8192 * ($ENV{TEE_SANITIZE} ? 20 : 1), 'and it takes no memory';

# -- Binary HTTP that is cut, whole in its seal

for my $indeterminate (0, 1) {
    my $text = Tee::Bhttp::request(POST => '/', indeterminate => $indeterminate, headers => [ [ a => 'b' ] ], content => 'text',
        trailers => [ [ c => 'd' ] ]);
    my $c = $t->client;
    my @wrong;

    for my $n (0 .. length $text) {
        my $want = Tee::Bhttp::parse_request(substr $text, 0, $n) ? 200 : 400;
        my $got = $g->request(POST => '/', text => substr($text, 0, $n), client => $c)->{status};
        push @wrong, "$n: $got" if $got != $want;
    }

    is "@wrong", '', 'cut anywhere but between its sections: ' . ($indeterminate ? 'indeterminate' : 'known');
}

# -- dates

{
    my @day = qw(Sun Mon Tue Wed Thu Fri Sat);
    my @month = qw(Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec);
    my $date = sub {
        my ($s, $m, $h, $d, $mon, $y, $w) = gmtime(time + $_[0]);
        return [ date => sprintf '%s, %02d %s %d %02d:%02d:%02d GMT', $day[$w], $d, $month[$mon], $y + 1900, $h, $m, $s ];
    };
    my $dated = $g->with(path => '/dated');
    my $ask = sub { my ($g, @fields) = @_; return $g->request(GET => '/', headers => \@fields) };
    is $ask->($dated, $date->(0))->{status}, 200, 'the date of today';
    is $ask->($dated, $date->($_))->{status}, 200, "off by $_ seconds" for -50, 50;
    is $ask->($dated)->{status}, 200, 'no date';
    is $ask->($g->with(path => '/required'))->{status}, 400, 'which may be required';
    is $ask->($g, $date->(-4000))->{status}, 200, 'or not be looked at';

    for my $times ([ -70, 0 ], [ 0, -70 ], [ 0, 0 ]) {
        is $ask->($dated, map { $date->($_) } @$times)->{status}, 400, "two dates: @$times";
    }

    for my $field ($date->(-70), $date->(70), $date->(-86400 * 365), [ date => 'yesterday' ], [ date => '' ]) {
        my $r = $ask->($dated, $field);
        is $r->{status}, 400, "another date: $field->[1]";
        is $r->json->{type}, 'https://iana.org/assignments/http-problem-types#date', 'is a problem with the date';
        like scalar $r->header('date'), qr/^\w{3}, \d\d \w{3} \d{4} [\d:]{8} GMT$/, 'and is told ours';
        like $r->header('cache-control') // '', qr/no-store/, 'not for long';
    }
}

# -- nothing tells

{
    my $r = $g->request(POST => '/SECRETPATH?SECRETQUERY', content => 'SECRETCONTENT', headers => [ [ 'x-secret' => 'SECRETVALUE' ] ]);
    is $r->{status}, 200, 'a request with secrets';
    $g->request(GET => '/', authority => 'SECRETHOST.example');
    $g->request(GET => '/', headers => [ [ "SECRETNAME\0" => 1 ] ]);
    $g->request(GET => 'SECRETPATH');
    $g->request('SECRET METHOD' => '/');
    $g->with(path => '/dated')->request(GET => '/', headers => [ [ date => 'SECRETDATE' ] ]);
    unlike $t->log, qr/SECRET/, 'nothing of it is in the error log';
    ok wait_until { $t->read('logs/all.log') =~ m{/dated.*\n\z} && $t->access_log =~ m{/dated.*\n\z} };
    is_deeply [ grep /SECRET/, split /\n/, $t->access_log . $t->read('logs/all.log') ], [], 'nor in any access log';
    like $t->access_log, qr{"POST /ohttp HTTP/1\.1" 200}, 'which have the outer request';
    unlike $t->log, qr/\[(?:warn|error|crit|alert)\]/, 'and none of all this is worth more than a note';

    # nginx ends its messages with the request and with what it asked upstream
    for my $chunked (0, 1) {
        my $r = $g->request(GET => '/down/SECRETPATH?SECRETQUERY', chunked => $chunked,
            headers => [ [ referer => 'http://inside.example/SECRETREFERER' ] ]);
        is $r->{status}, 502, 'a backend that is away';
    }

    is_deeply [ grep /SECRET/, split /\n/, $t->log ], [], 'the log does not tell who was asked for what';
    like $t->log, qr/\[error\].*connect\(\) failed.*request: "POST \/ohttp HTTP/, 'but that it was away';
}

$t->finish;
done_testing;
