
/*
 * Copyright (C) The ngx_http_tee authors
 */


#ifndef _NGX_HTTP_TEE_GATEWAY_H_INCLUDED_
#define _NGX_HTTP_TEE_GATEWAY_H_INCLUDED_


#include <ngx_http_tee.h>
#include <tee_ohttp.h>


#define NGX_HTTP_TEE_RFC9458       0
#define NGX_HTTP_TEE_OPENGRADIENT  1


/* keys: a tee_gateway_keys block, of which several locations may make use */

typedef struct ngx_http_tee_keys_s  ngx_http_tee_keys_t;

/* The block of this name, or NULL; blocks stand before what uses them. */

ngx_http_tee_keys_t *ngx_http_tee_gateway_keys_find(ngx_conf_t *cf,
    ngx_str_t *name);

/* A key belongs to one profile (RFC 9458, 6.4): NGX_CONF_OK, or a text for the
 * log about the other one. */

char *ngx_http_tee_gateway_keys_use(ngx_http_tee_keys_t *keys,
    ngx_uint_t profile);

/* A tee_ohttp_find_pt: "data" is the block, and the key is one that opens
 * requests now; valid until the event handler returns. */

const tee_ohttp_private_t *ngx_http_tee_gateway_key(void *data, uint8_t id);

/* 1 if tee_keys answers GET and HEAD in the location of this request. */

ngx_uint_t ngx_http_tee_keys_enabled(ngx_http_request_t *r);

/* Of this process. */

tee_crypto_t *ngx_http_tee_crypto(void);


/* replay: has this request been seen? */

typedef struct ngx_http_tee_replay_s  ngx_http_tee_replay_t;

#define NGX_HTTP_TEE_DATE_OFF      0
#define NGX_HTTP_TEE_DATE_CHECK    1
#define NGX_HTTP_TEE_DATE_REQUIRE  2

/*
 * NGX_OK        not seen before; it is from now on
 * NGX_DECLINED  seen: a replay
 * NGX_BUSY      there is no room for it, and nothing may be evicted
 * NGX_ERROR     the store cannot tell
 */

typedef void (*ngx_http_tee_replay_pt)(void *data, ngx_int_t rc);

/* One of the above, or NGX_AGAIN: the handler is called, once, later. */

ngx_int_t ngx_http_tee_replay_check(ngx_http_tee_replay_t *replay,
    tee_str_t enc, ngx_http_tee_replay_pt handler, void *data,
    ngx_log_t *log);

/* The handler of an ask that waits is not called any more. */

void ngx_http_tee_replay_forget(ngx_http_tee_replay_t *replay, void *data);

/* Parses the parameters of tee_gateway_replay; the zones belong to the main
 * configuration, and are shared by locations that name the same one. */

ngx_http_tee_replay_t *ngx_http_tee_replay_conf(ngx_conf_t *cf);

/* What a location without the directive gets. */

ngx_http_tee_replay_t *ngx_http_tee_replay_default(ngx_conf_t *cf);

time_t ngx_http_tee_replay_window(ngx_http_tee_replay_t *replay);
ngx_uint_t ngx_http_tee_replay_date(ngx_http_tee_replay_t *replay);


extern ngx_module_t  ngx_http_tee_gateway_module;
extern ngx_module_t  ngx_http_tee_keys_module;


#endif /* _NGX_HTTP_TEE_GATEWAY_H_INCLUDED_ */
