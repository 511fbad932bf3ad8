
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <stdlib.h>
#include <string.h>

#include <tee_keccak.h>
#include <tee_registry.h>
#include <tee_write.h>

#include "sample.h"
#include "unit.h"


/* Where sample_answer() of one TEE of 11 words has its parts. */

#define TUPLE      96
#define WORD(n)    (TUPLE + (n) * 32)
#define LOW(off)   ((off) + 31)


typedef void (*abi_change_pt)(sample_tee_t *t);


static tee_rc_t
abi_add(tee_str_t abi, tee_registry_list_t *list)
{
    tee_registry_rules_t  rules;

    rules = sample_rules();
    tee_registry_init(list, &rules);

    return tee_registry_add_tees(list, abi);
}


/* The second of three is changed, and skipped for this reason. */

static void
abi_skipped(const char *name, abi_change_pt change, tee_skip_t reason)
{
    size_t               i;
    tee_rc_t             rc;
    tee_str_t            abi;
    sample_tee_t         t[3];
    tee_registry_list_t  list;

    for (i = 0; i < 3; i++) {
        sample_tee(&t[i], (uint32_t) i);
    }

    change(&t[1]);

    abi = sample_abi(t, 3, 11, 0);
    rc = abi_add(abi, &list);

    if (reason == TEE_SKIP_NONE) {
        unit_ok(rc == TEE_OK && list.n == 3 && list.nskipped == 0
                && list.entries[1].kem_id == 0
                && list.entries[1].key_config.len == 0
                && list.entries[0].kem_id == 32, "%s: no OHTTP", name);

    } else {
        unit_ok(rc == TEE_OK && list.n == 2 && list.nskipped == 1
                && list.total == 3 && list.skipped[0].index == 1
                && list.skipped[0].reason == reason, "%s: %s", name,
                tee_skip_name(reason));
    }

    tee_registry_free(&list);
    unit_free(abi);
}


/* The key with so many pairs, all of them the same. */

static tee_str_t
abi_long_config(const sample_tee_t *t, uint16_t pairs)
{
    uint16_t     i;
    tee_str_t    s;
    tee_write_t  w;

    static uint8_t  buf[2048];

    tee_write_fixed(&w, buf, sizeof(buf));
    tee_write_bytes(&w, t->key_config_buf, 35);
    tee_write_u16(&w, (uint16_t) (pairs * 4));

    for (i = 0; i < pairs; i++) {
        tee_write_u16(&w, 1);
        tee_write_u16(&w, 3);
    }

    s.len = w.len;
    s.data = buf;

    return s;
}


#define CHANGE(name, what)                                                    \
    static void name(sample_tee_t *t) { what; }

CHANGE(no_endpoint, t->endpoint.len = 0)
CHANGE(http, t->endpoint = unit_text("http://a"))
CHANGE(path, t->endpoint = unit_text("https://a/b"))
CHANGE(not_utf8, t->endpoint = unit_text("\xff" "https://a"))
CHANGE(no_key, t->spki.len = 0)
CHANGE(cut_key, t->spki.len--)
CHANGE(long_key, t->spki = t->certificate)
CHANGE(no_cert, t->certificate.len = 0)
CHANGE(cut_cert, t->certificate.len--)
CHANGE(other_cert, t->certificate = t->spki)
CHANGE(disabled, t->enabled[31] = 0)
CHANGE(bool_2, t->enabled[31] = 2)
CHANGE(bool_high, t->enabled[0] = 1)
CHANGE(type_1, t->type[31] = 1)
CHANGE(type_256, t->type[30] = 1)
CHANGE(dirty_owner, t->owner[11] = 1)
CHANGE(dirty_payment, t->payment[0] = 1)
CHANGE(duplicate, memcpy(t->spki_buf, sample_spki().data, 294);
       memset(t->spki_buf + 64, 0, 4))
CHANGE(key_id_256, t->key_id[30] = 1)
CHANGE(kem_65568, t->kem[29] = 1)
CHANGE(kdf_high, t->kdf[0] = 1)
CHANGE(aead_high, t->aead[28] = 1)
CHANGE(no_ohttp, t->kem[31] = 0; t->kdf[31] = 0; t->aead[31] = 0;
       t->key_id[31] = 0; t->ohttp_key.len = 0; t->key_config.len = 0)
