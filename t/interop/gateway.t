#!/usr/bin/perl

# Foreign clients, unmodified, ask our gateway: the ohttp and bhttp crates of
# Rust, and @hpke/core of Node; directly, and through our relay.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Tee::Test;

use Tee::Ohttp qw(key_config parse_keys);
use Tee::Util qw(build_dir);

my $rust = build_dir() . '/interop/rust/release/rust-client';
my $node = "$FindBin::Bin/node/hpke.mjs";

-x $rust && -d "$FindBin::Bin/node/node_modules"
    or Test::More::BAIL_OUT('run t/interop/setup first');

my $keys = Tee::Sealed::keys();
my $backend = backend();
my $cert = Tee::Cert->new(name => 'gateway.test');

my $gateway = Tee::Nginx->new(
    files => $keys->{files},
    vars => { backend => $backend->port, cert => $cert->{file},
        key => $cert->{keyfile} },
    http => <<"CONF");
    tee_gateway_keys main { $keys->{conf} }

    server {
        listen  127.0.0.1:%%PORT_http%%;
        listen  127.0.0.1:%%PORT_tls%% ssl;
        ssl_certificate      %%cert%%;
        ssl_certificate_key  %%key%%;
        client_max_body_size  2m;

        location = /.well-known/ohttp-gateway {
            tee_keys            main;
            tee_gateway         main;
            tee_gateway_target  inside.example;
        }

        location / {
            proxy_pass  http://127.0.0.1:%%backend%%;
        }
    }
CONF

my $tee = Tee::Cert::enclave('gateway', cert => $cert,
    endpoint => 'https://127.0.0.1:' . $gateway->port('tls'));

my $relay = Tee::Nginx->new(files => { 'tees.json' => tees($tee) },
    http => <<'CONF');
    tee_registry own {
        file           tees.json;
        allow_private  on;
    }

    upstream tee {
        tee_peers  own;
        keepalive  8;
    }

    server {
        listen  127.0.0.1:%%PORT_http%%;

        location = /relay {
            tee_relay   on;
            proxy_pass  https://tee/.well-known/ohttp-gateway;
        }
    }
CONF

my $well_known = '/.well-known/ohttp-gateway';
my $list = $gateway->get($well_known)->{body};
my %key = map { $_->{kem} => $_ } parse_keys($list);

is(join(' ', sort keys %key), '16 32', 'the gateway lists its keys');

my %way = (direct => [ $gateway->port, $well_known ],
    relayed => [ $relay->port, '/relay' ]);


# the crates have X25519 alone, and their chunked responses work with a nonce of
# 16 bytes only, so not with ChaCha20-Poly1305

for my $case ([ 'AES-128-GCM', 1, 'single' ], [ 'AES-128-GCM', 1, 'chunked' ],
    [ 'ChaCha20-Poly1305', 3, 'single' ])
{
    my ($name, $aead, $mode) = @$case;
    my $config = unpack 'H*', key_config($key{32}{pk}, $key{32}{id}, $aead);

    for my $way (sort keys %way) {
        my ($port, $path) = @{ $way{$way} };

        for my $size (0, 1000, 300_000) {
            my $said = join ' ', split /\n/,
                `$rust 127.0.0.1:$port $path $tee->{id} $config $mode $size 2>&1`;

            is($said, "relay 200 inside 200 length @{[ 11 + $size ]} echo true",
                "Rust: $name, $mode, $way, $size bytes");
        }
    }
}

for my $kem (32, 16) {
    for my $aead (1 .. 3) {
        for my $mode (qw(single chunked)) {
            for my $way (sort keys %way) {
                my ($port, $path) = @{ $way{$way} };
                my $url = "http://127.0.0.1:$port$path";
                my $from = 'http://127.0.0.1:' . $gateway->port . $well_known;
                my $size = $way eq 'direct' ? 300_000 : 1000;
                my $said = join ' ', split /\n/,
                    `node $node $url $from $kem $aead $mode $size 2>&1`;
                my $type = $mode eq 'single' ? 'message/ohttp-res'
                                             : 'message/ohttp-chunked-res';

                is($said, "gateway 200 type $type inside 200 length "
                    . (11 + $size) . ' echo true',
                    "Node: KEM $kem, AEAD $aead, $mode, $way");
            }
        }
    }
}

is(scalar(grep { $_->{path} ne '/echo' } $backend->requests), 0,
    'the backend has seen what was sealed');

$relay->finish;
$gateway->finish;
done_testing();
