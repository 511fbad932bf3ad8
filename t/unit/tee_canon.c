
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <stdlib.h>
#include <string.h>

#include <tee_canon.h>

#include "unit.h"


#define CANON_NODES  1000


typedef struct {
    const char           *in;
    const char           *out;
} canon_case_t;


static tee_rc_t
canon_text(tee_str_t in, tee_write_t *w)
{
    tee_rc_t        rc;
    tee_json_doc_t  doc;

    tee_write_grow(w, &unit_alloc);

    rc = tee_canon_parse(in, CANON_NODES, &unit_alloc, &doc);

    if (rc != TEE_OK) {
        return doc.root == NULL ? rc : TEE_DONE;
    }

    tee_canon_write(w, doc.root);
    tee_json_free(&doc);

    return tee_write_rc(w);
}


static int
canon_is(tee_str_t in, const char *want)
{
    int          ok;
    tee_rc_t     rc;
    tee_str_t    out;
    tee_write_t  w;

    rc = canon_text(in, &w);

    out.len = w.len;
    out.data = w.data;

    ok = want ? rc == TEE_OK && unit_is(out, want) : rc == TEE_MALFORMED;

    tee_write_free(&w);

    return ok;
}


static void
canon_table(void)
{
    size_t     i;
    tee_str_t  in;

    static const canon_case_t  cases[] = {
        { "{}", "{}" }, { " [ ] ", "[]" }, { "null", "null" },
        { "[true,false,null]", "[true, false, null]" },
        { "{\"b\":{},\"a\":[]}", "{\"a\": [], \"b\": {}}" },
        { "{\"b\":1,\"a\":{\"d\":[{}],\"c\":2}}",
          "{\"a\": {\"c\": 2, \"d\": [{}]}, \"b\": 1}" },
        { "[[],{},[[]],{\"a\":{}}]", "[[], {}, [[]], {\"a\": {}}]" },

        /* the order of names, and which of two remains */

        { "{\"ab\":1,\"a\":2,\"abc\":3,\"\":0}",
          "{\"\": 0, \"a\": 2, \"ab\": 1, \"abc\": 3}" },
        { "{\"\xef\xbf\xbf\":1,\"\xf0\x90\x80\x80\":2,\"\xee\x80\x80\":3}",
          "{\"\\ue000\": 3, \"\\uffff\": 1, \"\\ud800\\udc00\": 2}" },
        { "{\"\\udc00\":1,\"\\ud800\":2,\"\\ue000\":3,\"\\ud7ff\":4}",
          "{\"\\ud7ff\": 4, \"\\ud800\": 2, \"\\udc00\": 1, \"\\ue000\": 3}" },
        { "{\"a\":1,\"\\u0061\":2}", "{\"a\": 2}" },
        { "{\"a\":1,\"b\":2,\"a\":3,\"c\":4,\"a\":5}",
          "{\"a\": 5, \"b\": 2, \"c\": 4}" },

        /* strings */

        { "\"\\b\\f\\n\\r\\t\\\"\\\\\\/\"", "\"\\b\\f\\n\\r\\t\\\"\\\\/\"" },
        { "\"\\u0000\\u001f \x7e\x7f\xc2\x80\"",
          "\"\\u0000\\u001f ~\\u007f\\u0080\"" },
        { "\"\xf0\x9f\x98\x80\xf4\x8f\xbf\xbf\"",
          "\"\\ud83d\\ude00\\udbff\\udfff\"" },
        { "\"\\uD83D\\uDE00\"", "\"\\ud83d\\ude00\"" },
        { "\"\\ud83d\"", "\"\\ud83d\"" },
        { "\"\\ude00\\ud83d\"", "\"\\ude00\\ud83d\"" },
        { "\"\\ud83d\\ud83d\\ude00\"", "\"\\ud83d\\ud83d\\ude00\"" },
        { "\"\\\\ud83d\"", "\"\\\\ud83d\"" },
        { "\"NaN Infinity 1E5\"", "\"NaN Infinity 1E5\"" },

        /* numbers */

        { "-0", "0" }, { "-0.0", "-0.0" }, { "0E0", "0.0" }, { "1E2", "100.0" },
        { "[1E2,-1E+2]", "[100.0, -100.0]" }, { "1e-7", "1e-07" },
        { "-123456789012345678901234567890",
          "-123456789012345678901234567890" },
        { "1e400", "Infinity" }, { "-9e999", "-Infinity" },
        { "NaN", "NaN" }, { "[NaN, NaN]", "[NaN, NaN]" },
        { "{\"a\":-Infinity,\"b\":Infinity}",
          "{\"a\": -Infinity, \"b\": Infinity}" },
        { "\tInfinity\n", "Infinity" },

        { "-NaN", NULL }, { "NaNN", NULL }, { "1NaN", NULL }, { "NaN1", NULL },
        { "1Infinity", NULL }, { "Infinity5", NULL }, { "--Infinity", NULL },
        { "1-Infinity", NULL }, { "1e-Infinity", NULL }, { "Infinit", NULL },
        { "- Infinity", NULL }, { "+Infinity", NULL }, { "Na", NULL },
        { "truE", NULL }, { "1E", NULL }, { "E5", NULL }, { "1E5E", NULL },
        { "{NaN:1}", NULL }, { "\\ud800", NULL }, { "[\\ud800]", NULL },
        { "\"\\ud800", NULL }, { "\"\\ud80\"", NULL }, { "", NULL },
        { " ", NULL }, { "\"\xed\xa0\x80\"", NULL }, { "\"\xc0\x80\"", NULL },
        { "\"\\", NULL }, { "{}\"", NULL }, { "\xef\xbb\xbf{}", NULL },
        { "\v{}", NULL }, { "01", NULL }, { "[1,]", NULL }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        unit_memory_reset(0);

        in = unit_copy(cases[i].in, strlen(cases[i].in));

        unit_ok(canon_is(in, cases[i].out) && unit_memory.live == 0,
                "number %u, %s", (unsigned) i,
                cases[i].out ? "written" : "refused");

        unit_free(in);
    }
}


