
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <ngx_http_tee.h>
#include <ngx_http_tee_gateway_ctx.h>

#include <openssl/rand.h>


/* The body is opened as it comes; what has been opened stays in memory that is
 * wiped with the request. */


static void ngx_http_tee_gateway_body_handler(ngx_http_request_t *r);
static ngx_int_t ngx_http_tee_gateway_take(ngx_http_request_t *r, void *data,
    u_char *p, size_t len);
static tee_rc_t ngx_http_tee_gateway_append(ngx_http_tee_gateway_ctx_t *ctx,
    tee_str_t plain);
static void ngx_http_tee_gateway_opened(ngx_http_request_t *r,
    ngx_http_tee_gateway_ctx_t *ctx);
static ngx_int_t ngx_http_tee_gateway_end(ngx_http_request_t *r,
    ngx_http_tee_gateway_ctx_t *ctx);
static ngx_int_t ngx_http_tee_gateway_not_opened(ngx_http_request_t *r,
    ngx_http_tee_gateway_ctx_t *ctx);
static void ngx_http_tee_gateway_wait(ngx_http_request_t *r,
    ngx_http_tee_gateway_ctx_t *ctx);
static void ngx_http_tee_gateway_forget(void *data);
static void ngx_http_tee_gateway_replay_handler(void *data, ngx_int_t rc);
static void ngx_http_tee_gateway_go_on(ngx_http_request_t *r,
    ngx_http_tee_gateway_ctx_t *ctx, ngx_int_t rc);
static ngx_int_t ngx_http_tee_gateway_seen(ngx_http_request_t *r,
    ngx_http_tee_gateway_ctx_t *ctx, ngx_int_t rc);
static void ngx_http_tee_gateway_json(ngx_http_request_t *r,
    ngx_http_tee_gateway_ctx_t *ctx);


