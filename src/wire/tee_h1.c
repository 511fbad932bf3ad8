
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <string.h>

#include <tee_h1_state.h>
#include <tee_text.h>


static tee_rc_t tee_h1_head(tee_h1_t *h, uint8_t ch);
static tee_rc_t tee_h1_name(tee_h1_t *h, uint8_t ch);
static tee_rc_t tee_h1_text(tee_h1_t *h, uint8_t ch);
static tee_rc_t tee_h1_line(tee_h1_t *h);
static tee_rc_t tee_h1_status(tee_h1_t *h);
static tee_rc_t tee_h1_field(tee_h1_t *h);
static tee_rc_t tee_h1_length(tee_h1_t *h, tee_str_t value);
static void tee_h1_connection(tee_h1_t *h, tee_str_t value);
static tee_rc_t tee_h1_head_end(tee_h1_t *h);
static tee_rc_t tee_h1_content(tee_h1_t *h, tee_str_t *in, tee_str_t *body);
static tee_rc_t tee_h1_fail(tee_h1_t *h, tee_rc_t rc);


void
tee_h1_init(tee_h1_t *h, size_t max_head, uint64_t max_body)
{
    memset(h, 0, sizeof(tee_h1_t));

    h->max_head = max_head;
    h->max_body = max_body;
    h->state = TEE_H1_STATUS;
}


tee_rc_t
tee_h1_read(tee_h1_t *h, tee_str_t *in, tee_str_t *body)
{
    uint8_t   ch;
    tee_rc_t  rc;

    body->len = 0;
    body->data = NULL;

    for ( ;; ) {

        switch (h->state) {

        case TEE_H1_DONE:
            return TEE_DONE;

        case TEE_H1_MALFORMED:
            return TEE_MALFORMED;

        case TEE_H1_UNSUPPORTED:
            return TEE_UNSUPPORTED;

        case TEE_H1_LIMIT:
            return TEE_LIMIT;

        case TEE_H1_BODY:
        case TEE_H1_CHUNK:

            if (in->len == 0) {
                return TEE_OK;
            }

            rc = tee_h1_content(h, in, body);

            return rc == TEE_OK ? TEE_OK : tee_h1_fail(h, rc);

        default:

            if (in->len == 0) {
                return TEE_OK;
            }

            ch = in->data[0];

            /* what frames a chunk is bounded by the content it frames */

            if ((h->state < TEE_H1_BODY || h->state == TEE_H1_EXT)
                && ++h->head_seen > h->max_head)
            {
                return tee_h1_fail(h, TEE_LIMIT);
            }

            rc = h->state < TEE_H1_BODY ? tee_h1_head(h, ch)
                                        : tee_h1_chunked(h, ch);

            if (rc != TEE_OK) {
                return tee_h1_fail(h, rc);
            }

            in->len--;
            in->data++;
        }
    }
}


tee_rc_t
tee_h1_eof(tee_h1_t *h)
{
    if (h->state == TEE_H1_DONE) {
        return TEE_DONE;
    }

    if (h->state == TEE_H1_BODY && h->framing == TEE_H1_BY_EOF) {
        h->state = TEE_H1_DONE;
        return TEE_DONE;
    }

    return TEE_INCOMPLETE;
}


/* RFC 9112, 4 and 5: the status line, the fields, and the trailer fields. */

static tee_rc_t
tee_h1_head(tee_h1_t *h, uint8_t ch)
{
    switch (h->state) {

    case TEE_H1_NAME:
        return tee_h1_name(h, ch);

    case TEE_H1_LINE_LF:
        return ch == '\n' ? tee_h1_line(h) : TEE_MALFORMED;

    case TEE_H1_HEAD_LF:
        return ch == '\n' ? tee_h1_head_end(h) : TEE_MALFORMED;

    default:
        return tee_h1_text(h, ch);
    }
}


static tee_rc_t
tee_h1_name(tee_h1_t *h, uint8_t ch)
{
    if (ch == '\r' && h->line_len == 0) {
        h->state = TEE_H1_HEAD_LF;
        return TEE_OK;
    }

    if (ch == ':' && h->line_len != 0) {
        h->state = TEE_H1_VALUE;

    } else if (!tee_token_char(ch)) {

        /* a blank here is obs-fold, or stands before the colon */

        return TEE_MALFORMED;
    }

    if (h->line_len < sizeof(h->line)) {
        h->line[h->line_len] = ch;
    }

    h->line_len++;

    return TEE_OK;
}


