
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <ngx_http_tee.h>
#include <ngx_http_tee_client_ctx.h>
#include <ngx_http_tee_verify.h>


/*
 * tee_client: an application's request is sealed to an enclave and goes to a
 * relay in its place.  The handler runs after access control and limits; what
 * the proxy sends, and what comes back, it knows nothing of.
 */


static ngx_int_t ngx_http_tee_client_handler(ngx_http_request_t *r);
static ngx_int_t ngx_http_tee_client_allowed(ngx_http_request_t *r,
    ngx_http_tee_client_loc_conf_t *clcf);
static ngx_http_tee_client_ctx_t *ngx_http_tee_client_create_ctx(
    ngx_http_request_t *r, ngx_http_tee_client_loc_conf_t *clcf);
static void ngx_http_tee_client_cleanup(void *data);
static ngx_int_t ngx_http_tee_client_again(ngx_http_request_t *r);
static ngx_int_t ngx_http_tee_client_log(ngx_http_request_t *r);

static ngx_int_t ngx_http_tee_client_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_tee_client_add_variables(ngx_conf_t *cf);
static void *ngx_http_tee_client_create_main_conf(ngx_conf_t *cf);
static void *ngx_http_tee_client_create_loc_conf(ngx_conf_t *cf);
static char *ngx_http_tee_client_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child);
static ngx_int_t ngx_http_tee_client_init(ngx_conf_t *cf);
static ngx_int_t ngx_http_tee_client_init_process(ngx_cycle_t *cycle);
static void ngx_http_tee_client_exit_process(ngx_cycle_t *cycle);


static ngx_conf_enum_t  ngx_http_tee_client_error_forms[] = {
    { ngx_string("problem"), NGX_HTTP_TEE_CLIENT_PROBLEM },
    { ngx_string("openai"), NGX_HTTP_TEE_CLIENT_OPENAI },
    { ngx_null_string, 0 }
};


