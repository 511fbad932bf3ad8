
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <string.h>

#include <tee_abi_map.h>

#include "unit.h"


#define MAP_WORDS  300


static tee_str_t  map_data;


static tee_rc_t
map_add(tee_abi_map_t *map, size_t at, size_t words)
{
    return tee_abi_map_add(map, map_data.data + at * TEE_ABI_WORD, words);
}


static tee_rc_t
map_tail(tee_abi_map_t *map, size_t at, size_t len)
{
    tee_str_t  s;

    s.len = len;
    s.data = map_data.data + (at + 1) * TEE_ABI_WORD;

    return tee_abi_map_tail(map, s);
}


static tee_rc_t
map_oom(void *ctx)
{
    tee_rc_t       rc;
    tee_abi_map_t  map;

    (void) ctx;

    rc = tee_abi_map_init(&map, map_data, &unit_alloc);

    if (rc == TEE_OK) {
        tee_abi_map_free(&map);
    }

    return rc;
}


/* Against one flag for each word. */

static void
map_model(void)
{
    size_t         i, k, at, len, wrong;
    uint8_t        heads[MAP_WORDS];
    tee_rc_t       want;
    tee_abi_map_t  map;

    wrong = 0;

    for (i = 0; i < 200; i++) {

        memset(heads, 0, MAP_WORDS);

        if (tee_abi_map_init(&map, map_data, &unit_alloc) != TEE_OK) {
            return;
        }

        for (k = 0; k < 20; k++) {
            at = unit_rand() % (MAP_WORDS - 11);

            if (memchr(heads + at, 1, 11)) {
                continue;
            }

            memset(heads + at, 1, 11);
            wrong += map_add(&map, at, 11) != TEE_OK;
        }

        tee_abi_map_seal(&map);

        for (k = 0; k < 200; k++) {
            at = unit_rand() % (MAP_WORDS - 1);
            len = unit_rand() % ((MAP_WORDS - 1 - at) * 32 + 1);
            want = memchr(heads + at, 1, 1 + (len + 31) / 32)
                   ? TEE_MALFORMED : TEE_OK;
            wrong += map_tail(&map, at, len) != want;
        }

        tee_abi_map_free(&map);
    }

    unit_ok(wrong == 0, "as a simple model has it");
}


int
main(void)
{
    tee_abi_map_t  map;

    static const uint8_t  zeros[MAP_WORDS * TEE_ABI_WORD];

    map_data = unit_copy(zeros, sizeof(zeros));

    unit_ok(tee_abi_map_init(&map, map_data, &unit_alloc) == TEE_OK, "map");

    unit_ok(map_add(&map, 0, 2) == TEE_OK, "a head");
    unit_ok(map_add(&map, 10, 11) == TEE_OK, "another head");
    unit_ok(map_add(&map, 21, 7) == TEE_OK, "right behind it");
    unit_ok(map_add(&map, 10, 11) == TEE_OK, "the very same");
    unit_ok(map_add(&map, 10, 10) == TEE_MALFORMED, "the same, shorter");
    unit_ok(map_add(&map, 10, 12) == TEE_MALFORMED, "the same, longer");
    unit_ok(map_add(&map, 10, 18) == TEE_MALFORMED, "two in one");
    unit_ok(map_add(&map, 11, 11) == TEE_MALFORMED, "one word on");
    unit_ok(map_add(&map, 9, 11) == TEE_MALFORMED, "one word back");
    unit_ok(map_add(&map, 15, 2) == TEE_MALFORMED, "inside");
    unit_ok(map_add(&map, 8, 30) == TEE_MALFORMED, "around");
    unit_ok(map_add(&map, 60, 10) == TEE_OK, "across a group");
    unit_ok(map_add(&map, MAP_WORDS - 7, 7) == TEE_OK, "at the end");
    unit_ok(map_add(&map, MAP_WORDS - 7, 7) == TEE_OK, "again at the end");

    tee_abi_map_seal(&map);

    unit_ok(map_tail(&map, 2, 7 * 32) == TEE_OK, "bytes between heads");
    unit_ok(map_tail(&map, 2, 7 * 32 + 1) == TEE_MALFORMED,
            "bytes that run into a head");
    unit_ok(map_tail(&map, 9, 0) == TEE_OK, "no bytes before a head");
    unit_ok(map_tail(&map, 1, 0) == TEE_MALFORMED,
            "no bytes, with a head's word for a length");
    unit_ok(map_tail(&map, 70, (MAP_WORDS - 7 - 71) * 32) == TEE_OK,
            "many bytes");

    tee_abi_map_free(&map);

    map_model();
    unit_oom(map_oom, NULL, TEE_OK, "map");

    unit_free(map_data);

    return unit_done();
}
