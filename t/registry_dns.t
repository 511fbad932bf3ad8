#!/usr/bin/perl
# Endpoints with names are looked up at run time, again and again.

use FindBin;
use lib "$FindBin::Bin/lib";
use Tee::Test;

my $cert = Tee::Cert->new(name => 'a.test');
my $first = Tee::Upstream->new(name => 'first', cert => $cert, address => '127.0.0.1');
my $second = Tee::Upstream->new(name => 'second', cert => $cert, address => '127.0.0.2', port => $first->port);
my $tee = tee('a', host => 'a.test', cert => $cert, upstream => $first);
my $late = tee('late', host => 'late.test');
my $fails = tee('fails', host => 'fails.test');
my $two = tee('two', host => 'two.test');

my $dns = Tee::Dns->new(names => {
    'a.test' => { A => ['127.0.0.1'], ttl => 1 },
    'fails.test' => { fail => 1 },
    'two.test' => { A => [ '127.0.0.9', '127.0.0.1' ], ttl => 600 },
});
my $evm = Tee::Evm->new(tees => [ $tee, $late, $fails, $two ]);

sub start {
    my ($more) = @_;
    return Tee::Nginx->new(vars => { chain => $evm->conf, dns => $dns->port }, http => <<"CONF");
    resolver 127.0.0.1:%%dns%% ipv6=off;
    tee_registry og { %%chain%% refresh 1s; refresh_min 1s; max_block_age 0; resolver_timeout 1s; $more }
    upstream tee { tee_peers og id=\$arg_id; }
    upstream any { tee_peers og; }
    server {
        listen 127.0.0.1:%%PORT_http%%;
        location / { proxy_pass https://tee; proxy_connect_timeout 1s; }
        location /any { proxy_pass https://any; }
        location /tee/status { tee_status; }
    }
CONF
}

my $t = start('allow_private on;');
my $ask = sub { return $t->get("/?id=$_[0]{id}") };
my $state = sub { my ($e) = grep $_->{id} eq $_[0]{id}, @{ $t->registry_status->{entries} }; return $e->{state} };

eventually { $t->registry_status->{tees} } 'the registry is read';
is $ask->($tee)->header('x-backend'), 'first', 'a name is looked up';
is $state->($tee), 'up', 'its TEE is up';
is $state->($_), 'unresolved', "that of a name without address is not: $_->{name}" for $late, $fails;
problem($ask->($late), 502, 'no_live_tee', 'a request for it is a problem');
is_deeply [ map $t->get('/any')->{status}, 1 .. 6 ], [ (200) x 6 ], 'the others serve';
is $ask->($two)->{status}, 200, 'of two addresses the one that answers is used';

$dns->set('a.test' => { A => ['127.0.0.2'], ttl => 1 });
eventually { $ask->($tee)->header('x-backend') eq 'second' } 'a name that moves is followed', 15;

$dns->set('late.test' => { A => ['127.0.0.1'], ttl => 1 });
eventually { $ask->($late)->{status} == 200 } 'a name that appears is found', 20;

my $failures = $t->registry_status->{counters}{resolve};
$dns->set('a.test' => { fail => 1 });
eventually { $t->registry_status->{counters}{resolve} > $failures + 1 } 'a name that cannot be looked up any more', 20;
is $ask->($tee)->{status}, 200, 'keeps its address';
$t->finish;

$dns->set('a.test' => { A => ['127.0.0.1'], ttl => 1 });
$first->forget;
$t = start('');
eventually { $t->registry_status->{tees} } 'private addresses are not allowed';
isnt $state->($tee), 'up', 'a name that points to one is not used';
problem($ask->($tee), 502, 'no_live_tee', 'which is a problem');
is scalar(() = $first->connections), 0, 'and nothing was sent there';
$t->finish;

done_testing;
