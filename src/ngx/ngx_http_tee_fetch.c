
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <ngx_http_tee.h>


/*
 * A small HTTP client for a worker: one call at a time over a connection of
 * its own, never blocking.  The connection is idle in the sense of a graceful
 * shutdown, which therefore ends a call at once.
 */


#define NGX_HTTP_TEE_FETCH_MAX_HEAD  16384
#define NGX_HTTP_TEE_FETCH_IN        65536


static void ngx_http_tee_fetch_start(ngx_event_t *ev);
static void ngx_http_tee_fetch_begin(ngx_http_tee_fetch_t *f);
static void ngx_http_tee_fetch_resolve(ngx_http_tee_fetch_t *f);
static void ngx_http_tee_fetch_resolved(ngx_resolver_ctx_t *ctx);
static void ngx_http_tee_fetch_connect(ngx_http_tee_fetch_t *f);
static void ngx_http_tee_fetch_connected(ngx_http_tee_fetch_t *f);
static void ngx_http_tee_fetch_ssl_init(ngx_http_tee_fetch_t *f);
static void ngx_http_tee_fetch_handshaked(ngx_connection_t *c);
static ngx_int_t ngx_http_tee_fetch_verify(ngx_http_tee_fetch_t *f);
static void ngx_http_tee_fetch_write_handler(ngx_event_t *wev);
static void ngx_http_tee_fetch_wait_handler(ngx_event_t *rev);
static void ngx_http_tee_fetch_read_handler(ngx_event_t *rev);
static void ngx_http_tee_fetch_idle_handler(ngx_event_t *rev);
static void ngx_http_tee_fetch_empty_handler(ngx_event_t *ev);
static ngx_int_t ngx_http_tee_fetch_take(ngx_http_tee_fetch_t *f,
    u_char *data, size_t len);
static ngx_int_t ngx_http_tee_fetch_append(ngx_http_tee_fetch_t *f,
    tee_str_t *piece);
static void ngx_http_tee_fetch_deadline(ngx_event_t *ev);
static void ngx_http_tee_fetch_next(ngx_http_tee_fetch_t *f,
    ngx_http_tee_reg_counter_e error, const char *why);
static void ngx_http_tee_fetch_done(ngx_http_tee_fetch_t *f,
    ngx_http_tee_reg_counter_e error, const char *why);
static void ngx_http_tee_fetch_disconnect(ngx_http_tee_fetch_t *f);


ngx_http_tee_fetch_t *
ngx_http_tee_fetch_create(ngx_http_tee_server_t *server, ngx_pool_t *pool,
    ngx_log_t *log)
{
    ngx_http_tee_fetch_t  *f;

    f = ngx_pcalloc(pool, sizeof(ngx_http_tee_fetch_t));
    if (f == NULL) {
        return NULL;
    }

    f->server = server;
    f->pool = pool;
    f->log = log;

    f->in.start = ngx_palloc(pool, NGX_HTTP_TEE_FETCH_IN);
    if (f->in.start == NULL) {
        return NULL;
    }

    f->in.end = f->in.start + NGX_HTTP_TEE_FETCH_IN;

    f->deadline.handler = ngx_http_tee_fetch_deadline;
    f->deadline.data = f;
    f->deadline.log = log;
    f->deadline.cancelable = 1;

    f->start.handler = ngx_http_tee_fetch_start;
    f->start.data = f;
    f->start.log = log;

    return f;
}


/* The handler is never called from inside, but with a later event. */

