#!/usr/bin/perl

# OpenGradient's Python SDK, unmodified, chats through our relay with our
# gateway.  It finds it in a contract on a real EVM node.  The model behind the
# gateway, which signs its answers, is the stand-in of t/lib/Tee/Enclave.pm,
# asked plainly.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Tee::Test;

use IPC::Open2;
use JSON::PP;

use Tee::Enclave;
use Tee::Evm;
use Tee::Ohttp;
use Tee::Util qw(build_dir);

my $python = build_dir() . '/interop/python/bin/python';

-x $python or Test::More::BAIL_OUT('run t/interop/setup first');


# the keys are those of the enclave; the gateway opens, the model signs

my $dir = scratch();
my $made = Tee::Enclave::make_keys($dir);
my $model = Tee::Enclave->start(%$made, log => "$dir/requests");

my $gateway = Tee::Nginx->new(
    files => { 'og.key' => slurp($made->{hpke_key}) },
    vars => { cert => $made->{cert}, key => $made->{key},
        model => $model->{port} },
    http => <<'CONF');
    tee_gateway_keys og {
        key    1 og.key;
        suite  hkdf-sha256 chacha20-poly1305;
    }

    server {
        listen  127.0.0.1:%%PORT_tls%% ssl;
        ssl_certificate      %%cert%%;
        ssl_certificate_key  %%key%%;
        client_max_body_size  20m;

        location = /v1/ohttp {
            tee_gateway  og profile=opengradient;
        }

        location = /v1/chat/completions {
            proxy_pass       https://127.0.0.1:%%model%%;
            proxy_buffering  off;
            proxy_http_version  1.1;
        }
    }
CONF

my $url = 'https://127.0.0.1:' . $gateway->port('tls');
my $evm = Tee::Evm->new(layout => 'v2', tees => [ { name => 'one',
    endpoint => $url, cert => { file => $made->{cert} },
    signing_key => $made->{signing_key}, hpkeKey => $made->{hpke_key},
    keyId => 1 } ]);

my $relay = Tee::Nginx->new(vars => { evm => $evm->conf }, http => <<'CONF');
    log_format relay '$status $tee_relay_cost_opg';
    access_log %%DIR%%/logs/relay.log relay;

    tee_registry og {
        %%evm%%
        allow_private  on;
        max_block_age  0;
    }

    upstream tee {
        tee_peers  og  id=$http_x_tee_id;
        keepalive  8;
    }

    server {
        listen  127.0.0.1:%%PORT_http%%;

        location = /api/v1/chat/ohttp {
            tee_relay   on;
            proxy_pass  https://tee/v1/ohttp;
        }

        location = /tee/status {
            tee_status;
        }
    }
CONF

ok(wait_until { ($relay->registry_status->{tees} // 0) == 1 },
    'the relay finds the gateway in the contract');


# what the SDK makes of a list of cases: { name => result }

sub sdk {
    my (@cases) = @_;

    my $address = 'http://127.0.0.1:' . $relay->port . '/api/v1/chat/ohttp';
    my $pid = open2(my $out, my $in, $python, "$FindBin::Bin/sdk.py",
        $evm->rpc, $evm->address, $address);

    print $in encode_json([ map { { name => $_->[0], kind => $_->[1],
        body => $_->[2] } } @cases ]);
    close $in;

    my %result = map { $_->{name} => $_ } map { decode_json($_) } <$out>;

    waitpid $pid, 0;
    is($?, 0, 'the SDK has come to its end');

    return \%result;
}

sub body {
    my ($text, %more) = @_;

    return { model => 'demo-model', messages => [
        { role => 'system', content => 'Be brief.' },
        { role => 'user', content => $text } ], %more };
}

my @tools = (tools => [ { type => 'function', function => { name => 'weather',
    parameters => { type => 'object', properties => {} } } } ]);
my $parts = [ { type => 'text', text => 'Look:' },
    { type => 'image_url', image_url => { url => 'data:,' . 'A' x 300_000 } } ];

my %text = (
    hello => 'Hello!',
    unicode => "\x{20ac}\x{1f600} \x{2028}\x{7f} \"q\" \\ \x{fc}",
    long => join(' ', map { "word$_" } 1 .. 5000),
);

my $r = sdk(
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
    [ 'failed stream', 'stream', { %{ body('x') }, model => 'error-503' } ],
    [ 'payment', 'single', { %{ body('x') }, model => 'error-402' } ],
    [ 'broken stream', 'stream', { %{ body('x') }, model => 'error-stream' } ],
);

for my $kind (qw(single stream)) {
    for my $name (sort keys %text) {
        is($r->{"$kind $name"}{content}, "You said: $text{$name}",
            "$kind: $name comes back verified")
            or diag(explain($r->{"$kind $name"}));
    }
}

is($r->{confidential}{content}, 'You said: Hello!', 'ConfidentialLLM');
is($r->{options}{content}, 'You said: x', 'with options');
is($r->{parts}{content}, 'You said: Look: [image_url]', 'with an attachment');
like($r->{tools}{content}, qr/"name": "weather"/, 'a tool call');
like($r->{'tool stream'}{content}, qr/"name": "weather"/,
    'a streamed tool call');
is($r->{failure}{error}, 'RelayError', 'a model that fails');
is($r->{failure}{status}, 503, 'keeps its status');
is($r->{'failed stream'}{status}, 503, 'in front of a stream, too');
is($r->{payment}{status}, 402, 'and so does one that wants to be paid');
is($r->{'broken stream'}{error}, 'RelayError', 'a stream that breaks off');
cmp_ok(scalar @{ $r->{'stream hello'}{frames} }, '>=', 4,
    'a stream has one frame for each event');


# what the model has been told, and the relay

my @asked = $model->requests;

is(scalar(grep { $_->{path} ne '/v1/chat/completions' } @asked), 0,
    'the model is asked plainly');

my %h = map { lc $_->[0] => $_->[1] } @{ $asked[0]{headers} };

is($h{authorization}, 'Bearer ohttp', 'with the authorization of the profile');
is_deeply([ grep { $h{$_} } qw(user-agent x-forwarded-for via x-real-ip cookie
    accept-language forwarded x-tee-id x-ohttp-stream) ], [],
    'and is not told who asks');
ok(wait_until { (() = $relay->read('logs/relay.log') =~ /^200 \d+$/mg) >= 10 },
    'the relay learns the costs of answers and of streams');

$relay->finish;
$gateway->finish;
done_testing();
