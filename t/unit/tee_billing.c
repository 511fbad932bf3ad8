
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <stdlib.h>
#include <string.h>

#include <tee_billing.h>

#include "unit.h"


#define NONCE   "00000000000000000000000000000000"
#define TAG     "11111111111111111111111111111111"
#define MAGIC   "0a2d2d6f70656e6772616469656e742d6f687474702d" \
                "62696c6c696e672d76312d2d0a"
#define JSON2   "000000027b7d"
#define FINAL   "00" TAG


typedef struct {
    const char           *name;
    const char           *in;
    tee_rc_t              rc;
    const char           *out;                 /* NULL: as "in" */
    const char           *json;
} billing_case_t;


static const billing_case_t  billing_cases[] = {

    { "a final chunk", NONCE FINAL, TEE_OK, NULL, "" },
    { "a longer final chunk", NONCE FINAL "22" MAGIC, TEE_OK, NULL, "" },
    { "two chunks", NONCE "10" TAG "11" TAG "22" FINAL, TEE_OK, NULL, "" },
    { "a frame", NONCE "10" TAG MAGIC JSON2 FINAL, TEE_OK,
      NONCE "10" TAG FINAL, "{}" },
    { "a frame at once", NONCE MAGIC JSON2 FINAL, TEE_OK, NONCE FINAL, "{}" },
    { "a frame between chunks", NONCE MAGIC JSON2 "10" TAG FINAL, TEE_OK,
      NONCE "10" TAG FINAL, "{}" },
    { "a frame without JSON", NONCE MAGIC "00000000" FINAL, TEE_OK,
      NONCE FINAL, "" },
    { "a frame inside of a chunk", NONCE "33" MAGIC TAG FINAL, TEE_OK, NULL,
      "" },
    { "a frame inside of the nonce", MAGIC, TEE_INCOMPLETE, NULL, "" },
    { "lengths in two bytes", NONCE "4010" TAG "4000" TAG, TEE_OK, NULL, "" },
    { "lengths in four bytes", NONCE "80000010" TAG "80000000" TAG, TEE_OK,
      NULL, "" },
    { "lengths in eight bytes",
      NONCE "c000000000000010" TAG "c000000000000000" TAG, TEE_OK, NULL, "" },

    { "nothing", "", TEE_INCOMPLETE, NULL, "" },
    { "half a nonce", "0000", TEE_INCOMPLETE, NULL, "" },
    { "a nonce", NONCE, TEE_INCOMPLETE, NULL, "" },
    { "half a length", NONCE "40", TEE_INCOMPLETE, NULL, "" },
    { "no final tag", NONCE "00", TEE_INCOMPLETE, NULL, "" },
    { "half a final tag", NONCE "00" "111111111111111111111111111111",
      TEE_INCOMPLETE, NULL, "" },
    { "no final chunk", NONCE "10" TAG, TEE_INCOMPLETE, NULL, "" },
    { "half a chunk", NONCE "11" TAG, TEE_INCOMPLETE, NULL, "" },
    { "the longest chunk", NONCE "ffffffffffffffff" TAG, TEE_INCOMPLETE, NULL,
      "" },
    { "half a frame", NONCE "0a2d", TEE_INCOMPLETE, NULL, "" },
    { "a frame at the end", NONCE MAGIC JSON2, TEE_INCOMPLETE, NULL, "{}" },

    { "a chunk of 15 bytes", NONCE "0f" TAG FINAL, TEE_MALFORMED, NULL, "" },
    { "a chunk of 1 byte", NONCE "01" "ff" FINAL, TEE_MALFORMED, NULL, "" },
    { "a chunk of 15 bytes in two", NONCE "400f" TAG FINAL, TEE_MALFORMED,
      NULL, "" },
    { "a frame's length in two bytes", NONCE "400a" "2d2d6f70656e",
      TEE_MALFORMED, NULL, "" },
    { "a chunk of 10 bytes", NONCE "0a" TAG FINAL, TEE_MALFORMED, NULL, "" },
    { "another frame", NONCE "0a2d2d6f70656e6772616469656e742d6f687474702d"
      "62696c6c696e672d76322d2d0a" JSON2 FINAL, TEE_MALFORMED, NULL, "" },
    { "two frames", NONCE MAGIC JSON2 MAGIC JSON2 FINAL, TEE_MALFORMED, NULL,
      "{}" },
    { "JSON of 65537 bytes", NONCE MAGIC "00010001" "7b", TEE_LIMIT, NULL,
      "" },
    { "JSON of 4 GiB", NONCE MAGIC "ffffffff" "7b", TEE_LIMIT, NULL, "" }
};


/* The nonce is 16 bytes here. */

static tee_rc_t
billing_run(tee_str_t all, size_t piece, uint8_t *to, size_t *len,
    tee_billing_t *b)
{
    size_t     n;
    tee_rc_t   rc;
    tee_str_t  copy, in, out;

    *len = 0;
    tee_billing_init(b, 16, &unit_alloc);

    rc = TEE_OK;

    while (rc == TEE_OK && all.len) {
        n = all.len < piece ? all.len : piece;
        copy = unit_copy(all.data, n);
        in = copy;
        all.len -= n;
        all.data += n;

        do {
            rc = tee_billing_read(b, &in, &out);

            if (out.len) {
                memcpy(to + *len, out.data, out.len);
                *len += out.len;
            }

        } while (rc == TEE_OK && in.len);

        unit_free(copy);
    }

    return rc == TEE_OK ? tee_billing_end(b) : rc;
}


