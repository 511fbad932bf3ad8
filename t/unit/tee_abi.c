
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <string.h>

#include <tee_abi.h>

#include "unit.h"


#define W(n)  "00000000000000000000000000000000" \
              "000000000000000000000000000000" n
#define FF    "ffffffffffffffffffffffffffffffff" \
              "ffffffffffffffffffffffffffffffff"


static void
abi_words(void)
{
    uint8_t    address[20];
    uint64_t   n;
    tee_abi_t  abi;
    tee_str_t  data;

    data = unit_hex(W("01") W("02") W("ff") FF
                    "0000000000000000000000000000000000000000000000000000"
                    "000000000100"
                    "0000000000000000000000000102030405060708090a0b0c0d0e"
                    "0f1011121314"
                    "0000000000000000000000010102030405060708090a0b0c0d0e"
                    "0f1011121314"
                    "0100000000000000000000000000000000000000000000000000"
                    "000000000001");

    unit_ok(tee_abi_init(&abi, data, 8) == TEE_OK, "a head of 8 words");
    unit_ok(tee_abi_uint(&abi, 0, 1, &n) == TEE_OK && n == 1, "bool 1");
    unit_ok(tee_abi_uint(&abi, 1, 1, &n) == TEE_LIMIT && n == 0, "bool 2");
    unit_ok(tee_abi_uint(&abi, 2, 8, &n) == TEE_OK && n == 255, "uint8 255");
    unit_ok(tee_abi_uint(&abi, 4, 8, &n) == TEE_LIMIT && n == 0,
            "uint8 256");
    unit_ok(tee_abi_uint(&abi, 4, 16, &n) == TEE_OK && n == 256,
            "uint16 256");
    unit_ok(tee_abi_uint(&abi, 3, 63, &n) == TEE_LIMIT, "2^256 - 1");
    unit_ok(tee_abi_uint(&abi, 7, 8, &n) == TEE_LIMIT,
            "1 with a high byte");
    unit_ok(tee_abi_address(&abi, 5, address) == TEE_OK
            && address[0] == 1 && address[19] == 0x14, "address");
    unit_ok(tee_abi_address(&abi, 6, address) == TEE_LIMIT
            && address[0] == 0 && address[19] == 0, "dirty address");

    unit_free(data);
}


static void
abi_init(void)
{
    size_t     i, wrong;
    tee_abi_t  abi;
    tee_str_t  data;

    wrong = 0;

    for (i = 0; i < 32 * 4; i++) {
        static const uint8_t  zeros[128];

        data = unit_copy(zeros, i);
        wrong += (tee_abi_init(&abi, data, 2) == TEE_OK)
                 != (i >= 64 && i % 32 == 0);
        wrong += (i < 64 || i % 32) && (abi.head || abi.data.len);
        unit_free(data);
    }

    unit_ok(wrong == 0, "whole words, and enough of them");
}


typedef struct {
    const char           *name;
    const char           *hex;
    tee_rc_t              rc;
    size_t                len;
} abi_case_t;


