
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <string.h>

#include <tee_billing.h>
#include <tee_envelope.h>
#include <tee_json.h>
#include <tee_json_raw.h>
#include <tee_sse.h>
#include <tee_text.h>
#include <tee_write.h>


#define TEE_ENVELOPE_REQUEST_NODES   131072
#define TEE_ENVELOPE_RESPONSE_NODES  262144


static tee_rc_t tee_envelope_members(tee_str_t json, const tee_json_t *root,
    uint8_t *to, size_t *len);
static tee_envelope_endpoint_t tee_envelope_endpoint(const tee_json_t *root);

static int tee_envelope_find(tee_str_t in, const char *text);
static tee_rc_t tee_envelope_block(tee_str_t json, const tee_alloc_t *alloc,
    tee_envelope_cost_t *cost);
static tee_rc_t tee_envelope_digits(const tee_json_t *block, const char *name,
    int point, uint8_t text[TEE_ENVELOPE_MAX_COST], size_t *len);


tee_rc_t
tee_envelope_request(tee_str_t json, const tee_alloc_t *alloc,
    tee_str_t *body, tee_envelope_endpoint_t *endpoint)
{
    size_t           len;
    uint8_t         *p;
    tee_rc_t         rc;
    tee_json_doc_t   doc;

    body->len = 0;
    body->data = NULL;
    *endpoint = TEE_ENVELOPE_UNKNOWN;

    rc = tee_json_parse(json, TEE_ENVELOPE_REQUEST_NODES, alloc, &doc);

    if (rc != TEE_OK) {
        return rc;
    }

    if (doc.root->type != TEE_JSON_OBJECT) {
        rc = TEE_UNSUPPORTED;
        goto done;
    }

    /* what remains is never longer */

    p = alloc->alloc(alloc->ctx, json.len);
    if (p == NULL) {
        rc = TEE_NOMEM;
        goto done;
    }

    rc = tee_envelope_members(json, doc.root, p, &len);

    if (rc != TEE_OK) {
        tee_wipe(p, json.len);
        alloc->free(alloc->ctx, p);
        goto done;
    }

    body->len = len;
    body->data = p;
    *endpoint = tee_envelope_endpoint(doc.root);

done:

    tee_json_free(&doc);

    return rc;
}


/* Copies members as they are; the tree knows their names, in order. */

static tee_rc_t
tee_envelope_members(tee_str_t json, const tee_json_t *root, uint8_t *to,
    size_t *len)
{
    size_t             pos, start;
    uint8_t           *p;
    const tee_json_t  *m;

    p = to;
    *p++ = '{';

    /* behind the brace, and later behind a comma */

    pos = tee_json_raw_blank(json, 0) + 1;

    for (m = root->child; m; m = m->next) {
        start = tee_json_raw_blank(json, pos);
        pos = tee_json_raw_string(json, start);
        pos = tee_json_raw_blank(json, pos) + 1;
        pos = tee_json_raw_value(json, tee_json_raw_blank(json, pos));

        if (pos >= json.len) {

            /* it is JSON, and this is not its last brace */

            return TEE_MALFORMED;
        }

        if (!tee_envelope_dropped(m->name)) {

            if (p - to > 1) {
                *p++ = ',';
            }

            memcpy(p, json.data + start, pos - start);
            p += pos - start;
        }

        pos = tee_json_raw_blank(json, pos) + 1;
    }

    *p++ = '}';
    *len = (size_t) (p - to);

    return TEE_OK;
}


int
tee_envelope_dropped(tee_str_t name)
{
    size_t  i;

    static const char *const  names[] = {
        "endpoint", "user", "metadata", "x-request-id", "request_id"
    };

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (tee_text_is(name, names[i])) {
            return 1;
        }
    }

    return 0;
}


static tee_envelope_endpoint_t
tee_envelope_endpoint(const tee_json_t *root)
{
    const tee_json_t         *m;
    tee_envelope_endpoint_t   endpoint;

    endpoint = TEE_ENVELOPE_CHAT;

    for (m = root->child; m; m = m->next) {

        if (!tee_text_is(m->name, "endpoint")) {
            continue;
        }

        endpoint = TEE_ENVELOPE_UNKNOWN;

        if (m->type != TEE_JSON_STRING) {
            continue;
        }

        if (tee_text_is(m->text, "chat.completions")) {
            endpoint = TEE_ENVELOPE_CHAT;

        } else if (tee_text_is(m->text, "web_search")) {
            endpoint = TEE_ENVELOPE_WEB_SEARCH;
        }
    }

    return endpoint;
}


