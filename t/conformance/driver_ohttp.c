
/*
 * Copyright (C) The ngx_http_tee authors
 */


/* Sealing and opening. */


#include <string.h>

#include <tee_aead.h>
#include <tee_hpke.h>
#include <tee_ohttp.h>
#include <tee_text.h>

#include "driver.h"


/* Of a message, or of a chunk. */

#define DRIVER_MAX_PLAIN  ((size_t) 64 * 1024 * 1024)


/* What questions of several kinds have in common. */

typedef struct {
    tee_crypto_t         *crypto;
    unsigned              chunked:1;
} driver_ohttp_t;

typedef tee_rc_t (*driver_ohttp_pt)(driver_t *d, driver_ohttp_t *o);

/* One of the two that read, or one of the two that seal. */

typedef tee_rc_t (*driver_read_pt)(void *o, tee_str_t *in, tee_str_t *plain);
typedef tee_rc_t (*driver_end_pt)(void *o, tee_str_t *plain);
typedef tee_rc_t (*driver_chunk_pt)(void *s, tee_str_t in, int final,
    uint8_t *out, size_t *len);


static tee_rc_t driver_request_open(driver_t *d);
static tee_rc_t driver_request_seal(driver_t *d);
static tee_rc_t driver_response_open(driver_t *d);
static tee_rc_t driver_response_seal(driver_t *d);


const driver_op_t  driver_ohttp_ops[] = {
    { "request_open", driver_request_open },
    { "request_seal", driver_request_seal },
    { "response_open", driver_response_open },
    { "response_seal", driver_response_seal },
    { NULL, NULL }
};


/* With what every one of them needs. */

static tee_rc_t
driver_ohttp(driver_t *d, driver_ohttp_pt handler)
{
    tee_rc_t           rc;
    driver_ohttp_t     o;
    const tee_json_t  *v;

    memset(&o, 0, sizeof(driver_ohttp_t));

    rc = tee_json_get(d->in, "chunked", &v);

    if (rc == TEE_OK && v->type == TEE_JSON_BOOL) {
        o.chunked = v->value;

    } else if (rc != TEE_DONE) {
        return DRIVER_BAD;
    }

    o.crypto = tee_crypto_new(&driver_alloc);
    if (o.crypto == NULL) {
        return DRIVER_BAD;
    }

    rc = handler(d, &o);

    tee_crypto_free(o.crypto);

    return rc;
}


/* Feeds what is to be opened, and collects what has been. */

static tee_rc_t
driver_feed(driver_t *d, void *o, driver_read_pt reader, driver_end_pt ender,
    tee_write_t *all, tee_write_t *list)
{
    tee_rc_t           rc;
    tee_str_t          in, piece, plain;
    const tee_json_t  *split;

    if (driver_hex(d, "wire_hex", &in) != TEE_OK
        || driver_splits(d, &split) != TEE_OK)
    {
        return DRIVER_BAD;
    }

    do {
        rc = driver_piece(&split, &in, &piece);

        while (rc == TEE_OK && piece.len) {
            rc = reader(o, &piece, &plain);

            if (rc == TEE_OK && plain.len) {
                tee_write_text(list, list->len ? ",\"" : "\"");
                tee_write_hex(list, plain.data, plain.len);
                tee_write_text(list, "\"");
                tee_write_bytes(all, plain.data, plain.len);
            }
        }

    } while (rc == TEE_OK && (split || in.len));

    if (rc != TEE_OK) {
        return rc;
    }

    rc = ender(o, &plain);

    if (rc == TEE_OK) {
        tee_write_text(list, list->len ? ",\"" : "\"");
        tee_write_hex(list, plain.data, plain.len);
        tee_write_text(list, "\"");
        tee_write_bytes(all, plain.data, plain.len);
    }

    return rc;
}


static tee_rc_t
driver_opened(driver_t *d, const driver_ohttp_t *o, void *open,
    driver_read_pt reader, driver_end_pt ender)
{
    tee_rc_t     rc;
    tee_write_t  all, list;

    tee_write_grow(&all, &driver_alloc);
    tee_write_grow(&list, &driver_alloc);

    rc = driver_feed(d, open, reader, ender, &all, &list);

    if (rc == TEE_OK) {
        driver_put_hex(d, "plaintext_hex", all.data, all.len);
    }

    if (o->chunked) {
        driver_name(d, "chunks");
        tee_write_u8(d->out, '[');
        tee_write_bytes(d->out, list.data, list.len);
        tee_write_u8(d->out, ']');
    }

    if (tee_write_rc(&all) != TEE_OK || tee_write_rc(&list) != TEE_OK) {
        rc = DRIVER_BAD;
    }

    tee_write_free(&all);
    tee_write_free(&list);

    return rc;
}


