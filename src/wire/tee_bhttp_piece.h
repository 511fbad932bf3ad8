
/*
 * Copyright (C) The ngx_http_tee authors
 */


#ifndef TEE_BHTTP_PIECE_H_INCLUDED
#define TEE_BHTTP_PIECE_H_INCLUDED


#include <tee_bhttp.h>
#include <tee_read.h>


/*
 * Private to the reader: pieces of a message that are used as a whole.  One
 * that is cut is collected in the buffer, and no byte behind it.
 */


/*
 * How long the piece is that begins with "in": if *need is more than there
 * is, not less than that.  What is claimed is held against the limits here.
 *
 * TEE_OK, TEE_MALFORMED, TEE_LIMIT
 */

typedef tee_rc_t (*tee_bhttp_measure_pt)(const tee_bhttp_read_t *b,
    tee_str_t in, size_t *need);

tee_rc_t tee_bhttp_measure_control(const tee_bhttp_read_t *b, tee_str_t in,
    size_t *need);
tee_rc_t tee_bhttp_measure_field(const tee_bhttp_read_t *b, tee_str_t in,
    size_t *need);

/*
 * Takes a piece from the front of *in; it stays where it is until
 * tee_bhttp_release().
 *
 * TEE_OK, TEE_INCOMPLETE (*in is used up), TEE_NOMEM, or what "measure" says
 */

TEE_MUST_CHECK tee_rc_t tee_bhttp_piece(tee_bhttp_read_t *b, tee_str_t *in,
    tee_bhttp_measure_pt measure, tee_read_t *piece);
void tee_bhttp_release(tee_bhttp_read_t *b);

/* A piece that is a number, and released already. */

TEE_MUST_CHECK tee_rc_t tee_bhttp_number(tee_bhttp_read_t *b, tee_str_t *in,
    uint64_t *n);

/* A text of a piece, behind its length. */

tee_str_t tee_bhttp_text(tee_read_t *r);


#endif /* TEE_BHTTP_PIECE_H_INCLUDED */
