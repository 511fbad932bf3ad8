
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <ngx_http_tee_keys.h>
#include <tee_crypto.h>
#include <tee_ohttp_keys.h>
#include <tee_registry.h>


/*
 * tee_keys: the list of a gateway's public keys, the same bytes for everybody;
 * RFC 9458, 3.2 and 7, and RFC 9540, 5.  With "sign", the configuration of an
 * OpenGradient enclave.
 */

#define NGX_HTTP_TEE_NOT_ACCEPTABLE  406


typedef struct {
    ngx_array_t           blocks;          /* ngx_http_tee_keys_t * */
} ngx_http_tee_keys_main_conf_t;


typedef struct {
    ngx_http_tee_keys_t  *keys;
    time_t                max_age;         /* of keys from files */
    ngx_str_t             config;          /* signed, or empty: the list */
    time_t                modified;
} ngx_http_tee_keys_loc_conf_t;


static ngx_int_t ngx_http_tee_keys_handler(ngx_http_request_t *r);
static ngx_uint_t ngx_http_tee_keys_acceptable(ngx_http_request_t *r,
    ngx_str_t *type);
static void ngx_http_tee_keys_accept(u_char *p, u_char *last,
    ngx_str_t *type, ngx_uint_t *best, ngx_uint_t *refused);
static ngx_uint_t ngx_http_tee_keys_weightless(u_char *p, u_char *last);
static ngx_int_t ngx_http_tee_keys_fields(ngx_http_request_t *r,
    ngx_http_tee_keys_loc_conf_t *klcf, ngx_str_t *body);
static ngx_table_elt_t *ngx_http_tee_keys_field(ngx_http_request_t *r,
    const char *name, size_t room);

