
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <string.h>

#include <tee_big.h>
#include <tee_float.h>


/*
 * More significant digits than any number halfway between two doubles has
 * (767); of those behind, it matters only whether they are all zeros.
 */

#define TEE_FLOAT_DIGITS    770

#define TEE_FLOAT_MANTISSA  52
#define TEE_FLOAT_BIAS      1023
#define TEE_FLOAT_MIN_EXP   (-1022)
#define TEE_FLOAT_MAX_EXP   1023

/* Decimal exponents that are not worth a calculation, of 0.ddd * 10^n. */

#define TEE_FLOAT_HUGE      310
#define TEE_FLOAT_TINY      (-330)

/* The last exponent that is still counted. */

#define TEE_FLOAT_FAR       ((int64_t) 1 << 40)


/* digits * 10^exp, and a sign */

typedef struct {
    tee_big_t       digits;
    size_t                n;                   /* of digits */
    int64_t               exp;
    uint64_t              sign;

    /* digits not yet in the large number */
    uint32_t              part;
    uint32_t              scale;
    unsigned              rest:1;              /* more digits, not all 0 */
} tee_float_decimal_t;


/* The number, and half the way to its neighbours, over "s". */

typedef struct {
    tee_big_t       r;
    tee_big_t       low;
    tee_big_t       high;
    tee_big_t       s;
    unsigned              even:1;              /* halfway is read as this */
    unsigned              step:1;              /* "high" is not "low" */
    int                   point;               /* 0.ddd * 10^point */
} tee_float_digits_t;


static tee_rc_t tee_float_read(tee_str_t in, tee_float_decimal_t *d);
static void tee_float_digit(tee_float_decimal_t *d, uint8_t ch,
    unsigned fraction);
static uint64_t tee_float_divide(tee_float_decimal_t *d);
static uint64_t tee_float_round(uint64_t q, int64_t exp, unsigned rest);

static void tee_float_scale(tee_float_digits_t *g, uint64_t bits);
static size_t tee_float_shortest(tee_float_digits_t *g, uint8_t *digits);
static void tee_float_next(tee_float_digits_t *g);
static size_t tee_float_carry(uint8_t *digits, size_t n, int *point);
static size_t tee_float_fixed(const uint8_t *digits, size_t n, int point,
    uint8_t *p);
static size_t tee_float_exponent(const uint8_t *digits, size_t n, int point,
    uint8_t *p);


tee_rc_t
tee_float_parse(tee_str_t in, uint64_t *bits)
{
    tee_float_decimal_t  d;

    *bits = 0;

    if (tee_float_read(in, &d) != TEE_OK) {
        return TEE_MALFORMED;
    }

    if (d.digits.n == 0
        || (int64_t) d.n + d.exp < TEE_FLOAT_TINY)
    {
        *bits = d.sign;
        return TEE_OK;
    }

    if ((int64_t) d.n + d.exp > TEE_FLOAT_HUGE) {
        *bits = d.sign | TEE_FLOAT_INFINITY;
        return TEE_OK;
    }

    *bits = d.sign | tee_float_divide(&d);

    return TEE_OK;
}


static tee_rc_t
tee_float_read(tee_str_t in, tee_float_decimal_t *d)
{
    size_t          first;
    int64_t         exp;
    unsigned        minus;
    const uint8_t  *p, *end, *start;

    memset(d, 0, sizeof(tee_float_decimal_t));

    d->scale = 1;

    p = in.data;
    end = p + in.len;

    if (p < end && *p == '-') {
        d->sign = TEE_FLOAT_SIGN;
        p++;
    }

    for (start = p; p < end && *p >= '0' && *p <= '9'; p++) {
        tee_float_digit(d, *p, 0);
    }

    first = (size_t) (p - start);

    if (first == 0 || (first > 1 && *start == '0')) {
        return TEE_MALFORMED;
    }

    if (p < end && *p == '.') {

        for (start = ++p; p < end && *p >= '0' && *p <= '9'; p++) {
            tee_float_digit(d, *p, 1);
        }

        if (p == start) {
            return TEE_MALFORMED;
        }
    }

    if (p < end && (*p == 'e' || *p == 'E')) {
        p++;
        minus = p < end && *p == '-';
        p += p < end && (*p == '-' || *p == '+');
        exp = 0;

        for (start = p; p < end && *p >= '0' && *p <= '9'; p++) {
            exp = exp < TEE_FLOAT_FAR ? exp * 10 + (*p - '0') : exp;
        }

        if (p == start) {
            return TEE_MALFORMED;
        }

        d->exp += minus ? -exp : exp;
    }

    if (p != end) {
        return TEE_MALFORMED;
    }

    if (d->rest) {

        /* any digit but 0 does, and makes no tie of what is none */

        tee_big_mul(&d->digits, d->scale, d->part);
        tee_big_mul(&d->digits, 10, 1);
        d->n++;
        d->exp--;

    } else {
        tee_big_mul(&d->digits, d->scale, d->part);
    }

    return TEE_OK;
}