void
ngx_http_tee_fetch_send(ngx_http_tee_fetch_t *f, const char *type,
    u_char *body, size_t len)
{
    size_t                  size;
    ngx_http_tee_server_t  *s;

    s = f->server;

    size = sizeof("POST  HTTP/1.1" CRLF
                  "Host: " CRLF
                  "User-Agent: ngx_http_tee/" NGX_HTTP_TEE_VERSION CRLF
                  "Accept: " CRLF
                  "Content-Type: " CRLF
                  "Content-Length: " CRLF CRLF)
           + s->uri.len + s->host_header.len + 2 * ngx_strlen(type)
           + NGX_SIZE_T_LEN + len;

    if (size > (size_t) (f->request.end - f->request.start)) {
        f->request.start = ngx_palloc(f->pool, size);
        f->request.end = f->request.start ? f->request.start + size : NULL;
    }

    f->active = 1;
    f->received = 0;
    f->addr = 0;

    ngx_add_timer(&f->deadline, s->timeout);
    ngx_post_event(&f->start, &ngx_posted_events);

    if (f->request.start == NULL) {
        return;
    }

    f->request.last = ngx_sprintf(f->request.start,
                          "%s %V HTTP/1.1" CRLF
                          "Host: %V" CRLF
                          "User-Agent: ngx_http_tee/" NGX_HTTP_TEE_VERSION CRLF
                          "Accept: %s" CRLF,
                          body ? "POST" : "GET", &s->uri, &s->host_header,
                          type);

    if (body == NULL) {
        f->request.last = ngx_cpymem(f->request.last, CRLF, 2);
        return;
    }

    f->request.last = ngx_sprintf(f->request.last,
                                  "Content-Type: %s" CRLF
                                  "Content-Length: %uz" CRLF CRLF,
                                  type, len);
    f->request.last = ngx_cpymem(f->request.last, body, len);
}


static void
ngx_http_tee_fetch_start(ngx_event_t *ev)
{
    ngx_http_tee_fetch_t  *f = ev->data;

    if (f->request.start == NULL) {
        ngx_http_tee_fetch_done(f, NGX_HTTP_TEE_REG_CONNECT, "no memory");
        return;
    }

    ngx_http_tee_fetch_begin(f);
}


static void
ngx_http_tee_fetch_begin(ngx_http_tee_fetch_t *f)
{
    ngx_connection_t  *c;

    f->request.pos = f->request.start;
    f->body_len = 0;

    tee_h1_init(&f->h1, NGX_HTTP_TEE_FETCH_MAX_HEAD,
                f->server->max_response);

    c = f->peer.connection;

    if (c) {
        f->reused = 1;
        c->read->handler = ngx_http_tee_fetch_read_handler;
        c->write->handler = ngx_http_tee_fetch_write_handler;
        ngx_post_event(c->write, &ngx_posted_events);
        return;
    }

    f->reused = 0;

    if (f->server->naddrs) {
        f->addrs = f->server->addrs;
        f->naddrs = f->server->naddrs;
        ngx_http_tee_fetch_connect(f);
        return;
    }

    ngx_http_tee_fetch_resolve(f);
}


static void
ngx_http_tee_fetch_resolve(ngx_http_tee_fetch_t *f)
{
    ngx_resolver_ctx_t  *ctx, temp;

    ngx_memzero(&temp, sizeof(ngx_resolver_ctx_t));
    temp.name = f->server->host;

    ctx = ngx_resolve_start(f->server->resolver, &temp);

    if (ctx == NULL || ctx == NGX_NO_RESOLVER) {
        ngx_http_tee_fetch_next(f, NGX_HTTP_TEE_REG_CONNECT,
                                "no resolver for its name");
        return;
    }

    ctx->name = f->server->host;
    ctx->handler = ngx_http_tee_fetch_resolved;
    ctx->data = f;
    ctx->timeout = f->server->resolver_timeout;
    ctx->cancelable = 1;

    f->resolving = ctx;

    if (ngx_resolve_name(ctx) != NGX_OK) {
        f->resolving = NULL;
        ngx_http_tee_fetch_next(f, NGX_HTTP_TEE_REG_CONNECT,
                                "its name cannot be resolved");
    }
}


static void
ngx_http_tee_fetch_resolved(ngx_resolver_ctx_t *ctx)
{
    ngx_uint_t             i;
    ngx_addr_t            *addr;
    ngx_http_tee_fetch_t  *f = ctx->data;

    f->resolving = NULL;

    if (ctx->state || ctx->naddrs == 0) {
        ngx_resolve_name_done(ctx);
        ngx_http_tee_fetch_next(f, NGX_HTTP_TEE_REG_CONNECT,
                                "its name cannot be resolved");
        return;
    }

    if (f->addr_pool) {
        ngx_destroy_pool(f->addr_pool);
        f->addrs = NULL;
        f->naddrs = 0;
    }

    f->addr_pool = ngx_create_pool(512, f->log);

    if (f->addr_pool) {
        f->addrs = ngx_pcalloc(f->addr_pool,
                               ctx->naddrs * sizeof(ngx_addr_t));
    }

    if (f->addr_pool == NULL || f->addrs == NULL) {
        ngx_resolve_name_done(ctx);
        ngx_http_tee_fetch_next(f, NGX_HTTP_TEE_REG_CONNECT, "no memory");
        return;
    }

    for (i = 0; i < ctx->naddrs; i++) {
        addr = &f->addrs[f->naddrs];

        addr->socklen = ctx->addrs[i].socklen;
        addr->sockaddr = ngx_palloc(f->addr_pool, addr->socklen);
        if (addr->sockaddr == NULL) {
            break;
        }

        ngx_memcpy(addr->sockaddr, ctx->addrs[i].sockaddr, addr->socklen);
        ngx_inet_set_port(addr->sockaddr, f->server->port);
        addr->name = f->server->host;

        f->naddrs++;
    }

    ngx_resolve_name_done(ctx);

    ngx_http_tee_fetch_connect(f);
}


