
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <stdio.h>
#include <string.h>

#include <tee_canon.h>
#include <tee_signed_delta.h>

#include "unit.h"


#define CALL(id, name, arguments, type)                                       \
    "{\"function\": {\"arguments\": \"" arguments "\", \"name\": \"" name     \
    "\"}, \"id\": " id ", \"type\": \"" type "\"}"


typedef struct {
    const char           *deltas[6];
    const char           *text;                /* NULL: refused */
    const char           *calls;               /* NULL: there are none */
    unsigned              no_id;
    tee_rc_t              rc;
} delta_case_t;


static const delta_case_t  delta_cases[] = {

    /* texts */
    { { NULL }, "", NULL, 0, TEE_OK },
    { { "{\"content\":\"a\"}", "{\"content\":\"b\"}" }, "ab", NULL, 0,
      TEE_OK },
    { { "{}", "null", "5", "[]", "\"a\"" }, "", NULL, 0, TEE_OK },
    { { "{\"content\":null}", "{\"content\":\"\"}", "{\"role\":\"a\"}" }, "",
      NULL, 0, TEE_OK },
    { { "{\"content\":[\"a\",{\"text\":\"b\"},{}]}" }, "ab", NULL, 0,
      TEE_OK },
    { { "{\"tool_calls\":null}", "{\"tool_calls\":{}}",
        "{\"tool_calls\":\"a\"}", "{\"tool_calls\":[]}" }, "", NULL, 0,
      TEE_OK },

    /* calls */
    { { "{\"tool_calls\":[{}]}" }, "",
      "[" CALL("none", "", "", "function") "]", 1, TEE_OK },
    { { "{\"tool_calls\":[{\"index\":0,\"id\":\"i\",\"type\":\"t\","
        "\"function\":{\"name\":\"n\",\"arguments\":\"a\"}}]}" }, "",
      "[" CALL("\"i\"", "n", "a", "t") "]", 0, TEE_OK },
    { { "{\"content\":\"x\",\"tool_calls\":[{\"id\":\"i\",\"function\":{"
        "\"name\":\"n\"}}]}",
        "{\"tool_calls\":[{\"function\":{\"arguments\":\"a\"}}]}",
        "{\"tool_calls\":[{\"function\":{\"arguments\":\"\\u00e9\\\"\"}}]}",
        "{\"content\":\"y\"}" }, "xy",
      "[" CALL("\"i\"", "n", "a\\u00e9\\\"", "function") "]", 0, TEE_OK },
    { { "{\"tool_calls\":[{\"index\":2,\"id\":\"c\"},{\"index\":0,"
        "\"id\":\"a\"}]}",
        "{\"tool_calls\":[{\"index\":1,\"id\":\"b\"},{\"index\":2,"
        "\"function\":{\"name\":\"n\"}}]}" }, "",
      "[" CALL("\"a\"", "", "", "function") ", "
      CALL("\"b\"", "", "", "function") ", "
      CALL("\"c\"", "n", "", "function") "]", 0, TEE_OK },
    { { "{\"tool_calls\":[{\"id\":\"i\",\"type\":\"t\",\"function\":{"
        "\"name\":\"n\"}}]}",
        "{\"tool_calls\":[{\"id\":\"j\",\"type\":\"u\",\"function\":{"
        "\"name\":\"m\"}}]}" }, "",
      "[" CALL("\"j\"", "m", "", "u") "]", 0, TEE_OK },
    { { "{\"tool_calls\":[{\"id\":\"i\",\"type\":\"t\",\"function\":{"
        "\"name\":\"n\"}}]}",
        "{\"tool_calls\":[{\"id\":\"\",\"type\":null,\"function\":{"
        "\"name\":\"\",\"arguments\":null}}]}",
        "{\"tool_calls\":[{\"id\":0,\"type\":false,\"function\":null}]}",
        "{\"tool_calls\":[{\"function\":{\"arguments\":0}}]}" }, "",
      "[" CALL("\"i\"", "n", "", "t") "]", 0, TEE_OK },
    { { "{\"tool_calls\":[{\"id\":\"\"},{\"index\":1,\"id\":\"i\"}]}" }, "",
      "[" CALL("none", "", "", "function") ", "
      CALL("\"i\"", "", "", "function") "]", 1, TEE_OK },
    { { "{\"tool_calls\":[{\"index\":4294967295,\"id\":\"i\"}]}" }, "",
      "[" CALL("\"i\"", "", "", "function") "]", 0, TEE_OK },

    /* neither */
    { { "{\"content\":1}" }, NULL, NULL, 0, TEE_UNSUPPORTED },
    { { "{\"content\":\"a\"}", "{\"content\":[1]}" }, NULL, NULL, 0,
      TEE_UNSUPPORTED },
    { { "{\"content\":\"\\udc00\"}" }, NULL, NULL, 0, TEE_MALFORMED },
    { { "{\"Content\":\"a\"}" }, NULL, NULL, 0, TEE_UNSUPPORTED },
    { { "{\"tool_Calls\":[]}" }, NULL, NULL, 0, TEE_UNSUPPORTED },
    { { "{\"tool_calls\":[1]}" }, NULL, NULL, 0, TEE_UNSUPPORTED },
    { { "{\"tool_calls\":[null]}" }, NULL, NULL, 0, TEE_UNSUPPORTED },
    { { "{\"tool_calls\":[[]]}" }, NULL, NULL, 0, TEE_UNSUPPORTED },
    { { "{\"tool_calls\":[{\"index\":-1}]}" }, NULL, NULL, 0,
      TEE_UNSUPPORTED },
    { { "{\"tool_calls\":[{\"index\":0.0}]}" }, NULL, NULL, 0,
      TEE_UNSUPPORTED },
    { { "{\"tool_calls\":[{\"index\":4294967296}]}" }, NULL, NULL, 0,
      TEE_UNSUPPORTED },
    { { "{\"tool_calls\":[{\"index\":\"0\"}]}" }, NULL, NULL, 0,
      TEE_UNSUPPORTED },
    { { "{\"tool_calls\":[{\"index\":null}]}" }, NULL, NULL, 0,
      TEE_UNSUPPORTED },
    { { "{\"tool_calls\":[{\"Index\":0}]}" }, NULL, NULL, 0,
      TEE_UNSUPPORTED },
    { { "{\"tool_calls\":[{\"id\":1}]}" }, NULL, NULL, 0, TEE_UNSUPPORTED },
    { { "{\"tool_calls\":[{\"type\":[1]}]}" }, NULL, NULL, 0,
      TEE_UNSUPPORTED },
    { { "{\"tool_calls\":[{\"function\":\"f\"}]}" }, NULL, NULL, 0,
      TEE_UNSUPPORTED },
    { { "{\"tool_calls\":[{\"function\":{\"name\":true}}]}" }, NULL, NULL, 0,
      TEE_UNSUPPORTED },
    { { "{\"tool_calls\":[{\"function\":{\"Name\":\"a\"}}]}" }, NULL, NULL,
      0, TEE_UNSUPPORTED },
    { { "{\"tool_calls\":[{\"function\":{\"arguments\":{\"a\":1}}}]}" },
      NULL, NULL, 0, TEE_UNSUPPORTED }
};


