
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <string.h>

#include <tee_abi.h>
#include <tee_abi_map.h>
#include <tee_keccak.h>
#include <tee_registry_list.h>


/*
 * TEEInfo, the shapes of two generations of the contract:
 *
 *      0  address  owner
 *      1  address  paymentAddress
 *      2  string   endpoint
 *      3  bytes    publicKey             SubjectPublicKeyInfo, DER
 *      4  bytes    tlsCertificate        X.509, DER
 *      5  bytes32  pcrHash
 *      6  uint8    teeType
 *      7  bool     enabled
 *      8  uint256  registeredAt
 *      9  uint256  lastHeartbeatAt
 *     10  tuple    ohttpConfig           only with 11 words
 */

#define TEE_ABI_SHORT  10
#define TEE_ABI_LONG   11

/*
 *      0  uint8    keyId
 *      1  uint16   kemId
 *      2  uint16   kdfId
 *      3  uint16   aeadId
 *      4  bytes    publicKey
 *      5  bytes    keyConfig
 *      6  uint256  registeredAt
 */

#define TEE_ABI_OHTTP  7


/* One answer: "n" words of "slots" lead to tuples of "shape" words. */

typedef struct {
    tee_abi_t             slots;
    size_t                n;
    size_t                shape;
    tee_abi_map_t         map;
} tee_registry_abi_t;


static tee_rc_t tee_registry_add_slots(tee_registry_list_t *list,
    tee_registry_abi_t *abi);
static tee_rc_t tee_registry_abi_heads(tee_registry_abi_t *abi);
static tee_rc_t tee_registry_abi_tails(tee_registry_abi_t *abi);
static tee_rc_t tee_registry_abi_tuple(const tee_registry_abi_t *abi, size_t i,
    tee_abi_t *tuple);
static tee_rc_t tee_registry_abi_shape(const tee_abi_t *slots, size_t i,
    size_t *shape);
static tee_rc_t tee_registry_abi_strings(const tee_abi_t *tuple,
    tee_registry_entry_t *e);
static tee_skip_t tee_registry_abi_scalars(const tee_abi_t *tuple,
    tee_registry_entry_t *e);
static void tee_registry_abi_ohttp(const tee_abi_t *tuple,
    tee_registry_entry_t *e);


tee_rc_t
tee_registry_add_tees(tee_registry_list_t *list, tee_str_t abi)
{
    tee_abi_t           top;
    tee_registry_abi_t  answer;

    if (tee_abi_init(&top, abi, 1) != TEE_OK
        || tee_abi_array(&top, 0, &answer.slots) != TEE_OK)
    {
        return TEE_MALFORMED;
    }

    answer.n = answer.slots.head;

    if (answer.n == 0) {
        return TEE_OK;
    }

    return tee_registry_add_slots(list, &answer);
}


tee_rc_t
tee_registry_add_tee(tee_registry_list_t *list, tee_str_t abi,
    const uint8_t expected_id[32])
{
    size_t              shape;
    uint8_t             id[32];
    tee_str_t           spki;
    tee_abi_t           tuple;
    tee_registry_abi_t  answer;

    if (tee_abi_init(&answer.slots, abi, 1) != TEE_OK) {
        return TEE_MALFORMED;
    }

    if (tee_registry_abi_shape(&answer.slots, 0, &shape) != TEE_OK
        || tee_abi_tuple(&answer.slots, 0, shape, &tuple) != TEE_OK
        || tee_abi_bytes(&tuple, 3, &spki) != TEE_OK)
    {
        return TEE_MALFORMED;
    }

    tee_keccak256(spki, id);

    if (memcmp(id, expected_id, 32) != 0) {
        return TEE_MALFORMED;
    }

    answer.n = 1;

    return tee_registry_add_slots(list, &answer);
}


