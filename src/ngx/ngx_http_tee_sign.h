
/*
 * Copyright (C) The ngx_http_tee authors
 */


#ifndef _NGX_HTTP_TEE_SIGN_H_INCLUDED_
#define _NGX_HTTP_TEE_SIGN_H_INCLUDED_


#include <ngx_http_tee.h>
#include <ngx_http_tee_asked.h>
#include <ngx_http_tee_out.h>
#include <tee_sig.h>
#include <tee_signed_events.h>


/* What becomes of an answer that cannot be signed. */

#define NGX_HTTP_TEE_UNSIGNED_ERRORS  0        /* errors pass, no others */
#define NGX_HTTP_TEE_UNSIGNED_PASS    1
#define NGX_HTTP_TEE_UNSIGNED_REFUSE  2


/* One event is read, and hashed, in the event loop. */

#define NGX_HTTP_TEE_MAX_EVENT  (1024 * 1024)


typedef struct {
    ngx_str_t                      name;
    tee_sig_key_t                 *key;
    u_char                         id[32];     /* that of the TEE */
} ngx_http_tee_sign_key_t;


typedef struct {
    ngx_http_tee_sign_key_t       *key;        /* NULL: off */
    ngx_http_tee_asked_conf_t      asked;
    size_t                         buffer;
    ngx_uint_t                     refuse;
} ngx_http_tee_sign_loc_conf_t;


typedef enum {
    NGX_HTTP_TEE_SIGN_NOTHING = 0,             /* the header has not come */
    NGX_HTTP_TEE_SIGN_PASS,                    /* not signed */
    NGX_HTTP_TEE_SIGN_BODY,                    /* JSON, held until signed */
    NGX_HTTP_TEE_SIGN_EVENTS,
    NGX_HTTP_TEE_SIGN_DONE                     /* nothing more may be sent */
} ngx_http_tee_sign_e;


typedef struct {
    ngx_http_tee_sign_loc_conf_t  *conf;
    ngx_http_tee_asked_t           asked;
    ngx_http_tee_sign_e            state;

    ngx_http_tee_held_t            held;       /* the whole answer */
    tee_write_t                    signed_body;
    tee_signed_events_t            events;

    ngx_chain_t                   *in;
    size_t                         taken;      /* of the first buffer */
    tee_str_t                      pending;    /* is to be sent next */
    ngx_http_tee_out_t             out;

    unsigned                       last:1;     /* of the content has come */
    unsigned                       failed:1;   /* the upstream has */
    unsigned                       signing:1;  /* a job is */
    unsigned                       dirty:1;    /* something is to be flushed */
    unsigned                       flush:1;    /* the upstream wants it */
    unsigned                       flushed:1;  /* it has been done */
    unsigned                       ended:1;    /* of the events */
    unsigned                       complete:1; /* all has been passed on */
    unsigned                       unsigned_rest:1;    /* passes as it is */
} ngx_http_tee_sign_ctx_t;


extern ngx_module_t  ngx_http_tee_sign_module;


#endif /* _NGX_HTTP_TEE_SIGN_H_INCLUDED_ */
