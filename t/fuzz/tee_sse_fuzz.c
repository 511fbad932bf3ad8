
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <string.h>

#include <tee_sse.h>

#include "fuzz.h"


#define FUZZ_EVENTS  4096


/* Where events end. */

typedef struct {
    size_t                n;
    size_t                ends[FUZZ_EVENTS];
} fuzz_sse_t;


static void
fuzz_sse(tee_str_t all, size_t piece, fuzz_sse_t *r)
{
    int        end;
    size_t     used, pos;
    tee_sse_t  s;
    tee_str_t  in;

    r->n = 0;
    pos = 0;
    tee_sse_init(&s);

    while (all.len) {
        in.len = all.len < piece ? all.len : piece;
        in.data = all.data;
        all.len -= in.len;
        all.data += in.len;

        while (in.len) {
            used = tee_sse_scan(&s, in, &end);

            FUZZ_CHECK(used > 0 && used <= in.len);
            FUZZ_CHECK(end || used == in.len);

            pos += used;
            in.len -= used;
            in.data += used;

            if (end && r->n < FUZZ_EVENTS) {
                r->ends[r->n++] = pos;
            }
        }
    }
}


/* One event: something in it, and one blank line, which is its end. */

static void
fuzz_event(const uint8_t *p, size_t len)
{
    size_t    i;
    unsigned  any, start;

    any = 0;
    start = 1;

    for (i = 0; i < len; i++) {

        if (p[i] == '\n' && i && p[i - 1] == '\r') {
            continue;
        }

        if (p[i] != '\n' && p[i] != '\r') {
            any = 1;
            start = 0;
            continue;
        }

        FUZZ_CHECK(!(start && any) || i == len - 1);

        start = 1;
    }

    FUZZ_CHECK(any);
    FUZZ_CHECK(p[len - 1] == '\n' || p[len - 1] == '\r');
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t             i, pos;
    tee_str_t          in = { size, data };
    static fuzz_sse_t  whole, bytes, some;

    fuzz_sse(in, size ? size : 1, &whole);
    fuzz_sse(in, 1, &bytes);
    fuzz_sse(in, 5, &some);

    FUZZ_CHECK(whole.n == bytes.n && whole.n == some.n);
    FUZZ_CHECK(memcmp(whole.ends, bytes.ends, whole.n * sizeof(size_t)) == 0);
    FUZZ_CHECK(memcmp(whole.ends, some.ends, whole.n * sizeof(size_t)) == 0);

    pos = 0;

    for (i = 0; i < whole.n; i++) {

        /* the LF of the end before is of no line */

        if (i && data[pos - 1] == '\r' && data[pos] == '\n') {
            pos++;
        }

        fuzz_event(data + pos, whole.ends[i] - pos);
        pos = whole.ends[i];
    }

    return 0;
}
