
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/params.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include <tee_sig.h>

#include "sample.h"
#include "unit.h"


typedef struct {
    tee_str_t             spki;
    tee_str_t             msg;
    tee_str_t             sig;
} sig_case_t;


/* A key, and what it makes of "message" with this padding and salt. */

static void
sig_make(sig_case_t *c, unsigned bits, int padding, int salt)
{
    int            len;
    size_t         n;
    uint8_t       *der, buf[1024];
    EVP_PKEY      *pkey;
    EVP_MD_CTX    *md;
    EVP_PKEY_CTX  *ctx;

    der = NULL;
    n = sizeof(buf);
    pkey = EVP_RSA_gen(bits);
    md = EVP_MD_CTX_new();
    c->msg = unit_text("message");

    if (pkey == NULL || md == NULL
        || EVP_DigestSignInit(md, &ctx, EVP_sha256(), NULL, pkey) != 1
        || EVP_PKEY_CTX_set_rsa_padding(ctx, padding) != 1
        || (padding == RSA_PKCS1_PSS_PADDING
            && EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, salt) != 1)
        || EVP_DigestSign(md, buf, &n, c->msg.data, c->msg.len) != 1)
    {
        abort();
    }

    c->sig = unit_copy(buf, n);

    len = i2d_PUBKEY(pkey, &der);

    if (len <= 0) {
        abort();
    }

    c->spki = unit_copy(der, (size_t) len);

    OPENSSL_free(der);
    EVP_MD_CTX_free(md);
    EVP_PKEY_free(pkey);
}


static void
sig_release(sig_case_t *c)
{
    unit_free(c->spki);
    unit_free(c->sig);
}


static tee_rc_t
sig_verify(void *ctx)
{
    sig_case_t  *c = ctx;

    return tee_sig_verify(c->spki, c->msg, c->sig);
}


/* What one signature has been found to be has nothing to do with the next. */

static void
sig_again(sig_case_t *c)
{
    tee_str_t          cut;
    tee_sig_public_t  *key;

    if (tee_sig_public_read(c->spki, &key) != TEE_OK) {
        abort();
    }

    cut = c->sig;
    cut.len--;

    unit_ok(tee_sig_public_verify(key, c->msg, c->sig) == TEE_OK
            && tee_sig_public_verify(key, unit_text("Message"), c->sig)
               == TEE_CRYPTO
            && tee_sig_public_verify(key, c->msg, cut) == TEE_CRYPTO
            && tee_sig_public_verify(key, c->msg, c->sig) == TEE_OK
            && tee_sig_public_verify(key, unit_text(""), c->sig) == TEE_CRYPTO
            && tee_sig_public_verify(key, c->msg, c->sig) == TEE_OK,
            "a key that is used again");

    tee_sig_public_free(key);

    c->spki.len--;
    unit_ok(tee_sig_public_read(c->spki, &key) == TEE_MALFORMED && key == NULL,
            "a bad key to be used again");
    c->spki.len++;
}


static void
sig_signatures(void)
{
    size_t       i, wrong;
    sig_case_t   c, other;
    tee_str_t    s;

    sig_make(&c, 2048, RSA_PKCS1_PSS_PADDING, 32);
    unit_ok(sig_verify(&c) == TEE_OK, "a signature");

    wrong = 0;

    for (i = 0; i < c.sig.len * 8; i += 61) {
        sample_set(c.sig, i / 8, (uint8_t) (c.sig.data[i / 8] ^ 1 << i % 8));
        wrong += sig_verify(&c) != TEE_CRYPTO;
        sample_set(c.sig, i / 8, (uint8_t) (c.sig.data[i / 8] ^ 1 << i % 8));
    }

    unit_ok(wrong == 0, "no other bit");

    sig_again(&c);

    s = c.sig;
    c.sig.len--;
    unit_ok(sig_verify(&c) == TEE_CRYPTO, "one byte less");
    c.sig.len = 0;
    unit_ok(sig_verify(&c) == TEE_CRYPTO, "nothing");
    c.sig = s;

    c.msg = unit_text("Message");
    unit_ok(sig_verify(&c) == TEE_CRYPTO, "another message");
    c.msg = unit_text("");
    unit_ok(sig_verify(&c) == TEE_CRYPTO, "no message");
    unit_crypto_oom(sig_verify, &c, TEE_CRYPTO, "a bad signature");
    c.msg = unit_text("message");
    unit_crypto_oom(sig_verify, &c, TEE_OK, "a signature");

    s = c.spki;
    c.spki = sample_spki();
    unit_ok(sig_verify(&c) == TEE_CRYPTO, "another key");
    c.spki.len--;
    unit_ok(sig_verify(&c) == TEE_MALFORMED, "a bad key");
    c.spki = s;

    sig_make(&other, 2048, RSA_PKCS1_PSS_PADDING, 31);
    unit_ok(sig_verify(&other) == TEE_CRYPTO, "a salt of 31 bytes");
    sig_release(&other);

    sig_make(&other, 2048, RSA_PKCS1_PADDING, 0);
    unit_ok(sig_verify(&other) == TEE_CRYPTO, "PKCS #1 v1.5");
    sig_release(&other);

    sig_make(&other, 2056, RSA_PKCS1_PSS_PADDING, 32);
    unit_ok(sig_verify(&other) == TEE_OK, "2056 bits");
    sig_release(&other);

    sig_make(&other, 2047, RSA_PKCS1_PSS_PADDING, 32);
    unit_ok(sig_verify(&other) == TEE_UNSUPPORTED, "2047 bits");
    sig_release(&other);

    sig_make(&other, 1024, RSA_PKCS1_PSS_PADDING, 32);
    unit_ok(tee_sig_spki(other.spki) == TEE_UNSUPPORTED, "1024 bits");
    sig_release(&other);

    sig_release(&c);
}


