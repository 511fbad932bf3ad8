
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <tee_canon.h>
#include <tee_chat.h>
#include <tee_keccak.h>
#include <tee_text.h>

#include "driver.h"


#define DRIVER_SIGNED_NODES  (1024 * 1024)


static tee_rc_t driver_canonical(driver_t *d);


const driver_op_t  driver_signed_ops[] = {
    { "canonical", driver_canonical },
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
            rc = tee_chat_canonical(in, endpoint, TEE_CHAT_NEWEST,
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
