package Tee::Sealed;

# The client of a gateway: seals a request, sends it, opens the answer.
#
#   my $g = Tee::Sealed->new(port => 8080, path => '/ohttp',
#       to => { pk => $public_key, id => 1, aead => 1 });
#   my $r = $g->request(GET => '/', headers => [ [ accept => '*/*' ] ]);
#   $r->{status}, $r->{headers}, $r->header('x'), $r->{body}, $r->{trailers}
#   $r->{outer}                       what came back over the wire
#   $r->{error}                       why it did not open, or undef
#
# What may be said of a request, or once for all in new():
#
#   aead => 3                         in place of what "to" says
#   chunked => 1                      the chunked form; split => bytes of each
#   h2 => 1                           HTTP/2, by curl
#   relay => [ name => value, ... ]   fields of the outer request
#   text => $bytes                    this in place of Binary HTTP
#   tamper => sub { ... }             of the sealed bytes
#   and everything that Tee::Bhttp::request() knows.
#
# A response that is to be looked at while it comes:
#
#   my $s = $g->stream(GET => '/events', h2 => 1);
#   while (my ($piece, $at) = $s->read) { ... }   of its content
#   $s->{status}, $s->{headers}, $s->{trailers}
#   $s->{complete}                    it has come to its proper end
#
# The pieces of it are those of Binary HTTP, and $s->{sizes} has the lengths of
# the chunks that were sealed.  skip => sub { ... } of the number of a chunk
# says which ones are not to be opened, for speed; pieces are lengths then.

use strict;
use warnings;

use POSIX ();
use Time::HiRes qw(time);

use Tee::Bhttp;
use Tee::Http;
use Tee::Ohttp;
use Tee::Util qw(scratch slurp spew);

sub new {
    my ($class, %o) = @_;

    return bless { path => '/ohttp', to => {}, %o }, $class;
}

# an object for another form of request

sub with {
    my ($self, %o) = @_;

    return bless { %$self, %o }, ref $self;
}


# -- keys

# Private keys for a gateway: key 1 of X25519 and key 2 of P-256.
#
#   files    for Tee::Nginx: x25519.key and p256.key
#   conf     for a tee_gateway_keys block, with all suites
#   x25519, p256     whom a client sends to
#   private          by key id

my @SUITES = map { "suite hkdf-sha256 $_;" }
    qw(aes-128-gcm aes-256-gcm chacha20-poly1305);

sub keys {
    my %key = (x25519 => Tee::Ohttp::keygen(0x20), p256 => Tee::Ohttp::keygen(0x10));
    my %id = (x25519 => 1, p256 => 2);

    return {
        files => { map { ("$_.key" => Tee::Ohttp::key_pem($key{$_})) } CORE::keys %key },
        conf => join(' ', 'key 1 x25519.key; key 2 p256.key;',
            @SUITES),
        private => { map { ($id{$_} => $key{$_}) } CORE::keys %key },
        map { ($_ => { pk => Tee::Ohttp::public_key($key{$_}), id => $id{$_},
            aead => 1 }) } CORE::keys %key,
    };
}


# -- sealing and opening

# (bytes, context)

