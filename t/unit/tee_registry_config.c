
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include <tee_keccak.h>
#include <tee_registry.h>
#include <tee_sig.h>
#include <tee_write.h>

#include "sample.h"
#include "unit.h"


/* ohttp_config_sig.json, signed_tee_a; the key is sample_spki() */

static const char  config_sig[] =
    "stjj3w/zHU3kPII7MkKlp5l6gRAcnSkPODTfeRrF1+elWFLphJG6JQWE349n9sXu"
    "5tJ3BPzqjSnwGEewr5Rakho5ER42FHsdno0HNLY4GxjyPRPofZppNx5qAQMqdhmi"
    "Pyyd4FRzujO7nA9QKdi9bg+AkeWf9GLFUegtrfj/DFkYnptS4yRqbEQ1ycIctmK2"
    "n4BAf898wdXrfhkYFDeiA88Alr4BUxvBvJ+qQ43Anz0GNtNqxV9fsHGmVyd10wql"
    "gqywKpsoUvqZ9TZtg+B/AVYJWlOdHQltFPlkFyxhPwVBZF9LKwgMohNrrSIB0MGi"
    "LXJX9Y+1utuihZfZxpOnRA==";

static const char  config_hash[] =
    "0x78007bae4b17b16cfb197c25c57dd534976783f1723573ba9548fb9ae1812303";

static const char  config_id[] =
    "0x89ef8e0ed3e36eed584e6b506cf47a69882a229e2bd28b1f7046561ec7ac17db";

static const char  config_pk[] =
    "49e4874e25fe389ed3c9fa2fd09d077907ecc5809c8619e2127128b6a72c7c7a";

static const char  config_blob[] =
    "AQAgSeSHTiX+OJ7Tyfov0J0HeQfsxYCchhniEnEotqcsfHoABAABAAM=";


typedef struct {
    const char           *name;
    const char           *key_id;
    const char           *kem;
    const char           *pk;
    const char           *blob;
    const char           *id;
    const char           *hash;
    const char           *sig;
    tee_rc_t              rc;
} config_case_t;


static tee_str_t
config_text(const config_case_t *c)
{
    int   n;
    char  text[2048];

    n = snprintf(text, sizeof(text),
                 "{\"key_id\":%s,\"kem_id\":%s,\"kdf_id\":1,"
                 "\"aead_id\":3,\"public_key\":\"%s\","
                 "\"key_config\":\"%s\",\"tee_id\":\"%s\","
                 "\"signature_hash\":\"%s\",\"signature\":\"%s\"}",
                 c->key_id ? c->key_id : "1", c->kem ? c->kem : "32",
                 c->pk ? c->pk : config_pk, c->blob ? c->blob : config_blob,
                 c->id ? c->id : config_id, c->hash ? c->hash : config_hash,
                 c->sig ? c->sig : config_sig);

    return unit_copy(text, (size_t) n);
}


static const config_case_t  config_cases[] = {
    { .name = "as signed", .rc = TEE_OK },
    { .name = "another key id", .key_id = "2", .rc = TEE_CRYPTO },
    { .name = "key id 256", .key_id = "256", .rc = TEE_MALFORMED },
    { .name = "a key id in quotes", .key_id = "\"1\"", .rc = TEE_MALFORMED },
    { .name = "an unknown KEM", .kem = "33", .rc = TEE_UNSUPPORTED },
    { .name = "a short public key", .pk = "49e4", .rc = TEE_MALFORMED },
    { .name = "another public key", .pk =
      "49e4874e25fe389ed3c9fa2fd09d077907ecc5809c8619e2127128b6a72c7c7b",
      .rc = TEE_CRYPTO },
    { .name = "base64 with spare bits", .blob =
      "AQAgSeSHTiX+OJ7Tyfov0J0HeQfsxYCchhniEnEotqcsfHoABAABAAN=",
      .rc = TEE_MALFORMED },
    { .name = "another key_config", .blob =
      "AQAgSeSHTiX+OJ7Tyfov0J0HeQfsxYCchhniEnEotqcsfHoABAABAAE=",
      .rc = TEE_CRYPTO },
    { .name = "another TEE", .id =
      "0x89ef8e0ed3e36eed584e6b506cf47a69882a229e2bd28b1f7046561ec7ac17dc",
      .rc = TEE_CRYPTO },
    { .name = "another hash", .hash =
      "0x78007bae4b17b16cfb197c25c57dd534976783f1723573ba9548fb9ae1812304",
      .rc = TEE_CRYPTO },
    { .name = "half a hash", .hash = "0x78007bae", .rc = TEE_MALFORMED },
    { .name = "a short signature", .sig = "AAAA", .rc = TEE_CRYPTO },
    { .name = "no signature", .sig = "", .rc = TEE_CRYPTO },
    { .name = "a signature with a line feed", .sig = "AAAA\\n",
      .rc = TEE_MALFORMED }
};


