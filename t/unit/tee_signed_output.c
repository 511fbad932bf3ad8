
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <string.h>

#include <tee_canon.h>
#include <tee_signed_output.h>

#include "unit.h"


typedef struct {
    tee_chat_endpoint_t   endpoint;
    const char           *in;
    const char           *says;                /* what is hashed */
    tee_rc_t              rc;
} output_case_t;


#define MESSAGE(m)  "{\"choices\":[{\"message\":" m "}]}"
#define CALLS(c)                                                              \
    "{\"choices\":[{\"finish_reason\":\"tool_calls\",\"message\":{"           \
    "\"content\":\"x\",\"tool_calls\":" c "}}]}"


static const output_case_t  output_cases[] = {
    { TEE_CHAT, MESSAGE("{\"content\":\"hi\"}"), "hi", TEE_OK },
    { TEE_CHAT, MESSAGE("{\"content\":\"\"}"), "", TEE_OK },
    { TEE_CHAT, MESSAGE("{\"content\":null}"), "", TEE_OK },
    { TEE_CHAT, MESSAGE("{}"), "", TEE_OK },
    { TEE_CHAT, MESSAGE("null"), "", TEE_OK },
    { TEE_CHAT, MESSAGE("\"hi\""), "", TEE_OK },
    { TEE_CHAT, MESSAGE("{\"content\":\"\\u00e9\\u0000\"}"), NULL, TEE_OK },
    { TEE_CHAT, MESSAGE("{\"content\":[\"a\",{\"text\":\"b\"},{},"
      "{\"type\":\"image\"},\"c\"]}"), "abc", TEE_OK },
    { TEE_CHAT, MESSAGE("{\"content\":[]}"), "", TEE_OK },
    { TEE_CHAT, MESSAGE("{\"content\":\"a\",\"tool_calls\":[{\"a\":1}]}"),
      "a", TEE_OK },
    { TEE_CHAT, "{}", "", TEE_OK },
    { TEE_CHAT, "[]", "", TEE_OK },
    { TEE_CHAT, "{\"choices\":null}", "", TEE_OK },
    { TEE_CHAT, "{\"choices\":[]}", "", TEE_OK },
    { TEE_CHAT, "{\"choices\":[{}]}", "", TEE_OK },
    { TEE_CHAT, "{\"choices\":[{\"index\":0,\"message\":{\"content\":\"a\"}}]"
      "}", "a", TEE_OK },
    { TEE_CHAT, "{\"choices\":[{\"index\":0.0,\"text\":\"\",\"delta\":{}}]}",
      "", TEE_OK },
    { TEE_CHAT, "{\"choices\":[{\"index\":null}]}", "", TEE_OK },

    { TEE_CHAT, CALLS("[{\"b\":1.0,\"a\":\"\\u00e9\"},2]"),
      "[{\"a\": \"\\u00e9\", \"b\": 1.0}, 2]", TEE_OK },
    { TEE_CHAT, CALLS("[]"), "x", TEE_OK },
    { TEE_CHAT, CALLS("null"), "x", TEE_OK },
    { TEE_CHAT, CALLS("{\"a\":1}"), "x", TEE_OK },
    { TEE_CHAT, CALLS("[null]"), "[null]", TEE_OK },
    { TEE_CHAT, "{\"choices\":[{\"finish_reason\":\"stop\",\"message\":{"
      "\"content\":\"x\",\"tool_calls\":[1]}}]}", "x", TEE_OK },

    { TEE_CHAT_COMPLETIONS, "{\"choices\":[{\"text\":\"a\"}]}", "a",
      TEE_OK },
    { TEE_CHAT_COMPLETIONS, "{\"choices\":[{\"text\":\"a\","
      "\"finish_reason\":\"tool_calls\",\"tool_calls\":[1]}]}", "a",
      TEE_OK },
    { TEE_CHAT_COMPLETIONS, "{\"choices\":[{}]}", "", TEE_OK },
    { TEE_CHAT_COMPLETIONS, "{\"content\":\"a\"}", "", TEE_OK },
    { TEE_CHAT_WEB_SEARCH, "{\"content\":\"a\"}", "a", TEE_OK },
    { TEE_CHAT_WEB_SEARCH, "{\"content\":[{\"text\":\"a\"},\"b\"],"
      "\"choices\":5}", "ab", TEE_OK },
    { TEE_CHAT_WEB_SEARCH, "{}", "", TEE_OK },

    /* no text */
    { TEE_CHAT, MESSAGE("{\"content\":1}"), NULL, TEE_UNSUPPORTED },
    { TEE_CHAT, MESSAGE("{\"content\":true}"), NULL, TEE_UNSUPPORTED },
    { TEE_CHAT, MESSAGE("{\"content\":{}}"), NULL, TEE_UNSUPPORTED },
    { TEE_CHAT, MESSAGE("{\"content\":[\"a\",1]}"), NULL, TEE_UNSUPPORTED },
    { TEE_CHAT, MESSAGE("{\"content\":[null]}"), NULL, TEE_UNSUPPORTED },
    { TEE_CHAT, MESSAGE("{\"content\":[[\"a\"]]}"), NULL, TEE_UNSUPPORTED },
    { TEE_CHAT, MESSAGE("{\"content\":[{\"text\":null}]}"), NULL,
      TEE_UNSUPPORTED },
    { TEE_CHAT, MESSAGE("{\"content\":[{\"text\":[]}]}"), NULL,
      TEE_UNSUPPORTED },
    { TEE_CHAT, MESSAGE("{\"content\":\"\\ud800\"}"), NULL, TEE_MALFORMED },
    { TEE_CHAT, MESSAGE("{\"content\":[\"a\",{\"text\":\"\\udfff\"}]}"), NULL,
      TEE_MALFORMED },
    { TEE_CHAT_COMPLETIONS, "{\"choices\":[{\"text\":1}]}", NULL,
      TEE_UNSUPPORTED },
    { TEE_CHAT_WEB_SEARCH, "{\"content\":1}", NULL, TEE_UNSUPPORTED },

    /* which one, others could ask */
    { TEE_CHAT, "{\"choices\":[{},{}]}", NULL, TEE_UNSUPPORTED },
    { TEE_CHAT, "{\"choices\":{}}", NULL, TEE_UNSUPPORTED },
    { TEE_CHAT, "{\"choices\":\"\"}", NULL, TEE_UNSUPPORTED },
    { TEE_CHAT, "{\"choices\":[null]}", NULL, TEE_UNSUPPORTED },
    { TEE_CHAT, "{\"choices\":[[]]}", NULL, TEE_UNSUPPORTED },
    { TEE_CHAT, "{\"choices\":[{\"index\":1}]}", NULL, TEE_UNSUPPORTED },
    { TEE_CHAT, "{\"choices\":[{\"index\":\"0\"}]}", NULL, TEE_UNSUPPORTED },
    { TEE_CHAT, "{\"choices\":[{\"index\":false}]}", NULL, TEE_UNSUPPORTED },
    { TEE_CHAT, "{\"choices\":[{\"index\":0.5}]}", NULL, TEE_UNSUPPORTED },
    { TEE_CHAT, "{\"choices\":[{\"text\":\"a\",\"message\":{}}]}", NULL,
      TEE_UNSUPPORTED },
    { TEE_CHAT, "{\"choices\":[{\"delta\":{\"content\":\"\"}}]}", NULL,
      TEE_UNSUPPORTED },
    { TEE_CHAT_COMPLETIONS, "{\"choices\":[{\"message\":{\"a\":1}}]}", NULL,
      TEE_UNSUPPORTED },
    { TEE_CHAT_COMPLETIONS, "{\"choices\":[{\"text\":\"a\",\"delta\":1}]}",
      NULL, TEE_UNSUPPORTED },

    /* or find another one */
    { TEE_CHAT, "{\"Choices\":[]}", NULL, TEE_UNSUPPORTED },
    { TEE_CHAT, "{\"choices\":[{\"MESSAGE\":{}}]}", NULL, TEE_UNSUPPORTED },
    { TEE_CHAT, MESSAGE("{\"conTent\":\"a\"}"), NULL, TEE_UNSUPPORTED },
    { TEE_CHAT, MESSAGE("{\"content\":\"a\",\"Content\":\"a\"}"), NULL,
      TEE_UNSUPPORTED },
    { TEE_CHAT, MESSAGE("{\"content\":[{\"Text\":\"a\"}]}"), NULL,
      TEE_UNSUPPORTED },
    { TEE_CHAT_WEB_SEARCH, "{\"content\":\"a\",\"Content\":\"b\"}", NULL,
      TEE_UNSUPPORTED },
    { TEE_CHAT_WEB_SEARCH, "{\"content\":[{\"TYPE\":1}]}", NULL,
      TEE_UNSUPPORTED },
    { TEE_CHAT_COMPLETIONS, "{\"choices\":[{\"Text\":\"a\"}]}", NULL,
      TEE_UNSUPPORTED }
};


