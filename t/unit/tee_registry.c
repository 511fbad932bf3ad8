
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <string.h>

#include <tee_registry_list.h>

#include "sample.h"
#include "unit.h"


/* Adds a sample as a reader does. */

static tee_rc_t
list_add(tee_registry_list_t *list, const sample_tee_t *t, tee_skip_t *reason)
{
    tee_rc_t              rc;
    tee_registry_entry_t  e;

    memset(&e, 0, sizeof(tee_registry_entry_t));

    e.endpoint = t->endpoint;
    e.spki = t->spki;
    e.certificate = t->certificate;
    e.tee_type = t->type[31];
    e.enabled = t->enabled[31];
    e.key_id = 1;
    e.kem_id = 32;
    e.kdf_id = 1;
    e.aead_id = 3;
    e.ohttp_key = t->ohttp_key;
    e.key_config = t->key_config;
    memcpy(e.pcr_hash, t->pcr_hash, 32);

    *reason = TEE_SKIP_NONE;
    rc = tee_registry_reserve(list, 1);

    return rc == TEE_OK ? tee_registry_add(list, &e, reason) : rc;
}


static void
list_rules(void)
{
    uint8_t               pcr[2][32];
    tee_skip_t            reason;
    sample_tee_t          t;
    tee_registry_list_t   list;
    tee_registry_rules_t  rules;

    rules = sample_rules();
    rules.max_tees = 3;
    sample_tee(&t, 0);

    tee_registry_init(&list, &rules);
    unit_ok(list_add(&list, &t, &reason) == TEE_OK && reason == TEE_SKIP_NONE,
            "an entry");
    unit_ok(list_add(&list, &t, &reason) == TEE_OK
            && reason == TEE_SKIP_DUPLICATE, "the same");
    sample_tee(&t, 1);
    unit_ok(list_add(&list, &t, &reason) == TEE_OK && list.n == 2,
            "another one");
    sample_tee(&t, 2);
    unit_ok(list_add(&list, &t, &reason) == TEE_LIMIT && list.total == 3,
            "more than allowed");
    tee_registry_free(&list);
    unit_ok(list.n == 0 && list.entries == NULL, "freed");

    rules.allow_private = 0;
    tee_registry_init(&list, &rules);
    unit_ok(list_add(&list, &t, &reason) == TEE_OK
            && reason == TEE_SKIP_PRIVATE, "a private address");
    t.endpoint = unit_text("https://localhost");
    unit_ok(list_add(&list, &t, &reason) == TEE_OK
            && reason == TEE_SKIP_PRIVATE, "localhost");
    t.endpoint = unit_text("https://8.8.8.8");
    unit_ok(list_add(&list, &t, &reason) == TEE_OK && reason == TEE_SKIP_NONE,
            "a public address");
    tee_registry_free(&list);

    memset(pcr, 0x34, sizeof(pcr));
    rules.pcr = (const uint8_t (*)[32]) (uintptr_t) pcr;
    rules.npcr = 2;
    tee_registry_init(&list, &rules);
    unit_ok(list_add(&list, &t, &reason) == TEE_OK && reason == TEE_SKIP_PCR,
            "a PCR hash that is not listed");
    memset(pcr[1], 0x33, 32);
    unit_ok(list_add(&list, &t, &reason) == TEE_OK && reason == TEE_SKIP_NONE,
            "one that is");
    tee_registry_free(&list);

    rules.npcr = 0;
    rules.tee_type = 5;
    tee_registry_init(&list, &rules);
    unit_ok(list_add(&list, &t, &reason) == TEE_OK && reason == TEE_SKIP_TYPE,
            "another type");
    t.type[31] = 5;
    unit_ok(list_add(&list, &t, &reason) == TEE_OK && reason == TEE_SKIP_NONE,
            "the type");
    tee_registry_free(&list);
}


/* An entry that cannot be used does not keep a later one out. */

static void
list_first(void)
{
    tee_skip_t            reason;
    sample_tee_t          t;
    tee_registry_list_t   list;
    tee_registry_rules_t  rules;

    rules = sample_rules();
    tee_registry_init(&list, &rules);

    sample_tee(&t, 0);
    t.certificate.len--;
    unit_ok(list_add(&list, &t, &reason) == TEE_OK
            && reason == TEE_SKIP_CERTIFICATE, "a bad certificate");
    t.certificate.len++;
    unit_ok(list_add(&list, &t, &reason) == TEE_OK && reason == TEE_SKIP_NONE,
            "then the same key with a good one");
    t.cert_buf[30] ^= 1;
    unit_ok(list_add(&list, &t, &reason) == TEE_OK
            && reason == TEE_SKIP_DUPLICATE
            && list.entries[0].certificate.data == t.cert_buf,
            "then the same key with yet another one");

    tee_registry_free(&list);
}


static void
list_many(void)
{
    size_t                i, wrong;
    tee_skip_t            reason;
    sample_tee_t          t;
    tee_registry_list_t   list;
    tee_registry_mark_t   mark;
    tee_registry_rules_t  rules;

    rules = sample_rules();
    tee_registry_init(&list, &rules);
    unit_memory_reset(0);

    wrong = 0;

    for (i = 0; i < 1000; i++) {
        sample_tee(&t, (uint32_t) i);
        wrong += list_add(&list, &t, &reason) != TEE_OK
                 || reason != TEE_SKIP_NONE;
    }

    unit_ok(wrong == 0 && list.n == 1000, "a thousand, one by one");
    unit_ok(unit_memory.calls < 60, "memory grows by doubling");

    mark = tee_registry_mark(&list);
    mark.n = 500;
    tee_registry_rollback(&list, mark);

    sample_tee(&t, 499);
    unit_ok(list_add(&list, &t, &reason) == TEE_OK
            && reason == TEE_SKIP_DUPLICATE, "what stays after a rollback");
    sample_tee(&t, 500);
    unit_ok(list_add(&list, &t, &reason) == TEE_OK && reason == TEE_SKIP_NONE,
            "and what is forgotten");

    tee_registry_free(&list);
    unit_ok(unit_memory.live == 0, "no leak");
}


int
main(void)
{
    int     i;
    size_t  wrong;

    list_rules();
    list_first();
    list_many();

    wrong = 0;

    for (i = 0; i < TEE_SKIP_MAX; i++) {
        wrong += strcmp(tee_skip_name((tee_skip_t) i), "unknown") == 0;
    }

    unit_ok(wrong == 0
            && strcmp(tee_skip_name(TEE_SKIP_MAX), "unknown") == 0,
            "every reason has a name");

    return unit_done();
}
