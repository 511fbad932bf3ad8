
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <ngx_http_tee.h>
#include <ngx_http_tee_verify.h>


/*
 * tee_verify: the response.  Nothing of it leaves before it is verified: it is
 * held with its header, in memory or in a file.  Where it streams, only what
 * comes from the signature on is held, and the header says so.
 */


static ngx_int_t ngx_http_tee_verify_header_filter(ngx_http_request_t *r);
static ngx_int_t ngx_http_tee_verify_own_header(ngx_http_request_t *r,
    ngx_http_tee_verify_ctx_t *ctx);
static void ngx_http_tee_verify_strip(ngx_http_request_t *r,
    ngx_http_tee_verify_ctx_t *ctx);
static ngx_int_t ngx_http_tee_verify_error(ngx_http_request_t *r,
    ngx_http_tee_verify_ctx_t *ctx);
static ngx_int_t ngx_http_tee_verify_begin(ngx_http_request_t *r,
    ngx_http_tee_verify_ctx_t *ctx);
static ngx_int_t ngx_http_tee_verify_fields(ngx_http_request_t *r,
    ngx_http_tee_verify_ctx_t *ctx, const char *verified);

static ngx_int_t ngx_http_tee_verify_body_filter(ngx_http_request_t *r,
    ngx_chain_t *in);
static ngx_int_t ngx_http_tee_verify_hold(ngx_http_request_t *r,
    ngx_http_tee_verify_ctx_t *ctx, ngx_chain_t *in);

static ngx_int_t ngx_http_tee_verify_stream(ngx_http_request_t *r,
    ngx_http_tee_verify_ctx_t *ctx);
static ngx_int_t ngx_http_tee_verify_next(ngx_http_request_t *r,
    ngx_http_tee_verify_ctx_t *ctx);

static ngx_int_t ngx_http_tee_verify_open(ngx_http_request_t *r,
    ngx_http_tee_verify_ctx_t *ctx, const char *verified);
static ngx_int_t ngx_http_tee_verify_send(ngx_http_request_t *r,
    ngx_http_tee_verify_ctx_t *ctx);
static ngx_int_t ngx_http_tee_verify_instead(ngx_http_request_t *r,
    ngx_http_tee_verify_ctx_t *ctx);
static void ngx_http_tee_verify_cleanup(void *data);
#if (nginx_version >= 1029000)
static ngx_int_t ngx_http_tee_verify_early_hints_filter(
    ngx_http_request_t *r);
#endif
static ngx_int_t ngx_http_tee_verify_filter_init(ngx_conf_t *cf);


static ngx_http_module_t  ngx_http_tee_verify_filter_module_ctx = {
    NULL,                                  /* preconfiguration */
    ngx_http_tee_verify_filter_init,       /* postconfiguration */

    NULL,                                  /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    NULL,                                  /* create location configuration */
    NULL                                   /* merge location configuration */
};


