
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <ngx_http_tee.h>
#include <ngx_http_tee_round.h>


/*
 * One refresh.  Every RPC is asked for its chain and its newest block; then
 * one block is chosen and every RPC is asked for the registry at that block.
 * The answers are compared and decoded in a thread.
 *
 * The block is the K-th highest of those reported, K being the quorum: at
 * least K nodes have it, and fewer than K liars cannot push it into the past
 * unseen, since each node also tells the time of that block and an old one
 * disqualifies it.
 */


static void ngx_http_tee_rpc_send(ngx_http_tee_rpc_t *rpc,
    ngx_http_tee_rpc_step_e step);
static void ngx_http_tee_rpc_handler(ngx_http_tee_fetch_t *f,
    ngx_http_tee_reg_counter_e error, const char *why);
static void ngx_http_tee_rpc_answer(ngx_http_tee_rpc_t *rpc);
static void ngx_http_tee_rpc_ids(ngx_http_tee_rpc_t *rpc, tee_str_t body);
static void ngx_http_tee_rpc_next_id(ngx_http_tee_rpc_t *rpc);
static ngx_int_t ngx_http_tee_rpc_keep(ngx_http_tee_rpc_t *rpc);
static void ngx_http_tee_rpc_bad(ngx_http_tee_rpc_t *rpc, tee_rc_t rc,
    tee_jsonrpc_error_t *err);
static void ngx_http_tee_rpc_failed(ngx_http_tee_rpc_t *rpc,
    ngx_http_tee_reg_counter_e error, const char *why, const char *detail);
static void ngx_http_tee_rpc_good(ngx_http_tee_rpc_t *rpc);
static ngx_int_t ngx_http_tee_rpc_old(ngx_http_tee_rpc_t *rpc,
    tee_jsonrpc_block_t *block);
static void ngx_http_tee_round_step(ngx_http_tee_round_t *round);
static ngx_int_t ngx_http_tee_round_choose(ngx_http_tee_round_t *round);
static void ngx_http_tee_round_decode(ngx_http_tee_round_t *round);
static void ngx_http_tee_round_decoded(ngx_event_t *ev);
static void ngx_http_tee_round_done(ngx_http_tee_round_t *round,
    tee_snapshot_t *image);
static void ngx_http_tee_round_free(ngx_http_tee_round_t *round);


const char *ngx_http_tee_reg_counter_names[NGX_HTTP_TEE_REG_COUNTERS] = {
    "refresh_ok",
    "refresh_failed",
    "rpc_connect",
    "rpc_timeout",
    "rpc_tls",
    "rpc_http",
    "rpc_too_large",
    "rpc_malformed",
    "rpc_error",
    "rpc_chain_id",
    "rpc_no_contract",
    "rpc_old_block",
    "rpc_disagrees",
    "quorum",
    "zone_full",
    "state_write",
    "resolve"
};


ngx_int_t
ngx_http_tee_round_start(ngx_http_tee_registry_t *reg,
    ngx_http_tee_round_pt handler)
{
    ngx_uint_t              i;
    ngx_pool_t             *pool;
    ngx_http_tee_rpc_t     *rpc;
    ngx_http_tee_round_t   *round;
    ngx_http_tee_server_t  *servers;

    pool = ngx_create_pool(4096, ngx_cycle->log);
    if (pool == NULL) {
        return NGX_ERROR;
    }

    round = ngx_pcalloc(pool, sizeof(ngx_http_tee_round_t));
    if (round == NULL) {
        goto failed;
    }

    round->pool = pool;
    round->registry = reg;
    round->handler = handler;
    round->nrpcs = reg->servers.nelts;

    ngx_http_tee_registry_rules(reg, &round->rules);

    round->rpcs = ngx_pcalloc(pool,
                              round->nrpcs * sizeof(ngx_http_tee_rpc_t));
    if (round->rpcs == NULL) {
        goto failed;
    }

    servers = reg->servers.elts;

    for (i = 0; i < round->nrpcs; i++) {
        rpc = &round->rpcs[i];

        rpc->round = round;
        rpc->index = i;

        rpc->fetch = ngx_http_tee_fetch_create(&servers[i], pool,
                                               ngx_cycle->log);
        if (rpc->fetch == NULL
            || ngx_array_init(&rpc->answers, pool, 1,
                              sizeof(ngx_http_tee_answer_t))
               != NGX_OK)
        {
            goto failed;
        }

        rpc->fetch->handler = ngx_http_tee_rpc_handler;
        rpc->fetch->data = rpc;
    }

    reg->round = round;
    reg->sh->refreshing = 1;
    round->pending = round->nrpcs;

    for (i = 0; i < round->nrpcs; i++) {
        ngx_http_tee_rpc_send(&round->rpcs[i], NGX_HTTP_TEE_RPC_CHAIN_ID);
    }

    return NGX_OK;

failed:

    ngx_destroy_pool(pool);

    return NGX_ERROR;
}


