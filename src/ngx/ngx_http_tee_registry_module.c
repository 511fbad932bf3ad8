
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <ngx_http_tee.h>
#include <tee_crypto.h>


/*
 * The registry block, and the life of its snapshot: one worker refreshes and
 * publishes, every worker copies what is published when it next needs it.
 */

#define NGX_HTTP_TEE_CHECK_INTERVAL  200
#define NGX_HTTP_TEE_RETRY           1000
#define NGX_HTTP_TEE_LOOKUP_RETRY    5000
#define NGX_HTTP_TEE_MAX_TEES        65536

/* Copying more than this is left to a thread. */
#define NGX_HTTP_TEE_INLINE_COPY     (1024 * 1024)


typedef struct {
    ngx_array_t                registries;     /* ngx_http_tee_registry_t * */
} ngx_http_tee_registry_main_conf_t;


/* What is handed to the thread that fills the zone. */

typedef struct {
    ngx_http_tee_registry_t   *registry;
    ngx_pool_t                *pool;
    tee_snapshot_t            *image;
    ngx_http_tee_addrs_t      *addrs;
    u_char                    *half;
} ngx_http_tee_publish_t;


typedef struct {
    ngx_http_tee_registry_t   *registry;
    ngx_pool_t                *pool;
    ngx_http_tee_snap_t       *snap;
} ngx_http_tee_load_t;


static void ngx_http_tee_registry_check(ngx_event_t *ev);
static void ngx_http_tee_registry_load(ngx_http_tee_registry_t *reg);
static void ngx_http_tee_registry_load_thread(void *data, ngx_log_t *log);
static void ngx_http_tee_registry_loaded(ngx_event_t *ev);
static void ngx_http_tee_registry_adopt(ngx_http_tee_registry_t *reg,
    ngx_http_tee_snap_t *snap);
static void ngx_http_tee_registry_timer(ngx_event_t *ev);
static void ngx_http_tee_registry_refreshed(ngx_http_tee_registry_t *reg,
    tee_snapshot_t *image, ngx_uint_t same, uint64_t block,
    ngx_uint_t skipped);
static void ngx_http_tee_registry_schedule(ngx_http_tee_registry_t *reg,
    ngx_uint_t ok);
static void ngx_http_tee_registry_lookup(ngx_event_t *ev);
static void ngx_http_tee_registry_resolved(ngx_http_tee_registry_t *reg,
    tee_snapshot_t *image, ngx_http_tee_addrs_t *addrs, ngx_msec_t again);
static void ngx_http_tee_registry_publish(ngx_http_tee_registry_t *reg,
    tee_snapshot_t *image, ngx_http_tee_addrs_t *addrs);
static void ngx_http_tee_registry_publish_thread(void *data, ngx_log_t *log);
static void ngx_http_tee_registry_published(ngx_event_t *ev);

static ngx_int_t ngx_http_tee_registry_init_process(ngx_cycle_t *cycle);
static void ngx_http_tee_registry_exit_process(ngx_cycle_t *cycle);
static void *ngx_http_tee_registry_create_main_conf(ngx_conf_t *cf);


