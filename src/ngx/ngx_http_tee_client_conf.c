
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <ngx_http_tee.h>
#include <ngx_http_tee_client_ctx.h>
#include <ngx_http_tee_threads.h>
#include <ngx_http_tee_upstream.h>
#include <ngx_http_tee_verify.h>
#include <tee_text.h>


/* The directives of tee_client, and the check of locations that use it. */


static ngx_uint_t ngx_http_tee_client_is_list(ngx_str_t *value);
static char *ngx_http_tee_client_source(ngx_conf_t *cf,
    ngx_http_tee_client_whom_t *whom, u_char *pcr, ngx_str_t *trusted);
static char *ngx_http_tee_client_lists(ngx_conf_t *cf,
    ngx_http_tee_client_whom_t *whom, ngx_str_t *trusted);
static char *ngx_http_tee_client_parameter(ngx_conf_t *cf,
    ngx_http_tee_client_whom_t *whom, ngx_str_t *value);
static ngx_int_t ngx_http_tee_client_complex(ngx_conf_t *cf, ngx_str_t *s,
    ngx_http_complex_value_t **cv);
static const char *ngx_http_tee_client_unsafe(
    ngx_http_tee_client_loc_conf_t *conf, ngx_http_upstream_conf_t *ucf,
    ngx_http_core_loc_conf_t *clcf);
static const char *ngx_http_tee_client_unsafe_name(
    ngx_http_upstream_conf_t *ucf);
static ngx_uint_t ngx_http_tee_client_tells(ngx_conf_t *cf, ngx_str_t *value);
static ngx_uint_t ngx_http_tee_client_may_tell(ngx_conf_t *cf,
    ngx_str_t *name);
static void ngx_http_tee_client_warn(ngx_conf_t *cf,
    ngx_http_upstream_conf_t *ucf, ngx_http_core_loc_conf_t *clcf);
static ngx_uint_t ngx_http_tee_client_here(ngx_http_upstream_srv_conf_t *us);
static ngx_uint_t ngx_http_tee_client_loopback(ngx_addr_t *addr);


/* Of nginx's own variables, those that say nothing of who asks, and what. */

static ngx_str_t  ngx_http_tee_client_harmless[] = {
    ngx_string("hostname"),
    ngx_string("msec"),
    ngx_string("nginx_version"),
    ngx_string("pid"),
    ngx_string("proxy_host"),
    ngx_string("proxy_port"),
    ngx_string("server_name"),
    ngx_string("tee_client_endpoint"),
    ngx_string("tee_client_id"),
    ngx_string("tee_client_pcr_hash"),
    ngx_string("time_iso8601"),
    ngx_string("time_local"),
    ngx_null_string
};


