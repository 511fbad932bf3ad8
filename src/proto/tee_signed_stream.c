
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <string.h>

#include <tee_canon.h>
#include <tee_signed_output.h>
#include <tee_signed_stream.h>
#include <tee_text.h>


/* Tool calls in one answer; there are a handful. */

#define TEE_SIGNED_MAX_CALLS  256


struct tee_signed_call_s {
    tee_signed_call_t    *next;                /* of a higher index */
    uint64_t              index;
    tee_str_t             id;
    tee_str_t             type;
    tee_str_t             name;
    tee_write_t           arguments;
    unsigned              has_id:1;
};


static tee_rc_t tee_signed_event(tee_signed_stream_t *s);
static tee_rc_t tee_signed_event_json(tee_signed_stream_t *s,
    const tee_json_t *root);
static tee_rc_t tee_signed_fragment(tee_signed_stream_t *s,
    const tee_json_t *fragment);
static tee_rc_t tee_signed_slot(tee_signed_stream_t *s,
    const tee_json_t *index, tee_signed_call_t **call);
static tee_rc_t tee_signed_keep(tee_signed_stream_t *s, const tee_json_t *v,
    tee_str_t *text);
static tee_rc_t tee_signed_list(tee_signed_stream_t *s, const char *no_id,
    uint8_t output[32]);


void
tee_signed_stream_init(tee_signed_stream_t *s, size_t max,
    const tee_alloc_t *alloc)
{
    memset(s, 0, sizeof(tee_signed_stream_t));

    s->max = max;
    s->room = max;
    s->alloc = alloc;
    s->rc = TEE_OK;
    s->last_rc = TEE_INCOMPLETE;

    tee_sse_init(&s->sse);
    tee_write_grow(&s->event, alloc);
    tee_keccak_init(&s->text);
    tee_arena_init(&s->arena, alloc);
}


void
tee_signed_stream_free(tee_signed_stream_t *s)
{
    tee_signed_call_t  *call;

    for (call = s->calls; call; call = call->next) {
        tee_write_free(&call->arguments);
    }

    s->calls = NULL;

    tee_write_free(&s->event);
    tee_arena_free(&s->arena);
}


tee_rc_t
tee_signed_stream_read(tee_signed_stream_t *s, tee_str_t in)
{
    int     end;
    size_t  n;

    while (s->rc == TEE_OK && in.len) {
        n = tee_sse_scan(&s->sse, in, &end);

        if (n > s->max - s->event.len) {
            s->rc = TEE_LIMIT;
            break;
        }

        tee_write_bytes(&s->event, in.data, n);
        s->rc = tee_write_rc(&s->event);

        in.len -= n;
        in.data += n;

        if (s->rc == TEE_OK && end) {
            s->rc = tee_signed_event(s);
        }
    }

    return s->rc;
}


tee_rc_t
tee_signed_stream_end(tee_signed_stream_t *s, uint8_t output[32])
{
    tee_keccak_t        k;
    tee_signed_call_t  *call;

    memset(output, 0, 32);

    if (s->rc == TEE_OK && s->event.len) {
        s->rc = tee_signed_event(s);

        if (s->rc == TEE_MALFORMED) {
            s->rc = TEE_INCOMPLETE;
        }
    }

    if (s->rc == TEE_OK) {
        s->rc = s->last_rc;
    }

    if (s->rc != TEE_OK) {
        return s->rc;
    }

    if (!s->ended_with_calls || s->calls == NULL) {
        k = s->text;
        tee_keccak_final(&k, output);

        return TEE_OK;
    }

    s->rc = tee_signed_list(s, "null", output);

    for (call = s->calls; call && call->has_id; call = call->next) {
        /* void */
    }

    /* the gateway has null for an id that was never sent, the SDK "" */

    if (s->rc == TEE_OK && call
        && memcmp(output, s->last.output_hash, 32) != 0)
    {
        s->rc = tee_signed_list(s, "\"\"", output);
    }

    return s->rc;
}


static tee_rc_t
tee_signed_event(tee_signed_stream_t *s)
{
    tee_rc_t         rc;
    tee_str_t        text;
    tee_json_doc_t   doc;

    text.len = s->event.len;
    text.data = s->event.data;

    text.len = tee_sse_data(text, s->event.data);
    s->event.len = 0;

    while (text.len && (text.data[text.len - 1] == '\n'
                        || text.data[text.len - 1] == ' '))
    {
        text.len--;
    }

    if (text.len == 0 || tee_text_is(text, "[DONE]")) {
        return TEE_OK;
    }

    rc = tee_canon_parse(text, TEE_SIGNED_NODES, s->alloc, &doc);

    if (rc != TEE_OK) {
        return rc;
    }

    rc = tee_signed_event_json(s, doc.root);

    tee_json_free(&doc);

    return rc;
}


static tee_rc_t
tee_signed_event_json(tee_signed_stream_t *s, const tee_json_t *root)
{
    tee_rc_t           rc;
    const tee_json_t  *v, *choice, *delta;

    v = tee_canon_get(root, "error");

    if (v && v->type != TEE_JSON_NULL) {
        return TEE_MALFORMED;
    }

    choice = tee_signed_choice(root);
    delta = tee_canon_get(choice, "delta");

    rc = tee_signed_content(&s->text, tee_canon_get(delta, "content"));

    if (rc != TEE_OK) {
        return rc;
    }

    v = tee_canon_get(delta, "tool_calls");

    if (v && v->type == TEE_JSON_ARRAY) {

        for (v = v->child; v; v = v->next) {

            rc = tee_signed_fragment(s, v);

            if (rc != TEE_OK) {
                return rc;
            }
        }
    }

    if (tee_canon_get(root, "tee_signature") == NULL
        && tee_canon_get(root, "tee_output_hash") == NULL)
    {
        return TEE_OK;
    }

    v = tee_canon_get(choice, "finish_reason");

    s->ended_with_calls = tee_canon_is(v, "tool_calls") != 0;
    s->last_rc = tee_signed_read(root, &s->last);

    return TEE_OK;
}


