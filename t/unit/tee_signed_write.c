
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <string.h>

#include <tee_keccak.h>
#include <tee_signed_write.h>

#include "sample.h"
#include "unit.h"


#define END                                                                   \
    "\"tee_signature\": \"c2ln\", \"tee_request_hash\": \"01" ZERO31 "\", "   \
    "\"tee_output_hash\": \"02" ZERO31 "\", \"tee_timestamp\": 1700000000, "  \
    "\"tee_id\": \"0x03" ZERO31 "\"}"

#define ZERO31                                                                \
    "00000000000000000000000000000000000000000000000000000000000000"


typedef struct {
    const char           *in;
    const char           *out;                 /* without the last brace */
    const char           *says;
    tee_chat_endpoint_t   endpoint;
} write_case_t;


typedef struct {
    tee_sig_key_t        *key;
    tee_str_t             body;
    tee_chat_endpoint_t   endpoint;
    uint8_t               request[32];
    uint8_t               id[32];
} write_ctx_t;


static tee_sig_key_t  *write_key;


static tee_rc_t
write_begin(tee_str_t body, tee_chat_endpoint_t endpoint, tee_str_t *out,
    uint8_t output[32])
{
    tee_rc_t     rc;
    tee_write_t  w;

    tee_write_grow(&w, &unit_alloc);

    rc = tee_signed_body_begin(body, endpoint, &unit_alloc, output, &w);

    *out = unit_copy(w.data, rc == TEE_OK ? w.len : 0);

    tee_write_free(&w);

    return rc;
}


static void
write_table(void)
{
    size_t     i;
    uint8_t    output[32], want[32];
    tee_rc_t   rc;
    tee_str_t  in, out, says;

    static const write_case_t  cases[] = {
        { "{\"choices\":[{\"index\":0,\"message\":{\"content\":\"a\"}}]}",
          "{\"choices\":[{\"index\":0,\"message\":{\"content\":\"a\"}}]", "a",
          TEE_CHAT },
        { " \n{ \"choices\" : [ { } ] ,\t\"a\":1.50 }\r\n",
          " \n{ \"choices\" : [ { } ] ,\t\"a\":1.50 ", "", TEE_CHAT },
        { "{\"tee_id\":1,\"choices\":[{}],\"tee_signature\":\"}\\\"\"}",
          "{\"choices\":[{}]", "", TEE_CHAT },
        { "{\"choices\":[{}], \"te\\u0065_\" : [{\"}\":1},2] , \"b\": {}}",
          "{\"choices\":[{}], \"b\": {}", "", TEE_CHAT },
        { "{\"\\u0074\\u0065\\u0065\\u005Fx\":0,\"choices\":[{}]}",
          "{\"choices\":[{}]", "", TEE_CHAT },
        { "{\"tee\":0,\"TEE_x\":1,\"tee-x\":2,\"t\\u00e9e_\":3,\"tee\\\\_\":4,"
          "\"choices\":[{\"tee_id\":5}]}",
          "{\"tee\":0,\"TEE_x\":1,\"tee-x\":2,\"t\\u00e9e_\":3,\"tee\\\\_\":4,"
          "\"choices\":[{\"tee_id\":5}]", "", TEE_CHAT },
        { "{\"tee_\":NaN,\"choices\":[{}],\"tee_b\":-Infinity,"
          "\"tee_a\":\"\\\"\",\"b\":NaN}",
          "{\"choices\":[{}],\"b\":NaN", "", TEE_CHAT },
        { "{\"choices\":[{\"message\":{\"content\":\"b\"}}],\"error\":null}",
          "{\"choices\":[{\"message\":{\"content\":\"b\"}}],\"error\":null",
          "b", TEE_CHAT },
        { "{\"choices\":[{\"finish_reason\":\"tool_calls\",\"message\":"
          "{\"content\":\"x\",\"tool_calls\":[{\"b\":1.0,\"a\":\"\xc3\xa9\"}]"
          "}}]}",
          "{\"choices\":[{\"finish_reason\":\"tool_calls\",\"message\":"
          "{\"content\":\"x\",\"tool_calls\":[{\"b\":1.0,\"a\":\"\xc3\xa9\"}]"
          "}}]", "[{\"a\": \"\\u00e9\", \"b\": 1.0}]", TEE_CHAT },
        { "{\"choices\":[{\"text\":\"a\",\"index\":0.0}],\"status\":200,"
          "\"body\":1}",
          "{\"choices\":[{\"text\":\"a\",\"index\":0.0}],\"status\":200,"
          "\"body\":1", "a", TEE_CHAT_COMPLETIONS },
        { "{\"content\":\"a\",\"choices\":5}",
          "{\"content\":\"a\",\"choices\":5", "a", TEE_CHAT_WEB_SEARCH },
        { "{\"content\":[\"a\",{\"text\":\"b\"}],\"tee_\":1}",
          "{\"content\":[\"a\",{\"text\":\"b\"}]", "ab", TEE_CHAT_WEB_SEARCH }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        in = unit_copy(cases[i].in, strlen(cases[i].in));
        says = unit_text(cases[i].says);

        unit_memory_reset(0);

        rc = write_begin(in, cases[i].endpoint, &out, output);
        tee_keccak256(says, want);

        unit_ok(rc == TEE_OK && unit_is(out, cases[i].out)
                && memcmp(output, want, 32) == 0 && unit_memory.live == 0,
                "%s", cases[i].in[0] == ' ' ? "blanks" : cases[i].in);

        unit_free(out);
        unit_free(in);
    }
}


