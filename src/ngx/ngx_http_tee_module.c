
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <ngx_http_tee.h>


typedef struct {
    ngx_shm_zone_t    *counters;
} ngx_http_tee_main_conf_t;


typedef struct {
    ngx_list_t         headers;            /* of the request as it came */
    unsigned           hidden:1;
} ngx_http_tee_ctx_t;


static void *ngx_http_tee_pool_alloc(void *ctx, size_t size);
static void ngx_http_tee_pool_free(void *ctx, void *p);
static ngx_int_t ngx_http_tee_counters_init(ngx_shm_zone_t *zone, void *data);
static void *ngx_http_tee_create_main_conf(ngx_conf_t *cf);


static ngx_http_module_t  ngx_http_tee_module_ctx = {
    NULL,                                  /* preconfiguration */
    NULL,                                  /* postconfiguration */

    ngx_http_tee_create_main_conf,         /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    NULL,                                  /* create location configuration */
    NULL                                   /* merge location configuration */
};


ngx_module_t  ngx_http_tee_module = {
    NGX_MODULE_V1,
    &ngx_http_tee_module_ctx,              /* module context */
    NULL,                                  /* module directives */
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


const ngx_http_tee_counter_name_t
    ngx_http_tee_counter_names[NGX_HTTP_TEE_COUNTERS] =
{
    { "upstream", "requests" },
    { "upstream", "unknown_tee" },
    { "upstream", "missing_tee_id" },
    { "upstream", "registry_empty" },
    { "upstream", "registry_stale" },
    { "upstream", "no_live_tee" },
    { "upstream", "peer_failed" },
    { "upstream", "plain_http" },

    { "pin", "handshakes" },
    { "pin", "resumed" },
    { "pin", "reused" },
    { "pin", "mismatch" },
    { "pin", "expired" },
    { "pin", "unverified" },
    { "pin", "closed" },

    { "relay", "requests" },
    { "relay", "method" },
    { "relay", "media_type" },
    { "relay", "no_content" },
    { "relay", "early_data" },
    { "relay", "billed" },
    { "relay", "bad_frame" },

    { "gateway", "requests" },
    { "gateway", "opened" },
    { "gateway", "responses" },
    { "gateway", "method" },
    { "gateway", "media_type" },
    { "gateway", "no_content" },
    { "gateway", "too_large" },
    { "gateway", "early_data" },
    { "gateway", "unknown_key" },
    { "gateway", "undecryptable" },
    { "gateway", "malformed" },
    { "gateway", "target" },
    { "gateway", "expect" },
    { "gateway", "date" },
    { "gateway", "replay" },
    { "gateway", "replay_full" },
    { "gateway", "replay_evicted" },
    { "gateway", "replay_away" },
    { "gateway", "broken" },
    { "gateway", "keys" },

    { "sign", "requests" },
    { "sign", "signed" },
    { "sign", "unsigned" },
    { "sign", "refused" },
    { "sign", "busy" },

    { "verify", "requests" },
    { "verify", "verified" },
    { "verify", "error" },
    { "verify", "unverifiable" },
    { "verify", "busy" },
    { "verify", "members" },
    { "verify", "tee_id" },
    { "verify", "request_hash" },
    { "verify", "output_hash" },
    { "verify", "signature" },
    { "verify", "stale" },
    { "verify", "malformed" },
    { "verify", "too_large" },

    { "client", "requests" },
    { "client", "sealed" },
    { "client", "opened" },
    { "client", "bad_request" },
    { "client", "no_tee" },
    { "client", "no_credential" },
    { "client", "relay_errors" },
    { "client", "retries" },
    { "client", "broken" }
};


/* malloc(), so that threads may use it; ngx_alloc() would log. */

const tee_alloc_t  ngx_http_tee_alloc = {
    ngx_http_tee_pool_alloc,
    ngx_http_tee_pool_free,
    NULL
};


/* In shared memory, set by each worker's cycle. */

static ngx_atomic_t  *ngx_http_tee_counters;


static void *
ngx_http_tee_pool_alloc(void *ctx, size_t size)
{
    return malloc(size);
}


static void
ngx_http_tee_pool_free(void *ctx, void *p)
{
    free(p);
}


ngx_int_t
ngx_http_tee_counters_add(ngx_conf_t *cf)
{
    ngx_str_t                  name;
    ngx_http_tee_main_conf_t  *tmcf;

    tmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_tee_module);

    if (tmcf->counters) {
        return NGX_OK;
    }

    ngx_str_set(&name, "tee_counters:" NGX_HTTP_TEE_VERSION);

    tmcf->counters = ngx_shared_memory_add(cf, &name, 8 * ngx_pagesize,
                                           &ngx_http_tee_module);
    if (tmcf->counters == NULL) {
        return NGX_ERROR;
    }

    tmcf->counters->init = ngx_http_tee_counters_init;

    return NGX_OK;
}


