
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <string.h>

#include <tee_bhttp_piece.h>


#define TEE_BHTTP_FIRST  256


static tee_rc_t tee_bhttp_measure_number(const tee_bhttp_read_t *b,
    tee_str_t in, size_t *need);
static tee_rc_t tee_bhttp_bound(const tee_bhttp_read_t *b, size_t need);
static int tee_bhttp_varint(tee_str_t in, size_t *pos, uint64_t *n);
static tee_rc_t tee_bhttp_keep(tee_bhttp_read_t *b, tee_str_t *in,
    size_t len);


tee_rc_t
tee_bhttp_piece(tee_bhttp_read_t *b, tee_str_t *in,
    tee_bhttp_measure_pt measure, tee_read_t *piece)
{
    size_t     need;
    tee_rc_t   rc;
    tee_str_t  s;

    for ( ;; ) {
        s = *in;

        if (b->len) {
            s.len = b->len;
            s.data = b->buf;
        }

        rc = measure(b, s, &need);

        if (rc != TEE_OK) {
            return rc;
        }

        if (need <= s.len) {
            break;
        }

        if (in->len == 0) {
            return TEE_INCOMPLETE;
        }

        /* never more than it takes, so that a whole piece is all there is */

        rc = tee_bhttp_keep(b, in, need - b->len);

        if (rc != TEE_OK) {
            return rc;
        }
    }

    s.len = need;
    tee_read_init(piece, s);

    if (b->len) {
        b->taken = 1;

    } else {
        in->len -= need;
        in->data += need;
    }

    return TEE_OK;
}


tee_rc_t
tee_bhttp_number(tee_bhttp_read_t *b, tee_str_t *in, uint64_t *n)
{
    tee_rc_t    rc;
    tee_read_t  r;

    rc = tee_bhttp_piece(b, in, tee_bhttp_measure_number, &r);

    if (rc != TEE_OK) {
        *n = 0;
        return rc;
    }

    *n = tee_read_varint(&r);

    tee_bhttp_release(b);

    return TEE_OK;
}


void
tee_bhttp_release(tee_bhttp_read_t *b)
{
    if (b->taken) {
        b->taken = 0;
        b->len = 0;
    }
}


tee_str_t
tee_bhttp_text(tee_read_t *r)
{
    return tee_read_bytes(r, (size_t) tee_read_varint(r));
}


static tee_rc_t
tee_bhttp_measure_number(const tee_bhttp_read_t *b, tee_str_t in, size_t *need)
{
    uint64_t  n;

    (void) b;

    *need = 0;
    (void) tee_bhttp_varint(in, need, &n);

    return TEE_OK;
}


tee_rc_t
tee_bhttp_measure_control(const tee_bhttp_read_t *b, tee_str_t in,
    size_t *need)
{
    size_t    max;
    uint64_t  n;
    unsigned  i;

    max = b->limits->control;
    *need = 0;

    for (i = 0; i < 4; i++) {

        if (!tee_bhttp_varint(in, need, &n)) {
            return TEE_OK;
        }

        if (*need > max || n > max - *need) {
            return TEE_LIMIT;
        }

        *need += (size_t) n;
    }

    return TEE_OK;
}


tee_rc_t
tee_bhttp_measure_field(const tee_bhttp_read_t *b, tee_str_t in, size_t *need)
{
    size_t    max;
    uint64_t  n;
    tee_rc_t  rc;
    unsigned  i;

    max = b->limits->field;
    *need = 0;

    for (i = 0; i < 2; i++) {

        if (!tee_bhttp_varint(in, need, &n)) {
            return TEE_OK;
        }

        if (i == 0 && n == 0) {

            /* no name: the end of a section that has no length */

            return b->indeterminate ? TEE_OK : TEE_MALFORMED;
        }

        if (n > max || (i == 0 && b->count == b->limits->fields)) {
            return TEE_LIMIT;
        }

        max -= (size_t) n;
        *need += (size_t) n;

        rc = tee_bhttp_bound(b, *need);

        if (rc != TEE_OK) {
            return rc;
        }
    }

    return TEE_OK;
}


/* A field ends with its section, or within the limit of one. */

static tee_rc_t
tee_bhttp_bound(const tee_bhttp_read_t *b, size_t need)
{
    if (!b->indeterminate) {
        return need > b->left ? TEE_MALFORMED : TEE_OK;
    }

    return need > b->limits->section - b->section ? TEE_LIMIT : TEE_OK;
}


/* 1 if there is a number at *pos.  *pos is then behind it, else behind the
 * least that is missing. */

static int
tee_bhttp_varint(tee_str_t in, size_t *pos, uint64_t *n)
{
    tee_str_t   s;
    tee_read_t  r;

    *n = 0;

    if (*pos >= in.len) {
        *pos += 1;
        return 0;
    }

    s.len = (size_t) 1 << (in.data[*pos] >> 6);
    s.data = in.data + *pos;
    *pos += s.len;

    if (*pos > in.len) {
        return 0;
    }

    tee_read_init(&r, s);
    *n = tee_read_varint(&r);

    return 1;
}


/* Moves up to "len" bytes from the input to the buffer. */

static tee_rc_t
tee_bhttp_keep(tee_bhttp_read_t *b, tee_str_t *in, size_t len)
{
    size_t    room, kept;
    uint8_t  *p;

    if (len > in->len) {
        len = in->len;
    }

    kept = b->len;

    if (len > b->room - kept) {
        room = b->room ? b->room * 2 : TEE_BHTTP_FIRST;

        if (room < kept + len) {
            room = kept + len;
        }

        p = b->alloc->alloc(b->alloc->ctx, room);
        if (p == NULL) {
            return TEE_NOMEM;
        }

        if (kept) {
            memcpy(p, b->buf, kept);
        }

        tee_bhttp_read_free(b);

        b->buf = p;
        b->room = room;
    }

    memcpy(b->buf + kept, in->data, len);

    b->len = kept + len;
    in->len -= len;
    in->data += len;

    return TEE_OK;
}
