#!/usr/bin/perl
# What a registry's entries must be like to be used; one that is not does not
# spoil the others.

use FindBin;
use lib "$FindBin::Bin/lib";
use Tee::Test;

my $pcr = '0x' . 'aa' x 32;
my @good = (tee('one', pcrHash => $pcr), tee('two', pcrHash => '0x' . 'bb' x 32));
my $cert = Tee::Cert->new(name => 'bad.test');

sub bad { my ($key, $endpoint) = @_; return Tee::Cert::enclave($key, endpoint => $endpoint, cert => $cert) }

my @bad = (
    bad('bad1', 'http://127.0.0.1:8443'),
    bad('bad2', 'https://user@127.0.0.1:8443'),
    bad('bad3', 'https://127.0.0.1:0'),
    bad('bad4', 'https://127.0.0.1:70000'),
    bad('bad5', 'https://127.0.0.1:8443/path'),
    bad('bad6', 'ftp://127.0.0.1'),
    bad('bad7', 'https://127.0.0.1:8443?x'),
);

my $evm = Tee::Evm->new(tees => [ $bad[0], $good[0], @bad[1 .. 6], $good[1] ]);

sub start {
    my ($rules, %o) = @_;
    return Tee::Nginx->new(vars => { chain => $evm->conf }, %o, http => <<"CONF");
    tee_registry og { %%chain%% refresh 1s; refresh_min 1s; max_block_age 0; $rules }
    upstream tee { tee_peers og id=\$arg_id; }
    server {
        listen 127.0.0.1:%%PORT_http%%;
        location / { proxy_pass https://tee; }
        location /tee/status { tee_status; }
    }
CONF
}

sub ids { return join ' ', sort map $_->{id}, @_ }
sub listed { return ids(@{ $_[0]->registry_status->{entries} // [] }) }

{
    my $t = start('allow_private on;');
    eventually { $t->registry_status->{version} } 'a registry with bad entries is read';
    is listed($t), ids(@good), 'the good ones are used';
    is $t->registry_status->{skipped}, 7, 'the others are counted';
    is $t->logged(qr/\[warn\].*7 entries/), 1, 'and mentioned once';
    eventually { $t->registry_status->{counters}{refresh_ok} >= 3 } 'later refreshes';
    is $t->logged(qr/\[warn\].*entries/), 1, 'do not mention them again';
    $t->finish;
}

{
    my $t = start('');
    eventually { $t->registry_status->{version} } 'a registry with private addresses is read';
    is $t->registry_status->{tees}, 0, 'but they are not used unless that is allowed';
    is $t->registry_status->{skipped}, 9, 'and counted with the others';
    $t->finish;
}

{
    my $t = start("allow_private on; pcr $pcr;");
    eventually { $t->registry_status->{version} } 'an allow-list of images';
    is listed($t), ids($good[0]), 'lets one of them be used';
    is $t->get("/?id=$good[0]{id}")->{status}, 200, 'which answers';
    is $t->get("/?id=$good[1]{id}")->{status}, 404, 'the other is unknown';
    is $t->registry_status->{entries}[0]{pcr_hash}, $pcr, 'the status shows its image';
    $t->finish;
}

{
    my $t = start("allow_private on; pcr $pcr; pcr 0x@{[ 'BB' x 32 ]};");
    eventually { $t->registry_status->{version} } 'an allow-list may have several';
    is listed($t), ids(@good), 'each of them is used';
    $t->finish;
}

{
    my $t = start('allow_private on; type 1;');
    eventually { $t->registry_status->{version} } 'another type is asked for';
    is $t->registry_status->{tees}, 0, 'and has none';
    $t->finish;
}

done_testing;
