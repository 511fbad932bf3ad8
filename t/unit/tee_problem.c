
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <stdio.h>
#include <string.h>

#include <tee_problem.h>

#include "unit.h"


typedef struct {
    const char      *in;
    tee_problem_t    out;
} problem_case_t;


#define TYPE(name)                                                            \
    "{\"type\":\"https://iana.org/assignments/http-problem-types#" name "\"}"
#define REASON(name)                                                          \
    "{\"type\":\"about:blank\",\"status\":502,\"reason\":\"" name "\"}"


static const problem_case_t  problem_cases[] = {
    { TYPE("ohttp-key"), TEE_PROBLEM_KEY },
    { TYPE("date"), TEE_PROBLEM_DATE },
    { " {\"title\":\"x\",\"type\":\"https:\\/\\/iana.org\\/assignments\\/"
      "http-problem-types#ohttp\\u002dkey\",\"status\":400}\r\n",
      TEE_PROBLEM_KEY },
    { TYPE("ohttp-keys"), TEE_PROBLEM_OTHER },
    { TYPE("ohttp-ke"), TEE_PROBLEM_OTHER },
    { TYPE("OHTTP-KEY"), TEE_PROBLEM_OTHER },
    { "{\"type\":\"about:blank\"}", TEE_PROBLEM_OTHER },
    { "{\"type\":\"#ohttp-key\"}", TEE_PROBLEM_OTHER },
    { "{\"type\":[\"https://iana.org/assignments/http-problem-types"
      "#ohttp-key\"]}", TEE_PROBLEM_OTHER },

    { REASON("registry_empty"), TEE_PROBLEM_UNSENT },
    { REASON("registry_stale"), TEE_PROBLEM_UNSENT },
    { REASON("unknown_tee"), TEE_PROBLEM_UNSENT },
    { REASON("no_live_tee"), TEE_PROBLEM_UNSENT },
    { REASON("pin_mismatch"), TEE_PROBLEM_UNSENT },

    /* the TEE may have had all of it */
    { REASON("peer_failed"), TEE_PROBLEM_OTHER },
    { REASON("undecryptable"), TEE_PROBLEM_OTHER },
    { REASON("replayed"), TEE_PROBLEM_OTHER },
    { REASON("http_error"), TEE_PROBLEM_OTHER },
    { REASON(""), TEE_PROBLEM_OTHER },

    { "{\"error\":\"malformed encapsulated request\"}", TEE_PROBLEM_KEY },
    { "{\"error\":\"anonymous inference not initialized\"}",
      TEE_PROBLEM_UNSENT },
    { "{\"error\":\"inner payload is not valid JSON\"}", TEE_PROBLEM_OTHER },
    { "{\"error\":{\"message\":\"malformed encapsulated request\"}}",
      TEE_PROBLEM_OTHER },
    { "{\"detail\":\"malformed encapsulated request\"}", TEE_PROBLEM_OTHER },

    /* there twice, it says nothing */
    { "{\"reason\":\"unknown_tee\",\"reason\":\"unknown_tee\"}",
      TEE_PROBLEM_OTHER },

    { "", TEE_PROBLEM_OTHER },
    { "{}", TEE_PROBLEM_OTHER },
    { "[]", TEE_PROBLEM_OTHER },
    { "null", TEE_PROBLEM_OTHER },
    { "\"malformed encapsulated request\"", TEE_PROBLEM_OTHER },
    { "malformed encapsulated request", TEE_PROBLEM_OTHER },
    { REASON("unknown_tee") "x", TEE_PROBLEM_OTHER }
};


static void
problem_case(const problem_case_t *c)
{
    tee_str_t  in;

    in = unit_copy(c->in, strlen(c->in));

    unit_ok(tee_problem_read(in, &unit_alloc) == c->out, "case %d",
            (int) (c - problem_cases));

    unit_free(in);
}


static void
problem_prefixes(void)
{
    size_t      i, len, found;
    tee_str_t   in;
    const char  *text = REASON("unknown_tee");

    len = strlen(text);
    found = 0;

    for (i = 0; i < len; i++) {
        in = unit_copy(text, i);
        found += tee_problem_read(in, &unit_alloc) != TEE_PROBLEM_OTHER;
        unit_free(in);
    }

    unit_ok(found == 0, "no prefix of it");
}


static void
problem_length(void)
{
    char       text[TEE_PROBLEM_MAX_LEN + 2];
    int        len;
    size_t     i;
    tee_str_t  in;

    for (i = TEE_PROBLEM_MAX_LEN; i <= TEE_PROBLEM_MAX_LEN + 1; i++) {
        len = snprintf(text, sizeof(text), "%-*s", (int) i,
                       REASON("unknown_tee"));
        in = unit_copy(text, (size_t) len);

        unit_ok((tee_problem_read(in, &unit_alloc) == TEE_PROBLEM_UNSENT)
                == (i == TEE_PROBLEM_MAX_LEN), "%d bytes", len);

        unit_free(in);
    }
}


/* Many values are not read, and without memory it says nothing. */

static void
problem_memory(void)
{
    char        text[1024], *p;
    size_t      i;
    tee_str_t   in;
    const char  *end = "0],\"reason\":\"unknown_tee\"}";

    p = text + snprintf(text, sizeof(text), "{\"a\":[");

    for (i = 0; i < 100; i++) {
        *p++ = '0';
        *p++ = ',';
    }

    in = unit_copy(text, (size_t) (p - text) + strlen(end));
    memcpy((char *) (uintptr_t) in.data + (p - text), end, strlen(end));

    unit_ok(tee_problem_read(in, &unit_alloc) == TEE_PROBLEM_OTHER,
            "too many values");
    unit_free(in);

    in = unit_copy(REASON("unknown_tee"), strlen(REASON("unknown_tee")));

    unit_memory_reset(1);
    unit_ok(tee_problem_read(in, &unit_alloc) == TEE_PROBLEM_OTHER,
            "no memory");

    unit_memory_reset(0);
    unit_ok(tee_problem_read(in, &unit_alloc) == TEE_PROBLEM_UNSENT
            && unit_memory.live == 0, "nothing is kept");

    unit_free(in);
}


int
main(void)
{
    size_t  i;

    for (i = 0; i < sizeof(problem_cases) / sizeof(problem_cases[0]); i++) {
        problem_case(&problem_cases[i]);
    }

    problem_prefixes();
    problem_length();
    problem_memory();

    return unit_done();
}
