
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <ngx_http_tee.h>


/*
 * Looks up the names of a snapshot's endpoints, a few at a time.  A name that
 * cannot be resolved keeps the addresses it had; one that never could has
 * none, and its TEE is not used.
 */

#define NGX_HTTP_TEE_LOOKUPS      16
#define NGX_HTTP_TEE_LOOKUP_MIN   5
#define NGX_HTTP_TEE_LOOKUP_MAX   3600


typedef struct {
    ngx_http_tee_lookup_t         *lookup;
    ngx_resolver_ctx_t            *ctx;
    ngx_uint_t                     slot;       /* of the addresses */
} ngx_http_tee_name_t;


struct ngx_http_tee_lookup_s {
    ngx_http_tee_registry_t       *registry;
    ngx_http_tee_lookup_pt         handler;
    tee_snapshot_t                *image;
    ngx_http_tee_addrs_t          *addrs;
    ngx_uint_t                     nslots;
    ngx_uint_t                     next;
    ngx_uint_t                     pending;
    time_t                         valid;
    ngx_event_t                    event;
    ngx_http_tee_name_t            names[NGX_HTTP_TEE_LOOKUPS];
};


static void ngx_http_tee_lookup_run(ngx_event_t *ev);
static ngx_int_t ngx_http_tee_lookup_name(ngx_http_tee_lookup_t *l,
    ngx_http_tee_name_t *name);
static void ngx_http_tee_lookup_handler(ngx_resolver_ctx_t *ctx);
static void ngx_http_tee_lookup_store(ngx_http_tee_lookup_t *l,
    ngx_uint_t slot, ngx_resolver_ctx_t *ctx);
static int ngx_libc_cdecl ngx_http_tee_lookup_cmp(const void *one,
    const void *two);
static void ngx_http_tee_lookup_failed(ngx_http_tee_lookup_t *l,
    ngx_uint_t slot, const char *why);
static void ngx_http_tee_lookup_done(ngx_http_tee_lookup_t *l);


/* The handler comes with a later event and takes the image and addresses. */

ngx_int_t
ngx_http_tee_lookup_start(ngx_http_tee_registry_t *reg, tee_snapshot_t *image,
    ngx_http_tee_lookup_pt handler)
{
    size_t                  size;
    ngx_uint_t              i, n;
    ngx_http_tee_addrs_t   *addrs;
    ngx_http_tee_lookup_t  *l;

    l = calloc(1, sizeof(ngx_http_tee_lookup_t));
    if (l == NULL) {
        return NGX_ERROR;
    }

    n = 0;

    for (i = 0; i < image->n; i++) {
        n += (image->entries[i].host_form == TEE_HOST_NAME);
    }

    if (n) {
        size = sizeof(ngx_http_tee_addrs_t) + n * sizeof(addrs->of[0]);

        addrs = calloc(1, size);
        if (addrs == NULL) {
            free(l);
            return NGX_ERROR;
        }

        addrs->n = n;
        addrs->size = size;

        for (i = 0, n = 0; i < image->n; i++) {
            if (image->entries[i].host_form == TEE_HOST_NAME) {
                addrs->of[n++].entry = i;
            }
        }

        l->addrs = addrs;
        l->nslots = n;
    }

    l->registry = reg;
    l->handler = handler;
    l->image = image;
    l->valid = NGX_HTTP_TEE_LOOKUP_MAX;

    l->event.handler = ngx_http_tee_lookup_run;
    l->event.data = l;
    l->event.log = ngx_cycle->log;

    reg->lookup = l;

    ngx_post_event(&l->event, &ngx_posted_events);

    return NGX_OK;
}


void
ngx_http_tee_lookup_cancel(ngx_http_tee_registry_t *reg)
{
    ngx_uint_t              i;
    ngx_http_tee_lookup_t  *l;

    l = reg->lookup;

    if (l == NULL) {
        return;
    }

    reg->lookup = NULL;

    if (l->event.posted) {
        ngx_delete_posted_event(&l->event);
    }

    for (i = 0; i < NGX_HTTP_TEE_LOOKUPS; i++) {
        if (l->names[i].ctx) {
            ngx_resolve_name_done(l->names[i].ctx);
        }
    }

    free(l->image);
    free(l->addrs);
    free(l);
}