/* Only when a worker exits; no thread works on the round then. */

void
ngx_http_tee_round_cancel(ngx_http_tee_registry_t *reg)
{
    if (reg->round) {
        ngx_http_tee_round_free(reg->round);
        reg->round = NULL;
        reg->sh->refreshing = 0;
    }
}


static void
ngx_http_tee_rpc_send(ngx_http_tee_rpc_t *rpc, ngx_http_tee_rpc_step_e step)
{
    u_char                    arg, *id;
    size_t                    len;
    uint64_t                  block;
    u_char                    buf[TEE_JSONRPC_REQUEST_LEN];
    ngx_http_tee_registry_t  *reg;

    reg = rpc->round->registry;
    block = rpc->round->block;
    arg = (u_char) reg->type;
    id = rpc->ids + 32 * rpc->next;

    rpc->step = step;
    rpc->id++;

    switch (step) {

    case NGX_HTTP_TEE_RPC_CHAIN_ID:
        len = tee_jsonrpc_chain_id(buf, rpc->id);
        break;

    case NGX_HTTP_TEE_RPC_HEAD:
        len = tee_jsonrpc_block(buf, rpc->id, TEE_JSONRPC_BLOCK_LATEST);
        break;

    case NGX_HTTP_TEE_RPC_BLOCK:
        len = tee_jsonrpc_block(buf, rpc->id, block);
        break;

    case NGX_HTTP_TEE_RPC_TEES:
        len = tee_jsonrpc_call(buf, rpc->id, block, reg->contract,
                               TEE_CALL_ACTIVE_TEES, &arg);
        break;

    case NGX_HTTP_TEE_RPC_IDS:
        len = tee_jsonrpc_call(buf, rpc->id, block, reg->contract,
                               TEE_CALL_ENABLED_TEES, &arg);
        break;

    case NGX_HTTP_TEE_RPC_IDS_BY_TYPE:
        len = tee_jsonrpc_call(buf, rpc->id, block, reg->contract,
                               TEE_CALL_TEES_BY_TYPE, &arg);
        break;

    case NGX_HTTP_TEE_RPC_IS_ACTIVE:
        len = tee_jsonrpc_call(buf, rpc->id, block, reg->contract,
                               TEE_CALL_IS_ACTIVE, id);
        break;

    default: /* NGX_HTTP_TEE_RPC_GET_TEE */
        len = tee_jsonrpc_call(buf, rpc->id, block, reg->contract,
                               TEE_CALL_GET_TEE, id);
        break;
    }

    ngx_http_tee_fetch_post(rpc->fetch, buf, len);
}


static void
ngx_http_tee_rpc_handler(ngx_http_tee_fetch_t *f,
    ngx_http_tee_reg_counter_e error, const char *why)
{
    ngx_http_tee_rpc_t    *rpc = f->data;
    ngx_http_tee_round_t  *round;

    round = rpc->round;

    if (why && (ngx_exiting || ngx_terminate)) {
        /* a reload is no failure; the next worker starts anew */
        ngx_http_tee_round_cancel(round->registry);
        return;
    }

    if (why) {
        ngx_http_tee_rpc_failed(rpc, error, why, NULL);

    } else {
        ngx_http_tee_rpc_answer(rpc);
    }

    switch (rpc->step) {

    case NGX_HTTP_TEE_RPC_WAIT:
    case NGX_HTTP_TEE_RPC_DONE:
    case NGX_HTTP_TEE_RPC_FAILED:
        if (--round->pending == 0) {
            ngx_http_tee_round_step(round);
        }
        break;

    default:
        break;
    }
}


