
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <ngx_http_tee.h>
#include <ngx_http_tee_client_ctx.h>


/* Whom a request is sealed to. */


/* How long a TEE that has failed is avoided, if there are others. */

#define NGX_HTTP_TEE_CLIENT_AVOID  30


/* Of a request, whom it may go to; or why there is nobody. */

typedef struct {
    ngx_http_tee_client_key_t      key;
    ngx_http_tee_snap_t           *snap;
    const tee_snapshot_entry_t    *entry;
    const char                    *reason;
    const char                    *detail;
} ngx_http_tee_client_found_t;


static ngx_int_t ngx_http_tee_client_find(ngx_http_request_t *r,
    ngx_http_tee_client_ctx_t *ctx, ngx_http_tee_client_found_t *f);
static ngx_int_t ngx_http_tee_client_find_key(
    ngx_http_tee_client_keys_t *keys, ngx_http_tee_client_found_t *f);
static ngx_int_t ngx_http_tee_client_find_id(
    ngx_http_tee_client_choice_t *choice, ngx_str_t *text,
    ngx_http_tee_client_found_t *f);
static ngx_int_t ngx_http_tee_client_nobody(ngx_http_tee_client_found_t *f,
    const char *reason, const char *detail);
static ngx_int_t ngx_http_tee_client_take_found(ngx_http_request_t *r,
    ngx_http_tee_client_ctx_t *ctx, ngx_http_tee_client_found_t *f);
static const tee_snapshot_entry_t *ngx_http_tee_client_draw(
    ngx_http_tee_client_choice_t *choice, tee_snapshot_t *image,
    const u_char *avoid);


ngx_int_t
ngx_http_tee_client_choose(ngx_http_request_t *r,
    ngx_http_tee_client_ctx_t *ctx)
{
    ngx_int_t                    rc;
    ngx_http_tee_client_found_t  found;

    rc = ngx_http_tee_client_find(r, ctx, &found);

    if (rc == NGX_OK) {
        rc = ngx_http_tee_client_take_found(r, ctx, &found);
    }

    if (rc == NGX_DECLINED) {
        return ngx_http_tee_client_refuse(r, NGX_HTTP_TEE_CLIENT_NO_TEE,
                                          NGX_HTTP_SERVICE_UNAVAILABLE,
                                          found.reason, found.detail);
    }

    return rc == NGX_OK ? NGX_OK : NGX_HTTP_INTERNAL_SERVER_ERROR;
}


ngx_int_t
ngx_http_tee_client_choose_other(ngx_http_request_t *r,
    ngx_http_tee_client_ctx_t *ctx)
{
    ngx_http_tee_client_found_t  found;

    if (ngx_http_tee_client_find(r, ctx, &found) != NGX_OK
        || (ngx_http_tee_client_keys_same(&found.key, &ctx->key)
            && (ctx->entry == NULL
                || ngx_memcmp(found.entry->tee_id, ctx->entry->tee_id, 32)
                   == 0)))
    {
        return NGX_DECLINED;
    }

    /* variables may point into the former one until the request ends */

    ctx->former = ctx->snap;
    ctx->snap = NULL;

    return ngx_http_tee_client_take_found(r, ctx, &found);
}


/* NGX_OK, NGX_DECLINED, NGX_ERROR */

static ngx_int_t
ngx_http_tee_client_find(ngx_http_request_t *r,
    ngx_http_tee_client_ctx_t *ctx, ngx_http_tee_client_found_t *f)
{
    ngx_str_t                      id;
    ngx_http_tee_client_whom_t    *whom;
    ngx_http_tee_client_choice_t  *choice;

    ngx_memzero(f, sizeof(ngx_http_tee_client_found_t));

    whom = ctx->conf->whom;
    choice = whom->choice;

    if (whom->keys) {
        return ngx_http_tee_client_find_key(whom->keys, f);
    }

    f->snap = ngx_http_tee_registry_snap(choice->registry);

    if (f->snap == NULL || f->snap->image->n == 0) {
        return ngx_http_tee_client_nobody(f, "registry_empty",
                                          "the registry has given no TEE yet, "
                                          "or lists none that can be used");
    }

    if (ngx_http_tee_registry_stale(choice->registry)) {
        return ngx_http_tee_client_nobody(f, "registry_stale",
                                          "the registry has not answered for "
                                          "longer than max_stale");
    }

    ngx_str_null(&id);

    if (whom->id && ngx_http_complex_value(r, whom->id, &id) != NGX_OK) {
        return NGX_ERROR;
    }

    if (id.len) {

        if (ngx_http_tee_client_find_id(choice, &id, f) != NGX_OK) {
            return NGX_DECLINED;
        }

    } else {
        f->entry = ngx_http_tee_client_current(choice, &f->snap);
    }

    if (f->entry == NULL) {
        ngx_http_tee_registry_hurry(choice->registry);

        return ngx_http_tee_client_nobody(f, "no_tee",
                                          "no TEE of the registry has a key "
                                          "to seal to and the PCRs that are "
                                          "asked for");
    }

    f->key.header.id = f->entry->key_id;
    f->key.header.kem = f->entry->kem_id;
    f->key.header.kdf = f->entry->kdf_id;
    f->key.header.aead = f->entry->aead_id;
    f->key.pk = tee_snapshot_str(f->snap->image, f->entry->ohttp_key);

    return NGX_OK;
}


