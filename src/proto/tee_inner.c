
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <tee_canon.h>
#include <tee_envelope.h>
#include <tee_float.h>
#include <tee_inner.h>
#include <tee_json.h>


#define TEE_INNER_NODES  131072


static tee_rc_t tee_inner_chat(tee_write_t *w, const tee_json_t *body,
    tee_inner_t *inner);
static tee_rc_t tee_inner_check(const tee_json_t *body, tee_inner_t *inner);
static tee_rc_t tee_inner_messages(tee_write_t *w, const tee_json_t *messages,
    tee_inner_t *inner);
static tee_rc_t tee_inner_message(tee_write_t *w, const tee_json_t *m,
    tee_inner_t *inner);
static tee_rc_t tee_inner_calls(tee_write_t *w, const tee_json_t *calls,
    tee_inner_t *inner);
static tee_rc_t tee_inner_temperature(tee_write_t *w, const tee_json_t *v,
    tee_inner_t *inner);
static tee_rc_t tee_inner_search(tee_write_t *w, const tee_json_t *body);

static void tee_inner_name(tee_write_t *w, const char *name);
static void tee_inner_value(tee_write_t *w, const char *name,
    const tee_json_t *v);
static void tee_inner_or(tee_write_t *w, const char *name,
    const tee_json_t *v, const char *absent);
static void tee_inner_if_there(tee_write_t *w, const char *name,
    const tee_json_t *v);
static void tee_inner_if_true(tee_write_t *w, const tee_json_t *body,
    const char *name);
static int tee_inner_null(const tee_json_t *v);


tee_rc_t
tee_inner_request(tee_str_t body, tee_inner_endpoint_t endpoint,
    const tee_alloc_t *alloc, tee_inner_t *inner, tee_write_t *w)
{
    tee_rc_t         rc;
    tee_json_doc_t   doc;

    inner->stream = 0;
    inner->why = NULL;

    rc = tee_canon_parse(body, TEE_INNER_NODES, alloc, &doc);

    if (rc != TEE_OK) {

        if (rc != TEE_NOMEM) {
            inner->why = "the request is not JSON, or too deep or long";
        }

        return rc;
    }

    if (doc.root->type != TEE_JSON_OBJECT) {
        inner->why = "the request must be a JSON object";
        rc = TEE_MALFORMED;

    } else if (endpoint == TEE_INNER_WEB_SEARCH) {
        rc = tee_inner_search(w, doc.root);

    } else {
        rc = tee_inner_chat(w, doc.root, inner);
    }

    tee_json_free(&doc);

    if (rc != TEE_OK) {
        inner->stream = 0;
        return rc;
    }

    return tee_write_rc(w);
}


/* In the order of their names, as a signature has them. */

static tee_rc_t
tee_inner_chat(tee_write_t *w, const tee_json_t *body, tee_inner_t *inner)
{
    tee_rc_t           rc;
    const tee_json_t  *v;

    rc = tee_inner_check(body, inner);

    if (rc != TEE_OK) {
        return rc;
    }

    tee_write_u8(w, '{');
    tee_inner_if_true(w, body, "aspect_ratio");

    v = tee_canon_get(body, "max_tokens");

    if (!tee_inner_null(v)) {
        tee_inner_value(w, "max_tokens", v);
    }

    rc = tee_inner_messages(w, tee_canon_get(body, "messages"), inner);

    if (rc != TEE_OK) {
        return rc;
    }

    tee_inner_value(w, "model", tee_canon_get(body, "model"));
    tee_inner_if_true(w, body, "response_format");
    tee_inner_if_true(w, body, "stop");

    if (tee_canon_true(tee_canon_get(body, "stream"))) {
        tee_inner_name(w, "stream");
        tee_write_text(w, "true");
        inner->stream = 1;
    }

    rc = tee_inner_temperature(w, tee_canon_get(body, "temperature"), inner);

    if (rc != TEE_OK) {
        return rc;
    }

    /* honoured, though no signature is about it */

    v = tee_canon_get(body, "tool_choice");

    if (!tee_inner_null(v)) {
        tee_inner_value(w, "tool_choice", v);
    }

    tee_inner_if_true(w, body, "tools");

    if (tee_canon_true(tee_canon_get(body, "web_search"))) {
        tee_inner_name(w, "web_search");
        tee_write_text(w, "true");
    }

    tee_write_u8(w, '}');

    return TEE_OK;
}


