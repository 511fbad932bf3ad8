
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <string.h>

#include <tee_cert.h>
#include <tee_endpoint.h>
#include <tee_keccak.h>
#include <tee_ohttp_keys.h>
#include <tee_registry_list.h>
#include <tee_sig.h>


#define TEE_REGISTRY_MAX_SLOTS   0x00ffffffU

/* 41 bytes are one pair, and many entries may refer to the same bytes */
#define TEE_REGISTRY_MAX_CONFIG  1024


static tee_rc_t tee_registry_grow(tee_registry_list_t *list, void **array,
    uint32_t used, uint32_t *room, uint32_t need, size_t size);
static tee_rc_t tee_registry_check(tee_registry_list_t *list,
    tee_registry_entry_t *e, tee_skip_t *reason);
static int tee_registry_pcr_allowed(const tee_registry_rules_t *rules,
    const uint8_t pcr[32]);


const char *
tee_skip_name(tee_skip_t reason)
{
    switch (reason) {

    case TEE_SKIP_NONE:
        return "none";

    case TEE_SKIP_ENDPOINT:
        return "endpoint";

    case TEE_SKIP_PRIVATE:
        return "private address";

    case TEE_SKIP_KEY:
        return "signing key";

    case TEE_SKIP_CERTIFICATE:
        return "certificate";

    case TEE_SKIP_DISABLED:
        return "disabled";

    case TEE_SKIP_TYPE:
        return "type";

    case TEE_SKIP_PCR:
        return "PCR hash";

    case TEE_SKIP_DUPLICATE:
        return "duplicate";

    case TEE_SKIP_SCALAR:
        return "value out of range";

    case TEE_SKIP_MAX:
        break;
    }

    return "unknown";
}


void
tee_registry_init(tee_registry_list_t *list, const tee_registry_rules_t *rules)
{
    memset(list, 0, sizeof(tee_registry_list_t));

    list->rules = *rules;
    tee_arena_init(&list->arena, rules->alloc);
}


void
tee_registry_free(tee_registry_list_t *list)
{
    tee_registry_rules_t  rules;

    rules = list->rules;

    if (list->entries) {
        rules.alloc->free(rules.alloc->ctx, list->entries);
    }

    if (list->skipped) {
        rules.alloc->free(rules.alloc->ctx, list->skipped);
    }

    if (list->seen) {
        rules.alloc->free(rules.alloc->ctx, list->seen);
    }

    tee_arena_free(&list->arena);

    tee_registry_init(list, &rules);
}


tee_rc_t
tee_registry_reserve(tee_registry_list_t *list, size_t slots)
{
    void      *entries, *skipped;
    uint32_t   total;
    tee_rc_t   rc;

    if (slots > TEE_REGISTRY_MAX_SLOTS - list->total
        || slots > list->rules.max_tees
        || list->total > list->rules.max_tees - slots)
    {
        return TEE_LIMIT;
    }

    total = list->total + (uint32_t) slots;

    entries = list->entries;
    skipped = list->skipped;

    rc = tee_registry_grow(list, &entries, list->n, &list->entries_room, total,
                           sizeof(tee_registry_entry_t));
    list->entries = entries;

    if (rc == TEE_OK) {
        rc = tee_registry_grow(list, &skipped, list->nskipped,
                               &list->skipped_room, total,
                               sizeof(tee_registry_skip_t));
        list->skipped = skipped;
    }

    if (rc == TEE_OK) {
        rc = tee_registry_seen_reserve(list, list->entries_room);
    }

    return rc;
}


static tee_rc_t
tee_registry_grow(tee_registry_list_t *list, void **array, uint32_t used,
    uint32_t *room, uint32_t need, size_t size)
{
    void               *p;
    const tee_alloc_t  *alloc;

    if (need <= *room) {
        return TEE_OK;
    }

    /* getTEE() answers come one by one */

    if (need < *room * 2) {
        need = *room * 2;
    }

    if (need > SIZE_MAX / size) {
        return TEE_NOMEM;
    }

    alloc = list->rules.alloc;

    p = alloc->alloc(alloc->ctx, need * size);
    if (p == NULL) {
        return TEE_NOMEM;
    }

    if (*array) {
        memcpy(p, *array, used * size);
        alloc->free(alloc->ctx, *array);
    }

    *array = p;
    *room = need;

    return TEE_OK;
}


tee_registry_mark_t
tee_registry_mark(const tee_registry_list_t *list)
{
    tee_registry_mark_t  mark;

    mark.n = list->n;
    mark.nskipped = list->nskipped;
    mark.total = list->total;

    return mark;
}


