package Tee::Bhttp;

# Binary HTTP (RFC 9292), messages of known length: what is inside of an
# Oblivious HTTP request that follows the RFC.

use strict;
use warnings;

use Tee::Ohttp qw(varint);

use Exporter qw(import);

our @EXPORT_OK = qw(parse_request response);


sub _int {
    my ($s) = @_;

    my ($value, $n) = Tee::Ohttp::read_varint($$s, 0) or die "cut\n";

    substr($$s, 0, $n) = '';
    return $value;
}

# What is empty at the end of a message may be left out.

sub _text {
    my ($s, $optional) = @_;

    return '' if $optional && $$s eq '';

    my $n = _int($s);

    die "cut\n" if $n > length $$s;
    return substr $$s, 0, $n, '';
}

sub _fields {
    my ($s) = @_;

    my $section = _text($s, 1);
    my @fields;

    push @fields, [ _text(\$section), _text(\$section) ] while length $section;
    return \@fields;
}

# undef if it is no request

sub parse_request {
    my ($s) = @_;

    return eval {
        _int(\$s) == 0 or die "not a request of known length\n";

        my %r = map { $_ => _text(\$s) } qw(method scheme authority path);

        $r{headers} = _fields(\$s);
        $r{content} = _text(\$s, 1);
        $r{trailers} = _fields(\$s);

        $s =~ /\A\0*\z/ or die "what follows is not padding\n";
        \%r;
    };
}

sub _pack { varint(length $_[0]) . $_[0] }

sub response {
    my ($status, $headers, $content) = @_;

    my $fields = join '', map { _pack(lc $_->[0]) . _pack($_->[1]) } @$headers;

    return varint(1) . varint($status) . _pack($fields) . _pack($content)
        . varint(0);
}


1;
