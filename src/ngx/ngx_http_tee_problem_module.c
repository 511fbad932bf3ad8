
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <ngx_http_tee.h>


typedef struct {
    ngx_flag_t     enable;
    ngx_flag_t     openai;
} ngx_http_tee_problem_loc_conf_t;


typedef struct {
    ngx_uint_t     status;
    const char    *reason;
    const char    *detail;
    const char    *type;
    ngx_buf_t     *body;
    unsigned       bare:1;
    unsigned       sent:1;
} ngx_http_tee_problem_ctx_t;


static ngx_int_t ngx_http_tee_problem_header_filter(ngx_http_request_t *r);
static ngx_int_t ngx_http_tee_problem_body_filter(ngx_http_request_t *r,
    ngx_chain_t *in);
static ngx_int_t ngx_http_tee_problem_render(ngx_http_request_t *r,
    ngx_http_tee_problem_ctx_t *ctx, ngx_uint_t openai);
static const char *ngx_http_tee_problem_title(ngx_uint_t status);
static ngx_int_t ngx_http_tee_problem_reason_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_tee_problem_add_variables(ngx_conf_t *cf);
static void *ngx_http_tee_problem_create_loc_conf(ngx_conf_t *cf);
static char *ngx_http_tee_problem_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child);
static ngx_int_t ngx_http_tee_problem_init(ngx_conf_t *cf);


static ngx_http_module_t  ngx_http_tee_problem_module_ctx = {
    ngx_http_tee_problem_add_variables,    /* preconfiguration */
    ngx_http_tee_problem_init,             /* postconfiguration */

    NULL,                                  /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_http_tee_problem_create_loc_conf,  /* create location configuration */
    ngx_http_tee_problem_merge_loc_conf    /* merge location configuration */
};


ngx_module_t  ngx_http_tee_problem_module = {
    NGX_MODULE_V1,
    &ngx_http_tee_problem_module_ctx,      /* module context */
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


static ngx_str_t  ngx_http_tee_error_variable = ngx_string("tee_error");


ngx_int_t
ngx_http_tee_problem(ngx_http_request_t *r, ngx_uint_t status,
    const char *reason, const char *detail)
{
    ngx_http_tee_problem_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_tee_problem_module);

    if (ctx == NULL) {
        ctx = ngx_pcalloc(r->pool, sizeof(ngx_http_tee_problem_ctx_t));
        if (ctx == NULL) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        ngx_http_set_ctx(r, ctx, ngx_http_tee_problem_module);
    }

    ctx->status = status;
    ctx->reason = reason;
    ctx->detail = detail;
    ctx->type = NULL;
    ctx->bare = 0;

    return status;
}


void
ngx_http_tee_problem_type(ngx_http_request_t *r, const char *type)
{
    ngx_http_tee_problem_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_tee_problem_module);

    if (ctx) {
        ctx->type = type;
    }
}


void
ngx_http_tee_problem_bare(ngx_http_request_t *r)
{
    ngx_http_tee_problem_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_tee_problem_module);

    if (ctx) {
        ctx->bare = 1;
    }
}


const char *
ngx_http_tee_problem_reason(ngx_http_request_t *r)
{
    ngx_http_tee_problem_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_tee_problem_module);

    return ctx ? ctx->reason : NULL;
}


void
ngx_http_tee_problem_location(ngx_conf_t *cf)
{
    ngx_http_tee_problem_loc_conf_t  *plcf;

    plcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_tee_problem_module);

    plcf->enable = 1;
}


void
ngx_http_tee_problem_openai(ngx_conf_t *cf)
{
    ngx_http_tee_problem_loc_conf_t  *plcf;

    plcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_tee_problem_module);

    plcf->enable = 1;
    plcf->openai = 1;
}


