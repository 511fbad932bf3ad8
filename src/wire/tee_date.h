
/*
 * Copyright (C) The ngx_http_tee authors
 */


#ifndef TEE_DATE_H_INCLUDED
#define TEE_DATE_H_INCLUDED


#include <tee.h>


#define TEE_DATE_LEN  29


/*
 * Reads an HTTP-date, RFC 9110, 5.6.7, in any of its three forms.  A year of
 * two digits is the one within 50 years of "now" (Unix time).
 *
 * TEE_OK, TEE_MALFORMED
 */

TEE_MUST_CHECK tee_rc_t tee_date_read(tee_str_t in, int64_t now,
    int64_t *date);

/* Writes an IMF-fixdate, without NUL; "date" is within the years 1 to 9999. */

void tee_date_write(int64_t date, uint8_t out[TEE_DATE_LEN]);


#endif /* TEE_DATE_H_INCLUDED */
