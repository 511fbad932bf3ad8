
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <string.h>

#include <tee_json.h>
#include <tee_jsonrpc.h>
#include <tee_keccak.h>

#include "unit.h"


#define HASH  "0xabababababababababababababababab" \
              "abababababababababababababababab"


typedef struct {
    const char           *body;
    tee_rc_t              rc;
    const char           *result;
} rpc_case_t;


static void
rpc_free(tee_str_t s)
{
    if (s.data) {
        unit_alloc.free(unit_alloc.ctx, (void *) (uintptr_t) s.data);
    }
}


static void
rpc_text(void)
{
    size_t      i;
    tee_rc_t    rc;
    tee_str_t   body, result;

    static const rpc_case_t  cases[] = {
        { "{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":\"x\"}", TEE_OK, "x" },
        { " {\"result\":\"\",\"id\":7}\n", TEE_OK, "" },
        { "{\"id\":7,\"result\":\"\\u0030\\n\",\"x\":[]}", TEE_OK, "0\n" },
        { "", TEE_MALFORMED, "" },
        { "<html>", TEE_MALFORMED, "" },
        { "null", TEE_MALFORMED, "" },
        { "\"x\"", TEE_MALFORMED, "" },
        { "[{\"id\":7,\"result\":\"x\"}]", TEE_MALFORMED, "" },
        { "{\"id\":7,\"result\":\"x\"}{}", TEE_MALFORMED, "" },
        { "{\"id\":7,\"result\":\"x\"", TEE_MALFORMED, "" },
        { "{\"id\":8,\"result\":\"x\"}", TEE_MALFORMED, "" },
        { "{\"id\":\"7\",\"result\":\"x\"}", TEE_MALFORMED, "" },
        { "{\"id\":7.0,\"result\":\"x\"}", TEE_MALFORMED, "" },
        { "{\"id\":07,\"result\":\"x\"}", TEE_MALFORMED, "" },
        { "{\"id\":4294967303,\"result\":\"x\"}", TEE_MALFORMED, "" },
        { "{\"id\":-7,\"result\":\"x\"}", TEE_MALFORMED, "" },
        { "{\"id\":null,\"result\":\"x\"}", TEE_MALFORMED, "" },
        { "{\"result\":\"x\"}", TEE_MALFORMED, "" },
        { "{\"id\":7}", TEE_MALFORMED, "" },
        { "{\"id\":7,\"result\":null}", TEE_MALFORMED, "" },
        { "{\"id\":7,\"result\":{}}", TEE_MALFORMED, "" },
        { "{\"id\":7,\"result\":[\"x\"]}", TEE_MALFORMED, "" },
        { "{\"id\":7,\"result\":1}", TEE_MALFORMED, "" },
        { "{\"id\":7,\"result\":true}", TEE_MALFORMED, "" },
        { "{\"id\":7,\"Result\":\"x\"}", TEE_MALFORMED, "" },
        { "{\"jsonrpc\":\"1.0\",\"id\":7,\"result\":\"x\"}", TEE_MALFORMED,
          "" },
        { "{\"jsonrpc\":2.0,\"id\":7,\"result\":\"x\"}", TEE_MALFORMED, "" },
        { "{\"jsonrpc\":\"2.0\",\"jsonrpc\":\"2.0\",\"id\":7,"
          "\"result\":\"x\"}", TEE_MALFORMED, "" },
        { "{\"id\":7,\"id\":7,\"result\":\"x\"}", TEE_MALFORMED, "" },
        { "{\"id\":7,\"result\":\"x\",\"result\":\"x\"}", TEE_MALFORMED, "" },
        { "{\"id\":7,\"result\":\"x\",\"\\u0072esult\":\"y\"}", TEE_MALFORMED,
          "" },
        { "{\"id\":7,\"result\":\"x\",\"error\":null}", TEE_MALFORMED, "" },
        { "{\"id\":7,\"result\":\"x\",\"error\":\"y\"}", TEE_MALFORMED, "" },
        { "{\"id\":7,\"result\":\"x\",\"error\":{}}", TEE_UNSUPPORTED, "" },
        { "{\"id\":7,\"error\":{},\"error\":{}}", TEE_MALFORMED, "" },
        { "{\"id\":7,\"error\":{\"code\":3}}", TEE_UNSUPPORTED, "" },
        { "{\"id\":null,\"error\":{\"code\":3}}", TEE_UNSUPPORTED, "" },
        { "{\"id\":8,\"error\":{\"code\":3}}", TEE_MALFORMED, "" },
        { "{\"error\":{\"code\":3}}", TEE_MALFORMED, "" },
        { "{\"id\":7,\"result\":\"\xff\"}", TEE_MALFORMED, "" },
        { "{\"id\":7,\"result\":\"\\ud800\"}", TEE_MALFORMED, "" }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        unit_memory_reset(0);
        body = unit_copy(cases[i].body, strlen(cases[i].body));
        rc = tee_jsonrpc_text(body, 7, &unit_alloc, &result, NULL);
        unit_ok(rc == cases[i].rc && unit_is(result, cases[i].result),
                "text, number %u", (unsigned) i);
        rpc_free(result);
        unit_free(body);

        if (unit_memory.live) {
            unit_ok(0, "text, number %u, leak", (unsigned) i);
        }
    }
}


