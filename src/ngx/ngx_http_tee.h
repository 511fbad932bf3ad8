
/*
 * Copyright (C) The ngx_http_tee authors
 */


#ifndef _NGX_HTTP_TEE_H_INCLUDED_
#define _NGX_HTTP_TEE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include <tee.h>
#include <tee_h1.h>
#include <tee_jsonrpc.h>
#include <tee_registry.h>
#include <tee_snapshot.h>


#define NGX_HTTP_TEE_VERSION   "0.4.0"


/*
 * Counters are a closed list, shared by all workers; the names are those of
 * the status page.
 */

typedef enum {
    NGX_HTTP_TEE_UPSTREAM_REQUESTS = 0,
    NGX_HTTP_TEE_UPSTREAM_UNKNOWN,
    NGX_HTTP_TEE_UPSTREAM_NO_ID,
    NGX_HTTP_TEE_UPSTREAM_EMPTY,
    NGX_HTTP_TEE_UPSTREAM_STALE,
    NGX_HTTP_TEE_UPSTREAM_NO_LIVE,
    NGX_HTTP_TEE_UPSTREAM_FAILED,
    NGX_HTTP_TEE_UPSTREAM_PLAIN,

    NGX_HTTP_TEE_PIN_HANDSHAKES,
    NGX_HTTP_TEE_PIN_RESUMED,
    NGX_HTTP_TEE_PIN_REUSED,
    NGX_HTTP_TEE_PIN_MISMATCH,
    NGX_HTTP_TEE_PIN_EXPIRED,
    NGX_HTTP_TEE_PIN_UNVERIFIED,
    NGX_HTTP_TEE_PIN_CLOSED,

    NGX_HTTP_TEE_RELAY_REQUESTS,
    NGX_HTTP_TEE_RELAY_METHOD,
    NGX_HTTP_TEE_RELAY_TYPE,
    NGX_HTTP_TEE_RELAY_EMPTY,
    NGX_HTTP_TEE_RELAY_EARLY,
    NGX_HTTP_TEE_RELAY_BILLED,
    NGX_HTTP_TEE_RELAY_BAD_FRAME,

    NGX_HTTP_TEE_GATEWAY_REQUESTS,
    NGX_HTTP_TEE_GATEWAY_OPENED,
    NGX_HTTP_TEE_GATEWAY_SEALED,
    NGX_HTTP_TEE_GATEWAY_METHOD,
    NGX_HTTP_TEE_GATEWAY_TYPE,
    NGX_HTTP_TEE_GATEWAY_EMPTY,
    NGX_HTTP_TEE_GATEWAY_LARGE,
    NGX_HTTP_TEE_GATEWAY_EARLY,
    NGX_HTTP_TEE_GATEWAY_KEY,
    NGX_HTTP_TEE_GATEWAY_CRYPTO,
    NGX_HTTP_TEE_GATEWAY_MALFORMED,
    NGX_HTTP_TEE_GATEWAY_TARGET,
    NGX_HTTP_TEE_GATEWAY_EXPECT,
    NGX_HTTP_TEE_GATEWAY_DATE,
    NGX_HTTP_TEE_GATEWAY_REPLAYED,
    NGX_HTTP_TEE_GATEWAY_FULL,
    NGX_HTTP_TEE_GATEWAY_EVICTED,
    NGX_HTTP_TEE_GATEWAY_AWAY,
    NGX_HTTP_TEE_GATEWAY_BROKEN,
    NGX_HTTP_TEE_GATEWAY_LISTS,

    NGX_HTTP_TEE_SIGN_REQUESTS,
    NGX_HTTP_TEE_SIGN_SIGNED,
    NGX_HTTP_TEE_SIGN_UNSIGNED,
    NGX_HTTP_TEE_SIGN_REFUSED,
    NGX_HTTP_TEE_SIGN_BUSY,

    NGX_HTTP_TEE_VERIFY_REQUESTS,
    NGX_HTTP_TEE_VERIFY_VERIFIED,
    NGX_HTTP_TEE_VERIFY_ERROR,
    NGX_HTTP_TEE_VERIFY_UNVERIFIABLE,
    NGX_HTTP_TEE_VERIFY_BUSY,
    NGX_HTTP_TEE_VERIFY_MEMBERS,
    NGX_HTTP_TEE_VERIFY_TEE_ID,
    NGX_HTTP_TEE_VERIFY_REQUEST,
    NGX_HTTP_TEE_VERIFY_OUTPUT,
    NGX_HTTP_TEE_VERIFY_SIGNATURE,
    NGX_HTTP_TEE_VERIFY_STALE,
    NGX_HTTP_TEE_VERIFY_MALFORMED,
    NGX_HTTP_TEE_VERIFY_LARGE,

    NGX_HTTP_TEE_CLIENT_REQUESTS,
    NGX_HTTP_TEE_CLIENT_SEALED,
    NGX_HTTP_TEE_CLIENT_OPENED,
    NGX_HTTP_TEE_CLIENT_BAD_REQUEST,
    NGX_HTTP_TEE_CLIENT_NO_TEE,
    NGX_HTTP_TEE_CLIENT_NO_CREDENTIAL,
    NGX_HTTP_TEE_CLIENT_RELAY_ERRORS,
    NGX_HTTP_TEE_CLIENT_RETRIES,
    NGX_HTTP_TEE_CLIENT_BROKEN,

    NGX_HTTP_TEE_COUNTERS
} ngx_http_tee_counter_e;


