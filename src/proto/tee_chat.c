
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <string.h>

#include <tee_canon.h>
#include <tee_chat.h>
#include <tee_chat_message.h>
#include <tee_envelope.h>
#include <tee_float.h>
#include <tee_json.h>
#include <tee_keccak.h>
#include <tee_text.h>


#define TEE_CHAT_NODES  131072

/* What is hashed at a time. */

#define TEE_CHAT_PIECE  1024


/* A member that is written when its turn comes. */

typedef struct {
    tee_chat_endpoint_t        endpoint;
    const tee_json_t          *body;
    const tee_chat_fields_t   *fields;
} tee_chat_t;


static tee_rc_t tee_chat_write(tee_str_t body, tee_chat_endpoint_t endpoint,
    const tee_chat_fields_t *fields, int strict, const tee_alloc_t *alloc,
    tee_write_t *w);
static int tee_chat_cased(const tee_json_t *root);
static tee_rc_t tee_chat_check(const tee_chat_t *c);
static tee_rc_t tee_chat_members(tee_write_t *w, const tee_chat_t *c);
static int tee_chat_after(const tee_chat_t *c, const tee_str_t *last,
    tee_str_t *next);
static int tee_chat_no_field(const tee_chat_t *c, tee_str_t name);
static tee_rc_t tee_chat_member(tee_write_t *w, const tee_chat_t *c,
    tee_str_t name);
static tee_rc_t tee_chat_messages(tee_write_t *w, const tee_json_t *messages);
static tee_rc_t tee_chat_temperature(tee_write_t *w, const tee_json_t *v,
    const char *absent);
static void tee_chat_max_tokens(tee_write_t *w, const tee_chat_t *c,
    const tee_json_t *v);
static tee_rc_t tee_chat_web_search(tee_write_t *w, const tee_json_t *body);
static void tee_chat_sink(void *ctx, tee_str_t piece);


static const tee_str_t  tee_chat_names[] = {
    tee_string("temperature"),
    tee_string("max_tokens"),
    tee_string("stop"),
    tee_string("tools"),
    tee_string("response_format"),
    tee_string("web_search"),
    tee_string("aspect_ratio")
};


const tee_chat_fields_t  tee_chat_newest = {
    sizeof(tee_chat_names) / sizeof(tee_chat_names[0]),
    tee_chat_names
};


/* What always is there: the first one in a chat, the second in another. */

static const tee_str_t  tee_chat_always[] = {
    tee_string("messages"),
    tee_string("prompt"),
    tee_string("model")
};


tee_rc_t
tee_chat_canonical(tee_str_t body, tee_chat_endpoint_t endpoint,
    const tee_chat_fields_t *fields, const tee_alloc_t *alloc, tee_write_t *w)
{
    return tee_chat_write(body, endpoint, fields, 0, alloc, w);
}


static tee_rc_t
tee_chat_write(tee_str_t body, tee_chat_endpoint_t endpoint,
    const tee_chat_fields_t *fields, int strict, const tee_alloc_t *alloc,
    tee_write_t *w)
{
    tee_rc_t         rc;
    tee_chat_t       c;
    tee_json_doc_t   doc;

    rc = strict ? tee_canon_parse_once(body, TEE_CHAT_NODES, alloc, &doc)
                : tee_canon_parse(body, TEE_CHAT_NODES, alloc, &doc);

    if (rc != TEE_OK) {
        return rc;
    }

    c.endpoint = endpoint;
    c.body = doc.root;
    c.fields = fields;

    if (doc.root->type != TEE_JSON_OBJECT) {
        rc = TEE_MALFORMED;

    } else if (strict && tee_chat_cased(doc.root)) {
        rc = TEE_UNSUPPORTED;

    } else if (endpoint == TEE_CHAT_WEB_SEARCH) {
        rc = tee_chat_web_search(w, doc.root);

    } else {
        rc = tee_chat_check(&c);

        if (rc == TEE_OK) {
            rc = tee_chat_members(w, &c);
        }
    }

    tee_json_free(&doc);

    if (rc == TEE_OK) {
        rc = tee_write_rc(w);
    }

    return rc;
}


