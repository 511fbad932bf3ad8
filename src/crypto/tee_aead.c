
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <string.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/obj_mac.h>

#include <tee_aead.h>
#include <tee_crypto_state.h>
#include <tee_openssl.h>


/* What libcrypto counts in an int. */

#define TEE_AEAD_PIECE  ((size_t) 1 << 30)


typedef struct {
    const char           *name;
    size_t                key_len;
    uint64_t              max;                 /* of a message */
} tee_aead_alg_t;


static const tee_aead_alg_t *tee_aead_alg(uint16_t aead);
static tee_rc_t tee_aead_fail(tee_aead_t *a, tee_rc_t rc);


/* NIST SP 800-38D, 5.2.1.1; RFC 8439, 2.8 */

static const tee_aead_alg_t  tee_aead_algs[TEE_AEAD_N] = {
    { "AES-128-GCM", 16, ((uint64_t) 1 << 36) - 32 },
    { "AES-256-GCM", 32, ((uint64_t) 1 << 36) - 32 },
    { "ChaCha20-Poly1305", 32, ((uint64_t) 1 << 38) - 64 }
};


tee_crypto_t *
tee_crypto_new(const tee_alloc_t *alloc)
{
    size_t         i;
    tee_crypto_t  *crypto;

    crypto = alloc->alloc(alloc->ctx, sizeof(tee_crypto_t));
    if (crypto == NULL) {
        return NULL;
    }

    memset(crypto, 0, sizeof(tee_crypto_t));

    crypto->alloc = alloc;

    ERR_set_mark();

    for (i = 0; i < TEE_AEAD_N; i++) {
        crypto->ciphers[i] = EVP_CIPHER_fetch(NULL, tee_aead_algs[i].name,
                                              NULL);
        if (crypto->ciphers[i] == NULL) {
            goto failed;
        }
    }

    crypto->sha256 = EVP_MD_fetch(NULL, "SHA2-256", NULL);
    crypto->md = EVP_MD_CTX_new();
    crypto->p256 = EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1);
    crypto->peer_x25519 = tee_kem_peer("X25519", NULL);
    crypto->peer_p256 = tee_kem_peer("EC", "prime256v1");

    if (crypto->sha256 == NULL
        || crypto->md == NULL
        || crypto->p256 == NULL
        || crypto->peer_x25519 == NULL
        || crypto->peer_p256 == NULL)
    {
        goto failed;
    }

    ERR_pop_to_mark();

    return crypto;

failed:

    ERR_pop_to_mark();
    tee_crypto_free(crypto);

    return NULL;
}


void
tee_crypto_free(tee_crypto_t *crypto)
{
    size_t  i;

    if (crypto == NULL) {
        return;
    }

    for (i = 0; i < TEE_AEAD_N; i++) {
        EVP_CIPHER_free(crypto->ciphers[i]);
    }

    EVP_MD_free(crypto->sha256);
    EVP_MD_CTX_free(crypto->md);
    EC_GROUP_free(crypto->p256);
    EVP_PKEY_free(crypto->peer_x25519);
    EVP_PKEY_free(crypto->peer_p256);

    crypto->alloc->free(crypto->alloc->ctx, crypto);
}


static const tee_aead_alg_t *
tee_aead_alg(uint16_t aead)
{
    return aead >= 1 && aead <= TEE_AEAD_N ? &tee_aead_algs[aead - 1] : NULL;
}


size_t
tee_aead_key_len(uint16_t aead)
{
    const tee_aead_alg_t  *alg;

    alg = tee_aead_alg(aead);

    return alg ? alg->key_len : 0;
}


tee_rc_t
tee_aead_init(tee_aead_t *a, tee_crypto_t *crypto, uint16_t id,
    const uint8_t *key, const uint8_t nonce[TEE_AEAD_NONCE_LEN], int open)
{
    tee_rc_t         rc;
    EVP_CIPHER_CTX  *ctx;

    memset(a, 0, sizeof(tee_aead_t));

    if (tee_aead_alg(id) == NULL) {
        return TEE_UNSUPPORTED;
    }

    ERR_set_mark();

    rc = TEE_OK;
    ctx = EVP_CIPHER_CTX_new();

    if (ctx == NULL
        || EVP_CipherInit_ex2(ctx, crypto->ciphers[id - 1], key, NULL,
                              open ? 0 : 1, NULL)
           != 1)
    {
        EVP_CIPHER_CTX_free(ctx);
        ctx = NULL;
        rc = TEE_NOMEM;
    }

    ERR_pop_to_mark();

    if (rc == TEE_OK) {
        a->crypto = crypto;
        a->ctx = ctx;
        a->id = id;
        a->open = open ? 1 : 0;
        memcpy(a->nonce, nonce, TEE_AEAD_NONCE_LEN);
    }

    return rc;
}


