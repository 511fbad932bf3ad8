
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <ngx_http_tee.h>
#include <ngx_http_tee_relay.h>


/*
 * tee_relay: the request phase.  What is not a sealed request is refused, and
 * what goes on is built from an allow-list, so that nothing about the client
 * reaches the gateway.  What the configuration would add is checked at start.
 */


static ngx_int_t ngx_http_tee_relay_handler(ngx_http_request_t *r);
static ngx_int_t ngx_http_tee_relay_not_allowed(ngx_http_request_t *r);
static ngx_int_t ngx_http_tee_relay_strip(ngx_http_request_t *r,
    ngx_http_tee_relay_loc_conf_t *rlcf);
static ngx_int_t ngx_http_tee_relay_pass(ngx_list_t *list,
    ngx_table_elt_t *h, ngx_str_t *name, ngx_str_t *value);
static void ngx_http_tee_relay_fix_uri(ngx_http_request_t *r);

static void *ngx_http_tee_relay_create_loc_conf(ngx_conf_t *cf);
static char *ngx_http_tee_relay_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child);
static char *ngx_http_tee_relay_check(ngx_conf_t *cf,
    ngx_http_tee_relay_loc_conf_t *conf);
static char *ngx_http_tee_relay_check_headers(ngx_conf_t *cf,
    ngx_http_tee_relay_loc_conf_t *conf, ngx_array_t *headers);
