
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <string.h>

#include <openssl/err.h>

#include <tee_hpke.h>

#include "unit.h"


/* RFC 9180, A.1 and A.3 */

#define X_IKM  "6db9df30aa07dd42ee5e8181afdb977e538f5e1fec8a06223f33f7013e"    \
               "525037"
#define X_SK   "4612c550263fc8ad58375df3f557aac531d26850903e55a9f23f21d853"    \
               "4e8ac8"
#define X_PK   "3948cfe0ad1ddb695d780e59077195da6c56506b027329794ab02bca80"    \
               "815c4d"
#define P_IKM  "668b37171f1072f3cf12ea8a236a45df23fc13b82af3609ad1e354f6ef"    \
               "817550"
#define P_SK   "f3ce7fdae57e1a310d87f1ebbde6f328be0a99cdbcadf4d6589cf29de4"    \
               "b8ffd2"
#define P_PK   "04fe8c19ce0905191ebc298a9245792531f26f0cece2460639e8bc39cb"    \
               "7f706a826a779b4cf969b8a0e539c7f62fb3d30ad6aa8f80e30f1d128a"    \
               "afd68a2ce72ea0"

#define BEGIN  "-----BEGIN PRIVATE KEY-----"
#define END    "-----END PRIVATE KEY-----"

#define X_B64                                                                 \
    "MC4CAQAwBQYDK2VuBCIEIEYSxVAmP8itWDdd8/VXqsUx0mhQkD5VqfI/IdhTTorI"
#define P_B64                                                                 \
    "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg885/2uV+GjENh/Hr\n"      \
    "vebzKL4Kmc28rfTWWJzyneS4/9KhRANCAAT+jBnOCQUZHrwpipJFeSUx8m8M7OJG\n"      \
    "BjnovDnLf3Bqgmp3m0z5abig5TnH9i+z0wrWqo+A4w8dEoqv1oos5y6g"


static const tee_str_t  hpke_none = { 0, NULL };


typedef struct {
    const char           *name;
    const char           *pem;
    tee_rc_t              rc;
    uint16_t              kem;
} hpke_pem_t;


