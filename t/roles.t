#!/usr/bin/perl
# All roles with a chain: curl asks a client, which finds the enclave in a
# contract, through a relay, a gateway that signs, a model.  Then each link on
# the way is attacked: in the mode "hold" an application sees nothing of a bad
# answer, in the mode "stream" no end of it.
#
# What a relay can do to bytes is in client_attack.t, case by case; who signs
# what, in verify.t and client_verify.t.

use FindBin;
use lib "$FindBin::Bin/lib";
use Tee::Test;

use JSON::PP;
use Tee::Model;
use Tee::Ohttp;
use Tee::Roles;
use Tee::Signed;

my $json = JSON::PP->new->utf8->canonical;
my ($sign) = Tee::Cert::signing_key('one');
my ($foreign) = Tee::Cert::signing_key('two');
my $m = Tee::Model->new;
my $ca = Tee::Cert->new(name => 'ca', ca => 1);
my $mark = "\n--opengradient-ohttp-billing-v1--\n";
my $thief = Tee::Ohttp::keygen();
my $dir = scratch();

# -- a relay that is not to be trusted: asks the gateway by itself

sub chunks {
    my ($bytes) = @_;
    my @parts = substr $bytes, 0, 32, '';

    while (length $bytes) {
        if ($bytes =~ /\A\Q$mark/) {
            push @parts, substr $bytes, 0, length($mark) + 4 + unpack('N', substr $bytes, length $mark, 4), '';
            next;
        }

        my $n = ord $bytes;
        my $head = 1;
        if ($n >= 64) { $n = unpack('n', $bytes) & 0x3fff; $head = 2 }
        push @parts, $n ? substr $bytes, 0, $head + $n, '' : substr $bytes, 0, length $bytes, '';
    }

    return @parts;
}

# the chunks of a stream, without the nonce, and its bill

