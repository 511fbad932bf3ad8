
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tee_envelope.h>
#include <tee_json.h>

#include "unit.h"


#define CHAT    TEE_ENVELOPE_CHAT
#define SEARCH  TEE_ENVELOPE_WEB_SEARCH
#define OTHER   TEE_ENVELOPE_UNKNOWN


typedef struct {
    const char               *in;
    const char               *out;
    tee_envelope_endpoint_t   endpoint;
} envelope_case_t;


static const envelope_case_t  envelope_cases[] = {
    { "{}", "{}", CHAT },
    { " \t\r\n{ } \n", "{}", CHAT },
    { "{\"model\":\"m\"}", "{\"model\":\"m\"}", CHAT },
    { "{\"endpoint\":\"chat.completions\"}", "{}", CHAT },
    { "{\"endpoint\":\"web_search\"}", "{}", SEARCH },
    { "{\"endpoint\":\"web\\u005fsearch\"}", "{}", SEARCH },
    { "{\"endpoint\":\"Web_search\"}", "{}", OTHER },
    { "{\"endpoint\":\"\"}", "{}", OTHER },
    { "{\"endpoint\":null}", "{}", OTHER },
    { "{\"endpoint\":[\"web_search\"]}", "{}", OTHER },
    { "{\"endpoint\":{\"a\":\"}\"}, \"b\": 1}", "{\"b\": 1}", OTHER },
    { "{\"endpoint\":\"web_search\",\"endpoint\":\"chat.completions\"}", "{}",
      CHAT },
    { "{\"endpoint\":\"chat.completions\",\"a\":1,\"endpoint\":\"x\"}",
      "{\"a\":1}", OTHER },
    { "{\"endpoint\":1,\"endpoint\":\"web_search\"}", "{}", SEARCH },
    { "{\"Endpoint\":\"web_search\"}", "{\"Endpoint\":\"web_search\"}",
      CHAT },
    { "{\"\\u0065ndp\\u006Fint\":\"web_search\"}", "{}", SEARCH },
    { "{\"endpoint\\u0000\":\"web_search\"}",
      "{\"endpoint\\u0000\":\"web_search\"}", CHAT },

    { "{\"user\":\"u\",\"metadata\":{\"a\":[1,{\"b\":\"]\"}]},"
      "\"x-request-id\":\"1\",\"request_id\":2}", "{}", CHAT },
    { "{\"user\":\"u\",\"user\":\"v\"}", "{}", CHAT },
    { "{\"us\\u0065r\":\"u\"}", "{}", CHAT },
    { "{\"a\":{\"user\":\"u\"},\"users\":1,\"use\":2}",
      "{\"a\":{\"user\":\"u\"},\"users\":1,\"use\":2}", CHAT },
    { "{\"user\":1,\"a\":2,\"metadata\":3,\"b\":4,\"request_id\":5}",
      "{\"a\":2,\"b\":4}", CHAT },
    { "{ \"a\" : 1 , \"user\" : 2 , \"b\" : 3 }", "{\"a\" : 1,\"b\" : 3}",
      CHAT },
    { "{\"user\"\n:\t\"\\\"\" , \"b\" :[ 1 , 2 ] }", "{\"b\" :[ 1 , 2 ]}",
      CHAT },

    { "{\"a\":1.50e+1,\"b\":\"\\u00e9\\/\",\"a\":-0,\"c\":true,\"d\":null}",
      "{\"a\":1.50e+1,\"b\":\"\\u00e9\\/\",\"a\":-0,\"c\":true,\"d\":null}",
      CHAT },
    { "{\"a\":\"\\\\\",\"user\":\"\\\\\\\"\",\"b\":\",\"}",
      "{\"a\":\"\\\\\",\"b\":\",\"}", CHAT },
    { "{\"a\":[\"{\",\"[\",\"\\\"]\"],\"user\":0}",
      "{\"a\":[\"{\",\"[\",\"\\\"]\"]}", CHAT },
    { "{\"a\":12345678901234567890123456789.0}",
      "{\"a\":12345678901234567890123456789.0}", CHAT },
    { "{\"\":\"\",\"user\":{}}", "{\"\":\"\"}", CHAT }
};


