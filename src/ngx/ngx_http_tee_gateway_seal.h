
/*
 * Copyright (C) The ngx_http_tee authors
 */


#ifndef _NGX_HTTP_TEE_GATEWAY_SEAL_H_INCLUDED_
#define _NGX_HTTP_TEE_GATEWAY_SEAL_H_INCLUDED_


#include <ngx_http_tee_gateway_ctx.h>


/* Between the gateway's filters and what they seal with. */

/* fields: of the inner response, from where nginx keeps them */

ngx_int_t ngx_http_tee_gateway_fields(ngx_http_request_t *r,
    ngx_http_tee_gateway_ctx_t *ctx);
void ngx_http_tee_gateway_list(tee_write_t *w, ngx_list_t *list);


/* seal */

/* What has been held is all there is, or as much as is held. */

ngx_int_t ngx_http_tee_gateway_decide(ngx_http_request_t *r,
    ngx_http_tee_gateway_ctx_t *ctx);

/* Puts the outer header in the place of the inner one. */

ngx_int_t ngx_http_tee_gateway_begin(ngx_http_request_t *r,
    ngx_http_tee_gateway_ctx_t *ctx);

/* The same for an exchange whose response is chunked, before anything is
 * known of it; size is that of the plaintext, or -1. */

ngx_int_t ngx_http_tee_gateway_outer(ngx_http_request_t *r,
    ngx_http_tee_gateway_ctx_t *ctx, ngx_uint_t chunked, off_t size);

/* Adds the fields in r->headers_out to ctx->out, as a response of 103. */

ngx_int_t ngx_http_tee_gateway_hints(ngx_http_request_t *r,
    ngx_http_tee_gateway_ctx_t *ctx);

/*
 * Seals some of what is in ctx->in and adds one buffer to ctx->out: NGX_OK;
 * NGX_DECLINED, there is nothing to seal; NGX_AGAIN, no buffer is free;
 * NGX_DONE, the response is complete; NGX_ERROR.
 */

ngx_int_t ngx_http_tee_gateway_seal(ngx_http_request_t *r,
    ngx_http_tee_gateway_ctx_t *ctx);

void ngx_http_tee_gateway_drop_trailers(ngx_http_request_t *r);

/* Adds this buffer to ctx->out, with what else is asked for; returns as
 * above. */

ngx_int_t ngx_http_tee_gateway_put(ngx_http_request_t *r,
    ngx_http_tee_gateway_ctx_t *ctx, ngx_buf_t *b);


/* envelope: the other profile */

ngx_int_t ngx_http_tee_gateway_envelope(ngx_http_request_t *r,
    ngx_http_tee_gateway_ctx_t *ctx);
ngx_int_t ngx_http_tee_gateway_envelope_decide(ngx_http_request_t *r,
    ngx_http_tee_gateway_ctx_t *ctx);

/* The fields that pass in clear, into the outer header. */

ngx_int_t ngx_http_tee_gateway_keep(ngx_http_request_t *r,
    ngx_http_tee_gateway_ctx_t *ctx);

/* As ngx_http_tee_gateway_seal(), for server-sent events. */

ngx_int_t ngx_http_tee_gateway_event(ngx_http_request_t *r,
    ngx_http_tee_gateway_ctx_t *ctx);


extern ngx_module_t  ngx_http_tee_gateway_filter_module;


#endif /* _NGX_HTTP_TEE_GATEWAY_SEAL_H_INCLUDED_ */
