
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <ngx_http_tee.h>
#include <ngx_http_tee_gateway_ctx.h>
#include <tee_date.h>
#include <tee_text.h>


/*
 * The request that was sealed: read from BHTTP, and held against the rules of
 * the gateway.
 */


#define NGX_HTTP_TEE_MAX_FIELDS  1000


typedef struct {
    ngx_str_t      scheme;
    ngx_str_t      authority;
    ngx_str_t      date;
    ngx_str_t      length;                     /* Content-Length */
    ngx_str_t      host;                       /* the field */
    ngx_uint_t     nhosts;
    ngx_array_t    connection;                 /* ngx_str_t: its values */
    unsigned       expect:1;
} ngx_http_tee_gateway_said_t;


static ngx_int_t ngx_http_tee_gateway_parse(ngx_http_request_t *r,
    ngx_http_tee_gateway_ctx_t *ctx, ngx_http_tee_gateway_inner_t *inner,
    ngx_http_tee_gateway_said_t *said);
static ngx_int_t ngx_http_tee_gateway_head(ngx_http_request_t *r,
    tee_bhttp_read_t *b, ngx_http_tee_gateway_inner_t *inner,
    ngx_http_tee_gateway_said_t *said);
static ngx_int_t ngx_http_tee_gateway_field(ngx_http_request_t *r,
    tee_bhttp_read_t *b, ngx_http_tee_gateway_inner_t *inner,
    ngx_http_tee_gateway_said_t *said);
static ngx_int_t ngx_http_tee_gateway_copy(ngx_http_request_t *r,
    tee_str_t s, ngx_str_t *copy);
static ngx_int_t ngx_http_tee_gateway_bad(ngx_http_request_t *r,
    ngx_http_tee_gateway_ctx_t *ctx);
static ngx_int_t ngx_http_tee_gateway_policy(ngx_http_request_t *r,
    ngx_http_tee_gateway_ctx_t *ctx, ngx_http_tee_gateway_inner_t *inner,
    ngx_http_tee_gateway_said_t *said);
static void ngx_http_tee_gateway_drop(ngx_http_tee_gateway_inner_t *inner,
    ngx_http_tee_gateway_said_t *said);
static ngx_uint_t ngx_http_tee_gateway_named(ngx_str_t *list,
    ngx_str_t *name);
static ngx_int_t ngx_http_tee_gateway_date(ngx_http_request_t *r,
    ngx_http_tee_gateway_ctx_t *ctx, ngx_str_t *date);
static ngx_uint_t ngx_http_tee_gateway_listed(ngx_http_request_t *r,
    ngx_http_tee_gateway_ctx_t *ctx, ngx_http_tee_gateway_said_t *said);


void
ngx_http_tee_gateway_bhttp(ngx_http_request_t *r,
    ngx_http_tee_gateway_ctx_t *ctx)
{
    ngx_int_t                     rc;
    ngx_http_tee_gateway_said_t   said;
    ngx_http_tee_gateway_inner_t  inner;

    ngx_memzero(&said, sizeof(ngx_http_tee_gateway_said_t));
    ngx_memzero(&inner, sizeof(ngx_http_tee_gateway_inner_t));

    rc = NGX_HTTP_INTERNAL_SERVER_ERROR;

    if (ngx_array_init(&inner.fields, r->pool, 8, sizeof(ngx_keyval_t))
        == NGX_OK
        && ngx_array_init(&said.connection, r->pool, 1, sizeof(ngx_str_t))
           == NGX_OK)
    {
        rc = ngx_http_tee_gateway_parse(r, ctx, &inner, &said);
    }

    if (rc == NGX_OK) {
        rc = ngx_http_tee_gateway_policy(r, ctx, &inner, &said);
    }

    if (rc != NGX_OK) {
        ngx_http_tee_gateway_fail(r, ctx, rc);
        return;
    }

    ngx_http_tee_gateway_run(r, ctx, &inner);
}


