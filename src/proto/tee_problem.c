
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <tee_problem.h>
#include <tee_json.h>
#include <tee_text.h>


#define TEE_PROBLEM_MAX_NODES  64


static tee_problem_t tee_problem_object(const tee_json_t *object);


/*
 * The reasons are those for which nothing has left the relay; a TEE that shows
 * another certificate gets no byte of a request.
 */

static const struct {
    const char     *member;
    const char     *text;
    tee_problem_t   problem;
} tee_problems[] = {
    { "type", "https://iana.org/assignments/http-problem-types#ohttp-key",
      TEE_PROBLEM_KEY },
    { "type", "https://iana.org/assignments/http-problem-types#date",
      TEE_PROBLEM_DATE },
    { "reason", "registry_empty", TEE_PROBLEM_UNSENT },
    { "reason", "registry_stale", TEE_PROBLEM_UNSENT },
    { "reason", "unknown_tee", TEE_PROBLEM_UNSENT },
    { "reason", "no_live_tee", TEE_PROBLEM_UNSENT },
    { "reason", "pin_mismatch", TEE_PROBLEM_UNSENT },
    { "error", "malformed encapsulated request", TEE_PROBLEM_KEY },
    { "error", "anonymous inference not initialized", TEE_PROBLEM_UNSENT }
};


tee_problem_t
tee_problem_read(tee_str_t json, const tee_alloc_t *alloc)
{
    tee_problem_t   problem;
    tee_json_doc_t  doc;

    if (json.len > TEE_PROBLEM_MAX_LEN
        || tee_json_parse(json, TEE_PROBLEM_MAX_NODES, alloc, &doc) != TEE_OK)
    {
        return TEE_PROBLEM_OTHER;
    }

    problem = tee_problem_object(doc.root);

    tee_json_free(&doc);

    return problem;
}


static tee_problem_t
tee_problem_object(const tee_json_t *object)
{
    size_t     i;
    tee_str_t  text;

    for (i = 0; i < sizeof(tee_problems) / sizeof(tee_problems[0]); i++) {

        if (tee_json_get_text(object, tee_problems[i].member, &text) == TEE_OK
            && tee_text_is(text, tee_problems[i].text))
        {
            return tee_problems[i].problem;
        }
    }

    return TEE_PROBLEM_OTHER;
}