typedef struct {
    const char                    *group;
    const char                    *name;
} ngx_http_tee_counter_name_t;

extern const ngx_http_tee_counter_name_t
    ngx_http_tee_counter_names[NGX_HTTP_TEE_COUNTERS];

ngx_int_t ngx_http_tee_counters_add(ngx_conf_t *cf);
void ngx_http_tee_count(ngx_http_tee_counter_e counter);
ngx_atomic_uint_t ngx_http_tee_counted(ngx_uint_t counter);

/* Up to one without a name. */

ngx_int_t ngx_http_tee_add_variables(ngx_conf_t *cf,
    ngx_http_variable_t *vars);

/* A handler of a phase; in that of logging it comes before all others. */

ngx_int_t ngx_http_tee_add_handler(ngx_conf_t *cf, ngx_uint_t phase,
    ngx_http_handler_pt handler);

/* Closes a connection of ours to somebody else, with its pool. */

void ngx_http_tee_close(ngx_connection_t *c);


/*
 * Errors of ours are application/problem+json (RFC 9457).  A handler notes the
 * reason and returns the status, so that error_page and logging work as with
 * any error; a filter renders it.  "reason" is a word of the closed list in
 * the documentation; both texts are constants.
 */

ngx_int_t ngx_http_tee_problem(ngx_http_request_t *r, ngx_uint_t status,
    const char *reason, const char *detail);

/* NULL if nothing has been noted; status 0 takes a note back. */

const char *ngx_http_tee_problem_reason(ngx_http_request_t *r);

/* nginx's own errors in this location become problem+json as well. */

void ngx_http_tee_problem_location(ngx_conf_t *cf);

/* All errors in this location have the form {"error": {"message": ...}}; for
 * whoever merges after that module. */

void ngx_http_tee_problem_openai(ngx_conf_t *cf);


/* The type and the form of an error that has been noted: another type than
 * about:blank, or {"error": detail} as OpenGradient has it. */

void ngx_http_tee_problem_type(ngx_http_request_t *r, const char *type);
void ngx_http_tee_problem_bare(ngx_http_request_t *r);


/*
 * The addresses of named endpoints; the counterpart of a snapshot, parallel to
 * its entries, and like it one block of memory without pointers.
 */

#define NGX_HTTP_TEE_MAX_ADDRS  8

typedef struct {
    u_char                         addr[16];
    uint8_t                        form;       /* TEE_HOST_IPV4, _IPV6 */
} ngx_http_tee_addr_t;


typedef struct {
    uint32_t                       n;          /* entries with addresses */
    uint32_t                       size;       /* of the block */
    struct {
        uint32_t                   entry;      /* ascending */
        uint32_t                   naddrs;
        ngx_http_tee_addr_t        addrs[NGX_HTTP_TEE_MAX_ADDRS];
    }                              of[];
} ngx_http_tee_addrs_t;


/* What a worker holds of a registry; counted, since requests outlive it. */

typedef struct {
    tee_snapshot_t                *image;
    ngx_http_tee_addrs_t          *addrs;      /* NULL: no named endpoints */
    uint64_t                       version;
    ngx_uint_t                     refs;
} ngx_http_tee_snap_t;


