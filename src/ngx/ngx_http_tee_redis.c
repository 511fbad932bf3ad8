
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <ngx_http_tee_keys.h>
#include <ngx_http_tee_redis.h>

#include <hiredis/hiredis.h>


/*
 * A Redis server.  hiredis writes commands and reads answers; the connection
 * is nginx's own, since hiredis looks names up while everybody waits, and ends
 * the process when there is an answer to nothing.
 *
 * A command has a timer, and when that ends the connection is given up, as
 * what comes behind in it is not faster.  The next one is made for a command,
 * but not before a pause, during which the server is away.  The timer begins
 * when the command has been sent, which is after everything else of a turn of
 * the event loop: what a busy worker takes is not the server's time.
 */

#define NGX_HTTP_TEE_REDIS_PAUSE      100          /* milliseconds */
#define NGX_HTTP_TEE_REDIS_MAX_PAUSE  5000
#define NGX_HTTP_TEE_REDIS_OUT        65536
#define NGX_HTTP_TEE_REDIS_ANSWER     4096         /* no answer is longer */


typedef struct ngx_http_tee_redis_link_s  ngx_http_tee_redis_link_t;


/* Of the cycle's pool. */

struct ngx_http_tee_redis_s {
    ngx_str_t                   url;
    ngx_str_t                   auth;              /* the file */
    ngx_str_t                   password;          /* memory of its own */
    ngx_addr_t                 *addrs;
    ngx_uint_t                  naddrs;

    /* of this worker */
    ngx_http_tee_redis_link_t  *link;
    ngx_uint_t                  addr;
    ngx_msec_t                  pause;             /* 0: none */
    ngx_msec_t                  again;             /* its end */
    unsigned                    away:1;
    unsigned                    quiet:1;
};


/* A connection, allocated by itself. */

struct ngx_http_tee_redis_link_s {
    ngx_http_tee_redis_t       *redis;
    ngx_peer_connection_t       peer;
    redisReader                *reader;
    ngx_queue_t                 asks;              /* oldest first */
    ngx_buf_t                   out;
    ngx_msec_t                  timeout;           /* of connecting, sending */
    size_t                      fed;               /* since an answer */
    int                         type;              /* of the last answer */
    char                        text[128];
    unsigned                    auth:1;            /* its answer comes first */
};


/* One command, allocated by itself. */

typedef struct {
    ngx_queue_t                 queue;
    ngx_http_tee_redis_t       *redis;
    ngx_int_t                   away;
    ngx_http_tee_replay_pt      handler;
    void                       *data;
    ngx_msec_t                  timeout;
    ngx_event_t                 timer;
    unsigned                    sent:1;
} ngx_http_tee_redis_ask_t;


#if (HIREDIS_MAJOR >= 1)
typedef size_t  ngx_http_tee_redis_count_t;
#else
typedef int  ngx_http_tee_redis_count_t;
#endif


static ngx_int_t ngx_http_tee_redis_password(ngx_conf_t *cf,
    ngx_http_tee_redis_t *redis);
static void ngx_http_tee_redis_cleanup(void *data);
static ngx_int_t ngx_http_tee_redis_away(ngx_int_t away);
static ngx_int_t ngx_http_tee_redis_command(ngx_http_tee_redis_link_t *link,
    char *command, int len);
static ngx_int_t ngx_http_tee_redis_connect(ngx_http_tee_redis_t *redis,
    ngx_msec_t timeout);
static void ngx_http_tee_redis_failed(ngx_http_tee_redis_t *redis,
    const char *why);
static void ngx_http_tee_redis_close(ngx_http_tee_redis_t *redis);
static void ngx_http_tee_redis_end(ngx_http_tee_redis_ask_t *ask,
    ngx_int_t rc);
static void ngx_http_tee_redis_timeout(ngx_event_t *ev);
static void ngx_http_tee_redis_write_handler(ngx_event_t *wev);
static void ngx_http_tee_redis_sent(ngx_http_tee_redis_link_t *link);
static void ngx_http_tee_redis_read_handler(ngx_event_t *rev);
static ngx_int_t ngx_http_tee_redis_read(ngx_http_tee_redis_link_t *link);
static ngx_int_t ngx_http_tee_redis_answer(ngx_http_tee_redis_link_t *link);
static void *ngx_http_tee_redis_string(const redisReadTask *task, char *text,
    size_t len);
