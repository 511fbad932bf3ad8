
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <ngx_http_tee.h>
#include <ngx_http_tee_client_ctx.h>
#include <tee_text.h>


/* The fields of the response that was sealed, to where nginx keeps them. */


static ngx_int_t ngx_http_tee_client_put_field(ngx_http_request_t *r,
    ngx_http_tee_client_ctx_t *ctx, ngx_keyval_t *field);
static ngx_uint_t ngx_http_tee_client_dropped(ngx_http_tee_client_ctx_t *ctx,
    tee_str_t name);
static void ngx_http_tee_client_type(ngx_http_request_t *r,
    ngx_str_t *value);


/* Of the answer itself, not of a peer that made it; and whether it is verified,
 * a gateway cannot say. */

static const char  *ngx_http_tee_client_own[] = {
    "server", "date", "content-length", "accept-ranges", "x-accel-redirect",
    "x-accel-expires", "x-accel-limit-rate", "x-accel-buffering",
    "x-accel-charset", "x-tee-verified", "x-tee-id", NULL
};


/* What a response begins with, RFC 9110, 6.5.1. */

static const char  *ngx_http_tee_client_no_trailers[] = {
    "age", "authorization", "cache-control", "content-encoding",
    "content-range", "content-type", "expires", "host", "location",
    "retry-after", "set-cookie", "trailer", "vary", "www-authenticate", NULL
};


