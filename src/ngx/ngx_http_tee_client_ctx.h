
/*
 * Copyright (C) The ngx_http_tee authors
 */


#ifndef _NGX_HTTP_TEE_CLIENT_CTX_H_INCLUDED_
#define _NGX_HTTP_TEE_CLIENT_CTX_H_INCLUDED_


#include <ngx_http_tee_client.h>
#include <ngx_http_tee_gateway.h>
#include <ngx_http_tee_out.h>
#include <tee_bhttp.h>
#include <tee_inner.h>
#include <tee_ohttp.h>
#include <tee_ohttp_keys.h>
#include <tee_problem.h>


/* The parts of the client: whom it asks, what it sends, what comes back. */


/* A key that requests are sealed to. */

typedef struct {
    tee_ohttp_header_t             header;
    tee_str_t                      pk;
} ngx_http_tee_client_key_t;


/*
 * The TEE that this worker asks, until it fails or is not listed any more; one
 * for all locations that choose from the same ones.
 */

typedef struct {
    ngx_http_tee_registry_t       *registry;
    u_char                         pcr[32];
    u_char                         id[32];
    u_char                         avoid[32];
    time_t                         avoid_until;
    unsigned                       has_pcr:1;
    unsigned                       chosen:1;
    unsigned                       used:1;     /* by a location */
    unsigned                       unverified:1;  /* by one at least */
} ngx_http_tee_client_choice_t;


/* A list of keys, as a file or a URL has it; of the cycle's pool. */

typedef struct {
    ngx_str_t                      source;
    ngx_str_t                      text;       /* empty: nothing yet */
    ngx_array_t                    users;  /* ngx_http_tee_client_keys_t * */

    /* of a URL, whose text is from malloc() */
    ngx_http_tee_server_t         *server;
    ngx_str_t                      trusted;
    unsigned                       apart:1;    /* not where a relay is */

    /* of this worker */
    ngx_pool_t                    *pool;
    ngx_http_tee_fetch_t          *fetch;
    ngx_event_t                    timer;
    ngx_msec_t                     asked;
    ngx_uint_t                     failures;
} ngx_http_tee_client_list_t;


/* The keys of a gateway: what all of its lists have. */

typedef struct {
    ngx_array_t                    lists;  /* ngx_http_tee_client_list_t * */
    ngx_http_tee_client_key_t      key;
    ngx_uint_t                     differ; /* which has none of the others */
    ngx_uint_t                     told;
    unsigned                       usable:1;

    /* of this worker */
    ngx_queue_t                    waiting;
    ngx_event_t                    wake;
} ngx_http_tee_client_keys_t;


/* Who waits for them; in the memory of whoever does. */

typedef struct {
    ngx_queue_t                    queue;
    void                         (*handler)(void *data);
    void                          *data;
    unsigned                       waiting:1;
} ngx_http_tee_client_wait_t;


/* What tee_client says. */

typedef struct {
    ngx_http_tee_client_choice_t  *choice;     /* or */
    ngx_http_tee_client_keys_t    *keys;
    ngx_http_complex_value_t      *id;
    ngx_uint_t                     profile;
    unsigned                       chunked:1;
    unsigned                       eager:1;    /* to fetch keys */
} ngx_http_tee_client_whom_t;


typedef struct ngx_http_tee_client_auth_s  ngx_http_tee_client_auth_t;


#define NGX_HTTP_TEE_CLIENT_PROBLEM  0
#define NGX_HTTP_TEE_CLIENT_OPENAI   1


typedef struct {
    ngx_http_tee_client_whom_t    *whom;       /* NULL: off */
    ngx_http_tee_client_auth_t    *auth;
    ngx_str_t                      scheme;     /* of the target */
    ngx_str_t                      authority;
    ngx_array_t                   *pass;       /* ngx_str_t */
    ngx_uint_t                     errors;
    ngx_flag_t                     retry;
    off_t                          max_body;
    size_t                         buffer;

    ngx_str_t                      models;     /* the answer */
    ngx_http_tee_client_choice_t  *health;
} ngx_http_tee_client_loc_conf_t;


typedef struct {
    ngx_array_t                    choices;
                                           /* ngx_http_tee_client_choice_t * */
    ngx_array_t                    keys;   /* ngx_http_tee_client_keys_t * */
    ngx_array_t                    lists;  /* ngx_http_tee_client_list_t * */
    ngx_http_handler_pt            proxy;      /* what "proxy_pass" sets */
} ngx_http_tee_client_main_conf_t;


/* The request as the application has sent it. */

