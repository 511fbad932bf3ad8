#!/usr/bin/perl
# A registry that does not fit into its zone: the old snapshot stays.

use FindBin;
use lib "$FindBin::Bin/lib";
use Tee::Test;

my $one = tee('one');
my $evm = Tee::Evm->new(tees => [$one]);

my $t = Tee::Nginx->new(
    workers => 2,
    vars => { chain => $evm->conf },
    http => <<'CONF');
    tee_registry og { %%chain%% zone 128k; refresh 500ms; refresh_min 200ms; max_block_age 0; allow_private on; }
    upstream tee { tee_peers og id=$arg_id; }
    server {
        listen 127.0.0.1:%%PORT_http%%;
        location / { proxy_pass https://tee; }
        location /tee/status { tee_status; }
    }
CONF

sub reg { return $t->registry_status }

eventually { reg()->{tees} } 'a small registry fits into a small zone';

# certificates with many names are large

my @large = map Tee::Cert::enclave("large$_", endpoint => "https://127.0.0.1:100$_",
    cert => Tee::Cert->new(name => "large$_.test", addresses => [ map "10.0.$_.1", 0 .. 250 ])), 10 .. 39;
$evm->add($_) for @large;

eventually { reg()->{counters}{zone_full} >= 2 } 'one that has grown does not';
my ($version, $full) = (reg()->{version}, reg()->{counters}{zone_full});
eventually { reg()->{counters}{zone_full} > $full } 'however often it is asked for';
is reg()->{version}, $version, 'the old snapshot stays';
cmp_ok reg()->{tees}, '<', 31, 'which is one without all of the new TEEs';
is $t->get("/?id=$one->{id}")->{status}, 200, 'and serves';
is $t->logged(qr/\[error\].*zone/), 1, 'one line says which directive to change';

# the list that stayed may be the one to come back to, so the block tells: an
# answer that has found no room does not count

my $block;
$block = $evm->do("remove $_->{name}")->{block} for @large;
cmp_ok $block, '>', 0, 'the contract is small again';
eventually { reg()->{tees} == 1 && reg()->{block} >= $block } 'and fits', 30;

$t->finish;
done_testing;
