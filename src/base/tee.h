
/*
 * Copyright (C) The ngx_http_tee authors
 */


#ifndef TEE_H_INCLUDED
#define TEE_H_INCLUDED


#include <stddef.h>
#include <stdint.h>


#define TEE_MUST_CHECK  __attribute__((warn_unused_result))


/* Every pure function answers one of these; outputs are empty on failure. */

typedef enum {
    TEE_OK = 0,
    TEE_DONE = 1,              /* an iteration or a message has ended */
    TEE_MALFORMED = -1,        /* the bytes break their format */
    TEE_UNSUPPORTED = -2,      /* well-formed, but not for us */
    TEE_LIMIT = -3,            /* over a bound the caller has set */
    TEE_CRYPTO = -4,           /* bad point, signature or tag */
    TEE_INCOMPLETE = -5,       /* cut, or more bytes are needed */
    TEE_NOMEM = -6
} tee_rc_t;


/* Bytes that somebody else owns; data may be NULL when len is 0. */

typedef struct {
    size_t           len;
    const uint8_t   *data;
} tee_str_t;


/* Where pure code gets memory that outlives a call. */

typedef struct {
    void          *(*alloc)(void *ctx, size_t size);    /* NULL: no memory */
    void           (*free)(void *ctx, void *p);         /* p is not NULL */
    void            *ctx;
} tee_alloc_t;


#define tee_string(s)  { sizeof(s) - 1, (const uint8_t *) (s) }


/* A few English words for a log line, for instance "malformed". */

const char *tee_strerror(tee_rc_t rc);

/* Zeroes memory that held a secret; never removed by the compiler. */

void tee_wipe(void *p, size_t len);

/* 1 if equal, 0 if not; time depends on len alone. */

int tee_ct_equal(const void *a, const void *b, size_t len);


#endif /* TEE_H_INCLUDED */
