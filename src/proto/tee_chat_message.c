
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <tee_chat_message.h>
#include <tee_float.h>


static tee_rc_t tee_chat_user(tee_write_t *w, const tee_json_t *content);
static tee_rc_t tee_chat_part(tee_write_t *w, const tee_json_t *part);
static tee_rc_t tee_chat_assistant(tee_write_t *w, const tee_json_t *m);
static tee_rc_t tee_chat_call(tee_write_t *w, const tee_json_t *call);
static tee_rc_t tee_chat_reply(tee_write_t *w, const tee_json_t *m,
    const char *role, const char *name);
static tee_rc_t tee_chat_str(tee_write_t *w, const tee_json_t *v);


tee_rc_t
tee_chat_message(tee_write_t *w, const tee_json_t *m)
{
    const tee_json_t  *role, *content;

    if (m->type != TEE_JSON_OBJECT) {
        return TEE_MALFORMED;
    }

    role = tee_canon_get(m, "role");
    content = tee_canon_get(m, "content");

    if (tee_canon_is(role, "assistant")) {
        return tee_chat_assistant(w, m);
    }

    /* the gateway knows no content that is not there, but none that is null */

    if (content && content->type == TEE_JSON_NULL) {
        return TEE_MALFORMED;
    }

    if (tee_canon_is(role, "user")) {
        return tee_chat_user(w, content);
    }

    if (tee_canon_is(role, "system")) {
        return tee_chat_reply(w, m, "system", NULL);
    }

    if (tee_canon_is(role, "tool")) {
        return tee_chat_reply(w, m, "tool", "tool_call_id");
    }

    if (tee_canon_is(role, "function")) {

        if (content && content->type != TEE_JSON_STRING) {
            return TEE_UNSUPPORTED;
        }

        return tee_chat_reply(w, m, "function", "name");
    }

    return TEE_MALFORMED;
}


static tee_rc_t
tee_chat_user(tee_write_t *w, const tee_json_t *content)
{
    tee_rc_t           rc;
    const tee_json_t  *part;

    tee_write_u8(w, '{');
    tee_chat_name(w, "content");

    if (content && content->type == TEE_JSON_ARRAY) {
        tee_write_u8(w, '[');

        for (part = content->child; part; part = part->next) {

            rc = tee_chat_part(w, part);

            if (rc != TEE_OK) {
                return rc;
            }

            if (part->next) {
                tee_write_text(w, ", ");
            }
        }

        tee_write_u8(w, ']');

    } else {
        rc = tee_chat_str(w, content);

        if (rc != TEE_OK) {
            return rc;
        }
    }

    tee_chat_name(w, "role");
    tee_write_text(w, "\"user\"}");

    return TEE_OK;
}


/* The bytes and addresses of what is attached are not signed. */

static tee_rc_t
tee_chat_part(tee_write_t *w, const tee_json_t *part)
{
    tee_rc_t           rc;
    const tee_json_t  *v, *type;

    tee_write_u8(w, '{');

    if (part->type != TEE_JSON_OBJECT) {
        tee_chat_name(w, "text");

        rc = tee_chat_str(w, part);

        if (rc != TEE_OK) {
            return rc;
        }

        tee_chat_name(w, "type");
        tee_write_text(w, "\"text\"}");

        return TEE_OK;
    }

    type = tee_canon_get(part, "type");

    if (tee_canon_is(type, "text")) {
        v = tee_canon_get(part, "text");

        if (tee_canon_true(v)) {
            tee_chat_value(w, "text", v);

        } else {
            tee_chat_name(w, "text");
            tee_write_text(w, "\"\"");
        }

    } else {
        v = tee_canon_get(tee_canon_get(part, "file"), "filename");

        if (!tee_canon_true(v)) {
            v = tee_canon_get(part, "filename");
        }

        if (tee_canon_true(v)) {
            tee_chat_value(w, "filename", v);
        }
    }

    tee_chat_value(w, "type", type);
    tee_write_u8(w, '}');

    return TEE_OK;
}


