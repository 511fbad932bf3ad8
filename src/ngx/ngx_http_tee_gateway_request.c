
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <ngx_http_tee.h>
#include <ngx_http_tee_gateway_ctx.h>


/*
 * What was sealed is put in the place of the outer request, so that all phases
 * of the location it names see it as any other.
 */


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


/*
 * nginx's own parser decides which location a path means, so it is asked
 * before the request is changed: NGX_DECLINED if the path is none.
 */

ngx_int_t
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


/* As nginx's parser: capitals, and it must be one that may be forwarded. */

ngx_uint_t
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