/* SEQUENCE { SEQUENCE { rsaEncryption, NULL }, BIT STRING { key } } */

static tee_str_t
sig_spki(size_t modulus, uint8_t top, uint8_t low, const char *exponent)
{
    size_t     n, inner, bits, outer;
    uint8_t   *p, *start;
    tee_str_t  e, s;

    e = unit_hex(exponent);
    n = modulus + (top & 0x80 ? 1 : 0);

    inner = 4 + n + 2 + e.len;
    bits = 1 + 4 + inner;
    outer = 15 + 4 + bits;

    start = malloc(4 + outer);
    if (start == NULL) {
        abort();
    }

    p = start;

#define LONG(tag, len)                                                        \
    *p++ = tag; *p++ = 0x82;                                                  \
    *p++ = (uint8_t) ((len) >> 8); *p++ = (uint8_t) (len)

    LONG(0x30, outer);
    memcpy(p, "\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00",
           15);
    p += 15;
    LONG(0x03, bits);
    *p++ = 0;
    LONG(0x30, inner);
    LONG(0x02, n);

#undef LONG

    if (top & 0x80) {
        *p++ = 0;
    }

    memset(p, 0x5a, modulus);
    p[0] = top;
    p[modulus - 1] = low;
    p += modulus;

    *p++ = 0x02;
    *p++ = (uint8_t) e.len;

    for (n = 0; n < e.len; n++) {
        *p++ = e.data[n];
    }

    s = unit_copy(start, (size_t) (p - start));
    free(start);
    unit_free(e);

    return s;
}


static void
sig_keys(void)
{
    size_t     i;
    tee_str_t  s;

    static const struct {
        const char  *name;
        size_t       modulus;
        uint8_t      top;
        uint8_t      low;
        const char  *e;
        tee_rc_t     rc;
    } cases[] = {
        { "2048 bits", 256, 0x80, 1, "010001", TEE_OK },
        { "2047 bits", 256, 0x7f, 1, "010001", TEE_UNSUPPORTED },
        { "2049 bits", 257, 0x01, 1, "010001", TEE_OK },
        { "8192 bits", 1024, 0xff, 1, "010001", TEE_OK },
        { "8193 bits", 1025, 0x01, 1, "010001", TEE_UNSUPPORTED },
        { "an even modulus", 256, 0x80, 2, "010001", TEE_UNSUPPORTED },
        { "a negative exponent", 256, 0x80, 1, "810001", TEE_MALFORMED },
        { "a modulus with a zero too many", 257, 0x00, 1, "010001",
          TEE_MALFORMED },
        { "exponent 3", 256, 0x80, 1, "03", TEE_OK },
        { "exponent 1", 256, 0x80, 1, "01", TEE_UNSUPPORTED },
        { "exponent 0", 256, 0x80, 1, "00", TEE_MALFORMED },
        { "an even exponent", 256, 0x80, 1, "010000", TEE_UNSUPPORTED },
        { "an exponent with a zero too many", 256, 0x80, 1, "00010001",
          TEE_MALFORMED },
        { "an exponent of 32 bits", 256, 0x80, 1, "00ffffffff", TEE_OK },
        { "an exponent of 33 bits", 256, 0x80, 1, "0100000001",
          TEE_UNSUPPORTED },
        { "no exponent", 256, 0x80, 1, "", TEE_MALFORMED }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        s = sig_spki(cases[i].modulus, cases[i].top, cases[i].low,
                     cases[i].e);
        unit_ok(tee_sig_spki(s) == cases[i].rc, "key, %s", cases[i].name);
        unit_ok(cases[i].rc != TEE_OK || s.len <= TEE_SPKI_MAX_LEN,
                "key, %s, length", cases[i].name);
        unit_free(s);
    }
}


