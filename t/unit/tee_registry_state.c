
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <string.h>

#include <tee_crypto.h>
#include <tee_registry.h>
#include <tee_text.h>
#include <tee_write.h>

#include "sample.h"
#include "unit.h"


static tee_snapshot_t *
state_snapshot(tee_str_t abi)
{
    tee_snapshot_t       *s;
    tee_registry_list_t   list;
    tee_registry_rules_t  rules;

    s = NULL;
    rules = sample_rules();
    tee_registry_init(&list, &rules);

    if (tee_registry_add_tees(&list, abi) == TEE_OK
        && tee_registry_finish(&list, &s) != TEE_OK)
    {
        s = NULL;
    }

    tee_registry_free(&list);

    return s;
}


static tee_str_t
state_save(const tee_snapshot_t *s, const tee_registry_meta_t *meta)
{
    size_t     len;
    uint8_t   *p;
    tee_str_t  text;

    if (tee_registry_save(s, meta, &unit_alloc, &p, &len) != TEE_OK) {
        return unit_copy(NULL, 0);
    }

    text = unit_copy(p, len);
    unit_alloc.free(unit_alloc.ctx, p);

    return text;
}


/* There and back, for so many TEEs of a shape. */

static void
state_round(uint32_t n, unsigned words)
{
    uint32_t              at;
    tee_rc_t              rc;
    tee_str_t             abi, text;
    const char           *why;
    tee_snapshot_t       *s, *back;
    tee_registry_meta_t   meta = { { 1, 2 }, 10740, UINT64_MAX, 1700000000,
                                   0 };
    tee_registry_meta_t   read;
    tee_registry_list_t   list;
    tee_registry_rules_t  rules;

    abi = sample_answer(n, words);
    s = state_snapshot(abi);
    text = state_save(s, &meta);

    rc = tee_registry_load_meta(text, &unit_alloc, &read);
    unit_ok(rc == TEE_OK && read.contract[1] == 2 && read.chain_id == 10740
            && read.block == UINT64_MAX && read.saved_at == 1700000000
            && read.tee_type == 0, "%u TEEs of %u words, meta", n, words);

    rules = sample_rules();
    tee_registry_init(&list, &rules);
    rc = tee_registry_add_json(&list, text, NULL, NULL, &at, &why);
    unit_ok(rc == TEE_OK && list.n == n && list.nskipped == 0,
            "%u TEEs of %u words, read", n, words);

    rc = tee_registry_finish(&list, &back);
    unit_ok(rc == TEE_OK && s->size == back->size
            && memcmp(s, back, (size_t) s->size) == 0,
            "%u TEEs of %u words, the same snapshot", n, words);

    tee_registry_free(&list);
    unit_alloc.free(unit_alloc.ctx, s);
    unit_alloc.free(unit_alloc.ctx, back);
    unit_free(text);
    unit_free(abi);
}


/* A text with a right checksum, whatever it says. */

static tee_str_t
state_signed(const char *body)
{
    uint8_t      digest[32];
    tee_str_t    text;
    tee_write_t  w;

    tee_write_grow(&w, &unit_alloc);
    tee_write_text(&w, body);

    if (tee_sha256(unit_text(body), digest) != TEE_OK) {
        return unit_copy(NULL, 0);
    }

    tee_write_text(&w, "\"sha256\":\"");
    tee_write_hex(&w, digest, 32);
    tee_write_text(&w, "\"}\n");
    text = unit_copy(w.data, w.len);
    tee_write_free(&w);

    return text;
}


#define META  "\"chain_id\":1,\"block\":2,\"saved_at\":3,\"tee_type\":4,"
#define ADDR  "\"contract\":\"0x0000000000000000000000000000000000000000\","


static void
state_metas(void)
{
    size_t               i;
    tee_rc_t             rc;
    tee_str_t            text;
    tee_registry_meta_t  meta;

    static const struct {
        const char  *body;
        tee_rc_t     rc;
    } cases[] = {
        { "{\"version\":1," ADDR META, TEE_OK },
        { "{\"version\":2," ADDR META, TEE_UNSUPPORTED },
        { "{\"version\":2,", TEE_UNSUPPORTED },
        { "{" ADDR META, TEE_MALFORMED },
        { "{\"version\":\"1\"," ADDR META, TEE_MALFORMED },
        { "{\"version\":1," META, TEE_MALFORMED },
        { "{\"version\":1," ADDR, TEE_MALFORMED },
        { "{\"version\":1," ADDR "\"chain_id\":-1," META, TEE_MALFORMED },
        { "{\"version\":1,\"contract\":\"0x00\"," META, TEE_MALFORMED },
        { "{\"version\":1,,", TEE_MALFORMED },
        { "", TEE_MALFORMED }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        text = state_signed(cases[i].body);
        rc = tee_registry_load_meta(text, &unit_alloc, &meta);
        unit_ok(rc == cases[i].rc && meta.tee_type == (rc == TEE_OK ? 4 : 0),
                "meta, number %u", (unsigned) i);
        unit_free(text);
    }
}


static tee_rc_t
state_oom(void *ctx)
{
    size_t               len;
    uint8_t             *p;
    tee_rc_t             rc;
    tee_str_t            text;
    tee_registry_meta_t  meta;

    memset(&meta, 0, sizeof(tee_registry_meta_t));

    rc = tee_registry_save(ctx, &meta, &unit_alloc, &p, &len);

    if (rc != TEE_OK) {
        return rc;
    }

    text.len = len;
    text.data = p;
    rc = tee_registry_load_meta(text, &unit_alloc, &meta);
    unit_alloc.free(unit_alloc.ctx, p);

    return rc;
}


int
main(void)
{
    size_t               i, cuts, wrong;
    uint8_t              was;
    tee_rc_t             rc;
    tee_str_t            abi, text, cut;
    tee_snapshot_t      *s;
    tee_registry_meta_t  meta;

    memset(&meta, 0, sizeof(tee_registry_meta_t));

    state_round(0, 11);
    state_round(1, 11);
    state_round(3, 10);
    state_round(300, 11);
    state_metas();

    abi = sample_answer(1, 11);
    s = state_snapshot(abi);
    text = state_save(s, &meta);

    unit_ok(tee_utf8_valid(text) && text.data[text.len - 1] == '\n',
            "a text");

    cuts = 0;
    wrong = 0;

    for (i = 0; i < text.len; i++) {
        cut = unit_copy(text.data, i);
        cuts += tee_registry_load_meta(cut, &unit_alloc, &meta) == TEE_OK;
        unit_free(cut);

        was = text.data[i];
        sample_set(text, i, was ^ 1);
        rc = tee_registry_load_meta(text, &unit_alloc, &meta);
        wrong += rc != TEE_CRYPTO && rc != TEE_MALFORMED;
        sample_set(text, i, was);
    }

    unit_ok(cuts == 0, "every cut is noticed");
    unit_ok(wrong == 0, "every change is noticed");

    unit_oom(state_oom, s, TEE_OK, "state");

    unit_alloc.free(unit_alloc.ctx, s);
    unit_free(text);
    unit_free(abi);

    return unit_done();
}
