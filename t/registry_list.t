#!/usr/bin/perl
# The list of a registry, for clients that seal by themselves.

use FindBin;
use lib "$FindBin::Bin/lib";
use Tee::Test;

use MIME::Base64 qw(decode_base64);

use Tee::Ohttp;
use Tee::Util qw(scratch spew);

my ($kem, $dir) = (Tee::Ohttp::keygen(), scratch());
spew("$dir/x25519.pem", Tee::Ohttp::key_pem($kem));

my ($one, $two) = (tee('one', pcrHash => '0x' . 'ab' x 32, hpkeKey => "$dir/x25519.pem"), tee('two'));
my $evm = Tee::Evm->new(tees => [ $one, $two ]);

my $t = Tee::Nginx->new(
    vars => { chain => $evm->conf },
    http => <<'CONF');
    tee_registry og { %%chain%% refresh 1s; refresh_min 500ms; max_stale 2s; max_block_age 0; allow_private on; type 0; }
    tee_registry none { contract 0x1111111111111111111111111111111111111111; chain_id 1; rpc http://127.0.0.1:1 insecure; }
    server {
        listen 127.0.0.1:%%PORT_http%%;
        location = /tees { tee_registry_list og; }
        location = /none { tee_registry_list none; }
    }
CONF

eventually { $t->get('/tees')->{status} == 200 } 'the registry is read';

my $r = $t->get('/tees');
is $r->header('content-type'), 'application/json', 'JSON';
is $r->header('cache-control'), 'no-cache', 'not from a cache';

my $list = $r->json;
is_deeply [ sort keys %$list ], [qw(age registry tees total version)], 'what is in it';
is $list->{registry}, 'og', 'its name';
is $list->{total}, 2, 'how many';
is_deeply [ map $_->{tee_id}, @{ $list->{tees} } ], [ sort map $_->{id}, $one, $two ], 'all, in order';

my ($e) = grep $_->{tee_id} eq $one->{id}, @{ $list->{tees} };
is $e->{endpoint}, $one->{endpoint}, 'the endpoint';
is $e->{pcr_hash}, '0x' . 'ab' x 32, 'the image';
is $e->{pin}, $one->{cert}{sha256}, 'the pin';
is decode_base64($e->{signing_key}), $one->{spki}, 'the signing key';
is substr(decode_base64($e->{key_config}), 3, 32), Tee::Ohttp::public_key($kem), 'the key configuration';
ok !exists((grep $_->{tee_id} eq $two->{id}, @{ $list->{tees} })[0]{key_config}), 'of one that has one';

is_deeply $t->get('/tees?from=1')->json->{tees}, [ $list->{tees}[1] ], 'from the second on';
is_deeply $t->get('/tees?from=9')->json->{tees}, [], 'behind the end';
is $t->get("/tees?from=$_")->{status}, 400, "not from $_" for '-1', 'x', '99999999999999999999';
is $t->request(HEAD => '/tees')->{status}, 200, 'HEAD';
is $t->request(POST => '/tees', undef, 'x')->{status}, 405, 'no POST';

$r = $t->get('/none');
is $r->{status}, 503, 'no list yet: 503';
is $r->json->{reason}, 'registry_empty', 'and why';

$evm->stop;
eventually { $t->get('/tees')->{status} == 503 } 'a list that is too old: 503';
is $t->get('/tees')->json->{reason}, 'registry_stale', 'and why';

my $file = { 'tees.json' => tees($one) };
my %bad = (
    'tee_registry_list nobody;' => qr/no "tee_registry nobody" block before/,
    'tee_registry_list f; tee_registry_list f;' => qr/is duplicate/,
    'tee_registry_list f; tee_status;' => qr/conflicts|duplicate/,
    'tee_registry_list;' => qr/invalid number of arguments/,
);

for my $conf (sort keys %bad) {
    like(Tee::Nginx->conf_error(files => $file, http => <<"CONF"), $bad{$conf}, "refused: $conf");
    tee_registry f { file tees.json; allow_private on; }
    server { listen 127.0.0.1:%%PORT_http%%; location / { $conf } }
CONF
}

$t->finish;
done_testing;
