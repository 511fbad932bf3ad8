
/*
 * Copyright (C) The ngx_http_tee authors
 */


/*
 * Many streams at a time, and when their events come.
 *
 *     streams serve EVENTS INTERVAL
 *     streams load PORT PATH COUNT EVENTS INTERVAL
 *
 * The first is a model server: it prints its port, and answers each request
 * with so many events, one each INTERVAL milliseconds, until its standard
 * input ends.  The second asks COUNT times, so that all streams are open at
 * the end of the first one, and looks at every byte of every event.  Prints
 * the streams that came to their end, those that were signed, those with
 * anything wrong, the events, and microseconds from when an event was sent
 * until it came: median, 99% and most; and the same of the last events.
 */


#define _GNU_SOURCE

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>


#define STREAMS_MAX     32768                  /* file descriptors */
#define STREAMS_ROOM    4096
#define STREAMS_BATCH   512

#define STREAMS_EVENT                                                         \
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"%u:%" PRIu64   \
    " \"},\"finish_reason\":null}]}\n\n"
#define STREAMS_FINISH                                                        \
    "data: {\"at\":%" PRIu64 ",\"choices\":[{\"index\":0,\"delta\":{},"       \
    "\"finish_reason\":\"stop\"}]"
#define STREAMS_USAGE   "data: {\"choices\":[],\"usage\":{}}\n\n"
#define STREAMS_DONE    "data: [DONE]\n\n"
#define STREAMS_BODY                                                          \
    "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]"   \
    ",\"stream\":true}"


typedef struct {
    int        fd;
    unsigned   n;                              /* events until now */
    uint64_t   next;                           /* serve: when the next is due */
    size_t     len;                            /* of "in" */
    size_t     left;                           /* of a chunk, or of all */
    size_t     text_len;
    char      *in;
    char      *text;                           /* an event that is not whole */
    unsigned   head:1;                         /* has been read */
    unsigned   ended:1;
    unsigned   bad:1;
    unsigned   usage:1;
    unsigned   finished:1;
    unsigned   is_signed:1;
    unsigned   done:1;
    unsigned   crlf:1;                         /* behind a chunk */
    unsigned   whole:1;                        /* not in chunks */
} streams_conn_t;


typedef struct {
    uint32_t  *us;
    size_t     n;
    size_t     room;
} streams_times_t;


static streams_conn_t  *conns[STREAMS_MAX];
static char             buf[65536];


static void
streams_check(int ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "streams: %s: %s\n", what, strerror(errno));
        exit(1);
    }
}


static uint64_t
streams_now(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);

    return (uint64_t) ts.tv_sec * 1000000000 + (uint64_t) ts.tv_nsec;
}


static streams_conn_t *
streams_conn(int ep, int fd)
{
    int                 on;
    streams_conn_t     *c;
    struct epoll_event  ev;

    streams_check(fd >= 0 && fd < STREAMS_MAX, "no descriptor");

    on = 1;
    (void) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));

    c = calloc(1, sizeof(streams_conn_t));
    streams_check(c != NULL, "calloc");

    c->in = malloc(STREAMS_ROOM);
    c->text = malloc(STREAMS_ROOM);
    streams_check(c->in && c->text, "malloc");

    c->fd = fd;
    conns[fd] = c;

    memset(&ev, 0, sizeof(ev));
    ev.events = EPOLLIN;
    ev.data.fd = fd;
    streams_check(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev) == 0, "epoll_ctl");

    return c;
}


static void
streams_close(streams_conn_t *c)
{
    conns[c->fd] = NULL;
    close(c->fd);
    free(c->in);
    free(c->text);
    free(c);
}


/* Small enough for any socket's buffer. */

static void
streams_send(int fd, const char *p, size_t len)
{
    (void) !send(fd, p, len, MSG_NOSIGNAL);
}


static size_t
streams_chunk(char *to, size_t room, const char *text)
{
    return (size_t) snprintf(to, room, "%zx\r\n%s\r\n", strlen(text), text);
}


