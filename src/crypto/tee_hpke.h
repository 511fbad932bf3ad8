
/*
 * Copyright (C) The ngx_http_tee authors
 */


#ifndef TEE_HPKE_H_INCLUDED
#define TEE_HPKE_H_INCLUDED


#include <tee.h>
#include <tee_aead.h>


/* Hybrid Public Key Encryption, RFC 9180, base mode. */

#define TEE_KEM_P256            0x0010
#define TEE_KEM_X25519          0x0020
#define TEE_KEM_X_WING          0x647a

#define TEE_KDF_HKDF_SHA256     0x0001

#define TEE_HPKE_MAX_PK         1216           /* X-Wing */
#define TEE_HPKE_MAX_ENC        1120           /* X-Wing */
#define TEE_HPKE_MAX_SK         32


/* Lengths of a public key, an encapsulated one, a private one; 0 if the KEM
 * is unknown to us or to this libcrypto. */

size_t tee_hpke_pk_len(uint16_t kem);
size_t tee_hpke_enc_len(uint16_t kem);
size_t tee_hpke_sk_len(uint16_t kem);


/* A private key, ready for use.  Never copied; wiped when freed. */

typedef struct tee_hpke_key_s  tee_hpke_key_t;

/*
 * A key from its serialized form, from keying material by DeriveKeyPair()
 * (7.1.3; 32 bytes at least), or from PEM (PKCS#8, unencrypted, X25519 or
 * P-256; exactly one key and nothing else but white space).
 *
 * *key  NULL on failure
 *
 * TEE_OK, TEE_MALFORMED (length, PEM), TEE_UNSUPPORTED (KEM, kind of key),
 * TEE_CRYPTO (not a valid key of its group), TEE_NOMEM
 */

TEE_MUST_CHECK tee_rc_t tee_hpke_key_new(tee_crypto_t *crypto, uint16_t kem,
    tee_str_t sk, tee_hpke_key_t **key);
TEE_MUST_CHECK tee_rc_t tee_hpke_key_derive(tee_crypto_t *crypto, uint16_t kem,
    tee_str_t ikm, tee_hpke_key_t **key);
TEE_MUST_CHECK tee_rc_t tee_hpke_key_pem(tee_crypto_t *crypto, tee_str_t pem,
    tee_hpke_key_t **key);
void tee_hpke_key_free(tee_hpke_key_t *key);

uint16_t tee_hpke_key_kem(const tee_hpke_key_t *key);

/* The public key; lives as long as "key". */

tee_str_t tee_hpke_key_public(const tee_hpke_key_t *key);

/* 1 if something can be encapsulated to this public key: its length, and
 * that it is a point of its curve. */

TEE_MUST_CHECK tee_rc_t tee_hpke_public_check(uint16_t kem, tee_str_t pk);


/* What both sides share after the encapsulation. */

typedef struct {
    tee_aead_t            aead;
    uint8_t               exporter_secret[32];
    /* the rest is private */
    tee_crypto_t         *crypto;
    uint8_t               suite_id[10];
} tee_hpke_t;


/*
 * SetupBaseR: the receiver's side; RFC 9180, 5.1.1.
 *
 * enc  the encapsulated key, tee_hpke_enc_len() bytes
 *
 * TEE_OK (then tee_hpke_free() it)
 * TEE_MALFORMED    the length of enc
 * TEE_UNSUPPORTED  kdf or aead
 * TEE_CRYPTO       a point that is not on its curve, or of low order (7.1.4)
 * TEE_NOMEM
 */

TEE_MUST_CHECK tee_rc_t tee_hpke_receive(tee_hpke_t *h, tee_crypto_t *crypto,
    const tee_hpke_key_t *key, uint16_t kdf, uint16_t aead, tee_str_t enc,
    tee_str_t info);

/*
 * SetupBaseS: the sender's side.  Randomness is the caller's.
 *
 * ephemeral  a fresh key of the same KEM for X25519 and P-256: derived from
 *            random bytes and used once.  X-Wing takes random bytes instead
 *            (64, in "seed"), and no key.
 * enc        room for TEE_HPKE_MAX_ENC; *enc_len gets the length
 *
 * As above; TEE_CRYPTO and TEE_MALFORMED speak of "pk"
 */

TEE_MUST_CHECK tee_rc_t tee_hpke_send(tee_hpke_t *h, tee_crypto_t *crypto,
    uint16_t kem, tee_str_t pk, const tee_hpke_key_t *ephemeral,
    tee_str_t seed, uint16_t kdf, uint16_t aead, tee_str_t info, uint8_t *enc,
    size_t *enc_len);

/* Export(), 5.3; len up to 8160; TEE_OK, TEE_LIMIT, TEE_NOMEM. */

TEE_MUST_CHECK tee_rc_t tee_hpke_export(const tee_hpke_t *h, tee_str_t context,
    uint8_t *out, size_t len);

/* Wipes; may be called on a cleared structure, and twice. */

void tee_hpke_free(tee_hpke_t *h);


#endif /* TEE_HPKE_H_INCLUDED */
