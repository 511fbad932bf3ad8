
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <string.h>

#include <tee_canon.h>
#include <tee_signed_event.h>
#include <tee_signed_events.h>
#include <tee_signed_members.h>
#include <tee_signed_output.h>
#include <tee_text.h>


/*
 * In "events" the one that is held comes first, and then the one that is being
 * read; what has been given out is taken away with the next call.
 */

typedef enum {
    TEE_EVENT_PASS = 0,        /* goes on, before what is held */
    TEE_EVENT_MORE,            /* what is held was not the last, either */
    TEE_EVENT_LAST,            /* is held */
    TEE_EVENT_ERROR,
    TEE_EVENT_DONE
} tee_event_t;


static tee_rc_t tee_signed_events_event(tee_signed_events_t *e,
    tee_event_t *kind);
static tee_rc_t tee_signed_events_json(tee_signed_events_t *e,
    const tee_json_t *root, tee_event_t *kind);
static tee_rc_t tee_signed_events_done(tee_signed_events_t *e);
static void tee_signed_events_drop(tee_signed_events_t *e);
static void tee_signed_events_give(tee_signed_events_t *e, size_t at,
    size_t len, tee_str_t *out);
static void tee_signed_events_hold(tee_signed_events_t *e, size_t at);

static tee_rc_t tee_signed_events_rewrite(tee_signed_events_t *e,
    tee_str_t text, int strip);


void
tee_signed_events_init(tee_signed_events_t *e, size_t max,
    const tee_alloc_t *alloc)
{
    memset(e, 0, sizeof(tee_signed_events_t));

    e->max = max;
    e->alloc = alloc;
    e->rc = TEE_OK;

    tee_sse_init(&e->sse);
    tee_write_grow(&e->events, alloc);
    tee_write_grow(&e->data, alloc);
    tee_write_grow(&e->line, alloc);
    tee_signed_delta_init(&e->said, max, alloc);
}


void
tee_signed_events_free(tee_signed_events_t *e)
{
    tee_write_free(&e->events);
    tee_write_free(&e->data);
    tee_write_free(&e->line);
    tee_signed_delta_free(&e->said);
}


tee_rc_t
tee_signed_events_read(tee_signed_events_t *e, tee_str_t *in, tee_str_t *out)
{
    int          end;
    size_t       n, at;
    tee_event_t  kind;

    out->len = 0;
    out->data = NULL;

    tee_signed_events_drop(e);

    if (e->rc != TEE_OK) {
        return e->rc;
    }

    if (e->signing) {
        return TEE_DONE;
    }

    if (e->passing) {
        *out = *in;

        in->data += in->len;
        in->len = 0;

        return TEE_OK;
    }

    if (in->len == 0) {
        return TEE_OK;
    }

    n = tee_sse_scan(&e->sse, *in, &end);

    if (n > e->max - (e->events.len - e->held)) {
        e->rc = TEE_LIMIT;
        return e->rc;
    }

    tee_write_bytes(&e->events, in->data, n);
    e->rc = tee_write_rc(&e->events);

    if (e->rc != TEE_OK) {
        return e->rc;
    }

    in->len -= n;
    in->data += n;

    if (!end) {
        return TEE_OK;
    }

    at = e->held;
    e->rc = tee_signed_events_event(e, &kind);

    if (e->rc != TEE_OK) {
        return e->rc;
    }

    switch (kind) {

    case TEE_EVENT_PASS:
        tee_signed_events_give(e, at, e->events.len - at, out);
        break;

    case TEE_EVENT_MORE:
    case TEE_EVENT_ERROR:
        tee_signed_events_give(e, 0, e->events.len, out);
        break;

    case TEE_EVENT_LAST:
        tee_signed_events_give(e, 0, at, out);
        tee_signed_events_hold(e, at);
        break;

    case TEE_EVENT_DONE:
        return tee_signed_events_done(e);
    }

    return TEE_OK;
}


/* What has been read is all of it: everything stays where it is. */

