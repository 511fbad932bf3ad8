
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <stdio.h>
#include <string.h>

#include <tee_chat.h>
#include <tee_inner.h>

#include "unit.h"


typedef struct {
    const char           *in;
    const char           *out;                 /* NULL: refused */
    tee_rc_t              rc;
    unsigned              stream;
} inner_case_t;


#define CHAT(messages)  "{\"model\":\"m\",\"messages\":[" messages "]"
#define USER            "{\"role\":\"user\",\"content\":\"x\"}"

#define OUT(messages)                                                         \
    "{\"messages\": [" messages "], \"model\": \"m\", \"temperature\": 0.0}"
#define OUT_USER        "{\"content\": \"x\", \"role\": \"user\"}"

#define BEFORE          "{\"messages\": [" OUT_USER "], \"model\": \"m\", "


static const inner_case_t  inner_chats[] = {
    { CHAT(USER) "}", OUT(OUT_USER), TEE_OK, 0 },

    /* what is sent, and what stays behind */
    { CHAT(USER) ",\"n\":3,\"user\":\"u\",\"seed\":1,\"metadata\":{},"
      "\"top_p\":0.5,\"endpoint\":\"web_search\",\"stream_options\":{}}",
      OUT(OUT_USER), TEE_OK, 0 },
    { CHAT(USER) ",\"stream\":true}",
      BEFORE "\"stream\": true, \"temperature\": 0.0}", TEE_OK, 1 },
    { CHAT(USER) ",\"stream\":1}",
      BEFORE "\"stream\": true, \"temperature\": 0.0}", TEE_OK, 1 },
    { CHAT(USER) ",\"stream\":false}", OUT(OUT_USER), TEE_OK, 0 },
    { CHAT(USER) ",\"stream\":null}", OUT(OUT_USER), TEE_OK, 0 },
    { CHAT(USER) ",\"tool_choice\":\"auto\"}",
      BEFORE "\"temperature\": 0.0, \"tool_choice\": \"auto\"}", TEE_OK, 0 },
    { CHAT(USER) ",\"tool_choice\":{\"b\":1,\"a\":[]}}",
      BEFORE "\"temperature\": 0.0, \"tool_choice\": {\"a\": [], \"b\": 1}}",
      TEE_OK, 0 },
    { CHAT(USER) ",\"tool_choice\":\"\"}",
      BEFORE "\"temperature\": 0.0, \"tool_choice\": \"\"}", TEE_OK, 0 },
    { CHAT(USER) ",\"tool_choice\":null}", OUT(OUT_USER), TEE_OK, 0 },

    { CHAT(USER) ",\"temperature\":1}", BEFORE "\"temperature\": 1.0}",
      TEE_OK, 0 },
    { CHAT(USER) ",\"temperature\":0.70}", BEFORE "\"temperature\": 0.7}",
      TEE_OK, 0 },
    { CHAT(USER) ",\"temperature\":-0.0}", BEFORE "\"temperature\": -0.0}",
      TEE_OK, 0 },
    { CHAT(USER) ",\"temperature\":-0}", BEFORE "\"temperature\": 0.0}",
      TEE_OK, 0 },
    { CHAT(USER) ",\"temperature\":null}", OUT(OUT_USER), TEE_OK, 0 },
    { CHAT(USER) ",\"temperature\":\"1\"}", NULL, TEE_UNSUPPORTED, 0 },
    { CHAT(USER) ",\"temperature\":true}", NULL, TEE_UNSUPPORTED, 0 },
    { CHAT(USER) ",\"temperature\":1e999}", NULL, TEE_UNSUPPORTED, 0 },
    { CHAT(USER) ",\"temperature\":NaN}", NULL, TEE_UNSUPPORTED, 0 },

    { CHAT(USER) ",\"max_tokens\":0}",
      "{\"max_tokens\": 0, \"messages\": [" OUT_USER "], \"model\": \"m\", "
      "\"temperature\": 0.0}", TEE_OK, 0 },
    { CHAT(USER) ",\"max_tokens\":null}", OUT(OUT_USER), TEE_OK, 0 },
    { CHAT(USER) ",\"stop\":[]}", OUT(OUT_USER), TEE_OK, 0 },
    { CHAT(USER) ",\"stop\":[\"\"],\"web_search\":\"x\",\"tools\":[{}],"
      "\"response_format\":{\"t\":1},\"aspect_ratio\":\"1:1\"}",
      "{\"aspect_ratio\": \"1:1\", \"messages\": [" OUT_USER "], "
      "\"model\": \"m\", \"response_format\": {\"t\": 1}, \"stop\": [\"\"], "
      "\"temperature\": 0.0, \"tools\": [{}], \"web_search\": true}",
      TEE_OK, 0 },
    { CHAT(USER) ",\"web_search\":false,\"tools\":[],\"response_format\":{},"
      "\"aspect_ratio\":\"\"}", OUT(OUT_USER), TEE_OK, 0 },
    { CHAT(USER) ",\"tools\":{\"a\":1}}", NULL, TEE_UNSUPPORTED, 0 },

    /* the last of two counts */
    { CHAT(USER) ",\"stream\":true,\"stream\":false}", OUT(OUT_USER), TEE_OK,
      0 },
    { CHAT(USER) ",\"\\u0073tream\":true}",
      BEFORE "\"stream\": true, \"temperature\": 0.0}", TEE_OK, 1 },

    /* messages */
    { CHAT("{\"role\":\"developer\",\"content\":\"x\",\"name\":\"n\"}") "}",
      OUT("{\"content\": \"x\", \"role\": \"system\"}"), TEE_OK, 0 },
    { CHAT("{\"role\":\"system\",\"content\":[{\"b\":1,\"a\":2}]}") "}",
      OUT("{\"content\": [{\"a\": 2, \"b\": 1}], \"role\": \"system\"}"),
      TEE_OK, 0 },
    { CHAT("{\"role\":\"user\",\"name\":\"n\",\"content\":[{\"type\":"
           "\"image_url\",\"image_url\":{\"url\":\"data:\\u00e9\"}},"
           "{\"type\":\"text\",\"text\":\"\xc3\xa9\"}]}") "}",
      OUT("{\"content\": [{\"image_url\": {\"url\": \"data:\\u00e9\"}, "
          "\"type\": \"image_url\"}, {\"text\": \"\\u00e9\", \"type\": "
          "\"text\"}], \"role\": \"user\"}"), TEE_OK, 0 },
    { CHAT("{\"role\":\"user\"}") "}",
      OUT("{\"role\": \"user\"}"), TEE_OK, 0 },
    { CHAT(USER "," USER) "}", OUT(OUT_USER ", " OUT_USER), TEE_OK, 0 },
    { CHAT("{\"role\":\"assistant\",\"content\":null}") "}",
      OUT("{\"content\": \"\", \"role\": \"assistant\"}"), TEE_OK, 0 },
    { CHAT("{\"role\":\"assistant\",\"refusal\":1,\"tool_calls\":[]}") "}",
      OUT("{\"content\": \"\", \"role\": \"assistant\"}"), TEE_OK, 0 },
    { CHAT("{\"role\":\"assistant\",\"content\":\"t\",\"tool_calls\":["
           "{\"id\":\"1\",\"type\":\"function\",\"index\":0,\"function\":"
           "{\"name\":\"f\",\"arguments\":\"{}\",\"x\":1}},{}]}") "}",
      OUT("{\"content\": \"t\", \"role\": \"assistant\", \"tool_calls\": ["
          "{\"function\": {\"arguments\": \"{}\", \"name\": \"f\"}, "
          "\"id\": \"1\", \"type\": \"function\"}, "
          "{\"function\": {\"arguments\": \"\", \"name\": \"\"}, "
          "\"id\": \"\", \"type\": \"function\"}]}"), TEE_OK, 0 },
    { CHAT("{\"role\":\"tool\",\"content\":\"r\",\"tool_call_id\":\"1\"}") "}",
      OUT("{\"content\": \"r\", \"role\": \"tool\", \"tool_call_id\": "
          "\"1\"}"), TEE_OK, 0 },
    { CHAT("{\"role\":\"function\",\"content\":\"r\",\"name\":\"f\"}") "}",
      OUT("{\"content\": \"r\", \"name\": \"f\", \"role\": \"function\"}"),
      TEE_OK, 0 },
    { CHAT("{\"role\":\"tool\"}") "}",
      OUT("{\"role\": \"tool\"}"), TEE_OK, 0 },
    { CHAT("{\"role\":\"user\",\"content\":null}") "}",
      OUT("{\"content\": null, \"role\": \"user\"}"), TEE_OK, 0 },

    /* what is refused */
    { "", NULL, TEE_MALFORMED, 0 },
    { "[]", NULL, TEE_MALFORMED, 0 },
    { "{\"model\":\"m\"}", NULL, TEE_MALFORMED, 0 },
    { "{\"model\":\"\",\"messages\":[" USER "]}", NULL, TEE_MALFORMED, 0 },
    { "{\"model\":1,\"messages\":[" USER "]}", NULL, TEE_MALFORMED, 0 },
    { "{\"messages\":[" USER "]}", NULL, TEE_MALFORMED, 0 },
    { CHAT("") "}", NULL, TEE_MALFORMED, 0 },
    { "{\"model\":\"m\",\"messages\":{}}", NULL, TEE_MALFORMED, 0 },
    { CHAT("1") "}", NULL, TEE_MALFORMED, 0 },
    { CHAT(USER ",null") "}", NULL, TEE_MALFORMED, 0 },
    { CHAT("{}") "}", NULL, TEE_UNSUPPORTED, 0 },
    { CHAT("{\"role\":\"User\"}") "}", NULL, TEE_UNSUPPORTED, 0 },
    { CHAT("{\"role\":1}") "}", NULL, TEE_UNSUPPORTED, 0 },
    { CHAT("{\"role\":\"assistant\",\"tool_calls\":{\"a\":1}}") "}", NULL,
      TEE_UNSUPPORTED, 0 },
    { CHAT("{\"role\":\"assistant\",\"tool_calls\":[1]}") "}", NULL,
      TEE_MALFORMED, 0 },
    { CHAT("{\"role\":\"assistant\",\"tool_calls\":[{\"function\":1}]}") "}",
      NULL, TEE_MALFORMED, 0 },
    { CHAT(USER) ",\"a\":\"\xff\"}", NULL, TEE_MALFORMED, 0 }
};