static void
canon_prefixes(void)
{
    size_t     len, bad;
    tee_str_t  in;

    static const char  text[] =
        "{\"b\":[1.50,NaN,-Infinity,\"\\ud83d\",\"\\ud83d\\ude00\",1E5],"
        "\"a\":{\"\\udc00\":true,\"\xc3\xa9\":null}}";

    bad = 0;

    for (len = 0; len < sizeof(text) - 1; len++) {
        in = unit_copy(text, len);
        bad += !canon_is(in, NULL);
        unit_free(in);
    }

    unit_ok(bad == 0, "every prefix is refused");
}


/* "open" and "close" as often as said, around nothing. */

static tee_rc_t
canon_nested(size_t n, const char *open, const char *close)
{
    char         *p;
    size_t        i, len;
    tee_rc_t      rc;
    tee_str_t     in;
    tee_write_t   w;

    len = strlen(open) * n + strlen(close) * n + 2;

    p = malloc(len + 1);
    if (p == NULL) {
        return TEE_NOMEM;
    }

    p[0] = '\0';

    for (i = 0; i < n; i++) {
        memcpy(p + i * strlen(open), open, strlen(open));
    }

    memcpy(p + n * strlen(open), "[]", 2);
    memset(p + n * strlen(open) + 2, close[0], n);

    in = unit_copy(p, len);
    rc = canon_text(in, &w);

    if (rc == TEE_OK && open[0] == '['
        && !(w.len == len && memcmp(w.data, p, len) == 0))
    {
        rc = TEE_DONE;
    }

    tee_write_free(&w);
    unit_free(in);
    free(p);

    return rc;
}


