
/*
 * Copyright (C) The ngx_http_tee authors
 */


#ifndef TEE_CERT_H_INCLUDED
#define TEE_CERT_H_INCLUDED


#include <tee.h>


/* As the registry contract has it. */

#define TEE_CERT_MAX_LEN  8192


typedef struct {
    uint8_t               sha256[32];          /* of the DER */
    int64_t               not_before;          /* Unix time, inclusive */
    int64_t               not_after;           /* Unix time, inclusive */
} tee_cert_t;


/*
 * Reads one X.509 certificate in DER, RFC 5280, 4.1, without any byte after
 * it.  Nothing is verified, and the key is not decoded: the certificate is a
 * pin, and whoever presents it has to have the key.
 *
 * This is not left to libcrypto, which takes 0.1 ms for each, accepts more
 * than DER, and decodes what nobody here has asked for.
 *
 * TEE_OK, TEE_MALFORMED, TEE_LIMIT (over TEE_CERT_MAX_LEN), TEE_NOMEM
 */

TEE_MUST_CHECK tee_rc_t tee_cert_read(tee_str_t der, tee_cert_t *cert);


#endif /* TEE_CERT_H_INCLUDED */