static void
ngx_http_tee_fetch_connect(ngx_http_tee_fetch_t *f)
{
    ngx_int_t          rc;
    ngx_addr_t        *addr;
    ngx_connection_t  *c;

    if (f->addr >= f->naddrs) {
        ngx_http_tee_fetch_next(f, NGX_HTTP_TEE_REG_CONNECT,
                                "cannot be reached");
        return;
    }

    addr = &f->addrs[f->addr];

    ngx_memzero(&f->peer, sizeof(ngx_peer_connection_t));

    f->peer.sockaddr = addr->sockaddr;
    f->peer.socklen = addr->socklen;
    f->peer.name = &addr->name;
    f->peer.get = ngx_event_get_peer;
    f->peer.log = f->log;
    f->peer.log_error = NGX_ERROR_INFO;

    rc = ngx_event_connect_peer(&f->peer);

    if (rc == NGX_ERROR || rc == NGX_BUSY || rc == NGX_DECLINED) {
        f->addr++;
        ngx_http_tee_fetch_next(f, NGX_HTTP_TEE_REG_CONNECT,
                                "cannot be reached");
        return;
    }

    c = f->peer.connection;

    c->data = f;
    c->idle = 1;
    c->log = f->log;
    c->read->log = c->log;
    c->write->log = c->log;

    c->read->handler = ngx_http_tee_fetch_wait_handler;
    c->write->handler = ngx_http_tee_fetch_write_handler;

    c->pool = ngx_create_pool(256, c->log);
    if (c->pool == NULL) {
        ngx_http_tee_fetch_next(f, NGX_HTTP_TEE_REG_CONNECT, "no memory");
        return;
    }

    if (rc == NGX_AGAIN) {
        ngx_add_timer(c->write, f->server->connect_timeout);
        c->write->cancelable = 1;
        return;
    }

    ngx_http_tee_fetch_connected(f);
}


static void
ngx_http_tee_fetch_connected(ngx_http_tee_fetch_t *f)
{
    ngx_connection_t  *c;

    c = f->peer.connection;

    if (f->server->https && c->ssl == NULL) {
        ngx_http_tee_fetch_ssl_init(f);
        return;
    }

    ngx_http_tee_fetch_write_handler(c->write);
}


static void
ngx_http_tee_fetch_ssl_init(ngx_http_tee_fetch_t *f)
{
    ngx_int_t               rc;
    ngx_connection_t       *c;
    ngx_http_tee_server_t  *s;

    s = f->server;
    c = f->peer.connection;

    if (ngx_ssl_create_connection(s->ssl, c, NGX_SSL_BUFFER|NGX_SSL_CLIENT)
        != NGX_OK)
    {
        ngx_http_tee_fetch_next(f, NGX_HTTP_TEE_REG_TLS, "no memory");
        return;
    }

    if (!s->literal
        && SSL_set_tlsext_host_name(c->ssl->connection,
                                    (char *) s->host.data)
           == 0)
    {
        ngx_http_tee_fetch_next(f, NGX_HTTP_TEE_REG_TLS, "bad server name");
        return;
    }

    c->log->action = "SSL handshaking to a registry RPC";

    rc = ngx_ssl_handshake(c);

    if (rc == NGX_AGAIN) {
        if (!c->write->timer_set) {
            ngx_add_timer(c->write, s->connect_timeout);
            c->write->cancelable = 1;
        }

        c->ssl->handler = ngx_http_tee_fetch_handshaked;
        return;
    }

    ngx_http_tee_fetch_handshaked(c);
}


