
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <string.h>

#include <tee_billing.h>
#include <tee_json.h>


#define TEE_BILLING_TAG    16
#define TEE_BILLING_NODES  1024


typedef enum {
    TEE_BILLING_NONCE = 0,
    TEE_BILLING_BOUNDARY,      /* before the first byte of a chunk */
    TEE_BILLING_LENGTH,        /* in a varint */
    TEE_BILLING_SEALED,
    TEE_BILLING_MAGIC,         /* in the line that begins the frame */
    TEE_BILLING_JSON_LENGTH,
    TEE_BILLING_JSON,
    TEE_BILLING_FINAL,         /* to the end; "left" is the least there is */
    TEE_BILLING_MALFORMED,     /* the errors stay */
    TEE_BILLING_LIMIT,
    TEE_BILLING_NOMEM
} tee_billing_state_t;


static void tee_billing_forward(tee_billing_t *b, tee_str_t *in,
    tee_str_t *out);
static tee_rc_t tee_billing_boundary(tee_billing_t *b, uint8_t ch);
static tee_rc_t tee_billing_length(tee_billing_t *b);
static tee_rc_t tee_billing_frame(tee_billing_t *b, uint8_t ch);
static tee_rc_t tee_billing_fail(tee_billing_t *b, tee_rc_t rc);
static tee_rc_t tee_billing_failed(const tee_billing_t *b);


/* without the NUL */

static const uint8_t  tee_billing_magic[35] = TEE_BILLING_MARK;


void
tee_billing_init(tee_billing_t *b, size_t nonce_len, const tee_alloc_t *alloc)
{
    memset(b, 0, sizeof(tee_billing_t));

    b->alloc = alloc;
    b->left = nonce_len;
    b->state = nonce_len ? TEE_BILLING_NONCE : TEE_BILLING_BOUNDARY;
}


void
tee_billing_free(tee_billing_t *b)
{
    if (b->buf) {
        b->alloc->free(b->alloc->ctx, b->buf);
    }

    b->buf = NULL;
    b->json.len = 0;
    b->json.data = NULL;
}


tee_rc_t
tee_billing_read(tee_billing_t *b, tee_str_t *in, tee_str_t *out)
{
    uint8_t   ch;
    tee_rc_t  rc;

    out->len = 0;
    out->data = NULL;

    if (b->state >= TEE_BILLING_MALFORMED) {
        return tee_billing_failed(b);
    }

    /* a piece to forward ends where the frame begins, or with the input */

    while (in->len) {

        switch (b->state) {

        case TEE_BILLING_NONCE:
        case TEE_BILLING_SEALED:
        case TEE_BILLING_FINAL:
            tee_billing_forward(b, in, out);
            continue;

        case TEE_BILLING_BOUNDARY:
        case TEE_BILLING_LENGTH:

            ch = in->data[0];

            if (b->state == TEE_BILLING_BOUNDARY
                && ch == tee_billing_magic[0] && out->len)
            {
                return TEE_OK;
            }

            rc = tee_billing_boundary(b, ch);
            break;

        default:
            rc = tee_billing_frame(b, in->data[0]);
        }

        if (rc != TEE_OK) {
            out->len = 0;
            out->data = NULL;
            return tee_billing_fail(b, rc);
        }

        if (b->state == TEE_BILLING_LENGTH || b->state == TEE_BILLING_SEALED
            || b->state == TEE_BILLING_FINAL)
        {
            if (out->len == 0) {
                out->data = in->data;
            }

            out->len++;
        }

        in->len--;
        in->data++;
    }

    return TEE_OK;
}


tee_rc_t
tee_billing_end(const tee_billing_t *b)
{
    if (b->state >= TEE_BILLING_MALFORMED) {
        return tee_billing_failed(b);
    }

    return b->state == TEE_BILLING_FINAL && b->left == 0 ? TEE_OK
                                                         : TEE_INCOMPLETE;
}


