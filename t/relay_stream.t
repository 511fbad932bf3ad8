#!/usr/bin/perl
# Both directions stream: what comes is passed on at once, and nothing is sent
# a second time.

use FindBin;
use lib "$FindBin::Bin/lib";
use Tee::Test;

# answers each piece of the request with a chunk, while the request goes on

my $echo = sub {
    my ($conn, $request) = @_;
    my $started;

    while (defined(my $piece = $conn->body_piece)) {
        $conn->note("got $piece");
        $conn->send("HTTP/1.1 200 OK\r\nContent-Type: message/ohttp-chunked-res\r\nTransfer-Encoding: chunked\r\n\r\n")
            unless $started++;
        $conn->send_chunk("N" x 32) if $started == 1;
        $conn->send_chunk(chr(16 + length $piece) . 't' x 16 . $piece);
    }

    $conn->send_chunk("\0" . 'f' x 16);
    $conn->send("0\r\n\r\n");
    return 1;
};

# reads everything, then breaks off

my $broken = sub {
    my ($conn, $request) = @_;
    $conn->reset if $request->{body} =~ /reset/;
    return 0 if $request->{body} =~ /silent/;
    $conn->send("HTTP/1.1 200 OK\r\nContent-Type: message/ohttp-chunked-res\r\nTransfer-Encoding: chunked\r\n\r\n");
    $conn->send_chunk('N' x 32 . chr(17) . 'x' x 17);
    return 0;
};

my $big = sub {
    my ($conn, $request) = @_;
    return $conn->respond('200 OK', [ 'Content-Type' => 'message/ohttp-res' ], 'y' x (8 << 20));
};

my $one = tee('one', handler => $echo, stream => 1);
my @two = map tee("broken$_", handler => $broken), 1, 2;
my $large = tee('large', handler => $big);

my $t = Tee::Nginx->new(
    files => { 'tees.json' => tees($one), 'two.json' => tees(@two), 'large.json' => tees($large) },
    http => <<'CONF');
    tee_registry og { file tees.json; allow_private on; }
    tee_registry two { file two.json; allow_private on; }
    tee_registry large { file large.json; allow_private on; }
    upstream tee { tee_peers og; keepalive 8; }
    upstream two { tee_peers two round_robin max_fails=0; keepalive 8; }
    upstream large { tee_peers large; keepalive 8; }
    server {
        listen 127.0.0.1:%%PORT_http%%;
        location /stream { tee_relay on; proxy_pass https://tee; }
        location /two { tee_relay on; proxy_pass https://two; }
        location /large { tee_relay on; proxy_pass https://large; }
    }
CONF

my $head = "Host: a\r\nContent-Type: message/ohttp-chunked-req\r\nTransfer-Encoding: chunked\r\n\r\n";

{
    my $c = $t->client;
    $c->send("POST /stream HTTP/1.1\r\n$head", "3\r\none\r\n");
    my $r = $c->head;
    is $r->{status}, 200, 'the response begins while the request goes on';
    my $got = '';
    $got .= $c->chunk while $got !~ /one/;
    pass 'the first piece has come back';
    $c->send("3\r\ntwo\r\n");
    $got .= $c->chunk while $got !~ /two/;
    pass 'so has the second';
    ok !grep(/three/, $one->{upstream}->notes), 'the TEE knows nothing of the third yet';
    $c->send("5\r\nthree\r\n0\r\n\r\n");

    while (length(my $chunk = $c->chunk // '')) {
        $got .= $chunk;
    }

    is $got, 'N' x 32 . "\x13" . 't' x 16 . 'one' . "\x13" . 't' x 16 . 'two' . "\x15" . 't' x 16 . 'three' . "\0" . 'f' x 16,
        'all of it, byte for byte';
}

# no second send

for my $how ('reset', 'silent') {
    my $r = $t->post('/two', 'message/ohttp-req', $how);
    is $r->{status}, 502, "a TEE that breaks off after it was sent a request: 502 ($how)";
    is scalar(map $_->{upstream}->requests, @two), 1, "and the request is not sent to another one ($how)";
    $_->{upstream}->forget for @two;
}

my $r = $t->post('/two', 'message/ohttp-req', 'cut');
is $r->{status}, 200, 'a response that breaks off has begun';
ok $r->{cut}, 'and does not end as if it were whole';
is scalar(map $_->{upstream}->requests, @two), 1, 'nor is it asked for again';
$_->{upstream}->forget for @two;

# a client that goes away

{
    my $c = $t->client;
    $c->send("POST /stream HTTP/1.1\r\n$head", "4\r\ngone\r\n");
    $c->head;
    my $closed = () = $one->{upstream}->closes;
    $c->close;
    ok $one->{upstream}->await(closes => $closed + 1), 'a client that goes away ends the request to the TEE';
}

# nothing goes to disk

{
    my $body = 'x' x (4 << 20);
    my $r = $t->post('/large', 'message/ohttp-req', $body);
    is length $r->{body}, 8 << 20, 'a large response is passed on';
    is +($large->{upstream}->requests)[-1]{body}, $body, 'so is a large request';
    unlike $t->log, qr/buffered to a temporary file/, 'and neither went to disk';
    is scalar(my @files = grep -f, glob $t->dir . '/tmp/*/* ' . $t->dir . '/tmp/*/*/*/*'), 0, 'no temporary files';
}

$t->finish;
done_testing;