ngx_int_t
ngx_http_tee_client_fields(ngx_http_request_t *r,
    ngx_http_tee_client_ctx_t *ctx)
{
    off_t          length;
    ngx_uint_t     i;
    tee_str_t      name;
    ngx_keyval_t  *field;

    ngx_http_clean_header(r);

    r->headers_out.status = ctx->status;
    r->headers_out.content_length_n = -1;

    if (ctx->form == NGX_HTTP_TEE_CLIENT_EVENTS) {
        ngx_str_set(&r->headers_out.content_type, "text/event-stream");
        r->headers_out.content_type_len = r->headers_out.content_type.len;

        return ngx_http_tee_add_field(&r->headers_out.headers,
                                      "Cache-Control", "no-cache")
               ? NGX_OK : NGX_ERROR;
    }

    if (ctx->form == NGX_HTTP_TEE_CLIENT_JSON) {
        ngx_str_set(&r->headers_out.content_type, "application/json");
        r->headers_out.content_type_len = r->headers_out.content_type.len;
        r->headers_out.content_length_n = ctx->content.len;

        return NGX_OK;
    }

    field = ctx->fields.elts;

    for (i = 0; i < ctx->fields.nelts; i++) {
        name = ngx_http_tee_str(&field[i].key);

        if (tee_text_is_nocase(name, "content-length")) {
            length = ngx_atoof(field[i].value.data, field[i].value.len);

            if (length == NGX_ERROR
                || (r->headers_out.content_length_n >= 0
                    && r->headers_out.content_length_n != length))
            {
                return NGX_DECLINED;
            }

            r->headers_out.content_length_n = length;
        }

        if (!ngx_http_tee_client_dropped(ctx, name)
            && ngx_http_tee_client_put_field(r, ctx, &field[i]) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_tee_client_put_field(ngx_http_request_t *r,
    ngx_http_tee_client_ctx_t *ctx, ngx_keyval_t *field)
{
    tee_str_t         name;
    ngx_table_elt_t  *h;

    name = ngx_http_tee_str(&field->key);

    if (tee_text_is_nocase(name, "content-type")) {
        ngx_http_tee_client_type(r, &field->value);
        return NGX_OK;
    }

    h = ngx_list_push(&r->headers_out.headers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(h, sizeof(ngx_table_elt_t));

    h->key = field->key;
    h->value = field->value;

    h->lowcase_key = ngx_pnalloc(r->pool, h->key.len);
    if (h->lowcase_key == NULL) {
        return NGX_ERROR;
    }

    h->hash = ngx_hash_strlow(h->lowcase_key, h->key.data, h->key.len);

    /* what other filters look for */

    if (tee_text_is_nocase(name, "content-encoding")) {
        r->headers_out.content_encoding = h;

    } else if (tee_text_is_nocase(name, "etag")) {
        r->headers_out.etag = h;

    } else if (tee_text_is_nocase(name, "last-modified")) {
        r->headers_out.last_modified = h;
        r->headers_out.last_modified_time
                        = ngx_parse_http_time(h->value.data, h->value.len);

    } else if (tee_text_is_nocase(name, "www-authenticate")) {
        r->headers_out.www_authenticate = h;
    }

    return NGX_OK;
}


static ngx_uint_t
ngx_http_tee_client_dropped(ngx_http_tee_client_ctx_t *ctx, tee_str_t name)
{
    tee_str_t      key;
    ngx_uint_t     i;
    const char   **own;
    ngx_keyval_t  *field;

    if (tee_bhttp_hop_by_hop(name)) {
        return 1;
    }

    for (own = ngx_http_tee_client_own; *own; own++) {
        if (tee_text_is_nocase(name, *own)) {
            return 1;
        }
    }

    field = ctx->fields.elts;

    for (i = 0; i < ctx->fields.nelts; i++) {
        key = ngx_http_tee_str(&field[i].key);

        if (tee_text_is_nocase(key, "connection")
            && ngx_http_tee_client_named(&field[i].value, name))
        {
            return 1;
        }
    }

    return 0;
}


ngx_uint_t
ngx_http_tee_client_named(ngx_str_t *list, tee_str_t name)
{
    u_char  *p, *q, *last;

    last = list->data + list->len;

    for (p = list->data; p < last; p = q + 1) {

        while (p < last && (*p == ' ' || *p == '\t' || *p == ',')) {
            p++;
        }

        for (q = p; q < last && *q != ',' && *q != ' ' && *q != '\t'; q++) {
            /* void */
        }

        if ((size_t) (q - p) == name.len
            && ngx_strncasecmp(p, (u_char *) name.data, name.len) == 0)
        {
            return 1;
        }
    }

    return 0;
}


/* Filters look at what stands in front of the parameters. */

static void
ngx_http_tee_client_type(ngx_http_request_t *r, ngx_str_t *value)
{
    size_t   len;
    u_char  *p;

    r->headers_out.content_type = *value;
    r->headers_out.content_type_lowcase = NULL;

    p = ngx_strlchr(value->data, value->data + value->len, ';');
    len = p ? (size_t) (p - value->data) : value->len;

    while (len && (value->data[len - 1] == ' '
                   || value->data[len - 1] == '\t'))
    {
        len--;
    }

    r->headers_out.content_type_len = len;
}


ngx_int_t
ngx_http_tee_client_trailer(ngx_http_request_t *r,
    ngx_http_tee_client_ctx_t *ctx, tee_str_t name, tee_str_t value)
{
    u_char           *p;
    const char      **not;
    ngx_table_elt_t  *h;

    if (name.data[0] == ':') {
        return NGX_DECLINED;
    }

    if (ngx_http_tee_client_dropped(ctx, name)) {
        return NGX_OK;
    }

    for (not = ngx_http_tee_client_no_trailers; *not; not++) {
        if (tee_text_is_nocase(name, *not)) {
            return NGX_OK;
        }
    }

    if (ctx->trailers.part.elts == NULL
        && ngx_list_init(&ctx->trailers, r->pool, 4, sizeof(ngx_table_elt_t))
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    p = ngx_pnalloc(r->pool, name.len + value.len + 2);
    h = p ? ngx_list_push(&ctx->trailers) : NULL;

    if (h == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(h, sizeof(ngx_table_elt_t));

    h->hash = 1;
    h->key.len = name.len;
    h->key.data = p;

    p = ngx_cpymem(p, name.data, name.len);
    *p++ = '\0';

    h->value.len = value.len;
    h->value.data = p;
    *ngx_cpymem(p, value.data, value.len) = '\0';

    return NGX_OK;
}


/* For those of the relay, nothing speaks. */

void
ngx_http_tee_client_trailers(ngx_http_request_t *r,
    ngx_http_tee_client_ctx_t *ctx)
{
    ngx_list_t  *list;

    list = &r->headers_out.trailers;

    if (ctx->trailers.part.elts == NULL) {
        list->part.nelts = 0;
        list->part.next = NULL;
        list->last = &list->part;

        return;
    }

    *list = ctx->trailers;

    /* a list of one part points into itself */

    if (ctx->trailers.last == &ctx->trailers.part) {
        list->last = &list->part;
    }
}
