#!/usr/bin/perl
# Who signs is not disturbed: clients that go away, a reload, a worker that
# has to end or is killed while signatures are being made, and a queue that is
# full.

use FindBin;
use lib "$FindBin::Bin/lib";
use Tee::Test;

use Crypt::PK::RSA;
use IO::Select;
use JSON::PP;
use POSIX ();
use Time::HiRes qw(time);
use Tee::Model;
use Tee::Signed;

# with a key that is slow, so that there are always some under way

my $slow = Tee::Util::build_dir() . '/keys/sign-4096.pem';
mkdir Tee::Util::build_dir() . '/keys';
system("openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:4096 -out $slow.$$ 2> /dev/null && mv $slow.$$ $slow") if !-s $slow;

my $key = Crypt::PK::RSA->new($slow);
my $m = Tee::Model->new;
my $keys = Tee::Sealed::keys();

# one that answers at once

my $fast = Tee::Nginx->new(plain => 1, vars => { answer => Tee::Model::encode(Tee::Model::answer('Hello!')) }, http => <<'CONF');
    server {
        listen 127.0.0.1:%%PORT_http%% backlog=4096;
        keepalive_requests 100000;
        location / { default_type application/json; return 200 '%%answer%%'; }
    }
CONF
my $http = <<"CONF";
    tee_sign_key a a.key;
    tee_gateway_keys main { $keys->{conf} }
    upstream fast { server 127.0.0.1:%%fast%%; keepalive 64; }
    upstream model { server 127.0.0.1:%%model%%; keepalive 64; }
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    %%queue%%
    server {
        listen 127.0.0.1:%%PORT_h2%%%%http2%%;
        location / { tee_sign a; proxy_ignore_client_abort on; proxy_buffering off; proxy_pass http://model; }
    }
    server {
        listen 127.0.0.1:%%PORT_http%% reuseport;
        server_name inside.example;
        location = /ohttp { tee_gateway main; tee_gateway_target inside.example; tee_gateway_replay off; }
        location /v1/ { tee_sign a; proxy_pass http://model; }
        location /unbuffered/ { tee_sign a; proxy_pass http://model/; proxy_buffering off; }
        location /fast/ { tee_sign a; proxy_pass http://fast/; }
        location /ping { return 204; }
        location /tee/status { tee_status; }
    }
CONF

sub nginx {
    my (%o) = @_;
    return Tee::Nginx->new(files => { %{ $keys->{files} }, 'a.key' => slurp($slow) },
        http => $http =~ s/%%queue%%/$o{queue} \/\/ ''/er, vars => { http2 => Tee::Nginx::version() >= 1.025001 ? '; http2 on' : ' http2', model => $m->port, fast => $fast->port }, workers => $o{workers} // 2);
}

my $body = '{"model":"m","messages":[{"role":"user","content":"x"}]}';
my $post = "POST /fast/chat/completions HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: @{[ length $body ]}\r\n\r\n$body";
my @hello = Tee::Model::events([ 'Hel', 'lo' ]);

sub many { my ($t, $n, $what) = @_; return map { my $c = $t->client; $c->send($what // $post); $c } 1 .. $n }

sub one { my ($t) = @_; my ($c) = many($t, 1); return $c->response }

sub good { my ($r) = @_; return $r && $r->{status} == 200 && !$r->{cut} && !defined Tee::Signed::check($key, 'chat', $body, $r->{body}) ? 1 : 0 }

# -- clients go away

my $t = nginx();

for my $round (1 .. 3) {
    my @clients = many($t, 30);
    $_->close for @clients[ map $_ * 2, 0 .. 14 ];
    my @r = map $clients[ $_ * 2 + 1 ]->response, 0 .. 14;
    is scalar(grep good($_), @r), 15, "half of the clients go away, round $round: the others are answered";
}

# with a FIN only: it may be a client that still reads; with RST in the middle

{
    my @clients = many($t, 20);
    shutdown $_->{socket}, 1 for @clients;
    my @r = map { eval { $_->response } } @clients;
    pass 'clients that close one side: ' . grep good($_), @r;
}

for my $stage (0 .. 3) {
    $m->forget;
    my $script = $m->stream([ @hello[ 0 .. $stage ], \'gone' ]);
    my $c = $t->client;
    $c->send_request(POST => '/v1/chat/completions', [ 'X-Script' => $script ], $body);
    $c->read_until(qr/\r\n\r\n/);
    ok $m->await(notes => 1);
    $c->close;
    eventually { grep /^gone/, $m->notes } "a client that goes after $stage events: the model learns it";
}

# many that have asked for one thing after the other and leave

$_->close for many($t, 5, $post x 20);
ok good(one($t)), 'all goes on';
is scalar($t->workers), 2, 'with the same workers';

# what comes while a signature is made, waits behind it

{
    my $script = $m->stream([ join('', @hello), map ": $_\n\n", 1 .. 5 ]);
    my @clients = map { my $c = $t->client; $c->send_request(POST => '/unbuffered/chat/completions', [ 'X-Script' => $script ], $body); $c } 1 .. 20;
    my @r = map $_->response, @clients;
    my $end = join '', "data: [DONE]\n\n", map ": $_\n\n", 1 .. 5;
    is scalar(grep !$_->{cut} && $_->{body} =~ /\Q$end\E\z/ && !defined Tee::Signed::check($key, 'chat', $body, $_->{body}, stream => 1), @r), 20,
        'what comes while a signature is made, comes once, and behind it';
}

# an upstream that goes on when an HTTP/2 client has gone, while a signature is
# made for it

{
    my $script = $m->stream([ join('', @hello), \'wait', ": more\n\n", ": and more\n\n", \'wait' ]);
    my $file = $t->write('body', $body);
    $m->forget;

    for my $round (1 .. 3) {
        my @busy = many($t, 30);
        my $pid = open my $out, '-|', 'curl', '-sN', '--http2-prior-knowledge', '-H', "X-Script: $script", '--data-binary', "\@$file", 'http://127.0.0.1:' . $t->port('h2') . '/v1/chat/completions';
        readline $out;
        kill KILL => $pid;
        close $out;
        $m->go($script) if $round == 1;
        is scalar(grep good($_), map $_->response, @busy), 30, "a client of HTTP/2 has gone, round $round: others are signed";
    }

    my $ns = sub { my $n = 0; for (map glob("/proc/$_/task/*/schedstat"), $t->workers) { $n += $1 if slurp($_) =~ /^(\d+)/ } return $n };
    my ($last, $at) = ($ns->(), time);
    eventually {
        my ($now, $time) = ($ns->(), time);
        my $idle = $time - $at > 0.2 && ($now - $last) / 1e9 < 0.3 * ($time - $at);
        ($last, $at) = ($now, $time) if $time - $at > 0.2;
        $idle
    } 'and nobody works for it any more';
    $m->go($script);
}

# inside of a gateway

{
    my $g = Tee::Sealed->new(port => $t->port, to => $keys->{x25519});
    my $script = $m->stream([@hello]);

    for my $chunked (0, 1) {
        my @bytes = map { ($g->seal(Tee::Bhttp::request(POST => '/v1/chat/completions', authority => 'inside.example', scheme => 'http',
            headers => [ [ 'content-type' => 'application/json' ], [ 'x-script' => $script ] ], content => $body), chunked => $chunked))[0] } 1 .. 20;
        my @clients = map { my $c = $t->client; $c->send_request(POST => '/ohttp',
            [ 'Content-Type' => 'message/ohttp-' . ($chunked ? 'chunked-' : '') . 'req' ], $_); $c } @bytes;
        $clients[ 2 * $_ ]->close for 0 .. 9;
        is scalar(grep { my $r = $clients[ 2 * $_ + 1 ]->response; $r && $r->{status} == 200 && !$r->{cut} } 0 .. 9), 10,
            'inside of a gateway' . ($chunked ? ', chunked' : '') . ': who stays is answered';
    }
}

# -- a reload with signatures and streams under way

{
    my $script = $m->stream([ @hello[ 0, 1 ], \'wait', @hello[ 2 .. $#hello ] ]);
    my @streams = map { my $c = $t->client; $c->send_request(POST => '/v1/chat/completions', [ 'X-Script' => $script ], $body); $c->head; $c } 1 .. 4;
    my @first = map $_->read_until(qr/Hel[^\n]*\n\n/), @streams;
    my @old = $t->workers;
    my @clients = many($t, 60);
    ok $t->reload, 'a reload';
    is scalar(grep good($_), map $_->response, @clients), 60, 'a reload: all that were asked are answered';
    ok good(one($t)), 'a reload: and the next';
    $m->go($script);
    my $done = 0;

    for my $c (@streams) {
        my $rest = $c->read_until(qr/\r\n0\r\n\r\n/);
        $done++ if $rest =~ /"tee_signature".*\n\ndata: \[DONE\]\n\n\r\n0\r\n\r\n\z/s;
    }

    is $done, 4, 'a reload: streams are signed by the old workers';
    eventually { !grep Tee::Nginx::process_alive($_), @old } 'a reload: which end then';
}

# -- a worker is killed

{
    my @clients = many($t, 60);
    my ($one) = $t->workers;
    kill KILL => $one;
    my @r = map { eval { $_->response } } @clients;
    my $whole = grep good($_), @r;
    is scalar(grep { $_ && !good($_) && !$_->{cut} } @r), 0, "a worker is killed: no wrong answer ($whole of 60 came)";
    ok $t->await_log(qr/exited on signal 9/), 'a worker is killed';
    eventually { $t->workers == 2 } 'another takes its place';
    is scalar(grep good($_), map $_->response, many($t, 10)), 10, 'and signs';
}

# -- the end with signatures under way

{
    my @clients = many($t, 80);
    $clients[0]->read_until(qr/\r\n\r\n/);
    kill QUIT => $t->pid;
    my @r = map { eval { $_->response } } @clients[ 1 .. 79 ];
    is scalar(grep { $_ && !good($_) } @r), 0, 'a graceful end: no wrong answer, and ' . grep(good($_), @r) . ' of 79 good ones';
}

$t->finish(allow => qr/exited on signal 9/);

# and an end at once

$t = nginx();
{
    my @clients = many($t, 80);
    $clients[0]->read_until(qr/\r\n\r\n/);
    is $t->stop('TERM'), 0, 'an end at once';
}

# a sanitizer looks for leaks for longer than a worker has time to end
$t->finish($ENV{TEE_SANITIZE} ? (allow => qr/exited on signal 9/) : ());

# -- more than may wait

$t = nginx(workers => 1, queue => 'tee_threads default queue=2;');
{
    $m->forget;
    my ($asked, @busy, @wrong) = 0;

    # how many wait at a time is up to the machine
    for (1 .. 20) {
        my @r = map $_->response, many($t, 30, $post =~ s{/fast/}{/v1/}r);
        push @busy, grep { $_->{status} == 503 } @r;
        push @wrong, grep { $_->{status} != 503 && !good($_) } @r;
        $asked += grep good($_), @r;
        last if @busy > 5;
    }

    cmp_ok scalar(@busy), '>', 0, 'more than may wait: some are turned away' or diag $asked;
    problem($busy[0], 503, 'busy', 'more than may wait: with a reason') if @busy;
    is scalar(@wrong), 0, 'all others are signed';
    is scalar(my @requests = $m->requests), $asked, 'the model is not asked in vain';
    is scalar(grep good($_), map one($t), 1 .. 3), 3, 'then there is room again';
    is $t->get('/ping')->{status}, 204, 'others are never turned away';
}

$t->finish;
$fast->finish;
done_testing;
