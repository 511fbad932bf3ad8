
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <ngx_http_tee.h>
#include <ngx_http_tee_asked.h>
#include <ngx_http_tee_threads.h>
#include <tee_text.h>


/*
 * What tee_sign and tee_verify share: the hash of what was asked, and the
 * variables that tell what a signature covers.
 */


/* Hashing less than this takes a fraction of a millisecond. */

#define NGX_HTTP_TEE_ASKED_INLINE  32768


typedef struct {
    ngx_http_tee_asked_t          *asked;
    const tee_chat_fields_t       *fields;
    ngx_chain_t                   *bufs;
    size_t                         size;
    tee_rc_t                       rc;
    u_char                         hash[32];
} ngx_http_tee_asked_job_t;


typedef struct {
    const char                    *directive;  /* that has been checked */
} ngx_http_tee_asked_loc_conf_t;


typedef struct {
    ngx_str_t                      suffix;
    tee_chat_endpoint_t            endpoint;
} ngx_http_tee_asked_path_t;


static tee_rc_t ngx_http_tee_asked_endpoint(ngx_http_request_t *r,
    ngx_http_tee_asked_conf_t *conf, ngx_http_tee_asked_t *asked,
    ngx_str_t *uri);
static void ngx_http_tee_asked_body_handler(ngx_http_request_t *r);
static ngx_int_t ngx_http_tee_asked_hash(ngx_http_request_t *r,
    ngx_http_tee_asked_conf_t *conf, ngx_http_tee_asked_t *asked,
    ngx_chain_t *bufs);
static void ngx_http_tee_asked_work(void *data);
static tee_rc_t ngx_http_tee_asked_gather(ngx_http_tee_asked_job_t *job,
    u_char *p);
static void ngx_http_tee_asked_done(ngx_http_request_t *r, void *data);
static ngx_int_t ngx_http_tee_said_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_tee_said_add_variables(ngx_conf_t *cf);
static ngx_uint_t ngx_http_tee_asked_listed(ngx_array_t *names,
    ngx_str_t *name);
static void *ngx_http_tee_asked_create_loc_conf(ngx_conf_t *cf);


static ngx_http_module_t  ngx_http_tee_asked_module_ctx = {
    ngx_http_tee_said_add_variables,       /* preconfiguration */
    NULL,                                  /* postconfiguration */

    NULL,                                  /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_http_tee_asked_create_loc_conf,    /* create location configuration */
    NULL                                   /* merge location configuration */
};


