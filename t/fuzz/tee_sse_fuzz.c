
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <stdlib.h>
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


static int
fuzz_starts(const uint8_t *p, size_t len, const char *text)
{
    return len >= strlen(text) && memcmp(p, text, strlen(text)) == 0;
}


/* 1 if the byte before p[i] ends a line: for everybody, or for some. */

static int
fuzz_ended(const uint8_t *p, size_t i, unsigned some)
{
    if (i == 0 || p[i - 1] == '\n' || p[i - 1] == '\r') {
        return 1;
    }

    if (!some) {
        return 0;
    }

    return p[i - 1] == 0x0b || p[i - 1] == 0x0c
           || (p[i - 1] >= 0x1c && p[i - 1] <= 0x1e)
           || (i > 1 && p[i - 2] == 0xc2 && p[i - 1] == 0x85)
           || (i > 2 && p[i - 3] == 0xe2 && p[i - 2] == 0x80
               && (p[i - 1] == 0xa8 || p[i - 1] == 0xa9));
}


/* The lines are the event, and their data is that of the event. */

static void
fuzz_lines(const uint8_t *p, size_t len)
{
    size_t      pos, end, used;
    uint8_t    *whole, *joined;
    tee_str_t   event = { len, p };
    tee_str_t   line, all, data;

    whole = malloc(len);
    joined = malloc(len);
    FUZZ_CHECK(whole && joined);

    for (pos = 0, used = 0; event.len; pos += all.len) {
        line = tee_sse_line(&event, &all);

        FUZZ_CHECK(all.data == p + pos && line.data == p + pos);
        FUZZ_CHECK(all.len && line.len <= all.len);
        FUZZ_CHECK(event.len == len - pos - all.len);

        end = all.len - line.len;

        FUZZ_CHECK(memchr(line.data, '\n', line.len) == NULL);
        FUZZ_CHECK(memchr(line.data, '\r', line.len) == NULL);
        FUZZ_CHECK(end == 0 ? event.len == 0
                   : end == 1 ? p[pos + line.len] == '\n'
                                || (p[pos + line.len] == '\r'
                                    && (event.len == 0
                                        || event.data[0] != '\n'))
                   : end == 2 && memcmp(p + pos + line.len, "\r\n", 2) == 0);

        FUZZ_CHECK(tee_sse_is_data(line, &data)
                   == fuzz_starts(line.data, line.len, "data:"));

        if (fuzz_starts(line.data, line.len, "data:")) {
            FUZZ_CHECK(data.data + data.len == line.data + line.len);
            FUZZ_CHECK(line.len - data.len
                       == (fuzz_starts(line.data, line.len, "data: ") ? 6
                                                                      : 5));
            memcpy(joined + used, data.data, data.len);
            used += data.len;
            joined[used++] = '\n';
        }
    }

    FUZZ_CHECK(pos == len);

    /* into other memory, and into its own */

    event.len = len;
    event.data = p;

    FUZZ_CHECK(tee_sse_data(event, whole) == used);
    FUZZ_CHECK(memcmp(whole, joined, used) == 0);

    memcpy(whole, p, len);
    event.data = whole;

    FUZZ_CHECK(tee_sse_data(event, whole) == used);
    FUZZ_CHECK(memcmp(whole, joined, used) == 0);

    free(whole);
    free(joined);
}


/* In a plain event nobody finds data but in lines of data. */

static void
fuzz_plain(const uint8_t *p, size_t len)
{
    int        plain;
    size_t     i, k, line;
    tee_str_t  event = { len, p };

    plain = tee_sse_plain(event, 0);

    FUZZ_CHECK(tee_sse_plain(event, 1)
               == (plain && !fuzz_starts(p, len, "\xef\xbb\xbf")));

    for (i = 0, line = 0; plain && i < len; i++) {

        if (fuzz_ended(p, i, 0)) {
            line = i;
        }

        if (!fuzz_starts(p + i, len - i, "data:")) {
            continue;
        }

        for (k = i; k && (p[k - 1] == ' ' || p[k - 1] == '\t'); k--) {
            /* void */
        }

        FUZZ_CHECK(!fuzz_ended(p, k, 1) || line == i
                   || fuzz_starts(p + line, len - line, "data:"));
    }
}


static void
fuzz_typed(const uint8_t *p, size_t len)
{
    int        typed;
    size_t     i, from, to;
    tee_str_t  event = { len, p };

    typed = 0;

    for (i = 0; i < len; i++) {

        if (!fuzz_ended(p, i, 0) || !fuzz_starts(p + i, len - i, "event:")) {
            continue;
        }

        from = i + 6 + (fuzz_starts(p + i, len - i, "event: ") ? 1 : 0);

        for (to = from; to < len && p[to] != '\n' && p[to] != '\r'; to++) {
            /* void */
        }

        typed |= to > from
                 && !(to - from == 7 && memcmp(p + from, "message", 7) == 0);
    }

    FUZZ_CHECK(tee_sse_typed(event) == typed);
}


/* In memory of its exact size. */

static void
fuzz_read(const uint8_t *p, size_t len)
{
    uint8_t  *copy;

    if (len == 0) {
        return;
    }

    copy = malloc(len);
    FUZZ_CHECK(copy);
    memcpy(copy, p, len);

    fuzz_lines(copy, len);
    fuzz_plain(copy, len);
    fuzz_typed(copy, len);

    free(copy);
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
        fuzz_read(data + pos, whole.ends[i] - pos);
        pos = whole.ends[i];
    }

    /* and whatever is no whole event */

    fuzz_read(data, size);

    return 0;
}
