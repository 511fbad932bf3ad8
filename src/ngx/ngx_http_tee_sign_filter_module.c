
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <ngx_http_tee.h>
#include <ngx_http_tee_sign.h>
#include <ngx_http_tee_threads.h>
#include <tee_signed_write.h>


/*
 * tee_sign: the response.  A whole answer is held until it is signed; of one
 * that comes in events, only the last event is.  The signature is made in a
 * thread, and so is what a whole answer needs beside it.
 */


/* The data of a thread's job. */

typedef struct {
    ngx_http_tee_sign_ctx_t       *ctx;
    ngx_http_tee_sign_key_t       *key;
    u_char                         output[32];
    uint64_t                       now;
    tee_signed_t                   s;
    tee_rc_t                       rc;
} ngx_http_tee_sign_job_t;


static ngx_int_t ngx_http_tee_sign_header_filter(ngx_http_request_t *r);
static const char *ngx_http_tee_sign_why_not(ngx_http_request_t *r,
    ngx_http_tee_sign_ctx_t *ctx);
static ngx_int_t ngx_http_tee_sign_body_filter(ngx_http_request_t *r,
    ngx_chain_t *in);
static ngx_int_t ngx_http_tee_sign_body(ngx_http_request_t *r,
    ngx_http_tee_sign_ctx_t *ctx);
static ngx_int_t ngx_http_tee_sign_large(ngx_http_request_t *r,
    ngx_http_tee_sign_ctx_t *ctx);
static ngx_int_t ngx_http_tee_sign_events(ngx_http_request_t *r,
    ngx_http_tee_sign_ctx_t *ctx);
static tee_rc_t ngx_http_tee_sign_next(ngx_http_tee_sign_ctx_t *ctx);
static void ngx_http_tee_sign_taken(ngx_http_request_t *r,
    ngx_http_tee_sign_ctx_t *ctx);
static ngx_int_t ngx_http_tee_sign_start(ngx_http_request_t *r,
    ngx_http_tee_sign_ctx_t *ctx);
static void ngx_http_tee_sign_work(void *data);
static void ngx_http_tee_sign_done(ngx_http_request_t *r, void *data);
static ngx_int_t ngx_http_tee_sign_body_done(ngx_http_request_t *r,
    ngx_http_tee_sign_ctx_t *ctx, tee_rc_t rc);
static ngx_int_t ngx_http_tee_sign_events_done(ngx_http_request_t *r,
    ngx_http_tee_sign_ctx_t *ctx, ngx_http_tee_sign_job_t *job);
static void ngx_http_tee_sign_say(ngx_http_request_t *r, tee_signed_t *s,
    uint64_t now);
static ngx_int_t ngx_http_tee_sign_send(ngx_http_request_t *r,
    ngx_http_tee_sign_ctx_t *ctx);
static ngx_int_t ngx_http_tee_sign_release(ngx_http_request_t *r,
    ngx_http_tee_sign_ctx_t *ctx);
static ngx_int_t ngx_http_tee_sign_refuse(ngx_http_request_t *r,
    ngx_http_tee_sign_ctx_t *ctx, const char *why);
static ngx_int_t ngx_http_tee_sign_broken(ngx_http_request_t *r,
    ngx_http_tee_sign_ctx_t *ctx, const char *why);
static const char *ngx_http_tee_sign_reason(tee_rc_t rc);
static void ngx_http_tee_sign_cleanup(void *data);
static ngx_int_t ngx_http_tee_sign_filter_init(ngx_conf_t *cf);


static ngx_http_module_t  ngx_http_tee_sign_filter_module_ctx = {
    NULL,                                  /* preconfiguration */
    ngx_http_tee_sign_filter_init,         /* postconfiguration */

    NULL,                                  /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    NULL,                                  /* create location configuration */
    NULL                                   /* merge location configuration */
};


