
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <string.h>

#include <tee_json.h>
#include <tee_text.h>

#include "unit.h"


static tee_rc_t
json_parse(const char *text, tee_json_doc_t *doc, tee_str_t *copy)
{
    *copy = unit_copy(text, strlen(text));

    return tee_json_parse(*copy, 100, &unit_alloc, doc);
}


static void
json_rc(const char *text, tee_rc_t want, const char *name)
{
    tee_rc_t        rc;
    tee_str_t       copy;
    tee_json_doc_t  doc;

    rc = json_parse(text, &doc, &copy);

    unit_ok(rc == want && (rc == TEE_OK || doc.root == NULL), "%s", name);

    tee_json_free(&doc);
    unit_free(copy);
}


static void
json_table(void)
{
    size_t  i;

    static const char *const  good[] = {
        "{}", "[]", "null", "true", "0", "-0", "1.5e+10", "\"\"",
        " \t\r\n[ 1 , 2 ]\n", "[\"\\u0000\"]", "\"\\ud83d\\ude00\"",
        "\"\\\\ud800\"", "\"\\\\\\\"\\/\\b\\f\\n\\r\\t\"", "\"\xc3\xa9\"",
        "{\"a\":{\"a\":[{}]}}", "\"\\u00e9\\uD83D\\uDE00\\u00e9\""
    };

    static const char *const  bad[] = {
        "", " ", "{", "}", "[", "[1", "[1,", "[1,]", "{\"a\"}", "{\"a\":}",
        "{\"a\":1,}", "{a:1}", "{1:2}", "'a'", "\"", "\"a", "\"\\\"",
        "\"\\x41\"", "\"\\u12\"", "\"\\u12g4\"", "\"\n\"", "\"\x01\"",
        "\"\t\"", "\v[]", "[1,\f2]", "01", "+1", "1.", ".5", "1e", "0x1",
        "- 1", "NaN", "Infinity", "nul", "nulll", "True", "1 2", "{} {}",
        "[] x", "[1 2]", "\"\\ud800\"", "\"\\udc00\"", "\"\\ud800\\ud800\"",
        "\"\\ud83d\\n\"", "\"\\udc00\\ud800\"", "\"\\ud800", "\"\xc0\x80\"",
        "\"\xff\"", "\"\xed\xa0\x80\"", "\xef\xbb\xbf{}", "/* */ {}", "{}//",
        "[1]]", "\\u0020", "\\", "{}\"", "[] \"a", "1\"", "\"\"\"",
        "null \"\\", "{}\"\\u00"
    };

    for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        json_rc(good[i], TEE_OK, good[i][0] == '\0' ? "empty" : "accepted");
    }

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        unit_memory_reset(0);
        json_rc(bad[i], TEE_MALFORMED, "refused");

        if (!unit_ok(unit_memory.live == 0, "refused, number %u, no leak",
                     (unsigned) i))
        {
            return;
        }
    }
}


static void
json_limits(void)
{
    size_t           i;
    char             text[400];
    tee_str_t        copy;
    tee_json_doc_t   doc;

    memset(text, 0, sizeof(text));

    for (i = 0; i < TEE_JSON_MAX_DEPTH; i++) {
        text[i] = '[';
        text[2 * TEE_JSON_MAX_DEPTH - 1 - i] = ']';
    }

    json_rc(text, TEE_OK, "the greatest depth");

    memset(text, '[', TEE_JSON_MAX_DEPTH + 1);
    json_rc(text, TEE_LIMIT, "one level more");

    copy = unit_text("[1,2,3]");
    unit_ok(tee_json_parse(copy, 4, &unit_alloc, &doc) == TEE_OK,
            "as many nodes as allowed");
    tee_json_free(&doc);
    unit_ok(tee_json_parse(copy, 3, &unit_alloc, &doc) == TEE_LIMIT,
            "one node more");

    copy.len = 3;
    copy.data = (const uint8_t *) "1\0 ";
    unit_ok(tee_json_parse(copy, 4, &unit_alloc, &doc) == TEE_MALFORMED,
            "NUL");
}