CHANGE(kem_unknown, t->kem[31] = 33; t->key_config_buf[2] = 33)
CHANGE(aead_unknown, t->aead[31] = 4; t->key_config_buf[40] = 4)
CHANGE(aead_other, t->aead[31] = 1)
CHANGE(key_short, t->ohttp_key.len = 31)
CHANGE(key_none, t->ohttp_key.len = 0)
CHANGE(key_other, t->key_config_buf[5] ^= 1)
CHANGE(id_other, t->key_config_buf[0] = 2)
CHANGE(config_none, t->key_config.len = 0)
CHANGE(config_cut, t->key_config.len--)
CHANGE(config_long, t->key_config = abi_long_config(t, 247))
CHANGE(config_longest, t->key_config = abi_long_config(t, 246))


static void
abi_long(void)
{
    tee_str_t            abi;
    sample_tee_t         t;
    tee_registry_list_t  list;

    sample_tee(&t, 0);
    config_longest(&t);
    abi = sample_abi(&t, 1, 11, 0);

    unit_ok(abi_add(abi, &list) == TEE_OK && list.n == 1
            && list.entries[0].kem_id == 32
            && list.entries[0].key_config.len == 1021, "a long key_config");

    tee_registry_free(&list);
    unit_free(abi);
}


static void
abi_contents(void)
{
    abi_skipped("no endpoint", no_endpoint, TEE_SKIP_ENDPOINT);
    abi_skipped("http", http, TEE_SKIP_ENDPOINT);
    abi_skipped("a path", path, TEE_SKIP_ENDPOINT);
    abi_skipped("not UTF-8", not_utf8, TEE_SKIP_ENDPOINT);
    abi_skipped("no key", no_key, TEE_SKIP_KEY);
    abi_skipped("a cut key", cut_key, TEE_SKIP_KEY);
    abi_skipped("not a key", long_key, TEE_SKIP_KEY);
    abi_skipped("no certificate", no_cert, TEE_SKIP_CERTIFICATE);
    abi_skipped("a cut certificate", cut_cert, TEE_SKIP_CERTIFICATE);
    abi_skipped("not a certificate", other_cert, TEE_SKIP_CERTIFICATE);
    abi_skipped("not enabled", disabled, TEE_SKIP_DISABLED);
    abi_skipped("bool 2", bool_2, TEE_SKIP_SCALAR);
    abi_skipped("bool 2^248 + 1", bool_high, TEE_SKIP_SCALAR);
    abi_skipped("type 1", type_1, TEE_SKIP_TYPE);
    abi_skipped("type 256", type_256, TEE_SKIP_SCALAR);
    abi_skipped("a dirty owner", dirty_owner, TEE_SKIP_SCALAR);
    abi_skipped("a dirty payment address", dirty_payment, TEE_SKIP_SCALAR);
    abi_skipped("the first key again", duplicate, TEE_SKIP_DUPLICATE);

    abi_skipped("key id 257", key_id_256, TEE_SKIP_NONE);
    abi_skipped("KEM 65568", kem_65568, TEE_SKIP_NONE);
    abi_skipped("a dirty KDF", kdf_high, TEE_SKIP_NONE);
    abi_skipped("a dirty AEAD", aead_high, TEE_SKIP_NONE);
    abi_skipped("no configuration", no_ohttp, TEE_SKIP_NONE);
    abi_skipped("an unknown KEM", kem_unknown, TEE_SKIP_NONE);
    abi_skipped("an unknown AEAD", aead_unknown, TEE_SKIP_NONE);
    abi_skipped("an AEAD that key_config lacks", aead_other, TEE_SKIP_NONE);
    abi_skipped("a short public key", key_short, TEE_SKIP_NONE);
    abi_skipped("no public key", key_none, TEE_SKIP_NONE);
    abi_skipped("another public key", key_other, TEE_SKIP_NONE);
    abi_skipped("another key id", id_other, TEE_SKIP_NONE);
    abi_skipped("no key_config", config_none, TEE_SKIP_NONE);
    abi_skipped("a cut key_config", config_cut, TEE_SKIP_NONE);
    abi_skipped("a key_config that is too long", config_long, TEE_SKIP_NONE);
    abi_long();
}


