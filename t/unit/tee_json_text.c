
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <string.h>

#include <tee_json_text.h>

#include "unit.h"


typedef struct {
    const char           *in;
    const char           *out;                 /* NULL: refused */
} text_case_t;


static void
text_strict(void)
{
    size_t     i;
    tee_str_t  in;

    static const struct {
        const char  *in;
        tee_rc_t     rc;
    } cases[] = {
        { "", TEE_MALFORMED },
        { "a", TEE_OK },
        { "\v", TEE_MALFORMED },
        { "a\f", TEE_MALFORMED },
        { "\xc3\xa9\xe2\x80\xa8\xf0\x9f\x98\x80", TEE_OK },
        { "\xc3", TEE_MALFORMED },
        { "\xc0\xaf", TEE_MALFORMED },
        { "\xed\xa0\x80", TEE_MALFORMED },

        { "\\", TEE_MALFORMED },
        { "\\n", TEE_OK },
        { "\\\\", TEE_OK },
        { "\\\\\\", TEE_MALFORMED },
        { "\\u", TEE_OK },
        { "\\u00e", TEE_OK },
        { "\\u00e9", TEE_OK },
        { "\\ud83d\\ude00", TEE_OK },
        { "\\uD83D\\uDE00x", TEE_OK },
        { "\\ud7ff\\ue000", TEE_OK },
        { "\\ud800", TEE_MALFORMED },
        { "\\udc00", TEE_MALFORMED },
        { "\\ude00\\ud83d", TEE_MALFORMED },
        { "\\ud83d\\ud83d", TEE_MALFORMED },
        { "\\ud83d\\u0041", TEE_MALFORMED },
        { "\\ud83d\\ude0", TEE_MALFORMED },
        { "\\ud83d \\ude00", TEE_MALFORMED },
        { "\\\\ud800", TEE_OK },
        { "\\\\\\ud800", TEE_MALFORMED }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        in = unit_copy(cases[i].in, strlen(cases[i].in));

        unit_ok(tee_json_text_check(in) == cases[i].rc, "strict, case %u",
                (unsigned) i);

        unit_free(in);
    }
}


static void
text_python(void)
{
    size_t       i;
    tee_rc_t     rc;
    tee_str_t    in, out;
    tee_arena_t  arena;

    static const text_case_t  cases[] = {

        /* as it is: the same memory */

        { "{\"a\": [1, true, null, 1e5, -0]}", "" },
        { "\"\\ud83d\\ude00 \\uD83D\\uDE00\"", "" },
        { "\"\\ud800\\udc00\\udbff\\udfff\"", "" },
        { "\"NaN Infinity 1E5 \xc3\xa9\"", "" },
        { "\"\\\"\", \"NaN\"", "" },
        { "\"\\\\\", \"Infinity\"", "" },
        { "truE", "" },
        { "E", "" },
        { "NaNs", "" },
        { "xNaN", "" },
        { "\"NaN", "" },
        { "Na", "" },
        { "-NaN", "" },
        { "--Infinity", "" },
        { "Infinit", "" },
        { "\"a\"Infinity", "" },
        { "[Infinity1]", "" },
        { "\\ud800", "" },

        /* words */

        { "NaN", "0E0" },
        { "[NaN,NaN ]", "[0E0,0E0 ]" },
        { "{\"a\":NaN}", "{\"a\":0E0}" },
        { "\tNaN\n", "\t0E0\n" },
        { "Infinity", "9e999" },
        { "-Infinity", "-9e999" },
        { "[-Infinity, Infinity\r]", "[-9e999, 9e999\r]" },

        /* what NaN becomes is nobody else's */

        { "0E0", "0e0" },
        { "[1E5,1.5E+5,\"1E5\"]", "[1e5,1.5e+5,\"1E5\"]" },

        /* halves of pairs */

        { "\"\\ud800\"", "\"\xed\xa0\x80\"" },
        { "\"\\uDBFF\"", "\"\xed\xaf\xbf\"" },
        { "\"\\udc00\"", "\"\xed\xb0\x80\"" },
        { "\"\\uDfFfx\"", "\"\xed\xbf\xbfx\"" },
        { "\"\\ude00\\ud83d\"", "\"\xed\xb8\x80\xed\xa0\xbd\"" },
        { "\"\\ud83d\\ud83d\\ude00\"", "\"\xed\xa0\xbd\\ud83d\\ude00\"" },
        { "\"\\ud83d\\u0041\"", "\"\xed\xa0\xbd\\u0041\"" },
        { "\"\\ud83d\\ude0\"", "\"\xed\xa0\xbd\\ude0\"" },
        { "\"\\\\ud800\\ud800\"", "\"\\\\ud800\xed\xa0\x80\"" },
        { "{\"\\ud800\":NaN,\"b\":1E1}", "{\"\xed\xa0\x80\":0E0,\"b\":1e1}" },

        /* refused */

        { "", NULL },
        { "\xef\xbf", NULL },
        { "\"\xed\xa0\x80\"", NULL },
        { " \v", NULL },
        { "\f ", NULL }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        in = unit_copy(cases[i].in, strlen(cases[i].in));

        unit_memory_reset(0);
        tee_arena_init(&arena, &unit_alloc);

        rc = tee_json_text_python(in, &arena, &out);

        if (cases[i].out == NULL) {
            unit_ok(rc == TEE_MALFORMED, "refused, case %u", (unsigned) i);

        } else if (cases[i].out[0] == '\0') {
            unit_ok(rc == TEE_OK && out.data == in.data && out.len == in.len,
                    "as it is: %s", cases[i].in);

        } else {
            unit_ok(rc == TEE_OK && unit_is(out, cases[i].out),
                    "rewritten, case %u", (unsigned) i);
        }

        tee_arena_free(&arena);
        unit_free(in);
    }

    unit_ok(unit_memory.live == 0, "no leak");
}


/* Nothing is read behind the end, wherever that is. */

static void
text_cut(void)
{
    size_t       len, bad;
    tee_str_t    in, cut, out;
    tee_arena_t  arena;

    in = unit_text("[\"\\ud83d\\ude00\\ud800\",NaN,-Infinity,\"\\\\\",1E5]");
    bad = 0;

    for (len = 0; len <= in.len; len++) {
        cut = unit_copy(in.data, len);

        (void) !tee_json_text_check(cut);

        tee_arena_init(&arena, &unit_alloc);
        bad += tee_json_text_python(cut, &arena, &out)
               != (len ? TEE_OK : TEE_MALFORMED);
        bad += out.len > cut.len;
        tee_arena_free(&arena);

        unit_free(cut);
    }

    unit_ok(bad == 0, "every prefix");
}


static tee_rc_t
text_oom(void *ctx)
{
    tee_rc_t     rc;
    tee_str_t    out;
    tee_arena_t  arena;

    tee_arena_init(&arena, &unit_alloc);
    rc = tee_json_text_python(*(tee_str_t *) ctx, &arena, &out);
    tee_arena_free(&arena);

    return rc;
}


int
main(void)
{
    tee_str_t  in;

    text_strict();
    text_python();
    text_cut();

    unit_ok(tee_json_text_nan("0E0", 3), "NaN");
    unit_ok(!tee_json_text_nan("0e0", 3) && !tee_json_text_nan("0E0", 2)
            && !tee_json_text_nan("0E00", 4) && !tee_json_text_nan("NaN", 3),
            "no NaN");

    in = unit_text("[NaN]");
    unit_oom(text_oom, &in, TEE_OK, "a text that is rewritten");

    return unit_done();
}
