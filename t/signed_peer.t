#!/usr/bin/perl
# Holds the signer and verifier of t/lib to the published vectors, so that it
# may judge the module.

use FindBin;
use lib "$FindBin::Bin/lib";
use Tee::Test;

use Crypt::Digest::Keccak256 qw(keccak256_hex);
use Crypt::PK::RSA;
use JSON::PP;
use Tee::Json qw(dump_json parse);
use Tee::Signed;

sub vectors { return decode_json(slurp(root() . "/t/vectors/$_[0].json")) }

my %key = map { my $k = vectors('keys')->{rsa_keys}{$_}; ($_ => Crypt::PK::RSA->new(\$k->{private_pkcs8_pem})) } 'tee_a', 'tee_b';
my $v = vectors('canonical_json');

# str() of what is neither text nor list is left to Python

my %python = map { $_ => 1 } qw(user_parts_nested_list user_content_object
    user_content_number user_content_missing);

for my $endpoint ('chat', 'completions', 'web_search') {
    my (@wrong, $n);

    for my $case (@{ $v->{$endpoint} }) {
        my $want = ($case->{gateway} // $case)->{canonical} // next;
        next if $python{ $case->{name} };
        my $is = eval { dump_json(Tee::Signed::canonical($endpoint, parse(pack 'H*', $case->{input_hex} // $case->{ohttp_inner_hex}))) } // $@;
        push @wrong, "$case->{name}: $is" if $is ne $want;
        $n++;
    }

    is "@wrong", '', "$endpoint: $n requests";
}

sub verdict {
    my ($case, $text, $body) = @_;
    my $key = $key{ $case->{verifies_under} // 'tee_a' };
    return Tee::Signed::verify($key, parse($case->{canonical_request}), $text, $body);
}

for my $case (@{ vectors('response_bodies')->{cases} }) {
    my $body = parse(pack 'H*', $case->{response_hex});
    $body = $body->{body} if ref $body->{body} eq 'HASH';
    my $why = verdict($case, Tee::Signed::answer_output($case->{endpoint}, $body), $body);

    # the module takes hashes with 0x, as the SDK does
    next if $case->{name} =~ /0x/;
    $case->{expect} eq 'ok' ? is $why, undef, $case->{name} : ok defined $why, "$case->{name}: " . ($why // 'taken');
}

for my $case (@{ vectors('sse_transcripts')->{cases} }) {
    my $r = Tee::Signed::read_stream(pack 'H*', $case->{transcript_hex});
    my $why = $r->{wrong} // (defined $r->{error} ? 'an error' : undef) // (!$r->{last} ? 'no signature' : verdict($case, $r->{text}, $r->{last}));
    $case->{expect} eq 'ok' ? is $why, undef, "stream, $case->{name}" : ok defined $why, "stream, $case->{name}: " . ($why // 'taken');
}

# what it signs, it believes, and nothing else

{
    my $request = '{"model":"m","messages":[{"role":"user","content":"x"}]}';
    my $text = Tee::Signed::attach($key{tee_a}, 'chat', $request, parse('{"choices":[{"message":{"content":"y"}}]}'));
    is Tee::Signed::check($key{tee_a}, 'chat', $request, $text), undef, 'an answer of its own';
    isnt Tee::Signed::check($key{tee_b}, 'chat', $request, $text), undef, 'by another key';
    isnt Tee::Signed::check($key{tee_a}, 'chat', $request =~ s/"x"/"z"/r, $text), undef, 'to another request';
    isnt Tee::Signed::check($key{tee_a}, 'chat', $request, $text =~ s/"y"/"z"/r), undef, 'another answer';
    isnt Tee::Signed::check($key{tee_a}, 'chat', $request, $text, now => time + 100), undef, 'too old';
    isnt Tee::Signed::check($key{tee_a}, 'chat', $request, $text =~ s/": "/":"/gr), undef, 'another spelling';
    isnt Tee::Signed::check($key{tee_a}, 'chat', $request, $text =~ s/\{"choices/{"tee_id":1,"choices/r), undef, 'a member twice';
    my $stream = "data: $text\n\ndata: [DONE]\n\n" =~ s/"message"/"delta"/r;
    is Tee::Signed::check($key{tee_a}, 'chat', $request, $stream, stream => 1), undef, 'a stream';
    isnt Tee::Signed::check($key{tee_a}, 'chat', $request, substr($stream, 0, -1), stream => 1), undef, 'a stream that is cut';
    isnt Tee::Signed::check($key{tee_a}, 'chat', $request, $stream =~ s/data: \[DONE\]/data: {"choices":[{"delta":{"content":"z"}}]}/r, stream => 1), undef, 'more behind it';
}

done_testing;