void
tee_aead_free(tee_aead_t *a)
{
    /* this wipes the key, and everything derived from it */

    EVP_CIPHER_CTX_free(a->ctx);
    tee_wipe(a, sizeof(tee_aead_t));
}


static tee_rc_t
tee_aead_fail(tee_aead_t *a, tee_rc_t rc)
{
    tee_aead_free(a);
    a->rc = rc;

    return rc;
}


tee_rc_t
tee_aead_begin(tee_aead_t *a, tee_str_t aad)
{
    int       n;
    size_t    i;
    uint8_t   iv[TEE_AEAD_NONCE_LEN];
    tee_rc_t  rc;

    if (a->rc != TEE_OK) {
        return a->rc;
    }

    if (a->ctx == NULL
        || a->busy
        || a->seq == UINT64_MAX
        || aad.len > TEE_AEAD_PIECE)
    {
        return tee_aead_fail(a, TEE_LIMIT);
    }

    memcpy(iv, a->nonce, TEE_AEAD_NONCE_LEN);

    for (i = 0; i < 8; i++) {
        iv[TEE_AEAD_NONCE_LEN - 1 - i] ^= (uint8_t) (a->seq >> 8 * i & 0xff);
    }

    a->seq++;
    a->busy = 1;
    a->left = tee_aead_algs[a->id - 1].max;

    ERR_set_mark();

    rc = TEE_OK;

    if (EVP_CipherInit_ex2(a->ctx, NULL, NULL, iv, -1, NULL) != 1
        || (aad.len
            && EVP_CipherUpdate(a->ctx, NULL, &n, aad.data, (int) aad.len)
               != 1))
    {
        rc = tee_aead_fail(a, TEE_NOMEM);
    }

    ERR_pop_to_mark();
    tee_wipe(iv, TEE_AEAD_NONCE_LEN);

    return rc;
}


tee_rc_t
tee_aead_update(tee_aead_t *a, tee_str_t in, uint8_t *out)
{
    int       n;
    size_t    len;
    tee_rc_t  rc;

    if (a->rc != TEE_OK) {
        return a->rc;
    }

    if (!a->busy || in.len > a->left) {
        return tee_aead_fail(a, TEE_LIMIT);
    }

    a->left -= in.len;

    ERR_set_mark();

    rc = TEE_OK;

    while (in.len) {
        len = in.len < TEE_AEAD_PIECE ? in.len : TEE_AEAD_PIECE;

        if (EVP_CipherUpdate(a->ctx, out, &n, in.data, (int) len) != 1) {
            rc = tee_aead_fail(a, TEE_NOMEM);
            break;
        }

        in.len -= len;
        in.data += len;
        out += len;
    }

    ERR_pop_to_mark();

    return rc;
}


tee_rc_t
tee_aead_seal_end(tee_aead_t *a, uint8_t tag[TEE_AEAD_TAG_LEN])
{
    int       n;
    uint8_t   none[TEE_AEAD_TAG_LEN];
    tee_rc_t  rc;

    memset(tag, 0, TEE_AEAD_TAG_LEN);

    if (a->rc != TEE_OK) {
        return a->rc;
    }

    if (!a->busy || a->open) {
        return tee_aead_fail(a, TEE_LIMIT);
    }

    ERR_set_mark();

    rc = TEE_OK;
    a->busy = 0;

    if (EVP_CipherFinal_ex(a->ctx, none, &n) != 1
        || EVP_CIPHER_CTX_ctrl(a->ctx, EVP_CTRL_AEAD_GET_TAG,
                               TEE_AEAD_TAG_LEN, tag)
           != 1)
    {
        memset(tag, 0, TEE_AEAD_TAG_LEN);
        rc = tee_aead_fail(a, TEE_NOMEM);
    }

    ERR_pop_to_mark();

    return rc;
}


tee_rc_t
tee_aead_open_end(tee_aead_t *a, const uint8_t tag[TEE_AEAD_TAG_LEN])
{
    int       n;
    uint8_t   copy[TEE_AEAD_TAG_LEN], none[TEE_AEAD_TAG_LEN];
    tee_rc_t  rc;

    if (a->rc != TEE_OK) {
        return a->rc;
    }

    if (!a->busy || !a->open) {
        return tee_aead_fail(a, TEE_LIMIT);
    }

    memcpy(copy, tag, TEE_AEAD_TAG_LEN);

    ERR_set_mark();

    rc = TEE_OK;
    a->busy = 0;

    if (EVP_CIPHER_CTX_ctrl(a->ctx, EVP_CTRL_AEAD_SET_TAG, TEE_AEAD_TAG_LEN,
                            copy)
        != 1)
    {
        rc = tee_aead_fail(a, TEE_NOMEM);

    } else if (EVP_CipherFinal_ex(a->ctx, none, &n) != 1) {
        rc = tee_aead_fail(a, tee_openssl_rc(TEE_CRYPTO));
    }

    ERR_pop_to_mark();

    return rc;
}