static const hpke_pem_t  hpke_pems[] = {
    { "X25519", BEGIN "\n" X_B64 "\n" END "\n", TEE_OK, TEE_KEM_X25519 },
    { "P-256", BEGIN "\n" P_B64 "\n" END "\n", TEE_OK, TEE_KEM_P256 },
    { "P-256 without the public key",
      BEGIN "\nMEECAQAwEwYHKoZIzj0CAQYIKoZIzj0DAQcEJzAlAgEBBCDzzn/a5X4aMQ2H8eu9"
      "\n5vMovgqZzbyt9NZYnPKd5Lj/0g==\n" END "\n", TEE_OK, TEE_KEM_P256 },
    { "no line end behind it", BEGIN "\n" X_B64 "\n" END, TEE_OK,
      TEE_KEM_X25519 },
    { "CRLF", BEGIN "\r\n" X_B64 "\r\n" END "\r\n", TEE_OK, TEE_KEM_X25519 },
    { "white space around it", " \t\r\n" BEGIN "\n\n" X_B64 "\n \n" END
      "\n\n \t", TEE_OK, TEE_KEM_X25519 },
    { "nothing", "", TEE_MALFORMED, 0 },
    { "blank", " \n", TEE_MALFORMED, 0 },
    { "a text before it", "key\n" BEGIN "\n" X_B64 "\n" END "\n",
      TEE_MALFORMED, 0 },
    { "a text behind it", BEGIN "\n" X_B64 "\n" END "\nkey", TEE_MALFORMED,
      0 },
    { "two keys", BEGIN "\n" X_B64 "\n" END "\n" BEGIN "\n" X_B64 "\n" END
      "\n", TEE_MALFORMED, 0 },
    { "no content", BEGIN "\n" END "\n", TEE_MALFORMED, 0 },
    { "no end", BEGIN "\n" X_B64 "\n-----END PUBLIC KEY-----\n",
      TEE_MALFORMED, 0 },
    { "one line only", BEGIN, TEE_UNSUPPORTED, 0 },
    { "no base64", BEGIN "\n!" X_B64 "\n" END "\n", TEE_MALFORMED, 0 },
    { "padding in the midst", BEGIN "\n" X_B64 "AA==AAAA\n" END "\n",
      TEE_MALFORMED, 0 },
    { "a byte behind the DER", BEGIN "\n" X_B64 "AA==\n" END "\n",
      TEE_MALFORMED, 0 },
    { "no DER", BEGIN "\nAAAA\n" END "\n", TEE_MALFORMED, 0 },
    { "Ed25519", BEGIN "\nMC4CAQAwBQYDK2VwBCIEIKS9kdD1XltP832cUZl8GZAz2RK68jSP"
      "GePIsy11r5yl\n" END "\n", TEE_UNSUPPORTED, 0 },
    { "P-384", BEGIN "\nMIG2AgEAMBAGByqGSM49AgEGBSuBBAAiBIGeMIGbAgEBBDCtrf9mg"
      "eBACp+WdIvs8RrRaCU5zZ9p9B3yn8qdJwHMsfUgrdh09oc/dJQL+2j5wJqhZANiAASMIc"
      "+qfpiH649KhmVKDZcKaZ8O+eswtkcvp73oikJN4z02h4huvW7WWHPCfcniTUXPpRsrE7j"
      "2Qn0RGKvYCTG895PkbIy3TLUDgwNzw6H4zMqmfJRKJSkoyCYVJwJ6PA0=\n" END "\n",
      TEE_UNSUPPORTED, 0 },
    { "the form of SEC 1", "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIPPOf9rlf"
      "hoxDYfx673m8yi+CpnNvK301lic8p3kuP/SoAoGCCqGSM49AwEHoUQDQgAE/owZzgkFGR"
      "68KYqSRXklMfJvDOziRgY56Lw5y39waoJqd5tM+Wm4oOU5x/Yvs9MK1qqPgOMPHRKKr9a"
      "KLOcuoA==\n-----END EC PRIVATE KEY-----\n", TEE_UNSUPPORTED, 0 },
    { "a public key", "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VuAyEAOUjP4K0d22"
      "ldeA5ZB3GV2mxWUGsCcyl5SrAryoCBXE0=\n-----END PUBLIC KEY-----\n",
      TEE_UNSUPPORTED, 0 },
    { "an encrypted key", "-----BEGIN ENCRYPTED PRIVATE KEY-----\n" X_B64
      "\n-----END ENCRYPTED PRIVATE KEY-----\n", TEE_UNSUPPORTED, 0 }
};


static void
hpke_keys(tee_crypto_t *crypto, uint16_t kem, const char *ikm_hex,
    const char *sk_hex, const char *pk_hex)
{
    size_t           i, wrong;
    tee_str_t        ikm, sk, pk, part;
    tee_hpke_key_t  *key;

    ikm = unit_hex(ikm_hex);
    sk = unit_hex(sk_hex);
    pk = unit_hex(pk_hex);

    unit_ok(tee_hpke_pk_len(kem) == pk.len && tee_hpke_enc_len(kem) == pk.len
            && tee_hpke_sk_len(kem) == 32, "KEM %u, lengths", kem);

    unit_ok(tee_hpke_key_new(crypto, kem, sk, &key) == TEE_OK
            && tee_hpke_key_kem(key) == kem
            && unit_equal(tee_hpke_key_public(key), pk.data, pk.len),
            "KEM %u, a private key", kem);
    tee_hpke_key_free(key);

    unit_ok(tee_hpke_key_derive(crypto, kem, ikm, &key) == TEE_OK
            && unit_equal(tee_hpke_key_public(key), pk.data, pk.len),
            "KEM %u, a derived key", kem);
    tee_hpke_key_free(key);

    wrong = 0;

    for (i = 0; i < 32; i++) {
        part = unit_copy(sk.data, i);
        wrong += tee_hpke_key_new(crypto, kem, part, &key) != TEE_MALFORMED;
        wrong += key != NULL;
        wrong += tee_hpke_key_derive(crypto, kem, part, &key)
                 != TEE_MALFORMED;
        wrong += key != NULL;
        unit_free(part);
    }

    unit_ok(wrong == 0, "KEM %u, a key too short", kem);

    unit_ok(tee_hpke_public_check(kem, pk) == TEE_OK, "KEM %u, a public key",
            kem);

    pk.len--;
    unit_ok(tee_hpke_public_check(kem, pk) == TEE_MALFORMED,
            "KEM %u, a public key too short", kem);

    unit_free(ikm);
    unit_free(sk);
    unit_free(pk);
}


