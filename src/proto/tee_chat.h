
/*
 * Copyright (C) The ngx_http_tee authors
 */


#ifndef TEE_CHAT_H_INCLUDED
#define TEE_CHAT_H_INCLUDED


#include <tee.h>
#include <tee_write.h>


/* What a signature says about a request to OpenGradient's gateway: the text
 * whose hash is signed, made of some members of its body. */

typedef enum {
    TEE_CHAT = 0,
    TEE_CHAT_COMPLETIONS,
    TEE_CHAT_WEB_SEARCH
} tee_chat_endpoint_t;

/* Members that not every gateway has signed. */

#define TEE_CHAT_ASPECT_RATIO  1

#define TEE_CHAT_NEWEST        TEE_CHAT_ASPECT_RATIO


/*
 * Writes the canonical text of a request body, as the gateway does it.
 *
 * members  a sum of the above
 * w        what is in there remains; no use after a failure
 *
 * TEE_OK
 * TEE_MALFORMED    not JSON, or the gateway would refuse it
 * TEE_UNSUPPORTED  the gateway would write what only Python can, or has it
 *                  refused by its schema; deeper than TEE_JSON_PYTHON_DEPTH
 * TEE_LIMIT        too many values
 * TEE_NOMEM
 */

TEE_MUST_CHECK tee_rc_t tee_chat_canonical(tee_str_t body,
    tee_chat_endpoint_t endpoint, unsigned members, const tee_alloc_t *alloc,
    tee_write_t *w);


#endif /* TEE_CHAT_H_INCLUDED */
