
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <ngx_http_tee.h>
#include <ngx_http_tee_upstream.h>


/* What may be logged, or answered, of the TEE that was chosen. */


static ngx_int_t ngx_http_tee_upstream_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);


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


ngx_int_t
ngx_http_tee_upstream_add_variables(ngx_conf_t *cf)
{
    return ngx_http_tee_add_variables(cf, ngx_http_tee_upstream_vars);
}
