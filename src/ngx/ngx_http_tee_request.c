
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <ngx_http_tee.h>
#include <tee_date.h>
#include <tee_text.h>


/* What the roles ask of a request before they look into it, and how they get
 * what is in it. */


static ngx_int_t ngx_http_tee_take_bufs(ngx_http_request_t *r,
    ngx_http_tee_take_pt take, void *data);


/* Parameters are legal and mean nothing. */

ngx_uint_t
ngx_http_tee_is_type(ngx_str_t *type, const char *name)
{
    size_t   len;
    u_char  *p, *last;

    len = ngx_strlen(name);

    if (type->len < len
        || ngx_strncasecmp(type->data, (u_char *) name, len) != 0)
    {
        return 0;
    }

    last = type->data + type->len;

    for (p = type->data + len; p < last; p++) {
        if (*p != ' ' && *p != '\t') {
            break;
        }
    }

    return p == last || *p == ';';
}


ngx_uint_t
ngx_http_tee_is_encoded(ngx_http_request_t *r)
{
    ngx_uint_t        n;
    ngx_table_elt_t  *h;

    static ngx_str_t  name = ngx_string("Content-Encoding");
    static ngx_str_t  identity = ngx_string("identity");

    for (n = 0; /* void */ ; n++) {
        h = ngx_http_tee_field(&r->headers_out.headers, &name, n);

        if (h == NULL) {
            return 0;
        }

        if (h->hash && h->value.len
            && (h->value.len != identity.len
                || ngx_strncasecmp(h->value.data, identity.data, identity.len)
                   != 0))
        {
            return 1;
        }
    }
}


ngx_uint_t
ngx_http_tee_is_utf8(ngx_str_t *type)
{
    u_char     *p, *last;
    ngx_str_t   value;

    static ngx_str_t  name = ngx_string("charset=");
    static ngx_str_t  utf8 = ngx_string("utf-8");

    last = type->data + type->len;

    for (p = type->data; p < last && *p != ';'; p++) { /* void */ }

    if (p == last) {
        return 1;
    }

    for (p++; p < last && *p == ' '; p++) { /* void */ }

    if ((size_t) (last - p) < name.len
        || ngx_strncasecmp(p, name.data, name.len) != 0)
    {
        return 0;
    }

    value.data = p + name.len;
    value.len = last - value.data;

    if (value.len > 1 && value.data[0] == '"' && last[-1] == '"') {
        value.data++;
        value.len -= 2;
    }

    return value.len == utf8.len
           && ngx_strncasecmp(value.data, utf8.data, utf8.len) == 0;
}


ngx_uint_t
ngx_http_tee_request_type(ngx_http_request_t *r)
{
    ngx_str_t  *type;

    if (r->headers_in.content_type == NULL) {
        return NGX_HTTP_TEE_NO_TYPE;
    }

    type = &r->headers_in.content_type->value;

    if (ngx_http_tee_is_type(type, "message/ohttp-req")) {
        return NGX_HTTP_TEE_WHOLE;
    }

    if (ngx_http_tee_is_type(type, "message/ohttp-chunked-req")) {
        return NGX_HTTP_TEE_CHUNKED;
    }

    return NGX_HTTP_TEE_NO_TYPE;
}


/* RFC 8470: ours, or that of a TLS terminator in front of us. */

ngx_uint_t
ngx_http_tee_early_data(ngx_http_request_t *r)
{
    ngx_table_elt_t  *h;

    static ngx_str_t  early_data = ngx_string("early-data");

#if (NGX_HTTP_SSL)
    if (r->connection->ssl
        && r->connection->ssl->in_early
        && SSL_in_init(r->connection->ssl->connection))
    {
        return 1;
    }
#endif

    h = ngx_http_tee_field(&r->headers_in.headers, &early_data, 0);

    return h && h->value.len == 1 && h->value.data[0] == '1';
}


ngx_int_t
ngx_http_tee_clean_error(ngx_http_request_t *r)
{
    int64_t           date;
    uint64_t          seconds;
    tee_str_t         value;
    ngx_table_elt_t  *h;

    static ngx_str_t  retry_after = ngx_string("Retry-After");

    value.len = 0;

    h = ngx_http_tee_field(&r->headers_out.headers, &retry_after, 0);

    if (h) {
        value = ngx_http_tee_str(&h->value);
    }

    ngx_http_clean_header(r);

    /* anything else could be meant for the next request to be known by */

    if (tee_decimal(value, 31536000, &seconds) != TEE_OK
        && tee_date_read(value, ngx_time(), &date) != TEE_OK)
    {
        return NGX_OK;
    }

    h = ngx_http_tee_add_field(&r->headers_out.headers, "Retry-After", "");
    if (h == NULL) {
        return NGX_ERROR;
    }

    h->value.data = (u_char *) value.data;
    h->value.len = value.len;

    return NGX_OK;
}