char *
ngx_http_tee_client(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_tee_client_loc_conf_t  *clcf = conf;

    char                        *rv;
    u_char                       pcr[32];
    ngx_str_t                   *value, s, trusted;
    ngx_uint_t                   i, has_pcr;
    ngx_http_tee_client_whom_t  *whom;

    if (clcf->whom != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (cf->args->nelts == 2 && ngx_strcmp(value[1].data, "off") == 0) {
        clcf->whom = NULL;
        ngx_http_tee_verify_answered_by(cf, NULL, NULL);
        return NGX_CONF_OK;
    }

    whom = ngx_pcalloc(cf->pool, sizeof(ngx_http_tee_client_whom_t));
    if (whom == NULL) {
        return NGX_CONF_ERROR;
    }

    whom->profile = NGX_CONF_UNSET_UINT;
    has_pcr = 0;
    ngx_str_null(&trusted);

    for (i = 2; i < cf->args->nelts; i++) {

        if (ngx_http_tee_client_is_list(&value[i])
            && ngx_http_tee_client_is_list(&value[1]))
        {
            continue;
        }

        if (ngx_strncmp(value[i].data, "pcr=", 4) == 0 && !has_pcr) {
            s.data = value[i].data + 4;
            s.len = value[i].len - 4;

            if (ngx_http_tee_parse_id(&s, pcr) != NGX_OK) {
                return "needs a PCR hash of 64 hexadecimal digits";
            }

            has_pcr = 1;
            continue;
        }

        if (ngx_strncmp(value[i].data, "trusted=", 8) == 0
            && value[i].len > 8 && trusted.len == 0)
        {
            trusted.data = value[i].data + 8;
            trusted.len = value[i].len - 8;
            continue;
        }

        rv = ngx_http_tee_client_parameter(cf, whom, &value[i]);

        if (rv != NGX_CONF_OK) {
            return rv;
        }
    }

    rv = ngx_http_tee_client_source(cf, whom, has_pcr ? pcr : NULL, &trusted);

    if (rv != NGX_CONF_OK) {
        return rv;
    }

    if (whom->keys && (whom->id || has_pcr)) {
        return "takes \"id\" and \"pcr\" with a registry only";
    }

    if (whom->profile == NGX_CONF_UNSET_UINT) {
        whom->profile = whom->keys ? NGX_HTTP_TEE_RFC9458
                                   : NGX_HTTP_TEE_OPENGRADIENT;
    }

    if (whom->chunked && whom->profile != NGX_HTTP_TEE_RFC9458) {
        return "takes \"chunked\" with \"profile=rfc9458\" only";
    }

    clcf->whom = whom;

    ngx_http_tee_problem_location(cf);
    ngx_http_tee_threads_use(cf);

    ngx_http_tee_verify_answered_by(cf, ngx_http_tee_client_answerer,
                                    ngx_http_tee_client_inner);

    return ngx_http_tee_counters_add(cf) == NGX_OK ? NGX_CONF_OK
                                                   : NGX_CONF_ERROR;
}


static ngx_uint_t
ngx_http_tee_client_is_list(ngx_str_t *value)
{
    return ngx_strncmp(value->data, "keys=", 5) == 0
           || ngx_strncmp(value->data, "keys_file=", 10) == 0;
}


static char *
ngx_http_tee_client_source(ngx_conf_t *cf, ngx_http_tee_client_whom_t *whom,
    u_char *pcr, ngx_str_t *trusted)
{
    ngx_str_t  *value;

    value = cf->args->elts;

    if (ngx_http_tee_client_is_list(&value[1])) {
        return ngx_http_tee_client_lists(cf, whom, trusted);
    }

    if (trusted->len) {
        return "takes \"trusted\" with \"keys\" only";
    }

    whom->choice = ngx_http_tee_client_choice(cf, &value[1], pcr);

    return whom->choice ? NGX_CONF_OK : NGX_CONF_ERROR;
}


static char *
ngx_http_tee_client_lists(ngx_conf_t *cf, ngx_http_tee_client_whom_t *whom,
    ngx_str_t *trusted)
{
    char                         *rv;
    ngx_str_t                    *value, s;
    ngx_uint_t                    i, j, urls;
    ngx_array_t                   lists;
    ngx_http_tee_client_list_t   *list, **have;

    if (ngx_array_init(&lists, cf->pool, cf->args->nelts,
                       sizeof(ngx_http_tee_client_list_t *))
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    value = cf->args->elts;
    urls = 0;

    for (i = 1; i < cf->args->nelts; i++) {
        urls += ngx_strncmp(value[i].data, "keys=", 5) == 0;
    }

    if (trusted->len && urls == 0) {
        return "takes \"trusted\" with \"keys\" only";
    }

    for (i = 1; i < cf->args->nelts; i++) {

        if (!ngx_http_tee_client_is_list(&value[i])) {
            continue;
        }

        s.data = (u_char *) ngx_strchr(value[i].data, '=') + 1;
        s.len = value[i].data + value[i].len - s.data;

        if (value[i].data[4] == '=') {
            rv = ngx_http_tee_client_list_url(cf, &s, trusted, &list);

        } else {
            rv = ngx_http_tee_client_list_file(cf, &s, &list);
        }

        if (rv != NGX_CONF_OK) {
            return rv;
        }

        have = lists.elts;

        for (j = 0; j < lists.nelts; j++) {
            if (have[j] == list) {
                return "has the same list of keys twice";
            }
        }

        have = ngx_array_push(&lists);
        if (have == NULL) {
            return NGX_CONF_ERROR;
        }

        *have = list;
    }

    whom->keys = ngx_http_tee_client_keys(cf, &lists);

    return whom->keys ? NGX_CONF_OK : NGX_CONF_ERROR;
}


static char *
ngx_http_tee_client_parameter(ngx_conf_t *cf,
    ngx_http_tee_client_whom_t *whom, ngx_str_t *value)
{
    ngx_str_t  s;

    if (ngx_strncmp(value->data, "profile=", 8) == 0
        && whom->profile == NGX_CONF_UNSET_UINT)
    {
        if (ngx_strcmp(value->data + 8, "opengradient") == 0) {
            whom->profile = NGX_HTTP_TEE_OPENGRADIENT;
            return NGX_CONF_OK;
        }

        if (ngx_strcmp(value->data + 8, "rfc9458") == 0) {
            whom->profile = NGX_HTTP_TEE_RFC9458;
            return NGX_CONF_OK;
        }

    } else if (ngx_strcmp(value->data, "chunked") == 0 && !whom->chunked) {
        whom->chunked = 1;
        return NGX_CONF_OK;

    } else if (ngx_strncmp(value->data, "id=", 3) == 0 && value->len > 3
               && whom->id == NULL)
    {
        s.data = value->data + 3;
        s.len = value->len - 3;

        return ngx_http_tee_client_complex(cf, &s, &whom->id) == NGX_OK
               ? NGX_CONF_OK : NGX_CONF_ERROR;
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "invalid parameter \"%V\"",
                       value);

    return NGX_CONF_ERROR;
}


static ngx_int_t
ngx_http_tee_client_complex(ngx_conf_t *cf, ngx_str_t *s,
    ngx_http_complex_value_t **cv)
{
    ngx_http_compile_complex_value_t  ccv;

    *cv = ngx_palloc(cf->pool, sizeof(ngx_http_complex_value_t));
    if (*cv == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(&ccv, sizeof(ngx_http_compile_complex_value_t));

    ccv.cf = cf;
    ccv.value = s;
    ccv.complex_value = *cv;

    return ngx_http_compile_complex_value(&ccv);
}


ngx_http_tee_client_choice_t *
ngx_http_tee_client_choice(ngx_conf_t *cf, ngx_str_t *registry, u_char *pcr)
{
    ngx_uint_t                         i;
    ngx_http_tee_registry_t           *reg;
    ngx_http_tee_client_choice_t      *choice, **choices;
    ngx_http_tee_client_main_conf_t   *cmcf;

    reg = ngx_http_tee_registry_find(cf, registry);

    if (reg == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "no \"tee_registry %V\" block before this line",
                           registry);
        return NULL;
    }

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_tee_client_module);

    choices = cmcf->choices.elts;

    for (i = 0; i < cmcf->choices.nelts; i++) {
        choice = choices[i];

        if (choice->registry == reg && choice->has_pcr == (pcr != NULL)
            && (pcr == NULL || ngx_memcmp(choice->pcr, pcr, 32) == 0))
        {
            return choice;
        }
    }

    choice = ngx_pcalloc(cf->pool, sizeof(ngx_http_tee_client_choice_t));
    choices = choice ? ngx_array_push(&cmcf->choices) : NULL;

    if (choices == NULL) {
        return NULL;
    }

    choice->registry = reg;

    if (pcr) {
        choice->has_pcr = 1;
        ngx_memcpy(choice->pcr, pcr, 32);
    }

    *choices = choice;

    return choice;
}


/* scheme://authority, for requests that name one */

char *
ngx_http_tee_client_target(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_tee_client_loc_conf_t  *clcf = conf;

    u_char      ch;
    size_t      i;
    ngx_str_t  *value, s;

    if (clcf->authority.data) {
        return "is duplicate";
    }

    value = cf->args->elts;
    s = value[1];

    if (s.len > 8 && ngx_strncmp(s.data, "https://", 8) == 0) {
        ngx_str_set(&clcf->scheme, "https");

    } else if (s.len > 7 && ngx_strncmp(s.data, "http://", 7) == 0) {
        ngx_str_set(&clcf->scheme, "http");

    } else {
        return "needs \"https://host[:port]\"";
    }

    s.data += clcf->scheme.len + 3;
    s.len -= clcf->scheme.len + 3;

    for (i = 0; i < s.len; i++) {
        ch = s.data[i];

        if (!((ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z')
              || (ch >= '0' && ch <= '9') || ch == '-' || ch == '.'
              || ch == '_' || ch == ':' || ch == '[' || ch == ']'))
        {
            return "needs \"https://host[:port]\" without a path";
        }
    }

    clcf->authority = s;

    return NGX_CONF_OK;
}


char *
ngx_http_tee_client_pass_header(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_tee_client_loc_conf_t  *clcf = conf;

    ngx_str_t   *value, *name;
    ngx_uint_t   i, j;
    tee_str_t    s;

    static ngx_str_t  ours[] = {
        ngx_string("host"),
        ngx_string("content-length"),
        ngx_string("date"),
        ngx_string("expect"),
        ngx_null_string
    };

    if (clcf->pass == NGX_CONF_UNSET_PTR) {
        clcf->pass = ngx_array_create(cf->pool, 4, sizeof(ngx_str_t));
        if (clcf->pass == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {
        s = ngx_http_tee_str(&value[i]);

        for (j = 0; ours[j].len; j++) {
            if (ours[j].len == s.len
                && ngx_strncasecmp(ours[j].data, value[i].data, s.len) == 0)
            {
                break;
            }
        }

        if (ours[j].len || !tee_token_valid(s) || tee_bhttp_hop_by_hop(s)) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "field \"%V\" cannot be passed", &value[i]);
            return NGX_CONF_ERROR;
        }

        name = ngx_array_push(clcf->pass);
        if (name == NULL) {
            return NGX_CONF_ERROR;
        }

        *name = value[i];
    }

    return NGX_CONF_OK;
}


/* The proxy has merged before us: what is seen is final. */

char *
ngx_http_tee_client_check(ngx_conf_t *cf,
    ngx_http_tee_client_loc_conf_t *conf)
{
    ngx_uint_t                  i, *version;
    ngx_str_t                  *body;
    const char                 *why;
    ngx_array_t               **headers;
    ngx_keyval_t               *kv;
    ngx_module_t               *proxy;
    ngx_http_core_loc_conf_t   *clcf;
    ngx_http_upstream_conf_t   *ucf;
    ngx_http_complex_value_t  **method;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    proxy = ngx_http_tee_find_module(cf, "ngx_http_proxy_module");

    version = ngx_http_tee_conf_value(cf, "ngx_http_proxy_module",
                                      "proxy_http_version");
    headers = ngx_http_tee_conf_value(cf, "ngx_http_proxy_module",
                                      "proxy_set_header");
    body = ngx_http_tee_conf_value(cf, "ngx_http_proxy_module",
                                   "proxy_set_body");
    method = ngx_http_tee_conf_value(cf, "ngx_http_proxy_module",
                                     "proxy_method");

    if (proxy == NULL || version == NULL || headers == NULL || body == NULL
        || method == NULL)
    {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "tee_client in location \"%V\": this nginx does not "
                      "let the client see what \"proxy_set_header\" and the "
                      "like add", &clcf->name);
        return NGX_CONF_ERROR;
    }

    /* its configuration begins with that of its upstream */

    ucf = ((ngx_http_conf_ctx_t *) cf->ctx)->loc_conf[proxy->ctx_index];

    why = ngx_http_tee_client_unsafe(conf, ucf, clcf);

    if (why == NULL
        && conf->whom->keys
        && ngx_http_tee_verify_whose(cf) == NGX_HTTP_TEE_VERIFY_REGISTRY)
    {
        why = "\"tee_verify on\" needs a TEE of a registry, which a list of "
              "keys does not tell; \"key=\" names a key";
    }

    if (why == NULL && (body->len || *method)) {
        why = "\"proxy_set_body\" and \"proxy_method\" would change what is "
              "sealed and sent";
    }

    kv = *headers ? (*headers)->elts : NULL;

    for (i = 0; why == NULL && kv && i < (*headers)->nelts; i++) {
        if (ngx_http_tee_client_tells(cf, &kv[i].value)) {
            why = "\"proxy_set_header\" would tell the relay what the "
                  "application has sent";
        }
    }

    if (why) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "tee_client in location \"%V\": %s", &clcf->name, why);
        return NGX_CONF_ERROR;
    }

    ngx_http_tee_client_warn(cf, ucf, clcf);

    /* chunks are opened as they come, and nothing of them is kept */

    ucf->buffering = 0;
    ucf->ignore_headers |= NGX_HTTP_TEE_IGNORED_HEADERS;

    if (*version < NGX_HTTP_VERSION_11) {
        *version = NGX_HTTP_VERSION_11;
    }

    /* nginx refuses what is larger, before and while it reads */

    clcf->client_max_body_size = conf->max_body;

    if (conf->errors == NGX_HTTP_TEE_CLIENT_OPENAI) {
        ngx_http_tee_problem_openai(cf);
    }

    if (conf->whom->keys) {
        ngx_http_tee_client_keys_relay(conf->whom->keys, &ucf->upstream->host);
    }

    if (conf->whom->choice) {
        conf->whom->choice->used = 1;

        if (ngx_http_tee_verify_whose(cf) == NGX_HTTP_TEE_VERIFY_OFF) {
            conf->whom->choice->unverified = 1;
        }
    }

    return NGX_CONF_OK;
}