static ngx_command_t  ngx_http_tee_client_commands[] = {

    { ngx_string("tee_client"),
      NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_tee_client,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("tee_client_target"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_tee_client_target,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("tee_client_pass_header"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_tee_client_pass_header,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("tee_client_auth"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_tee_client_auth,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("tee_client_errors"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_enum_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_tee_client_loc_conf_t, errors),
      &ngx_http_tee_client_error_forms },

    { ngx_string("tee_client_max_body"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_off_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_tee_client_loc_conf_t, max_body),
      NULL },

    { ngx_string("tee_client_buffer"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_size_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_tee_client_loc_conf_t, buffer),
      NULL },

    { ngx_string("tee_client_retry"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_tee_client_loc_conf_t, retry),
      NULL },

    { ngx_string("tee_client_models"),
      NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_tee_client_models,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("tee_client_health"),
      NGX_HTTP_LOC_CONF|NGX_CONF_TAKE12,
      ngx_http_tee_client_health,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_tee_client_module_ctx = {
    ngx_http_tee_client_add_variables,     /* preconfiguration */
    ngx_http_tee_client_init,              /* postconfiguration */

    ngx_http_tee_client_create_main_conf,  /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_http_tee_client_create_loc_conf,   /* create location configuration */
    ngx_http_tee_client_merge_loc_conf     /* merge location configuration */
};


ngx_module_t  ngx_http_tee_client_module = {
    NGX_MODULE_V1,
    &ngx_http_tee_client_module_ctx,       /* module context */
    ngx_http_tee_client_commands,          /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    ngx_http_tee_client_init_process,      /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    ngx_http_tee_client_exit_process,      /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static ngx_http_variable_t  ngx_http_tee_client_vars[] = {

    { ngx_string("tee_client_id"), NULL, ngx_http_tee_client_variable,
      0, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("tee_client_endpoint"), NULL, ngx_http_tee_client_variable,
      1, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("tee_client_pcr_hash"), NULL, ngx_http_tee_client_variable,
      2, NGX_HTTP_VAR_NOCACHEABLE, 0 },

      ngx_http_null_variable
};


static ngx_int_t
ngx_http_tee_client_handler(ngx_http_request_t *r)
{
    ngx_int_t                        rc;
    ngx_http_tee_client_ctx_t       *ctx;
    ngx_http_tee_client_loc_conf_t  *clcf;

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_tee_client_module);

    if (clcf->whom == NULL) {
        return NGX_DECLINED;
    }

    if (r != r->main) {

        /* it has the fields of the main request, and would leave as it is */

        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "tee client: subrequest \"%V\" is not sealed, and "
                      "refused", &r->uri);

        return NGX_HTTP_FORBIDDEN;
    }

    ctx = ngx_http_get_module_ctx(r, ngx_http_tee_client_module);

    if (ctx) {
        return ctx->reading ? NGX_DONE : NGX_DECLINED;
    }

    ngx_http_tee_count(NGX_HTTP_TEE_CLIENT_REQUESTS);

    if (ngx_http_tee_client_get_ctx(r)) {
        return ngx_http_tee_client_refuse(r, NGX_HTTP_TEE_CLIENT_BAD_REQUEST,
                                          NGX_HTTP_BAD_GATEWAY, "sealed_twice",
                                          "the request has been sealed "
                                          "before");
    }

    rc = ngx_http_tee_client_allowed(r, clcf);

    if (rc != NGX_OK) {
        return rc;
    }

    ctx = ngx_http_tee_client_create_ctx(r, clcf);
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    /* before anything of the body is read: there may be nobody to send it to */

    rc = ngx_http_tee_client_choose(r, ctx);

    if (rc != NGX_OK) {
        return rc;
    }

    return ngx_http_tee_client_read(r, ctx);
}


static ngx_int_t
ngx_http_tee_client_allowed(ngx_http_request_t *r,
    ngx_http_tee_client_loc_conf_t *clcf)
{
    if (clcf->whom->profile != NGX_HTTP_TEE_OPENGRADIENT) {

        if (r->method == NGX_HTTP_CONNECT || r->method == NGX_HTTP_TRACE) {
            return ngx_http_tee_client_refuse(r,
                                              NGX_HTTP_TEE_CLIENT_BAD_REQUEST,
                                              NGX_HTTP_NOT_ALLOWED, "method",
                                              "this method cannot be sealed");
        }

        return NGX_OK;
    }

    if (r->method != NGX_HTTP_POST) {

        if (ngx_http_tee_add_field(&r->headers_out.headers, "Allow", "POST")
            == NULL)
        {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        return ngx_http_tee_client_refuse(r, NGX_HTTP_TEE_CLIENT_BAD_REQUEST,
                                          NGX_HTTP_NOT_ALLOWED, "method",
                                          "a completion is asked for by POST");
    }

    if (r->headers_in.content_type == NULL
        || !ngx_http_tee_is_type(&r->headers_in.content_type->value,
                                 "application/json"))
    {
        return ngx_http_tee_client_refuse(r, NGX_HTTP_TEE_CLIENT_BAD_REQUEST,
                                          NGX_HTTP_UNSUPPORTED_MEDIA_TYPE,
                                          "media_type",
                                          "the content must be "
                                          "application/json");
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_tee_client_refuse(ngx_http_request_t *r,
    ngx_http_tee_counter_e counter, ngx_uint_t status, const char *reason,
    const char *detail)
{
    ngx_http_tee_count(counter);

    return ngx_http_tee_problem(r, status, reason, detail);
}


static ngx_http_tee_client_ctx_t *
ngx_http_tee_client_create_ctx(ngx_http_request_t *r,
    ngx_http_tee_client_loc_conf_t *clcf)
{
    ngx_pool_cleanup_t         *cln;
    ngx_http_tee_client_ctx_t  *ctx;

    cln = ngx_pool_cleanup_add(r->pool, sizeof(ngx_http_tee_client_ctx_t));
    if (cln == NULL) {
        return NULL;
    }

    ctx = cln->data;
    ngx_memzero(ctx, sizeof(ngx_http_tee_client_ctx_t));

    ctx->request = r;
    ctx->conf = clcf;
    ctx->http_version = r->http_version;

    /* that of an error that led here is none of the answer */

    r->err_status = 0;

    cln->handler = ngx_http_tee_client_cleanup;

    ngx_http_set_ctx(r, ctx, ngx_http_tee_client_module);

    return ctx;
}


ngx_http_tee_client_ctx_t *
ngx_http_tee_client_get_ctx(ngx_http_request_t *r)
{
    ngx_pool_cleanup_t  *cln;

    for (cln = r->pool->cleanup; cln; cln = cln->next) {
        if (cln->handler == ngx_http_tee_client_cleanup) {
            return cln->data;
        }
    }

    return NULL;
}


static void
ngx_http_tee_client_cleanup(void *data)
{
    ngx_http_tee_client_ctx_t  *ctx = data;

    ngx_http_tee_client_wait_cancel(ctx);

    tee_ohttp_request_seal_free(&ctx->seal);
    tee_ohttp_exchange_wipe(&ctx->seal.exchange);

    ngx_http_tee_client_forget(ctx);

    if (ctx->text) {
        tee_wipe(ctx->text, ctx->inner.len);
        ngx_http_tee_alloc.free(NULL, ctx->text);
    }

    ngx_http_tee_held_free(&ctx->body);

    if (ctx->snap) {
        ngx_http_tee_snap_unref(ctx->snap);
    }

    if (ctx->former) {
        ngx_http_tee_snap_unref(ctx->former);
    }
}


/* Another location answers an error: it sees the request that the application
 * has sent, but not its content, which is not there any more. */

static ngx_int_t
ngx_http_tee_client_again(ngx_http_request_t *r)
{
    ngx_http_tee_client_ctx_t  *ctx;

    ctx = r == r->main ? ngx_http_tee_client_get_ctx(r) : NULL;

    if (ctx == NULL || ctx->reading) {
        return NGX_DECLINED;
    }

    ngx_http_tee_client_redirected(r, ctx);

    return NGX_DECLINED;
}


/* What is logged is the application's request, whatever became of it. */

static ngx_int_t
ngx_http_tee_client_log(ngx_http_request_t *r)
{
    ngx_http_tee_client_ctx_t  *ctx;

    ctx = r == r->main ? ngx_http_tee_client_get_ctx(r) : NULL;

    if (ctx) {
        ngx_http_tee_client_restore(r, ctx);
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_tee_client_answerer(ngx_http_request_t *r, u_char id[32],
    tee_str_t *spki)
{
    ngx_http_tee_client_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r->main, ngx_http_tee_client_module);

    if (ctx == NULL || !ctx->sealed || ctx->entry == NULL) {
        return NGX_DECLINED;
    }

    ngx_memcpy(id, ctx->entry->tee_id, 32);
    *spki = tee_snapshot_str(ctx->snap->image, ctx->entry->spki);

    return ngx_http_tee_registry_lists(ctx->conf->whom->choice->registry, id)
           ? NGX_OK : NGX_DECLINED;
}


tee_str_t *
ngx_http_tee_client_inner(ngx_http_request_t *r)
{
    ngx_http_tee_client_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r->main, ngx_http_tee_client_module);

    return ctx && ctx->sealed ? &ctx->inner : NULL;
}


static ngx_int_t
ngx_http_tee_client_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    u_char                     *p;
    tee_str_t                   s;
    ngx_http_tee_client_ctx_t  *ctx;

    ctx = ngx_http_tee_client_get_ctx(r->main);

    if (ctx == NULL || ctx->entry == NULL) {
        v->not_found = 1;
        return NGX_OK;
    }

    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    if (data == 1) {
        s = tee_snapshot_str(ctx->snap->image, ctx->entry->endpoint);
        v->data = (u_char *) s.data;
        v->len = s.len;
        return NGX_OK;
    }

    p = ngx_pnalloc(r->pool, 66);
    if (p == NULL) {
        return NGX_ERROR;
    }

    v->data = p;
    v->len = 66;

    p = ngx_cpymem(p, "0x", 2);
    ngx_hex_dump(p, data ? (u_char *) ctx->entry->pcr_hash
                         : (u_char *) ctx->entry->tee_id, 32);

    return NGX_OK;
}


static ngx_int_t
ngx_http_tee_client_add_variables(ngx_conf_t *cf)
{
    if (ngx_http_tee_add_variables(cf, ngx_http_tee_client_vars) != NGX_OK) {
        return NGX_ERROR;
    }

    /* of our modules, this is the last one that has any */

    ngx_http_tee_tells_init(cf);

    return NGX_OK;
}


static void *
ngx_http_tee_client_create_main_conf(ngx_conf_t *cf)
{
    ngx_http_tee_client_main_conf_t  *cmcf;

    cmcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_tee_client_main_conf_t));
    if (cmcf == NULL) {
        return NULL;
    }

    if (ngx_array_init(&cmcf->choices, cf->pool, 2,
                       sizeof(ngx_http_tee_client_choice_t *))
        != NGX_OK
        || ngx_array_init(&cmcf->keys, cf->pool, 2,
                          sizeof(ngx_http_tee_client_keys_t *))
           != NGX_OK
        || ngx_array_init(&cmcf->lists, cf->pool, 2,
                          sizeof(ngx_http_tee_client_list_t *))
           != NGX_OK)
    {
        return NULL;
    }

    return cmcf;
}


static void *
ngx_http_tee_client_create_loc_conf(ngx_conf_t *cf)
{
    ngx_http_tee_client_loc_conf_t  *conf;

    conf = ngx_pcalloc(cf->pool, sizeof(ngx_http_tee_client_loc_conf_t));
    if (conf == NULL) {
        return NULL;
    }

    conf->whom = NGX_CONF_UNSET_PTR;
    conf->auth = NGX_CONF_UNSET_PTR;
    conf->pass = NGX_CONF_UNSET_PTR;
    conf->errors = NGX_CONF_UNSET_UINT;
    conf->max_body = NGX_CONF_UNSET;
    conf->buffer = NGX_CONF_UNSET_SIZE;
    conf->retry = NGX_CONF_UNSET;

    return conf;
}


static char *
ngx_http_tee_client_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_http_tee_client_loc_conf_t  *prev = parent;
    ngx_http_tee_client_loc_conf_t  *conf = child;

    ngx_conf_merge_ptr_value(conf->whom, prev->whom, NULL);
    ngx_conf_merge_ptr_value(conf->auth, prev->auth, NULL);
    ngx_conf_merge_ptr_value(conf->pass, prev->pass, NULL);
    ngx_conf_merge_uint_value(conf->errors, prev->errors,
                              NGX_HTTP_TEE_CLIENT_PROBLEM);
    ngx_conf_merge_off_value(conf->max_body, prev->max_body,
                             20 * 1024 * 1024);
    ngx_conf_merge_size_value(conf->buffer, prev->buffer, 32 * 1024 * 1024);
    ngx_conf_merge_value(conf->retry, prev->retry, 1);

    if (conf->authority.data == NULL) {
        conf->scheme = prev->scheme;
        conf->authority = prev->authority;
    }

    if (conf->models.len || conf->health) {
        conf->whom = NULL;
        ngx_http_tee_verify_nothing(cf);

        return ngx_http_tee_client_info_check(cf, conf);
    }

    return conf->whom ? ngx_http_tee_client_check(cf, conf) : NGX_CONF_OK;
}


static ngx_int_t
ngx_http_tee_client_init(ngx_conf_t *cf)
{
    ngx_http_tee_client_main_conf_t  *cmcf;

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_tee_client_module);

    if (cmcf->choices.nelts == 0 && cmcf->keys.nelts == 0) {
        return NGX_OK;
    }

    if (ngx_http_tee_add_handler(cf, NGX_HTTP_SERVER_REWRITE_PHASE,
                                 ngx_http_tee_client_again)
        != NGX_OK
        || ngx_http_tee_add_handler(cf, NGX_HTTP_REWRITE_PHASE,
                                    ngx_http_tee_client_again)
           != NGX_OK
        || ngx_http_tee_add_handler(cf, NGX_HTTP_PRECONTENT_PHASE,
                                    ngx_http_tee_client_handler)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_tee_add_handler(cf, NGX_HTTP_LOG_PHASE,
                                    ngx_http_tee_client_log);
}


static ngx_int_t
ngx_http_tee_client_init_process(ngx_cycle_t *cycle)
{
    ngx_uint_t                         i;
    ngx_http_tee_client_keys_t       **keys;
    ngx_http_tee_client_main_conf_t   *cmcf;

    cmcf = ngx_http_cycle_get_module_main_conf(cycle,
                                               ngx_http_tee_client_module);

    if (cmcf == NULL || ngx_process == NGX_PROCESS_HELPER) {
        return NGX_OK;
    }

    keys = cmcf->keys.elts;

    for (i = 0; i < cmcf->keys.nelts; i++) {

        if (ngx_http_tee_client_keys_start(cycle, keys[i]) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static void
ngx_http_tee_client_exit_process(ngx_cycle_t *cycle)
{
    ngx_uint_t                         i;
    ngx_http_tee_client_keys_t       **keys;
    ngx_http_tee_client_main_conf_t   *cmcf;

    cmcf = ngx_http_cycle_get_module_main_conf(cycle,
                                               ngx_http_tee_client_module);

    if (cmcf == NULL) {
        return;
    }

    keys = cmcf->keys.elts;

    for (i = 0; i < cmcf->keys.nelts; i++) {
        ngx_http_tee_client_keys_stop(keys[i]);
    }
}