ngx_int_t
ngx_http_tee_read_content(ngx_http_request_t *r,
    ngx_http_event_handler_pt handler)
{
    ngx_int_t  rc;

    r->request_body_no_buffering = 1;

    rc = ngx_http_read_client_request_body(r, handler);

    if (rc >= NGX_HTTP_SPECIAL_RESPONSE) {
        ngx_http_tee_no_content(r);
        return rc;
    }

    ngx_http_finalize_request(r, NGX_DONE);

    return NGX_DONE;
}


ngx_int_t
ngx_http_tee_take_content(ngx_http_request_t *r,
    ngx_http_event_handler_pt handler, ngx_http_tee_take_pt take, void *data)
{
    ngx_int_t  rc;

    if (r->connection->read->timedout) {
        r->connection->timedout = 1;
        return NGX_HTTP_REQUEST_TIME_OUT;
    }

    for ( ;; ) {

        rc = ngx_http_tee_take_bufs(r, take, data);

        if (rc != NGX_OK) {
            return rc;
        }

        if (!r->reading_body) {
            r->read_event_handler = ngx_http_block_reading;
            return NGX_OK;
        }

        rc = ngx_http_read_unbuffered_request_body(r);

        if (rc >= NGX_HTTP_SPECIAL_RESPONSE) {
            return rc;
        }

        if (rc == NGX_AGAIN && r->request_body->bufs == NULL) {
            r->read_event_handler = handler;
            r->write_event_handler = ngx_http_request_empty_handler;

            return NGX_AGAIN;
        }
    }
}


/* nginx may use its buffer again. */

static ngx_int_t
ngx_http_tee_take_bufs(ngx_http_request_t *r, ngx_http_tee_take_pt take,
    void *data)
{
    ngx_int_t     rc;
    ngx_buf_t    *b;
    ngx_chain_t  *cl, *ln;

    cl = r->request_body->bufs;
    r->request_body->bufs = NULL;

    while (cl) {
        b = cl->buf;

        if (b->in_file) {
            ngx_log_error(NGX_LOG_ALERT, r->connection->log, 0,
                          "tee: a part of a request is in a file");
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        rc = take(r, data, b->pos, b->last - b->pos);

        if (rc != NGX_OK) {
            return rc;
        }

        b->pos = b->last;

        ln = cl;
        cl = cl->next;
        ngx_free_chain(r->pool, ln);
    }

    return NGX_OK;
}


void
ngx_http_tee_no_content(ngx_http_request_t *r)
{
    r->request_body_no_buffering = 0;

    r->headers_in.content_length = NULL;
    r->headers_in.content_length_n = 0;
    r->headers_in.chunked = 0;
}


ngx_table_elt_t *
ngx_http_tee_field(ngx_list_t *list, ngx_str_t *name, ngx_uint_t n)
{
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    for (part = &list->part; part; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {

            if (h[i].key.len == name->len
                && ngx_strncasecmp(h[i].key.data, name->data, name->len) == 0
                && n-- == 0)
            {
                return &h[i];
            }
        }
    }

    return NULL;
}


void
ngx_http_tee_clear_content(ngx_http_request_t *r)
{
    ngx_str_t        *name;
    ngx_table_elt_t  *h;

    static ngx_str_t  names[] = {
        ngx_string("Content-MD5"),
        ngx_string("Digest"),
        ngx_string("Content-Digest"),
        ngx_string("Repr-Digest"),
        ngx_null_string
    };

    ngx_http_clear_content_length(r);
    ngx_http_clear_accept_ranges(r);
    ngx_http_clear_last_modified(r);
    ngx_http_clear_etag(r);

    r->allow_ranges = 0;

    for (name = names; name->len; name++) {

        while ((h = ngx_http_tee_field(&r->headers_out.headers, name, 0))) {

            /* nginx sends no field without a hash; nor is it found again */

            h->hash = 0;
            h->key.len = 0;
        }
    }
}


ngx_table_elt_t *
ngx_http_tee_add_field(ngx_list_t *list, const char *name, const char *value)
{
    ngx_table_elt_t  *h;

    h = ngx_list_push(list);
    if (h == NULL) {
        return NULL;
    }

    ngx_memzero(h, sizeof(ngx_table_elt_t));
    h->hash = 1;
    h->key.len = ngx_strlen(name);
    h->key.data = (u_char *) name;
    h->value.len = ngx_strlen(value);
    h->value.data = (u_char *) value;

    return h;
}
