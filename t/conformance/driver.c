
/*
 * Copyright (C) The ngx_http_tee authors
 */


/*
 * Holds the pure layers against test vectors: one JSON object a line in, one a
 * line out, in order.
 */


#define _POSIX_C_SOURCE  200809L

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tee_text.h>

#include "driver.h"


#define DRIVER_NODES  (1024 * 1024)


static const driver_op_t *const  driver_tables[] = {
    driver_registry_ops,
    driver_hpke_ops,
    driver_ohttp_ops,
    driver_bhttp_ops,
    driver_signed_ops
};


static void *
driver_malloc(void *ctx, size_t size)
{
    (void) ctx;

    return malloc(size);
}


static void
driver_release(void *ctx, void *p)
{
    (void) ctx;

    free(p);
}


const tee_alloc_t  driver_alloc = {
    driver_malloc,
    driver_release,
    NULL
};


/* Reading questions. */

tee_rc_t
driver_hex(driver_t *d, const char *name, tee_str_t *bytes)
{
    const tee_json_t  *v;

    if (tee_json_get(d->in, name, &v) != TEE_OK) {
        return DRIVER_BAD;
    }

    return driver_hex_text(d, v, bytes);
}


tee_rc_t
driver_hex_text(driver_t *d, const tee_json_t *v, tee_str_t *bytes)
{
    uint8_t  *p;

    if (v->type != TEE_JSON_STRING) {
        return DRIVER_BAD;
    }

    p = tee_arena_alloc(d->arena, v->text.len / 2);

    if (p == NULL || tee_hex_decode(v->text, p) != TEE_OK) {
        return DRIVER_BAD;
    }

    bytes->len = v->text.len / 2;
    bytes->data = p;

    return TEE_OK;
}


tee_rc_t
driver_hex32(driver_t *d, const char *name, tee_str_t *bytes)
{
    if (driver_hex(d, name, bytes) != TEE_OK || bytes->len != 32) {
        return DRIVER_BAD;
    }

    return TEE_OK;
}


tee_rc_t
driver_u16(driver_t *d, const char *name, uint16_t *n)
{
    uint64_t  value;

    if (tee_json_get_uint(d->in, name, UINT16_MAX, &value) != TEE_OK) {
        return DRIVER_BAD;
    }

    *n = (uint16_t) value;

    return TEE_OK;
}


tee_rc_t
driver_array(const tee_json_t *in, const char *name, const tee_json_t **first)
{
    tee_rc_t           rc;
    const tee_json_t  *v;

    *first = NULL;

    rc = tee_json_get(in, name, &v);

    if (rc == TEE_DONE) {
        return TEE_OK;
    }

    if (rc != TEE_OK || v->type != TEE_JSON_ARRAY) {
        return DRIVER_BAD;
    }

    *first = v->child;

    return TEE_OK;
}


tee_rc_t
driver_splits(driver_t *d, const tee_json_t **split)
{
    return driver_array(d->in, "splits", split);
}


tee_rc_t
driver_piece(const tee_json_t **split, tee_str_t *in, tee_str_t *piece)
{
    uint64_t  n;

    n = in->len;

    if (*split) {
        if (tee_decimal((*split)->text, in->len, &n) != TEE_OK) {
            return DRIVER_BAD;
        }

        *split = (*split)->next;
    }

    piece->len = (size_t) n;
    piece->data = in->data;
    in->len -= piece->len;
    in->data += piece->len;

    return TEE_OK;
}


/* Writing answers. */

void
driver_name(driver_t *d, const char *name)
{
    size_t  len;

    len = d->out->len;

    if (len == 0 || d->out->data[len - 1] != '{') {
        tee_write_u8(d->out, ',');
    }

    tee_write_u8(d->out, '"');
    tee_write_text(d->out, name);
    tee_write_text(d->out, "\":");
}


void
driver_put_hex(driver_t *d, const char *name, const void *p, size_t len)
{
    driver_name(d, name);
    tee_write_u8(d->out, '"');
    tee_write_hex(d->out, p, len);
    tee_write_u8(d->out, '"');
}


void
driver_put_text(driver_t *d, const char *name, tee_str_t text)
{
    driver_name(d, name);
    tee_write_json(d->out, text);
}


void
driver_put_uint(driver_t *d, const char *name, uint64_t n)
{
    driver_name(d, name);
    tee_write_decimal(d->out, n);
}


void
driver_open(driver_t *d, unsigned first)
{
    tee_write_text(d->out, first ? "{" : ",{");
}


static const char *
driver_error(tee_rc_t rc)
{
    switch ((int) rc) {

    case TEE_MALFORMED:
        return "malformed";

    case TEE_UNSUPPORTED:
        return "unsupported";

    case TEE_LIMIT:
        return "limit";

    case TEE_CRYPTO:
        return "crypto";

    case TEE_INCOMPLETE:
        return "incomplete";

    default:
        return "driver";
    }
}


static tee_rc_t
driver_dispatch(driver_t *d)
{
    size_t              i;
    tee_str_t           name;
    const driver_op_t  *op;

    if (tee_json_get_text(d->in, "op", &name) != TEE_OK) {
        return DRIVER_BAD;
    }

    for (i = 0; i < sizeof(driver_tables) / sizeof(driver_tables[0]); i++) {
        for (op = driver_tables[i]; op->name; op++) {
            if (tee_text_is(name, op->name)) {
                return op->handler(d);
            }
        }
    }

    return DRIVER_BAD;
}


static void
driver_line(tee_str_t line)
{
    driver_t        d;
    tee_rc_t        rc;
    tee_arena_t     arena;
    tee_write_t     out;
    tee_json_doc_t  doc;

    tee_arena_init(&arena, &driver_alloc);
    tee_write_grow(&out, &driver_alloc);

    d.keep = 0;
    rc = DRIVER_BAD;

    if (tee_json_parse(line, DRIVER_NODES, &driver_alloc, &doc) == TEE_OK) {
        d.in = doc.root;
        d.out = &out;
        d.arena = &arena;

        rc = driver_dispatch(&d);

        tee_json_free(&doc);
    }

    if (tee_write_rc(&out) != TEE_OK) {
        rc = DRIVER_BAD;
    }

    if (rc == TEE_OK) {
        fputs("{\"ok\":true", stdout);

    } else {
        printf("{\"ok\":false,\"error\":\"%s\"", driver_error(rc));
    }

    if (out.len && (rc == TEE_OK || (d.keep && rc != DRIVER_BAD))) {
        (void) fwrite(out.data, 1, out.len, stdout);
    }

    puts("}");
    fflush(stdout);

    tee_write_free(&out);
    tee_arena_free(&arena);
}


int
main(void)
{
    char       *buf;
    size_t      size;
    ssize_t     n;
    tee_str_t   line;

    buf = NULL;
    size = 0;

    while ((n = getline(&buf, &size, stdin)) >= 0) {
        line.len = (size_t) n;
        line.data = (const uint8_t *) buf;

        if (line.len && line.data[line.len - 1] == '\n') {
            line.len--;
        }

        driver_line(line);
    }

    free(buf);

    return 0;
}
