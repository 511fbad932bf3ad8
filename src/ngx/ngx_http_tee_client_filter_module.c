
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <ngx_http_tee.h>
#include <ngx_http_tee_client_ctx.h>


/*
 * tee_client: the first filter that sees what a relay answers.  The header is
 * held until that of the response within is known; everybody below sees a
 * plain response, and of what cannot be believed nothing.
 */


static ngx_int_t ngx_http_tee_client_header_filter(ngx_http_request_t *r);
static ngx_int_t ngx_http_tee_client_sealed(ngx_http_request_t *r,
    ngx_http_tee_client_ctx_t *ctx);
static ngx_int_t ngx_http_tee_client_opener(ngx_http_request_t *r,
    ngx_http_tee_client_ctx_t *ctx, ngx_uint_t chunked);
static ngx_int_t ngx_http_tee_client_relay_error(ngx_http_request_t *r,
    ngx_http_tee_client_ctx_t *ctx);
static ngx_uint_t ngx_http_tee_client_hints(ngx_http_request_t *r,
    ngx_http_tee_client_ctx_t *ctx);
static ngx_int_t ngx_http_tee_client_weigh(ngx_http_request_t *r,
    ngx_http_tee_client_ctx_t *ctx, ngx_chain_t *in);
static ngx_uint_t ngx_http_tee_client_unsent(ngx_http_request_t *r);
static ngx_int_t ngx_http_tee_client_body_filter(ngx_http_request_t *r,
    ngx_chain_t *in);
static ngx_int_t ngx_http_tee_client_add_in(ngx_http_request_t *r,
    ngx_http_tee_client_ctx_t *ctx, ngx_chain_t *in);
static ngx_int_t ngx_http_tee_client_broken(ngx_http_request_t *r,
    ngx_http_tee_client_ctx_t *ctx, const char *why);
static ngx_int_t ngx_http_tee_client_send_error(ngx_http_request_t *r,
    ngx_http_tee_client_ctx_t *ctx, ngx_uint_t status);
static void ngx_http_tee_client_reset(ngx_http_request_t *r);
#if (nginx_version >= 1029000)
static ngx_int_t ngx_http_tee_client_early_hints_filter(
    ngx_http_request_t *r);
#endif
static ngx_int_t ngx_http_tee_client_filter_init(ngx_conf_t *cf);


static ngx_http_module_t  ngx_http_tee_client_filter_module_ctx = {
    NULL,                                  /* preconfiguration */
    ngx_http_tee_client_filter_init,       /* postconfiguration */

    NULL,                                  /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    NULL,                                  /* create location configuration */
    NULL                                   /* merge location configuration */
};


ngx_module_t  ngx_http_tee_client_filter_module = {
    NGX_MODULE_V1,
    &ngx_http_tee_client_filter_module_ctx,    /* module context */
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


/* What a message within may have, whatever its length. */

static const tee_bhttp_limits_t  ngx_http_tee_client_limits = {
    .control = 65536,
    .field = 65536,
    .section = 262144,
    .fields = 1000,
    .informational = 16,
    .content = (uint64_t) 1 << 60
};


static ngx_int_t
ngx_http_tee_client_header_filter(ngx_http_request_t *r)
{
    ngx_int_t                   rc;
    ngx_http_tee_client_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_tee_client_module);

    if (ctx == NULL || r != r->main) {
        return ngx_http_next_header_filter(r);
    }

    ngx_http_tee_client_restore(r, ctx);

    /* a response without a header would make ours one */

    r->http_version = ctx->http_version;

    /* errors of our own, before or instead of an answer of the relay */

    if (!ctx->sealed || r->upstream == NULL
        || r->err_status >= NGX_HTTP_BAD_REQUEST)
    {
        if (ctx->sealed && ngx_http_tee_client_unsent(r)) {
            rc = ngx_http_tee_client_retry(r, ctx, TEE_PROBLEM_UNSENT);

            if (rc != NGX_DECLINED) {

                /* there is no content either */

                r->header_only = 1;
                return rc;
            }
        }

        ctx->sealed = 0;
        return ngx_http_next_header_filter(r);
    }

    /* none of it is about the response within */

    r->disable_not_modified = 1;
    r->allow_ranges = 0;
    r->single_range = 0;
    r->expect_trailers = 0;

    rc = ngx_http_tee_client_sealed(r, ctx);

    if (rc == NGX_DECLINED) {
        return ngx_http_tee_client_relay_error(r, ctx);
    }

    return rc;
}


/* Nobody could be reached, or nobody who has the right certificate. */

static ngx_uint_t
ngx_http_tee_client_unsent(ngx_http_request_t *r)
{
    return r->upstream && !r->upstream->request_sent
           && (r->err_status == NGX_HTTP_BAD_GATEWAY
               || r->err_status == NGX_HTTP_GATEWAY_TIME_OUT);
}


