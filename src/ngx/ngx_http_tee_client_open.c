
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <ngx_http_tee.h>
#include <ngx_http_tee_client_ctx.h>
#include <tee_date.h>
#include <tee_text.h>


/*
 * From what the relay sends to what the application gets.  A chunk goes on as
 * soon as it has been opened, an answer in one piece when all of it has; what
 * does not fit into the few buffers stays where it is.
 */


/* The end of the year 9999. */

#define NGX_HTTP_TEE_CLIENT_MAX_DATE  253402300799


static ngx_int_t ngx_http_tee_client_more(ngx_http_request_t *r,
    ngx_http_tee_client_ctx_t *ctx, const char **why);
static ngx_int_t ngx_http_tee_client_deliver(ngx_http_request_t *r,
    ngx_http_tee_client_ctx_t *ctx, const char **why);
static ngx_int_t ngx_http_tee_client_answer(ngx_http_request_t *r,
    ngx_http_tee_client_ctx_t *ctx, const char **why);
static ngx_int_t ngx_http_tee_client_message(ngx_http_request_t *r,
    ngx_http_tee_client_ctx_t *ctx, const char **why);
static ngx_int_t ngx_http_tee_client_event(ngx_http_request_t *r,
    ngx_http_tee_client_ctx_t *ctx);
static ngx_int_t ngx_http_tee_client_content(ngx_http_request_t *r,
    ngx_http_tee_client_ctx_t *ctx);
static ngx_int_t ngx_http_tee_client_release(ngx_http_request_t *r,
    ngx_http_tee_client_ctx_t *ctx);
static ngx_uint_t ngx_http_tee_client_is_problem(
    ngx_http_tee_client_ctx_t *ctx);
static ngx_int_t ngx_http_tee_client_date(ngx_http_request_t *r,
    ngx_http_tee_client_ctx_t *ctx);
static ngx_str_t *ngx_http_tee_client_value(ngx_http_tee_client_ctx_t *ctx,
    const char *name);
static ngx_int_t ngx_http_tee_client_field(ngx_http_request_t *r,
    ngx_http_tee_client_ctx_t *ctx);
static ngx_int_t ngx_http_tee_client_copy(ngx_pool_t *pool, tee_str_t s,
    ngx_str_t *to);
static const char *ngx_http_tee_client_reason(tee_rc_t rc);


ngx_int_t
ngx_http_tee_client_open(ngx_http_request_t *r,
    ngx_http_tee_client_ctx_t *ctx, const char **why)
{
    ngx_int_t  rc;

    for ( ;; ) {

        rc = ngx_http_tee_client_deliver(r, ctx, why);

        if (rc != NGX_OK) {
            return rc;
        }

        /* what had no content is complete with its header */

        if (ctx->done) {
            return NGX_OK;
        }

        if (ctx->complete) {
            ctx->done = 1;
            ngx_http_tee_client_trailers(r, ctx);
            return ngx_http_tee_out_flush(r, &ctx->out, 1);
        }

        rc = ngx_http_tee_client_more(r, ctx, why);

        if (rc == NGX_DONE) {
            break;
        }

        if (rc != NGX_OK) {
            return rc;
        }
    }

    if (!ctx->put) {
        return NGX_OK;
    }

    ctx->put = 0;

    return ngx_http_tee_out_flush(r, &ctx->out, 0);
}


void
ngx_http_tee_client_forget(ngx_http_tee_client_ctx_t *ctx)
{
    if (ctx->opening) {
        tee_ohttp_response_open_free(&ctx->open);

        if (ctx->form == NGX_HTTP_TEE_CLIENT_BHTTP) {
            tee_bhttp_read_free(&ctx->bhttp);
        }
    }

    ngx_http_tee_held_free(&ctx->hint);

    ctx->plain.len = 0;
    ctx->content.len = 0;
    ctx->early.len = 0;
    ctx->in = NULL;
    ctx->status = 0;
    ctx->taken = 0;

    ctx->opening = 0;
    ctx->holding = 0;
    ctx->last = 0;
    ctx->ended = 0;
    ctx->complete = 0;
    ctx->put = 0;
    ctx->done = 0;
}


/* Opens the next chunk, or all; NGX_DONE: more has to come. */

static ngx_int_t
ngx_http_tee_client_more(ngx_http_request_t *r,
    ngx_http_tee_client_ctx_t *ctx, const char **why)
{
    tee_rc_t      rc;
    ngx_buf_t    *b;
    tee_str_t     in;
    ngx_chain_t  *cl;

    if (ctx->in) {
        cl = ctx->in;
        b = cl->buf;

        in.data = b->pos;
        in.len = b->last - b->pos;

        rc = tee_ohttp_response_open_read(&ctx->open, &in, &ctx->plain);

        b->pos = b->last - in.len;

        if (b->in_file) {
            b->file_pos = b->file_last - in.len;
        }

        if (b->pos == b->last) {
            ctx->in = cl->next;
            ngx_free_chain(r->pool, cl);
        }

    } else if (ctx->last) {
        rc = tee_ohttp_response_open_end(&ctx->open, &ctx->plain);

        ctx->ended = 1;

    } else {
        return NGX_DONE;
    }

    if (rc == TEE_OK) {
        return NGX_OK;
    }

    if (rc == TEE_NOMEM) {
        return NGX_ERROR;
    }

    *why = ngx_http_tee_client_reason(rc);

    return NGX_DECLINED;
}


