
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <string.h>

#include <tee_canon.h>
#include <tee_chat.h>
#include <tee_keccak.h>

#include "unit.h"


typedef struct {
    const char           *in;
    const char           *out;                 /* NULL: refused */
    tee_rc_t              rc;
} chat_case_t;


/* The rest of a request, before what a case is about. */

#define CHAT(messages)  "{\"model\":\"m\",\"messages\":[" messages "]"
#define USER            "{\"role\":\"user\",\"content\":\"x\"}"

#define OUT(messages)                                                         \
    "{\"messages\": [" messages "], \"model\": \"m\", \"temperature\": 0.0}"
#define OUT_USER        "{\"content\": \"x\", \"role\": \"user\"}"

#define BEFORE          "\"messages\": [" OUT_USER "], \"model\": \"m\", "


/* Before there were pictures. */

static const tee_str_t  chat_july_names[] = {
    tee_string("web_search"),
    tee_string("tools"),
    tee_string("temperature"),
    tee_string("stop"),
    tee_string("response_format"),
    tee_string("max_tokens")
};

static const tee_chat_fields_t  chat_july = { 6, chat_july_names };


/* A member is there twice. */

static int
chat_differs(tee_str_t in)
{
    tee_rc_t        rc;
    tee_json_doc_t  doc;

    rc = tee_canon_parse_once(in, 131072, &unit_alloc, &doc);

    if (rc == TEE_OK) {
        tee_json_free(&doc);
    }

    return rc == TEE_UNSUPPORTED;
}


static tee_rc_t
chat_run(tee_str_t in, tee_chat_endpoint_t endpoint,
    const tee_chat_fields_t *fields, tee_write_t *w)
{
    uint8_t    hash[32], want[32];
    tee_rc_t   rc, hashed;
    tee_str_t  text;

    tee_write_grow(w, &unit_alloc);

    rc = tee_chat_canonical(in, endpoint, fields, &unit_alloc, w);

    memset(want, 0, 32);

    if (rc == TEE_OK) {
        text.len = w->len;
        text.data = w->data;
        tee_keccak256(text, want);
    }

    if (rc == TEE_NOMEM) {
        return rc;
    }

    hashed = tee_chat_hash(in, endpoint, fields, &unit_alloc, hash);

    /* what others might read differently has a text, but no hash */

    if (hashed == TEE_UNSUPPORTED && chat_differs(in)) {
        return rc;
    }

    if (hashed != rc) {
        return unit_memory.fail ? TEE_NOMEM : TEE_DONE;
    }

    return memcmp(hash, want, 32) == 0 ? rc : TEE_DONE;
}


static void
chat_case(const chat_case_t *c, tee_chat_endpoint_t endpoint,
    const tee_chat_fields_t *fields)
{
    tee_rc_t     rc;
    tee_str_t    in, out;
    tee_write_t  w;

    unit_memory_reset(0);

    in = unit_copy(c->in, strlen(c->in));
    rc = chat_run(in, endpoint, fields, &w);

    out.len = w.len;
    out.data = w.data;

    unit_ok(rc == c->rc && (rc != TEE_OK || unit_is(out, c->out)), "%s",
            c->in);

    tee_write_free(&w);
    unit_free(in);

    unit_ok(unit_memory.live == 0, "no leak");
}


