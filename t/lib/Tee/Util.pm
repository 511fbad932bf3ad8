package Tee::Util;

# What all the test modules share.  Nothing waits by sleeping for a guessed
# time: wait_until() polls for a condition, with a bound.

use strict;
use warnings;

use Cwd qw(abs_path);
use Exporter qw(import);
use File::Basename qw(dirname);
use File::Temp qw(tempdir);
use IO::Socket::IP;
use Time::HiRes qw(sleep time);

our @EXPORT_OK = qw(root build_dir scratch wait_until slurp spew free_port patience);

sub root { return abs_path(dirname(__FILE__) . '/../../..') }

sub build_dir {
    my $dir = root() . '/t/.build';
    mkdir $dir;
    return $dir;
}


# a directory that goes with the test

sub scratch { return tempdir('tee-XXXXXXXX', TMPDIR => 1, CLEANUP => 1) }


# everything takes longer under a sanitizer

sub patience { return $_[0] * ($ENV{TEE_SANITIZE} ? 5 : 1) }

sub wait_until(&;$) {
    my ($condition, $seconds) = @_;
    my $end = time + patience($seconds // 10);

    while (1) {
        my $value = $condition->();
        return $value if $value;
        return 0 if time > $end;
        sleep 0.01;
    }
}

sub slurp {
    my ($file) = @_;
    open my $in, '<:raw', $file or return '';
    local $/;
    return scalar(<$in>) // '';
}

sub spew {
    my ($file, $text, $mode) = @_;
    open my $out, '>:raw', "$file.new" or die "$file: $!\n";
    print $out $text;
    close $out or die "$file: $!\n";
    chmod $mode, "$file.new" if defined $mode;
    rename "$file.new", $file or die "$file: $!\n";
    return $file;
}


# The kernel picks, and may give the port to somebody else before it is used:
# whoever uses one tries again on "Address already in use".

sub free_port {
    my ($address) = @_;
    my $socket = IO::Socket::IP->new(Listen => 1, LocalAddr => $address // '127.0.0.1', LocalPort => 0)
        or die "no port: $@\n";
    return $socket->sockport;
}

1;
