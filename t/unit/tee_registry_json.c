
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <stdlib.h>
#include <string.h>

#include <tee_registry.h>
#include <tee_write.h>

#include "sample.h"
#include "unit.h"


/* A list of one TEE, with "@C", "@K" and so on replaced by what is valid. */

static tee_str_t
json_text(const char *pattern)
{
    tee_str_t     s;
    tee_write_t   w;
    sample_tee_t  t;

    sample_tee(&t, 3);
    tee_write_grow(&w, &unit_alloc);

    for ( /* void */ ; *pattern; pattern++) {

        if (*pattern != '@') {
            tee_write_bytes(&w, pattern, 1);
            continue;
        }

        switch (*++pattern) {

        case 'C':
            tee_write_base64(&w, t.certificate);
            break;

        case 'K':
            tee_write_base64(&w, t.spki);
            break;

        case 'P':
            tee_write_hex(&w, t.ohttp_key.data, t.ohttp_key.len);
            break;

        case 'B':
            tee_write_base64(&w, t.key_config);
            break;

        case 'M':
            tee_write_text(&w, "\"endpoint\":\"https://10.0.0.3\","
                               "\"tls_certificate\":\"");
            tee_write_base64(&w, t.certificate);
            tee_write_text(&w, "\",\"signing_key\":\"");
            tee_write_base64(&w, t.spki);
            tee_write_text(&w, "\"");
            break;

        default:
            abort();
        }
    }

    if (tee_write_rc(&w) != TEE_OK) {
        abort();
    }

    s = unit_copy(w.data, w.len);
    tee_write_free(&w);

    return s;
}


static tee_rc_t
json_add(const char *pattern, tee_registry_list_t *list, uint32_t *at,
    const char **why, tee_str_t *text)
{
    tee_registry_rules_t  rules;

    rules = sample_rules();
    rules.max_tees = 3;
    tee_registry_init(list, &rules);
    *text = json_text(pattern);

    return tee_registry_add_json(list, *text, NULL, NULL, at, why);
}


#define OHTTP  "\"ohttp\":{\"key_id\":1,\"kem_id\":32,\"kdf_id\":1,"          \
               "\"aead_id\":3,\"public_key\":\"@P\""


