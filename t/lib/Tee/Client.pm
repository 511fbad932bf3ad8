package Tee::Client;

# The sending side: finds an enclave in a registry, seals a chat request to it,
# sends that to a relay, opens the answer and checks the signature.  Of the
# relay it knows nothing but the address.
#
#   my @tees = Tee::Client::of_file('tees.json');
#   my @tees = Tee::Client::of_contract($rpc, $address);
#   my $r = Tee::Client::ask($tees[0], $relay, { model => ..., messages => ... });
#
#   $r->{status}, $r->{headers}       of the relay's answer
#   $r->{error}                       why there is no answer to believe, or undef
#   $r->{text}, $r->{answer}          what was signed, and the object around it
#   $r->{events}                      of a stream

use strict;
use warnings;

use Crypt::PK::RSA;
use HTTP::Tiny;
use JSON::PP ();
use MIME::Base64 qw(decode_base64);

use Tee::Json qw(dump_json num parse);
use Tee::Ohttp;
use Tee::Signed;
use Tee::Util qw(slurp);


# -- registries

sub of_file {
    my ($file) = @_;

    return map {
        my $o = $_->{ohttp} // {};

        _tee($_->{endpoint}, decode_base64($_->{signing_key}),
            $o->{key_id}, $o->{aead_id}, pack 'H*', $o->{public_key} // '');
    } @{ JSON::PP::decode_json(slurp($file))->{tees} };
}

sub _tee {
    my ($endpoint, $spki, $key_id, $aead, $pk) = @_;

    my $key = Crypt::PK::RSA->new(\$spki);

    return { endpoint => $endpoint, key => $key,
        tee_id => Tee::Signed::tee_id($key),
        ohttp => { id => $key_id, aead => $aead, pk => $pk } };
}

# getActiveTEEs(uint8): an array of tuples, the eleventh field of each being
# the OHTTP configuration

sub of_contract {
    my ($rpc, $address, $type) = @_;

    my $call = { jsonrpc => '2.0', id => 1, method => 'eth_call', params => [
        { to => $address, data => '0x4b6014da' . sprintf '%064x', $type // 0 },
        'latest' ] };
    my $r = HTTP::Tiny->new(timeout => 10)->post($rpc, {
        headers => { 'Content-Type' => 'application/json' },
        content => JSON::PP::encode_json($call) });

    die "$rpc: $r->{status} $r->{reason}\n" if !$r->{success};

    my $answer = JSON::PP::decode_json($r->{content});
    my $abi = pack 'H*', substr $answer->{result} // die("$rpc: no result\n"), 2;

    my $word = sub { unpack 'x28 N', substr $abi, $_[0], 32 };
    my $bytes = sub { substr $abi, $_[0] + 32, $word->($_[0]) };
    my $base = $word->(0) + 32;
    my @tees;

    for my $i (0 .. $word->($base - 32) - 1) {
        my $t = $base + $word->($base + 32 * $i);

        next if $word->($t + 2 * 32) < 0x160;

        my $o = $t + $word->($t + 10 * 32);

        push @tees, _tee($bytes->($t + $word->($t + 2 * 32)),
            $bytes->($t + $word->($t + 3 * 32)),
            $word->($o), $word->($o + 3 * 32),
            $bytes->($o + $word->($o + 4 * 32)));
    }

    return @tees;
}


# -- a request

sub ask {
    my ($tee, $relay, $body, %o) = @_;

    my $stream = Tee::Signed::_truthy($body->{stream});
    my ($sealed, $ctx) = Tee::Ohttp::seal_request($tee->{ohttp},
        dump_json($body));

    my $r = HTTP::Tiny->new(timeout => 60, %{ $o{http} // {} })->post($relay, {
        content => $sealed,
        headers => {
            'Content-Type' => 'message/ohttp-req',
            'Accept' => $stream ? 'message/ohttp-chunked-res'
                                : 'message/ohttp-res',
            'X-TEE-ID' => $tee->{tee_id},
            $stream ? ('X-OHTTP-Stream' => 'true') : (),
            %{ $o{headers} // {} },
        } });

    my $result = { status => $r->{status}, headers => $r->{headers},
        sealed => $r->{content} };
    my $opened = $stream ? _open_stream($ctx, $result)
                         : _open_single($ctx, $result);

    $result->{error} = $r->{success}
        ? $opened // _verify($tee, $body, $result)
        : "the relay answered $r->{status}: " . substr $r->{content}, 0, 300;

    return $result;
}

# Each answers undef, or what is wrong.

sub _open_single {
    my ($ctx, $result) = @_;

    my $text = Tee::Ohttp::open_response($ctx, $result->{sealed})
        // return 'the answer does not open';
    my $answer = eval { parse($text) };

    return 'the answer is not JSON' if ref $answer ne 'HASH';

    # a failure inside has an envelope
    return "the enclave answered $answer->{status}{text}"
        if ref $answer->{body} eq 'HASH' && $answer->{status};

    $result->{answer} = $answer;
    $result->{text} = Tee::Signed::chat_output($answer);
    return undef;
}

sub _open_stream {
    my ($ctx, $result) = @_;

    my $chunks = Tee::Ohttp::open_chunked_response($ctx, $result->{sealed})
        // return 'the stream does not open, or is cut';
    my $r = Tee::Signed::read_stream(join '', @$chunks);

    return $r->{wrong} if $r->{wrong};
    return "the enclave failed: $r->{error}" if defined $r->{error};

    my $last = $r->{events}[-1] // return 'the stream is empty';

    $result->{events} = $r->{events};
    $result->{answer} = $r->{last} // $last;
    $result->{text} = $r->{text};
    return undef;
}

sub _verify {
    my ($tee, $body, $result) = @_;

    return Tee::Signed::verify($tee->{key}, Tee::Signed::canonical_chat($body),
        $result->{text}, $result->{answer});
}


1;
