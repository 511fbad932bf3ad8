
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <string.h>

#include <tee_arena.h>

#include "unit.h"


static tee_rc_t
arena_fill(void *ctx)
{
    size_t       i;
    tee_rc_t     rc;
    tee_str_t    out;
    tee_arena_t  a;

    (void) ctx;

    tee_arena_init(&a, &unit_alloc);

    rc = TEE_OK;

    for (i = 0; i < 40 && rc == TEE_OK; i++) {
        rc = tee_arena_copy(&a, unit_text("some text to be copied"), &out);

        if (rc == TEE_OK && tee_arena_alloc(&a, i * 50) == NULL) {
            rc = TEE_NOMEM;
        }
    }

    tee_arena_free(&a);

    return rc;
}


int
main(void)
{
    size_t       i, wrong;
    uint8_t     *p, *pieces[200];
    tee_str_t    out;
    tee_arena_t  a;

    unit_memory_reset(0);
    tee_arena_init(&a, &unit_alloc);

    wrong = 0;

    for (i = 0; i < 200; i++) {
        pieces[i] = tee_arena_alloc(&a, i * 7);
        wrong += pieces[i] == NULL || (uintptr_t) pieces[i] % 16 != 0;
        memset(pieces[i], (int) i, i * 7);
    }

    unit_ok(wrong == 0, "pieces are there, and aligned");

    wrong = 0;

    for (i = 1; i < 200; i++) {
        wrong += pieces[i][0] != i || pieces[i][i * 7 - 1] != i;
    }

    unit_ok(wrong == 0, "no piece is in another one");

    p = tee_arena_alloc(&a, 1000000);
    unit_ok(p != NULL, "a large piece");
    memset(p, 1, 1000000);

    unit_ok(tee_arena_alloc(&a, SIZE_MAX) == NULL, "too large a piece");
    unit_ok(tee_arena_alloc(&a, SIZE_MAX - 20) == NULL, "nearly as large");

    unit_ok(tee_arena_copy(&a, unit_text("abc"), &out) == TEE_OK
            && unit_is(out, "abc"), "a copy");
    unit_ok(tee_arena_copy(&a, unit_text(""), &out) == TEE_OK
            && out.len == 0 && out.data == NULL, "a copy of nothing");

    tee_arena_free(&a);
    unit_ok(unit_memory.live == 0, "all is freed");

    unit_ok(tee_arena_alloc(&a, 1) != NULL, "and used again");
    tee_arena_free(&a);

    unit_oom(arena_fill, NULL, TEE_OK, "arena");

    return unit_done();
}
