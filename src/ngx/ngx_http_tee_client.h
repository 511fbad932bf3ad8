
/*
 * Copyright (C) The ngx_http_tee authors
 */


#ifndef _NGX_HTTP_TEE_CLIENT_H_INCLUDED_
#define _NGX_HTTP_TEE_CLIENT_H_INCLUDED_


#include <ngx_http_tee.h>


/* What others may ask of a request that tee_client has sealed. */

/*
 * The TEE that it is sealed to, and its signing key (DER), which stays as long
 * as the request.
 *
 * NGX_OK; NGX_DECLINED: not sealed, or to a gateway that no registry lists
 */

ngx_int_t ngx_http_tee_client_answerer(ngx_http_request_t *r, u_char id[32],
    tee_str_t *spki);

/* The content of the request within, which stays as long as the request; NULL
 * if it has not been sealed. */

tee_str_t *ngx_http_tee_client_inner(ngx_http_request_t *r);


extern ngx_module_t  ngx_http_tee_client_module;


#endif /* _NGX_HTTP_TEE_CLIENT_H_INCLUDED_ */
