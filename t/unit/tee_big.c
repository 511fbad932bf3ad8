
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <stdlib.h>
#include <string.h>

#include <openssl/bn.h>

#include <tee_big.h>

#include "unit.h"


/* Large numbers, against those of libcrypto. */

static BIGNUM *
big_bn(const tee_big_t *b)
{
    size_t   i;
    BIGNUM  *bn;

    bn = BN_new();
    if (bn == NULL) {
        abort();
    }

    for (i = b->n; i > 0; i--) {
        if (BN_lshift(bn, bn, 32) != 1
            || BN_add_word(bn, b->limb[i - 1]) != 1)
        {
            abort();
        }
    }

    return bn;
}


/* 1 if both are the same, and there is no limb too many; frees "bn". */

static int
big_same(const tee_big_t *b, BIGNUM *bn)
{
    int      same;
    BIGNUM  *own;

    own = big_bn(b);
    same = BN_cmp(own, bn) == 0 && b->n <= TEE_BIG_LIMBS
           && (b->n == 0 || b->limb[b->n - 1] != 0);

    BN_free(own);
    BN_free(bn);

    return same;
}


static void
big_random(tee_big_t *b, size_t limbs)
{
    b->n = 0;

    while (b->n < limbs) {
        b->limb[b->n++] = unit_rand() % 4 ? unit_rand()
                                          : (uint32_t) -(int) (unit_rand() % 2);
    }

    while (b->n && b->limb[b->n - 1] == 0) {
        b->limb[b->n - 1] = unit_rand();
    }
}


static void
big_set(void)
{
    size_t     i;
    unsigned   good;
    tee_big_t  b;

    static const struct {
        uint64_t  n;
        size_t    limbs;
        size_t    bits;
    } cases[] = {
        { 0, 0, 0 },
        { 1, 1, 1 },
        { 2, 1, 2 },
        { 0x7fffffff, 1, 31 },
        { 0x80000000, 1, 32 },
        { 0xffffffff, 1, 32 },
        { 0x100000000, 2, 33 },
        { 0x1ffffffff, 2, 33 },
        { UINT64_MAX, 2, 64 }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        memset(&b, 0xa5, sizeof(b));
        tee_big_set(&b, cases[i].n);

        good = b.n == cases[i].limbs;
        good = good && (b.n == 0 || tee_big_bits(&b) == cases[i].bits);
        good = good && (b.n < 1 || b.limb[0] == (cases[i].n & 0xffffffff));
        good = good && (b.n < 2 || b.limb[1] == cases[i].n >> 32);

        unit_ok(good, "set, case %u", (unsigned) i);
    }
}


static void
big_arithmetic(void)
{
    size_t     i, n, wrong[4];
    uint32_t   m, add;
    BIGNUM    *bn, *five;
    BN_CTX    *ctx;
    tee_big_t  b;

    ctx = BN_CTX_new();
    five = BN_new();

    if (ctx == NULL || five == NULL) {
        abort();
    }

    memset(wrong, 0, sizeof(wrong));

    for (i = 0; i < 2000; i++) {

        /* at most the 83 limbs that become 84 */

        big_random(&b, unit_rand() % TEE_BIG_LIMBS);
        m = i % 3 ? unit_rand() | 1 : UINT32_MAX;
        add = i % 5 ? unit_rand() : UINT32_MAX;

        bn = big_bn(&b);
        BN_mul_word(bn, m);
        BN_add_word(bn, add);
        tee_big_mul(&b, m, add);
        wrong[0] += !big_same(&b, bn);

        big_random(&b, unit_rand() % 40);
        n = unit_rand() % (TEE_BIG_LIMBS * 32 - 40 * 32 + 1);

        bn = big_bn(&b);
        BN_lshift(bn, bn, (int) n);
        tee_big_shift(&b, n);
        wrong[1] += !big_same(&b, bn);

        big_random(&b, unit_rand() % TEE_BIG_LIMBS + 1);
        bn = big_bn(&b);
        wrong[2] += tee_big_bits(&b) != (size_t) BN_num_bits(bn);
        BN_free(bn);
    }

    for (n = 0; n <= 1101; n++) {
        tee_big_set(&b, 3);
        tee_big_pow5(&b, n);

        bn = BN_new();
        BN_set_word(five, 5);
        BN_set_word(bn, (BN_ULONG) n);

        if (bn == NULL || BN_exp(bn, five, bn, ctx) != 1
            || BN_mul_word(bn, 3) != 1)
        {
            abort();
        }

        wrong[3] += !big_same(&b, bn);
    }

    unit_ok(wrong[0] == 0, "multiplied");
    unit_ok(wrong[1] == 0, "shifted");
    unit_ok(wrong[2] == 0, "bits");
    unit_ok(wrong[3] == 0, "powers of five");

    BN_free(five);
    BN_CTX_free(ctx);
}


