
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <string.h>

#include <tee_signed_events.h>
#include <tee_signed_stream.h>
#include <tee_signed_write.h>

#include "sample.h"
#include "unit.h"


#define MAX   4000

#define ZERO31                                                                \
    "00000000000000000000000000000000000000000000000000000000000000"

#define SIG                                                                   \
    ", \"tee_signature\": \"c2ln\", \"tee_timestamp\": 9, "                   \
    "\"tee_request_hash\": \"01" ZERO31 "\", "                                \
    "\"tee_output_hash\": \"02" ZERO31 "\", \"tee_id\": \"0x03" ZERO31 "\"}"

/* Events: a text, a piece of a call, the last one, the same signed. */

#define TEXT(content)                                                         \
    "data: {\"choices\":[{\"delta\":{\"content\":" content "}}]}\n\n"
#define CALL(fragment)                                                        \
    "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{" fragment "}]}}]}\n\n"
#define LAST(reason)                                                          \
    "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"" reason "\"}]"

#define STOP     LAST("stop") "}\n\n"
#define STOPPED  LAST("stop") SIG "\n\n"
#define USAGE    "data: {\"choices\":[],\"usage\":{\"a\":1}}\n\n"
#define DONE     "data: [DONE]\n\n"

#define OWN(reason)                                                           \
    "data: {\"choices\": [{\"delta\": {}, \"index\": 0, \"finish_reason\": "  \
    reason "}]" SIG "\n\n"


typedef struct {
    const char           *name;
    const char           *in;
    const char           *out;                 /* or what is left of it */
    const char           *says;                /* NULL: never signed */
    tee_rc_t              rc;
} events_case_t;


typedef struct {
    tee_write_t           out;                 /* what has gone on */
    tee_write_t           rest;
    uint8_t               output[32];
    unsigned              hashed:1;
    unsigned              error:1;
    unsigned              broken:1;            /* a promise */
} events_run_t;


static tee_sig_key_t  *events_key;


static void
events_fake(tee_signed_t *s)
{
    memset(s, 0, sizeof(tee_signed_t));

    s->request_hash[0] = 1;
    s->output_hash[0] = 2;
    s->tee_id[0] = 3;
    s->timestamp[31] = 9;
    s->signature_len = 3;
    memcpy(s->signature, "sig", 3);
}


/* Signs with a real key if there is a request. */

static tee_rc_t
events_sign(tee_signed_events_t *e, events_run_t *run, const uint8_t *request)
{
    uint8_t       id[32];
    tee_rc_t      rc;
    tee_str_t     out;
    tee_signed_t  s;

    tee_signed_events_output(e, run->output);
    run->hashed = 1;

    events_fake(&s);

    if (request) {
        tee_keccak256(tee_sig_key_public(events_key), id);

        rc = tee_signed_make(&s, request, run->output, 1700000000, id,
                             events_key);

        if (rc != TEE_OK) {
            return rc;
        }
    }

    rc = tee_signed_events_sign(e, &s, &out);

    tee_write_bytes(&run->out, out.data, out.len);

    return rc;
}


/* All of it, in pieces of "step" bytes, or of any length. */