static ngx_int_t
ngx_http_tee_gateway_parse(ngx_http_request_t *r,
    ngx_http_tee_gateway_ctx_t *ctx, ngx_http_tee_gateway_inner_t *inner,
    ngx_http_tee_gateway_said_t *said)
{
    u_char                    *content;
    tee_rc_t                   rc;
    tee_str_t                  in;
    ngx_int_t                  ok;
    tee_bhttp_read_t           b;
    tee_bhttp_limits_t         limits;
    ngx_http_core_srv_conf_t  *cscf;

    /* as for a plain request: large_client_header_buffers */

    cscf = ngx_http_get_module_srv_conf(r, ngx_http_core_module);

    limits.control = cscf->large_client_header_buffers.size;
    limits.field = cscf->large_client_header_buffers.size;
    limits.section = cscf->large_client_header_buffers.num * limits.field;
    limits.fields = NGX_HTTP_TEE_MAX_FIELDS;
    limits.informational = 0;
    limits.content = (uint64_t) ctx->conf->max_body;

    tee_bhttp_read_init(&b, 1, &limits, &ngx_http_tee_alloc);

    in = ctx->message;
    content = NULL;
    ok = NGX_OK;

    for ( ;; ) {
        rc = tee_bhttp_read(&b, &in, 1);

        if (rc != TEE_OK) {
            break;
        }

        switch (b.event) {

        case TEE_BHTTP_HEAD:
            ok = ngx_http_tee_gateway_head(r, &b, inner, said);
            break;

        case TEE_BHTTP_FIELD:
            ok = ngx_http_tee_gateway_field(r, &b, inner, said);
            break;

        case TEE_BHTTP_CONTENT:

            /* pieces move together in the memory that they came in */

            if (content == NULL) {
                content = (u_char *) b.content.data;
                inner->content.data = content;
            }

            content = ngx_movemem(content, b.content.data, b.content.len);
            inner->content.len += b.content.len;
            break;

        default:

            /* nginx has no place for the trailers of a request */

            break;
        }

        if (ok != NGX_OK) {
            break;
        }
    }

    tee_bhttp_read_free(&b);

    if (ok != NGX_OK || rc == TEE_NOMEM) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return rc == TEE_DONE ? NGX_OK : ngx_http_tee_gateway_bad(r, ctx);
}


