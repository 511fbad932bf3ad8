
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <string.h>

#include <tee_text.h>


#define TEE_TEXT_BAD  0xff


static uint8_t tee_hex_digit(uint8_t ch);
static uint8_t tee_base64_digit(uint8_t ch);
static size_t tee_utf8_len(const uint8_t *p, size_t left);


tee_rc_t
tee_hex_decode(tee_str_t in, uint8_t *out)
{
    size_t   i;
    uint8_t  hi, lo, bad;

    if (in.len % 2 != 0) {
        return TEE_MALFORMED;
    }

    bad = 0;

    for (i = 0; i < in.len; i += 2) {
        hi = tee_hex_digit(in.data[i]);
        lo = tee_hex_digit(in.data[i + 1]);

        bad |= hi | lo;
        out[i / 2] = (uint8_t) (hi << 4 | lo);
    }

    return bad & 0xf0 ? TEE_MALFORMED : TEE_OK;
}


tee_rc_t
tee_hex_fixed(tee_str_t in, uint8_t *out, size_t len)
{
    if (in.len >= 2 && in.data[0] == '0' && in.data[1] == 'x') {
        in.len -= 2;
        in.data += 2;
    }

    if (in.len % 2 != 0 || in.len / 2 != len) {
        return TEE_MALFORMED;
    }

    return tee_hex_decode(in, out);
}


static uint8_t
tee_hex_digit(uint8_t ch)
{
    /* 33 MB of digits come in one answer: a table, without branches */

#define X  TEE_TEXT_BAD

    static const uint8_t  digits[256] = {
        X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X,
        X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X,
        X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X,
        0, 1, 2, 3, 4, 5, 6, 7, 8, 9, X, X, X, X, X, X,
        X, 10, 11, 12, 13, 14, 15, X, X, X, X, X, X, X, X, X,
        X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X,
        X, 10, 11, 12, 13, 14, 15, X, X, X, X, X, X, X, X, X,
        X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X,
        X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X,
        X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X,
        X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X,
        X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X,
        X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X,
        X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X,
        X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X,
        X, X, X, X, X, X, X, X, X, X, X, X, X, X, X, X
    };

#undef X

    return digits[ch];
}


tee_rc_t
tee_base64_decode(tee_str_t in, uint8_t *out, size_t *len)
{
    size_t    i, k, n, pad;
    uint8_t   d, *p;
    uint32_t  bits;

    *len = 0;

    if (in.len % 4 != 0) {
        return TEE_MALFORMED;
    }

    p = out;

    for (i = 0; i < in.len; i += 4) {

        pad = 0;

        if (i + 4 == in.len && in.data[i + 3] == '=') {
            pad = in.data[i + 2] == '=' ? 2 : 1;
        }

        bits = 0;

        for (k = 0; k < 4 - pad; k++) {
            d = tee_base64_digit(in.data[i + k]);

            if (d == TEE_TEXT_BAD) {
                return TEE_MALFORMED;
            }

            bits = bits << 6 | d;
        }

        bits <<= 6 * pad;

        /* RFC 4648, 3.5: pad bits must be zero, or two texts are one value */

        if (bits & ((1U << 8 * pad) - 1)) {
            return TEE_MALFORMED;
        }

        for (n = 0; n < 3 - pad; n++) {
            *p++ = (uint8_t) (bits >> (16 - 8 * n) & 0xff);
        }

        *len += 3 - pad;
    }

    return TEE_OK;
}


static uint8_t
tee_base64_digit(uint8_t ch)
{
#define X  TEE_TEXT_BAD

    /* from '+' to 'z' */

    static const uint8_t  digits[80] = {
        62,  X,  X,  X, 63, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61,  X,
         X,  X,  X,  X,  X,  X,  0,  1,  2,  3,  4,  5,  6,  7,  8,  9,
        10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25,
         X,  X,  X,  X,  X,  X, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35,
        36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51
    };

#undef X

    return ch >= '+' && ch <= 'z' ? digits[ch - '+'] : TEE_TEXT_BAD;
}


tee_rc_t
tee_decimal(tee_str_t in, uint64_t max, uint64_t *n)
{
    size_t    i;
    uint8_t   d;
    uint64_t  v;

    *n = 0;

    if (in.len == 0 || (in.len > 1 && in.data[0] == '0')) {
        return TEE_MALFORMED;
    }

    for (i = 0; i < in.len; i++) {
        if (in.data[i] < '0' || in.data[i] > '9') {
            return TEE_MALFORMED;
        }
    }

    v = 0;

    for (i = 0; i < in.len; i++) {
        d = (uint8_t) (in.data[i] - '0');

        if (d > max || v > (max - d) / 10) {
            return TEE_LIMIT;
        }

        v = v * 10 + d;
    }

    *n = v;

    return TEE_OK;
}


