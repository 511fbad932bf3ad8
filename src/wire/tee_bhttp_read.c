
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <string.h>

#include <tee_bhttp_piece.h>
#include <tee_bhttp_rules.h>


/* the bits of a framing indicator, RFC 9292, 3.3 */
#define TEE_BHTTP_RESPONSE       1
#define TEE_BHTTP_INDETERMINATE  2


typedef enum {
    TEE_BHTTP_INDICATOR = 0,
    TEE_BHTTP_CONTROL,         /* before control data, or a status */
    TEE_BHTTP_SECTION,         /* before the length of a section */
    TEE_BHTTP_FIELDS,          /* before a field, or the end of a section */
    TEE_BHTTP_LENGTH,          /* before content, or a chunk of it */
    TEE_BHTTP_DATA,            /* in content */
    TEE_BHTTP_PADDING
} tee_bhttp_state_t;


static void tee_bhttp_clear(tee_bhttp_read_t *b);
static tee_rc_t tee_bhttp_step(tee_bhttp_read_t *b, tee_str_t *in);
static tee_rc_t tee_bhttp_cut(tee_bhttp_read_t *b);
static tee_rc_t tee_bhttp_indicator(tee_bhttp_read_t *b, tee_str_t *in);
static tee_rc_t tee_bhttp_control(tee_bhttp_read_t *b, tee_str_t *in);
static tee_rc_t tee_bhttp_status(tee_bhttp_read_t *b, tee_str_t *in);
static void tee_bhttp_section(tee_bhttp_read_t *b);
static tee_rc_t tee_bhttp_section_len(tee_bhttp_read_t *b, tee_str_t *in);
static void tee_bhttp_section_end(tee_bhttp_read_t *b);
static tee_rc_t tee_bhttp_field(tee_bhttp_read_t *b, tee_str_t *in);
static tee_rc_t tee_bhttp_content_len(tee_bhttp_read_t *b, tee_str_t *in);
static tee_rc_t tee_bhttp_content(tee_bhttp_read_t *b, tee_str_t *in);
static void tee_bhttp_trailers(tee_bhttp_read_t *b);
static tee_rc_t tee_bhttp_padding(tee_str_t *in);


void
tee_bhttp_read_init(tee_bhttp_read_t *b, int request,
    const tee_bhttp_limits_t *limits, const tee_alloc_t *alloc)
{
    memset(b, 0, sizeof(tee_bhttp_read_t));

    b->limits = limits;
    b->alloc = alloc;
    b->request = request != 0;
    b->state = TEE_BHTTP_INDICATOR;
}


void
tee_bhttp_read_free(tee_bhttp_read_t *b)
{
    if (b->buf) {
        tee_wipe(b->buf, b->room);
        b->alloc->free(b->alloc->ctx, b->buf);
    }

    b->buf = NULL;
    b->len = 0;
    b->room = 0;
}


tee_rc_t
tee_bhttp_read(tee_bhttp_read_t *b, tee_str_t *in, int last)
{
    tee_rc_t  rc;

    tee_bhttp_clear(b);

    if (b->rc != TEE_OK) {
        return b->rc;
    }

    tee_bhttp_release(b);

    do {
        rc = tee_bhttp_step(b, in);

        if (rc == TEE_INCOMPLETE && last) {
            rc = tee_bhttp_cut(b);
        }

    } while (rc == TEE_OK && b->event == TEE_BHTTP_NOTHING);

    if (rc != TEE_OK && rc != TEE_INCOMPLETE && rc != TEE_DONE) {
        tee_bhttp_clear(b);
        b->rc = rc;
    }

    return rc;
}


static void
tee_bhttp_clear(tee_bhttp_read_t *b)
{
    static const tee_str_t  none = { 0, NULL };

    b->event = TEE_BHTTP_NOTHING;
    b->method = none;
    b->scheme = none;
    b->authority = none;
    b->path = none;
    b->status = 0;
    b->name = none;
    b->value = none;
    b->content = none;
}


/* TEE_OK: something was read, and there may be an event. */

