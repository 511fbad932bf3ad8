
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <ngx_http_tee.h>
#include <ngx_http_tee_client_ctx.h>
#include <ngx_http_tee_threads.h>


/* Shaping less than this takes a fraction of a millisecond. */

#define NGX_HTTP_TEE_CLIENT_INLINE  32768


/* The data of a thread's job. */

typedef struct {
    ngx_http_tee_client_ctx_t     *ctx;
    tee_inner_endpoint_t           endpoint;
    tee_inner_t                    inner;
    tee_write_t                    w;
    tee_rc_t                       rc;
} ngx_http_tee_client_shape_t;


/*
 * The application's request is read into memory that is wiped with it, and
 * never written to a file; what has been sealed takes its place, and nothing
 * but that is there for the proxy to send.
 */


static void ngx_http_tee_client_body_handler(ngx_http_request_t *r);
static void ngx_http_tee_client_fail(ngx_http_request_t *r,
    ngx_http_tee_client_ctx_t *ctx, ngx_int_t rc);
static ngx_int_t ngx_http_tee_client_take(ngx_http_request_t *r, void *data,
    u_char *p, size_t len);
static ngx_int_t ngx_http_tee_client_json(ngx_http_request_t *r,
    ngx_http_tee_client_ctx_t *ctx);
static void ngx_http_tee_client_shape_work(void *data);
static void ngx_http_tee_client_shape_done(ngx_http_request_t *r, void *data);
static ngx_int_t ngx_http_tee_client_shaped(ngx_http_request_t *r,
    ngx_http_tee_client_shape_t *shape);
static void ngx_http_tee_client_shaped_handler(ngx_http_request_t *r);
static ngx_int_t ngx_http_tee_client_send(ngx_http_request_t *r,
    ngx_http_tee_client_ctx_t *ctx);
static ngx_int_t ngx_http_tee_client_endpoint(ngx_http_request_t *r,
    tee_inner_endpoint_t *endpoint);
static ngx_int_t ngx_http_tee_client_headers(ngx_http_request_t *r,
    ngx_http_tee_client_ctx_t *ctx, ngx_list_t *list);
static ngx_int_t ngx_http_tee_client_add(ngx_http_request_t *r,
    ngx_list_t *list, const char *name, ngx_str_t *value);
static void ngx_http_tee_client_hide(ngx_http_request_t *r,
    ngx_http_tee_client_ctx_t *ctx, ngx_list_t *headers);


ngx_int_t
ngx_http_tee_client_read(ngx_http_request_t *r,
    ngx_http_tee_client_ctx_t *ctx)
{
    ngx_int_t  rc;

    ctx->reading = 1;

    rc = ngx_http_tee_read_content(r, ngx_http_tee_client_body_handler);

    if (rc >= NGX_HTTP_SPECIAL_RESPONSE) {
        ctx->reading = 0;
    }

    return rc;
}


static void
ngx_http_tee_client_body_handler(ngx_http_request_t *r)
{
    ngx_int_t                   rc;
    ngx_http_tee_client_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_tee_client_module);

    rc = ngx_http_tee_take_content(r, ngx_http_tee_client_body_handler,
                                   ngx_http_tee_client_take, ctx);

    if (rc == NGX_AGAIN) {
        return;
    }

    if (rc != NGX_OK) {
        ngx_http_tee_client_fail(r, ctx, rc);
        return;
    }

    ctx->reading = 0;

    if (ctx->conf->whom->profile == NGX_HTTP_TEE_OPENGRADIENT) {
        rc = ngx_http_tee_client_json(r, ctx);

        if (rc == NGX_AGAIN) {
            return;
        }

    } else {
        ctx->inner.data = ctx->body.data;
        ctx->inner.len = ctx->body.len;
    }

    ngx_http_tee_client_go_on(r, ctx, rc);
}


void
ngx_http_tee_client_go_on(ngx_http_request_t *r,
    ngx_http_tee_client_ctx_t *ctx, ngx_int_t rc)
{
    if (rc != NGX_OK) {
        ngx_http_tee_client_fail(r, ctx, rc);
        return;
    }

    rc = ngx_http_tee_client_seal(r, ctx);

    if (rc != NGX_AGAIN) {
        ngx_http_tee_client_seal_done(r, ctx, rc);
    }
}