static void *ngx_http_tee_keys_create_main_conf(ngx_conf_t *cf);
static void *ngx_http_tee_keys_create_loc_conf(ngx_conf_t *cf);
static char *ngx_http_tee_keys_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child);
static char *ngx_http_tee_keys(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_tee_keys_sign(ngx_conf_t *cf,
    ngx_http_tee_keys_loc_conf_t *klcf, ngx_str_t *path);
static ngx_int_t ngx_http_tee_keys_init_process(ngx_cycle_t *cycle);
static void ngx_http_tee_keys_exit_process(ngx_cycle_t *cycle);


static ngx_command_t  ngx_http_tee_keys_commands[] = {

    { ngx_string("tee_gateway_keys"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_BLOCK|NGX_CONF_TAKE1,
      ngx_http_tee_keys_block,
      0,
      0,
      NULL },

    { ngx_string("tee_keys"),
      NGX_HTTP_LOC_CONF|NGX_CONF_TAKE123,
      ngx_http_tee_keys,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_tee_keys_module_ctx = {
    NULL,                                  /* preconfiguration */
    NULL,                                  /* postconfiguration */

    ngx_http_tee_keys_create_main_conf,    /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_http_tee_keys_create_loc_conf,     /* create location configuration */
    ngx_http_tee_keys_merge_loc_conf       /* merge location configuration */
};


ngx_module_t  ngx_http_tee_keys_module = {
    NGX_MODULE_V1,
    &ngx_http_tee_keys_module_ctx,         /* module context */
    ngx_http_tee_keys_commands,            /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    ngx_http_tee_keys_init_process,        /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    ngx_http_tee_keys_exit_process,        /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static ngx_str_t  ngx_http_tee_keys_list_type =
    ngx_string("application/ohttp-keys");
static ngx_str_t  ngx_http_tee_keys_config_type =
    ngx_string("application/json");


ngx_uint_t
ngx_http_tee_keys_enabled(ngx_http_request_t *r)
{
    ngx_http_tee_keys_loc_conf_t  *klcf;

    klcf = ngx_http_get_module_loc_conf(r, ngx_http_tee_keys_module);

    return klcf->keys != NULL;
}


static ngx_int_t
ngx_http_tee_keys_handler(ngx_http_request_t *r)
{
    ngx_int_t                      rc;
    ngx_str_t                     *type, body;
    ngx_buf_t                     *b;
    ngx_chain_t                    out;
    ngx_table_elt_t               *h;
    ngx_http_tee_keys_t           *keys;
    ngx_http_tee_keys_loc_conf_t  *klcf;

    klcf = ngx_http_get_module_loc_conf(r, ngx_http_tee_keys_module);
    keys = klcf->keys;

    if (!(r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD))) {
        h = ngx_http_tee_keys_field(r, "Allow", 0);
        if (h == NULL) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        ngx_str_set(&h->value, "GET, HEAD");

        return NGX_HTTP_NOT_ALLOWED;
    }

    rc = ngx_http_discard_request_body(r);

    if (rc != NGX_OK) {
        return rc;
    }

    type = klcf->config.len ? &ngx_http_tee_keys_config_type
                            : &ngx_http_tee_keys_list_type;

    if (!ngx_http_tee_keys_acceptable(r, type)) {
        return NGX_HTTP_TEE_NOT_ACCEPTABLE;
    }

    ngx_http_tee_keys_update(keys);

    if (keys->list_len == 0) {
        return NGX_HTTP_SERVICE_UNAVAILABLE;
    }

    /* the list may be another one before this has been sent */

    body = klcf->config;

    if (body.len == 0) {
        body.len = keys->list_len;
        body.data = ngx_pnalloc(r->pool, body.len);
        if (body.data == NULL) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        ngx_memcpy(body.data, keys->list, body.len);
    }

    r->headers_out.status = NGX_HTTP_OK;
    r->headers_out.content_length_n = body.len;
    r->headers_out.content_type = *type;
    r->headers_out.content_type_len = type->len;
    r->headers_out.content_type_lowcase = NULL;

    if (ngx_http_tee_keys_fields(r, klcf, &body) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_http_tee_count(NGX_HTTP_TEE_GATEWAY_LISTS);

    b = ngx_calloc_buf(r->pool);
    if (b == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    b->pos = body.data;
    b->last = body.data + body.len;
    b->memory = 1;
    b->last_buf = 1;
    b->last_in_chain = 1;

    out.buf = b;
    out.next = NULL;

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    return ngx_http_output_filter(r, &out);
}


/* RFC 9110, 12.5.1; no field, or an empty one, takes anything. */

static ngx_uint_t
ngx_http_tee_keys_acceptable(ngx_http_request_t *r, ngx_str_t *type)
{
    u_char           *p, *q, *last;
    ngx_uint_t        n, best, refused, some;
    ngx_table_elt_t  *h;

    static ngx_str_t  name = ngx_string("accept");

    best = 0;
    refused = 0;
    some = 0;

    for (n = 0; /* void */ ; n++) {
        h = ngx_http_tee_field(&r->headers_in.headers, &name, n);
        if (h == NULL) {
            break;
        }

        last = h->value.data + h->value.len;

        for (p = h->value.data; p < last; p = q + 1) {
            q = ngx_strlchr(p, last, ',');
            if (q == NULL) {
                q = last;
            }

            while (p < q && (*p == ' ' || *p == '\t')) {
                p++;
            }

            if (p < q) {
                some = 1;
                ngx_http_tee_keys_accept(p, q, type, &best, &refused);
            }
        }
    }

    return !some || (best && !refused);
}


/* One range: the most exact one that fits decides. */

static void
ngx_http_tee_keys_accept(u_char *p, u_char *last, ngx_str_t *type,
    ngx_uint_t *best, ngx_uint_t *refused)
{
    size_t      len;
    u_char     *q;
    ngx_uint_t  exact;

    q = ngx_strlchr(p, last, ';');
    if (q == NULL) {
        q = last;
    }

    for (len = q - p; len; len--) {
        if (p[len - 1] != ' ' && p[len - 1] != '\t') {
            break;
        }
    }

    exact = 0;

    if (len == 3 && ngx_strncmp(p, "*/*", 3) == 0) {
        exact = 1;

    } else if (len == 13 && ngx_strncasecmp(p, (u_char *) "application/*", 13)
                            == 0)
    {
        exact = 2;

    } else if (len == type->len && ngx_strncasecmp(p, type->data, len) == 0) {
        exact = 3;
    }

    if (exact > *best) {
        *best = exact;
        *refused = ngx_http_tee_keys_weightless(q, last);
    }
}


/* 1 if among these parameters is q=0, q=0.0 and so on. */

static ngx_uint_t
ngx_http_tee_keys_weightless(u_char *p, u_char *last)
{
    while (p < last) {

        while (p < last && (*p == ';' || *p == ' ' || *p == '\t')) {
            p++;
        }

        if (last - p >= 3 && (p[0] | 0x20) == 'q' && p[1] == '='
            && p[2] == '0')
        {
            for (p += 3; p < last && (*p == '.' || *p == '0'); p++) {
                /* void */
            }

            return p == last || *p == ';' || *p == ' ' || *p == '\t';
        }

        while (p < last && *p != ';') {
            p++;
        }
    }

    return 0;
}


/*
 * What the list is now, it is until its next change: whoever fetches it at
 * any time between has it exactly until then.
 */

static ngx_int_t
ngx_http_tee_keys_fields(ngx_http_request_t *r,
    ngx_http_tee_keys_loc_conf_t *klcf, ngx_str_t *body)
{
    u_char                digest[32];
    time_t                max_age, now;
    ngx_table_elt_t      *h;
    ngx_http_tee_keys_t  *keys;

    keys = klcf->keys;
    max_age = klcf->max_age;

    if (keys->seed.len) {
        max_age = keys->until - keys->since;

        h = ngx_http_tee_keys_field(r, "Age", NGX_TIME_T_LEN);
        if (h == NULL) {
            return NGX_ERROR;
        }

        now = ngx_time();
        h->value.len = ngx_sprintf(h->value.data, "%T",
                                   ngx_max(now - keys->since, 0))
                       - h->value.data;
    }

    h = ngx_http_tee_keys_field(r, "Cache-Control",
                                sizeof("public, max-age=") + NGX_TIME_T_LEN);
    if (h == NULL) {
        return NGX_ERROR;
    }

    h->value.len = ngx_sprintf(h->value.data, "public, max-age=%T", max_age)
                   - h->value.data;

    if (tee_sha256(ngx_http_tee_str(body), digest) != TEE_OK) {
        return NGX_ERROR;
    }

    h = ngx_http_tee_keys_field(r, "ETag", 34);
    if (h == NULL) {
        return NGX_ERROR;
    }

    h->value.len = 34;
    h->value.data[0] = '"';
    *ngx_hex_dump(h->value.data + 1, digest, 16) = '"';

    r->headers_out.etag = h;

    r->headers_out.last_modified_time = keys->seed.len ? keys->since
                                                       : klcf->modified;

    return NGX_OK;
}


static ngx_table_elt_t *
ngx_http_tee_keys_field(ngx_http_request_t *r, const char *name, size_t room)
{
    ngx_table_elt_t  *h;

    h = ngx_list_push(&r->headers_out.headers);
    if (h == NULL) {
        return NULL;
    }

    ngx_memzero(h, sizeof(ngx_table_elt_t));

    if (room) {
        h->value.data = ngx_pnalloc(r->pool, room);
        if (h->value.data == NULL) {
            return NULL;
        }
    }

    h->hash = 1;
    h->key.data = (u_char *) name;
    h->key.len = ngx_strlen(name);

    return h;
}


ngx_array_t *
ngx_http_tee_keys_array(ngx_conf_t *cf)
{
    ngx_http_tee_keys_main_conf_t  *kmcf;

    kmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_tee_keys_module);

    return &kmcf->blocks;
}


ngx_http_tee_keys_t *
ngx_http_tee_gateway_keys_find(ngx_conf_t *cf, ngx_str_t *name)
{
    ngx_uint_t             i;
    ngx_array_t           *blocks;
    ngx_http_tee_keys_t  **keys;

    blocks = ngx_http_tee_keys_array(cf);
    keys = blocks->elts;

    for (i = 0; i < blocks->nelts; i++) {
        if (keys[i]->name.len == name->len
            && ngx_strncmp(keys[i]->name.data, name->data, name->len) == 0)
        {
            return keys[i];
        }
    }

    return NULL;
}


char *
ngx_http_tee_gateway_keys_use(ngx_http_tee_keys_t *keys, ngx_uint_t profile)
{
    ngx_uint_t           i;
    ngx_http_tee_key_t  *key;

    if (keys->profile != NGX_CONF_UNSET_UINT) {
        return keys->profile == profile
               ? NGX_CONF_OK
               : "uses keys of another profile: each needs its own "
                 "\"tee_gateway_keys\" (RFC 9458, 6.4)";
    }

    keys->profile = profile;

    if (profile == NGX_HTTP_TEE_RFC9458) {
        return NGX_CONF_OK;
    }

    /* what is registered on a chain does not follow a schedule */

    if (keys->seed.len) {
        return "needs keys from files: those of an OpenGradient enclave are "
               "registered, and do not rotate";
    }

    for (i = 0; i < keys->n; i++) {
        key = &keys->keys[keys->order[i]];

        if (tee_hpke_key_kem(key->key) != TEE_KEM_X25519) {
            return "needs X25519 keys for \"profile=opengradient\"";
        }
    }

    if (keys->suites_len != 4 || keys->suites[3] != TEE_AEAD_CHACHA20) {
        return "needs \"suite hkdf-sha256 chacha20-poly1305;\" and no other "
               "for \"profile=opengradient\"";
    }

    return NGX_CONF_OK;
}


static void *
ngx_http_tee_keys_create_main_conf(ngx_conf_t *cf)
{
    ngx_http_tee_keys_main_conf_t  *kmcf;

    kmcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_tee_keys_main_conf_t));
    if (kmcf == NULL) {
        return NULL;
    }

    if (ngx_array_init(&kmcf->blocks, cf->pool, 2,
                       sizeof(ngx_http_tee_keys_t *))
        != NGX_OK)
    {
        return NULL;
    }

    return kmcf;
}


static void *
ngx_http_tee_keys_create_loc_conf(ngx_conf_t *cf)
{
    return ngx_pcalloc(cf->pool, sizeof(ngx_http_tee_keys_loc_conf_t));
}


/* The handler of a location is not inherited, and so is nothing here. */

static char *
ngx_http_tee_keys_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_http_tee_keys_loc_conf_t  *conf = child;

    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (conf->keys && clcf->handler != ngx_http_tee_keys_handler) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "tee_keys in location \"%V\": conflicts with another "
                      "handler of this location", &clcf->name);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_tee_keys(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_tee_keys_loc_conf_t  *klcf = conf;

    char                      *rv;
    ngx_str_t                 *value, s;
    ngx_uint_t                 i, aged;
    ngx_http_core_loc_conf_t  *clcf;

    if (klcf->keys) {
        return "is duplicate";
    }

    value = cf->args->elts;

    klcf->keys = ngx_http_tee_gateway_keys_find(cf, &value[1]);

    if (klcf->keys == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "no \"tee_gateway_keys %V\" block before this line",
                           &value[1]);
        return NGX_CONF_ERROR;
    }

    klcf->max_age = 24 * 60 * 60;
    klcf->modified = klcf->keys->modified;

    aged = 0;

    for (i = 2; i < cf->args->nelts; i++) {

        if (ngx_strncmp(value[i].data, "max_age=", 8) == 0 && !aged) {
            s.data = value[i].data + 8;
            s.len = value[i].len - 8;

            klcf->max_age = ngx_parse_time(&s, 1);

            if (klcf->max_age == (time_t) NGX_ERROR || klcf->max_age == 0) {
                goto invalid;
            }

            aged = 1;
            continue;
        }

        if (ngx_strncmp(value[i].data, "sign=", 5) == 0
            && value[i].len > 5
            && klcf->config.len == 0)
        {
            s.data = value[i].data + 5;
            s.len = value[i].len - 5;

            rv = ngx_http_tee_keys_sign(cf, klcf, &s);

            if (rv != NGX_CONF_OK) {
                return rv;
            }

            continue;
        }

        goto invalid;
    }

    if (aged && klcf->keys->seed.len) {
        return "takes no \"max_age\" with a \"seed\": the list is fresh until "
               "its next change";
    }

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (clcf->handler) {
        return "conflicts with another handler of this location";
    }

    clcf->handler = ngx_http_tee_keys_handler;

    return ngx_http_tee_counters_add(cf) == NGX_OK ? NGX_CONF_OK
                                                   : NGX_CONF_ERROR;

invalid:

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "invalid parameter \"%V\"",
                       &value[i]);

    return NGX_CONF_ERROR;
}


