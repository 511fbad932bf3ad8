
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tee_bhttp.h>

#include "unit.h"


/* GET https://a/ of known and of indeterminate length, and a field a: 1 */

#define GET    "00" "03474554" "056874747073" "0161" "012f"
#define GET2   "02" "03474554" "056874747073" "0161" "012f"
#define A1     "0161" "0131"

#define G      "GET https://a/;"


static const tee_bhttp_limits_t  bhttp_limits = {
    1024, 1024, 4096, 16, 4, 4096
};


/* What was read, one after the other; content is one however it was cut. */

typedef struct {
    tee_rc_t              rc;
    size_t                len;
    unsigned              content;
    unsigned              head_ends;
    unsigned              indeterminate;
    char                  text[32768];
} bhttp_result_t;


static void
bhttp_put(bhttp_result_t *r, tee_str_t s, const char *tail)
{
    size_t  len;

    len = strlen(tail);

    if (sizeof(r->text) - r->len <= s.len + len) {
        abort();
    }

    if (s.len) {
        memcpy(r->text + r->len, s.data, s.len);
    }

    memcpy(r->text + r->len + s.len, tail, len + 1);
    r->len += s.len + len;
}


static void
bhttp_event(const tee_bhttp_read_t *b, bhttp_result_t *r)
{
    char  status[16];

    if (r->content && b->event != TEE_BHTTP_CONTENT) {
        r->content = 0;
        bhttp_put(r, unit_text(""), ">");
    }

    switch (b->event) {

    case TEE_BHTTP_HEAD:
    case TEE_BHTTP_INFORMATIONAL:

        if (b->status) {
            (void) snprintf(status, sizeof(status), "%s%u;",
                            b->event == TEE_BHTTP_HEAD ? "" : "1xx ",
                            b->status);
            bhttp_put(r, unit_text(""), status);
            break;
        }

        bhttp_put(r, b->method, " ");
        bhttp_put(r, b->scheme, "://");
        bhttp_put(r, b->authority, "");
        bhttp_put(r, b->path, ";");
        break;

    case TEE_BHTTP_FIELD:
    case TEE_BHTTP_TRAILER:
        bhttp_put(r, unit_text(""), b->event == TEE_BHTTP_FIELD ? "" : "~");
        bhttp_put(r, b->name, ":");
        bhttp_put(r, b->value, ";");
        break;

    case TEE_BHTTP_HEAD_END:
        r->head_ends++;
        bhttp_put(r, unit_text(""), "|");
        break;

    case TEE_BHTTP_CONTENT:

        if (!r->content) {
            r->content = 1;
            bhttp_put(r, unit_text(""), "<");
        }

        bhttp_put(r, b->content, "");
        break;

    case TEE_BHTTP_NOTHING:
        abort();
    }
}


static int
bhttp_nothing(const tee_bhttp_read_t *b)
{
    return b->event == TEE_BHTTP_NOTHING && b->method.len == 0
           && b->scheme.len == 0 && b->authority.len == 0 && b->path.len == 0
           && b->status == 0 && b->name.len == 0 && b->value.len == 0
           && b->content.len == 0;
}


/* Feeds pieces of exact size: first "first" bytes, then "piece" each. */

static void
bhttp_run(int request, tee_str_t all, size_t first, size_t piece,
    const tee_bhttp_limits_t *limits, bhttp_result_t *r)
{
    int                last;
    size_t             n;
    tee_str_t          in, copy;
    tee_bhttp_read_t   b;

    r->len = 0;
    r->content = 0;
    r->head_ends = 0;
    r->text[0] = '\0';

    tee_bhttp_read_init(&b, request, limits, &unit_alloc);

    n = first;

    do {
        if (n > all.len) {
            n = all.len;
        }

        copy = unit_copy(all.data, n);
        in = copy;
        all.len -= n;
        all.data += n;
        last = all.len == 0;

        while ((r->rc = tee_bhttp_read(&b, &in, last)) == TEE_OK) {
            bhttp_event(&b, r);
        }

        if (!bhttp_nothing(&b)
            || ((r->rc == TEE_INCOMPLETE || r->rc == TEE_DONE) && in.len))
        {
            abort();
        }

        unit_free(copy);

        n = piece;

    } while (r->rc == TEE_INCOMPLETE && !last);

    if (r->content) {
        bhttp_put(r, unit_text(""), ">");
    }

    in.len = 0;
    in.data = NULL;

    /* the end stays, and so does a failure */

    if (tee_bhttp_read(&b, &in, 1) != r->rc) {
        r->rc = (tee_rc_t) -99;
    }

    r->indeterminate = b.indeterminate;

    tee_bhttp_read_free(&b);
}