static const struct {
    const char           *in;
    tee_rc_t              rc;
} envelope_bad[] = {
    { "", TEE_MALFORMED },
    { " ", TEE_MALFORMED },
    { "{", TEE_MALFORMED },
    { "{\"a\"", TEE_MALFORMED },
    { "{\"a\":1", TEE_MALFORMED },
    { "{\"a\":1,}", TEE_MALFORMED },
    { "{\"a\" 1}", TEE_MALFORMED },
    { "{'a':1}", TEE_MALFORMED },
    { "{a:1}", TEE_MALFORMED },
    { "{\"a\":1}x", TEE_MALFORMED },
    { "{}{}", TEE_MALFORMED },
    { "{\"a\":NaN}", TEE_MALFORMED },
    { "{\"a\":01}", TEE_MALFORMED },
    { "{\"a\":1/**/}", TEE_MALFORMED },
    { "{\"a\":\"\n\"}", TEE_MALFORMED },
    { "{\"user\":1\f}", TEE_MALFORMED },
    { "{\v\"user\":1}", TEE_MALFORMED },
    { "{\"a\":\"\xff\"}", TEE_MALFORMED },
    { "{\"a\":\"\\ud800\"}", TEE_MALFORMED },
    { "\xef\xbb\xbf{}", TEE_MALFORMED },
    { "[]", TEE_UNSUPPORTED },
    { "[{\"endpoint\":\"web_search\"}]", TEE_UNSUPPORTED },
    { "\"{}\"", TEE_UNSUPPORTED },
    { "1", TEE_UNSUPPORTED },
    { "null", TEE_UNSUPPORTED }
};


static void
envelope_done(tee_str_t body)
{
    if (body.data) {
        unit_alloc.free(unit_alloc.ctx, (void *) (uintptr_t) body.data);
    }
}


static void
envelope_requests(void)
{
    size_t                    i, n;
    tee_rc_t                  rc;
    unsigned                  wrong;
    tee_str_t                 in, cut, body;
    tee_envelope_endpoint_t   endpoint;
    const envelope_case_t    *c;

    for (i = 0; i < sizeof(envelope_cases) / sizeof(envelope_cases[0]); i++) {
        c = &envelope_cases[i];
        in = unit_copy(c->in, strlen(c->in));

        rc = tee_envelope_request(in, &unit_alloc, &body, &endpoint);

        unit_ok(rc == TEE_OK && unit_is(body, c->out)
                && endpoint == c->endpoint, "%u, %s", (unsigned) i, c->out);
        envelope_done(body);

        wrong = 0;
        n = in.len;

        while (n && in.data[n - 1] != '}') {
            n--;
        }

        while (n--) {
            cut = unit_copy(in.data, n);
            rc = tee_envelope_request(cut, &unit_alloc, &body, &endpoint);
            wrong += rc != TEE_MALFORMED || body.data != NULL
                     || endpoint != OTHER;
            unit_free(cut);
        }

        unit_ok(wrong == 0, "%u, every prefix", (unsigned) i);
        unit_free(in);
    }

    for (i = 0; i < sizeof(envelope_bad) / sizeof(envelope_bad[0]); i++) {
        in = unit_copy(envelope_bad[i].in, strlen(envelope_bad[i].in));

        rc = tee_envelope_request(in, &unit_alloc, &body, &endpoint);

        unit_ok(rc == envelope_bad[i].rc && body.data == NULL
                && body.len == 0 && endpoint == OTHER, "bad request %u",
                (unsigned) i);
        unit_free(in);
    }
}


static void
envelope_limits(void)
{
    char                     *text;
    size_t                    i, n;
    tee_rc_t                  rc;
    tee_str_t                 in, body;
    tee_envelope_endpoint_t   endpoint;

    n = 300000;
    text = malloc(n + 16);

    if (text == NULL) {
        abort();
    }

    for (i = 0; i < 2; i++) {

        /* an object and arrays: as deep as it goes, and one more */

        n = TEE_JSON_MAX_DEPTH - 1 + i;
        memcpy(text, "{\"a\":", 5);
        memset(text + 5, '[', n);
        memset(text + 5 + n, ']', n);
        text[5 + 2 * n] = '}';

        in = unit_copy(text, 6 + 2 * n);
        rc = tee_envelope_request(in, &unit_alloc, &body, &endpoint);
        unit_ok(rc == (i ? TEE_LIMIT : TEE_OK), "%u deep", (unsigned) n + 1);
        envelope_done(body);
        unit_free(in);

        /* the object, the array, and numbers in it */

        n = 131072 - 2 + i;
        memcpy(text, "{\"a\":[", 6);
        memset(text + 6, ',', 2 * n - 1);

        while (n--) {
            text[6 + 2 * n] = '1';
        }

        n = 131072 - 2 + i;
        memcpy(text + 6 + 2 * n - 1, "]}", 2);

        in = unit_copy(text, 6 + 2 * n + 1);
        rc = tee_envelope_request(in, &unit_alloc, &body, &endpoint);
        unit_ok(rc == (i ? TEE_LIMIT : TEE_OK), "%u values", (unsigned) n);
        envelope_done(body);
        unit_free(in);
    }

    free(text);
}


#define COST  "\"opengradient\": {\"cost_opg\": \"123\"," \
              " \"cost_usd\": \"0.0012\", \"opg_price_usd\": \"1\"}"