static const char *
ngx_http_tee_client_reason(tee_rc_t rc)
{
    switch (rc) {

    case TEE_LIMIT:
        return "it is larger than \"tee_client_buffer\"";

    case TEE_INCOMPLETE:
        return "it has been cut";

    default:
        return "it cannot be decrypted";
    }
}


/* Puts out what has been opened; NGX_OK: all of it. */

static ngx_int_t
ngx_http_tee_client_deliver(ngx_http_request_t *r,
    ngx_http_tee_client_ctx_t *ctx, const char **why)
{
    ngx_int_t  rc;

    switch (ctx->form) {

    case NGX_HTTP_TEE_CLIENT_JSON:
        rc = ngx_http_tee_client_answer(r, ctx, why);
        break;

    case NGX_HTTP_TEE_CLIENT_BHTTP:
        return ngx_http_tee_client_message(r, ctx, why);

    default: /* NGX_HTTP_TEE_CLIENT_EVENTS */

        rc = NGX_OK;

        if (!ctx->begun && (ctx->plain.len || ctx->ended)) {
            ctx->status = NGX_HTTP_OK;
            rc = ngx_http_tee_client_begin(r, ctx);
        }

        ctx->content = ctx->plain;
        break;
    }

    if (rc != NGX_OK || ctx->done) {
        return rc;
    }

    if (ctx->content.len) {
        ctx->put = 1;
        rc = ngx_http_tee_out_put(r, &ctx->out, &ctx->content);
        ctx->plain = ctx->content;
    }

    if (rc == NGX_OK) {
        ctx->complete = ctx->ended;
    }

    return rc;
}


/* JSON, whose errors have an envelope. */

static ngx_int_t
ngx_http_tee_client_answer(ngx_http_request_t *r,
    ngx_http_tee_client_ctx_t *ctx, const char **why)
{
    unsigned  status;

    if (ctx->begun || !ctx->ended) {
        return NGX_OK;
    }

    if (tee_inner_response(ctx->plain, &status, &ctx->content) != TEE_OK) {
        *why = "the answer within is no JSON object";
        return NGX_DECLINED;
    }

    ctx->status = status;

    return ngx_http_tee_client_begin(r, ctx);
}


/* BHTTP; RFC 9292. */

static ngx_int_t
ngx_http_tee_client_message(ngx_http_request_t *r,
    ngx_http_tee_client_ctx_t *ctx, const char **why)
{
    tee_rc_t   rc;
    ngx_int_t  done;

    for ( ;; ) {

        if (ctx->early.len) {
            ctx->put = 1;
            done = ngx_http_tee_out_put(r, &ctx->out, &ctx->early);

            if (done != NGX_OK) {
                return done;
            }
        }

        if (ctx->content.len) {
            ctx->put = 1;
            done = ngx_http_tee_out_put(r, &ctx->out, &ctx->content);

            if (done != NGX_OK) {
                return done;
            }
        }

        if (ctx->plain.len == 0 && !ctx->ended) {
            return NGX_OK;
        }

        rc = tee_bhttp_read(&ctx->bhttp, &ctx->plain, ctx->ended);

        if (rc == TEE_INCOMPLETE || (rc == TEE_DONE && !ctx->ended)) {
            return NGX_OK;
        }

        if (rc == TEE_DONE && ctx->holding) {
            done = ngx_http_tee_client_date(r, ctx);

            if (done == NGX_DECLINED) {
                done = ngx_http_tee_client_release(r, ctx);
            }

            if (done != NGX_OK || ctx->done) {
                return done;
            }

            continue;
        }

        if (rc == TEE_DONE) {
            ctx->complete = 1;

            if (ctx->length < 0 || ctx->taken == ctx->length) {
                return NGX_OK;
            }
        }

        if (rc == TEE_NOMEM) {
            return NGX_ERROR;
        }

        if (rc != TEE_OK) {     /* also: shorter than it says */
            *why = rc == TEE_LIMIT ? "the message within is too large"
                                   : "the message within is malformed";
            return NGX_DECLINED;
        }

        done = ngx_http_tee_client_event(r, ctx);

        if (done == NGX_DECLINED) {
            *why = "the message within is malformed";
        }

        if (done != NGX_OK || ctx->done) {
            return done;
        }

        /* nobody below us counts */

        if (ctx->length >= 0 && ctx->taken > ctx->length) {
            *why = "the message within is longer than it says";
            return NGX_DECLINED;
        }
    }
}


