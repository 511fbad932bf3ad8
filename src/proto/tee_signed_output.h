
/*
 * Copyright (C) The ngx_http_tee authors
 */


#ifndef TEE_SIGNED_OUTPUT_H_INCLUDED
#define TEE_SIGNED_OUTPUT_H_INCLUDED


#include <tee.h>
#include <tee_chat.h>
#include <tee_json.h>
#include <tee_keccak.h>


/* For all that read what an answer says. */

/* The values in an answer or an event. */

#define TEE_SIGNED_NODES        262144
#define TEE_SIGNED_EVENT_NODES  8192

/* TEE_UNSUPPORTED if a member of this object, if it is one, has a name that
 * differs from one with a meaning in its case alone; else TEE_OK. */

TEE_MUST_CHECK tee_rc_t tee_signed_names(const tee_json_t *object);

/*
 * The only choice, in which there is no other part of an answer than this.
 *
 * part    "message", "delta" or "text"
 * choice  NULL if there is none, or it is no object
 *
 * TEE_OK, or TEE_UNSUPPORTED: several, not the first one, another part, or
 * names as above
 */

TEE_MUST_CHECK tee_rc_t tee_signed_only(const tee_json_t *body,
    const char *part, const tee_json_t **choice);

/*
 * The hash of what an answer says.
 *
 * TEE_OK, TEE_MALFORMED, TEE_UNSUPPORTED, TEE_NOMEM; see below
 */

TEE_MUST_CHECK tee_rc_t tee_signed_output(const tee_json_t *body,
    tee_chat_endpoint_t endpoint, const tee_alloc_t *alloc,
    uint8_t output[32]);

/*
 * Adds a content to a hash: a string, or the texts of a list.
 *
 * TEE_OK (also with nothing to add: NULL, null), TEE_MALFORMED (not UTF-8),
 * or TEE_UNSUPPORTED (anything else, or names as above)
 */

TEE_MUST_CHECK tee_rc_t tee_signed_content(tee_keccak_t *k,
    const tee_json_t *content);


#endif /* TEE_SIGNED_OUTPUT_H_INCLUDED */
