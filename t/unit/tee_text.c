
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <stdio.h>
#include <string.h>

#include <tee_text.h>

#include "unit.h"


static void
text_hex(void)
{
    int        ch;
    size_t     i, wrong;
    uint8_t    out[8], digits[2];
    tee_str_t  in;

    static const char  good[] = "0123456789abcdefABCDEF";

    in = unit_text("00fFaB");
    unit_ok(tee_hex_decode(in, out) == TEE_OK
            && memcmp(out, "\x00\xff\xab", 3) == 0, "hex of any case");
    unit_ok(tee_hex_decode(unit_text("abc"), out) == TEE_MALFORMED,
            "hex, odd");
    unit_ok(tee_hex_decode(unit_text(""), out) == TEE_OK, "hex, empty");

    in.len = 2;
    in.data = digits;
    wrong = 0;

    for (ch = 0; ch < 256; ch++) {
        for (i = 0; i < 2; i++) {
            digits[0] = '0';
            digits[1] = '0';
            digits[i] = (uint8_t) ch;
            wrong += (tee_hex_decode(in, out) == TEE_OK)
                     != (ch && strchr(good, ch) != NULL);
        }
    }

    unit_ok(wrong == 0, "hex, every character in both places");

    unit_ok(tee_hex_fixed(unit_text("0x0102"), out, 2) == TEE_OK
            && out[1] == 2, "fixed with 0x");
    unit_ok(tee_hex_fixed(unit_text("0102"), out, 2) == TEE_OK,
            "fixed without");
    unit_ok(tee_hex_fixed(unit_text("0X0102"), out, 2) != TEE_OK,
            "fixed with 0X");
    unit_ok(tee_hex_fixed(unit_text("0x01"), out, 2) != TEE_OK,
            "fixed, short");
    unit_ok(tee_hex_fixed(unit_text("0x010203"), out, 2) != TEE_OK,
            "fixed, long");
    unit_ok(tee_hex_fixed(unit_text("0x01021"), out, 2) != TEE_OK,
            "fixed, long by half a byte");
    unit_ok(tee_hex_fixed(unit_text("0x"), out, 0) == TEE_OK,
            "fixed, empty");
}


static void
text_base64(void)
{
    size_t     i, len;
    uint8_t    out[16];
    tee_str_t  in;

    static const struct {
        const char  *in;
        const char  *out;
    } cases[] = {
        { "", "" }, { "Zg==", "f" }, { "Zm8=", "fo" }, { "Zm9v", "foo" },
        { "Zm9vYg==", "foob" }, { "/+++", "\xff\xef\xbe" },
        { "Zh==", NULL }, { "Zm9=", NULL }, { "Zg=", NULL }, { "Zg", NULL },
        { "Zg==Zg==", NULL }, { "Z===", NULL }, { "====", NULL },
        { "Zm9v\n", NULL }, { " Zm9", NULL }, { "Zm=v", NULL },
        { "-_--", NULL }, { "Zm9vZ", NULL }, { "Zm8=Zm9v", NULL },
        { "Zg=v", NULL }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        in = unit_copy(cases[i].in, strlen(cases[i].in));

        if (cases[i].out) {
            unit_ok(tee_base64_decode(in, out, &len) == TEE_OK
                    && len == strlen(cases[i].out)
                    && memcmp(out, cases[i].out, len) == 0,
                    "base64 %s", cases[i].in);

        } else {
            unit_ok(tee_base64_decode(in, out, &len) == TEE_MALFORMED,
                    "base64, number %u refused", (unsigned) i);
        }

        unit_free(in);
    }
}