ngx_module_t  ngx_http_tee_sign_filter_module = {
    NGX_MODULE_V1,
    &ngx_http_tee_sign_filter_module_ctx,  /* module context */
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


static ngx_int_t
ngx_http_tee_sign_header_filter(ngx_http_request_t *r)
{
    const char               *why;
    ngx_pool_cleanup_t       *cln;
    ngx_http_tee_sign_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_tee_sign_module);

    if (ctx == NULL || r != r->main || ctx->state == NGX_HTTP_TEE_SIGN_PASS) {
        return ngx_http_next_header_filter(r);
    }

    ctx->state = NGX_HTTP_TEE_SIGN_PASS;

    /* nothing is said, or by nginx itself: it would send an error's content
     * even if its header were refused */

    if (r->err_status
        || r->header_only
        || r->method == NGX_HTTP_HEAD
        || r->headers_out.status == NGX_HTTP_NO_CONTENT
        || r->headers_out.status == NGX_HTTP_NOT_MODIFIED)
    {
        return ngx_http_next_header_filter(r);
    }

    why = ngx_http_tee_sign_why_not(r, ctx);

    if (why) {

        if (*why == '\0') {
            ngx_http_tee_count(NGX_HTTP_TEE_SIGN_UNSIGNED);
            return ngx_http_next_header_filter(r);
        }

        return ngx_http_tee_sign_refuse(r, ctx, why);
    }

    cln = ngx_pool_cleanup_add(r->pool, 0);

    if (cln == NULL || ngx_http_tee_held_init(r, &ctx->held) != NGX_OK) {
        return NGX_ERROR;
    }

    tee_write_grow(&ctx->signed_body, &ngx_http_tee_alloc);
    tee_signed_events_init(&ctx->events,
                           ngx_min(ctx->conf->buffer, NGX_HTTP_TEE_MAX_EVENT),
                           &ngx_http_tee_alloc);

    cln->handler = ngx_http_tee_sign_cleanup;
    cln->data = ctx;

    ngx_http_tee_out_init(&ctx->out, ngx_http_next_body_filter,
                          (ngx_buf_tag_t) &ngx_http_tee_sign_filter_module,
                          NGX_HTTP_TEE_BUFFERED_SIGNED);

    r->filter_need_in_memory = 1;

    ngx_http_tee_clear_content(r);

    if (ngx_http_tee_is_type(&r->headers_out.content_type,
                             "application/json"))
    {
        ctx->state = NGX_HTTP_TEE_SIGN_BODY;
        return NGX_OK;
    }

    ctx->state = NGX_HTTP_TEE_SIGN_EVENTS;

    return ngx_http_next_header_filter(r);
}


/* NULL: it can be signed; "": it cannot, and passes. */

static const char *
ngx_http_tee_sign_why_not(ngx_http_request_t *r, ngx_http_tee_sign_ctx_t *ctx)
{
    const char  *why;
    ngx_uint_t   json, error;

    json = ngx_http_tee_is_type(&r->headers_out.content_type,
                                "application/json");

    error = r->headers_out.status < NGX_HTTP_OK
            || r->headers_out.status >= NGX_HTTP_SPECIAL_RESPONSE;

    if (error) {
        why = "it is none, by its status";

    } else if (r->headers_out.status == NGX_HTTP_PARTIAL_CONTENT) {
        why = "it is a part of one";

    } else if (ctx->asked.rc == TEE_DONE) {
        why = "it was not asked for by POST, or by an unknown path";

    } else if (ctx->asked.rc != TEE_OK) {
        why = "the request has no form that is signed";

    } else if (ngx_http_tee_is_encoded(r)) {
        why = "it is encoded";

    } else if (!json
               && !ngx_http_tee_is_type(&r->headers_out.content_type,
                                        "text/event-stream"))
    {
        why = "its type is neither application/json nor text/event-stream";

    } else if (!ngx_http_tee_is_utf8(&r->headers_out.content_type)) {
        why = "its type says that it is not UTF-8";

    } else if (json
               && r->headers_out.content_length_n
                  > (off_t) ctx->conf->buffer)
    {
        why = "it is larger than \"tee_sign_buffer\"";

    } else {
        return NULL;
    }

    if (ctx->conf->refuse == NGX_HTTP_TEE_UNSIGNED_PASS
        || (ctx->conf->refuse == NGX_HTTP_TEE_UNSIGNED_ERRORS
            && (error || ctx->asked.rc == TEE_DONE)))
    {
        return "";
    }

    return why;
}


