
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <string.h>

#include <tee_crypto.h>
#include <tee_json.h>
#include <tee_registry.h>
#include <tee_text.h>
#include <tee_write.h>


/*
 * A state ends with the hash of all bytes before the member, so that a file
 * that was cut or touched is noticed; it is no protection against whoever may
 * write the file.
 *
 *     "sha256":"<64 digits>"}LF
 */

#define TEE_STATE_VERSION    1
#define TEE_STATE_NODES      (4 * 1024 * 1024)
#define TEE_STATE_NAME       "\"sha256\":\""
#define TEE_STATE_END        "\"}\n"
#define TEE_STATE_TAIL_LEN   (sizeof(TEE_STATE_NAME) - 1 + 64 \
                              + sizeof(TEE_STATE_END) - 1)


static void tee_state_meta(tee_write_t *w, const tee_registry_meta_t *meta);
static void tee_state_entry(tee_write_t *w, const tee_snapshot_t *snapshot,
    const tee_snapshot_entry_t *e);
static void tee_state_number(tee_write_t *w, const char *before, uint64_t n);
static void tee_state_hex(tee_write_t *w, const char *before, const void *p,
    size_t len);
static void tee_state_base64(tee_write_t *w, const char *before,
    tee_str_t der);
static tee_rc_t tee_state_checksum(tee_str_t text);
static tee_rc_t tee_state_read_meta(const tee_json_t *root,
    tee_registry_meta_t *meta);


tee_rc_t
tee_registry_save(const tee_snapshot_t *snapshot,
    const tee_registry_meta_t *meta, const tee_alloc_t *alloc, uint8_t **text,
    size_t *len)
{
    uint8_t      digest[32];
    uint32_t     i;
    tee_rc_t     rc;
    tee_str_t    body;
    tee_write_t  w;

    *text = NULL;
    *len = 0;

    tee_write_grow(&w, alloc);

    tee_state_meta(&w, meta);
    tee_write_text(&w, "\"tees\":[");

    for (i = 0; i < snapshot->n; i++) {
        tee_write_text(&w, i ? ",\n" : "\n");
        tee_state_entry(&w, snapshot, &snapshot->entries[i]);
    }

    tee_write_text(&w, "\n],\n");

    rc = tee_write_rc(&w);

    if (rc != TEE_OK) {
        goto failed;
    }

    body.len = w.len;
    body.data = w.data;

    rc = tee_sha256(body, digest);

    if (rc != TEE_OK) {
        goto failed;
    }

    tee_write_text(&w, TEE_STATE_NAME);
    tee_write_hex(&w, digest, 32);
    tee_write_text(&w, TEE_STATE_END);

    rc = tee_write_rc(&w);

    if (rc != TEE_OK) {
        goto failed;
    }

    *text = w.data;
    *len = w.len;

    return TEE_OK;

failed:

    tee_write_free(&w);

    return rc;
}


static void
tee_state_meta(tee_write_t *w, const tee_registry_meta_t *meta)
{
    tee_state_number(w, "{\"version\":", TEE_STATE_VERSION);
    tee_state_hex(w, ",\n\"contract\":\"0x", meta->contract, 20);
    tee_state_number(w, "\",\n\"chain_id\":", meta->chain_id);
    tee_state_number(w, ",\n\"block\":", meta->block);
    tee_state_number(w, ",\n\"saved_at\":",
                     meta->saved_at > 0 ? (uint64_t) meta->saved_at : 0);
    tee_state_number(w, ",\n\"tee_type\":", meta->tee_type);
    tee_write_text(w, ",\n");
}


static void
tee_state_entry(tee_write_t *w, const tee_snapshot_t *snapshot,
    const tee_snapshot_entry_t *e)
{
    tee_str_t  key;

    tee_state_hex(w, "{\"tee_id\":\"0x", e->tee_id, 32);
    tee_write_text(w, "\",\"endpoint\":");
    tee_write_json(w, tee_snapshot_str(snapshot, e->endpoint));
    tee_state_base64(w, ",\"tls_certificate\":",
                     tee_snapshot_str(snapshot, e->certificate));
    tee_state_base64(w, ",\"signing_key\":",
                     tee_snapshot_str(snapshot, e->spki));
    tee_state_hex(w, ",\"pcr_hash\":\"0x", e->pcr_hash, 32);
    tee_state_hex(w, "\",\"payment_address\":\"0x", e->payment_address, 20);
    tee_state_number(w, "\",\"tee_type\":", e->tee_type);

    /* over 2^53 in a registry that lies, so a text */

    tee_state_number(w, ",\"registered_at\":\"", e->registered_at);
    tee_write_text(w, "\"");

    if (e->kem_id) {
        key = tee_snapshot_str(snapshot, e->ohttp_key);

        tee_state_number(w, ",\"ohttp\":{\"key_id\":", e->key_id);
        tee_state_number(w, ",\"kem_id\":", e->kem_id);
        tee_state_number(w, ",\"kdf_id\":", e->kdf_id);
        tee_state_number(w, ",\"aead_id\":", e->aead_id);
        tee_state_hex(w, ",\"public_key\":\"", key.data, key.len);
        tee_state_base64(w, "\",\"key_config\":",
                         tee_snapshot_str(snapshot, e->key_config));
        tee_write_text(w, "}");
    }

    tee_write_text(w, "}");
}


