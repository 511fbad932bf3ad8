#!/usr/bin/perl
# An RPC that misbehaves: the last good snapshot stays, the right thing is
# counted, and the log has one line per change of state.

use FindBin;
use lib "$FindBin::Bin/lib";
use Tee::Test;

my $one = tee('one');
my $evm = Tee::Evm->new(tees => [$one]);
my $fault = $evm->fault;

my $t = Tee::Nginx->new(
    vars => { chain => $evm->conf($fault->url . '/secret-path') },
    http => <<'CONF');
    tee_registry og {
        %%chain%% refresh 200ms; refresh_min 100ms; max_block_age 60s; allow_private on;
        rpc_connect_timeout 1s; rpc_send_timeout 1s; rpc_read_timeout 300ms; rpc_timeout 1s; rpc_max_response 256k;
    }
    upstream tee { tee_peers og; }
    server {
        listen 127.0.0.1:%%PORT_http%%;
        location / { proxy_pass https://tee; }
        location /tee/status { tee_status; }
    }
CONF

sub reg { return $t->registry_status }

eventually { reg()->{tees} } 'the registry is read';

# [ command, counter, what the log says ]

my @faults = (
    [ 'status 503', 'rpc_http', qr/status/ ],
    [ 'status 429', 'rpc_http', qr/status/ ],
    [ 'status 301', 'rpc_http', qr/status/ ],
    [ 'delay 700', 'rpc_timeout', qr/time/ ],
    [ 'stall', 'rpc_timeout', qr/time/ ],
    [ 'drip 1 50', 'rpc_timeout', qr/time/ ],
    [ 'reset', 'rpc_connect', qr/./ ],
    [ 'close', 'rpc_connect', qr/./ ],
    [ 'truncate 40', 'rpc_http', qr/./ ],
    [ 'replace <html>', 'rpc_malformed', qr/./ ],
    [ 'replace {"jsonrpc":"2.0"', 'rpc_malformed', qr/./ ],
    [ 'replace []', 'rpc_malformed', qr/./ ],
    [ 'rpc-error -32000 header not found', 'rpc_error', qr/header not found/ ],
    [ 'wrong-id', 'rpc_malformed', qr/./ ],
    [ 'null', 'rpc_malformed', qr/./ ],
    [ 'huge 200000', 'rpc_too_large', qr/./ ],
    [ 'on eth_chainId result 0x1', 'rpc_chain_id', qr/chain/ ],
    [ 'older 61', 'rpc_old_block', qr/max_block_age/ ],
    [ 'on eth_call result 0x', 'rpc_no_contract', qr/no contract/ ],
    [ 'on eth_call result 0x00', 'rpc_malformed', qr/./ ],
    [ 'on eth_call result 0x' . '00' x 32, 'rpc_malformed', qr/./ ],
    [ 'on eth_call result ' . 'zz' x 32, 'rpc_malformed', qr/./ ],
    [ 'on eth_call rpc-error 3 execution reverted: why', 'rpc_error', qr/execution reverted: why/ ],
);

for my $case (@faults) {
    my ($command, $counter, $says) = @$case;
    my $name = length $command > 40 ? substr($command, 0, 40) . '...' : $command;
    $evm->do('mine');
    wait_until { my $r = reg(); $r->{rpcs}[0]{healthy} && !$r->{refreshing} };
    my $before = reg()->{counters};
    my $lines = $t->logged(qr/\[warn\].*RPC /);
    $fault->do($command);
    eventually { reg()->{counters}{refresh_failed} >= $before->{refresh_failed} + 2 } "$name: refreshes fail";
    my $s = reg();
    cmp_ok $s->{counters}{$counter}, '>=', $before->{$counter} + 2, "$name: counted as $counter"
        or diag explain $before, $s;
    is $t->get('/')->{status}, 200, "$name: the last good snapshot stays";
    ok !$s->{rpcs}[0]{healthy}, "$name: the RPC is not healthy";
    like $s->{rpcs}[0]{last_error}, $says, "$name: its last error is shown";
    is $t->logged(qr/\[warn\].*RPC /), $lines + 1, "$name: one line is logged";
    my $again = $t->logged(qr/answers again/);
    $evm->do('mine');
    $fault->do('ok');
    eventually { reg()->{rpcs}[0]{healthy} } "$name: and it recovers";
    is $t->logged(qr/answers again/), $again + 1, "$name: with one line, too";
}

# an RPC that is gone

{
    $fault->stop;
    my $before = reg()->{counters}{rpc_connect};
    eventually { reg()->{counters}{rpc_connect} >= $before + 2 } 'an RPC that is gone is counted';
    is $t->get('/')->{status}, 200, 'the last good snapshot stays';
    $fault = $evm->fault(port => $fault->{port});
    eventually { reg()->{rpcs}[0]{healthy} } 'and it recovers when it comes back', 20;
}

# what is not a fault

for my $command ('chunked', 'eof', 'drip 50 1', 'delay 100') {
    $evm->do('mine');
    $fault->do($command);
    my $before = reg()->{counters};
    eventually { reg()->{counters}{refresh_ok} >= $before->{refresh_ok} + 2 } "$command: is no fault"
        or diag explain reg();
    is reg()->{counters}{refresh_failed}, $before->{refresh_failed}, "$command: no refresh fails";
}

$fault->do('ok');
$fault->do('log');
my $methods = $fault->do('count')->{methods};
eventually { $fault->do('count')->{methods}{eth_call} > $methods->{eth_call} } 'the RPC is asked';
my ($asked) = grep $_->{body} =~ /eth_call/, @{ $fault->do('log')->{log} };
my $json = JSON::PP::decode_json($asked->{body});
like $json->{params}[1], qr/^0x[1-9a-f][0-9a-f]*$/, 'for one block by its number';
is $json->{params}[0]{data}, '0x4b6014da' . '0' x 64, 'for getActiveTEEs(0)';
is lc $json->{params}[0]{to}, lc $evm->address, 'at the contract';
my %fields = @{ $asked->{head} };
is $fields{Host}, "127.0.0.1:$fault->{port}", 'with its host';
is $fields{'Content-Type'}, 'application/json', 'and type';

like reg()->{rpcs}[0]{url}, qr{^http://127\.0\.0\.1:\d+$}, 'the status shows the RPC without its path';
unlike $t->log, qr/secret-path/, 'nor does the log have it';

$t->finish;
done_testing;
