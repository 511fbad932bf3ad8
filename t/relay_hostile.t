#!/usr/bin/perl
# A gateway that tries to use the relay: endpoints are claims of strangers.

use FindBin;
use lib "$FindBin::Bin/lib";
use Tee::Test;

my %answers = (
    redirect => [ '200 OK', [ 'X-Accel-Redirect' => '/secret', 'Content-Type' => 'message/ohttp-res' ] ],
    buffering => [ '200 OK', [ 'X-Accel-Buffering' => 'yes', 'Content-Type' => 'message/ohttp-res' ] ],
    cookie => [ '200 OK', [ 'Set-Cookie' => 'who=you', 'ETag' => '"you"', 'X-You' => '1', 'Alt-Svc' => 'h3=":1"',
        'Refresh' => '0; url=https://example.com/', 'Content-Type' => 'message/ohttp-res' ] ],
    location => [ '307 Temporary Redirect', [ 'Location' => 'https://example.com/', 'Content-Type' => 'text/html' ] ],
    retry => [ '429 Too Many Requests', [ 'Retry-After' => '7', 'Content-Type' => 'application/json' ] ],
    upgrade => [ '101 Switching Protocols', [ 'Upgrade' => 'websocket', 'Connection' => 'Upgrade' ] ],
);

my $one = tee('one', handler => sub {
    my ($conn, $request) = @_;
    my ($what) = $request->{body} =~ /^(\w+)/;
    return $conn->respond(@{ $answers{$what} }, 'sealed');
});

my $t = Tee::Nginx->new(
    files => { 'tees.json' => tees($one), 'secret' => 'internal' },
    http => <<'CONF');
    tee_registry og { file tees.json; allow_private on; }
    upstream tee { tee_peers og; }
    server {
        listen 127.0.0.1:%%PORT_http%%;
        location = /ohttp { tee_relay on; proxy_pass https://tee/v1/ohttp; }
        location = /plain { proxy_pass https://tee/v1/ohttp; }
        location = /secret { internal; root %%DIR%%; }
    }
CONF

sub ask {
    my ($path, $what, @more) = @_;
    return $t->post($path, 'message/ohttp-req', $what, \@more);
}

for my $path ('/ohttp', '/plain') {
    my $r = ask($path, 'redirect');
    is $r->{body}, 'sealed', "$path: a gateway does not read internal locations";
    is ask($path, 'buffering')->{body}, 'sealed', "$path: nor does it choose where its answer is kept";
}

my $r = ask('/ohttp', 'cookie');
is $r->{status}, 200, 'a gateway that marks clients is relayed';
is $r->header($_), undef, "without its $_" for qw(Set-Cookie ETag X-You Alt-Svc Refresh);

$r = ask('/ohttp', 'location');
is $r->{status}, 307, 'a redirect is not followed';
is $r->header('Location'), undef, 'and leads nowhere';

$r = ask('/ohttp', 'retry');
is $r->header('Retry-After'), 7, 'what a client needs to try again is returned';

$r = ask('/ohttp', 'upgrade', Upgrade => 'websocket', Connection => 'Upgrade');
problem($r, 502, 'bad_gateway', 'client and gateway cannot agree on a tunnel');

$t->finish;
done_testing;
