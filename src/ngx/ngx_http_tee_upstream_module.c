
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <ngx_http_tee.h>


/*
 * tee_peers: a balancer over a registry.  It is wrapped twice around what
 * other modules add (keepalive, most of all): innermost it chooses the peer,
 * outermost it lets no request out over a connection that has not shown the
 * peer's certificate.
 */


#define NGX_HTTP_TEE_RANDOM       0
#define NGX_HTTP_TEE_ROUND_ROBIN  1
#define NGX_HTTP_TEE_HASH         2
#define NGX_HTTP_TEE_ID           3

/* Probes per key of the multi-probe consistent hash. */
#define NGX_HTTP_TEE_PROBES       21

/* Random draws before the search goes through all. */
#define NGX_HTTP_TEE_DRAWS        16


typedef struct {
    ngx_uint_t                     fails;
    time_t                         accessed;
    time_t                         checked;
    ngx_ssl_session_t             *session;
    void                          *session_conf;
} ngx_http_tee_peer_t;


/* The peers of one upstream over one snapshot; counted like snapshots. */

typedef struct {
    ngx_http_tee_snap_t           *snap;
    ngx_uint_t                     refs;
    ngx_uint_t                     n;
    ngx_http_tee_peer_t            peer[];
} ngx_http_tee_peers_t;


/* A location's configuration with what we need changed in it. */

typedef struct {
    ngx_http_upstream_conf_t      *original;
    ngx_http_upstream_conf_t       conf;
} ngx_http_tee_conf_copy_t;


typedef struct {
    ngx_str_t                      registry_name;
    ngx_http_tee_registry_t       *registry;
    ngx_uint_t                     method;
    ngx_http_complex_value_t      *key;
    ngx_uint_t                     max_fails;
    time_t                         fail_timeout;

    ngx_http_upstream_init_peer_pt  original_init_peer;
    ngx_uint_t                     initialized;

    /* of this worker */
    ngx_http_tee_peers_t          *peers;
    ngx_uint_t                     next;
    ngx_array_t                   *copies;     /* ngx_http_tee_conf_copy_t * */
} ngx_http_tee_upstream_srv_conf_t;


typedef struct {
    ngx_http_request_t            *request;
    ngx_http_tee_upstream_srv_conf_t  *conf;
    ngx_http_tee_peers_t          *peers;
    ngx_http_upstream_conf_t      *location;

    /* what is chosen */
    ngx_uint_t                     index;
    ngx_uint_t                     addr;
    unsigned                       chosen:1;
    unsigned                       again:1;    /* the same peer once more */
    unsigned                       fixed:1;    /* by id: no other peer */
    unsigned                       refused:1;
    uint64_t                       hash;
    ngx_uint_t                     ntried;
    ngx_uint_t                     tried[8];

    union {
        struct sockaddr            sockaddr;
        struct sockaddr_in         sin;
#if (NGX_HAVE_INET6)
        struct sockaddr_in6        sin6;
#endif
    }                              sa;
    ngx_str_t                      name;
    u_char                         text[NGX_SOCKADDR_STRLEN];

    /* what we are wrapped around */
    void                          *data;
    ngx_event_get_peer_pt          original_get;
    ngx_event_free_peer_pt         original_free;
    ngx_event_notify_peer_pt       original_notify;
    ngx_event_set_peer_session_pt  original_set_session;
    ngx_event_save_peer_session_pt  original_save_session;
    ngx_output_chain_filter_pt     original_output;
    void                          *original_output_ctx;
    ngx_connection_t              *checked;
} ngx_http_tee_peer_data_t;


static ngx_int_t ngx_http_tee_upstream_init_upstream(ngx_conf_t *cf,
    ngx_http_upstream_srv_conf_t *us);
static ngx_int_t ngx_http_tee_upstream_init_inner(ngx_http_request_t *r,
    ngx_http_upstream_srv_conf_t *us);
static ngx_int_t ngx_http_tee_upstream_init_outer(ngx_http_request_t *r,
    ngx_http_upstream_srv_conf_t *us);
static ngx_int_t ngx_http_tee_upstream_prepare(ngx_http_request_t *r,
    ngx_http_tee_peer_data_t *pd);
static ngx_http_upstream_conf_t *ngx_http_tee_upstream_conf(
    ngx_http_tee_upstream_srv_conf_t *conf,
    ngx_http_upstream_conf_t *original);

static ngx_int_t ngx_http_tee_upstream_get_inner(ngx_peer_connection_t *pc,
    void *data);
static void ngx_http_tee_upstream_free_inner(ngx_peer_connection_t *pc,
    void *data, ngx_uint_t state);
