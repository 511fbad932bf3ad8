#!/usr/bin/perl
# Two machines that share what they have seen through Redis: replays from one
# to the other, Redis going away and coming back, being slow, asking for a
# password.

use FindBin;
use lib "$FindBin::Bin/lib";
use Tee::Test;

use IO::Select;
use IO::Socket::INET;
use IO::Socket::UNIX;
use Tee::Ohttp;
use Tee::Sealed;
use Tee::Util qw(free_port);
use Time::HiRes qw(time);

my $key = Tee::Ohttp::keygen();
my $secrets = scratch();
my $secret = spew("$secrets/key.pem", Tee::Ohttp::key_pem($key), 0600);
my $password = spew("$secrets/password", "the word\n", 0600);
my $wrong = spew("$secrets/wrong", "another\n", 0600);

# -- a Redis, which may be stopped for a while

my ($dir, $port, $redis) = (scratch(), free_port());

sub redis {
    defined($redis = fork) or die "fork: $!\n";

    if (!$redis) {
        open STDOUT, '>', "$dir/log";
        open STDERR, '>&', \*STDOUT;
        my @command = ('redis-server', '--port', $port, '--bind', '127.0.0.1', '--unixsocket', "$dir/socket", '--save', '', '--dir', $dir, @_);
        { exec @command }
        POSIX::_exit(127);
    }

    return wait_until { IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port) };
}

sub redis_ends { kill $_[0] // 'KILL', $redis; kill CONT => $redis; waitpid $redis, 0; return undef $redis }

sub ask {
    my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port) or return '';
    print $s join '', '*', scalar @_, "\r\n", map { '$' . length($_) . "\r\n$_\r\n" } @_;
    sysread $s, my $answer, 65536;
    return $answer;
}

END { local $?; if ($redis) { kill CONT => $redis; kill KILL => $redis; waitpid $redis, 0 } }

# -- machines

