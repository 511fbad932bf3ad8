
/*
 * Copyright (C) The ngx_http_tee authors
 */


#ifndef TEE_H1_STATE_H_INCLUDED
#define TEE_H1_STATE_H_INCLUDED


#include <tee_h1.h>


/* Private to the reader of responses. */

typedef enum {
    TEE_H1_STATUS = 0,         /* in the status line */
    TEE_H1_NAME,               /* at the start of, or in a field name */
    TEE_H1_VALUE,
    TEE_H1_LINE_LF,            /* after the CR of a line */
    TEE_H1_HEAD_LF,            /* after the CR of the empty line */
    TEE_H1_BODY,               /* "left" bytes, or up to the end */
    TEE_H1_SIZE,               /* in a chunk size */
    TEE_H1_EXT,                /* in a chunk extension */
    TEE_H1_SIZE_LF,
    TEE_H1_CHUNK,              /* "left" bytes of a chunk */
    TEE_H1_CHUNK_CR,
    TEE_H1_CHUNK_LF,
    TEE_H1_DONE,
    TEE_H1_MALFORMED,          /* the errors stay */
    TEE_H1_UNSUPPORTED,
    TEE_H1_LIMIT
} tee_h1_state_t;


/* how the content ends */

typedef enum {
    TEE_H1_BY_EOF = 0,
    TEE_H1_BY_LENGTH,
    TEE_H1_BY_CHUNKS
} tee_h1_framing_t;


#define TEE_H1_HAS_LENGTH    0x01
#define TEE_H1_HAS_CODING    0x02
#define TEE_H1_HAS_CLOSE     0x04
#define TEE_H1_HAS_KEEP      0x08
#define TEE_H1_IS_10         0x10
#define TEE_H1_IN_TRAILER    0x20


/* One byte of what frames the chunks: TEE_OK, TEE_MALFORMED, TEE_LIMIT. */

TEE_MUST_CHECK tee_rc_t tee_h1_chunked(tee_h1_t *h, uint8_t ch);

void tee_h1_next_line(tee_h1_t *h, tee_h1_state_t state);

/* How long a response is fresh: Cache-Control, and the number of Age. */

void tee_h1_cache(tee_h1_t *h, tee_str_t value);
uint32_t tee_h1_seconds(tee_str_t value);


#endif /* TEE_H1_STATE_H_INCLUDED */
