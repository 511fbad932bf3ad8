#!/usr/bin/perl

# The page of conf.example/page, in a headless Chromium: it asks our gateway
# through our relay, and shows what can be believed.  Then everybody on the way
# cheats, one after the other.  Before that, the page's modules in Node.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";

use Tee::Test;

use Crypt::PK::RSA;
use Crypt::PK::X25519;
use Digest::SHA qw(sha256_hex);
use IPC::Open2;
use JSON::PP;
use MIME::Base64 qw(decode_base64 encode_base64);

use Tee::Enclave;
use Tee::Json ();
use Tee::Model;
use Tee::Ohttp;
use Tee::Signed;
use Tee::Util qw(build_dir);

my $here = "$FindBin::Bin/browser";
my $chromium = (grep { -x } map { "/usr/bin/$_" }
    qw(chromium-headless-shell chromium))[0];

$chromium && -d "$here/node_modules"
    or Test::More::BAIL_OUT('run t/interop/setup first');


# -- the modules, without a browser

my ($good, $done) = (0, 0);

for my $line (split /\n/, `node --no-warnings $here/unit.mjs 2>&1`) {
    $line =~ /\Aok / ? $good++
        : $line eq 'done' ? $done++
        : $line =~ /\A# / ? diag($line)
        : fail("in Node: $line");
}

is($done, 1, 'the tests in Node have come to their end');
cmp_ok($good, '>=', 900, "$good of them are right");


# -- enclaves: one that is right, one that signs with another key than the
# registered one, and one whose model signs whatever it likes

my $model = Tee::Model->new;
my %tee = map {
    my $keys = Tee::Enclave::make_keys(scratch());
    my $rsa = Crypt::PK::RSA->new($keys->{signing_key});

    ($_ => { %$keys, rsa => $rsa, id => Tee::Signed::tee_id($rsa) });
} qw(right wrong liar other);

sub server {
    my ($name, $sign) = @_;

    return <<"CONF";
    tee_gateway_keys $name {
        key    1 $tee{$name}{hpke_key};
        suite  hkdf-sha256 chacha20-poly1305;
    }

    server {
        listen  127.0.0.1:%%PORT_$name%% ssl;
        ssl_certificate      $tee{$name}{cert};
        ssl_certificate_key  $tee{$name}{key};

        location = /v1/ohttp {
            tee_gateway  $name profile=opengradient;
        }

        location = /v1/ohttp/config {
            tee_keys  $name sign=$tee{$name}{signing_key};
        }

        location = /v1/chat/completions {
            tee_sign         $sign;
            proxy_pass       http://127.0.0.1:%%model%%;
            proxy_buffering  off;
        }
    }
CONF
}

my $gateway = Tee::Nginx->new(vars => { model => $model->port },
    http => join '', "tee_sign_key right $tee{right}{signing_key};\n",
        "tee_sign_key other $tee{other}{signing_key};\n",
        server(right => 'right'), server(wrong => 'other'),
        server(liar => 'off'));

sub entry {
    my ($name) = @_;

    my $tee = $tee{$name};
    my $pk = Tee::Ohttp::public_key(Crypt::PK::X25519->new($tee->{hpke_key}));

    return {
        endpoint => 'https://127.0.0.1:' . $gateway->port($name),
        tls_certificate => slurp($tee->{cert}) =~ s/-----.*?-----|\s//gr,
        signing_key => encode_base64($tee->{rsa}->export_key_der('public_x509'),
            ''),
        pcr_hash => '0x' . unpack('H*', $name) . '0' x (64 - 2 * length $name),
        ohttp => {
            key_id => 1, kem_id => 32, kdf_id => 1, aead_id => 3,
            public_key => unpack('H*', $pk),
            key_config => encode_base64(Tee::Ohttp::key_config($pk, 1), ''),
        },
    };
}


# -- the relay, with what the page's README has for it

my $page = root() . '/conf.example/page';
my ($locations) = slurp("$page/README.md") =~ /```nginx\n(.*?)```/s;

$locations =~ s{/usr/share/ngx_http_tee/page}{$page};

my $relay = Tee::Nginx->new(
    files => { 'tees.json' => encode_json({ tees =>
        [ map { entry($_) } qw(right wrong liar) ] }) },
    vars => { locations => $locations },
    http => <<'CONF');
    tee_registry og {
        file           tees.json;
        allow_private  on;
    }

    upstream by_id {
        tee_peers  og  id=$http_x_tee_id;
        keepalive  8;
    }

    server {
        listen  127.0.0.1:%%PORT_http%%;

        %%locations%%

        location = /tee/status {
            tee_status;
        }
    }
CONF


# -- the browser

my $url = 'http://127.0.0.1:' . $relay->port;
my $pid = open2(my $from, my $to, 'node', "$here/drive.mjs", $url, $chromium);

