
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <string.h>

#include <tee_crypto.h>
#include <tee_hpke.h>
#include <tee_hkdf.h>
#include <tee_kem.h>


static int tee_hpke_low_order(const uint8_t pk[32]);
static tee_rc_t tee_hpke_known(uint16_t kdf, uint16_t aead);
static tee_rc_t tee_hpke_key_schedule(tee_hpke_t *h, tee_crypto_t *crypto,
    uint16_t kem, uint16_t aead, const uint8_t secret[TEE_KEM_SECRET_LEN],
    tee_str_t info, int open);


size_t
tee_hpke_pk_len(uint16_t kem)
{
    switch (kem) {

    case TEE_KEM_P256:
        return TEE_KEM_P256_LEN;

    case TEE_KEM_X25519:
        return TEE_KEM_X25519_LEN;

    case TEE_KEM_X_WING:
        return tee_xwing_known() ? TEE_KEM_MLKEM_PK + TEE_KEM_X25519_LEN : 0;

    default:
        return 0;
    }
}


size_t
tee_hpke_enc_len(uint16_t kem)
{
    if (kem == TEE_KEM_X_WING) {
        return tee_xwing_known() ? TEE_KEM_MLKEM_CT + TEE_KEM_X25519_LEN : 0;
    }

    return tee_hpke_pk_len(kem);
}


size_t
tee_hpke_sk_len(uint16_t kem)
{
    return tee_hpke_pk_len(kem) ? 32 : 0;
}


/*
 * Every string of 32 bytes is a key (RFC 7748, 5), but with these points the
 * shared secret is zero, whoever the other side is; the highest bit is not
 * looked at, and p and p + 1 are other spellings of 0 and 1.
 */

static int
tee_hpke_low_order(const uint8_t pk[32])
{
    size_t   i;
    uint8_t  u[32];

    static const uint8_t  points[7][32] = {
        { 0 },
        { 1 },
        { 0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae,
          0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f, 0xc4, 0x6a,
          0xda, 0x09, 0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd,
          0x86, 0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8, 0x00 },
        { 0x5f, 0x9c, 0x95, 0xbc, 0xa3, 0x50, 0x8c, 0x24,
          0xb1, 0xd0, 0xb1, 0x55, 0x9c, 0x83, 0xef, 0x5b,
          0x04, 0x44, 0x5c, 0xc4, 0x58, 0x1c, 0x8e, 0x86,
          0xd8, 0x22, 0x4e, 0xdd, 0xd0, 0x9f, 0x11, 0x57 },
        { 0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
          0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
          0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
          0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f },
        { 0xed, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
          0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
          0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
          0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f },
        { 0xee, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
          0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
          0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
          0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f }
    };

    memcpy(u, pk, 32);
    u[31] &= 0x7f;

    for (i = 0; i < 7; i++) {
        if (memcmp(u, points[i], 32) == 0) {
            return 1;
        }
    }

    return 0;
}


tee_rc_t
tee_hpke_public_check(uint16_t kem, tee_str_t pk)
{
    if (tee_hpke_pk_len(kem) == 0) {
        return TEE_UNSUPPORTED;
    }

    if (pk.len != tee_hpke_pk_len(kem)) {
        return TEE_MALFORMED;
    }

    switch (kem) {

    case TEE_KEM_P256:
        return tee_crypto_p256_point(pk.data);

    case TEE_KEM_X25519:
        return tee_hpke_low_order(pk.data) ? TEE_CRYPTO : TEE_OK;

    default:
        return tee_xwing_public(pk);
    }
}


tee_rc_t
tee_hpke_receive(tee_hpke_t *h, tee_crypto_t *crypto,
    const tee_hpke_key_t *key, uint16_t kdf, uint16_t aead, tee_str_t enc,
    tee_str_t info)
{
    uint8_t   secret[TEE_KEM_SECRET_LEN];
    tee_rc_t  rc;

    memset(h, 0, sizeof(tee_hpke_t));

    rc = tee_hpke_known(kdf, aead);

    if (rc != TEE_OK) {
        return rc;
    }

    if (enc.len != tee_hpke_enc_len(key->kem)) {
        return TEE_MALFORMED;
    }

    rc = tee_kem_decap(crypto, key, enc, secret);

    if (rc == TEE_OK) {
        rc = tee_hpke_key_schedule(h, crypto, key->kem, aead, secret, info, 1);
    }

    tee_wipe(secret, sizeof(secret));

    return rc;
}


