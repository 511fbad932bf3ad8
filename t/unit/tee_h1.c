
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <string.h>

#include <tee_h1.h>

#include "unit.h"


#define OK   "HTTP/1.1 200 OK\r\n"
#define CH   OK "Transfer-Encoding: chunked\r\n\r\n"


typedef struct {
    tee_rc_t              rc;
    unsigned              status;
    unsigned              keepalive;
    unsigned              known;
    size_t                len;
    size_t                rest;
    uint8_t               body[4096];
} h1_result_t;


/* Feeds pieces of exact size; the end of the text is the end of the peer. */

static void
h1_run(tee_str_t all, size_t piece, size_t max_head, uint64_t max_body,
    h1_result_t *r)
{
    size_t     n;
    tee_h1_t   h;
    tee_str_t  in, copy, body;

    memset(r, 0, sizeof(h1_result_t));
    tee_h1_init(&h, max_head, max_body);

    r->rc = TEE_OK;

    while (r->rc == TEE_OK && all.len) {
        n = all.len < piece ? all.len : piece;
        copy = unit_copy(all.data, n);
        in = copy;
        all.len -= n;
        all.data += n;

        do {
            r->rc = tee_h1_read(&h, &in, &body);

            if (body.len) {
                memcpy(r->body + r->len, body.data, body.len);
                r->len += body.len;
            }

        } while (r->rc == TEE_OK && (in.len || body.len));

        r->rest += in.len;
        unit_free(copy);
    }

    r->rest += all.len;

    if (r->rc == TEE_OK) {
        r->rc = tee_h1_eof(&h);
    }

    if (h.head_done) {
        r->status = h.status;
        r->keepalive = h.keepalive;
        r->known = h.known_length;
    }
}


typedef struct {
    const char           *name;
    const char           *text;
    tee_rc_t              rc;
    const char           *body;
    unsigned              keepalive;
} h1_case_t;


