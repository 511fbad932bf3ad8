
/*
 * Copyright (C) The ngx_http_tee authors
 */


#ifndef TEE_SIGNED_STREAM_H_INCLUDED
#define TEE_SIGNED_STREAM_H_INCLUDED


#include <tee.h>
#include <tee_arena.h>
#include <tee_keccak.h>
#include <tee_signed.h>
#include <tee_sse.h>
#include <tee_write.h>


/*
 * A streamed answer: server-sent events with pieces of a text or of tool
 * calls, and one with the signature.  It may come in any pieces.  Only the
 * event that is being read is kept, and the tool calls; of the text, its hash.
 */

typedef struct tee_signed_call_s  tee_signed_call_t;

typedef struct {
    tee_signed_t          last;                /* of the last signed event */

    /* the rest is private */
    unsigned              ended_with_calls:1;
    tee_rc_t              last_rc;
    tee_rc_t              rc;
    size_t                room;
    size_t                max;
    tee_sse_t             sse;
    tee_write_t           event;
    tee_keccak_t          text;
    tee_signed_call_t    *calls;
    tee_arena_t           arena;
    const tee_alloc_t    *alloc;
} tee_signed_stream_t;


/* max: bytes of an event, and of all tool calls; "alloc" has to outlive it. */

void tee_signed_stream_init(tee_signed_stream_t *s, size_t max,
    const tee_alloc_t *alloc);
void tee_signed_stream_free(tee_signed_stream_t *s);

/*
 * Reads the next bytes.
 *
 * TEE_OK
 * TEE_MALFORMED    an event that is not JSON, or one that tells an error
 * TEE_UNSUPPORTED  a content that is neither text nor a list of texts
 * TEE_LIMIT, TEE_NOMEM
 *
 * A failure is answered for good.
 */

TEE_MUST_CHECK tee_rc_t tee_signed_stream_read(tee_signed_stream_t *s,
    tee_str_t in);

/*
 * At the end: the hash of what the answer says.  A last event does not need
 * the blank line behind it.
 *
 * TEE_OK
 * TEE_INCOMPLETE   no event was signed, or the last one is cut
 * TEE_MALFORMED    the members of the last signed event are none
 *
 * and those above; "output" is cleared on failure
 */

TEE_MUST_CHECK tee_rc_t tee_signed_stream_end(tee_signed_stream_t *s,
    uint8_t output[32]);


#endif /* TEE_SIGNED_STREAM_H_INCLUDED */
