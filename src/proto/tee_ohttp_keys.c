
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <string.h>

#include <tee_hpke.h>
#include <tee_ohttp_keys.h>
#include <tee_read.h>


static int tee_ohttp_keys_have(const tee_ohttp_key_t *keys, size_t n,
    const tee_ohttp_key_t *key);


size_t
tee_ohttp_kem_pk_len(uint16_t kem)
{
    return tee_hpke_pk_len(kem);
}


int
tee_ohttp_suite_known(uint16_t kdf, uint16_t aead)
{
    return kdf == TEE_KDF_HKDF_SHA256
           && (aead == TEE_AEAD_AES_128_GCM
               || aead == TEE_AEAD_AES_256_GCM
               || aead == TEE_AEAD_CHACHA20);
}


tee_rc_t
tee_ohttp_key_parse(tee_str_t in, tee_ohttp_key_t *key)
{
    size_t      pk_len;
    tee_rc_t    rc;
    tee_read_t  r;

    memset(key, 0, sizeof(tee_ohttp_key_t));

    tee_read_init(&r, in);

    key->id = tee_read_u8(&r);
    key->kem = tee_read_u16(&r);

    rc = TEE_MALFORMED;

    if (tee_read_bad(&r)) {
        goto failed;
    }

    pk_len = tee_ohttp_kem_pk_len(key->kem);

    if (pk_len == 0) {
        /* Npk is unknown, so the rest of this key cannot be read */
        rc = TEE_UNSUPPORTED;
        goto failed;
    }

    key->pk = tee_read_bytes(&r, pk_len);
    key->suites = tee_read_vec16(&r);

    if (tee_read_bad(&r)
        || tee_read_left(&r) != 0
        || key->suites.len == 0
        || key->suites.len % 4 != 0)
    {
        goto failed;
    }

    return TEE_OK;

failed:

    memset(key, 0, sizeof(tee_ohttp_key_t));

    return rc;
}


tee_rc_t
tee_ohttp_keys_parse(tee_str_t in, tee_ohttp_key_t *keys, size_t *n)
{
    size_t           room, used;
    tee_rc_t         rc;
    tee_str_t        one;
    tee_read_t       r;
    tee_ohttp_key_t  key;

    room = *n;
    used = 0;
    *n = 0;

    if (in.len > TEE_OHTTP_KEYS_MAX_LEN) {
        return TEE_LIMIT;
    }

    tee_read_init(&r, in);

    do {
        one = tee_read_vec16(&r);
        rc = tee_ohttp_key_parse(one, &key);

        if (rc == TEE_UNSUPPORTED) {
            continue;
        }

        if (rc != TEE_OK) {
            return rc;
        }

        if (tee_ohttp_keys_have(keys, used, &key)) {
            continue;
        }

        if (used == room) {
            return TEE_LIMIT;
        }

        keys[used++] = key;

    } while (tee_read_left(&r));

    *n = used;

    return TEE_OK;
}


static int
tee_ohttp_keys_have(const tee_ohttp_key_t *keys, size_t n,
    const tee_ohttp_key_t *key)
{
    size_t  i;

    for (i = 0; i < n; i++) {
        if (keys[i].id == key->id && keys[i].kem == key->kem) {
            return 1;
        }
    }

    return 0;
}


void
tee_ohttp_key_write(tee_write_t *w, const tee_ohttp_key_t *key)
{
    tee_write_u8(w, key->id);
    tee_write_u16(w, key->kem);
    tee_write_bytes(w, key->pk.data, key->pk.len);
    tee_write_u16(w, (uint16_t) key->suites.len);
    tee_write_bytes(w, key->suites.data, key->suites.len);
}


size_t
tee_ohttp_key_len(const tee_ohttp_key_t *key)
{
    return 1 + 2 + key->pk.len + 2 + key->suites.len;
}


int
tee_ohttp_key_has(const tee_ohttp_key_t *key, uint16_t kdf, uint16_t aead)
{
    tee_read_t  r;

    tee_read_init(&r, key->suites);

    while (tee_read_left(&r)) {
        if (tee_read_u16(&r) == kdf) {
            if (tee_read_u16(&r) == aead) {
                return 1;
            }

        } else {
            (void) tee_read_u16(&r);
        }
    }

    return 0;
}


tee_rc_t
tee_ohttp_key_usable(const tee_ohttp_key_t *key)
{
    uint16_t    kdf, aead;
    tee_read_t  r;

    tee_read_init(&r, key->suites);

    do {
        if (tee_read_left(&r) == 0) {
            return TEE_UNSUPPORTED;
        }

        kdf = tee_read_u16(&r);
        aead = tee_read_u16(&r);

    } while (!tee_ohttp_suite_known(kdf, aead));

    return tee_hpke_public_check(key->kem, key->pk);
}