sub machine {
    my ($replay, %o) = @_;
    my $n = 0;
    my $locations = join "\n", map {
        my $name = 'ohttp' . ($n++ || '');
        "location = /$name { tee_gateway main; tee_gateway_target http://inside.example /; tee_gateway_replay $_; }"
    } ref $replay ? @$replay : $replay;

    return Tee::Nginx->new(workers => $o{workers} // 2, log => 'info', %o, http => <<"CONF");
    tee_gateway_keys main { key 1 $secret; }
    server {
        listen 127.0.0.1:%%PORT_http%%;
        $locations
        location / { return 200 inside; }
        location /tee/status { tee_status; }
    }
CONF
}

sub client { my ($t, %o) = @_; return Tee::Sealed->new(port => $t->port, to => { pk => Tee::Ohttp::public_key($key), id => 1, aead => 1 }, scheme => 'http', %o) }

sub sealed {
    my ($g, %o) = @_;
    my ($bytes, $ctx) = $g->seal(Tee::Bhttp::request(GET => '/', scheme => 'http', %o));
    return sub { my (%to) = @_; my $at = $to{g} // $g; return $at->open($ctx, $at->post($bytes, %to)) };
}

sub ok_inside { my ($r, $name) = @_; local $Test::Builder::Level = $Test::Builder::Level + 1; return is $r->{error} // $r->{status}, 200, $name }

sub refused {
    my ($r, $status, $reason, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return is_deeply [ $r->{error}, $r->{status}, $r->json->{reason} ], [ undef, $status, $reason ], $name;
}

redis() or die 'no redis-server: ' . slurp("$dir/log");

my @t = (machine("redis=127.0.0.1:$port window=1m"),
    machine([ "redis=unix:$dir/socket window=1m", "redis=127.0.0.1:$port window=1m redis_away=local" ]));
my ($one, $two, $local) = (client($t[0]), client($t[1]), client($t[1], path => '/ohttp1'));

# -- one set for both

for my $pair ([ $one, $two, 'one to two' ], [ $two, $one, 'two to one' ], [ $one, $local, 'over another connection' ]) {
    my ($from, $to, $name) = @$pair;
    my $send = sealed($from);
    ok_inside($send->(), "$name: a request");
    refused($send->(g => $to), 400, 'replayed', "$name: its replay");
    refused($send->(), 400, 'replayed', "$name: where it came from");
}

my ($name) = ask('KEYS', '*') =~ /(tee_replay:[0-9a-f]{32})\r/;
ok $name, 'a digest is all that Redis gets';
my ($left) = ask('PTTL', $name) =~ /:(\d+)/;
ok $left > 100_000 && $left <= 120_000, "for twice the window: $left ms";

my @pids = map {
    my $g = $_ % 2 ? $one : $two;
    $g;
} 1 .. 20;
my $send = sealed($one);
my $passed = 0;

@pids = map {
    my $g = $_;
    my $pid = fork // die "fork: $!\n";
    POSIX::_exit($send->(g => $g)->{status} == 200 ? 1 : 0) if !$pid;
    $pid;
} @pids;
waitpid($_, 0), $passed += $? >> 8 for @pids;
is $passed, 1, 'of twenty at once to both, one passes';

# many at once over one connection to Redis

my $worked = 0;
my @c = map { my ($bytes, $ctx) = $one->seal(Tee::Bhttp::request(GET => '/', scheme => 'http')); my $c = $t[0]->client; [ $c, $bytes, $ctx ] } 1 .. 100;
$_->[0]->send_request(POST => '/ohttp', [ 'Content-Type' => 'message/ohttp-req' ], $_->[1]) for @c;
$worked += $one->open($_->[2], $_->[0]->response)->{status} == 200 for @c;
is $worked, 100, 'a hundred requests at once';

# a client that goes away while Redis is asked

$redis and kill STOP => $redis;

for (1 .. 5) {
    my ($bytes) = $one->seal(Tee::Bhttp::request(GET => '/', scheme => 'http'));
    my $c = $t[0]->client;
    $c->send_request(POST => '/ohttp', [ 'Content-Type' => 'message/ohttp-req' ], $bytes);
    $c->close;
}

kill CONT => $redis;
eventually { sealed($one)->()->{status} == 200 } 'clients that do not wait';

# -- slow

kill STOP => $redis;
my $start = time;
$send = sealed($one);
refused($send->(), 503, 'replay_away', 'a Redis that does not answer: refused');
my $took = time - $start;
ok $took >= 0.15 && $took < patience(2), 'after the time for it';
$start = time;
my @again = map { sealed($one)->() } 1 .. 5;
is scalar(grep { $_->{status} == 503 } @again), 5, 'and so are the next ones';
ok_inside(sealed($local)->(), 'with redis_away=local: let through');
$send = sealed($local);
ok_inside($send->(), 'one more');
refused($send->(), 400, 'replayed', 'its replay is known here');
kill CONT => $redis;
eventually { sealed($one)->()->{status} == 200 } 'it answers again', 15;
eventually { $t[0]->logged(qr/redis ".*" answers again/) } 'which is said';

# -- away

my @lines = (qr/\[error\].*redis ".*" is away/, qr/\[notice\].*redis ".*" answers again/);
my @before = map { $t[0]->logged($_) } @lines;
redis_ends();
refused(sealed($one)->(), 503, 'replay_away', 'no Redis: refused') for 1 .. 20;
ok_inside(sealed($local)->(), 'or let through') for 1 .. 5;
cmp_ok $t[0]->logged($lines[0]), '<=', $before[0] + 2, 'one line for each worker';
cmp_ok $t[0]->status->{counters}{gateway}{replay_away}, '>=', 20, 'refused ones are counted';
cmp_ok $t[1]->status->{counters}{gateway}{replay_away}, '>=', 5, 'and those that passed';
redis() or fail 'it comes back';
eventually { sealed($one)->()->{status} == 200 } 'it comes back', 15;
eventually { sealed($two)->()->{status} == 200 } 'for both', 15;
$send = sealed($one);
eventually { my $s = sealed($one); $s->()->{status} == 200 && $s->(g => $two)->{status} == 400 } 'and does what it did', 15;

# a connection that is closed while nobody asks

ask('CLIENT', 'KILL', 'TYPE', 'normal');
eventually { sealed($one)->()->{status} == 200 } 'connections are made anew';

# an error in place of an answer; each worker says for itself what changes

eventually { sealed($one)->(); $t[0]->logged($lines[0]) == $t[0]->logged($lines[1]) } 'all workers have it again', 20;

ask('CONFIG', 'SET', 'maxmemory', '1');
ask('CONFIG', 'SET', 'maxmemory-policy', 'noeviction');
eventually { sealed($one)->()->{status} == 503 } 'a Redis without memory is away';
ok $t[0]->await_log(qr/is away: OOM/), 'which is said';
ask('CONFIG', 'SET', 'maxmemory', '0');
eventually { sealed($one)->()->{status} == 200 } 'until it has some', 15;

# -- reload and shutdown with connections

ok $t[0]->reload, 'a reload';
ok_inside(sealed($one)->(), 'after it');
eventually { (() = $t[0]->workers) == 2 } 'no worker waits for its connection', 20;

$_->finish for @t;

# -- a password

redis_ends();
redis('--requirepass', 'the word') or fail 'with a password';
my $t = machine([ "redis=127.0.0.1:$port redis_auth=$password", "zone=b redis=127.0.0.1:$port redis_auth=$wrong",
    "zone=c redis=127.0.0.1:$port" ], workers => 1, log => 'debug');
my @g = map { client($t, path => '/ohttp' . ($_ || '')) } 0 .. 2;
$send = sealed($g[0]);
ok_inside($send->(), 'the password');
refused($send->(), 400, 'replayed', 'its replay');
refused(sealed($g[1])->(), 503, 'replay_away', 'a wrong password');
refused(sealed($g[2])->(), 503, 'replay_away', 'none');
ok $t->await_log(qr/is away: (?:WRONGPASS|ERR invalid password)/), 'is said';
ok $t->await_log(qr/is away: NOAUTH/), 'both are';
unlike $t->log, qr/the word|another\b/, 'without the password';
$t->finish;

# -- what is no Redis

my $listener = IO::Socket::INET->new(Listen => 5, LocalAddr => '127.0.0.1', ReuseAddr => 1) or die "listen: $!\n";
my @what = ("HTTP/1.1 400 Bad Request\r\n\r\n", "+OK\r\n" x 1000, ":1\r\n", "*1\r\n\$2\r\nOK\r\n", '', "\$-2\r\n", "\xff" x 70000);
my $server = fork // die "fork: $!\n";

if (!$server) {
    $SIG{PIPE} = 'IGNORE';

    # until nginx has enough of it
    for (my $n = 0; my $s = $listener->accept; ) {
        syswrite $s, $what[ $n++ % @what ] while sysread $s, my $asked, 4096;
    }
}

$t = machine('redis=127.0.0.1:' . $listener->sockport . ' redis_timeout=300ms', workers => 1);
$one = client($t);
my %seen;

eventually {
    my $r = sealed($one)->();
    $seen{ $r->{status} }++;
    !defined $r->{error} && ($seen{200} // 0) + ($seen{503} // 0) > 20
} 'what is no Redis breaks nothing', 60;

is join(' ', grep { $_ !~ /^(?:200|503)$/ } keys %seen), '', 'every request is answered: ' . join ', ', map { "$_ $seen{$_}" } sort keys %seen;
kill KILL => $server;
waitpid $server, 0;
$t->finish;

done_testing;