static tee_rc_t
events_run(tee_str_t in, size_t step, size_t max, const uint8_t *request,
    events_run_t *run)
{
    size_t               n;
    tee_rc_t             rc;
    tee_str_t            piece, left, out;
    tee_signed_events_t  e;

    memset(run, 0, sizeof(events_run_t));

    tee_write_grow(&run->out, &unit_alloc);
    tee_write_grow(&run->rest, &unit_alloc);

    tee_signed_events_init(&e, max, &unit_alloc);

    rc = TEE_OK;

    while (rc == TEE_OK && in.len) {
        n = step ? step : unit_rand() % 100 + 1;
        piece = unit_copy(in.data, in.len < n ? in.len : n);
        left = piece;

        while (rc == TEE_OK && left.len) {
            rc = tee_signed_events_read(&e, &left, &out);
            tee_write_bytes(&run->out, out.data, out.len);

            if (rc == TEE_DONE) {

                /* nothing is taken before there is a signature */

                n = left.len;
                run->broken |= tee_signed_events_read(&e, &left, &out)
                               != TEE_DONE || left.len != n || out.len;

                rc = events_sign(&e, run, request);
            }
        }

        in.data += piece.len - left.len;
        in.len -= piece.len - left.len;

        unit_free(piece);
    }

    if (rc == TEE_OK) {
        rc = tee_signed_events_end(&e);

        if (rc == TEE_DONE) {
            rc = events_sign(&e, run, request);

            run->broken |= rc == TEE_OK && tee_signed_events_end(&e) != TEE_OK;
        }

    } else {
        n = in.len;
        run->broken |= tee_signed_events_read(&e, &in, &out) != rc
                       || in.len != n || out.len
                       || tee_signed_events_end(&e) != rc;
    }

    run->error = e.error;

    tee_signed_events_rest(&e, &out);
    tee_write_bytes(&run->rest, out.data, out.len);
    tee_write_bytes(&run->rest, in.data, in.len);

    tee_signed_events_free(&e);

    return rc;
}


static void
events_free(events_run_t *run)
{
    tee_write_free(&run->out);
    tee_write_free(&run->rest);
}


static int
events_is(const tee_write_t *w, const char *text)
{
    tee_str_t  s;

    s.len = w->len;
    s.data = w->data;

    return unit_is(s, text);
}


static void
events_cases(const events_case_t *cases, size_t n)
{
    size_t         i, step, bad;
    uint8_t        want[32];
    tee_rc_t       rc;
    tee_str_t      in, says;
    events_run_t   run;

    for (i = 0; i < n; i++) {
        in = unit_text(cases[i].in);
        says = unit_text(cases[i].says ? cases[i].says : "");
        tee_keccak256(says, want);

        bad = 0;

        unit_memory_reset(0);

        for (step = 1; step <= in.len + 1; step += 1 + step / 8) {
            rc = events_run(in, step, MAX, NULL, &run);

            /* what cannot be signed may still go on, and nothing is lost */

            if (rc != TEE_OK || run.error) {
                tee_write_bytes(&run.out, run.rest.data, run.rest.len);
                tee_write_reset(&run.rest);
            }

            bad += rc != cases[i].rc || run.broken || run.rest.len
                   || !events_is(&run.out, cases[i].out)
                   || run.hashed != (cases[i].says != NULL)
                   || (run.hashed && memcmp(run.output, want, 32) != 0);

            events_free(&run);
        }

        unit_ok(bad == 0 && unit_memory.live == 0, "%s", cases[i].name);
    }
}


