
/*
 * Copyright (C) The ngx_http_tee authors
 */


/*
 * Load for a gateway: seals requests ahead of time, each of them another one,
 * since a gateway refuses replays, then sends them over connections that stay
 * and waits for the answers.  Some of these are opened.
 *
 *     load KEY whole|chunked|plain CONNECTIONS COUNT SIZE PORT OUTER INNER
 *
 * KEY is the hex of a public key of X25519 with the id 1, for AES-128-GCM;
 * requests are POST with SIZE bytes, GET if there are none.  "plain" sends the
 * same requests to INNER without a seal.  Prints requests, seconds, and bytes
 * that came.
 */


#define _POSIX_C_SOURCE  200809L

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <openssl/rand.h>

#include <tee_bhttp.h>
#include <tee_ohttp.h>


#define LOAD_CHECK      97                     /* one of so many is opened */
#define LOAD_ROOM       (256 * 1024)
#define LOAD_AUTHORITY  "inside.example"


typedef enum {
    LOAD_PLAIN = 0,
    LOAD_WHOLE,
    LOAD_CHUNKED
} load_form_t;


typedef struct {
    uint8_t                   *bytes;
    size_t                     len;
    tee_ohttp_request_seal_t  *seal;           /* NULL: not to be opened */
} load_request_t;


typedef struct {
    int                        fd;
    load_request_t            *request;        /* NULL: none is under way */
    size_t                     sent;
    uint8_t                   *in;             /* head, or all to be opened */
    size_t                     len;
    size_t                     room;
    size_t                     head;           /* 0: not complete */
    size_t                     left;           /* of what is told its length */
    unsigned                   chunk_state;
    unsigned                   chunked:1;
} load_conn_t;


typedef struct {
    load_form_t                form;
    size_t                     size;
    unsigned                   port;
    const char                *outer;
    const char                *inner;
    uint8_t                    pk[32];
    tee_crypto_t              *crypto;
    uint64_t                   bytes;
    uint8_t                    buf[LOAD_ROOM];
} load_t;


static void
load_check(int ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "load: %s\n", what);
        exit(1);
    }
}


static void *
load_malloc(void *ctx, size_t size)
{
    (void) ctx;

    return malloc(size);
}


static void
load_release(void *ctx, void *p)
{
    (void) ctx;

    free(p);
}


static const tee_alloc_t  load_alloc = { load_malloc, load_release, NULL };


static tee_str_t
load_str(const void *p, size_t len)
{
    tee_str_t  s;

    s.len = len;
    s.data = p;

    return s;
}


static tee_str_t
load_text(const char *text)
{
    return load_str(text, strlen(text));
}


static void
load_content(load_t *l, tee_write_t *w)
{
    size_t  n;

    memset(l->buf, 'x', sizeof(l->buf));

    for (n = l->size; n > sizeof(l->buf); n -= sizeof(l->buf)) {
        tee_write_bytes(w, l->buf, sizeof(l->buf));
    }

    tee_write_bytes(w, l->buf, n);
}


static void
load_message(load_t *l, tee_write_t *w)
{
    tee_write_t  section;

    tee_write_grow(&section, &load_alloc);
    tee_bhttp_write_field(&section, load_text("content-type"),
                          load_text("application/octet-stream"));
    tee_bhttp_write_field(&section, load_text("accept"), load_text("*/*"));
    load_check(tee_write_rc(&section) == TEE_OK, "no memory");

    tee_bhttp_write_request(w, 0, load_text(l->size ? "POST" : "GET"),
                            load_text("https"), load_text(LOAD_AUTHORITY),
                            load_text(l->inner));
    tee_bhttp_write_section(w, 0, load_str(section.data, section.len));
    tee_bhttp_write_content(w, l->size);
    load_content(l, w);
    tee_bhttp_write_section(w, 0, load_str(NULL, 0));

    tee_write_free(&section);
}


