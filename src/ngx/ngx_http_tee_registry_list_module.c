
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <ngx_http_tee.h>
#include <tee_write.h>


/*
 * tee_registry_list: the list of a registry as JSON, for clients that seal by
 * themselves.  A long one is told in parts, so that none takes long.
 */

#define NGX_HTTP_TEE_LIST_PART  500


typedef struct {
    ngx_http_tee_registry_t       *registry;
} ngx_http_tee_registry_list_loc_conf_t;


static ngx_int_t ngx_http_tee_registry_list_handler(ngx_http_request_t *r);
static ngx_int_t ngx_http_tee_registry_list_from(ngx_http_request_t *r,
    ngx_uint_t *from);
static void ngx_http_tee_registry_list_write(tee_write_t *w,
    ngx_http_tee_registry_t *reg, ngx_http_tee_snap_t *snap,
    ngx_uint_t from);
static void ngx_http_tee_registry_list_entry(tee_write_t *w,
    tee_snapshot_t *image, tee_snapshot_entry_t *entry);
static ngx_int_t ngx_http_tee_registry_list_send(ngx_http_request_t *r,
    tee_write_t *w);
static void *ngx_http_tee_registry_list_create_loc_conf(ngx_conf_t *cf);
static char *ngx_http_tee_registry_list(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);


