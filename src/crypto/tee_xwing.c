
/*
 * Copyright (C) The ngx_http_tee authors
 */


/*
 * X-Wing, draft-connolly-cfrg-xwing-kem: ML-KEM-768 and X25519 at once.
 * libcrypto has the former from OpenSSL 3.5 on.
 */


#include <string.h>

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/opensslv.h>
#include <openssl/params.h>

#include <tee_kem.h>
#include <tee_openssl.h>


#if (OPENSSL_VERSION_NUMBER >= 0x30500000L)

#define TEE_XWING_LABEL_LEN  6
#define TEE_XWING_SK_LEN     32
#define TEE_XWING_SEED_LEN   64


/* Appendix A: the label is a drawing of an X-Wing fighter */

static const uint8_t  tee_xwing_label[TEE_XWING_LABEL_LEN] = {
    0x5c, 0x2e, 0x2f, 0x2f, 0x5e, 0x5c
};


static tee_rc_t tee_xwing_shake(const tee_str_t *parts, size_t n,
    uint8_t *out, size_t len);
static tee_rc_t tee_xwing_combine(const uint8_t ss_m[32],
    const uint8_t ss_x[32], const uint8_t *ct_x, const uint8_t *pk_x,
    uint8_t secret[TEE_KEM_SECRET_LEN]);
static tee_rc_t tee_xwing_mlkem_key(tee_hpke_key_t *key,
    uint8_t seed[TEE_KEM_MLKEM_SEED]);
static tee_rc_t tee_xwing_mlkem_encap(tee_str_t pk, uint8_t random[32],
    uint8_t *ct, uint8_t ss[32]);


int
tee_xwing_known(void)
{
    EVP_KEM  *kem;

    ERR_set_mark();

    kem = EVP_KEM_fetch(NULL, "ML-KEM-768", NULL);
    EVP_KEM_free(kem);

    ERR_pop_to_mark();

    return kem != NULL;
}


/* expandDecapsulationKey(); 5.2 */

tee_rc_t
tee_xwing_key(tee_hpke_key_t *key, const uint8_t sk[32])
{
    uint8_t    expanded[TEE_KEM_MLKEM_SEED + 32];
    tee_rc_t   rc;
    tee_str_t  part;

    part.len = TEE_XWING_SK_LEN;
    part.data = sk;

    rc = tee_xwing_shake(&part, 1, expanded, sizeof(expanded));

    if (rc == TEE_OK) {
        rc = tee_xwing_mlkem_key(key, expanded);
    }

    if (rc == TEE_OK) {
        rc = tee_kem_x25519(key, expanded + TEE_KEM_MLKEM_SEED,
                            key->pk + TEE_KEM_MLKEM_PK);
    }

    tee_wipe(expanded, sizeof(expanded));

    return rc;
}


static tee_rc_t
tee_xwing_mlkem_key(tee_hpke_key_t *key, uint8_t seed[TEE_KEM_MLKEM_SEED])
{
    size_t         len;
    tee_rc_t       rc;
    OSSL_PARAM     params[2];
    EVP_PKEY_CTX  *ctx;

    params[0] = OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_ML_KEM_SEED,
                                                  seed, TEE_KEM_MLKEM_SEED);
    params[1] = OSSL_PARAM_construct_end();

    rc = TEE_NOMEM;
    ctx = EVP_PKEY_CTX_new_from_name(NULL, "ML-KEM-768", NULL);

    if (ctx == NULL
        || EVP_PKEY_fromdata_init(ctx) != 1
        || EVP_PKEY_fromdata(ctx, &key->mlkem, EVP_PKEY_KEYPAIR, params) != 1)
    {
        key->mlkem = NULL;
        goto done;
    }

    if (EVP_PKEY_get_octet_string_param(key->mlkem, OSSL_PKEY_PARAM_PUB_KEY,
                                        key->pk, TEE_KEM_MLKEM_PK, &len)
        != 1)
    {
        goto done;
    }

    key->decap = EVP_PKEY_CTX_new_from_pkey(NULL, key->mlkem, NULL);

    if (key->decap && EVP_PKEY_decapsulate_init(key->decap, NULL) == 1) {
        rc = TEE_OK;
    }

done:

    EVP_PKEY_CTX_free(ctx);

    return rc;
}


/* DeriveKeyPair() of draft-ietf-hpke-pq: LabeledDerive() with SHAKE256. */

