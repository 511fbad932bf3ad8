
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <tee_h1_state.h>


/* digits of a chunk size, leading zeros included */
#define TEE_H1_MAX_SIZE_LEN  32


static tee_rc_t tee_h1_size(tee_h1_t *h, uint8_t ch);


/* RFC 9112, 7.1 */

tee_rc_t
tee_h1_chunked(tee_h1_t *h, uint8_t ch)
{
    switch (h->state) {

    case TEE_H1_SIZE:
        return tee_h1_size(h, ch);

    case TEE_H1_EXT:

        if (ch == '\r') {
            h->state = TEE_H1_SIZE_LF;
            return TEE_OK;
        }

        return (ch < 0x20 && ch != '\t') || ch == 0x7f ? TEE_MALFORMED : TEE_OK;

    case TEE_H1_SIZE_LF:

        if (ch != '\n') {
            return TEE_MALFORMED;
        }

        if (h->left == 0) {
            h->flags |= TEE_H1_IN_TRAILER;
            tee_h1_next_line(h, TEE_H1_NAME);
            return TEE_OK;
        }

        if (h->left > h->max_body - h->body_seen) {
            return TEE_LIMIT;
        }

        h->state = TEE_H1_CHUNK;

        return TEE_OK;

    case TEE_H1_CHUNK_CR:
        h->state = TEE_H1_CHUNK_LF;
        return ch == '\r' ? TEE_OK : TEE_MALFORMED;

    default: /* TEE_H1_CHUNK_LF */
        tee_h1_next_line(h, TEE_H1_SIZE);
        return ch == '\n' ? TEE_OK : TEE_MALFORMED;
    }
}


static tee_rc_t
tee_h1_size(tee_h1_t *h, uint8_t ch)
{
    uint8_t  d;

    if (h->line_len == 0) {
        h->left = 0;

    } else if (ch == '\r') {
        h->state = TEE_H1_SIZE_LF;
        return TEE_OK;

    } else if (ch == ';') {
        h->state = TEE_H1_EXT;
        return TEE_OK;
    }

    if (ch >= '0' && ch <= '9') {
        d = (uint8_t) (ch - '0');

    } else if ((ch | 0x20) >= 'a' && (ch | 0x20) <= 'f') {
        d = (uint8_t) ((ch | 0x20) - 'a' + 10);

    } else {
        return TEE_MALFORMED;
    }

    if (h->left >> 60 != 0 || h->line_len == TEE_H1_MAX_SIZE_LEN) {
        return TEE_MALFORMED;
    }

    h->left = h->left << 4 | d;
    h->line_len++;

    return TEE_OK;
}
