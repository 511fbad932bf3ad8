#!/usr/bin/perl
# OpenAI's npm SDK, unmodified, asks a model in an enclave through client, relay
# and gateway, and gets what it gets from the model itself.  Where it does not,
# since nothing may pass that nobody has signed, the test says so.

use FindBin;
use lib "$FindBin::Bin/../lib";
use Tee::Test;

use IPC::Open2;
use JSON::PP;
use Tee::Model;
use Tee::Roles;

my $json = JSON::PP->new->utf8->canonical;
my ($sign) = Tee::Cert::signing_key('one');
my $m = Tee::Model->new;

# -- the same, direct and in four ways

sub roles {
    my ($profile, %client) = @_;

    return Tee::Roles->new(
        profile => $profile,
        files => { 'sign.key' => slurp($sign) },
        vars => { llm => $m->port },
        http => 'tee_sign_key one sign.key; tee_client_target https://api.example;',
        model => sub { return $_[0]->respond('404 Not Found', [], '') },
        gateway => 'location ~ /chat/completions$ { tee_sign one; proxy_pass http://127.0.0.1:%%llm%%; proxy_http_version 1.1; proxy_buffering off; }',
        client => join("\n", 'tee_client_errors openai; location = /v1/models { tee_client_models m "b/c"; }',
            map "location /$_/v1/ { $client{$_} tee_verify on; proxy_pass http://%%relay%%; }", sort keys %client),
    );
}

my $og = roles('opengradient', hold => 'tee_client og;', live => 'tee_client og; tee_verify_mode stream;');
my $rfc = roles('rfc9458', whole => 'tee_client og profile=rfc9458; tee_verify_errors pass;',
    chunked => 'tee_client og profile=rfc9458 chunked; tee_verify_mode stream;');
my %base = ((map { $_ => 'http://127.0.0.1:' . $og->nginx->port . "/$_/v1" } qw(hold live)),
    (map { $_ => 'http://127.0.0.1:' . $rfc->nginx->port . "/$_/v1" } qw(whole chunked)));
my @ways = qw(hold live whole chunked);

$base{direct} = 'http://127.0.0.1:' . $m->port . '/v1';

my @cases;

sub ask { my ($way, $name, $kind, $body, %more) = @_; push @cases, { name => "$way: $name", base => $base{$way}, kind => $kind, body => $body, %more }; return }

sub body {
    my ($model, %more) = @_;
    return { model => $model, messages => [ { role => 'system', content => 'Be brief.' }, { role => 'user', content => 'Hello!' } ], %more };
}

# -- what is asked

my $unicode = "\x{20ac}\x{1f600} \x{2028}\x{2029}\x{85}\x7f \"q\" \\ \n\t \x{fc}\x{ffff}";
my @tools = (tools => [ map +{ type => 'function', function => { name => $_, description => 'x', parameters => { type => 'object', properties => { at => { type => 'string' } } } } }, qw(weather time) ]);
my @calls = map +{ id => "call_$_", type => 'function', function => { name => $_, arguments => $json->encode({ at => "Z\x{fc}rich" }) } }, qw(weather time);
my %scripts = (
    text => [ ['Hello there.'] ],
    unicode => [ [$unicode] ],
    long => [ [ 'word ' x 20_000 ] ],
    nothing => [ [''] ],
    call => [ [ undef, calls => [ $calls[0] ] ] ],
    calls => [ [ undef, calls => \@calls ] ],
);
my @same;

for my $name (sort keys %scripts) {
    my ($text, @o) = @{ $scripts{$name}[0] };
    my $whole = $m->whole(Tee::Model::encode(Tee::Model::answer($text, @o)));
    my $stream = $m->stream([ Tee::Model::events([ defined $text ? $text =~ /.{1,4000}/sg : () ], @o, split => 4) ]);
    my @more = $name =~ /call/ ? (@tools, tool_choice => 'auto') : ();

    for my $way ('direct', @ways) {
        ask($way, "chat, $name", chat => body($whole, @more));
        ask($way, "stream, $name", stream => body($stream, @more));
        ask($way, "helper, $name", helper => body($stream, @more));
    }

    push @same, map "$_, $name", qw(chat stream helper);
}

