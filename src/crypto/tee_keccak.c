
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <string.h>

#include <tee_keccak.h>


#define TEE_KECCAK_RATE  136

#define tee_rotl(v, n)   ((v) << (n) | (v) >> (64 - (n)))


static void tee_keccak_absorb(tee_keccak_t *k, const uint8_t *p);
static void tee_keccak_f1600(uint64_t a[25]);
static void tee_keccak_round(const uint64_t a[25], uint64_t e[25],
    uint64_t rc);
static inline void tee_keccak_chi(uint64_t e[5], const uint64_t b[5]);


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
    size_t    round;
    uint64_t  b[25];

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

    for (round = 0; round < 24; round += 2) {
        tee_keccak_round(a, b, rc[round]);
        tee_keccak_round(b, a, rc[round + 1]);
    }

    tee_wipe(b, sizeof(b));
}


/* From "a" to "e"; the five lanes that pi has in a row go through chi. */

static void
tee_keccak_round(const uint64_t a[25], uint64_t e[25], uint64_t rc)
{
    size_t    x;
    uint64_t  b[5], c[5], d[5];

    /* theta */

    for (x = 0; x < 5; x++) {
        c[x] = a[x] ^ a[x + 5] ^ a[x + 10] ^ a[x + 15] ^ a[x + 20];
    }

    d[0] = c[4] ^ tee_rotl(c[1], 1);
    d[1] = c[0] ^ tee_rotl(c[2], 1);
    d[2] = c[1] ^ tee_rotl(c[3], 1);
    d[3] = c[2] ^ tee_rotl(c[4], 1);
    d[4] = c[3] ^ tee_rotl(c[0], 1);

    /* rho, pi, chi, and iota in the first row */

    b[0] = a[0] ^ d[0];
    b[1] = tee_rotl(a[6] ^ d[1], 44);
    b[2] = tee_rotl(a[12] ^ d[2], 43);
    b[3] = tee_rotl(a[18] ^ d[3], 21);
    b[4] = tee_rotl(a[24] ^ d[4], 14);

    tee_keccak_chi(e, b);
    e[0] ^= rc;

    b[0] = tee_rotl(a[3] ^ d[3], 28);
    b[1] = tee_rotl(a[9] ^ d[4], 20);
    b[2] = tee_rotl(a[10] ^ d[0], 3);
    b[3] = tee_rotl(a[16] ^ d[1], 45);
    b[4] = tee_rotl(a[22] ^ d[2], 61);

    tee_keccak_chi(e + 5, b);

    b[0] = tee_rotl(a[1] ^ d[1], 1);
    b[1] = tee_rotl(a[7] ^ d[2], 6);
    b[2] = tee_rotl(a[13] ^ d[3], 25);
    b[3] = tee_rotl(a[19] ^ d[4], 8);
    b[4] = tee_rotl(a[20] ^ d[0], 18);

    tee_keccak_chi(e + 10, b);

    b[0] = tee_rotl(a[4] ^ d[4], 27);
    b[1] = tee_rotl(a[5] ^ d[0], 36);
    b[2] = tee_rotl(a[11] ^ d[1], 10);
    b[3] = tee_rotl(a[17] ^ d[2], 15);
    b[4] = tee_rotl(a[23] ^ d[3], 56);

    tee_keccak_chi(e + 15, b);

    b[0] = tee_rotl(a[2] ^ d[2], 62);
    b[1] = tee_rotl(a[8] ^ d[3], 55);
    b[2] = tee_rotl(a[14] ^ d[4], 39);
    b[3] = tee_rotl(a[15] ^ d[0], 41);
    b[4] = tee_rotl(a[21] ^ d[1], 2);

    tee_keccak_chi(e + 20, b);
}


static inline void
tee_keccak_chi(uint64_t e[5], const uint64_t b[5])
{
    e[0] = b[0] ^ (~b[1] & b[2]);
    e[1] = b[1] ^ (~b[2] & b[3]);
    e[2] = b[2] ^ (~b[3] & b[4]);
    e[3] = b[3] ^ (~b[4] & b[0]);
    e[4] = b[4] ^ (~b[0] & b[1]);
}