static void
json_values(void)
{
    uint64_t           n;
    tee_str_t          text, copy;
    tee_json_doc_t     doc;
    const tee_json_t  *v;

    static const char  json[] =
        "{\"t\":\"x\\u0041\\n\\ud83d\\ude00\",\"p\":\"plain\",\"n\":-1.5E3,"
        "\"u\":65535,\"a\":[true,false,null],\"d\":1,\"d\":2,\"\\u0065\":7,"
        "\"z\":\"a\\u0000b\",\"l\":18446744073709551615,\"o\":{\"p\":1}}";

    unit_ok(json_parse(json, &doc, &copy) == TEE_OK, "an object");

    unit_ok(tee_json_get_text(doc.root, "t", &text) == TEE_OK
            && unit_is(text, "xA\n\xf0\x9f\x98\x80"), "escapes");
    unit_ok(tee_json_get_text(doc.root, "p", &text) == TEE_OK
            && unit_is(text, "plain") && text.data > copy.data
            && text.data < copy.data + copy.len, "plain text is in place");
    unit_ok(tee_json_get_text(doc.root, "z", &text) == TEE_OK
            && unit_equal(text, "a\0b", 3), "NUL in a text");
    unit_ok(tee_json_get_text(doc.root, "n", &text) == TEE_MALFORMED
            && text.data == NULL, "a number is no text");
    unit_ok(tee_json_get_type(doc.root, "n", TEE_JSON_NUMBER, &v) == TEE_OK
            && unit_is(v->text, "-1.5E3"), "a number stays text");
    unit_ok(tee_json_get_uint(doc.root, "u", 65535, &n) == TEE_OK
            && n == 65535, "a number in range");
    unit_ok(tee_json_get_uint(doc.root, "u", 65534, &n) == TEE_MALFORMED
            && n == 0, "a number out of range");
    unit_ok(tee_json_get_uint(doc.root, "n", 9999, &n) == TEE_MALFORMED,
            "a number with sign and fraction");
    unit_ok(tee_json_get_uint(doc.root, "l", UINT64_MAX, &n) == TEE_OK
            && n == UINT64_MAX, "2^64 - 1");
    unit_ok(tee_json_get(doc.root, "d", &v) == TEE_MALFORMED && v == NULL,
            "a member that is there twice");
    unit_ok(tee_json_get(doc.root, "q", &v) == TEE_DONE && v == NULL,
            "a member that is not there");
    unit_ok(tee_json_get_uint(doc.root, "e", 9, &n) == TEE_OK && n == 7,
            "a name with an escape");
    unit_ok(tee_json_get(doc.root, "o", &v) == TEE_OK
            && tee_json_get_uint(v, "p", 1, &n) == TEE_OK,
            "a member of a member");
    unit_ok(tee_json_get_type(doc.root, "a", TEE_JSON_ARRAY, &v) == TEE_OK,
            "a list");
    unit_ok(v && v->child->type == TEE_JSON_BOOL && v->child->value
            && !v->child->next->value
            && v->child->next->next->type == TEE_JSON_NULL
            && v->child->next->next->next == NULL, "its elements");
    unit_ok(tee_json_get(v, "p", &v) == TEE_MALFORMED,
            "a list has no members");
    unit_ok(tee_json_get(NULL, "p", &v) == TEE_MALFORMED,
            "nothing has no members");

    tee_json_free(&doc);
    unit_free(copy);
}


static tee_rc_t
json_oom(void *ctx)
{
    tee_rc_t        rc;
    tee_str_t       text = *(tee_str_t *) ctx;
    tee_json_doc_t  doc;

    rc = tee_json_parse(text, 1000, &unit_alloc, &doc);

    if (rc == TEE_OK) {
        tee_json_free(&doc);
    }

    return rc;
}


static void
json_cuts(void)
{
    size_t          i, wrong;
    tee_str_t       cut;
    tee_json_doc_t  doc;

    static const char  json[] =
        "{\"a\":[1,true,null,\"x\\u0041\\\"\",-2.5e+3],"
        "\"b\":{\"\xc3\xa9\":{}}}";

    wrong = 0;

    for (i = 0; i < sizeof(json) - 1; i++) {
        cut = unit_copy(json, i);
        unit_memory_reset(0);
        wrong += tee_json_parse(cut, 100, &unit_alloc, &doc) != TEE_MALFORMED;
        wrong += unit_memory.live != 0;
        unit_free(cut);
    }

    unit_ok(wrong == 0, "every prefix is refused, and leaves nothing");
}


int
main(void)
{
    size_t     i;
    tee_str_t  text;
    char       big[6000];

    json_table();
    json_limits();
    json_values();
    json_cuts();

    /* long escaped texts make yajl's buffers grow */

    memset(big, 0, sizeof(big));
    big[0] = '"';

    for (i = 1; i < 5000; i += 2) {
        big[i] = '\\';
        big[i + 1] = 'n';
    }

    big[i] = '"';

    text = unit_text(big);
    unit_oom(json_oom, &text, TEE_OK, "an escaped text");

    text = unit_text("[[[[{\"a\":\"\\u0041\",\"b\":[1,2,3,{}]}]]]]");
    unit_oom(json_oom, &text, TEE_OK, "a tree");

    text = unit_text("[[[[{\"a\":\"\\u0041\",\"b\":[1,2,3,{]}]]]]");
    unit_oom(json_oom, &text, TEE_MALFORMED, "a broken tree");

    return unit_done();
}
