
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <ngx_http_tee.h>
#include <ngx_http_tee_upstream.h>


/*
 * Chooses a TEE for a request, and remembers how each one has fared.  All of
 * this is of one worker, as with any nginx upstream without a zone.
 */


/* Probes per key of the multi-probe consistent hash. */
#define NGX_HTTP_TEE_PROBES       21

/* Random draws before the search goes through all. */
#define NGX_HTTP_TEE_DRAWS        16


static ngx_int_t ngx_http_tee_balancer_choose(ngx_http_tee_peer_data_t *pd);
static ngx_uint_t ngx_http_tee_balancer_usable(ngx_http_tee_peer_data_t *pd,
    ngx_uint_t index);
static uint64_t ngx_http_tee_balancer_mix(uint64_t x);
static ngx_uint_t ngx_http_tee_balancer_probe(ngx_http_tee_peer_data_t *pd);
static ngx_int_t ngx_http_tee_balancer_connect(ngx_peer_connection_t *pc,
    ngx_http_tee_peer_data_t *pd);
static void ngx_http_tee_balancer_name(ngx_http_tee_peer_data_t *pd,
    socklen_t socklen, ngx_uint_t only);
static void ngx_http_tee_balancer_carry(ngx_http_tee_peers_t *old,
    ngx_http_tee_peers_t *peers);


ngx_int_t
ngx_http_tee_balancer_get(ngx_peer_connection_t *pc, void *data)
{
    ngx_http_tee_peer_data_t  *pd = data;

    if (pd->again) {
        pd->again = 0;
        return ngx_http_tee_balancer_connect(pc, pd);
    }

    if (ngx_http_tee_balancer_choose(pd) != NGX_OK) {

        if (ngx_http_tee_problem_reason(pd->request) == NULL) {
            ngx_http_tee_count(NGX_HTTP_TEE_UPSTREAM_NO_LIVE);
            (void) ngx_http_tee_problem(pd->request, NGX_HTTP_BAD_GATEWAY,
                                        "no_live_tee",
                                        "no TEE that may answer this request "
                                        "can be reached at present");
        }

        ngx_http_tee_registry_hurry(pd->conf->registry);
        pc->name = NULL;

        return NGX_BUSY;
    }

    return ngx_http_tee_balancer_connect(pc, pd);
}


static ngx_int_t
ngx_http_tee_balancer_choose(ngx_http_tee_peer_data_t *pd)
{
    ngx_uint_t  i, n, start;

    if (pd->refused) {
        return NGX_BUSY;
    }

    n = pd->peers->n;
    pd->addr = 0;

    switch (pd->conf->method) {

    case NGX_HTTP_TEE_ID:
        start = pd->index;
        n = 1;
        break;

    case NGX_HTTP_TEE_ROUND_ROBIN:
        start = pd->conf->next++ % n;
        break;

    case NGX_HTTP_TEE_HASH:
        start = ngx_http_tee_balancer_probe(pd);
        break;

    default: /* NGX_HTTP_TEE_RANDOM */

        start = ngx_random() % n;

        /* the neighbours of an avoided TEE must not inherit all its load */

        for (i = 0; i < NGX_HTTP_TEE_DRAWS; i++) {
            if (ngx_http_tee_balancer_usable(pd, start)) {
                break;
            }

            start = ngx_random() % n;
        }

        break;
    }

    for (i = 0; i < n; i++) {
        pd->index = (start + i) % pd->peers->n;

        if (ngx_http_tee_balancer_usable(pd, pd->index)) {
            pd->chosen = 1;
            return NGX_OK;
        }
    }

    return NGX_BUSY;
}


static ngx_uint_t
ngx_http_tee_balancer_usable(ngx_http_tee_peer_data_t *pd, ngx_uint_t index)
{
    time_t                 now;
    ngx_uint_t             i;
    ngx_http_tee_addr_t   *addrs, own;
    ngx_http_tee_peer_t   *peer;
    tee_snapshot_entry_t  *entry;

    now = ngx_time();
    peer = &pd->peers->peer[index];
    entry = &pd->peers->snap->image->entries[index];

    for (i = 0; i < pd->ntried; i++) {
        if (pd->tried[i] == index) {
            return 0;
        }
    }

    if (now < entry->not_before || now > entry->not_after) {
        return 0;
    }

    if (ngx_http_tee_snap_addrs(pd->peers->snap, index, &addrs, &own) == 0) {
        return 0;
    }

    if (pd->fixed || pd->conf->max_fails == 0) {
        return 1;
    }

    return peer->fails < pd->conf->max_fails
           || now - peer->checked > pd->conf->fail_timeout;
}


