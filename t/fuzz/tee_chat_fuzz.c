
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <string.h>

#include <tee_canon.h>
#include <tee_chat.h>

#include "fuzz.h"


/* A request that is signed is canonical JSON. */

static void
fuzz_request(tee_str_t in, tee_chat_endpoint_t endpoint, unsigned members)
{
    tee_rc_t        rc;
    tee_str_t       text;
    tee_write_t     w, again;
    tee_json_doc_t  doc;

    tee_write_grow(&w, &fuzz_alloc);

    rc = tee_chat_canonical(in, endpoint, members, &fuzz_alloc, &w);

    FUZZ_CHECK(rc != TEE_DONE && rc != TEE_CRYPTO && rc != TEE_INCOMPLETE);

    if (rc == TEE_OK) {
        text.len = w.len;
        text.data = w.data;

        FUZZ_CHECK(tee_canon_parse(text, SIZE_MAX, &fuzz_alloc, &doc)
                   == TEE_OK);
        FUZZ_CHECK(doc.root->type == TEE_JSON_OBJECT);

        tee_write_grow(&again, &fuzz_alloc);
        tee_canon_write(&again, doc.root);

        FUZZ_CHECK(again.len == w.len
                   && memcmp(again.data, w.data, w.len) == 0);

        tee_write_free(&again);
        tee_json_free(&doc);
    }

    tee_write_free(&w);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    tee_str_t  in = { size, data };

    fuzz_request(in, TEE_CHAT, TEE_CHAT_NEWEST);
    fuzz_request(in, TEE_CHAT, 0);
    fuzz_request(in, TEE_CHAT_COMPLETIONS, 0);
    fuzz_request(in, TEE_CHAT_WEB_SEARCH, 0);

    return 0;
}
