#!/usr/bin/perl
# Directives of the registry, the upstream and the status page: what is
# accepted, and what is refused with which reason.

use FindBin;
use lib "$FindBin::Bin/lib";
use Tee::Test;

my $one = tee('one');
my %files = ('tees.json' => tees($one), 'ca.pem' => $one->{cert}{pem});
my $contract = '0x' . 'aB' x 20;
my $chain = "contract $contract; chain_id 10740; rpc https://127.0.0.1:8545;";

sub error { return Tee::Nginx->conf_error(files => \%files, http => $_[0]) }
sub registry { return error("tee_registry og { $_[0] }") }
sub good { my ($conf, $name) = @_; return is registry($conf), '', $name }
sub bad { my ($conf, $why, $name) = @_; return like registry($conf), $why, $name // "refused: $conf" }

# what works

good($chain, 'a registry on a chain');
good('file tees.json; allow_private on;', 'a registry in a file');
good("$chain rpc https://127.0.0.1:2/path?key=1; rpc https://[::1]:3; quorum 2; type 255; method ids; refresh 100ms;
    refresh_min 5s; max_stale 1d; max_block_age 0; state og.json; pcr 0x@{[ 'ab' x 32 ]}; pcr 0x@{[ 'CD' x 32 ]};
    zone 1m; allow_private off; resolver 127.0.0.1:5353 valid=5s; resolver_timeout 1s; rpc_trusted_certificate ca.pem;
    rpc_connect_timeout 1s; rpc_send_timeout 1s; rpc_read_timeout 1s; rpc_timeout 3s; rpc_max_response 1m;",
    'every directive');
good("contract $contract; chain_id 1; rpc http://$_:8545;", "http:// to $_") for '127.0.0.1', '127.9.9.9', '[::1]', 'localhost';
good("contract $contract; chain_id 9223372036854775807; rpc https://127.0.0.1;", 'the largest chain id');
is error("tee_registry a { $chain } tee_registry b { $chain }"), '', 'two registries';

# what is missing, or too much

bad('', qr/needs "contract", "chain_id" and "rpc", or "file"/, 'an empty block is refused');
bad("contract $contract; chain_id 1;", qr/needs "contract"/, 'no rpc');
bad("contract $contract; rpc https://127.0.0.1;", qr/needs "contract"/, 'no chain_id');
bad('chain_id 1; rpc https://127.0.0.1;', qr/needs "contract"/, 'no contract');
bad("$chain file tees.json;", qr/"file" excludes/, 'a file and a chain');
bad('file tees.json; state og.json; allow_private on;', qr/"file" excludes/, 'a file and a state');
like error("tee_registry a { $chain } tee_registry a { $chain }"), qr/duplicate/, 'two registries of one name';
like error('tee_registry { }'), qr/invalid number of arguments/, 'a registry without a name';
like error("server { tee_registry a { $chain } }"), qr/not allowed here/, 'a registry in a server';

# bad values

bad("$chain nonsense on;", qr/unknown directive "nonsense"/);
bad("contract $_; chain_id 1; rpc https://127.0.0.1;", qr/40 hexadecimal digits/)
    for '0x12', 'ab' x 20, '0x' . 'zz' x 20, "${contract}00";
bad("contract $contract; chain_id $_; rpc https://127.0.0.1;", qr/positive number/)
    for 0, -1, 'x', '0x29f4', '99999999999999999999999';
bad("contract $contract; chain_id 1; rpc $_;", qr/"rpc" directive/)
    for 'ftp://127.0.0.1', '127.0.0.1:1', 'https://', 'https://user@127.0.0.1', 'https://u:p@127.0.0.1/x', 'https://127.0.0.1:70000',
    'https://127.0.0.1:0', 'https://127.0.0.1 secure', 'https://unix:/tmp/x';
bad("contract $contract; chain_id 1; rpc http://192.0.2.1;", qr/without TLS/, 'http:// to somebody else');
bad("contract $contract; chain_id 1; rpc http://localhost.example;", qr/without TLS/, 'http:// to a name');
bad("$chain quorum $_;", qr/quorum|between 1 and 16|invalid number/) for 0, -1, 2, 17, 'x';
bad("$chain type $_;", qr/type|between 0 and 255|invalid number/) for -1, 256, 'x';
bad("$chain method $_;", qr/method|invalid value/) for 'all', 'ACTIVE2';
bad("$chain refresh $_;", qr/refresh/) for '0', '99ms', 'x', '-1s';
bad("$chain max_stale $_;", qr/max_stale/) for '0', 'x';
bad("$chain zone $_;", qr/zone/) for '1k', 'x', '-1m';
bad("$chain pcr $_;", qr/64 hexadecimal digits/) for '0x', '0x' . 'ab' x 31, 'ab' x 32, '0x' . 'zz' x 32;
bad("$chain allow_private maybe;", qr/allow_private/);
bad("$chain rpc_trusted_certificate none.pem;", qr/none\.pem/);
bad("$chain $_ x;", qr/$_/)
    for qw(rpc_connect_timeout rpc_send_timeout rpc_read_timeout rpc_timeout rpc_max_response refresh_min resolver_timeout max_block_age);
bad("$chain rpc;", qr/invalid number of arguments/);
bad("$chain type 1 2;", qr/invalid number of arguments/);

# each only once, but for those that repeat

for my $directive ('chain_id 2', "contract $contract", 'quorum 1', 'type 0', 'method active', 'refresh 1s', 'refresh_min 1s',
    'max_stale 1h', 'max_block_age 1s', 'zone 1m', 'allow_private on', 'resolver_timeout 1s', 'resolver 127.0.0.1',
    'state a.json', 'rpc_trusted_certificate ca.pem', 'rpc_connect_timeout 1s', 'rpc_send_timeout 1s',
    'rpc_read_timeout 1s', 'rpc_timeout 3s', 'rpc_max_response 1m')
{
    my ($name) = split ' ', $directive;
    bad("$chain $directive; $directive;", qr/duplicate/, "a duplicate is refused: $name");
}

bad('file tees.json; file tees.json; allow_private on;', qr/duplicate/, 'a duplicate is refused: file');

# said loudly

my (undef, $text) = error("tee_registry og { contract $contract; chain_id 1; rpc http://192.0.2.1/key insecure; }");
like $text, qr/\[warn\].*http:\/\/192\.0\.2\.1.*not protected by TLS/, 'an insecure RPC is warned of';
unlike $text, qr/\/key/, 'without its path';

# upstream

my $file = 'tee_registry og { file tees.json; allow_private on; }';

sub upstream { return error("$file upstream tee { $_[0] } server { listen 127.0.0.1:%%PORT_x%%; location / { proxy_pass https://tee; } }") }

is upstream("tee_peers og $_;"), '', "tee_peers og $_"
    for '', 'random', 'round_robin', 'id=$arg_id', 'hash=$remote_addr', 'max_fails=0', 'max_fails=3 fail_timeout=1m', 'id=$arg_id max_fails=2';
is upstream('tee_peers og; keepalive 4; keepalive_requests 10; keepalive_timeout 5s;'), '', 'with keepalive';
is error("upstream tee { tee_peers og; } $file"), '', 'the registry may come later';
is error("$file upstream a { tee_peers og; } upstream b { tee_peers og random; }"), '', 'two upstreams over one registry';
like upstream('tee_peers;'), qr/invalid number of arguments/, 'no registry';
like upstream('tee_peers none;'), qr/unknown registry "none"/, 'an unknown registry';
like upstream('tee_peers "";'), qr/needs the name of a registry/, 'an empty name';
like upstream("tee_peers og $_;"), qr/invalid parameter/, "refused: tee_peers og $_"
    for 'id=', 'hash=', 'other', 'max_fails=x', 'max_fails=-1', 'fail_timeout=x', 'random round_robin', 'id=$arg_a hash=$arg_b', 'weight=2';
like upstream('tee_peers og id=$no_such_variable;'), qr/unknown "no_such_variable" variable/, 'an unknown variable';
like upstream('tee_peers og; tee_peers og;'), qr/duplicate/, 'a duplicate is refused: tee_peers';

# since 1.29.7 keepalive is no wrapper any more, and may stand anywhere

Tee::Nginx::version() >= 1.029007
    ? is upstream('keepalive 4; tee_peers og;'), '', 'keepalive may come before'
    : like upstream('keepalive 4; tee_peers og;'), qr/before "keepalive"/, 'keepalive comes after';

like upstream("$_; tee_peers og;"), qr/only balancer/, "another balancer is refused: $_" for 'ip_hash', 'least_conn', 'random', 'hash $uri';
isnt upstream("tee_peers og; $_;"), '', "another balancer is refused after it: $_" for 'ip_hash', 'least_conn', 'random', 'hash $uri';
like upstream('server 127.0.0.1:1; tee_peers og;'), qr/"server" cannot be used/, 'a server beside it is refused';
like upstream('tee_peers og; server 127.0.0.1:1;'), qr/"server" cannot be used/, 'and after it';
like upstream('zone z 64k; tee_peers og;'), qr/"zone" cannot be used/, 'a zone is refused';
like error("$file server { tee_peers og; }"), qr/not allowed here/, 'tee_peers in a server';

like(error("$file upstream tee { tee_peers og; } server { location / { proxy_pass http://tee; } }"), qr/without TLS/,
    'proxy_pass with http:// is refused');

# status

is error('server { location / { tee_status; } }'), '', 'tee_status in a location';
like error('server { tee_status; }'), qr/not allowed here/, 'not in a server';
like error('server { location / { tee_status on; } }'), qr/invalid number of arguments/, 'and without parameters';

done_testing;
