
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <string.h>

#include <tee_canon.h>
#include <tee_signed_members.h>

#include "unit.h"


#define ZERO31                                                                \
    "00000000000000000000000000000000000000000000000000000000000000"

#define HASHES                                                                \
    ", \"tee_request_hash\": \"01" ZERO31 "\", \"tee_output_hash\": \""      \
    ZERO31 "02\""

#define ID  ", \"tee_id\": \"0x03" ZERO31 "\""


static void
members_foreign(void)
{
    size_t          i;
    tee_str_t       in;
    tee_json_doc_t  doc;

    static const struct {
        const char  *in;
        int          foreign;
    } cases[] = {
        { "{\"tee_\":1}", 1 },
        { "{\"tee_id\":null}", 1 },
        { "{\"a\":1,\"tee_anything\":1,\"z\":1}", 1 },
        { "{\"t\\u0065e_x\":1}", 1 },
        { "{}", 0 },
        { "{\"tee\":1}", 0 },
        { "{\"Tee_id\":1}", 0 },
        { "{\" tee_id\":1}", 0 },
        { "{\"a\":{\"tee_id\":1}}", 0 },
        { "{\"a\":\"tee_id\"}", 0 },
        { "[\"tee_id\"]", 0 },
        { "[{\"tee_id\":1}]", 0 },
        { "\"tee_id\"", 0 },
        { "null", 0 }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        in = unit_copy(cases[i].in, strlen(cases[i].in));

        if (tee_canon_parse(in, 20, &unit_alloc, &doc) == TEE_OK) {
            unit_ok(tee_signed_foreign(doc.root) == cases[i].foreign,
                    "%s is %s", cases[i].in,
                    cases[i].foreign ? "foreign" : "not");
            tee_json_free(&doc);

        } else {
            unit_ok(0, "JSON: %s", cases[i].in);
        }

        unit_free(in);
    }
}


static size_t
members_strip_run(tee_str_t in, tee_str_t *out)
{
    size_t       brace;
    tee_write_t  w;

    tee_write_grow(&w, &unit_alloc);

    brace = tee_signed_strip(&w, in);

    *out = unit_copy(w.data, tee_write_rc(&w) == TEE_OK ? w.len : 0);

    tee_write_free(&w);

    return brace;
}


static void
members_strip(void)
{
    size_t     i, brace;
    tee_str_t  in, out;

    static const struct {
        const char  *in;
        const char  *out;                      /* without the last brace */
        const char  *behind;
    } cases[] = {
        { "{}", "{", "}" },
        { "{ } ", "{ ", "} " },
        { "\t{\"a\":1}", "\t{\"a\":1", "}" },
        { "{\"a\" : 1 , \"b\":2 }\t", "{\"a\" : 1 , \"b\":2 ", "}\t" },
        { "{\"tee_\":1}", "{", "}" },
        { "{ \"tee_a\" : 1 , \"tee_b\" : 2 } ", "{", "} " },
        { "{\"tee_a\":1,\"b\":2}", "{\"b\":2", "}" },
        { "{\"a\":1,\"tee_b\":2}", "{\"a\":1", "}" },
        { "{\"a\":1,\"tee_b\":2,\"c\":3}", "{\"a\":1,\"c\":3", "}" },
        { "{\"a\":1, \"tee_b\":2, \"c\":3 }", "{\"a\":1, \"c\":3 ", "}" },
        { "{\"tee_a\":{\"tee_b\":[1,{\"}\":\"]\"}]},\"c\":\"}\"}",
          "{\"c\":\"}\"", "}" },
        { "{\"a\":{\"tee_b\":1}}", "{\"a\":{\"tee_b\":1}", "}" },
        { "{\"tee_a\":\"\\\"\\\\\",\"b\":\"\\\\\"}", "{\"b\":\"\\\\\"", "}" },
        { "{\"\\u0074ee_a\":1,\"t\\u0065\\u0065\\u005fb\":2,\"c\":3}",
          "{\"c\":3", "}" },
        { "{\"tee\":1,\"TEE_a\":2,\"tee\\\\_\":3}",
          "{\"tee\":1,\"TEE_a\":2,\"tee\\\\_\":3", "}" },
        { "{\"tee_a\":NaN,\"b\":-Infinity,\"tee_c\":-1.5e-7}",
          "{\"b\":-Infinity", "}" }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        in = unit_copy(cases[i].in, strlen(cases[i].in));

        brace = members_strip_run(in, &out);

        unit_ok(unit_is(out, cases[i].out)
                && brace == in.len - strlen(cases[i].behind)
                && in.data[brace] == '}', "%s", cases[i].in);

        unit_free(in);
        unit_free(out);
    }
}


/* Of objects that are made up: what remains is what was there, without them,
 * and is read from its copy alone. */

