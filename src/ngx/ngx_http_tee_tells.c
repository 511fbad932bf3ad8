
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <ngx_http_tee.h>
#include <tee_text.h>


/*
 * What the configuration of a relay's or client's location adds to a request:
 * nothing that is about whoever asks, or what, may be in it.
 */


static ngx_uint_t ngx_http_tee_may_tell(ngx_conf_t *cf, ngx_str_t *name);
static ngx_uint_t ngx_http_tee_captured(ngx_conf_t *cf,
    ngx_http_variable_t *v);


/* Of nginx's own variables, those that say nothing of who asks, and what. */

static const char  *ngx_http_tee_harmless[] = {
    "hostname",
    "nginx_version",
    "pid",
    "proxy_host",
    "proxy_port",
    "server_name",
    "tee_client_endpoint",
    "tee_client_id",
    "tee_client_pcr_hash",
    "tee_endpoint",
    "tee_id",
    "tee_payment_address",
    "tee_pcr_hash",
    "tee_pin",
    "tee_registry_age",
    "tee_registry_version",
    NULL
};


/* Those of modules are the first; of the configuration that is being read. */

static ngx_uint_t  ngx_http_tee_own_variables;


void
ngx_http_tee_tells_init(ngx_conf_t *cf)
{
    ngx_http_core_main_conf_t  *cmcf;

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    ngx_http_tee_own_variables = cmcf->variables_keys->keys.nelts;
}


ngx_uint_t
ngx_http_tee_tells(ngx_conf_t *cf, ngx_str_t *value)
{
    u_char     *p, *last;
    ngx_str_t   name;

    last = value->data + value->len;

    for (p = value->data; p < last; p++) {

        if (*p != '$') {
            continue;
        }

        p++;

        if (p < last && *p == '{') {
            p++;
        }

        name.data = p;

        while (p < last
               && (*p == '_' || (*p >= '0' && *p <= '9')
                   || (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z')))
        {
            p++;
        }

        name.len = p - name.data;
        p--;

        if (!ngx_http_tee_may_tell(cf, &name)) {
            return 1;
        }
    }

    return 0;
}


/* Those that the configuration makes are not looked into. */

static ngx_uint_t
ngx_http_tee_may_tell(ngx_conf_t *cf, ngx_str_t *name)
{
    ngx_uint_t                  i;
    const char                **harmless;
    ngx_hash_key_t             *key;
    ngx_http_variable_t        *prefix;
    ngx_http_core_main_conf_t  *cmcf;

    for (harmless = ngx_http_tee_harmless; *harmless; harmless++) {
        if (tee_text_is_nocase(ngx_http_tee_str(name), *harmless)) {
            return 1;
        }
    }

    /* a part of the URI */

    if (name->len == 0 || (name->data[0] >= '0' && name->data[0] <= '9')) {
        return 0;
    }

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    prefix = cmcf->prefix_variables.elts;

    for (i = 0; i < cmcf->prefix_variables.nelts; i++) {
        if (name->len >= prefix[i].name.len
            && ngx_strncasecmp(name->data, prefix[i].name.data,
                               prefix[i].name.len)
               == 0)
        {
            return 0;
        }
    }

    key = cmcf->variables_keys->keys.elts;

    for (i = 0; i < cmcf->variables_keys->keys.nelts; i++) {

        if (name->len == key[i].key.len
            && ngx_strncasecmp(name->data, key[i].key.data, name->len) == 0)
        {
            break;
        }
    }

    if (i == cmcf->variables_keys->keys.nelts) {
        return 1;
    }

    return i >= ngx_http_tee_own_variables
           && !ngx_http_tee_captured(cf, key[i].value);
}


/* A part of the URI, or of what "map" and "if" have looked at, that a regular
 * expression has given a name: they share a handler, which has none. */

static ngx_uint_t
ngx_http_tee_captured(ngx_conf_t *cf, ngx_http_variable_t *v)
{
#if (NGX_PCRE)
    ngx_str_t             name;
    ngx_regex_compile_t   rc;
    ngx_http_variable_t  *captured;
    u_char                errstr[NGX_MAX_CONF_ERRSTR];

    ngx_memzero(&rc, sizeof(ngx_regex_compile_t));

    ngx_str_set(&rc.pattern, "(?<tee_captured>)");
    rc.err.len = NGX_MAX_CONF_ERRSTR;
    rc.err.data = errstr;

    ngx_str_set(&name, "tee_captured");

    if (ngx_http_regex_compile(cf, &rc) == NULL) {
        return 1;
    }

    captured = ngx_http_add_variable(cf, &name, NGX_HTTP_VAR_CHANGEABLE);

    return captured == NULL || v->get_handler == captured->get_handler;
#else
    return 0;
#endif
}


const char *
ngx_http_tee_shows(ngx_http_upstream_conf_t *ucf)
{
    ngx_uint_t                 i;
    ngx_http_complex_value_t  *value[3];

    value[0] = ucf->ssl_name;
    value[1] = ucf->ssl_certificate;
    value[2] = ucf->ssl_certificate_key;

    for (i = 0; i < 3; i++) {
        if (value[i] && value[i]->lengths) {
            return "\"proxy_ssl_name\" and \"proxy_ssl_certificate\" must "
                   "not have variables";
        }
    }

    if (ucf->local && ucf->local->value) {
        return "\"proxy_bind\" must not have variables";
    }

    return NULL;
}
