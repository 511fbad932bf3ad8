
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <stdio.h>
#include <string.h>

#include <tee_canon.h>
#include <tee_keccak.h>
#include <tee_signed.h>

#include "sample.h"
#include "unit.h"


/* response_bodies.json, "chat_empty": an answer that says nothing */

#define REQUEST                                                               \
    "{\"messages\": [{\"content\": \"Hello!\", \"role\": \"user\"}], "        \
    "\"model\": \"gpt-4.1\", \"temperature\": 0.0}"

#define REQUEST_HASH                                                          \
    "643934be0694758b23dee7c223722b63708d58a5179ad952190f02a45892005f"

#define OUTPUT_HASH                                                           \
    "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"

#define TEE_ID                                                                \
    "0x89ef8e0ed3e36eed584e6b506cf47a69882a229e2bd28b1f7046561ec7ac17db"

#define SIGNATURE                                                             \
    "sA6o1BPshPmytitWNxsN/IatxndmHYeBMqdz+YpxpVk30MgFgDEjR90+ngLxknf/OiRk"    \
    "E73l3Alz4erPzIKg2QOsfqOO+FZ7PZY84ehttlw54v+ovfEUy4+XIN6JaYZM2yU8rGqz"    \
    "XA3bAzj1VHIrDiqleOKEgNAN6OsafGWB6kYBF+Zi6pAfBSoZuKxJiLRpvheZnEwtVRPs"    \
    "xXTxZ3+ulm87G3EEqtgHSS5kpCGWfJqce/FDLvELluesexf4K7ZLfeJIioovFmLMBz7D"    \
    "HsnKWo/Nxlc4eg6bCN/9e33+3hdfON29mZCg6dqV7Kf9so7aZ4BXLp7QOsJ+BVR5vofG"    \
    "Tg=="

#define MEMBERS(time, request, output, id, signature)                         \
    "\"tee_timestamp\":" time ",\"tee_request_hash\":\"" request "\","        \
    "\"tee_output_hash\":\"" output "\",\"tee_id\":\"" id "\","               \
    "\"tee_signature\":\"" signature "\""

#define GOOD                                                                  \
    MEMBERS("1700000000", REQUEST_HASH, OUTPUT_HASH, TEE_ID, SIGNATURE)


typedef struct {
    const char           *in;
    const char           *out;                 /* what is signed */
    tee_rc_t              rc;
    tee_chat_endpoint_t   endpoint;
} signed_case_t;


static int
signed_zero(const void *p, size_t len)
{
    size_t          i;
    const uint8_t  *b = p;

    for (i = 0; i < len && b[i] == 0; i++) { /* void */ }

    return i == len;
}


static void
signed_read(const char *text, tee_rc_t want, const char *name)
{
    tee_rc_t        rc;
    tee_str_t       in;
    tee_signed_t    s;
    tee_json_doc_t  doc;

    in = unit_copy(text, strlen(text));

    if (tee_canon_parse(in, 20, &unit_alloc, &doc) != TEE_OK) {
        unit_ok(0, "%s, JSON", name);
        unit_free(in);
        return;
    }

    rc = tee_signed_read(doc.root, &s);

    unit_ok(rc == want && (rc == TEE_OK || signed_zero(&s, sizeof(s))), "%s",
            name);

    tee_json_free(&doc);
    unit_free(in);
}


