
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <string.h>

#include <tee_registry.h>

#include "fuzz.h"


static void
fuzz_snapshot(const tee_snapshot_t *s, const tee_registry_list_t *list)
{
    uint32_t                     i;
    const tee_snapshot_entry_t  *e;

    FUZZ_CHECK(s->n == list->n);

    for (i = 0; i < s->n; i++) {
        e = &s->entries[i];

        FUZZ_CHECK(i == 0 || memcmp(e[-1].tee_id, e->tee_id, 32) < 0);
        FUZZ_CHECK((uint64_t) e->endpoint.off + e->endpoint.len <= s->size);
        FUZZ_CHECK((uint64_t) e->host.off + e->host.len <= s->size);
        FUZZ_CHECK((uint64_t) e->certificate.off + e->certificate.len
                   <= s->size);
        FUZZ_CHECK((uint64_t) e->spki.off + e->spki.len <= s->size);
        FUZZ_CHECK((uint64_t) e->key_config.off + e->key_config.len
                   <= s->size);
        FUZZ_CHECK((uint64_t) e->ohttp_key.off + e->ohttp_key.len <= s->size);
        FUZZ_CHECK(e->port != 0);
        FUZZ_CHECK(tee_snapshot_find(s, e->tee_id) == e);
        FUZZ_CHECK(tee_snapshot_lower(s, e->tee_id) == i);
    }
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t                 n;
    uint32_t               i;
    tee_rc_t               rc;
    unsigned               value;
    tee_str_t              abi;
    const uint8_t        (*ids)[32];
    tee_snapshot_t        *s;
    tee_registry_list_t    list;
    tee_registry_rules_t   rules;

    memset(&rules, 0, sizeof(tee_registry_rules_t));
    rules.alloc = &fuzz_alloc;
    rules.max_tees = 64;

    if (size == 0) {
        return 0;
    }

    rules.allow_private = data[0] & 1;
    abi.len = size - 1;
    abi.data = data + 1;

    tee_registry_init(&list, &rules);

    rc = tee_registry_add_tees(&list, abi);

    FUZZ_CHECK(rc == TEE_OK || (list.n == 0 && list.nskipped == 0
                                && list.total == 0));
    FUZZ_CHECK(list.n + list.nskipped == list.total);

    for (i = 0; i < list.n; i++) {
        FUZZ_CHECK(fuzz_within(list.entries[i].endpoint, abi));
        FUZZ_CHECK(fuzz_within(list.entries[i].host,
                               list.entries[i].endpoint));
        FUZZ_CHECK(fuzz_within(list.entries[i].spki, abi));
        FUZZ_CHECK(fuzz_within(list.entries[i].certificate, abi));
        FUZZ_CHECK(fuzz_within(list.entries[i].key_config, abi));
    }

    /* the same again: all that was used is a duplicate now */

    if (rc == TEE_OK && list.total <= 32) {
        i = list.n;
        FUZZ_CHECK(tee_registry_add_tees(&list, abi) == TEE_OK);
        FUZZ_CHECK(list.n == i);
    }

    if (rc == TEE_OK) {
        FUZZ_CHECK(tee_registry_finish(&list, &s) == TEE_OK);
        fuzz_snapshot(s, &list);
        free(s);
    }

    tee_registry_free(&list);

    if (tee_registry_ids(abi, &ids, &n) == TEE_OK) {
        FUZZ_CHECK(n <= abi.len / 32);

    } else {
        FUZZ_CHECK(n == 0 && ids == NULL);
    }

    rc = tee_registry_bool(abi, &value);
    FUZZ_CHECK(value <= 1 && (rc == TEE_OK || value == 0));

    return 0;
}