static void
events_signed(void)
{
    static const events_case_t  cases[] = {
        { "a text", TEXT("\"a\"") TEXT("\"b\"") STOP DONE,
          TEXT("\"a\"") TEXT("\"b\"") STOPPED DONE, "ab", TEE_OK },
        { "only [DONE]", DONE, OWN("null") DONE, "", TEE_OK },
        { "no finish_reason", TEXT("\"a\"") DONE,
          TEXT("\"a\"") OWN("null") DONE, "a", TEE_OK },
        { "no [DONE]", TEXT("\"a\"") STOP, TEXT("\"a\"") STOPPED, "a",
          TEE_OK },
        { "usage overtakes what is held", STOP USAGE ": x\n\n" DONE,
          USAGE ": x\n\n" STOPPED DONE, "", TEE_OK },
        { "usage, and the end", STOP USAGE, USAGE STOPPED, "", TEE_OK },
        { "a text in the last one", "data: {\"choices\":[{\"delta\":"
          "{\"content\":\"a\"},\"finish_reason\":\"length\",\"index\":0}] } "
          "\nid: {}\n\n" DONE, "data: {\"choices\":[{\"delta\":"
          "{\"content\":\"a\"},\"finish_reason\":\"length\",\"index\":0}] "
          SIG " \nid: {}\n\n" DONE, "a", TEE_OK },
        { "what was not the last", STOP TEXT("\"\"") DONE,
          STOP TEXT("\"\"") OWN("null") DONE, "", TEE_OK },
        { "lines that end in different ways",
          "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\rdata: \n\n"
          STOP DONE,
          "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n"
          STOPPED DONE, "a", TEE_OK },
        { "an event of a type, without a choice",
          TEXT("\"a\"") "event: ping\ndata: {}\n\n" STOP DONE,
          TEXT("\"a\"") "event: ping\ndata: {}\n\n" STOPPED DONE, "a",
          TEE_OK },
        { "an event that says it is a message",
          "event: message\n" TEXT("\"a\"") STOP DONE,
          "event: message\n" TEXT("\"a\"") STOPPED DONE, "a", TEE_OK },
        { "two that may be the last", TEXT("\"a\"") STOP LAST("length")
          ",\"x\":{}}\n\n" USAGE DONE, TEXT("\"a\"") STOP USAGE LAST("length")
          ",\"x\":{}" SIG "\n\n" DONE, "a", TEE_OK },
        { "three that may be the last", STOP STOP STOP DONE,
          STOP STOP STOPPED DONE, "", TEE_OK },
        { "behind [DONE]", STOP DONE "data: {x\n\ndata: {\"tee_id\":1}\n\n:",
          STOPPED DONE "data: {x\n\ndata: {\"tee_id\":1}\n\n:", "", TEE_OK },
        { "two [DONE]", STOP DONE DONE, STOPPED DONE DONE, "", TEE_OK },
        { "a [DONE] that is cut", STOP "data: [DONE]",
          STOPPED "data: [DONE]", "", TEE_OK },
        { "a last one without a blank line", TEXT("\"a\"") LAST("stop") "}",
          TEXT("\"a\"") STOPPED, "a", TEE_OK },
        { "with one line end", LAST("stop") "}\n", LAST("stop") SIG "\n\n\n",
          "", TEE_OK },
        { "usage without a blank line", STOP "data: {\"usage\":{}}",
          STOPPED "data: {\"usage\":{}}", "", TEE_OK },
        { "a comment at the end", STOP ": x", STOPPED ": x", "", TEE_OK },

        { "CR LF", LAST("stop") "}\r\n\r\n: x\r\n\r\ndata: [DONE]\r\n\r\n",
          "\n: x\r\n\r" LAST("stop") SIG "\r\n\r\ndata: [DONE]\r\n\r\n", "",
          TEE_OK },
        { "CR LF, and an event of our own", ": x\r\n\r\ndata: [DONE]\r\n\r\n",
          ": x\r\n\r\n" OWN("null") "data: [DONE]\r\n\r\n", "", TEE_OK },
        { "CR", "data: {\"a\":1}\r\r" LAST("stop") "}\r\rdata: [DONE]\r\r",
          "data: {\"a\":1}\r\r" LAST("stop") SIG "\r\rdata: [DONE]\r\r", "",
          TEE_OK },

        { "a call", CALL("\"id\":\"c\",\"function\":{\"name\":\"f\","
                         "\"arguments\":\"{}\"}") LAST("tool_calls") "}\n\n"
          DONE, CALL("\"id\":\"c\",\"function\":{\"name\":\"f\","
                     "\"arguments\":\"{}\"}") LAST("tool_calls") SIG "\n\n"
          DONE, "[{\"function\": {\"arguments\": \"{}\", \"name\": \"f\"}, "
          "\"id\": \"c\", \"type\": \"function\"}]", TEE_OK },
        { "a call that ends otherwise", CALL("\"id\":\"c\"") STOP DONE,
          CALL("\"id\":\"c\"") STOPPED DONE, "", TEE_OK },
        { "no call, but it ends with one", TEXT("\"a\"") LAST("tool_calls")
          "}\n\n" DONE, TEXT("\"a\"") LAST("tool_calls") SIG "\n\n" DONE,
          "a", TEE_OK },
        { "a call without an id", CALL("\"index\":2") LAST("tool_calls")
          "}\n\n" DONE, CALL("\"index\":2") LAST("tool_calls") SIG "\n\n" DONE,
          "[{\"function\": {\"arguments\": \"\", \"name\": \"\"}, "
          "\"id\": \"\", \"type\": \"function\"}]", TEE_OK },
        { "a call whose end was not the last", CALL("\"id\":\"c\"")
          LAST("tool_calls") "}\n\n" TEXT("\"\"") DONE, CALL("\"id\":\"c\"")
          LAST("tool_calls") "}\n\n" TEXT("\"\"") OWN("\"tool_calls\"") DONE,
          "[{\"function\": {\"arguments\": \"\", \"name\": \"\"}, "
          "\"id\": \"c\", \"type\": \"function\"}]", TEE_OK },
        { "no call whose end was not the last", LAST("tool_calls") "}\n\n"
          TEXT("\"\"") DONE, LAST("tool_calls") "}\n\n" TEXT("\"\"")
          OWN("null") DONE, "", TEE_OK }
    };

    events_cases(cases, sizeof(cases) / sizeof(cases[0]));
}


