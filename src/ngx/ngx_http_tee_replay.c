
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <ngx_http_tee_redis.h>
#include <ngx_http_tee_replay.h>
#include <tee_crypto.h>


/*
 * tee_gateway_replay: which requests have been seen.  A set is a file that the
 * master process maps and workers inherit, so that it outlives a reload, an
 * upgrade and a restart.  Its lock is that of the descriptor, and goes with
 * the process that has it.
 */

#define NGX_HTTP_TEE_REPLAY_SIZE    (16 * 1024 * 1024)
#define NGX_HTTP_TEE_REPLAY_WINDOW  (5 * 60)


typedef struct {
    ngx_array_t                sets;           /* _set_t * */
    ngx_array_t                servers;        /* ngx_http_tee_redis_t * */
    ngx_http_tee_replay_t     *normal;         /* without a directive */
} ngx_http_tee_replay_main_conf_t;


/* Of a location. */

struct ngx_http_tee_replay_s {
    ngx_http_tee_replay_set_t *set;
    time_t                     window;
    ngx_uint_t                 date;
    ngx_uint_t                 evict;
    ngx_http_tee_redis_t      *redis;
    ngx_msec_t                 timeout;
    ngx_int_t                  away;
};


/* The parameters of a directive. */

typedef struct {
    ngx_str_t                  zone;
    size_t                     size;
    time_t                     window;
    ngx_str_t                  file;
    ngx_str_t                  redis;
    ngx_str_t                  auth;
    ngx_uint_t                 seen;           /* bits of what was there */
    ngx_http_tee_replay_t     *replay;
} ngx_http_tee_replay_args_t;


static ngx_int_t ngx_http_tee_replay_local(ngx_http_tee_replay_t *replay,
    tee_str_t enc, ngx_log_t *log);
static ngx_int_t ngx_http_tee_replay_lock(ngx_http_tee_replay_set_t *set,
    short type, ngx_log_t *log);
static const char *ngx_http_tee_replay_arg(ngx_http_tee_replay_args_t *args,
    ngx_str_t *value);
static const char *ngx_http_tee_replay_word(ngx_http_tee_replay_args_t *args,
    ngx_uint_t i, ngx_str_t *s);
static ngx_http_tee_replay_t *ngx_http_tee_replay_create(ngx_conf_t *cf,
    ngx_http_tee_replay_args_t *args);
static ngx_http_tee_replay_set_t *ngx_http_tee_replay_find(ngx_conf_t *cf,
    ngx_http_tee_replay_args_t *args, time_t keep);
static ngx_int_t ngx_http_tee_replay_zone_init(ngx_shm_zone_t *zone,
    void *data);
static void *ngx_http_tee_replay_create_main_conf(ngx_conf_t *cf);
static void ngx_http_tee_replay_exit_process(ngx_cycle_t *cycle);


static ngx_http_module_t  ngx_http_tee_replay_module_ctx = {
    NULL,                                  /* preconfiguration */
    NULL,                                  /* postconfiguration */

    ngx_http_tee_replay_create_main_conf,  /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    NULL,                                  /* create location configuration */
    NULL                                   /* merge location configuration */
};


