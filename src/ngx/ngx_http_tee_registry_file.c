
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <ngx_http_tee.h>


/*
 * The files of a registry: the static list of a self-hoster, and the state,
 * which is the last good answer.  Files are read at start, in the master
 * process, and written by a thread.
 */


typedef struct {
    ngx_conf_t                *cf;
    ngx_http_tee_registry_t   *registry;
    ngx_str_t                  dir;
} ngx_http_tee_file_t;


typedef struct {
    ngx_http_tee_registry_t   *registry;
    ngx_pool_t                *pool;
    ngx_http_tee_snap_t       *snap;
    uint64_t                   block;
    time_t                     now;
    ngx_err_t                  err;
} ngx_http_tee_save_t;


static tee_rc_t ngx_http_tee_registry_blob(void *ctx, tee_blob_t what,
    tee_str_t text, tee_str_t *der);
static ngx_int_t ngx_http_tee_registry_pem(ngx_str_t *pem, ngx_pool_t *pool,
    tee_str_t *der);
static ngx_int_t ngx_http_tee_registry_read(ngx_pool_t *pool, ngx_str_t *path,
    size_t max, ngx_uid_t *owner, ngx_str_t *text, const char **why);
static void ngx_http_tee_registry_save_thread(void *data, ngx_log_t *log);
static ngx_err_t ngx_http_tee_registry_write(ngx_str_t *path, u_char *text,
    size_t len);
static void ngx_http_tee_registry_saved(ngx_event_t *ev);


ngx_int_t
ngx_http_tee_registry_read_file(ngx_conf_t *cf, ngx_http_tee_registry_t *reg)
{
    u_char                *p;
    tee_rc_t               rc;
    uint32_t               at;
    ngx_str_t              text;
    const char            *why;
    tee_registry_list_t    list;
    ngx_http_tee_file_t    file;
    tee_registry_rules_t   rules;

    if (ngx_http_tee_registry_read(cf->pool, &reg->file, reg->max_response,
                                   NULL, &text, &why)
        != NGX_OK)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           "registry \"%V\": file \"%V\" %s",
                           &reg->name, &reg->file, why);
        return NGX_ERROR;
    }

    file.cf = cf;
    file.registry = reg;
    file.dir = reg->file;

    for (p = file.dir.data + file.dir.len; p > file.dir.data; p--) {
        if (p[-1] == '/') {
            break;
        }
    }

    file.dir.len = p - file.dir.data;

    ngx_http_tee_registry_rules(reg, &rules);
    tee_registry_init(&list, &rules);

    at = 0;
    why = NULL;

    rc = tee_registry_add_json(&list, ngx_http_tee_str(&text),
                               ngx_http_tee_registry_blob, &file, &at, &why);

    if (rc == TEE_OK) {
        rc = tee_registry_finish(&list, &reg->initial);
    }

    reg->initial_skipped = list.nskipped;
    reg->initial_time = ngx_time();

    if (rc == TEE_OK && list.nskipped) {
        ngx_conf_log_error(NGX_LOG_WARN, cf, 0,
                           "registry \"%V\": %uD entries of file \"%V\" are "
                           "not used, the first is number %uD: %s",
                           &reg->name, list.nskipped, &reg->file,
                           list.skipped[0].index,
                           tee_skip_name(list.skipped[0].reason));
    }

    if (rc != TEE_OK) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "registry \"%V\": file \"%V\" cannot be used: %s, "
                           "entry %uD: %s",
                           &reg->name, &reg->file, tee_strerror(rc), at,
                           why ? why : "-");
    }

    tee_registry_free(&list);

    return rc == TEE_OK ? NGX_OK : NGX_ERROR;
}


/* A path, relative to the registry file, or base64. */

