
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <string.h>

#include <tee_canon.h>
#include <tee_signed_delta.h>
#include <tee_signed_output.h>
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


static tee_rc_t tee_signed_delta_call(tee_signed_delta_t *d,
    const tee_json_t *fragment);
static tee_rc_t tee_signed_delta_slot(tee_signed_delta_t *d,
    const tee_json_t *index, tee_signed_call_t **call);
static tee_rc_t tee_signed_delta_keep(tee_signed_delta_t *d,
    const tee_json_t *v, tee_str_t *text);


void
tee_signed_delta_init(tee_signed_delta_t *d, size_t max,
    const tee_alloc_t *alloc)
{
    d->calls = NULL;
    d->room = max;
    d->alloc = alloc;

    tee_keccak_init(&d->text);
    tee_arena_init(&d->arena, alloc);
}


void
tee_signed_delta_free(tee_signed_delta_t *d)
{
    tee_signed_call_t  *call;

    for (call = d->calls; call; call = call->next) {
        tee_write_free(&call->arguments);
    }

    d->calls = NULL;

    tee_arena_free(&d->arena);
    tee_wipe(&d->text, sizeof(tee_keccak_t));
}


tee_rc_t
tee_signed_delta_read(tee_signed_delta_t *d, const tee_json_t *choice)
{
    tee_rc_t           rc;
    const tee_json_t  *v, *delta;

    delta = tee_canon_get(choice, "delta");

    if (tee_signed_names(delta) != TEE_OK) {
        return TEE_UNSUPPORTED;
    }

    rc = tee_signed_content(&d->text, tee_canon_get(delta, "content"));

    if (rc != TEE_OK) {
        return rc;
    }

    v = tee_canon_get(delta, "tool_calls");

    if (v == NULL || v->type != TEE_JSON_ARRAY) {
        return TEE_OK;
    }

    for (v = v->child; v; v = v->next) {

        rc = tee_signed_delta_call(d, v);

        if (rc != TEE_OK) {
            return rc;
        }
    }

    return TEE_OK;
}


int
tee_signed_delta_says(const tee_json_t *choice)
{
    const tee_json_t  *delta;

    delta = tee_canon_get(choice, "delta");

    return tee_canon_true(tee_canon_get(delta, "content"))
           || tee_canon_true(tee_canon_get(delta, "tool_calls"));
}


static tee_rc_t
tee_signed_delta_call(tee_signed_delta_t *d, const tee_json_t *fragment)
{
    tee_rc_t            rc;
    const tee_json_t   *v, *function;
    tee_signed_call_t  *call;

    if (fragment->type != TEE_JSON_OBJECT) {
        return TEE_UNSUPPORTED;
    }

    v = tee_canon_get(fragment, "index");
    rc = tee_signed_delta_slot(d, v, &call);

    if (rc != TEE_OK) {
        return rc;
    }

    function = tee_canon_get(fragment, "function");

    if ((tee_canon_true(function) && function->type != TEE_JSON_OBJECT)
        || tee_signed_names(fragment) != TEE_OK
        || tee_signed_names(function) != TEE_OK)
    {
        return TEE_UNSUPPORTED;
    }

    /* the last id and name count, arguments are pieces */

    v = tee_canon_get(fragment, "id");
    call->has_id |= tee_canon_true(v) != 0;

    rc = tee_signed_delta_keep(d, v, &call->id);

    if (rc == TEE_OK) {
        v = tee_canon_get(fragment, "type");
        rc = tee_signed_delta_keep(d, v, &call->type);
    }

    if (rc == TEE_OK) {
        v = tee_canon_get(function, "name");
        rc = tee_signed_delta_keep(d, v, &call->name);
    }

    v = tee_canon_get(function, "arguments");

    if (rc != TEE_OK || !tee_canon_true(v)) {
        return rc;
    }

    if (v->type != TEE_JSON_STRING) {
        return TEE_UNSUPPORTED;
    }

    if (v->text.len > d->room) {
        return TEE_LIMIT;
    }

    d->room -= v->text.len;

    tee_write_bytes(&call->arguments, v->text.data, v->text.len);

    return tee_write_rc(&call->arguments);
}


/* The call with this index, or a new one in its place. */

static tee_rc_t
tee_signed_delta_slot(tee_signed_delta_t *d, const tee_json_t *index,
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

    for (p = &d->calls; *p && (*p)->index < i; p = &(*p)->next) { /* void */ }

    *call = *p;

    if (*p && (*p)->index == i) {
        return TEE_OK;
    }

    for (c = d->calls, n = 0; c; c = c->next) {
        n++;
    }

    if (n == TEE_SIGNED_MAX_CALLS) {
        return TEE_LIMIT;
    }

    c = tee_arena_alloc(&d->arena, sizeof(tee_signed_call_t));
    if (c == NULL) {
        return TEE_NOMEM;
    }

    memset(c, 0, sizeof(tee_signed_call_t));

    c->index = i;
    c->type.len = 8;
    c->type.data = (const uint8_t *) "function";
    c->next = *p;

    tee_write_grow(&c->arguments, d->alloc);

    *p = c;
    *call = c;

    return TEE_OK;
}


/* What is not there, or is empty, changes nothing. */

static tee_rc_t
tee_signed_delta_keep(tee_signed_delta_t *d, const tee_json_t *v,
    tee_str_t *text)
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

    if (v->text.len > d->room) {
        return TEE_LIMIT;
    }

    d->room -= v->text.len;

    return tee_arena_copy(&d->arena, v->text, text);
}


int
tee_signed_delta_calls(const tee_signed_delta_t *d)
{
    return d->calls != NULL;
}


int
tee_signed_delta_no_id(const tee_signed_delta_t *d)
{
    const tee_signed_call_t  *call;

    for (call = d->calls; call && call->has_id; call = call->next) {
        /* void */
    }

    return call != NULL;
}


tee_rc_t
tee_signed_delta_output(const tee_signed_delta_t *d, int calls,
    const char *no_id, uint8_t output[32])
{
    tee_rc_t                  rc;
    tee_str_t                 text;
    tee_write_t               w;
    tee_keccak_t              k;
    const tee_signed_call_t  *call;

    if (!calls || d->calls == NULL) {
        k = d->text;
        tee_keccak_final(&k, output);

        return TEE_OK;
    }

    tee_write_grow(&w, d->alloc);
    tee_write_u8(&w, '[');

    for (call = d->calls; call; call = call->next) {
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
