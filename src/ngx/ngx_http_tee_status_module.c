
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <ngx_http_tee.h>


/*
 * tee_status: what this worker and the shared memory know, as JSON.  It is
 * written piece by piece into chained buffers.  An answer has so many entries
 * of a registry at most, so that one over thousands of TEEs does not keep the
 * other requests waiting; "?from=1000" goes on.
 */

#define NGX_HTTP_TEE_STATUS_ENTRIES  1000

#define NGX_HTTP_TEE_STATUS_BUF  16384

/* No single piece is longer than this, texts from the chain excepted. */
#define NGX_HTTP_TEE_STATUS_MAX  1024


typedef struct {
    ngx_http_request_t    *request;
    ngx_chain_t           *out;
    ngx_chain_t          **last;
    ngx_buf_t             *buf;
    off_t                  size;
    ngx_uint_t             from;           /* the first entry to show */
    unsigned               failed:1;
} ngx_http_tee_status_t;


static ngx_int_t ngx_http_tee_status_handler(ngx_http_request_t *r);
static void ngx_http_tee_status_registry(ngx_http_tee_status_t *st,
    ngx_http_tee_registry_t *reg);
static void ngx_http_tee_status_rpcs(ngx_http_tee_status_t *st,
    ngx_http_tee_registry_t *reg);
static void ngx_http_tee_status_entries(ngx_http_tee_status_t *st,
    ngx_http_tee_registry_t *reg, ngx_http_tee_snap_t *snap);
static void ngx_http_tee_status_counters(ngx_http_tee_status_t *st);
static void ngx_http_tee_status_room(ngx_http_tee_status_t *st, size_t len);
static void ngx_cdecl ngx_http_tee_status_printf(ngx_http_tee_status_t *st,
    const char *fmt, ...);
static void ngx_http_tee_status_text(ngx_http_tee_status_t *st, u_char *data,
    size_t len);
static void ngx_http_tee_status_hex(ngx_http_tee_status_t *st,
    const u_char *data, size_t len);
static char *ngx_http_tee_status(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);


