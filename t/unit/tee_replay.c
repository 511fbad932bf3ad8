
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <stdlib.h>
#include <string.h>

#include <tee_replay.h>

#include "unit.h"


/* On the heap with the exact length, and full of rubbish at first. */

static tee_replay_t *
replay_new(size_t size, uint64_t window, uint64_t now)
{
    void     *mem;
    uint8_t   key[32];

    mem = malloc(size);
    if (mem == NULL) {
        abort();
    }

    memset(mem, 0xa5, size);
    memset(key, 7, sizeof(key));

    if (tee_replay_init(mem, size, window, key, now) != TEE_OK) {
        abort();
    }

    return mem;
}


static void
replay_member(uint8_t member[16], uint64_t n)
{
    size_t  i;

    n = (n + 1) * UINT64_C(0x9e3779b97f4a7c15);

    for (i = 0; i < 16; i++) {
        member[i] = (uint8_t) (n >> 8 * (i % 8));
    }

    member[15] ^= 0x55;
}


static tee_rc_t
replay_add(tee_replay_t *set, uint64_t n, uint64_t now)
{
    uint8_t   member[16];
    uint64_t  evicted;

    replay_member(member, n);

    return tee_replay_add(set, member, now, 0, &evicted);
}


static void
replay_sizes(void)
{
    size_t     size;
    uint8_t    key[32];
    unsigned   wrong;
    uint64_t   used, room;
    uint64_t   mem[TEE_REPLAY_MIN / 8];
    tee_replay_t  *set;

    memset(key, 7, sizeof(key));

    unit_ok(tee_replay_init(mem, TEE_REPLAY_MIN - 1, 60, key, 0) == TEE_LIMIT,
            "one byte too small");
    unit_ok(tee_replay_init(mem, TEE_REPLAY_MIN, 60, key, 0) == TEE_OK,
            "the least");

    wrong = 0;

    for (size = TEE_REPLAY_MIN; size < TEE_REPLAY_MIN + 2048; size += 8) {
        set = replay_new(size, 60, 1000);
        tee_replay_usage(set, 1000, &used, &room);
        wrong += used != 0 || room < 60 || room > size / 32;
        wrong += replay_add(set, 1, 1000) != TEE_OK;
        free(set);
    }

    unit_ok(wrong == 0, "any size");

    set = replay_new(16 * 1024 * 1024, 300, 0);
    tee_replay_usage(set, 0, &used, &room);
    unit_ok(room > 440000 && room < 460000, "16 megabytes are for %u a window",
            (unsigned) room);
    free(set);
}


static void
replay_windows(void)
{
    size_t         i;
    uint64_t       used, room;
    tee_replay_t  *set;

    static const struct {
        const char  *name;
        uint64_t     n;
        uint64_t     now;
        tee_rc_t     rc;
        uint64_t     used;
    } steps[] = {
        { "the first", 1, 1000, TEE_OK, 1 },
        { "its replay", 1, 1000, TEE_DONE, 1 },
        { "another", 2, 1059, TEE_OK, 2 },
        { "a replay at the end of its window", 1, 1059, TEE_DONE, 2 },
        { "the next generation", 3, 1060, TEE_OK, 3 },
        { "a replay from the one before", 2, 1060, TEE_DONE, 3 },
        { "a window after the second", 2, 1119, TEE_DONE, 3 },
        { "and then it has gone", 2, 1120, TEE_OK, 2 },
        { "not the third", 3, 1121, TEE_DONE, 2 },
        { "nor after a while", 2, 1200, TEE_DONE, 1 },
        { "a long time after", 2, 100000, TEE_OK, 1 },
        { "which leaves nothing", 3, 100000, TEE_OK, 2 },
        { "a clock a moment back", 4, 99999, TEE_OK, 3 },
        { "does not forget", 3, 99940, TEE_DONE, 3 },
        { "nor one a year back", 3, 5000, TEE_DONE, 3 },
        { "for a window from then on", 3, 5060, TEE_DONE, 3 },
        { "but not forever", 3, 5120, TEE_OK, 1 }
    };

    set = replay_new(8192, 60, 1000);

    for (i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        unit_ok(replay_add(set, steps[i].n, steps[i].now) == steps[i].rc,
                "%s", steps[i].name);
        tee_replay_usage(set, steps[i].now, &used, &room);
        unit_ok(used == steps[i].used, "%s, usage", steps[i].name);
    }

    tee_replay_usage(set, 5180, &used, &room);
    unit_ok(used == 1, "a window later, it is still there");
    tee_replay_usage(set, 5240, &used, &room);
    unit_ok(used == 0, "after two, it is not counted");

    free(set);
}


