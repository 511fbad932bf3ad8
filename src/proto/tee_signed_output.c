
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <string.h>

#include <tee_canon.h>
#include <tee_signed_output.h>
#include <tee_text.h>


static tee_rc_t tee_signed_calls(const tee_json_t *calls,
    const tee_alloc_t *alloc, uint8_t output[32]);


/* What is read of an answer, and what clients read beside it. */

static const char *const  tee_signed_known[] = {
    "arguments", "body", "choices", "content", "delta", "error",
    "finish_reason", "function", "id", "index", "message", "name", "role",
    "status", "tee_id", "tee_output_hash", "tee_request_hash",
    "tee_signature", "tee_timestamp", "text", "tool_calls", "type"
};


tee_rc_t
tee_signed_output(const tee_json_t *body, tee_chat_endpoint_t endpoint,
    const tee_alloc_t *alloc, uint8_t output[32])
{
    tee_rc_t           rc;
    tee_keccak_t       k;
    const tee_json_t  *choice, *content, *calls;

    rc = TEE_OK;
    content = NULL;

    switch (endpoint) {

    case TEE_CHAT:
        rc = tee_signed_only(body, "message", &choice);

        content = tee_canon_get(choice, "message");
        calls = tee_canon_get(content, "tool_calls");

        if (rc == TEE_OK) {
            rc = tee_signed_names(content);
        }

        if (rc != TEE_OK) {
            return rc;
        }

        if (tee_canon_is(tee_canon_get(choice, "finish_reason"), "tool_calls")
            && calls && calls->type == TEE_JSON_ARRAY && calls->child)
        {
            return tee_signed_calls(calls, alloc, output);
        }

        content = tee_canon_get(content, "content");
        break;

    case TEE_CHAT_COMPLETIONS:
        rc = tee_signed_only(body, "text", &choice);
        content = tee_canon_get(choice, "text");
        break;

    case TEE_CHAT_WEB_SEARCH:
        rc = tee_signed_names(body);
        content = tee_canon_get(body, "content");
        break;
    }

    if (rc != TEE_OK) {
        return rc;
    }

    tee_keccak_init(&k);

    rc = tee_signed_content(&k, content);

    if (rc == TEE_OK) {
        tee_keccak_final(&k, output);
    }

    return rc;
}


static tee_rc_t
tee_signed_calls(const tee_json_t *calls, const tee_alloc_t *alloc,
    uint8_t output[32])
{
    tee_rc_t     rc;
    tee_str_t    text;
    tee_write_t  w;

    tee_write_grow(&w, alloc);
    tee_canon_write(&w, calls);

    rc = tee_write_rc(&w);

    if (rc == TEE_OK) {
        text.len = w.len;
        text.data = w.data;

        tee_keccak256(text, output);
    }

    tee_write_free(&w);

    return rc;
}


tee_rc_t
tee_signed_content(tee_keccak_t *k, const tee_json_t *content)
{
    const tee_json_t  *v, *text;

    if (content == NULL || content->type == TEE_JSON_NULL) {
        return TEE_OK;
    }

    if (content->type == TEE_JSON_ARRAY) {
        v = content->child;

    } else if (content->type == TEE_JSON_STRING) {
        v = content;

    } else {
        return TEE_UNSUPPORTED;
    }

    while (v) {
        text = v;

        if (v->type == TEE_JSON_OBJECT) {
            text = tee_canon_get(v, "text");

            if (tee_signed_names(v) != TEE_OK) {
                return TEE_UNSUPPORTED;
            }
        }

        if (text) {

            if (text->type != TEE_JSON_STRING) {
                return TEE_UNSUPPORTED;
            }

            /* what is half of a pair has no bytes to hash */

            if (!tee_utf8_valid(text->text)) {
                return TEE_MALFORMED;
            }

            tee_keccak_update(k, text->text.data, text->text.len);
        }

        v = v == content ? NULL : v->next;
    }

    return TEE_OK;
}


tee_rc_t
tee_signed_names(const tee_json_t *object)
{
    return tee_canon_cased(object, tee_signed_known,
                           sizeof(tee_signed_known) / sizeof(char *))
           ? TEE_UNSUPPORTED : TEE_OK;
}


tee_rc_t
tee_signed_only(const tee_json_t *body, const char *part,
    const tee_json_t **choice)
{
    size_t             i;
    const tee_json_t  *v, *index;

    static const char *const  parts[] = { "message", "delta", "text" };

    *choice = NULL;

    if (tee_signed_names(body) != TEE_OK) {
        return TEE_UNSUPPORTED;
    }

    v = tee_canon_get(body, "choices");

    if (v == NULL || v->type == TEE_JSON_NULL) {
        return TEE_OK;
    }

    if (v->type != TEE_JSON_ARRAY) {
        return TEE_UNSUPPORTED;
    }

    v = v->child;

    if (v == NULL) {
        return TEE_OK;
    }

    if (v->next || v->type != TEE_JSON_OBJECT
        || tee_signed_names(v) != TEE_OK)
    {
        return TEE_UNSUPPORTED;
    }

    index = tee_canon_get(v, "index");

    if (index && index->type != TEE_JSON_NULL
        && (index->type != TEE_JSON_NUMBER || tee_canon_true(index)))
    {
        return TEE_UNSUPPORTED;
    }

    for (i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        if (strcmp(parts[i], part) != 0
            && tee_canon_true(tee_canon_get(v, parts[i])))
        {
            return TEE_UNSUPPORTED;
        }
    }

    *choice = v;

    return TEE_OK;
}