static void
hpke_unknown(tee_crypto_t *crypto)
{
    tee_str_t        sk;
    tee_hpke_key_t  *key;

    sk = unit_hex(X_SK);

    unit_ok(tee_hpke_pk_len(0x0011) == 0 && tee_hpke_enc_len(0x0011) == 0
            && tee_hpke_sk_len(0) == 0
            && tee_hpke_public_check(0x0012, sk) == TEE_UNSUPPORTED
            && tee_hpke_key_new(crypto, 0x0021, sk, &key) == TEE_UNSUPPORTED
            && key == NULL
            && tee_hpke_key_derive(crypto, 0x0030, sk, &key)
               == TEE_UNSUPPORTED
            && key == NULL, "unknown KEMs");

    unit_ok((tee_hpke_pk_len(TEE_KEM_X_WING) == 0
             && tee_hpke_enc_len(TEE_KEM_X_WING) == 0
             && tee_hpke_sk_len(TEE_KEM_X_WING) == 0
             && tee_hpke_key_new(crypto, TEE_KEM_X_WING, sk, &key)
                == TEE_UNSUPPORTED)
            || (tee_hpke_pk_len(TEE_KEM_X_WING) == TEE_HPKE_MAX_PK
                && tee_hpke_enc_len(TEE_KEM_X_WING) == TEE_HPKE_MAX_ENC),
            "X-Wing, wholly or not at all");

    tee_hpke_key_free(NULL);
    unit_free(sk);
}


/* RFC 9180, 7.1.3: from 1 to the order less 1 */

static void
hpke_range(tee_crypto_t *crypto)
{
    size_t           i;
    tee_str_t        sk;
    tee_hpke_key_t  *key;

    static const struct {
        const char           *name;
        const char           *sk;
        tee_rc_t              rc;
    } cases[] = {
        { "0", "0000000000000000000000000000000000000000000000000000000000"
               "000000", TEE_CRYPTO },
        { "1", "0000000000000000000000000000000000000000000000000000000000"
               "000001", TEE_OK },
        { "the order less 1", "ffffffff00000000ffffffffffffffffbce6faada717"
                              "9e84f3b9cac2fc632550", TEE_OK },
        { "the order", "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9"
                       "cac2fc632551", TEE_CRYPTO },
        { "ones", "ffffffffffffffffffffffffffffffffffffffffffffffffffffffff"
                  "ffffffff", TEE_CRYPTO }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        sk = unit_hex(cases[i].sk);
        unit_ok(tee_hpke_key_new(crypto, TEE_KEM_P256, sk, &key)
                == cases[i].rc
                && (key != NULL) == (cases[i].rc == TEE_OK),
                "a private key of P-256, %s", cases[i].name);
        tee_hpke_key_free(key);
        unit_free(sk);
    }
}


