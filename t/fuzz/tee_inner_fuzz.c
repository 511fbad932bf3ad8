
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <string.h>

#include <tee_chat.h>
#include <tee_envelope.h>
#include <tee_inner.h>
#include <tee_json.h>

#include "fuzz.h"


/* What is sent is sent again as it is; and whoever reads it, reads JSON. */

static void
fuzz_request(tee_str_t in, tee_inner_endpoint_t endpoint)
{
    uint8_t           once[32], twice[32];
    tee_rc_t          rc;
    tee_str_t         out;
    tee_inner_t       inner, again;
    tee_write_t       w, w2;
    tee_json_doc_t    doc;

    tee_write_grow(&w, &fuzz_alloc);

    rc = tee_inner_request(in, endpoint, &fuzz_alloc, &inner, &w);

    if (rc != TEE_OK) {
        FUZZ_CHECK(rc < 0 && rc != TEE_INCOMPLETE);
        FUZZ_CHECK(!inner.stream && (inner.why || rc == TEE_NOMEM));
        tee_write_free(&w);
        return;
    }

    FUZZ_CHECK(inner.why == NULL);

    out.data = w.data;
    out.len = w.len;

    rc = tee_json_parse_python(out, 1000000, &fuzz_alloc, &doc);

    FUZZ_CHECK(rc == TEE_OK && doc.root->type == TEE_JSON_OBJECT);

    tee_json_free(&doc);

    tee_write_grow(&w2, &fuzz_alloc);

    rc = tee_inner_request(out, endpoint, &fuzz_alloc, &again, &w2);

    FUZZ_CHECK(rc == TEE_OK && again.stream == inner.stream);
    FUZZ_CHECK(w2.len == w.len && memcmp(w2.data, w.data, w.len) == 0);

    tee_write_free(&w2);

    if (endpoint == TEE_INNER_CHAT
        && tee_chat_hash(in, TEE_CHAT, &tee_chat_newest, &fuzz_alloc, once)
           == TEE_OK)
    {
        /* it may have become what can be signed, but not the other way round;
         * members of calls that are missing have a default */

        rc = tee_chat_hash(out, TEE_CHAT, &tee_chat_newest, &fuzz_alloc,
                           twice);

        FUZZ_CHECK(rc == TEE_OK);
    }

    tee_write_free(&w);
}


static void
fuzz_response(tee_str_t in)
{
    tee_rc_t   rc;
    unsigned   status;
    tee_str_t  body;

    rc = tee_inner_response(in, &status, &body);

    if (rc != TEE_OK) {
        FUZZ_CHECK(rc == TEE_MALFORMED && status == 0 && body.len == 0);
        return;
    }

    FUZZ_CHECK(status >= 200 && status <= 599);
    FUZZ_CHECK(body.len && body.data >= in.data
               && body.data + body.len <= in.data + in.len);
    FUZZ_CHECK(body.len == in.len || body.data[0] == '{');
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    tee_str_t  in = { size, data };

    fuzz_request(in, TEE_INNER_CHAT);
    fuzz_request(in, TEE_INNER_WEB_SEARCH);
    fuzz_response(in);

    return 0;
}
