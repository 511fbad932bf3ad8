
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <string.h>

#include <tee_json.h>
#include <tee_ohttp_keys.h>
#include <tee_registry_list.h>
#include <tee_text.h>
#include <tee_write.h>


#define TEE_REGISTRY_NODES       (4 * 1024 * 1024)
#define TEE_KEY_CONFIG_MAX_LEN   128


typedef struct {
    tee_registry_list_t  *list;
    tee_blob_pt           blob;
    void                 *ctx;
    const char           *why;
} tee_registry_json_t;


static tee_rc_t tee_registry_json_tees(tee_registry_json_t *r,
    const tee_json_t *tees, uint32_t *at);
static tee_rc_t tee_registry_json_tee(tee_registry_json_t *r,
    const tee_json_t *tee, tee_registry_entry_t *e);
static tee_rc_t tee_registry_json_scalars(tee_registry_json_t *r,
    const tee_json_t *tee, tee_registry_entry_t *e);
static tee_rc_t tee_registry_json_ohttp(tee_registry_json_t *r,
    const tee_json_t *tee, tee_registry_entry_t *e);
static tee_rc_t tee_registry_json_key(tee_registry_json_t *r,
    const tee_json_t *ohttp, tee_registry_entry_t *e);
static tee_rc_t tee_registry_json_blob(tee_registry_json_t *r,
    const tee_json_t *object, const char *name, tee_blob_t what,
    tee_str_t *der);
static tee_rc_t tee_registry_json_base64(tee_registry_json_t *r,
    tee_str_t text, tee_str_t *der);
static tee_rc_t tee_registry_json_config(tee_registry_json_t *r,
    tee_registry_entry_t *e);
static tee_rc_t tee_registry_json_hex(const tee_json_t *tee, const char *name,
    uint8_t *out, size_t len);
static tee_rc_t tee_registry_json_u256(const tee_json_t *tee,
    const char *name, uint8_t n[32]);
static int tee_registry_json_formal(tee_skip_t reason);


tee_rc_t
tee_registry_add_json(tee_registry_list_t *list, tee_str_t json,
    tee_blob_pt blob, void *ctx, uint32_t *at, const char **why)
{
    tee_rc_t             rc;
    tee_json_doc_t       doc;
    const tee_json_t    *tees;
    tee_registry_json_t  r;
    tee_registry_mark_t  mark;

    *at = 0;
    *why = NULL;

    rc = tee_json_parse(json, TEE_REGISTRY_NODES, list->rules.alloc, &doc);

    if (rc != TEE_OK) {
        *why = "not JSON";
        return rc;
    }

    r.list = list;
    r.blob = blob;
    r.ctx = ctx;
    r.why = NULL;

    mark = tee_registry_mark(list);

    if (tee_json_get_type(doc.root, "tees", TEE_JSON_ARRAY, &tees) != TEE_OK) {
        r.why = "no list \"tees\"";
        rc = TEE_MALFORMED;

    } else {
        rc = tee_registry_json_tees(&r, tees, at);
    }

    tee_json_free(&doc);

    if (rc != TEE_OK) {
        tee_registry_rollback(list, mark);
        *why = r.why ? r.why : tee_strerror(rc);
    }

    return rc;
}


static tee_rc_t
tee_registry_json_tees(tee_registry_json_t *r, const tee_json_t *tees,
    uint32_t *at)
{
    size_t                n;
    tee_rc_t              rc;
    tee_skip_t            reason;
    const tee_json_t     *tee;
    tee_registry_entry_t  e;

    n = 0;

    for (tee = tees->child; tee; tee = tee->next) {
        n++;
    }

    rc = tee_registry_reserve(r->list, n);

    for (tee = tees->child; tee && rc == TEE_OK; tee = tee->next) {

        rc = tee_registry_json_tee(r, tee, &e);

        if (rc != TEE_OK) {
            break;
        }

        reason = TEE_SKIP_NONE;
        rc = tee_registry_add(r->list, &e, &reason);

        if (rc == TEE_OK && tee_registry_json_formal(reason)) {
            r->why = tee_skip_name(reason);
            rc = TEE_MALFORMED;
            break;
        }

        ++*at;
    }

    if (rc == TEE_OK) {
        *at = 0;
    }

    return rc;
}


/* What nobody would write on purpose, as opposed to what does not suit. */

static int
tee_registry_json_formal(tee_skip_t reason)
{
    return reason == TEE_SKIP_ENDPOINT || reason == TEE_SKIP_KEY
           || reason == TEE_SKIP_CERTIFICATE || reason == TEE_SKIP_SCALAR;
}


