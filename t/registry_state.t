#!/usr/bin/perl
# The last good answer is kept on disk, and is believed only if it is whole
# and of this contract on this chain.

use FindBin;
use lib "$FindBin::Bin/lib";
use JSON::PP;
use Tee::Test;

my $one = tee('one');
my $evm = Tee::Evm->new(tees => [$one]);
my $fault = $evm->fault;
my $dir = scratch();
my $conf = <<'CONF';
    tee_registry og {
        contract %%contract%%; chain_id %%chain_id%%; rpc %%rpc%%; state %%state%%; type %%type%%;
        refresh 1s; refresh_min 1s; max_block_age 0; allow_private on; max_stale %%max_stale%%;
    }
    upstream tee { tee_peers og; }
    server {
        listen 127.0.0.1:%%PORT_http%%;
        location / { proxy_pass https://tee; }
        location /tee/status { tee_status; }
    }
CONF
my %vars = (contract => $evm->address, chain_id => $evm->chain_id, rpc => $fault->url, state => "$dir/og.json", type => 0,
    max_stale => '1h');

sub start { return Tee::Nginx->new(http => $conf, vars => { %vars, @_ }) }

sub ends {
    my ($t) = @_;
    $t->stop;
    my @bad = grep /\[(?:alert|emerg|crit)\]/, split /\n/, $t->log;
    return is join("\n", @bad, $t->sanitizer_errors), '', 'it has ended well';
}

# written

my $t = start();
eventually { -s "$dir/og.json" } 'the state is written';
is sprintf('%o', (stat "$dir/og.json")[2] & 07777), '600', 'for its owner only';
my $state = slurp("$dir/og.json");
my $json = decode_json($state);
is lc $json->{contract}, lc $evm->address, 'it says of which contract it is';
is $json->{chain_id}, $evm->chain_id, 'and of which chain';
is scalar @{ $json->{tees} }, 1, 'and has the TEEs';
eventually { slurp("$dir/og.json") ne $state } 'it is written again by later refreshes';
is join(' ', map s{.*/}{}r, glob "$dir/*"), 'og.json', 'nothing else is left in its directory';
ends($t);

# used

$state = slurp("$dir/og.json");
$fault->do('status 503');
$t = start();
is $t->get('/')->{status}, 200, 'without an RPC the saved state serves, from the first request on';
is $t->registry_status->{tees}, 1, 'the status knows its TEEs';
is $t->registry_status->{counters}{refresh_ok}, 0, 'though no refresh has succeeded';
ends($t);

# a secret tool for a liar: change anything

my %broken = (
    'a changed byte' => $state =~ s/127\.0\.0\.1/127.0.0.2/r,
    'a cut' => substr($state, 0, length($state) / 2),
    'an empty file' => '',
    'no checksum' => encode_json({ %$json, sha256 => undef }),
    'garbage' => "\0\xff" x 1000,
);

for my $what (sort keys %broken) {
    spew("$dir/og.json", $broken{$what}, 0600);
    $t = start();
    problem($t->get('/'), 502, 'registry_empty', "a state with $what is not used");
    like $t->log, qr/\[(?:warn|error)\].*og\.json/, "and the log says so: $what";
    ends($t);
}

spew("$dir/og.json", $state, 0600);

for my $what ([ contract => '0x' . '11' x 20 ], [ chain_id => 1 ], [ type => 1 ]) {
    $t = start(@$what);
    problem($t->get('/'), 502, 'registry_empty', "the state of another $what->[0] is not used");
    like $t->log, qr/\[(?:warn|error)\].*og\.json/, "and the log says so: $what->[0]";
    ends($t);
}

spew("$dir/og.json", $state, 0666);
$t = start();
problem($t->get('/'), 502, 'registry_empty', 'a state that others may write is not used');
ends($t);

spew("$dir/real.json", $state, 0600);
unlink "$dir/og.json";
symlink "$dir/real.json", "$dir/og.json";
$t = start();
isnt $t->get('/')->{status}, 0, 'a link in its place does no harm';
ends($t);
unlink "$dir/og.json", "$dir/real.json";

# too old

spew("$dir/og.json", $state, 0600);
$t = start(max_stale => '1s');
eventually { ($t->get('/')->json->{reason} // '') eq 'registry_stale' } 'a state older than max_stale is not used';
problem($t->get('/'), 502, 'registry_stale', 'which is a problem');
is $t->registry_status->{state}, 'stale', 'the status says so';
eventually { $t->logged(qr/max_stale/) == 1 } 'and one line of the log';
$fault->do('ok');
eventually { $t->get('/')->{status} == 200 } 'an answer of the RPC makes it good again';
is $t->registry_status->{state}, 'fresh', 'and fresh';
ends($t);

# a place that cannot be written is no reason to stop

$t = start(state => "$dir/none/og.json");
eventually { $t->get('/')->{status} == 200 } 'a state that cannot be written does not stop the registry';
eventually { $t->registry_status->{counters}{state_write} >= 2 } 'but is counted';
is $t->logged(qr/none.og\.json/), 1, 'and logged once';
ends($t);

done_testing;