static void
write_refused(void)
{
    size_t     i, k, bad;
    uint8_t    output[32], zero[32];
    tee_rc_t   rc;
    tee_str_t  in, out;

    static const struct {
        const char           *in;
        tee_rc_t              rc;
        tee_chat_endpoint_t   endpoint;
    } cases[] = {
        { "", TEE_MALFORMED, TEE_CHAT },
        { "{\"choices\":[{}]", TEE_MALFORMED, TEE_CHAT },
        { "{\"choices\":[{}]}x", TEE_MALFORMED, TEE_CHAT },
        { "\xef\xbb\xbf{\"choices\":[{}]}", TEE_MALFORMED, TEE_CHAT },
        { "<html>", TEE_MALFORMED, TEE_CHAT },
        { "[]", TEE_UNSUPPORTED, TEE_CHAT },
        { "null", TEE_UNSUPPORTED, TEE_CHAT_WEB_SEARCH },
        { "{}", TEE_UNSUPPORTED, TEE_CHAT },
        { "{}", TEE_UNSUPPORTED, TEE_CHAT_COMPLETIONS },
        { "{}", TEE_UNSUPPORTED, TEE_CHAT_WEB_SEARCH },
        { "{\"choices\":[]}", TEE_UNSUPPORTED, TEE_CHAT },
        { "{\"choices\":[{}],\"choices\":[{}]}", TEE_UNSUPPORTED, TEE_CHAT },
        { "{\"choices\":[{}],\"x\":{\"a\":1,\"\\u0061\":1}}",
          TEE_UNSUPPORTED, TEE_CHAT },
        { "{\"choices\":[{}],\"Choices\":[]}", TEE_UNSUPPORTED, TEE_CHAT },
        { "{\"choices\":[{\"Message\":{}}]}", TEE_UNSUPPORTED, TEE_CHAT },
        { "{\"choices\":[{\"message\":{\"CONTENT\":1}}]}", TEE_UNSUPPORTED,
          TEE_CHAT },
        { "{\"choices\":[{\"message\":{\"content\":[{\"Text\":1}]}}]}",
          TEE_UNSUPPORTED, TEE_CHAT },
        { "{\"choice\\u017f\":[],\"choices\":[{}]}", TEE_UNSUPPORTED,
          TEE_CHAT },
        { "{\"choices\":[{}],\"to\\u212aen\":1,\"tool_calls\":1,"
          "\"Tool_Calls\":1}", TEE_UNSUPPORTED, TEE_CHAT },
        { "{\"content\":\"a\",\"Content\":\"b\"}", TEE_UNSUPPORTED,
          TEE_CHAT_WEB_SEARCH },
        { "{\"choices\":[{},{}]}", TEE_UNSUPPORTED, TEE_CHAT },
        { "{\"choices\":[{\"index\":1}]}", TEE_UNSUPPORTED, TEE_CHAT },
        { "{\"choices\":[{\"index\":false}]}", TEE_UNSUPPORTED, TEE_CHAT },
        { "{\"choices\":[[]]}", TEE_UNSUPPORTED, TEE_CHAT },
        { "{\"choices\":[{\"text\":\"a\"}]}", TEE_UNSUPPORTED, TEE_CHAT },
        { "{\"choices\":[{\"delta\":{\"content\":\"a\"}}]}", TEE_UNSUPPORTED,
          TEE_CHAT },
        { "{\"choices\":[{\"message\":{\"content\":\"a\"}}]}",
          TEE_UNSUPPORTED, TEE_CHAT_COMPLETIONS },
        { "{\"choices\":[{\"message\":{\"content\":5}}]}", TEE_UNSUPPORTED,
          TEE_CHAT },
        { "{\"choices\":[{\"message\":{\"content\":\"\\ud800\"}}]}",
          TEE_UNSUPPORTED, TEE_CHAT },
        { "{\"choices\":[{}],\"error\":{}}", TEE_UNSUPPORTED, TEE_CHAT },
        { "{\"content\":\"a\",\"error\":\"x\"}", TEE_UNSUPPORTED,
          TEE_CHAT_WEB_SEARCH },
        { "{\"choices\":[{}],\"status\":200,\"body\":{}}", TEE_UNSUPPORTED,
          TEE_CHAT }
    };

    memset(zero, 0, 32);

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        in = unit_copy(cases[i].in, strlen(cases[i].in));

        rc = write_begin(in, cases[i].endpoint, &out, output);

        unit_ok(rc == cases[i].rc && memcmp(output, zero, 32) == 0,
                "refused: %s", cases[i].in);

        unit_free(out);
        unit_free(in);
    }

    in = unit_text("{\"choices\":[{\"index\":0,\"message\":{\"content\":"
                   "\"a\\n\"}}],\"tee_id\":\"x\" , \"a\":{\"b\":[1,2]}}");
    bad = 0;

    for (k = 0; k < in.len; k++) {
        tee_str_t  cut = unit_copy(in.data, k);

        bad += write_begin(cut, TEE_CHAT, &out, output) != TEE_MALFORMED;

        unit_free(out);
        unit_free(cut);
    }

    unit_ok(bad == 0, "every prefix is refused");
}


