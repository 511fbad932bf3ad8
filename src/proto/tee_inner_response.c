
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <string.h>

#include <tee_inner.h>
#include <tee_text.h>


/*
 * An answer may be long, and most are no envelopes: only the members at the
 * top are looked at, without a tree.
 */

typedef struct {
    const uint8_t   *pos;
    const uint8_t   *last;
} tee_inner_scan_t;


static tee_rc_t tee_inner_member(tee_inner_scan_t *s, tee_str_t *status,
    tee_str_t *body);
static tee_rc_t tee_inner_string(tee_inner_scan_t *s, tee_str_t *out);
static tee_rc_t tee_inner_skip(tee_inner_scan_t *s, tee_str_t *out);
static int tee_inner_next(tee_inner_scan_t *s);
static int tee_inner_digits(tee_str_t text);


tee_rc_t
tee_inner_response(tee_str_t json, unsigned *status, tee_str_t *body)
{
    int               ch;
    uint64_t          n;
    tee_str_t         code, content;
    tee_inner_scan_t  s;

    *status = 0;
    body->len = 0;
    body->data = NULL;

    code.len = 0;
    content.len = 0;

    s.pos = json.data;
    s.last = json.data + json.len;

    if (tee_inner_next(&s) != '{') {
        return TEE_MALFORMED;
    }

    s.pos++;

    if (tee_inner_next(&s) == '}') {
        ch = '}';

    } else {
        do {
            if (tee_inner_member(&s, &code, &content) != TEE_OK) {
                return TEE_MALFORMED;
            }

            ch = tee_inner_next(&s);

            if (ch >= 0) {
                s.pos++;
            }

        } while (ch == ',');
    }

    if (ch != '}') {
        return TEE_MALFORMED;
    }

    if (!tee_inner_digits(code) || content.len == 0
        || content.data[0] != '{')
    {
        *status = 200;
        *body = json;

        return TEE_OK;
    }

    if (tee_decimal(code, 599, &n) != TEE_OK || n < 200) {
        return TEE_MALFORMED;
    }

    *status = (unsigned) n;
    *body = content;

    return TEE_OK;
}


/* Of two with one name the last one counts. */

static tee_rc_t
tee_inner_member(tee_inner_scan_t *s, tee_str_t *status, tee_str_t *body)
{
    tee_str_t  name, value;

    if (tee_inner_next(s) != '"'
        || tee_inner_string(s, &name) != TEE_OK
        || tee_inner_next(s) != ':')
    {
        return TEE_MALFORMED;
    }

    s->pos++;

    if (tee_inner_next(s) < 0 || tee_inner_skip(s, &value) != TEE_OK) {
        return TEE_MALFORMED;
    }

    if (tee_text_is(name, "\"status\"")) {
        *status = value;
    }

    if (tee_text_is(name, "\"body\"")) {
        *body = value;
    }

    return TEE_OK;
}


/* With its quotes.  Most of an answer is one long text. */

static tee_rc_t
tee_inner_string(tee_inner_scan_t *s, tee_str_t *out)
{
    const uint8_t  *p, *quote;

    out->data = s->pos;

    do {
        s->pos++;

        quote = memchr(s->pos, '"', (size_t) (s->last - s->pos));
        if (quote == NULL) {
            return TEE_MALFORMED;
        }

        /* behind an odd number of backslashes, it belongs to the text */

        for (p = quote; p > s->pos && p[-1] == '\\'; p--) { /* void */ }

        s->pos = quote;

    } while ((quote - p) % 2);

    s->pos++;
    out->len = (size_t) (s->pos - out->data);

    return TEE_OK;
}


static tee_rc_t
tee_inner_skip(tee_inner_scan_t *s, tee_str_t *out)
{
    size_t     depth;
    uint8_t    ch;
    tee_str_t  string;

    out->data = s->pos;
    depth = 0;

    while (s->pos < s->last) {
        ch = *s->pos;

        if (ch == '"') {

            if (tee_inner_string(s, &string) != TEE_OK) {
                return TEE_MALFORMED;
            }

        } else if (ch == '{' || ch == '[') {
            s->pos++;
            depth++;
            continue;

        } else if (ch == '}' || ch == ']') {

            if (depth == 0) {
                break;
            }

            s->pos++;
            depth--;

        } else if (depth == 0
                   && (ch == ',' || ch == ' ' || ch == '\t' || ch == '\n'
                       || ch == '\r'))
        {
            break;

        } else {
            s->pos++;
            continue;
        }

        if (depth == 0) {
            break;
        }
    }

    out->len = (size_t) (s->pos - out->data);

    return out->len ? TEE_OK : TEE_MALFORMED;
}


/* What comes after blanks, or -1. */

static int
tee_inner_next(tee_inner_scan_t *s)
{
    while (s->pos < s->last
           && (*s->pos == ' ' || *s->pos == '\t' || *s->pos == '\n'
               || *s->pos == '\r'))
    {
        s->pos++;
    }

    return s->pos < s->last ? *s->pos : -1;
}


static int
tee_inner_digits(tee_str_t text)
{
    size_t  i;

    for (i = 0; i < text.len; i++) {

        if (text.data[i] < '0' || text.data[i] > '9') {
            return 0;
        }
    }

    return text.len != 0;
}