static uint64_t
ngx_http_tee_balancer_mix(uint64_t x)
{
    /* the finalizer of splitmix64 */

    x += 0x9e3779b97f4a7c15;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
    x = (x ^ (x >> 27)) * 0x94d049bb133111eb;

    return x ^ (x >> 31);
}


/*
 * TEE ids are hashes, so the sorted snapshot is a ring already.  Of several
 * points that follow from the key, the one closest to the next id decides:
 * even load, and a TEE that goes moves only its own keys.
 */

static ngx_uint_t
ngx_http_tee_balancer_probe(ngx_http_tee_peer_data_t *pd)
{
    u_char           point[32];
    uint64_t         hash, at, distance, best;
    ngx_uint_t       i, j, index, chosen;
    tee_snapshot_t  *image;

    image = pd->peers->snap->image;
    hash = pd->hash;
    best = 0;
    chosen = 0;

    ngx_memzero(point, 32);

    for (i = 0; i < NGX_HTTP_TEE_PROBES; i++) {
        hash = ngx_http_tee_balancer_mix(hash);

        for (j = 0; j < 8; j++) {
            point[j] = (u_char) (hash >> (56 - 8 * j));
        }

        index = tee_snapshot_lower(image, point) % image->n;

        for (at = 0, j = 0; j < 8; j++) {
            at = at << 8 | image->entries[index].tee_id[j];
        }

        distance = at - hash;

        if (i == 0 || distance < best) {
            best = distance;
            chosen = index;
        }
    }

    return chosen;
}


static ngx_int_t
ngx_http_tee_balancer_connect(ngx_peer_connection_t *pc,
    ngx_http_tee_peer_data_t *pd)
{
    ngx_uint_t             n;
    ngx_http_tee_addr_t   *addrs, own;
    ngx_http_tee_peer_t   *peer;
    tee_snapshot_entry_t  *entry;

    entry = &pd->peers->snap->image->entries[pd->index];

    n = ngx_http_tee_snap_addrs(pd->peers->snap, pd->index, &addrs, &own);
    addrs += pd->addr % n;

    ngx_memzero(&pd->sa, sizeof(pd->sa));

    if (addrs->form == TEE_HOST_IPV4) {
        pd->sa.sin.sin_family = AF_INET;
        pd->sa.sin.sin_port = htons(entry->port);
        ngx_memcpy(&pd->sa.sin.sin_addr, addrs->addr, 4);
        pc->socklen = sizeof(struct sockaddr_in);

#if (NGX_HAVE_INET6)
    } else {
        pd->sa.sin6.sin6_family = AF_INET6;
        pd->sa.sin6.sin6_port = htons(entry->port);
        ngx_memcpy(&pd->sa.sin6.sin6_addr, addrs->addr, 16);
        pc->socklen = sizeof(struct sockaddr_in6);
#endif
    }

    ngx_http_tee_balancer_name(pd, pc->socklen, n == 1);

    pc->sockaddr = &pd->sa.sockaddr;
    pc->name = &pd->name;
    pc->connection = NULL;
    pc->cached = 0;

    peer = &pd->peers->peer[pd->index];

    if (ngx_time() - peer->checked > pd->conf->fail_timeout) {
        peer->checked = ngx_time();
    }

    return NGX_OK;
}


/* Most TEEs have one address: its text is made once, not by each request. */

static void
ngx_http_tee_balancer_name(ngx_http_tee_peer_data_t *pd, socklen_t socklen,
    ngx_uint_t only)
{
    u_char               *text;
    ngx_http_tee_peer_t  *peer;

    peer = &pd->peers->peer[pd->index];

    if (only && peer->name.len) {
        pd->name = peer->name;
        return;
    }

    text = only ? malloc(NGX_SOCKADDR_STRLEN) : NULL;

    pd->name.data = text ? text : pd->text;
    pd->name.len = ngx_sock_ntop(&pd->sa.sockaddr, socklen, pd->name.data,
                                 NGX_SOCKADDR_STRLEN, 1);

    if (text) {
        peer->name = pd->name;
    }
}


