#!/usr/bin/perl
# The keys of a gateway from where it publishes them: fetched, kept, refreshed,
# and nothing but them believed.

use FindBin;
use lib "$FindBin::Bin/lib";
use Tee::Roles;
use Tee::Test;

my $dir = scratch();
my $ca = Tee::Cert->new(name => 'ca', ca => 1);
my $good = Tee::Cert->new(name => 'keys.test', issuer => $ca, addresses => ['127.0.0.1']);
my $stranger = Tee::Cert->new(name => 'keys.test', addresses => ['127.0.0.1']);
my $wrong = Tee::Cert->new(name => 'keys.test', issuer => $ca, addresses => ['127.0.0.2']);

# answers with what is in a file

sub server {
    my ($name, $cert) = @_;
    return Tee::Upstream->new(name => $name, cert => $cert, handler => sub {
        my ($conn, $request) = @_;
        my $list = slurp("$dir/$name");
        my @more = split /\n/, slurp("$dir/$name.fields");
        return $conn->respond(slurp("$dir/$name.status") || '200 OK', [ 'Content-Type' => 'application/ohttp-keys', map { split /: /, $_, 2 } @more ], $list);
    });
}

my %server = (good => server('good', $good), stranger => server('stranger', $stranger), wrong => server('wrong', $wrong));

my $roles = Tee::Roles->new(
    profile => 'rfc9458',
    files => { 'ca.pem' => $ca->{pem} },
    model => sub { return $_[0]->respond('200 OK', [], 'answer') },
    vars => { map { ($_ => $server{$_}->port) } keys %server },
    http => <<'CONF',
    upstream any { tee_peers og; }
    tee_client_target https://api.example;
    server {
        listen 127.0.0.1:%%PORT_any%%;
        location = /any { tee_relay on; proxy_pass https://any/v1/ohttp; }
    }
CONF
    client => join('', map <<"CONF", keys %server),
        location /$_/ { tee_client keys=https://127.0.0.1:%%$_%%/keys trusted=ca.pem; proxy_pass http://127.0.0.1:%%PORT_any%%/any; }
        location /$_-again/ { tee_client keys=https://127.0.0.1:%%$_%%/keys chunked trusted=ca.pem; proxy_pass http://127.0.0.1:%%PORT_any%%/any; }
CONF
    stopped => 1);

my $t = $roles->nginx;
my $list = $roles->keys(1);
my $other = pack 'n/a', Tee::Ohttp::key_config(Tee::Ohttp::public_key(Tee::Ohttp::keygen()), 9, 1);

spew("$dir/$_", $list) for keys %server;
spew("$dir/good.fields", "Cache-Control: public, max-age=1000\nAge: 10\n");
$t->start;

eventually { $t->get('/good/x')->{status} == 200 } 'keys are fetched';
is $t->get('/good/x')->{body}, 'answer', 'and sealed to';
is $t->get('/good-again/x')->{body}, 'answer', 'by all locations that name them';
is scalar(my @asked = $server{good}->requests), 1, 'once';
like $asked[0]{head}, qr{^GET /keys HTTP/1\.1\r\nHost: 127\.0\.0\.1:\d+\r\n}, 'by GET';
like $asked[0]{head}, qr{^accept: application/ohttp-keys\r$}mi, 'as what they are';
eventually { $t->logged(qr/keys of "[^"]*" cannot be fetched: /) >= 2 } 'a server that nobody vouches for';
problem($t->get("/$_/x"), 503, 'no_keys', "is not believed: $_") for qw(stranger wrong);
is scalar(my @told = $server{$_}->requests), 0, "nor asked: $_" for qw(stranger wrong);

# a gateway that does not know a key sends us for new ones

$t->stop;
spew("$dir/good", $other);
$server{good}->forget;
$t->start;
eventually { $t->get('/good/x')->{status} == 422 } 'a key that the gateway does not have';
problem($t->get('/good/x'), 422, 'relay_error', 'is an error of the relay');
spew("$dir/good", $list);
eventually { $t->get('/good/x')->{status} == 200 } 'after which they are fetched again', 20;
cmp_ok scalar(@asked = $server{good}->requests), '<=', 4, 'not by each request';
is $t->logged(qr/keys of "[^"]*" are new, id 1/), 1, 'which is said';

# what is no list does not take the place of one

for my $case ([ 'good' => 'x', 'no list' ], [ 'good' => '', 'nothing' ], [ 'good' => $list . "\0", 'more than a list' ], [ 'good.status' => '500 Error', 'an error' ]) {
    my ($file, $bytes, $name) = @$case;
    spew("$dir/good", $list);
    spew("$dir/$file", $bytes);
    $t->stop;
    my $before = $t->logged(qr/cannot be fetched/);
    $t->start;
    eventually { $t->logged(qr{127\.0\.0\.1:@{[ $server{good}->port ]}/keys" cannot be fetched}) > 0 } "$name: is refused";
    problem($t->get('/good/x'), 503, 'no_keys', "$name: and there are no keys");
    unlink "$dir/good.status";
    spew("$dir/good", $list);
    eventually { $t->get('/good/x')->{status} == 200 } "$name: until there are", 20;
}

# how long they are fresh is not to be seen from outside in the time of a test,
# but that nothing is asked all the time

$t->stop;
spew("$dir/good.fields", "Cache-Control: no-store\n");
$server{good}->forget;
$t->start;
eventually { $t->get('/good/x')->{status} == 200 } 'keys that are not to be kept';
$t->get('/good/x') for 1 .. 20;
is scalar(@asked = $server{good}->requests), 1, 'are kept for a minute';

sub error {
    my ($whom) = @_;
    return scalar Tee::Nginx->conf_error(files => { 'ca.pem' => $ca->{pem} }, http => <<"CONF");
    tee_client_target https://api.example;
    server { listen 127.0.0.1:%%PORT_http%%; location / { tee_client $whom; proxy_pass http://127.0.0.1:1/; } }
CONF
}

is error($_), '', "keys: $_" for 'keys=https://127.0.0.1/keys', 'keys=https://127.0.0.1', '"keys=https://[::1]:8443/a?b"', 'keys=HTTPS://localhost:1/', 'keys=https://127.0.0.1/ trusted=ca.pem chunked';
like error('keys='), qr/begins with https/, 'no URL';
like error('keys=http://127.0.0.1/'), qr/begins with https/, 'without TLS';
like error('keys=https://'), qr/begins with https/, 'without a host';
like error('keys=https://a@127.0.0.1/'), qr/./, 'with a user';
like error('keys=https://127.0.0.1:0x/'), qr/invalid port/, 'with a bad port';
like error('keys=https://127.0.0.1/ trusted=missing.pem'), qr/missing\.pem/, 'certificates that are not there';
like error('keys=https://127.0.0.1/ id=a'), qr/with a registry only/, 'with an id';
like error('keys_file=x trusted=ca.pem'), qr/"trusted" with "keys" only/, 'certificates for a file';

$t->finish;
done_testing;