static void
canon_limits(void)
{
    size_t          i;
    char            text[TEE_CANON_MAX_DIGITS + 3];
    tee_str_t       in;
    tee_write_t     w;
    tee_json_doc_t  doc;

    unit_ok(canon_nested(TEE_JSON_PYTHON_DEPTH - 1, "[", "]") == TEE_OK,
            "the greatest depth");
    unit_ok(canon_nested(TEE_JSON_PYTHON_DEPTH, "[", "]") == TEE_UNSUPPORTED,
            "one level more");
    unit_ok(canon_nested(TEE_JSON_PYTHON_DEPTH - 1, "{\"a\":", "}") == TEE_OK,
            "the greatest depth, of objects");

    memset(text, '7', sizeof(text));
    text[TEE_CANON_MAX_DIGITS + 2] = '\0';
    text[0] = '-';

    in = unit_copy(text, TEE_CANON_MAX_DIGITS + 2);
    unit_ok(canon_is(in, NULL), "too many digits");
    unit_free(in);

    text[TEE_CANON_MAX_DIGITS + 1] = '\0';

    in = unit_copy(text, TEE_CANON_MAX_DIGITS + 1);
    unit_ok(canon_is(in, text), "as many digits as Python has");
    unit_free(in);

    text[TEE_CANON_MAX_DIGITS] = '.';
    text[TEE_CANON_MAX_DIGITS + 1] = '5';

    in = unit_copy(text, TEE_CANON_MAX_DIGITS + 2);
    unit_ok(canon_is(in, "-Infinity"), "with a point, a number of any length");
    unit_free(in);

    in = unit_text("{\"a\":1,\"a\":2}");
    unit_ok(tee_canon_parse(in, 3, &unit_alloc, &doc) == TEE_OK
            && doc.root->child->next == NULL, "as many values as allowed");
    tee_json_free(&doc);
    unit_ok(tee_canon_parse(in, 2, &unit_alloc, &doc) == TEE_LIMIT
            && doc.root == NULL, "one value more");

    /* many members, in the worst order */

    tee_write_grow(&w, &unit_alloc);
    tee_write_u8(&w, '{');

    for (i = 0; i < CANON_NODES - 1; i++) {
        tee_write_text(&w, i ? ",\"" : "\"");
        tee_write_decimal(&w, 9999 - i * 7 % 1000);
        tee_write_text(&w, "\":1");
    }

    tee_write_u8(&w, '}');

    in.len = w.len;
    in.data = w.data;

    unit_ok(tee_canon_parse(in, CANON_NODES, &unit_alloc, &doc) == TEE_OK,
            "many members");

    for (i = 0; doc.root->child->next; i++) {
        if (memcmp(doc.root->child->name.data,
                   doc.root->child->next->name.data, 4) >= 0)
        {
            break;
        }

        doc.root->child = doc.root->child->next;
    }

    unit_ok(i == CANON_NODES - 2, "all in order");

    tee_json_free(&doc);
    tee_write_free(&w);
}


static void
canon_values(void)
{
    size_t             i;
    tee_str_t          in;
    tee_json_doc_t     doc;
    const tee_json_t  *v;

    static const char *const  no[] = {
        "null", "false", "0", "-0", "0.0", "-0.0", "1e-400", "\"\"", "[]", "{}"
    };

    static const char *const  yes[] = {
        "true", "1", "5e-324", "NaN", "1e400", "\" \"", "[null]", "{\"a\":0}"
    };

    unit_ok(!tee_canon_true(NULL), "nothing is false");

    for (i = 0; i < sizeof(no) / sizeof(no[0]); i++) {
        in = unit_text(no[i]);
        unit_ok(tee_canon_parse(in, 9, &unit_alloc, &doc) == TEE_OK
                && !tee_canon_true(doc.root), "%s is false", no[i]);
        tee_json_free(&doc);
    }

    for (i = 0; i < sizeof(yes) / sizeof(yes[0]); i++) {
        in = unit_text(yes[i]);
        unit_ok(tee_canon_parse(in, 9, &unit_alloc, &doc) == TEE_OK
                && tee_canon_true(doc.root), "%s is true", yes[i]);
        tee_json_free(&doc);
    }

    in = unit_text("{\"a\":\"x\",\"i\":-5,\"f\":5.0,\"a\":\"y\",\"n\":NaN}");
    unit_ok(tee_canon_parse(in, 9, &unit_alloc, &doc) == TEE_OK, "an object");

    v = tee_canon_get(doc.root, "a");
    unit_ok(tee_canon_is(v, "y") && !tee_canon_is(v, "x"), "the last of two");
    unit_ok(tee_canon_get(doc.root, "b") == NULL
            && tee_canon_get(v, "a") == NULL
            && tee_canon_get(NULL, "a") == NULL, "no member");
    unit_ok(!tee_canon_is(NULL, "") && !tee_canon_int(v), "no text, no number");
    unit_ok(tee_canon_int(tee_canon_get(doc.root, "i"))
            && !tee_canon_int(tee_canon_get(doc.root, "f"))
            && !tee_canon_int(tee_canon_get(doc.root, "n")), "whole numbers");

    tee_json_free(&doc);
}


static tee_rc_t
canon_oom_run(void *ctx)
{
    tee_rc_t     rc;
    tee_write_t  w;

    rc = canon_text(*(tee_str_t *) ctx, &w);
    tee_write_free(&w);

    return rc;
}


static void
canon_oom(void)
{
    tee_str_t  in;

    in = unit_text("{\"b\":[1.5,NaN,\"\\ud83d\",\"\\u00e9\"],\"a\":{\"c\":1}}");

    unit_oom(canon_oom_run, &in, TEE_OK, "canonical");
}


int
main(void)
{
    canon_table();
    canon_prefixes();
    canon_limits();
    canon_values();
    canon_oom();

    return unit_done();
}
