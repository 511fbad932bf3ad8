
/*
 * Copyright (C) The ngx_http_tee authors
 */


#ifndef TEE_AEAD_H_INCLUDED
#define TEE_AEAD_H_INCLUDED


#include <tee.h>


#define TEE_AEAD_AES_128_GCM    0x0001
#define TEE_AEAD_AES_256_GCM    0x0002
#define TEE_AEAD_CHACHA20       0x0003

#define TEE_AEAD_MAX_KEY        32
#define TEE_AEAD_NONCE_LEN      12
#define TEE_AEAD_TAG_LEN        16


/*
 * What libcrypto has to look up or to allocate only once: fetched algorithms
 * and contexts that are used again.  It belongs to one thread.
 */

typedef struct tee_crypto_s  tee_crypto_t;

/* NULL: no memory, or libcrypto lacks an algorithm. */

tee_crypto_t *tee_crypto_new(const tee_alloc_t *alloc);
void tee_crypto_free(tee_crypto_t *crypto);


/* The length of the key, or 0 if the algorithm is unknown to us. */

size_t tee_aead_key_len(uint16_t aead);


/*
 * One direction of an exchange: a key, and a nonce for every message, which
 * is "nonce" XOR a counter; RFC 9180, 5.2.  A message is sealed or opened
 * whole, or in pieces between _begin() and _end().
 */

typedef struct {
    /* all of it is private */
    tee_crypto_t         *crypto;
    void                 *ctx;
    uint64_t              seq;
    uint64_t              left;                /* of what a message may have */
    tee_rc_t              rc;                  /* of the first failure */
    uint16_t              id;
    unsigned              open:1;
    unsigned              busy:1;              /* within a message */
    uint8_t               nonce[TEE_AEAD_NONCE_LEN];
} tee_aead_t;


/*
 * key   tee_aead_key_len(id) bytes
 * open  1 to open messages, 0 to seal them
 *
 * TEE_OK (then tee_aead_free() it), TEE_UNSUPPORTED, TEE_NOMEM
 */

TEE_MUST_CHECK tee_rc_t tee_aead_init(tee_aead_t *a, tee_crypto_t *crypto,
    uint16_t id, const uint8_t *key, const uint8_t nonce[TEE_AEAD_NONCE_LEN],
    int open);

/* Wipes the key; may be called on a cleared structure, and twice. */

void tee_aead_free(tee_aead_t *a);

/*
 * The next message, in pieces.  After any failure nothing more is sealed or
 * opened.
 *
 * out  as many bytes as "in" has; may be the same memory.  What has been
 *      opened must not be used before _end() has accepted the tag.
 *
 * TEE_OK
 * TEE_LIMIT   the counter is at its end (RFC 9180, 5.2), the message is longer
 *             than the algorithm allows, or the calls are out of order
 * TEE_CRYPTO  the tag is wrong
 * TEE_NOMEM   libcrypto failed
 */

TEE_MUST_CHECK tee_rc_t tee_aead_begin(tee_aead_t *a, tee_str_t aad);
TEE_MUST_CHECK tee_rc_t tee_aead_update(tee_aead_t *a, tee_str_t in,
    uint8_t *out);
TEE_MUST_CHECK tee_rc_t tee_aead_seal_end(tee_aead_t *a,
    uint8_t tag[TEE_AEAD_TAG_LEN]);
TEE_MUST_CHECK tee_rc_t tee_aead_open_end(tee_aead_t *a,
    const uint8_t tag[TEE_AEAD_TAG_LEN]);


#endif /* TEE_AEAD_H_INCLUDED */
