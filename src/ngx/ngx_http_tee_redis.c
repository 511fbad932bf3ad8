
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <ngx_http_tee_keys.h>
#include <ngx_http_tee_redis.h>

#include <hiredis/hiredis.h>
#include <hiredis/async.h>


/*
 * A Redis server over hiredis, whose connection is one of nginx.  Nothing
 * waits: a command has a timer of its own, and when that ends the connection
 * is given up, since what comes behind in it is not faster.  The next attempt
 * is made for a command, but not before a pause, during which the server is
 * away.
 */

#define NGX_HTTP_TEE_REDIS_PAUSE      100          /* milliseconds */
#define NGX_HTTP_TEE_REDIS_MAX_PAUSE  5000


struct ngx_http_tee_redis_s {
    ngx_str_t              url;
    ngx_str_t              auth;                   /* the file */
    ngx_str_t              password;               /* memory of its own */
    u_char                *host;                   /* an address, or a path */
    in_port_t              port;
    unsigned               local:1;                /* a Unix socket */

    /* of this worker */
    unsigned               away:1;
    unsigned               quiet:1;
    ngx_uint_t             pending;
    ngx_msec_t             pause;
    ngx_msec_t             again;                  /* not before, if a pause */
    struct ngx_http_tee_redis_link_s  *link;
};


/* One connection; its events outlive what the worker thinks of it. */

typedef struct ngx_http_tee_redis_link_s {
    ngx_http_tee_redis_t  *redis;
    redisAsyncContext     *ac;
    ngx_connection_t      *connection;
} ngx_http_tee_redis_link_t;


/* One command. */

typedef struct {
    ngx_http_tee_redis_t  *redis;
    ngx_int_t              away;
    ngx_http_tee_replay_pt handler;
    void                  *data;
    ngx_event_t            timer;
} ngx_http_tee_redis_ask_t;


static ngx_int_t ngx_http_tee_redis_server(ngx_conf_t *cf,
    ngx_http_tee_redis_t *redis, ngx_str_t *url, ngx_str_t *auth);
static void ngx_http_tee_redis_cleanup(void *data);
static ngx_int_t ngx_http_tee_redis_connect(ngx_http_tee_redis_t *redis);
static void ngx_http_tee_redis_close(ngx_http_tee_redis_t *redis);
static void ngx_http_tee_redis_failed(ngx_http_tee_redis_t *redis,
    const char *why);
static void ngx_http_tee_redis_answer(redisAsyncContext *ac, void *reply,
    void *data);
static void ngx_http_tee_redis_authorized(redisAsyncContext *ac, void *reply,
    void *data);
static void ngx_http_tee_redis_timeout(ngx_event_t *ev);
static void ngx_http_tee_redis_idle(ngx_http_tee_redis_t *redis);
static void ngx_http_tee_redis_read_handler(ngx_event_t *rev);
static void ngx_http_tee_redis_write_handler(ngx_event_t *wev);
static void ngx_http_tee_redis_add_read(void *data);
static void ngx_http_tee_redis_del_read(void *data);
static void ngx_http_tee_redis_add_write(void *data);
static void ngx_http_tee_redis_del_write(void *data);
static void ngx_http_tee_redis_detach(void *data);


ngx_http_tee_redis_t *
ngx_http_tee_redis_conf(ngx_conf_t *cf, ngx_array_t *servers, ngx_str_t *url,
    ngx_str_t *auth)
{
    ngx_uint_t              i;
    ngx_pool_cleanup_t     *cln;
    ngx_http_tee_redis_t   *redis, **slot;

    slot = servers->elts;

    for (i = 0; i < servers->nelts; i++) {
        if (slot[i]->url.len == url->len
            && slot[i]->auth.len == auth->len
            && ngx_strncmp(slot[i]->url.data, url->data, url->len) == 0
            && ngx_strncmp(slot[i]->auth.data, auth->data, auth->len) == 0)
        {
            return slot[i];
        }
    }

    redis = ngx_pcalloc(cf->pool, sizeof(ngx_http_tee_redis_t));
    slot = ngx_array_push(servers);
    cln = ngx_pool_cleanup_add(cf->pool, 0);

    if (redis == NULL || slot == NULL || cln == NULL) {
        return NULL;
    }

    *slot = redis;

    cln->handler = ngx_http_tee_redis_cleanup;
    cln->data = redis;

    redis->url = *url;
    redis->auth = *auth;

    return ngx_http_tee_redis_server(cf, redis, url, auth) == NGX_OK ? redis
                                                                    : NULL;
}


