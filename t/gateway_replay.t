#!/usr/bin/perl
# What has been seen does not come again: in any worker, after a reload, an
# upgrade, a restart; what happens when there is no room; directives and files.

use FindBin;
use lib "$FindBin::Bin/lib";
use Tee::Test;

use Tee::Ohttp;
use Tee::Sealed;
use Time::HiRes qw(time);

my $key = Tee::Ohttp::keygen();
my $secret = spew(scratch() . '/key.pem', Tee::Ohttp::key_pem($key), 0600);
my $keys = "tee_gateway_keys main { key 1 $secret; }";
my $workers = 3;

sub server {
    my ($replay, $more) = @_;
    my $n = 0;
    my $locations = join "\n", map {
        my $name = 'ohttp' . ($n++ || '');
        "location = /$name { tee_gateway main; tee_gateway_target http://inside.example /; $_ }"
    } ref $replay ? @$replay : $replay;

    return <<"CONF";
    $keys
    server {
        listen 127.0.0.1:%%PORT_http%% reuseport;
        keepalive_requests 100000;
        $locations
        location = /pid { return 200 \$pid; }
        location / { return 200 "inside of \$pid"; }
        location /tee/status { tee_status; }
    }
CONF
}

sub gateway {
    my ($replay, %o) = @_;
    return Tee::Nginx->new(workers => $workers, http => server($replay), %o);
}

sub client { my ($t, %o) = @_; return Tee::Sealed->new(port => $t->port, to => { pk => Tee::Ohttp::public_key($key), id => 1, aead => 1 }, scheme => 'http', %o) }

# a sealed request, and what comes of sending it, as often as one wants

sub sealed {
    my ($g, %o) = @_;
    my ($bytes, $ctx) = $g->seal(Tee::Bhttp::request(GET => '/', scheme => 'http', %o), %o);
    return sub { return $g->open($ctx, $g->post($bytes, chunked => $o{chunked}, @_), $o{chunked}) };
}