static int
streams_address(struct sockaddr_in *sin, unsigned port)
{
    memset(sin, 0, sizeof(struct sockaddr_in));
    sin->sin_family = AF_INET;
    sin->sin_port = htons((uint16_t) port);
    sin->sin_addr.s_addr = htonl(INADDR_LOOPBACK);

    return socket(AF_INET, SOCK_STREAM|SOCK_NONBLOCK, 0);
}


/* -- the model server */

/* 0: that was all */

static int
streams_next(streams_conn_t *c, unsigned events)
{
    char    text[512];
    size_t  len;

    if (c->n++ < events) {
        snprintf(text, sizeof(text), STREAMS_EVENT, c->n - 1, streams_now());
        len = streams_chunk(buf, sizeof(buf), text);
        streams_send(c->fd, buf, len);

        return 1;
    }

    snprintf(text, sizeof(text), STREAMS_FINISH "}\n\n", streams_now());
    len = streams_chunk(buf, sizeof(buf), text);
    len += streams_chunk(buf + len, sizeof(buf) - len, STREAMS_USAGE);
    len += streams_chunk(buf + len, sizeof(buf) - len, STREAMS_DONE);
    memcpy(buf + len, "0\r\n\r\n", 5);
    streams_send(c->fd, buf, len + 5);

    return 0;
}


/* 1: the request is whole */

static int
streams_request(streams_conn_t *c)
{
    char    *end;
    ssize_t  n;

    n = read(c->fd, c->in + c->len, STREAMS_ROOM - 1 - c->len);

    if (n <= 0) {
        c->ended = 1;
        return 0;
    }

    c->len += (size_t) n;
    c->in[c->len] = '\0';

    end = strstr(c->in, "\r\n\r\n");

    return end && strlen(end + 4) >= sizeof(STREAMS_BODY) - 1;
}


static void
streams_serve(unsigned events, unsigned interval)
{
    int                  ep, fd, i, n, timeout;
    size_t               first, last;
    uint64_t             now;
    socklen_t            len;
    streams_conn_t      *c, **queue;
    struct epoll_event   ev[STREAMS_BATCH];
    struct sockaddr_in   sin;

    static const char  head[] = "HTTP/1.1 200 OK\r\n"
        "Content-Type: text/event-stream\r\n"
        "Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n";

    fd = streams_address(&sin, 0);
    len = sizeof(sin);
    streams_check(bind(fd, (struct sockaddr *) &sin, len) == 0
                  && listen(fd, 4096) == 0
                  && getsockname(fd, (struct sockaddr *) &sin, &len) == 0,
                  "listen");
    printf("%u\n", (unsigned) ntohs(sin.sin_port));
    fflush(stdout);

    ep = epoll_create1(0);
    queue = malloc(STREAMS_MAX * sizeof(streams_conn_t *));
    streams_check(ep >= 0 && queue, "epoll");
    (void) streams_conn(ep, fd);
    (void) streams_conn(ep, STDIN_FILENO);

    /* a ring in the order of time, since all wait equally long */

    first = 0;
    last = 0;

    for ( ;; ) {
        timeout = -1;

        if (first != last) {
            now = streams_now();
            c = queue[first % STREAMS_MAX];
            timeout = (c->next <= now) ? 0
                      : (int) ((c->next - now) / 1000000) + 1;
        }

        n = epoll_wait(ep, ev, STREAMS_BATCH, timeout);

        for (i = 0; i < n; i++) {

            if (ev[i].data.fd == STDIN_FILENO) {
                return;
            }

            if (ev[i].data.fd == fd) {
                int  s = accept4(fd, NULL, NULL, SOCK_NONBLOCK);

                if (s >= 0) {
                    (void) streams_conn(ep, s);
                }

                continue;
            }

            c = conns[ev[i].data.fd];

            if (c->head) {
                (void) epoll_ctl(ep, EPOLL_CTL_DEL, c->fd, NULL);
                c->ended = 1;

            } else if (streams_request(c)) {
                c->head = 1;
                c->next = streams_now();
                queue[last++ % STREAMS_MAX] = c;
                streams_send(c->fd, head, sizeof(head) - 1);

            } else if (c->ended) {
                streams_close(c);
            }
        }

        now = streams_now();

        while (first != last && queue[first % STREAMS_MAX]->next <= now) {
            c = queue[first++ % STREAMS_MAX];

            if (c->ended || !streams_next(c, events)) {
                streams_close(c);
                continue;
            }

            c->next += (uint64_t) interval * 1000000;
            queue[last++ % STREAMS_MAX] = c;
        }
    }
}


