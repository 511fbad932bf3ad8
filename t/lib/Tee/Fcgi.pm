package Tee::Fcgi;

# A FastCGI responder: tells what it was asked, with two cookies and a status.
#
#   my $f = Tee::Fcgi->new;
#   $f->port

use strict;
use warnings;

use IO::Socket::IP;
use POSIX ();

use constant {
    BEGIN_REQUEST => 1,
    END_REQUEST => 3,
    PARAMS => 4,
    INPUT => 5,
    OUTPUT => 6,
};

sub new {
    my ($class, %o) = @_;

    my $listen = IO::Socket::IP->new(Listen => 16, LocalHost => '127.0.0.1',
        LocalPort => 0) or die "listen: $@\n";
    my $pid = fork // die "fork: $!\n";

    if (!$pid) {
        $SIG{$_} = 'DEFAULT' for qw(INT TERM);

        while (my $socket = $listen->accept) {
            eval { _serve($socket) };
        }

        POSIX::_exit(0);
    }

    return bless { port => $listen->sockport, pid => $pid, owner => $$ }, $class;
}

sub port { $_[0]{port} }

sub DESTROY {
    my ($self) = @_;

    local ($?, $@, $!);

    return if $self->{owner} != $$;
    kill TERM => $self->{pid};
    waitpid $self->{pid}, 0;
    return;
}

sub _bytes {
    my ($socket, $n) = @_;

    my $bytes = '';

    while (length $bytes < $n) {
        sysread $socket, $bytes, $n - length $bytes, length $bytes
            or die "cut\n";
    }

    return $bytes;
}

sub _length {
    my ($s) = @_;

    my $n = unpack 'C', substr $$s, 0, 1, '';

    return $n if $n < 128;
    return ($n & 127) << 24 | unpack 'N', "\0" . substr $$s, 0, 3, '';
}

sub _serve {
    my ($socket) = @_;

    my ($params, $content, $id) = ('', '');

    for (;;) {
        (undef, my $type, $id, my $len, my $pad) =
            unpack 'CCnnC', _bytes($socket, 8);
        my $bytes = _bytes($socket, $len);

        _bytes($socket, $pad);
        $params .= $bytes if $type == PARAMS;
        $content .= $bytes if $type == INPUT;

        last if $type == INPUT && !$len;
    }

    my %p;

    while (length $params) {
        my ($n, $v) = (_length(\$params), _length(\$params));
        my $name = substr $params, 0, $n, '';

        $p{$name} = substr $params, 0, $v, '';
    }

    # which connection it is, is nobody's business
    delete @p{qw(REMOTE_PORT HTTP_CONNECTION)};

    my $out = "Status: 203 As Told\r\nContent-Type: text/plain\r\n"
        . "Set-Cookie: a=1\r\nX-Path: $p{REQUEST_URI}\r\nSet-Cookie: b=2\r\n\r\n"
        . join('', map { "$_=$p{$_}\n" } sort keys %p) . $content;

    for my $part (unpack('(a32768)*', $out), '') {
        syswrite $socket, pack('CCnnCx', 1, OUTPUT, $id, length $part, 0) . $part;
    }

    syswrite $socket, pack('CCnnCx NCx3', 1, END_REQUEST, $id, 8, 0, 0, 0);
    return;
}


1;
