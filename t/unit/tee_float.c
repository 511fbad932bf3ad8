
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <string.h>

#include <tee_float.h>

#include "unit.h"


typedef struct {
    const char           *in;
    const char           *out;
} float_case_t;


static int
float_is(tee_str_t in, const char *want)
{
    uint8_t    text[TEE_FLOAT_MAX_LEN];
    uint64_t   bits;
    tee_rc_t   rc;
    tee_str_t  out;

    rc = tee_float_parse(in, &bits);

    if (rc != TEE_OK) {
        return want == NULL && rc == TEE_MALFORMED && bits == 0;
    }

    out.len = tee_float_repr(bits, text);
    out.data = text;

    return want != NULL && unit_is(out, want);
}


static void
float_table(void)
{
    size_t     i;
    tee_str_t  in;

    static const float_case_t  cases[] = {
        { "0.0", "0.0" }, { "-0.0", "-0.0" }, { "0", "0.0" },
        { "0e99999999999999999999", "0.0" }, { "-0E-5", "-0.0" },
        { "1e0", "1.0" }, { "1E2", "100.0" }, { "0.7", "0.7" },
        { "0.30", "0.3" }, { "1e-7", "1e-07" }, { "0.0001", "0.0001" },
        { "0.00001", "1e-05" }, { "0.00012345", "0.00012345" },
        { "1e15", "1000000000000000.0" }, { "1e16", "1e+16" },
        { "9999999999999998.0", "9999999999999998.0" },
        { "9999999999999999.5", "1e+16" }, { "1234.5678", "1234.5678" },
        { "123456789012345680.0", "1.2345678901234568e+17" },
        { "-123456789e300", "-1.23456789e+308" },
        { "1e22", "1e+22" }, { "1e23", "1e+23" },
        { "9007199254740993.0", "9007199254740992.0" },
        { "9007199254740993.00000000000000000000000000000000000001",
          "9007199254740994.0" },
        { "5e-324", "5e-324" }, { "2.4703282292062327e-324", "0.0" },
        { "2.4703282292062328e-324", "5e-324" }, { "1e-400", "0.0" },
        { "-1e-99999999999999999999", "-0.0" },
        { "2.2250738585072014e-308", "2.2250738585072014e-308" },
        { "2.2250738585072011e-308", "2.225073858507201e-308" },
        { "1.7976931348623157e308", "1.7976931348623157e+308" },
        { "1.7976931348623158e308", "1.7976931348623157e+308" },
        { "1.7976931348623159e308", "Infinity" }, { "-1e400", "-Infinity" },
        { "1e99999999999999999999", "Infinity" },

        /* powers of two: the shortest text is not the nearest of its length */

        { "7.1202363472230444258887447e-307", "7.120236347223045e-307" },
        { "5.684341886080801486968994140625e-14", "5.684341886080802e-14" },

        { "", NULL }, { "-", NULL }, { "1.", NULL }, { ".5", NULL },
        { "01", NULL }, { "-01", NULL }, { "00.5", NULL }, { "+1", NULL },
        { "1e", NULL }, { "1e+", NULL }, { "1e-", NULL }, { "1.e5", NULL },
        { "1e5.0", NULL }, { "0x10", NULL }, { "1 ", NULL }, { " 1", NULL },
        { "--1", NULL }, { "1,5", NULL }, { "NaN", NULL },
        { "Infinity", NULL }, { "1e5e5", NULL }, { "1_0", NULL }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        in = unit_copy(cases[i].in, strlen(cases[i].in));

        unit_ok(float_is(in, cases[i].out), "\"%s\" is %s", cases[i].in,
                cases[i].out ? cases[i].out : "no number");

        unit_free(in);
    }
}


/* 2^53 + 1 is halfway; what stands far behind decides. */

static void
float_long(void)
{
    size_t     len;
    uint8_t    text[2000];
    tee_str_t  in;

    memset(text, '0', sizeof(text));
    memcpy(text, "9007199254740993.", 17);

    for (len = 700; len < 900; len++) {
        in = unit_copy(text, len);

        if (!float_is(in, "9007199254740992.0")) {
            break;
        }

        unit_free(in);
        text[len - 1] = '1';
        in = unit_copy(text, len);

        if (!float_is(in, "9007199254740994.0")) {
            break;
        }

        unit_free(in);
        text[len - 1] = '0';
    }

    unit_ok(len == 900, "digits far behind a tie");

    memset(text, '9', sizeof(text));

    in = unit_copy(text, 308);
    unit_ok(float_is(in, "1e+308"), "308 digits");
    unit_free(in);

    in = unit_copy(text, 309);
    unit_ok(float_is(in, "Infinity"), "309 digits");
    unit_free(in);

    memcpy(text, "0.", 2);
    memcpy(text + sizeof(text) - 5, "e2000", 5);
    in = unit_copy(text, sizeof(text));
    unit_ok(float_is(in, "Infinity"), "2,000 digits, and the exponent");
    unit_free(in);

    memcpy(text + sizeof(text) - 5, "e-300", 5);
    in = unit_copy(text, sizeof(text));
    unit_ok(float_is(in, "1e-300"), "2,000 digits of a small number");
    unit_free(in);

    memset(text, '0', sizeof(text));
    memcpy(text, "0.", 2);
    memcpy(text + sizeof(text) - 6, "7e1992", 6);
    in = unit_copy(text, sizeof(text));
    unit_ok(float_is(in, "0.7"), "a point far to the left");
    unit_free(in);
}


static void
float_bits(void)
{
    size_t     i, bad, longest, len;
    uint8_t    text[TEE_FLOAT_MAX_LEN];
    uint64_t   bits, again;
    tee_str_t  in;

    in.data = text;
    in.len = tee_float_repr(0x7ff8000000000000ULL, text);
    unit_ok(unit_is(in, "NaN"), "not a number");
    in.len = tee_float_repr(0xfff0000000000001ULL, text);
    unit_ok(unit_is(in, "NaN"), "not a number, whatever its sign");

    bad = 0;
    longest = 0;

    for (i = 0; i < 20000; i++) {
        bits = (uint64_t) unit_rand() << 32 | unit_rand();

        if (i % 4 == 0) {

            /* and a power of two, or a neighbour */

            bits = (bits & 0xfff0000000000000ULL) + i % 3 - 1;
        }

        if ((bits & ~TEE_FLOAT_SIGN) >= TEE_FLOAT_INFINITY) {
            continue;
        }

        len = tee_float_repr(bits, text);
        longest = len > longest ? len : longest;

        in = unit_copy(text, len);
        bad += tee_float_parse(in, &again) != TEE_OK || again != bits;
        unit_free(in);
    }

    unit_ok(bad == 0, "what is written is read as the same");
    unit_ok(longest == TEE_FLOAT_MAX_LEN, "the longest text");
}


int
main(void)
{
    float_table();
    float_long();
    float_bits();

    return unit_done();
}