static tee_rc_t
tee_bhttp_step(tee_bhttp_read_t *b, tee_str_t *in)
{
    switch (b->state) {

    case TEE_BHTTP_INDICATOR:
        return tee_bhttp_indicator(b, in);

    case TEE_BHTTP_CONTROL:
        return b->request ? tee_bhttp_control(b, in)
                          : tee_bhttp_status(b, in);

    case TEE_BHTTP_SECTION:
        return tee_bhttp_section_len(b, in);

    case TEE_BHTTP_FIELDS:
        return tee_bhttp_field(b, in);

    case TEE_BHTTP_LENGTH:
        return tee_bhttp_content_len(b, in);

    case TEE_BHTTP_DATA:
        return tee_bhttp_content(b, in);

    default: /* TEE_BHTTP_PADDING */
        return tee_bhttp_padding(in);
    }
}


/* The input is over: RFC 9292, 3.8 tells where it may be. */

static tee_rc_t
tee_bhttp_cut(tee_bhttp_read_t *b)
{
    if (b->len) {
        return TEE_MALFORMED;
    }

    switch (b->state) {

    case TEE_BHTTP_SECTION:
    case TEE_BHTTP_FIELDS:

        /* the end of a known section is in its length, that of another not */

        if (b->interim || b->count
            || (b->state == TEE_BHTTP_FIELDS && !b->indeterminate))
        {
            return TEE_MALFORMED;
        }

        if (b->trailer) {
            b->state = TEE_BHTTP_PADDING;
            return TEE_DONE;
        }

        b->state = TEE_BHTTP_LENGTH;
        b->event = TEE_BHTTP_HEAD_END;

        return TEE_OK;

    case TEE_BHTTP_LENGTH:

        if (b->total) {
            return TEE_MALFORMED;
        }

        b->state = TEE_BHTTP_PADDING;

        return TEE_DONE;

    case TEE_BHTTP_PADDING:
        return TEE_DONE;

    default:
        return TEE_MALFORMED;
    }
}


static tee_rc_t
tee_bhttp_indicator(tee_bhttp_read_t *b, tee_str_t *in)
{
    tee_rc_t  rc;
    uint64_t  n;

    rc = tee_bhttp_number(b, in, &n);

    if (rc != TEE_OK) {
        return rc;
    }

    if (n > (TEE_BHTTP_RESPONSE|TEE_BHTTP_INDETERMINATE)
        || (n & TEE_BHTTP_RESPONSE) == b->request)
    {
        return TEE_MALFORMED;
    }

    b->indeterminate = (n & TEE_BHTTP_INDETERMINATE) != 0;
    b->state = TEE_BHTTP_CONTROL;

    return TEE_OK;
}


/* RFC 9292, 3.4 */

static tee_rc_t
tee_bhttp_control(tee_bhttp_read_t *b, tee_str_t *in)
{
    tee_rc_t    rc;
    tee_read_t  r;

    rc = tee_bhttp_piece(b, in, tee_bhttp_measure_control, &r);

    if (rc != TEE_OK) {
        return rc;
    }

    b->method = tee_bhttp_text(&r);
    b->scheme = tee_bhttp_text(&r);
    b->authority = tee_bhttp_text(&r);
    b->path = tee_bhttp_text(&r);

    rc = tee_bhttp_check_request(b);

    if (rc != TEE_OK) {
        return rc;
    }

    b->event = TEE_BHTTP_HEAD;
    tee_bhttp_section(b);

    return TEE_OK;
}


/* RFC 9292, 3.5 */

static tee_rc_t
tee_bhttp_status(tee_bhttp_read_t *b, tee_str_t *in)
{
    tee_rc_t  rc;
    uint64_t  n;

    rc = tee_bhttp_number(b, in, &n);

    if (rc != TEE_OK) {
        return rc;
    }

    if (n < 100 || n > 599) {
        return TEE_MALFORMED;
    }

    b->interim = n < 200;

    if (b->interim && b->interims++ == b->limits->informational) {
        return TEE_LIMIT;
    }

    b->status = (unsigned) n;
    b->event = b->interim ? TEE_BHTTP_INFORMATIONAL : TEE_BHTTP_HEAD;
    tee_bhttp_section(b);

    return TEE_OK;
}


