
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <ngx_http_tee.h>
#include <ngx_http_tee_gateway_ctx.h>
#include <tee_date.h>
#include <tee_text.h>


/*
 * The request that was sealed: read from BHTTP, held against the rules of the
 * gateway, and put in the place of the outer one, so that all phases of the
 * location it names see it as any other.
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
static ngx_int_t ngx_http_tee_gateway_uri(ngx_http_request_t *r,
    ngx_str_t *path);
static ngx_uint_t ngx_http_tee_gateway_listed(ngx_http_request_t *r,
    ngx_http_tee_gateway_ctx_t *ctx, ngx_http_tee_gateway_said_t *said);
static ngx_uint_t ngx_http_tee_gateway_method(ngx_str_t *name);
static void ngx_http_tee_gateway_reset(ngx_http_request_t *r,
    ngx_http_tee_gateway_inner_t *inner);
static ngx_int_t ngx_http_tee_gateway_line(ngx_http_request_t *r,
    ngx_http_tee_gateway_inner_t *inner);
static ngx_int_t ngx_http_tee_gateway_headers(ngx_http_request_t *r,
    ngx_http_tee_gateway_inner_t *inner);
static ngx_int_t ngx_http_tee_gateway_header(ngx_http_request_t *r,
    ngx_str_t *name, ngx_str_t *value);
static ngx_uint_t ngx_http_tee_gateway_valid_name(ngx_http_request_t *r,
    ngx_str_t *name);
static ngx_int_t ngx_http_tee_gateway_content(ngx_http_request_t *r,
    ngx_http_tee_gateway_inner_t *inner);


typedef struct {
    ngx_str_t      name;
    ngx_uint_t     method;
} ngx_http_tee_gateway_method_t;


static ngx_http_tee_gateway_method_t  ngx_http_tee_gateway_methods[] = {
    { ngx_string("GET"), NGX_HTTP_GET },
    { ngx_string("HEAD"), NGX_HTTP_HEAD },
    { ngx_string("POST"), NGX_HTTP_POST },
    { ngx_string("PUT"), NGX_HTTP_PUT },
    { ngx_string("DELETE"), NGX_HTTP_DELETE },
    { ngx_string("MKCOL"), NGX_HTTP_MKCOL },
    { ngx_string("COPY"), NGX_HTTP_COPY },
    { ngx_string("MOVE"), NGX_HTTP_MOVE },
    { ngx_string("OPTIONS"), NGX_HTTP_OPTIONS },
    { ngx_string("PROPFIND"), NGX_HTTP_PROPFIND },
    { ngx_string("PROPPATCH"), NGX_HTTP_PROPPATCH },
    { ngx_string("LOCK"), NGX_HTTP_LOCK },
    { ngx_string("UNLOCK"), NGX_HTTP_UNLOCK },
    { ngx_string("PATCH"), NGX_HTTP_PATCH },
    { ngx_null_string, 0 }
};


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
        ngx_http_finalize_request(r, rc);
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
        said->date = value;
    }

    if (tee_text_is_nocase(b->name, "connection")) {
        connection = ngx_array_push(&said->connection);
        if (connection == NULL) {
            return NGX_ERROR;
        }

        *connection = value;
    }

    if (tee_bhttp_hop_by_hop(b->name)) {
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


/*
 * nginx's own parser decides which location a path means, so it is asked
 * before the request is changed: NGX_DECLINED if the path is none.
 */

