#!/usr/bin/perl
# The directives of tee_verify: what each of them takes and refuses, and what is
# inherited.

use FindBin;
use lib "$FindBin::Bin/lib";
use Tee::Test;

use Crypt::PK::RSA;
use Tee::Json qw(parse);
use Tee::Model;
use Tee::Signed;

my ($file) = Tee::Cert::signing_key('verify-a');
my $key = Crypt::PK::RSA->new($file);
my $other = Crypt::PK::RSA->new((Tee::Cert::signing_key('verify-b'))[0]);
my $dir = scratch();

sub put { my ($name, $text) = @_; return spew("$dir/$name", $text) }

put('a.pem', $key->export_key_pem('public_x509'));
put('a.der', $key->export_key_der('public_x509'));
put('b.pem', $other->export_key_pem('public_x509'));
put('pkcs1.pem', $key->export_key_pem('public'));
put('private.pem', slurp($file));
put('both.pem', slurp("$dir/a.pem") . slurp("$dir/b.pem"));
put('after.der', slurp("$dir/a.der") . 'x');
put('cut.der', substr slurp("$dir/a.der"), 0, -1);
put('cut.pem', substr slurp("$dir/a.pem"), 0, -40);
put('empty.pem', '');
put('text.pem', 'a text');
put('huge.pem', slurp("$dir/a.pem") . "\n" x 100_000);
put('ec.pem', scalar `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 | openssl pkey -pubout`);
put('1024.pem', scalar `openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:1024 2> /dev/null | openssl pkey -pubout`);
put('tees.json', tees());

sub error { my ($http, %o) = @_; return Tee::Nginx->conf_error(http => $http =~ s/%%D%%/$dir/gr, %o) }

my $registry = 'tee_registry og { file %%D%%/tees.json; allow_private on; } upstream tee { tee_peers og; } upstream plain { server 127.0.0.1:1; }';

