
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <ngx_http_tee_keys.h>


/*
 * The tee_gateway_keys block: its directives, files and checks.  Files are
 * read by the master process, which may read what workers may not.
 */

#define NGX_HTTP_TEE_SEED_MIN  32
#define NGX_HTTP_TEE_SEED_MAX  4096

/* A key in the list: a length, id, KEM, public key, suites and their length. */

#define NGX_HTTP_TEE_KEYS_ENTRY                                               \
    (2 + 1 + 2 + TEE_HPKE_MAX_PK + 2 + 4 * NGX_HTTP_TEE_KEYS_MAX_SUITES)


static char *ngx_http_tee_keys_key(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_tee_keys_load(ngx_conf_t *cf, ngx_http_tee_keys_t *keys,
    ngx_uint_t id, ngx_str_t *path);
static char *ngx_http_tee_keys_suite(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_tee_keys_finish(ngx_conf_t *cf,
    ngx_http_tee_keys_t *keys);
static const char *ngx_http_tee_keys_check_files(ngx_http_tee_keys_t *keys);
static const char *ngx_http_tee_keys_check_seed(ngx_http_tee_keys_t *keys);
static ngx_int_t ngx_http_tee_keys_seed(ngx_conf_t *cf,
    ngx_http_tee_keys_t *keys);
static void ngx_http_tee_keys_cleanup(void *data);


static ngx_conf_enum_t  ngx_http_tee_keys_kems[] = {
    { ngx_string("x25519"), TEE_KEM_X25519 },
    { ngx_string("p256"), TEE_KEM_P256 },
    { ngx_string("x-wing"), TEE_KEM_X_WING },
    { ngx_null_string, 0 }
};


static ngx_conf_enum_t  ngx_http_tee_keys_states[] = {
    { ngx_string("active"), TEE_KEY_ACTIVE },
    { ngx_string("announce"), TEE_KEY_ANNOUNCED },
    { ngx_string("accept"), TEE_KEY_ACCEPTED },
    { ngx_null_string, 0 }
};


static ngx_conf_enum_t  ngx_http_tee_keys_aeads[] = {
    { ngx_string("aes-128-gcm"), TEE_AEAD_AES_128_GCM },
    { ngx_string("aes-256-gcm"), TEE_AEAD_AES_256_GCM },
    { ngx_string("chacha20-poly1305"), TEE_AEAD_CHACHA20 },
    { ngx_null_string, 0 }
};


#define ngx_http_tee_keys_slot(name, args, set, field, post)                  \
    { ngx_string(name), args, set, 0,                                         \
      offsetof(ngx_http_tee_keys_t, field), post }


static ngx_command_t  ngx_http_tee_keys_directives[] = {

    ngx_http_tee_keys_slot("seed", NGX_CONF_TAKE1,
        ngx_conf_set_str_slot, seed, NULL),

    ngx_http_tee_keys_slot("rotate", NGX_CONF_TAKE1,
        ngx_conf_set_sec_slot, rotate, NULL),

    ngx_http_tee_keys_slot("announce", NGX_CONF_TAKE1,
        ngx_conf_set_sec_slot, announce, NULL),

    ngx_http_tee_keys_slot("accept", NGX_CONF_TAKE1,
        ngx_conf_set_sec_slot, accept, NULL),

    ngx_http_tee_keys_slot("kem", NGX_CONF_TAKE1,
        ngx_conf_set_enum_slot, kem, &ngx_http_tee_keys_kems),

    ngx_http_tee_keys_slot("key", NGX_CONF_TAKE23,
        ngx_http_tee_keys_key, keys, NULL),

    ngx_http_tee_keys_slot("suite", NGX_CONF_TAKE2,
        ngx_http_tee_keys_suite, suites, NULL),

    { ngx_null_string, 0, NULL, 0, 0, NULL }
};


char *
ngx_http_tee_keys_block(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char                  *rv;
    ngx_str_t             *value;
    ngx_pool_cleanup_t    *cln;
    ngx_http_tee_keys_t  **slot, *keys;

    value = cf->args->elts;

    if (value[1].len == 0 || value[1].len > 255
        || ngx_http_tee_gateway_keys_find(cf, &value[1]))
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "keys \"%V\": the name is empty, too long or a "
                           "duplicate", &value[1]);
        return NGX_CONF_ERROR;
    }

    keys = ngx_pcalloc(cf->pool, sizeof(ngx_http_tee_keys_t));
    if (keys == NULL) {
        return NGX_CONF_ERROR;
    }

    cln = ngx_pool_cleanup_add(cf->pool, 0);
    if (cln == NULL) {
        return NGX_CONF_ERROR;
    }

    cln->handler = ngx_http_tee_keys_cleanup;
    cln->data = keys;

    keys->name = value[1];
    keys->rotate = NGX_CONF_UNSET;
    keys->announce = NGX_CONF_UNSET;
    keys->accept = NGX_CONF_UNSET;
    keys->kem = NGX_CONF_UNSET_UINT;
    keys->profile = NGX_CONF_UNSET_UINT;

    slot = ngx_array_push(ngx_http_tee_keys_array(cf));
    if (slot == NULL) {
        return NGX_CONF_ERROR;
    }

    *slot = keys;

    rv = ngx_http_tee_block(cf, ngx_http_tee_keys_directives, keys);

    if (rv != NGX_CONF_OK) {
        return rv;
    }

    return ngx_http_tee_keys_finish(cf, keys);
}


