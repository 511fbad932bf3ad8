#!/usr/bin/perl

# OpenGradient's Python SDK, unmodified, chats through our relay with our
# gateway, whose location signs what a model server answers.  It finds it in a
# contract on a real EVM node.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Tee::Test;

use Tee::Enclave;
use Tee::Evm;
use Tee::Model;
use Tee::Sdk;


# the keys are those of the enclave

my $dir = scratch();
my $made = Tee::Enclave::make_keys($dir);
my $model = Tee::Model->new;

my $gateway = Tee::Nginx->new(
    files => { 'og.key' => slurp($made->{hpke_key}),
        'sign.key' => slurp($made->{signing_key}) },
    vars => { cert => $made->{cert}, key => $made->{key},
        model => $model->port },
    http => <<'CONF');
    tee_gateway_keys og {
        key    1 og.key;
        suite  hkdf-sha256 chacha20-poly1305;
    }

    tee_sign_key main sign.key;

    server {
        listen  127.0.0.1:%%PORT_tls%% ssl;
        ssl_certificate      %%cert%%;
        ssl_certificate_key  %%key%%;
        client_max_body_size  20m;

        location = /v1/ohttp {
            tee_gateway  og profile=opengradient;
        }

        location = /v1/chat/completions {
            tee_sign         main;
            proxy_pass       http://127.0.0.1:%%model%%;
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


my $sdk = Tee::Sdk->new(evm => $evm,
    relay => 'http://127.0.0.1:' . $relay->port . '/api/v1/chat/ohttp');
my $r = $sdk->run(Tee::Sdk::cases(),
    [ 'failed stream', 'stream',
        { %{ Tee::Sdk::body('x') }, model => 'error-503' } ],
    [ 'payment', 'single', { %{ Tee::Sdk::body('x') }, model => 'error-402' } ],
);

Tee::Sdk::answers($r);
is($r->{'failed stream'}{status}, 503, 'in front of a stream, too');
is($r->{payment}{status}, 402, 'and so does one that wants to be paid');


# what the model has been told, and the relay

my @asked = $model->requests;

is(scalar(grep { $_->{path} ne '/v1/chat/completions' } @asked), 0,
    'the model is asked plainly');

my %h = map { /^([^:]+): (.*)/ ? (lc $1 => $2) : () }
    split /\r\n/, $asked[0]{head};

is($h{authorization}, 'Bearer ohttp', 'with the authorization of the profile');
is_deeply([ grep { $h{$_} } qw(user-agent x-forwarded-for via x-real-ip cookie
    accept-language forwarded x-tee-id x-ohttp-stream) ], [],
    'and is not told who asks');
ok(wait_until { (() = $relay->read('logs/relay.log') =~ /^200 \d+$/mg) >= 10 },
    'the relay learns the costs of answers and of streams');

$relay->finish;
$gateway->finish;
done_testing();
