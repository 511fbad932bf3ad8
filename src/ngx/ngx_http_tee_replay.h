
/*
 * Copyright (C) The ngx_http_tee authors
 */


#ifndef _NGX_HTTP_TEE_REPLAY_H_INCLUDED_
#define _NGX_HTTP_TEE_REPLAY_H_INCLUDED_


#include <ngx_http_tee_gateway.h>
#include <tee_replay.h>


/* In shared memory: what has been said. */

typedef struct {
    ngx_atomic_t               full;
} ngx_http_tee_replay_state_t;


/* A set; of the cycle's pool. */

typedef struct {
    ngx_str_t                  name;
    size_t                     size;
    time_t                     keep;           /* of a generation */
    ngx_str_t                  path;           /* empty: beside the pid */
    ngx_pool_t                *pool;
    ngx_core_conf_t           *ccf;
    ngx_shm_zone_t            *zone;
    ngx_http_tee_replay_state_t  *state;

    int                        fd;
    tee_replay_t              *set;
} ngx_http_tee_replay_set_t;


/* file: maps the set, which is made if need be; NGX_ERROR has been logged */

ngx_int_t ngx_http_tee_replay_open(ngx_http_tee_replay_set_t *set,
    ngx_log_t *log);

/* A cleanup handler. */

void ngx_http_tee_replay_cleanup(void *data);


extern ngx_module_t  ngx_http_tee_replay_module;


#endif /* _NGX_HTTP_TEE_REPLAY_H_INCLUDED_ */