static ngx_int_t
ngx_http_tee_sign_body_filter(ngx_http_request_t *r, ngx_chain_t *in)
{
    ngx_chain_t              *cl;
    ngx_http_tee_sign_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_tee_sign_module);

    if (ctx == NULL
        || r != r->main
        || ctx->state == NGX_HTTP_TEE_SIGN_NOTHING
        || ctx->state == NGX_HTTP_TEE_SIGN_PASS)
    {
        return ngx_http_next_body_filter(r, in);
    }

    if (ctx->complete && in) {

        /* a filter above has more to say behind the answer */

        return ngx_http_next_body_filter(r, in);
    }

    if (ctx->state == NGX_HTTP_TEE_SIGN_DONE) {
        return ngx_http_tee_chain_drop(r, in, ngx_http_next_body_filter);
    }

    for (cl = in; cl; cl = cl->next) {

        if (cl->buf->last_buf) {
            ctx->last = 1;

        } else if (cl->buf->flush) {
            ctx->flush = 1;
            ctx->failed = ngx_http_tee_cut(r);
        }
    }

    if (ngx_http_tee_chain_add(r, &ctx->in, in) != NGX_OK) {
        return NGX_ERROR;
    }

    if (ctx->signing) {
        return NGX_AGAIN;
    }

    return ctx->state == NGX_HTTP_TEE_SIGN_BODY
           ? ngx_http_tee_sign_body(r, ctx)
           : ngx_http_tee_sign_events(r, ctx);
}


static ngx_int_t
ngx_http_tee_sign_body(ngx_http_request_t *r, ngx_http_tee_sign_ctx_t *ctx)
{
    ngx_int_t     rc;
    ngx_buf_t    *b;
    ngx_chain_t  *cl;

    if (ctx->pending.len || ctx->ended) {
        return ngx_http_tee_sign_send(r, ctx);
    }

    while (ctx->in) {
        cl = ctx->in;
        b = cl->buf;

        rc = ngx_http_tee_held_add(r, &ctx->held, b->pos, b->last - b->pos,
                                   ctx->conf->buffer);

        if (rc == NGX_ERROR) {
            return NGX_ERROR;
        }

        if (rc == NGX_DECLINED) {
            return ngx_http_tee_sign_large(r, ctx);
        }

        b->pos = b->last;
        ctx->in = cl->next;
        ngx_free_chain(r->pool, cl);
    }

    if (ctx->last) {
        return ngx_http_tee_sign_start(r, ctx);
    }

    if (ctx->failed) {
        return ngx_http_tee_sign_refuse(r, ctx, "it has been cut");
    }

    return NGX_OK;
}


/* What has come, and what still comes, passes as it is, or not at all. */

