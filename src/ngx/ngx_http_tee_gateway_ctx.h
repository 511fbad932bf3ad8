
/*
 * Copyright (C) The ngx_http_tee authors
 */


#ifndef _NGX_HTTP_TEE_GATEWAY_CTX_H_INCLUDED_
#define _NGX_HTTP_TEE_GATEWAY_CTX_H_INCLUDED_


#include <ngx_http_tee_gateway.h>
#include <ngx_http_tee_out.h>
#include <tee_bhttp.h>
#include <tee_envelope.h>
#include <tee_sse.h>
#include <tee_target.h>


/* The parts of the gateway, each in a file: what comes in, the request that
 * it holds, what goes out. */

#define NGX_HTTP_TEE_PADDING_OFF     0
#define NGX_HTTP_TEE_PADDING_BUCKET  1         /* else the size of a block */


typedef struct {
    ngx_flag_t                     enable;
    ngx_http_tee_keys_t           *keys;
    ngx_uint_t                     profile;
    ngx_array_t                   *targets;    /* tee_target_t */
    ngx_http_tee_replay_t         *replay;     /* NULL: off */
    size_t                         padding;
    off_t                          max_body;
    size_t                         buffer;
} ngx_http_tee_gateway_loc_conf_t;


typedef enum {
    NGX_HTTP_TEE_SEAL_NOTHING = 0,             /* the header has not come */
    NGX_HTTP_TEE_SEAL_HOLD,                    /* until the length is known */
    NGX_HTTP_TEE_SEAL_KNOWN,                   /* BHTTP of known length */
    NGX_HTTP_TEE_SEAL_STREAM,                  /* of indeterminate length */
    NGX_HTTP_TEE_SEAL_JSON,                    /* content without BHTTP */
    NGX_HTTP_TEE_SEAL_EVENTS,                  /* an event a chunk */
    NGX_HTTP_TEE_SEAL_PLAIN                    /* not sealed at all */
} ngx_http_tee_seal_e;


/* What a log may say of a request that has been opened. */

typedef struct {
    ngx_http_headers_in_t          headers_in;
    ngx_uint_t                     method;
    ngx_str_t                      method_name;
    ngx_str_t                      request_line;
    ngx_str_t                      uri;
    ngx_str_t                      args;
    ngx_str_t                      exten;
    ngx_str_t                      unparsed_uri;
} ngx_http_tee_gateway_outer_t;


/* Kept by a cleanup handler of the pool: redirects clear r->ctx. */

typedef struct {
    ngx_http_request_t            *request;
    ngx_http_tee_gateway_loc_conf_t  *conf;

    /* what comes in */
    tee_ohttp_request_open_t       open;
    ngx_http_tee_held_t            plain;      /* of a chunked request */
    off_t                          received;
    tee_rc_t                       rc;         /* why it does not open */

    ngx_http_tee_gateway_outer_t   outer;

    /* the request within */
    tee_str_t                      message;
    tee_str_t                      body;       /* of the other profile */
    ngx_str_t                      origin;     /* scheme://authority */
    ngx_uint_t                     status;     /* of the sealed response */

    /* what goes out */
    ngx_http_tee_seal_e            seal;
    tee_ohttp_response_seal_t      sealer;
    u_char                         nonce[TEE_OHTTP_MAX_SECRET];
    tee_str_t                      section;    /* the fields */
    ngx_buf_t                     *head;       /* plaintext before, */
    ngx_buf_t                     *tail;       /* and after the content */
    ngx_http_tee_held_t            held;
    u_char                        *stage;      /* plaintext of one chunk */
    size_t                         stage_size;
    off_t                          length;     /* of the content */
    off_t                          sent;       /* of the content */
    off_t                          written;    /* plaintext in all */
    off_t                          pad;
    ngx_chain_t                   *in;
    ngx_http_tee_out_t             out;

    /* of the other profile */
    ngx_array_t                   *kept;       /* fields that pass */
    tee_sse_t                      sse;
    ngx_http_tee_held_t            event;
    tee_envelope_cost_t            cost;

    unsigned                       chunked:1;  /* the request is */
    unsigned                       opened:1;
    unsigned                       envelope:1; /* an error within 200 */
    unsigned                       waiting:1;  /* for the replay store */
    unsigned                       keepalive:1;    /* of the connection */
    unsigned                       begun:1;    /* the outer header is out */
    unsigned                       nonce_sent:1;
    unsigned                       last:1;     /* of the content has come */
    unsigned                       tailed:1;
    unsigned                       padded:1;
    unsigned                       done:1;
    unsigned                       absent:1;   /* there is no content */
    unsigned                       fixed:1;    /* no trailers any more */
    unsigned                       flush:1;
    unsigned                       failed:1;   /* the upstream has */
    unsigned                       whole_event:1;
    unsigned                       billed:1;
} ngx_http_tee_gateway_ctx_t;


/* Of this request or of the one whose subrequest it is; NULL if it has not
 * been through a gateway. */

ngx_http_tee_gateway_ctx_t *ngx_http_tee_gateway_get_ctx(
    ngx_http_request_t *r);

/* An error in the form of the profile; as ngx_http_tee_problem(). */

ngx_int_t ngx_http_tee_gateway_refuse(ngx_http_request_t *r,
    ngx_http_tee_gateway_loc_conf_t *glcf, ngx_http_tee_counter_e counter,
    ngx_uint_t status, const char *reason, const char *detail);

/* open: reads the body; whatever happens, the request is answered. */

ngx_int_t ngx_http_tee_gateway_read(ngx_http_request_t *r,
    ngx_http_tee_gateway_ctx_t *ctx);

/* Finalizes a request whose content has been taken. */

void ngx_http_tee_gateway_fail(ngx_http_request_t *r,
    ngx_http_tee_gateway_ctx_t *ctx, ngx_int_t rc);

/* log: keeps what logs may say, before anything of it is changed; a handler of
 * the log phase. */

void ngx_http_tee_gateway_save(ngx_http_request_t *r,
    ngx_http_tee_gateway_ctx_t *ctx);
ngx_int_t ngx_http_tee_gateway_log(ngx_http_request_t *r);

/* bhttp: reads the message and runs it, or answers an error.  In any
 * case the request may be gone afterwards. */

void ngx_http_tee_gateway_bhttp(ngx_http_request_t *r,
    ngx_http_tee_gateway_ctx_t *ctx);

/* request: makes the request what has been sealed and runs it.  It may be gone
 * afterwards. */

typedef struct {
    ngx_str_t                      method;
    ngx_str_t                      path;       /* with the query */
    ngx_str_t                      host;
    ngx_array_t                    fields;     /* ngx_keyval_t */
    tee_str_t                      content;
    unsigned                       keep_server:1;
    unsigned                       has_length:1;   /* even if it is 0 */
} ngx_http_tee_gateway_inner_t;

void ngx_http_tee_gateway_run(ngx_http_request_t *r,
    ngx_http_tee_gateway_ctx_t *ctx, ngx_http_tee_gateway_inner_t *inner);

/*
 * nginx's own parser decides which location a path means: r->uri, and what the
 * parser notes of it.  NGX_OK, NGX_DECLINED if it is no path, NGX_ERROR.
 */

ngx_int_t ngx_http_tee_gateway_uri(ngx_http_request_t *r, ngx_str_t *path);

/* As nginx's parser: capitals, and one that may be forwarded; else 0. */

ngx_uint_t ngx_http_tee_gateway_method(ngx_str_t *name);


#endif /* _NGX_HTTP_TEE_GATEWAY_CTX_H_INCLUDED_ */