static ngx_int_t ngx_http_tee_upstream_choose(ngx_http_tee_peer_data_t *pd);
static ngx_uint_t ngx_http_tee_upstream_usable(ngx_http_tee_peer_data_t *pd,
    ngx_uint_t index);
static uint64_t ngx_http_tee_upstream_mix(uint64_t x);
static ngx_uint_t ngx_http_tee_upstream_probe(ngx_http_tee_peer_data_t *pd);
static ngx_int_t ngx_http_tee_upstream_connect(ngx_peer_connection_t *pc,
    ngx_http_tee_peer_data_t *pd);

static ngx_int_t ngx_http_tee_upstream_get_outer(ngx_peer_connection_t *pc,
    void *data);
static void ngx_http_tee_upstream_free_outer(ngx_peer_connection_t *pc,
    void *data, ngx_uint_t state);
static void ngx_http_tee_upstream_notify(ngx_peer_connection_t *pc,
    void *data, ngx_uint_t type);
static ngx_int_t ngx_http_tee_upstream_set_session(ngx_peer_connection_t *pc,
    void *data);
static void ngx_http_tee_upstream_save_session(ngx_peer_connection_t *pc,
    void *data);
static ngx_int_t ngx_http_tee_upstream_output(void *data, ngx_chain_t *in);

static ngx_http_tee_peers_t *ngx_http_tee_upstream_peers(
    ngx_http_tee_upstream_srv_conf_t *conf);
static void ngx_http_tee_upstream_carry(ngx_http_tee_peers_t *old,
    ngx_http_tee_peers_t *peers);
static void ngx_http_tee_upstream_unref(void *data);

static ngx_int_t ngx_http_tee_upstream_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_tee_upstream_add_variables(ngx_conf_t *cf);
static void *ngx_http_tee_upstream_create_srv_conf(ngx_conf_t *cf);
static char *ngx_http_tee_upstream_init_main_conf(ngx_conf_t *cf, void *conf);
static char *ngx_http_tee_peers(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static void ngx_http_tee_upstream_exit_process(ngx_cycle_t *cycle);


static ngx_command_t  ngx_http_tee_upstream_commands[] = {

    { ngx_string("tee_peers"),
      NGX_HTTP_UPS_CONF|NGX_CONF_1MORE,
      ngx_http_tee_peers,
      NGX_HTTP_SRV_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_tee_upstream_module_ctx = {
    ngx_http_tee_upstream_add_variables,   /* preconfiguration */
    NULL,                                  /* postconfiguration */

    NULL,                                  /* create main configuration */
    ngx_http_tee_upstream_init_main_conf,  /* init main configuration */

    ngx_http_tee_upstream_create_srv_conf, /* create server configuration */
    NULL,                                  /* merge server configuration */

    NULL,                                  /* create location configuration */
    NULL                                   /* merge location configuration */
};


ngx_module_t  ngx_http_tee_upstream_module = {
    NGX_MODULE_V1,
    &ngx_http_tee_upstream_module_ctx,     /* module context */
    ngx_http_tee_upstream_commands,        /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    NULL,                                  /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    ngx_http_tee_upstream_exit_process,    /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


typedef enum {
    NGX_HTTP_TEE_VAR_ID = 0,
    NGX_HTTP_TEE_VAR_ENDPOINT,
    NGX_HTTP_TEE_VAR_PAYMENT_ADDRESS,
    NGX_HTTP_TEE_VAR_PCR_HASH,
    NGX_HTTP_TEE_VAR_PIN,
    NGX_HTTP_TEE_VAR_VERSION,
    NGX_HTTP_TEE_VAR_AGE
} ngx_http_tee_variable_e;


static ngx_http_variable_t  ngx_http_tee_upstream_vars[] = {

    { ngx_string("tee_id"), NULL, ngx_http_tee_upstream_variable,
      NGX_HTTP_TEE_VAR_ID, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("tee_endpoint"), NULL, ngx_http_tee_upstream_variable,
      NGX_HTTP_TEE_VAR_ENDPOINT, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("tee_payment_address"), NULL, ngx_http_tee_upstream_variable,
      NGX_HTTP_TEE_VAR_PAYMENT_ADDRESS, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("tee_pcr_hash"), NULL, ngx_http_tee_upstream_variable,
      NGX_HTTP_TEE_VAR_PCR_HASH, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("tee_pin"), NULL, ngx_http_tee_upstream_variable,
      NGX_HTTP_TEE_VAR_PIN, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("tee_registry_version"), NULL,
      ngx_http_tee_upstream_variable,
      NGX_HTTP_TEE_VAR_VERSION, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("tee_registry_age"), NULL, ngx_http_tee_upstream_variable,
      NGX_HTTP_TEE_VAR_AGE, NGX_HTTP_VAR_NOCACHEABLE, 0 },

      ngx_http_null_variable
};


static ngx_int_t
ngx_http_tee_upstream_init_upstream(ngx_conf_t *cf,
    ngx_http_upstream_srv_conf_t *us)
{
    ngx_http_tee_upstream_srv_conf_t  *conf;

    conf = ngx_http_conf_upstream_srv_conf(us, ngx_http_tee_upstream_module);

#if (NGX_HTTP_UPSTREAM_ZONE)
    if (us->shm_zone) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"zone\" cannot be used with \"tee_peers\" in upstream "
                      "\"%V\" in %s:%ui: the registry has its own",
                      &us->host, us->file_name, us->line);
        return NGX_ERROR;
    }
#endif

    if (us->servers->nelts != 1) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"server\" cannot be used with \"tee_peers\" in "
                      "upstream \"%V\" in %s:%ui",
                      &us->host, us->file_name, us->line);
        return NGX_ERROR;
    }

    conf->initialized = 1;
    us->peer.init = ngx_http_tee_upstream_init_inner;

    return NGX_OK;
}


