
/*
 * Copyright (C) The ngx_http_tee authors
 */


#ifndef TEE_READ_H_INCLUDED
#define TEE_READ_H_INCLUDED


#include <tee.h>


/*
 * A reader that cannot leave its input.  The first read past the end makes it
 * bad for good: that read and all later ones answer zero or nothing, so that
 * a parser may read a whole structure and ask once.  Integers are big-endian.
 */

typedef struct {
    tee_str_t             in;
    size_t                pos;
    unsigned              bad:1;
} tee_read_t;


void tee_read_init(tee_read_t *r, tee_str_t in);

uint8_t tee_read_u8(tee_read_t *r);
uint16_t tee_read_u16(tee_read_t *r);
uint32_t tee_read_u32(tee_read_t *r);
uint64_t tee_read_u64(tee_read_t *r);

/* A variable-length integer of QUIC, RFC 9000, 16, in any of its widths. */

uint64_t tee_read_varint(tee_read_t *r);

/* The next "len" bytes, which stay where they are. */

tee_str_t tee_read_bytes(tee_read_t *r, size_t len);

/* A 16-bit length, and as many bytes. */

tee_str_t tee_read_vec16(tee_read_t *r);

/* Bytes not read yet; 0 once bad. */

size_t tee_read_left(const tee_read_t *r);

/* 1 if any read has failed. */

int tee_read_bad(const tee_read_t *r);


#endif /* TEE_READ_H_INCLUDED */
