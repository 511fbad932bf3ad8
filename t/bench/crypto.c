
/*
 * Copyright (C) The ngx_http_tee authors
 */


/*
 * What a gateway computes for one exchange, with X25519 and AES-128-GCM: by
 * libcrypto alone, everything fetched before, and by tee_ohttp.  The same
 * request is opened, and a response as long as it sealed.  Runs of both
 * alternate; what is printed are medians, in processor time.
 */


#define _POSIX_C_SOURCE  200809L

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include <tee_hpke.h>
#include <tee_ohttp.h>


#define BENCH_RUNS  21
#define BENCH_TIME  0.04                       /* of a run, in seconds */
#define BENCH_HEAD  (TEE_OHTTP_HEADER_LEN + 32)
#define BENCH_INFO  (sizeof(BENCH_LABEL) + TEE_OHTTP_HEADER_LEN)

#define BENCH_LABEL     "message/bhttp request"
#define BENCH_RESPONSE  "message/bhttp response"


typedef struct {
    uint8_t              *wire;                /* the request */
    uint8_t              *plain;
    size_t                len;
    uint8_t               pk[32];

    /* libcrypto alone */
    EVP_PKEY             *key;
    EVP_CIPHER           *cipher;
    EVP_CIPHER_CTX       *open;
    EVP_CIPHER_CTX       *seal;
    EVP_MAC_CTX          *mac;

    /* ours */
    tee_crypto_t         *crypto;
    tee_hpke_key_t       *private;
    tee_ohttp_private_t   offered;
} bench_t;

typedef void (*bench_pt)(bench_t *b);


static const uint8_t  bench_nonce[16] = { 1, 2, 3 };


static void
bench_check(int ok)
{
    if (!ok) {
        fputs("crypto: something has failed\n", stderr);
        exit(1);
    }
}


static void *
bench_malloc(void *ctx, size_t size)
{
    (void) ctx;

    return malloc(size);
}


static void
bench_release(void *ctx, void *p)
{
    (void) ctx;

    free(p);
}


static const tee_alloc_t  bench_alloc = { bench_malloc, bench_release, NULL };


/* HMAC over up to six parts. */

static void
bench_hmac(bench_t *b, const uint8_t *key, size_t key_len,
    const tee_str_t *parts, size_t n, uint8_t mac[32])
{
    size_t  i, len;

    bench_check(EVP_MAC_init(b->mac, key, key_len, NULL) == 1);

    for (i = 0; i < n; i++) {
        if (parts[i].len) {
            bench_check(EVP_MAC_update(b->mac, parts[i].data, parts[i].len)
                        == 1);
        }
    }

    bench_check(EVP_MAC_final(b->mac, mac, &len, 32) == 1);
}


static tee_str_t
bench_str(const void *p, size_t len)
{
    tee_str_t  s;

    s.len = len;
    s.data = p;

    return s;
}


static void
bench_extract(bench_t *b, tee_str_t suite, tee_str_t salt, const char *label,
    tee_str_t ikm, uint8_t prk[32])
{
    tee_str_t  parts[4];

    static const uint8_t  zero[32];

    parts[0] = bench_str("HPKE-v1", 7);
    parts[1] = suite;
    parts[2] = bench_str(label, strlen(label));
    parts[3] = ikm;

    bench_hmac(b, salt.len ? salt.data : zero, salt.len ? salt.len : 32, parts,
               4, prk);
}


static void
bench_expand(bench_t *b, tee_str_t suite, const uint8_t prk[32],
    const char *label, tee_str_t info, uint8_t len, uint8_t out[32])
{
    uint8_t    number[2], one;
    tee_str_t  parts[6];

    number[0] = 0;
    number[1] = len;
    one = 1;

    parts[0] = bench_str(number, 2);
    parts[1] = bench_str("HPKE-v1", 7);
    parts[2] = suite;
    parts[3] = bench_str(label, strlen(label));
    parts[4] = info;
    parts[5] = bench_str(&one, 1);

    bench_hmac(b, prk, 32, parts, 6, out);
}


static void
bench_dh(bench_t *b, uint8_t dh[32])
{
    size_t         len;
    EVP_PKEY      *peer;
    EVP_PKEY_CTX  *ctx;

    len = 32;

    peer = EVP_PKEY_new_raw_public_key_ex(NULL, "X25519", NULL,
                                          b->wire + TEE_OHTTP_HEADER_LEN, 32);
    ctx = EVP_PKEY_CTX_new_from_pkey(NULL, b->key, NULL);

    bench_check(peer && ctx
                && EVP_PKEY_derive_init(ctx) == 1
                && EVP_PKEY_derive_set_peer_ex(ctx, peer, 0) == 1
                && EVP_PKEY_derive(ctx, dh, &len) == 1);

    EVP_PKEY_CTX_free(ctx);
    EVP_PKEY_free(peer);
}


