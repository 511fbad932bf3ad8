
/*
 * Copyright (C) The ngx_http_tee authors
 */


#ifndef TEE_WRITE_H_INCLUDED
#define TEE_WRITE_H_INCLUDED


#include <tee.h>


/*
 * A writer into a buffer of the caller, into one that grows, or, piece by
 * piece, into a function.  The first write that does not fit, or gets no
 * memory, makes it bad for good: later ones do nothing, so that a whole text
 * may be written before asking once.
 */

typedef void (*tee_write_pt)(void *ctx, tee_str_t piece);

typedef struct {
    uint8_t              *data;
    size_t                len;                 /* bytes written */

    /* the rest is private */
    size_t                room;
    const tee_alloc_t    *alloc;
    tee_write_pt          sink;
    void                 *ctx;
    tee_rc_t              rc;
} tee_write_t;


/* Writes to "buf"; the buffer stays the caller's. */

void tee_write_fixed(tee_write_t *w, uint8_t *buf, size_t room);

/* Writes to memory of "alloc", which is wiped and freed by tee_write_free(),
 * unless the caller takes "data" over. */

void tee_write_grow(tee_write_t *w, const tee_alloc_t *alloc);
void tee_write_free(tee_write_t *w);

/* Wipes what has been written, and begins anew. */

void tee_write_reset(tee_write_t *w);

/*
 * Gives "sink" what has been written when "buf" is full and more is to come,
 * and the rest with tee_write_flush().  So data[len - 1] is the last byte
 * here, too.  Hexadecimal and base64 are only written if "room" is enough.
 */

void tee_write_sink(tee_write_t *w, uint8_t *buf, size_t room,
    tee_write_pt sink, void *ctx);
void tee_write_flush(tee_write_t *w);

/* TEE_OK, TEE_LIMIT (the buffer is full) or TEE_NOMEM. */

TEE_MUST_CHECK tee_rc_t tee_write_rc(const tee_write_t *w);

void tee_write_u8(tee_write_t *w, uint8_t n);
void tee_write_u16(tee_write_t *w, uint16_t n);
void tee_write_bytes(tee_write_t *w, const void *p, size_t len);

/* In the shortest of the widths of RFC 9000, 16; n is below 2^62. */

void tee_write_varint(tee_write_t *w, uint64_t n);

/* A text that ends with NUL, without the NUL. */

void tee_write_text(tee_write_t *w, const char *text);

void tee_write_decimal(tee_write_t *w, uint64_t n);

/* A negative number gets its sign. */

void tee_write_signed(tee_write_t *w, int64_t n);

/* Digits without leading zeros; "0" is 0. */

void tee_write_hex_number(tee_write_t *w, uint64_t n);

/* Two lower-case digits a byte. */

void tee_write_hex(tee_write_t *w, const void *p, size_t len);

/* RFC 4648, 4, with padding, on one line. */

void tee_write_base64(tee_write_t *w, tee_str_t in);

/* A JSON string with its quotes; "in" must be UTF-8. */

void tee_write_json(tee_write_t *w, tee_str_t in);


#endif /* TEE_WRITE_H_INCLUDED */
