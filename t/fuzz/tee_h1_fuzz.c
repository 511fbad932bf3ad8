
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <string.h>

#include <tee_h1.h>

#include "fuzz.h"


/* The content's length and a sum, and how it ended. */

typedef struct {
    uint64_t              len;
    uint64_t              sum;
    tee_rc_t              rc;
    unsigned              status;
} fuzz_h1_t;


static fuzz_h1_t
fuzz_h1(tee_str_t all, size_t piece)
{
    size_t     i;
    tee_h1_t   h;
    tee_str_t  in, body;
    fuzz_h1_t  r;

    memset(&r, 0, sizeof(fuzz_h1_t));
    tee_h1_init(&h, 4096, 4096);

    do {
        in.len = all.len < piece ? all.len : piece;
        in.data = all.data;
        all.len -= in.len;
        all.data += in.len;

        do {
            r.rc = tee_h1_read(&h, &in, &body);

            FUZZ_CHECK(body.len == 0 || (r.rc == TEE_OK && h.head_done));
            FUZZ_CHECK(h.head_seen <= 4097);

            for (i = 0; i < body.len; i++) {
                r.sum = r.sum * 31 + body.data[i];
            }

            r.len += body.len;

        } while (r.rc == TEE_OK && (in.len || body.len));

        FUZZ_CHECK(r.rc != TEE_OK || in.len == 0);

    } while (r.rc == TEE_OK && all.len);

    FUZZ_CHECK(r.len <= 4096);

    if (r.rc == TEE_OK) {
        r.rc = tee_h1_eof(&h);
        FUZZ_CHECK(r.rc == TEE_DONE || r.rc == TEE_INCOMPLETE);
    }

    if (h.head_done) {
        FUZZ_CHECK(h.status >= 200 && h.status <= 599);
        FUZZ_CHECK(!h.known_length || r.len <= h.content_length);
        FUZZ_CHECK(r.rc != TEE_DONE || !h.known_length
                   || r.len == h.content_length);
        r.status = h.status;
    }

    return r;
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_h1_t  whole, bytes;
    tee_str_t  in = { size, data };

    whole = fuzz_h1(in, size ? size : 1);
    bytes = fuzz_h1(in, 1);

    FUZZ_CHECK(whole.rc == bytes.rc && whole.status == bytes.status);

    if (whole.rc != TEE_LIMIT) {
        FUZZ_CHECK(whole.len == bytes.len && whole.sum == bytes.sum);
    }

    return 0;
}
