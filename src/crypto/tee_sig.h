
/*
 * Copyright (C) The ngx_http_tee authors
 */


#ifndef TEE_SIG_H_INCLUDED
#define TEE_SIG_H_INCLUDED


#include <tee.h>


/* An RSA key of 8192 bits with an exponent of 32 bits stays below. */

#define TEE_SPKI_MAX_LEN  1088


/*
 * Checks that "spki" is one exact DER SubjectPublicKeyInfo of an RSA key with
 * 2048 to 8192 bits: rsaEncryption with NULL parameters (RFC 3279, 2.3.1), an
 * odd modulus, an odd exponent from 3 to 2^32, minimal lengths, and not a byte
 * after it.  A TEE id is the hash of these bytes, so a second spelling of a
 * key would be a second id.
 *
 * TEE_OK, TEE_MALFORMED, or TEE_UNSUPPORTED (another algorithm or size)
 */

TEE_MUST_CHECK tee_rc_t tee_sig_spki(tee_str_t spki);

/*
 * Verifies RSASSA-PSS with SHA-256, MGF1-SHA-256 and a salt of exactly 32
 * bytes over "msg", which is hashed here.
 *
 * TEE_OK, TEE_MALFORMED and TEE_UNSUPPORTED (the key), TEE_CRYPTO (the
 * signature), TEE_NOMEM
 */

TEE_MUST_CHECK tee_rc_t tee_sig_verify(tee_str_t spki, tee_str_t msg,
    tee_str_t sig);

/*
 * The same for many signatures of one key, which several threads may use at
 * the same time.
 *
 * key  NULL on failure; tee_sig_public_free() it, and NULL is no key
 */

typedef struct tee_sig_public_s  tee_sig_public_t;

TEE_MUST_CHECK tee_rc_t tee_sig_public_read(tee_str_t spki,
    tee_sig_public_t **key);
TEE_MUST_CHECK tee_rc_t tee_sig_public_verify(const tee_sig_public_t *key,
    tee_str_t msg, tee_str_t sig);
void tee_sig_public_free(tee_sig_public_t *key);

/* The signature of a key of 8192 bits. */

#define TEE_SIG_MAX_LEN  1024

/* A private key that is ready to sign. */

typedef struct tee_sig_key_s  tee_sig_key_t;


/*
 * Reads a key, and signs with it once.
 *
 * pem  one unencrypted private key and nothing else but white space
 * key  NULL on failure; tee_sig_key_free() it
 *
 * TEE_OK
 * TEE_MALFORMED    not such a PEM text
 * TEE_UNSUPPORTED  another algorithm or size, as above
 * TEE_CRYPTO       its two halves do not belong together
 * TEE_NOMEM
 */

TEE_MUST_CHECK tee_rc_t tee_sig_key_read(tee_str_t pem, tee_sig_key_t **key);

/* NULL is no key. */

void tee_sig_key_free(tee_sig_key_t *key);

/* The public half, as above; lives as long as the key. */

tee_str_t tee_sig_key_public(const tee_sig_key_t *key);

/*
 * Signs as tee_sig_verify() has it, with a random salt.  Several threads may
 * use a key at the same time, and so may processes that inherit it.
 *
 * sig  room for TEE_SIG_MAX_LEN
 * len  0 on failure
 *
 * TEE_OK, TEE_CRYPTO, TEE_NOMEM
 */

TEE_MUST_CHECK tee_rc_t tee_sig_key_sign(const tee_sig_key_t *key,
    tee_str_t msg, uint8_t *sig, size_t *len);


#endif /* TEE_SIG_H_INCLUDED */
