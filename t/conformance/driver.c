
/*
 * Copyright (C) The ngx_http_tee authors
 */


/*
 * Holds the pure layers against test vectors: one JSON object a line in, one a
 * line out, in order.
 */


#define _POSIX_C_SOURCE  200809L

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tee_billing.h>
#include <tee_json.h>
#include <tee_jsonrpc.h>
#include <tee_keccak.h>
#include <tee_ohttp_keys.h>
#include <tee_registry.h>
#include <tee_sig.h>
#include <tee_text.h>
#include <tee_write.h>


#define DRIVER_NODES     (1024 * 1024)
#define DRIVER_MAX_TEES  65536
#define DRIVER_MAX_KEYS  2048
#define DRIVER_NONCE     32


/* What went wrong with the question, as opposed to what it is about. */

#define DRIVER_BAD       ((tee_rc_t) -100)


typedef struct {
    const tee_json_t     *in;
    tee_write_t          *out;
    tee_arena_t          *arena;
} driver_t;

typedef tee_rc_t (*driver_pt)(driver_t *d);

typedef struct {
    const char           *name;
    driver_pt             handler;
} driver_op_t;


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


static const driver_op_t  driver_ops[] = {
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


static void *
driver_malloc(void *ctx, size_t size)
{
    (void) ctx;

    return malloc(size);
}


static void
driver_release(void *ctx, void *p)
{
    (void) ctx;

    free(p);
}


static const tee_alloc_t  driver_alloc = {
    driver_malloc,
    driver_release,
    NULL
};


/* Reading questions. */

static tee_rc_t
driver_hex(driver_t *d, const char *name, tee_str_t *bytes)
{
    uint8_t    *p;
    tee_str_t   text;

    if (tee_json_get_text(d->in, name, &text) != TEE_OK) {
        return DRIVER_BAD;
    }

    p = tee_arena_alloc(d->arena, text.len / 2);

    if (p == NULL || tee_hex_decode(text, p) != TEE_OK) {
        return DRIVER_BAD;
    }

    bytes->len = text.len / 2;
    bytes->data = p;

    return TEE_OK;
}


static tee_rc_t
driver_hex32(driver_t *d, const char *name, tee_str_t *bytes)
{
    if (driver_hex(d, name, bytes) != TEE_OK || bytes->len != 32) {
        return DRIVER_BAD;
    }

    return TEE_OK;
}


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


/* Writing answers. */

static void
driver_name(driver_t *d, const char *name)
{
    size_t  len;

    len = d->out->len;

    if (len && d->out->data[len - 1] != '{') {
        tee_write_u8(d->out, ',');
    }

    tee_write_u8(d->out, '"');
    tee_write_text(d->out, name);
    tee_write_text(d->out, "\":");
}


static void
driver_put_hex(driver_t *d, const char *name, const void *p, size_t len)
{
    driver_name(d, name);
    tee_write_u8(d->out, '"');
    tee_write_hex(d->out, p, len);
    tee_write_u8(d->out, '"');
}


static void
driver_put_text(driver_t *d, const char *name, tee_str_t text)
{
    driver_name(d, name);
    tee_write_json(d->out, text);
}


static void
driver_put_uint(driver_t *d, const char *name, uint64_t n)
{
    driver_name(d, name);
    tee_write_decimal(d->out, n);
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


static void
driver_open(driver_t *d, unsigned first)
{
    tee_write_text(d->out, first ? "{" : ",{");
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
        driver_release(NULL, (void *) (uintptr_t) result.data);
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
    uint64_t           n;
    tee_rc_t           rc;
    tee_str_t          in, piece;
    tee_write_t        wire;
    tee_billing_t      b;
    const tee_json_t  *splits, *v;

    if (driver_hex(d, "wire_hex", &in) != TEE_OK
        || tee_json_get(d->in, "splits", &splits) == TEE_MALFORMED
        || (splits && splits->type != TEE_JSON_ARRAY))
    {
        return DRIVER_BAD;
    }

    tee_billing_init(&b, DRIVER_NONCE, &driver_alloc);
    tee_write_grow(&wire, &driver_alloc);

    rc = TEE_OK;

    for (v = splits ? splits->child : NULL; v && rc == TEE_OK; v = v->next) {

        if (tee_decimal(v->text, in.len, &n) != TEE_OK) {
            rc = DRIVER_BAD;
            break;
        }

        piece.len = (size_t) n;
        piece.data = in.data;
        in.len -= piece.len;
        in.data += piece.len;

        rc = driver_strip(&b, piece, &wire);
    }

    if (rc == TEE_OK) {
        rc = driver_strip(&b, in, &wire);
    }

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


static const char *
driver_error(tee_rc_t rc)
{
    switch ((int) rc) {

    case TEE_MALFORMED:
        return "malformed";

    case TEE_UNSUPPORTED:
        return "unsupported";

    case TEE_LIMIT:
        return "limit";

    case TEE_CRYPTO:
        return "crypto";

    case TEE_INCOMPLETE:
        return "incomplete";

    default:
        return "driver";
    }
}


static tee_rc_t
driver_dispatch(driver_t *d)
{
    tee_str_t           name;
    const driver_op_t  *op;

    if (tee_json_get_text(d->in, "op", &name) != TEE_OK) {
        return DRIVER_BAD;
    }

    for (op = driver_ops; op->name; op++) {
        if (tee_text_is(name, op->name)) {
            return op->handler(d);
        }
    }

    return DRIVER_BAD;
}


static void
driver_line(tee_str_t line)
{
    driver_t        d;
    tee_rc_t        rc;
    tee_arena_t     arena;
    tee_write_t     out;
    tee_json_doc_t  doc;

    tee_arena_init(&arena, &driver_alloc);
    tee_write_grow(&out, &driver_alloc);
    tee_write_text(&out, "{\"ok\":true");

    rc = DRIVER_BAD;

    if (tee_json_parse(line, DRIVER_NODES, &driver_alloc, &doc) == TEE_OK) {
        d.in = doc.root;
        d.out = &out;
        d.arena = &arena;

        rc = driver_dispatch(&d);

        tee_json_free(&doc);
    }

    tee_write_text(&out, "}\n");

    if (rc == TEE_OK && tee_write_rc(&out) == TEE_OK) {
        (void) fwrite(out.data, 1, out.len, stdout);

    } else {
        printf("{\"ok\":false,\"error\":\"%s\"}\n",
               driver_error(rc == TEE_OK ? DRIVER_BAD : rc));
    }

    fflush(stdout);

    tee_write_free(&out);
    tee_arena_free(&arena);
}


int
main(void)
{
    char       *buf;
    size_t      size;
    ssize_t     n;
    tee_str_t   line;

    buf = NULL;
    size = 0;

    while ((n = getline(&buf, &size, stdin)) >= 0) {
        line.len = (size_t) n;
        line.data = (const uint8_t *) buf;

        if (line.len && line.data[line.len - 1] == '\n') {
            line.len--;
        }

        driver_line(line);
    }

    free(buf);

    return 0;
}