static void
billing_table(void)
{
    size_t                 i, len, piece;
    uint8_t                to[1024];
    unsigned               good;
    tee_rc_t               rc;
    tee_str_t              in, out;
    tee_billing_t          b;
    const billing_case_t  *c;

    unit_memory_reset(0);

    for (i = 0; i < sizeof(billing_cases) / sizeof(billing_cases[0]); i++) {
        c = &billing_cases[i];
        in = unit_hex(c->in);
        out = unit_hex(c->out ? c->out : c->in);
        good = 1;

        for (piece = 1; piece < 200; piece = piece * 2 + 1) {
            rc = billing_run(in, piece, to, &len, &b);

            good = good && rc == c->rc && unit_is(b.json, c->json)
                   && (rc != TEE_OK || unit_equal(out, to, len));

            if (rc != TEE_INCOMPLETE) {
                good = good && tee_billing_end(&b) == rc;
            }

            tee_billing_free(&b);
        }

        unit_ok(good != 0, "%s", c->name);
        unit_free(in);
        unit_free(out);
    }

    unit_ok(unit_memory.live == 0, "no leak");
    unit_ok(unit_memory.largest <= 65536, "what is claimed is not allocated");
}


static void
billing_largest(void)
{
    size_t          len;
    uint8_t        *p, *to;
    tee_rc_t        rc;
    tee_str_t       head, in;
    tee_billing_t   b;

    head = unit_hex(NONCE MAGIC "00010000");
    p = malloc(head.len + 65536 + 17);
    to = malloc(head.len + 65536 + 17);

    if (p == NULL || to == NULL) {
        abort();
    }

    memset(p, 0, head.len + 65536 + 17);
    memcpy(p, head.data, head.len);
    memset(p + head.len, 'x', 65536);

    in.len = head.len + 65536 + 17;
    in.data = p;

    rc = billing_run(in, 1000, to, &len, &b);
    unit_ok(rc == TEE_OK && b.json.len == 65536 && len == 16 + 17,
            "JSON of 65536 bytes");

    tee_billing_free(&b);
    unit_free(head);
    free(p);
    free(to);
}


static tee_rc_t
billing_oom(void *ctx)
{
    size_t         len;
    uint8_t        to[256];
    tee_rc_t       rc;
    tee_billing_t  b;

    rc = billing_run(*(tee_str_t *) ctx, 7, to, &len, &b);
    tee_billing_free(&b);

    return rc;
}


static tee_rc_t
billing_member_oom(void *ctx)
{
    tee_rc_t   rc;
    tee_str_t  value;

    rc = tee_billing_member(*(tee_str_t *) ctx, "a", &unit_alloc, &value);

    if (value.data) {
        unit_alloc.free(unit_alloc.ctx, (void *) (uintptr_t) value.data);
    }

    return rc;
}


static void
billing_members(void)
{
    size_t     i;
    tee_rc_t   rc;
    tee_str_t  value;

    static const struct {
        const char  *json;
        tee_rc_t     rc;
        const char  *value;
    } cases[] = {
        { "{\"a\":\"0.1\"}", TEE_OK, "0.1" },
        { "{\"a\":\"\"}", TEE_OK, "" },
        { "{\"b\":\"1\",\"a\":\"~ \"}", TEE_OK, "~ " },
        { "{}", TEE_DONE, "" },
        { "{\"b\":\"1\"}", TEE_DONE, "" },
        { "{\"a\":1}", TEE_MALFORMED, "" },
        { "{\"a\":null}", TEE_MALFORMED, "" },
        { "{\"a\":\"1\",\"a\":\"1\"}", TEE_MALFORMED, "" },
        { "{\"a\":\"1\\n\"}", TEE_MALFORMED, "" },
        { "{\"a\":\"\xc3\xa9\"}", TEE_MALFORMED, "" },
        { "{\"a\":\"\x7f\"}", TEE_MALFORMED, "" },
        { "[\"a\"]", TEE_MALFORMED, "" },
        { "a", TEE_MALFORMED, "" },
        { "", TEE_MALFORMED, "" }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        unit_memory_reset(0);
        rc = tee_billing_member(unit_text(cases[i].json), "a", &unit_alloc,
                                &value);

        unit_ok(rc == cases[i].rc && unit_is(value, cases[i].value),
                "member, number %u", (unsigned) i);

        if (value.data) {
            unit_alloc.free(unit_alloc.ctx, (void *) (uintptr_t) value.data);
        }

        if (unit_memory.live) {
            unit_ok(0, "member, number %u, leak", (unsigned) i);
        }
    }

    value = unit_text("{\"a\":\"0\\u002e1\"}");
    unit_oom(billing_member_oom, &value, TEE_OK, "member");
}


int
main(void)
{
    tee_str_t  in;

    billing_table();
    billing_largest();
    billing_members();

    in = unit_hex(NONCE "10" TAG MAGIC JSON2 FINAL);
    unit_oom(billing_oom, &in, TEE_OK, "frame");
    unit_free(in);

    return unit_done();
}
