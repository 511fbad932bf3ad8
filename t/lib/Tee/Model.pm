package Tee::Model;

# A model server that speaks as OpenAI's and vLLM's do, and says what the test
# wants.  It signs nothing by itself.
#
#   my $m = Tee::Model->new;                  # a process; options as Tee::Upstream
#   my $name = $m->whole($text, type => 'application/json', status => '200 OK', fields => [ name => value ]);
#   my $name = $m->stream([ $piece, \'wait', $piece, \'cut' ]);
#   my $name = $m->says([ send => $bytes ], [ 'wait' ], [ 'close' ]);
#   $m->go($name);                            # ends the first wait; again: the second
#
# A name is what a request asks for: as its field X-Script, as the query of its
# address, or as the "model" of its body.  Whoever asks for something else is
# answered "You said: ..." with his last message, or with a call of his tool;
# the models error-503 (400 to 599) and error-stream fail.
#
#   Tee::Model::answer('text', calls => [ ... ], more => { ... })     an object
#   Tee::Model::events([ 'te', 'xt' ], calls => [ ... ])              a list of events
#   Tee::Model::event($object)

use strict;
use warnings;

our @ISA = ('Tee::Upstream');

use JSON::PP ();
use Storable qw(nstore retrieve);

use Tee::Upstream;
use Tee::Util qw(scratch wait_until);

# as vLLM writes it: no blanks, nothing escaped that does not have to be
my $json = JSON::PP->new->utf8->canonical->allow_nonref;

sub new {
    my ($class, %o) = @_;
    my $dir = scratch();
    my $self = Tee::Upstream->new(name => 'model', cert => undef, handler => sub { return _handle($dir, @_) }, %o);
    @{$self}{qw(scripts n)} = ($dir, 0);
    return bless $self, $class;
}

sub encode { return $json->encode($_[0]) }


# -- scripts

sub says {
    my ($self, @steps) = @_;
    my $name = 'script-' . ++$self->{n};
    nstore([@steps], "$self->{scripts}/$name");
    return $name;
}

sub whole {
    my ($self, $body, %o) = @_;
    return $self->says([ send => _head(%o, length => length $body) . $body ]);
}

