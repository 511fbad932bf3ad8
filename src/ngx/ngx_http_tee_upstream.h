
/*
 * Copyright (C) The ngx_http_tee authors
 */


#ifndef _NGX_HTTP_TEE_UPSTREAM_H_INCLUDED_
#define _NGX_HTTP_TEE_UPSTREAM_H_INCLUDED_


#include <ngx_http_tee.h>


/* The two halves of tee_peers: what is chosen, and what is wrapped around. */

#define NGX_HTTP_TEE_RANDOM       0
#define NGX_HTTP_TEE_ROUND_ROBIN  1
#define NGX_HTTP_TEE_HASH         2
#define NGX_HTTP_TEE_ID           3


typedef struct {
    ngx_uint_t                     fails;
    time_t                         accessed;
    time_t                         checked;
    ngx_ssl_session_t             *session;
    void                          *session_conf;
    ngx_str_t                      name;       /* its only address; lazily */
} ngx_http_tee_peer_t;


/* The peers of one upstream over one snapshot; counted like snapshots. */

typedef struct {
    ngx_http_tee_snap_t           *snap;
    ngx_uint_t                     refs;
    ngx_uint_t                     n;
    ngx_http_tee_peer_t            peer[];
} ngx_http_tee_peers_t;


/* A location's configuration with what we need changed in it. */

typedef struct {
    ngx_http_upstream_conf_t      *original;
    ngx_http_upstream_conf_t       conf;
} ngx_http_tee_conf_copy_t;


typedef struct {
    ngx_str_t                      registry_name;
    ngx_http_tee_registry_t       *registry;
    ngx_uint_t                     method;
    ngx_http_complex_value_t      *key;
    ngx_uint_t                     max_fails;
    time_t                         fail_timeout;

    ngx_http_upstream_init_peer_pt  original_init_peer;
    ngx_uint_t                     initialized;

    /* of this worker */
    ngx_http_tee_peers_t          *peers;
    ngx_uint_t                     next;
    ngx_array_t                   *copies;     /* ngx_http_tee_conf_copy_t * */
} ngx_http_tee_upstream_srv_conf_t;


typedef struct {
    ngx_http_request_t            *request;
    ngx_http_tee_upstream_srv_conf_t  *conf;
    ngx_http_tee_peers_t          *peers;
    ngx_http_upstream_conf_t      *location;

    /* what is chosen */
    ngx_uint_t                     index;
    ngx_uint_t                     addr;
    unsigned                       chosen:1;
    unsigned                       again:1;    /* the same peer once more */
    unsigned                       fixed:1;    /* by id: no other peer */
    unsigned                       refused:1;
    uint64_t                       hash;
    ngx_uint_t                     ntried;
    ngx_uint_t                     tried[8];

    union {
        struct sockaddr            sockaddr;
        struct sockaddr_in         sin;
#if (NGX_HAVE_INET6)
        struct sockaddr_in6        sin6;
#endif
    }                              sa;
    ngx_str_t                      name;
    u_char                         text[NGX_SOCKADDR_STRLEN];

    /* what we are wrapped around */
    void                          *data;
    ngx_event_get_peer_pt          original_get;
    ngx_event_free_peer_pt         original_free;
    ngx_event_notify_peer_pt       original_notify;
    ngx_event_set_peer_session_pt  original_set_session;
    ngx_event_save_peer_session_pt  original_save_session;
    ngx_output_chain_filter_pt     original_output;
    void                          *original_output_ctx;
    ngx_connection_t              *checked;
    ngx_http_tee_pin_t            *pin;        /* of the checked one */
} ngx_http_tee_peer_data_t;


/*
 * The peers of the registry's current snapshot, or NULL; a request that keeps
 * them counts itself.
 */

ngx_http_tee_peers_t *ngx_http_tee_balancer_peers(
    ngx_http_tee_upstream_srv_conf_t *conf);
void ngx_http_tee_balancer_unref(void *data);

ngx_int_t ngx_http_tee_balancer_get(ngx_peer_connection_t *pc, void *data);
void ngx_http_tee_balancer_free(ngx_peer_connection_t *pc, void *data,
    ngx_uint_t state);


char *ngx_http_tee_peers(ngx_conf_t *cf, ngx_command_t *cmd, void *data);
char *ngx_http_tee_upstream_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child);
ngx_int_t ngx_http_tee_upstream_init_upstream(ngx_conf_t *cf,
    ngx_http_upstream_srv_conf_t *us);
ngx_int_t ngx_http_tee_upstream_add_variables(ngx_conf_t *cf);


extern ngx_module_t  ngx_http_tee_upstream_module;


#endif /* _NGX_HTTP_TEE_UPSTREAM_H_INCLUDED_ */
