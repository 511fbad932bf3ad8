
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <string.h>
#include <time.h>

#include <openssl/asn1.h>
#include <openssl/err.h>
#include <openssl/x509.h>

#include <tee_cert.h>
#include <tee_crypto.h>
#include <tee_der.h>
#include <tee_openssl.h>


static tee_rc_t tee_cert_time(const ASN1_TIME *t, int64_t *unix_time);


tee_rc_t
tee_cert_read(tee_str_t der, tee_cert_t *cert)
{
    X509           *x509;
    tee_rc_t        rc;
    tee_str_t       in, content;
    const uint8_t  *p;

    memset(cert, 0, sizeof(tee_cert_t));

    if (der.len > TEE_CERT_MAX_LEN) {
        return TEE_LIMIT;
    }

    in = der;

    if (tee_der_read(&in, TEE_DER_SEQUENCE, &content) != TEE_OK
        || in.len != 0)
    {
        return TEE_MALFORMED;
    }

    ERR_set_mark();

    p = der.data;
    x509 = d2i_X509(NULL, &p, (long) der.len);

    if (x509 == NULL) {
        rc = tee_openssl_rc(TEE_MALFORMED);
        goto done;
    }

    /* the key is decoded along with the rest, and is NULL if it cannot be */

    if (X509_get0_pubkey(x509) == NULL) {
        rc = tee_openssl_rc(TEE_MALFORMED);
        goto done;
    }

    rc = tee_cert_time(X509_get0_notBefore(x509), &cert->not_before);

    if (rc == TEE_OK) {
        rc = tee_cert_time(X509_get0_notAfter(x509), &cert->not_after);
    }

    if (rc == TEE_OK) {
        rc = tee_sha256(der, cert->sha256);
    }

done:

    X509_free(x509);
    ERR_pop_to_mark();

    if (rc != TEE_OK) {
        memset(cert, 0, sizeof(tee_cert_t));
    }

    return rc;
}


static tee_rc_t
tee_cert_time(const ASN1_TIME *t, int64_t *unix_time)
{
    int64_t    y, era, yoe, doy, days;
    struct tm  tm;

    /* RFC 5280, 4.1.2.5 */

    if (ASN1_TIME_check(t) != 1 || ASN1_TIME_to_tm(t, &tm) != 1) {
        return TEE_MALFORMED;
    }

    /*
     * Days since 1970-01-01 in the proleptic Gregorian calendar, counted in
     * years that begin in March, so that a leap day is the last one; timegm()
     * is not in C99.
     */

    y = tm.tm_year + 1900 - (tm.tm_mon < 2);
    era = (y >= 0 ? y : y - 399) / 400;
    yoe = y - era * 400;
    doy = (153 * (tm.tm_mon + (tm.tm_mon < 2 ? 10 : -2)) + 2) / 5
          + tm.tm_mday - 1;
    days = era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;

    *unix_time = days * 86400 + tm.tm_hour * 3600 + tm.tm_min * 60 + tm.tm_sec;

    return TEE_OK;
}