static void
ngx_http_tee_fetch_handshaked(ngx_connection_t *c)
{
    ngx_http_tee_fetch_t  *f = c->data;

    if (c->read->timer_set) {
        ngx_del_timer(c->read);
    }

    if (c->write->timer_set) {
        ngx_del_timer(c->write);
    }

    if (c->close) {
        ngx_http_tee_fetch_next(f, NGX_HTTP_TEE_REG_CONNECT, "shutting down");
        return;
    }

    if (!c->ssl->handshaked) {
        ngx_http_tee_fetch_next(f, NGX_HTTP_TEE_REG_TLS,
                                "TLS handshake failed");
        return;
    }

    if (ngx_http_tee_fetch_verify(f) != NGX_OK) {
        ngx_http_tee_fetch_next(f, NGX_HTTP_TEE_REG_TLS,
                                "certificate is not trusted or for "
                                "another name");
        return;
    }

    c->read->handler = ngx_http_tee_fetch_wait_handler;
    c->write->handler = ngx_http_tee_fetch_write_handler;

    ngx_http_tee_fetch_write_handler(c->write);
}


static ngx_int_t
ngx_http_tee_fetch_verify(ngx_http_tee_fetch_t *f)
{
    long               rc;
    X509              *cert;
    ngx_int_t          ok;
    ngx_connection_t  *c;

    c = f->peer.connection;

    /* nginx's own callback lets every handshake go on */

    rc = SSL_get_verify_result(c->ssl->connection);

    if (rc != X509_V_OK) {
        ngx_log_error(NGX_LOG_INFO, c->log, 0,
                      "tee registry: RPC certificate verify error: (%l:%s)",
                      rc, X509_verify_cert_error_string(rc));
        return NGX_ERROR;
    }

    if (!f->server->literal) {
        return ngx_ssl_check_host(c, &f->server->host);
    }

    cert = SSL_get_peer_certificate(c->ssl->connection);
    if (cert == NULL) {
        return NGX_ERROR;
    }

    ok = X509_check_ip_asc(cert, (char *) f->server->host.data, 0);

    X509_free(cert);

    return ok == 1 ? NGX_OK : NGX_ERROR;
}


static void
ngx_http_tee_fetch_write_handler(ngx_event_t *wev)
{
    int                    err;
    ssize_t                n;
    socklen_t              len;
    ngx_connection_t      *c;
    ngx_http_tee_fetch_t  *f;

    c = wev->data;
    f = c->data;

    if (wev->timedout) {
        ngx_http_tee_fetch_next(f, NGX_HTTP_TEE_REG_TIMEOUT,
                                "timed out while connecting or sending");
        return;
    }

    if (!f->reused && c->sent == 0 && c->ssl == NULL) {
        err = 0;
        len = sizeof(int);

        if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, (void *) &err, &len)
            == -1)
        {
            err = ngx_socket_errno;
        }

        if (err) {
            f->addr++;
            ngx_http_tee_fetch_next(f, NGX_HTTP_TEE_REG_CONNECT,
                                    "cannot be reached");
            return;
        }

        if (f->server->https) {
            if (wev->timer_set) {
                ngx_del_timer(wev);
            }

            ngx_http_tee_fetch_ssl_init(f);
            return;
        }
    }

    while (f->request.pos < f->request.last) {
        n = c->send(c, f->request.pos, f->request.last - f->request.pos);

        if (n == NGX_ERROR) {
            ngx_http_tee_fetch_next(f, NGX_HTTP_TEE_REG_CONNECT,
                                    "closed the connection");
            return;
        }

        if (n == NGX_AGAIN) {
            ngx_add_timer(wev, f->server->send_timeout);
            wev->cancelable = 1;

            if (ngx_handle_write_event(wev, 0) != NGX_OK) {
                ngx_http_tee_fetch_next(f, NGX_HTTP_TEE_REG_CONNECT,
                                        "event error");
            }

            return;
        }

        f->request.pos += n;
    }

    if (wev->timer_set) {
        ngx_del_timer(wev);
    }

    wev->handler = ngx_http_tee_fetch_empty_handler;
    c->read->handler = ngx_http_tee_fetch_read_handler;

    if (ngx_handle_write_event(wev, 0) != NGX_OK) {
        ngx_http_tee_fetch_next(f, NGX_HTTP_TEE_REG_CONNECT, "event error");
        return;
    }

    if (!c->read->timer_set) {
        ngx_add_timer(c->read, f->server->read_timeout);
        c->read->cancelable = 1;
    }

    /* TLS may have read the answer already */

    ngx_post_event(c->read, &ngx_posted_events);
}


