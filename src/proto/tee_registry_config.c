
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <string.h>

#include <tee_json.h>
#include <tee_keccak.h>
#include <tee_read.h>
#include <tee_registry.h>
#include <tee_sig.h>
#include <tee_text.h>


#define TEE_CONFIG_NODES       64
#define TEE_CONFIG_MAX_PK      65
#define TEE_CONFIG_MAX_BLOB    1024
#define TEE_CONFIG_MAX_SIG     1026            /* 8192 bits, in threes */

#define TEE_CONFIG_DOMAIN      "OPENGRADIENT_TEE_OHTTP_CONFIG_V1"


/* The answer of GET /v1/ohttp/config, decoded. */

typedef struct {
    uint64_t              key_id;
    uint64_t              kem;
    uint64_t              kdf;
    uint64_t              aead;
    size_t                pk_len;
    size_t                blob_len;
    size_t                sig_len;
    uint8_t               tee_id[32];
    uint8_t               hash[32];
    uint8_t               pk[TEE_CONFIG_MAX_PK];
    uint8_t               blob[TEE_CONFIG_MAX_BLOB];
    uint8_t               sig[TEE_CONFIG_MAX_SIG];
} tee_config_t;


static tee_rc_t tee_config_read(const tee_json_t *root, tee_config_t *c);
static tee_rc_t tee_config_base64(const tee_json_t *root, const char *name,
    uint8_t *out, size_t room, size_t *len);
static tee_rc_t tee_config_check(const tee_config_t *c, tee_str_t spki,
    uint8_t tee_id[32]);
static int tee_config_agrees(const tee_config_t *c);
static void tee_config_hash(const tee_config_t *c, uint8_t hash[32]);
static void tee_config_word(tee_keccak_t *k, uint64_t n);
static void tee_config_write(tee_write_t *w, const tee_config_t *c);


tee_rc_t
tee_registry_ohttp_config(tee_str_t json, tee_str_t spki,
    const tee_alloc_t *alloc, uint8_t tee_id[32])
{
    tee_rc_t        rc;
    tee_config_t    c;
    tee_json_doc_t  doc;

    memset(tee_id, 0, 32);

    rc = tee_json_parse(json, TEE_CONFIG_NODES, alloc, &doc);

    if (rc != TEE_OK) {
        return rc == TEE_NOMEM ? rc : TEE_MALFORMED;
    }

    rc = tee_config_read(doc.root, &c);

    tee_json_free(&doc);

    if (rc == TEE_OK) {
        rc = tee_config_check(&c, spki, tee_id);
    }

    if (rc != TEE_OK) {
        memset(tee_id, 0, 32);
    }

    return rc;
}


static tee_rc_t
tee_config_read(const tee_json_t *root, tee_config_t *c)
{
    tee_str_t  pk, tee_id, hash;

    memset(c, 0, sizeof(tee_config_t));

    if (tee_json_get_uint(root, "key_id", UINT8_MAX, &c->key_id) != TEE_OK
        || tee_json_get_uint(root, "kem_id", UINT16_MAX, &c->kem) != TEE_OK
        || tee_json_get_uint(root, "kdf_id", UINT16_MAX, &c->kdf) != TEE_OK
        || tee_json_get_uint(root, "aead_id", UINT16_MAX, &c->aead) != TEE_OK
        || tee_json_get_text(root, "public_key", &pk) != TEE_OK
        || tee_json_get_text(root, "tee_id", &tee_id) != TEE_OK
        || tee_json_get_text(root, "signature_hash", &hash) != TEE_OK
        || tee_hex_fixed(tee_id, c->tee_id, 32) != TEE_OK
        || tee_hex_fixed(hash, c->hash, 32) != TEE_OK
        || tee_config_base64(root, "key_config", c->blob, TEE_CONFIG_MAX_BLOB,
                             &c->blob_len)
           != TEE_OK
        || tee_config_base64(root, "signature", c->sig, TEE_CONFIG_MAX_SIG,
                             &c->sig_len)
           != TEE_OK)
    {
        return TEE_MALFORMED;
    }

    c->pk_len = tee_ohttp_kem_pk_len((uint16_t) c->kem);

    if (c->pk_len == 0) {
        return TEE_UNSUPPORTED;
    }

    return tee_hex_fixed(pk, c->pk, c->pk_len);
}


static tee_rc_t
tee_config_base64(const tee_json_t *root, const char *name, uint8_t *out,
    size_t room, size_t *len)
{
    tee_str_t  text;

    if (tee_json_get_text(root, name, &text) != TEE_OK
        || text.len / 4 * 3 > room)
    {
        return TEE_MALFORMED;
    }

    return tee_base64_decode(text, out, len);
}


static tee_rc_t
tee_config_check(const tee_config_t *c, tee_str_t spki, uint8_t tee_id[32])
{
    uint8_t    hash[32];
    tee_str_t  msg = { 32, hash }, sig;

    tee_keccak256(spki, tee_id);

    if (memcmp(tee_id, c->tee_id, 32) != 0) {
        return TEE_CRYPTO;
    }

    tee_config_hash(c, hash);

    if (memcmp(hash, c->hash, 32) != 0) {
        return TEE_CRYPTO;
    }

    if (!tee_config_agrees(c)) {
        return TEE_MALFORMED;
    }

    sig.len = c->sig_len;
    sig.data = c->sig;

    return tee_sig_verify(spki, msg, sig);
}


