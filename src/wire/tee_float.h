
/*
 * Copyright (C) The ngx_http_tee authors
 */


#ifndef TEE_FLOAT_H_INCLUDED
#define TEE_FLOAT_H_INCLUDED


#include <tee.h>


/*
 * Decimal texts and the bits of IEEE 754 binary64, both ways, exactly.  All
 * of it is arithmetic with large integers: strtod() and printf() depend on the
 * locale, and a loop over printf() that stops when the number comes back is
 * wrong for 46 powers of two.
 */

/* "-1.2345678901234567e-300" */

#define TEE_FLOAT_MAX_LEN  24

#define TEE_FLOAT_SIGN      0x8000000000000000ULL
#define TEE_FLOAT_INFINITY  0x7ff0000000000000ULL


/*
 * Reads a number of JSON, RFC 8259, 6, of any length; rounds half to even.
 * What is too large is infinite, what is too small is zero, with their sign.
 *
 * TEE_OK or TEE_MALFORMED; then *bits is 0
 */

TEE_MUST_CHECK tee_rc_t tee_float_parse(tee_str_t in, uint64_t *bits);

/*
 * Writes the shortest text that is read as the same number, and of these the
 * nearest, in the notation of Python's repr(): with an exponent of two digits
 * at least if the number is below 1e-4, or 1e16 and above, otherwise with a
 * point.  What is not finite is written as Python's json does, "Infinity",
 * "-Infinity" or "NaN".  Answers the length; there is no NUL.
 */

size_t tee_float_repr(uint64_t bits, uint8_t text[TEE_FLOAT_MAX_LEN]);


#endif /* TEE_FLOAT_H_INCLUDED */
