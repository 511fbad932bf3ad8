#!/usr/bin/perl
# More than one list of a gateway's keys: only what is in all of them is used,
# and who gives this client a list of its own is found out.

use FindBin;
use lib "$FindBin::Bin/lib";
use Tee::Roles;
use Tee::Test;

my $dir = scratch();
my $ca = Tee::Cert->new(name => 'ca', ca => 1);
my $cert = Tee::Cert->new(name => 'keys.test', issuer => $ca, addresses => ['127.0.0.1']);

# each answers with what is in a file

my %server = map { my $name = $_; $name => Tee::Upstream->new(name => $name, cert => $cert, handler => sub {
    my ($conn) = @_;
    return $conn->respond(slurp("$dir/$name.status") || '200 OK', [ 'Content-Type' => 'application/ohttp-keys' ], slurp("$dir/$name"));
}) } qw(a b c);

# the relay notes which key a request is sealed to; told so, it answers as a
# gateway that does not know it, which sends a client for new lists

my $relay = Tee::Upstream->new(name => 'relay', cert => undef, handler => sub {
    my ($conn, $request) = @_;
    $conn->note(ord $request->{body});
    return $conn->respond('422 Unknown', [], '') if $request->{path} eq '/nudge';
    my $r = Tee::Http::request(slurp("$dir/port"), POST => '/any', [ $request->{head} =~ /^(Content-Type): (\S+)/mi ], $request->{body});
    return $conn->respond("$r->{status} OK", [ 'Content-Type' => $r->header('content-type') ], $r->{body});
});

my @key = map Tee::Ohttp::keygen(), 1 .. 3;

my %locations = (ab => 'keys=%%a%% keys=%%b%%', ba => 'keys=%%b%% keys=%%a%%', abc => 'keys=%%a%% keys=%%b%% chunked keys=%%c%%', a => 'keys=%%a%%',
    fa => 'keys_file=keys keys=%%a%%', af => 'keys=%%a%% keys_file=keys');

