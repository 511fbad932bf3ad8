
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <string.h>

#include <tee_float.h>

#include "fuzz.h"


/* What is written is read as the same number. */

static void
fuzz_bits(uint64_t bits)
{
    size_t     len;
    uint8_t    text[TEE_FLOAT_MAX_LEN];
    uint64_t   again;
    tee_str_t  in;

    len = tee_float_repr(bits, text);

    FUZZ_CHECK(len >= 3 && len <= TEE_FLOAT_MAX_LEN);

    in.len = len;
    in.data = text;

    if ((bits & ~TEE_FLOAT_SIGN) >= TEE_FLOAT_INFINITY) {
        FUZZ_CHECK(tee_float_parse(in, &again) == TEE_MALFORMED);
        return;
    }

    FUZZ_CHECK(tee_float_parse(in, &again) == TEE_OK && again == bits);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint64_t   bits;
    tee_str_t  in = { size, data };

    if (tee_float_parse(in, &bits) == TEE_OK) {
        FUZZ_CHECK((bits & ~TEE_FLOAT_SIGN) <= TEE_FLOAT_INFINITY);
        fuzz_bits(bits);

    } else {
        FUZZ_CHECK(bits == 0);
    }

    if (size >= sizeof(uint64_t)) {
        memcpy(&bits, data, sizeof(uint64_t));
        fuzz_bits(bits);
    }

    return 0;
}
