
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <ngx_http_tee.h>


/*
 * A zone has two halves: one is published, the other may be written.  Nothing
 * is allocated after the start, so a worker that dies in the middle leaves
 * neither a leak nor a half-written snapshot behind.  Only the slab pool's
 * mutex is used: the master process releases it when its holder dies.
 *
 * Readers copy without the lock and look at the version afterwards: the half
 * they read is written again only after another publication.
 */


/* A writer that is gone, or has not come back for so long, is forgotten. */

#define NGX_HTTP_TEE_WRITE_TIMEOUT  60000


static ngx_int_t ngx_http_tee_shm_create(ngx_http_tee_registry_t *reg,
    ngx_shm_zone_t *zone);
static void ngx_http_tee_shm_store_initial(ngx_http_tee_registry_t *reg,
    ngx_shm_zone_t *zone);
static ngx_http_tee_snap_t *ngx_http_tee_shm_copy_once(
    ngx_http_tee_registry_t *reg, ngx_log_t *log);
static ngx_uint_t ngx_http_tee_shm_valid(tee_snapshot_t *image, size_t size,
    ngx_http_tee_addrs_t *addrs, size_t addrs_size);


ngx_int_t
ngx_http_tee_shm_init(ngx_http_tee_registry_t *reg, ngx_shm_zone_t *zone,
    void *data)
{
    ngx_http_tee_registry_t  *old = data;

    reg->shpool = (ngx_slab_pool_t *) zone->shm.addr;

    if (old) {
        /* the zone's name holds everything that decides on its content */
        reg->sh = old->sh;
        return NGX_OK;
    }

    if (zone->shm.exists) {
        reg->sh = reg->shpool->data;
        return NGX_OK;
    }

    if (ngx_http_tee_shm_create(reg, zone) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_http_tee_shm_store_initial(reg, zone);

    return NGX_OK;
}


static ngx_int_t
ngx_http_tee_shm_create(ngx_http_tee_registry_t *reg, ngx_shm_zone_t *zone)
{
    size_t               size, left;
    ngx_uint_t           i, failures;
    ngx_slab_pool_t     *shpool;
    ngx_http_tee_shm_t  *sh;

    shpool = reg->shpool;
    shpool->log_nomem = 0;

    sh = ngx_slab_calloc(shpool, sizeof(ngx_http_tee_shm_t));
    if (sh == NULL) {
        goto small;
    }

    shpool->data = sh;
    reg->sh = sh;

    left = shpool->pfree * ngx_pagesize;

    /* an entry needs a certificate, so half a kilobyte each is too many */

    failures = left / 1024;
    size = ngx_align(failures * sizeof(ngx_http_tee_failures_t),
                     ngx_pagesize);

    if (left < size + 4 * ngx_pagesize) {
        goto small;
    }

    sh->failures = ngx_slab_calloc(shpool, size);
    if (sh->failures == NULL) {
        goto small;
    }

    sh->nfailures = failures;

    size = (shpool->pfree - 1) / 2 * ngx_pagesize;

    for (i = 0; i < 2; i++) {
        sh->data[i] = ngx_slab_alloc(shpool, size);
        if (sh->data[i] == NULL) {
            goto small;
        }
    }

    sh->capacity = size;

    return NGX_OK;

small:

    ngx_log_error(NGX_LOG_EMERG, zone->shm.log, 0,
                  "tee registry \"%V\": zone of %uz bytes is too small",
                  &reg->name, zone->shm.size);

    return NGX_ERROR;
}


/* In the master process, before any worker exists. */

static void
ngx_http_tee_shm_store_initial(ngx_http_tee_registry_t *reg,
    ngx_shm_zone_t *zone)
{
    ngx_http_tee_shm_t  *sh;

    if (reg->initial == NULL) {
        return;
    }

    sh = reg->sh;

    if (reg->initial->size > sh->capacity) {
        ngx_log_error(NGX_LOG_ERR, zone->shm.log, 0,
                      "tee registry \"%V\": %uL bytes do not fit into half of "
                      "the zone, %uz bytes: increase \"zone\"",
                      &reg->name, reg->initial->size, sh->capacity);
        return;
    }

    ngx_memcpy(sh->data[0], reg->initial, (size_t) reg->initial->size);

    sh->half = 0;
    sh->nused = ngx_min(reg->initial->n, sh->nfailures);
    sh->image_size = (size_t) reg->initial->size;
    sh->version = 1;
    sh->block = (ngx_atomic_uint_t) reg->initial_block;
    sh->skipped = reg->initial_skipped;
    sh->fetched = (ngx_atomic_uint_t) reg->initial_time;
    sh->fetched_at = ngx_current_msec
                     - (ngx_time() - reg->initial_time) * 1000;
}


u_char *
ngx_http_tee_shm_begin(ngx_http_tee_registry_t *reg, size_t image,
    size_t addrs, ngx_log_t *log)
{
    u_char              *p;
    ngx_http_tee_shm_t  *sh;

    sh = reg->sh;
    image = ngx_align(image, NGX_ALIGNMENT);

    if (image + addrs > sh->capacity) {
        ngx_http_tee_reg_count(reg, NGX_HTTP_TEE_REG_ZONE_FULL);

        if (reg->full) {
            return NULL;
        }

        reg->full = 1;

        ngx_log_error(NGX_LOG_ERR, log, 0,
                      "tee registry \"%V\": snapshot of %uz bytes does not "
                      "fit into half of the zone, %uz bytes: increase "
                      "\"zone\"; the old snapshot stays",
                      &reg->name, image + addrs, sh->capacity);
        return NULL;
    }

    reg->full = 0;
    p = NULL;

    ngx_shmtx_lock(&reg->shpool->mutex);

    if (sh->writer == 0
        || sh->writer == ngx_pid
        || (ngx_msec_int_t) (ngx_current_msec - sh->writing)
           > NGX_HTTP_TEE_WRITE_TIMEOUT
        || (kill(sh->writer, 0) == -1 && ngx_errno == ESRCH))
    {
        sh->writer = ngx_pid;
        sh->writing = ngx_current_msec;
        p = sh->data[!sh->half];
    }

    ngx_shmtx_unlock(&reg->shpool->mutex);

    return p;
}


void
ngx_http_tee_shm_publish(ngx_http_tee_registry_t *reg, size_t image,
    size_t addrs)
{
    ngx_uint_t           n;
    ngx_http_tee_shm_t  *sh;

    sh = reg->sh;

    ngx_shmtx_lock(&reg->shpool->mutex);

    if (sh->writer == ngx_pid) {
        sh->writer = 0;
        sh->half = !sh->half;
        sh->image_size = image;
        sh->addrs_size = addrs;
        sh->version++;

        /* those behind the last entry have never been used since */

        n = ((tee_snapshot_t *) sh->data[sh->half])->n;
        n = ngx_min(ngx_max(n, sh->nused), sh->nfailures);

        ngx_memzero(sh->failures, n * sizeof(ngx_http_tee_failures_t));
        sh->nused = n;
    }

    ngx_shmtx_unlock(&reg->shpool->mutex);
}


void
ngx_http_tee_shm_abort(ngx_http_tee_registry_t *reg)
{
    ngx_shmtx_lock(&reg->shpool->mutex);

    if (reg->sh->writer == ngx_pid) {
        reg->sh->writer = 0;
    }

    ngx_shmtx_unlock(&reg->shpool->mutex);
}


void
ngx_http_tee_shm_fetched(ngx_http_tee_registry_t *reg, time_t when,
    uint64_t block, ngx_uint_t skipped)
{
    reg->sh->fetched = (ngx_atomic_uint_t) when;
    reg->sh->fetched_at = ngx_current_msec;
    reg->sh->block = (ngx_atomic_uint_t) block;
    reg->sh->skipped = skipped;
}


/* Safe in a thread: touches nothing of the worker but its arguments. */

ngx_http_tee_snap_t *
ngx_http_tee_shm_copy(ngx_http_tee_registry_t *reg, ngx_log_t *log)
{
    ngx_uint_t            tries;
    ngx_http_tee_snap_t  *snap;

    /* publications are far apart, so a second one in a row is rare */

    for (tries = 0; tries < 3; tries++) {
        snap = ngx_http_tee_shm_copy_once(reg, log);

        if (snap || reg->sh->version == 0) {
            return snap;
        }
    }

    return NULL;
}


static ngx_http_tee_snap_t *
ngx_http_tee_shm_copy_once(ngx_http_tee_registry_t *reg, ngx_log_t *log)
{
    u_char                *from;
    size_t                 image_size, addrs_size;
    uint64_t               version;
    ngx_uint_t             changed;
    tee_snapshot_t        *image;
    ngx_http_tee_shm_t    *sh;
    ngx_http_tee_addrs_t  *addrs;

    sh = reg->sh;

    ngx_shmtx_lock(&reg->shpool->mutex);

    from = sh->data[sh->half];
    image_size = sh->image_size;
    addrs_size = sh->addrs_size;
    version = sh->version;

    ngx_shmtx_unlock(&reg->shpool->mutex);

    if (version == 0) {
        return NULL;
    }

    image = malloc(image_size);
    addrs = addrs_size ? malloc(addrs_size) : NULL;

    if (image == NULL || (addrs_size && addrs == NULL)) {
        goto failed;
    }

    ngx_memcpy(image, from, image_size);

    if (addrs) {
        ngx_memcpy(addrs, from + ngx_align(image_size, NGX_ALIGNMENT),
                   addrs_size);
    }

    ngx_shmtx_lock(&reg->shpool->mutex);
    changed = (sh->version != version);
    ngx_shmtx_unlock(&reg->shpool->mutex);

    if (changed
        || !ngx_http_tee_shm_valid(image, image_size, addrs, addrs_size))
    {
        goto failed;
    }

    return ngx_http_tee_snap_new(image, addrs, version, log);

failed:

    free(image);
    free(addrs);

    return NULL;
}


static ngx_uint_t
ngx_http_tee_shm_valid(tee_snapshot_t *image, size_t size,
    ngx_http_tee_addrs_t *addrs, size_t addrs_size)
{
    if (size < sizeof(tee_snapshot_t)
        || image->magic != TEE_SNAPSHOT_MAGIC
        || image->size != size)
    {
        return 0;
    }

    return addrs == NULL || addrs->size == addrs_size;
}


/* Takes both blocks over, also when it fails. */

ngx_http_tee_snap_t *
ngx_http_tee_snap_new(tee_snapshot_t *image, ngx_http_tee_addrs_t *addrs,
    uint64_t version, ngx_log_t *log)
{
    ngx_http_tee_snap_t  *snap;

    snap = malloc(sizeof(ngx_http_tee_snap_t));

    if (snap == NULL) {
        free(image);
        free(addrs);
        return NULL;
    }

    snap->image = image;
    snap->addrs = addrs;
    snap->version = version;
    snap->refs = 1;

    return snap;
}


void
ngx_http_tee_snap_unref(ngx_http_tee_snap_t *snap)
{
    if (snap == NULL || --snap->refs) {
        return;
    }

    free(snap->image);
    free(snap->addrs);
    free(snap);
}


/*
 * The addresses of an entry: a literal's own, or those its name has been
 * resolved to.  "own" is room for one.
 */

ngx_uint_t
ngx_http_tee_snap_addrs(ngx_http_tee_snap_t *snap, ngx_uint_t entry,
    ngx_http_tee_addr_t **addrs, ngx_http_tee_addr_t *own)
{
    ngx_uint_t             lo, hi, mid;
    tee_snapshot_entry_t  *e;

    e = &snap->image->entries[entry];

    if (e->host_form != TEE_HOST_NAME) {
        ngx_memcpy(own->addr, e->addr, 16);
        own->form = e->host_form;
        *addrs = own;
        return 1;
    }

    if (snap->addrs == NULL) {
        return 0;
    }

    lo = 0;
    hi = snap->addrs->n;

    while (lo < hi) {
        mid = lo + (hi - lo) / 2;

        if (snap->addrs->of[mid].entry < entry) {
            lo = mid + 1;

        } else {
            hi = mid;
        }
    }

    if (lo == snap->addrs->n || snap->addrs->of[lo].entry != entry) {
        return 0;
    }

    *addrs = snap->addrs->of[lo].addrs;

    return snap->addrs->of[lo].naddrs;
}