/* Whatever is accepted is one key, and its one encoding, to libcrypto. */

static void
sig_mutations(void)
{
    int             len;
    size_t          i, wrong, accepted, cuts;
    uint8_t        *der;
    EVP_PKEY       *pkey;
    tee_str_t       s, cut;
    const uint8_t  *p;

    s = unit_copy(sample_spki().data, sample_spki().len);
    wrong = 0;
    accepted = 0;
    cuts = 0;

    for (i = 0; i < s.len * 8; i++) {
        sample_set(s, i / 8, (uint8_t) (s.data[i / 8] ^ 1 << i % 8));

        if (tee_sig_spki(s) == TEE_OK) {
            accepted++;
            der = NULL;
            p = s.data;
            pkey = d2i_PUBKEY(NULL, &p, (long) s.len);
            len = pkey ? i2d_PUBKEY(pkey, &der) : -1;
            wrong += len < 0 || !unit_equal(s, der, (size_t) len);
            OPENSSL_free(der);
            EVP_PKEY_free(pkey);
        }

        sample_set(s, i / 8, (uint8_t) (s.data[i / 8] ^ 1 << i % 8));
    }

    /* all bits of the modulus but the top and the lowest, and some of e */

    unit_ok(accepted > 2040 && accepted < 2090, "%u of %u mutants accepted",
            (unsigned) accepted, (unsigned) s.len * 8);
    unit_ok(wrong == 0, "libcrypto writes them as they are");

    for (i = 0; i < s.len; i++) {
        cut = unit_copy(s.data, i);
        cuts += tee_sig_spki(cut) == TEE_OK;
        unit_free(cut);
    }

    unit_ok(cuts == 0, "no prefix is a key");
    unit_free(s);

    s = unit_copy(sample_cert().data, sample_cert().len);
    unit_ok(tee_sig_spki(s) != TEE_OK, "a certificate is no key");
    unit_free(s);

    ERR_clear_error();
}


/* One byte more at the end of each structure; the lengths are adapted. */

static void
sig_more(void)
{
    size_t     i, k;
    uint8_t    buf[SAMPLE_SPKI_LEN + 2];
    tee_str_t  s;

    static const struct {
        const char  *name;
        size_t       lengths[4];               /* low bytes; 0: no more */
    } cases[] = {
        { "behind the key", { 0 } },
        { "in the outer structure", { 3, 0 } },
        { "in the bit string", { 3, 22, 0 } },
        { "in the inner structure", { 3, 22, 27, 0 } }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        memcpy(buf, sample_spki().data, SAMPLE_SPKI_LEN);
        buf[SAMPLE_SPKI_LEN] = 0x05;
        buf[SAMPLE_SPKI_LEN + 1] = 0x00;

        for (k = 0; cases[i].lengths[k]; k++) {
            buf[cases[i].lengths[k]] += 2;
        }

        s = unit_copy(buf, sizeof(buf));
        unit_ok(tee_sig_spki(s) == TEE_MALFORMED, "a NULL %s",
                cases[i].name);
        unit_free(s);
    }
}


/* A private key in PEM, with something before and after it. */

static tee_str_t
sig_pem(EVP_PKEY *pkey, int traditional, const char *password,
    const char *after)
{
    BIO        *bio;
    char       *p;
    int         ok;
    long        n;
    tee_str_t   s;

    bio = BIO_new(BIO_s_mem());
    if (bio == NULL) {
        abort();
    }

    if (traditional) {
        ok = PEM_write_bio_PrivateKey_traditional(bio, pkey, NULL, NULL, 0,
                                                  NULL, NULL);

    } else {
        ok = PEM_write_bio_PKCS8PrivateKey(bio, pkey,
                                           password ? EVP_aes_128_cbc() : NULL,
                                           password, password ? 4 : 0, NULL,
                                           NULL);
    }

    if (ok != 1 || BIO_puts(bio, after) < 0) {
        abort();
    }

    n = BIO_get_mem_data(bio, &p);
    s = unit_copy(p, (size_t) n);
    BIO_free(bio);

    return s;
}