static void
chat_bodies(void)
{
    size_t  i;

    static const chat_case_t  cases[] = {
        { CHAT(USER) "}", OUT(OUT_USER), TEE_OK },
        { CHAT(USER) ",\"temperature\":1,\"temperature\":null}",
          OUT(OUT_USER), TEE_OK },
        { CHAT(USER) ",\"temperature\":-0}", OUT(OUT_USER), TEE_OK },
        { CHAT(USER) ",\"temperature\":-0.0}",
          "{" BEFORE "\"temperature\": -0.0}", TEE_OK },
        { CHAT(USER) ",\"temperature\":9007199254740993}",
          "{" BEFORE "\"temperature\": 9007199254740992.0}", TEE_OK },
        { CHAT(USER) ",\"max_tokens\":100.0,\"n\":2,\"user\":\"u\"}",
          "{\"max_tokens\": 100.0, " BEFORE "\"temperature\": 0.0}", TEE_OK },
        { CHAT(USER) ",\"max_tokens\":null,\"stop\":\"\",\"tools\":[],"
          "\"response_format\":{},\"web_search\":0,\"aspect_ratio\":\"\"}",
          OUT(OUT_USER), TEE_OK },
        { CHAT(USER) ",\"aspect_ratio\":\"16:9\",\"stop\":[\"\"],"
          "\"tools\":[{\"b\":1.50,\"a\":[]}],\"web_search\":\"yes\","
          "\"response_format\":{\"type\":\"text\"}}",
          "{\"aspect_ratio\": \"16:9\", " BEFORE
          "\"response_format\": {\"type\": \"text\"}, \"stop\": [\"\"], "
          "\"temperature\": 0.0, \"tools\": [{\"a\": [], \"b\": 1.5}], "
          "\"web_search\": true}", TEE_OK },

        { CHAT("{\"role\":\"system\"}"),
          NULL, TEE_MALFORMED },
        { CHAT("") "}", NULL, TEE_MALFORMED },
        { CHAT("1") "}", NULL, TEE_MALFORMED },
        { "{\"model\":\"m\"}", NULL, TEE_MALFORMED },
        { "{\"model\":\"m\",\"messages\":{}}", NULL, TEE_MALFORMED },
        { "{\"messages\":[" USER "]}", NULL, TEE_MALFORMED },
        { "{\"messages\":[" USER "],\"model\":null}", NULL, TEE_MALFORMED },
        { "[]", NULL, TEE_MALFORMED },
        { "", NULL, TEE_MALFORMED },
        { CHAT(USER) ",\"temperature\":true}", NULL, TEE_UNSUPPORTED },
        { CHAT(USER) ",\"temperature\":\"1\"}", NULL, TEE_UNSUPPORTED },
        { CHAT(USER) ",\"tools\":{\"a\":1}}", NULL, TEE_UNSUPPORTED }
    };

    static const chat_case_t  before = {
        CHAT(USER) ",\"aspect_ratio\":\"16:9\"}", OUT(OUT_USER), TEE_OK
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        chat_case(&cases[i], TEE_CHAT, &tee_chat_newest);
    }

    chat_case(&before, TEE_CHAT, &chat_july);
}