typedef struct {
    const char           *name;
    unsigned              response;
    const char           *in;
    tee_rc_t              rc;
    const char           *text;                /* NULL: does not matter */
} bhttp_case_t;


static const bhttp_case_t  bhttp_cases[] = {

    { "a request", 0, GET "04" A1 "026869" "04" "01740132", TEE_DONE,
      G "a:1;|<hi>~t:2;" },
    { "a request without anything", 0, GET "000000", TEE_DONE, G "|" },
    { "cut after the control data", 0, GET, TEE_DONE, G "|" },
    { "cut after the fields", 0, GET "04" A1, TEE_DONE, G "a:1;|" },
    { "cut after content", 0, GET "00026869", TEE_DONE, G "|<hi>" },
    { "cut after no content", 0, GET "0000", TEE_DONE, G "|" },
    { "padding", 0, GET "00000000000000", TEE_DONE, G "|" },
    { "padding with something in it", 0, GET "000000000001", TEE_MALFORMED,
      NULL },
    { "numbers of 8 bytes", 0, "c000000000000000" "c000000000000003474554"
      "c0000000000000056874747073" "c00000000000000161"
      "c0000000000000012f" "c000000000000012" "c000000000000001"
      "61" "c000000000000001" "31" "c000000000000002" "6869"
      "c000000000000000", TEE_DONE, G "a:1;|<hi>" },
    { "numbers of 2 and 4 bytes", 0, "4000" "4003474554"
      "80000005" "6874747073" "400161" "80000001" "2f" "80000000" "4000"
      "80000000", TEE_DONE, G "|" },

    { "indeterminate", 0, GET2 A1 "00" "026869" "0121" "00" "01740132" "00",
      TEE_DONE, G "a:1;|<hi!>~t:2;" },
    { "indeterminate without anything", 0, GET2 "000000", TEE_DONE, G "|" },
    { "indeterminate, cut after the control data", 0, GET2, TEE_DONE,
      G "|" },
    { "indeterminate, cut after the fields", 0, GET2 A1 "00", TEE_DONE,
      G "a:1;|" },
    { "indeterminate, cut after content", 0, GET2 "00" "0121" "00", TEE_DONE,
      G "|<!>" },
    { "indeterminate, padding", 0, GET2 "000000" "000000", TEE_DONE, G "|" },
    { "indeterminate, long ends", 0, GET2 A1 "4000" "80000000"
      "c000000000000000" "00", TEE_DONE, G "a:1;|" },
    { "indeterminate, cut in the fields", 0, GET2 A1, TEE_MALFORMED,
      G "a:1;" },
    { "indeterminate, cut in a field", 0, GET2 "016101", TEE_MALFORMED, G },
    { "indeterminate, cut after a chunk", 0, GET2 "00" "0121", TEE_MALFORMED,
      G "|<!>" },
    { "indeterminate, cut in a chunk", 0, GET2 "00" "0221", TEE_MALFORMED,
      G "|<!>" },
    { "indeterminate, cut in the trailers", 0, GET2 "0000" A1, TEE_MALFORMED,
      G "|~a:1;" },
    { "indeterminate, cut in an end", 0, GET2 "40", TEE_MALFORMED, G },

    { "nothing", 0, "", TEE_MALFORMED, "" },
    { "cut in the indicator", 0, "40", TEE_MALFORMED, "" },
    { "the indicator alone", 0, "00", TEE_MALFORMED, "" },
    { "cut in the control data", 0, "00" "03474554" "056874747073" "0161"
      "01", TEE_MALFORMED, "" },
    { "cut in the section's length", 0, GET "40", TEE_MALFORMED, G },
    { "cut in a section", 0, GET "05" A1, TEE_MALFORMED, G "a:1;" },
    { "cut before the first field", 0, GET "04", TEE_MALFORMED, G },
    { "cut in content", 0, GET "000368", TEE_MALFORMED, G "|<h>" },
    { "cut before content", 0, GET "0003", TEE_MALFORMED, G "|" },
    { "cut in the trailers", 0, GET "000004016101", TEE_MALFORMED, G "|" },
    { "indicator 4", 0, "04" "03474554" "056874747073" "0161" "012f",
      TEE_MALFORMED, "" },
    { "indicator 2^62-1", 0, "ffffffffffffffff", TEE_MALFORMED, "" },
    { "a response for a request", 0, "0140c8", TEE_MALFORMED, "" },
    { "an indeterminate one", 0, "0340c8", TEE_MALFORMED, "" },
    { "a request that says it is a response", 0, "01" "03474554"
      "056874747073" "0161" "012f", TEE_MALFORMED, "" },
    { "a response that says it is a request", 1, "0040c8", TEE_MALFORMED,
      "" },
    { "a request for a response", 1, GET, TEE_MALFORMED, "" },
    { "an indeterminate request for a response", 1, GET2, TEE_MALFORMED,
      "" },

    { "a response", 1, "0140c8" "04" A1 "026869", TEE_DONE,
      "200;a:1;|<hi>" },
    { "a response, cut after the status", 1, "0140c8", TEE_DONE, "200;|" },
    { "a response, indeterminate", 1, "0340c8" A1 "00" "026869" "00",
      TEE_DONE, "200;a:1;|<hi>" },
    { "a response that hints", 1, "014067" "04" A1 "4067" "00" "40c8" "04"
      A1, TEE_DONE, "1xx 103;a:1;1xx 103;200;a:1;|" },
    { "one that hints, indeterminate", 1, "034067" A1 "00" "4064" "00"
      "40c8" A1 "00", TEE_DONE, "1xx 103;a:1;1xx 100;200;a:1;|" },
    { "nothing after the hints", 1, "01406700", TEE_MALFORMED, "1xx 103;" },
    { "nothing after the hint's status", 1, "014067", TEE_MALFORMED,
      "1xx 103;" },
    { "the same, indeterminate", 1, "034067", TEE_MALFORMED, "1xx 103;" },
    { "nothing after the hints, indeterminate", 1, "03406700", TEE_MALFORMED,
      "1xx 103;" },
    { "no status", 1, "01", TEE_MALFORMED, "" },
    { "status 0", 1, "0100", TEE_MALFORMED, "" },
    { "status 99", 1, "014063", TEE_MALFORMED, "" },
    { "status 599", 1, "014257", TEE_DONE, "599;|" },
    { "status 600", 1, "014258", TEE_MALFORMED, "" },
    { "status 2^32+200", 1, "01c0000001000000c8", TEE_MALFORMED, "" },
    { "204 with content", 1, "0140cc000178", TEE_DONE, "204;|<x>" },
    { "two hosts in a response", 1, "0140c8" "0e" "04686f73740161"
      "04686f73740162", TEE_DONE, "200;host:a;host:b;|" },

    { "a name in upper case", 0, GET "04" "0141" "0131", TEE_DONE,
      G "A:1;|" },
    { "an empty value", 0, GET "03" "016100", TEE_DONE, G "a:;|" },
    { "a value with a blank and bytes above ASCII", 0, GET "07" "0161"
      "0461202080", TEE_DONE, G "a:a  \x80;|" },
    { "the same name twice", 0, GET "08" A1 A1, TEE_DONE, G "a:1;a:1;|" },
    { "an empty name", 0, GET "03" "000131", TEE_MALFORMED, G },
    { "an empty name of two bytes", 0, GET "04" "40000131", TEE_MALFORMED,
      G },
    { "a blank in a name", 0, GET "05" "02612001" "31", TEE_MALFORMED, G },
    { "a colon in a name", 0, GET "05" "02613a01" "31", TEE_MALFORMED, G },
    { "a NUL in a name", 0, GET "05" "02610001" "31", TEE_MALFORMED, G },
    { "a CR in a name", 0, GET "05" "02610d01" "31", TEE_MALFORMED, G },
    { "a name above ASCII", 0, GET "05" "02c3a901" "31", TEE_MALFORMED, G },
    { "DEL in a name", 0, GET "05" "02617f01" "31", TEE_MALFORMED, G },
    { "NUL in a value", 0, GET "06" "0161" "03610061", TEE_MALFORMED, G },
    { "LF in a value", 0, GET "06" "0161" "03610a61", TEE_MALFORMED, G },
    { "CR in a value", 0, GET "06" "0161" "03610d61", TEE_MALFORMED, G },
    { "a blank before a value", 0, GET "05" "0161" "022061", TEE_MALFORMED,
      G },
    { "a tab before a value", 0, GET "05" "0161" "020961", TEE_MALFORMED,
      G },
    { "a blank behind a value", 0, GET "05" "0161" "026120", TEE_MALFORMED,
      G },
    { "a tab behind a value", 0, GET "05" "0161" "026109", TEE_MALFORMED,
      G },
    { "a value that is a blank", 0, GET "04" "0161" "0120", TEE_MALFORMED,
      G },
    { "bad fields in trailers", 0, GET "0000" "04" "0161" "0120",
      TEE_MALFORMED, G "|" },
    { "a name longer than its section", 0, GET "03" "036101", TEE_MALFORMED,
      G },
    { "a value longer than its section", 0, GET "04" "01610231" "32",
      TEE_MALFORMED, G },
    { "a field without a value at the end of its section", 0, GET "02"
      "0161" "00", TEE_MALFORMED, G },
    { "a number that leaves its section", 0, GET "01" "40", TEE_MALFORMED,
      G },

    { ":method", 0, GET "0a" "073a6d6574686f64" "0178", TEE_MALFORMED, G },
    { ":scheme", 0, GET "0a" "073a736368656d65" "0178", TEE_MALFORMED, G },
    { ":authority", 0, GET "0d" "0a3a617574686f72697479" "0178",
      TEE_MALFORMED, G },
    { ":path", 0, GET "08" "053a70617468" "0178", TEE_MALFORMED, G },
    { ":status", 0, GET "0a" "073a737461747573" "0178", TEE_MALFORMED, G },
    { ":status of a response", 1, "0140c8" "0a" "073a737461747573" "0178",
      TEE_MALFORMED, "200;" },
    { ":Path", 0, GET "08" "053a50617468" "0178", TEE_MALFORMED, G },
    { "a pseudo-field first", 0, GET "09" "023a70" "0178" A1, TEE_DONE,
      G ":p:x;a:1;|" },
    { "a pseudo-field later", 0, GET "09" A1 "023a70" "0178", TEE_MALFORMED,
      G "a:1;" },
    { "a pseudo-field in trailers", 0, GET "0000" "05" "023a70" "0178",
      TEE_MALFORMED, G "|" },
    { "a pseudo-field after one of a hint", 1, "01" "4067" "04" A1 "40c8"
      "05" "023a70" "0178", TEE_DONE, "1xx 103;a:1;200;:p:x;|" },
    { "a colon alone", 0, GET "04" "013a" "0178", TEE_MALFORMED, G },
    { "a pseudo-field with a blank", 0, GET "05" "023a20" "0178",
      TEE_MALFORMED, G },
    { "two hosts", 0, GET "0e" "04686f73740161" "04486f73740161",
      TEE_MALFORMED, G "host:a;" },
    { "a host in trailers as well", 0, GET "07" "04686f73740161" "00" "07"
      "04686f73740161", TEE_MALFORMED, G "host:a;|" },
    { "connection", 0, GET "11" "0a636f6e6e656374696f6e" "05636c6f7365",
      TEE_DONE, G "connection:close;|" },

    { "no authority", 0, "00" "03474554" "056874747073" "00" "012f",
      TEE_DONE, "GET https:///;|" },
    { "http", 0, "00" "03474554" "0468747470" "0161" "012f", TEE_DONE,
      "GET http://a/;|" },
    { "an address and a port", 0, "00" "03474554" "0468747470"
      "095b3a3a315d3a383031" "012f", TEE_DONE, "GET http://[::1]:801/;|" },
    { "a query", 0, "00" "03474554" "056874747073" "0161" "062f3f783d253f",
      TEE_DONE, "GET https://a/?x=%?;|" },
    { "OPTIONS *", 0, "00" "074f5054494f4e53" "056874747073" "0161" "012a",
      TEE_DONE, "OPTIONS https://a*;|" },
    { "GET *", 0, "00" "03474554" "056874747073" "0161" "012a",
      TEE_MALFORMED, "" },
    { "CONNECT", 0, "00" "07434f4e4e454354" "00" "03613a31" "00", TEE_DONE,
      "CONNECT ://a:1;|" },
    { "CONNECT to nothing", 0, "00" "07434f4e4e454354" "00" "00" "00",
      TEE_MALFORMED, "" },
    { "CONNECT with a path alone", 0, "00" "07434f4e4e454354" "00" "0161"
      "012f", TEE_MALFORMED, "" },
    { "GET of nothing", 0, "00" "03474554" "00" "0161" "00", TEE_MALFORMED,
      "" },
    { "no method", 0, "00" "00" "056874747073" "0161" "012f", TEE_MALFORMED,
      "" },
    { "a method with a blank", 0, "00" "03472054" "056874747073" "0161"
      "012f", TEE_MALFORMED, "" },
    { "a method with a NUL", 0, "00" "03470054" "056874747073" "0161"
      "012f", TEE_MALFORMED, "" },
    { "no scheme", 0, "00" "03474554" "00" "0161" "012f", TEE_MALFORMED,
      "" },
    { "the scheme file", 0, "00" "03474554" "0466696c65" "0161" "012f",
      TEE_MALFORMED, "" },
    { "the scheme HTTPS", 0, "00" "03474554" "054854545053" "0161" "012f",
      TEE_MALFORMED, "" },
    { "userinfo", 0, "00" "03474554" "056874747073" "03614061" "012f",
      TEE_MALFORMED, "" },
    { "a slash in the authority", 0, "00" "03474554" "056874747073"
      "03612f61" "012f", TEE_MALFORMED, "" },
    { "a blank in the authority", 0, "00" "03474554" "056874747073"
      "03612061" "012f", TEE_MALFORMED, "" },
    { "CR LF in the authority", 0, "00" "03474554" "056874747073"
      "03610d0a" "012f", TEE_MALFORMED, "" },
    { "a NUL in the authority", 0, "00" "03474554" "056874747073"
      "03610061" "012f", TEE_MALFORMED, "" },
    { "an authority above ASCII", 0, "00" "03474554" "056874747073"
      "0361c3a9" "012f", TEE_MALFORMED, "" },
    { "no path", 0, "00" "03474554" "056874747073" "0161" "00",
      TEE_MALFORMED, "" },
    { "a path without a slash", 0, "00" "03474554" "056874747073" "0161"
      "0178", TEE_MALFORMED, "" },
    { "a path with a blank", 0, "00" "03474554" "056874747073" "0161"
      "022f20", TEE_MALFORMED, "" },
    { "a path with a tab", 0, "00" "03474554" "056874747073" "0161"
      "022f09", TEE_MALFORMED, "" },
    { "a path with LF", 0, "00" "03474554" "056874747073" "0161" "022f0a",
      TEE_MALFORMED, "" },
    { "a path with NUL", 0, "00" "03474554" "056874747073" "0161" "022f00",
      TEE_MALFORMED, "" },
    { "a path with DEL", 0, "00" "03474554" "056874747073" "0161" "022f7f",
      TEE_MALFORMED, "" },
    { "a fragment", 0, "00" "03474554" "056874747073" "0161" "022f23",
      TEE_MALFORMED, "" },
    { "a path of a URI", 0, "00" "03474554" "056874747073" "0161"
      "09687474703a2f2f612f", TEE_MALFORMED, "" },

    { "a method of 2^62-1 bytes", 0, "00" "ffffffffffffffff" "47",
      TEE_LIMIT, "" },
    { "a section of 2^62-1 bytes", 0, GET "ffffffffffffffff", TEE_LIMIT,
      G },
    { "content of 2^62-1 bytes", 0, GET "00ffffffffffffffff78", TEE_LIMIT,
      G "|" },
    { "a chunk of 2^62-1 bytes", 0, GET2 "00ffffffffffffffff78", TEE_LIMIT,
      G "|" },
    { "a name of 2^62-1 bytes", 0, GET2 "ffffffffffffffff78", TEE_LIMIT,
      G },
    { "a value of 2^62-1 bytes", 0, GET2 "0161" "ffffffffffffffff78",
      TEE_LIMIT, G },
    { "trailers of 2^62-1 bytes", 0, GET "0000" "ffffffffffffffff78",
      TEE_LIMIT, G "|" }
};


