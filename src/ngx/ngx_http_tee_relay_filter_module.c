
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <ngx_http_tee.h>
#include <ngx_http_tee_relay.h>


/*
 * tee_relay: what passes through.  Of the request only the header of the
 * sealed message is looked at, which tells the length of the response's
 * nonce; of the response the private billing frame is taken out, and fields
 * that could mark a client are not returned.
 */


static ngx_int_t ngx_http_tee_relay_request_body_filter(ngx_http_request_t *r,
    ngx_chain_t *in);
static ngx_int_t ngx_http_tee_relay_header_filter(ngx_http_request_t *r);
static void ngx_http_tee_relay_strip_response(ngx_http_request_t *r);
static ngx_int_t ngx_http_tee_relay_billing_init(ngx_http_request_t *r,
    ngx_http_tee_relay_ctx_t *ctx);
static void ngx_http_tee_relay_billing_cleanup(void *data);
static ngx_int_t ngx_http_tee_relay_body_filter(ngx_http_request_t *r,
    ngx_chain_t *in);
static ngx_int_t ngx_http_tee_relay_buf(ngx_http_request_t *r,
    ngx_http_tee_relay_ctx_t *ctx, ngx_buf_t *b);
static ngx_int_t ngx_http_tee_relay_broken(ngx_http_request_t *r,
    ngx_http_tee_relay_ctx_t *ctx, const char *why);
static ngx_int_t ngx_http_tee_relay_cost_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_tee_relay_add_variables(ngx_conf_t *cf);
static ngx_int_t ngx_http_tee_relay_filter_init(ngx_conf_t *cf);


static ngx_http_module_t  ngx_http_tee_relay_filter_module_ctx = {
    ngx_http_tee_relay_add_variables,      /* preconfiguration */
    ngx_http_tee_relay_filter_init,        /* postconfiguration */

    NULL,                                  /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    NULL,                                  /* create location configuration */
    NULL                                   /* merge location configuration */
};


ngx_module_t  ngx_http_tee_relay_filter_module = {
    NGX_MODULE_V1,
    &ngx_http_tee_relay_filter_module_ctx, /* module context */
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
static ngx_http_request_body_filter_pt   ngx_http_next_request_body_filter;


/* Fields of a response that a client may need to read it or to try again. */

static ngx_str_t  ngx_http_tee_relay_returned[] = {
    ngx_string("cache-control"),
    ngx_string("retry-after"),
    ngx_string("allow"),
    ngx_string("www-authenticate"),
    ngx_string("proxy-status"),
    ngx_string("incremental"),
    ngx_string("content-encoding"),
    ngx_string("content-range"),
    ngx_null_string
};


/* The member of the billing frame and the field of a single response. */

typedef struct {
    ngx_str_t      variable;
    const char    *member;
    ngx_str_t      field;
} ngx_http_tee_relay_cost_t;


static ngx_http_tee_relay_cost_t  ngx_http_tee_relay_costs[] = {

    { ngx_string("tee_relay_cost_opg"), "cost_opg",
      ngx_string("x-inference-cost-opg") },

    { ngx_string("tee_relay_cost_usd"), "cost_usd",
      ngx_string("x-inference-cost-usd") },

    { ngx_string("tee_relay_opg_price_usd"), "opg_price_usd",
      ngx_string("x-inference-price-opg-usd") },

    { ngx_null_string, NULL, ngx_null_string }
};


static ngx_int_t
ngx_http_tee_relay_request_body_filter(ngx_http_request_t *r, ngx_chain_t *in)
{
    u_char                    *p;
    ngx_chain_t               *cl;
    ngx_http_tee_relay_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_tee_relay_module);

    if (ctx) {
        for (cl = in; cl; cl = cl->next) {

            for (p = cl->buf->pos;
                 p < cl->buf->last && ctx->nhead < sizeof(ctx->head);
                 p++)
            {
                ctx->head[ctx->nhead++] = *p;
            }

            if (cl->buf->last_buf && ctx->nhead == 0 && !cl->buf->in_file) {
                ngx_http_tee_count(NGX_HTTP_TEE_RELAY_EMPTY);
                return ngx_http_tee_problem(r, NGX_HTTP_BAD_REQUEST,
                                            "no_content",
                                            "the request has no content");
            }
        }
    }

    return ngx_http_next_request_body_filter(r, in);
}


