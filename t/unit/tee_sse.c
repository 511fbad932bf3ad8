
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <string.h>

#include <tee_sse.h>

#include "unit.h"


typedef struct {
    const char           *name;
    const char           *in;
    const char           *out;                 /* "|" behind each event */
} sse_case_t;


static const sse_case_t  sse_cases[] = {
    { "nothing", "", "" },
    { "an event", "data: x\n\n", "data: x\n\n|" },
    { "two", "data: x\n\ndata: y\n\n", "data: x\n\n|data: y\n\n|" },
    { "an event of two lines", "event: e\ndata: x\n\n",
      "event: e\ndata: x\n\n|" },
    { "not whole", "data: x\n", "data: x\n" },
    { "not whole, no end of a line", "data: x", "data: x" },
    { "one and a half", "data: x\n\ndata", "data: x\n\n|data" },
    { "CR", "data: x\r\rdata: y\r\r", "data: x\r\r|data: y\r\r|" },
    { "CR LF", "data: x\r\n\r\ndata: y\r\n\r\n",
      "data: x\r\n\r|\ndata: y\r\n\r|\n" },
    { "CR LF of lines", "id: 1\r\ndata: x\r\n\r\n",
      "id: 1\r\ndata: x\r\n\r|\n" },
    { "LF CR LF", "data: x\n\r\n", "data: x\n\r|\n" },
    { "CR, then LF twice", "data: x\r\n\n", "data: x\r\n\n|" },
    { "LF, CR", "data: x\n\rdata: y\n\n", "data: x\n\r|data: y\n\n|" },
    { "CR of a line, LF alone", "data: x\r\r\n\n", "data: x\r\r|\n\n" },
    { "blank lines first", "\n\n\r\n\rdata: x\n\n", "\n\n\r\n\rdata: x\n\n|" },
    { "blank lines between", "data: x\n\n\n\ndata: y\n\n",
      "data: x\n\n|\n\ndata: y\n\n|" },
    { "blank lines alone", "\n\n\n", "\n\n\n" },
    { "a comment", ": still here\n\ndata: x\n\n",
      ": still here\n\n|data: x\n\n|" },
    { "a line with a blank", "data: x\n \n\n", "data: x\n \n\n|" }
};


static const sse_case_t  sse_data_cases[] = {
    { "a line", "data: x\n\n", "x\n" },
    { "a line without an end", "data: x", "x\n" },
    { "no blank", "data:x\n\n", "x\n" },
    { "two blanks", "data:  x \n\n", " x \n" },
    { "two lines", "data: x\r\ndata:y\rdata\n\n", "x\ny\n" },
    { "other fields", ": c\nid: 1\ndata: x\nevent: data: y\nDATA: z\n\n",
      "x\n" },
    { "an empty line", "data:\n\n", "\n" },
    { "no data", "id: 1\n\n", "" },
    { "no event", "", "" }
};


/* In the place of the event itself. */

static void
sse_data(const sse_case_t *c)
{
    size_t     len;
    uint8_t    buf[100];
    tee_str_t  in;

    in.len = strlen(c->in);
    in.data = buf;
    memcpy(buf, c->in, in.len);

    len = tee_sse_data(in, buf);

    unit_ok(len == strlen(c->out) && memcmp(buf, c->out, len) == 0,
            "data: %s", c->name);
}


static void
sse_run(tee_str_t all, size_t piece, char *out)
{
    int        end;
    size_t     n, used;
    tee_str_t  copy, in;
    tee_sse_t  s;

    tee_sse_init(&s);

    while (all.len) {
        n = all.len < piece ? all.len : piece;
        copy = unit_copy(all.data, n);
        in = copy;
        all.len -= n;
        all.data += n;

        while (in.len) {
            used = tee_sse_scan(&s, in, &end);

            memcpy(out, in.data, used);
            out += used;
            in.len -= used;
            in.data += used;

            if (end) {
                *out++ = '|';
            }
        }

        unit_free(copy);
    }

    *out = '\0';
}


