#!/usr/bin/perl
# When the chain says that a TEE has another certificate, connections and
# sessions that knew the old one carry nothing more.

use FindBin;
use lib "$FindBin::Bin/lib";
use Tee::Test;

for my $version ('TLSv1_2', 'TLSv1_3') {
    my $handler = sub {
        my ($conn, $request) = @_;

        # so that a test has a request in flight
        if ($request->{path} =~ /hold/) {
            $conn->send("HTTP/1.1 200 OK\r\nContent-Type: a/b\r\nTransfer-Encoding: chunked\r\n\r\n");
            $conn->send_chunk('begun');
            my $go = $conn->{upstream}{file} . '.go';
            wait_until { -e $go };
            $conn->send_chunk('done');
            return $conn->send("0\r\n\r\n");
        }

        return $conn->answer($request);
    };
    my %o = (tls => { SSL_version => $version }, handler => $handler);
    my @tees = (tee('one', %o), tee('two', %o));
    my ($one, $two) = @tees;
    my $u = $one->{upstream};
    my $evm = Tee::Evm->new(tees => \@tees);

    my $t = Tee::Nginx->new(
        vars => { chain => $evm->conf },
        http => <<'CONF');
    tee_registry og { %%chain%% refresh 500ms; refresh_min 500ms; max_block_age 0; allow_private on; }
    upstream warm { tee_peers og id=$arg_id; keepalive 4; }
    upstream cold { tee_peers og id=$arg_id; }
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_buffering off;
    proxy_ssl_protocols TLSv1.2 TLSv1.3;
    server {
        listen 127.0.0.1:%%PORT_http%%;
        location /cold { proxy_pass https://cold; }
        location /tee/status { tee_status; }
        location / { proxy_pass https://warm; }
    }
CONF
    my $ask = sub { my ($path, $tee) = @_; return $t->get("$path?id=$tee->{id}")->{status} };
    my $known = sub {
        my ($tee) = @_;
        my ($entry) = grep $_->{id} eq $tee->{id}, @{ $t->registry_status->{entries} // [] };
        return $entry ? $entry->{pin_sha256} : '';
    };
    wait_until { $known->($one) };

    # an idle connection

    is $ask->('/warm', $_), 200, "$version: a connection to $_->{name} is kept" for @tees;
    is $ask->('/cold', $one), 200, "$version: and a session";
    is scalar(my @none = $two->{upstream}->closes), 0, "$version: it idles";
    my @open;
    eventually { @open = grep { my $c = $_->{conn}; !grep $_->{conn} == $c, $u->closes } $u->connections; @open == 1 }
        "$version: one connection is open";

    my $next = Tee::Cert->new(name => 'next.test');
    $evm->do("rotate-cert one $next->{file}");
    eventually { $known->($one) eq $next->{sha256} } "$version: the chain has another certificate";
    eventually { grep $_->{conn} == $open[0]{conn}, $u->closes } "$version: the idle connection is closed at once";
    is scalar(() = $two->{upstream}->closes), 0, "$version: that of another TEE is not";
    cmp_ok $t->status->{counters}{pin}{closed}, '>=', 1, "$version: which is counted";

    # the TEE still shows the old one, and would resume the old session

    $u->forget;
    is $ask->($_, $one), 502, "$version: the old certificate is refused ($_)" for '/warm', '/cold';
    is scalar(() = $u->requests), 0, "$version: and nothing is sent to it";
    is scalar(grep $_->{resumed}, $u->connections), 0, "$version: no session of the old one is offered";

    $u->set_cert($next);
    is $ask->('/warm', $one), 200, "$version: the new one is accepted";

    # a busy connection

    my $c = $t->client;
    $c->send("GET /hold?id=$one->{id} HTTP/1.1\r\nHost: a\r\n\r\n");
    is $c->head->{status}, 200, "$version: a response is under way";
    is $c->chunk, 'begun', "$version: a part of it has come";
    my ($busy) = map $_->{conn}, grep $_->{path} =~ /hold/, $u->requests;
    my $third = Tee::Cert->new(name => 'third.test');
    $evm->do("rotate-cert one $third->{file}");
    eventually { $known->($one) eq $third->{sha256} } "$version: the certificate changes meanwhile";
    spew($u->{file} . '.go', '');
    is $c->chunk, 'done', "$version: the response goes on to its end";
    is $c->chunk, '', "$version: which is well-formed";
    eventually { grep $_->{conn} == $busy, $u->closes } "$version: then its connection is closed";
    is $ask->('/warm', $one), 502, "$version: and not used again";

    # a TEE that is gone

    $evm->do('disable two');
    eventually { !$known->($two) } "$version: a TEE is disabled";
    eventually { (() = $two->{upstream}->closes) == 1 } "$version: its idle connection is closed";

    # a pin failure asks for a refresh

    $t->finish;

    $u->set_cert($third);
    $t = Tee::Nginx->new(
        vars => { chain => $evm->conf },
        http => <<'CONF');
    tee_registry og { %%chain%% refresh 1h; refresh_min 200ms; max_block_age 0; allow_private on; }
    upstream cold { tee_peers og id=$arg_id; }
    proxy_ssl_protocols TLSv1.2 TLSv1.3;
    server {
        listen 127.0.0.1:%%PORT_http%%;
        location /tee/status { tee_status; }
        location / { proxy_pass https://cold; }
    }
CONF
    eventually { $ask->('/', $one) == 200 } "$version: a refresh every hour";
    my $fourth = Tee::Cert->new(name => 'fourth.test');
    $u->set_cert($fourth);
    $evm->do("rotate-cert one $fourth->{file}");
    is $ask->('/', $one), 502, "$version: another certificate is refused";
    eventually { $ask->('/', $one) == 200 } "$version: but asks for a refresh, which knows it", 5;
    $t->finish;
}

done_testing;
