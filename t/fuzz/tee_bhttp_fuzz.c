
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <string.h>

#include <tee_bhttp.h>

#include "fuzz.h"


#define FUZZ_LIMIT  4096


static const tee_bhttp_limits_t  fuzz_limits = {
    512, 512, 1024, 16, 4, FUZZ_LIMIT
};


/* A sum of all that was read, and the same message, written anew. */

typedef struct {
    tee_rc_t              rc;
    uint64_t              sum;
    uint64_t              content;
    unsigned              heads;
    unsigned              head_ends;
    unsigned              fields;
    unsigned              open:1;              /* a section */
    unsigned              indeterminate:1;
    tee_write_t           out;
    tee_write_t           section;
    tee_write_t           body;
} fuzz_bhttp_t;


static void
fuzz_add(fuzz_bhttp_t *r, tee_str_t s)
{
    size_t   i;
    uint8_t  ch;

    for (i = 0; i < s.len; i++) {
        ch = s.data[i];

        /* names are written in lower case */

        if (ch >= 'A' && ch <= 'Z') {
            ch |= 0x20;
        }

        r->sum = (r->sum ^ ch) * UINT64_C(1099511628211);
    }

    /* texts end somewhere */

    r->sum = (r->sum ^ 256) * UINT64_C(1099511628211);
}


static void
fuzz_section(fuzz_bhttp_t *r)
{
    tee_str_t  s;

    if (!r->open) {
        return;
    }

    s.len = r->section.len;
    s.data = r->section.data;

    tee_bhttp_write_section(&r->out, r->indeterminate, s);

    r->section.len = 0;
    r->open = 0;
    r->fields = 0;
}


static void
fuzz_head(const tee_bhttp_read_t *b, fuzz_bhttp_t *r, int request)
{
    uint8_t    status[2];
    tee_str_t  s;

    FUZZ_CHECK(r->heads++ == 0 || r->open);
    FUZZ_CHECK(r->head_ends == 0);

    if (request) {
        FUZZ_CHECK(b->event == TEE_BHTTP_HEAD && r->heads == 1);
        FUZZ_CHECK(b->method.len + b->scheme.len + b->authority.len
                   + b->path.len <= fuzz_limits.control);

        tee_bhttp_write_request(&r->out, r->indeterminate, b->method,
                                b->scheme, b->authority, b->path);
        fuzz_add(r, b->method);
        fuzz_add(r, b->scheme);
        fuzz_add(r, b->authority);
        fuzz_add(r, b->path);

    } else {
        FUZZ_CHECK(b->event == TEE_BHTTP_HEAD
                   ? b->status >= 200 && b->status <= 599
                   : b->status >= 100 && b->status <= 199);

        if (r->heads == 1) {
            tee_bhttp_write_response(&r->out, r->indeterminate);
        }

        FUZZ_CHECK(r->heads <= fuzz_limits.informational + 1);

        fuzz_section(r);
        tee_bhttp_write_status(&r->out, b->status);

        status[0] = (uint8_t) (b->status >> 8);
        status[1] = (uint8_t) (b->status & 0xff);
        s.len = 2;
        s.data = status;
        fuzz_add(r, s);
    }

    r->open = 1;
}


static void
fuzz_field(const tee_bhttp_read_t *b, fuzz_bhttp_t *r)
{
    size_t  i;

    FUZZ_CHECK(b->name.len != 0);
    FUZZ_CHECK(b->name.len + b->value.len <= fuzz_limits.field);
    FUZZ_CHECK(++r->fields <= fuzz_limits.fields);
    FUZZ_CHECK((b->event == TEE_BHTTP_TRAILER) == (r->head_ends != 0));

    for (i = 0; i < b->value.len; i++) {
        FUZZ_CHECK(b->value.data[i] != '\0' && b->value.data[i] != '\r'
                   && b->value.data[i] != '\n');
    }

    for (i = 0; i < b->name.len; i++) {
        FUZZ_CHECK(b->name.data[i] > ' ' && b->name.data[i] < 0x7f
                   && (b->name.data[i] != ':' || i == 0));
    }

    tee_bhttp_write_field(&r->section, b->name, b->value);
    fuzz_add(r, b->name);
    fuzz_add(r, b->value);
}


