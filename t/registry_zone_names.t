#!/usr/bin/perl
# A file whose list fits into its zone, but not with the addresses of its
# names: nginx goes on with what it has, and tries again.

use FindBin;
use lib "$FindBin::Bin/lib";
use Tee::Test;

my $cert = Tee::Cert->new(name => 'a.test');
my @tees = map Tee::Cert::enclave("named$_", endpoint => "https://named$_.test", cert => $cert), 1 .. 60;

sub start {
    my ($n) = @_;
    return Tee::Nginx->new(files => { 'tees.json' => tees(@tees[ 0 .. $n - 1 ]) }, workers => 1, http => <<'CONF');
    tee_registry og { file tees.json; zone 128k; }
    server {
        listen 127.0.0.1:%%PORT_http%%;
        location /tee/status { tee_status; }
    }
CONF
}

# the longest list that fits

my ($fits, $not) = (1, scalar @tees);

while ($not - $fits > 1) {
    my $n = int(($fits + $not) / 2);
    my $t = start($n);
    $t->registry_status->{tees} ? $fits = $n : ($not = $n);
    $t->stop;
}

cmp_ok $fits, '>', 15, 'a list that fills its zone';

my $t = start($fits);
eventually { $t->registry_status->{counters}{zone_full} >= 2 } 'has no room for addresses, however often they are looked up', 20;
is $t->registry_status->{tees}, $fits, 'and stays';
is $t->logged(qr/exited on signal/), 0, 'nothing breaks';
is $t->logged(qr/\[error\].*zone/), 1, 'one line says which directive to change';

$t->finish;
done_testing;
