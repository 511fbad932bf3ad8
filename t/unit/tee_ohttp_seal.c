
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <string.h>

#include <openssl/err.h>

#include <tee_ohttp.h>

#include "unit.h"


static const tee_str_t  seal_none = { 0, NULL };


static void
seal_order(tee_crypto_t *crypto, tee_ohttp_exchange_t *e)
{
    size_t                     len;
    uint8_t                    buf[128], tag[TEE_AEAD_TAG_LEN];
    tee_str_t                  in, endless;
    tee_ohttp_response_seal_t  s;

    static const uint8_t  nonce[TEE_OHTTP_MAX_SECRET];

    in = unit_text("text");
    endless.len = ((size_t) 1 << 30) + 1;
    endless.data = buf;

    unit_ok(tee_ohttp_response_seal_init(&s, crypto, e, 0, nonce)
            == TEE_OK
            && tee_ohttp_response_seal_chunk(&s, in, 0, buf, &len)
               == TEE_LIMIT
            && len == 0, "no chunk of what is whole");
    unit_ok(tee_ohttp_response_seal_update(&s, in, buf) == TEE_OK
            && tee_ohttp_response_seal_end(&s, tag) == TEE_OK
            && tee_ohttp_response_seal_end(&s, tag) == TEE_LIMIT
            && tag[0] == 0 && tag[15] == 0
            && tee_ohttp_response_seal_update(&s, in, buf) == TEE_LIMIT,
            "nothing after the end");
    tee_ohttp_response_seal_free(&s);
    tee_ohttp_response_seal_free(&s);

    unit_ok(tee_ohttp_response_seal_init(&s, crypto, e, 0, nonce)
            == TEE_OK
            && tee_ohttp_response_seal_end(&s, tag) == TEE_OK,
            "an empty message");
    tee_ohttp_response_seal_free(&s);

    unit_ok(tee_ohttp_response_seal_init(&s, crypto, e, 1, nonce)
            == TEE_OK
            && tee_ohttp_response_seal_update(&s, in, buf) == TEE_LIMIT
            && tee_ohttp_response_seal_end(&s, tag) == TEE_LIMIT,
            "no part of what is in chunks");
    unit_ok(tee_ohttp_response_seal_chunk(&s, seal_none, 0, buf, &len)
            == TEE_MALFORMED
            && tee_ohttp_response_seal_chunk(&s, endless, 0, buf, &len)
               == TEE_LIMIT
            && tee_ohttp_response_seal_chunk(&s, in, 0, buf, &len) == TEE_OK
            && len == 1 + in.len + TEE_AEAD_TAG_LEN, "chunks");
    unit_ok(tee_ohttp_response_seal_chunk(&s, seal_none, 1, buf, &len)
            == TEE_OK
            && len == 1 + TEE_AEAD_TAG_LEN && buf[0] == 0
            && tee_ohttp_response_seal_chunk(&s, in, 0, buf, &len)
               == TEE_LIMIT
            && len == 0, "nothing after the final chunk");
    tee_ohttp_response_seal_free(&s);

    unit_ok(tee_ohttp_response_seal_init(&s, crypto, e, 1, nonce)
            == TEE_OK, "a response is begun");
    s.seal.aead.seq = UINT64_MAX - 1;
    unit_ok(tee_ohttp_response_seal_chunk(&s, in, 0, buf, &len) == TEE_OK
            && tee_ohttp_response_seal_chunk(&s, in, 0, buf, &len)
               == TEE_LIMIT
            && tee_ohttp_response_seal_chunk(&s, seal_none, 1, buf, &len)
               == TEE_LIMIT, "no more chunks than there are nonces");
    tee_ohttp_response_seal_free(&s);

    e->header.kdf = 2;
    unit_ok(tee_ohttp_response_seal_init(&s, crypto, e, 1, nonce)
            == TEE_UNSUPPORTED, "an unknown KDF");
    e->header.kdf = 1;
    tee_ohttp_response_seal_free(&s);
}


static void
seal_keys(tee_crypto_t *crypto)
{
    size_t                    len;
    uint8_t                   ikm[64], buf[TEE_OHTTP_HEADER_LEN
                                           + TEE_HPKE_MAX_ENC];
    tee_str_t                 pk;
    tee_ohttp_header_t        h;
    tee_ohttp_request_seal_t  s;

    static const uint8_t  zero[32];

    memset(ikm, 1, sizeof(ikm));

    h.id = 1;
    h.kem = TEE_KEM_X25519;
    h.kdf = TEE_KDF_HKDF_SHA256;
    h.aead = TEE_AEAD_AES_128_GCM;

    pk.len = 32;
    pk.data = zero;

    unit_ok(tee_ohttp_request_seal_init(&s, crypto, &h, pk, ikm, 0, buf,
                                        &len)
            == TEE_CRYPTO
            && len == 0, "a public key of low order");
    tee_ohttp_request_seal_free(&s);

    pk.len = 31;
    unit_ok(tee_ohttp_request_seal_init(&s, crypto, &h, pk, ikm, 0, buf,
                                        &len)
            == TEE_MALFORMED, "a public key too short");

    pk.len = 32;
    h.aead = 4;
    unit_ok(tee_ohttp_request_seal_init(&s, crypto, &h, pk, ikm, 0, buf,
                                        &len)
            == TEE_UNSUPPORTED, "an unknown AEAD");

    h.kem = 0x0011;
    unit_ok(tee_ohttp_request_seal_init(&s, crypto, &h, pk, ikm, 0, buf,
                                        &len)
            == TEE_UNSUPPORTED, "an unknown KEM to seal to");
}


int
main(void)
{
    tee_crypto_t          *crypto;
    tee_ohttp_exchange_t   e;

    unit_crypto_init();

    crypto = tee_crypto_new(&unit_alloc);
    if (!unit_ok(crypto != NULL, "what is kept")) {
        return unit_done();
    }

    memset(&e, 0, sizeof(tee_ohttp_exchange_t));

    e.header.kdf = TEE_KDF_HKDF_SHA256;
    e.header.aead = TEE_AEAD_CHACHA20;
    e.enc_len = 32;
    e.secret_len = 32;

    seal_order(crypto, &e);
    seal_keys(crypto);

    tee_crypto_free(crypto);

    unit_ok(ERR_peek_error() == 0, "the error queue is as it was");

    return unit_done();
}
