
/*
 * Copyright (C) The ngx_http_tee authors
 */


#ifndef TEE_REGISTRY_H_INCLUDED
#define TEE_REGISTRY_H_INCLUDED


#include <tee.h>
#include <tee_addr.h>
#include <tee_arena.h>
#include <tee_ohttp_keys.h>
#include <tee_snapshot.h>


/*
 * From what a registry answers to a snapshot of what may be used.  The list
 * collects entries; they point into the input, which the caller keeps until
 * tee_registry_finish() has copied what it needs.
 */

typedef enum {
    TEE_SKIP_NONE = 0,
    TEE_SKIP_ENDPOINT,         /* not https://host[:port][/] */
    TEE_SKIP_PRIVATE,          /* a literal address that is not public */
    TEE_SKIP_KEY,              /* empty or undecodable signing key */
    TEE_SKIP_CERTIFICATE,      /* empty or undecodable */
    TEE_SKIP_DISABLED,
    TEE_SKIP_TYPE,
    TEE_SKIP_PCR,              /* not on the allow-list */
    TEE_SKIP_DUPLICATE,        /* the first one stays */
    TEE_SKIP_SCALAR,           /* a value out of the range of its type */
    TEE_SKIP_MAX
} tee_skip_t;


/* For a log line: "endpoint", "private address", "signing key", ... */

const char *tee_skip_name(tee_skip_t reason);


typedef struct {
    uint32_t              index;               /* array slot, from 0 */
    tee_skip_t            reason;
} tee_registry_skip_t;


typedef struct {
    uint8_t               tee_id[32];          /* computed, not believed */
    uint8_t               owner[20];
    uint8_t               payment_address[20];
    uint8_t               pcr_hash[32];
    uint8_t               registered_at[32];   /* uint256 */
    uint8_t               last_heartbeat_at[32];
    uint8_t               tee_type;
    uint8_t               enabled;
    tee_str_t             endpoint;
    tee_str_t             spki;
    tee_str_t             certificate;

    /* from the endpoint */
    tee_str_t             host;                /* as spelled, no brackets */
    uint16_t              port;
    uint8_t               host_form;
    uint8_t               addr[16];

    /* from the certificate */
    int64_t               not_before;
    int64_t               not_after;

    /* kem_id is 0 when there is no usable OHTTP configuration */
    uint8_t               key_id;
    uint16_t              kem_id;
    uint16_t              kdf_id;
    uint16_t              aead_id;
    tee_str_t             ohttp_key;
    tee_str_t             key_config;
} tee_registry_entry_t;


typedef struct {
    const tee_alloc_t    *alloc;
    uint8_t               tee_type;            /* the one asked for */
    unsigned              allow_private:1;     /* loopback and the like */
    uint32_t              max_tees;            /* above: TEE_LIMIT */
    const uint8_t       (*pcr)[32];            /* the allow-list */
    size_t                npcr;                /* 0: any */
} tee_registry_rules_t;


typedef struct {
    tee_registry_rules_t  rules;

    tee_registry_entry_t *entries;             /* in the registry's order */
    uint32_t              n;

    tee_registry_skip_t  *skipped;
    uint32_t              nskipped;

    uint32_t              total;               /* slots seen so far */
    /* the rest is private */
    uint32_t              entries_room;
    uint32_t              skipped_room;
    tee_arena_t           arena;
    void                 *seen;                /* a tree over the ids */
    uint32_t              root;
    uint32_t              seen_room;
} tee_registry_list_t;


void tee_registry_init(tee_registry_list_t *list,
    const tee_registry_rules_t *rules);
void tee_registry_free(tee_registry_list_t *list);

/*
 * Adds the answer of getActiveTEEs(uint8): a dynamic array of tuples, 10 or 11
 * fields, told apart per element by the offset of "endpoint".
 *
 * abi  the decoded bytes, as the RPC result has them in hexadecimal
 *
 * TEE_OK, or, with the list unchanged:
 * TEE_MALFORMED  not a list of TEE tuples; nothing of it may be used
 * TEE_LIMIT      more than max_tees
 * TEE_NOMEM
 */

TEE_MUST_CHECK tee_rc_t tee_registry_add_tees(tee_registry_list_t *list,
    tee_str_t abi);

/* Adds the answer of getTEE(bytes32): one tuple.  Errors as above; also
 * TEE_MALFORMED when its signing key is not the one of "expected_id". */

TEE_MUST_CHECK tee_rc_t tee_registry_add_tee(tee_registry_list_t *list,
    tee_str_t abi, const uint8_t expected_id[32]);