static bhttp_result_t  bhttp_whole;
static bhttp_result_t  bhttp_other;


static int
bhttp_same(void)
{
    return bhttp_other.rc == bhttp_whole.rc
           && bhttp_other.head_ends == bhttp_whole.head_ends
           && strcmp(bhttp_other.text, bhttp_whole.text) == 0;
}


static void
bhttp_table(void)
{
    size_t               i, n;
    unsigned             good;
    tee_str_t            in;
    const bhttp_case_t  *c;

    for (i = 0; i < sizeof(bhttp_cases) / sizeof(bhttp_cases[0]); i++) {
        c = &bhttp_cases[i];
        in = unit_hex(c->in);

        unit_memory_reset(0);
        bhttp_run(!c->response, in, in.len, in.len, &bhttp_limits,
                  &bhttp_whole);

        good = bhttp_whole.rc == c->rc
               && (c->text == NULL || strcmp(bhttp_whole.text, c->text) == 0);

        for (n = 1; good && n <= in.len; n++) {

            /* in two pieces, and in many of one size */

            bhttp_run(!c->response, in, n, in.len, &bhttp_limits,
                      &bhttp_other);
            good = good && bhttp_same();

            bhttp_run(!c->response, in, n, n, &bhttp_limits, &bhttp_other);
            good = good && bhttp_same();
        }

        if (!unit_ok(good && unit_memory.live == 0, "%s", c->name)) {
            printf("# %d %s\n", bhttp_whole.rc, bhttp_whole.text);
        }

        unit_free(in);
    }
}