static void *ngx_http_tee_redis_array(const redisReadTask *task,
    ngx_http_tee_redis_count_t n);
static void *ngx_http_tee_redis_integer(const redisReadTask *task,
    long long n);
static void *ngx_http_tee_redis_nil(const redisReadTask *task);
static void ngx_http_tee_redis_nothing(void *object);


/* An answer is noted in the link, so that nothing is allocated for one. */

static redisReplyObjectFunctions  ngx_http_tee_redis_objects = {
    .createString = ngx_http_tee_redis_string,
    .createArray = ngx_http_tee_redis_array,
    .createInteger = ngx_http_tee_redis_integer,
    .createNil = ngx_http_tee_redis_nil,
    .freeObject = ngx_http_tee_redis_nothing
};


ngx_http_tee_redis_t *
ngx_http_tee_redis_conf(ngx_conf_t *cf, ngx_array_t *servers, ngx_str_t *url,
    ngx_str_t *auth)
{
    ngx_url_t              u;
    ngx_uint_t             i;
    ngx_pool_cleanup_t    *cln;
    ngx_http_tee_redis_t  *redis, **slot;

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
    if (redis == NULL) {
        return NULL;
    }

    cln = ngx_pool_cleanup_add(cf->pool, 0);
    if (cln == NULL) {
        return NULL;
    }

    cln->handler = ngx_http_tee_redis_cleanup;
    cln->data = redis;

    slot = ngx_array_push(servers);
    if (slot == NULL) {
        return NULL;
    }

    *slot = redis;

    redis->url = *url;
    redis->auth = *auth;

    ngx_memzero(&u, sizeof(ngx_url_t));

    u.url = *url;
    u.default_port = 6379;

    if (ngx_parse_url(cf->pool, &u) != NGX_OK || u.naddrs == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "%s in redis \"%V\"",
                           u.err ? u.err : "no address", url);
        return NULL;
    }

    redis->addrs = u.addrs;
    redis->naddrs = u.naddrs;

    if (auth->len && ngx_http_tee_redis_password(cf, redis) != NGX_OK) {
        return NULL;
    }

    return redis;
}


static ngx_int_t
ngx_http_tee_redis_password(ngx_conf_t *cf, ngx_http_tee_redis_t *redis)
{
    u_char     *p;
    size_t      len;
    ngx_str_t   file;

    file = redis->auth;

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
    char                      *command;
    u_char                     key[32];
    ngx_connection_t          *c;
    ngx_http_tee_redis_ask_t  *ask;

    if (redis->link == NULL
        && ngx_http_tee_redis_connect(redis, timeout) != NGX_OK)
    {
        return ngx_http_tee_redis_away(away);
    }

    ask = ngx_calloc(sizeof(ngx_http_tee_redis_ask_t), ngx_cycle->log);
    if (ask == NULL) {
        return ngx_http_tee_redis_away(away);
    }

    ngx_hex_dump(key, (u_char *) digest, 16);

    n = redisFormatCommand(&command, "SET tee_replay:%b 1 NX PX %lld",
                           key, sizeof(key), (long long) ttl * 1000);

    if (ngx_http_tee_redis_command(redis->link, command, n) != NGX_OK) {
        ngx_free(ask);
        return ngx_http_tee_redis_away(away);
    }

    ask->redis = redis;
    ask->away = away;
    ask->handler = handler;
    ask->data = data;

    ask->timeout = timeout;

    ask->timer.handler = ngx_http_tee_redis_timeout;
    ask->timer.data = ask;
    ask->timer.log = ngx_cycle->log;

    ngx_queue_insert_tail(&redis->link->asks, &ask->queue);

    /* with whatever else is asked in this turn */

    c = redis->link->peer.connection;
    c->idle = 0;

    if (c->write->ready) {
        ngx_post_event(c->write, &ngx_posted_events);
    }

    return NGX_AGAIN;
}


/* What is refused is counted by the one who does that. */

static ngx_int_t
ngx_http_tee_redis_away(ngx_int_t away)
{
    if (away == NGX_OK) {
        ngx_http_tee_count(NGX_HTTP_TEE_GATEWAY_AWAY);
    }

    return away;
}