static void
write_members(void)
{
    size_t        i;
    uint8_t       buf[TEE_SIGNED_MAX_MEMBERS];
    tee_str_t     out;
    tee_write_t   w;
    tee_signed_t  s;

    static const struct {
        const char  *before;
        const char  *all;
    } cases[] = {
        { "{\"a\":1", "{\"a\":1, " END },
        { "{\"a\":{} ", "{\"a\":{} , " END },
        { "{", "{" END },
        { " {\t\r\n", " {\t\r\n" END }
    };

    memset(&s, 0, sizeof(s));

    s.request_hash[0] = 1;
    s.output_hash[0] = 2;
    s.tee_id[0] = 3;
    s.timestamp[28] = 0x65;
    s.timestamp[29] = 0x53;
    s.timestamp[30] = 0xf1;
    s.signature_len = 3;
    memcpy(s.signature, "sig", 3);

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        tee_write_grow(&w, &unit_alloc);
        tee_write_text(&w, cases[i].before);
        tee_signed_body_end(&w, &s);

        out.len = w.len;
        out.data = w.data;
        unit_ok(unit_is(out, cases[i].all), "members, case %u", (unsigned) i);

        tee_write_free(&w);
    }

    s.signature_len = TEE_SIG_MAX_LEN;
    memset(s.timestamp, 0xff, 32);

    tee_write_fixed(&w, buf, sizeof(buf));
    tee_signed_body_end(&w, &s);
    unit_ok(tee_write_rc(&w) == TEE_OK, "the longest ones, in %u bytes",
            (unsigned) w.len);
}