static tee_rc_t
ngx_http_tee_registry_blob(void *ctx, tee_blob_t what, tee_str_t text,
    tee_str_t *der)
{
    ngx_http_tee_file_t  *file = ctx;

    ngx_int_t    path;
    ngx_str_t    in, out, name;
    const char  *why;

    in.data = (u_char *) text.data;
    in.len = text.len;

    path = in.len && (in.data[0] == '/' || in.data[0] == '.');

    if (in.len > 4 && !path) {
        path = (ngx_strncmp(in.data + in.len - 4, ".pem", 4) == 0
                || ngx_strncmp(in.data + in.len - 4, ".der", 4) == 0
                || ngx_strncmp(in.data + in.len - 4, ".crt", 4) == 0);
    }

    if (!path) {
        out.data = ngx_pnalloc(file->cf->pool,
                               ngx_base64_decoded_length(in.len));
        if (out.data == NULL) {
            return TEE_NOMEM;
        }

        if (ngx_decode_base64(&out, &in) != NGX_OK) {
            return TEE_MALFORMED;
        }

        der->data = out.data;
        der->len = out.len;

        return TEE_OK;
    }

    name.len = (in.data[0] == '/' ? 0 : file->dir.len) + in.len;
    name.data = ngx_pnalloc(file->cf->pool, name.len + 1);
    if (name.data == NULL) {
        return TEE_NOMEM;
    }

    (void) ngx_sprintf(name.data, "%*s%V%Z",
                       name.len - in.len, file->dir.data, &in);

    if (ngx_http_tee_registry_read(file->cf->pool, &name, 1024 * 1024, NULL,
                                   &out, &why)
        != NGX_OK)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, file->cf, ngx_errno,
                           "registry \"%V\": file \"%V\" %s",
                           &file->registry->name, &name, why);
        return TEE_MALFORMED;
    }

    if (ngx_strlcasestrn(out.data, out.data + out.len,
                         (u_char *) "-----begin ", sizeof("-----begin ") - 2)
        == NULL)
    {
        der->data = out.data;
        der->len = out.len;
        return TEE_OK;
    }

    return ngx_http_tee_registry_pem(&out, file->cf->pool, der) == NGX_OK
           ? TEE_OK : TEE_MALFORMED;
}


/* The first block of a PEM text. */

static ngx_int_t
ngx_http_tee_registry_pem(ngx_str_t *pem, ngx_pool_t *pool, tee_str_t *der)
{
    u_char     *p, *q, *end;
    ngx_str_t   in, out;

    end = pem->data + pem->len;

    p = ngx_strlcasestrn(pem->data, end, (u_char *) "-----begin ",
                         sizeof("-----begin ") - 2);
    p = p ? ngx_strlchr(p, end, '\n') : NULL;

    if (p == NULL) {
        return NGX_ERROR;
    }

    q = ngx_strlcasestrn(p, end, (u_char *) "-----end ",
                         sizeof("-----end ") - 2);
    if (q == NULL) {
        return NGX_ERROR;
    }

    in.data = ngx_pnalloc(pool, q - p);
    out.data = ngx_pnalloc(pool, ngx_base64_decoded_length(q - p));

    if (in.data == NULL || out.data == NULL) {
        return NGX_ERROR;
    }

    for (in.len = 0; p < q; p++) {
        if (*p > ' ') {
            in.data[in.len++] = *p;
        }
    }

    if (ngx_decode_base64(&out, &in) != NGX_OK) {
        return NGX_ERROR;
    }

    der->data = out.data;
    der->len = out.len;

    return NGX_OK;
}


/*
 * The last good answer of an earlier run.  It is somebody's word about which
 * certificates to trust, so it must be a plain file that only its owner, the
 * workers' user or root, can read or write.
 */