/* NGX_DECLINED: the answer is not sealed. */

static ngx_int_t
ngx_http_tee_client_sealed(ngx_http_request_t *r,
    ngx_http_tee_client_ctx_t *ctx)
{
    ngx_str_t                   *type;
    ngx_uint_t                   status, chunked;
    ngx_http_tee_client_whom_t  *whom;

    static ngx_str_t  content_encoding = ngx_string("content-encoding");

    whom = ctx->conf->whom;
    type = &r->headers_out.content_type;
    status = r->headers_out.status;

    if (ngx_http_tee_is_type(type, "message/ohttp-res")) {
        chunked = 0;

    } else if (ngx_http_tee_is_type(type, "message/ohttp-chunked-res")) {
        chunked = 1;

    } else {
        return NGX_DECLINED;
    }

    if (ngx_http_tee_field(&r->headers_out.headers, &content_encoding, 0)) {
        return NGX_DECLINED;
    }

    if (whom->profile == NGX_HTTP_TEE_OPENGRADIENT) {

        if (status < NGX_HTTP_OK || status >= NGX_HTTP_SPECIAL_RESPONSE) {
            return NGX_DECLINED;
        }

        ctx->form = chunked ? NGX_HTTP_TEE_CLIENT_EVENTS
                            : NGX_HTTP_TEE_CLIENT_JSON;

    } else {

        if (status != NGX_HTTP_OK || chunked != whom->chunked) {
            return NGX_DECLINED;
        }

        ctx->form = NGX_HTTP_TEE_CLIENT_BHTTP;
    }

    return ngx_http_tee_client_opener(r, ctx, chunked);
}


static ngx_int_t
ngx_http_tee_client_opener(ngx_http_request_t *r,
    ngx_http_tee_client_ctx_t *ctx, ngx_uint_t chunked)
{
    tee_crypto_t  *crypto;

    crypto = ngx_http_tee_crypto();
    if (crypto == NULL) {
        return NGX_ERROR;
    }

    if (ctx->form == NGX_HTTP_TEE_CLIENT_BHTTP) {

        if (ngx_array_init(&ctx->fields, r->pool, 8, sizeof(ngx_keyval_t))
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        tee_bhttp_read_init(&ctx->bhttp, 0, &ngx_http_tee_client_limits,
                            &ngx_http_tee_alloc);
    }

    tee_ohttp_response_open_init(&ctx->open, crypto, &ngx_http_tee_alloc,
                                 &ctx->seal.exchange, chunked,
                                 ctx->conf->buffer);

    ngx_http_tee_out_init(&ctx->out, ngx_http_next_body_filter,
                          NGX_HTTP_TEE_CLIENT_TAG,
                          NGX_HTTP_TEE_BUFFERED_SEALED);

    ctx->opening = 1;
    ctx->length = -1;

    r->filter_need_in_memory = 1;
    r->main_filter_need_in_memory = 1;

    return NGX_OK;
}


/*
 * Whoever stands between us and the enclave may say this, and it is passed on
 * as such: a status, and when to try again.
 */

static ngx_int_t
ngx_http_tee_client_relay_error(ngx_http_request_t *r,
    ngx_http_tee_client_ctx_t *ctx)
{
    ngx_int_t   rc;
    ngx_uint_t  status;

    status = r->headers_out.status;

    if (status < NGX_HTTP_BAD_REQUEST || status > 599) {

        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "tee client: relay answers %ui without anything sealed",
                      status);

        return ngx_http_tee_client_broken(r, ctx, NULL);
    }

    ngx_http_tee_count(NGX_HTTP_TEE_CLIENT_RELAY_ERRORS);

    ngx_log_error(NGX_LOG_WARN, r->connection->log, 0,
                  "tee client: relay answers %ui", status);

    if (ngx_http_tee_client_hints(r, ctx)) {
        ctx->weighing = 1;
        r->filter_need_in_memory = 1;

        return NGX_OK;
    }

    rc = ngx_http_tee_client_pass_error(r, ctx);

    /* all has been said, and whoever passes the rest on may stop */

    r->header_only = 1;

    return rc;
}


/* Its content may say that the request can be sent again. */

static ngx_uint_t
ngx_http_tee_client_hints(ngx_http_request_t *r,
    ngx_http_tee_client_ctx_t *ctx)
{
    ngx_str_t  *type;

    type = &r->headers_out.content_type;

    return ngx_http_tee_client_may_retry(ctx)
           && r->headers_out.content_length_n <= TEE_PROBLEM_MAX_LEN
           && (ngx_http_tee_is_type(type, "application/problem+json")
               || ngx_http_tee_is_type(type, "application/json"));
}


