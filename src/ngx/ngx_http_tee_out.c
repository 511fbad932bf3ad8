
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <ngx_http_tee.h>
#include <ngx_http_tee_out.h>


#define NGX_HTTP_TEE_HELD_LEAST  4096

/* What is larger grows in longer steps. */

#define NGX_HTTP_TEE_HELD_MOVED  (1024 * 1024)


static ngx_buf_t *ngx_http_tee_out_last(ngx_http_tee_out_t *o);
static void ngx_http_tee_chain_consume(ngx_chain_t *in);
static void ngx_http_tee_held_cleanup(void *data);


#define ngx_http_tee_waits(r)                                                 \
    ((r)->buffered || (r)->postponed || (r)->connection->buffered)


void
ngx_http_tee_out_init(ngx_http_tee_out_t *o,
    ngx_http_output_body_filter_pt next, ngx_buf_tag_t tag, ngx_uint_t bit)
{
    ngx_memzero(o, sizeof(ngx_http_tee_out_t));

    o->next = next;
    o->tag = tag;
    o->bit = bit;
    o->most = NGX_HTTP_TEE_OUT_BUFS;
    o->last_out = &o->out;
}


ngx_int_t
ngx_http_tee_out_put(ngx_http_request_t *r, ngx_http_tee_out_t *o,
    tee_str_t *in)
{
    size_t      n;
    ngx_int_t   rc;
    ngx_buf_t  *b;

    while (in->len) {
        b = ngx_http_tee_out_last(o);

        if (b == NULL || b->last == b->end) {

            if (o->free == NULL && o->bufs == o->most) {

                if (ngx_http_tee_out_send(r, o) == NGX_ERROR) {
                    return NGX_ERROR;
                }
            }

            b = ngx_http_tee_out_get(r, o, NGX_HTTP_TEE_OUT_SIZE, &rc);

            if (rc == NGX_AGAIN) {
                r->connection->buffered |= o->bit;
                return NGX_AGAIN;
            }

            if (b == NULL || ngx_http_tee_out_add(r, o, b) != NGX_OK) {
                return NGX_ERROR;
            }
        }

        n = ngx_min(in->len, (size_t) (b->end - b->last));

        b->last = ngx_cpymem(b->last, in->data, n);

        in->data += n;
        in->len -= n;
    }

    r->connection->buffered &= ~o->bit;

    return NGX_OK;
}


static ngx_buf_t *
ngx_http_tee_out_last(ngx_http_tee_out_t *o)
{
    ngx_chain_t  *cl;

    for (cl = o->out; cl && cl->next; cl = cl->next) { /* void */ }

    return cl ? cl->buf : NULL;
}


ngx_buf_t *
ngx_http_tee_out_get(ngx_http_request_t *r, ngx_http_tee_out_t *o,
    size_t room, ngx_int_t *rc)
{
    ngx_buf_t    *b;
    ngx_chain_t  *cl;

    *rc = NGX_ERROR;

    while (o->free) {
        cl = o->free;
        o->free = cl->next;

        b = cl->buf;
        ngx_free_chain(r->pool, cl);

        if ((size_t) (b->end - b->start) >= room) {
            b->flush = 0;
            return b;
        }

        ngx_pfree(r->pool, b->start);
        o->bufs--;
    }

    if (o->bufs >= o->most) {
        *rc = NGX_AGAIN;
        return NULL;
    }

    b = ngx_create_temp_buf(r->pool, room);
    if (b == NULL) {
        return NULL;
    }

    b->tag = o->tag;
    o->bufs++;

    return b;
}


ngx_int_t
ngx_http_tee_out_add(ngx_http_request_t *r, ngx_http_tee_out_t *o,
    ngx_buf_t *b)
{
    ngx_chain_t  *cl;

    cl = ngx_alloc_chain_link(r->pool);
    if (cl == NULL) {
        return NGX_ERROR;
    }

    cl->buf = b;
    cl->next = NULL;

    *o->last_out = cl;
    o->last_out = &cl->next;

    return NGX_OK;
}


ngx_int_t
ngx_http_tee_out_unget(ngx_http_request_t *r, ngx_http_tee_out_t *o,
    ngx_buf_t *b)
{
    ngx_chain_t  *cl;

    cl = ngx_alloc_chain_link(r->pool);
    if (cl == NULL) {
        return NGX_ERROR;
    }

    cl->buf = b;
    cl->next = o->free;
    o->free = cl;

    return NGX_OK;
}


/* Together the buffers may be less than is sent without being asked. */

ngx_int_t
ngx_http_tee_out_send(ngx_http_request_t *r, ngx_http_tee_out_t *o)
{
    ngx_int_t  rc;

    rc = NGX_OK;

    if (o->out) {
        rc = o->next(r, o->out);

        ngx_chain_update_chains(r->pool, &o->free, &o->busy, &o->out, o->tag);
        o->last_out = &o->out;
    }

    if (rc != NGX_ERROR && o->busy && o->free == NULL && o->bufs == o->most) {
        rc = ngx_http_tee_out_more(r, o);
    }

    return rc;
}