static tee_rc_t
sig_sign(void *ctx)
{
    size_t          len;
    uint8_t         sig[TEE_SIG_MAX_LEN];
    tee_rc_t        rc;
    tee_str_t      *pem = ctx;
    tee_sig_key_t  *key;

    rc = tee_sig_key_read(*pem, &key);

    if (rc != TEE_OK) {
        return key == NULL ? rc : TEE_DONE;
    }

    rc = tee_sig_key_sign(key, unit_text("message"), sig, &len);

    tee_sig_key_free(key);

    return rc == TEE_OK || len == 0 ? rc : TEE_DONE;
}


static void
sig_signing(void)
{
    size_t          i, n, wrong;
    uint8_t         sig[TEE_SIG_MAX_LEN];
    EVP_PKEY       *pkey, *other;
    sig_case_t      c;
    tee_str_t       pem, cut;
    tee_sig_key_t  *key;

    pkey = EVP_RSA_gen(2048);
    other = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    if (pkey == NULL || other == NULL) {
        abort();
    }

    pem = sig_pem(pkey, 0, NULL, "\r\n \t\n");

    unit_ok(tee_sig_key_read(pem, &key) == TEE_OK, "a key");
    c.spki = tee_sig_key_public(key);
    c.spki = unit_copy(c.spki.data, c.spki.len);

    unit_ok(tee_sig_key_sign(key, unit_text("message"), sig, &n) == TEE_OK,
            "signed");
    c.sig = unit_copy(sig, n);
    c.msg = unit_text("message");
    unit_ok(sig_verify(&c) == TEE_OK, "and verified");
    c.msg = unit_text("Message");
    unit_ok(sig_verify(&c) == TEE_CRYPTO, "nothing else");

    unit_ok(tee_sig_key_sign(key, unit_text("message"), sig, &n) == TEE_OK
            && !unit_equal(c.sig, sig, n), "the salt is random");
    unit_free(c.sig);

    unit_ok(tee_sig_key_sign(key, unit_text(""), sig, &n) == TEE_OK,
            "nothing signed");
    c.sig = unit_copy(sig, n);
    c.msg = unit_text("");
    unit_ok(sig_verify(&c) == TEE_OK, "and verified");
    sig_release(&c);
    tee_sig_key_free(key);

    unit_crypto_oom(sig_sign, &pem, TEE_OK, "signing");

    wrong = 0;

    for (i = 0; i < pem.len - 6; i += 7) {
        cut = unit_copy(pem.data, i);
        wrong += sig_sign(&cut) == TEE_OK;
        unit_free(cut);
    }

    unit_ok(wrong == 0, "no prefix is a key");
    unit_free(pem);

    pem = sig_pem(pkey, 1, NULL, "");
    unit_ok(sig_sign(&pem) == TEE_OK, "the traditional form");
    unit_free(pem);

    pem = sig_pem(pkey, 0, NULL, "x");
    unit_ok(sig_sign(&pem) == TEE_MALFORMED, "a byte after it");
    unit_free(pem);

    pem = sig_pem(pkey, 0, "word", "");
    unit_ok(sig_sign(&pem) == TEE_MALFORMED, "with a password");
    unit_free(pem);

    pem = sig_pem(other, 0, NULL, "");
    unit_ok(sig_sign(&pem) == TEE_UNSUPPORTED, "another algorithm");
    unit_free(pem);

    EVP_PKEY_free(pkey);
    EVP_PKEY_free(other);

    pkey = EVP_RSA_gen(1024);
    if (pkey == NULL) {
        abort();
    }

    pem = sig_pem(pkey, 0, NULL, "");
    unit_ok(sig_sign(&pem) == TEE_UNSUPPORTED, "1024 bits");
    unit_free(pem);
    EVP_PKEY_free(pkey);
}


/* A key with a number of its own and the rest of another one. */

