
/*
 * Copyright (C) The ngx_http_tee authors
 */


/* DHKEM of HPKE; RFC 9180, 4.1. */


#include <string.h>

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include <tee_crypto.h>
#include <tee_crypto_state.h>
#include <tee_hkdf.h>
#include <tee_kem.h>
#include <tee_openssl.h>


static const uint8_t  tee_kem_zero[TEE_KEM_SECRET_LEN];


EVP_PKEY *
tee_kem_peer(const char *type, const char *group)
{
    char           name[16];
    uint8_t        base[TEE_KEM_X25519_LEN];
    EVP_PKEY      *pkey;
    OSSL_PARAM     params[2];
    EVP_PKEY_CTX  *ctx;

    if (group == NULL) {
        /* RFC 7748, 4.1; any other point would do */
        memset(base, 0, sizeof(base));
        base[0] = 9;

        return EVP_PKEY_new_raw_public_key_ex(NULL, type, NULL, base,
                                              sizeof(base));
    }

    strncpy(name, group, sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';

    params[0] = OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME,
                                                 name, 0);
    params[1] = OSSL_PARAM_construct_end();

    pkey = NULL;
    ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);

    if (ctx
        && EVP_PKEY_fromdata_init(ctx) == 1
        && EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_KEY_PARAMETERS, params) != 1)
    {
        pkey = NULL;
    }

    EVP_PKEY_CTX_free(ctx);

    return pkey;
}


tee_rc_t
tee_kem_dh(tee_crypto_t *crypto, const tee_hpke_key_t *key, tee_str_t pk,
    uint8_t dh[TEE_KEM_SECRET_LEN])
{
    size_t     len;
    tee_rc_t   rc;
    EVP_PKEY  *peer;

    peer = key->kem == TEE_KEM_P256 ? crypto->peer_p256 : crypto->peer_x25519;

    ERR_set_mark();

    len = TEE_KEM_SECRET_LEN;

    /*
     * A point that is not on the curve is not taken as a key, so checking it
     * again, and its order as well, which is that of P-256, is left out.
     */

    if (EVP_PKEY_set1_encoded_public_key(peer, pk.data, pk.len) != 1) {
        rc = tee_openssl_rc(TEE_CRYPTO);

    } else if (EVP_PKEY_derive_set_peer_ex(key->derive, peer, 0) != 1) {
        rc = TEE_NOMEM;

    } else if (EVP_PKEY_derive(key->derive, dh, &len) != 1) {
        rc = tee_openssl_rc(TEE_CRYPTO);

    } else {
        /* RFC 9180, 7.1.4 */
        rc = len != TEE_KEM_SECRET_LEN || tee_ct_equal(dh, tee_kem_zero, len)
             ? TEE_CRYPTO : TEE_OK;
    }

    ERR_pop_to_mark();

    if (rc != TEE_OK) {
        tee_wipe(dh, TEE_KEM_SECRET_LEN);
    }

    return rc;
}


/* ExtractAndExpand(dh, enc || pkR) */

static tee_rc_t
tee_kem_secret(tee_crypto_t *crypto, uint16_t kem,
    const uint8_t dh[TEE_KEM_SECRET_LEN], tee_str_t enc, tee_str_t pk,
    uint8_t secret[TEE_KEM_SECRET_LEN])
{
    uint8_t    suite[5], prk[32], context[2 * TEE_KEM_P256_LEN];
    tee_rc_t   rc;
    tee_str_t  suite_id, ikm, info;
    tee_str_t  none = { 0, NULL };

    memcpy(suite, "KEM", 3);
    suite[3] = (uint8_t) (kem >> 8);
    suite[4] = (uint8_t) (kem & 0xff);

    suite_id.len = 5;
    suite_id.data = suite;

    memcpy(context, enc.data, enc.len);
    memcpy(context + enc.len, pk.data, pk.len);

    info.len = enc.len + pk.len;
    info.data = context;

    ikm.len = TEE_KEM_SECRET_LEN;
    ikm.data = dh;

    rc = tee_kem_labeled_extract(crypto, suite_id, none, "eae_prk", ikm, prk);

    if (rc == TEE_OK) {
        rc = tee_kem_labeled_expand(crypto, suite_id, prk, "shared_secret",
                                    info, secret, TEE_KEM_SECRET_LEN);
    }

    tee_wipe(prk, sizeof(prk));

    return rc;
}