static void
hpke_pem(tee_crypto_t *crypto)
{
    size_t           i, wrong;
    tee_rc_t         rc;
    tee_str_t        pem, part, pk;
    tee_hpke_key_t  *key;

    for (i = 0; i < sizeof(hpke_pems) / sizeof(hpke_pems[0]); i++) {
        pem = unit_copy(hpke_pems[i].pem, strlen(hpke_pems[i].pem));
        rc = tee_hpke_key_pem(crypto, pem, &key);

        pk = unit_hex(hpke_pems[i].kem == TEE_KEM_P256 ? P_PK : X_PK);

        unit_ok(rc == hpke_pems[i].rc
                && (rc == TEE_OK
                    ? tee_hpke_key_kem(key) == hpke_pems[i].kem
                      && unit_equal(tee_hpke_key_public(key), pk.data, pk.len)
                    : key == NULL), "PEM, %s", hpke_pems[i].name);

        tee_hpke_key_free(key);
        unit_free(pem);
        unit_free(pk);
    }

    pem = unit_text(BEGIN "\n" P_B64 "\n" END);
    wrong = 0;

    for (i = 0; i < pem.len; i++) {
        part = unit_copy(pem.data, i);
        rc = tee_hpke_key_pem(crypto, part, &key);
        wrong += rc != TEE_MALFORMED && rc != TEE_UNSUPPORTED;
        unit_free(part);
    }

    unit_ok(wrong == 0, "PEM, every prefix is refused");

    pem.len = 5000;
    pem.data = unit_alloc.alloc(unit_alloc.ctx, pem.len);
    memset((void *) (uintptr_t) pem.data, 'A', pem.len);
    unit_ok(tee_hpke_key_pem(crypto, pem, &key) == TEE_MALFORMED,
            "PEM, a long text");
    unit_alloc.free(unit_alloc.ctx, (void *) (uintptr_t) pem.data);
}


typedef struct {
    tee_crypto_t         *crypto;
    uint16_t              kem;
    uint16_t              aead;
    size_t                wrong;               /* what must not be told so */
    tee_str_t             sk;
    tee_str_t             ikm;
    tee_str_t             bad;                 /* an encapsulated key */
} hpke_exchange_t;


/* Both sides, from keys to an opened message. */

static tee_rc_t
hpke_both(hpke_exchange_t *x, tee_hpke_key_t *key, tee_hpke_key_t *ephemeral)
{
    size_t      len;
    uint8_t     enc[TEE_HPKE_MAX_ENC], text[5], tag[16], one[48], two[48];
    tee_rc_t    rc;
    tee_str_t   s, in;
    tee_hpke_t  sender, receiver;

    memset(&sender, 0, sizeof(tee_hpke_t));
    memset(&receiver, 0, sizeof(tee_hpke_t));

    in = unit_text("hello");

    rc = tee_hpke_send(&sender, x->crypto, x->kem, tee_hpke_key_public(key),
                       ephemeral, hpke_none, 1, x->aead, in, enc, &len);
    if (rc != TEE_OK) {
        goto done;
    }

    s.len = len;
    s.data = enc;

    rc = tee_hpke_receive(&receiver, x->crypto, key, 1, x->aead, s, in);
    if (rc != TEE_OK) {
        goto done;
    }

    rc = tee_hpke_export(&sender, in, one, 48);
    if (rc != TEE_OK) {
        goto done;
    }

    rc = tee_hpke_export(&receiver, in, two, 48);
    if (rc != TEE_OK) {
        goto done;
    }

    x->wrong += memcmp(one, two, 48) != 0;

    rc = tee_aead_begin(&sender.aead, hpke_none);
    if (rc == TEE_OK) {
        rc = tee_aead_update(&sender.aead, in, text);
    }

    if (rc == TEE_OK) {
        rc = tee_aead_seal_end(&sender.aead, tag);
    }

    s.len = 5;
    s.data = text;

    if (rc == TEE_OK) {
        rc = tee_aead_begin(&receiver.aead, hpke_none);
    }

    if (rc == TEE_OK) {
        rc = tee_aead_update(&receiver.aead, s, text);
    }

    if (rc == TEE_OK) {
        rc = tee_aead_open_end(&receiver.aead, tag);
    }

    if (rc == TEE_OK) {
        x->wrong += memcmp(text, "hello", 5) != 0;
    }

done:

    tee_hpke_free(&sender);
    tee_hpke_free(&receiver);

    return rc;
}