static void
ngx_http_tee_lookup_run(ngx_event_t *ev)
{
    ngx_uint_t              i;
    ngx_http_tee_lookup_t  *l = ev->data;

    for (i = 0; i < NGX_HTTP_TEE_LOOKUPS && l->next < l->nslots; i++) {

        if (l->names[i].ctx) {
            continue;
        }

        l->names[i].lookup = l;
        l->names[i].slot = l->next++;

        if (ngx_http_tee_lookup_name(l, &l->names[i]) != NGX_OK) {
            ngx_http_tee_lookup_failed(l, l->names[i].slot,
                                       "cannot be looked up; is there a "
                                       "\"resolver\"?");

            /* the next one of many has its own turn */
            ngx_post_event(&l->event, &ngx_posted_next_events);
            return;
        }
    }

    if (l->pending == 0 && l->next == l->nslots) {
        ngx_http_tee_lookup_done(l);
    }
}


static ngx_int_t
ngx_http_tee_lookup_name(ngx_http_tee_lookup_t *l, ngx_http_tee_name_t *name)
{
    tee_str_t                 host;
    ngx_resolver_ctx_t       *ctx, temp;
    ngx_http_tee_registry_t  *reg;

    reg = l->registry;

    if (reg->resolver == NULL) {
        return NGX_ERROR;
    }

    host = tee_snapshot_str(l->image,
                    l->image->entries[l->addrs->of[name->slot].entry].host);

    ngx_memzero(&temp, sizeof(ngx_resolver_ctx_t));
    temp.name.data = (u_char *) host.data;
    temp.name.len = host.len;

    ctx = ngx_resolve_start(reg->resolver, &temp);

    if (ctx == NULL || ctx == NGX_NO_RESOLVER) {
        return NGX_ERROR;
    }

    ctx->name = temp.name;
    ctx->handler = ngx_http_tee_lookup_handler;
    ctx->data = name;
    ctx->timeout = reg->resolver_timeout;
    ctx->cancelable = 1;

    name->ctx = ctx;
    l->pending++;

    if (ngx_resolve_name(ctx) != NGX_OK) {
        name->ctx = NULL;
        l->pending--;
        return NGX_ERROR;
    }

    return NGX_OK;
}


static void
ngx_http_tee_lookup_handler(ngx_resolver_ctx_t *ctx)
{
    ngx_http_tee_name_t    *name = ctx->data;
    ngx_http_tee_lookup_t  *l;

    l = name->lookup;

    if (ctx->state) {
        ngx_http_tee_lookup_failed(l, name->slot,
                                   ngx_resolver_strerror(ctx->state));

    } else {
        ngx_http_tee_lookup_store(l, name->slot, ctx);

        if (ctx->valid) {
            l->valid = ngx_min(l->valid, ctx->valid - ngx_time());
        }
    }

    ngx_resolve_name_done(ctx);

    name->ctx = NULL;
    l->pending--;

    if (!l->event.posted) {
        ngx_post_event(&l->event, &ngx_posted_events);
    }
}