static ngx_int_t
ngx_http_tee_redis_server(ngx_conf_t *cf, ngx_http_tee_redis_t *redis,
    ngx_str_t *url, ngx_str_t *auth)
{
    size_t      len;
    u_char     *p;
    ngx_str_t   file;
    ngx_url_t   u;

    ngx_memzero(&u, sizeof(ngx_url_t));

    u.url = *url;
    u.default_port = 6379;

    if (ngx_parse_url(cf->pool, &u) != NGX_OK || u.naddrs == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "%s in redis \"%V\"",
                           u.err ? u.err : "no address", url);
        return NGX_ERROR;
    }

    if (u.family == AF_UNIX) {
        redis->local = 1;
        len = url->len - 5;
        p = url->data + 5;

    } else {
        /* "hiredis" would look names up, and keep everybody waiting */

        redis->port = ngx_inet_get_port(u.addrs[0].sockaddr);

        p = ngx_pnalloc(cf->pool, NGX_SOCKADDR_STRLEN);
        if (p == NULL) {
            return NGX_ERROR;
        }

        len = ngx_sock_ntop(u.addrs[0].sockaddr, u.addrs[0].socklen, p,
                            NGX_SOCKADDR_STRLEN, 0);

        if (p[0] == '[') {
            p++;
            len -= 2;
        }
    }

    redis->host = ngx_pcalloc(cf->pool, len + 1);
    if (redis->host == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(redis->host, p, len);

    if (auth->len == 0) {
        return NGX_OK;
    }

    file = *auth;

    if (ngx_conf_full_name(cf->cycle, &file, 1) != NGX_OK
        || ngx_http_tee_secret_read(cf, "password", &file, 1024,
                                    &redis->password, NULL)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    /* one line */

    p = redis->password.data;

    for (len = redis->password.len; len; len--) {
        if (p[len - 1] != '\n' && p[len - 1] != '\r') {
            break;
        }
    }

    redis->password.len = len;

    return NGX_OK;
}


static void
ngx_http_tee_redis_cleanup(void *data)
{
    ngx_http_tee_redis_t  *redis = data;

    ngx_http_tee_redis_exit(redis);

    if (redis->password.data) {
        ngx_http_tee_secret_free(redis->password.data);
        redis->password.data = NULL;
    }
}


void
ngx_http_tee_redis_exit(ngx_http_tee_redis_t *redis)
{
    redis->quiet = 1;

    ngx_http_tee_redis_close(redis);
}


ngx_int_t
ngx_http_tee_redis_add(ngx_http_tee_redis_t *redis, const u_char digest[16],
    time_t ttl, ngx_msec_t timeout, ngx_int_t away,
    ngx_http_tee_replay_pt handler, void *data)
{
    int                        n;
    u_char                     key[sizeof("tee_replay:") + 32];
    ngx_http_tee_redis_ask_t  *ask;

    if (redis->link == NULL && ngx_http_tee_redis_connect(redis) != NGX_OK) {
        return away;
    }

    ask = ngx_calloc(sizeof(ngx_http_tee_redis_ask_t), ngx_cycle->log);
    if (ask == NULL) {
        return away;
    }

    ask->redis = redis;
    ask->away = away;
    ask->handler = handler;
    ask->data = data;

    ask->timer.handler = ngx_http_tee_redis_timeout;
    ask->timer.data = ask;
    ask->timer.log = ngx_cycle->log;

    *ngx_hex_dump(ngx_cpymem(key, "tee_replay:", 11), (u_char *) digest, 16)
        = '\0';

    n = redisAsyncCommand(redis->link->ac, ngx_http_tee_redis_answer, ask,
                          "SET %s 1 NX PX %lld", (char *) key,
                          (long long) ttl * 1000);

    if (n != REDIS_OK) {
        ngx_free(ask);
        return away;
    }

    redis->pending++;
    redis->link->connection->idle = 0;

    ngx_add_timer(&ask->timer, timeout);

    return NGX_AGAIN;
}


static ngx_int_t
ngx_http_tee_redis_connect(ngx_http_tee_redis_t *redis)
{
    const char                 *why;
    ngx_connection_t           *c;
    redisAsyncContext          *ac;
    ngx_http_tee_redis_link_t  *link;

    if (redis->quiet
        || (redis->pause
            && (ngx_msec_int_t) (redis->again - ngx_current_msec) > 0))
    {
        return NGX_DECLINED;
    }

    link = ngx_calloc(sizeof(ngx_http_tee_redis_link_t), ngx_cycle->log);
    if (link == NULL) {
        return NGX_ERROR;
    }

    ac = redis->local ? redisAsyncConnectUnix((char *) redis->host)
                      : redisAsyncConnect((char *) redis->host, redis->port);

    if (ac == NULL || ac->err) {
        why = ac ? ac->errstr : "no memory";
        goto failed;
    }

    if (fcntl(ac->c.fd, F_SETFD, FD_CLOEXEC) == -1) {
        why = "FD_CLOEXEC cannot be set";
        goto failed;
    }

    c = ngx_get_connection(ac->c.fd, ngx_cycle->log);

    if (c == NULL) {
        why = "worker_connections are not enough";
        goto failed;
    }

    c->data = link;
    c->log = ngx_cycle->log;
    c->number = ngx_atomic_fetch_add(ngx_connection_counter, 1);
    c->read->log = c->log;
    c->write->log = c->log;
    c->read->handler = ngx_http_tee_redis_read_handler;
    c->write->handler = ngx_http_tee_redis_write_handler;

    link->redis = redis;
    link->ac = ac;
    link->connection = c;
    redis->link = link;

    ac->data = redis;
    ac->ev.data = link;
    ac->ev.addRead = ngx_http_tee_redis_add_read;
    ac->ev.delRead = ngx_http_tee_redis_del_read;
    ac->ev.addWrite = ngx_http_tee_redis_add_write;
    ac->ev.delWrite = ngx_http_tee_redis_del_write;
    ac->ev.cleanup = ngx_http_tee_redis_detach;

    if (redis->password.len
        && redisAsyncCommand(ac, ngx_http_tee_redis_authorized, NULL,
                             "AUTH %b", redis->password.data,
                             redis->password.len)
           != REDIS_OK)
    {
        ngx_http_tee_redis_failed(redis, "no memory");
        return NGX_ERROR;
    }

    return NGX_OK;

failed:

    ngx_http_tee_redis_failed(redis, why);

    if (ac) {
        redisAsyncFree(ac);
    }

    ngx_free(link);

    return NGX_ERROR;
}


/* What has been asked gets its answer: NULL. */

static void
ngx_http_tee_redis_close(ngx_http_tee_redis_t *redis)
{
    ngx_http_tee_redis_link_t  *link;

    link = redis->link;

    if (link) {
        redis->link = NULL;
        redisAsyncFree(link->ac);
    }
}


static void
ngx_http_tee_redis_failed(ngx_http_tee_redis_t *redis, const char *why)
{
    redis->pause = redis->pause ? ngx_min(2 * redis->pause,
                                          NGX_HTTP_TEE_REDIS_MAX_PAUSE)
                                : NGX_HTTP_TEE_REDIS_PAUSE;
    redis->again = ngx_current_msec + redis->pause;

    if (!redis->away) {
        redis->away = 1;

        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "tee replay: redis \"%V\" is away: %s",
                      &redis->url, why);
    }

    ngx_http_tee_redis_close(redis);
}