static void
rpc_bytes(void)
{
    size_t      i;
    tee_rc_t    rc;
    tee_str_t   body, result;

    static const rpc_case_t  cases[] = {
        { "{\"id\":7,\"result\":\"0x\"}", TEE_OK, "" },
        { "{\"id\":7,\"result\":\"0x6162\"}", TEE_OK, "ab" },
        { "{\"id\":7,\"result\":\"0x6A4b\"}", TEE_OK, "jK" },
        { "{\"id\":7,\"result\":\"0x616\"}", TEE_MALFORMED, "" },
        { "{\"id\":7,\"result\":\"0X6162\"}", TEE_MALFORMED, "" },
        { "{\"id\":7,\"result\":\"6162\"}", TEE_MALFORMED, "" },
        { "{\"id\":7,\"result\":\"0x61zz\"}", TEE_MALFORMED, "" },
        { "{\"id\":7,\"result\":\"\"}", TEE_MALFORMED, "" },
        { "{\"id\":7,\"result\":\"0\"}", TEE_MALFORMED, "" },
        { "{\"id\":7,\"result\":\"0x61 62\"}", TEE_MALFORMED, "" },
        { "{\"id\":7,\"result\":61}", TEE_MALFORMED, "" },
        { "{\"id\":7,\"error\":{}}", TEE_UNSUPPORTED, "" }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        unit_memory_reset(0);
        body = unit_copy(cases[i].body, strlen(cases[i].body));
        rc = tee_jsonrpc_bytes(body, 7, &unit_alloc, &result, NULL);
        unit_ok(rc == cases[i].rc && unit_is(result, cases[i].result),
                "bytes, number %u", (unsigned) i);
        rpc_free(result);
        unit_free(body);

        if (unit_memory.live) {
            unit_ok(0, "bytes, number %u, leak", (unsigned) i);
        }
    }
}


static void
rpc_quantity(void)
{
    size_t      i;
    uint64_t    n;
    tee_rc_t    rc;

    static const struct {
        const char  *body;
        tee_rc_t     rc;
        uint64_t     n;
    } cases[] = {
        { "{\"id\":7,\"result\":\"0x0\"}", TEE_OK, 0 },
        { "{\"id\":7,\"result\":\"0x29f4\"}", TEE_OK, 10740 },
        { "{\"id\":7,\"result\":\"0xFFFFffffFFFFffff\"}", TEE_OK,
          UINT64_MAX },
        { "{\"id\":7,\"result\":\"0x10000000000000000\"}", TEE_MALFORMED,
          0 },
        { "{\"id\":7,\"result\":\"0x\"}", TEE_MALFORMED, 0 },
        { "{\"id\":7,\"result\":\"0x00\"}", TEE_MALFORMED, 0 },
        { "{\"id\":7,\"result\":\"0x01\"}", TEE_MALFORMED, 0 },
        { "{\"id\":7,\"result\":\"0xg\"}", TEE_MALFORMED, 0 },
        { "{\"id\":7,\"result\":\"1\"}", TEE_MALFORMED, 0 },
        { "{\"id\":7,\"result\":1}", TEE_MALFORMED, 0 },
        { "{\"id\":7,\"error\":{}}", TEE_UNSUPPORTED, 0 }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        n = 5;
        rc = tee_jsonrpc_quantity(unit_text(cases[i].body), 7, &unit_alloc,
                                  &n, NULL);
        unit_ok(rc == cases[i].rc && n == cases[i].n, "quantity, number %u",
                (unsigned) i);
    }
}