static void
signed_members(void)
{
    size_t  i;

    static const char *const  bad[] = {
        "[]", "null", "{}",
        "{\"tee_timestamp\":1}",
        "{" MEMBERS("1.0", REQUEST_HASH, OUTPUT_HASH, TEE_ID, SIGNATURE) "}",
        "{" MEMBERS("1e9", REQUEST_HASH, OUTPUT_HASH, TEE_ID, SIGNATURE) "}",
        "{" MEMBERS("-1", REQUEST_HASH, OUTPUT_HASH, TEE_ID, SIGNATURE) "}",
        "{" MEMBERS("true", REQUEST_HASH, OUTPUT_HASH, TEE_ID, SIGNATURE) "}",
        "{" MEMBERS("null", REQUEST_HASH, OUTPUT_HASH, TEE_ID, SIGNATURE) "}",
        "{" MEMBERS("\"\"", REQUEST_HASH, OUTPUT_HASH, TEE_ID, SIGNATURE) "}",
        "{" MEMBERS("\"x\"", REQUEST_HASH, OUTPUT_HASH, TEE_ID, SIGNATURE) "}",
        "{" MEMBERS("1", REQUEST_HASH "00", OUTPUT_HASH, TEE_ID, SIGNATURE) "}",
        "{" MEMBERS("1", "", OUTPUT_HASH, TEE_ID, SIGNATURE) "}",
        "{" MEMBERS("1", "0x", OUTPUT_HASH, TEE_ID, SIGNATURE) "}",
        "{" MEMBERS("1", REQUEST_HASH, TEE_ID "0", TEE_ID, SIGNATURE) "}",
        "{" MEMBERS("1", REQUEST_HASH, OUTPUT_HASH, "0x00", SIGNATURE) "}",
        "{" MEMBERS("1", REQUEST_HASH, OUTPUT_HASH, TEE_ID, "AA") "}",
        "{" MEMBERS("1", REQUEST_HASH, OUTPUT_HASH, TEE_ID, "AA A") "}",
        "{" MEMBERS("1", REQUEST_HASH, OUTPUT_HASH, TEE_ID, SIGNATURE
                    SIGNATURE SIGNATURE SIGNATURE SIGNATURE) "}",
        "{" GOOD ",\"tee_id\":null}", "{" GOOD ",\"tee_signature\":1}",
        "{" GOOD ",\"tee_output_hash\":[]}",
        "{" GOOD ",\"tee_request_hash\":\"" "ABCDEF" REQUEST_HASH "\"}"
    };

    signed_read("{" GOOD "}", TEE_OK, "members");
    signed_read("{" MEMBERS("\"1700000000\"", "0x" REQUEST_HASH,
                            "0x" OUTPUT_HASH, TEE_ID, SIGNATURE) "}",
                TEE_OK, "a time that is a text, hashes with 0x");
    signed_read("{" GOOD ",\"tee_id\":\"89EF8E0ED3E36EED584E6B506CF47A69"
                "882A229E2BD28B1F7046561EC7AC17DB\"}",
                TEE_OK, "an id in capitals");
    signed_read("{" GOOD ",\"tee_output_hash\":\"89EF8E0ED3E36EED584E6B506CF4"
                "7A69882A229E2BD28B1F7046561EC7AC17DB\"}",
                TEE_MALFORMED, "a hash in capitals");
    signed_read("{" GOOD ",\"tee_signature\":\"\"}", TEE_OK,
                "an empty signature, which is none");

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        signed_read(bad[i], TEE_MALFORMED, "no members");
    }
}


static tee_rc_t
signed_body(tee_str_t in, tee_chat_endpoint_t endpoint, tee_signed_t *s,
    uint8_t output[32])
{
    return tee_signed_body(in, endpoint, 0, &unit_alloc, s, output);
}