/* RFC 9292, 3.8: a message ends before a section that would be empty. */

static void
bhttp_prefixes(void)
{
    size_t      i, k, n;
    unsigned    wrong;
    tee_str_t   in, cut;

    static const struct {
        const char  *name;
        unsigned     response;
        const char  *in;
        size_t       good[8];
    } cases[] = {
        { "a request", 0, GET "04" A1 "026869" "04" A1,
          { 15, 20, 23, 28 } },
        { "an indeterminate request", 0, GET2 A1 "00" "026869" "0121" "00"
          A1 "00", { 15, 20, 26, 31 } },
        { "a response", 1, "01" "4067" "04" A1 "40c8" "04" A1 "026869" "00",
          { 10, 15, 18, 19 } },
        { "an indeterminate response", 1, "03" "4067" A1 "00" "40c8" A1 "00"
          "026869" "00" "00", { 10, 15, 19, 20 } }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        in = unit_hex(cases[i].in);
        wrong = 0;
        k = 0;

        for (n = 0; n <= in.len; n++) {
            cut = unit_copy(in.data, n);
            bhttp_run(!cases[i].response, cut, 1, 1, &bhttp_limits,
                      &bhttp_whole);
            unit_free(cut);

            if (n == cases[i].good[k]) {
                wrong += bhttp_whole.rc != TEE_DONE
                         || bhttp_whole.head_ends != 1;
                k++;

            } else {
                wrong += bhttp_whole.rc != TEE_MALFORMED;
            }
        }

        unit_ok(wrong == 0 && n == cases[i].good[k - 1] + 1,
                "%s ends where it may, and nowhere else", cases[i].name);

        unit_free(in);
    }
}


