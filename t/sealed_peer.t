#!/usr/bin/perl

# The client that the tests of the gateway use: Binary HTTP against the worked
# examples of RFC 9292, both curves, and streams that are read as they come.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Tee::Bhttp;
use Tee::Enclave;
use Tee::Ohttp qw(:all);
use Tee::Sealed;
use Tee::Util qw(scratch);

sub hex_of { unpack 'H*', $_[0] }


# RFC 9292, 5.1 and 5.2

my $known = pack 'H*', '0003474554056874747073000a2f68656c6c6f2e747874406c0a757365722d616765'
    . '6e74346375726c2f372e31362e33206c69626375726c2f372e31362e33204f70656e'
    . '53534c2f302e392e376c207a6c69622f312e322e3304686f73740f7777772e657861'
    . '6d706c652e636f6d0f6163636570742d6c616e677561676506656e2c206d690000';
my $indeterminate = pack 'H*', '0203474554056874747073000a2f68656c6c6f2e7478740a757365722d6167656e74'
    . '346375726c2f372e31362e33206c69626375726c2f372e31362e33204f70656e5353'
    . '4c2f302e392e376c207a6c69622f312e322e3304686f73740f7777772e6578616d70'
    . '6c652e636f6d0f6163636570742d6c616e677561676506656e2c206d690000000000'
    . '0000000000000000';
my $interim = pack 'H*', '0340660772756e6e696e670a22736c65657020313522004067046c696e6b233c2f73'
    . '74796c652e6373733e3b2072656c3d7072656c6f61643b2061733d7374796c65046c'
    . '696e6b243c2f7363726970742e6a733e3b2072656c3d7072656c6f61643b2061733d'
    . '7363726970740040c804646174651d4d6f6e2c203237204a756c2032303039203132'
    . '3a32383a353320474d5406736572766572064170616368650d6c6173742d6d6f6469'
    . '666965641d5765642c203232204a756c20323030392031393a31353a353620474d54'
    . '04657461671422333461613338372d642d3135363865623030220d6163636570742d'
    . '72616e6765730562797465730e636f6e74656e742d6c656e67746802353104766172'
    . '790f4163636570742d456e636f64696e670c636f6e74656e742d747970650a746578'
    . '742f706c61696e003348656c6c6f20576f726c6421204d7920636f6e74656e742069'
    . '6e636c75646573206120747261696c696e672043524c462e0d0a0000';
my $trailer = pack 'H*', '0140c8001d5468697320636f6e74656e7420636f6e7461696e732043524c462e0d0a'
    . '0d07747261696c65720474657874';

my @agent = ([ 'user-agent', 'curl/7.16.3 libcurl/7.16.3 OpenSSL/0.9.7l '
    . 'zlib/1.2.3' ], [ host => 'www.example.com' ],
    [ 'accept-language' => 'en, mi' ]);
my %get = (authority => '', headers => \@agent);

is(hex_of(Tee::Bhttp::request(GET => '/hello.txt', %get)), hex_of($known),
    'RFC 9292: a request of known length');
is(hex_of(Tee::Bhttp::request(GET => '/hello.txt', %get, indeterminate => 1,
    pad => 10)), hex_of($indeterminate), 'and one of indeterminate length');
is(length Tee::Bhttp::request(GET => '/hello.txt', %get, cut => 1),
    length($known) - 2, 'what is empty at the end may be left out');

for my $bytes ($known, substr($known, 0, -2), $indeterminate) {
    my $r = Tee::Bhttp::parse_request($bytes);

    is_deeply([ @{$r}{qw(method scheme authority path headers content
        trailers)} ], [ 'GET', 'https', '', '/hello.txt', \@agent, '', [] ],
        'it is read: ' . length($bytes) . ' bytes');
}

my $r = Tee::Bhttp::parse_response($interim);

is_deeply([ map { $_->{status} } @{ $r->{informational} } ], [ 102, 103 ],
    'RFC 9292: informational responses');
is_deeply($r->{informational}[1]{headers}[1],
    [ link => '</script.js>; rel=preload; as=script' ], 'with their fields');
is($r->{status}, 200, 'the final one');
is(scalar @{ $r->{headers} }, 8, 'with its own');
like($r->{content}, qr/\AHello World!.*CRLF\.\r\n\z/s, 'and its content');

$r = Tee::Bhttp::parse_response($trailer);
is_deeply($r->{trailers}, [ [ trailer => 'text' ] ], 'RFC 9292: a trailer');
is(hex_of(Tee::Bhttp::response(200, [], $r->{content},
    trailers => $r->{trailers})), hex_of($trailer), 'which is written as well');

# every cut, every change of the framing

for ([ interim => $interim, 111, 314, 367 ], [ trailer => $trailer, 3, 4, 34 ]) {
    my ($name, $whole, @between) = @$_;

    is_deeply([ grep { Tee::Bhttp::parse_response(substr $whole, 0, $_) }
        0 .. length($whole) - 1 ], \@between,
        "a cut is found, but between sections: $name");
}