ngx_int_t
ngx_http_tee_gateway_read(ngx_http_request_t *r,
    ngx_http_tee_gateway_ctx_t *ctx)
{
    tee_crypto_t  *crypto;

    crypto = ngx_http_tee_crypto();
    if (crypto == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    tee_ohttp_request_open_init(&ctx->open, crypto, &ngx_http_tee_alloc,
                                ctx->chunked, (size_t) ctx->conf->max_body,
                                ngx_http_tee_gateway_key, ctx->conf->keys);

    return ngx_http_tee_read_content(r, ngx_http_tee_gateway_body_handler);
}


static void
ngx_http_tee_gateway_body_handler(ngx_http_request_t *r)
{
    ngx_int_t                    rc;
    ngx_http_tee_gateway_ctx_t  *ctx;

    ctx = ngx_http_tee_gateway_get_ctx(r);

    rc = ngx_http_tee_take_content(r, ngx_http_tee_gateway_body_handler,
                                   ngx_http_tee_gateway_take, ctx);

    if (rc == NGX_AGAIN) {
        return;
    }

    if (rc != NGX_OK) {
        ngx_http_tee_gateway_fail(r, ctx, rc);
        return;
    }

    ngx_http_tee_gateway_opened(r, ctx);
}


/*
 * A request that does not open is read to its end all the same: the time of
 * the answer tells nothing about where it has failed.
 */

static ngx_int_t
ngx_http_tee_gateway_take(ngx_http_request_t *r, void *data, u_char *p,
    size_t len)
{
    ngx_http_tee_gateway_ctx_t  *ctx = data;

    tee_rc_t   rc;
    tee_str_t  in, plain;

    ctx->received += len;

    if (ctx->received > ctx->conf->max_body) {
        return ngx_http_tee_gateway_refuse(r, ctx->conf,
                                           NGX_HTTP_TEE_GATEWAY_LARGE,
                                           NGX_HTTP_REQUEST_ENTITY_TOO_LARGE,
                                           "too_large",
                                           "request body too large");
    }

    in.data = p;
    in.len = len;

    while (ctx->rc == TEE_OK && in.len) {

        rc = tee_ohttp_request_open_read(&ctx->open, &in, &plain);

        if (rc == TEE_OK && plain.len) {
            rc = ngx_http_tee_gateway_append(ctx, plain);
        }

        ctx->rc = rc;
    }

    return NGX_OK;
}


/* Chunks are put together in memory that grows with what has come. */

static tee_rc_t
ngx_http_tee_gateway_append(ngx_http_tee_gateway_ctx_t *ctx, tee_str_t plain)
{
    ngx_int_t  rc;

    rc = ngx_http_tee_held_add(ctx->request, &ctx->plain,
                               (u_char *) plain.data, plain.len,
                               (size_t) ctx->conf->max_body);

    if (rc == NGX_DECLINED) {
        return TEE_LIMIT;
    }

    return rc == NGX_OK ? TEE_OK : TEE_NOMEM;
}


/*
 * The content has been taken, and an error page may be made by any location:
 * it gets the outer request without content.
 */

void
ngx_http_tee_gateway_fail(ngx_http_request_t *r,
    ngx_http_tee_gateway_ctx_t *ctx, ngx_int_t rc)
{
    ngx_http_tee_no_content(r);

    if (ctx->opened) {
        r->uri = ctx->outer.uri;
        r->args = ctx->outer.args;
        r->exten = ctx->outer.exten;
        r->unparsed_uri = ctx->outer.unparsed_uri;
    }

    ngx_http_finalize_request(r, rc);
}


static void
ngx_http_tee_gateway_opened(ngx_http_request_t *r,
    ngx_http_tee_gateway_ctx_t *ctx)
{
    ngx_int_t              rc;
    tee_str_t              enc;
    tee_ohttp_exchange_t  *e;

    rc = ngx_http_tee_gateway_end(r, ctx);

    if (rc != NGX_OK) {
        ngx_http_tee_gateway_fail(r, ctx, rc);
        return;
    }

    ngx_http_tee_count(NGX_HTTP_TEE_GATEWAY_OPENED);

    ngx_http_tee_gateway_save(r, ctx);

    ctx->opened = 1;
    ctx->keepalive = r->keepalive;
    r->main_filter_need_in_memory = 1;

    rc = NGX_OK;

    if (ctx->conf->replay) {
        e = &ctx->open.exchange;

        enc.data = e->enc;
        enc.len = e->enc_len;

        rc = ngx_http_tee_replay_check(ctx->conf->replay, enc,
                                       ngx_http_tee_gateway_replay_handler,
                                       ctx, r->connection->log);

        if (rc == NGX_AGAIN) {
            ngx_http_tee_gateway_wait(r, ctx);
            return;
        }
    }

    ngx_http_tee_gateway_go_on(r, ctx, rc);
}


static ngx_int_t
ngx_http_tee_gateway_end(ngx_http_request_t *r,
    ngx_http_tee_gateway_ctx_t *ctx)
{
    tee_str_t  plain;

    plain.len = 0;
    plain.data = NULL;

    if (ctx->rc == TEE_OK) {
        ctx->rc = tee_ohttp_request_open_end(&ctx->open, &plain);
    }

    if (ctx->rc == TEE_OK && ctx->chunked) {
        ctx->rc = ngx_http_tee_gateway_append(ctx, plain);

        plain.data = ctx->plain.data;
        plain.len = ctx->plain.len;
    }

    if (ctx->rc != TEE_OK) {
        return ngx_http_tee_gateway_not_opened(r, ctx);
    }

    ctx->message = plain;

    if (RAND_bytes(ctx->nonce, TEE_OHTTP_MAX_SECRET) != 1) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return NGX_OK;
}


/* RFC 9458, 5.2 and 6.4; nothing about why it cannot be decrypted. */

static ngx_int_t
ngx_http_tee_gateway_not_opened(ngx_http_request_t *r,
    ngx_http_tee_gateway_ctx_t *ctx)
{
    ngx_int_t  rc;

    if (ctx->rc == TEE_NOMEM) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ctx->rc == TEE_LIMIT) {
        return ngx_http_tee_gateway_refuse(r, ctx->conf,
                                           NGX_HTTP_TEE_GATEWAY_LARGE,
                                           NGX_HTTP_REQUEST_ENTITY_TOO_LARGE,
                                           "too_large",
                                           "encapsulated request too large");
    }

    if (ctx->rc == TEE_UNSUPPORTED
        && ctx->conf->profile == NGX_HTTP_TEE_RFC9458)
    {
        rc = ngx_http_tee_gateway_refuse(r, ctx->conf,
                                         NGX_HTTP_TEE_GATEWAY_KEY,
                                         NGX_HTTP_TEE_UNPROCESSABLE,
                                         "unknown_key",
                                         "the key or its algorithms are not "
                                         "offered here; fetch the keys again");

        ngx_http_tee_problem_type(r, "https://iana.org/assignments/"
                                     "http-problem-types#ohttp-key");
        return rc;
    }

    return ngx_http_tee_gateway_refuse(r, ctx->conf,
                                       ctx->rc == TEE_UNSUPPORTED
                                       ? NGX_HTTP_TEE_GATEWAY_KEY
                                       : NGX_HTTP_TEE_GATEWAY_CRYPTO,
                                       NGX_HTTP_BAD_REQUEST, "undecryptable",
                                       "malformed encapsulated request");
}


/* Nothing but the end of the process ends the request meanwhile. */