/* With as much as it takes, and with one less. */

static void
bhttp_limit(const char *name, unsigned response, const char *hex,
    const tee_bhttp_limits_t *limits, const tee_bhttp_limits_t *less)
{
    size_t     n;
    unsigned   good;
    tee_str_t  in;

    in = unit_hex(hex);
    good = 1;

    for (n = 1; n <= in.len; n++) {
        bhttp_run(!response, in, n, n, limits, &bhttp_whole);
        good = good && bhttp_whole.rc == TEE_DONE;

        bhttp_run(!response, in, n, n, less, &bhttp_whole);
        good = good && bhttp_whole.rc == TEE_LIMIT;
    }

    unit_ok(good, "a limit: %s", name);

    unit_free(in);
}


static void
bhttp_limits_table(void)
{
    size_t              i;
    tee_bhttp_limits_t  limits, less;

    /* control, field, section, fields, informational, content */

    static const struct {
        const char          *name;
        unsigned             response;
        const char          *in;
        tee_bhttp_limits_t   limits;
        tee_bhttp_limits_t   less;
    } cases[] = {
        { "control data", 0, GET, { 14, 0, 0, 0, 0, 0 },
          { 1, 0, 0, 0, 0, 0 } },
        { "control data, of which a length is most", 0, "00" "03474554"
          "056874747073" "0161" "c000000000000001" "2f",
          { 21, 0, 0, 0, 0, 0 }, { 5, 0, 0, 0, 0, 0 } },
        { "a field", 0, GET "05" "0161" "023132", { 99, 3, 5, 1, 0, 0 },
          { 0, 1, 0, 0, 0, 0 } },
        { "a field, indeterminate", 0, GET2 "0161" "023132" "00",
          { 99, 3, 5, 1, 0, 0 }, { 0, 1, 0, 0, 0, 0 } },
        { "a section", 0, GET "08" A1 A1, { 99, 2, 8, 2, 0, 0 },
          { 0, 0, 1, 0, 0, 0 } },
        { "a section, indeterminate", 0, GET2 A1 A1 "00",
          { 99, 2, 8, 2, 0, 0 }, { 0, 0, 1, 0, 0, 0 } },
        { "trailers, indeterminate", 0, GET2 A1 A1 "00" "00" A1 A1 "00",
          { 99, 2, 8, 2, 0, 0 }, { 0, 0, 1, 0, 0, 0 } },
        { "fields", 0, GET "08" A1 A1, { 99, 2, 8, 2, 0, 0 },
          { 0, 0, 0, 1, 0, 0 } },
        { "fields, indeterminate", 0, GET2 A1 A1 "00", { 99, 2, 8, 2, 0, 0 },
          { 0, 0, 0, 1, 0, 0 } },
        { "informational responses", 1, "01406700406700" "40c8",
          { 0, 0, 0, 0, 2, 0 }, { 0, 0, 0, 0, 1, 0 } },
        { "content", 0, GET "0003616263", { 99, 0, 0, 0, 0, 3 },
          { 0, 0, 0, 0, 0, 1 } },
        { "content in chunks", 0, GET2 "00" "026162" "0163" "00",
          { 99, 0, 0, 0, 0, 3 }, { 0, 0, 0, 0, 0, 1 } }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        limits = cases[i].limits;
        less = limits;

        less.control -= cases[i].less.control;
        less.field -= cases[i].less.field;
        less.section -= cases[i].less.section;
        less.fields -= cases[i].less.fields;
        less.informational -= cases[i].less.informational;
        less.content -= cases[i].less.content;

        bhttp_limit(cases[i].name, cases[i].response, cases[i].in, &limits,
                    &less);
    }
}


