
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <string.h>

#include <tee_canon.h>
#include <tee_signed.h>
#include <tee_signed_output.h>
#include <tee_text.h>


/* base64 of the longest signature */

#define TEE_SIGNED_MAX_BASE64  ((TEE_SIG_MAX_LEN + 2) / 3 * 4)

/* An answer of nginx's own kind has these: HTTP's. */

#define TEE_SIGNED_BAD_STATUS  400


static tee_rc_t tee_signed_members(const tee_json_t *object, tee_signed_t *s);
static tee_rc_t tee_signed_hash(const tee_json_t *object, const char *name,
    uint8_t hash[32]);
static tee_rc_t tee_signed_timestamp(const tee_json_t *object,
    uint8_t timestamp[32]);
static tee_rc_t tee_signed_signature(const tee_json_t *object,
    tee_signed_t *s);
static tee_rc_t tee_signed_inner(const tee_json_t *root,
    const tee_json_t **body);


const char *
tee_signed_name(tee_signed_check_t check)
{
    switch (check) {

    case TEE_SIGNED_NOTHING:
        break;

    case TEE_SIGNED_MEMBERS:
        return "signature members";

    case TEE_SIGNED_TEE_ID:
        return "TEE id";

    case TEE_SIGNED_REQUEST:
        return "request hash";

    case TEE_SIGNED_OUTPUT:
        return "output hash";

    case TEE_SIGNED_SIGNATURE:
        return "signature";
    }

    return "nothing";
}


void
tee_signed_msg_hash(const uint8_t request_hash[32],
    const uint8_t output_hash[32], const uint8_t timestamp[32],
    uint8_t hash[32])
{
    tee_keccak_t  k;

    tee_keccak_init(&k);
    tee_keccak_update(&k, request_hash, 32);
    tee_keccak_update(&k, output_hash, 32);
    tee_keccak_update(&k, timestamp, 32);
    tee_keccak_final(&k, hash);
}


tee_rc_t
tee_signed_read(const tee_json_t *object, tee_signed_t *s)
{
    tee_rc_t  rc;

    rc = tee_signed_members(object, s);

    if (rc != TEE_OK) {
        memset(s, 0, sizeof(tee_signed_t));
    }

    return rc;
}


static tee_rc_t
tee_signed_members(const tee_json_t *object, tee_signed_t *s)
{
    const tee_json_t  *v;

    v = tee_canon_get(object, "tee_id");

    if (v == NULL || v->type != TEE_JSON_STRING
        || tee_hex_fixed(v->text, s->tee_id, 32) != TEE_OK
        || tee_signed_hash(object, "tee_request_hash", s->request_hash)
           != TEE_OK
        || tee_signed_hash(object, "tee_output_hash", s->output_hash)
           != TEE_OK
        || tee_signed_timestamp(object, s->timestamp) != TEE_OK)
    {
        return TEE_MALFORMED;
    }

    return tee_signed_signature(object, s);
}


/* Unlike ids, hashes have one spelling, with or without 0x. */

static tee_rc_t
tee_signed_hash(const tee_json_t *object, const char *name, uint8_t hash[32])
{
    size_t             i;
    const tee_json_t  *v;

    v = tee_canon_get(object, name);

    if (v == NULL || v->type != TEE_JSON_STRING) {
        return TEE_MALFORMED;
    }

    for (i = 0; i < v->text.len; i++) {
        if (v->text.data[i] >= 'A' && v->text.data[i] <= 'F') {
            return TEE_MALFORMED;
        }
    }

    return tee_hex_fixed(v->text, hash, 32);
}


static tee_rc_t
tee_signed_timestamp(const tee_json_t *object, uint8_t timestamp[32])
{
    const tee_json_t  *v;

    v = tee_canon_get(object, "tee_timestamp");

    if (v == NULL
        || (v->type != TEE_JSON_STRING && v->type != TEE_JSON_NUMBER)
        || tee_u256_parse(v->text, timestamp) != TEE_OK)
    {
        return TEE_MALFORMED;
    }

    return TEE_OK;
}