/* Until it is connected, the write event tells how that went. */

static void
ngx_http_tee_fetch_wait_handler(ngx_event_t *rev)
{
    ngx_connection_t  *c;

    c = rev->data;

    if (c->close) {
        ngx_http_tee_fetch_done(c->data, NGX_HTTP_TEE_REG_CONNECT,
                                "shutting down");
    }
}


static void
ngx_http_tee_fetch_read_handler(ngx_event_t *rev)
{
    ssize_t                n;
    ngx_int_t              rc;
    ngx_uint_t             turns;
    ngx_connection_t      *c;
    ngx_http_tee_fetch_t  *f;

    c = rev->data;
    f = c->data;

    if (c->close) {
        ngx_http_tee_fetch_done(f, NGX_HTTP_TEE_REG_CONNECT, "shutting down");
        return;
    }

    if (rev->timedout) {
        ngx_http_tee_fetch_next(f, NGX_HTTP_TEE_REG_TIMEOUT,
                                "timed out while answering");
        return;
    }

    for (turns = 0; turns < 16; turns++) {

        n = c->recv(c, f->in.start, f->in.end - f->in.start);

        if (n == NGX_AGAIN) {
            break;
        }

        if (n == 0 || n == NGX_ERROR) {

            if (n == 0 && tee_h1_eof(&f->h1) == TEE_DONE) {
                ngx_http_tee_fetch_disconnect(f);
                ngx_http_tee_fetch_done(f, 0, NULL);
                return;
            }

            if (f->received) {
                ngx_http_tee_fetch_next(f, NGX_HTTP_TEE_REG_HTTP,
                                        "closed the connection in the middle "
                                        "of its response");
                return;
            }

            ngx_http_tee_fetch_next(f, NGX_HTTP_TEE_REG_CONNECT,
                                    "closed the connection");
            return;
        }

        f->received = 1;

        rc = ngx_http_tee_fetch_take(f, f->in.start, n);

        if (rc != NGX_AGAIN) {
            return;
        }
    }

    ngx_add_timer(rev, f->server->read_timeout);

    if (turns == 16) {
        /* a fast peer must not keep the others waiting */
        ngx_post_event(rev, &ngx_posted_next_events);
        return;
    }

    if (ngx_handle_read_event(rev, 0) != NGX_OK) {
        ngx_http_tee_fetch_next(f, NGX_HTTP_TEE_REG_CONNECT, "event error");
    }
}


/* NGX_AGAIN: more is needed; else the call has ended and f may be gone. */

static ngx_int_t
ngx_http_tee_fetch_take(ngx_http_tee_fetch_t *f, u_char *data, size_t len)
{
    tee_rc_t           rc;
    tee_str_t          in, piece;
    ngx_connection_t  *c;

    in.data = data;
    in.len = len;

    do {
        rc = tee_h1_read(&f->h1, &in, &piece);

        if (rc == TEE_LIMIT) {
            ngx_http_tee_fetch_next(f, NGX_HTTP_TEE_REG_TOO_LARGE,
                                    "response is larger than "
                                    "\"rpc_max_response\"");
            return NGX_ERROR;
        }

        if (rc < 0) {
            ngx_http_tee_fetch_next(f, NGX_HTTP_TEE_REG_HTTP,
                                    "response is not valid HTTP");
            return NGX_ERROR;
        }

        if (f->h1.head_done && f->h1.status != 200) {
            (void) ngx_snprintf((u_char *) f->why, sizeof(f->why),
                                "answered HTTP status %ui%Z",
                                (ngx_uint_t) f->h1.status);
            ngx_http_tee_fetch_next(f, NGX_HTTP_TEE_REG_HTTP, f->why);
            return NGX_ERROR;
        }

        if (piece.len
            && ngx_http_tee_fetch_append(f, &piece) != NGX_OK)
        {
            ngx_http_tee_fetch_next(f, NGX_HTTP_TEE_REG_TOO_LARGE,
                                    "no memory for its response");
            return NGX_ERROR;
        }

    } while (rc == TEE_OK && (in.len || piece.len));

    if (rc != TEE_DONE) {
        return NGX_AGAIN;
    }

    c = f->peer.connection;

    if (!f->h1.keepalive || in.len || c->read->eof) {
        ngx_http_tee_fetch_disconnect(f);

    } else {
        if (c->read->timer_set) {
            ngx_del_timer(c->read);
        }

        c->read->handler = ngx_http_tee_fetch_idle_handler;

        if (ngx_handle_read_event(c->read, 0) != NGX_OK) {
            ngx_http_tee_fetch_disconnect(f);
        }
    }

    ngx_http_tee_fetch_done(f, 0, NULL);

    return NGX_OK;
}