/* The innermost peer.init: a balancer like any other. */

static ngx_int_t
ngx_http_tee_upstream_init_inner(ngx_http_request_t *r,
    ngx_http_upstream_srv_conf_t *us)
{
    ngx_http_upstream_t       *u;
    ngx_http_tee_peer_data_t  *pd;

    u = r->upstream;
    pd = ngx_http_get_module_ctx(r, ngx_http_tee_upstream_module);

    u->peer.data = pd;
    u->peer.get = ngx_http_tee_upstream_get_inner;
    u->peer.free = ngx_http_tee_upstream_free_inner;
    u->peer.set_session = ngx_http_tee_upstream_set_session;
    u->peer.save_session = ngx_http_tee_upstream_save_session;

    /* one retry on another TEE, as clients of these registries expect */

    u->peer.tries = pd->fixed ? 1 : 2;

    return NGX_OK;
}


/* The outermost peer.init, around keepalive and whatever else there is. */

static ngx_int_t
ngx_http_tee_upstream_init_outer(ngx_http_request_t *r,
    ngx_http_upstream_srv_conf_t *us)
{
    ngx_http_upstream_t               *u;
    ngx_http_tee_peer_data_t          *pd;
    ngx_http_tee_upstream_srv_conf_t  *conf;

    conf = ngx_http_conf_upstream_srv_conf(us, ngx_http_tee_upstream_module);

    u = r->upstream;

    ngx_http_tee_count(NGX_HTTP_TEE_UPSTREAM_REQUESTS);

    /* the request to the peer is built; "id" may come from any field */

    if (ngx_http_tee_headers_restore(r) && u->resolved) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "tee upstream: variables in \"proxy_pass\" of a relay "
                      "could tell the gateway who asks: name the upstream "
                      "and the path");

        (void) ngx_http_tee_problem(r, NGX_HTTP_INTERNAL_SERVER_ERROR,
                                    "relay_variables",
                                    "this relay is not configured safely");
        return NGX_ERROR;
    }

    if (!u->ssl) {
        ngx_http_tee_count(NGX_HTTP_TEE_UPSTREAM_PLAIN);

        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "tee upstream: \"%V\" needs TLS, since certificates "
                      "are pinned: use https:// or grpcs:// with it",
                      &us->host);

        (void) ngx_http_tee_problem(r, NGX_HTTP_INTERNAL_SERVER_ERROR,
                                    "plain_http",
                                    "this upstream is only used over TLS");
        return NGX_ERROR;
    }

    pd = ngx_pcalloc(r->pool, sizeof(ngx_http_tee_peer_data_t));
    if (pd == NULL) {
        return NGX_ERROR;
    }

    ngx_http_set_ctx(r, pd, ngx_http_tee_upstream_module);

    pd->request = r;
    pd->conf = conf;
    pd->location = u->conf;

    if (ngx_http_tee_upstream_prepare(r, pd) != NGX_OK) {
        return NGX_ERROR;
    }

    u->conf = ngx_http_tee_upstream_conf(conf, u->conf);
    if (u->conf == NULL) {
        return NGX_ERROR;
    }

    if (conf->original_init_peer(r, us) != NGX_OK) {
        return NGX_ERROR;
    }

    pd->data = u->peer.data;
    pd->original_get = u->peer.get;
    pd->original_free = u->peer.free;
    pd->original_notify = u->peer.notify;
    pd->original_set_session = u->peer.set_session;
    pd->original_save_session = u->peer.save_session;
    pd->original_output = u->output.output_filter;
    pd->original_output_ctx = u->output.filter_ctx;

    u->peer.data = pd;
    u->peer.get = ngx_http_tee_upstream_get_outer;
    u->peer.free = ngx_http_tee_upstream_free_outer;

    if (u->peer.notify) {
        u->peer.notify = ngx_http_tee_upstream_notify;
    }

    /* ours stand innermost, and all that is between would only pass on */

    u->peer.set_session = ngx_http_tee_upstream_set_session;
    u->peer.save_session = ngx_http_tee_upstream_save_session;

    u->output.output_filter = ngx_http_tee_upstream_output;
    u->output.filter_ctx = pd;

    return NGX_OK;
}


