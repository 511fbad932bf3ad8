
/*
 * Copyright (C) The ngx_http_tee authors
 */


/* Responses of Oblivious HTTP; RFC 9458, 4.4; chunked-08, 4.2 and 6.2. */


#include <string.h>

#include <tee_hkdf.h>
#include <tee_ohttp_stream.h>


static tee_rc_t tee_ohttp_response_nonce(tee_ohttp_response_open_t *o,
    tee_str_t *in);


tee_rc_t
tee_ohttp_response_aead(tee_aead_t *aead, tee_crypto_t *crypto,
    const tee_ohttp_exchange_t *e, int chunked, const uint8_t *nonce, int open)
{
    size_t     key_len;
    uint8_t    salt[TEE_HPKE_MAX_ENC + TEE_OHTTP_MAX_SECRET];
    uint8_t    prk[TEE_HKDF_LEN], key[TEE_AEAD_MAX_KEY];
    uint8_t    aead_nonce[TEE_AEAD_NONCE_LEN];
    tee_rc_t   rc;
    tee_str_t  salt_str, secret;

    static const tee_str_t  key_info = tee_string("key");
    static const tee_str_t  nonce_info = tee_string("nonce");

    memset(aead, 0, sizeof(tee_aead_t));

    key_len = tee_aead_key_len(e->header.aead);

    if (key_len == 0 || e->header.kdf != TEE_KDF_HKDF_SHA256) {
        return TEE_UNSUPPORTED;
    }

    memcpy(salt, e->enc, e->enc_len);
    memcpy(salt + e->enc_len, nonce, e->secret_len);

    salt_str.len = e->enc_len + e->secret_len;
    salt_str.data = salt;

    secret.len = e->secret_len;
    secret.data = chunked ? e->chunked_secret : e->secret;

    rc = tee_hkdf_extract(crypto, salt_str, &secret, 1, prk);

    if (rc == TEE_OK) {
        rc = tee_hkdf_expand(crypto, prk, &key_info, 1, key, key_len);
    }

    if (rc == TEE_OK) {
        rc = tee_hkdf_expand(crypto, prk, &nonce_info, 1, aead_nonce,
                             TEE_AEAD_NONCE_LEN);
    }

    if (rc == TEE_OK) {
        rc = tee_aead_init(aead, crypto, e->header.aead, key, aead_nonce,
                           open);
    }

    tee_wipe(prk, sizeof(prk));
    tee_wipe(key, sizeof(key));
    tee_wipe(aead_nonce, sizeof(aead_nonce));

    return rc;
}


tee_rc_t
tee_ohttp_response_seal_init(tee_ohttp_response_seal_t *s,
    tee_crypto_t *crypto, const tee_ohttp_exchange_t *e, int chunked,
    const uint8_t *nonce)
{
    memset(s, 0, sizeof(tee_ohttp_response_seal_t));

    s->seal.chunked = chunked ? 1 : 0;

    return tee_ohttp_response_aead(&s->seal.aead, crypto, e, chunked, nonce,
                                   0);
}


void
tee_ohttp_response_seal_free(tee_ohttp_response_seal_t *s)
{
    tee_aead_free(&s->seal.aead);
}


tee_rc_t
tee_ohttp_response_seal_update(tee_ohttp_response_seal_t *s, tee_str_t in,
    uint8_t *out)
{
    return tee_ohttp_seal_update(&s->seal, in, out);
}


tee_rc_t
tee_ohttp_response_seal_end(tee_ohttp_response_seal_t *s,
    uint8_t tag[TEE_AEAD_TAG_LEN])
{
    return tee_ohttp_seal_end(&s->seal, tag);
}


tee_rc_t
tee_ohttp_response_seal_chunk(tee_ohttp_response_seal_t *s, tee_str_t in,
    int final, uint8_t *out, size_t *len)
{
    return tee_ohttp_seal_chunk(&s->seal, in, final, out, len);
}


void
tee_ohttp_response_open_init(tee_ohttp_response_open_t *o,
    tee_crypto_t *crypto, const tee_alloc_t *alloc,
    const tee_ohttp_exchange_t *exchange, int chunked, size_t max)
{
    memset(o, 0, sizeof(tee_ohttp_response_open_t));

    o->crypto = crypto;
    o->exchange = exchange;

    tee_ohttp_stream_init(&o->stream, alloc, chunked, max);
}


void
tee_ohttp_response_open_free(tee_ohttp_response_open_t *o)
{
    tee_ohttp_stream_free(&o->stream);
}


tee_rc_t
tee_ohttp_response_open_read(tee_ohttp_response_open_t *o, tee_str_t *in,
    tee_str_t *plain)
{
    tee_rc_t  rc;

    plain->len = 0;
    plain->data = NULL;

    if (o->stream.rc == TEE_OK && o->nnonce < o->exchange->secret_len) {
        rc = tee_ohttp_response_nonce(o, in);

        if (rc != TEE_OK) {
            return tee_ohttp_stream_fail(&o->stream, rc);
        }
    }

    return tee_ohttp_stream_read(&o->stream, in, plain);
}


static tee_rc_t
tee_ohttp_response_nonce(tee_ohttp_response_open_t *o, tee_str_t *in)
{
    size_t  n;

    n = o->exchange->secret_len - o->nnonce;
    n = in->len < n ? in->len : n;

    if (n == 0) {
        return TEE_OK;
    }

    memcpy(o->nonce + o->nnonce, in->data, n);

    in->len -= n;
    in->data += n;
    o->nnonce += n;

    if (o->nnonce < o->exchange->secret_len) {
        return TEE_OK;
    }

    return tee_ohttp_response_aead(&o->stream.aead, o->crypto, o->exchange,
                                   o->stream.chunked, o->nonce, 1);
}


tee_rc_t
tee_ohttp_response_open_end(tee_ohttp_response_open_t *o, tee_str_t *plain)
{
    return tee_ohttp_stream_end(&o->stream, plain);
}