static tee_rc_t
tee_registry_json_tee(tee_registry_json_t *r, const tee_json_t *tee,
    tee_registry_entry_t *e)
{
    tee_rc_t   rc;
    tee_str_t  text;

    memset(e, 0, sizeof(tee_registry_entry_t));

    if (tee_json_get_text(tee, "endpoint", &text) != TEE_OK) {
        r->why = "no text \"endpoint\"";
        return TEE_MALFORMED;
    }

    /* it may be the document's, which goes before the list does */

    rc = tee_arena_copy(&r->list->arena, text, &e->endpoint);

    if (rc == TEE_OK) {
        rc = tee_registry_json_blob(r, tee, "tls_certificate",
                                    TEE_BLOB_CERTIFICATE, &e->certificate);
    }

    if (rc == TEE_OK) {
        rc = tee_registry_json_blob(r, tee, "signing_key", TEE_BLOB_KEY,
                                    &e->spki);
    }

    if (rc == TEE_OK) {
        rc = tee_registry_json_scalars(r, tee, e);
    }

    if (rc == TEE_OK) {
        rc = tee_registry_json_ohttp(r, tee, e);
    }

    return rc;
}


static tee_rc_t
tee_registry_json_scalars(tee_registry_json_t *r, const tee_json_t *tee,
    tee_registry_entry_t *e)
{
    uint64_t           type;
    tee_rc_t           rc;
    const tee_json_t  *v;

    if (tee_registry_json_hex(tee, "pcr_hash", e->pcr_hash, 32) != TEE_OK) {
        r->why = "\"pcr_hash\" is not 32 bytes in hexadecimal";
        return TEE_MALFORMED;
    }

    if (tee_registry_json_hex(tee, "payment_address", e->payment_address, 20)
        != TEE_OK)
    {
        r->why = "\"payment_address\" is not 20 bytes in hexadecimal";
        return TEE_MALFORMED;
    }

    if (tee_registry_json_u256(tee, "registered_at", e->registered_at)
        != TEE_OK)
    {
        r->why = "\"registered_at\" is not a decimal number";
        return TEE_MALFORMED;
    }

    rc = tee_json_get(tee, "tee_type", &v);

    if (rc != TEE_DONE) {

        if (tee_json_get_uint(tee, "tee_type", 255, &type) != TEE_OK) {
            r->why = "\"tee_type\" is not a number from 0 to 255";
            return TEE_MALFORMED;
        }

        e->tee_type = (uint8_t) type;
    }

    e->enabled = 1;

    rc = tee_json_get(tee, "enabled", &v);

    if (rc != TEE_DONE) {

        if (rc != TEE_OK || v->type != TEE_JSON_BOOL) {
            r->why = "\"enabled\" is not true or false";
            return TEE_MALFORMED;
        }

        e->enabled = v->value;
    }

    return TEE_OK;
}


static tee_rc_t
tee_registry_json_ohttp(tee_registry_json_t *r, const tee_json_t *tee,
    tee_registry_entry_t *e)
{
    tee_rc_t           rc;
    uint64_t           key_id, kem, kdf, aead;
    const tee_json_t  *ohttp;

    rc = tee_json_get(tee, "ohttp", &ohttp);

    if (rc == TEE_DONE || (rc == TEE_OK && ohttp->type == TEE_JSON_NULL)) {
        return TEE_OK;
    }

    if (tee_json_get_uint(ohttp, "key_id", UINT8_MAX, &key_id) != TEE_OK
        || tee_json_get_uint(ohttp, "kem_id", UINT16_MAX, &kem) != TEE_OK
        || tee_json_get_uint(ohttp, "kdf_id", UINT16_MAX, &kdf) != TEE_OK
        || tee_json_get_uint(ohttp, "aead_id", UINT16_MAX, &aead) != TEE_OK)
    {
        r->why = "\"ohttp\" without one of its four numbers";
        return TEE_MALFORMED;
    }

    e->key_id = (uint8_t) key_id;
    e->kem_id = (uint16_t) kem;
    e->kdf_id = (uint16_t) kdf;
    e->aead_id = (uint16_t) aead;

    rc = tee_registry_json_key(r, ohttp, e);

    if (rc == TEE_OK && !tee_registry_ohttp_usable(e)) {
        r->why = "\"ohttp\" cannot be used";
        return TEE_MALFORMED;
    }

    return rc;
}