static void
ngx_http_tee_gateway_wait(ngx_http_request_t *r,
    ngx_http_tee_gateway_ctx_t *ctx)
{
    ngx_http_cleanup_t  *cln;

    ctx->waiting = 1;

    r->read_event_handler = ngx_http_block_reading;
    r->write_event_handler = ngx_http_request_empty_handler;

    cln = ngx_http_cleanup_add(r, 0);

    if (cln == NULL) {
        ngx_http_tee_gateway_forget(ctx);
        ngx_http_tee_gateway_fail(r, ctx, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    cln->handler = ngx_http_tee_gateway_forget;
    cln->data = ctx;
}


static void
ngx_http_tee_gateway_forget(void *data)
{
    ngx_http_tee_gateway_ctx_t  *ctx = data;

    if (ctx->waiting) {
        ctx->waiting = 0;
        ngx_http_tee_replay_forget(ctx->conf->replay, ctx);
    }
}


static void
ngx_http_tee_gateway_replay_handler(void *data, ngx_int_t rc)
{
    ngx_http_tee_gateway_ctx_t  *ctx = data;

    ngx_connection_t    *c;
    ngx_http_request_t  *r;

    r = ctx->request;
    c = r->connection;

    ctx->waiting = 0;

    ngx_http_set_log_request(c->log, r);

    ngx_http_tee_gateway_go_on(r, ctx, rc);

    ngx_http_run_posted_requests(c);
}


static void
ngx_http_tee_gateway_go_on(ngx_http_request_t *r,
    ngx_http_tee_gateway_ctx_t *ctx, ngx_int_t rc)
{
    if (rc != NGX_OK) {
        ngx_http_tee_gateway_fail(r, ctx,
                                  ngx_http_tee_gateway_seen(r, ctx, rc));
        return;
    }

    if (ctx->conf->profile == NGX_HTTP_TEE_OPENGRADIENT) {
        ngx_http_tee_gateway_json(r, ctx);
        return;
    }

    ngx_http_tee_gateway_bhttp(r, ctx);
}


static ngx_int_t
ngx_http_tee_gateway_seen(ngx_http_request_t *r,
    ngx_http_tee_gateway_ctx_t *ctx, ngx_int_t rc)
{
    switch (rc) {

    case NGX_DECLINED:
        return ngx_http_tee_gateway_refuse(r, ctx->conf,
                                           NGX_HTTP_TEE_GATEWAY_REPLAYED,
                                           NGX_HTTP_BAD_REQUEST, "replayed",
                                           "this request has been seen "
                                           "before; seal it anew");
    case NGX_BUSY:
        return ngx_http_tee_gateway_refuse(r, ctx->conf,
                                           NGX_HTTP_TEE_GATEWAY_FULL,
                                           NGX_HTTP_SERVICE_UNAVAILABLE,
                                           "replay_full",
                                           "too many requests to tell new "
                                           "ones from old ones; try later");
    default:
        return ngx_http_tee_gateway_refuse(r, ctx->conf,
                                           NGX_HTTP_TEE_GATEWAY_AWAY,
                                           NGX_HTTP_SERVICE_UNAVAILABLE,
                                           "replay_away",
                                           "the store of seen requests does "
                                           "not answer; try later");
    }
}


/* The profile without BHTTP: the server is that of the outer request, which
 * has nothing else to say about the inner one. */

static void
ngx_http_tee_gateway_json(ngx_http_request_t *r,
    ngx_http_tee_gateway_ctx_t *ctx)
{
    tee_rc_t                       rc;
    ngx_uint_t                     i;
    const char                    *detail;
    ngx_keyval_t                  *field;
    tee_envelope_endpoint_t        endpoint;
    ngx_http_tee_gateway_inner_t   inner;

    static ngx_keyval_t  fields[] = {
        { ngx_string("Content-Type"), ngx_string("application/json") },
        { ngx_string("Authorization"), ngx_string("Bearer ohttp") }
    };

    rc = tee_envelope_request(ctx->message, &ngx_http_tee_alloc, &ctx->body,
                              &endpoint);

    if (rc == TEE_NOMEM) {
        ngx_http_tee_gateway_fail(r, ctx, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    detail = NULL;

    if (rc == TEE_UNSUPPORTED) {
        detail = "inner payload must be a JSON object";

    } else if (rc != TEE_OK) {
        detail = "inner payload is not valid JSON";

    } else if (endpoint == TEE_ENVELOPE_UNKNOWN) {
        detail = "unsupported endpoint";
        ctx->envelope = 1;
    }

    if (detail) {
        ngx_http_tee_gateway_fail(r, ctx,
                 ngx_http_tee_gateway_refuse(r, ctx->conf,
                                             NGX_HTTP_TEE_GATEWAY_MALFORMED,
                                             NGX_HTTP_BAD_REQUEST,
                                             "bad_request", detail));
        return;
    }

    ngx_memzero(&inner, sizeof(ngx_http_tee_gateway_inner_t));

    ngx_str_set(&inner.method, "POST");

    if (endpoint == TEE_ENVELOPE_WEB_SEARCH) {
        ngx_str_set(&inner.path, "/v1/web_search");

    } else {
        ngx_str_set(&inner.path, "/v1/chat/completions");
    }

    if (ngx_array_init(&inner.fields, r->pool, 2, sizeof(ngx_keyval_t))
        != NGX_OK)
    {
        ngx_http_tee_gateway_fail(r, ctx, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    for (i = 0; i < 2; i++) {
        field = ngx_array_push(&inner.fields);
        if (field == NULL) {
            ngx_http_tee_gateway_fail(r, ctx, NGX_HTTP_INTERNAL_SERVER_ERROR);
            return;
        }

        *field = fields[i];
    }

    inner.content = ctx->body;
    inner.keep_server = 1;

    ngx_http_tee_gateway_run(r, ctx, &inner);
}