tee_rc_t
tee_signed_events_end(tee_signed_events_t *e)
{
    size_t       at;
    tee_event_t  kind;

    tee_signed_events_drop(e);

    if (e->rc != TEE_OK) {
        return e->rc;
    }

    if (e->signing) {
        return TEE_DONE;
    }

    if (e->passing) {
        return TEE_OK;
    }

    at = e->held;
    kind = TEE_EVENT_PASS;

    if (e->events.len > at) {
        e->rc = tee_signed_events_event(e, &kind);

        if (e->rc != TEE_OK) {
            e->rc = e->rc == TEE_MALFORMED ? TEE_INCOMPLETE : e->rc;
            return e->rc;
        }
    }

    switch (kind) {

    case TEE_EVENT_DONE:
        return tee_signed_events_done(e);

    case TEE_EVENT_ERROR:
        return TEE_OK;

    case TEE_EVENT_LAST:

        if (at == 0) {

            /* some clients wait for the blank line */

            tee_write_text(&e->events, "\n\n");
            e->rc = tee_write_rc(&e->events);

            if (e->rc != TEE_OK) {
                return e->rc;
            }

            tee_signed_events_hold(e, 0);
            e->held = e->events.len;

            return tee_signed_events_done(e);
        }

        break;

    case TEE_EVENT_PASS:

        if (at) {
            return tee_signed_events_done(e);
        }

        break;

    case TEE_EVENT_MORE:
        break;
    }

    e->rc = TEE_INCOMPLETE;

    return e->rc;
}


void
tee_signed_events_output(const tee_signed_events_t *e, uint8_t output[32])
{
    memcpy(output, e->output, 32);
}


tee_rc_t
tee_signed_events_sign(tee_signed_events_t *e, const tee_signed_t *s,
    tee_str_t *out)
{
    size_t        n;
    tee_write_t  *w;

    out->len = 0;
    out->data = NULL;

    w = &e->line;
    tee_write_reset(w);

    if (e->held) {
        tee_write_bytes(w, e->events.data, e->brace);
        tee_signed_members_write(w, s, 1, 1);
        n = e->brace;

    } else {

        /* a LF may be the second half of a line's end */

        for (n = 0; n < e->events.len; n++) {
            if (e->events.data[n] != '\n' && e->events.data[n] != '\r') {
                break;
            }
        }

        tee_write_bytes(w, e->events.data, n);
        tee_write_text(w, "data: {\"choices\": [{\"delta\": {}, \"index\": 0, "
                       "\"finish_reason\": ");
        tee_write_text(w, e->held_calls ? "\"tool_calls\"}]" : "null}]");
        tee_signed_members_write(w, s, 1, 1);
        tee_write_text(w, "}\n\n");
    }

    tee_write_bytes(w, e->events.data + n, e->events.len - n);

    if (tee_write_rc(w) != TEE_OK) {
        e->rc = tee_write_rc(w);
        return e->rc;
    }

    out->len = w->len;
    out->data = w->data;

    tee_write_reset(&e->events);
    e->held = 0;

    e->signing = 0;
    e->passing = 1;

    return TEE_OK;
}


void
tee_signed_events_rest(tee_signed_events_t *e, tee_str_t *out)
{
    tee_signed_events_drop(e);

    out->len = e->events.len;
    out->data = e->events.data;
}


/* Reads the event that is whole, and has it in its final form. */

static tee_rc_t
tee_signed_events_event(tee_signed_events_t *e, tee_event_t *kind)
{
    int             strip;
    tee_rc_t        rc;
    tee_str_t       event, text;
    tee_json_doc_t  doc;

    *kind = TEE_EVENT_PASS;

    event.len = e->events.len - e->held;
    event.data = e->events.data + e->held;

    rc = tee_signed_event_text(event, !e->started, &e->data, &text);

    e->started = 1;

    if (rc != TEE_OK || text.len == 0) {
        return rc;
    }

    strip = 0;

    e->typed = tee_sse_typed(event) != 0;

    if (tee_text_is(text, "[DONE]")) {
        *kind = TEE_EVENT_DONE;

        if (e->typed) {
            return TEE_UNSUPPORTED;
        }

    } else {
        rc = tee_canon_parse_once(text, TEE_SIGNED_EVENT_NODES, e->alloc, &doc);

        if (rc != TEE_OK) {
            return rc;
        }

        rc = tee_signed_events_json(e, doc.root, kind);
        strip = tee_signed_foreign(doc.root);

        tee_json_free(&doc);

        if (rc != TEE_OK) {
            return rc;
        }
    }

    if (strip || !tee_signed_event_usual(event, text)) {
        return tee_signed_events_rewrite(e, text, strip);
    }

    return TEE_OK;
}


