
/*
 * Copyright (C) The ngx_http_tee authors
 */


#ifndef TEE_SCHEDULE_H_INCLUDED
#define TEE_SCHEDULE_H_INCLUDED


#include <tee.h>


/*
 * The life of keys that are derived from a seed: epoch n is the time from
 * n * rotate to (n + 1) * rotate, in seconds of Unix time, and has one key.
 *
 *     announced   "announce" seconds before its epoch: in the list, not first
 *     active      in its epoch: the first of the list
 *     accepted    "accept" seconds after its epoch: opens, not in the list
 *     destroyed   from then on
 *
 * A list is fresh until the next change of the list, so nobody who obeys its
 * Cache-Control ever seals to a key that is not in one.  Keys that are
 * announced open requests, too: clocks of a fleet differ.
 */

typedef struct {
    uint64_t              rotate;              /* not 0 */
    uint64_t              announce;            /* less than rotate */
    uint64_t              accept;
} tee_schedule_t;


typedef enum {
    TEE_KEY_ANNOUNCED = 0,
    TEE_KEY_ACTIVE,
    TEE_KEY_ACCEPTED,
    TEE_KEY_DESTROYED
} tee_key_state_t;


/* TEE_OK, or TEE_LIMIT: so many epochs live at once that their 8-bit ids
 * would be used again, or a time that is out of range: a rotate of 0 or of
 * more than 2^32, an accept of more than that, or an announce that is not
 * less than rotate. */

TEE_MUST_CHECK tee_rc_t tee_schedule_check(const tee_schedule_t *s);

/* The epochs that are not destroyed at this time, first to last. */

void tee_schedule_live(const tee_schedule_t *s, uint64_t now,
    uint64_t *first, uint64_t *last);

/* An epoch that is not even announced does not exist: destroyed, as well. */

tee_key_state_t tee_schedule_state(const tee_schedule_t *s, uint64_t epoch,
    uint64_t now);

/* When the published list was last different, and when it will be again. */

void tee_schedule_list(const tee_schedule_t *s, uint64_t now, uint64_t *since,
    uint64_t *until);

/* When anything changes next, the states of keys not in the list included. */

uint64_t tee_schedule_next(const tee_schedule_t *s, uint64_t now);

/* The key id of an epoch. */

uint8_t tee_schedule_id(uint64_t epoch);

/*
 * The keying material of an epoch, for DeriveKeyPair() of RFC 9180, 7.1.3:
 *
 *     HMAC-SHA256(seed, "tee gateway key" || 0 || name || 0 || u16 kem
 *                       || u64 epoch)
 *
 * seed  a secret of 32 bytes or more
 * name  of the keys, without a zero byte, up to 255 bytes: two sets of keys of
 *       one seed have nothing in common
 *
 * TEE_OK, TEE_LIMIT (name), or TEE_NOMEM, with ikm cleared
 */

TEE_MUST_CHECK tee_rc_t tee_schedule_ikm(tee_str_t seed, tee_str_t name,
    uint16_t kem, uint64_t epoch, uint8_t ikm[32]);


#endif /* TEE_SCHEDULE_H_INCLUDED */
