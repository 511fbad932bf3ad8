#!/usr/bin/perl
# Under load through an upstream with keepalive: the chain changes, nginx is
# reloaded, a worker is killed, the RPC goes away, nginx is upgraded.  No
# request fails that did not have to, and none goes over a connection whose
# certificate the registry no longer has.

use FindBin;
use lib "$FindBin::Bin/lib";
use Tee::Test;
use Time::HiRes qw(sleep time);

my $gone = $ENV{TEE_RPC_GONE} // 6;
my $connections = 12;

my @tees = map tee($_, quiet => 1), 'one', 'two', 'three', 'four';
my ($one, $two, $three, $four) = @tees;
my $evm = Tee::Evm->new(tees => [ $one, $two, $four ]);
my $fault = $evm->fault;

my $t = Tee::Nginx->new(
    daemon => 1,
    workers => 2,
    log => 'notice',
    vars => { chain => $evm->conf($fault->url) },
    http => <<'CONF');
    tee_registry og {
        %%chain%% refresh 100ms; refresh_min 100ms; max_block_age 0; allow_private on; state og.json;
    }
    upstream tee { tee_peers og; keepalive 16; }
    map $status $bad { 200 0; default 1; }
    log_format bad '[error] status $status by $pid, $tee_error';
    server {
        listen 127.0.0.1:%%PORT_http%%;
        access_log logs/bad.log bad if=$bad;
        location / {
            proxy_pass https://tee; proxy_http_version 1.1; proxy_set_header Connection "";
            proxy_ssl_protocols TLSv1.2 TLSv1.3;
        }
        location /tee/status { tee_status; }
    }
CONF

wait_until { $t->registry_status->{tees} == 3 };

# runs something while wrk runs; what wrk has counted

sub under_load(&) {
    my ($what) = @_;
    my $out = $t->dir . '/wrk.out';

    # without keepalive on this side: a request sent while a worker closes an
    # idle connection is lost by the rules of HTTP
    defined(my $pid = fork) or die "fork: $!\n";

    if (!$pid) {
        open STDOUT, '>', $out;
        exec 'wrk', '-t1', "-c$connections", '-d600s', '--timeout', patience(5) . 's', '-H', 'Connection: close', 'http://127.0.0.1:' . $t->port . '/';
    }

    sleep 0.3;
    $what->();
    sleep 0.3;
    kill INT => $pid;
    waitpid $pid, 0;

    my $text = slurp($out);
    my %n = map { $_ => 0 } qw(connect read write timeout status);
    ($n{requests}) = $text =~ /(\d+) requests in/;
    $n{$1} = $2 while $text =~ /(connect|read|write|timeout) (\d+)/g;
    $n{status} = $1 if $text =~ /Non-2xx or 3xx responses: (\d+)/;
    $n{failed} = $n{connect} + $n{read} + $n{write} + $n{timeout} + $n{status};
    return { %n, text => $text };
}

sub pins { return { map { $_->{id} => $_->{pin_sha256} } @{ $t->registry_status->{entries} // [] } } }

sub whole {
    my ($n, $name) = @_;
    cmp_ok $n->{requests}, '>', 100, "$name: requests";
    return is($n->{failed}, 0, "$name: none failed") || diag($n->{text}, $t->read('logs/bad.log'), grep /\[(?:error|warn)\]/, split /^/, $t->log);
}

whole(under_load { sleep 3 }, 'nothing happens but refreshes');

# the chain changes

my (%since, %certs);
my $n = under_load {
    for my $round (1 .. 3) {
        for my $tee ($one, $two) {
            my $cert = Tee::Cert->new(name => "$tee->{name}$round.test");
            $tee->{upstream}->set_cert($cert);
            $evm->do("rotate-cert $tee->{name} $cert->{file}");
            wait_until { (pins()->{ $tee->{id} } // '') eq $cert->{sha256} } or fail 'the certificate has changed';
            $since{ $tee->{name} } = time;
            $certs{ $tee->{name} } = $cert->{file};
            sleep 0.5;
        }
    }

    $evm->do('disable four');
    wait_until { !pins()->{ $four->{id} } } or fail 'a TEE is disabled';
    $since{four} = time;
    $four->{upstream}->set_cert(Tee::Cert->new(name => 'nothing-of-its-old-connections'));
    $evm->add($three);
    wait_until { pins()->{ $three->{id} } } or fail 'a TEE is added';
    sleep 1;
};
whole($n, 'certificates rotate, a TEE is disabled, one is added');

# what a worker has begun before it could know may be on its way

for my $tee ($one, $two, $four) {
    my @late = grep $_->{at} > $since{ $tee->{name} } + patience(0.2), $tee->{upstream}->stale;
    is scalar @late, 0, "no request over a connection with an old certificate: $tee->{name}";
}

# reloads

$n = under_load {
    for (1 .. 5) {
        $t->reload or fail 'it reloads';
    }
};
whole($n, 'five reloads');
eventually { (() = $t->workers) == 2 } 'the old workers have gone', 20;
is $t->logged(qr/\[(?:warn|error)\].*(?:RPC|refresh)/), 0, 'a refresh that they have left unfinished is no failure';

# the worker that refreshes is killed

my $ok = sub { return $t->registry_status->{counters}{refresh_ok} // 0 };
my ($refreshing) = ($t->workers)[0];
$n = under_load {
    my $before = $t->logged(qr/start worker process/);
    my $seen = $ok->();
    kill KILL => $refreshing;
    wait_until { $t->logged(qr/start worker process/) > $before } or fail 'another takes its place';
    wait_until { $ok->() >= $seen + 2 } 20 or fail 'and refreshes';
};
cmp_ok $n->{requests}, '>', 100, 'the refreshing worker is killed: requests';
cmp_ok $n->{failed}, '<=', $connections, 'only requests in flight on it failed';
is $n->{connect} + $n->{timeout} + $n->{status}, 0, 'none of them by an error of ours';

# so is one in the midst of a refresh

$fault->do('delay 300');
$n = under_load {
    wait_until { $t->registry_status->{refreshing} } or fail 'a refresh is under way';
    my $before = $t->logged(qr/start worker process/);
    kill KILL => ($t->workers)[0];
    wait_until { $t->logged(qr/start worker process/) > $before };
    $fault->do('ok');
    my $seen = $ok->();
    wait_until { $ok->() >= $seen + 2 } 20 or fail 'it refreshes again';
};
cmp_ok $n->{failed}, '<=', $connections, 'a worker is killed in the midst of a refresh';

# the RPC goes away

my @lines = (qr/refresh failed/, qr/refresh succeeds again/);
my @before = map $t->logged($_), @lines;

$n = under_load {
    $fault->stop;
    my $failed = $t->registry_status->{counters}{refresh_failed};
    sleep $gone;
    cmp_ok $t->registry_status->{counters}{refresh_failed}, '>', $failed, 'the RPC has gone';
    $fault = $evm->fault(port => $fault->{port});
    my $seen = $ok->();
    wait_until { $ok->() > $seen } 30 or fail 'it comes back';
};
whole($n, 'the RPC is gone for a while');
is_deeply [ map $t->logged($_), @lines ], [ map $_ + 1, @before ], 'one line when it went, one when it came';

# upgrade

my $old = $t->pid;
$n = under_load {
    $t->upgrade or fail 'it is upgraded';
};
isnt $t->pid, $old, 'another master has taken over';
whole($n, 'an upgrade');
eventually { $ok->() >= 1 } 'the new one refreshes', 20;
is scalar keys %{ pins() }, 3, 'and knows the TEEs';

$t->finish(allow => qr/exited on signal 9/);
done_testing;
