
/*
 * Copyright (C) The ngx_http_tee authors
 */


#ifndef TEE_DER_H_INCLUDED
#define TEE_DER_H_INCLUDED


#include <tee.h>


#define TEE_DER_INTEGER     0x02
#define TEE_DER_BIT_STRING  0x03
#define TEE_DER_SEQUENCE    0x30


/*
 * Takes one element of DER with this tag from the front of *in; X.690, 8.1
 * and 10.1: one tag byte, a definite length in its shortest form.
 *
 * content  points into *in; empty on failure
 *
 * TEE_OK, TEE_MALFORMED (*in is unchanged)
 */

TEE_MUST_CHECK tee_rc_t tee_der_read(tee_str_t *in, uint8_t tag,
    tee_str_t *content);


#endif /* TEE_DER_H_INCLUDED */