tee_rc_t
tee_hpke_send(tee_hpke_t *h, tee_crypto_t *crypto, uint16_t kem, tee_str_t pk,
    const tee_hpke_key_t *ephemeral, tee_str_t seed, uint16_t kdf,
    uint16_t aead, tee_str_t info, uint8_t *enc, size_t *enc_len)
{
    uint8_t   secret[TEE_KEM_SECRET_LEN];
    tee_rc_t  rc;

    memset(h, 0, sizeof(tee_hpke_t));
    *enc_len = 0;

    rc = tee_hpke_known(kdf, aead);

    if (rc != TEE_OK) {
        return rc;
    }

    rc = tee_hpke_public_check(kem, pk);

    if (rc != TEE_OK) {
        return rc;
    }

    rc = tee_kem_encap(crypto, kem, pk, ephemeral, seed, enc, secret);

    if (rc == TEE_OK) {
        rc = tee_hpke_key_schedule(h, crypto, kem, aead, secret, info, 0);
    }

    if (rc == TEE_OK) {
        *enc_len = tee_hpke_enc_len(kem);
    }

    tee_wipe(secret, sizeof(secret));

    return rc;
}


static tee_rc_t
tee_hpke_known(uint16_t kdf, uint16_t aead)
{
    return kdf == TEE_KDF_HKDF_SHA256 && tee_aead_key_len(aead)
           ? TEE_OK : TEE_UNSUPPORTED;
}


/* KeySchedule() of the base mode, so without a PSK; RFC 9180, 5.1. */

static tee_rc_t
tee_hpke_key_schedule(tee_hpke_t *h, tee_crypto_t *crypto, uint16_t kem,
    uint16_t aead, const uint8_t shared_secret[TEE_KEM_SECRET_LEN],
    tee_str_t info, int open)
{
    uint8_t    context[1 + 2 * TEE_HKDF_LEN], secret[TEE_HKDF_LEN];
    uint8_t    key[TEE_AEAD_MAX_KEY], base_nonce[TEE_AEAD_NONCE_LEN];
    tee_rc_t   rc;
    tee_str_t  suite_id, salt, ks_context;
    tee_str_t  none = { 0, NULL };

    h->crypto = crypto;

    memcpy(h->suite_id, "HPKE", 4);
    h->suite_id[4] = (uint8_t) (kem >> 8);
    h->suite_id[5] = (uint8_t) (kem & 0xff);
    h->suite_id[6] = 0;
    h->suite_id[7] = TEE_KDF_HKDF_SHA256;
    h->suite_id[8] = (uint8_t) (aead >> 8);
    h->suite_id[9] = (uint8_t) (aead & 0xff);

    suite_id.len = sizeof(h->suite_id);
    suite_id.data = h->suite_id;

    salt.len = TEE_KEM_SECRET_LEN;
    salt.data = shared_secret;

    ks_context.len = sizeof(context);
    ks_context.data = context;

    context[0] = 0;

    rc = tee_kem_labeled_extract(crypto, suite_id, none, "psk_id_hash", none,
                                 context + 1);
    if (rc != TEE_OK) {
        goto done;
    }

    rc = tee_kem_labeled_extract(crypto, suite_id, none, "info_hash", info,
                                 context + 1 + TEE_HKDF_LEN);
    if (rc != TEE_OK) {
        goto done;
    }

    rc = tee_kem_labeled_extract(crypto, suite_id, salt, "secret", none,
                                 secret);
    if (rc != TEE_OK) {
        goto done;
    }

    rc = tee_kem_labeled_expand(crypto, suite_id, secret, "key", ks_context,
                                key, tee_aead_key_len(aead));
    if (rc != TEE_OK) {
        goto done;
    }

    rc = tee_kem_labeled_expand(crypto, suite_id, secret, "base_nonce",
                                ks_context, base_nonce, TEE_AEAD_NONCE_LEN);
    if (rc != TEE_OK) {
        goto done;
    }

    rc = tee_kem_labeled_expand(crypto, suite_id, secret, "exp", ks_context,
                                h->exporter_secret, TEE_HKDF_LEN);
    if (rc != TEE_OK) {
        goto done;
    }

    rc = tee_aead_init(&h->aead, crypto, aead, key, base_nonce, open);

done:

    tee_wipe(secret, sizeof(secret));
    tee_wipe(key, sizeof(key));
    tee_wipe(base_nonce, sizeof(base_nonce));

    if (rc != TEE_OK) {
        tee_hpke_free(h);
    }

    return rc;
}


tee_rc_t
tee_hpke_export(const tee_hpke_t *h, tee_str_t context, uint8_t *out,
    size_t len)
{
    tee_str_t  suite_id;

    suite_id.len = sizeof(h->suite_id);
    suite_id.data = h->suite_id;

    return tee_kem_labeled_expand(h->crypto, suite_id, h->exporter_secret,
                                  "sec", context, out, len);
}


void
tee_hpke_free(tee_hpke_t *h)
{
    tee_aead_free(&h->aead);
    tee_wipe(h, sizeof(tee_hpke_t));
}
