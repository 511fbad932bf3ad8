
/*
 * Copyright (C) The ngx_http_tee authors
 */


#ifndef TEE_OPENSSL_H_INCLUDED
#define TEE_OPENSSL_H_INCLUDED


#include <tee.h>


/* Private to this layer. */

/* "rc", or TEE_NOMEM if the last thing that failed was an allocation. */

TEE_MUST_CHECK tee_rc_t tee_openssl_rc(tee_rc_t rc);


#endif /* TEE_OPENSSL_H_INCLUDED */
