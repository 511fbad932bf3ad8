#!/usr/bin/perl

# (C) The ngx_http_tee authors

# Holds what signatures cover against the vectors in t/vectors, through
# t/driver: canonical JSON is right, refused where Python or the gateway
# refuses, or one of the few that are "unsupported".

###############################################################################

use warnings;
use strict;

use Test::More;

use FindBin;
use IPC::Open2;
use JSON::PP;

###############################################################################

my $json = JSON::PP->new();
my $driver = ($ENV{TEE_BUILD} // $FindBin::Bin) . '/driver';

-x $driver or die "no $driver: run t/build first\n";

my $pid = open2(my $out, my $in, $driver);

# str() of a list and of an object, and more levels than 512

my %unsupported = map { $_ => 1 } ('raw depth_900',
	'chat user_parts_nested_list', 'chat user_content_object');

canonical();

close $in;
waitpid($pid, 0);
is($?, 0, 'the driver ends well at the end of its input');

done_testing();

###############################################################################

sub canonical {
	my $v = vectors('canonical_json');

	for my $c (@{ $v->{raw} }) {
		text("raw $c->{name}", raw => @$c{qw/input_hex canonical keccak256/});
	}

	for my $c (@{ $v->{chat} }) {
		text("chat $c->{name}", chat => $c->{input_hex},
			@{ $c->{gateway} }{qw/canonical keccak256/});
	}

	for my $c (@{ $v->{completions} }) {
		text("completions $c->{name}", completions =>
			@$c{qw/input_hex canonical keccak256/});
	}

	for my $c (@{ $v->{web_search} }) {
		text("web_search $c->{name}", web_search =>
			@$c{qw/ohttp_inner_hex canonical keccak256/});
	}
}

sub text {
	my ($name, $kind, $input, $canonical, $keccak256) = @_;
	my %q = (op => 'canonical', kind => $kind, input_hex => $input);

	if (!defined $canonical) {
		refused("canonical $name", %q);
		return;
	}

	my $r = ask(%q);

	if ($unsupported{$name}) {
		is($r->{error}, 'unsupported', "canonical $name is unsupported");
		return;
	}

	is(pack('H*', $r->{canonical_hex} // ''), $canonical, "canonical $name")
		or diag($r->{error});
	is($r->{keccak256}, $keccak256, "canonical $name, hash");
}

###############################################################################

sub refused {
	my ($name, %q) = @_;
	my $r = ask(%q);
	like($r->{error} // 'accepted',
		qr/^(malformed|unsupported|limit|crypto|incomplete)$/,
		"$name refused");
}

sub ask {
	my (%q) = @_;
	print $in $json->encode(\%q), "\n";
	$in->flush();
	my $answer = <$out> // die "no answer\n";
	return $json->decode($answer);
}

sub vectors {
	my ($name) = @_;
	open my $fh, '<', "$FindBin::Bin/vectors/$name.json" or die "$name: $!\n";
	local $/;
	return $json->decode(scalar <$fh>);
}

###############################################################################