static ngx_int_t
ngx_http_tee_gateway_head(ngx_http_request_t *r, tee_bhttp_read_t *b,
    ngx_http_tee_gateway_inner_t *inner, ngx_http_tee_gateway_said_t *said)
{
    if (ngx_http_tee_gateway_copy(r, b->method, &inner->method) != NGX_OK
        || ngx_http_tee_gateway_copy(r, b->scheme, &said->scheme) != NGX_OK
        || ngx_http_tee_gateway_copy(r, b->authority, &said->authority)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_tee_gateway_copy(r, b->path, &inner->path);
}


/*
 * Fields of the connection end here (RFC 9110, 7.6.1), and the length is that
 * of the content, whatever a field says about it.
 */

static ngx_int_t
ngx_http_tee_gateway_field(ngx_http_request_t *r, tee_bhttp_read_t *b,
    ngx_http_tee_gateway_inner_t *inner, ngx_http_tee_gateway_said_t *said)
{
    ngx_str_t      name, value, *connection;
    ngx_keyval_t  *kv;

    if (ngx_http_tee_gateway_copy(r, b->name, &name) != NGX_OK
        || ngx_http_tee_gateway_copy(r, b->value, &value) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (tee_text_is_nocase(b->name, "host")) {
        said->nhosts++;
        said->host = value;
        return NGX_OK;
    }

    if (tee_text_is_nocase(b->name, "content-length")) {

        if (said->length.data
            && (said->length.len != value.len
                || ngx_memcmp(said->length.data, value.data, value.len) != 0))
        {
            ngx_str_set(&value, "conflict");
        }

        said->length = value;
        return NGX_OK;
    }

    if (tee_text_is_nocase(b->name, "expect")) {
        said->expect = 1;
        return NGX_OK;
    }

    if (tee_text_is_nocase(b->name, "date")) {

        /* the second one makes both useless */

        if (said->date.data) {
            said->date.len = 0;

        } else {
            said->date = value;
        }
    }

    if (tee_text_is_nocase(b->name, "connection")) {
        connection = ngx_array_push(&said->connection);
        if (connection == NULL) {
            return NGX_ERROR;
        }

        *connection = value;
    }

    /* extensions of the control data are not known here */

    if (tee_bhttp_hop_by_hop(b->name) || name.data[0] == ':') {
        return NGX_OK;
    }

    kv = ngx_array_push(&inner->fields);
    if (kv == NULL) {
        return NGX_ERROR;
    }

    kv->key = name;
    kv->value = value;

    return NGX_OK;
}


/* With a NUL behind it, as nginx's own parser leaves them. */

static ngx_int_t
ngx_http_tee_gateway_copy(ngx_http_request_t *r, tee_str_t s, ngx_str_t *copy)
{
    copy->data = ngx_pnalloc(r->pool, s.len + 1);
    if (copy->data == NULL) {
        return NGX_ERROR;
    }

    copy->len = s.len;
    *ngx_cpymem(copy->data, s.data, s.len) = '\0';

    return NGX_OK;
}


static ngx_int_t
ngx_http_tee_gateway_bad(ngx_http_request_t *r,
    ngx_http_tee_gateway_ctx_t *ctx)
{
    return ngx_http_tee_gateway_refuse(r, ctx->conf,
                                       NGX_HTTP_TEE_GATEWAY_MALFORMED,
                                       NGX_HTTP_BAD_REQUEST, "bad_request",
                                       "the sealed content is not a request "
                                       "that may be processed");
}


static ngx_int_t
ngx_http_tee_gateway_policy(ngx_http_request_t *r,
    ngx_http_tee_gateway_ctx_t *ctx, ngx_http_tee_gateway_inner_t *inner,
    ngx_http_tee_gateway_said_t *said)
{
    off_t      length;
    ngx_int_t  rc;

    if (said->expect) {
        return ngx_http_tee_gateway_refuse(r, ctx->conf,
                                           NGX_HTTP_TEE_GATEWAY_EXPECT,
                                           NGX_HTTP_TEE_EXPECTATION_FAILED,
                                           "expectation",
                                           "a sealed request must not expect "
                                           "anything before its answer");
    }

    if (ngx_http_tee_gateway_method(&inner->method) == 0) {
        return ngx_http_tee_gateway_refuse(r, ctx->conf,
                                           NGX_HTTP_TEE_GATEWAY_MALFORMED,
                                           NGX_HTTP_NOT_ALLOWED, "method",
                                           "this method cannot be sealed");
    }

    length = ngx_atoof(said->length.data, said->length.len);

    if (said->nhosts > 1
        || (said->length.data && length != (off_t) inner->content.len))
    {
        return ngx_http_tee_gateway_bad(r, ctx);
    }

    /* RFC 9292, 3.4: an authority may be missing, two may not differ */

    if (said->authority.len == 0) {
        said->authority = said->host;

        if (said->authority.len == 0) {
            return ngx_http_tee_gateway_bad(r, ctx);
        }

    } else if (said->nhosts
               && (said->authority.len != said->host.len
                   || ngx_strncasecmp(said->authority.data,
                                      said->host.data,
                                      said->authority.len)
                      != 0))
    {
        return ngx_http_tee_gateway_bad(r, ctx);
    }

    rc = ngx_http_tee_gateway_date(r, ctx, &said->date);

    if (rc != NGX_OK) {
        return rc;
    }

    ngx_http_tee_gateway_drop(inner, said);

    rc = ngx_http_tee_gateway_uri(r, &inner->path);

    if (rc == NGX_DECLINED) {
        return ngx_http_tee_gateway_bad(r, ctx);
    }

    if (rc != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (!ngx_http_tee_gateway_listed(r, ctx, said)) {
        return ngx_http_tee_gateway_refuse(r, ctx->conf,
                                           NGX_HTTP_TEE_GATEWAY_TARGET,
                                           NGX_HTTP_FORBIDDEN, "target",
                                           "this gateway does not serve the "
                                           "origin or path asked for");
    }

    inner->host = said->authority;
    inner->has_length = said->length.data
                        || ngx_http_tee_gateway_method(&inner->method)
                           & (NGX_HTTP_POST|NGX_HTTP_PUT|NGX_HTTP_PATCH);

    ctx->origin.len = said->scheme.len + 3 + said->authority.len;
    ctx->origin.data = ngx_pnalloc(r->pool, ctx->origin.len);
    if (ctx->origin.data == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_sprintf(ctx->origin.data, "%V://%V", &said->scheme, &said->authority);

    return NGX_OK;
}


/* Fields that Connection names end here as it does; RFC 9110, 7.6.1. */

static void
ngx_http_tee_gateway_drop(ngx_http_tee_gateway_inner_t *inner,
    ngx_http_tee_gateway_said_t *said)
{
    ngx_str_t     *values;
    ngx_uint_t     i, j, n;
    ngx_keyval_t  *fields;

    values = said->connection.elts;
    fields = inner->fields.elts;

    for (i = 0; i < said->connection.nelts; i++) {
        n = 0;

        for (j = 0; j < inner->fields.nelts; j++) {
            if (!ngx_http_tee_gateway_named(&values[i], &fields[j].key)) {
                fields[n++] = fields[j];
            }
        }

        inner->fields.nelts = n;
    }
}


/* 1 if the list has this name. */

static ngx_uint_t
ngx_http_tee_gateway_named(ngx_str_t *list, ngx_str_t *name)
{
    u_char  *p, *last, *start;

    p = list->data;
    last = p + list->len;

    while (p < last) {

        while (p < last && (*p == ',' || *p == ' ' || *p == '\t')) {
            p++;
        }

        for (start = p; p < last; p++) {
            if (*p == ',' || *p == ' ' || *p == '\t') {
                break;
            }
        }

        if ((size_t) (p - start) == name->len
            && ngx_strncasecmp(start, name->data, name->len) == 0)
        {
            return 1;
        }
    }

    return 0;
}


/* RFC 9458, 6.5: what a replay store forgets, it must be able to refuse. */

static ngx_int_t
ngx_http_tee_gateway_date(ngx_http_request_t *r,
    ngx_http_tee_gateway_ctx_t *ctx, ngx_str_t *date)
{
    int64_t     now, then, window;
    ngx_int_t   rc;
    ngx_uint_t  mode;

    if (ctx->conf->replay == NULL) {
        return NGX_OK;
    }

    mode = ngx_http_tee_replay_date(ctx->conf->replay);
    window = ngx_http_tee_replay_window(ctx->conf->replay);
    now = ngx_time();

    if (mode == NGX_HTTP_TEE_DATE_OFF
        || (mode == NGX_HTTP_TEE_DATE_CHECK && date->data == NULL))
    {
        return NGX_OK;
    }

    if (date->data
        && tee_date_read(ngx_http_tee_str(date), now, &then) == TEE_OK
        && then >= now - window && then <= now + window)
    {
        return NGX_OK;
    }

    rc = ngx_http_tee_gateway_refuse(r, ctx->conf, NGX_HTTP_TEE_GATEWAY_DATE,
                                     NGX_HTTP_BAD_REQUEST, "date",
                                     "the date of the request is missing or "
                                     "too far from ours");

    ngx_http_tee_problem_type(r, "https://iana.org/assignments/"
                                 "http-problem-types#date");

    /* 6.5.2: it depends on the date that was sent */

    if (ngx_http_tee_add_field(&r->headers_out.headers, "Cache-Control",
                               "no-store")
        == NULL)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return rc;
}


static ngx_uint_t
ngx_http_tee_gateway_listed(ngx_http_request_t *r,
    ngx_http_tee_gateway_ctx_t *ctx, ngx_http_tee_gateway_said_t *said)
{
    tee_str_t      raw;
    ngx_uint_t     i;
    tee_target_t  *targets;

    if (ctx->conf->targets == NULL) {
        return 0;
    }

    raw.data = r->uri_start;
    raw.len = (r->args_start ? r->args_start - 1 : r->uri_end) - r->uri_start;

    targets = ctx->conf->targets->elts;

    for (i = 0; i < ctx->conf->targets->nelts; i++) {
        if (tee_target_match(&targets[i], ngx_http_tee_str(&said->scheme),
                             ngx_http_tee_str(&said->authority),
                             ngx_http_tee_str(&r->uri), raw))
        {
            return 1;
        }
    }

    return 0;
}
