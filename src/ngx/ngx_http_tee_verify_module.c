
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <ngx_http_tee.h>
#include <ngx_http_tee_threads.h>
#include <ngx_http_tee_upstream.h>
#include <ngx_http_tee_verify.h>
#include <tee_keccak.h>


/*
 * tee_verify: the configuration, and the request phase.  What no signature
 * could be about is refused before it is sent.
 */


/* A public key in PEM, and as much again for white space around it. */

#define NGX_HTTP_TEE_VERIFY_MAX_FILE  4096


static ngx_int_t ngx_http_tee_verify_handler(ngx_http_request_t *r);
static ngx_int_t ngx_http_tee_verify_start(ngx_http_request_t *r,
    ngx_http_tee_verify_loc_conf_t *vlcf);
static ngx_int_t ngx_http_tee_verify_asked(ngx_http_request_t *r,
    ngx_http_tee_verify_ctx_t *ctx);
static ngx_int_t ngx_http_tee_verify_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);

static ngx_int_t ngx_http_tee_verify_add_variables(ngx_conf_t *cf);
static void *ngx_http_tee_verify_create_loc_conf(ngx_conf_t *cf);
static char *ngx_http_tee_verify_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child);
static char *ngx_http_tee_verify_check(ngx_conf_t *cf,
    ngx_http_tee_verify_loc_conf_t *conf);
