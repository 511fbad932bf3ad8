
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <ngx_http_tee.h>
#include <ngx_http_tee_sign.h>
#include <ngx_http_tee_threads.h>
#include <tee_keccak.h>


/*
 * tee_sign: the keys, and the request phase.  What was asked is hashed before
 * the model server gets it.
 */


typedef struct {
    ngx_array_t        keys;               /* ngx_http_tee_sign_key_t * */
} ngx_http_tee_sign_main_conf_t;


static ngx_int_t ngx_http_tee_sign_handler(ngx_http_request_t *r);
static void *ngx_http_tee_sign_create_main_conf(ngx_conf_t *cf);
static void *ngx_http_tee_sign_create_loc_conf(ngx_conf_t *cf);
static char *ngx_http_tee_sign_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child);
static char *ngx_http_tee_sign_key(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_tee_sign_key_load(ngx_conf_t *cf,
    ngx_http_tee_sign_key_t *key, ngx_str_t *path);
static ngx_http_tee_sign_key_t *ngx_http_tee_sign_key_find(ngx_conf_t *cf,
    ngx_str_t *name);
static void ngx_http_tee_sign_key_cleanup(void *data);
static char *ngx_http_tee_sign(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static ngx_int_t ngx_http_tee_sign_init(ngx_conf_t *cf);
static ngx_int_t ngx_http_tee_sign_init_process(ngx_cycle_t *cycle);


static ngx_conf_enum_t  ngx_http_tee_sign_unsigned[] = {
    { ngx_string("errors"), NGX_HTTP_TEE_UNSIGNED_ERRORS },
    { ngx_string("pass"), NGX_HTTP_TEE_UNSIGNED_PASS },
    { ngx_string("refuse"), NGX_HTTP_TEE_UNSIGNED_REFUSE },
    { ngx_null_string, 0 }
};


static ngx_command_t  ngx_http_tee_sign_commands[] = {

    { ngx_string("tee_sign_key"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE23,
      ngx_http_tee_sign_key,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("tee_sign"),
      NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_tee_sign,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("tee_sign_endpoint"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_enum_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_tee_sign_loc_conf_t, asked.endpoint),
      &ngx_http_tee_endpoints },

    { ngx_string("tee_sign_fields"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_tee_asked_fields,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_tee_sign_loc_conf_t, asked),
      NULL },

    { ngx_string("tee_sign_buffer"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_size_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_tee_sign_loc_conf_t, buffer),
      NULL },

    { ngx_string("tee_sign_unsigned"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_enum_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_tee_sign_loc_conf_t, refuse),
      &ngx_http_tee_sign_unsigned },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_tee_sign_module_ctx = {
    NULL,                                  /* preconfiguration */
    ngx_http_tee_sign_init,                /* postconfiguration */

    ngx_http_tee_sign_create_main_conf,    /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_http_tee_sign_create_loc_conf,     /* create location configuration */
    ngx_http_tee_sign_merge_loc_conf       /* merge location configuration */
};


ngx_module_t  ngx_http_tee_sign_module = {
    NGX_MODULE_V1,
    &ngx_http_tee_sign_module_ctx,         /* module context */
    ngx_http_tee_sign_commands,            /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    ngx_http_tee_sign_init_process,        /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    NULL,                                  /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static ngx_int_t
ngx_http_tee_sign_handler(ngx_http_request_t *r)
{
    ngx_http_tee_sign_ctx_t       *ctx;
    ngx_http_tee_sign_loc_conf_t  *slcf;

    slcf = ngx_http_get_module_loc_conf(r, ngx_http_tee_sign_module);

    if (slcf->key == NULL || r != r->main) {
        return NGX_DECLINED;
    }

    ctx = ngx_http_get_module_ctx(r, ngx_http_tee_sign_module);

    if (ctx == NULL) {
        ngx_http_tee_count(NGX_HTTP_TEE_SIGN_REQUESTS);

        if (ngx_http_tee_jobs_busy(r)) {
            ngx_http_tee_count(NGX_HTTP_TEE_SIGN_BUSY);
            return ngx_http_tee_problem(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                                        "busy", "more answers are waiting to "
                                        "be signed than may; try later");
        }

        ctx = ngx_pcalloc(r->pool, sizeof(ngx_http_tee_sign_ctx_t));

        if (ctx == NULL || ngx_http_tee_asked_plain(r) != NGX_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        ctx->conf = slcf;

        /* behind an error_page it would still be that of the error, and the
         * answer would look like one of nginx's own */

        r->err_status = 0;

        ngx_http_set_ctx(r, ctx, ngx_http_tee_sign_module);
    }

    return ngx_http_tee_asked(r, &slcf->asked, &ctx->asked);
}


static void *
ngx_http_tee_sign_create_main_conf(ngx_conf_t *cf)
{
    ngx_http_tee_sign_main_conf_t  *smcf;

    smcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_tee_sign_main_conf_t));
    if (smcf == NULL) {
        return NULL;
    }

    if (ngx_array_init(&smcf->keys, cf->pool, 2,
                       sizeof(ngx_http_tee_sign_key_t *))
        != NGX_OK)
    {
        return NULL;
    }

    return smcf;
}


static void *
ngx_http_tee_sign_create_loc_conf(ngx_conf_t *cf)
{
    ngx_http_tee_sign_loc_conf_t  *conf;

    conf = ngx_pcalloc(cf->pool, sizeof(ngx_http_tee_sign_loc_conf_t));
    if (conf == NULL) {
        return NULL;
    }

    conf->key = NGX_CONF_UNSET_PTR;
    conf->buffer = NGX_CONF_UNSET_SIZE;
    conf->refuse = NGX_CONF_UNSET_UINT;

    ngx_http_tee_asked_unset(&conf->asked);

    return conf;
}


static char *
ngx_http_tee_sign_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_http_tee_sign_loc_conf_t  *prev = parent;
    ngx_http_tee_sign_loc_conf_t  *conf = child;

    ngx_conf_merge_ptr_value(conf->key, prev->key, NULL);
    ngx_conf_merge_size_value(conf->buffer, prev->buffer, 16 * 1024 * 1024);
    ngx_conf_merge_uint_value(conf->refuse, prev->refuse,
                              NGX_HTTP_TEE_UNSIGNED_ERRORS);

    if (ngx_http_tee_asked_merge(cf, &prev->asked, &conf->asked) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    if (conf->key && ngx_http_tee_asked_check(cf, "tee_sign") != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_tee_sign_key(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_tee_sign_main_conf_t  *smcf = conf;

    char                      *rv;
    u_char                     id[32];
    ngx_str_t                 *value, s;
    ngx_pool_cleanup_t        *cln;
    ngx_http_tee_sign_key_t   *key, **slot;

    value = cf->args->elts;

    if (value[1].len == 0
        || ngx_strcmp(value[1].data, "off") == 0
        || ngx_http_tee_sign_key_find(cf, &value[1]))
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "signing key \"%V\": the name is empty, \"off\" or "
                           "a duplicate", &value[1]);
        return NGX_CONF_ERROR;
    }

    key = ngx_pcalloc(cf->pool, sizeof(ngx_http_tee_sign_key_t));
    cln = ngx_pool_cleanup_add(cf->pool, 0);
    slot = ngx_array_push(&smcf->keys);

    if (key == NULL || cln == NULL || slot == NULL) {
        return NGX_CONF_ERROR;
    }

    *slot = key;

    cln->handler = ngx_http_tee_sign_key_cleanup;
    cln->data = key;

    key->name = value[1];

    rv = ngx_http_tee_sign_key_load(cf, key, &value[2]);

    if (rv != NGX_CONF_OK || cf->args->nelts == 3) {
        return rv;
    }

    s = value[3];

    if (s.len > 3 && ngx_strncmp(s.data, "id=", 3) == 0) {
        s.data += 3;
        s.len -= 3;

        if (ngx_http_tee_parse_id(&s, id) == NGX_OK) {

            if (ngx_memcmp(id, key->id, 32) == 0) {
                return NGX_CONF_OK;
            }

            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "signing key \"%V\" is not that of the TEE "
                               "\"%V\"", &value[2], &s);
            return NGX_CONF_ERROR;
        }
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid parameter \"%V\", use \"id=\" with the id of "
                       "the TEE", &value[3]);

    return NGX_CONF_ERROR;
}


static char *
ngx_http_tee_sign_key_load(ngx_conf_t *cf, ngx_http_tee_sign_key_t *key,
    ngx_str_t *path)
{
    tee_rc_t     rc;
    ngx_str_t    pem;
    const char  *why;

    if (ngx_conf_full_name(cf->cycle, path, 1) != NGX_OK
        || ngx_http_tee_secret_read(cf, "signing key", path,
                                    NGX_HTTP_TEE_SECRET_MAX, &pem, NULL)
           != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    rc = tee_sig_key_read(ngx_http_tee_str(&pem), &key->key);

    ngx_http_tee_secret_free(pem.data);

    switch (rc) {

    case TEE_OK:
        tee_keccak256(tee_sig_key_public(key->key), key->id);
        return NGX_CONF_OK;

    case TEE_MALFORMED:
    case TEE_UNSUPPORTED:
        why = "must have one RSA key of 2048 to 8192 bits in PEM, without a "
              "password, and nothing else";
        break;

    case TEE_CRYPTO:
        why = "has two halves that do not belong together";
        break;

    default:
        why = "cannot be used";
        break;
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "signing key \"%V\" %s", path,
                       why);

    return NGX_CONF_ERROR;
}


static ngx_http_tee_sign_key_t *
ngx_http_tee_sign_key_find(ngx_conf_t *cf, ngx_str_t *name)
{
    ngx_uint_t                      i;
    ngx_http_tee_sign_key_t       **keys;
    ngx_http_tee_sign_main_conf_t  *smcf;

    smcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_tee_sign_module);

    keys = smcf->keys.elts;

    for (i = 0; i < smcf->keys.nelts; i++) {
        if (keys[i]->name.len == name->len
            && ngx_strncmp(keys[i]->name.data, name->data, name->len) == 0)
        {
            return keys[i];
        }
    }

    return NULL;
}


static void
ngx_http_tee_sign_key_cleanup(void *data)
{
    ngx_http_tee_sign_key_t  *key = data;

    tee_sig_key_free(key->key);

    key->key = NULL;
}


static char *
ngx_http_tee_sign(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_tee_sign_loc_conf_t  *slcf = conf;

    ngx_str_t  *value;

    if (slcf->key != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "off") == 0) {
        slcf->key = NULL;
        return NGX_CONF_OK;
    }

    slcf->key = ngx_http_tee_sign_key_find(cf, &value[1]);

    if (slcf->key == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "no \"tee_sign_key %V\" before this line",
                           &value[1]);
        return NGX_CONF_ERROR;
    }

    ngx_http_tee_problem_location(cf);

    return ngx_http_tee_counters_add(cf) == NGX_OK ? NGX_CONF_OK
                                                   : NGX_CONF_ERROR;
}


static ngx_int_t
ngx_http_tee_sign_init(ngx_conf_t *cf)
{
    return ngx_http_tee_add_handler(cf, NGX_HTTP_PRECONTENT_PHASE,
                                    ngx_http_tee_sign_handler);
}


/* Processes that serve no requests must not keep what they have inherited. */

static ngx_int_t
ngx_http_tee_sign_init_process(ngx_cycle_t *cycle)
{
    ngx_uint_t                       i;
    ngx_http_tee_sign_key_t        **keys;
    ngx_http_tee_sign_main_conf_t   *smcf;

    smcf = ngx_http_cycle_get_module_main_conf(cycle,
                                               ngx_http_tee_sign_module);

    if (smcf && ngx_process == NGX_PROCESS_HELPER) {
        keys = smcf->keys.elts;

        for (i = 0; i < smcf->keys.nelts; i++) {
            ngx_http_tee_sign_key_cleanup(keys[i]);
        }
    }

    return NGX_OK;
}