static void
signed_outputs(void)
{
    size_t        i;
    uint8_t       output[32], want[32];
    tee_rc_t      rc;
    tee_str_t     in;
    tee_signed_t  s;

    /* each with the members behind it */

    static const signed_case_t  cases[] = {
        { "\"choices\":[{\"message\":{\"content\":\"h\\u00e9\"}}]",
          "h\xc3\xa9", TEE_OK, TEE_CHAT },
        { "\"choices\":[]", "", TEE_OK, TEE_CHAT },
        { "\"a\":1", "", TEE_OK, TEE_CHAT },
        { "\"choices\":[{\"message\":{\"content\":null}}]", "", TEE_OK,
          TEE_CHAT },
        { "\"choices\":[{\"message\":{\"content\":[{\"text\":\"a\"},"
          "\"b\",{\"type\":\"x\"},{\"text\":\"c\"}]}}]", "abc", TEE_OK,
          TEE_CHAT },
        { "\"choices\":[{\"message\":{\"content\":5}}]", "", TEE_UNSUPPORTED,
          TEE_CHAT },
        { "\"choices\":[{\"message\":{\"content\":[{\"text\":5}]}}]", "",
          TEE_UNSUPPORTED, TEE_CHAT },
        { "\"choices\":[{\"message\":{\"content\":\"\\ud800\"}}]", "",
          TEE_MALFORMED, TEE_CHAT },

        { "\"choices\":[{\"finish_reason\":\"tool_calls\",\"message\":"
          "{\"content\":\"x\",\"tool_calls\":[{\"b\":1,\"a\":\"\\ud800\"}]}}]",
          "[{\"a\": \"\\ud800\", \"b\": 1}]", TEE_OK, TEE_CHAT },
        { "\"choices\":[{\"finish_reason\":\"tool_calls\",\"message\":"
          "{\"content\":\"x\",\"tool_calls\":[]}}]", "x", TEE_OK, TEE_CHAT },
        { "\"choices\":[{\"finish_reason\":\"stop\",\"message\":"
          "{\"content\":\"x\",\"tool_calls\":[1]}}]", "x", TEE_OK, TEE_CHAT },

        { "\"choices\":[{\"text\":\"a\",\"message\":null,\"index\":0}]",
          "a", TEE_OK, TEE_CHAT_COMPLETIONS },

        /* what is not signed, but might be shown */

        { "\"choices\":[{\"text\":\"a\",\"message\":{\"content\":\"b\"}}]",
          "", TEE_UNSUPPORTED, TEE_CHAT_COMPLETIONS },
        { "\"choices\":[{\"text\":\"a\",\"message\":{\"content\":\"b\"}}]",
          "", TEE_UNSUPPORTED, TEE_CHAT },
        { "\"choices\":[{\"message\":{\"content\":\"a\"}},{}]", "",
          TEE_UNSUPPORTED, TEE_CHAT },
        { "\"choices\":[{\"index\":1,\"message\":{\"content\":\"a\"}}]", "",
          TEE_UNSUPPORTED, TEE_CHAT },
        { "\"choices\":{\"message\":{\"content\":\"a\"}}", "",
          TEE_UNSUPPORTED, TEE_CHAT },
        { "\"choices\":[\"a\"]", "", TEE_UNSUPPORTED, TEE_CHAT },
        { "\"content\":\"a\",\"choices\":[{\"text\":\"b\"}]", "a", TEE_OK,
          TEE_CHAT_WEB_SEARCH }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char  text[2000];

        (void) snprintf(text, sizeof(text), "{%s,%s}", cases[i].in, GOOD);

        unit_memory_reset(0);

        in = unit_copy(text, strlen(text));
        rc = signed_body(in, cases[i].endpoint, &s, output);
        unit_free(in);

        in = unit_text(cases[i].out);
        tee_keccak256(in, want);

        unit_ok(rc == cases[i].rc
                && (rc == TEE_OK ? memcmp(output, want, 32) == 0
                                 : signed_zero(output, 32)
                                   && signed_zero(&s, sizeof(s)))
                && unit_memory.live == 0, "%s", cases[i].in);
    }

    in = unit_text("{\"status\":200,\"body\":{" GOOD "}}");
    unit_ok(signed_body(in, TEE_CHAT, &s, output) == TEE_OK, "an envelope");
    in = unit_text("{\"status\":502,\"body\":{" GOOD "}}");
    unit_ok(signed_body(in, TEE_CHAT, &s, output) == TEE_MALFORMED,
            "an envelope with an error");
    in = unit_text("{\"status\":200,\"body\":[]," GOOD "}");
    unit_ok(signed_body(in, TEE_CHAT, &s, output) == TEE_OK, "no envelope");
    in = unit_text("{\"status\":200,\"body\":{}," GOOD "}");
    unit_ok(signed_body(in, TEE_CHAT, &s, output) == TEE_MALFORMED,
            "members beside an envelope");
    in = unit_text("{" GOOD);
    unit_ok(signed_body(in, TEE_CHAT, &s, output) == TEE_MALFORMED, "cut");
}


