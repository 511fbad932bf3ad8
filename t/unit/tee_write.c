
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


/* A sink that puts the pieces together again. */

typedef struct {
    uint8_t               data[4096];
    size_t                len;
    size_t                calls;
} write_sink_t;


static void
write_piece(void *ctx, tee_str_t piece)
{
    write_sink_t  *to = ctx;

    memcpy(to->data + to->len, piece.data, piece.len);
    to->len += piece.len;
    to->calls++;
}


static void
write_sink(void)
{
    size_t        room, len, wrong[2];
    uint8_t       buf[64];
    tee_str_t     exact;
    tee_write_t   w;
    write_sink_t  to;

    static const char  text[] = "0123456789abcdefghijklmnopqrstuvwxyz";

    wrong[0] = wrong[1] = 0;

    for (room = 8; room < 64; room++) {
        memset(&to, 0, sizeof(to));
        exact = unit_copy(buf, room);

        tee_write_sink(&w, (uint8_t *) (uintptr_t) exact.data, room,
                       write_piece, &to);
        write_all(&w);
        tee_write_flush(&w);

        len = sizeof(write_text) - 1;
        wrong[0] += tee_write_rc(&w) != TEE_OK || to.len != len
                    || memcmp(to.data, write_text, len) != 0;

        unit_free(exact);
    }

    unit_ok(wrong[0] == 0, "into a function");

    /* whatever is written at a time, the last byte remains */

    for (room = 1; room < 40; room++) {
        memset(&to, 0, sizeof(to));
        exact = unit_copy(buf, room);

        tee_write_sink(&w, (uint8_t *) (uintptr_t) exact.data, room,
                       write_piece, &to);

        for (len = 1; len < sizeof(text); len++) {
            tee_write_bytes(&w, text, len);
            wrong[1] += w.len == 0 || w.data[w.len - 1] != text[len - 1];
        }

        tee_write_bytes(&w, NULL, 0);
        wrong[1] += w.len == 0;

        len = to.calls;
        tee_write_flush(&w);
        tee_write_flush(&w);
        wrong[1] += to.calls != len + 1 || w.len || to.len != 36 * 37 / 2;

        unit_free(exact);
    }

    unit_ok(wrong[1] == 0, "and the last byte is kept");

    memset(&to, 0, sizeof(to));
    tee_write_sink(&w, buf, 7, write_piece, &to);
    tee_write_hex(&w, "abcd", 4);
    unit_ok(tee_write_rc(&w) == TEE_LIMIT && w.len == 0,
            "no room for what is not cut");
}


static void
write_wiped(void)
{
    size_t       i;
    tee_write_t  w;

    unit_watch("marker");

    tee_write_grow(&w, &unit_alloc);

    for (i = 0; i < 100; i++) {
        tee_write_text(&w, "a marker ");
    }

    tee_write_reset(&w);
    unit_ok(w.len == 0 && tee_write_rc(&w) == TEE_OK, "begun anew");

    tee_write_text(&w, "a marker");
    unit_ok(w.len == 8, "and written");

    tee_write_free(&w);
    unit_ok(unit_unwiped == 0, "nothing is left in memory");

    tee_write_reset(&w);
    unit_ok(w.len == 0 && w.data == NULL, "nothing begun anew");

    unit_watch(NULL);
}


int
main(void)
{
    size_t       i, len, wrong;
    uint8_t      buf[256];
    tee_str_t    exact;
    tee_write_t  w;

    write_sink();
    write_wiped();

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
