
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <string.h>

#include <tee_billing.h>

#include "fuzz.h"


typedef struct {
    uint64_t              len;
    uint64_t              sum;
    uint64_t              json;
    tee_rc_t              rc;
} fuzz_billing_t;


static fuzz_billing_t
fuzz_billing(tee_str_t all, size_t piece)
{
    size_t          i, total;
    tee_str_t       in, was, out, value;
    tee_billing_t   b;
    fuzz_billing_t  r;

    memset(&r, 0, sizeof(fuzz_billing_t));
    tee_billing_init(&b, 32, &fuzz_alloc);

    total = all.len;
    r.rc = TEE_OK;

    while (r.rc == TEE_OK && all.len) {
        in.len = all.len < piece ? all.len : piece;
        in.data = all.data;
        all.len -= in.len;
        all.data += in.len;

        do {
            was = in;
            r.rc = tee_billing_read(&b, &in, &out);

            FUZZ_CHECK(fuzz_within(out, was));
            FUZZ_CHECK(r.rc == TEE_OK || out.len == 0);
            FUZZ_CHECK(r.rc != TEE_OK || in.len < was.len);

            for (i = 0; i < out.len; i++) {
                r.sum = r.sum * 31 + out.data[i];
            }

            r.len += out.len;

        } while (r.rc == TEE_OK && in.len);
    }

    if (r.rc == TEE_OK) {
        r.rc = tee_billing_end(&b);
    }

    r.json = b.json.len;

    FUZZ_CHECK(r.json <= TEE_BILLING_MAX_LEN);
    FUZZ_CHECK(r.rc != TEE_OK || r.len == total
               || r.len + 35 + 4 + r.json == total);

    if (r.json && tee_billing_member(b.json, "cost_opg", &fuzz_alloc, &value)
                  == TEE_OK)
    {
        for (i = 0; i < value.len; i++) {
            FUZZ_CHECK(value.data[i] >= 0x20 && value.data[i] <= 0x7e);
        }

        free((void *) (uintptr_t) value.data);
    }

    tee_billing_free(&b);

    return r;
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    tee_str_t       in = { size, data };
    fuzz_billing_t  whole, bytes, some;

    whole = fuzz_billing(in, size ? size : 1);
    bytes = fuzz_billing(in, 1);
    some = fuzz_billing(in, 7);

    FUZZ_CHECK(whole.rc == bytes.rc && whole.rc == some.rc);
    FUZZ_CHECK(whole.json == bytes.json && whole.json == some.json);

    if (whole.rc == TEE_OK) {
        FUZZ_CHECK(whole.len == bytes.len && whole.sum == bytes.sum);
        FUZZ_CHECK(whole.len == some.len && whole.sum == some.sum);
    }

    return 0;
}
