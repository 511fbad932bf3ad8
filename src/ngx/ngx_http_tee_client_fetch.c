
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <ngx_http_tee.h>
#include <ngx_http_tee_client_ctx.h>


/*
 * The keys of a gateway from where it publishes them: by each worker, again
 * when they are not fresh any more, and at once when the gateway does not know
 * them.  What it has had is kept until there is something better.
 */


#define NGX_HTTP_TEE_CLIENT_FRESH      3600    /* if nothing is told of it */
#define NGX_HTTP_TEE_CLIENT_FRESH_MIN  60
#define NGX_HTTP_TEE_CLIENT_FRESH_MAX  86400

/* Because of a request it is asked at most so often, in seconds. */

#define NGX_HTTP_TEE_CLIENT_HURRY      5

/* After a failure it is asked again soon; each one more doubles the time. */

#define NGX_HTTP_TEE_CLIENT_RETRY_MAX  300


static ngx_int_t ngx_http_tee_client_list_server(ngx_conf_t *cf,
    ngx_http_tee_client_list_t *list, ngx_url_t *u);
static ngx_int_t ngx_http_tee_client_list_ssl(ngx_conf_t *cf,
    ngx_http_tee_client_list_t *list);
static void ngx_http_tee_client_list_timer(ngx_event_t *ev);
static void ngx_http_tee_client_list_send(ngx_http_tee_client_list_t *list);
static void ngx_http_tee_client_list_handler(ngx_http_tee_fetch_t *f,
    ngx_http_tee_reg_counter_e error, const char *why);
static const char *ngx_http_tee_client_list_take(
    ngx_http_tee_client_list_t *list, ngx_http_tee_fetch_t *f);
static time_t ngx_http_tee_client_list_fresh(ngx_http_tee_client_list_t *list,
    ngx_http_tee_fetch_t *f);
static time_t ngx_http_tee_client_list_failed(ngx_http_tee_client_list_t *list,
    const char *why);
static void ngx_http_tee_client_list_again(ngx_http_tee_client_list_t *list,
    time_t seconds);


