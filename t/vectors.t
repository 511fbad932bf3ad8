#!/usr/bin/perl

# (C) The ngx_http_tee authors

# Holds the pure layers against the vectors in t/vectors, through t/driver.

###############################################################################

use warnings;
use strict;

use Test::More;

use FindBin;
use IPC::Open2;
use JSON::PP;

###############################################################################

my $json = JSON::PP->new()->allow_bignum();
my $driver = ($ENV{TEE_BUILD} // $FindBin::Bin) . '/driver';

-x $driver or die "no $driver: run t/build first\n";

my $pid = open2(my $out, my $in, $driver);

my $keys = vectors('keys');

keccak();
tee_ids();
abi();
abi_calls();
jsonrpc();
configs();
key_configs();
billing();
signatures();
lines();

close $in;
waitpid($pid, 0);
is($?, 0, 'the driver ends well at the end of its input');

done_testing();

###############################################################################

sub keccak {
	for my $v (@{ vectors('tee_id')->{keccak_kat} }) {
		my $r = ask(op => 'keccak256', data_hex => $v->{in});
		is($r->{digest_hex}, $v->{out}, 'keccak256 of '
			. length($v->{in}) / 2 . ' bytes');
	}

	my $c = vectors('ohttp_config_sig');
	my $r = ask(op => 'keccak256', data_hex => unpack('H*', $c->{domain}));
	is($r->{digest_hex}, $c->{domain_keccak}, 'keccak256 of the domain');
}

sub tee_ids {
	my $v = vectors('tee_id');

	for my $c (@{ $v->{cases} }) {
		my $r = ask(op => 'tee_id', spki_hex => $c->{spki_der});
		is('0x' . ($r->{tee_id} // ''), $c->{tee_id}, "tee_id $c->{name}");

		for my $form (qw/spki_pem spki_pem_crlf/) {
			refused("tee_id $c->{name} as $form", op => 'tee_id',
				spki_hex => unpack('H*', $c->{$form}));
		}

		my $n = length($c->{spki_der}) / 2;
		my @bad = grep { ask(op => 'tee_id', spki_hex =>
			substr($c->{spki_der}, 0, $_ * 2))->{ok} } 0 .. $n - 1;
		is("@bad", '', "tee_id $c->{name}, every prefix refused");
	}

	for my $c (@{ $v->{pitfalls} }) {
		next unless $c->{der};
		refused("tee_id pitfall $c->{name}", op => 'tee_id',
			spki_hex => $c->{der});
	}
}

sub abi {
	my $v = vectors('registry_abi');

	for my $c (@{ $v->{vectors} }) {
		my ($f, $name) = ($c->{function}, "abi $c->{abi} $c->{note}");

		if ($f eq 'getActiveTEEs(uint8)') {
			my $r = ask(op => 'abi_tees', result => $c->{result});
			is_deeply($r->{tees}, [ map { tee($_) } @{ $c->{expect} } ],
				$name) or diag($r->{error});
			is_deeply($r->{skipped}, [], "$name, none skipped");

		} elsif ($f =~ /^get(Enabled|Active)TEEs/ && !ref $c->{expect}[0]) {
			my $r = ask(op => 'abi_ids', result => $c->{result});
			is_deeply($r->{ids}, [ map { bare($_) } @{ $c->{expect} } ],
				"$name, ids");
		}
	}

	for my $c (@{ $v->{semantic} }) {
		my $r = ask(op => 'abi_tees', result => $c->{result});
		is_deeply([ map { "0x$_->{tee_id}" } @{ $r->{tees} } ],
			$c->{usable_tee_ids}, "abi semantic $c->{name}");

		if ($c->{name} =~ /^hpke_key_id/) {
			ok($r->{tees}[0]{ohttp}, "abi semantic $c->{name}, OHTTP");

		} elsif ($c->{name} =~ /^(hpke|key_config)/) {
			ok(!$r->{tees}[0]{ohttp}, "abi semantic $c->{name}, no OHTTP");
		}
	}

	for my $c (@{ $v->{malformed} }) {
		next unless $c->{function} eq 'getActiveTEEs(uint8)';
		malformed($c);
	}
}

sub malformed {
	my ($c) = @_;

	my $r = ask(op => 'abi_tees', result => $c->{result});
	my $name = "abi malformed $c->{name}";
	my $skipped = @{ $r->{skipped} // [] };
	my $some = grep { $_->{ohttp} } @{ $r->{tees} // [] };

	if ($c->{expect} eq 'accept') {
		ok($r->{ok} && !$skipped, $name);

	} elsif ($c->{expect} eq 'accept_dedupe') {
		is_deeply([ map { $_->{error} } @{ $r->{skipped} } ],
			[ 'duplicate' ], $name);

	} elsif ($c->{expect} eq 'reject_entry') {
		ok($r->{ok} && $skipped == 1, $name);

	} elsif ($c->{expect} eq 'reject_or_accept') {
		isnt($r->{error} // '', 'driver', $name);

	} elsif ($c->{name} eq 'v2_tuple_under_v3_decoder') {
		ok($r->{ok} && !$skipped && !$some, "$name, taken for what it is");

	} elsif ($c->{name} =~ /^dirty_(uint16_kem|keyid)$/) {
		ok($r->{ok} && !$r->{tees}[0]{ohttp}, "$name, no OHTTP");

	} elsif ($c->{name} =~ /^(dirty_uint8|bool_2)$/) {
		is_deeply($r->{skipped}, [ { index => 0,
			error => 'value out of range' } ], $name);

	} else {
		is($r->{error}, 'malformed', $name);
	}
}

sub abi_calls {
	my $v = vectors('registry_abi');
	my ($one) = grep { $_->{note} eq '3 TEEs'
		&& $_->{function} eq 'getEnabledTEEs(uint8)' } @{ $v->{vectors} };
	my $result = $one->{result};

	my @cut = grep { ask(op => 'abi_ids',
		result => substr($result, 0, 2 + $_ * 2))->{ok} }
		0 .. length($result) / 2 - 2;
	is("@cut", '', 'abi_ids, every prefix refused');

	ok(ask(op => 'abi_ids', result => $result . '00' x 32)->{ok},
		'abi_ids, a word behind the list');
	refused('abi_ids, half a word behind the list', op => 'abi_ids',
		result => $result . '00' x 16);
}

sub jsonrpc {
	my $v = vectors('registry_abi')->{json_rpc};

	for my $c (@{ $v->{responses} }) {
		my $body = exists $c->{raw} ? $c->{raw} : $json->encode($c->{body});
		my %q = (op => 'jsonrpc', id => 1, body_hex => unpack('H*', $body));

		if ($c->{expect} eq 'accept') {
			is(ask(%q)->{result}, $c->{body}{result}, "jsonrpc $c->{name}");
		} else {
			refused("jsonrpc $c->{name}", %q);
		}
	}

	my $body = $json->encode($v->{chain_id_response});
	is(ask(op => 'jsonrpc', id => 2, body_hex => unpack('H*', $body))
		->{result}, '0x29f4', 'jsonrpc chain id');
}

sub configs {
	my $v = vectors('ohttp_config_sig');

	for my $c (@{ $v->{valid} }) {
		my $e = $c->{endpoint_json} or next;
		is(config($e, $c->{signing_key})->{tee_id}, $c->{tee_id},
			"ohttp_config $c->{name}");

		my ($other) = grep { $_ ne $c->{signing_key} } qw/tee_a tee_b/;
		is(config($e, $other)->{error}, 'crypto',
			"ohttp_config $c->{name}, another key");

		for my $m (sort keys %$e) {
			my %less = %$e;
			delete $less{$m};
			ok(!config(\%less, $c->{signing_key})->{ok},
				"ohttp_config $c->{name} without $m");
		}
	}

	for my $c (@{ $v->{invalid} }) {
		my $r = config($c->{endpoint_json}, $c->{signing_key});
		ok(!$r->{ok} && $r->{error} ne 'driver',
			"ohttp_config $c->{name} refused");
	}
}

sub config {
	my ($e, $key) = @_;
	return ask(op => 'ohttp_config',
		json_hex => unpack('H*', $json->encode($e)),
		spki_hex => $keys->{rsa_keys}{$key}{spki_der});
}

sub key_configs {
	for my $c (@{ vectors('ohttp_keyconfig')->{cases} }) {
		my $name = "key_config $c->{name}";
		my %q = (op => 'key_config', blob_hex => $c->{blob});

		if (!$c->{valid}) {
			refused($name, %q);
			next;
		}

		my $r = ask(%q);
		is($r->{key_id}, $c->{key_id}, "$name, id");
		is($r->{public_key_hex}, $c->{public_key}, "$name, key");
		is_deeply($r->{suites}, $c->{suites}, "$name, suites");
	}

	for my $c (@{ vectors('key_configs')->{cases} }) {
		my $name = "key_configs $c->{name}";
		my %q = (op => 'key_configs', content_hex => $c->{content});

		if ($c->{expect} eq 'reject') {
			refused($name, %q);
			next;
		}

		# X-Wing is not ours

		my @usable = grep { $_ != 4 } @{ $c->{usable_key_ids} };
		is_deeply(ask(%q)->{key_ids}, \@usable, $name);
	}
}

sub billing {
	my $v = vectors('ohttp_chunked');
	my $b = $v->{billing};

	stripped('billing_strip', @$b{qw/gateway_wire relay_output_wire/},
		$b->{json_utf8});
	stripped('billing_strip, single chunk', @{ $b->{single_chunk_variant} }
		{qw/gateway_wire relay_output_wire/}, $b->{json_utf8});

	for my $c (@{ $v->{positive} }) {
		stripped("billing_strip, nothing in $c->{name}", $c->{wire},
			$c->{wire}, undef);
	}

	for my $c (@{ $b->{negatives} }) {
		my $wire = $c->{gateway_wire} or next;

		my @r = map { ask(op => 'billing_strip', wire_hex => $wire,
			splits => $_)->{error} } splits($wire);
		is(scalar(grep { defined && /^(malformed|limit|incomplete)$/ } @r),
			scalar @r, "billing_strip $c->{name} refused") or diag("@r");
	}

	# in the middle of a chunk the frame is data

	my ($first) = @{ $v->{positive} };
	my $wire = substr($first->{wire}, 0, 64) . sprintf('%04x', 0x4000 + 32
		+ length($b->{frame}) / 2) . '00' x 16 . $b->{frame} . '00' x 16
		. '00' . '00' x 16;
	stripped('billing_strip, a frame inside of a chunk', $wire, $wire, undef);

	$wire = $b->{gateway_wire};
	my @bad = grep { ask(op => 'billing_strip',
		wire_hex => substr($wire, 0, $_ * 2))->{ok} }
		0 .. length($b->{frame}) / 2 + $b->{frame_offset} + 16;
	is("@bad", '', 'billing_strip, every cut before the last tag refused');
}

sub stripped {
	my ($name, $wire, $want, $frame) = @_;
	my @r = map { ask(op => 'billing_strip', wire_hex => $wire,
		splits => $_) } splits($wire);

	is(scalar(grep { ($_->{wire_hex} // '') eq $want } @r), scalar @r,
		"$name, wire");
	is(scalar(grep { ($_->{billing} // 'none') eq ($frame // 'none') } @r),
		scalar @r, "$name, frame");
}

sub splits {
	my $n = length($_[0]) / 2;
	my @r = ([ $n ]);

	push @r, [ (1) x $n ] if $n < 4096;

	srand(9458);

	for (1 .. 20) {
		my ($left, @s) = ($n);
		while ($left) {
			my $l = 1 + int rand($left < 64 ? $left : 64);
			$l = 1 + int rand($left) if $n > 4096;
			push @s, $l;
			$left -= $l;
		}
		push @r, \@s;
	}

	return @r;
}

sub signatures {
	my $v = vectors('signatures');

	for my $c (@{ $v->{valid} }) {
		is_deeply(verify($c), { ok => JSON::PP::true },
			"sig_verify $c->{name}");
		is(ask(op => 'msg_hash', request_hash_hex => $c->{input_hash},
			output_hash_hex => $c->{output_hash},
			timestamp => $c->{timestamp})->{msg_hash_hex},
			$c->{msg_hash}, "msg_hash $c->{name}");
	}

	for my $c (@{ $v->{invalid} }) {
		is(verify($c)->{error}, 'crypto', "sig_verify $c->{name} refused");
	}

	my ($basic) = grep { $_->{name} eq 'basic' } @{ $v->{valid} };

	for my $c (@{ $v->{base64_of_basic} }) {
		my $r = verify({ %$basic, signature_b64 => $c->{text} });
		is($r->{ok} ? 1 : 0, $c->{strict_ok} ? 1 : 0,
			"sig_verify, base64 $c->{name}");
	}
}

sub verify {
	my ($c) = @_;
	return ask(op => 'sig_verify', msg_hash_hex => $c->{msg_hash},
		signature_b64 => $c->{signature_b64},
		spki_hex => $keys->{rsa_keys}{$c->{key}}{spki_der});
}

sub lines {
	for my $line ('', '{', '[]', '{"op":1}', '{"op":"no such"}',
		'{"op":"keccak256"}', '{"op":"keccak256","data_hex":"0"}', "\xff")
	{
		is(line($line), '{"ok":false,"error":"driver"}',
			'a bad line is answered') or diag($line);
	}
}

###############################################################################

sub tee {
	my ($e) = @_;
	my %t = map { $_ => $e->{$_} } qw/endpoint tee_type enabled/;

	$t{$_} = bare($e->{$_}) for qw/tee_id owner payment_address pcr_hash/;
	$t{$_} = $e->{$_} for qw/registered_at last_heartbeat_at/;
	$t{public_key_hex} = bare($e->{public_key});
	$t{tls_certificate_hex} = bare($e->{tls_certificate});
	$t{ohttp} = $e->{ohttp};

	if ($e->{ohttp}) {
		my %o = map { $_ => $e->{ohttp}{$_} }
			qw/key_id kem_id kdf_id aead_id/;
		$o{public_key_hex} = bare($e->{ohttp}{public_key});
		$o{key_config_hex} = bare($e->{ohttp}{key_config});
		$t{ohttp} = \%o;
	}

	return \%t;
}

sub bare {
	my ($hex) = @_;
	return $hex =~ s/^0x//r;
}

sub refused {
	my ($name, %q) = @_;
	my $r = ask(%q);
	like($r->{error} // 'accepted',
		qr/^(malformed|unsupported|limit|crypto|incomplete)$/,
		"$name refused");
}

sub ask {
	my (%q) = @_;
	return $json->decode(line($json->encode(\%q)));
}

sub line {
	my ($line) = @_;
	print $in $line, "\n";
	$in->flush();
	my $answer = <$out> // die "no answer to $line\n";
	chomp $answer;
	return $answer;
}

sub vectors {
	my ($name) = @_;
	open my $fh, '<', "$FindBin::Bin/vectors/$name.json" or die "$name: $!\n";
	local $/;
	return $json->decode(scalar <$fh>);
}

###############################################################################
