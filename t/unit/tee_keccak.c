
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <string.h>

#include <tee_keccak.h>

#include "unit.h"


static int
keccak_is(tee_str_t in, const char *hex)
{
    int        ok;
    uint8_t    digest[32];
    tee_str_t  want;

    want = unit_hex(hex);
    tee_keccak256(in, digest);
    ok = unit_equal(want, digest, 32);
    unit_free(want);

    return ok;
}


int
main(void)
{
    size_t        i, k, n, wrong;
    uint8_t       data[500], one[32], many[32];
    tee_str_t     in;
    tee_keccak_t  state;

    unit_ok(keccak_is(unit_text(""), "c5d2460186f7233c927e7db2dcc703c0"
                                     "e500b653ca82273b7bfad8045d85a470"),
            "nothing");
    unit_ok(keccak_is(unit_text("abc"), "4e03657aea45a94fc7d47ba826c8d667"
                                        "c0d1e6e33a64a036ec44f58fa12d6c45"),
            "abc");
    unit_ok(keccak_is(unit_text("The quick brown fox jumps over the lazy dog"),
                      "4d741b6f1eb29cb2a9b9911c82f56fa8"
                      "d73b04959d3d9d222895df6c0b28aa15"), "the fox");

    for (i = 0; i < sizeof(data); i++) {
        data[i] = (uint8_t) unit_rand();
    }

    wrong = 0;

    for (n = 0; n < sizeof(data); n++) {
        in = unit_copy(data, n);
        tee_keccak256(in, one);

        tee_keccak_init(&state);

        for (i = 0; i < n; i += k) {
            k = unit_rand() % 150;
            k = k > n - i ? n - i : k;
            tee_keccak_update(&state, in.data + i, k);
        }

        tee_keccak_final(&state, many);
        wrong += memcmp(one, many, 32) != 0;
        unit_free(in);
    }

    unit_ok(wrong == 0, "every length to 499, in random pieces");

    /* the state does not stay behind */

    wrong = 0;

    for (i = 0; i < sizeof(state); i++) {
        wrong += ((uint8_t *) &state)[i] != 0;
    }

    unit_ok(wrong == 0, "wiped at the end");

    return unit_done();
}
