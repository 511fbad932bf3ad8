
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <ngx_http_tee.h>
#include <ngx_http_tee_client_ctx.h>


/*
 * A request is sent a second time, sealed anew, if nobody can have answered
 * the first one: RFC 9458, 5.3, 6.5 and 6.5.2.  That a relay claims so may be
 * a lie, and the price of one is that an enclave answers twice.
 */


/* For a registry to tell of a new key; it is looked at so often. */

#define NGX_HTTP_TEE_CLIENT_WAIT  5000
#define NGX_HTTP_TEE_CLIENT_LOOK  50


static ngx_int_t ngx_http_tee_client_wait(ngx_http_request_t *r,
    ngx_http_tee_client_ctx_t *ctx);
static void ngx_http_tee_client_look(ngx_event_t *ev);
static void ngx_http_tee_client_waited(void *data);
static void ngx_http_tee_client_resend_handler(ngx_http_request_t *r);
static void ngx_http_tee_client_flush_variables(ngx_http_request_t *r);


ngx_uint_t
ngx_http_tee_client_may_retry(ngx_http_tee_client_ctx_t *ctx)
{
    return ctx->conf->retry && !ctx->retried && !ctx->begun;
}


ngx_int_t
ngx_http_tee_client_retry(ngx_http_request_t *r,
    ngx_http_tee_client_ctx_t *ctx, tee_problem_t problem)
{
    ngx_uint_t  waits;

    if (!ngx_http_tee_client_may_retry(ctx)) {
        return NGX_DECLINED;
    }

    waits = 0;

    switch (problem) {

    case TEE_PROBLEM_DATE:

        if (!ctx->opening) {

            /* nobody has sealed it */

            return NGX_DECLINED;
        }

        break;

    case TEE_PROBLEM_UNSENT:
    case TEE_PROBLEM_KEY:

        ngx_http_tee_client_avoid(ctx);

        if (ngx_http_tee_client_choose_other(r, ctx) == NGX_OK) {
            break;
        }

        if (problem == TEE_PROBLEM_UNSENT
            || ngx_http_tee_client_wait(r, ctx) != NGX_OK)
        {
            return NGX_DECLINED;
        }

        waits = 1;
        break;

    default: /* TEE_PROBLEM_OTHER */
        return NGX_DECLINED;
    }

    ctx->retried = 1;

    /* whoever has been proxying is let go, the request is not */

    r->main->count++;

    r->read_event_handler = ngx_http_test_reading;

    if (waits) {
        r->write_event_handler = ngx_http_request_empty_handler;
        return NGX_DONE;
    }

    r->write_event_handler = ngx_http_tee_client_resend_handler;

    return ngx_http_post_request(r, NULL) == NGX_OK ? NGX_DONE : NGX_ERROR;
}


/* Until there is another key, or it is known that there is none. */

static ngx_int_t
ngx_http_tee_client_wait(ngx_http_request_t *r,
    ngx_http_tee_client_ctx_t *ctx)
{
    ngx_http_tee_client_whom_t  *whom;

    whom = ctx->conf->whom;

    if (whom->keys) {
        ctx->wait.handler = ngx_http_tee_client_waited;
        ctx->wait.data = ctx;

        return ngx_http_tee_client_keys_wait(whom->keys, &ctx->wait)
               == NGX_AGAIN ? NGX_OK : NGX_DECLINED;
    }

    ngx_http_tee_registry_hurry(whom->choice->registry);

    ctx->waits_since = ngx_current_msec;
    ctx->fetched_at = whom->choice->registry->sh->fetched_at;

    ctx->look.handler = ngx_http_tee_client_look;
    ctx->look.data = ctx;
    ctx->look.log = r->connection->log;

    ngx_add_timer(&ctx->look, NGX_HTTP_TEE_CLIENT_LOOK);

    return NGX_OK;
}


static void
ngx_http_tee_client_look(ngx_event_t *ev)
{
    ngx_http_tee_shm_t         *sh;
    ngx_http_tee_client_ctx_t  *ctx = ev->data;

    sh = ctx->conf->whom->choice->registry->sh;

    if (sh->version == ctx->snap->version
        && sh->fetched_at == ctx->fetched_at
        && ngx_current_msec - ctx->waits_since < NGX_HTTP_TEE_CLIENT_WAIT)
    {
        ngx_add_timer(ev, NGX_HTTP_TEE_CLIENT_LOOK);
        return;
    }

    ngx_http_tee_client_waited(ctx);
}


static void
ngx_http_tee_client_waited(void *data)
{
    ngx_http_tee_client_ctx_t  *ctx = data;

    ngx_int_t            rc;
    ngx_connection_t    *c;
    ngx_http_request_t  *r;

    r = ctx->request;
    c = r->connection;

    if (ngx_http_tee_client_choose_other(r, ctx) == NGX_OK) {
        ngx_http_tee_client_resend_handler(r);

    } else {
        rc = ngx_http_tee_client_pass_error(r, ctx);
        ngx_http_finalize_request(r, rc);
    }

    ngx_http_run_posted_requests(c);
}


void
ngx_http_tee_client_wait_cancel(ngx_http_tee_client_ctx_t *ctx)
{
    if (ctx->look.timer_set) {
        ngx_del_timer(&ctx->look);
    }

    if (ctx->conf->whom->keys) {
        ngx_http_tee_client_keys_wait_cancel(ctx->conf->whom->keys,
                                             &ctx->wait);
    }
}


static void
ngx_http_tee_client_resend_handler(ngx_http_request_t *r)
{
    ngx_http_tee_client_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_tee_client_module);

    ngx_log_error(NGX_LOG_NOTICE, r->connection->log, 0,
                  "tee client: request is sealed anew and sent again");

    ngx_http_tee_count(NGX_HTTP_TEE_CLIENT_RETRIES);

    r->read_event_handler = ngx_http_block_reading;

    /* nothing of the first attempt is left */

    ngx_http_tee_client_forget(ctx);

    tee_ohttp_request_seal_free(&ctx->seal);
    tee_ohttp_exchange_wipe(&ctx->seal.exchange);

    ngx_pfree(r->pool, r->request_body->buf->start);
    r->request_body->buf = NULL;
    r->request_body->bufs = NULL;

    ngx_http_clean_header(r);

    r->err_status = 0;
    r->header_only = 0;

    (void) ngx_http_tee_problem(r, 0, NULL, NULL);
    ngx_http_tee_client_flush_variables(r);

    ngx_http_tee_client_go_on(r, ctx, NGX_OK);
}


/* What logs say of this request is about the second attempt. */

static void
ngx_http_tee_client_flush_variables(ngx_http_request_t *r)
{
    ngx_uint_t                  i;
    ngx_http_core_main_conf_t  *cmcf;

    cmcf = ngx_http_get_module_main_conf(r, ngx_http_core_module);

    for (i = 0; i < cmcf->variables.nelts; i++) {

        if (r->variables[i].no_cacheable) {
            r->variables[i].valid = 0;
            r->variables[i].not_found = 0;
        }
    }
}