static ngx_int_t
ngx_http_tee_redis_command(ngx_http_tee_redis_link_t *link, char *command,
    int len)
{
    ngx_int_t   rc;
    ngx_buf_t  *b;

    if (len <= 0) {
        return NGX_ERROR;
    }

    b = &link->out;
    rc = NGX_ERROR;

    if (b->end - b->last < len) {
        b->last = ngx_movemem(b->start, b->pos, b->last - b->pos);
        b->pos = b->start;
    }

    if (b->end - b->last >= len) {
        b->last = ngx_cpymem(b->last, command, len);
        rc = NGX_OK;
    }

    tee_wipe(command, len);
    redisFreeCommand(command);

    return rc;
}


static ngx_int_t
ngx_http_tee_redis_connect(ngx_http_tee_redis_t *redis, ngx_msec_t timeout)
{
    int                         n;
    char                       *command;
    ngx_int_t                   rc;
    ngx_addr_t                 *addr;
    ngx_connection_t           *c;
    ngx_http_tee_redis_link_t  *link;

    if (redis->quiet
        || (redis->pause
            && (ngx_msec_int_t) (redis->again - ngx_current_msec) > 0))
    {
        return NGX_DECLINED;
    }

    link = ngx_calloc(sizeof(ngx_http_tee_redis_link_t)
                      + NGX_HTTP_TEE_REDIS_OUT, ngx_cycle->log);
    if (link == NULL) {
        return NGX_ERROR;
    }

    redis->link = link;

    link->redis = redis;
    link->out.start = (u_char *) link + sizeof(ngx_http_tee_redis_link_t);
    link->out.pos = link->out.start;
    link->out.last = link->out.start;
    link->out.end = link->out.start + NGX_HTTP_TEE_REDIS_OUT;
    ngx_queue_init(&link->asks);

    link->reader = redisReaderCreateWithFunctions(&ngx_http_tee_redis_objects);

    if (link->reader == NULL) {
        ngx_http_tee_redis_failed(redis, "no memory");
        return NGX_ERROR;
    }

    link->reader->privdata = link;

    addr = &redis->addrs[redis->addr++ % redis->naddrs];

    link->peer.sockaddr = addr->sockaddr;
    link->peer.socklen = addr->socklen;
    link->peer.name = &addr->name;
    link->peer.get = ngx_event_get_peer;
    link->peer.log = ngx_cycle->log;
    link->peer.log_error = NGX_ERROR_INFO;

    rc = ngx_event_connect_peer(&link->peer);

    if (rc == NGX_ERROR || rc == NGX_BUSY || rc == NGX_DECLINED) {
        ngx_http_tee_redis_failed(redis, "cannot be reached");
        return NGX_ERROR;
    }

    c = link->peer.connection;
    c->data = link;
    c->log = ngx_cycle->log;
    c->read->log = c->log;
    c->write->log = c->log;
    c->read->handler = ngx_http_tee_redis_read_handler;
    c->write->handler = ngx_http_tee_redis_write_handler;

    ngx_time_update();
    ngx_add_timer(c->write, timeout);
    link->timeout = timeout;

    if (redis->password.len == 0) {
        return NGX_OK;
    }

    link->auth = 1;

    n = redisFormatCommand(&command, "AUTH %b", redis->password.data,
                           redis->password.len);

    if (ngx_http_tee_redis_command(link, command, n) != NGX_OK) {
        ngx_http_tee_redis_failed(redis, "no memory");
        return NGX_ERROR;
    }

    return NGX_OK;
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


/* What has been asked is answered; that may lead to another connection. */

static void
ngx_http_tee_redis_close(ngx_http_tee_redis_t *redis)
{
    ngx_queue_t                *q;
    ngx_http_tee_redis_ask_t   *ask;
    ngx_http_tee_redis_link_t  *link;

    link = redis->link;

    if (link == NULL) {
        return;
    }

    redis->link = NULL;

    if (link->peer.connection) {
        ngx_close_connection(link->peer.connection);
    }

    while (!ngx_queue_empty(&link->asks)) {
        q = ngx_queue_head(&link->asks);
        ask = ngx_queue_data(q, ngx_http_tee_redis_ask_t, queue);

        ngx_http_tee_redis_end(ask, ngx_http_tee_redis_away(ask->away));
    }

    if (link->reader) {
        redisReaderFree(link->reader);
    }

    tee_wipe(link->out.start, NGX_HTTP_TEE_REDIS_OUT);
    ngx_free(link);
}


static void
ngx_http_tee_redis_end(ngx_http_tee_redis_ask_t *ask, ngx_int_t rc)
{
    void                    *data;
    ngx_uint_t               quiet;
    ngx_http_tee_replay_pt   handler;

    handler = ask->handler;
    data = ask->data;
    quiet = ask->redis->quiet;

    if (ask->timer.timer_set) {
        ngx_del_timer(&ask->timer);
    }

    ngx_queue_remove(&ask->queue);
    ngx_free(ask);

    if (!quiet && handler) {
        handler(data, rc);
    }
}


/* Its place stays: answers come in order. */

void
ngx_http_tee_redis_forget(ngx_http_tee_redis_t *redis, void *data)
{
    ngx_queue_t               *q;
    ngx_http_tee_redis_ask_t  *ask;

    if (redis->link == NULL) {
        return;
    }

    for (q = ngx_queue_head(&redis->link->asks);
         q != ngx_queue_sentinel(&redis->link->asks);
         q = ngx_queue_next(q))
    {
        ask = ngx_queue_data(q, ngx_http_tee_redis_ask_t, queue);

        if (ask->data == data) {
            ask->handler = NULL;
        }
    }
}


static void
ngx_http_tee_redis_timeout(ngx_event_t *ev)
{
    ngx_http_tee_redis_ask_t  *ask = ev->data;

    ngx_http_tee_redis_failed(ask->redis, "timed out");
}


static void
ngx_http_tee_redis_write_handler(ngx_event_t *wev)
{
    ssize_t                     n;
    ngx_buf_t                  *b;
    ngx_connection_t           *c;
    ngx_http_tee_redis_link_t  *link;

    c = wev->data;
    link = c->data;
    b = &link->out;

    if (wev->timedout) {
        ngx_http_tee_redis_failed(link->redis, "timed out");
        return;
    }

    while (b->pos < b->last) {
        n = c->send(c, b->pos, b->last - b->pos);

        if (n == NGX_AGAIN) {

            if (!wev->timer_set) {
                ngx_add_timer(wev, link->timeout);
            }

            break;
        }

        if (n == NGX_ERROR || n == 0) {
            ngx_http_tee_redis_failed(link->redis, "cannot be reached");
            return;
        }

        b->pos += n;
    }

    if (b->pos == b->last) {
        b->pos = b->start;
        b->last = b->start;

        if (wev->timer_set) {
            ngx_del_timer(wev);
        }

        ngx_http_tee_redis_sent(link);
    }

    if (ngx_handle_write_event(wev, 0) != NGX_OK) {
        ngx_http_tee_redis_failed(link->redis, "event error");
    }
}


static void
ngx_http_tee_redis_sent(ngx_http_tee_redis_link_t *link)
{
    ngx_queue_t               *q;
    ngx_http_tee_redis_ask_t  *ask;

    ngx_time_update();

    for (q = ngx_queue_last(&link->asks);
         q != ngx_queue_sentinel(&link->asks);
         q = ngx_queue_prev(q))
    {
        ask = ngx_queue_data(q, ngx_http_tee_redis_ask_t, queue);

        if (ask->sent) {
            break;
        }

        ask->sent = 1;
        ngx_add_timer(&ask->timer, ask->timeout);
    }
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
        ngx_http_tee_redis_close(redis);
        return;
    }

    if (ngx_http_tee_redis_read(link) != NGX_OK) {
        return;
    }

    if (ngx_handle_read_event(rev, 0) != NGX_OK) {
        ngx_http_tee_redis_failed(redis, "event error");
        return;
    }

    if (!ngx_queue_empty(&link->asks)) {
        return;
    }

    /* one that nobody waits for does not keep a worker from ending */

    if (ngx_exiting) {
        ngx_http_tee_redis_close(redis);
        return;
    }

    c->idle = 1;
}