static tee_rc_t
tee_chat_assistant(tee_write_t *w, const tee_json_t *m)
{
    tee_rc_t           rc;
    const tee_json_t  *content, *calls, *call;

    content = tee_canon_get(m, "content");
    calls = tee_canon_get(m, "tool_calls");

    tee_write_u8(w, '{');

    if (tee_canon_true(content)) {
        tee_chat_value(w, "content", content);

    } else {
        tee_chat_name(w, "content");
        tee_write_text(w, "\"\"");
    }

    tee_chat_name(w, "role");
    tee_write_text(w, "\"assistant\"");

    if (tee_canon_true(calls)) {

        if (calls->type != TEE_JSON_ARRAY) {
            return TEE_UNSUPPORTED;
        }

        tee_chat_name(w, "tool_calls");
        tee_write_u8(w, '[');

        for (call = calls->child; call; call = call->next) {

            rc = tee_chat_call(w, call);

            if (rc != TEE_OK) {
                return rc;
            }

            tee_write_text(w, call->next ? ", " : "]");
        }
    }

    tee_write_u8(w, '}');

    return TEE_OK;
}


static tee_rc_t
tee_chat_call(tee_write_t *w, const tee_json_t *call)
{
    const tee_json_t  *function;

    function = tee_canon_get(call, "function");

    if (function && function->type != TEE_JSON_OBJECT) {
        return TEE_MALFORMED;
    }

    tee_write_u8(w, '{');
    tee_chat_name(w, "function");
    tee_write_u8(w, '{');
    tee_chat_value(w, "arguments", tee_canon_get(function, "arguments"));
    tee_chat_value(w, "name", tee_canon_get(function, "name"));
    tee_write_u8(w, '}');
    tee_chat_value(w, "id", tee_canon_get(call, "id"));
    tee_chat_value(w, "type", tee_canon_get(call, "type"));
    tee_write_u8(w, '}');

    return TEE_OK;
}


/* Content as it is, and perhaps one more member that is a text. */

static tee_rc_t
tee_chat_reply(tee_write_t *w, const tee_json_t *m, const char *role,
    const char *name)
{
    unsigned           before;
    const tee_json_t  *v;

    v = NULL;
    before = 0;

    if (name) {
        v = tee_canon_get(m, name);
        before = name[0] < 'r';

        if (v && v->type != TEE_JSON_STRING) {
            return v->type == TEE_JSON_NULL ? TEE_MALFORMED : TEE_UNSUPPORTED;
        }
    }

    tee_write_u8(w, '{');
    tee_chat_value(w, "content", tee_canon_get(m, "content"));

    if (name && before) {
        tee_chat_value(w, name, v);
    }

    tee_chat_name(w, "role");
    tee_write_u8(w, '"');
    tee_write_text(w, role);
    tee_write_u8(w, '"');

    if (name && !before) {
        tee_chat_value(w, name, v);
    }

    tee_write_u8(w, '}');

    return TEE_OK;
}


/* What str() makes of a value, as far as that is not Python's own syntax. */

static tee_rc_t
tee_chat_str(tee_write_t *w, const tee_json_t *v)
{
    uint64_t  bits;

    if (v == NULL || v->type == TEE_JSON_NULL) {
        tee_write_text(w, "\"None\"");
        return TEE_OK;
    }

    switch (v->type) {

    case TEE_JSON_STRING:
        tee_canon_string(w, v->text);
        return TEE_OK;

    case TEE_JSON_BOOL:
        tee_write_text(w, v->value ? "\"True\"" : "\"False\"");
        return TEE_OK;

    case TEE_JSON_NUMBER:

        if (!tee_canon_int(v)
            && (tee_float_parse(v->text, &bits) != TEE_OK
                || (bits & ~TEE_FLOAT_SIGN) == TEE_FLOAT_INFINITY))
        {
            return TEE_UNSUPPORTED;
        }

        tee_write_u8(w, '"');
        tee_canon_write(w, v);
        tee_write_u8(w, '"');

        return TEE_OK;

    case TEE_JSON_NULL:
    case TEE_JSON_ARRAY:
    case TEE_JSON_OBJECT:
        break;
    }

    return TEE_UNSUPPORTED;
}


void
tee_chat_comma(tee_write_t *w)
{
    if (w->len && w->data[w->len - 1] != '{') {
        tee_write_text(w, ", ");
    }
}


void
tee_chat_name(tee_write_t *w, const char *name)
{
    tee_chat_comma(w);
    tee_write_u8(w, '"');
    tee_write_text(w, name);
    tee_write_text(w, "\": ");
}


void
tee_chat_value(tee_write_t *w, const char *name, const tee_json_t *v)
{
    tee_chat_name(w, name);

    if (v) {
        tee_canon_write(w, v);

    } else {
        tee_write_text(w, "null");
    }
}
