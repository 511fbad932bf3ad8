#!/usr/bin/perl
# A connection to a TEE carries a request only if it has shown the certificate
# that the registry holds.

use FindBin;
use lib "$FindBin::Bin/lib";
use Tee::Test;

my $ca = Tee::Cert->new(name => 'authority', ca => 1);
my $stranger = Tee::Cert->new(name => 'stranger.test');

sub signed { return Tee::Cert->new(name => 'leaf.test', issuer => $ca, @_) }

my $reissued = Tee::Cert->new(name => 'reissued.test');
my %a = (
    good => tee('good'),
    mitm => tee('mitm', shows => $stranger),
    tls12 => tee('tls12', tls => { SSL_version => 'TLSv1_2' }),
    tls13 => tee('tls13', tls => { SSL_version => 'TLSv1_3' }),
    reissued => tee('reissued', cert => $reissued, shows => Tee::Cert->new(name => 'reissued.test', key_of => $reissued)),
    anchor => tee('anchor', cert => $ca, shows => signed()),
    signed => tee('signed', cert => signed()),
    swapped => tee('swapped', cert => signed(), shows => signed()),
    old => tee('old', cert => Tee::Cert->new(name => 'old.test', from => time - 7200, to => time - 3600)),
    early => tee('early', cert => Tee::Cert->new(name => 'early.test', from => time + 3600)),
    plain => tee('plain'),
);

my $dns = Tee::Dns->new(names => { map { $_ => { A => ['127.0.0.1'] } } 'a.test', 'b.test', 'c.test' });
my %one_port = map { $_ => Tee::Cert->new(name => $_) } 'a.test', 'b.test';
my $shared = Tee::Upstream->new(name => 'shared', certs => \%one_port);
my @shared = map tee($_, host => $_, cert => $one_port{$_}, upstream => $shared), 'a.test', 'b.test';

# registered with the certificate of its neighbour
my $lost = tee('c.test', host => 'c.test', cert => Tee::Cert->new(name => 'c.test'), upstream => $shared);