/* opengradient.md, 2.2 and 2.3: signed once, here in the master process. */

static char *
ngx_http_tee_keys_sign(ngx_conf_t *cf, ngx_http_tee_keys_loc_conf_t *klcf,
    ngx_str_t *path)
{
    u_char                buf[8192];
    char                 *rv;
    time_t                modified;
    tee_rc_t              rc;
    ngx_str_t             pem;
    tee_write_t           w;
    tee_ohttp_key_t       public;
    ngx_http_tee_key_t   *key;
    ngx_http_tee_keys_t  *keys;

    keys = klcf->keys;

    rv = ngx_http_tee_gateway_keys_use(keys, NGX_HTTP_TEE_OPENGRADIENT);

    if (rv != NGX_CONF_OK) {
        return rv;
    }

    if (keys->n != 1) {
        return "needs keys with exactly one to sign: its signature is about "
               "one";
    }

    if (ngx_conf_full_name(cf->cycle, path, 1) != NGX_OK
        || ngx_http_tee_secret_read(cf, "signing key", path,
                                    NGX_HTTP_TEE_SECRET_MAX, &pem, &modified)
           != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    key = &keys->keys[keys->order[0]];

    public.id = key->private.id;
    public.kem = tee_hpke_key_kem(key->key);
    public.pk = tee_hpke_key_public(key->key);
    public.suites = key->private.suites;

    tee_write_fixed(&w, buf, sizeof(buf));

    rc = tee_registry_ohttp_config_write(&w, &public, ngx_http_tee_str(&pem));

    ngx_http_tee_secret_free(pem.data);

    if (rc != TEE_OK) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "signing key \"%V\" %s", path,
                           rc == TEE_MALFORMED || rc == TEE_UNSUPPORTED
                           ? "must have one RSA key of 2048 to 8192 bits in "
                             "PEM, without a password, and nothing else"
                           : "cannot be used");
        return NGX_CONF_ERROR;
    }

    klcf->config.len = w.len;
    klcf->config.data = ngx_pnalloc(cf->pool, w.len);
    if (klcf->config.data == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_memcpy(klcf->config.data, buf, w.len);

    /* every start signs anew, with another salt */

    klcf->modified = ngx_time();

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_tee_keys_init_process(ngx_cycle_t *cycle)
{
    ngx_uint_t                      i;
    ngx_http_tee_keys_t           **keys;
    ngx_http_tee_keys_main_conf_t  *kmcf;

    kmcf = ngx_http_cycle_get_module_main_conf(cycle,
                                               ngx_http_tee_keys_module);
    if (kmcf == NULL) {
        return NGX_OK;
    }

    keys = kmcf->blocks.elts;

    for (i = 0; i < kmcf->blocks.nelts; i++) {

        if (ngx_process == NGX_PROCESS_HELPER) {
            ngx_http_tee_keys_wipe(keys[i]);

        } else {
            ngx_http_tee_keys_start(keys[i]);
        }
    }

    return NGX_OK;
}


static void
ngx_http_tee_keys_exit_process(ngx_cycle_t *cycle)
{
    ngx_uint_t                      i;
    ngx_http_tee_keys_t           **keys;
    ngx_http_tee_keys_main_conf_t  *kmcf;

    kmcf = ngx_http_cycle_get_module_main_conf(cycle,
                                               ngx_http_tee_keys_module);
    if (kmcf) {
        keys = kmcf->blocks.elts;

        for (i = 0; i < kmcf->blocks.nelts; i++) {
            ngx_http_tee_keys_wipe(keys[i]);
        }
    }

    ngx_http_tee_crypto_done();
}