/* Lengths that are claimed, byte by byte, do not become memory. */

static void
bhttp_claims(void)
{
    size_t     i;
    tee_str_t  in;

    static const tee_bhttp_limits_t  large = {
        1 << 30, 1 << 30, 1 << 30, 1 << 30, 1 << 30, 1 << 30
    };

    static const char *const  claims[] = {
        "00" "bf000000" "47", GET "bf000000" "be000000" "61",
        GET2 "bf000000" "61", GET2 "0161" "bf000000" "61",
        GET "00" "bf000000" "61"
    };

    for (i = 0; i < sizeof(claims) / sizeof(claims[0]); i++) {
        in = unit_hex(claims[i]);

        unit_memory_reset(0);
        bhttp_run(1, in, 1, 1, &large, &bhttp_whole);

        unit_ok(bhttp_whole.rc == TEE_MALFORMED
                && unit_memory.largest <= 256 && unit_memory.live == 0,
                "claim %u is not allocated", (unsigned) i);

        unit_free(in);
    }
}


static tee_rc_t
bhttp_oom_run(void *ctx)
{
    tee_str_t  *in = ctx;

    bhttp_run(1, *in, 1, 1, &bhttp_limits, &bhttp_other);

    return bhttp_other.rc;
}


/* Fields that make the buffer grow, written and read. */