static void
signed_verify(void)
{
    uint8_t              request[32], output[32], id[32], other[32];
    tee_str_t            in, spki;
    tee_signed_t         s, t;
    tee_signed_key_t     key;
    tee_signed_check_t   failed;

    in = unit_text("{" GOOD "}");
    unit_ok(signed_body(in, TEE_CHAT, &s, output) == TEE_OK, "an answer");

    in = unit_text(REQUEST);
    tee_keccak256(in, request);

    spki = sample_spki();
    tee_keccak256(spki, id);
    memset(other, 0, 32);

    unit_ok(tee_signed_key_init(&key, spki) == TEE_OK
            && memcmp(key.tee_id, id, 32) == 0, "a key");

    unit_ok(tee_signed_verify(&s, request, output, &key, id, &failed) == TEE_OK
            && failed == TEE_SIGNED_NOTHING, "verified");
    unit_ok(tee_signed_verify(&s, request, output, &key, NULL, &failed)
            == TEE_OK, "whichever id");

    /* everything is wrong, and what is asked for first is told */

    t = s;
    t.timestamp[31]++;

    unit_ok(tee_signed_verify(&t, request, output, &key, id, &failed)
            == TEE_CRYPTO && failed == TEE_SIGNED_SIGNATURE, "another time");
    unit_ok(tee_signed_verify(&t, request, other, &key, id, &failed)
            == TEE_CRYPTO && failed == TEE_SIGNED_OUTPUT, "another output");
    unit_ok(tee_signed_verify(&t, other, other, &key, id, &failed)
            == TEE_CRYPTO && failed == TEE_SIGNED_REQUEST, "another request");
    unit_ok(tee_signed_verify(&t, other, other, &key, other, &failed)
            == TEE_CRYPTO && failed == TEE_SIGNED_TEE_ID, "another id");

    t = s;
    t.signature_len--;
    unit_ok(tee_signed_verify(&t, request, output, &key, id, &failed)
            == TEE_CRYPTO && failed == TEE_SIGNED_SIGNATURE, "a byte less");

    key.tee_id[0]++;
    unit_ok(tee_signed_verify(&s, request, output, &key, NULL, &failed)
            == TEE_CRYPTO && failed == TEE_SIGNED_TEE_ID, "another key");

    tee_signed_key_free(&key);
    tee_signed_key_free(&key);

    spki.len--;
    unit_ok(tee_signed_key_init(&key, spki) == TEE_MALFORMED
            && key.public == NULL, "a bad key");

    unit_ok(strcmp(tee_signed_name(TEE_SIGNED_REQUEST), "request hash") == 0
            && strcmp(tee_signed_name(TEE_SIGNED_NOTHING), "nothing") == 0,
            "names");
}


static void
signed_fresh(void)
{
    tee_signed_t  s;

    memset(&s, 0, sizeof(tee_signed_t));
    s.timestamp[30] = 4;                       /* 1024 */

    unit_ok(tee_signed_fresh(&s, 1024, 0, 0), "now");
    unit_ok(tee_signed_fresh(&s, 1124, 100, 0), "as old as allowed");
    unit_ok(!tee_signed_fresh(&s, 1125, 100, 0), "too old");
    unit_ok(tee_signed_fresh(&s, 1000, 0, 24), "as early as allowed");
    unit_ok(!tee_signed_fresh(&s, 999, 0, 24), "too early");

    s.timestamp[0] = 1;
    unit_ok(!tee_signed_fresh(&s, 1024, 100, 100), "far in the future");
}


static tee_rc_t
signed_oom_run(void *ctx)
{
    uint8_t       output[32];
    tee_signed_t  s;

    return signed_body(*(tee_str_t *) ctx, TEE_CHAT, &s, output);
}


/* As the SDK reads it, these are right; others would read something else. */

static void
signed_strict(void)
{
    size_t        i;
    uint8_t       output[32];
    tee_str_t     in;
    tee_signed_t  s;

    static const char *const  cases[] = {
        "{\"status\":200,\"body\":{" GOOD ",\"choices\":[]}}",
        "{\"choices\":[],\"status\":200,\"body\":{" GOOD "}}",
        "{" GOOD ",\"choices\":1,\"choices\":[]}",
        "{\"tee_id\":1," GOOD ",\"choices\":[]}",
        "{" GOOD ",\"choices\":[{\"x\":1,\"\\u0078\":1}]}"
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        in = unit_text(cases[i]);

        unit_ok(tee_signed_body(in, TEE_CHAT, 0, &unit_alloc, &s, output)
                == TEE_OK
                && tee_signed_body(in, TEE_CHAT, 1, &unit_alloc, &s, output)
                   == TEE_UNSUPPORTED
                && s.signature_len == 0,
                "read differently by others");
    }

    in = unit_text("{" GOOD ",\"choices\":[],\"Choices\":[]}");

    unit_ok(tee_signed_body(in, TEE_CHAT, 0, &unit_alloc, &s, output)
            == TEE_UNSUPPORTED, "a name in another case");
}


int
main(void)
{
    tee_str_t  in;

    signed_members();
    signed_outputs();
    signed_strict();
    signed_verify();
    signed_fresh();

    in = unit_text("{\"choices\":[{\"finish_reason\":\"tool_calls\","
                   "\"message\":{\"tool_calls\":[\"\\u00e9\"]}}]," GOOD "}");

    unit_oom(signed_oom_run, &in, TEE_OK, "an answer");

    return unit_done();
}
