#!/usr/bin/perl
# Which TEE gets a request.

use FindBin;
use lib "$FindBin::Bin/lib";
use Tee::Test;

my @tees = map tee($_), 'one', 'two', 'three';
my ($one, $two, $three) = @tees;
my $dead = tee('dead');
$dead->{upstream}->stop;

my $t = Tee::Nginx->new(
    files => { 'tees.json' => tees(@tees), 'dead.json' => tees($one, $dead), 'none.json' => tees() },
    http => <<'CONF');
    tee_registry og { file tees.json; allow_private on; }
    tee_registry dead { file dead.json; allow_private on; }
    tee_registry none { file none.json; }
    upstream any { tee_peers og; keepalive 4; }
    upstream random { tee_peers og random; }
    upstream turns { tee_peers og round_robin; }
    upstream hash { tee_peers og hash=$arg_key; }
    upstream id { tee_peers og id=$http_x_tee_id; keepalive 4; }
    upstream half { tee_peers dead round_robin max_fails=1 fail_timeout=30s; }
    upstream half_id { tee_peers dead id=$http_x_tee_id; }
    upstream quick { tee_peers dead round_robin max_fails=1 fail_timeout=1s; }
    upstream stubborn { tee_peers dead round_robin max_fails=0; }
    upstream none { tee_peers none; }
    server {
        listen 127.0.0.1:%%PORT_http%%;
        add_header X-Tee $tee_id always;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        location /any { proxy_pass https://any; }
        location /random { proxy_pass https://random; }
        location /turns { proxy_pass https://turns; }
        location /hash { proxy_pass https://hash; }
        location /id { proxy_pass https://id; }
        location /half { proxy_pass https://half; }
        location /once { proxy_pass https://stubborn; proxy_next_upstream off; }
        location /half_id { proxy_pass https://half_id; }
        location /quick { proxy_pass https://quick; }
        location /none { proxy_pass https://none; }
        location /http { set $by any; proxy_pass http://$by; }
        location /tee/status { tee_status; }
    }
CONF

sub get { return $t->get(@_) }
sub answered_by { return scalar $_[0]->header('x-backend') // "status $_[0]{status}" }

sub used {
    my ($path, $n) = @_;
    my %used;
    $used{ answered_by(get($path)) }++ for 1 .. $n;
    return \%used;
}

is_deeply used('/turns', 9), { one => 3, two => 3, three => 3 }, 'round_robin takes turns';

for my $path ('/any', '/random') {
    my $used = used($path, 60);
    is_deeply [ sort keys %$used ], [qw(one three two)], "$path uses each TEE";
    cmp_ok((sort { $a <=> $b } values %$used)[0], '>=', 5, "$path uses each of them fairly");
}

my %by_key = map { my $key = $_; $key => used("/hash?key=$key", 2) } 1 .. 50;
is_deeply [ grep keys %{ $by_key{$_} } > 1, keys %by_key ], [], 'hash keeps to one TEE for one key';
my %hashed = map { %$_ } values %by_key;
is scalar keys %hashed, 3, 'and spreads the keys';

# by id

for my $tee (@tees) {
    my $id = $tee->{id};
    my %spelled = (
        'with 0x' => $id, 'without 0x' => substr($id, 2), 'in upper case' => '0x' . uc substr($id, 2),
        'with 0X' => '0X' . substr($id, 2),
    );
    is answered_by(get('/id', [ 'X-TEE-ID' => $spelled{$_} ])), $tee->{name}, "$tee->{name} by its id, $_" for sort keys %spelled;
    is scalar get('/id', [ 'X-TEE-ID' => $id ])->header('x-tee'), $id, "\$tee_id is that of $tee->{name}";
}

problem(get('/id', [ 'X-TEE-ID' => '0x' . '00' x 32 ]), 404, 'unknown_tee', 'an unknown id is a problem, not another TEE');
problem(get('/id'), 400, 'missing_tee_id', 'so is none');

for my $bad ('0x', 'xyz', substr($one->{id}, 0, 65), "$one->{id}0", "$one->{id} ", 'g' x 64, "$one->{id},$two->{id}") {
    my $r = get('/id', [ 'X-TEE-ID' => "$bad" ]);
    like $r->{status}, $bad =~ / $/ ? qr/^(?:200|40[04])$/ : qr/^40[04]$/, "an id that is none is refused: $bad";
    is answered_by($r), "status $r->{status}", 'and goes nowhere' unless $bad =~ / $/;
}

# failures

is_deeply used('/half', 12), { one => 12 }, 'another TEE takes over for one that does not answer';
eventually { grep $_->{failures}, @{ $t->registry_status('dead')->{entries} } } 'its failures are counted';
my $failed = sub { my ($e) = grep $_->{id} eq $dead->{id}, @{ $t->registry_status('dead')->{entries} }; return $e->{failures} };
my $before = $failed->();
used('/half', 12);
is $failed->(), $before, 'and after max_fails it is not tried again for fail_timeout';
used('/quick', 4);
my $then = $failed->();
eventually { used('/quick', 2); $failed->() > $then } 'when that is over, it is', 5;

my $one_only = used('/once', 6);
is_deeply $one_only, { one => 3, 'status 502' => 3 }, 'proxy_next_upstream off is obeyed, and max_fails=0';

my $r = get('/half_id', [ 'X-TEE-ID' => $dead->{id} ]);
is $r->{status}, 502, 'a TEE that was asked for by id has no deputy';
is answered_by(get('/half_id', [ 'X-TEE-ID' => $one->{id} ])), 'one', 'the others are as they were';

# nothing to choose from

problem(get('/none'), 502, 'registry_empty', 'an empty registry is a problem');

# never without TLS

isnt get('/http')->{status}, 200, 'proxy_pass with http:// to TEEs does not work';
is scalar(map $_->{upstream}->failures, @tees), 0, 'and nothing was sent in the clear';

my $counters = $t->status->{counters}{upstream};
cmp_ok $counters->{unknown_tee}, '>=', 1, 'unknown ids are counted';
cmp_ok $counters->{registry_empty}, '>=', 1, 'and empty registries';
cmp_ok $counters->{requests}, '>=', 100, 'and requests';

$t->finish;
done_testing;
