
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <string.h>

#include <tee_keccak.h>
#include <tee_signed_stream.h>

#include "unit.h"


#define MAX   4000

#define ZEROS                                                                 \
    "0000000000000000000000000000000000000000000000000000000000000000"

/* An event with a content, with a piece of a call, with the signature. */

#define TEXT(content)                                                         \
    "data: {\"choices\":[{\"delta\":{\"content\":" content "}}]}\n\n"

#define CALL(fragment)                                                        \
    "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{" fragment "}]}}]}\n\n"

#define MEMBERS(hash)                                                         \
    "\"tee_timestamp\":1,\"tee_request_hash\":\"" ZEROS "\","                 \
    "\"tee_output_hash\":\"" hash "\",\"tee_id\":\"" ZEROS "\","              \
    "\"tee_signature\":\"AAAA\""

#define SIGNED(reason)                                                        \
    "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"" reason "\"}],"   \
    MEMBERS(ZEROS) "}\n\n"

#define STOP   SIGNED("stop")
#define CALLS  SIGNED("tool_calls")
#define DONE   "data: [DONE]\n\n"


typedef struct {
    const char           *name;
    const char           *in;
    const char           *out;                 /* what is signed */
    tee_rc_t              rc;
} stream_case_t;


static tee_rc_t
stream_run(tee_str_t in, size_t step, size_t max, uint8_t output[32])
{
    tee_rc_t             rc;
    tee_str_t            piece;
    tee_signed_stream_t  s;

    tee_signed_stream_init(&s, max, 0, &unit_alloc);

    rc = TEE_OK;

    while (rc == TEE_OK && in.len) {
        piece = unit_copy(in.data, in.len < step ? in.len : step);

        in.len -= piece.len;
        in.data += piece.len;

        rc = tee_signed_stream_read(&s, piece);

        unit_free(piece);
    }

    if (rc == TEE_OK) {
        rc = tee_signed_stream_end(&s, output);

    } else if (tee_signed_stream_end(&s, output) != rc) {

        /* it has to be the same for good */

        rc = TEE_DONE;
    }

    tee_signed_stream_free(&s);

    return rc;
}


static void
stream_cases(const stream_case_t *cases, size_t n)
{
    size_t     i, step, bad;
    uint8_t    output[32], want[32];
    tee_rc_t   rc;
    tee_str_t  in, out;

    for (i = 0; i < n; i++) {
        in = unit_text(cases[i].in);
        out = unit_text(cases[i].out);

        memset(want, 0, 32);

        if (cases[i].rc == TEE_OK) {
            tee_keccak256(out, want);
        }

        bad = 0;

        unit_memory_reset(0);

        for (step = 1; step <= in.len + 1; step += 1 + step / 8) {
            rc = stream_run(in, step, MAX, output);
            bad += rc != cases[i].rc || memcmp(output, want, 32) != 0;
        }

        unit_ok(bad == 0 && unit_memory.live == 0, "%s", cases[i].name);
    }
}


static void
stream_verified(void)
{
    static const stream_case_t  cases[] = {
        { "a text", TEXT("\"Hello \"") TEXT("\"world\"") STOP DONE,
          "Hello world", TEE_OK },
        { "no text", STOP, "", TEE_OK },
        { "no blank line behind the last event",
          TEXT("\"a\"") "data: {" MEMBERS(ZEROS) "}", "a", TEE_OK },
        { "an event that is cut", TEXT("\"a\"") "data: {" MEMBERS(ZEROS), "",
          TEE_INCOMPLETE },
        { "lists, null, and no content", TEXT("[{\"text\":\"a\"},\"b\"]")
          TEXT("null") "data: {}\n\ndata: 5\n\ndata:\n\n" TEXT("\"c\"") STOP,
          "abc", TEE_OK },
        { "comments and fields", ": x\n\nevent: y\nid: 1\ndata:{\"choices\":"
          "[{\"delta\":{\"content\":\"a\"}}]} \n\n" STOP, "a", TEE_OK },
        { "[DONE] in a text", TEXT("\"[DONE]\"") STOP, "[DONE]", TEE_OK },
        { "text behind the signature", TEXT("\"a\"") STOP TEXT("\"b\""), "ab",
          TEE_OK },
        { "two signatures, the last one counts", CALL("\"id\":\"c\"") CALLS
          TEXT("\"a\"") STOP, "a", TEE_OK },
        { "members that are none, then some", "data: {\"tee_signature\":1}\n\n"
          STOP, "", TEE_OK },

        { "a call", CALL("\"index\":0,\"id\":\"c\",\"type\":\"function\","
                         "\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}")
          CALLS DONE,
          "[{\"function\": {\"arguments\": \"{}\", \"name\": \"f\"}, "
          "\"id\": \"c\", \"type\": \"function\"}]", TEE_OK },
        { "pieces of calls, in another order",
          CALL("\"index\":10,\"id\":\"b\"")
          CALL("\"index\":9,\"id\":\"a\",\"function\":{\"name\":\"f\"}")
          CALL("\"index\":10,\"function\":{\"arguments\":\"{\\\"\"}")
          CALL("\"index\":9,\"id\":\"\",\"function\":{\"name\":\"\"}")
          CALL("\"index\":10,\"type\":\"t\",\"function\":"
               "{\"arguments\":\"\\u00e9\"}") CALLS,
          "[{\"function\": {\"arguments\": \"\", \"name\": \"f\"}, "
          "\"id\": \"a\", \"type\": \"function\"}, "
          "{\"function\": {\"arguments\": \"{\\\"\\u00e9\", \"name\": \"\"}, "
          "\"id\": \"b\", \"type\": \"t\"}]", TEE_OK },
        { "no index", CALL("\"id\":\"c\"") CALL("\"index\":0,\"id\":\"d\"")
          CALLS, "[{\"function\": {\"arguments\": \"\", \"name\": \"\"}, "
          "\"id\": \"d\", \"type\": \"function\"}]", TEE_OK },
        { "calls, but it has stopped", CALL("\"id\":\"c\"") TEXT("\"a\"") STOP,
          "a", TEE_OK },
        { "no calls, but it ends with them", TEXT("\"a\"") CALLS, "a",
          TEE_OK }
    };

    stream_cases(cases, sizeof(cases) / sizeof(cases[0]));
}