static int
tee_config_agrees(const tee_config_t *c)
{
    tee_str_t        blob;
    tee_ohttp_key_t  key;

    blob.len = c->blob_len;
    blob.data = c->blob;

    return tee_ohttp_key_parse(blob, &key) == TEE_OK
           && key.id == c->key_id
           && key.kem == c->kem
           && memcmp(key.pk.data, c->pk, c->pk_len) == 0
           && tee_ohttp_key_has(&key, (uint16_t) c->kdf, (uint16_t) c->aead);
}


/*
 * keccak256(D || tee_id || u256(key_id) || u256(kem_id) || u256(kdf_id)
 *           || u256(aead_id) || keccak256(public_key) || keccak256(key_config))
 *
 * with D = keccak256 of the domain: abi.encode() of eight words
 */

static void
tee_config_hash(const tee_config_t *c, uint8_t hash[32])
{
    uint8_t       digest[32];
    tee_str_t     domain = tee_string(TEE_CONFIG_DOMAIN), pk, blob;
    tee_keccak_t  k;

    pk.len = c->pk_len;
    pk.data = c->pk;

    blob.len = c->blob_len;
    blob.data = c->blob;

    tee_keccak_init(&k);

    tee_keccak256(domain, digest);
    tee_keccak_update(&k, digest, 32);

    tee_keccak_update(&k, c->tee_id, 32);

    tee_config_word(&k, c->key_id);
    tee_config_word(&k, c->kem);
    tee_config_word(&k, c->kdf);
    tee_config_word(&k, c->aead);

    tee_keccak256(pk, digest);
    tee_keccak_update(&k, digest, 32);

    tee_keccak256(blob, digest);
    tee_keccak_update(&k, digest, 32);

    tee_keccak_final(&k, hash);
}


static void
tee_config_word(tee_keccak_t *k, uint64_t n)
{
    size_t   i;
    uint8_t  word[32];

    memset(word, 0, 32);

    for (i = 0; i < 8; i++) {
        word[31 - i] = (uint8_t) (n >> 8 * i & 0xff);
    }

    tee_keccak_update(k, word, 32);
}


tee_rc_t
tee_registry_ohttp_config_write(tee_write_t *w, const tee_ohttp_key_t *key,
    tee_str_t pem)
{
    tee_rc_t        rc;
    tee_str_t       text;
    tee_read_t      r;
    tee_config_t    c;
    tee_write_t     blob;
    tee_sig_key_t  *sk;

    memset(&c, 0, sizeof(tee_config_t));

    if (key->suites.len != 4 || key->pk.len > TEE_CONFIG_MAX_PK) {
        return TEE_UNSUPPORTED;
    }

    tee_read_init(&r, key->suites);

    c.key_id = key->id;
    c.kem = key->kem;
    c.kdf = tee_read_u16(&r);
    c.aead = tee_read_u16(&r);
    c.pk_len = key->pk.len;
    memcpy(c.pk, key->pk.data, c.pk_len);

    tee_write_fixed(&blob, c.blob, TEE_CONFIG_MAX_BLOB);
    tee_ohttp_key_write(&blob, key);
    c.blob_len = blob.len;

    rc = tee_write_rc(&blob);

    if (rc != TEE_OK) {
        return rc;
    }

    rc = tee_sig_key_read(pem, &sk);

    if (rc != TEE_OK) {
        return rc;
    }

    tee_keccak256(tee_sig_key_public(sk), c.tee_id);

    tee_config_hash(&c, c.hash);

    text.data = c.hash;
    text.len = 32;

    rc = tee_sig_key_sign(sk, text, c.sig, &c.sig_len);

    tee_sig_key_free(sk);

    if (rc != TEE_OK) {
        return rc;
    }

    tee_config_write(w, &c);

    return tee_write_rc(w);
}


static void
tee_config_write(tee_write_t *w, const tee_config_t *c)
{
    tee_str_t  s;

    tee_write_text(w, "{\"key_id\":");
    tee_write_decimal(w, c->key_id);
    tee_write_text(w, ",\"kem_id\":");
    tee_write_decimal(w, c->kem);
    tee_write_text(w, ",\"kdf_id\":");
    tee_write_decimal(w, c->kdf);
    tee_write_text(w, ",\"aead_id\":");
    tee_write_decimal(w, c->aead);

    tee_write_text(w, ",\"public_key\":\"");
    tee_write_hex(w, c->pk, c->pk_len);

    tee_write_text(w, "\",\"key_config\":\"");
    s.data = c->blob;
    s.len = c->blob_len;
    tee_write_base64(w, s);

    tee_write_text(w, "\",\"tee_id\":\"0x");
    tee_write_hex(w, c->tee_id, 32);

    tee_write_text(w, "\",\"signature\":\"");
    s.data = c->sig;
    s.len = c->sig_len;
    tee_write_base64(w, s);

    tee_write_text(w, "\",\"signature_hash\":\"0x");
    tee_write_hex(w, c->hash, 32);
    tee_write_text(w, "\"}\n");
}