static const inner_case_t  inner_searches[] = {
    { "{\"query\":\"q\",\"user\":\"u\",\"metadata\":1,\"x-request-id\":1,"
      "\"request_id\":1,\"endpoint\":\"chat.completions\",\"n\":2.50,"
      "\"a\":null,\"stream\":true}",
      "{\"endpoint\": \"web_search\", \"a\": null, \"n\": 2.5, "
      "\"query\": \"q\", \"stream\": true}", TEE_OK, 0 },
    { "{}", "{\"endpoint\": \"web_search\"}", TEE_OK, 0 },
    { "[]", NULL, TEE_MALFORMED, 0 },
    { "{", NULL, TEE_MALFORMED, 0 }
};


static tee_rc_t
inner_run(tee_str_t in, tee_inner_endpoint_t endpoint, tee_inner_t *inner,
    tee_write_t *w)
{
    tee_write_grow(w, &unit_alloc);

    return tee_inner_request(in, endpoint, &unit_alloc, inner, w);
}


static void
inner_case(const inner_case_t *c, tee_inner_endpoint_t endpoint)
{
    tee_rc_t     rc;
    tee_str_t    in, out;
    tee_inner_t  inner;
    tee_write_t  w;

    unit_memory_reset(0);

    in = unit_copy(c->in, strlen(c->in));

    rc = inner_run(in, endpoint, &inner, &w);

    out.data = w.data;
    out.len = w.len;

    unit_ok(rc == c->rc && inner.stream == c->stream
            && (rc == TEE_OK) == (inner.why == NULL)
            && (rc != TEE_OK || unit_is(out, c->out)), "%s", c->in);

    tee_write_free(&w);
    unit_free(in);

    unit_ok(unit_memory.live == 0, "no leak");
}