static void
output_table(void)
{
    size_t                i;
    uint8_t               output[32], want[32];
    tee_rc_t              rc;
    tee_str_t             in, says;
    tee_json_doc_t        doc;
    const output_case_t  *c;

    for (i = 0; i < sizeof(output_cases) / sizeof(output_cases[0]); i++) {
        c = &output_cases[i];

        unit_memory_reset(0);

        in = unit_copy(c->in, strlen(c->in));

        if (tee_canon_parse(in, 50, &unit_alloc, &doc) != TEE_OK) {
            unit_ok(0, "JSON: %s", c->in);
            unit_free(in);
            continue;
        }

        if (c->says) {
            tee_keccak256(unit_text(c->says), want);

        } else {
            says.len = 3;
            says.data = (const uint8_t *) "\xc3\xa9\0";
            tee_keccak256(says, want);
        }

        rc = tee_signed_output(doc.root, c->endpoint, &unit_alloc, output);

        unit_ok(rc == c->rc && (rc != TEE_OK || memcmp(output, want, 32) == 0),
                "%s", c->in);

        tee_json_free(&doc);
        unit_free(in);

        unit_ok(unit_memory.live == 0, "no leak");
    }
}


/* Every name with a meaning, with one letter changed, and as it is. */

static void
output_names(void)
{
    char            text[64];
    size_t          i, at, len;
    unsigned        cased, as_is;
    tee_str_t       in;
    tee_json_doc_t  doc;

    static const char *const  names[] = {
        "arguments", "body", "choices", "content", "delta", "error",
        "finish_reason", "function", "id", "index", "message", "name",
        "role", "status", "tee_id", "tee_output_hash", "tee_request_hash",
        "tee_signature", "tee_timestamp", "text", "tool_calls", "type",
        "model", "usage"
    };

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        len = strlen(names[i]);
        cased = 0;
        as_is = 0;

        for (at = 0; at <= len; at++) {
            text[0] = '{';
            text[1] = '"';
            memcpy(text + 2, names[i], len);
            memcpy(text + 2 + len, "\":1}", 4);

            if (at < len && names[i][at] != '_') {
                text[2 + at] = (char) (text[2 + at] - 'a' + 'A');
            }

            in = unit_copy(text, len + 6);

            if (tee_canon_parse(in, 5, &unit_alloc, &doc) == TEE_OK) {

                if (tee_signed_names(doc.root) == TEE_OK) {
                    as_is++;

                } else {
                    cased++;
                }

                tee_json_free(&doc);
            }

            unit_free(in);
        }

        for (at = 0; at < len; at++) {
            as_is -= names[i][at] == '_';
        }

        if (i < 22) {
            unit_ok(as_is == 1 && cased, "another case of \"%s\" is told",
                    names[i]);

        } else {
            unit_ok(cased == 0, "that of \"%s\" does not matter", names[i]);
        }
    }

    unit_ok(tee_signed_names(NULL) == TEE_OK, "nothing has no names");
}


