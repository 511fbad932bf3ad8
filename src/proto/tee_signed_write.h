
/*
 * Copyright (C) The ngx_http_tee authors
 */


#ifndef TEE_SIGNED_WRITE_H_INCLUDED
#define TEE_SIGNED_WRITE_H_INCLUDED


#include <tee.h>
#include <tee_chat.h>
#include <tee_sig.h>
#include <tee_signed.h>
#include <tee_write.h>


/* The other side of tee_signed.h: answers that get a signature. */

/*
 * Signs; *s has all members then, and is cleared on failure.
 *
 * request  the hash of what was asked, tee_chat_hash()
 * output   of what is answered
 * now      seconds
 * tee_id   the hash of the public half of the key
 *
 * TEE_OK, TEE_CRYPTO, TEE_NOMEM
 */

TEE_MUST_CHECK tee_rc_t tee_signed_make(tee_signed_t *s,
    const uint8_t request[32], const uint8_t output[32], uint64_t now,
    const uint8_t tee_id[32], const tee_sig_key_t *key);

/*
 * Begins a signed answer.
 *
 * body    JSON, not signed yet
 * output  the hash of what it says, to be signed; cleared on failure
 * w       the answer without its last brace and what is behind that, and
 *         without its top-level members whose names begin with "tee_"; every
 *         other byte as it was.  On failure what is in there has no use.
 *
 * TEE_OK
 * TEE_MALFORMED    not JSON
 * TEE_UNSUPPORTED  JSON, but not an answer that can be signed: no object, no
 *                  choice or several, one whose index is not 0, a web search
 *                  without content, an error, a content that is neither text
 *                  nor texts, or half of a surrogate pair; an object with
 *                  "status" and "body", which is not read as it is written;
 *                  deeper than TEE_JSON_PYTHON_DEPTH
 * TEE_LIMIT        too many values, or no room
 * TEE_NOMEM
 */

TEE_MUST_CHECK tee_rc_t tee_signed_body_begin(tee_str_t body,
    tee_chat_endpoint_t endpoint, const tee_alloc_t *alloc,
    uint8_t output[32], tee_write_t *w);

/* Ends it: the members of a signature, and the brace.  A failure is in the
 * writer. */

void tee_signed_body_end(tee_write_t *w, const tee_signed_t *s);

/* Room that is enough for it. */

#define TEE_SIGNED_MAX_MEMBERS  2048


#endif /* TEE_SIGNED_WRITE_H_INCLUDED */
