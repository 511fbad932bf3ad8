
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <ngx_http_tee.h>
#include <ngx_http_tee_verify.h>

#include <sys/mman.h>


/*
 * What is held of an answer: a few of them are large, and lie in a file, but
 * for those that came sealed.
 */


static ngx_int_t ngx_http_tee_verify_spill(ngx_http_request_t *r,
    ngx_http_tee_verify_ctx_t *ctx);
static ngx_int_t ngx_http_tee_verify_write(ngx_http_request_t *r,
    ngx_http_tee_verify_ctx_t *ctx, u_char *p, size_t len);
static void ngx_http_tee_verify_unmap(void *data);


ngx_int_t
ngx_http_tee_verify_keep(ngx_http_request_t *r,
    ngx_http_tee_verify_ctx_t *ctx, u_char *p, size_t len)
{
    ngx_int_t  kept;

    if ((off_t) len > ctx->conf->max_body - ctx->size) {
        ngx_http_tee_verify_why_content(ctx, TEE_LIMIT);
        return NGX_DECLINED;
    }

    ctx->size += len;

    if (ctx->file == NULL) {
        kept = ngx_http_tee_held_add(r, &ctx->held, p, len,
                                     ctx->conf->inner
                                     ? (size_t) ctx->conf->max_body
                                     : ctx->conf->buffer);

        if (kept != NGX_DECLINED) {
            return kept;
        }

        kept = ngx_http_tee_verify_spill(r, ctx);

        if (kept != NGX_OK) {
            return kept;
        }
    }

    return ngx_http_tee_verify_write(r, ctx, p, len);
}


/* What is held goes on in a file, which has no name when it is open. */

static ngx_int_t
ngx_http_tee_verify_spill(ngx_http_request_t *r,
    ngx_http_tee_verify_ctx_t *ctx)
{
    ngx_int_t        rc;
    ngx_temp_file_t  *tf;

    if (r->upstream == NULL || r->upstream->conf->temp_path == NULL) {
        ngx_http_tee_verify_why_content(ctx, TEE_LIMIT);
        return NGX_DECLINED;
    }

    tf = ngx_pcalloc(r->pool, sizeof(ngx_temp_file_t));
    if (tf == NULL) {
        return NGX_ERROR;
    }

    tf->file.fd = NGX_INVALID_FILE;
    tf->file.log = r->connection->log;
    tf->path = r->upstream->conf->temp_path;
    tf->pool = r->pool;
    tf->clean = 1;

    ctx->file = tf;

    rc = NGX_OK;

    if (ctx->held.len) {
        rc = ngx_http_tee_verify_write(r, ctx, ctx->held.data, ctx->held.len);
    }

    ngx_http_tee_held_free(&ctx->held);

    return rc;
}


static ngx_int_t
ngx_http_tee_verify_write(ngx_http_request_t *r,
    ngx_http_tee_verify_ctx_t *ctx, u_char *p, size_t len)
{
    ssize_t      n;
    ngx_buf_t    b;
    ngx_chain_t  cl;

    ngx_memzero(&b, sizeof(ngx_buf_t));

    b.pos = p;
    b.last = p + len;
    b.memory = 1;

    cl.buf = &b;
    cl.next = NULL;

    n = ngx_write_chain_to_temp_file(ctx->file, &cl);

    if (n == NGX_ERROR) {

        /* which has been logged */

        ngx_http_tee_verify_why_content(ctx, TEE_NOMEM);
        return NGX_DECLINED;
    }

    ctx->file->offset += n;

    return NGX_OK;
}


ngx_int_t
ngx_http_tee_verify_held(ngx_http_request_t *r, ngx_http_tee_verify_ctx_t *ctx,
    tee_str_t *text)
{
    ngx_pool_cleanup_t  *cln;

    if (ctx->file == NULL) {
        text->data = ctx->held.data;
        text->len = ctx->held.len;

        return NGX_OK;
    }

    cln = ngx_pool_cleanup_add(r->pool, 0);
    if (cln == NULL) {
        return NGX_ERROR;
    }

    ctx->map = mmap(NULL, ctx->size, PROT_READ, MAP_SHARED,
                    ctx->file->file.fd, 0);

    if (ctx->map == MAP_FAILED) {
        ngx_log_error(NGX_LOG_CRIT, r->connection->log, ngx_errno,
                      "tee verify: mmap() of \"%V\" failed",
                      &ctx->file->file.name);
        return NGX_ERROR;
    }

    cln->handler = ngx_http_tee_verify_unmap;
    cln->data = ctx;

    text->data = ctx->map;
    text->len = ctx->size;

    return NGX_OK;
}


static void
ngx_http_tee_verify_unmap(void *data)
{
    ngx_http_tee_verify_ctx_t  *ctx = data;

    (void) munmap(ctx->map, ctx->size);
}
