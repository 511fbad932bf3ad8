
/*
 * Copyright (C) The ngx_http_tee authors
 */


#ifndef TEE_SIGNED_EVENTS_H_INCLUDED
#define TEE_SIGNED_EVENTS_H_INCLUDED


#include <tee.h>
#include <tee_signed.h>
#include <tee_signed_delta.h>
#include <tee_sse.h>
#include <tee_write.h>


/*
 * A streamed answer that gets a signature: server-sent events with pieces of a
 * text or of tool calls go on one after the other, when they are whole and
 * have been read.  Only the one with a finish_reason is held, until "[DONE]"
 * or the end, and gets the signature.  An event without a choice may overtake
 * it; one with a choice shows that it was not the last, and lets it go.
 *
 * Events go on byte for byte, but
 *   - top-level members whose names begin with "tee_" are removed;
 *   - U+0085, U+2028 and U+2029 are escaped, as to some they end a line;
 *   - JSON on several lines, or without a blank behind "data:", gets one line
 *     "data: ", as clients want it.
 */

typedef struct {
    unsigned              error:1;             /* the answer has told one */

    /* the rest is private */
    unsigned              signing:1;
    unsigned              passing:1;
    unsigned              started:1;
    unsigned              held_calls:1;
    unsigned              finished:1;
    unsigned              typed:1;
    tee_rc_t              rc;
    size_t                max;
    size_t                held;
    size_t                brace;
    size_t                sent_at;
    size_t                sent;
    size_t                next;
    uint8_t               output[32];
    tee_sse_t             sse;
    tee_write_t           events;
    tee_write_t           data;
    tee_write_t           line;
    tee_signed_delta_t    said;
    const tee_alloc_t    *alloc;
} tee_signed_events_t;


/* max: bytes of an event, and of all tool calls; "alloc" has to outlive it. */

void tee_signed_events_init(tee_signed_events_t *e, size_t max,
    const tee_alloc_t *alloc);
void tee_signed_events_free(tee_signed_events_t *e);

/*
 * Reads on, up to the end of an event.
 *
 * in   what is not read yet; bytes are taken off its front
 * out  bytes that may go on, valid until the next call and as long as "in"
 *      is; often empty
 *
 * TEE_OK           to be called again if "in" is not empty
 * TEE_DONE         the answer has ended: sign, tee_signed_events_sign(), then
 *                  read on; until then nothing is taken
 * TEE_MALFORMED    an event that is not JSON
 * TEE_UNSUPPORTED  several choices, text or calls behind a finish_reason, an
 *                  event of a type with a choice, a member that is there
 *                  twice, or whose name differs from a known one in its case
 *                  alone, an index that is not 0, a message in place of a
 *                  piece of one, a content that is neither text nor texts, or
 *                  half of a surrogate pair, a call that cannot be put
 *                  together, what others might read differently; deeper
 *                  than TEE_JSON_PYTHON_DEPTH
 * TEE_LIMIT, TEE_NOMEM
 *
 * A failure is answered for good.  Neither after an error that the answer
 * tells, nor after the signature, anything is looked at: it goes on as it is.
 */

TEE_MUST_CHECK tee_rc_t tee_signed_events_read(tee_signed_events_t *e,
    tee_str_t *in, tee_str_t *out);

/*
 * At the end of the stream; its last event does not need the blank line.
 *
 * TEE_OK           nothing is to be signed: it has been, or there was an error
 * TEE_DONE         sign, as above
 * TEE_INCOMPLETE   it ended without finish_reason and [DONE], or within an
 *                  event
 *
 * and the failures above
 */

TEE_MUST_CHECK tee_rc_t tee_signed_events_end(tee_signed_events_t *e);

/* After TEE_DONE: the hash of what the answer has said. */

void tee_signed_events_output(const tee_signed_events_t *e,
    uint8_t output[32]);

/*
 * After TEE_DONE: the event with the signature, and all that was held behind
 * it; valid until the next call.
 *
 * TEE_OK or TEE_NOMEM, which is for good
 */

TEE_MUST_CHECK tee_rc_t tee_signed_events_sign(tee_signed_events_t *e,
    const tee_signed_t *s, tee_str_t *out);

/*
 * All bytes that have been taken and have not gone on, for who lets them go
 * unsigned after a failure, or in place of a signature; and, after an end that
 * is TEE_OK, an error that was not followed by a blank line.  Nothing else may
 * be called afterwards.
 */

void tee_signed_events_rest(tee_signed_events_t *e, tee_str_t *out);


#endif /* TEE_SIGNED_EVENTS_H_INCLUDED */
