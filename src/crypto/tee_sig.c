
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <string.h>

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include <tee_der.h>
#include <tee_openssl.h>
#include <tee_sig.h>


#define TEE_RSA_MIN_BITS  2048
#define TEE_RSA_MAX_BITS  8192

#define TEE_SIG_MAX_PEM   65536


struct tee_sig_public_s {
    EVP_PKEY             *pkey;
    EVP_MD_CTX           *md;                  /* is only copied */
    size_t                sig_len;
};


struct tee_sig_key_s {
    EVP_PKEY             *pkey;
    EVP_MD_CTX           *md;                  /* is only copied */
    size_t                spki_len;
    uint8_t               spki[TEE_SPKI_MAX_LEN];
};


static tee_rc_t tee_sig_spki_read(tee_str_t spki, tee_str_t *n, tee_str_t *e);
static EVP_PKEY *tee_sig_public(tee_str_t n, tee_str_t e);
static int tee_sig_natural(tee_str_t *n);
static tee_rc_t tee_sig_prepare(EVP_PKEY *pkey, int sign, EVP_MD_CTX **md);
static tee_rc_t tee_sig_key_pem(tee_sig_key_t *key, tee_str_t pem);
static tee_rc_t tee_sig_key_spki(tee_sig_key_t *key);
static tee_rc_t tee_sig_key_pair(tee_sig_key_t *key);
static tee_rc_t tee_sig_make(EVP_MD_CTX *md, tee_str_t msg, uint8_t *sig,
    size_t *len);
static int tee_sig_blank(BIO *bio);
static int tee_sig_password(char *buf, int size, int rwflag, void *u);


/* SEQUENCE { OID 1.2.840.113549.1.1.1, NULL } */

static const uint8_t  tee_sig_rsa[] = {
    0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01,
    0x05, 0x00
};


tee_rc_t
tee_sig_spki(tee_str_t spki)
{
    tee_str_t  n, e;

    return tee_sig_spki_read(spki, &n, &e);
}


static tee_rc_t
tee_sig_spki_read(tee_str_t spki, tee_str_t *n, tee_str_t *e)
{
    size_t     bits;
    uint8_t    top;
    tee_str_t  in, info, alg, key, rsa;

    in = spki;

    if (tee_der_read(&in, TEE_DER_SEQUENCE, &info) != TEE_OK
        || in.len != 0
        || tee_der_read(&info, TEE_DER_SEQUENCE, &alg) != TEE_OK
        || tee_der_read(&info, TEE_DER_BIT_STRING, &key) != TEE_OK
        || info.len != 0)
    {
        return TEE_MALFORMED;
    }

    if (alg.len != sizeof(tee_sig_rsa)
        || memcmp(alg.data, tee_sig_rsa, sizeof(tee_sig_rsa)) != 0)
    {
        return TEE_UNSUPPORTED;
    }

    /* the first byte counts unused bits */

    if (key.len == 0 || key.data[0] != 0) {
        return TEE_MALFORMED;
    }

    key.len--;
    key.data++;

    if (tee_der_read(&key, TEE_DER_SEQUENCE, &rsa) != TEE_OK
        || key.len != 0
        || tee_der_read(&rsa, TEE_DER_INTEGER, n) != TEE_OK
        || tee_der_read(&rsa, TEE_DER_INTEGER, e) != TEE_OK
        || rsa.len != 0
        || !tee_sig_natural(n)
        || !tee_sig_natural(e))
    {
        return TEE_MALFORMED;
    }

    if (n->len > TEE_RSA_MAX_BITS / 8) {
        return TEE_UNSUPPORTED;
    }

    bits = n->len * 8;

    for (top = n->data[0]; !(top & 0x80); top = (uint8_t) (top << 1)) {
        bits--;
    }

    if (bits < TEE_RSA_MIN_BITS
        || e->len > 4
        || (e->len == 1 && e->data[0] < 3)
        || !(n->data[n->len - 1] & 1)
        || !(e->data[e->len - 1] & 1))
    {
        return TEE_UNSUPPORTED;
    }

    return TEE_OK;
}


/* Of the numbers: libcrypto's decoders take ten times as long as what is done
 * with the key. */

static EVP_PKEY *
tee_sig_public(tee_str_t n, tee_str_t e)
{
    size_t          i;
    uint8_t         modulus[TEE_RSA_MAX_BITS / 8];
    EVP_PKEY       *pkey;
    uint32_t        exponent;
    OSSL_PARAM      params[3];
    EVP_PKEY_CTX   *ctx;

    static const union { uint16_t n; uint8_t first; }  little = { 1 };

    for (i = 0; i < n.len; i++) {
        modulus[i] = n.data[little.first ? n.len - 1 - i : i];
    }

    for (exponent = 0, i = 0; i < e.len; i++) {
        exponent = exponent << 8 | e.data[i];
    }

    params[0] = OSSL_PARAM_construct_BN(OSSL_PKEY_PARAM_RSA_N, modulus, n.len);
    params[1] = OSSL_PARAM_construct_uint32(OSSL_PKEY_PARAM_RSA_E, &exponent);
    params[2] = OSSL_PARAM_construct_end();

    pkey = NULL;
    ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);

    if (ctx == NULL
        || EVP_PKEY_fromdata_init(ctx) != 1
        || EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_PUBLIC_KEY, params) != 1)
    {
        pkey = NULL;
    }

    EVP_PKEY_CTX_free(ctx);

    return pkey;
}