/* Finds the peers, and the one that is asked for by id. */

static ngx_int_t
ngx_http_tee_upstream_prepare(ngx_http_request_t *r,
    ngx_http_tee_peer_data_t *pd)
{
    u_char                             id[32];
    ngx_str_t                          key;
    ngx_pool_cleanup_t                *cln;
    const tee_snapshot_entry_t        *entry;
    ngx_http_tee_upstream_srv_conf_t  *conf;

    conf = pd->conf;

    ngx_str_null(&key);

    if (conf->key && ngx_http_complex_value(r, conf->key, &key) != NGX_OK) {
        return NGX_ERROR;
    }

    cln = ngx_pool_cleanup_add(r->pool, 0);
    if (cln == NULL) {
        return NGX_ERROR;
    }

    pd->peers = ngx_http_tee_upstream_peers(conf);

    if (pd->peers == NULL || pd->peers->n == 0) {
        ngx_http_tee_count(NGX_HTTP_TEE_UPSTREAM_EMPTY);
        (void) ngx_http_tee_problem(r, NGX_HTTP_BAD_GATEWAY, "registry_empty",
                                    "the registry has given no TEE yet, or "
                                    "lists none that can be used");
        pd->refused = 1;
        return NGX_OK;
    }

    pd->peers->refs++;
    cln->handler = ngx_http_tee_upstream_unref;
    cln->data = pd->peers;

    if (ngx_http_tee_registry_stale(conf->registry)) {
        ngx_http_tee_count(NGX_HTTP_TEE_UPSTREAM_STALE);
        (void) ngx_http_tee_problem(r, NGX_HTTP_BAD_GATEWAY, "registry_stale",
                                    "the registry has not answered for "
                                    "longer than max_stale");
        pd->refused = 1;
        return NGX_OK;
    }

    if (conf->method == NGX_HTTP_TEE_HASH) {
        pd->hash = ((uint64_t) ngx_murmur_hash2(key.data, key.len) << 32)
                   | ngx_crc32_long(key.data, key.len);
        return NGX_OK;
    }

    if (conf->method != NGX_HTTP_TEE_ID) {
        return NGX_OK;
    }

    pd->fixed = 1;

    if (key.len == 0) {
        ngx_http_tee_count(NGX_HTTP_TEE_UPSTREAM_NO_ID);
        (void) ngx_http_tee_problem(r, NGX_HTTP_BAD_REQUEST, "missing_tee_id",
                                    "the request does not name a TEE");
        pd->refused = 1;
        return NGX_OK;
    }

    entry = NULL;

    if (ngx_http_tee_parse_id(&key, id) == NGX_OK) {
        entry = tee_snapshot_find(pd->peers->snap->image, id);
    }

    if (entry == NULL) {
        ngx_http_tee_count(NGX_HTTP_TEE_UPSTREAM_UNKNOWN);
        ngx_http_tee_registry_hurry(conf->registry);
        (void) ngx_http_tee_problem(r, NGX_HTTP_NOT_FOUND, "unknown_tee",
                                    "the registry does not list this TEE");
        pd->refused = 1;
        return NGX_OK;
    }

    pd->index = entry - pd->peers->snap->image->entries;

    return NGX_OK;
}


/*
 * Locations share their configuration with upstreams that are not ours, so
 * what pinning replaces is changed in a copy: sessions are always offered to
 * us, and the name and CA checks of proxy_ssl_verify do not apply.
 */