/* -- who asks */

static void
streams_took(streams_times_t *t, uint64_t at)
{
    if (t->n == t->room) {
        t->room = t->room ? t->room * 2 : 65536;
        t->us = realloc(t->us, t->room * sizeof(uint32_t));
        streams_check(t->us != NULL, "realloc");
    }

    t->us[t->n++] = (uint32_t) ((streams_now() - at) / 1000);
}


static void
streams_event(streams_conn_t *c, const char *text, streams_times_t *times,
    streams_times_t *finals)
{
    char         want[512];
    size_t       len;
    unsigned     n;
    uint64_t     at;
    const char  *p;

    if (sscanf(text, "data: {\"choices\":[{\"index\":0,\"delta\":"
                     "{\"content\":\"%u:%" SCNu64, &n, &at)
        == 2)
    {
        snprintf(want, sizeof(want), STREAMS_EVENT, c->n++, at);
        c->bad |= strcmp(text, want) != 0 || c->finished;
        streams_took(times, at);

    } else if (sscanf(text, "data: {\"at\":%" SCNu64, &at) == 1) {
        len = (size_t) snprintf(want, sizeof(want), STREAMS_FINISH, at);
        p = text + len;
        c->bad |= strncmp(text, want, len) != 0 || c->finished;
        c->finished = 1;
        c->is_signed = strncmp(p, ", \"tee_", 7) == 0
                       && strstr(p, "\"tee_signature\"") != NULL;
        c->bad |= !c->is_signed && strcmp(p, "}\n\n") != 0;
        streams_took(finals, at);

    } else if (strcmp(text, STREAMS_USAGE) == 0) {
        c->bad |= c->usage;
        c->usage = 1;

    } else if (strcmp(text, STREAMS_DONE) == 0) {
        c->bad |= c->done || !c->finished || !c->usage;
        c->done = 1;

    } else {
        c->bad = 1;
    }
}


static void
streams_text(streams_conn_t *c, const char *p, size_t len,
    streams_times_t *times, streams_times_t *finals)
{
    for ( /* void */ ; len; len--) {

        if (c->text_len == STREAMS_ROOM - 1) {
            c->bad = 1;
            c->text_len = 0;
        }

        c->text[c->text_len++] = *p++;

        if (c->text_len > 1 && c->text[c->text_len - 1] == '\n'
            && c->text[c->text_len - 2] == '\n')
        {
            c->text[c->text_len] = '\0';
            streams_event(c, c->text, times, finals);
            c->text_len = 0;
        }
    }
}


/* The head, then chunks, or as much as it says. */

static void
streams_read(streams_conn_t *c, streams_times_t *times,
    streams_times_t *finals)
{
    char    *p, *end, *line;
    size_t   n;
    ssize_t  got;

    got = read(c->fd, buf, sizeof(buf));

    if (got <= 0) {
        c->bad |= !c->ended;
        c->ended = 1;
        return;
    }

    p = buf;
    end = buf + got;

    while (p < end && !c->ended) {

        if (c->left) {
            n = (size_t) (end - p) < c->left ? (size_t) (end - p) : c->left;
            streams_text(c, p, n, times, finals);
            c->left -= n;
            p += n;
            c->crlf = 1;
            c->ended = c->whole && c->left == 0;
            continue;
        }

        /* a line, or all of the head */

        c->bad |= c->len == STREAMS_ROOM - 1;
        c->len -= c->len == STREAMS_ROOM - 1;
        c->in[c->len++] = *p++;
        c->in[c->len] = '\0';

        if (c->len < 2 || strcmp(c->in + c->len - 2, "\r\n") != 0) {
            continue;
        }

        if (!c->head) {

            if (strstr(c->in, "\r\n\r\n")) {
                c->head = 1;
                c->bad |= strncmp(c->in, "HTTP/1.1 200", 12) != 0;
                c->len = 0;

                line = strcasestr(c->in, "\r\nContent-Length: ");

                if (line) {
                    c->whole = 1;
                    c->left = strtoul(line + 18, NULL, 10);
                    c->ended = c->left == 0;
                }
            }

            continue;
        }

        line = c->in;
        c->len = 0;

        if (c->crlf) {
            c->bad |= line[0] != '\r';
            c->crlf = 0;
            continue;
        }

        c->left = strtoul(line, NULL, 16);
        c->ended = c->left == 0;
    }
}