/* What is changed, and what is not. */

static void
events_changed(void)
{
    static const events_case_t  cases[] = {
        { "all that is no choice", ": x\n\n\n\nid: 1\nevent: ping\n\ndata\n\n"
          "data:\n\ndata: \n\ndata: 5\n\ndata: null\n\ndata: \"tee_\"\n\n"
          "data: [{\"tee_\":1}]\n\ndata: { \"a\" : 1.50 } \n\n"
          "data: {\"error\":null,\"choices\":null}\n\n" DONE,
          ": x\n\n\n\nid: 1\nevent: ping\n\ndata\n\n"
          "data:\n\ndata: \n\ndata: 5\n\ndata: null\n\ndata: \"tee_\"\n\n"
          "data: [{\"tee_\":1}]\n\ndata: { \"a\" : 1.50 } \n\n"
          "data: {\"error\":null,\"choices\":null}\n\n" OWN("null") DONE,
          "", TEE_OK },
        { "members of a signature", "data: {\"tee_id\":1,\"a\":{\"tee_id\":2},"
          "\"te\\u0065_x\":\"}\"}\n\n" "data: {\"tee_signature\":\"x\"}\n\n"
          "data: {\"choices\":[{\"finish_reason\":\"stop\"}] , \"tee_id\":0 }"
          "\n\n" DONE,
          "data: {\"a\":{\"tee_id\":2}}\n\n" "data: {}\n\n"
          "data: {\"choices\":[{\"finish_reason\":\"stop\"}] " SIG "\n\n" DONE,
          "", TEE_OK },
        { "members of a signature, all there is, in the last one",
          "data: {\"tee_id\":1,\"choices\":[{\"finish_reason\":1}]}\n\n" DONE,
          "data: {\"choices\":[{\"finish_reason\":1}]" SIG "\n\n" DONE, "",
          TEE_OK },
        { "what ends a line for some",
          TEXT("\"a\xc2\x85\xe2\x80\xa8\xe2\x80\xa9\xe2\x80\xaa\xc2\x84\"")
          DONE, TEXT("\"a\\u0085\\u2028\\u2029\xe2\x80\xaa\xc2\x84\"")
          OWN("null") DONE,
          "a\xc2\x85\xe2\x80\xa8\xe2\x80\xa9\xe2\x80\xaa\xc2\x84", TEE_OK },
        { "at the end of a name", "data: {\"\xe2\x80\xa8\":1,"
          "\"choices\":[{\"finish_reason\":1}]}\n\n" DONE,
          "data: {\"\\u2028\":1,\"choices\":[{\"finish_reason\":1}]" SIG
          "\n\n" DONE, "", TEE_OK },
        { "several lines", "id: 1\ndata: {\"choices\":\ndata:\n: x\r\n"
          "data: [{\"delta\":{\"content\":\"a\"}}]\ndata: }\nid: 2\n\n" DONE,
          "id: 1\ndata: {\"choices\":  [{\"delta\":{\"content\":\"a\"}}] }\n"
          ": x\nid: 2\n\n" OWN("null") DONE, "a", TEE_OK },
        { "several lines, and another one that ends in another way",
          "data:\rx:\rdata:1\n\ndata:2\n\n" DONE,
          "data:  1\nx:\n\ndata: 2\n\n" OWN("null") DONE, "", TEE_OK },
        { "several lines with blanks", "data: {\"a\":\ndata: 1}\n\n" DONE,
          "data: {\"a\": 1}\n\n" OWN("null") DONE, "", TEE_OK },
        { "several lines, the last one", "data: {\"choices\":\n"
          "data: [{\"finish_reason\":\"x\"}]\r\ndata:}\r\ndata:\n\n" DONE,
          "data: {\"choices\": [{\"finish_reason\":\"x\"}] " SIG "\n\n" DONE,
          "", TEE_OK },
        { "no blank", "data:{\"choices\":[{\"delta\":{\"content\":\"a\"},"
          "\"finish_reason\":\"stop\"}]}\n\ndata:[DONE]\n\n",
          "data: {\"choices\":[{\"delta\":{\"content\":\"a\"},"
          "\"finish_reason\":\"stop\"}]" SIG "\n\ndata: [DONE]\n\n", "a",
          TEE_OK },
        { "two blanks", "data:  {\"a\":1}\n\n" DONE,
          "data:  {\"a\":1}\n\n" OWN("null") DONE, "", TEE_OK },
        { "numbers that are none", "data: {\"a\":NaN,\"tee_\":Infinity}\n\n"
          DONE, "data: {\"a\":NaN}\n\n" OWN("null") DONE, "", TEE_OK }
    };

    events_cases(cases, sizeof(cases) / sizeof(cases[0]));
}


