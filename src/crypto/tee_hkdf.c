
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <string.h>

#include <openssl/err.h>
#include <openssl/evp.h>

#include <tee_crypto_state.h>
#include <tee_hkdf.h>


#define TEE_HMAC_BLOCK  64


static int tee_hmac(tee_crypto_t *crypto, tee_str_t key, tee_str_t first,
    const tee_str_t *parts, size_t n, const uint8_t *last,
    uint8_t mac[TEE_HKDF_LEN]);
static int tee_hmac_pad(tee_crypto_t *crypto, const uint8_t *key,
    uint8_t value);


tee_rc_t
tee_hkdf_extract(tee_crypto_t *crypto, tee_str_t salt, const tee_str_t *ikm,
    size_t n, uint8_t prk[TEE_HKDF_LEN])
{
    int        ok;
    tee_str_t  none = { 0, NULL };

    ERR_set_mark();

    ok = tee_hmac(crypto, salt, none, ikm, n, NULL, prk);

    ERR_pop_to_mark();

    if (!ok) {
        tee_wipe(prk, TEE_HKDF_LEN);
        return TEE_NOMEM;
    }

    return TEE_OK;
}


tee_rc_t
tee_hkdf_expand(tee_crypto_t *crypto, const uint8_t prk[TEE_HKDF_LEN],
    const tee_str_t *info, size_t n, uint8_t *out, size_t len)
{
    size_t     done, piece;
    uint8_t    counter, t[TEE_HKDF_LEN];
    tee_rc_t   rc;
    tee_str_t  key, before;

    if (len > TEE_HKDF_MAX_OUT) {
        return TEE_LIMIT;
    }

    key.len = TEE_HKDF_LEN;
    key.data = prk;

    before.len = 0;
    before.data = t;

    ERR_set_mark();

    rc = TEE_OK;
    counter = 0;

    for (done = 0; done < len; done += piece) {
        counter++;

        if (!tee_hmac(crypto, key, before, info, n, &counter, t)) {
            tee_wipe(out, len);
            rc = TEE_NOMEM;
            break;
        }

        before.len = TEE_HKDF_LEN;

        piece = len - done < TEE_HKDF_LEN ? len - done : TEE_HKDF_LEN;
        memcpy(out + done, t, piece);
    }

    ERR_pop_to_mark();
    tee_wipe(t, TEE_HKDF_LEN);

    return rc;
}


/*
 * HMAC, RFC 2104, by hand: in OpenSSL 3, EVP_MAC takes longer than what it
 * computes.
 */

static int
tee_hmac(tee_crypto_t *crypto, tee_str_t key, tee_str_t first,
    const tee_str_t *parts, size_t n, const uint8_t *last,
    uint8_t mac[TEE_HKDF_LEN])
{
    int       ok;
    size_t    i;
    uint8_t   block[TEE_HMAC_BLOCK], inner[TEE_HKDF_LEN];

    memset(block, 0, TEE_HMAC_BLOCK);

    ok = 1;

    if (key.len > TEE_HMAC_BLOCK) {
        ok = EVP_DigestInit_ex2(crypto->md, crypto->sha256, NULL) == 1
             && EVP_DigestUpdate(crypto->md, key.data, key.len) == 1
             && EVP_DigestFinal_ex(crypto->md, block, NULL) == 1;

    } else if (key.len) {
        memcpy(block, key.data, key.len);
    }

    ok = ok
         && tee_hmac_pad(crypto, block, 0x36)
         && EVP_DigestUpdate(crypto->md, first.data, first.len) == 1;

    for (i = 0; i < n; i++) {
        ok = ok && EVP_DigestUpdate(crypto->md, parts[i].data, parts[i].len)
                   == 1;
    }

    ok = ok
         && (last == NULL || EVP_DigestUpdate(crypto->md, last, 1) == 1)
         && EVP_DigestFinal_ex(crypto->md, inner, NULL) == 1
         && tee_hmac_pad(crypto, block, 0x5c)
         && EVP_DigestUpdate(crypto->md, inner, TEE_HKDF_LEN) == 1
         && EVP_DigestFinal_ex(crypto->md, mac, NULL) == 1;

    /* the result is still in there */

    ok = EVP_DigestInit_ex2(crypto->md, crypto->sha256, NULL) == 1 && ok;

    tee_wipe(block, TEE_HMAC_BLOCK);
    tee_wipe(inner, TEE_HKDF_LEN);

    return ok;
}


static int
tee_hmac_pad(tee_crypto_t *crypto, const uint8_t *key, uint8_t value)
{
    int      ok;
    size_t   i;
    uint8_t  pad[TEE_HMAC_BLOCK];

    for (i = 0; i < TEE_HMAC_BLOCK; i++) {
        pad[i] = key[i] ^ value;
    }

    ok = EVP_DigestInit_ex2(crypto->md, crypto->sha256, NULL) == 1
         && EVP_DigestUpdate(crypto->md, pad, TEE_HMAC_BLOCK) == 1;

    tee_wipe(pad, TEE_HMAC_BLOCK);

    return ok;
}
