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

my $keys = vectors('keys')->{rsa_keys};

srand(4);

canonical();
bodies();
streams();

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

sub bodies {
	for my $c (@{ vectors('response_bodies')->{cases} }) {
		my %q = (op => 'verify_body', endpoint => $c->{endpoint},
			canonical_hex => unpack('H*', $c->{canonical_request}),
			body_hex => $c->{response_hex});

		answer("body $c->{name}", $c, %q);

		next if $c->{expect} ne 'ok';

		# everything that is signed, or says by whom

		tampered("body $c->{name}", \%q, body_hex => $c->{verifies_under});

		my @cut = grep { ask(%q, spki($c), body_hex =>
			substr($c->{response_hex}, 0, $_ * 2))->{ok} }
			0 .. length($c->{response_hex}) / 2 - 1;
		is("@cut", '', "body $c->{name}, every prefix refused");
	}
}

sub streams {
	for my $c (@{ vectors('sse_transcripts')->{cases} }) {
		my $hex = $c->{transcript_hex};
		my $n = length($hex) / 2;

		my %q = (op => 'verify_sse', transcript_hex => $hex,
			canonical_hex => unpack('H*', $c->{canonical_request}));

		answer("stream $c->{name}", $c, %q);
		answer("stream $c->{name}, byte by byte", $c, %q,
			splits => [ (1) x $n ]);

		for my $i (1 .. 8) {
			answer("stream $c->{name}, in pieces, $i", $c, %q,
				splits => pieces($n));
		}

		for my $crlf ("\r\n", "\r") {
			my $text = pack('H*', $hex) =~ s/\n/$crlf/gr;
			answer("stream $c->{name}, other line endings", $c, %q,
				transcript_hex => unpack('H*', $text),
				splits => pieces(length($text)));
		}

		next if $c->{expect} ne 'ok';

		tampered("stream $c->{name}", \%q,
			transcript_hex => $c->{verifies_under});

		my $text = pack('H*', $hex);
		my $other = ": a comment\n\nid: 1\nevent: x\n\n"
			. $text =~ s/data: /data:/gr;

		answer("stream $c->{name}, comments and fields", $c, %q,
			transcript_hex => unpack('H*', $other));

		# up to the signature, and without the event that has it

		my $end = rindex($text, 'tee_signature');
		my @cut = grep { ask(%q, spki($c), transcript_hex =>
			unpack('H*', substr($text, 0, $_)))->{ok} }
			map { int($end * $_ / 50) } 0 .. 50;

		# of two signed events, the first is enough for what is before it

		is("@cut", '', "stream $c->{name}, refused when cut")
			unless $c->{name} =~ /^two_signed/;
	}
}

sub answer {
	my ($name, $c, %q) = @_;

	%q = (%q, spki($c));

	if ($c->{expect} ne 'ok') {
		refused($name, %q);
		return;
	}

	my $key = $keys->{$c->{verifies_under}};
	my $r = ask(%q, expected_tee_id => $key->{tee_id});

	is("0x" . ($r->{tee_id} // ''), $key->{tee_id}, $name)
		or diag($r->{error});

	my $hash = ask(op => 'keccak256', data_hex => $c->{signed_content_hex});
	is($r->{output_hash_hex}, $hash->{digest_hex}, "$name, output hash");
}

sub tampered {
	my ($name, $q, $member, $key) = @_;
	my %q = (%$q, spki({ verifies_under => $key }));
	my $text = pack('H*', $q{$member});

	refused("$name, another request", %q,
		canonical_hex => $q{canonical_hex} . '20');
	refused("$name, another key", %q,
		spki({ verifies_under => $key eq 'tee_b' ? 'tee_a' : 'tee_b' }));
	refused("$name, another id expected", %q,
		expected_tee_id => '0x' . '00' x 32);

	for my $m (qw/tee_signature tee_request_hash tee_output_hash tee_id
		tee_timestamp/)
	{
		my $bad = $text =~ s/("$m": "?(?:0x)?[^"]{4})(.)/
			$1 . ($2 eq '3' ? '4' : '3')/egr;

		isnt($bad, $text, "$name has $m");
		refused("$name, another $m", %q, $member => unpack('H*', $bad));

		$bad = $text =~ s/"$m"/"x$m"/gr;
		refused("$name, no $m", %q, $member => unpack('H*', $bad));
	}
}

sub spki {
	my ($c) = @_;
	my $key = $keys->{$c->{verifies_under} // 'tee_a'};
	return (spki_hex => $key->{spki_der});
}

sub pieces {
	my ($n) = @_;
	my @pieces;

	while ($n) {
		my $piece = int(rand($n < 200 ? $n + 1 : 200));
		push @pieces, $piece;
		$n -= $piece;
	}

	return \@pieces;
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
