
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <ngx_http_tee.h>
#include <ngx_http_tee_gateway_ctx.h>


/*
 * tee_gateway: what is refused before it is opened, and the directives.  The
 * handler runs after access control and limits of its own location; those of
 * the location that a sealed request names run when it has been opened.
 */


typedef struct {
    ngx_str_t      logged;                     /* a location's subrequests */
    unsigned       enable:1;                   /* somewhere */
} ngx_http_tee_gateway_main_conf_t;


static ngx_int_t ngx_http_tee_gateway_handler(ngx_http_request_t *r);
static ngx_int_t ngx_http_tee_gateway_check(ngx_http_request_t *r,
    ngx_http_tee_gateway_loc_conf_t *glcf, ngx_uint_t *type);
static ngx_int_t ngx_http_tee_gateway_not_allowed(ngx_http_request_t *r,
    ngx_http_tee_gateway_loc_conf_t *glcf);
static ngx_http_tee_gateway_ctx_t *ngx_http_tee_gateway_create_ctx(
    ngx_http_request_t *r, ngx_http_tee_gateway_loc_conf_t *glcf);
static void ngx_http_tee_gateway_cleanup(void *data);

static ngx_int_t ngx_http_tee_gateway_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_tee_gateway_scheme_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_tee_gateway_add_variables(ngx_conf_t *cf);
static void *ngx_http_tee_gateway_create_main_conf(ngx_conf_t *cf);
static void *ngx_http_tee_gateway_create_loc_conf(ngx_conf_t *cf);
static char *ngx_http_tee_gateway_merge_loc_conf(ngx_conf_t *cf,
    void *parent, void *child);
static char *ngx_http_tee_gateway_check_conf(ngx_conf_t *cf,
    ngx_http_tee_gateway_loc_conf_t *conf);
