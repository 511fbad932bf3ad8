
/*
 * Copyright (C) The ngx_http_tee authors
 */


#ifndef TEE_CRYPTO_STATE_H_INCLUDED
#define TEE_CRYPTO_STATE_H_INCLUDED


#include <openssl/ec.h>
#include <openssl/evp.h>

#include <tee.h>
#include <tee_aead.h>


/* Private to this layer. */

#define TEE_AEAD_N  3


struct tee_crypto_s {
    const tee_alloc_t    *alloc;
    EVP_CIPHER           *ciphers[TEE_AEAD_N];
    EVP_MD               *sha256;
    EVP_MD_CTX           *md;
    EC_GROUP             *p256;

    /* the other side of an agreement: each gets its bytes here */
    EVP_PKEY             *peer_x25519;
    EVP_PKEY             *peer_p256;
};


/* The other side of agreements, before it has a key; NULL: no memory. */

EVP_PKEY *tee_kem_peer(const char *type, const char *group);


#endif /* TEE_CRYPTO_STATE_H_INCLUDED */
