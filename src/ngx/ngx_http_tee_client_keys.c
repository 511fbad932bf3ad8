
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <ngx_http_tee.h>
#include <ngx_http_tee_client_ctx.h>


/*
 * The keys of a gateway that is in no registry.  Who gives a client a list of
 * its own knows it by its key; so there may be several lists, and what is not
 * in all of them is not used.
 */


/* How long an exiting worker stays for requests that wait, if all else is
 * stuck: a fetch has ended long before. */

#define NGX_HTTP_TEE_CLIENT_KEYS_WAIT  60000


static ngx_uint_t ngx_http_tee_client_keys_named(
    ngx_http_tee_client_keys_t *keys, ngx_array_t *lists);
static void ngx_http_tee_client_keys_judge(ngx_http_tee_client_keys_t *keys);
static size_t ngx_http_tee_client_keys_common(tee_ohttp_key_t *keys, size_t n,
    ngx_http_tee_client_list_t *list);
static ngx_uint_t ngx_http_tee_client_keys_equal(tee_str_t a, tee_str_t b);
static void ngx_http_tee_client_keys_pair(const tee_ohttp_key_t *key,
    ngx_http_tee_client_key_t *to);
static void ngx_http_tee_client_keys_tell(ngx_http_tee_client_keys_t *keys);
static void ngx_http_tee_client_keys_wake(ngx_event_t *ev);


ngx_http_tee_client_keys_t *
ngx_http_tee_client_keys(ngx_conf_t *cf, ngx_array_t *lists)
{
    ngx_uint_t                         i;
    ngx_http_tee_client_keys_t        *keys, **known, **user;
    ngx_http_tee_client_list_t       **list;
    ngx_http_tee_client_main_conf_t   *cmcf;

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_tee_client_module);

    known = cmcf->keys.elts;

    for (i = 0; i < cmcf->keys.nelts; i++) {
        if (ngx_http_tee_client_keys_named(known[i], lists)) {
            return known[i];
        }
    }

    keys = ngx_pcalloc(cf->pool, sizeof(ngx_http_tee_client_keys_t));
    known = keys ? ngx_array_push(&cmcf->keys) : NULL;

    if (known == NULL) {
        return NULL;
    }

    *known = keys;

    keys->lists = *lists;
    ngx_queue_init(&keys->waiting);

    list = lists->elts;

    for (i = 0; i < lists->nelts; i++) {

        user = ngx_array_push(&list[i]->users);
        if (user == NULL) {
            return NULL;
        }

        *user = keys;
    }

    /* what is in files is known now */

    ngx_http_tee_client_keys_judge(keys);

    if (keys->differ) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "no key is in \"%V\" and all lists before it",
                           &list[keys->differ]->source);
        return NULL;
    }

    return keys;
}


static ngx_uint_t
ngx_http_tee_client_keys_named(ngx_http_tee_client_keys_t *keys,
    ngx_array_t *lists)
{
    return keys->lists.nelts == lists->nelts
           && ngx_memcmp(keys->lists.elts, lists->elts,
                         lists->nelts * lists->size)
              == 0;
}


void
ngx_http_tee_client_keys_relay(ngx_http_tee_client_keys_t *keys,
    ngx_str_t *host)
{
    ngx_str_t                     name, *own;
    ngx_uint_t                    i;
    ngx_http_tee_client_list_t  **list;

    name = *host;

    if (name.len > 2 && name.data[0] == '[') {
        name.data++;
        name.len -= 2;
    }

    list = keys->lists.elts;

    for (i = 0; i < keys->lists.nelts; i++) {

        if (list[i]->server == NULL) {
            continue;
        }

        own = &list[i]->server->host;

        if (own->len != name.len
            || ngx_strncasecmp(own->data, name.data, name.len) != 0)
        {
            list[i]->apart = 1;
        }
    }
}