static tee_rc_t
config_check(void *ctx)
{
    uint8_t  id[32];

    return tee_registry_ohttp_config(*(tee_str_t *) ctx, sample_spki(),
                                     &unit_alloc, id);
}


static tee_str_t
config_sign(EVP_PKEY *pkey, const uint8_t hash[32])
{
    size_t         n;
    uint8_t        buf[256];
    EVP_MD_CTX    *md;
    EVP_PKEY_CTX  *ctx;

    n = sizeof(buf);
    md = EVP_MD_CTX_new();

    if (md == NULL
        || EVP_DigestSignInit(md, &ctx, EVP_sha256(), NULL, pkey) != 1
        || EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING) != 1
        || EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, 32) != 1
        || EVP_DigestSign(md, buf, &n, hash, 32) != 1)
    {
        abort();
    }

    EVP_MD_CTX_free(md);

    return unit_copy(buf, n);
}


/* The enclave itself signs this key_config: it must agree all the same. */

static tee_rc_t
config_signed(EVP_PKEY *pkey, tee_str_t spki, const char *blob)
{
    size_t        i;
    uint8_t       id[32], hash[32], part[32], word[32];
    tee_rc_t      rc;
    tee_str_t     config, sig, pk;
    tee_write_t   w;
    tee_keccak_t  k;

    static const uint8_t  numbers[] = { 1, 32, 1, 3 };

    config = unit_hex(blob);
    pk = unit_hex(config_pk);

    tee_keccak256(spki, id);
    tee_keccak256(unit_text("OPENGRADIENT_TEE_OHTTP_CONFIG_V1"), part);

    tee_keccak_init(&k);
    tee_keccak_update(&k, part, 32);
    tee_keccak_update(&k, id, 32);

    for (i = 0; i < sizeof(numbers); i++) {
        memset(word, 0, 32);
        word[31] = numbers[i];
        tee_keccak_update(&k, word, 32);
    }

    tee_keccak256(pk, part);
    tee_keccak_update(&k, part, 32);
    tee_keccak256(config, part);
    tee_keccak_update(&k, part, 32);
    tee_keccak_final(&k, hash);

    sig = config_sign(pkey, hash);

    tee_write_grow(&w, &unit_alloc);
    tee_write_text(&w, "{\"key_id\":1,\"kem_id\":32,\"kdf_id\":1,"
                       "\"aead_id\":3,\"public_key\":\"");
    tee_write_text(&w, config_pk);
    tee_write_text(&w, "\",\"key_config\":\"");
    tee_write_base64(&w, config);
    tee_write_text(&w, "\",\"tee_id\":\"0x");
    tee_write_hex(&w, id, 32);
    tee_write_text(&w, "\",\"signature_hash\":\"0x");
    tee_write_hex(&w, hash, 32);
    tee_write_text(&w, "\",\"signature\":\"");
    tee_write_base64(&w, sig);
    tee_write_text(&w, "\"}");

    unit_free(config);
    unit_free(sig);
    unit_free(pk);

    config.len = w.len;
    config.data = w.data;
    rc = tee_registry_ohttp_config(config, spki, &unit_alloc, id);
    tee_write_free(&w);

    return rc;
}


static void
config_agreement(void)
{
    int         len;
    size_t      i;
    uint8_t    *der;
    EVP_PKEY   *pkey;
    tee_str_t   spki;

#define PK  "49e4874e25fe389ed3c9fa2fd09d077907ecc5809c8619e2127128b6a72c7c7a"

    static const struct {
        const char  *name;
        const char  *blob;
        tee_rc_t     rc;
    } cases[] = {
        { "the same", "010020" PK "000400010003", TEE_OK },
        { "a pair more", "010020" PK "00080001000100010003", TEE_OK },
        { "another pair", "010020" PK "000400010001", TEE_MALFORMED },
        { "another id", "020020" PK "000400010003", TEE_MALFORMED },
        { "another KEM", "010010" PK "000400010003", TEE_MALFORMED },
        { "another key", "010020" "00" PK "0400010003", TEE_MALFORMED },
        { "a byte more", "010020" PK "00040001000300", TEE_MALFORMED },
        { "nothing", "", TEE_MALFORMED }
    };

#undef PK

    der = NULL;
    pkey = EVP_RSA_gen(2048);
    len = pkey ? i2d_PUBKEY(pkey, &der) : -1;

    if (len <= 0) {
        abort();
    }

    spki = unit_copy(der, (size_t) len);
    OPENSSL_free(der);

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        unit_ok(config_signed(pkey, spki, cases[i].blob) == cases[i].rc,
                "signed key_config, %s", cases[i].name);
    }

    EVP_PKEY_free(pkey);
    unit_free(spki);
}


