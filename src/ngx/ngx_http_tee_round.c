
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <ngx_http_tee.h>
#include <ngx_http_tee_round.h>
#include <tee_crypto.h>


static void ngx_http_tee_round_sum(ngx_http_tee_rpc_t *rpc);
static tee_rc_t ngx_http_tee_round_image(ngx_http_tee_round_t *round,
    ngx_http_tee_rpc_t *rpc);


/* In a thread: nothing here but this round, and malloc(). */

void
ngx_http_tee_round_agree(void *data, ngx_log_t *log)
{
    ngx_uint_t             i, j, n, best;
    ngx_http_tee_rpc_t    *rpc;
    ngx_http_tee_round_t  *round = data;

    best = 0;

    for (i = 0; i < round->nrpcs; i++) {
        rpc = &round->rpcs[i];

        if (rpc->step == NGX_HTTP_TEE_RPC_DONE) {
            ngx_http_tee_round_sum(rpc);
        }
    }

    for (i = 0; i < round->nrpcs; i++) {
        rpc = &round->rpcs[i];

        if (rpc->step != NGX_HTTP_TEE_RPC_DONE || rpc->rc != TEE_OK) {
            continue;
        }

        n = 0;

        for (j = 0; j < round->nrpcs; j++) {
            n += (round->rpcs[j].step == NGX_HTTP_TEE_RPC_DONE
                  && round->rpcs[j].rc == TEE_OK
                  && ngx_memcmp(round->rpcs[j].sum, rpc->sum, 32) == 0);
        }

        if (n > best) {
            best = n;
            round->chosen = i;
        }
    }

    round->agreeing = best;

    if (best == 0 || best < round->registry->quorum) {
        return;
    }

    round->rc = ngx_http_tee_round_image(round, &round->rpcs[round->chosen]);

    if (round->rc == TEE_OK
        && round->current
        && round->current->image->size == round->image->size
        && ngx_memcmp(round->current->image, round->image,
                      (size_t) round->image->size)
           == 0)
    {
        round->same = 1;
    }
}


/* Turns the answers from JSON into ABI bytes, in place of the former. */

static void
ngx_http_tee_round_sum(ngx_http_tee_rpc_t *rpc)
{
    u_char                  all[64];
    tee_str_t               body, bytes, both;
    ngx_uint_t              i;
    ngx_http_tee_answer_t  *answers;

    ngx_memzero(rpc->sum, 32);

    both.data = all;
    both.len = 64;

    answers = rpc->answers.elts;

    for (i = 0; i < rpc->answers.nelts; i++) {
        body.data = answers[i].data;
        body.len = answers[i].len;

        rpc->rc = tee_jsonrpc_bytes(body, answers[i].id, &ngx_http_tee_alloc,
                                    &bytes, &rpc->error);
        if (rpc->rc != TEE_OK) {
            return;
        }

        free(answers[i].data);
        answers[i].data = (u_char *) bytes.data;
        answers[i].len = bytes.len;

        ngx_memcpy(all, rpc->sum, 32);

        rpc->rc = tee_sha256(bytes, all + 32);

        if (rpc->rc == TEE_OK) {
            rpc->rc = tee_sha256(both, rpc->sum);
        }

        if (rpc->rc != TEE_OK) {
            return;
        }
    }
}


static tee_rc_t
ngx_http_tee_round_image(ngx_http_tee_round_t *round, ngx_http_tee_rpc_t *rpc)
{
    tee_rc_t                rc;
    tee_str_t               abi;
    ngx_uint_t              i;
    tee_registry_list_t     list;
    ngx_http_tee_answer_t  *answers;

    tee_registry_init(&list, &round->rules);

    answers = rpc->answers.elts;
    rc = TEE_OK;

    for (i = 0; i < rpc->answers.nelts && rc == TEE_OK; i++) {
        abi.data = answers[i].data;
        abi.len = answers[i].len;

        if (round->registry->method == NGX_HTTP_TEE_METHOD_IDS) {
            rc = tee_registry_add_tee(&list, abi, answers[i].tee_id);

        } else {
            rc = tee_registry_add_tees(&list, abi);
        }
    }

    if (rc == TEE_OK) {
        rc = tee_registry_finish(&list, &round->image);
        round->skipped = list.nskipped;

        if (list.nskipped) {
            round->first_skip = list.skipped[0];
        }
    }

    tee_registry_free(&list);

    return rc;
}
