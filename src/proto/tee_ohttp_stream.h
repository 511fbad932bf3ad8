
/*
 * Copyright (C) The ngx_http_tee authors
 */


#ifndef TEE_OHTTP_STREAM_H_INCLUDED
#define TEE_OHTTP_STREAM_H_INCLUDED


#include <tee.h>
#include <tee_aead.h>
#include <tee_ohttp.h>


/* Private to tee_ohttp: what requests and responses have in common. */

#define TEE_OHTTP_REQUEST            "message/bhttp request"
#define TEE_OHTTP_CHUNKED_REQUEST    "message/bhttp chunked request"
#define TEE_OHTTP_RESPONSE           "message/bhttp response"
#define TEE_OHTTP_CHUNKED_RESPONSE   "message/bhttp chunked response"


/*
 * Opening.  The stream is set up at once; it is ready for sealed bytes when
 * "aead" has been set.  Each function answers what it has failed with before.
 */

void tee_ohttp_stream_init(tee_ohttp_stream_t *s, const tee_alloc_t *alloc,
    int chunked, size_t max);
void tee_ohttp_stream_free(tee_ohttp_stream_t *s);

/* Wipes everything; answers "rc" from now on. */

tee_rc_t tee_ohttp_stream_fail(tee_ohttp_stream_t *s, tee_rc_t rc);

TEE_MUST_CHECK tee_rc_t tee_ohttp_stream_read(tee_ohttp_stream_t *s,
    tee_str_t *in, tee_str_t *plain);
TEE_MUST_CHECK tee_rc_t tee_ohttp_stream_end(tee_ohttp_stream_t *s,
    tee_str_t *plain);


/* Sealing; "aead" is the caller's to set. */

TEE_MUST_CHECK tee_rc_t tee_ohttp_seal_update(tee_ohttp_seal_t *s,
    tee_str_t in, uint8_t *out);
TEE_MUST_CHECK tee_rc_t tee_ohttp_seal_end(tee_ohttp_seal_t *s,
    uint8_t tag[TEE_AEAD_TAG_LEN]);
TEE_MUST_CHECK tee_rc_t tee_ohttp_seal_chunk(tee_ohttp_seal_t *s,
    tee_str_t in, int final, uint8_t *out, size_t *len);


/* The key of a response; RFC 9458, 4.4. */

TEE_MUST_CHECK tee_rc_t tee_ohttp_response_aead(tee_aead_t *aead,
    tee_crypto_t *crypto, const tee_ohttp_exchange_t *e, int chunked,
    const uint8_t *nonce, int open);


#endif /* TEE_OHTTP_STREAM_H_INCLUDED */