static void
ngx_http_tee_rpc_answer(ngx_http_tee_rpc_t *rpc)
{
    tee_rc_t                  rc;
    uint64_t                  chain_id;
    unsigned                  active;
    tee_str_t                 body, bytes;
    tee_jsonrpc_block_t       block;
    tee_jsonrpc_error_t       err;
    ngx_http_tee_registry_t  *reg;

    reg = rpc->round->registry;

    body.data = rpc->fetch->body;
    body.len = rpc->fetch->body_len;

    switch (rpc->step) {

    case NGX_HTTP_TEE_RPC_CHAIN_ID:
        rc = tee_jsonrpc_quantity(body, rpc->id, &ngx_http_tee_alloc,
                                  &chain_id, &err);
        if (rc != TEE_OK) {
            ngx_http_tee_rpc_bad(rpc, rc, &err);
            return;
        }

        if (chain_id != reg->chain_id) {
            ngx_http_tee_rpc_failed(rpc, NGX_HTTP_TEE_REG_CHAIN_ID,
                                    "is a node of another chain", NULL);
            return;
        }

        ngx_http_tee_rpc_send(rpc, NGX_HTTP_TEE_RPC_HEAD);
        return;

    case NGX_HTTP_TEE_RPC_HEAD:
    case NGX_HTTP_TEE_RPC_BLOCK:
        rc = tee_jsonrpc_read_block(body, rpc->id, &ngx_http_tee_alloc,
                                    &block, &err);
        if (rc != TEE_OK) {
            ngx_http_tee_rpc_bad(rpc, rc, &err);
            return;
        }

        if (ngx_http_tee_rpc_old(rpc, &block)) {
            return;
        }

        if (rpc->step == NGX_HTTP_TEE_RPC_HEAD) {
            rpc->head = block;
            reg->sh->rpcs[rpc->index].block = (ngx_atomic_uint_t) block.number;
            rpc->step = NGX_HTTP_TEE_RPC_WAIT;
            return;
        }

        ngx_http_tee_rpc_send(rpc, reg->method == NGX_HTTP_TEE_METHOD_IDS
                                   ? NGX_HTTP_TEE_RPC_IDS
                                   : NGX_HTTP_TEE_RPC_TEES);
        return;

    case NGX_HTTP_TEE_RPC_TEES:
        if (ngx_http_tee_rpc_keep(rpc) == NGX_OK) {
            rpc->step = NGX_HTTP_TEE_RPC_DONE;
        }
        return;

    case NGX_HTTP_TEE_RPC_IDS:
    case NGX_HTTP_TEE_RPC_IDS_BY_TYPE:
        ngx_http_tee_rpc_ids(rpc, body);
        return;

    case NGX_HTTP_TEE_RPC_IS_ACTIVE:
        rc = tee_jsonrpc_bytes(body, rpc->id, &ngx_http_tee_alloc, &bytes,
                               &err);
        if (rc != TEE_OK) {
            ngx_http_tee_rpc_bad(rpc, rc, &err);
            return;
        }

        rc = tee_registry_bool(bytes, &active);
        free((void *) bytes.data);

        if (rc != TEE_OK) {
            ngx_http_tee_rpc_bad(rpc, rc, NULL);
            return;
        }

        if (active) {
            ngx_http_tee_rpc_send(rpc, NGX_HTTP_TEE_RPC_GET_TEE);
            return;
        }

        rpc->next++;
        ngx_http_tee_rpc_next_id(rpc);
        return;

    default: /* NGX_HTTP_TEE_RPC_GET_TEE */
        if (ngx_http_tee_rpc_keep(rpc) == NGX_OK) {
            rpc->next++;
            ngx_http_tee_rpc_next_id(rpc);
        }
        return;
    }
}


