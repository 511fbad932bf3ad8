#!/usr/bin/perl
# The registry of a self-hoster: a file, read at start and on reload.

use FindBin;
use lib "$FindBin::Bin/lib";
use JSON::PP;
use MIME::Base64;
use Tee::Test;

my @tees = map tee($_), 'one', 'two', 'three';

my $t = Tee::Nginx->new(
    workers => 2,
    files => { 'tees.json' => tees(@tees[0, 1]) },
    http => <<'CONF');
    tee_registry og { file tees.json; allow_private on; }
    upstream tee { tee_peers og id=$arg_id; keepalive 4; }
    server {
        listen 127.0.0.1:%%PORT_http%%;
        location / { add_header X-Registry "$tee_registry_version $tee_registry_age"; proxy_pass https://tee; }
        location /tee/status { tee_status; }
    }
CONF

sub ask { return $t->get("/?id=$_[0]{id}") }

is ask($_)->{status}, 200, "$_->{name} of the file answers at once" for @tees[0, 1];
is ask($tees[2])->{status}, 404, 'another does not';
is $t->registry_status->{kind}, 'file', 'the status says that it is a file';
is $t->registry_status->{state}, 'fresh', 'which is never stale';

$t->write('tees.json', tees(@tees[1, 2]));
is ask($tees[0])->{status}, 200, 'a changed file changes nothing';
$t->reload;
is ask($tees[2])->{status}, 200, 'until a reload';
is ask($tees[0])->{status}, 404, 'a TEE that is gone from it is unknown';
like ask($tees[1])->header('x-registry'), qr/^\d+ 0$/, 'its version is a variable';

# a reload with a broken file keeps what there is

$t->write('tees.json', '{ "tees": [ ');
kill HUP => $t->pid;
ok $t->await_log(qr/\[emerg\].*tees\.json/), 'a reload with a broken file is refused';
is ask($tees[2])->{status}, 200, 'and the old one stays';

# PEM by path, and DER

my $dir = $t->dir;
spew("$dir/one.pem", $tees[0]{cert}{pem});
spew("$dir/key.der", $tees[0]{spki});
$t->write('tees.json', encode_json({ tees => [ {
    endpoint => $tees[0]{endpoint}, tls_certificate => './one.pem', signing_key => './key.der',
} ] }));
$t->reload;
is ask($tees[0])->{status}, 200, 'certificates and keys may be files beside it';

my $der = encode_base64($tees[0]{cert}{der}, '');
my $spki = encode_base64($tees[0]{spki}, '');
my %entry = (endpoint => 'https://127.0.0.1:1', tls_certificate => $der, signing_key => $spki);

sub error {
    my ($json, $more) = @_;
    return Tee::Nginx->conf_error(
        files => { 'tees.json' => ref $json ? encode_json($json) : $json },
        http => 'tee_registry og { file tees.json; ' . ($more // 'allow_private on;') . ' }',
    );
}

is error({ tees => [ \%entry ] }), '', 'a good file is good';
is error({ tees => [] }), '', 'an empty one too';
is error({ tees => [ \%entry ], comment => 'x' }), '', 'unknown members are ignored';

my %bad = (
    'no JSON' => 'tees',
    'no list' => { tees => {} },
    'no endpoint' => { tees => [ { %entry, endpoint => '' } ] },
    'http' => { tees => [ { %entry, endpoint => 'http://127.0.0.1:1' } ] },
    'userinfo' => { tees => [ { %entry, endpoint => 'https://a@127.0.0.1:1' } ] },
    'a path' => { tees => [ { %entry, endpoint => 'https://127.0.0.1:1/x' } ] },
    'port 0' => { tees => [ { %entry, endpoint => 'https://127.0.0.1:0' } ] },
    'no certificate' => { tees => [ { endpoint => $entry{endpoint}, signing_key => $spki } ] },
    'a broken certificate' => { tees => [ { %entry, tls_certificate => substr $der, 0, 40 } ] },
    'a certificate file that is not there' => { tees => [ { %entry, tls_certificate => './none.pem' } ] },
    'a broken key' => { tees => [ { %entry, signing_key => 'AAAA' } ] },
);

for my $what (sort keys %bad) {
    like error($bad{$what}), qr/tees\.json/, "refused at start, naming the file: $what";
}

like(Tee::Nginx->conf_error(http => 'tee_registry og { file none.json; }'), qr/none\.json/, 'so is a file that is not there');

my (undef, $said) = error({ tees => [ \%entry ] }, '');
like $said, qr/\[warn\].*tees\.json.*private/, 'a private address is not used unless that is allowed, which is said';

$t->finish(allow => qr/tees\.json/);
done_testing;