/* One delta, as the choice of an event, in memory of its exact size, which is
 * gone afterwards. */

static tee_rc_t
delta_feed(tee_signed_delta_t *d, const char *delta)
{
    char            text[512];
    tee_rc_t        rc;
    tee_str_t       in;
    tee_json_doc_t  doc;

    (void) snprintf(text, sizeof(text), "{\"delta\":%s}", delta);

    in = unit_copy(text, strlen(text));

    rc = tee_canon_parse(in, 2000, &unit_alloc, &doc);

    if (rc == TEE_OK) {
        rc = tee_signed_delta_read(d, doc.root);
        tee_json_free(&doc);
    }

    unit_free(in);

    return rc;
}


static int
delta_is(const tee_signed_delta_t *d, int calls, const char *text)
{
    uint8_t  output[32], want[32];

    tee_keccak256(unit_text(text), want);

    return tee_signed_delta_output(d, calls, "none", output) == TEE_OK
           && memcmp(output, want, 32) == 0;
}


static void
delta_table(void)
{
    size_t               i, n;
    tee_rc_t             rc;
    unsigned             good;
    tee_signed_delta_t   d;
    const delta_case_t  *c;

    for (i = 0; i < sizeof(delta_cases) / sizeof(delta_cases[0]); i++) {
        c = &delta_cases[i];

        unit_memory_reset(0);
        tee_signed_delta_init(&d, 100, &unit_alloc);

        rc = TEE_OK;

        for (n = 0; rc == TEE_OK && n < 6 && c->deltas[n]; n++) {
            rc = delta_feed(&d, c->deltas[n]);
        }

        good = rc == c->rc;

        if (good && rc == TEE_OK) {

            /* twice: to ask changes nothing */

            good = delta_is(&d, 0, c->text) && delta_is(&d, 0, c->text)
                   && delta_is(&d, 1, c->calls ? c->calls : c->text)
                   && tee_signed_delta_calls(&d) == (c->calls != NULL)
                   && tee_signed_delta_no_id(&d) == (int) c->no_id;
        }

        tee_signed_delta_free(&d);
        tee_signed_delta_free(&d);

        unit_ok(good && unit_memory.live == 0, "%s",
                c->deltas[0] ? c->deltas[n - 1] : "nothing");
    }
}