static tee_rc_t
tee_signed_signature(const tee_json_t *object, tee_signed_t *s)
{
    size_t             len;
    uint8_t            buf[TEE_SIGNED_MAX_BASE64 / 4 * 3];
    const tee_json_t  *v;

    v = tee_canon_get(object, "tee_signature");

    if (v == NULL || v->type != TEE_JSON_STRING
        || v->text.len > TEE_SIGNED_MAX_BASE64
        || tee_base64_decode(v->text, buf, &len) != TEE_OK
        || len > TEE_SIG_MAX_LEN)
    {
        return TEE_MALFORMED;
    }

    memcpy(s->signature, buf, len);
    s->signature_len = len;

    return TEE_OK;
}


tee_rc_t
tee_signed_body(tee_str_t body, tee_chat_endpoint_t endpoint, int strict,
    const tee_alloc_t *alloc, tee_signed_t *s, uint8_t output[32])
{
    tee_rc_t           rc;
    tee_json_doc_t     doc;
    const tee_json_t  *inner;

    memset(s, 0, sizeof(tee_signed_t));
    memset(output, 0, 32);

    rc = strict ? tee_canon_parse_once(body, TEE_SIGNED_NODES, alloc, &doc)
                : tee_canon_parse(body, TEE_SIGNED_NODES, alloc, &doc);

    if (rc != TEE_OK) {
        return rc;
    }

    rc = tee_signed_inner(doc.root, &inner);

    if (rc == TEE_OK && inner != doc.root && strict) {
        rc = TEE_UNSUPPORTED;
    }

    if (rc == TEE_OK) {
        rc = tee_signed_read(inner, s);
    }

    if (rc == TEE_OK) {
        rc = tee_signed_output(inner, endpoint, alloc, output);
    }

    tee_json_free(&doc);

    if (rc != TEE_OK) {
        memset(s, 0, sizeof(tee_signed_t));
        memset(output, 0, 32);
    }

    return rc;
}


static tee_rc_t
tee_signed_inner(const tee_json_t *root, const tee_json_t **body)
{
    uint64_t           n;
    const tee_json_t  *status, *inner;

    *body = root;

    status = tee_canon_get(root, "status");
    inner = tee_canon_get(root, "body");

    if (status == NULL || !tee_canon_int(status)
        || inner == NULL || inner->type != TEE_JSON_OBJECT)
    {
        return TEE_OK;
    }

    *body = inner;

    if (tee_decimal(status->text, TEE_SIGNED_BAD_STATUS - 1, &n) != TEE_OK) {
        return TEE_MALFORMED;
    }

    return TEE_OK;
}


tee_rc_t
tee_signed_key_init(tee_signed_key_t *key, tee_str_t spki)
{
    tee_keccak256(spki, key->tee_id);

    return tee_sig_public_read(spki, &key->public);
}


void
tee_signed_key_free(tee_signed_key_t *key)
{
    tee_sig_public_free(key->public);
    key->public = NULL;
}


tee_rc_t
tee_signed_verify(const tee_signed_t *s, const uint8_t request[32],
    const uint8_t output[32], const tee_signed_key_t *key,
    const uint8_t *tee_id, tee_signed_check_t *failed)
{
    uint8_t    hash[32];
    tee_rc_t   rc;
    tee_str_t  msg, sig;

    /* all of it is public */

    *failed = TEE_SIGNED_TEE_ID;

    if (memcmp(s->tee_id, key->tee_id, 32) != 0
        || (tee_id && memcmp(s->tee_id, tee_id, 32) != 0))
    {
        return TEE_CRYPTO;
    }

    *failed = TEE_SIGNED_REQUEST;

    if (memcmp(s->request_hash, request, 32) != 0) {
        return TEE_CRYPTO;
    }

    *failed = TEE_SIGNED_OUTPUT;

    if (memcmp(s->output_hash, output, 32) != 0) {
        return TEE_CRYPTO;
    }

    *failed = TEE_SIGNED_SIGNATURE;

    tee_signed_msg_hash(request, output, s->timestamp, hash);

    msg.len = 32;
    msg.data = hash;
    sig.len = s->signature_len;
    sig.data = s->signature;

    rc = tee_sig_public_verify(key->public, msg, sig);

    if (rc == TEE_OK) {
        *failed = TEE_SIGNED_NOTHING;
    }

    return rc;
}


int
tee_signed_fresh(const tee_signed_t *s, uint64_t now, uint64_t max_age,
    uint64_t max_skew)
{
    uint64_t  t;

    t = tee_u256_saturate(s->timestamp);

    return t > now ? t - now <= max_skew : now - t <= max_age;
}