sub _head {
    my (%o) = @_;
    my @fields = ('Content-Type' => exists $o{type} ? $o{type} : 'application/json', @{ $o{fields} // [] });
    push @fields, defined $o{length} ? ('Content-Length' => $o{length}) : ('Transfer-Encoding' => 'chunked');
    my $head = 'HTTP/1.1 ' . ($o{status} // '200 OK') . "\r\n";

    while (my ($name, $value) = splice @fields, 0, 2) {
        $head .= "$name: $value\r\n" if defined $value;
    }

    return "$head\r\n";
}

# each piece is a chunk; \'wait', \'cut' and \'reset' are what they say

sub stream {
    my ($self, $pieces, %o) = @_;
    my @steps = map ref $_ ? [$$_] : length $_ ? [ send => sprintf("%x\r\n%s\r\n", length $_, $_) ] : (), @$pieces;
    push @steps, [ send => "0\r\n\r\n" ] unless grep $_->[0] =~ /cut|reset/, @steps;
    return $self->says([ send => _head(type => 'text/event-stream; charset=utf-8', %o) ], @steps);
}

sub go {
    my ($self, $name) = @_;
    open my $out, '>>', "$self->{scripts}/$name.go" or die "$name: $!\n";
    print $out '.';
    return close $out;
}

sub _handle {
    my ($dir, $conn, $request) = @_;
    my ($name) = map { defined && /\A(script-\d+)\z/ ? $1 : () } $request->{head} =~ /^x-script: *(\S+)/mi,
        $request->{path} =~ /\?(.*)/, ($request->{body} // '') =~ /"model"\s*:\s*"([^"]*)"/g;
    return _talk($conn, $request) unless defined $name;

    my $waits = 0;

    for my $step (@{ retrieve("$dir/$name") }) {
        my ($what, $bytes) = @$step;

        if ($what eq 'send') {
            $conn->send($bytes) or return $conn->note("gone $name") && 0;

        } elsif ($what eq 'wait') {
            $waits++;
            $conn->note("waits $name");
            wait_until { (-s "$dir/$name.go" // 0) >= $waits } 60;

        } elsif ($what eq 'gone') {
            $conn->note("waits $name");
            eval { $conn->read_all };
            $conn->note("gone $name");
            return 0;

        } elsif ($what eq 'reset') {
            $conn->reset;

        } else {
            return 0;
        }
    }

    return 1;
}


# -- what a model says

sub answer {
    my ($text, %o) = @_;
    my $calls = $o{calls};
    my $choice = {
        index => 0,
        message => { role => 'assistant', content => $text, $calls ? (tool_calls => $calls) : () },
        logprobs => undef,
        finish_reason => $o{finish} // ($calls ? 'tool_calls' : 'stop'),
    };
    return {
        id => 'chatcmpl-1', object => 'chat.completion', created => 1700000000, model => 'demo-model',
        choices => [$choice], usage => { prompt_tokens => 3, completion_tokens => 5, total_tokens => 8 },
        %{ $o{more} // {} },
    };
}

sub event { return 'data: ' . (ref $_[0] ? encode($_[0]) : $_[0]) . "\n\n" }

sub delta {
    my ($delta, $finish, %more) = @_;
    return event({
        id => 'chatcmpl-1', object => 'chat.completion.chunk', created => 1700000000, model => 'demo-model',
        choices => [ { index => 0, delta => $delta, logprobs => undef, finish_reason => $finish } ], %more,
    });
}

# arguments of calls come in pieces of some characters

sub events {
    my ($texts, %o) = @_;
    my @events = (delta({ role => 'assistant', content => '' }), map delta({ content => $_ }), @$texts);
    my $n = 0;

    for my $call (@{ $o{calls} // [] }) {
        my ($index, $f) = ($n++, $call->{function});
        my @rest = $o{split} ? $f->{arguments} =~ /.{1,$o{split}}/sg : ();
        push @events, delta({ tool_calls => [ { %$call, index => $index, function => { %$f, @rest ? (arguments => '') : () } } ] }),
            map delta({ tool_calls => [ { index => $index, function => { arguments => $_ } } ] }), @rest;
    }

    push @events, delta({ content => '' }, $o{finish} // ($o{calls} ? 'tool_calls' : 'stop'), %{ $o{more} // {} });
    push @events, event({ id => 'chatcmpl-1', object => 'chat.completion.chunk', choices => [],
        usage => { prompt_tokens => 3, completion_tokens => 5, total_tokens => 8 } }) unless $o{bare};
    push @events, event('[DONE]') unless $o{bare};
    return @events;
}


# -- without a script

sub _talk {
    my ($conn, $request) = @_;
    my $body = eval { JSON::PP::decode_json($request->{body}) } // {};
    my $model = $body->{model} // '';
    my $say = sub {
        my ($status, $value) = @_;
        return $conn->respond("$status Status", [ 'Content-Type' => 'application/json' ], encode($value));
    };

    return $say->($1, { error => 'asked to fail', source => 'provider' }) if $model =~ /\Aerror-([45]\d\d)\z/;
    return $say->(200, { content => "Found: $body->{query}" }) if $request->{path} =~ m{/web_search\b};
    return $say->(200, { object => 'text_completion', choices => [ { index => 0, text => "On: $body->{prompt}", finish_reason => 'stop' } ] })
        if defined $body->{prompt};

    my $last = ($body->{messages} // [])->[-1] // {};
    my $content = $last->{content};
    my $text = ref $content eq 'ARRAY' ? join ' ', map { ref $_ ? $_->{text} // "[$_->{type}]" : $_ } @$content : $content // '';
    my ($tool) = $last->{role} && $last->{role} eq 'user' ? map $_->{function}{name}, @{ $body->{tools} // [] } : ();
    my @calls = defined $tool ? { id => 'call_1', type => 'function', function => { name => $tool,
        arguments => JSON::PP->new->canonical->encode({ text => $text }) } } : ();
    my $said = @calls ? '' : "You said: $text";
    my %more = (opengradient => { cost_opg => '5000000000', cost_usd => '0.000005', opg_price_usd => '1.25' });
    return $say->(200, answer(@calls ? undef : $said, @calls ? (calls => \@calls) : (), more => \%more)) unless $body->{stream};

    my @events = events([ $said =~ /\s*\S+\s*/g ], @calls ? (calls => \@calls, split => 5) : (), more => \%more);
    $conn->send(_head(type => 'text/event-stream; charset=utf-8'));
    @events = (@events[ 0, 1 ], event({ error => 'asked to fail', source => 'provider' })) if $model eq 'error-stream';
    $conn->send_chunk($_) for @events;
    return $conn->send("0\r\n\r\n");
}

1;
