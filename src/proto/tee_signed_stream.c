
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <string.h>

#include <tee_canon.h>
#include <tee_signed_event.h>
#include <tee_signed_output.h>
#include <tee_signed_stream.h>
#include <tee_text.h>


static tee_rc_t tee_signed_event(tee_signed_stream_t *s);
static tee_rc_t tee_signed_event_json(tee_signed_stream_t *s,
    const tee_json_t *root);


void
tee_signed_stream_init(tee_signed_stream_t *s, size_t max, int strict,
    const tee_alloc_t *alloc)
{
    memset(s, 0, sizeof(tee_signed_stream_t));

    s->max = max;
    s->strict = strict != 0;
    s->alloc = alloc;
    s->rc = TEE_OK;
    s->last_rc = TEE_INCOMPLETE;

    tee_sse_init(&s->sse);
    tee_write_grow(&s->event, alloc);
    tee_write_grow(&s->data, alloc);
    tee_signed_delta_init(&s->said, max, alloc);
}


void
tee_signed_stream_free(tee_signed_stream_t *s)
{
    tee_write_free(&s->event);
    tee_write_free(&s->data);
    tee_signed_delta_free(&s->said);
}


tee_rc_t
tee_signed_stream_read(tee_signed_stream_t *s, tee_str_t in)
{
    tee_rc_t   rc;
    tee_str_t  event;

    do {
        rc = tee_signed_stream_next(s, &in, &event);
    } while (rc == TEE_OK && in.len);

    return rc;
}


tee_rc_t
tee_signed_stream_next(tee_signed_stream_t *s, tee_str_t *in,
    tee_str_t *event)
{
    int     end;
    size_t  n;

    event->len = 0;
    event->data = NULL;

    if (s->rc != TEE_OK || in->len == 0) {
        return s->rc;
    }

    if (s->whole) {
        tee_write_reset(&s->event);
        s->whole = 0;
    }

    n = tee_sse_scan(&s->sse, *in, &end);

    if (n > s->max - s->event.len) {
        s->rc = TEE_LIMIT;
        return s->rc;
    }

    tee_write_bytes(&s->event, in->data, n);
    s->rc = tee_write_rc(&s->event);

    in->len -= n;
    in->data += n;

    if (s->rc == TEE_OK && end) {
        s->whole = 1;
        s->rc = tee_signed_event(s);

        if (s->rc == TEE_OK) {
            event->len = s->event.len;
            event->data = s->event.data;
        }
    }

    return s->rc;
}


tee_str_t
tee_signed_stream_rest(const tee_signed_stream_t *s)
{
    tee_str_t  rest;

    rest.len = s->whole ? 0 : s->event.len;
    rest.data = s->event.data;

    return rest;
}


tee_rc_t
tee_signed_stream_end(tee_signed_stream_t *s, uint8_t output[32])
{
    int  calls;

    memset(output, 0, 32);

    if (s->rc == TEE_OK && s->event.len && !s->whole) {
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

    calls = s->ended_with_calls;

    s->rc = tee_signed_delta_output(&s->said, calls, "null", output);

    /* the gateway has null for an id that was never sent, the SDK "" */

    if (s->rc == TEE_OK && calls && tee_signed_delta_no_id(&s->said)
        && memcmp(output, s->last.output_hash, 32) != 0)
    {
        s->rc = tee_signed_delta_output(&s->said, calls, "\"\"", output);
    }

    if (s->rc != TEE_OK) {
        memset(output, 0, 32);
    }

    return s->rc;
}


static tee_rc_t
tee_signed_event(tee_signed_stream_t *s)
{
    tee_rc_t         rc;
    tee_str_t        event, text;
    tee_json_doc_t   doc;

    event.len = s->event.len;
    event.data = s->event.data;

    rc = tee_signed_event_text(event, !s->started, &s->data, &text);

    s->started = 1;

    if (rc != TEE_OK) {
        return rc;
    }

    if (text.len == 0) {
        return TEE_OK;
    }

    /*
     * Who takes each line for an event would read something else; and who
     * stops at "[DONE]", or sees no events of other types.
     */

    if (tee_signed_event_lines(event) != 1 || (s->strict && s->done)) {
        return TEE_UNSUPPORTED;
    }

    s->typed = s->strict && tee_sse_typed(event);

    if (tee_text_is(text, "[DONE]")) {
        s->ended = 1;
        s->done = 1;

        return s->typed ? TEE_UNSUPPORTED : TEE_OK;
    }

    rc = s->strict
         ? tee_canon_parse_once(text, TEE_SIGNED_EVENT_NODES, s->alloc, &doc)
         : tee_canon_parse(text, TEE_SIGNED_EVENT_NODES, s->alloc, &doc);

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
    int                last;
    tee_rc_t           rc;
    const tee_json_t  *v, *choice;

    v = tee_canon_get(root, "error");

    if (v && v->type != TEE_JSON_NULL) {
        return TEE_MALFORMED;
    }

    rc = tee_signed_only(root, "delta", &choice);

    /* who stops at a finish_reason would not read what comes behind it */

    if (rc == TEE_OK && s->strict && s->ended
        && tee_signed_delta_says(choice))
    {
        rc = TEE_UNSUPPORTED;
    }

    if (rc == TEE_OK) {
        rc = tee_signed_delta_read(&s->said, choice);
    }

    if (rc != TEE_OK) {
        return rc;
    }

    v = tee_canon_get(choice, "finish_reason");

    if (v && v->type != TEE_JSON_NULL) {
        s->ended = 1;
    }

    last = tee_canon_get(root, "tee_signature") != NULL
           || tee_canon_get(root, "tee_output_hash") != NULL;

    if (s->typed && (choice || last)) {
        return TEE_UNSUPPORTED;
    }

    if (!last) {
        return TEE_OK;
    }

    s->has_signature = 1;
    s->ended_with_calls = tee_canon_is(v, "tool_calls") != 0;
    s->last_rc = tee_signed_read(root, &s->last);

    return TEE_OK;
}