static const tee_ohttp_private_t *
driver_find(void *data, uint8_t id)
{
    const tee_ohttp_private_t  *key = data;

    return key->id == id ? key : NULL;
}


static tee_rc_t
driver_request_read(void *o, tee_str_t *in, tee_str_t *plain)
{
    return tee_ohttp_request_open_read(o, in, plain);
}


static tee_rc_t
driver_request_end(void *o, tee_str_t *plain)
{
    return tee_ohttp_request_open_end(o, plain);
}


/* The pairs that are offered; all of ours, if nothing is said. */

static tee_rc_t
driver_offered(driver_t *d, tee_str_t *suites)
{
    uint64_t           n;
    tee_rc_t           rc;
    tee_str_t          text;
    tee_write_t        w;
    const tee_json_t  *pair, *v;

    static const uint8_t  all[] = { 0, 1, 0, 1, 0, 1, 0, 2, 0, 1, 0, 3 };

    suites->len = sizeof(all);
    suites->data = all;

    if (tee_json_get(d->in, "offered", &v) == TEE_DONE) {
        return TEE_OK;
    }

    if (driver_array(d->in, "offered", &pair) != TEE_OK) {
        return DRIVER_BAD;
    }

    suites->len = 0;
    suites->data = NULL;

    tee_write_grow(&w, &driver_alloc);

    for ( /* void */ ; pair; pair = pair->next) {

        if (pair->type != TEE_JSON_ARRAY) {
            goto failed;
        }

        for (v = pair->child; v; v = v->next) {
            if (tee_decimal(v->text, UINT16_MAX, &n) != TEE_OK) {
                goto failed;
            }

            tee_write_u16(&w, (uint16_t) n);
        }
    }

    if (tee_write_rc(&w) != TEE_OK || w.len % 4) {
        goto failed;
    }

    text.len = w.len;
    text.data = w.data;
    rc = tee_arena_copy(d->arena, text, suites);

    tee_write_free(&w);

    return rc == TEE_OK ? TEE_OK : DRIVER_BAD;

failed:

    tee_write_free(&w);

    return DRIVER_BAD;
}


static void
driver_put_exchange(driver_t *d, const tee_ohttp_exchange_t *e)
{
    driver_put_hex(d, "response_secret_hex", e->secret, e->secret_len);
    driver_put_hex(d, "chunked_response_secret_hex", e->chunked_secret,
                   e->secret_len);
    driver_put_hex(d, "enc_hex", e->enc, e->enc_len);
}


static tee_rc_t
driver_request_open_with(driver_t *d, driver_ohttp_t *o)
{
    uint16_t                  id, kem;
    tee_rc_t                  rc;
    tee_str_t                 sk;
    tee_hpke_key_t           *key;
    tee_ohttp_private_t       private;
    tee_ohttp_request_open_t  open;

    memset(&private, 0, sizeof(tee_ohttp_private_t));

    if (driver_u16(d, "key_id", &id) != TEE_OK
        || id > UINT8_MAX
        || driver_u16(d, "kem_id", &kem) != TEE_OK
        || driver_hex(d, "skR", &sk) != TEE_OK
        || driver_offered(d, &private.suites) != TEE_OK)
    {
        return DRIVER_BAD;
    }

    rc = tee_hpke_key_new(o->crypto, kem, sk, &key);

    if (rc != TEE_OK) {
        return rc;
    }

    private.id = (uint8_t) id;
    private.key = key;

    tee_ohttp_request_open_init(&open, o->crypto, &driver_alloc, o->chunked,
                                DRIVER_MAX_PLAIN, driver_find, &private);

    rc = driver_opened(d, o, &open, driver_request_read, driver_request_end);

    if (rc == TEE_OK) {
        driver_put_exchange(d, &open.exchange);
    }

    tee_ohttp_request_open_free(&open);
    tee_ohttp_exchange_wipe(&open.exchange);
    tee_hpke_key_free(key);

    return rc;
}


static tee_rc_t
driver_request_open(driver_t *d)
{
    return driver_ohttp(d, driver_request_open_with);
}


/* Seals what a question has, after what has been written. */