static void
chat_messages(void)
{
    size_t  i;

    static const chat_case_t  cases[] = {

        /* who says it */

        { CHAT("{\"role\":\"system\"}") "}",
          OUT("{\"content\": null, \"role\": \"system\"}"), TEE_OK },
        { CHAT("{\"role\":\"system\",\"content\":[{\"b\":1,\"a\":2}]}") "}",
          OUT("{\"content\": [{\"a\": 2, \"b\": 1}], \"role\": \"system\"}"),
          TEE_OK },
        { CHAT("{\"role\":\"tool\",\"content\":\"r\",\"name\":\"n\"}") "}",
          OUT("{\"content\": \"r\", \"role\": \"tool\", "
              "\"tool_call_id\": null}"), TEE_OK },
        { CHAT("{\"role\":\"tool\",\"tool_call_id\":\"c\"}") "}",
          OUT("{\"content\": null, \"role\": \"tool\", "
              "\"tool_call_id\": \"c\"}"), TEE_OK },
        { CHAT("{\"role\":\"function\",\"name\":\"f\"}") "}",
          OUT("{\"content\": null, \"name\": \"f\", "
              "\"role\": \"function\"}"), TEE_OK },
        { CHAT("{\"role\":\"tool\",\"tool_call_id\":5}") "}", NULL,
          TEE_UNSUPPORTED },
        { CHAT("{\"role\":\"tool\",\"tool_call_id\":null}") "}", NULL,
          TEE_MALFORMED },
        { CHAT("{\"role\":\"function\",\"content\":[]}") "}", NULL,
          TEE_UNSUPPORTED },
        { CHAT("{\"role\":\"developer\",\"content\":\"x\"}") "}", NULL,
          TEE_MALFORMED },
        { CHAT("{\"content\":\"x\"}") "}", NULL, TEE_MALFORMED },
        { CHAT("{\"role\":\"user\",\"content\":null}") "}", NULL,
          TEE_MALFORMED },
        { CHAT("{\"role\":\"system\",\"content\":null}") "}", NULL,
          TEE_MALFORMED },

        /* what a user says */

        { CHAT("{\"role\":\"user\"}") "}",
          OUT("{\"content\": \"None\", \"role\": \"user\"}"), TEE_OK },
        { CHAT("{\"role\":\"user\",\"content\":1.50}") "}",
          OUT("{\"content\": \"1.5\", \"role\": \"user\"}"), TEE_OK },
        { CHAT("{\"role\":\"user\",\"content\":-0}") "}",
          OUT("{\"content\": \"0\", \"role\": \"user\"}"), TEE_OK },
        { CHAT("{\"role\":\"user\",\"content\":1e999}") "}", NULL,
          TEE_UNSUPPORTED },
        { CHAT("{\"role\":\"user\",\"content\":{}}") "}", NULL,
          TEE_UNSUPPORTED },
        { CHAT("{\"role\":\"user\",\"content\":[]}") "}",
          OUT("{\"content\": [], \"role\": \"user\"}"), TEE_OK },
        { CHAT("{\"role\":\"user\",\"content\":[\"a\",true,null,5]}") "}",
          OUT("{\"content\": [{\"text\": \"a\", \"type\": \"text\"}, "
              "{\"text\": \"True\", \"type\": \"text\"}, "
              "{\"text\": \"None\", \"type\": \"text\"}, "
              "{\"text\": \"5\", \"type\": \"text\"}], "
              "\"role\": \"user\"}"), TEE_OK },
        { CHAT("{\"role\":\"user\",\"content\":[[]]}") "}", NULL,
          TEE_UNSUPPORTED },
        { CHAT("{\"role\":\"user\",\"content\":[{\"type\":\"text\","
               "\"text\":5,\"x\":1},{\"type\":\"text\",\"text\":0},{}]}") "}",
          OUT("{\"content\": [{\"text\": 5, \"type\": \"text\"}, "
              "{\"text\": \"\", \"type\": \"text\"}, {\"type\": null}], "
              "\"role\": \"user\"}"), TEE_OK },
        { CHAT("{\"role\":\"user\",\"content\":[{\"type\":\"file\","
               "\"file\":{\"filename\":\"a\",\"file_data\":\"b\"},"
               "\"filename\":\"c\"},{\"type\":\"image_url\","
               "\"image_url\":{\"url\":\"x\"},\"file\":\"y\"}]}") "}",
          OUT("{\"content\": [{\"filename\": \"a\", \"type\": \"file\"}, "
              "{\"type\": \"image_url\"}], \"role\": \"user\"}"), TEE_OK },

        /* what a model has said */

        { CHAT("{\"role\":\"assistant\",\"content\":null,"
               "\"tool_calls\":[]}") "}",
          OUT("{\"content\": \"\", \"role\": \"assistant\"}"), TEE_OK },
        { CHAT("{\"role\":\"assistant\",\"tool_calls\":[{\"id\":\"c\","
               "\"type\":\"function\",\"function\":{\"name\":\"f\","
               "\"arguments\":\"{}\",\"x\":1}},{},7]}") "}",
          OUT("{\"content\": \"\", \"role\": \"assistant\", \"tool_calls\": "
              "[{\"function\": {\"arguments\": \"{}\", \"name\": \"f\"}, "
              "\"id\": \"c\", \"type\": \"function\"}, "
              "{\"function\": {\"arguments\": null, \"name\": null}, "
              "\"id\": null, \"type\": null}, "
              "{\"function\": {\"arguments\": null, \"name\": null}, "
              "\"id\": null, \"type\": null}]}"), TEE_OK },
        { CHAT("{\"role\":\"assistant\",\"tool_calls\":"
               "[{\"function\":null}]}") "}", NULL, TEE_MALFORMED },
        { CHAT("{\"role\":\"assistant\",\"tool_calls\":\"x\"}") "}", NULL,
          TEE_UNSUPPORTED }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        chat_case(&cases[i], TEE_CHAT, &tee_chat_newest);
    }
}


