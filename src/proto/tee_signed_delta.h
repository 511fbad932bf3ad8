
/*
 * Copyright (C) The ngx_http_tee authors
 */


#ifndef TEE_SIGNED_DELTA_H_INCLUDED
#define TEE_SIGNED_DELTA_H_INCLUDED


#include <tee.h>
#include <tee_arena.h>
#include <tee_json.h>
#include <tee_keccak.h>


/*
 * For tee_signed_stream.c and tee_signed_events.c: what a streamed answer
 * says, of which every event has a piece.  Of the text, only the hash is kept;
 * tool calls are put together.
 */

typedef struct tee_signed_call_s  tee_signed_call_t;

typedef struct {
    /* all of it is private */
    tee_keccak_t          text;
    tee_signed_call_t    *calls;
    tee_arena_t           arena;
    size_t                room;
    const tee_alloc_t    *alloc;
} tee_signed_delta_t;


/* max: bytes of all tool calls; "alloc" has to outlive it. */

void tee_signed_delta_init(tee_signed_delta_t *d, size_t max,
    const tee_alloc_t *alloc);
void tee_signed_delta_free(tee_signed_delta_t *d);

/*
 * The choice of an event that tee_canon_parse() has read.
 *
 * choice  an object with the member "delta", or NULL or anything else: nothing
 *
 * TEE_OK
 * TEE_MALFORMED    a text that is not UTF-8
 * TEE_UNSUPPORTED  a content that is neither text nor a list of texts; a call
 *                  that cannot be put together
 * TEE_LIMIT, TEE_NOMEM
 */

TEE_MUST_CHECK tee_rc_t tee_signed_delta_read(tee_signed_delta_t *d,
    const tee_json_t *choice);

/* 1 if the choice says something. */

int tee_signed_delta_says(const tee_json_t *choice);

/* 1 if there is a tool call, or one whose id was never sent. */

int tee_signed_delta_calls(const tee_signed_delta_t *d);
int tee_signed_delta_no_id(const tee_signed_delta_t *d);

/*
 * The hash of the calls if there are any and "calls" is 1, or of the text.
 *
 * no_id  JSON for an id that was never sent
 *
 * TEE_OK or TEE_NOMEM
 */

TEE_MUST_CHECK tee_rc_t tee_signed_delta_output(const tee_signed_delta_t *d,
    int calls, const char *no_id, uint8_t output[32]);


#endif /* TEE_SIGNED_DELTA_H_INCLUDED */