typedef struct {
    tee_str_t             pem;
    tee_ohttp_key_t       key;
    tee_rc_t              rc;
} config_own_t;


/* What is written is what is read. */

static tee_rc_t
config_write(void *ctx)
{
    uint8_t         buf[4096], id[32];
    tee_rc_t        rc;
    tee_str_t       text;
    tee_write_t     w;
    config_own_t   *own = ctx;
    tee_sig_key_t  *sk;

    tee_write_fixed(&w, buf, sizeof(buf));

    rc = tee_registry_ohttp_config_write(&w, &own->key, own->pem);

    if (rc != TEE_OK) {
        return rc;
    }

    rc = tee_sig_key_read(own->pem, &sk);

    if (rc != TEE_OK) {
        return rc;
    }

    text.data = buf;
    text.len = w.len;

    rc = tee_registry_ohttp_config(text, tee_sig_key_public(sk), &unit_alloc,
                                   id);

    tee_sig_key_free(sk);

    return rc;
}


static void
config_writing(void)
{
    BIO           *bio;
    char          *p;
    long           n;
    uint8_t        pk[32], buf[600];
    EVP_PKEY      *pkey;
    tee_str_t      suites;
    tee_write_t    w;
    config_own_t   own;

    memset(pk, 2, sizeof(pk));
    suites = unit_hex("00010003");

    pkey = EVP_RSA_gen(2048);
    bio = BIO_new(BIO_s_mem());

    if (pkey == NULL || bio == NULL
        || PEM_write_bio_PKCS8PrivateKey(bio, pkey, NULL, NULL, 0, NULL, NULL)
           != 1)
    {
        abort();
    }

    n = BIO_get_mem_data(bio, &p);
    own.pem = unit_copy(p, (size_t) n);

    own.key.id = 1;
    own.key.kem = 0x20;
    own.key.pk.data = pk;
    own.key.pk.len = sizeof(pk);
    own.key.suites = suites;

    unit_ok(config_write(&own) == TEE_OK, "what is written is read");
    unit_crypto_oom(config_write, &own, TEE_OK, "writing");

    tee_write_fixed(&w, buf, sizeof(buf));
    unit_ok(tee_registry_ohttp_config_write(&w, &own.key, own.pem)
            == TEE_LIMIT, "no room");

    own.pem.len--;
    own.pem.len -= 20;
    unit_ok(config_write(&own) == TEE_MALFORMED, "a bad signing key");
    own.pem.len += 21;

    own.key.suites.len = 0;
    unit_ok(config_write(&own) == TEE_UNSUPPORTED, "no suite");

    BIO_free(bio);
    EVP_PKEY_free(pkey);
    unit_free(suites);
    unit_free(own.pem);
}


int
main(void)
{
    size_t     i, wrong;
    uint8_t    id[32], want[32];
    tee_rc_t   rc;
    tee_str_t  text, cut;

    static const uint8_t  zeros[32];

    unit_crypto_init();

    tee_keccak256(sample_spki(), want);

    for (i = 0; i < sizeof(config_cases) / sizeof(config_cases[0]); i++) {
        text = config_text(&config_cases[i]);
        rc = tee_registry_ohttp_config(text, sample_spki(), &unit_alloc, id);
        unit_ok(rc == config_cases[i].rc
                && memcmp(id, rc == TEE_OK ? want : zeros, 32) == 0,
                "%s", config_cases[i].name);
        unit_free(text);
    }

    config_agreement();

    text = config_text(&config_cases[0]);

    rc = tee_registry_ohttp_config(text, sample_cert(), &unit_alloc, id);
    unit_ok(rc == TEE_CRYPTO, "not the key");

    wrong = 0;

    for (i = 0; i < text.len; i++) {
        cut = unit_copy(text.data, i);
        wrong += tee_registry_ohttp_config(cut, sample_spki(), &unit_alloc,
                                           id)
                 != TEE_MALFORMED;
        unit_free(cut);
    }

    unit_ok(wrong == 0, "every prefix is refused");

    unit_oom(config_check, &text, TEE_OK, "configuration");
    unit_crypto_oom(config_check, &text, TEE_OK, "configuration");
    unit_free(text);

    config_writing();

    return unit_done();
}
