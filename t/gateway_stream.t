#!/usr/bin/perl
# What streams: events come when they are sent, the length of a response costs
# no memory, and nobody is sent more than is read.

use FindBin;
use lib "$FindBin::Bin/lib";
use Tee::Test;

use IO::Select;
use Socket qw(MSG_DONTWAIT MSG_PEEK SOL_SOCKET SO_RCVBUF SO_SNDBUF);
use Time::HiRes qw(sleep time);

my $begin = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
my $piece = 'x' x (1 << 16);
my $go = scratch() . '/go';

# as much as is taken; notes when nothing was for a while, and when it is over

sub pour {
    my ($conn, $left) = @_;
    my $socket = $conn->{socket};
    my ($sent, $told) = (0, -1);
    IO::Handle::blocking($socket, 0);

    while ($left > 0) {
        my $n = syswrite $socket, $piece, $left < length $piece ? $left : length $piece;

        if ($n) {
            $sent += $n;
            $left -= $n;
            next;
        }

        if (!$!{EAGAIN}) {
            $conn->note("gone at $sent");
            return 0;
        }

        next if IO::Select->new($socket)->can_write(1);
        $conn->note("held at $sent") if $told != $sent;
        $told = $sent;
    }

    IO::Handle::blocking($socket, 1);
    return 1;
}