static void
ngx_http_tee_rpc_ids(ngx_http_tee_rpc_t *rpc, tee_str_t body)
{
    size_t               n;
    tee_rc_t             rc;
    tee_str_t            bytes;
    const uint8_t      (*ids)[32];
    tee_jsonrpc_error_t  err;

    rc = tee_jsonrpc_bytes(body, rpc->id, &ngx_http_tee_alloc, &bytes, &err);

    if (rc == TEE_UNSUPPORTED && rpc->step == NGX_HTTP_TEE_RPC_IDS) {
        /* registries before getEnabledTEEs() list every id by type */
        ngx_http_tee_rpc_send(rpc, NGX_HTTP_TEE_RPC_IDS_BY_TYPE);
        return;
    }

    if (rc != TEE_OK) {
        ngx_http_tee_rpc_bad(rpc, rc, &err);
        return;
    }

    if (bytes.len == 0) {
        free((void *) bytes.data);
        ngx_http_tee_rpc_failed(rpc, NGX_HTTP_TEE_REG_NO_CONTRACT,
                                "has no contract at this address", NULL);
        return;
    }

    rc = tee_registry_ids(bytes, &ids, &n);

    if (rc == TEE_OK && n > rpc->round->rules.max_tees) {
        rc = TEE_LIMIT;
    }

    if (rc == TEE_OK && n) {
        rpc->ids = malloc(n * 32);

        if (rpc->ids == NULL) {
            rc = TEE_NOMEM;

        } else {
            ngx_memcpy(rpc->ids, ids, n * 32);
            rpc->nids = n;
        }
    }

    free((void *) bytes.data);

    if (rc != TEE_OK) {
        ngx_http_tee_rpc_bad(rpc, rc, NULL);
        return;
    }

    ngx_http_tee_rpc_next_id(rpc);
}


static void
ngx_http_tee_rpc_next_id(ngx_http_tee_rpc_t *rpc)
{
    if (rpc->next == rpc->nids) {
        rpc->step = NGX_HTTP_TEE_RPC_DONE;
        return;
    }

    ngx_http_tee_rpc_send(rpc, NGX_HTTP_TEE_RPC_IS_ACTIVE);
}


/* Large answers are read in the thread; here they only change hands. */

static ngx_int_t
ngx_http_tee_rpc_keep(ngx_http_tee_rpc_t *rpc)
{
    ngx_http_tee_answer_t  *answer;

    answer = ngx_array_push(&rpc->answers);
    if (answer == NULL) {
        ngx_http_tee_rpc_failed(rpc, NGX_HTTP_TEE_REG_TOO_LARGE,
                                "no memory for its response", NULL);
        return NGX_ERROR;
    }

    answer->data = rpc->fetch->body;
    answer->len = rpc->fetch->body_len;
    answer->id = rpc->id;

    if (rpc->nids) {
        ngx_memcpy(answer->tee_id, rpc->ids + 32 * rpc->next, 32);
    }

    rpc->fetch->body = NULL;
    rpc->fetch->body_len = 0;
    rpc->fetch->body_room = 0;

    return NGX_OK;
}


static void
ngx_http_tee_rpc_bad(ngx_http_tee_rpc_t *rpc, tee_rc_t rc,
    tee_jsonrpc_error_t *err)
{
    if (rc == TEE_UNSUPPORTED && err) {
        ngx_http_tee_rpc_failed(rpc, NGX_HTTP_TEE_REG_ERROR,
                                "answered an error", err->message);
        return;
    }

    ngx_http_tee_rpc_failed(rpc, rc == TEE_LIMIT
                                 ? NGX_HTTP_TEE_REG_TOO_LARGE
                                 : NGX_HTTP_TEE_REG_MALFORMED,
                            "answered what cannot be used", tee_strerror(rc));
}


/* One line per change of state: a failure that lasts is counted only. */

static void
ngx_http_tee_rpc_failed(ngx_http_tee_rpc_t *rpc,
    ngx_http_tee_reg_counter_e error, const char *why, const char *detail)
{
    u_char                    *p;
    ngx_http_tee_server_t     *server;
    ngx_http_tee_registry_t   *reg;
    ngx_http_tee_rpc_state_t  *st;

    reg = rpc->round->registry;
    st = &reg->sh->rpcs[rpc->index];
    server = rpc->fetch->server;

    rpc->step = NGX_HTTP_TEE_RPC_FAILED;

    ngx_http_tee_reg_count(reg, error);
    (void) ngx_atomic_fetch_add(&st->failed, 1);
    st->healthy = 0;

    p = ngx_snprintf((u_char *) st->last_error, sizeof(st->last_error) - 1,
                     "%s%s%s", why, detail ? ": " : "", detail ? detail : "");
    *p = '\0';

    if (reg->rpc_failing[rpc->index] != (unsigned) error) {
        reg->rpc_failing[rpc->index] = error;

        ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                      "tee registry \"%V\": RPC %V %s%s%s",
                      &reg->name, &server->url, why,
                      detail ? ": " : "", detail ? detail : "");
    }
}