ngx_module_t  ngx_http_tee_replay_module = {
    NGX_MODULE_V1,
    &ngx_http_tee_replay_module_ctx,       /* module context */
    NULL,                                  /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    NULL,                                  /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    ngx_http_tee_replay_exit_process,      /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


/* The names of parameters; the first ones take something else than a word. */

enum {
    NGX_HTTP_TEE_REPLAY_ZONE = 0,
    NGX_HTTP_TEE_REPLAY_ARG_WINDOW,
    NGX_HTTP_TEE_REPLAY_FILE,
    NGX_HTTP_TEE_REPLAY_REDIS,
    NGX_HTTP_TEE_REPLAY_REDIS_TIMEOUT,
    NGX_HTTP_TEE_REPLAY_REDIS_AUTH,
    NGX_HTTP_TEE_REPLAY_FULL,
    NGX_HTTP_TEE_REPLAY_DATE,
    NGX_HTTP_TEE_REPLAY_REDIS_AWAY
};


static const char  *ngx_http_tee_replay_names[] = {
    "zone=", "window=", "file=", "redis=", "redis_timeout=", "redis_auth=",
    "full=", "date=", "redis_away=", NULL
};


ngx_int_t
ngx_http_tee_replay_check(ngx_http_tee_replay_t *replay, tee_str_t enc,
    ngx_http_tee_replay_pt handler, void *data, ngx_log_t *log)
{
    u_char     digest[32];
    ngx_int_t  rc;

    rc = ngx_http_tee_replay_local(replay, enc, log);

    if (rc != NGX_OK || replay->redis == NULL) {
        return rc;
    }

    /* other machines have other keys: this one is the same for all */

    if (tee_sha256(enc, digest) != TEE_OK) {
        return NGX_ERROR;
    }

    return ngx_http_tee_redis_add(replay->redis, digest, replay->set->keep,
                                  replay->timeout, replay->away, handler,
                                  data);
}


void
ngx_http_tee_replay_forget(ngx_http_tee_replay_t *replay, void *data)
{
    if (replay->redis) {
        ngx_http_tee_redis_forget(replay->redis, data);
    }
}


static ngx_int_t
ngx_http_tee_replay_local(ngx_http_tee_replay_t *replay, tee_str_t enc,
    ngx_log_t *log)
{
    u_char                      digest[16];
    time_t                      now;
    tee_rc_t                    rc;
    uint64_t                    evicted;
    ngx_http_tee_replay_set_t  *set;

    set = replay->set;

    if (set->set == NULL
        || tee_replay_digest(set->set, enc, digest) != TEE_OK
        || ngx_http_tee_replay_lock(set, F_WRLCK, log) != NGX_OK)
    {
        return NGX_ERROR;
    }

    now = ngx_time();

    rc = tee_replay_add(set->set, digest, now, replay->evict, &evicted);

    if (ngx_http_tee_replay_lock(set, F_UNLCK, log) != NGX_OK) {
        return NGX_ERROR;
    }

    if (evicted) {
        ngx_http_tee_count(NGX_HTTP_TEE_GATEWAY_EVICTED);

        ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                      "tee replay \"%V\": full, %uL requests are forgotten "
                      "before their time; increase its size",
                      &set->name, evicted);
    }

    switch (rc) {

    case TEE_OK:

        if (set->state->full && ngx_atomic_cmp_set(&set->state->full, 1, 0)) {
            ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                          "tee replay \"%V\": there is room again",
                          &set->name);
        }

        return NGX_OK;

    case TEE_DONE:
        return NGX_DECLINED;

    case TEE_LIMIT:

        if (!set->state->full && ngx_atomic_cmp_set(&set->state->full, 0, 1))
        {
            ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                          "tee replay \"%V\": full, requests are refused; "
                          "increase its size, or use \"full=evict\"",
                          &set->name);
        }

        return NGX_BUSY;

    default:
        return NGX_ERROR;
    }
}


/* Held for some hundred nanoseconds, but for whoever is stopped just then. */

static ngx_int_t
ngx_http_tee_replay_lock(ngx_http_tee_replay_set_t *set, short type,
    ngx_log_t *log)
{
    struct flock  fl;

    ngx_memzero(&fl, sizeof(struct flock));
    fl.l_type = type;
    fl.l_whence = SEEK_SET;

    while (fcntl(set->fd, F_SETLKW, &fl) == -1) {

        if (ngx_errno == NGX_EINTR) {
            continue;
        }

        ngx_log_error(NGX_LOG_ALERT, log, ngx_errno,
                      "tee replay \"%V\": \"%V\" cannot be locked",
                      &set->name, &set->path);
        return NGX_ERROR;
    }

    return NGX_OK;
}


time_t
ngx_http_tee_replay_window(ngx_http_tee_replay_t *replay)
{
    return replay->window;
}


ngx_uint_t
ngx_http_tee_replay_date(ngx_http_tee_replay_t *replay)
{
    return replay->date;
}


ngx_http_tee_replay_t *
ngx_http_tee_replay_default(ngx_conf_t *cf)
{
    ngx_http_tee_replay_t            replay;
    ngx_http_tee_replay_args_t       args;
    ngx_http_tee_replay_main_conf_t *rmcf;

    rmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_tee_replay_module);

    if (rmcf->normal == NULL) {
        ngx_memzero(&args, sizeof(ngx_http_tee_replay_args_t));
        ngx_memzero(&replay, sizeof(ngx_http_tee_replay_t));

        args.replay = &replay;
        replay.date = NGX_HTTP_TEE_DATE_CHECK;

        rmcf->normal = ngx_http_tee_replay_create(cf, &args);
    }

    return rmcf->normal;
}


