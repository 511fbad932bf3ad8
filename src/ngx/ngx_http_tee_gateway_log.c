
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <ngx_http_tee.h>
#include <ngx_http_tee_asked.h>
#include <ngx_http_tee_gateway_ctx.h>


/*
 * Logs are read outside of the enclave.  What nginx adds to its messages about
 * a request says nothing of what was sealed, and the access log sees the outer
 * request, whatever its format is.
 */


static u_char *ngx_http_tee_gateway_log_handler(ngx_http_request_t *r,
    ngx_http_request_t *sr, u_char *buf, size_t len);


void
ngx_http_tee_gateway_save(ngx_http_request_t *r,
    ngx_http_tee_gateway_ctx_t *ctx)
{
    ngx_http_tee_gateway_outer_t  *outer;

    outer = &ctx->outer;

    outer->headers_in = r->headers_in;
    outer->method = r->method;
    outer->method_name = r->method_name;
    outer->request_line = r->request_line;
    outer->uri = r->uri;
    outer->args = r->args;
    outer->exten = r->exten;
    outer->unparsed_uri = r->unparsed_uri;

    r->log_handler = ngx_http_tee_gateway_log_handler;
}


static u_char *
ngx_http_tee_gateway_log_handler(ngx_http_request_t *r,
    ngx_http_request_t *sr, u_char *buf, size_t len)
{
    ngx_http_tee_gateway_ctx_t  *ctx;

    ctx = ngx_http_tee_gateway_get_ctx(r);

    return ngx_snprintf(buf, len, ", sealed request: \"%V\"",
                        &ctx->outer.request_line);
}


/* The first one to log.  Variables of "set" stay: who has set them, knows. */

ngx_int_t
ngx_http_tee_gateway_log(ngx_http_request_t *r)
{
    ngx_uint_t                     i;
    ngx_http_variable_t           *v;
    ngx_http_tee_gateway_ctx_t    *ctx;
    ngx_http_core_main_conf_t     *cmcf;
    ngx_http_tee_gateway_outer_t  *outer;

    if (r != r->main) {
        return NGX_OK;
    }

    ctx = ngx_http_tee_gateway_get_ctx(r);

    if (ctx == NULL || !ctx->opened) {
        return NGX_OK;
    }

    outer = &ctx->outer;

    r->headers_in = outer->headers_in;
    r->method = outer->method;
    r->method_name = outer->method_name;
    r->request_line = outer->request_line;
    r->uri = outer->uri;
    r->args = outer->args;
    r->exten = outer->exten;
    r->unparsed_uri = outer->unparsed_uri;
    r->request_body = NULL;
    r->upstream = NULL;

    /* hashes of what was sealed tell it to who can guess it */

    ngx_http_set_ctx(r, NULL, ngx_http_tee_asked_module);

    cmcf = ngx_http_get_module_main_conf(r, ngx_http_core_module);
    v = cmcf->variables.elts;

    for (i = 0; i < cmcf->variables.nelts; i++) {

        if ((v[i].flags & NGX_HTTP_VAR_CHANGEABLE)
            && (v[i].flags & NGX_HTTP_VAR_WEAK))
        {
            continue;
        }

        r->variables[i].valid = 0;
        r->variables[i].not_found = 0;
    }

    return NGX_OK;
}
