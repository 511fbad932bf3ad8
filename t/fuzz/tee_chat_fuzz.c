
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <string.h>

#include <tee_canon.h>
#include <tee_chat.h>
#include <tee_keccak.h>

#include "fuzz.h"


static const tee_str_t  fuzz_names[] = {
    tee_string("tools"), tee_string("n"), tee_string("messages"),
    tee_string("\xc3\xa9"), tee_string("prompt"), tee_string("n"),
    tee_string("temperature"), tee_string("seed")
};

static const tee_chat_fields_t  fuzz_fields = { 8, fuzz_names };


/* A request that is signed is canonical JSON. */

static void
fuzz_request(tee_str_t in, tee_chat_endpoint_t endpoint,
    const tee_chat_fields_t *fields)
{
    uint8_t         hash[32], want[32];
    tee_rc_t        rc, hashed;
    tee_str_t       text;
    tee_write_t     w, again;
    tee_json_doc_t  doc;

    tee_write_grow(&w, &fuzz_alloc);

    rc = tee_chat_canonical(in, endpoint, fields, &fuzz_alloc, &w);

    FUZZ_CHECK(rc != TEE_DONE && rc != TEE_CRYPTO && rc != TEE_INCOMPLETE);

    memset(want, 0, 32);

    if (rc == TEE_OK) {
        text.len = w.len;
        text.data = w.data;

        tee_keccak256(text, want);

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

    hashed = tee_chat_hash(in, endpoint, fields, &fuzz_alloc, hash);

    /* what others might read differently has no hash */

    FUZZ_CHECK(hashed == rc || hashed == TEE_UNSUPPORTED);
    FUZZ_CHECK(hashed != TEE_OK || memcmp(hash, want, 32) == 0);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    tee_str_t  in = { size, data };

    fuzz_request(in, TEE_CHAT, &tee_chat_newest);
    fuzz_request(in, TEE_CHAT, &fuzz_fields);
    fuzz_request(in, TEE_CHAT_COMPLETIONS, &tee_chat_newest);
    fuzz_request(in, TEE_CHAT_COMPLETIONS, &fuzz_fields);
    fuzz_request(in, TEE_CHAT_WEB_SEARCH, &fuzz_fields);

    return 0;
}