static tee_rc_t
tee_inner_check(const tee_json_t *body, tee_inner_t *inner)
{
    const tee_json_t  *v;

    v = tee_canon_get(body, "model");

    if (v == NULL || v->type != TEE_JSON_STRING || v->text.len == 0) {
        inner->why = "the request is missing a model";
        return TEE_MALFORMED;
    }

    v = tee_canon_get(body, "messages");

    if (v == NULL || v->type != TEE_JSON_ARRAY || v->child == NULL) {
        inner->why = "the request is missing messages";
        return TEE_MALFORMED;
    }

    v = tee_canon_get(body, "tools");

    if (tee_canon_true(v) && v->type != TEE_JSON_ARRAY) {
        inner->why = "tools must be a list";
        return TEE_UNSUPPORTED;
    }

    return TEE_OK;
}


static tee_rc_t
tee_inner_messages(tee_write_t *w, const tee_json_t *messages,
    tee_inner_t *inner)
{
    tee_rc_t           rc;
    const tee_json_t  *m;

    tee_inner_name(w, "messages");
    tee_write_u8(w, '[');

    for (m = messages->child; m; m = m->next) {

        if (m->type != TEE_JSON_OBJECT) {
            inner->why = "each message must be a JSON object";
            return TEE_MALFORMED;
        }

        rc = tee_inner_message(w, m, inner);

        if (rc != TEE_OK) {
            return rc;
        }

        tee_write_text(w, m->next ? ", " : "]");
    }

    return TEE_OK;
}


/* Names of members, and members that no signature is about, are left out. */

static tee_rc_t
tee_inner_message(tee_write_t *w, const tee_json_t *m, tee_inner_t *inner)
{
    tee_rc_t           rc;
    const char        *role;
    const tee_json_t  *v, *content, *calls;

    v = tee_canon_get(m, "role");
    content = tee_canon_get(m, "content");
    role = NULL;

    if (tee_canon_is(v, "user")) {
        role = "user";

    } else if (tee_canon_is(v, "system") || tee_canon_is(v, "developer")) {
        role = "system";

    } else if (tee_canon_is(v, "tool")) {
        role = "tool";

    } else if (tee_canon_is(v, "function")) {
        role = "function";

    } else if (tee_canon_is(v, "assistant")) {
        role = "assistant";

        if (!tee_canon_true(content)) {
            content = NULL;
        }

    } else {
        inner->why = "a message has an unknown role";
        return TEE_UNSUPPORTED;
    }

    tee_write_u8(w, '{');

    if (role[0] == 'a') {
        tee_inner_or(w, "content", content, "\"\"");

    } else {
        tee_inner_if_there(w, "content", content);
    }

    if (role[0] == 'f') {
        tee_inner_if_there(w, "name", tee_canon_get(m, "name"));
    }

    tee_inner_name(w, "role");
    tee_write_u8(w, '"');
    tee_write_text(w, role);
    tee_write_u8(w, '"');

    if (role[0] == 't') {
        tee_inner_if_there(w, "tool_call_id",
                           tee_canon_get(m, "tool_call_id"));
    }

    calls = role[0] == 'a' ? tee_canon_get(m, "tool_calls") : NULL;

    if (tee_canon_true(calls)) {
        rc = tee_inner_calls(w, calls, inner);

        if (rc != TEE_OK) {
            return rc;
        }
    }

    tee_write_u8(w, '}');

    return TEE_OK;
}


/* What is not there is what its absence means to other clients. */