sub browser {
    print $to encode_json([@_]), "\n" or die "the browser is gone\n";

    my $r = decode_json(readline $from // die "the browser is gone\n");

    diag("$r->{error} @{ $r->{noise} }") if $r->{error};
    return $r->{value};
}

ok(readline $from, 'Chromium runs: ' . $chromium);

my @CHECKS = qw(identity key sealed opened tee request output signature time);

# opens the page, asks, and waits for the verdict

sub asked {
    my ($tee, $model_name, $question, @how) = @_;

    browser('open', @how);
    browser('ask', $tee{$tee}{id}, $model_name, $question);
    browser('end');
    return browser('see');
}

sub verified {
    my ($r, $text, $name) = @_;

    is($r->{answer}, $text, "$name: the answer")
        or diag(explain($r));
    is($r->{state}, 'good', "$name: it is verified");
    is_deeply($r->{checks}, { map { $_ => "\x{2713} passed" } @CHECKS },
        "$name: every check has passed");
    return;
}

# those before the one that fails have passed, and those behind it have not run

sub failed {
    my ($r, $check, $why, $name) = @_;

    my $state = "\x{2713} passed";

    is_deeply($r->{checks}, { map {
        my $is = $_ eq $check ? "\x{2717} failed" : $state;

        $state = "\x{25cb} not yet" if $_ eq $check;
        ($_ => $is);
    } @CHECKS }, "$name: fails at $check") or diag(explain($r));
    is($r->{answer}, '', "$name: nothing of the answer stays");
    is($r->{state}, 'bad', "$name: it is not believed");
    like($r->{verdict}, $why, "$name: it says why");
    return;
}


# what is served

for my $file ('', glob "$page/*.{html,css,mjs}") {
    my $name = $file =~ s{.*/}{}r;
    my $got = $relay->get("/$name");
    my ($type) = map { { css => 'text/css', mjs => 'text/javascript' }->{$_}
        // 'text/html' } $name =~ /(\w*)\z/;

    is("$got->{status} " . $got->header('Content-Type'), "200 $type",
        "/$name is there");
    like($got->header('Content-Security-Policy'), qr/\Adefault-src 'self';/,
        "/$name has a policy");
}


# a chat, as it streams

my $question = "What is \x{20ac}1 \x{2013} \x{1f600} \"quoted\"\\, \x{7f}?";

verified(asked('right', 'demo', $question), "You said: $question",
    'a question with all sorts of characters');

my @words = map { "word$_ " } 1 .. 200;
my @events = Tee::Model::events(\@words);
my $script = $model->stream([ @events[ 0 .. 9 ], \'wait', @events[ 10 .. $#events ] ]);

browser('open');

my $r = browser('see');

like($r->{verdict}, qr/Nothing has been asked/, 'before a question');

browser('ask', $tee{right}{id}, $script, 'Long?');
browser('text', join '', @words[ 0 .. 8 ]);
$r = browser('see');

like($r->{verdict}, qr/Not verified yet/, 'a text that is still coming is shown as such');
is($r->{busy}, 'true', 'and as not complete');
is($r->{checks}{sealed}, "\x{2713} passed", 'what can be checked before has been');
isnt($r->{checks}{opened}, "\x{2713} passed", 'and nothing else');

$model->go($script);
browser('end');
$r = browser('see');
verified($r, join('', @words), 'a long answer');

my %facts = %{ $r->{facts} };
my $entry = entry('right');

is($facts{tee_id}, $tee{right}{id}, 'the TEE id is shown');
is($facts{endpoint}, $entry->{endpoint}, 'its endpoint');
is($facts{pcr_hash}, $entry->{pcr_hash}, 'its PCR hash');
is($facts{pin}, sha256_hex(decode_base64($entry->{tls_certificate})),
    'the pin of its certificate');
is("$facts{key} $facts{key_config}", "1 $entry->{ohttp}{key_config}", 'its OHTTP key');

my $canonical = Tee::Signed::canonical('chat', { model => $script,
    messages => [ { role => 'user', content => 'Long?' } ] });
my ($time) = map { Tee::Json::num($_) } `date -u -d '$facts{time}' +%s` =~ /(\d+)/;

is(Tee::Signed::verify($tee{right}{rsa}, $canonical, join('', @words), {
    tee_id => $facts{tee_id}, tee_request_hash => $facts{request},
    tee_output_hash => $facts{output}, tee_timestamp => $time,
    tee_signature => $facts{signature} }), undef,
    'what is shown as proof is one, says another verifier');

my $shot = build_dir() . '/interop/browser.png';

browser('shot', $shot);
is_deeply(browser('noise'), [], 'the browser has nothing to complain about');
is_deeply(browser('origins'), ['own'], 'and has asked nobody else');

my $spoken = browser('spoken');

like($spoken, qr/status: "?Verified/, 'who cannot see it is told the verdict');
like($spoken, qr/passed .*The signature is by the key/s, 'and each check');


# without a mouse

browser('open');
browser('press', 'Tab');
is(browser('focus'), 'tee', 'the keyboard gets to the enclave');
browser('type', substr $tee{right}{id}, 0, 12);
browser('press', 'Tab') for 1, 2;
is(browser('focus'), 'question', 'and to the question');
browser('press', 'Control+a');
browser('type', 'No mouse');
browser('press', 'Enter');
browser('end');
$r = browser('see');
is($r->{facts}{tee_id}, $tee{right}{id}, 'chooses one');
verified($r, 'You said: No mouse', 'and asks the other');
browser('press', 'Tab');
is(browser('focus'), 'ask', 'the button is next');
browser('press', 'Space');
browser('end');
verified(browser('see'), 'You said: No mouse', 'asked again by the button');
is(browser('focus'), 'ask', 'which keeps the focus');

my $calls = [ { id => 'call_1', type => 'function', function => {
    name => 'weather', arguments => '{"city":"Z\u00fcrich"}' } } ];

$r = asked('right', $model->stream([ Tee::Model::events([], calls => $calls, split => 5) ]), 'Rain?');
verified($r, Tee::Json::dump_json($calls), 'tool calls');
like($r->{verdict}, qr/tools/, 'tool calls: they are told from a text');

verified(asked('right', $model->whole(Tee::Model::encode(Tee::Model::answer('Whole.'))), 'x'), 'Whole.',
    'a model that does not stream');

$script = $model->stream([ @events[ 0 .. 9 ], \'wait', @events[ 10 .. $#events ] ]);
browser('open');
browser('ask', $tee{right}{id}, $script, 'Stop?');
browser('text', join '', @words[ 0 .. 8 ]);
browser('click', '#stop');
browser('end');
$r = browser('see');
is($r->{answer}, '', 'an answer that is stopped is removed');
like($r->{verdict}, qr/Stopped/, 'and called so');
$model->go($script);


# -- the relay cheats

sub cheats {
    my ($how, $check, $why) = @_;

    failed(asked('right', 'demo', 'Do you cheat, and how, and why?', $how),
        $check, $why, "a relay that cheats ($how)");
    return;
}

verified(asked('right', 'demo', 'Do you cheat, and how, and why?', 'no'),
    'You said: Do you cheat, and how, and why?', 'a relay that does not cheat');

cheats('flip', opened => qr/does not open/);
cheats('cut', opened => qr/breaks off/);
cheats('drop', opened => qr/does not open/);
cheats('swap', opened => qr/does not open/);
cheats('replay', opened => qr/does not open/);
cheats('plain', opened => qr/no sealed answer/);
cheats('disguise', opened => qr/./);
cheats('error', opened => qr/no sealed answer, but 503/);
cheats('signing key', identity => qr/hash is another/);
cheats('OHTTP key', key => qr/not the one that the TEE has signed/);
cheats('no key', key => qr/404/);


# -- the enclave does

failed(asked('wrong', 'demo', 'Whose key?'), tee => qr/Another TEE/,
    'an enclave that signs with another key');

verified(asked('liar', lie('Honest?')), 'It is so.', 'an answer that another program has signed');

failed(asked('liar', lie('x', unsigned => 1)), tee => qr/not signed/, 'an answer that is not signed');
failed(asked('liar', lie('x', key => 'other', id => 'liar')), signature => qr/not by the key/,
    'an answer that another key has signed in its name');
failed(asked('liar', lie('x', request => 'y')), request => qr/another question/,
    'the answer to another question');
failed(asked('liar', lie('x', text => 'It is not.')), output => qr/Another answer/,
    'another text than the signed one');
failed(asked('liar', lie('x', time => time - 4000)), time => qr/4\d\d\d seconds before/,
    'an old answer');
failed(asked('liar', lie('x', time => time + 4000)), time => qr/[34]\d\d\d seconds ahead/,
    'one from the future');

$r = asked('right', 'error-stream', 'x');
like($r->{verdict}, qr/Not believed: The TEE has told an error .*asked to fail/,
    'a stream that ends with an error is not believed');
is($r->{answer}, '', 'and nothing of it stays');

failed(asked('right', 'error-503', 'x'), opened => qr/but 503/, 'a model that fails');

# a script and a question: its answer, signed by us

sub lie {
    my ($text, %o) = @_;

    my $name = 'script-' . ($model->{n} + 1);
    my $request = Tee::Json::dump_json({ model => $name, messages =>
        [ { role => 'user', content => $o{request} // $text } ] });
    my $by = $tee{ $o{key} // 'liar' };
    my $last = { choices => [ { index => Tee::Json::num(0), delta => {}, finish_reason => 'stop' } ] };
    my %change = $o{id} ? (change => { tee_id => $tee{ $o{id} }{id} }) : ();
    my $signed = $o{unsigned} ? Tee::Json::dump_json($last)
        : Tee::Signed::attach($by->{rsa}, 'chat', $request, $last,
            text => 'It is so.', time => $o{time} // time, %change);

    $model->stream([ Tee::Model::delta({ content => $o{text} // 'It is so.' }),
        Tee::Model::event($signed), Tee::Model::event('[DONE]') ]);
    return ($name, $text);
}

close $to;
waitpid $pid, 0;
is($?, 0, 'the browser ends');

$relay->finish;
$gateway->finish;
diag("screenshot: $shot");
done_testing();
