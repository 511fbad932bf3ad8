#!/usr/bin/perl

# The peers that other tests rely on: Oblivious HTTP against the worked examples
# of its specifications, JSON and signatures, and the stand-in enclave.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Crypt::PK::RSA;
use MIME::Base64 qw(encode_base64);

use Tee::Bhttp;
use Tee::Client;
use Tee::Enclave;
use Tee::Http;
use Tee::Json qw(dump_json num parse);
use Tee::Ohttp qw(:all);
use Tee::Signed;
use Tee::Util qw(scratch slurp spew);

sub hex_of { unpack 'H*', $_[0] }
sub bytes { pack 'H*', join '', @_ }


# RFC 9458, appendix A

my $sk = private_key(bytes(
    '3c168975674b2fa8e465970b79c8dcf09f1c741626480bd4c6162fc5b6a98e1a'));
my $eph = private_key(bytes(
    'bc51d5e930bda26589890ac7032f70ad12e4ecb37abb1b65b1256c9c48999c73'));
my $bhttp = bytes('00034745540568747470730b6578616d706c652e636f6d012f');

is(hex_of(key_config(public_key($sk), 1, 1, 3)), '01002031e1f05a7401021152'
    . '20e9af918f738674aec95f54db6e04eb705aae8e79815500080001000100010003',
    'RFC 9458: the key configuration');

my ($sealed, $client) = seal_request(
    { pk => public_key($sk), id => 1, aead => 1, eph => $eph }, $bhttp);

is(hex_of($sealed), '010020000100014b28f881333e7c164ffc499ad9796f877f4e1051'
    . 'ee6d31bad19dec96c208b4726374e469135906992e1268c594d2a10c695d858c40a026'
    . 'e7965e7d86b83dd440b2c0185204b4d63525', 'RFC 9458: the request');

my ($opened, $gateway) = open_request({ 1 => $sk }, $sealed);

is($opened, $bhttp, 'RFC 9458: the gateway opens it');

my $response = seal_response($gateway, bytes('0140c8'),
    bytes('c789e7151fcba46158ca84b04464910d'));

is(hex_of($response), 'c789e7151fcba46158ca84b04464910d86f9013e404feea014e7be'
    . '4a441f234f857fbd', 'RFC 9458: the response');
is(hex_of(open_response($client, $response)), '0140c8',
    'RFC 9458: the client opens it');


# draft-ietf-ohai-chunked-ohttp, appendix A

$sk = private_key(bytes(
    '1c190d72acdbe4dbc69e680503bb781a932c70a12c8f3754434c67d8640d8698'));
$eph = private_key(bytes(
    'b26d565f3f875ed480d1abced3d665159650c99174fd0b124ac4bda0c64ae324'));

($sealed, $client) = seal_chunked_request(
    { pk => public_key($sk), id => 1, aead => 1, eph => $eph },
    substr($bhttp, 0, 12), substr($bhttp, 12), '');

is(hex_of($sealed), '010020000100018811eb457e100811c40a0aa71340a1b81d804bb986'
    . 'f736f2f566a7199761a0321c2ad24942d4d692563012f2980c8fef437a336b9b2fc938'
    . 'ef77a5834f1d2e33d8fd25577afe31bd1c79d094f76b6250ae6549b473ecd950501311'
    . '001c6c1395d0ef7c1022297966307b8a7f', 'the draft: the chunked request');

($opened, $gateway) = open_chunked_request({ 1 => $sk }, $sealed);

is(join('', @$opened), $bhttp, 'the draft: the gateway opens it');

my $write = chunk_writer($gateway, bytes('bcce7f4cb921309ba5d62edf1769ef09'));
my $chunks = join '', $write->(bytes('01')), $write->(bytes('40c8')),
    $write->('', 1);

is(hex_of($chunks), 'bcce7f4cb921309ba5d62edf1769ef091179bf1cc87fa0e2c02de454'
    . '6945aa3d1e4812b348b5bd4c594c16b6170b07b475845d1f3200ed9d8a796617a5b2726'
    . '5f4d73247f639', 'the draft: the chunked response');
is_deeply([ map { hex_of($_) } @{ open_chunked_response($client, $chunks) } ],
    [ '01', '40c8', '' ], 'the draft: the client opens it');


# round trips, and what must not open

my %keys = (1 => keygen(), 9 => keygen());

for my $aead (1 .. 3) {
    my $to = { pk => public_key($keys{9}), id => 9, aead => $aead };
    my $ok = 0;

    for my $n (0, 1, 63, 64, 16383, 16384, 100_000) {
        my $text = 'a' x $n;
        my ($bytes, $c) = seal_request($to, $text);
        my ($got, $g) = open_request(\%keys, $bytes);
        my $back = open_response($c, seal_response($g, $text));

        $write = chunk_writer($g);

        my $list = open_chunked_response($c,
            join '', $write->($text), $write->('end', 1));

        $ok++ if $got eq $text && $back eq $text
            && "@$list" eq "$text end";
    }

    is($ok, 7, "AEAD $aead: texts of all lengths come back");
}

