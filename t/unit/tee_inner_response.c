
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <string.h>

#include <tee_inner.h>

#include "unit.h"


typedef struct {
    const char           *in;
    unsigned              status;              /* 0: refused */
    const char           *body;                /* NULL: all */
} response_case_t;


static const response_case_t  response_cases[] = {
    { "{}", 200, NULL },
    { " { } ", 200, NULL },
    { "{\"a\":1}", 200, NULL },
    { "{\"status\":400,\"body\":{\"error\":\"e\"}}", 400,
      "{\"error\":\"e\"}" },
    { " {\t\"status\" : 503 , \"body\" : {\"a\":[1,{\"b\":\"}\\\"\"}]} } ",
      503, "{\"a\":[1,{\"b\":\"}\\\"\"}]}" },
    { "{\"body\":{},\"status\":200}", 200, "{}" },
    { "{\"a\":\"\\\\\",\"status\":400,\"body\":{}}", 400, "{}" },
    { "{\"a\":\"\\\\\\\",\",\"status\":400,\"body\":{}}", 400, "{}" },
    { "{\"a\":\"\\\"\\\"\\\\\",\"status\":400,\"body\":{}}", 400, "{}" },
    { "{\"status\":599,\"body\":{},\"more\":[{}]}", 599, "{}" },
    { "{\"status\":400,\"status\":401,\"body\":{},\"body\":{\"a\":1}}", 401,
      "{\"a\":1}" },

    { "{\"body\":{},\"body\":1,\"status\":400}", 200, NULL },
    { "\t{\"status\":200,\t\"body\":{\"\\\\\":{}}\t}\t", 200,
      "{\"\\\\\":{}}" },
    { "{\"a\":{\"b\":[\"]}\",{}]},\"body\":{ } ,\"status\":404}", 404,
      "{ }" },

    /* no envelopes */
    { "{\"status\":\"\",\"body\":{}}", 200, NULL },
    { "{\"status\":4e2,\"body\":{}}", 200, NULL },
    { "{\"status\":+400,\"body\":{}}", 200, NULL },
    { "{\"status\":[400],\"body\":{}}", 200, NULL },
    { "{\"status \":400,\"body\":{}}", 200, NULL },
    { "{\"statu\":400,\"body\":{}}", 200, NULL },
    { "{\"status\":400,\"bod\":{}}", 200, NULL },
    { "{\"status\":400}", 200, NULL },
    { "{\"body\":{}}", 200, NULL },
    { "{\"status\":\"400\",\"body\":{}}", 200, NULL },
    { "{\"status\":400.0,\"body\":{}}", 200, NULL },
    { "{\"status\":-1,\"body\":{}}", 200, NULL },
    { "{\"status\":true,\"body\":{}}", 200, NULL },
    { "{\"status\":400,\"body\":[]}", 200, NULL },
    { "{\"status\":400,\"body\":\"{}\"}", 200, NULL },
    { "{\"status\":400,\"body\":null}", 200, NULL },
    { "{\"a\":{\"status\":400,\"body\":{}}}", 200, NULL },
    { "{\"Status\":400,\"body\":{}}", 200, NULL },

    /* no answers */
    { "{\"status\":600,\"body\":{}}", 0, NULL },
    { "{\"status\":199,\"body\":{}}", 0, NULL },
    { "{\"status\":0,\"body\":{}}", 0, NULL },
    { "{\"status\":000,\"body\":{}}", 0, NULL },
    { "{\"status\":18446744073709551816,\"body\":{}}", 0, NULL },
    { "{\"status\":0400,\"body\":{}}", 0, NULL },
    { "{\"status\":99999999999999999999,\"body\":{}}", 0, NULL },
    { "", 0, NULL },
    { " ", 0, NULL },
    { "[]", 0, NULL },
    { "\"{}\"", 0, NULL },
    { "null", 0, NULL },
    { "{", 0, NULL },
    { "{\"a\"", 0, NULL },
    { "{\"a\":", 0, NULL },
    { "{\"a\":}", 0, NULL },
    { "{\"a\":1", 0, NULL },
    { "{\"a\":1,}", 0, NULL },
    { "{\"a\":\"", 0, NULL },
    { "{\"a\\", 0, NULL },
    { "{\"a\":]}", 0, NULL },
    { "{\"a\":,}", 0, NULL },
    { "{\"a\":1 2}", 0, NULL },
    { "{\"a\":\"b\"c}", 0, NULL },
    { "{\"a\":{}", 0, NULL },
    { "{\"a\":[}", 0, NULL },
    { "{\"a\":\"b\\", 0, NULL },
    { "{,}", 0, NULL },
    { "{:1}", 0, NULL },
    { "{\"a\\\":1}", 0, NULL },
    { "{\"a\":\"\\\\\\\"}", 0, NULL },
    { "{a:1}", 0, NULL },
    { "{\"a\" 1}", 0, NULL }
};


