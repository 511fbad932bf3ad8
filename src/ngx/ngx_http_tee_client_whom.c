
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <ngx_http_tee.h>
#include <ngx_http_tee_client_ctx.h>


/* Whom a request is sealed to. */


/* How long a TEE that has failed is avoided, if there are others. */

#define NGX_HTTP_TEE_CLIENT_AVOID  30


static ngx_int_t ngx_http_tee_client_by_id(ngx_http_request_t *r,
    ngx_http_tee_client_ctx_t *ctx, ngx_str_t *text);
static ngx_int_t ngx_http_tee_client_no_tee(ngx_http_request_t *r,
    ngx_http_tee_client_ctx_t *ctx);
static const tee_snapshot_entry_t *ngx_http_tee_client_draw(
    ngx_http_tee_client_choice_t *choice, tee_snapshot_t *image,
    const u_char *avoid);


ngx_int_t
ngx_http_tee_client_choose(ngx_http_request_t *r,
    ngx_http_tee_client_ctx_t *ctx)
{
    ngx_int_t                         rc;
    ngx_str_t                         id;
    ngx_http_tee_snap_t              *snap;
    ngx_http_tee_client_whom_t       *whom;
    const ngx_http_tee_client_key_t  *key;

    whom = ctx->conf->whom;

    if (whom->keys) {
        key = ngx_http_tee_client_keys_current(whom->keys);

        if (key == NULL) {
            return ngx_http_tee_client_keys_refuse(r, whom->keys);
        }

        ctx->key = *key;

        /* the list may be another one before the body has come */

        ctx->key.pk.data = ngx_pnalloc(r->pool, key->pk.len);
        if (ctx->key.pk.data == NULL) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        ngx_memcpy((u_char *) ctx->key.pk.data, key->pk.data, key->pk.len);

        return NGX_OK;
    }

    snap = ngx_http_tee_registry_snap(whom->choice->registry);

    if (snap == NULL || snap->image->n == 0) {
        return ngx_http_tee_client_refuse(r, NGX_HTTP_TEE_CLIENT_NO_TEE,
                                          NGX_HTTP_SERVICE_UNAVAILABLE,
                                          "registry_empty",
                                          "the registry has given no TEE yet, "
                                          "or lists none that can be used");
    }

    if (ngx_http_tee_registry_stale(whom->choice->registry)) {
        return ngx_http_tee_client_refuse(r, NGX_HTTP_TEE_CLIENT_NO_TEE,
                                          NGX_HTTP_SERVICE_UNAVAILABLE,
                                          "registry_stale",
                                          "the registry has not answered for "
                                          "longer than max_stale");
    }

    ngx_str_null(&id);

    if (whom->id && ngx_http_complex_value(r, whom->id, &id) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (id.len) {
        snap->refs++;
        ctx->snap = snap;

        rc = ngx_http_tee_client_by_id(r, ctx, &id);

        if (rc != NGX_OK) {
            return rc;
        }

    } else {
        ctx->entry = ngx_http_tee_client_current(whom->choice, &snap);

        if (ctx->entry == NULL) {
            return ngx_http_tee_client_no_tee(r, ctx);
        }

        snap->refs++;
        ctx->snap = snap;
    }

    ctx->key.header.id = ctx->entry->key_id;
    ctx->key.header.kem = ctx->entry->kem_id;
    ctx->key.header.kdf = ctx->entry->kdf_id;
    ctx->key.header.aead = ctx->entry->aead_id;
    ctx->key.pk = tee_snapshot_str(ctx->snap->image, ctx->entry->ohttp_key);

    return NGX_OK;
}


static ngx_int_t
ngx_http_tee_client_by_id(ngx_http_request_t *r,
    ngx_http_tee_client_ctx_t *ctx, ngx_str_t *text)
{
    u_char                         id[32];
    ngx_http_tee_client_choice_t  *choice;

    choice = ctx->conf->whom->choice;

    if (ngx_http_tee_parse_id(text, id) == NGX_OK) {
        ctx->entry = tee_snapshot_find(ctx->snap->image, id);
    }

    if (ctx->entry == NULL) {
        ngx_http_tee_registry_hurry(choice->registry);

        return ngx_http_tee_client_refuse(r, NGX_HTTP_TEE_CLIENT_NO_TEE,
                                          NGX_HTTP_SERVICE_UNAVAILABLE,
                                          "unknown_tee",
                                          "the registry does not list this "
                                          "TEE");
    }

    if (!ngx_http_tee_client_usable(choice, ctx->entry)) {
        ctx->entry = NULL;
        return ngx_http_tee_client_no_tee(r, ctx);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_tee_client_no_tee(ngx_http_request_t *r,
    ngx_http_tee_client_ctx_t *ctx)
{
    ngx_http_tee_registry_hurry(ctx->conf->whom->choice->registry);

    return ngx_http_tee_client_refuse(r, NGX_HTTP_TEE_CLIENT_NO_TEE,
                                      NGX_HTTP_SERVICE_UNAVAILABLE, "no_tee",
                                      "no TEE of the registry has a key to "
                                      "seal to and the PCRs that are asked "
                                      "for");
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