/* Nothing of it is passed on, whatever it says. */

static ngx_int_t
ngx_http_tee_client_weigh(ngx_http_request_t *r,
    ngx_http_tee_client_ctx_t *ctx, ngx_chain_t *in)
{
    ngx_int_t     rc;
    ngx_buf_t    *b;
    tee_str_t     text;
    ngx_uint_t    last, large;
    ngx_chain_t  *cl;

    last = 0;
    large = 0;

    for (cl = in; cl; cl = cl->next) {
        b = cl->buf;

        rc = ngx_http_tee_held_add(r, &ctx->hint, b->pos, b->last - b->pos,
                                   TEE_PROBLEM_MAX_LEN);
        if (rc == NGX_ERROR) {
            return NGX_ERROR;
        }

        large |= (rc == NGX_DECLINED);
        last |= b->last_buf;

        b->pos = b->last;
    }

    if (!last && !large && !ngx_http_tee_cut(r)) {
        return NGX_OK;
    }

    ctx->weighing = 0;

    if (last && !large) {
        text.data = ctx->hint.data;
        text.len = ctx->hint.len;

        rc = ngx_http_tee_client_retry(r, ctx,
                                       tee_problem_read(text,
                                                        &ngx_http_tee_alloc));
        if (rc != NGX_DECLINED) {
            return rc;
        }
    }

    ngx_http_tee_chain_enough(r, &ctx->in);

    return ngx_http_tee_client_pass_error(r, ctx);
}


ngx_int_t
ngx_http_tee_client_pass_error(ngx_http_request_t *r,
    ngx_http_tee_client_ctx_t *ctx)
{
    ngx_uint_t  status;

    status = r->headers_out.status;

    /* where it may be the enclave's fault */

    if (status == NGX_HTTP_NOT_FOUND
        || status == NGX_HTTP_TEE_UNPROCESSABLE
        || status == NGX_HTTP_BAD_GATEWAY
        || status == NGX_HTTP_SERVICE_UNAVAILABLE
        || status == NGX_HTTP_GATEWAY_TIME_OUT)
    {
        ngx_http_tee_client_avoid(ctx);
    }

    if (status == NGX_HTTP_TEE_UNPROCESSABLE && ctx->conf->whom->keys) {
        ngx_http_tee_client_keys_hurry(ctx->conf->whom->keys);
    }

    if (ngx_http_tee_clean_error(r) != NGX_OK) {
        return NGX_ERROR;
    }

    (void) ngx_http_tee_problem(r, status, "relay_error",
                                "the relay answers with an error, which "
                                "nobody has signed or sealed");

    return ngx_http_tee_client_send_error(r, ctx, status);
}


static ngx_int_t
ngx_http_tee_client_body_filter(ngx_http_request_t *r, ngx_chain_t *in)
{
    ngx_int_t                   rc;
    const char                 *why;
    ngx_http_tee_client_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_tee_client_module);

    if (ctx == NULL || r != r->main || !ctx->sealed) {
        return ngx_http_next_body_filter(r, in);
    }

    if (ctx->weighing) {
        return ngx_http_tee_client_weigh(r, ctx, in);
    }

    /* whoever verifies has put an error in its place */

    if (ctx->begun && r->err_status) {
        ctx->done = 1;
        ngx_http_tee_chain_enough(r, &ctx->in);
    }

    if (ctx->done || !ctx->opening) {
        return ngx_http_tee_chain_drop(r, in, ngx_http_next_body_filter);
    }

    if (ngx_http_tee_client_add_in(r, ctx, in) != NGX_OK) {
        return NGX_ERROR;
    }

    why = NULL;

    rc = ngx_http_tee_client_open(r, ctx, &why);

    if (rc == NGX_DECLINED) {
        return ngx_http_tee_client_broken(r, ctx, why);
    }

    if (rc == NGX_OK && ngx_http_tee_cut(r) && !ctx->done) {
        return ngx_http_tee_client_broken(r, ctx, "it has been cut");
    }

    return rc;
}


/* Keeps links to what has come, and what is said with it. */

static ngx_int_t
ngx_http_tee_client_add_in(ngx_http_request_t *r,
    ngx_http_tee_client_ctx_t *ctx, ngx_chain_t *in)
{
    ngx_chain_t  *cl;

    for (cl = in; cl; cl = cl->next) {

        if (cl->buf->last_buf) {
            ctx->last = 1;
        }
    }

    return ngx_http_tee_chain_add(r, &ctx->in, in);
}


