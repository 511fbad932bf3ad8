
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <string.h>

#include <tee_write.h>


#define TEE_WRITE_FIRST  256


static uint8_t *tee_write_room(tee_write_t *w, size_t len);


static const char  tee_write_digits[] = "0123456789abcdef";


void
tee_write_fixed(tee_write_t *w, uint8_t *buf, size_t room)
{
    w->data = buf;
    w->len = 0;
    w->room = room;
    w->alloc = NULL;
    w->sink = NULL;
    w->ctx = NULL;
    w->rc = TEE_OK;
}


void
tee_write_grow(tee_write_t *w, const tee_alloc_t *alloc)
{
    tee_write_fixed(w, NULL, 0);

    w->alloc = alloc;
}


void
tee_write_free(tee_write_t *w)
{
    if (w->alloc && w->data) {
        tee_wipe(w->data, w->len);
        w->alloc->free(w->alloc->ctx, w->data);
    }

    tee_write_grow(w, w->alloc);
}


void
tee_write_reset(tee_write_t *w)
{
    if (w->len) {
        tee_wipe(w->data, w->len);
        w->len = 0;
    }
}


void
tee_write_sink(tee_write_t *w, uint8_t *buf, size_t room, tee_write_pt sink,
    void *ctx)
{
    tee_write_fixed(w, buf, room);

    w->sink = sink;
    w->ctx = ctx;
}


void
tee_write_flush(tee_write_t *w)
{
    tee_str_t  piece;

    piece.len = w->len;
    piece.data = w->data;

    w->len = 0;

    if (piece.len) {
        w->sink(w->ctx, piece);
    }
}


tee_rc_t
tee_write_rc(const tee_write_t *w)
{
    return w->rc;
}


/* The place of the next "len" bytes, counted as written, or NULL. */

static uint8_t *
tee_write_room(tee_write_t *w, size_t len)
{
    size_t    room;
    uint8_t  *p;

    if (w->rc != TEE_OK) {
        return NULL;
    }

    if (len <= w->room - w->len) {
        p = w->data + w->len;
        w->len += len;
        return p;
    }

    if (w->sink && len <= w->room) {
        tee_write_flush(w);
        w->len = len;
        return w->data;
    }

    if (w->alloc == NULL) {
        w->rc = TEE_LIMIT;
        return NULL;
    }

    if (len > SIZE_MAX / 2 || w->room > SIZE_MAX / 4) {
        w->rc = TEE_NOMEM;
        return NULL;
    }

    room = w->room ? w->room * 2 : TEE_WRITE_FIRST;

    if (room - w->len < len) {
        room = w->len + len;
    }

    p = w->alloc->alloc(w->alloc->ctx, room);
    if (p == NULL) {
        w->rc = TEE_NOMEM;
        return NULL;
    }

    if (w->data) {
        memcpy(p, w->data, w->len);
        tee_wipe(w->data, w->len);
        w->alloc->free(w->alloc->ctx, w->data);
    }

    w->data = p;
    w->room = room;
    p += w->len;
    w->len += len;

    return p;
}


void
tee_write_u8(tee_write_t *w, uint8_t n)
{
    tee_write_bytes(w, &n, 1);
}


void
tee_write_u16(tee_write_t *w, uint16_t n)
{
    tee_write_u8(w, (uint8_t) (n >> 8));
    tee_write_u8(w, (uint8_t) (n & 0xff));
}


void
tee_write_varint(tee_write_t *w, uint64_t n)
{
    uint8_t   buf[8];
    unsigned  i, len, width;

    width = n < 1U << 6 ? 0 : n < 1U << 14 ? 1 : n < 1U << 30 ? 2 : 3;
    len = 1U << width;

    for (i = len; i > 0; i--) {
        buf[i - 1] = (uint8_t) (n & 0xff);
        n >>= 8;
    }

    buf[0] |= (uint8_t) (width << 6);

    tee_write_bytes(w, buf, len);
}