static const char *
ngx_http_tee_client_unsafe(ngx_http_tee_client_loc_conf_t *conf,
    ngx_http_upstream_conf_t *ucf, ngx_http_core_loc_conf_t *clcf)
{
    if (conf->whom->profile == NGX_HTTP_TEE_RFC9458
        && conf->authority.len == 0)
    {
        return "\"profile=rfc9458\" needs \"tee_client_target\"";
    }

    /* what "if" makes has the handler of its location */

    if (clcf->handler == NULL && !clcf->noname) {
        return "needs \"proxy_pass\" to a relay";
    }

    if (ucf->upstream == NULL) {
        return "\"proxy_pass\" must name the relay and its path without "
               "variables";
    }

    if (ucf->next_upstream & NGX_HTTP_UPSTREAM_FT_NON_IDEMPOTENT) {
        return "\"proxy_next_upstream non_idempotent\" could send a sealed "
               "request twice";
    }

    if (!ucf->pass_request_headers || !ucf->pass_request_body) {
        return "\"proxy_pass_request_headers\" and "
               "\"proxy_pass_request_body\" must be on";
    }

    if (ucf->store > 0
#if (NGX_HTTP_CACHE)
        || ucf->cache > 0
#endif
       )
    {
        return "sealed responses must not be stored: no \"proxy_cache\" or "
               "\"proxy_store\"";
    }

    return ngx_http_tee_client_unsafe_name(ucf);
}