static tee_rc_t
tee_h1_text(tee_h1_t *h, uint8_t ch)
{
    if (ch == '\r') {
        h->state = TEE_H1_LINE_LF;
        return TEE_OK;
    }

    if ((ch < 0x20 && ch != '\t') || ch == 0x7f) {
        return TEE_MALFORMED;
    }

    if (h->line_len < sizeof(h->line)) {
        h->line[h->line_len] = ch;
    }

    h->line_len++;

    return TEE_OK;
}


static tee_rc_t
tee_h1_line(tee_h1_t *h)
{
    tee_rc_t  rc;

    rc = h->status == 0 ? tee_h1_status(h) : tee_h1_field(h);

    tee_h1_next_line(h, TEE_H1_NAME);

    return rc;
}


/* HTTP-version SP 3DIGIT [ SP reason ] */

static tee_rc_t
tee_h1_status(tee_h1_t *h)
{
    unsigned        i, status;
    const uint8_t  *p;

    p = h->line;

    if (h->line_len < 8 || memcmp(p, "HTTP/", 5) != 0) {
        return TEE_MALFORMED;
    }

    if (memcmp(p + 5, "1.1", 3) != 0) {

        if (memcmp(p + 5, "1.0", 3) != 0) {
            return TEE_UNSUPPORTED;
        }

        h->flags |= TEE_H1_IS_10;
    }

    if (h->line_len < 12 || p[8] != ' ' || (h->line_len > 12 && p[12] != ' '))
    {
        return TEE_MALFORMED;
    }

    status = 0;

    for (i = 9; i < 12; i++) {
        if (p[i] < '0' || p[i] > '9') {
            return TEE_MALFORMED;
        }

        status = status * 10 + (unsigned) (p[i] - '0');
    }

    /* RFC 9110, 15: other classes do not exist */

    if (status < 100 || status > 599) {
        return TEE_MALFORMED;
    }

    h->status = (uint16_t) status;

    return TEE_OK;
}


static tee_rc_t
tee_h1_field(tee_h1_t *h)
{
    size_t     len;
    uint8_t   *colon;
    unsigned   length, coding, cache, age;
    tee_str_t  name, value;

    if (h->flags & TEE_H1_IN_TRAILER) {
        /* RFC 9110, 6.5.1: nothing in a trailer may change the framing */
        return TEE_OK;
    }

    len = h->line_len < sizeof(h->line) ? h->line_len : sizeof(h->line);
    colon = memchr(h->line, ':', len);

    if (colon == NULL) {
        /* a name that is longer than all that concern us */
        return TEE_OK;
    }

    name.data = h->line;
    name.len = (size_t) (colon - h->line);

    value.data = colon + 1;
    value.len = len - name.len - 1;

    length = (unsigned) tee_text_is_nocase(name, "Content-Length");
    coding = (unsigned) tee_text_is_nocase(name, "Transfer-Encoding");

    cache = (unsigned) tee_text_is_nocase(name, "Cache-Control");
    age = (unsigned) tee_text_is_nocase(name, "Age");

    if (!length && !coding && !cache && !age
        && !tee_text_is_nocase(name, "Connection"))
    {
        return TEE_OK;
    }

    if (h->line_len > sizeof(h->line)) {
        return cache || age ? TEE_OK : TEE_LIMIT;
    }

    while (value.len && (value.data[0] == ' ' || value.data[0] == '\t')) {
        value.len--;
        value.data++;
    }

    while (value.len && (value.data[value.len - 1] == ' '
                         || value.data[value.len - 1] == '\t'))
    {
        value.len--;
    }

    if (length) {
        return tee_h1_length(h, value);
    }

    if (coding) {

        if (h->flags & TEE_H1_HAS_CODING
            || !tee_text_is_nocase(value, "chunked"))
        {
            return TEE_MALFORMED;
        }

        h->flags |= TEE_H1_HAS_CODING;

        return TEE_OK;
    }

    if (cache) {
        tee_h1_cache(h, value);

    } else if (age) {
        h->age = tee_h1_seconds(value);

    } else {
        tee_h1_connection(h, value);
    }

    return TEE_OK;
}


static tee_rc_t
tee_h1_length(tee_h1_t *h, tee_str_t value)
{
    uint64_t  n;

    /* leading zeros are allowed by RFC 9110, 8.6 */

    while (value.len > 1 && value.data[0] == '0') {
        value.len--;
        value.data++;
    }

    if (tee_decimal(value, UINT64_MAX, &n) != TEE_OK) {
        return TEE_MALFORMED;
    }

    if (h->flags & TEE_H1_HAS_LENGTH && n != h->content_length) {
        return TEE_MALFORMED;
    }

    h->flags |= TEE_H1_HAS_LENGTH;
    h->content_length = n;

    return TEE_OK;
}


