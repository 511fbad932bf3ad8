
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <ngx_http_tee_keys.h>
#include <tee_ohttp_keys.h>


/*
 * The keys of a gateway at run time.  Those of files stay what they are; those
 * of a seed are derived in each worker when their time comes, and destroyed
 * when it has gone.  Every use looks at the clock, so that it may jump; the
 * timer is for what nobody uses.
 */

#define NGX_HTTP_TEE_KEYS_CHECK  60                /* seconds, at most */


static ngx_int_t ngx_http_tee_keys_derive(ngx_http_tee_keys_t *keys,
    uint64_t epoch);
static void ngx_http_tee_keys_free(ngx_http_tee_key_t *key);
static void ngx_http_tee_keys_write(ngx_http_tee_keys_t *keys,
    tee_write_t *w, ngx_http_tee_key_t *key);
static void ngx_http_tee_keys_arm(ngx_http_tee_keys_t *keys);
static void ngx_http_tee_keys_timer(ngx_event_t *ev);


static tee_crypto_t  *ngx_http_tee_process_crypto;


tee_crypto_t *
ngx_http_tee_crypto(void)
{
    if (ngx_http_tee_process_crypto == NULL) {
        ngx_http_tee_process_crypto = tee_crypto_new(&ngx_http_tee_alloc);
    }

    return ngx_http_tee_process_crypto;
}


void
ngx_http_tee_crypto_done(void)
{
    if (ngx_http_tee_process_crypto) {
        tee_crypto_free(ngx_http_tee_process_crypto);
        ngx_http_tee_process_crypto = NULL;
    }
}


const tee_ohttp_private_t *
ngx_http_tee_gateway_key(void *data, uint8_t id)
{
    ngx_http_tee_keys_t  *keys = data;

    ngx_http_tee_keys_update(keys);

    return keys->keys[id].key ? &keys->keys[id].private : NULL;
}


void
ngx_http_tee_keys_update(ngx_http_tee_keys_t *keys)
{
    time_t               now;
    uint64_t             first, last, epoch, since, until;
    ngx_uint_t           i, failed;
    ngx_http_tee_key_t  *key;

    if (keys->secret == NULL) {
        return;
    }

    now = ngx_time();

    if (now >= keys->from && now < keys->next) {
        return;
    }

    tee_schedule_live(&keys->schedule, now, &first, &last);
    tee_schedule_list(&keys->schedule, now, &since, &until);

    for (i = 0; i < 256; i++) {
        key = &keys->keys[i];

        if (key->key && (key->epoch < first || key->epoch > last)) {
            ngx_http_tee_keys_free(key);
        }
    }

    failed = 0;

    for (epoch = first; epoch <= last; epoch++) {
        key = &keys->keys[tee_schedule_id(epoch)];

        if (key->key == NULL
            && ngx_http_tee_keys_derive(keys, epoch) != NGX_OK)
        {
            failed = 1;
            continue;
        }

        key->state = tee_schedule_state(&keys->schedule, epoch, now);
    }

    keys->n = 0;
    epoch = now / keys->schedule.rotate;

    while (epoch <= last) {
        keys->order[keys->n++] = tee_schedule_id(epoch++);
    }

    keys->since = since;
    keys->until = until;
    keys->from = now;
    keys->next = failed ? now + 1
                        : (time_t) tee_schedule_next(&keys->schedule, now);

    if (ngx_http_tee_keys_list(keys) != NGX_OK) {
        failed = 1;
    }

    if (failed && !keys->failing) {
        ngx_log_error(NGX_LOG_CRIT, ngx_cycle->log, 0,
                      "tee keys \"%V\": a key cannot be derived",
                      &keys->name);
    }

    keys->failing = failed;

    /* all workers do the same, and one says so */

    if (!failed && ngx_worker == 0) {
        ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                      "tee keys \"%V\": key %ui is active, %uL live",
                      &keys->name, (ngx_uint_t) keys->order[0],
                      last - first + 1);
    }
}