static ngx_http_upstream_conf_t *
ngx_http_tee_upstream_conf(ngx_http_tee_upstream_srv_conf_t *conf,
    ngx_http_upstream_conf_t *original)
{
    ngx_uint_t                  i;
    ngx_http_tee_conf_copy_t   *copy, **copies;

    if (conf->copies == NULL) {
        conf->copies = ngx_array_create(ngx_cycle->pool, 4,
                                        sizeof(ngx_http_tee_conf_copy_t *));
        if (conf->copies == NULL) {
            return NULL;
        }
    }

    copies = conf->copies->elts;

    for (i = 0; i < conf->copies->nelts; i++) {
        if (copies[i]->original == original) {
            return &copies[i]->conf;
        }
    }

    copy = ngx_palloc(ngx_cycle->pool, sizeof(ngx_http_tee_conf_copy_t));
    copies = copy ? ngx_array_push(conf->copies) : NULL;

    if (copies == NULL) {
        return NULL;
    }

    *copies = copy;

    copy->original = original;
    copy->conf = *original;
    copy->conf.ssl_session_reuse = 1;
    copy->conf.ssl_verify = 0;
    copy->conf.ssl_server_name = 0;

    return &copy->conf;
}


static ngx_int_t
ngx_http_tee_upstream_get_inner(ngx_peer_connection_t *pc, void *data)
{
    ngx_http_tee_peer_data_t  *pd = data;

    if (pd->again) {
        pd->again = 0;
        return ngx_http_tee_upstream_connect(pc, pd);
    }

    if (ngx_http_tee_upstream_choose(pd) != NGX_OK) {

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

    return ngx_http_tee_upstream_connect(pc, pd);
}


static ngx_int_t
ngx_http_tee_upstream_choose(ngx_http_tee_peer_data_t *pd)
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
        start = ngx_http_tee_upstream_probe(pd);
        break;

    default: /* NGX_HTTP_TEE_RANDOM */

        start = ngx_random() % n;

        /* the neighbours of an avoided TEE must not inherit all its load */

        for (i = 0; i < NGX_HTTP_TEE_DRAWS; i++) {
            if (ngx_http_tee_upstream_usable(pd, start)) {
                break;
            }

            start = ngx_random() % n;
        }

        break;
    }

    for (i = 0; i < n; i++) {
        pd->index = (start + i) % pd->peers->n;

        if (ngx_http_tee_upstream_usable(pd, pd->index)) {
            pd->chosen = 1;
            return NGX_OK;
        }
    }

    return NGX_BUSY;
}


