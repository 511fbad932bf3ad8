
/*
 * Copyright (C) The ngx_http_tee authors
 */


/* HPKE, base mode. */


#include <string.h>

#include <tee_aead.h>
#include <tee_hpke.h>

#include "driver.h"


/* A sender, and a receiver if its key is told. */

typedef struct {
    tee_hpke_t            sender;
    tee_hpke_t            receiver;
    tee_hpke_key_t       *ephemeral;
    tee_hpke_key_t       *key;                 /* of the receiver, or NULL */
} driver_hpke_t;


static tee_rc_t driver_hpke(driver_t *d);


const driver_op_t  driver_hpke_ops[] = {
    { "hpke", driver_hpke },
    { NULL, NULL }
};


static tee_rc_t
driver_hpke_setup(driver_t *d, tee_crypto_t *crypto, driver_hpke_t *h)
{
    size_t             enc_len;
    uint8_t            buf[TEE_HPKE_MAX_ENC];
    uint16_t           kem, kdf, aead;
    tee_rc_t           rc;
    tee_str_t          sk, ikm, pk, info, enc;
    const tee_json_t  *v;

    if (driver_u16(d, "kem_id", &kem) != TEE_OK
        || driver_u16(d, "kdf_id", &kdf) != TEE_OK
        || driver_u16(d, "aead_id", &aead) != TEE_OK
        || driver_hex(d, "pkR", &pk) != TEE_OK
        || driver_hex(d, "info", &info) != TEE_OK)
    {
        return DRIVER_BAD;
    }

    rc = TEE_OK;

    if (driver_hex(d, "skE", &sk) == TEE_OK) {
        ikm = sk;

        if (kem != TEE_KEM_X_WING) {
            rc = tee_hpke_key_new(crypto, kem, sk, &h->ephemeral);
        }

    } else if (driver_hex(d, "ikmE", &ikm) == TEE_OK) {
        if (kem != TEE_KEM_X_WING) {
            rc = tee_hpke_key_derive(crypto, kem, ikm, &h->ephemeral);
        }

    } else {
        return DRIVER_BAD;
    }

    if (rc != TEE_OK) {
        return rc;
    }

    rc = tee_hpke_send(&h->sender, crypto, kem, pk, h->ephemeral, ikm, kdf,
                       aead, info, buf, &enc_len);
    if (rc != TEE_OK) {
        return rc;
    }

    driver_put_hex(d, "enc", buf, enc_len);

    if (tee_json_get(d->in, "skR", &v) == TEE_DONE) {
        return TEE_OK;
    }

    if (driver_hex(d, "skR", &sk) != TEE_OK) {
        return DRIVER_BAD;
    }

    rc = tee_hpke_key_new(crypto, kem, sk, &h->key);

    if (rc != TEE_OK) {
        return rc;
    }

    enc.len = enc_len;
    enc.data = buf;

    return tee_hpke_receive(&h->receiver, crypto, h->key, kdf, aead, enc,
                            info);
}


static tee_rc_t
driver_hpke_seal(driver_t *d, driver_hpke_t *h, tee_str_t aad, tee_str_t pt)
{
    uint8_t    *ct, *back, tag[TEE_AEAD_TAG_LEN];
    tee_rc_t    rc;
    tee_str_t   in;

    ct = tee_arena_alloc(d->arena, pt.len);
    back = tee_arena_alloc(d->arena, pt.len);

    if (ct == NULL || back == NULL) {
        return DRIVER_BAD;
    }

    rc = tee_aead_begin(&h->sender.aead, aad);

    if (rc == TEE_OK) {
        rc = tee_aead_update(&h->sender.aead, pt, ct);
    }

    if (rc == TEE_OK) {
        rc = tee_aead_seal_end(&h->sender.aead, tag);
    }

    if (rc != TEE_OK) {
        return rc;
    }

    tee_write_u8(d->out, '"');
    tee_write_hex(d->out, ct, pt.len);
    tee_write_hex(d->out, tag, TEE_AEAD_TAG_LEN);
    tee_write_u8(d->out, '"');

    if (h->key == NULL) {
        return TEE_OK;
    }

    in.len = pt.len;
    in.data = ct;

    rc = tee_aead_begin(&h->receiver.aead, aad);

    if (rc == TEE_OK) {
        rc = tee_aead_update(&h->receiver.aead, in, back);
    }

    if (rc == TEE_OK) {
        rc = tee_aead_open_end(&h->receiver.aead, tag);
    }

    if (rc == TEE_OK && memcmp(back, pt.data, pt.len) != 0) {
        rc = TEE_CRYPTO;
    }

    return rc;
}