static void
sse_lines(void)
{
    size_t     i, at;
    tee_str_t  in, all, line, data;

    static const struct {
        const char  *line;
        const char  *all;
        const char  *data;                     /* NULL: none */
    } lines[] = {
        { "data: x", "data: x\r\n", "x" },
        { "", "\n", NULL },
        { "data:", "data:\r", "" },
        { "", "\r", NULL },
        { "data: ", "data: \r\n", "" },
        { "data:  y", "data:  y\n", " y" },
        { "", "\r\n", NULL },
        { "data", "data\n", NULL },
        { " data: x", " data: x\n", NULL },
        { "Data: x", "Data: x\r", NULL },
        { "data:z", "data:z", "z" }
    };

    static const char  text[] =
        "data: x\r\n\ndata:\r\rdata: \r\ndata:  y\n\r\ndata\n"
        " data: x\nData: x\rdata:z";

    in = unit_copy(text, sizeof(text) - 1);
    at = in.len;
    line = in;

    for (i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        tee_str_t  one = tee_sse_line(&line, &all);

        at -= all.len;

        unit_ok(unit_is(one, lines[i].line) && unit_is(all, lines[i].all)
                && line.len == at
                && tee_sse_is_data(one, &data) == (lines[i].data != NULL)
                && (lines[i].data == NULL || unit_is(data, lines[i].data)),
                "line %u", (unsigned) i);
    }

    unit_ok(at == 0, "no more lines");
    unit_free(in);
}


static void
sse_plain(void)
{
    size_t     i;
    tee_str_t  in;

    static const struct {
        const char  *in;
        int          first;
        int          plain;
    } cases[] = {
        { "", 1, 1 },
        { "data: x\n\n", 1, 1 },
        { "\xef\xbb\xbf" "data: x\n\n", 1, 0 },
        { "\xef\xbb\xbf" "data: x\n\n", 0, 1 },
        { "\xef\xbb", 1, 1 },
        { "\xef\xbb\xbf", 1, 0 },
        { ": \xef\xbb\xbf\n\n", 1, 1 },
        { "data: \v\f\x1c\x1d\x1e\xc2\x85\xe2\x80\xa8\xe2\x80\xa9\n", 1, 1 },
        { ": \x1b\x1f\xc2\x84\xc2\xa0\xe2\x80\xa7\xe2\x80\xaa\xe2\x81\xa8\n", 1,
          1 },
        { "id: \v\n\n", 0, 0 },
        { "data: x\n: \f", 0, 0 },
        { "\x1c\n", 0, 0 },
        { ": \x1d\n", 0, 0 },
        { ": \x1e\n", 0, 0 },
        { "event: \xc2\x85", 0, 0 },
        { ": \xe2\x80\xa8", 0, 0 },
        { ": \xe2\x80\xa9x\r", 0, 0 },
        { ": \xe2\x80\r\xa8", 0, 1 },
        { ": \xc2", 0, 1 },
        { " data: x\n", 0, 0 },
        { "id: 1\n\tdata: x\n", 0, 0 },
        { "data:  x\n\n", 0, 1 },
        { " ", 0, 0 }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        in = unit_copy(cases[i].in, strlen(cases[i].in));

        unit_ok(tee_sse_plain(in, cases[i].first) == cases[i].plain,
                "plain, case %u", (unsigned) i);

        unit_free(in);
    }
}


int
main(void)
{
    int        end;
    char       out[256];
    size_t     i, piece;
    unsigned   good;
    tee_str_t  in;
    tee_sse_t  s;

    for (i = 0; i < sizeof(sse_cases) / sizeof(sse_cases[0]); i++) {
        in = unit_text(sse_cases[i].in);
        good = 1;

        for (piece = 1; piece <= in.len + 1; piece++) {
            sse_run(in, piece, out);
            good = good && strcmp(out, sse_cases[i].out) == 0;
        }

        unit_ok(good, "%s", sse_cases[i].name);
    }

    for (i = 0; i < sizeof(sse_data_cases) / sizeof(sse_data_cases[0]); i++) {
        sse_data(&sse_data_cases[i]);
    }

    sse_lines();
    sse_plain();

    tee_sse_init(&s);
    in.len = 0;
    in.data = NULL;
    unit_ok(tee_sse_scan(&s, in, &end) == 0 && end == 0, "no input");

    return unit_done();
}