ngx_module_t  ngx_http_tee_verify_filter_module = {
    NGX_MODULE_V1,
    &ngx_http_tee_verify_filter_module_ctx,    /* module context */
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
ngx_http_tee_verify_header_filter(ngx_http_request_t *r)
{
    ngx_http_tee_verify_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_tee_verify_module);

    if (ctx == NULL || r != r->main) {
        return ngx_http_next_header_filter(r);
    }

    if (r->err_status) {
        return ngx_http_tee_verify_own_header(r, ctx);
    }

    if (ctx->state != NGX_HTTP_TEE_VERIFY_NOTHING) {
        return NGX_ERROR;
    }

    ngx_http_tee_verify_strip(r, ctx);

    /* to an upstream without a header, nginx would answer without one */

    if (r->http_version < NGX_HTTP_VERSION_10) {
        r->http_version = NGX_HTTP_VERSION_10;
    }

    if (r->headers_out.status >= NGX_HTTP_SPECIAL_RESPONSE) {
        return ngx_http_tee_verify_error(r, ctx);
    }

    ctx->counter = NGX_HTTP_TEE_VERIFY_MEMBERS;
    ngx_memcpy(ctx->id_text, "unknown", sizeof("unknown"));

    if (ngx_http_tee_verify_answerer(r, ctx->id, &ctx->spki) != NGX_OK) {
        ngx_http_tee_verify_why_unknown(ctx);

        return ngx_http_tee_verify_refuse(r, ctx);
    }

    ngx_memcpy(ctx->id_text, "0x", 2);
    ngx_http_tee_hex_id(ctx->id_text + 2, ctx->id);

    if (r->headers_out.status < NGX_HTTP_OK) {
        ctx->reason = "unsigned";
        ctx->detail = "there is no final answer";
        ctx->advice = "it answers with a status that ends no exchange";

        return ngx_http_tee_verify_refuse(r, ctx);
    }

    if (ngx_http_tee_is_encoded(r)) {
        ctx->counter = NGX_HTTP_TEE_VERIFY_MALFORMED;
        ctx->reason = "encoded";
        ctx->detail = "the answer is encoded, so that it cannot be verified";
        ctx->advice = "it was not asked to; does \"proxy_set_header\" send "
                      "\"Accept-Encoding\"?";

        return ngx_http_tee_verify_refuse(r, ctx);
    }

    ctx->events = ngx_http_tee_is_type(&r->headers_out.content_type,
                                       "text/event-stream");

    /* others than chats do not stream, so their events mean nothing to us */

    if (r->headers_out.status == NGX_HTTP_PARTIAL_CONTENT
        || (ctx->events && ctx->asked.endpoint != TEE_CHAT)
        || (!ctx->events
            && !ngx_http_tee_is_type(&r->headers_out.content_type,
                                     "application/json")))
    {
        ctx->reason = "unsigned";
        ctx->detail = "the answer is of a type that is not signed, or a part";
        ctx->advice = "check what \"proxy_pass\" leads to";

        return ngx_http_tee_verify_refuse(r, ctx);
    }

    return ngx_http_tee_verify_begin(r, ctx);
}


/*
 * Errors of nginx, and those that others have made of an answer which we hold.
 */

