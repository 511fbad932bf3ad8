
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <string.h>

#include "unit.h"


int
main(void)
{
    int      rc;
    uint8_t  a[32], b[32];
    size_t   i, wrong;

    wrong = 0;

    for (rc = TEE_NOMEM; rc <= TEE_DONE; rc++) {
        wrong += strcmp(tee_strerror((tee_rc_t) rc), "unknown error") == 0;
    }

    unit_ok(wrong == 0, "every code has words");
    unit_ok(strcmp(tee_strerror((tee_rc_t) 99), "unknown error") == 0,
            "another code has some, too");

    memset(a, 7, 32);
    memset(b, 7, 32);

    unit_ok(tee_ct_equal(a, b, 32), "equal");
    unit_ok(tee_ct_equal(a, b, 0), "equal, nothing");

    wrong = 0;

    for (i = 0; i < 32 * 8; i++) {
        b[i / 8] ^= (uint8_t) (1 << i % 8);
        wrong += tee_ct_equal(a, b, 32) != 0;
        b[i / 8] ^= (uint8_t) (1 << i % 8);
    }

    unit_ok(wrong == 0, "any bit makes a difference");

    tee_wipe(a, 31);
    memset(b, 0, 31);
    unit_ok(memcmp(a, b, 32) == 0, "wiped, and no more than that");

    tee_wipe(NULL, 0);

    return unit_done();
}
