
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <string.h>

#include <openssl/err.h>

#include <tee_aead.h>
#include <tee_hkdf.h>

#include "unit.h"


/* The test cases 2 and 14 of "The Galois/Counter Mode of Operation", and RFC
 * 8439, 2.8.2, whose nonce is the counter 0. */

typedef struct {
    const char           *name;
    uint16_t              id;
    const char           *key;
    const char           *nonce;
    const char           *aad;
    const char           *plain;
    const char           *sealed;
} aead_case_t;


static const aead_case_t  aead_cases[] = {
    { "AES-128-GCM", TEE_AEAD_AES_128_GCM,
      "00000000000000000000000000000000", "000000000000000000000000", "",
      "00000000000000000000000000000000",
      "0388dace60b6a392f328c2b971b2fe78ab6e47d42cec13bdf53a67b21257bddf" },
    { "AES-128-GCM of nothing", TEE_AEAD_AES_128_GCM,
      "00000000000000000000000000000000", "000000000000000000000000", "", "",
      "58e2fccefa7e3061367f1d57a4e7455a" },
    { "AES-256-GCM", TEE_AEAD_AES_256_GCM,
      "00000000000000000000000000000000000000000000000000000000"
      "00000000", "000000000000000000000000", "",
      "00000000000000000000000000000000",
      "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919" },
    { "ChaCha20-Poly1305", TEE_AEAD_CHACHA20,
      "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f",
      "070000004041424344454647", "50515253c0c1c2c3c4c5c6c7",
      "4c616469657320616e642047656e746c656d656e206f662074686520636c6173"
      "73206f66202739393a204966204920636f756c64206f6666657220796f75206f"
      "6e6c79206f6e652074697020666f7220746865206675747572652c2073756e73"
      "637265656e20776f756c642062652069742e",
      "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d6"
      "3dbea45e8ca9671282fafb69da92728b1a71de0a9e060b2905d6a5b67ecd3b36"
      "92ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc"
      "3ff4def08e4b7a9de576d26586cec64b61161ae10b594f09e26a7e902ecbd060"
      "0691" }
};

#define AEAD_CASES  (sizeof(aead_cases) / sizeof(aead_cases[0]))


static tee_rc_t
aead_seal(tee_aead_t *a, tee_str_t aad, tee_str_t in, uint8_t *out)
{
    tee_rc_t  rc;

    rc = tee_aead_begin(a, aad);

    if (rc == TEE_OK) {
        rc = tee_aead_update(a, in, out);
    }

    if (rc == TEE_OK) {
        rc = tee_aead_seal_end(a, out + in.len);
    }

    return rc;
}


static tee_rc_t
aead_open(tee_aead_t *a, tee_str_t aad, tee_str_t in, uint8_t *out)
{
    tee_rc_t   rc;
    tee_str_t  text;

    text.len = in.len - TEE_AEAD_TAG_LEN;
    text.data = in.data;

    rc = tee_aead_begin(a, aad);

    if (rc == TEE_OK) {
        rc = tee_aead_update(a, text, out);
    }

    if (rc == TEE_OK) {
        rc = tee_aead_open_end(a, in.data + text.len);
    }

    return rc;
}


