
/*
 * Copyright (C) The ngx_http_tee authors
 */


/* Requests of Oblivious HTTP; RFC 9458, 4.3; chunked-08, 4.1 and 6.1. */


#include <string.h>

#include <tee_ohttp_keys.h>
#include <tee_ohttp_stream.h>
#include <tee_write.h>


/* The longer label, a zero, and the header. */

#define TEE_OHTTP_MAX_INFO                                                    \
    (sizeof(TEE_OHTTP_CHUNKED_REQUEST) + TEE_OHTTP_HEADER_LEN)


static tee_rc_t tee_ohttp_request_header(tee_ohttp_request_open_t *o,
    tee_str_t *in);
static tee_rc_t tee_ohttp_request_setup(tee_ohttp_request_open_t *o);
static int tee_ohttp_request_offered(const tee_ohttp_header_t *h,
    const tee_ohttp_private_t *key);
static tee_str_t tee_ohttp_request_info(const uint8_t *header, int chunked,
    uint8_t buf[TEE_OHTTP_MAX_INFO]);
static tee_rc_t tee_ohttp_exchange_set(tee_ohttp_exchange_t *e,
    const tee_hpke_t *h);


size_t
tee_ohttp_secret_len(uint16_t aead)
{
    size_t  len;

    len = tee_aead_key_len(aead);

    return len == 0 || len > TEE_AEAD_NONCE_LEN ? len : TEE_AEAD_NONCE_LEN;
}


void
tee_ohttp_exchange_wipe(tee_ohttp_exchange_t *e)
{
    tee_wipe(e, sizeof(tee_ohttp_exchange_t));
}


void
tee_ohttp_request_open_init(tee_ohttp_request_open_t *o,
    tee_crypto_t *crypto, const tee_alloc_t *alloc, int chunked, size_t max,
    tee_ohttp_find_pt find, void *data)
{
    memset(o, 0, sizeof(tee_ohttp_request_open_t));

    o->crypto = crypto;
    o->find = find;
    o->data = data;

    tee_ohttp_stream_init(&o->stream, alloc, chunked, max);
}


void
tee_ohttp_request_open_free(tee_ohttp_request_open_t *o)
{
    tee_ohttp_stream_free(&o->stream);
}


tee_rc_t
tee_ohttp_request_open_read(tee_ohttp_request_open_t *o, tee_str_t *in,
    tee_str_t *plain)
{
    tee_rc_t            rc;
    tee_ohttp_header_t  h;

    plain->len = 0;
    plain->data = NULL;

    rc = o->stream.rc;

    while (rc == TEE_OK
           && in->len
           && o->nhead < TEE_OHTTP_HEADER_LEN + o->exchange.enc_len)
    {
        rc = tee_ohttp_request_header(o, in);
    }

    if (rc != TEE_OK && o->stream.rc == TEE_OK) {
        h = o->exchange.header;
        tee_ohttp_exchange_wipe(&o->exchange);
        o->exchange.header = h;

        return tee_ohttp_stream_fail(&o->stream, rc);
    }

    return tee_ohttp_stream_read(&o->stream, in, plain);
}


/* Takes what there is of the header, or of enc. */

static tee_rc_t
tee_ohttp_request_header(tee_ohttp_request_open_t *o, tee_str_t *in)
{
    size_t               n, total;
    uint8_t             *to;
    tee_ohttp_header_t  *h;

    total = TEE_OHTTP_HEADER_LEN + o->exchange.enc_len;

    to = o->nhead < TEE_OHTTP_HEADER_LEN
         ? o->header + o->nhead
         : o->exchange.enc + (o->nhead - TEE_OHTTP_HEADER_LEN);

    n = total - o->nhead < in->len ? total - o->nhead : in->len;

    memcpy(to, in->data, n);

    in->len -= n;
    in->data += n;
    o->nhead += n;

    if (o->nhead < total) {
        return TEE_OK;
    }

    if (o->nhead > TEE_OHTTP_HEADER_LEN) {
        return tee_ohttp_request_setup(o);
    }

    h = &o->exchange.header;

    h->id = o->header[0];
    h->kem = (uint16_t) (o->header[1] << 8 | o->header[2]);
    h->kdf = (uint16_t) (o->header[3] << 8 | o->header[4]);
    h->aead = (uint16_t) (o->header[5] << 8 | o->header[6]);

    o->exchange.enc_len = tee_hpke_enc_len(h->kem);

    return o->exchange.enc_len ? TEE_OK : TEE_UNSUPPORTED;
}


static tee_rc_t
tee_ohttp_request_setup(tee_ohttp_request_open_t *o)
{
    uint8_t                     buf[TEE_OHTTP_MAX_INFO];
    tee_rc_t                    rc;
    tee_str_t                   enc, info;
    tee_hpke_t                  hpke;
    const tee_ohttp_header_t   *h;
    const tee_ohttp_private_t  *key;

    h = &o->exchange.header;
    key = o->find(o->data, h->id);

    if (key == NULL || !tee_ohttp_request_offered(h, key)) {
        return TEE_UNSUPPORTED;
    }

    info = tee_ohttp_request_info(o->header, o->stream.chunked, buf);

    enc.len = o->exchange.enc_len;
    enc.data = o->exchange.enc;

    rc = tee_hpke_receive(&hpke, o->crypto, key->key, h->kdf, h->aead, enc,
                          info);
    if (rc != TEE_OK) {
        return rc;
    }

    rc = tee_ohttp_exchange_set(&o->exchange, &hpke);

    if (rc == TEE_OK) {
        /* the context has moved */
        o->stream.aead = hpke.aead;
        memset(&hpke.aead, 0, sizeof(tee_aead_t));
    }

    tee_hpke_free(&hpke);

    return rc;
}