static char *
ngx_http_tee_keys_key(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_tee_keys_t  *keys = conf;

    ngx_int_t         id;
    ngx_str_t        *value, path;
    ngx_uint_t        state;
    ngx_conf_enum_t  *e;

    value = cf->args->elts;

    id = ngx_atoi(value[1].data, value[1].len);

    if (id == NGX_ERROR || id > 255) {
        return "needs an id from 0 to 255";
    }

    state = TEE_KEY_ACTIVE;

    if (cf->args->nelts == 4) {

        for (e = ngx_http_tee_keys_states; e->name.len; e++) {
            if (e->name.len == value[3].len
                && ngx_strncmp(e->name.data, value[3].data, e->name.len) == 0)
            {
                break;
            }
        }

        if (e->name.len == 0) {
            return "takes \"active\", \"announce\" or \"accept\"";
        }

        state = e->value;
    }

    if (keys->keys[id].key) {
        return "is there twice with one id: a request could not say which "
               "key it is for";
    }

    path = value[2];

    if (ngx_conf_full_name(cf->cycle, &path, 1) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    keys->keys[id].state = state;

    return ngx_http_tee_keys_load(cf, keys, id, &path);
}


static char *
ngx_http_tee_keys_load(ngx_conf_t *cf, ngx_http_tee_keys_t *keys,
    ngx_uint_t id, ngx_str_t *path)
{
    time_t               modified;
    tee_rc_t             rc;
    ngx_str_t            pem;
    const char          *why;
    tee_crypto_t        *crypto;
    ngx_http_tee_key_t  *key;

    key = &keys->keys[id];

    crypto = ngx_http_tee_crypto();

    if (crypto == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "keys \"%V\": libcrypto lacks an algorithm",
                           &keys->name);
        return NGX_CONF_ERROR;
    }

    if (ngx_http_tee_secret_read(cf, "key", path, NGX_HTTP_TEE_SECRET_MAX,
                                 &pem, &modified)
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    rc = tee_hpke_key_pem(crypto, ngx_http_tee_str(&pem), &key->key);

    ngx_http_tee_secret_free(pem.data);

    if (rc != TEE_OK) {
        why = rc == TEE_MALFORMED || rc == TEE_UNSUPPORTED
              ? "must have one X25519 or P-256 private key in PEM (PKCS #8, "
                "without a password) and nothing else; \"openssl genpkey "
                "-algorithm X25519\" makes one"
              : "cannot be used";

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "keys \"%V\": key \"%V\" %s",
                           &keys->name, path, why);
        return NGX_CONF_ERROR;
    }

    key->private.key = key->key;
    key->private.id = (uint8_t) id;
    key->private.suites.data = keys->suites;

    keys->modified = ngx_max(keys->modified, modified);
    keys->order[keys->n++] = (u_char) id;

    return NGX_CONF_OK;
}


static char *
ngx_http_tee_keys_suite(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_tee_keys_t  *keys = conf;

    u_char           *p;
    size_t            i;
    ngx_str_t        *value;
    ngx_conf_enum_t  *e;

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "hkdf-sha256") != 0) {
        return "needs \"hkdf-sha256\" first";
    }

    for (e = ngx_http_tee_keys_aeads; e->name.len; e++) {
        if (e->name.len == value[2].len
            && ngx_strncmp(e->name.data, value[2].data, e->name.len) == 0)
        {
            break;
        }
    }

    if (e->name.len == 0) {
        return "takes \"aes-128-gcm\", \"aes-256-gcm\" or "
               "\"chacha20-poly1305\"";
    }

    for (i = 0; i < keys->suites_len; i += 4) {
        if (keys->suites[i + 3] == e->value) {
            return "is duplicate";
        }
    }

    p = keys->suites + keys->suites_len;

    *p++ = 0;
    *p++ = TEE_KDF_HKDF_SHA256;
    *p++ = 0;
    *p++ = (u_char) e->value;

    keys->suites_len += 4;

    return NGX_CONF_OK;
}