ngx_http_tee_replay_t *
ngx_http_tee_replay_conf(ngx_conf_t *cf)
{
    ngx_str_t                   *value;
    const char                  *why;
    ngx_uint_t                   i;
    ngx_http_tee_replay_t        replay;
    ngx_http_tee_replay_args_t   args;

    ngx_memzero(&args, sizeof(ngx_http_tee_replay_args_t));
    ngx_memzero(&replay, sizeof(ngx_http_tee_replay_t));

    args.replay = &replay;
    replay.date = NGX_HTTP_TEE_DATE_CHECK;
    replay.away = NGX_ERROR;

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {
        why = ngx_http_tee_replay_arg(&args, &value[i]);

        if (why) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "%s parameter \"%V\" of "
                               "\"tee_gateway_replay\"", why, &value[i]);
            return NULL;
        }
    }

    if (args.redis.len == 0
        && (args.seen & (1 << NGX_HTTP_TEE_REPLAY_REDIS_TIMEOUT
                         | 1 << NGX_HTTP_TEE_REPLAY_REDIS_AUTH
                         | 1 << NGX_HTTP_TEE_REPLAY_REDIS_AWAY)))
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"tee_gateway_replay\" has parameters for a Redis "
                           "server, but no \"redis=\"");
        return NULL;
    }

    return ngx_http_tee_replay_create(cf, &args);
}


static const char *
ngx_http_tee_replay_arg(ngx_http_tee_replay_args_t *args, ngx_str_t *value)
{
    size_t       len;
    ngx_str_t    s;
    ngx_uint_t   i;
    const char  *name;

    len = 0;

    for (i = 0; ngx_http_tee_replay_names[i]; i++) {
        name = ngx_http_tee_replay_names[i];
        len = ngx_strlen(name);

        if (value->len > len && ngx_strncmp(value->data, name, len) == 0) {
            break;
        }
    }

    if (ngx_http_tee_replay_names[i] == NULL) {
        return "invalid";
    }

    if (args->seen & (1 << i)) {
        return "duplicate";
    }

    args->seen |= 1 << i;

    s.len = value->len - len;
    s.data = value->data + len;

    return ngx_http_tee_replay_word(args, i, &s);
}


static const char *
ngx_http_tee_replay_word(ngx_http_tee_replay_args_t *args, ngx_uint_t i,
    ngx_str_t *s)
{
    u_char                 *p;
    ssize_t                 size;
    ngx_str_t               rest;
    ngx_uint_t              n;
    ngx_http_tee_replay_t  *replay;

    static const struct {
        ngx_uint_t   name;
        const char  *word;
        ngx_int_t    value;
    } words[] = {
        { NGX_HTTP_TEE_REPLAY_FULL, "refuse", 0 },
        { NGX_HTTP_TEE_REPLAY_FULL, "evict", 1 },
        { NGX_HTTP_TEE_REPLAY_DATE, "off", NGX_HTTP_TEE_DATE_OFF },
        { NGX_HTTP_TEE_REPLAY_DATE, "check", NGX_HTTP_TEE_DATE_CHECK },
        { NGX_HTTP_TEE_REPLAY_DATE, "require", NGX_HTTP_TEE_DATE_REQUIRE },
        { NGX_HTTP_TEE_REPLAY_REDIS_AWAY, "refuse", NGX_ERROR },
        { NGX_HTTP_TEE_REPLAY_REDIS_AWAY, "local", NGX_OK }
    };

    replay = args->replay;

    switch (i) {

    case NGX_HTTP_TEE_REPLAY_ZONE:
        args->zone = *s;
        p = ngx_strlchr(s->data, s->data + s->len, ':');

        if (p == NULL) {
            return NULL;
        }

        args->zone.len = p - s->data;
        rest.data = p + 1;
        rest.len = s->data + s->len - rest.data;

        size = ngx_parse_size(&rest);
        args->size = size;

        return args->zone.len == 0 || size < TEE_REPLAY_MIN ? "invalid"
                                                            : NULL;

    case NGX_HTTP_TEE_REPLAY_ARG_WINDOW:
        args->window = ngx_parse_time(s, 1);

        return args->window <= 0 || args->window > 30 * 24 * 60 * 60
               ? "invalid" : NULL;

    case NGX_HTTP_TEE_REPLAY_FILE:
        args->file = *s;
        return NULL;

    case NGX_HTTP_TEE_REPLAY_REDIS:
        args->redis = *s;
        return NULL;

    case NGX_HTTP_TEE_REPLAY_REDIS_TIMEOUT:
        replay->timeout = ngx_parse_time(s, 0);

        return replay->timeout == (ngx_msec_t) NGX_ERROR
               || replay->timeout == 0 ? "invalid" : NULL;

    case NGX_HTTP_TEE_REPLAY_REDIS_AUTH:
        args->auth = *s;
        return NULL;
    }

    for (n = 0; n < sizeof(words) / sizeof(words[0]); n++) {

        if (words[n].name != i
            || ngx_strlen(words[n].word) != s->len
            || ngx_strncmp(s->data, words[n].word, s->len) != 0)
        {
            continue;
        }

        if (i == NGX_HTTP_TEE_REPLAY_FULL) {
            replay->evict = words[n].value;

        } else if (i == NGX_HTTP_TEE_REPLAY_DATE) {
            replay->date = words[n].value;

        } else {
            replay->away = words[n].value;
        }

        return NULL;
    }

    return "invalid";
}