tee_rc_t
tee_billing_member(tee_str_t json, const char *name, const tee_alloc_t *alloc,
    tee_str_t *value)
{
    size_t             i;
    uint8_t           *p;
    tee_rc_t           rc;
    tee_json_doc_t     doc;
    const tee_json_t  *m;

    value->len = 0;
    value->data = NULL;

    rc = tee_json_parse(json, TEE_BILLING_NODES, alloc, &doc);

    if (rc != TEE_OK) {
        return rc == TEE_NOMEM ? rc : TEE_MALFORMED;
    }

    rc = tee_json_get(doc.root, name, &m);

    if (rc != TEE_OK) {
        goto done;
    }

    rc = TEE_MALFORMED;

    if (m->type != TEE_JSON_STRING) {
        goto done;
    }

    for (i = 0; i < m->text.len; i++) {
        if (m->text.data[i] < 0x20 || m->text.data[i] > 0x7e) {
            goto done;
        }
    }

    rc = TEE_OK;

    if (m->text.len == 0) {
        goto done;
    }

    p = alloc->alloc(alloc->ctx, m->text.len);
    if (p == NULL) {
        rc = TEE_NOMEM;
        goto done;
    }

    memcpy(p, m->text.data, m->text.len);

    value->len = m->text.len;
    value->data = p;

done:

    tee_json_free(&doc);

    return rc;
}


static void
tee_billing_forward(tee_billing_t *b, tee_str_t *in, tee_str_t *out)
{
    size_t  n;

    n = in->len;

    if (n > b->left) {

        if (b->state != TEE_BILLING_FINAL) {
            n = (size_t) b->left;
        }

        b->left = 0;

    } else {
        b->left -= n;
    }

    if (b->left == 0 && b->state != TEE_BILLING_FINAL) {
        b->state = TEE_BILLING_BOUNDARY;
    }

    if (out->len == 0) {
        out->data = in->data;
    }

    out->len += n;
    in->len -= n;
    in->data += n;
}


static tee_rc_t
tee_billing_boundary(tee_billing_t *b, uint8_t ch)
{
    if (b->state == TEE_BILLING_BOUNDARY) {

        if (ch == tee_billing_magic[0]) {
            b->state = TEE_BILLING_MAGIC;
            b->got = 1;
            return b->framed ? TEE_MALFORMED : TEE_OK;
        }

        /* RFC 9000, 16 */

        b->need = (1U << (ch >> 6)) - 1;
        b->left = ch & 0x3f;

    } else {
        b->need--;
        b->left = b->left << 8 | ch;
    }

    b->state = TEE_BILLING_LENGTH;

    return b->need ? TEE_OK : tee_billing_length(b);
}


static tee_rc_t
tee_billing_length(tee_billing_t *b)
{
    if (b->left == 0) {
        b->state = TEE_BILLING_FINAL;
        b->left = TEE_BILLING_TAG;
        return TEE_OK;
    }

    if (b->left < TEE_BILLING_TAG) {
        return TEE_MALFORMED;
    }

    b->state = TEE_BILLING_SEALED;

    return TEE_OK;
}


static tee_rc_t
tee_billing_frame(tee_billing_t *b, uint8_t ch)
{
    switch (b->state) {

    case TEE_BILLING_MAGIC:

        if (ch != tee_billing_magic[b->got]) {
            return TEE_MALFORMED;
        }

        if (++b->got == sizeof(tee_billing_magic)) {
            b->state = TEE_BILLING_JSON_LENGTH;
            b->framed = 1;
            b->got = 0;
        }

        return TEE_OK;

    case TEE_BILLING_JSON_LENGTH:

        b->len = b->len << 8 | ch;

        if (++b->got < 4) {
            return TEE_OK;
        }

        b->got = 0;

        if (b->len > TEE_BILLING_MAX_LEN) {
            return TEE_LIMIT;
        }

        if (b->len == 0) {
            b->state = TEE_BILLING_BOUNDARY;
            return TEE_OK;
        }

        b->buf = b->alloc->alloc(b->alloc->ctx, b->len);
        if (b->buf == NULL) {
            return TEE_NOMEM;
        }

        b->state = TEE_BILLING_JSON;

        return TEE_OK;

    default: /* TEE_BILLING_JSON */

        b->buf[b->got++] = ch;

        if (b->got == b->len) {
            b->json.len = b->len;
            b->json.data = b->buf;
            b->state = TEE_BILLING_BOUNDARY;
        }

        return TEE_OK;
    }
}


static tee_rc_t
tee_billing_fail(tee_billing_t *b, tee_rc_t rc)
{
    if (rc == TEE_LIMIT) {
        b->state = TEE_BILLING_LIMIT;

    } else if (rc == TEE_NOMEM) {
        b->state = TEE_BILLING_NOMEM;

    } else {
        b->state = TEE_BILLING_MALFORMED;
    }

    return rc;
}


static tee_rc_t
tee_billing_failed(const tee_billing_t *b)
{
    switch (b->state) {

    case TEE_BILLING_LIMIT:
        return TEE_LIMIT;

    case TEE_BILLING_NOMEM:
        return TEE_NOMEM;

    default:
        return TEE_MALFORMED;
    }
}