static void
events_unsigned(void)
{
    static const events_case_t  cases[] = {
        { "an error", TEXT("\"a\"") "data: {\"error\":{}}\n\n" STOP DONE,
          TEXT("\"a\"") "data: {\"error\":{}}\n\n" STOP DONE, NULL, TEE_OK },
        { "an error behind the last one", STOP "data: {\"error\":\"x\"}\n\n"
          DONE, STOP "data: {\"error\":\"x\"}\n\n" DONE, NULL, TEE_OK },
        { "an error, and the end", STOP "data: {\"error\":1}\n",
          STOP "data: {\"error\":1}\n", NULL, TEE_OK },
        { "an error that is signed", "data: {\"error\":1,\"tee_id\":2}\n\n",
          "data: {\"error\":1}\n\n", NULL, TEE_OK },

        { "nothing", "", "", NULL, TEE_INCOMPLETE },
        { "no end", TEXT("\"a\""), TEXT("\"a\""), NULL, TEE_INCOMPLETE },
        { "cut within an event", STOP "data: {\"a", STOP "data: {\"a", NULL,
          TEE_INCOMPLETE },
        { "cut behind what was not the last", STOP TEXT("\"\""),
          STOP TEXT("\"\""), NULL, TEE_INCOMPLETE },
        { "text behind the end", STOP TEXT("\"a\"") DONE,
          STOP TEXT("\"a\"") DONE, NULL, TEE_UNSUPPORTED },
        { "a choice in an event of a type", "event: x\n" TEXT("\"a\"") DONE,
          "event: x\n" TEXT("\"a\"") DONE, NULL, TEE_UNSUPPORTED },
        { "[DONE] of a type", STOP "event: x\n" DONE, STOP "event: x\n" DONE,
          NULL, TEE_UNSUPPORTED },
        { "a member twice", "data: {\"choices\":[],\"choices\":[]}\n\n" DONE,
          "data: {\"choices\":[],\"choices\":[]}\n\n" DONE, NULL,
          TEE_UNSUPPORTED },
        { "a name in another case", "data: {\"Choices\":[]}\n\n" DONE,
          "data: {\"Choices\":[]}\n\n" DONE, NULL, TEE_UNSUPPORTED },
        { "a name with a long s", "data: {\"choice\\u017f\":[]}\n\n" DONE,
          "data: {\"choice\\u017f\":[]}\n\n" DONE, NULL, TEE_UNSUPPORTED },
        { "cut in what shows that", STOP "data: {\"choices\":[{}]}",
          STOP "data: {\"choices\":[{}]}", NULL, TEE_INCOMPLETE },
        { "cut in another last one", STOP LAST("stop") "}",
          STOP LAST("stop") "}", NULL, TEE_INCOMPLETE },

        { "no JSON", TEXT("\"a\"") "data: x\n\n" STOP DONE,
          TEXT("\"a\"") "data: x\n\n" STOP DONE, NULL, TEE_MALFORMED },
        { "no JSON behind the last one", STOP "data: x\n\n" DONE,
          STOP "data: x\n\n" DONE, NULL, TEE_MALFORMED },
        { "two values", "data: {}\ndata: {}\n\n" DONE,
          "data: {}\ndata: {}\n\n" DONE, NULL, TEE_MALFORMED },
        { "several choices", "data: {\"choices\":[{},{}]}\n\n" DONE,
          "data: {\"choices\":[{},{}]}\n\n" DONE, NULL, TEE_UNSUPPORTED },
        { "another choice", "data: {\"choices\":[{\"index\":1}]}\n\n" DONE,
          "data: {\"choices\":[{\"index\":1}]}\n\n" DONE, NULL,
          TEE_UNSUPPORTED },
        { "a choice that is none", "data: {\"choices\":[0]}\n\n",
          "data: {\"choices\":[0]}\n\n", NULL, TEE_UNSUPPORTED },
        { "a message", "data: {\"choices\":[{\"message\":{\"content\":\"a\"}"
          "}]}\n\n", "data: {\"choices\":[{\"message\":{\"content\":\"a\"}}]}"
          "\n\n", NULL, TEE_UNSUPPORTED },
        { "a text of completions", "data: {\"choices\":[{\"text\":\"a\"}]}\n\n",
          "data: {\"choices\":[{\"text\":\"a\"}]}\n\n", NULL,
          TEE_UNSUPPORTED },
        { "a number", TEXT("5") STOP, TEXT("5") STOP, NULL, TEE_UNSUPPORTED },
        { "half of a pair", TEXT("\"\\ud83d\"") STOP,
          TEXT("\"\\ud83d\"") STOP, NULL, TEE_UNSUPPORTED },
        { "a call that is none", CALL("\"index\":-1"), CALL("\"index\":-1"),
          NULL, TEE_UNSUPPORTED },
        { "a byte order mark", "\xef\xbb\xbf" STOP, "\xef\xbb\xbf" STOP, NULL,
          TEE_UNSUPPORTED },
        { "a comment with a line separator", ": \xe2\x80\xa8 \n\n" STOP,
          ": \xe2\x80\xa8 \n\n" STOP, NULL, TEE_UNSUPPORTED },
        { "a field with a form feed", "id: \f\n" STOP, "id: \f\n" STOP, NULL,
          TEE_UNSUPPORTED }
    };

    events_cases(cases, sizeof(cases) / sizeof(cases[0]));
}


