#!/usr/bin/perl
# A request that nobody can have answered is sealed anew and sent once more:
# to another TEE, to a new key, with another date; any other is sent once.

use FindBin;
use lib "$FindBin::Bin/lib";
use Tee::Bhttp;
use Tee::Evm;
use Tee::Ohttp;
use Tee::Roles;
use Tee::Test;

use JSON::PP;
use POSIX qw(strftime);

my $json = JSON::PP->new->utf8->canonical;
my $dir = scratch();
my $iana = 'https://iana.org/assignments/http-problem-types';

# what a relay answers to the first request with a path, and whether that is
# sent again; to the second one it answers what the TEE does

sub says { return $json->encode({@_}) }

my $problem = 'application/problem+json';
my $plain = 'application/json';
my %first = (
    (map { $_ => [ 1, 502, $problem, says(type => 'about:blank', reason => $_) ] } qw(registry_empty registry_stale no_live_tee pin_mismatch)),
    unknown_tee => [ 1, 404, $problem, says(reason => 'unknown_tee') ],
    'ohttp-key' => [ 1, 422, $problem, says(type => "$iana#ohttp-key") ],
    'ohttp-key-400' => [ 1, 400, "$problem; charset=utf-8", says(type => "$iana#ohttp-key", title => 'x' x 3000) ],
    'og-key' => [ 1, 400, $plain, says(error => 'malformed encapsulated request') ],
    'og-new' => [ 1, 503, $plain, says(error => 'anonymous inference not initialized') ],
    (map { $_ => [ 0, 502, $problem, says(type => 'about:blank', reason => $_) ] } qw(peer_failed undecryptable replayed http_error)),
    date => [ 0, 400, $problem, says(type => "$iana#date") ],
    'og-other' => [ 0, 400, $plain, says(error => 'inner payload is not valid JSON') ],
    text => [ 0, 404, 'text/plain', says(reason => 'unknown_tee') ],
    html => [ 0, 422, 'text/html', "<p>$iana#ohttp-key</p>" ],
    array => [ 0, 422, $problem, "[{\"type\":\"$iana#ohttp-key\"}]" ],
    long => [ 0, 422, $problem, says(type => "$iana#ohttp-key", x => 'x' x 4096) ],
    'long-later' => [ 0, 422, $problem, says(type => "$iana#ohttp-key", x => 'x' x 4096), 'chunked' ],
    chunks => [ 1, 422, $problem, says(type => "$iana#ohttp-key"), 'chunked' ],
    cut => [ 0, 422, $problem, says(type => "$iana#ohttp-key"), 'cut' ],
    'cut-length' => [ 0, 422, $problem, says(type => "$iana#ohttp-key"), 'length' ],
    empty => [ 0, 422, $problem, '' ],
    redirect => [ 0, 307, $problem, says(reason => 'unknown_tee') ],
    fine => [ 0, 200, $problem, says(reason => 'unknown_tee') ],
);

sub respond {
    my ($conn, $r) = @_;
    my ($again, $status, $type, $content, $how) = @$r;
    return $conn->respond("$status X", [ 'Content-Type' => $type, 'Retry-After' => 7, 'Content-Encoding' => 'identity' ], $content) unless $how;

    if ($how eq 'length') {
        $conn->send("HTTP/1.1 $status X\r\nContent-Type: $type\r\nContent-Length: 100000\r\n\r\n$content");
        return 0;
    }

    $conn->send("HTTP/1.1 $status X\r\nContent-Type: $type\r\nTransfer-Encoding: chunked\r\n\r\n");
    $conn->send_chunk($_) for split //, $content;
    return 0 if $how eq 'cut';
    return $conn->send("0\r\n\r\n");
}

# of attempts with a path

sub turn {
    my ($name) = @_;
    open my $f, '>>', "$dir/turn-$name" or die "$name: $!\n";
    syswrite $f, '.';
    return -s $f;
}

my $dead = Tee::Cert::enclave('dead', endpoint => 'https://127.0.0.1:9', cert => Tee::Cert->new(name => 'dead.test'));

