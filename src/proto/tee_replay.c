
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <string.h>

#include <tee_crypto.h>
#include <tee_replay.h>


/*
 * Two hash tables with open addressing.  Slots are in pages, and each page
 * says which generation it is of: one that is of an older generation is empty,
 * and is cleared by whoever writes to it.  So a new generation takes no time.
 */

#define TEE_REPLAY_MAGIC  UINT64_C(0x3179616c70657274)
#define TEE_REPLAY_PAGE   512
#define TEE_REPLAY_SLOTS  (TEE_REPLAY_PAGE / 16 - 1)


typedef struct {
    uint64_t              generation;
    uint64_t              unused;
    uint8_t               slots[TEE_REPLAY_SLOTS][16];
} tee_replay_page_t;


struct tee_replay_s {
    uint64_t              magic;
    uint64_t              size;
    uint64_t              window;
    uint64_t              npages;              /* of a table */
    uint8_t               key[32];

    uint64_t              generation;          /* the current one, from 2 */
    uint64_t              started;             /* when it began */
    uint64_t              used[2];             /* current, previous */
};


static void tee_replay_shape(size_t size, uint64_t *npages);
static tee_replay_page_t *tee_replay_table(const tee_replay_t *set,
    uint64_t generation);
static uint64_t tee_replay_room(const tee_replay_t *set);
static void tee_replay_rotate(tee_replay_t *set, uint64_t now);
static void tee_replay_turn(tee_replay_t *set, uint64_t started);
static int tee_replay_find(const tee_replay_t *set, uint64_t generation,
    const uint8_t member[16], tee_replay_page_t **page, uint8_t **slot);


static const uint8_t  tee_replay_empty[16];


tee_rc_t
tee_replay_init(void *mem, size_t size, uint64_t window,
    const uint8_t key[32], uint64_t now)
{
    uint64_t       i;
    tee_replay_t  *set = mem;

    if (size < TEE_REPLAY_MIN) {
        return TEE_LIMIT;
    }

    memset(set, 0, sizeof(tee_replay_t));

    tee_replay_shape(size, &set->npages);

    set->size = size;
    set->window = window;
    memcpy(set->key, key, 32);

    /* pages of a generation before the first are empty */

    for (i = 0; i < 2 * set->npages; i++) {
        tee_replay_table(set, 0)[i].generation = 0;
    }

    set->generation = 2;
    set->started = now;
    set->magic = TEE_REPLAY_MAGIC;

    return TEE_OK;
}


int
tee_replay_valid(const void *mem, size_t size, uint64_t window)
{
    uint64_t             npages;
    const tee_replay_t  *set = mem;

    if (size < TEE_REPLAY_MIN) {
        return 0;
    }

    tee_replay_shape(size, &npages);

    return set->magic == TEE_REPLAY_MAGIC
           && set->size == size
           && set->window == window
           && set->npages == npages
           && set->generation >= 2
           && set->used[0] <= tee_replay_room(set)
           && set->used[1] <= tee_replay_room(set);
}


static void
tee_replay_shape(size_t size, uint64_t *npages)
{
    *npages = (size - sizeof(tee_replay_t)) / sizeof(tee_replay_page_t) / 2;
}


tee_rc_t
tee_replay_digest(const tee_replay_t *set, tee_str_t enc, uint8_t digest[16])
{
    uint8_t    buf[64], full[32];
    tee_rc_t   rc;
    tee_str_t  in;

    memset(digest, 0, 16);

    /* a key in front of a text of fixed length: nothing to extend */

    memcpy(buf, set->key, 32);

    rc = tee_sha256(enc, buf + 32);

    if (rc == TEE_OK) {
        in.data = buf;
        in.len = sizeof(buf);

        rc = tee_sha256(in, full);
    }

    tee_wipe(buf, sizeof(buf));

    if (rc != TEE_OK) {
        return rc;
    }

    memcpy(digest, full, 16);

    return TEE_OK;
}


