
/*
 * Copyright (C) The ngx_http_tee authors
 */


#ifndef _NGX_HTTP_TEE_VERIFY_H_INCLUDED_
#define _NGX_HTTP_TEE_VERIFY_H_INCLUDED_


#include <ngx_http_tee.h>
#include <ngx_http_tee_asked.h>
#include <ngx_http_tee_out.h>
#include <tee_signed_stream.h>


/* Whose signature it takes. */

#define NGX_HTTP_TEE_VERIFY_OFF       0
#define NGX_HTTP_TEE_VERIFY_REGISTRY  1
#define NGX_HTTP_TEE_VERIFY_KEY       2

#define NGX_HTTP_TEE_VERIFY_HELD      0
#define NGX_HTTP_TEE_VERIFY_LIVE      1

#define NGX_HTTP_TEE_VERIFY_HIDE      0
#define NGX_HTTP_TEE_VERIFY_SHOW      1


/*
 * Who has answered: the id and the key of the TEE, both as long as the request.
 * NGX_OK, or NGX_DECLINED: nobody knows, or the registry does not have it now.
 */

typedef ngx_int_t (*ngx_http_tee_verify_answerer_pt)(ngx_http_request_t *r,
    u_char id[32], tee_str_t *spki);

/* What was asked, if that is not the content of the request; or NULL. */

typedef tee_str_t *(*ngx_http_tee_verify_inner_pt)(ngx_http_request_t *r);


typedef struct {
    ngx_uint_t                     from;       /* whose signature */
    tee_str_t                      spki;       /* of the configured key */
    u_char                         id[32];
    ngx_http_tee_verify_answerer_pt  answerer; /* NULL: the upstream's peer */
    ngx_http_tee_verify_inner_pt   inner;
    unsigned                       told:1;     /* not inherited */

    ngx_http_tee_asked_conf_t      asked;
    ngx_uint_t                     mode;
    size_t                         buffer;
    off_t                          max_body;
    time_t                         max_age;    /* 0: off */
    time_t                         max_skew;
    ngx_uint_t                     errors;
    ngx_str_t                      verified;   /* names; empty: no fields */
    ngx_str_t                      tee_id;
} ngx_http_tee_verify_loc_conf_t;


typedef enum {
    NGX_HTTP_TEE_VERIFY_NOTHING = 0,           /* no header has come */
    NGX_HTTP_TEE_VERIFY_PASS,                  /* nothing to verify */
    NGX_HTTP_TEE_VERIFY_HOLD,                  /* until the verdict */
    NGX_HTTP_TEE_VERIFY_STREAM,                /* but for the last events */
    NGX_HTTP_TEE_VERIFY_RELEASE,               /* verified */
    NGX_HTTP_TEE_VERIFY_DONE                   /* nothing more is sent */
} ngx_http_tee_verify_e;


typedef struct {
    ngx_http_tee_verify_loc_conf_t  *conf;
    ngx_http_tee_asked_t           asked;
    ngx_http_tee_verify_e          state;

    u_char                         id[32];     /* of who has answered */
    tee_str_t                      spki;
    u_char                         id_text[2 + 64 + 1];

    /* what is held: in memory, or in a file that is mapped at the end */
    ngx_http_tee_held_t            held;
    ngx_temp_file_t               *file;
    void                          *map;
    off_t                          size;

    tee_signed_stream_t            stream;
    ngx_chain_t                   *in;
    tee_str_t                      pending;    /* is to be sent next */
    ngx_http_tee_out_t             out;

    /* why it is refused; what to do about it is for the log */
    const char                    *reason;
    const char                    *detail;
    const char                    *advice;
    ngx_http_tee_counter_e         counter;

    unsigned                       events:1;   /* not JSON */
    unsigned                       last:1;     /* of the content has come */
    unsigned                       failed:1;   /* the upstream has */
    unsigned                       checking:1; /* in a thread */
    unsigned                       dirty:1;    /* something is to be flushed */
    unsigned                       opened:1;   /* the header has been sent */
    unsigned                       complete:1; /* all has been passed on */
    unsigned                       verified:1;
    unsigned                       refused:1;
} ngx_http_tee_verify_ctx_t;


/* The key of a TEE, ready for use. */

typedef struct {
    tee_signed_key_t               key;
    ngx_uint_t                     users;
} ngx_http_tee_verify_key_t;


/*
 * For who knows better than the upstream who has answered, and what was asked,
 * in its directive's handler; "tee_verify on" then needs no "tee_peers" in this
 * location.  NULL: nobody does, other than further out.
 */

void ngx_http_tee_verify_answered_by(ngx_conf_t *cf,
    ngx_http_tee_verify_answerer_pt answerer,
    ngx_http_tee_verify_inner_pt inner);

/* For who merges his configuration after this module: whose signature is
 * needed here, NGX_HTTP_TEE_VERIFY_..., and that there is nothing to verify. */

ngx_uint_t ngx_http_tee_verify_whose(ngx_conf_t *cf);
void ngx_http_tee_verify_nothing(ngx_conf_t *cf);

ngx_int_t ngx_http_tee_verify_answerer(ngx_http_request_t *r, u_char id[32],
    tee_str_t *spki);


/* filter: what follows from a verdict; refused with why_content() or such */

ngx_int_t ngx_http_tee_verify_release(ngx_http_request_t *r,
    ngx_http_tee_verify_ctx_t *ctx);
ngx_int_t ngx_http_tee_verify_refuse(ngx_http_request_t *r,
    ngx_http_tee_verify_ctx_t *ctx);


/* hold: NGX_DECLINED: it is to be refused, the context says why */

ngx_int_t ngx_http_tee_verify_keep(ngx_http_request_t *r,
    ngx_http_tee_verify_ctx_t *ctx, u_char *p, size_t len);

/* All that is held, in one piece, for the life of the request. */

ngx_int_t ngx_http_tee_verify_held(ngx_http_request_t *r,
    ngx_http_tee_verify_ctx_t *ctx, tee_str_t *text);


/*
 * keys: in the event loop; the key itself may be used in a thread until it is
 * put back.  NULL: no memory; NULL may be put back.
 */

ngx_http_tee_verify_key_t *ngx_http_tee_verify_key_get(u_char id[32],
    tee_str_t spki);
void ngx_http_tee_verify_key_put(ngx_http_tee_verify_key_t *key);


/* check: at the end of the answer; release or refuse, perhaps later */

ngx_int_t ngx_http_tee_verify_check_body(ngx_http_request_t *r,
    ngx_http_tee_verify_ctx_t *ctx);
ngx_int_t ngx_http_tee_verify_check_events(ngx_http_request_t *r,
    ngx_http_tee_verify_ctx_t *ctx);
void ngx_http_tee_verify_why_unknown(ngx_http_tee_verify_ctx_t *ctx);
void ngx_http_tee_verify_why_content(ngx_http_tee_verify_ctx_t *ctx,
    tee_rc_t rc);


extern ngx_module_t  ngx_http_tee_verify_module;


#endif /* _NGX_HTTP_TEE_VERIFY_H_INCLUDED_ */