tee_rc_t
tee_envelope_cost(tee_str_t in, int event, const tee_alloc_t *alloc,
    tee_envelope_cost_t *cost)
{
    uint8_t    *p;
    tee_rc_t    rc;
    tee_str_t   json;

    memset(cost, 0, sizeof(tee_envelope_cost_t));

    /* most events have no such member, and need not be parsed; with escapes
     * in it, the name is written with these */

    if (!tee_envelope_find(in, "opengradient")
        && !tee_envelope_find(in, "\\u00"))
    {
        return TEE_DONE;
    }

    if (!event) {
        return tee_envelope_block(in, alloc, cost);
    }

    p = alloc->alloc(alloc->ctx, in.len);
    if (p == NULL) {
        return TEE_NOMEM;
    }

    json.len = tee_sse_data(in, p);
    json.data = p;

    rc = tee_envelope_block(json, alloc, cost);

    tee_wipe(p, in.len);
    alloc->free(alloc->ctx, p);

    return rc;
}


static int
tee_envelope_find(tee_str_t in, const char *text)
{
    size_t          len;
    const uint8_t  *p;

    len = strlen(text);

    while (in.len >= len) {
        p = memchr(in.data, text[0], in.len - len + 1);

        if (p == NULL) {
            return 0;
        }

        if (memcmp(p, text, len) == 0) {
            return 1;
        }

        p++;
        in.len -= (size_t) (p - in.data);
        in.data = p;
    }

    return 0;
}


static tee_rc_t
tee_envelope_block(tee_str_t json, const tee_alloc_t *alloc,
    tee_envelope_cost_t *cost)
{
    tee_rc_t              rc;
    tee_json_doc_t        doc;
    const tee_json_t     *block;
    tee_envelope_cost_t   c;

    rc = tee_json_parse(json, TEE_ENVELOPE_RESPONSE_NODES, alloc, &doc);

    if (rc != TEE_OK) {
        return rc == TEE_NOMEM ? rc : TEE_DONE;
    }

    memset(&c, 0, sizeof(tee_envelope_cost_t));

    rc = TEE_DONE;

    if (tee_json_get(doc.root, "opengradient", &block) == TEE_OK
        && tee_envelope_digits(block, "cost_opg", 0, c.opg, &c.opg_len)
           == TEE_OK
        && tee_envelope_digits(block, "cost_usd", 1, c.usd, &c.usd_len)
           == TEE_OK
        && tee_envelope_digits(block, "opg_price_usd", 1, c.price,
                               &c.price_len)
           == TEE_OK)
    {
        *cost = c;
        rc = TEE_OK;
    }

    tee_json_free(&doc);

    return rc;
}


/* Digits, and perhaps a point and more digits. */

static tee_rc_t
tee_envelope_digits(const tee_json_t *block, const char *name, int point,
    uint8_t text[TEE_ENVELOPE_MAX_COST], size_t *len)
{
    size_t     i;
    uint8_t    ch;
    tee_str_t  s;

    if (tee_json_get_text(block, name, &s) != TEE_OK
        || s.len == 0 || s.len > TEE_ENVELOPE_MAX_COST)
    {
        return TEE_MALFORMED;
    }

    for (i = 0; i < s.len; i++) {
        ch = s.data[i];

        if (ch >= '0' && ch <= '9') {
            continue;
        }

        if (ch != '.' || !point || i == 0 || i == s.len - 1) {
            return TEE_MALFORMED;
        }

        point = 0;
    }

    memcpy(text, s.data, s.len);
    *len = s.len;

    return TEE_OK;
}


size_t
tee_envelope_frame(const tee_envelope_cost_t *cost,
    uint8_t frame[TEE_ENVELOPE_MAX_FRAME])
{
    size_t       start;
    uint8_t     *len;
    tee_write_t  w;

    tee_write_fixed(&w, frame, TEE_ENVELOPE_MAX_FRAME);
    tee_write_text(&w, TEE_BILLING_MARK);

    len = frame + w.len;

    tee_write_u16(&w, 0);
    tee_write_u16(&w, 0);

    start = w.len;

    tee_write_text(&w, "{\"cost_opg\":\"");
    tee_write_bytes(&w, cost->opg, cost->opg_len);
    tee_write_text(&w, "\",\"cost_usd\":\"");
    tee_write_bytes(&w, cost->usd, cost->usd_len);
    tee_write_text(&w, "\",\"opg_price_usd\":\"");
    tee_write_bytes(&w, cost->price, cost->price_len);
    tee_write_text(&w, "\"}");

    len[2] = (uint8_t) ((w.len - start) >> 8);
    len[3] = (uint8_t) ((w.len - start) & 0xff);

    return w.len;
}
