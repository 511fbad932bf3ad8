package Tee::Bhttp;

# Binary HTTP (RFC 9292), both lengths and both directions: what is inside of
# an Oblivious HTTP message that follows the RFC.
#
#   my $bytes = Tee::Bhttp::request(POST => '/path', headers => [ [ a => 'b' ] ],
#       content => 'text');
#       scheme, authority, trailers; indeterminate => 1; chunks => [...] in
#       place of content; pad => bytes of padding; cut => 1 leaves out what is
#       empty at the end
#   my $r = Tee::Bhttp::parse_response($bytes);
#   $r->{status}, $r->{headers}, $r->{content}, $r->{trailers}
#   $r->{informational}, $r->{indeterminate}, $r->{chunks}, $r->{padding}
#
# A response that is still coming is read by Tee::Bhttp::Reader.

use strict;
use warnings;

use Tee::Ohttp qw(varint);

use Exporter qw(import);

our @EXPORT_OK = qw(request parse_request response parse_response);


# Reading.  What is cut off dies with "cut"; what is empty at the end of a
# message may be left out.

sub _int {
    my ($s) = @_;

    my ($value, $n) = Tee::Ohttp::read_varint($$s, pos($$s) // 0)
        or die "cut\n";

    pos($$s) = (pos($$s) // 0) + $n;
    return $value;
}

sub _at_end { (pos(${ $_[0] }) // 0) == length ${ $_[0] } }

sub _text {
    my ($s, $optional) = @_;

    return '' if $optional && _at_end($s);

    my $n = _int($s);
    my $at = pos($$s) // 0;

    die "cut\n" if $at + $n > length $$s;

    pos($$s) = $at + $n;
    return substr $$s, $at, $n;
}

# 3.6, and 8.2.1 of RFC 9113

sub _valid {
    my ($fields) = @_;

    for my $field (@$fields) {
        my ($name, $value) = @$field;

        $name =~ /\A[!#\$%&'*+.^_`|~0-9a-z-]+\z/
            or die "not the name of a field: $name\n";
        $value !~ /[\0\r\n]|\A[ \t]|[ \t]\z/
            or die "not the value of $name: $value\n";
    }

    return $fields;
}

sub _fields {
    my ($s, $indeterminate, $optional) = @_;

    my @fields;

    return \@fields if $optional && _at_end($s);

    if (!$indeterminate) {
        my $section = _text($s);

        pos($section) = 0;
        push @fields, [ _text(\$section), _text(\$section) ]
            while !_at_end(\$section);
        return _valid(\@fields);
    }

    while ((my $name = _text($s)) ne '') {
        push @fields, [ $name, _text($s) ];
    }

    return _valid(\@fields);
}

sub _rest {
    my ($s, $r) = @_;

    if ($r->{indeterminate}) {
        $r->{chunks} = [];

        if (!_at_end($s)) {
            while ((my $chunk = _text($s)) ne '') {
                push @{ $r->{chunks} }, $chunk;
            }
        }

        $r->{content} = join '', @{ $r->{chunks} };

    } else {
        $r->{content} = _text($s, 1);
    }

    $r->{trailers} = _fields($s, $r->{indeterminate}, 1);

    $$s =~ /\G\0*\z/g or die "what follows is not padding\n";
    $r->{padding} = $+[0] - $-[0];
    return $r;
}

# undef if it is no request

sub parse_request {
    my ($s) = @_;

    return eval {
        my $form = _int(\$s);

        $form == 0 || $form == 2 or die "not a request\n";

        my %r = (indeterminate => $form == 2 ? 1 : 0,
            map { $_ => _text(\$s) } qw(method scheme authority path));

        $r{headers} = _fields(\$s, $r{indeterminate}, 1);
        _rest(\$s, \%r);
    };
}

sub parse_response {
    my ($s) = @_;

    return eval {
        my %r = _response_head(\$s);

        _rest(\$s, \%r);
    };
}

sub _response_head {
    my ($s) = @_;

    my $form = _int($s);

    $form == 1 || $form == 3 or die "not a response\n";

    my %r = (indeterminate => $form == 3 ? 1 : 0, informational => []);

    for (;;) {
        $r{status} = _int($s);
        $r{status} >= 100 && $r{status} < 600 or die "not a status\n";
        $r{headers} = _fields($s, $r{indeterminate}, $r{status} >= 200);

        return %r if $r{status} >= 200;

        push @{ $r{informational} },
            { status => $r{status}, headers => $r{headers} };
    }
}


# Writing

sub _pack { varint(length $_[0]) . $_[0] }

sub _section {
    my ($fields, $indeterminate) = @_;

    my $bytes = join '', map { _pack($_->[0]) . _pack($_->[1]) } @$fields;

    return $indeterminate ? "$bytes\0" : _pack($bytes);
}

sub _body {
    my ($o) = @_;

    my @parts = (_section($o->{headers} // [], $o->{indeterminate}));

    if ($o->{indeterminate}) {
        my @chunks = grep { length } @{ $o->{chunks} // [ $o->{content} // '' ] };

        push @parts, join('', map { _pack($_) } @chunks) . "\0";

    } else {
        push @parts, _pack($o->{content} // join '', @{ $o->{chunks} // [] });
    }

    push @parts, _section($o->{trailers} // [], $o->{indeterminate});

    if ($o->{cut}) {
        pop @parts while @parts && $parts[-1] eq "\0";
    }

    return join '', @parts, "\0" x ($o->{pad} // 0);
}

sub request {
    my ($method, $path, %o) = @_;

    return varint($o{indeterminate} ? 2 : 0)
        . join('', map { _pack($_) } $method, $o{scheme} // 'https',
            $o{authority} // 'inside.example', $path)
        . _body(\%o);
}

sub response {
    my ($status, $headers, $content, %o) = @_;

    my @lower = map { [ lc $_->[0], $_->[1] ] } @$headers;

    return varint($o{indeterminate} ? 3 : 1)
        . join('', map { varint($_->[0]) . _section($_->[1], $o{indeterminate}) }
            @{ $o{informational} // [] })
        . varint($status)
        . _body({ %o, headers => \@lower, content => $content });
}


package Tee::Bhttp::Reader;

# A response as it comes:
#
#   my $b = Tee::Bhttp::Reader->new;
#   for my $piece ($b->add($bytes)) { ... }     pieces of content
#   $b->{status}, $b->{headers}                 once they are known
#   $b->end                                     the trailers, or undef: cut

sub new { bless { in => '', state => 'head' }, $_[0] }

sub add {
    my ($self, $bytes) = @_;

    my @got;

    $self->{in} .= $bytes;

    if ($self->{state} eq 'head') {
        my $s = $self->{in};
        my %head = eval { Tee::Bhttp::_response_head(\$s) } or return;

        # the fields of a final status may be missing only at the very end
        return if pos($s) == length $s;

        substr $self->{in}, 0, pos $s, '';
        @{$self}{keys %head} = values %head;
        $self->{state} = $head{indeterminate} ? 'chunk' : 'length';
    }

    for (;;) {
        my ($len, $n) = $self->{state} eq 'chunk' || $self->{state} eq 'length'
            ? Tee::Ohttp::read_varint($self->{in}, 0) : ();

        if (defined $len) {
            substr $self->{in}, 0, $n, '';
            $self->{left} = $len;
            $self->{state} = $len == 0 ? 'end'
                : $self->{state} eq 'chunk' ? 'in chunk' : 'in content';
        }

        last if $self->{state} !~ /^in / || $self->{in} eq '';

        my $piece = substr $self->{in}, 0, $self->{left}, '';

        push @got, $piece;
        $self->{left} -= length $piece;

        next if $self->{left};
        $self->{state} = $self->{state} eq 'in chunk' ? 'chunk' : 'end';
    }

    return @got;
}

sub end {
    my ($self) = @_;

    if ($self->{state} eq 'head') {
        my $r = Tee::Bhttp::parse_response($self->{in}) // return undef;

        @{$self}{keys %$r} = values %$r;
        return $r->{trailers};
    }

    my $s = $self->{in};

    # what is empty at the end may be missing
    return undef if $self->{state} ne 'end'
        && ($s ne '' || $self->{state} =~ /^in /);

    return eval { Tee::Bhttp::_fields(\$s, $self->{indeterminate}, 1) };
}


1;