sub ok_inside { my ($r, $name) = @_; local $Test::Builder::Level = $Test::Builder::Level + 1; return is $r->{error} // $r->{status}, 200, $name }

sub refused {
    my ($r, $status, $reason, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return is_deeply [ $r->{error}, $r->{status}, $r->json->{reason} ], [ undef, $status, $reason ], $name;
}

# -- every pair of workers

my $t = gateway('tee_gateway_replay zone=pairs:64k;', daemon => 1);
my $g = client($t);

# a connection to each of them

sub connections {
    my %of;

    wait_until {
        my $c = $t->client;
        $c->send_request(GET => '/pid');
        $of{ $c->response->{body} } //= $c;
        keys %of == $workers;
    } or fail 'a connection to each worker';

    return %of;
}

my %of = connections();

for my $one (sort keys %of) {
    for my $two (sort keys %of) {
        my $send = sealed($g);
        is $send->(client => $of{$one})->{body}, "inside of $one", "worker $one answers";
        refused($send->(client => $of{$two}), 400, 'replayed', "a replay to worker $two");
    }
}

my $send = sealed($g);
my $again = sealed($g);
ok_inside($_->(), 'two more') for $send, $again;
refused($send->(), 400, 'replayed', 'the same once more') for 1 .. 3;

# the chunked form, and other bytes around the same key

$send = sealed($g, chunked => 1);
ok_inside($send->(), 'a chunked request');
refused($send->(), 400, 'replayed', 'and its replay');

# a request that was refused for something else has been seen, too

$send = sealed($g, authority => 'elsewhere.example');
is $send->()->{status}, 403, 'another target';
refused($send->(), 400, 'replayed', 'and its replay');

# one that does not open has not, or anybody could spoil it

my ($bytes, $ctx) = $g->seal(Tee::Bhttp::request(GET => '/', scheme => 'http'));
my $broken = $bytes;
substr $broken, -1, 1, chr(255 - ord substr $bytes, -1);
is $g->post($broken)->{status}, 400, 'a request with a wrong tag';
ok_inside($g->open($ctx, $g->post($bytes)), 'does not stand in the way of the true one');

# at once

$send = sealed($g);
my @pids = map {
    my $pid = fork // die "fork: $!\n";
    POSIX::_exit($send->()->{status} == 200 ? 1 : 0) if !$pid;
    $pid;
} 1 .. 12;
my $passed = 0;
waitpid($_, 0), $passed += $? >> 8 for @pids;
is $passed, 1, 'of twelve at once, one passes';

my $counted = $t->status->{counters}{gateway}{replay};
is $counted, 9 + 3 + 2 + 11, 'they are counted';

# -- after a reload, an upgrade, a restart

$send = sealed($g);
ok_inside($send->(), 'before a reload');
ok $t->reload, 'a reload';
refused($send->(), 400, 'replayed', 'after it');

my ($file) = glob $t->dir . '/nginx.pid.tee_replay_pairs';
ok $file && -e $file, 'the file is beside the pid';
is sprintf('%o', (stat $file)[2] & 07777), '600', 'of its mode';
is -s $file, 65536, 'of its size';

ok $t->upgrade, 'an upgrade';
refused($send->(), 400, 'replayed', 'after it');
my $late = sealed($g);
ok_inside($late->(), 'a new one');

$t->stop;
$t->start;
refused($_->(), 400, 'replayed', 'after a restart') for $send, $again, $late;

# a test of the configuration leaves it alone

my $before = slurp($file);
my @command = $t->_command('-t');
is system("@command > /dev/null 2>&1"), 0, 'nginx -t';
is slurp($file), $before, 'changes nothing';
refused($late->(), 400, 'replayed', 'nothing at all');

# a worker that dies takes nothing with it

%of = connections();
my ($victim) = sort keys %of;
$send = sealed($g);
ok_inside($send->(client => $of{$victim}), 'a worker answers');
kill KILL => $victim;
ok $t->await_log(qr/worker process $victim exited on signal 9/), 'and is killed';
refused($send->(), 400, 'replayed', 'another one knows');

# another size or window is refused, and nginx goes on

for my $other ('zone=pairs:128k', 'zone=pairs:64k window=1m', 'zone=pairs:64k date=off') {
    my $n = $t->logged(qr/\[emerg\]/);
    $t->reconfigure(server("tee_gateway_replay $other;"));
    kill HUP => $t->pid;
    ok $t->await_log(qr/\[emerg\].*has been made for another/, $n + 1), "refused: $other";
    refused($send->(), 400, 'replayed', 'and all goes on');
}

$t->finish(allow => qr/has been made for another|exited on signal 9/);

# -- the window

$t = gateway([ 'tee_gateway_replay zone=off:64k window=1s date=off;', 'tee_gateway_replay zone=on:64k window=1s;' ]);
$g = client($t);
$send = sealed($g);
my $dated = sealed(client($t, path => '/ohttp1'), headers => [ [ date => POSIX::strftime('%a, %d %b %Y %H:%M:%S GMT', gmtime time + 1) ] ]);
my $start = time;
ok_inside($send->(), 'a window of a second');
my $r = $dated->();
my @late;

push @late, grep { $_ != 400 } $send->()->{status} while time < $start + 0.8;

is "@late", '', 'it is not forgotten within its window';
eventually { $send->()->{status} == 200 } 'but after it', 5;
ok_inside($r, 'a request whose date is at the end of the window');
isnt $dated->()->{status}, 200, 'is not taken again when its date still might';
eventually { $dated->()->{status} == 400 } 'nor when it is over';
$t->finish;

# -- no room

$t = gateway([ 'tee_gateway_replay zone=refuse:4k date=off;', 'tee_gateway_replay zone=evict:4k date=off full=evict;' ], log => 'notice');
my ($refuse, $evict) = (client($t), client($t, path => '/ohttp1'));
my (@sent, $full);

for (1 .. 200) {
    my $send = sealed($refuse);
    my $r = $send->();

    if ($r->{status} != 200) {
        $full = $r;
        last;
    }

    push @sent, $send;
}

cmp_ok scalar @sent, '>', 70, 'many fit into 4 kilobytes: ' . @sent;
refused($full, 503, 'replay_full', 'then requests are refused');
refused(sealed($refuse)->(), 503, 'replay_full', 'all new ones');
is scalar(grep { $_->()->{status} != 400 } @sent), 0, 'and replays are told from them';
is $t->logged(qr/tee replay "refuse": full, requests are refused/), 1, 'it is said once';

my @evicted;
push @evicted, sealed($evict) for 1 .. 3 * @sent;
is scalar(grep { $_->()->{status} != 200 } @evicted), 0, 'evicting, all pass';
is scalar(grep { $_->()->{status} == 200 } @evicted[ @evicted - @sent + 1 .. $#evicted ]), 0, 'the newest stay known';
ok_inside($evicted[0]->(), 'the oldest are forgotten');
cmp_ok $t->logged(qr/tee replay "evict": full, \d+ requests are forgotten/), '>=', 1, 'which is said';
my $counters = $t->status->{counters}{gateway};
cmp_ok $counters->{replay_full}, '>=', 2, 'both are counted: refused';
cmp_ok $counters->{replay_evicted}, '>=', 1, 'evicted';
$t->finish;

# -- off, the default, and zones that are shared

$t = gateway([ 'tee_gateway_replay off;', '', 'tee_gateway_replay zone=a:64k;', 'tee_gateway_replay zone=a full=evict;' ]);
my @g = map { client($t, path => '/ohttp' . ($_ || '')) } 0 .. 3;
$send = sealed($g[0]);
ok_inside($send->(), 'without a set') for 1, 2;
$send = sealed($g[1]);
ok_inside($send->(), 'the default set');
refused($send->(), 400, 'replayed', 'has one');
($file) = glob $t->dir . '/nginx.pid.tee_replay_default';
is -s $file, 16 * 1024 * 1024, 'of 16 megabytes';
ok_inside($send->(path => '/ohttp2'), 'another set does not know of it');
$send = sealed($g[2]);
ok_inside($send->(), 'one location');
refused($send->(path => '/ohttp3'), 400, 'replayed', 'knows what another one has seen');
$t->finish;

# -- directives

sub error { my ($conf, %o) = @_; return scalar Tee::Nginx->conf_error(http => server($conf), %o) }
sub bad { my ($conf, $why, %o) = @_; return like error("tee_gateway_replay $conf;", %o), $why, "refused: $conf" }

is error("tee_gateway_replay $_;"), '', "tee_gateway_replay $_"
    for 'off', 'zone=a', 'zone=a:4k', 'window=1s', 'full=evict', 'full=refuse', 'date=off', 'date=check', 'date=require',
    'zone=a:1m window=5m full=refuse date=require file=seen', 'redis=127.0.0.1', 'redis=127.0.0.1:6380 redis_timeout=50ms',
    'redis=unix:/tmp/redis.sock redis_away=local', 'redis=[::1]:1 redis_away=refuse', "redis=127.0.0.1 redis_auth=$secret";
bad($_, qr/invalid parameter/)
    for 'zone=', 'zone=:1m', 'zone=a:', 'zone=a:4095', 'zone=a:x', 'window=0', 'window=x', 'window=31d', 'full=', 'full=maybe', 'date=on',
    'date=offx', 'other', 'off off', 'window=1s off', 'redis=127.0.0.1 redis_timeout=0', 'redis=127.0.0.1 redis_timeout=x',
    'redis=127.0.0.1 redis_away=ok';
bad("$_ $_", qr/duplicate parameter/) for 'zone=a', 'window=1s', 'full=evict', 'date=off', 'file=a', 'redis=127.0.0.1';
bad($_, qr/no "redis="/) for 'redis_timeout=1s', "redis_auth=$secret", 'redis_away=local';
bad('redis=127.0.0.1:0', qr/invalid port/);
bad('redis=no.such.name.invalid', qr/host not found/);
bad('redis=127.0.0.1 redis_auth=none', qr/password .* cannot be opened/);
like error([ "tee_gateway_replay zone=a:$_->[0];", "tee_gateway_replay zone=a:$_->[1];" ]), qr/another size, window, file or way/,
    "one zone: $_->[0], and $_->[1]"
    for [ '4k', '8k' ], [ '4k', '4k window=1m' ], [ '4k file=x', '4k file=y' ], [ '4k', '4k date=off' ];
is error([ 'tee_gateway_replay zone=a:4k;', 'tee_gateway_replay zone=a;' ]), '', 'a size once';
like error([ 'tee_gateway_replay zone=a file=x;', 'tee_gateway_replay zone=b file=x;' ]), qr/that of zone "a" already/, 'two zones in one file';
like error('tee_gateway_replay zone=a; tee_gateway_replay zone=a;'), qr/duplicate/, 'twice';

# files that are there already

my $size = 65536;

for my $case ([ "\0" x $size, qr/is not private/, 0640 ], [ 'x', qr/another size/ ], [ "\0" x $size, qr/damaged/ ], [ "\xff" x $size, qr/damaged/ ]) {
    my $name = spew(scratch() . '/seen', $case->[0], $case->[2] // 0600);
    bad("zone=a:64k file=$name", $case->[1]);
}

bad('zone=a:64k file=/dev/null', qr/not a regular file/);
my $link = scratch() . '/seen';
symlink '/tmp/x', $link;
bad("zone=a:64k file=$link", qr/cannot be opened/);

done_testing;