static char *ngx_http_tee_verify_set(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_tee_verify_key(ngx_conf_t *cf,
    ngx_http_tee_verify_loc_conf_t *vlcf, ngx_str_t *path);
static const char *ngx_http_tee_verify_key_read(ngx_str_t *path,
    u_char *text, size_t *len);
static const char *ngx_http_tee_verify_key_decode(ngx_str_t *text,
    ngx_str_t *der);
static char *ngx_http_tee_verify_max_age(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_tee_verify_headers(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static ngx_int_t ngx_http_tee_verify_init(ngx_conf_t *cf);


static ngx_conf_enum_t  ngx_http_tee_verify_modes[] = {
    { ngx_string("hold"), NGX_HTTP_TEE_VERIFY_HELD },
    { ngx_string("stream"), NGX_HTTP_TEE_VERIFY_LIVE },
    { ngx_null_string, 0 }
};


static ngx_conf_enum_t  ngx_http_tee_verify_errors[] = {
    { ngx_string("hide"), NGX_HTTP_TEE_VERIFY_HIDE },
    { ngx_string("pass"), NGX_HTTP_TEE_VERIFY_SHOW },
    { ngx_null_string, 0 }
};


static ngx_command_t  ngx_http_tee_verify_commands[] = {

    { ngx_string("tee_verify"),
      NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_tee_verify_set,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("tee_verify_mode"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_enum_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_tee_verify_loc_conf_t, mode),
      &ngx_http_tee_verify_modes },

    { ngx_string("tee_verify_buffer"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_size_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_tee_verify_loc_conf_t, buffer),
      NULL },

    { ngx_string("tee_verify_max_body"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_off_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_tee_verify_loc_conf_t, max_body),
      NULL },

    { ngx_string("tee_verify_max_age"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_tee_verify_max_age,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("tee_verify_max_skew"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_sec_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_tee_verify_loc_conf_t, max_skew),
      NULL },

    { ngx_string("tee_verify_endpoint"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_enum_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_tee_verify_loc_conf_t, asked.endpoint),
      &ngx_http_tee_endpoints },

    { ngx_string("tee_verify_fields"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_tee_asked_fields,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_tee_verify_loc_conf_t, asked),
      NULL },

    { ngx_string("tee_verify_errors"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_enum_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_tee_verify_loc_conf_t, errors),
      &ngx_http_tee_verify_errors },

    { ngx_string("tee_verify_headers"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE12,
      ngx_http_tee_verify_headers,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_tee_verify_module_ctx = {
    ngx_http_tee_verify_add_variables,     /* preconfiguration */
    ngx_http_tee_verify_init,              /* postconfiguration */

    NULL,                                  /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_http_tee_verify_create_loc_conf,   /* create location configuration */
    ngx_http_tee_verify_merge_loc_conf     /* merge location configuration */
};


ngx_module_t  ngx_http_tee_verify_module = {
    NGX_MODULE_V1,
    &ngx_http_tee_verify_module_ctx,       /* module context */
    ngx_http_tee_verify_commands,          /* module directives */
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


static ngx_str_t  ngx_http_tee_verified_variable = ngx_string("tee_verified");


static ngx_int_t
ngx_http_tee_verify_handler(ngx_http_request_t *r)
{
    u_char                          *args;
    ngx_int_t                        rc;
    ngx_str_t                        path;
    tee_str_t                       *inner;
    ngx_http_tee_verify_ctx_t       *ctx;
    ngx_http_tee_verify_loc_conf_t  *vlcf;

    vlcf = ngx_http_get_module_loc_conf(r, ngx_http_tee_verify_module);

    if (vlcf->from == NGX_HTTP_TEE_VERIFY_OFF) {
        return NGX_DECLINED;
    }

    ctx = ngx_http_get_module_ctx(r, ngx_http_tee_verify_module);

    if (ctx == NULL) {
        rc = ngx_http_tee_verify_start(r, vlcf);

        if (rc != NGX_OK) {
            return rc;
        }

        ctx = ngx_http_get_module_ctx(r, ngx_http_tee_verify_module);
    }

    inner = vlcf->inner ? vlcf->inner(r) : NULL;

    if (inner) {
        path = r->unparsed_uri;
        args = ngx_strlchr(path.data, path.data + path.len, '?');
        path.len = args ? (size_t) (args - path.data) : path.len;

        rc = ngx_http_tee_asked_within(r, &vlcf->asked, &ctx->asked, &path,
                                       inner);

    } else {
        rc = ngx_http_tee_asked(r, &vlcf->asked, &ctx->asked);
    }

    return rc == NGX_DECLINED ? ngx_http_tee_verify_asked(r, ctx) : rc;
}


static ngx_int_t
ngx_http_tee_verify_start(ngx_http_request_t *r,
    ngx_http_tee_verify_loc_conf_t *vlcf)
{
    ngx_http_tee_verify_ctx_t  *ctx;

    if (r != r->main) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "tee verify: the answer to a subrequest cannot be "
                      "verified: ask another location");
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_http_tee_count(NGX_HTTP_TEE_VERIFY_REQUESTS);

    if (ngx_http_tee_jobs_busy(r)) {
        ngx_http_tee_count(NGX_HTTP_TEE_VERIFY_BUSY);
        return ngx_http_tee_problem(r, NGX_HTTP_SERVICE_UNAVAILABLE, "busy",
                                    "more answers are waiting to be verified "
                                    "than may; try later");
    }

    ctx = ngx_pcalloc(r->pool, sizeof(ngx_http_tee_verify_ctx_t));
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx->conf = vlcf;
    ngx_http_set_ctx(r, ctx, ngx_http_tee_verify_module);

    /*
     * Behind "error_page" without "=", an answer would get the status of that
     * error, and look like one of nginx's own, which need no signature.
     */

    r->err_status = 0;

    /* a tunnel would go around all filters */

    r->headers_in.upgrade = NULL;

    return NGX_OK;
}


static ngx_int_t
ngx_http_tee_verify_asked(ngx_http_request_t *r,
    ngx_http_tee_verify_ctx_t *ctx)
{
    ngx_uint_t   status;
    const char  *detail;

    status = NGX_HTTP_BAD_REQUEST;

    switch (ctx->asked.rc) {

    case TEE_OK:
        return ngx_http_tee_asked_plain(r) == NGX_OK
               ? NGX_DECLINED : NGX_HTTP_INTERNAL_SERVER_ERROR;

    case TEE_DONE:

        if (r->method == NGX_HTTP_POST) {
            detail = "no answers are signed at this path";
            break;
        }

        if (ngx_http_tee_add_field(&r->headers_out.headers, "Allow", "POST")
            == NULL)
        {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        status = NGX_HTTP_NOT_ALLOWED;
        detail = "only answers to POST are signed";
        break;

    case TEE_MALFORMED:
        detail = "the request is not one that a TEE would answer";
        break;

    case TEE_UNSUPPORTED:
        detail = "the request has something in it of which it is not known "
                 "how it is signed";
        break;

    case TEE_LIMIT:
        detail = "the request has too many values";
        break;

    default:
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_http_tee_count(NGX_HTTP_TEE_VERIFY_UNVERIFIABLE);

    return ngx_http_tee_problem(r, status, "unverifiable", detail);
}


ngx_int_t
ngx_http_tee_verify_answerer(ngx_http_request_t *r, u_char id[32],
    tee_str_t *spki)
{
    ngx_http_tee_peer_data_t        *pd;
    const tee_snapshot_t            *image;
    ngx_http_tee_verify_loc_conf_t  *vlcf;

    vlcf = ngx_http_get_module_loc_conf(r, ngx_http_tee_verify_module);

    if (vlcf->from == NGX_HTTP_TEE_VERIFY_KEY) {
        ngx_memcpy(id, vlcf->id, 32);
        *spki = vlcf->spki;

        return NGX_OK;
    }

    if (vlcf->answerer) {
        return vlcf->answerer(r, id, spki);
    }

    pd = ngx_http_get_module_ctx(r, ngx_http_tee_upstream_module);

    if (pd == NULL || pd->peers == NULL || !pd->chosen) {
        return NGX_DECLINED;
    }

    /* the request counts among those that keep the snapshot */

    image = pd->peers->snap->image;

    ngx_memcpy(id, image->entries[pd->index].tee_id, 32);
    *spki = tee_snapshot_str(image, image->entries[pd->index].spki);

    return ngx_http_tee_registry_lists(pd->conf->registry, id) ? NGX_OK
                                                              : NGX_DECLINED;
}


void
ngx_http_tee_verify_answered_by(ngx_conf_t *cf,
    ngx_http_tee_verify_answerer_pt answerer,
    ngx_http_tee_verify_inner_pt inner)
{
    ngx_http_tee_verify_loc_conf_t  *vlcf;

    vlcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_tee_verify_module);

    vlcf->told = 1;
    vlcf->answerer = answerer;
    vlcf->inner = inner;
}


ngx_uint_t
ngx_http_tee_verify_whose(ngx_conf_t *cf)
{
    ngx_http_tee_verify_loc_conf_t  *vlcf;

    vlcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_tee_verify_module);

    return vlcf->from;
}


void
ngx_http_tee_verify_nothing(ngx_conf_t *cf)
{
    ngx_http_tee_verify_loc_conf_t  *vlcf;

    vlcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_tee_verify_module);

    vlcf->from = NGX_HTTP_TEE_VERIFY_OFF;
}


static ngx_int_t
ngx_http_tee_verify_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_http_tee_verify_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_tee_verify_module);

    if (ctx == NULL || (!ctx->verified && !ctx->refused)) {
        v->not_found = 1;
        return NGX_OK;
    }

    v->data = (u_char *) (ctx->verified ? "1" : "0");
    v->len = 1;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    return NGX_OK;
}


static ngx_int_t
ngx_http_tee_verify_add_variables(ngx_conf_t *cf)
{
    ngx_http_variable_t  *var;

    var = ngx_http_add_variable(cf, &ngx_http_tee_verified_variable,
                                NGX_HTTP_VAR_NOCACHEABLE);
    if (var == NULL) {
        return NGX_ERROR;
    }

    var->get_handler = ngx_http_tee_verify_variable;

    return NGX_OK;
}


static void *
ngx_http_tee_verify_create_loc_conf(ngx_conf_t *cf)
{
    ngx_http_tee_verify_loc_conf_t  *conf;

    conf = ngx_pcalloc(cf->pool, sizeof(ngx_http_tee_verify_loc_conf_t));
    if (conf == NULL) {
        return NULL;
    }

    conf->from = NGX_CONF_UNSET_UINT;
    conf->mode = NGX_CONF_UNSET_UINT;
    conf->buffer = NGX_CONF_UNSET_SIZE;
    conf->max_body = NGX_CONF_UNSET;
    conf->max_age = NGX_CONF_UNSET;
    conf->max_skew = NGX_CONF_UNSET;
    conf->errors = NGX_CONF_UNSET_UINT;

    ngx_http_tee_asked_unset(&conf->asked);

    return conf;
}


static char *
ngx_http_tee_verify_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_http_tee_verify_loc_conf_t  *prev = parent;
    ngx_http_tee_verify_loc_conf_t  *conf = child;

    if (conf->from == NGX_CONF_UNSET_UINT) {
        ngx_conf_merge_uint_value(conf->from, prev->from,
                                  NGX_HTTP_TEE_VERIFY_OFF);
        conf->spki = prev->spki;
        ngx_memcpy(conf->id, prev->id, 32);
    }

    if (!conf->told) {
        conf->answerer = prev->answerer;
        conf->inner = prev->inner;
    }

    ngx_conf_merge_uint_value(conf->mode, prev->mode,
                              NGX_HTTP_TEE_VERIFY_HELD);
    ngx_conf_merge_size_value(conf->buffer, prev->buffer, 1024 * 1024);
    ngx_conf_merge_off_value(conf->max_body, prev->max_body,
                             64 * 1024 * 1024);
    ngx_conf_merge_sec_value(conf->max_age, prev->max_age, 60 * 60);
    ngx_conf_merge_sec_value(conf->max_skew, prev->max_skew, 5 * 60);
    ngx_conf_merge_uint_value(conf->errors, prev->errors,
                              NGX_HTTP_TEE_VERIFY_HIDE);

    if (conf->verified.data == NULL) {
        conf->verified = prev->verified;
        conf->tee_id = prev->tee_id;
    }

    if (conf->verified.data == NULL) {
        ngx_str_set(&conf->verified, "X-TEE-Verified");
        ngx_str_set(&conf->tee_id, "X-TEE-Id");
    }

    if (ngx_http_tee_asked_merge(cf, &prev->asked, &conf->asked) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    return conf->from == NGX_HTTP_TEE_VERIFY_OFF
           ? NGX_CONF_OK : ngx_http_tee_verify_check(cf, conf);
}


/*
 * The modules of nginx that have an upstream have merged before us.  One that
 * is named by variables is only known when it has answered.
 */

static char *
ngx_http_tee_verify_check(ngx_conf_t *cf, ngx_http_tee_verify_loc_conf_t *conf)
{
    ngx_uint_t                         i;
    ngx_module_t                      *module;
    ngx_http_core_loc_conf_t          *clcf;
    ngx_http_upstream_conf_t          *ucf;
    ngx_http_tee_upstream_srv_conf_t  *uscf;

    static const char  *modules[] = {
        "ngx_http_proxy_module",
        "ngx_http_grpc_module",
        "ngx_http_uwsgi_module",
        "ngx_http_fastcgi_module",
        "ngx_http_scgi_module",
        NULL
    };

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (conf->max_body < (off_t) conf->buffer) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "tee_verify in location \"%V\": "
                      "\"tee_verify_max_body\" must not be less than "
                      "\"tee_verify_buffer\"", &clcf->name);
        return NGX_CONF_ERROR;
    }

    for (i = 0; modules[i]; i++) {
        module = ngx_http_tee_find_module(cf, modules[i]);

        if (module == NULL) {
            continue;
        }

        /* the configuration of each begins with that of its upstream */

        ucf = ((ngx_http_conf_ctx_t *) cf->ctx)->loc_conf[module->ctx_index];

        /* who is not believed cannot send clients to internal locations */

        ucf->ignore_headers |= NGX_HTTP_TEE_IGNORED_HEADERS;

        if (conf->from != NGX_HTTP_TEE_VERIFY_REGISTRY
            || conf->answerer
            || ucf->upstream == NULL)
        {
            continue;
        }

        uscf = NULL;

        if (ucf->upstream->srv_conf) {
            uscf = ngx_http_conf_upstream_srv_conf(ucf->upstream,
                                                ngx_http_tee_upstream_module);
        }

        if (uscf && uscf->registry_name.len) {
            continue;
        }

        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "tee_verify in location \"%V\": \"on\" takes the key of "
                      "the TEE that has answered, but upstream \"%V\" has no "
                      "\"tee_peers\"; \"key=\" names a key",
                      &clcf->name, &ucf->upstream->host);

        return NGX_CONF_ERROR;
    }

    return ngx_http_tee_asked_check(cf, "tee_verify") == NGX_OK
           ? NGX_CONF_OK : NGX_CONF_ERROR;
}


static char *
ngx_http_tee_verify_set(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_tee_verify_loc_conf_t  *vlcf = conf;

    ngx_str_t  *value, path;

    if (vlcf->from != NGX_CONF_UNSET_UINT) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "off") == 0) {
        vlcf->from = NGX_HTTP_TEE_VERIFY_OFF;
        return NGX_CONF_OK;
    }

    if (ngx_strcmp(value[1].data, "on") == 0) {
        vlcf->from = NGX_HTTP_TEE_VERIFY_REGISTRY;

    } else if (value[1].len > 4 && ngx_strncmp(value[1].data, "key=", 4) == 0)
    {
        vlcf->from = NGX_HTTP_TEE_VERIFY_KEY;

        path.data = value[1].data + 4;
        path.len = value[1].len - 4;

        if (ngx_http_tee_verify_key(cf, vlcf, &path) != NGX_CONF_OK) {
            return NGX_CONF_ERROR;
        }

    } else {
        return "takes \"on\", \"off\" or \"key=\" with a file";
    }

    ngx_http_tee_problem_location(cf);

    return ngx_http_tee_counters_add(cf) == NGX_OK ? NGX_CONF_OK
                                                   : NGX_CONF_ERROR;
}