static void
bhttp_long(void)
{
    size_t       i;
    uint8_t      value[700];
    tee_str_t    in, s;
    tee_write_t  w, section;

    unit_memory_reset(0);
    tee_write_grow(&w, &unit_alloc);
    tee_write_grow(&section, &unit_alloc);

    memset(value, 'v', sizeof(value));
    s.len = sizeof(value);
    s.data = value;

    tee_bhttp_write_field(&section, unit_text("a"), unit_text("1"));
    tee_bhttp_write_field(&section, unit_text("long"), s);

    for (i = 0; i < 3; i++) {
        tee_bhttp_write_field(&section, unit_text("b"), unit_text("2"));
    }

    tee_bhttp_write_request(&w, 0, unit_text("GET"), unit_text("https"),
                            unit_text("a"), unit_text("/"));
    s.len = section.len;
    s.data = section.data;
    tee_bhttp_write_section(&w, 0, s);
    tee_bhttp_write_content(&w, 2);
    tee_write_text(&w, "hi");

    in = unit_copy(w.data, w.len);
    tee_write_free(&w);
    tee_write_free(&section);

    bhttp_run(1, in, in.len, in.len, &bhttp_limits, &bhttp_whole);

    unit_ok(bhttp_whole.rc == TEE_DONE && unit_memory.live == 0
            && bhttp_whole.len == sizeof(G) - 1 + 4 + 6 + 700 + 12 + 5,
            "a long field");
    unit_ok(unit_memory.calls > 0, "memory was needed to write it");

    unit_memory_reset(0);
    bhttp_run(1, in, in.len, in.len, &bhttp_limits, &bhttp_other);
    unit_ok(bhttp_same() && unit_memory.calls == 0,
            "nothing is copied that is not cut");

    for (i = 1; i < in.len && bhttp_same(); i++) {
        bhttp_run(1, in, i, i, &bhttp_limits, &bhttp_other);
    }

    unit_ok(bhttp_same(), "a long field, in pieces of every size");

    unit_oom(bhttp_oom_run, &in, TEE_DONE, "a long field in bytes");

    unit_free(in);
}