/* NGX_OK if the link is still there. */

static ngx_int_t
ngx_http_tee_redis_read(ngx_http_tee_redis_link_t *link)
{
    void                  *reply;
    u_char                 buf[1024];
    ssize_t                n;
    ngx_connection_t      *c;
    ngx_http_tee_redis_t  *redis;

    redis = link->redis;
    c = link->peer.connection;

    for ( ;; ) {
        n = c->recv(c, buf, sizeof(buf));

        if (n == NGX_AGAIN) {
            return NGX_OK;
        }

        if (n == NGX_ERROR || n == 0) {

            if (ngx_queue_empty(&link->asks)) {

                /* it may end what is not used */

                ngx_http_tee_redis_close(redis);

            } else {
                ngx_http_tee_redis_failed(redis, n == 0
                                                 ? "closed the connection"
                                                 : "cannot be reached");
            }

            return NGX_DONE;
        }

        link->fed += n;

        if (link->fed > NGX_HTTP_TEE_REDIS_ANSWER
            || redisReaderFeed(link->reader, (char *) buf, n) != REDIS_OK)
        {
            ngx_http_tee_redis_failed(redis, "sends too much");
            return NGX_DONE;
        }

        for ( ;; ) {

            if (redisReaderGetReply(link->reader, &reply) != REDIS_OK) {
                ngx_http_tee_redis_failed(redis, "is no Redis");
                return NGX_DONE;
            }

            if (reply == NULL) {
                break;
            }

            link->fed = 0;

            if (ngx_http_tee_redis_answer(link) != NGX_OK) {
                return NGX_DONE;
            }
        }
    }
}


