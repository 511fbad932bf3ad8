package Tee::Dns;

# A name server over UDP that answers from a table and counts the questions.
#
#   my $dns = Tee::Dns->new(names => { 'tee.test' => { A => ['127.0.0.2'], ttl => 1 } });
#   $dns->port; $dns->set('tee.test' => { A => ['127.0.0.3'] }); $dns->questions;
#
# A name that is not there does not exist; { fail => 1 } is SERVFAIL and
# { silent => 1 } no answer.

use strict;
use warnings;

use IO::Socket::INET;
use JSON::PP;
use POSIX ();
use Socket qw(AF_INET AF_INET6 inet_pton);

use Tee::Util qw(scratch slurp spew);

my %types = (1 => 'A', 28 => 'AAAA');

sub new {
    my ($class, %o) = @_;
    my $self = bless { names => $o{names}, dir => scratch(), owner => $$ }, $class;
    my $socket = IO::Socket::INET->new(Proto => 'udp', LocalAddr => '127.0.0.1', LocalPort => 0) or die "udp: $!\n";
    $self->{port} = $socket->sockport;
    $self->_publish;
    defined(my $pid = fork) or die "fork: $!\n";

    if (!$pid) {
        $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP);
        eval { $self->_serve($socket) };
        POSIX::_exit(0);
    }

    $self->{pid} = $pid;
    return $self;
}

sub port { return $_[0]{port} }

sub _publish { my ($self) = @_; return spew("$self->{dir}/names", encode_json($self->{names})) }

sub set {
    my ($self, $name, $records) = @_;
    $self->{names}{$name} = $records;
    return $self->_publish;
}

# [name, type], ...

sub questions { my ($self) = @_; return map [ split ], split /\n/, slurp("$self->{dir}/questions") }

sub _serve {
    my ($self, $socket) = @_;

    while (1) {
        my $peer = $socket->recv(my $packet, 512) // next;
        my ($id) = unpack 'n', $packet;
        my ($at, @labels) = 12;

        while (my $n = ord substr $packet, $at, 1) {
            push @labels, substr $packet, $at + 1, $n;
            $at += 1 + $n;
        }

        my $name = lc join '.', @labels;
        my $type = $types{ unpack 'n', substr $packet, $at + 1, 2 } // '?';
        my $question = substr $packet, 12, $at + 5 - 12;

        open my $log, '>>', "$self->{dir}/questions";
        syswrite $log, "$name $type\n";
        close $log;

        my $records = decode_json(slurp("$self->{dir}/names"))->{$name};
        next if $records && $records->{silent};
        my $code = !$records ? 3 : $records->{fail} ? 2 : 0;
        my @answers = map inet_pton($type eq 'A' ? AF_INET : AF_INET6, $_), $code ? () : @{ $records->{$type} // [] };
        my $answer = join '', map pack('nnnNn/a', 0xc00c, $type eq 'A' ? 1 : 28, 1, $records->{ttl} // 1, $_), @answers;
        $socket->send(pack('n6', $id, 0x8180 | $code, 1, scalar @answers, 0, 0) . $question . $answer, 0, $peer);
    }
}

sub stop {
    my ($self) = @_;
    my $pid = delete $self->{pid} or return;
    return unless $self->{owner} == $$;
    kill TERM => $pid;
    waitpid $pid, 0;
    return;
}

sub DESTROY { my ($self) = @_; local ($?, $@, $!); $self->stop; return }

1;
