
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <string.h>

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include <tee_crypto.h>
#include <tee_openssl.h>


tee_rc_t
tee_sha256(tee_str_t in, uint8_t digest[32])
{
    tee_rc_t  rc;

    static const uint8_t  nothing[1];

    ERR_set_mark();

    rc = TEE_OK;

    if (EVP_Digest(in.len ? in.data : nothing, in.len, digest, NULL,
                   EVP_sha256(), NULL)
        != 1)
    {
        memset(digest, 0, 32);
        rc = TEE_NOMEM;
    }

    ERR_pop_to_mark();

    return rc;
}


tee_rc_t
tee_crypto_p256_point(const uint8_t point[65])
{
    char           group[] = "prime256v1";
    uint8_t        pub[65];
    tee_rc_t       rc;
    EVP_PKEY      *pkey;
    OSSL_PARAM     params[3];
    EVP_PKEY_CTX  *ctx, *check;

    if (point[0] != 4) {
        return TEE_CRYPTO;
    }

    memcpy(pub, point, 65);

    params[0] = OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME,
                                                 group, 0);
    params[1] = OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, pub,
                                                  65);
    params[2] = OSSL_PARAM_construct_end();

    ERR_set_mark();

    rc = TEE_NOMEM;
    pkey = NULL;
    check = NULL;

    ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);

    if (ctx == NULL || EVP_PKEY_fromdata_init(ctx) != 1) {
        goto done;
    }

    if (EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_PUBLIC_KEY, params) != 1) {
        rc = tee_openssl_rc(TEE_CRYPTO);
        goto done;
    }

    check = EVP_PKEY_CTX_new_from_pkey(NULL, pkey, NULL);
    if (check == NULL) {
        goto done;
    }

    rc = EVP_PKEY_public_check(check) == 1 ? TEE_OK
                                           : tee_openssl_rc(TEE_CRYPTO);

done:

    EVP_PKEY_CTX_free(check);
    EVP_PKEY_free(pkey);
    EVP_PKEY_CTX_free(ctx);
    ERR_pop_to_mark();

    return rc;
}


tee_rc_t
tee_openssl_rc(tee_rc_t rc)
{
    unsigned long  err;

    err = ERR_peek_last_error();

    return ERR_GET_REASON(err) == ERR_R_MALLOC_FAILURE ? TEE_NOMEM : rc;
}