tee_rc_t
tee_chat_hash(tee_str_t body, tee_chat_endpoint_t endpoint,
    const tee_chat_fields_t *fields, const tee_alloc_t *alloc,
    uint8_t hash[32])
{
    uint8_t       buf[TEE_CHAT_PIECE];
    tee_rc_t      rc;
    tee_write_t   w;
    tee_keccak_t  k;

    memset(hash, 0, 32);

    tee_keccak_init(&k);
    tee_write_sink(&w, buf, sizeof(buf), tee_chat_sink, &k);

    rc = tee_chat_write(body, endpoint, fields, 1, alloc, &w);

    if (rc == TEE_OK) {
        tee_write_flush(&w);
        tee_keccak_final(&k, hash);
    }

    tee_wipe(buf, sizeof(buf));
    tee_wipe(&k, sizeof(tee_keccak_t));

    return rc;
}


static void
tee_chat_sink(void *ctx, tee_str_t piece)
{
    tee_keccak_update(ctx, piece.data, piece.len);
}


/* What is signed as it was written needs no look. */

static int
tee_chat_cased(const tee_json_t *root)
{
    const tee_json_t  *m, *v, *function;

    static const char *const  names[] = {
        "arguments", "aspect_ratio", "content", "file", "filename", "function",
        "id", "max_tokens", "messages", "model", "n", "name", "prompt", "query",
        "response_format", "role", "stop", "stream", "temperature", "text",
        "tool_call_id", "tool_calls", "tools", "type", "web_search"
    };

    static const size_t  n = sizeof(names) / sizeof(names[0]);

    if (tee_canon_cased(root, names, n)) {
        return 1;
    }

    m = tee_canon_get(root, "messages");

    for (m = m && m->type == TEE_JSON_ARRAY ? m->child : NULL; m; m = m->next)
    {
        if (tee_canon_cased(m, names, n)) {
            return 1;
        }

        v = tee_canon_get(m, "content");

        for (v = v && v->type == TEE_JSON_ARRAY ? v->child : NULL; v;
             v = v->next)
        {
            if (tee_canon_cased(v, names, n)) {
                return 1;
            }
        }

        v = tee_canon_get(m, "tool_calls");

        for (v = v && v->type == TEE_JSON_ARRAY ? v->child : NULL; v;
             v = v->next)
        {
            function = tee_canon_get(v, "function");

            if (tee_canon_cased(v, names, n)
                || tee_canon_cased(function, names, n))
            {
                return 1;
            }
        }
    }

    return 0;
}


/* What the gateway refuses whatever is signed. */

static tee_rc_t
tee_chat_check(const tee_chat_t *c)
{
    const tee_json_t  *v;

    v = tee_canon_get(c->body, "model");

    if (v == NULL || v->type == TEE_JSON_NULL) {
        return TEE_MALFORMED;
    }

    if (c->endpoint == TEE_CHAT_COMPLETIONS) {
        v = tee_canon_get(c->body, "prompt");

        return v == NULL || v->type == TEE_JSON_NULL ? TEE_MALFORMED : TEE_OK;
    }

    v = tee_canon_get(c->body, "messages");

    if (v == NULL || v->type != TEE_JSON_ARRAY || v->child == NULL) {
        return TEE_MALFORMED;
    }

    v = tee_canon_get(c->body, "tools");

    if (tee_canon_true(v) && v->type != TEE_JSON_ARRAY) {
        return TEE_UNSUPPORTED;
    }

    return TEE_OK;
}


/* In the order of their names. */

static tee_rc_t
tee_chat_members(tee_write_t *w, const tee_chat_t *c)
{
    tee_rc_t          rc;
    tee_str_t         name;
    const tee_str_t  *last;

    tee_write_u8(w, '{');

    for (last = NULL; tee_chat_after(c, last, &name); last = &name) {

        rc = tee_chat_member(w, c, name);

        if (rc != TEE_OK) {
            return rc;
        }
    }

    tee_write_u8(w, '}');

    return TEE_OK;
}


/* The first name, or the one behind *last, which may be *next. */

static int
tee_chat_after(const tee_chat_t *c, const tee_str_t *last, tee_str_t *next)
{
    int               found;
    size_t            i, n;
    tee_str_t         best;
    const tee_str_t  *name;

    found = 0;
    best.len = 0;
    best.data = NULL;
    n = sizeof(tee_chat_always) / sizeof(tee_chat_always[0]);

    for (i = 0; i < n + c->fields->n; i++) {

        if (i < n) {
            name = &tee_chat_always[i];

            if (i == (c->endpoint == TEE_CHAT)) {
                continue;
            }

        } else {
            name = &c->fields->names[i - n];

            if (tee_chat_no_field(c, *name)) {
                continue;
            }
        }

        if ((last == NULL || tee_canon_cmp(*name, *last) > 0)
            && (!found || tee_canon_cmp(*name, best) < 0))
        {
            best = *name;
            found = 1;
        }
    }

    if (found) {
        *next = best;
    }

    return found;
}