static char *
ngx_http_tee_keys_finish(ngx_conf_t *cf, ngx_http_tee_keys_t *keys)
{
    time_t       modified;
    ngx_uint_t   i;
    const char  *why;

    static u_char  suites[] = {
        0, TEE_KDF_HKDF_SHA256, 0, TEE_AEAD_AES_128_GCM,
        0, TEE_KDF_HKDF_SHA256, 0, TEE_AEAD_CHACHA20
    };

    if (keys->suites_len == 0) {
        ngx_memcpy(keys->suites, suites, sizeof(suites));
        keys->suites_len = sizeof(suites);
    }

    why = keys->seed.len ? ngx_http_tee_keys_check_seed(keys)
                         : ngx_http_tee_keys_check_files(keys);

    if (why) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "keys \"%V\": %s",
                           &keys->name, why);
        return NGX_CONF_ERROR;
    }

    if (keys->seed.len && ngx_http_tee_keys_seed(cf, keys) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    keys->list_size = (keys->seed.len ? 2 : keys->n)
                      * NGX_HTTP_TEE_KEYS_ENTRY;

    keys->list = ngx_palloc(cf->pool, keys->list_size);
    if (keys->list == NULL) {
        return NGX_CONF_ERROR;
    }

    if (keys->seed.len) {
        return NGX_CONF_OK;
    }

    /* other suites are other bytes, and come from this file */

    modified = ngx_file_mtime(&cf->conf_file->file.info);
    keys->modified = ngx_max(keys->modified, modified);

    for (i = 0; i < keys->n; i++) {
        keys->keys[keys->order[i]].private.suites.len = keys->suites_len;
    }

    return ngx_http_tee_keys_list(keys) == NGX_OK ? NGX_CONF_OK
                                                  : NGX_CONF_ERROR;
}


static const char *
ngx_http_tee_keys_check_files(ngx_http_tee_keys_t *keys)
{
    ngx_uint_t  i;

    if (keys->n == 0) {
        return "needs \"seed\" or \"key\"";
    }

    if (keys->rotate != NGX_CONF_UNSET
        || keys->announce != NGX_CONF_UNSET
        || keys->accept != NGX_CONF_UNSET)
    {
        return "\"rotate\", \"announce\" and \"accept\" are for a \"seed\"; "
               "keys from files have a state each";
    }

    if (keys->kem != NGX_CONF_UNSET_UINT) {
        return "\"kem\" is for a \"seed\"; a key file says by itself what it "
               "is for";
    }

    for (i = 0; i < keys->n; i++) {
        if (keys->keys[keys->order[i]].state == TEE_KEY_ACTIVE) {
            return NULL;
        }
    }

    return "needs a key that is \"active\"";
}


static const char *
ngx_http_tee_keys_check_seed(ngx_http_tee_keys_t *keys)
{
    if (keys->n) {
        return "has \"seed\" and \"key\"; it takes either";
    }

    ngx_conf_init_uint_value(keys->kem, TEE_KEM_X25519);
    ngx_conf_init_value(keys->rotate, 7 * 24 * 60 * 60);
    ngx_conf_init_value(keys->announce, keys->rotate / 7);
    ngx_conf_init_value(keys->accept, keys->rotate);

    if (tee_hpke_pk_len((uint16_t) keys->kem) == 0) {
        return "\"kem\" is not in this version of libcrypto; \"x-wing\" needs "
               "OpenSSL 3.5";
    }

    if (keys->rotate == 0) {
        return "\"rotate\" must not be zero";
    }

    if (keys->announce >= keys->rotate) {
        return "\"announce\" must be less than \"rotate\"";
    }

    if (keys->accept == 0) {
        return "\"accept\" must not be zero: requests that are on their way "
               "when a key ends would be lost";
    }

    keys->schedule.rotate = keys->rotate;
    keys->schedule.announce = keys->announce;
    keys->schedule.accept = keys->accept;

    if (tee_schedule_check(&keys->schedule) != TEE_OK) {
        return "more than 256 keys would live at once, or a time is too "
               "long; reduce \"accept\" or increase \"rotate\"";
    }

    return NULL;
}


static ngx_int_t
ngx_http_tee_keys_seed(ngx_conf_t *cf, ngx_http_tee_keys_t *keys)
{
    ngx_str_t  secret;

    if (ngx_conf_full_name(cf->cycle, &keys->seed, 1) != NGX_OK
        || ngx_http_tee_secret_read(cf, "seed", &keys->seed,
                                    NGX_HTTP_TEE_SEED_MAX, &secret, NULL)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    keys->secret = secret.data;
    keys->secret_len = secret.len;

    if (secret.len < NGX_HTTP_TEE_SEED_MIN) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "keys \"%V\": seed \"%V\" has %uz bytes; it takes "
                           "32 random ones at least, for instance those of "
                           "\"openssl rand 32\"",
                           &keys->name, &keys->seed, secret.len);
        return NGX_ERROR;
    }

    return NGX_OK;
}


static void
ngx_http_tee_keys_cleanup(void *data)
{
    ngx_http_tee_keys_wipe(data);
}