void
ngx_http_tee_registry_read_state(ngx_conf_t *cf, ngx_http_tee_registry_t *reg)
{
    uint32_t               at;
    ngx_str_t              text;
    ngx_uid_t              owner;
    const char            *why;
    ngx_core_conf_t       *ccf;
    tee_registry_meta_t    meta;
    tee_registry_list_t    list;
    tee_registry_rules_t   rules;

    ccf = (ngx_core_conf_t *) ngx_get_conf(cf->cycle->conf_ctx,
                                           ngx_core_module);
    owner = ccf->user;

    if (ngx_http_tee_registry_read(cf->temp_pool, &reg->state,
                                   reg->max_response, &owner, &text, &why)
        != NGX_OK)
    {
        if (ngx_errno != NGX_ENOENT) {
            goto failed;
        }

        return;
    }

    if (tee_registry_load_meta(ngx_http_tee_str(&text), &ngx_http_tee_alloc,
                               &meta)
        != TEE_OK)
    {
        why = "is damaged";
        goto failed;
    }

    if (meta.chain_id != reg->chain_id
        || meta.tee_type != reg->type
        || ngx_memcmp(meta.contract, reg->contract, 20) != 0)
    {
        why = "is of another contract, chain or type";
        goto failed;
    }

    if (meta.saved_at > ngx_time() + 60) {
        why = "is from the future; is the clock right?";
        goto failed;
    }

    ngx_http_tee_registry_rules(reg, &rules);
    tee_registry_init(&list, &rules);

    if (tee_registry_add_json(&list, ngx_http_tee_str(&text), NULL, NULL, &at,
                              &why)
        != TEE_OK
        || tee_registry_finish(&list, &reg->initial) != TEE_OK)
    {
        tee_registry_free(&list);
        why = "cannot be used";
        goto failed;
    }

    reg->initial_skipped = list.nskipped;
    reg->initial_block = meta.block;
    reg->initial_time = ngx_min(meta.saved_at, ngx_time());

    tee_registry_free(&list);

    return;

failed:

    ngx_conf_log_error(NGX_LOG_WARN, cf, 0,
                       "registry \"%V\": state \"%V\" %s; it is ignored",
                       &reg->name, &reg->state, why);
}


/* With "owner": a plain file of this user or root, and of nobody else. */

static ngx_int_t
ngx_http_tee_registry_read(ngx_pool_t *pool, ngx_str_t *path, size_t max,
    ngx_uid_t *owner, ngx_str_t *text, const char **why)
{
    int              fd;
    ssize_t          n;
    struct stat      st;

    fd = open((char *) path->data,
              O_RDONLY|O_CLOEXEC|O_NONBLOCK|(owner ? O_NOFOLLOW : 0));

    if (fd == -1) {
        *why = "cannot be opened";
        return NGX_ERROR;
    }

    ngx_set_errno(0);

    if (fstat(fd, &st) == -1 || !S_ISREG(st.st_mode)) {
        *why = "is not a plain file";
        goto failed;
    }

    if ((size_t) st.st_size > max) {
        *why = "is too large";
        goto failed;
    }

    if (owner
        && ((st.st_mode & 077)
            || (st.st_uid != 0 && st.st_uid != geteuid()
                && (*owner == (ngx_uid_t) NGX_CONF_UNSET_UINT
                    || st.st_uid != *owner))))
    {
        *why = "is not private: it must have mode 0600 and belong to the "
               "workers' user";
        goto failed;
    }

    text->data = ngx_pnalloc(pool, st.st_size + 1);
    if (text->data == NULL) {
        *why = "does not fit into memory";
        goto failed;
    }

    text->len = 0;

    while (text->len < (size_t) st.st_size) {
        n = read(fd, text->data + text->len, st.st_size - text->len);

        if (n <= 0) {
            *why = "cannot be read";
            goto failed;
        }

        text->len += n;
    }

    (void) close(fd);

    return NGX_OK;

failed:

    (void) close(fd);
    ngx_set_errno(NGX_EINVAL);

    return NGX_ERROR;
}


/* The state is also written when nothing has changed: it says when that was. */

void
ngx_http_tee_registry_save(ngx_http_tee_registry_t *reg,
    ngx_http_tee_snap_t *snap, uint64_t block)
{
    ngx_pool_t              *pool;
    ngx_thread_task_t       *task;
    ngx_http_tee_save_t  *pub;

    if (reg->state.len == 0 || snap == NULL) {
        return;
    }

    pool = ngx_create_pool(1024, ngx_cycle->log);
    if (pool == NULL) {
        return;
    }

    task = ngx_thread_task_alloc(pool, sizeof(ngx_http_tee_save_t));
    if (task == NULL) {
        ngx_destroy_pool(pool);
        return;
    }

    pub = task->ctx;
    pub->registry = reg;
    pub->pool = pool;
    pub->snap = snap;
    pub->block = block;
    pub->now = ngx_time();

    task->handler = ngx_http_tee_registry_save_thread;
    task->event.handler = ngx_http_tee_registry_saved;
    task->event.data = pub;
    task->event.log = ngx_cycle->log;

    if (ngx_thread_task_post(reg->thread_pool, task) != NGX_OK) {
        ngx_destroy_pool(pool);
        return;
    }

    snap->refs++;
    reg->publishing = 1;
}