static void
load_head(load_t *l, tee_write_t *w, const char *path, const char *type,
    size_t len)
{
    char  head[512];

    if (len) {
        snprintf(head, sizeof(head),
                 "POST %s HTTP/1.1\r\nHost: " LOAD_AUTHORITY "\r\n"
                 "Content-Type: %s\r\nAccept: */*\r\nContent-Length: %zu"
                 "\r\n\r\n",
                 path, type, len);

    } else {
        snprintf(head, sizeof(head),
                 "GET %s HTTP/1.1\r\nHost: " LOAD_AUTHORITY "\r\n"
                 "Accept: */*\r\n\r\n",
                 path);
    }

    (void) l;
    tee_write_text(w, head);
}


/* In chunks of the size that every gateway takes. */

static void
load_seal(load_t *l, load_request_t *request, tee_str_t text, tee_write_t *w)
{
    size_t                     n, len;
    uint8_t                    ikm[64], tag[TEE_AEAD_TAG_LEN], *out;
    uint8_t                    head[TEE_OHTTP_HEADER_LEN + TEE_HPKE_MAX_ENC];
    tee_ohttp_header_t         h;
    tee_ohttp_request_seal_t  *s;

    s = malloc(sizeof(tee_ohttp_request_seal_t));
    out = malloc(text.len + TEE_OHTTP_CHUNK_EXTRA);
    load_check(s && out && RAND_bytes(ikm, sizeof(ikm)) == 1, "no memory");

    h.id = 1;
    h.kem = TEE_KEM_X25519;
    h.kdf = TEE_KDF_HKDF_SHA256;
    h.aead = TEE_AEAD_AES_128_GCM;

    load_check(tee_ohttp_request_seal_init(s, l->crypto, &h,
                                           load_str(l->pk, sizeof(l->pk)), ikm,
                                           l->form == LOAD_CHUNKED, head, &n)
               == TEE_OK, "cannot seal");
    tee_write_bytes(w, head, n);

    if (l->form == LOAD_CHUNKED) {
        do {
            n = text.len < TEE_OHTTP_CHUNK ? text.len : TEE_OHTTP_CHUNK;

            load_check(tee_ohttp_request_seal_chunk(s, load_str(text.data, n),
                                                    n == text.len, out, &len)
                       == TEE_OK, "cannot seal a chunk");
            tee_write_bytes(w, out, len);

            text.data += n;
            text.len -= n;

        } while (text.len);

    } else {
        load_check(tee_ohttp_request_seal_update(s, text, out) == TEE_OK
                   && tee_ohttp_request_seal_end(s, tag) == TEE_OK,
                   "cannot seal");
        tee_write_bytes(w, out, text.len);
        tee_write_bytes(w, tag, sizeof(tag));
    }

    free(out);
    request->seal = s;
}


static void
load_prepare(load_t *l, load_request_t *request, int keep)
{
    const char   *type;
    tee_write_t   text, sealed, w;

    memset(request, 0, sizeof(load_request_t));
    tee_write_grow(&w, &load_alloc);

    if (l->form == LOAD_PLAIN) {
        load_head(l, &w, l->inner, "application/octet-stream", l->size);
        load_content(l, &w);

    } else {
        tee_write_grow(&text, &load_alloc);
        tee_write_grow(&sealed, &load_alloc);

        load_message(l, &text);
        load_seal(l, request, load_str(text.data, text.len), &sealed);

        type = l->form == LOAD_CHUNKED ? "message/ohttp-chunked-req"
                                       : "message/ohttp-req";
        load_head(l, &w, l->outer, type, sealed.len);
        tee_write_bytes(&w, sealed.data, sealed.len);

        tee_write_free(&sealed);
        tee_write_free(&text);

        if (!keep) {
            tee_ohttp_request_seal_free(request->seal);
            free(request->seal);
            request->seal = NULL;
        }
    }

    load_check(tee_write_rc(&w) == TEE_OK, "no memory");

    request->bytes = w.data;
    request->len = w.len;
}


static int
load_connect(load_t *l)
{
    int                 fd, on;
    struct sockaddr_in  sin;

    memset(&sin, 0, sizeof(sin));
    sin.sin_family = AF_INET;
    sin.sin_port = htons((uint16_t) l->port);
    sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    on = 1;

    fd = socket(AF_INET, SOCK_STREAM, 0);

    load_check(fd >= 0
               && connect(fd, (struct sockaddr *) &sin, sizeof(sin)) == 0
               && setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on))
                  == 0,
               "cannot connect");

    return fd;
}