static void
chat_others(void)
{
    size_t  i;

    static const chat_case_t  completions[] = {
        { "{\"model\":\"m\",\"prompt\":\"hi\",\"n\":3}",
          "{\"max_tokens\": 16, \"model\": \"m\", \"prompt\": \"hi\", "
          "\"temperature\": 1.0}", TEE_OK },
        { "{\"model\":\"m\",\"prompt\":\"hi\",\"max_tokens\":null,"
          "\"temperature\":null,\"stop\":\"s\",\"web_search\":1}",
          "{\"model\": \"m\", \"prompt\": \"hi\", \"stop\": \"s\", "
          "\"temperature\": 0.0, \"web_search\": true}", TEE_OK },
        { "{\"model\":\"m\",\"prompt\":\"hi\",\"tools\":[1],"
          "\"response_format\":{\"a\":1},\"aspect_ratio\":\"1:1\"}",
          "{\"max_tokens\": 16, \"model\": \"m\", \"prompt\": \"hi\", "
          "\"temperature\": 1.0}", TEE_OK },
        { "{\"model\":\"m\",\"prompt\":\"hi\",\"max_tokens\":5}",
          "{\"max_tokens\": 5, \"model\": \"m\", \"prompt\": \"hi\", "
          "\"temperature\": 1.0}", TEE_OK },
        { "{\"model\":\"m\"}", NULL, TEE_MALFORMED },
        { "{\"prompt\":\"m\"}", NULL, TEE_MALFORMED },
        { "{\"model\":\"m\",\"prompt\":\"hi\",\"temperature\":[]}", NULL,
          TEE_UNSUPPORTED }
    };

    static const chat_case_t  searches[] = {
        { "{\"query\":\"x\",\"endpoint\":\"web_search\",\"user\":\"u\","
          "\"metadata\":1,\"x-request-id\":2,\"request_id\":3,"
          "\"\\u0061\":[2.50]}",
          "{\"a\": [2.5], \"query\": \"x\"}", TEE_OK },
        { "{\"\\u0065ndpoint\":1}", "{}", TEE_OK },
        { "[]", NULL, TEE_MALFORMED }
    };

    for (i = 0; i < sizeof(completions) / sizeof(completions[0]); i++) {
        chat_case(&completions[i], TEE_CHAT_COMPLETIONS, &tee_chat_newest);
    }

    for (i = 0; i < sizeof(searches) / sizeof(searches[0]); i++) {
        chat_case(&searches[i], TEE_CHAT_WEB_SEARCH, &tee_chat_newest);
    }
}


/* Members that are signed because somebody said so. */

static void
chat_fields(void)
{
    size_t  i;

    static const tee_str_t  names[] = {
        tee_string("zeta"), tee_string("seed"), tee_string("model"),
        tee_string("seed"), tee_string("a\"b"), tee_string("modem"),
        tee_string("\xc3\xa9"), tee_string("tools"), tee_string("prompt"),
        tee_string("messages")
    };

    static const tee_chat_fields_t  none = { 0, NULL };
    static const tee_chat_fields_t  some = { 10, names };

    static const chat_case_t  few[] = {
        { CHAT(USER) ",\"temperature\":1,\"tools\":[1],\"max_tokens\":5,"
          "\"seed\":3,\"web_search\":true}",
          "{\"messages\": [" OUT_USER "], \"model\": \"m\"}", TEE_OK },
        { CHAT(USER) ",\"tools\":{\"a\":1}}", NULL, TEE_UNSUPPORTED }
    };

    static const chat_case_t  chats[] = {
        { CHAT(USER) ",\"zeta\":{\"b\":1.50,\"a\":0},\"seed\":3,"
          "\"a\\\"b\":\"x\",\"mode\":1,\"modem\":\"y\",\"\\u00e9\":[0],"
          "\"temperature\":1,\"tools\":[]}",
          "{\"a\\\"b\": \"x\", \"messages\": [" OUT_USER "], "
          "\"model\": \"m\", \"modem\": \"y\", \"seed\": 3, "
          "\"zeta\": {\"a\": 0, \"b\": 1.5}, \"\\u00e9\": [0]}", TEE_OK },
        { CHAT(USER) ",\"zeta\":{},\"seed\":0,\"a\\\"b\":\"\","
          "\"modem\":false,\"\\u00e9\":null,\"prompt\":\"p\"}",
          "{\"messages\": [" OUT_USER "], \"model\": \"m\", "
          "\"prompt\": \"p\"}", TEE_OK },
        { "{\"model\":\"\",\"messages\":[" USER "]}",
          "{\"messages\": [" OUT_USER "], \"model\": \"\"}", TEE_OK }
    };

    static const chat_case_t  completion = {
        "{\"model\":\"\",\"prompt\":\"\",\"tools\":[1],\"seed\":1,"
        "\"messages\":[0.50]}",
        "{\"messages\": [0.5], \"model\": \"\", \"prompt\": \"\", "
        "\"seed\": 1}", TEE_OK
    };

    for (i = 0; i < sizeof(few) / sizeof(few[0]); i++) {
        chat_case(&few[i], TEE_CHAT, &none);
    }

    for (i = 0; i < sizeof(chats) / sizeof(chats[0]); i++) {
        chat_case(&chats[i], TEE_CHAT, &some);
    }

    chat_case(&completion, TEE_CHAT_COMPLETIONS, &some);
}


/* A text that takes the hash a few pieces. */