#define NGX_HTTP_TEE_MAX_RPCS   16

typedef enum {
    NGX_HTTP_TEE_REG_REFRESH_OK = 0,
    NGX_HTTP_TEE_REG_REFRESH_FAILED,
    NGX_HTTP_TEE_REG_CONNECT,
    NGX_HTTP_TEE_REG_TIMEOUT,
    NGX_HTTP_TEE_REG_TLS,
    NGX_HTTP_TEE_REG_HTTP,
    NGX_HTTP_TEE_REG_TOO_LARGE,
    NGX_HTTP_TEE_REG_MALFORMED,
    NGX_HTTP_TEE_REG_ERROR,
    NGX_HTTP_TEE_REG_CHAIN_ID,
    NGX_HTTP_TEE_REG_NO_CONTRACT,
    NGX_HTTP_TEE_REG_OLD_BLOCK,
    NGX_HTTP_TEE_REG_DISAGREES,
    NGX_HTTP_TEE_REG_QUORUM,
    NGX_HTTP_TEE_REG_ZONE_FULL,
    NGX_HTTP_TEE_REG_STATE_WRITE,
    NGX_HTTP_TEE_REG_RESOLVE,
    NGX_HTTP_TEE_REG_COUNTERS
} ngx_http_tee_reg_counter_e;

extern const char *ngx_http_tee_reg_counter_names[NGX_HTTP_TEE_REG_COUNTERS];


typedef struct {
    ngx_atomic_t                   ok;
    ngx_atomic_t                   failed;
    ngx_atomic_t                   block;
    ngx_atomic_t                   healthy;
    char                           last_error[160];
} ngx_http_tee_rpc_state_t;


typedef struct {
    ngx_atomic_t                   count;
    ngx_atomic_t                   until;      /* avoided by a worker */
} ngx_http_tee_failures_t;


typedef struct {
    /* the published half; changed under the slab pool's mutex */
    ngx_atomic_t                   version;    /* 0: nothing yet */
    ngx_uint_t                     half;
    size_t                         image_size;
    size_t                         addrs_size;

    /* the process that may write the other half */
    ngx_pid_t                      writer;
    ngx_msec_t                     writing;

    size_t                         capacity;
    u_char                        *data[2];

    /* of the last good answer, which may have brought nothing new */
    ngx_atomic_t                   fetched;    /* Unix time, for people */
    ngx_atomic_t                   fetched_at; /* monotonic, milliseconds */
    ngx_atomic_t                   block;
    ngx_atomic_t                   skipped;

    ngx_atomic_t                   refreshing;
    ngx_atomic_t                   wanted;     /* workers ask for a refresh */
    ngx_atomic_t                   counters[NGX_HTTP_TEE_REG_COUNTERS];
    ngx_http_tee_rpc_state_t       rpcs[NGX_HTTP_TEE_MAX_RPCS];

    /* by entry, in the order of the published snapshot */
    ngx_uint_t                     nfailures;
    ngx_uint_t                     nused;
    ngx_http_tee_failures_t       *failures;
} ngx_http_tee_shm_t;


typedef struct ngx_http_tee_registry_s  ngx_http_tee_registry_t;
typedef struct ngx_http_tee_round_s     ngx_http_tee_round_t;
typedef struct ngx_http_tee_lookup_s    ngx_http_tee_lookup_t;


/* One RPC endpoint, or any other HTTP server that we call. */

typedef struct {
    ngx_str_t                      url;        /* without userinfo */
    ngx_str_t                      host;       /* for SNI and verification */
    ngx_str_t                      host_header;
    ngx_str_t                      uri;
    in_port_t                      port;
    unsigned                       https:1;
    unsigned                       literal:1;
    ngx_addr_t                    *addrs;      /* known at start */
    ngx_uint_t                     naddrs;

    ngx_ssl_t                     *ssl;
    ngx_resolver_t                *resolver;
    ngx_msec_t                     resolver_timeout;
    ngx_msec_t                     connect_timeout;
    ngx_msec_t                     send_timeout;
    ngx_msec_t                     read_timeout;
    ngx_msec_t                     timeout;    /* of one call as a whole */
    size_t                         max_response;
} ngx_http_tee_server_t;


