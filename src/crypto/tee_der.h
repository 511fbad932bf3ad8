
/*
 * Copyright (C) The ngx_http_tee authors
 */


#ifndef TEE_DER_H_INCLUDED
#define TEE_DER_H_INCLUDED


#include <tee.h>


#define TEE_DER_BOOLEAN       0x01
#define TEE_DER_INTEGER       0x02
#define TEE_DER_BIT_STRING    0x03
#define TEE_DER_OCTET_STRING  0x04
#define TEE_DER_OID           0x06
#define TEE_DER_UTC_TIME      0x17
#define TEE_DER_TIME          0x18             /* GeneralizedTime */
#define TEE_DER_SEQUENCE      0x30
#define TEE_DER_SET           0x31
#define TEE_DER_CONTEXT       0x80             /* plus the number */
#define TEE_DER_EXPLICIT      0xa0


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

/* 1 if the next element has this tag; in front of what is optional. */

int tee_der_next(tee_str_t in, uint8_t tag);

/* Takes one element of any tag but an end-of-contents; TEE_OK or
 * TEE_MALFORMED. */

TEE_MUST_CHECK tee_rc_t tee_der_skip(tee_str_t *in);


#endif /* TEE_DER_H_INCLUDED */
