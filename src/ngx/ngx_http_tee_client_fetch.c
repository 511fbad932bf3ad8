
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

/* At most so often is it asked because of a key that is not known, or of a
 * failure; each one more doubles the time. */

#define NGX_HTTP_TEE_CLIENT_HURRY      5       /* seconds */
#define NGX_HTTP_TEE_CLIENT_RETRY_MAX  300


static ngx_int_t ngx_http_tee_client_keys_server(ngx_conf_t *cf,
    ngx_http_tee_client_keys_t *keys, ngx_url_t *u);
static ngx_int_t ngx_http_tee_client_keys_ssl(ngx_conf_t *cf,
    ngx_http_tee_client_keys_t *keys);
static void ngx_http_tee_client_keys_timer(ngx_event_t *ev);
static void ngx_http_tee_client_keys_ask(ngx_http_tee_client_keys_t *keys);
static void ngx_http_tee_client_keys_wake(ngx_event_t *ev);
static void ngx_http_tee_client_keys_handler(ngx_http_tee_fetch_t *f,
    ngx_http_tee_reg_counter_e error, const char *why);
static void ngx_http_tee_client_keys_fetched(ngx_http_tee_client_keys_t *keys,
    ngx_http_tee_fetch_t *f);
static void ngx_http_tee_client_keys_failed(ngx_http_tee_client_keys_t *keys,
    const char *why);
static void ngx_http_tee_client_keys_again(ngx_http_tee_client_keys_t *keys,
    time_t seconds);


