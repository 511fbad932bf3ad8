
/*
 * Copyright (C) The ngx_http_tee authors
 */


/* Binary HTTP. */


#include <string.h>

#include <tee_bhttp.h>
#include <tee_text.h>

#include "driver.h"


typedef struct {
    tee_bhttp_read_t      reader;
    tee_write_t           headers;             /* of the head before */
    tee_write_t           trailers;
    tee_write_t           content;
    tee_write_t           interims;
    tee_str_t             method;
    tee_str_t             scheme;
    tee_str_t             authority;
    tee_str_t             path;
    unsigned              status;
    unsigned              interim;             /* the status of the last */
} driver_bhttp_t;


static tee_rc_t driver_bhttp_request(driver_t *d);
static tee_rc_t driver_bhttp_response(driver_t *d);


const driver_op_t  driver_bhttp_ops[] = {
    { "bhttp_request", driver_bhttp_request },
    { "bhttp_response", driver_bhttp_response },
    { NULL, NULL }
};


/* control data, field, section, fields, informational responses, content */

static const tee_bhttp_limits_t  driver_limits = {
    1024 * 1024,
    4 * 1024 * 1024,
    16 * 1024 * 1024,
    65536,
    4096,
    64 * 1024 * 1024
};


static void
driver_put_field(tee_write_t *list, const tee_bhttp_read_t *b)
{
    tee_write_text(list, list->len ? ",[\"" : "[\"");
    tee_write_hex(list, b->name.data, b->name.len);
    tee_write_text(list, "\",\"");
    tee_write_hex(list, b->value.data, b->value.len);
    tee_write_text(list, "\"]");
}


static void
driver_put_list(driver_t *d, const char *name, const tee_write_t *list)
{
    driver_name(d, name);
    tee_write_u8(d->out, '[');
    tee_write_bytes(d->out, list->data, list->len);
    tee_write_u8(d->out, ']');
}


/* An informational response ends where the next head begins. */

static void
driver_end_interim(driver_bhttp_t *m)
{
    if (m->interim == 0) {
        return;
    }

    tee_write_text(&m->interims, m->interims.len ? ",{" : "{");
    tee_write_text(&m->interims, "\"status\":");
    tee_write_decimal(&m->interims, m->interim);
    tee_write_text(&m->interims, ",\"headers\":[");
    tee_write_bytes(&m->interims, m->headers.data, m->headers.len);
    tee_write_text(&m->interims, "]}");

    tee_write_free(&m->headers);
    m->interim = 0;
}


static tee_rc_t
driver_bhttp_head(driver_t *d, driver_bhttp_t *m)
{
    const tee_bhttp_read_t  *b = &m->reader;

    driver_end_interim(m);

    m->status = b->status;

    /* the answer has them as text */

    if (!tee_utf8_valid(b->path)) {
        return TEE_MALFORMED;
    }

    if (tee_arena_copy(d->arena, b->method, &m->method) != TEE_OK
        || tee_arena_copy(d->arena, b->scheme, &m->scheme) != TEE_OK
        || tee_arena_copy(d->arena, b->authority, &m->authority) != TEE_OK
        || tee_arena_copy(d->arena, b->path, &m->path) != TEE_OK)
    {
        return DRIVER_BAD;
    }

    return TEE_OK;
}


static tee_rc_t
driver_bhttp_event(driver_t *d, driver_bhttp_t *m)
{
    const tee_bhttp_read_t  *b = &m->reader;

    switch (b->event) {

    case TEE_BHTTP_HEAD:
        return driver_bhttp_head(d, m);

    case TEE_BHTTP_INFORMATIONAL:
        driver_end_interim(m);
        m->interim = b->status;
        break;

    case TEE_BHTTP_FIELD:
        driver_put_field(&m->headers, b);
        break;

    case TEE_BHTTP_TRAILER:
        driver_put_field(&m->trailers, b);
        break;

    case TEE_BHTTP_CONTENT:
        tee_write_bytes(&m->content, b->content.data, b->content.len);
        break;

    case TEE_BHTTP_NOTHING:
    case TEE_BHTTP_HEAD_END:
        break;
    }

    return TEE_OK;
}


static tee_rc_t
driver_bhttp_read(driver_t *d, driver_bhttp_t *m)
{
    tee_rc_t           rc;
    tee_str_t          in, piece;
    const tee_json_t  *split;

    if (driver_hex(d, "bhttp_hex", &in) != TEE_OK
        || driver_splits(d, &split) != TEE_OK)
    {
        return DRIVER_BAD;
    }

    do {
        if (driver_piece(&split, &in, &piece) != TEE_OK) {
            return DRIVER_BAD;
        }

        do {
            rc = tee_bhttp_read(&m->reader, &piece, !split && in.len == 0);

            if (rc == TEE_OK) {
                rc = driver_bhttp_event(d, m);
            }

        } while (rc == TEE_OK);

    } while (rc == TEE_INCOMPLETE && (split || in.len));

    return rc == TEE_DONE ? TEE_OK : rc;
}


static tee_rc_t
driver_bhttp(driver_t *d, int request)
{
    tee_rc_t        rc;
    driver_bhttp_t  m;

    memset(&m, 0, sizeof(driver_bhttp_t));

    tee_bhttp_read_init(&m.reader, request, &driver_limits, &driver_alloc);
    tee_write_grow(&m.headers, &driver_alloc);
    tee_write_grow(&m.trailers, &driver_alloc);
    tee_write_grow(&m.content, &driver_alloc);
    tee_write_grow(&m.interims, &driver_alloc);

    rc = driver_bhttp_read(d, &m);

    if (tee_write_rc(&m.headers) != TEE_OK
        || tee_write_rc(&m.trailers) != TEE_OK
        || tee_write_rc(&m.content) != TEE_OK
        || tee_write_rc(&m.interims) != TEE_OK)
    {
        rc = DRIVER_BAD;
    }

    if (rc == TEE_OK) {

        if (request) {
            driver_put_text(d, "method", m.method);
            driver_put_text(d, "scheme", m.scheme);
            driver_put_text(d, "authority", m.authority);
            driver_put_text(d, "path", m.path);

        } else {
            driver_put_uint(d, "status", m.status);
        }

        driver_put_list(d, "headers", &m.headers);
        driver_put_hex(d, "content_hex", m.content.data, m.content.len);
        driver_put_list(d, "trailers", &m.trailers);

        if (!request) {
            driver_put_list(d, "informational", &m.interims);
        }
    }

    tee_bhttp_read_free(&m.reader);
    tee_write_free(&m.headers);
    tee_write_free(&m.trailers);
    tee_write_free(&m.content);
    tee_write_free(&m.interims);

    return rc;
}


static tee_rc_t
driver_bhttp_request(driver_t *d)
{
    return driver_bhttp(d, 1);
}


static tee_rc_t
driver_bhttp_response(driver_t *d)
{
    return driver_bhttp(d, 0);
}