/* What a connection shows: a name, a certificate, an address. */

static const char *
ngx_http_tee_client_unsafe_name(ngx_http_upstream_conf_t *ucf)
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


/* A variable in a value may be about the application. */

static ngx_uint_t
ngx_http_tee_client_tells(ngx_conf_t *cf, ngx_str_t *value)
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

        if (!ngx_http_tee_client_may_tell(cf, &name)) {
            return 1;
        }
    }

    return 0;
}


/* Those that the configuration makes are not looked into. */

static ngx_uint_t
ngx_http_tee_client_may_tell(ngx_conf_t *cf, ngx_str_t *name)
{
    ngx_uint_t                        i;
    ngx_str_t                        *harmless;
    ngx_hash_key_t                   *key;
    ngx_http_variable_t              *prefix;
    ngx_http_core_main_conf_t        *cmcf;
    ngx_http_tee_client_main_conf_t  *tcmcf;

    for (harmless = ngx_http_tee_client_harmless; harmless->len; harmless++) {
        if (name->len == harmless->len
            && ngx_strncasecmp(name->data, harmless->data, name->len) == 0)
        {
            return 1;
        }
    }

    /* a part of the URI */

    if (name->len == 0 || (name->data[0] >= '0' && name->data[0] <= '9')) {
        return 0;
    }

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);
    tcmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_tee_client_module);

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

    for (i = 0; i < tcmcf->own_variables; i++) {
        if (name->len == key[i].key.len
            && ngx_strncasecmp(name->data, key[i].key.data, name->len) == 0)
        {
            return 0;
        }
    }

    return 1;
}


