#!/usr/bin/perl
# An application that knows of nothing talks to a model in an enclave: through
# client, relay and gateway, in OpenGradient's profile.

use FindBin;
use lib "$FindBin::Bin/lib";
use Tee::Roles;
use Tee::Test;

use JSON::PP;

my $json = JSON::PP->new->utf8->canonical;
my $go = scratch() . '/go';
my @hello = map "data: $_\n\n", '{"delta":"one"}', '{"delta":"two"}', '{"last":true,"opengradient":{"cost_opg":"1","cost_usd":"1","opg_price_usd":"1"}}', '[DONE]';
my $events = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";

my $roles = Tee::Roles->new(
    files => { token => "secret-token\n", bad => "two words\n" },
    model => sub {
        my ($conn, $request) = @_;
        my ($model) = $request->{body} =~ /"model": *"([^"]*)"/;
        my $stream = $request->{body} =~ /"stream": *true/;

        if ($model eq 'wait') {
            $conn->send($events);
            $conn->send_chunk($hello[0]);
            wait_until { -e $go } 20;
            $conn->send_chunk($hello[3]);
            return $conn->send("0\r\n\r\n");
        }

        if ($model =~ /^endless/) {
            $conn->send($events);
            1 while $conn->send_chunk('data: ' . 'x' x 10000 . "\n\n");
            $conn->note('stopped');
            return 0;
        }

        if ($model eq 'hang') {
            wait_until { !$conn->{socket}->connected || IO::Select->new($conn->{socket})->can_read(0) } 20;
            $conn->note('left');
            return 0;
        }

        if ($model =~ /^broken-(\d+)/) {
            $conn->send($events);
            $conn->send_chunk(substr join('', @hello), 0, $1) if $1;
            return 0;
        }

        return $conn->respond("$1 Status", [ 'Content-Type' => 'application/json', 'Retry-After' => '7', 'Set-Cookie' => 'secret' ], qq({"error":"secret $1"}))
            if $model =~ /^status-(\d+)/;
        return $conn->respond('200 OK', [ 'Content-Type' => 'application/json' ], '{"big":"' . 'x' x $1 . '"}') if $model =~ /^big-(\d+)/;

        if ($stream) {
            $conn->send($events);
            $conn->send_chunk($_) for $model eq 'image' ? ('data: "' . 'A' x 300_000 . "\"\n\n", $hello[3]) : $model eq 'nothing' ? () : @hello;
            return $conn->send("0\r\n\r\n");
        }

        return $conn->respond('200 OK', [ 'Content-Type' => 'application/json', 'Set-Cookie' => 'secret' ], $json->encode({ body => $request->{body}, head => $request->{head} }));
    },
    relay => sub {
        my ($conn, $request, $forward) = @_;
        return $conn->respond('429 Many', [ 'Retry-After' => '7', 'X-Other' => 'secret', 'Content-Type' => 'application/json' ], '{"error":"secret"}')
            if $request->{path} eq '/later';
        my $r = $forward->();
        return $conn->respond("$r->{status} OK", [ 'Content-Type' => scalar $r->header('content-type') ], $r->{body});
    },
    http => 'log_format client "$status $request_method $uri $args $tee_client_id $http_user_agent"; access_log logs/client.log client; map $http_x_token $token { default $http_x_token; }',
    client => <<'CONF');
        location /v1/ { tee_client og; proxy_pass http://%%relay%%; }
        location = /pinned/chat/completions { tee_client og id=$http_x_tee; proxy_pass http://%%relay%%; }
        location ~ ^/regex/ { tee_client og; proxy_pass http://%%evil%%; }
        location /openai/ { tee_client og; tee_client_errors openai; tee_client_max_body 1000; proxy_pass http://%%relay%%; }
        location /seen/ { tee_client og; proxy_pass http://%%evil%%/seen; proxy_set_header X-Mine mine; }
        location /later/ { tee_client og; proxy_pass http://%%evil%%/later; }
        location /auth/ { tee_client og; tee_client_auth token; proxy_pass http://%%evil%%/auth; }
        location /auth/bad/ { tee_client og; tee_client_auth bad; proxy_pass http://%%evil%%/auth; }
        location /auth/none/ { tee_client og; tee_client_auth nothing; proxy_pass http://%%evil%%/auth; }
        location /auth/var/ { tee_client og; tee_client_auth $token; proxy_pass http://%%evil%%/auth; }
        location /small/ { tee_client og; tee_client_buffer 1000; proxy_pass http://%%relay%%; }
        location /away/ { tee_client og; proxy_pass http://127.0.0.1:%%PORT__away%%; error_page 502 = @fallback; }
        location @fallback { proxy_pass http://%%evil%%; proxy_set_header X-Seen "$request_method $uri $args"; }
        location /page/ { tee_client og; proxy_pass http://127.0.0.1:%%PORT__away%%; error_page 502 /error.html; }
        location = /error.html { proxy_pass http://%%evil%%/page; proxy_set_header X-Seen "$request_method $request_uri $uri"; }
        location /if/ { tee_client og; proxy_pass http://%%evil%%/if; if ($http_x_if) { set $x 1; } limit_except POST { deny all; } }
        location = /asking { auth_request /seen/chat/completions; proxy_pass http://%%evil%%/asked; }
        location /gzip/ { tee_client og; proxy_pass http://%%relay%%; gzip on; gzip_types application/json; gzip_min_length 1; add_header X-Added yes; }
        location /rw/ { rewrite ^/rw/x/(.*)$ /rw/$1 break; rewrite ^/rw/y/(.*)$ /y/$1 break; tee_client og; proxy_pass http://%%evil%%/rewritten; if ($http_x_if) { rewrite ^ /z/chat/completions break; } }
        location = /v1/models { tee_client_models gpt-4o "a\"b"; }
        location = /health { tee_client_health og; }
CONF

my $t = $roles->nginx;
my $tee = $roles->tee;

# -- one answer

my $r = $roles->chat(messages => [ { role => 'system', content => 'be' }, { role => 'user', content => [ { type => 'text', text => "\x{e4}" } ] } ],
    more => { temperature => 1, n => 3, user => 'secret', tool_choice => 'auto', stop => [], max_tokens => 0 },
    headers => [ Cookie => 'secret', 'User-Agent' => 'secret', Authorization => 'Bearer secret', 'X-TEE-ID' => 'secret' ]);
is $r->{status}, 200, 'an answer';
is $r->header('content-type'), 'application/json', 'is JSON';
is $r->header('content-length'), length $r->{body}, 'has its length';
my $seen = eval { decode_json($r->{body}) } // {};
is_deeply eval { decode_json($seen->{body}) },
    { max_tokens => 0, messages => [ { role => 'system', content => 'be' }, { role => 'user', content => [ { type => 'text', text => "\x{e4}" } ] } ],
        model => 'm', temperature => 1, tool_choice => 'auto' }, 'the request within is what a signature covers, and what goes with it';
like $seen->{body}, qr/"temperature": 1\.0\b/, 'in its form';
unlike "$seen->{head}$seen->{body}$r->{head}", qr/secret/, 'nothing else of it';
is_deeply [ map lc $_->[0], grep $_->[0] !~ /^(?:server|date|connection)$/i, @{ $r->{headers} } ], [qw(content-type content-length)], 'and no field of the relay';

# -- what the relay sees

$roles->evil->forget;
$r = $roles->chat(path => '/seen/chat/completions?key=secret', stream => 1, messages => [ { role => 'user', content => 'secret' } ],
    headers => [ Cookie => 'secret', 'User-Agent' => 'secret', Authorization => 'Bearer secret', 'X-TEE-ID' => 'secret', Accept => 'secret',
        'X-Forwarded-For' => 'secret', Referer => 'secret', 'X-Stainless-Os' => 'secret', Upgrade => 'secret', 'Accept-Encoding' => 'secret' ]);
is $r->{status}, 200, 'through another relay';
my ($sent) = $roles->evil->requests;
like $sent->{head}, qr{^POST /seen HTTP/1\.1\r\n}, 'one method and path for all';
unlike "$sent->{head}$sent->{body}", qr/secret/, 'nothing of the application';
my %fields = map { /^([^:]+): *(.*)$/ ? (lc $1 => $2) : () } split /\r\n/, $sent->{head};
is_deeply { map { $_ => $fields{$_} } grep !/^(?:host|content-length)$/, keys %fields },
    { Tee::Nginx::version() < 1.029007 ? (connection => 'close') : (), 'content-type' => 'message/ohttp-req', accept => 'message/ohttp-chunked-res', 'x-ohttp-stream' => 'true', 'x-tee-id' => $tee->{id}, 'x-mine' => 'mine' },
    'the fields of a sealed request and those of the configuration, no others';
is $fields{'content-length'}, length $sent->{body}, 'its length';

$roles->evil->forget;
is_deeply [ map $roles->chat(path => "/rw/$_/chat/completions", headers => [ $_ eq 'if' ? ('X-If' => 1) : () ])->{status}, qw(none x y if) ], [ (200) x 4 ], 'what a location rewrites';
is_deeply [ map $_->{head} =~ /^(\S+ \S+)/, $roles->evil->requests ], [ ('POST /rewritten') x 4 ], 'does not change where it is sent';

$roles->evil->forget;
is $roles->chat(path => '/seen/chat/completions')->{status}, 200, 'no stream';
($sent) = $roles->evil->requests;
like $sent->{head}, qr{^accept: message/ohttp-res\r$}mi, 'is asked for as such';
unlike $sent->{head}, qr{^x-ohttp-stream}mi, 'without its field';

$roles->evil->forget;
$roles->chat(path => '/regex/secret/chat/completions?secret');
($sent) = $roles->evil->requests;
like $sent->{head}, qr{^POST / HTTP/1\.1\r\n}, 'a location without a name: no path at all';
unlike "$sent->{head}", qr/secret/, 'nothing of its path';

$roles->evil->forget;
$r = $roles->chat(path => '/if/chat/completions', headers => [ 'X-If' => 'secret', Cookie => 'secret' ]);
is $r->{status}, 200, 'within "if"';
($sent) = $roles->evil->requests;
unlike "$sent->{head}$sent->{body}", qr/secret|"hi"/, 'it is sealed as well';

my $twice = join '', map $_->{body}, $roles->evil->requests;
$roles->chat(path => '/seen/chat/completions');
isnt +($roles->evil->requests)[-1]{body}, $twice, 'each request is sealed with a key of its own';

# -- streams

for my $case ([ m => @hello ], [ image => 'data: "' . 'A' x 300_000 . "\"\n\n", $hello[3] ], [ nothing => '' ]) {
    my ($model, @texts) = @$case;
    my $r = $roles->chat(model => $model, stream => 1);
    is_deeply [ $r->{status}, scalar $r->header('content-type'), $r->{body}, $r->{cut} ], [ 200, 'text/event-stream', join('', @texts), undef ], "$model: a stream";
    is $r->header('cache-control'), 'no-cache', "$model: not to be kept";
    unlike $r->{head}, qr/content-length|incremental/i, "$model: nothing of the sealed one";
}

{
    my $c = $t->client;
    $c->send_request(POST => '/v1/chat/completions', [ 'Content-Type' => 'application/json' ], $json->encode({ model => 'wait', stream => JSON::PP::true, messages => [ { role => 'user', content => 'x' } ] }));
    is $c->head->{status}, 200, 'a stream begins';
    is $c->chunk, $hello[0], 'each event goes on at once';
    spew($go, 1);
    is $c->chunk, $hello[3], 'and the last';
    is $c->chunk, '', 'ends it';
    is $roles->chat(client => $c)->{status}, 200, 'the connection stays open';
    is $roles->chat(client => $c, stream => 1)->{body}, join('', @hello), 'for streams';
    is $roles->chat(client => $c, model => 'status-429')->{status}, 429, 'errors';
    is $roles->chat(client => $c)->{status}, 200, 'and more';
}

# -- more than one buffer

for my $size (0, 1, 1000, 16384, 100_000, 5_000_000) {
    my $r = $roles->chat(model => "big-$size");
    ok $r->{status} == 200 && $r->{body} eq '{"big":"' . 'x' x $size . '"}' && $r->header('content-length') == length $r->{body}, "an answer of $size bytes";
}

for my $size (0, 1000, 100_000, 1_000_000) {
    my $text = 'y' x $size;
    my $r = $roles->chat(messages => [ { role => 'user', content => $text } ]);
    ok $r->{status} == 200 && $r->{body} =~ /\\"content\\": \\"(y*)\\"/ && $1 eq $text, "a request of $size bytes";
}

{
    my $c = $t->client;
    my $body = $json->encode({ model => 'm', messages => [ { role => 'user', content => 'z' x 100_000 } ] });
    $c->send_request(POST => '/v1/chat/completions', [ 'Content-Type' => 'application/json', 'Transfer-Encoding' => 'chunked' ]);
    $c->send(map { sprintf("%x\r\n%s\r\n", length, $_) } unpack '(a7777)*', $body);
    $c->send("0\r\n\r\n");
    my $r = $c->response;
    is length(eval { decode_json(decode_json($r->{body})->{body})->{messages}[0]{content} } // ''), 100_000, 'a request in chunks';
    is $roles->chat(client => $c)->{status}, 200, 'and one after it';
}

# -- HTTP/2

sub h2 {
    my ($path, $q, @more) = @_;
    my $file = $t->write('h2.json', $json->encode($q));
    my $out = `curl -sN --http2-prior-knowledge -w '\n%{http_code} %{exitcode}' -H 'Content-Type: application/json' @more --data-binary \@$file http://127.0.0.1:@{[ $t->port('h2') ]}$path`;
    return $out =~ s/\n(\d+) (\d+)\z// ? ($out, $1, $2) : ($out);
}

is_deeply [ h2('/v1/chat/completions', { model => 'm', stream => JSON::PP::true, messages => [ { role => 'user', content => 'x' } ] }) ], [ join('', @hello), 200, 0 ], 'HTTP/2: a stream';
is_deeply [ (h2('/v1/chat/completions', { model => 'big-100000', messages => [ { role => 'user', content => 'x' x 300_000 } ] }))[ 1, 2 ] ], [ 200, 0 ], 'HTTP/2: an answer';
is_deeply [ (h2('/v1/chat/completions', { model => 'status-503', messages => [ { role => 'user', content => 'x' } ] }))[ 1, 2 ] ], [ 503, 0 ], 'HTTP/2: an error';
like +(h2('/v1/chat/completions', { model => 'broken-20', stream => JSON::PP::true, messages => [ { role => 'user', content => 'x' } ] }))[0], qr/\A(?:data: .*\n\n)*\z/, 'HTTP/2: whole events';

# -- what is refused

$roles->model->forget;

sub bad { my ($name, $status, $reason, %o) = @_; return problem($roles->chat(%o), $status, $reason, $name) }

bad("no JSON: $_", 400, 'bad_request', body => $_) for '', '{', '[]', '"x"', '{"model":1}', '{"model":"m"}', '{"model":"m","messages":[]}', "{\"model\":\"\xff\"}";
bad("no message: $_", 400, 'bad_request', body => qq({"model":"m","messages":[$_]})) for '1', '{}', '{"role":"x"}', '{"role":"assistant","tool_calls":{"a":1}}';
bad('a type', 415, 'media_type', type => 'text/plain');
bad('no type', 415, 'media_type', type => undef, headers => []);
bad('another endpoint', 404, 'endpoint', path => '/v1/completions');
bad('a path that only looks so', 404, 'endpoint', path => '/v1/xchat/completion');
problem($t->get('/v1/chat/completions'), 405, 'method', 'GET');
is +($t->get('/v1/chat/completions')->header('allow'))[0], 'POST', 'POST is allowed';
$r = $roles->chat(path => '/openai/chat/completions', body => '{}');
is_deeply [ $r->{status}, scalar $r->header('content-type'), $r->json ],
    [ 400, 'application/json', { error => { message => 'the request is missing a model', type => 'tee_error', param => undef, code => 'bad_request' } } ], 'errors as OpenAI has them';
$r = $roles->chat(path => '/openai/chat/completions', body => 'x' x 1001);
is_deeply [ $r->{status}, $r->json->{error}{code} ], [ 413, 'too_large' ], 'a large body';
$r = $roles->chat(path => '/openai/chat/completions', model => 'status-429');
is_deeply [ $r->{status}, $r->json->{error}{code}, $r->json->{error}{type} ], [ 429, 'relay_error', 'tee_error' ], 'an error of the relay';
is scalar(grep $_->{body} eq '{}', $roles->model->requests), 0, 'nothing of this was asked';

# -- errors

for my $status (400, 401, 402, 404, 422, 429, 451, 500, 502, 503, 504) {
    my $r = $roles->chat(model => "status-$status");
    problem($r, $status, 'relay_error', "$status of the relay");
    unlike "$r->{head}$r->{body}", qr/secret/, "$status: with nothing that nobody has sealed";
}

$r = $roles->chat(path => '/later/chat/completions');
problem($r, 429, 'relay_error', 'a relay that is busy');
is $r->header('retry-after'), '7', 'says when to try again';
unlike $r->{head}, qr/secret/, 'and nothing else';
problem($roles->chat(path => '/small/chat/completions', model => 'big-2000'), 502, 'broken_answer', 'an answer that is larger than the buffer');
is $roles->chat(path => '/small/chat/completions', model => 'big-500')->{status}, 200, 'one that is not';
$r = $roles->chat(path => '/small/chat/completions', model => 'image', stream => 1);
problem($r, 502, 'broken_answer', 'an event that is larger');

for my $cut (0, 5, length $hello[0], length($hello[0]) + 5) {
    my $r = $roles->chat(model => "broken-$cut", stream => 1);
    like $r->{body}, qr/^data: \{"error":[^\n]*\}\n\n\z/m, "a model that breaks off after $cut bytes is an error within";
}

# -- when the client leaves

{
    my $c = $t->client;
    $c->send_request(POST => '/v1/chat/completions', [ 'Content-Type' => 'application/json' ], $json->encode({ model => 'hang', messages => [ { role => 'user', content => 'x' } ] }));
    eventually { grep $_->{body} =~ /"hang"/, $roles->model->requests } 'a model thinks';
    $c->close;
    eventually { grep $_ eq 'left', $roles->model->notes } 'and is told when nobody waits for it';
}

{
    my $c = $t->client;
    $c->send_request(POST => '/v1/chat/completions', [ 'Content-Type' => 'application/json' ], $json->encode({ model => 'endless', stream => JSON::PP::true, messages => [ { role => 'user', content => 'x' } ] }));
    is $c->head->{status}, 200, 'a stream without an end';
    $c->chunk for 1 .. 10;
    $c->close;
    eventually { grep $_ eq 'stopped', $roles->model->notes } 'ends when the client leaves';
}

{
    # what is large is shaped and sealed in threads
    my $body = $json->encode({ model => 'm', messages => [ { role => 'user', content => 'z' x 1_000_000 } ] });
    my @c = map $t->client, 1 .. 20;
    $_->send_request(POST => '/v1/chat/completions', [ 'Content-Type' => 'application/json' ], $body) for @c;
    $_->close for @c;
    is $roles->chat(messages => [ { role => 'user', content => 'z' x 1_000_000 } ])->{status}, 200, 'clients leave while their requests are sealed';
}

{
    # nobody reads: the model has to wait
    my $c = $t->client;
    my $rss = sub { slurp('/proc/' . $t->pid . '/statm') =~ /^\d+ (\d+)/ ? $1 * 4096 : 0 };
    my $before = $rss->();
    $c->send_request(POST => '/v1/chat/completions', [ 'Content-Type' => 'application/json' ], $json->encode({ model => 'endless-2', stream => JSON::PP::true, messages => [ { role => 'user', content => 'x' } ] }));
    is $c->head->{status}, 200, 'a client that does not read';
    my $n = 0;
    wait_until { my $now = $rss->(); my $same = $now == ($n // 0); $n = $now; $same } 5;
    # what sanitizers keep of freed memory counts, too
    cmp_ok $rss->() - $before, '<', 8 * 1024 * 1024 * ($ENV{TEE_SANITIZE} ? 20 : 1), 'takes no memory';
    is $roles->chat->{status}, 200, 'and others are served';
    $c->close;
}

# -- the TEE

problem($roles->chat(path => '/pinned/chat/completions', headers => [ 'X-TEE' => '0x' . '1' x 64 ]), 503, 'unknown_tee', 'a TEE that is not listed');
problem($roles->chat(path => '/pinned/chat/completions', headers => [ 'X-TEE' => 'one' ]), 503, 'unknown_tee', 'no TEE');
is $roles->chat(path => '/pinned/chat/completions', headers => [ 'X-TEE' => $tee->{id} ])->{status}, 200, 'a TEE by its id';
is $roles->chat(path => '/pinned/chat/completions')->{status}, 200, 'any, without one';

# -- credentials

my $auth = sub {
    my ($path, @headers) = @_;
    $roles->evil->forget;
    my $r = $roles->chat(path => "$path/chat/completions", headers => [ Authorization => 'Bearer secret', @headers ]);
    my ($sent) = $roles->evil->requests;
    return $r->{status} == 200 && $sent->{head} =~ /^authorization: (.*)\r$/mi ? $1 : $r->{status} . ' ' . ($r->json->{reason} // '');
};

is $auth->('/auth'), 'Bearer secret-token', 'a credential for the relay';
is $auth->('/auth/bad'), '401 no_credential', 'one that is none';
is $auth->('/auth/none'), '401 no_credential', 'none';
is $auth->('/auth/var', 'X-Token' => 'abc'), 'Bearer abc', 'from a variable';
is $auth->('/auth/var'), '401 no_credential', 'that is empty';
is $auth->('/auth/var', 'X-Token' => 'a b'), '401 no_credential', 'or has blanks';
$t->write('token', "another-token\n");
eventually { $auth->('/auth') eq 'Bearer another-token' } 'a file that changes is read again';
unlink $t->dir . '/token';
eventually { $auth->('/auth') eq '401 no_credential' } 'one that goes is missed';
$t->write('token', 'third');
eventually { $auth->('/auth') eq 'Bearer third' } 'and one that comes back is read';
is $t->logged(qr/no credential in "[^"]*nothing"/), 1, 'this is said once';

# -- around it

$roles->evil->forget;
$r = $roles->chat(path => '/away/chat/completions?a=b', headers => [ 'X-Mine' => 'kept' ]);
($sent) = $roles->evil->requests;
like $sent->{head}, qr{^x-seen: POST /away/chat/completions a=b\r$}mi, 'a named location sees the request as it was';
like $sent->{head}, qr/^x-mine: kept\r$/mi, 'an error page sees the request as it was';
unlike $sent->{head}, qr/^(?:x-tee-id|content-type: message)/mi, 'and nothing of the sealed one';
$roles->evil->forget;
$roles->chat(path => '/page/chat/completions?a=b', headers => [ Authorization => 'mine' ]);
($sent) = $roles->evil->requests;
is $sent->{body}, '', 'without content';
like $sent->{head}, qr{^x-seen: GET /page/chat/completions\?a=b /error\.html\r$}mi, 'by another location as well';
like $sent->{head}, qr/^authorization: mine\r$/mi, 'with its fields';
$roles->evil->forget;
is $roles->chat(path => '/asking', headers => [ Cookie => 'secret' ])->{status}, 403, 'a subrequest is not sealed';
is scalar(my @asked = $roles->evil->requests), 0, 'and does not leave';

problem($roles->chat(path => '/gzip/chat/completions', model => 'status-500'), 500, 'relay_error', 'errors through other filters');
$r = $roles->chat(path => '/gzip/chat/completions', model => 'big-1000', headers => [ 'Accept-Encoding' => 'gzip' ]);
is_deeply [ $r->{status}, scalar $r->header('content-encoding'), scalar $r->header('x-added') ], [ 200, 'gzip', 'yes' ], 'other filters see the plain answer';

$r = $t->get('/v1/models');
is_deeply $r->json, { object => 'list', data => [ map +{ id => $_, object => 'model', created => 0, owned_by => 'opengradient' }, 'gpt-4o', 'a"b' ] }, 'models';
$r = $t->get('/health');
is_deeply [ $r->{status}, $r->json ], [ 200, { status => 'ok', verified_inference => JSON::PP::false, active_tee_id => $tee->{id}, active_tee_endpoint => $tee->{endpoint} } ], 'health';
is $t->post('/health', undef, '')->{status}, 405, 'by GET only';
is $t->request(HEAD => '/v1/models')->{body}, '', 'or HEAD';

like slurp($t->dir . '/logs/client.log'), qr{^200 POST /v1/chat/completions - \Q$tee->{id}\E }m, 'logs are about the request as it was';
unlike $t->log, qr/"hi"|secret/, 'nothing of what was said is in the log';
my $counters = $t->status->{counters}{client} // {};
cmp_ok $counters->{$_} // 0, '>', 0, "counted: $_" for qw(requests sealed opened bad_request no_tee no_credential relay_errors broken);

$t->finish;
done_testing;
