package Tee::Streams;

# Many streams at a time: t/bench/streams.c.
#
#   my $s = Tee::Streams->new(events => 10, interval => 100);    a model server
#   $s->port
#   my $r = $s->load($port, $path, $count);
#   $r->{whole}, $r->{signed}, $r->{bad}, $r->{most}: streams; $r->{events}
#   $r->{ms}, $r->{last}: [ median, 99%, most ] of events and of last events

use strict;
use warnings;

use POSIX ();

use Tee::Util qw(build_dir root);

sub new {
    my ($class, %o) = @_;
    my $bin = build_dir() . '/streams';
    system('cc', '-O2', '-o', "$bin.$$", root() . '/t/bench/streams.c') == 0 or die "cc failed\n";
    rename "$bin.$$", $bin;

    pipe my $in, my $hold or die "pipe: $!\n";
    pipe my $out, my $told or die "pipe: $!\n";
    defined(my $pid = fork) or die "fork: $!\n";

    if (!$pid) {
        close $hold;
        open STDIN, '<&', $in;
        open STDOUT, '>&', $told;
        { exec $bin, 'serve', @o{qw(events interval)} }
        POSIX::_exit(127);
    }

    close $in;
    close $told;
    chomp(my $port = readline($out) // die "no streams\n");
    return bless { %o, bin => $bin, port => $port, pid => $pid, hold => $hold, owner => $$ }, $class;
}

sub port { return $_[0]{port} }

sub load {
    my ($self, $port, $path, $count) = @_;
    my ($whole, $signed, $bad, $most, $events, @us) = split ' ', `$self->{bin} load $port $path $count $self->{events} $self->{interval}`;
    my @ms = map { $_ eq '-' ? undef : $_ / 1000 } @us;
    return { whole => $whole, signed => $signed, bad => $bad, most => $most, events => $events, ms => [ @ms[ 0 .. 2 ] ], last => [ @ms[ 3 .. 5 ] ] };
}

# it ends with its standard input

sub DESTROY {
    my ($self) = @_;
    local ($?, $@, $!);
    return unless $self->{owner} == $$;
    close $self->{hold};
    waitpid $self->{pid}, 0;
    return;
}

1;
