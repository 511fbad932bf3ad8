
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <string.h>

#include <tee_cert.h>
#include <tee_crypto.h>
#include <tee_der.h>


static tee_rc_t tee_cert_tbs(tee_str_t tbs, tee_cert_t *cert);
static tee_rc_t tee_cert_version(tee_str_t *tbs, unsigned *version);
static tee_rc_t tee_cert_algorithm(tee_str_t *in);
static tee_rc_t tee_cert_name(tee_str_t *in);
static tee_rc_t tee_cert_validity(tee_str_t *in, tee_cert_t *cert);
static tee_rc_t tee_cert_time(tee_str_t *in, int64_t *unix_time);
static int tee_cert_digits(const uint8_t *p, size_t n, int *value);
static int64_t tee_cert_days(int year, int month, int day);
static tee_rc_t tee_cert_key(tee_str_t *in);
static tee_rc_t tee_cert_extensions(tee_str_t in, unsigned version);
static tee_rc_t tee_cert_bits(tee_str_t *in);


tee_rc_t
tee_cert_read(tee_str_t der, tee_cert_t *cert)
{
    tee_rc_t   rc;
    tee_str_t  in, content, tbs;

    memset(cert, 0, sizeof(tee_cert_t));

    if (der.len > TEE_CERT_MAX_LEN) {
        return TEE_LIMIT;
    }

    in = der;
    rc = TEE_MALFORMED;

    if (tee_der_read(&in, TEE_DER_SEQUENCE, &content) == TEE_OK
        && in.len == 0
        && tee_der_read(&content, TEE_DER_SEQUENCE, &tbs) == TEE_OK
        && tee_cert_tbs(tbs, cert) == TEE_OK
        && tee_cert_algorithm(&content) == TEE_OK
        && tee_cert_bits(&content) == TEE_OK
        && content.len == 0)
    {
        rc = tee_sha256(der, cert->sha256);
    }

    if (rc != TEE_OK) {
        memset(cert, 0, sizeof(tee_cert_t));
    }

    return rc;
}


/*
 * SEQUENCE { [0] version, serial, algorithm, issuer, validity, subject, key,
 *            [1] and [2] unique ids, [3] extensions }
 */

static tee_rc_t
tee_cert_tbs(tee_str_t tbs, tee_cert_t *cert)
{
    unsigned   version;
    tee_str_t  serial;

    if (tee_cert_version(&tbs, &version) != TEE_OK
        || tee_der_read(&tbs, TEE_DER_INTEGER, &serial) != TEE_OK
        || serial.len == 0
        || tee_cert_algorithm(&tbs) != TEE_OK
        || tee_cert_name(&tbs) != TEE_OK
        || tee_cert_validity(&tbs, cert) != TEE_OK
        || tee_cert_name(&tbs) != TEE_OK
        || tee_cert_key(&tbs) != TEE_OK)
    {
        return TEE_MALFORMED;
    }

    return tee_cert_extensions(tbs, version);
}


/* 4.1.2.1: 0 is the default, and then must not be there */

static tee_rc_t
tee_cert_version(tee_str_t *tbs, unsigned *version)
{
    unsigned   n;
    tee_str_t  wrapper, number;

    n = 0;

    if (tee_der_next(*tbs, TEE_DER_EXPLICIT)) {

        if (tee_der_read(tbs, TEE_DER_EXPLICIT, &wrapper) != TEE_OK
            || tee_der_read(&wrapper, TEE_DER_INTEGER, &number) != TEE_OK
            || wrapper.len != 0
            || number.len != 1
            || number.data[0] < 1
            || number.data[0] > 2)
        {
            return TEE_MALFORMED;
        }

        n = number.data[0];
    }

    *version = n;

    return TEE_OK;
}


/* SEQUENCE { OID, parameters } */

static tee_rc_t
tee_cert_algorithm(tee_str_t *in)
{
    tee_str_t  alg, oid;

    if (tee_der_read(in, TEE_DER_SEQUENCE, &alg) != TEE_OK
        || tee_der_read(&alg, TEE_DER_OID, &oid) != TEE_OK
        || oid.len == 0
        || (alg.len != 0 && tee_der_skip(&alg) != TEE_OK)
        || alg.len != 0)
    {
        return TEE_MALFORMED;
    }

    return TEE_OK;
}


/* SEQUENCE OF SET OF SEQUENCE { OID, value } */

static tee_rc_t
tee_cert_name(tee_str_t *in)
{
    tee_str_t  name, set, pair, oid;

    if (tee_der_read(in, TEE_DER_SEQUENCE, &name) != TEE_OK) {
        return TEE_MALFORMED;
    }

    while (name.len) {

        if (tee_der_read(&name, TEE_DER_SET, &set) != TEE_OK || set.len == 0) {
            return TEE_MALFORMED;
        }

        while (set.len) {
            if (tee_der_read(&set, TEE_DER_SEQUENCE, &pair) != TEE_OK
                || tee_der_read(&pair, TEE_DER_OID, &oid) != TEE_OK
                || oid.len == 0
                || tee_der_skip(&pair) != TEE_OK
                || pair.len != 0)
            {
                return TEE_MALFORMED;
            }
        }
    }

    return TEE_OK;
}


static tee_rc_t
tee_cert_validity(tee_str_t *in, tee_cert_t *cert)
{
    tee_str_t  validity;

    if (tee_der_read(in, TEE_DER_SEQUENCE, &validity) != TEE_OK
        || tee_cert_time(&validity, &cert->not_before) != TEE_OK
        || tee_cert_time(&validity, &cert->not_after) != TEE_OK
        || validity.len != 0)
    {
        return TEE_MALFORMED;
    }

    return TEE_OK;
}