my %asks = (
    options => body('m', temperature => 0.2, max_tokens => 5, stop => [ "\n", 'x' ], seed => 1, user => 'u', response_format => { type => 'json_object' }),
    'a result' => { model => 'm', messages => [ { role => 'user', content => "\x{fc}?" }, { role => 'assistant', content => undef, tool_calls => \@calls },
        map { +{ role => 'tool', tool_call_id => $_->{id}, content => "$unicode!" } } @calls ] },
    picture => { model => 'm', messages => [ { role => 'user', content => [ { type => 'text', text => $unicode }, { type => 'image_url', image_url => { url => 'data:,' . 'A' x 100_000 } } ] } ] },
);

for my $name (sort keys %asks) {
    for my $way ('direct', @ways) {
        ask($way, "chat, $name", chat => $asks{$name});
        ask($way, "stream, $name", stream => $asks{$name});
    }

    push @same, map "$_, $name", qw(chat stream);
}

# errors: whole ones, and those in front of a stream

my %class = (400 => 'BadRequestError', 401 => 'AuthenticationError', 403 => 'PermissionDeniedError', 404 => 'NotFoundError', 422 => 'UnprocessableEntityError',
    429 => 'RateLimitError', 500 => 'InternalServerError', 503 => 'InternalServerError');

for my $status (sort keys %class) {
    my $script = $m->whole($json->encode({ error => { message => "said $status", type => 'x', code => "code_$status", param => undef } }), status => "$status Status",
        fields => [ 'Retry-After' => 7 ]);

    for my $way ('direct', @ways) {
        ask($way, "chat, $status", chat => body($script));
        ask($way, "stream, $status", stream => body($script));
    }
}

# what ends too early

my @events = Tee::Model::events([ 'one ', 'two ', 'three' ]);
my %gone;

for my $way ('direct', @ways) {
    my ($hang, $waits) = ($m->says(['gone']), $m->stream([ @events[ 0, 1 ], \'gone' ]));
    ask($way, 'a timeout', chat => body($hang), options => { timeout => 1500 });
    ask($way, 'a stream that does not begin', stream => body($gone{"$way, not begun"} = $m->says(['gone'])), options => { timeout => 1500 });
    ask($way, 'reset at once', chat => body($m->says(['reset'])));
    ask($way, 'cut', stream => body($m->stream([ @events[ 0 .. 2 ], \'cut' ])));
    ask($way, 'reset', stream => body($m->stream([ @events[ 0 .. 2 ], \'reset' ])));
    ask($way, 'an error', stream => body($m->stream([ @events[ 0, 1 ], Tee::Model::event({ error => { message => 'said it', type => 'x' } }), Tee::Model::event('[DONE]') ])));
    ask($way, 'stopped', $way =~ /hold|whole/ ? 'stream' : 'abort', body($waits),
        $way =~ /hold|whole/ ? (when => { file => $m->{file}, text => "waits $waits" }) : ());
    $gone{"$way, a timeout"} = $hang;
    $gone{"$way, stopped"} = $waits;
}

ask(hold => 'models', 'models', undef, base => 'http://127.0.0.1:' . $og->nginx->port . '/v1');

# -- and what comes

local $SIG{PIPE} = 'IGNORE';
my $pid = open2(my $out, my $in, 'node', root() . '/t/interop/node/openai.mjs');
print $in $json->encode(\@cases);
close $in;
my %said = map { my $r = $json->decode($_); $r->{name} => $r } <$out>;
waitpid $pid, 0;
is $?, 0, 'the SDK has come to its end';
is scalar(keys %said), scalar(@cases), 'and has answered everything';

# what a signature adds, and an order that it may change: what has no choice
# overtakes the end of the text

sub plain {
    my ($r) = @_;
    my $without = sub { my ($o) = @_; return { map { $_ => $o->{$_} } grep !/^tee_/, keys %$o } };
    return { map { $_ => $r->{$_} } grep $_ ne 'name', keys %$r } if $r->{error};
    return { answer => $without->($r->{answer}) } if $r->{answer};
    return { ended => $r->{ended}, chunks => [ sort { @{ $b->{choices} } <=> @{ $a->{choices} } } map $without->($_), @{ $r->{chunks} } ] };
}

for my $name (@same) {
    my $direct = plain($said{"direct: $name"});
    is $direct->{error}, undef, "direct: $name" or diag explain $direct;

    for my $way (@ways) {
        is_deeply plain($said{"$way: $name"}), $direct, "$way: $name";
    }
}