static const h1_case_t  h1_cases[] = {

    { "a length", OK "Content-Length: 5\r\n\r\nhello", TEE_DONE, "hello", 1 },
    { "no content", OK "content-length:0\r\n\r\n", TEE_DONE, "", 1 },
    { "up to the end", OK "\r\nhello", TEE_DONE, "hello", 0 },
    { "nothing up to the end", OK "\r\n", TEE_DONE, "", 0 },
    { "chunks", CH "5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n", TEE_DONE, "hello!",
      1 },
    { "chunks with extensions and trailers",
      CH "5;a=\"b\"\r\nhello\r\n0;c\r\nContent-Length: 9\r\nT: x\r\n\r\n",
      TEE_DONE, "hello", 1 },
    { "chunk sizes of any spelling",
      CH "00000A\r\n0123456789\r\na\r\n0123456789\r\n000\r\n\r\n", TEE_DONE,
      "01234567890123456789", 1 },
    { "coding of any case", OK "TRANSFER-encoding:\t CHUNKED \r\n\r\n0\r\n\r\n",
      TEE_DONE, "", 1 },
    { "close", OK "Connection: close\r\nContent-Length: 0\r\n\r\n", TEE_DONE,
      "", 0 },
    { "close in a list",
      OK "Connection: foo, Close\r\nContent-Length: 0\r\n\r\n", TEE_DONE, "",
      0 },
    { "not quite close",
      OK "Connection: closed\r\nContent-Length: 0\r\n\r\n", TEE_DONE, "", 1 },
    { "1.0", "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", TEE_DONE, "x",
      0 },
    { "1.0 that stays", "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n"
      "Content-Length: 1\r\n\r\nx", TEE_DONE, "x", 1 },
    { "1.0 that cannot stay",
      "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\nx", TEE_DONE, "x", 0 },
    { "no reason", "HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n", TEE_DONE, "",
      1 },
    { "no blank before no reason",
      "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", TEE_DONE, "", 1 },
    { "the same length twice",
      OK "Content-Length: 1\r\nContent-Length: 01\r\n\r\nx", TEE_DONE, "x",
      1 },
    { "100 first", "HTTP/1.1 100 Continue\r\nContent-Length: 7\r\n\r\n"
      OK "Content-Length: 1\r\n\r\nx", TEE_DONE, "x", 1 },
    { "103 first", "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
      OK "Content-Length: 1\r\n\r\nx", TEE_DONE, "x", 1 },
    { "204", "HTTP/1.1 204 No Content\r\n\r\n", TEE_DONE, "", 1 },
    { "304 with a length", "HTTP/1.1 304 x\r\nContent-Length: 9\r\n\r\n",
      TEE_DONE, "", 1 },
    { "an empty value", OK "X:\r\nContent-Length: 0\r\n\r\n", TEE_DONE, "",
      1 },
    { "obs-text", OK "X: \xe9\xff\r\nContent-Length: 0\r\n\r\n", TEE_DONE, "",
      1 },

    { "nothing", "", TEE_INCOMPLETE, NULL, 0 },
    { "half a head", OK "Content-", TEE_INCOMPLETE, NULL, 0 },
    { "a cut content", OK "Content-Length: 6\r\n\r\nhello", TEE_INCOMPLETE,
      "hello", 1 },
    { "a cut chunk", CH "6\r\nhello", TEE_INCOMPLETE, "hello", 1 },
    { "no last chunk", CH "5\r\nhello\r\n", TEE_INCOMPLETE, "hello", 1 },
    { "no end of trailers", CH "0\r\n", TEE_INCOMPLETE, "", 1 },

    { "an empty line first", "\r\n" OK "\r\n", TEE_MALFORMED, NULL, 0 },
    { "not HTTP", "SSH-2.0-OpenSSH_9.2\r\n", TEE_MALFORMED, NULL, 0 },
    { "another case", "http/1.1 200 OK\r\n\r\n", TEE_MALFORMED, NULL, 0 },
    { "two blanks", "HTTP/1.1  200 OK\r\n\r\n", TEE_MALFORMED, NULL, 0 },
    { "two digits", "HTTP/1.1 20 OK\r\n\r\n", TEE_MALFORMED, NULL, 0 },
    { "four digits", "HTTP/1.1 2000 OK\r\n\r\n", TEE_MALFORMED, NULL, 0 },
    { "a letter", "HTTP/1.1 2x0 OK\r\n\r\n", TEE_MALFORMED, NULL, 0 },
    { "099", "HTTP/1.1 099 OK\r\n\r\n", TEE_MALFORMED, NULL, 0 },
    { "600", "HTTP/1.1 600 OK\r\n\r\n", TEE_MALFORMED, NULL, 0 },
    { "an empty status line", "\r\n\r\n", TEE_MALFORMED, NULL, 0 },
    { "LF alone", "HTTP/1.1 200 OK\nContent-Length: 0\n\n", TEE_MALFORMED,
      NULL, 0 },
    { "LF in a field", OK "A: b\nContent-Length: 0\r\n\r\n", TEE_MALFORMED,
      NULL, 0 },
    { "CR in a field", OK "A: b\rc\r\n\r\n", TEE_MALFORMED, NULL, 0 },
    { "CR at the end of the head", OK "\rx", TEE_MALFORMED, NULL, 0 },
    { "a blank before the colon", OK "Content-Length : 0\r\n\r\n",
      TEE_MALFORMED, NULL, 0 },
    { "a folded line", OK "A: b\r\n c\r\n\r\n", TEE_MALFORMED, NULL, 0 },
    { "a line folded with a tab", OK "A: b\r\n\tc\r\n\r\n", TEE_MALFORMED,
      NULL, 0 },
    { "no name", OK ": b\r\n\r\n", TEE_MALFORMED, NULL, 0 },
    { "no colon", OK "abc\r\n\r\n", TEE_MALFORMED, NULL, 0 },
    { "a control character", OK "A: \x01\r\n\r\n", TEE_MALFORMED, NULL, 0 },
    { "DEL", OK "A: \x7f\r\n\r\n", TEE_MALFORMED, NULL, 0 },
    { "obs-text in a name", OK "A\xe9: b\r\n\r\n", TEE_MALFORMED, NULL, 0 },
    { "two lengths", OK "Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
      TEE_MALFORMED, NULL, 0 },
    { "a list of lengths", OK "Content-Length: 1, 1\r\n\r\nx", TEE_MALFORMED,
      NULL, 0 },
    { "an empty length", OK "Content-Length:\r\n\r\n", TEE_MALFORMED, NULL,
      0 },
    { "a signed length", OK "Content-Length: +1\r\n\r\nx", TEE_MALFORMED,
      NULL, 0 },
    { "a hexadecimal length", OK "Content-Length: 0x1\r\n\r\nx",
      TEE_MALFORMED, NULL, 0 },
    { "a length of 2^64", OK "Content-Length: 18446744073709551616\r\n\r\n",
      TEE_MALFORMED, NULL, 0 },
    { "a length and a coding", OK "Content-Length: 1\r\n"
      "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", TEE_MALFORMED, NULL, 0 },
    { "a coding and a length", OK "Transfer-Encoding: chunked\r\n"
      "Content-Length: 1\r\n\r\n0\r\n\r\n", TEE_MALFORMED, NULL, 0 },
    { "two codings", OK "Transfer-Encoding: chunked\r\n"
      "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", TEE_MALFORMED, NULL, 0 },
    { "gzip", OK "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
      TEE_MALFORMED, NULL, 0 },
    { "identity", OK "Transfer-Encoding: identity\r\n\r\nx", TEE_MALFORMED,
      NULL, 0 },
    { "an empty coding", OK "Transfer-Encoding:\r\n\r\nx", TEE_MALFORMED,
      NULL, 0 },
    { "a coding in 1.0", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n"
      "\r\n0\r\n\r\n", TEE_MALFORMED, NULL, 0 },
    { "no chunk size", CH "\r\n", TEE_MALFORMED, "", 1 },
    { "an extension only", CH ";a\r\n", TEE_MALFORMED, "", 1 },
    { "a letter for a chunk size", CH "g\r\n", TEE_MALFORMED, "", 1 },
    { "a blank behind a chunk size", CH "5 \r\nhello\r\n", TEE_MALFORMED, "",
      1 },
    { "a signed chunk size", CH "-1\r\n", TEE_MALFORMED, "", 1 },
    { "a chunk size with 0x", CH "0x5\r\nhello\r\n", TEE_MALFORMED, "", 1 },
    { "a chunk size of 2^64", CH "10000000000000000\r\n", TEE_MALFORMED, "",
      1 },
    { "LF behind a chunk size", CH "5\nhello\r\n", TEE_MALFORMED, "", 1 },
    { "CR in an extension", CH "5;a\rb\r\nhello", TEE_MALFORMED, "", 1 },
    { "LF in an extension", CH "5;a\nhello", TEE_MALFORMED, "", 1 },
    { "a longer chunk", CH "5\r\nhello!\r\n", TEE_MALFORMED, "hello", 1 },
    { "a chunk that ends with LF", CH "5\r\nhello\n0\r\n\r\n", TEE_MALFORMED,
      "hello", 1 },
    { "a chunk that ends with CR", CH "5\r\nhello\rx", TEE_MALFORMED, "hello",
      1 },
    { "a folded trailer", CH "0\r\nA: b\r\n c\r\n\r\n", TEE_MALFORMED, "",
      1 },

    { "1.2", "HTTP/1.2 200 OK\r\n\r\n", TEE_UNSUPPORTED, NULL, 0 },
    { "2.0", "HTTP/2.0 200 OK\r\n\r\n", TEE_UNSUPPORTED, NULL, 0 },
    { "101", "HTTP/1.1 101 x\r\nUpgrade: x\r\n\r\n", TEE_UNSUPPORTED, NULL,
      0 },

    { "a length over the limit", OK "Content-Length: 4097\r\n\r\n", TEE_LIMIT,
      NULL, 0 },
    { "a length of 2^64 - 1", OK "Content-Length: 18446744073709551615\r\n\r\n",
      TEE_LIMIT, NULL, 0 },
    { "a chunk over the limit", CH "1001\r\n", TEE_LIMIT, "", 1 },
    { "a chunk of 2^64 - 1", CH "ffffffffffffffff\r\n", TEE_LIMIT, "", 1 },
    { "a second chunk of 2^64 - 1", CH "1\r\nx\r\nffffffffffffffff\r\n",
      TEE_LIMIT, "x", 1 }
};


