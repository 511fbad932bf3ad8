package Tee::Enclave;

# A stand-in for an enclave: TLS with the registered certificate, and behind it
# a gateway of the OpenGradient profile that answers chat completions.  What it
# says depends on the request alone.  No code of the module is in it.
#
#   my $keys = Tee::Enclave::make_keys($dir);       TLS, signing and OHTTP key
#   my $e = Tee::Enclave->start(%$keys);            a process of its own
#   $e->{port}; $e->{tee_id}; $e->registry_entry; $e->requests;
#
# It reads the requests of one connection after another, each connection in a
# process.  It ends when its standard input does.
#
# With the profile "rfc9458" it is a plain gateway instead, which echoes the
# Binary HTTP requests that it opens, whole or in chunks.
#
# Models that do not answer: "error-503" fails with that status (any of 400 to
# 599), "error-stream" after the first words.

use strict;
use warnings;

use Crypt::Digest::Keccak256 qw(keccak256_hex);
use Crypt::PK::RSA;
use Crypt::PK::X25519;
use IO::Select;
use IO::Socket::IP;
use IO::Socket::SSL;
use IO::Socket::SSL::Utils;
use IPC::Open2;
use JSON::PP ();
use MIME::Base64 qw(decode_base64 encode_base64);
use POSIX ();
use Socket qw(IPPROTO_TCP TCP_NODELAY);

use Tee::Bhttp;
use Tee::Json qw(dump_json num parse);
use Tee::Ohttp;
use Tee::Signed;
use Tee::Util qw(root slurp spew);

use constant MAX_BODY => 20 * 1024 * 1024;

my $BILLING = "\n--opengradient-ohttp-billing-v1--\n";

my %REASON = (200 => 'OK', 400 => 'Bad Request', 404 => 'Not Found',
    413 => 'Payload Too Large');


# -- keys

# Four files in a directory, made if they are not there.

sub make_keys {
    my ($dir) = @_;

    my %file = map { $_ => "$dir/$_" } qw(tls.pem tls.key sign.key hpke.key);

    if (!-s $file{'tls.key'}) {
        my $key = KEY_create_ec('prime256v1');
        my ($cert) = CERT_create(
            key => $key,
            digest => 'sha256',
            not_before => time - 3600,
            not_after => time + 356 * 86400,
            subject => { organizationName => 'ngx_http_tee stand-in enclave' },
            subjectAltNames => [ [ DNS => 'localhost' ] ],
        );

        spew($file{'tls.pem'}, PEM_cert2string($cert));
        spew($file{'tls.key'}, PEM_key2string($key), 0600);
        CERT_free($cert);
        KEY_free($key);
    }

    if (!-s $file{'sign.key'}) {
        my $key = Crypt::PK::RSA->new;

        $key->generate_key(256, 65537);
        spew($file{'sign.key'}, _pem('RSA PRIVATE KEY',
            $key->export_key_der('private')), 0600);
    }

    if (!-s $file{'hpke.key'}) {
        my $key = Tee::Ohttp::keygen();

        # RFC 8410, 7: what OpenSSL reads
        spew($file{'hpke.key'}, _pem('PRIVATE KEY',
            pack('H*', '302e020100300506032b656e04220420')
            . $key->export_key_raw('private')), 0600);
    }

    return { cert => $file{'tls.pem'}, key => $file{'tls.key'},
        signing_key => $file{'sign.key'}, hpke_key => $file{'hpke.key'} };
}

sub _pem {
    my ($what, $der) = @_;

    return "-----BEGIN $what-----\n" . encode_base64($der)
        . "-----END $what-----\n";
}


# -- the process, from outside

my @OPTIONS = qw(cert key signing_key hpke_key key_id port address profile
    billing delay log);

sub start {
    my ($class, %o) = @_;

    my @args = map { defined $o{$_} ? ('--' . tr/_/-/r, $o{$_}) : () } @OPTIONS;
    my $pid = open2(my $out, my $in, $^X, root() . '/t/enclave', @args);
    my $line = readline $out // die "the enclave did not start\n";

    return bless { %o, %{ JSON::PP::decode_json($line) }, pid => $pid,
        in => $in, out => $out, owner => $$ }, $class;
}

sub url { "https://127.0.0.1:$_[0]{port}" }

# An entry of a file registry

sub registry_entry {
    my ($self) = @_;

    return $self->{entry};
}

# What it has been sent: method, path, headers, length of the body.  Needs the
# option "log".

sub requests {
    my ($self) = @_;

    return map { JSON::PP::decode_json($_) } split /\n/, slurp($self->{log});
}

