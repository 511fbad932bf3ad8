
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <ngx_http_tee.h>
#include <ngx_http_tee_client_ctx.h>


/* The keys of a gateway that is in no registry: application/ohttp-keys. */


#define NGX_HTTP_TEE_CLIENT_MAX_KEYS  64


static ngx_int_t ngx_http_tee_client_keys_read(ngx_conf_t *cf,
    ngx_str_t *path, ngx_str_t *list);
static ngx_uint_t ngx_http_tee_client_keys_pair(const tee_ohttp_key_t *key,
    ngx_http_tee_client_key_t *to);


/* Locations that name the same source share it. */

ngx_http_tee_client_keys_t *
ngx_http_tee_client_keys_get(ngx_conf_t *cf, ngx_str_t *source,
    ngx_str_t *trusted)
{
    ngx_uint_t                        i;
    ngx_http_tee_client_keys_t       *keys, **known;
    ngx_http_tee_client_main_conf_t  *cmcf;

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_tee_client_module);

    known = cmcf->keys.elts;

    for (i = 0; i < cmcf->keys.nelts; i++) {
        keys = known[i];

        if (keys->source.len == source->len
            && keys->trusted.len == trusted->len
            && ngx_strncmp(keys->source.data, source->data, source->len) == 0
            && ngx_strncmp(keys->trusted.data, trusted->data, trusted->len)
               == 0)
        {
            return keys;
        }
    }

    keys = ngx_pcalloc(cf->pool, sizeof(ngx_http_tee_client_keys_t));
    known = keys ? ngx_array_push(&cmcf->keys) : NULL;

    if (known == NULL) {
        return NULL;
    }

    keys->source = *source;
    keys->trusted = *trusted;

    ngx_queue_init(&keys->waiting);

    *known = keys;

    return keys;
}


char *
ngx_http_tee_client_keys_file(ngx_conf_t *cf, ngx_str_t *path,
    ngx_http_tee_client_keys_t **keys)
{
    tee_rc_t   rc;
    ngx_str_t  source, list, none;

    source = *path;
    ngx_str_null(&none);

    if (source.len == 0 || ngx_conf_full_name(cf->cycle, &source, 1) != NGX_OK)
    {
        return "needs a file with the keys of a gateway";
    }

    *keys = ngx_http_tee_client_keys_get(cf, &source, &none);

    if (*keys == NULL) {
        return NGX_CONF_ERROR;
    }

    if ((*keys)->usable) {
        return NGX_CONF_OK;
    }

    if (ngx_http_tee_client_keys_read(cf, &source, &list) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    rc = ngx_http_tee_client_keys_take(*keys, &list);

    if (rc != TEE_OK) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "no usable key in \"%V\": %s", &source,
                           tee_strerror(rc));
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_tee_client_keys_read(ngx_conf_t *cf, ngx_str_t *path,
    ngx_str_t *list)
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

    list->data = ngx_pnalloc(cf->pool, size + 1);
    if (list->data == NULL) {
        goto done;
    }

    n = ngx_read_file(&file, list->data, size, 0);

    if (n != size) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           "cannot read \"%V\"", path);
        goto done;
    }

    list->len = size;
    rc = NGX_OK;

done:

    if (ngx_close_file(file.fd) == NGX_FILE_ERROR) {
        ngx_conf_log_error(NGX_LOG_ALERT, cf, ngx_errno,
                           ngx_close_file_n " \"%V\" failed", path);
    }

    return rc;
}


tee_rc_t
ngx_http_tee_client_keys_take(ngx_http_tee_client_keys_t *keys,
    ngx_str_t *text)
{
    size_t                     i, n;
    tee_rc_t                   rc;
    tee_ohttp_key_t            list[NGX_HTTP_TEE_CLIENT_MAX_KEYS];
    ngx_http_tee_client_key_t  key;

    n = NGX_HTTP_TEE_CLIENT_MAX_KEYS;

    rc = tee_ohttp_keys_parse(ngx_http_tee_str(text), list, &n);

    if (rc != TEE_OK) {
        return rc;
    }

    for (i = 0; i < n; i++) {

        if (tee_ohttp_key_usable(&list[i]) == TEE_OK
            && ngx_http_tee_client_keys_pair(&list[i], &key))
        {
            keys->key = key;
            keys->usable = 1;

            return TEE_OK;
        }
    }

    return TEE_UNSUPPORTED;
}


static ngx_uint_t
ngx_http_tee_client_keys_pair(const tee_ohttp_key_t *key,
    ngx_http_tee_client_key_t *to)
{
    size_t          i;
    const uint8_t  *p;

    for (i = 0; i + 4 <= key->suites.len; i += 4) {
        p = key->suites.data + i;

        to->header.kdf = p[0] << 8 | p[1];
        to->header.aead = p[2] << 8 | p[3];

        if (tee_ohttp_suite_known(to->header.kdf, to->header.aead)) {
            to->header.id = key->id;
            to->header.kem = key->kem;
            to->pk = key->pk;

            return 1;
        }
    }

    return 0;
}


const ngx_http_tee_client_key_t *
ngx_http_tee_client_keys_current(ngx_http_tee_client_keys_t *keys)
{
    return keys->usable ? &keys->key : NULL;
}


ngx_uint_t
ngx_http_tee_client_keys_same(const ngx_http_tee_client_key_t *a,
    const ngx_http_tee_client_key_t *b)
{
    return a->header.id == b->header.id
           && a->header.kem == b->header.kem
           && a->header.kdf == b->header.kdf
           && a->header.aead == b->header.aead
           && a->pk.len == b->pk.len
           && ngx_memcmp(a->pk.data, b->pk.data, a->pk.len) == 0;
}