my $roles = Tee::Roles->new(
    stopped => 1,
    more => [ $dead ],
    model => sub {
        my ($conn, $request) = @_;
        if ($request->{body} =~ /"stream": *true/) {
            $conn->send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n");
            $conn->send_chunk("data: $_\n\n") for 1 .. 3, '[DONE]';
            return $conn->send("0\r\n\r\n");
        }
        return $conn->respond('200 OK', [ 'Content-Type' => 'application/json' ], '{"answer":' . length($request->{body}) . '}');
    },
    relay => sub {
        my ($conn, $request, $forward) = @_;
        my (undef, $name, $n) = split m{/}, $request->{path};
        my $turn = turn("$name-" . ($n // ''));

        return respond($conn, $first{$name}) if $first{$name} && $turn == 1;
        return respond($conn, $first{unknown_tee}) if $name eq 'always';
        return 0 if $name eq 'gone';

        if ($name eq 'waits' && $turn == 1) {
            spew("$dir/waits", 1);
            wait_until { -e "$dir/go" } 20;
            return respond($conn, $first{unknown_tee});
        }

        # the gateway has the key, whatever the TEE is called
        my $r = Tee::Http::request(slurp("$dir/gw"), POST => '/v1/ohttp', [ 'Content-Type' => 'message/ohttp-req' ], $request->{body}, tls => 1);
        return $conn->respond("$r->{status} X", [ 'Content-Type' => $r->header('content-type') ], $r->{body});
    },
    http => <<'CONF',
    log_format tee '$tee_client_id $upstream_status $status $tee_error';
    upstream direct { tee_peers og id=$tee_client_id; }
CONF
    client => join('', map("location /$_/ { tee_client og; proxy_pass http://%%evil%%/$_; }\n", sort(keys %first), qw(waits always gone)), <<'CONF'),
        location /off/ { tee_client og; tee_client_retry off; proxy_pass http://%%evil%%/unknown_tee/off; }
        location /pinned/ { tee_client og id=$http_x_wanted; proxy_pass http://%%evil%%/unknown_tee/pinned; }
        location /openai/ { tee_client og; tee_client_errors openai; proxy_pass http://%%evil%%/always/openai; }
        location /direct/ { tee_client og; proxy_pass https://direct/v1/ohttp; proxy_ssl_verify off; access_log logs/direct.log tee; }
        location /direct-off/ { tee_client og; tee_client_retry off; proxy_pass https://direct/v1/ohttp; proxy_ssl_verify off; }
        location /pages/ { tee_client og; proxy_pass https://direct/v1/ohttp; error_page 502 /page; }
        location = /page { return 200 page; }
        location = /health { tee_client_health og; }
CONF
);

my ($t, $evil) = ($roles->nginx, $roles->evil);
spew("$dir/gw", $t->port('gw'));
$t->start;

# the requests that a relay has had, as it has seen them

sub ids { return map { my ($id) = $_->{head} =~ /^x-tee-id: *0x(\S+)\r$/mi; $id } @_ }
sub active { return $t->get('/health')->json->{active_tee_id} }
sub counter { return $t->status->{counters}{client}{ $_[0] } }

for my $name (sort keys %first) {
    my ($again, $status) = @{ $first{$name} };
    $evil->forget;
    my $before = counter('retries');
    my $r = $roles->chat(path => "/$name/chat/completions");
    my @seen = $evil->requests;

    if (!$again) {
        is scalar(@seen), 1, "$name: is sent once";
        problem($r, $status < 400 ? (502, 'not_sealed') : ($status, 'relay_error'), "$name: and told");
        is counter('retries'), $before, "$name: not counted";
        next;
    }

    is_deeply [ $r->{status}, $r->json ], [ 200, { answer => 81 } ], "$name: an answer" or diag $r->{head}, $r->{body}, $t->log;
    is scalar(@seen), 2, "$name: to the second request";
    my @ids = ids(@seen);
    isnt $ids[0], $ids[1], "$name: to another TEE";
    is length $seen[0]{body}, length $seen[1]{body}, "$name: the same";
    isnt substr($seen[0]{body}, 7, 32), substr($seen[1]{body}, 7, 32), "$name: sealed anew";
    is $seen[0]{head} =~ s/^x-tee-id:.*\n//mir, $seen[1]{head} =~ s/^x-tee-id:.*\n//mir, "$name: with the same fields";
    is counter('retries'), $before + 1, "$name: and counted";
    is active(), "0x$ids[1]", "$name: who has answered is asked from now on";
}

is $t->logged(qr/tee client: request is sealed anew and sent again/), counter('retries'), 'which is logged';
is counter('broken'), 2, 'and nothing else is broken than what was not sealed';

# events, and what is large

for my $case ([ 'a stream', 'ohttp-key', stream => 1 ], [ 'a large one', 'og-key', messages => [ { role => 'user', content => 'x' x 400_000 } ] ]) {
    my ($name, $path, %o) = @$case;
    unlink "$dir/turn-$path-";
    $evil->forget;
    my $r = $roles->chat(path => "/$path/chat/completions", %o);
    is $r->{status}, 200, "$name: an answer";
    is $r->{body}, join('', map "data: $_\n\n", 1 .. 3, '[DONE]'), "$name: all of it" if $o{stream};
    cmp_ok $r->json->{answer}, '>', 400_000, "$name: to all of it" unless $o{stream};
    is scalar(my @seen = $evil->requests), 2, "$name: to the second request";
}

# once is enough, and may be too much

$evil->forget;
problem($roles->chat(path => '/always/chat/completions'), 404, 'relay_error', 'a second refusal is told');
is scalar(my @seen = $evil->requests), 2, 'there is no third request';
my $r = $roles->chat(path => '/openai/chat/completions');
is_deeply [ $r->{status}, $r->json->{error}{code}, scalar $r->header('retry-after') ], [ 404, 'relay_error', 7 ], 'in the form that is asked for';
$evil->forget;
problem($roles->chat(path => '/off/chat/completions'), 404, 'relay_error', 'tee_client_retry off');
is scalar(@seen = $evil->requests), 1, 'one request';
$evil->forget;
problem($roles->chat(path => '/pinned/chat/completions', headers => [ 'X-Wanted' => $dead->{id} ]), 404, 'relay_error', 'a TEE that has been asked for');
is_deeply [ map "0x$_", ids($evil->requests) ], [ $dead->{id} ], 'is no other one';
$evil->forget;
problem($roles->chat(path => '/gone/chat/completions'), 502, 'http_error', 'a relay that ends without an answer');
is scalar(@seen = $evil->requests), 1, 'may have had one made';

# whoever leaves in between is not answered, and nothing is sent for it

$evil->forget;
my $c = $t->client;
$c->send_request(POST => '/waits/chat/completions', [ 'Content-Type' => 'application/json' ], '{"model":"m","messages":[{"role":"user","content":"hi"}]}');
eventually { -e "$dir/waits" } 'a request waits';
$c->close;
eventually { $t->access_log =~ m{/waits/\S+ HTTP/1\.1" 499} } 'its application has left';
spew("$dir/go", 1);
is $roles->chat(path => '/chunks/chat/completions')->{status}, 200, 'others go on';
is scalar(grep $_->{path} =~ /waits/, $evil->requests), 1, 'it is not sent again';

# nobody could be reached: nothing has been sent

sub choose {
    my ($id) = @_;
    unlink "$dir/turn-unknown_tee-";
    $roles->chat(path => '/unknown_tee/chat/completions') unless active() eq $id;
    return is active(), $id, 'the choice is ' . ($id eq $dead->{id} ? 'the dead one' : 'the other one');
}

choose($dead->{id});
my $before = counter('retries');
$r = $roles->chat(path => '/direct/chat/completions');
is_deeply [ $r->{status}, $r->json ], [ 200, { answer => 81 } ], 'another TEE is asked' or diag $r->{head}, $r->{body}, $t->log;
is counter('retries'), $before + 1, 'counted';
is active(), $roles->tee->{id}, 'and asked from now on';
is slurp($t->dir . '/logs/direct.log'), "$roles->{tee}{id} 502 : 200 200 -\n", 'and logged';
choose($dead->{id});
problem($roles->chat(path => '/direct-off/chat/completions'), 502, 'peer_failed', 'tee_client_retry off');
choose($dead->{id});
is $roles->chat(path => '/pages/chat/completions')->{body}, 'page', 'error_page comes first';
choose($dead->{id});
my $h2 = "$dir/h2";
is system(qw(curl -sS --http2-prior-knowledge -o), $h2, '-H', 'Content-Type: application/json', '-d', '{"model":"m","messages":[{"role":"user","content":"hi"}]}',
    'http://127.0.0.1:' . $t->port('h2') . '/direct/chat/completions'), 0, 'HTTP/2';
like slurp($h2), qr/^\{"answer":\d+\}$/, 'as well';

unlike $t->log, qr/xxxxx|"role"/, 'nothing of what was asked is in the log';
$t->finish;

# -- a gateway with another clock, and one with other keys

my $own = Tee::Ohttp::keygen();
my $new = Tee::Ohttp::keygen();
my $then = time - 100_000;
my $ca = Tee::Cert->new(name => 'ca', ca => 1);

sub date { return strftime('%a, %d %b %Y %H:%M:%S GMT', gmtime $_[0]) }

my $long = 'x' x 5000;
my $date = says(type => "$iana#date", status => 400);
my $at = [ Date => date($then) ];

# by path: what it says first, and the date that it is asked with then; 0: its
# answer is for the application

my %clock = (
    date => [ $then, 400, $problem, $date, $at ],
    aged => [ $then + 500, 400, $problem, $date, $at, [ Age => 500 ] ],
    'odd-age' => [ $then, 400, $problem, $date, $at, [ Age => 'old' ] ],
    lengthy => [ $then, 400, $problem, $date, $at, [ 'Content-Length' => length $date ] ],
    parameter => [ $then, 400, "$problem; charset=utf-8", $date, $at ],
    none => [ 0, 400, $problem, $date ],
    odd => [ 0, 400, $problem, $date, [ Date => 'yesterday' ] ],
    epoch => [ 0, 400, $problem, $date, [ Date => 'Thu, 01 Jan 1970 00:00:00 GMT' ] ],
    far => [ 0, 400, $problem, $date, [ Date => 'Fri, 31 Dec 9999 23:59:59 GMT' ], [ Age => 1 ] ],
    type => [ 0, 400, $plain, $date, $at ],
    status => [ 0, 403, $problem, $date, $at ],
    other => [ 0, 400, $problem, says(type => 'about:blank'), $at ],
    key => [ 0, 400, $problem, says(type => "$iana#ohttp-key"), $at ],
    unsent => [ 0, 400, $problem, says(reason => 'unknown_tee'), $at ],
    long => [ 0, 400, $problem, says(type => "$iana#date", x => $long), $at ],
    exact => [ 0, 400, $problem, 'x' x 4096, $at ],
    empty => [ 0, 400, $problem, '', $at ],
);

sub gateway {
    my ($conn, $request) = @_;
    my (undef, $what, $name) = split m{/}, $request->{path};
    my $keys = { 1 => $own, ($what eq 'new' ? (2 => $new) : ()) };
    my $chunked = $request->{head} =~ /chunked-req/;

    my $unknown = sub { $conn->respond('422 X', [ 'Content-Type' => $problem ], says(type => "$iana#ohttp-key")) };
    return $unknown->() if $what eq 'new' && ord($request->{body}) != 2;

    my ($text, $c) = $chunked ? Tee::Ohttp::open_chunked_request($keys, $request->{body}) : Tee::Ohttp::open_request($keys, $request->{body});
    return $unknown->() unless defined $c;

    my $inner = Tee::Bhttp::parse_request($chunked ? join '', @$text : $text);
    my %fields = map @$_, @{ $inner->{headers} };
    my $path = "$inner->{path}";
    my $turn = turn("$what$chunked" . $path =~ tr{/?}{__}r);
    my ($again, $status, $type, $content, @headers) = @{ $clock{ $path =~ m{([^/]+)\z} ? $1 : '' } // [] };

    my $answer = Tee::Bhttp::response(200, [ [ 'content-type' => 'text/plain' ] ], "$turn $fields{date}");
    $answer = Tee::Bhttp::response($status, [ [ 'content-type' => $type ], @headers ], $content, indeterminate => $what eq 'pieces', chunks => [ split /(?<=e)/, $content ])
        if defined $again && ($turn == 1 || $what eq 'always');
    return $conn->respond('200 OK', [ 'Content-Type' => 'message/ohttp-res' ], Tee::Ohttp::seal_response($c, $answer)) unless $chunked;

    my $write = Tee::Ohttp::chunk_writer($c);
    $conn->send("HTTP/1.1 200 OK\r\nContent-Type: message/ohttp-chunked-res\r\nTransfer-Encoding: chunked\r\n\r\n");
    $conn->send_chunk($write->(substr $answer, 0, 30, '')) while length $answer > 30;
    $conn->send_chunk($write->($answer, 1));
    return $conn->send("0\r\n\r\n");
}

my $list = sub { pack 'n/a', Tee::Ohttp::key_config(Tee::Ohttp::public_key($_[0]), $_[1], 1) };
spew("$dir/list", $list->($own, 1));

my $keys = Tee::Upstream->new(name => 'keys', cert => Tee::Cert->new(name => 'keys.test', issuer => $ca, addresses => ['127.0.0.1']), handler => sub {
    my ($conn, $request) = @_;
    if (-e "$dir/slow") {
        spew("$dir/asked", 1);
        wait_until { !-e "$dir/slow" } 20;
    }
    return $conn->respond('200 OK', [ 'Content-Type' => 'application/ohttp-keys' ], slurp("$dir/list"));
});
my $gateway = Tee::Upstream->new(name => 'gateway', cert => undef, handler => \&gateway);

$t = Tee::Nginx->new(
    stopped => 1,
    files => { 'ca.pem' => $ca->{pem}, list => $list->($own, 1) },
    vars => { keys => $keys->port, gw => $gateway->port },
    http => <<'CONF');
    tee_client_target https://api.example;
    server {
        listen 127.0.0.1:%%PORT_http%%;
        location /whole/ { tee_client keys_file=list; proxy_pass http://127.0.0.1:%%gw%%/whole/; }
        location /chunked/ { tee_client keys_file=list chunked; proxy_pass http://127.0.0.1:%%gw%%/chunked/; }
        location /pieces/ { tee_client keys_file=list; proxy_pass http://127.0.0.1:%%gw%%/pieces/; }
        location /always/ { tee_client keys_file=list; proxy_pass http://127.0.0.1:%%gw%%/always/; }
        location /off/ { tee_client keys_file=list; tee_client_retry off; proxy_pass http://127.0.0.1:%%gw%%/off/; }
        location /stuck/ { tee_client keys_file=list; proxy_pass http://127.0.0.1:%%gw%%/new/; }
        location /new/ { tee_client keys=https://127.0.0.1:%%keys%%/ trusted=ca.pem; proxy_pass http://127.0.0.1:%%gw%%/new/; }
        location /tee/status { tee_status; }
    }
CONF
$t->start;

for my $form (qw(whole chunked pieces)) {
    for my $name (sort keys %clock) {
        my ($again, $status, $type, $content) = @{ $clock{$name} };
        $gateway->forget;
        my $r = $t->get("/$form/$name");
        my $seen = () = $gateway->requests;

        if (!$again) {
            is_deeply [ $seen, $r->{status}, $r->{body}, scalar $r->header('content-type'), $r->{cut} ], [ 1, $status, $content, $type, undef ], "$form, $name: is passed on"
                or diag $t->log;
            next;
        }

        is_deeply [ $seen, $r->{status} ], [ 2, 200 ], "$form, $name: is asked again";
        is $r->{body}, '2 ' . date($again), "$form, $name: with the date of the gateway";
    }
}

unlike $t->get('/whole/now')->{body}, qr/@{[ date($then) ]}/, 'nothing else has that date';
$gateway->forget;
is_deeply [ $t->get('/always/date')->{status}, scalar(@seen = $gateway->requests) ], [ 400, 2 ], 'but once';
$gateway->forget;
is_deeply [ $t->get('/off/date')->{status}, scalar(@seen = $gateway->requests) ], [ 400, 1 ], 'if it is wanted';
unlink "$dir/turn-whole_whole_date";
is $t->request(HEAD => '/whole/empty')->{status}, 200, 'HEAD is passed on';

# keys that are not known any more

# The first one asks for another list, be it at once or as soon as the last one
# is some seconds old; those that come while that is on its way wait for it.

my @waiting;

sub wait_for_keys {
    my ($n) = @_;
    $gateway->forget;
    my $c = $t->client;
    $c->send_request(GET => '/new/first');
    eventually { -e "$dir/asked" } 'a key that the gateway does not know: it is asked for its keys', 20;
    @waiting = map { my $c = $t->client; $c->send_request(GET => "/new/$_"); $c } 1 .. $n;
    eventually { my @seen = $gateway->requests; @seen == $n + 1 } 'and others find the same';
    $gateway->forget;
    return $c;
}

eventually { $t->logged(qr/keys of "[^"]*" are there, id 1/) } 'keys are fetched';
spew("$dir/slow", 1);
my $first = wait_for_keys(5);
(pop @waiting)->close;
eventually { $t->access_log =~ m{/new/5 HTTP/1\.1" 499} } 'one leaves';
spew("$dir/list", $list->($new, 2));
unlink "$dir/slow";
is $_->response->{status}, 200, 'one waits, and is answered' for @waiting;
is $t->logged(qr/keys of "[^"]*" are new, id 2/), 1, 'with the new key';
is scalar(my @asked = $keys->requests), 2, 'which was asked for once';
is scalar(@seen = $gateway->requests), 4 + ($first->response->{status} == 200), 'one more request for each of them';
problem($t->get('/stuck/x'), 422, 'relay_error', 'keys of a file stay as they are');

# a list that is the same

$t->stop;
spew("$dir/list", $list->($own, 1));
unlink "$dir/asked";
$t->start;
eventually { $t->logged(qr/keys of "[^"]*" are there, id 1/) == 2 } 'keys are fetched';
spew("$dir/slow", 1);
unlink "$dir/asked";
wait_for_keys(2);
unlink "$dir/slow";
problem($_->response, 422, 'relay_error', 'nothing is sent again to the same key') for @waiting;
is scalar(@seen = $gateway->requests), 0, 'nothing';
$t->finish;

# -- a chain that tells of a new key while a request waits for it

my $evm;
$roles = Tee::Roles->new(
    stopped => 1,
    registry => '%%evm%% max_block_age 0; refresh 1h; refresh_min 100ms;',
    model => sub { return $_[0]->respond('200 OK', [ 'Content-Type' => 'application/json' ], '{"answer":1}') },
    relay => sub {
        my ($conn, $request) = @_;
        return $conn->respond('422 X', [ 'Content-Type' => $problem ], says(type => "$iana#ohttp-key")) if ord $request->{body} == 1;
        my ($text, $c) = Tee::Ohttp::open_request({ 2 => Crypt::PK::X25519->new->import_key_raw(slurp("$dir/new"), 'private') }, $request->{body});
        return $conn->respond('200 OK', [ 'Content-Type' => 'message/ohttp-res' ], Tee::Ohttp::seal_response($c, '{"answer":2}'));
    },
    client => 'location /v1/ { tee_client og; proxy_pass http://%%evil%%/; }');

$t = $roles->nginx;
spew("$dir/new", $new->export_key_raw('private'));
my $pem = $t->write('new.key', Tee::Ohttp::key_pem($new));
$evm = Tee::Evm->new(layout => 'v2', tees => [ { %{ $roles->tee }, hpkeKey => $t->dir . '/gw.key', keyId => 1 } ]);
$t->{vars}{evm} = $evm->conf;
$t->start;
eventually { ($t->registry_status->{tees} // 0) == 1 } 'a TEE of a contract';
problem($roles->chat, 422, 'relay_error', 'its gateway has another key, and the contract does not know');
$evm->do("rotate-ohttp one $pem 2");
$r = $roles->chat;
is_deeply [ $r->{status}, $r->json ], [ 200, { answer => 2 } ], 'when it knows, a request that was sealed to the old one is sealed to the new one' or diag $r->{head}, $r->{body}, $t->log;
is $roles->chat->{status}, 200, 'and so are others';
is scalar(@seen = $roles->evil->requests), 4, 'once each';
$t->finish;
done_testing;