static void
replay_full(void)
{
    uint8_t        member[16];
    uint64_t       n, used, room, evicted;
    unsigned       wrong;
    tee_replay_t  *set;

    set = replay_new(TEE_REPLAY_MIN, 60, 1000);
    tee_replay_usage(set, 1000, &used, &room);

    wrong = 0;

    for (n = 0; n < room; n++) {
        wrong += replay_add(set, n, 1000) != TEE_OK;
    }

    unit_ok(wrong == 0, "as many as there is room for");
    unit_ok(replay_add(set, n, 1000) == TEE_LIMIT, "and no more");

    for (n = 0; n < room; n++) {
        wrong += replay_add(set, n, 1000) != TEE_DONE;
    }

    unit_ok(wrong == 0, "a replay is told when it is full, too");
    unit_ok(replay_add(set, room, 1060) == TEE_OK,
            "there is room in the next generation");

    for (n = 0; n < room; n++) {
        wrong += replay_add(set, n, 1060) != TEE_DONE;
    }

    unit_ok(wrong == 0, "which has forgotten nothing");

    /* evicting: what is added stays until room others have come */

    for (n = room + 1; n < 2 * room; n++) {
        wrong += replay_add(set, n, 1060) != TEE_OK;
    }

    unit_ok(wrong == 0, "until that is full");

    replay_member(member, n);
    unit_ok(tee_replay_add(set, member, 1060, 1, &evicted) == TEE_OK
            && evicted == room, "the oldest are forgotten");

    for (n = room; n <= 2 * room; n++) {
        wrong += replay_add(set, n, 1060) != TEE_DONE;
    }

    unit_ok(wrong == 0, "and no others");
    unit_ok(replay_add(set, 0, 1060) == TEE_OK, "these may come again");

    for (n = 2 * room + 1; n < 20 * room; n++) {
        replay_member(member, n);
        wrong += tee_replay_add(set, member, 1060, 1, &evicted) != TEE_OK;
        replay_member(member, n - room + 1);
        wrong += tee_replay_add(set, member, 1060, 1, &evicted) != TEE_DONE;
    }

    unit_ok(wrong == 0, "for as many as fit, the newest are always there");

    /* an early turn does not make the next one early */

    for ( /* void */ ; evicted == 0; n++) {
        replay_member(member, n);
        wrong += tee_replay_add(set, member, 1119, 1, &evicted) != TEE_OK;
    }

    unit_ok(wrong == 0 && replay_add(set, n - 2, 1178) == TEE_DONE,
            "a generation that began early lasts as long");

    free(set);
}


/* Against a list of what has come when. */

static void
replay_random(void)
{
    size_t         i;
    tee_rc_t       rc;
    uint64_t       now, n, seen[400];
    unsigned       early, late, replays;
    tee_replay_t  *set;

    set = replay_new(TEE_REPLAY_MIN * 8, 50, 1000);
    memset(seen, 0, sizeof(seen));

    now = 1000;
    early = 0;
    late = 0;
    replays = 0;

    for (i = 0; i < 200000; i++) {
        now += unit_rand() % 16 == 0;
        now += unit_rand() % 20000 == 0 ? unit_rand() % 200 : 0;
        n = unit_rand() % 400;

        rc = replay_add(set, n, now);

        if (rc == TEE_OK) {
            early += seen[n] && now - seen[n] <= 50;
            seen[n] = now;

        } else if (rc == TEE_DONE) {
            replays++;
            late += !seen[n] || now - seen[n] >= 100;

        } else {
            late++;
        }
    }

    unit_ok(replays > 100000, "many replays: %u", replays);
    unit_ok(early == 0, "none is forgotten within its window");
    unit_ok(late == 0, "none is kept for two");

    free(set);
}


/* What is read from a file may be anything, but nothing leaves the memory. */