/*
 * Reads a bytes32[] answer (getEnabledTEEs, getTEEsByType).
 *
 * ids  points into "abi"; *n ids of 32 bytes each
 */

TEE_MUST_CHECK tee_rc_t tee_registry_ids(tee_str_t abi,
    const uint8_t (**ids)[32], size_t *n);

/* Reads a bool answer (isTEEActive). */

TEE_MUST_CHECK tee_rc_t tee_registry_bool(tee_str_t abi, unsigned *value);

/*
 * Reads the JSON of a file registry or of a saved state:
 *
 *     { "tees": [ { "endpoint": "https://...", "tls_certificate": T,
 *       "signing_key": T, "pcr_hash": "0x..", "payment_address": "0x..",
 *       "tee_type": 0, "enabled": true, "registered_at": "0",
 *       "ohttp": { "key_id": 1, "kem_id": 32, "kdf_id": 1, "aead_id": 3,
 *       "public_key": H, "key_config": T? } }, ... ] }
 *
 * Unknown members are ignored, so that a state may hold more.  What is not
 * there is zero; "enabled" is true.  A text T is base64 of DER, or whatever
 * "blob" makes of it; it is handed the text and answers DER bytes that it
 * owns.  With blob NULL, T is base64 and decoded into memory of the list.
 *
 * A file is somebody's own work, so an entry that has to be skipped for its
 * form is an error here: TEE_MALFORMED, with *at set to its index.
 */

typedef enum {
    TEE_BLOB_CERTIFICATE,
    TEE_BLOB_KEY,
    TEE_BLOB_KEY_CONFIG
} tee_blob_t;

typedef tee_rc_t (*tee_blob_pt)(void *ctx, tee_blob_t what, tee_str_t text,
    tee_str_t *der);

TEE_MUST_CHECK tee_rc_t tee_registry_add_json(tee_registry_list_t *list,
    tee_str_t json, tee_blob_pt blob, void *ctx, uint32_t *at,
    const char **why);

/*
 * Sorts, and copies everything into one block from the list's allocator.
 *
 * TEE_OK, TEE_NOMEM, TEE_LIMIT (4 GiB)
 */

TEE_MUST_CHECK tee_rc_t tee_registry_finish(tee_registry_list_t *list,
    tee_snapshot_t **snapshot);


/* What a saved state says of itself. */

typedef struct {
    uint8_t               contract[20];
    uint64_t              chain_id;
    uint64_t              block;
    int64_t               saved_at;            /* Unix time */
    uint8_t               tee_type;
} tee_registry_meta_t;

/*
 * Writes a state: JSON that tee_registry_add_json() reads, with the meta
 * members and, last, "sha256" over all bytes before that member.
 *
 * text  from the allocator, *len bytes
 */

TEE_MUST_CHECK tee_rc_t tee_registry_save(const tee_snapshot_t *snapshot,
    const tee_registry_meta_t *meta, const tee_alloc_t *alloc,
    uint8_t **text, size_t *len);

/*
 * Checks a state's checksum and reads its meta members.
 *
 * TEE_OK, TEE_CRYPTO (the checksum differs), TEE_MALFORMED, TEE_UNSUPPORTED
 * (another format version), TEE_NOMEM
 */

TEE_MUST_CHECK tee_rc_t tee_registry_load_meta(tee_str_t text,
    const tee_alloc_t *alloc, tee_registry_meta_t *meta);

/*
 * Checks the body of an enclave's OHTTP configuration endpoint
 * (GET /v1/ohttp/config): tee_id, hash, signature, and agreement of key_config
 * with the other members, all against the signing key.
 */

TEE_MUST_CHECK tee_rc_t tee_registry_ohttp_config(tee_str_t json,
    tee_str_t spki, const tee_alloc_t *alloc, uint8_t tee_id[32]);

/*
 * Writes such a body.
 *
 * key  with one pair
 * pem  the private half of the signing key, as for tee_sig_key_read()
 *
 * TEE_OK, TEE_MALFORMED and TEE_UNSUPPORTED (the signing key; the key, if it
 * has another number of pairs), TEE_CRYPTO, TEE_LIMIT, TEE_NOMEM
 */

TEE_MUST_CHECK tee_rc_t tee_registry_ohttp_config_write(tee_write_t *w,
    const tee_ohttp_key_t *key, tee_str_t pem);


#endif /* TEE_REGISTRY_H_INCLUDED */