static tee_rc_t
tee_inner_calls(tee_write_t *w, const tee_json_t *calls, tee_inner_t *inner)
{
    const tee_json_t  *call, *function;

    if (calls->type != TEE_JSON_ARRAY) {
        inner->why = "tool_calls must be a list";
        return TEE_UNSUPPORTED;
    }

    tee_inner_name(w, "tool_calls");
    tee_write_u8(w, '[');

    for (call = calls->child; call; call = call->next) {
        function = tee_canon_get(call, "function");

        if (call->type != TEE_JSON_OBJECT
            || (function && function->type != TEE_JSON_OBJECT))
        {
            inner->why = "each of tool_calls must be a JSON object";
            return TEE_MALFORMED;
        }

        tee_write_u8(w, '{');
        tee_inner_name(w, "function");
        tee_write_u8(w, '{');
        tee_inner_or(w, "arguments", tee_canon_get(function, "arguments"),
                     "\"\"");
        tee_inner_or(w, "name", tee_canon_get(function, "name"), "\"\"");
        tee_write_u8(w, '}');
        tee_inner_or(w, "id", tee_canon_get(call, "id"), "\"\"");
        tee_inner_or(w, "type", tee_canon_get(call, "type"), "\"function\"");
        tee_write_u8(w, '}');

        tee_write_text(w, call->next ? ", " : "]");
    }

    return TEE_OK;
}


/* Python's float(), which a signature is about. */

static tee_rc_t
tee_inner_temperature(tee_write_t *w, const tee_json_t *v,
    tee_inner_t *inner)
{
    uint8_t   text[TEE_FLOAT_MAX_LEN];
    uint64_t  bits;

    bits = 0;

    if (!tee_inner_null(v)
        && (v->type != TEE_JSON_NUMBER
            || tee_float_parse(v->text, &bits) != TEE_OK
            || (bits & ~TEE_FLOAT_SIGN) == TEE_FLOAT_INFINITY))
    {
        inner->why = "temperature must be a number";
        return TEE_UNSUPPORTED;
    }

    if (!tee_inner_null(v) && tee_canon_int(v) && bits == TEE_FLOAT_SIGN) {

        /* there is no negative int that is zero */

        bits = 0;
    }

    tee_inner_name(w, "temperature");
    tee_write_bytes(w, text, tee_float_repr(bits, text));

    return TEE_OK;
}


/* The whole request, but for what a gateway would remove to protect who asks;
 * it need not leave the application's machine. */

static tee_rc_t
tee_inner_search(tee_write_t *w, const tee_json_t *body)
{
    const tee_json_t  *m;

    tee_write_text(w, "{\"endpoint\": \"web_search\"");

    for (m = body->child; m; m = m->next) {

        if (tee_envelope_dropped(m->name)) {
            continue;
        }

        tee_write_text(w, ", ");
        tee_canon_string(w, m->name);
        tee_write_text(w, ": ");
        tee_canon_write(w, m);
    }

    tee_write_u8(w, '}');

    return TEE_OK;
}


static void
tee_inner_name(tee_write_t *w, const char *name)
{
    if (w->len && w->data[w->len - 1] != '{') {
        tee_write_text(w, ", ");
    }

    tee_write_u8(w, '"');
    tee_write_text(w, name);
    tee_write_text(w, "\": ");
}


static void
tee_inner_value(tee_write_t *w, const char *name, const tee_json_t *v)
{
    tee_inner_name(w, name);
    tee_canon_write(w, v);
}


static void
tee_inner_or(tee_write_t *w, const char *name, const tee_json_t *v,
    const char *absent)
{
    if (v) {
        tee_inner_value(w, name, v);
        return;
    }

    tee_inner_name(w, name);
    tee_write_text(w, absent);
}


static void
tee_inner_if_there(tee_write_t *w, const char *name, const tee_json_t *v)
{
    if (v) {
        tee_inner_value(w, name, v);
    }
}


static void
tee_inner_if_true(tee_write_t *w, const tee_json_t *body, const char *name)
{
    const tee_json_t  *v;

    v = tee_canon_get(body, name);

    if (tee_canon_true(v)) {
        tee_inner_value(w, name, v);
    }
}


static int
tee_inner_null(const tee_json_t *v)
{
    return v == NULL || v->type == TEE_JSON_NULL;
}
