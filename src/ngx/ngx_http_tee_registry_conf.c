
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <ngx_http_tee.h>
#include <tee_crypto.h>


/* The tee_registry block: its directives, files and checks. */


static char *ngx_http_tee_registry_contract(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
static char *ngx_http_tee_registry_chain_id(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
static char *ngx_http_tee_registry_rpc(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static ngx_int_t ngx_http_tee_registry_server(ngx_conf_t *cf,
    ngx_http_tee_server_t *s, ngx_url_t *u, ngx_str_t *url);
static ngx_uint_t ngx_http_tee_registry_loopback(ngx_http_tee_server_t *s);
static char *ngx_http_tee_registry_pcr(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_tee_registry_resolver(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
static ngx_http_tee_registry_t *ngx_http_tee_registry_create(ngx_conf_t *cf,
    ngx_str_t *name);
static char *ngx_http_tee_registry_finish(ngx_conf_t *cf,
    ngx_http_tee_registry_t *reg);
static char *ngx_http_tee_registry_sources(ngx_conf_t *cf,
    ngx_http_tee_registry_t *reg);
static ngx_int_t ngx_http_tee_registry_servers(ngx_conf_t *cf,
    ngx_http_tee_registry_t *reg);
static ngx_int_t ngx_http_tee_registry_ssl(ngx_conf_t *cf,
    ngx_http_tee_registry_t *reg);
static void ngx_http_tee_registry_cleanup(void *data);
static ngx_int_t ngx_http_tee_registry_zone(ngx_conf_t *cf,
    ngx_http_tee_registry_t *reg);
static ngx_int_t ngx_http_tee_registry_zone_init(ngx_shm_zone_t *zone,
    void *data);


static ngx_conf_enum_t  ngx_http_tee_registry_methods[] = {
    { ngx_string("active"), NGX_HTTP_TEE_METHOD_ACTIVE },
    { ngx_string("ids"), NGX_HTTP_TEE_METHOD_IDS },
    { ngx_null_string, 0 }
};


static ngx_conf_num_bounds_t  ngx_http_tee_registry_type_bounds = {
    ngx_conf_check_num_bounds, 0, 255
};


static ngx_conf_num_bounds_t  ngx_http_tee_registry_quorum_bounds = {
    ngx_conf_check_num_bounds, 1, NGX_HTTP_TEE_MAX_RPCS
};


#define ngx_http_tee_registry_slot(name, args, set, field, post)              \
    { ngx_string(name), args, set, 0,                                         \
      offsetof(ngx_http_tee_registry_t, field), post }


static ngx_command_t  ngx_http_tee_registry_directives[] = {

    ngx_http_tee_registry_slot("contract", NGX_CONF_TAKE1,
        ngx_http_tee_registry_contract, contract, NULL),

    ngx_http_tee_registry_slot("chain_id", NGX_CONF_TAKE1,
        ngx_http_tee_registry_chain_id, chain_id, NULL),

    ngx_http_tee_registry_slot("rpc", NGX_CONF_TAKE12,
        ngx_http_tee_registry_rpc, servers, NULL),

    ngx_http_tee_registry_slot("rpc_trusted_certificate", NGX_CONF_TAKE1,
        ngx_conf_set_str_slot, trusted_certificate, NULL),

    ngx_http_tee_registry_slot("rpc_connect_timeout", NGX_CONF_TAKE1,
        ngx_conf_set_msec_slot, connect_timeout, NULL),

    ngx_http_tee_registry_slot("rpc_send_timeout", NGX_CONF_TAKE1,
        ngx_conf_set_msec_slot, send_timeout, NULL),

    ngx_http_tee_registry_slot("rpc_read_timeout", NGX_CONF_TAKE1,
        ngx_conf_set_msec_slot, read_timeout, NULL),

    ngx_http_tee_registry_slot("rpc_timeout", NGX_CONF_TAKE1,
        ngx_conf_set_msec_slot, rpc_timeout, NULL),

    ngx_http_tee_registry_slot("rpc_max_response", NGX_CONF_TAKE1,
        ngx_conf_set_size_slot, max_response, NULL),

    ngx_http_tee_registry_slot("quorum", NGX_CONF_TAKE1,
        ngx_conf_set_num_slot, quorum, &ngx_http_tee_registry_quorum_bounds),

    ngx_http_tee_registry_slot("type", NGX_CONF_TAKE1,
        ngx_conf_set_num_slot, type, &ngx_http_tee_registry_type_bounds),

    ngx_http_tee_registry_slot("method", NGX_CONF_TAKE1,
        ngx_conf_set_enum_slot, method, &ngx_http_tee_registry_methods),

    ngx_http_tee_registry_slot("refresh", NGX_CONF_TAKE1,
        ngx_conf_set_msec_slot, refresh, NULL),

    ngx_http_tee_registry_slot("refresh_min", NGX_CONF_TAKE1,
        ngx_conf_set_msec_slot, refresh_min, NULL),

    ngx_http_tee_registry_slot("max_stale", NGX_CONF_TAKE1,
        ngx_conf_set_sec_slot, max_stale, NULL),

    ngx_http_tee_registry_slot("max_block_age", NGX_CONF_TAKE1,
        ngx_conf_set_sec_slot, max_block_age, NULL),

    ngx_http_tee_registry_slot("state", NGX_CONF_TAKE1,
        ngx_conf_set_str_slot, state, NULL),

    ngx_http_tee_registry_slot("pcr", NGX_CONF_TAKE1,
        ngx_http_tee_registry_pcr, pcr, NULL),

    ngx_http_tee_registry_slot("zone", NGX_CONF_TAKE1,
        ngx_conf_set_size_slot, zone_size, NULL),

    ngx_http_tee_registry_slot("allow_private", NGX_CONF_TAKE1,
        ngx_conf_set_flag_slot, allow_private, NULL),

    ngx_http_tee_registry_slot("resolver", NGX_CONF_1MORE,
        ngx_http_tee_registry_resolver, resolver, NULL),

    ngx_http_tee_registry_slot("resolver_timeout", NGX_CONF_TAKE1,
        ngx_conf_set_msec_slot, resolver_timeout, NULL),

    ngx_http_tee_registry_slot("file", NGX_CONF_TAKE1,
        ngx_conf_set_str_slot, file, NULL),

    { ngx_null_string, 0, NULL, 0, 0, NULL }
};


char *
ngx_http_tee_registry_block(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char                      *rv;
    ngx_str_t                 *value;
    ngx_http_tee_registry_t  **slot, *reg;

    value = cf->args->elts;

    if (value[1].len == 0 || ngx_http_tee_registry_find(cf, &value[1])) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "registry \"%V\" is empty or a duplicate",
                           &value[1]);
        return NGX_CONF_ERROR;
    }

    reg = ngx_http_tee_registry_create(cf, &value[1]);
    if (reg == NULL) {
        return NGX_CONF_ERROR;
    }

    slot = ngx_array_push(ngx_http_tee_registry_array(cf));
    if (slot == NULL) {
        return NGX_CONF_ERROR;
    }

    *slot = reg;

    rv = ngx_http_tee_block(cf, ngx_http_tee_registry_directives, reg);

    if (rv != NGX_CONF_OK) {
        return rv;
    }

    return ngx_http_tee_registry_finish(cf, reg);
}


static ngx_http_tee_registry_t *
ngx_http_tee_registry_create(ngx_conf_t *cf, ngx_str_t *name)
{
    ngx_http_tee_registry_t  *reg;

    reg = ngx_pcalloc(cf->pool, sizeof(ngx_http_tee_registry_t));
    if (reg == NULL) {
        return NULL;
    }

    if (ngx_array_init(&reg->servers, cf->pool, 2,
                       sizeof(ngx_http_tee_server_t))
        != NGX_OK
        || ngx_array_init(&reg->pcr, cf->pool, 2, 32) != NGX_OK)
    {
        return NULL;
    }

    reg->name = *name;
    reg->conf_file = cf->conf_file->file.name.data;
    reg->line = cf->conf_file->line;

    reg->quorum = NGX_CONF_UNSET_UINT;
    reg->type = NGX_CONF_UNSET_UINT;
    reg->method = NGX_CONF_UNSET_UINT;
    reg->refresh = NGX_CONF_UNSET_MSEC;
    reg->refresh_min = NGX_CONF_UNSET_MSEC;
    reg->max_stale = NGX_CONF_UNSET;
    reg->max_block_age = NGX_CONF_UNSET;
    reg->zone_size = NGX_CONF_UNSET_SIZE;
    reg->allow_private = NGX_CONF_UNSET;
    reg->connect_timeout = NGX_CONF_UNSET_MSEC;
    reg->send_timeout = NGX_CONF_UNSET_MSEC;
    reg->read_timeout = NGX_CONF_UNSET_MSEC;
    reg->rpc_timeout = NGX_CONF_UNSET_MSEC;
    reg->max_response = NGX_CONF_UNSET_SIZE;
    reg->resolver_timeout = NGX_CONF_UNSET_MSEC;

    return reg;
}


/* 0x and 2 * len hexadecimal digits. */

static ngx_int_t
ngx_http_tee_registry_hex(ngx_str_t *s, u_char *dst, size_t len)
{
    u_char     *p;
    ngx_int_t   n;

    if (s->len != 2 + 2 * len || s->data[0] != '0' || s->data[1] != 'x') {
        return NGX_ERROR;
    }

    for (p = s->data + 2; len; len--, p += 2) {
        n = ngx_hextoi(p, 2);

        if (n == NGX_ERROR) {
            return NGX_ERROR;
        }

        *dst++ = (u_char) n;
    }

    return NGX_OK;
}


static char *
ngx_http_tee_registry_contract(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_tee_registry_t  *reg = conf;

    ngx_str_t  *value;

    value = cf->args->elts;

    if (reg->has_contract) {
        return "is duplicate";
    }

    if (ngx_http_tee_registry_hex(&value[1], reg->contract, 20) != NGX_OK) {
        return "needs 0x and 40 hexadecimal digits";
    }

    reg->has_contract = 1;

    return NGX_CONF_OK;
}


static char *
ngx_http_tee_registry_chain_id(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_tee_registry_t  *reg = conf;

    ngx_int_t   n;
    ngx_str_t  *value;

    value = cf->args->elts;

    if (reg->chain_id) {
        return "is duplicate";
    }

    n = ngx_atoi(value[1].data, value[1].len);

    if (n == NGX_ERROR || n == 0) {
        return "needs a positive number";
    }

    reg->chain_id = (uint64_t) n;

    return NGX_CONF_OK;
}


static char *
ngx_http_tee_registry_rpc(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_tee_registry_t  *reg = conf;

    ngx_str_t              *value;
    ngx_url_t               u;
    ngx_uint_t              insecure;
    ngx_http_tee_server_t  *s;

    value = cf->args->elts;
    insecure = 0;

    if (cf->args->nelts == 3) {
        if (ngx_strcmp(value[2].data, "insecure") != 0) {
            return "takes no second parameter but \"insecure\"";
        }

        insecure = 1;
    }

    if (reg->servers.nelts == NGX_HTTP_TEE_MAX_RPCS) {
        return "is there more than 16 times";
    }

    s = ngx_array_push(&reg->servers);
    if (s == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_memzero(s, sizeof(ngx_http_tee_server_t));
    ngx_memzero(&u, sizeof(ngx_url_t));

    u.url = value[1];

    if (ngx_strncasecmp(u.url.data, (u_char *) "https://", 8) == 0) {
        u.url.data += 8;
        u.url.len -= 8;
        u.default_port = 443;
        s->https = 1;

    } else if (ngx_strncasecmp(u.url.data, (u_char *) "http://", 7) == 0) {
        u.url.data += 7;
        u.url.len -= 7;
        u.default_port = 80;

    } else {
        return "needs a URL that begins with https:// or http://";
    }

    u.uri_part = 1;
    u.no_resolve = 1;

    if (ngx_parse_url(cf->pool, &u) != NGX_OK) {
        return u.err ? u.err : "has a bad URL";
    }

    if (u.family == AF_UNIX) {
        return "takes no Unix socket";
    }

    if (ngx_strlchr(u.host.data, u.host.data + u.host.len, '@')) {
        return "must not carry a user name in its URL";
    }

    if (ngx_http_tee_registry_server(cf, s, &u, &value[1]) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    if (!s->https && !ngx_http_tee_registry_loopback(s)) {

        if (!insecure) {
            return "without TLS lets anybody on the way name the enclaves; "
                   "use https:// or add \"insecure\"";
        }

        ngx_conf_log_error(NGX_LOG_WARN, cf, 0,
                           "RPC \"%V\" is not protected by TLS: anybody on "
                           "the way can name the enclaves", &s->url);
    }

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_tee_registry_server(ngx_conf_t *cf, ngx_http_tee_server_t *s,
    ngx_url_t *u, ngx_str_t *url)
{
    u_char  *p;

    /* NUL-terminated for OpenSSL, and without the brackets of IPv6 */

    s->host.len = u->host.len;
    p = u->host.data;

    if (s->host.len > 2 && p[0] == '[') {
        p++;
        s->host.len -= 2;
    }

    s->host.data = ngx_pcalloc(cf->pool, s->host.len + 1);
    if (s->host.data == NULL) {
        return NGX_ERROR;
    }

    ngx_strlow(s->host.data, p, s->host.len);

    s->port = u->port;
    s->addrs = u->addrs;
    s->naddrs = u->naddrs;
    s->literal = (u->naddrs != 0);

    s->host_header = u->host;

    if (u->port != u->default_port) {
        s->host_header.len = u->host.len + 1 + u->port_text.len;
    }

    s->uri = u->uri;

    if (s->uri.len == 0) {
        ngx_str_set(&s->uri, "/");
    }

    /* paths of RPC services hold keys: they do not go into logs */

    s->url.data = url->data;
    s->url.len = u->host.data + s->host_header.len - url->data;

    return NGX_OK;
}


static ngx_uint_t
ngx_http_tee_registry_loopback(ngx_http_tee_server_t *s)
{
    struct sockaddr  *sa;

    if (!s->literal) {
        return s->host.len == 9
               && ngx_strncmp(s->host.data, "localhost", 9) == 0;
    }

    sa = s->addrs[0].sockaddr;

#if (NGX_HAVE_INET6)
    if (sa->sa_family == AF_INET6) {
        return IN6_IS_ADDR_LOOPBACK(&((struct sockaddr_in6 *) sa)->sin6_addr);
    }
#endif

    return (ntohl(((struct sockaddr_in *) sa)->sin_addr.s_addr) >> 24) == 127;
}


static char *
ngx_http_tee_registry_pcr(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_tee_registry_t  *reg = conf;

    u_char     *hash;
    ngx_str_t  *value;

    value = cf->args->elts;

    hash = ngx_array_push(&reg->pcr);
    if (hash == NULL) {
        return NGX_CONF_ERROR;
    }

    if (ngx_http_tee_registry_hex(&value[1], hash, 32) != NGX_OK) {
        return "needs 0x and 64 hexadecimal digits";
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_tee_registry_resolver(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_tee_registry_t  *reg = conf;

    ngx_str_t  *value;

    value = cf->args->elts;

    if (reg->resolver) {
        return "is duplicate";
    }

    reg->resolver = ngx_resolver_create(cf, &value[1], cf->args->nelts - 1);

    return reg->resolver ? NGX_CONF_OK : NGX_CONF_ERROR;
}


static char *
ngx_http_tee_registry_finish(ngx_conf_t *cf, ngx_http_tee_registry_t *reg)
{
    char  *rv;

    ngx_conf_init_uint_value(reg->quorum, 1);
    ngx_conf_init_uint_value(reg->type, 0);
    ngx_conf_init_uint_value(reg->method, NGX_HTTP_TEE_METHOD_ACTIVE);
    ngx_conf_init_msec_value(reg->refresh, 300000);
    ngx_conf_init_msec_value(reg->refresh_min, 5000);
    ngx_conf_init_value(reg->max_stale, 3600);
    ngx_conf_init_value(reg->max_block_age, 120);
    ngx_conf_init_size_value(reg->zone_size, 4 * 1024 * 1024);
    ngx_conf_init_value(reg->allow_private, 0);
    ngx_conf_init_msec_value(reg->connect_timeout, 5000);
    ngx_conf_init_msec_value(reg->send_timeout, 5000);
    ngx_conf_init_msec_value(reg->read_timeout, 10000);
    ngx_conf_init_msec_value(reg->rpc_timeout, 60000);
    ngx_conf_init_size_value(reg->max_response, 64 * 1024 * 1024);
    ngx_conf_init_msec_value(reg->resolver_timeout, 5000);

    rv = ngx_http_tee_registry_sources(cf, reg);
    if (rv != NGX_CONF_OK) {
        return rv;
    }

    if (reg->refresh < 100 || reg->max_stale == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "registry \"%V\": \"refresh\" must be 100ms or "
                           "more, and \"max_stale\" not zero", &reg->name);
        return NGX_CONF_ERROR;
    }

    if (reg->zone_size < (size_t) (32 * ngx_pagesize)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "registry \"%V\": zone is smaller than %uz bytes",
                           &reg->name, (size_t) (32 * ngx_pagesize));
        return NGX_CONF_ERROR;
    }

    reg->thread_pool = ngx_thread_pool_add(cf, NULL);
    if (reg->thread_pool == NULL) {
        return NGX_CONF_ERROR;
    }

    if (reg->file.len) {
        if (ngx_http_tee_registry_read_file(cf, reg) != NGX_OK) {
            return NGX_CONF_ERROR;
        }

    } else {
        if (ngx_http_tee_registry_ssl(cf, reg) != NGX_OK) {
            return NGX_CONF_ERROR;
        }

        if (reg->state.len) {
            ngx_http_tee_registry_read_state(cf, reg);
        }
    }

    if (ngx_http_tee_registry_zone(cf, reg) != NGX_OK
        || ngx_http_tee_counters_add(cf) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_tee_registry_sources(ngx_conf_t *cf, ngx_http_tee_registry_t *reg)
{
    const char  *why;

    why = NULL;

    if (reg->file.len) {
        if (reg->has_contract || reg->chain_id || reg->servers.nelts
            || reg->state.len)
        {
            why = "\"file\" excludes \"contract\", \"chain_id\", \"rpc\" and "
                  "\"state\"";
        }

    } else if (!reg->has_contract || reg->chain_id == 0
               || reg->servers.nelts == 0)
    {
        why = "needs \"contract\", \"chain_id\" and \"rpc\", or \"file\"";

    } else if (reg->quorum > reg->servers.nelts) {
        why = "\"quorum\" is more than there are RPCs";
    }

    if (why) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "registry \"%V\": %s",
                           &reg->name, why);
        return NGX_CONF_ERROR;
    }

    if (reg->file.len
        && ngx_conf_full_name(cf->cycle, &reg->file, 1) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    if (reg->state.len
        && ngx_conf_full_name(cf->cycle, &reg->state, 0) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


/* After the whole http block: its "resolver" may stand anywhere. */

ngx_int_t
ngx_http_tee_registry_init(ngx_conf_t *cf)
{
    ngx_uint_t                  i;
    ngx_array_t                *registries;
    ngx_http_core_loc_conf_t   *clcf;
    ngx_http_tee_registry_t   **regs;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    registries = ngx_http_tee_registry_array(cf);
    regs = registries->elts;

    for (i = 0; i < registries->nelts; i++) {

        if (regs[i]->resolver == NULL
            && clcf->resolver
            && clcf->resolver->connections.nelts)
        {
            regs[i]->resolver = clcf->resolver;
        }

        if (ngx_http_tee_registry_servers(cf, regs[i]) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_tee_registry_servers(ngx_conf_t *cf, ngx_http_tee_registry_t *reg)
{
    ngx_url_t               u;
    ngx_uint_t              i;
    ngx_http_tee_server_t  *s;

    s = reg->servers.elts;

    for (i = 0; i < reg->servers.nelts; i++) {

        s[i].ssl = reg->ssl;
        s[i].resolver = reg->resolver;
        s[i].resolver_timeout = reg->resolver_timeout;
        s[i].connect_timeout = reg->connect_timeout;
        s[i].send_timeout = reg->send_timeout;
        s[i].read_timeout = reg->read_timeout;
        s[i].timeout = reg->rpc_timeout;
        s[i].max_response = reg->max_response;

        if (s[i].naddrs || reg->resolver) {
            continue;
        }

        /* as proxy_pass does: at start, once */

        ngx_memzero(&u, sizeof(ngx_url_t));

        u.url = s[i].host;
        u.default_port = s[i].port;

        if (ngx_parse_url(cf->pool, &u) != NGX_OK) {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "tee registry \"%V\": %s in RPC \"%V\"; a "
                          "\"resolver\" would look it up at run time",
                          &reg->name, u.err ? u.err : "bad host", &s[i].url);
            return NGX_ERROR;
        }

        s[i].addrs = u.addrs;
        s[i].naddrs = u.naddrs;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_tee_registry_ssl(ngx_conf_t *cf, ngx_http_tee_registry_t *reg)
{
    ngx_pool_cleanup_t  *cln;

    cln = ngx_pool_cleanup_add(cf->pool, 0);
    if (cln == NULL) {
        return NGX_ERROR;
    }

    reg->ssl = ngx_pcalloc(cf->pool, sizeof(ngx_ssl_t));
    if (reg->ssl == NULL) {
        return NGX_ERROR;
    }

    reg->ssl->log = cf->log;

    if (ngx_ssl_create(reg->ssl, NGX_SSL_TLSv1_2|NGX_SSL_TLSv1_3, NULL)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    cln->handler = ngx_http_tee_registry_cleanup;
    cln->data = reg;

    if (reg->trusted_certificate.len == 0) {
        /* the system's; without any, nothing verifies */
        return SSL_CTX_set_default_verify_paths(reg->ssl->ctx) == 1
               ? NGX_OK : NGX_ERROR;
    }

    return ngx_ssl_trusted_certificate(cf, reg->ssl,
                                       &reg->trusted_certificate, 5);
}


static void
ngx_http_tee_registry_cleanup(void *data)
{
    ngx_http_tee_registry_t  *reg = data;

    ngx_ssl_cleanup_ctx(reg->ssl);
}


static void
ngx_http_tee_registry_free_initial(void *data)
{
    ngx_http_tee_registry_t  *reg = data;

    free(reg->initial);
    reg->initial = NULL;
}


/*
 * The zone's name holds a digest of all that decides on its content, so a
 * changed configuration starts with an empty zone and never with a snapshot
 * made under other rules.
 */

static ngx_int_t
ngx_http_tee_registry_zone(ngx_conf_t *cf, ngx_http_tee_registry_t *reg)
{
    u_char              *p, buf[256], digests[3 * 32], id[32];
    tee_str_t            s;
    ngx_str_t            name;
    ngx_pool_cleanup_t  *cln;

    cln = ngx_pool_cleanup_add(cf->pool, 0);
    if (cln == NULL) {
        return NGX_ERROR;
    }

    cln->handler = ngx_http_tee_registry_free_initial;
    cln->data = reg;

    p = ngx_snprintf(buf, sizeof(buf), "%uz:%uz:%uL:%ui:%ui:%i:%ui:",
                     sizeof(ngx_http_tee_shm_t), sizeof(tee_snapshot_entry_t),
                     reg->chain_id, reg->type, reg->method,
                     reg->allow_private, reg->quorum);
    p = ngx_cpymem(p, reg->contract, 20);

    s.data = buf;
    s.len = p - buf;

    if (tee_sha256(s, digests) != TEE_OK) {
        return NGX_ERROR;
    }

    s.data = reg->pcr.elts;
    s.len = 32 * reg->pcr.nelts;

    if (tee_sha256(s, digests + 32) != TEE_OK) {
        return NGX_ERROR;
    }

    s.data = (u_char *) reg->initial;
    s.len = reg->file.len ? (size_t) reg->initial->size : 0;

    if (tee_sha256(s, digests + 64) != TEE_OK) {
        return NGX_ERROR;
    }

    s.data = digests;
    s.len = sizeof(digests);

    if (tee_sha256(s, id) != TEE_OK) {
        return NGX_ERROR;
    }

    name.len = sizeof("tee_registry::") - 1 + reg->name.len + 32;
    name.data = ngx_pnalloc(cf->pool, name.len);
    if (name.data == NULL) {
        return NGX_ERROR;
    }

    p = ngx_sprintf(name.data, "tee_registry:%V:", &reg->name);
    ngx_hex_dump(p, id, 16);

    reg->zone = ngx_shared_memory_add(cf, &name, reg->zone_size,
                                      &ngx_http_tee_module);
    if (reg->zone == NULL) {
        return NGX_ERROR;
    }

    reg->zone->init = ngx_http_tee_registry_zone_init;
    reg->zone->data = reg;

    return NGX_OK;
}


static ngx_int_t
ngx_http_tee_registry_zone_init(ngx_shm_zone_t *zone, void *data)
{
    return ngx_http_tee_shm_init(zone->data, zone, data);
}
