
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <stdio.h>
#include <string.h>

#include <tee_h1.h>

#include "unit.h"


#define ABSENT  -1


typedef struct {
    const char           *fields;
    int64_t               max_age;
    uint32_t              age;
} cache_case_t;


static const cache_case_t  cache_cases[] = {
    { "", ABSENT, 0 },
    { "Cache-Control: max-age=60\r\n", 60, 0 },
    { "cache-control:MAX-AGE=60\r\nage:5\r\n", 60, 5 },
    { "Cache-Control: public, max-age=60 , must-revalidate\r\n", 60, 0 },
    { "Cache-Control: public\r\nCache-Control: max-age=7\r\n", 7, 0 },
    { "Cache-Control: ,,max-age=60,\r\n", 60, 0 },

    /* of two the first one, and what must not be kept before all */
    { "Cache-Control: max-age=60, max-age=70\r\n", 60, 0 },
    { "Cache-Control: max-age=60\r\nCache-Control: no-store\r\n", 0, 0 },
    { "Cache-Control: no-cache, max-age=60\r\n", 0, 0 },
    { "Cache-Control: no-store\r\n", 0, 0 },

    /* no number is none, and too much is much */
    { "Cache-Control: max-age=\r\n", 0, 0 },
    { "Cache-Control: max-age=x\r\nAge: -1\r\n", 0, 0 },
    { "Cache-Control: max-age=\"60\"\r\n", 0, 0 },
    { "Cache-Control: max-age=99999999999999999999\r\nAge: 4294967296\r\n",
      UINT32_MAX, UINT32_MAX },

    /* others */
    { "Cache-Control: s-maxage=60, private, x-max-age=1\r\n", ABSENT, 0 },
    { "Cache-Controls: max-age=60\r\nAges: 1\r\n", ABSENT, 0 },
    { "Cache-Control: max-agex=60\r\n", ABSENT, 0 },
    { "Cache-Control:\r\nAge:\r\n", ABSENT, 0 }
};


static void
cache_case(const cache_case_t *c)
{
    char       text[1024];
    size_t     i, len;
    tee_rc_t   rc;
    tee_h1_t   h;
    tee_str_t  in, body, byte;

    len = (size_t) snprintf(text, sizeof(text),
                            "HTTP/1.1 200 OK\r\n%sContent-Length: 0\r\n\r\n",
                            c->fields);

    in = unit_copy(text, len);

    tee_h1_init(&h, 4096, 4096);

    for (i = 0, rc = TEE_OK; i < len && rc == TEE_OK; i++) {
        byte.data = in.data + i;
        byte.len = 1;
        rc = tee_h1_read(&h, &byte, &body);
    }

    unit_ok(rc == TEE_DONE && h.has_max_age == (c->max_age != ABSENT)
            && (c->max_age == ABSENT || h.max_age == c->max_age)
            && h.age == c->age, "case %d", (int) (c - cache_cases));

    unit_free(in);
}


static void
cache_long(void)
{
    char       text[2048];
    size_t     len;
    tee_rc_t   rc;
    tee_h1_t   h;
    tee_str_t  in, left, body;

    len = (size_t) snprintf(text, sizeof(text), "HTTP/1.1 200 OK\r\n"
                            "Cache-Control: max-age=1, %0800d\r\n"
                            "Content-Length: 0\r\n\r\n", 0);

    in = unit_copy(text, len);
    left = in;

    tee_h1_init(&h, 4096, 4096);

    rc = tee_h1_read(&h, &left, &body);

    unit_ok(rc == TEE_DONE && !h.has_max_age, "a long one says nothing");

    unit_free(in);
}


int
main(void)
{
    size_t  i;

    for (i = 0; i < sizeof(cache_cases) / sizeof(cache_cases[0]); i++) {
        cache_case(&cache_cases[i]);
    }

    cache_long();

    return unit_done();
}
