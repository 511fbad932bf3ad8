
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <tee_read.h>

#include "unit.h"


/* RFC 9000, A.1, and the ends of each width */

static void
read_varint(void)
{
    size_t      i, n, wrong;
    tee_str_t   in, cut;
    tee_read_t  r;

    static const struct {
        const char  *in;
        uint64_t     n;
    } cases[] = {
        { "c2197c5eff14e88c", UINT64_C(151288809941952652) },
        { "9d7f3e7d", 494878333 },
        { "7bbd", 15293 },
        { "25", 37 },
        { "4025", 37 },
        { "80000025", 37 },
        { "c000000000000025", 37 },
        { "00", 0 },
        { "3f", 63 },
        { "4040", 64 },
        { "7fff", 16383 },
        { "80004000", 16384 },
        { "bfffffff", 1073741823 },
        { "c000000040000000", 1073741824 },
        { "ffffffffffffffff", UINT64_C(4611686018427387903) }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        in = unit_hex(cases[i].in);

        tee_read_init(&r, in);
        unit_ok(tee_read_varint(&r) == cases[i].n && !tee_read_bad(&r)
                && tee_read_left(&r) == 0, "varint %s", cases[i].in);

        wrong = 0;

        for (n = 0; n < in.len; n++) {
            cut = unit_copy(in.data, n);
            tee_read_init(&r, cut);
            wrong += tee_read_varint(&r) != 0 || !tee_read_bad(&r);
            unit_free(cut);
        }

        unit_ok(wrong == 0, "varint %s, every prefix", cases[i].in);
        unit_free(in);
    }
}


int
main(void)
{
    size_t      i, wrong;
    tee_str_t   in, s, cut;
    tee_read_t  r;

    in = unit_hex("0102030405060708090a0b0c0d0e0f" "0003616263" "0000");

    tee_read_init(&r, in);

    unit_ok(tee_read_u8(&r) == 1, "u8");
    unit_ok(tee_read_u16(&r) == 0x0203, "u16");
    unit_ok(tee_read_u32(&r) == 0x04050607, "u32");
    unit_ok(tee_read_u64(&r) == UINT64_C(0x08090a0b0c0d0e0f), "u64");

    s = tee_read_vec16(&r);
    unit_ok(unit_is(s, "abc") && s.data == in.data + 17, "vec16, in place");

    unit_ok(tee_read_left(&r) == 2, "left");
    unit_ok(tee_read_vec16(&r).len == 0 && !tee_read_bad(&r), "empty vec16");
    unit_ok(tee_read_left(&r) == 0 && !tee_read_bad(&r), "at the end");
    unit_ok(tee_read_bytes(&r, 0).len == 0 && !tee_read_bad(&r),
            "nothing at the end");
    unit_ok(tee_read_u8(&r) == 0 && tee_read_bad(&r), "past the end");
    unit_ok(tee_read_bytes(&r, 0).len == 0 && tee_read_bad(&r),
            "bad for good");

    tee_read_init(&r, in);
    unit_ok(tee_read_bytes(&r, SIZE_MAX).len == 0 && tee_read_bad(&r),
            "a length that overflows");
    unit_ok(tee_read_u8(&r) == 0 && tee_read_left(&r) == 0,
            "nothing is read after a failure");

    wrong = 0;

    for (i = 0; i < 15; i++) {
        cut = unit_copy(in.data, i);
        tee_read_init(&r, cut);
        (void) tee_read_u8(&r);
        (void) tee_read_u16(&r);
        (void) tee_read_u32(&r);
        (void) tee_read_u64(&r);
        wrong += !tee_read_bad(&r);
        unit_free(cut);
    }

    unit_ok(wrong == 0, "every prefix is too short");

    unit_free(in);

    read_varint();

    return unit_done();
}