sub location { my ($conf) = @_; return error("$registry server { location / { $conf } }") }
sub good { my ($conf, $name) = @_; return is location($conf), '', $name // "taken: $conf" }
sub bad { my ($conf, $why, $name) = @_; return like location($conf), $why, $name // "refused: $conf" }

my $on = 'tee_verify key=%%D%%/a.pem; proxy_pass http://127.0.0.1:1;';

good($on, 'a key');
good('tee_verify key=%%D%%/a.der; proxy_pass http://127.0.0.1:1;', 'a key in DER');
good('tee_verify on; proxy_pass https://tee;', 'the registry');
good('tee_verify off;');
good("$on $_;")
    for 'tee_verify_mode hold', 'tee_verify_mode stream', 'tee_verify_buffer 4k', 'tee_verify_max_body 1m', 'tee_verify_max_age 1s', 'tee_verify_max_age 1h', 'tee_verify_max_age off',
    'tee_verify_max_skew 0', 'tee_verify_max_skew 5m', 'tee_verify_errors hide', 'tee_verify_errors pass', 'tee_verify_headers X-A X-B', 'tee_verify_headers off',
    (map "tee_verify_endpoint $_", qw(auto chat completions web_search)), 'tee_verify_fields temperature stop seed';

bad('tee_verify;', qr/invalid number of arguments/);
bad("tee_verify $_; proxy_pass http://127.0.0.1:1;", qr/tee_verify|invalid/) for 'x', 'key=', '""', 'ON', 'key';
bad("tee_verify key=%%D%%/$_->[0]; proxy_pass http://127.0.0.1:1;", $_->[1], "refused as a key: $_->[2]") for
    [ 'none.pem', qr/No such file/, 'no file' ], [ '', qr/tee_verify|key/, 'a directory' ],
    (map [ $_->[0], qr/key/, $_->[1] ], [ 'empty.pem', 'nothing' ], [ 'text.pem', 'a text' ], [ 'ec.pem', 'of a curve' ], [ '1024.pem', '1024 bits' ],
        [ 'both.pem', 'two' ], [ 'after.der', 'more behind it' ], [ 'cut.der', 'a part of it' ], [ 'cut.pem', 'a part in PEM' ], [ 'private.pem', 'a private key' ], [ 'huge.pem', 'a large file' ]);
bad("$on $_;", qr/invalid|tee_verify/)
    for 'tee_verify_mode x', 'tee_verify_buffer x', 'tee_verify_max_body x', 'tee_verify_max_age x', 'tee_verify_max_skew x', 'tee_verify_errors x', 'tee_verify_headers X-A', 'tee_verify_headers X-A X-B X-C',
    'tee_verify_endpoint x', 'tee_verify_headers "" X-B', 'tee_verify_headers "X A" X-B', "tee_verify_headers 'X-A\n' X-B", 'tee_verify_headers X-A:';
bad("$on $_;", qr/invalid number of arguments/) for 'tee_verify_mode', 'tee_verify_max_age', 'tee_verify_errors pass pass', 'tee_verify_fields', 'tee_verify_headers';
bad("$on $_; $_;", qr/is duplicate/, "a duplicate is refused: $_")
    for 'tee_verify_mode hold', 'tee_verify_buffer 1m', 'tee_verify_max_body 1m', 'tee_verify_max_age 1h', 'tee_verify_max_age off', 'tee_verify_max_skew 1m', 'tee_verify_errors hide',
    'tee_verify_headers X-A X-B', 'tee_verify_headers off', 'tee_verify_endpoint chat', 'tee_verify_fields stop', 'tee_verify on';

# what could not be verified, or would not be what is verified

for my $case ([ 'proxy_set_body x', qr/"proxy_set_body" would send something else/ ], [ 'proxy_pass_request_body off', qr/would not send what was asked/ ],
    [ 'proxy_store on', qr/an answer belongs to one request/ ])
{
    bad("$on $case->[0];", $case->[1]);
}

bad('tee_sign a; ' . $on, qr/tee_sign/, 'tee_sign and tee_verify of an unknown key');

# -- what is inherited

my $m = Tee::Model->new;
my $t = Tee::Nginx->new(log => 'debug', files => { 'a.pem' => slurp("$dir/a.pem"), 'b.pem' => slurp("$dir/b.pem") }, vars => { model => $m->port }, http => <<'CONF');
    tee_verify_max_age off;
    tee_verify_headers X-One X-Two;
    tee_verify_errors pass;
    server {
        listen 127.0.0.1:%%PORT_http%%;
        tee_verify_endpoint chat;
        tee_verify_fields stop;
        location /a { tee_verify key=a.pem; proxy_pass http://127.0.0.1:%%model%%;
            location /a/deep { proxy_pass http://127.0.0.1:%%model%%; }
            location /a/off { tee_verify off; proxy_pass http://127.0.0.1:%%model%%; }
            location /a/other { tee_verify key=b.pem; tee_verify_errors hide; tee_verify_max_age 1h; tee_verify_headers off; tee_verify_endpoint auto; tee_verify_fields temperature; proxy_pass http://127.0.0.1:%%model%%; }
        }
        location /none { proxy_pass http://127.0.0.1:%%model%%; }
    }
CONF

my $body = '{"model":"m","messages":[{"role":"user","content":"x"}],"temperature":1,"stop":["x"]}';
my $answer = parse(Tee::Model::encode(Tee::Model::answer('Hello!')));
my %text = (
    old => Tee::Signed::attach($key, 'chat', $body, $answer, time => 1_700_000_000, fields => ['stop']),
    b => Tee::Signed::attach($other, 'chat', $body, $answer, fields => ['temperature']),
    'b old' => Tee::Signed::attach($other, 'chat', $body, $answer, fields => ['temperature'], time => 1_700_000_000),
);

sub ask { my ($path, $script) = @_; return $t->post($path, 'application/json', $body, [ 'X-Script' => $script ]) }

my $error = $m->whole('{"error":"no"}', status => '500 No');

for my $path ('/a', '/a/deep') {
    my $r = ask($path, $m->whole($text{old}));
    is_deeply [ $r->{status}, $r->{body}, scalar $r->header('x-one'), $r->header('x-tee-verified') ], [ 200, $text{old}, 'true' ], "$path: age, names, endpoint and fields are inherited" or diag $r->{body};
    is ask($path, $error)->{body}, '{"error":"no"}', "$path: and errors";
    is ask($path, $m->whole($text{b}))->{status}, 502, "$path: and the key";
}

my $r = ask('/a/other/chat/completions', $m->whole($text{b}));
is_deeply [ $r->{status}, $r->{body}, $r->header('x-one') ], [ 200, $text{b} ], 'its own key, names and fields';
is ask('/a/other/chat/completions', $m->whole($text{'b old'}))->{status}, 502, 'its own age';
is ask('/a/other', $m->whole($text{b}))->{status}, 400, 'its own endpoint';
unlike ask('/a/other/chat/completions', $error)->{body}, qr/"no"/, 'its own errors';
is ask('/a/off', $m->whole('x'))->{body}, 'x', 'off within';
is ask('/none', $m->whole('x'))->{body}, 'x', 'none';

$t->finish;
done_testing;