static ngx_int_t
ngx_http_tee_counters_init(ngx_shm_zone_t *zone, void *data)
{
    ngx_slab_pool_t  *shpool;

    shpool = (ngx_slab_pool_t *) zone->shm.addr;

    if (data == NULL && !zone->shm.exists) {
        shpool->data = ngx_slab_calloc(shpool, NGX_HTTP_TEE_COUNTERS
                                               * sizeof(ngx_atomic_t));
        if (shpool->data == NULL) {
            return NGX_ERROR;
        }
    }

    zone->data = shpool->data;
    ngx_http_tee_counters = shpool->data;

    return NGX_OK;
}


void
ngx_http_tee_count(ngx_http_tee_counter_e counter)
{
    if (ngx_http_tee_counters) {
        (void) ngx_atomic_fetch_add(&ngx_http_tee_counters[counter], 1);
    }
}


ngx_atomic_uint_t
ngx_http_tee_counted(ngx_uint_t counter)
{
    return ngx_http_tee_counters ? ngx_http_tee_counters[counter] : 0;
}


tee_str_t
ngx_http_tee_str(ngx_str_t *s)
{
    tee_str_t  str;

    str.len = s->len;
    str.data = s->data;

    return str;
}


/* 64 hexadecimal digits in any case, with or without 0x, blanks around it. */

ngx_int_t
ngx_http_tee_parse_id(ngx_str_t *s, u_char id[32])
{
    u_char     *p, *last;
    ngx_int_t   n;
    ngx_uint_t  i;

    p = s->data;
    last = s->data + s->len;

    while (p < last && (*p == ' ' || *p == '\t')) {
        p++;
    }

    while (p < last && (last[-1] == ' ' || last[-1] == '\t')) {
        last--;
    }

    if (last - p == 66 && p[0] == '0' && (p[1] | 0x20) == 'x') {
        p += 2;
    }

    if (last - p != 64) {
        return NGX_ERROR;
    }

    for (i = 0; i < 32; i++, p += 2) {
        n = ngx_hextoi(p, 2);

        if (n == NGX_ERROR) {
            return NGX_ERROR;
        }

        id[i] = (u_char) n;
    }

    return NGX_OK;
}


/* A module of this nginx, built in or loaded, or NULL: some may be left out. */

ngx_module_t *
ngx_http_tee_find_module(ngx_conf_t *cf, const char *name)
{
    ngx_uint_t  i;

    for (i = 0; cf->cycle->modules[i]; i++) {
        if (ngx_strcmp(cf->cycle->modules[i]->name, name) == 0) {
            return cf->cycle->modules[i];
        }
    }

    return NULL;
}


/*
 * Other modules' location configurations are private to them, but their
 * directive tables say where each simple value is.  Answers a pointer to the
 * value of this location, or NULL if there is no such directive or it is not
 * of the simple kind.
 */

