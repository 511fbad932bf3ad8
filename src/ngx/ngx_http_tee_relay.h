
/*
 * Copyright (C) The ngx_http_tee authors
 */


#ifndef _NGX_HTTP_TEE_RELAY_H_INCLUDED_
#define _NGX_HTTP_TEE_RELAY_H_INCLUDED_


#include <ngx_http_tee.h>
#include <tee_billing.h>


/* The two halves of the relay: its phase handler and its filters. */

typedef struct {
    ngx_flag_t       enable;
    off_t            max_body;
    ngx_array_t     *pass;                 /* ngx_str_t */
} ngx_http_tee_relay_loc_conf_t;


typedef struct {
    ngx_uint_t       type;
    u_char           head[7];              /* of the sealed request */
    ngx_uint_t       nhead;

    tee_billing_t    billing;
    unsigned         stripping:1;          /* the response may be billed */
    unsigned         failed:1;
} ngx_http_tee_relay_ctx_t;


ngx_uint_t ngx_http_tee_relay_listed(ngx_str_t *list, ngx_str_t *name);
ngx_uint_t ngx_http_tee_relay_passes(ngx_http_tee_relay_loc_conf_t *rlcf,
    ngx_str_t *name);


extern ngx_module_t  ngx_http_tee_relay_module;


#endif /* _NGX_HTTP_TEE_RELAY_H_INCLUDED_ */