static const struct {
    const char  *json;
    tee_rc_t     rc;
    uint32_t     at;
    const char  *why;
} json_cases[] = {
    { "{\"tees\":[]}", TEE_OK, 0, NULL },
    { "{\"tees\":[{@M}]}", TEE_OK, 0, NULL },
    { "{\"x\":1,\"tees\":[{@M,\"y\":{}}]}", TEE_OK, 0, NULL },
    { "{\"tees\":[{@M,\"tee_type\":0,\"enabled\":true,"
      "\"registered_at\":12,\"ohttp\":null}]}", TEE_OK, 0, NULL },
    { "{\"tees\":[{@M,\"registered_at\":\"12\"}]}", TEE_OK, 0, NULL },
    { "{\"tees\":[{@M," OHTTP "}}]}", TEE_OK, 0, NULL },
    { "{\"tees\":[{@M," OHTTP ",\"key_config\":\"@B\"}}]}", TEE_OK, 0,
      NULL },
    { "{\"tees\":[{\"endpoint\":\"https:\\/\\/a\",\"tls_certificate\":"
      "\"@C\",\"signing_key\":\"@K\"}]}", TEE_OK, 0, NULL },

    { "", TEE_MALFORMED, 0, "not JSON" },
    { "{", TEE_MALFORMED, 0, "not JSON" },
    { "[]", TEE_MALFORMED, 0, "no list \"tees\"" },
    { "{}", TEE_MALFORMED, 0, "no list \"tees\"" },
    { "{\"tees\":{}}", TEE_MALFORMED, 0, "no list \"tees\"" },
    { "{\"tees\":[],\"tees\":[]}", TEE_MALFORMED, 0,
      "no list \"tees\"" },
    { "{\"tees\":[1]}", TEE_MALFORMED, 0, "no text \"endpoint\"" },
    { "{\"tees\":[{@M},{}]}", TEE_MALFORMED, 1,
      "no text \"endpoint\"" },
    { "{\"tees\":[{\"endpoint\":\"https://a\"}]}", TEE_MALFORMED, 0,
      "no usable \"tls_certificate\"" },
    { "{\"tees\":[{\"endpoint\":\"https://a\",\"tls_certificate\":\"@C\""
      "}]}", TEE_MALFORMED, 0, "no usable \"signing_key\"" },
    { "{\"tees\":[{\"endpoint\":\"http://a\",\"tls_certificate\":\"@C\","
      "\"signing_key\":\"@K\"}]}", TEE_MALFORMED, 0, "endpoint" },
    { "{\"tees\":[{\"endpoint\":\"https://a\",\"tls_certificate\":\"@K\","
      "\"signing_key\":\"@K\"}]}", TEE_MALFORMED, 0, "certificate" },
    { "{\"tees\":[{\"endpoint\":\"https://a\",\"tls_certificate\":\"@C\","
      "\"signing_key\":\"@C\"}]}", TEE_MALFORMED, 0, "signing key" },
    { "{\"tees\":[{\"endpoint\":\"https://a\",\"tls_certificate\":\"\","
      "\"signing_key\":\"@K\"}]}", TEE_MALFORMED, 0, "certificate" },
    { "{\"tees\":[{\"endpoint\":\"https://a\",\"tls_certificate\":\"x\","
      "\"signing_key\":\"@K\"}]}", TEE_MALFORMED, 0,
      "no usable \"tls_certificate\"" },
    { "{\"tees\":[{@M,\"pcr_hash\":\"0x12\"}]}", TEE_MALFORMED, 0,
      "\"pcr_hash\" is not 32 bytes in hexadecimal" },
    { "{\"tees\":[{@M,\"payment_address\":1}]}", TEE_MALFORMED, 0,
      "\"payment_address\" is not 20 bytes in hexadecimal" },
    { "{\"tees\":[{@M,\"registered_at\":\"-1\"}]}", TEE_MALFORMED, 0,
      "\"registered_at\" is not a decimal number" },
    { "{\"tees\":[{@M,\"registered_at\":true}]}", TEE_MALFORMED, 0,
      "\"registered_at\" is not a decimal number" },
    { "{\"tees\":[{@M,\"tee_type\":256}]}", TEE_MALFORMED, 0,
      "\"tee_type\" is not a number from 0 to 255" },
    { "{\"tees\":[{@M,\"tee_type\":\"0\"}]}", TEE_MALFORMED, 0,
      "\"tee_type\" is not a number from 0 to 255" },
    { "{\"tees\":[{@M,\"enabled\":1}]}", TEE_MALFORMED, 0,
      "\"enabled\" is not true or false" },
    { "{\"tees\":[{@M,\"enabled\":true,\"enabled\":true}]}",
      TEE_MALFORMED, 0, "\"enabled\" is not true or false" },
    { "{\"tees\":[{@M,\"ohttp\":{}}]}", TEE_MALFORMED, 0,
      "\"ohttp\" without one of its four numbers" },
    { "{\"tees\":[{@M,\"ohttp\":7}]}", TEE_MALFORMED, 0,
      "\"ohttp\" without one of its four numbers" },
    { "{\"tees\":[{@M,\"ohttp\":{\"key_id\":1,\"kem_id\":33,\"kdf_id\":1,"
      "\"aead_id\":3,\"public_key\":\"@P\"}}]}", TEE_MALFORMED, 0,
      "\"ohttp\" without a known KEM and \"public_key\"" },
    { "{\"tees\":[{@M,\"ohttp\":{\"key_id\":1,\"kem_id\":16,\"kdf_id\":1,"
      "\"aead_id\":3,\"public_key\":\"@P\"}}]}", TEE_MALFORMED, 0,
      "\"public_key\" is not hexadecimal of the right length" },
    { "{\"tees\":[{@M,\"ohttp\":{\"key_id\":1,\"kem_id\":32,\"kdf_id\":1,"
      "\"aead_id\":4,\"public_key\":\"@P\"}}]}", TEE_MALFORMED, 0,
      "\"ohttp\" cannot be used" },
    { "{\"tees\":[{@M,\"ohttp\":{\"key_id\":2,\"kem_id\":32,\"kdf_id\":1,"
      "\"aead_id\":3,\"public_key\":\"@P\",\"key_config\":\"@B\"}}]}",
      TEE_MALFORMED, 0, "\"ohttp\" cannot be used" },
    { "{\"tees\":[{@M," OHTTP ",\"key_config\":7}}]}", TEE_MALFORMED, 0,
      "no usable \"key_config\"" },
    { "{\"tees\":[{@M},{@M},{@M},{@M}]}", TEE_LIMIT, 0, "over a limit" }
};


