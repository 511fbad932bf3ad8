#!/usr/bin/perl
# What tee_sign has signed, OpenGradient's SDK believes, and nothing else; what
# somebody has signed with Python's cryptography, tee_verify believes, and
# nothing else.

use FindBin;
use lib "$FindBin::Bin/../lib";
use Tee::Test;

use JSON::PP;
use MIME::Base64 qw(decode_base64 encode_base64);
use Tee::Model;
use Tee::Sdk;
use Tee::Signed;

my ($file) = Tee::Cert::signing_key('sign-a');
my $key = Crypt::PK::RSA->new($file);
my $other = Crypt::PK::RSA->new((Tee::Cert::signing_key('sign-b'))[0]);
my $m = Tee::Model->new;
my $t = Tee::Nginx->new(
    files => { 'a.key' => slurp($file), 'a.pem' => $key->export_key_pem('public_x509') },
    vars => { model => $m->port },
    http => <<'CONF');
    tee_sign_key a a.key;
    proxy_http_version 1.1;
    server {
        listen 127.0.0.1:%%PORT_http%%;
        location /sign/ { tee_sign a; proxy_pass http://127.0.0.1:%%model%%/; }
        location /verify/ { tee_verify key=a.pem; proxy_pass http://127.0.0.1:%%model%%/; }
        location /live/ { tee_verify key=a.pem; tee_verify_mode stream; proxy_pass http://127.0.0.1:%%model%%/; }
    }
CONF

my $chat = 'chat/completions';
my $unicode = "\x{20ac}\x{1f600}\x{2028}\x{2029}\x{85}\x7f \"q\" \\ / \x{fc}\x{ffff}\x{10000}";
my @calls = map { { id => "call_$_", type => 'function', function => { name => "f$_", arguments => "{\"c\": \"Z\x{fc}rich $_\"}" } } } 0 .. 11;
my %says = (text => ['Hello!'], empty => [''], unicode => [$unicode], long => [ 'word ' x 1000 ], calls => [ undef, calls => \@calls ], 'text and calls' => [ 'x', calls => \@calls ]);

my $ascii = JSON::PP->new->ascii->canonical;

sub request { return $ascii->encode({ model => 'm', messages => [ { role => 'system', content => 'x' }, { role => 'user', content => $_[0] } ], temperature => 1, @_[ 1 .. $#_ ] }) }

my @requests = (
    request('Hello!'), request($unicode), request([ { type => 'text', text => $unicode }, { type => 'image_url', image_url => { url => 'data:,x' }, filename => 'a.png' } ]),
    request('x', max_tokens => 5, stop => [ "\n", 'x' ], tools => [ { type => 'function', function => { name => 'f', parameters => { b => 1.5, a => [ undef, JSON::PP::true ] } } } ], web_search => JSON::PP::true),
);

# -- ours, for the SDK

my (@good, @bad);
my $n = 0;

for my $name (sort keys %says) {
    for my $request (@requests[ 0, $n++ % @requests ]) {
        my $whole = $m->whole(Tee::Model::encode(Tee::Model::answer(@{ $says{$name} })));
        my ($text, @o) = @{ $says{$name} };
        my $stream = $m->stream([ Tee::Model::events([ defined $text ? $text =~ /.{1,7}/sg : () ], @o, split => 4) ]);

        for my $case ([ whole => $whole, 0 ], [ stream => $stream, 1 ]) {
            my ($kind, $script, $is_stream) = @$case;
            my $r = $t->post("/sign/$chat", 'application/json', $request, [ 'X-Script' => $script ]);
            utf8::decode(my $answer = $r->{body});
            push @good, { name => "$kind, $name, $n", request => $request, answer => $answer, stream => $is_stream };
        }
    }
}


sub tampered {
    my ($case) = @_;
    my $answer = $case->{answer};
    my @forms = ([ 'another request', $answer, request('Another') ]);

    for my $name (qw(tee_signature tee_request_hash tee_output_hash tee_timestamp tee_id)) {
        push @forms, [ "no $name", $answer =~ s/"$name"/"x$name"/r ];
    }

    push @forms, [ 'the request hash', $answer =~ s/("tee_request_hash": ")(.)/$1 . ($2 eq '0' ? 1 : 0)/er ],
        [ 'the output hash', $answer =~ s/("tee_output_hash": ")(.)/$1 . ($2 eq '0' ? 1 : 0)/er ],
        [ 'the id', $answer =~ s/("tee_id": "0x)(.)/$1 . ($2 eq '0' ? 1 : 0)/er ],
        [ 'the time', $answer =~ s/("tee_timestamp": )(\d+)/$1 . ($2 - 1)/er ];
    my ($sig) = $answer =~ /"tee_signature": "([^"]*)"/;
    my $bytes = decode_base64($sig);

    for my $at (0, 1, 127, 254, 255) {
        my $changed = $bytes;
        substr($changed, $at, 1) ^= "\1";
        push @forms, [ "byte $at of the signature", $answer =~ s/\Q$sig/encode_base64($changed, '')/er ];
    }

    push @forms, [ 'a signature that is cut', $answer =~ s/\Q$sig/encode_base64(substr($bytes, 0, 255), '')/er ];
    push @forms, [ 'a text', $answer =~ s/Hello/Hallo/r ], if $answer =~ /Hello/;
    push @forms, [ 'a call', $answer =~ s/"name": ?"f3"/"name":"f4"/r ], [ 'the reason', $answer =~ s/"finish_reason": ?"tool_calls"/"finish_reason":"stop"/gr ] if $answer =~ /"tool_calls"/;
    push @forms, [ 'cut before the signature', $answer =~ s/data: [^\n]*"tee_signature.*//sr ] if $case->{stream};
    return map +{ %$case, name => "$case->{name}, $_->[0]", answer => $_->[1], request => $_->[2] // $case->{request} }, @forms;
}

push @bad, map tampered($_), @good;

# -- theirs, for us; and both are asked at once, since the SDK is slow to start

my @wanted;

for my $name (sort keys %says) {
    for my $request (@requests) {
        push @wanted, { name => 'whole, ' . @wanted, request => $request, answer => Tee::Model::answer(@{ $says{$name} }) };
        my ($text, @o) = @{ $says{$name} };
        my @e = Tee::Model::events([ defined $text ? $text =~ /.{1,7}/sg : () ], @o, split => 4, bare => 1);
        push @wanted, { name => 'stream, ' . @wanted, request => $request, events => [ map decode_json(s/^data: //r), @e ], stream => 1 };
    }
}

my %request = map { $_->{name} => $_->{request} } @wanted;
spew($t->dir . '/b.pem', $other->export_key_pem('public_x509'));
my ($public, $foreign) = map $t->dir . "/$_.pem", 'a', 'b';
my @out = Tee::Sdk::python('signed.py', [
    (map +{ %$_, do => 'verify', key => $public }, @good, @bad), (map +{ %$_, do => 'verify', key => $foreign }, @good),
    (map +{ %$_, do => 'sign', key => $file }, @wanted),
]);
my %said = map { $_->{name} => $_ } splice @out, 0, @good + @bad;
is $said{ $_->{name} }{error}, undef, "the SDK takes: $_->{name}" for @good;
my @taken = grep !$said{$_}{error}, map $_->{name}, @bad;
cmp_ok scalar(@bad), '>', 300, 'answers that were changed';
is join("\n", @taken), '', 'the SDK takes none of them';
is scalar(grep !$_->{error}, splice @out, 0, scalar @good), 0, 'nor any of another enclave';

my @theirs = @out;
my (@refused, @accepted);
my $i = 0;

for my $case (@theirs) {
    my %case = (name => $case->{name}, request => $request{ $case->{name} }, answer => $case->{answer}, stream => $case->{name} =~ /^stream/ ? 1 : 0);

    for my $in ('verify', $case{stream} ? 'live' : ()) {
        my $script = $case{stream} ? $m->stream([ unpack '(a1000)*', $case{answer} ]) : $m->whole($case{answer});
        my $r = $t->post("/$in/$chat", 'application/json', $case{request}, [ 'X-Script' => $script ]);
        push @refused, "$in, $case{name}: $r->{status} $r->{body}" if $r->{status} != 200 || $r->{cut} || $r->{body} ne $case{answer};
    }

    # some of them, in each of their forms
    next if $i++ % 5;

    for my $bad (tampered(\%case)) {
        for my $in ('verify', $case{stream} ? 'live' : ()) {
            my $script = $case{stream} ? $m->stream([ $bad->{answer} ]) : $m->whole($bad->{answer});
            my $r = $t->post("/$in/$chat", 'application/json', $bad->{request}, [ 'X-Script' => $script ]);
            push @accepted, "$in, $bad->{name}" unless $r->{cut} || $r->{status} == 502;
        }
    }
}

is scalar(@theirs), 2 * keys(%says) * @requests, 'answers that Python has signed';
is join("\n", @refused), '', 'tee_verify takes all of them';
is join("\n", @accepted), '', 'and none that was changed';

$t->finish;
done_testing;