tee_rc_t
tee_replay_add(tee_replay_t *set, const uint8_t digest[16], uint64_t now,
    int evict, uint64_t *evicted)
{
    uint8_t             copy[16], *slot;
    tee_replay_page_t  *page;

    *evicted = 0;

    /* zeroes are an empty slot */

    memcpy(copy, digest, 16);

    if (memcmp(copy, tee_replay_empty, 16) == 0) {
        copy[15] = 1;
    }

    tee_replay_rotate(set, now);

    if (tee_replay_find(set, set->generation - 1, copy, &page, &slot)
        || tee_replay_find(set, set->generation, copy, &page, &slot))
    {
        return TEE_DONE;
    }

    if (set->used[0] >= tee_replay_room(set)) {

        if (!evict) {
            return TEE_LIMIT;
        }

        *evicted = set->used[1];

        tee_replay_turn(set, now);
        (void) tee_replay_find(set, set->generation, copy, &page, &slot);
    }

    if (slot == NULL) {
        return TEE_LIMIT;
    }

    if (page->generation != set->generation) {
        memset(page, 0, sizeof(tee_replay_page_t));
        page->generation = set->generation;
    }

    memcpy(slot, copy, 16);
    set->used[0]++;

    return TEE_OK;
}


void
tee_replay_usage(const tee_replay_t *set, uint64_t now, uint64_t *used,
    uint64_t *room)
{
    *used = set->used[0];
    *room = tee_replay_room(set);

    if (now < set->started || now - set->started < set->window) {
        *used += set->used[1];

    } else if (now - set->started >= 2 * set->window) {
        *used = 0;
    }
}


static tee_replay_page_t *
tee_replay_table(const tee_replay_t *set, uint64_t generation)
{
    uint8_t  *p;

    p = (uint8_t *) (uintptr_t) set + sizeof(tee_replay_t);
    p += (generation & 1) * set->npages * sizeof(tee_replay_page_t);

    return (tee_replay_page_t *) (void *) p;
}


/* Open addressing gets slow when the last slots are taken. */

static uint64_t
tee_replay_room(const tee_replay_t *set)
{
    uint64_t  n;

    n = set->npages * TEE_REPLAY_SLOTS;

    return n - n / 8;
}


static void
tee_replay_rotate(tee_replay_t *set, uint64_t now)
{
    if (now < set->started) {

        /* clocks of processes may differ by a moment, but not by this */

        if (set->started - now > set->window) {
            set->started = now;
        }

        return;
    }

    if (now - set->started >= 2 * set->window) {
        tee_replay_turn(set, now);
        tee_replay_turn(set, now);

    } else if (now - set->started >= set->window) {
        tee_replay_turn(set, set->started + set->window);
    }
}


/* The current generation is the previous one now, and that is forgotten. */

static void
tee_replay_turn(tee_replay_t *set, uint64_t started)
{
    set->generation++;
    set->started = started;
    set->used[1] = set->used[0];
    set->used[0] = 0;
}


/*
 * 1 if there is a member; otherwise, the slot where it belongs, or NULL.
 * Nothing here is secret.
 */

static int
tee_replay_find(const tee_replay_t *set, uint64_t generation,
    const uint8_t member[16], tee_replay_page_t **page, uint8_t **slot)
{
    uint64_t            i, n, place;
    tee_replay_page_t  *table;

    n = set->npages * TEE_REPLAY_SLOTS;
    memcpy(&place, member, 8);
    place %= n;

    table = tee_replay_table(set, generation);

    for (i = 0; i < n; i++, place++) {

        if (place == n) {
            place = 0;
        }

        *page = &table[place / TEE_REPLAY_SLOTS];
        *slot = (*page)->slots[place % TEE_REPLAY_SLOTS];

        if ((*page)->generation != generation) {
            return 0;
        }

        if (memcmp(*slot, member, 16) == 0) {
            return 1;
        }

        if (memcmp(*slot, tee_replay_empty, 16) == 0) {
            return 0;
        }
    }

    *slot = NULL;

    return 0;
}
