
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <stdlib.h>
#include <string.h>

#include <tee_registry_list.h>

#include "sample.h"
#include "unit.h"


#define SEEN_MAX  20000


static tee_registry_list_t  seen_list;


static void
seen_init(void)
{
    tee_registry_rules_t  rules;

    rules = sample_rules();
    tee_registry_init(&seen_list, &rules);

    if (tee_registry_reserve(&seen_list, SEEN_MAX) != TEE_OK) {
        abort();
    }
}


static int
seen_add(const uint8_t id[32])
{
    if (tee_registry_seen_has(&seen_list, id)) {
        return 0;
    }

    memcpy(seen_list.entries[seen_list.n].tee_id, id, 32);
    tee_registry_seen_add(&seen_list);
    seen_list.n++;

    return 1;
}


/* 1 if the order names every entry once, and ids ascend. */

static int
seen_ordered(void)
{
    int        ok;
    uint32_t   i, *order;

    order = malloc((seen_list.n + 1) * sizeof(uint32_t));
    if (order == NULL) {
        abort();
    }

    order[seen_list.n] = 77;
    tee_registry_seen_order(&seen_list, order);

    ok = order[seen_list.n] == 77;

    for (i = 1; i < seen_list.n; i++) {
        ok = ok && memcmp(seen_list.entries[order[i - 1]].tee_id,
                          seen_list.entries[order[i]].tee_id, 32)
                   < 0;
    }

    free(order);

    return ok;
}


int
main(void)
{
    size_t   i, k, wrong;
    uint8_t  id[32];

    seen_init();
    unit_ok(seen_ordered(), "nothing");

    memset(id, 0, 32);
    unit_ok(seen_add(id) && !seen_add(id) && seen_ordered(), "one id");

    wrong = 0;

    for (i = 0; i < 256; i++) {
        memset(id, 0, 32);
        id[i / 8] = (uint8_t) (0x80 >> i % 8);
        wrong += !seen_add(id) || seen_add(id);
    }

    unit_ok(wrong == 0 && seen_list.n == 257 && seen_ordered(),
            "one bit each");
    tee_registry_free(&seen_list);

    /* as deep as it gets */

    seen_init();
    memset(id, 0xff, 32);
    wrong = !seen_add(id);

    for (i = 256; i-- > 0; /* void */ ) {
        memset(id, 0xff, 32);
        id[i / 8] ^= (uint8_t) (0x80 >> i % 8);
        wrong += !seen_add(id);
    }

    unit_ok(wrong == 0 && seen_ordered(), "the greatest depth");
    tee_registry_free(&seen_list);

    seen_init();
    wrong = 0;

    for (i = 0; i < SEEN_MAX - 1; i++) {
        for (k = 0; k < 32; k++) {
            id[k] = (uint8_t) unit_rand();
        }

        if (i % 2) {
            /* near the one before */
            memcpy(id, seen_list.entries[seen_list.n - 1].tee_id, 30);
        }

        wrong += !seen_add(id) && i % 2 == 0;
    }

    unit_ok(wrong == 0 && seen_ordered(), "many, half of them near another");

    wrong = 0;

    for (i = 0; i < seen_list.n; i += 7) {
        memcpy(id, seen_list.entries[i].tee_id, 32);
        wrong += seen_add(id);
    }

    unit_ok(wrong == 0, "all are known");

    tee_registry_seen_rebuild(&seen_list);
    unit_ok(seen_ordered(), "rebuilt");

    seen_list.n = 100;
    tee_registry_seen_rebuild(&seen_list);
    memcpy(id, seen_list.entries[99].tee_id, 32);
    unit_ok(!seen_add(id), "rebuilt for some, the last one");
    memcpy(id, seen_list.entries[101].tee_id, 32);
    unit_ok(seen_add(id) && seen_ordered(), "and a later one is new");

    tee_registry_free(&seen_list);

    return unit_done();
}
