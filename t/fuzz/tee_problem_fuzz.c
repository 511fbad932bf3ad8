
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <tee_json.h>
#include <tee_problem.h>

#include "fuzz.h"


/* What says something is JSON, and says the same with blanks around it. */

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t        *copy;
    size_t          i;
    tee_str_t       in = { size, data }, more;
    tee_problem_t   problem;
    tee_json_doc_t  doc;

    problem = tee_problem_read(in, &fuzz_alloc);

    if (problem == TEE_PROBLEM_OTHER) {
        return 0;
    }

    FUZZ_CHECK(size <= TEE_PROBLEM_MAX_LEN);
    FUZZ_CHECK(tee_json_parse(in, size, &fuzz_alloc, &doc) == TEE_OK);
    FUZZ_CHECK(doc.root->type == TEE_JSON_OBJECT);

    tee_json_free(&doc);

    if (size + 2 > TEE_PROBLEM_MAX_LEN) {
        return 0;
    }

    copy = malloc(size + 2);
    FUZZ_CHECK(copy != NULL);

    copy[0] = ' ';
    copy[size + 1] = '\n';

    for (i = 0; i < size; i++) {
        copy[i + 1] = data[i];
    }

    more.data = copy;
    more.len = size + 2;

    FUZZ_CHECK(tee_problem_read(more, &fuzz_alloc) == problem);

    free(copy);

    return 0;
}