static tee_rc_t
tee_registry_json_key(tee_registry_json_t *r, const tee_json_t *ohttp,
    tee_registry_entry_t *e)
{
    size_t             len;
    uint8_t           *pk;
    tee_rc_t           rc;
    tee_str_t          text;
    const tee_json_t  *config;

    len = tee_ohttp_kem_pk_len(e->kem_id);

    if (len == 0
        || tee_json_get_text(ohttp, "public_key", &text) != TEE_OK)
    {
        r->why = "\"ohttp\" without a known KEM and \"public_key\"";
        return TEE_MALFORMED;
    }

    pk = tee_arena_alloc(&r->list->arena, len);
    if (pk == NULL) {
        return TEE_NOMEM;
    }

    if (tee_hex_fixed(text, pk, len) != TEE_OK) {
        r->why = "\"public_key\" is not hexadecimal of the right length";
        return TEE_MALFORMED;
    }

    e->ohttp_key.len = len;
    e->ohttp_key.data = pk;

    rc = tee_json_get(ohttp, "key_config", &config);

    if (rc == TEE_DONE) {
        return tee_registry_json_config(r, e);
    }

    return tee_registry_json_blob(r, ohttp, "key_config", TEE_BLOB_KEY_CONFIG,
                                  &e->key_config);
}


/* RFC 9458, 3.1, with the one pair of algorithms */

static tee_rc_t
tee_registry_json_config(tee_registry_json_t *r, tee_registry_entry_t *e)
{
    tee_rc_t     rc;
    uint8_t      buf[TEE_KEY_CONFIG_MAX_LEN];
    tee_str_t    config;
    tee_write_t  w;

    tee_write_fixed(&w, buf, sizeof(buf));

    tee_write_u8(&w, e->key_id);
    tee_write_u16(&w, e->kem_id);
    tee_write_bytes(&w, e->ohttp_key.data, e->ohttp_key.len);
    tee_write_u16(&w, 4);
    tee_write_u16(&w, e->kdf_id);
    tee_write_u16(&w, e->aead_id);

    rc = tee_write_rc(&w);

    if (rc != TEE_OK) {
        return rc;
    }

    config.len = w.len;
    config.data = buf;

    return tee_arena_copy(&r->list->arena, config, &e->key_config);
}


static tee_rc_t
tee_registry_json_blob(tee_registry_json_t *r, const tee_json_t *object,
    const char *name, tee_blob_t what, tee_str_t *der)
{
    tee_rc_t   rc;
    tee_str_t  text;

    der->len = 0;
    der->data = NULL;

    rc = tee_json_get_text(object, name, &text);

    if (rc == TEE_OK) {
        rc = r->blob ? r->blob(r->ctx, what, text, der)
                     : tee_registry_json_base64(r, text, der);
    }

    if (rc == TEE_OK || rc == TEE_NOMEM) {
        return rc;
    }

    switch (what) {

    case TEE_BLOB_CERTIFICATE:
        r->why = "no usable \"tls_certificate\"";
        break;

    case TEE_BLOB_KEY:
        r->why = "no usable \"signing_key\"";
        break;

    case TEE_BLOB_KEY_CONFIG:
        r->why = "no usable \"key_config\"";
        break;
    }

    return TEE_MALFORMED;
}


static tee_rc_t
tee_registry_json_base64(tee_registry_json_t *r, tee_str_t text,
    tee_str_t *der)
{
    size_t    len;
    uint8_t  *p;
    tee_rc_t  rc;

    p = tee_arena_alloc(&r->list->arena, text.len / 4 * 3);
    if (p == NULL) {
        return TEE_NOMEM;
    }

    rc = tee_base64_decode(text, p, &len);

    if (rc == TEE_OK) {
        der->len = len;
        der->data = p;
    }

    return rc;
}


/* These two leave zeros if the member is not there. */

static tee_rc_t
tee_registry_json_hex(const tee_json_t *tee, const char *name, uint8_t *out,
    size_t len)
{
    tee_rc_t           rc;
    const tee_json_t  *v;

    rc = tee_json_get(tee, name, &v);

    if (rc == TEE_DONE) {
        return TEE_OK;
    }

    if (rc != TEE_OK || v->type != TEE_JSON_STRING) {
        return TEE_MALFORMED;
    }

    return tee_hex_fixed(v->text, out, len);
}


static tee_rc_t
tee_registry_json_u256(const tee_json_t *tee, const char *name,
    uint8_t n[32])
{
    tee_rc_t           rc;
    const tee_json_t  *v;

    rc = tee_json_get(tee, name, &v);

    if (rc == TEE_DONE) {
        return TEE_OK;
    }

    if (rc != TEE_OK
        || (v->type != TEE_JSON_STRING && v->type != TEE_JSON_NUMBER))
    {
        return TEE_MALFORMED;
    }

    return tee_u256_parse(v->text, n);
}
