#!/usr/bin/perl

# (C) The ngx_http_tee authors

# Runs what t/build has made of t/unit: each program prints its own TAP.

###############################################################################

use warnings;
use strict;

use Test::More;

use Cwd qw/realpath/;
use File::Basename qw/basename dirname/;
use FindBin;

###############################################################################

# where the driver has been built, the units are

my $build = $ENV{TEE_BUILD} // dirname(realpath("$FindBin::Bin/driver")
	// die "no t/driver: run t/build first\n");
my @sources = sort glob("$FindBin::Bin/unit/tee_*.c");

ok(scalar @sources, 'there are units');

for my $source (@sources) {
	my $unit = basename($source, '.c');
	my $program = "$build/unit/$unit";

	subtest $unit => sub {
		if (!-x $program) {
			fail("$program is built");
			return;
		}

		my @lines = map { chomp; $_ } `$program 2>&1`;
		my $status = $?;

		my @plan = grep { /^1\.\.\d+$/ } @lines;
		my @ok = grep { /^ok \d+ - / } @lines;
		my @other = grep { !/^(ok \d+ - |1\.\.\d+$)/ } @lines;

		is($status, 0, 'it ends well');
		is("@plan", '1..' . scalar @ok, 'as many tests as planned');
		is(join("\n", @other), '', 'no failure, and nothing else printed');
	};
}

done_testing();

###############################################################################