static char *
ngx_http_tee_verify_key(ngx_conf_t *cf, ngx_http_tee_verify_loc_conf_t *vlcf,
    ngx_str_t *path)
{
    u_char       file[NGX_HTTP_TEE_VERIFY_MAX_FILE];
    ngx_err_t    err;
    ngx_str_t    text, der;
    const char  *why;

    if (ngx_conf_full_name(cf->cycle, path, 1) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    der.data = ngx_pnalloc(cf->pool, NGX_HTTP_TEE_VERIFY_MAX_FILE);
    if (der.data == NULL) {
        return NGX_CONF_ERROR;
    }

    text.data = file;

    ngx_set_errno(0);

    why = ngx_http_tee_verify_key_read(path, text.data, &text.len);
    err = ngx_errno;

    if (why == NULL) {
        err = 0;
        why = ngx_http_tee_verify_key_decode(&text, &der);
    }

    if (why == NULL && tee_sig_spki(ngx_http_tee_str(&der)) != TEE_OK) {
        why = "must have one public RSA key of 2048 to 8192 bits";
    }

    if (why) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, err,
                           "\"tee_verify\": key \"%V\" %s", path, why);
        return NGX_CONF_ERROR;
    }

    vlcf->spki = ngx_http_tee_str(&der);

    tee_keccak256(vlcf->spki, vlcf->id);

    return NGX_CONF_OK;
}


