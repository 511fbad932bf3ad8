#!/usr/bin/perl
# Our client role, and who did not write it: a gateway as OpenGradient's, of
# pyhpke and cryptography, behind our relay; and one of RFC 9458 on the ohttp
# crate of Rust.  That our own gateway opens what foreign clients seal is in
# sdk_gateway.t (OpenGradient's SDK) and gateway.t (the crate, and @hpke/core).

use FindBin;
use lib "$FindBin::Bin/../lib";
use Tee::Test;

use IPC::Open2;
use JSON::PP;
use Tee::Enclave;
use Tee::Util qw(build_dir);

my $json = JSON::PP->new->utf8->canonical;
my $gateway = build_dir() . '/interop/rust/release/rust-gateway';
my $python = build_dir() . '/interop/python/bin/python';

-x $_ or BAIL_OUT('run t/interop/setup first') for $gateway, $python;

my $made = Tee::Enclave::make_keys(scratch());
my @pids;

sub peer {
    my $pid = open2(my $out, my $in, @_);
    my $line = readline $out // die "$_[0] does not start\n";
    push @pids, [ $pid, $in, $out ];
    return split ' ', $line;
}

my ($py) = peer($python, root() . '/t/interop/recipient.py', @{$made}{qw(cert key hpke_key signing_key)});
my ($rust, $config) = peer($gateway);

# from one that signs with another key, too
my $entry = Tee::Enclave::entry("https://127.0.0.1:$py", %$made);
my $other = Tee::Enclave::entry("https://127.0.0.1:$py", %$made, signing_key => (Tee::Cert::signing_key('two'))[0]);