static char *ngx_http_tee_relay(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_tee_relay_pass_header(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
static ngx_int_t ngx_http_tee_relay_init(ngx_conf_t *cf);


static ngx_command_t  ngx_http_tee_relay_commands[] = {

    { ngx_string("tee_relay"),
      NGX_HTTP_LOC_CONF|NGX_CONF_FLAG,
      ngx_http_tee_relay,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_tee_relay_loc_conf_t, enable),
      NULL },

    { ngx_string("tee_relay_max_body"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_off_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_tee_relay_loc_conf_t, max_body),
      NULL },

    { ngx_string("tee_relay_pass_header"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_tee_relay_pass_header,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_tee_relay_module_ctx = {
    NULL,                                  /* preconfiguration */
    ngx_http_tee_relay_init,               /* postconfiguration */

    NULL,                                  /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_http_tee_relay_create_loc_conf,    /* create location configuration */
    ngx_http_tee_relay_merge_loc_conf      /* merge location configuration */
};


ngx_module_t  ngx_http_tee_relay_module = {
    NGX_MODULE_V1,
    &ngx_http_tee_relay_module_ctx,        /* module context */
    ngx_http_tee_relay_commands,           /* module directives */
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


/*
 * What a gateway needs to know, in the few forms that all clients share: free
 * text in these fields would be a way to mark a client.
 */

typedef struct {
    ngx_str_t      field;
    ngx_str_t      value;
} ngx_http_tee_relay_form_t;


static ngx_http_tee_relay_form_t  ngx_http_tee_relay_forms[] = {
    { ngx_string("Content-Type"), ngx_string("message/ohttp-req") },
    { ngx_string("Content-Type"), ngx_string("message/ohttp-chunked-req") },
    { ngx_string("Accept"), ngx_string("message/ohttp-res") },
    { ngx_string("Accept"), ngx_string("message/ohttp-chunked-res") },
    { ngx_string("Incremental"), ngx_string("?1") },
    { ngx_null_string, ngx_null_string }
};


/* What proxy_set_header may set toward a gateway. */

static ngx_str_t  ngx_http_tee_relay_settable[] = {
    ngx_string("host"),
    ngx_string("connection"),
    ngx_string("content-type"),
    ngx_string("accept"),
    ngx_string("authorization"),
    ngx_string("x-settlement-type"),
    ngx_string("incremental"),
    ngx_null_string
};


static ngx_int_t
ngx_http_tee_relay_handler(ngx_http_request_t *r)
{
    ngx_uint_t                      type;
    ngx_http_tee_relay_ctx_t       *ctx;
    ngx_http_tee_relay_loc_conf_t  *rlcf;

    rlcf = ngx_http_get_module_loc_conf(r, ngx_http_tee_relay_module);

    if (!rlcf->enable || r != r->main) {
        return NGX_DECLINED;
    }

    ctx = ngx_http_get_module_ctx(r, ngx_http_tee_relay_module);

    if (ctx) {
        return NGX_DECLINED;
    }

    ngx_http_tee_count(NGX_HTTP_TEE_RELAY_REQUESTS);

    if (r->method != NGX_HTTP_POST) {
        return ngx_http_tee_relay_not_allowed(r);
    }

    if (ngx_http_tee_early_data(r)) {
        ngx_http_tee_count(NGX_HTTP_TEE_RELAY_EARLY);
        return ngx_http_tee_problem(r, NGX_HTTP_TEE_TOO_EARLY, "early_data",
                                    "a sealed request in TLS early data may "
                                    "be a replay; send it again");
    }

    type = ngx_http_tee_request_type(r);

    if (type == NGX_HTTP_TEE_NO_TYPE) {
        ngx_http_tee_count(NGX_HTTP_TEE_RELAY_TYPE);
        return ngx_http_tee_problem(r, NGX_HTTP_UNSUPPORTED_MEDIA_TYPE,
                                    "media_type",
                                    "the content must be message/ohttp-req "
                                    "or message/ohttp-chunked-req");
    }

    if (r->headers_in.content_length_n <= 0 && !r->headers_in.chunked) {
        ngx_http_tee_count(NGX_HTTP_TEE_RELAY_EMPTY);
        return ngx_http_tee_problem(r, NGX_HTTP_BAD_REQUEST, "no_content",
                                    "the request has no content");
    }

    ctx = ngx_pcalloc(r->pool, sizeof(ngx_http_tee_relay_ctx_t));
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx->type = type;
    ngx_http_set_ctx(r, ctx, ngx_http_tee_relay_module);

    if (ngx_http_tee_relay_strip(r, rlcf) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return NGX_DECLINED;
}


static ngx_int_t
ngx_http_tee_relay_not_allowed(ngx_http_request_t *r)
{
    ngx_http_tee_count(NGX_HTTP_TEE_RELAY_METHOD);

    if (ngx_http_tee_add_field(&r->headers_out.headers, "Allow", "POST")
        == NULL)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_tee_problem(r, NGX_HTTP_NOT_ALLOWED, "method",
                                "a sealed request is sent by POST");
}


ngx_uint_t
ngx_http_tee_relay_listed(ngx_str_t *list, ngx_str_t *name)
{
    for ( /* void */ ; list->len; list++) {
        if (list->len == name->len
            && ngx_strncasecmp(list->data, name->data, name->len) == 0)
        {
            return 1;
        }
    }

    return 0;
}


ngx_uint_t
ngx_http_tee_relay_passes(ngx_http_tee_relay_loc_conf_t *rlcf,
    ngx_str_t *name)
{
    ngx_str_t   *names;
    ngx_uint_t   i;

    if (rlcf->pass == NULL) {
        return 0;
    }

    names = rlcf->pass->elts;

    for (i = 0; i < rlcf->pass->nelts; i++) {
        if (names[i].len == name->len
            && ngx_strncasecmp(names[i].data, name->data, name->len) == 0)
        {
            return 1;
        }
    }

    return 0;
}


/*
 * The proxy copies what is in the list of fields, so it gets a list made anew,
 * in our order and spelling; once it has built its request, the request is
 * itself again.  What frames the content the proxy makes itself.
 */

static ngx_int_t
ngx_http_tee_relay_strip(ngx_http_request_t *r,
    ngx_http_tee_relay_loc_conf_t *rlcf)
{
    ngx_str_t                  *names;
    ngx_list_t                  passed;
    ngx_uint_t                  i, n;
    ngx_table_elt_t            *h;
    ngx_http_tee_relay_form_t  *form;

    if (ngx_list_init(&passed, r->pool, 4, sizeof(ngx_table_elt_t))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    for (form = ngx_http_tee_relay_forms; form->field.len; form++) {
        h = ngx_http_tee_field(&r->headers_in.headers, &form->field, 0);

        if (h
            && ngx_http_tee_is_type(&h->value,
                                          (char *) form->value.data)
            && ngx_http_tee_relay_pass(&passed, h, &form->field,
                                       &form->value)
               != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    names = rlcf->pass ? rlcf->pass->elts : NULL;

    for (i = 0; names && i < rlcf->pass->nelts; i++) {

        for (n = 0; /* void */ ; n++) {
            h = ngx_http_tee_field(&r->headers_in.headers, &names[i],
                                         n);
            if (h == NULL) {
                break;
            }

            if (ngx_http_tee_relay_pass(&passed, h, &names[i], &h->value)
                != NGX_OK)
            {
                return NGX_ERROR;
            }
        }
    }

    ngx_http_tee_relay_fix_uri(r);

    /* no tunnel, should client and gateway agree on one */

    r->headers_in.upgrade = NULL;

    return ngx_http_tee_headers_hide(r, &passed);
}


static ngx_int_t
ngx_http_tee_relay_pass(ngx_list_t *list, ngx_table_elt_t *h, ngx_str_t *name,
    ngx_str_t *value)
{
    ngx_table_elt_t  *copy;

    copy = ngx_list_push(list);
    if (copy == NULL) {
        return NGX_ERROR;
    }

    /* its hash and lower-case name are those of any spelling */

    *copy = *h;
    copy->key = *name;
    copy->value = *value;

    return NGX_OK;
}


/* One relay resource stands for one gateway resource, without a query. */

static void
ngx_http_tee_relay_fix_uri(ngx_http_request_t *r)
{
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    r->args.len = 0;
    r->valid_unparsed_uri = 0;

    if (r->uri.len > clcf->name.len
        && ngx_strncmp(r->uri.data, clcf->name.data, clcf->name.len) == 0
#if (NGX_PCRE)
        && clcf->regex == NULL
#endif
       )
    {
        r->uri.len = clcf->name.len;
    }
}


static void *
ngx_http_tee_relay_create_loc_conf(ngx_conf_t *cf)
{
    ngx_http_tee_relay_loc_conf_t  *conf;

    conf = ngx_pcalloc(cf->pool, sizeof(ngx_http_tee_relay_loc_conf_t));
    if (conf == NULL) {
        return NULL;
    }

    conf->enable = NGX_CONF_UNSET;
    conf->max_body = NGX_CONF_UNSET;
    conf->pass = NGX_CONF_UNSET_PTR;

    return conf;
}


static char *
ngx_http_tee_relay_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_http_tee_relay_loc_conf_t  *prev = parent;
    ngx_http_tee_relay_loc_conf_t  *conf = child;

    ngx_conf_merge_value(conf->enable, prev->enable, 0);
    ngx_conf_merge_off_value(conf->max_body, prev->max_body,
                             20 * 1024 * 1024);
    ngx_conf_merge_ptr_value(conf->pass, prev->pass, NULL);

    return conf->enable ? ngx_http_tee_relay_check(cf, conf) : NGX_CONF_OK;
}


/* The proxy and gzip modules have merged before us: what is seen is final. */

static char *
ngx_http_tee_relay_check(ngx_conf_t *cf, ngx_http_tee_relay_loc_conf_t *conf)
{
    ngx_str_t                 *body;
    ngx_flag_t                *gzip;
    ngx_uint_t                *version;
    const char                *why;
    ngx_array_t              **headers;
    ngx_module_t              *proxy;
    ngx_http_core_loc_conf_t  *clcf;
    ngx_http_upstream_conf_t  *ucf;
    ngx_http_complex_value_t **method;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    proxy = ngx_http_tee_find_module(cf, "ngx_http_proxy_module");

    if (proxy == NULL) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "tee_relay in location \"%V\": this nginx has no "
                      "\"proxy_pass\"", &clcf->name);
        return NGX_CONF_ERROR;
    }

    /* its configuration begins with that of its upstream */

    ucf = ((ngx_http_conf_ctx_t *) cf->ctx)->loc_conf[proxy->ctx_index];

    version = ngx_http_tee_conf_value(cf, "ngx_http_proxy_module",
                                      "proxy_http_version");
    headers = ngx_http_tee_conf_value(cf, "ngx_http_proxy_module",
                                      "proxy_set_header");
    body = ngx_http_tee_conf_value(cf, "ngx_http_proxy_module",
                                   "proxy_set_body");
    method = ngx_http_tee_conf_value(cf, "ngx_http_proxy_module",
                                     "proxy_method");
    gzip = ngx_http_tee_conf_value(cf, "ngx_http_gzip_filter_module", "gzip");

    why = NULL;

    if (version == NULL || headers == NULL || body == NULL || method == NULL)
    {
        why = "this nginx does not let the relay see what "
              "\"proxy_set_header\" and the like add";

    } else if (clcf->handler && ucf->upstream == NULL) {
        why = "\"proxy_pass\" must name its upstream and path without "
              "variables";

    } else if (body->len || *method) {
        why = "\"proxy_set_body\" and \"proxy_method\" would change what is "
              "sealed and sent";

    } else if (gzip && *gzip) {
        why = "\"gzip\" must be off: sealed content does not shrink, and its "
              "length says more";

    } else if (ucf->next_upstream & NGX_HTTP_UPSTREAM_FT_NON_IDEMPOTENT) {
        why = "\"proxy_next_upstream non_idempotent\" could send a sealed "
              "request twice";

    } else if (!ucf->pass_request_headers || !ucf->pass_request_body) {
        why = "\"proxy_pass_request_headers\" and \"proxy_pass_request_body\" "
              "must be on";

    } else if (ucf->store > 0
#if (NGX_HTTP_CACHE)
               || ucf->cache > 0
#endif
              )
    {
        why = "sealed responses must not be stored: no \"proxy_cache\" or "
              "\"proxy_store\"";
    }

    if (why == NULL) {
        why = ngx_http_tee_shows(ucf);
    }

    if (why) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "tee_relay in location \"%V\": %s", &clcf->name, why);
        return NGX_CONF_ERROR;
    }

    /* both directions stream, and a reply may be chunked */

    ucf->buffering = 0;
    ucf->request_buffering = 0;
    ucf->ignore_headers |= NGX_HTTP_TEE_IGNORED_HEADERS;

    if (*version < NGX_HTTP_VERSION_11) {
        *version = NGX_HTTP_VERSION_11;
    }

    /* nginx refuses what is larger, before and while it reads */

    clcf->client_max_body_size = conf->max_body;

    return ngx_http_tee_relay_check_headers(cf, conf, *headers);
}


static char *
ngx_http_tee_relay_check_headers(ngx_conf_t *cf,
    ngx_http_tee_relay_loc_conf_t *conf, ngx_array_t *headers)
{
    ngx_uint_t                 i;
    const char                *why;
    ngx_keyval_t              *kv;
    ngx_http_core_loc_conf_t  *clcf;

    if (headers == NULL) {
        return NGX_CONF_OK;
    }

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    kv = headers->elts;

    for (i = 0; i < headers->nelts; i++) {

        if (kv[i].value.len == 0) {
            continue;
        }

        why = NULL;

        if (!ngx_http_tee_relay_listed(ngx_http_tee_relay_settable,
                                       &kv[i].key)
            && !ngx_http_tee_relay_passes(conf, &kv[i].key))
        {
            why = "a field that is not on the allow-list";

        } else if (!ngx_http_tee_relay_passes(conf, &kv[i].key)
                   && ngx_http_tee_tells(cf, &kv[i].value))
        {
            why = "what the client has sent, or who it is";
        }

        if (why) {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "tee_relay in location \"%V\": \"proxy_set_header "
                          "%V %V\" would tell the gateway %s",
                          &clcf->name, &kv[i].key, &kv[i].value, why);
            return NGX_CONF_ERROR;
        }
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_tee_relay(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_tee_relay_loc_conf_t  *rlcf = conf;

    char  *rv;

    rv = ngx_conf_set_flag_slot(cf, cmd, conf);

    if (rv != NGX_CONF_OK || !rlcf->enable) {
        return rv;
    }

    ngx_http_tee_problem_location(cf);

    return ngx_http_tee_counters_add(cf) == NGX_OK ? NGX_CONF_OK
                                                   : NGX_CONF_ERROR;
}


static char *
ngx_http_tee_relay_pass_header(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_tee_relay_loc_conf_t  *rlcf = conf;

    ngx_str_t   *value, *name;
    ngx_uint_t   i, j;

    static ngx_str_t  refused[] = {
        ngx_string("cookie"),
        ngx_string("set-cookie"),
        ngx_string("user-agent"),
        ngx_string("forwarded"),
        ngx_string("x-forwarded-for"),
        ngx_string("x-real-ip"),
        ngx_string("via"),
        ngx_string("connection"),
        ngx_string("host"),
        ngx_string("authorization"),
        ngx_null_string
    };

    if (rlcf->pass == NGX_CONF_UNSET_PTR) {
        rlcf->pass = ngx_array_create(cf->pool, 4, sizeof(ngx_str_t));
        if (rlcf->pass == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {

        if (value[i].len == 0
            || ngx_http_tee_relay_listed(refused, &value[i]))
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "field \"%V\" would tell the gateway who asks",
                               &value[i]);
            return NGX_CONF_ERROR;
        }

        for (j = 0; j < value[i].len; j++) {
            if (value[i].data[j] <= ' ' || value[i].data[j] == ':') {
                return "needs names of fields";
            }
        }

        name = ngx_array_push(rlcf->pass);
        if (name == NULL) {
            return NGX_CONF_ERROR;
        }

        *name = value[i];
    }

    return NGX_CONF_OK;
}


/* After access control and limits, before the content handler. */

static ngx_int_t
ngx_http_tee_relay_init(ngx_conf_t *cf)
{
    return ngx_http_tee_add_handler(cf, NGX_HTTP_PRECONTENT_PHASE,
                                    ngx_http_tee_relay_handler);
}