static void
stream_refused(void)
{
    static const stream_case_t  cases[] = {
        { "nothing", "", "", TEE_INCOMPLETE },
        { "no signature", TEXT("\"a\"") DONE, "", TEE_INCOMPLETE },
        { "members that are none", TEXT("\"a\"")
          "data: {\"tee_output_hash\":1}\n\n", "", TEE_MALFORMED },
        { "no JSON", "data: {\"choices\": [\n\n" STOP, "", TEE_MALFORMED },
        { "an error", "data: {\"error\":\"x\"}\n\n" STOP, "", TEE_MALFORMED },
        { "an error that is an object", STOP "data: {\"error\":{}}\n\n", "",
          TEE_MALFORMED },
        { "half of a pair", TEXT("\"\\ud83d\"") TEXT("\"\\ude00\"") STOP, "",
          TEE_MALFORMED },
        { "JSON on two lines", "data:{\"choices\":\n"
          "data: [{\"delta\":{\"content\":\"a\"}}]}\n\n" STOP, "",
          TEE_UNSUPPORTED },
        { "an event within an event", "data: [\ndata: {\"choices\":[{\"delta\":"
          "{\"content\":\"a\"}}]}\ndata: ]\n\n" STOP, "", TEE_UNSUPPORTED },
        { "a line that may be stripped", TEXT("\"a\"") "id: 1\n "
          TEXT("\"b\"") STOP, "", TEE_UNSUPPORTED },
        { "several choices", "data: {\"choices\":[{},{}]}\n\n" STOP, "",
          TEE_UNSUPPORTED },
        { "another choice", "data: {\"choices\":[{\"index\":1}]}\n\n" STOP,
          "", TEE_UNSUPPORTED },
        { "an index that is no number",
          "data: {\"choices\":[{\"index\":\"0\"}]}\n\n" STOP, "",
          TEE_UNSUPPORTED },
        { "a message in place of a delta", "data: {\"choices\":[{\"message\":"
          "{\"content\":\"a\"}}]}\n\n" STOP, "", TEE_UNSUPPORTED },
        { "a text in place of a delta",
          "data: {\"choices\":[{\"text\":\"a\"}]}\n\n" STOP, "",
          TEE_UNSUPPORTED },
        { "no message, and no text", "data: {\"choices\":[{\"text\":\"\","
          "\"message\":null,\"index\":0}]}\n\n" STOP, "", TEE_OK },
        { "no choice", "data: {\"choices\":[]}\n\n"
          "data: {\"choices\":null}\n\n" STOP, "", TEE_OK },
        { "a choice that is none", "data: {\"choices\":[1]}\n\n" STOP, "",
          TEE_UNSUPPORTED },
        { "a byte order mark", "\xef\xbb\xbf" TEXT("\"a\"") STOP, "",
          TEE_UNSUPPORTED },
        { "a byte order mark later", TEXT("\"a\"") ": \xef\xbb\xbf\n\n" STOP,
          "a", TEE_OK },
        { "a comment that is more for some",
          ": \xe2\x80\xa8" TEXT("\"a\"") STOP, "", TEE_UNSUPPORTED },
        { "a line separator in a text", TEXT("\"\xe2\x80\xa8\"") STOP,
          "\xe2\x80\xa8", TEE_OK },

        { "a number", TEXT("5") STOP, "", TEE_UNSUPPORTED },
        { "an index that is a text", CALL("\"index\":\"0\"") CALLS, "",
          TEE_UNSUPPORTED },
        { "an index below 0", CALL("\"index\":-1") CALLS, "",
          TEE_UNSUPPORTED },
        { "an id that is a number", CALL("\"id\":1") CALLS, "",
          TEE_UNSUPPORTED },
        { "arguments that are an object", CALL("\"function\":{\"arguments\":"
                                               "{\"a\":1}}") CALLS, "",
          TEE_UNSUPPORTED }
    };

    stream_cases(cases, sizeof(cases) / sizeof(cases[0]));
}