static const char *
ngx_http_tee_verify_key_read(ngx_str_t *path, u_char *text, size_t *len)
{
    int          fd;
    ssize_t      n;
    struct stat  st;

    fd = open((char *) path->data, O_RDONLY|O_CLOEXEC|O_NONBLOCK|O_NOCTTY);

    if (fd == -1) {
        return "cannot be opened";
    }

    if (fstat(fd, &st) == -1 || !S_ISREG(st.st_mode)) {
        (void) close(fd);
        return "is not a regular file";
    }

    if (st.st_mode & S_IWOTH) {
        (void) close(fd);
        return "may be changed by anybody: \"chmod o-w\" it";
    }

    n = read(fd, text, NGX_HTTP_TEE_VERIFY_MAX_FILE);

    (void) close(fd);

    if (n == -1) {
        return "cannot be read";
    }

    ngx_set_errno(0);

    if (n == NGX_HTTP_TEE_VERIFY_MAX_FILE) {
        return "is too large";
    }

    *len = n;

    return NULL;
}


/* PEM with one block, or its content. */

static const char *
ngx_http_tee_verify_key_decode(ngx_str_t *text, ngx_str_t *der)
{
    u_char     *p, *last, *to;
    ngx_str_t   base64;

    static const char  begin[] = "-----BEGIN PUBLIC KEY-----";
    static const char  end[] = "-----END PUBLIC KEY-----";

    p = text->data;
    last = p + text->len;

    if (p < last && *p == 0x30) {
        ngx_memcpy(der->data, p, text->len);
        der->len = text->len;

        return NULL;
    }

    while (p < last && *p <= ' ') {
        p++;
    }

    while (p < last && last[-1] <= ' ') {
        last--;
    }

    if ((size_t) (last - p) < sizeof(begin) + sizeof(end) - 2
        || ngx_strncmp(p, begin, sizeof(begin) - 1) != 0
        || ngx_strncmp(last - (sizeof(end) - 1), end, sizeof(end) - 1) != 0)
    {
        return "must be a public key in PEM or DER: \"openssl pkey -pubout\" "
               "makes one of a private key, \"openssl x509 -pubkey -noout\" "
               "of a certificate";
    }

    p += sizeof(begin) - 1;
    last -= sizeof(end) - 1;

    base64.data = p;

    for (to = p; p < last; p++) {
        if (*p > ' ') {
            *to++ = *p;
        }
    }

    base64.len = to - base64.data;

    return ngx_decode_base64(der, &base64) == NGX_OK ? NULL
                                                     : "is not in base64";
}