void *
ngx_http_tee_conf_value(ngx_conf_t *cf, const char *name,
    const char *directive)
{
    u_char         *conf;
    ngx_module_t   *module;
    ngx_command_t  *cmd;

    module = ngx_http_tee_find_module(cf, name);

    if (module == NULL) {
        return NULL;
    }

    for (cmd = module->commands; cmd && cmd->name.len; cmd++) {

        if (ngx_strcmp(cmd->name.data, directive) != 0) {
            continue;
        }

        if (cmd->conf != NGX_HTTP_LOC_CONF_OFFSET
            || (cmd->set != ngx_conf_set_flag_slot
                && cmd->set != ngx_conf_set_enum_slot
                && cmd->set != ngx_conf_set_str_slot
                && cmd->set != ngx_conf_set_keyval_slot
                && cmd->set != ngx_http_set_complex_value_slot))
        {
            return NULL;
        }

        conf = ((ngx_http_conf_ctx_t *) cf->ctx)->loc_conf[module->ctx_index];

        return conf + cmd->offset;
    }

    return NULL;
}


/*
 * Between these two calls nginx's own modules see another list of fields of
 * the request.
 */

ngx_int_t
ngx_http_tee_headers_hide(ngx_http_request_t *r, ngx_list_t *headers)
{
    ngx_http_tee_ctx_t  *ctx;

    ctx = ngx_pcalloc(r->pool, sizeof(ngx_http_tee_ctx_t));
    if (ctx == NULL) {
        return NGX_ERROR;
    }

    ngx_http_set_ctx(r, ctx, ngx_http_tee_module);

    /* a list of one part points into itself */

    ctx->hidden = 1;
    ctx->headers = r->headers_in.headers;
    r->headers_in.headers = *headers;

    if (headers->last == &headers->part) {
        r->headers_in.headers.last = &r->headers_in.headers.part;
    }

    return NGX_OK;
}


ngx_uint_t
ngx_http_tee_headers_restore(ngx_http_request_t *r)
{
    ngx_http_tee_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_tee_module);

    if (ctx == NULL || !ctx->hidden) {
        return 0;
    }

    ctx->hidden = 0;
    r->headers_in.headers = ctx->headers;

    return 1;
}


ngx_int_t
ngx_http_tee_add_variables(ngx_conf_t *cf, ngx_http_variable_t *vars)
{
    ngx_http_variable_t  *var, *v;

    for (v = vars; v->name.len; v++) {
        var = ngx_http_add_variable(cf, &v->name, v->flags);
        if (var == NULL) {
            return NGX_ERROR;
        }

        var->get_handler = v->get_handler;
        var->data = v->data;
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_tee_add_handler(ngx_conf_t *cf, ngx_uint_t phase,
    ngx_http_handler_pt handler)
{
    ngx_array_t                *handlers;
    ngx_http_handler_pt        *h;
    ngx_http_core_main_conf_t  *cmcf;

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    handlers = &cmcf->phases[phase].handlers;

    h = ngx_array_push(handlers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    if (phase == NGX_HTTP_LOG_PHASE) {
        h = handlers->elts;
        ngx_memmove(h + 1, h, (handlers->nelts - 1) * sizeof(*h));
    }

    *h = handler;

    return NGX_OK;
}


void
ngx_http_tee_close(ngx_connection_t *c)
{
    ngx_pool_t  *pool;

    if (c->ssl) {
        c->ssl->no_wait_shutdown = 1;
        c->ssl->no_send_shutdown = 1;
        (void) ngx_ssl_shutdown(c);
    }

    pool = c->pool;

    ngx_close_connection(c);

    if (pool) {
        ngx_destroy_pool(pool);
    }
}


static void *
ngx_http_tee_create_main_conf(ngx_conf_t *cf)
{
    return ngx_pcalloc(cf->pool, sizeof(ngx_http_tee_main_conf_t));
}
