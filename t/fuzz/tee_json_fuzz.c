
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <tee_json.h>
#include <tee_text.h>

#include "fuzz.h"


static size_t
fuzz_walk(const tee_json_t *v, size_t depth)
{
    size_t             n;
    const tee_json_t  *m;

    FUZZ_CHECK(depth <= TEE_JSON_MAX_DEPTH);
    FUZZ_CHECK(tee_utf8_valid(v->text) && tee_utf8_valid(v->name));
    FUZZ_CHECK(v->child == NULL || v->type == TEE_JSON_ARRAY
               || v->type == TEE_JSON_OBJECT);

    n = 1;

    for (m = v->child; m; m = m->next) {
        FUZZ_CHECK(v->type == TEE_JSON_OBJECT || m->name.len == 0);
        n += fuzz_walk(m, depth + 1);
    }

    return n;
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    tee_str_t       text = { size, data };
    tee_json_doc_t  doc;

    if (tee_json_parse(text, 500, &fuzz_alloc, &doc) != TEE_OK) {
        FUZZ_CHECK(doc.root == NULL);
        return 0;
    }

    FUZZ_CHECK(doc.root != NULL && doc.root->next == NULL);
    FUZZ_CHECK(fuzz_walk(doc.root, 0) <= 500);

    tee_json_free(&doc);

    return 0;
}