void
tee_registry_rollback(tee_registry_list_t *list, tee_registry_mark_t mark)
{
    list->n = mark.n;
    list->nskipped = mark.nskipped;
    list->total = mark.total;

    tee_registry_seen_rebuild(list);
}


tee_rc_t
tee_registry_add(tee_registry_list_t *list, tee_registry_entry_t *raw,
    tee_skip_t *reason)
{
    tee_rc_t              rc;
    tee_registry_skip_t  *skip;

    if (*reason == TEE_SKIP_NONE) {
        rc = tee_registry_check(list, raw, reason);

        if (rc != TEE_OK) {
            return rc;
        }
    }

    if (*reason == TEE_SKIP_NONE) {
        list->n++;

    } else {
        skip = &list->skipped[list->nskipped++];
        skip->index = list->total;
        skip->reason = *reason;
    }

    list->total++;

    return TEE_OK;
}


/* The cheap checks first; at the end the entry is in its place and known. */

static tee_rc_t
tee_registry_check(tee_registry_list_t *list, tee_registry_entry_t *e,
    tee_skip_t *reason)
{
    tee_rc_t               rc;
    tee_cert_t             cert;
    tee_endpoint_t         endpoint;
    tee_registry_rules_t  *rules;

    rules = &list->rules;

    if (e->tee_type != rules->tee_type) {
        *reason = TEE_SKIP_TYPE;
        return TEE_OK;
    }

    if (!e->enabled) {
        *reason = TEE_SKIP_DISABLED;
        return TEE_OK;
    }

    if (tee_endpoint_parse(e->endpoint, &endpoint) != TEE_OK) {
        *reason = TEE_SKIP_ENDPOINT;
        return TEE_OK;
    }

    if (!rules->allow_private && tee_endpoint_private(&endpoint)) {
        *reason = TEE_SKIP_PRIVATE;
        return TEE_OK;
    }

    if (!tee_registry_pcr_allowed(rules, e->pcr_hash)) {
        *reason = TEE_SKIP_PCR;
        return TEE_OK;
    }

    e->host = endpoint.host;
    e->port = endpoint.port;
    e->host_form = endpoint.form;
    memcpy(e->addr, endpoint.addr, 16);

    if (tee_sig_spki(e->spki) != TEE_OK) {
        *reason = TEE_SKIP_KEY;
        return TEE_OK;
    }

    tee_keccak256(e->spki, e->tee_id);

    if (tee_registry_seen_has(list, e->tee_id)) {
        *reason = TEE_SKIP_DUPLICATE;
        return TEE_OK;
    }

    rc = tee_cert_read(e->certificate, &cert);

    if (rc == TEE_NOMEM) {
        return rc;
    }

    if (rc != TEE_OK) {
        *reason = TEE_SKIP_CERTIFICATE;
        return TEE_OK;
    }

    e->not_before = cert.not_before;
    e->not_after = cert.not_after;

    if (!tee_registry_ohttp_usable(e)) {
        e->key_id = 0;
        e->kem_id = 0;
        e->kdf_id = 0;
        e->aead_id = 0;
        memset(&e->ohttp_key, 0, sizeof(tee_str_t));
        memset(&e->key_config, 0, sizeof(tee_str_t));
    }

    list->entries[list->n] = *e;
    tee_registry_seen_add(list);

    return TEE_OK;
}


static int
tee_registry_pcr_allowed(const tee_registry_rules_t *rules,
    const uint8_t pcr[32])
{
    size_t  i;

    if (rules->npcr == 0) {
        return 1;
    }

    for (i = 0; i < rules->npcr; i++) {
        if (memcmp(rules->pcr[i], pcr, 32) == 0) {
            return 1;
        }
    }

    return 0;
}


int
tee_registry_ohttp_usable(const tee_registry_entry_t *e)
{
    tee_ohttp_key_t  key;

    return e->kem_id != 0
           && e->key_config.len <= TEE_REGISTRY_MAX_CONFIG
           && tee_ohttp_suite_known(e->kdf_id, e->aead_id)
           && tee_ohttp_key_parse(e->key_config, &key) == TEE_OK
           && key.id == e->key_id
           && key.kem == e->kem_id
           && key.pk.len == e->ohttp_key.len
           && memcmp(key.pk.data, e->ohttp_key.data, key.pk.len) == 0
           && tee_ohttp_key_has(&key, e->kdf_id, e->aead_id)
           && tee_ohttp_key_usable(&key) == TEE_OK;
}
