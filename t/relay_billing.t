#!/usr/bin/perl
# The private billing frame is taken out of a chunked response, wherever the
# bytes are split, and goes to the log.

use FindBin;
use lib "$FindBin::Bin/lib";
use Tee::Test;

my $bill = '{"cost_opg":"12.5","cost_usd":"0.004","opg_price_usd":"0.00032"}';
my $frame = "\n--opengradient-ohttp-billing-v1--\n" . pack('N/a', $bill);
my $before = 'n' x 32 . chr(20) . 'a' x 20 . "\x40\x64" . 'b' x 100;
my $final = "\0" . 'f' x 40;
my $clean = $before . $final;

# what is after the head of the request says how: SPLIT/WHAT

my %bodies = (
    billed => $before . $frame . $final,
    clean => $clean,
    twice => $before . $frame . $frame . $final,
    huge => $before . "\n--opengradient-ohttp-billing-v1--\n" . pack('N', 70000) . 'x' x 70000 . $final,
    short => $before . "\x05" . 'xxxxx' . $final,
    cut => substr($before . $frame . $final, 0, 200),
    aes => substr($before, 16) . $frame . $final,

    # the same bytes, but inside of a chunk
    inner => 'n' x 32 . "\x40" . chr(length $frame) . $frame . $final,
);

my $one = tee('one', handler => sub {
    my ($conn, $request) = @_;
    my ($split, $what) = $request->{body} =~ m{(\w+)/(\w+)$};
    my $type = $what =~ /plain/ ? 'message/ohttp-res' : 'message/ohttp-chunked-res';
    my $body = $bodies{ $what =~ s/^plain//r };
    $conn->send("HTTP/1.1 200 OK\r\nContent-Type: $type\r\nTransfer-Encoding: chunked\r\n\r\n");
    my @pieces = $split eq 'whole' ? $body : $split eq 'bytes' ? split(//, $body)
        : (substr($body, 0, $split), substr($body, $split));

    for my $piece (grep length, @pieces) {
        $conn->send_chunk($piece);
        select undef, undef, undef, 0.002 if $split ne 'bytes';
    }

    $conn->send("0\r\n\r\n");
    return 1;
});

my $t = Tee::Nginx->new(
    files => { 'tees.json' => tees($one) },
    http => <<'CONF');
    tee_registry og { file tees.json; allow_private on; }
    upstream tee { tee_peers og; keepalive 8; }
    log_format bill '$request_uri [$tee_relay_cost_opg] [$tee_relay_cost_usd] [$tee_relay_opg_price_usd]';
    access_log logs/bill.log bill;
    server {
        listen 127.0.0.1:%%PORT_http%%;
        location / { tee_relay on; proxy_pass https://tee/v1/ohttp; }
        location /tee/status { tee_status; }
    }
CONF

# key id, KEM, KDF and AEAD: the last decides on the length of the nonce

sub relay { my ($how, $aead) = @_; return $t->post($how, 'message/ohttp-req', pack('Cnnn', 1, 0x20, 1, $aead // 3) . $how) }

is relay('/whole/billed')->{body}, $clean, 'the frame is taken out';
is relay('/whole/clean')->{body}, $clean, 'a response without one is left alone';
is relay('/bytes/billed')->{body}, $clean, 'the frame is found in single bytes';
is relay('/whole/inner')->{body}, $bodies{inner}, 'bytes that look like one inside of a chunk stay';
is relay('/whole/plainbilled')->{body}, $bodies{billed}, 'a response that is not chunked OHTTP is left alone';

is relay('/whole/aes', 1)->{body}, substr($before, 16) . $final, 'AES-128-GCM has a shorter nonce';
is relay('/bytes/aes', 1)->{body}, substr($before, 16) . $final, 'also in single bytes';

my $at = length $before;
my @wrong = grep relay("/$_/billed")->{body} ne $clean, 0 .. 33, $at - 2 .. $at + length($frame) + 3;
is_deeply \@wrong, [], 'it is found across every split';

for my $what (qw(twice huge short cut)) {
    my $r = relay("/whole/$what");

    # a reset may take the head with it
    ok $r->{cut} || !$r->{status}, "a response that is not well-formed is cut off, never ended as if it were whole: $what";
    unlike $r->{body}, qr/billing-v1/, "and nothing of the frame passes: $what";
}

wait_until { $t->read('logs/bill.log') =~ /inner/ };
my $log = $t->read('logs/bill.log');
like $log, qr{^/whole/billed \[12\.5\] \[0\.004\] \[0\.00032\]$}m, 'the log has the costs';
like $log, qr{^/bytes/billed \[12\.5\] \[0\.004\] \[0\.00032\]$}m, 'however they came';
like $log, qr{^/whole/clean \[-?\] \[-?\] \[-?\]$}m, 'and none where there were none';

my $relay = $t->status->{counters}{relay};
cmp_ok $relay->{billed}, '>=', 50, 'billed responses are counted';
cmp_ok $relay->{bad_frame}, '>=', 3, 'and those that are not well-formed';

$t->finish;
done_testing;