static tee_rc_t
driver_seal_chunks(driver_t *d, void *s, driver_chunk_pt chunk,
    tee_write_t *wire)
{
    size_t             len;
    uint8_t           *out;
    tee_rc_t           rc;
    tee_str_t          in;
    const tee_json_t  *v;

    if (driver_array(d->in, "chunks", &v) != TEE_OK) {
        return DRIVER_BAD;
    }

    if (v == NULL && tee_json_get(d->in, "plaintext_hex", &v) != TEE_OK) {
        return DRIVER_BAD;
    }

    for ( /* void */ ; v; v = v->next) {

        if (driver_hex_text(d, v, &in) != TEE_OK) {
            return DRIVER_BAD;
        }

        out = tee_arena_alloc(d->arena, in.len + TEE_OHTTP_CHUNK_EXTRA);
        if (out == NULL) {
            return DRIVER_BAD;
        }

        rc = chunk(s, in, v->next == NULL, out, &len);

        if (rc != TEE_OK) {
            return rc;
        }

        tee_write_bytes(wire, out, len);
    }

    return TEE_OK;
}


static tee_rc_t
driver_seal_request_chunk(void *s, tee_str_t in, int final, uint8_t *out,
    size_t *len)
{
    return tee_ohttp_request_seal_chunk(s, in, final, out, len);
}


static tee_rc_t
driver_seal_response_chunk(void *s, tee_str_t in, int final, uint8_t *out,
    size_t *len)
{
    return tee_ohttp_response_seal_chunk(s, in, final, out, len);
}


static tee_rc_t
driver_seal_request(driver_t *d, tee_ohttp_request_seal_t *s,
    tee_write_t *wire)
{
    uint8_t    *out, tag[TEE_AEAD_TAG_LEN];
    tee_rc_t    rc;
    tee_str_t   in;

    if (driver_hex(d, "plaintext_hex", &in) != TEE_OK) {
        return DRIVER_BAD;
    }

    out = tee_arena_alloc(d->arena, in.len);
    if (out == NULL) {
        return DRIVER_BAD;
    }

    rc = tee_ohttp_request_seal_update(s, in, out);

    if (rc == TEE_OK) {
        rc = tee_ohttp_request_seal_end(s, tag);
    }

    tee_write_bytes(wire, out, in.len);
    tee_write_bytes(wire, tag, TEE_AEAD_TAG_LEN);

    return rc;
}


static tee_rc_t
driver_request_seal_with(driver_t *d, driver_ohttp_t *o)
{
    size_t                     len;
    uint8_t                    head[TEE_OHTTP_HEADER_LEN + TEE_HPKE_MAX_ENC];
    uint16_t                   id;
    tee_rc_t                   rc;
    tee_str_t                  pk, sk;
    tee_write_t                wire;
    tee_hpke_key_t            *ephemeral;
    tee_ohttp_header_t         header;
    tee_ohttp_request_seal_t   s;

    if (driver_u16(d, "key_id", &id) != TEE_OK
        || id > UINT8_MAX
        || driver_u16(d, "kem_id", &header.kem) != TEE_OK
        || driver_u16(d, "kdf_id", &header.kdf) != TEE_OK
        || driver_u16(d, "aead_id", &header.aead) != TEE_OK
        || driver_hex(d, "pkR", &pk) != TEE_OK
        || driver_hex(d, "skE", &sk) != TEE_OK)
    {
        return DRIVER_BAD;
    }

    header.id = (uint8_t) id;
    ephemeral = NULL;

    if (header.kem != TEE_KEM_X_WING) {
        rc = tee_hpke_key_new(o->crypto, header.kem, sk, &ephemeral);

        if (rc != TEE_OK) {
            return rc;
        }
    }

    tee_write_grow(&wire, &driver_alloc);

    rc = tee_ohttp_request_seal_with(&s, o->crypto, &header, pk, ephemeral, sk,
                                     o->chunked, head, &len);
    tee_write_bytes(&wire, head, len);

    if (rc == TEE_OK) {
        rc = o->chunked
             ? driver_seal_chunks(d, &s, driver_seal_request_chunk, &wire)
             : driver_seal_request(d, &s, &wire);
    }

    if (rc == TEE_OK) {
        driver_put_hex(d, "wire_hex", wire.data, wire.len);
        driver_put_exchange(d, &s.exchange);
    }

    tee_ohttp_request_seal_free(&s);
    tee_ohttp_exchange_wipe(&s.exchange);
    tee_write_free(&wire);
    tee_hpke_key_free(ephemeral);

    return rc;
}


static tee_rc_t
driver_request_seal(driver_t *d)
{
    return driver_ohttp(d, driver_request_seal_with);
}


/* An exchange as a question tells it. */

