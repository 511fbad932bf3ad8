#!/usr/bin/perl
# The directives of tee_sign: what each of them takes and refuses, key files,
# what is inherited, and keys that are replaced.

use FindBin;
use lib "$FindBin::Bin/lib";
use Tee::Test;

use Crypt::PK::RSA;
use POSIX qw(mkfifo);
use Tee::Model;
use Tee::Signed;

my %pem = map { $_ => slurp((Tee::Cert::signing_key("sign-$_"))[0]) } 'a', 'b';
my %key = map { $_ => Crypt::PK::RSA->new(\$pem{$_}) } sort keys %pem;
my %id = map { $_ => Tee::Signed::tee_id($key{$_}) } sort keys %key;
my $dir = scratch();

sub secret { my ($name, $text, $mode) = @_; return spew("$dir/$name", $text, $mode // 0600) }

sub openssl { my ($args) = @_; return scalar `openssl $args 2> $dir/said` || die slurp("$dir/said") }

secret("$_.pem", $pem{$_}) for sort keys %pem;
secret('pkcs1.pem', $key{a}->export_key_pem('private'));
secret('1024.pem', openssl('genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:1024'));
secret('e3.pem', openssl('genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -pkeyopt rsa_keygen_pubexp:3'));
secret('ec.pem', openssl('genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256'));
secret('ed.pem', openssl('genpkey -algorithm ed25519'));
secret('crypted.pem', openssl("pkcs8 -topk8 -passout pass:word -in $dir/a.pem"));
secret('public.pem', $key{a}->export_key_pem('public_x509'));
secret('both.pem', $pem{a} . $pem{b});
secret('after.pem', $pem{a} . "x\n");
secret('before.pem', "x\n" . $pem{a});
secret('cut.pem', substr $pem{a}, 0, -60);
secret('der.pem', $key{a}->export_key_der('private'));
secret('huge.pem', $pem{a} . "\n" x 70_000);
secret('empty.pem', '');
secret('group.pem', $pem{a}, 0640);
secret('all.pem', $pem{a}, 0604);
secret('run.pem', $pem{a}, 0400);
symlink "$dir/a.pem", "$dir/link.pem";
mkfifo("$dir/fifo", 0600) or die "mkfifo: $!\n";

# halves of two keys

{
    my ($one, $other) = map $_->key2hash, @key{qw(a b)};

    # with one of these alone, OpenSSL still signs well: it has two ways
    for my $parts ([qw(d dP)], [qw(d qP)], [qw(d dP dQ)]) {
        my $mixed = Crypt::PK::RSA->new;
        $mixed->import_key({ %$one, map { $_ => $other->{$_} } @$parts });
        secret("mixed-@$parts.pem" =~ tr/ /-/r, $mixed->export_key_pem('private'));
    }

    my $mixed = Crypt::PK::RSA->new;
    $mixed->import_key({ %$one, N => $other->{N} });
    secret('mixed-N.pem', $mixed->export_key_pem('private'));
}

sub error { my ($http, %o) = @_; return Tee::Nginx->conf_error(http => $http =~ s/%%D%%/$dir/gr, %o) }
sub location { my ($conf, $more) = @_; return error('tee_sign_key a %%D%%/a.pem; ' . ($more // '') . " server { location / { $conf } }") }
sub good { my ($conf, $name) = @_; return is location($conf), '', $name // "taken: $conf" }
sub bad { my ($conf, $why, $name) = @_; return like location($conf), $why, $name // "refused: $conf" }

# -- keys

is error("tee_sign_key main %%D%%/$_->[0].pem;"), '', "a key: $_->[1]"
    for [ 'a', 'PKCS #8' ], [ 'pkcs1', 'PKCS #1' ], [ 'link', 'by a link' ], [ 'run', 'one that may only be read' ];
is error('tee_sign_key a %%D%%/a.pem; tee_sign_key b %%D%%/b.pem; tee_sign_key c %%D%%/a.pem;'), '', 'several, and one twice';
is error("tee_sign_key a %%D%%/a.pem id=$_;"), '', 'with its id ' . substr $_, 0, 4 for $id{a}, $id{a} =~ s/^0x//r, uc($id{a}) =~ s/^0X/0x/r;
like error("tee_sign_key a %%D%%/a.pem id=$id{b};"), qr/is not that of the TEE/, 'another id';
like error("tee_sign_key a %%D%%/a.pem $_;"), qr/invalid parameter/, "refused: $_" for 'id=', 'id=0x12', 'id=x', 'other', "id=$id{a}00", "ID=$id{a}";
like error("tee_sign_key $_;"), qr/invalid number of arguments/, "refused: tee_sign_key $_" for '', 'a', "a %%D%%/a.pem id=$id{a} more";
like error('tee_sign_key a %%D%%/a.pem; tee_sign_key a %%D%%/b.pem;'), qr/duplicate/, 'a name twice';
like error("tee_sign_key $_ %%D%%/a.pem;"), qr/empty, "off" or a duplicate/, "a name: $_" for '""', 'off';
like error('server { tee_sign_key a %%D%%/a.pem; }'), qr/not allowed here/, 'a key in a server';
like error("tee_sign_key a %%D%%/$_->[0];"), $_->[1], "refused as a key: $_->[2]" for
    [ 'none', qr/cannot be opened.*No such file/, 'no file' ],
    [ '', qr/not a regular file/, 'a directory' ],
    [ 'fifo', qr/not a regular file/, 'a pipe' ],
    [ 'group.pem', qr/may be read by others.*chmod 600/, 'one that the group may read' ],
    [ 'all.pem', qr/may be read by others/, 'one that everybody may read' ],
    [ 'empty.pem', qr/is empty/, 'nothing' ],
    [ 'huge.pem', qr/is too large/, 'a large file' ],
    (map [ "$_->[0].pem", qr/must have one RSA key of 2048 to 8192 bits in PEM/, $_->[1] ],
        [ '1024', '1024 bits' ], [ 'ec', 'of a curve' ], [ 'ed', 'of Edwards' ], [ 'crypted', 'one with a password' ], [ 'public', 'a public key' ],
        [ 'both', 'two keys' ], [ 'after', 'more behind it' ], [ 'cut', 'a part of it' ], [ 'der', 'DER' ]),
    [ 'mixed-N.pem', qr/halves|must have one RSA key/, 'the modulus of another' ];

like error("tee_sign_key a %%D%%/mixed-$_.pem;"), qr/halves that do not belong together/, "refused as a key: $_ of another" for qw(d-dP d-qP d-dP-dQ);

if ($> == 0) {
    secret('other.pem', $pem{a});
    chown 1, 1, "$dir/other.pem";
    like error('tee_sign_key a %%D%%/other.pem;'), qr/belongs to another user/, 'refused as a key: one of somebody else';
}

{
    my (undef, $text) = error('tee_sign_key a %%D%%/a.pem; tee_sign_key a %%D%%/a.pem;', log => 'debug');
    my ($line) = $pem{a} =~ /\n(.{40})/;
    ok index($text, $line) < 0, 'nothing secret in messages';
}

# -- locations

good('tee_sign a;', 'a location');
good('tee_sign off;');
good("tee_sign a; $_;")
    for 'tee_sign_endpoint auto', 'tee_sign_endpoint chat', 'tee_sign_endpoint completions', 'tee_sign_endpoint web_search', 'tee_sign_fields temperature',
    'tee_sign_fields temperature max_tokens stop tools response_format web_search aspect_ratio', 'tee_sign_fields seed', 'tee_sign_buffer 1k', 'tee_sign_buffer 64m',
    'tee_sign_unsigned errors', 'tee_sign_unsigned pass', 'tee_sign_unsigned refuse';
bad('tee_sign b;', qr/no "tee_sign_key b" before this line/, 'an unknown key');
like error('server { location / { tee_sign a; } } tee_sign_key a %%D%%/a.pem;'), qr/no "tee_sign_key a" before/, 'a key that comes later';
like error('tee_sign_key a %%D%%/a.pem; server { tee_sign a; }'), qr/not allowed here/, 'tee_sign in a server';
like error('tee_sign_key a %%D%%/a.pem; tee_sign a;'), qr/not allowed here/, 'tee_sign in http';
bad('tee_sign;', qr/invalid number of arguments/);
bad('tee_sign a a;', qr/invalid number of arguments/);
bad("tee_sign a; $_;", qr/invalid value/) for 'tee_sign_endpoint x', 'tee_sign_endpoint CHATS', 'tee_sign_unsigned x', 'tee_sign_buffer x', 'tee_sign_buffer -1';
bad("tee_sign a; $_;", qr/invalid number of arguments/) for 'tee_sign_endpoint', 'tee_sign_fields', 'tee_sign_unsigned pass pass', 'tee_sign_buffer 1 2';
bad("tee_sign a; tee_sign_fields $_;", qr/duplicate|field|invalid|name/) for 'stop stop', '""', 'model', 'messages';
bad("tee_sign a; $_; $_;", qr/is duplicate/, "a duplicate is refused: $_")
    for 'tee_sign_endpoint chat', 'tee_sign_fields stop', 'tee_sign_buffer 1m', 'tee_sign_unsigned pass', 'tee_sign a';

# what would send something else than what was signed, or answer it from somewhere else

for my $case ([ 'proxy_set_body x', qr/"proxy_set_body" would send something else/ ], [ 'proxy_pass_request_body off', qr/would not send what was asked/ ],
    [ 'proxy_cache c', qr/an answer belongs to one request/, 'proxy_cache_path %%D%%/cache keys_zone=c:1m;' ], [ 'proxy_store on', qr/an answer belongs to one request/ ])
{
    my ($other, $why, $more) = @$case;
    like location("tee_sign a; $other; proxy_pass http://127.0.0.1:1;", $more), $why, "refused with: $other";
    like location("$other; location /x { tee_sign a; proxy_pass http://127.0.0.1:1; }", $more), $why, "refused with: $other, inherited";
    is location("tee_sign off; $other; proxy_pass http://127.0.0.1:1;", $more), '', "taken, when off: $other";
}

# http

is error("tee_sign_key a %%D%%/a.pem; $_;"), '', "taken: $_" for 'tee_threads default', 'tee_threads default queue=1', 'tee_threads default queue=100000', 'tee_threads default jobs=1',
    'tee_threads default jobs=1024 queue=7';
is error('tee_sign_key a %%D%%/a.pem; tee_threads other;', main => 'thread_pool other threads=2;'), '', 'a pool of threads';
like error("tee_threads $_;"), qr/"tee_threads" takes a pool, "queue=" above 0/, "refused: tee_threads $_"
    for map "default $_", 'queue=0', 'queue=x', 'queue=-1', 'queue=', 'other', 'queue=1x', 'QUEUE=1', 'jobs=0', 'jobs=1025',
    'jobs=x', 'jobs=1 jobs=2', 'queue=1 queue=2';
like error("tee_threads $_;"), qr/invalid number of arguments/, "refused: tee_threads $_" for '', 'default queue=1 jobs=1 more';
like error('tee_threads none; server { location / { } }'), qr/unknown thread pool "none"/, 'a pool that is not there';
like error('tee_threads default; tee_threads default;'), qr/is duplicate/, 'a duplicate is refused: tee_threads';
like error('server { tee_threads default; }'), qr/not allowed here/, 'tee_threads in a server';

# -- what is inherited, keys by name, and a reload

my $m = Tee::Model->new;
my $answer = Tee::Model::encode(Tee::Model::answer('Hello!'));
my $script = $m->whole($answer);
my $text = $m->whole('text', type => 'text/plain');
my $long = $m->whole(Tee::Model::encode(Tee::Model::answer('x' x 3000)));
my $http = <<'CONF';
    tee_sign_key a now.pem;
    tee_sign_key b b.key;
    tee_sign_unsigned pass;
    tee_sign_buffer 2k;
    server {
        listen 127.0.0.1:%%PORT_http%%;
        tee_sign_endpoint chat;
        tee_sign_fields stop;
        location /a { tee_sign a; proxy_pass http://127.0.0.1:%%model%%;
            location /a/deep { proxy_pass http://127.0.0.1:%%model%%; }
            location /a/off { tee_sign off; proxy_pass http://127.0.0.1:%%model%%; }
            location /a/other { tee_sign b; tee_sign_unsigned refuse; tee_sign_buffer 64k; tee_sign_endpoint auto; tee_sign_fields temperature; proxy_pass http://127.0.0.1:%%model%%; }
            location /a/if { if ($arg_x) { add_header X-If 1; } proxy_pass http://127.0.0.1:%%model%%; }
        }
        location /b { tee_sign b; proxy_pass http://127.0.0.1:%%model%%; }
        location /none { proxy_pass http://127.0.0.1:%%model%%; }
    }
CONF
my $t = Tee::Nginx->new(
    workers => 1, log => 'debug', files => { 'b.key' => $pem{b} }, vars => { model => $m->port }, http => $http, stopped => 1,
);
$t->write('now.pem', $pem{a}, 0600);
$t->start;

my $body = '{"model":"m","messages":[{"role":"user","content":"x"}],"temperature":1,"stop":["x"]}';

sub by {
    my ($name, $path, $who, @fields) = @_;
    my $r = $t->post($path, 'application/json', $body, [ 'X-Script' => $script ]);
    return is Tee::Signed::check($key{$who}, 'chat', $body, $r->{body}, fields => [ @fields ? @fields : 'stop' ]), undef, $name;
}

sub asked { my ($path, $what) = @_; return $t->post($path, 'application/json', $body, [ 'X-Script' => $what ]) }

by('endpoint and fields of the server', '/a', 'a');
by('a location within', '/a/deep', 'a');
by('with an if', '/a/if?x=1', 'a');
by('another key', '/b', 'b');
by('its own settings', '/a/other/chat/completions', 'b', 'temperature');
is asked('/a/off', $script)->{body}, $answer, 'off within';
is asked('/none', $script)->{body}, $answer, 'none';
is asked('/a/deep', $text)->{body}, 'text', 'a policy that is inherited';
is asked('/a/other/chat/completions', $text)->{status}, 502, 'and one that is not';
is asked('/a/other', $script)->{status} >= 400 ? 1 : 0, 1, 'nor the endpoint';
unlike asked('/a/deep', $long)->{body}, qr/tee_/, 'a size that is inherited';
like asked('/a/other/chat/completions', $long)->{body}, qr/tee_/, 'and one that is not';

$t->write('now.pem', $pem{b}, 0600);
by('a key that has been replaced is not used', '/a', 'a');
ok $t->reload, 'before the reload';
by('but then', '/a', 'b');
$t->write('now.pem', 'broken', 0600);
kill HUP => $t->pid;
ok $t->await_log(qr/\[emerg\].*signing key/), 'a key that is broken';
by('leaves the one that was', '/a', 'b');

$t->finish(allow => qr/signing key/);
done_testing;