/* A list; RFC 9110, 5.6.1 and 7.6.1. */

static void
tee_h1_connection(tee_h1_t *h, tee_str_t value)
{
    size_t     i, from;
    tee_str_t  option;

    from = 0;

    for (i = 0; i <= value.len; i++) {

        if (i < value.len && value.data[i] != ',' && value.data[i] != ' '
            && value.data[i] != '\t')
        {
            continue;
        }

        option.len = i - from;
        option.data = value.data + from;
        from = i + 1;

        if (tee_text_is_nocase(option, "close")) {
            h->flags |= TEE_H1_HAS_CLOSE;
        }

        if (tee_text_is_nocase(option, "keep-alive")) {
            h->flags |= TEE_H1_HAS_KEEP;
        }
    }
}


/* RFC 9112, 6.3 */

static tee_rc_t
tee_h1_head_end(tee_h1_t *h)
{
    unsigned  lasting;

    if (h->flags & TEE_H1_IN_TRAILER) {
        h->state = TEE_H1_DONE;
        return TEE_OK;
    }

    /* 6.1: of two framings one is a lie, and HTTP/1.0 has no codings */

    if (h->flags & TEE_H1_HAS_CODING
        && h->flags & (TEE_H1_HAS_LENGTH|TEE_H1_IS_10))
    {
        return TEE_MALFORMED;
    }

    if (h->status < 200) {

        if (h->status == 101) {
            return TEE_UNSUPPORTED;
        }

        /* an interim response; what counts is the next one */

        h->status = 0;
        h->flags = 0;
        h->content_length = 0;
        tee_h1_next_line(h, TEE_H1_STATUS);

        return TEE_OK;
    }

    lasting = h->flags & TEE_H1_IS_10 ? h->flags & TEE_H1_HAS_KEEP : 1;

    if (h->flags & TEE_H1_HAS_CLOSE) {
        lasting = 0;
    }

    if (h->status == 204 || h->status == 304) {
        h->content_length = 0;
        h->known_length = 1;
        h->framing = TEE_H1_BY_LENGTH;
        h->state = TEE_H1_DONE;

    } else if (h->flags & TEE_H1_HAS_CODING) {
        h->framing = TEE_H1_BY_CHUNKS;
        tee_h1_next_line(h, TEE_H1_SIZE);

    } else if (h->flags & TEE_H1_HAS_LENGTH) {

        if (h->content_length > h->max_body) {
            return TEE_LIMIT;
        }

        h->known_length = 1;
        h->framing = TEE_H1_BY_LENGTH;
        h->left = h->content_length;
        h->state = h->left ? TEE_H1_BODY : TEE_H1_DONE;

    } else {
        h->framing = TEE_H1_BY_EOF;
        h->state = TEE_H1_BODY;
        lasting = 0;
    }

    h->keepalive = lasting != 0;
    h->head_done = 1;

    return TEE_OK;
}


static tee_rc_t
tee_h1_content(tee_h1_t *h, tee_str_t *in, tee_str_t *body)
{
    size_t  n;

    n = in->len;

    if (h->framing == TEE_H1_BY_EOF) {

        if (n > h->max_body - h->body_seen) {
            return TEE_LIMIT;
        }

    } else {

        if (n > h->left) {
            n = (size_t) h->left;
        }

        h->left -= n;
    }

    body->len = n;
    body->data = in->data;

    h->body_seen += n;
    in->len -= n;
    in->data += n;

    if (h->framing != TEE_H1_BY_EOF && h->left == 0) {
        h->state = h->state == TEE_H1_BODY ? TEE_H1_DONE : TEE_H1_CHUNK_CR;
    }

    return TEE_OK;
}


void
tee_h1_next_line(tee_h1_t *h, tee_h1_state_t state)
{
    h->state = state;
    h->line_len = 0;
}


static tee_rc_t
tee_h1_fail(tee_h1_t *h, tee_rc_t rc)
{
    if (rc == TEE_LIMIT) {
        h->state = TEE_H1_LIMIT;

    } else if (rc == TEE_UNSUPPORTED) {
        h->state = TEE_H1_UNSUPPORTED;

    } else {
        h->state = TEE_H1_MALFORMED;
    }

    return rc;
}
