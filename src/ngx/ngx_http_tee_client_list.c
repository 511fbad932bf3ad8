
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <ngx_http_tee.h>
#include <ngx_http_tee_client_ctx.h>


/* Lists of a gateway's keys: application/ohttp-keys. */


static ngx_int_t ngx_http_tee_client_list_open(ngx_conf_t *cf,
    ngx_str_t *path, ngx_str_t *text);


/* Locations that name the same source share it. */

ngx_http_tee_client_list_t *
ngx_http_tee_client_list_get(ngx_conf_t *cf, ngx_str_t *source,
    ngx_str_t *trusted)
{
    ngx_uint_t                         i;
    ngx_http_tee_client_list_t        *list, **known;
    ngx_http_tee_client_main_conf_t   *cmcf;

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_tee_client_module);

    known = cmcf->lists.elts;

    for (i = 0; i < cmcf->lists.nelts; i++) {
        list = known[i];

        if (list->source.len == source->len
            && list->trusted.len == trusted->len
            && ngx_strncmp(list->source.data, source->data, source->len) == 0
            && ngx_strncmp(list->trusted.data, trusted->data, trusted->len)
               == 0)
        {
            return list;
        }
    }

    list = ngx_pcalloc(cf->pool, sizeof(ngx_http_tee_client_list_t));
    known = list ? ngx_array_push(&cmcf->lists) : NULL;

    if (known == NULL
        || ngx_array_init(&list->users, cf->pool, 1,
                          sizeof(ngx_http_tee_client_keys_t *))
           != NGX_OK)
    {
        return NULL;
    }

    list->source = *source;
    list->trusted = *trusted;

    *known = list;

    return list;
}


char *
ngx_http_tee_client_list_file(ngx_conf_t *cf, ngx_str_t *path,
    ngx_http_tee_client_list_t **list)
{
    size_t           n;
    tee_rc_t         rc;
    ngx_str_t        source, none;
    tee_ohttp_key_t  keys[NGX_HTTP_TEE_CLIENT_MAX_KEYS];

    source = *path;
    ngx_str_null(&none);

    if (source.len == 0 || ngx_conf_full_name(cf->cycle, &source, 1) != NGX_OK)
    {
        return "needs a file with the keys of a gateway";
    }

    *list = ngx_http_tee_client_list_get(cf, &source, &none);

    if (*list == NULL) {
        return NGX_CONF_ERROR;
    }

    if ((*list)->text.len) {
        return NGX_CONF_OK;
    }

    if (ngx_http_tee_client_list_open(cf, &source, &(*list)->text) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    rc = ngx_http_tee_client_list_read(&(*list)->text, keys, &n);

    if (rc != TEE_OK) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "no usable key in \"%V\": %s", &source,
                           tee_strerror(rc));
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_tee_client_list_open(ngx_conf_t *cf, ngx_str_t *path,
    ngx_str_t *text)
{
    off_t       size;
    ssize_t     n;
    ngx_int_t   rc;
    ngx_file_t  file;

    ngx_memzero(&file, sizeof(ngx_file_t));

    file.name = *path;
    file.log = cf->log;
    file.fd = ngx_open_file(path->data, NGX_FILE_RDONLY, NGX_FILE_OPEN, 0);

    if (file.fd == NGX_INVALID_FILE) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           ngx_open_file_n " \"%V\" failed", path);
        return NGX_ERROR;
    }

    rc = NGX_ERROR;

    if (ngx_fd_info(file.fd, &file.info) == NGX_FILE_ERROR) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           ngx_fd_info_n " \"%V\" failed", path);
        goto done;
    }

    size = ngx_file_size(&file.info);

    if (size > TEE_OHTTP_KEYS_MAX_LEN) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "\"%V\" is too large", path);
        goto done;
    }

    text->data = ngx_pnalloc(cf->pool, size + 1);
    if (text->data == NULL) {
        goto done;
    }

    n = ngx_read_file(&file, text->data, size, 0);

    if (n != size) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           "cannot read \"%V\"", path);
        goto done;
    }

    text->len = size;
    rc = NGX_OK;

done:

    if (ngx_close_file(file.fd) == NGX_FILE_ERROR) {
        ngx_conf_log_error(NGX_LOG_ALERT, cf, ngx_errno,
                           ngx_close_file_n " \"%V\" failed", path);
    }

    return rc;
}


tee_rc_t
ngx_http_tee_client_list_read(ngx_str_t *text,
    tee_ohttp_key_t keys[NGX_HTTP_TEE_CLIENT_MAX_KEYS], size_t *n)
{
    size_t    i, all;
    tee_rc_t  rc;

    *n = 0;
    all = NGX_HTTP_TEE_CLIENT_MAX_KEYS;

    rc = tee_ohttp_keys_parse(ngx_http_tee_str(text), keys, &all);

    if (rc != TEE_OK) {
        return rc;
    }

    for (i = 0; i < all; i++) {
        if (tee_ohttp_key_usable(&keys[i]) == TEE_OK) {
            keys[(*n)++] = keys[i];
        }
    }

    return *n ? TEE_OK : TEE_UNSUPPORTED;
}