static tee_rc_t
tee_registry_add_slots(tee_registry_list_t *list, tee_registry_abi_t *abi)
{
    size_t                i;
    tee_rc_t              rc;
    tee_abi_t             tuple;
    tee_skip_t            reason;
    tee_registry_mark_t   mark;
    tee_registry_entry_t  e;

    /* before anything that costs time for each slot */

    rc = tee_registry_reserve(list, abi->n);

    if (rc != TEE_OK) {
        return rc;
    }

    rc = tee_abi_map_init(&abi->map, abi->slots.data, list->rules.alloc);

    if (rc != TEE_OK) {
        return rc;
    }

    rc = tee_registry_abi_heads(abi);

    if (rc == TEE_OK) {
        rc = tee_registry_abi_tails(abi);
    }

    tee_abi_map_free(&abi->map);

    if (rc != TEE_OK) {
        return rc;
    }

    /* from here on, a fault is one entry's own */

    mark = tee_registry_mark(list);

    for (i = 0; i < abi->n; i++) {

        rc = tee_registry_abi_tuple(abi, i, &tuple);

        if (rc == TEE_OK) {
            rc = tee_registry_abi_strings(&tuple, &e);
        }

        if (rc == TEE_OK) {
            reason = tee_registry_abi_scalars(&tuple, &e);
            rc = tee_registry_add(list, &e, &reason);
        }

        if (rc != TEE_OK) {
            tee_registry_rollback(list, mark);
            return rc;
        }
    }

    return TEE_OK;
}


static tee_rc_t
tee_registry_abi_heads(tee_registry_abi_t *abi)
{
    size_t     i, shape;
    tee_abi_t  tuple, ohttp;

    abi->shape = 0;

    if (tee_abi_map_add(&abi->map, tee_abi_word(&abi->slots, 0), abi->n)
        != TEE_OK)
    {
        return TEE_MALFORMED;
    }

    for (i = 0; i < abi->n; i++) {

        if (tee_registry_abi_shape(&abi->slots, i, &shape) != TEE_OK) {
            return TEE_MALFORMED;
        }

        if (abi->shape == 0) {
            abi->shape = shape;
        }

        if (shape != abi->shape
            || tee_registry_abi_tuple(abi, i, &tuple) != TEE_OK
            || tee_abi_map_add(&abi->map, tuple.data.data, shape) != TEE_OK)
        {
            return TEE_MALFORMED;
        }

        if (shape == TEE_ABI_LONG
            && (tee_abi_tuple(&tuple, 10, TEE_ABI_OHTTP, &ohttp) != TEE_OK
                || tee_abi_map_add(&abi->map, ohttp.data.data, TEE_ABI_OHTTP)
                   != TEE_OK))
        {
            return TEE_MALFORMED;
        }
    }

    tee_abi_map_seal(&abi->map);

    return TEE_OK;
}


static tee_rc_t
tee_registry_abi_tails(tee_registry_abi_t *abi)
{
    size_t                i;
    tee_abi_t             tuple;
    tee_registry_entry_t  e;

    for (i = 0; i < abi->n; i++) {

        if (tee_registry_abi_tuple(abi, i, &tuple) != TEE_OK
            || tee_registry_abi_strings(&tuple, &e) != TEE_OK
            || tee_abi_map_tail(&abi->map, e.endpoint) != TEE_OK
            || tee_abi_map_tail(&abi->map, e.spki) != TEE_OK
            || tee_abi_map_tail(&abi->map, e.certificate) != TEE_OK)
        {
            return TEE_MALFORMED;
        }

        if (abi->shape == TEE_ABI_LONG
            && (tee_abi_map_tail(&abi->map, e.ohttp_key) != TEE_OK
                || tee_abi_map_tail(&abi->map, e.key_config) != TEE_OK))
        {
            return TEE_MALFORMED;
        }
    }

    return TEE_OK;
}


static tee_rc_t
tee_registry_abi_tuple(const tee_registry_abi_t *abi, size_t i,
    tee_abi_t *tuple)
{
    return tee_abi_tuple(&abi->slots, i, abi->shape, tuple);
}


/* The endpoint is the first of the strings, so its offset is the head. */

static tee_rc_t
tee_registry_abi_shape(const tee_abi_t *slots, size_t i, size_t *shape)
{
    uint64_t   off;
    tee_abi_t  tuple;

    *shape = 0;

    if (tee_abi_tuple(slots, i, TEE_ABI_SHORT, &tuple) != TEE_OK
        || tee_abi_uint(&tuple, 2, 16, &off) != TEE_OK
        || (off != TEE_ABI_SHORT * TEE_ABI_WORD
            && off != TEE_ABI_LONG * TEE_ABI_WORD))
    {
        return TEE_MALFORMED;
    }

    *shape = (size_t) off / TEE_ABI_WORD;

    return TEE_OK;
}


