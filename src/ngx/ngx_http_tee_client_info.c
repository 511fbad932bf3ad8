
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <ngx_http_tee.h>
#include <ngx_http_tee_client_ctx.h>
#include <tee_text.h>


/* What applications ask besides completions; nothing of it is sent on. */


static ngx_int_t ngx_http_tee_client_models_handler(ngx_http_request_t *r);
static ngx_int_t ngx_http_tee_client_health_handler(ngx_http_request_t *r);
static ngx_int_t ngx_http_tee_client_send_json(ngx_http_request_t *r,
    ngx_uint_t status, ngx_str_t *json);
static char *ngx_http_tee_client_handler_set(ngx_conf_t *cf,
    ngx_http_handler_pt handler);


char *
ngx_http_tee_client_models(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_tee_client_loc_conf_t  *clcf = conf;

    char         *rv;
    ngx_str_t    *value;
    ngx_uint_t    i;
    tee_write_t   w;

    if (clcf->models.len) {
        return "is duplicate";
    }

    value = cf->args->elts;

    tee_write_grow(&w, &ngx_http_tee_alloc);
    tee_write_text(&w, "{\"object\":\"list\",\"data\":[");

    for (i = 1; i < cf->args->nelts; i++) {

        if (value[i].len == 0 || !tee_utf8_valid(ngx_http_tee_str(&value[i])))
        {
            tee_write_free(&w);
            return "needs names of models";
        }

        tee_write_text(&w, i == 1 ? "{\"id\":" : ",{\"id\":");
        tee_write_json(&w, ngx_http_tee_str(&value[i]));
        tee_write_text(&w, ",\"object\":\"model\",\"created\":0,"
                           "\"owned_by\":\"opengradient\"}");
    }

    tee_write_text(&w, "]}");

    rv = NGX_CONF_ERROR;

    if (tee_write_rc(&w) == TEE_OK) {
        clcf->models.data = ngx_pnalloc(cf->pool, w.len);
    }

    if (clcf->models.data) {
        ngx_memcpy(clcf->models.data, w.data, w.len);
        clcf->models.len = w.len;

        rv = ngx_http_tee_client_handler_set(cf,
                                          ngx_http_tee_client_models_handler);
    }

    tee_write_free(&w);

    return rv;
}


char *
ngx_http_tee_client_health(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_tee_client_loc_conf_t  *clcf = conf;

    u_char      *pcr, buf[32];
    ngx_str_t   *value, s;

    if (clcf->health) {
        return "is duplicate";
    }

    value = cf->args->elts;
    pcr = NULL;

    if (cf->args->nelts == 3) {

        s.data = value[2].data + 4;
        s.len = value[2].len - 4;

        if (ngx_strncmp(value[2].data, "pcr=", 4) != 0
            || ngx_http_tee_parse_id(&s, buf) != NGX_OK)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid parameter \"%V\"", &value[2]);
            return NGX_CONF_ERROR;
        }

        pcr = buf;
    }

    clcf->health = ngx_http_tee_client_choice(cf, &value[1], pcr);

    if (clcf->health == NULL) {
        return NGX_CONF_ERROR;
    }

    return ngx_http_tee_client_handler_set(cf,
                                           ngx_http_tee_client_health_handler);
}


static char *
ngx_http_tee_client_handler_set(ngx_conf_t *cf, ngx_http_handler_pt handler)
{
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (clcf->handler) {
        return "conflicts with another handler of this location";
    }

    clcf->handler = handler;

    return NGX_CONF_OK;
}


/* Whoever comes later in a location takes it over. */

char *
ngx_http_tee_client_info_check(ngx_conf_t *cf,
    ngx_http_tee_client_loc_conf_t *conf)
{
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (clcf->handler == (conf->health ? ngx_http_tee_client_health_handler
                                       : ngx_http_tee_client_models_handler))
    {
        return NGX_CONF_OK;
    }

    ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                  "%s in location \"%V\": conflicts with another handler of "
                  "this location",
                  conf->health ? "tee_client_health" : "tee_client_models",
                  &clcf->name);

    return NGX_CONF_ERROR;
}


static ngx_int_t
ngx_http_tee_client_models_handler(ngx_http_request_t *r)
{
    ngx_http_tee_client_loc_conf_t  *clcf;

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_tee_client_module);

    return ngx_http_tee_client_send_json(r, NGX_HTTP_OK, &clcf->models);
}


/* The TEE that this worker asks, or would ask; nobody is asked for this. */

static ngx_int_t
ngx_http_tee_client_health_handler(ngx_http_request_t *r)
{
    u_char                          *p, id[65];
    ngx_int_t                        rc;
    ngx_str_t                        json;
    ngx_uint_t                       status;
    const char                      *verified;
    tee_write_t                      w;
    ngx_http_tee_snap_t             *snap;
    const tee_snapshot_entry_t      *entry;
    ngx_http_tee_client_loc_conf_t  *clcf;

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_tee_client_module);

    entry = ngx_http_tee_client_current(clcf->health, &snap);

    /* of all that may be asked: not only at one of the locations */

    verified = clcf->health->used && !clcf->health->unverified ? "true"
                                                               : "false";

    tee_write_grow(&w, &ngx_http_tee_alloc);

    if (entry) {
        status = NGX_HTTP_OK;

        ngx_http_tee_hex_id(id, entry->tee_id);

        tee_write_text(&w, "{\"status\":\"ok\",\"verified_inference\":");
        tee_write_text(&w, verified);
        tee_write_text(&w, ",\"active_tee_id\":\"0x");
        tee_write_text(&w, (char *) id);
        tee_write_text(&w, "\",\"active_tee_endpoint\":");
        tee_write_json(&w, tee_snapshot_str(snap->image, entry->endpoint));

    } else {
        status = NGX_HTTP_SERVICE_UNAVAILABLE;

        tee_write_text(&w, "{\"status\":\"no_tee\",\"verified_inference\":");
        tee_write_text(&w, verified);
        tee_write_text(&w, ",\"active_tee_id\":null,"
                           "\"active_tee_endpoint\":null");
    }

    tee_write_u8(&w, '}');

    rc = NGX_HTTP_INTERNAL_SERVER_ERROR;
    p = tee_write_rc(&w) == TEE_OK ? ngx_pnalloc(r->pool, w.len) : NULL;

    if (p) {
        ngx_memcpy(p, w.data, w.len);
        json.data = p;
        json.len = w.len;

        rc = ngx_http_tee_client_send_json(r, status, &json);
    }

    tee_write_free(&w);

    return rc;
}


static ngx_int_t
ngx_http_tee_client_send_json(ngx_http_request_t *r, ngx_uint_t status,
    ngx_str_t *json)
{
    ngx_int_t     rc;
    ngx_buf_t    *b;
    ngx_chain_t   out;

    if (!(r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD))) {
        return NGX_HTTP_NOT_ALLOWED;
    }

    rc = ngx_http_discard_request_body(r);

    if (rc != NGX_OK) {
        return rc;
    }

    r->headers_out.status = status;
    r->headers_out.content_length_n = json->len;

    ngx_str_set(&r->headers_out.content_type, "application/json");
    r->headers_out.content_type_len = r->headers_out.content_type.len;

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    b = ngx_calloc_buf(r->pool);
    if (b == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    b->pos = json->data;
    b->last = json->data + json->len;
    b->memory = 1;
    b->last_buf = 1;
    b->last_in_chain = 1;

    out.buf = b;
    out.next = NULL;

    return ngx_http_output_filter(r, &out);
}