static int
tee_chat_no_field(const tee_chat_t *c, tee_str_t name)
{
    return c->endpoint == TEE_CHAT_COMPLETIONS
           && (tee_text_is(name, "tools")
               || tee_text_is(name, "response_format")
               || tee_text_is(name, "aspect_ratio"));
}


static tee_rc_t
tee_chat_member(tee_write_t *w, const tee_chat_t *c, tee_str_t name)
{
    const tee_json_t  *v;

    for (v = c->body->child; v; v = v->next) {
        if (tee_canon_cmp(v->name, name) == 0) {
            break;
        }
    }

    if (c->endpoint == TEE_CHAT && tee_text_is(name, "messages")) {
        return tee_chat_messages(w, v);
    }

    if (tee_text_is(name, "temperature")) {
        return tee_chat_temperature(w, v, c->endpoint == TEE_CHAT_COMPLETIONS
                                          ? "1.0" : "0.0");
    }

    if (tee_text_is(name, "max_tokens")) {
        tee_chat_max_tokens(w, c, v);
        return TEE_OK;
    }

    /* what the gateway insists on may be false */

    if (!tee_canon_true(v)
        && !tee_text_is(name, "model")
        && (c->endpoint == TEE_CHAT || !tee_text_is(name, "prompt")))
    {
        return TEE_OK;
    }

    tee_chat_comma(w);
    tee_canon_string(w, name);
    tee_write_text(w, ": ");

    if (tee_text_is(name, "web_search")) {
        tee_write_text(w, "true");

    } else {
        tee_canon_write(w, v);
    }

    return TEE_OK;
}


static tee_rc_t
tee_chat_messages(tee_write_t *w, const tee_json_t *messages)
{
    tee_rc_t           rc;
    const tee_json_t  *m;

    tee_chat_name(w, "messages");
    tee_write_u8(w, '[');

    for (m = messages->child; m; m = m->next) {

        rc = tee_chat_message(w, m);

        if (rc != TEE_OK) {
            return rc;
        }

        tee_write_text(w, m->next ? ", " : "]");
    }

    return TEE_OK;
}


static void
tee_chat_max_tokens(tee_write_t *w, const tee_chat_t *c, const tee_json_t *v)
{
    if (v == NULL) {

        if (c->endpoint == TEE_CHAT_COMPLETIONS) {
            tee_chat_name(w, "max_tokens");
            tee_write_text(w, "16");
        }

    } else if (v->type != TEE_JSON_NULL) {
        tee_chat_value(w, "max_tokens", v);
    }
}


/* All that the enclave gets. */

static tee_rc_t
tee_chat_web_search(tee_write_t *w, const tee_json_t *body)
{
    unsigned           first;
    const tee_json_t  *m;

    tee_write_u8(w, '{');

    first = 1;

    for (m = body->child; m; m = m->next) {

        if (tee_envelope_dropped(m->name)) {
            continue;
        }

        if (!first) {
            tee_write_text(w, ", ");
        }

        first = 0;

        tee_canon_string(w, m->name);
        tee_write_text(w, ": ");
        tee_canon_write(w, m);
    }

    tee_write_u8(w, '}');

    return TEE_OK;
}


static tee_rc_t
tee_chat_temperature(tee_write_t *w, const tee_json_t *v, const char *absent)
{
    uint8_t   text[TEE_FLOAT_MAX_LEN];
    uint64_t  bits;

    tee_chat_name(w, "temperature");

    if (v == NULL || v->type == TEE_JSON_NULL) {
        tee_write_text(w, v ? "0.0" : absent);
        return TEE_OK;
    }

    if (v->type != TEE_JSON_NUMBER
        || tee_float_parse(v->text, &bits) != TEE_OK)
    {
        return TEE_UNSUPPORTED;
    }

    if (tee_canon_int(v)) {

        if ((bits & ~TEE_FLOAT_SIGN) == TEE_FLOAT_INFINITY) {

            /* an exception of Python's */

            return TEE_MALFORMED;
        }

        if (bits == TEE_FLOAT_SIGN) {
            bits = 0;
        }
    }

    tee_write_bytes(w, text, tee_float_repr(bits, text));

    return TEE_OK;
}
