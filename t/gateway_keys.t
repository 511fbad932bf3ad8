#!/usr/bin/perl
# The keys of a gateway: directives and files, the list, how long it is fresh,
# and the signed configuration of the other profile.

use FindBin;
use lib "$FindBin::Bin/lib";
use Tee::Test;

use Crypt::Digest::SHA256 qw(sha256_hex);
use Crypt::Mac::HMAC qw(hmac);
use Crypt::PK::ECC;
use Crypt::PK::RSA;
use Crypt::PK::X25519;
use MIME::Base64 qw(decode_base64 encode_base64);
use POSIX qw(mkfifo);
use Tee::Ohttp;
use Tee::Signed;

my $seed = pack 'C*', map { $_ * 7 & 255 } 1 .. 32;
my $rsa = Crypt::PK::RSA->new->generate_key(256);
my %pem;

# -- directives

# everything that a key or a seed may be read from, in a directory of its own

my $dir = scratch();

sub secret { my ($name, $text, $mode) = @_; return spew("$dir/$name", $text, $mode // 0600) }

secret('seed', $seed);

for my $name (qw(one two three)) {
    secret("$name.pem", scalar `openssl genpkey -algorithm X25519`);
    $pem{$name} = Crypt::PK::X25519->new("$dir/$name.pem");
}

for my $curve (qw(256 384)) {
    secret("p$curve.pem", scalar `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-$curve`);
    $pem{"p$curve"} = Crypt::PK::ECC->new("$dir/p$curve.pem");
}

secret('rsa.pem', $rsa->export_key_pem('private'));
secret('open', $seed, 0640);
secret('open.pem', slurp("$dir/one.pem"), 0604);
secret('short', 'x' x 31);
secret('long', 'x' x 4097);
secret('longest', 'x' x 4096);
secret('empty', '');
secret('huge.pem', slurp("$dir/one.pem") . ' ' x 16384);
secret('both.pem', slurp("$dir/one.pem") . slurp("$dir/two.pem"));
secret('after.pem', slurp("$dir/one.pem") . "x\n");
secret('cut.pem', substr slurp("$dir/one.pem"), 0, -30);
secret('public.pem', $pem{one}->export_key_pem('public'));
secret("crypted.pem", scalar `openssl pkcs8 -topk8 -passout pass:word -in $dir/one.pem`);
mkfifo("$dir/fifo", 0600) or die "mkfifo: $!\n";
symlink "$dir/seed", "$dir/link";

sub error { my ($http, %o) = @_; return Tee::Nginx->conf_error(http => $http =~ s/%%D%%/$dir/gr, %o) }
sub keys_error { return error("tee_gateway_keys main { $_[0] }") }
sub good { my ($conf, $name) = @_; return is keys_error($conf), '', $name }
sub bad { my ($conf, $why, $name) = @_; return like keys_error($conf), $why, $name // "refused: $conf" }

good('seed %%D%%/seed;', 'a seed');
good('seed %%D%%/link;', 'by a link');
good('seed %%D%%/longest;', 'the longest');
good('seed %%D%%/seed; rotate 1s; announce 0; accept 1s; kem p256; suite hkdf-sha256 aes-256-gcm;', 'every directive of a seed');
good("seed %%D%%/seed; kem $_;", "KEM $_") for qw(x25519 p256);
good("seed %%D%%/seed; rotate 10s; announce 1s; accept 2549s;", '256 keys live');
good('key 1 %%D%%/one.pem;', 'a key');
good('key 0 %%D%%/one.pem; key 255 %%D%%/p256.pem accept; key 7 %%D%%/two.pem announce; key 8 %%D%%/three.pem active;',
    'keys in every state');
good('key 1 %%D%%/one.pem; suite hkdf-sha256 aes-128-gcm; suite hkdf-sha256 aes-256-gcm; suite hkdf-sha256 chacha20-poly1305;',
    'every suite');
is error('tee_gateway_keys a { seed %%D%%/seed; } tee_gateway_keys b { seed %%D%%/seed; }'), '', 'two sets of one seed';

bad('', qr/needs "seed" or "key"/, 'an empty block');
bad('nonsense 1;', qr/unknown directive "nonsense"/);
bad('seed %%D%%/seed; key 1 %%D%%/one.pem;', qr/it takes either/, 'a seed and a key');
bad('key 1 %%D%%/one.pem; seed %%D%%/seed;', qr/it takes either/, 'a key and a seed');
bad("key 1 %%D%%/one.pem; $_;", qr/are for a "seed"/) for 'rotate 1d', 'announce 1d', 'accept 1d';
bad('key 1 %%D%%/one.pem; kem x25519;', qr/"kem" is for a "seed"/);
bad('seed %%D%%/seed; rotate 0;', qr/"rotate" must not be zero/);
bad('seed %%D%%/seed; accept 0;', qr/"accept" must not be zero/);
bad('seed %%D%%/seed; rotate 10s; announce 10s;', qr/"announce" must be less/);
bad('seed %%D%%/seed; rotate 10s; announce 1s; accept 2550s;', qr/more than 256 keys/);
bad("seed %%D%%/seed; $_ x;", qr/$_/) for qw(rotate announce accept);
bad('seed %%D%%/seed; kem mlkem;', qr/invalid value "mlkem"/);
bad('seed %%D%%/seed; suite hkdf-sha512 aes-128-gcm;', qr/hkdf-sha256/);
bad('seed %%D%%/seed; suite hkdf-sha256 aes-128-ccm;', qr/takes "aes-128-gcm"/);
bad('seed %%D%%/seed; suite hkdf-sha256;', qr/invalid number of arguments/);
bad('seed %%D%%/seed; suite hkdf-sha256 aes-128-gcm; suite hkdf-sha256 aes-128-gcm;', qr/duplicate/, 'a suite twice');
bad("seed %%D%%/seed; $_; $_;", qr/duplicate/, "a duplicate is refused: $_")
    for 'seed %%D%%/seed', 'rotate 1d', 'announce 1h', 'accept 1d', 'kem x25519';
bad("key $_ %%D%%/one.pem;", qr/id from 0 to 255/) for -1, 256, 'x', 4294967297;
bad('key 1 %%D%%/one.pem other;', qr/takes "active"/);
bad('key 1;', qr/invalid number of arguments/);
bad('key 1 %%D%%/one.pem active active;', qr/invalid number of arguments/);
bad('key 1 %%D%%/one.pem; key 1 %%D%%/two.pem;', qr/twice with one id/);
bad('key 1 %%D%%/one.pem; key 1 %%D%%/p256.pem accept;', qr/twice with one id/, 'nor of two KEMs');
bad("key 1 %%D%%/one.pem $_;", qr/needs a key that is "active"/) for qw(accept announce);
like error('tee_gateway_keys { }'), qr/invalid number of arguments/, 'a block without a name';
like error('tee_gateway_keys "" { seed %%D%%/seed; }'), qr/empty, too long or a duplicate/, 'with an empty one';
like error("tee_gateway_keys @{[ 'x' x 256 ]} { seed %%D%%/seed; }"), qr/empty, too long or a duplicate/, 'with a long one';
like error('tee_gateway_keys a { seed %%D%%/seed; } tee_gateway_keys a { seed %%D%%/seed; }'), qr/duplicate/, 'two of one name';
like error('server { tee_gateway_keys a { seed %%D%%/seed; } }'), qr/not allowed here/, 'in a server';

# files

bad("seed %%D%%/$_->[0];", $_->[1], "refused as a seed: $_->[2]") for
    [ 'none', qr/cannot be opened.*No such file/, 'no file' ],
    [ 'short', qr/32 random ones at least/, '31 bytes' ],
    [ 'long', qr/is too large/, '4097 bytes' ],
    [ 'empty', qr/is empty/, 'nothing' ],
    [ 'open', qr/may be read by others.*chmod 600/, 'one that the group may read' ],
    [ '', qr/not a regular file/, 'a directory' ],
    [ 'fifo', qr/not a regular file/, 'a pipe' ];
bad("key 1 %%D%%/$_->[0].pem;", $_->[1], "refused as a key: $_->[2]") for
    [ 'none', qr/cannot be opened/, 'no file' ],
    [ 'open', qr/may be read by others/, 'one that everybody may read' ],
    [ 'huge', qr/is too large/, 'a large file' ],
    [ 'both', qr/one X25519 or P-256 private key in PEM/, 'two keys' ],
    [ 'after', qr/one X25519 or P-256 private key in PEM/, 'a byte after it' ],
    [ 'cut', qr/one X25519 or P-256 private key in PEM/, 'a part of it' ],
    [ 'public', qr/one X25519 or P-256 private key in PEM/, 'a public key' ],
    [ 'crypted', qr/one X25519 or P-256 private key in PEM/, 'one with a password' ],
    [ 'rsa', qr/one X25519 or P-256 private key in PEM/, 'an RSA key' ],
    [ 'p384', qr/one X25519 or P-256 private key in PEM/, 'another curve' ];
bad('key 1 %%D%%/seed;', qr/one X25519 or P-256 private key in PEM/, 'refused as a key: a seed');

# only root can give files away

if ($> == 0) {
    secret('other', $seed);
    chown 1, 1, "$dir/other";
    bad('seed %%D%%/other;', qr/belongs to another user/, 'refused as a seed: one of somebody else');
}

# locations

my $main = 'tee_gateway_keys main { key 1 %%D%%/one.pem; }';
my $og = 'tee_gateway_keys og { key 1 %%D%%/two.pem; suite hkdf-sha256 chacha20-poly1305; }';

sub location { my ($keys, $conf) = @_; return error("$keys server { location / { $conf } }") }

is location($main, 'tee_keys main;'), '', 'a list';
is location($main, 'tee_keys main max_age=1h;'), '', 'with an age';
is location($og, 'tee_keys og sign=%%D%%/rsa.pem;'), '', 'a signed configuration';
is location($og, 'tee_keys og sign=%%D%%/rsa.pem max_age=5m;'), '', 'with an age';
is error("$main server { location /a { tee_keys main; } location /b { tee_keys main; } }"), '', 'in two places';
like location($main, 'tee_keys other;'), qr/no "tee_gateway_keys other" block/, 'unknown keys';
like error("server { location / { tee_keys main; } } $main"), qr/no "tee_gateway_keys main" block before/, 'keys that come later';
like location($main, "tee_keys main $_;"), qr/invalid parameter/, "refused: $_"
    for 'max_age=0', 'max_age=x', 'max_age=', 'sign=', 'other', 'max_age=1 max_age=1';
like location($main, 'tee_keys;'), qr/invalid number of arguments/, 'no keys';
like location($main, 'tee_keys main; tee_keys main;'), qr/is duplicate/, 'twice';
like location($main, 'tee_keys main; proxy_pass http://127.0.0.1:1;'), qr/conflicts with another handler/, 'with proxy_pass';
like location($main, 'proxy_pass http://127.0.0.1:1; tee_keys main;'), qr/conflicts with another handler/, 'and after it';
like error("$main server { tee_keys main; }"), qr/not allowed here/, 'in a server';
like location('tee_gateway_keys s { seed %%D%%/seed; }', 'tee_keys s max_age=1d;'), qr/no "max_age" with a "seed"/, 'an age for a seed';

like location($main, 'tee_keys main sign=%%D%%/rsa.pem;'), qr/chacha20-poly1305;" and no other/, 'signed, with other suites';
like location('tee_gateway_keys s { seed %%D%%/seed; suite hkdf-sha256 chacha20-poly1305; }', 'tee_keys s sign=%%D%%/rsa.pem;'),
    qr/needs keys from files/, 'signed, of a seed';
like location('tee_gateway_keys p { key 1 %%D%%/p256.pem; suite hkdf-sha256 chacha20-poly1305; }', 'tee_keys p sign=%%D%%/rsa.pem;'),
    qr/needs X25519/, 'signed, with another KEM';
like location('tee_gateway_keys t { key 1 %%D%%/one.pem; key 2 %%D%%/two.pem; suite hkdf-sha256 chacha20-poly1305; }',
    'tee_keys t sign=%%D%%/rsa.pem;'), qr/exactly one/, 'signed, with two keys';
like location($og, 'tee_keys og sign=%%D%%/one.pem;'), qr/one RSA key/, 'signed by another kind of key';
like location($og, 'tee_keys og sign=%%D%%/none.pem;'), qr/cannot be opened/, 'signed by nobody';

# nothing secret in what nginx says

my (undef, $text) = error('tee_gateway_keys main { seed %%D%%/seed; key 1 %%D%%/one.pem; }', log => 'debug');
my ($middle) = slurp("$dir/one.pem") =~ /(.{20})\n-----END/;
ok index($text, $middle) < 0 && index($text, substr $seed, 0, 8) < 0, 'nothing secret in messages';

# -- the list of a seed

my $t = Tee::Nginx->new(
    workers => 2,
    vars => { keys => $dir },
    http => <<'CONF');
    tee_gateway_keys derived { seed %%keys%%/seed; rotate 1d; announce 1h; }
    tee_gateway_keys curve   { seed %%keys%%/seed; kem p256; suite hkdf-sha256 aes-256-gcm; }
    tee_gateway_keys files   {
        key 9 %%keys%%/three.pem announce; key 3 %%keys%%/one.pem accept; key 1 %%keys%%/two.pem; key 2 %%keys%%/p256.pem;
    }
    tee_gateway_keys og { key 1 %%keys%%/one.pem; suite hkdf-sha256 chacha20-poly1305; }
    server {
        listen 127.0.0.1:%%PORT_http%%;
        location = /derived { tee_keys derived; }
        location = /curve { tee_keys curve; }
        location = /files { tee_keys files; }
        location = /hour { tee_keys files max_age=1h; }
        location = /v1/ohttp/config { tee_keys og sign=%%keys%%/rsa.pem; }
        location = /.well-known/ohttp-gateway { tee_keys derived; }
        location /tee/status { tee_status; }
    }
CONF

# RFC 9180, 7.1.3, and docs: HMAC-SHA256(seed, label, name, kem, epoch)

sub derive {
    my ($name, $epoch) = @_;
    my $ikm = hmac('SHA256', $seed, "tee gateway key\0$name\0", pack 'n Q>', 0x20, $epoch);
    my $suite = 'KEM' . pack 'n', 0x20;
    my $prk = Tee::Ohttp::_labeled_extract($suite, '', 'dkp_prk', $ikm);
    my $sk = Tee::Ohttp::_labeled_expand($suite, $prk, 'sk', '', 32);
    return Tee::Ohttp::public_key(Tee::Ohttp::private_key($sk));
}

sub config { my ($id, $kem, $pk, @aeads) = @_; return pack 'n/a', pack 'C n a* n/a', $id, $kem, $pk, join '', map { pack 'n n', 1, $_ } @aeads }

# the same clock as nginx, unless an epoch begins between

my ($r, $epoch, $now, $want);

wait_until {
    ;
    $now = time;
    $r = $t->get('/derived');
    $epoch = int $now / 86400;
    $want = join '', map config($_ & 255, 0x20, derive('derived', $_), 1, 3), $epoch, $now % 86400 >= 82800 ? $epoch + 1 : ();
    $r->{body} eq $want || time - $now < 2
};

is $r->{status}, 200, 'the list of a seed';
is $r->header('content-type'), 'application/ohttp-keys', 'its type';
is unpack('H*', $r->{body}), unpack('H*', $want), 'what everybody with the seed computes';

my ($since, $until) = $now % 86400 < 82800 ? ($epoch * 86400, $epoch * 86400 + 82800) : ($epoch * 86400 + 82800, ($epoch + 1) * 86400);
is $r->header('cache-control'), 'public, max-age=' . ($until - $since), 'it is fresh from one change to the next';
ok abs($r->header('age') - ($now - $since)) <= 2, 'and this old';
is $r->header('etag'), '"' . substr(sha256_hex($r->{body}), 0, 32) . '"', 'ETag';
is $r->header('last-modified'), POSIX::strftime('%a, %d %b %Y %H:%M:%S GMT', gmtime $since), 'Last-Modified';

my %bodies;
$bodies{ $t->request(@$_)->{body} }++ for
    map { ([ GET => '/derived' ], [ GET => '/derived?x=1', [ Cookie => 'a=b', 'User-Agent' => "c$_" ] ], [ GET => '/.well-known/ohttp-gateway' ]) }
    1 .. 10;
is scalar keys %bodies, 1, 'the same bytes for every client';

$r = $t->get('/curve');
is unpack('x2 a3', $r->{body}) =~ /^.\0\x10/s && length $r->{body}, 2 + 1 + 2 + 65 + 2 + 4, 'a P-256 key with one suite';

# -- the list of files

$r = $t->get('/files');
is unpack('H*', $r->{body}), unpack('H*', join '',
    config(1, 0x20, Tee::Ohttp::public_key($pem{two}), 1, 3),
    config(2, 0x10, $pem{p256}->export_key_raw('public'), 1, 3),
    config(9, 0x20, Tee::Ohttp::public_key($pem{three}), 1, 3)),
    'keys from files: active ones, then announced ones';
is $r->header('cache-control'), 'public, max-age=86400', 'fresh for a day';
is $r->header('age'), undef, 'of no age';
is $t->get('/hour')->header('cache-control'), 'public, max-age=3600', 'or for as long as is said';

# -- requests

my $list = $r->{body};
my $etag = $r->header('etag');
my $modified = $r->header('last-modified');
$r = $t->request(HEAD => '/files');
is_deeply [ $r->{status}, $r->{body}, $r->header('content-length'), $r->header('etag') ], [ 200, '', length $list, $etag ], 'HEAD';

$r = $t->get('/files', [ 'If-None-Match' => $etag ]);
is_deeply [ $r->{status}, $r->{body} ], [ 304, '' ], 'not modified';
is_deeply [ map scalar $r->header($_), 'cache-control', 'etag', 'content-type' ], [ 'public, max-age=86400', $etag, undef ],
    'with what a cache needs';
is $t->get('/files', [ 'If-None-Match' => $_ ])->{status}, 304, "If-None-Match: $_" for '*', "\"x\", $etag", "W/$etag";
is $t->get('/files', [ 'If-None-Match' => '"x"' ])->{status}, 200, 'another ETag';
is $t->get('/files', [ 'If-Modified-Since' => $modified ])->{status}, 304, 'If-Modified-Since';

for my $case ([ 405, POST => [] ], [ 405, PUT => [] ], [ 405, DELETE => [] ],
    [ 200, GET => [ Accept => 'application/ohttp-keys' ] ], [ 200, GET => [ Accept => 'Application/OHTTP-Keys ; q=0.5' ] ],
    [ 200, GET => [ Accept => '*/*' ] ], [ 200, GET => [ Accept => 'application/*' ] ], [ 200, GET => [ Accept => '' ] ],
    [ 200, GET => [ Accept => 'text/html, */*;q=0.1' ] ], [ 200, GET => [ Accept => '*/*;q=0, application/ohttp-keys' ] ],
    [ 200, GET => [ Accept => 'text/html', Accept => 'application/ohttp-keys' ] ], [ 200, GET => [ Accept => ' , ,*/*' ] ],
    [ 200, GET => [ Accept => 'application/ohttp-keys;x=y;q=0.001' ] ],
    [ 406, GET => [ Accept => 'text/html' ] ], [ 406, GET => [ Accept => 'application/json, text/*' ] ],
    [ 406, GET => [ Accept => 'application/ohttp-keys;q=0' ] ], [ 406, GET => [ Accept => '*/*, application/ohttp-keys; q=0.000' ] ],
    [ 406, GET => [ Accept => 'application/ohttp-keysx' ] ], [ 406, GET => [ Accept => '*/*;q=0' ] ], [ 406, GET => [ Accept => ';' ] ])
{
    my ($status, $method, $headers) = @$case;
    is $t->request($method => '/files', $headers)->{status}, $status, "$method @$headers: $status";
}

is $t->post('/files', 'a/b', 'body')->header('allow'), 'GET, HEAD', 'what is allowed';
is $t->get('/.well-known/ohttp-gateway', [ Accept => 'application/ohttp-keys' ])->{body}, $t->get('/derived')->{body}, 'RFC 9540';

# -- the signed configuration

$r = $t->get('/v1/ohttp/config');
is_deeply [ $r->{status}, scalar $r->header('content-type'), scalar $r->header('cache-control') ],
    [ 200, 'application/json', 'public, max-age=86400' ], 'the signed configuration';
my $json = $r->json;
my $pk = Tee::Ohttp::public_key($pem{one});
my $blob = Tee::Ohttp::key_config($pk, 1, 3);
is_deeply { map { $_ => $json->{$_} } grep !/^sig/, keys %$json },
    { key_id => 1, kem_id => 0x20, kdf_id => 1, aead_id => 3, public_key => unpack('H*', $pk),
        key_config => encode_base64($blob, ''), tee_id => Tee::Signed::tee_id($rsa) }, 'its members';
my $hash = Tee::Signed::ohttp_config_hash($json->{tee_id}, 1, 3, $pk, $blob);
is $json->{signature_hash}, '0x' . unpack('H*', $hash), 'the hash is what a client computes';
ok $rsa->verify_message(decode_base64($json->{signature}), $hash, 'SHA256', 'pss', 32), 'and the signature is over it';
is $t->get('/v1/ohttp/config', [ Accept => 'application/ohttp-keys' ])->{status}, 406, 'it is no list';
is $t->get('/v1/ohttp/config')->{body}, $r->{body}, 'it is signed once';

cmp_ok $t->status->{counters}{gateway}{keys}, '>', 50, 'lists are counted';

# -- memory: the seed is where no core dump has it; a sanitizer's is too large

# what kinds of a process's memory have a text

sub found {
    my ($pid, $text) = @_;
    my ($from, $to, $readable, %found);
    no warnings 'portable';
    open my $memory, '<:raw', "/proc/$pid/mem" or die "memory of $pid: $!\n";

    for (split /^/, slurp("/proc/$pid/smaps")) {
        ($from, $to, $readable) = (hex $1, hex $2, $3 eq 'r') if /^([0-9a-f]+)-([0-9a-f]+) (.)/;
        next unless /^VmFlags:(.*)/ && $readable;
        my $flags = $1;
        sysseek $memory, $from, 0;
        sysread $memory, my $bytes, $to - $from or next;
        $found{ $flags =~ /\bdd\b/ ? 'not dumped' : 'dumped' } = 1 if index($bytes, $text) >= 0;
    }

    return join ' ', sort keys %found;
}

if (!$ENV{TEE_SANITIZE}) {
    is found($_, $seed), 'not dumped', 'a worker has the seed where no core dump has it' for $t->workers;
    is found($_, $middle), '', 'and no text of a key file' for $t->workers;
}

# -- a reload reads files again; one that cannot be read changes nothing

my $before = $t->get('/files')->{body};
secret('two.pem', slurp("$dir/one.pem"));
ok $t->reload, 'a reload';
isnt $t->get('/files')->{body}, $before, 'a file with another key';
is $t->get('/derived')->header('etag'), '"' . substr(sha256_hex($want), 0, 32) . '"', 'the keys of a seed stay';

$before = $t->get('/files')->{body};
secret('two.pem', 'nothing');
kill HUP => $t->pid;
ok $t->await_log(qr/\[emerg\].*one X25519 or P-256/), 'a reload that fails';
is $t->get('/files')->{body}, $before, 'leaves everything as it is';

unlike $t->log, qr/\Q$middle\E/, 'nothing secret in the log';
$t->finish(allow => qr/one X25519 or P-256 private key in PEM/);
done_testing;