my $to = { pk => public_key($keys{1}) };

($sealed, $client) = seal_request($to, 'text');
($opened, $gateway) = open_request(\%keys, $sealed);

is(scalar(my @n = open_request({ 2 => $keys{1} }, $sealed)), 0,
    'an unknown key id does not open');
is(scalar(@n = open_request({ 1 => $keys{9} }, $sealed)), 0,
    'another key does not open it');

my $bad = 0;

for my $i (0 .. length($sealed) - 1) {
    my $copy = $sealed;

    substr($copy, $i, 1) ^= "\1";
    $bad++ if open_request(\%keys, $copy) || open_request(\%keys,
        substr $sealed, 0, $i);
}

is($bad, 0, 'a request with any bit changed, or cut anywhere, does not open');

my $zero = $sealed;

substr($zero, 7, 32) = "\0" x 32;
is(scalar(@n = open_request(\%keys, $zero)), 0,
    'an all-zero encapsulated key does not open');

$write = chunk_writer($gateway);
$chunks = join '', $write->('one'), $write->('two'), $write->('end', 1);
$bad = grep { open_chunked_response($client, substr $chunks, 0, $_) }
    0 .. length($chunks) - 1;

is($bad, 0, 'a chunked response that is cut anywhere does not open');


# JSON and signatures

for (
    [ '{"b":1,"a":[1.0,1e5,1E400,-0,-0.0,1e-5,123456789012345678901]}',
      '{"a": [1.0, 100000.0, Infinity, 0, -0.0, 1e-05, 123456789012345678901],'
      . ' "b": 1}', 'numbers' ],
    [ '[9007199254740993.0,5e-324,2.2250738585072014e-308,4.35,1e16,0.1]',
      '[9007199254740992.0, 5e-324, 2.2250738585072014e-308, 4.35, 1e+16, 0.1]',
      'the shortest digits' ],
    [ "[\"\x{c3}\x{bc}\\u20ac\\ud83d\\ude00\\/\x7f\\n\"]",
      '["\u00fc\u20ac\ud83d\ude00/\u007f\n"]', 'texts' ],
    [ "{\"\\uffff\":1,\"\\ud800\\udc00\":2,\"a\":{},\"b\":[]}",
      '{"a": {}, "b": [], "\uffff": 1, "\ud800\udc00": 2}',
      'names in the order of code points' ],
) {
    is(dump_json(parse($_->[0])), $_->[1], "canonical JSON: $_->[2]");
}

my @wrong = grep { eval { parse($_); 1 } } '', '[1,]', '{"a"}', '01', '1.',
    '+1', "\"\n\"", "\"\xff\"", "\"\xed\xa0\x80\"", '1 2', '[' x 100_000;

is("@wrong", '', 'what is not JSON is refused');

is(hex_of(Tee::Signed::ohttp_config_hash(join('', map { sprintf '%02x', $_ } 0 .. 31),
    1, 3, "\2" x 32, bytes('010020' . '02' x 32 . '000400010003'))),
    'f2a783a780198b72145ce4f4824c3de4993975e17ee8df1e59f3b5dd78a0f1d9',
    'the hash of an OHTTP key is the published one');

my $dir = scratch();
my $files = Tee::Enclave::make_keys($dir);
my $key = Crypt::PK::RSA->new($files->{signing_key});
my $chat = parse('{"model":"m","messages":[{"role":"user","content":"Hi"}]}');
my $request = Tee::Signed::canonical_chat($chat);

is(dump_json($request), '{"messages": [{"content": "Hi", "role": "user"}], '
    . '"model": "m", "temperature": 0.0}', 'the canonical request');

my %signed = Tee::Signed::sign($key, $request, 'Hello', 1700000000);

is(Tee::Signed::verify($key, $request, 'Hello', \%signed), undef,
    'a signature verifies');
like(Tee::Signed::verify($key, $request, 'Hallo', \%signed), qr/another output/,
    'not over another output');
like(Tee::Signed::verify($key, { %$request, model => 'x' }, 'Hello', \%signed),
    qr/another request/, 'not for another request');
like(Tee::Signed::verify($key, $request, 'Hello',
    { %signed, tee_timestamp => num(1700000001) }), qr/signature is wrong/,
    'not with another time');


# the enclave, without a relay: HTTP::Tiny checks the certificate as it would
# that of an authority

my $log = "$dir/requests";
my $e = Tee::Enclave->start(%$files, key_id => 7, log => $log);

spew("$dir/tees.json", JSON::PP::encode_json({ tees => [ $e->registry_entry ] }));

my ($tee) = Tee::Client::of_file("$dir/tees.json");
my $url = "https://localhost:$e->{port}/v1/ohttp";
my $http = { verify_SSL => 1, SSL_options => { SSL_ca_file => $files->{cert} } };