static ngx_int_t
ngx_http_tee_keys_derive(ngx_http_tee_keys_t *keys, uint64_t epoch)
{
    uint8_t              ikm[32];
    tee_rc_t             rc;
    tee_str_t            seed, in;
    tee_crypto_t        *crypto;
    ngx_http_tee_key_t  *key;

    crypto = ngx_http_tee_crypto();
    if (crypto == NULL) {
        return NGX_ERROR;
    }

    seed.data = keys->secret;
    seed.len = keys->secret_len;

    rc = tee_schedule_ikm(seed, ngx_http_tee_str(&keys->name),
                          (uint16_t) keys->kem, epoch, ikm);

    if (rc != TEE_OK) {
        return NGX_ERROR;
    }

    key = &keys->keys[tee_schedule_id(epoch)];

    in.data = ikm;
    in.len = sizeof(ikm);

    rc = tee_hpke_key_derive(crypto, (uint16_t) keys->kem, in, &key->key);

    tee_wipe(ikm, sizeof(ikm));

    if (rc != TEE_OK) {
        return NGX_ERROR;
    }

    key->epoch = epoch;
    key->private.key = key->key;
    key->private.id = tee_schedule_id(epoch);
    key->private.suites.data = keys->suites;
    key->private.suites.len = keys->suites_len;

    return NGX_OK;
}


static void
ngx_http_tee_keys_free(ngx_http_tee_key_t *key)
{
    if (key->key) {
        tee_hpke_key_free(key->key);
    }

    key->key = NULL;
    key->private.key = NULL;
}


/* RFC 9458, 3.2: the first is the one that we prefer. */

ngx_int_t
ngx_http_tee_keys_list(ngx_http_tee_keys_t *keys)
{
    ngx_uint_t           i, pass;
    tee_write_t          w;
    ngx_http_tee_key_t  *key;

    static const tee_key_state_t  states[] = {
        TEE_KEY_ACTIVE, TEE_KEY_ANNOUNCED
    };

    tee_write_fixed(&w, keys->list, keys->list_size);
    keys->list_len = 0;

    for (pass = 0; pass < 2; pass++) {
        for (i = 0; i < keys->n; i++) {
            key = &keys->keys[keys->order[i]];

            if (key->state != states[pass]) {
                continue;
            }

            /* a list without the key that everybody else has is no list */

            if (key->key == NULL) {
                return NGX_ERROR;
            }

            ngx_http_tee_keys_write(keys, &w, key);
        }
    }

    if (tee_write_rc(&w) != TEE_OK) {
        return NGX_ERROR;
    }

    keys->list_len = w.len;

    return NGX_OK;
}


static void
ngx_http_tee_keys_write(ngx_http_tee_keys_t *keys, tee_write_t *w,
    ngx_http_tee_key_t *key)
{
    tee_ohttp_key_t  public;

    public.id = key->private.id;
    public.kem = tee_hpke_key_kem(key->key);
    public.pk = tee_hpke_key_public(key->key);
    public.suites = key->private.suites;

    tee_write_u16(w, (uint16_t) tee_ohttp_key_len(&public));
    tee_ohttp_key_write(w, &public);
}


void
ngx_http_tee_keys_start(ngx_http_tee_keys_t *keys)
{
    if (keys->secret == NULL) {
        return;
    }

    /* locks are not inherited; it may not be allowed */

    (void) mlock(keys->secret, NGX_HTTP_TEE_SECRET_MAX);

    keys->timer.handler = ngx_http_tee_keys_timer;
    keys->timer.data = keys;
    keys->timer.log = ngx_cycle->log;
    keys->timer.cancelable = 1;

    ngx_http_tee_keys_update(keys);
    ngx_http_tee_keys_arm(keys);
}


static void
ngx_http_tee_keys_arm(ngx_http_tee_keys_t *keys)
{
    time_t  wait;

    wait = keys->next - ngx_time();
    wait = ngx_max(wait, 1);

    ngx_add_timer(&keys->timer,
                  (ngx_msec_t) ngx_min(wait, NGX_HTTP_TEE_KEYS_CHECK) * 1000);
}


static void
ngx_http_tee_keys_timer(ngx_event_t *ev)
{
    ngx_http_tee_keys_t  *keys = ev->data;

    ngx_http_tee_keys_update(keys);
    ngx_http_tee_keys_arm(keys);
}


void
ngx_http_tee_keys_wipe(ngx_http_tee_keys_t *keys)
{
    ngx_uint_t  i;

    if (keys->timer.timer_set) {
        ngx_del_timer(&keys->timer);
    }

    for (i = 0; i < 256; i++) {
        ngx_http_tee_keys_free(&keys->keys[i]);
    }

    if (keys->secret) {
        ngx_http_tee_secret_free(keys->secret);
        keys->secret = NULL;
    }
}