static void
tee_float_digit(tee_float_decimal_t *d, uint8_t ch, unsigned fraction)
{
    if (d->n == TEE_FLOAT_DIGITS) {
        d->rest |= ch != '0';
        d->exp += !fraction;
        return;
    }

    d->exp -= fraction;

    if (d->n == 0 && ch == '0') {
        return;
    }

    d->n++;
    d->part = d->part * 10 + (uint32_t) (ch - '0');
    d->scale *= 10;

    if (d->scale == 1000000000) {
        tee_big_mul(&d->digits, d->scale, d->part);
        d->part = 0;
        d->scale = 1;
    }
}


/* The 62 or 63 leading bits of the quotient, and whether there are more. */

static uint64_t
tee_float_divide(tee_float_decimal_t *d)
{
    size_t            r_bits, s_bits;
    int64_t           exp;
    uint64_t          q;
    tee_big_t   s, *r;

    r = &d->digits;
    tee_big_set(&s, 1);

    if (d->exp >= 0) {
        tee_big_pow5(r, (size_t) d->exp);

    } else {
        tee_big_pow5(&s, (size_t) -d->exp);
    }

    exp = d->exp;

    /* the divisor gets a full first limb, and the dividend as many bits */

    s_bits = (32 - tee_big_bits(&s) % 32) % 32;
    tee_big_shift(&s, s_bits);
    exp += (int64_t) s_bits;

    r_bits = tee_big_bits(r);
    s_bits = tee_big_bits(&s);

    if (r_bits < s_bits) {
        tee_big_shift(r, s_bits - r_bits);
        exp -= (int64_t) (s_bits - r_bits);

    } else {
        s_bits = (r_bits - s_bits + 31) / 32 * 32;
        tee_big_shift(&s, s_bits);
        exp += (int64_t) s_bits;

        s_bits = tee_big_bits(&s) - r_bits;
        tee_big_shift(r, s_bits);
        exp -= (int64_t) s_bits;
    }

    q = tee_big_div(r, &s);

    tee_big_mul(r, 1U << 31, 0);
    q = q << 31 | tee_big_div(r, &s);

    tee_big_mul(r, 1U << 31, 0);
    q = q << 31 | tee_big_div(r, &s);

    return tee_float_round(q, exp - 62, r->n != 0);
}


/* q * 2^exp, and a little more if there is a rest. */

static uint64_t
tee_float_round(uint64_t q, int64_t exp, unsigned rest)
{
    int       len, drop;
    int64_t   top;
    uint64_t  m, half, tail;

    for (len = 63; q >> (len - 1) == 0; len--) { /* void */ }

    top = exp + len - 1;

    if (top > TEE_FLOAT_MAX_EXP) {
        return TEE_FLOAT_INFINITY;
    }

    if (top < TEE_FLOAT_MIN_EXP - TEE_FLOAT_MANTISSA - 1) {
        return 0;
    }

    drop = len - TEE_FLOAT_MANTISSA - 1;

    if (top < TEE_FLOAT_MIN_EXP) {
        drop += (int) (TEE_FLOAT_MIN_EXP - top);
    }

    m = q >> drop;
    half = 1ULL << (drop - 1);
    tail = q & (2 * half - 1);

    if (tail > half || (tail == half && (rest || (m & 1)))) {
        m++;
    }

    if (top < TEE_FLOAT_MIN_EXP) {
        return m;
    }

    /* the first bit of "m" adds one to the exponent, as a carry does */

    return ((uint64_t) (top + TEE_FLOAT_BIAS - 1) << TEE_FLOAT_MANTISSA) + m;
}


size_t
tee_float_repr(uint64_t bits, uint8_t text[TEE_FLOAT_MAX_LEN])
{
    size_t               n;
    uint8_t             *p, digits[20];
    const char          *word;
    tee_float_digits_t   g;

    p = text;
    word = NULL;

    if ((bits & ~TEE_FLOAT_SIGN) > TEE_FLOAT_INFINITY) {
        memcpy(p, "NaN", 3);
        return 3;
    }

    if (bits & TEE_FLOAT_SIGN) {
        *p++ = '-';
        bits &= ~TEE_FLOAT_SIGN;
    }

    if (bits == TEE_FLOAT_INFINITY) {
        word = "Infinity";

    } else if (bits == 0) {
        word = "0.0";
    }

    if (word) {
        n = strlen(word);
        memcpy(p, word, n);
        return (size_t) (p - text) + n;
    }

    tee_float_scale(&g, bits);
    n = tee_float_shortest(&g, digits);

    if (g.point > 16 || g.point < -3) {
        p += tee_float_exponent(digits, n, g.point, p);

    } else {
        p += tee_float_fixed(digits, n, g.point, p);
    }

    return (size_t) (p - text);
}


/*
 * Steele and White, "How to Print Floating-Point Numbers Accurately": r / s is
 * the number over 10^point, in [0.1, 1) or rounded to it; low / s and high / s
 * are half the distances to the neighbours.
 */