sub ask {
    my ($json) = @_;

    return Tee::Client::ask($tee, $url, parse($json), http => $http);
}

sub chat_json {
    my ($text, $more) = @_;

    return qq({"model":"m","messages":[{"role":"user","content":"$text"}])
        . ($more // '') . '}';
}

is($tee->{tee_id}, $e->{tee_id}, 'its id is that of its signing key');

my $r = ask(chat_json('hello'));

is($r->{error}, undef, 'an answer opens and verifies');
is($r->{text}, 'You said: hello', 'the answer');
like($r->{headers}{'x-inference-cost-opg'}, qr/\A[0-9]+\z/, 'its cost');

$r = ask(chat_json('\\ud83d\\ude00 \\u20ac', ',"temperature":1,"max_tokens":5'));
is($r->{error}, undef, 'text beyond ASCII verifies');
is($r->{text}, "You said: \x{1f600} \x{20ac}", 'and comes back');

my $tools = ',"tools":[{"type":"function","function":{"name":"find"}}]';

$r = ask(chat_json('x', $tools));
is($r->{error}, undef, 'a tool call verifies');
is($r->{answer}{choices}[0]{message}{tool_calls}[0]{function}{name}, 'find',
    'the tool that is called');

is(ask(chat_json('x', ',"endpoint":"none"'))->{error},
    'the enclave answered 400', 'an unknown endpoint fails inside of the seal');
is(ask('{"model":"error-503","messages":[{"role":"user","content":""}]}')
    ->{status}, 503, 'other failures keep their status');

my $direct = Tee::Http->new(port => $e->{port}, tls => 1);

$direct->send_request(POST => '/v1/ohttp', [], 'x' x 60);
is($direct->response->{body}, '{"error": "malformed encapsulated request"}',
    'what does not open has one answer');
$direct->send_request(GET => '/v1/ohttp/config');
is($direct->response->json->{tee_id}, $e->{tee_id},
    'the next request of a connection');

# a stream has a frame that the relay takes out, here it is in the way

$r = ask(chat_json('one two three', ',"stream":true'));
is($r->{error}, 'the stream does not open, or is cut',
    'a stream with the frame for the relay does not open');

my $frames = $r->{sealed} =~ s/\n--opengradient-ohttp-billing-v1--\n(....)(\{.*?\})//s;

ok($frames && unpack('N', $1) == length $2, 'the frame');
like($2, qr/\A\{"cost_opg": "[0-9]+", "cost_usd": "[0-9.]+", /, 'says the cost');

$e->stop;
is((JSON::PP::decode_json((split /\n/, slurp($log))[0]))->{path}, '/v1/ohttp',
    'the log has the requests');

$e = Tee::Enclave->start(%$files, billing => 0);
spew("$dir/tees.json", JSON::PP::encode_json({ tees => [ $e->registry_entry ] }));
($tee) = Tee::Client::of_file("$dir/tees.json");
$url = "https://localhost:$e->{port}/v1/ohttp";

$r = ask(chat_json('one two three', ',"stream":true'));
is($r->{error}, undef, 'a stream verifies');
is($r->{text}, 'You said: one two three', 'its text');
is(scalar @{ $r->{events} }, 6, 'one event for each word, and the signed one');
is(ask(chat_json('x', $tools . ',"stream":true'))->{error}, undef,
    'a streamed tool call verifies');
is(ask('{"model":"error-stream","messages":[{"role":"user","content":"a"}],'
    . '"stream":true}')->{error}, 'the enclave failed: asked to fail',
    'a stream that fails says so');

is($e->stop, 0, 'it ends with its standard input');


# Binary HTTP, RFC 9292, 5.1: the example of a request of known length

my $example = bytes('00034745540568747470730b6578616d706c652e636f6d012f');
my $get = Tee::Bhttp::parse_request($example);

is("$get->{method} $get->{scheme} $get->{authority} $get->{path}",
    'GET https example.com /', 'a binary request');
is(scalar(grep { Tee::Bhttp::parse_request(substr $example, 0, $_) }
    0 .. length($example) - 1), 0, 'not one that is cut in its control data');
is(hex_of(Tee::Bhttp::response(200, [], '')), '0140c8000000',
    'a binary response');

$e = Tee::Enclave->start(%$files, profile => 'rfc9458', key_id => 3);
$direct = Tee::Http->new(port => $e->{port}, tls => 1);
$to = { pk => pack('H*', $e->{entry}{ohttp}{public_key}), id => 3, aead => 1 };
($sealed, $client) = seal_request($to, $example . "\0" x 9);
$direct->send_request(POST => '/v1/ohttp',
    [ 'Content-Type' => 'message/ohttp-req' ], $sealed);

like(open_response($client, $direct->response->{body}),
    qr/\A\x01\x40\xc8.*GET \/ \0\z/s, 'the gateway of RFC 9458 echoes');

done_testing();
