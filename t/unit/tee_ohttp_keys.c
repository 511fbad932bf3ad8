
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <string.h>

#include <tee_ohttp_keys.h>

#include "unit.h"


#define PK    "88f3a02e3a9a200991eda6527ba8fb23581d5167920e7eb4ce7d130f6dafdc1c"
#define KEY   "010020" PK "000400010003"               /* 41 bytes */
#define P256  "046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898" \
              "c2964fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837" \
              "bf51f5"


typedef struct {
    const char           *name;
    const char           *hex;
    tee_rc_t              rc;
    size_t                n;
} keys_case_t;


static void
keys_one(void)
{
    size_t           i, wrong;
    tee_rc_t         rc;
    tee_str_t        in, cut;
    tee_ohttp_key_t  key;

    static const keys_case_t  cases[] = {
        { "X25519", KEY, TEE_OK, 4 },
        { "P-256", "ff0010" P256 "000400010001", TEE_OK, 4 },
        { "two suites", "010020" PK "00080001000100010003", TEE_OK, 8 },
        { "no suites", "010020" PK "0000", TEE_MALFORMED, 0 },
        { "half a suite", "010020" PK "00020001", TEE_MALFORMED, 0 },
        { "a suite and a half", "010020" PK "0006000100030001",
          TEE_MALFORMED, 0 },
        { "a byte behind", KEY "00", TEE_MALFORMED, 0 },
        { "more suites than there are", "010020" PK "000800010003",
          TEE_MALFORMED, 0 },
        { "an unknown KEM", "010021" PK "000400010003", TEE_UNSUPPORTED, 0 },
        { "a KEM of the other length", "010010" PK "000400010003",
          TEE_MALFORMED, 0 }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        in = unit_hex(cases[i].hex);
        rc = tee_ohttp_key_parse(in, &key);
        unit_ok(rc == cases[i].rc && key.suites.len == cases[i].n
                && (rc == TEE_OK || (key.id == 0 && key.pk.data == NULL)),
                "key, %s", cases[i].name);
        unit_free(in);
    }

    in = unit_hex(KEY);
    wrong = 0;

    for (i = 0; i < in.len; i++) {
        cut = unit_copy(in.data, i);
        wrong += tee_ohttp_key_parse(cut, &key) != TEE_MALFORMED;
        unit_free(cut);
    }

    unit_ok(wrong == 0, "key, every prefix is refused");

    unit_ok(tee_ohttp_key_parse(in, &key) == TEE_OK && key.id == 1
            && key.kem == TEE_KEM_X25519 && key.pk.data == in.data + 3,
            "key, its members");
    unit_ok(tee_ohttp_key_has(&key, 1, 3) && !tee_ohttp_key_has(&key, 1, 1)
            && !tee_ohttp_key_has(&key, 3, 1)
            && !tee_ohttp_key_has(&key, 2, 3), "key, its pair");
    unit_free(in);

    in = unit_hex("010020" PK "000800030001" "00010003");
    unit_ok(tee_ohttp_key_parse(in, &key) == TEE_OK
            && tee_ohttp_key_has(&key, 1, 3)
            && !tee_ohttp_key_has(&key, 1, 1), "pairs are not mixed up");
    unit_free(in);
}