/* Takes the sign byte off; 0 unless the number is positive and minimal. */

static int
tee_sig_natural(tee_str_t *n)
{
    if (n->len == 0 || n->data[0] & 0x80) {
        return 0;
    }

    if (n->data[0] != 0) {
        return 1;
    }

    if (n->len == 1 || !(n->data[1] & 0x80)) {
        return 0;
    }

    n->len--;
    n->data++;

    return 1;
}


tee_rc_t
tee_sig_public_read(tee_str_t spki, tee_sig_public_t **key)
{
    tee_rc_t           rc;
    tee_str_t          n, e;
    tee_sig_public_t  *k;

    *key = NULL;

    rc = tee_sig_spki_read(spki, &n, &e);

    if (rc != TEE_OK) {
        return rc;
    }

    ERR_set_mark();

    rc = TEE_NOMEM;
    k = OPENSSL_zalloc(sizeof(tee_sig_public_t));

    if (k) {
        k->sig_len = n.len;
        k->pkey = tee_sig_public(n, e);

        rc = k->pkey ? tee_sig_prepare(k->pkey, 0, &k->md)
                     : tee_openssl_rc(TEE_UNSUPPORTED);
    }

    if (rc == TEE_OK) {
        *key = k;

    } else {
        tee_sig_public_free(k);
    }

    ERR_pop_to_mark();

    return rc;
}


void
tee_sig_public_free(tee_sig_public_t *key)
{
    if (key == NULL) {
        return;
    }

    EVP_MD_CTX_free(key->md);
    EVP_PKEY_free(key->pkey);
    OPENSSL_free(key);
}


/* All that is the same for every signature. */

static tee_rc_t
tee_sig_prepare(EVP_PKEY *pkey, int sign, EVP_MD_CTX **md)
{
    int            ok;
    EVP_PKEY_CTX  *ctx;

    *md = EVP_MD_CTX_new();
    if (*md == NULL) {
        return TEE_NOMEM;
    }

    ok = sign ? EVP_DigestSignInit(*md, &ctx, EVP_sha256(), NULL, pkey)
              : EVP_DigestVerifyInit(*md, &ctx, EVP_sha256(), NULL, pkey);

    return ok == 1
           && EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING) == 1
           && EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, EVP_sha256()) == 1
           && EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, 32) == 1
           ? TEE_OK : TEE_NOMEM;
}


tee_rc_t
tee_sig_public_verify(const tee_sig_public_t *key, tee_str_t msg,
    tee_str_t sig)
{
    tee_rc_t     rc;
    EVP_MD_CTX  *md;

    static const uint8_t  nothing[1];

    /* RFC 8017, 8.1.2, 1: no shorter form, and no leading zeros */

    if (sig.len != key->sig_len) {
        return TEE_CRYPTO;
    }

    ERR_set_mark();

    md = EVP_MD_CTX_new();

    if (md == NULL || EVP_MD_CTX_copy_ex(md, key->md) != 1) {
        rc = TEE_NOMEM;

    } else if (EVP_DigestVerify(md, sig.data, sig.len,
                                msg.len ? msg.data : nothing, msg.len)
               == 1)
    {
        rc = TEE_OK;

    } else {
        rc = tee_openssl_rc(TEE_CRYPTO);
    }

    EVP_MD_CTX_free(md);
    ERR_pop_to_mark();

    return rc;
}


tee_rc_t
tee_sig_verify(tee_str_t spki, tee_str_t msg, tee_str_t sig)
{
    tee_rc_t           rc;
    tee_sig_public_t  *key;

    rc = tee_sig_public_read(spki, &key);

    if (rc == TEE_OK) {
        rc = tee_sig_public_verify(key, msg, sig);
    }

    tee_sig_public_free(key);

    return rc;
}


tee_rc_t
tee_sig_key_read(tee_str_t pem, tee_sig_key_t **key)
{
    tee_rc_t        rc;
    tee_sig_key_t  *k;

    *key = NULL;

    ERR_set_mark();

    rc = TEE_NOMEM;
    k = OPENSSL_zalloc(sizeof(tee_sig_key_t));

    if (k) {
        rc = tee_sig_key_pem(k, pem);

        if (rc == TEE_OK) {
            rc = tee_sig_key_spki(k);
        }

        if (rc == TEE_OK) {
            rc = tee_sig_key_pair(k);
        }

        if (rc == TEE_OK) {
            rc = tee_sig_prepare(k->pkey, 1, &k->md);
        }
    }

    if (rc == TEE_OK) {
        *key = k;

    } else {
        tee_sig_key_free(k);
    }

    ERR_pop_to_mark();

    return rc;
}