static tee_rc_t
tee_signed_fragment(tee_signed_stream_t *s, const tee_json_t *fragment)
{
    tee_rc_t            rc;
    const tee_json_t   *v, *function;
    tee_signed_call_t  *call;

    if (fragment->type != TEE_JSON_OBJECT) {
        return TEE_UNSUPPORTED;
    }

    rc = tee_signed_slot(s, tee_canon_get(fragment, "index"), &call);

    if (rc != TEE_OK) {
        return rc;
    }

    function = tee_canon_get(fragment, "function");

    if (tee_canon_true(function) && function->type != TEE_JSON_OBJECT) {
        return TEE_UNSUPPORTED;
    }

    /* the last id and name count, arguments are pieces */

    v = tee_canon_get(fragment, "id");
    call->has_id |= tee_canon_true(v) != 0;

    rc = tee_signed_keep(s, v, &call->id);

    if (rc == TEE_OK) {
        rc = tee_signed_keep(s, tee_canon_get(fragment, "type"), &call->type);
    }

    if (rc == TEE_OK) {
        rc = tee_signed_keep(s, tee_canon_get(function, "name"), &call->name);
    }

    v = tee_canon_get(function, "arguments");

    if (rc != TEE_OK || !tee_canon_true(v)) {
        return rc;
    }

    if (v->type != TEE_JSON_STRING) {
        return TEE_UNSUPPORTED;
    }

    if (v->text.len > s->room) {
        return TEE_LIMIT;
    }

    s->room -= v->text.len;

    tee_write_bytes(&call->arguments, v->text.data, v->text.len);

    return tee_write_rc(&call->arguments);
}


/* The call with this index, or a new one in its place. */

static tee_rc_t
tee_signed_slot(tee_signed_stream_t *s, const tee_json_t *index,
    tee_signed_call_t **call)
{
    size_t               n;
    uint64_t             i;
    tee_signed_call_t  **p, *c;

    i = 0;

    if (index && (index->type != TEE_JSON_NUMBER
                  || tee_decimal(index->text, UINT32_MAX, &i) != TEE_OK))
    {
        return TEE_UNSUPPORTED;
    }

    for (p = &s->calls; *p && (*p)->index < i; p = &(*p)->next) { /* void */ }

    *call = *p;

    if (*p && (*p)->index == i) {
        return TEE_OK;
    }

    for (c = s->calls, n = 0; c; c = c->next) {
        n++;
    }

    if (n == TEE_SIGNED_MAX_CALLS) {
        return TEE_LIMIT;
    }

    c = tee_arena_alloc(&s->arena, sizeof(tee_signed_call_t));
    if (c == NULL) {
        return TEE_NOMEM;
    }

    memset(c, 0, sizeof(tee_signed_call_t));

    c->index = i;
    c->type.len = 8;
    c->type.data = (const uint8_t *) "function";
    c->next = *p;

    tee_write_grow(&c->arguments, s->alloc);

    *p = c;
    *call = c;

    return TEE_OK;
}


/* What is not there, or is empty, changes nothing. */

static tee_rc_t
tee_signed_keep(tee_signed_stream_t *s, const tee_json_t *v, tee_str_t *text)
{
    if (!tee_canon_true(v)) {
        return TEE_OK;
    }

    if (v->type != TEE_JSON_STRING) {
        return TEE_UNSUPPORTED;
    }

    if (v->text.len == text->len
        && memcmp(v->text.data, text->data, text->len) == 0)
    {
        return TEE_OK;
    }

    if (v->text.len > s->room) {
        return TEE_LIMIT;
    }

    s->room -= v->text.len;

    return tee_arena_copy(&s->arena, v->text, text);
}


static tee_rc_t
tee_signed_list(tee_signed_stream_t *s, const char *no_id, uint8_t output[32])
{
    tee_rc_t            rc;
    tee_str_t           text;
    tee_write_t         w;
    tee_signed_call_t  *call;

    tee_write_grow(&w, s->alloc);
    tee_write_u8(&w, '[');

    for (call = s->calls; call; call = call->next) {
        text.len = call->arguments.len;
        text.data = call->arguments.data;

        tee_write_text(&w, "{\"function\": {\"arguments\": ");
        tee_canon_string(&w, text);
        tee_write_text(&w, ", \"name\": ");
        tee_canon_string(&w, call->name);
        tee_write_text(&w, "}, \"id\": ");

        if (call->has_id) {
            tee_canon_string(&w, call->id);

        } else {
            tee_write_text(&w, no_id);
        }

        tee_write_text(&w, ", \"type\": ");
        tee_canon_string(&w, call->type);
        tee_write_text(&w, call->next ? "}, " : "}]");
    }

    rc = tee_write_rc(&w);

    if (rc == TEE_OK) {
        text.len = w.len;
        text.data = w.data;

        tee_keccak256(text, output);
    }

    tee_write_free(&w);

    return rc;
}
