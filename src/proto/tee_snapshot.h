
/*
 * Copyright (C) The ngx_http_tee authors
 */


#ifndef TEE_SNAPSHOT_H_INCLUDED
#define TEE_SNAPSHOT_H_INCLUDED


#include <tee.h>
#include <tee_addr.h>


/*
 * A snapshot is what a registry said at one moment: the usable entries,
 * sorted by TEE id, in one block of memory without pointers.  The same bytes
 * live in shared memory and on the heap of every worker.
 *
 *     tee_snapshot_t | tee_snapshot_entry_t[n] | bytes that spans refer to
 *
 * Facts that change with every heartbeat are left out on purpose, so that two
 * answers of a registry in which nothing has happened are the same bytes.
 */

#define TEE_SNAPSHOT_MAGIC   0x31656574        /* "tee1" */


typedef struct {
    uint32_t              off;                 /* from the snapshot's start */
    uint32_t              len;
} tee_span_t;


typedef struct {
    uint8_t               tee_id[32];          /* keccak256 of the SPKI */
    uint8_t               pin_sha256[32];      /* of the certificate DER */
    uint8_t               pcr_hash[32];
    uint8_t               payment_address[20];
    uint8_t               addr[16];            /* literal host, else zeros */
    int64_t               not_before;          /* of the certificate, Unix */
    int64_t               not_after;
    uint64_t              registered_at;       /* saturates */
    uint16_t              port;
    uint16_t              kem_id;              /* 0: no usable OHTTP key */
    uint16_t              kdf_id;
    uint16_t              aead_id;
    uint8_t               key_id;
    uint8_t               tee_type;
    uint8_t               host_form;           /* TEE_HOST_* */
    uint8_t               reserved;
    tee_span_t            endpoint;            /* as stored, UTF-8 */
    tee_span_t            host;                /* lower case, no brackets */
    tee_span_t            certificate;         /* DER */
    tee_span_t            spki;                /* DER, the signing key */
    tee_span_t            ohttp_key;           /* raw public key */
    tee_span_t            key_config;          /* RFC 9458, 3.1 */
} tee_snapshot_entry_t;


typedef struct {
    uint32_t              magic;
    uint32_t              n;
    uint64_t              size;                /* of the whole block */
    tee_snapshot_entry_t  entries[];
} tee_snapshot_t;


/*
 * The entry with this id, or NULL.  Binary search.
 */

const tee_snapshot_entry_t *tee_snapshot_find(const tee_snapshot_t *s,
    const uint8_t tee_id[32]);

/*
 * The index of the first entry whose id is not below "id"; n if none is.
 */

uint32_t tee_snapshot_lower(const tee_snapshot_t *s, const uint8_t tee_id[32]);

/* The bytes of a span; NULL if it is empty. */

tee_str_t tee_snapshot_str(const tee_snapshot_t *s, tee_span_t span);


#endif /* TEE_SNAPSHOT_H_INCLUDED */