my $t = Tee::Nginx->new(
    files => { 'tees.json' => $json->encode({ tees => [$entry] }), 'other.json' => $json->encode({ tees => [$other] }),
        keys => pack('n/a', pack 'H*', $config) },
    vars => { rust => $rust }, http => <<'CONF');
    tee_registry og { file tees.json; allow_private on; }
    tee_registry other { file other.json; allow_private on; }
    upstream tee { tee_peers og id=$http_x_tee_id; }
    upstream others { tee_peers other id=$http_x_tee_id; }
    tee_client_target https://api.example;
    log_format cost '$status $tee_relay_cost_opg';
    server {
        listen 127.0.0.1:%%PORT_relay%%;
        access_log %%DIR%%/logs/relay.log cost;
        location = /relay { tee_relay on; proxy_pass https://tee/v1/ohttp; }
        location = /others { tee_relay on; proxy_pass https://others/v1/ohttp; }
    }
    server {
        listen 127.0.0.1:%%PORT_http%%;
        location /hold/ { tee_client og; tee_verify on; proxy_pass http://127.0.0.1:%%PORT_relay%%/relay; }
        location /stream/ { tee_client og; tee_verify on; tee_verify_mode stream; proxy_pass http://127.0.0.1:%%PORT_relay%%/relay; }
        location /bare/ { tee_client og; proxy_pass http://127.0.0.1:%%PORT_relay%%/relay; }
        location /other/ { tee_client other; tee_verify on; proxy_pass http://127.0.0.1:%%PORT_relay%%/others; }
        location /whole/ { tee_client keys_file=%%DIR%%/keys; tee_client_pass_header Content-Type X-Mine; proxy_pass http://127.0.0.1:%%rust%%; }
        location /chunked/ { tee_client keys_file=%%DIR%%/keys chunked; tee_client_pass_header Content-Type X-Mine; proxy_pass http://127.0.0.1:%%rust%%; }
    }
CONF

# -- OpenGradient's gateway

sub chat {
    my ($where, $text, %more) = @_;
    return $t->post("/$where/v1/chat/completions", 'application/json', $json->encode({ model => 'a/m', messages => [ { role => 'system', content => "\x{fc}" },
        { role => 'user', content => $text } ], %more }));
}

my @stream = (stream => JSON::PP::true);
my $unicode = "\x{20ac}\x{1f600} \x{2028}\x{85} \"q\" \\ \x{fc}";

# the text, or the arguments of a call

sub text {
    my ($r) = @_;
    my @parts = map { $_->{choices} ? $_->{choices}[0] : () } ($r->{body} =~ /\Adata: /
        ? (map eval { $json->decode(s/^data: //r) } // {}, split /\n\n/, $r->{body}) : $r->json);
    return join '', map { my $d = $_->{delta} // $_->{message} // {}; $d->{content} // '', map $_->{function}{arguments}, @{ $d->{tool_calls} // [] } } @parts;
}

for my $mode (qw(hold stream)) {
    for my $text ('Hello!', $unicode, '', "long $unicode", 'envelope', 'no-bill') {
        my $name = $text eq $unicode ? 'unicode' : $text =~ /^(\S+)/ ? $1 : 'nothing';
        my $want = "You said: $text" . ($text =~ /long/ ? ' more' x 5000 : '');
        my $r = chat($mode, $text);
        ok $r->{status} == 200 && $r->header('x-tee-verified') eq 'true' && text($r) eq $want, "$mode: whole, $name" or diag $r->{head}, substr $r->{body}, 0, 500;
        $r = chat($mode, $text, @stream);
        ok $r->{status} == 200 && !$r->{cut} && text($r) eq $want && $r->{body} =~ /\[DONE\]\n\n\z/, "$mode: stream, $name" or diag $r->{head}, substr $r->{body}, 0, 500;
    }

    for my $stream ([], \@stream) {
        my $r = chat($mode, 'tool', @$stream, tools => [ { type => 'function', function => { name => 'weather', parameters => { x => 1.5 } } } ], temperature => 0, max_tokens => 3,
            stop => ['x'], user => 'u', n => 1);
        is text($r), "{\"at\": \"Z\\u00fcrich\"}", "$mode: a call" or diag $r->{head}, $r->{body};
    }

    problem(chat($mode, 'plain-503', @$_), 503, 'relay_error', "$mode: a plain error") for [], \@stream;
    my $r = chat($mode, 'error');
    is $r->{status}, 400, "$mode: a sealed error" or diag $r->{head}, $r->{body};
    $r = chat($mode, 'fail', @stream);
    $mode eq 'hold' ? problem($r, 502, 'unsigned', "$mode: a stream that fails") : ok($r->{cut}, "$mode: a stream that fails");
}

is text(chat('bare', 'Hello!', @$_)), 'You said: Hello!', 'without a signature being checked' for [], \@stream;
problem(chat('other', 'Hello!', @$_), 502, 'tee_id', 'signed by another than the registry says') for [], \@stream;
ok wait_until { (() = $t->read('logs/relay.log') =~ /^200 5$/mg) >= 16 }, 'the relay has read what the streams cost';

# -- the ohttp crate

for my $form (qw(whole chunked)) {
    for my $size (0, 1, 5000, 100_000) {
        my $body = 'y' x $size;
        my $r = $t->request(PUT => "/$form/echo?q", [ 'Content-Type' => 'text/plain', 'X-Mine' => 'mine', 'X-Other' => 'hidden' ], $body);
        is_deeply [ @{$r}{qw(status body)}, scalar $r->header('x-rust'), scalar $r->header('content-type') ],
            [ 200, "PUT api.example/$form/echo?q mine $body", 'yes', 'text/plain' ], "rust, $form: $size bytes" or diag $r->{head};
        $r = $t->get("/$form/big-$size");
        ok $r->{status} == 200 && $r->{body} eq 'x' x $size && !$r->{cut}, "rust, $form: an answer of $size bytes";
    }

    is $t->get("/$form/status-$_")->{status}, $_, "rust, $form: $_" for 201, 404, 429, 500;
}

my $c = $t->client;
$c->send_request(GET => '/chunked/live');
is $c->head->{status}, 200, 'rust: an answer begins';
is $c->chunk, 'one', 'and comes';
is Tee::Http::request($rust, GET => '/go')->{status}, 204, 'before it';
is $c->chunk, 'two', 'goes on';
is $c->chunk, '', 'to its end';
my $r = $t->get('/chunked/cut');
ok $r->{cut} || $r->{status} == 502, 'rust: without the final chunk nothing looks complete';

close $_->[1] for @pids;
waitpid $_->[0], 0 for @pids;
$t->finish;
done_testing;
