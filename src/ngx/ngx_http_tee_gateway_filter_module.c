
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <ngx_http_tee.h>
#include <ngx_http_tee_gateway_seal.h>


/*
 * tee_gateway: the last filter that sees the response to a sealed request as
 * what it is.  Everything above has made its changes; what goes below is one
 * outer response that looks like any other.
 */


static ngx_int_t ngx_http_tee_gateway_header_filter(ngx_http_request_t *r);
static void ngx_http_tee_gateway_init_out(ngx_http_tee_gateway_ctx_t *ctx);
static ngx_int_t ngx_http_tee_gateway_no_file(ngx_http_request_t *r);
static ngx_int_t ngx_http_tee_gateway_rfc9458(ngx_http_request_t *r,
    ngx_http_tee_gateway_ctx_t *ctx);
static ngx_int_t ngx_http_tee_gateway_body_filter(ngx_http_request_t *r,
    ngx_chain_t *in);
static ngx_int_t ngx_http_tee_gateway_add(ngx_http_request_t *r,
    ngx_http_tee_gateway_ctx_t *ctx, ngx_chain_t *in);
static ngx_int_t ngx_http_tee_gateway_hold(ngx_http_request_t *r,
    ngx_http_tee_gateway_ctx_t *ctx);
static ngx_int_t ngx_http_tee_gateway_bad_gateway(ngx_http_request_t *r,
    ngx_http_tee_gateway_ctx_t *ctx);
static ngx_int_t ngx_http_tee_gateway_release(ngx_http_request_t *r,
    ngx_http_tee_gateway_ctx_t *ctx);
static ngx_int_t ngx_http_tee_gateway_output(ngx_http_request_t *r,
    ngx_http_tee_gateway_ctx_t *ctx);
static ngx_int_t ngx_http_tee_gateway_broken(ngx_http_request_t *r,
    ngx_http_tee_gateway_ctx_t *ctx, const char *why);
#if (nginx_version >= 1029000)
static ngx_int_t ngx_http_tee_gateway_early_hints_filter(
    ngx_http_request_t *r);
#endif
static ngx_int_t ngx_http_tee_gateway_filter_init(ngx_conf_t *cf);


static ngx_http_module_t  ngx_http_tee_gateway_filter_module_ctx = {
    NULL,                                  /* preconfiguration */
    ngx_http_tee_gateway_filter_init,      /* postconfiguration */

    NULL,                                  /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    NULL,                                  /* create location configuration */
    NULL                                   /* merge location configuration */
};


