
/*
 * Copyright (C) The ngx_http_tee authors
 */


#ifndef TEE_KEM_H_INCLUDED
#define TEE_KEM_H_INCLUDED


#include <openssl/evp.h>

#include <tee.h>
#include <tee_hpke.h>


/* Private to this layer: the key encapsulation of HPKE; RFC 9180, 4. */

#define TEE_KEM_SECRET_LEN  32

#define TEE_KEM_P256_LEN    65
#define TEE_KEM_X25519_LEN  32
#define TEE_KEM_MLKEM_PK    1184               /* ML-KEM-768; FIPS 203, 8 */
#define TEE_KEM_MLKEM_CT    1088
#define TEE_KEM_MLKEM_SEED  64


struct tee_hpke_key_s {
    tee_crypto_t         *crypto;
    EVP_PKEY             *pkey;
    EVP_PKEY_CTX         *derive;              /* used for every agreement */
    EVP_PKEY             *mlkem;               /* X-Wing */
    EVP_PKEY_CTX         *decap;
    uint16_t              kem;
    size_t                pk_len;
    uint8_t               pk[TEE_HPKE_MAX_PK];
};


/* Labels of HPKE before HKDF; RFC 9180, 4. */

TEE_MUST_CHECK tee_rc_t tee_kem_labeled_extract(tee_crypto_t *crypto,
    tee_str_t suite_id, tee_str_t salt, const char *label, tee_str_t ikm,
    uint8_t prk[32]);
TEE_MUST_CHECK tee_rc_t tee_kem_labeled_expand(tee_crypto_t *crypto,
    tee_str_t suite_id, const uint8_t prk[32], const char *label,
    tee_str_t info, uint8_t *out, size_t len);

/*
 * Encap() with the randomness of the caller, and Decap(); lengths have been
 * checked.
 *
 * TEE_OK, TEE_CRYPTO, TEE_NOMEM; "secret" is cleared on failure
 */

TEE_MUST_CHECK tee_rc_t tee_kem_encap(tee_crypto_t *crypto, uint16_t kem,
    tee_str_t pk, const tee_hpke_key_t *ephemeral, tee_str_t seed,
    uint8_t *enc, uint8_t secret[TEE_KEM_SECRET_LEN]);
TEE_MUST_CHECK tee_rc_t tee_kem_decap(tee_crypto_t *crypto,
    const tee_hpke_key_t *key, tee_str_t enc,
    uint8_t secret[TEE_KEM_SECRET_LEN]);

/* The agreement itself: X25519, or the x coordinate on P-256.  Result and
 * codes as above. */

TEE_MUST_CHECK tee_rc_t tee_kem_dh(tee_crypto_t *crypto,
    const tee_hpke_key_t *key, tee_str_t pk,
    uint8_t dh[TEE_KEM_SECRET_LEN]);

/* Sets up the X25519 part of a key. */

TEE_MUST_CHECK tee_rc_t tee_kem_x25519(tee_hpke_key_t *key,
    const uint8_t sk[32], uint8_t pk[TEE_KEM_X25519_LEN]);


/*
 * X-Wing, draft-connolly-cfrg-xwing-kem; the codes are as above, and all of
 * them are TEE_UNSUPPORTED if libcrypto lacks ML-KEM.
 */

int tee_xwing_known(void);

TEE_MUST_CHECK tee_rc_t tee_xwing_key(tee_hpke_key_t *key,
    const uint8_t sk[32]);
TEE_MUST_CHECK tee_rc_t tee_xwing_derive(tee_str_t ikm,
    uint8_t sk[32]);
TEE_MUST_CHECK tee_rc_t tee_xwing_public(tee_str_t pk);
TEE_MUST_CHECK tee_rc_t tee_xwing_encap(tee_crypto_t *crypto, tee_str_t pk,
    tee_str_t seed, uint8_t *enc, uint8_t secret[TEE_KEM_SECRET_LEN]);
TEE_MUST_CHECK tee_rc_t tee_xwing_decap(tee_crypto_t *crypto,
    const tee_hpke_key_t *key, tee_str_t enc,
    uint8_t secret[TEE_KEM_SECRET_LEN]);


#endif /* TEE_KEM_H_INCLUDED */