struct ngx_http_tee_registry_s {
    ngx_str_t                      name;
    u_char                        *conf_file;
    ngx_uint_t                     line;

    u_char                         contract[20];
    unsigned                       has_contract:1;
    uint64_t                       chain_id;
    ngx_str_t                      file;
    ngx_array_t                    servers;    /* ngx_http_tee_server_t */
    ngx_uint_t                     quorum;
    ngx_uint_t                     type;
    ngx_uint_t                     method;
    ngx_msec_t                     refresh;
    ngx_msec_t                     refresh_min;
    time_t                         max_stale;
    time_t                         max_block_age;
    ngx_str_t                      state;
    ngx_array_t                    pcr;        /* u_char[32] */
    size_t                         zone_size;
    ngx_flag_t                     allow_private;

    ngx_str_t                      trusted_certificate;
    ngx_msec_t                     connect_timeout;
    ngx_msec_t                     send_timeout;
    ngx_msec_t                     read_timeout;
    ngx_msec_t                     rpc_timeout;
    size_t                         max_response;
    ngx_resolver_t                *resolver;
    ngx_msec_t                     resolver_timeout;

    ngx_ssl_t                     *ssl;
    ngx_thread_pool_t             *thread_pool;
    ngx_shm_zone_t                *zone;
    ngx_slab_pool_t               *shpool;
    ngx_http_tee_shm_t            *sh;

    /* what the first worker starts with: the file, or the saved state */
    tee_snapshot_t                *initial;
    uint64_t                       initial_block;
    ngx_uint_t                     initial_skipped;
    time_t                         initial_time;

    /* of this worker */
    ngx_http_tee_snap_t           *snap;
    ngx_event_t                    check;
    unsigned                       owner:1;

    /* of the worker that refreshes */
    ngx_event_t                    timer;
    ngx_event_t                    resolve_timer;
    ngx_msec_t                     last_round;
    ngx_uint_t                     failed_rounds;
    ngx_http_tee_round_t          *round;
    ngx_http_tee_lookup_t         *lookup;
    uint64_t                       pending_block;
    ngx_uint_t                     pending_skipped;
    ngx_err_t                      state_err;
    unsigned                       loading:1;
    unsigned                       fresh:1;
    unsigned                       full:1;
    unsigned                       publishing:1;
    unsigned                       failing:1;
    unsigned                       was_stale:1;
    unsigned                       rpc_failing[NGX_HTTP_TEE_MAX_RPCS];
};


#define NGX_HTTP_TEE_METHOD_ACTIVE  0
#define NGX_HTTP_TEE_METHOD_IDS     1


/* block: reads the block of a directive, with a table of its own; offsets are
 * those of "conf". */

char *ngx_http_tee_block(ngx_conf_t *cf, ngx_command_t *directives,
    void *conf);


/* registry: for upstreams and the status page */

