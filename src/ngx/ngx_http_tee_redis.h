
/*
 * Copyright (C) The ngx_http_tee authors
 */


#ifndef _NGX_HTTP_TEE_REDIS_H_INCLUDED_
#define _NGX_HTTP_TEE_REDIS_H_INCLUDED_


#include <ngx_http_tee_gateway.h>


/* A Redis server that machines share, and this worker's connection to it. */

typedef struct ngx_http_tee_redis_s  ngx_http_tee_redis_t;


/*
 * url   host:port or unix:path, as in proxy_pass; names are looked up at start
 * auth  a file with the password, or empty
 *
 * Servers are shared by locations that name the same.  NULL: has been logged.
 */

ngx_http_tee_redis_t *ngx_http_tee_redis_conf(ngx_conf_t *cf,
    ngx_array_t *servers, ngx_str_t *url, ngx_str_t *auth);

/*
 * Notes a digest for "ttl" seconds.
 *
 * away  what the answer is if there is none within "timeout"
 *
 * NGX_OK (it was not there), NGX_DECLINED (it was), "away", or NGX_AGAIN: the
 * handler is called with one of these, once, later.
 */

ngx_int_t ngx_http_tee_redis_add(ngx_http_tee_redis_t *redis,
    const u_char digest[16], time_t ttl, ngx_msec_t timeout, ngx_int_t away,
    ngx_http_tee_replay_pt handler, void *data);

/* The handler of this ask is not called any more. */

void ngx_http_tee_redis_forget(ngx_http_tee_redis_t *redis, void *data);

/* Ends all; handlers are not called any more. */

void ngx_http_tee_redis_exit(ngx_http_tee_redis_t *redis);


#endif /* _NGX_HTTP_TEE_REDIS_H_INCLUDED_ */