my %answer = (
    '/events' => sub {
        my ($conn) = @_;
        $conn->send($begin);

        for my $n (1 .. 20) {
            sleep 0.1;      # how fast it speaks, not what is waited for
            $conn->send_chunk(sprintf "data: %.6f\n\n", time);
        }

        return $conn->send("0\r\n\r\n");
    },
    '/large' => sub {
        my ($conn, $request) = @_;
        my ($mib) = $request->{path} =~ /=(\d+)/;
        my $left = $mib << 20;
        $conn->send("HTTP/1.1 200 OK\r\nContent-Length: $left\r\n\r\n");
        return pour($conn, $left);
    },
    '/endless' => sub {
        my ($conn) = @_;
        setsockopt $conn->{socket}, SOL_SOCKET, SO_SNDBUF, 65536;
        $conn->send("HTTP/1.1 200 OK\r\n\r\n");
        return pour($conn, 1 << 40);
    },
    '/wait' => sub {
        my ($conn) = @_;
        $conn->send($begin);
        $conn->send_chunk("data: one\n\n");
        $conn->note('waits');
        $conn->read_all;
        $conn->note('left');
        return 0;
    },
    '/hints' => sub {
        my ($conn) = @_;
        $conn->send("HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n");
        $conn->note('hinted') if !wait_until { -e $go } 20;
        return $conn->respond('200 OK', [ 'Content-Type' => 'text/plain' ], 'page');
    },
    '/cut-chunks' => sub { $_[0]->send($begin); $_[0]->send_chunk("data: $_\n\n") for 1 .. 3; return 0 },
    '/cut-length' => sub { $_[0]->send("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", 'x' x 50_000); return 0 },
    '/cut-short' => sub { $_[0]->send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n", 'x'); return 0 },
    '/cut-reset' => sub { $_[0]->send($begin); $_[0]->send_chunk('x' x 100_000); $_[0]->reset; return 0 },
    '/cut-head' => sub { $_[0]->send("HTTP/1.1 200 OK\r\nContent-Len"); return 0 },
);
my $backend = backend(sub {
    my ($conn, $request) = @_;
    my ($path) = $request->{path} =~ m{^(/[\w-]+)};
    return $answer{$path}->($conn, $request);
});

my $keys = Tee::Sealed::keys();
my $cert = Tee::Cert->new(name => 'gateway.test');
my $http2 = Tee::Nginx::version() >= 1.025001 ? '; http2 on' : ' http2';
my $server = <<'CONF';
        proxy_http_version 1.1;
        proxy_max_temp_file_size 0;
        location = /ohttp { tee_gateway main; tee_gateway_target inside.example; }
        location / { proxy_pass http://127.0.0.1:%%backend%%; %%hints%% }
        location /file/ { alias %%DIR%%/html/; }
        location /unbuffered/ { proxy_pass http://127.0.0.1:%%backend%%/; proxy_buffering off; }
CONF
my $gateway = Tee::Nginx->new(
    files => $keys->{files},
    vars => { backend => $backend->port, cert => $cert->{file}, key => $cert->{keyfile},
        hints => Tee::Nginx::version() >= 1.029 ? 'early_hints 1;' : '' },
    http => <<"CONF");
    tee_gateway_keys main { $keys->{conf} }
    server { listen 127.0.0.1:%%PORT_http%% sndbuf=65536; $server }
    server { listen 127.0.0.1:%%PORT_h2%%$http2; http2_chunk_size 16k; $server }
    server { listen 127.0.0.1:%%PORT_tls%% ssl; ssl_certificate %%cert%%; ssl_certificate_key %%key%%; $server }
CONF

my $tee = Tee::Cert::enclave('gateway', endpoint => 'https://127.0.0.1:' . $gateway->port('tls'), cert => $cert);
my $relay = Tee::Nginx->new(
    files => { 'tees.json' => tees($tee) },
    vars => { http2 => $http2 },
    http => <<'CONF');
    tee_registry og { file tees.json; allow_private on; }
    upstream tee { tee_peers og max_fails=0; keepalive 8; }
    server {
        listen 127.0.0.1:%%PORT_http%%;
        location = /relay { tee_relay on; proxy_pass https://tee/ohttp; }
    }
    server {
        listen 127.0.0.1:%%PORT_h2%%%%http2%%;
        location = /relay { tee_relay on; proxy_pass https://tee/ohttp; }
    }
CONF

my $direct = Tee::Sealed->new(port => $gateway->port, to => $keys->{x25519}, timeout => 60);
my $relayed = $direct->with(port => $relay->port, path => '/relay');
my %ways = (
    'the gateway, HTTP/1.1' => $direct,
    'the gateway, HTTP/2' => $direct->with(port => $gateway->port('h2'), h2 => 1),
    'relay and gateway, HTTP/1.1' => $relayed,
    'relay and gateway, HTTP/2' => $relayed->with(port => $relay->port('h2'), h2 => 1),
);

sub median { my @s = sort { $a <=> $b } @_; return $s[ $#s / 2 ] }

# events

{
    my (@late, @plain);
    my $c = Tee::Http->new(port => $backend->port);
    $c->send_request(GET => '/events');
    $c->head;

    while (length(my $event = $c->chunk // '')) {
        push @plain, time - $1 if $event =~ /data: ([\d.]+)/;
    }

    for my $way (sort keys %ways) {
        my $s = $ways{$way}->stream(GET => '/events');
        my (@sent, @came);

        while (my ($text, $at) = $s->read) {
            push @sent, $text =~ /data: ([\d.]+)/g;
            push @came, ($at) x (@sent - @came);
        }

        my @took = map $came[$_] - $sent[$_], 0 .. $#sent;
        ok $s->{complete}, "$way: the stream comes to its end" or diag explain $s->{error}, $s->{outer};
        is scalar @came, 20, "$way: all events";
        is scalar(grep $came[$_] > $sent[ $_ + 1 ], 0 .. $#sent - 1), 0, "$way: each one before the next was sent";
        is $s->{outer}->header('incremental'), '?1', "$way: it is told that they come one by one";
        my $added = 1000 * (median(@took) - median(@plain));
        diag sprintf '%s: %.2f ms added, median of 20 events, %.2f at most', $way, $added, 1000 * ((sort { $b <=> $a } @took)[0] - median(@plain));
        cmp_ok $added, '<', $ENV{TEE_SANITIZE} ? 50 : 5, "$way: less than 5 ms later than without";
    }
}

# informational responses, which nginx passes on since 1.29.0

if (Tee::Nginx::version() >= 1.029) {
    for my $way ('the gateway, HTTP/1.1', 'the gateway, HTTP/2') {
        unlink $go;
        my $s = $ways{$way}->stream(GET => '/hints');
        my ($texts, $r) = ('');

        # the final status is not sent before the hint has come
        while (defined(my $bytes = $s->raw)) {
            $texts .= join '', map $_->[0] // 'broken', $s->{open}->($bytes);
            spew($go, 1) if $texts =~ m{^\x03\x40\x67.*</a\.css>; rel=preload}s;
        }

        $texts .= join '', map $_->[0] // 'broken', $s->{open}->();
        $r = Tee::Bhttp::parse_response($texts) // {};
        is_deeply [ map [ $_->{status}, map "@$_", @{ $_->{headers} } ], @{ $r->{informational} } ],
            [ [ 103, 'link </a.css>; rel=preload' ] ], "$way: early hints";
        is "$r->{status} $r->{content}", '200 page', "$way: and then the answer";
        is_deeply [ grep $_ eq 'hinted', $backend->notes ], [], "$way: in that order";
        $r = $ways{$way}->request(GET => '/hints');
        is "$r->{status} $r->{body}", '200 page', "$way, whole: the answer";
    }

}

# length

sub status { my ($what) = @_; return slurp('/proc/' . $gateway->pid . '/status') =~ /^$what:\s+(\d+)/m ? $1 : 0 }

for my $way ('the gateway, HTTP/1.1', 'the gateway, HTTP/2') {
    my $mib = $ENV{TEE_SANITIZE} ? 128 : 1024;
    my %skip = (skip => sub { $_[0] % 256 });
    $ways{$way}->stream(GET => '/large?mib=32', %skip)->rest;
    spew_to('/proc/' . $gateway->pid . '/clear_refs', 5);
    my $before = status('VmRSS');
    my $start = time;
    my $s = $ways{$way}->stream(GET => "/large?mib=$mib", %skip);
    my $n = 0;

    while (my ($length) = $s->read) {
        $n += $length;
    }

    my $took = time - $start;
    my $grown = status('VmHWM') - $before;
    ok $s->{complete}, "$way: $mib MiB come to their end" or diag explain $s->{cut}, $s->{broken}, $s->{curl};
    cmp_ok $n, '>=', $mib << 20, "$way: none is missing";
    cmp_ok $n, '<', ($mib << 20) * 1.001, "$way: and little is added";
    is scalar(grep $_ > 16384, @{ $s->{sizes} }), 0, "$way: in chunks of 16384 bytes at most";
    diag sprintf '%s: %d MiB in %.1f s, %d KiB more memory', $way, $mib, $took, $grown;
    cmp_ok $grown, '<', $ENV{TEE_SANITIZE} ? 262144 : 8192, "$way: it takes less than 8 MiB";
}

sub spew_to { my ($file, $text) = @_; open my $out, '>', $file or return; print $out $text; return close $out }

# a reader that is slow

for my $way (sort keys %ways) {
    for my $path ('/endless', '/unbuffered/endless') {
        my $s = $ways{$way}->stream(GET => $path);
        my ($first) = $s->read;
        ok length $first, "$way, $path: begins";
        ok wait_until { grep /^held at/, $backend->notes } 30;
        my ($held) = map /^held at (\d+)/, $backend->notes;
        diag sprintf '%s, %s: the backend was held at %.1f MiB', $way, $path, ($held // 0) / (1 << 20);
        cmp_ok $held // 1 << 40, '<', 48 << 20, "$way, $path: who does not read, is sent no more";
        $s->abort;
        ok wait_until { grep /^gone at/, $backend->notes } 30;
        ok scalar(grep /^gone at/, $backend->notes), "$way, $path: who goes away, has the backend stop";
        $backend->forget;
    }
}

# and what he has read at last leaves the connection as it was

# what waits to be read has been the same for a while

sub full {
    my ($c) = @_;
    my $bytes = '';
    $c->{socket}->recv($bytes, 1 << 25, MSG_PEEK | MSG_DONTWAIT);
    my $same = length $bytes && length $bytes == ($c->{waits} // 0);
    $c->{waits} = length $bytes;
    return ($c->{looks} = $same ? ($c->{looks} // 0) + 1 : 0) >= 10;
}

$gateway->write('html/large', 'x' x (16 << 20));

for my $path ('/large?mib=16', '/file/large') {
    for my $chunked (0, 1) {
        my $form = $chunked ? "chunked, $path" : "whole, $path";
        my ($bytes, $ctx) = $direct->seal(Tee::Bhttp::request(GET => $path), chunked => $chunked);
        my $c = $gateway->client;
        $c->send_request(POST => '/ohttp', [ 'Content-Type' => 'message/ohttp-' . ($chunked ? 'chunked-req' : 'req') ], $bytes);
        ok wait_until { full($c) }, "$form: nobody reads it, and nothing more comes";
        is length $direct->open($ctx, $c->response, $chunked)->{body}, 16 << 20, "$form: all of it, late";
        is $direct->request(GET => '/cut-head', client => $c, timeout => 5)->{status}, 502, "$form: another request over this connection";
    }
}

for my $way (sort keys %ways) {
    my $s = $ways{$way}->stream(GET => '/wait');
    is +($s->read)[0], "data: one\n\n", "$way: an event, and then nothing";
    $s->abort;
    eventually { grep $_ eq 'left', $backend->notes } "$way: the backend learns that nobody is there any more";
    $backend->forget;
}

# an answer that breaks off is never taken for a whole one

for my $way (sort keys %ways) {
    for my $path (qw(/cut-chunks /cut-length /cut-short /cut-reset)) {
        my $s = $ways{$way}->stream(GET => $path);
        my $got = $s->rest;
        ok !$s->{final} && !$s->{complete}, "$way, chunked: $path" or diag explain [ @{$s}{qw(final complete status)} ];
        ok $s->{cut} || ($s->{outer}{status} // 0) >= 500, "$way, chunked: $path, the stream is broken";
        my $r = $ways{$way}->request(GET => $path);
        ok $r->{error} || $r->{status} == 502, "$way, whole: $path" or diag explain $r;
    }

    my $r = $ways{$way}->request(GET => '/cut-head');
    is $r->{status}, 502, "$way: no answer at all" or diag $r->{error}, explain $r->{outer};
}

is scalar(grep -f, glob $gateway->dir . '/tmp/*/* ' . $gateway->dir . '/tmp/*/*/*/*'), 0, 'no temporary files';
unlike $gateway->log, qr/temporary file/, 'and there were none';

$relay->finish;
$gateway->finish;
done_testing;