static void
ngx_http_tee_redis_answer(redisAsyncContext *ac, void *reply, void *data)
{
    ngx_http_tee_redis_ask_t  *ask = data;

    void                    *to;
    ngx_int_t                rc;
    redisReply              *r = reply;
    ngx_http_tee_redis_t    *redis;
    ngx_http_tee_replay_pt   handler;

    redis = ask->redis;
    handler = ask->handler;
    to = ask->data;
    rc = ask->away;

    if (ask->timer.timer_set) {
        ngx_del_timer(&ask->timer);
    }

    ngx_free(ask);
    redis->pending--;

    if (redis->quiet) {
        return;
    }

    if (r && r->type == REDIS_REPLY_STATUS) {
        rc = NGX_OK;

    } else if (r && r->type == REDIS_REPLY_NIL) {
        rc = NGX_DECLINED;

    } else if (redis->link && redis->link->ac == ac) {

        /* the first to hear of it */

        if (r == NULL) {
            redis->link = NULL;
        }

        ngx_http_tee_redis_failed(redis,
                                  r == NULL
                                  ? (ac->errstr[0] ? ac->errstr : "closed")
                                  : r->type == REDIS_REPLY_ERROR
                                    ? r->str : "unexpected answer");
    }

    if (r && (r->type == REDIS_REPLY_STATUS || r->type == REDIS_REPLY_NIL)) {
        redis->pause = 0;

        if (redis->away) {
            redis->away = 0;

            ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                          "tee replay: redis \"%V\" answers again",
                          &redis->url);
        }
    }

    ngx_http_tee_redis_idle(redis);

    handler(to, rc);
}