static void
tee_float_scale(tee_float_digits_t *g, uint64_t bits)
{
    int       exp, top, shift;
    size_t    n;
    uint64_t  m;
    unsigned  step;

    exp = (int) (bits >> TEE_FLOAT_MANTISSA);
    m = bits & ((1ULL << TEE_FLOAT_MANTISSA) - 1);
    step = m == 0 && exp > 1;

    if (exp) {
        m |= 1ULL << TEE_FLOAT_MANTISSA;

    } else {
        exp = 1;
    }

    exp -= TEE_FLOAT_BIAS + TEE_FLOAT_MANTISSA;
    g->even = (m & 1) == 0;
    g->step = step != 0;

    for (top = exp - 1, n = 0; m >> n != 0; n++) {
        top++;
    }

    /* log10(2) is 315653 / 2^20, and no power of two is so close to one of
     * ten that it would matter; this is right or one too small */

    g->point = (int) ((((int64_t) top * 315653) + ((int64_t) 2000 << 20)) >> 20)
               - 2000 + 1;

    /* below a power of two, the neighbour is half as far */

    tee_big_set(&g->r, m << (1 + step));
    tee_big_set(&g->low, 1);
    tee_big_set(&g->s, 1);

    if (g->point > 0) {
        tee_big_pow5(&g->s, (size_t) g->point);

    } else {
        tee_big_pow5(&g->r, (size_t) -g->point);
        tee_big_pow5(&g->low, (size_t) -g->point);
    }

    shift = exp - g->point - 1 - (int) step;

    if (shift < 0) {
        tee_big_shift(&g->s, (size_t) -shift);
        shift = 0;
    }

    /* a full first limb for division */

    n = (32 - tee_big_bits(&g->s) % 32) % 32;

    tee_big_shift(&g->s, n);
    tee_big_shift(&g->r, n + (size_t) shift);
    tee_big_shift(&g->low, n + (size_t) shift);

    if (step) {
        g->high = g->low;
        tee_big_shift(&g->high, 1);
    }
}


static size_t
tee_float_shortest(tee_float_digits_t *g, uint8_t *digits)
{
    int         cmp, down, up;
    size_t      n;
    uint32_t    digit;
    tee_big_t  *high;

    high = g->step ? &g->high : &g->low;

    if (tee_big_cmp_sum(&g->r, high, &g->s) >= !g->even) {
        g->point++;

    } else {
        tee_float_next(g);
    }

    n = 0;

    for ( ;; ) {
        digit = tee_big_div(&g->r, &g->s);

        down = tee_big_cmp(&g->r, &g->low) < g->even;
        up = tee_big_cmp_sum(&g->r, high, &g->s) >= !g->even;

        if (down || up) {
            break;
        }

        digits[n++] = (uint8_t) digit;

        tee_float_next(g);
    }

    if (down && up) {

        /* both are read as this number: the nearer one */

        cmp = tee_big_cmp_sum(&g->r, &g->r, &g->s);
        up = cmp > 0 || (cmp == 0 && (digit & 1));
    }

    digits[n++] = (uint8_t) (digit + (uint32_t) up);

    return tee_float_carry(digits, n, &g->point);
}


/* To the next digit. */

static void
tee_float_next(tee_float_digits_t *g)
{
    tee_big_mul(&g->r, 10, 0);
    tee_big_mul(&g->low, 10, 0);

    if (g->step) {
        tee_big_mul(&g->high, 10, 0);
    }
}


/* A last digit that has become 10. */

static size_t
tee_float_carry(uint8_t *digits, size_t n, int *point)
{
    while (n > 1 && digits[n - 1] == 10) {
        n--;
        digits[n - 1]++;
    }

    if (digits[0] == 10) {
        digits[0] = 1;
        (*point)++;
    }

    return n;
}


static size_t
tee_float_fixed(const uint8_t *digits, size_t n, int point, uint8_t *p)
{
    int       i, last;
    uint8_t  *start;

    start = p;

    /* a digit before the point and one behind it, at least */

    i = point > 0 ? 0 : point - 1;
    last = (int) n > point ? (int) n : point + 1;

    for ( /* void */ ; i < last; i++) {

        if (i == point) {
            *p++ = '.';
        }

        *p++ = (uint8_t) ('0' + (i >= 0 && i < (int) n ? digits[i] : 0));
    }

    return (size_t) (p - start);
}


static size_t
tee_float_exponent(const uint8_t *digits, size_t n, int point, uint8_t *p)
{
    int       exp;
    size_t    i;
    uint8_t  *start;

    start = p;

    for (i = 0; i < n; i++) {

        if (i == 1) {
            *p++ = '.';
        }

        *p++ = (uint8_t) ('0' + digits[i]);
    }

    exp = point - 1;

    *p++ = 'e';
    *p++ = exp < 0 ? '-' : '+';

    exp = exp < 0 ? -exp : exp;

    if (exp >= 100) {
        *p++ = (uint8_t) ('0' + exp / 100);
    }

    *p++ = (uint8_t) ('0' + exp / 10 % 10);
    *p++ = (uint8_t) ('0' + exp % 10);

    return (size_t) (p - start);
}
