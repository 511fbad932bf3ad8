
/*
 * Copyright (C) The ngx_http_tee authors
 */


#ifndef TEE_INNER_H_INCLUDED
#define TEE_INNER_H_INCLUDED


#include <tee.h>
#include <tee_write.h>


/*
 * What a client seals for OpenGradient's gateway: of an application's request
 * the members that a signature covers, in the form in which it covers them,
 * but with the content of users as it is; and what the gateway honours beyond
 * that.  All else stays behind.
 */

typedef enum {
    TEE_INNER_CHAT = 0,
    TEE_INNER_WEB_SEARCH
} tee_inner_endpoint_t;


typedef struct {
    unsigned              stream:1;            /* events are asked for */
    const char           *why;                 /* of a failure, or NULL */
} tee_inner_t;


/*
 * Writes the request to seal for what an application has sent.
 *
 * inner  "why" is a constant, for the application to read
 * w      what is in there remains; no use after a failure
 *
 * TEE_OK
 * TEE_MALFORMED    not JSON, no object, or without what a request must have
 * TEE_UNSUPPORTED  a gateway would not take it, or not sign it
 * TEE_LIMIT        too many values
 * TEE_NOMEM
 */

TEE_MUST_CHECK tee_rc_t tee_inner_request(tee_str_t body,
    tee_inner_endpoint_t endpoint, const tee_alloc_t *alloc,
    tee_inner_t *inner, tee_write_t *w);


/*
 * Takes an answer that is no stream apart: it is the answer itself or, if that
 * is an error, {"status": 400, "body": {...}}.
 *
 * status  200 if there is no such envelope
 * body    the answer; a part of "json"
 *
 * TEE_OK, or TEE_MALFORMED: not an object, or not a status of an answer
 */

TEE_MUST_CHECK tee_rc_t tee_inner_response(tee_str_t json, unsigned *status,
    tee_str_t *body);


#endif /* TEE_INNER_H_INCLUDED */