/* The hash that is claimed tells how an id that never came is written. */

static void
stream_no_id(void)
{
    uint8_t              output[32], want[32];
    tee_str_t            in, none, empty;
    tee_signed_stream_t  s;

    none = unit_text("[{\"function\": {\"arguments\": \"\", \"name\": \"f\"}, "
                     "\"id\": null, \"type\": \"function\"}]");
    empty = unit_text("[{\"function\": {\"arguments\": \"\", \"name\": \"f\"},"
                      " \"id\": \"\", \"type\": \"function\"}]");
    in = unit_text(CALL("\"function\":{\"name\":\"f\"}") CALLS);

    tee_signed_stream_init(&s, MAX, 0, &unit_alloc);
    unit_ok(tee_signed_stream_read(&s, in) == TEE_OK, "a call without an id");

    tee_keccak256(none, want);
    memcpy(s.last.output_hash, want, 32);
    unit_ok(tee_signed_stream_end(&s, output) == TEE_OK
            && memcmp(output, want, 32) == 0, "null, as the gateway has it");

    tee_keccak256(empty, want);
    memcpy(s.last.output_hash, want, 32);
    unit_ok(tee_signed_stream_end(&s, output) == TEE_OK
            && memcmp(output, want, 32) == 0, "empty, as the SDK has it");

    tee_signed_stream_free(&s);
}


/* As the SDK reads it, these are right; others would read something else. */

static void
stream_strict(void)
{
    size_t               i;
    uint8_t              output[32];
    tee_rc_t             loose, strict;
    tee_str_t            in;
    tee_signed_stream_t  s;

    static const char *const  cases[] = {
        TEXT("\"I will\"") DONE TEXT("\" not\"") STOP DONE,
        TEXT("\"I will\"") STOP TEXT("\" not\"") STOP DONE,
        TEXT("\"do\"") "event: x\n" TEXT("\" not\"") STOP DONE,
        TEXT("\"a\"") "event:x\n" STOP DONE,
        TEXT("\"a\"") STOP "event: x\n" DONE,
        TEXT("\"a\"") STOP DONE DONE,
        TEXT("\"a\"") STOP DONE "data: {}\n\n",
        TEXT("\"a\"") "data: {\"x\":1,\"x\":1}\n\n" STOP DONE
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        in = unit_text(cases[i]);

        tee_signed_stream_init(&s, MAX, 0, &unit_alloc);
        loose = tee_signed_stream_read(&s, in);
        loose = loose == TEE_OK ? tee_signed_stream_end(&s, output) : loose;
        tee_signed_stream_free(&s);

        tee_signed_stream_init(&s, MAX, 1, &unit_alloc);
        strict = tee_signed_stream_read(&s, in);
        strict = strict == TEE_OK ? tee_signed_stream_end(&s, output)
                                  : strict;
        tee_signed_stream_free(&s);

        unit_ok(loose == TEE_OK && strict == TEE_UNSUPPORTED,
                "read differently by others");
    }

    in = unit_text(": x\n\n" TEXT("\"a\"") "event: ping\ndata: {}\n\n"
                   "event: message\nid: 1\n" STOP DONE ": x\n\n");

    tee_signed_stream_init(&s, MAX, 1, &unit_alloc);
    unit_ok(tee_signed_stream_read(&s, in) == TEE_OK
            && tee_signed_stream_end(&s, output) == TEE_OK,
            "read the same by all");
    tee_signed_stream_free(&s);
}


/* What comes out is what went in, event by event. */