static void
load_send(load_conn_t *c)
{
    ssize_t          n;
    load_request_t  *r = c->request;

    while (c->sent < r->len) {
        n = send(c->fd, r->bytes + c->sent, r->len - c->sent,
                 MSG_DONTWAIT|MSG_NOSIGNAL);

        if (n < 0 && errno == EAGAIN) {
            return;
        }

        load_check(n > 0, "the gateway has closed a connection");
        c->sent += (size_t) n;
    }
}


static void
load_keep(load_conn_t *c, const uint8_t *p, size_t len)
{
    while (c->len + len + 1 > c->room) {
        c->room = c->room ? c->room * 2 : 4096;
        c->in = realloc(c->in, c->room);
        load_check(c->in != NULL, "no memory");
    }

    memcpy(c->in + c->len, p, len);
    c->len += len;
    c->in[c->len] = '\0';
}


static void
load_head_end(load_conn_t *c)
{
    const char  *line, *in = (const char *) c->in;

    line = strstr(in, "\r\n\r\n");

    if (line == NULL) {
        return;
    }

    c->head = (size_t) (line + 4 - in);
    load_check(memcmp(in, "HTTP/1.1 200 ", 13) == 0, in);

    c->chunked = 1;
    c->chunk_state = 0;
    c->left = 0;

    for (line = in; line < in + c->head; line = strchr(line, '\n') + 1) {
        if (strncasecmp(line, "Content-Length: ", 16) == 0) {
            c->chunked = 0;
            c->left = strtoul(line + 16, NULL, 10);
        }
    }
}


/* Chunks of HTTP/1.1: states are a size, the line end after it, data, the line
 * end after them, and the last line end.  1 once all has come. */

static int
load_chunks(load_conn_t *c, uint8_t **p, size_t *len, int keep)
{
    char    ch;
    size_t  n;

    while (*len) {

        if (c->chunk_state == 2) {
            n = c->left < *len ? c->left : *len;

            if (keep) {
                load_keep(c, *p, n);
            }

            *p += n;
            *len -= n;
            c->left -= n;

            if (c->left == 0) {
                c->chunk_state = 3;
            }

            continue;
        }

        ch = (char) **p;
        (*p)++;
        (*len)--;

        if (c->chunk_state == 0 && ch != '\r' && ch != '\n') {
            load_check(ch != '\0' && strchr("0123456789abcdef", ch) != NULL,
                       "not a chunk");
            c->left = c->left * 16
                      + (size_t) (ch <= '9' ? ch - '0' : ch - 'a' + 10);

        } else if (ch == '\n') {

            switch (c->chunk_state) {

            case 0:
                c->chunk_state = c->left ? 2 : 4;
                break;

            case 3:
                c->chunk_state = 0;
                break;

            default:
                return 1;
            }
        }
    }

    return 0;
}


static void
load_open(load_t *l, load_conn_t *c)
{
    tee_rc_t                   rc;
    tee_str_t                  in, plain;
    tee_ohttp_response_open_t  o;

    tee_ohttp_response_open_init(&o, l->crypto, &load_alloc,
                                 &c->request->seal->exchange,
                                 l->form == LOAD_CHUNKED, (size_t) 1 << 30);

    in = load_str(c->in + c->head, c->len - c->head);

    while (in.len) {
        rc = tee_ohttp_response_open_read(&o, &in, &plain);
        load_check(rc == TEE_OK, "an answer does not open");
    }

    load_check(tee_ohttp_response_open_end(&o, &plain) == TEE_OK,
               "an answer does not open to its end");

    tee_ohttp_response_open_free(&o);
}


/* 1 once the answer is complete. */