size_t
tee_u256_text(const uint8_t n[32], uint8_t text[TEE_U256_DIGITS])
{
    size_t    i, len;
    uint8_t   digits[TEE_U256_DIGITS];
    uint32_t  word[8], rest;
    uint64_t  v;

    for (i = 0; i < 8; i++) {
        word[i] = (uint32_t) n[i * 4] << 24 | (uint32_t) n[i * 4 + 1] << 16
                  | (uint32_t) n[i * 4 + 2] << 8 | n[i * 4 + 3];
    }

    len = 0;

    do {
        rest = 0;

        for (i = 0; i < 8; i++) {
            v = (uint64_t) rest << 32 | word[i];
            word[i] = (uint32_t) (v / 10);
            rest = (uint32_t) (v % 10);
        }

        digits[len++] = (uint8_t) ('0' + rest);

        rest = 0;

        for (i = 0; i < 8; i++) {
            rest |= word[i];
        }

    } while (rest);

    for (i = 0; i < len; i++) {
        text[i] = digits[len - 1 - i];
    }

    return len;
}


tee_rc_t
tee_u256_parse(tee_str_t in, uint8_t n[32])
{
    size_t    i, k;
    uint32_t  carry;

    memset(n, 0, 32);

    if (in.len == 0 || (in.len > 1 && in.data[0] == '0')) {
        return TEE_MALFORMED;
    }

    for (i = 0; i < in.len; i++) {

        carry = (uint32_t) in.data[i] - '0';

        if (carry > 9) {
            memset(n, 0, 32);
            return TEE_MALFORMED;
        }

        for (k = 32; k-- > 0; /* void */ ) {
            carry += (uint32_t) n[k] * 10;
            n[k] = (uint8_t) (carry & 0xff);
            carry >>= 8;
        }

        if (carry) {
            memset(n, 0, 32);
            return TEE_LIMIT;
        }
    }

    return TEE_OK;
}


uint64_t
tee_u256_saturate(const uint8_t n[32])
{
    size_t    i;
    uint64_t  v;

    v = 0;

    for (i = 0; i < 32; i++) {
        if (v >> 56) {
            return UINT64_MAX;
        }

        v = v << 8 | n[i];
    }

    return v;
}


int
tee_utf8_valid(tee_str_t in)
{
    size_t  i, n;

    i = 0;

    while (i < in.len) {

        if (in.data[i] < 0x80) {
            i++;
            continue;
        }

        n = tee_utf8_len(in.data + i, in.len - i);

        if (n == 0) {
            return 0;
        }

        i += n;
    }

    return 1;
}


/* The length of the sequence that begins with a byte above 0x7f; 0: bad. */

static size_t
tee_utf8_len(const uint8_t *p, size_t left)
{
    size_t    i, n;
    uint32_t  cp, min;

    if (p[0] >= 0xc2 && p[0] <= 0xdf) {
        n = 2;
        min = 0x80;
        cp = p[0] & 0x1fU;

    } else if (p[0] >= 0xe0 && p[0] <= 0xef) {
        n = 3;
        min = 0x800;
        cp = p[0] & 0x0fU;

    } else if (p[0] >= 0xf0 && p[0] <= 0xf4) {
        n = 4;
        min = 0x10000;
        cp = p[0] & 0x07U;

    } else {
        return 0;
    }

    if (n > left) {
        return 0;
    }

    for (i = 1; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            return 0;
        }

        cp = cp << 6 | (p[i] & 0x3fU);
    }

    if (cp < min || cp > 0x10ffff || (cp >= 0xd800 && cp <= 0xdfff)) {
        return 0;
    }

    return n;
}


int
tee_token_char(uint8_t ch)
{
    /* bit n of word m is character 32 * m + n */

    static const uint32_t  chars[8] = {
        0x00000000, 0x03ff6cfa, 0xc7fffffe, 0x57ffffff, 0, 0, 0, 0
    };

    return (int) (chars[ch >> 5] >> (ch & 31) & 1);
}


int
tee_token_valid(tee_str_t in)
{
    size_t  i;

    for (i = 0; i < in.len; i++) {
        if (!tee_token_char(in.data[i])) {
            return 0;
        }
    }

    return in.len != 0;
}


int
tee_text_is(tee_str_t in, const char *text)
{
    size_t  len;

    len = strlen(text);

    return in.len == len && (len == 0 || memcmp(in.data, text, len) == 0);
}


int
tee_text_is_nocase(tee_str_t in, const char *text)
{
    size_t   i;
    uint8_t  a, b;

    if (in.len != strlen(text)) {
        return 0;
    }

    for (i = 0; i < in.len; i++) {
        a = in.data[i];
        b = (uint8_t) text[i];

        if (a >= 'A' && a <= 'Z') {
            a |= 0x20;
        }

        if (b >= 'A' && b <= 'Z') {
            b |= 0x20;
        }

        if (a != b) {
            return 0;
        }
    }

    return 1;
}