static ngx_command_t  ngx_http_tee_status_commands[] = {

    { ngx_string("tee_status"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      ngx_http_tee_status,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_tee_status_module_ctx = {
    NULL,                                  /* preconfiguration */
    NULL,                                  /* postconfiguration */

    NULL,                                  /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    NULL,                                  /* create location configuration */
    NULL                                   /* merge location configuration */
};


ngx_module_t  ngx_http_tee_status_module = {
    NGX_MODULE_V1,
    &ngx_http_tee_status_module_ctx,       /* module context */
    ngx_http_tee_status_commands,          /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    NULL,                                  /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    NULL,                                  /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static ngx_int_t
ngx_http_tee_status_handler(ngx_http_request_t *r)
{
    ngx_int_t                  n, rc;
    ngx_str_t                  from;
    ngx_uint_t                 i;
    ngx_array_t               *registries;
    ngx_table_elt_t           *h;
    ngx_http_tee_status_t      st;
    ngx_http_tee_registry_t  **regs;

    if (!(r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD))) {
        return NGX_HTTP_NOT_ALLOWED;
    }

    rc = ngx_http_discard_request_body(r);

    if (rc != NGX_OK) {
        return rc;
    }

    ngx_memzero(&st, sizeof(ngx_http_tee_status_t));
    st.request = r;
    st.last = &st.out;

    if (ngx_http_arg(r, (u_char *) "from", 4, &from) == NGX_OK) {
        n = ngx_atoi(from.data, from.len);

        if (n == NGX_ERROR || n > NGX_MAX_INT32_VALUE) {
            return NGX_HTTP_BAD_REQUEST;
        }

        st.from = n;
    }

    ngx_http_tee_status_printf(&st, "{\"version\":\"%s\",\"pid\":%P,"
                               "\"worker\":%ui,\"registries\":[",
                               NGX_HTTP_TEE_VERSION, ngx_pid, ngx_worker);

    registries = ngx_http_tee_registries(r);
    regs = registries->elts;

    for (i = 0; i < registries->nelts; i++) {
        if (i) {
            ngx_http_tee_status_printf(&st, ",");
        }

        ngx_http_tee_status_registry(&st, regs[i]);
    }

    ngx_http_tee_status_printf(&st, "],\"counters\":{");
    ngx_http_tee_status_counters(&st);
    ngx_http_tee_status_printf(&st, "}}\n");

    if (st.failed) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    st.buf->last_buf = 1;
    st.buf->last_in_chain = 1;

    h = ngx_list_push(&r->headers_out.headers);
    if (h == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_memzero(h, sizeof(ngx_table_elt_t));
    h->hash = 1;
    ngx_str_set(&h->key, "Cache-Control");
    ngx_str_set(&h->value, "no-store");

    r->headers_out.status = NGX_HTTP_OK;
    r->headers_out.content_length_n = st.size;
    ngx_str_set(&r->headers_out.content_type, "application/json");
    r->headers_out.content_type_len = r->headers_out.content_type.len;
    r->headers_out.content_type_lowcase = NULL;

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    return ngx_http_output_filter(r, st.out);
}


static void
ngx_http_tee_status_registry(ngx_http_tee_status_t *st,
    ngx_http_tee_registry_t *reg)
{
    ngx_uint_t            i;
    ngx_http_tee_snap_t  *snap;

    snap = ngx_http_tee_registry_snap(reg);

    ngx_http_tee_status_printf(st, "{\"name\":\"");
    ngx_http_tee_status_text(st, reg->name.data, reg->name.len);

    ngx_http_tee_status_printf(st, "\",\"kind\":\"%s\",\"contract\":\"0x",
                               reg->file.len ? "file" : "chain");
    ngx_http_tee_status_hex(st, reg->contract, 20);

    ngx_http_tee_status_printf(st,
                     "\",\"chain_id\":%uL,\"type\":%ui,\"method\":\"%s\","
                     "\"quorum\":%ui,\"state\":\"%s\",\"version\":%uL,"
                     "\"block\":%uA,\"age\":%T,\"tees\":%uD,\"skipped\":%uA,"
                     "\"refreshing\":%s,\"rpcs\":[",
                     reg->chain_id, reg->type,
                     reg->method == NGX_HTTP_TEE_METHOD_IDS ? "ids" : "active",
                     reg->quorum,
                     snap == NULL || snap->image->n == 0 ? "empty"
                     : ngx_http_tee_registry_stale(reg) ? "stale" : "fresh",
                     snap ? snap->version : (uint64_t) 0,
                     reg->sh->block, ngx_http_tee_registry_age(reg),
                     snap ? snap->image->n : (uint32_t) 0, reg->sh->skipped,
                     reg->sh->refreshing ? "true" : "false");

    ngx_http_tee_status_rpcs(st, reg);

    ngx_http_tee_status_printf(st, "],\"entries\":[");

    if (snap) {
        ngx_http_tee_status_entries(st, reg, snap);
    }

    ngx_http_tee_status_printf(st, "],\"counters\":{");

    for (i = 0; i < NGX_HTTP_TEE_REG_COUNTERS; i++) {
        ngx_http_tee_status_printf(st, "%s\"%s\":%uA", i ? "," : "",
                                   ngx_http_tee_reg_counter_names[i],
                                   reg->sh->counters[i]);
    }

    ngx_http_tee_status_printf(st, "}}");
}


static void
ngx_http_tee_status_rpcs(ngx_http_tee_status_t *st,
    ngx_http_tee_registry_t *reg)
{
    ngx_uint_t                 i;
    ngx_http_tee_server_t     *servers;
    ngx_http_tee_rpc_state_t  *rpc;

    servers = reg->servers.elts;

    for (i = 0; i < reg->servers.nelts; i++) {
        rpc = &reg->sh->rpcs[i];

        ngx_http_tee_status_printf(st, "%s{\"url\":\"", i ? "," : "");
        ngx_http_tee_status_text(st, servers[i].url.data,
                                 servers[i].url.len);

        ngx_http_tee_status_printf(st, "\",\"healthy\":%s,\"last_error\":\"",
                                   rpc->healthy ? "true" : "false");

        /* another worker may be writing it: its last byte stays NUL */

        ngx_http_tee_status_text(st, (u_char *) rpc->last_error,
                                 ngx_strlen(rpc->last_error));

        ngx_http_tee_status_printf(st,
                             "\",\"block\":%uA,\"ok\":%uA,\"failed\":%uA}",
                             rpc->block, rpc->ok, rpc->failed);
    }
}


static void
ngx_http_tee_status_entries(ngx_http_tee_status_t *st,
    ngx_http_tee_registry_t *reg, ngx_http_tee_snap_t *snap)
{
    time_t                 now;
    tee_str_t              endpoint;
    const char            *state;
    ngx_uint_t             i, last, failures, avoided;
    ngx_http_tee_addr_t   *addrs, own;
    tee_snapshot_entry_t  *e;

    now = ngx_time();

    last = ngx_min(st->from + NGX_HTTP_TEE_STATUS_ENTRIES, snap->image->n);

    for (i = st->from; i < last; i++) {
        e = &snap->image->entries[i];

        failures = ngx_http_tee_registry_failures(reg, snap, i, &avoided);

        state = "up";

        if (now < e->not_before || now > e->not_after) {
            state = "expired";

        } else if (ngx_http_tee_snap_addrs(snap, i, &addrs, &own) == 0) {
            state = "unresolved";

        } else if (avoided) {
            state = "avoided";
        }

        ngx_http_tee_status_printf(st, "%s{\"id\":\"0x",
                                   i == st->from ? "" : ",");
        ngx_http_tee_status_hex(st, e->tee_id, 32);

        ngx_http_tee_status_printf(st, "\",\"endpoint\":\"");
        endpoint = tee_snapshot_str(snap->image, e->endpoint);
        ngx_http_tee_status_text(st, (u_char *) endpoint.data, endpoint.len);

        ngx_http_tee_status_printf(st, "\",\"state\":\"%s\",\"pin_sha256\":\"",
                                   state);
        ngx_http_tee_status_hex(st, e->pin_sha256, 32);

        ngx_http_tee_status_printf(st, "\",\"not_after\":%L,\"pcr_hash\":\"0x",
                                   e->not_after);
        ngx_http_tee_status_hex(st, e->pcr_hash, 32);

        ngx_http_tee_status_printf(st, "\",\"failures\":%ui}", failures);
    }
}


static void
ngx_http_tee_status_counters(ngx_http_tee_status_t *st)
{
    ngx_uint_t                          i;
    const ngx_http_tee_counter_name_t  *name;

    for (i = 0; i < NGX_HTTP_TEE_COUNTERS; i++) {
        name = &ngx_http_tee_counter_names[i];

        if (i == 0 || ngx_strcmp(name->group, name[-1].group) != 0) {
            ngx_http_tee_status_printf(st, "%s\"%s\":{", i ? "}," : "",
                                       name->group);

        } else {
            ngx_http_tee_status_printf(st, ",");
        }

        ngx_http_tee_status_printf(st, "\"%s\":%uA", name->name,
                                   ngx_http_tee_counted(i));
    }

    ngx_http_tee_status_printf(st, "}");
}


static void
ngx_http_tee_status_room(ngx_http_tee_status_t *st, size_t len)
{
    ngx_buf_t    *b;
    ngx_chain_t  *cl;

    if (st->failed
        || (st->buf && (size_t) (st->buf->end - st->buf->last) >= len))
    {
        return;
    }

    b = ngx_create_temp_buf(st->request->pool,
                            ngx_max(len, NGX_HTTP_TEE_STATUS_BUF));
    cl = ngx_alloc_chain_link(st->request->pool);

    if (b == NULL || cl == NULL) {
        st->failed = 1;
        return;
    }

    cl->buf = b;
    cl->next = NULL;

    *st->last = cl;
    st->last = &cl->next;
    st->buf = b;
}


static void ngx_cdecl
ngx_http_tee_status_printf(ngx_http_tee_status_t *st, const char *fmt, ...)
{
    u_char   *p;
    va_list   args;

    ngx_http_tee_status_room(st, NGX_HTTP_TEE_STATUS_MAX);

    if (st->failed) {
        return;
    }

    va_start(args, fmt);
    p = ngx_vslprintf(st->buf->last, st->buf->end, fmt, args);
    va_end(args);

    st->size += p - st->buf->last;
    st->buf->last = p;
}


static void
ngx_http_tee_status_text(ngx_http_tee_status_t *st, u_char *data, size_t len)
{
    u_char  *p;
    size_t   extra;

    extra = ngx_escape_json(NULL, data, len);

    ngx_http_tee_status_room(st, len + extra);

    if (st->failed) {
        return;
    }

    p = extra ? (u_char *) ngx_escape_json(st->buf->last, data, len)
              : ngx_cpymem(st->buf->last, data, len);

    st->size += p - st->buf->last;
    st->buf->last = p;
}


static void
ngx_http_tee_status_hex(ngx_http_tee_status_t *st, const u_char *data,
    size_t len)
{
    ngx_http_tee_status_room(st, 2 * len);

    if (st->failed) {
        return;
    }

    st->buf->last = ngx_hex_dump(st->buf->last, (u_char *) data, len);
    st->size += 2 * len;
}


static char *
ngx_http_tee_status(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (clcf->handler) {
        return "conflicts with another handler of this location";
    }

    clcf->handler = ngx_http_tee_status_handler;

    return ngx_http_tee_counters_add(cf) == NGX_OK ? NGX_CONF_OK
                                                   : NGX_CONF_ERROR;
}