static int
load_receive(load_t *l, load_conn_t *c)
{
    int       done, keep;
    size_t    len, from;
    uint8_t  *p;
    ssize_t   n;

    keep = c->request->seal != NULL;

    for ( ;; ) {
        n = recv(c->fd, l->buf, sizeof(l->buf), MSG_DONTWAIT);

        if (n < 0 && errno == EAGAIN) {
            return 0;
        }

        load_check(n > 0, "an answer is cut");

        p = l->buf;
        len = (size_t) n;
        l->bytes += len;

        if (c->head == 0) {
            from = c->len;
            load_keep(c, p, len);
            load_head_end(c);

            if (c->head == 0) {
                continue;
            }

            p += c->head - from;
            len -= c->head - from;
            c->len = c->head;
        }

        if (c->chunked) {
            done = load_chunks(c, &p, &len, keep);

        } else {
            load_check(len <= c->left, "more than an answer");

            if (keep) {
                load_keep(c, p, len);
            }

            c->left -= len;
            done = c->left == 0;
        }

        if (done) {
            if (keep) {
                load_open(l, c);
            }

            return 1;
        }
    }
}


static double
load_now(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);

    return (double) ts.tv_sec + (double) ts.tv_nsec / 1e9;
}


static void
load_run(load_t *l, load_request_t *requests, size_t count, size_t nconns)
{
    size_t          i, next, done;
    load_conn_t    *conns, *c;
    struct pollfd  *fds;

    conns = calloc(nconns, sizeof(load_conn_t));
    fds = calloc(nconns, sizeof(struct pollfd));
    load_check(conns && fds, "no memory");

    for (i = 0; i < nconns; i++) {
        conns[i].fd = load_connect(l);
    }

    next = 0;
    done = 0;

    while (done < count) {

        for (i = 0; i < nconns; i++) {
            c = &conns[i];

            if (c->request == NULL && next < count) {
                c->request = &requests[next++];
                c->sent = 0;
                c->len = 0;
                c->head = 0;
                load_send(c);
            }

            fds[i].fd = c->request ? c->fd : -1;
            fds[i].events = POLLIN;

            if (c->request && c->sent < c->request->len) {
                fds[i].events |= POLLOUT;
            }
        }

        load_check(poll(fds, nconns, 30000) > 0, "the gateway is silent");

        for (i = 0; i < nconns; i++) {
            c = &conns[i];

            if (fds[i].fd == -1 || fds[i].revents == 0) {
                continue;
            }

            if (fds[i].revents & POLLOUT) {
                load_send(c);
            }

            if (fds[i].revents & ~POLLOUT && load_receive(l, c)) {
                c->request = NULL;
                done++;
            }
        }
    }
}


static void
load_arguments(load_t *l, char *argv[])
{
    size_t    i;
    unsigned  byte;

    static const char *const  forms[] = { "plain", "whole", "chunked" };

    load_check(strlen(argv[1]) == 2 * sizeof(l->pk), "not a key");

    for (i = 0; i < sizeof(l->pk); i++) {
        load_check(sscanf(argv[1] + 2 * i, "%2x", &byte) == 1, "not a key");
        l->pk[i] = (uint8_t) byte;
    }

    for (i = 0; i < 3 && strcmp(argv[2], forms[i]) != 0; i++) {
        /* void */
    }

    load_check(i < 3, "not a form");

    l->form = (load_form_t) i;
    l->size = strtoul(argv[5], NULL, 10);
    l->port = (unsigned) strtoul(argv[6], NULL, 10);
    l->outer = argv[7];
    l->inner = argv[8];
}


int
main(int argc, char *argv[])
{
    double           start;
    size_t           i, count;
    load_request_t  *requests;

    static load_t  l;

    load_check(argc == 9, "see the comment in it");

    load_arguments(&l, argv);
    count = strtoul(argv[4], NULL, 10);

    l.crypto = tee_crypto_new(&load_alloc);
    requests = calloc(count, sizeof(load_request_t));
    load_check(l.crypto && requests, "no memory");

    for (i = 0; i < count; i++) {
        load_prepare(&l, &requests[i], count > LOAD_CHECK
                                       && i % LOAD_CHECK == 0);
    }

    start = load_now();
    load_run(&l, requests, count, strtoul(argv[3], NULL, 10));

    printf("%zu %.6f %llu\n", count, load_now() - start,
           (unsigned long long) l.bytes);

    return 0;
}
