#!/usr/bin/perl
# The status page: JSON with names that stay.

use FindBin;
use lib "$FindBin::Bin/lib";
use Tee::Test;

my ($one, $dead) = (tee('one', pcrHash => '0x' . 'ab' x 32), tee('dead'));
$dead->{upstream}->stop;
my $old = tee('old', cert => Tee::Cert->new(name => 'old.test', from => time - 7200, to => time - 3600));
my $evm = Tee::Evm->new(tees => [ $one, $dead, $old ]);

my $t = Tee::Nginx->new(
    workers => 2,
    vars => { chain => $evm->conf },
    files => { 'tees.json' => tees($one) },
    http => <<'CONF');
    tee_registry og { %%chain%% refresh 1s; refresh_min 500ms; max_block_age 0; allow_private on; type 0; }
    tee_registry "own \"list\"" { file tees.json; allow_private on; }
    upstream tee { tee_peers og round_robin fail_timeout=60s; }
    server {
        listen 127.0.0.1:%%PORT_http%%;
        location / { proxy_pass https://tee; }
        location = /tee/status { tee_status; }
    }
CONF

eventually { $t->registry_status('og')->{tees} } 'the registry is read';
$t->get('/') for 1 .. 6;

my $r = $t->get('/tee/status');
is $r->{status}, 200, 'the status is there';
is $r->header('content-type'), 'application/json', 'as JSON';
like $r->header('cache-control') // '', qr/no-store|no-cache/, 'and not to be cached';
is $t->request(HEAD => '/tee/status')->{status}, 200, 'HEAD is allowed';
is $t->request(POST => '/tee/status', undef, 'x')->{status}, 405, 'POST is not';

my $s = $r->json;
is_deeply [ sort keys %$s ], [qw(counters pid registries version worker)], 'what is in it';
like $s->{version}, qr/^\d+\.\d+\.\d+$/, 'the version of the module';
ok scalar(grep $_ == $s->{pid}, $t->workers), 'the worker that answers';
is_deeply [ map $_->{name}, @{ $s->{registries} } ], [ 'og', 'own "list"' ], 'all registries, by name';

my ($og, $own) = @{ $s->{registries} };
my @keys = qw(age block chain_id contract counters entries kind method name quorum refreshing rpcs skipped state tees type version);
is_deeply [ grep !exists $og->{$_}, @keys ], [], 'what a registry has';
is $og->{age} =~ /^\d+$/ ? 1 : 0, 1, 'its age is a number';
is $og->{method}, 'active', 'its method a word';
is $og->{tees}, 3, 'three TEEs';
is_deeply [ sort keys %{ $og->{rpcs}[0] } ], [qw(block failed healthy last_error ok url)], 'what an RPC has';
cmp_ok $og->{rpcs}[0]{ok}, '>=', 1, 'its answers are counted';
ok $og->{rpcs}[0]{healthy}, 'it is healthy';

my @from = map $t->get("/tee/status?from=$_")->json, 1, 99;
my ($next, $none) = map { [ map @{ $_->{entries} }, grep $_->{name} eq 'og', @{ $_->{registries} } ] } @from;
is_deeply [ map $_->{id}, @$next ], [ map $_->{id}, @{ $og->{entries} }[ 1 .. $#{ $og->{entries} } ] ], 'it can be read in parts';
is_deeply $none, [], 'to the end';
is $t->get("/tee/status?from=$_")->{status}, 400, "but not from $_" for '-1', 'x', '99999999999999999999';

my %entry = map { $_->{id} => $_ } @{ $og->{entries} };
is_deeply [ sort keys %{ $entry{ $one->{id} } } ], [qw(endpoint failures id not_after pcr_hash pin_sha256 state)],
    'what a TEE has';
is $entry{ $one->{id} }{endpoint}, $one->{endpoint}, 'its endpoint';
is $entry{ $one->{id} }{pcr_hash}, '0x' . 'ab' x 32, 'its image';
is $entry{ $one->{id} }{pin_sha256}, $one->{cert}{sha256}, 'its pin';
is $entry{ $one->{id} }{state}, 'up', 'it is up';
is $entry{ $old->{id} }{state}, 'expired', 'one whose certificate is over is not';
eventually {
    my ($e) = grep $_->{id} eq $dead->{id}, @{ $t->registry_status('og')->{entries} };
    $e->{state} eq 'avoided' && $e->{failures} >= 1
} 'nor is one that does not answer';

is $own->{kind}, 'file', 'a file is a registry, too';
is $own->{state}, 'fresh', 'always fresh';

my @counters = qw(refresh_ok refresh_failed rpc_connect rpc_timeout rpc_tls rpc_http rpc_malformed rpc_error rpc_chain_id
    rpc_no_contract rpc_old_block quorum zone_full state_write resolve);
is_deeply [ grep !defined $og->{counters}{$_}, @counters ], [], 'its counters by reason';
is_deeply [ sort keys %{ $s->{counters} } ], [qw(client gateway pin relay sign upstream verify)], 'counters of the other modules';
is_deeply [ grep !defined $s->{counters}{pin}{$_}, qw(mismatch expired unverified closed) ], [], 'of the pin';

# all workers tell the same

my %seen;
wait_until {
    my $x = $t->status;
    $seen{ $x->{pid} } = $x->{counters}{upstream}{requests};
    keys %seen == 2
} 10;
is scalar keys %seen, 2, 'both workers answer';
is +(values %seen)[0], (values %seen)[1], 'with the same counters';

$t->finish;
done_testing;
