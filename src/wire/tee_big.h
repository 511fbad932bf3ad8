
/*
 * Copyright (C) The ngx_http_tee authors
 */


#ifndef TEE_BIG_H_INCLUDED
#define TEE_BIG_H_INCLUDED


#include <tee.h>


/*
 * Natural numbers as large as the conversion of doubles needs them, and no
 * larger: 5^1101, by which 771 digits may have to be divided, has 2557 bits,
 * and its dividend 32 bits more at the most.  Nothing checks for more.
 */

#define TEE_BIG_LIMBS  84


typedef struct {
    size_t                n;
    uint32_t              limb[TEE_BIG_LIMBS]; /* the n-th is not 0 */
} tee_big_t;


void tee_big_set(tee_big_t *b, uint64_t n);

/* b * m + add; m is not 0 */

void tee_big_mul(tee_big_t *b, uint32_t m, uint32_t add);

/* b * 5^n, and b * 2^n */

void tee_big_pow5(tee_big_t *b, size_t n);
void tee_big_shift(tee_big_t *b, size_t n);

/* The length of a number that is not 0. */

size_t tee_big_bits(const tee_big_t *b);

/* a, or a + b, against the last one: less than, equal to, or above 0. */

int tee_big_cmp(const tee_big_t *a, const tee_big_t *b);
int tee_big_cmp_sum(const tee_big_t *a, const tee_big_t *b,
    const tee_big_t *c);

/* The quotient, which is below 2^31; the remainder stays in "r".  The first
 * limb of "s" must have its first bit set. */

uint32_t tee_big_div(tee_big_t *r, const tee_big_t *s);


#endif /* TEE_BIG_H_INCLUDED */