static const struct {
    const char           *name;
    int                   event;
    const char           *in;
    tee_rc_t              rc;
} envelope_costs[] = {
    { "a response", 0, "{\"id\": 1, " COST "}", TEE_OK },
    { "no block", 0, "{\"id\": 1}", TEE_DONE },
    { "the word alone", 0, "{\"id\": \"opengradient\"}", TEE_DONE },
    { "an escaped name", 0, "{\"\\u006fpengr\\u0061dient\": {\"cost_opg\": "
      "\"123\", \"cost_usd\": \"0.0012\", \"opg_price_usd\": \"1\"}}",
      TEE_OK },
    { "not on top", 0, "{\"a\": {" COST "}}", TEE_DONE },
    { "an array", 0, "[{" COST "}]", TEE_DONE },
    { "twice", 0, "{" COST ", " COST "}", TEE_DONE },
    { "not JSON", 0, "{" COST, TEE_DONE },
    { "nothing", 0, "", TEE_DONE },
    { "a number", 0, "{\"opengradient\": {\"cost_opg\": 123, \"cost_usd\": "
      "\"0.0012\", \"opg_price_usd\": \"1\"}}", TEE_DONE },
    { "a sign", 0, "{\"opengradient\": {\"cost_opg\": \"-123\", "
      "\"cost_usd\": \"0.0012\", \"opg_price_usd\": \"1\"}}", TEE_DONE },
    { "a point in an integer", 0, "{\"opengradient\": {\"cost_opg\": "
      "\"12.3\", \"cost_usd\": \"0.0012\", \"opg_price_usd\": \"1\"}}",
      TEE_DONE },
    { "two points", 0, "{\"opengradient\": {\"cost_opg\": \"123\", "
      "\"cost_usd\": \"0.00.12\", \"opg_price_usd\": \"1\"}}", TEE_DONE },
    { "a point first", 0, "{\"opengradient\": {\"cost_opg\": \"123\", "
      "\"cost_usd\": \".12\", \"opg_price_usd\": \"1\"}}", TEE_DONE },
    { "a point last", 0, "{\"opengradient\": {\"cost_opg\": \"123\", "
      "\"cost_usd\": \"0.0012\", \"opg_price_usd\": \"1.\"}}", TEE_DONE },
    { "an exponent", 0, "{\"opengradient\": {\"cost_opg\": \"123\", "
      "\"cost_usd\": \"1e-3\", \"opg_price_usd\": \"1\"}}", TEE_DONE },
    { "CR LF", 0, "{\"opengradient\": {\"cost_opg\": \"123\\r\\n\", "
      "\"cost_usd\": \"1\", \"opg_price_usd\": \"1\"}}", TEE_DONE },
    { "an empty one", 0, "{\"opengradient\": {\"cost_opg\": \"\", "
      "\"cost_usd\": \"1\", \"opg_price_usd\": \"1\"}}", TEE_DONE },
    { "one missing", 0, "{\"opengradient\": {\"cost_opg\": \"1\", "
      "\"cost_usd\": \"1\"}}", TEE_DONE },
    { "null", 0, "{\"opengradient\": null}", TEE_DONE },

    { "an event", 1, "data: {" COST "}\n\n", TEE_OK },
    { "an event without a blank", 1, "data:{" COST "}\n\n", TEE_OK },
    { "an event with CR", 1, "data: {" COST "}\r\r", TEE_OK },
    { "an event with CR LF", 1, "\ndata: {" COST "}\r\n\r", TEE_OK },
    { "an event of two lines", 1, "data: {\"a\": [],\ndata: " COST "}\n\n",
      TEE_OK },
    { "an event of two lines, whose end is white space", 1,
      "data: {\"a\": 1\ndata: 2, " COST "}\n\n", TEE_DONE },
    { "a short line at the end", 1, "data: {" COST "}\nx", TEE_OK },
    { "an event with other lines", 1, ": c\nevent: e\nid: 1\ndata: {" COST
      "}\nretry: 1\n\n", TEE_OK },
    { "an event that is cut", 1, "data: {" COST "}", TEE_OK },
    { "an event of another name", 1, "date: {" COST "}\n\n", TEE_DONE },
    { "an event in a comment", 1, ":data: {" COST "}\n\n", TEE_DONE },
    { "two data in an event", 1, "data: {" COST "}\ndata: {" COST "}\n\n",
      TEE_DONE },
    { "an event without data", 1, "opengradient\n\n", TEE_DONE },
    { "a response for an event", 1, "{" COST "}", TEE_DONE },
    { "an event for a response", 0, "data: {" COST "}\n\n", TEE_DONE }
};