char *
ngx_http_tee_client_keys_url(ngx_conf_t *cf, ngx_str_t *url,
    ngx_str_t *trusted, ngx_http_tee_client_keys_t **keys)
{
    ngx_url_t  u;
    ngx_str_t  ca;

    ca = *trusted;

    if (ca.len && ngx_conf_full_name(cf->cycle, &ca, 1) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    *keys = ngx_http_tee_client_keys_get(cf, url, &ca);

    if (*keys == NULL) {
        return NGX_CONF_ERROR;
    }

    if ((*keys)->server) {
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

    if (ngx_http_tee_client_keys_server(cf, *keys, &u) != NGX_OK
        || ngx_http_tee_client_keys_ssl(cf, *keys) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_tee_client_keys_server(ngx_conf_t *cf,
    ngx_http_tee_client_keys_t *keys, ngx_url_t *u)
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

    s->url = keys->source;
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

    keys->server = s;

    return NGX_OK;
}


static ngx_int_t
ngx_http_tee_client_keys_ssl(ngx_conf_t *cf,
    ngx_http_tee_client_keys_t *keys)
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

    keys->server->ssl = ssl;

    if (keys->trusted.len == 0) {
        return SSL_CTX_set_default_verify_paths(ssl->ctx) == 1
               ? NGX_OK : NGX_ERROR;
    }

    return ngx_ssl_trusted_certificate(cf, ssl, &keys->trusted, 5);
}


ngx_int_t
ngx_http_tee_client_keys_start(ngx_cycle_t *cycle,
    ngx_http_tee_client_keys_t *keys)
{
    if (keys->server == NULL) {
        return NGX_OK;
    }

    keys->pool = ngx_create_pool(1024, cycle->log);
    if (keys->pool == NULL) {
        return NGX_ERROR;
    }

    keys->fetch = ngx_http_tee_fetch_create(keys->server, keys->pool,
                                            cycle->log);
    if (keys->fetch == NULL) {
        return NGX_ERROR;
    }

    keys->fetch->handler = ngx_http_tee_client_keys_handler;
    keys->fetch->data = keys;

    keys->timer.handler = ngx_http_tee_client_keys_timer;
    keys->timer.data = keys;
    keys->timer.log = cycle->log;
    keys->timer.cancelable = 1;

    ngx_add_timer(&keys->timer, 1);

    /* not cancelable: who waits for it are requests */

    keys->wake.handler = ngx_http_tee_client_keys_wake;
    keys->wake.data = keys;
    keys->wake.log = cycle->log;

    return NGX_OK;
}


void
ngx_http_tee_client_keys_stop(ngx_http_tee_client_keys_t *keys)
{
    ngx_queue_t                 *q;
    ngx_http_tee_client_wait_t  *wait;

    if (keys->fetch) {
        ngx_http_tee_fetch_close(keys->fetch);
        keys->fetch = NULL;
    }

    if (keys->pool) {
        ngx_destroy_pool(keys->pool);
        keys->pool = NULL;
    }

    if (keys->timer.timer_set) {
        ngx_del_timer(&keys->timer);
    }

    if (keys->wake.timer_set) {
        ngx_del_timer(&keys->wake);
    }

    while (!ngx_queue_empty(&keys->waiting)) {
        q = ngx_queue_head(&keys->waiting);
        ngx_queue_remove(q);

        wait = ngx_queue_data(q, ngx_http_tee_client_wait_t, queue);
        wait->waiting = 0;
    }

    free(keys->list.data);
    keys->list.data = NULL;
    keys->usable = keys->server ? 0 : keys->usable;
}


static void
ngx_http_tee_client_keys_timer(ngx_event_t *ev)
{
    ngx_http_tee_client_keys_t  *keys = ev->data;

    if (ngx_exiting || ngx_terminate || ngx_quit || keys->fetch->active) {
        return;
    }

    ngx_http_tee_client_keys_ask(keys);
}


static void
ngx_http_tee_client_keys_ask(ngx_http_tee_client_keys_t *keys)
{
    keys->asked = ngx_current_msec;

    ngx_http_tee_fetch_send(keys->fetch, "application/ohttp-keys", NULL, 0);
}


void
ngx_http_tee_client_keys_hurry(ngx_http_tee_client_keys_t *keys)
{
    ngx_msec_t  passed;

    if (keys->fetch == NULL || keys->fetch->active || keys->failures) {
        return;
    }

    passed = (ngx_current_msec - keys->asked) / 1000;

    ngx_http_tee_client_keys_again(keys,
                                   passed < NGX_HTTP_TEE_CLIENT_HURRY
                                   ? NGX_HTTP_TEE_CLIENT_HURRY - passed : 0);
}


ngx_int_t
ngx_http_tee_client_keys_wait(ngx_http_tee_client_keys_t *keys,
    ngx_http_tee_client_wait_t *wait)
{
    if (keys->fetch == NULL || ngx_exiting || ngx_terminate || ngx_quit) {
        return NGX_DECLINED;
    }

    if (!keys->fetch->active) {

        if (keys->failures
            || ngx_current_msec - keys->asked
               < NGX_HTTP_TEE_CLIENT_HURRY * 1000)
        {
            ngx_http_tee_client_keys_hurry(keys);
            return NGX_DECLINED;
        }

        ngx_http_tee_client_keys_ask(keys);
    }

    /* an exiting worker does not leave before whoever waits here */

    if (!keys->wake.timer_set) {
        ngx_add_timer(&keys->wake, 2 * keys->server->timeout);
    }

    wait->waiting = 1;
    ngx_queue_insert_tail(&keys->waiting, &wait->queue);

    return NGX_AGAIN;
}


void
ngx_http_tee_client_keys_wait_cancel(ngx_http_tee_client_keys_t *keys,
    ngx_http_tee_client_wait_t *wait)
{
    if (!wait->waiting) {
        return;
    }

    wait->waiting = 0;
    ngx_queue_remove(&wait->queue);

    if (ngx_queue_empty(&keys->waiting) && keys->wake.timer_set) {
        ngx_del_timer(&keys->wake);
    }
}


static void
ngx_http_tee_client_keys_wake(ngx_event_t *ev)
{
    ngx_http_tee_client_keys_t  *keys = ev->data;

    ngx_queue_t                  woken, *q;
    ngx_http_tee_client_wait_t  *wait;

    if (ngx_queue_empty(&keys->waiting)) {
        return;
    }

    /* some may wait again, and some let others go */

    ngx_queue_init(&woken);
    ngx_queue_add(&woken, &keys->waiting);
    ngx_queue_init(&keys->waiting);

    while (!ngx_queue_empty(&woken)) {
        q = ngx_queue_head(&woken);
        ngx_queue_remove(q);

        wait = ngx_queue_data(q, ngx_http_tee_client_wait_t, queue);

        wait->waiting = 0;
        wait->handler(wait->data);
    }
}


static void
ngx_http_tee_client_keys_handler(ngx_http_tee_fetch_t *f,
    ngx_http_tee_reg_counter_e error, const char *why)
{
    ngx_http_tee_client_keys_t  *keys = f->data;

    keys->asked = ngx_current_msec;

    if (!ngx_exiting && !ngx_terminate && !ngx_quit) {

        if (why) {
            ngx_http_tee_client_keys_failed(keys, why);

        } else {
            ngx_http_tee_client_keys_fetched(keys, f);
        }
    }

    if (!ngx_queue_empty(&keys->waiting)) {
        ngx_add_timer(&keys->wake, 0);
    }
}


static void
ngx_http_tee_client_keys_fetched(ngx_http_tee_client_keys_t *keys,
    ngx_http_tee_fetch_t *f)
{
    time_t      fresh;
    ngx_str_t   list;
    ngx_uint_t  same;

    list.data = f->body;
    list.len = f->body_len;

    same = list.len == keys->list.len
           && ngx_memcmp(list.data, keys->list.data, list.len) == 0;

    if (!same || !keys->usable) {

        if (list.len == 0
            || ngx_http_tee_client_keys_take(keys, &list) != TEE_OK)
        {
            ngx_http_tee_client_keys_failed(keys, "no list with a usable key");
            return;
        }

        ngx_log_error(NGX_LOG_NOTICE, keys->timer.log, 0,
                      "tee client: keys of \"%V\" are %s, id %ui",
                      &keys->source, keys->list.data ? "new" : "there",
                      (ngx_uint_t) keys->key.header.id);

        free(keys->list.data);

        keys->list = list;

        f->body = NULL;
        f->body_room = 0;
    }

    keys->failures = 0;

    fresh = NGX_HTTP_TEE_CLIENT_FRESH;

    if (f->h1.has_max_age) {
        fresh = f->h1.max_age > f->h1.age ? f->h1.max_age - f->h1.age : 0;
        fresh = ngx_min(fresh, NGX_HTTP_TEE_CLIENT_FRESH_MAX);
        fresh = ngx_max(fresh, NGX_HTTP_TEE_CLIENT_FRESH_MIN);
    }

    ngx_http_tee_client_keys_again(keys, fresh);
}


static void
ngx_http_tee_client_keys_failed(ngx_http_tee_client_keys_t *keys,
    const char *why)
{
    time_t  wait;

    if (keys->failures++ == 0) {
        ngx_log_error(NGX_LOG_ERR, keys->timer.log, 0,
                      "tee client: keys of \"%V\" cannot be fetched: %s",
                      &keys->source, why);
    }

    wait = NGX_HTTP_TEE_CLIENT_HURRY << ngx_min(keys->failures - 1, 6);

    ngx_http_tee_client_keys_again(keys,
                               ngx_min(wait, NGX_HTTP_TEE_CLIENT_RETRY_MAX));
}


/* Not all workers, and not all clients, at a time. */

static void
ngx_http_tee_client_keys_again(ngx_http_tee_client_keys_t *keys,
    time_t seconds)
{
    ngx_msec_t  wait;

    wait = (ngx_msec_t) seconds * 1000;
    wait -= wait / 10 * (ngx_random() % 100) / 100;

    ngx_add_timer(&keys->timer, wait + 1);
}