static tee_rc_t
driver_hpke_seals(driver_t *d, driver_hpke_t *h)
{
    tee_rc_t           rc;
    tee_str_t          aad, pt;
    const tee_json_t  *v, *member;

    if (driver_array(d->in, "seals", &v) != TEE_OK) {
        return DRIVER_BAD;
    }

    driver_name(d, "cts");
    tee_write_u8(d->out, '[');

    for ( /* void */ ; v; v = v->next) {

        if (tee_json_get(v, "aad", &member) != TEE_OK
            || driver_hex_text(d, member, &aad) != TEE_OK
            || tee_json_get(v, "pt", &member) != TEE_OK
            || driver_hex_text(d, member, &pt) != TEE_OK)
        {
            return DRIVER_BAD;
        }

        rc = driver_hpke_seal(d, h, aad, pt);

        if (rc != TEE_OK) {
            return rc;
        }

        if (v->next) {
            tee_write_u8(d->out, ',');
        }
    }

    tee_write_u8(d->out, ']');

    return TEE_OK;
}


static tee_rc_t
driver_hpke_exports(driver_t *d, driver_hpke_t *h)
{
    uint8_t           *out, *other;
    uint64_t           len;
    tee_rc_t           rc;
    tee_str_t          context;
    const tee_json_t  *v, *member;

    if (driver_array(d->in, "exports", &v) != TEE_OK) {
        return DRIVER_BAD;
    }

    driver_name(d, "exports");
    tee_write_u8(d->out, '[');

    for ( /* void */ ; v; v = v->next) {

        if (tee_json_get(v, "context", &member) != TEE_OK
            || driver_hex_text(d, member, &context) != TEE_OK
            || tee_json_get_uint(v, "L", UINT16_MAX, &len) != TEE_OK)
        {
            return DRIVER_BAD;
        }

        out = tee_arena_alloc(d->arena, (size_t) len);
        other = tee_arena_alloc(d->arena, (size_t) len);

        if (out == NULL || other == NULL) {
            return DRIVER_BAD;
        }

        rc = tee_hpke_export(&h->sender, context, out, (size_t) len);

        if (rc == TEE_OK && h->key) {
            rc = tee_hpke_export(&h->receiver, context, other, (size_t) len);

            if (rc == TEE_OK && memcmp(out, other, (size_t) len) != 0) {
                rc = TEE_CRYPTO;
            }
        }

        if (rc != TEE_OK) {
            return rc;
        }

        tee_write_u8(d->out, '"');
        tee_write_hex(d->out, out, (size_t) len);
        tee_write_text(d->out, v->next ? "\"," : "\"");
    }

    tee_write_u8(d->out, ']');

    return TEE_OK;
}


static tee_rc_t
driver_hpke_with(driver_t *d, tee_crypto_t *crypto)
{
    tee_rc_t       rc;
    driver_hpke_t  h;

    memset(&h, 0, sizeof(driver_hpke_t));

    rc = driver_hpke_setup(d, crypto, &h);

    if (rc == TEE_OK) {
        rc = driver_hpke_seals(d, &h);
    }

    if (rc == TEE_OK) {
        rc = driver_hpke_exports(d, &h);
    }

    tee_hpke_free(&h.sender);
    tee_hpke_free(&h.receiver);
    tee_hpke_key_free(h.ephemeral);
    tee_hpke_key_free(h.key);

    return rc;
}


static tee_rc_t
driver_hpke(driver_t *d)
{
    tee_rc_t       rc;
    tee_crypto_t  *crypto;

    crypto = tee_crypto_new(&driver_alloc);
    if (crypto == NULL) {
        return DRIVER_BAD;
    }

    rc = driver_hpke_with(d, crypto);

    tee_crypto_free(crypto);

    return rc;
}
