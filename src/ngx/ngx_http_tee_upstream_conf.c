
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <ngx_http_tee.h>
#include <ngx_http_tee_upstream.h>


/* The tee_peers directive, and the check of locations that use it. */


static ngx_int_t ngx_http_tee_peers_parameter(ngx_conf_t *cf,
    ngx_http_tee_upstream_srv_conf_t *conf, ngx_str_t *value);


char *
ngx_http_tee_peers(ngx_conf_t *cf, ngx_command_t *cmd, void *data)
{
    ngx_http_tee_upstream_srv_conf_t  *conf = data;

    ngx_str_t                     *value;
    ngx_uint_t                     i;
    ngx_http_upstream_server_t    *server;
    ngx_http_upstream_srv_conf_t  *uscf;

    uscf = ngx_http_conf_get_module_srv_conf(cf, ngx_http_upstream_module);

    if (conf->registry_name.len) {
        return "is duplicate";
    }

    if (uscf->peer.init_upstream) {
        return "must come before \"keepalive\" and must be the only balancer";
    }

    value = cf->args->elts;

    if (value[1].len == 0) {
        return "needs the name of a registry";
    }

    conf->registry_name = value[1];
    conf->method = NGX_CONF_UNSET_UINT;
    conf->max_fails = 1;
    conf->fail_timeout = 10;

    for (i = 2; i < cf->args->nelts; i++) {

        if (ngx_http_tee_peers_parameter(cf, conf, &value[i]) != NGX_OK) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid parameter \"%V\"", &value[i]);
            return NGX_CONF_ERROR;
        }
    }

    if (conf->method == NGX_CONF_UNSET_UINT) {
        conf->method = NGX_HTTP_TEE_RANDOM;
    }

    /* nginx wants an upstream to have a server; nobody connects to it */

    server = ngx_array_push(uscf->servers);
    if (server == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_memzero(server, sizeof(ngx_http_upstream_server_t));
    server->down = 1;

    uscf->peer.init_upstream = ngx_http_tee_upstream_init_upstream;
    uscf->flags = NGX_HTTP_UPSTREAM_CREATE;

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_tee_peers_parameter(ngx_conf_t *cf,
    ngx_http_tee_upstream_srv_conf_t *conf, ngx_str_t *value)
{
    ngx_int_t                          n;
    ngx_str_t                          s;
    ngx_http_compile_complex_value_t   ccv;

    if (ngx_strncmp(value->data, "max_fails=", 10) == 0) {
        n = ngx_atoi(value->data + 10, value->len - 10);
        conf->max_fails = n;

        return n == NGX_ERROR ? NGX_ERROR : NGX_OK;
    }

    if (ngx_strncmp(value->data, "fail_timeout=", 13) == 0) {
        s.data = value->data + 13;
        s.len = value->len - 13;

        conf->fail_timeout = ngx_parse_time(&s, 1);

        return conf->fail_timeout == (time_t) NGX_ERROR ? NGX_ERROR : NGX_OK;
    }

    if (conf->method != NGX_CONF_UNSET_UINT) {
        return NGX_ERROR;
    }

    if (ngx_strcmp(value->data, "random") == 0) {
        conf->method = NGX_HTTP_TEE_RANDOM;
        return NGX_OK;
    }

    if (ngx_strcmp(value->data, "round_robin") == 0) {
        conf->method = NGX_HTTP_TEE_ROUND_ROBIN;
        return NGX_OK;
    }

    if (ngx_strncmp(value->data, "id=", 3) == 0) {
        conf->method = NGX_HTTP_TEE_ID;
        s.data = value->data + 3;
        s.len = value->len - 3;

    } else if (ngx_strncmp(value->data, "hash=", 5) == 0) {
        conf->method = NGX_HTTP_TEE_HASH;
        s.data = value->data + 5;
        s.len = value->len - 5;

    } else {
        return NGX_ERROR;
    }

    if (s.len == 0) {
        return NGX_ERROR;
    }

    conf->key = ngx_palloc(cf->pool, sizeof(ngx_http_complex_value_t));
    if (conf->key == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(&ccv, sizeof(ngx_http_compile_complex_value_t));

    ccv.cf = cf;
    ccv.value = &s;
    ccv.complex_value = conf->key;

    return ngx_http_compile_complex_value(&ccv);
}


/*
 * Pinning needs TLS.  What is seen here is refused at start; the rest, such
 * as variables in proxy_pass, is refused by each request.
 */

char *
ngx_http_tee_upstream_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child)
{
    ngx_uint_t                         i;
    ngx_module_t                      *module;
    ngx_http_core_loc_conf_t          *clcf;
    ngx_http_upstream_conf_t          *ucf;
    ngx_http_tee_upstream_srv_conf_t  *conf;

    static const char  *modules[] = {
        "ngx_http_proxy_module",
        "ngx_http_grpc_module",
        "ngx_http_uwsgi_module",
        NULL
    };

    for (i = 0; modules[i]; i++) {
        module = ngx_http_tee_find_module(cf, modules[i]);

        if (module == NULL) {
            continue;
        }

        /* the configuration of each begins with that of its upstream */

        ucf = ((ngx_http_conf_ctx_t *) cf->ctx)->loc_conf[module->ctx_index];

        if (ucf->upstream == NULL || ucf->upstream->srv_conf == NULL) {
            continue;
        }

        conf = ngx_http_conf_upstream_srv_conf(ucf->upstream,
                                               ngx_http_tee_upstream_module);

        if (conf->registry_name.len == 0 || (ucf->ssl && ucf->ssl->ctx)) {
            continue;
        }

        clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "tee_peers: location \"%V\" passes requests to "
                      "upstream \"%V\" without TLS: use https:// or "
                      "grpcs://, since certificates are pinned",
                      &clcf->name, &ucf->upstream->host);

        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}
