
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <ngx_http_tee.h>
#include <ngx_http_tee_gateway_seal.h>


/* The fields of a response, which nginx keeps in many places until the last
 * of its header filters writes them. */


static void ngx_http_tee_gateway_own_fields(ngx_http_request_t *r,
    tee_write_t *w);
static void ngx_http_tee_gateway_location(ngx_http_request_t *r,
    ngx_http_tee_gateway_ctx_t *ctx, tee_write_t *w);
static void ngx_http_tee_gateway_field(tee_write_t *w, const char *name,
    u_char *value, size_t len);
static void ngx_http_tee_gateway_pair(tee_write_t *w, tee_str_t name,
    tee_str_t value);


ngx_int_t
ngx_http_tee_gateway_fields(ngx_http_request_t *r,
    ngx_http_tee_gateway_ctx_t *ctx)
{
    u_char       *p;
    tee_write_t   w;

    tee_write_grow(&w, &ngx_http_tee_alloc);

    ngx_http_tee_gateway_own_fields(r, &w);
    ngx_http_tee_gateway_location(r, ctx, &w);
    ngx_http_tee_gateway_list(&w, &r->headers_out.headers);

    p = tee_write_rc(&w) == TEE_OK ? ngx_pnalloc(r->pool, w.len) : NULL;

    if (p) {
        ngx_memcpy(p, w.data, w.len);
        ctx->section.data = p;
        ctx->section.len = w.len;
    }

    tee_write_free(&w);

    return p ? NGX_OK : NGX_ERROR;
}


/* In the order of nginx. */

static void
ngx_http_tee_gateway_own_fields(ngx_http_request_t *r, tee_write_t *w)
{
    u_char                    *p, text[NGX_OFF_T_LEN + 64];
    ngx_str_t                 *type, *charset;
    const char                *server;
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    if (r->headers_out.server == NULL) {
        server = clcf->server_tokens == NGX_HTTP_SERVER_TOKENS_OFF
                 ? "nginx" : NGINX_VER;

        if (clcf->server_tokens == NGX_HTTP_SERVER_TOKENS_BUILD) {
            server = NGINX_VER_BUILD;
        }

        ngx_http_tee_gateway_field(w, "server", (u_char *) server,
                                   ngx_strlen(server));
    }

    if (r->headers_out.date == NULL) {
        ngx_http_tee_gateway_field(w, "date", ngx_cached_http_time.data,
                                   ngx_cached_http_time.len);
    }

    type = &r->headers_out.content_type;
    charset = &r->headers_out.charset;

    if (r->headers_out.status == NGX_HTTP_NO_CONTENT) {
        return;
    }

    if (type->len) {
        if (r->headers_out.content_type_len == type->len && charset->len) {

            p = ngx_pnalloc(r->pool, type->len + sizeof("; charset=") - 1
                                     + charset->len);
            if (p == NULL) {
                return;
            }

            ngx_http_tee_gateway_field(w, "content-type", p,
                               ngx_sprintf(p, "%V; charset=%V", type, charset)
                               - p);

        } else {
            ngx_http_tee_gateway_field(w, "content-type", type->data,
                                       type->len);
        }
    }

    if (r->headers_out.content_length == NULL
        && r->headers_out.content_length_n >= 0)
    {
        p = ngx_sprintf(text, "%O", r->headers_out.content_length_n);
        ngx_http_tee_gateway_field(w, "content-length", text, p - text);
    }

    if (r->headers_out.last_modified == NULL
        && r->headers_out.last_modified_time != -1
        && (r->headers_out.status == NGX_HTTP_OK
            || r->headers_out.status == NGX_HTTP_PARTIAL_CONTENT
            || r->headers_out.status == NGX_HTTP_NOT_MODIFIED))
    {
        p = ngx_http_time(text, r->headers_out.last_modified_time);
        ngx_http_tee_gateway_field(w, "last-modified", text, p - text);
    }

#if (NGX_HTTP_GZIP)
    if (r->gzip_vary && clcf->gzip_vary) {
        ngx_http_tee_gateway_field(w, "vary", (u_char *) "Accept-Encoding",
                                   sizeof("Accept-Encoding") - 1);
    }
#endif
}


/*
 * Where nginx would make a redirect absolute, it gets the origin that the
 * sealed request has named, not the one of the connection.
 */

static void
ngx_http_tee_gateway_location(ngx_http_request_t *r,
    ngx_http_tee_gateway_ctx_t *ctx, tee_write_t *w)
{
    u_char                    *p;
    ngx_table_elt_t           *h;
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);
    h = r->headers_out.location;

    if (h == NULL || h->hash == 0 || h->value.len == 0
        || h->value.data[0] != '/'
        || !clcf->absolute_redirect || ctx->origin.len == 0)
    {
        return;
    }

    p = ngx_pnalloc(r->pool, ctx->origin.len + h->value.len);
    if (p == NULL) {
        return;
    }

    ngx_http_tee_gateway_field(w, "location", p,
                             ngx_sprintf(p, "%V%V", &ctx->origin, &h->value)
                             - p);
    h->hash = 0;
}


/* Fields of the connection stay behind. */

void
ngx_http_tee_gateway_list(tee_write_t *w, ngx_list_t *list)
{
    ngx_uint_t        i;
    tee_str_t         name;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    for (part = &list->part; part; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {
            name = ngx_http_tee_str(&h[i].key);

            if (h[i].hash && name.len && !tee_bhttp_hop_by_hop(name)) {
                ngx_http_tee_gateway_pair(w, name,
                                          ngx_http_tee_str(&h[i].value));
            }
        }
    }
}


static void
ngx_http_tee_gateway_field(tee_write_t *w, const char *name, u_char *value,
    size_t len)
{
    tee_str_t  n, v;

    n.data = (u_char *) name;
    n.len = ngx_strlen(name);

    v.data = value;
    v.len = len;

    ngx_http_tee_gateway_pair(w, n, v);
}


/* BHTTP has no blanks around a value, and no line ends in it. */

static void
ngx_http_tee_gateway_pair(tee_write_t *w, tee_str_t name, tee_str_t value)
{
    size_t  i;

    while (value.len && (value.data[0] == ' ' || value.data[0] == '\t')) {
        value.data++;
        value.len--;
    }

    while (value.len && (value.data[value.len - 1] == ' '
                         || value.data[value.len - 1] == '\t'))
    {
        value.len--;
    }

    for (i = 0; i < value.len; i++) {
        if (value.data[i] == CR || value.data[i] == LF
            || value.data[i] == '\0')
        {
            return;
        }
    }

    tee_bhttp_write_field(w, name, value);
}
