
/*
 * Copyright (C) The ngx_http_tee authors
 */


#ifndef TEE_ENVELOPE_H_INCLUDED
#define TEE_ENVELOPE_H_INCLUDED


#include <tee.h>


/* The content of a sealed request in OpenGradient's profile: JSON, and no
 * BHTTP; of its response: JSON or server-sent events. */

typedef enum {
    TEE_ENVELOPE_CHAT = 0,                     /* also when none is named */
    TEE_ENVELOPE_WEB_SEARCH,
    TEE_ENVELOPE_UNKNOWN
} tee_envelope_endpoint_t;


/*
 * Takes an inner request apart: removes every top-level member "endpoint",
 * "user", "metadata", "x-request-id" and "request_id", however its name is
 * escaped, and tells the endpoint.  Of two endpoints the last one counts.
 *
 * body  from the allocator: what remains, every member as it was written;
 *       wipe and free it
 *
 * TEE_OK
 * TEE_MALFORMED    not JSON, or not UTF-8
 * TEE_UNSUPPORTED  JSON, but not an object
 * TEE_LIMIT        too deep, or too many values
 * TEE_NOMEM
 */

TEE_MUST_CHECK tee_rc_t tee_envelope_request(tee_str_t json,
    const tee_alloc_t *alloc, tee_str_t *body,
    tee_envelope_endpoint_t *endpoint);

/* 1 if a member with this name is removed. */

int tee_envelope_dropped(tee_str_t name);


/* The cost block; all three are texts of digits, with a decimal point where
 * the name does not end with "opg". */

#define TEE_ENVELOPE_MAX_COST  80

typedef struct {
    size_t                opg_len;
    size_t                usd_len;
    size_t                price_len;
    uint8_t               opg[TEE_ENVELOPE_MAX_COST];
    uint8_t               usd[TEE_ENVELOPE_MAX_COST];
    uint8_t               price[TEE_ENVELOPE_MAX_COST];
} tee_envelope_cost_t;


/*
 * The member "opengradient" of a response, or of an event's data.
 *
 * event  1 if "in" is a server-sent event: its data lines are JSON
 *
 * TEE_OK, TEE_DONE (there is none, or not a valid one), TEE_NOMEM
 */

TEE_MUST_CHECK tee_rc_t tee_envelope_cost(tee_str_t in, int event,
    const tee_alloc_t *alloc, tee_envelope_cost_t *cost);

/* The private billing frame of a chunked response, tee_billing.h. */

#define TEE_ENVELOPE_MAX_FRAME  512

size_t tee_envelope_frame(const tee_envelope_cost_t *cost,
    uint8_t frame[TEE_ENVELOPE_MAX_FRAME]);


#endif /* TEE_ENVELOPE_H_INCLUDED */