sub stop {
    my ($self) = @_;

    my $pid = delete $self->{pid};

    return if !$pid || $self->{owner} != $$;

    close $self->{in};
    waitpid $pid, 0;
    return $?;
}

sub DESTROY { local ($?, $@, $!); $_[0]->stop }


# -- the server

sub new {
    my ($class, %o) = @_;

    my $self = bless { key_id => 1, billing => 1, delay => 0,
        profile => 'opengradient', %o }, $class;
    my $sign = Crypt::PK::RSA->new($o{signing_key});
    my $hpke = Crypt::PK::X25519->new($o{hpke_key});
    my $pk = Tee::Ohttp::public_key($hpke);

    $self->{sign} = $sign;
    $self->{tee_id} = Tee::Signed::tee_id($sign);
    $self->{keys} = { $self->{key_id} => $hpke };
    $self->{config} = Tee::Ohttp::key_config($pk, $self->{key_id});
    $self->{pk} = $pk;

    $self->{tls} = IO::Socket::SSL::SSL_Context->new(SSL_server => 1,
        SSL_cert_file => $o{cert}, SSL_key_file => $o{key})
        // die "TLS: $SSL_ERROR\n";

    $self->{listen} = IO::Socket::IP->new(Listen => 128, ReuseAddr => 1,
        LocalHost => $o{address} // '127.0.0.1', LocalPort => $o{port} // 0)
        // die "cannot listen: $@\n";
    $self->{port} = $self->{listen}->sockport;

    return $self;
}

# One line of JSON, for whoever has started the process

sub ready {
    my ($self) = @_;

    my $host = $self->{address} // '127.0.0.1';

    $host = "[$host]" if $host =~ /:/;

    return JSON::PP->new->canonical->encode({
        ready => JSON::PP::true,
        port => 0 + $self->{port},
        tee_id => $self->{tee_id},
        entry => entry("https://$host:$self->{port}", %$self),
    });
}

# What a file registry has of it: an endpoint, and files as make_keys() makes
# them.

sub entry {
    my ($endpoint, %o) = @_;

    my $sign = Crypt::PK::RSA->new($o{signing_key});
    my $pk = Tee::Ohttp::public_key(Crypt::PK::X25519->new($o{hpke_key}));
    my $id = $o{key_id} // 1;

    return {
        endpoint => $endpoint,
        tls_certificate => slurp($o{cert}) =~ s/-----.*?-----|\s//gr,
        signing_key => encode_base64($sign->export_key_der('public_x509'), ''),
        ohttp => {
            key_id => 0 + $id, kem_id => 32, kdf_id => 1, aead_id => 3,
            public_key => unpack('H*', $pk),
            key_config => encode_base64(Tee::Ohttp::key_config($pk, $id), ''),
        },
    };
}

sub run {
    my ($self) = @_;

    my $stop = 0;
    my $select = IO::Select->new($self->{listen}, \*STDIN);
    my %children;

    # connections end with us, even if nobody could tell them
    pipe my $alive, my $hold or die "pipe: $!\n";
    $self->{alive} = $alive;

    local @SIG{qw(TERM INT)} = (sub { $stop = 1 }) x 2;
    local $SIG{PIPE} = 'IGNORE';

    until ($stop) {
        for my $fh ($select->can_read(1)) {
            if ($fh != $self->{listen}) {
                $stop = 1 if !sysread STDIN, my $unused, 4096;
                next;
            }

            my $client = $self->{listen}->accept or next;
            my $pid = fork // die "fork: $!\n";

            if (!$pid) {
                close $hold;
                close $self->{listen};
                @SIG{qw(TERM INT)} = ('DEFAULT') x 2;
                eval { $self->_connection($client); 1 } or print STDERR $@;
                POSIX::_exit(0);
            }

            $children{$pid} = 1;
        }

        while ((my $pid = waitpid -1, POSIX::WNOHANG()) > 0) {
            delete $children{$pid};
        }
    }

    kill TERM => keys %children;
    waitpid $_, 0 for keys %children;
    return;
}

sub _connection {
    my ($self, $client) = @_;

    $client->setsockopt(IPPROTO_TCP, TCP_NODELAY, 1);

    IO::Socket::SSL->start_SSL($client, SSL_server => 1,
        SSL_reuse_ctx => $self->{tls}) or return;

    my $c = { socket => $client, in => '', alive => $self->{alive} };

    while (my $r = _read_request($c)) {
        $self->_log($r);
        $self->_handle($c, $r);

        last if $r->{close} || $c->{failed};
    }

    $client->close;
    return;
}

sub _log {
    my ($self, $r) = @_;

    my $file = $self->{log} // return;

    open my $out, '>>', $file or die "$file: $!\n";
    syswrite $out, JSON::PP->new->canonical->encode({
        length => length $r->{body},
        map { $_ => $r->{$_} } qw(method path headers) }) . "\n";
    return;
}


# -- HTTP/1.1

sub _fill {                              # 1, or 0 at the end
    my ($c) = @_;

    my $socket = $c->{socket};

    if (!$socket->pending) {
        my $select = IO::Select->new($socket, $c->{alive});

        return 0 if grep { $_ == $c->{alive} } $select->can_read;
    }

    return sysread($socket, $c->{in}, 65536, length $c->{in}) ? 1 : 0;
}

sub _line {
    my ($c) = @_;

    my $end;

    while (($end = index $c->{in}, "\n") < 0) {
        _fill($c) or return undef;
    }

    return substr($c->{in}, 0, $end + 1, '') =~ s/\r?\n\z//r;
}

sub _bytes {
    my ($c, $n) = @_;

    while (length $c->{in} < $n) {
        _fill($c) or return undef;
    }

    return substr $c->{in}, 0, $n, '';
}

sub _read_request {
    my ($c) = @_;

    my $line = _line($c) // return;
    my ($method, $path) = $line =~ m{\A(\S+) (\S+) HTTP/1\.[01]\z} or return;
    my (@headers, %h);

    for (;;) {
        my $field = _line($c) // return;

        last if $field eq '';

        my ($name, $value) = $field =~ /\A([^:\s]+):\s*(.*?)\s*\z/ or return;

        push @headers, [ $name, $value ];
        $h{lc $name} = $value;
    }

    _write($c, "HTTP/1.1 100 Continue\r\n\r\n")
        if lc($h{expect} // '') eq '100-continue';

    my $body = _read_body($c, \%h) // return;

    return { method => $method, path => $path, headers => \@headers,
        body => $body, close => lc($h{connection} // '') eq 'close' };
}

sub _read_body {
    my ($c, $h) = @_;

    if (lc($h->{'transfer-encoding'} // '') ne 'chunked') {
        my $n = $h->{'content-length'} // 0;

        return $n > MAX_BODY ? 'x' x (MAX_BODY + 1) : _bytes($c, $n);
    }

    my $body = '';

    for (;;) {
        my $n = hex(_line($c) // return undef);

        if ($n == 0) {
            1 while length(_line($c) // return undef);
            return $body;
        }

        return 'x' x (MAX_BODY + 1) if $n + length $body > MAX_BODY;

        $body .= _bytes($c, $n) // return undef;
        _line($c);
    }
}

sub _write {
    my ($c, $bytes) = @_;

    my $at = 0;

    while (!$c->{failed} && $at < length $bytes) {
        my $n = syswrite $c->{socket}, $bytes, length($bytes) - $at, $at;

        $n ? ($at += $n) : ($c->{failed} = 1);
    }

    return;
}

sub _head {
    my ($c, $status, @headers) = @_;

    my $head = "HTTP/1.1 $status " . ($REASON{$status} // 'Error') . "\r\n";

    while (my ($name, $value) = splice @headers, 0, 2) {
        $head .= "$name: $value\r\n";
    }

    return "$head\r\n";
}

sub _respond {
    my ($c, $status, $type, $body, @headers) = @_;

    _write($c, _head($c, $status, 'Content-Type' => $type,
        'Content-Length' => length $body, @headers) . $body);
    return;
}

sub _respond_json {
    my ($c, $status, $value, @headers) = @_;

    _respond($c, $status, 'application/json', dump_json($value), @headers);
    return;
}


# -- resources

sub _handle {
    my ($self, $c, $r) = @_;

    my $what = "$r->{method} $r->{path}";

    if (length $r->{body} > MAX_BODY) {
        $r->{close} = 1;
        return _respond_json($c, 413, { error => 'request body too large' });
    }

    if ($what eq 'POST /v1/ohttp') {
        return $self->{profile} eq 'rfc9458' ? $self->_echo($c, $r)
                                             : $self->_ohttp($c, $r);
    }

    return $self->_plain($c, $r) if $what eq 'POST /v1/chat/completions';

    return _respond_json($c, 200, { status => 'OK', version => 'stand-in' })
        if $what eq 'GET /health';
    return _respond_json($c, 200, $self->_signed_config)
        if $what eq 'GET /v1/ohttp/config';

    return _respond_json($c, 404, { error => 'not found' });
}

sub _signed_config {
    my ($self) = @_;

    my $hash = Tee::Signed::ohttp_config_hash($self->{tee_id},
        $self->{key_id}, 3, $self->{pk}, $self->{config});

    return {
        key_id => num($self->{key_id}),
        kem_id => num(32), kdf_id => num(1), aead_id => num(3),
        public_key => unpack('H*', $self->{pk}),
        key_config => encode_base64($self->{config}, ''),
        tee_id => $self->{tee_id},
        signature => Tee::Signed::sign_hash($self->{sign}, $hash),
        signature_hash => '0x' . unpack('H*', $hash),
    };
}

sub _plain {
    my ($self, $c, $r) = @_;

    my $body = eval { parse($r->{body}) };
    my ($status, $answer, $stream) = $self->_chat($body);

    return _respond_json($c, $status, $answer) if !$stream;

    _write($c, _head($c, 200, 'Content-Type' => 'text/event-stream',
        'Transfer-Encoding' => 'chunked'));
    $stream->(sub { _write($c, sprintf "%x\r\n%s\r\n", length $_[0], $_[0]) });
    _write($c, "0\r\n\r\n");
    return;
}

# Nothing but success is sealed, and every failure to open looks the same.

sub _ohttp {
    my ($self, $c, $r) = @_;

    return _respond_json($c, 400, { error => 'empty body' })
        if $r->{body} eq '';

    my ($text, $ctx) = Tee::Ohttp::open_request($self->{keys}, $r->{body})
        or return _respond_json($c, 400,
            { error => 'malformed encapsulated request' });
    my $body = eval { parse($text) };

    return _respond_json($c, 400, { error => 'inner payload is not valid JSON' })
        if $@;
    return _respond_json($c, 400,
        { error => 'inner payload must be a JSON object' })
        if ref $body ne 'HASH';

    if ((delete $body->{endpoint} // 'chat.completions') ne 'chat.completions') {
        my $answer = { status => num(400),
            body => { error => 'unknown endpoint' } };

        return _respond($c, 200, 'message/ohttp-res',
            Tee::Ohttp::seal_response($ctx, dump_json($answer)));
    }

    delete @{$body}{qw(user metadata x-request-id request_id)};

    my ($status, $answer, $stream) = $self->_chat($body);

    return $self->_sealed_stream($c, $ctx, $stream) if $stream;
    return _respond_json($c, $status, $answer) if $status != 200;

    my $cost = $answer->{opengradient};

    _respond($c, 200, 'message/ohttp-res',
        Tee::Ohttp::seal_response($ctx, dump_json($answer)),
        $cost ? (
            'X-Inference-Cost-OPG' => $cost->{cost_opg},
            'X-Inference-Cost-USD' => $cost->{cost_usd},
            'X-Inference-Price-OPG-USD' => $cost->{opg_price_usd},
        ) : ());
    return;
}

# One event in each chunk, one behind, since the last one is sealed as such;
# the billing frame, which is for the relay alone, goes in front of it.

sub _sealed_stream {
    my ($self, $c, $ctx, $stream) = @_;

    my $seal = Tee::Ohttp::chunk_writer($ctx);
    my ($last, $cost) = ('');
    my $send = sub { _write($c, sprintf "%x\r\n%s\r\n", length $_[0], $_[0]) };

    _write($c, _head($c, 200, 'Content-Type' => 'message/ohttp-chunked-res',
        'Transfer-Encoding' => 'chunked'));

    $cost = $stream->(sub {
        $send->($seal->($last)) if $last ne '';
        $last = $_[0];
    });

    # the nonce of a stream without events comes with its final chunk
    my $final = $seal->($last, 1);

    $send->($BILLING . pack 'N/a', dump_json($cost)) if $cost;
    $send->($final);
    _write($c, "0\r\n\r\n");
    return;
}


# A gateway of RFC 9458

sub _echo {
    my ($self, $c, $r) = @_;

    my %h = map { lc $_->[0] => $_->[1] } @{ $r->{headers} };
    my $chunked = ($h{'content-type'} // '') eq 'message/ohttp-chunked-req';
    my ($text, $ctx) = $chunked
        ? Tee::Ohttp::open_chunked_request($self->{keys}, $r->{body})
        : Tee::Ohttp::open_request($self->{keys}, $r->{body});

    return _respond_json($c, 400, { error => 'malformed' }) if !$ctx;

    my $inner = Tee::Bhttp::parse_request($chunked ? join('', @$text) : $text);
    my $answer = $inner
        ? Tee::Bhttp::response(200, [ [ 'content-type', 'text/plain' ] ],
            "$inner->{method} $inner->{path} $inner->{content}")
        : Tee::Bhttp::response(400, [], '');

    return _respond($c, 200, 'message/ohttp-res',
        Tee::Ohttp::seal_response($ctx, $answer)) if !$chunked;

    my $seal = Tee::Ohttp::chunk_writer($ctx);

    _write($c, _head($c, 200, 'Content-Type' => 'message/ohttp-chunked-res',
        'Transfer-Encoding' => 'chunked'));

    for my $part ($answer =~ /.{1,1000}/sg, undef) {
        my $bytes = $seal->($part // '', !defined $part);

        _write($c, sprintf "%x\r\n%s\r\n", length $bytes, $bytes);
    }

    _write($c, "0\r\n\r\n");
    return;
}


# -- chat

# (status, answer), or (200, undef, a function that emits the events and gives
# the cost)

sub _chat {
    my ($self, $body) = @_;

    my $request = eval { Tee::Signed::canonical_chat($body) };

    return (400, { error => $@ =~ s/\n//r || 'body is not a JSON object' })
        if !$request;

    if ($request->{model} =~ /\Aerror-([45][0-9][0-9])\z/) {
        return ($1, { error => 'asked to fail', exception_type => 'Error',
            source => 'provider', retryable => Tee::Json::false() });
    }

    my ($text, @calls) = _answer($body);
    my $finish = @calls ? 'tool_calls' : 'stop';
    my @words = $text =~ /\s*\S+\s*/g;
    my %tokens = (prompt => scalar @{ $body->{messages} },
        completion => @words + @calls);
    my %signed = Tee::Signed::sign($self->{sign}, $request,
        @calls ? dump_json(\@calls) : $text, time);
    my %tail = (
        model => $request->{model},
        %signed,
        usage => {
            prompt_tokens => num($tokens{prompt}),
            completion_tokens => num($tokens{completion}),
            total_tokens => num($tokens{prompt} + $tokens{completion}),
        },
        $self->{billing} ? (opengradient => _cost($tokens{completion})) : (),
    );

    if (Tee::Signed::_truthy($body->{stream})) {
        my $fail = $request->{model} eq 'error-stream';

        return (200, undef, sub {
            return $self->_stream($_[0], \@words, \@calls, $finish,
                $fail ? undef : \%tail);
        });
    }

    return (200, {
        %tail,
        id => 'chatcmpl-' . substr($signed{tee_request_hash}, 0, 24),
        object => 'chat.completion',
        choices => [ {
            index => num(0),
            finish_reason => $finish,
            message => { role => 'assistant', content => $text,
                @calls ? (tool_calls => \@calls) : () },
        } ],
    });
}

# The cost is what the relay may know.

sub _cost {
    my ($n) = @_;

    return { cost_opg => "${n}000000000", cost_usd => "0.00000$n",
        opg_price_usd => '1.25' };
}

sub _answer {                            # (text, tool calls)
    my ($body) = @_;

    my $last = $body->{messages}[-1];
    my $content = $last->{content};
    my $text = ref $content eq 'ARRAY'
        ? join ' ', map { ref $_ ? $_->{text} // "[$_->{type}]" : $_ } @$content
        : $content // '';
    my $tools = $body->{tools};

    if (ref $tools eq 'ARRAY' && @$tools && $last->{role} eq 'user'
        && ($body->{tool_choice} // '') ne 'none')
    {
        return ('', { id => 'call_1', type => 'function', function => {
            name => $tools->[0]{function}{name} // 'tool',
            arguments => dump_json({ text => $text }) } });
    }

    return "You said: $text";
}

sub _stream {
    my ($self, $emit, $words, $calls, $finish, $tail) = @_;

    my $event = sub { $emit->('data: ' . dump_json($_[0]) . "\n\n") };
    my $delta = sub {
        $event->({ choices => [ { index => num(0),
            finish_reason => undef,
            delta => { role => 'assistant', @_ } } ] });
        select undef, undef, undef, $self->{delay} / 1000 if $self->{delay};
    };
    my $n = 0;

    for my $word (@$words) {
        $delta->(content => $word);

        last if !$tail;
    }

    $delta->(tool_calls => [ { %$_, index => num($n++) } ]) for @$calls;

    if (!$tail) {
        $event->({ error => 'asked to fail', source => 'provider' });
        return undef;
    }

    $event->({ %$tail, choices => [ { index => num(0), delta => {},
        finish_reason => $finish } ] });
    $emit->("data: [DONE]\n\n");

    return $tail->{opengradient};
}


1;