static void
replay_memory(void)
{
    size_t         i, size;
    uint8_t       *p, old, *copy;
    uint64_t       n;
    unsigned       accepted, added;
    tee_replay_t  *set;

    size = TEE_REPLAY_MIN;
    set = replay_new(size, 60, 1000);
    p = (uint8_t *) set;

    unit_ok(tee_replay_valid(set, size, 60), "a set");
    unit_ok(!tee_replay_valid(set, size, 61), "of another window");
    unit_ok(!tee_replay_valid(set, size - 8, 60), "of another size");
    unit_ok(!tee_replay_valid(set, 8, 60), "too small");

    copy = calloc(1, size);
    if (copy == NULL) {
        abort();
    }

    unit_ok(!tee_replay_valid(copy, size, 60), "zeroes");

    /* two addresses of one memory, as two processes have */

    unit_ok(replay_add(set, 1, 1000) == TEE_OK, "added here");
    memcpy(copy, set, size);
    unit_ok(tee_replay_valid(copy, size, 60), "valid there");
    unit_ok(replay_add((tee_replay_t *) (void *) copy, 1, 1000) == TEE_DONE,
            "and found");

    accepted = 0;
    added = 0;

    for (i = 0; i < 96; i++) {
        for (n = 0; n < 8; n++) {
            memcpy(copy, p, size);
            old = copy[i];
            copy[i] = (uint8_t) (old ^ 1 << n);

            if (!tee_replay_valid(copy, size, 60)) {
                continue;
            }

            accepted++;
            added += replay_add((tee_replay_t *) (void *) copy, 2, 1000)
                     == TEE_OK;
        }
    }

    /* key, generation, time, counts */

    unit_ok(accepted > 300 && accepted < 500, "%u of 768 mutants are sets",
            accepted);
    unit_ok(added == accepted, "and work");

    for (n = 0; n < 20000; n++) {
        memcpy(copy, p, size);

        for (i = 0; i < 100; i++) {
            copy[96 + unit_rand() % (size - 96)] = (uint8_t) unit_rand();
        }

        (void) replay_add((tee_replay_t *) (void *) copy, n, 1000 + n);
    }

    /* all slots taken, whatever the count says */

    memcpy(copy, p, size);

    for (i = 96; i + 512 <= size; i += 512) {
        memset(copy + i, 0xff, 512);
        memcpy(copy + i, "\2\0\0\0\0\0\0\0", 8);
    }

    unit_ok(replay_add((tee_replay_t *) (void *) copy, 1, 1000) == TEE_LIMIT,
            "a table without an end");

    free(copy);
    free(set);
}


static tee_rc_t
replay_digest(void *ctx)
{
    uint8_t  digest[16];

    return tee_replay_digest(ctx, unit_text("enc"), digest);
}


static void
replay_digests(void)
{
    uint8_t        a[16], b[16], key[32];
    uint64_t       evicted;
    tee_str_t      expected;
    tee_replay_t  *set;

    set = replay_new(TEE_REPLAY_MIN, 60, 0);

    /* sha256(7 * 32, sha256("enc")) */

    expected = unit_hex("7ab28699ee088b3c54929d4e90d0eea6");
    unit_ok(tee_replay_digest(set, unit_text("enc"), a) == TEE_OK
            && unit_equal(expected, a, 16), "a digest");
    unit_free(expected);

    unit_ok(tee_replay_digest(set, unit_text("enC"), b) == TEE_OK
            && memcmp(a, b, 16) != 0, "of something else");

    unit_crypto_oom(replay_digest, set, TEE_OK, "a digest");

    memset(key, 8, sizeof(key));

    unit_ok(tee_replay_init(set, TEE_REPLAY_MIN, 60, key, 0) == TEE_OK
            && tee_replay_digest(set, unit_text("enc"), b) == TEE_OK
            && memcmp(a, b, 16) != 0, "with another key");

    memset(a, 0, 16);
    unit_ok(tee_replay_add(set, a, 0, 0, &evicted) == TEE_OK
            && tee_replay_add(set, a, 0, 0, &evicted) == TEE_DONE,
            "one of zeroes");

    free(set);
}


int
main(void)
{
    unit_crypto_init();

    replay_sizes();
    replay_windows();
    replay_full();
    replay_random();
    replay_memory();
    replay_digests();

    return unit_done();
}