static ngx_int_t
ngx_http_tee_problem_header_filter(ngx_http_request_t *r)
{
    ngx_http_tee_problem_ctx_t       *ctx;
    ngx_http_tee_problem_loc_conf_t  *plcf;

    /*
     * Only nginx's own error responses set err_status; error_page keeps its
     * say, and a response that a peer has made stays what it is.
     */

    if (r != r->main || r->err_status < NGX_HTTP_BAD_REQUEST || r->error_page)
    {
        return ngx_http_next_header_filter(r);
    }

    ctx = ngx_http_get_module_ctx(r, ngx_http_tee_problem_module);

    plcf = ngx_http_get_module_loc_conf(r, ngx_http_tee_problem_module);

    if (ctx == NULL) {
        if (!plcf->enable) {
            return ngx_http_next_header_filter(r);
        }

        ctx = ngx_pcalloc(r->pool, sizeof(ngx_http_tee_problem_ctx_t));
        if (ctx == NULL) {
            return NGX_ERROR;
        }

        ngx_http_set_ctx(r, ctx, ngx_http_tee_problem_module);
    }

    if (ctx->status == NGX_HTTP_BAD_GATEWAY
        && r->err_status == NGX_HTTP_GATEWAY_TIME_OUT)
    {
        ctx->status = NGX_HTTP_GATEWAY_TIME_OUT;
    }

    if (ctx->status == 0
        || (ctx->status != r->err_status
            && r->err_status != NGX_HTTP_BAD_GATEWAY
            && r->err_status != NGX_HTTP_INTERNAL_SERVER_ERROR))
    {
        /* something else went wrong, before or after the noted reason */

        ctx->status = r->err_status;
        ctx->reason = r->err_status == NGX_HTTP_REQUEST_ENTITY_TOO_LARGE
                      ? "too_large" : "http_error";
        ctx->detail = ngx_http_tee_problem_title(r->err_status);
        ctx->type = NULL;
    }

    if (ngx_http_tee_problem_render(r, ctx, plcf->openai) != NGX_OK) {
        return NGX_ERROR;
    }

    r->err_status = ctx->status;
    r->headers_out.status = ctx->status;
    r->headers_out.status_line.len = 0;

    if (ctx->bare || plcf->openai) {
        ngx_str_set(&r->headers_out.content_type, "application/json");

    } else {
        ngx_str_set(&r->headers_out.content_type, "application/problem+json");
    }

    r->headers_out.content_type_len = r->headers_out.content_type.len;
    r->headers_out.content_type_lowcase = NULL;

    ngx_http_clear_content_length(r);
    ngx_http_clear_accept_ranges(r);
    ngx_http_clear_last_modified(r);
    ngx_http_clear_etag(r);

    r->headers_out.content_length_n = ctx->body->last - ctx->body->pos;

    return ngx_http_next_header_filter(r);
}


static ngx_int_t
ngx_http_tee_problem_body_filter(ngx_http_request_t *r, ngx_chain_t *in)
{
    ngx_chain_t                  out;
    ngx_http_tee_problem_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_tee_problem_module);

    if (ctx == NULL || ctx->body == NULL || r != r->main) {
        return ngx_http_next_body_filter(r, in);
    }

    if (in == NULL) {
        return ngx_http_next_body_filter(r, NULL);
    }

    for ( /* void */ ; in; in = in->next) {
        in->buf->pos = in->buf->last;
    }

    if (ctx->sent) {
        return NGX_OK;
    }

    ctx->sent = 1;

    out.buf = ctx->body;
    out.next = NULL;

    return ngx_http_next_body_filter(r, &out);
}


/* All texts are constants without characters that JSON would escape. */

static ngx_int_t
ngx_http_tee_problem_render(ngx_http_request_t *r,
    ngx_http_tee_problem_ctx_t *ctx, ngx_uint_t openai)
{
    size_t       len;
    const char  *title, *type;

    title = ngx_http_tee_problem_title(ctx->status);
    type = ctx->type ? ctx->type : "about:blank";

    len = sizeof("{\"type\":\"\",\"title\":\"\",\"status\":,"
                 "\"detail\":\"\",\"reason\":\"\"}" CRLF)
          + NGX_INT_T_LEN + ngx_strlen(type) + ngx_strlen(title)
          + ngx_strlen(ctx->detail) + ngx_strlen(ctx->reason);

    ctx->body = ngx_create_temp_buf(r->pool, len);
    if (ctx->body == NULL) {
        return NGX_ERROR;
    }

    if (openai) {
        ctx->body->last = ngx_sprintf(ctx->body->pos,
                                      "{\"error\":{\"message\":\"%s\","
                                      "\"type\":\"tee_error\",\"param\":null,"
                                      "\"code\":\"%s\"}}",
                                      ctx->detail, ctx->reason);

    } else if (ctx->bare) {
        ctx->body->last = ngx_sprintf(ctx->body->pos, "{\"error\":\"%s\"}",
                                      ctx->detail);

    } else {
        ctx->body->last = ngx_sprintf(ctx->body->pos,
                                      "{\"type\":\"%s\",\"title\":\"%s\","
                                      "\"status\":%ui,\"detail\":\"%s\","
                                      "\"reason\":\"%s\"}" CRLF,
                                      type, title, ctx->status, ctx->detail,
                                      ctx->reason);
    }

    ctx->body->last_buf = 1;
    ctx->body->last_in_chain = 1;

    return NGX_OK;
}