static tee_rc_t
tee_signed_events_json(tee_signed_events_t *e, const tee_json_t *root,
    tee_event_t *kind)
{
    tee_rc_t           rc;
    const tee_json_t  *v, *choice;

    v = tee_canon_get(root, "error");

    if (v && v->type != TEE_JSON_NULL) {
        *kind = TEE_EVENT_ERROR;
        e->error = 1;
        e->passing = 1;

        return TEE_OK;
    }

    rc = tee_signed_only(root, "delta", &choice);

    if (rc != TEE_OK || choice == NULL) {
        return rc;
    }

    /* not all would read it: see tee_signed_stream.c */

    if (e->typed || (e->finished && tee_signed_delta_says(choice))) {
        return TEE_UNSUPPORTED;
    }

    rc = tee_signed_delta_read(&e->said, choice);

    if (rc != TEE_OK) {

        /* it is JSON, but nothing that has a hash */

        return rc == TEE_MALFORMED ? TEE_UNSUPPORTED : rc;
    }

    v = tee_canon_get(choice, "finish_reason");

    if (v == NULL || v->type == TEE_JSON_NULL) {
        *kind = TEE_EVENT_MORE;

    } else {
        *kind = TEE_EVENT_LAST;
        e->finished = 1;
        e->held_calls = tee_canon_is(v, "tool_calls") != 0;
    }

    return TEE_OK;
}


static tee_rc_t
tee_signed_events_done(tee_signed_events_t *e)
{
    int  calls;

    /* without calls, an event of our own does not tell of them */

    calls = e->held_calls && tee_signed_delta_calls(&e->said);
    e->held_calls = calls != 0;

    /* the gateway has null for an id that was never sent, but clients "" */

    e->rc = tee_signed_delta_output(&e->said, calls, "\"\"", e->output);

    if (e->rc != TEE_OK) {
        return e->rc;
    }

    e->signing = 1;

    return TEE_DONE;
}


/* Takes away what has been given out. */

static void
tee_signed_events_drop(tee_signed_events_t *e)
{
    size_t    len;
    uint8_t  *p;

    if (e->sent) {
        p = e->events.data + e->sent_at;
        len = e->events.len - e->sent_at - e->sent;

        memmove(p, p + e->sent, len);
        tee_wipe(p + len, e->sent);

        e->events.len -= e->sent;
        e->held = e->sent_at ? e->held : e->next;
        e->sent = 0;
    }
}


static void
tee_signed_events_give(tee_signed_events_t *e, size_t at, size_t len,
    tee_str_t *out)
{
    e->sent_at = at;
    e->sent = len;
    e->next = 0;

    if (len) {
        out->len = len;
        out->data = e->events.data + at;
    }
}


/* The event at "at" is held, as soon as what is before it has gone. */

static void
tee_signed_events_hold(tee_signed_events_t *e, size_t at)
{
    tee_str_t  event;

    event.len = e->events.len - at;
    event.data = e->events.data + at;

    e->brace = tee_signed_event_brace(event);
    e->next = event.len;

    if (at == 0) {
        e->held = event.len;
    }
}


/* Has the event that has just been read, in its new form. */

static tee_rc_t
tee_signed_events_rewrite(tee_signed_events_t *e, tee_str_t text, int strip)
{
    size_t        old;
    tee_rc_t      rc;
    tee_str_t     event;
    tee_write_t   json;

    tee_write_grow(&json, e->alloc);
    tee_write_reset(&e->line);

    if (strip) {
        (void) tee_signed_strip(&json, text);
        tee_write_u8(&json, '}');

        text.len = json.len;
        text.data = json.data;
    }

    event.len = e->events.len - e->held;
    event.data = e->events.data + e->held;
    old = event.len;

    rc = tee_write_rc(&json);

    if (rc == TEE_OK) {
        tee_signed_event_write(&e->line, event, text);
        rc = tee_write_rc(&e->line);
    }

    tee_write_free(&json);

    /* where there is no memory, the event stays as it was */

    if (rc == TEE_OK && e->line.len > old) {
        tee_write_bytes(&e->events, e->line.data, e->line.len - old);
        rc = tee_write_rc(&e->events);
    }

    if (rc != TEE_OK) {
        return rc;
    }

    memcpy(e->events.data + e->held, e->line.data, e->line.len);

    if (e->line.len < old) {
        tee_wipe(e->events.data + e->held + e->line.len, old - e->line.len);
    }

    e->events.len = e->held + e->line.len;

    return TEE_OK;
}