void
tee_sig_key_free(tee_sig_key_t *key)
{
    if (key == NULL) {
        return;
    }

    EVP_MD_CTX_free(key->md);
    EVP_PKEY_free(key->pkey);
    OPENSSL_free(key);
}


tee_str_t
tee_sig_key_public(const tee_sig_key_t *key)
{
    tee_str_t  spki;

    spki.len = key->spki_len;
    spki.data = key->spki;

    return spki;
}


tee_rc_t
tee_sig_key_sign(const tee_sig_key_t *key, tee_str_t msg, uint8_t *sig,
    size_t *len)
{
    tee_rc_t     rc;
    EVP_MD_CTX  *md;

    *len = 0;

    ERR_set_mark();

    rc = TEE_NOMEM;
    md = EVP_MD_CTX_new();

    if (md && EVP_MD_CTX_copy_ex(md, key->md) == 1) {
        rc = tee_sig_make(md, msg, sig, len);
    }

    EVP_MD_CTX_free(md);
    ERR_pop_to_mark();

    return rc;
}


static tee_rc_t
tee_sig_key_pem(tee_sig_key_t *key, tee_str_t pem)
{
    BIO       *bio;
    tee_rc_t   rc;

    if (pem.len == 0 || pem.len > TEE_SIG_MAX_PEM) {
        return TEE_MALFORMED;
    }

    bio = BIO_new_mem_buf(pem.data, (int) pem.len);
    if (bio == NULL) {
        return TEE_NOMEM;
    }

    rc = TEE_OK;
    key->pkey = PEM_read_bio_PrivateKey(bio, NULL, tee_sig_password, NULL);

    if (key->pkey == NULL) {
        rc = tee_openssl_rc(TEE_MALFORMED);

    } else if (!tee_sig_blank(bio)) {
        rc = TEE_MALFORMED;
    }

    BIO_free(bio);

    return rc;
}


static tee_rc_t
tee_sig_key_spki(tee_sig_key_t *key)
{
    int       len;
    uint8_t  *p;

    len = i2d_PUBKEY(key->pkey, NULL);

    if (len <= 0) {
        return tee_openssl_rc(TEE_UNSUPPORTED);
    }

    if (len > TEE_SPKI_MAX_LEN) {
        return TEE_UNSUPPORTED;
    }

    p = key->spki;

    if (i2d_PUBKEY(key->pkey, &p) != len) {
        return TEE_NOMEM;
    }

    key->spki_len = (size_t) len;

    return tee_sig_spki(tee_sig_key_public(key)) == TEE_OK
           ? TEE_OK : TEE_UNSUPPORTED;
}


/*
 * The public half is in the file, too, and may be another key's.  What blinds
 * a key is made at its first signature: that of a copy, or all processes that
 * inherit this key would begin with the same.
 */

static tee_rc_t
tee_sig_key_pair(tee_sig_key_t *key)
{
    uint8_t      sig[TEE_SIG_MAX_LEN];
    tee_rc_t     rc;
    EVP_PKEY    *pkey;
    tee_str_t    msg, s;
    EVP_MD_CTX  *md;

    pkey = EVP_PKEY_dup(key->pkey);
    if (pkey == NULL) {
        return TEE_NOMEM;
    }

    msg = tee_sig_key_public(key);

    rc = tee_sig_prepare(pkey, 1, &md);

    if (rc == TEE_OK) {
        rc = tee_sig_make(md, msg, sig, &s.len);
    }

    if (rc == TEE_OK) {
        s.data = sig;
        rc = tee_sig_verify(msg, msg, s);
    }

    EVP_MD_CTX_free(md);
    EVP_PKEY_free(pkey);

    return rc;
}


static tee_rc_t
tee_sig_make(EVP_MD_CTX *md, tee_str_t msg, uint8_t *sig, size_t *len)
{
    size_t  n;

    static const uint8_t  nothing[1];

    *len = 0;

    n = TEE_SIG_MAX_LEN;

    if (EVP_DigestSign(md, sig, &n, msg.len ? msg.data : nothing, msg.len)
        != 1)
    {
        return tee_openssl_rc(TEE_CRYPTO);
    }

    *len = n;

    return TEE_OK;
}


static int
tee_sig_blank(BIO *bio)
{
    char  *p;
    long   n;

    for (n = BIO_get_mem_data(bio, &p); n > 0; n--, p++) {
        if (*p != ' ' && *p != '\t' && *p != '\r' && *p != '\n') {
            return 0;
        }
    }

    return 1;
}


/* Nobody is there to be asked. */

static int
tee_sig_password(char *buf, int size, int rwflag, void *u)
{
    (void) buf;
    (void) size;
    (void) rwflag;
    (void) u;

    return -1;
}
