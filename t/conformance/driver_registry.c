
/*
 * Copyright (C) The ngx_http_tee authors
 */


/* Registries, keys, signatures, and the billing frame. */


#include <string.h>

#include <tee_billing.h>
#include <tee_jsonrpc.h>
#include <tee_keccak.h>
#include <tee_ohttp_keys.h>
#include <tee_registry.h>
#include <tee_sig.h>
#include <tee_text.h>

#include "driver.h"


#define DRIVER_MAX_TEES  65536
#define DRIVER_MAX_KEYS  2048
#define DRIVER_NONCE     32


static tee_rc_t driver_keccak256(driver_t *d);
static tee_rc_t driver_abi_tees(driver_t *d);
static tee_rc_t driver_abi_ids(driver_t *d);
static tee_rc_t driver_tee_id(driver_t *d);
static tee_rc_t driver_ohttp_config(driver_t *d);
static tee_rc_t driver_key_config(driver_t *d);
static tee_rc_t driver_key_configs(driver_t *d);
static tee_rc_t driver_jsonrpc(driver_t *d);
static tee_rc_t driver_billing_strip(driver_t *d);
static tee_rc_t driver_sig_verify(driver_t *d);
static tee_rc_t driver_msg_hash(driver_t *d);


const driver_op_t  driver_registry_ops[] = {
    { "keccak256", driver_keccak256 },
    { "abi_tees", driver_abi_tees },
    { "abi_ids", driver_abi_ids },
    { "tee_id", driver_tee_id },
    { "ohttp_config", driver_ohttp_config },
    { "key_config", driver_key_config },
    { "key_configs", driver_key_configs },
    { "jsonrpc", driver_jsonrpc },
    { "billing_strip", driver_billing_strip },
    { "sig_verify", driver_sig_verify },
    { "msg_hash", driver_msg_hash },
    { NULL, NULL }
};


/* What the RPC result of a call spells as 0x and digits. */

static tee_rc_t
driver_result(driver_t *d, tee_str_t *bytes)
{
    uint8_t    *p;
    tee_str_t   text;

    if (tee_json_get_text(d->in, "result", &text) != TEE_OK) {
        return DRIVER_BAD;
    }

    if (text.len < 2 || text.data[0] != '0' || text.data[1] != 'x') {
        return TEE_MALFORMED;
    }

    text.len -= 2;
    text.data += 2;

    p = tee_arena_alloc(d->arena, text.len / 2);
    if (p == NULL) {
        return DRIVER_BAD;
    }

    bytes->len = text.len / 2;
    bytes->data = p;

    return tee_hex_decode(text, p);
}


static void
driver_put_u256(driver_t *d, const char *name, const uint8_t n[32])
{
    uint8_t    buf[TEE_U256_DIGITS];
    tee_str_t  text;

    text.len = tee_u256_text(n, buf);
    text.data = buf;

    driver_put_text(d, name, text);
}


static tee_rc_t
driver_keccak256(driver_t *d)
{
    uint8_t    digest[32];
    tee_str_t  data;

    if (driver_hex(d, "data_hex", &data) != TEE_OK) {
        return DRIVER_BAD;
    }

    tee_keccak256(data, digest);
    driver_put_hex(d, "digest_hex", digest, 32);

    return TEE_OK;
}


static void
driver_put_tee(driver_t *d, const tee_registry_entry_t *e)
{
    driver_put_hex(d, "tee_id", e->tee_id, 32);
    driver_put_text(d, "endpoint", e->endpoint);
    driver_put_hex(d, "owner", e->owner, 20);
    driver_put_hex(d, "payment_address", e->payment_address, 20);
    driver_put_hex(d, "public_key_hex", e->spki.data, e->spki.len);
    driver_put_hex(d, "tls_certificate_hex", e->certificate.data,
                   e->certificate.len);
    driver_put_hex(d, "pcr_hash", e->pcr_hash, 32);
    driver_put_uint(d, "tee_type", e->tee_type);
    driver_name(d, "enabled");
    tee_write_text(d->out, e->enabled ? "true" : "false");
    driver_put_u256(d, "registered_at", e->registered_at);
    driver_put_u256(d, "last_heartbeat_at", e->last_heartbeat_at);
    driver_name(d, "ohttp");

    if (e->kem_id == 0) {
        tee_write_text(d->out, "null");
        return;
    }

    driver_open(d, 1);
    driver_put_uint(d, "key_id", e->key_id);
    driver_put_uint(d, "kem_id", e->kem_id);
    driver_put_uint(d, "kdf_id", e->kdf_id);
    driver_put_uint(d, "aead_id", e->aead_id);
    driver_put_hex(d, "public_key_hex", e->ohttp_key.data, e->ohttp_key.len);
    driver_put_hex(d, "key_config_hex", e->key_config.data,
                   e->key_config.len);
    tee_write_u8(d->out, '}');
}