/* All that is reached through an offset; the rest of *e is cleared. */

static tee_rc_t
tee_registry_abi_strings(const tee_abi_t *tuple, tee_registry_entry_t *e)
{
    tee_abi_t  ohttp;

    memset(e, 0, sizeof(tee_registry_entry_t));

    if (tee_abi_bytes(tuple, 2, &e->endpoint) != TEE_OK
        || tee_abi_bytes(tuple, 3, &e->spki) != TEE_OK
        || tee_abi_bytes(tuple, 4, &e->certificate) != TEE_OK)
    {
        return TEE_MALFORMED;
    }

    if (tuple->head == TEE_ABI_SHORT) {
        return TEE_OK;
    }

    if (tee_abi_tuple(tuple, 10, TEE_ABI_OHTTP, &ohttp) != TEE_OK
        || tee_abi_bytes(&ohttp, 4, &e->ohttp_key) != TEE_OK
        || tee_abi_bytes(&ohttp, 5, &e->key_config) != TEE_OK)
    {
        return TEE_MALFORMED;
    }

    return TEE_OK;
}


static tee_skip_t
tee_registry_abi_scalars(const tee_abi_t *tuple, tee_registry_entry_t *e)
{
    uint64_t  type, enabled;

    if (tee_abi_address(tuple, 0, e->owner) != TEE_OK
        || tee_abi_address(tuple, 1, e->payment_address) != TEE_OK
        || tee_abi_uint(tuple, 6, 8, &type) != TEE_OK
        || tee_abi_uint(tuple, 7, 1, &enabled) != TEE_OK)
    {
        return TEE_SKIP_SCALAR;
    }

    e->tee_type = (uint8_t) type;
    e->enabled = (uint8_t) enabled;

    memcpy(e->pcr_hash, tee_abi_word(tuple, 5), 32);
    memcpy(e->registered_at, tee_abi_word(tuple, 8), 32);
    memcpy(e->last_heartbeat_at, tee_abi_word(tuple, 9), 32);

    if (tuple->head == TEE_ABI_LONG) {
        tee_registry_abi_ohttp(tuple, e);
    }

    return TEE_SKIP_NONE;
}


/* A TEE without a usable configuration still serves those who connect. */

static void
tee_registry_abi_ohttp(const tee_abi_t *tuple, tee_registry_entry_t *e)
{
    uint64_t   key_id, kem, kdf, aead;
    tee_abi_t  ohttp;

    if (tee_abi_tuple(tuple, 10, TEE_ABI_OHTTP, &ohttp) != TEE_OK
        || tee_abi_uint(&ohttp, 0, 8, &key_id) != TEE_OK
        || tee_abi_uint(&ohttp, 1, 16, &kem) != TEE_OK
        || tee_abi_uint(&ohttp, 2, 16, &kdf) != TEE_OK
        || tee_abi_uint(&ohttp, 3, 16, &aead) != TEE_OK)
    {
        return;
    }

    e->key_id = (uint8_t) key_id;
    e->kem_id = (uint16_t) kem;
    e->kdf_id = (uint16_t) kdf;
    e->aead_id = (uint16_t) aead;
}


tee_rc_t
tee_registry_ids(tee_str_t abi, const uint8_t (**ids)[32], size_t *n)
{
    tee_abi_t  top, array;

    *ids = NULL;
    *n = 0;

    if (tee_abi_init(&top, abi, 1) != TEE_OK
        || tee_abi_array(&top, 0, &array) != TEE_OK)
    {
        return TEE_MALFORMED;
    }

    if (array.head) {
        /* C99 has no conversion to a pointer to an array of const */

        memcpy(ids, &array.data.data, sizeof(*ids));
        *n = array.head;
    }

    return TEE_OK;
}


tee_rc_t
tee_registry_bool(tee_str_t abi, unsigned *value)
{
    uint64_t   n;
    tee_abi_t  top;

    *value = 0;

    if (tee_abi_init(&top, abi, 1) != TEE_OK
        || tee_abi_uint(&top, 0, 1, &n) != TEE_OK)
    {
        return TEE_MALFORMED;
    }

    *value = (unsigned) n;

    return TEE_OK;
}