static void
aead_one(tee_crypto_t *crypto, const aead_case_t *c)
{
    size_t      i, wrong;
    uint8_t     buf[256], tag[TEE_AEAD_TAG_LEN];
    tee_str_t   key, nonce, aad, plain, sealed, piece, bad;
    tee_aead_t  a;

    key = unit_hex(c->key);
    nonce = unit_hex(c->nonce);
    aad = unit_hex(c->aad);
    plain = unit_hex(c->plain);
    sealed = unit_hex(c->sealed);

    unit_ok(tee_aead_key_len(c->id) == key.len, "%s, length of a key",
            c->name);

    unit_ok(tee_aead_init(&a, crypto, c->id, key.data, nonce.data, 0) == TEE_OK
            && aead_seal(&a, aad, plain, buf) == TEE_OK
            && unit_equal(sealed, buf, plain.len + TEE_AEAD_TAG_LEN),
            "%s, sealed", c->name);
    tee_aead_free(&a);

    /* byte by byte, in place */

    wrong = tee_aead_init(&a, crypto, c->id, key.data, nonce.data, 0)
            != TEE_OK;
    wrong += tee_aead_begin(&a, aad) != TEE_OK;

    if (plain.len) {
        memcpy(buf, plain.data, plain.len);
    }

    for (i = 0; i < plain.len; i++) {
        piece.len = 1;
        piece.data = buf + i;
        wrong += tee_aead_update(&a, piece, buf + i) != TEE_OK;
    }

    wrong += tee_aead_seal_end(&a, buf + plain.len) != TEE_OK;
    tee_aead_free(&a);

    unit_ok(wrong == 0 && unit_equal(sealed, buf, sealed.len),
            "%s, sealed byte by byte, in place", c->name);

    unit_ok(tee_aead_init(&a, crypto, c->id, key.data, nonce.data, 1) == TEE_OK
            && aead_open(&a, aad, sealed, buf) == TEE_OK
            && unit_equal(plain, buf, plain.len), "%s, opened", c->name);
    tee_aead_free(&a);

    wrong = 0;

    for (i = 0; i < sealed.len * 8; i++) {
        bad = unit_copy(sealed.data, sealed.len);
        ((uint8_t *) (uintptr_t) bad.data)[i / 8] ^= (uint8_t) (1 << i % 8);

        wrong += tee_aead_init(&a, crypto, c->id, key.data, nonce.data, 1)
                 != TEE_OK;
        wrong += aead_open(&a, aad, bad, buf) != TEE_CRYPTO;
        wrong += tee_aead_begin(&a, aad) != TEE_CRYPTO;
        tee_aead_free(&a);
        unit_free(bad);
    }

    unit_ok(wrong == 0, "%s, no other bit opens, and nothing after it",
            c->name);

    wrong = tee_aead_init(&a, crypto, c->id, key.data, nonce.data, 0)
            != TEE_OK;
    wrong += tee_aead_begin(&a, aad) != TEE_OK;
    wrong += tee_aead_open_end(&a, sealed.data) != TEE_LIMIT;
    memset(tag, 0xff, sizeof(tag));
    wrong += tee_aead_seal_end(&a, tag) != TEE_LIMIT;
    wrong += tag[0] != 0 || tag[TEE_AEAD_TAG_LEN - 1] != 0;
    tee_aead_free(&a);

    unit_ok(wrong == 0, "%s, what seals does not open", c->name);

    unit_free(key);
    unit_free(nonce);
    unit_free(aad);
    unit_free(plain);
    unit_free(sealed);
}


static void
aead_counter(tee_crypto_t *crypto)
{
    size_t      i, n, wrong;
    uint8_t     key[16], nonce[TEE_AEAD_NONCE_LEN], moved[TEE_AEAD_NONCE_LEN];
    uint8_t     one[32], two[32];
    tee_str_t   text;
    tee_aead_t  a, b;

    static const uint64_t   seqs[] = { 1, 2, 255, 256, 257, 65535, 65536,
                                       UINT64_C(0x0123456789abcdef),
                                       UINT64_MAX - 1 };
    static const tee_str_t  none = { 0, NULL };

    memset(key, 1, sizeof(key));
    memset(nonce, 0xa5, sizeof(nonce));
    text = unit_text("0123456789abcdef");

    wrong = 0;

    for (i = 0; i < sizeof(seqs) / sizeof(seqs[0]); i++) {
        memcpy(moved, nonce, sizeof(nonce));

        for (n = 0; n < 8; n++) {
            moved[11 - n] ^= (uint8_t) (seqs[i] >> 8 * n & 0xff);
        }

        wrong += tee_aead_init(&a, crypto, 1, key, nonce, 0) != TEE_OK;
        wrong += tee_aead_init(&b, crypto, 1, key, moved, 0) != TEE_OK;

        a.seq = seqs[i];

        wrong += aead_seal(&a, none, text, one) != TEE_OK;
        wrong += aead_seal(&b, none, text, two) != TEE_OK;
        wrong += memcmp(one, two, sizeof(one)) != 0;

        tee_aead_free(&a);
        tee_aead_free(&b);
    }

    unit_ok(wrong == 0, "the nonce is XORed with the counter");

    wrong = tee_aead_init(&a, crypto, 1, key, nonce, 0) != TEE_OK;
    wrong += aead_seal(&a, none, text, one) != TEE_OK;
    wrong += aead_seal(&a, none, text, two) != TEE_OK;
    wrong += memcmp(one, two, 16) == 0;

    unit_ok(wrong == 0, "no two messages have the same nonce");

    a.seq = UINT64_MAX - 1;
    unit_ok(aead_seal(&a, none, text, one) == TEE_OK
            && aead_seal(&a, none, text, one) == TEE_LIMIT
            && aead_seal(&a, none, text, one) == TEE_LIMIT,
            "the counter does not begin again");
    tee_aead_free(&a);
}


