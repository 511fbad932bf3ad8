
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <ngx_http_tee.h>

#include <sys/mman.h>


/*
 * Files with secrets, read at start, whoever the workers run as.
 */


static const char *ngx_http_tee_secret_fill(int fd, struct stat *st,
    size_t max, ngx_str_t *secret);


ngx_int_t
ngx_http_tee_secret_read(ngx_conf_t *cf, const char *what, ngx_str_t *path,
    size_t max, ngx_str_t *secret, time_t *modified)
{
    int          fd;
    ngx_err_t    err;
    const char  *why;
    struct stat  st;

    fd = open((char *) path->data, O_RDONLY|O_CLOEXEC|O_NONBLOCK|O_NOCTTY);

    if (fd == -1) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           "%s \"%V\" cannot be opened", what, path);
        return NGX_ERROR;
    }

    ngx_set_errno(0);

    why = ngx_http_tee_secret_fill(fd, &st, max, secret);
    err = ngx_errno;

    (void) close(fd);

    if (why) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, err, "%s \"%V\" %s",
                           what, path, why);
        return NGX_ERROR;
    }

    if (modified) {
        *modified = st.st_mtime;
    }

    return NGX_OK;
}


static const char *
ngx_http_tee_secret_fill(int fd, struct stat *st, size_t max,
    ngx_str_t *secret)
{
    ssize_t  n;

    if (fstat(fd, st) == -1 || !S_ISREG(st->st_mode)) {
        return "is not a regular file";
    }

    if (st->st_mode & 077) {
        return "may be read by others than its owner: \"chmod 600\" it, and "
               "if they could have read it, make another one";
    }

    if (st->st_uid != 0 && st->st_uid != geteuid()) {
        return "belongs to another user, who may read and change it: "
               "\"chown\" it to the one who starts nginx";
    }

    if (st->st_size == 0) {
        return "is empty";
    }

    if ((size_t) st->st_size > max) {
        return "is too large";
    }

    secret->data = mmap(NULL, NGX_HTTP_TEE_SECRET_MAX, PROT_READ|PROT_WRITE,
                        MAP_PRIVATE|MAP_ANONYMOUS, -1, 0);

    if (secret->data == MAP_FAILED) {
        return "does not fit into memory";
    }

    /* neither may be allowed */

    (void) madvise(secret->data, NGX_HTTP_TEE_SECRET_MAX, MADV_DONTDUMP);
    (void) mlock(secret->data, NGX_HTTP_TEE_SECRET_MAX);

    secret->len = 0;

    while (secret->len < (size_t) st->st_size) {
        n = read(fd, secret->data + secret->len, st->st_size - secret->len);

        if (n <= 0) {
            ngx_http_tee_secret_free(secret->data);
            return "cannot be read";
        }

        secret->len += n;
    }

    ngx_set_errno(0);

    return NULL;
}


void
ngx_http_tee_secret_free(u_char *secret)
{
    tee_wipe(secret, NGX_HTTP_TEE_SECRET_MAX);

    (void) munmap(secret, NGX_HTTP_TEE_SECRET_MAX);
}