static void
output_only(void)
{
    size_t             i, k;
    tee_rc_t           rc;
    tee_str_t          in;
    tee_json_doc_t     doc;
    const tee_json_t  *choice;

    static const char *const  parts[] = { "message", "delta", "text" };

    static const char *const  texts[] = {
        "{\"choices\":[{\"message\":\"a\"}]}",
        "{\"choices\":[{\"delta\":\"a\"}]}",
        "{\"choices\":[{\"text\":\"a\"}]}"
    };

    for (i = 0; i < 3; i++) {
        in = unit_copy(texts[i], strlen(texts[i]));

        if (tee_canon_parse(in, 20, &unit_alloc, &doc) != TEE_OK) {
            unit_ok(0, "JSON");
            unit_free(in);
            continue;
        }

        for (k = 0; k < 3; k++) {
            rc = tee_signed_only(doc.root, parts[k], &choice);

            unit_ok(i == k ? rc == TEE_OK && choice
                             && tee_canon_get(choice, parts[k])
                           : rc == TEE_UNSUPPORTED && choice == NULL,
                    "%s where %s is read", parts[i], parts[k]);
        }

        tee_json_free(&doc);
        unit_free(in);
    }
}


static tee_rc_t
output_oom_run(void *ctx)
{
    uint8_t  output[32];

    return tee_signed_output(ctx, TEE_CHAT, &unit_alloc, output);
}


static void
output_oom(void)
{
    tee_str_t       in;
    tee_json_doc_t  doc;

    in = unit_text(CALLS("[{\"a\":\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
                         "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"}]"));

    unit_memory_reset(0);

    if (tee_canon_parse(in, 50, &unit_alloc, &doc) != TEE_OK) {
        unit_ok(0, "JSON");
        return;
    }

    /* the document stays, and is not counted */

    unit_oom(output_oom_run, doc.root, TEE_OK, "tool calls");

    tee_json_free(&doc);
}


int
main(void)
{
    output_table();
    output_names();
    output_only();
    output_oom();

    return unit_done();
}
