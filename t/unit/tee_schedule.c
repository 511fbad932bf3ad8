
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <string.h>

#include <tee_schedule.h>

#include "unit.h"


static const tee_schedule_t  schedule_week = { 604800, 86400, 604800 };


static void
schedule_checks(void)
{
    size_t  i;

    static const struct {
        const char      *name;
        tee_schedule_t   s;
        tee_rc_t         rc;
    } cases[] = {
        { "a week, a day, a week", { 604800, 86400, 604800 }, TEE_OK },
        { "the shortest", { 1, 0, 0 }, TEE_OK },
        { "no rotation", { 0, 0, 0 }, TEE_LIMIT },
        { "the longest", { UINT64_C(1) << 32, 0, UINT64_C(1) << 32 },
          TEE_OK },
        { "too long", { (UINT64_C(1) << 32) + 1, 0, 0 }, TEE_LIMIT },
        { "accepted for too long", { UINT64_C(1) << 32, 0,
          (UINT64_C(1) << 32) + 1 }, TEE_LIMIT },
        { "announced for all of an epoch", { 10, 10, 0 }, TEE_LIMIT },
        { "nearly all", { 10, 9, 0 }, TEE_OK },
        { "256 keys live", { 10, 0, 2550 }, TEE_OK },
        { "257 keys live", { 10, 0, 2551 }, TEE_LIMIT },
        { "256 keys, one announced", { 10, 5, 2545 }, TEE_OK },
        { "257 keys, one announced", { 10, 5, 2546 }, TEE_LIMIT }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        unit_ok(tee_schedule_check(&cases[i].s) == cases[i].rc, "check, %s",
                cases[i].name);
    }
}


static void
schedule_table(void)
{
    size_t    i;
    uint64_t  first, last, since, until, next;

    /* rotate 100, announce 10, accept 30 */

    static const tee_schedule_t  s = { 100, 10, 30 };

    static const struct {
        uint64_t  now, first, last, since, until, next;
    } cases[] = {
        { 0, 0, 0, 0, 90, 90 },
        { 89, 0, 0, 0, 90, 90 },
        { 90, 0, 1, 90, 100, 100 },
        { 99, 0, 1, 90, 100, 100 },
        { 100, 0, 1, 100, 190, 130 },
        { 129, 0, 1, 100, 190, 130 },
        { 130, 1, 1, 100, 190, 190 },
        { 190, 1, 2, 190, 200, 200 },
        { 200, 1, 2, 200, 290, 230 },
        { 1000000, 9999, 10000, 1000000, 1000090, 1000030 }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        tee_schedule_live(&s, cases[i].now, &first, &last);
        tee_schedule_list(&s, cases[i].now, &since, &until);
        next = tee_schedule_next(&s, cases[i].now);

        unit_ok(first == cases[i].first && last == cases[i].last,
                "at %u, the live epochs", (unsigned) cases[i].now);
        unit_ok(since == cases[i].since && until == cases[i].until,
                "at %u, the list", (unsigned) cases[i].now);
        unit_ok(next == cases[i].next, "at %u, the next change",
                (unsigned) cases[i].now);
    }
}


static void
schedule_states(void)
{
    size_t  i;

    static const tee_schedule_t  s = { 100, 10, 30 };

    static const struct {
        uint64_t         now;
        tee_key_state_t  state;
    } cases[] = {
        { 0, TEE_KEY_DESTROYED },
        { 489, TEE_KEY_DESTROYED },
        { 490, TEE_KEY_ANNOUNCED },
        { 499, TEE_KEY_ANNOUNCED },
        { 500, TEE_KEY_ACTIVE },
        { 599, TEE_KEY_ACTIVE },
        { 600, TEE_KEY_ACCEPTED },
        { 629, TEE_KEY_ACCEPTED },
        { 630, TEE_KEY_DESTROYED },
        { 1000000, TEE_KEY_DESTROYED }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        unit_ok(tee_schedule_state(&s, 5, cases[i].now) == cases[i].state,
                "epoch 5 at %u", (unsigned) cases[i].now);
    }

    unit_ok(tee_schedule_id(0) == 0 && tee_schedule_id(255) == 255
            && tee_schedule_id(256) == 0, "ids");
}


/* Second by second: what the header promises. */