/* One byte of an answer of two TEEs; nothing of it may be used. */

static void
abi_structure(void)
{
    size_t               i;
    tee_rc_t             rc;
    tee_str_t            abi;
    tee_registry_list_t  list;

    /* the second tuple begins at 96 + 32 + 1696 */

    static const struct {
        const char  *name;
        size_t       off;
        uint8_t      value;
    } cases[] = {
        { "an array offset that is unaligned", 31, 0x21 },
        { "an array offset of 0", 31, 0x00 },
        { "an array offset one on", 31, 0x40 },
        { "an array offset outside", 29, 0x01 },
        { "a huge array offset", 0, 0xff },
        { "an array length of 3", 63, 3 },
        { "an array length over 2^32", 59, 1 },
        { "a huge array length", 32, 0xff },
        { "an element in the offsets", 95, 0x00 },
        { "an element in the offsets, at the second", 95, 0x20 },
        { "an unaligned element", 95, 0x41 },
        { "an element one word on", 95, 0x60 },
        { "an element outside", 93, 0x10 },
        { "a huge element offset", 64, 0x80 },
        { "a second element inside of the first", 126, 0x00 },
        { "an unknown shape", 32 + LOW(WORD(2)), 0x80 },
        { "another unknown shape", 32 + LOW(WORD(2)), 0x20 },
        { "a mixed shape", 32 + LOW(WORD(2)), 0x40 },
        { "a key in the head", 32 + WORD(3) + 30, 0x00 },
        { "an unaligned key", 32 + LOW(WORD(3)), 0xa1 },
        { "a key outside", 32 + WORD(3) + 29, 0x10 },
        { "a huge key offset", 32 + WORD(3), 0x01 },
        { "a certificate in the head", 32 + WORD(4) + 30, 0x01 },
        { "a certificate outside", 32 + WORD(4) + 28, 0x01 },
        { "an OHTTP part in the head", 32 + WORD(10) + 30, 0x01 },
        { "an OHTTP part outside", 32 + WORD(10) + 29, 0x10 },
        { "an unaligned OHTTP part", 32 + LOW(WORD(10)), 0x01 },
        { "an endpoint that is longer than all", 32 + WORD(11) + 29, 0x01 },
        { "a huge endpoint", 32 + WORD(11), 0xff },
        { "an endpoint that runs into the next tuple", 32 + WORD(11) + 30,
          0x05 }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        abi = sample_answer(2, 11);
        sample_set(abi, cases[i].off, cases[i].value);

        rc = abi_add(abi, &list);
        unit_ok(rc == TEE_MALFORMED && list.n == 0 && list.nskipped == 0
                && list.total == 0, "%s", cases[i].name);

        tee_registry_free(&list);
        unit_free(abi);
    }
}