is $said{'direct: chat, unicode'}{answer}{choices}[0]{message}{content}, $unicode, 'it is the text';
is_deeply $said{'chunked: helper, calls'}{answer}{choices}[0]{message}{tool_calls}[1]{function}{name}, 'time', 'and the calls';
ok !grep(!$said{"$_: chat, text"}{answer}{tee_signature}, @ways), 'and signed';
is_deeply [ map $_->{id}, @{ $said{'hold: models'}{answer} } ], [ 'm', 'b/c' ], 'models';

# An error keeps its class and status.  Its text is not signed: of OpenGradient's
# gateways it is in plain for all to see, and the client withholds it; sealed, as
# by RFC 9458, it passes where tee_verify_errors lets it.

for my $status (sort keys %class) {
    for my $kind (qw(chat stream)) {
        my %r = map { $_ => $said{"$_: $kind, $status"} } 'direct', @ways;
        is_deeply [ @{ $r{$_} }{qw(error status)} ], [ $class{$status}, $status ], "$_: $kind, $status" for 'direct', @ways;
        is $r{direct}{code}, "code_$status", "$kind, $status: the model tells why";
        is_deeply [ @{ $r{whole} }{qw(code message)} ], [ @{ $r{direct} }{qw(code message)} ], "whole: $kind, $status: and so does the gateway";
        is $r{$_}{code}, 'relay_error', "$_: $kind, $status: whoever it was that said it" for qw(hold live);
        is $r{chunked}{code}, 'unsigned_error', "chunked: $kind, $status: nobody has signed it";
        unlike join(' ', map "$r{$_}{message}", qw(hold live chunked)), qr/said/, "$kind, $status: its text is withheld";
    }
}

for my $way ('direct', @ways) {
    is $said{"$way: $_"}{error}, 'APIConnectionTimeoutError', "$way: $_" for 'a timeout', 'a stream that does not begin';
}

# What ends too early.  Nothing of it has been said when a client that holds
# knows, so it is an error with a status, which the SDK may try again; in the
# other mode the connection breaks off as that of the model does.

for my $way ('direct', @ways) {
    my $holds = $way =~ /hold|whole/;
    my $r = $said{"$way: reset at once"};
    is $r->{error}, $way eq 'direct' ? 'APIConnectionError' : 'InternalServerError', "$way: no answer at all";
    is $r->{status}, $way eq 'direct' ? undef : 502, "$way: is a 502 of whoever knows";

    for my $what ('cut', 'reset') {
        my $r = $said{"$way: $what"};
        my $text = join '', map { $_->{choices}[0]{delta}{content} // '' } @{ $r->{chunks} // [] };
        isnt $r->{error}, undef, "$way, $what: a stream that is $what is no stream" or diag explain $r;
        is $text, $holds ? '' : 'one two ', "$way, $what: and what of it came";
        is_deeply [ @{$r}{qw(error status)} ], $holds ? [ 'InternalServerError', 502 ] : [ $said{"direct: $what"}{error}, $said{"direct: $what"}{status} ], "$way, $what: the error";
    }

    $r = $said{"$way: an error"};
    isnt $r->{error}, undef, "$way: a stream with an error" or diag explain $r;
    is join('', map { $_->{choices}[0]{delta}{content} // '' } @{ $r->{chunks} // [] }), $holds ? '' : 'one ', "$way: ends with it";

    # the application stops
    $r = $said{"$way: stopped"};
    is join('', map { $_->{choices}[0]{delta}{content} // '' } @{ $r->{chunks} // [] }), $holds ? '' : 'one ', "$way: an application that stops";
    is $r->{error}, $holds ? 'APIUserAbortError' : undef, "$way: knows that it has";
}

for my $name (sort keys %gone) {
    eventually { scalar grep $_ eq "gone $gone{$name}", $m->notes } "$name: the model is told";
}

# -- nothing of the application but what it asks

my @heads = map $_->{head}, grep $_->{path} !~ m{^/v1/}, $m->requests;
unlike join('', grep /bearer ohttp/i, map $_->{head}, $m->requests), qr/stainless|secret-key|user-agent: openai/i, 'the model is not told who asks';
unlike join('', @heads), qr/stainless/i, 'sealed, neither';

$_->nginx->finish for $og, $rfc;
done_testing;