static void
tee_state_number(tee_write_t *w, const char *before, uint64_t n)
{
    tee_write_text(w, before);
    tee_write_decimal(w, n);
}


static void
tee_state_hex(tee_write_t *w, const char *before, const void *p, size_t len)
{
    tee_write_text(w, before);
    tee_write_hex(w, p, len);
}


static void
tee_state_base64(tee_write_t *w, const char *before, tee_str_t der)
{
    tee_write_text(w, before);
    tee_write_text(w, "\"");
    tee_write_base64(w, der);
    tee_write_text(w, "\"");
}


tee_rc_t
tee_registry_load_meta(tee_str_t text, const tee_alloc_t *alloc,
    tee_registry_meta_t *meta)
{
    tee_rc_t        rc;
    tee_json_doc_t  doc;

    memset(meta, 0, sizeof(tee_registry_meta_t));

    rc = tee_state_checksum(text);

    if (rc != TEE_OK) {
        return rc;
    }

    rc = tee_json_parse(text, TEE_STATE_NODES, alloc, &doc);

    if (rc != TEE_OK) {
        return rc == TEE_NOMEM ? rc : TEE_MALFORMED;
    }

    rc = tee_state_read_meta(doc.root, meta);

    if (rc != TEE_OK) {
        memset(meta, 0, sizeof(tee_registry_meta_t));
    }

    tee_json_free(&doc);

    return rc;
}


static tee_rc_t
tee_state_checksum(tee_str_t text)
{
    uint8_t         want[32], have[32];
    tee_rc_t        rc;
    tee_str_t       body, digits;
    const uint8_t  *tail;

    if (text.len < TEE_STATE_TAIL_LEN) {
        return TEE_MALFORMED;
    }

    body.len = text.len - TEE_STATE_TAIL_LEN;
    body.data = text.data;
    tail = text.data + body.len;

    digits.len = 64;
    digits.data = tail + sizeof(TEE_STATE_NAME) - 1;

    if (memcmp(tail, TEE_STATE_NAME, sizeof(TEE_STATE_NAME) - 1) != 0
        || memcmp(digits.data + 64, TEE_STATE_END, sizeof(TEE_STATE_END) - 1)
           != 0
        || tee_hex_decode(digits, want) != TEE_OK)
    {
        return TEE_MALFORMED;
    }

    rc = tee_sha256(body, have);

    if (rc != TEE_OK) {
        return rc;
    }

    return tee_ct_equal(want, have, 32) ? TEE_OK : TEE_CRYPTO;
}


static tee_rc_t
tee_state_read_meta(const tee_json_t *root, tee_registry_meta_t *meta)
{
    uint64_t   version, saved_at, type;
    tee_str_t  contract;

    if (tee_json_get_uint(root, "version", UINT32_MAX, &version) != TEE_OK) {
        return TEE_MALFORMED;
    }

    if (version != TEE_STATE_VERSION) {
        return TEE_UNSUPPORTED;
    }

    if (tee_json_get_text(root, "contract", &contract) != TEE_OK
        || tee_hex_fixed(contract, meta->contract, 20) != TEE_OK
        || tee_json_get_uint(root, "chain_id", UINT64_MAX, &meta->chain_id)
           != TEE_OK
        || tee_json_get_uint(root, "block", UINT64_MAX, &meta->block) != TEE_OK
        || tee_json_get_uint(root, "saved_at", INT64_MAX, &saved_at) != TEE_OK
        || tee_json_get_uint(root, "tee_type", UINT8_MAX, &type) != TEE_OK)
    {
        return TEE_MALFORMED;
    }

    meta->saved_at = (int64_t) saved_at;
    meta->tee_type = (uint8_t) type;

    return TEE_OK;
}
