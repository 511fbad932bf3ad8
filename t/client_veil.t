#!/usr/bin/perl
# What the page of the client says to who comes from OpenGradient's local proxy,
# with the configuration that is there.

use FindBin;
use lib "$FindBin::Bin/lib";
use Tee::Model;
use Tee::Roles;
use Tee::Test;

use JSON::PP;

my ($sign) = Tee::Cert::signing_key('one');
my ($other) = Tee::Cert::signing_key('two');
my $model = Tee::Model->new;
my $page = slurp(root() . '/docs/ngx_http_tee_client_module.md');
my ($location) = $page =~ /^## Coming from veil\n.*?^```nginx\n(.*?)^```/ms;

# in its place there is no TLS to the relay, and a token of ours

$location =~ s/^\s*proxy_ssl_.*\n//mg;
$location =~ s{/run/tee/token}{token};
my $evil = $location =~ s{/v1/}{/evil/}r =~ s{https://relay.example}{http://%%evil%%}r;
$location =~ s{https://relay.example/api/v1/chat/ohttp}{http://%%relay%%};
my ($none, $upper, $bare) = map { my ($name, $more) = @$_; $location =~ s{/v1/}{/$name/}r =~ s/tee_client\s+og;/tee_client og $more;/r }
    [ none => 'pcr=' . 'ab' x 32 ], [ upper => 'pcr=%%pcr%%' ], [ bare => 'id=%%bare%%' ];

my $roles = Tee::Roles->new(
    stopped => 1,
    files => { 'sign.key' => slurp($sign), 'other.key' => slurp($other), token => 'secret' },
    vars => { llm => $model->port },
    http => "tee_sign_key one sign.key; tee_sign_key two other.key; tee_client_errors openai;",
    gateway => join('', map "location = /v1/$_->[0] { tee_sign $_->[1]; proxy_pass http://127.0.0.1:%%llm%%; proxy_buffering off; }", [ 'chat/completions', 'one' ], [ 'web_search', 'two' ]),
    model => sub { return $_[0]->respond('200 OK', [], '{}') },
    relay => sub {
        my ($conn, $request, $forward) = @_;
        $conn->note($request->{head} =~ /^Authorization: (.*?)\r$/mi);
        my $r = $forward->();
        substr($r->{body}, -1, 1) ^= "\1";
        return $conn->respond('200 OK', [ 'Content-Type' => $r->header('content-type') ], $r->{body});
    },
    client => "$location $evil $none $upper $bare location = /v1/models { tee_client_models a b; } location = /health { tee_client_health og; }");

my ($t, $tee) = ($roles->nginx, $roles->tee);
$t->{vars}{pcr} = uc($tee->{pcrHash} // '0' x 64) =~ s/^0X//r;
$t->{vars}{bare} = $tee->{id} =~ s/^0x//r;
$t->start;

sub error {
    my ($status, $code, $r, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    is_deeply [ $r->{status}, map $r->json->{error}{$_}, qw(type code) ], [ $status, 'tee_error', $code ], $name or diag $r->{head}, $r->{body};
    return;
}

my @fields = qw(x-opengradient-verified x-opengradient-tee-id);

for my $stream (0, 1) {
    my $r = $roles->chat(stream => $stream);
    is_deeply [ $r->{status}, map scalar $r->header($_), @fields ], [ 200, 'true', $tee->{id} ], "an answer, stream $stream" or diag $r->{head}, $r->{body}, $t->log;
    like $r->{body}, qr/hi.*"tee_signature"/s, 'as it was signed';
    unlike $r->{body}, qr/opengradient_verification/, 'and nothing added to it';
}

my $r = $roles->chat(path => '/v1/web_search', body => '{"query":"x"}');
error(502, 'tee_id', $r, 'an answer that somebody else has signed');
is $r->header('x-opengradient-verified'), 'false', 'which is told';
is $roles->chat(path => "/$_/chat/completions")->{status}, 200, "a TEE that is expected: $_" for qw(upper bare);
is_deeply [ map $_->{id}, @{ $t->get('/v1/models')->json->{data} } ], [qw(a b)], 'models';
is_deeply [ sort keys %{ $t->get('/health')->json } ], [qw(active_tee_endpoint active_tee_id status verified_inference)], 'health has the same members';
is $t->get('/health')->json->{verified_inference}, JSON::PP::true, 'all is verified';

error(415, 'media_type', $roles->chat(type => 'text/plain'), 'no JSON');
error(400, 'bad_request', $roles->chat(body => '['), 'nothing that can be sealed');
error(400, 'bad_request', $roles->chat(more => { temperature => 'warm' }), 'nothing that could be signed');
error(503, 'no_tee', $roles->chat(path => '/none/chat/completions'), 'no TEE that is expected');
$r = $roles->chat(path => '/evil/chat/completions');
error(502, 'broken_answer', $r, 'an answer that is not believed');
is(($roles->evil->notes)[-1], 'Bearer secret', 'the relay knows us by the token');
$t->write('token', 'newer');
eventually { $roles->chat(path => '/evil/chat/completions'); ($roles->evil->notes)[-1] eq 'Bearer newer' } 'which may be replaced';
unlink $t->dir . '/token';
eventually { $roles->chat->{status} == 401 } 'or be missing';
error(401, 'no_credential', $roles->chat, 'no credential');

$t->finish;
done_testing;