static ngx_command_t  ngx_http_tee_registry_list_commands[] = {

    { ngx_string("tee_registry_list"),
      NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_tee_registry_list,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_tee_registry_list_module_ctx = {
    NULL,                                  /* preconfiguration */
    NULL,                                  /* postconfiguration */

    NULL,                                  /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_http_tee_registry_list_create_loc_conf,
                                           /* create location configuration */
    NULL                                   /* merge location configuration */
};


ngx_module_t  ngx_http_tee_registry_list_module = {
    NGX_MODULE_V1,
    &ngx_http_tee_registry_list_module_ctx,    /* module context */
    ngx_http_tee_registry_list_commands,   /* module directives */
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
ngx_http_tee_registry_list_handler(ngx_http_request_t *r)
{
    ngx_int_t                               rc;
    ngx_uint_t                              from;
    tee_write_t                             w;
    ngx_http_tee_snap_t                    *snap;
    ngx_http_tee_registry_t                *reg;
    ngx_http_tee_registry_list_loc_conf_t  *llcf;

    if (!(r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD))) {
        return NGX_HTTP_NOT_ALLOWED;
    }

    rc = ngx_http_discard_request_body(r);

    if (rc != NGX_OK) {
        return rc;
    }

    rc = ngx_http_tee_registry_list_from(r, &from);

    if (rc != NGX_OK) {
        return rc;
    }

    llcf = ngx_http_get_module_loc_conf(r, ngx_http_tee_registry_list_module);
    reg = llcf->registry;

    snap = ngx_http_tee_registry_snap(reg);

    if (snap == NULL) {
        return ngx_http_tee_problem(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                                    "registry_empty",
                                    "the registry has not answered yet");
    }

    if (ngx_http_tee_registry_stale(reg)) {
        return ngx_http_tee_problem(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                                    "registry_stale",
                                    "the registry has not answered for too "
                                    "long");
    }

    tee_write_grow(&w, &ngx_http_tee_alloc);

    ngx_http_tee_registry_list_write(&w, reg, snap, from);

    rc = ngx_http_tee_registry_list_send(r, &w);

    tee_write_free(&w);

    return rc;
}


static ngx_int_t
ngx_http_tee_registry_list_from(ngx_http_request_t *r, ngx_uint_t *from)
{
    ngx_int_t  n;
    ngx_str_t  value;

    *from = 0;

    if (ngx_http_arg(r, (u_char *) "from", 4, &value) != NGX_OK) {
        return NGX_OK;
    }

    n = ngx_atoi(value.data, value.len);

    if (n == NGX_ERROR || n > NGX_MAX_INT32_VALUE) {
        return NGX_HTTP_BAD_REQUEST;
    }

    *from = n;

    return NGX_OK;
}


static void
ngx_http_tee_registry_list_write(tee_write_t *w, ngx_http_tee_registry_t *reg,
    ngx_http_tee_snap_t *snap, ngx_uint_t from)
{
    ngx_uint_t  i, last;

    last = ngx_min(from + NGX_HTTP_TEE_LIST_PART, snap->image->n);

    tee_write_text(w, "{\"registry\":");
    tee_write_json(w, ngx_http_tee_str(&reg->name));
    tee_write_text(w, ",\"version\":");
    tee_write_decimal(w, snap->version);
    tee_write_text(w, ",\"age\":");
    tee_write_signed(w, ngx_http_tee_registry_age(reg));
    tee_write_text(w, ",\"total\":");
    tee_write_decimal(w, snap->image->n);

    if (last < snap->image->n) {
        tee_write_text(w, ",\"next\":");
        tee_write_decimal(w, last);
    }

    tee_write_text(w, ",\"tees\":[");

    for (i = from; i < last; i++) {

        if (i > from) {
            tee_write_u8(w, ',');
        }

        ngx_http_tee_registry_list_entry(w, snap->image,
                                         &snap->image->entries[i]);
    }

    tee_write_text(w, "]}\n");
}


static void
ngx_http_tee_registry_list_entry(tee_write_t *w, tee_snapshot_t *image,
    tee_snapshot_entry_t *entry)
{
    tee_write_text(w, "{\"tee_id\":\"0x");
    tee_write_hex(w, entry->tee_id, 32);
    tee_write_text(w, "\",\"endpoint\":");
    tee_write_json(w, tee_snapshot_str(image, entry->endpoint));
    tee_write_text(w, ",\"pcr_hash\":\"0x");
    tee_write_hex(w, entry->pcr_hash, 32);
    tee_write_text(w, "\",\"payment_address\":\"0x");
    tee_write_hex(w, entry->payment_address, 20);
    tee_write_text(w, "\",\"pin\":\"");
    tee_write_hex(w, entry->pin_sha256, 32);
    tee_write_text(w, "\",\"signing_key\":\"");
    tee_write_base64(w, tee_snapshot_str(image, entry->spki));

    if (entry->kem_id) {
        tee_write_text(w, "\",\"key_config\":\"");
        tee_write_base64(w, tee_snapshot_str(image, entry->key_config));
    }

    tee_write_text(w, "\"}");
}


static ngx_int_t
ngx_http_tee_registry_list_send(ngx_http_request_t *r, tee_write_t *w)
{
    ngx_int_t    rc;
    ngx_buf_t   *b;
    ngx_chain_t  out;

    if (tee_write_rc(w) != TEE_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    b = ngx_create_temp_buf(r->pool, w->len);

    if (b == NULL
        || ngx_http_tee_add_field(&r->headers_out.headers, "Cache-Control",
                                  "no-cache")
           == NULL)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    b->last = ngx_cpymem(b->pos, w->data, w->len);
    b->last_buf = (r == r->main);
    b->last_in_chain = 1;

    r->headers_out.status = NGX_HTTP_OK;
    r->headers_out.content_length_n = w->len;
    ngx_str_set(&r->headers_out.content_type, "application/json");
    r->headers_out.content_type_len = r->headers_out.content_type.len;
    r->headers_out.content_type_lowcase = NULL;

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    out.buf = b;
    out.next = NULL;

    return ngx_http_output_filter(r, &out);
}


static void *
ngx_http_tee_registry_list_create_loc_conf(ngx_conf_t *cf)
{
    return ngx_pcalloc(cf->pool,
                       sizeof(ngx_http_tee_registry_list_loc_conf_t));
}


static char *
ngx_http_tee_registry_list(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_tee_registry_list_loc_conf_t  *llcf = conf;

    ngx_str_t                 *value;
    ngx_http_core_loc_conf_t  *clcf;

    if (llcf->registry) {
        return "is duplicate";
    }

    value = cf->args->elts;

    llcf->registry = ngx_http_tee_registry_find(cf, &value[1]);

    if (llcf->registry == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "no \"tee_registry %V\" block before this line",
                           &value[1]);
        return NGX_CONF_ERROR;
    }

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (clcf->handler) {
        return "conflicts with another handler of this location";
    }

    clcf->handler = ngx_http_tee_registry_list_handler;

    ngx_http_tee_problem_location(cf);

    return NGX_CONF_OK;
}