static ngx_uint_t
ngx_http_tee_upstream_usable(ngx_http_tee_peer_data_t *pd, ngx_uint_t index)
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
ngx_http_tee_upstream_mix(uint64_t x)
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
ngx_http_tee_upstream_probe(ngx_http_tee_peer_data_t *pd)
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
        hash = ngx_http_tee_upstream_mix(hash);

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
ngx_http_tee_upstream_connect(ngx_peer_connection_t *pc,
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

    pd->name.data = pd->text;
    pd->name.len = ngx_sock_ntop(&pd->sa.sockaddr, pc->socklen, pd->text,
                                 NGX_SOCKADDR_STRLEN, 1);

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


static void
ngx_http_tee_upstream_free_inner(ngx_peer_connection_t *pc, void *data,
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


static ngx_int_t
ngx_http_tee_upstream_get_outer(ngx_peer_connection_t *pc, void *data)
{
    ngx_http_tee_peer_data_t  *pd = data;

    ngx_int_t              rc;
    ngx_pool_t            *pool;
    ngx_connection_t      *c;
    tee_snapshot_entry_t  *entry;

    pd->checked = NULL;

    for ( ;; ) {

        rc = pd->original_get(pc, pd->data);

        if (rc != NGX_DONE) {
            return rc;
        }

        c = pc->connection;
        entry = &pd->peers->snap->image->entries[pd->index];

        if (ngx_http_tee_pin_reusable(c, pd->location, entry) == NGX_OK) {
            return rc;
        }

        /*
         * Caches know addresses only: the connection belongs to another TEE,
         * to an earlier certificate, or to a location with other rules.
         */

        ngx_log_debug1(NGX_LOG_DEBUG_HTTP, pc->log, 0,
                       "tee upstream: connection %p is not reused", c);

        pc->connection = NULL;
        pc->cached = 0;
        pd->again = 1;

        if (c->ssl) {
            c->ssl->no_wait_shutdown = 1;
            c->ssl->no_send_shutdown = 1;
            (void) ngx_ssl_shutdown(c);
        }

        pool = c->pool;

        ngx_close_connection(c);

        if (pool) {
            ngx_destroy_pool(pool);
        }
    }
}


static void
ngx_http_tee_upstream_free_outer(ngx_peer_connection_t *pc, void *data,
    ngx_uint_t state)
{
    ngx_http_tee_peer_data_t  *pd = data;

    ngx_http_tee_pin_t          *pin;
    ngx_http_tee_snap_t         *snap;
    const tee_snapshot_entry_t  *entry;

    pin = ngx_http_tee_pin_get(pc->connection);

    if (pin && pin->mismatch) {
        (void) ngx_http_tee_problem(pd->request, NGX_HTTP_BAD_GATEWAY,
                                    "pin_mismatch",
                                    "the TEE did not show the certificate "
                                    "that the registry holds");
    }

    /* what the registry does not hold any more is not kept for reuse */

    snap = ngx_http_tee_registry_snap(pd->conf->registry);

    if (snap && pin) {
        entry = tee_snapshot_find(snap->image, pin->tee_id);

        if (entry == NULL
            || ngx_memcmp(entry->pin_sha256, pin->sha256, 32) != 0
            || !pin->verified)
        {
            pd->request->upstream->keepalive = 0;
        }

    } else {
        pd->request->upstream->keepalive = 0;
    }

    pd->original_free(pc, pd->data, state);
}


static void
ngx_http_tee_upstream_notify(ngx_peer_connection_t *pc, void *data,
    ngx_uint_t type)
{
    ngx_http_tee_peer_data_t  *pd = data;

    pd->original_notify(pc, pd->data, type);
}


/* The hook between the creation of a TLS connection and its handshake. */

static ngx_int_t
ngx_http_tee_upstream_set_session(ngx_peer_connection_t *pc, void *data)
{
    ngx_http_tee_peer_data_t  *pd = data;

    ngx_connection_t      *c;
    ngx_http_tee_peer_t   *peer;
    tee_snapshot_entry_t  *entry;

    c = pc->connection;
    peer = &pd->peers->peer[pd->index];
    entry = &pd->peers->snap->image->entries[pd->index];

    if (ngx_http_tee_pin_expect(c, pd->location, pd->conf->registry,
                                pd->peers->snap->image, entry, &pd->name)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (peer->session && peer->session_conf == pd->location
        && pd->location->ssl_session_reuse)
    {
        return ngx_ssl_set_session(c, peer->session);
    }

    return NGX_OK;
}


static void
ngx_http_tee_upstream_save_session(ngx_peer_connection_t *pc, void *data)
{
    ngx_http_tee_peer_data_t  *pd = data;

    ngx_ssl_session_t    *session;
    ngx_http_tee_peer_t  *peer;

    if (pc->connection == NULL || !pd->location->ssl_session_reuse) {
        return;
    }

    session = ngx_ssl_get_session(pc->connection);

    if (session == NULL) {
        return;
    }

    peer = &pd->peers->peer[pd->index];

    if (peer->session) {
        ngx_ssl_free_session(peer->session);
    }

    peer->session = session;
    peer->session_conf = pd->location;
}


/* All bytes of a request to a peer come through here. */

static ngx_int_t
ngx_http_tee_upstream_output(void *data, ngx_chain_t *in)
{
    ngx_http_tee_peer_data_t  *pd = data;

    ngx_connection_t      *c;
    tee_snapshot_entry_t  *entry;

    c = pd->request->upstream->peer.connection;

    if (c == NULL || c != pd->checked) {

        entry = &pd->peers->snap->image->entries[pd->index];

        if (c == NULL
            || ngx_http_tee_pin_check(c, pd->location, entry,
                                      pd->request->connection->log)
               != NGX_OK)
        {
            (void) ngx_http_tee_problem(pd->request, NGX_HTTP_BAD_GATEWAY,
                                        "pin_mismatch",
                                        "the TEE did not show the "
                                        "certificate that the registry "
                                        "holds");
            return NGX_ERROR;
        }

        pd->checked = c;

        if (ngx_http_tee_problem_reason(pd->request)) {
            /* what an earlier try has noted is over */
            (void) ngx_http_tee_problem(pd->request, 0, NULL, NULL);
        }
    }

    return pd->original_output(pd->original_output_ctx, in);
}


static ngx_http_tee_peers_t *
ngx_http_tee_upstream_peers(ngx_http_tee_upstream_srv_conf_t *conf)
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
        ngx_http_tee_upstream_carry(old, peers);
        ngx_http_tee_upstream_unref(old);

    } else {
        conf->next = ngx_random();
    }

    return peers;
}


/* Failures stay with the TEE; a TLS session only as long as its pin. */

static void
ngx_http_tee_upstream_carry(ngx_http_tee_peers_t *old,
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
        from->session = NULL;
    }
}


static void
ngx_http_tee_upstream_unref(void *data)
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
    }

    ngx_http_tee_snap_unref(peers->snap);
    free(peers);
}