sub seal {
    my ($self, $text, %o) = @_;

    %o = (%$self, %o);
    $o{to} = { %{ $o{to} }, aead => $o{aead} } if $o{aead};

    my @texts = ($text);

    if ($o{chunked}) {
        @texts = (unpack("(a" . ($o{split} // 16384) . ")*", $text), '');
    }

    my ($bytes, $ctx) = $o{chunked}
        ? Tee::Ohttp::seal_chunked_request($o{to}, @texts)
        : Tee::Ohttp::seal_request($o{to}, $text);

    return ($o{tamper} ? $o{tamper}->($bytes) : $bytes, $ctx);
}

sub _text {
    my ($method, $path, %o) = @_;

    return $o{text} // Tee::Bhttp::request($method, $path, %o);
}

sub _type { $_[0] ? 'message/ohttp-chunked-req' : 'message/ohttp-req' }

# What is wrong with a gateway's answer, or undef; and the response inside

sub open {
    my ($self, $ctx, $outer, $chunked) = @_;

    $outer //= bless { status => 0, headers => [], body => '' },
        'Tee::Http::Response';

    return _failed($outer, "the gateway answered $outer->{status}")
        if $outer->{status} != 200;
    return _failed($outer, 'the answer is cut') if $outer->{cut};

    my $want = $chunked ? 'message/ohttp-chunked-res' : 'message/ohttp-res';
    my $type = $outer->header('content-type') // 'nothing';

    return _failed($outer, "the answer is of type $type") if $type ne $want;

    my $texts = $chunked
        ? Tee::Ohttp::open_chunked_response($ctx, $outer->{body})
        : [ Tee::Ohttp::open_response($ctx, $outer->{body}) ];

    return _failed($outer, 'the answer does not open')
        if !$texts || !defined $texts->[0];

    # 3 and 6 of the draft
    return _failed($outer, 'a chunk is too large or empty')
        if grep({ length > 16384 } @$texts) && $chunked
        || grep { !length } @{$texts}[0 .. $#$texts - 1];

    my $r = eval { Tee::Bhttp::parse_response(join '', @$texts) }
        // return _failed($outer, 'the answer is no Binary HTTP');

    return bless { %$r, body => $r->{content}, outer => $outer,
        texts => $texts }, 'Tee::Sealed::Response';
}

sub _failed {
    my ($outer, $why) = @_;

    return bless { status => 0, headers => [], body => '', trailers => [],
        outer => $outer, error => $why }, 'Tee::Sealed::Response';
}


# -- one request

sub request {
    my ($self, $method, $path, %o) = @_;

    %o = (%$self, %o);

    my ($bytes, $ctx) = $self->seal(_text($method, $path, %o), %o);
    my $outer = $self->post($bytes, %o);

    return $self->open($ctx, $outer, $o{chunked});
}

# sealed bytes, and what the gateway says

sub post {
    my ($self, $bytes, %o) = @_;

    %o = (%$self, %o);

    my @headers = (exists $o{type} ? () : ('Content-Type' => _type($o{chunked})),
        defined $o{type} ? ('Content-Type' => $o{type}) : (),
        @{ $o{relay} // [] });

    return $self->_curl(\@headers, $bytes, \%o) if $o{h2};

    # over a connection that stays
    if (my $c = $o{client}) {
        $c->send_request($o{outer_method} // 'POST', $o{path}, \@headers, $bytes);
        return $c->response;
    }

    return Tee::Http::request($o{port}, $o{outer_method} // 'POST', $o{path},
        \@headers, $bytes, timeout => $o{timeout}, tls => $o{tls});
}

sub _command {
    my ($self, $headers, $bytes, $o, $dir) = @_;

    my @h = @$headers;
    my $method = $o->{outer_method} // 'POST';
    my @args = ('curl', '-s', '-N', '--http2-prior-knowledge',
        $method eq 'HEAD' ? '-I' : ('-X', $method), '-D', "$dir/head", '-H', 'Expect:', '-H',
        'Accept:', '-H', 'User-Agent:', @{ $o->{curl} // [] });

    push @args, '--data-binary', '@' . spew("$dir/body", $bytes)
        if defined $bytes;
    push @args, '-H', shift(@h) . ': ' . shift @h while @h;

    return (@args, "http://127.0.0.1:$o->{port}$o->{path}");
}

sub _head {
    my ($file) = @_;

    my $head = slurp($file);
    my ($status) = $head =~ m{^HTTP/2 (\d+)} or return undef;
    my @headers = map { [ /^([^:]*):\s*(.*?)\s*$/ ] } grep { /:/ }
        split /\r\n/, $head;

    return bless { status => $status, head => $head, headers => \@headers,
        body => '' }, 'Tee::Http::Response';
}

sub _curl {
    my ($self, $headers, $bytes, $o) = @_;

    my $dir = scratch();

    CORE::open my $out, '-|', $self->_command($headers, $bytes, $o, $dir)
        or die "curl: $!\n";
    binmode $out;

    my $body = do { local $/; <$out> } // '';

    close $out;

    my $r = _head("$dir/head") // bless { status => 0, head => '',
        headers => [] }, 'Tee::Http::Response';

    $r->{body} = $body;
    $r->{curl} = $? >> 8;
    $r->{cut} = 1 if $?;
    return $r;
}


# -- one that is read as it comes

sub stream {
    my ($self, $method, $path, %o) = @_;

    %o = (%$self, chunked => 1, %o);

    my ($bytes, $ctx) = $self->seal(_text($method, $path, %o), %o);
    my @headers = ('Content-Type' => _type($o{chunked}), @{ $o{relay} // [] });
    my $s = bless { skip => $o{skip}, sizes => [], ready => [],
        bhttp => Tee::Bhttp::Reader->new }, 'Tee::Sealed::Stream';

    if ($o{h2}) {
        my $dir = $s->{dir} = scratch();

        $s->{pid} = CORE::open $s->{out}, '-|',
            $self->_command(\@headers, $bytes, \%o, $dir)
            or die "curl: $!\n";
        binmode $s->{out};

    } else {
        my $c = $s->{client} = $o{client} // Tee::Http->new(port => $o{port},
            timeout => $o{timeout}, tls => $o{tls});

        $c->send_request(POST => $o{path}, \@headers, $bytes);
        $s->{outer} = $c->head;
    }

    $s->{open} = Tee::Ohttp::chunk_reader($ctx, skip => $o{skip});
    return $s;
}


package Tee::Sealed::Response;

our @ISA = ('Tee::Http::Response');

package Tee::Sealed::Stream;

use Time::HiRes qw(time);

sub header { Tee::Http::Response::header(@_) }

# bytes of the body; undef at the end, and {cut} if it is none

sub raw {
    my ($self) = @_;

    if (my $c = $self->{client}) {
        my $bytes = $c->chunk;

        $self->{cut} = 1 if !defined $bytes;
        return length($bytes // '') ? $bytes : undef;
    }

    return $self->{in} if sysread $self->{out}, $self->{in}, 1 << 18;

    close $self->{out};
    $self->{pid} = 0;
    $self->{curl} = $? >> 8;
    $self->{cut} = 1 if $?;
    return undef;
}

# (a piece of the content, when it came), or () at the end

sub read {
    my ($self) = @_;

    while (!@{ $self->{ready} }) {
        return if $self->{ended};

        my $bytes = $self->raw;
        my $at = time;

        $self->{outer} //= Tee::Sealed::_head("$self->{dir}/head")
            if $self->{dir};

        if (!defined $bytes) {
            $self->{ended} = 1;
            return if $self->{cut};
        }

        for my $chunk ($self->{open}->($bytes)) {
            my ($text, $final, $skipped) = @$chunk;

            if (!defined $text) {
                $self->{ended} = $self->{broken} = 1;
                return;
            }

            push @{ $self->{sizes} }, $skipped ? $text : length $text;

            # with "skip": the number of bytes
            push @{ $self->{ready} }, map { [ $_, $at ] }
                $self->{skip} ? $self->{sizes}[-1] : $self->{bhttp}->add($text);
            $self->{final} = 1 if $final;
        }

        my $b = $self->{bhttp};

        $self->{trailers} = $b->end if $self->{final};
        @{$self}{qw(status headers informational)} =
            @{$b}{qw(status headers informational)};
        $self->{complete} = 1 if $self->{final}
            && ($self->{skip} || $self->{trailers});
    }

    return @{ shift @{ $self->{ready} } };
}

sub rest {
    my ($self) = @_;

    my $all = '';

    while (my ($piece) = $self->read) {
        $all .= $piece;
    }

    return $all;
}

sub abort {
    my ($self) = @_;

    $self->{client}->close if $self->{client};

    if (my $pid = delete $self->{pid}) {
        kill TERM => $pid;
        close $self->{out};
    }

    return;
}

sub DESTROY {
    my ($self) = @_;

    local ($?, $@, $!);

    if (my $pid = delete $self->{pid}) {
        kill TERM => $pid;
        close $self->{out};
    }

    return;
}


1;
