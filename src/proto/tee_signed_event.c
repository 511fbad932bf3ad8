
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <tee_signed_event.h>
#include <tee_sse.h>


static const char *tee_signed_event_end(tee_str_t text, size_t pos);
static void tee_signed_event_put(tee_write_t *w, tee_str_t text);


tee_rc_t
tee_signed_event_text(tee_str_t event, int first, tee_write_t *data,
    tee_str_t *text)
{
    text->len = 0;
    text->data = NULL;

    if (!tee_sse_plain(event, first)) {
        return TEE_UNSUPPORTED;
    }

    tee_write_reset(data);
    tee_write_bytes(data, event.data, event.len);

    if (tee_write_rc(data) != TEE_OK) {
        return tee_write_rc(data);
    }

    text->len = tee_sse_data(event, data->data);
    text->data = data->data;

    while (text->len && (text->data[text->len - 1] == '\n'
                         || text->data[text->len - 1] == ' '))
    {
        text->len--;
    }

    return TEE_OK;
}


size_t
tee_signed_event_lines(tee_str_t event)
{
    size_t     n;
    tee_str_t  line, all, data;

    for (n = 0; event.len; /* void */ ) {
        line = tee_sse_line(&event, &all);
        n += tee_sse_is_data(line, &data) != 0;
    }

    return n;
}


int
tee_signed_event_usual(tee_str_t event, tee_str_t text)
{
    size_t     i;
    tee_str_t  line, all, data;

    if (tee_signed_event_lines(event) != 1) {
        return 0;
    }

    while (event.len) {
        line = tee_sse_line(&event, &all);

        if (tee_sse_is_data(line, &data) && data.data - line.data != 6) {
            return 0;
        }
    }

    /* nothing that tee_signed_event_put() escapes */

    for (i = 0; i < text.len; i++) {
        if (tee_signed_event_end(text, i)) {
            return 0;
        }
    }

    return 1;
}


/* What stands at "pos" if that ends a line for some; or NULL. */

static const char *
tee_signed_event_end(tee_str_t text, size_t pos)
{
    const uint8_t  *p;

    p = text.data + pos;

    if (text.len - pos >= 2 && p[0] == 0xc2 && p[1] == 0x85) {
        return "\\u0085";
    }

    if (text.len - pos >= 3 && p[0] == 0xe2 && p[1] == 0x80) {
        return p[2] == 0xa8 ? "\\u2028" : p[2] == 0xa9 ? "\\u2029" : NULL;
    }

    return NULL;
}


void
tee_signed_event_write(tee_write_t *w, tee_str_t event, tee_str_t text)
{
    size_t     lines;
    unsigned   first;
    tee_str_t  line, all, data;

    lines = tee_signed_event_lines(event);

    for (first = 1; event.len; /* void */ ) {
        line = tee_sse_line(&event, &all);

        if (!tee_sse_is_data(line, &data)) {
            tee_write_bytes(w, line.data, line.len);

        } else if (first) {
            first = 0;

            tee_write_text(w, "data: ");
            tee_signed_event_put(w, text);

        } else {
            continue;
        }

        /* a CR would take the LF behind lines that are left out for its own,
         * and the event would not end there */

        if (lines > 1) {
            tee_write_u8(w, '\n');

        } else {
            tee_write_bytes(w, all.data + line.len, all.len - line.len);
        }
    }
}


static void
tee_signed_event_put(tee_write_t *w, tee_str_t text)
{
    size_t       i, from, n;
    const char  *escape;

    from = 0;

    for (i = 0; i < text.len; i += n) {
        escape = tee_signed_event_end(text, i);
        n = 1;

        if (escape) {
            n = text.data[i] == 0xc2 ? 2 : 3;

        } else if (text.data[i] == '\n') {
            escape = " ";
        }

        if (escape) {
            tee_write_bytes(w, text.data + from, i - from);
            tee_write_text(w, escape);
            from = i + n;
        }
    }

    tee_write_bytes(w, text.data + from, text.len - from);
}


size_t
tee_signed_event_brace(tee_str_t event)
{
    size_t          i, brace;
    tee_str_t       line, all, data;
    const uint8_t  *start;

    start = event.data;
    brace = 0;

    while (event.len) {
        line = tee_sse_line(&event, &all);

        if (!tee_sse_is_data(line, &data)) {
            continue;
        }

        for (i = data.len; i > 0; i--) {
            if (data.data[i - 1] == '}') {
                brace = (size_t) (data.data - start) + i - 1;
                break;
            }
        }
    }

    return brace;
}