static ngx_int_t
ngx_http_tee_sign_large(ngx_http_request_t *r, ngx_http_tee_sign_ctx_t *ctx)
{
    if (ctx->conf->refuse != NGX_HTTP_TEE_UNSIGNED_PASS) {
        return ngx_http_tee_sign_refuse(r, ctx, "it is larger than "
                                                "\"tee_sign_buffer\"");
    }

    ngx_http_tee_count(NGX_HTTP_TEE_SIGN_UNSIGNED);

    ctx->state = NGX_HTTP_TEE_SIGN_EVENTS;
    ctx->unsigned_rest = 1;
    ctx->pending.data = ctx->held.data;
    ctx->pending.len = ctx->held.len;

    if (ngx_http_tee_sign_release(r, ctx) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_tee_sign_events(r, ctx);
}


static ngx_int_t
ngx_http_tee_sign_events(ngx_http_request_t *r, ngx_http_tee_sign_ctx_t *ctx)
{
    tee_rc_t   rc;
    ngx_int_t  sent;

    for ( ;; ) {

        if (ctx->pending.len) {
            sent = ngx_http_tee_out_put(r, &ctx->out, &ctx->pending);

            if (sent != NGX_OK) {
                return sent;
            }

            ctx->dirty = 1;
        }

        ngx_http_tee_sign_taken(r, ctx);

        if (ctx->in == NULL && (!ctx->last || ctx->ended)) {
            break;
        }

        rc = ngx_http_tee_sign_next(ctx);

        if (rc == TEE_OK) {

            if (ctx->events.error && !ctx->unsigned_rest) {
                ctx->unsigned_rest = 1;
                ngx_http_tee_count(NGX_HTTP_TEE_SIGN_UNSIGNED);
            }

            continue;
        }

        if (rc == TEE_DONE) {

            /* what came before the last event must not wait with it */

            if (ctx->dirty) {
                ctx->dirty = 0;

                if (ngx_http_tee_out_flush(r, &ctx->out, 0) == NGX_ERROR) {
                    return NGX_ERROR;
                }
            }

            return ngx_http_tee_sign_start(r, ctx);
        }

        if (rc == TEE_NOMEM
            || ctx->conf->refuse != NGX_HTTP_TEE_UNSIGNED_PASS)
        {
            return ngx_http_tee_sign_broken(r, ctx,
                                            ngx_http_tee_sign_reason(rc));
        }

        ngx_http_tee_count(NGX_HTTP_TEE_SIGN_UNSIGNED);

        ctx->unsigned_rest = 1;
        tee_signed_events_rest(&ctx->events, &ctx->pending);
    }

    if (ctx->failed && !ctx->last) {
        return ngx_http_tee_sign_broken(r, ctx, "it has been cut");
    }

    return ngx_http_tee_sign_send(r, ctx);
}


/* Reads up to the end of an event, or what is left of them; sets what is to be
 * sent of it, which may lie in the buffer that is read. */

static tee_rc_t
ngx_http_tee_sign_next(ngx_http_tee_sign_ctx_t *ctx)
{
    tee_rc_t    rc;
    ngx_buf_t  *b;
    tee_str_t   in;

    if (ctx->in == NULL) {
        ctx->ended = 1;

        if (ctx->unsigned_rest) {
            return TEE_OK;
        }

        rc = tee_signed_events_end(&ctx->events);

        if (rc == TEE_OK) {
            tee_signed_events_rest(&ctx->events, &ctx->pending);
        }

        return rc;
    }

    b = ctx->in->buf;

    in.data = b->pos;
    in.len = b->last - b->pos;

    if (ctx->unsigned_rest) {
        ctx->taken = in.len;
        ctx->pending = in;

        return TEE_OK;
    }

    rc = tee_signed_events_read(&ctx->events, &in, &ctx->pending);

    ctx->taken = (b->last - b->pos) - in.len;

    return rc;
}


/* Only now may the buffer be used again by whoever has filled it. */

static void
ngx_http_tee_sign_taken(ngx_http_request_t *r, ngx_http_tee_sign_ctx_t *ctx)
{
    ngx_chain_t  *cl;

    cl = ctx->in;

    if (ctx->taken) {
        cl->buf->pos += ctx->taken;
        ctx->taken = 0;

        if (cl->buf->pos == cl->buf->last) {
            ctx->in = cl->next;
            ngx_free_chain(r->pool, cl);
        }
    }
}


static ngx_int_t
ngx_http_tee_sign_start(ngx_http_request_t *r, ngx_http_tee_sign_ctx_t *ctx)
{
    ngx_http_tee_job_t       *job;
    ngx_http_tee_sign_job_t  *data;

    job = ngx_http_tee_job_create(r, sizeof(ngx_http_tee_sign_job_t));
    if (job == NULL) {
        return NGX_ERROR;
    }

    data = job->data;

    data->ctx = ctx;
    data->key = ctx->conf->key;
    data->now = ngx_time();
    data->rc = TEE_INCOMPLETE;

    if (ctx->state == NGX_HTTP_TEE_SIGN_EVENTS) {
        tee_signed_events_output(&ctx->events, data->output);
    }

    job->work = ngx_http_tee_sign_work;
    job->done = ngx_http_tee_sign_done;

    ctx->signing = 1;

    r->aio = 1;
    r->connection->buffered |= NGX_HTTP_TEE_BUFFERED_SIGNED;

    ngx_http_tee_job_post(job);

    return NGX_AGAIN;
}


static void
ngx_http_tee_sign_work(void *data)
{
    ngx_http_tee_sign_job_t  *job = data;

    tee_str_t                 body;
    ngx_http_tee_sign_ctx_t  *ctx;

    ctx = job->ctx;

    if (ctx->state == NGX_HTTP_TEE_SIGN_BODY) {

        body.data = ctx->held.data;
        body.len = ctx->held.len;

        job->rc = tee_signed_body_begin(body, ctx->asked.endpoint,
                                        &ngx_http_tee_alloc, job->output,
                                        &ctx->signed_body);

        if (job->rc != TEE_OK) {
            return;
        }
    }

    job->rc = tee_signed_make(&job->s, ctx->asked.hash, job->output, job->now,
                              job->key->id, job->key->key);

    if (job->rc == TEE_OK && ctx->state == NGX_HTTP_TEE_SIGN_BODY) {
        tee_signed_body_end(&ctx->signed_body, &job->s);

        job->rc = tee_write_rc(&ctx->signed_body);
    }
}


/*
 * The answer goes on from here: an upstream that has nothing new to say would
 * not call the filter.
 */

static void
ngx_http_tee_sign_done(ngx_http_request_t *r, void *data)
{
    ngx_http_tee_sign_job_t  *job = data;

    ngx_int_t                 rc;
    ngx_http_tee_sign_ctx_t  *ctx;

    ctx = job->ctx;

    ctx->signing = 0;

    r->aio = 0;
    r->connection->buffered &= ~NGX_HTTP_TEE_BUFFERED_SIGNED;

    if (r->connection->error) {

        /* nobody gets it, and nobody asks for it again */

        ctx->state = NGX_HTTP_TEE_SIGN_DONE;
        return;
    }

    if (job->rc == TEE_OK) {
        ngx_http_tee_count(NGX_HTTP_TEE_SIGN_SIGNED);
        ngx_http_tee_sign_say(r, &job->s, job->now);
    }

    if (ctx->state == NGX_HTTP_TEE_SIGN_BODY) {
        rc = ngx_http_tee_sign_body_done(r, ctx, job->rc);

    } else {
        rc = ngx_http_tee_sign_events_done(r, ctx, job);
    }

    if (rc == NGX_ERROR) {
        r->connection->error = 1;
    }
}


static ngx_int_t
ngx_http_tee_sign_body_done(ngx_http_request_t *r,
    ngx_http_tee_sign_ctx_t *ctx, tee_rc_t rc)
{
    if (rc == TEE_OK) {
        ctx->pending.data = ctx->signed_body.data;
        ctx->pending.len = ctx->signed_body.len;

        ngx_http_tee_held_free(&ctx->held);

    } else if (ctx->conf->refuse == NGX_HTTP_TEE_UNSIGNED_PASS
               && rc != TEE_NOMEM)
    {
        ngx_http_tee_count(NGX_HTTP_TEE_SIGN_UNSIGNED);

        ctx->pending.data = ctx->held.data;
        ctx->pending.len = ctx->held.len;

    } else {
        return ngx_http_tee_sign_refuse(r, ctx, ngx_http_tee_sign_reason(rc));
    }

    ctx->ended = 1;
    r->headers_out.content_length_n = ctx->pending.len;

    if (ngx_http_tee_sign_release(r, ctx) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_tee_sign_send(r, ctx);
}


static ngx_int_t
ngx_http_tee_sign_events_done(ngx_http_request_t *r,
    ngx_http_tee_sign_ctx_t *ctx, ngx_http_tee_sign_job_t *job)
{
    tee_rc_t  rc;

    rc = job->rc;

    if (rc == TEE_OK) {
        rc = tee_signed_events_sign(&ctx->events, &job->s, &ctx->pending);
    }

    if (rc != TEE_OK) {
        return ngx_http_tee_sign_broken(r, ctx, ngx_http_tee_sign_reason(rc));
    }

    return ngx_http_tee_sign_events(r, ctx);
}


static void
ngx_http_tee_sign_say(ngx_http_request_t *r, tee_signed_t *s, uint64_t now)
{
    ngx_http_tee_said_t  *said;

    said = ngx_http_tee_said(r);

    if (said) {
        ngx_hex_dump(said->request_hash, s->request_hash, 32);
        ngx_hex_dump(said->output_hash, s->output_hash, 32);

        said->timestamp_len = ngx_sprintf(said->timestamp, "%uL", now)
                              - said->timestamp;
    }
}


static ngx_int_t
ngx_http_tee_sign_send(ngx_http_request_t *r, ngx_http_tee_sign_ctx_t *ctx)
{
    ngx_int_t  rc;

    if (ctx->pending.len) {
        ctx->dirty = 1;

        rc = ngx_http_tee_out_put(r, &ctx->out, &ctx->pending);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    if (ctx->ended) {
        ctx->state = NGX_HTTP_TEE_SIGN_DONE;
        ctx->complete = 1;

        return ngx_http_tee_out_flush(r, &ctx->out, 1);
    }

    /* the header alone is asked for once, but an upstream that is not buffered
     * says so with each read */

    if (ctx->dirty || (ctx->flush && !ctx->flushed)) {
        ctx->dirty = 0;
        ctx->flushed = 1;

        return ngx_http_tee_out_flush(r, &ctx->out, 0);
    }

    return ngx_http_tee_out_more(r, &ctx->out);
}


static ngx_int_t
ngx_http_tee_sign_release(ngx_http_request_t *r, ngx_http_tee_sign_ctx_t *ctx)
{
    ngx_int_t  rc;

    rc = ngx_http_next_header_filter(r);

    return rc == NGX_ERROR || rc > NGX_OK ? NGX_ERROR : NGX_OK;
}


/* Nothing of the answer has been sent. */

static ngx_int_t
ngx_http_tee_sign_refuse(ngx_http_request_t *r, ngx_http_tee_sign_ctx_t *ctx,
    const char *why)
{
    ngx_int_t  rc;

    ngx_http_tee_count(NGX_HTTP_TEE_SIGN_REFUSED);

    ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                  "tee sign: an answer cannot be signed: %s; "
                  "\"tee_sign_unsigned pass\" would let it pass", why);

    ngx_http_clean_header(r);

    rc = ngx_http_tee_problem(r, NGX_HTTP_BAD_GATEWAY, "unsigned",
                              "the answer cannot be signed");

    if (ctx->state == NGX_HTTP_TEE_SIGN_PASS) {
        return rc;
    }

    /* its header has been held: nobody else would send another one */

    ctx->state = NGX_HTTP_TEE_SIGN_DONE;

    ngx_http_tee_held_free(&ctx->held);

    /* the client waits for its next response */

    ngx_http_tee_chain_enough(r, &ctx->in);

    r->headers_out.status = NGX_HTTP_BAD_GATEWAY;
    r->err_status = NGX_HTTP_BAD_GATEWAY;

    if (ngx_http_tee_sign_release(r, ctx) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_tee_chain_end(r, ngx_http_next_body_filter);
}


/* No byte of an answer may pass as its end: the connection is reset. */

static ngx_int_t
ngx_http_tee_sign_broken(ngx_http_request_t *r, ngx_http_tee_sign_ctx_t *ctx,
    const char *why)
{
    ctx->state = NGX_HTTP_TEE_SIGN_DONE;

    ngx_http_tee_count(NGX_HTTP_TEE_SIGN_REFUSED);

    ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                  "tee sign: closing the connection over a stream that cannot "
                  "be signed: %s", why);

    r->keepalive = 0;

    return NGX_ERROR;
}


static const char *
ngx_http_tee_sign_reason(tee_rc_t rc)
{
    switch (rc) {

    case TEE_MALFORMED:
        return "it is not JSON in UTF-8";

    case TEE_UNSUPPORTED:
        return "it has more than one choice, or content that no signature "
               "covers";

    case TEE_LIMIT:
        return "it has too many values, or an event is too large";

    case TEE_INCOMPLETE:
        return "it ends without a finish_reason or [DONE]";

    case TEE_CRYPTO:
        return "the key does not sign";

    default:
        return "there is no memory for it";
    }
}


static void
ngx_http_tee_sign_cleanup(void *data)
{
    ngx_http_tee_sign_ctx_t  *ctx = data;

    tee_write_free(&ctx->signed_body);
    tee_signed_events_free(&ctx->events);
}


static ngx_int_t
ngx_http_tee_sign_filter_init(ngx_conf_t *cf)
{
    ngx_http_next_header_filter = ngx_http_top_header_filter;
    ngx_http_top_header_filter = ngx_http_tee_sign_header_filter;

    ngx_http_next_body_filter = ngx_http_top_body_filter;
    ngx_http_top_body_filter = ngx_http_tee_sign_body_filter;

    return NGX_OK;
}