/* 4.1.2.5: YYMMDDHHMMSSZ and YYYYMMDDHHMMSSZ, no other forms */

static tee_rc_t
tee_cert_time(tee_str_t *in, int64_t *unix_time)
{
    int             n, century, year, month, day, hour, minute, second;
    tee_str_t       t;
    const uint8_t  *p;

    static const uint8_t  days[12] = {
        31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31
    };

    century = -1;

    if (tee_der_next(*in, TEE_DER_UTC_TIME)) {

        if (tee_der_read(in, TEE_DER_UTC_TIME, &t) != TEE_OK || t.len != 13) {
            return TEE_MALFORMED;
        }

        p = t.data;

    } else {

        if (tee_der_read(in, TEE_DER_TIME, &t) != TEE_OK || t.len != 15
            || !tee_cert_digits(t.data, 99, &century))
        {
            return TEE_MALFORMED;
        }

        p = t.data + 2;
    }

    if (!tee_cert_digits(p, 99, &year)
        || !tee_cert_digits(p + 2, 12, &month)
        || !tee_cert_digits(p + 4, 31, &day)
        || !tee_cert_digits(p + 6, 23, &hour)
        || !tee_cert_digits(p + 8, 59, &minute)
        || !tee_cert_digits(p + 10, 59, &second)
        || p[12] != 'Z'
        || month == 0
        || day == 0)
    {
        return TEE_MALFORMED;
    }

    if (century == -1) {
        century = year < 50 ? 20 : 19;
    }

    year += century * 100;

    n = days[month - 1];

    if (month == 2
        && year % 4 == 0 && (year % 100 != 0 || year % 400 == 0))
    {
        n = 29;
    }

    if (day > n) {
        return TEE_MALFORMED;
    }

    *unix_time = tee_cert_days(year, month, day) * 86400
                 + hour * 3600 + minute * 60 + second;

    return TEE_OK;
}


/* Two digits, and not above "max". */

static int
tee_cert_digits(const uint8_t *p, size_t max, int *value)
{
    if (p[0] < '0' || p[0] > '9' || p[1] < '0' || p[1] > '9') {
        return 0;
    }

    *value = (p[0] - '0') * 10 + p[1] - '0';

    return (size_t) *value <= max;
}


/*
 * Days since 1970-01-01 in the Gregorian calendar, counted in years that begin
 * in March, so that the leap day is the last one; timegm() is not in C99.
 */

static int64_t
tee_cert_days(int year, int month, int day)
{
    int64_t  y, era, of_era, of_year;

    y = year - (month <= 2);
    era = (y >= 0 ? y : y - 399) / 400;
    of_era = y - era * 400;
    of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;

    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year
           - 719468;
}


static tee_rc_t
tee_cert_key(tee_str_t *in)
{
    tee_str_t  key;

    if (tee_der_read(in, TEE_DER_SEQUENCE, &key) != TEE_OK
        || tee_cert_algorithm(&key) != TEE_OK
        || tee_cert_bits(&key) != TEE_OK
        || key.len != 0)
    {
        return TEE_MALFORMED;
    }

    return TEE_OK;
}


/* 4.1.2.8 and 4.1.2.9; what an extension says does not matter to a pin */

static tee_rc_t
tee_cert_extensions(tee_str_t in, unsigned version)
{
    tee_str_t  list, wrapper, ext, part;

    if (version >= 1 && tee_der_next(in, TEE_DER_CONTEXT + 1)
        && tee_der_skip(&in) != TEE_OK)
    {
        return TEE_MALFORMED;
    }

    if (version >= 1 && tee_der_next(in, TEE_DER_CONTEXT + 2)
        && tee_der_skip(&in) != TEE_OK)
    {
        return TEE_MALFORMED;
    }

    if (in.len == 0) {
        return TEE_OK;
    }

    if (version != 2
        || tee_der_read(&in, TEE_DER_EXPLICIT + 3, &wrapper) != TEE_OK
        || in.len != 0
        || tee_der_read(&wrapper, TEE_DER_SEQUENCE, &list) != TEE_OK
        || wrapper.len != 0
        || list.len == 0)
    {
        return TEE_MALFORMED;
    }

    while (list.len) {

        if (tee_der_read(&list, TEE_DER_SEQUENCE, &ext) != TEE_OK
            || tee_der_read(&ext, TEE_DER_OID, &part) != TEE_OK
            || part.len == 0)
        {
            return TEE_MALFORMED;
        }

        if (tee_der_next(ext, TEE_DER_BOOLEAN)
            && (tee_der_read(&ext, TEE_DER_BOOLEAN, &part) != TEE_OK
                || part.len != 1))
        {
            return TEE_MALFORMED;
        }

        if (tee_der_read(&ext, TEE_DER_OCTET_STRING, &part) != TEE_OK
            || ext.len != 0)
        {
            return TEE_MALFORMED;
        }
    }

    return TEE_OK;
}


/* A bit string of whole bytes: a key or a signature. */

static tee_rc_t
tee_cert_bits(tee_str_t *in)
{
    tee_str_t  bits;

    if (tee_der_read(in, TEE_DER_BIT_STRING, &bits) != TEE_OK
        || bits.len < 2 || bits.data[0] != 0)
    {
        return TEE_MALFORMED;
    }

    return TEE_OK;
}