static void
abi_bytes(void)
{
    size_t     i;
    tee_rc_t   rc;
    tee_abi_t  abi;
    tee_str_t  data, bytes;

    static const abi_case_t  cases[] = {
        { "empty", W("20") W("00"), TEE_OK, 0 },
        { "three bytes", W("20") W("03") FF, TEE_OK, 3 },
        { "a whole word", W("20") W("20") FF, TEE_OK, 32 },
        { "one byte too many", W("20") W("21") FF, TEE_MALFORMED, 0 },
        { "no padding", W("20") W("01"), TEE_MALFORMED, 0 },
        { "behind a gap", W("40") FF W("01") FF, TEE_OK, 1 },
        { "into the head", W("00") W("00"), TEE_MALFORMED, 0 },
        { "at the end", W("40") W("00"), TEE_MALFORMED, 0 },
        { "behind the end", W("60") W("00"), TEE_MALFORMED, 0 },
        { "unaligned", W("21") W("00") W("00"), TEE_MALFORMED, 0 },
        { "a huge offset", FF W("00"), TEE_MALFORMED, 0 },
        { "a huge length", W("20") FF FF, TEE_MALFORMED, 0 },
        { "a length of 2^64 + 1", W("20")
          "0000000000000000000000000000000000000000000000010000000000000001"
          FF, TEE_MALFORMED, 0 },
        { "an offset of 2^64 + 32",
          "0000000000000000000000000000000000000000000000010000000000000020"
          W("00"), TEE_MALFORMED, 0 },
        { "a length of 2^63", W("20")
          "0000000000000000000000000000000000000000000000008000000000000000"
          FF, TEE_MALFORMED, 0 },
        { "a length of 2^64 - 32", W("20")
          "000000000000000000000000000000000000000000000000ffffffffffffffe0"
          FF, TEE_MALFORMED, 0 }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        data = unit_hex(cases[i].hex);

        rc = tee_abi_init(&abi, data, 1);

        if (rc == TEE_OK) {
            rc = tee_abi_bytes(&abi, 0, &bytes);
        }

        unit_ok(rc == cases[i].rc && bytes.len == cases[i].len,
                "bytes, %s", cases[i].name);
        unit_free(data);
    }
}


static void
abi_array(void)
{
    size_t     i;
    tee_rc_t   rc;
    tee_abi_t  abi, array;
    tee_str_t  data;

    static const abi_case_t  cases[] = {
        { "empty", W("20") W("00"), TEE_OK, 0 },
        { "one", W("20") W("01") FF, TEE_OK, 1 },
        { "two", W("20") W("02") FF FF, TEE_OK, 2 },
        { "two of three", W("20") W("02") FF FF FF, TEE_OK, 2 },
        { "one too many", W("20") W("02") FF, TEE_MALFORMED, 0 },
        { "a huge length", W("20") FF FF, TEE_MALFORMED, 0 },
        { "a length of 2^32", W("20")
          "0000000000000000000000000000000000000000000000000000000100000000"
          FF, TEE_MALFORMED, 0 },
        { "a length of 2^59, times 32 is 0", W("20")
          "0000000000000000000000000000000000000000000000000800000000000000"
          FF, TEE_MALFORMED, 0 },
        { "no length", W("20"), TEE_MALFORMED, 0 },
        { "into the head", W("00") W("00"), TEE_MALFORMED, 0 },
        { "unaligned", W("30") W("00") W("00"), TEE_MALFORMED, 0 }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        data = unit_hex(cases[i].hex);

        rc = tee_abi_init(&abi, data, 1);

        if (rc == TEE_OK) {
            rc = tee_abi_array(&abi, 0, &array);
        }

        unit_ok(rc == cases[i].rc && array.head == cases[i].len,
                "array, %s", cases[i].name);
        unit_free(data);
    }
}


static void
abi_tuple(void)
{
    tee_abi_t  abi, tuple;
    tee_str_t  data, bytes;

    /* a tuple of (uint, bytes) behind one offset */

    data = unit_hex(W("20") W("07") W("40") W("02")
                    "6162000000000000000000000000000000000000000000000000"
                    "000000000000");

    unit_ok(tee_abi_init(&abi, data, 1) == TEE_OK
            && tee_abi_tuple(&abi, 0, 2, &tuple) == TEE_OK
            && tuple.data.data == data.data + 32, "tuple");
    unit_ok(tee_abi_bytes(&tuple, 1, &bytes) == TEE_OK
            && unit_is(bytes, "ab"), "offsets count from the tuple");
    unit_ok(tee_abi_tuple(&abi, 0, 4, &tuple) == TEE_OK,
            "a tuple up to the end");
    unit_ok(tee_abi_tuple(&abi, 0, 5, &tuple) == TEE_MALFORMED
            && tuple.data.len == 0, "a tuple over the end");

    unit_ok(tee_abi_init(&abi, data, 3) == TEE_OK
            && tee_abi_tuple(&abi, 0, 1, &tuple) == TEE_MALFORMED,
            "a tuple in the head");
    unit_free(data);
}


int
main(void)
{
    abi_words();
    abi_init();
    abi_bytes();
    abi_array();
    abi_tuple();

    return unit_done();
}