my $t = Tee::Nginx->new(
    files => {
        'all.json' => tees(values %a, @shared, $lost),
        'two.json' => tees(@a{qw(good mitm)}),
        'ca.pem' => $ca->{pem},
    },
    vars => { dns => $dns->port },
    http => <<'CONF');
    resolver 127.0.0.1:%%dns%%;
    tee_registry all { file all.json; allow_private on; }
    tee_registry two { file two.json; allow_private on; }
    upstream tee { tee_peers all id=$arg_id; keepalive 16; }
    upstream cold { tee_peers all id=$arg_id; }
    upstream pair { tee_peers two round_robin; keepalive 4; }
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_ssl_protocols TLSv1.2 TLSv1.3;
    server {
        listen 127.0.0.1:%%PORT_http%%;
        location /warm { proxy_pass https://tee; }
        location /cold { proxy_pass https://cold; }
        location /fresh { proxy_pass https://cold; proxy_ssl_session_reuse off; }
        location /verified {
            proxy_pass https://cold;
            proxy_ssl_verify on; proxy_ssl_trusted_certificate ca.pem;
            proxy_ssl_name leaf.test;
        }
        location /pair { proxy_pass https://pair; }
        location /tee/status { tee_status; }
    }
CONF

sub ask { my ($where, $tee) = @_; return $t->get("/$where?id=$tee->{id}") }
sub received { my ($tee) = @_; return scalar(() = $tee->{upstream}->requests) }

wait_until { $t->registry_status('all')->{tees} };
wait_until { ask(cold => $shared[1])->{status} == 200 };

is ask(warm => $a{good})->{status}, 200, 'the registered certificate is accepted';
is ask(warm => $a{signed})->{status}, 200, 'a registered certificate that an authority has signed is accepted';

# the attack of a machine in the middle, on each way to a connection

for my $where ('warm', 'cold', 'fresh') {
    my $r = ask($where => $a{mitm});
    is $r->{status}, 502, "another certificate is refused ($where)";
    is $r->json->{reason}, 'pin_mismatch', "the reason is named ($where)";
}

is received($a{mitm}), 0, 'and nothing was sent to it';
like $t->log, qr/\[error\].*\Q$a{mitm}{id}\E.*$a{mitm}{cert}{sha256}.*$stranger->{sha256}/,
    'one line names the TEE, the certificate expected and the one presented';

is ask(cold => $a{reissued})->{status}, 502, 'another certificate for the same key is refused';
is ask(cold => $a{anchor})->{status}, 502, 'a leaf signed by the registered certificate is refused';
is ask(cold => $a{old})->{status}, 502, 'an expired certificate is refused';
is ask(cold => $a{early})->{status}, 502, 'a certificate of the future is refused';
is received($a{$_}), 0, "nothing was sent to it: $_" for qw(reissued anchor old early);

# proxy_ssl_verify is another question

is ask(verified => $a{signed})->{status}, 200, 'proxy_ssl_verify and the pin agree';
is ask(verified => $a{swapped})->{status}, 502, 'a certificate that proxy_ssl_verify accepts is not the pin';
is received($a{swapped}), 0, 'nothing was sent to it: swapped';
is ask(verified => $a{good})->{status}, 200, 'the pin alone decides';

# sessions

for my $version ('tls12', 'tls13') {
    my $u = $a{$version}{upstream};
    is ask(cold => $a{$version})->{status}, 200, "$version: a full handshake" for 1 .. 2;
    my @seen = $u->connections;
    is $seen[-1]{version}, $version eq 'tls12' ? 'TLSv1_2' : 'TLSv1_3', "$version: is what was spoken";
    is_deeply [ map $_->{resumed}, @seen ], [ 0, 1 ], "$version: the second handshake resumes the first";

    $u->forget;
    ask(fresh => $a{$version}) for 1 .. 2;
    is_deeply [ map $_->{resumed}, $u->connections ], [ 0, 0 ], "$version: proxy_ssl_session_reuse off is obeyed";

    $u->forget;
    ask(warm => $a{$version}) for 1 .. 3;
    is scalar(my @one = $u->connections), 1, "$version: keepalive uses one connection";
}

# two TEEs at one address and port

my @answers = map ask(warm => $_), map +(@shared[0, 0, 1, 1]), 1 .. 3;
is_deeply [ map $_->{status}, @answers ], [ (200) x 12 ], 'two TEEs behind one address and port are told apart';
my @requests = $shared->requests;
my %id = map { $_->{name} => $_->{id} } @shared;
cmp_ok scalar(grep $_->{n} > 1, @requests), '>=', 4, 'their connections are reused';
is_deeply [ grep $_->{path} !~ /$id{$_->{sni}}/, @requests ], [], 'each for its own TEE only';

is ask(warm => $lost)->{status}, 502, 'a TEE whose address answers with the certificate of a neighbour is refused';

# another certificate at the next connection

$a{plain}{upstream}->set_cert($stranger);
is ask(warm => $a{plain})->{status}, 502, 'a certificate that has changed since the start is refused';

# retry

$_->{upstream}->forget for @a{qw(good mitm)};
is_deeply [ map $t->get('/pair')->{status}, 1 .. 8 ], [ (200) x 8 ], 'another TEE takes over for one that is refused';
is received($a{mitm}), 0, 'and the refused one receives nothing';

my $pin = $t->status->{counters}{pin};
cmp_ok $pin->{mismatch}, '>=', 8, 'mismatches are counted';
cmp_ok $pin->{resumed}, '>=', 2, 'resumed handshakes are counted';
cmp_ok $pin->{reused}, '>=', 4, 'reused connections are counted';

# nginx before 1.27 logs an aborted handshake as its own failure, too
$t->finish;
done_testing;
