
/*
 * Copyright (C) The ngx_http_tee authors
 */


#ifndef _NGX_HTTP_TEE_ROUND_H_INCLUDED_
#define _NGX_HTTP_TEE_ROUND_H_INCLUDED_


#include <ngx_http_tee.h>


/* The two halves of a refresh: the calls, and what a thread makes of them. */

typedef enum {
    NGX_HTTP_TEE_RPC_CHAIN_ID = 0,
    NGX_HTTP_TEE_RPC_HEAD,
    NGX_HTTP_TEE_RPC_WAIT,
    NGX_HTTP_TEE_RPC_BLOCK,
    NGX_HTTP_TEE_RPC_TEES,
    NGX_HTTP_TEE_RPC_IDS,
    NGX_HTTP_TEE_RPC_IDS_BY_TYPE,
    NGX_HTTP_TEE_RPC_IS_ACTIVE,
    NGX_HTTP_TEE_RPC_GET_TEE,
    NGX_HTTP_TEE_RPC_DONE,
    NGX_HTTP_TEE_RPC_FAILED
} ngx_http_tee_rpc_step_e;


typedef struct {
    u_char                        *data;       /* from malloc() */
    size_t                         len;
    uint32_t                       id;         /* of the JSON-RPC call */
    u_char                         tee_id[32]; /* method ids */
} ngx_http_tee_answer_t;


typedef struct {
    ngx_http_tee_round_t          *round;
    ngx_uint_t                     index;
    ngx_http_tee_fetch_t          *fetch;
    ngx_http_tee_rpc_step_e        step;
    uint32_t                       id;
    tee_jsonrpc_block_t            head;

    ngx_array_t                    answers;    /* ngx_http_tee_answer_t */
    u_char                        *ids;        /* from malloc() */
    ngx_uint_t                     nids;
    ngx_uint_t                     next;       /* the id being asked for */

    /* of the thread */
    u_char                         sum[32];
    tee_rc_t                       rc;
    tee_jsonrpc_error_t            error;
} ngx_http_tee_rpc_t;


struct ngx_http_tee_round_s {
    ngx_http_tee_registry_t       *registry;
    ngx_http_tee_round_pt          handler;
    ngx_pool_t                    *pool;
    ngx_uint_t                     pending;
    ngx_http_tee_rpc_t            *rpcs;
    ngx_uint_t                     nrpcs;
    uint64_t                       block;

    /* of the thread */
    ngx_http_tee_snap_t           *current;
    tee_registry_rules_t           rules;
    tee_snapshot_t                *image;
    ngx_uint_t                     agreeing;
    ngx_uint_t                     chosen;
    ngx_uint_t                     skipped;
    tee_registry_skip_t            first_skip;
    tee_rc_t                       rc;
    unsigned                       same:1;
};


/* In a thread: compares the answers, and decodes what enough agree on. */

void ngx_http_tee_round_agree(void *data, ngx_log_t *log);


#endif /* _NGX_HTTP_TEE_ROUND_H_INCLUDED_ */