static ngx_int_t
ngx_http_tee_gateway_uri(ngx_http_request_t *r, ngx_str_t *path)
{
    ngx_http_core_srv_conf_t  *cscf;

    ngx_str_null(&r->uri);
    ngx_str_null(&r->args);
    ngx_str_null(&r->exten);
    ngx_str_null(&r->unparsed_uri);

    r->state = 0;
    r->complex_uri = 0;
    r->quoted_uri = 0;
    r->plus_in_uri = 0;
    r->empty_path_in_uri = 0;
    r->args_start = NULL;
    r->uri_ext = NULL;

    r->uri_start = path->data;
    r->uri_end = path->data + path->len;

    if (path->len == 0 || ngx_http_parse_uri(r) != NGX_OK) {
        return NGX_DECLINED;
    }

    r->uri.len = r->args_start ? (size_t) (r->args_start - 1 - r->uri_start)
                               : path->len;
    r->uri.data = r->uri_start;

    if (r->complex_uri || r->quoted_uri) {
        r->uri.data = ngx_pnalloc(r->pool, r->uri.len);
        if (r->uri.data == NULL) {
            return NGX_ERROR;
        }

        cscf = ngx_http_get_module_srv_conf(r, ngx_http_core_module);

        if (ngx_http_parse_complex_uri(r, cscf->merge_slashes) != NGX_OK) {
            return NGX_DECLINED;
        }
    }

    return NGX_OK;
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


/* As nginx's parser: capitals, and it must be one that may be forwarded. */

static ngx_uint_t
ngx_http_tee_gateway_method(ngx_str_t *name)
{
    u_char                          ch;
    ngx_uint_t                      i;
    ngx_http_tee_gateway_method_t  *m;

    for (m = ngx_http_tee_gateway_methods; m->name.len; m++) {
        if (m->name.len == name->len
            && ngx_strncmp(m->name.data, name->data, name->len) == 0)
        {
            return m->method;
        }
    }

    for (i = 0; i < name->len; i++) {
        ch = name->data[i];

        if ((ch < 'A' || ch > 'Z') && ch != '_' && ch != '-') {
            return 0;
        }
    }

    if ((name->len == 7 && ngx_strncmp(name->data, "CONNECT", 7) == 0)
        || (name->len == 5 && ngx_strncmp(name->data, "TRACE", 5) == 0))
    {
        return 0;
    }

    return NGX_HTTP_UNKNOWN;
}


void
ngx_http_tee_gateway_run(ngx_http_request_t *r,
    ngx_http_tee_gateway_ctx_t *ctx, ngx_http_tee_gateway_inner_t *inner)
{
    ngx_http_core_main_conf_t  *cmcf;

    ngx_http_tee_gateway_reset(r, inner);

    /* from here on whoever fails has answered the request */

    if (ngx_http_tee_gateway_line(r, inner) != NGX_OK
        || ngx_http_tee_gateway_headers(r, inner) != NGX_OK
        || ngx_http_tee_gateway_content(r, inner) != NGX_OK)
    {
        return;
    }

    /*
     * What is known about the connection has been found for the outer
     * request: the phase that could take it from fields is not run again.
     */

    cmcf = ngx_http_get_module_main_conf(r, ngx_http_core_module);

    r->phase_handler = cmcf->phase_engine.server_rewrite_index;
    r->write_event_handler = ngx_http_core_run_phases;

    ngx_http_core_run_phases(r);
}


/* As if nothing had been done for this request yet. */

static void
ngx_http_tee_gateway_reset(ngx_http_request_t *r,
    ngx_http_tee_gateway_inner_t *inner)
{
    ngx_str_t                   server;
    ngx_msec_t                  keep_alive_n;
    ngx_uint_t                  connection_type;
    ngx_http_core_main_conf_t  *cmcf;

    cmcf = ngx_http_get_module_main_conf(r, ngx_http_core_module);

    if (!inner->keep_server) {
        r->main_conf = r->http_connection->conf_ctx->main_conf;
        r->srv_conf = r->http_connection->conf_ctx->srv_conf;
    }

    r->loc_conf = ((ngx_http_core_srv_conf_t *)
                   ngx_http_get_module_srv_conf(r, ngx_http_core_module))
                  ->ctx->loc_conf;

    ngx_memzero(r->ctx, sizeof(void *) * ngx_http_max_module);
    ngx_memzero(r->variables, cmcf->variables.nelts
                              * sizeof(ngx_http_variable_value_t));

    connection_type = r->headers_in.connection_type;
    keep_alive_n = r->headers_in.keep_alive_n;
    server = r->headers_in.server;

    ngx_memzero(&r->headers_in, sizeof(ngx_http_headers_in_t));

    r->headers_in.connection_type = connection_type;
    r->headers_in.keep_alive_n = keep_alive_n;
    r->headers_in.content_length_n = -1;

    if (inner->keep_server) {
        r->headers_in.server = server;
        inner->host = server;
    }

    ngx_http_clean_header(r);

    r->request_body_no_buffering = 0;
    r->request_body_in_file_only = 0;
    r->content_handler = NULL;
    r->access_code = 0;
    r->err_status = 0;
    r->uri_changes = NGX_HTTP_MAX_URI_CHANGES + 1;
    r->uri_changed = 0;
    r->add_uri_to_alias = 0;
    r->valid_location = 1;
    r->limit_rate = 0;
    r->limit_rate_set = 0;
    r->limit_rate_after = 0;
    r->limit_rate_after_set = 0;
    r->limit_req_status = 0;
    r->limit_conn_status = 0;
    r->expect_tested = 1;
    r->root_tested = 0;
    r->allow_ranges = 0;
    r->internal = 0;
    r->error_page = 0;

#if (NGX_HTTP_GZIP)
    r->gzip_tested = 0;
    r->gzip_ok = 0;
    r->gzip_vary = 0;
#endif

#if (NGX_PCRE)
    r->ncaptures = 0;
#endif
}


static ngx_int_t
ngx_http_tee_gateway_line(ngx_http_request_t *r,
    ngx_http_tee_gateway_inner_t *inner)
{
    u_char     *p;
    ngx_int_t   rc;

    r->method_name = inner->method;
    r->method = ngx_http_tee_gateway_method(&inner->method);

    r->request_line.len = inner->method.len + 1 + inner->path.len + 1
                          + r->http_protocol.len;

    p = ngx_pnalloc(r->pool, r->request_line.len + 1);
    if (p == NULL) {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return NGX_ERROR;
    }

    r->request_line.data = p;
    ngx_sprintf(p, "%V %V %V%Z", &inner->method, &inner->path,
                &r->http_protocol);

    rc = ngx_http_tee_gateway_uri(r, &inner->path);

    if (rc != NGX_OK) {
        ngx_http_finalize_request(r, rc == NGX_DECLINED
                                     ? NGX_HTTP_BAD_REQUEST
                                     : NGX_HTTP_INTERNAL_SERVER_ERROR);
        return NGX_ERROR;
    }

    r->unparsed_uri = inner->path;
    r->valid_unparsed_uri = 1;

    if (r->uri_ext) {
        r->exten.data = r->uri_ext;
        r->exten.len = (r->args_start ? r->args_start - 1 : r->uri_end)
                       - r->uri_ext;
    }

    if (r->args_start && r->uri_end > r->args_start) {
        r->args.data = r->args_start;
        r->args.len = r->uri_end - r->args_start;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_tee_gateway_headers(ngx_http_request_t *r,
    ngx_http_tee_gateway_inner_t *inner)
{
    ngx_str_t      name;
    ngx_uint_t     i;
    ngx_keyval_t  *fields;

    if (ngx_list_init(&r->headers_in.headers, r->pool, 20,
                      sizeof(ngx_table_elt_t))
        != NGX_OK)
    {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return NGX_ERROR;
    }

    /* first the host: it names the server, whose rules hold for the rest */

    ngx_str_set(&name, "Host");

    if (inner->host.len
        && ngx_http_tee_gateway_header(r, &name, &inner->host) != NGX_OK)
    {
        return NGX_ERROR;
    }

    fields = inner->fields.elts;

    for (i = 0; i < inner->fields.nelts; i++) {

        if (!ngx_http_tee_gateway_valid_name(r, &fields[i].key)) {
            continue;
        }

        if (ngx_http_tee_gateway_header(r, &fields[i].key, &fields[i].value)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* A handler that refuses has finalized the request. */

static ngx_int_t
ngx_http_tee_gateway_header(ngx_http_request_t *r, ngx_str_t *name,
    ngx_str_t *value)
{
    ngx_table_elt_t            *h;
    ngx_http_header_t          *hh;
    ngx_http_core_main_conf_t  *cmcf;

    h = ngx_list_push(&r->headers_in.headers);

    if (h == NULL) {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return NGX_ERROR;
    }

    ngx_memzero(h, sizeof(ngx_table_elt_t));

    h->key = *name;
    h->value = *value;
    h->lowcase_key = ngx_pnalloc(r->pool, name->len);

    if (h->lowcase_key == NULL) {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return NGX_ERROR;
    }

    h->hash = ngx_hash_strlow(h->lowcase_key, name->data, name->len);

    cmcf = ngx_http_get_module_main_conf(r, ngx_http_core_module);

    hh = ngx_hash_find(&cmcf->headers_in_hash, h->hash, h->lowcase_key,
                       name->len);

    return hh ? hh->handler(r, h, hh->offset) : NGX_OK;
}


/* What nginx would ignore in a plain request. */

static ngx_uint_t
ngx_http_tee_gateway_valid_name(ngx_http_request_t *r, ngx_str_t *name)
{
    u_char                     ch;
    ngx_uint_t                 i;
    ngx_http_core_srv_conf_t  *cscf;

    cscf = ngx_http_get_module_srv_conf(r, ngx_http_core_module);

    if (!cscf->ignore_invalid_headers) {
        return 1;
    }

    for (i = 0; i < name->len; i++) {
        ch = name->data[i];

        if ((ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z')
            || (ch >= '0' && ch <= '9') || ch == '-'
            || (ch == '_' && cscf->underscores_in_headers))
        {
            continue;
        }

        return 0;
    }

    return 1;
}


/* nginx asks for the body in one way only, and finds that it has been read. */

static ngx_int_t
ngx_http_tee_gateway_content(ngx_http_request_t *r,
    ngx_http_tee_gateway_inner_t *inner)
{
    ngx_buf_t                *b;
    ngx_str_t                 name, value;
    ngx_chain_t              *cl;
    ngx_http_request_body_t  *rb;

    rb = ngx_pcalloc(r->pool, sizeof(ngx_http_request_body_t));
    if (rb == NULL) {
        goto failed;
    }

    r->request_body = rb;

    if (inner->content.len == 0 && !inner->has_length) {
        return NGX_OK;
    }

    value.data = ngx_pnalloc(r->pool, NGX_OFF_T_LEN + 1);
    if (value.data == NULL) {
        goto failed;
    }

    value.len = ngx_sprintf(value.data, "%uz%Z", inner->content.len)
                - value.data - 1;

    ngx_str_set(&name, "Content-Length");

    if (ngx_http_tee_gateway_header(r, &name, &value) != NGX_OK) {
        return NGX_ERROR;
    }

    r->headers_in.content_length_n = inner->content.len;

    if (inner->content.len == 0) {
        return NGX_OK;
    }

    b = ngx_calloc_buf(r->pool);
    cl = ngx_alloc_chain_link(r->pool);

    if (b == NULL || cl == NULL) {
        goto failed;
    }

    b->start = (u_char *) inner->content.data;
    b->pos = b->start;
    b->last = b->start + inner->content.len;
    b->end = b->last;
    b->temporary = 1;
    b->last_buf = 1;

    cl->buf = b;
    cl->next = NULL;

    rb->bufs = cl;
    rb->buf = b;
    rb->received = inner->content.len;

    return NGX_OK;

failed:

    ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);

    return NGX_ERROR;
}
