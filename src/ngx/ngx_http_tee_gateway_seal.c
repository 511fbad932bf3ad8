
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <ngx_http_tee.h>
#include <ngx_http_tee_gateway_seal.h>


/*
 * From what nginx sends to what the gateway sends: the plaintext of a chunk is
 * put together, sealed, and written to a buffer.
 */


/* What a chunk of content has before it, in BHTTP of indeterminate length. */

#define NGX_HTTP_TEE_CONTENT_PREFIX  4

#define NGX_HTTP_TEE_LEAST_BUCKET    64

/* A chunk, and the nonce before the first one. */

#define NGX_HTTP_TEE_CHUNK_ROOM                                               \
    (TEE_OHTTP_CHUNK + TEE_OHTTP_CHUNK_EXTRA + TEE_OHTTP_MAX_SECRET)

#define NGX_HTTP_TEE_EARLY_HINTS     103


static ngx_int_t ngx_http_tee_gateway_key_up(
    ngx_http_tee_gateway_ctx_t *ctx, ngx_uint_t chunked);
static ngx_int_t ngx_http_tee_gateway_head(ngx_http_request_t *r,
    ngx_http_tee_gateway_ctx_t *ctx);
static ngx_int_t ngx_http_tee_gateway_tail(ngx_http_request_t *r,
    ngx_http_tee_gateway_ctx_t *ctx);
static off_t ngx_http_tee_gateway_padding(ngx_http_tee_gateway_ctx_t *ctx,
    off_t size);
static ngx_int_t ngx_http_tee_gateway_stage(ngx_http_request_t *r,
    ngx_http_tee_gateway_ctx_t *ctx, u_char **end);
static u_char *ngx_http_tee_gateway_content(ngx_http_request_t *r,
    ngx_http_tee_gateway_ctx_t *ctx, u_char *p, u_char *last);
static u_char *ngx_http_tee_gateway_move(u_char *p, u_char *last,
    ngx_buf_t *b);
static ngx_int_t ngx_http_tee_gateway_encrypt(
    ngx_http_tee_gateway_ctx_t *ctx, ngx_buf_t *b, size_t len);


/* What has been held is all there is, or as much as is held. */

ngx_int_t
ngx_http_tee_gateway_decide(ngx_http_request_t *r,
    ngx_http_tee_gateway_ctx_t *ctx)
{
    if (ctx->conf->profile == NGX_HTTP_TEE_OPENGRADIENT) {
        return ngx_http_tee_gateway_envelope_decide(r, ctx);
    }

    ctx->seal = ctx->length >= 0 ? NGX_HTTP_TEE_SEAL_KNOWN
                                 : NGX_HTTP_TEE_SEAL_STREAM;

    return NGX_OK;
}


ngx_int_t
ngx_http_tee_gateway_begin(ngx_http_request_t *r,
    ngx_http_tee_gateway_ctx_t *ctx)
{
    off_t       size;
    ngx_int_t   rc;
    ngx_uint_t  chunked;

    chunked = ctx->chunked || ctx->seal == NGX_HTTP_TEE_SEAL_EVENTS;

    if (!ctx->begun && ngx_http_tee_gateway_key_up(ctx, chunked) != NGX_OK) {
        return NGX_ERROR;
    }

    rc = NGX_OK;

    if (ctx->seal == NGX_HTTP_TEE_SEAL_KNOWN
        || ctx->seal == NGX_HTTP_TEE_SEAL_STREAM)
    {
        rc = ngx_http_tee_gateway_head(r, ctx);
    }

    if (rc == NGX_OK && ctx->last) {
        rc = ngx_http_tee_gateway_tail(r, ctx);
    }

    if (rc != NGX_OK) {
        return NGX_ERROR;
    }

    /* of a message in one piece the length can be told in advance */

    size = -1;

    if (!chunked && ctx->length >= 0
        && (!r->expect_trailers || ctx->last || ctx->absent))
    {
        size = ctx->length + (ctx->head ? ngx_buf_size(ctx->head) : 0);

        if (ctx->tail) {
            size += ngx_buf_size(ctx->tail);

        } else if (ctx->seal == NGX_HTTP_TEE_SEAL_KNOWN) {
            size += 1;
        }

        size += ngx_http_tee_gateway_padding(ctx, size);

        ctx->fixed = !ctx->last;
    }

    ctx->stage_size = size >= 0 && size < TEE_OHTTP_CHUNK
                      ? (size_t) size + 1 : TEE_OHTTP_CHUNK;

    rc = ngx_http_tee_gateway_outer(r, ctx, chunked, size);

    /* an error within is none of the connection's, which stays open */

    r->keepalive = ctx->keepalive;
    r->header_only = 0;
    r->allow_ranges = 0;
    r->err_status = 0;

    if (ctx->absent) {
        r->expect_trailers = 0;
    }

    return rc;
}


