#!/usr/bin/perl

# (C) The ngx_http_tee authors

# Holds HPKE and Oblivious HTTP against the vectors in t/vectors, through
# t/driver: both directions, and what is opened whole, byte by byte, and in
# random pieces.

###############################################################################

use warnings;
use strict;

use Test::More;

use Digest::SHA qw/hmac_sha256/;
use FindBin;
use IPC::Open2;
use JSON::PP;
use Net::SSLeay;

###############################################################################

my $json = JSON::PP->new();
my $driver = ($ENV{TEE_BUILD} // $FindBin::Bin) . '/driver';

-x $driver or die "no $driver: run t/build first\n";

my $pid = open2(my $out, my $in, $driver);

srand(9458);

# the generator of P-256; SEC 2, 2.4.2

my $g = '046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296'
	. '4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5';

hpke();
xwing();
x25519();
p256();
rfc9458();
draft();
generated();
chunked_generated();
negative();
label();
opengradient();
single();
chunked();
suites();

close $in;
waitpid($pid, 0);
is($?, 0, 'the driver ends well at the end of its input');

done_testing();

###############################################################################

sub hpke {
	for my $v (@{ vectors('hpke_rfc9180')->{vectors} }) {
		my $name = "hpke $v->{kem_id} $v->{kdf_id} $v->{aead_id}";
		my %ct = map { $_->{seq} => $_ } @{ $v->{encryptions} };
		my ($last) = sort { $b <=> $a } keys %ct;

		# every number in between has a message

		my @seals = map { { aad => ($ct{$_} // $ct{0})->{aad},
			pt => ($ct{$_} // $ct{0})->{pt} } } 0 .. $last;
		my @exports = map { { context => $_->{exporter_context},
			L => $_->{L} } } @{ $v->{exports} };

		my %q = (op => 'hpke', (map { $_ => $v->{$_} }
			qw/kem_id kdf_id aead_id info/), pkR => $v->{pkRm},
			skR => $v->{skRm}, seals => \@seals, exports => \@exports);

		for my $e ([ skE => $v->{skEm} ], [ ikmE => $v->{ikmE} ]) {
			my $r = ask(%q, @$e);
			is($r->{enc}, $v->{enc}, "$name, $e->[0], enc")
				or diag($r->{error});
			is_deeply([ @{ $r->{cts} // [] }[sort keys %ct] ],
				[ map { $ct{$_}{ct} } sort keys %ct ],
				"$name, $e->[0], messages");
			is_deeply($r->{exports}, [ map { $_->{exported_value} }
				@{ $v->{exports} } ], "$name, $e->[0], exports");
		}

		refused("$name, a short public key", %q, skE => $v->{skEm},
			pkR => substr($v->{pkRm}, 2));
		refused("$name, a long public key", %q, skE => $v->{skEm},
			pkR => $v->{pkRm} . '00');
		refused("$name, a short private key", %q,
			skE => substr($v->{skEm}, 2));
		refused("$name, another receiver", %q, skE => $v->{skEm},
			skR => $v->{skEm});
		refused("$name, an unknown KDF", %q, skE => $v->{skEm},
			kdf_id => 2);
		refused("$name, an unknown AEAD", %q, skE => $v->{skEm},
			aead_id => 4);
		refused("$name, an export too long", %q, skE => $v->{skEm},
			exports => [ { context => '', L => 8161 } ]);
	}
}

sub xwing {
	for my $v (@{ vectors('hpke_xwing')->{vectors} }) {
		my %q = (op => 'hpke', (map { $_ => $v->{$_} }
			qw/kem_id kdf_id aead_id info ikmE/), pkR => $v->{pkRm},
			skR => $v->{skRm},
			seals => [ map { { aad => $_->{aad}, pt => $_->{pt} } }
				@{ $v->{encryptions} } ],
			exports => [ map { { context => $_->{exporter_context},
				L => $_->{L} } } @{ $v->{exports} } ]);

		# ML-KEM came with OpenSSL 3.5

		if (Net::SSLeay::SSLeay() < 0x30500000) {
			is(ask(%q)->{error}, 'unsupported', 'X-Wing is unsupported');
			next;
		}

		my $r = ask(%q);
		is($r->{enc}, $v->{enc}, 'X-Wing, enc') or diag($r->{error});
		is_deeply($r->{cts}, [ map { $_->{ct} }
			@{ $v->{encryptions} } ], 'X-Wing, messages');
		is_deeply($r->{exports}, [ map { $_->{exported_value} }
			@{ $v->{exports} } ], 'X-Wing, exports');
	}
}

sub x25519 {
	my $v = vectors('x25519_edge');
	my %q = (op => 'hpke', kem_id => 32, kdf_id => 1, aead_id => 1,
		info => '');

	for my $c (@{ $v->{low_order_or_zero} }) {
		is(ask(%q, skE => $c->{private}, pkR => $c->{public})->{error},
			'crypto', "x25519 $c->{tcId}, $c->{comment}, refused");

		my $wire = '01002000010001' . $c->{public} . '00' x 16;
		is(ask(op => 'request_open', key_id => 1, kem_id => 32,
			skR => $c->{private}, wire_hex => $wire,
			chunked => JSON::PP::false)->{error}, 'crypto',
			"x25519 $c->{tcId}, as an encapsulated key");

		my $list = '0029010020' . $c->{public} . '000400010001';
		is_deeply(ask(op => 'key_configs', content_hex => $list)
			->{key_ids}, [], "x25519 $c->{tcId}, as a key");
	}

	# what comes of another spelling of a point is computed here

	for my $c (@{ $v->{non_canonical} }) {
		my $r = ask(%q, skE => $c->{private}, pkR => $c->{public},
			exports => [ { context => '', L => 32 } ]);
		is($r->{exports}[0], unpack('H*', export(pack('H*', $c->{shared}),
			pack('H*', ($r->{enc} // '') . $c->{public}))),
			"x25519 $c->{tcId}, $c->{comment}") or diag($r->{error});
	}
}

sub p256 {
	my $sk = '01' x 32;

	for my $c (@{ vectors('p256_points')->{invalid} }) {
		refused("p256 $c->{tcId}, $c->{comment}", op => 'hpke',
			kem_id => 16, kdf_id => 1, aead_id => 1, info => '',
			skE => $sk, pkR => $c->{public});

		my $wire = '01001000010001' . $c->{public} . '00' x 81;
		refused("p256 $c->{tcId}, as an encapsulated key",
			op => 'request_open', key_id => 1, kem_id => 16,
			skR => $sk, wire_hex => $wire, chunked => JSON::PP::false);
	}

	my $n = 'ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551';

	for my $key ('00' x 32, $n, 'ff' x 32) {
		is(ask(op => 'hpke', kem_id => 16, kdf_id => 1, aead_id => 1,
			info => '', skE => $key, pkR => $g)->{error}, 'crypto',
			'p256, a private key out of range');
	}

	is(ask(op => 'hpke', kem_id => 16, kdf_id => 1, aead_id => 1, info => '',
		skE => substr($n, 0, 62) . '50', pkR => $g)->{ok},
		JSON::PP::true, 'p256, the last private key');
}

sub rfc9458 {
	my $v = vectors('ohttp_rfc9458');
	exchange('rfc9458', $v);
}

sub generated {
	for my $v (@{ vectors('ohttp_generated')->{vectors} }) {
		exchange("generated, $v->{name}", $v);
	}
}

# One that is not in chunks, both ways, and what may go wrong with it.

sub exchange {
	my ($name, $v) = @_;

	my %key = (key_id => $v->{key_id}, kem_id => $v->{kem_id},
		skR => $v->{skR}, chunked => JSON::PP::false);
	my $r = opened("$name, request", { op => 'request_open', %key },
		$v->{encapsulated_request}, [ $v->{request_bhttp} ]);
	is($r->{response_secret_hex}, $v->{exported_secret},
		"$name, response secret");
	my $enc = $r->{enc_hex};

	$r = ask(op => 'request_seal', %key, kdf_id => $v->{kdf_id},
		aead_id => $v->{aead_id}, skE => $v->{skE},
		pkR => public($v), plaintext_hex => $v->{request_bhttp});
	is($r->{wire_hex}, $v->{encapsulated_request}, "$name, sealed request")
		or diag($r->{error});
	is($r->{response_secret_hex}, $v->{exported_secret},
		"$name, response secret of the client");
	is($r->{enc_hex}, $enc, "$name, enc of the client");

	my %res = (kdf_id => $v->{kdf_id}, aead_id => $v->{aead_id},
		enc_hex => $enc, secret_hex => $v->{exported_secret},
		chunked => JSON::PP::false);
	opened("$name, response", { op => 'response_open', %res },
		$v->{encapsulated_response}, [ $v->{response_bhttp} ]);
	is(ask(op => 'response_seal', %res,
		response_nonce_hex => $v->{response_nonce},
		plaintext_hex => $v->{response_bhttp})->{wire_hex},
		$v->{encapsulated_response}, "$name, sealed response");

	damaged("$name, request", { op => 'request_open', %key },
		$v->{encapsulated_request});
	damaged("$name, response", { op => 'response_open', %res },
		$v->{encapsulated_response});

	# an offer of something else, another id, the other label

	refused("$name, a pair not offered", op => 'request_open', %key,
		offered => [ [ $v->{kdf_id}, $v->{aead_id} % 3 + 1 ] ],
		wire_hex => $v->{encapsulated_request});
	refused("$name, another id", op => 'request_open', %key,
		key_id => $v->{key_id} ^ 1, wire_hex => $v->{encapsulated_request});
	refused("$name, as if in chunks", op => 'request_open', %key,
		chunked => JSON::PP::true, wire_hex => $v->{encapsulated_request});
}

sub draft {
	my $v = vectors('ohttp_chunked_draft');
	my @widths = map { length($_) / 2 }
		@{ $v->{encapsulated_request_parts}{chunks} };

	chunked_exchange('draft', { %$v,
		request_chunks => $v->{request_chunk_plaintexts},
		response_chunks => $v->{response_chunk_plaintexts},
		response_nonce =>
			$v->{encapsulated_response_parts}{response_nonce} });
	is("@widths", '29 30 17', 'draft, widths of the chunks');
}

sub chunked_generated {
	for my $v (@{ vectors('ohttp_chunked_generated')->{vectors} }) {
		chunked_exchange("chunked, $v->{name}", $v);
	}
}

sub chunked_exchange {
	my ($name, $v) = @_;

	my %key = (key_id => $v->{key_id}, kem_id => $v->{kem_id},
		skR => $v->{skR}, chunked => JSON::PP::true);
	my $r = opened("$name, request", { op => 'request_open', %key },
		$v->{encapsulated_request}, $v->{request_chunks});
	is($r->{chunked_response_secret_hex}, $v->{exported_secret},
		"$name, response secret");
	my $enc = $r->{enc_hex};

	my %res = (kdf_id => $v->{kdf_id}, aead_id => $v->{aead_id},
		enc_hex => $enc, secret_hex => $v->{exported_secret},
		chunked => JSON::PP::true);
	opened("$name, response", { op => 'response_open', %res },
		$v->{encapsulated_response}, $v->{response_chunks});

	# what we seal has the shortest lengths, which the vector may not have

	$r = ask(op => 'request_seal', %key, kdf_id => $v->{kdf_id},
		aead_id => $v->{aead_id}, skE => $v->{skE}, pkR => public($v),
		chunks => $v->{request_chunks});
	is(shortest($r->{wire_hex}, 14 + length $enc),
		shortest($v->{encapsulated_request}, 14 + length $enc),
		"$name, sealed request") or diag($r->{error});
	is($r->{wire_hex}, shortest($r->{wire_hex}, 14 + length $enc),
		"$name, sealed request, shortest lengths");
	$r = ask(op => 'response_seal', %res,
		response_nonce_hex => $v->{response_nonce},
		chunks => $v->{response_chunks});
	is($r->{wire_hex}, shortest($v->{encapsulated_response},
		length $v->{response_nonce}), "$name, sealed response");

	damaged("$name, request", { op => 'request_open', %key },
		$v->{encapsulated_request});
	damaged("$name, response", { op => 'response_open', %res },
		$v->{encapsulated_response});

	refused("$name, as if whole", op => 'request_open', %key,
		chunked => JSON::PP::false,
		wire_hex => $v->{encapsulated_request});

	if (@{ $v->{request_chunks} } > 1) {
		refused("$name, an empty chunk to seal", op => 'request_seal',
			%key, kdf_id => $v->{kdf_id}, aead_id => $v->{aead_id},
			skE => $v->{skE}, pkR => public($v),
			chunks => [ '', @{ $v->{request_chunks} } ]);
	}
}

sub negative {
	my $v = vectors('ohttp_negative');

	for my $c (@{ $v->{cases} }) {
		my %q = (op => 'request_open', (map { $_ => $v->{$_} }
			qw/key_id kem_id skR offered/), chunked =>
			$c->{media_type} =~ /chunked/ ? JSON::PP::true
				: JSON::PP::false);

		if ($c->{error_layer} eq 'inner') {
			is(ask(%q, wire_hex => $c->{wire})->{ok}, JSON::PP::true,
				"negative, $c->{name}, opens");
			next;
		}

		all_refused("negative, $c->{name}", \%q, $c->{wire});
	}
}

sub label {
	my ($v) = @{ vectors('ohttp_label')->{vectors} };

	my $suite = 'KEM' . pack('n', 32);
	my $prk = hmac_sha256("HPKE-v1${suite}dkp_prk" . pack('H*', $v->{seed}),
		'');
	my $sk = hmac_sha256(pack('n', 32) . "HPKE-v1${suite}sk\x01", $prk);

	my $r = ask(op => 'request_open', key_id => 1, kem_id => 32,
		skR => unpack('H*', $sk), chunked => JSON::PP::false,
		wire_hex => $v->{encapsulatedRequest});
	like($r->{plaintext_hex}, qr/^00/, 'label, opens') or diag($r->{error});
}

sub opengradient {
	my $v = vectors('ohttp_opengradient');
	my %key = (map { $_ => $v->{$_} } qw/key_id kem_id skR/);

	my $r = opened('opengradient, request', { op => 'request_open', %key,
		chunked => JSON::PP::false }, $v->{encapsulated_request},
		[ $v->{inner_request} ]);
	is(ask(op => 'request_seal', %$v, plaintext_hex => $v->{inner_request},
		chunked => JSON::PP::false)->{wire_hex},
		$v->{encapsulated_request}, 'opengradient, sealed request');

	my %res = (kdf_id => 1, aead_id => 3, enc_hex => $r->{enc_hex});
	my ($one, $many) = @$v{qw/single_shot streamed/};

	%res = (%res, secret_hex => $r->{response_secret_hex},
		chunked => JSON::PP::false);
	opened('opengradient, response', { op => 'response_open', %res },
		$one->{encapsulated_response}, [ $one->{inner} ]);
	is(ask(op => 'response_seal', %res, plaintext_hex => $one->{inner},
		response_nonce_hex => $one->{response_nonce})->{wire_hex},
		$one->{encapsulated_response}, 'opengradient, sealed response');

	%res = (%res, secret_hex => $r->{chunked_response_secret_hex},
		chunked => JSON::PP::true);
	opened('opengradient, stream', { op => 'response_open', %res },
		$many->{encapsulated_response}, $many->{frames});
	is(ask(op => 'response_seal', %res, chunks => $many->{frames},
		response_nonce_hex => $many->{response_nonce})->{wire_hex},
		$many->{encapsulated_response}, 'opengradient, sealed stream');
}

sub single {
	my $v = vectors('ohttp_single');
	my %key = (kem_id => 32, skR => $v->{recipient}{sk},
		chunked => JSON::PP::false);
	my %cases;

	for my $c (@{ $v->{cases} }) {
		my $name = "single, $c->{name}";
		$cases{$c->{name}} = $c;

		my $r = opened("$name, request", { op => 'request_open', %key,
			key_id => $c->{key_id} }, $c->{wire},
			[ $c->{request_plaintext_hex} ]);
		is($r->{response_secret_hex}, $c->{response_secret},
			"$name, response secret");
		is($r->{chunked_response_secret_hex},
			$c->{chunked_response_secret}, "$name, chunked secret");
		is($r->{enc_hex}, $c->{enc}, "$name, enc");

		$r = ask(op => 'request_seal', key_id => $c->{key_id},
			kem_id => 32, kdf_id => 1, aead_id => 3,
			pkR => $v->{recipient}{pk}, skE => $v->{ephemeral}{sk},
			plaintext_hex => $c->{request_plaintext_hex},
			chunked => JSON::PP::false);
		is($r->{wire_hex}, $c->{wire}, "$name, sealed request");

		opened("$name, response", { op => 'response_open', response($c) },
			$c->{response_wire}, [ $c->{response_plaintext_hex} ]);
		is(ask(op => 'response_seal', response($c),
			response_nonce_hex => $c->{response_nonce},
			plaintext_hex => $c->{response_plaintext_hex})->{wire_hex},
			$c->{response_wire}, "$name, sealed response");
	}

	for my $c (@{ $v->{negative_requests} }) {
		all_refused("single, $c->{name}", { op => 'request_open', %key,
			key_id => 1 }, $c->{wire});
	}

	for my $c (@{ $v->{negative_responses} }) {
		my $base = $cases{$c->{base_case}} or next;
		all_refused("single, $c->{name}", { op => 'response_open',
			response($base) }, $c->{response_wire});
	}
}

sub response {
	my ($c) = @_;
	return (kdf_id => 1, aead_id => 3, enc_hex => $c->{enc},
		secret_hex => $c->{response_secret}, chunked => JSON::PP::false);
}

sub chunked {
	my $v = vectors('ohttp_chunked');
	my %q = (op => 'response_open', kdf_id => 1, aead_id => 3,
		enc_hex => $v->{request}{enc}, chunked => JSON::PP::true,
		secret_hex => $v->{request}{chunked_response_secret});

	for my $c (@{ $v->{positive} }) {
		opened("stream, $c->{name}", \%q, $c->{wire}, $c->{plaintexts_hex});
		is(ask(%q, op => 'response_seal', chunks => $c->{plaintexts_hex},
			response_nonce_hex => $v->{response_nonce})->{wire_hex},
			shortest($c->{wire}, 64), "stream, $c->{name}, sealed");
	}

	for my $c (@{ $v->{negative} }) {
		all_refused("stream, $c->{name}", \%q, $c->{wire},
			$c->{plaintexts_before_failure});
	}

	for my $c (@{ $v->{policy} }) {
		if ($c->{draft08} eq 'reject') {
			all_refused("stream, $c->{name}", \%q, $c->{wire}, 0);
		} else {
			opened("stream, $c->{name}", \%q, $c->{wire},
				$c->{plaintexts_hex});
		}
	}

	for my $c (@{ $v->{billing}{negatives} }) {
		all_refused("stream, $c->{name}", \%q, $c->{wire}) if $c->{wire};
	}

	opened('stream, relay output', \%q, $v->{billing}{relay_output_wire},
		$v->{billing}{plaintexts_hex}) if $v->{billing}{plaintexts_hex};
	is(ask(%q, wire_hex => $v->{billing}{relay_output_wire})->{ok},
		JSON::PP::true, 'stream, relay output');

	# a length is judged before anything comes of what it announces

	for my $len ('bfffffff', 'c00000003fffffff') {
		is(ask(%q, wire_hex => $v->{response_nonce} . $len)->{error},
			'limit', 'stream, a length over the limit');
	}

	is(ask(%q, wire_hex => $v->{response_nonce} . '4010')->{error}, 'crypto',
		'stream, a chunk of nothing but a tag');
}

# Every KEM with every AEAD, with content of many lengths.

sub suites {
	my %sk = (16 => [ '11' x 32, '22' x 32 ], 32 => [ '33' x 32, '44' x 32 ]);

	for my $kem (16, 32) {
		my $pk = public({ kem_id => $kem, skR => $sk{$kem}[0] });

		for my $aead (1 .. 3) {
			round_trip($kem, $aead, $pk, @{ $sk{$kem} });
		}
	}
}

sub round_trip {
	my ($kem, $aead, $pk, $skR, $skE) = @_;
	my %suite = (kdf_id => 1, aead_id => $aead);
	my $bad = 0;

	for my $len (0, 1, 15, 16, 17, 46, 47, 48, 16367, 16368, 20000) {
		my $pt = join '', map { sprintf '%02x', int rand 256 } 1 .. $len;

		for my $chunked (JSON::PP::false, JSON::PP::true) {
			my @content = $chunked ? (chunks => [ ($pt) x !!$len, '' ])
				: (plaintext_hex => $pt);
			my $s = ask(op => 'request_seal', key_id => 255,
				kem_id => $kem, %suite, pkR => $pk, skE => $skE,
				@content, chunked => $chunked);
			my $o = ask(op => 'request_open', key_id => 255,
				kem_id => $kem, skR => $skR, chunked => $chunked,
				wire_hex => $s->{wire_hex});
			my $secret = $chunked ? 'chunked_response_secret_hex'
				: 'response_secret_hex';
			my %res = (%suite, enc_hex => $o->{enc_hex},
				secret_hex => $o->{$secret}, chunked => $chunked);
			my $w = ask(op => 'response_seal', %res, @content,
				response_nonce_hex => $s->{$secret});
			my $b = ask(op => 'response_open', %res,
				wire_hex => $w->{wire_hex});

			$bad++ if ($o->{plaintext_hex} // 'none') ne $pt
				|| ($b->{plaintext_hex} // 'none') ne $pt;
		}
	}

	is($bad, 0, "round trips with KEM $kem and AEAD $aead");
}

###############################################################################

# Answers of all splits are the same, and right; the first is returned.

sub opened {
	my ($name, $q, $wire, $chunks) = @_;
	my $text = join '', @$chunks;
	my ($first, $wrong) = (undef, 0);
	my @splits = splits($wire);

	for my $s (@splits) {
		my $r = ask(%$q, wire_hex => $wire, splits => $s);
		$first //= $r;

		my $list = $q->{chunked} ? join ',', @{ $r->{chunks} // [ 'none' ] }
			: join ',', @$chunks;
		$wrong++ if ($r->{plaintext_hex} // 'none') ne $text
			|| $list ne join ',', @$chunks;
	}

	is($wrong, 0, "$name, opens in " . @splits . ' ways')
		or diag($first->{error});

	return $first;
}

sub all_refused {
	my ($name, $q, $wire, $before) = @_;
	my @r = map { ask(%$q, wire_hex => $wire, splits => $_) } splits($wire);

	is(scalar(grep { error($_) } @r), scalar @r, "$name, refused");
	is(scalar(grep { @{ $_->{chunks} // [ 1 .. 999 ] } == $before } @r),
		scalar @r, "$name, chunks before it") if defined $before;
}

# No prefix opens, and no other byte.

sub damaged {
	my ($name, $q, $wire) = @_;
	my $n = length($wire) / 2;
	my $step = $n > 2000 ? int($n / 200) : 1;
	my (@cut, @other);

	for (my $i = 0; $i < $n; $i += $step) {
		push @cut, $i
			unless error(ask(%$q, wire_hex => substr($wire, 0, $i * 2)));

		my $bad = $wire;
		substr($bad, $i * 2, 2) =
			sprintf('%02x', hex(substr($wire, $i * 2, 2)) ^ (1 << $i % 8));
		push @other, $i unless error(ask(%$q, wire_hex => $bad));
	}

	is("@cut", '', "$name, no prefix opens");
	is("@other", '', "$name, no other byte opens");
	ok(error(ask(%$q, wire_hex => $wire . '00')), "$name, no byte behind");
}

sub splits {
	my $n = length($_[0]) / 2;
	my @r = ([ $n ], [ (1) x $n ]);

	for my $max (3, 64, $n, $n, $n) {
		my ($left, @s) = ($n);
		while ($left) {
			my $l = int rand(1 + ($left < $max ? $left : $max));
			push @s, $l;
			$left -= $l;
		}
		push @r, \@s;
	}

	return @r;
}

# The same chunks, with their lengths in as few bytes as there may be.

sub shortest {
	my ($hex, $skip) = @_;
	my $out = substr($hex, 0, $skip);
	my $rest = pack('H*', substr($hex, $skip));

	while (length $rest) {
		my $width = 1 << (ord($rest) >> 6);
		my $len = ord($rest) & 0x3f;
		$len = $len << 8 | ord substr($rest, $_, 1) for 1 .. $width - 1;
		$rest = substr($rest, $width);

		$out .= $len < 64 ? sprintf('%02x', $len)
			: $len < 16384 ? sprintf('%04x', 0x4000 | $len)
			: sprintf('%08x', 0x80000000 | $len);
		$out .= unpack('H*', $len ? substr($rest, 0, $len) : $rest);
		$rest = $len ? substr($rest, $len) : '';
	}

	return $out;
}

# What a sender has sent is the public key of its own.

sub public {
	my ($v) = @_;
	return $v->{pkR} // ask(op => 'hpke', kem_id => $v->{kem_id},
		kdf_id => 1, aead_id => 1, info => '', skE => $v->{skR},
		pkR => $v->{kem_id} == 32 ? '09' . '00' x 31 : $g)->{enc};
}

# HPKE for X25519, SHA-256, AES-128-GCM, no info: the export of nothing.

sub export {
	my ($dh, $context) = @_;
	my $extract = sub {
		my ($suite, $salt, $label, $ikm) = @_;
		return hmac_sha256("HPKE-v1$suite$label$ikm", $salt);
	};
	my $expand = sub {
		my ($suite, $prk, $label, $info) = @_;
		return hmac_sha256(pack('n', 32) . "HPKE-v1$suite$label$info\x01",
			$prk);
	};

	my $kem = 'KEM' . pack('n', 32);
	my $shared = $expand->($kem, $extract->($kem, '', 'eae_prk', $dh),
		'shared_secret', $context);

	my $suite = 'HPKE' . pack('n3', 32, 1, 1);
	my $ks = "\0" . $extract->($suite, '', 'psk_id_hash', '')
		. $extract->($suite, '', 'info_hash', '');
	my $secret = $extract->($suite, $shared, 'secret', '');

	return $expand->($suite, $expand->($suite, $secret, 'exp', $ks), 'sec',
		'');
}

sub refused {
	my ($name, %q) = @_;
	my $r = ask(%q);
	ok(error($r), "$name, refused") or diag($r->{error} // 'accepted');
}

sub error {
	my ($r) = @_;
	return !$r->{ok} && $r->{error}
		=~ /^(malformed|unsupported|limit|crypto|incomplete)$/;
}

sub ask {
	my (%q) = @_;
	print $in $json->encode(\%q), "\n";
	$in->flush();
	my $answer = <$out> // die "no answer to $q{op}\n";
	return $json->decode($answer);
}

sub vectors {
	my ($name) = @_;
	open my $fh, '<', "$FindBin::Bin/vectors/$name.json" or die "$name: $!\n";
	local $/;
	return $json->decode(scalar <$fh>);
}

###############################################################################