/*
 * Nothing that is sealed depends on it, but who is on the way to the relay
 * could tell who asks (RFC 9458, 6), and take the credential.
 */

static void
ngx_http_tee_client_warn(ngx_conf_t *cf, ngx_http_upstream_conf_t *ucf,
    ngx_http_core_loc_conf_t *clcf)
{
    ngx_http_upstream_srv_conf_t      *us;
    ngx_http_tee_upstream_srv_conf_t  *pinned;

    us = ucf->upstream;

    /* what "if" makes is the same relay */

    if (clcf->noname || ngx_http_tee_client_here(us)) {
        return;
    }

    if (us->srv_conf) {
        pinned = ngx_http_conf_upstream_srv_conf(us,
                                                ngx_http_tee_upstream_module);

        if (pinned->registry_name.len) {
            return;
        }
    }

    /* locations may share a context of TLS, and not all use it */

    if (ucf->ssl == NULL || ucf->ssl->ctx == NULL || us->port == 80) {
        ngx_log_error(NGX_LOG_WARN, cf->log, 0,
                      "tee_client in location \"%V\": relay \"%V\" is asked "
                      "over http://, and whoever is on the way sees who asks, "
                      "and the credential: use https://",
                      &clcf->name, &us->host);
        return;
    }

    if (!ucf->ssl_verify) {
        ngx_log_error(NGX_LOG_WARN, cf->log, 0,
                      "tee_client in location \"%V\": the certificate of "
                      "relay \"%V\" is not verified: use \"proxy_ssl_verify "
                      "on\"",
                      &clcf->name, &us->host);
    }
}


