package Tee::Ohttp;

# Oblivious HTTP (RFC 9458), its chunked form (draft-ietf-ohai-chunked-ohttp)
# and HPKE base mode (RFC 9180) for tests and examples, on CryptX: X25519 and
# P-256, HKDF-SHA256, AES-GCM and ChaCha20-Poly1305.  It shares no code and no
# library with the module, so that what one seals and the other opens is
# evidence.
#
# What cannot be opened gives an empty list or undef; wrong use dies.

use strict;
use warnings;

use Crypt::AuthEnc::ChaCha20Poly1305
    qw(chacha20poly1305_encrypt_authenticate chacha20poly1305_decrypt_verify);
use Crypt::AuthEnc::GCM qw(gcm_encrypt_authenticate gcm_decrypt_verify);
use Crypt::KeyDerivation qw(hkdf_expand hkdf_extract);
use Crypt::PK::ECC;
use Crypt::PK::X25519;
use Crypt::PRNG qw(random_bytes);
use MIME::Base64 qw(encode_base64);

use Exporter qw(import);

our @EXPORT_OK = qw(
    keygen public_key private_key key_pem key_config parse_keys
    seal_request open_request seal_response open_response
    seal_chunked_request request_writer open_chunked_request
    chunk_writer chunk_reader open_chunked_response
    varint read_varint
);
our %EXPORT_TAGS = (all => \@EXPORT_OK);

use constant {
    X25519 => 0x20,
    P256 => 0x10,
    KDF => 1,
    TAG => 16,
};

my %NPK = (X25519, 32, P256, 65);        # and Nenc

my %NK = (1 => 16, 2 => 32, 3 => 32);    # AEAD id => key length
my $NN = 12;


# Keys