static ngx_int_t
ngx_http_tee_relay_header_filter(ngx_http_request_t *r)
{
    ngx_http_tee_relay_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_tee_relay_module);

    if (ctx == NULL || r != r->main || r->upstream == NULL
        || r->err_status >= NGX_HTTP_BAD_REQUEST)
    {
        return ngx_http_next_header_filter(r);
    }

    ngx_http_tee_relay_strip_response(r);

    if (r->headers_out.status < NGX_HTTP_OK) {
        ngx_http_tee_count(NGX_HTTP_TEE_RELAY_BAD_FRAME);

        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "tee relay: gateway answers %ui, which ends no sealed "
                      "exchange", r->headers_out.status);

        ngx_http_clean_header(r);

        return ngx_http_tee_problem(r, NGX_HTTP_BAD_GATEWAY, "bad_gateway",
                                    "the gateway gave no final answer");
    }

    /* the frame exists between a whole request and a chunked response only */

    if (ctx->type == NGX_HTTP_TEE_WHOLE
        && r->headers_out.status >= NGX_HTTP_OK
        && r->headers_out.status < NGX_HTTP_SPECIAL_RESPONSE
        && ngx_http_tee_is_type(&r->headers_out.content_type,
                                      "message/ohttp-chunked-res"))
    {
        if (ngx_http_tee_relay_billing_init(r, ctx) != NGX_OK) {
            return NGX_ERROR;
        }

        ngx_http_clear_content_length(r);
        ngx_http_clear_accept_ranges(r);
        r->main_filter_need_in_memory = 1;
    }

    return ngx_http_next_header_filter(r);
}


static void
ngx_http_tee_relay_strip_response(ngx_http_request_t *r)
{
    ngx_uint_t                      i;
    ngx_list_part_t                *part;
    ngx_table_elt_t                *h;
    ngx_http_tee_relay_loc_conf_t  *rlcf;

    rlcf = ngx_http_get_module_loc_conf(r, ngx_http_tee_relay_module);

    ngx_http_clear_last_modified(r);
    ngx_http_clear_etag(r);

    part = &r->headers_out.headers.part;
    h = part->elts;

    for (i = 0; /* void */ ; i++) {

        if (i >= part->nelts) {
            if (part->next == NULL) {
                break;
            }

            part = part->next;
            h = part->elts;
            i = 0;
        }

        if (h[i].hash
            && &h[i] != r->headers_out.content_length
            && !ngx_http_tee_relay_listed(ngx_http_tee_relay_returned,
                                          &h[i].key)
            && !ngx_http_tee_relay_passes(rlcf, &h[i].key))
        {
            h[i].hash = 0;
        }
    }
}


static ngx_int_t
ngx_http_tee_relay_billing_init(ngx_http_request_t *r,
    ngx_http_tee_relay_ctx_t *ctx)
{
    size_t               nonce_len;
    ngx_uint_t           aead;
    ngx_pool_cleanup_t  *cln;

    cln = ngx_pool_cleanup_add(r->pool, 0);
    if (cln == NULL) {
        return NGX_ERROR;
    }

    /* RFC 9458, 4.4: max(Nn, Nk), which is 16 for AES-128-GCM alone */

    aead = ctx->head[5] << 8 | ctx->head[6];
    nonce_len = (ctx->nhead == sizeof(ctx->head) && aead == 1) ? 16 : 32;

    tee_billing_init(&ctx->billing, nonce_len, &ngx_http_tee_alloc);
    ctx->stripping = 1;

    cln->handler = ngx_http_tee_relay_billing_cleanup;
    cln->data = ctx;

    return NGX_OK;
}


static void
ngx_http_tee_relay_billing_cleanup(void *data)
{
    ngx_http_tee_relay_ctx_t  *ctx = data;

    tee_billing_free(&ctx->billing);
}


/*
 * The buffers are those of an unbuffered upstream: they belong to this
 * request alone, so the frame is closed up within them.
 */

static ngx_int_t
ngx_http_tee_relay_body_filter(ngx_http_request_t *r, ngx_chain_t *in)
{
    ngx_chain_t               *cl;
    ngx_http_tee_relay_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_tee_relay_module);

    if (ctx == NULL || !ctx->stripping || r != r->main) {
        return ngx_http_next_body_filter(r, in);
    }

    if (ctx->failed) {
        return NGX_ERROR;
    }

    for (cl = in; cl; cl = cl->next) {

        if (ngx_buf_in_memory(cl->buf)
            && ngx_http_tee_relay_buf(r, ctx, cl->buf) != NGX_OK)
        {
            return NGX_ERROR;
        }

        if (cl->buf->last_buf && tee_billing_end(&ctx->billing) != TEE_OK) {
            return ngx_http_tee_relay_broken(r, ctx,
                                             "ends before its final chunk");
        }
    }

    return ngx_http_next_body_filter(r, in);
}


