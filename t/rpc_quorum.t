#!/usr/bin/perl
# Several RPCs: a snapshot is what enough of them say of one block.

use FindBin;
use lib "$FindBin::Bin/lib";
use Tee::Test;

my ($one, $evil) = (tee('one'), tee('evil'));
my $evm = Tee::Evm->new(tees => [$one]);
my $liar = Tee::Evm->new(tees => [ $one, $evil ]);

# the same question to the liar's chain gives an answer that is well-formed

my $lie = do {
    my $r = Tee::Http::request($liar->rpc =~ s/.*://r, POST => '/', [ 'Content-Type' => 'application/json' ],
        JSON::PP::encode_json({ jsonrpc => '2.0', id => 1, method => 'eth_call',
            params => [ { to => $liar->address, data => '0x4b6014da' . '0' x 64 }, 'latest' ] }));
    spew(scratch() . '/lie', $r->json->{result});
};

my @rpc = map $evm->fault, 1 .. 3;

sub start {
    my ($quorum, @rpcs) = @_;
    return Tee::Nginx->new(vars => { chain => $evm->conf(map $_->url, @rpcs) }, http => <<"CONF");
    tee_registry og {
        %%chain%% quorum $quorum; refresh 200ms; refresh_min 100ms; max_block_age 0; allow_private on; rpc_timeout 1s;
    }
    upstream tee { tee_peers og id=\$arg_id; }
    server {
        listen 127.0.0.1:%%PORT_http%%;
        location / { proxy_pass https://tee; }
        location /tee/status { tee_status; }
    }
CONF
}

my $t = start(2, @rpc);
my $reg = sub { return $t->registry_status };
my $ask = sub { return $t->get("/?id=$_[0]{id}")->{status} };
my $rounds = sub {
    my ($kind, $n) = @_;
    my $from = $reg->()->{counters}{$kind};
    return wait_until { $reg->()->{counters}{$kind} >= $from + $n };
};

eventually { $reg->()->{tees} } 'three RPCs agree';
is $reg->()->{quorum}, 2, 'two of them would do';

# one lies

$rpc[0]->do("on eth_call file $lie");
ok $rounds->('refresh_ok', 3), 'with one liar refreshes succeed';
my $s = $reg->();
is $s->{tees}, 1, 'and the snapshot is that of the other two';
is $ask->($evil), 404, 'its TEE is unknown';
is_deeply [ map $_->{healthy} ? 1 : 0, @{ $s->{rpcs} } ], [ 0, 1, 1 ], 'the status shows who it is';
cmp_ok $s->{counters}{rpc_disagrees}, '>=', 2, 'disagreement is counted';
is $t->logged(qr/\[warn\].*does not agree/), 1, 'and logged once';

# the truth changes meanwhile

my $two = tee('two');
$evm->add($two);
eventually { $ask->($two) == 200 } 'what the others agree on is followed';

# two lie differently

$rpc[1]->do('on eth_call result 0x' . '0' x 62 . '20' . '0' x 64);
ok $rounds->('refresh_failed', 2), 'with two that disagree no refresh succeeds';
$s = $reg->();
cmp_ok $s->{counters}{quorum}, '>=', 1, 'a missed quorum is counted';
is $s->{tees}, 2, 'the last good snapshot stays';
is $ask->($one), 200, 'and serves';

# one says nothing, one lies

$rpc[1]->do('stall');
ok $rounds->('refresh_failed', 2), 'one that is silent and one that lies are no quorum with the third';
is $ask->($evil), 404, 'still the TEE of the liar is unknown';

$_->do('ok') for @rpc;
eventually { !grep !$_->{healthy}, @{ $reg->()->{rpcs} } } 'they recover';

# an RPC that is behind, and one that pretends to be ahead

$rpc[0]->do('on eth_getBlockByNumber stall');
ok $rounds->('refresh_ok', 2), 'one that does not tell its block is done without';
$rpc[0]->do('on eth_chainId result 0x1');
ok $rounds->('refresh_ok', 2), 'so is one of another chain';
cmp_ok $reg->()->{counters}{rpc_chain_id}, '>=', 1, 'which is counted';
$rpc[0]->do('ok');

my %asked;
$_->do('log') for @rpc;
ok $rounds->('refresh_ok', 2), 'all are asked';
$asked{$_}++ for map { JSON::PP::decode_json($_->{body})->{params}[1] } grep $_->{body} =~ /eth_call/, map @{ $_->do('log')->{log} }, @rpc;
is scalar keys %asked, 1, 'for the same block';

$t->finish;

# a quorum that was never reached

$_->do('ok') for @rpc;
$rpc[0]->do("on eth_call file $lie");
$t = start(2, @rpc[0, 1]);
eventually { $reg->()->{counters}{refresh_failed} >= 2 } 'two RPCs that do not agree at start';
problem($t->get('/?id=' . $one->{id}), 502, 'registry_empty', 'make no snapshot');
$t->finish;

done_testing;
