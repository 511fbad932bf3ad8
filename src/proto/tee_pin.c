
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <string.h>

#include <tee_pin.h>


tee_pin_t
tee_pin_check(const tee_snapshot_entry_t *entry, const uint8_t sha256[32],
    int64_t now)
{
    /* both are public */

    if (memcmp(entry->pin_sha256, sha256, 32) != 0) {
        return TEE_PIN_MISMATCH;
    }

    if (now < entry->not_before) {
        return TEE_PIN_NOT_YET_VALID;
    }

    if (now > entry->not_after) {
        return TEE_PIN_EXPIRED;
    }

    return TEE_PIN_MATCH;
}


const char *
tee_pin_name(tee_pin_t result)
{
    switch (result) {

    case TEE_PIN_MATCH:
        return "match";

    case TEE_PIN_MISMATCH:
        return "mismatch";

    case TEE_PIN_NOT_YET_VALID:
        return "not yet valid";

    case TEE_PIN_EXPIRED:
        return "expired";
    }

    return "unknown";
}