static void
abi_whole(void)
{
    size_t               i, n, wrong;
    tee_rc_t             rc;
    tee_str_t            abi, cut;
    const uint8_t      (*ids)[32];
    tee_registry_list_t  list;

    for (n = 10; n <= 11; n++) {
        abi = sample_answer(3, (unsigned) n);
        rc = abi_add(abi, &list);
        unit_ok(rc == TEE_OK && list.n == 3 && list.nskipped == 0
                && (list.entries[2].kem_id == 32) == (n == 11),
                "%u words", (unsigned) n);
        unit_ok(list.entries[2].registered_at[31] == 0x82
                && list.entries[2].last_heartbeat_at[31] == 0x06
                && list.entries[2].owner[0] == 0x11
                && list.entries[2].payment_address[19] == 0x22
                && list.entries[2].pcr_hash[31] == 0x33
                && unit_is(list.entries[2].endpoint, "https://10.0.0.2:8443")
                && unit_is(list.entries[2].host, "10.0.0.2")
                && list.entries[2].port == 8443
                && list.entries[2].not_after == INT64_C(2689977600),
                "%u words, the last entry", (unsigned) n);
        tee_registry_free(&list);

        wrong = 0;

        for (i = 0; i < abi.len; i++) {
            cut = unit_copy(abi.data, i);
            wrong += abi_add(cut, &list) != TEE_MALFORMED;
            tee_registry_free(&list);
            unit_free(cut);
        }

        unit_ok(wrong == 0, "%u words, every prefix is refused",
                (unsigned) n);

        /* bytes behind the encoding are ignored, but not half a word */

        cut.len = abi.len + 64;
        cut.data = malloc(cut.len);

        if (cut.data == NULL) {
            abort();
        }

        memset((uint8_t *) (uintptr_t) cut.data, 0xff, cut.len);
        memcpy((uint8_t *) (uintptr_t) cut.data, abi.data, abi.len);
        unit_ok(abi_add(cut, &list) == TEE_OK && list.n == 3,
                "%u words, words behind", (unsigned) n);
        tee_registry_free(&list);
        cut.len--;
        unit_ok(abi_add(cut, &list) == TEE_MALFORMED,
                "%u words, half a word behind", (unsigned) n);
        tee_registry_free(&list);
        unit_free(cut);

        sample_set(abi, 63, 2);
        unit_ok(abi_add(abi, &list) == TEE_MALFORMED
                || list.n == 2, "%u words, one element less", (unsigned) n);
        tee_registry_free(&list);
        unit_free(abi);
    }

    abi = sample_answer(2, 11);
    memcpy((uint8_t *) (uintptr_t) abi.data + 96, abi.data + 64, 32);
    unit_ok(abi_add(abi, &list) == TEE_OK && list.n == 1
            && list.nskipped == 1 && list.skipped[0].index == 1
            && list.skipped[0].reason == TEE_SKIP_DUPLICATE,
            "two elements that are one");
    tee_registry_free(&list);
    unit_free(abi);

    abi = sample_answer(0, 11);
    unit_ok(abi_add(abi, &list) == TEE_OK && list.total == 0, "no TEE");
    tee_registry_free(&list);
    unit_ok(tee_registry_ids(abi, &ids, &n) == TEE_OK && n == 0
            && ids == NULL, "no id");
    unit_free(abi);
}


/* Any byte: what is still used is inside of the answer, and in no error. */

static void
abi_mutations(void)
{
    size_t               i, k, ok, wrong;
    uint8_t              was;
    tee_rc_t             rc;
    tee_str_t            abi;
    tee_registry_list_t  list;

    static const uint8_t  xors[] = { 0x01, 0x20, 0x80, 0xff };

    abi = sample_answer(3, 11);
    ok = 0;
    wrong = 0;

    for (i = 0; i < abi.len; i++) {
        for (k = 0; k < 4; k++) {
            was = abi.data[i];
            sample_set(abi, i, was ^ xors[k]);

            rc = abi_add(abi, &list);

            if (rc == TEE_OK) {
                ok++;
                wrong += list.n + list.nskipped != list.total
                         || list.n < 1 || list.total > 3;

            } else {
                wrong += rc != TEE_MALFORMED || list.total != 0;
            }

            tee_registry_free(&list);
            sample_set(abi, i, was);
        }
    }

    unit_ok(wrong == 0 && ok > 1000, "%u of %u mutants are an answer",
            (unsigned) ok, (unsigned) abi.len * 4);
    unit_free(abi);
}


static void
abi_get_tee(void)
{
    size_t                i, wrong;
    uint8_t               id[32];
    tee_str_t             abi, cut;
    sample_tee_t          t;
    tee_registry_list_t   list;
    tee_registry_rules_t  rules;

    rules = sample_rules();

    sample_tee(&t, 7);
    tee_keccak256(t.spki, id);
    abi = sample_abi(&t, 1, 11, 1);

    tee_registry_init(&list, &rules);
    unit_ok(tee_registry_add_tee(&list, abi, id) == TEE_OK && list.n == 1
            && memcmp(list.entries[0].tee_id, id, 32) == 0, "getTEE");
    unit_ok(tee_registry_add_tee(&list, abi, id) == TEE_OK && list.n == 1
            && list.skipped[0].index == 1
            && list.skipped[0].reason == TEE_SKIP_DUPLICATE,
            "getTEE, again");

    id[31] ^= 1;
    unit_ok(tee_registry_add_tee(&list, abi, id) == TEE_MALFORMED
            && list.total == 2, "getTEE, the key of another one");
    id[31] ^= 1;
    unit_ok(tee_registry_add_tees(&list, abi) == TEE_MALFORMED,
            "getTEE is not getActiveTEEs");
    tee_registry_free(&list);

    wrong = 0;

    for (i = 0; i < abi.len; i++) {
        cut = unit_copy(abi.data, i);
        tee_registry_init(&list, &rules);
        wrong += tee_registry_add_tee(&list, cut, id) != TEE_MALFORMED;
        tee_registry_free(&list);
        unit_free(cut);
    }

    unit_ok(wrong == 0, "getTEE, every prefix is refused");
    unit_free(abi);

    t.enabled[31] = 0;
    abi = sample_abi(&t, 1, 10, 1);
    tee_registry_init(&list, &rules);
    unit_ok(tee_registry_add_tee(&list, abi, id) == TEE_OK && list.n == 0
            && list.skipped[0].reason == TEE_SKIP_DISABLED,
            "getTEE, disabled, 10 words");
    tee_registry_free(&list);
    unit_free(abi);

    abi = sample_answer(1, 11);
    tee_registry_init(&list, &rules);
    unit_ok(tee_registry_add_tee(&list, abi, id) == TEE_MALFORMED,
            "getActiveTEEs is not getTEE");
    tee_registry_free(&list);
    unit_free(abi);
}


