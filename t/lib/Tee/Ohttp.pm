package Tee::Ohttp;

# Oblivious HTTP (RFC 9458), its chunked form (draft-ietf-ohai-chunked-ohttp)
# and HPKE base mode (RFC 9180) for tests and examples, on CryptX: X25519,
# HKDF-SHA256, AES-GCM and ChaCha20-Poly1305.  It shares no code and no library
# with the module, so that what one seals and the other opens is evidence.
#
# What cannot be opened gives an empty list or undef; wrong use dies.

use strict;
use warnings;

use Crypt::AuthEnc::ChaCha20Poly1305
    qw(chacha20poly1305_encrypt_authenticate chacha20poly1305_decrypt_verify);
use Crypt::AuthEnc::GCM qw(gcm_encrypt_authenticate gcm_decrypt_verify);
use Crypt::KeyDerivation qw(hkdf_expand hkdf_extract);
use Crypt::PK::X25519;
use Crypt::PRNG qw(random_bytes);

use Exporter qw(import);

our @EXPORT_OK = qw(
    keygen public_key private_key key_config
    seal_request open_request seal_response open_response
    seal_chunked_request open_chunked_request
    chunk_writer open_chunked_response
    varint read_varint
);
our %EXPORT_TAGS = (all => \@EXPORT_OK);

use constant {
    KEM => 0x20,
    KDF => 1,
    TAG => 16,
};

my %NK = (1 => 16, 2 => 32, 3 => 32);    # AEAD id => key length
my $NN = 12;


# Keys

sub keygen { Crypt::PK::X25519->new->generate_key }
sub public_key { $_[0]->export_key_raw('public') }
sub private_key { Crypt::PK::X25519->new->import_key_raw($_[0], 'private') }

# RFC 9458, 3.1

sub key_config {
    my ($pk, $id, @aeads) = @_;

    my $suites = join '', map { pack 'nn', KDF, $_ } @aeads ? @aeads : 3;
    return pack 'C n a32 n/a', $id // 1, KEM, $pk, $suites;
}


# AEAD and HPKE

sub _seal {
    my ($aead, $key, $nonce, $aad, $text) = @_;

    return join '', $aead == 3
        ? chacha20poly1305_encrypt_authenticate($key, $nonce, $aad, $text)
        : gcm_encrypt_authenticate('AES', $key, $nonce, $aad, $text);
}

sub _open {
    my ($aead, $key, $nonce, $aad, $sealed) = @_;

    return undef if length $sealed < TAG;

    my $tag = substr $sealed, -TAG, TAG, '';

    return $aead == 3
        ? chacha20poly1305_decrypt_verify($key, $nonce, $aad, $sealed, $tag)
        : gcm_decrypt_verify('AES', $key, $nonce, $aad, $sealed, $tag);
}

sub _labeled_extract {
    my ($suite, $salt, $label, $ikm) = @_;

    return hkdf_extract("HPKE-v1$suite$label$ikm", $salt, 'SHA256');
}

sub _labeled_expand {
    my ($suite, $prk, $label, $info, $len) = @_;

    $info = pack('n', $len) . "HPKE-v1$suite$label$info";
    return hkdf_expand($prk, 'SHA256', $len, $info);
}

# RFC 9180, 4.1 and 5.1

sub _context {
    my ($aead, $dh, $enc, $pk, $info) = @_;

    return undef if $dh eq "\0" x 32;

    my $kem = 'KEM' . pack 'n', KEM;
    my $eae = _labeled_extract($kem, '', 'eae_prk', $dh);
    my $shared = _labeled_expand($kem, $eae, 'shared_secret', $enc . $pk, 32);

    my $suite = 'HPKE' . pack 'nnn', KEM, KDF, $aead;
    my $ctx = "\0" . _labeled_extract($suite, '', 'psk_id_hash', '')
        . _labeled_extract($suite, '', 'info_hash', $info);
    my $secret = _labeled_extract($suite, $shared, 'secret', '');

    my %len = (key => $NK{$aead}, base_nonce => $NN, exp => 32);
    my %k = map { $_ => _labeled_expand($suite, $secret, $_, $ctx, $len{$_}) }
        keys %len;

    return { aead => $aead, suite => $suite, enc => $enc, seq => 0, %k };
}

sub _dh {
    my ($sk, $pk) = @_;

    my $peer = Crypt::PK::X25519->new->import_key_raw($pk, 'public');
    return eval { $sk->shared_secret($peer) } // "\0" x 32;
}

sub _counter { my ($nonce, $n) = @_; $nonce ^ pack 'x4 Q>', $n }

sub _ctx_seal {
    my ($c, $aad, $text) = @_;

    my $nonce = _counter($c->{base_nonce}, $c->{seq}++);
    return _seal($c->{aead}, $c->{key}, $nonce, $aad, $text);
}

sub _ctx_open {
    my ($c, $aad, $sealed) = @_;

    my $nonce = _counter($c->{base_nonce}, $c->{seq}++);
    return _open($c->{aead}, $c->{key}, $nonce, $aad, $sealed);
}

sub _info { my ($header, $what) = @_; "message/bhttp $what\0$header" }


# Requests: key id, KEM, KDF, AEAD, the encapsulated key, one sealed text.
# A sender names {pk, id, aead}; "eph" fixes the ephemeral key for vectors.