static void
ngx_http_tee_rpc_good(ngx_http_tee_rpc_t *rpc)
{
    ngx_http_tee_registry_t   *reg;
    ngx_http_tee_rpc_state_t  *st;

    reg = rpc->round->registry;
    st = &reg->sh->rpcs[rpc->index];

    (void) ngx_atomic_fetch_add(&st->ok, 1);
    st->healthy = 1;
    st->last_error[0] = '\0';

    if (reg->rpc_failing[rpc->index]) {
        reg->rpc_failing[rpc->index] = 0;

        ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                      "tee registry \"%V\": RPC %V answers again",
                      &reg->name, &rpc->fetch->server->url);
    }
}


static ngx_int_t
ngx_http_tee_rpc_old(ngx_http_tee_rpc_t *rpc, tee_jsonrpc_block_t *block)
{
    time_t  max;

    max = rpc->round->registry->max_block_age;

    if (max == 0 || block->timestamp + max >= (uint64_t) ngx_time()) {
        return 0;
    }

    ngx_http_tee_rpc_failed(rpc, NGX_HTTP_TEE_REG_OLD_BLOCK,
                            "is at a block older than \"max_block_age\"",
                            NULL);
    return 1;
}


static void
ngx_http_tee_round_step(ngx_http_tee_round_t *round)
{
    ngx_uint_t           i, waiting, done;
    ngx_http_tee_rpc_t  *rpc;

    waiting = 0;
    done = 0;

    for (i = 0; i < round->nrpcs; i++) {
        waiting += (round->rpcs[i].step == NGX_HTTP_TEE_RPC_WAIT);
        done += (round->rpcs[i].step == NGX_HTTP_TEE_RPC_DONE);
    }

    if (waiting == 0) {
        if (done) {
            ngx_http_tee_round_decode(round);
            return;
        }

        ngx_http_tee_round_done(round, NULL);
        return;
    }

    if (ngx_http_tee_round_choose(round) != NGX_OK) {
        ngx_http_tee_round_done(round, NULL);
        return;
    }

    for (i = 0; i < round->nrpcs; i++) {
        rpc = &round->rpcs[i];

        if (rpc->step != NGX_HTTP_TEE_RPC_WAIT) {
            continue;
        }

        if (rpc->head.number < round->block) {
            /* a little behind, which is no failure: it has no vote now */
            rpc->step = NGX_HTTP_TEE_RPC_FAILED;
            continue;
        }

        round->pending++;

        if (rpc->head.number != round->block) {
            ngx_http_tee_rpc_send(rpc, NGX_HTTP_TEE_RPC_BLOCK);
            continue;
        }

        ngx_http_tee_rpc_send(rpc, round->registry->method
                                   == NGX_HTTP_TEE_METHOD_IDS
                                   ? NGX_HTTP_TEE_RPC_IDS
                                   : NGX_HTTP_TEE_RPC_TEES);
    }
}


static ngx_int_t
ngx_http_tee_round_choose(ngx_http_tee_round_t *round)
{
    uint64_t                  number;
    ngx_uint_t                i, j, have, chosen;
    ngx_http_tee_registry_t  *reg;

    reg = round->registry;
    chosen = 0;

    for (i = 0; i < round->nrpcs; i++) {

        if (round->rpcs[i].step != NGX_HTTP_TEE_RPC_WAIT) {
            continue;
        }

        number = round->rpcs[i].head.number;
        have = 0;

        for (j = 0; j < round->nrpcs; j++) {
            have += (round->rpcs[j].step == NGX_HTTP_TEE_RPC_WAIT
                     && round->rpcs[j].head.number >= number);
        }

        if (have >= reg->quorum && number >= round->block) {
            round->block = number;
            chosen = 1;
        }
    }

    if (chosen) {
        return NGX_OK;
    }

    ngx_http_tee_reg_count(reg, NGX_HTTP_TEE_REG_QUORUM);

    return NGX_ERROR;
}