static tee_rc_t
driver_abi_tees(driver_t *d)
{
    uint32_t              i;
    uint64_t              type;
    tee_rc_t              rc;
    tee_str_t             abi, error;
    const tee_json_t     *v;
    tee_registry_list_t   list;
    tee_registry_rules_t  rules;

    type = 0;

    if (tee_json_get(d->in, "tee_type", &v) != TEE_DONE
        && tee_json_get_uint(d->in, "tee_type", 255, &type) != TEE_OK)
    {
        return DRIVER_BAD;
    }

    rc = driver_result(d, &abi);

    if (rc != TEE_OK) {
        return rc;
    }

    memset(&rules, 0, sizeof(tee_registry_rules_t));

    rules.alloc = &driver_alloc;
    rules.tee_type = (uint8_t) type;
    rules.allow_private = 1;
    rules.max_tees = DRIVER_MAX_TEES;

    tee_registry_init(&list, &rules);

    rc = tee_registry_add_tees(&list, abi);

    driver_name(d, "tees");
    tee_write_u8(d->out, '[');

    for (i = 0; i < list.n; i++) {
        driver_open(d, i == 0);
        driver_put_tee(d, &list.entries[i]);
        tee_write_u8(d->out, '}');
    }

    tee_write_u8(d->out, ']');
    driver_name(d, "skipped");
    tee_write_u8(d->out, '[');

    for (i = 0; i < list.nskipped; i++) {
        error.data = (const uint8_t *) tee_skip_name(list.skipped[i].reason);
        error.len = strlen(tee_skip_name(list.skipped[i].reason));

        driver_open(d, i == 0);
        driver_put_uint(d, "index", list.skipped[i].index);
        driver_put_text(d, "error", error);
        tee_write_u8(d->out, '}');
    }

    tee_write_u8(d->out, ']');

    tee_registry_free(&list);

    return rc;
}


static tee_rc_t
driver_abi_ids(driver_t *d)
{
    size_t          i, n;
    tee_rc_t        rc;
    tee_str_t       abi;
    const uint8_t  (*ids)[32];

    rc = driver_result(d, &abi);

    if (rc != TEE_OK) {
        return rc;
    }

    rc = tee_registry_ids(abi, &ids, &n);

    driver_name(d, "ids");
    tee_write_u8(d->out, '[');

    for (i = 0; i < n; i++) {
        tee_write_text(d->out, i ? ",\"" : "\"");
        tee_write_hex(d->out, ids[i], 32);
        tee_write_u8(d->out, '"');
    }

    tee_write_u8(d->out, ']');

    return rc;
}


static tee_rc_t
driver_tee_id(driver_t *d)
{
    uint8_t    id[32];
    tee_rc_t   rc;
    tee_str_t  spki;

    if (driver_hex(d, "spki_hex", &spki) != TEE_OK) {
        return DRIVER_BAD;
    }

    rc = tee_sig_spki(spki);

    if (rc == TEE_OK) {
        tee_keccak256(spki, id);
        driver_put_hex(d, "tee_id", id, 32);
    }

    return rc;
}


static tee_rc_t
driver_ohttp_config(driver_t *d)
{
    uint8_t    id[32];
    tee_rc_t   rc;
    tee_str_t  json, spki;

    if (driver_hex(d, "json_hex", &json) != TEE_OK
        || driver_hex(d, "spki_hex", &spki) != TEE_OK)
    {
        return DRIVER_BAD;
    }

    rc = tee_registry_ohttp_config(json, spki, &driver_alloc, id);

    driver_put_hex(d, "tee_id", id, 32);

    return rc;
}


static tee_rc_t
driver_key_config(driver_t *d)
{
    size_t           i;
    tee_rc_t         rc;
    tee_str_t        blob;
    const uint8_t   *p;
    tee_ohttp_key_t  key;

    if (driver_hex(d, "blob_hex", &blob) != TEE_OK) {
        return DRIVER_BAD;
    }

    rc = tee_ohttp_key_parse(blob, &key);

    driver_put_uint(d, "key_id", key.id);
    driver_put_uint(d, "kem_id", key.kem);
    driver_put_hex(d, "public_key_hex", key.pk.data, key.pk.len);
    driver_name(d, "suites");
    tee_write_u8(d->out, '[');

    for (i = 0; i < key.suites.len; i += 4) {
        p = key.suites.data + i;

        tee_write_text(d->out, i ? ",[" : "[");
        tee_write_decimal(d->out, (uint64_t) (p[0] << 8 | p[1]));
        tee_write_u8(d->out, ',');
        tee_write_decimal(d->out, (uint64_t) (p[2] << 8 | p[3]));
        tee_write_u8(d->out, ']');
    }

    tee_write_u8(d->out, ']');

    return rc;
}


