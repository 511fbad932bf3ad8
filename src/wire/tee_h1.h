
/*
 * Copyright (C) The ngx_http_tee authors
 */


#ifndef TEE_H1_H_INCLUDED
#define TEE_H1_H_INCLUDED


#include <tee.h>


/*
 * Reads one HTTP/1.x response to a GET or POST, in any pieces; RFC 9112.
 * Strict where leniency has been used for smuggling: bare CR or LF in a head
 * line, obs-fold, two different Content-Length, Content-Length beside
 * Transfer-Encoding, any coding but a lone "chunked", chunk-size overflow, and
 * spaces before a colon are all TEE_MALFORMED.  1xx responses are skipped.
 */

typedef struct {
    /* valid once head_done is set */
    unsigned              head_done:1;
    unsigned              keepalive:1;         /* may serve another request */
    unsigned              known_length:1;
    unsigned              has_max_age:1;
    uint16_t              status;
    uint64_t              content_length;
    uint32_t              max_age;             /* RFC 9111, 5.2; saturates */
    uint32_t              age;                 /* RFC 9111, 5.1; saturates */

    /* the rest is private */
    uint64_t              left;
    uint64_t              body_seen;
    uint64_t              max_body;
    size_t                head_seen;
    size_t                max_head;
    unsigned              state;
    unsigned              framing;
    unsigned              flags;
    size_t                line_len;
    uint8_t               line[512];
} tee_h1_t;


/* max_head counts all bytes of heads, trailers and chunk extensions, max_body
 * the content. */

void tee_h1_init(tee_h1_t *h, size_t max_head, uint64_t max_body);

/*
 * Takes bytes from the front of *in and yields content.
 *
 * in    what arrived; advanced past what was used
 * body  a piece of content that points into *in, or empty
 *
 * TEE_OK          body has a piece (call again), or in is used up
 * TEE_DONE        the response is complete; *in may have bytes after it
 * TEE_MALFORMED, TEE_UNSUPPORTED (version, coding), TEE_LIMIT
 */

TEE_MUST_CHECK tee_rc_t tee_h1_read(tee_h1_t *h, tee_str_t *in,
    tee_str_t *body);

/* The peer has closed: TEE_DONE if that completes the response, else
 * TEE_INCOMPLETE. */

TEE_MUST_CHECK tee_rc_t tee_h1_eof(tee_h1_t *h);


#endif /* TEE_H1_H_INCLUDED */