static ngx_int_t
ngx_http_tee_fetch_append(ngx_http_tee_fetch_t *f, tee_str_t *piece)
{
    size_t   room;
    u_char  *p;

    if (f->body_len + piece->len > f->body_room) {

        /* known lengths at once, else by doubling; realloc() remaps */

        room = ngx_max(2 * f->body_room, 16384);

        if (f->h1.known_length) {
            room = (size_t) f->h1.content_length;
        }

        room = ngx_max(room, f->body_len + piece->len);

        p = realloc(f->body, room);
        if (p == NULL) {
            return NGX_ERROR;
        }

        f->body = p;
        f->body_room = room;
    }

    ngx_memcpy(f->body + f->body_len, piece->data, piece->len);
    f->body_len += piece->len;

    return NGX_OK;
}


static void
ngx_http_tee_fetch_idle_handler(ngx_event_t *rev)
{
    ngx_connection_t  *c;

    c = rev->data;

    /* closed, or spoken to out of turn */

    ngx_http_tee_fetch_disconnect(c->data);
}


static void
ngx_http_tee_fetch_empty_handler(ngx_event_t *ev)
{
    ngx_log_debug0(NGX_LOG_DEBUG_EVENT, ev->log, 0, "tee fetch empty");
}


static void
ngx_http_tee_fetch_deadline(ngx_event_t *ev)
{
    ngx_http_tee_fetch_t  *f = ev->data;

    ngx_http_tee_fetch_done(f, NGX_HTTP_TEE_REG_TIMEOUT,
                            "took longer than \"rpc_timeout\"");
}


/*
 * Tries the next address, or a new connection when a kept one turns out to be
 * closed.  The calls only read, so sending one twice does no harm.
 */

static void
ngx_http_tee_fetch_next(ngx_http_tee_fetch_t *f,
    ngx_http_tee_reg_counter_e error, const char *why)
{
    if (error == NGX_HTTP_TEE_REG_CONNECT
        && !ngx_exiting && !ngx_terminate && !ngx_quit)
    {
        if (f->reused && !f->received) {
            ngx_http_tee_fetch_disconnect(f);
            ngx_http_tee_fetch_begin(f);
            return;
        }

        if (!f->received && f->addr > 0 && f->addr < f->naddrs) {
            ngx_http_tee_fetch_disconnect(f);
            ngx_http_tee_fetch_connect(f);
            return;
        }
    }

    ngx_http_tee_fetch_done(f, error, why);
}


static void
ngx_http_tee_fetch_done(ngx_http_tee_fetch_t *f,
    ngx_http_tee_reg_counter_e error, const char *why)
{
    if (!f->active) {
        return;
    }

    f->active = 0;

    if (f->deadline.timer_set) {
        ngx_del_timer(&f->deadline);
    }

    if (why) {
        ngx_http_tee_fetch_disconnect(f);
    }

    f->handler(f, error, why);
}


static void
ngx_http_tee_fetch_disconnect(ngx_http_tee_fetch_t *f)
{
    ngx_connection_t  *c;

    if (f->resolving) {
        ngx_resolve_name_done(f->resolving);
        f->resolving = NULL;
    }

    c = f->peer.connection;

    if (c == NULL) {
        return;
    }

    f->peer.connection = NULL;

    ngx_http_tee_close(c);
}


void
ngx_http_tee_fetch_close(ngx_http_tee_fetch_t *f)
{
    f->active = 0;

    if (f->start.posted) {
        ngx_delete_posted_event(&f->start);
    }

    if (f->deadline.timer_set) {
        ngx_del_timer(&f->deadline);
    }

    ngx_http_tee_fetch_disconnect(f);

    if (f->addr_pool) {
        ngx_destroy_pool(f->addr_pool);
        f->addr_pool = NULL;
    }

    free(f->body);
    f->body = NULL;
    f->body_room = 0;
}
