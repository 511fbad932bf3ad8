
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <tee_canon.h>
#include <tee_chat.h>
#include <tee_keccak.h>
#include <tee_signed_stream.h>
#include <tee_text.h>

#include "driver.h"


#define DRIVER_SIGNED_NODES  (1024 * 1024)
#define DRIVER_SIGNED_MAX    (64 * 1024 * 1024)


static tee_rc_t driver_canonical(driver_t *d);
static tee_rc_t driver_verify_body(driver_t *d);
static tee_rc_t driver_verify_sse(driver_t *d);


const driver_op_t  driver_signed_ops[] = {
    { "canonical", driver_canonical },
    { "verify_body", driver_verify_body },
    { "verify_sse", driver_verify_sse },
    { NULL, NULL }
};


static tee_rc_t
driver_raw(tee_str_t in, tee_write_t *w)
{
    tee_rc_t        rc;
    tee_json_doc_t  doc;

    rc = tee_canon_parse(in, DRIVER_SIGNED_NODES, &driver_alloc, &doc);

    if (rc == TEE_OK) {
        tee_canon_write(w, doc.root);
        tee_json_free(&doc);
        rc = tee_write_rc(w);
    }

    return rc;
}


static tee_rc_t
driver_endpoint(tee_str_t name, tee_chat_endpoint_t *endpoint)
{
    *endpoint = TEE_CHAT;

    if (tee_text_is(name, "completions")) {
        *endpoint = TEE_CHAT_COMPLETIONS;

    } else if (tee_text_is(name, "web_search")) {
        *endpoint = TEE_CHAT_WEB_SEARCH;

    } else if (!tee_text_is(name, "chat")) {
        return DRIVER_BAD;
    }

    return TEE_OK;
}


static tee_rc_t
driver_canonical(driver_t *d)
{
    uint8_t               hash[32];
    tee_rc_t              rc;
    tee_str_t             kind, in, text;
    tee_write_t           w;
    tee_chat_endpoint_t   endpoint;

    if (tee_json_get_text(d->in, "kind", &kind) != TEE_OK
        || driver_hex(d, "input_hex", &in) != TEE_OK)
    {
        return DRIVER_BAD;
    }

    tee_write_grow(&w, &driver_alloc);

    if (tee_text_is(kind, "raw")) {
        rc = driver_raw(in, &w);

    } else {
        rc = driver_endpoint(kind, &endpoint);

        if (rc == TEE_OK) {
            rc = tee_chat_canonical(in, endpoint, &tee_chat_newest,
                                    &driver_alloc, &w);
        }
    }

    if (rc == TEE_OK) {
        text.len = w.len;
        text.data = w.data;

        tee_keccak256(text, hash);

        driver_put_hex(d, "canonical_hex", w.data, w.len);
        driver_put_hex(d, "keccak256", hash, 32);
    }

    tee_write_free(&w);

    return rc;
}


/* What both kinds of answers are checked against. */

static tee_rc_t
driver_verify(driver_t *d, const tee_signed_t *s, const uint8_t output[32])
{
    uint8_t              request[32], id[32];
    tee_rc_t             rc;
    tee_str_t            canonical, spki;
    const tee_json_t    *v;
    tee_signed_key_t     key;
    tee_signed_check_t   failed;

    if (driver_hex(d, "canonical_hex", &canonical) != TEE_OK
        || driver_hex(d, "spki_hex", &spki) != TEE_OK)
    {
        return DRIVER_BAD;
    }

    rc = tee_json_get(d->in, "expected_tee_id", &v);

    if (rc != TEE_OK && rc != TEE_DONE) {
        return DRIVER_BAD;
    }

    if (v && v->type == TEE_JSON_NULL) {
        v = NULL;
    }

    if (v && tee_hex_fixed(v->text, id, 32) != TEE_OK) {
        return TEE_MALFORMED;
    }

    tee_keccak256(canonical, request);

    failed = TEE_SIGNED_NOTHING;
    rc = tee_signed_key_init(&key, spki);

    if (rc == TEE_OK) {
        rc = tee_signed_verify(s, request, output, &key, v ? id : NULL,
                               &failed);
    }

    tee_signed_key_free(&key);

    if (rc == TEE_OK) {
        driver_put_hex(d, "tee_id", s->tee_id, 32);
        driver_put_hex(d, "output_hash_hex", output, 32);
    }

    return rc;
}


static tee_rc_t
driver_verify_body(driver_t *d)
{
    uint8_t               output[32];
    tee_rc_t              rc;
    tee_str_t             name, body;
    tee_signed_t          s;
    tee_chat_endpoint_t   endpoint;

    if (tee_json_get_text(d->in, "endpoint", &name) != TEE_OK
        || driver_endpoint(name, &endpoint) != TEE_OK
        || driver_hex(d, "body_hex", &body) != TEE_OK)
    {
        return DRIVER_BAD;
    }

    rc = tee_signed_body(body, endpoint, 0, &driver_alloc, &s, output);

    if (rc == TEE_OK) {
        rc = driver_verify(d, &s, output);
    }

    return rc;
}


static tee_rc_t
driver_verify_sse(driver_t *d)
{
    uint8_t               output[32];
    tee_rc_t              rc;
    tee_str_t             in, piece;
    const tee_json_t     *split;
    tee_signed_stream_t   s;

    if (driver_hex(d, "transcript_hex", &in) != TEE_OK
        || driver_splits(d, &split) != TEE_OK)
    {
        return DRIVER_BAD;
    }

    tee_signed_stream_init(&s, DRIVER_SIGNED_MAX, 0, &driver_alloc);

    do {
        rc = driver_piece(&split, &in, &piece);

        if (rc == TEE_OK) {
            rc = tee_signed_stream_read(&s, piece);
        }

    } while (rc == TEE_OK && (split || in.len));

    if (rc == TEE_OK) {
        rc = tee_signed_stream_end(&s, output);
    }

    if (rc == TEE_OK) {
        rc = driver_verify(d, &s.last, output);
    }

    tee_signed_stream_free(&s);

    return rc;
}
