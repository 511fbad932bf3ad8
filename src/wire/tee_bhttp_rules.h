
/*
 * Copyright (C) The ngx_http_tee authors
 */


#ifndef TEE_BHTTP_RULES_H_INCLUDED
#define TEE_BHTTP_RULES_H_INCLUDED


#include <tee_bhttp.h>


/* Private to the reader: what a well-framed message may say. */


/* The control data of a request: TEE_OK or TEE_MALFORMED. */

TEE_MUST_CHECK tee_rc_t tee_bhttp_check_request(const tee_bhttp_read_t *b);

/* A field, and its place among the others: TEE_OK or TEE_MALFORMED. */

TEE_MUST_CHECK tee_rc_t tee_bhttp_check_field(tee_bhttp_read_t *b);


#endif /* TEE_BHTTP_RULES_H_INCLUDED */
