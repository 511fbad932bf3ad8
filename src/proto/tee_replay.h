
/*
 * Copyright (C) The ngx_http_tee authors
 */


#ifndef TEE_REPLAY_H_INCLUDED
#define TEE_REPLAY_H_INCLUDED


#include <tee.h>


/*
 * A set of the requests that have been seen, in one block of memory without
 * pointers, which processes may share under a lock of theirs.  Two generations
 * of "window" seconds each: what is added is found for one window at least,
 * for two at most.  Members are keyed digests, so that nobody who chooses
 * requests can choose where they go.
 *
 * Time is that of a wall clock.  If it goes back, nothing is forgotten until
 * it has caught up, or, if that would take more than a window, for a window
 * from then on at least.
 */

typedef struct tee_replay_s  tee_replay_t;


/* The least size of the memory. */

#define TEE_REPLAY_MIN  4096


/*
 * mem   8-byte aligned
 * key   32 random bytes
 *
 * TEE_OK, TEE_LIMIT (too small)
 */

TEE_MUST_CHECK tee_rc_t tee_replay_init(void *mem, size_t size,
    uint64_t window, const uint8_t key[32], uint64_t now);

/* 1 if "mem" holds a set of this size and window; 8-byte aligned. */

int tee_replay_valid(const void *mem, size_t size, uint64_t window);

/*
 * A digest of what must not come twice: the header and enc of a request.
 * TEE_OK, TEE_NOMEM
 */

TEE_MUST_CHECK tee_rc_t tee_replay_digest(const tee_replay_t *set,
    tee_str_t enc, uint8_t digest[16]);

/*
 * Adds a digest, unless it is there.
 *
 * evict  what happens when a generation is full: 0, TEE_LIMIT; 1, the older one
 *        is forgotten before its time, and *evicted is how many that were, so
 *        that what is added is found until as many others as fit into a
 *        generation have come after it
 *
 * TEE_OK, TEE_DONE (it is there: a replay), TEE_LIMIT
 */

TEE_MUST_CHECK tee_rc_t tee_replay_add(tee_replay_t *set,
    const uint8_t digest[16], uint64_t now, int evict, uint64_t *evicted);

/* How many are in the set, and how many fit into a generation. */

void tee_replay_usage(const tee_replay_t *set, uint64_t now, uint64_t *used,
    uint64_t *room);


#endif /* TEE_REPLAY_H_INCLUDED */