void
ngx_http_tee_balancer_free(ngx_peer_connection_t *pc, void *data,
    ngx_uint_t state)
{
    ngx_http_tee_peer_data_t  *pd = data;

    ngx_uint_t            n;
    ngx_http_tee_addr_t  *addrs, own;
    ngx_http_tee_peer_t  *peer;

    if (!pd->chosen) {
        return;
    }

    peer = &pd->peers->peer[pd->index];

    if (state & NGX_PEER_FAILED) {

        /* an old keepalive connection says nothing about the peer */

        if (!pc->cached) {
            peer->fails++;
            peer->accessed = ngx_time();
            peer->checked = peer->accessed;

            ngx_http_tee_count(NGX_HTTP_TEE_UPSTREAM_FAILED);
            ngx_http_tee_registry_failed(pd->conf->registry, pd->peers->snap,
                                         pd->index,
                                         peer->fails < pd->conf->max_fails
                                         ? 0 : peer->accessed
                                               + pd->conf->fail_timeout);
            ngx_http_tee_registry_hurry(pd->conf->registry);

            if (ngx_http_tee_problem_reason(pd->request) == NULL) {
                (void) ngx_http_tee_problem(pd->request, NGX_HTTP_BAD_GATEWAY,
                                            "peer_failed",
                                            "the TEE cannot be reached, or "
                                            "broke off");
            }
        }

        n = ngx_http_tee_snap_addrs(pd->peers->snap, pd->index, &addrs, &own);

        if (pc->cached) {
            /* the same TEE over a new connection */
            pd->again = 1;

        } else if (pd->fixed && ++pd->addr < n) {
            /* its next address */
            pd->again = 1;
            pc->tries++;

        } else if (pd->ntried < sizeof(pd->tried) / sizeof(pd->tried[0])) {
            pd->tried[pd->ntried++] = pd->index;
        }

    } else if (peer->accessed < peer->checked) {
        peer->fails = 0;
    }

    if (pc->tries) {
        pc->tries--;
    }
}


ngx_http_tee_peers_t *
ngx_http_tee_balancer_peers(ngx_http_tee_upstream_srv_conf_t *conf)
{
    ngx_http_tee_snap_t   *snap;
    ngx_http_tee_peers_t  *peers, *old;

    snap = ngx_http_tee_registry_snap(conf->registry);
    old = conf->peers;

    if (snap == NULL || (old && old->snap == snap)) {
        return old;
    }

    peers = calloc(1, sizeof(ngx_http_tee_peers_t)
                      + snap->image->n * sizeof(ngx_http_tee_peer_t));
    if (peers == NULL) {
        /* no peer is better than one the registry may have dropped */
        return NULL;
    }

    snap->refs++;

    peers->snap = snap;
    peers->refs = 1;
    peers->n = snap->image->n;

    conf->peers = peers;

    if (old) {
        ngx_http_tee_balancer_carry(old, peers);
        ngx_http_tee_balancer_unref(old);

    } else {
        conf->next = ngx_random();
    }

    return peers;
}


/* Failures stay with the TEE; a TLS session only as long as its pin. */

static void
ngx_http_tee_balancer_carry(ngx_http_tee_peers_t *old,
    ngx_http_tee_peers_t *peers)
{
    int                          cmp;
    ngx_uint_t                   i, j;
    ngx_http_tee_peer_t         *from, *to;
    const tee_snapshot_entry_t  *a, *b;

    for (i = 0, j = 0; i < old->n && j < peers->n; /* void */ ) {
        a = &old->snap->image->entries[i];
        b = &peers->snap->image->entries[j];

        cmp = ngx_memcmp(a->tee_id, b->tee_id, 32);

        if (cmp) {
            i += (cmp < 0);
            j += (cmp > 0);
            continue;
        }

        from = &old->peer[i++];
        to = &peers->peer[j++];

        if (ngx_memcmp(a->pin_sha256, b->pin_sha256, 32) != 0) {
            /* a new certificate is a new start */
            continue;
        }

        *to = *from;
        ngx_str_null(&to->name);
        from->session = NULL;
    }
}


void
ngx_http_tee_balancer_unref(void *data)
{
    ngx_http_tee_peers_t  *peers = data;

    ngx_uint_t  i;

    if (peers == NULL || --peers->refs) {
        return;
    }

    for (i = 0; i < peers->n; i++) {
        if (peers->peer[i].session) {
            ngx_ssl_free_session(peers->peer[i].session);
        }

        free(peers->peer[i].name.data);
    }

    ngx_http_tee_snap_unref(peers->snap);
    free(peers);
}