static tee_rc_t
hpke_exchange(void *ctx)
{
    tee_rc_t          rc;
    tee_hpke_key_t   *key, *ephemeral;
    hpke_exchange_t  *x = ctx;

    ephemeral = NULL;

    rc = tee_hpke_key_new(x->crypto, x->kem, x->sk, &key);

    if (rc == TEE_OK) {
        rc = tee_hpke_key_derive(x->crypto, x->kem, x->ikm, &ephemeral);
    }

    if (rc == TEE_OK) {
        rc = hpke_both(x, key, ephemeral);
    }

    tee_hpke_key_free(ephemeral);
    tee_hpke_key_free(key);

    return rc;
}


static tee_rc_t
hpke_from_pem(void *ctx)
{
    tee_rc_t          rc;
    tee_hpke_key_t   *key;
    hpke_exchange_t  *x = ctx;

    rc = tee_hpke_key_pem(x->crypto, unit_text(BEGIN P_B64 END), &key);
    tee_hpke_key_free(key);

    return rc;
}


static tee_rc_t
hpke_bad(void *ctx)
{
    tee_rc_t          rc;
    tee_hpke_t        h;
    tee_hpke_key_t   *key;
    hpke_exchange_t  *x = ctx;

    rc = tee_hpke_key_new(x->crypto, x->kem, x->sk, &key);

    if (rc == TEE_OK) {
        rc = tee_hpke_receive(&h, x->crypto, key, 1, 1, x->bad, hpke_none);
        tee_hpke_free(&h);
    }

    tee_hpke_key_free(key);

    return rc;
}


/* A point of low order, and one beside the curve; then a good one again. */

static void
hpke_points(hpke_exchange_t *x)
{
    size_t           i, wrong;
    tee_str_t        bad;
    tee_hpke_t       h;
    tee_hpke_key_t  *key;

    unit_ok(tee_hpke_key_new(x->crypto, x->kem, x->sk, &key) == TEE_OK,
            "KEM %u, the receiver", x->kem);

    unit_ok(tee_hpke_receive(&h, x->crypto, key, 1, 1, x->bad, hpke_none)
            == TEE_CRYPTO
            && h.aead.ctx == NULL
            && hpke_both(x, key, key) == TEE_OK,
            "KEM %u, a bad point, and a good one behind it", x->kem);

    wrong = 0;
    bad = tee_hpke_key_public(key);
    bad = unit_copy(bad.data, bad.len);

    for (i = 0; i < bad.len; i++) {
        bad.len = i;
        wrong += tee_hpke_receive(&h, x->crypto, key, 1, 1, bad, hpke_none)
                 != TEE_MALFORMED;
        bad.len = tee_hpke_key_public(key).len;
    }

    unit_ok(wrong == 0, "KEM %u, an encapsulated key too short", x->kem);

    wrong = 0;

    for (i = 0; x->kem == TEE_KEM_P256 && i < bad.len; i++) {
        ((uint8_t *) (uintptr_t) bad.data)[i] ^= 1;
        wrong += tee_hpke_receive(&h, x->crypto, key, 1, 1, bad, hpke_none)
                 != TEE_CRYPTO;
        wrong += tee_hpke_public_check(x->kem, bad) != TEE_CRYPTO;
        ((uint8_t *) (uintptr_t) bad.data)[i] ^= 1;
    }

    unit_ok(wrong == 0, "KEM %u, no other byte is a point", x->kem);

    if (x->kem == TEE_KEM_P256) {
        /* SEC 1, 2.3.3: the hybrid form of the same point */
        ((uint8_t *) (uintptr_t) bad.data)[0] = 6 | (bad.data[64] & 1);
        unit_ok(tee_hpke_receive(&h, x->crypto, key, 1, 1, bad, hpke_none)
                == TEE_CRYPTO
                && tee_hpke_public_check(x->kem, bad) == TEE_CRYPTO,
                "KEM %u, no other form of a point", x->kem);
        ((uint8_t *) (uintptr_t) bad.data)[0] = 4;
    }

    unit_ok(tee_hpke_receive(&h, x->crypto, key, 2, 1, bad, hpke_none)
            == TEE_UNSUPPORTED
            && tee_hpke_receive(&h, x->crypto, key, 1, 0xffff, bad, hpke_none)
               == TEE_UNSUPPORTED, "KEM %u, an unknown pair", x->kem);

    unit_free(bad);
    tee_hpke_key_free(key);
}