static void
stream_next(void)
{
    size_t               step, at, n, bad;
    tee_str_t            in, left, piece, event, rest;
    tee_signed_stream_t  s;

    in = unit_text(": x\n\n" TEXT("\"a\"") "data: {}\r\n\r\n" STOP DONE
                   "data: {\"a\"");
    bad = 0;

    for (step = 1; step <= in.len; step++) {
        unit_memory_reset(0);
        tee_signed_stream_init(&s, MAX, 0, &unit_alloc);

        left = in;
        at = 0;
        n = 0;

        while (left.len) {
            piece = unit_copy(left.data, left.len < step ? left.len : step);
            event = piece;

            left.len -= piece.len;
            left.data += piece.len;

            for (rest = piece; rest.len; /* void */ ) {

                if (tee_signed_stream_next(&s, &rest, &event) != TEE_OK) {
                    bad++;
                    break;
                }

                if (event.len == 0) {
                    bad += rest.len != 0;
                    continue;
                }

                bad += event.len > in.len - at
                       || memcmp(in.data + at, event.data, event.len) != 0
                       || tee_signed_stream_rest(&s).len != 0;

                at += event.len;
                n++;

                bad += s.has_signature != (n > 3) || s.ended != (n > 3);
            }

            unit_free(piece);
        }

        rest = tee_signed_stream_rest(&s);

        bad += n != 5 || rest.len != in.len - at
               || memcmp(in.data + at, rest.data, rest.len) != 0;

        tee_signed_stream_free(&s);
        bad += unit_memory.live != 0;
    }

    unit_ok(bad == 0, "event by event");
}


/* What tells clients that there is no more. */

static void
stream_ended(void)
{
    size_t               i;
    tee_str_t            in;
    tee_signed_stream_t  s;

    static const struct {
        const char  *in;
        unsigned     ended;
    } cases[] = {
        { TEXT("\"a\"") ": [DONE]\n\ndata:\n\n", 0 },
        { "data: {\"choices\":[{\"finish_reason\":null}]}\n\n", 0 },
        { "data: {\"finish_reason\":\"stop\"}\n\n", 0 },
        { TEXT("\"[DONE]\""), 0 },
        { "data: [DONE]\n", 0 },
        { "data: {\"choices\":[{\"finish_reason\":\"x\"}]}\n\n", 1 },
        { "data: {\"choices\":[{\"finish_reason\":false}]}\n\n", 1 },
        { DONE, 1 },
        { "data:[DONE] \r\r", 1 }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        tee_signed_stream_init(&s, MAX, 0, &unit_alloc);

        in = unit_text(cases[i].in);
        unit_ok(tee_signed_stream_read(&s, in) == TEE_OK
                && s.ended == cases[i].ended && !s.has_signature,
                "ended or not, case %u", (unsigned) i);

        tee_signed_stream_free(&s);
    }
}


static void
stream_limits(void)
{
    size_t       i;
    uint8_t      output[32];
    tee_str_t    in;
    tee_write_t  w;

    in = unit_text(TEXT("\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"") DONE);
    unit_ok(stream_run(in, 7, in.len - sizeof(DONE) + 1, output)
            == TEE_INCOMPLETE, "an event as long as allowed");
    unit_ok(stream_run(in, 7, in.len - sizeof(DONE), output) == TEE_LIMIT,
            "a byte more");

    tee_write_grow(&w, &unit_alloc);

    for (i = 0; i < 257; i++) {

        if (i == 256) {
            in.len = w.len;
            in.data = w.data;
            unit_ok(stream_run(in, MAX, MAX, output) == TEE_INCOMPLETE,
                    "as many calls as allowed");
        }

        tee_write_text(&w, "data: {\"choices\":[{\"delta\":{\"tool_calls\":"
                       "[{\"index\":");
        tee_write_decimal(&w, 1000 - i);
        tee_write_text(&w, "}]}}]}\n\n");
    }

    in.len = w.len;
    in.data = w.data;
    unit_ok(stream_run(in, MAX, MAX, output) == TEE_LIMIT, "a call more");
    tee_write_free(&w);

    tee_write_grow(&w, &unit_alloc);

    for (i = 0; i < 100; i++) {
        tee_write_text(&w, CALL("\"function\":{\"arguments\":\""
                                "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
                                "\"}"));
    }

    in.len = w.len;
    in.data = w.data;
    unit_ok(stream_run(in, MAX, MAX, output) == TEE_LIMIT, "long arguments");
    tee_write_free(&w);
}


static tee_rc_t
stream_oom_run(void *ctx)
{
    uint8_t  output[32];

    return stream_run(*(tee_str_t *) ctx, 100, MAX, output);
}


int
main(void)
{
    tee_str_t  in;

    stream_verified();
    stream_refused();
    stream_no_id();
    stream_strict();
    stream_next();
    stream_ended();
    stream_limits();

    in = unit_text(TEXT("\"a\"")
                   CALL("\"id\":\"c\",\"function\":{\"name\":\"f\","
                        "\"arguments\":\"{}\"}") CALLS DONE);

    unit_oom(stream_oom_run, &in, TEE_OK, "a stream");

    return unit_done();
}