char *
ngx_http_tee_client_list_url(ngx_conf_t *cf, ngx_str_t *url,
    ngx_str_t *trusted, ngx_http_tee_client_list_t **list)
{
    ngx_url_t  u;
    ngx_str_t  ca;

    ca = *trusted;

    if (ca.len && ngx_conf_full_name(cf->cycle, &ca, 1) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    *list = ngx_http_tee_client_list_get(cf, url, &ca);

    if (*list == NULL) {
        return NGX_CONF_ERROR;
    }

    if ((*list)->server) {
        return NGX_CONF_OK;
    }

    /* RFC 9458, 3: whoever changes them on their way reads all */

    if (url->len <= 8
        || ngx_strncasecmp(url->data, (u_char *) "https://", 8) != 0)
    {
        return "needs keys from a URL that begins with https://";
    }

    ngx_memzero(&u, sizeof(ngx_url_t));

    u.url.data = url->data + 8;
    u.url.len = url->len - 8;
    u.default_port = 443;
    u.uri_part = 1;

    if (ngx_parse_url(cf->pool, &u) != NGX_OK) {

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "%s in URL \"%V\"",
                           u.err ? u.err : "bad host", url);
        return NGX_CONF_ERROR;
    }

    if (u.family == AF_UNIX
        || ngx_strlchr(u.host.data, u.host.data + u.host.len, '@'))
    {
        return "needs a URL with a host, and no user name";
    }

    if (ngx_http_tee_client_list_server(cf, *list, &u) != NGX_OK
        || ngx_http_tee_client_list_ssl(cf, *list) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_tee_client_list_server(ngx_conf_t *cf,
    ngx_http_tee_client_list_t *list, ngx_url_t *u)
{
    u_char                 *p;
    ngx_http_tee_server_t  *s;

    s = ngx_pcalloc(cf->pool, sizeof(ngx_http_tee_server_t));
    if (s == NULL) {
        return NGX_ERROR;
    }

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

    s->host_header = u->host;

    if (u->port != u->default_port) {
        s->host_header.len = u->host.len + 1 + u->port_text.len;
    }

    s->url = list->source;
    s->uri = u->uri;

    if (s->uri.len == 0) {
        ngx_str_set(&s->uri, "/.well-known/ohttp-gateway");
    }

    s->port = u->port;
    s->addrs = u->addrs;
    s->naddrs = u->naddrs;
    s->literal = (u->host.data[0] == '['
                  || ngx_inet_addr(u->host.data, u->host.len)
                     != INADDR_NONE);
    s->https = 1;
    s->connect_timeout = 10000;
    s->send_timeout = 10000;
    s->read_timeout = 10000;
    s->timeout = 30000;
    s->max_response = TEE_OHTTP_KEYS_MAX_LEN;

    list->server = s;

    return NGX_OK;
}


static ngx_int_t
ngx_http_tee_client_list_ssl(ngx_conf_t *cf,
    ngx_http_tee_client_list_t *list)
{
    ngx_ssl_t           *ssl;
    ngx_pool_cleanup_t  *cln;

    ssl = ngx_pcalloc(cf->pool, sizeof(ngx_ssl_t));
    cln = ngx_pool_cleanup_add(cf->pool, 0);

    if (ssl == NULL || cln == NULL) {
        return NGX_ERROR;
    }

    ssl->log = cf->log;

    if (ngx_ssl_create(ssl, NGX_SSL_TLSv1_2|NGX_SSL_TLSv1_3, NULL) != NGX_OK) {
        return NGX_ERROR;
    }

    cln->handler = ngx_ssl_cleanup_ctx;
    cln->data = ssl;

    list->server->ssl = ssl;

    if (list->trusted.len == 0) {
        return SSL_CTX_set_default_verify_paths(ssl->ctx) == 1
               ? NGX_OK : NGX_ERROR;
    }

    return ngx_ssl_trusted_certificate(cf, ssl, &list->trusted, 5);
}


ngx_int_t
ngx_http_tee_client_list_start(ngx_cycle_t *cycle,
    ngx_http_tee_client_list_t *list)
{
    if (list->server == NULL || list->fetch) {
        return NGX_OK;
    }

    list->pool = ngx_create_pool(1024, cycle->log);
    if (list->pool == NULL) {
        return NGX_ERROR;
    }

    list->fetch = ngx_http_tee_fetch_create(list->server, list->pool,
                                            cycle->log);
    if (list->fetch == NULL) {
        return NGX_ERROR;
    }

    list->fetch->handler = ngx_http_tee_client_list_handler;
    list->fetch->data = list;

    list->timer.handler = ngx_http_tee_client_list_timer;
    list->timer.data = list;
    list->timer.log = cycle->log;
    list->timer.cancelable = 1;

    ngx_add_timer(&list->timer, 1);

    return NGX_OK;
}


void
ngx_http_tee_client_list_stop(ngx_http_tee_client_list_t *list)
{
    if (list->fetch == NULL) {
        return;
    }

    ngx_http_tee_fetch_close(list->fetch);
    list->fetch = NULL;

    ngx_destroy_pool(list->pool);
    list->pool = NULL;

    if (list->timer.timer_set) {
        ngx_del_timer(&list->timer);
    }

    free(list->text.data);
    ngx_str_null(&list->text);
}


static void
ngx_http_tee_client_list_timer(ngx_event_t *ev)
{
    ngx_http_tee_client_list_t  *list = ev->data;

    if (ngx_exiting || ngx_terminate || ngx_quit || list->fetch->active) {
        return;
    }

    ngx_http_tee_client_list_send(list);
}


static void
ngx_http_tee_client_list_send(ngx_http_tee_client_list_t *list)
{
    list->asked = ngx_current_msec;

    ngx_http_tee_fetch_send(list->fetch, "application/ohttp-keys", NULL, 0);
}


ngx_int_t
ngx_http_tee_client_list_ask(ngx_http_tee_client_list_t *list,
    ngx_msec_t soon)
{
    ngx_msec_t  passed;

    if (list->fetch == NULL || ngx_exiting || ngx_terminate || ngx_quit) {
        return NGX_DECLINED;
    }

    if (list->fetch->active) {
        return NGX_AGAIN;
    }

    if (list->failures) {
        return NGX_DECLINED;
    }

    passed = (ngx_current_msec - list->asked) / 1000;

    if (passed < soon) {
        ngx_http_tee_client_list_again(list, soon - passed);
        return NGX_DECLINED;
    }

    ngx_http_tee_client_list_send(list);

    return NGX_AGAIN;
}


ngx_int_t
ngx_http_tee_client_list_hurry(ngx_http_tee_client_list_t *list)
{
    return list->apart ? NGX_DECLINED
                       : ngx_http_tee_client_list_ask(list,
                                                   NGX_HTTP_TEE_CLIENT_HURRY);
}


static void
ngx_http_tee_client_list_handler(ngx_http_tee_fetch_t *f,
    ngx_http_tee_reg_counter_e error, const char *why)
{
    ngx_http_tee_client_list_t  *list = f->data;

    time_t                        wait;
    u_char                       *old;
    ngx_uint_t                    i;
    ngx_http_tee_client_keys_t  **user;

    list->asked = ngx_current_msec;

    wait = 0;
    old = list->text.data;

    if (!ngx_exiting && !ngx_terminate && !ngx_quit) {

        if (why == NULL) {
            why = ngx_http_tee_client_list_take(list, f);
        }

        wait = why ? ngx_http_tee_client_list_failed(list, why)
                   : ngx_http_tee_client_list_fresh(list, f);
    }

    user = list->users.elts;

    for (i = 0; i < list->users.nelts; i++) {
        ngx_http_tee_client_keys_fetched(user[i], list);

        if (user[i]->differ) {
            wait = ngx_min(wait, NGX_HTTP_TEE_CLIENT_FRESH_MIN);
        }
    }

    /* keys that are in use point into it */

    if (old != list->text.data) {
        free(old);
    }

    if (wait) {
        ngx_http_tee_client_list_again(list, wait);
    }
}


/* Why it is none, or NULL. */

static const char *
ngx_http_tee_client_list_take(ngx_http_tee_client_list_t *list,
    ngx_http_tee_fetch_t *f)
{
    size_t           n;
    ngx_str_t        text;
    tee_ohttp_key_t  keys[NGX_HTTP_TEE_CLIENT_MAX_KEYS];

    text.data = f->body;
    text.len = f->body_len;

    if (text.len
        && text.len == list->text.len
        && ngx_memcmp(text.data, list->text.data, text.len) == 0)
    {
        return NULL;
    }

    if (text.len == 0
        || ngx_http_tee_client_list_read(&text, keys, &n) != TEE_OK)
    {
        return "no list with a usable key";
    }

    ngx_log_error(NGX_LOG_NOTICE, list->timer.log, 0,
                  "tee client: keys of \"%V\" are %s, id %ui",
                  &list->source, list->text.len ? "new" : "there",
                  (ngx_uint_t) keys[0].id);

    list->text = text;

    f->body = NULL;
    f->body_room = 0;

    return NULL;
}


/* For how many seconds. */

static time_t
ngx_http_tee_client_list_fresh(ngx_http_tee_client_list_t *list,
    ngx_http_tee_fetch_t *f)
{
    time_t  fresh, max;

    list->failures = 0;

    if (!f->h1.has_max_age) {
        return NGX_HTTP_TEE_CLIENT_FRESH;
    }

    fresh = f->h1.max_age > f->h1.age ? f->h1.max_age - f->h1.age : 0;

    /* what is not asked in between must not be wrong for long */

    max = list->apart ? NGX_HTTP_TEE_CLIENT_FRESH
                      : NGX_HTTP_TEE_CLIENT_FRESH_MAX;

    fresh = ngx_min(fresh, max);

    return ngx_max(fresh, NGX_HTTP_TEE_CLIENT_FRESH_MIN);
}


static time_t
ngx_http_tee_client_list_failed(ngx_http_tee_client_list_t *list,
    const char *why)
{
    time_t  wait;

    if (list->failures++ == 0) {
        ngx_log_error(NGX_LOG_ERR, list->timer.log, 0,
                      "tee client: keys of \"%V\" cannot be fetched: %s",
                      &list->source, why);
    }

    wait = NGX_HTTP_TEE_CLIENT_HURRY << ngx_min(list->failures - 1, 6);

    return ngx_min(wait, NGX_HTTP_TEE_CLIENT_RETRY_MAX);
}


/* Not all workers, and not all clients, at a time. */

static void
ngx_http_tee_client_list_again(ngx_http_tee_client_list_t *list,
    time_t seconds)
{
    ngx_msec_t  wait;

    wait = (ngx_msec_t) seconds * 1000;
    wait -= wait / 10 * (ngx_random() % 100) / 100;

    ngx_add_timer(&list->timer, wait + 1);
}