my %stream = (
    honest => sub { my ($bill, @c) = @_; @c },
    'last chunk dropped' => sub { my ($bill, @c) = @_; @c[ 0 .. $#c - 1 ] },
    'last two dropped' => sub { my ($bill, @c) = @_; @c[ 0 .. $#c - 2 ] },
    'chunks in another order' => sub { my ($bill, @c) = @_; @c[ 0, 2, 1, 3 .. $#c ] },
    'a chunk left out' => sub { my ($bill, @c) = @_; @c[ 0, 2 .. $#c ] },
    'a chunk twice' => sub { my ($bill, @c) = @_; @c[ 0, 1, 1 .. $#c ] },
    'billing left in' => sub { my ($bill, @c) = @_; (@c[ 0 .. $#c - 1 ], $bill, $c[-1]) },
    'billing left in and the end cut' => sub { my ($bill, @c) = @_; (@c[ 0 .. $#c - 1 ], $bill) },
    'billing cut too short' => sub { my ($bill, @c) = @_; (@c[ 0 .. $#c - 1 ], substr($bill, -1), $c[-1]) },
    'billing cut too far' => sub { my ($bill, @c) = @_; (@c[ 0 .. $#c - 1 ], substr $c[-1], 1) },
    'billing cut with the end of a chunk' => sub { my ($bill, @c) = @_; (@c[ 0 .. $#c - 2 ], substr($c[-2], 0, -1), $c[-1]) },
);
my @attacks = grep $_ ne 'honest', sort keys %stream;

sub relay {
    my ($conn, $request) = @_;
    my (undef, $port, $what, $name) = split m{/}, $request->{path};
    $name = ($name // '') =~ s/_/ /gr;

    return $conn->respond('200 OK', [ 'Content-Type' => 'application/json' ], $json->encode(Tee::Model::answer('forged'))) if $what eq 'plain';
    return $conn->respond('200 OK', [ 'Content-Type' => 'text/event-stream' ], join '', Tee::Model::events(['forged'])) if $what eq 'events';

    # sealed to a key that somebody has put into the list
    if ($what eq 'thief') {
        my ($text, $c) = Tee::Ohttp::open_request({ 1 => $thief }, $request->{body});
        return $conn->respond('400 Bad', [], '') unless defined $text;
        $conn->note("opened $text");
        my $key = Crypt::PK::RSA->new($foreign);
        my $answer = Tee::Signed::attach($key, 'chat', $text, Tee::Json::parse($json->encode(Tee::Model::answer('forged'))));

        if ($text =~ /"stream": true/) {
            my $write = Tee::Ohttp::chunk_writer($c);
            my @events = Tee::Model::events(['forged ', 'too']);
            return $conn->respond('200 OK', [ 'Content-Type' => 'message/ohttp-chunked-res' ], join '', map($write->($_), @events), $write->('', 1));
        }

        return $conn->respond('200 OK', [ 'Content-Type' => 'message/ohttp-res' ], Tee::Ohttp::seal_response($c, $answer));
    }

    my $r = Tee::Http::request($port, POST => '/v1/ohttp', [ 'Content-Type' => 'message/ohttp-req' ], $request->{body}, tls => 1);
    my $type = $r->header('content-type');
    my $body = $r->{body};

    if ($type eq 'message/ohttp-chunked-res') {
        my ($nonce, @c) = chunks($body);
        my ($bill) = grep /\A\Q$mark/, @c;
        $conn->note('no bill') unless $bill;
        $body = join '', $nonce, $stream{ $what eq 'stream' ? $name : 'honest' }->($bill // '', grep !/\A\Q$mark/, @c);
    }

    # an answer to somebody, for all others
    if ($what eq 'swap') {
        my $file = "$dir/swap-$name";
        spew($file, $body) unless -e $file;
        $body = slurp($file);
    }

    return $conn->respond("$r->{status} X", [ 'Content-Type' => $type ], $body);
}

# who publishes keys

my $keys = Tee::Upstream->new(name => 'keys', cert => Tee::Cert->new(name => 'keys.test', issuer => $ca, addresses => ['127.0.0.1']), handler => sub {
    return $_[0]->respond('200 OK', [ 'Content-Type' => 'application/ohttp-keys' ], pack 'n/a', Tee::Ohttp::key_config(Tee::Ohttp::public_key($thief), 1, 3));
});

# -- who is there

sub locations {
    my ($mode) = @_;
    my %to = (v1 => '%%relay%%', map { $_ => '%%evil%%/%%PORT_gw' . (/signer/ ? '_other' : '') . '%%/' . tr/ /_/r } qw(honest plain events signer swap/1 swap/2), map "stream/$_", @attacks);
    return map "location /$mode/" . tr/ /_/r . "/ { tee_client og; tee_verify on; tee_verify_mode $mode; proxy_pass http://$to{$_}; }\n", sort keys %to;
}

my $roles = Tee::Roles->new(
    stopped => 1,
    registry => '%%evm%% max_block_age 0; refresh 1s; refresh_min 100ms;',
    files => { 'sign.key' => slurp($sign), 'other.key' => slurp($foreign), 'ca.pem' => $ca->{pem}, 'sign.pem' => Crypt::PK::RSA->new($sign)->export_key_pem('public_x509') },
    vars => { llm => $m->port, keys => $keys->port },
    model => sub { return $_[0]->respond('404 Not Found', [], '') },
    gateway => 'location = /v1/chat/completions { tee_sign one; proxy_pass http://127.0.0.1:%%llm%%; proxy_http_version 1.1; proxy_buffering off; }',
    http => <<'CONF',
    tee_sign_key one sign.key;
    tee_sign_key other other.key;
    server {
        listen 127.0.0.1:%%PORT_gw_other%% ssl;
        ssl_certificate gw.pem; ssl_certificate_key gw_tls.key;
        location = /v1/ohttp { tee_gateway gw profile=opengradient; }
        location = /v1/chat/completions { tee_sign other; proxy_pass http://127.0.0.1:%%llm%%; proxy_http_version 1.1; proxy_buffering off; }
    }
CONF
    relay => \&relay,
    client => join('', map(locations($_), qw(hold stream)), <<'CONF'),
        location /hold/keys/ { tee_client keys=https://127.0.0.1:%%keys%%/ trusted=ca.pem profile=opengradient; tee_verify key=sign.pem; proxy_pass http://%%evil%%/0/thief; }
        location /stream/keys/ { tee_client keys=https://127.0.0.1:%%keys%%/ trusted=ca.pem profile=opengradient; tee_verify key=sign.pem; tee_verify_mode stream; proxy_pass http://%%evil%%/0/thief; }
CONF
);

my ($t, $tee) = ($roles->nginx, $roles->tee);
my $evm = Tee::Evm->new(layout => 'v2', tees => [ { %$tee, hpkeKey => $t->dir . '/gw.key', keyId => 1 } ]);

$t->{vars}{evm} = $evm->conf;
$t->start;
eventually { ($t->registry_status->{tees} // 0) == 1 } 'the enclave is found in the contract';

# -- the main path

my @words = map "word$_ ", 1 .. 6;
my $text = join '', @words;
my %bill = (more => { opengradient => { cost_opg => '5', cost_usd => '0.1', opg_price_usd => '2' } });
my $whole = $m->whole(Tee::Model::encode(Tee::Model::answer($text, %bill)));
my $stream = $m->stream([ Tee::Model::events(\@words, %bill) ]);

sub said {
    my ($r) = @_;
    my @parts = map { $_->{choices} && $_->{choices}[0] ? $_->{choices}[0] : () } $r->{body} =~ /\Adata: /
        ? (map eval { $json->decode(s/^data: //r) } // {}, split /\n\n/, $r->{body}) : $r->json;
    return join '', map +($_->{delta} // $_->{message} // {})->{content} // '', @parts;
}

for my $mode (qw(hold stream)) {
    for my $way (qw(v1 honest)) {
        my $r = $roles->chat(path => "/$mode/$way/chat/completions", model => $whole);
        is_deeply [ $r->{status}, scalar $r->header('x-tee-verified'), scalar $r->header('x-tee-id'), said($r) ], [ 200, 'true', $tee->{id}, $text ], "$mode: $way, whole"
            or diag $r->{head}, $r->{body}, $t->log;
        $r = $roles->chat(path => "/$mode/$way/chat/completions", model => $stream, stream => 1);
        is_deeply [ $r->{status}, scalar $r->header('x-tee-verified'), said($r), $r->{cut} ], [ 200, $mode eq 'hold' ? 'true' : 'pending', $text, undef ], "$mode: $way, stream"
            or diag $r->{head}, $r->{body};
        like $r->{body}, qr/tee_signature.*\[DONE\]\n\n\z/s, "$mode: $way, to its end";
    }
}

my $file = $t->write('q.json', $json->encode({ model => $stream, stream => JSON::PP::true, messages => [ { role => 'user', content => 'Hello!' } ] }));
my $curl = `curl -sN -D- -H 'Content-Type: application/json' --data-binary \@$file http://127.0.0.1:@{[ $t->port ]}/hold/v1/chat/completions`;
like $curl, qr/^X-TEE-Verified: true\r$/m, 'curl: verified';
like $curl, qr/^X-TEE-Id: $tee->{id}\r$/m, 'curl: by the enclave of the contract';
is +(() = $curl =~ /word\d /g), 6, 'curl: an answer';
ok !grep($_ eq 'no bill', $roles->evil->notes), 'the gateway sends a bill';

# -- the links, attacked

# nothing of what was said, and an error; or what was said, without an end

sub refused {
    my ($r, $mode, $name, @reasons) = @_;
    my $reason = $r->json->{reason} // '';
    my $stopped = $mode eq 'stream' && $r->{status} == 200;

    ok $stopped ? $r->{cut} : $r->{status} == 502 && (grep $_ eq $reason, @reasons), "$mode: $name" or diag $r->{head}, $r->{body};

    if ($stopped) {
        ok index($text, said($r)) == 0 && $r->{body} !~ /forged|finish_reason":"|\[DONE\]|tee_sig|billing|cost_opg/, "$mode: $name: no end, and nothing else" or diag $r->{body};

    } else {
        unlike "$r->{head}$r->{body}", qr/word\d|forged|tee_sig|billing|choices/, "$mode: $name: nothing of it";
    }

    return;
}

sub attack {
    my ($path, $name, $model, $stream, @reasons) = @_;
    refused($roles->chat(path => "/$_/" . ($path =~ tr/ /_/r) . '/chat/completions', model => $model, stream => $stream), $_, $name, @reasons) for qw(hold stream);
    return;
}

attack("stream/$_", $_, $stream, 1, 'broken_answer') for @attacks;

for my $case ([ 'swap/1', $whole, 0 ], [ 'swap/2', $stream, 1 ]) {
    my ($path, @asked) = @$case;
    is $roles->chat(path => "/hold/$path/chat/completions", model => $asked[0], stream => $asked[1])->{status}, 200, "$path: an answer to somebody";
    attack($path, "$path: an old answer, to the same words", @asked, 'broken_answer');
    attack($path, "$path: an answer to somebody else", @asked, 'broken_answer');
}

for my $s (0, 1) {
    my $model = $s ? $stream : $whole;
    attack($_, "$_, in plain, $s", $model, $s, 'not_sealed') for qw(plain events);
    attack('signer', "signed with another key, $s", $model, $s, 'tee_id');
}

# a list of keys that is not the gateway's: whoever made it reads what is
# asked, but cannot answer

{
    my $r;
    eventually { ($r = $roles->chat(path => '/hold/keys/chat/completions', model => $whole))->{status} == 502 } 'keys of somebody else';
    attack('keys', 'sealed to keys of somebody else', $whole, 0, 'tee_id');
    refused($roles->chat(path => '/hold/keys/chat/completions', model => $stream, stream => 1), hold => 'a stream of somebody else', 'unsigned');
    $r = $roles->chat(path => '/stream/keys/chat/completions', model => $stream, stream => 1);
    ok $r->{status} == 502 || $r->{cut}, 'stream: a stream of somebody else';
    unlike $r->{body}, qr/finish_reason":"|\[DONE\]/, 'stream: has no end' or diag $r->{body};
    ok grep(/^opened .*messages/, $roles->evil->notes), 'who has read the question';
}

# -- the contract removes the enclave while it speaks

my @events = Tee::Model::events(\@words);

for my $mode (qw(hold stream)) {
    my $script = $m->stream([ @events[ 0 .. 2 ], \'wait', @events[ 3 .. $#events ] ]);
    my $c = $t->client;
    $c->send_request(POST => "/$mode/v1/chat/completions", [ 'Content-Type' => 'application/json' ],
        $json->encode({ model => $script, stream => JSON::PP::true, messages => [ { role => 'user', content => 'x' } ] }));
    eventually { scalar grep $_ eq "waits $script", $m->notes } "$mode: the enclave speaks";
    $evm->do('disable one');
    eventually { $t->registry_status->{tees} == 0 } "$mode: is removed";
    $m->go($script);
    refused($c->response, $mode, 'an enclave that is not registered any more', 'no_key');
    problem($roles->chat(path => "/$mode/v1/chat/completions"), 503, $_, "$mode: nobody is left") for 'registry_empty';
    $evm->do('enable one');
    eventually { $t->registry_status->{tees} == 1 } "$mode: it is back";
    is $roles->chat(path => "/$mode/v1/chat/completions", model => $whole)->{status}, 200, "$mode: and answers";
}

unlike $t->log, qr/word\d/, 'nothing of what was said is in the log';
$t->finish;
done_testing;
