package Tee::Json;

# JSON as Python reads and writes it, down to the byte: what an enclave signs
# is the text of json.dumps(request, sort_keys=True).  Numbers keep their
# spelling until they are written, since 1 and 1.0 are not the same there.
#
# In Perl: text is a string of characters, a number is num('1.0'), true and
# false are true() and false(), null is undef.  What is not JSON dies.

use strict;
use warnings;
no warnings qw(recursion surrogate nonchar non_unicode);

use Exporter qw(import);

our @EXPORT_OK = qw(parse dump_json num as_float true false);

my %SHORT = ("\b" => 'b', "\f" => 'f', "\n" => 'n', "\r" => 'r', "\t" => 't',
    '"' => '"', '\\' => '\\');
my %LONG = (reverse(%SHORT), '/' => '/');


sub num { bless { text => "$_[0]" }, 'Tee::Json::Number' }
sub true { bless { true => 1 }, 'Tee::Json::Bool' }
sub false { bless { true => 0 }, 'Tee::Json::Bool' }

sub as_float { bless { text => $_[0]{text}, float => 1 }, 'Tee::Json::Number' }


# Reading

sub parse {
    my ($bytes) = @_;

    my $s = $bytes;

    utf8::decode($s) && $s !~ /[^\0-\x{d7ff}\x{e000}-\x{10ffff}]/
        or die "not UTF-8\n";
    pos($s) = 0;

    my $value = _value(\$s, 0);

    $s =~ /\G[ \t\n\r]*\z/gc or die 'trailing text at ' . pos($s) . "\n";
    return $value;
}

sub _value {
    my ($s, $depth) = @_;

    die "nested too deep\n" if $depth > 900;

    $$s =~ /\G[ \t\n\r]*/gc;

    return _object($s, $depth + 1) if $$s =~ /\G\{/gc;
    return _array($s, $depth + 1) if $$s =~ /\G\[/gc;
    return _string($s) if $$s =~ /\G"/gc;
    return true() if $$s =~ /\Gtrue/gc;
    return false() if $$s =~ /\Gfalse/gc;
    return undef if $$s =~ /\Gnull/gc;

    $$s =~ /\G(-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?
               | NaN | -?Infinity)/xgc
        or die 'no value at ' . pos($$s) . "\n";

    my $text = $1;

    $text =~ /\A-?[0-9]{4301,}\z/ and die "the integer is too long\n";
    return num($text);
}

sub _object {
    my ($s, $depth) = @_;

    my %o;

    return \%o if $$s =~ /\G[ \t\n\r]*\}/gc;

    for (;;) {
        $$s =~ /\G[ \t\n\r]*"/gc or die 'no name at ' . pos($$s) . "\n";

        my $name = _string($s);

        $$s =~ /\G[ \t\n\r]*:/gc or die 'no colon at ' . pos($$s) . "\n";
        $o{$name} = _value($s, $depth);

        return \%o if $$s =~ /\G[ \t\n\r]*\}/gc;
        $$s =~ /\G[ \t\n\r]*,/gc or die 'no comma at ' . pos($$s) . "\n";
    }
}

sub _array {
    my ($s, $depth) = @_;

    my @a;

    return \@a if $$s =~ /\G[ \t\n\r]*\]/gc;

    for (;;) {
        push @a, _value($s, $depth);

        return \@a if $$s =~ /\G[ \t\n\r]*\]/gc;
        $$s =~ /\G[ \t\n\r]*,/gc or die 'no comma at ' . pos($$s) . "\n";
    }
}

sub _string {
    my ($s) = @_;

    my $text = '';

    for (;;) {
        $$s =~ /\G([^"\\\x00-\x1f]+)/gc and $text .= $1;

        return $text if $$s =~ /\G"/gc;

        if ($$s =~ /\G\\u([dD][89abAB][0-9a-fA-F]{2})
                     \\u([dD][c-fC-F][0-9a-fA-F]{2})/xgc)
        {
            $text .= chr 0x10000 + ((hex($1) & 0x3ff) << 10)
                + (hex($2) & 0x3ff);

        } elsif ($$s =~ /\G\\u([0-9a-fA-F]{4})/gc) {
            $text .= chr hex $1;

        } elsif ($$s =~ m{\G\\(["\\/bfnrt])}gc) {
            $text .= $LONG{$1};

        } else {
            die 'bad string at ' . pos($$s) . "\n";
        }
    }
}


# Writing

sub dump_json {
    my ($v) = @_;

    my $ref = ref $v;

    return 'null' if !defined $v;
    return _quote($v) if $ref eq '';
    return _number($v) if $ref eq 'Tee::Json::Number';
    return $v->{true} ? 'true' : 'false' if $ref eq 'Tee::Json::Bool';
    return '[' . join(', ', map { dump_json($_) } @$v) . ']' if $ref eq 'ARRAY';

    return '{' . join(', ', map { _quote($_) . ': ' . dump_json($v->{$_}) }
        sort keys %$v) . '}';
}

sub _quote {
    my ($s) = @_;

    $s =~ s{([^ !\x23-\x5b\x5d-\x7e])}{
        my $c = ord $1;

        $SHORT{$1} ? "\\$SHORT{$1}"
        : $c < 0x10000 ? sprintf('\\u%04x', $c)
        : sprintf('\\u%04x\\u%04x', 0xd7c0 + ($c >> 10), 0xdc00 + ($c & 0x3ff));
    }ge;

    return qq("$s");
}

sub _number {
    my ($n) = @_;

    my $text = $n->{text};

    return $text if $text =~ /N|I/;
    return _float($text) if $n->{float} || $text =~ /[.eE]/;
    return $text eq '-0' ? '0' : $text;
}

# The shortest digits that read back as the same double.  Rounding to n digits
# is not enough next to a power of two, so both neighbours are tried as well.

sub _float {
    my ($text) = @_;

    my $v = 0 + $text;

    return $v < 0 ? '-Infinity' : 'Infinity' if $v == 9**9**9 || $v == -9**9**9;
    return $text =~ /\A-/ ? '-0.0' : '0.0' if $v == 0;

    my $sign = $v < 0 ? '-' : '';

    $v = abs $v;

    for my $n (0 .. 16) {
        my ($digits, $exp) = sprintf("%.${n}e", $v) =~ /\A([0-9.]+)e(.+)\z/;

        $digits =~ tr/.//d;

        for my $d ($digits, $digits - 1, $digits + 1) {
            my $pow = $exp - $n;

            return $sign . _layout($d, $exp + length($d) - length $digits)
                if "${d}e$pow" == $v;
        }
    }

    die "no digits for $text\n";
}

sub _layout {                            # repr(): fixed from 1e-4 to 1e16
    my ($digits, $exp) = @_;

    $digits =~ s/(?<=.)0+\z//;

    my $n = length $digits;

    if ($exp < -4 || $exp >= 16) {
        my $rest = $n > 1 ? '.' . substr $digits, 1 : '';
        return substr($digits, 0, 1) . $rest . sprintf 'e%s%02d',
            $exp < 0 ? '-' : '+', abs $exp;
    }

    return '0.' . '0' x (-$exp - 1) . $digits if $exp < 0;
    return $digits . '0' x ($exp + 1 - $n) . '.0' if $n <= $exp + 1;
    return substr($digits, 0, $exp + 1) . '.' . substr $digits, $exp + 1;
}


1;