static void
hpke_kem(tee_crypto_t *crypto, uint16_t kem, const char *sk, const char *ikm,
    const char *bad)
{
    hpke_exchange_t  x;

    memset(&x, 0, sizeof(hpke_exchange_t));

    x.crypto = crypto;
    x.kem = kem;
    x.sk = unit_hex(sk);
    x.ikm = unit_hex(ikm);
    x.bad = unit_hex(bad);

    for (x.aead = 1; x.aead <= 3; x.aead++) {
        unit_ok(hpke_exchange(&x) == TEE_OK, "KEM %u, AEAD %u, both sides",
                kem, x.aead);
    }

    x.aead = 1;

    hpke_points(&x);

    unit_oom(hpke_exchange, &x, TEE_OK, "both sides");
    unit_crypto_oom(hpke_exchange, &x, TEE_OK, "both sides");
    unit_crypto_oom(hpke_bad, &x, TEE_CRYPTO, "a bad point");

    if (kem == TEE_KEM_P256) {
        unit_oom(hpke_from_pem, &x, TEE_OK, "PEM");
        unit_crypto_oom(hpke_from_pem, &x, TEE_OK, "PEM");
    }

    unit_ok(x.wrong == 0, "KEM %u, whatever succeeds is right", kem);

    unit_free(x.sk);
    unit_free(x.ikm);
    unit_free(x.bad);
}


static void
hpke_exports(tee_crypto_t *crypto)
{
    uint8_t          out[8161];
    tee_str_t        sk, enc;
    tee_hpke_t       h;
    tee_hpke_key_t  *key;

    sk = unit_hex(X_SK);
    enc = unit_hex(X_PK);

    unit_ok(tee_hpke_key_new(crypto, TEE_KEM_X25519, sk, &key) == TEE_OK
            && tee_hpke_receive(&h, crypto, key, 1, 3, enc, hpke_none)
               == TEE_OK
            && tee_hpke_export(&h, sk, out, 8160) == TEE_OK
            && tee_hpke_export(&h, sk, out, 0) == TEE_OK, "exports");
    unit_ok(tee_hpke_export(&h, sk, out, 8161) == TEE_LIMIT,
            "an export too long");

    tee_hpke_free(&h);
    tee_hpke_free(&h);
    tee_hpke_key_free(key);
    unit_free(sk);
    unit_free(enc);
}


/* Where libcrypto has ML-KEM. */

static tee_rc_t
hpke_xwing_both(void *ctx)
{
    size_t            len;
    uint8_t           enc[TEE_HPKE_MAX_ENC], seed[64], one[32], two[32];
    tee_rc_t          rc;
    tee_str_t         s, e;
    tee_hpke_t        sender, receiver;
    tee_hpke_key_t   *key;
    hpke_exchange_t  *x = ctx;

    memset(&receiver, 0, sizeof(tee_hpke_t));
    memset(&sender, 0, sizeof(tee_hpke_t));
    memset(seed, 8, sizeof(seed));

    s.len = sizeof(seed);
    s.data = seed;
    e.len = TEE_HPKE_MAX_ENC;
    e.data = enc;

    rc = tee_hpke_key_derive(x->crypto, x->kem, x->ikm, &key);

    if (rc == TEE_OK) {
        rc = tee_hpke_send(&sender, x->crypto, x->kem,
                           tee_hpke_key_public(key), NULL, s, 1, 1, hpke_none,
                           enc, &len);
    }

    if (rc == TEE_OK) {
        x->wrong += len != TEE_HPKE_MAX_ENC;
        rc = tee_hpke_receive(&receiver, x->crypto, key, 1, 1, e, hpke_none);
    }

    if (rc == TEE_OK) {
        rc = tee_hpke_export(&sender, hpke_none, one, 32);
    }

    if (rc == TEE_OK) {
        rc = tee_hpke_export(&receiver, hpke_none, two, 32);
    }

    if (rc == TEE_OK) {
        x->wrong += memcmp(one, two, 32) != 0;
    }

    tee_hpke_free(&sender);
    tee_hpke_free(&receiver);
    tee_hpke_key_free(key);

    return rc;
}