static void
response_table(void)
{
    size_t                  i;
    tee_rc_t                rc;
    unsigned                status;
    tee_str_t               in, body;
    const response_case_t  *c;

    for (i = 0; i < sizeof(response_cases) / sizeof(response_cases[0]); i++) {
        c = &response_cases[i];

        in = unit_copy(c->in, strlen(c->in));

        rc = tee_inner_response(in, &status, &body);

        if (c->status == 0) {
            unit_ok(rc == TEE_MALFORMED && status == 0 && body.len == 0,
                    "no answer: %s", c->in);

        } else {
            unit_ok(rc == TEE_OK && status == c->status
                    && unit_is(body, c->body ? c->body : c->in),
                    "an answer: %s", c->in);
        }

        unit_free(in);
    }
}


static void
response_prefixes(void)
{
    size_t     len;
    tee_rc_t   rc;
    unsigned   status, bad;
    tee_str_t  in, cut, body;

    in = unit_text("\r\n{\"a\":[{\"b\":\"\\\"}\"},1]\n,\r\"status\":503,"
                   "\"body\":{\"error\":[\"\\\\\"]}}");
    bad = 0;

    for (len = 0; len <= in.len; len++) {
        cut = unit_copy(in.data, len);

        rc = tee_inner_response(cut, &status, &body);

        if (len == in.len) {
            bad += rc != TEE_OK || status != 503
                   || !unit_is(body, "{\"error\":[\"\\\\\"]}");

        } else {
            bad += rc != TEE_MALFORMED || status != 0 || body.len != 0;
        }

        unit_free(cut);
    }

    unit_ok(bad == 0, "every prefix is refused");
}


static void
response_statuses(void)
{
    size_t     i;
    char       text[] = "{\"status\":000,\"body\":{}}";
    unsigned   n, status, bad;
    tee_str_t  in, body;

    bad = 0;

    for (n = 0; n < 1000; n++) {

        for (i = 0; i < 3; i++) {
            text[10 + i] = (char) ('0' + n / (i == 0 ? 100 : i == 1 ? 10 : 1)
                                         % 10);
        }

        in = unit_copy(text, strlen(text));

        if (tee_inner_response(in, &status, &body) == TEE_OK) {
            bad += n < 200 || n > 599 || status != n
                   || !unit_is(body, "{}");

        } else {
            bad += (n >= 200 && n <= 599) || status != 0 || body.len != 0;
        }

        unit_free(in);
    }

    unit_ok(bad == 0, "the statuses of answers, and no others");
}


/* What is changed is another answer, or none, and always a part of itself. */

static void
response_mutate(void)
{
    size_t     i, n;
    uint8_t   *p;
    unsigned   status, wrong, good;
    tee_str_t  in, body;

    static const char  seed[] = "{\"a\":[1],\"status\":400,\"body\":"
                                "{\"e\":{}}}";
    static const char  some[] = "{}[]\"\\,: 40sby\n";

    wrong = 0;
    good = 0;

    for (i = 0; i < 50000; i++) {
        in = unit_copy(seed, sizeof(seed) - 1);
        p = (uint8_t *) (uintptr_t) in.data;

        for (n = unit_rand() % 3; n < 3; n++) {
            p[unit_rand() % in.len] =
                               (uint8_t) some[unit_rand() % (sizeof(some) - 1)];
        }

        if (tee_inner_response(in, &status, &body) == TEE_OK) {
            good++;
            wrong += status < 200 || status > 599 || body.len == 0
                     || body.data < in.data
                     || body.data + body.len > in.data + in.len;
            wrong += body.len != in.len && body.data[0] != '{';

        } else {
            wrong += status != 0 || body.len != 0;
        }

        unit_free(in);
    }

    unit_ok(wrong == 0, "changed answers are parts of themselves");
    unit_ok(good > 100 && good < 49000, "some of them are answers");
}


int
main(void)
{
    response_table();
    response_prefixes();
    response_statuses();
    response_mutate();

    return unit_done();
}