/* The choices of events that have no such member. */

static void
delta_says(void)
{
    size_t              i;
    tee_rc_t            rc;
    tee_str_t           in;
    tee_json_doc_t      doc;
    tee_signed_delta_t  d;

    static const struct {
        const char  *in;
        int          says;
    } cases[] = {
        { "{\"delta\":{\"content\":\"a\"}}", 1 },
        { "{\"delta\":{\"tool_calls\":[{}]}}", 1 },
        { "{\"delta\":{\"content\":[\"\"]}}", 1 },
        { "{\"delta\":{\"content\":\"\",\"tool_calls\":[]}}", 0 },
        { "{\"delta\":{\"content\":null}}", 0 },
        { "{\"delta\":{\"role\":\"a\"}}", 0 },
        { "{\"delta\":{}}", 0 },
        { "{\"delta\":null}", 0 },
        { "{\"delta\":\"content\"}", 0 },
        { "{\"content\":\"a\"}", 0 },
        { "{}", 0 },
        { "[]", 0 },
        { "\"delta\"", 0 }
    };

    tee_signed_delta_init(&d, 100, &unit_alloc);

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        in = unit_copy(cases[i].in, strlen(cases[i].in));

        if (tee_canon_parse(in, 50, &unit_alloc, &doc) == TEE_OK) {
            rc = cases[i].says ? TEE_OK : tee_signed_delta_read(&d, doc.root);

            unit_ok(tee_signed_delta_says(doc.root) == cases[i].says
                    && rc == TEE_OK, "%s says %s", cases[i].in,
                    cases[i].says ? "something" : "nothing");

            tee_json_free(&doc);

        } else {
            unit_ok(0, "JSON: %s", cases[i].in);
        }

        unit_free(in);
    }

    unit_ok(tee_signed_delta_says(NULL) == 0
            && tee_signed_delta_read(&d, NULL) == TEE_OK
            && delta_is(&d, 1, "") && !tee_signed_delta_calls(&d),
            "no choice says nothing");

    tee_signed_delta_free(&d);
}


/* However a text or the arguments of a call are cut, they are the same. */

static void
delta_pieces(void)
{
    char                text[256];
    size_t              first, piece, pos, n, len;
    unsigned            wrong;
    tee_rc_t            rc;
    tee_signed_delta_t  d;

    static const char  all[] = "abcdefghijklmnopqrstuvwxyz0123456789";

    len = sizeof(all) - 1;
    wrong = 0;

    for (first = 0; first <= len; first++) {

        for (piece = 1; piece <= len; piece++) {
            tee_signed_delta_init(&d, len, &unit_alloc);

            rc = TEE_OK;

            for (pos = 0, n = first; pos < len && rc == TEE_OK; n = piece) {
                n = n < len - pos ? n : len - pos;

                (void) snprintf(text, sizeof(text), "{\"content\":\"%.*s\","
                                "\"tool_calls\":[{\"function\":{"
                                "\"arguments\":\"%.*s\"}}]}",
                                (int) n, all + pos, (int) n, all + pos);
                rc = delta_feed(&d, text);
                pos += n;
            }

            wrong += rc != TEE_OK
                     || !delta_is(&d, 0, all)
                     || !delta_is(&d, 1, "[" CALL("none", "",
                                  "abcdefghijklmnopqrstuvwxyz0123456789",
                                  "function") "]");

            tee_signed_delta_free(&d);
        }
    }

    unit_ok(wrong == 0, "pieces do not matter");
}