static void
h1_table(void)
{
    size_t            i, piece;
    unsigned          good;
    tee_str_t         text;
    h1_result_t       r;
    const h1_case_t  *c;

    for (i = 0; i < sizeof(h1_cases) / sizeof(h1_cases[0]); i++) {
        c = &h1_cases[i];
        text = unit_text(c->text);
        good = 1;

        for (piece = 1; piece < 40; piece = piece * 2 + 1) {
            h1_run(text, piece, 4000, 4096, &r);

            good = good && r.rc == c->rc && r.keepalive == c->keepalive
                   && (c->body ? r.len == strlen(c->body)
                                 && memcmp(r.body, c->body, r.len) == 0
                               : r.len == 0 && r.status == 0);
        }

        unit_ok(good != 0, "%s", c->name);
    }
}


static void
h1_more(void)
{
    size_t       i, wrong;
    char         line[1200];
    tee_h1_t     h;
    tee_str_t    in, body;
    h1_result_t  r;

    static const char  whole[] = CH "5;x\r\nhello\r\n0\r\nA: b\r\n\r\n";

    h1_run(unit_text(OK "Content-Length: 1\r\n\r\nxHTTP/1.1"), 100, 4000, 9,
           &r);
    unit_ok(r.rc == TEE_DONE && r.rest == 8 && r.known && r.status == 200,
            "what follows is left alone");

    wrong = 0;

    for (i = 0; i < sizeof(whole) - 1; i++) {
        in.len = i;
        in.data = (const uint8_t *) whole;
        h1_run(in, 7, 4000, 4096, &r);
        wrong += r.rc != TEE_INCOMPLETE;
    }

    unit_ok(wrong == 0, "every prefix is incomplete");

    in = unit_text(whole);

    /* the extension and the trailer count, the sizes do not */

    i = strlen(CH) + 2 + 8;
    h1_run(in, 1, i, 5, &r);
    unit_ok(r.rc == TEE_DONE, "as long a head as allowed");
    h1_run(in, 1, i - 1, 5, &r);
    unit_ok(r.rc == TEE_LIMIT, "one byte more");
    h1_run(in, 1, i, 4, &r);
    unit_ok(r.rc == TEE_LIMIT && r.len == 0, "one byte of content more");

    h1_run(unit_text(OK "\r\nhello"), 100, 100, 4, &r);
    unit_ok(r.rc == TEE_LIMIT, "content up to the end over the limit");

    memset(line, 0, sizeof(line));
    memset(line, 'a', 1000);
    memcpy(line, OK, strlen(OK));
    memcpy(line + 100, "\r\n\r\n", 4);
    line[60] = ':';
    line[104] = '\0';
    h1_run(unit_text(line), 100, 4000, 4, &r);
    unit_ok(r.rc == TEE_DONE, "a longer field");

    memset(line, 'a', 1000);
    memcpy(line, OK "Connection:", strlen(OK "Connection:"));
    memcpy(line + 1000, "\r\n\r\n", 5);
    h1_run(unit_text(line), 100, 4000, 4, &r);
    unit_ok(r.rc == TEE_LIMIT, "a field that matters and does not fit");

    memcpy(line, OK "Xonnection:", strlen(OK "Xonnection:"));
    h1_run(unit_text(line), 100, 4000, 4, &r);
    unit_ok(r.rc == TEE_DONE, "one that does not matter");

    memset(line, 'a', 1000);
    memcpy(line, OK, strlen(OK));
    memcpy(line + 995, ":x\r\n\r\n", 7);
    h1_run(unit_text(line), 100, 4000, 4, &r);
    unit_ok(r.rc == TEE_DONE, "a name that does not fit");

    memset(line, '0', 200);
    memcpy(line, CH, strlen(CH));
    line[200] = '\0';
    h1_run(unit_text(line), 100, 4000, 4, &r);
    unit_ok(r.rc == TEE_MALFORMED, "zeros without end for a chunk size");

    tee_h1_init(&h, 100, 100);
    in = unit_text("HTTP/9");
    in.len = 3;
    unit_ok(tee_h1_read(&h, &in, &body) == TEE_OK && in.len == 0, "a piece");
    in = unit_text("\n");
    unit_ok(tee_h1_read(&h, &in, &body) == TEE_MALFORMED, "a bad one");
    in = unit_text("P/1.1 200 OK\r\n\r\n");
    unit_ok(tee_h1_read(&h, &in, &body) == TEE_MALFORMED, "bad for good");
    unit_ok(tee_h1_eof(&h) == TEE_INCOMPLETE, "and never done");
}


int
main(void)
{
    h1_table();
    h1_more();

    return unit_done();
}