static ngx_int_t
ngx_http_tee_upstream_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    u_char                    *p;
    tee_str_t                  s;
    ngx_http_tee_peer_data_t  *pd;
    tee_snapshot_entry_t      *entry;

    pd = ngx_http_get_module_ctx(r, ngx_http_tee_upstream_module);

    if (pd == NULL || pd->peers == NULL) {
        v->not_found = 1;
        return NGX_OK;
    }

    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    if (data == NGX_HTTP_TEE_VAR_VERSION || data == NGX_HTTP_TEE_VAR_AGE) {
        p = ngx_pnalloc(r->pool, NGX_INT64_LEN);
        if (p == NULL) {
            return NGX_ERROR;
        }

        v->data = p;

        if (data == NGX_HTTP_TEE_VAR_VERSION) {
            p = ngx_sprintf(p, "%uL", pd->peers->snap->version);

        } else {
            p = ngx_sprintf(p, "%T",
                            ngx_http_tee_registry_age(pd->conf->registry));
        }

        v->len = p - v->data;

        return NGX_OK;
    }

    if (!pd->chosen && (!pd->fixed || pd->refused)) {
        v->not_found = 1;
        return NGX_OK;
    }

    entry = &pd->peers->snap->image->entries[pd->index];

    switch (data) {

    case NGX_HTTP_TEE_VAR_ENDPOINT:
        s = tee_snapshot_str(pd->peers->snap->image, entry->endpoint);
        v->data = (u_char *) s.data;
        v->len = s.len;
        return NGX_OK;

    case NGX_HTTP_TEE_VAR_PAYMENT_ADDRESS:
        s.data = entry->payment_address;
        s.len = 20;
        break;

    case NGX_HTTP_TEE_VAR_PCR_HASH:
        s.data = entry->pcr_hash;
        s.len = 32;
        break;

    case NGX_HTTP_TEE_VAR_PIN:
        s.data = entry->pin_sha256;
        s.len = 32;
        break;

    default: /* NGX_HTTP_TEE_VAR_ID */
        s.data = entry->tee_id;
        s.len = 32;
        break;
    }

    p = ngx_pnalloc(r->pool, 2 + 2 * s.len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    v->data = p;

    if (data != NGX_HTTP_TEE_VAR_PIN) {
        p = ngx_cpymem(p, "0x", 2);
    }

    p = ngx_hex_dump(p, (u_char *) s.data, s.len);
    v->len = p - v->data;

    return NGX_OK;
}


static ngx_int_t
ngx_http_tee_upstream_add_variables(ngx_conf_t *cf)
{
    ngx_http_variable_t  *var, *v;

    for (v = ngx_http_tee_upstream_vars; v->name.len; v++) {
        var = ngx_http_add_variable(cf, &v->name, v->flags);
        if (var == NULL) {
            return NGX_ERROR;
        }

        var->get_handler = v->get_handler;
        var->data = v->data;
    }

    return ngx_http_tee_pin_init(cf);
}


static void *
ngx_http_tee_upstream_create_srv_conf(ngx_conf_t *cf)
{
    return ngx_pcalloc(cf->pool, sizeof(ngx_http_tee_upstream_srv_conf_t));
}


/*
 * Runs after nginx's own modules have set their peers up, so what is wrapped
 * here has all of them inside.
 */