static void
keys_list(void)
{
    size_t           i, n, wrong;
    tee_rc_t         rc;
    tee_str_t        in, cut;
    tee_ohttp_key_t  keys[3];

    static const keys_case_t  cases[] = {
        { "one", "0029" KEY, TEE_OK, 1 },
        { "two", "0029" KEY "0029020020" PK "000400010003", TEE_OK, 2 },
        { "the same twice", "0029" KEY "0029" KEY, TEE_OK, 1 },
        { "the same id, another KEM", "0029" KEY "004a010010" P256
          "000400010001", TEE_OK, 2 },
        { "an unknown KEM first", "0003010021" "0029" KEY, TEE_OK, 1 },
        { "an unknown KEM last", "0029" KEY "0003010021", TEE_OK, 1 },
        { "an unknown KEM alone", "0003010021", TEE_OK, 0 },
        { "three", "0029" KEY "0029020020" PK "000400010003"
          "0029030020" PK "000400010003", TEE_OK, 3 },
        { "four in a room for three", "0029" KEY "0029020020" PK
          "000400010003" "0029030020" PK "000400010003"
          "0029040020" PK "000400010003", TEE_LIMIT, 0 },
        { "empty", "", TEE_MALFORMED, 0 },
        { "an empty key", "0000", TEE_MALFORMED, 0 },
        { "an empty key first", "0000" "0029" KEY, TEE_MALFORMED, 0 },
        { "half a KEM", "00020100", TEE_MALFORMED, 0 },
        { "a byte behind", "0029" KEY "00", TEE_MALFORMED, 0 },
        { "a length one short", "0028" KEY, TEE_MALFORMED, 0 },
        { "a length one long", "002a" KEY, TEE_MALFORMED, 0 },
        { "a bad key last", "0029" KEY "0025020020" PK "0000",
          TEE_MALFORMED, 0 },
        { "a cut unknown KEM", "0029" KEY "0004010021", TEE_MALFORMED, 0 }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        in = unit_hex(cases[i].hex);
        n = 3;
        rc = tee_ohttp_keys_parse(in, keys, &n);
        unit_ok(rc == cases[i].rc && n == cases[i].n, "list, %s",
                cases[i].name);
        unit_free(in);
    }

    in = unit_hex("0029" KEY "0029020020" PK "000400010003");
    wrong = 0;

    for (i = 0; i < in.len; i++) {
        cut = unit_copy(in.data, i);
        n = 3;
        rc = tee_ohttp_keys_parse(cut, keys, &n);
        wrong += (rc == TEE_OK) != (i == 43) || n != (i == 43);
        unit_free(cut);
    }

    unit_ok(wrong == 0, "list, every prefix but one whole key is refused");
    unit_free(in);

    in.len = TEE_OHTTP_KEYS_MAX_LEN + 1;
    in.data = (const uint8_t *) "";
    n = 3;
    unit_ok(tee_ohttp_keys_parse(in, keys, &n) == TEE_LIMIT && n == 0,
            "list, too long");
}


static void
keys_write(void)
{
    size_t           i;
    uint8_t          buf[256];
    tee_str_t        in;
    tee_write_t      w;
    tee_ohttp_key_t  key;

    static const char *const  cases[] = {
        KEY,
        "ff0010" P256 "000400010001",
        "000020" PK "000c000100010001ffff00030002"
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        in = unit_hex(cases[i]);
        tee_write_fixed(&w, buf, in.len);

        unit_ok(tee_ohttp_key_parse(in, &key) == TEE_OK
                && tee_ohttp_key_len(&key) == in.len, "written, its length");

        tee_ohttp_key_write(&w, &key);
        unit_ok(tee_write_rc(&w) == TEE_OK && unit_equal(in, buf, w.len),
                "written, what was read");
        unit_free(in);
    }
}


static tee_rc_t
keys_usable(void *ctx)
{
    return tee_ohttp_key_usable(ctx);
}


int
main(void)
{
    size_t           i;
    tee_str_t        in;
    tee_ohttp_key_t  key;

    static const struct {
        const char  *name;
        const char  *hex;
        tee_rc_t     rc;
    } cases[] = {
        { "X25519", KEY, TEE_OK },
        { "P-256", "010010" P256 "000400010001", TEE_OK },
        { "a known pair behind an unknown one",
          "010020" PK "00080001001000010002", TEE_OK },
        { "an unknown AEAD", "010020" PK "000400010004", TEE_UNSUPPORTED },
        { "an unknown KDF", "010020" PK "000400020001", TEE_UNSUPPORTED },
        { "export only", "010020" PK "00040001ffff", TEE_UNSUPPORTED },
        { "not a point", "010010" "04" PK PK "000400010001", TEE_CRYPTO },
        { "a compressed point", "010010" "02" PK PK "000400010001",
          TEE_CRYPTO }
    };

    unit_crypto_init();

    keys_one();
    keys_list();
    keys_write();

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        in = unit_hex(cases[i].hex);
        unit_ok(tee_ohttp_key_parse(in, &key) == TEE_OK
                && tee_ohttp_key_usable(&key) == cases[i].rc,
                "usable, %s", cases[i].name);

        if (key.kem == TEE_KEM_P256) {
            unit_crypto_oom(keys_usable, &key, cases[i].rc, cases[i].name);
        }

        unit_free(in);
    }

    return unit_done();
}