static ngx_int_t
ngx_http_tee_relay_buf(ngx_http_request_t *r, ngx_http_tee_relay_ctx_t *ctx,
    ngx_buf_t *b)
{
    u_char     *to;
    tee_rc_t    rc;
    tee_str_t   in, out;
    ngx_uint_t  had;

    in.data = b->pos;
    in.len = b->last - b->pos;
    to = b->pos;
    had = (ctx->billing.json.len != 0);

    while (in.len) {
        rc = tee_billing_read(&ctx->billing, &in, &out);

        if (rc != TEE_OK) {
            return ngx_http_tee_relay_broken(r, ctx, tee_strerror(rc));
        }

        if (out.len) {
            to = ngx_movemem(to, out.data, out.len);
        }
    }

    b->last = to;

    if (!had && ctx->billing.json.len) {
        ngx_http_tee_count(NGX_HTTP_TEE_RELAY_BILLED);
    }

    if (b->pos == b->last) {
        /* nothing left: what remains is the wish to flush */
        b->temporary = 0;
        b->memory = 0;
        b->sync = 1;
    }

    return NGX_OK;
}


/* A response that cannot be told apart from a cut one is not ended well. */

static ngx_int_t
ngx_http_tee_relay_broken(ngx_http_request_t *r,
    ngx_http_tee_relay_ctx_t *ctx, const char *why)
{
    ctx->failed = 1;
    r->connection->error = 1;

    ngx_http_tee_count(NGX_HTTP_TEE_RELAY_BAD_FRAME);

    ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                  "tee relay: chunked response of the gateway is broken: %s; "
                  "the client's connection is reset", why);

    return NGX_ERROR;
}


static ngx_int_t
ngx_http_tee_relay_cost_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    tee_str_t                   value;
    ngx_uint_t                  i;
    ngx_list_part_t            *part;
    ngx_table_elt_t            *h;
    ngx_http_tee_relay_ctx_t   *ctx;
    ngx_http_tee_relay_cost_t  *cost;

    ctx = ngx_http_get_module_ctx(r, ngx_http_tee_relay_module);
    cost = &ngx_http_tee_relay_costs[data];

    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    if (ctx == NULL || r->upstream == NULL) {
        v->not_found = 1;
        return NGX_OK;
    }

    if (ctx->stripping && ctx->billing.json.len
        && tee_billing_member(ctx->billing.json, cost->member,
                              &ngx_http_tee_alloc, &value)
           == TEE_OK)
    {
        v->data = ngx_pnalloc(r->pool, value.len);

        if (v->data) {
            ngx_memcpy(v->data, value.data, value.len);
            v->len = value.len;
        }

        free((void *) value.data);

        return v->data ? NGX_OK : NGX_ERROR;
    }

    part = &r->upstream->headers_in.headers.part;
    h = part->elts;

    for (i = 0; part->elts; i++) {

        if (i >= part->nelts) {
            if (part->next == NULL) {
                break;
            }

            part = part->next;
            h = part->elts;
            i = 0;
        }

        if (h[i].key.len == cost->field.len
            && ngx_strncasecmp(h[i].key.data, cost->field.data,
                               cost->field.len)
               == 0)
        {
            v->data = h[i].value.data;
            v->len = h[i].value.len;
            return NGX_OK;
        }
    }

    v->not_found = 1;

    return NGX_OK;
}


static ngx_int_t
ngx_http_tee_relay_add_variables(ngx_conf_t *cf)
{
    ngx_uint_t            i;
    ngx_http_variable_t  *var;

    for (i = 0; ngx_http_tee_relay_costs[i].member; i++) {
        var = ngx_http_add_variable(cf, &ngx_http_tee_relay_costs[i].variable,
                                    NGX_HTTP_VAR_NOCACHEABLE);
        if (var == NULL) {
            return NGX_ERROR;
        }

        var->get_handler = ngx_http_tee_relay_cost_variable;
        var->data = i;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_tee_relay_filter_init(ngx_conf_t *cf)
{
    ngx_http_next_header_filter = ngx_http_top_header_filter;
    ngx_http_top_header_filter = ngx_http_tee_relay_header_filter;

    ngx_http_next_body_filter = ngx_http_top_body_filter;
    ngx_http_top_body_filter = ngx_http_tee_relay_body_filter;

    ngx_http_next_request_body_filter = ngx_http_top_request_body_filter;
    ngx_http_top_request_body_filter = ngx_http_tee_relay_request_body_filter;

    return NGX_OK;
}
