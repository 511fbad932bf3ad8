#!/usr/bin/perl
# What a client says of itself: which TEE it asks, and whether all that it asks
# is verified.

use FindBin;
use lib "$FindBin::Bin/lib";
use Tee::Test;

use JSON::PP;

my $tee = tee('one');
my $list = JSON::PP::decode_json(tees($tee));
$list->{tees}[0]{ohttp} = { key_id => 1, kem_id => 32, kdf_id => 1, aead_id => 3, public_key => unpack 'H*', Tee::Ohttp::public_key(Tee::Ohttp::keygen()) };
my ($signing) = Tee::Cert::signing_key('one');
my %pcr = map { $_ => '0x' . $_ x 64 } 1 .. 9;

my $proxy = 'proxy_pass http://127.0.0.1:1/relay;';
my $t = Tee::Nginx->new(
    files => { 'tees.json' => JSON::PP::encode_json($list), 'empty.json' => tees(), 'pub.pem' => scalar `openssl pkey -in $signing -pubout` },
    http => <<"CONF");
    tee_registry og { file tees.json; allow_private on; }
    tee_registry other { file tees.json; allow_private on; }
    tee_registry none { file empty.json; }
    server {
        listen 127.0.0.1:%%PORT_http%%;

        location /one/ { tee_client og; tee_verify on; $proxy }
        location /two/ { tee_client og id=\$http_x; tee_verify key=pub.pem; tee_verify_mode stream; $proxy }
        location = /health { tee_client_health og; }

        location /other/ { tee_client other; tee_verify on; $proxy }
        location /plain/ { tee_client other profile=rfc9458; tee_client_target https://a.test; $proxy }
        location = /health-other { tee_client_health other; }

        location /none/ { tee_client none; tee_verify on; $proxy }
        location = /health-none { tee_client_health none; }

        location = /health-1 { tee_client_health og pcr=$pcr{1}; }

        location /within/ { tee_client og pcr=$pcr{2}; tee_verify on; $proxy location /within/not/ { tee_verify off; $proxy } }
        location = /health-2 { tee_client_health og pcr=$pcr{2}; }

        location /if/ {
            tee_client og pcr=$pcr{3}; tee_verify on; $proxy
            if (\$http_x) { set \$a 1; }
            limit_except POST { deny all; }
            location /if/more/ { $proxy }
            location /if/off/ { tee_client off; tee_verify off; $proxy }
            location = /if/health { tee_verify off; tee_client_health og pcr=$pcr{3}; }
            location = /if/models { tee_verify off; tee_client_models a; }
        }

        location /off/ { tee_client og pcr=$pcr{4}; tee_verify off; $proxy }
        location = /health-4 { tee_client_health og pcr=$pcr{4}; }
    }
    server {
        listen 127.0.0.1:%%PORT_two%%;
        location /five/ { tee_client og pcr=$pcr{5}; tee_verify on; $proxy }
        location = /health { tee_client_health og pcr=$pcr{5}; }
    }
    server {
        listen 127.0.0.1:%%PORT_two%%;
        server_name two.test;
        location /five/ { tee_client og pcr=$pcr{5}; $proxy }
    }
CONF

my ($true, $false) = (JSON::PP::true, JSON::PP::false);

sub health {
    my ($status, $path, $verified, $name, $port) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $r = Tee::Http::request($t->port($port), GET => $path);
    is_deeply [ $r->{status}, scalar $r->header('content-type'), $r->json ], [ $status, 'application/json', { status => $status == 200 ? 'ok' : 'no_tee',
        verified_inference => $verified, active_tee_id => $status == 200 ? $tee->{id} : undef, active_tee_endpoint => $status == 200 ? $tee->{endpoint} : undef } ],
        $name or diag $r->{body};
    return;
}

health(200, '/health', $true, 'all that asks these TEEs is verified');
health(200, '/health-other', $false, 'not all that does');
health(503, '/health-none', $true, 'no TEE');
health(503, '/health-1', $false, 'nothing asks them');
health(503, '/health-2', $false, 'a location within is not verified');
health(503, '/if/health', $true, 'a location within that does not ask them');
health(503, '/health-4', $false, 'verifying is off');
health(503, '/health', $false, 'another server does not verify', 'two');

$t->finish;
done_testing;
