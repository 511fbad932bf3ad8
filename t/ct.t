#!/usr/bin/perl

# (C) The ngx_http_tee authors

# No branch and no address of ours depends on a secret; t/ct/run prints TAP.

###############################################################################

use warnings;
use strict;

use Test::More;

use FindBin;

###############################################################################

my $build = $ENV{TEE_BUILD} ? "$ENV{TEE_BUILD}/ct" : '';
my @lines = map { chomp; $_ } `$FindBin::Bin/ct/run $build 2>&1`;
my $status = $?;

for my $line (@lines) {
	if ($line =~ /^(not )?ok \d+ - (.*)/) {
		ok(!$1, $2);
	} elsif ($line !~ /^1\.\.\d+$/) {
		diag($line);
	}
}

is($status, 0, 'it ends well');

done_testing();

###############################################################################
