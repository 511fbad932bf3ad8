package Tee::Upstream;

# A TLS server that stands for an enclave.  It notes every byte it receives,
# and answers as the test wants.
#
#   my $u = Tee::Upstream->new(cert => $cert, name => 'one');
#   my $u = Tee::Upstream->new(certs => { 'a.test' => $a, 'b.test' => $b });   # by SNI
#   my $u = Tee::Upstream->new(cert => $cert, tls => { SSL_version => 'TLSv1_2' }, handler => sub {
#       my ($conn, $request) = @_;        # {head}, {body}, {path}, {n}: count in this connection
#       $conn->send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
#       return 1;                         # keep the connection
#   });
#   $u->port; $u->requests; $u->connections; $u->forget; $u->set_cert($new); $u->stop;
#
# With quiet => 1, for load, it notes only the requests that come over a
# connection whose certificate has been replaced since: $u->stale.
#
# With stream => 1 the handler is called after the head and reads the body
# itself: $conn->body_piece.  With cert => undef there is no TLS.

use strict;
use warnings;

use IO::Select;
use IO::Socket::IP;
use IO::Socket::SSL;
use JSON::PP;
use POSIX ();
use Socket qw(AF_UNIX IPPROTO_TCP PF_UNSPEC SOCK_STREAM SOL_SOCKET SO_LINGER TCP_NODELAY);
use Time::HiRes qw(time);

use Tee::Http;
use Tee::Util qw(patience scratch slurp wait_until);

my $json = JSON::PP->new->ascii->canonical;

sub new {
    my ($class, %o) = @_;
    my $self = bless { %o, owner => $$, name => $o{name} // 'tee' }, $class;
    $self->{file} = scratch() . '/received';
    my $listen = IO::Socket::IP->new(Listen => 256, LocalHost => $o{address} // '127.0.0.1', LocalPort => $o{port} // 0,
        ReuseAddr => 1) or die "listen: $@\n";
    $self->{port} = $listen->sockport;

    socketpair my $ours, my $theirs, AF_UNIX, SOCK_STREAM, PF_UNSPEC or die "socketpair: $!\n";
    defined(my $pid = fork) or die "fork: $!\n";

    if (!$pid) {
        close $ours;
        setpgrp;
        $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP);
        eval { $self->_serve($listen, $theirs) };
        print STDERR "upstream: $@" if $@;
        POSIX::_exit(0);
    }

    close $theirs;
    $self->{control} = $ours;
    $self->{pid} = $pid;
    return $self;
}

sub port { return $_[0]{port} }


# -- what it has seen

sub _records {
    my ($self) = @_;
    return map decode_json($_), grep /\n\z/, slurp($self->{file}) =~ /^.*\n/mg;
}

# {head}, {body}, {path}, {method}, {conn}, {n}, {resumed}, {version}, {sni}, {at}

sub requests { my ($self) = @_; return grep $_->{type} eq 'request', $self->_records }
sub connections { my ($self) = @_; return grep $_->{type} eq 'connection', $self->_records }
sub notes { my ($self) = @_; return map $_->{note}, grep $_->{type} eq 'note', $self->_records }
sub failures { my ($self) = @_; return grep $_->{type} eq 'failure', $self->_records }
sub closes { my ($self) = @_; return grep $_->{type} eq 'close', $self->_records }

sub stale { my ($self) = @_; return grep $_->{type} eq 'stale', $self->_records }

sub forget { my ($self) = @_; truncate $self->{file}, 0; return }

sub await {
    my ($self, $what, $n, $seconds) = @_;
    return wait_until { (() = $self->$what) >= $n } $seconds;
}


# -- what it does

sub _command {
    my ($self, $command) = @_;
    syswrite $self->{control}, $json->encode($command) . "\n";
    my $answer = readline $self->{control};
    die "upstream does not answer\n" unless defined $answer;
    return decode_json($answer);
}

sub set_cert {
    my ($self, $cert) = @_;
    my $answer = $self->_command({ cert => { %$cert } });

    # its size is the generation of the certificate
    open my $out, '>>', "$self->{file}.generation";
    print $out '.';
    close $out;
    return $answer;
}

# closes its port, or opens it again

sub pause { my ($self) = @_; return $self->_command({ pause => 1 }) }
sub resume { my ($self) = @_; return $self->_command({ resume => 1 }) }

sub stop {
    my ($self) = @_;
    my $pid = delete $self->{pid} or return;
    return unless $self->{owner} == $$;
    kill TERM => -$pid, $pid;
    waitpid $pid, 0;
    return;
}

sub DESTROY { my ($self) = @_; local ($?, $@, $!); $self->stop; return }


# -- the server's side