static void
fuzz_event(const tee_bhttp_read_t *b, fuzz_bhttp_t *r, int request)
{
    size_t  i;

    r->indeterminate = b->indeterminate;

    switch (b->event) {

    case TEE_BHTTP_HEAD:
    case TEE_BHTTP_INFORMATIONAL:
        fuzz_head(b, r, request);
        break;

    case TEE_BHTTP_FIELD:
    case TEE_BHTTP_TRAILER:
        fuzz_field(b, r);
        break;

    case TEE_BHTTP_HEAD_END:
        FUZZ_CHECK(r->open && r->head_ends++ == 0);
        fuzz_section(r);
        break;

    case TEE_BHTTP_CONTENT:
        FUZZ_CHECK(r->head_ends == 1 && b->content.len != 0);

        for (i = 0; i < b->content.len; i++) {
            r->sum = (r->sum ^ b->content.data[i])
                     * UINT64_C(1099511628211);
        }

        r->content += b->content.len;
        FUZZ_CHECK(r->content <= fuzz_limits.content);

        if (b->indeterminate) {
            tee_bhttp_write_content(&r->out, b->content.len);
            tee_write_bytes(&r->out, b->content.data, b->content.len);

        } else {
            tee_write_bytes(&r->body, b->content.data, b->content.len);
        }

        break;

    case TEE_BHTTP_NOTHING:
        abort();
    }
}


static void
fuzz_done(fuzz_bhttp_t *r)
{
    if (r->indeterminate) {
        tee_bhttp_write_end(&r->out);

    } else {
        tee_bhttp_write_content(&r->out, r->body.len);
        tee_write_bytes(&r->out, r->body.data, r->body.len);
    }

    r->open = 1;
    fuzz_section(r);
}


static void
fuzz_free(fuzz_bhttp_t *r)
{
    tee_write_free(&r->out);
    tee_write_free(&r->section);
    tee_write_free(&r->body);
}


static void
fuzz_bhttp(tee_str_t all, size_t piece, int request, fuzz_bhttp_t *r)
{
    int                last;
    uint8_t           *copy;
    tee_str_t          in;
    tee_bhttp_read_t   b;

    memset(r, 0, sizeof(fuzz_bhttp_t));
    tee_write_grow(&r->out, &fuzz_alloc);
    tee_write_grow(&r->section, &fuzz_alloc);
    tee_write_grow(&r->body, &fuzz_alloc);

    tee_bhttp_read_init(&b, request, &fuzz_limits, &fuzz_alloc);

    do {
        in.len = all.len < piece ? all.len : piece;
        copy = malloc(in.len + !in.len);

        FUZZ_CHECK(copy != NULL);

        if (in.len) {
            memcpy(copy, all.data, in.len);
            all.data += in.len;
        }

        in.data = copy;
        all.len -= in.len;
        last = all.len == 0;

        while ((r->rc = tee_bhttp_read(&b, &in, last)) == TEE_OK) {
            fuzz_event(&b, r, request);
        }

        FUZZ_CHECK(b.event == TEE_BHTTP_NOTHING && b.name.len == 0
                   && b.content.len == 0 && b.path.len == 0);
        FUZZ_CHECK((r->rc != TEE_DONE && r->rc != TEE_INCOMPLETE)
                   || in.len == 0);
        FUZZ_CHECK(r->rc != TEE_DONE || last);
        FUZZ_CHECK(r->rc != TEE_INCOMPLETE || !last);
        FUZZ_CHECK(b.room <= 2 * FUZZ_LIMIT);

        free(copy);

    } while (r->rc == TEE_INCOMPLETE);

    FUZZ_CHECK(r->rc == TEE_DONE || r->rc == TEE_MALFORMED
               || r->rc == TEE_LIMIT);

    if (r->rc == TEE_DONE) {
        FUZZ_CHECK(r->head_ends == 1);
        fuzz_done(r);
    }

    tee_bhttp_read_free(&b);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int           request;
    size_t        piece;
    tee_str_t     in = { size, data }, written;
    fuzz_bhttp_t  whole, other, again;

    /* what it says it is, unless it is shorter than that */

    request = size == 0 || (data[0] & 0x3f) % 2 == 0;

    if (size && data[0] >> 6) {
        piece = (size_t) 1 << (data[0] >> 6);
        request = size < piece || data[piece - 1] % 2 == 0;
    }

    fuzz_bhttp(in, size ? size : 1, request, &whole);

    for (piece = 1; piece < 16; piece = piece * 2 + 1) {
        fuzz_bhttp(in, piece, request, &other);

        FUZZ_CHECK(whole.rc == other.rc && whole.sum == other.sum
                   && whole.content == other.content
                   && whole.heads == other.heads
                   && whole.head_ends == other.head_ends);

        fuzz_free(&other);
    }

    if (whole.rc == TEE_DONE) {
        written.len = whole.out.len;
        written.data = whole.out.data;

        fuzz_bhttp(written, written.len, request, &again);

        FUZZ_CHECK(again.rc == TEE_DONE && again.sum == whole.sum
                   && again.content == whole.content
                   && again.indeterminate == whole.indeterminate);

        /* and nothing changes any more */

        FUZZ_CHECK(again.out.len == written.len
                   && memcmp(again.out.data, written.data, written.len) == 0);

        fuzz_free(&again);
    }

    fuzz_free(&whole);

    return 0;
}
