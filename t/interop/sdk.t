#!/usr/bin/perl

# OpenGradient's Python SDK, unmodified, chats with an enclave through our
# relay.  Both find the enclave in the same contract on a real EVM node; the
# enclave is the stand-in of t/lib/Tee/Enclave.pm.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Test::More;

use Tee::Cert;
use Tee::Enclave;
use Tee::Evm;
use Tee::Nginx;
use Tee::Sdk;
use Tee::Util qw(scratch wait_until);


# two enclaves, so that the relay has a choice to make

my @enclaves = map {
    my $dir = scratch();
    my $keys = Tee::Enclave::make_keys($dir);

    Tee::Enclave->start(%$keys, log => "$dir/requests");
} 1, 2;

my @names = ('one', 'two');
my $evm = Tee::Evm->new(layout => 'v2', tees => [ map {
    my $e = $enclaves[$_];

    { name => $names[$_], endpoint => $e->url, cert => { file => $e->{cert} },
      signing_key => $e->{signing_key}, hpkeKey => $e->{hpke_key}, keyId => 1 };
} 0, 1 ]);

my $t = Tee::Nginx->new(workers => 2, vars => { evm => $evm->conf },
    http => <<'CONF');
    log_format relay '$status $tee_id $tee_relay_cost_opg';
    access_log %%DIR%%/logs/relay.log relay;

    tee_registry og {
        %%evm%%
        allow_private  on;
        max_block_age  0;
        refresh_min    100ms;
        refresh        1s;
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

ok(wait_until { ($t->registry_status->{tees} // 0) == 2 },
    'nginx finds both enclaves in the contract');


my $sdk = Tee::Sdk->new(evm => $evm,
    relay => 'http://127.0.0.1:' . $t->port . '/api/v1/chat/ohttp');
my @cases = Tee::Sdk::cases();
my $r = $sdk->run(@cases);

Tee::Sdk::answers($r);


# who has been asked, and what has been told

my $id = "0x$r->{'single hello'}{listed}" =~ s/\A0x0x/0x/r;
my ($chosen, $other) = sort { ($b->{tee_id} eq $id) <=> ($a->{tee_id} eq $id) }
    @enclaves;
my @got = $chosen->requests;
my ($first) = grep { $_->{path} eq '/v1/ohttp' } @got;

is($r->{'single hello'}{tee_id}, $chosen->{tee_id},
    'the enclave that the SDK has chosen answers');
cmp_ok(scalar @got, '>=', @cases - 1, 'all requests were sent to it');
cmp_ok(scalar($other->requests), '<=', 1, 'none to the other one');

my %h = map { lc $_->[0] => $_->[1] } @{ $first->{headers} };

is($h{'content-type'}, 'message/ohttp-req', 'it is told the media type');
is_deeply([ grep { $h{$_} } qw(authorization user-agent x-forwarded-for via
    x-real-ip cookie accept-language forwarded) ], [],
    'it is not told who asks');

my $status = $t->status;

is_deeply([ sort map { $_->{id} } @{ $t->registry_status->{entries} } ],
    [ sort map { $_->{tee_id} } @enclaves ], 'the status lists both');
cmp_ok($status->{counters}{pin}{handshakes}, '>=', 1,
    'the certificate was checked');
ok(wait_until { (() = $t->read('logs/relay.log') =~ /^200 \S+ \d+$/mg)
    >= @cases - 3 }, 'the log has the cost of single answers and of streams');


# the contract changes its mind

$evm->do("rotate-cert $_ $enclaves[0]{cert}") for @names;

ok(wait_until {
    my @p = map { $_->{pin_sha256} } @{ $t->registry_status->{entries} };

    @p == 2 && $p[0] eq $p[1];
}, 'nginx learns that the certificates have changed');

$evm->do('disable one');
ok(wait_until { $t->registry_status->{tees} == 1 }, 'and that one TEE is gone');

$r = $sdk->run([ 'wrong certificate', 'single', Tee::Sdk::body('secret') ]);

is($r->{'wrong certificate'}{status}, 502,
    'an enclave with another certificate than the registered is not asked');
ok(!grep({ $_->{length} } grep { $_->{path} ne '/v1/ohttp' }
    $enclaves[1]->requests), 'and is sent nothing');

$t->finish;
done_testing();