/* RFC 9458, 4.3: the KEM of the key, and one of its pairs. */

static int
tee_ohttp_request_offered(const tee_ohttp_header_t *h,
    const tee_ohttp_private_t *key)
{
    tee_ohttp_key_t  offered;

    memset(&offered, 0, sizeof(tee_ohttp_key_t));
    offered.suites = key->suites;

    return tee_hpke_key_kem(key->key) == h->kem
           && tee_ohttp_key_has(&offered, h->kdf, h->aead);
}


static tee_str_t
tee_ohttp_request_info(const uint8_t *header, int chunked,
    uint8_t buf[TEE_OHTTP_MAX_INFO])
{
    tee_str_t    info;
    tee_write_t  w;

    tee_write_fixed(&w, buf, TEE_OHTTP_MAX_INFO);
    tee_write_text(&w, chunked ? TEE_OHTTP_CHUNKED_REQUEST
                               : TEE_OHTTP_REQUEST);
    tee_write_u8(&w, 0);
    tee_write_bytes(&w, header, TEE_OHTTP_HEADER_LEN);

    info.len = w.len;
    info.data = w.data;

    return info;
}


static tee_rc_t
tee_ohttp_exchange_set(tee_ohttp_exchange_t *e, const tee_hpke_t *h)
{
    tee_rc_t  rc;

    static const tee_str_t  whole = tee_string(TEE_OHTTP_RESPONSE);
    static const tee_str_t  chunked = tee_string(TEE_OHTTP_CHUNKED_RESPONSE);

    e->secret_len = tee_ohttp_secret_len(e->header.aead);

    rc = tee_hpke_export(h, whole, e->secret, e->secret_len);

    if (rc == TEE_OK) {
        rc = tee_hpke_export(h, chunked, e->chunked_secret, e->secret_len);
    }

    return rc;
}


tee_rc_t
tee_ohttp_request_open_end(tee_ohttp_request_open_t *o, tee_str_t *plain)
{
    return tee_ohttp_stream_end(&o->stream, plain);
}


tee_rc_t
tee_ohttp_request_seal_init(tee_ohttp_request_seal_t *s, tee_crypto_t *crypto,
    const tee_ohttp_header_t *header, tee_str_t pk, const uint8_t ikm[64],
    int chunked, uint8_t *out, size_t *len)
{
    tee_rc_t         rc;
    tee_str_t        seed;
    tee_hpke_key_t  *ephemeral;

    seed.len = 64;
    seed.data = ikm;

    ephemeral = NULL;

    if (header->kem != TEE_KEM_X_WING) {
        rc = tee_hpke_key_derive(crypto, header->kem, seed, &ephemeral);

        if (rc != TEE_OK) {
            memset(s, 0, sizeof(tee_ohttp_request_seal_t));
            *len = 0;

            return rc;
        }
    }

    rc = tee_ohttp_request_seal_with(s, crypto, header, pk, ephemeral, seed,
                                     chunked, out, len);

    tee_hpke_key_free(ephemeral);

    return rc;
}


tee_rc_t
tee_ohttp_request_seal_with(tee_ohttp_request_seal_t *s, tee_crypto_t *crypto,
    const tee_ohttp_header_t *header, tee_str_t pk,
    const tee_hpke_key_t *ephemeral, tee_str_t seed, int chunked,
    uint8_t *out, size_t *len)
{
    uint8_t                buf[TEE_OHTTP_MAX_INFO];
    tee_rc_t               rc;
    tee_str_t              info;
    tee_hpke_t             hpke;
    tee_write_t            w;
    tee_ohttp_exchange_t  *e;

    memset(s, 0, sizeof(tee_ohttp_request_seal_t));
    *len = 0;

    e = &s->exchange;
    e->header = *header;

    tee_write_fixed(&w, out, TEE_OHTTP_HEADER_LEN + TEE_HPKE_MAX_ENC);
    tee_write_u8(&w, header->id);
    tee_write_u16(&w, header->kem);
    tee_write_u16(&w, header->kdf);
    tee_write_u16(&w, header->aead);

    info = tee_ohttp_request_info(out, chunked, buf);

    rc = tee_hpke_send(&hpke, crypto, header->kem, pk, ephemeral, seed,
                       header->kdf, header->aead, info, e->enc, &e->enc_len);
    if (rc != TEE_OK) {
        return rc;
    }

    tee_write_bytes(&w, e->enc, e->enc_len);

    rc = tee_ohttp_exchange_set(e, &hpke);

    if (rc == TEE_OK) {
        *len = w.len;

        /* the context has moved */
        s->seal.aead = hpke.aead;
        s->seal.chunked = chunked ? 1 : 0;
        memset(&hpke.aead, 0, sizeof(tee_aead_t));

    } else {
        tee_ohttp_exchange_wipe(e);
    }

    tee_hpke_free(&hpke);

    return rc;
}


void
tee_ohttp_request_seal_free(tee_ohttp_request_seal_t *s)
{
    tee_aead_free(&s->seal.aead);
}


tee_rc_t
tee_ohttp_request_seal_update(tee_ohttp_request_seal_t *s, tee_str_t in,
    uint8_t *out)
{
    return tee_ohttp_seal_update(&s->seal, in, out);
}


tee_rc_t
tee_ohttp_request_seal_end(tee_ohttp_request_seal_t *s,
    uint8_t tag[TEE_AEAD_TAG_LEN])
{
    return tee_ohttp_seal_end(&s->seal, tag);
}


tee_rc_t
tee_ohttp_request_seal_chunk(tee_ohttp_request_seal_t *s, tee_str_t in,
    int final, uint8_t *out, size_t *len)
{
    return tee_ohttp_seal_chunk(&s->seal, in, final, out, len);
}