/* A number that is close to another one. */

static void
big_near(tee_big_t *b)
{
    size_t  i;

    if (b->n) {
        i = unit_rand() % 2 ? 0 : unit_rand() % b->n;
        b->limb[i] += unit_rand() % 3 - 1;
    }

    while (b->n && b->limb[b->n - 1] == 0) {
        b->n--;
    }
}


static int
big_sign(int n)
{
    return n < 0 ? -1 : n > 0;
}


static void
big_compare(void)
{
    size_t     i, wrong[2], seen[3];
    BIGNUM    *x, *y, *z;
    tee_big_t  a, b, c;

    memset(wrong, 0, sizeof(wrong));
    memset(seen, 0, sizeof(seen));

    for (i = 0; i < 20000; i++) {
        big_random(&a, unit_rand() % 6);
        b = a;

        if (i % 2) {
            big_near(&b);
        }

        x = big_bn(&a);
        y = big_bn(&b);
        wrong[0] += big_sign(tee_big_cmp(&a, &b)) != big_sign(BN_cmp(x, y));
        BN_free(y);

        /* a sum that is c, or close to it */

        big_random(&b, unit_rand() % 6);

        y = big_bn(&b);
        z = BN_new();

        if (z == NULL || BN_add(z, x, y) != 1) {
            abort();
        }

        c.n = 0;

        while (BN_num_bits(z)) {
            c.limb[c.n++] = (uint32_t) BN_mod_word(z, (BN_ULONG) 1 << 32);
            BN_rshift(z, z, 32);
        }

        if (i % 3) {
            big_near(&c);
        }

        BN_free(z);
        z = big_bn(&c);
        BN_add(x, x, y);

        wrong[1] += big_sign(tee_big_cmp_sum(&a, &b, &c))
                    != big_sign(BN_cmp(x, z));
        seen[BN_cmp(x, z) + 1]++;

        BN_free(x);
        BN_free(y);
        BN_free(z);
    }

    unit_ok(wrong[0] == 0, "compared");
    unit_ok(wrong[1] == 0, "sums compared");
    unit_ok(seen[0] > 100 && seen[1] > 100 && seen[2] > 100,
            "of all three kinds");
}


static void
big_divide(void)
{
    size_t     i, wrong;
    BIGNUM    *x, *y, *q, *rem;
    BN_CTX    *ctx;
    uint32_t   n;
    tee_big_t  r, s;

    ctx = BN_CTX_new();
    q = BN_new();
    rem = BN_new();

    if (ctx == NULL || q == NULL || rem == NULL) {
        abort();
    }

    wrong = 0;

    for (i = 0; i < 20000; i++) {

        /* r is below s * 2^31 */

        big_random(&s, unit_rand() % 82 + 1);
        s.limb[s.n - 1] |= 0x80000000;

        if (i % 4 == 0) {

            /* a product, or one less */

            r = s;
            tee_big_mul(&r, unit_rand() >> (1 + unit_rand() % 31) | 1, 0);

            if (i % 8) {
                big_near(&r);
            }

        } else {
            big_random(&r, s.n + unit_rand() % 2);

            if (r.n > s.n) {
                r.limb[r.n - 1] = unit_rand() >> (2 + unit_rand() % 29);

                while (r.n && r.limb[r.n - 1] == 0) {
                    r.n--;
                }
            }
        }

        x = big_bn(&r);
        y = big_bn(&s);

        if (BN_div(q, rem, x, y, ctx) != 1) {
            abort();
        }

        if (BN_num_bits(q) <= 31) {
            n = tee_big_div(&r, &s);

            wrong += n != (uint32_t) BN_get_word(q)
                     || !big_same(&r, BN_dup(rem));
        }

        BN_free(x);
        BN_free(y);
    }

    unit_ok(wrong == 0, "divided");

    BN_free(q);
    BN_free(rem);
    BN_CTX_free(ctx);
}


int
main(void)
{
    big_set();
    big_arithmetic();
    big_compare();
    big_divide();

    return unit_done();
}
