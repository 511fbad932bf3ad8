#!/usr/bin/perl
# The registry contract on a real EVM node: both layouts, both methods, and
# what changes on the chain while nginx runs.

use FindBin;
use lib "$FindBin::Bin/lib";
use Tee::Test;

for my $layout ('v1', 'v2') {
    for my $method ('active', 'ids') {
        my @tees = map tee($_, paymentAddress => '0x' . '1234567890' x 4), 'one', 'two', 'three';
        my $evm = Tee::Evm->new(tees => [ @tees[0, 1] ], layout => $layout);
        my $t = Tee::Nginx->new(
            vars => { chain => $evm->conf },
            http => sub { <<"CONF" });
    tee_registry og {
        %%chain%% method $method; refresh 1s; refresh_min 1s; max_block_age 0; allow_private on;
    }
    upstream tee { tee_peers og id=\$arg_id; }
    upstream any { tee_peers og round_robin; }
    server {
        listen 127.0.0.1:%%PORT_http%%;
        location /id { proxy_pass https://tee; }
        location /any {
            add_header X-Tee "\$tee_id \$tee_endpoint \$tee_payment_address \$tee_pin";
            proxy_pass https://any;
        }
        location /tee/status { tee_status; }
    }
CONF
        my $name = "$layout $method";
        my $ask = sub { $t->get("/id?id=$_[0]{id}")->{status} };
        my $listed = sub { [ sort map $_->{id}, @{ $t->registry_status->{entries} // [] } ] };
        my $ids = sub { [ sort map $_->{id}, @_ ] };

        eventually { $t->registry_status->{version} } "$name: the registry is read at start";
        my $s = $t->registry_status;
        is_deeply $listed->(), $ids->(@tees[0, 1]), "$name: both TEEs are known by the hash of their keys";
        is $s->{kind}, 'chain', "$name: it is a registry on a chain";
        is lc $s->{contract}, lc $evm->address, "$name: at its address";
        is $s->{chain_id}, $evm->chain_id, "$name: on its chain";
        is $s->{state}, 'fresh', "$name: it is fresh";
        cmp_ok $s->{block}, '>=', 3, "$name: at a block";
        is_deeply [ map $_->{pin_sha256}, sort { $a->{id} cmp $b->{id} } @{ $s->{entries} } ],
            [ map $_->{cert}{sha256}, sort { $a->{id} cmp $b->{id} } @tees[0, 1] ], "$name: with their certificates";
        is $ask->($_), 200, "$name: $_->{name} answers" for @tees[0, 1];
        is $ask->($tees[2]), 404, "$name: one that is not registered is unknown";

        my ($header) = $t->get('/any')->header('x-tee');
        my ($used) = grep index($header, $_->{id}) == 0, @tees;
        ok $used, "$name: \$tee_id has the TEE";
        is $header, join(' ', @{$used}{qw(id endpoint)}, '0x' . '1234567890' x 4, $used->{cert}{sha256}),
            "$name: and other variables what the registry says of it";

        # changes

        $evm->add($tees[2]);
        eventually { $ask->($tees[2]) == 200 } "$name: a new TEE is used";
        $evm->do('disable one');
        eventually { $ask->($tees[0]) == 404 } "$name: a disabled one is not";
        $evm->do('remove two');
        eventually { $ask->($tees[1]) == 404 } "$name: nor is a removed one";
        $evm->do('enable one');
        eventually { $ask->($tees[0]) == 200 } "$name: an enabled one is used again";

        my $new = Tee::Cert->new(name => 'rotated.test');
        $tees[0]{upstream}->set_cert($new);
        is $ask->($tees[0]), 502, "$name: a certificate that is not registered is refused";
        $evm->do("rotate-cert one $new->{file}");
        eventually { $ask->($tees[0]) == 200 } "$name: and accepted once it is";

        # an empty answer is an answer

        my $version = $t->registry_status->{version};
        $evm->do('advance 1900');
        eventually { $t->registry_status->{version} > $version && $t->registry_status->{tees} == 0 } "$name: without heartbeats no TEE is active";
        problem($t->get('/any'), 502, 'registry_empty', "$name: which is a problem");
        $evm->do('heartbeat three');
        eventually { $ask->($tees[2]) == 200 } "$name: a heartbeat brings one back";

        is $t->registry_status->{counters}{refresh_failed}, 0, "$name: no refresh has failed";
        $t->finish;
    }
}

done_testing;