ngx_module_t  ngx_http_tee_gateway_filter_module = {
    NGX_MODULE_V1,
    &ngx_http_tee_gateway_filter_module_ctx,   /* module context */
    NULL,                                  /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    NULL,                                  /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    NULL,                                  /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static ngx_http_output_header_filter_pt  ngx_http_next_header_filter;
static ngx_http_output_body_filter_pt    ngx_http_next_body_filter;

#if (nginx_version >= 1029000)
static ngx_http_output_header_filter_pt  ngx_http_next_early_hints_filter;
#endif


static ngx_int_t
ngx_http_tee_gateway_header_filter(ngx_http_request_t *r)
{
    ngx_int_t                    rc;
    ngx_http_tee_gateway_ctx_t  *ctx;

    ctx = ngx_http_tee_gateway_get_ctx(r);

    if (ctx == NULL || !ctx->opened) {
        return ngx_http_next_header_filter(r);
    }

    if (ngx_http_tee_gateway_no_file(r) != NGX_OK) {
        return NGX_ERROR;
    }

    if (r != r->main) {
        return ngx_http_next_header_filter(r);
    }

    ngx_http_tee_gateway_init_out(ctx);

    ctx->status = r->headers_out.status;

    if (ctx->status < NGX_HTTP_OK || ctx->status > 599) {
        return ngx_http_tee_gateway_broken(r, ctx, "a status that cannot be "
                                                   "sealed");
    }

    ctx->absent = r->header_only
                  || r->method == NGX_HTTP_HEAD
                  || ctx->status == NGX_HTTP_NO_CONTENT
                  || ctx->status == NGX_HTTP_NOT_MODIFIED;

    if (ctx->absent) {

        /* it is made at once */

        ctx->out.most = NGX_MAX_UINT32_VALUE;
    }

    rc = ctx->conf->profile == NGX_HTTP_TEE_OPENGRADIENT
         ? ngx_http_tee_gateway_envelope(r, ctx)
         : ngx_http_tee_gateway_rfc9458(r, ctx);

    if (rc != NGX_OK) {
        return NGX_ERROR;
    }

    if (ctx->seal == NGX_HTTP_TEE_SEAL_PLAIN) {
        return ngx_http_next_header_filter(r);
    }

    ngx_http_tee_count(NGX_HTTP_TEE_GATEWAY_SEALED);

    r->main_filter_need_in_memory = 1;

    if (ctx->seal == NGX_HTTP_TEE_SEAL_HOLD) {
        return NGX_OK;
    }

    rc = ngx_http_tee_gateway_release(r, ctx);

    if (rc == NGX_ERROR || rc > NGX_OK || !ctx->absent) {
        return rc;
    }

    /* all of it is known: whoever has made it sends no more */

    ctx->last = 1;

    rc = ngx_http_tee_gateway_output(r, ctx);

    r->header_only = 1;

    return rc;
}


/* Early hints may have been sent. */

static void
ngx_http_tee_gateway_init_out(ngx_http_tee_gateway_ctx_t *ctx)
{
    if (ctx->out.next == NULL) {
        ngx_http_tee_out_init(&ctx->out, ngx_http_next_body_filter,
                              (ngx_buf_tag_t)
                              &ngx_http_tee_gateway_filter_module,
                              NGX_HTTP_TEE_BUFFERED_SEALED);
    }
}


/*
 * A client that does not read must not make nginx write what has not been
 * sealed to a file.  What is to be cached or stored, is the operator's wish.
 */

static ngx_int_t
ngx_http_tee_gateway_no_file(ngx_http_request_t *r)
{
    ngx_http_upstream_t       *u;
    ngx_http_upstream_conf_t  *conf;

    u = r->upstream;

    if (u == NULL || !u->buffering || u->store
#if (NGX_HTTP_CACHE)
        || u->cacheable
#endif
        || u->conf->max_temp_file_size == 0)
    {
        return NGX_OK;
    }

    conf = ngx_palloc(r->pool, sizeof(ngx_http_upstream_conf_t));
    if (conf == NULL) {
        return NGX_ERROR;
    }

    *conf = *u->conf;
    conf->max_temp_file_size = 0;

    u->conf = conf;

    return NGX_OK;
}


static ngx_int_t
ngx_http_tee_gateway_rfc9458(ngx_http_request_t *r,
    ngx_http_tee_gateway_ctx_t *ctx)
{
    if (ngx_http_tee_gateway_fields(r, ctx) != NGX_OK) {
        return NGX_ERROR;
    }

    ctx->length = ctx->absent ? 0 : r->headers_out.content_length_n;

    if (ctx->chunked) {
        ctx->seal = NGX_HTTP_TEE_SEAL_STREAM;

    } else if (ctx->length >= 0) {
        ctx->seal = NGX_HTTP_TEE_SEAL_KNOWN;

    } else {
        ctx->seal = NGX_HTTP_TEE_SEAL_HOLD;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_tee_gateway_body_filter(ngx_http_request_t *r, ngx_chain_t *in)
{
    ngx_int_t                    rc;
    ngx_http_tee_gateway_ctx_t  *ctx;

    ctx = ngx_http_tee_gateway_get_ctx(r);

    if (ctx == NULL || !ctx->opened) {
        return ngx_http_next_body_filter(r, in);
    }

    r = r->main;

    if (ctx->conf->profile == NGX_HTTP_TEE_OPENGRADIENT) {

        /* they have no place in it, and would go out in clear */

        ngx_http_tee_gateway_drop_trailers(r);
    }

    if (ctx->seal == NGX_HTTP_TEE_SEAL_PLAIN) {
        return ngx_http_next_body_filter(r, in);
    }

    if (ctx->seal == NGX_HTTP_TEE_SEAL_NOTHING) {
        return in ? ngx_http_tee_gateway_broken(r, ctx,
                                                "content without a header")
                  : NGX_OK;
    }

    if (ctx->done) {
        return ngx_http_tee_chain_drop(r, in, ngx_http_next_body_filter);
    }

    if (ngx_http_tee_gateway_add(r, ctx, in) != NGX_OK) {
        return NGX_ERROR;
    }

    if (ctx->seal == NGX_HTTP_TEE_SEAL_HOLD) {
        rc = ngx_http_tee_gateway_hold(r, ctx);

        if (rc != NGX_DONE) {
            return rc;
        }

        rc = ngx_http_tee_gateway_release(r, ctx);

        if (rc == NGX_ERROR || rc > NGX_OK) {
            return NGX_ERROR;
        }
    }

    return ngx_http_tee_gateway_output(r, ctx);
}


/* Keeps what has come, and what is asked for with it. */

static ngx_int_t
ngx_http_tee_gateway_add(ngx_http_request_t *r,
    ngx_http_tee_gateway_ctx_t *ctx, ngx_chain_t *in)
{
    ngx_buf_t    *b;
    ngx_chain_t  *cl;

    for (cl = in; cl; cl = cl->next) {
        b = cl->buf;

        /* a recycled buffer is one that somebody waits for */

        if (b->flush || b->recycled) {
            ctx->flush = 1;

            if (b->flush && !b->last_buf && ngx_http_tee_cut(r)) {
                ctx->failed = 1;
            }
        }

        if (b->last_buf) {
            ctx->last = 1;
        }
    }

    return ngx_http_tee_chain_add(r, &ctx->in, in);
}


/*
 * What is not known to be short is held up to the size of the buffer: many
 * clients read messages of known length only.  NGX_DONE: no more of it.
 */

static ngx_int_t
ngx_http_tee_gateway_hold(ngx_http_request_t *r,
    ngx_http_tee_gateway_ctx_t *ctx)
{
    ngx_int_t     rc;
    ngx_buf_t    *b;
    ngx_chain_t  *cl;

    while (ctx->in) {
        cl = ctx->in;
        b = cl->buf;

        rc = ngx_http_tee_held_add(r, &ctx->held, b->pos, b->last - b->pos,
                                   ctx->conf->buffer);

        if (rc == NGX_ERROR) {
            return NGX_ERROR;
        }

        if (rc == NGX_DECLINED) {
            break;
        }

        b->pos = b->last;
        ctx->in = cl->next;
        ngx_free_chain(r->pool, cl);
    }

    if (ctx->in == NULL && !ctx->last) {

        if (!ctx->failed) {
            return NGX_OK;
        }

        if (ngx_http_tee_gateway_bad_gateway(r, ctx) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    ctx->length = ctx->last ? (off_t) ctx->held.len : -1;

    if (ctx->held.len) {
        b = ngx_calloc_buf(r->pool);
        cl = ngx_alloc_chain_link(r->pool);

        if (b == NULL || cl == NULL) {
            return NGX_ERROR;
        }

        b->temporary = 1;
        b->pos = ctx->held.data;
        b->last = ctx->held.data + ctx->held.len;

        cl->buf = b;
        cl->next = ctx->in;
        ctx->in = cl;
    }

    return ngx_http_tee_gateway_decide(r, ctx) == NGX_OK ? NGX_DONE
                                                         : NGX_ERROR;
}


/*
 * Nothing has been sent yet, so that an answer that was cut can still become
 * an error within.  To close the connection would count against this gateway
 * at the relay, and anybody could ask for such an answer.
 */

static ngx_int_t
ngx_http_tee_gateway_bad_gateway(ngx_http_request_t *r,
    ngx_http_tee_gateway_ctx_t *ctx)
{
    ngx_str_t  *text;

    static ngx_str_t  problem = ngx_string(
        "{\"type\":\"about:blank\",\"title\":\"Bad Gateway\",\"status\":502,"
        "\"detail\":\"the answer has been cut\",\"reason\":\"bad_gateway\"}"
        CRLF);
    static ngx_str_t  error = ngx_string(
        "{\"error\":\"the answer has been cut\"}");

    ngx_http_tee_count(NGX_HTTP_TEE_GATEWAY_BROKEN);

    ngx_http_clean_header(r);

    ctx->status = NGX_HTTP_BAD_GATEWAY;
    ctx->last = 1;

    ngx_http_tee_held_empty(&ctx->held);

    r->headers_out.status = NGX_HTTP_BAD_GATEWAY;
    text = &problem;

    if (ctx->conf->profile == NGX_HTTP_TEE_OPENGRADIENT) {
        ctx->envelope = 1;
        text = &error;

    } else {
        ngx_str_set(&r->headers_out.content_type, "application/problem+json");
        r->headers_out.content_length_n = text->len;

        if (ngx_http_tee_gateway_fields(r, ctx) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return ngx_http_tee_held_add(r, &ctx->held, text->data, text->len,
                                 ctx->conf->buffer);
}


/* The outer header; its length where it is known. */

static ngx_int_t
ngx_http_tee_gateway_release(ngx_http_request_t *r,
    ngx_http_tee_gateway_ctx_t *ctx)
{
    ngx_int_t   rc;
    ngx_uint_t  method;

    method = r->method;

    if (ngx_http_tee_gateway_begin(r, ctx) != NGX_OK) {
        return NGX_ERROR;
    }

    if (ctx->begun) {
        r->header_sent = 1;
        rc = NGX_OK;

    } else {
        rc = ngx_http_next_header_filter(r);
    }

    /* subrequests are made of it */

    r->method = method;

    return rc;
}


#if (nginx_version >= 1029000)

/* In front of a response in one piece there is no place for them. */

static ngx_int_t
ngx_http_tee_gateway_early_hints_filter(ngx_http_request_t *r)
{
    ngx_int_t                    rc;
    ngx_uint_t                   method;
    ngx_http_tee_gateway_ctx_t  *ctx;

    ctx = ngx_http_tee_gateway_get_ctx(r);

    if (ctx == NULL || !ctx->opened || r != r->main) {
        return ngx_http_next_early_hints_filter(r);
    }

    if (!ctx->chunked || ctx->seal != NGX_HTTP_TEE_SEAL_NOTHING) {
        return NGX_OK;
    }

    ngx_http_tee_gateway_init_out(ctx);

    rc = ngx_http_tee_gateway_hints(r, ctx);

    if (rc == NGX_AGAIN) {
        return NGX_OK;
    }

    if (rc != NGX_OK) {
        return NGX_ERROR;
    }

    if (!ctx->begun) {
        method = r->method;

        if (ngx_http_tee_gateway_outer(r, ctx, 1, -1) != NGX_OK
            || ngx_http_next_header_filter(r) == NGX_ERROR)
        {
            return NGX_ERROR;
        }

        /* to everybody else the final header has not been sent */

        r->method = method;
        r->header_sent = 0;
        ctx->begun = 1;
    }

    return ngx_http_tee_out_send(r, &ctx->out);
}

#endif


/*
 * A few buffers that are used again bound what is waiting to be sent: when
 * none is free, the rest stays where it is, and whoever makes it has to wait.
 */

static ngx_int_t
ngx_http_tee_gateway_output(ngx_http_request_t *r,
    ngx_http_tee_gateway_ctx_t *ctx)
{
    ngx_int_t            rc, sent;
    ngx_http_tee_out_t  *o;

    o = &ctx->out;

    do {
        do {
            rc = ngx_http_tee_gateway_seal(r, ctx);
        } while (rc == NGX_OK);

        if (rc == NGX_ERROR) {
            return ngx_http_tee_gateway_broken(r, ctx, "a response that "
                                                       "cannot be sealed");
        }

        sent = ngx_http_tee_out_send(r, o);

        if (sent == NGX_ERROR) {
            return NGX_ERROR;
        }

    } while (rc == NGX_AGAIN && o->free);

    if (rc == NGX_AGAIN) {
        r->connection->buffered |= o->bit;
        return NGX_AGAIN;
    }

    r->connection->buffered &= ~o->bit;

    return sent;
}


/* No byte of a response may pass as its end: the connection is reset. */

static ngx_int_t
ngx_http_tee_gateway_broken(ngx_http_request_t *r,
    ngx_http_tee_gateway_ctx_t *ctx, const char *why)
{
    if (!ctx->done) {
        ctx->done = 1;

        ngx_http_tee_count(NGX_HTTP_TEE_GATEWAY_BROKEN);

        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "tee gateway: closing the connection over %s", why);
    }

    r->keepalive = 0;

    return NGX_ERROR;
}


static ngx_int_t
ngx_http_tee_gateway_filter_init(ngx_conf_t *cf)
{
    ngx_http_next_header_filter = ngx_http_top_header_filter;
    ngx_http_top_header_filter = ngx_http_tee_gateway_header_filter;

    ngx_http_next_body_filter = ngx_http_top_body_filter;
    ngx_http_top_body_filter = ngx_http_tee_gateway_body_filter;

#if (nginx_version >= 1029000)
    ngx_http_next_early_hints_filter = ngx_http_top_early_hints_filter;
    ngx_http_top_early_hints_filter = ngx_http_tee_gateway_early_hints_filter;
#endif

    return NGX_OK;
}
