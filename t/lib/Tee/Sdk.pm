package Tee::Sdk;

# OpenGradient's Python SDK, unmodified, as the client of a relay.
#
#   my $sdk = Tee::Sdk->new(evm => $evm, relay => $url);
#   my $r = $sdk->run([ name => 'single', $body ], ...);     { name => result }
#   my $r = $sdk->run(Tee::Sdk::cases());
#   Tee::Sdk::answers($r);                    what must have come of these
#   my @out = Tee::Sdk::python('sdk.py', @args, \@list);     JSON in and out

use strict;
use warnings;

use IPC::Open2;
use JSON::PP;
use Test::More;

use Tee::Util qw(build_dir root);

my @tools = (tools => [ { type => 'function', function => { name => 'weather',
    parameters => { type => 'object', properties => {} } } } ]);
my $parts = [ { type => 'text', text => 'Look:' },
    { type => 'image_url', image_url => { url => 'data:,' . 'A' x 300_000 } } ];

my %text = (
    hello => 'Hello!',
    unicode => "\x{20ac}\x{1f600} \x{2028}\x{2029}\x{85}\x{7f} \"q\" \\ \x{fc}",
    long => join(' ', map { "word$_" } 1 .. 5000),
);

sub new {
    my ($class, %o) = @_;

    return bless {%o}, $class;
}

# one of our scripts beside the SDK: gets a list, prints a line for each

sub python {
    my ($script, @args) = @_;

    my $python = build_dir() . '/interop/python/bin/python';

    -x $python or BAIL_OUT('run t/interop/setup first');

    my $list = pop @args;
    my $pid = open2(my $out, my $in, $python, root() . "/t/interop/$script",
        @args);

    print $in encode_json($list);
    close $in;

    my @lines = map { decode_json($_) } <$out>;

    waitpid $pid, 0;
    is($?, 0, "$script has come to its end");
    return @lines;
}

sub run {
    my ($self, @cases) = @_;

    return { map { $_->{name} => $_ } python('sdk.py', $self->{evm}->rpc,
        $self->{evm}->address, $self->{relay},
        [ map { { name => $_->[0], kind => $_->[1], body => $_->[2] } }
            @cases ]) };
}

sub body {
    my ($text, %more) = @_;

    return { model => 'demo-model', messages => [
        { role => 'system', content => 'Be brief.' },
        { role => 'user', content => $text } ], %more };
}

sub cases {
    return (
        (map { ([ "single $_", 'single', body($text{$_}) ],
                [ "stream $_", 'stream', body($text{$_}) ]) } sort keys %text),
        [ 'confidential', 'confidential', { model => 'any/demo-model',
            messages => [ { role => 'user', content => 'Hello!' } ] } ],
        [ 'options', 'single', body('x', temperature => 0.3, max_tokens => 12,
            stop => ['END'], response_format => { type => 'json_object' }) ],
        [ 'parts', 'single', body($parts) ],
        [ 'tools', 'single', body('Rain?', @tools) ],
        [ 'tool stream', 'stream', body('Rain?', @tools) ],
        [ 'failure', 'single', { %{ body('x') }, model => 'error-503' } ],
        [ 'broken stream', 'stream',
            { %{ body('x') }, model => 'error-stream' } ],
    );
}

sub answers {
    my ($r) = @_;

    for my $kind (qw(single stream)) {
        for my $name (sort keys %text) {
            is($r->{"$kind $name"}{content}, "You said: $text{$name}",
                "$kind: $name comes back verified")
                or diag(explain($r->{"$kind $name"}));
        }
    }

    is($r->{confidential}{content}, 'You said: Hello!', 'ConfidentialLLM');
    is($r->{options}{content}, 'You said: x', 'with options');
    is($r->{parts}{content}, 'You said: Look: [image_url]',
        'with an attachment');
    like($r->{tools}{content}, qr/"name": "weather"/, 'a tool call');
    like($r->{'tool stream'}{content}, qr/"name": "weather"/,
        'a streamed tool call');
    is($r->{failure}{error}, 'RelayError', 'one who fails');
    is($r->{failure}{status}, 503, 'keeps its status');
    is($r->{'broken stream'}{error}, 'RelayError',
        'a stream that breaks off');
    cmp_ok(scalar @{ $r->{'stream hello'}{frames} }, '>=', 4,
        'a stream has one frame for each event');
    return;
}


1;