static void
rpc_block(void)
{
    size_t               i;
    tee_rc_t             rc;
    tee_jsonrpc_block_t  b;

    static const rpc_case_t  cases[] = {
        { "{\"id\":7,\"result\":{\"number\":\"0x10\",\"timestamp\":\"0x20\","
          "\"hash\":\"" HASH "\",\"transactions\":[\"0x1\"]}}", TEE_OK, "" },
        { "{\"id\":7,\"result\":null}", TEE_MALFORMED, "" },
        { "{\"id\":7,\"result\":\"0x10\"}", TEE_MALFORMED, "" },
        { "{\"id\":7,\"result\":{\"timestamp\":\"0x20\","
          "\"hash\":\"" HASH "\"}}", TEE_MALFORMED, "" },
        { "{\"id\":7,\"result\":{\"number\":\"0x10\","
          "\"hash\":\"" HASH "\"}}", TEE_MALFORMED, "" },
        { "{\"id\":7,\"result\":{\"number\":\"0x10\",\"timestamp\":\"0x20\"}}",
          TEE_MALFORMED, "" },
        { "{\"id\":7,\"result\":{\"number\":16,\"timestamp\":\"0x20\","
          "\"hash\":\"" HASH "\"}}", TEE_MALFORMED, "" },
        { "{\"id\":7,\"result\":{\"number\":\"0x10\",\"timestamp\":\"0x20\","
          "\"hash\":\"" HASH "00\"}}", TEE_MALFORMED, "" },
        { "{\"id\":7,\"result\":{\"number\":null,\"timestamp\":\"0x20\","
          "\"hash\":\"" HASH "\"}}", TEE_MALFORMED, "" },
        { "{\"id\":7,\"error\":{}}", TEE_UNSUPPORTED, "" }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        memset(&b, 9, sizeof(b));
        rc = tee_jsonrpc_read_block(unit_text(cases[i].body), 7, &unit_alloc,
                                    &b, NULL);
        unit_ok(rc == cases[i].rc
                && b.number == (rc == TEE_OK ? 16 : 0)
                && b.timestamp == (rc == TEE_OK ? 32 : 0)
                && b.hash[31] == (rc == TEE_OK ? 0xab : 0),
                "block, number %u", (unsigned) i);
    }
}


static void
rpc_error(void)
{
    size_t               i;
    char                 body[600];
    tee_rc_t             rc;
    tee_str_t            result;
    tee_jsonrpc_error_t  err;

    static const struct {
        const char  *error;
        int64_t      code;
        const char  *message;
    } cases[] = {
        { "{\"code\":-32005,\"message\":\"rate limited\"}", -32005,
          "rate limited" },
        { "{\"code\":3,\"message\":\"a\\nb\\u0000c\xc3\xa9\"}", 3,
          "a?b?c??" },
        { "{\"code\":1.5,\"message\":7}", 0, "" },
        { "{\"code\":\"1\"}", 0, "" },
        { "{\"code\":9223372036854775807}", INT64_MAX, "" },
        { "{\"code\":9223372036854775808}", 0, "" },
        { "{\"code\":-}", 0, NULL },
        { "{}", 0, "" }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        memset(body, 0, sizeof(body));
        strncat(body, "{\"id\":7,\"error\":", 100);
        strncat(body, cases[i].error, 400);
        strncat(body, "}", 2);

        memset(&err, 9, sizeof(err));
        rc = tee_jsonrpc_text(unit_text(body), 7, &unit_alloc, &result, &err);

        if (cases[i].message == NULL) {
            unit_ok(rc == TEE_MALFORMED && err.message[0] == '\0',
                    "error, number %u", (unsigned) i);
            continue;
        }

        unit_ok(rc == TEE_UNSUPPORTED && err.code == cases[i].code
                && strcmp(err.message, cases[i].message) == 0,
                "error, number %u", (unsigned) i);
    }

    memset(body, 'a', sizeof(body));
    memcpy(body, "{\"id\":7,\"error\":{\"message\":\"", 28);
    memcpy(body + sizeof(body) - 4, "\"}}", 4);
    rc = tee_jsonrpc_text(unit_text(body), 7, &unit_alloc, &result, &err);
    unit_ok(rc == TEE_UNSUPPORTED && strlen(err.message) == 127,
            "error, a long message");
}