typedef struct {
    ngx_uint_t                     method;
    ngx_str_t                      method_name;
    ngx_str_t                      uri;
    ngx_str_t                      args;
    ngx_list_t                     headers;
    ngx_table_elt_t               *content_length;
    off_t                          content_length_n;
    unsigned                       chunked:1;
    unsigned                       valid_unparsed_uri:1;
    unsigned                       valid_location:1;
} ngx_http_tee_client_saved_t;


typedef enum {
    NGX_HTTP_TEE_CLIENT_JSON = 0,              /* one answer */
    NGX_HTTP_TEE_CLIENT_EVENTS,
    NGX_HTTP_TEE_CLIENT_BHTTP
} ngx_http_tee_client_form_e;


/* Kept by a cleanup handler of the pool: redirects clear r->ctx. */

typedef struct {
    ngx_http_request_t            *request;
    ngx_http_tee_client_loc_conf_t  *conf;
    ngx_uint_t                     http_version;

    /* whom it is for */
    ngx_http_tee_snap_t           *snap;
    const tee_snapshot_entry_t    *entry;
    ngx_http_tee_client_key_t      key;

    /* what is sealed */
    ngx_http_tee_held_t            body;
    tee_str_t                      inner;
    u_char                        *text;       /* if that is not the body */
    ngx_int_t                      job;        /* what came of it */
    tee_ohttp_request_seal_t       seal;
    ngx_buf_t                     *wire;       /* what has been sealed */
    ngx_http_tee_client_saved_t    saved;
    ngx_str_t                      shown;      /* the URI in its place */

    /* a second attempt */
    ngx_http_tee_snap_t           *former;     /* that of the first one */
    int64_t                        date;       /* of the gateway; or 0 */
    ngx_http_tee_client_wait_t     wait;       /* for its keys */
    ngx_event_t                    look;       /* at the registry */
    ngx_msec_t                     waits_since;
    ngx_atomic_uint_t              fetched_at; /* of the registry, then */
    ngx_http_tee_held_t            hint;       /* that it is asked for */

    /* what comes back */
    ngx_http_tee_client_form_e     form;
    tee_ohttp_response_open_t      open;
    tee_bhttp_read_t               bhttp;
    tee_str_t                      plain;      /* has been opened */
    tee_str_t                      early;      /* the hint, if it was none */
    tee_str_t                      content;    /* and may go on */
    ngx_uint_t                     status;
    ngx_array_t                    fields;     /* ngx_keyval_t */
    ngx_list_t                     trailers;
    off_t                          length;     /* of the content; or -1 */
    off_t                          taken;      /* of the content */
    ngx_chain_t                   *in;
    ngx_http_tee_out_t             out;

    unsigned                       reading:1;  /* the application's body */
    unsigned                       read:1;
    unsigned                       shaping:1;  /* a thread does it, */
    unsigned                       sealing:1;  /* or this */
    unsigned                       stream:1;   /* events are asked for */
    unsigned                       sealed:1;
    unsigned                       hidden:1;   /* the saved request */
    unsigned                       weighing:1; /* the hint */
    unsigned                       retried:1;
    unsigned                       opening:1;
    unsigned                       holding:1;  /* the hint, which was sealed */
    unsigned                       last:1;     /* of the sealed response */
    unsigned                       ended:1;    /* all has been opened */
    unsigned                       complete:1; /* and taken */
    unsigned                       begun:1;    /* the header is out */
    unsigned                       put:1;      /* since the last flush */
    unsigned                       done:1;
} ngx_http_tee_client_ctx_t;


#define NGX_HTTP_TEE_CLIENT_TAG                                               \
    ((ngx_buf_tag_t) &ngx_http_tee_client_filter_module)

ngx_http_tee_client_ctx_t *ngx_http_tee_client_get_ctx(ngx_http_request_t *r);

/* Counts, notes and answers the status; as ngx_http_tee_problem(). */

ngx_int_t ngx_http_tee_client_refuse(ngx_http_request_t *r,
    ngx_http_tee_counter_e counter, ngx_uint_t status, const char *reason,
    const char *detail);


/* conf: the directives whose values take some reading */