sub keygen {
    my ($kem) = @_;

    return Crypt::PK::X25519->new->generate_key if ($kem // X25519) == X25519;
    return Crypt::PK::ECC->new->generate_key('secp256r1');
}

sub public_key { $_[0]->export_key_raw('public') }

sub private_key {
    my ($raw, $kem) = @_;

    return Crypt::PK::X25519->new->import_key_raw($raw, 'private')
        if ($kem // X25519) == X25519;
    return Crypt::PK::ECC->new->import_key_raw($raw, 'secp256r1');
}

sub _kem { $_[0]->isa('Crypt::PK::X25519') ? X25519 : P256 }

# PKCS #8: RFC 8410, 7 and RFC 5915, 3

sub key_pem {
    my ($key) = @_;

    my $raw = $key->export_key_raw('private');
    my $der = _kem($key) == X25519
        ? pack('H*', '302e020100300506032b656e04220420') . $raw
        : pack('H*', '308187020100301306072a8648ce3d020106082a8648ce3d0301'
            . '07046d306b0201010420') . $raw
            . pack('H*', 'a144034200') . public_key($key);

    return "-----BEGIN PRIVATE KEY-----\n" . encode_base64($der)
        . "-----END PRIVATE KEY-----\n";
}

# RFC 9458, 3.1

sub key_config {
    my ($pk, $id, @aeads) = @_;

    my $suites = join '', map { pack 'nn', KDF, $_ } @aeads ? @aeads : 3;
    my $kem = length $pk == $NPK{+P256} ? P256 : X25519;

    return pack('C n', $id // 1, $kem) . $pk . pack 'n/a', $suites;
}

# RFC 9458, 3.2: what a client can send to, {id, kem, pk, aeads} each

sub parse_keys {
    my ($bytes) = @_;

    my @keys;

    while (length $bytes) {
        my $config = unpack 'n/a', $bytes;

        length $bytes >= 2 + unpack 'n', $bytes or die "the list is cut\n";
        substr $bytes, 0, 2 + length $config, '';

        my ($id, $kem) = unpack 'C n', $config;
        my $npk = $NPK{$kem} // next;
        my ($pk, $suites) = unpack "x3 a$npk n/a", $config;

        3 + $npk + 2 + length $suites == length $config
            && length $suites && length($suites) % 4 == 0
            or die "a key configuration is not well-formed\n";

        my @pairs = unpack '(a4)*', $suites;

        push @keys, { id => $id, kem => $kem, pk => $pk,
            aeads => [ map { unpack 'x2 n', $_ } @pairs ] };
    }

    return @keys;
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
    my ($kem_id, $aead, $dh, $enc, $pk, $info) = @_;

    my $kem = 'KEM' . pack 'n', $kem_id;
    my $eae = _labeled_extract($kem, '', 'eae_prk', $dh);
    my $shared = _labeled_expand($kem, $eae, 'shared_secret', $enc . $pk, 32);

    my $suite = 'HPKE' . pack 'nnn', $kem_id, KDF, $aead;
    my $ctx = "\0" . _labeled_extract($suite, '', 'psk_id_hash', '')
        . _labeled_extract($suite, '', 'info_hash', $info);
    my $secret = _labeled_extract($suite, $shared, 'secret', '');

    my %len = (key => $NK{$aead}, base_nonce => $NN, exp => 32);
    my %k = map { $_ => _labeled_expand($suite, $secret, $_, $ctx, $len{$_}) }
        keys %len;

    return { aead => $aead, suite => $suite, enc => $enc, seq => 0, %k };
}

# undef where there is no shared secret: 7.1.4

sub _dh {
    my ($sk, $pk) = @_;

    my $dh = eval {
        my $peer = _kem($sk) == X25519
            ? Crypt::PK::X25519->new->import_key_raw($pk, 'public')
            : Crypt::PK::ECC->new->import_key_raw($pk, 'secp256r1');

        $sk->shared_secret($peer);
    };

    return defined $dh && $dh ne "\0" x 32 ? $dh : undef;
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
#
# For attacks: "header" stands in place of the true one, "enc" and "dh" in
# place of what an ephemeral key gives, "label" in place of the label of info.

sub _sender {
    my ($to, $what) = @_;

    my ($id, $aead) = ($to->{id} // 1, $to->{aead} // 3);
    my $kem = $to->{kem} // (length $to->{pk} == $NPK{+P256} ? P256 : X25519);
    my $header = $to->{header} // pack 'C n n n', $id, $kem, KDF, $aead;
    my $eph = $to->{eph} // keygen($kem);
    my $enc = $to->{enc} // public_key($eph);
    my $dh = $to->{dh} // _dh($eph, $to->{pk})
        // die "the public key is of small order\n";
    my $c = _context($kem, $aead, $dh, $enc, $to->{pk},
        _info($header, $to->{label} // $what));

    return ($header . $enc, $c);
}

# "keys" maps key ids to private keys.

sub _recipient {
    my ($keys, $bytes, $what) = @_;

    return if length $bytes < 7;

    my ($id, $kem, $kdf, $aead) = unpack 'C n n n', $bytes;
    my $sk = $keys->{$id};

    return if !$sk || $kem != _kem($sk) || $kdf != KDF || !$NK{$aead};

    my $nenc = $NPK{$kem};

    return if length $bytes < 7 + $nenc + TAG;

    my ($header, $enc) = unpack "a7 a$nenc", $bytes;
    my $dh = _dh($sk, $enc) // return;

    return (_context($kem, $aead, $dh, $enc, public_key($sk),
        _info($header, $what)), 7 + $nenc);
}

sub seal_request {
    my ($to, $text) = @_;

    my ($head, $c) = _sender($to, 'request');
    return ($head . _ctx_seal($c, '', $text), $c);
}

sub open_request {
    my ($keys, $bytes) = @_;

    my ($c, $at) = _recipient($keys, $bytes, 'request') or return;
    my $text = _ctx_open($c, '', substr $bytes, $at);

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

# A function of (text, final) that gives the bytes to send next, beginning with
# the header; and the context.

sub request_writer {
    my ($to) = @_;

    my ($head, $c) = _sender($to, 'chunked request');

    my $write = sub {
        my ($text, $final) = @_;

        my $sealed = _ctx_seal($c, $final ? 'final' : '', $text);
        my $bytes = $head . varint($final ? 0 : length $sealed) . $sealed;

        $head = '';
        return $bytes;
    };

    return ($write, $c);
}

sub seal_chunked_request {
    my ($to, @texts) = @_;

    my $last = pop @texts;
    my ($write, $c) = request_writer($to);

    return (join('', map({ $write->($_) } @texts), $write->($last // '', 1)),
        $c);
}

sub open_chunked_request {
    my ($keys, $bytes) = @_;

    my ($c, $at) = _recipient($keys, $bytes, 'chunked request') or return;
    my $texts = _open_chunks(sub { _ctx_open($c, @_) }, $bytes, $at);

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

# A function of bytes as they come: it gives [text, final] for each chunk that
# is there, and for those that do not open [undef].  Chunks are passed over, and
# give [length, 0, 1], where "skip" says so: they take less time.  The last chunk ends
# with the message, so it comes from a call without bytes.

sub chunk_reader {
    my ($c, %o) = @_;

    my ($in, $seq, $failed, @keys) = ('', 0);
    my $n = $NK{$c->{aead}};

    my $open = sub {
        my ($sealed, $final) = @_;
        my ($aead, $key, $base) = @keys;
        my $nonce = _counter($base, $seq++);

        return [ length($sealed) - TAG, 0, 1 ]
            if !$final && $o{skip} && $o{skip}->($seq);

        my $text = _open($aead, $key, $nonce, $final ? 'final' : '', $sealed);

        $failed = 1 if !defined $text;
        return defined $text ? [ $text, $final ] : [ undef ];
    };

    return sub {
        my ($bytes) = @_;
        my @got;

        return if $failed;

        $in .= $bytes // '';

        if (!@keys) {
            if (length $in < $n) {
                return defined $bytes ? () : [ undef ];
            }

            @keys = _response_keys($c, substr($in, 0, $n, ''),
                'chunked response');
        }

        my $at = 0;

        while (!$failed) {
            my ($len, $width) = read_varint($in, $at) or last;

            last if $len == 0 || $at + $width + $len > length $in;

            push @got, $open->(substr($in, $at + $width, $len), 0);
            $at += $width + $len;
        }

        substr $in, 0, $at, '';

        if (!defined $bytes && !$failed) {
            my ($len, $width) = read_varint($in, 0);

            push @got, defined $len && $len == 0
                ? $open->(substr($in, $width), 1) : [ undef ];
        }

        return @got;
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
