
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <string.h>

#include <tee_write.h>

#include "unit.h"


static void
write_all(tee_write_t *w)
{
    tee_write_u8(w, 'a');
    tee_write_u16(w, 0x6263);
    tee_write_bytes(w, "d", 1);
    tee_write_text(w, " ");
    tee_write_decimal(w, UINT64_MAX);
    tee_write_text(w, " ");
    tee_write_signed(w, INT64_MIN);
    tee_write_text(w, " ");
    tee_write_signed(w, 7);
    tee_write_text(w, " ");
    tee_write_hex_number(w, 0);
    tee_write_hex_number(w, 0x1f0);
    tee_write_text(w, " ");
    tee_write_hex(w, "\x01\xfe", 2);
    tee_write_text(w, " ");
    tee_write_base64(w, unit_text("fooba"));
    tee_write_json(w, unit_text("\"\\\n\x7f/\xc3\xa9"));
}


static const char  write_text[] =
    "abcd 18446744073709551615 -9223372036854775808 7 01f0 01fe Zm9vYmE="
    "\"\\\"\\\\\\u000a\\u007f/\xc3\xa9\"";


static tee_rc_t
write_grow(void *ctx)
{
    size_t       i;
    tee_rc_t     rc;
    tee_write_t  w;

    (void) ctx;

    tee_write_grow(&w, &unit_alloc);

    for (i = 0; i < 40; i++) {
        write_all(&w);
    }

    rc = tee_write_rc(&w);
    tee_write_free(&w);

    return rc;
}


static void
write_base64(void)
{
    size_t       i;
    uint8_t      buf[16];
    tee_str_t    s;
    tee_write_t  w;

    static const struct {
        const char  *in;
        const char  *out;
    } cases[] = {
        { "", "" }, { "f", "Zg==" }, { "fo", "Zm8=" }, { "foo", "Zm9v" },
        { "foob", "Zm9vYg==" }, { "\xff\xef\xbe", "/+++" }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        tee_write_fixed(&w, buf, sizeof(buf));
        tee_write_base64(&w, unit_text(cases[i].in));
        s.len = w.len;
        s.data = buf;
        unit_ok(unit_is(s, cases[i].out), "base64 \"%s\"", cases[i].out);
    }
}


static void
write_varint(void)
{
    size_t       i;
    uint8_t      buf[8];
    tee_str_t    s;
    tee_write_t  w;

    static const struct {
        uint64_t     n;
        const char  *out;
    } cases[] = {
        { 0, "00" }, { 63, "3f" }, { 64, "4040" }, { 15293, "7bbd" },
        { 16383, "7fff" }, { 16384, "80004000" }, { 494878333, "9d7f3e7d" },
        { 1073741823, "bfffffff" }, { 1073741824, "c000000040000000" },
        { UINT64_C(151288809941952652), "c2197c5eff14e88c" },
        { UINT64_C(4611686018427387903), "ffffffffffffffff" }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        s = unit_hex(cases[i].out);

        tee_write_fixed(&w, buf, s.len);
        tee_write_varint(&w, cases[i].n);
        unit_ok(tee_write_rc(&w) == TEE_OK && unit_equal(s, buf, w.len),
                "varint %s", cases[i].out);

        tee_write_fixed(&w, buf, s.len - 1);
        tee_write_varint(&w, cases[i].n);
        unit_ok(tee_write_rc(&w) == TEE_LIMIT && w.len == 0,
                "varint %s, no room", cases[i].out);

        unit_free(s);
    }
}


int
main(void)
{
    size_t       i, len, wrong;
    uint8_t      buf[256];
    tee_str_t    exact;
    tee_write_t  w;

    len = sizeof(write_text) - 1;

    tee_write_fixed(&w, buf, sizeof(buf));
    write_all(&w);
    unit_ok(tee_write_rc(&w) == TEE_OK && w.len == len
            && memcmp(buf, write_text, len) == 0, "everything");

    wrong = 0;

    for (i = 0; i < len; i++) {
        exact = unit_copy(buf, i);
        tee_write_fixed(&w, (uint8_t *) (uintptr_t) exact.data, i);
        write_all(&w);
        wrong += tee_write_rc(&w) != TEE_LIMIT || w.len > i;
        unit_free(exact);
    }

    unit_ok(wrong == 0, "every smaller buffer is too small, and kept");

    write_base64();

    unit_memory_reset(0);
    tee_write_grow(&w, &unit_alloc);
    write_all(&w);
    write_all(&w);
    unit_ok(w.len == 2 * len && memcmp(w.data + len, write_text, len) == 0,
            "a buffer that grows");
    tee_write_hex(&w, "", SIZE_MAX / 2 + 1);
    unit_ok(tee_write_rc(&w) == TEE_LIMIT, "a length that overflows");
    tee_write_free(&w);
    unit_ok(unit_memory.live == 0, "is freed");

    unit_memory_reset(0);
    tee_write_grow(&w, &unit_alloc);
    tee_write_bytes(&w, buf, SIZE_MAX / 2 + 1);
    unit_ok(tee_write_rc(&w) == TEE_NOMEM && unit_memory.calls == 0,
            "a size that cannot be is not asked for");
    tee_write_free(&w);

    unit_oom(write_grow, NULL, TEE_OK, "writer");

    write_varint();

    return unit_done();
}