static EVP_PKEY *
sig_mixed(EVP_PKEY *pkey, EVP_PKEY *other, const char *name)
{
    BIGNUM          *n;
    EVP_PKEY        *mixed;
    OSSL_PARAM      *all, *own, *params;
    EVP_PKEY_CTX    *ctx;
    OSSL_PARAM_BLD  *bld;

    n = NULL;
    mixed = NULL;

    bld = OSSL_PARAM_BLD_new();
    ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);

    if (bld == NULL || ctx == NULL
        || EVP_PKEY_get_bn_param(other, name, &n) != 1
        || OSSL_PARAM_BLD_push_BN(bld, name, n) != 1
        || EVP_PKEY_todata(pkey, EVP_PKEY_KEYPAIR, &all) != 1)
    {
        abort();
    }

    own = OSSL_PARAM_BLD_to_param(bld);
    params = OSSL_PARAM_merge(all, own);

    if (own == NULL || params == NULL
        || EVP_PKEY_fromdata_init(ctx) != 1
        || EVP_PKEY_fromdata(ctx, &mixed, EVP_PKEY_KEYPAIR, params) != 1)
    {
        abort();
    }

    BN_free(n);
    OSSL_PARAM_free(all);
    OSSL_PARAM_free(own);
    OPENSSL_free(params);
    OSSL_PARAM_BLD_free(bld);
    EVP_PKEY_CTX_free(ctx);

    return mixed;
}


static void
sig_halves(void)
{
    EVP_PKEY       *pkey, *other, *mixed;
    tee_str_t       pem;
    tee_sig_key_t  *key;

    pkey = EVP_RSA_gen(2048);
    other = EVP_RSA_gen(2048);

    if (pkey == NULL || other == NULL) {
        abort();
    }

    mixed = sig_mixed(pkey, pkey, "n");
    pem = sig_pem(mixed, 0, NULL, "");
    unit_ok(tee_sig_key_read(pem, &key) == TEE_OK, "a key put together");
    tee_sig_key_free(key);
    unit_free(pem);
    EVP_PKEY_free(mixed);

    mixed = sig_mixed(pkey, other, "n");
    pem = sig_pem(mixed, 0, NULL, "");
    unit_ok(tee_sig_key_read(pem, &key) == TEE_CRYPTO && key == NULL,
            "the public half of another key");
    unit_free(pem);
    EVP_PKEY_free(mixed);

    tee_sig_key_free(NULL);
    tee_sig_public_free(NULL);

    EVP_PKEY_free(pkey);
    EVP_PKEY_free(other);
}


/* Several threads with both halves of one key. */

static tee_sig_key_t  *sig_shared;


static void *
sig_thread(void *ctx)
{
    size_t             i, bad;
    uint8_t            sig[TEE_SIG_MAX_LEN];
    tee_str_t          s, msg;
    tee_sig_public_t  *public = ctx;

    msg = unit_text("message");
    bad = 0;

    for (i = 0; i < 50; i++) {
        s.data = sig;

        bad += tee_sig_key_sign(sig_shared, msg, sig, &s.len) != TEE_OK
               || tee_sig_public_verify(public, msg, s) != TEE_OK;
    }

    return bad ? public : NULL;
}


static void
sig_threads(void)
{
    size_t             i, bad;
    void              *result;
    EVP_PKEY          *pkey;
    pthread_t          threads[4];
    tee_str_t          pem;
    tee_sig_public_t  *public;

    pkey = EVP_RSA_gen(2048);
    if (pkey == NULL) {
        abort();
    }

    pem = sig_pem(pkey, 0, NULL, "");

    if (tee_sig_key_read(pem, &sig_shared) != TEE_OK
        || tee_sig_public_read(tee_sig_key_public(sig_shared), &public)
           != TEE_OK)
    {
        abort();
    }

    bad = 0;

    for (i = 0; i < 4; i++) {
        if (pthread_create(&threads[i], NULL, sig_thread, public) != 0) {
            abort();
        }
    }

    for (i = 0; i < 4; i++) {
        bad += pthread_join(threads[i], &result) != 0 || result != NULL;
    }

    unit_ok(bad == 0, "four threads");

    tee_sig_public_free(public);
    tee_sig_key_free(sig_shared);
    unit_free(pem);
    EVP_PKEY_free(pkey);
}


int
main(void)
{
    unit_crypto_init();

    sig_signatures();
    sig_signing();
    sig_halves();
    unit_ok(ERR_peek_error() == 0, "the error queue is as it was");
    sig_keys();
    sig_mutations();
    sig_more();

    /* the last one, as it disturbs the counting of libcrypto's memory */

    sig_threads();

    return unit_done();
}