ngx_module_t  ngx_http_tee_asked_module = {
    NGX_MODULE_V1,
    &ngx_http_tee_asked_module_ctx,        /* module context */
    NULL,                                  /* module directives */
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


ngx_conf_enum_t  ngx_http_tee_endpoints[] = {
    { ngx_string("auto"), NGX_HTTP_TEE_ENDPOINT_AUTO },
    { ngx_string("chat"), TEE_CHAT },
    { ngx_string("completions"), TEE_CHAT_COMPLETIONS },
    { ngx_string("web_search"), TEE_CHAT_WEB_SEARCH },
    { ngx_null_string, 0 }
};


/* In this order: the second is the end of the first. */

static ngx_http_tee_asked_path_t  ngx_http_tee_asked_paths[] = {
    { ngx_string("/chat/completions"), TEE_CHAT },
    { ngx_string("/completions"), TEE_CHAT_COMPLETIONS },
    { ngx_string("/web_search"), TEE_CHAT_WEB_SEARCH },
    { ngx_null_string, 0 }
};


static ngx_http_variable_t  ngx_http_tee_said_vars[] = {

    { ngx_string("tee_request_hash"), NULL, ngx_http_tee_said_variable,
      0, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("tee_output_hash"), NULL, ngx_http_tee_said_variable,
      1, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("tee_timestamp"), NULL, ngx_http_tee_said_variable,
      2, NGX_HTTP_VAR_NOCACHEABLE, 0 },

      ngx_http_null_variable
};


ngx_int_t
ngx_http_tee_asked(ngx_http_request_t *r, ngx_http_tee_asked_conf_t *conf,
    ngx_http_tee_asked_t *asked)
{
    ngx_int_t  rc;

    if (!asked->read) {
        asked->rc = ngx_http_tee_asked_endpoint(r, conf, asked, &r->uri);
        asked->read = asked->reading || asked->rc != TEE_INCOMPLETE;
    }

    if (asked->read) {
        return asked->rc == TEE_INCOMPLETE
               ? ngx_http_tee_asked_hash(r, conf, asked,
                                         r->request_body
                                         ? r->request_body->bufs : NULL)
               : NGX_DECLINED;
    }

    asked->reading = 1;

    rc = ngx_http_read_client_request_body(r, ngx_http_tee_asked_body_handler);

    if (rc >= NGX_HTTP_SPECIAL_RESPONSE) {
        return rc;
    }

    ngx_http_finalize_request(r, NGX_DONE);

    return NGX_DONE;
}


ngx_int_t
ngx_http_tee_asked_within(ngx_http_request_t *r,
    ngx_http_tee_asked_conf_t *conf, ngx_http_tee_asked_t *asked,
    ngx_str_t *uri, tee_str_t *text)
{
    ngx_buf_t    *b;
    ngx_chain_t  *cl;

    if (!asked->read) {
        asked->rc = ngx_http_tee_asked_endpoint(r, conf, asked, uri);
        asked->read = 1;
    }

    if (asked->rc != TEE_INCOMPLETE) {
        return NGX_DECLINED;
    }

    b = ngx_calloc_buf(r->pool);
    cl = ngx_alloc_chain_link(r->pool);

    if (b == NULL || cl == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    b->pos = (u_char *) text->data;
    b->last = b->pos + text->len;
    b->memory = 1;

    cl->buf = b;
    cl->next = NULL;

    return ngx_http_tee_asked_hash(r, conf, asked, cl);
}


static tee_rc_t
ngx_http_tee_asked_endpoint(ngx_http_request_t *r,
    ngx_http_tee_asked_conf_t *conf, ngx_http_tee_asked_t *asked,
    ngx_str_t *uri)
{
    ngx_http_tee_asked_path_t  *path;

    static ngx_str_t  encoding = ngx_string("Content-Encoding");

    if (r->method != NGX_HTTP_POST) {
        return TEE_DONE;
    }

    /* whoever is asked might read something else than is hashed */

    if (ngx_http_tee_field(&r->headers_in.headers, &encoding, 0)
        || (r->headers_in.content_type
            && !ngx_http_tee_is_utf8(&r->headers_in.content_type->value)))
    {
        return TEE_UNSUPPORTED;
    }

    if (conf->endpoint != NGX_HTTP_TEE_ENDPOINT_AUTO) {
        asked->endpoint = (tee_chat_endpoint_t) conf->endpoint;
        return TEE_INCOMPLETE;
    }

    for (path = ngx_http_tee_asked_paths; path->suffix.len; path++) {

        if (uri->len >= path->suffix.len
            && ngx_memcmp(uri->data + uri->len - path->suffix.len,
                          path->suffix.data, path->suffix.len)
               == 0)
        {
            asked->endpoint = path->endpoint;
            return TEE_INCOMPLETE;
        }
    }

    return TEE_DONE;
}


static void
ngx_http_tee_asked_body_handler(ngx_http_request_t *r)
{
    r->preserve_body = 1;

    r->write_event_handler = ngx_http_core_run_phases;
    ngx_http_core_run_phases(r);
}


static ngx_int_t
ngx_http_tee_asked_hash(ngx_http_request_t *r,
    ngx_http_tee_asked_conf_t *conf, ngx_http_tee_asked_t *asked,
    ngx_chain_t *bufs)
{
    ngx_uint_t                 in_file;
    ngx_chain_t               *cl;
    ngx_http_tee_job_t        *job;
    ngx_http_tee_asked_job_t   now, *later;

    if (asked->hashing) {
        return NGX_DONE;
    }

    ngx_memzero(&now, sizeof(ngx_http_tee_asked_job_t));

    now.asked = asked;
    now.fields = &conf->fields;
    now.rc = TEE_NOMEM;
    now.bufs = bufs;

    in_file = 0;

    for (cl = now.bufs; cl; cl = cl->next) {
        now.size += ngx_buf_size(cl->buf);
        in_file |= cl->buf->in_file && !ngx_buf_in_memory(cl->buf);
    }

    if (now.size <= NGX_HTTP_TEE_ASKED_INLINE && !in_file) {
        ngx_http_tee_asked_work(&now);
        ngx_http_tee_asked_done(r, &now);

        return NGX_DECLINED;
    }

    job = ngx_http_tee_job_create(r, sizeof(ngx_http_tee_asked_job_t));
    if (job == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    later = job->data;
    *later = now;

    job->work = ngx_http_tee_asked_work;
    job->done = ngx_http_tee_asked_done;

    asked->hashing = 1;

    r->write_event_handler = ngx_http_core_run_phases;

    ngx_http_tee_job_post(job);

    return NGX_DONE;
}


static void
ngx_http_tee_asked_work(void *data)
{
    ngx_http_tee_asked_job_t  *job = data;

    u_char     *p;
    tee_str_t   body;

    body.data = NULL;
    body.len = job->size;
    p = NULL;

    if (job->bufs && job->bufs->next == NULL
        && ngx_buf_in_memory(job->bufs->buf))
    {
        body.data = job->bufs->buf->pos;

    } else if (job->size) {

        p = malloc(job->size);

        job->rc = p ? ngx_http_tee_asked_gather(job, p) : TEE_NOMEM;

        if (job->rc != TEE_OK) {
            free(p);
            return;
        }

        body.data = p;
    }

    job->rc = tee_chat_hash(body, job->asked->endpoint, job->fields,
                            &ngx_http_tee_alloc, job->hash);

    if (p) {
        tee_wipe(p, job->size);
        free(p);
    }
}


static tee_rc_t
ngx_http_tee_asked_gather(ngx_http_tee_asked_job_t *job, u_char *p)
{
    off_t         offset;
    ssize_t       n;
    ngx_buf_t    *b;
    ngx_chain_t  *cl;

    for (cl = job->bufs; cl; cl = cl->next) {
        b = cl->buf;

        if (ngx_buf_in_memory(b)) {
            p = ngx_cpymem(p, b->pos, b->last - b->pos);
            continue;
        }

        for (offset = b->file_pos; offset < b->file_last; offset += n) {
            n = pread(b->file->fd, p, b->file_last - offset, offset);

            if (n <= 0) {
                return TEE_NOMEM;
            }

            p += n;
        }
    }

    return TEE_OK;
}


static void
ngx_http_tee_asked_done(ngx_http_request_t *r, void *data)
{
    ngx_http_tee_asked_job_t  *job = data;

    job->asked->rc = job->rc;

    ngx_memcpy(job->asked->hash, job->hash, 32);
}


ngx_int_t
ngx_http_tee_asked_plain(ngx_http_request_t *r)
{
    ngx_str_t        *name;
    ngx_uint_t        i;
    ngx_list_t        list;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h, *copy;

    static ngx_str_t  names[] = {
        ngx_string("Accept-Encoding"),
        ngx_string("Range"),
        ngx_string("If-Range"),
        ngx_null_string
    };

    if (ngx_list_init(&list, r->pool, 16, sizeof(ngx_table_elt_t)) != NGX_OK) {
        return NGX_ERROR;
    }

    for (part = &r->headers_in.headers.part; part; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {

            for (name = names; name->len; name++) {
                if (h[i].key.len == name->len
                    && ngx_strncasecmp(h[i].key.data, name->data, name->len)
                       == 0)
                {
                    break;
                }
            }

            if (name->len) {
                continue;
            }

            copy = ngx_list_push(&list);
            if (copy == NULL) {
                return NGX_ERROR;
            }

            *copy = h[i];
        }
    }

    r->headers_in.headers = list;

    if (list.last == &list.part) {
        r->headers_in.headers.last = &r->headers_in.headers.part;
    }

    return NGX_OK;
}


ngx_http_tee_said_t *
ngx_http_tee_said(ngx_http_request_t *r)
{
    ngx_http_tee_said_t  *said;

    said = ngx_http_get_module_ctx(r, ngx_http_tee_asked_module);

    if (said == NULL) {
        said = ngx_pcalloc(r->pool, sizeof(ngx_http_tee_said_t));
        if (said == NULL) {
            return NULL;
        }

        ngx_http_set_ctx(r, said, ngx_http_tee_asked_module);
    }

    return said;
}


static ngx_int_t
ngx_http_tee_said_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_http_tee_said_t  *said;

    said = ngx_http_get_module_ctx(r, ngx_http_tee_asked_module);

    if (said == NULL || said->timestamp_len == 0) {
        v->not_found = 1;
        return NGX_OK;
    }

    switch (data) {

    case 0:
        v->data = said->request_hash;
        v->len = sizeof(said->request_hash);
        break;

    case 1:
        v->data = said->output_hash;
        v->len = sizeof(said->output_hash);
        break;

    default:
        v->data = said->timestamp;
        v->len = said->timestamp_len;
        break;
    }

    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    return NGX_OK;
}


static ngx_int_t
ngx_http_tee_said_add_variables(ngx_conf_t *cf)
{
    return ngx_http_tee_add_variables(cf, ngx_http_tee_said_vars);
}


static void *
ngx_http_tee_asked_create_loc_conf(ngx_conf_t *cf)
{
    return ngx_pcalloc(cf->pool, sizeof(ngx_http_tee_asked_loc_conf_t));
}


/* What is in there by itself counts as well. */

static ngx_uint_t
ngx_http_tee_asked_listed(ngx_array_t *names, ngx_str_t *name)
{
    ngx_str_t   *n;
    ngx_uint_t   i;

    static ngx_str_t  always[] = {
        ngx_string(""),
        ngx_string("model"),
        ngx_string("messages"),
        ngx_string("prompt")
    };

    n = always;

    for (i = 0; i < sizeof(always) / sizeof(always[0]); i++) {
        if (n[i].len == name->len
            && ngx_strncmp(n[i].data, name->data, name->len) == 0)
        {
            return 1;
        }
    }

    n = names->elts;

    for (i = 0; i < names->nelts; i++) {
        if (n[i].len == name->len
            && ngx_strncmp(n[i].data, name->data, name->len) == 0)
        {
            return 1;
        }
    }

    return 0;
}


char *
ngx_http_tee_asked_fields(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char  *p = conf;

    ngx_str_t                  *value, *name;
    ngx_uint_t                  i;
    ngx_http_tee_asked_conf_t  *acf;

    acf = (ngx_http_tee_asked_conf_t *) (p + cmd->offset);

    if (acf->names != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    acf->names = ngx_array_create(cf->pool, 8, sizeof(ngx_str_t));
    if (acf->names == NULL) {
        return NGX_CONF_ERROR;
    }

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {

        if (ngx_http_tee_asked_listed(acf->names, &value[i])
            || !tee_utf8_valid(ngx_http_tee_str(&value[i])))
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "field \"%V\" is empty, duplicate, signed "
                               "always, or no UTF-8", &value[i]);
            return NGX_CONF_ERROR;
        }

        name = ngx_array_push(acf->names);
        if (name == NULL) {
            return NGX_CONF_ERROR;
        }

        *name = value[i];
    }

    return NGX_CONF_OK;
}


void
ngx_http_tee_asked_unset(ngx_http_tee_asked_conf_t *conf)
{
    conf->endpoint = NGX_CONF_UNSET_UINT;
    conf->names = NGX_CONF_UNSET_PTR;
}


ngx_int_t
ngx_http_tee_asked_merge(ngx_conf_t *cf, ngx_http_tee_asked_conf_t *prev,
    ngx_http_tee_asked_conf_t *conf)
{
    tee_str_t   *to;
    ngx_str_t   *names;
    ngx_uint_t   i;

    ngx_conf_merge_uint_value(conf->endpoint, prev->endpoint,
                              NGX_HTTP_TEE_ENDPOINT_AUTO);
    ngx_conf_merge_ptr_value(conf->names, prev->names, NULL);

    conf->fields = tee_chat_newest;

    if (conf->names == NULL) {
        return NGX_OK;
    }

    to = ngx_palloc(cf->pool, conf->names->nelts * sizeof(tee_str_t));
    if (to == NULL) {
        return NGX_ERROR;
    }

    names = conf->names->elts;

    for (i = 0; i < conf->names->nelts; i++) {
        to[i] = ngx_http_tee_str(&names[i]);
    }

    conf->fields.n = conf->names->nelts;
    conf->fields.names = to;

    return NGX_OK;
}


ngx_int_t
ngx_http_tee_asked_check(ngx_conf_t *cf, const char *directive)
{
    ngx_str_t                      *body;
    ngx_uint_t                      i;
    const char                     *why;
    ngx_module_t                   *module;
    ngx_http_upstream_conf_t       *ucf;
    ngx_http_core_loc_conf_t       *clcf;
    ngx_http_complex_value_t      **method;
    ngx_http_tee_asked_loc_conf_t  *alcf;

    static const char  *modules[] = {
        "ngx_http_proxy_module",
        "ngx_http_grpc_module",
        "ngx_http_uwsgi_module",
        "ngx_http_fastcgi_module",
        "ngx_http_scgi_module",
        NULL
    };

    ngx_http_tee_threads_use(cf);

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    alcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_tee_asked_module);

    if (alcf->directive) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "%s in location \"%V\": there is \"%s\" already",
                      directive, &clcf->name, alcf->directive);
        return NGX_ERROR;
    }

    alcf->directive = directive;

    body = ngx_http_tee_conf_value(cf, modules[0], "proxy_set_body");
    method = ngx_http_tee_conf_value(cf, modules[0], "proxy_method");

    why = NULL;

    if (body && body->len) {
        why = "\"proxy_set_body\" would send something else than was asked";

    } else if (method && *method) {
        why = "\"proxy_method\" would ask for something else";
    }

    for (i = 0; modules[i]; i++) {
        module = ngx_http_tee_find_module(cf, modules[i]);

        if (module == NULL) {
            continue;
        }

        /* the configuration of each begins with that of its upstream */

        ucf = ((ngx_http_conf_ctx_t *) cf->ctx)->loc_conf[module->ctx_index];

        if (ucf->pass_request_body == 0) {
            why = "\"pass_request_body off\" would not send what was asked";
        }

        if (ucf->store > 0
#if (NGX_HTTP_CACHE)
            || ucf->cache > 0
#endif
           )
        {
            why = "an answer belongs to one request: no cache or store";
        }
    }

    if (why == NULL) {
        return NGX_OK;
    }

    ngx_log_error(NGX_LOG_EMERG, cf->log, 0, "%s in location \"%V\": %s",
                  directive, &clcf->name, why);

    return NGX_ERROR;
}