static tee_rc_t
driver_exchange(driver_t *d, tee_ohttp_exchange_t *e)
{
    tee_str_t  enc, secret;

    memset(e, 0, sizeof(tee_ohttp_exchange_t));

    if (driver_u16(d, "kdf_id", &e->header.kdf) != TEE_OK
        || driver_u16(d, "aead_id", &e->header.aead) != TEE_OK
        || driver_hex(d, "enc_hex", &enc) != TEE_OK
        || driver_hex(d, "secret_hex", &secret) != TEE_OK
        || enc.len > TEE_HPKE_MAX_ENC)
    {
        return DRIVER_BAD;
    }

    if (tee_ohttp_secret_len(e->header.aead) == 0) {
        return TEE_UNSUPPORTED;
    }

    if (secret.len != tee_ohttp_secret_len(e->header.aead)) {
        return TEE_MALFORMED;
    }

    e->enc_len = enc.len;
    e->secret_len = secret.len;
    memcpy(e->enc, enc.data, enc.len);
    memcpy(e->secret, secret.data, secret.len);
    memcpy(e->chunked_secret, secret.data, secret.len);

    return TEE_OK;
}


static tee_rc_t
driver_response_read(void *o, tee_str_t *in, tee_str_t *plain)
{
    return tee_ohttp_response_open_read(o, in, plain);
}


static tee_rc_t
driver_response_end(void *o, tee_str_t *plain)
{
    return tee_ohttp_response_open_end(o, plain);
}


static tee_rc_t
driver_response_open_with(driver_t *d, driver_ohttp_t *o)
{
    tee_rc_t                   rc;
    tee_ohttp_exchange_t       e;
    tee_ohttp_response_open_t  open;

    rc = driver_exchange(d, &e);

    if (rc != TEE_OK) {
        return rc;
    }

    tee_ohttp_response_open_init(&open, o->crypto, &driver_alloc, &e,
                                 o->chunked, DRIVER_MAX_PLAIN);

    rc = driver_opened(d, o, &open, driver_response_read,
                       driver_response_end);

    tee_ohttp_response_open_free(&open);

    /* what a streaming receiver had already */

    d->keep = 1;

    return rc;
}


static tee_rc_t
driver_response_open(driver_t *d)
{
    return driver_ohttp(d, driver_response_open_with);
}


static tee_rc_t
driver_seal_response(driver_t *d, tee_ohttp_response_seal_t *s,
    tee_write_t *wire)
{
    uint8_t    *out, tag[TEE_AEAD_TAG_LEN];
    tee_rc_t    rc;
    tee_str_t   in;

    if (driver_hex(d, "plaintext_hex", &in) != TEE_OK) {
        return DRIVER_BAD;
    }

    out = tee_arena_alloc(d->arena, in.len);
    if (out == NULL) {
        return DRIVER_BAD;
    }

    rc = tee_ohttp_response_seal_update(s, in, out);

    if (rc == TEE_OK) {
        rc = tee_ohttp_response_seal_end(s, tag);
    }

    tee_write_bytes(wire, out, in.len);
    tee_write_bytes(wire, tag, TEE_AEAD_TAG_LEN);

    return rc;
}


static tee_rc_t
driver_response_seal_with(driver_t *d, driver_ohttp_t *o)
{
    tee_rc_t                   rc;
    tee_str_t                  nonce;
    tee_write_t                wire;
    tee_ohttp_exchange_t       e;
    tee_ohttp_response_seal_t  s;

    rc = driver_exchange(d, &e);

    if (rc != TEE_OK) {
        return rc;
    }

    if (driver_hex(d, "response_nonce_hex", &nonce) != TEE_OK) {
        return DRIVER_BAD;
    }

    if (nonce.len != e.secret_len) {
        return TEE_MALFORMED;
    }

    rc = tee_ohttp_response_seal_init(&s, o->crypto, &e, o->chunked,
                                      nonce.data);
    if (rc != TEE_OK) {
        return rc;
    }

    tee_write_grow(&wire, &driver_alloc);
    tee_write_bytes(&wire, nonce.data, nonce.len);

    rc = o->chunked
         ? driver_seal_chunks(d, &s, driver_seal_response_chunk, &wire)
         : driver_seal_response(d, &s, &wire);

    if (rc == TEE_OK) {
        driver_put_hex(d, "wire_hex", wire.data, wire.len);
    }

    tee_ohttp_response_seal_free(&s);
    tee_write_free(&wire);

    return rc;
}


static tee_rc_t
driver_response_seal(driver_t *d)
{
    return driver_ohttp(d, driver_response_seal_with);
}
