
/*
 * Copyright (C) The ngx_http_tee authors
 */


#ifndef TEE_PIN_H_INCLUDED
#define TEE_PIN_H_INCLUDED


#include <tee.h>
#include <tee_snapshot.h>


typedef enum {
    TEE_PIN_MATCH = 0,
    TEE_PIN_MISMATCH,
    TEE_PIN_NOT_YET_VALID,
    TEE_PIN_EXPIRED
} tee_pin_t;


/*
 * Compares the leaf certificate that a peer has presented with what the
 * registry says.  Neither names nor authorities count; the dates do.
 *
 * sha256  of the DER as presented
 * now     Unix time; both ends of the validity are inclusive, RFC 5280, 4.1.2.5
 */

TEE_MUST_CHECK tee_pin_t tee_pin_check(const tee_snapshot_entry_t *entry,
    const uint8_t sha256[32], int64_t now);

/* For a variable or a log line: "match", "mismatch", "not yet valid",
 * "expired". */

const char *tee_pin_name(tee_pin_t result);


#endif /* TEE_PIN_H_INCLUDED */
