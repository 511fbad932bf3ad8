
/*
 * Copyright (C) The ngx_http_tee authors
 */


/* Private keys of HPKE. */


#include <string.h>

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include <tee_crypto.h>
#include <tee_crypto_state.h>
#include <tee_kem.h>
#include <tee_openssl.h>


static tee_rc_t tee_hpke_key_p256(tee_hpke_key_t *key, const uint8_t sk[32]);
static tee_rc_t tee_hpke_key_p256_pkey(tee_hpke_key_t *key, const BIGNUM *sk);
static tee_rc_t tee_hpke_key_agree(tee_hpke_key_t *key);
static tee_rc_t tee_hpke_derive_p256(tee_crypto_t *crypto, tee_str_t suite_id,
    const uint8_t prk[32], uint8_t sk[32]);


tee_rc_t
tee_hpke_key_new(tee_crypto_t *crypto, uint16_t kem, tee_str_t sk,
    tee_hpke_key_t **key)
{
    tee_rc_t         rc;
    tee_hpke_key_t  *k;

    *key = NULL;

    if (tee_hpke_sk_len(kem) == 0) {
        return TEE_UNSUPPORTED;
    }

    if (sk.len != tee_hpke_sk_len(kem)) {
        return TEE_MALFORMED;
    }

    k = crypto->alloc->alloc(crypto->alloc->ctx, sizeof(tee_hpke_key_t));
    if (k == NULL) {
        return TEE_NOMEM;
    }

    memset(k, 0, sizeof(tee_hpke_key_t));

    k->crypto = crypto;
    k->kem = kem;
    k->pk_len = tee_hpke_pk_len(kem);

    ERR_set_mark();

    switch (kem) {

    case TEE_KEM_P256:
        rc = tee_hpke_key_p256(k, sk.data);
        break;

    case TEE_KEM_X25519:
        rc = tee_kem_x25519(k, sk.data, k->pk);
        break;

    default:
        rc = tee_xwing_key(k, sk.data);
    }

    if (rc == TEE_OK) {
        rc = tee_hpke_key_agree(k);
    }

    ERR_pop_to_mark();

    if (rc != TEE_OK) {
        tee_hpke_key_free(k);
        return rc;
    }

    *key = k;

    return TEE_OK;
}


tee_rc_t
tee_kem_x25519(tee_hpke_key_t *key, const uint8_t sk[32],
    uint8_t pk[TEE_KEM_X25519_LEN])
{
    size_t  len;

    len = TEE_KEM_X25519_LEN;

    key->pkey = EVP_PKEY_new_raw_private_key_ex(NULL, "X25519", NULL, sk, 32);

    if (key->pkey == NULL
        || EVP_PKEY_get_raw_public_key(key->pkey, pk, &len) != 1)
    {
        return TEE_NOMEM;
    }

    return TEE_OK;
}


static tee_rc_t
tee_hpke_key_p256(tee_hpke_key_t *key, const uint8_t sk[32])
{
    BIGNUM        *n;
    tee_rc_t       rc;
    EC_POINT      *point;
    const BIGNUM  *order;

    order = EC_GROUP_get0_order(key->crypto->p256);
    point = EC_POINT_new(key->crypto->p256);
    n = BN_secure_new();

    if (point == NULL || n == NULL || BN_bin2bn(sk, 32, n) == NULL) {
        rc = TEE_NOMEM;
        goto done;
    }

    /* whether a key is valid is told to whoever configured it */

    if (BN_is_zero(n) || BN_cmp(n, order) >= 0) {
        rc = TEE_CRYPTO;
        goto done;
    }

    BN_set_flags(n, BN_FLG_CONSTTIME);

    if (EC_POINT_mul(key->crypto->p256, point, n, NULL, NULL, NULL) != 1
        || EC_POINT_point2oct(key->crypto->p256, point,
                              POINT_CONVERSION_UNCOMPRESSED, key->pk,
                              TEE_KEM_P256_LEN, NULL)
           != TEE_KEM_P256_LEN)
    {
        rc = TEE_NOMEM;
        goto done;
    }

    rc = tee_hpke_key_p256_pkey(key, n);

done:

    EC_POINT_free(point);
    BN_clear_free(n);

    return rc;
}


