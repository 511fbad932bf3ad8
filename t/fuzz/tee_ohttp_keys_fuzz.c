
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <tee_ohttp_keys.h>

#include "fuzz.h"


#define FUZZ_ROOM  8


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t           i, n;
    tee_rc_t         rc;
    tee_str_t        in = { size, data };
    tee_ohttp_key_t  key, keys[FUZZ_ROOM];

    n = FUZZ_ROOM;
    rc = tee_ohttp_keys_parse(in, keys, &n);

    FUZZ_CHECK(n <= FUZZ_ROOM && (rc == TEE_OK || n == 0));
    FUZZ_CHECK(rc == TEE_OK || rc == TEE_MALFORMED || rc == TEE_LIMIT);

    for (i = 0; i < n; i++) {
        FUZZ_CHECK(fuzz_within(keys[i].pk, in));
        FUZZ_CHECK(fuzz_within(keys[i].suites, in));
        FUZZ_CHECK(keys[i].pk.len == tee_ohttp_kem_pk_len(keys[i].kem));
        FUZZ_CHECK(keys[i].suites.len && keys[i].suites.len % 4 == 0);

        rc = tee_ohttp_key_usable(&keys[i]);
        FUZZ_CHECK(rc == TEE_OK || rc == TEE_UNSUPPORTED || rc == TEE_CRYPTO);
    }

    rc = tee_ohttp_key_parse(in, &key);

    if (rc == TEE_OK) {
        FUZZ_CHECK(key.pk.len + key.suites.len + 5 == size);
        (void) tee_ohttp_key_has(&key, 1, 3);

    } else {
        FUZZ_CHECK(key.pk.len == 0 && key.suites.len == 0);
    }

    return 0;
}
