
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <tee_read.h>


static uint64_t tee_read_uint(tee_read_t *r, size_t len);


void
tee_read_init(tee_read_t *r, tee_str_t in)
{
    r->in = in;
    r->pos = 0;
    r->bad = 0;
}


uint8_t
tee_read_u8(tee_read_t *r)
{
    return (uint8_t) tee_read_uint(r, 1);
}


uint16_t
tee_read_u16(tee_read_t *r)
{
    return (uint16_t) tee_read_uint(r, 2);
}


uint32_t
tee_read_u32(tee_read_t *r)
{
    return (uint32_t) tee_read_uint(r, 4);
}


uint64_t
tee_read_u64(tee_read_t *r)
{
    return tee_read_uint(r, 8);
}


static uint64_t
tee_read_uint(tee_read_t *r, size_t len)
{
    size_t     i;
    uint64_t   n;
    tee_str_t  s;

    s = tee_read_bytes(r, len);
    n = 0;

    for (i = 0; i < s.len; i++) {
        n = n << 8 | s.data[i];
    }

    return n;
}


uint64_t
tee_read_varint(tee_read_t *r)
{
    uint8_t    first;
    uint64_t   n;
    unsigned   i, more;
    tee_str_t  s;

    first = tee_read_u8(r);
    more = (1U << (first >> 6)) - 1;
    s = tee_read_bytes(r, more);

    if (r->bad) {
        return 0;
    }

    n = first & 0x3f;

    for (i = 0; i < more; i++) {
        n = n << 8 | s.data[i];
    }

    return n;
}


tee_str_t
tee_read_bytes(tee_read_t *r, size_t len)
{
    tee_str_t  s = { 0, NULL };

    if (r->bad || len > r->in.len - r->pos) {
        r->bad = 1;
        return s;
    }

    if (len == 0) {
        return s;
    }

    s.len = len;
    s.data = r->in.data + r->pos;
    r->pos += len;

    return s;
}


tee_str_t
tee_read_vec16(tee_read_t *r)
{
    return tee_read_bytes(r, tee_read_u16(r));
}


size_t
tee_read_left(const tee_read_t *r)
{
    return r->bad ? 0 : r->in.len - r->pos;
}


int
tee_read_bad(const tee_read_t *r)
{
    return r->bad;
}