static void
envelope_costs_table(void)
{
    char                  text[512];
    size_t                i;
    unsigned              good;
    tee_rc_t              rc;
    tee_str_t             in;
    tee_envelope_cost_t   cost;

    for (i = 0; i < sizeof(envelope_costs) / sizeof(envelope_costs[0]); i++) {
        in = unit_copy(envelope_costs[i].in, strlen(envelope_costs[i].in));

        memset(&cost, 0xa5, sizeof(tee_envelope_cost_t));
        rc = tee_envelope_cost(in, envelope_costs[i].event, &unit_alloc,
                               &cost);

        good = rc == envelope_costs[i].rc;

        if (rc == TEE_OK) {
            good = good && cost.opg_len == 3 && cost.usd_len == 6
                   && cost.price_len == 1
                   && memcmp(cost.opg, "123", 3) == 0
                   && memcmp(cost.usd, "0.0012", 6) == 0
                   && cost.price[0] == '1';

        } else {
            good = good && cost.opg_len == 0 && cost.usd_len == 0
                   && cost.price_len == 0;
        }

        unit_ok(good, "cost, %s", envelope_costs[i].name);
        unit_free(in);
    }

    for (i = TEE_ENVELOPE_MAX_COST; i < TEE_ENVELOPE_MAX_COST + 2; i++) {
        (void) snprintf(text, sizeof(text), "{\"opengradient\":{\"cost_opg\":"
                        "\"%0*d\",\"cost_usd\":\"%0*d\","
                        "\"opg_price_usd\":\"%0*d\"}}", (int) i, 1, (int) i,
                        2, (int) i, 3);

        in = unit_copy(text, strlen(text));
        rc = tee_envelope_cost(in, 0, &unit_alloc, &cost);

        unit_ok(rc == (i > TEE_ENVELOPE_MAX_COST ? TEE_DONE : TEE_OK),
                "cost, %u digits", (unsigned) i);
        unit_free(in);
    }
}


static void
envelope_frames(void)
{
    char                 *json, text[512];
    size_t                n;
    uint8_t               frame[TEE_ENVELOPE_MAX_FRAME];
    tee_str_t             s;
    tee_envelope_cost_t   cost;

    memset(&cost, 0, sizeof(tee_envelope_cost_t));

    memcpy(cost.opg, "12345", 5);
    cost.opg_len = 5;
    memcpy(cost.usd, "0.1", 3);
    cost.usd_len = 3;
    memcpy(cost.price, "2.5", 3);
    cost.price_len = 3;

    s.len = tee_envelope_frame(&cost, frame);
    s.data = frame;

    memcpy(text, "\n--opengradient-ohttp-billing-v1--\n\0\0\0", 38);
    json = text + 39;
    (void) snprintf(json, 256, "{\"cost_opg\":\"12345\",\"cost_usd\":\"0.1\","
                    "\"opg_price_usd\":\"2.5\"}");
    n = strlen(json);
    text[38] = (char) n;

    unit_ok(unit_equal(s, text, 39 + n), "a frame");

    memset(&cost, '9', sizeof(tee_envelope_cost_t));
    cost.opg_len = TEE_ENVELOPE_MAX_COST;
    cost.usd_len = TEE_ENVELOPE_MAX_COST;
    cost.price_len = TEE_ENVELOPE_MAX_COST;

    s.len = tee_envelope_frame(&cost, frame);

    unit_ok(s.len == 39 + 48 + 3 * TEE_ENVELOPE_MAX_COST
            && frame[37] == (s.len - 39) >> 8
            && frame[38] == ((s.len - 39) & 0xff)
            && frame[s.len - 1] == '}', "the longest frame");
}


static tee_rc_t
envelope_oom_request(void *ctx)
{
    tee_rc_t                  rc;
    tee_str_t                *in = ctx, body;
    tee_envelope_endpoint_t   endpoint;

    rc = tee_envelope_request(*in, &unit_alloc, &body, &endpoint);
    envelope_done(body);

    return rc;
}


static tee_rc_t
envelope_oom_cost(void *ctx)
{
    tee_str_t            *in = ctx;
    tee_envelope_cost_t   cost;

    return tee_envelope_cost(*in, 1, &unit_alloc, &cost);
}


int
main(void)
{
    tee_str_t  in;

    unit_memory_reset(0);

    envelope_requests();
    envelope_limits();
    envelope_costs_table();
    envelope_frames();

    unit_ok(unit_memory.live == 0, "no leak");

    in = unit_text("{\"m\\u006fdel\":[1,{\"a\":\"\\n\"}],\"us\\u0065r\":1}");
    unit_oom(envelope_oom_request, &in, TEE_OK, "a request");

    in = unit_text("data: {\"\\u006fd\": \"\\n\", " COST "}\n\n");
    unit_oom(envelope_oom_cost, &in, TEE_OK, "a cost");

    return unit_done();
}
