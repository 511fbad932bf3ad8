#!/usr/bin/perl

# Each example is a configuration that nginx takes, as it stands but for the
# files that it names; together they have every directive.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;

use Crypt::PK::RSA;
use File::Basename qw(basename);

use Tee::Cert;
use Tee::Nginx;
use Tee::Ohttp;
use Tee::Util qw(root scratch slurp spew);

my $root = root();
my $dir = scratch();
my $cert = Tee::Cert->new(name => 'relay.example.com');
my $tee = Tee::Cert::enclave('one', endpoint => 'https://127.0.0.1:8443',
    cert => Tee::Cert->new);

mkdir "$dir/$_" for qw(logs tmp);
spew("$dir/tees.json", Tee::Cert::registry($tee));
spew("$dir/seed", 's' x 32);
spew("$dir/x25519.pem", Tee::Ohttp::key_pem(Tee::Ohttp::keygen()));
spew("$dir/sign.pem",
    Crypt::PK::RSA->new->generate_key(256)->export_key_pem('private'));
spew("$dir/token", "secret\n");
spew("$dir/ohttp-keys", pack 'n/a', Tee::Ohttp::key_config(
    Tee::Ohttp::public_key(Tee::Ohttp::keygen()), 1));
chmod 0600, map { "$dir/$_" } qw(seed x25519.pem sign.pem token);

# what there is on a real machine, and not on this one

my %HERE = (
    'modules/ngx_http_tee_module.so' => Tee::Nginx::module(),
    '/etc/nginx/gateway.pem' => $cert->{file},
    '/etc/nginx/gateway.key' => $cert->{keyfile},
    '/etc/nginx/tee/' => "$dir/",
    '/etc/nginx/relay.pem' => $cert->{file},
    '/etc/nginx/relay.key' => $cert->{keyfile},
    '/var/log/nginx/' => "$dir/logs/",
    '/var/lib/nginx/tee/' => "$dir/",
    '/run/nginx.pid' => "$dir/nginx.pid",
    'https://relay.example.com/' => 'https://127.0.0.1:8443/',
);
my $here = join '|', map { quotemeta } reverse sort keys %HERE;

# nginx -t binds nothing, but opens what it would log to and makes directories

sub nginx_t {
    my ($text) = @_;

    my $temp = join ' ', map { "${_}_temp_path $dir/tmp/$_;" }
        qw(client_body proxy fastcgi uwsgi scgi);

    $text =~ s/($here)/$HERE{$1}/g;
    $text =~ s/^http \{\n\K/    $temp\n/m;
    $text =~ s/^user .*;$//m if $> != 0;
    spew("$dir/nginx.conf", $text);

    my $env = Tee::Nginx::_env($dir);
    my $nginx = Tee::Nginx::binary();
    my $said = `$env $nginx -t -p $dir -c $dir/nginx.conf -e $dir/logs/e 2>&1`;

    return ($?, $said);
}

my @files = glob "$root/conf.example/*.conf";
my %seen;

cmp_ok(scalar @files, '>=', 4, 'there are examples');

for my $file (@files) {
    my $name = basename($file);
    my $text = slurp($file);
    my ($status, $said) = nginx_t($text);
    my @warnings = grep { /\[(?:warn|error)\]/ && !/"insecure"|not protected/ }
        split /\n/, $said;

    is($status, 0, "$name is a valid configuration") or diag($said);
    is("@warnings", '', "$name has no warnings");
    like($text, qr/\A# \S/, "$name says what it is for");

    my @long = grep { length > 80 } split /\n/, $text;

    is("@long", '', "$name is wrapped at 80 columns");
    $seen{$_} = 1 for $text =~ /^\s*(?:# )?(\w+)\b.*[;{]/mg;
}


# directives that no example shows

my @missing;

for my $page (glob "$root/docs/ngx_http_tee_*_module.md") {
    push @missing, grep { !$seen{$_} } slurp($page) =~ /^### (\w+)$/mg
        if slurp($page) =~ /^## Directives$/m;
}

# headings that are no directives have no syntax

@missing = grep { my $d = $_; grep { slurp($_) =~ /^\*\*Syntax:\*\* \*\*`$d`/m }
    glob "$root/docs/*.md" } @missing;
is("@missing", '', 'every directive is in an example');


# the demo's client and enclave are programs that start

for my $program ('conf.example/run', 't/enclave', 't/ask') {
    ok(-x "$root/$program", "$program can be run");
}

done_testing();
