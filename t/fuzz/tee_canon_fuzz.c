
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <string.h>

#include <tee_canon.h>

#include "fuzz.h"


#define FUZZ_NODES  500


static tee_rc_t
fuzz_canon(tee_str_t in, tee_write_t *w)
{
    tee_rc_t        rc;
    tee_json_doc_t  doc;

    tee_write_grow(w, &fuzz_alloc);

    rc = tee_canon_parse(in, FUZZ_NODES, &fuzz_alloc, &doc);

    if (rc != TEE_OK) {
        FUZZ_CHECK(doc.root == NULL);
        FUZZ_CHECK(rc == TEE_MALFORMED || rc == TEE_UNSUPPORTED
                   || rc == TEE_LIMIT);
        return rc;
    }

    tee_canon_write(w, doc.root);
    tee_json_free(&doc);

    FUZZ_CHECK(tee_write_rc(w) == TEE_OK);

    return TEE_OK;
}


/* What is written is ASCII, is read, and is written in the same way; what
 * RFC 8259 has as JSON is read by Python as well. */

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t          i;
    tee_rc_t        rc;
    tee_str_t       in = { size, data };
    tee_write_t     once, twice;
    tee_json_doc_t  doc;

    rc = fuzz_canon(in, &once);

    if (tee_json_parse(in, FUZZ_NODES, &fuzz_alloc, &doc) == TEE_OK) {
        FUZZ_CHECK(rc == TEE_OK || size > TEE_CANON_MAX_DIGITS);
        tee_json_free(&doc);
    }

    if (rc == TEE_OK) {

        for (i = 0; i < once.len; i++) {
            FUZZ_CHECK(once.data[i] >= ' ' && once.data[i] < 0x7f);
        }

        in.len = once.len;
        in.data = once.data;

        FUZZ_CHECK(fuzz_canon(in, &twice) == TEE_OK);
        FUZZ_CHECK(twice.len == once.len
                   && memcmp(twice.data, once.data, once.len) == 0);

        tee_write_free(&twice);
    }

    tee_write_free(&once);

    return 0;
}