static ngx_int_t
ngx_http_tee_verify_own_header(ngx_http_request_t *r,
    ngx_http_tee_verify_ctx_t *ctx)
{
    if (ctx->opened
        || ctx->checking
        || ctx->state == NGX_HTTP_TEE_VERIFY_DONE)
    {
        return NGX_ERROR;
    }

    ctx->state = NGX_HTTP_TEE_VERIFY_PASS;

    if (ctx->refused && ngx_http_tee_verify_fields(r, ctx, "false") != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_next_header_filter(r);
}


/* Fields that say what only we may say. */

static void
ngx_http_tee_verify_strip(ngx_http_request_t *r,
    ngx_http_tee_verify_ctx_t *ctx)
{
    ngx_str_t        *names[4];
    ngx_uint_t        i, n;
    ngx_table_elt_t  *h;

    static ngx_str_t  verified = ngx_string("X-TEE-Verified");
    static ngx_str_t  tee_id = ngx_string("X-TEE-Id");

    names[0] = &verified;
    names[1] = &tee_id;
    names[2] = &ctx->conf->verified;
    names[3] = &ctx->conf->tee_id;

    for (i = 0; i < 4; i++) {

        for (n = 0; names[i]->len; n++) {
            h = ngx_http_tee_field(&r->headers_out.headers, names[i], n);

            if (h == NULL) {
                break;
            }

            h->hash = 0;
        }
    }

    r->allow_ranges = 0;
    ngx_http_clear_accept_ranges(r);
}


/*
 * What is none of success has no signature.  A redirect would take the client
 * to where nobody verifies, and fields could do the same.
 */

static ngx_int_t
ngx_http_tee_verify_error(ngx_http_request_t *r,
    ngx_http_tee_verify_ctx_t *ctx)
{
    ngx_uint_t  status;

    ctx->refused = 1;

    ngx_http_tee_count(NGX_HTTP_TEE_VERIFY_ERROR);

    if (ctx->conf->errors == NGX_HTTP_TEE_VERIFY_SHOW) {
        ctx->state = NGX_HTTP_TEE_VERIFY_PASS;

        return ngx_http_tee_verify_fields(r, ctx, "false") == NGX_OK
               ? ngx_http_next_header_filter(r) : NGX_ERROR;
    }

    status = r->headers_out.status;

    if (status < NGX_HTTP_BAD_REQUEST) {
        status = NGX_HTTP_BAD_GATEWAY;
    }

    if (ngx_http_tee_clean_error(r) != NGX_OK) {
        return NGX_ERROR;
    }

    r->headers_out.status = status;
    r->err_status = status;

    (void) ngx_http_tee_problem(r, status, "unsigned_error",
                                "there is an error, or a redirect, instead "
                                "of an answer; its content is not signed, "
                                "and withheld");

    return ngx_http_tee_verify_fields(r, ctx, "false") == NGX_OK
           ? ngx_http_tee_verify_instead(r, ctx) : NGX_ERROR;
}


static ngx_int_t
ngx_http_tee_verify_begin(ngx_http_request_t *r,
    ngx_http_tee_verify_ctx_t *ctx)
{
    ngx_pool_cleanup_t        *cln;
    ngx_http_core_loc_conf_t  *clcf;

    if (r->headers_out.content_length_n > ctx->conf->max_body) {
        ngx_http_tee_verify_why_content(ctx, TEE_LIMIT);
        return ngx_http_tee_verify_refuse(r, ctx);
    }

    cln = ngx_pool_cleanup_add(r->pool, 0);

    if (cln == NULL || ngx_http_tee_held_init(r, &ctx->held) != NGX_OK) {
        return NGX_ERROR;
    }

    cln->handler = ngx_http_tee_verify_cleanup;
    cln->data = ctx;

    tee_signed_stream_init(&ctx->stream, ctx->conf->buffer, 1,
                           &ngx_http_tee_alloc);

    ngx_http_tee_out_init(&ctx->out, ngx_http_next_body_filter,
                          (ngx_buf_tag_t) &ngx_http_tee_verify_filter_module,
                          NGX_HTTP_TEE_BUFFERED_SIGNED);

    r->main_filter_need_in_memory = 1;

    ngx_http_clear_content_length(r);

    /* another label would let others read other characters */

    if (!ngx_http_tee_is_utf8(&r->headers_out.content_type)) {

        if (ctx->events) {
            ngx_str_set(&r->headers_out.content_type, "text/event-stream");

        } else {
            ngx_str_set(&r->headers_out.content_type, "application/json");
        }

        r->headers_out.content_type_len = r->headers_out.content_type.len;
        r->headers_out.content_type_lowcase = NULL;
        r->headers_out.charset.len = 0;
    }

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    /* where nothing but its end could tell that it is cut, it is held */

    if (!ctx->events
        || ctx->conf->mode == NGX_HTTP_TEE_VERIFY_HELD
        || r->http_version < NGX_HTTP_VERSION_11
        || !clcf->chunked_transfer_encoding)
    {
        ctx->state = NGX_HTTP_TEE_VERIFY_HOLD;
        return NGX_OK;
    }

    /* its header waits for the first event that may pass */

    ctx->state = NGX_HTTP_TEE_VERIFY_STREAM;

    return NGX_OK;
}


static ngx_int_t
ngx_http_tee_verify_fields(ngx_http_request_t *r,
    ngx_http_tee_verify_ctx_t *ctx, const char *verified)
{
    ngx_list_t                      *list;
    ngx_http_tee_verify_loc_conf_t  *vlcf;

    vlcf = ctx->conf;
    list = &r->headers_out.headers;

    if (vlcf->verified.len == 0) {
        return NGX_OK;
    }

    if (ngx_http_tee_add_field(list, (char *) vlcf->verified.data, verified)
        == NULL)
    {
        return NGX_ERROR;
    }

    /* who has answered is no news where nobody is believed */

    if (ctx->refused) {
        return NGX_OK;
    }

    return ngx_http_tee_add_field(list, (char *) vlcf->tee_id.data,
                                  (char *) ctx->id_text)
           ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
ngx_http_tee_verify_body_filter(ngx_http_request_t *r, ngx_chain_t *in)
{
    ngx_int_t                   rc;
    ngx_chain_t                *cl;
    ngx_http_tee_verify_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_tee_verify_module);

    if (ctx == NULL || r != r->main) {
        return ngx_http_next_body_filter(r, in);
    }

    /* nobody has signed trailers; those of nginx are added below */

    r->headers_out.trailers.part.nelts = 0;
    r->headers_out.trailers.part.next = NULL;
    r->headers_out.trailers.last = &r->headers_out.trailers.part;

    switch (ctx->state) {

    case NGX_HTTP_TEE_VERIFY_NOTHING:
        return in ? NGX_ERROR : ngx_http_next_body_filter(r, NULL);

    case NGX_HTTP_TEE_VERIFY_PASS:
        return ngx_http_next_body_filter(r, in);

    case NGX_HTTP_TEE_VERIFY_DONE:

        /* a filter above has more to say behind the answer */

        if (ctx->complete && in) {
            return ngx_http_next_body_filter(r, in);
        }

        ngx_http_tee_chain_enough(r, &in);
        return ngx_http_tee_chain_drop(r, NULL, ngx_http_next_body_filter);

    case NGX_HTTP_TEE_VERIFY_RELEASE:
        return ngx_http_tee_verify_send(r, ctx);

    default:
        break;
    }

    for (cl = in; cl; cl = cl->next) {

        if (cl->buf->last_buf) {
            ctx->last = 1;

        } else if (cl->buf->flush && ngx_http_tee_cut(r)) {
            ctx->failed = 1;
        }
    }

    if (ctx->checking) {
        return NGX_AGAIN;
    }

    if (ctx->state == NGX_HTTP_TEE_VERIFY_HOLD) {
        rc = ngx_http_tee_verify_hold(r, ctx, in);

        if (ctx->state == NGX_HTTP_TEE_VERIFY_DONE) {
            ngx_http_tee_chain_enough(r, &in);
        }

        return rc;
    }

    if (ngx_http_tee_chain_add(r, &ctx->in, in) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_tee_verify_stream(r, ctx);
}


static ngx_int_t
ngx_http_tee_verify_hold(ngx_http_request_t *r,
    ngx_http_tee_verify_ctx_t *ctx, ngx_chain_t *in)
{
    tee_rc_t    read;
    ngx_buf_t  *b;
    tee_str_t   text;
    ngx_int_t   rc;

    for (rc = NGX_OK; in; in = in->next) {
        b = in->buf;

        if (ngx_buf_size(b) == 0) {
            continue;
        }

        if (!ngx_buf_in_memory(b)) {
            return NGX_ERROR;
        }

        if (rc == NGX_OK) {
            rc = ngx_http_tee_verify_keep(r, ctx, b->pos, b->last - b->pos);
        }

        if (rc == NGX_OK && ctx->events) {
            text.data = b->pos;
            text.len = b->last - b->pos;

            read = tee_signed_stream_read(&ctx->stream, text);

            if (read != TEE_OK) {
                ngx_http_tee_verify_why_content(ctx, read);
                rc = NGX_DECLINED;
            }
        }

        b->pos = b->last;
    }

    if (rc == NGX_ERROR) {
        return NGX_ERROR;
    }

    if (rc == NGX_OK && ctx->last) {
        return ctx->events ? ngx_http_tee_verify_check_events(r, ctx)
                           : ngx_http_tee_verify_check_body(r, ctx);
    }

    if (rc == NGX_OK && ctx->failed) {
        ngx_http_tee_verify_why_content(ctx, TEE_INCOMPLETE);
        rc = NGX_DECLINED;
    }

    return rc == NGX_OK ? NGX_OK : ngx_http_tee_verify_refuse(r, ctx);
}


static ngx_int_t
ngx_http_tee_verify_stream(ngx_http_request_t *r,
    ngx_http_tee_verify_ctx_t *ctx)
{
    ngx_int_t  rc;

    for ( ;; ) {

        if (ctx->pending.len) {
            ctx->dirty = 1;

            if (!ctx->opened
                && ngx_http_tee_verify_open(r, ctx, "pending") != NGX_OK)
            {
                return NGX_ERROR;
            }

            rc = ngx_http_tee_out_put(r, &ctx->out, &ctx->pending);

            if (rc != NGX_OK) {
                return rc;
            }
        }

        if (ctx->in == NULL) {
            break;
        }

        rc = ngx_http_tee_verify_next(r, ctx);

        if (rc != NGX_OK) {
            return rc == NGX_ERROR ? NGX_ERROR
                                   : ngx_http_tee_verify_refuse(r, ctx);
        }
    }

    if (ctx->last) {
        return ngx_http_tee_verify_check_events(r, ctx);
    }

    if (ctx->failed) {
        ngx_http_tee_verify_why_content(ctx, TEE_INCOMPLETE);
        return ngx_http_tee_verify_refuse(r, ctx);
    }

    return ngx_http_tee_verify_send(r, ctx);
}


/* Reads up to the end of an event; sets what is to be sent, or holds it.
 * NGX_DECLINED: it is to be refused. */

static ngx_int_t
ngx_http_tee_verify_next(ngx_http_request_t *r, ngx_http_tee_verify_ctx_t *ctx)
{
    tee_rc_t      rc;
    ngx_buf_t    *b;
    tee_str_t     in, event;
    ngx_chain_t  *cl;

    cl = ctx->in;
    b = cl->buf;

    in.data = b->pos;
    in.len = b->last - b->pos;

    rc = tee_signed_stream_next(&ctx->stream, &in, &event);

    b->pos = (u_char *) in.data;

    if (rc != TEE_OK) {
        ngx_http_tee_verify_why_content(ctx, rc);
        return NGX_DECLINED;
    }

    if (b->pos == b->last) {
        ctx->in = cl->next;
        ngx_free_chain(r->pool, cl);
    }

    if (event.len == 0) {
        return NGX_OK;
    }

    /* many clients read no further, and would not see how it ends */

    if (!ctx->stream.has_signature && !ctx->stream.ended) {
        ctx->pending = event;
        return NGX_OK;
    }

    return ngx_http_tee_verify_keep(r, ctx, (u_char *) event.data, event.len);
}


ngx_int_t
ngx_http_tee_verify_release(ngx_http_request_t *r,
    ngx_http_tee_verify_ctx_t *ctx)
{
    if (!ctx->opened) {
        r->headers_out.content_length_n = ctx->pending.len;

        if (ngx_http_tee_verify_open(r, ctx, "true") != NGX_OK) {
            return NGX_ERROR;
        }
    }

    ctx->state = NGX_HTTP_TEE_VERIFY_RELEASE;

    return ngx_http_tee_verify_send(r, ctx);
}


static ngx_int_t
ngx_http_tee_verify_open(ngx_http_request_t *r, ngx_http_tee_verify_ctx_t *ctx,
    const char *verified)
{
    ngx_int_t  rc;

    ctx->opened = 1;

    if (ngx_http_tee_verify_fields(r, ctx, verified) != NGX_OK) {
        return NGX_ERROR;
    }

    rc = ngx_http_next_header_filter(r);

    return rc == NGX_ERROR || rc > NGX_OK ? NGX_ERROR : NGX_OK;
}


static ngx_int_t
ngx_http_tee_verify_send(ngx_http_request_t *r, ngx_http_tee_verify_ctx_t *ctx)
{
    ngx_int_t  rc;

    if (ctx->pending.len) {
        rc = ngx_http_tee_out_put(r, &ctx->out, &ctx->pending);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    if (ctx->state == NGX_HTTP_TEE_VERIFY_RELEASE) {
        ctx->state = NGX_HTTP_TEE_VERIFY_DONE;
        ctx->complete = 1;

        return ngx_http_tee_out_flush(r, &ctx->out, 1);
    }

    if (ctx->dirty) {
        ctx->dirty = 0;

        return ngx_http_tee_out_flush(r, &ctx->out, 0);
    }

    return ngx_http_tee_out_more(r, &ctx->out);
}


/*
 * While nothing has been sent, there is an error instead; error_page may have
 * a say as long as no filter above has taken the answer for sent.  What
 * streams cannot be taken back: it must not look like a whole answer.
 */

ngx_int_t
ngx_http_tee_verify_refuse(ngx_http_request_t *r,
    ngx_http_tee_verify_ctx_t *ctx)
{
    ngx_int_t  rc;

    ctx->refused = 1;

    ngx_http_tee_count(ctx->counter);

    ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                  "tee verify: %s from TEE %s is refused: %s (%s)",
                  ctx->opened ? "the rest of a stream" : "an answer",
                  ctx->id_text, ctx->detail, ctx->advice);

    if (ctx->opened) {
        ctx->state = NGX_HTTP_TEE_VERIFY_DONE;

        /* what has passed is as good as it was */

        if (ctx->dirty) {
            (void) ngx_http_tee_out_flush(r, &ctx->out, 0);
        }

        r->keepalive = 0;
        r->connection->error = 1;

        return NGX_ERROR;
    }

    ngx_http_clean_header(r);

    rc = ngx_http_tee_problem(r, NGX_HTTP_BAD_GATEWAY, ctx->reason,
                              ctx->detail);

    if (ctx->state == NGX_HTTP_TEE_VERIFY_NOTHING
        && (r->upstream == NULL || !r->upstream->header_sent))
    {
        ctx->state = NGX_HTTP_TEE_VERIFY_PASS;
        return rc;
    }

    r->headers_out.status = NGX_HTTP_BAD_GATEWAY;
    r->err_status = NGX_HTTP_BAD_GATEWAY;

    if (ngx_http_tee_verify_fields(r, ctx, "false") != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_tee_verify_instead(r, ctx);
}


/* A header without what would follow it; the problem filter fills it in. */

static ngx_int_t
ngx_http_tee_verify_instead(ngx_http_request_t *r,
    ngx_http_tee_verify_ctx_t *ctx)
{
    ngx_int_t  rc;

    ctx->state = NGX_HTTP_TEE_VERIFY_DONE;

    ngx_http_tee_held_free(&ctx->held);

    /* the client waits for its next response */

    ngx_http_tee_chain_enough(r, &ctx->in);

    /* that of another location has been dealt with by coming here */

    r->error_page = 0;

    rc = ngx_http_next_header_filter(r);

    if (rc == NGX_ERROR || rc > NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_tee_chain_end(r, ngx_http_next_body_filter);
}


static void
ngx_http_tee_verify_cleanup(void *data)
{
    ngx_http_tee_verify_ctx_t  *ctx = data;

    tee_signed_stream_free(&ctx->stream);
}


#if (nginx_version >= 1029000)

/* They come before anything could be verified. */

static ngx_int_t
ngx_http_tee_verify_early_hints_filter(ngx_http_request_t *r)
{
    return ngx_http_get_module_ctx(r, ngx_http_tee_verify_module)
           ? NGX_OK : ngx_http_next_early_hints_filter(r);
}

#endif


static ngx_int_t
ngx_http_tee_verify_filter_init(ngx_conf_t *cf)
{
    ngx_http_next_header_filter = ngx_http_top_header_filter;
    ngx_http_top_header_filter = ngx_http_tee_verify_header_filter;

    ngx_http_next_body_filter = ngx_http_top_body_filter;
    ngx_http_top_body_filter = ngx_http_tee_verify_body_filter;

#if (nginx_version >= 1029000)
    ngx_http_next_early_hints_filter = ngx_http_top_early_hints_filter;
    ngx_http_top_early_hints_filter = ngx_http_tee_verify_early_hints_filter;
#endif

    return NGX_OK;
}
