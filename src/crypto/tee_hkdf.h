
/*
 * Copyright (C) The ngx_http_tee authors
 */


#ifndef TEE_HKDF_H_INCLUDED
#define TEE_HKDF_H_INCLUDED


#include <tee.h>
#include <tee_aead.h>


/* HKDF with SHA-256; RFC 5869. */

#define TEE_HKDF_LEN      32
#define TEE_HKDF_MAX_OUT  (255 * TEE_HKDF_LEN)


/*
 * The input comes in "n" parts, as most of it is a label before something
 * else.  On failure "prk" and "out" are cleared.
 *
 * TEE_OK, TEE_LIMIT (len is over TEE_HKDF_MAX_OUT), TEE_NOMEM
 */

TEE_MUST_CHECK tee_rc_t tee_hkdf_extract(tee_crypto_t *crypto, tee_str_t salt,
    const tee_str_t *ikm, size_t n, uint8_t prk[TEE_HKDF_LEN]);
TEE_MUST_CHECK tee_rc_t tee_hkdf_expand(tee_crypto_t *crypto,
    const uint8_t prk[TEE_HKDF_LEN], const tee_str_t *info, size_t n,
    uint8_t *out, size_t len);


#endif /* TEE_HKDF_H_INCLUDED */