static ngx_int_t
ngx_http_tee_client_find_key(ngx_http_tee_client_keys_t *keys,
    ngx_http_tee_client_found_t *f)
{
    const ngx_http_tee_client_key_t  *key;

    key = ngx_http_tee_client_keys_current(keys);

    if (key == NULL && keys->differ) {
        ngx_http_tee_client_keys_hurry(keys);

        return ngx_http_tee_client_nobody(f, "keys_differ",
                                          "no key is in all lists of the "
                                          "gateway's keys");
    }

    if (key == NULL) {
        return ngx_http_tee_client_nobody(f, "no_keys",
                                          "the gateway's keys are not known "
                                          "yet");
    }

    f->key = *key;

    return NGX_OK;
}


/* With NGX_OK there may be no entry: it is listed, but cannot be used. */

static ngx_int_t
ngx_http_tee_client_find_id(ngx_http_tee_client_choice_t *choice,
    ngx_str_t *text, ngx_http_tee_client_found_t *f)
{
    u_char  id[32];

    if (ngx_http_tee_parse_id(text, id) == NGX_OK) {
        f->entry = tee_snapshot_find(f->snap->image, id);
    }

    if (f->entry == NULL) {
        ngx_http_tee_registry_hurry(choice->registry);

        return ngx_http_tee_client_nobody(f, "unknown_tee",
                                          "the registry does not list this "
                                          "TEE");
    }

    if (!ngx_http_tee_client_usable(choice, f->entry)) {
        f->entry = NULL;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_tee_client_nobody(ngx_http_tee_client_found_t *f,
    const char *reason, const char *detail)
{
    f->reason = reason;
    f->detail = detail;

    return NGX_DECLINED;
}


/* Of a snapshot, the key stays as long as that; of a list, it may be another
 * one before the body has come. */

static ngx_int_t
ngx_http_tee_client_take_found(ngx_http_request_t *r,
    ngx_http_tee_client_ctx_t *ctx, ngx_http_tee_client_found_t *f)
{
    u_char  *pk;

    ctx->key = f->key;
    ctx->entry = f->entry;

    if (f->entry) {
        f->snap->refs++;
        ctx->snap = f->snap;

        return NGX_OK;
    }

    pk = ngx_pnalloc(r->pool, f->key.pk.len);
    if (pk == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(pk, f->key.pk.data, f->key.pk.len);
    ctx->key.pk.data = pk;

    return NGX_OK;
}


const tee_snapshot_entry_t *
ngx_http_tee_client_current(ngx_http_tee_client_choice_t *choice,
    ngx_http_tee_snap_t **snap)
{
    const u_char                *avoid;
    const tee_snapshot_entry_t  *entry;

    *snap = ngx_http_tee_registry_snap(choice->registry);

    if (*snap == NULL || ngx_http_tee_registry_stale(choice->registry)) {
        return NULL;
    }

    if (choice->chosen) {
        entry = tee_snapshot_find((*snap)->image, choice->id);

        if (entry && ngx_http_tee_client_usable(choice, entry)) {
            return entry;
        }
    }

    avoid = ngx_time() < choice->avoid_until ? choice->avoid : NULL;

    entry = ngx_http_tee_client_draw(choice, (*snap)->image, avoid);

    if (entry == NULL && avoid) {
        entry = ngx_http_tee_client_draw(choice, (*snap)->image, NULL);
    }

    choice->chosen = (entry != NULL);

    if (entry) {
        ngx_memcpy(choice->id, entry->tee_id, 32);
    }

    return entry;
}


/* Each of those that may be used is as likely as any other. */

static const tee_snapshot_entry_t *
ngx_http_tee_client_draw(ngx_http_tee_client_choice_t *choice,
    tee_snapshot_t *image, const u_char *avoid)
{
    ngx_uint_t                   i, n;
    const tee_snapshot_entry_t  *entry, *drawn;

    drawn = NULL;
    n = 0;

    for (i = 0; i < image->n; i++) {
        entry = &image->entries[i];

        if (!ngx_http_tee_client_usable(choice, entry)
            || (avoid && ngx_memcmp(entry->tee_id, avoid, 32) == 0))
        {
            continue;
        }

        if ((ngx_uint_t) ngx_random() % ++n == 0) {
            drawn = entry;
        }
    }

    return drawn;
}


ngx_uint_t
ngx_http_tee_client_usable(ngx_http_tee_client_choice_t *choice,
    const tee_snapshot_entry_t *entry)
{
    return entry->kem_id != 0
           && tee_ohttp_suite_known(entry->kdf_id, entry->aead_id)
           && (!choice->has_pcr
               || ngx_memcmp(entry->pcr_hash, choice->pcr, 32) == 0);
}


void
ngx_http_tee_client_avoid(ngx_http_tee_client_ctx_t *ctx)
{
    ngx_http_tee_client_choice_t  *choice;

    choice = ctx->conf->whom->choice;

    if (ctx->entry == NULL) {
        return;
    }

    ngx_http_tee_registry_hurry(choice->registry);

    if (!choice->chosen
        || ngx_memcmp(choice->id, ctx->entry->tee_id, 32) != 0)
    {
        return;
    }

    choice->chosen = 0;
    choice->avoid_until = ngx_time() + NGX_HTTP_TEE_CLIENT_AVOID;
    ngx_memcpy(choice->avoid, choice->id, 32);
}