static ngx_int_t
ngx_http_tee_redis_answer(ngx_http_tee_redis_link_t *link)
{
    ngx_int_t                  rc;
    ngx_queue_t               *q;
    ngx_http_tee_redis_t      *redis;
    ngx_http_tee_redis_ask_t  *ask;

    redis = link->redis;

    if (link->type == REDIS_REPLY_ERROR) {
        ngx_http_tee_redis_failed(redis, link->text);
        return NGX_DONE;
    }

    if (link->auth && link->type == REDIS_REPLY_STATUS) {
        link->auth = 0;
        return NGX_OK;
    }

    if (link->auth
        || ngx_queue_empty(&link->asks)
        || (link->type != REDIS_REPLY_STATUS && link->type != REDIS_REPLY_NIL))
    {
        ngx_http_tee_redis_failed(redis, "is no Redis");
        return NGX_DONE;
    }

    rc = link->type == REDIS_REPLY_STATUS ? NGX_OK : NGX_DECLINED;

    redis->pause = 0;

    if (redis->away) {
        redis->away = 0;

        ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                      "tee replay: redis \"%V\" answers again", &redis->url);
    }

    q = ngx_queue_head(&link->asks);
    ask = ngx_queue_data(q, ngx_http_tee_redis_ask_t, queue);

    ngx_http_tee_redis_end(ask, rc);

    return redis->link == link ? NGX_OK : NGX_DONE;
}


static void *
ngx_http_tee_redis_string(const redisReadTask *task, char *text, size_t len)
{
    size_t                      i;
    ngx_http_tee_redis_link_t  *link = task->privdata;

    link->type = task->type;

    /* for the log */

    len = ngx_min(len, sizeof(link->text) - 1);

    for (i = 0; i < len; i++) {
        link->text[i] = text[i] < 0x20 || text[i] > 0x7e ? '?' : text[i];
    }

    link->text[len] = '\0';

    return link;
}


/* No answer is one. */

static void *
ngx_http_tee_redis_array(const redisReadTask *task,
    ngx_http_tee_redis_count_t n)
{
    return NULL;
}


static void *
ngx_http_tee_redis_integer(const redisReadTask *task, long long n)
{
    ngx_http_tee_redis_link_t  *link = task->privdata;

    link->type = task->type;

    return link;
}


static void *
ngx_http_tee_redis_nil(const redisReadTask *task)
{
    ngx_http_tee_redis_link_t  *link = task->privdata;

    link->type = REDIS_REPLY_NIL;

    return link;
}


static void
ngx_http_tee_redis_nothing(void *object)
{
    /* void */
}
