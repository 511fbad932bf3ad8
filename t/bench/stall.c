
/*
 * Copyright (C) The ngx_http_tee authors
 */


/*
 * Preloaded into nginx: notes the longest turn of its event loop, from one
 * epoll_wait() to the next, in processor time of the thread.  Unlike latency
 * seen from outside, that does not depend on what else the machine does.
 *
 * TEE_STALL names a file that holds one uint64_t, microseconds; whoever
 * writes 0 there begins anew.
 */


#define _GNU_SOURCE

#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>


typedef int (*epoll_wait_pt)(int ep, struct epoll_event *events, int max,
    int timeout);


static epoll_wait_pt       next_epoll_wait;
static volatile uint64_t  *longest;


__attribute__((constructor))
static void
stall_init(void)
{
    int          fd;
    void        *p;
    const char  *path;

    next_epoll_wait = (epoll_wait_pt) dlsym(RTLD_NEXT, "epoll_wait");
    path = getenv("TEE_STALL");

    if (path == NULL) {
        return;
    }

    fd = open(path, O_RDWR);

    if (fd == -1) {
        return;
    }

    p = mmap(NULL, sizeof(uint64_t), PROT_READ|PROT_WRITE, MAP_SHARED, fd, 0);
    longest = (p == MAP_FAILED) ? NULL : p;

    close(fd);
}


static uint64_t
stall_now(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);

    return (uint64_t) ts.tv_sec * 1000000 + (uint64_t) ts.tv_nsec / 1000;
}


int
epoll_wait(int ep, struct epoll_event *events, int max, int timeout)
{
    int       n;
    uint64_t  turn;

    static __thread uint64_t  since;

    if (longest && since) {
        turn = stall_now() - since;

        if (turn > *longest) {
            *longest = turn;
        }
    }

    n = next_epoll_wait(ep, events, max, timeout);

    since = stall_now();

    return n;
}
