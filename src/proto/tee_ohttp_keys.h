
/*
 * Copyright (C) The ngx_http_tee authors
 */


#ifndef TEE_OHTTP_KEYS_H_INCLUDED
#define TEE_OHTTP_KEYS_H_INCLUDED


#include <tee.h>
#include <tee_hpke.h>
#include <tee_write.h>


/* Key configurations of Oblivious HTTP; RFC 9458, 3. */

#define TEE_OHTTP_KEYS_MAX_LEN  65536

typedef struct {
    uint8_t               id;
    uint16_t              kem;
    tee_str_t             pk;
    tee_str_t             suites;              /* pairs of u16: kdf, aead */
} tee_ohttp_key_t;


/* The length of a public key, or 0 if the KEM is unknown to us. */

size_t tee_ohttp_kem_pk_len(uint16_t kem);

/* 1 if we can seal with this pair. */

int tee_ohttp_suite_known(uint16_t kdf, uint16_t aead);

/*
 * Reads one key configuration without a length before it; RFC 9458, 3.1.
 *
 *     struct { u8 id; u16 kem; pk[Npk]; u16 n; { u16 kdf, aead }[n / 4] }
 *
 * key  points into "in"; cleared on failure
 *
 * TEE_OK
 * TEE_MALFORMED    a wrong length anywhere, a byte too many, no suites
 * TEE_UNSUPPORTED  the KEM, so that Npk is not known
 */

TEE_MUST_CHECK tee_rc_t tee_ohttp_key_parse(tee_str_t in,
    tee_ohttp_key_t *key);

/*
 * Reads an application/ohttp-keys list: keys, each after a u16 of its length.
 *
 * in    the whole list, 1 to TEE_OHTTP_KEYS_MAX_LEN bytes
 * keys  room for *n elements; the elements point into "in"
 * n     on input, the room; on output, the number of keys stored
 *
 * Keys with a KEM unknown to us are skipped, so *n may become 0.  Of two keys
 * with one id and KEM, which no request could tell apart, the first stays.
 *
 * TEE_OK, or, with *n set to 0 since 3.2 forbids using part of a bad list:
 * TEE_MALFORMED  a wrong length anywhere, an empty list, or no suites in a key
 * TEE_LIMIT      "in" is too long, or there are more known keys than room
 */

TEE_MUST_CHECK tee_rc_t tee_ohttp_keys_parse(tee_str_t in,
    tee_ohttp_key_t *keys, size_t *n);

/*
 * Writes a configuration as tee_ohttp_key_parse() reads it; for a list, put
 * its length before it: tee_ohttp_key_len().
 */

void tee_ohttp_key_write(tee_write_t *w, const tee_ohttp_key_t *key);
size_t tee_ohttp_key_len(const tee_ohttp_key_t *key);

/* 1 if the key offers this pair. */

int tee_ohttp_key_has(const tee_ohttp_key_t *key, uint16_t kdf, uint16_t aead);

/*
 * Checks that something can be sealed to a key: a pair that we know, and a
 * public key that is a point of its curve.
 *
 * TEE_OK, TEE_UNSUPPORTED (no pair), TEE_CRYPTO (the point), TEE_NOMEM
 */

TEE_MUST_CHECK tee_rc_t tee_ohttp_key_usable(const tee_ohttp_key_t *key);


#endif /* TEE_OHTTP_KEYS_H_INCLUDED */