tee_rc_t
tee_kem_encap(tee_crypto_t *crypto, uint16_t kem, tee_str_t pk,
    const tee_hpke_key_t *ephemeral, tee_str_t seed, uint8_t *enc,
    uint8_t secret[TEE_KEM_SECRET_LEN])
{
    uint8_t    dh[TEE_KEM_SECRET_LEN];
    tee_rc_t   rc;
    tee_str_t  mine;

    tee_wipe(secret, TEE_KEM_SECRET_LEN);

    if (kem == TEE_KEM_X_WING) {
        return tee_xwing_encap(crypto, pk, seed, enc, secret);
    }

    mine = tee_hpke_key_public(ephemeral);

    rc = tee_kem_dh(crypto, ephemeral, pk, dh);

    if (rc == TEE_OK) {
        rc = tee_kem_secret(crypto, kem, dh, mine, pk, secret);
    }

    if (rc == TEE_OK) {
        memcpy(enc, mine.data, mine.len);
    }

    tee_wipe(dh, sizeof(dh));

    return rc;
}


tee_rc_t
tee_kem_decap(tee_crypto_t *crypto, const tee_hpke_key_t *key, tee_str_t enc,
    uint8_t secret[TEE_KEM_SECRET_LEN])
{
    uint8_t   dh[TEE_KEM_SECRET_LEN];
    tee_rc_t  rc;

    tee_wipe(secret, TEE_KEM_SECRET_LEN);

    if (key->kem == TEE_KEM_X_WING) {
        return tee_xwing_decap(crypto, key, enc, secret);
    }

    if (key->kem == TEE_KEM_P256 && enc.data[0] != 4) {
        /* RFC 9180, 7.1.1: the uncompressed form only */
        return TEE_CRYPTO;
    }

    rc = tee_kem_dh(crypto, key, enc, dh);

    if (rc == TEE_OK) {
        rc = tee_kem_secret(crypto, key->kem, dh, enc,
                            tee_hpke_key_public(key), secret);
    }

    tee_wipe(dh, sizeof(dh));

    return rc;
}


tee_rc_t
tee_kem_labeled_extract(tee_crypto_t *crypto, tee_str_t suite_id,
    tee_str_t salt, const char *label, tee_str_t ikm, uint8_t prk[32])
{
    tee_str_t  parts[4];

    parts[0].len = 7;
    parts[0].data = (const uint8_t *) "HPKE-v1";
    parts[1] = suite_id;
    parts[2].len = strlen(label);
    parts[2].data = (const uint8_t *) label;
    parts[3] = ikm;

    return tee_hkdf_extract(crypto, salt, parts, 4, prk);
}


tee_rc_t
tee_kem_labeled_expand(tee_crypto_t *crypto, tee_str_t suite_id,
    const uint8_t prk[32], const char *label, tee_str_t info, uint8_t *out,
    size_t len)
{
    uint8_t    number[2];
    tee_str_t  parts[5];

    number[0] = (uint8_t) (len >> 8 & 0xff);
    number[1] = (uint8_t) (len & 0xff);

    parts[0].len = 2;
    parts[0].data = number;
    parts[1].len = 7;
    parts[1].data = (const uint8_t *) "HPKE-v1";
    parts[2] = suite_id;
    parts[3].len = strlen(label);
    parts[3].data = (const uint8_t *) label;
    parts[4] = info;

    return tee_hkdf_expand(crypto, prk, parts, 5, out, len);
}
