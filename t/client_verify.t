#!/usr/bin/perl
# A client that verifies: through a relay to a gateway that signs, nothing that
# the enclave has not signed reaches an application.

use FindBin;
use lib "$FindBin::Bin/lib";
use Tee::Model;
use Tee::Roles;
use Tee::Test;

use JSON::PP;
use Socket qw(SOL_SOCKET SO_RCVBUF);

my $json = JSON::PP->new->utf8->canonical;
my ($sign) = Tee::Cert::signing_key('one');
my ($other) = Tee::Cert::signing_key('two');
my $model = Tee::Model->new;

my $dead = Tee::Cert::enclave('dead', endpoint => 'https://127.0.0.1:9', cert => Tee::Cert->new(name => 'dead.test'));

my $roles = Tee::Roles->new(
    stopped => 1,
    files => { 'sign.key' => slurp($sign), 'other.key' => slurp($other) },
    vars => { llm => $model->port },
    http => <<'CONF',
    tee_sign_key one sign.key;
    tee_sign_key other other.key;
    map $request_body $signer { default one; }
    tee_registry two { file two.json; allow_private on; }
    upstream direct { tee_peers two id=$tee_client_id; }
    upstream any { tee_peers og; }
CONF
    gateway => <<'CONF',
        location = /v1/chat/completions { tee_sign one; proxy_pass http://127.0.0.1:%%llm%%; proxy_buffering off; }
        location = /other { tee_gateway gw profile=opengradient; tee_gateway_replay off; }
        location = /v1/web_search { tee_sign other; proxy_pass http://127.0.0.1:%%llm%%; }
CONF
    model => sub { return $_[0]->respond('200 OK', [], '{}') },
    relay => sub {
        my ($conn, $request, $forward) = @_;
        my $r = $forward->();
        my $type = $r->header('content-type');
        my ($what) = $request->{path} =~ m{([^/]*)$};
        my $body = $r->{body};
        $body = substr $body, 0, length($body) - 40 if $what eq 'cut';
        substr($body, -1, 1) ^= "\1" if $what eq 'flip';
        return $conn->respond('200 OK', [ 'Content-Type' => 'application/json' ], '{"choices":[]}') if $what eq 'plain';
        return $conn->respond('502 X', [ 'Content-Type' => 'text/plain' ], '') if $what eq 'away';
        return $conn->respond("$r->{status} X", [ 'Content-Type' => $type ], $body);
    },
    client => <<'WITHIN' . join('', map { my $mode = $_; (<<"CONF", map <<"EVIL", qw(pass cut flip plain)) } qw(hold stream)),
        location /in/ {
            tee_client og; tee_verify on; proxy_pass http://%%relay%%;
            location = /in/models { tee_client_models a; }
            location = /in/health { tee_client_health og; }
            location /in/direct/ { tee_client off; proxy_pass https://any/v1/; }
            location /in/more/ { proxy_pass http://%%relay%%; }
        }
WITHIN
        location /$mode/ { tee_client og; tee_verify on; tee_verify_mode $mode; proxy_pass http://%%relay%%; }
        location /$mode/again/ { tee_client two; tee_verify on; tee_verify_mode $mode; proxy_pass https://direct/v1/ohttp; }
        location /$mode/small/ { tee_client og; tee_verify on; tee_verify_mode $mode; tee_verify_buffer 1k; tee_verify_max_body 2k; proxy_pass http://%%relay%%; }
        location = /$mode/who { tee_client_health two; }
        location /$mode/away/ { tee_client two; proxy_pass http://%%evil%%/away; }
CONF
        location /$mode/$_/ { tee_client og; tee_verify on; tee_verify_mode $mode; proxy_pass http://%%evil%%/$_; }
EVIL
);

my $t = $roles->nginx;
my $tee = $roles->tee;
$t->write('two.json', $roles->registry($tee, $dead));
$t->start;

for my $mode (qw(hold stream)) {
    my $path = "/$mode/chat/completions";
    my $r = $roles->chat(path => $path, headers => [ 'X-TEE-Verified' => 'true' ]);
    is_deeply [ $r->{status}, scalar $r->header('x-tee-verified'), scalar $r->header('x-tee-id') ], [ 200, 'true', $tee->{id} ], "$mode: an answer is verified"
        || diag $r->{head}, $r->{body}, $t->log;
    like $r->json->{choices}[0]{message}{content} // '', qr/hi/, "$mode: and comes";

    $r = $roles->chat(path => $path, stream => 1);
    is_deeply [ $r->{status}, scalar $r->header('x-tee-verified'), $r->{cut} ], [ 200, $mode eq 'hold' ? 'true' : 'pending', undef ], "$mode: a stream as well"
        || diag $r->{head}, $r->{body}, $t->log;
    like $r->{body}, qr/tee_signature.*\[DONE\]\n\n\z/s, "$mode: to its end";

    $r = $roles->chat(path => $path, more => { tools => [ { type => 'function', function => { name => 'f', parameters => {} } } ], temperature => 1, max_tokens => 5, seed => 1, n => 1 });
    is_deeply [ $r->{status}, scalar $r->header('x-tee-verified') ], [ 200, 'true' ], "$mode: with tools and members that are not signed" || diag $r->{body}, $t->log;

    $r = $roles->chat(path => $path, messages => [ { role => 'developer', content => 'x' }, { role => 'user', content => [ { type => 'text', text => "\x{e9}\x{2028}" }, { type => 'image_url', image_url => { url => 'data:' . 'A' x 200_000 } } ] } ]);
    is_deeply [ $r->{status}, scalar $r->header('x-tee-verified') ], [ 200, 'true' ], "$mode: with pictures" || diag $r->{body}, $t->log;

    $r = $roles->chat(path => $path, model => 'error-503');
    is_deeply [ $r->{status}, scalar $r->header('x-tee-verified') // 'none' ], [ 503, 'none' ], "$mode: an error of the model";

    $r = $roles->chat(path => "/$mode/web_search", body => '{"query":"x"}');
    is $r->{status}, 502, "$mode: signed by another enclave" || diag $r->{head}, $r->{body};
    unlike $r->{body}, qr/query/, "$mode: nothing of it";

    is $roles->chat(path => "/$mode/pass/chat/completions", stream => 1)->{status}, 200, "$mode: through another relay";

    for my $attack (qw(cut flip)) {
        problem($roles->chat(path => "/$mode/$attack/chat/completions"), 502, 'broken_answer', "$mode: $attack");
        my $r = $roles->chat(path => "/$mode/$attack/chat/completions", stream => 1);

        if ($mode eq 'hold') {
            problem($r, 502, 'broken_answer', "hold: $attack of a stream, and nothing of it");

        } else {
            ok $r->{cut} || $r->{status} == 502, "stream: $attack of a stream is reset";
            unlike $r->{body}, qr/\[DONE\]/, 'and has no end';
        }
    }

    problem($roles->chat(path => "/$mode/plain/chat/completions", stream => $_), 502, 'not_sealed', "$mode: a plain answer") for 0, 1;

    # who is verified is the one that has answered, not the one that was asked

    my $who = sub { $t->get("/$mode/who")->json->{active_tee_id} };
    $roles->chat(path => "/$mode/away/chat/completions") if $who->() ne $dead->{id};
    is $who->(), $dead->{id}, "$mode: a TEE that cannot be reached";
    $r = $roles->chat(path => "/$mode/again/chat/completions");
    is_deeply [ $r->{status}, scalar $r->header('x-tee-verified'), scalar $r->header('x-tee-id') ], [ 200, 'true', $tee->{id} ], "$mode: another one answers, and is verified"
        or diag $r->{head}, $r->{body}, $t->log;

    # an answer that is refused in its middle is not broken

    my $broken = $t->status->{counters}{client}{broken};
    my $c = $t->client;
    my @events = Tee::Model::events([ map "word $_ " x 10, 1 .. 200 ]);
    my $words = $model->stream([ @events[ 0 .. 150 ], \'wait', @events[ 151 .. $#events ] ]);

    if ($mode eq 'hold') {
        problem($roles->chat(client => $c, path => "/hold/small/chat/completions", model => $words, stream => 1), 502, 'too_large', 'hold: a stream that is too large');
        is (($roles->chat(client => $c, path => $path) // {})->{status}, 200, 'hold: does not end the connection');
    }

    $model->go($words);
    is $t->status->{counters}{client}{broken}, $broken, "$mode: and is not broken";

    $c = $t->client;
    ok $roles->chat(client => $c, path => $path)->{status} == 200, "$mode: over one connection" for 1 .. 3;
    problem($roles->chat(client => $c, path => "/$mode/flip/chat/completions"), 502, 'broken_answer', "$mode: an attack");
    is $roles->chat(client => $c, path => $path)->{status}, 200, "$mode: and the connection goes on";
}

# what has been opened is not written to a file, however large it is

{
    my $c = $t->client;
    setsockopt $c->{socket}, SOL_SOCKET, SO_RCVBUF, 16384;
    $c->send_request(POST => '/hold/chat/completions', [ 'Content-Type' => 'application/json' ],
        $json->encode({ model => $model->whole(Tee::Model::encode(Tee::Model::answer('xyzzy ' x 500_000))), messages => [ { role => 'user', content => 'x' } ] }));
    my $head = $c->head;
    is_deeply [ $head->{status}, scalar $head->header('x-tee-verified') ], [ 200, 'true' ], 'a large answer' or diag $head->{head};
    my @files = grep { (readlink($_) // '') =~ m{^\Q@{[ $t->dir ]}\E/tmp/} && slurp($_) =~ /xyzzy xyzzy/ } map { glob "/proc/$_/fd/*" } $t->workers, $t->pid;
    is scalar @files, 0, 'is held in memory';
    my $text = $c->read_bytes($head->header('content-length'));
    is length($text =~ s/.*"content": ?"((?:xyzzy )*)".*/$1/sr), 3_000_000, 'all of it';
}

# locations within

is $t->get("/in/$_")->{status}, 200, "nothing to verify: $_" for qw(models health);
is_deeply [ map { my $r = $roles->chat(path => "/in/${_}chat/completions"); $r->{status}, scalar $r->header('x-tee-verified') } '', 'more/', 'direct/' ], [ (200, 'true') x 3 ],
    'a client, one within, and a location that asks by itself' or diag $t->log;

$t->finish;
done_testing;
