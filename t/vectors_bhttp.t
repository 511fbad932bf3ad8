#!/usr/bin/perl

# (C) The ngx_http_tee authors

# Holds binary HTTP against the vectors in t/vectors, through t/driver, and
# against the reader in t/lib, which knows nothing of ours.

###############################################################################

use warnings;
use strict;

use Test::More;

use FindBin;
use IPC::Open2;
use JSON::PP;

use lib "$FindBin::Bin/lib";

use Tee::Bhttp;

###############################################################################

my $json = JSON::PP->new()->canonical();
my $driver = ($ENV{TEE_BUILD} // $FindBin::Bin) . '/driver';

-x $driver or die "no $driver: run t/build first\n";

my $pid = open2(my $out, my $in, $driver);

srand(9292);

cases();
examples();
exchanges();
inner();
limits();

close $in;
waitpid($pid, 0);
is($?, 0, 'the driver ends well at the end of its input');

done_testing();

###############################################################################

# Where the RFC leaves a choice, a message is read, and what to do with it is
# the gateway's matter.

sub cases {
	for my $c (@{ vectors('bhttp_cases')->{cases} }) {
		my $kind = $c->{kind} // 'request';
		my $r = same($kind, $c->{bhttp}, $c->{name});

		if ($c->{expect} eq 'reject') {
			refused($r, $c->{name});
			next;
		}

		ok($r->{ok}, "$c->{name} accepted") or diag($r->{error});

		my $other = $kind eq 'request' ? 'response' : 'request';
		is(ask($other, $c->{bhttp})->{error}, 'malformed',
			"$c->{name}, no $other");

		# t/lib takes no pseudo-fields

		read_alike($kind, $c->{bhttp}, $r, $c->{name})
			if $c->{expect} eq 'accept' && $c->{name} !~ /pseudo/;
	}
}

sub examples {
	for my $v (@{ vectors('bhttp_rfc9292')->{vectors} }) {
		my $kind = $v->{framing} & 1 ? 'response' : 'request';
		my $r = same($kind, $v->{bhttp}, $v->{name});

		read_alike($kind, $v->{bhttp}, $r, $v->{name});
		http1($v, $r);
		prefixes($kind, $v->{bhttp}, $v->{name});
		mutations($kind, $v->{bhttp}, $v->{name});

		my $short = substr($v->{bhttp}, 0,
			-2 * ($v->{truncatable_bytes} // 0) || 1e6);
		my $s = ask($kind, $short);
		is_deeply($s, $r, "$v->{name}, without what is empty at its end");
	}
}

# The message as the RFC has it in HTTP/1.1; what is about the connection, and
# the spelling of names, is left out in the binary form.

sub http1 {
	my ($v, $r) = @_;
	my ($start, %got) = ('');

	for my $head (split /\r\n\r\n/, $v->{http1}) {
		($start, my @lines) = split /\r\n/, $head;
		last if $start !~ m!^HTTP/1\.1 1| HTTP/1\.1$|^HTTP/1\.1 2!;
		$got{$start} = [ map { /^([^:]+): (.*)/ ? [ lc $1, $2 ] : () }
			@lines ];
	}

	for my $start (keys %got) {
		my @want = grep { $_->[0] ne 'transfer-encoding' }
			@{ $got{$start} };
		my $fields = $r->{headers};

		if ($start =~ m!^HTTP/1\.1 (1\d\d)!) {
			($fields) = map { $_->{headers} }
				grep { $_->{status} == $1 } @{ $r->{informational} };

		} elsif ($start =~ m!^HTTP/1\.1 (\d+)!) {
			is($r->{status}, $1, "$v->{name}, status");

		} else {
			is("$r->{method} $r->{path} HTTP/1.1", $start,
				"$v->{name}, request line");
		}

		is_deeply(fields($fields), \@want, "$v->{name}, fields of $start");
	}
}

sub exchanges {
	for my $name (qw/ohttp_rfc9458 ohttp_chunked_draft/) {
		my $v = vectors($name);
		exchange($name, $v->{request_bhttp}, $v->{response_bhttp});
	}

	for my $v (@{ vectors('ohttp_generated')->{vectors} }) {
		exchange("generated $v->{name}", $v->{request_bhttp},
			$v->{response_bhttp});
	}

	for my $v (@{ vectors('ohttp_chunked_generated')->{vectors} }) {
		exchange("generated $v->{name}", join('', @{ $v->{request_chunks} }),
			join('', @{ $v->{response_chunks} }));
	}
}

sub exchange {
	my ($name, %bhttp) = ($_[0], request => $_[1], response => $_[2]);

	for my $kind (sort keys %bhttp) {
		my $r = same($kind, $bhttp{$kind}, "$name, $kind");

		# the one of 16 KiB has any bytes for a response

		if ($kind eq 'response' && $bhttp{$kind} !~ /^0[13]/) {
			is($r->{error}, 'malformed', "$name, $kind refused");
			next;
		}

		read_alike($kind, $bhttp{$kind}, $r, "$name, $kind");
		next if length $bhttp{$kind} > 1024;

		prefixes($kind, $bhttp{$kind}, "$name, $kind");
		mutations($kind, $bhttp{$kind}, "$name, $kind");
	}
}

# Requests that open, and whose content is what is wrong.

sub inner {
	my $v = vectors('ohttp_negative');

	for my $c (grep { $_->{error_layer} eq 'inner' } @{ $v->{cases} }) {
		my $opened = line($json->encode({ op => 'request_open',
			key_id => $v->{key_id} + 0, kem_id => $v->{kem_id} + 0,
			skR => $v->{skR}, wire_hex => $c->{wire},
			chunked => JSON::PP::false }));
		my $hex = $opened->{plaintext_hex};

		ok(defined $hex, "$c->{name}, opens") or next;

		my $r = same('request', $hex, $c->{name});

		if ($c->{name} =~ /Expect/) {
			is_deeply([ grep { lc $_->[0] eq 'expect' }
				@{ fields($r->{headers}) } ],
				[ [ expect => '100-continue' ] ],
				"$c->{name}, for the gateway to see");
			next;
		}

		refused($r, $c->{name});
	}
}

sub limits {
	my $get = '000347455405687474707301' . '61012f';

	for my $hex ('00ffffffffffffffff', $get . 'ffffffffffffffff',
		$get . '00ffffffffffffffff', '02' . substr($get, 2)
		. 'ffffffffffffffff', '02' . substr($get, 2)
		. '00ffffffffffffffff')
	{
		is(same('request', $hex, 'a huge length')->{error}, 'limit',
			"a huge length in $hex");
	}
}

###############################################################################

# As t/lib reads it.

sub read_alike {
	my ($kind, $hex, $r, $name) = @_;
	my $want = expected($kind, $hex);

	is_deeply($r, $want, "$name, as t/lib reads it")
		or diag($json->encode([ $r, $want ]));
}

sub expected {
	my ($kind, $hex) = @_;
	my $bytes = pack('H*', $hex);
	my $r = $kind eq 'request' ? Tee::Bhttp::parse_request($bytes)
		: Tee::Bhttp::parse_response($bytes);

	return undef unless $r;

	my %r = (ok => JSON::PP::true, headers => hex_fields($r->{headers}),
		trailers => hex_fields($r->{trailers}),
		content_hex => unpack('H*', $r->{content}));

	if ($kind eq 'request') {
		$r{$_} = $r->{$_} for qw/method scheme authority path/;
		return \%r;
	}

	$r{status} = $r->{status};
	$r{informational} = [ map { { status => $_->{status},
		headers => hex_fields($_->{headers}) } }
		@{ $r->{informational} } ];

	return \%r;
}

# Both agree where a message may end.

sub prefixes {
	my ($kind, $hex, $name) = @_;
	my (@ours, @theirs);

	for my $n (0 .. length($hex) / 2) {
		my $cut = substr($hex, 0, 2 * $n);
		push @ours, $n if ask($kind, $cut)->{ok};
		push @theirs, $n if expected($kind, $cut);
	}

	is("@ours", "@theirs", "$name, where it may end");
}

# What is left of a message that was changed; t/lib does not look at what a
# request asks for, takes no pseudo-fields and no names in upper case, and we
# take no lengths that we would not keep.

sub mutations {
	my ($kind, $hex, $name) = @_;
	my ($differ, $both) = ('', 0);

	for (1 .. 200) {
		my $bytes = pack('H*', $hex);

		substr($bytes, int rand length $bytes, 1)
			= chr(rand() < 0.5 ? int rand 256 : int rand 8)
			for 0 .. int rand 3;

		my $changed = unpack('H*', $bytes);
		my $r = ask($kind, $changed);
		my $want = expected($kind, $changed);

		next if !$r->{ok} && !$want;

		if ($r->{ok} && $want) {
			$both++;
			next if $json->encode($r) eq $json->encode($want);

		} elsif ($r->{ok}) {
			my @fields = (@{ $r->{headers} }, @{ $r->{trailers} },
				map { @{ $_->{headers} } }
				@{ $r->{informational} // [] });
			next if grep { pack('H*', $_->[0]) =~ /^:|[A-Z]/ } @fields;

		} else {
			next if $kind eq 'request';
		}

		$differ = "$changed: " . $json->encode([ $r, $want ]);
	}

	is($differ, '', "$name, changed");
}

# The answer for the whole message; it is the same for all of its pieces.

sub same {
	my ($kind, $hex, $name) = @_;
	my $n = length($hex) / 2;
	my $r = ask($kind, $hex);
	my @splits = $n < 4096 ? ([ (1) x $n ], [ $n, 0, 0 ]) : ([ $n ]);

	for (1 .. 10) {
		my ($left, @s) = ($n);
		while ($left) {
			my $l = 1 + int rand($left < 64 ? $left : 64);
			push @s, $l;
			$left -= $l;
		}
		push @splits, \@s;
	}

	my @other = grep { $json->encode(ask($kind, $hex, $_))
		ne $json->encode($r) } @splits;
	is(scalar @other, 0, "$name, in pieces");

	return $r;
}

sub refused {
	my ($r, $name) = @_;
	like($r->{error} // 'accepted', qr/^(malformed|limit|incomplete)$/,
		"$name refused");
}

sub fields {
	return [ map { [ map { pack('H*', $_) } @$_ ] } @{ $_[0] } ];
}

sub hex_fields {
	return [ map { [ map { unpack('H*', $_) } @$_ ] } @{ $_[0] } ];
}

sub ask {
	my ($kind, $hex, $splits) = @_;
	return line($json->encode({ op => "bhttp_$kind", bhttp_hex => $hex,
		$splits ? (splits => $splits) : () }));
}

sub line {
	my ($line) = @_;
	print $in $line, "\n";
	$in->flush();
	my $answer = <$out> // die "no answer to $line\n";
	return $json->decode($answer);
}

sub vectors {
	my ($name) = @_;
	open my $fh, '<', "$FindBin::Bin/vectors/$name.json" or die "$name: $!\n";
	local $/;
	return $json->decode(scalar <$fh>);
}

###############################################################################
