
/*
 * Copyright (C) The ngx_http_tee authors
 */


#ifndef TEE_BILLING_H_INCLUDED
#define TEE_BILLING_H_INCLUDED


#include <tee.h>


/*
 * Takes OpenGradient's private billing frame out of a chunked OHTTP response
 * on its way through a relay:
 *
 *     nonce[nonce_len] { varint(len >= 16) sealed[len] }*
 *     [ LF "--opengradient-ohttp-billing-v1--" LF  u32 len  JSON[len] ]
 *     varint(0) sealed_final, to the end
 *
 * LF would be a chunk of 10 bytes, and none is shorter than its 16-byte tag,
 * so the first byte at a chunk boundary decides.  Nothing is copied but the
 * JSON.
 */

#define TEE_BILLING_MARK     "\n--opengradient-ohttp-billing-v1--\n"
#define TEE_BILLING_MAX_LEN  65536


typedef struct {
    tee_str_t             json;                /* as received; empty: none */

    /* the rest is private */
    const tee_alloc_t    *alloc;
    uint8_t              *buf;
    uint64_t              left;
    uint32_t              len;
    unsigned              state;
    unsigned              need;
    unsigned              got;
    unsigned              framed:1;
} tee_billing_t;


/* nonce_len is max(Nn, Nk) of the AEAD: 16 or 32. */

void tee_billing_init(tee_billing_t *b, size_t nonce_len,
    const tee_alloc_t *alloc);

/* Frees json. */

void tee_billing_free(tee_billing_t *b);

/*
 * Takes bytes from the front of *in.
 *
 * out  a piece of *in to forward, or empty
 *
 * TEE_OK         out has a piece (call again), or in is used up
 * TEE_MALFORMED  a length of 1 to 15 that is not the frame, a second frame
 * TEE_LIMIT      JSON over TEE_BILLING_MAX_LEN
 * TEE_NOMEM
 */

TEE_MUST_CHECK tee_rc_t tee_billing_read(tee_billing_t *b, tee_str_t *in,
    tee_str_t *out);

/* The response has ended: TEE_OK, or TEE_INCOMPLETE before the final chunk's
 * tag. */

TEE_MUST_CHECK tee_rc_t tee_billing_end(const tee_billing_t *b);

/*
 * The value of a text member of the frame's JSON, for a log variable.
 *
 * value  from the allocator; the caller frees value->data, NULL if empty
 *
 * TEE_OK, TEE_DONE (not there), TEE_MALFORMED (also: not printable ASCII),
 * TEE_NOMEM
 */

TEE_MUST_CHECK tee_rc_t tee_billing_member(tee_str_t json, const char *name,
    const tee_alloc_t *alloc, tee_str_t *value);


#endif /* TEE_BILLING_H_INCLUDED */
