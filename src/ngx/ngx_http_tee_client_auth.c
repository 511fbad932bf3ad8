
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <ngx_http_tee.h>
#include <ngx_http_tee_client_ctx.h>


/*
 * What the relay knows us by.  A file may be replaced at any time, by whoever
 * keeps a session open; it is looked at once a second at most.
 */


#define NGX_HTTP_TEE_CLIENT_MAX_TOKEN  8192


struct ngx_http_tee_client_auth_s {
    ngx_str_t                      file;
    ngx_http_complex_value_t      *value;      /* or */

    /* of this worker */
    u_char                        *token;
    size_t                         len;
    time_t                         checked;
    time_t                         mtime;
    time_t                         read;
    off_t                          size;
    ngx_file_uniq_t                uniq;
    unsigned                       failing:1;
};


static ngx_int_t ngx_http_tee_client_auth_file(
    ngx_http_tee_client_auth_t *auth, ngx_log_t *log);
static ngx_int_t ngx_http_tee_client_auth_read(
    ngx_http_tee_client_auth_t *auth, ngx_fd_t fd);
static ngx_int_t ngx_http_tee_client_auth_valid(u_char *p, size_t len);
static void ngx_http_tee_client_auth_cleanup(void *data);


char *
ngx_http_tee_client_auth(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_tee_client_loc_conf_t  *clcf = conf;

    ngx_str_t                         *value;
    ngx_pool_cleanup_t                *cln;
    ngx_http_tee_client_auth_t        *auth;
    ngx_http_compile_complex_value_t   ccv;

    if (clcf->auth != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "off") == 0) {
        clcf->auth = NULL;
        return NGX_CONF_OK;
    }

    auth = ngx_pcalloc(cf->pool, sizeof(ngx_http_tee_client_auth_t));
    if (auth == NULL) {
        return NGX_CONF_ERROR;
    }

    clcf->auth = auth;

    if (ngx_strlchr(value[1].data, value[1].data + value[1].len, '$')) {

        auth->value = ngx_palloc(cf->pool, sizeof(ngx_http_complex_value_t));
        if (auth->value == NULL) {
            return NGX_CONF_ERROR;
        }

        ngx_memzero(&ccv, sizeof(ngx_http_compile_complex_value_t));

        ccv.cf = cf;
        ccv.value = &value[1];
        ccv.complex_value = auth->value;

        return ngx_http_compile_complex_value(&ccv) == NGX_OK
               ? NGX_CONF_OK : NGX_CONF_ERROR;
    }

    auth->file = value[1];

    if (value[1].len == 0
        || ngx_conf_full_name(cf->cycle, &auth->file, 1) != NGX_OK)
    {
        return "needs a file or a variable";
    }

    cln = ngx_pool_cleanup_add(cf->pool, 0);
    if (cln == NULL) {
        return NGX_CONF_ERROR;
    }

    cln->handler = ngx_http_tee_client_auth_cleanup;
    cln->data = auth;

    return NGX_CONF_OK;
}


static void
ngx_http_tee_client_auth_cleanup(void *data)
{
    ngx_http_tee_client_auth_wipe(data);
}


void
ngx_http_tee_client_auth_wipe(ngx_http_tee_client_auth_t *auth)
{
    if (auth->token) {
        tee_wipe(auth->token, auth->len);
        ngx_free(auth->token);
        auth->token = NULL;
        auth->len = 0;
    }
}


ngx_int_t
ngx_http_tee_client_auth_value(ngx_http_request_t *r,
    ngx_http_tee_client_auth_t *auth, ngx_str_t *value)
{
    ngx_str_t  token;

    if (auth->value) {

        if (ngx_http_complex_value(r, auth->value, &token) != NGX_OK) {
            return NGX_ERROR;
        }

        if (ngx_http_tee_client_auth_valid(token.data, token.len) != NGX_OK) {
            return NGX_DECLINED;
        }

    } else {

        if (ngx_http_tee_client_auth_file(auth, r->connection->log) != NGX_OK)
        {
            return NGX_DECLINED;
        }

        token.data = auth->token;
        token.len = auth->len;
    }

    value->data = ngx_pnalloc(r->pool, sizeof("Bearer ") - 1 + token.len);
    if (value->data == NULL) {
        return NGX_ERROR;
    }

    value->len = ngx_sprintf(value->data, "Bearer %V", &token) - value->data;

    return NGX_OK;
}