static void
ngx_http_tee_registry_save_thread(void *data, ngx_log_t *log)
{
    size_t                    len;
    uint8_t                  *text;
    tee_registry_meta_t       meta;
    ngx_http_tee_save_t   *pub = data;
    ngx_http_tee_registry_t  *reg;

    reg = pub->registry;

    ngx_memcpy(meta.contract, reg->contract, 20);
    meta.chain_id = reg->chain_id;
    meta.block = pub->block;
    meta.saved_at = pub->now;
    meta.tee_type = (uint8_t) reg->type;

    if (tee_registry_save(pub->snap->image, &meta, &ngx_http_tee_alloc,
                          &text, &len)
        != TEE_OK)
    {
        pub->err = NGX_ENOMEM;
        return;
    }

    pub->err = ngx_http_tee_registry_write(&reg->state, text, len);

    free(text);
}


/* Replaces the file in one step: whoever reads finds the old or the new. */

static ngx_err_t
ngx_http_tee_registry_write(ngx_str_t *path, u_char *text, size_t len)
{
    char       *p, tmp[NGX_MAX_PATH], dir[NGX_MAX_PATH];
    int         fd;
    ssize_t     n;
    ngx_err_t   err;

    if (path->len + sizeof(".tmp") > NGX_MAX_PATH) {
        return ENAMETOOLONG;
    }

    (void) ngx_snprintf((u_char *) tmp, NGX_MAX_PATH, "%V.tmp%Z", path);
    (void) ngx_snprintf((u_char *) dir, NGX_MAX_PATH, "%V%Z", path);

    (void) unlink(tmp);

    fd = open(tmp, O_WRONLY|O_CREAT|O_EXCL|O_CLOEXEC|O_NOFOLLOW, 0600);
    if (fd == -1) {
        return ngx_errno;
    }

    while (len) {
        n = write(fd, text, len);

        if (n <= 0) {
            if (n == -1 && ngx_errno == NGX_EINTR) {
                continue;
            }

            goto failed;
        }

        text += n;
        len -= n;
    }

    if (fsync(fd) == -1) {
        goto failed;
    }

    if (close(fd) == -1) {
        err = ngx_errno;
        (void) unlink(tmp);
        return err;
    }

    if (rename(tmp, dir) == -1) {
        err = ngx_errno;
        (void) unlink(tmp);
        return err;
    }

    /* the name must survive a crash as well */

    p = strrchr(dir, '/');
    *(p ? p + 1 : dir) = '\0';

    fd = open(p ? dir : ".", O_RDONLY|O_DIRECTORY|O_CLOEXEC);

    if (fd != -1) {
        (void) fsync(fd);
        (void) close(fd);
    }

    return 0;

failed:

    err = ngx_errno;

    (void) close(fd);
    (void) unlink(tmp);

    return err ? err : NGX_ENOSPC;
}


static void
ngx_http_tee_registry_saved(ngx_event_t *ev)
{
    ngx_http_tee_save_t   *pub = ev->data;
    ngx_http_tee_registry_t  *reg;

    reg = pub->registry;
    reg->publishing = 0;

    if (pub->err) {
        ngx_http_tee_reg_count(reg, NGX_HTTP_TEE_REG_STATE_WRITE);

        if (reg->state_err != pub->err) {
            ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, pub->err,
                          "tee registry \"%V\": state \"%V\" cannot be "
                          "written; its directory must be writable for the "
                          "workers",
                          &reg->name, &reg->state);
        }
    }

    reg->state_err = pub->err;

    ngx_http_tee_snap_unref(pub->snap);
    ngx_destroy_pool(pub->pool);
}