static tee_rc_t
driver_key_configs(driver_t *d)
{
    size_t            i, n;
    unsigned          first;
    tee_rc_t          rc;
    tee_str_t         content;
    tee_ohttp_key_t  *keys;

    n = DRIVER_MAX_KEYS;
    keys = tee_arena_alloc(d->arena, n * sizeof(tee_ohttp_key_t));

    if (keys == NULL || driver_hex(d, "content_hex", &content) != TEE_OK) {
        return DRIVER_BAD;
    }

    rc = tee_ohttp_keys_parse(content, keys, &n);

    driver_name(d, "key_ids");
    tee_write_u8(d->out, '[');

    first = 1;

    for (i = 0; i < n; i++) {
        if (tee_ohttp_key_usable(&keys[i]) != TEE_OK) {
            continue;
        }

        tee_write_text(d->out, first ? "" : ",");
        tee_write_decimal(d->out, keys[i].id);
        first = 0;
    }

    tee_write_u8(d->out, ']');

    return rc;
}


static tee_rc_t
driver_jsonrpc(driver_t *d)
{
    uint64_t   id;
    tee_rc_t   rc;
    tee_str_t  body, result;

    if (driver_hex(d, "body_hex", &body) != TEE_OK
        || tee_json_get_uint(d->in, "id", UINT32_MAX, &id) != TEE_OK)
    {
        return DRIVER_BAD;
    }

    rc = tee_jsonrpc_text(body, (uint32_t) id, &driver_alloc, &result, NULL);

    if (rc == TEE_OK) {
        driver_put_text(d, "result", result);
        driver_alloc.free(NULL, (void *) (uintptr_t) result.data);
    }

    return rc;
}


static tee_rc_t
driver_strip(tee_billing_t *b, tee_str_t in, tee_write_t *wire)
{
    tee_rc_t   rc;
    tee_str_t  out;

    do {
        rc = tee_billing_read(b, &in, &out);
        tee_write_bytes(wire, out.data, out.len);
    } while (rc == TEE_OK && in.len);

    return rc;
}


static tee_rc_t
driver_billing_strip(driver_t *d)
{
    tee_rc_t           rc;
    tee_str_t          in, piece;
    tee_write_t        wire;
    tee_billing_t      b;
    const tee_json_t  *split;

    if (driver_hex(d, "wire_hex", &in) != TEE_OK
        || driver_splits(d, &split) != TEE_OK)
    {
        return DRIVER_BAD;
    }

    tee_billing_init(&b, DRIVER_NONCE, &driver_alloc);
    tee_write_grow(&wire, &driver_alloc);

    do {
        rc = driver_piece(&split, &in, &piece);

        if (rc == TEE_OK) {
            rc = driver_strip(&b, piece, &wire);
        }

    } while (rc == TEE_OK && (split || in.len));

    if (rc == TEE_OK) {
        rc = tee_billing_end(&b);
    }

    if (rc == TEE_OK && !tee_utf8_valid(b.json)) {
        rc = TEE_MALFORMED;
    }

    if (rc == TEE_OK) {
        driver_put_hex(d, "wire_hex", wire.data, wire.len);

        if (b.json.len) {
            driver_put_text(d, "billing", b.json);

        } else {
            driver_name(d, "billing");
            tee_write_text(d->out, "null");
        }
    }

    tee_write_free(&wire);
    tee_billing_free(&b);

    return rc;
}


static tee_rc_t
driver_sig_verify(driver_t *d)
{
    size_t      len;
    uint8_t    *p;
    tee_str_t   spki, msg, text, sig;

    if (driver_hex(d, "spki_hex", &spki) != TEE_OK
        || driver_hex(d, "msg_hash_hex", &msg) != TEE_OK
        || tee_json_get_text(d->in, "signature_b64", &text) != TEE_OK)
    {
        return DRIVER_BAD;
    }

    p = tee_arena_alloc(d->arena, text.len);
    if (p == NULL) {
        return DRIVER_BAD;
    }

    if (tee_base64_decode(text, p, &len) != TEE_OK) {
        return TEE_MALFORMED;
    }

    sig.len = len;
    sig.data = p;

    return tee_sig_verify(spki, msg, sig);
}


static tee_rc_t
driver_msg_hash(driver_t *d)
{
    uint8_t       word[32], hash[32];
    tee_str_t     request, output, text;
    tee_keccak_t  k;

    if (driver_hex32(d, "request_hash_hex", &request) != TEE_OK
        || driver_hex32(d, "output_hash_hex", &output) != TEE_OK
        || tee_json_get_text(d->in, "timestamp", &text) != TEE_OK
        || tee_u256_parse(text, word) != TEE_OK)
    {
        return DRIVER_BAD;
    }

    tee_keccak_init(&k);
    tee_keccak_update(&k, request.data, 32);
    tee_keccak_update(&k, output.data, 32);
    tee_keccak_update(&k, word, 32);
    tee_keccak_final(&k, hash);

    driver_put_hex(d, "msg_hash_hex", hash, 32);

    return TEE_OK;
}
