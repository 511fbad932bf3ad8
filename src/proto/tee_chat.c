
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <tee_canon.h>
#include <tee_chat.h>
#include <tee_chat_message.h>
#include <tee_envelope.h>
#include <tee_float.h>
#include <tee_json.h>


#define TEE_CHAT_NODES  131072


static tee_rc_t tee_chat_body(tee_write_t *w, const tee_json_t *body,
    unsigned members);
static tee_rc_t tee_chat_completions(tee_write_t *w, const tee_json_t *body);
static tee_rc_t tee_chat_web_search(tee_write_t *w, const tee_json_t *body);

static tee_rc_t tee_chat_temperature(tee_write_t *w, const tee_json_t *body,
    const char *absent);
static void tee_chat_if_true(tee_write_t *w, const tee_json_t *body,
    const char *name);


tee_rc_t
tee_chat_canonical(tee_str_t body, tee_chat_endpoint_t endpoint,
    unsigned members, const tee_alloc_t *alloc, tee_write_t *w)
{
    tee_rc_t         rc;
    tee_json_doc_t   doc;

    rc = tee_canon_parse(body, TEE_CHAT_NODES, alloc, &doc);

    if (rc != TEE_OK) {
        return rc;
    }

    rc = TEE_MALFORMED;

    if (doc.root->type == TEE_JSON_OBJECT) {

        switch (endpoint) {

        case TEE_CHAT:
            rc = tee_chat_body(w, doc.root, members);
            break;

        case TEE_CHAT_COMPLETIONS:
            rc = tee_chat_completions(w, doc.root);
            break;

        case TEE_CHAT_WEB_SEARCH:
            rc = tee_chat_web_search(w, doc.root);
            break;
        }
    }

    tee_json_free(&doc);

    if (rc == TEE_OK) {
        rc = tee_write_rc(w);
    }

    return rc;
}


static tee_rc_t
tee_chat_body(tee_write_t *w, const tee_json_t *body, unsigned members)
{
    tee_rc_t           rc;
    const tee_json_t  *messages, *m, *v;

    messages = tee_canon_get(body, "messages");

    if (messages == NULL || messages->type != TEE_JSON_ARRAY
        || messages->child == NULL)
    {
        return TEE_MALFORMED;
    }

    v = tee_canon_get(body, "model");

    if (v == NULL || v->type == TEE_JSON_NULL) {
        return TEE_MALFORMED;
    }

    v = tee_canon_get(body, "tools");

    if (tee_canon_true(v) && v->type != TEE_JSON_ARRAY) {
        return TEE_UNSUPPORTED;
    }

    /* in the order of their names */

    tee_write_u8(w, '{');

    if (members & TEE_CHAT_ASPECT_RATIO) {
        tee_chat_if_true(w, body, "aspect_ratio");
    }

    v = tee_canon_get(body, "max_tokens");

    if (v && v->type != TEE_JSON_NULL) {
        tee_chat_value(w, "max_tokens", v);
    }

    tee_chat_name(w, "messages");
    tee_write_u8(w, '[');

    for (m = messages->child; m; m = m->next) {

        rc = tee_chat_message(w, m);

        if (rc != TEE_OK) {
            return rc;
        }

        tee_write_text(w, m->next ? ", " : "]");
    }

    tee_chat_value(w, "model", tee_canon_get(body, "model"));
    tee_chat_if_true(w, body, "response_format");
    tee_chat_if_true(w, body, "stop");

    rc = tee_chat_temperature(w, body, "0.0");

    if (rc != TEE_OK) {
        return rc;
    }

    tee_chat_if_true(w, body, "tools");

    if (tee_canon_true(tee_canon_get(body, "web_search"))) {
        tee_chat_name(w, "web_search");
        tee_write_text(w, "true");
    }

    tee_write_u8(w, '}');

    return TEE_OK;
}


static tee_rc_t
tee_chat_completions(tee_write_t *w, const tee_json_t *body)
{
    tee_rc_t           rc;
    const tee_json_t  *v, *model, *prompt;

    model = tee_canon_get(body, "model");
    prompt = tee_canon_get(body, "prompt");

    if (model == NULL || model->type == TEE_JSON_NULL
        || prompt == NULL || prompt->type == TEE_JSON_NULL)
    {
        return TEE_MALFORMED;
    }

    tee_write_u8(w, '{');

    v = tee_canon_get(body, "max_tokens");

    if (v == NULL) {
        tee_chat_name(w, "max_tokens");
        tee_write_text(w, "16");

    } else if (v->type != TEE_JSON_NULL) {
        tee_chat_value(w, "max_tokens", v);
    }

    tee_chat_value(w, "model", model);
    tee_chat_value(w, "prompt", prompt);
    tee_chat_if_true(w, body, "stop");

    rc = tee_chat_temperature(w, body, "1.0");

    if (rc != TEE_OK) {
        return rc;
    }

    if (tee_canon_true(tee_canon_get(body, "web_search"))) {
        tee_chat_name(w, "web_search");
        tee_write_text(w, "true");
    }

    tee_write_u8(w, '}');

    return TEE_OK;
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
tee_chat_temperature(tee_write_t *w, const tee_json_t *body,
    const char *absent)
{
    uint8_t            text[TEE_FLOAT_MAX_LEN];
    uint64_t           bits;
    const tee_json_t  *v;

    v = tee_canon_get(body, "temperature");

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


static void
tee_chat_if_true(tee_write_t *w, const tee_json_t *body, const char *name)
{
    const tee_json_t  *v;

    v = tee_canon_get(body, name);

    if (tee_canon_true(v)) {
        tee_chat_value(w, name, v);
    }
}