static void
events_limits(void)
{
    size_t         i, max;
    tee_str_t      in;
    tee_write_t    w;
    events_run_t   run;

    in = unit_text(TEXT("\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"") STOP USAGE
                   DONE);
    max = sizeof(TEXT("\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"")) - 1;

    unit_ok(events_run(in, 7, max, NULL, &run) == TEE_OK,
            "an event as long as allowed");
    events_free(&run);

    unit_ok(events_run(in, 7, max - 1, NULL, &run) == TEE_LIMIT
            && run.out.len == 0 && run.rest.len == in.len
            && memcmp(run.rest.data, in.data, in.len) == 0, "a byte more");
    events_free(&run);

    unit_ok(events_run(in, in.len, max - 1, NULL, &run) == TEE_LIMIT
            && run.out.len == 0 && run.rest.len == in.len, "in one piece");
    events_free(&run);

    tee_write_grow(&w, &unit_alloc);

    for (i = 0; i < 200; i++) {
        tee_write_text(&w, CALL("\"function\":{\"arguments\":\""
                                "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"}"));
    }

    in.len = w.len;
    in.data = w.data;

    unit_ok(events_run(in, 1000, 6400, NULL, &run) == TEE_INCOMPLETE,
            "arguments as long as allowed");
    events_free(&run);
    unit_ok(events_run(in, 1000, 6399, NULL, &run) == TEE_LIMIT
            && run.out.len + run.rest.len == in.len, "a byte more");
    events_free(&run);

    tee_write_free(&w);
}


/* What tee_signed_events has written, tee_signed_stream reads. */

static tee_rc_t
events_verify(tee_str_t in, const uint8_t request[32])
{
    size_t               n;
    uint8_t              output[32];
    tee_rc_t             rc;
    tee_str_t            piece;
    tee_signed_check_t   failed;
    tee_signed_stream_t  s;

    tee_signed_stream_init(&s, MAX, 1, &unit_alloc);

    rc = TEE_OK;

    while (rc == TEE_OK && in.len) {
        n = unit_rand() % 200 + 1;
        piece = unit_copy(in.data, in.len < n ? in.len : n);

        in.len -= piece.len;
        in.data += piece.len;

        rc = tee_signed_stream_read(&s, piece);
        unit_free(piece);
    }

    if (rc == TEE_OK) {
        rc = tee_signed_stream_end(&s, output);
    }

    if (rc == TEE_OK) {
        rc = sample_verify(&s.last, request, output,
                           tee_sig_key_public(events_key), NULL, &failed);
    }

    tee_signed_stream_free(&s);

    return rc;
}


static tee_rc_t
events_round(void *ctx)
{
    uint8_t        request[32];
    tee_rc_t       rc;
    tee_str_t      out;
    events_run_t   run;

    memset(request, 5, 32);

    rc = events_run(*(tee_str_t *) ctx, 0, MAX, request, &run);

    if (rc == TEE_OK) {
        rc = tee_write_rc(&run.out);
    }

    if (rc == TEE_OK) {
        out.len = run.out.len;
        out.data = run.out.data;

        rc = events_verify(out, request);
    }

    events_free(&run);

    return rc;
}


static void
events_rounds(void)
{
    size_t         i, k, bad;
    uint8_t        request[32], other;
    tee_str_t      in, out;
    events_run_t   run;

    static const char *const  cases[] = {
        TEXT("\"h\xc3\xa9llo \\ud83d\\ude00\"") TEXT("\"\xe2\x80\xa8\"") STOP
            USAGE DONE,
        "data:{\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\r\n\r\n"
            "data:[DONE]\r\n\r\n",
        CALL("\"id\":\"c\",\"function\":{\"arguments\":\"{\"}")
            CALL("\"function\":{\"arguments\":\"}\"}") LAST("tool_calls")
            ",\"tee_id\":1}\n\n: ping\n\n" DONE,
        CALL("\"index\":3") LAST("tool_calls") "}\n\n" TEXT("null") DONE,
        TEXT("[{\"text\":\"a\"},\"b\"]") LAST("stop") "}",
        DONE
    };

    bad = 0;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        in = unit_text(cases[i]);

        for (k = 0; k < 20; k++) {
            bad += events_round(&in) != TEE_OK;
        }
    }

    unit_ok(bad == 0, "what has been signed is verified");

    unit_oom(events_round, &in, TEE_OK, "a short stream");

    in = unit_text(TEXT("\"\xc2\x85\"") "data: {\"tee_id\":1}\n\n" STOP USAGE
                   DONE);
    unit_oom(events_round, &in, TEE_OK, "a stream");

    /* nothing of it can be changed, but white space */

    memset(request, 5, 32);

    in = unit_text(TEXT("\"ab\"") STOP);
    (void) events_run(in, 0, MAX, request, &run);

    bad = 0;

    for (i = 0; i < run.out.len; i++) {
        out = unit_copy(run.out.data, run.out.len);
        other = (uint8_t) (run.out.data[i] ^ 0x15);

        ((uint8_t *) (uintptr_t) out.data)[i] = other;

        /* only what is not signed: names, "finish_reason" */

        if (events_verify(out, request) == TEE_OK) {
            bad++;
        }

        unit_free(out);
    }

    unit_ok(bad > 10 && bad < 80, "%u of %u changes are not seen",
            (unsigned) bad, (unsigned) run.out.len);

    for (i = 0, bad = 0; i < run.out.len - 2; i++) {
        out = unit_copy(run.out.data, i);
        bad += events_verify(out, request) == TEE_OK;
        unit_free(out);
    }

    unit_ok(bad == 0, "no prefix is verified");

    request[0]++;
    out.len = run.out.len;
    out.data = run.out.data;
    unit_ok(events_verify(out, request) == TEE_CRYPTO, "another request");

    events_free(&run);
}


/* Where no memory is left, nothing is lost that has not gone on. */

static void
events_kept(void)
{
    size_t         n, bad;
    tee_rc_t       rc;
    tee_str_t      in;
    events_run_t   run;

    in = unit_text(TEXT("\"a\"") STOP USAGE
                   "data:\"\xe2\x80\xa8\xe2\x80\xa8\xe2\x80\xa8\"\n\n" DONE);
    bad = 0;

    for (n = 1; /* void */ ; n++) {
        tee_signed_events_t  e;
        tee_str_t            left, out;
        size_t               gone;

        memset(&run, 0, sizeof(run));
        unit_memory_reset(n);

        tee_signed_events_init(&e, MAX, &unit_alloc);

        left = in;
        gone = 0;

        do {
            rc = tee_signed_events_read(&e, &left, &out);
            gone += out.len;
        } while (rc == TEE_OK && left.len);

        if (rc == TEE_NOMEM) {
            tee_signed_events_rest(&e, &out);

            /* one event may have become longer, by a blank and 9 bytes */

            bad += gone + out.len + left.len != in.len
                   && gone + out.len + left.len != in.len + 10;
        }

        tee_signed_events_free(&e);
        bad += unit_memory.live != 0;

        if (unit_memory.calls < n) {
            break;
        }
    }

    unit_ok(bad == 0 && rc == TEE_DONE && n > 10,
            "nothing is lost without memory, in %u cases", (unsigned) n);
}


/* Nothing of what was said is left in memory that was given back. */

static void
events_wiped(void)
{
    tee_str_t  in;

    in = unit_text(TEXT("\"secret \\u00e9\"") "data: {\"choices\":[{\"delta\":"
                   "{\"content\":\"secret \xe2\x80\xa8\"}}],\"tee_\":1}\n\n"
                   CALL("\"id\":\"secret \\n\",\"function\":"
                        "{\"arguments\":\"secret \"}")
                   CALL("\"function\":{\"name\":\"secret \","
                        "\"arguments\":\"secret \"}")
                   LAST("tool_calls") ",\"x\":\"secret \"}\n\n" USAGE DONE);

    unit_memory_reset(0);
    unit_watch("secret ");
    unit_ok(events_round(&in) == TEE_OK && unit_unwiped == 0,
            "nothing is left in memory");

    in.len -= 20;
    (void) !events_round(&in);
    unit_ok(unit_unwiped == 0, "nor of what is cut");
    unit_watch(NULL);
}


int
main(void)
{
    events_key = sample_key();

    events_signed();
    events_changed();
    events_unsigned();
    events_limits();
    events_rounds();
    events_kept();
    events_wiped();

    tee_sig_key_free(events_key);

    return unit_done();
}