/* What a gateway signs about what is sent, it signs about what was asked. */

static void
inner_signed(const inner_case_t *c)
{
    uint8_t      asked[32], sent[32];
    tee_rc_t     rc, was;
    tee_str_t    in, out;
    tee_inner_t  inner;
    tee_write_t  w;

    if (c->rc != TEE_OK) {
        return;
    }

    in = unit_copy(c->in, strlen(c->in));

    if (inner_run(in, TEE_INNER_CHAT, &inner, &w) == TEE_OK) {
        out.data = w.data;
        out.len = w.len;

        was = tee_chat_hash(in, TEE_CHAT, &tee_chat_newest, &unit_alloc,
                            asked);
        rc = tee_chat_hash(out, TEE_CHAT, &tee_chat_newest, &unit_alloc,
                           sent);

        /* others have a default here, or another name for a role */

        if (was == TEE_OK && strstr(c->in, ",{}]") == NULL) {
            unit_ok(rc == TEE_OK && memcmp(asked, sent, 32) == 0,
                    "signed: %s", c->in);
        }
    }

    tee_write_free(&w);
    unit_free(in);
}


static tee_rc_t
inner_oom_run(void *ctx)
{
    tee_rc_t     rc;
    tee_inner_t  inner;
    tee_write_t  w;

    rc = inner_run(*(tee_str_t *) ctx, TEE_INNER_CHAT, &inner, &w);

    tee_write_free(&w);

    return rc;
}


static void
inner_cut(void)
{
    size_t       len, bad;
    tee_str_t    in, cut;
    tee_inner_t  inner;
    tee_write_t  w;

    in = unit_text(CHAT(USER) ",\"stream\":true,\"tools\":[{\"a\":\"\\u00e9\"}]"
                   "}");

    unit_oom(inner_oom_run, &in, TEE_OK, "a request");

    for (len = 0, bad = 0; len < in.len; len++) {
        cut = unit_copy(in.data, len);

        bad += inner_run(cut, TEE_INNER_CHAT, &inner, &w) != TEE_MALFORMED
               || inner.stream || inner.why == NULL;

        tee_write_free(&w);
        unit_free(cut);
    }

    unit_ok(bad == 0, "every prefix is refused");
}


int
main(void)
{
    size_t  i;

    for (i = 0; i < sizeof(inner_chats) / sizeof(inner_chats[0]); i++) {
        inner_case(&inner_chats[i], TEE_INNER_CHAT);
        inner_signed(&inner_chats[i]);
    }

    for (i = 0; i < sizeof(inner_searches) / sizeof(inner_searches[0]); i++) {
        inner_case(&inner_searches[i], TEE_INNER_WEB_SEARCH);
    }

    inner_cut();

    return unit_done();
}
