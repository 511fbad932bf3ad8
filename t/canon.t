#!/usr/bin/perl

# (C) The ngx_http_tee authors

# Canonical JSON against CPython's json, on generated texts: t/canon.py makes
# them and compares.  TEE_SEED is a number for other ones.

###############################################################################

use warnings;
use strict;

use Test::More;

use FindBin;

###############################################################################

my $driver = ($ENV{TEE_BUILD} // $FindBin::Bin) . '/driver';
my $seed = $ENV{TEE_SEED} // 1;

-x $driver or die "no $driver: run t/build first\n";

open my $fh, '-|', 'python3', "$FindBin::Bin/canon.py", $driver, $seed
	or die "no python3: $!\n";

my @lines = map { [ split ] } <$fh>;

ok(close($fh), 'CPython and the driver end well');

is("@{[ map { $_->[0] } @lines ]}", 'documents chats doubles doubles',
	'all kinds of texts');

for (@lines) {
	my ($name, $n, $refused, $unsupported, $wrong) = @$_;

	is($wrong, 0, "$n $name, all of them right or unsupported");

	# more of either would be a test of little

	cmp_ok($refused, '<', $n / 2, "$name, few that Python refuses");
	cmp_ok($unsupported, '<', $n / 10, "$name, few that are unsupported")
		or diag("$unsupported of $n, seed $seed");
	is($unsupported, 0, "$name, none unsupported") if $name ne 'chats';
}

done_testing();

###############################################################################