static void
chat_long(void)
{
    size_t       i, n, bad;
    tee_rc_t     rc;
    tee_str_t    in;
    tee_write_t  w, out;

    bad = 0;

    for (n = 900; n < 3300; n = n < 1100 ? n + 1 : n + 97) {
        tee_write_grow(&w, &unit_alloc);
        tee_write_text(&w, "{\"model\":\"m\",\"messages\":[{\"role\":"
                       "\"user\",\"content\":\"");

        for (i = 0; i < n; i++) {
            tee_write_text(&w, i % 5 == 4 ? "\xc3\xa9" : "a");
        }

        tee_write_text(&w, "\"}]}");

        in = unit_copy(w.data, w.len);
        rc = chat_run(in, TEE_CHAT, &tee_chat_newest, &out);
        bad += rc != TEE_OK;

        tee_write_free(&out);
        tee_write_free(&w);
        unit_free(in);
    }

    unit_ok(bad == 0, "a text in pieces");
}


/* Nothing of what was asked is left in memory that was given back. */

static void
chat_wiped(void)
{
    tee_str_t    in;
    tee_write_t  w;

    in = unit_text("{\"model\":\"m\",\"secret name\":\"secret \\n text\","
                   "\"secret \\u0041\":NaN,\"messages\":[{\"role\":\"user\","
                   "\"content\":\"\\ud800 secret \\u00e9\"}]}");

    unit_watch("secret ");

    (void) !chat_run(in, TEE_CHAT, &tee_chat_newest, &w);
    tee_write_free(&w);
    (void) !chat_run(in, TEE_CHAT_WEB_SEARCH, &tee_chat_newest, &w);
    tee_write_free(&w);

    in.len--;
    (void) !chat_run(in, TEE_CHAT, &tee_chat_newest, &w);
    tee_write_free(&w);

    unit_ok(unit_unwiped == 0, "nothing is left in memory");

    unit_watch(NULL);
}


static tee_rc_t
chat_oom_run(void *ctx)
{
    tee_rc_t     rc;
    tee_write_t  w;

    rc = chat_run(*(tee_str_t *) ctx, TEE_CHAT, &tee_chat_newest, &w);
    tee_write_free(&w);

    return rc;
}


static void
chat_oom(void)
{
    size_t     len, bad;
    tee_str_t  in, cut;

    in = unit_text(CHAT(USER) ",\"tools\":[{\"a\":\"\\u00e9\",\"b\":NaN}]}");

    unit_oom(chat_oom_run, &in, TEE_OK, "a chat");

    bad = 0;

    for (len = 0; len < in.len; len++) {
        cut = unit_copy(in.data, len);
        bad += chat_oom_run(&cut) != TEE_MALFORMED;
        unit_free(cut);
    }

    unit_ok(bad == 0, "every prefix is refused");
}


/* Whoever is asked might read something else. */

static void
chat_strict(void)
{
    size_t     i;
    uint8_t    hash[32];
    tee_str_t  in;

    static const char *const  cases[] = {
        "{\"model\":\"m\",\"messages\":[{\"role\":\"system\","
        "\"content\":\"a\"}],\"Messages\":[]}",
        "{\"model\":\"m\",\"messages\":[{\"role\":\"system\","
        "\"content\":\"a\"}],\"messages\":[{\"role\":\"system\","
        "\"content\":\"b\"}]}",
        "{\"model\":\"m\",\"messages\":[{\"role\":\"system\",\"content\":\"a\","
        "\"CONTENT\":\"b\"}]}",
        "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":"
        "[{\"type\":\"text\",\"text\":\"a\",\"Text\":\"b\"}]}]}",
        "{\"model\":\"m\",\"message\\u017f\":[],\"messages\":[{\"role\":"
        "\"system\",\"content\":\"a\"}]}"
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        in = unit_text(cases[i]);

        unit_ok(tee_chat_hash(in, TEE_CHAT, &tee_chat_newest, &unit_alloc,
                              hash)
                == TEE_UNSUPPORTED, "read differently: %s", cases[i]);
    }

    in = unit_text("{\"model\":\"m\",\"messages\":[{\"role\":\"system\","
                   "\"content\":\"a\"}],\"tools\":[{\"Name\":1}],\"X\":1}");

    unit_ok(tee_chat_hash(in, TEE_CHAT, &tee_chat_newest, &unit_alloc, hash)
            == TEE_OK, "what is signed as it is may have any name");
}


int
main(void)
{
    chat_bodies();
    chat_strict();
    chat_messages();
    chat_others();
    chat_fields();
    chat_long();
    chat_wiped();
    chat_oom();

    return unit_done();
}
