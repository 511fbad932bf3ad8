
/*
 * Copyright (C) The ngx_http_tee authors
 */


#ifndef TEE_CRYPTO_H_INCLUDED
#define TEE_CRYPTO_H_INCLUDED


#include <tee.h>


TEE_MUST_CHECK tee_rc_t tee_sha256(tee_str_t in, uint8_t digest[32]);


#endif /* TEE_CRYPTO_H_INCLUDED */
