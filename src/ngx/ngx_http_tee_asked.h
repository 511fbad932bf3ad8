
/*
 * Copyright (C) The ngx_http_tee authors
 */


#ifndef _NGX_HTTP_TEE_ASKED_H_INCLUDED_
#define _NGX_HTTP_TEE_ASKED_H_INCLUDED_


#include <ngx_http_tee.h>
#include <tee_chat.h>


/* What was asked, as a signature covers it; for whoever signs or verifies. */

#define NGX_HTTP_TEE_ENDPOINT_AUTO  255


typedef struct {
    ngx_uint_t                     endpoint;
    ngx_array_t                   *names;      /* ngx_str_t; NULL: default */
    tee_chat_fields_t              fields;
} ngx_http_tee_asked_conf_t;


typedef struct {
    u_char                         hash[32];
    tee_chat_endpoint_t            endpoint;

    /*
     * TEE_OK; TEE_DONE: not a request that is signed, by its method or URI;
     * what tee_chat_hash() answers; TEE_INCOMPLETE: not known yet
     */
    tee_rc_t                       rc;
    unsigned                       reading:1;
    unsigned                       read:1;
    unsigned                       hashing:1;
} ngx_http_tee_asked_t;


/* Directives: an enumeration, and a list of names. */

extern ngx_conf_enum_t  ngx_http_tee_endpoints[];

char *ngx_http_tee_asked_fields(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
void ngx_http_tee_asked_unset(ngx_http_tee_asked_conf_t *conf);
ngx_int_t ngx_http_tee_asked_merge(ngx_conf_t *cf,
    ngx_http_tee_asked_conf_t *prev, ngx_http_tee_asked_conf_t *conf);

/* Settings of other modules with which something else would be sent than has
 * been read; logs, and answers NGX_ERROR, if there is one. */

ngx_int_t ngx_http_tee_asked_check(ngx_conf_t *cf, const char *directive);


/*
 * For a handler of the precontent phase: reads the content, and hashes what a
 * signature covers of it.  "asked" is zeroed before the first call and lives as
 * long as the request.
 *
 * NGX_DECLINED: asked->rc is known; NGX_DONE: the handler is called again;
 * otherwise a status
 */

ngx_int_t ngx_http_tee_asked(ngx_http_request_t *r,
    ngx_http_tee_asked_conf_t *conf, ngx_http_tee_asked_t *asked);

/* The same about a text, asked for at this URI, which stays as it is; for what
 * is sealed in the content. */

ngx_int_t ngx_http_tee_asked_within(ngx_http_request_t *r,
    ngx_http_tee_asked_conf_t *conf, ngx_http_tee_asked_t *asked,
    ngx_str_t *uri, tee_str_t *text);

/* Hides Accept-Encoding and ranges from the peer: what it encodes cannot be
 * read, and a part says nothing. */

ngx_int_t ngx_http_tee_asked_plain(ngx_http_request_t *r);


/* Variables: what has been signed or verified in this request. */

typedef struct {
    u_char                         request_hash[64];   /* hexadecimal */
    u_char                         output_hash[64];
    u_char                         timestamp[NGX_INT64_LEN];
    size_t                         timestamp_len;
} ngx_http_tee_said_t;

/* The variables' ctx of this request; NULL: no memory. */

ngx_http_tee_said_t *ngx_http_tee_said(ngx_http_request_t *r);


extern ngx_module_t  ngx_http_tee_asked_module;


#endif /* _NGX_HTTP_TEE_ASKED_H_INCLUDED_ */