static char *
ngx_http_tee_upstream_init_main_conf(ngx_conf_t *cf, void *data)
{
    ngx_uint_t                          i;
    ngx_http_upstream_srv_conf_t      **uscfp;
    ngx_http_upstream_main_conf_t      *umcf;
    ngx_http_tee_upstream_srv_conf_t   *conf;

    umcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_upstream_module);
    uscfp = umcf->upstreams.elts;

    for (i = 0; i < umcf->upstreams.nelts; i++) {

        if (uscfp[i]->srv_conf == NULL) {
            continue;
        }

        conf = ngx_http_conf_upstream_srv_conf(uscfp[i],
                                               ngx_http_tee_upstream_module);

        if (conf->registry_name.len == 0) {
            continue;
        }

        conf->registry = ngx_http_tee_registry_find(cf, &conf->registry_name);

        if (conf->registry == NULL) {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "tee_peers: unknown registry \"%V\" in upstream "
                          "\"%V\" in %s:%ui",
                          &conf->registry_name, &uscfp[i]->host,
                          uscfp[i]->file_name, uscfp[i]->line);
            return NGX_CONF_ERROR;
        }

        if (!conf->initialized) {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "tee_peers: another balancer has taken upstream "
                          "\"%V\" in %s:%ui over; remove it",
                          &uscfp[i]->host, uscfp[i]->file_name,
                          uscfp[i]->line);
            return NGX_CONF_ERROR;
        }

        conf->original_init_peer = uscfp[i]->peer.init;
        uscfp[i]->peer.init = ngx_http_tee_upstream_init_outer;
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_tee_peers(ngx_conf_t *cf, ngx_command_t *cmd, void *data)
{
    ngx_http_tee_upstream_srv_conf_t  *conf = data;

    ngx_int_t                          n;
    ngx_str_t                         *value, s;
    ngx_uint_t                         i;
    ngx_http_upstream_server_t        *server;
    ngx_http_compile_complex_value_t   ccv;
    ngx_http_upstream_srv_conf_t      *uscf;

    uscf = ngx_http_conf_get_module_srv_conf(cf, ngx_http_upstream_module);

    if (conf->registry_name.len) {
        return "is duplicate";
    }

    if (uscf->peer.init_upstream) {
        return "must come before \"keepalive\" and must be the only balancer";
    }

    value = cf->args->elts;

    if (value[1].len == 0) {
        return "needs the name of a registry";
    }

    conf->registry_name = value[1];
    conf->method = NGX_CONF_UNSET_UINT;
    conf->max_fails = 1;
    conf->fail_timeout = 10;

    for (i = 2; i < cf->args->nelts; i++) {

        ngx_str_null(&s);

        if (ngx_strncmp(value[i].data, "max_fails=", 10) == 0) {
            n = ngx_atoi(value[i].data + 10, value[i].len - 10);

            if (n == NGX_ERROR) {
                goto invalid;
            }

            conf->max_fails = n;
            continue;
        }

        if (ngx_strncmp(value[i].data, "fail_timeout=", 13) == 0) {
            s.data = value[i].data + 13;
            s.len = value[i].len - 13;

            conf->fail_timeout = ngx_parse_time(&s, 1);

            if (conf->fail_timeout == (time_t) NGX_ERROR) {
                goto invalid;
            }

            continue;
        }

        if (conf->method != NGX_CONF_UNSET_UINT) {
            goto invalid;
        }

        if (ngx_strcmp(value[i].data, "random") == 0) {
            conf->method = NGX_HTTP_TEE_RANDOM;
            continue;
        }

        if (ngx_strcmp(value[i].data, "round_robin") == 0) {
            conf->method = NGX_HTTP_TEE_ROUND_ROBIN;
            continue;
        }

        if (ngx_strncmp(value[i].data, "id=", 3) == 0) {
            conf->method = NGX_HTTP_TEE_ID;
            s.data = value[i].data + 3;
            s.len = value[i].len - 3;

        } else if (ngx_strncmp(value[i].data, "hash=", 5) == 0) {
            conf->method = NGX_HTTP_TEE_HASH;
            s.data = value[i].data + 5;
            s.len = value[i].len - 5;
        }

        if (s.len == 0) {
            goto invalid;
        }

        conf->key = ngx_palloc(cf->pool, sizeof(ngx_http_complex_value_t));
        if (conf->key == NULL) {
            return NGX_CONF_ERROR;
        }

        ngx_memzero(&ccv, sizeof(ngx_http_compile_complex_value_t));

        ccv.cf = cf;
        ccv.value = &s;
        ccv.complex_value = conf->key;

        if (ngx_http_compile_complex_value(&ccv) != NGX_OK) {
            return NGX_CONF_ERROR;
        }
    }

    if (conf->method == NGX_CONF_UNSET_UINT) {
        conf->method = NGX_HTTP_TEE_RANDOM;
    }

    /* nginx wants an upstream to have a server; nobody connects to it */

    server = ngx_array_push(uscf->servers);
    if (server == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_memzero(server, sizeof(ngx_http_upstream_server_t));
    server->down = 1;

    uscf->peer.init_upstream = ngx_http_tee_upstream_init_upstream;
    uscf->flags = NGX_HTTP_UPSTREAM_CREATE;

    return NGX_CONF_OK;

invalid:

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "invalid parameter \"%V\"",
                       &value[i]);

    return NGX_CONF_ERROR;
}


static void
ngx_http_tee_upstream_exit_process(ngx_cycle_t *cycle)
{
    ngx_uint_t                          i;
    ngx_http_upstream_srv_conf_t      **uscfp;
    ngx_http_upstream_main_conf_t      *umcf;
    ngx_http_tee_upstream_srv_conf_t   *conf;

    umcf = ngx_http_cycle_get_module_main_conf(cycle,
                                               ngx_http_upstream_module);
    if (umcf == NULL) {
        return;
    }

    uscfp = umcf->upstreams.elts;

    for (i = 0; i < umcf->upstreams.nelts; i++) {

        if (uscfp[i]->srv_conf == NULL) {
            continue;
        }

        conf = ngx_http_conf_upstream_srv_conf(uscfp[i],
                                               ngx_http_tee_upstream_module);
        ngx_http_tee_upstream_unref(conf->peers);
        conf->peers = NULL;
    }
}