static void
aead_order(tee_crypto_t *crypto)
{
    uint8_t     key[32], nonce[TEE_AEAD_NONCE_LEN], tag[TEE_AEAD_TAG_LEN];
    uint8_t     buf[16];
    tee_str_t   text;
    tee_aead_t  a;

    static const tee_str_t  none = { 0, NULL };

    memset(key, 1, sizeof(key));
    memset(nonce, 2, sizeof(nonce));
    text = unit_text("0123456789abcdef");

    unit_ok(tee_aead_init(&a, crypto, 3, key, nonce, 0) == TEE_OK
            && tee_aead_begin(&a, none) == TEE_OK
            && tee_aead_begin(&a, none) == TEE_LIMIT
            && tee_aead_update(&a, text, buf) == TEE_LIMIT
            && tee_aead_seal_end(&a, tag) == TEE_LIMIT,
            "no second message within one");
    tee_aead_free(&a);

    unit_ok(tee_aead_init(&a, crypto, 3, key, nonce, 0) == TEE_OK
            && tee_aead_update(&a, text, buf) == TEE_LIMIT,
            "nothing before the beginning");
    tee_aead_free(&a);

    unit_ok(tee_aead_init(&a, crypto, 3, key, nonce, 0) == TEE_OK
            && tee_aead_begin(&a, none) == TEE_OK
            && tee_aead_seal_end(&a, tag) == TEE_OK
            && tee_aead_seal_end(&a, tag) == TEE_LIMIT, "no second end");
    tee_aead_free(&a);

    unit_ok(tee_aead_init(&a, crypto, 1, key, nonce, 1) == TEE_OK
            && tee_aead_begin(&a, none) == TEE_OK
            && tee_aead_seal_end(&a, tag) == TEE_LIMIT,
            "what opens does not seal");
    tee_aead_free(&a);

    unit_ok(tee_aead_init(&a, crypto, 1, key, nonce, 0) == TEE_OK
            && tee_aead_begin(&a, none) == TEE_OK, "a message is begun");
    a.left = 15;
    unit_ok(tee_aead_update(&a, text, buf) == TEE_LIMIT,
            "no more than the algorithm allows");
    tee_aead_free(&a);
    tee_aead_free(&a);

    unit_ok(tee_aead_begin(&a, none) == TEE_LIMIT, "nothing after it is freed");

    unit_ok(tee_aead_init(&a, crypto, 0, key, nonce, 0) == TEE_UNSUPPORTED
            && tee_aead_init(&a, crypto, 4, key, nonce, 0) == TEE_UNSUPPORTED
            && tee_aead_init(&a, crypto, 0xffff, key, nonce, 1)
               == TEE_UNSUPPORTED
            && tee_aead_key_len(0) == 0 && tee_aead_key_len(4) == 0,
            "unknown algorithms");
}


static void
aead_hkdf(tee_crypto_t *crypto)
{
    size_t     i, wrong;
    uint8_t    prk[32], okm[82], long_okm[TEE_HKDF_MAX_OUT];
    tee_str_t  ikm, salt, info, want, parts[3];

    /* RFC 5869, A.1 to A.3 */

    ikm = unit_hex("0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b");
    salt = unit_hex("000102030405060708090a0b0c");
    info = unit_hex("f0f1f2f3f4f5f6f7f8f9");
    want = unit_hex("3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56"
                    "ecc4c5bf34007208d5b887185865");

    unit_ok(tee_hkdf_extract(crypto, salt, &ikm, 1, prk) == TEE_OK
            && tee_hkdf_expand(crypto, prk, &info, 1, okm, 42) == TEE_OK
            && unit_equal(want, okm, 42), "HKDF");

    parts[0].len = 0;
    parts[0].data = NULL;
    parts[1].len = 4;
    parts[1].data = ikm.data;
    parts[2].len = ikm.len - 4;
    parts[2].data = ikm.data + 4;
    wrong = tee_hkdf_extract(crypto, salt, parts, 3, prk) != TEE_OK;

    parts[1].data = info.data;
    parts[2].len = info.len - 4;
    parts[2].data = info.data + 4;
    wrong += tee_hkdf_expand(crypto, prk, parts, 3, okm, 42) != TEE_OK;
    unit_ok(wrong == 0 && unit_equal(want, okm, 42), "HKDF in parts");

    unit_free(want);
    want = unit_hex("8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f"
                    "3c738d2d9d201395faa4b61a96c8");

    salt.len = 0;
    info.len = 0;
    unit_ok(tee_hkdf_extract(crypto, salt, &ikm, 1, prk) == TEE_OK
            && tee_hkdf_expand(crypto, prk, &info, 0, okm, 42) == TEE_OK
            && unit_equal(want, okm, 42), "HKDF without salt and info");

    unit_free(ikm);
    unit_free(salt);
    unit_free(info);
    unit_free(want);

    ikm = unit_hex("000102030405060708090a0b0c0d0e0f101112131415161718191a1b"
                   "1c1d1e1f202122232425262728292a2b2c2d2e2f3031323334353637"
                   "38393a3b3c3d3e3f404142434445464748494a4b4c4d4e4f");
    salt = unit_hex("606162636465666768696a6b6c6d6e6f707172737475767778797a7b"
                    "7c7d7e7f808182838485868788898a8b8c8d8e8f9091929394959697"
                    "98999a9b9c9d9e9fa0a1a2a3a4a5a6a7a8a9aaabacadaeaf");
    info = unit_hex("b0b1b2b3b4b5b6b7b8b9babbbcbdbebfc0c1c2c3c4c5c6c7c8c9cacb"
                    "cccdcecfd0d1d2d3d4d5d6d7d8d9dadbdcdddedfe0e1e2e3e4e5e6e7"
                    "e8e9eaebecedeeeff0f1f2f3f4f5f6f7f8f9fafbfcfdfeff");
    want = unit_hex("b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c"
                    "19afa97c59045a99cac7827271cb41c65e590e09da3275600c2f09b8"
                    "367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87");

    unit_ok(tee_hkdf_extract(crypto, salt, &ikm, 1, prk) == TEE_OK
            && tee_hkdf_expand(crypto, prk, &info, 1, okm, 82) == TEE_OK
            && unit_equal(want, okm, 82), "HKDF, long inputs and output");

    wrong = tee_hkdf_expand(crypto, prk, &info, 1, long_okm, TEE_HKDF_MAX_OUT)
            != TEE_OK;

    for (i = 0; i < 82; i++) {
        wrong += long_okm[i] != okm[i];
    }

    unit_ok(wrong == 0, "HKDF, as long as can be");
    unit_ok(tee_hkdf_expand(crypto, prk, &info, 1, long_okm,
                            TEE_HKDF_MAX_OUT + 1)
            == TEE_LIMIT, "HKDF, too long");
    unit_ok(tee_hkdf_expand(crypto, prk, &info, 1, okm, 0) == TEE_OK,
            "HKDF, no output");

    unit_free(ikm);
    unit_free(salt);
    unit_free(info);
    unit_free(want);
}