sub _sender {
    my ($to, $what) = @_;

    my ($id, $aead) = ($to->{id} // 1, $to->{aead} // 3);
    my $header = pack 'C n n n', $id, KEM, KDF, $aead;
    my $eph = $to->{eph} // keygen();
    my $enc = public_key($eph);
    my $dh = _dh($eph, $to->{pk});
    my $c = _context($aead, $dh, $enc, $to->{pk}, _info($header, $what))
        // die "the public key is of small order\n";

    return ($header . $enc, $c);
}

# "keys" maps key ids to private keys.

sub _recipient {
    my ($keys, $bytes, $what) = @_;

    return if length $bytes < 7 + 32 + TAG;

    my ($id, $kem, $kdf, $aead) = unpack 'C n n n', $bytes;
    my $sk = $keys->{$id};

    return if !$sk || $kem != KEM || $kdf != KDF || !$NK{$aead};

    my ($header, $enc) = unpack 'a7 a32', $bytes;
    my $info = _info($header, $what);

    return _context($aead, _dh($sk, $enc), $enc, public_key($sk), $info);
}

sub seal_request {
    my ($to, $text) = @_;

    my ($head, $c) = _sender($to, 'request');
    return ($head . _ctx_seal($c, '', $text), $c);
}

sub open_request {
    my ($keys, $bytes) = @_;

    my $c = _recipient($keys, $bytes, 'request') or return;
    my $text = _ctx_open($c, '', substr $bytes, 39);

    return defined $text ? ($text, $c) : ();
}


# Responses: a random nonce, then one sealed text

sub _response_keys {
    my ($c, $nonce, $what) = @_;

    my $nk = $NK{$c->{aead}};
    my $n = $nk > $NN ? $nk : $NN;
    my $secret = _labeled_expand($c->{suite}, $c->{exp}, 'sec',
        "message/bhttp $what", $n);
    my $prk = hkdf_extract($secret, $c->{enc} . $nonce, 'SHA256');

    return ($c->{aead}, hkdf_expand($prk, 'SHA256', $nk, 'key'),
        hkdf_expand($prk, 'SHA256', $NN, 'nonce'));
}

sub seal_response {
    my ($c, $text, $nonce) = @_;

    $nonce //= random_bytes($NK{$c->{aead}});
    return $nonce . _seal(_response_keys($c, $nonce, 'response'), '', $text);
}

sub open_response {
    my ($c, $bytes) = @_;

    my $n = $NK{$c->{aead}};

    return undef if length $bytes < $n + TAG;

    my @keys = _response_keys($c, substr($bytes, 0, $n), 'response');
    return _open(@keys, '', substr $bytes, $n);
}


# Chunks: a length and a sealed text each; length 0 and the label "final" in
# front of the last one, which ends with the message

sub varint {
    my ($n) = @_;

    return $n < 1 << 6 ? pack('C', $n)
         : $n < 1 << 14 ? pack('n', $n | 1 << 14)
         : $n < 1 << 30 ? pack('N', $n | 2 << 30)
         : pack('Q>', $n | 3 << 62);
}

sub read_varint {                        # (value, length) or ()
    my ($bytes, $at) = @_;

    return if $at >= length $bytes;

    my $n = 1 << (ord(substr $bytes, $at, 1) >> 6);

    return if $at + $n > length $bytes;

    my $value = unpack 'Q>', ("\0" x (8 - $n)) . substr $bytes, $at, $n;
    return ($value & ~(3 << 8 * $n - 2), $n);
}

sub _open_chunks {                       # [texts] or undef
    my ($open, $bytes, $at) = @_;

    my @texts;

    for (;;) {
        my ($len, $n) = read_varint($bytes, $at) or return undef;
        my $final = $len == 0;

        $at += $n;
        $len = length($bytes) - $at if $final;

        return undef if $len < TAG || $at + $len > length $bytes;

        my $text = $open->($final ? 'final' : '', substr $bytes, $at, $len)
            // return undef;

        push @texts, $text;
        $at += $len;

        return \@texts if $final;
    }
}

sub seal_chunked_request {
    my ($to, @texts) = @_;

    my ($bytes, $c) = _sender($to, 'chunked request');
    my $last = pop @texts;

    for my $text (@texts) {
        my $sealed = _ctx_seal($c, '', $text);
        $bytes .= varint(length $sealed) . $sealed;
    }

    return ($bytes . varint(0) . _ctx_seal($c, 'final', $last // ''), $c);
}

sub open_chunked_request {
    my ($keys, $bytes) = @_;

    my $c = _recipient($keys, $bytes, 'chunked request') or return;
    my $texts = _open_chunks(sub { _ctx_open($c, @_) }, $bytes, 39);

    return defined $texts ? ($texts, $c) : ();
}

# A function of (text, final) that gives the bytes to send next; those of the
# first call begin with the nonce.

sub chunk_writer {
    my ($c, $nonce) = @_;

    $nonce //= random_bytes($NK{$c->{aead}});

    my ($aead, $key, $base) = _response_keys($c, $nonce, 'chunked response');
    my $n = 0;

    return sub {
        my ($text, $final) = @_;

        my $head = $n == 0 ? $nonce : '';
        my $sealed = _seal($aead, $key, _counter($base, $n++),
            $final ? 'final' : '', $text);

        return $head . varint($final ? 0 : length $sealed) . $sealed;
    };
}

sub open_chunked_response {              # [texts] or undef
    my ($c, $bytes) = @_;

    my $n = $NK{$c->{aead}};

    return undef if length $bytes < $n;

    my ($aead, $key, $base) =
        _response_keys($c, substr($bytes, 0, $n), 'chunked response');
    my $seq = 0;
    my $open = sub { _open($aead, $key, _counter($base, $seq++), @_) };

    return _open_chunks($open, $bytes, $n);
}


1;
