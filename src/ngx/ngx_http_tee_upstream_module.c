
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <ngx_http_tee.h>
#include <ngx_http_tee_upstream.h>


/*
 * tee_peers: a balancer over a registry.  It is wrapped twice around what
 * other modules add (keepalive, most of all): innermost it chooses the peer,
 * outermost it lets no request out over a connection that has not shown the
 * peer's certificate.
 */


static ngx_int_t ngx_http_tee_upstream_init_inner(ngx_http_request_t *r,
    ngx_http_upstream_srv_conf_t *us);
static ngx_int_t ngx_http_tee_upstream_init_outer(ngx_http_request_t *r,
    ngx_http_upstream_srv_conf_t *us);
static ngx_int_t ngx_http_tee_upstream_prepare(ngx_http_request_t *r,
    ngx_http_tee_peer_data_t *pd);
static ngx_http_upstream_conf_t *ngx_http_tee_upstream_conf(
    ngx_http_tee_upstream_srv_conf_t *conf,
    ngx_http_upstream_conf_t *original);

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

static ngx_int_t ngx_http_tee_upstream_preconfiguration(ngx_conf_t *cf);
static void *ngx_http_tee_upstream_create_srv_conf(ngx_conf_t *cf);
static char *ngx_http_tee_upstream_init_main_conf(ngx_conf_t *cf, void *conf);
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
    ngx_http_tee_upstream_preconfiguration, /* preconfiguration */
    NULL,                                  /* postconfiguration */

    NULL,                                  /* create main configuration */
    ngx_http_tee_upstream_init_main_conf,  /* init main configuration */

    ngx_http_tee_upstream_create_srv_conf, /* create server configuration */
    NULL,                                  /* merge server configuration */

    NULL,                                  /* create location configuration */
    ngx_http_tee_upstream_merge_loc_conf   /* merge location configuration */
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


ngx_int_t
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
    u->peer.get = ngx_http_tee_balancer_get;
    u->peer.free = ngx_http_tee_balancer_free;
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

    pd->peers = ngx_http_tee_balancer_peers(conf);

    if (pd->peers == NULL || pd->peers->n == 0) {
        ngx_http_tee_count(NGX_HTTP_TEE_UPSTREAM_EMPTY);
        (void) ngx_http_tee_problem(r, NGX_HTTP_BAD_GATEWAY, "registry_empty",
                                    "the registry has given no TEE yet, or "
                                    "lists none that can be used");
        pd->refused = 1;
        return NGX_OK;
    }

    pd->peers->refs++;
    cln->handler = ngx_http_tee_balancer_unref;
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
 * us, the name and CA checks of proxy_ssl_verify do not apply, and what peers
 * answer steers nothing but their own response.
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
    copy->conf.ignore_headers |= NGX_HTTP_TEE_IGNORED_HEADERS;

    return &copy->conf;
}


static ngx_int_t
ngx_http_tee_upstream_get_outer(ngx_peer_connection_t *pc, void *data)
{
    ngx_http_tee_peer_data_t  *pd = data;

    ngx_int_t              rc;
    ngx_connection_t      *c;
    ngx_http_tee_pin_t    *pin;
    tee_snapshot_entry_t  *entry;

    pd->checked = NULL;
    pd->pin = NULL;

    for ( ;; ) {

        rc = pd->original_get(pc, pd->data);

        if (rc != NGX_DONE) {
            return rc;
        }

        c = pc->connection;
        entry = &pd->peers->snap->image->entries[pd->index];

        pin = ngx_http_tee_pin_get(c);

        if (ngx_http_tee_pin_reusable(pin, pd->location, entry) == NGX_OK) {
            pd->pin = pin;
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

        ngx_http_tee_close(c);
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

    pin = pd->pin ? pd->pin : ngx_http_tee_pin_get(pc->connection);

    if (pc->connection == NULL) {
        /* its pin has gone with it */
        pin = NULL;
    }

    if (pin && pin->mismatch) {
        (void) ngx_http_tee_problem(pd->request, NGX_HTTP_BAD_GATEWAY,
                                    "pin_mismatch",
                                    "the TEE did not show the certificate "
                                    "that the registry holds");
    }

    /* what the registry does not hold any more is not kept for reuse */

    snap = ngx_http_tee_registry_snap(pd->conf->registry);

    if (snap && pin) {
        entry = tee_snapshot_find(snap->image, pin->entry.tee_id);

        if (entry == NULL
            || ngx_memcmp(entry->pin_sha256, pin->entry.pin_sha256, 32) != 0
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

        if (pd->pin == NULL) {
            pd->pin = ngx_http_tee_pin_get(c);
        }

        if (c == NULL
            || ngx_http_tee_pin_check(pd->pin, c, pd->location, entry,
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


static ngx_int_t
ngx_http_tee_upstream_preconfiguration(ngx_conf_t *cf)
{
    if (ngx_http_tee_upstream_add_variables(cf) != NGX_OK) {
        return NGX_ERROR;
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
        ngx_http_tee_balancer_unref(conf->peers);
        conf->peers = NULL;
    }
}
