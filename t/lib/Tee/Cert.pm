package Tee::Cert;

# Certificates and keys, and the enclaves of a registry that have them.
#
#   my $cert = Tee::Cert->new(name => 'tee1.test');
#   my $ca   = Tee::Cert->new(name => 'ca', ca => 1);
#   my $leaf = Tee::Cert->new(name => 'a.test', issuer => $ca, addresses => ['127.0.0.1']);
#   my $old  = Tee::Cert->new(name => 'b.test', from => time - 7200, to => time - 3600);
#   my $same = Tee::Cert->new(name => 'tee1.test', key_of => $cert);
#
#   my $tee  = Tee::Cert::enclave('one', endpoint => 'https://127.0.0.1:8443', cert => $cert);
#   Tee::Cert::registry($tee, ...)            the JSON of a file registry
#
# All files of one object lie in a scratch directory.

use strict;
use warnings;

use Crypt::Digest::Keccak256 qw(keccak256_hex);
use Crypt::PK::RSA;
use Digest::SHA qw(sha256_hex);
use IO::Socket::SSL::Utils;
use JSON::PP;
use MIME::Base64 qw(decode_base64 encode_base64);

use Tee::Util qw(build_dir scratch slurp spew);

my $dir;
my $serial = int(rand(1 << 30));

sub new {
    my ($class, %o) = @_;
    my $name = $o{name} // 'tee.test';
    $dir //= scratch();

    my $from = $o{key_of};
    my $key = $from ? PEM_string2key($from->{key}) : $o{rsa} ? KEY_create_rsa(2048) : KEY_create_ec('prime256v1');

    my ($cert) = CERT_create(
        CA => $o{ca} ? 1 : 0,
        subject => { commonName => $name },
        serial => ++$serial,
        key => $key,
        digest => 'sha256',
        not_before => $o{from} // time - 3600,
        not_after => $o{to} // time + 30 * 86400,
        $o{purpose} ? (purpose => $o{purpose}) : (),
        subjectAltNames => [ [ DNS => $name ], map [ IP => $_ ], @{ $o{addresses} // [] } ],
        $o{issuer} ? (issuer => [ PEM_string2cert($o{issuer}{pem}), PEM_string2key($o{issuer}{key}) ]) : (),
    );

    my $self = bless {
        name => $name,
        pem => PEM_cert2string($cert),
        key => PEM_key2string($key),
    }, $class;

    CERT_free($cert);
    KEY_free($key);

    $self->{der} = decode_base64($self->{pem} =~ s/-----.*?-----//gr);
    $self->{sha256} = sha256_hex($self->{der});
    $self->{file} = spew("$dir/$serial.pem", $self->{pem});
    $self->{keyfile} = spew("$dir/$serial.key", $self->{key});
    return $self;
}


# RSA keys take long to make: they are kept between runs, by name

sub signing_key {
    my ($name) = @_;
    my $keys = build_dir() . '/keys';
    mkdir $keys;
    my $file = "$keys/$name.pem";

    if (!-s $file) {
        my $key = KEY_create_rsa(2048);
        spew("$file.$$", PEM_key2string($key));
        KEY_free($key);
        link "$file.$$", $file;
        unlink "$file.$$";
    }

    return ($file, Crypt::PK::RSA->new($file)->export_key_der('public_x509'));
}

sub enclave {
    my ($name, %o) = @_;
    my ($file, $spki) = signing_key($o{key} // $name);
    return { name => $name, id => '0x' . keccak256_hex($spki), signing_key => $file, spki => $spki, %o };
}


# what registry.mjs takes

sub contract_entry {
    my ($tee) = @_;
    return {
        name => $tee->{name}, endpoint => $tee->{endpoint}, signingKey => $tee->{signing_key},
        cert => $tee->{cert}{file},
        map { defined $tee->{$_} ? ($_ => $tee->{$_}) : () }
            qw(hpkeKey keyId pcrHash owner paymentAddress teeType enabled),
    };
}

sub registry {
    my @tees = map +{
        endpoint => $_->{endpoint},
        tls_certificate => encode_base64($_->{cert}{der}, ''),
        signing_key => encode_base64($_->{spki}, ''),
        map { defined $_->[1] ? @$_ : () }
            [ pcr_hash => $_->{pcrHash} ], [ payment_address => $_->{paymentAddress} ],
            [ tee_type => $_->{teeType} ], [ enabled => $_->{enabled} ],
    }, @_;
    return JSON::PP->new->canonical->pretty->encode({ tees => \@tees });
}

1;