/* What has been written is verified. */

static tee_rc_t
write_round(void *ctx)
{
    uint8_t              output[32], claimed[32];
    tee_rc_t             rc;
    tee_str_t            text;
    tee_write_t          w;
    tee_signed_t         s, t;
    write_ctx_t         *c = ctx;
    tee_signed_check_t   failed;

    tee_write_grow(&w, &unit_alloc);

    rc = tee_signed_body_begin(c->body, c->endpoint, &unit_alloc, output, &w);

    if (rc == TEE_OK) {
        rc = tee_signed_make(&s, c->request, output, 1700000000, c->id,
                             c->key);
    }

    if (rc == TEE_OK) {
        tee_signed_body_end(&w, &s);
        rc = tee_write_rc(&w);
    }

    if (rc == TEE_OK) {
        text.len = w.len;
        text.data = w.data;

        rc = tee_signed_body(text, c->endpoint, 1, &unit_alloc, &t, claimed);
    }

    if (rc == TEE_OK) {

        if (memcmp(&s, &t, sizeof(tee_signed_t)) != 0) {
            rc = TEE_DONE;

        } else {
            rc = sample_verify(&t, c->request, claimed,
                               tee_sig_key_public(c->key), c->id,
                               &failed);
        }
    }

    tee_write_free(&w);

    return rc;
}


static void
write_rounds(void)
{
    size_t        i;
    uint8_t       zero[sizeof(tee_signed_t)];
    write_ctx_t   c;
    tee_signed_t  s;

    static const struct {
        const char           *in;
        tee_chat_endpoint_t   endpoint;
    } cases[] = {
        { "{\"choices\":[{\"message\":{\"content\":\"h\xc3\xa9llo "
          "\\ud83d\\ude00\\u2028\"}}]}", TEE_CHAT },
        { "{\"tee_signature\":\"x\",\"tee_id\":5,\"choices\":[{\"message\":"
          "{\"tool_calls\":[{\"id\":\"\\ud800\",\"x\":1e400}]},"
          "\"finish_reason\":\"tool_calls\"}],\"tee_timestamp\":{}}",
          TEE_CHAT },
        { "{\"choices\":[{\"text\":\"\"}]}", TEE_CHAT_COMPLETIONS },
        { "{ \"tee_id\" : \"x\" , \"content\":\"a\"}", TEE_CHAT_WEB_SEARCH }
    };

    c.key = write_key;
    tee_keccak256(tee_sig_key_public(write_key), c.id);
    memset(c.request, 7, 32);

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        c.body = unit_text(cases[i].in);
        c.endpoint = cases[i].endpoint;

        unit_ok(write_round(&c) == TEE_OK, "signed and verified: %s",
                cases[i].in);
    }

    unit_oom(write_round, &c, TEE_OK, "a round");
    unit_crypto_oom(write_round, &c, TEE_OK, "a round");

    unit_crypto_reset(1);
    memset(zero, 0, sizeof(zero));
    unit_ok(tee_signed_make(&s, c.request, c.request, 1, c.id, c.key)
            == TEE_NOMEM && memcmp(&s, zero, sizeof(s)) == 0,
            "no memory, no members");
    unit_crypto_reset(0);

    unit_ok(tee_signed_make(&s, c.request, c.id, UINT64_MAX, c.id, c.key)
            == TEE_OK && s.timestamp[24] == 0xff && s.timestamp[23] == 0
            && memcmp(s.request_hash, c.request, 32) == 0
            && memcmp(s.output_hash, c.id, 32) == 0
            && memcmp(s.tee_id, c.id, 32) == 0 && s.signature_len == 256,
            "all members");
}


int
main(void)
{
    unit_crypto_init();

    write_key = sample_key();

    write_table();
    write_refused();
    write_members();
    write_rounds();

    tee_sig_key_free(write_key);

    return unit_done();
}