ngx_array_t *ngx_http_tee_registry_array(ngx_conf_t *cf);
char *ngx_http_tee_registry_block(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
ngx_int_t ngx_http_tee_registry_init(ngx_conf_t *cf);

/* its files: the list or the saved state, at start; the state, in a thread */

ngx_int_t ngx_http_tee_registry_read_file(ngx_conf_t *cf,
    ngx_http_tee_registry_t *reg);
void ngx_http_tee_registry_read_state(ngx_conf_t *cf,
    ngx_http_tee_registry_t *reg);
void ngx_http_tee_registry_save(ngx_http_tee_registry_t *reg,
    ngx_http_tee_snap_t *snap, uint64_t block);

ngx_http_tee_registry_t *ngx_http_tee_registry_find(ngx_conf_t *cf,
    ngx_str_t *name);
ngx_array_t *ngx_http_tee_registries(ngx_http_request_t *r);
void ngx_http_tee_registry_rules(ngx_http_tee_registry_t *reg,
    tee_registry_rules_t *rules);

/*
 * What a peer must not decide for us: endpoints are claims of strangers, and
 * X-Accel-Redirect would let one read internal locations.
 */

#define NGX_HTTP_TEE_IGNORED_HEADERS                                          \
    (NGX_HTTP_UPSTREAM_IGN_XA_REDIRECT|NGX_HTTP_UPSTREAM_IGN_XA_EXPIRES       \
     |NGX_HTTP_UPSTREAM_IGN_XA_LIMIT_RATE|NGX_HTTP_UPSTREAM_IGN_XA_BUFFERING  \
     |NGX_HTTP_UPSTREAM_IGN_XA_CHARSET)


/* The current snapshot, or NULL when there is none yet; not counted. */

ngx_http_tee_snap_t *ngx_http_tee_registry_snap(ngx_http_tee_registry_t *reg);

/* 1 if it has this TEE, and with that this signing key. */

ngx_uint_t ngx_http_tee_registry_lists(ngx_http_tee_registry_t *reg,
    const u_char id[32]);

/* Seconds since the last good answer, 0 for a file; -1 if there is none. */

time_t ngx_http_tee_registry_age(ngx_http_tee_registry_t *reg);
ngx_uint_t ngx_http_tee_registry_stale(ngx_http_tee_registry_t *reg);

/* A peer has failed or shown another certificate: refresh soon. */

void ngx_http_tee_registry_hurry(ngx_http_tee_registry_t *reg);
void ngx_http_tee_registry_failed(ngx_http_tee_registry_t *reg,
    ngx_http_tee_snap_t *snap, ngx_uint_t entry, time_t until);

/* How often an entry has failed, and whether some worker avoids it now. */

ngx_uint_t ngx_http_tee_registry_failures(ngx_http_tee_registry_t *reg,
    ngx_http_tee_snap_t *snap, ngx_uint_t entry, ngx_uint_t *avoided);

#define ngx_http_tee_reg_count(reg, c)                                        \
    (void) ngx_atomic_fetch_add(&(reg)->sh->counters[c], 1)


/* rpc: one refresh; the handler gets a snapshot, or NULL after a failure */

typedef void (*ngx_http_tee_round_pt)(ngx_http_tee_registry_t *reg,
    tee_snapshot_t *image, ngx_uint_t same, uint64_t block,
    ngx_uint_t skipped);

ngx_int_t ngx_http_tee_round_start(ngx_http_tee_registry_t *reg,
    ngx_http_tee_round_pt handler);
void ngx_http_tee_round_cancel(ngx_http_tee_registry_t *reg);


/* resolve: the addresses of all named endpoints of a snapshot */

typedef void (*ngx_http_tee_lookup_pt)(ngx_http_tee_registry_t *reg,
    tee_snapshot_t *image, ngx_http_tee_addrs_t *addrs, ngx_msec_t again);

ngx_int_t ngx_http_tee_lookup_start(ngx_http_tee_registry_t *reg,
    tee_snapshot_t *image, ngx_http_tee_lookup_pt handler);
void ngx_http_tee_lookup_cancel(ngx_http_tee_registry_t *reg);


/* shm */

ngx_int_t ngx_http_tee_shm_init(ngx_http_tee_registry_t *reg,
    ngx_shm_zone_t *zone, void *data);

/* The half that may be written, or NULL: somebody else writes, or too small.
 * Written and published by the same process. */

u_char *ngx_http_tee_shm_begin(ngx_http_tee_registry_t *reg, size_t image,
    size_t addrs, ngx_log_t *log);
void ngx_http_tee_shm_publish(ngx_http_tee_registry_t *reg, size_t image,
    size_t addrs);
void ngx_http_tee_shm_abort(ngx_http_tee_registry_t *reg);
void ngx_http_tee_shm_fetched(ngx_http_tee_registry_t *reg, time_t when,
    uint64_t block, ngx_uint_t skipped);

/* Copies the published half; NULL if it changed meanwhile or memory is out. */

ngx_http_tee_snap_t *ngx_http_tee_shm_copy(ngx_http_tee_registry_t *reg,
    ngx_log_t *log);
ngx_http_tee_snap_t *ngx_http_tee_snap_new(tee_snapshot_t *image,
    ngx_http_tee_addrs_t *addrs, uint64_t version, ngx_log_t *log);
void ngx_http_tee_snap_unref(ngx_http_tee_snap_t *snap);
ngx_uint_t ngx_http_tee_snap_addrs(ngx_http_tee_snap_t *snap,
    ngx_uint_t entry, ngx_http_tee_addr_t **addrs, ngx_http_tee_addr_t *own);


/* fetch: HTTP over an own connection, which is kept between calls */

typedef struct ngx_http_tee_fetch_s  ngx_http_tee_fetch_t;

typedef void (*ngx_http_tee_fetch_pt)(ngx_http_tee_fetch_t *f,
    ngx_http_tee_reg_counter_e error, const char *why);

struct ngx_http_tee_fetch_s {
    ngx_http_tee_server_t         *server;
    ngx_pool_t                    *pool;
    ngx_log_t                     *log;
    ngx_http_tee_fetch_pt          handler;    /* error 0: all well */
    void                          *data;

    /* the answer; from ngx_alloc(), taken by setting it to NULL */
    u_char                        *body;
    size_t                         body_len;

    /* the rest is private */
    size_t                         body_room;
    tee_h1_t                       h1;
    ngx_peer_connection_t          peer;
    ngx_buf_t                      request;
    ngx_buf_t                      in;
    ngx_event_t                    start;
    ngx_event_t                    deadline;
    ngx_resolver_ctx_t            *resolving;
    ngx_addr_t                    *addrs;
    ngx_uint_t                     naddrs;
    ngx_uint_t                     addr;
    ngx_pool_t                    *addr_pool;
    char                           why[64];
    unsigned                       reused:1;
    unsigned                       received:1;
    unsigned                       active:1;
};

ngx_http_tee_fetch_t *ngx_http_tee_fetch_create(ngx_http_tee_server_t *server,
    ngx_pool_t *pool, ngx_log_t *log);

/* GET without a body; a POST has the type that it accepts. */

void ngx_http_tee_fetch_send(ngx_http_tee_fetch_t *f, const char *type,
    u_char *body, size_t len);

#define ngx_http_tee_fetch_post(f, body, len)                                 \
    ngx_http_tee_fetch_send(f, "application/json", body, len)

void ngx_http_tee_fetch_close(ngx_http_tee_fetch_t *f);


/* pin: what every TLS connection to a peer carries */

typedef struct {
    ngx_queue_t                    queue;
    ngx_connection_t              *connection;
    void                          *conf;       /* of the location */
    ngx_http_tee_registry_t       *registry;
    tee_snapshot_entry_t           entry;      /* a copy; no spans */
    ngx_str_t                      peer;       /* address, for the log */
    u_char                         text[NGX_SOCKADDR_STRLEN];
    unsigned                       verified:1;
    unsigned                       mismatch:1;
} ngx_http_tee_pin_t;

ngx_int_t ngx_http_tee_pin_init(ngx_conf_t *cf);

/* Before the handshake: the connection may meet this certificate only. */

ngx_int_t ngx_http_tee_pin_expect(ngx_connection_t *c, void *conf,
    ngx_http_tee_registry_t *reg, tee_snapshot_t *image,
    const tee_snapshot_entry_t *entry, ngx_str_t *peer);

/* The pin of a connection, or NULL. */

ngx_http_tee_pin_t *ngx_http_tee_pin_get(ngx_connection_t *c);

/* NGX_OK if the connection, whose pin this is, has shown and still may show
 * this entry's certificate to this location; says why not in the log. */

ngx_int_t ngx_http_tee_pin_check(ngx_http_tee_pin_t *pin, ngx_connection_t *c,
    void *conf, const tee_snapshot_entry_t *entry, ngx_log_t *log);

/* The same of a connection from a cache, without a word. */

ngx_int_t ngx_http_tee_pin_reusable(ngx_http_tee_pin_t *pin, void *conf,
    const tee_snapshot_entry_t *entry);

/* A new snapshot has come: closes idle connections that it does not hold. */

void ngx_http_tee_pin_sweep(ngx_http_tee_registry_t *reg,
    tee_snapshot_t *image);


/* request: what the roles ask of a sealed one */

#define NGX_HTTP_TEE_NO_TYPE    0
#define NGX_HTTP_TEE_WHOLE      1
#define NGX_HTTP_TEE_CHUNKED    2

/* Statuses that nginx has no names for; until its handshake is complete, TLS
 * early data may be a replay. */

#define NGX_HTTP_TEE_EXPECTATION_FAILED  417
#define NGX_HTTP_TEE_UNPROCESSABLE       422
#define NGX_HTTP_TEE_TOO_EARLY           425

ngx_uint_t ngx_http_tee_is_type(ngx_str_t *type, const char *name);

/* 1 if a response has a Content-Encoding, be it only one of several. */

ngx_uint_t ngx_http_tee_is_encoded(ngx_http_request_t *r);

/* 1 if a type has no parameters, or says that it is UTF-8 and no more: JSON is,
 * but some clients would believe another label. */

ngx_uint_t ngx_http_tee_is_utf8(ngx_str_t *type);
ngx_uint_t ngx_http_tee_request_type(ngx_http_request_t *r);
ngx_uint_t ngx_http_tee_early_data(ngx_http_request_t *r);

/*
 * Reads the content without nginx's buffering, which could write it to a file.
 * The handler is called when there is some, first from within; returns what a
 * handler of a phase does.
 */

ngx_int_t ngx_http_tee_read_content(ngx_http_request_t *r,
    ngx_http_event_handler_pt handler);

/*
 * For this handler: gives to "take" what has come.  NGX_OK, that was all;
 * NGX_AGAIN, the handler is called again; else a status for a failure, be it
 * that of "take", which returns NGX_OK otherwise.
 */

typedef ngx_int_t (*ngx_http_tee_take_pt)(ngx_http_request_t *r, void *data,
    u_char *p, size_t len);

ngx_int_t ngx_http_tee_take_content(ngx_http_request_t *r,
    ngx_http_event_handler_pt handler, ngx_http_tee_take_pt take, void *data);

/* Of a peer's error, what may stay of its header: when to try again. */

ngx_int_t ngx_http_tee_clean_error(ngx_http_request_t *r);

/* What has been taken is there for nobody else, such as an error page. */

void ngx_http_tee_no_content(ngx_http_request_t *r);

/* The n-th field of this name, from 0. */

ngx_table_elt_t *ngx_http_tee_field(ngx_list_t *list, ngx_str_t *name,
    ngx_uint_t n);

/* Both are constants; NULL: no memory. */

ngx_table_elt_t *ngx_http_tee_add_field(ngx_list_t *list, const char *name,
    const char *value);

/* The response is about to get other content: fields that are about the one it
 * has had are removed. */

void ngx_http_tee_clear_content(ngx_http_request_t *r);


/* secret */

/*
 * Reads a file that nobody but its owner, root or us, may read, into memory
 * of its own, which ngx_http_tee_secret_free() wipes.  NGX_ERROR has been
 * logged; "what" is for that.
 */

#define NGX_HTTP_TEE_SECRET_MAX  16384

ngx_int_t ngx_http_tee_secret_read(ngx_conf_t *cf, const char *what,
    ngx_str_t *path, size_t max, ngx_str_t *secret, time_t *modified);
void ngx_http_tee_secret_free(u_char *secret);


/* cut: the upstream has failed in the middle of its response, which a flush
 * tells that comes now or has come. */

ngx_uint_t ngx_http_tee_cut(ngx_http_request_t *r);


/* common */

extern const tee_alloc_t  ngx_http_tee_alloc;

#define ngx_http_tee_hex_id(dst, id)                                          \
    (*ngx_hex_dump(dst, (u_char *) (id), 32) = '\0')

/* Another list of fields, until the proxy has built its request; restoring
 * answers whether there was one. */

ngx_int_t ngx_http_tee_headers_hide(ngx_http_request_t *r,
    ngx_list_t *headers);
ngx_uint_t ngx_http_tee_headers_restore(ngx_http_request_t *r);

tee_str_t ngx_http_tee_str(ngx_str_t *s);
ngx_int_t ngx_http_tee_parse_id(ngx_str_t *s, u_char id[32]);
ngx_module_t *ngx_http_tee_find_module(ngx_conf_t *cf, const char *name);

/*
 * 1 if a value has a variable that may be about a request or who has sent it.
 * What the configuration makes of others, by "set" or "map", is not looked
 * into.  The first one is called when all variables of modules are known.
 */

void ngx_http_tee_tells_init(ngx_conf_t *cf);
ngx_uint_t ngx_http_tee_tells(ngx_conf_t *cf, ngx_str_t *value);

/* Why a connection to the upstream could tell the same, or NULL. */

const char *ngx_http_tee_shows(ngx_http_upstream_conf_t *ucf);

void *ngx_http_tee_conf_value(ngx_conf_t *cf, const char *module,
    const char *directive);


extern ngx_module_t  ngx_http_tee_module;


#endif /* _NGX_HTTP_TEE_H_INCLUDED_ */