for my $bad ('04', '00', '0140c70a', '0140c8010100', '0140c80301610200',
    '0140c8040241610130', '0140c80401610120', '0140c8040161010d',
    '0140c800000001', '0140640000')
{
    is(Tee::Bhttp::parse_response(pack 'H*', $bad), undef, "no response: $bad");
}

# as it comes

for my $bytes ($interim, $trailer, Tee::Bhttp::response(204, [], ''),
    Tee::Bhttp::response(200, [], 'x' x 20_000, indeterminate => 1))
{
    my $want = Tee::Bhttp::parse_response($bytes);

    for my $n (1, 2, 7, 1000, 100_000) {
        my $b = Tee::Bhttp::Reader->new;
        my $got = join '', map { $b->add($_) } unpack "(a$n)*", $bytes;
        my $trailers = $b->end;

        is_deeply([ $b->{status}, $got, $trailers, $b->{headers} ],
            [ @{$want}{qw(status content trailers headers)} ],
            "status $want->{status} in pieces of $n");
    }
}

my $b = Tee::Bhttp::Reader->new;

$b->add(substr Tee::Bhttp::response(200, [], 'text', indeterminate => 1), 0, 8);
is($b->end, undef, 'the end is no end in the midst of it');


# both curves

for my $kem (0x20, 0x10) {
    my $sk = keygen($kem);
    my ($to) = parse_keys(pack 'n/a', key_config(public_key($sk), 4, 1, 2, 3));

    is_deeply([ @{$to}{qw(id kem)}, "@{ $to->{aeads} }", $to->{pk} ],
        [ 4, $kem, '1 2 3', public_key($sk) ], "KEM $kem: the key list");

    for my $aead (1 .. 3) {
        my ($bytes, $c) = seal_request({ %$to, aead => $aead }, 'question');
        my ($text, $g) = open_request({ 4 => $sk }, $bytes);

        is($text, 'question', "KEM $kem, AEAD $aead: a request");
        is(open_response($c, seal_response($g, 'answer')), 'answer',
            "KEM $kem, AEAD $aead: a response");
    }
}

# RFC 9180, A.3.1: DHKEM(P-256), HKDF-SHA256, AES-128-GCM, base mode

my $eph = private_key(pack('H*', '4995788ef4b9d6132b249ce59a77281493eb39af373d'
    . '236a1fe415cb0c2d7beb'), 0x10);

is(hex_of(public_key($eph)), '04a92719c6195d5085104f469a8b9814d5838ff72b60501e'
    . '2c4466e5e67b325ac98536d7b61a1af4b78e5b7f951c0900be863c403ce65c9bfcb93826'
    . '57222d18c4', 'RFC 9180: a key of P-256');

# chunks, as they come

{
    my $sk = keygen();
    my ($bytes, $c) = seal_chunked_request({ pk => public_key($sk) }, 'a');
    my (undef, $g) = open_chunked_request({ 1 => $sk }, $bytes);
    my $write = chunk_writer($g);
    my $all = join '', $write->('one'), $write->('x' x 16384), $write->('', 1);

    for my $n (1, 5, 1000, 100_000) {
        my $read = chunk_reader($c);
        my @got = map { $read->($_) } unpack("(a$n)*", $all), undef;

        is_deeply([ map { length $_->[0] } @got ], [ 3, 16384, 0 ],
            "chunks in pieces of $n");
        is_deeply([ map { $_->[1] ? 1 : 0 } @got ], [ 0, 0, 1 ],
            'and the last is the last');
    }

    my $read = chunk_reader($c);
    my @got = ($read->(substr $all, 0, -20), $read->());

    is($got[-1][0], undef, 'a stream that is cut does not end well');
}


# the whole client

my $e = Tee::Enclave->start(%{ Tee::Enclave::make_keys(scratch()) },
    profile => 'rfc9458', key_id => 3);
my $g = Tee::Sealed->new(port => $e->{port}, path => '/v1/ohttp', tls => 1,
    to => { pk => pack('H*', $e->{entry}{ohttp}{public_key}), id => 3 });

for my $chunked (0, 1) {
    for my $indeterminate (0, 1) {
        my $r = $g->request(POST => '/x', content => 'text', aead => 2,
            chunked => $chunked, indeterminate => $indeterminate);

        is($r->{error}, undef, "opens: $chunked, $indeterminate");
        is($r->{body}, 'POST /x text', 'is what was asked for');
        is($r->header('content-type'), 'text/plain', 'with its type');
    }
}

my $s = $g->stream(POST => '/x', content => 'y' x 10_000);

is($s->rest, 'POST /x ' . 'y' x 10_000, 'a stream');
ok($s->{complete}, 'comes to its end');
is($s->{status}, 200, 'and has a status');

$r = $g->request(GET => '/', tamper => sub { $_[0] ^ "\0" x 50 . "\1" });
is($r->{error}, 'the gateway answered 400', 'what does not open');

$e->stop;
done_testing();
