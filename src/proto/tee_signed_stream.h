
/*
 * Copyright (C) The ngx_http_tee authors
 */


#ifndef TEE_SIGNED_STREAM_H_INCLUDED
#define TEE_SIGNED_STREAM_H_INCLUDED


#include <tee.h>
#include <tee_signed.h>
#include <tee_signed_delta.h>
#include <tee_sse.h>
#include <tee_write.h>


/*
 * A streamed answer: server-sent events with pieces of a text or of tool
 * calls, and one with the signature.  It may come in any pieces.  Only the
 * event that is being read is kept, and the tool calls; of the text, its hash.
 *
 * What another reader might take for more of the answer is refused: an event
 * with several choices, with a message in place of a piece of one, with JSON
 * on several lines, with what is a line's end to some, or with a line that
 * begins with a blank; and a stream that begins with a byte order mark.
 */

typedef struct {
    tee_signed_t          last;                /* of the last signed event */
    unsigned              has_signature:1;     /* there is one, good or bad */
    unsigned              ended:1;             /* a finish_reason, or [DONE] */

    /* the rest is private */
    unsigned              strict:1;
    unsigned              done:1;
    unsigned              typed:1;
    unsigned              ended_with_calls:1;
    unsigned              started:1;
    unsigned              whole:1;
    tee_rc_t              last_rc;
    tee_rc_t              rc;
    size_t                max;
    tee_sse_t             sse;
    tee_write_t           event;
    tee_write_t           data;
    tee_signed_delta_t    said;
    const tee_alloc_t    *alloc;
} tee_signed_stream_t;


/*
 * max     bytes of an event, and of all tool calls
 * strict  1: it goes on to others as it is, so that what they might read
 *         differently is TEE_UNSUPPORTED: besides members that are there
 *         twice, text or calls behind a finish_reason, anything behind
 *         "[DONE]", and a choice in an event that is not a "message"; 0: as
 *         the SDK reads it
 * alloc   has to outlive it
 */

void tee_signed_stream_init(tee_signed_stream_t *s, size_t max, int strict,
    const tee_alloc_t *alloc);
void tee_signed_stream_free(tee_signed_stream_t *s);

/*
 * Reads the next bytes.
 *
 * TEE_OK
 * TEE_MALFORMED    an event that is not JSON, or one that tells an error
 * TEE_UNSUPPORTED  a content that is neither text nor a list of texts; what
 *                  others might read differently
 * TEE_LIMIT, TEE_NOMEM
 *
 * A failure is answered for good.
 */

TEE_MUST_CHECK tee_rc_t tee_signed_stream_read(tee_signed_stream_t *s,
    tee_str_t in);

/*
 * The same, event by event, for who passes them on.
 *
 * in     what is not read yet; bytes up to the end of an event are taken off
 * event  all bytes of the event that has ended, valid until the next call, or
 *        empty: more of it is needed, and "in" is empty
 *
 * The results of tee_signed_stream_read(); the event of a failure is not told.
 */

TEE_MUST_CHECK tee_rc_t tee_signed_stream_next(tee_signed_stream_t *s,
    tee_str_t *in, tee_str_t *event);

/*
 * At the end: the hash of what the answer says.  A last event does not need
 * the blank line behind it; tee_signed_stream_rest() has it then.
 *
 * TEE_OK
 * TEE_INCOMPLETE   no event was signed, or the last one is cut
 * TEE_MALFORMED    the members of the last signed event are none
 *
 * and those above; "output" is cleared on failure
 */

TEE_MUST_CHECK tee_rc_t tee_signed_stream_end(tee_signed_stream_t *s,
    uint8_t output[32]);

/* The bytes of an event that has not ended. */

tee_str_t tee_signed_stream_rest(const tee_signed_stream_t *s);


#endif /* TEE_SIGNED_STREAM_H_INCLUDED */
