
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <string.h>

#include <tee_ohttp_keys.h>

#include "fuzz.h"


#define FUZZ_ROOM  8


/* What has been read is written as it was. */

static void
fuzz_write(tee_str_t in, const tee_ohttp_key_t *key)
{
    tee_write_t  w;

    FUZZ_CHECK(tee_ohttp_key_len(key) == in.len);

    tee_write_grow(&w, &fuzz_alloc);
    tee_ohttp_key_write(&w, key);

    FUZZ_CHECK(tee_write_rc(&w) == TEE_OK
               && w.len == in.len
               && memcmp(w.data, in.data, in.len) == 0);

    tee_write_free(&w);
}


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
        fuzz_write(in, &key);

    } else {
        FUZZ_CHECK(key.pk.len == 0 && key.suites.len == 0);
    }

    return 0;
}