static ngx_http_tee_replay_t *
ngx_http_tee_replay_create(ngx_conf_t *cf, ngx_http_tee_replay_args_t *args)
{
    time_t                           keep;
    ngx_http_tee_replay_t           *replay;
    ngx_http_tee_replay_main_conf_t *rmcf;

    rmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_tee_replay_module);

    replay = ngx_palloc(cf->pool, sizeof(ngx_http_tee_replay_t));
    if (replay == NULL) {
        return NULL;
    }

    *replay = *args->replay;

    replay->window = args->window ? args->window : NGX_HTTP_TEE_REPLAY_WINDOW;

    if (replay->timeout == 0) {
        replay->timeout = 200;
    }

    /* a Date at the end of the window is good for another one */

    keep = replay->date == NGX_HTTP_TEE_DATE_OFF ? replay->window
                                                 : 2 * replay->window;

    replay->set = ngx_http_tee_replay_find(cf, args, keep);

    if (replay->set == NULL) {
        return NULL;
    }

    if (args->redis.len) {
        replay->redis = ngx_http_tee_redis_conf(cf, &rmcf->servers,
                                                &args->redis, &args->auth);
        if (replay->redis == NULL) {
            return NULL;
        }
    }

    return ngx_http_tee_counters_add(cf) == NGX_OK ? replay : NULL;
}


