
/*
 * Copyright (C) The ngx_http_tee authors
 */


/* A private key from a PEM file; RFC 7468, 10. */


#include <string.h>

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include <tee_crypto_state.h>
#include <tee_hpke.h>
#include <tee_openssl.h>
#include <tee_text.h>


#define TEE_PEM_MAX_LEN  4096


static int tee_pem_blank(uint8_t c);
static tee_rc_t tee_pem_body(tee_str_t pem, tee_str_t *body);
static tee_rc_t tee_pem_der(tee_str_t der, uint16_t *kem, uint8_t sk[32]);
static tee_rc_t tee_pem_key(EVP_PKEY *pkey, uint16_t *kem, uint8_t sk[32]);


static const tee_str_t  tee_pem_begin =
    tee_string("-----BEGIN PRIVATE KEY-----");
static const tee_str_t  tee_pem_end = tee_string("-----END PRIVATE KEY-----");
static const tee_str_t  tee_pem_any = tee_string("-----BEGIN ");


tee_rc_t
tee_hpke_key_pem(tee_crypto_t *crypto, tee_str_t pem, tee_hpke_key_t **key)
{
    size_t     i, n, len;
    uint8_t    buf[TEE_PEM_MAX_LEN], der[TEE_PEM_MAX_LEN], sk[32];
    uint16_t   kem;
    tee_rc_t   rc;
    tee_str_t  body, text;

    *key = NULL;
    kem = 0;

    rc = tee_pem_body(pem, &body);

    if (rc != TEE_OK) {
        return rc;
    }

    n = 0;

    for (i = 0; i < body.len; i++) {
        if (!tee_pem_blank(body.data[i])) {
            buf[n++] = body.data[i];
        }
    }

    text.len = n;
    text.data = buf;

    rc = tee_base64_decode(text, der, &len);

    if (rc == TEE_OK) {
        text.len = len;
        text.data = der;
        rc = tee_pem_der(text, &kem, sk);
    }

    if (rc == TEE_OK) {
        text.len = sizeof(sk);
        text.data = sk;
        rc = tee_hpke_key_new(crypto, kem, text, key);
    }

    tee_wipe(buf, sizeof(buf));
    tee_wipe(der, sizeof(der));
    tee_wipe(sk, sizeof(sk));

    return rc;
}


static int
tee_pem_blank(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}


/* What is between the lines that delimit it. */

static tee_rc_t
tee_pem_body(tee_str_t pem, tee_str_t *body)
{
    while (pem.len && tee_pem_blank(pem.data[0])) {
        pem.len--;
        pem.data++;
    }

    while (pem.len && tee_pem_blank(pem.data[pem.len - 1])) {
        pem.len--;
    }

    if (pem.len > TEE_PEM_MAX_LEN) {
        return TEE_MALFORMED;
    }

    if (pem.len < tee_pem_any.len
        || memcmp(pem.data, tee_pem_any.data, tee_pem_any.len) != 0)
    {
        return TEE_MALFORMED;
    }

    if (pem.len < tee_pem_begin.len + tee_pem_end.len
        || memcmp(pem.data, tee_pem_begin.data, tee_pem_begin.len) != 0)
    {
        /* encrypted, of another form, or no private key at all */
        return TEE_UNSUPPORTED;
    }

    body->len = pem.len - tee_pem_begin.len - tee_pem_end.len;
    body->data = pem.data + tee_pem_begin.len;

    if (memcmp(body->data + body->len, tee_pem_end.data, tee_pem_end.len)
        != 0)
    {
        return TEE_MALFORMED;
    }

    return TEE_OK;
}


static tee_rc_t
tee_pem_der(tee_str_t der, uint16_t *kem, uint8_t sk[32])
{
    tee_rc_t              rc;
    EVP_PKEY             *pkey;
    const uint8_t        *p;
    PKCS8_PRIV_KEY_INFO  *info;

    ERR_set_mark();

    p = der.data;
    pkey = NULL;
    info = d2i_PKCS8_PRIV_KEY_INFO(NULL, &p, (long) der.len);

    if (info == NULL || p != der.data + der.len) {
        rc = tee_openssl_rc(TEE_MALFORMED);
        goto done;
    }

    pkey = EVP_PKCS82PKEY(info);

    if (pkey == NULL) {
        rc = tee_openssl_rc(TEE_UNSUPPORTED);
        goto done;
    }

    rc = tee_pem_key(pkey, kem, sk);

done:

    PKCS8_PRIV_KEY_INFO_free(info);
    EVP_PKEY_free(pkey);
    ERR_pop_to_mark();

    return rc;
}


static tee_rc_t
tee_pem_key(EVP_PKEY *pkey, uint16_t *kem, uint8_t sk[32])
{
    char       group[32];
    size_t     len;
    BIGNUM    *n;
    tee_rc_t   rc;

    if (EVP_PKEY_is_a(pkey, "X25519")) {
        *kem = TEE_KEM_X25519;
        len = 32;

        return EVP_PKEY_get_raw_private_key(pkey, sk, &len) == 1
               ? TEE_OK : TEE_NOMEM;
    }

    if (!EVP_PKEY_is_a(pkey, "EC")
        || EVP_PKEY_get_group_name(pkey, group, sizeof(group), &len) != 1
        || strcmp(group, "prime256v1") != 0)
    {
        return TEE_UNSUPPORTED;
    }

    *kem = TEE_KEM_P256;
    n = NULL;

    if (EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_PRIV_KEY, &n) != 1) {
        rc = TEE_NOMEM;

    } else {
        rc = BN_bn2binpad(n, sk, 32) == 32 ? TEE_OK : TEE_CRYPTO;
    }

    BN_clear_free(n);

    return rc;
}