tee_rc_t
tee_xwing_derive(tee_str_t ikm, uint8_t sk[32])
{
    tee_str_t  parts[2];

    static const uint8_t  label[] = {
        'H', 'P', 'K', 'E', '-', 'v', '1',
        'K', 'E', 'M', TEE_KEM_X_WING >> 8, TEE_KEM_X_WING & 0xff,
        0, 13, 'D', 'e', 'r', 'i', 'v', 'e', 'K', 'e', 'y', 'P', 'a', 'i', 'r',
        0, TEE_XWING_SK_LEN
    };

    parts[0] = ikm;
    parts[1].len = sizeof(label);
    parts[1].data = label;

    return tee_xwing_shake(parts, 2, sk, TEE_XWING_SK_LEN);
}


static tee_rc_t
tee_xwing_shake(const tee_str_t *parts, size_t n, uint8_t *out, size_t len)
{
    int          ok;
    size_t       i;
    EVP_MD_CTX  *md;

    ERR_set_mark();

    md = EVP_MD_CTX_new();

    ok = md && EVP_DigestInit_ex2(md, EVP_shake256(), NULL) == 1;

    for (i = 0; i < n; i++) {
        ok = ok && EVP_DigestUpdate(md, parts[i].data, parts[i].len) == 1;
    }

    ok = ok && EVP_DigestFinalXOF(md, out, len) == 1;

    EVP_MD_CTX_free(md);
    ERR_pop_to_mark();

    return ok ? TEE_OK : TEE_NOMEM;
}


/* Combiner(); 5.3 */

static tee_rc_t
tee_xwing_combine(const uint8_t ss_m[32], const uint8_t ss_x[32],
    const uint8_t *ct_x, const uint8_t *pk_x,
    uint8_t secret[TEE_KEM_SECRET_LEN])
{
    uint8_t   in[4 * 32 + TEE_XWING_LABEL_LEN];
    tee_rc_t  rc;

    memcpy(in, ss_m, 32);
    memcpy(in + 32, ss_x, 32);
    memcpy(in + 64, ct_x, 32);
    memcpy(in + 96, pk_x, 32);
    memcpy(in + 128, tee_xwing_label, TEE_XWING_LABEL_LEN);

    rc = TEE_OK;

    if (EVP_Digest(in, sizeof(in), secret, NULL, EVP_sha3_256(), NULL) != 1) {
        tee_wipe(secret, TEE_KEM_SECRET_LEN);
        rc = TEE_NOMEM;
    }

    tee_wipe(in, sizeof(in));

    return rc;
}


tee_rc_t
tee_xwing_public(tee_str_t pk)
{
    tee_rc_t   rc;
    EVP_PKEY  *pkey;

    ERR_set_mark();

    pkey = EVP_PKEY_new_raw_public_key_ex(NULL, "ML-KEM-768", NULL, pk.data,
                                          TEE_KEM_MLKEM_PK);
    rc = pkey ? TEE_OK : tee_openssl_rc(TEE_CRYPTO);

    EVP_PKEY_free(pkey);
    ERR_pop_to_mark();

    return rc;
}


/* EncapsulateDerand(); 5.4.1 */

tee_rc_t
tee_xwing_encap(tee_crypto_t *crypto, tee_str_t pk, tee_str_t seed,
    uint8_t *enc, uint8_t secret[TEE_KEM_SECRET_LEN])
{
    uint8_t          random[32], ss_m[32], ss_x[32];
    tee_rc_t         rc;
    tee_str_t        pk_x, ek_x, ct_x;
    tee_hpke_key_t  *ephemeral;

    if (seed.len != TEE_XWING_SEED_LEN) {
        return TEE_MALFORMED;
    }

    memcpy(random, seed.data, 32);

    pk_x.len = TEE_KEM_X25519_LEN;
    pk_x.data = pk.data + TEE_KEM_MLKEM_PK;

    ek_x.len = 32;
    ek_x.data = seed.data + 32;

    ERR_set_mark();

    rc = tee_hpke_key_new(crypto, TEE_KEM_X25519, ek_x, &ephemeral);

    if (rc == TEE_OK) {
        rc = tee_kem_dh(crypto, ephemeral, pk_x, ss_x);
    }

    if (rc == TEE_OK) {
        rc = tee_xwing_mlkem_encap(pk, random, enc, ss_m);
    }

    if (rc == TEE_OK) {
        ct_x = tee_hpke_key_public(ephemeral);
        memcpy(enc + TEE_KEM_MLKEM_CT, ct_x.data, ct_x.len);

        rc = tee_xwing_combine(ss_m, ss_x, ct_x.data, pk_x.data, secret);
    }

    tee_hpke_key_free(ephemeral);
    tee_wipe(random, sizeof(random));
    tee_wipe(ss_m, sizeof(ss_m));
    tee_wipe(ss_x, sizeof(ss_x));
    ERR_pop_to_mark();

    return rc;
}