#define W(n)  "00000000000000000000000000000000" \
              "000000000000000000000000000000" n


static void
abi_others(void)
{
    size_t           i, n;
    unsigned         value;
    tee_rc_t         rc;
    tee_str_t        abi;
    const uint8_t  (*ids)[32];

    static const struct {
        const char  *name;
        const char  *hex;
        tee_rc_t     rc;
        size_t       n;
    } lists[] = {
        { "two", W("20") W("02") W("0a") W("0b"), TEE_OK, 2 },
        { "one of two", W("20") W("01") W("0a") W("0b"), TEE_OK, 1 },
        { "three of two", W("20") W("03") W("0a") W("0b"), TEE_MALFORMED, 0 },
        { "nothing", "", TEE_MALFORMED, 0 },
        { "no length", W("20"), TEE_MALFORMED, 0 },
        { "half a word", W("20") W("01") W("0a") "00", TEE_MALFORMED, 0 },
        { "unaligned", W("21") W("01") W("0a"), TEE_MALFORMED, 0 }
    }, bools[] = {
        { "false", W("00"), TEE_OK, 0 },
        { "true", W("01"), TEE_OK, 1 },
        { "2", W("02"), TEE_MALFORMED, 0 },
        { "true and a word", W("01") W("00"), TEE_OK, 1 },
        { "nothing", "", TEE_MALFORMED, 0 },
        { "one byte", "01", TEE_MALFORMED, 0 }
    };

    for (i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        abi = unit_hex(lists[i].hex);
        rc = tee_registry_ids(abi, &ids, &n);
        unit_ok(rc == lists[i].rc && n == lists[i].n
                && (n == 0 || ids[n - 1][31] == 9 + n), "ids, %s",
                lists[i].name);
        unit_free(abi);
    }

    for (i = 0; i < sizeof(bools) / sizeof(bools[0]); i++) {
        abi = unit_hex(bools[i].hex);
        value = 7;
        rc = tee_registry_bool(abi, &value);
        unit_ok(rc == bools[i].rc && value == bools[i].n, "bool, %s",
                bools[i].name);
        unit_free(abi);
    }
}


static tee_rc_t
abi_oom(void *ctx)
{
    tee_rc_t             rc;
    tee_snapshot_t      *s;
    tee_registry_list_t  list;

    rc = abi_add(*(tee_str_t *) ctx, &list);

    if (rc == TEE_OK) {
        rc = tee_registry_finish(&list, &s);
    }

    if (rc == TEE_OK) {
        unit_alloc.free(unit_alloc.ctx, s);
    }

    tee_registry_free(&list);

    return rc;
}


int
main(void)
{
    tee_str_t  abi;

    unit_crypto_init();

    abi_whole();
    abi_contents();
    abi_structure();
    abi_mutations();
    abi_get_tee();
    abi_others();

    abi = sample_answer(3, 11);
    unit_oom(abi_oom, &abi, TEE_OK, "answer");
    unit_crypto_oom(abi_oom, &abi, TEE_OK, "answer");
    unit_free(abi);

    return unit_done();
}