ngx_int_t
ngx_http_tee_client_keys_start(ngx_cycle_t *cycle,
    ngx_http_tee_client_keys_t *keys)
{
    ngx_uint_t                    i;
    ngx_http_tee_client_list_t  **list;

    /* not cancelable: who waits for it are requests */

    keys->wake.handler = ngx_http_tee_client_keys_wake;
    keys->wake.data = keys;
    keys->wake.log = cycle->log;

    list = keys->lists.elts;

    for (i = 0; i < keys->lists.nelts; i++) {

        if (ngx_http_tee_client_list_start(cycle, list[i]) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


void
ngx_http_tee_client_keys_stop(ngx_http_tee_client_keys_t *keys)
{
    ngx_uint_t                    i;
    ngx_queue_t                  *q;
    ngx_http_tee_client_wait_t   *wait;
    ngx_http_tee_client_list_t  **list;

    list = keys->lists.elts;

    for (i = 0; i < keys->lists.nelts; i++) {
        ngx_http_tee_client_list_stop(list[i]);
    }

    if (keys->wake.timer_set) {
        ngx_del_timer(&keys->wake);
    }

    while (!ngx_queue_empty(&keys->waiting)) {
        q = ngx_queue_head(&keys->waiting);
        ngx_queue_remove(q);

        wait = ngx_queue_data(q, ngx_http_tee_client_wait_t, queue);
        wait->waiting = 0;
    }

    keys->usable = 0;
}


/*
 * The first key of the first list that all of them have, to the byte.  What
 * one has not said anything about cannot be compared.
 */

static void
ngx_http_tee_client_keys_judge(ngx_http_tee_client_keys_t *keys)
{
    size_t                        n;
    ngx_uint_t                    i;
    tee_ohttp_key_t               common[NGX_HTTP_TEE_CLIENT_MAX_KEYS];
    ngx_http_tee_client_list_t  **list;

    keys->usable = 0;
    keys->differ = 0;

    list = keys->lists.elts;

    for (i = 0; i < keys->lists.nelts; i++) {
        if (list[i]->text.len == 0) {
            return;
        }
    }

    if (ngx_http_tee_client_list_read(&list[0]->text, common, &n) != TEE_OK) {
        return;
    }

    for (i = 1; i < keys->lists.nelts; i++) {

        n = ngx_http_tee_client_keys_common(common, n, list[i]);

        if (n == 0) {
            keys->differ = i;
            return;
        }
    }

    ngx_http_tee_client_keys_pair(&common[0], &keys->key);
    keys->usable = 1;
}


/* Leaves those that this list has as well. */

static size_t
ngx_http_tee_client_keys_common(tee_ohttp_key_t *keys, size_t n,
    ngx_http_tee_client_list_t *list)
{
    size_t           i, j, m, left;
    tee_ohttp_key_t  other[NGX_HTTP_TEE_CLIENT_MAX_KEYS];

    if (ngx_http_tee_client_list_read(&list->text, other, &m) != TEE_OK) {
        return 0;
    }

    left = 0;

    for (i = 0; i < n; i++) {

        for (j = 0; j < m; j++) {

            if (keys[i].id == other[j].id
                && keys[i].kem == other[j].kem
                && ngx_http_tee_client_keys_equal(keys[i].pk, other[j].pk)
                && ngx_http_tee_client_keys_equal(keys[i].suites,
                                                  other[j].suites))
            {
                keys[left++] = keys[i];
                break;
            }
        }
    }

    return left;
}


static ngx_uint_t
ngx_http_tee_client_keys_equal(tee_str_t a, tee_str_t b)
{
    return a.len == b.len && ngx_memcmp(a.data, b.data, a.len) == 0;
}


/* The first algorithms of a usable key that we know. */

static void
ngx_http_tee_client_keys_pair(const tee_ohttp_key_t *key,
    ngx_http_tee_client_key_t *to)
{
    size_t          i;
    const uint8_t  *p;

    to->header.id = key->id;
    to->header.kem = key->kem;
    to->pk = key->pk;

    for (i = 0; i + 4 <= key->suites.len; i += 4) {
        p = key->suites.data + i;

        to->header.kdf = p[0] << 8 | p[1];
        to->header.aead = p[2] << 8 | p[3];

        if (tee_ohttp_suite_known(to->header.kdf, to->header.aead)) {
            return;
        }
    }
}


void
ngx_http_tee_client_keys_fetched(ngx_http_tee_client_keys_t *keys,
    ngx_http_tee_client_list_t *fetched)
{
    ngx_uint_t                    i, was, usable, active;
    ngx_http_tee_client_key_t     key;
    ngx_http_tee_client_list_t  **list;

    key = keys->key;
    usable = keys->usable;
    was = keys->differ;

    ngx_http_tee_client_keys_judge(keys);

    active = 0;
    list = keys->lists.elts;

    for (i = 0; i < keys->lists.nelts; i++) {

        /* what the others have said may be old */

        if (keys->differ && !was && list[i] != fetched) {

            /* this one may have been fetched because of a request */

            (void) (list[i]->apart && !fetched->apart
                    ? ngx_http_tee_client_list_hurry(list[i])
                    : ngx_http_tee_client_list_ask(list[i], 0));
        }

        active |= list[i]->fetch && list[i]->fetch->active;
    }

    if (!active || !keys->differ) {
        ngx_http_tee_client_keys_tell(keys);
    }

    if (!ngx_queue_empty(&keys->waiting)
        && (!active
            || (keys->usable
                && (!usable
                    || !ngx_http_tee_client_keys_same(&key, &keys->key)))))
    {
        ngx_add_timer(&keys->wake, 0);
    }
}


static void
ngx_http_tee_client_keys_tell(ngx_http_tee_client_keys_t *keys)
{
    u_char                       *last, buf[1024];
    ngx_str_t                     names;
    ngx_uint_t                    i;
    ngx_http_tee_client_list_t  **list;

    if (keys->told == keys->differ) {
        return;
    }

    keys->told = keys->differ;

    list = keys->lists.elts;

    if (keys->differ == 0) {
        ngx_log_error(NGX_LOG_NOTICE, keys->wake.log, 0,
                      "tee client: keys of \"%V\" are in all lists again",
                      &list[0]->source);
        return;
    }

    last = buf + sizeof(buf);

    names.data = buf;
    names.len = ngx_slprintf(buf, last, "\"%V\"", &list[0]->source) - buf;

    for (i = 1; i < keys->differ; i++) {
        names.len = ngx_slprintf(buf + names.len, last, ", \"%V\"",
                                 &list[i]->source)
                    - buf;
    }

    ngx_log_error(NGX_LOG_ERR, keys->wake.log, 0,
                  "tee client: keys differ: \"%V\" has none of those of %V; "
                  "requests are refused until a key is in all lists",
                  &list[keys->differ]->source, &names);
}


void
ngx_http_tee_client_keys_hurry(ngx_http_tee_client_keys_t *keys)
{
    ngx_uint_t                    i;
    ngx_http_tee_client_list_t  **list;

    list = keys->lists.elts;

    for (i = 0; i < keys->lists.nelts; i++) {
        (void) ngx_http_tee_client_list_hurry(list[i]);
    }
}


ngx_int_t
ngx_http_tee_client_keys_wait(ngx_http_tee_client_keys_t *keys,
    ngx_http_tee_client_wait_t *wait)
{
    ngx_uint_t                    i, asked;
    ngx_http_tee_client_list_t  **list;

    asked = 0;
    list = keys->lists.elts;

    for (i = 0; i < keys->lists.nelts; i++) {
        if (ngx_http_tee_client_list_hurry(list[i]) == NGX_AGAIN) {
            asked = 1;
        }
    }

    if (!asked) {
        return NGX_DECLINED;
    }

    if (!keys->wake.timer_set) {
        ngx_add_timer(&keys->wake, NGX_HTTP_TEE_CLIENT_KEYS_WAIT);
    }

    wait->waiting = 1;
    ngx_queue_insert_tail(&keys->waiting, &wait->queue);

    return NGX_AGAIN;
}


void
ngx_http_tee_client_keys_wait_cancel(ngx_http_tee_client_keys_t *keys,
    ngx_http_tee_client_wait_t *wait)
{
    if (!wait->waiting) {
        return;
    }

    wait->waiting = 0;
    ngx_queue_remove(&wait->queue);

    if (ngx_queue_empty(&keys->waiting) && keys->wake.timer_set) {
        ngx_del_timer(&keys->wake);
    }
}


static void
ngx_http_tee_client_keys_wake(ngx_event_t *ev)
{
    ngx_http_tee_client_keys_t  *keys = ev->data;

    ngx_queue_t                  woken, *q;
    ngx_http_tee_client_wait_t  *wait;

    if (ngx_queue_empty(&keys->waiting)) {
        return;
    }

    /* some may wait again, and some let others go */

    ngx_queue_init(&woken);
    ngx_queue_add(&woken, &keys->waiting);
    ngx_queue_init(&keys->waiting);

    while (!ngx_queue_empty(&woken)) {
        q = ngx_queue_head(&woken);
        ngx_queue_remove(q);

        wait = ngx_queue_data(q, ngx_http_tee_client_wait_t, queue);

        wait->waiting = 0;
        wait->handler(wait->data);
    }
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
           && ngx_http_tee_client_keys_equal(a->pk, b->pk);
}
