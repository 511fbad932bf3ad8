#!/usr/bin/perl
# A gateway that serves its keys by itself sees who fetches them.  It must not
# be able to tell by the time which request has come from there.

use FindBin;
use lib "$FindBin::Bin/lib";
use Tee::Roles;
use Tee::Test;

my $dir = scratch();
my $ca = Tee::Cert->new(name => 'ca', ca => 1);
my $cert = Tee::Cert->new(name => 'localhost', issuer => $ca, addresses => ['127.0.0.1']);

my %server = map { my $name = $_; $name => Tee::Upstream->new(name => $name, cert => $cert, handler => sub {
    my ($conn) = @_;
    return $conn->respond('200 OK', [ 'Content-Type' => 'application/ohttp-keys' ], slurp("$dir/$name"));
}) } qw(near apart eager);

# an honest relay, before a gateway that says of all but its newest key that it
# does not know it

my $relay = Tee::Upstream->new(name => 'relay', cert => undef, handler => sub {
    my ($conn, $request) = @_;
    my $id = ord $request->{body};
    $conn->note("$request->{path} $id");
    return $conn->respond('422 Unknown', [ 'Content-Type' => 'application/problem+json' ], '{"type":"https://iana.org/assignments/http-problem-types#ohttp-key","title":"key"}')
        if $id < slurp("$dir/newest");
    my $r = Tee::Http::request(slurp("$dir/port"), POST => '/any', [ 'Content-Type' => 'message/ohttp-req' ], $request->{body});
    return $conn->respond("$r->{status} OK", [ 'Content-Type' => $r->header('content-type') ], $r->{body});
});

my @key = map Tee::Ohttp::keygen(), 1 .. 3;

# where the relay is, and under another name

my %lists = (near => 'keys=https://127.0.0.1:%%near%%/', eager => 'keys=https://localhost:%%eager%%/ eager', apart => 'keys=https://localhost:%%apart%%/', both => 'keys=https://127.0.0.1:%%near%%/ keys=https://localhost:%%apart%%/');

my $roles = Tee::Roles->new(
    profile => 'rfc9458',
    files => { 'ca.pem' => $ca->{pem}, map { ("gw$_.key" => Tee::Ohttp::key_pem($key[$_ - 1])) } 1 .. 3 },
    model => sub { return $_[0]->respond('200 OK', [], 'answer') },
    vars => { relay_port => $relay->port, map { ($_ => $server{$_}->port) } keys %server },
    http => <<'CONF',
    tee_gateway_keys all { key 1 gw1.key; key 2 gw2.key; key 3 gw3.key; suite hkdf-sha256 aes-128-gcm; }
    upstream any { tee_peers og; }
    tee_client_target https://api.example;
    server {
        listen 127.0.0.1:%%PORT_any%%;
        location = /any { tee_relay on; proxy_pass https://any/all; }
    }
CONF
    gateway => 'location = /all { tee_gateway all profile=rfc9458; tee_gateway_target https://api.example /; }',
    client => join('', map "location = /$_ { tee_client $lists{$_} trusted=ca.pem; proxy_pass http://127.0.0.1:%%relay_port%%/$_; }\n", sort keys %lists),
    stopped => 1);

my $t = $roles->nginx;
spew("$dir/port", $t->port('any'));

sub lists {
    my ($id, @names) = @_;
    spew("$dir/$_", pack 'n/a', Tee::Ohttp::key_config(Tee::Ohttp::public_key($key[$id - 1]), $id, 1)) for @names;
    return;
}

lists(1, qw(near apart eager));
spew("$dir/newest", 1);
$t->start;
ok $t->await_log(qr/keys of "[^"]*" are there/, 3), 'there are keys';
is $t->get("/$_")->{status}, 200, "to seal to: $_" for sort keys %lists;

# there is another one

lists(2, qw(near apart eager));
spew("$dir/newest", 2);
$relay->forget;
problem($t->get('/apart'), 422, 'relay_error', 'a list of the gateway: a request with the old one fails');
is_deeply [ $relay->notes ], [ '/apart 1' ], 'and is not sent again';
eventually { $t->get('/near')->{status} == 200 } 'a list of the relay is fetched because of it', 20;
is(($relay->notes)[-1], '/near 2', 'and used');
eventually { $t->get('/eager')->{status} == 200 } 'and so is one of somebody else, if that is wanted', 20;
is(($relay->notes)[-1], '/eager 2', 'and used');

# what has become of the other list meanwhile

problem($t->get('/apart'), 422, 'relay_error', 'a list of the gateway is not') for 1 .. 3;
problem($t->get('/both'), 503, 'keys_differ', 'nor because another one has changed') for 1 .. 3;
is scalar(my @asked = $server{apart}->requests), 1, 'it sees no one who fetches';
cmp_ok scalar(@asked = $server{near}->requests), '>', 1, 'the relay does';

$t->finish;
done_testing;
