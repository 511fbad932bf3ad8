
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <string.h>

#include <tee_billing.h>
#include <tee_envelope.h>
#include <tee_json.h>
#include <tee_text.h>

#include "fuzz.h"


static int
fuzz_dropped(tee_str_t name)
{
    return tee_text_is(name, "endpoint") || tee_text_is(name, "user")
           || tee_text_is(name, "metadata")
           || tee_text_is(name, "x-request-id")
           || tee_text_is(name, "request_id");
}


static int
fuzz_same(tee_str_t a, tee_str_t b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}


static int
fuzz_equal(const tee_json_t *a, const tee_json_t *b)
{
    const tee_json_t  *m, *n;

    if (a->type != b->type || a->value != b->value
        || !fuzz_same(a->name, b->name) || !fuzz_same(a->text, b->text))
    {
        return 0;
    }

    for (m = a->child, n = b->child; m && n; m = m->next, n = n->next) {
        if (!fuzz_equal(m, n)) {
            return 0;
        }
    }

    return m == NULL && n == NULL;
}


/* The members that remain are the others, in order. */

static void
fuzz_members(tee_str_t in, tee_str_t body)
{
    tee_json_doc_t     before, after;
    const tee_json_t  *m, *n;

    FUZZ_CHECK(tee_json_parse(in, 131072, &fuzz_alloc, &before) == TEE_OK);
    FUZZ_CHECK(tee_json_parse(body, 131072, &fuzz_alloc, &after) == TEE_OK);
    FUZZ_CHECK(after.root->type == TEE_JSON_OBJECT);

    n = after.root->child;

    for (m = before.root->child; m; m = m->next) {
        if (fuzz_dropped(m->name)) {
            continue;
        }

        FUZZ_CHECK(n != NULL && fuzz_equal(m, n));

        n = n->next;
    }

    FUZZ_CHECK(n == NULL);

    tee_json_free(&before);
    tee_json_free(&after);
}


static void
fuzz_request(tee_str_t in)
{
    tee_rc_t                  rc;
    tee_str_t                 body, again;
    tee_envelope_endpoint_t   endpoint;

    rc = tee_envelope_request(in, &fuzz_alloc, &body, &endpoint);

    if (rc != TEE_OK) {
        FUZZ_CHECK(rc != TEE_DONE && rc != TEE_INCOMPLETE);
        FUZZ_CHECK(body.len == 0 && body.data == NULL);
        FUZZ_CHECK(endpoint == TEE_ENVELOPE_UNKNOWN);
        return;
    }

    FUZZ_CHECK(body.len >= 2 && body.len <= in.len);

    fuzz_members(in, body);

    rc = tee_envelope_request(body, &fuzz_alloc, &again, &endpoint);

    FUZZ_CHECK(rc == TEE_OK && fuzz_same(body, again));
    FUZZ_CHECK(endpoint == TEE_ENVELOPE_CHAT);

    free((void *) (uintptr_t) body.data);
    free((void *) (uintptr_t) again.data);
}


static void
fuzz_digits(const uint8_t *p, size_t len, int point)
{
    size_t  i;

    FUZZ_CHECK(len > 0 && len <= TEE_ENVELOPE_MAX_COST);

    for (i = 0; i < len; i++) {
        FUZZ_CHECK((p[i] >= '0' && p[i] <= '9') || (p[i] == '.' && point--));
    }
}


/* The frame that a relay takes out again. */

static void
fuzz_frame(const tee_envelope_cost_t *cost)
{
    uint8_t         frame[TEE_ENVELOPE_MAX_FRAME];
    tee_str_t       in, out, value;
    tee_billing_t   b;

    in.len = tee_envelope_frame(cost, frame);
    in.data = frame;

    tee_billing_init(&b, 0, &fuzz_alloc);

    FUZZ_CHECK(tee_billing_read(&b, &in, &out) == TEE_OK && out.len == 0
               && in.len == 0 && b.json.len != 0);
    FUZZ_CHECK(tee_billing_member(b.json, "cost_usd", &fuzz_alloc, &value)
               == TEE_OK);
    FUZZ_CHECK(value.len == cost->usd_len
               && memcmp(value.data, cost->usd, value.len) == 0);

    free((void *) (uintptr_t) value.data);
    tee_billing_free(&b);
}


static void
fuzz_cost(tee_str_t in, int event)
{
    tee_rc_t              rc;
    tee_envelope_cost_t   cost;

    rc = tee_envelope_cost(in, event, &fuzz_alloc, &cost);

    if (rc != TEE_OK) {
        FUZZ_CHECK(rc == TEE_DONE && cost.opg_len == 0 && cost.usd_len == 0
                   && cost.price_len == 0);
        return;
    }

    fuzz_digits(cost.opg, cost.opg_len, 0);
    fuzz_digits(cost.usd, cost.usd_len, 1);
    fuzz_digits(cost.price, cost.price_len, 1);
    fuzz_frame(&cost);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    tee_str_t  in = { size, data };

    fuzz_request(in);
    fuzz_cost(in, 0);
    fuzz_cost(in, 1);

    return 0;
}
