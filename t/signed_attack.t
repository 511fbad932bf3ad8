#!/usr/bin/perl
# Answers that say one thing to whoever verifies or signs them, and another to
# who reads them: each is refused, or comes without what is not signed.

use FindBin;
use lib "$FindBin::Bin/lib";
use Tee::Test;

use JSON::PP;
use Tee::Json qw(num parse);
use Tee::Model;
use Tee::Signed;

my ($file) = Tee::Cert::signing_key('verify-a');
my $key = Crypt::PK::RSA->new($file);
my $m = Tee::Model->new;
my $keys = Tee::Sealed::keys();
my $t = Tee::Nginx->new(
    files => { %{ $keys->{files} }, 'a.pem' => $key->export_key_pem('public_x509'), 'a.key' => slurp($file) },
    vars => { model => $m->port },
    http => <<"CONF");
    tee_sign_key a a.key;
    tee_gateway_keys main { $keys->{conf} }
    log_format hashes 'hashes \$uri \$status \$tee_request_hash \$tee_output_hash \$tee_timestamp';
    access_log logs/hashes.log hashes;
    upstream model { server 127.0.0.1:%%model%%; keepalive 4; }
    upstream nobody { server 127.0.0.1:%%PORT__nobody%%; }
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    server {
        listen 127.0.0.1:%%PORT_http%%;
        server_name inside.example;
        location = /ohttp { tee_gateway main; tee_gateway_target inside.example; tee_gateway_replay off; }
        location /held/ { tee_verify key=a.pem; proxy_pass http://model/; }
        location /live/ { tee_verify key=a.pem; tee_verify_mode stream; proxy_pass http://model/; }
        location /plain-end/ { tee_verify key=a.pem; tee_verify_mode stream; chunked_transfer_encoding off; proxy_pass http://model/; }
        location /held-ssi/ { tee_verify key=a.pem; ssi on; ssi_types application/json; proxy_pass http://model/; }
        location /sign/ { tee_sign a; proxy_pass http://model/; }
        location /refuse/ { tee_sign a; tee_sign_unsigned refuse; proxy_pass http://model/; }
        location /nobody/ { tee_sign a; tee_sign_unsigned refuse; proxy_pass http://nobody/; }
        location /sign-ssi/ { tee_sign a; ssi on; ssi_types application/json; proxy_pass http://model/; }
        location /behind/ { error_page 502 =200 \@model; proxy_pass http://nobody/; }
        location \@model { tee_sign a; tee_sign_endpoint chat; tee_sign_unsigned refuse; proxy_pass http://model; }
        location = /part { return 200 part; }
    }
CONF

my $chat = '/chat/completions';
my $body = '{"model":"m","messages":[{"role":"user","content":"x"}]}';
my $answer = parse(Tee::Model::encode(Tee::Model::answer('I will not do it')));
my $good = Tee::Signed::attach($key, 'chat', $body, $answer);
my $evil = '{"index":0,"finish_reason":"stop","message":{"role":"assistant","content":"EVIL"}}';

sub ask { my ($in, $script, %o) = @_; return $t->post($in . ($o{to} // $chat), 'application/json', $o{body} // $body, [ 'X-Script' => $script, @{ $o{headers} // [] } ]) }

sub refused {
    my ($name, $in, $script, %o) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $r = ask($in, $script, %o);
    return ok(($r->{status} == 502 || !$r->{status} || $r->{cut}) && ($r->header('x-tee-verified') // '') ne 'true' && $r->{body} !~ /EVIL|\[DONE\]|tee_signature/, "$in: $name")
        || diag $r->{head}, $r->{body};
}

is ask('/held', $m->whole($good))->{body}, $good, 'a good answer';

# -- two answers in one

my ($choices) = $good =~ /"choices": (\[.*?\}\]), "created"/;
refused($_->[0], '/held', $m->whole($_->[1])) for
    [ 'an envelope with another answer beside it', qq({"choices":[$evil],"status":200,"body":$good}) ],
    [ 'an envelope with a status', qq({"status":503,"body":$good}) ],
    [ 'an envelope', qq({"status":200,"body":$good}) ],
    [ 'choices twice, the first one evil', $good =~ s/"choices"/"choices": [$evil], "choices"/r ],
    [ 'choices twice, the second one evil', $good =~ s/\}\z/, "choices": [$evil]}/r ],
    [ 'choices twice, escaped', $good =~ s/"choices"/"\\u0063hoices": [$evil], "choices"/r ],
    [ 'Choices', $good =~ s/\}\z/, "Choices": [$evil]}/r ],
    [ 'CHOICES in front', $good =~ s/\{/{"CHOICES": [$evil], /r ],
    [ 'choices with a long s', $good =~ s/\}\z/, "choice\\u017f": [$evil]}/r ],
    [ 'message twice', $good =~ s/"message"/"message": {"content": "EVIL"}, "message"/r ],
    [ 'Message', $good =~ s/"message"/"Message": {"content": "EVIL"}, "message"/r ],
    [ 'content twice', $good =~ s/"content"/"content": "EVIL", "content"/r ],
    [ 'Content', $good =~ s/"content"/"Content": "EVIL", "content"/r ],
    [ 'finish_reason twice', $good =~ s/"finish_reason"/"finish_reason": "tool_calls", "finish_reason"/r ],
    [ 'a second choice', $good =~ s/\Q$choices/substr($choices, 0, -1) . ", $evil]"/er ],
    [ 'tee_id twice', $good =~ s/"tee_id"/"tee_id": "x", "tee_id"/r ];

# -- ends that are none

my @plain = Tee::Model::events([ 'I will', ' not', ' do it' ]);
my @events = @plain;
$events[4] = 'data: ' . Tee::Signed::attach($key, 'chat', $body, parse($plain[4] =~ s/^data: //r), text => 'I will not do it') . "\n\n";
my ($role, $will, $not, $do, $last, $usage, $done) = @events;

for my $in ('/held', '/live') {
    is ask($in, $m->stream(\@events))->{body}, join('', @events), "$in: a good stream";

    for my $case ([ 'a text behind [DONE]', $role, $will, $done, $not, $do, $last ], [ '[DONE] twice around a text', $role, $will, $done, $not, $do, $last, $done ],
        [ 'a text behind an end', $role, $will =~ s/"finish_reason":null/"finish_reason":"stop"/r, $not, $do, $last, $usage, $done ],
        [ 'a text of another event', $role, $will, "event: x\n$not", $do, $last, $usage, $done ],
        [ 'a text of an error', $role, $will, "event: error\n$not", $do, $last, $usage, $done ],
        [ 'a text of an event behind it', $role, $will, $not =~ s/\n\n\z/\nevent: x\n\n/r, $do, $last, $usage, $done ],
        [ 'choices twice in an event', $role, $will, $not =~ s/\{/{"choices":[{"index":0,"delta":{"content":"EVIL"}}],/r, $do, $last, $usage, $done ],
        [ 'Choices in an event', $role, $will, $not =~ s/\{/{"Choices":[{"index":0,"delta":{"content":"EVIL"}}],/r, $do, $last, $usage, $done ],
        [ 'Content in an event', $role, $will, $not =~ s/"content"/"Content":"EVIL","content"/r, $do, $last, $usage, $done ],
        [ 'an event in another one, by U+2028', $role, $will, ": x\xe2\x80\xa8data: {\"choices\":[{\"delta\":{\"content\":\"EVIL\"}}]}\n\n", $not, $do, $last, $usage, $done ],
        [ 'an event in another one, by a form feed', $role, $will, ": x\fdata: {\"choices\":[{\"delta\":{\"content\":\"EVIL\"}}]}\n\n", $not, $do, $last, $usage, $done ])
    {
        my ($name, @e) = @$case;
        my $r = ask($in, $m->stream(\@e));
        ok $r->{cut} || !$r->{status} || $r->{status} == 502, "$in: $name, refused" or diag $r->{head}, $r->{body};
        unlike $r->{body}, qr/EVIL|tee_signature/, "$in: $name, nothing of the end";
        isnt $r->header('x-tee-verified'), 'true', "$in: $name, not verified";
    }

    # who needs the blank line has it
    my $all = join '', @events[ 0 .. 3 ], $last;
    is ask($in, $m->stream([ $all =~ s/\n\n\z//r ]))->{body}, $all, "$in: a last event without its blank line gets one";
}

# where a cut answer could not be told from a whole one, it is held

my @changed = ($role, $will, $not =~ s/not/NOT/r, $do, $last, $usage, $done);

{
    my $r = ask('/plain-end', $m->stream(\@changed));
    is_deeply [ $r->{status}, $r->{body} =~ /will/ ], [502], 'without chunks: nothing of what is changed';
    is ask('/plain-end', $m->stream(\@events))->{body}, join('', @events), 'and all of what is good';
    my $c = $t->client;
    $c->send("POST /live$chat HTTP/1.0\r\nHost: a\r\nContent-Type: application/json\r\nX-Script: @{[ $m->stream(\@changed) ]}\r\nContent-Length: @{[ length $body ]}\r\n\r\n$body");
    $r = $c->response;
    is_deeply [ $r->{status}, $r->{body} =~ /will/ ], [502], 'to HTTP/1.0: nothing of what is changed';
}

# -- fields

for my $status ('301 Moved', '302 Found', '303 See', '307 Temporary', '308 Permanent') {
    my $r = ask('/held', $m->whole($good, status => $status, fields => [ Location => 'http://evil.test/', Refresh => '0; url=http://evil.test/' ]));
    unlike $r->{head}, qr/evil\.test/i, "a redirect leads nowhere: $status";
    is $r->{status}, 502, "and is refused: $status";
}

refused('two encodings', '/held', $m->whole($good, fields => [ 'Content-Encoding' => 'deflate', 'Content-Encoding' => '' ]));
refused('two encodings, the other way', '/held', $m->whole($good, fields => [ 'Content-Encoding' => '', 'Content-Encoding' => 'deflate' ]));
unlike ask('/held', $m->whole($good, type => "application/json; charset=$_"))->{head}, qr/charset/i, "a charset is not passed on: $_" for 'utf-7', 'utf-16', '"x"', 'cp037';
unlike ask('/held', $m->stream(\@events, type => 'text/event-stream; charset=utf-7'))->{head}, qr/charset/i, 'nor that of events';

# -- tee_sign: requests that two would read in two ways, and whoever answers

my $whole = $m->whole(Tee::Model::encode(Tee::Model::answer('Hello!')));
is Tee::Signed::check($key, 'chat', $body, ask('/sign', $whole)->{body}), undef, 'a good request';

for my $case ([ 'messages twice', $body =~ s/\{/{"messages":[{"role":"user","content":"y"}],/r ], [ 'Messages', $body =~ s/\{/{"Messages":[{"role":"user","content":"y"}],/r ],
    [ 'model twice', $body =~ s/\{/{"model":"n",/r ], [ 'MODEL', $body =~ s/\}\z/,"MODEL":"n"}/r ], [ 'content twice', $body =~ s/"content"/"content":"y","content"/r ])
{
    my $r = ask('/sign', $whole, body => $case->[1]);
    unlike $r->{body}, qr/tee_signature/, "a request is not signed: $case->[0]";
}

unlike ask('/sign', $whole, headers => [ 'Content-Encoding' => 'deflate' ])->{body}, qr/tee_signature/, 'nor one that says that it is encoded';

for my $type ('application/json; charset=utf-7', 'application/json; charset=utf-16', 'application/json; x=y') {
    unlike $t->post("/sign$chat", $type, $body, [ 'X-Script' => $whole ])->{body}, qr/tee_signature/, "nor one that is labelled: $type";
}

{
    my $c = $t->client;
    $c->send_request(POST => "/nobody$chat", [ 'Content-Type' => 'application/json' ], $body);
    my $r = $c->response;
    is $r && $r->{status}, 502, 'refuse: where nobody answers, the error has a head';
    $c->send_request(POST => "/sign$chat", [ 'Content-Type' => 'application/json', 'X-Script' => $whole ], $body);
    $r = $c->response;
    is $r && $r->{status}, 200, 'and the connection goes on';
    $r = ask('/behind', $whole);
    is $r->{status}, 200, 'where an error has led to another model server';
    is Tee::Signed::check($key, 'chat', $body, $r->{body}), undef, 'its answer is signed';
    is ask('/behind', $m->whole('[1]'))->{body} =~ /\[1\]/ ? 1 : 0, 0, 'or refused';
}

# other filters that need time

for my $in ('/sign-ssi', '/held-ssi') {
    my $text = "a <!--# include virtual=\"/part\" --> b";
    my $said = Tee::Model::answer($text);
    my $script = $m->whole($in =~ /held/ ? Tee::Signed::attach($key, 'chat', $body, parse(Tee::Model::encode($said))) : Tee::Model::encode($said));
    my $r = eval { Tee::Http::request($t->port, POST => "$in$chat", [ 'Content-Type' => 'application/json', 'X-Script' => $script ], $body, timeout => 5) };
    ok $r && !$r->{cut} && length $r->{body}, "$in: comes to its end";
}

# of what was sealed, the log says nothing

{
    my $g = Tee::Sealed->new(port => $t->port, to => $keys->{x25519});
    my $r = $g->request(POST => "/sign$chat", headers => [ [ 'content-type' => 'application/json' ], [ 'x-script' => $whole ] ], content => $body);
    is Tee::Signed::check($key, 'chat', $body, $r->{body}), undef, 'a sealed request, signed';
    ok wait_until { $t->read('logs/hashes.log') =~ m{/ohttp} };
    my ($line) = grep m{/ohttp}, split /\n/, $t->read('logs/hashes.log');
    is $line, 'hashes /ohttp 200 - - -', 'no hash of it in the log';
}

$t->finish;
done_testing;
