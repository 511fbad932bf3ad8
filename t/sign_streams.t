#!/usr/bin/perl
# Many streams that are signed at a time: each byte of each of them is the one
# that was sent, and none is signed for another.

use FindBin;
use lib "$FindBin::Bin/lib";
use Tee::Test;
use Tee::Streams;

my $n = 400;
my $s = Tee::Streams->new(events => 10, interval => 50);
my ($file) = Tee::Cert::signing_key('sign-a');
my $t = Tee::Nginx->new(
    workers => 2,
    files => { 'a.key' => slurp($file), 'a.pem' => Crypt::PK::RSA->new($file)->export_key_pem('public_x509') },
    vars => { model => $s->port },
    http => <<'CONF');
    tee_sign_key a a.key;
    proxy_http_version 1.1;
    server {
        listen 127.0.0.1:%%PORT_http%% reuseport backlog=1024;
        location /sign/ { tee_sign a; proxy_buffering off; proxy_pass http://127.0.0.1:%%model%%; }
        location /buffered/ { tee_sign a; proxy_pass http://127.0.0.1:%%model%%; }
        location /live/ { tee_verify key=a.pem; tee_verify_mode stream; proxy_buffering off; proxy_pass http://127.0.0.1:%%PORT_http%%/sign/; }
    }
CONF

for my $path (qw(/sign /buffered /live)) {
    my $want = $path eq '/live' ? $n / 4 : $n;
    my $r = $s->load($t->port, "$path/chat/completions", $want);
    is_deeply [ @$r{qw(whole signed bad events)} ], [ $want, $want, 0, 10 * $want ], "$path: all streams, and no byte is another one";
    cmp_ok $r->{most}, '>', $want / 4, "$path: $r->{most} at a time";
}

is $t->logged(qr/\[error\]/), 0, 'without an error';
$t->finish;
done_testing;
