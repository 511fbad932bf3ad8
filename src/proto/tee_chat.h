
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


/*
 * The optional members that are signed, besides "model" and "messages" or
 * "prompt", which always are.  Some have a rule of the gateway's: temperature,
 * max_tokens, web_search, and tools, response_format and aspect_ratio, which a
 * completion never has.  Any other one is signed as it is, if Python takes it
 * for true.  Their order does not matter, nor that one is there twice; names
 * are UTF-8.
 */

typedef struct {
    size_t                n;
    const tee_str_t      *names;
} tee_chat_fields_t;

/* Those of the newest gateway: temperature, max_tokens, stop, tools,
 * response_format, web_search, aspect_ratio. */

extern const tee_chat_fields_t  tee_chat_newest;


/*
 * Writes the canonical text of a request body, as the gateway does it.
 *
 * fields  not for a web search, of which everything is signed
 * w       what is in there remains; no use after a failure
 *
 * TEE_OK
 * TEE_MALFORMED    not JSON, or the gateway would refuse it
 * TEE_UNSUPPORTED  the gateway would write what only Python can, or has it
 *                  refused by its schema; deeper than TEE_JSON_PYTHON_DEPTH
 * TEE_LIMIT        too many values
 * TEE_NOMEM
 */

TEE_MUST_CHECK tee_rc_t tee_chat_canonical(tee_str_t body,
    tee_chat_endpoint_t endpoint, const tee_chat_fields_t *fields,
    const tee_alloc_t *alloc, tee_write_t *w);

/*
 * The hash of this text, which is nowhere in memory as a whole.  The same
 * results, but what whoever is asked might read differently is TEE_UNSUPPORTED:
 * a member that is there twice, or whose name differs from one that is signed
 * in its case alone.  "hash" is cleared on failure.
 */

TEE_MUST_CHECK tee_rc_t tee_chat_hash(tee_str_t body,
    tee_chat_endpoint_t endpoint, const tee_chat_fields_t *fields,
    const tee_alloc_t *alloc, uint8_t hash[32]);


#endif /* TEE_CHAT_H_INCLUDED */