static ngx_int_t
ngx_http_tee_client_event(ngx_http_request_t *r,
    ngx_http_tee_client_ctx_t *ctx)
{
    switch (ctx->bhttp.event) {

    case TEE_BHTTP_HEAD:
        ctx->status = ctx->bhttp.status;

        /* those of an informational response are none of the final one's */

        ctx->fields.nelts = 0;
        return NGX_OK;

    case TEE_BHTTP_FIELD:
        return ngx_http_tee_client_field(r, ctx);

    case TEE_BHTTP_HEAD_END:

        if (ngx_http_tee_client_is_problem(ctx)) {
            ctx->holding = 1;
            return NGX_OK;
        }

        return ngx_http_tee_client_begin(r, ctx);

    case TEE_BHTTP_CONTENT:
        return ngx_http_tee_client_content(r, ctx);

    case TEE_BHTTP_TRAILER:
        return ngx_http_tee_client_trailer(r, ctx, ctx->bhttp.name,
                                           ctx->bhttp.value);

    case TEE_BHTTP_NOTHING:
    case TEE_BHTTP_INFORMATIONAL:
        break;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_tee_client_content(ngx_http_request_t *r,
    ngx_http_tee_client_ctx_t *ctx)
{
    ngx_int_t  rc;
    tee_str_t  content;

    content = ctx->bhttp.content;
    ctx->taken += content.len;

    if (ctx->holding) {
        rc = ngx_http_tee_held_add(r, &ctx->hint, (u_char *) content.data,
                                   content.len, TEE_PROBLEM_MAX_LEN);
        if (rc != NGX_DECLINED) {
            return rc;
        }

        rc = ngx_http_tee_client_release(r, ctx);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    ctx->content = content;

    return NGX_OK;
}


/* It is for the application. */

static ngx_int_t
ngx_http_tee_client_release(ngx_http_request_t *r,
    ngx_http_tee_client_ctx_t *ctx)
{
    ctx->holding = 0;

    ctx->early.data = ctx->hint.data;
    ctx->early.len = ctx->hint.len;

    return ngx_http_tee_client_begin(r, ctx);
}


/* RFC 9458, 6.5.2: a gateway whose clock is another one. */

static ngx_uint_t
ngx_http_tee_client_is_problem(ngx_http_tee_client_ctx_t *ctx)
{
    ngx_str_t  *type;

    if (ctx->status != NGX_HTTP_BAD_REQUEST
        || !ngx_http_tee_client_may_retry(ctx))
    {
        return 0;
    }

    type = ngx_http_tee_client_value(ctx, "content-type");

    return type && ngx_http_tee_is_type(type, "application/problem+json");
}


/* NGX_DONE: it is asked again, with its own date; NGX_DECLINED, NGX_ERROR */

static ngx_int_t
ngx_http_tee_client_date(ngx_http_request_t *r,
    ngx_http_tee_client_ctx_t *ctx)
{
    int64_t     date;
    uint64_t    age;
    ngx_str_t  *value;
    tee_str_t   text;

    text.data = ctx->hint.data;
    text.len = ctx->hint.len;

    if (tee_problem_read(text, &ngx_http_tee_alloc) != TEE_PROBLEM_DATE) {
        return NGX_DECLINED;
    }

    value = ngx_http_tee_client_value(ctx, "date");

    if (value == NULL
        || tee_date_read(ngx_http_tee_str(value), ngx_time(), &date) != TEE_OK)
    {
        return NGX_DECLINED;
    }

    value = ngx_http_tee_client_value(ctx, "age");

    if (value
        && tee_decimal(ngx_http_tee_str(value), 86400, &age) == TEE_OK)
    {
        date += (int64_t) age;
    }

    if (date <= 0 || date > NGX_HTTP_TEE_CLIENT_MAX_DATE) {
        return NGX_DECLINED;
    }

    ctx->date = date;

    return ngx_http_tee_client_retry(r, ctx, TEE_PROBLEM_DATE);
}


static ngx_str_t *
ngx_http_tee_client_value(ngx_http_tee_client_ctx_t *ctx, const char *name)
{
    ngx_uint_t     i;
    ngx_keyval_t  *fields;

    fields = ctx->fields.elts;

    for (i = 0; i < ctx->fields.nelts; i++) {

        if (tee_text_is_nocase(ngx_http_tee_str(&fields[i].key), name)) {
            return &fields[i].value;
        }
    }

    return NULL;
}


static ngx_int_t
ngx_http_tee_client_field(ngx_http_request_t *r,
    ngx_http_tee_client_ctx_t *ctx)
{
    ngx_keyval_t  *field;

    /* of pseudo-fields, a response has none that nobody has asked for */

    if (ctx->bhttp.name.data[0] == ':') {
        return NGX_DECLINED;
    }

    field = ngx_array_push(&ctx->fields);

    if (field == NULL
        || ngx_http_tee_client_copy(r->pool, ctx->bhttp.name, &field->key)
           != NGX_OK
        || ngx_http_tee_client_copy(r->pool, ctx->bhttp.value, &field->value)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_tee_client_copy(ngx_pool_t *pool, tee_str_t s, ngx_str_t *to)
{
    to->len = s.len;
    to->data = ngx_pnalloc(pool, s.len + 1);

    if (to->data == NULL) {
        return NGX_ERROR;
    }

    *ngx_cpymem(to->data, s.data, s.len) = '\0';

    return NGX_OK;
}
