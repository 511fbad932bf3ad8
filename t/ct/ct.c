
/*
 * Copyright (C) The ngx_http_tee authors
 */


/*
 * Runs what handles secrets with all of them marked as undefined, so that
 * valgrind tells of every branch and every address that depends on one: ct
 * CASE.  What is public, as it is sent or told, is marked as defined again.
 */


#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <valgrind/memcheck.h>

#include <tee_aead.h>
#include <tee_hkdf.h>
#include <tee_hpke.h>
#include <tee_ohttp.h>


typedef struct {
    const char           *name;
    int                  (*run)(tee_crypto_t *crypto);
} ct_case_t;


static const uint8_t  ct_suites[] = { 0, 1, 0, 1, 0, 1, 0, 2, 0, 1, 0, 3 };


static void *
ct_malloc(void *ctx, size_t size)
{
    (void) ctx;

    return malloc(size);
}


static void
ct_release(void *ctx, void *p)
{
    (void) ctx;

    free(p);
}


static const tee_alloc_t  ct_alloc = { ct_malloc, ct_release, NULL };


static void
ct_secret(void *p, size_t len)
{
    (void) VALGRIND_MAKE_MEM_UNDEFINED(p, len);
}


static void
ct_public(const void *p, size_t len)
{
    (void) VALGRIND_MAKE_MEM_DEFINED(p, len);
}


static int
ct_equal(tee_crypto_t *crypto)
{
    int      same, other;
    uint8_t  a[32], b[32], c[32];

    (void) crypto;

    memset(a, 1, sizeof(a));
    memset(b, 1, sizeof(b));
    memset(c, 1, sizeof(c));
    c[31] = 2;

    ct_secret(a, sizeof(a));
    ct_secret(b, sizeof(b));
    ct_secret(c, sizeof(c));

    same = tee_ct_equal(a, b, sizeof(a));
    other = tee_ct_equal(a, c, sizeof(a));

    ct_public(&same, sizeof(same));
    ct_public(&other, sizeof(other));

    return same == 1 && other == 0;
}


static int
ct_hkdf(tee_crypto_t *crypto)
{
    uint8_t    salt[32], ikm[64], prk[32], out[48];
    tee_str_t  s, parts[2];

    memset(salt, 1, sizeof(salt));
    memset(ikm, 2, sizeof(ikm));

    ct_secret(salt, sizeof(salt));
    ct_secret(ikm, sizeof(ikm));

    s.len = sizeof(salt);
    s.data = salt;
    parts[0].len = 64;
    parts[0].data = ikm;

    return tee_hkdf_extract(crypto, s, parts, 1, prk) == TEE_OK
           && tee_hkdf_expand(crypto, prk, parts, 1, out, sizeof(out))
              == TEE_OK;
}


static const tee_ohttp_private_t *
ct_find(void *data, uint8_t id)
{
    const tee_ohttp_private_t  *p = data;

    return p->id == id ? p : NULL;
}


/* A whole exchange, by turns of the client and the gateway. */

