#!/usr/bin/perl
# RPC over TLS: who answers is checked by name and authority.

use FindBin;
use lib "$FindBin::Bin/lib";
use Tee::Test;

my $ca = Tee::Cert->new(name => 'authority', ca => 1);
my $other_ca = Tee::Cert->new(name => 'other authority', ca => 1);
my $one = tee('one');
my $evm = Tee::Evm->new(tees => [$one]);
my $dns = Tee::Dns->new(names => { 'rpc.test' => { A => ['127.0.0.1'] }, 'two.test' => { A => [ '127.0.0.9', '127.0.0.1' ] } });

sub rpc { my ($host, @cert) = @_; return $evm->fault(host => $host, cert => Tee::Cert->new(issuer => $ca, @cert)) }

sub start {
    my ($rpc) = @_;
    return Tee::Nginx->new(
        vars => { chain => $evm->conf($rpc->url), dns => $dns->port },
        files => { 'ca.pem' => $ca->{pem} },
        http => <<'CONF');
    tee_registry og {
        %%chain%% rpc_trusted_certificate ca.pem; resolver 127.0.0.1:%%dns%%; resolver_timeout 1s;
        refresh 200ms; refresh_min 100ms; max_block_age 0; allow_private on; rpc_timeout 2s; rpc_connect_timeout 500ms;
    }
    upstream tee { tee_peers og; }
    server {
        listen 127.0.0.1:%%PORT_http%%;
        location / { proxy_pass https://tee; }
        location /tee/status { tee_status; }
    }
CONF
}

my %good = (
    'a name' => rpc('rpc.test', name => 'rpc.test'),
    'a literal address' => rpc('127.0.0.1', name => 'x.test', addresses => ['127.0.0.1']),
    'a name whose first address does not answer' => rpc('two.test', name => 'two.test'),
);

for my $what (sort keys %good) {
    my $t = start($good{$what});
    eventually { $t->registry_status->{tees} } "accepted: $what" or diag $t->log;
    my $sockets = $good{$what}->do('count');
    eventually { $t->registry_status->{counters}{refresh_ok} >= 3 } "more refreshes: $what";
    is $t->registry_status->{counters}{refresh_failed}, 0, "none of which fails: $what";
    $t->finish;
}

my %bad = (
    'another name' => [ rpc('rpc.test', name => 'evil.test') ],
    'another address' => [ rpc('127.0.0.1', name => 'x.test', addresses => ['127.0.0.2']) ],
    'an address as a name' => [ rpc('127.0.0.1', name => '127.0.0.1') ],
    'another authority' => [ rpc('rpc.test', name => 'rpc.test', issuer => $other_ca) ],
    'nobody but itself' => [ $evm->fault(host => 'rpc.test', cert => Tee::Cert->new(name => 'rpc.test')) ],
    'an expired certificate' => [ rpc('rpc.test', name => 'rpc.test', from => time - 7200, to => time - 3600) ],
    'no TLS' => [ do { my $f = $evm->fault; $f->{url} =~ s/^http:/https:/; $f } ],
    'an unknown name' => [ do { my $f = rpc('none.test', name => 'none.test'); $f }, 'rpc_connect' ],
);

for my $what (sort keys %bad) {
    my ($rpc, $counter) = @{ $bad{$what} };
    $counter //= 'rpc_tls';
    my $t = start($rpc);
    eventually { $t->registry_status->{counters}{$counter} } "refused: $what" or diag explain $t->status;
    is $t->registry_status->{version}, 0, "nothing is learned from it: $what";
    is $rpc->do('count')->{count}, 0, "and nothing is asked: $what";
    $t->finish;
}

done_testing;