static void
members_random(void)
{
    char            text[512];
    size_t          i, n, len, brace, count;
    unsigned        wrong, kept, dropped, before;
    tee_str_t       in, out, all;
    tee_write_t     w;
    tee_json_doc_t  doc;

    const tee_json_t  *m;

    static const char *const  names[] = {
        "\"tee_a\"", "\"a\"", "\"te\\u0065_b\"", "\"tee\"", "\"\\\"tee_\"",
        "\"\"", "\"\\u0000tee_\""
    };

    static const char *const  values[] = {
        "1", "\"}\"", "{}", "[\"tee_a\",{\"tee_b\":[]}]", "-0.5e+3", "null",
        "\"\\\\\\\"\"", "{\"tee_c\":\"{\"}"
    };

    static const char *const  blanks[] = { "", "", " ", "\t\n", "\r" };

#define PUT(table)                                                            \
    before = unit_rand() % (sizeof(table) / sizeof(table[0]));                \
    memcpy(text + len, table[before], strlen(table[before]));                 \
    len += strlen(table[before])

    wrong = 0;
    kept = 0;
    dropped = 0;

    for (i = 0; i < 20000; i++) {
        len = 0;
        count = 0;
        n = unit_rand() % 6;

        PUT(blanks);
        text[len++] = '{';

        while (n--) {
            PUT(blanks);
            PUT(names);
            count += before == 0 || before == 2;
            PUT(blanks);
            text[len++] = ':';
            PUT(blanks);
            PUT(values);
            PUT(blanks);

            if (n) {
                text[len++] = ',';
            }
        }

        if (text[len - 1] == '{') {
            PUT(blanks);
        }

        text[len++] = '}';
        PUT(blanks);

        in = unit_copy(text, len);
        brace = members_strip_run(in, &out);

        wrong += brace >= in.len || in.data[brace] != '}';

        tee_write_grow(&w, &unit_alloc);
        tee_write_bytes(&w, out.data, out.len);
        tee_write_u8(&w, '}');

        all = unit_copy(w.data, w.len);
        tee_write_free(&w);

        if (tee_canon_parse(all, 100, &unit_alloc, &doc) == TEE_OK) {
            wrong += tee_signed_foreign(doc.root) != 0;

            for (m = doc.root->child; m; m = m->next) {
                kept++;
            }

            tee_json_free(&doc);

        } else {
            wrong++;
        }

        /* nothing goes but these */

        wrong += count == 0 && !unit_equal(out, in.data, brace);
        dropped += count != 0;

        unit_free(in);
        unit_free(out);
        unit_free(all);
    }

#undef PUT

    unit_ok(wrong == 0, "what is foreign goes, and nothing else");
    unit_ok(kept > 10000 && dropped > 5000, "there was something of both");
}


static void
members_write(void)
{
    size_t        i, n;
    uint8_t       to[512];
    unsigned      wrong;
    tee_str_t     out;
    tee_write_t   w;
    tee_signed_t  s;

    static const struct {
        int          comma;
        int          stream;
        const char  *out;
    } cases[] = {
        { 0, 0, "\"tee_signature\": \"c2ln\"" HASHES
          ", \"tee_timestamp\": 1700000000" ID },
        { 1, 0, ", \"tee_signature\": \"c2ln\"" HASHES
          ", \"tee_timestamp\": 1700000000" ID },
        { 0, 1, "\"tee_signature\": \"c2ln\", \"tee_timestamp\": 1700000000"
          HASHES ID },
        { 1, 1, ", \"tee_signature\": \"c2ln\", \"tee_timestamp\": "
          "1700000000" HASHES ID }
    };

    memset(&s, 0, sizeof(tee_signed_t));

    s.request_hash[0] = 1;
    s.output_hash[31] = 2;
    s.tee_id[0] = 3;
    s.timestamp[28] = 0x65;
    s.timestamp[29] = 0x53;
    s.timestamp[30] = 0xf1;
    s.signature_len = 3;
    memcpy(s.signature, "sig", 3);

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        tee_write_fixed(&w, to, sizeof(to));
        tee_signed_members_write(&w, &s, cases[i].comma, cases[i].stream);

        out.len = w.len;
        out.data = to;

        unit_ok(tee_write_rc(&w) == TEE_OK && unit_is(out, cases[i].out),
                "members, form %u", (unsigned) i);

        wrong = 0;

        for (n = 0; n < out.len; n++) {
            tee_write_fixed(&w, to, n);
            tee_signed_members_write(&w, &s, cases[i].comma,
                                     cases[i].stream);
            wrong += tee_write_rc(&w) != TEE_LIMIT;
        }

        unit_ok(wrong == 0, "members without room, form %u", (unsigned) i);
    }

    /* the largest of all */

    memset(&s, 0xff, sizeof(tee_signed_t));
    s.signature_len = TEE_SIG_MAX_LEN;

    tee_write_grow(&w, &unit_alloc);
    tee_signed_members_write(&w, &s, 1, 1);

    unit_ok(tee_write_rc(&w) == TEE_OK && w.len > TEE_SIG_MAX_LEN * 4 / 3
            && w.data[w.len - 1] == '"', "members of the largest numbers");

    tee_write_free(&w);
}


int
main(void)
{
    unit_memory_reset(0);

    members_foreign();
    members_strip();
    members_random();
    members_write();

    unit_ok(unit_memory.live == 0, "no leak");

    return unit_done();
}
