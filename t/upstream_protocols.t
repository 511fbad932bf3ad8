#!/usr/bin/perl
# What speaks through the upstream besides HTTP/1.1: websocket, gRPC, and
# addresses of IPv6.

use FindBin;
use lib "$FindBin::Bin/lib";
use Tee::Test;

my $ws = tee('ws', handler => sub {
    my ($conn, $request) = @_;
    $conn->send("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n");

    while (length(my $line = $conn->read_until(qr/\n/))) {
        $conn->send("echo $line");
        return 0 if $line =~ /bye/;
    }

    return 0;
});

# nginx itself is a TEE that speaks HTTP/2

my $cert = Tee::Cert->new(name => 'grpc.test');
my $peer = Tee::Nginx->new(
    plain => 1,
    vars => { cert => $cert->{file}, key => $cert->{keyfile} },
    http => sub {
        my $http2 = Tee::Nginx::version() >= 1.025001 ? ['', 'http2 on;'] : [ 'http2', '' ];
        return <<"CONF";
    server {
        listen 127.0.0.1:%%PORT_tls%% ssl $http2->[0];
        $http2->[1]
        ssl_certificate %%cert%%;
        ssl_certificate_key %%key%%;
        location / {
            add_header Content-Type application/grpc;
            add_header X-Protocol \$server_protocol;
            add_header Grpc-Status 0;
            return 200;
        }
    }
CONF
    },
);
my $grpc = Tee::Cert::enclave('grpc', endpoint => 'https://127.0.0.1:' . $peer->port('tls'), cert => $cert);
my $stranger = Tee::Cert::enclave('mitm', endpoint => 'https://127.0.0.1:' . $peer->port('tls'),
    cert => Tee::Cert->new(name => 'stranger.test'));
my $six = tee('six', address => '::1');

my $t = Tee::Nginx->new(
    files => { map { ("$_->{name}.json" => tees($_)) } $ws, $grpc, $stranger, $six },
    http => <<'CONF');
    tee_registry ws { file ws.json; allow_private on; }
    tee_registry grpc { file grpc.json; allow_private on; }
    tee_registry mitm { file mitm.json; allow_private on; }
    tee_registry six { file six.json; allow_private on; }
    upstream ws { tee_peers ws; }
    upstream grpc { tee_peers grpc; keepalive 2; }
    upstream mitm { tee_peers mitm; }
    upstream six { tee_peers six; }
    grpc_ssl_protocols TLSv1.2 TLSv1.3;
    server {
        listen 127.0.0.1:%%PORT_http%%;
        location /ws {
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection upgrade;
            proxy_pass https://ws;
        }
        location /grpc { grpc_pass grpcs://grpc; }
        location /mitm { grpc_pass grpcs://mitm; }
        location /six { proxy_pass https://six; }
        location /tee/status { tee_status; }
    }
CONF

{
    my $c = $t->client;
    $c->send("GET /ws HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n");
    is $c->head->{status}, 101, 'a websocket is opened';
    $c->send("one\n");
    is $c->read_until(qr/\n/), "echo one\n", 'and speaks';
    $c->send("two\n");
    is $c->read_until(qr/\n/), "echo two\n", 'both ways';
    $c->send("bye\n");
    is $c->read_until(qr/\n/), "echo bye\n", 'until it';
    ok $c->closed, 'is closed';
}

for my $n (1 .. 3) {
    my $r = $t->get('/grpc');
    is $r->{status}, 200, "gRPC, call $n";
    is $r->header('x-protocol'), 'HTTP/2.0', 'speaks HTTP/2 to the TEE';
}

my $r = $t->get('/mitm');
isnt $r->header('x-protocol'), 'HTTP/2.0', 'gRPC to a TEE with another certificate is refused';
cmp_ok $t->status->{counters}{pin}{mismatch}, '>=', 1, 'by its pin';

is $t->get('/six')->{status}, 200, 'an endpoint with an IPv6 address';

# nginx before 1.27 logs an aborted handshake as its own failure, too
$t->finish;
$peer->finish;
done_testing;