char *ngx_http_tee_client(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_tee_client_target(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_tee_client_pass_header(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/* safe: with what else the location says, nothing may leave in clear. */

char *ngx_http_tee_client_check(ngx_conf_t *cf,
    ngx_http_tee_client_loc_conf_t *conf);

/* A choice from this registry, the same for all that ask for it. */

ngx_http_tee_client_choice_t *ngx_http_tee_client_choice(ngx_conf_t *cf,
    ngx_str_t *registry, u_char *pcr);


/* whom: sets ctx->key, and ctx->entry if it is a TEE; NGX_OK or a status */

ngx_int_t ngx_http_tee_client_choose(ngx_http_request_t *r,
    ngx_http_tee_client_ctx_t *ctx);

/* Another one, or another key of the same: NGX_OK; NGX_DECLINED, NGX_ERROR:
 * there is none. */

ngx_int_t ngx_http_tee_client_choose_other(ngx_http_request_t *r,
    ngx_http_tee_client_ctx_t *ctx);

/* It has failed: others are preferred for a while. */

void ngx_http_tee_client_avoid(ngx_http_tee_client_ctx_t *ctx);

/* The TEE that would be asked now, or NULL; with the snapshot that it is of,
 * which is not counted. */

const tee_snapshot_entry_t *ngx_http_tee_client_current(
    ngx_http_tee_client_choice_t *choice, ngx_http_tee_snap_t **snap);

/* 1 if something can be sealed to it. */

ngx_uint_t ngx_http_tee_client_usable(ngx_http_tee_client_choice_t *choice,
    const tee_snapshot_entry_t *entry);


/* keys: what is in all of these lists, the same for all that name them */

ngx_http_tee_client_keys_t *ngx_http_tee_client_keys(ngx_conf_t *cf,
    ngx_array_t *lists);

/* A location that uses them has its relay there. */

void ngx_http_tee_client_keys_relay(ngx_http_tee_client_keys_t *keys,
    ngx_str_t *host);

ngx_int_t ngx_http_tee_client_keys_start(ngx_cycle_t *cycle,
    ngx_http_tee_client_keys_t *keys);
void ngx_http_tee_client_keys_stop(ngx_http_tee_client_keys_t *keys);

/* It has been asked for a list of theirs. */

void ngx_http_tee_client_keys_fetched(ngx_http_tee_client_keys_t *keys,
    ngx_http_tee_client_list_t *fetched);

/* A gateway does not know the key any more. */

void ngx_http_tee_client_keys_hurry(ngx_http_tee_client_keys_t *keys);

/*
 * The same, and the caller wants to know what comes of it.  NGX_AGAIN: it is
 * asked; the handler is called once, by a later event, when that has ended,
 * well or not.  NGX_DECLINED: not now (a file, asked a moment ago, failures,
 * the worker exits); what is there is all that there is.
 */

ngx_int_t ngx_http_tee_client_keys_wait(ngx_http_tee_client_keys_t *keys,
    ngx_http_tee_client_wait_t *wait);

/* Does nothing if it does not wait. */

void ngx_http_tee_client_keys_wait_cancel(ngx_http_tee_client_keys_t *keys,
    ngx_http_tee_client_wait_t *wait);

/* The key to seal to now, or NULL; it is there until the event handler
 * returns. */

const ngx_http_tee_client_key_t *ngx_http_tee_client_keys_current(
    ngx_http_tee_client_keys_t *keys);

/* 1 if both are the same key, with the same algorithms. */

ngx_uint_t ngx_http_tee_client_keys_same(const ngx_http_tee_client_key_t *a,
    const ngx_http_tee_client_key_t *b);


/* list: one that has been named, or a new one */

ngx_http_tee_client_list_t *ngx_http_tee_client_list_get(ngx_conf_t *cf,
    ngx_str_t *source, ngx_str_t *trusted);

char *ngx_http_tee_client_list_file(ngx_conf_t *cf, ngx_str_t *path,
    ngx_http_tee_client_list_t **list);

/* From a URL, by each worker; "trusted" is a file with certificates, or
 * empty: those of the system. */

char *ngx_http_tee_client_list_url(ngx_conf_t *cf, ngx_str_t *url,
    ngx_str_t *trusted, ngx_http_tee_client_list_t **list);

ngx_int_t ngx_http_tee_client_list_start(ngx_cycle_t *cycle,
    ngx_http_tee_client_list_t *list);
void ngx_http_tee_client_list_stop(ngx_http_tee_client_list_t *list);

/* NGX_AGAIN: it is asked for; NGX_DECLINED: not now, perhaps later; "soon" is
 * in seconds since it was last asked for. */

ngx_int_t ngx_http_tee_client_list_ask(ngx_http_tee_client_list_t *list,
    ngx_msec_t soon);

/*
 * The same because of a request.  Who sees the address of the one who fetches,
 * and that a request has come, must not learn that they are one: what is not
 * where the relay is, which knows the address, is asked when it is due only.
 */

ngx_int_t ngx_http_tee_client_list_hurry(ngx_http_tee_client_list_t *list);

/* All of a list or nothing (RFC 9458, 3.2): those of its keys, in their order,
 * that can be used; there is one with TEE_OK. */

#define NGX_HTTP_TEE_CLIENT_MAX_KEYS  64

tee_rc_t ngx_http_tee_client_list_read(ngx_str_t *text,
    tee_ohttp_key_t keys[NGX_HTTP_TEE_CLIENT_MAX_KEYS], size_t *n);


/* auth: the value of Authorization toward the relay */

char *ngx_http_tee_client_auth(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/* NGX_OK; NGX_DECLINED: there is none now, which has been logged; NGX_ERROR */

ngx_int_t ngx_http_tee_client_auth_value(ngx_http_request_t *r,
    ngx_http_tee_client_auth_t *auth, ngx_str_t *value);
void ngx_http_tee_client_auth_wipe(ngx_http_tee_client_auth_t *auth);


/* request: reads, seals, and puts it in the place of the request */

ngx_int_t ngx_http_tee_client_read(ngx_http_request_t *r,
    ngx_http_tee_client_ctx_t *ctx);

/* The body has been read and, if "rc" is NGX_OK, shaped: seals and sends it, or
 * ends the request. */

void ngx_http_tee_client_go_on(ngx_http_request_t *r,
    ngx_http_tee_client_ctx_t *ctx, ngx_int_t rc);

/* That has been sealed, NGX_OK, or cannot be. */

void ngx_http_tee_client_seal_done(ngx_http_request_t *r,
    ngx_http_tee_client_ctx_t *ctx, ngx_int_t rc);

/* The request as it came; does nothing if it is. */

void ngx_http_tee_client_restore(ngx_http_request_t *r,
    ngx_http_tee_client_ctx_t *ctx);

/* The same for a location that it has been redirected to, without content. */

void ngx_http_tee_client_redirected(ngx_http_request_t *r,
    ngx_http_tee_client_ctx_t *ctx);


/*
 * seal: ctx->inner, with what else the profile puts around it, to ctx->wire.
 * NGX_AGAIN: ngx_http_tee_client_seal_done() will be called; NGX_ERROR: it
 * cannot be sealed
 */

ngx_int_t ngx_http_tee_client_seal(ngx_http_request_t *r,
    ngx_http_tee_client_ctx_t *ctx);


/* filter: the relay's error, whose header is held, to the application */

ngx_int_t ngx_http_tee_client_pass_error(ngx_http_request_t *r,
    ngx_http_tee_client_ctx_t *ctx);

/* What has come is gone: the next response is the first one. */

void ngx_http_tee_client_forget(ngx_http_tee_client_ctx_t *ctx);


/* retry: 1 if the request may be sent once more, should there be a reason */

ngx_uint_t ngx_http_tee_client_may_retry(ngx_http_tee_client_ctx_t *ctx);

/*
 * For a reason, within a header or body filter that has sent nothing yet.
 *
 * NGX_DONE: the request goes on by itself, and the filter is done
 * NGX_DECLINED, NGX_ERROR
 */

ngx_int_t ngx_http_tee_client_retry(ngx_http_request_t *r,
    ngx_http_tee_client_ctx_t *ctx, tee_problem_t problem);

void ngx_http_tee_client_wait_cancel(ngx_http_tee_client_ctx_t *ctx);


/* open: takes what has come and puts out what may go on.  NGX_OK, NGX_AGAIN,
 * NGX_DONE: it is sent again, NGX_ERROR, or NGX_DECLINED: it cannot be
 * believed; *why is a constant. */

ngx_int_t ngx_http_tee_client_open(ngx_http_request_t *r,
    ngx_http_tee_client_ctx_t *ctx, const char **why);

/* The header of the response that was sealed, to the next filter. */

ngx_int_t ngx_http_tee_client_begin(ngx_http_request_t *r,
    ngx_http_tee_client_ctx_t *ctx);

/* fields: puts what was sealed into r->headers_out */

ngx_int_t ngx_http_tee_client_fields(ngx_http_request_t *r,
    ngx_http_tee_client_ctx_t *ctx);
ngx_int_t ngx_http_tee_client_trailer(ngx_http_request_t *r,
    ngx_http_tee_client_ctx_t *ctx, tee_str_t name, tee_str_t value);

/* 1 if a comma-separated list, as that of Connection, names it. */

ngx_uint_t ngx_http_tee_client_named(ngx_str_t *list, tee_str_t name);

/* Of the response that was sealed, in the place of the relay's. */

void ngx_http_tee_client_trailers(ngx_http_request_t *r,
    ngx_http_tee_client_ctx_t *ctx);


/* info: what is told about this role */

char *ngx_http_tee_client_models(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_tee_client_health(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_tee_client_info_check(ngx_conf_t *cf,
    ngx_http_tee_client_loc_conf_t *conf);


extern ngx_module_t  ngx_http_tee_client_filter_module;


#endif /* _NGX_HTTP_TEE_CLIENT_CTX_H_INCLUDED_ */