static tee_rc_t
tee_xwing_mlkem_encap(tee_str_t pk, uint8_t random[32], uint8_t *ct,
    uint8_t ss[32])
{
    size_t         ct_len, ss_len;
    tee_rc_t       rc;
    EVP_PKEY      *pkey;
    OSSL_PARAM     params[2];
    EVP_PKEY_CTX  *ctx;

    params[0] = OSSL_PARAM_construct_octet_string(OSSL_KEM_PARAM_IKME, random,
                                                  32);
    params[1] = OSSL_PARAM_construct_end();

    ct_len = TEE_KEM_MLKEM_CT;
    ss_len = 32;
    ctx = NULL;

    pkey = EVP_PKEY_new_raw_public_key_ex(NULL, "ML-KEM-768", NULL, pk.data,
                                          TEE_KEM_MLKEM_PK);
    if (pkey == NULL) {
        return tee_openssl_rc(TEE_CRYPTO);
    }

    rc = TEE_OK;
    ctx = EVP_PKEY_CTX_new_from_pkey(NULL, pkey, NULL);

    if (ctx == NULL
        || EVP_PKEY_encapsulate_init(ctx, params) != 1
        || EVP_PKEY_encapsulate(ctx, ct, &ct_len, ss, &ss_len) != 1
        || ct_len != TEE_KEM_MLKEM_CT
        || ss_len != 32)
    {
        rc = TEE_NOMEM;
    }

    EVP_PKEY_CTX_free(ctx);
    EVP_PKEY_free(pkey);

    return rc;
}


/* Decapsulate(); 5.5 */

tee_rc_t
tee_xwing_decap(tee_crypto_t *crypto, const tee_hpke_key_t *key,
    tee_str_t enc, uint8_t secret[TEE_KEM_SECRET_LEN])
{
    size_t     len;
    uint8_t    ss_m[32], ss_x[32];
    tee_rc_t   rc;
    tee_str_t  ct_x;

    len = 32;

    ct_x.len = TEE_KEM_X25519_LEN;
    ct_x.data = enc.data + TEE_KEM_MLKEM_CT;

    ERR_set_mark();

    rc = tee_kem_dh(crypto, key, ct_x, ss_x);

    if (rc == TEE_OK
        && (EVP_PKEY_decapsulate(key->decap, ss_m, &len, enc.data,
                                 TEE_KEM_MLKEM_CT)
            != 1
            || len != 32))
    {
        rc = tee_openssl_rc(TEE_CRYPTO);
    }

    if (rc == TEE_OK) {
        rc = tee_xwing_combine(ss_m, ss_x, ct_x.data,
                               key->pk + TEE_KEM_MLKEM_PK, secret);
    }

    tee_wipe(ss_m, sizeof(ss_m));
    tee_wipe(ss_x, sizeof(ss_x));
    ERR_pop_to_mark();

    return rc;
}

#else

int
tee_xwing_known(void)
{
    return 0;
}


tee_rc_t
tee_xwing_key(tee_hpke_key_t *key, const uint8_t sk[32])
{
    (void) key;
    (void) sk;

    return TEE_UNSUPPORTED;
}


tee_rc_t
tee_xwing_derive(tee_str_t ikm, uint8_t sk[32])
{
    (void) ikm;
    (void) sk;

    return TEE_UNSUPPORTED;
}


tee_rc_t
tee_xwing_public(tee_str_t pk)
{
    (void) pk;

    return TEE_UNSUPPORTED;
}


tee_rc_t
tee_xwing_encap(tee_crypto_t *crypto, tee_str_t pk, tee_str_t seed,
    uint8_t *enc, uint8_t secret[TEE_KEM_SECRET_LEN])
{
    (void) crypto;
    (void) pk;
    (void) seed;
    (void) enc;
    (void) secret;

    return TEE_UNSUPPORTED;
}


tee_rc_t
tee_xwing_decap(tee_crypto_t *crypto, const tee_hpke_key_t *key,
    tee_str_t enc, uint8_t secret[TEE_KEM_SECRET_LEN])
{
    (void) crypto;
    (void) key;
    (void) enc;
    (void) secret;

    return TEE_UNSUPPORTED;
}

#endif