sub _context {
    my ($self) = @_;
    my %certs = $self->{certs} ? %{ $self->{certs} } : ('' => $self->{cert});
    my ($first) = sort keys %certs;
    $certs{''} //= $certs{$first};
    my %tls = %{ $self->{tls} // {} };
    return IO::Socket::SSL::SSL_Context->new(
        SSL_server => 1,
        SSL_cert_file => { map { $_ => $certs{$_}{file} } keys %certs },
        SSL_key_file => { map { $_ => $certs{$_}{keyfile} } keys %certs },
        %tls,
    ) // die "context: $SSL_ERROR\n";
}

sub _record {
    my ($self, %record) = @_;
    open my $out, '>>', $self->{file} or return;
    syswrite $out, $json->encode({ at => time, %record }) . "\n";
    return close $out;
}

sub _serve {
    my ($self, $listen, $control) = @_;
    my $plain = !$self->{cert} && !$self->{certs};
    my $context = $plain ? undef : $self->_context;
    my $select = IO::Select->new($listen, $control);
    my $n = 0;
    $SIG{CHLD} = 'IGNORE';
    $SIG{PIPE} = 'IGNORE';

    while (1) {
        for my $ready ($select->can_read) {

            if ($ready == $control) {
                my $command = decode_json(readline($control) // POSIX::_exit(0));

                if ($command->{cert}) {
                    $self->{cert} = $command->{cert};
                    $context = $self->_context;

                } elsif ($command->{pause}) {
                    $select->remove($listen);
                    $listen->close;

                } elsif ($command->{resume}) {
                    $listen = IO::Socket::IP->new(Listen => 256, LocalHost => $self->{address} // '127.0.0.1',
                        LocalPort => $self->{port}, ReuseAddr => 1) or die "listen: $@\n";
                    $select->add($listen);
                }

                syswrite $control, "{}\n";
                next;
            }

            my $socket = $listen->accept or next;
            $n++;
            next if fork;
            $listen->close;
            $control->close;
            eval { $self->_connection($socket, $context, $n) };
            $self->_record(type => 'error', text => "$@") if $@;
            $self->_record(type => 'close', conn => $n) unless $self->{quiet};
            POSIX::_exit(0);
        }
    }
}

sub _connection {
    my ($self, $socket, $context, $id) = @_;
    $socket->setsockopt(IPPROTO_TCP, TCP_NODELAY, 1);
    my %about = (conn => $id, tls => $context ? 1 : 0);

    if ($context) {
        $socket = IO::Socket::SSL->start_SSL($socket, SSL_server => 1, SSL_reuse_ctx => $context, Timeout => 30) or do {
            $self->_record(type => 'failure', conn => $id, text => "$SSL_ERROR");
            return;
        };
        $about{resumed} = $socket->get_session_reused ? 1 : 0;
        $about{version} = $socket->get_sslversion;
        $about{sni} = $socket->get_servername;
        $about{client_cert} = $socket->peer_certificate('subject') if $socket->peer_certificate;
    }

    my $generation = -s "$self->{file}.generation" // 0;
    $self->_record(type => 'connection', %about) unless $self->{quiet};

    # the client's way of reading is the server's too
    my $conn = bless {
        socket => $socket, in => '', timeout => 600, upstream => $self, id => $id, about => \%about,
    }, 'Tee::Upstream::Connection';

    for (my $n = 1;; $n++) {
        my $head = $conn->read_until(qr/\r\n\r\n/);
        return unless $head =~ /\r\n\r\n\z/;
        my ($method, $path) = $head =~ /^(\S+) (\S+)/;
        my $request = { head => $head, method => $method, path => $path, n => $n, %about };
        $conn->{chunked} = $head =~ /^transfer-encoding:\s*chunked/mi ? 1 : 0;
        ($conn->{left}) = $head =~ /^content-length:\s*(\d+)/mi;
        $conn->{left} //= 0;

        if (!$self->{stream}) {
            my $body = '';
            while (defined(my $piece = $conn->body_piece)) {
                $body .= $piece;
            }
            $request->{body} = $body;
        }

        if (!$self->{quiet}) {
            $self->_record(type => 'request', %$request);

        } elsif ((-s "$self->{file}.generation" // 0) != $generation) {
            $self->_record(type => 'stale', %$request);
        }

        my $keep = $self->{handler} ? $self->{handler}->($conn, $request) : $conn->answer($request);
        last unless $keep;
    }

    return;
}


package Tee::Upstream::Connection;

our @ISA = ('Tee::Http');


# the next piece of a request's body; undef after the last

sub body_piece {
    my ($self) = @_;

    if ($self->{chunked}) {
        my $chunk = $self->chunk;
        return $chunk if length($chunk // '');
        $self->{chunked} = $self->{left} = 0;
        return undef;
    }

    return undef unless $self->{left};
    $self->_more($self->_end) or return undef unless length $self->{in};
    my $n = length $self->{in} < $self->{left} ? length $self->{in} : $self->{left};
    $self->{left} -= $n;
    return $self->_take($n);
}

sub note { my ($self, $text) = @_; return $self->{upstream}->_record(type => 'note', conn => $self->{id}, note => $text) }

# whole, with a length

sub respond {
    my ($self, $status, $headers, $body) = @_;
    my @headers = @$headers;
    my $head = "HTTP/1.1 $status\r\nContent-Length: " . length($body) . "\r\n";
    while (my ($name, $value) = splice @headers, 0, 2) {
        $head .= "$name: $value\r\n";
    }
    return $self->send("$head\r\n$body");
}

# unless the test wants something else: who it is, and the body back

sub answer {
    my ($self, $request) = @_;
    return $self->respond('200 OK', [ 'Content-Type' => 'message/ohttp-res', 'X-Backend' => $self->{upstream}{name} ],
        $request->{body});
}

sub send_chunk {
    my ($self, $data) = @_;
    return $self->send(sprintf("%x\r\n%s\r\n", length $data, $data));
}

# RST instead of FIN

sub reset {
    my ($self) = @_;
    setsockopt $self->{socket}, Socket::SOL_SOCKET(), Socket::SO_LINGER(), pack('ii', 1, 0);
    POSIX::_exit(0);
}

1;