static void
bench_cipher(bench_t *b, EVP_CIPHER_CTX *ctx, const uint8_t *key,
    const uint8_t *nonce, int seal, const uint8_t *in, uint8_t *out,
    uint8_t *tag)
{
    int  n;

    bench_check(EVP_CipherInit_ex2(ctx, b->cipher, key, nonce, seal, NULL) == 1
                && EVP_CipherUpdate(ctx, out, &n, in, (int) b->len) == 1);

    if (seal) {
        bench_check(EVP_CipherFinal_ex(ctx, out + n, &n) == 1
                    && EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, 16, tag)
                       == 1);

    } else {
        bench_check(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, 16, tag)
                    == 1
                    && EVP_CipherFinal_ex(ctx, out + n, &n) == 1);
    }
}


static void
bench_bare(bench_t *b)
{
    uint8_t         dh[32], prk[32], shared[32], secret[32], key[32], nonce[32];
    uint8_t         exporter[32], exported[32], context[65], both[64];
    uint8_t         info[BENCH_INFO], salt[48], tag[16];
    tee_str_t       s[2];

    static const tee_str_t  none = { 0, NULL };
    static const tee_str_t  kem = { 5, (const uint8_t *) "KEM\0\x20" };
    static const tee_str_t  suite = {
        10, (const uint8_t *) "HPKE\0\x20\0\1\0\1"
    };

    bench_dh(b, dh);

    memcpy(both, b->wire + TEE_OHTTP_HEADER_LEN, 32);
    memcpy(both + 32, b->pk, 32);
    bench_extract(b, kem, none, "eae_prk", bench_str(dh, 32), prk);
    bench_expand(b, kem, prk, "shared_secret", bench_str(both, 64), 32,
                 shared);

    memcpy(info, BENCH_LABEL, sizeof(BENCH_LABEL));
    memcpy(info + sizeof(BENCH_LABEL), b->wire, TEE_OHTTP_HEADER_LEN);

    context[0] = 0;
    bench_extract(b, suite, none, "psk_id_hash", none, context + 1);
    bench_extract(b, suite, none, "info_hash", bench_str(info, BENCH_INFO),
                  context + 33);
    bench_extract(b, suite, bench_str(shared, 32), "secret", none, secret);
    bench_expand(b, suite, secret, "key", bench_str(context, 65), 16, key);
    bench_expand(b, suite, secret, "base_nonce", bench_str(context, 65), 12,
                 nonce);
    bench_expand(b, suite, secret, "exp", bench_str(context, 65), 32,
                 exporter);

    memcpy(tag, b->wire + BENCH_HEAD + b->len, 16);
    bench_cipher(b, b->open, key, nonce, 0, b->wire + BENCH_HEAD, b->plain,
                 tag);

    bench_expand(b, suite, exporter, "sec",
                 bench_str(BENCH_RESPONSE, sizeof(BENCH_RESPONSE) - 1), 16,
                 exported);

    memcpy(salt, b->wire + TEE_OHTTP_HEADER_LEN, 32);
    memcpy(salt + 32, bench_nonce, 16);
    s[0] = bench_str(exported, 16);
    bench_hmac(b, salt, 48, s, 1, prk);
    s[0] = bench_str("key", 3);
    s[1] = bench_str("\1", 1);
    bench_hmac(b, prk, 32, s, 2, key);
    s[0] = bench_str("nonce", 5);
    bench_hmac(b, prk, 32, s, 2, nonce);

    bench_cipher(b, b->seal, key, nonce, 1, b->plain, b->plain, tag);
}


static const tee_ohttp_private_t *
bench_find(void *data, uint8_t id)
{
    bench_t  *b = data;

    return id == b->offered.id ? &b->offered : NULL;
}


static void
bench_ours(bench_t *b)
{
    uint8_t                    tag[16];
    tee_str_t                  in, plain;
    tee_ohttp_request_open_t   o;
    tee_ohttp_response_seal_t  s;

    tee_ohttp_request_open_init(&o, b->crypto, &bench_alloc, 0, b->len,
                                bench_find, b);

    in = bench_str(b->wire, BENCH_HEAD + b->len + TEE_AEAD_TAG_LEN);

    bench_check(tee_ohttp_request_open_read(&o, &in, &plain) == TEE_OK
                && tee_ohttp_request_open_end(&o, &plain) == TEE_OK
                && plain.len == b->len);

    bench_check(tee_ohttp_response_seal_init(&s, b->crypto, &o.exchange, 0,
                                             bench_nonce)
                == TEE_OK
                && tee_ohttp_response_seal_update(&s, plain,
                                         (uint8_t *) (uintptr_t) plain.data)
                   == TEE_OK
                && tee_ohttp_response_seal_end(&s, tag) == TEE_OK);

    tee_ohttp_response_seal_free(&s);
    tee_ohttp_request_open_free(&o);
    tee_ohttp_exchange_wipe(&o.exchange);
}