/* All of its addresses are on this machine. */

static ngx_uint_t
ngx_http_tee_client_here(ngx_http_upstream_srv_conf_t *us)
{
    ngx_uint_t                   i, j;
    ngx_http_upstream_server_t  *server;

    if (us->servers == NULL || us->servers->nelts == 0) {
        return us->host.len == 9
               && ngx_strncasecmp(us->host.data, (u_char *) "localhost", 9)
                  == 0;
    }

    server = us->servers->elts;

    for (i = 0; i < us->servers->nelts; i++) {

        if (server[i].naddrs == 0) {
            return 0;
        }

        for (j = 0; j < server[i].naddrs; j++) {
            if (!ngx_http_tee_client_loopback(&server[i].addrs[j])) {
                return 0;
            }
        }
    }

    return 1;
}


static ngx_uint_t
ngx_http_tee_client_loopback(ngx_addr_t *addr)
{
    struct sockaddr      *sa;
    struct sockaddr_in   *sin;
#if (NGX_HAVE_INET6)
    struct sockaddr_in6  *sin6;
#endif

    sa = addr->sockaddr;

    switch (sa->sa_family) {

    case AF_INET:
        sin = (struct sockaddr_in *) sa;
        return (ntohl(sin->sin_addr.s_addr) >> 24) == 127;

#if (NGX_HAVE_INET6)
    case AF_INET6:
        sin6 = (struct sockaddr_in6 *) sa;
        return IN6_IS_ADDR_LOOPBACK(&sin6->sin6_addr);
#endif

    default:
        return sa->sa_family == AF_UNIX;
    }
}