static tee_rc_t
tee_hpke_key_p256_pkey(tee_hpke_key_t *key, const BIGNUM *sk)
{
    char           group[] = "prime256v1";
    uint8_t        number[32];
    tee_rc_t       rc;
    OSSL_PARAM     params[4];
    EVP_PKEY_CTX  *ctx;

    /* a parameter has the byte order of the machine */

    if (BN_bn2nativepad(sk, number, sizeof(number)) != (int) sizeof(number)) {
        return TEE_NOMEM;
    }

    params[0] = OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME,
                                                 group, 0);
    params[1] = OSSL_PARAM_construct_BN(OSSL_PKEY_PARAM_PRIV_KEY, number,
                                        sizeof(number));
    params[2] = OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY,
                                                  key->pk, TEE_KEM_P256_LEN);
    params[3] = OSSL_PARAM_construct_end();

    rc = TEE_OK;
    ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);

    if (ctx == NULL
        || EVP_PKEY_fromdata_init(ctx) != 1
        || EVP_PKEY_fromdata(ctx, &key->pkey, EVP_PKEY_KEYPAIR, params) != 1)
    {
        key->pkey = NULL;
        rc = TEE_NOMEM;
    }

    EVP_PKEY_CTX_free(ctx);
    tee_wipe(number, sizeof(number));

    return rc;
}


static tee_rc_t
tee_hpke_key_agree(tee_hpke_key_t *key)
{
    key->derive = EVP_PKEY_CTX_new_from_pkey(NULL, key->pkey, NULL);

    if (key->derive == NULL || EVP_PKEY_derive_init(key->derive) != 1) {
        return TEE_NOMEM;
    }

    return TEE_OK;
}


void
tee_hpke_key_free(tee_hpke_key_t *key)
{
    const tee_alloc_t  *alloc;

    if (key == NULL) {
        return;
    }

    /* libcrypto wipes what it has */

    EVP_PKEY_CTX_free(key->derive);
    EVP_PKEY_CTX_free(key->decap);
    EVP_PKEY_free(key->pkey);
    EVP_PKEY_free(key->mlkem);

    alloc = key->crypto->alloc;

    tee_wipe(key, sizeof(tee_hpke_key_t));
    alloc->free(alloc->ctx, key);
}


uint16_t
tee_hpke_key_kem(const tee_hpke_key_t *key)
{
    return key->kem;
}


tee_str_t
tee_hpke_key_public(const tee_hpke_key_t *key)
{
    tee_str_t  pk;

    pk.len = key->pk_len;
    pk.data = key->pk;

    return pk;
}


tee_rc_t
tee_hpke_key_derive(tee_crypto_t *crypto, uint16_t kem, tee_str_t ikm,
    tee_hpke_key_t **key)
{
    uint8_t    suite[5], prk[32], sk[TEE_HPKE_MAX_SK];
    tee_rc_t   rc;
    tee_str_t  suite_id, serialized;
    tee_str_t  none = { 0, NULL };

    *key = NULL;

    if (tee_hpke_sk_len(kem) == 0) {
        return TEE_UNSUPPORTED;
    }

    if (ikm.len < tee_hpke_sk_len(kem)) {
        return TEE_MALFORMED;
    }

    memcpy(suite, "KEM", 3);
    suite[3] = (uint8_t) (kem >> 8);
    suite[4] = (uint8_t) (kem & 0xff);

    suite_id.len = 5;
    suite_id.data = suite;

    if (kem == TEE_KEM_X_WING) {
        rc = tee_xwing_derive(ikm, sk);

    } else {
        rc = tee_kem_labeled_extract(crypto, suite_id, none, "dkp_prk", ikm,
                                     prk);

        if (rc == TEE_OK) {
            rc = kem == TEE_KEM_P256
                 ? tee_hpke_derive_p256(crypto, suite_id, prk, sk)
                 : tee_kem_labeled_expand(crypto, suite_id, prk, "sk", none,
                                          sk, 32);
        }

        tee_wipe(prk, sizeof(prk));
    }

    if (rc == TEE_OK) {
        serialized.len = 32;
        serialized.data = sk;
        rc = tee_hpke_key_new(crypto, kem, serialized, key);
    }

    tee_wipe(sk, sizeof(sk));

    return rc;
}


/* RFC 9180, 7.1.3; a second round has a chance of 2^-32. */

static tee_rc_t
tee_hpke_derive_p256(tee_crypto_t *crypto, tee_str_t suite_id,
    const uint8_t prk[32], uint8_t sk[32])
{
    BIGNUM        *n;
    uint8_t        counter;
    tee_rc_t       rc;
    tee_str_t      info;
    const BIGNUM  *order;

    order = EC_GROUP_get0_order(crypto->p256);

    info.len = 1;
    info.data = &counter;

    ERR_set_mark();

    n = BN_secure_new();
    rc = n ? TEE_CRYPTO : TEE_NOMEM;

    for (counter = 0; n && counter < 255; counter++) {

        rc = tee_kem_labeled_expand(crypto, suite_id, prk, "candidate", info,
                                    sk, 32);
        if (rc != TEE_OK) {
            break;
        }

        if (BN_bin2bn(sk, 32, n) == NULL) {
            rc = TEE_NOMEM;
            break;
        }

        if (!BN_is_zero(n) && BN_cmp(n, order) < 0) {
            break;
        }

        rc = TEE_CRYPTO;
    }

    BN_clear_free(n);
    ERR_pop_to_mark();

    return rc;
}
