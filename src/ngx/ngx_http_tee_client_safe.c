
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <ngx_http_tee.h>
#include <ngx_http_tee_client_ctx.h>
#include <ngx_http_tee_upstream.h>
#include <ngx_http_tee_verify.h>


/*
 * What else a location says: nothing of the application may leave it but what
 * is sealed.
 */


static ngx_http_handler_pt ngx_http_tee_client_proxy(ngx_conf_t *cf,
    ngx_module_t *module);
static const char *ngx_http_tee_client_unsafe(
    ngx_http_tee_client_loc_conf_t *conf, ngx_http_upstream_conf_t *ucf,
    ngx_http_core_loc_conf_t *clcf, ngx_http_handler_pt proxy);
static void ngx_http_tee_client_warn(ngx_conf_t *cf,
    ngx_http_upstream_conf_t *ucf, ngx_http_core_loc_conf_t *clcf);
static ngx_uint_t ngx_http_tee_client_here(ngx_http_upstream_srv_conf_t *us);
static ngx_uint_t ngx_http_tee_client_loopback(ngx_addr_t *addr);


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
    ngx_http_handler_pt         handler;
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

    handler = proxy ? ngx_http_tee_client_proxy(cf, proxy) : NULL;

    if (handler == NULL || version == NULL || headers == NULL || body == NULL
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

    why = ngx_http_tee_client_unsafe(conf, ucf, clcf, handler);

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
        if (ngx_http_tee_tells(cf, &kv[i].value)) {
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

    if (conf->whom->keys && !conf->whom->eager) {
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


/* Its handler has no name outside of its module: "proxy_pass" is asked to set
 * it, in a location that is not there. */

static ngx_http_handler_pt
ngx_http_tee_client_proxy(ngx_conf_t *cf, ngx_module_t *module)
{
    void                             *conf;
    ngx_str_t                        *value;
    ngx_conf_t                        temp;
    ngx_array_t                       args;
    ngx_command_t                    *cmd;
    ngx_http_module_t                *core, *proxy;
    ngx_http_conf_ctx_t               ctx;
    ngx_http_core_loc_conf_t         *clcf;
    ngx_http_tee_client_main_conf_t  *tcmcf;

    tcmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_tee_client_module);

    if (tcmcf->proxy) {
        return tcmcf->proxy;
    }

    for (cmd = module->commands; cmd && cmd->name.len; cmd++) {
        if (ngx_strcmp(cmd->name.data, "proxy_pass") == 0) {
            break;
        }
    }

    core = ngx_http_core_module.ctx;
    proxy = module->ctx;

    ctx = *(ngx_http_conf_ctx_t *) cf->ctx;

    ctx.loc_conf = ngx_palloc(cf->pool, sizeof(void *) * ngx_http_max_module);
    clcf = core->create_loc_conf(cf);
    conf = proxy->create_loc_conf(cf);

    if (cmd == NULL || cmd->name.len == 0 || ctx.loc_conf == NULL
        || clcf == NULL || conf == NULL
        || ngx_array_init(&args, cf->pool, 2, sizeof(ngx_str_t)) != NGX_OK)
    {
        return NULL;
    }

    ngx_memcpy(ctx.loc_conf, ((ngx_http_conf_ctx_t *) cf->ctx)->loc_conf,
               sizeof(void *) * ngx_http_max_module);

    ctx.loc_conf[ngx_http_core_module.ctx_index] = clcf;
    ctx.loc_conf[module->ctx_index] = conf;

    /* with a variable, it makes no upstream */

    value = ngx_array_push_n(&args, 2);

    ngx_str_set(&value[0], "proxy_pass");
    ngx_str_set(&value[1], "http://$hostname");

    temp = *cf;
    temp.ctx = &ctx;
    temp.args = &args;

    if (cmd->set(&temp, cmd, conf) != NGX_CONF_OK) {
        return NULL;
    }

    tcmcf->proxy = clcf->handler;

    return clcf->handler;
}


static const char *
ngx_http_tee_client_unsafe(ngx_http_tee_client_loc_conf_t *conf,
    ngx_http_upstream_conf_t *ucf, ngx_http_core_loc_conf_t *clcf,
    ngx_http_handler_pt proxy)
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

    /* the last one of a location has it */

    if (clcf->handler && clcf->handler != proxy) {
        return "nothing but \"proxy_pass\" may answer, which sends what is "
               "sealed and nothing else";
    }

    if (ucf->upstream == NULL) {
        return "\"proxy_pass\" must name the relay and its path without "
               "variables";
    }

    if (ucf->next_upstream & NGX_HTTP_UPSTREAM_FT_NON_IDEMPOTENT) {
        return "\"proxy_next_upstream non_idempotent\" could send a sealed "
               "request twice";
    }

    if (ucf->intercept_errors) {
        return "\"proxy_intercept_errors\" would believe the errors of a "
               "relay";
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

    return ngx_http_tee_shows(ucf);
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
