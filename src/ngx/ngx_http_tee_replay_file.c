
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <ngx_http_tee_replay.h>

#include <sys/mman.h>


/* The file of a set of seen requests; all of it happens in the master. */


static const char *ngx_http_tee_replay_map(ngx_http_tee_replay_set_t *set);
static ngx_int_t ngx_http_tee_replay_make(ngx_http_tee_replay_set_t *set,
    ngx_log_t *log);
static ngx_int_t ngx_http_tee_replay_fill(ngx_http_tee_replay_set_t *set,
    int fd);


/*
 * What is there is used, if it is a set of this size and window.  What is not
 * is made, but not by a test of the configuration.
 */

ngx_int_t
ngx_http_tee_replay_open(ngx_http_tee_replay_set_t *set, ngx_log_t *log)
{
    ngx_err_t    err;
    ngx_uint_t   tries;
    const char  *why;

    for (tries = 0; tries < 3; tries++) {

        set->fd = open((char *) set->path.data,
                       O_RDWR|O_CLOEXEC|O_NONBLOCK|O_NOFOLLOW);

        if (set->fd == -1) {

            if (ngx_errno != NGX_ENOENT) {
                ngx_log_error(NGX_LOG_EMERG, log, ngx_errno,
                              "replay zone \"%V\": \"%V\" cannot be opened",
                              &set->name, &set->path);
                return NGX_ERROR;
            }

            if (ngx_test_config) {
                return NGX_OK;
            }

            if (ngx_http_tee_replay_make(set, log) != NGX_OK) {
                return NGX_ERROR;
            }

            /* ours, or that of somebody who was faster */

            continue;
        }

        ngx_set_errno(0);

        why = ngx_http_tee_replay_map(set);

        if (why == NULL) {
            return NGX_OK;
        }

        err = ngx_errno;

        ngx_log_error(NGX_LOG_EMERG, log, err, "replay zone \"%V\": \"%V\" %s",
                      &set->name, &set->path, why);
        return NGX_ERROR;
    }

    ngx_log_error(NGX_LOG_EMERG, log, 0,
                  "replay zone \"%V\": somebody removes \"%V\"",
                  &set->name, &set->path);

    return NGX_ERROR;
}


static const char *
ngx_http_tee_replay_map(ngx_http_tee_replay_set_t *set)
{
    void         *p;
    struct stat   st;

    if (fstat(set->fd, &st) == -1 || !S_ISREG(st.st_mode)) {
        return "is not a regular file";
    }

    if ((st.st_mode & 077) || (st.st_uid != 0 && st.st_uid != geteuid())) {
        return "is not private: it must have mode 0600 and belong to the one "
               "who starts nginx";
    }

    if ((size_t) st.st_size != set->size) {
        return "has been made for another size: name another \"file\" or "
               "zone; removing it means that what it knows may come again";
    }

    p = mmap(NULL, set->size, PROT_READ|PROT_WRITE, MAP_SHARED, set->fd, 0);

    if (p == MAP_FAILED) {
        return "cannot be mapped";
    }

    set->set = p;

    if (!tee_replay_valid(set->set, set->size, set->keep)) {
        ngx_set_errno(0);
        return "has been made for another window or way of checking dates, "
               "or is damaged: name another \"file\" or zone; removing it "
               "means that what it knows may come again";
    }

    return NULL;
}


/* Under another name, until it is complete. */

static ngx_int_t
ngx_http_tee_replay_make(ngx_http_tee_replay_set_t *set, ngx_log_t *log)
{
    int     fd;
    char   *tmp;
    size_t  len;

    len = set->path.len + sizeof(".") + NGX_INT64_LEN;

    tmp = ngx_pnalloc(set->pool, len);
    if (tmp == NULL) {
        return NGX_ERROR;
    }

    ngx_sprintf((u_char *) tmp, "%V.%P%Z", &set->path, ngx_getpid());

    (void) unlink(tmp);

    fd = open(tmp, O_RDWR|O_CREAT|O_EXCL|O_CLOEXEC|O_NOFOLLOW, 0600);

    if (fd == -1) {
        ngx_log_error(NGX_LOG_EMERG, log, ngx_errno,
                      "replay zone \"%V\": \"%s\" cannot be created",
                      &set->name, tmp);
        return NGX_ERROR;
    }

    if (ngx_http_tee_replay_fill(set, fd) != NGX_OK
        || (link(tmp, (char *) set->path.data) == -1
            && ngx_errno != NGX_EEXIST))
    {
        ngx_log_error(NGX_LOG_EMERG, log, ngx_errno,
                      "replay zone \"%V\": \"%V\" cannot be made",
                      &set->name, &set->path);
        (void) close(fd);
        (void) unlink(tmp);
        return NGX_ERROR;
    }

    (void) close(fd);
    (void) unlink(tmp);

    return NGX_OK;
}


/* With all of its blocks: writing to a mapping must not find the disk full. */

static ngx_int_t
ngx_http_tee_replay_fill(ngx_http_tee_replay_set_t *set, int fd)
{
    int      rc;
    void    *p;
    u_char   key[32];

    rc = posix_fallocate(fd, 0, set->size);

    if (rc != 0) {
        ngx_set_errno(rc);
        return NGX_ERROR;
    }

    if (RAND_bytes(key, sizeof(key)) != 1) {
        return NGX_ERROR;
    }

    p = mmap(NULL, set->size, PROT_READ|PROT_WRITE, MAP_SHARED, fd, 0);

    if (p == MAP_FAILED) {
        return NGX_ERROR;
    }

    rc = tee_replay_init(p, set->size, set->keep, key, ngx_time());

    tee_wipe(key, sizeof(key));

    if (munmap(p, set->size) == -1 || rc != TEE_OK || fsync(fd) == -1) {
        return NGX_ERROR;
    }

    return NGX_OK;
}


void
ngx_http_tee_replay_cleanup(void *data)
{
    ngx_http_tee_replay_set_t  *set = data;

    if (set->set) {
        (void) munmap(set->set, set->size);
        set->set = NULL;
    }

    if (set->fd != -1) {
        (void) close(set->fd);
        set->fd = -1;
    }
}