static ngx_http_tee_replay_set_t *
ngx_http_tee_replay_find(ngx_conf_t *cf, ngx_http_tee_replay_args_t *args,
    time_t keep)
{
    size_t                            size;
    ngx_str_t                         name;
    ngx_uint_t                        i, same;
    ngx_pool_cleanup_t               *cln;
    ngx_http_tee_replay_set_t        *set, **slot;
    ngx_http_tee_replay_main_conf_t  *rmcf;

    rmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_tee_replay_module);

    if (args->zone.len == 0) {
        ngx_str_set(&args->zone, "default");
    }

    if (args->file.len
        && ngx_conf_full_name(cf->cycle, &args->file, 0) != NGX_OK)
    {
        return NULL;
    }

    slot = rmcf->sets.elts;

    for (i = 0; i < rmcf->sets.nelts; i++) {
        set = slot[i];

        same = args->file.len && args->file.len == set->path.len
               && ngx_strncmp(args->file.data, set->path.data, set->path.len)
                  == 0;

        if (set->name.len != args->zone.len
            || ngx_strncmp(set->name.data, args->zone.data, set->name.len)
               != 0)
        {
            if (same) {
                ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                                   "file \"%V\" of \"tee_gateway_replay\" "
                                   "is that of zone \"%V\" already",
                                   &args->file, &set->name);
                return NULL;
            }

            continue;
        }

        if ((args->size && args->size != set->size)
            || keep != set->keep
            || (args->file.len && !same))
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "zone \"%V\" of \"tee_gateway_replay\" has "
                               "been given another size, window, file or way "
                               "of checking dates before: name another zone",
                               &set->name);
            return NULL;
        }

        return set;
    }

    size = args->size ? args->size : NGX_HTTP_TEE_REPLAY_SIZE;

    set = ngx_pcalloc(cf->pool, sizeof(ngx_http_tee_replay_set_t));
    slot = ngx_array_push(&rmcf->sets);
    cln = ngx_pool_cleanup_add(cf->pool, 0);

    if (set == NULL || slot == NULL || cln == NULL) {
        return NULL;
    }

    *slot = set;

    cln->handler = ngx_http_tee_replay_cleanup;
    cln->data = set;

    set->name = args->zone;
    set->size = size;
    set->keep = keep;
    set->path = args->file;
    set->fd = -1;
    set->pool = cf->pool;
    set->ccf = (ngx_core_conf_t *) ngx_get_conf(cf->cycle->conf_ctx,
                                                ngx_core_module);

    /* "pid" may stand after this; zones are initialized last */

    name.len = sizeof("tee_replay:") - 1 + set->name.len;
    name.data = ngx_pnalloc(cf->pool, name.len);
    if (name.data == NULL) {
        return NULL;
    }

    ngx_sprintf(name.data, "tee_replay:%V", &set->name);

    set->zone = ngx_shared_memory_add(cf, &name, 8 * ngx_pagesize,
                                      &ngx_http_tee_replay_module);
    if (set->zone == NULL) {
        return NULL;
    }

    set->zone->init = ngx_http_tee_replay_zone_init;
    set->zone->data = set;

    return set;
}


static ngx_int_t
ngx_http_tee_replay_zone_init(ngx_shm_zone_t *zone, void *data)
{
    ngx_http_tee_replay_set_t  *set = zone->data;

    size_t            len;
    ngx_log_t        *log;
    ngx_slab_pool_t  *shpool;

    log = zone->shm.log;
    shpool = (ngx_slab_pool_t *) zone->shm.addr;

    if (data == NULL && !zone->shm.exists) {
        shpool->data = ngx_slab_calloc(shpool,
                                       sizeof(ngx_http_tee_replay_state_t));
        if (shpool->data == NULL) {
            return NGX_ERROR;
        }
    }

    set->state = shpool->data;

    if (set->path.len == 0) {
        len = set->ccf->pid.len + sizeof(".tee_replay_") + set->name.len;

        set->path.data = ngx_pnalloc(set->pool, len);
        if (set->path.data == NULL) {
            return NGX_ERROR;
        }

        set->path.len = ngx_sprintf(set->path.data, "%V.tee_replay_%V%Z",
                                    &set->ccf->pid, &set->name)
                        - set->path.data - 1;
    }

    return ngx_http_tee_replay_open(set, log);
}


static void *
ngx_http_tee_replay_create_main_conf(ngx_conf_t *cf)
{
    ngx_http_tee_replay_main_conf_t  *rmcf;

    rmcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_tee_replay_main_conf_t));
    if (rmcf == NULL) {
        return NULL;
    }

    if (ngx_array_init(&rmcf->sets, cf->pool, 2,
                       sizeof(ngx_http_tee_replay_set_t *))
        != NGX_OK
        || ngx_array_init(&rmcf->servers, cf->pool, 2,
                          sizeof(ngx_http_tee_redis_t *))
           != NGX_OK)
    {
        return NULL;
    }

    return rmcf;
}


static void
ngx_http_tee_replay_exit_process(ngx_cycle_t *cycle)
{
    ngx_uint_t                        i;
    ngx_http_tee_redis_t            **servers;
    ngx_http_tee_replay_main_conf_t  *rmcf;

    rmcf = ngx_http_cycle_get_module_main_conf(cycle,
                                               ngx_http_tee_replay_module);
    if (rmcf == NULL) {
        return;
    }

    servers = rmcf->servers.elts;

    for (i = 0; i < rmcf->servers.nelts; i++) {
        ngx_http_tee_redis_exit(servers[i]);
    }
}
