
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <ngx_http_tee.h>
#include <ngx_http_tee_verify.h>


/*
 * To make a key ready takes longer than to verify a signature with it, and few
 * TEEs sign most answers.  An id is the hash of its key, so what is found by
 * it is right in any list, of any registry.
 */


#define NGX_HTTP_TEE_VERIFY_KEYS  64


/* The place of a key is in its id; the place is one of its users. */

static ngx_http_tee_verify_key_t
    *ngx_http_tee_verify_keys[NGX_HTTP_TEE_VERIFY_KEYS];


ngx_http_tee_verify_key_t *
ngx_http_tee_verify_key_get(u_char id[32], tee_str_t spki)
{
    ngx_http_tee_verify_key_t  *key, **place;

    place = &ngx_http_tee_verify_keys[id[0] % NGX_HTTP_TEE_VERIFY_KEYS];
    key = *place;

    if (key && ngx_memcmp(key->key.tee_id, id, 32) == 0) {
        key->users++;
        return key;
    }

    key = ngx_calloc(sizeof(ngx_http_tee_verify_key_t), ngx_cycle->log);
    if (key == NULL) {
        return NULL;
    }

    if (tee_signed_key_init(&key->key, spki) != TEE_OK) {
        ngx_free(key);
        return NULL;
    }

    ngx_http_tee_verify_key_put(*place);

    *place = key;
    key->users = 2;

    return key;
}


void
ngx_http_tee_verify_key_put(ngx_http_tee_verify_key_t *key)
{
    if (key == NULL || --key->users) {
        return;
    }

    tee_signed_key_free(&key->key);
    ngx_free(key);
}