my $roles = Tee::Roles->new(
    profile => 'rfc9458',
    files => { 'ca.pem' => $ca->{pem}, map { ("gw$_.key" => Tee::Ohttp::key_pem($key[$_ - 1])) } 1, 2 },
    model => sub { return $_[0]->respond('200 OK', [], 'answer') },
    vars => { relay_port => $relay->port, map { ($_ => 'https://127.0.0.1:' . $server{$_}->port . '/keys') } keys %server },
    http => <<'CONF',
    tee_gateway_keys two { key 1 gw1.key; key 2 gw2.key; suite hkdf-sha256 aes-128-gcm; suite hkdf-sha256 chacha20-poly1305; }
    upstream any { tee_peers og; }
    tee_client_target https://api.example;
    server {
        listen 127.0.0.1:%%PORT_any%%;
        location = /any { tee_relay on; proxy_pass https://any/two; }
    }
CONF
    gateway => 'location = /two { tee_gateway two profile=rfc9458; tee_gateway_target https://api.example /; }',
    client => join('', (map "location = /$_ { tee_client $locations{$_} trusted=ca.pem; proxy_pass http://127.0.0.1:%%relay_port%%/any; }\n", sort keys %locations),
        (map "location = /nudge-$_ { tee_client $locations{$_} trusted=ca.pem; proxy_pass http://127.0.0.1:%%relay_port%%/nudge; }\n", qw(ab abc))),
    stopped => 1);

my $t = $roles->nginx;
spew("$dir/port", $t->port('any'));

# [number, id, suites ...] of a key each

sub list { return join '', map { my ($n, $id, @suites) = ref $_ ? @$_ : ($_); pack 'n/a', Tee::Ohttp::key_config(Tee::Ohttp::public_key($key[$n - 1]), $id // $n, @suites ? @suites : 1) } @_ }

sub lists {
    my (%lists) = @_;
    spew("$dir/$_", list(@{ $lists{$_} })) for grep $_ ne 'file', keys %lists;
    $t->write('keys', list(@{ $lists{file} // [1] }));
    return;
}

sub restart {
    my (%lists) = @_;
    $t->stop;
    $t->write('logs/error.log', '');
    lists(%lists);
    $_->forget for values %server, $relay;
    $t->start;
    return $t->await_log(qr/tee client: keys of "[^"]*" are there/, 3 - (() = glob "$dir/*.status"));
}

sub answered {
    my ($location, $key, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $r = $t->get("/$location");
    is_deeply [ $r->{status}, ($relay->notes)[-1] ], [ 200, $key ], $name;
    return;
}

sub differ {
    my ($location, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $sent = () = $relay->requests;
    problem($t->get("/$location"), 503, 'keys_differ', $name);
    is scalar(my @now = $relay->requests), $sent, '... and nothing is sent';
    return;
}

# changes lists, and has them asked for; true when all that is new has come

sub change {
    my ($via, %lists) = @_;
    my $new = $t->logged(qr/keys of "[^"]*" are new/);
    my $changed = grep { $_ ne 'file' && slurp("$dir/$_") ne list(@{ $lists{$_} }) } keys %lists;
    lists(%lists);
    $t->get("/nudge-$via");
    return $t->await_log(qr/keys of "[^"]*" are new/, $new + $changed, 20);
}


# what they say at the start

restart(map { $_ => [1] } qw(a b c));
answered($_, 1, "all say the same: $_") for sort keys %locations;
is scalar(my @n = $server{$_}->requests), 1, "each is asked once, by whatever names it: $_" for qw(a b c);
is $t->logged(qr/keys differ/), 0, 'and nobody is told';

restart(a => [1], b => [ 3, 1 ], c => [ 1, 3 ]);
answered($_, 1, "some have a key more: $_") for qw(ab ba abc a);

restart(a => [ 2, 1 ], b => [1], c => [ 2, 1 ]);
answered($_, 1, "a key that is not yet everywhere: $_") for qw(ab ba abc);
answered('a', 2, 'is used by who has nothing else');

restart(a => [ 2, 1 ], b => [ 1, 2 ], c => [ 1, 2 ], file => [2]);
answered('ab', 2, 'the first one of the first list');
answered('ba', 1, 'counts');
answered($_, 2, "unless another one has not got it: $_") for qw(fa af);

restart(a => [1], b => [2], c => [1]);
differ($_, "no key in common: $_") for qw(ab ba abc);
answered('a', 1, 'which is nothing to who has one list');
is $t->logged(qr/\[error\].* keys differ: "\Q$t->{vars}{b}\E" has none of those of "\Q$t->{vars}{a}\E"; requests are refused until/), 2, 'is told, by each that has these';
is $t->logged(qr/keys differ/), 3, 'once';

restart(a => [ 1, 2 ], b => [ 2, 3 ], c => [ 3, 1 ]);
differ('abc', 'each two have one in common, and not all');
answered('ab', 2, 'two of them have');
like $t->log, qr/keys differ: "\Q$t->{vars}{c}\E" has none of those of "\Q$t->{vars}{a}\E", "\Q$t->{vars}{b}\E";/, 'which is told';

restart(a => [1], b => [ [ 3, 1 ] ], c => [1]);
differ('ab', 'another key of the same id');

restart(a => [1], b => [ [ 3, 1 ], 1 ], c => [1]);
differ('ab', 'two keys of the same id');

restart(a => [1], b => [ [ 1, 2 ] ], c => [1]);
differ('ab', 'the same key by another id');

restart(a => [1], b => [ [ 1, 1, 1, 3 ] ], c => [1]);
differ('ab', 'the same key with other algorithms');

spew("$dir/b.status", '500 Error');
restart(a => [1], b => [1], c => [1]);
problem($t->get("/$_"), 503, 'no_keys', "one has never answered: $_") for qw(ab ba abc);
answered('fa', 1, 'which is nothing to others');
unlink "$dir/b.status";
eventually { $t->get('/ab')->{status} == 200 } 'until it does', 20;


# what they say later

restart(map { $_ => [1] } qw(a b c));
answered('abc', 1, 'all is well');

# the gateway has a new key, the others have it a while later, and the old one
# goes

ok change(abc => a => [ 2, 1 ]), 'a new key at one';
answered('abc', 1, 'is not used');
ok change(abc => b => [ 2, 1 ], c => [ 1, 2 ]), 'at all';
answered('abc', 2, 'is used');
ok change(abc => b => [2], c => [2]), 'the old one is gone at some';
answered('abc', 2, 'and the new one is used');
is $t->logged(qr/keys differ/), 0, 'all the while, there has been one';
ok change(abc => a => [1], b => [1], c => [1]), 'all have another one at once';
answered('abc', 1, 'which is used');
is $t->logged(qr/keys differ/), 0, 'nor is it told that lists have come one after the other';

# a mirror that is away, and one that is not; an attacker may do both

spew("$dir/b.status", '500 Error');
$t->get('/nudge-ab');
ok $t->await_log(qr{\Q$t->{vars}{b}\E" cannot be fetched}, 1, 20), 'a mirror is away';
answered('ab', 1, 'and what it has said counts');
ok change(ab => a => [3]), 'a list that is made for us';
differ('ab', 'is not used while it is');
ok $t->await_log(qr/keys differ: "\Q$t->{vars}{b}\E"/, 2), 'which is told';
ok change(ab => a => [ 3, 1 ]), 'nor when it has the right key as well';
answered('ab', 1, 'which is the one that is used');
unlink "$dir/b.status";

restart(map { $_ => [1] } qw(a b c));
answered('ab', 1, 'all is well again');
ok change(ab => b => [3]), 'a mirror swaps its list';
ok $t->await_log(qr/keys differ: "\Q$t->{vars}{b}\E"/, 2), 'is told by each that has it';
differ($_, "and no key is used: $_") for ('ab', 'nudge-ab') x 5;
is $t->logged(qr/keys differ/), 3, 'nor is it told again';
answered('a', 1, 'but by who does not ask it');
is_deeply [ grep { $_ != 1 } $relay->notes ], [], 'its key is never sealed to';
ok change(ab => b => [1]), 'and swaps it back';
answered('ab', 1, 'and all goes on');
is $t->logged(qr/\[notice\].* keys of "[^"]*" are in all lists again/), 3, 'which is told';


# the configuration

sub error {
    my ($whom) = @_;
    return scalar Tee::Nginx->conf_error(files => { 'ca.pem' => $ca->{pem}, 'tees.json' => tees(), one => list(1), two => list(2), both => list(2, 1) }, http => <<"CONF");
    tee_client_target https://api.example;
    tee_registry og { file tees.json; allow_private on; }
    server { listen 127.0.0.1:%%PORT_http%%; location / { tee_client $whom; proxy_pass http://127.0.0.1:1/; } }
CONF
}

is error($_), '', "lists: $_" for 'keys=https://127.0.0.1/a keys=https://127.0.0.1/b', 'keys=https://127.0.0.1/a chunked keys_file=one trusted=ca.pem', 'keys_file=one keys_file=both',
    join ' ', map "keys=https://127.0.0.1/$_", 1 .. 9;
like error('keys_file=one keys_file=two'), qr/no key is in "DIR\/two" and all lists before it/, 'files that differ';
like error('keys_file=one keys=https://127.0.0.1/a keys_file=one'), qr/has the same list of keys twice/, 'one file twice';
like error('keys=https://127.0.0.1/a keys=https://127.0.0.1/a'), qr/has the same list of keys twice/, 'one URL twice';
like error('keys_file=one keys_file=both trusted=ca.pem'), qr/"trusted" with "keys" only/, 'certificates for files';
like error('og keys=https://127.0.0.1/'), qr/invalid parameter "keys=/, 'a registry and a list';
like error('chunked keys=https://127.0.0.1/'), qr/invalid parameter "keys=/, 'a parameter before the first list';
like error('keys=https://127.0.0.1/ og'), qr/invalid parameter "og"/, 'a list and a registry';
like error('keys_file=one keys_file='), qr/needs a file/, 'a file without a name';
like error('keys_file=one keys=http://127.0.0.1/'), qr/begins with https/, 'a mirror without TLS';

$t->finish;
done_testing;