static void
json_table(void)
{
    size_t               i;
    uint32_t             at;
    tee_rc_t             rc;
    tee_str_t            text;
    const char          *why;
    tee_registry_list_t  list;

    for (i = 0; i < sizeof(json_cases) / sizeof(json_cases[0]); i++) {
        unit_memory_reset(0);
        rc = json_add(json_cases[i].json, &list, &at, &why, &text);

        unit_ok(rc == json_cases[i].rc && at == json_cases[i].at
                && strcmp(why ? why : "", json_cases[i].why
                                          ? json_cases[i].why : "")
                   == 0
                && (rc == TEE_OK || list.total == 0),
                "number %u: %s", (unsigned) i, why ? why : "accepted");

        tee_registry_free(&list);
        unit_free(text);

        if (unit_memory.live) {
            unit_ok(0, "number %u, leak", (unsigned) i);
        }
    }
}


static void
json_skips(void)
{
    uint32_t             at;
    tee_rc_t             rc;
    tee_str_t            text;
    const char          *why;
    tee_registry_list_t  list;

    rc = json_add("{\"tees\":[{@M,\"enabled\":false},{@M},{@M}]}", &list,
                  &at, &why, &text);
    unit_ok(rc == TEE_OK && list.n == 1 && list.nskipped == 2
            && list.skipped[0].reason == TEE_SKIP_DISABLED
            && list.skipped[1].reason == TEE_SKIP_DUPLICATE
            && list.skipped[1].index == 2, "what does not suit is skipped");
    tee_registry_free(&list);
    unit_free(text);

    rc = json_add("{\"tees\":[{@M,\"tee_type\":9}]}", &list, &at, &why,
                  &text);
    unit_ok(rc == TEE_OK && list.n == 0
            && list.skipped[0].reason == TEE_SKIP_TYPE, "another type");
    tee_registry_free(&list);
    unit_free(text);
}


/* A file name in place of the thing itself. */

static tee_rc_t
json_blob(void *ctx, tee_blob_t what, tee_str_t text, tee_str_t *der)
{
    sample_tee_t  *t = ctx;

    if (what == TEE_BLOB_CERTIFICATE && unit_is(text, "cert.pem")) {
        *der = t->certificate;
        return TEE_OK;
    }

    if (what == TEE_BLOB_KEY && unit_is(text, "key.pem")) {
        *der = t->spki;
        return TEE_OK;
    }

    return TEE_UNSUPPORTED;
}


static void
json_files(void)
{
    uint32_t              at;
    tee_rc_t              rc;
    const char           *why;
    sample_tee_t          t;
    tee_registry_list_t   list;
    tee_registry_rules_t  rules;

    sample_tee(&t, 0);
    rules = sample_rules();
    tee_registry_init(&list, &rules);

    rc = tee_registry_add_json(&list, unit_text(
             "{\"tees\":[{\"endpoint\":\"https://a\",\"tls_certificate\":"
             "\"cert.pem\",\"signing_key\":\"key.pem\"}]}"), json_blob, &t,
             &at, &why);
    unit_ok(rc == TEE_OK && list.n == 1
            && list.entries[0].spki.data == t.spki.data, "files");

    rc = tee_registry_add_json(&list, unit_text(
             "{\"tees\":[{\"endpoint\":\"https://a\",\"tls_certificate\":"
             "\"cert.pem\",\"signing_key\":\"no.pem\"}]}"), json_blob, &t,
             &at, &why);
    unit_ok(rc == TEE_MALFORMED && list.n == 1 && list.total == 1
            && strcmp(why, "no usable \"signing_key\"") == 0,
            "a file that is not there, and the list as it was");

    tee_registry_free(&list);
}


static tee_rc_t
json_oom(void *ctx)
{
    uint32_t              at;
    tee_rc_t              rc;
    const char           *why;
    tee_registry_list_t   list;
    tee_registry_rules_t  rules;

    rules = sample_rules();
    tee_registry_init(&list, &rules);

    rc = tee_registry_add_json(&list, *(tee_str_t *) ctx, NULL, NULL, &at,
                               &why);
    tee_registry_free(&list);

    return rc;
}


int
main(void)
{
    tee_str_t  text;

    json_table();
    json_skips();
    json_files();

    text = json_text("{\"tees\":[{@M," OHTTP ",\"key_config\":\"@B\"}},"
                     "{@M," OHTTP "}}]}");
    unit_oom(json_oom, &text, TEE_OK, "file");
    unit_free(text);

    return unit_done();
}