/* An allocator that looks at what comes back; blocks know their size. */

typedef struct {
    unsigned              freed;
    unsigned              dirty;
} bhttp_wiped_t;


static void *
bhttp_wiped_alloc(void *ctx, size_t size)
{
    size_t  *p;

    (void) ctx;

    p = calloc(1, sizeof(size_t) + size);
    if (p == NULL) {
        abort();
    }

    *p = size;

    return p + 1;
}


static void
bhttp_wiped_free(void *ctx, void *p)
{
    size_t          i, *block;
    uint8_t        *bytes = p;
    bhttp_wiped_t  *w = ctx;

    block = (size_t *) p - 1;
    w->freed++;

    for (i = 0; i < *block; i++) {
        if (bytes[i]) {
            w->dirty++;
            break;
        }
    }

    free(block);
}


static void
bhttp_wipe(void)
{
    size_t             i;
    uint8_t            byte;
    tee_rc_t           rc;
    tee_str_t          in;
    tee_alloc_t        alloc;
    bhttp_wiped_t      w;
    tee_bhttp_read_t   b;

    memset(&w, 0, sizeof(bhttp_wiped_t));

    alloc.alloc = bhttp_wiped_alloc;
    alloc.free = bhttp_wiped_free;
    alloc.ctx = &w;

    tee_bhttp_read_init(&b, 1, &bhttp_limits, &alloc);

    /* a method of 700 bytes, in steps */

    rc = TEE_INCOMPLETE;

    for (i = 0; i < 700 && rc == TEE_INCOMPLETE; i++) {
        byte = i == 0 ? 0 : i == 1 ? 0x43 : 'x';
        in.len = 1;
        in.data = &byte;
        rc = tee_bhttp_read(&b, &in, 0);
    }

    tee_bhttp_read_free(&b);

    unit_ok(rc == TEE_INCOMPLETE && w.freed > 1 && w.dirty == 0,
            "what was buffered is wiped, also when it grows");
}


/* Whatever is changed in a message, pieces do not matter. */

static void
bhttp_mutate(void)
{
    size_t     i, n, seed;
    uint8_t   *p;
    unsigned   wrong, accepted;
    tee_str_t  in;

    static const char *const  seeds[] = {
        GET "0b" "04686f73740161" A1 "026869" "04" A1 "0000",
        GET2 "04686f73740161" A1 "00" "026869" "0121" "00" A1 "00" "00",
        "01" "4067" "04" A1 "40c8" "04" A1 "026869" "00",
        "03" "4067" A1 "00" "40c8" A1 "00" "026869" "00" "00"
    };

    wrong = 0;
    accepted = 0;

    for (i = 0; i < 40000; i++) {
        seed = i % 4;
        in = unit_hex(seeds[seed]);
        p = (uint8_t *) (uintptr_t) in.data;

        for (n = unit_rand() % 3; n < 3; n++) {
            p[unit_rand() % in.len] = unit_rand() % 2
                                      ? (uint8_t) (unit_rand() & 0xff)
                                      : (uint8_t) (unit_rand() & 7);
        }

        bhttp_run(seed < 2, in, in.len, in.len, &bhttp_limits, &bhttp_whole);

        n = 1 + unit_rand() % in.len;
        bhttp_run(seed < 2, in, n, 1 + unit_rand() % 3, &bhttp_limits,
                  &bhttp_other);

        wrong += !bhttp_same();
        wrong += bhttp_whole.rc == TEE_INCOMPLETE
                 || bhttp_whole.rc == TEE_NOMEM;
        accepted += bhttp_whole.rc == TEE_DONE;

        unit_free(in);
    }

    unit_ok(wrong == 0, "changed messages read the same in all pieces");
    unit_ok(accepted > 100 && accepted < 39000,
            "some of them are still messages");
}


int
main(void)
{
    bhttp_table();
    bhttp_prefixes();
    bhttp_limits_table();
    bhttp_claims();
    bhttp_long();
    bhttp_wipe();
    bhttp_mutate();

    unit_ok(unit_memory.live == 0, "no leak");

    return unit_done();
}
