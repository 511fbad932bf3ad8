
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <string.h>

#include <tee_crypto.h>
#include <tee_registry_list.h>
#include <tee_text.h>


static uint64_t tee_registry_size(const tee_registry_list_t *list);
static tee_rc_t tee_registry_fill(const tee_registry_entry_t *e,
    tee_snapshot_t *s, tee_snapshot_entry_t *to, uint32_t *off);
static tee_span_t tee_registry_put(tee_snapshot_t *s, uint32_t *off,
    tee_str_t str);


tee_rc_t
tee_registry_finish(tee_registry_list_t *list, tee_snapshot_t **snapshot)
{
    uint32_t            i, off, *order;
    uint64_t            size;
    tee_rc_t            rc;
    tee_snapshot_t     *s;
    const tee_alloc_t  *alloc;

    *snapshot = NULL;

    size = tee_registry_size(list);

    if (size > UINT32_MAX || size > SIZE_MAX) {
        return TEE_LIMIT;
    }

    alloc = list->rules.alloc;

    order = alloc->alloc(alloc->ctx, ((size_t) list->n + 1) * sizeof(uint32_t));
    if (order == NULL) {
        return TEE_NOMEM;
    }

    s = alloc->alloc(alloc->ctx, (size_t) size);
    if (s == NULL) {
        alloc->free(alloc->ctx, order);
        return TEE_NOMEM;
    }

    tee_registry_seen_order(list, order);

    /* padding, too: equal snapshots are equal bytes */

    memset(s, 0, (size_t) size);

    s->magic = TEE_SNAPSHOT_MAGIC;
    s->n = list->n;
    s->size = size;

    off = (uint32_t) (sizeof(tee_snapshot_t)
                      + list->n * sizeof(tee_snapshot_entry_t));
    rc = TEE_OK;

    for (i = 0; i < list->n && rc == TEE_OK; i++) {
        rc = tee_registry_fill(&list->entries[order[i]], s, &s->entries[i],
                               &off);
    }

    alloc->free(alloc->ctx, order);

    if (rc != TEE_OK) {
        alloc->free(alloc->ctx, s);
        return rc;
    }

    *snapshot = s;

    return TEE_OK;
}


static uint64_t
tee_registry_size(const tee_registry_list_t *list)
{
    uint32_t                     i;
    uint64_t                     size;
    const tee_registry_entry_t  *e;

    size = sizeof(tee_snapshot_t);

    for (i = 0; i < list->n; i++) {
        e = &list->entries[i];

        size += sizeof(tee_snapshot_entry_t);
        size += e->endpoint.len;
        size += e->host.len;
        size += e->certificate.len;
        size += e->spki.len;
        size += e->key_config.len;
    }

    return size;
}


static tee_rc_t
tee_registry_fill(const tee_registry_entry_t *e, tee_snapshot_t *s,
    tee_snapshot_entry_t *to, uint32_t *off)
{
    size_t    i;
    uint8_t  *host;
    tee_rc_t  rc;

    memcpy(to->tee_id, e->tee_id, 32);
    memcpy(to->pcr_hash, e->pcr_hash, 32);
    memcpy(to->payment_address, e->payment_address, 20);
    memcpy(to->addr, e->addr, 16);

    to->not_before = e->not_before;
    to->not_after = e->not_after;
    to->registered_at = tee_u256_saturate(e->registered_at);
    to->port = e->port;
    to->kem_id = e->kem_id;
    to->kdf_id = e->kdf_id;
    to->aead_id = e->aead_id;
    to->key_id = e->key_id;
    to->tee_type = e->tee_type;
    to->host_form = e->host_form;

    rc = tee_sha256(e->certificate, to->pin_sha256);

    if (rc != TEE_OK) {
        return rc;
    }

    to->endpoint = tee_registry_put(s, off, e->endpoint);
    to->host = tee_registry_put(s, off, e->host);
    to->certificate = tee_registry_put(s, off, e->certificate);
    to->spki = tee_registry_put(s, off, e->spki);
    to->key_config = tee_registry_put(s, off, e->key_config);

    if (e->kem_id) {
        /* RFC 9458, 3.1: behind the key id and the KEM */

        to->ohttp_key.off = to->key_config.off + 3;
        to->ohttp_key.len = (uint32_t) e->ohttp_key.len;
    }

    host = (uint8_t *) s + to->host.off;

    for (i = 0; i < to->host.len; i++) {
        if (host[i] >= 'A' && host[i] <= 'Z') {
            host[i] |= 0x20;
        }
    }

    return TEE_OK;
}


static tee_span_t
tee_registry_put(tee_snapshot_t *s, uint32_t *off, tee_str_t str)
{
    tee_span_t  span = { 0, 0 };

    if (str.len == 0) {
        return span;
    }

    span.off = *off;
    span.len = (uint32_t) str.len;

    memcpy((uint8_t *) s + *off, str.data, str.len);
    *off += span.len;

    return span;
}