static void
rpc_requests(void)
{
    size_t          i, n;
    uint8_t         buf[TEE_JSONRPC_REQUEST_LEN], contract[20], id[32];
    uint8_t         type[1] = { 3 }, digest[32];
    char            hex[9];
    tee_str_t       s;
    tee_json_doc_t  doc;

    static const char *const  signatures[] = {
        "getActiveTEEs(uint8)", "getTEEsByType(uint8)",
        "getEnabledTEEs(uint8)", "getTEE(bytes32)", "isTEEActive(bytes32)"
    };

    s.data = buf;

    s.len = tee_jsonrpc_chain_id(buf, 1);
    unit_ok(unit_is(s, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":"
                       "\"eth_chainId\",\"params\":[]}"), "chain id");

    s.len = tee_jsonrpc_block(buf, UINT32_MAX, TEE_JSONRPC_BLOCK_LATEST);
    unit_ok(unit_is(s, "{\"jsonrpc\":\"2.0\",\"id\":4294967295,\"method\":"
                       "\"eth_getBlockByNumber\",\"params\":[\"latest\","
                       "false]}"), "latest block");

    s.len = tee_jsonrpc_block(buf, 1, 0);
    unit_ok(unit_is(s, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":"
                       "\"eth_getBlockByNumber\",\"params\":[\"0x0\","
                       "false]}"), "block 0");

    memset(contract, 0xab, 20);
    memset(id, 0xcd, 32);

    s.len = tee_jsonrpc_call(buf, 2, 0x1f0, contract, TEE_CALL_ACTIVE_TEES,
                             type);
    unit_ok(unit_is(s, "{\"jsonrpc\":\"2.0\",\"id\":2,"
                       "\"method\":\"eth_call\","
                       "\"params\":[{\"to\":\"0xabababababababababababababababa"
                       "babababab\",\"data\":\"0x4b6014da000000000000000000000"
                       "0000000000000000000000000000000000000000003\"},"
                       "\"0x1f0\"]}"), "call");

    for (i = 0; i < 5; i++) {
        tee_keccak256(unit_text(signatures[i]), digest);
        n = tee_jsonrpc_call(buf, UINT32_MAX, UINT64_MAX - 1, contract,
                             (tee_call_t) i, i < 3 ? type : id);
        s.len = n;
        unit_ok(n < TEE_JSONRPC_REQUEST_LEN
                && tee_json_parse(s, 20, &unit_alloc, &doc) == TEE_OK,
                "%s is JSON", signatures[i]);
        tee_json_free(&doc);

        memset(hex, 0, sizeof(hex));
        memcpy(hex, strstr((char *) buf, "\"data\":\"0x") + 10, 8);
        s = unit_hex(hex);
        unit_ok(unit_equal(s, digest, 4), "%s, selector", signatures[i]);
        unit_free(s);
        s.data = buf;

        buf[n] = '\0';
        unit_ok((strstr((char *) buf, "cdcdcdcd\"") != NULL) == (i >= 3),
                "%s, argument", signatures[i]);
    }
}


static tee_rc_t
rpc_oom(void *ctx)
{
    tee_rc_t   rc;
    tee_str_t  result;

    rc = tee_jsonrpc_text(*(tee_str_t *) ctx, 7, &unit_alloc, &result, NULL);
    rpc_free(result);

    if (rc == TEE_OK) {
        rc = tee_jsonrpc_bytes(*(tee_str_t *) ctx, 7, &unit_alloc, &result,
                               NULL);
        rpc_free(result);
    }

    return rc;
}


int
main(void)
{
    tee_str_t  body;

    rpc_text();
    rpc_bytes();
    rpc_quantity();
    rpc_block();
    rpc_error();
    rpc_requests();

    body = unit_text("{\"id\":7,\"result\":\"0x6162\\u0036\\u0031\"}");
    unit_oom(rpc_oom, &body, TEE_OK, "result");

    return unit_done();
}