static void
ngx_http_tee_round_decode(ngx_http_tee_round_t *round)
{
    ngx_thread_task_t        *task;
    ngx_http_tee_registry_t  *reg;

    reg = round->registry;

    task = ngx_thread_task_alloc(round->pool, 0);
    if (task == NULL) {
        ngx_http_tee_round_done(round, NULL);
        return;
    }

    task->ctx = round;
    task->handler = ngx_http_tee_round_agree;
    task->event.handler = ngx_http_tee_round_decoded;
    task->event.data = round;
    task->event.log = ngx_cycle->log;

    round->current = reg->snap;

    if (round->current) {
        round->current->refs++;
    }

    if (ngx_thread_task_post(reg->thread_pool, task) != NGX_OK) {
        ngx_http_tee_round_done(round, NULL);
    }
}


static void
ngx_http_tee_round_decoded(ngx_event_t *ev)
{
    ngx_uint_t                i;
    tee_snapshot_t           *image;
    ngx_http_tee_rpc_t       *rpc, *chosen;
    ngx_http_tee_round_t     *round = ev->data;
    ngx_http_tee_answer_t    *answer;
    ngx_http_tee_registry_t  *reg;

    reg = round->registry;
    chosen = &round->rpcs[round->chosen];

    for (i = 0; i < round->nrpcs; i++) {
        rpc = &round->rpcs[i];

        if (rpc->step != NGX_HTTP_TEE_RPC_DONE) {
            continue;
        }

        answer = rpc->answers.elts;

        if (rpc->rc != TEE_OK) {
            ngx_http_tee_rpc_bad(rpc, rpc->rc, &rpc->error);

        } else if (rpc->answers.nelts && answer->len == 0) {
            ngx_http_tee_rpc_failed(rpc, NGX_HTTP_TEE_REG_NO_CONTRACT,
                                    "has no contract at this address", NULL);

        } else if (round->agreeing < reg->quorum
                   || ngx_memcmp(rpc->sum, chosen->sum, 32) != 0)
        {
            ngx_http_tee_rpc_failed(rpc, NGX_HTTP_TEE_REG_DISAGREES,
                                    "does not agree with the others", NULL);

        } else if (round->rc != TEE_OK) {
            ngx_http_tee_rpc_bad(rpc, round->rc, NULL);

        } else {
            ngx_http_tee_rpc_good(rpc);
        }
    }

    if (round->agreeing < reg->quorum) {
        ngx_http_tee_reg_count(reg, NGX_HTTP_TEE_REG_QUORUM);
    }

    image = round->image;
    round->image = NULL;

    ngx_http_tee_round_done(round, image);
}


static void
ngx_http_tee_round_done(ngx_http_tee_round_t *round, tee_snapshot_t *image)
{
    uint64_t                  block;
    ngx_uint_t                same, skipped;
    ngx_http_tee_round_pt     handler;
    ngx_http_tee_registry_t  *reg;

    reg = round->registry;
    handler = round->handler;
    block = round->block;
    same = round->same;
    skipped = round->skipped;

    if (image && skipped && reg->sh->skipped != skipped) {
        ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                      "tee registry \"%V\": %ui entries cannot be used, the "
                      "first is number %uD: %s",
                      &reg->name, skipped, round->first_skip.index,
                      tee_skip_name(round->first_skip.reason));
    }

    reg->round = NULL;
    reg->sh->refreshing = 0;

    ngx_http_tee_round_free(round);

    handler(reg, image, same, block, skipped);
}


static void
ngx_http_tee_round_free(ngx_http_tee_round_t *round)
{
    ngx_uint_t              i, j;
    ngx_http_tee_rpc_t     *rpc;
    ngx_http_tee_answer_t  *answers;

    for (i = 0; i < round->nrpcs; i++) {
        rpc = &round->rpcs[i];

        ngx_http_tee_fetch_close(rpc->fetch);

        answers = rpc->answers.elts;

        for (j = 0; j < rpc->answers.nelts; j++) {
            free(answers[j].data);
        }

        free(rpc->ids);
    }

    free(round->image);
    ngx_http_tee_snap_unref(round->current);

    ngx_destroy_pool(round->pool);
}