static void
bench_init(bench_t *b)
{
    EVP_MAC     *mac;
    tee_str_t    pk;
    OSSL_PARAM   params[2];

    static char           digest[] = "SHA2-256";
    static const uint8_t  sk[32] = { 7, 7, 7 };
    static const uint8_t  suites[] = { 0, 1, 0, 1 };

    memset(b, 0, sizeof(bench_t));

    b->crypto = tee_crypto_new(&bench_alloc);
    bench_check(b->crypto != NULL);
    bench_check(tee_hpke_key_new(b->crypto, TEE_KEM_X25519, bench_str(sk, 32),
                                 &b->private)
                == TEE_OK);

    b->offered.key = b->private;
    b->offered.id = 1;
    b->offered.suites = bench_str(suites, 4);

    pk = tee_hpke_key_public(b->private);
    memcpy(b->pk, pk.data, 32);

    params[0] = OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest,
                                                 0);
    params[1] = OSSL_PARAM_construct_end();

    mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    b->mac = EVP_MAC_CTX_new(mac);
    EVP_MAC_free(mac);
    b->key = EVP_PKEY_new_raw_private_key_ex(NULL, "X25519", NULL, sk, 32);
    b->cipher = EVP_CIPHER_fetch(NULL, "AES-128-GCM", NULL);
    b->open = EVP_CIPHER_CTX_new();
    b->seal = EVP_CIPHER_CTX_new();

    bench_check(b->mac && b->key && b->cipher && b->open && b->seal
                && EVP_MAC_init(b->mac, sk, 32, params) == 1);
}


static void
bench_request(bench_t *b, size_t len)
{
    size_t                     n;
    uint8_t                    ikm[64], head[TEE_OHTTP_HEADER_LEN
                                             + TEE_HPKE_MAX_ENC];
    tee_ohttp_header_t         h;
    tee_ohttp_request_seal_t   s;

    free(b->wire);
    free(b->plain);

    b->len = len;
    b->wire = malloc(BENCH_HEAD + len + TEE_AEAD_TAG_LEN);
    b->plain = malloc(len + TEE_AEAD_TAG_LEN);
    bench_check(b->wire && b->plain);

    memset(b->plain, 'x', len);
    memset(ikm, 5, sizeof(ikm));

    h.id = 1;
    h.kem = TEE_KEM_X25519;
    h.kdf = TEE_KDF_HKDF_SHA256;
    h.aead = TEE_AEAD_AES_128_GCM;

    bench_check(tee_ohttp_request_seal_init(&s, b->crypto, &h,
                                            bench_str(b->pk, 32), ikm, 0, head,
                                            &n)
                == TEE_OK
                && n == BENCH_HEAD
                && tee_ohttp_request_seal_update(&s, bench_str(b->plain, len),
                                                 b->wire + n)
                   == TEE_OK
                && tee_ohttp_request_seal_end(&s, b->wire + n + len)
                   == TEE_OK);

    memcpy(b->wire, head, n);
    tee_ohttp_request_seal_free(&s);
}


static double
bench_now(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);

    return (double) ts.tv_sec + (double) ts.tv_nsec / 1e9;
}


static double
bench_run(bench_t *b, bench_pt f, unsigned n)
{
    double    start;
    unsigned  i;

    start = bench_now();

    for (i = 0; i < n; i++) {
        f(b);
    }

    return (bench_now() - start) / n;
}


static int
bench_cmp(const void *one, const void *two)
{
    const double  *a = one, *b = two;

    return *a < *b ? -1 : *a > *b;
}


int
main(void)
{
    size_t    i;
    double    bare[BENCH_RUNS], ours[BENCH_RUNS], ratio[BENCH_RUNS];
    bench_t   b;
    unsigned  run, n;

    static const size_t  sizes[] = { 256, 10240, 1048576 };

    bench_init(&b);

    printf("%10s %12s %12s %8s\n", "bytes", "libcrypto", "tee_ohttp", "ratio");

    for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        bench_request(&b, sizes[i]);

        (void) bench_run(&b, bench_bare, 10);
        (void) bench_run(&b, bench_ours, 10);

        n = (unsigned) (BENCH_TIME / bench_run(&b, bench_bare, 10)) + 1;

        for (run = 0; run < BENCH_RUNS; run++) {
            bare[run] = bench_run(&b, bench_bare, n);
            ours[run] = bench_run(&b, bench_ours, n);
            ratio[run] = ours[run] / bare[run];
        }

        qsort(bare, BENCH_RUNS, sizeof(double), bench_cmp);
        qsort(ours, BENCH_RUNS, sizeof(double), bench_cmp);
        qsort(ratio, BENCH_RUNS, sizeof(double), bench_cmp);

        printf("%10zu %9.0f ns %9.0f ns %8.2f\n", sizes[i],
               bare[BENCH_RUNS / 2] * 1e9, ours[BENCH_RUNS / 2] * 1e9,
               ratio[BENCH_RUNS / 2]);
    }

    EVP_CIPHER_CTX_free(b.open);
    EVP_CIPHER_CTX_free(b.seal);
    EVP_CIPHER_free(b.cipher);
    EVP_MAC_CTX_free(b.mac);
    EVP_PKEY_free(b.key);
    tee_hpke_key_free(b.private);
    tee_crypto_free(b.crypto);
    free(b.wire);
    free(b.plain);

    return 0;
}
