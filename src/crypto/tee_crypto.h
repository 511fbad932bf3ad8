
/*
 * Copyright (C) The ngx_http_tee authors
 */


#ifndef TEE_CRYPTO_H_INCLUDED
#define TEE_CRYPTO_H_INCLUDED


#include <tee.h>


/*
 * What libcrypto computes for us.  Everything in this layer may be called
 * from several threads at once, and leaves the error queue of the thread as
 * it was: nginx reports whatever it finds there as its own.
 */

/* TEE_OK, or TEE_NOMEM with the digest cleared. */

TEE_MUST_CHECK tee_rc_t tee_sha256(tee_str_t in, uint8_t digest[32]);

/*
 * Checks that a key agreement may use this point as a public key: P-256 in
 * the uncompressed form of SEC 1, on the curve.
 *
 * TEE_OK, TEE_CRYPTO, TEE_NOMEM
 */

TEE_MUST_CHECK tee_rc_t tee_crypto_p256_point(const uint8_t point[65]);


#endif /* TEE_CRYPTO_H_INCLUDED */
