#!/usr/bin/perl
# What the relay takes, what it refuses, and what a TEE gets to see of it.

use FindBin;
use lib "$FindBin::Bin/lib";
use Tee::Test;

my $one = tee('one');
my $sees = $one->{upstream};

# knows its relays

my $relay_cert = Tee::Cert->new(name => 'relay.test');
my $known = tee('known', tls => { SSL_verify_mode => 3, SSL_ca_file => $relay_cert->{file}, SSL_verify_callback => sub { 1 } });

my $http2 = Tee::Nginx::version() >= 1.025001 ? '; http2 on' : ' http2';
my $t = Tee::Nginx->new(
    files => {
        'tees.json' => tees($one), 'known.json' => tees($known),
        'relay.pem' => $relay_cert->{pem}, 'relay.key' => $relay_cert->{key},
    },
    vars => { http2 => $http2 },
    http => <<'CONF');
    tee_registry og { file tees.json; allow_private on; }
    tee_registry known { file known.json; allow_private on; }
    upstream known { tee_peers known; }
    upstream tee { tee_peers og id=$http_x_tee_id; keepalive 8; }
    proxy_ssl_protocols TLSv1.2 TLSv1.3;
    log_format relay '$status $tee_error';
    access_log logs/relay.log relay;
    server {
        listen 127.0.0.1:%%PORT_http%%;
        location = /ohttp { tee_relay on; proxy_pass https://tee/v1/ohttp; }
        location = /paid {
            tee_relay on;
            tee_relay_pass_header PAYMENT-SIGNATURE X-PAYMENT;
            proxy_pass https://tee/v1/ohttp;
        }
        location = /small { tee_relay on; tee_relay_max_body 1k; proxy_pass https://tee/v1/ohttp; }
        location = /bearer {
            tee_relay on;
            proxy_set_header Authorization "Bearer relay-credential";
            proxy_pass https://tee/v1/ohttp;
        }
        location /deep/ { tee_relay on; proxy_pass https://tee/v1/ohttp; }
        location = /limited { tee_relay on; proxy_pass https://tee/v1/ohttp; limit_except POST { deny all; } }
        location = /denied { tee_relay on; proxy_pass https://tee/v1/ohttp; deny all; }
        location = /cert {
            tee_relay on;
            proxy_ssl_certificate relay.pem; proxy_ssl_certificate_key relay.key;
            proxy_pass https://known/v1/ohttp;
        }
        location = /off { proxy_pass https://tee/v1/ohttp; }
        location /tee/status { tee_status; }
    }
    server {
        listen 127.0.0.1:%%PORT_h2%%%%http2%%;
        location = /ohttp { tee_relay on; proxy_pass https://tee/v1/ohttp; }
    }
CONF

my @id = ('X-TEE-ID' => $one->{id});
my $type = 'message/ohttp-req';
my $sealed = join '', map chr, 0 .. 255;

sub relay { my ($path, $body, %headers) = @_; return $t->post($path, $type, $body, [ @id, %headers ]) }

# taken

my $r = relay('/ohttp', $sealed);
is $r->{status}, 200, 'a sealed request is relayed';
is $r->{body}, $sealed, 'the response comes back byte for byte';
is $r->header('content-type'), 'message/ohttp-res', 'with its type';
is +($sees->requests)[0]{body}, $sealed, 'the TEE gets the request byte for byte';
is +($sees->requests)[0]{method}, 'POST', 'by POST';
is +($sees->requests)[0]{path}, '/v1/ohttp', 'at the URI of proxy_pass';

for my $type ('message/ohttp-chunked-req', 'Message/OHTTP-Req', 'message/ohttp-req; a=b', 'message/ohttp-req ;a="b"') {
    is $t->post('/ohttp', $type, 'x', \@id)->{status}, 200, "the type $type is taken";
}

# refused

for my $method (qw(GET HEAD PUT DELETE OPTIONS PATCH)) {
    my $r = $t->request($method => '/ohttp', [ @id, 'Content-Type' => $type ]);
    is $r->{status}, 405, "$method is not allowed";
    is $r->header('allow'), 'POST', "$method: but POST is";
}

problem($t->get('/ohttp', \@id), 405, 'method', 'a wrong method is a problem');
problem($t->post('/ohttp', undef, 'x', \@id), 415, 'media_type', 'no type is a problem');

for my $type ('message/ohttp-res', 'message/ohttp-reqs', 'message/ohttp', 'application/json', 'text/plain; message/ohttp-req') {
    problem($t->post('/ohttp', $type, 'x', \@id), 415, 'media_type', "the type $type is a problem");
}

problem(relay('/ohttp', ''), 400, 'no_content', 'an empty body is a problem');
problem(relay('/small', 'x' x 1025), 413, 'too_large', 'a body over the limit is a problem');
is relay('/small', 'x' x 1024)->{status}, 200, 'a body at the limit is not';
problem(relay('/ohttp', 'x', 'Early-Data' => 1), 425, 'early_data', 'early data is refused');
is relay('/ohttp', 'x', 'Early-Data' => 0)->{status}, 200, 'but not by any other value of the field';

{
    my $c = $t->client;
    $c->send("POST /ohttp HTTP/1.1\r\nHost: a\r\nX-TEE-ID: $one->{id}\r\nContent-Type: $type\r\n"
        . "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
    is $c->response->{status}, 400, 'an empty chunked body is refused';
}

{
    my $c = $t->client;
    $c->send("POST /small HTTP/1.1\r\nHost: a\r\nX-TEE-ID: $one->{id}\r\nContent-Type: $type\r\n"
        . "Transfer-Encoding: chunked\r\n\r\n800\r\n" . 'x' x 2048 . "\r\n0\r\n\r\n");
    is $c->response->{status}, 413, 'a chunked body over the limit is refused';
}

{
    my $c = $t->client;
    $c->send("POST /ohttp HTTP/1.1\r\nHost: a\r\nX-TEE-ID: $one->{id}\r\nContent-Type: $type\r\n"
        . "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
    is $c->response->{body}, 'abcde', 'a chunked body is relayed';
}

problem($t->post('/ohttp', $type, 'x', [ 'X-TEE-ID' => '0x' . 'ab' x 32 ]), 404, 'unknown_tee', 'an unknown TEE is a problem');

# privacy: nothing that tells who asks

$sees->forget;
my %tell = (
    'Cookie' => 'secret-1', 'User-Agent' => 'secret-2', 'X-Forwarded-For' => 'secret-3', 'Forwarded' => 'for=secret-4',
    'Via' => '1.1 secret-5', 'Traceparent' => '00-secret-6', 'Accept-Language' => 'secret-7', 'Authorization' => 'secret-8',
    'X-Real-IP' => 'secret-9', 'Referer' => 'secret-10', 'Origin' => 'secret-11', 'X-Request-ID' => 'secret-12',
    'X-PAYMENT' => 'secret-13', 'Proxy-Authorization' => 'secret-14', 'From' => 'secret-15', 'DNT' => 'secret-16',
    'Tracestate' => 'secret-17', 'Baggage' => 'secret-18', 'X-Custom' => 'secret-19', 'Accept-Encoding' => 'secret-20',
    'If-None-Match' => 'secret-21', 'Range' => 'bytes=0-1', 'Sec-Fetch-Site' => 'secret-22', 'Priority' => 'secret-23',
    'CF-Connecting-IP' => 'secret-24', 'X-TEE-ID' => $one->{id}, 'Host' => 'secret-25.test', 'Date' => 'secret-26',
    'X_Under_Score' => 'secret-27', 'Upgrade' => 'secret-28', 'TE' => 'trailers', 'Expect-CT' => 'secret-29',
);
is $t->post('/ohttp?secret-30', $type, $sealed, [%tell])->{status}, 200, 'a request that tells much is relayed';
my ($seen) = $sees->requests;
unlike $seen->{head}, qr/secret|127\.0\.0\.1:\d+\r\n(?!.*Host)/i, 'and nothing of it reaches the TEE';

my @names = sort map lc, $seen->{head} =~ /^([^:\r\n]+):/mg;
my %allowed = map { $_ => 1 } qw(host content-type content-length connection accept);
is_deeply [ grep !$allowed{$_}, @names ], [], 'the request has only fields of the allow-list';

$sees->forget;
my $plain = relay('/ohttp', $sealed) && ($sees->requests)[-1]{head};
is $seen->{head}, $plain, 'it is the same as that of a client who tells nothing';

# the same request by another client, with other habits

{
    my @habits = (
        [ 'other spelling and order' => "POST /ohttp HTTP/1.1\r\ncontent-LENGTH: 256\r\nCONTENT-type: $type\r\nx-tee-id: $one->{id}\r\nHOST: b\r\n" ],
        [ 'another order' => "POST /ohttp HTTP/1.1\r\nContent-Type: $type\r\nX-TEE-ID: $one->{id}\r\nContent-Length: 256\r\nHost: a\r\n" ],
        [ 'parameters of the type' => "POST /ohttp HTTP/1.1\r\nHost: a\r\nContent-Type: $type; id=secret\r\nContent-Length: 256\r\nX-TEE-ID: $one->{id}\r\n" ],
        [ 'what it accepts' => "POST /ohttp HTTP/1.1\r\nHost: a\r\nAccept: secret/x, */*;q=0.3\r\nContent-Type: $type\r\nContent-Length: 256\r\nX-TEE-ID: $one->{id}\r\n" ],
        [ 'HTTP/1.0' => "POST /ohttp HTTP/1.0\r\nContent-Type: $type\r\nContent-Length: 256\r\nX-TEE-ID: $one->{id}\r\n" ],
        [ 'a field twice' => "POST /ohttp HTTP/1.1\r\nHost: a\r\nX-OHTTP-Stream: secret\r\nIncremental: secret\r\nContent-Type: $type\r\nContent-Length: 256\r\nX-TEE-ID: $one->{id}\r\n" ],
    );

    for my $habit (@habits) {
        my $c = $t->client;
        $c->send("$habit->[1]\r\n$sealed");
        is $c->response->{status}, 200, "a client with habits of its own: $habit->[0]";
        is +($sees->requests)[-1]{head}, $plain, "looks like all others: $habit->[0]";
    }

    my $file = $t->write('sealed', $sealed);
    my $out = qx{nghttp -H 'content-type: $type' -H 'x-tee-id: $one->{id}' -H 'user-agent: secret' -d $file http://127.0.0.1:@{[ $t->port('h2') ]}/ohttp};
    is $out, $sealed, 'HTTP/2 is relayed';
    is +($sees->requests)[-1]{head}, $plain, 'and looks like all others';

    is relay('/deep/secret/path', $sealed)->{status}, 200, 'a longer path is relayed';
    is +($sees->requests)[-1]{head}, $plain, 'but not told';
}

# what is meant to pass

is relay('/ohttp', 'x', 'X-OHTTP-Stream' => 'true', Incremental => '?1', Accept => 'message/ohttp-chunked-res')->{status}, 200,
    'a request for a stream';
my $stream = ($sees->requests)[-1]{head};
unlike $stream, qr/^x-ohttp-stream:/mi, 'keeps X-OHTTP-Stream, which is for the relay';
like $stream, qr/^incremental: \?1\r$/mi, 'passes Incremental';
like $stream, qr{^accept: message/ohttp-chunked-res\r$}mi, 'and what it accepts';

$sees->forget;
relay('/paid', 'x', 'Payment-Signature' => 'a b,c==', 'X-PAYMENT' => 'p1', Cookie => 'secret');
($seen) = $sees->requests;
like $seen->{head}, qr/^payment-signature: a b,c==\r$/mi, 'a field of tee_relay_pass_header passes untouched';
like $seen->{head}, qr/^x-payment: p1\r$/mi, 'and so does another';
unlike $seen->{head}, qr/secret/, 'and only those';

$sees->forget;
relay('/bearer', 'x', Authorization => 'Bearer client');
($seen) = $sees->requests;
is_deeply [ $seen->{head} =~ /^authorization: (.*)\r$/mig ], ['Bearer relay-credential'],
    "the relay's own credential passes, the client's does not";

is relay('/cert', 'x')->{status}, 200, 'the relay may show a certificate';
like +($known->{upstream}->connections)[-1]{client_cert} // '', qr/relay\.test/, 'which the TEE sees';

problem(relay('/denied', 'x'), 403, 'http_error', 'access control comes first');
is relay('/limited', 'x')->{status}, 200, 'and may let requests pass';

# the log

wait_until { $t->read('logs/relay.log') =~ /unknown_tee/ };
like $t->read('logs/relay.log'), qr/^404 unknown_tee$/m, '$tee_error has the reason';
like $t->read('logs/relay.log'), qr/^200 -$/m, 'and is empty for what went well';

my $relay = $t->status->{counters}{relay};
cmp_ok $relay->{requests}, '>=', 10, 'requests are counted';
cmp_ok $relay->{$_}, '>=', 1, "refusals are counted: $_" for qw(method media_type no_content early_data);

$t->finish;
done_testing;
