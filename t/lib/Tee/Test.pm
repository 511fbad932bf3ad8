package Tee::Test;

# "use Tee::Test;" is all that a test file needs: strict, warnings, Test::More
# and the modules beside this one.
#
#   my $tee = tee('one');                     # an enclave that listens
#   my $tee = tee('one', host => 'a.test', address => '127.0.0.2', handler => sub { ... });
#   $tee->{upstream}, $tee->{cert}, $tee->{id}, $tee->{endpoint}
#   tees($one, $two)                          # the JSON of a file registry
#   my $b = backend(sub { ... });             # a plain server: Tee::Upstream

use strict;
use warnings;

use JSON::PP ();
use Test::More;

use Tee::Cert;
use Tee::Dns;
use Tee::Evm;
use Tee::Http;
use Tee::Nginx;
use Tee::Sealed;
use Tee::Upstream;
use Tee::Util qw(patience root scratch slurp spew wait_until);

sub import {
    my $to = caller;
    strict->import;
    warnings->import;
    no strict 'refs';
    *{"${to}::$_"} = \&{"Test::More::$_"}
        for qw(ok is isnt like unlike cmp_ok is_deeply pass fail diag note explain subtest done_testing);
    *{"${to}::$_"} = \&$_ for qw(backend eventually tee tees patience root scratch slurp spew wait_until problem);
    return;
}

sub tee {
    my ($name, %o) = @_;
    my $host = $o{host} // $o{address} // '127.0.0.1';
    my $cert = $o{cert} // Tee::Cert->new(name => "$name.test");
    my %upstream = (name => $name, cert => $cert);

    # it may show another certificate than it is registered with
    $upstream{cert} = $o{shows} if $o{shows};
    $upstream{$_} = $o{$_} for grep defined $o{$_}, qw(address certs handler port quiet stream tls);

    my $upstream = $o{upstream} // Tee::Upstream->new(%upstream);
    my $port = $upstream->port;
    $host = "[$host]" if $host =~ /:/;
    return Tee::Cert::enclave($name, endpoint => "https://$host:$port", cert => $cert, upstream => $upstream,
        map { defined $o{$_} ? ($_ => $o{$_}) : () } qw(key hpkeKey pcrHash paymentAddress teeType enabled));
}

# what stands behind a gateway; without a handler it tells what it was asked

sub backend {
    my ($handler, %o) = @_;
    $handler //= sub {
        my ($conn, $request) = @_;
        return $conn->respond('200 OK', [ 'Content-Type' => 'text/plain' ], "$request->{method} $request->{path} $request->{body}");
    };
    return Tee::Upstream->new(name => 'backend', cert => undef, handler => $handler, %o);
}

sub tees { return Tee::Cert::registry(@_) }


# a condition becomes true, within some seconds

sub eventually(&$;$) {
    my ($condition, $name, $seconds) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return ok(&wait_until($condition, $seconds), $name);
}


# an answer is a problem with this status and reason

sub problem {
    my ($r, $status, $reason, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $json = $r->json;
    return is_deeply(
        [ $r->{status}, scalar $r->header('content-type'), $json->{status}, $json->{reason} ],
        [ $status, 'application/problem+json', $status, $reason ], $name
    ) || diag($r->{head} . $r->{body});
}

1;