static void
ngx_http_tee_lookup_store(ngx_http_tee_lookup_t *l, ngx_uint_t slot,
    ngx_resolver_ctx_t *ctx)
{
    ngx_uint_t            i, n;
    struct sockaddr_in   *sin;
#if (NGX_HAVE_INET6)
    struct sockaddr_in6  *sin6;
#endif
    ngx_http_tee_addr_t  *a;

    n = 0;

    for (i = 0; i < ctx->naddrs && n < NGX_HTTP_TEE_MAX_ADDRS; i++) {
        a = &l->addrs->of[slot].addrs[n];

        switch (ctx->addrs[i].sockaddr->sa_family) {

        case AF_INET:
            sin = (struct sockaddr_in *) ctx->addrs[i].sockaddr;
            ngx_memcpy(a->addr, &sin->sin_addr, 4);
            a->form = TEE_HOST_IPV4;
            break;

#if (NGX_HAVE_INET6)
        case AF_INET6:
            sin6 = (struct sockaddr_in6 *) ctx->addrs[i].sockaddr;
            ngx_memcpy(a->addr, &sin6->sin6_addr, 16);
            a->form = TEE_HOST_IPV6;
            break;
#endif

        default:
            continue;
        }

        /* a public name may point anywhere, also later: DNS rebinding */

        if (!l->registry->allow_private && tee_addr_private(a->form, a->addr))
        {
            ngx_memzero(a, sizeof(ngx_http_tee_addr_t));
            continue;
        }

        n++;
    }

    /* resolvers rotate; the same set must give the same bytes */

    ngx_qsort(l->addrs->of[slot].addrs, n, sizeof(ngx_http_tee_addr_t),
              ngx_http_tee_lookup_cmp);

    l->addrs->of[slot].naddrs = n;

    if (n == 0) {
        ngx_http_tee_lookup_failed(l, slot, "has only private addresses");
    }
}


static int ngx_libc_cdecl
ngx_http_tee_lookup_cmp(const void *one, const void *two)
{
    return ngx_memcmp(one, two, sizeof(ngx_http_tee_addr_t));
}


static void
ngx_http_tee_lookup_failed(ngx_http_tee_lookup_t *l, ngx_uint_t slot,
    const char *why)
{
    tee_str_t                    host;
    ngx_str_t                    name;
    ngx_uint_t                   n;
    ngx_http_tee_addr_t         *old, own;
    ngx_http_tee_snap_t         *snap;
    ngx_http_tee_registry_t     *reg;
    const tee_snapshot_entry_t  *e, *was;

    reg = l->registry;
    snap = reg->snap;
    e = &l->image->entries[l->addrs->of[slot].entry];
    host = tee_snapshot_str(l->image, e->host);

    l->valid = ngx_min(l->valid, 2 * NGX_HTTP_TEE_LOOKUP_MIN);

    n = 0;

    if (snap) {
        was = tee_snapshot_find(snap->image, e->tee_id);

        if (was && was->host_form == TEE_HOST_NAME
            && was->host.len == e->host.len
            && ngx_memcmp(tee_snapshot_str(snap->image, was->host).data,
                          host.data, host.len)
               == 0)
        {
            n = ngx_http_tee_snap_addrs(snap, was - snap->image->entries,
                                        &old, &own);
        }
    }

    ngx_http_tee_reg_count(reg, NGX_HTTP_TEE_REG_RESOLVE);

    if (n) {
        ngx_memcpy(l->addrs->of[slot].addrs, old,
                   n * sizeof(ngx_http_tee_addr_t));
        l->addrs->of[slot].naddrs = n;
        return;
    }

    name.len = host.len;
    name.data = (u_char *) host.data;

    ngx_log_error(NGX_LOG_INFO, ngx_cycle->log, 0,
                  "tee registry \"%V\": endpoint name \"%V\" %s",
                  &reg->name, &name, why);
}


static void
ngx_http_tee_lookup_done(ngx_http_tee_lookup_t *l)
{
    time_t                    valid;
    tee_snapshot_t           *image;
    ngx_http_tee_addrs_t     *addrs;
    ngx_http_tee_lookup_pt    handler;
    ngx_http_tee_registry_t  *reg;

    reg = l->registry;
    image = l->image;
    addrs = l->addrs;
    handler = l->handler;
    valid = ngx_max(l->valid, NGX_HTTP_TEE_LOOKUP_MIN);

    reg->lookup = NULL;
    free(l);

    handler(reg, image, addrs, addrs ? (ngx_msec_t) valid * 1000 : 0);
}