ngx_int_t
ngx_http_tee_client_begin(ngx_http_request_t *r,
    ngx_http_tee_client_ctx_t *ctx)
{
    ngx_int_t  rc;

    rc = ngx_http_tee_client_fields(r, ctx);

    if (rc != NGX_OK) {
        return rc;
    }

    ctx->begun = 1;
    ctx->length = r->headers_out.content_length_n;

    /* with all of its content, but not its final chunk, an answer is cut */

    if (ctx->conf->whom->chunked && r->method != NGX_HTTP_HEAD) {
        r->headers_out.content_length_n = -1;
    }

    ngx_http_tee_count(NGX_HTTP_TEE_CLIENT_OPENED);

    rc = ngx_http_next_header_filter(r);

    if (rc == NGX_ERROR || rc > NGX_OK) {
        return NGX_ERROR;
    }

    if (r->header_only) {
        ctx->done = 1;
        ngx_http_tee_chain_enough(r, &ctx->in);
    }

    return NGX_OK;
}


/*
 * Nothing of it is believed.  As long as the application has nothing, it gets
 * an error; afterwards the connection is reset: no byte may pass as the end.
 */

static ngx_int_t
ngx_http_tee_client_broken(ngx_http_request_t *r,
    ngx_http_tee_client_ctx_t *ctx, const char *why)
{
    ngx_int_t  rc;

    ngx_http_tee_count(NGX_HTTP_TEE_CLIENT_BROKEN);
    ngx_http_tee_client_avoid(ctx);

    if (why) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "tee client: sealed answer is not believed: %s", why);
    }

    ctx->done = 1;

    ngx_http_tee_chain_enough(r, &ctx->in);

    if (r->header_sent) {

        /* what has been opened before it is as good as it was */

        if (ctx->put) {
            (void) ngx_http_tee_out_flush(r, &ctx->out, 0);
        }

        ngx_http_tee_client_reset(r);

        return NGX_ERROR;
    }

    ngx_http_clean_header(r);

    if (why) {
        (void) ngx_http_tee_problem(r, NGX_HTTP_BAD_GATEWAY, "broken_answer",
                                    "the sealed answer does not open, or has "
                                    "been cut");

    } else {
        (void) ngx_http_tee_problem(r, NGX_HTTP_BAD_GATEWAY, "not_sealed",
                                    "the relay answers without anything "
                                    "sealed");
    }

    rc = ngx_http_tee_client_send_error(r, ctx, NGX_HTTP_BAD_GATEWAY);

    if (!ctx->opening) {

        /* in the header filter */

        r->header_only = 1;
    }

    return rc;
}


/* The problem filter below us makes its content. */

static ngx_int_t
ngx_http_tee_client_send_error(ngx_http_request_t *r,
    ngx_http_tee_client_ctx_t *ctx, ngx_uint_t status)
{
    ngx_int_t  rc;

    ctx->done = 1;

    /* behind an error page, too, the content is ours */

    r->error_page = 0;
    r->err_status = status;
    r->headers_out.status = status;

    rc = ngx_http_next_header_filter(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    return ngx_http_tee_chain_end(r, ngx_http_next_body_filter);
}


/* Where the end of the connection is that of a response, a proper one would
 * make it look complete. */

static void
ngx_http_tee_client_reset(ngx_http_request_t *r)
{
    struct linger  linger;

    r->keepalive = 0;
    r->connection->error = 1;

    if (r->http_version >= NGX_HTTP_VERSION_20
        || r->chunked
        || r->headers_out.content_length_n >= 0)
    {
        return;
    }

    linger.l_onoff = 1;
    linger.l_linger = 0;

    if (setsockopt(r->connection->fd, SOL_SOCKET, SO_LINGER,
                   (const void *) &linger, sizeof(struct linger))
        == -1)
    {
        ngx_log_error(NGX_LOG_ALERT, r->connection->log, ngx_socket_errno,
                      "tee client: setsockopt(SO_LINGER) failed");
    }
}


#if (nginx_version >= 1029000)

/* Nobody has sealed them. */

static ngx_int_t
ngx_http_tee_client_early_hints_filter(ngx_http_request_t *r)
{
    ngx_http_tee_client_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_tee_client_module);

    if (ctx == NULL || r != r->main) {
        return ngx_http_next_early_hints_filter(r);
    }

    return NGX_OK;
}

#endif


static ngx_int_t
ngx_http_tee_client_filter_init(ngx_conf_t *cf)
{
    ngx_http_next_header_filter = ngx_http_top_header_filter;
    ngx_http_top_header_filter = ngx_http_tee_client_header_filter;

    ngx_http_next_body_filter = ngx_http_top_body_filter;
    ngx_http_top_body_filter = ngx_http_tee_client_body_filter;

#if (nginx_version >= 1029000)
    ngx_http_next_early_hints_filter = ngx_http_top_early_hints_filter;
    ngx_http_top_early_hints_filter = ngx_http_tee_client_early_hints_filter;
#endif

    return NGX_OK;
}
