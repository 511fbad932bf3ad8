#!/usr/bin/perl
# Keys of a seed rotate under load: a client that takes a list for as long as
# it is fresh never meets a key that has gone; lists of two machines agree; a
# reload in between, a clock that jumps.

use FindBin;
use lib "$FindBin::Bin/lib";
use Tee::Test;

use List::Util qw(uniq);
use Tee::Ohttp;
use Tee::Sealed;
use Time::HiRes qw(time);

my $seed = spew(scratch() . '/seed', join('', map { chr(3 * $_ & 255) } 1 .. 64), 0600);

sub machine {
    my ($keys, %o) = @_;
    return Tee::Nginx->new(workers => 2, log => 'notice', %o, http => <<"CONF");
    tee_gateway_keys main { seed $seed; $keys }
    server {
        listen 127.0.0.1:%%PORT_http%%;
        location = /.well-known/ohttp-gateway {
            tee_keys main; tee_gateway main; tee_gateway_target http://inside.example /; tee_gateway_replay zone=r:1m;
        }
        location / { return 200 inside; }
        location /tee/status { tee_status; }
    }
CONF
}

my $path = '/.well-known/ohttp-gateway';

# what a client does: it asks for a list when the last one is not fresh any
# more, by the times of HTTP, and seals to the first key

sub visitor {
    my ($t) = @_;
    my ($fresh, @list) = (0);
    my %ids;

    return sub {
        if (time >= $fresh) {
            my $asked = time;
            my $r = $t->get($path);
            $r->{status} == 200 or die "the list: $r->{status}\n";
            my ($age) = $r->header('cache-control') =~ /max-age=(\d+)/;
            $fresh = $asked + $age - $r->header('age');
            @list = Tee::Ohttp::parse_keys($r->{body});
        }

        my ($key) = @list;
        $ids{ $key->{id} }++;
        return { error => 'no key' } unless $key;
        my $g = Tee::Sealed->new(port => $t->port, path => $path, scheme => 'http',
            to => { pk => $key->{pk}, id => $key->{id}, aead => $key->{aeads}[0] });
        my ($r) = $g->request(GET => '/', scheme => 'http');
        return ($r, \%ids);
    };
}

# -- five rotations of two seconds, some clients, and reloads whenever a list has changed

my @runs = map { { keys => $_, t => machine($_), reloads => 0 } }
    'rotate 2s; announce 1s; accept 2s;', 'rotate 2s; announce 0; accept 1s;', 'rotate 2s; kem p256;';

sub visit {
    my ($t, $out) = @_;
    my $visit = visitor($t);
    my ($n, $ids, @bad) = (0, {});

    wait_until {
        my ($r, $seen) = eval { $visit->() };
        $n++;
        $ids = $seen // $ids;
        push @bad, $@ || $r->{error} || $r->{status} unless $r && !$r->{error} && $r->{status} == 200;
        keys %$ids > 5;
    } 30;

    syswrite $out, join "\0", $n, scalar(@bad), join(',', keys %$ids), splice @bad, 0, 3;
    return;
}

for my $run (@runs) {
    for (1, 2) {
        pipe(my $in, my $out) or die "pipe: $!\n";
        my $pid = fork // die "fork: $!\n";

        if (!$pid) {
            visit($run->{t}, $out);
            POSIX::_exit(0);
        }

        push @{ $run->{visitors} }, [ $pid, $in ];
    }
}

my @visitors = map $_->[0], map @{ $_->{visitors} }, @runs;

while (@visitors) {
    my $list = $runs[0]{t}->get($path)->{body};
    wait_until { $runs[0]{t}->get($path)->{body} ne $list } or fail 'a list changes';
    $_->{reloads} += $_->{t}->reload for @runs;
    @visitors = grep { !waitpid $_, POSIX::WNOHANG } @visitors;
}

for my $run (@runs) {
    my ($requests, $failed, @ids, @why) = (0, 0);

    for my $visitor (@{ $run->{visitors} }) {
        my $text = do { local $/; readline $visitor->[1] };
        my ($n, $bad, $ids, @more) = split /\0/, $text // '';
        $requests += $n // 0;
        $failed += $bad // 1;
        push @ids, split /,/, $ids // '';
        push @why, @more;
    }

    cmp_ok $requests, '>', 100, "$run->{keys} $requests requests";
    is($failed, 0, "$run->{keys} none failed") || diag(join "\n", @why);
    cmp_ok scalar(uniq @ids), '>=', 6, "$run->{keys} over five rotations";
    cmp_ok $run->{reloads}, '>=', 3, "$run->{keys} and $run->{reloads} reloads";
    $run->{t}->finish;
}

# -- two machines

my @t = map { machine('rotate 3s; announce 1s; accept 3s;') } 1, 2;
my ($same, $sets) = (0, 0);
my %lists;

eventually {
    my @r = map { $_->get($path) } @t, $t[0];

    # a change in between is no difference
    if ($r[0]{body} eq $r[2]{body}) {
        $sets++;
        $same++ if $r[0]{body} eq $r[1]{body} && $r[0]->header('etag') eq $r[1]->header('etag');
        $lists{ $r[0]{body} } = 1;
    }

    keys %lists > 3;
} 'several lists, one after the other', 20;

is $same, $sets, "two machines say the same: $sets times";

# what is sealed to the list of one opens at the other, early and late

my @keys = Tee::Ohttp::parse_keys($t[0]->get($path)->{body});

sub send_to {
    my ($t, $key) = @_;
    my $g = Tee::Sealed->new(port => $t->port, path => $path, scheme => 'http', to => { %$key, aead => 1 });
    return $g->request(GET => '/', scheme => 'http');
}

is send_to($t[1], $keys[0])->{status}, 200, 'sealed to one, sent to the other';
my @two;
wait_until { @two = Tee::Ohttp::parse_keys($t[0]->get($path)->{body}); @two == 2 } or fail 'a key is announced';
is send_to($t[1], $two[1])->{status}, 200, 'a key that is only announced opens';
wait_until { (Tee::Ohttp::parse_keys($t[0]->get($path)->{body}))[0]{id} == $two[1]{id} } or fail 'its time comes';
is send_to($t[1], $two[0])->{status}, 200, 'the one before still does';
my $gone;
wait_until { $gone = send_to($t[1], $two[0]); $gone->{outer}{status} != 200 } or fail 'until it is destroyed';
is $gone->{outer}{status}, 422, 'then it is unknown';
like $gone->{outer}->json->{type}, qr/#ohttp-key$/, 'as RFC 9458, 5.3 has it';
isnt send_to($t[1], $two[1])->{status}, 0, 'the next one is not';

eventually { $t[0]->logged(qr/tee keys "main": key \d+ is active, \d+ live/) >= 3 } 'changes are logged', 20;
my @lines = $t[0]->log =~ /\[notice\] (\d+)#.*tee keys/g;
is scalar(uniq @lines), 1, 'by one worker';
$_->finish for @t;

done_testing;
