
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <string.h>

#include <tee_crypto.h>
#include <tee_keccak.h>
#include <tee_ohttp_keys.h>
#include <tee_registry.h>

#include "sample.h"
#include "unit.h"


static tee_snapshot_t *
snapshot_make(tee_str_t abi)
{
    tee_rc_t              rc;
    tee_snapshot_t       *s;
    tee_registry_list_t   list;
    tee_registry_rules_t  rules;

    rules = sample_rules();
    tee_registry_init(&list, &rules);

    s = NULL;
    rc = tee_registry_add_tees(&list, abi);

    if (rc == TEE_OK) {
        rc = tee_registry_finish(&list, &s);
    }

    unit_ok(rc == TEE_OK && s != NULL, "a snapshot");
    tee_registry_free(&list);

    return s;
}


static void
snapshot_entry(void)
{
    uint8_t                      id[32], sum[32];
    tee_str_t                    abi;
    sample_tee_t                 t;
    tee_snapshot_t              *s;
    tee_ohttp_key_t              key;
    const tee_snapshot_entry_t  *e;

    sample_tee(&t, 9);
    t.endpoint = unit_text("https://TEE.Example:8443/");
    memset(t.registered_at, 0xff, 32);
    abi = sample_abi(&t, 1, 11, 0);
    s = snapshot_make(abi);
    unit_free(abi);

    tee_keccak256(t.spki, id);
    e = tee_snapshot_find(s, id);

    unit_ok(s->magic == TEE_SNAPSHOT_MAGIC && s->n == 1 && e == s->entries,
            "found");
    unit_ok(tee_sha256(t.certificate, sum) == TEE_OK
            && memcmp(e->pin_sha256, sum, 32) == 0, "pin");
    unit_ok(unit_is(tee_snapshot_str(s, e->endpoint),
                    "https://TEE.Example:8443/"), "endpoint as stored");
    unit_ok(unit_is(tee_snapshot_str(s, e->host), "tee.example")
            && e->port == 8443 && e->host_form == TEE_HOST_NAME,
            "host in lower case");
    unit_ok(unit_equal(tee_snapshot_str(s, e->certificate), t.cert_buf,
                       SAMPLE_CERT_LEN)
            && unit_equal(tee_snapshot_str(s, e->spki), t.spki_buf,
                          SAMPLE_SPKI_LEN), "certificate and key");
    unit_ok(unit_equal(tee_snapshot_str(s, e->ohttp_key), t.ohttp_key_buf, 32)
            && tee_ohttp_key_parse(tee_snapshot_str(s, e->key_config), &key)
               == TEE_OK
            && e->key_id == 1 && e->kem_id == 32 && e->kdf_id == 1
            && e->aead_id == 3, "OHTTP key");
    unit_ok(e->registered_at == UINT64_MAX, "a uint256 saturates");
    unit_ok(e->not_before < e->not_after && e->pcr_hash[0] == 0x33
            && e->payment_address[0] == 0x22, "the rest");

    unit_alloc.free(unit_alloc.ctx, s);
}


static void
snapshot_order(void)
{
    size_t           i, wrong;
    uint8_t          id[32];
    tee_str_t        abi;
    sample_tee_t     t[5], back[5];
    tee_snapshot_t  *a, *b;

    for (i = 0; i < 5; i++) {
        sample_tee(&t[i], (uint32_t) i);
        sample_tee(&back[i], (uint32_t) (4 - i));
        back[i].last_heartbeat_at[31] ^= 0xff;
        memset(back[i].owner + 12, 0x77, 20);
    }

    abi = sample_abi(t, 5, 11, 0);
    a = snapshot_make(abi);
    unit_free(abi);

    abi = sample_abi(back, 5, 11, 0);
    b = snapshot_make(abi);
    unit_free(abi);

    unit_ok(a->size == b->size && memcmp(a, b, (size_t) a->size) == 0,
            "order and heartbeats do not matter");

    wrong = 0;

    for (i = 0; i < 5; i++) {
        tee_keccak256(t[i].spki, id);
        wrong += tee_snapshot_find(a, id) == NULL;
        id[31]++;
        wrong += tee_snapshot_find(a, id) != NULL;
        wrong += i && memcmp(a->entries[i - 1].tee_id, a->entries[i].tee_id,
                             32)
                      >= 0;
        memcpy(id, a->entries[i].tee_id, 32);
        wrong += tee_snapshot_lower(a, id) != i;
        id[31]++;
        wrong += id[31] && tee_snapshot_lower(a, id) != i + 1;
    }

    memset(id, 0, 32);
    wrong += tee_snapshot_lower(a, id) != 0;
    memset(id, 0xff, 32);
    wrong += tee_snapshot_lower(a, id) != 5 || tee_snapshot_find(a, id);

    unit_ok(wrong == 0, "ids are found, and only they are");

    unit_alloc.free(unit_alloc.ctx, a);
    unit_alloc.free(unit_alloc.ctx, b);
}


int
main(void)
{
    uint8_t          id[32];
    tee_str_t        abi;
    tee_span_t       none = { 0, 0 };
    tee_snapshot_t  *s;

    snapshot_entry();
    snapshot_order();

    abi = sample_answer(0, 11);
    s = snapshot_make(abi);
    memset(id, 0, 32);
    unit_ok(s->n == 0 && s->size == sizeof(tee_snapshot_t)
            && tee_snapshot_find(s, id) == NULL
            && tee_snapshot_lower(s, id) == 0, "an empty one");
    unit_ok(tee_snapshot_str(s, none).data == NULL, "an empty span");
    unit_free(abi);
    unit_alloc.free(unit_alloc.ctx, s);

    abi = sample_answer(2, 10);
    s = snapshot_make(abi);
    unit_ok(s->n == 2 && s->entries[0].kem_id == 0
            && s->entries[0].ohttp_key.len == 0
            && s->entries[0].key_config.len == 0, "without OHTTP");
    unit_free(abi);
    unit_alloc.free(unit_alloc.ctx, s);

    return unit_done();
}