static void
text_numbers(void)
{
    size_t     i, len;
    uint8_t    n[32], m[32], text[TEE_U256_DIGITS];
    uint64_t   v;
    tee_str_t  s;

    static const char  max[] = "115792089237316195423570985008687907853"
                               "269984665640564039457584007913129639935";
    static const char  over[] = "115792089237316195423570985008687907853"
                                "269984665640564039457584007913129639936";

    unit_ok(tee_decimal(unit_text("0"), 9, &v) == TEE_OK && v == 0, "0");
    unit_ok(tee_decimal(unit_text("65535"), 65535, &v) == TEE_OK
            && v == 65535, "the most");
    unit_ok(tee_decimal(unit_text("65536"), 65535, &v) == TEE_LIMIT
            && v == 0, "one more");
    unit_ok(tee_decimal(unit_text("18446744073709551615"), UINT64_MAX, &v)
            == TEE_OK && v == UINT64_MAX, "2^64 - 1");
    unit_ok(tee_decimal(unit_text("18446744073709551616"), UINT64_MAX, &v)
            == TEE_LIMIT, "2^64");
    unit_ok(tee_decimal(unit_text("99999999999999999999999"), UINT64_MAX, &v)
            == TEE_LIMIT, "far over 2^64");
    unit_ok(tee_decimal(unit_text("5"), 4, &v) == TEE_LIMIT, "5 of 4");
    unit_ok(tee_decimal(unit_text(""), 9, &v) == TEE_MALFORMED, "empty");
    unit_ok(tee_decimal(unit_text("01"), 9, &v) == TEE_MALFORMED,
            "leading zero");
    unit_ok(tee_decimal(unit_text("-1"), 9, &v) == TEE_MALFORMED, "minus");
    unit_ok(tee_decimal(unit_text("1 "), 99, &v) == TEE_MALFORMED, "blank");
    unit_ok(tee_decimal(unit_text("1:"), 99, &v) == TEE_MALFORMED, "colon");
    unit_ok(tee_decimal(unit_text("1/"), 99, &v) == TEE_MALFORMED, "slash");

    memset(n, 0xff, 32);
    len = tee_u256_text(n, text);
    s.len = len;
    s.data = text;
    unit_ok(unit_is(s, max), "2^256 - 1 in decimal");
    unit_ok(tee_u256_parse(s, m) == TEE_OK && memcmp(n, m, 32) == 0,
            "2^256 - 1, read");
    unit_ok(tee_u256_parse(unit_text(over), m) == TEE_LIMIT, "2^256");
    unit_ok(tee_u256_saturate(n) == UINT64_MAX, "2^256 - 1 saturates");

    memset(n, 0, 32);
    len = tee_u256_text(n, text);
    unit_ok(len == 1 && text[0] == '0', "0 in decimal");

    for (i = 0; i < 32; i++) {
        memset(n, 0, 32);
        n[i] = 1;
        s.len = tee_u256_text(n, text);

        if (tee_u256_parse(s, m) != TEE_OK || memcmp(n, m, 32) != 0) {
            break;
        }

        v = tee_u256_saturate(n);

        if (v != (i < 24 ? UINT64_MAX : (uint64_t) 1 << 8 * (31 - i))) {
            break;
        }
    }

    unit_ok(i == 32, "powers of 256 there and back");
    unit_ok(tee_u256_parse(unit_text("01"), m) == TEE_MALFORMED,
            "uint256, leading zero");
    unit_ok(tee_u256_parse(unit_text(""), m) == TEE_MALFORMED,
            "uint256, empty");
    unit_ok(tee_u256_parse(unit_text("1x"), m) == TEE_MALFORMED,
            "uint256, letter");
}


static void
text_utf8(void)
{
    size_t     i;
    tee_str_t  in;

    static const struct {
        const char  *in;
        int          valid;
    } cases[] = {
        { "", 1 }, { "abc", 1 }, { "\xc2\x80", 1 }, { "\xdf\xbf", 1 },
        { "\xe0\xa0\x80", 1 }, { "\xed\x9f\xbf", 1 }, { "\xee\x80\x80", 1 },
        { "\xef\xbf\xbf", 1 }, { "\xf0\x90\x80\x80", 1 },
        { "\xf4\x8f\xbf\xbf", 1 },
        { "\x80", 0 }, { "\xbf", 0 }, { "\xc0\x80", 0 }, { "\xc1\xbf", 0 },
        { "\xc2", 0 }, { "\xc2\x41", 0 }, { "\xc2\xc0", 0 },
        { "\xe0\x9f\xbf", 0 }, { "\xed\xa0\x80", 0 }, { "\xed\xbf\xbf", 0 },
        { "\xe1\x80", 0 }, { "\xe1\x80\x41", 0 }, { "\xf0\x8f\xbf\xbf", 0 },
        { "\xf4\x90\x80\x80", 0 }, { "\xf5\x80\x80\x80", 0 },
        { "\xf1\x80\x80", 0 }, { "\xff", 0 }, { "a\xfe", 0 }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        in = unit_copy(cases[i].in, strlen(cases[i].in));
        unit_ok(tee_utf8_valid(in) == cases[i].valid, "UTF-8, number %u",
                (unsigned) i);
        unit_free(in);
    }
}


static void
text_tokens(void)
{
    unsigned   ch, wrong;
    uint8_t    byte;
    tee_str_t  s;

    static const char  chars[] =
        "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
        "abcdefghijklmnopqrstuvwxyz";

    wrong = 0;

    for (ch = 0; ch < 256; ch++) {
        byte = (uint8_t) ch;
        s.len = 1;
        s.data = &byte;

        wrong += tee_token_char(byte) != (ch && strchr(chars, (int) ch));
        wrong += tee_token_valid(s) != tee_token_char(byte);
    }

    unit_ok(wrong == 0, "characters of a token");
    unit_ok(tee_token_valid(unit_text(chars)), "a token");
    unit_ok(!tee_token_valid(unit_text("")), "no token");
    unit_ok(!tee_token_valid(unit_text("abc ")), "a blank at the end");
}


int
main(void)
{
    text_hex();
    text_base64();
    text_numbers();
    text_utf8();
    text_tokens();

    unit_ok(tee_text_is(unit_text("abc"), "abc"), "the same text");
    unit_ok(!tee_text_is(unit_text("abc"), "abd"), "another text");
    unit_ok(!tee_text_is(unit_text("abc"), "ab"), "a shorter text");
    unit_ok(tee_text_is(unit_text(""), ""), "no text");
    unit_ok(tee_text_is_nocase(unit_text("aZ[z"), "Az[Z"), "another case");
    unit_ok(!tee_text_is_nocase(unit_text("{"), "["), "letters only");
    unit_ok(!tee_text_is_nocase(unit_text("abc"), "abcd"), "a longer text");

    return unit_done();
}
