
/*
 * Copyright (C) The ngx_http_tee authors
 */


#ifndef TEE_PROBLEM_H_INCLUDED
#define TEE_PROBLEM_H_INCLUDED


#include <tee.h>


/*
 * What an error says about sending the request again.  Outside of what is
 * sealed it is a claim of whoever stands between, and good for no more than
 * one other attempt.
 */

typedef enum {
    TEE_PROBLEM_OTHER = 0,
    TEE_PROBLEM_KEY,        /* it was sealed to a key that is not known */
    TEE_PROBLEM_DATE,       /* the sender's clock is off */
    TEE_PROBLEM_UNSENT      /* the TEE has not had it, or cannot open any */
} tee_problem_t;


/* What is longer than this says nothing that is looked for. */

#define TEE_PROBLEM_MAX_LEN  4096


/*
 * Reads the content of an error: application/problem+json (RFC 9457) with a
 * type of RFC 9458, 5.3 and 6.5.2, or with a "reason" of this project's relay;
 * or {"error": "..."} as OpenGradient's gateways write it.
 *
 * Whatever else it is, TEE_PROBLEM_OTHER.
 */

tee_problem_t tee_problem_read(tee_str_t json, const tee_alloc_t *alloc);


#endif /* TEE_PROBLEM_H_INCLUDED */