static int
ct_exchange(tee_crypto_t *crypto, uint16_t kem, uint16_t aead, int chunked)
{
    int                        ok;
    size_t                     head, len;
    uint8_t                    sk[32], ikm[64], text[5], wire[256], nonce[32];
    tee_str_t                  in, plain;
    tee_hpke_key_t            *key;
    tee_ohttp_header_t         h;
    tee_ohttp_private_t        p;
    tee_ohttp_request_open_t   o;
    tee_ohttp_request_seal_t   s;
    tee_ohttp_response_seal_t  r;

    memset(sk, 3, sizeof(sk));
    memset(ikm, 4, sizeof(ikm));
    memset(nonce, 5, sizeof(nonce));
    memcpy(text, "hello", 5);

    ct_secret(sk, sizeof(sk));
    ct_secret(ikm, sizeof(ikm));
    ct_secret(text, sizeof(text));

    in.len = sizeof(sk);
    in.data = sk;

    if (tee_hpke_key_derive(crypto, kem, in, &key) != TEE_OK) {
        return 0;
    }

    /* a public key is public */

    plain = tee_hpke_key_public(key);
    ct_public(plain.data, plain.len);

    h.id = 1;
    h.kem = kem;
    h.kdf = TEE_KDF_HKDF_SHA256;
    h.aead = aead;

    p.key = key;
    p.id = 1;
    p.suites.len = sizeof(ct_suites);
    p.suites.data = ct_suites;

    ok = tee_ohttp_request_seal_init(&s, crypto, &h, plain, ikm, chunked, wire,
                                     &head)
         == TEE_OK;

    in.len = sizeof(text);
    in.data = text;

    if (chunked) {
        ok = ok && tee_ohttp_request_seal_chunk(&s, in, 1, wire + head, &len)
                   == TEE_OK;

    } else {
        ok = ok && tee_ohttp_request_seal_update(&s, in, wire + head) == TEE_OK
             && tee_ohttp_request_seal_end(&s, wire + head + in.len)
                == TEE_OK;
        len = in.len + TEE_AEAD_TAG_LEN;
    }

    tee_ohttp_request_seal_free(&s);

    /* and so is what is sent */

    ct_public(wire, sizeof(wire));

    tee_ohttp_request_open_init(&o, crypto, &ct_alloc, chunked, 1024, ct_find,
                                &p);
    in.len = ok ? head + len : 0;
    in.data = wire;

    ok = ok && tee_ohttp_request_open_read(&o, &in, &plain) == TEE_OK
         && tee_ohttp_request_open_end(&o, &plain) == TEE_OK
         && plain.len == sizeof(text);

    ok = ok && tee_ohttp_response_seal_init(&r, crypto, &o.exchange, chunked,
                                            nonce)
               == TEE_OK;

    if (ok) {
        ok = chunked
             ? tee_ohttp_response_seal_chunk(&r, plain, 1, wire, &len)
               == TEE_OK
             : tee_ohttp_response_seal_update(&r, plain, wire) == TEE_OK
               && tee_ohttp_response_seal_end(&r, wire + plain.len) == TEE_OK;

        tee_ohttp_response_seal_free(&r);
    }

    tee_ohttp_request_open_free(&o);
    tee_ohttp_exchange_wipe(&o.exchange);
    tee_hpke_key_free(key);

    return ok;
}


static int
ct_x25519(tee_crypto_t *crypto)
{
    return ct_exchange(crypto, TEE_KEM_X25519, TEE_AEAD_AES_128_GCM, 0)
           && ct_exchange(crypto, TEE_KEM_X25519, TEE_AEAD_CHACHA20, 1);
}


static int
ct_p256(tee_crypto_t *crypto)
{
    return ct_exchange(crypto, TEE_KEM_P256, TEE_AEAD_AES_256_GCM, 0);
}


/* What has to be told, or nothing of the above means anything. */

static int
ct_leak(tee_crypto_t *crypto)
{
    size_t   i;
    uint8_t  a[32], b[32];

    (void) crypto;

    memset(a, 1, sizeof(a));
    memset(b, 1, sizeof(b));

    ct_secret(a, sizeof(a));

    for (i = 0; i < sizeof(a); i++) {
        if (((volatile uint8_t *) a)[i] != b[i]) {
            return 0;
        }
    }

    return 1;
}


static const ct_case_t  ct_cases[] = {
    { "equal", ct_equal },
    { "hkdf", ct_hkdf },
    { "x25519", ct_x25519 },
    { "p256", ct_p256 },
    { "leak", ct_leak },
    { NULL, NULL }
};


int
main(int argc, char *argv[])
{
    int               ok;
    tee_crypto_t     *crypto;
    const ct_case_t  *c;

    ok = 0;

    crypto = tee_crypto_new(&ct_alloc);
    if (crypto == NULL) {
        return 2;
    }

    for (c = ct_cases; argc == 2 && c->name; c++) {
        if (strcmp(argv[1], c->name) == 0) {
            ok = c->run(crypto);
        }
    }

    tee_crypto_free(crypto);

    if (!ok) {
        fputs("ct: it does not do what it should\n", stderr);
    }

    return ok ? 0 : 2;
}
