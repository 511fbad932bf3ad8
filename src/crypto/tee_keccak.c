
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <string.h>

#include <tee_keccak.h>


#define TEE_KECCAK_RATE  136

#define tee_rotl(v, n)   ((v) << (n) | (v) >> (64 - (n)))


static void tee_keccak_absorb(tee_keccak_t *k, const uint8_t *p);
static void tee_keccak_f1600(uint64_t a[25]);


void
tee_keccak_init(tee_keccak_t *k)
{
    memset(k, 0, sizeof(tee_keccak_t));
}


void
tee_keccak_update(tee_keccak_t *k, const void *p, size_t len)
{
    size_t          n;
    const uint8_t  *from;

    from = p;

    while (len) {

        if (k->used == 0 && len >= TEE_KECCAK_RATE) {
            tee_keccak_absorb(k, from);
            from += TEE_KECCAK_RATE;
            len -= TEE_KECCAK_RATE;
            continue;
        }

        n = TEE_KECCAK_RATE - k->used;

        if (n > len) {
            n = len;
        }

        memcpy(k->block + k->used, from, n);
        k->used += n;
        from += n;
        len -= n;

        if (k->used == TEE_KECCAK_RATE) {
            tee_keccak_absorb(k, k->block);
            k->used = 0;
        }
    }
}


void
tee_keccak_final(tee_keccak_t *k, uint8_t digest[32])
{
    size_t  i;

    memset(k->block + k->used, 0, TEE_KECCAK_RATE - k->used);

    /* FIPS 202 would begin with 0x06 */

    k->block[k->used] ^= 0x01;
    k->block[TEE_KECCAK_RATE - 1] ^= 0x80;

    tee_keccak_absorb(k, k->block);

    for (i = 0; i < 32; i++) {
        digest[i] = (uint8_t) (k->a[i / 8] >> 8 * (i % 8) & 0xff);
    }

    tee_wipe(k, sizeof(tee_keccak_t));
}


void
tee_keccak256(tee_str_t in, uint8_t digest[32])
{
    tee_keccak_t  k;

    tee_keccak_init(&k);
    tee_keccak_update(&k, in.data, in.len);
    tee_keccak_final(&k, digest);
}


static void
tee_keccak_absorb(tee_keccak_t *k, const uint8_t *p)
{
    size_t    i, j;
    uint64_t  lane;

    for (i = 0; i < TEE_KECCAK_RATE / 8; i++) {
        lane = 0;

        for (j = 8; j-- > 0; /* void */ ) {
            lane = lane << 8 | p[i * 8 + j];
        }

        k->a[i] ^= lane;
    }

    tee_keccak_f1600(k->a);
}


/* FIPS 202, 3.2 and 3.3; lane (x, y) is a[5 * y + x]. */

static void
tee_keccak_f1600(uint64_t a[25])
{
    size_t    i, x, y, round;
    uint64_t  c[5], d[5], t, lane;

    static const uint64_t  rc[24] = {
        UINT64_C(0x0000000000000001), UINT64_C(0x0000000000008082),
        UINT64_C(0x800000000000808a), UINT64_C(0x8000000080008000),
        UINT64_C(0x000000000000808b), UINT64_C(0x0000000080000001),
        UINT64_C(0x8000000080008081), UINT64_C(0x8000000000008009),
        UINT64_C(0x000000000000008a), UINT64_C(0x0000000000000088),
        UINT64_C(0x0000000080008009), UINT64_C(0x000000008000000a),
        UINT64_C(0x000000008000808b), UINT64_C(0x800000000000008b),
        UINT64_C(0x8000000000008089), UINT64_C(0x8000000000008003),
        UINT64_C(0x8000000000008002), UINT64_C(0x8000000000000080),
        UINT64_C(0x000000000000800a), UINT64_C(0x800000008000000a),
        UINT64_C(0x8000000080008081), UINT64_C(0x8000000000008080),
        UINT64_C(0x0000000080000001), UINT64_C(0x8000000080008008)
    };

    /* the walk of pi through the lanes, and what rho turns each by */

    static const uint8_t  pi[24] = {
        10, 7, 11, 17, 18, 3, 5, 16, 8, 21, 24, 4,
        15, 23, 19, 13, 12, 2, 20, 14, 22, 9, 6, 1
    };

    static const uint8_t  rho[24] = {
        1, 3, 6, 10, 15, 21, 28, 36, 45, 55, 2, 14,
        27, 41, 56, 8, 25, 43, 62, 18, 39, 61, 20, 44
    };

    for (round = 0; round < 24; round++) {

        /* theta */

        for (x = 0; x < 5; x++) {
            c[x] = a[x] ^ a[x + 5] ^ a[x + 10] ^ a[x + 15] ^ a[x + 20];
        }

        d[0] = c[4] ^ tee_rotl(c[1], 1);
        d[1] = c[0] ^ tee_rotl(c[2], 1);
        d[2] = c[1] ^ tee_rotl(c[3], 1);
        d[3] = c[2] ^ tee_rotl(c[4], 1);
        d[4] = c[3] ^ tee_rotl(c[0], 1);

        for (y = 0; y < 25; y += 5) {
            a[y] ^= d[0];
            a[y + 1] ^= d[1];
            a[y + 2] ^= d[2];
            a[y + 3] ^= d[3];
            a[y + 4] ^= d[4];
        }

        /* rho and pi */

        lane = a[1];

        for (i = 0; i < 24; i++) {
            t = a[pi[i]];
            a[pi[i]] = tee_rotl(lane, rho[i]);
            lane = t;
        }

        /* chi */

        for (y = 0; y < 25; y += 5) {
            memcpy(c, a + y, sizeof(c));

            a[y] = c[0] ^ (~c[1] & c[2]);
            a[y + 1] = c[1] ^ (~c[2] & c[3]);
            a[y + 2] = c[2] ^ (~c[3] & c[4]);
            a[y + 3] = c[3] ^ (~c[4] & c[0]);
            a[y + 4] = c[4] ^ (~c[0] & c[1]);
        }

        /* iota */

        a[0] ^= rc[round];
    }
}
