package Tee::Http;

# An HTTP/1.1 client that sends exactly what it is told, in the pieces it is
# told, and shows exactly what came back.
#
#   my $c = Tee::Http->new(port => 8080);
#   $c->send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
#   my $r = $c->response;              # status, head, headers, body
#   $r->{status}, $r->header('x-name'), $r->json
#
#   Tee::Http::request(8080, POST => '/relay', [ 'Content-Type' => 'a/b' ], $body);

use strict;
use warnings;

use IO::Select;
use IO::Socket::IP;
use IO::Socket::SSL;
use Socket qw(IPPROTO_TCP TCP_NODELAY);
use Time::HiRes qw(time);

use Tee::Util qw(patience);

sub new {
    my ($class, %o) = @_;
    my $socket = IO::Socket::IP->new(PeerHost => $o{host} // '127.0.0.1', PeerPort => $o{port}, Timeout => 5)
        or die "connect to port $o{port}: $@\n";
    $socket->setsockopt(IPPROTO_TCP, TCP_NODELAY, 1);

    if ($o{tls}) {
        IO::Socket::SSL->start_SSL($socket, SSL_verify_mode => SSL_VERIFY_NONE, %{ ref $o{tls} ? $o{tls} : {} })
            or die "TLS: $SSL_ERROR\n";
    }

    return bless { socket => $socket, in => '', timeout => $o{timeout} // 10 }, $class;
}

sub send {
    my ($self, @pieces) = @_;
    local $SIG{PIPE} = 'IGNORE';

    for my $piece (@pieces) {
        my $sent = 0;
        while ($sent < length $piece) {
            my $n = $self->{socket}->syswrite($piece, length($piece) - $sent, $sent) or return 0;
            $sent += $n;
        }
    }

    return 1;
}

sub send_request {
    my ($self, $method, $path, $headers, $body) = @_;
    my @headers = @{ $headers // [] };
    my $head = "$method $path HTTP/1.1\r\n";
    my %have;

    while (my ($name, $value) = splice @headers, 0, 2) {
        $have{ lc $name } = 1;
        $head .= "$name: $value\r\n";
    }

    $head .= "Host: localhost\r\n" unless $have{host};
    $head .= 'Content-Length: ' . length($body) . "\r\n"
        if defined $body && !$have{'content-length'} && !$have{'transfer-encoding'};
    return $self->send("$head\r\n" . ($body // ''));
}


# more bytes into the buffer: 1, or 0 at the end, or dies

sub _more {
    my ($self, $end) = @_;
    my $socket = $self->{socket};
    my $pending = $socket->can('pending') ? $socket->pending : 0;

    if (!$pending && !IO::Select->new($socket)->can_read($end - time)) {
        die 'timed out after ' . length($self->{in}) . " bytes: $self->{in}\n";
    }

    return $socket->sysread($self->{in}, 65536, length $self->{in}) ? 1 : 0;
}

sub _end { my ($self) = @_; return time + patience($self->{timeout}) }


# what there is up to and including a match; what came if there is none

sub read_until {
    my ($self, $pattern) = @_;
    my $end = $self->_end;

    while (1) {
        return $self->_take($+[0] + 0) if $self->{in} =~ /$pattern/;
        $self->_more($end) or return $self->_take(length $self->{in});
    }
}

sub _take { my ($self, $n) = @_; return substr $self->{in}, 0, $n, '' }

sub read_bytes {
    my ($self, $n) = @_;
    my $end = $self->_end;

    while (length $self->{in} < $n) {
        $self->_more($end) or last;
    }

    return $self->_take($n > length $self->{in} ? length $self->{in} : $n);
}


# whatever the peer sends until it closes

sub read_all {
    my ($self) = @_;
    my $end = $self->_end;
    1 while $self->_more($end);
    return $self->_take(length $self->{in});
}

sub head {
    my ($self) = @_;
    my $head = $self->read_until(qr/\r\n\r\n/);
    my ($status) = $head =~ m{^HTTP/1\.[01] (\d{3})} or return undef;
    my @headers = map [ /^([^:]*):\s*(.*?)\s*$/ ], grep /:/, split /\r\n/, $head;
    return bless { status => $status, head => $head, headers => \@headers, body => '' }, 'Tee::Http::Response';
}


# one chunk of a chunked body; empty for the last; undef if it was cut

sub chunk {
    my ($self) = @_;
    my $line = $self->read_until(qr/\r\n/);
    my ($hex) = $line =~ /^([0-9a-f]+)(?:;.*)?\r\n$/i or return undef;
    my $n = hex $hex;

    if ($n == 0) {
        my $trailer;
        do { $trailer = $self->read_until(qr/\r\n/) } until $trailer eq "\r\n" || $trailer eq '';
        return $trailer eq '' ? undef : '';
    }

    my $data = $self->read_bytes($n);
    return $self->read_bytes(2) eq "\r\n" && length $data == $n ? $data : undef;
}


# a whole response; {cut} if the body ended early; undef if there was none

sub response {
    my ($self, %o) = @_;
    my $r = $self->head // return undef;

    if ($r->{status} =~ /^1/ && $r->{status} != 101) {
        my $final = $self->response(%o) or return undef;
        unshift @{ $final->{interim} }, $r;
        return $final;
    }

    if ($o{head} || $r->{status} =~ /^(?:101|204|304)$/) {
        return $r;
    }

    if (($r->header('transfer-encoding') // '') =~ /chunked/i) {
        while (1) {
            my $chunk = $self->chunk;
            $r->{cut} = 1 unless defined $chunk;
            last unless length($chunk // '');
            $r->{body} .= $chunk;
            push @{ $r->{chunks} }, $chunk;
        }

    } elsif (defined(my $n = $r->header('content-length'))) {
        $r->{body} = $self->read_bytes($n);
        $r->{cut} = 1 if length $r->{body} < $n;

    } else {
        $r->{body} = $self->read_all;
    }

    return $r;
}


# the peer has closed, or closes now

sub closed {
    my ($self) = @_;
    return !eval { $self->read_bytes(1) ne '' };
}

sub close { my ($self) = @_; (delete $self->{socket})->close; return }


# one request over a connection of its own

sub request {
    my ($port, $method, $path, $headers, $body, %o) = @_;
    my $c = Tee::Http->new(port => $port, %o);
    $c->send_request($method, $path, [ @{ $headers // [] }, Connection => 'close' ], $body);
    return $c->response(head => $method eq 'HEAD') // bless { status => 0, head => '', headers => [], body => '' },
        'Tee::Http::Response';
}


package Tee::Http::Response;

use JSON::PP;

sub header {
    my ($self, $name) = @_;
    my @values = map $_->[1], grep { lc($_->[0] // '') eq lc $name } @{ $self->{headers} };
    return wantarray ? @values : $values[0];
}

sub json {
    my ($self) = @_;
    return eval { decode_json($self->{body}) } // {};
}

1;
