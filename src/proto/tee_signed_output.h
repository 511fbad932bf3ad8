
/*
 * Copyright (C) The ngx_http_tee authors
 */


#ifndef TEE_SIGNED_OUTPUT_H_INCLUDED
#define TEE_SIGNED_OUTPUT_H_INCLUDED


#include <tee.h>
#include <tee_json.h>
#include <tee_keccak.h>


/* For tee_signed.c and tee_signed_stream.c. */

/* The values in an answer or an event. */

#define TEE_SIGNED_NODES  262144

/* The first of the choices, if it is an object, or NULL. */

const tee_json_t *tee_signed_choice(const tee_json_t *body);

/*
 * Adds a content to a hash: a string, or the texts of a list.
 *
 * TEE_OK (also with nothing to add: NULL, null), TEE_MALFORMED (not UTF-8),
 * or TEE_UNSUPPORTED (anything else)
 */

TEE_MUST_CHECK tee_rc_t tee_signed_content(tee_keccak_t *k,
    const tee_json_t *content);


#endif /* TEE_SIGNED_OUTPUT_H_INCLUDED */