static void
hpke_xwing(tee_crypto_t *crypto)
{
    size_t            len;
    uint8_t           enc[TEE_HPKE_MAX_ENC];
    tee_str_t         pk;
    tee_hpke_t        h;
    tee_hpke_key_t   *key;
    hpke_exchange_t   x;

    if (tee_hpke_pk_len(TEE_KEM_X_WING) == 0) {
        return;
    }

    memset(&x, 0, sizeof(hpke_exchange_t));
    memset(enc, 0, sizeof(enc));

    x.crypto = crypto;
    x.kem = TEE_KEM_X_WING;
    x.ikm = unit_hex(X_IKM);

    unit_oom(hpke_xwing_both, &x, TEE_OK, "X-Wing");
    unit_ok(x.wrong == 0, "X-Wing, both sides agree");

    /* without memory, ML-KEM takes any secret rather than tell: no check of
     * the results here */

    unit_crypto_oom(hpke_xwing_both, &x, TEE_OK, "X-Wing");

    unit_ok(tee_hpke_key_new(crypto, x.kem, x.ikm, &key) == TEE_OK,
            "X-Wing, a key");

    pk = tee_hpke_key_public(key);
    unit_ok(tee_hpke_public_check(x.kem, pk) == TEE_OK
            && tee_hpke_send(&h, crypto, x.kem, pk, NULL, x.ikm, 1, 1,
                             hpke_none, enc, &len)
               == TEE_MALFORMED
            && len == 0, "X-Wing, too little randomness");

    /* its X25519 part is of low order */

    pk.len = TEE_HPKE_MAX_ENC;
    pk.data = enc;
    unit_ok(tee_hpke_receive(&h, crypto, key, 1, 1, pk, hpke_none)
            == TEE_CRYPTO, "X-Wing, a bad point");

    /* FIPS 203, 7.2: a coefficient over the modulus */

    pk = unit_copy(tee_hpke_key_public(key).data, TEE_HPKE_MAX_PK);
    ((uint8_t *) (uintptr_t) pk.data)[0] = 0xff;
    ((uint8_t *) (uintptr_t) pk.data)[1] = 0xff;
    unit_ok(tee_hpke_public_check(x.kem, pk) == TEE_CRYPTO,
            "X-Wing, no public key");

    unit_free(pk);
    unit_free(x.ikm);
    tee_hpke_key_free(key);
}


int
main(void)
{
    tee_crypto_t  *crypto;

    unit_crypto_init();

    crypto = tee_crypto_new(&unit_alloc);
    if (!unit_ok(crypto != NULL, "what is kept")) {
        return unit_done();
    }

    hpke_keys(crypto, TEE_KEM_X25519, X_IKM, X_SK, X_PK);
    hpke_keys(crypto, TEE_KEM_P256, P_IKM, P_SK, P_PK);
    hpke_unknown(crypto);
    hpke_range(crypto);
    hpke_pem(crypto);
    hpke_exports(crypto);
    hpke_xwing(crypto);

    /* order 8, and (1, 1) */

    hpke_kem(crypto, TEE_KEM_X25519, X_SK, X_IKM,
             "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b8"
             "00");
    hpke_kem(crypto, TEE_KEM_P256, P_SK, P_IKM,
             "04000000000000000000000000000000000000000000000000000000000000"
             "000100000000000000000000000000000000000000000000000000000000"
             "00000001");

    tee_crypto_free(crypto);

    unit_ok(ERR_peek_error() == 0, "the error queue is as it was");

    return unit_done();
}
