
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <string.h>

#include <tee_signed_stream.h>

#include "fuzz.h"


#define FUZZ_MAX  4096


static int
fuzz_empty(const void *p, size_t len)
{
    size_t          i;
    const uint8_t  *b = p;

    for (i = 0; i < len; i++) {
        if (b[i]) {
            return 0;
        }
    }

    return 1;
}


static void
fuzz_body(tee_str_t in, tee_chat_endpoint_t endpoint)
{
    uint8_t       output[32];
    tee_rc_t      rc;
    tee_signed_t  s;

    rc = tee_signed_body(in, endpoint, 0, &fuzz_alloc, &s, output);

    FUZZ_CHECK(rc != TEE_DONE && rc != TEE_CRYPTO && rc != TEE_INCOMPLETE);
    FUZZ_CHECK(s.signature_len <= TEE_SIG_MAX_LEN);
    FUZZ_CHECK(rc == TEE_OK || fuzz_empty(&s, sizeof(tee_signed_t)));
    FUZZ_CHECK((rc == TEE_OK) != fuzz_empty(output, 32));
}


static tee_rc_t
fuzz_stream(tee_str_t in, size_t step, tee_signed_t *last, uint8_t output[32])
{
    tee_rc_t             rc;
    tee_str_t            piece;
    tee_signed_stream_t  s;

    tee_signed_stream_init(&s, FUZZ_MAX, 0, &fuzz_alloc);

    rc = TEE_OK;

    while (in.len) {
        piece.len = in.len < step ? in.len : step;
        piece.data = in.data;

        in.len -= piece.len;
        in.data += piece.len;

        FUZZ_CHECK(rc == TEE_OK || tee_signed_stream_read(&s, piece) == rc);

        if (rc == TEE_OK) {
            rc = tee_signed_stream_read(&s, piece);
        }
    }

    FUZZ_CHECK(rc == TEE_OK || tee_signed_stream_end(&s, output) == rc);

    if (rc == TEE_OK) {
        rc = tee_signed_stream_end(&s, output);
    }

    FUZZ_CHECK((rc == TEE_OK) != fuzz_empty(output, 32));

    *last = s.last;

    tee_signed_stream_free(&s);

    return rc;
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t       whole[32], pieces[32];
    tee_rc_t      rc;
    tee_str_t     in = { size, data };
    tee_signed_t  a, b;

    fuzz_body(in, TEE_CHAT);
    fuzz_body(in, TEE_CHAT_COMPLETIONS);
    fuzz_body(in, TEE_CHAT_WEB_SEARCH);

    rc = fuzz_stream(in, SIZE_MAX, &a, whole);

    FUZZ_CHECK(fuzz_stream(in, 1 + size % 7, &b, pieces) == rc);
    FUZZ_CHECK(memcmp(whole, pieces, 32) == 0);
    FUZZ_CHECK(rc != TEE_OK || memcmp(&a, &b, sizeof(tee_signed_t)) == 0);

    return 0;
}
