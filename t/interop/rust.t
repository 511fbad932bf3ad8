#!/usr/bin/perl

# The ohttp crate, unmodified, asks a gateway of RFC 9458 through our relay:
# whole requests, and those in chunks, in both directions.  The gateway is the
# stand-in of t/lib/Tee/Enclave.pm.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Test::More;

use JSON::PP;

use Tee::Enclave;
use Tee::Nginx;
use Tee::Ohttp;
use Tee::Util qw(build_dir scratch slurp);

my $client = build_dir() . '/interop/rust/release/rust-client';

-x $client or BAIL_OUT('run t/interop/setup first');

my $dir = scratch();
my $keys = Tee::Enclave::make_keys($dir);
my $gateway = Tee::Enclave->start(%$keys, profile => 'rfc9458', key_id => 5,
    log => "$dir/requests");
my $pk = Tee::Ohttp::public_key(Crypt::PK::X25519->new($keys->{hpke_key}));

my $t = Tee::Nginx->new(
    files => {
        'tees.json' => encode_json({ tees => [ $gateway->registry_entry ] }),
    },
    http => <<'CONF');
    tee_registry own {
        file           tees.json;
        allow_private  on;
    }

    upstream tee {
        tee_peers  own  id=$http_x_tee_id;
        keepalive  8;
    }

    server {
        listen  127.0.0.1:%%PORT_http%%;

        location = /relay {
            tee_relay         on;
            proxy_pass        https://tee/v1/ohttp;
            proxy_set_header  Connection "";
        }

        location = /tee/status {
            tee_status;
        }
    }
CONF

# the crate's chunked responses work with a nonce of 16 bytes only, so not with
# ChaCha20-Poly1305

for my $case ([ 'AES-128-GCM', 1, 'single' ], [ 'AES-128-GCM', 1, 'chunked' ],
    [ 'ChaCha20-Poly1305', 3, 'single' ])
{
    my ($name, $aead, $mode) = @$case;
    my $config = unpack 'H*', Tee::Ohttp::key_config($pk, 5, $aead);
    my $to = join ' ', '127.0.0.1:' . $t->port, '/relay', $gateway->{tee_id},
        $config, $mode;

    for my $size (0, 1000, 300_000) {
        my $said = join ' ', split /\n/, `$client $to $size 2>&1`;

        is($said, "relay 200 inside 200 length @{[ 11 + $size ]} echo true",
            "$name, $mode, $size bytes");
    }
}

my @types = map { my %h = map { lc $_->[0] => $_->[1] } @{ $_->{headers} };
    $h{'content-type'} } $gateway->requests;

is(scalar(grep { $_ eq 'message/ohttp-chunked-req' } @types), 3,
    'the gateway is told which requests are chunked');

$t->finish;
done_testing();