static const char *
ngx_http_tee_problem_title(ngx_uint_t status)
{
    switch (status) {
    case NGX_HTTP_BAD_REQUEST:
        return "Bad Request";
    case NGX_HTTP_UNAUTHORIZED:
        return "Unauthorized";
    case NGX_HTTP_FORBIDDEN:
        return "Forbidden";
    case NGX_HTTP_NOT_FOUND:
        return "Not Found";
    case NGX_HTTP_NOT_ALLOWED:
        return "Method Not Allowed";
    case NGX_HTTP_REQUEST_TIME_OUT:
        return "Request Timeout";
    case NGX_HTTP_LENGTH_REQUIRED:
        return "Length Required";
    case NGX_HTTP_REQUEST_ENTITY_TOO_LARGE:
        return "Content Too Large";
    case NGX_HTTP_UNSUPPORTED_MEDIA_TYPE:
        return "Unsupported Media Type";
    case NGX_HTTP_TEE_EXPECTATION_FAILED:
        return "Expectation Failed";
    case NGX_HTTP_TEE_UNPROCESSABLE:
        return "Unprocessable Content";
    case NGX_HTTP_TEE_TOO_EARLY:
        return "Too Early";
    case NGX_HTTP_TOO_MANY_REQUESTS:
        return "Too Many Requests";
    case NGX_HTTP_NOT_IMPLEMENTED:
        return "Not Implemented";
    case NGX_HTTP_BAD_GATEWAY:
        return "Bad Gateway";
    case NGX_HTTP_SERVICE_UNAVAILABLE:
        return "Service Unavailable";
    case NGX_HTTP_GATEWAY_TIME_OUT:
        return "Gateway Timeout";
    default:
        return status < 500 ? "Client Error" : "Server Error";
    }
}


static ngx_int_t
ngx_http_tee_problem_reason_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    const char  *reason;

    reason = ngx_http_tee_problem_reason(r);

    if (reason == NULL) {
        v->not_found = 1;
        return NGX_OK;
    }

    v->len = ngx_strlen(reason);
    v->data = (u_char *) reason;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    return NGX_OK;
}


static ngx_int_t
ngx_http_tee_problem_add_variables(ngx_conf_t *cf)
{
    ngx_http_variable_t  *var;

    var = ngx_http_add_variable(cf, &ngx_http_tee_error_variable,
                                NGX_HTTP_VAR_NOCACHEABLE);
    if (var == NULL) {
        return NGX_ERROR;
    }

    var->get_handler = ngx_http_tee_problem_reason_variable;

    return NGX_OK;
}


static void *
ngx_http_tee_problem_create_loc_conf(ngx_conf_t *cf)
{
    ngx_http_tee_problem_loc_conf_t  *conf;

    conf = ngx_pcalloc(cf->pool, sizeof(ngx_http_tee_problem_loc_conf_t));
    if (conf == NULL) {
        return NULL;
    }

    conf->enable = NGX_CONF_UNSET;
    conf->openai = NGX_CONF_UNSET;

    return conf;
}


static char *
ngx_http_tee_problem_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_http_tee_problem_loc_conf_t  *prev = parent;
    ngx_http_tee_problem_loc_conf_t  *conf = child;

    ngx_conf_merge_value(conf->enable, prev->enable, 0);
    ngx_conf_merge_value(conf->openai, prev->openai, 0);

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_tee_problem_init(ngx_conf_t *cf)
{
    ngx_http_next_header_filter = ngx_http_top_header_filter;
    ngx_http_top_header_filter = ngx_http_tee_problem_header_filter;

    ngx_http_next_body_filter = ngx_http_top_body_filter;
    ngx_http_top_body_filter = ngx_http_tee_problem_body_filter;

    return NGX_OK;
}