/* What must be secret is made here; the form is known from now on. */

static ngx_int_t
ngx_http_tee_gateway_key_up(ngx_http_tee_gateway_ctx_t *ctx,
    ngx_uint_t chunked)
{
    tee_crypto_t  *crypto;

    crypto = ngx_http_tee_crypto();

    if (crypto == NULL
        || tee_ohttp_response_seal_init(&ctx->sealer, crypto,
                                        &ctx->open.exchange, chunked,
                                        ctx->nonce)
           != TEE_OK)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* size: of the plaintext, or -1 if it is not known. */

ngx_int_t
ngx_http_tee_gateway_outer(ngx_http_request_t *r,
    ngx_http_tee_gateway_ctx_t *ctx, ngx_uint_t chunked, off_t size)
{
    static ngx_str_t  types[] = {
        ngx_string("message/ohttp-res"),
        ngx_string("message/ohttp-chunked-res")
    };

    ngx_http_clean_header(r);

    r->headers_out.status = ctx->conf->profile == NGX_HTTP_TEE_OPENGRADIENT
                            && !ctx->envelope
                            ? ctx->status : NGX_HTTP_OK;

    r->headers_out.content_type = types[chunked];
    r->headers_out.content_type_len = types[chunked].len;

    if (size >= 0) {
        r->headers_out.content_length_n = size + TEE_AEAD_TAG_LEN
                                          + ctx->open.exchange.secret_len;
    }

#if (NGX_HTTP_GZIP)
    r->gzip_vary = 0;
#endif

    /* to HEAD the last header filter would send no content */

    r->method = NGX_HTTP_POST;

    if (ngx_http_tee_add_field(&r->headers_out.headers, "Cache-Control",
                               "no-store")
        == NULL
        || (chunked
            && ngx_http_tee_add_field(&r->headers_out.headers, "Incremental",
                                      "?1")
               == NULL))
    {
        return NGX_ERROR;
    }

    return ngx_http_tee_gateway_keep(r, ctx);
}


/*
 * Early hints become an informational response before the final one, in a
 * chunk that is sent at once; RFC 9292, 3.5.1.
 */

ngx_int_t
ngx_http_tee_gateway_hints(ngx_http_request_t *r,
    ngx_http_tee_gateway_ctx_t *ctx)
{
    size_t        room;
    ngx_int_t     rc;
    ngx_buf_t    *b;
    tee_str_t     section;
    tee_write_t   w, fields;

    tee_write_grow(&fields, &ngx_http_tee_alloc);

    ngx_http_tee_gateway_list(&fields, &r->headers_out.headers);

    section.data = fields.data;
    section.len = fields.len;
    room = section.len + 32;

    rc = NGX_ERROR;
    b = NULL;

    if (tee_write_rc(&fields) == TEE_OK && room <= TEE_OHTTP_CHUNK) {

        ctx->stage_size = TEE_OHTTP_CHUNK;
        ctx->stage = ctx->stage ? ctx->stage
                                : ngx_palloc(r->pool, TEE_OHTTP_CHUNK);

        b = ngx_http_tee_out_get(r, &ctx->out, NGX_HTTP_TEE_CHUNK_ROOM, &rc);
    }

    if (b && ctx->stage) {
        tee_write_fixed(&w, ctx->stage, TEE_OHTTP_CHUNK);

        if (!ctx->begun) {
            tee_bhttp_write_response(&w, 1);
        }

        tee_bhttp_write_status(&w, NGX_HTTP_TEE_EARLY_HINTS);
        tee_bhttp_write_section(&w, 1, section);

        if (ctx->begun
            || ngx_http_tee_gateway_key_up(ctx, 1) == NGX_OK)
        {
            ctx->written += w.len;
            ctx->flush = 1;

            rc = ngx_http_tee_gateway_encrypt(ctx, b, w.len);
        }
    }

    tee_write_free(&fields);

    if (rc == NGX_OK) {
        rc = ngx_http_tee_gateway_put(r, ctx, b);
    }

    return rc;
}


static ngx_int_t
ngx_http_tee_gateway_head(ngx_http_request_t *r,
    ngx_http_tee_gateway_ctx_t *ctx)
{
    int          indeterminate;
    tee_write_t  w;

    indeterminate = (ctx->seal == NGX_HTTP_TEE_SEAL_STREAM);

    /* an indicator, a status and two lengths beside the fields */

    ctx->head = ngx_create_temp_buf(r->pool, ctx->section.len + 32);
    if (ctx->head == NULL) {
        return NGX_ERROR;
    }

    tee_write_fixed(&w, ctx->head->pos, ctx->head->end - ctx->head->start);

    if (!ctx->begun) {
        tee_bhttp_write_response(&w, indeterminate);
    }

    tee_bhttp_write_status(&w, ctx->status);
    tee_bhttp_write_section(&w, indeterminate, ctx->section);

    if (!indeterminate) {
        tee_bhttp_write_content(&w, (uint64_t) ctx->length);
    }

    if (tee_write_rc(&w) != TEE_OK) {
        return NGX_ERROR;
    }

    ctx->head->last += w.len;

    return NGX_OK;
}


/* The end of the content and the trailers, which must not go out in clear. */

static ngx_int_t
ngx_http_tee_gateway_tail(ngx_http_request_t *r,
    ngx_http_tee_gateway_ctx_t *ctx)
{
    int          indeterminate;
    tee_rc_t     rc;
    tee_str_t    section;
    tee_write_t  w, fields;

    if (ctx->tailed || ctx->conf->profile == NGX_HTTP_TEE_OPENGRADIENT) {
        return NGX_OK;
    }

    ctx->tailed = 1;

    tee_write_grow(&fields, &ngx_http_tee_alloc);

    if (!ctx->absent && !ctx->fixed) {
        ngx_http_tee_gateway_list(&fields, &r->headers_out.trailers);
    }

    ngx_http_tee_gateway_drop_trailers(r);

    section.data = fields.data;
    section.len = fields.len;
    rc = tee_write_rc(&fields);

    ctx->tail = rc == TEE_OK ? ngx_create_temp_buf(r->pool, section.len + 32)
                             : NULL;
    if (ctx->tail == NULL) {
        tee_write_free(&fields);
        return NGX_ERROR;
    }

    indeterminate = (ctx->seal == NGX_HTTP_TEE_SEAL_STREAM);

    tee_write_fixed(&w, ctx->tail->pos, ctx->tail->end - ctx->tail->start);

    if (indeterminate) {
        tee_bhttp_write_end(&w);
    }

    tee_bhttp_write_section(&w, indeterminate, section);

    tee_write_free(&fields);

    if (tee_write_rc(&w) != TEE_OK) {
        return NGX_ERROR;
    }

    ctx->tail->last += w.len;

    return NGX_OK;
}


void
ngx_http_tee_gateway_drop_trailers(ngx_http_request_t *r)
{
    r->headers_out.trailers.part.nelts = 0;
    r->headers_out.trailers.part.next = NULL;
    r->headers_out.trailers.last = &r->headers_out.trailers.part;
}


/* Zeros behind a message; RFC 9292, 3.8. */

static off_t
ngx_http_tee_gateway_padding(ngx_http_tee_gateway_ctx_t *ctx, off_t size)
{
    off_t  block, target;

    if (ctx->conf->padding == NGX_HTTP_TEE_PADDING_OFF) {
        return 0;
    }

    if (ctx->conf->padding == NGX_HTTP_TEE_PADDING_BUCKET) {

        for (target = NGX_HTTP_TEE_LEAST_BUCKET;
             target < size;
             target *= 2)
        {
            /* void */
        }

        return target - size;
    }

    block = ctx->conf->padding;

    return (block - size % block) % block;
}


ngx_int_t
ngx_http_tee_gateway_seal(ngx_http_request_t *r,
    ngx_http_tee_gateway_ctx_t *ctx)
{
    size_t      room;
    u_char     *end;
    ngx_int_t   rc;
    ngx_buf_t  *b;

    if (ctx->done) {
        return NGX_DONE;
    }

    if (ctx->seal == NGX_HTTP_TEE_SEAL_EVENTS) {
        return ngx_http_tee_gateway_event(r, ctx);
    }

    if (ctx->stage == NULL) {
        ctx->stage = ngx_palloc(r->pool, ctx->stage_size);
        if (ctx->stage == NULL) {
            return NGX_ERROR;
        }
    }

    room = NGX_HTTP_TEE_CHUNK_ROOM - TEE_OHTTP_CHUNK + ctx->stage_size;

    b = ngx_http_tee_out_get(r, &ctx->out, room, &rc);
    if (b == NULL) {
        return rc;
    }

    rc = ngx_http_tee_gateway_stage(r, ctx, &end);

    if (rc == NGX_OK || rc == NGX_DONE) {
        ctx->done = (rc == NGX_DONE);

        if (ngx_http_tee_gateway_encrypt(ctx, b, end - ctx->stage)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    if (rc == NGX_ERROR) {
        return NGX_ERROR;
    }

    return ngx_http_tee_gateway_put(r, ctx, b);
}


/*
 * Up to one chunk of plaintext: NGX_OK, NGX_DONE if it is the final one,
 * NGX_DECLINED if there is none.
 */

static ngx_int_t
ngx_http_tee_gateway_stage(ngx_http_request_t *r,
    ngx_http_tee_gateway_ctx_t *ctx, u_char **end)
{
    off_t    size;
    u_char  *p, *last;

    p = ctx->stage;
    last = p + ctx->stage_size;

    if (ctx->head) {
        p = ngx_http_tee_gateway_move(p, last, ctx->head);
    }

    p = ngx_http_tee_gateway_content(r, ctx, p, last);

    if (p == NULL) {
        return NGX_ERROR;
    }

    if (ctx->last && ctx->in == NULL && p < last) {

        if (ctx->seal == NGX_HTTP_TEE_SEAL_KNOWN
            && ctx->sent != ctx->length)
        {
            return NGX_ERROR;
        }

        if (!ctx->tailed && ngx_http_tee_gateway_tail(r, ctx) != NGX_OK) {
            return NGX_ERROR;
        }

        if (ctx->tail) {
            p = ngx_http_tee_gateway_move(p, last, ctx->tail);
        }

        if (!ctx->padded && (ctx->tail == NULL || ngx_buf_size(ctx->tail) == 0))
        {
            ctx->padded = 1;
            ctx->pad = ngx_http_tee_gateway_padding(ctx,
                                           ctx->written + (p - ctx->stage));
        }

        if (ctx->padded) {
            size = ngx_min(ctx->pad, last - p);
            ngx_memzero(p, size);
            p += size;
            ctx->pad -= size;
        }
    }

    *end = p;
    ctx->written += p - ctx->stage;

    if (ctx->padded && ctx->pad == 0) {
        return NGX_DONE;
    }

    return p == ctx->stage ? NGX_DECLINED : NGX_OK;
}


/* NULL: there is more of it than its length has told. */

static u_char *
ngx_http_tee_gateway_content(ngx_http_request_t *r,
    ngx_http_tee_gateway_ctx_t *ctx, u_char *p, u_char *last)
{
    off_t         size;
    u_char       *start;
    ngx_chain_t  *cl;
    tee_write_t   w;

    if (ctx->in == NULL) {
        return p;
    }

    if (ctx->seal == NGX_HTTP_TEE_SEAL_STREAM) {

        if (last - p <= NGX_HTTP_TEE_CONTENT_PREFIX) {
            return p;
        }

        size = 0;

        for (cl = ctx->in; cl; cl = cl->next) {
            size += ngx_buf_size(cl->buf);
        }

        size = ngx_min(size, last - p - NGX_HTTP_TEE_CONTENT_PREFIX);

        tee_write_fixed(&w, p, NGX_HTTP_TEE_CONTENT_PREFIX);
        tee_bhttp_write_content(&w, (uint64_t) size);

        p += w.len;
        last = p + size;
    }

    start = p;

    while (ctx->in && p < last) {
        cl = ctx->in;
        p = ngx_http_tee_gateway_move(p, last, cl->buf);

        if (ngx_buf_size(cl->buf) == 0) {
            ctx->in = cl->next;
            ngx_free_chain(r->pool, cl);
        }
    }

    ctx->sent += p - start;

    return ctx->seal == NGX_HTTP_TEE_SEAL_KNOWN && ctx->sent > ctx->length
           ? NULL : p;
}


static u_char *
ngx_http_tee_gateway_move(u_char *p, u_char *last, ngx_buf_t *b)
{
    size_t  size;

    size = ngx_min(b->last - b->pos, last - p);

    p = ngx_cpymem(p, b->pos, size);
    b->pos += size;

    /* of a file that has been read the position is kept as well */

    if (b->in_file) {
        b->file_pos += size;
    }

    return p;
}


static ngx_int_t
ngx_http_tee_gateway_encrypt(ngx_http_tee_gateway_ctx_t *ctx, ngx_buf_t *b,
    size_t len)
{
    size_t     size;
    tee_str_t  in;

    if (!ctx->nonce_sent) {
        b->last = ngx_cpymem(b->last, ctx->nonce,
                             ctx->open.exchange.secret_len);
        ctx->nonce_sent = 1;
    }

    in.data = ctx->stage;
    in.len = len;

    if (ctx->chunked) {
        if (tee_ohttp_response_seal_chunk(&ctx->sealer, in, ctx->done,
                                          b->last, &size)
            != TEE_OK)
        {
            return NGX_ERROR;
        }

        b->last += size;

        return NGX_OK;
    }

    if (tee_ohttp_response_seal_update(&ctx->sealer, in, b->last) != TEE_OK) {
        return NGX_ERROR;
    }

    b->last += len;

    if (ctx->done) {
        if (tee_ohttp_response_seal_end(&ctx->sealer, b->last) != TEE_OK) {
            return NGX_ERROR;
        }

        b->last += TEE_AEAD_TAG_LEN;
    }

    return NGX_OK;
}


/* With nothing in it, it goes back, and only what has been asked for with it
 * goes on. */

ngx_int_t
ngx_http_tee_gateway_put(ngx_http_request_t *r,
    ngx_http_tee_gateway_ctx_t *ctx, ngx_buf_t *b)
{
    if (b->pos == b->last) {

        if (ngx_http_tee_out_unget(r, &ctx->out, b) != NGX_OK) {
            return NGX_ERROR;
        }

        if (!ctx->flush) {
            return NGX_DECLINED;
        }

        b = ngx_calloc_buf(r->pool);
        if (b == NULL) {
            return NGX_ERROR;
        }
    }

    b->flush = ctx->flush;
    b->last_buf = ctx->done;
    b->last_in_chain = ctx->done;

    if (ctx->in == NULL) {
        ctx->flush = 0;
    }

    if (ngx_http_tee_out_add(r, &ctx->out, b) != NGX_OK) {
        return NGX_ERROR;
    }

    return ctx->done ? NGX_DONE : NGX_OK;
}