static tee_rc_t
aead_new(void *ctx)
{
    tee_crypto_t  *crypto;

    (void) ctx;

    crypto = tee_crypto_new(&unit_alloc);
    if (crypto == NULL) {
        return TEE_NOMEM;
    }

    tee_crypto_free(crypto);

    return TEE_OK;
}


/* What it comes to; a failure must not be taken for a result. */

typedef struct {
    tee_crypto_t         *crypto;
    size_t                wrong;
    unsigned              known:1;
    uint8_t               prk[32];
    uint8_t               sealed[32];
} aead_all_t;


static tee_rc_t
aead_all(void *ctx)
{
    uint8_t        key[32], nonce[12], buf[32], prk[32];
    tee_rc_t       rc;
    tee_str_t      text;
    aead_all_t    *all = ctx;
    tee_aead_t     a;
    tee_crypto_t  *crypto = all->crypto;

    static const tee_str_t  none = { 0, NULL };

    memset(key, 1, sizeof(key));
    memset(nonce, 2, sizeof(nonce));
    text = unit_text("0123456789abcdef");

    rc = tee_hkdf_extract(crypto, text, &text, 1, prk);

    if (rc == TEE_OK) {
        rc = tee_hkdf_expand(crypto, prk, &text, 1, buf, 32);
    }

    if (rc == TEE_OK) {
        rc = tee_aead_init(&a, crypto, 1, key, nonce, 0);

        if (rc == TEE_OK) {
            rc = aead_seal(&a, none, text, buf);
            tee_aead_free(&a);
        }
    }

    if (rc == TEE_OK && !all->known) {
        memcpy(all->prk, prk, 32);
        memcpy(all->sealed, buf, 32);
        all->known = 1;
    }

    if (rc == TEE_OK) {
        all->wrong += memcmp(all->prk, prk, 32) != 0
                      || memcmp(all->sealed, buf, 32) != 0;
    }

    return rc;
}


int
main(void)
{
    size_t         i;
    aead_all_t     all;
    tee_crypto_t  *crypto;

    unit_crypto_init();

    crypto = tee_crypto_new(&unit_alloc);
    if (!unit_ok(crypto != NULL, "what is kept")) {
        return unit_done();
    }

    for (i = 0; i < AEAD_CASES; i++) {
        aead_one(crypto, &aead_cases[i]);
    }

    aead_counter(crypto);
    aead_order(crypto);
    aead_hkdf(crypto);

    memset(&all, 0, sizeof(aead_all_t));
    all.crypto = crypto;
    unit_crypto_oom(aead_all, &all, TEE_OK, "a message");
    unit_ok(all.wrong == 0, "whatever succeeds is right");

    tee_crypto_free(crypto);
    tee_crypto_free(NULL);

    unit_oom(aead_new, NULL, TEE_OK, "what is kept");
    unit_crypto_oom(aead_new, NULL, TEE_OK, "what is kept");

    unit_ok(ERR_peek_error() == 0, "the error queue is as it was");

    return unit_done();
}