static void
delta_limits(void)
{
    char                text[64];
    size_t              i, room;
    tee_rc_t            rc;
    tee_signed_delta_t  d;

    static const struct {
        const char  *delta;
        size_t       room;
    } cases[] = {
        { "{\"tool_calls\":[{\"id\":\"abcd\"}]}", 4 },
        { "{\"tool_calls\":[{\"type\":\"abcd\"}]}", 4 },
        { "{\"tool_calls\":[{\"function\":{\"name\":\"abcd\"}}]}", 4 },
        { "{\"tool_calls\":[{\"function\":{\"arguments\":\"abcd\"}}]}", 4 },
        { "{\"tool_calls\":[{\"id\":\"ab\",\"type\":\"c\",\"function\":{"
          "\"name\":\"d\",\"arguments\":\"e\"}},{\"id\":\"f\"}]}", 6 },
        { "{\"tool_calls\":[{\"id\":\"ab\",\"type\":\"function\"},"
          "{\"id\":\"ab\"}]}", 2 },
        { "{\"content\":\"texts are not kept\"}", 0 }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {

        for (room = 0; room <= cases[i].room; room++) {
            unit_memory_reset(0);
            tee_signed_delta_init(&d, room, &unit_alloc);

            rc = delta_feed(&d, cases[i].delta);

            tee_signed_delta_free(&d);

            unit_ok(rc == (room < cases[i].room ? TEE_LIMIT : TEE_OK)
                    && unit_memory.live == 0, "room for %u: %s",
                    (unsigned) room, cases[i].delta);
        }
    }

    /* calls, in either order */

    for (i = 0; i < 2; i++) {
        tee_signed_delta_init(&d, 0, &unit_alloc);

        for (room = 0, rc = TEE_OK; rc == TEE_OK; room++) {
            (void) snprintf(text, sizeof(text), "{\"tool_calls\":[{\"index\":"
                            "%u}]}",
                            (unsigned) (i == 0 ? room : 4000 - room));
            rc = delta_feed(&d, text);
        }

        unit_ok(rc == TEE_LIMIT && room == 257, "256 calls, not more");
        unit_ok(delta_feed(&d, i == 0 ? "{\"tool_calls\":[{\"index\":255}]}"
                                      : "{\"tool_calls\":[{\"index\":4000}]}")
                == TEE_OK, "to one of them something may be added");

        tee_signed_delta_free(&d);
    }
}


static tee_rc_t
delta_oom_run(void *ctx)
{
    size_t              i;
    uint8_t             output[32];
    tee_rc_t            rc;
    tee_signed_delta_t  d;

    const char *const  *deltas = ctx;

    tee_signed_delta_init(&d, 1000, &unit_alloc);

    rc = TEE_OK;

    for (i = 0; i < 3 && rc == TEE_OK; i++) {
        rc = delta_feed(&d, deltas[i]);
    }

    if (rc == TEE_OK) {
        rc = tee_signed_delta_output(&d, 1, "null", output);
    }

    tee_signed_delta_free(&d);

    return rc;
}


int
main(void)
{
    static const char  *deltas[] = {
        "{\"content\":\"a\",\"tool_calls\":[{\"id\":\"i\",\"type\":\"t\","
        "\"function\":{\"name\":\"n\"}}]}",
        "{\"tool_calls\":[{\"index\":1,\"id\":\"j\",\"function\":{"
        "\"arguments\":\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"}"
        "}]}",
        "{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"b\"}}]}"
    };

    delta_table();
    delta_says();
    delta_pieces();
    delta_limits();

    unit_oom(delta_oom_run, deltas, TEE_OK, "calls");

    return unit_done();
}