void
tee_write_bytes(tee_write_t *w, const void *p, size_t len)
{
    size_t          n;
    uint8_t        *to;
    const uint8_t  *from;

    from = p;

    if (len == 0) {
        return;
    }

    while (w->sink && len > w->room - w->len) {
        n = w->room - w->len;
        memcpy(w->data + w->len, from, n);

        w->len = w->room;
        tee_write_flush(w);

        from += n;
        len -= n;
    }

    to = tee_write_room(w, len);

    if (to) {
        memcpy(to, from, len);
    }
}


void
tee_write_text(tee_write_t *w, const char *text)
{
    tee_write_bytes(w, text, strlen(text));
}


void
tee_write_decimal(tee_write_t *w, uint64_t n)
{
    size_t   i;
    uint8_t  buf[20];

    i = sizeof(buf);

    do {
        buf[--i] = (uint8_t) ('0' + n % 10);
        n /= 10;
    } while (n);

    tee_write_bytes(w, buf + i, sizeof(buf) - i);
}


void
tee_write_signed(tee_write_t *w, int64_t n)
{
    if (n >= 0) {
        tee_write_decimal(w, (uint64_t) n);
        return;
    }

    /* INT64_MIN has no positive counterpart */

    tee_write_u8(w, '-');
    tee_write_decimal(w, (uint64_t) -(n + 1) + 1);
}


void
tee_write_hex_number(tee_write_t *w, uint64_t n)
{
    size_t   i;
    uint8_t  buf[16];

    i = sizeof(buf);

    do {
        buf[--i] = (uint8_t) tee_write_digits[n & 15];
        n >>= 4;
    } while (n);

    tee_write_bytes(w, buf + i, sizeof(buf) - i);
}


void
tee_write_hex(tee_write_t *w, const void *p, size_t len)
{
    size_t          i;
    uint8_t        *to;
    const uint8_t  *from;

    if (len > SIZE_MAX / 2) {
        w->rc = TEE_LIMIT;
        return;
    }

    if (len == 0) {
        return;
    }

    to = tee_write_room(w, len * 2);
    if (to == NULL) {
        return;
    }

    from = p;

    for (i = 0; i < len; i++) {
        *to++ = (uint8_t) tee_write_digits[from[i] >> 4];
        *to++ = (uint8_t) tee_write_digits[from[i] & 15];
    }
}


void
tee_write_base64(tee_write_t *w, tee_str_t in)
{
    size_t     i, n;
    uint8_t   *to;
    uint32_t   bits;

    static const char  basis[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    if (in.len > SIZE_MAX / 2) {
        w->rc = TEE_LIMIT;
        return;
    }

    if (in.len == 0) {
        return;
    }

    to = tee_write_room(w, (in.len + 2) / 3 * 4);
    if (to == NULL) {
        return;
    }

    for (i = 0; i < in.len; i += 3) {
        n = in.len - i;
        bits = (uint32_t) in.data[i] << 16;

        if (n > 1) {
            bits |= (uint32_t) in.data[i + 1] << 8;
        }

        if (n > 2) {
            bits |= in.data[i + 2];
        }

        *to++ = (uint8_t) basis[bits >> 18];
        *to++ = (uint8_t) basis[bits >> 12 & 63];
        *to++ = (uint8_t) (n > 1 ? basis[bits >> 6 & 63] : '=');
        *to++ = (uint8_t) (n > 2 ? basis[bits & 63] : '=');
    }
}


void
tee_write_json(tee_write_t *w, tee_str_t in)
{
    size_t   i, from;
    uint8_t  ch;

    tee_write_u8(w, '"');

    from = 0;

    for (i = 0; i < in.len; i++) {
        ch = in.data[i];

        if (ch >= 0x20 && ch != '"' && ch != '\\' && ch != 0x7f) {
            continue;
        }

        if (i > from) {
            tee_write_bytes(w, in.data + from, i - from);
        }

        from = i + 1;

        if (ch == '"' || ch == '\\') {
            tee_write_u8(w, '\\');
            tee_write_u8(w, ch);

        } else {
            tee_write_text(w, "\\u00");
            tee_write_hex(w, &ch, 1);
        }
    }

    if (i > from) {
        tee_write_bytes(w, in.data + from, i - from);
    }

    tee_write_u8(w, '"');
}