static void
schedule_promises(void)
{
    int              changed;
    size_t           i;
    uint64_t         now, n, first, last, f, l, since, until, next;
    unsigned         wrong_list, wrong_next, wrong_state, wrong_client;
    tee_key_state_t  state;

    static const tee_schedule_t  schedules[] = {
        { 1, 0, 0 }, { 2, 1, 1 }, { 7, 3, 20 }, { 10, 0, 3 }, { 10, 9, 1 },
        { 5, 2, 1000 }
    };

    for (i = 0; i < sizeof(schedules) / sizeof(schedules[0]); i++) {
        wrong_list = 0;
        wrong_next = 0;
        wrong_state = 0;
        wrong_client = 0;

        for (now = 0; now < 2500; now++) {
            tee_schedule_live(&schedules[i], now, &first, &last);
            tee_schedule_list(&schedules[i], now, &since, &until);
            next = tee_schedule_next(&schedules[i], now);

            wrong_list += since > now || until <= now;
            wrong_list += last - first > 255;

            /* nothing changes until next, and something does then */

            for (n = now; n < next; n++) {
                tee_schedule_live(&schedules[i], n, &f, &l);
                wrong_next += f != first || l != last
                              || n / schedules[i].rotate
                                 != now / schedules[i].rotate;
            }

            tee_schedule_live(&schedules[i], next, &f, &l);
            changed = f != first || l != last
                      || next / schedules[i].rotate
                         != now / schedules[i].rotate;
            wrong_next += !changed;

            for (n = first ? first - 1 : 0; n <= last + 1; n++) {
                state = tee_schedule_state(&schedules[i], n, now);
                wrong_state += (state == TEE_KEY_DESTROYED)
                               != (n < first || n > last);
            }

            /* a client that has the list of now uses it until it is stale */

            state = tee_schedule_state(&schedules[i],
                                       now / schedules[i].rotate, until - 1);
            wrong_client += state != TEE_KEY_ACTIVE;
        }

        unit_ok(wrong_list == 0, "schedule %u: the list", (unsigned) i);
        unit_ok(wrong_next == 0, "schedule %u: changes", (unsigned) i);
        unit_ok(wrong_state == 0, "schedule %u: states", (unsigned) i);
        unit_ok(wrong_client == 0, "schedule %u: clients", (unsigned) i);
    }
}


/* Python: hmac.new(seed, label + b"\0" + name + b"\0" + ..., "sha256") */

static void
schedule_material(void)
{
    char       name[256];
    size_t     i;
    uint8_t    seed[4096], ikm[32], other[32];
    tee_str_t  s, n, expected;

    static const struct {
        size_t       len;
        const char  *name;
        uint16_t     kem;
        uint64_t     epoch;
        const char  *ikm;
    } cases[] = {
        { 32, "main", 0x20, UINT64_C(0),
          "4f53fdcd3e0b828b3b3ee2ea152e774c"
          "dfa87e5bb187ed4a89dbce2617dcd626" },
        { 32, "main", 0x20, UINT64_C(1),
          "95dea2d0368618fbe1d26666f7b8f8d7"
          "c3ce4c4e63c58eddcc9d2840f59555e8" },
        { 32, "main", 0x10, UINT64_C(1),
          "cb8cf4d1d44289ba8d50f1bde50348fb"
          "1c009a87d709f3c53815556a3f8582e6" },
        { 32, "og", 0x20, UINT64_C(1),
          "a132f3c33c00d26a1c381b6f6abeabb1"
          "ce1e1fc7978626fe7e591eb3ded8d3ec" },
        { 32, "", 0x20, UINT64_C(1),
          "7598d2095774055ba33cf38d0d02caa9"
          "b6aa5ea46f9ffd8a81a809cf701d0845" },
        { 64, "main", 0x20, UINT64_C(2976),
          "4461ee5652449e6c642e8539480a4fd9"
          "653826acaf0ac325c47c77976319da18" },
        { 65, "main", 0x20, UINT64_C(2976),
          "647bf17dac8b7e3481749bf4604dfb9d"
          "3ef43fd9b934e39ede58c5fb43cea33f" },
        { 4096, "main", 0x647a, UINT64_C(72623859790382856),
          "45dce908048a787ed76e7b35e3efe4a3"
          "0e2cf32a164d32783c0b68085f64c8fd" }
    };

    memset(seed, 0x5a, sizeof(seed));
    s.data = seed;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        s.len = cases[i].len;
        expected = unit_hex(cases[i].ikm);

        unit_ok(tee_schedule_ikm(s, unit_text(cases[i].name), cases[i].kem,
                                 cases[i].epoch, ikm)
                == TEE_OK && unit_equal(expected, ikm, 32),
                "material of a seed of %u bytes", (unsigned) cases[i].len);
        unit_free(expected);
    }

    memset(name, 'n', sizeof(name));
    n.data = (const uint8_t *) name;
    n.len = 255;
    unit_ok(tee_schedule_ikm(s, n, 0x20, 1, ikm) == TEE_OK,
            "the longest name");
    n.len = 254;
    unit_ok(tee_schedule_ikm(s, n, 0x20, 1, other) == TEE_OK
            && memcmp(ikm, other, 32) != 0, "another name");

    n.len = 256;
    memset(other, 0, 32);
    unit_ok(tee_schedule_ikm(s, n, 0x20, 1, ikm) == TEE_LIMIT
            && memcmp(ikm, other, 32) == 0, "a name that is too long");
}


static tee_rc_t
schedule_ikm(void *ctx)
{
    uint8_t    ikm[32];
    tee_str_t  seed;

    (void) ctx;

    seed = unit_text("0123456789012345678901234567890123456789"
                     "0123456789012345678901234567890123456789");

    return tee_schedule_ikm(seed, unit_text("main"), 0x20, 7, ikm);
}


int
main(void)
{
    uint64_t  since, until;

    unit_crypto_init();

    schedule_checks();
    schedule_table();
    schedule_states();
    schedule_promises();
    schedule_material();
    unit_crypto_oom(schedule_ikm, NULL, TEE_OK, "material");

    tee_schedule_list(&schedule_week, 1800000000, &since, &until);
    unit_ok(since == 1799884800 && until == 1800403200, "a week of 2027");

    return unit_done();
}