static void
tee_bhttp_section(tee_bhttp_read_t *b)
{
    b->state = b->indeterminate ? TEE_BHTTP_FIELDS : TEE_BHTTP_SECTION;
    b->section = 0;
    b->count = 0;
    b->regular = 0;
}


static tee_rc_t
tee_bhttp_section_len(tee_bhttp_read_t *b, tee_str_t *in)
{
    tee_rc_t  rc;

    rc = tee_bhttp_number(b, in, &b->left);

    if (rc != TEE_OK) {
        return rc;
    }

    if (b->left > b->limits->section) {
        return TEE_LIMIT;
    }

    b->state = TEE_BHTTP_FIELDS;

    return TEE_OK;
}


static void
tee_bhttp_section_end(tee_bhttp_read_t *b)
{
    if (b->trailer) {
        b->state = TEE_BHTTP_PADDING;

    } else if (b->interim) {
        b->state = TEE_BHTTP_CONTROL;

    } else {
        b->state = TEE_BHTTP_LENGTH;
        b->event = TEE_BHTTP_HEAD_END;
    }
}


/* RFC 9292, 3.6 */

static tee_rc_t
tee_bhttp_field(tee_bhttp_read_t *b, tee_str_t *in)
{
    tee_rc_t    rc;
    tee_read_t  r;

    if (!b->indeterminate && b->left == 0) {
        tee_bhttp_section_end(b);
        return TEE_OK;
    }

    rc = tee_bhttp_piece(b, in, tee_bhttp_measure_field, &r);

    if (rc != TEE_OK) {
        return rc;
    }

    b->name = tee_bhttp_text(&r);

    if (b->name.len == 0) {
        tee_bhttp_release(b);
        tee_bhttp_section_end(b);
        return TEE_OK;
    }

    b->value = tee_bhttp_text(&r);

    rc = tee_bhttp_check_field(b);

    if (rc != TEE_OK) {
        return rc;
    }

    b->count++;

    if (b->indeterminate) {
        b->section += r.in.len;

    } else {
        b->left -= r.in.len;
    }

    b->event = b->trailer ? TEE_BHTTP_TRAILER : TEE_BHTTP_FIELD;

    return TEE_OK;
}


/* RFC 9292, 3.7 */

static tee_rc_t
tee_bhttp_content_len(tee_bhttp_read_t *b, tee_str_t *in)
{
    tee_rc_t  rc;

    rc = tee_bhttp_number(b, in, &b->left);

    if (rc != TEE_OK) {
        return rc;
    }

    if (b->left > b->limits->content - b->total) {
        return TEE_LIMIT;
    }

    b->total += b->left;

    if (b->left == 0) {
        tee_bhttp_trailers(b);

    } else {
        b->state = TEE_BHTTP_DATA;
    }

    return TEE_OK;
}


static tee_rc_t
tee_bhttp_content(tee_bhttp_read_t *b, tee_str_t *in)
{
    if (in->len == 0) {
        return TEE_INCOMPLETE;
    }

    b->event = TEE_BHTTP_CONTENT;
    b->content = *in;

    if (b->content.len > b->left) {
        b->content.len = (size_t) b->left;
    }

    in->len -= b->content.len;
    in->data += b->content.len;
    b->left -= b->content.len;

    if (b->left) {
        return TEE_OK;
    }

    if (b->indeterminate) {
        b->state = TEE_BHTTP_LENGTH;

    } else {
        tee_bhttp_trailers(b);
    }

    return TEE_OK;
}


static void
tee_bhttp_trailers(tee_bhttp_read_t *b)
{
    b->trailer = 1;
    tee_bhttp_section(b);
}


/* RFC 9292, 3.8 */

static tee_rc_t
tee_bhttp_padding(tee_str_t *in)
{
    size_t   i;
    uint8_t  any;

    any = 0;

    for (i = 0; i < in->len; i++) {
        any |= in->data[i];
    }

    if (any) {
        return TEE_MALFORMED;
    }

    in->len = 0;

    return TEE_INCOMPLETE;
}
