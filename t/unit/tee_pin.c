
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <string.h>

#include <tee_pin.h>

#include "unit.h"


int
main(void)
{
    size_t                i, wrong;
    uint8_t               sha256[32];
    tee_snapshot_entry_t  e;

    memset(&e, 0, sizeof(tee_snapshot_entry_t));
    memset(e.pin_sha256, 9, 32);
    memset(sha256, 9, 32);
    e.not_before = 1000;
    e.not_after = 2000;

    unit_ok(tee_pin_check(&e, sha256, 1500) == TEE_PIN_MATCH, "match");
    unit_ok(tee_pin_check(&e, sha256, 1000) == TEE_PIN_MATCH,
            "in the first second");
    unit_ok(tee_pin_check(&e, sha256, 999) == TEE_PIN_NOT_YET_VALID,
            "before it");
    unit_ok(tee_pin_check(&e, sha256, 2000) == TEE_PIN_MATCH,
            "in the last second");
    unit_ok(tee_pin_check(&e, sha256, 2001) == TEE_PIN_EXPIRED, "after it");

    wrong = 0;

    for (i = 0; i < 256; i++) {
        sha256[i / 8] ^= (uint8_t) (1 << i % 8);
        wrong += tee_pin_check(&e, sha256, 1500) != TEE_PIN_MISMATCH;
        wrong += tee_pin_check(&e, sha256, 2001) != TEE_PIN_MISMATCH;
        sha256[i / 8] ^= (uint8_t) (1 << i % 8);
    }

    unit_ok(wrong == 0, "any bit is a mismatch, before any date");

    unit_ok(strcmp(tee_pin_name(TEE_PIN_MATCH), "match") == 0
            && strcmp(tee_pin_name(TEE_PIN_MISMATCH), "mismatch") == 0
            && strcmp(tee_pin_name(TEE_PIN_NOT_YET_VALID), "not yet valid")
               == 0
            && strcmp(tee_pin_name(TEE_PIN_EXPIRED), "expired") == 0
            && strcmp(tee_pin_name((tee_pin_t) 9), "unknown") == 0, "names");

    return unit_done();
}