static ngx_command_t  ngx_http_tee_registry_commands[] = {

    { ngx_string("tee_registry"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_BLOCK|NGX_CONF_TAKE1,
      ngx_http_tee_registry_block,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_tee_registry_module_ctx = {
    NULL,                                  /* preconfiguration */
    ngx_http_tee_registry_init,            /* postconfiguration */

    ngx_http_tee_registry_create_main_conf, /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    NULL,                                  /* create location configuration */
    NULL                                   /* merge location configuration */
};


ngx_module_t  ngx_http_tee_registry_module = {
    NGX_MODULE_V1,
    &ngx_http_tee_registry_module_ctx,     /* module context */
    ngx_http_tee_registry_commands,        /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    ngx_http_tee_registry_init_process,    /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    ngx_http_tee_registry_exit_process,    /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


ngx_array_t *
ngx_http_tee_registry_array(ngx_conf_t *cf)
{
    ngx_http_tee_registry_main_conf_t  *rmcf;

    rmcf = ngx_http_conf_get_module_main_conf(cf,
                                              ngx_http_tee_registry_module);
    return &rmcf->registries;
}


ngx_array_t *
ngx_http_tee_registries(ngx_http_request_t *r)
{
    ngx_http_tee_registry_main_conf_t  *rmcf;

    rmcf = ngx_http_get_module_main_conf(r, ngx_http_tee_registry_module);

    return &rmcf->registries;
}


ngx_http_tee_registry_t *
ngx_http_tee_registry_find(ngx_conf_t *cf, ngx_str_t *name)
{
    ngx_uint_t                  i;
    ngx_array_t                *registries;
    ngx_http_tee_registry_t   **reg;

    registries = ngx_http_tee_registry_array(cf);
    reg = registries->elts;

    for (i = 0; i < registries->nelts; i++) {
        if (reg[i]->name.len == name->len
            && ngx_strncmp(reg[i]->name.data, name->data, name->len) == 0)
        {
            return reg[i];
        }
    }

    return NULL;
}


void
ngx_http_tee_registry_rules(ngx_http_tee_registry_t *reg,
    tee_registry_rules_t *rules)
{
    ngx_memzero(rules, sizeof(tee_registry_rules_t));

    rules->alloc = &ngx_http_tee_alloc;
    rules->tee_type = (uint8_t) reg->type;
    rules->allow_private = (reg->allow_private == 1);
    rules->max_tees = NGX_HTTP_TEE_MAX_TEES;
    rules->pcr = reg->pcr.elts;
    rules->npcr = reg->pcr.nelts;
}


ngx_uint_t
ngx_http_tee_registry_lists(ngx_http_tee_registry_t *reg, const u_char id[32])
{
    ngx_http_tee_snap_t  *snap;

    snap = ngx_http_tee_registry_snap(reg);

    return snap && tee_snapshot_find(snap->image, id) != NULL;
}


ngx_http_tee_snap_t *
ngx_http_tee_registry_snap(ngx_http_tee_registry_t *reg)
{
    if (reg->sh->version != (reg->snap ? reg->snap->version : 0)) {
        ngx_http_tee_registry_load(reg);
    }

    return reg->snap;
}


time_t
ngx_http_tee_registry_age(ngx_http_tee_registry_t *reg)
{
    ngx_msec_int_t  age;

    if (reg->sh->version == 0) {
        return -1;
    }

    if (reg->file.len) {
        return 0;
    }

    /* another worker's clock may be a little ahead of our cached time */

    age = (ngx_msec_int_t) (ngx_current_msec
                            - (ngx_msec_t) reg->sh->fetched_at);

    return age > 0 ? age / 1000 : 0;
}


ngx_uint_t
ngx_http_tee_registry_stale(ngx_http_tee_registry_t *reg)
{
    return ngx_http_tee_registry_age(reg) > reg->max_stale;
}


void
ngx_http_tee_registry_hurry(ngx_http_tee_registry_t *reg)
{
    reg->sh->wanted = 1;
}


void
ngx_http_tee_registry_failed(ngx_http_tee_registry_t *reg,
    ngx_http_tee_snap_t *snap, ngx_uint_t entry, time_t until)
{
    ngx_http_tee_failures_t  *f;

    if (snap->version == reg->sh->version && entry < reg->sh->nfailures) {
        f = &reg->sh->failures[entry];

        (void) ngx_atomic_fetch_add(&f->count, 1);
        f->until = (ngx_atomic_uint_t) until;
    }
}


ngx_uint_t
ngx_http_tee_registry_failures(ngx_http_tee_registry_t *reg,
    ngx_http_tee_snap_t *snap, ngx_uint_t entry, ngx_uint_t *avoided)
{
    ngx_http_tee_failures_t  *f;

    *avoided = 0;

    if (snap->version != reg->sh->version || entry >= reg->sh->nfailures) {
        return 0;
    }

    f = &reg->sh->failures[entry];
    *avoided = ((time_t) f->until > ngx_time());

    return f->count;
}


static void
ngx_http_tee_registry_check(ngx_event_t *ev)
{
    ngx_uint_t                stale;
    ngx_http_tee_registry_t  *reg = ev->data;

    (void) ngx_http_tee_registry_snap(reg);

    if (reg->owner && !ngx_exiting) {

        stale = reg->snap && ngx_http_tee_registry_stale(reg);

        if (stale && !reg->was_stale) {
            ngx_log_error(NGX_LOG_ERR, ev->log, 0,
                          "tee registry \"%V\": the snapshot is older than "
                          "\"max_stale\", its TEEs are not used until an RPC "
                          "answers",
                          &reg->name);
        }

        reg->was_stale = stale;

        if (reg->sh->wanted && !reg->file.len
            && reg->round == NULL && reg->lookup == NULL && !reg->publishing
            && ngx_current_msec - reg->last_round >= reg->refresh_min)
        {
            ngx_add_timer(&reg->timer, 0);
        }
    }

    ngx_add_timer(ev, NGX_HTTP_TEE_CHECK_INTERVAL);
}


static void
ngx_http_tee_registry_load(ngx_http_tee_registry_t *reg)
{
    ngx_pool_t           *pool;
    ngx_thread_task_t    *task;
    ngx_http_tee_load_t  *load;

    if (reg->loading) {
        return;
    }

    if (reg->sh->image_size + reg->sh->addrs_size
        <= NGX_HTTP_TEE_INLINE_COPY)
    {
        ngx_http_tee_registry_adopt(reg,
                                ngx_http_tee_shm_copy(reg, ngx_cycle->log));
        return;
    }

    pool = ngx_create_pool(1024, ngx_cycle->log);
    if (pool == NULL) {
        return;
    }

    task = ngx_thread_task_alloc(pool, sizeof(ngx_http_tee_load_t));
    if (task == NULL) {
        ngx_destroy_pool(pool);
        return;
    }

    load = task->ctx;
    load->registry = reg;
    load->pool = pool;

    task->handler = ngx_http_tee_registry_load_thread;
    task->event.handler = ngx_http_tee_registry_loaded;
    task->event.data = load;
    task->event.log = ngx_cycle->log;

    if (ngx_thread_task_post(reg->thread_pool, task) != NGX_OK) {
        ngx_destroy_pool(pool);
        return;
    }

    reg->loading = 1;
}


static void
ngx_http_tee_registry_load_thread(void *data, ngx_log_t *log)
{
    ngx_http_tee_load_t  *load = data;

    load->snap = ngx_http_tee_shm_copy(load->registry, log);
}


static void
ngx_http_tee_registry_loaded(ngx_event_t *ev)
{
    ngx_http_tee_load_t      *load = ev->data;
    ngx_http_tee_registry_t  *reg;

    reg = load->registry;
    reg->loading = 0;

    ngx_http_tee_registry_adopt(reg, load->snap);

    ngx_destroy_pool(load->pool);
}


static void
ngx_http_tee_registry_adopt(ngx_http_tee_registry_t *reg,
    ngx_http_tee_snap_t *snap)
{
    if (snap == NULL) {
        return;
    }

    if (reg->snap && snap->version < reg->snap->version) {
        ngx_http_tee_snap_unref(snap);
        return;
    }

    ngx_http_tee_snap_unref(reg->snap);
    reg->snap = snap;

    ngx_http_tee_pin_sweep(reg, snap->image);
}


static void
ngx_http_tee_registry_timer(ngx_event_t *ev)
{
    ngx_http_tee_registry_t  *reg = ev->data;

    if (ngx_exiting || reg->round || reg->lookup || reg->publishing) {
        if (!ngx_exiting) {
            ngx_add_timer(ev, NGX_HTTP_TEE_RETRY);
        }
        return;
    }

    reg->last_round = ngx_current_msec;
    reg->sh->wanted = 0;

    if (ngx_http_tee_round_start(reg, ngx_http_tee_registry_refreshed)
        != NGX_OK)
    {
        ngx_http_tee_registry_refreshed(reg, NULL, 0, 0, 0);
    }
}


static void
ngx_http_tee_registry_refreshed(ngx_http_tee_registry_t *reg,
    tee_snapshot_t *image, ngx_uint_t same, uint64_t block,
    ngx_uint_t skipped)
{
    if (image == NULL) {
        ngx_http_tee_reg_count(reg, NGX_HTTP_TEE_REG_REFRESH_FAILED);

        if (!reg->failing) {
            reg->failing = 1;

            ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                          "tee registry \"%V\": refresh failed, %s",
                          &reg->name,
                          reg->snap ? "the last good snapshot stays"
                                    : "there is no snapshot yet");
        }

        ngx_http_tee_registry_schedule(reg, 0);
        return;
    }

    ngx_http_tee_reg_count(reg, NGX_HTTP_TEE_REG_REFRESH_OK);

    if (reg->failing) {
        reg->failing = 0;

        ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                      "tee registry \"%V\": refresh succeeds again",
                      &reg->name);
    }

    ngx_http_tee_registry_schedule(reg, 1);

    reg->fresh = 1;
    reg->pending_block = block;
    reg->pending_skipped = skipped;

    if (same) {
        free(image);

        ngx_http_tee_shm_fetched(reg, ngx_time(), block, skipped);
        ngx_http_tee_registry_save(reg, reg->snap, block);
        return;
    }

    if (ngx_http_tee_lookup_start(reg, image, ngx_http_tee_registry_resolved)
        != NGX_OK)
    {
        free(image);
    }
}


/* Jitter keeps a fleet from asking in step. */

static void
ngx_http_tee_registry_schedule(ngx_http_tee_registry_t *reg, ngx_uint_t ok)
{
    ngx_msec_t  delay;

    if (ok) {
        reg->failed_rounds = 0;
        delay = reg->refresh;

    } else {
        delay = NGX_HTTP_TEE_RETRY << ngx_min(reg->failed_rounds, 16);
        delay = ngx_min(delay, reg->refresh);
        reg->failed_rounds++;
    }

    delay = delay - delay / 10 + ngx_random() % (delay / 5 + 1);

    ngx_add_timer(&reg->timer, delay);
}


/* The names of the current snapshot are looked up again when they expire. */

static void
ngx_http_tee_registry_lookup(ngx_event_t *ev)
{
    tee_snapshot_t           *image;
    ngx_http_tee_registry_t  *reg = ev->data;

    if (ngx_exiting) {
        return;
    }

    if (reg->snap == NULL || reg->round || reg->lookup || reg->publishing) {
        ngx_add_timer(ev, NGX_HTTP_TEE_RETRY);
        return;
    }

    image = malloc((size_t) reg->snap->image->size);

    if (image) {
        ngx_memcpy(image, reg->snap->image, (size_t) reg->snap->image->size);

        if (ngx_http_tee_lookup_start(reg, image,
                                      ngx_http_tee_registry_resolved)
            == NGX_OK)
        {
            reg->fresh = 0;
            return;
        }

        free(image);
    }

    ngx_add_timer(ev, NGX_HTTP_TEE_RETRY);
}


static void
ngx_http_tee_registry_resolved(ngx_http_tee_registry_t *reg,
    tee_snapshot_t *image, ngx_http_tee_addrs_t *addrs, ngx_msec_t again)
{
    ngx_http_tee_snap_t  *snap;

    if (again) {
        ngx_add_timer(&reg->resolve_timer, again);
    }

    snap = reg->snap;

    if (!reg->fresh
        && ((addrs == NULL && snap->addrs == NULL)
            || (addrs && snap->addrs
                && addrs->size == snap->addrs->size
                && ngx_memcmp(addrs, snap->addrs, addrs->size) == 0)))
    {
        free(image);
        free(addrs);
        return;
    }

    ngx_http_tee_registry_publish(reg, image, addrs);
}


static void
ngx_http_tee_registry_publish(ngx_http_tee_registry_t *reg,
    tee_snapshot_t *image, ngx_http_tee_addrs_t *addrs)
{
    u_char                  *half;
    ngx_pool_t              *pool;
    ngx_thread_task_t       *task;
    ngx_http_tee_publish_t  *pub;

    half = ngx_http_tee_shm_begin(reg, (size_t) image->size,
                                  addrs ? addrs->size : 0, ngx_cycle->log);
    if (half == NULL) {
        goto failed;
    }

    pool = ngx_create_pool(1024, ngx_cycle->log);
    if (pool == NULL) {
        goto abort;
    }

    task = ngx_thread_task_alloc(pool, sizeof(ngx_http_tee_publish_t));
    if (task == NULL) {
        ngx_destroy_pool(pool);
        goto abort;
    }

    pub = task->ctx;
    pub->registry = reg;
    pub->pool = pool;
    pub->image = image;
    pub->addrs = addrs;
    pub->half = half;

    task->handler = ngx_http_tee_registry_publish_thread;
    task->event.handler = ngx_http_tee_registry_published;
    task->event.data = pub;
    task->event.log = ngx_cycle->log;

    if (ngx_thread_task_post(reg->thread_pool, task) != NGX_OK) {
        ngx_destroy_pool(pool);
        goto abort;
    }

    reg->publishing = 1;

    return;

abort:

    ngx_http_tee_shm_abort(reg);

failed:

    free(image);
    free(addrs);

    if (reg->file.len) {
        /* a file is not fetched; its names are looked up again */
        ngx_add_timer(&reg->resolve_timer, NGX_HTTP_TEE_LOOKUP_RETRY);
        return;
    }

    /* what could not be published is fetched again */

    ngx_http_tee_registry_schedule(reg, 0);
}


static void
ngx_http_tee_registry_publish_thread(void *data, ngx_log_t *log)
{
    size_t                   size;
    ngx_http_tee_publish_t  *pub = data;

    size = (size_t) pub->image->size;

    ngx_memcpy(pub->half, pub->image, size);

    if (pub->addrs) {
        ngx_memcpy(pub->half + ngx_align(size, NGX_ALIGNMENT), pub->addrs,
                   pub->addrs->size);
    }
}


static void
ngx_http_tee_registry_published(ngx_event_t *ev)
{
    ngx_http_tee_snap_t      *snap;
    ngx_http_tee_publish_t   *pub = ev->data;
    ngx_http_tee_registry_t  *reg;

    reg = pub->registry;
    reg->publishing = 0;

    ngx_http_tee_shm_publish(reg, (size_t) pub->image->size,
                             pub->addrs ? pub->addrs->size : 0);

    if (reg->fresh) {
        ngx_http_tee_shm_fetched(reg, ngx_time(), reg->pending_block,
                                 reg->pending_skipped);
    }

    snap = ngx_http_tee_snap_new(pub->image, pub->addrs, reg->sh->version,
                                 ngx_cycle->log);
    ngx_http_tee_registry_adopt(reg, snap);

    ngx_destroy_pool(pub->pool);

    if (snap == NULL) {
        return;
    }

    ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                  "tee registry \"%V\": version %uA with %uD TEEs",
                  &reg->name, reg->sh->version, snap->image->n);

    if (reg->fresh) {
        ngx_http_tee_registry_save(reg, snap, reg->pending_block);
    }
}


static ngx_int_t
ngx_http_tee_registry_init_process(ngx_cycle_t *cycle)
{
    ngx_uint_t                           i;
    ngx_http_tee_registry_t             *reg, **regs;
    ngx_http_tee_registry_main_conf_t   *rmcf;

    if (ngx_process != NGX_PROCESS_WORKER && ngx_process != NGX_PROCESS_SINGLE)
    {
        return NGX_OK;
    }

    rmcf = ngx_http_cycle_get_module_main_conf(cycle,
                                               ngx_http_tee_registry_module);
    if (rmcf == NULL) {
        return NGX_OK;
    }

    regs = rmcf->registries.elts;

    for (i = 0; i < rmcf->registries.nelts; i++) {
        reg = regs[i];

        reg->owner = (ngx_process == NGX_PROCESS_SINGLE || ngx_worker == 0);

        reg->check.handler = ngx_http_tee_registry_check;
        reg->check.data = reg;
        reg->check.log = cycle->log;
        reg->check.cancelable = 1;

        ngx_add_timer(&reg->check, NGX_HTTP_TEE_CHECK_INTERVAL);

        /* here it may take its time: the first request needs it */

        ngx_http_tee_registry_adopt(reg,
                                    ngx_http_tee_shm_copy(reg, cycle->log));

        if (!reg->owner) {
            continue;
        }

        reg->sh->refreshing = 0;

        reg->resolve_timer.handler = ngx_http_tee_registry_lookup;
        reg->resolve_timer.data = reg;
        reg->resolve_timer.log = cycle->log;
        reg->resolve_timer.cancelable = 1;

        if (reg->snap) {
            ngx_add_timer(&reg->resolve_timer, 1);
        }

        if (reg->file.len == 0) {
            reg->timer.handler = ngx_http_tee_registry_timer;
            reg->timer.data = reg;
            reg->timer.log = cycle->log;
            reg->timer.cancelable = 1;

            ngx_add_timer(&reg->timer, 1);
        }
    }

    return NGX_OK;
}


static void
ngx_http_tee_registry_exit_process(ngx_cycle_t *cycle)
{
    ngx_uint_t                           i;
    ngx_http_tee_registry_t            **regs;
    ngx_http_tee_registry_main_conf_t   *rmcf;

    rmcf = ngx_http_cycle_get_module_main_conf(cycle,
                                               ngx_http_tee_registry_module);
    if (rmcf == NULL) {
        return;
    }

    regs = rmcf->registries.elts;

    for (i = 0; i < rmcf->registries.nelts; i++) {
        ngx_http_tee_round_cancel(regs[i]);
        ngx_http_tee_lookup_cancel(regs[i]);
        ngx_http_tee_snap_unref(regs[i]->snap);
        regs[i]->snap = NULL;
    }
}


static void *
ngx_http_tee_registry_create_main_conf(ngx_conf_t *cf)
{
    ngx_http_tee_registry_main_conf_t  *rmcf;

    rmcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_tee_registry_main_conf_t));
    if (rmcf == NULL) {
        return NULL;
    }

    if (ngx_array_init(&rmcf->registries, cf->pool, 1,
                       sizeof(ngx_http_tee_registry_t *))
        != NGX_OK)
    {
        return NULL;
    }

    return rmcf;
}
