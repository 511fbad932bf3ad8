#!/usr/bin/perl
# A clock that jumps: keys and lists follow it, in both directions, and what
# has been seen stays seen.

use FindBin;
use lib "$FindBin::Bin/lib";
use Tee::Test;

use List::Util qw(uniq);
use Tee::Ohttp;
use Tee::Sealed;

my $dir = scratch();
my $seed = spew("$dir/seed", join('', map { chr(5 * $_ & 255) } 1 .. 32), 0600);
my $day = 86400;

system('gcc', '-shared', '-fPIC', '-o', "$dir/clock.so", root() . '/t/san/clock.c') == 0 or die "no clock\n";
spew("$dir/offset", pack 'q', 0);

# the file is mapped, so it is written in place

sub jump {
    my ($seconds) = @_;
    open my $out, '+<:raw', "$dir/offset" or die "offset: $!\n";
    print $out pack 'q', $seconds;
    close $out;
    return;
}

my $t = do {
    local $ENV{TEE_CLOCK} = "$dir/offset";
    local $ENV{LD_PRELOAD} = "$dir/clock.so";
    local $ENV{TEE_SANITIZE} = "$ENV{TEE_SANITIZE}:$dir/clock.so" if $ENV{TEE_SANITIZE};

    Tee::Nginx->new(workers => 2, http => <<"CONF");
    tee_gateway_keys main { seed $seed; rotate 1d; announce 0; accept 1d; }
    server {
        listen 127.0.0.1:%%PORT_http%%;
        location = /ohttp {
            tee_keys main; tee_gateway main; tee_gateway_target http://inside.example /; tee_gateway_replay zone=clock:64k window=1m date=off;
        }
        location = /time { return 200 \$msec; }
        location / { return 200 inside; }
    }
CONF
};

# both workers look at the clock when something happens

sub at {
    my ($seconds) = @_;
    jump($seconds);
    wait_until { abs(int($t->get('/time')->{body}) - $seconds - time) <= 1 } or fail 'the clock has jumped';
    return;
}

sub list { my @r = map { $t->get('/ohttp') } 1 .. 6; return uniq map { $_->{body} } @r }
sub key { my ($bytes) = list(); return (Tee::Ohttp::parse_keys($bytes))[0] }

sub client { my ($key) = @_; return Tee::Sealed->new(port => $t->port, scheme => 'http', to => { %$key, aead => 1 }) }
sub status { my $r = client($_[0])->request(GET => '/', scheme => 'http'); return $r->{error} ? $r->{outer}{status} : $r->{status} }

# not within a minute of the end of an epoch, where ours and theirs may differ

my $now = time % $day;
my $base = $now > $day - 120 ? 300 : 0;
at($base);

my $first = key();
is status($first), 200, 'the key of today';
is scalar(list()), 1, 'all workers have one list';

my ($bytes, $ctx) = client($first)->seal(Tee::Bhttp::request(GET => '/', scheme => 'http'));
my $again = sub { my $r = client($first)->open($ctx, client($first)->post($bytes)); return $r->{error} ? $r->{outer}{status} : $r->{status} };
is $again->(), 200, 'a request';
is $again->(), 400, 'its replay';

at($base + 30);
is $again->(), 400, 'half a minute later';
at($base - 30);
is $again->(), 400, 'half a minute before';
at($base - 300 * $day);
is $again->(), 422, 'long before: there was no such key';
at($base);
is $again->(), 400, 'and back: it has been seen';

my %keys = (0 => $first);

for my $days (1, 2, 10, 1000, 3, -1, -500) {
    at($base + $days * $day);
    $keys{$days} = key();
    is status($keys{$days}), 200, "$days days from now";
    is status($first), $days == 1 ? 200 : 422, $days == 1 ? 'the key of today is accepted' : 'the key of today is not';
    is scalar(list()), 1, 'one list';
}

at($base);
is key()->{pk}, $first->{pk}, 'back again: the key of today';
is status($first), 200, 'opens';
is status($keys{-1}), 200, 'so does that of yesterday';
is status($keys{$_}), 422, "that of $_ days from now does not" for 1, 2, 10, 1000, -500;
is scalar(uniq map { $_->{pk} } values %keys), scalar(keys %keys), 'each day has its own';

ok $t->reload, 'a reload';
is status($first), 200, 'changes nothing';

$t->finish;
done_testing;