static char *
ngx_http_tee_verify_max_age(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_tee_verify_loc_conf_t  *vlcf = conf;

    ngx_str_t  *value;

    if (vlcf->max_age != NGX_CONF_UNSET) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "off") == 0) {
        vlcf->max_age = 0;
        return NGX_CONF_OK;
    }

    vlcf->max_age = ngx_parse_time(&value[1], 1);

    if (vlcf->max_age == (time_t) NGX_ERROR || vlcf->max_age == 0) {
        return "takes a time above 0, or \"off\"";
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_tee_verify_headers(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_tee_verify_loc_conf_t  *vlcf = conf;

    ngx_str_t   *value;
    ngx_uint_t   i, j;

    if (vlcf->verified.data) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (cf->args->nelts == 2) {

        if (ngx_strcmp(value[1].data, "off") != 0) {
            return "takes two names of fields, or \"off\"";
        }

        vlcf->verified.data = value[1].data;

        return NGX_CONF_OK;
    }

    for (i = 1; i <= 2; i++) {

        for (j = 0; j < value[i].len; j++) {
            if (value[i].data[j] <= ' ' || value[i].data[j] == ':'
                || value[i].data[j] >= 0x7f)
            {
                return "takes two names of fields, or \"off\"";
            }
        }

        if (value[i].len == 0) {
            return "takes two names of fields, or \"off\"";
        }
    }

    vlcf->verified = value[1];
    vlcf->tee_id = value[2];

    return NGX_CONF_OK;
}


/* After access control and limits, before the content handler. */

static ngx_int_t
ngx_http_tee_verify_init(ngx_conf_t *cf)
{
    return ngx_http_tee_add_handler(cf, NGX_HTTP_PRECONTENT_PHASE,
                                    ngx_http_tee_verify_handler);
}
