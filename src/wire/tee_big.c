
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <string.h>

#include <tee_big.h>


static void tee_big_sub(tee_big_t *a, const tee_big_t *b, uint32_t m);


void
tee_big_set(tee_big_t *b, uint64_t n)
{
    b->limb[0] = (uint32_t) (n & 0xffffffff);
    b->limb[1] = (uint32_t) (n >> 32);
    b->n = b->limb[1] ? 2 : b->limb[0] ? 1 : 0;
}


void
tee_big_mul(tee_big_t *b, uint32_t m, uint32_t add)
{
    size_t    i;
    uint64_t  t;

    t = add;

    for (i = 0; i < b->n; i++) {
        t += (uint64_t) b->limb[i] * m;
        b->limb[i] = (uint32_t) (t & 0xffffffff);
        t >>= 32;
    }

    if (t) {
        b->limb[b->n++] = (uint32_t) t;
    }
}


void
tee_big_pow5(tee_big_t *b, size_t n)
{
    /* 5^13 is the last one below 2^32 */

    for ( /* void */ ; n >= 13; n -= 13) {
        tee_big_mul(b, 1220703125, 0);
    }

    for ( /* void */ ; n > 0; n--) {
        tee_big_mul(b, 5, 0);
    }
}


void
tee_big_shift(tee_big_t *b, size_t n)
{
    size_t  limbs;

    limbs = n / 32;

    if (b->n == 0) {
        return;
    }

    tee_big_mul(b, 1U << n % 32, 0);

    memmove(b->limb + limbs, b->limb, b->n * sizeof(uint32_t));
    memset(b->limb, 0, limbs * sizeof(uint32_t));
    b->n += limbs;
}


size_t
tee_big_bits(const tee_big_t *b)
{
    size_t  n;

    for (n = 0; b->limb[b->n - 1] >> n != 0; n++) {
        if (n == 31) {
            return b->n * 32;
        }
    }

    return (b->n - 1) * 32 + n;
}


int
tee_big_cmp(const tee_big_t *a, const tee_big_t *b)
{
    size_t  i;

    if (a->n != b->n) {
        return a->n < b->n ? -1 : 1;
    }

    for (i = a->n; i > 0; i--) {
        if (a->limb[i - 1] != b->limb[i - 1]) {
            return a->limb[i - 1] < b->limb[i - 1] ? -1 : 1;
        }
    }

    return 0;
}


int
tee_big_cmp_sum(const tee_big_t *a, const tee_big_t *b,
    const tee_big_t *c)
{
    size_t            i;
    uint64_t          t;
    tee_big_t   sum;

    /* the first limbs decide, most often */

    if (a->n > c->n || b->n > c->n) {
        return 1;
    }

    t = a->n == c->n ? a->limb[c->n - 1] : 0;
    t += b->n == c->n ? b->limb[c->n - 1] : 0;

    if (t > c->limb[c->n - 1]) {
        return 1;
    }

    if (t + 1 < c->limb[c->n - 1]) {
        return -1;
    }

    t = 0;

    for (i = 0; i < a->n || i < b->n; i++) {
        t += i < a->n ? a->limb[i] : 0;
        t += i < b->n ? b->limb[i] : 0;
        sum.limb[i] = (uint32_t) (t & 0xffffffff);
        t >>= 32;
    }

    sum.n = i;

    if (t) {
        sum.limb[sum.n++] = 1;
    }

    return tee_big_cmp(&sum, c);
}


/* a - b * m, which is not negative */

static void
tee_big_sub(tee_big_t *a, const tee_big_t *b, uint32_t m)
{
    size_t    i;
    uint64_t  t, borrow;

    borrow = 0;

    for (i = 0; i < a->n; i++) {
        t = borrow + (i < b->n ? (uint64_t) b->limb[i] * m : 0);
        borrow = (t >> 32) + ((uint32_t) (t & 0xffffffff) > a->limb[i]);
        a->limb[i] -= (uint32_t) (t & 0xffffffff);
    }

    while (a->n && a->limb[a->n - 1] == 0) {
        a->n--;
    }
}


uint32_t
tee_big_div(tee_big_t *r, const tee_big_t *s)
{
    uint32_t  q;
    uint64_t  top;

    if (r->n < s->n) {
        return 0;
    }

    top = r->limb[s->n - 1];

    if (r->n > s->n) {
        top |= (uint64_t) r->limb[s->n] << 32;
    }

    /* at most two too small */

    q = (uint32_t) (top / ((uint64_t) s->limb[s->n - 1] + 1));

    if (q) {
        tee_big_sub(r, s, q);
    }

    while (tee_big_cmp(r, s) >= 0) {
        tee_big_sub(r, s, 1);
        q++;
    }

    return q;
}