ngx_int_t
ngx_http_tee_out_flush(ngx_http_request_t *r, ngx_http_tee_out_t *o,
    ngx_uint_t last)
{
    ngx_buf_t  *b;

    b = ngx_http_tee_out_last(o);

    if (b == NULL) {
        b = ngx_calloc_buf(r->pool);

        if (b == NULL || ngx_http_tee_out_add(r, o, b) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    b->flush = !last;
    b->last_buf = (last && r == r->main);
    b->last_in_chain = last;

    return ngx_http_tee_out_send(r, o);
}


ngx_int_t
ngx_http_tee_out_more(ngx_http_request_t *r, ngx_http_tee_out_t *o)
{
    ngx_int_t     rc;
    ngx_chain_t  *none;

    /* a filter below may wait for a subrequest, with nothing in a buffer */

    if (!ngx_http_tee_waits(r)) {
        return NGX_OK;
    }

    rc = o->next(r, NULL);

    none = NULL;
    ngx_chain_update_chains(r->pool, &o->free, &o->busy, &none, o->tag);

    return rc;
}


ngx_int_t
ngx_http_tee_chain_add(ngx_http_request_t *r, ngx_chain_t **chain,
    ngx_chain_t *in)
{
    ngx_chain_t  *cl;

    while (*chain) {
        chain = &(*chain)->next;
    }

    for ( /* void */ ; in; in = in->next) {

        if (ngx_buf_size(in->buf) == 0) {
            continue;
        }

        if (!ngx_buf_in_memory(in->buf)) {
            ngx_log_error(NGX_LOG_ALERT, r->connection->log, 0,
                          "tee: a part of a response is in a file");
            return NGX_ERROR;
        }

        cl = ngx_alloc_chain_link(r->pool);
        if (cl == NULL) {
            return NGX_ERROR;
        }

        cl->buf = in->buf;
        cl->next = NULL;

        *chain = cl;
        chain = &cl->next;
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_tee_chain_end(ngx_http_request_t *r,
    ngx_http_output_body_filter_pt next)
{
    ngx_buf_t    *b;
    ngx_chain_t   out;

    b = ngx_calloc_buf(r->pool);
    if (b == NULL) {
        return NGX_ERROR;
    }

    b->last_buf = 1;
    b->last_in_chain = 1;

    out.buf = b;
    out.next = NULL;

    return next(r, &out);
}


void
ngx_http_tee_chain_enough(ngx_http_request_t *r, ngx_chain_t **in)
{
    ngx_http_upstream_t  *u;

    /* whoever proxies waits for its buffers */

    ngx_http_tee_chain_consume(*in);
    *in = NULL;

    u = r->upstream;

    if (u == NULL || u->cleanup == NULL) {
        return;
    }

    u->keepalive = 0;

    if (!u->header_sent) {
        return;
    }

    if (u->buffering) {
        u->pipe->upstream_done = 1;

    } else {
        u->length = 0;
    }
}


static void
ngx_http_tee_chain_consume(ngx_chain_t *in)
{
    for ( /* void */ ; in; in = in->next) {
        in->buf->pos = in->buf->last;
        in->buf->file_pos = in->buf->file_last;
    }
}


ngx_int_t
ngx_http_tee_chain_drop(ngx_http_request_t *r, ngx_chain_t *in,
    ngx_http_output_body_filter_pt next)
{
    ngx_http_tee_chain_consume(in);

    if (r->connection->error) {
        return NGX_ERROR;
    }

    return ngx_http_tee_waits(r) ? next(r, NULL) : NGX_OK;
}


ngx_int_t
ngx_http_tee_held_init(ngx_http_request_t *r, ngx_http_tee_held_t *h)
{
    ngx_pool_cleanup_t  *cln;

    ngx_memzero(h, sizeof(ngx_http_tee_held_t));

    cln = ngx_pool_cleanup_add(r->pool, 0);
    if (cln == NULL) {
        return NGX_ERROR;
    }

    cln->handler = ngx_http_tee_held_cleanup;
    cln->data = h;

    return NGX_OK;
}


static void
ngx_http_tee_held_cleanup(void *data)
{
    ngx_http_tee_held_free(data);
}


/* What is wiped is what has been written: "len" never gets less otherwise. */

void
ngx_http_tee_held_empty(ngx_http_tee_held_t *h)
{
    if (h->len) {
        tee_wipe(h->data, h->len);
        h->len = 0;
    }
}


void
ngx_http_tee_held_free(ngx_http_tee_held_t *h)
{
    ngx_http_tee_held_empty(h);

    if (h->data) {
        ngx_free(h->data);
    }

    ngx_memzero(h, sizeof(ngx_http_tee_held_t));
}


ngx_int_t
ngx_http_tee_held_add(ngx_http_request_t *r, ngx_http_tee_held_t *h,
    u_char *p, size_t len, size_t max)
{
    size_t   room;
    u_char  *data;

    if (len == 0) {
        return NGX_OK;
    }

    if (len > max - h->len) {
        return NGX_DECLINED;
    }

    if (len > h->room - h->len) {

        room = ngx_max(h->room * 2, h->len + len);

        /* moving it takes long; what is not touched takes no memory */

        if (room > NGX_HTTP_TEE_HELD_MOVED) {
            room = room > max / 16 ? max : room * 16;
        }

        room = ngx_min(ngx_max(room, NGX_HTTP_TEE_HELD_LEAST), max);

        data = ngx_alloc(room, r->connection->log);
        if (data == NULL) {
            return NGX_ERROR;
        }

        if (h->data) {
            ngx_memcpy(data, h->data, h->len);
            tee_wipe(h->data, h->len);
            ngx_free(h->data);
        }

        h->data = data;
        h->room = room;
    }

    ngx_memcpy(h->data + h->len, p, len);
    h->len += len;

    return NGX_OK;
}