/* A file that has gone is a session that has ended. */

static ngx_int_t
ngx_http_tee_client_auth_file(ngx_http_tee_client_auth_t *auth,
    ngx_log_t *log)
{
    ngx_fd_t         fd;
    ngx_int_t        rc;
    ngx_err_t        err;
    ngx_file_info_t  fi;

    if (auth->checked == ngx_time()) {
        return auth->token ? NGX_OK : NGX_DECLINED;
    }

    auth->checked = ngx_time();

    /* what has been read in the second of its change may have changed again */

    if (ngx_file_info(auth->file.data, &fi) != NGX_FILE_ERROR
        && auth->token
        && auth->mtime < auth->read
        && ngx_file_mtime(&fi) == auth->mtime
        && ngx_file_size(&fi) == auth->size
        && ngx_file_uniq(&fi) == auth->uniq)
    {
        return NGX_OK;
    }

    ngx_http_tee_client_auth_wipe(auth);

    rc = NGX_ERROR;
    fd = ngx_open_file(auth->file.data, NGX_FILE_RDONLY|NGX_FILE_NONBLOCK,
                       NGX_FILE_OPEN, 0);
    err = ngx_errno;

    if (fd != NGX_INVALID_FILE) {
        rc = ngx_http_tee_client_auth_read(auth, fd);
        err = 0;

        if (ngx_close_file(fd) == NGX_FILE_ERROR) {
            ngx_log_error(NGX_LOG_ALERT, log, ngx_errno,
                          ngx_close_file_n " \"%V\" failed", &auth->file);
        }
    }

    if (rc == NGX_OK) {

        if (auth->failing) {
            ngx_log_error(NGX_LOG_NOTICE, log, 0,
                          "tee client: credential in \"%V\" is there again",
                          &auth->file);
        }

        auth->failing = 0;

        return NGX_OK;
    }

    if (!auth->failing) {
        ngx_log_error(NGX_LOG_ERR, log, err,
                      "tee client: no credential in \"%V\"; requests are "
                      "refused until there is one", &auth->file);
    }

    auth->failing = 1;

    return NGX_DECLINED;
}


static ngx_int_t
ngx_http_tee_client_auth_read(ngx_http_tee_client_auth_t *auth, ngx_fd_t fd)
{
    u_char           buf[NGX_HTTP_TEE_CLIENT_MAX_TOKEN], *p, *last;
    ssize_t          n;
    ngx_int_t        rc;
    ngx_file_info_t  fi;

    if (ngx_fd_info(fd, &fi) == NGX_FILE_ERROR || !ngx_is_file(&fi)) {
        return NGX_ERROR;
    }

    n = ngx_read_fd(fd, buf, NGX_HTTP_TEE_CLIENT_MAX_TOKEN);

    if (n <= 0) {
        return NGX_ERROR;
    }

    p = buf;
    last = buf + n;

    while (p < last && (*p == ' ' || *p == '\t' || *p == CR || *p == LF)) {
        p++;
    }

    while (p < last && (last[-1] == ' ' || last[-1] == '\t'
                        || last[-1] == CR || last[-1] == LF))
    {
        last--;
    }

    rc = ngx_http_tee_client_auth_valid(p, last - p);

    if (rc == NGX_OK) {
        auth->token = ngx_alloc(last - p, ngx_cycle->log);
        rc = auth->token ? NGX_OK : NGX_ERROR;
    }

    if (rc == NGX_OK) {
        auth->len = last - p;
        ngx_memcpy(auth->token, p, auth->len);

        auth->read = ngx_time();
        auth->mtime = ngx_file_mtime(&fi);
        auth->size = ngx_file_size(&fi);
        auth->uniq = ngx_file_uniq(&fi);
    }

    tee_wipe(buf, n);

    return rc;
}


/* Visible characters: nothing that could end a field. */

static ngx_int_t
ngx_http_tee_client_auth_valid(u_char *p, size_t len)
{
    size_t  i;

    for (i = 0; i < len; i++) {
        if (p[i] <= ' ' || p[i] >= 0x7f) {
            return NGX_DECLINED;
        }
    }

    return len ? NGX_OK : NGX_DECLINED;
}