void
ngx_http_tee_client_seal_done(ngx_http_request_t *r,
    ngx_http_tee_client_ctx_t *ctx, ngx_int_t rc)
{
    if (rc == NGX_OK) {
        rc = ngx_http_tee_client_send(r, ctx);

    } else {
        ngx_log_error(NGX_LOG_CRIT, r->connection->log, 0,
                      "tee client: request cannot be sealed");

        rc = NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (rc != NGX_DECLINED) {
        ngx_http_tee_client_fail(r, ctx, rc);
        return;
    }

    r->request_body_no_buffering = 0;

    r->write_event_handler = ngx_http_core_run_phases;
    ngx_http_core_run_phases(r);
}


static void
ngx_http_tee_client_fail(ngx_http_request_t *r,
    ngx_http_tee_client_ctx_t *ctx, ngx_int_t rc)
{
    ctx->reading = 0;

    ngx_http_tee_no_content(r);
    ngx_http_finalize_request(r, rc);
}


static ngx_int_t
ngx_http_tee_client_take(ngx_http_request_t *r, void *data, u_char *p,
    size_t len)
{
    ngx_http_tee_client_ctx_t  *ctx = data;

    ngx_int_t  rc;

    rc = ngx_http_tee_held_add(r, &ctx->body, p, len,
                               ctx->conf->max_body
                               ? (size_t) ctx->conf->max_body
                               : NGX_MAX_SIZE_T_VALUE);

    if (rc == NGX_DECLINED) {
        return NGX_HTTP_REQUEST_ENTITY_TOO_LARGE;
    }

    if (rc != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    tee_wipe(p, len);

    return NGX_OK;
}


/* NGX_DECLINED: the request is ready for the proxy. */

static ngx_int_t
ngx_http_tee_client_send(ngx_http_request_t *r,
    ngx_http_tee_client_ctx_t *ctx)
{
    ngx_int_t     rc;
    ngx_list_t    headers;
    ngx_chain_t  *sealed;

    sealed = ngx_alloc_chain_link(r->pool);
    if (sealed == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    sealed->buf = ctx->wire;
    sealed->next = NULL;

    rc = ngx_http_tee_client_headers(r, ctx, &headers);

    if (rc != NGX_OK) {
        return rc;
    }

    ngx_http_tee_client_hide(r, ctx, &headers);

    r->request_body->bufs = sealed;
    r->request_body->buf = ctx->wire;
    r->request_body->temp_file = NULL;

    r->headers_in.content_length_n = ctx->wire->last - ctx->wire->pos;

    ctx->sealed = 1;

    ngx_http_tee_count(NGX_HTTP_TEE_CLIENT_SEALED);

    return NGX_DECLINED;
}


/* NGX_OK, NGX_AGAIN (a thread does it), or a status. */

static ngx_int_t
ngx_http_tee_client_json(ngx_http_request_t *r,
    ngx_http_tee_client_ctx_t *ctx)
{
    ngx_http_tee_job_t           *job;
    ngx_http_tee_client_shape_t   now, *later;

    ngx_memzero(&now, sizeof(ngx_http_tee_client_shape_t));

    now.ctx = ctx;

    if (ngx_http_tee_client_endpoint(r, &now.endpoint) != NGX_OK) {
        return ngx_http_tee_client_refuse(r, NGX_HTTP_TEE_CLIENT_BAD_REQUEST,
                                          NGX_HTTP_NOT_FOUND, "endpoint",
                                          "an enclave knows "
                                          "chat/completions and web_search "
                                          "only");
    }

    if (ctx->body.len <= NGX_HTTP_TEE_CLIENT_INLINE) {
        ngx_http_tee_client_shape_work(&now);

        return ngx_http_tee_client_shaped(r, &now);
    }

    job = ngx_http_tee_job_create(r, sizeof(ngx_http_tee_client_shape_t));
    if (job == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    later = job->data;
    *later = now;

    job->work = ngx_http_tee_client_shape_work;
    job->done = ngx_http_tee_client_shape_done;

    ctx->shaping = 1;
    r->write_event_handler = ngx_http_tee_client_shaped_handler;

    ngx_http_tee_job_post(job);

    return NGX_AGAIN;
}


static void
ngx_http_tee_client_shape_work(void *data)
{
    ngx_http_tee_client_shape_t  *shape = data;

    tee_str_t  body;

    body.data = shape->ctx->body.data;
    body.len = shape->ctx->body.len;

    tee_write_grow(&shape->w, &ngx_http_tee_alloc);

    shape->rc = tee_inner_request(body, shape->endpoint, &ngx_http_tee_alloc,
                                  &shape->inner, &shape->w);
}


static void
ngx_http_tee_client_shape_done(ngx_http_request_t *r, void *data)
{
    ngx_http_tee_client_shape_t  *shape = data;

    shape->ctx->shaping = 0;
    shape->ctx->job = ngx_http_tee_client_shaped(r, shape);
}


/* Of the text, the ctx takes care; it is gone with the request. */

static ngx_int_t
ngx_http_tee_client_shaped(ngx_http_request_t *r,
    ngx_http_tee_client_shape_t *shape)
{
    ngx_http_tee_client_ctx_t  *ctx;

    ctx = shape->ctx;

    ngx_http_tee_held_free(&ctx->body);

    if (shape->rc != TEE_OK) {
        tee_write_free(&shape->w);

        if (shape->rc == TEE_NOMEM || shape->inner.why == NULL) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        return ngx_http_tee_client_refuse(r, NGX_HTTP_TEE_CLIENT_BAD_REQUEST,
                                          NGX_HTTP_BAD_REQUEST, "bad_request",
                                          shape->inner.why);
    }

    ctx->text = shape->w.data;
    ctx->inner.data = shape->w.data;
    ctx->inner.len = shape->w.len;
    ctx->stream = shape->inner.stream;

    return NGX_OK;
}


static void
ngx_http_tee_client_shaped_handler(ngx_http_request_t *r)
{
    ngx_http_tee_client_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_tee_client_module);

    if (!ctx->shaping) {
        ngx_http_tee_client_go_on(r, ctx, ctx->job);
    }
}


static ngx_int_t
ngx_http_tee_client_endpoint(ngx_http_request_t *r,
    tee_inner_endpoint_t *endpoint)
{
    ngx_uint_t  i;

    static const struct {
        ngx_str_t             end;
        tee_inner_endpoint_t  endpoint;
    }  paths[] = {
        { ngx_string("/chat/completions"), TEE_INNER_CHAT },
        { ngx_string("/web_search"), TEE_INNER_WEB_SEARCH }
    };

    for (i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {

        if (r->uri.len >= paths[i].end.len
            && ngx_memcmp(r->uri.data + r->uri.len - paths[i].end.len,
                          paths[i].end.data, paths[i].end.len)
               == 0)
        {
            *endpoint = paths[i].endpoint;
            return NGX_OK;
        }
    }

    return NGX_DECLINED;
}


/*
 * The proxy makes its request of these.  Of the URI it gets the name of the
 * location, for which "proxy_pass" puts its own path.
 */

static void
ngx_http_tee_client_hide(ngx_http_request_t *r,
    ngx_http_tee_client_ctx_t *ctx, ngx_list_t *headers)
{
    ngx_http_core_loc_conf_t     *clcf;
    ngx_http_tee_client_saved_t  *saved;

    saved = &ctx->saved;

    saved->method = r->method;
    saved->method_name = r->method_name;
    saved->uri = r->uri;
    saved->args = r->args;
    saved->content_length = r->headers_in.content_length;
    saved->content_length_n = r->headers_in.content_length_n;
    saved->chunked = r->headers_in.chunked;
    saved->valid_unparsed_uri = r->valid_unparsed_uri;
    saved->valid_location = r->valid_location;
    saved->headers = r->headers_in.headers;

    /* a list of one part points into itself */

    r->headers_in.headers = *headers;

    if (headers->last == &headers->part) {
        r->headers_in.headers.last = &r->headers_in.headers.part;
    }

    ctx->hidden = 1;

    r->method = NGX_HTTP_POST;
    ngx_str_set(&r->method_name, "POST");

    ngx_str_null(&r->args);
    r->valid_unparsed_uri = 0;

    /* the address is that of "proxy_pass", whatever has been rewritten */

    r->valid_location = 1;

    r->headers_in.content_length = NULL;
    r->headers_in.chunked = 0;

    /* no tunnel, should gateway and application agree on one */

    r->headers_in.upgrade = NULL;

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    r->uri = clcf->name;

    if (clcf->named
#if (NGX_PCRE)
        || clcf->regex
#endif
       )
    {
        ngx_str_set(&r->uri, "/");
    }

    ctx->shown = r->uri;
}


void
ngx_http_tee_client_restore(ngx_http_request_t *r,
    ngx_http_tee_client_ctx_t *ctx)
{
    ngx_http_tee_client_saved_t  *saved;

    if (!ctx->hidden) {
        return;
    }

    ctx->hidden = 0;

    saved = &ctx->saved;

    r->method = saved->method;
    r->method_name = saved->method_name;
    r->uri = saved->uri;
    r->args = saved->args;
    r->headers_in.content_length = saved->content_length;
    r->headers_in.content_length_n = saved->content_length_n;
    r->headers_in.chunked = saved->chunked;
    r->headers_in.headers = saved->headers;
    r->valid_unparsed_uri = saved->valid_unparsed_uri;
    r->valid_location = saved->valid_location;
}


/* The URI and the method are those of the redirect; a named location has what
 * has been before. */

void
ngx_http_tee_client_redirected(ngx_http_request_t *r,
    ngx_http_tee_client_ctx_t *ctx)
{
    ngx_str_t    uri, args, method_name;
    ngx_uint_t   method, valid_unparsed_uri, valid_location;

    if (ctx->hidden) {
        uri = r->uri;
        args = r->args;
        method = r->method;
        method_name = r->method_name;
        valid_unparsed_uri = r->valid_unparsed_uri;
        valid_location = r->valid_location;

        ngx_http_tee_client_restore(r, ctx);

        if (uri.data != ctx->shown.data || uri.len != ctx->shown.len) {
            r->uri = uri;
            r->args = args;
            r->valid_unparsed_uri = valid_unparsed_uri;
            r->valid_location = valid_location;
        }

        if (method != NGX_HTTP_POST && r->method != NGX_HTTP_HEAD) {
            r->method = method;
            r->method_name = method_name;
        }
    }

    r->headers_in.content_length = NULL;
    r->headers_in.content_length_n = 0;
    r->headers_in.chunked = 0;

    if (r->request_body) {
        r->request_body->bufs = NULL;
        r->request_body->buf = NULL;
    }
}


/* What the relay needs to know: nothing of it is the application's. */

static ngx_int_t
ngx_http_tee_client_headers(ngx_http_request_t *r,
    ngx_http_tee_client_ctx_t *ctx, ngx_list_t *list)
{
    u_char      *p;
    ngx_int_t    rc;
    ngx_str_t    auth, id, type, accept, yes, incremental;
    ngx_uint_t   chunked;

    chunked = ctx->conf->whom->chunked;

    ngx_str_null(&auth);
    ngx_str_null(&id);
    ngx_str_set(&yes, "true");
    ngx_str_set(&incremental, "?1");
    ngx_str_set(&type, "message/ohttp-req");
    ngx_str_set(&accept, "message/ohttp-res");

    if (chunked) {
        ngx_str_set(&type, "message/ohttp-chunked-req");
    }

    if (chunked || ctx->stream) {
        ngx_str_set(&accept, "message/ohttp-chunked-res");
    }

    if (ctx->conf->auth) {
        rc = ngx_http_tee_client_auth_value(r, ctx->conf->auth, &auth);

        if (rc == NGX_DECLINED) {
            return ngx_http_tee_client_refuse(r,
                                          NGX_HTTP_TEE_CLIENT_NO_CREDENTIAL,
                                          NGX_HTTP_UNAUTHORIZED,
                                          "no_credential",
                                          "there is no credential for the "
                                          "relay");
        }

        if (rc != NGX_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }

    if (ctx->entry) {
        id.len = 66;
        id.data = ngx_pnalloc(r->pool, id.len);
        if (id.data == NULL) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        p = ngx_cpymem(id.data, "0x", 2);
        ngx_hex_dump(p, (u_char *) ctx->entry->tee_id, 32);
    }

    if (ngx_list_init(list, r->pool, 8, sizeof(ngx_table_elt_t)) != NGX_OK
        || ngx_http_tee_client_add(r, list, "Content-Type", &type) != NGX_OK
        || ngx_http_tee_client_add(r, list, "Accept", &accept) != NGX_OK
        || ngx_http_tee_client_add(r, list, "X-TEE-ID", &id) != NGX_OK
        || ngx_http_tee_client_add(r, list, "Authorization", &auth) != NGX_OK
        || (ctx->stream
            && ngx_http_tee_client_add(r, list, "X-OHTTP-Stream", &yes)
               != NGX_OK)
        || (chunked
            && ngx_http_tee_client_add(r, list, "Incremental", &incremental)
               != NGX_OK))
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_tee_client_add(ngx_http_request_t *r, ngx_list_t *list,
    const char *name, ngx_str_t *value)
{
    size_t            len;
    ngx_table_elt_t  *h;

    if (value->len == 0) {
        return NGX_OK;
    }

    len = ngx_strlen(name);

    h = ngx_list_push(list);
    if (h == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(h, sizeof(ngx_table_elt_t));

    h->key.len = len;
    h->key.data = (u_char *) name;
    h->value = *value;

    /* the proxy looks it up among the fields that it sets itself */

    h->lowcase_key = ngx_pnalloc(r->pool, len);
    if (h->lowcase_key == NULL) {
        return NGX_ERROR;
    }

    h->hash = ngx_hash_strlow(h->lowcase_key, h->key.data, len);

    return NGX_OK;
}