static char *ngx_http_tee_gateway(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_tee_gateway_target(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_tee_gateway_replay(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_tee_gateway_padding(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static ngx_int_t ngx_http_tee_gateway_init(ngx_conf_t *cf);


static ngx_conf_enum_t  ngx_http_tee_gateway_profiles[] = {
    { ngx_string("rfc9458"), NGX_HTTP_TEE_RFC9458 },
    { ngx_string("opengradient"), NGX_HTTP_TEE_OPENGRADIENT },
    { ngx_null_string, 0 }
};


static ngx_command_t  ngx_http_tee_gateway_commands[] = {

    { ngx_string("tee_gateway"),
      NGX_HTTP_LOC_CONF|NGX_CONF_TAKE12,
      ngx_http_tee_gateway,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("tee_gateway_target"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_tee_gateway_target,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("tee_gateway_replay"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_tee_gateway_replay,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("tee_gateway_padding"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_tee_gateway_padding,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_tee_gateway_loc_conf_t, padding),
      NULL },

    { ngx_string("tee_gateway_max_body"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_off_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_tee_gateway_loc_conf_t, max_body),
      NULL },

    { ngx_string("tee_gateway_buffer_size"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_size_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_tee_gateway_loc_conf_t, buffer),
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_tee_gateway_module_ctx = {
    ngx_http_tee_gateway_add_variables,    /* preconfiguration */
    ngx_http_tee_gateway_init,             /* postconfiguration */

    ngx_http_tee_gateway_create_main_conf, /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_http_tee_gateway_create_loc_conf,  /* create location configuration */
    ngx_http_tee_gateway_merge_loc_conf    /* merge location configuration */
};


ngx_module_t  ngx_http_tee_gateway_module = {
    NGX_MODULE_V1,
    &ngx_http_tee_gateway_module_ctx,      /* module context */
    ngx_http_tee_gateway_commands,         /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    NULL,                                  /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    NULL,                                  /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static ngx_http_variable_t  ngx_http_tee_gateway_vars[] = {

    { ngx_string("tee_gateway_status"), NULL, ngx_http_tee_gateway_variable,
      0, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("tee_gateway_key_id"), NULL, ngx_http_tee_gateway_variable,
      1, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("tee_gateway_scheme"), NULL,
      ngx_http_tee_gateway_scheme_variable, 0, NGX_HTTP_VAR_NOCACHEABLE, 0 },

      ngx_http_null_variable
};


static ngx_int_t
ngx_http_tee_gateway_handler(ngx_http_request_t *r)
{
    ngx_int_t                         rc;
    ngx_uint_t                        type;
    ngx_http_tee_gateway_ctx_t       *ctx;
    ngx_http_tee_gateway_loc_conf_t  *glcf;

    glcf = ngx_http_get_module_loc_conf(r, ngx_http_tee_gateway_module);

    if (!glcf->enable || r != r->main) {
        return NGX_DECLINED;
    }

    ctx = ngx_http_tee_gateway_get_ctx(r);

    if (ctx && ctx->opened) {
        return ngx_http_tee_gateway_refuse(r, glcf,
                                           NGX_HTTP_TEE_GATEWAY_TARGET,
                                           NGX_HTTP_FORBIDDEN, "nested",
                                           "a sealed request must not ask "
                                           "for a gateway");
    }

    if ((r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD))
        && ngx_http_tee_keys_enabled(r))
    {
        return NGX_DECLINED;
    }

    ngx_http_tee_count(NGX_HTTP_TEE_GATEWAY_REQUESTS);

    type = NGX_HTTP_TEE_NO_TYPE;

    rc = ngx_http_tee_gateway_check(r, glcf, &type);

    if (rc != NGX_OK) {
        return rc;
    }

    if (ctx == NULL) {
        ctx = ngx_http_tee_gateway_create_ctx(r, glcf);
        if (ctx == NULL) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }

    ctx->chunked = (type == NGX_HTTP_TEE_CHUNKED);

    return ngx_http_tee_gateway_read(r, ctx);
}


static ngx_int_t
ngx_http_tee_gateway_check(ngx_http_request_t *r,
    ngx_http_tee_gateway_loc_conf_t *glcf, ngx_uint_t *type)
{
    static ngx_str_t  content_encoding = ngx_string("content-encoding");

    if (r->method != NGX_HTTP_POST) {
        return ngx_http_tee_gateway_not_allowed(r, glcf);
    }

    if (ngx_http_tee_early_data(r)) {
        return ngx_http_tee_gateway_refuse(r, glcf,
                                           NGX_HTTP_TEE_GATEWAY_EARLY,
                                           NGX_HTTP_TEE_TOO_EARLY,
                                           "early_data",
                                           "a sealed request in TLS early "
                                           "data may be a replay; send it "
                                           "again");
    }

    /* OpenGradient's clients are not held to a type, and have one form */

    *type = glcf->profile == NGX_HTTP_TEE_OPENGRADIENT
            ? NGX_HTTP_TEE_WHOLE : ngx_http_tee_request_type(r);

    if (*type == NGX_HTTP_TEE_NO_TYPE
        || ngx_http_tee_field(&r->headers_in.headers, &content_encoding, 0))
    {
        return ngx_http_tee_gateway_refuse(r, glcf, NGX_HTTP_TEE_GATEWAY_TYPE,
                                           NGX_HTTP_UNSUPPORTED_MEDIA_TYPE,
                                           "media_type",
                                           "the content must be "
                                           "message/ohttp-req or "
                                           "message/ohttp-chunked-req, "
                                           "without Content-Encoding");
    }

    if (r->headers_in.content_length_n <= 0 && !r->headers_in.chunked) {
        return ngx_http_tee_gateway_refuse(r, glcf,
                                           NGX_HTTP_TEE_GATEWAY_EMPTY,
                                           NGX_HTTP_BAD_REQUEST, "no_content",
                                           "empty body");
    }

    if (r->headers_in.content_length_n > glcf->max_body) {
        return ngx_http_tee_gateway_refuse(r, glcf,
                                           NGX_HTTP_TEE_GATEWAY_LARGE,
                                           NGX_HTTP_REQUEST_ENTITY_TOO_LARGE,
                                           "too_large",
                                           "request body too large");
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_tee_gateway_not_allowed(ngx_http_request_t *r,
    ngx_http_tee_gateway_loc_conf_t *glcf)
{
    const char  *allow;

    allow = ngx_http_tee_keys_enabled(r) ? "GET, HEAD, POST" : "POST";

    if (ngx_http_tee_add_field(&r->headers_out.headers, "Allow", allow)
        == NULL)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_tee_gateway_refuse(r, glcf, NGX_HTTP_TEE_GATEWAY_METHOD,
                                       NGX_HTTP_NOT_ALLOWED, "method",
                                       "a sealed request is sent by POST");
}


ngx_int_t
ngx_http_tee_gateway_refuse(ngx_http_request_t *r,
    ngx_http_tee_gateway_loc_conf_t *glcf, ngx_http_tee_counter_e counter,
    ngx_uint_t status, const char *reason, const char *detail)
{
    ngx_int_t  rc;

    ngx_http_tee_count(counter);

    rc = ngx_http_tee_problem(r, status, reason, detail);

    if (glcf->profile == NGX_HTTP_TEE_OPENGRADIENT) {
        ngx_http_tee_problem_bare(r);
    }

    return rc;
}


static ngx_http_tee_gateway_ctx_t *
ngx_http_tee_gateway_create_ctx(ngx_http_request_t *r,
    ngx_http_tee_gateway_loc_conf_t *glcf)
{
    ngx_pool_cleanup_t          *cln;
    ngx_http_tee_gateway_ctx_t  *ctx;

    cln = ngx_pool_cleanup_add(r->pool, sizeof(ngx_http_tee_gateway_ctx_t));
    if (cln == NULL) {
        return NULL;
    }

    ctx = cln->data;
    ngx_memzero(ctx, sizeof(ngx_http_tee_gateway_ctx_t));

    ctx->request = r;
    ctx->conf = glcf;
    ctx->rc = TEE_OK;

    cln->handler = ngx_http_tee_gateway_cleanup;

    return ctx;
}


ngx_http_tee_gateway_ctx_t *
ngx_http_tee_gateway_get_ctx(ngx_http_request_t *r)
{
    ngx_pool_cleanup_t  *cln;

    for (cln = r->pool->cleanup; cln; cln = cln->next) {
        if (cln->handler == ngx_http_tee_gateway_cleanup) {
            return cln->data;
        }
    }

    return NULL;
}


/* Subrequests share the pool of their main request. */

static void
ngx_http_tee_gateway_cleanup(void *data)
{
    ngx_http_tee_gateway_ctx_t  *ctx = data;

    tee_ohttp_request_open_free(&ctx->open);
    tee_ohttp_exchange_wipe(&ctx->open.exchange);
    tee_ohttp_response_seal_free(&ctx->sealer);

    ngx_http_tee_held_free(&ctx->plain);
    ngx_http_tee_held_free(&ctx->held);
    ngx_http_tee_held_free(&ctx->event);

    if (ctx->body.data) {
        tee_wipe((u_char *) ctx->body.data, ctx->body.len);
        ngx_http_tee_alloc.free(NULL, (u_char *) ctx->body.data);
    }

    if (ctx->stage) {
        tee_wipe(ctx->stage, ctx->stage_size);
    }
}


static ngx_int_t
ngx_http_tee_gateway_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_http_tee_gateway_ctx_t  *ctx;

    ctx = ngx_http_tee_gateway_get_ctx(r);

    if (ctx == NULL || !ctx->opened || (data == 0 && ctx->status == 0)) {
        v->not_found = 1;
        return NGX_OK;
    }

    v->data = ngx_pnalloc(r->pool, NGX_INT_T_LEN);
    if (v->data == NULL) {
        return NGX_ERROR;
    }

    v->len = ngx_sprintf(v->data, "%ui",
                         data ? (ngx_uint_t) ctx->open.exchange.header.id
                              : ctx->status)
             - v->data;
    v->valid = 1;
    v->no_cacheable = 1;
    v->not_found = 0;

    return NGX_OK;
}


/* $scheme is that of the connection; this, that of the sealed request. */

static ngx_int_t
ngx_http_tee_gateway_scheme_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_http_tee_gateway_ctx_t  *ctx;

    ctx = ngx_http_tee_gateway_get_ctx(r);

    if (ctx == NULL || ctx->origin.len == 0) {
        v->not_found = 1;
        return NGX_OK;
    }

    v->len = ctx->origin.data[4] == 's' ? 5 : 4;
    v->data = ctx->origin.data;
    v->valid = 1;
    v->no_cacheable = 1;
    v->not_found = 0;

    return NGX_OK;
}


static ngx_int_t
ngx_http_tee_gateway_add_variables(ngx_conf_t *cf)
{
    return ngx_http_tee_add_variables(cf, ngx_http_tee_gateway_vars);
}


static void *
ngx_http_tee_gateway_create_main_conf(ngx_conf_t *cf)
{
    return ngx_pcalloc(cf->pool, sizeof(ngx_http_tee_gateway_main_conf_t));
}


static void *
ngx_http_tee_gateway_create_loc_conf(ngx_conf_t *cf)
{
    ngx_http_tee_gateway_loc_conf_t  *conf;

    conf = ngx_pcalloc(cf->pool, sizeof(ngx_http_tee_gateway_loc_conf_t));
    if (conf == NULL) {
        return NULL;
    }

    /*
     * set by ngx_pcalloc():
     *
     *     conf->keys = NULL;
     *     conf->profile = 0;
     */

    conf->enable = NGX_CONF_UNSET;
    conf->targets = NGX_CONF_UNSET_PTR;
    conf->replay = NGX_CONF_UNSET_PTR;
    conf->padding = NGX_CONF_UNSET_SIZE;
    conf->max_body = NGX_CONF_UNSET;
    conf->buffer = NGX_CONF_UNSET_SIZE;

    return conf;
}


static char *
ngx_http_tee_gateway_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_http_tee_gateway_loc_conf_t  *prev = parent;
    ngx_http_tee_gateway_loc_conf_t  *conf = child;

    ngx_http_core_loc_conf_t          *clcf;
    ngx_http_tee_gateway_main_conf_t  *gmcf;

    if (conf->enable == NGX_CONF_UNSET && prev->enable == 1) {
        conf->keys = prev->keys;
        conf->profile = prev->profile;
    }

    ngx_conf_merge_value(conf->enable, prev->enable, 0);
    ngx_conf_merge_ptr_value(conf->targets, prev->targets, NULL);
    ngx_conf_merge_size_value(conf->padding, prev->padding,
                              NGX_HTTP_TEE_PADDING_OFF);
    ngx_conf_merge_off_value(conf->max_body, prev->max_body,
                             20 * 1024 * 1024);
    ngx_conf_merge_size_value(conf->buffer, prev->buffer, 1024 * 1024);

    if (conf->replay == NGX_CONF_UNSET_PTR) {
        conf->replay = prev->replay;
    }

    gmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_tee_gateway_module);
    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (clcf->log_subrequest) {
        gmcf->logged = clcf->name;
        gmcf->logged.data = gmcf->logged.data ? gmcf->logged.data
                                              : (u_char *) "";
    }

    if (!conf->enable) {
        return NGX_CONF_OK;
    }

    gmcf->enable = 1;

    return ngx_http_tee_gateway_check_conf(cf, conf);
}


static char *
ngx_http_tee_gateway_check_conf(ngx_conf_t *cf,
    ngx_http_tee_gateway_loc_conf_t *conf)
{
    const char                *why;
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (conf->replay == NGX_CONF_UNSET_PTR) {
        conf->replay = ngx_http_tee_replay_default(cf);
        if (conf->replay == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    why = NULL;

    if (conf->max_body <= 0) {
        why = "\"tee_gateway_max_body\" must not be 0: what is opened is "
              "kept in memory";

    } else if (conf->buffer < TEE_OHTTP_CHUNK) {
        why = "\"tee_gateway_buffer_size\" must be 16k at least";

    } else if (conf->profile == NGX_HTTP_TEE_OPENGRADIENT
               && conf->padding != NGX_HTTP_TEE_PADDING_OFF)
    {
        why = "\"tee_gateway_padding\" needs BHTTP, which the opengradient "
              "profile does not have";
    }

    if (why) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "tee_gateway in location \"%V\": %s", &clcf->name, why);
        return NGX_CONF_ERROR;
    }

    /* we count for ourselves: the outer content, not the inner one */

    clcf->client_max_body_size = 0;

    return NGX_CONF_OK;
}


static char *
ngx_http_tee_gateway(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_tee_gateway_loc_conf_t  *glcf = conf;

    char             *rv;
    ngx_str_t        *value;
    ngx_uint_t        i;
    ngx_conf_enum_t  *e;

    if (glcf->enable != NGX_CONF_UNSET) {
        return "is duplicate";
    }

    value = cf->args->elts;
    glcf->enable = 1;

    if (cf->args->nelts == 3) {
        e = ngx_http_tee_gateway_profiles;

        for (i = 0; e[i].name.len; i++) {
            if (value[2].len == e[i].name.len + sizeof("profile=") - 1
                && ngx_strncmp(value[2].data, "profile=", 8) == 0
                && ngx_strncmp(value[2].data + 8, e[i].name.data,
                               e[i].name.len)
                   == 0)
            {
                break;
            }
        }

        if (e[i].name.len == 0) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid parameter \"%V\", use "
                               "\"profile=rfc9458\" or "
                               "\"profile=opengradient\"",
                               &value[2]);
            return NGX_CONF_ERROR;
        }

        glcf->profile = e[i].value;
    }

    glcf->keys = ngx_http_tee_gateway_keys_find(cf, &value[1]);

    if (glcf->keys == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "no \"tee_gateway_keys %V\" block before this line",
                           &value[1]);
        return NGX_CONF_ERROR;
    }

    rv = ngx_http_tee_gateway_keys_use(glcf->keys, glcf->profile);

    if (rv != NGX_CONF_OK) {
        return rv;
    }

    ngx_http_tee_problem_location(cf);

    return ngx_http_tee_counters_add(cf) == NGX_OK ? NGX_CONF_OK
                                                   : NGX_CONF_ERROR;
}


static char *
ngx_http_tee_gateway_target(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_tee_gateway_loc_conf_t  *glcf = conf;

    tee_str_t      path;
    ngx_str_t     *value;
    ngx_uint_t     i;
    tee_target_t  *target;

    static tee_str_t  root = tee_string("/");

    if (glcf->targets == NGX_CONF_UNSET_PTR) {
        glcf->targets = ngx_array_create(cf->pool, 4, sizeof(tee_target_t));
        if (glcf->targets == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    value = cf->args->elts;

    for (i = 1; i == 1 || i < cf->args->nelts; i++) {

        if (i == 1 && cf->args->nelts > 2) {
            continue;
        }

        path = (i == 1) ? root : ngx_http_tee_str(&value[i]);

        target = ngx_array_push(glcf->targets);
        if (target == NULL) {
            return NGX_CONF_ERROR;
        }

        if (tee_target_parse(value[1].data, value[1].len, path, target)
            != TEE_OK)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid target \"%V\", use "
                               "\"[http://|https://]host[:port] [/path ...]\"",
                               i == 1 ? &value[1] : &value[i]);
            return NGX_CONF_ERROR;
        }
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_tee_gateway_replay(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_tee_gateway_loc_conf_t  *glcf = conf;

    ngx_str_t  *value;

    if (glcf->replay != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (cf->args->nelts == 2 && ngx_strcmp(value[1].data, "off") == 0) {
        glcf->replay = NULL;
        return NGX_CONF_OK;
    }

    glcf->replay = ngx_http_tee_replay_conf(cf);

    return glcf->replay ? NGX_CONF_OK : NGX_CONF_ERROR;
}


static char *
ngx_http_tee_gateway_padding(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_tee_gateway_loc_conf_t  *glcf = conf;

    ssize_t     size;
    ngx_str_t  *value;

    if (glcf->padding != NGX_CONF_UNSET_SIZE) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "off") == 0) {
        glcf->padding = NGX_HTTP_TEE_PADDING_OFF;
        return NGX_CONF_OK;
    }

    if (ngx_strcmp(value[1].data, "bucket") == 0) {
        glcf->padding = NGX_HTTP_TEE_PADDING_BUCKET;
        return NGX_CONF_OK;
    }

    size = ngx_parse_size(&value[1]);

    if (size < 16 || size > 16 * 1024 * 1024) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid value \"%V\", use \"off\", \"bucket\" or "
                           "the size of a block from 16 to 16m",
                           &value[1]);
        return NGX_CONF_ERROR;
    }

    glcf->padding = size;

    return NGX_CONF_OK;
}


/* After access control and limits, before the content handler; and before
 * everybody else who logs. */

static ngx_int_t
ngx_http_tee_gateway_init(ngx_conf_t *cf)
{
    ngx_http_tee_gateway_main_conf_t  *gmcf;

    gmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_tee_gateway_module);

    if (gmcf->enable && gmcf->logged.data) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "tee_gateway: \"log_subrequest\" in location \"%V\" "
                      "would log what was sealed", &gmcf->logged);
        return NGX_ERROR;
    }

    if (ngx_http_tee_add_handler(cf, NGX_HTTP_PRECONTENT_PHASE,
                                 ngx_http_tee_gateway_handler)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_tee_add_handler(cf, NGX_HTTP_LOG_PHASE,
                                    ngx_http_tee_gateway_log);
}