static int
streams_by_size(const void *a, const void *b)
{
    uint32_t  x = *(const uint32_t *) a, y = *(const uint32_t *) b;

    return (x > y) - (x < y);
}


static void
streams_print(streams_times_t *t)
{
    if (t->n == 0) {
        printf(" - - -");
        return;
    }

    qsort(t->us, t->n, sizeof(uint32_t), streams_by_size);
    printf(" %u %u %u", (unsigned) t->us[t->n / 2],
           (unsigned) t->us[t->n * 99 / 100], (unsigned) t->us[t->n - 1]);
}


static void
streams_load(unsigned port, const char *path, unsigned count, unsigned events,
    unsigned interval)
{
    int                  ep, fd, i, n;
    char                 request[512];
    unsigned             asked, open, most, ended, sig, bad;
    uint64_t             start, step;
    streams_conn_t      *c;
    streams_times_t      times, finals;
    struct epoll_event   ev[STREAMS_BATCH];
    struct sockaddr_in   sin;

    memset(&times, 0, sizeof(times));
    memset(&finals, 0, sizeof(finals));

    snprintf(request, sizeof(request),
             "POST %.100s HTTP/1.1\r\nHost: a\r\nContent-Type: "
             "application/json\r\nContent-Length: %zu\r\n\r\n%s",
             path, sizeof(STREAMS_BODY) - 1, STREAMS_BODY);

    ep = epoll_create1(0);
    streams_check(ep >= 0, "epoll");

    asked = open = most = ended = sig = bad = 0;
    start = streams_now();
    step = (uint64_t) events * interval * 1000000 / count;

    while (asked < count || open) {

        while (asked < count && streams_now() >= start + asked * step) {
            fd = streams_address(&sin, port);
            streams_check(fd >= 0
                          && (connect(fd, (struct sockaddr *) &sin,
                                      sizeof(sin)) == 0
                              || errno == EINPROGRESS),
                          "connect");

            /* loopback: at once, or never */

            (void) streams_conn(ep, fd);
            streams_send(fd, request, strlen(request));

            asked++;
            open++;
            most = open > most ? open : most;
        }

        n = epoll_wait(ep, ev, STREAMS_BATCH, asked < count ? 1 : 60000);
        streams_check(n > 0 || asked < count, "nothing comes any more");

        for (i = 0; i < n; i++) {
            c = conns[ev[i].data.fd];

            streams_read(c, &times, &finals);

            if (c->ended) {
                c->bad |= c->n != events || !c->finished || !c->usage
                          || !c->done || c->text_len != 0;
                ended += !c->bad;
                sig += !c->bad && c->is_signed;
                bad += c->bad;
                open--;
                streams_close(c);
            }
        }
    }

    printf("%u %u %u %u %zu", ended, sig, bad, most, times.n);
    streams_print(&times);
    streams_print(&finals);
    printf("\n");
}


static unsigned
streams_number(const char *text)
{
    return (unsigned) strtoul(text, NULL, 10);
}


int
main(int argc, char **argv)
{
    struct rlimit  limit;

    streams_check(getrlimit(RLIMIT_NOFILE, &limit) == 0, "getrlimit");
    limit.rlim_cur = limit.rlim_max;
    (void) setrlimit(RLIMIT_NOFILE, &limit);
    signal(SIGPIPE, SIG_IGN);

    if (argc == 4 && strcmp(argv[1], "serve") == 0) {
        streams_serve(streams_number(argv[2]), streams_number(argv[3]));

    } else if (argc == 7 && strcmp(argv[1], "load") == 0) {
        streams_load(streams_number(argv[2]), argv[3],
                     streams_number(argv[4]), streams_number(argv[5]),
                     streams_number(argv[6]));

    } else {
        fprintf(stderr, "usage: see the top of the source\n");
        return 1;
    }

    return 0;
}