static void
ngx_http_tee_redis_authorized(redisAsyncContext *ac, void *reply, void *data)
{
    redisReply            *r = reply;
    ngx_http_tee_redis_t  *redis = ac->data;

    if (redis->quiet || redis->link == NULL || redis->link->ac != ac) {
        return;
    }

    if (r == NULL) {
        redis->link = NULL;
        ngx_http_tee_redis_failed(redis, ac->errstr[0] ? ac->errstr
                                                       : "closed");

    } else if (r->type == REDIS_REPLY_ERROR) {
        ngx_http_tee_redis_failed(redis, r->str);
    }
}


/* Frees what has been asked, this command included. */

static void
ngx_http_tee_redis_timeout(ngx_event_t *ev)
{
    ngx_http_tee_redis_ask_t  *ask = ev->data;

    ngx_http_tee_redis_failed(ask->redis, "timed out");
}


/* A connection that nobody waits for does not keep a worker from ending. */

static void
ngx_http_tee_redis_idle(ngx_http_tee_redis_t *redis)
{
    if (redis->pending || redis->link == NULL) {
        return;
    }

    if (ngx_exiting) {
        ngx_http_tee_redis_close(redis);
        return;
    }

    redis->link->connection->idle = 1;
}


static void
ngx_http_tee_redis_read_handler(ngx_event_t *rev)
{
    ngx_connection_t           *c;
    ngx_http_tee_redis_t       *redis;
    ngx_http_tee_redis_link_t  *link;

    c = rev->data;
    link = c->data;
    redis = link->redis;

    if (c->close) {
        if (redis->link == link) {
            redis->link = NULL;
        }

        redisAsyncFree(link->ac);
        return;
    }

    if (redis->pending) {
        redisAsyncHandleRead(link->ac);
        return;
    }

    /* nothing has been asked: the server closes it, and that is its right */

    if (redis->link == link) {
        redis->link = NULL;
    }

    redisAsyncFree(link->ac);
}


static void
ngx_http_tee_redis_write_handler(ngx_event_t *wev)
{
    ngx_connection_t           *c;
    ngx_http_tee_redis_link_t  *link;

    c = wev->data;
    link = c->data;

    redisAsyncHandleWrite(link->ac);
}


/* Events are level-triggered: hiredis reads a piece at a time. */

static void
ngx_http_tee_redis_add_read(void *data)
{
    ngx_http_tee_redis_link_t  *link = data;

    if (!link->connection->read->active) {
        (void) ngx_add_event(link->connection->read, NGX_READ_EVENT,
                             NGX_LEVEL_EVENT);
    }
}


static void
ngx_http_tee_redis_del_read(void *data)
{
    ngx_http_tee_redis_link_t  *link = data;

    if (link->connection->read->active) {
        (void) ngx_del_event(link->connection->read, NGX_READ_EVENT, 0);
    }
}


static void
ngx_http_tee_redis_add_write(void *data)
{
    ngx_http_tee_redis_link_t  *link = data;

    if (!link->connection->write->active) {
        (void) ngx_add_event(link->connection->write, NGX_WRITE_EVENT,
                             NGX_LEVEL_EVENT);
    }
}


static void
ngx_http_tee_redis_del_write(void *data)
{
    ngx_http_tee_redis_link_t  *link = data;

    if (link->connection->write->active) {
        (void) ngx_del_event(link->connection->write, NGX_WRITE_EVENT, 0);
    }
}


/* The descriptor is closed by hiredis, after this. */

static void
ngx_http_tee_redis_detach(void *data)
{
    ngx_connection_t           *c;
    ngx_http_tee_redis_link_t  *link = data;

    c = link->connection;

    ngx_http_tee_redis_del_read(link);
    ngx_http_tee_redis_del_write(link);

    if (c->read->posted) {
        ngx_delete_posted_event(c->read);
    }

    if (c->write->posted) {
        ngx_delete_posted_event(c->write);
    }

    if (link->redis->link == link) {
        link->redis->link = NULL;
    }

    ngx_reusable_connection(c, 0);
    ngx_free_connection(c);
    c->fd = (ngx_socket_t) -1;

    ngx_free(link);
}
