
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/err.h>
#include <openssl/x509.h>

#include <tee_cert.h>
#include <tee_crypto.h>

#include "sample.h"
#include "unit.h"


/* Where sample_cert() has what the tests change. */

#define CERT_VERSION     8
#define CERT_NOT_BEFORE  91
#define CERT_NOT_AFTER   106


static tee_rc_t
cert_read(void *ctx)
{
    tee_cert_t  cert;

    return tee_cert_read(*(tee_str_t *) ctx, &cert);
}


/* The time of the end in sample_cert(), which is GeneralizedTime. */

static void
cert_times(tee_str_t s)
{
    size_t      i;
    tee_rc_t    rc;
    tee_cert_t  cert;

    static const struct {
        const char  *text;
        tee_rc_t     rc;
        int64_t      unix_time;
    } cases[] = {
        { "19700101000000Z", TEE_OK, 0 },
        { "19691231235959Z", TEE_OK, -1 },
        { "20000229120000Z", TEE_OK, 951825600 },
        { "20240229235959Z", TEE_OK, 1709251199 },
        { "20380119031408Z", TEE_OK, INT64_C(2147483648) },
        { "21000228000000Z", TEE_OK, INT64_C(4107456000) },
        { "99991231235959Z", TEE_OK, INT64_C(253402300799) },
        { "00000101000000Z", TEE_OK, INT64_C(-62167219200) },
        { "00010101000000Z", TEE_OK, INT64_C(-62135596800) },
        { "21000229000000Z", TEE_MALFORMED, 0 },
        { "20230229000000Z", TEE_MALFORMED, 0 },
        { "20240431000000Z", TEE_MALFORMED, 0 },
        { "20240001000000Z", TEE_MALFORMED, 0 },
        { "20241301000000Z", TEE_MALFORMED, 0 },
        { "20240100000000Z", TEE_MALFORMED, 0 },
        { "20240132000000Z", TEE_MALFORMED, 0 },
        { "20240101240000Z", TEE_MALFORMED, 0 },
        { "20240101006000Z", TEE_MALFORMED, 0 },
        { "20240101000060Z", TEE_MALFORMED, 0 },
        { "202401010000000", TEE_MALFORMED, 0 },
        { "2024010100000/Z", TEE_MALFORMED, 0 },
        { "2024010100000:Z", TEE_MALFORMED, 0 },
        { " 0240101000000Z", TEE_MALFORMED, 0 },
        { "2024-101000000Z", TEE_MALFORMED, 0 }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        memcpy((uint8_t *) (uintptr_t) s.data + CERT_NOT_AFTER + 2,
               cases[i].text, 15);
        rc = tee_cert_read(s, &cert);
        unit_ok(rc == cases[i].rc && cert.not_after == cases[i].unix_time,
                "time %s", cases[i].text);
    }
}


static int64_t
cert_asn1(const ASN1_TIME *t)
{
    int         days, seconds;
    ASN1_TIME  *epoch;

    epoch = ASN1_TIME_set(NULL, 0);
    days = 0;
    seconds = 0;

    if (epoch == NULL || ASN1_TIME_diff(&days, &seconds, epoch, t) != 1) {
        abort();
    }

    ASN1_TIME_free(epoch);

    return (int64_t) days * 86400 + seconds;
}


/* libcrypto has to read all that is accepted here, and read it the same. */

static void
cert_mutations(tee_str_t s)
{
    X509           *x509;
    size_t          i, differ, accepted, cuts;
    tee_str_t       cut;
    tee_cert_t      cert;
    const uint8_t  *p;

    differ = 0;
    accepted = 0;
    cuts = 0;

    for (i = 0; i < s.len * 8; i++) {
        sample_set(s, i / 8, (uint8_t) (s.data[i / 8] ^ 1 << i % 8));

        if (tee_cert_read(s, &cert) == TEE_OK) {
            accepted++;
            p = s.data;
            x509 = d2i_X509(NULL, &p, (long) s.len);

            if (x509 == NULL || p != s.data + s.len
                || cert_asn1(X509_get0_notBefore(x509)) != cert.not_before
                || cert_asn1(X509_get0_notAfter(x509)) != cert.not_after)
            {
                differ++;
            }

            X509_free(x509);
            ERR_clear_error();
        }

        sample_set(s, i / 8, (uint8_t) (s.data[i / 8] ^ 1 << i % 8));
    }

    unit_ok(accepted > 1000, "%u of %u mutants accepted", (unsigned) accepted,
            (unsigned) s.len * 8);
    unit_ok(differ < accepted / 20,
            "libcrypto reads them, but for %u with odd contents",
            (unsigned) differ);

    for (i = 0; i < s.len; i++) {
        cut = unit_copy(s.data, i);
        cuts += tee_cert_read(cut, &cert) == TEE_OK;
        unit_free(cut);
    }

    unit_ok(cuts == 0, "no prefix is a certificate");
}


int
main(void)
{
    uint8_t     sum[32], *large;
    tee_str_t   s, more;
    tee_cert_t  cert;

    unit_crypto_init();

    s = unit_copy(sample_cert().data, sample_cert().len);

    unit_ok(tee_cert_read(s, &cert) == TEE_OK, "a certificate");
    unit_ok(tee_sha256(s, sum) == TEE_OK
            && memcmp(cert.sha256, sum, 32) == 0, "its digest");
    unit_ok(cert.not_before == INT64_C(1767225600), "its first second");
    unit_ok(cert.not_after == INT64_C(2689977600), "its last second");

    unit_ok(s.data[CERT_NOT_BEFORE] == 0x17 && s.data[CERT_NOT_AFTER] == 0x18,
            "the test knows where the times are");

    cert_mutations(s);

    sample_set(s, CERT_VERSION + 4, 1);
    unit_ok(tee_cert_read(s, &cert) == TEE_MALFORMED,
            "extensions in version 2");
    sample_set(s, CERT_VERSION + 4, 2);

    unit_oom(cert_read, &s, TEE_OK, "certificate");
    unit_crypto_oom(cert_read, &s, TEE_OK, "certificate");

    /* YY below 50 is of this century; RFC 5280, 4.1.2.5.1 */

    memcpy((uint8_t *) (uintptr_t) s.data + CERT_NOT_BEFORE + 2,
           "491231235959Z", 13);
    unit_ok(tee_cert_read(s, &cert) == TEE_OK
            && cert.not_before == INT64_C(2524607999), "UTCTime of 2049");
    memcpy((uint8_t *) (uintptr_t) s.data + CERT_NOT_BEFORE + 2,
           "500101000000Z", 13);
    unit_ok(tee_cert_read(s, &cert) == TEE_OK
            && cert.not_before == INT64_C(-631152000), "UTCTime of 1950");

    cert_times(s);
    unit_free(s);

    more = unit_copy(sample_cert().data, sample_cert().len);
    large = malloc(TEE_CERT_MAX_LEN + 1);

    if (large == NULL) {
        abort();
    }

    memset(large, 0x30, TEE_CERT_MAX_LEN + 1);
    s.data = large;
    s.len = TEE_CERT_MAX_LEN + 1;
    unit_ok(tee_cert_read(s, &cert) == TEE_LIMIT, "too long");

    memcpy(large, more.data, more.len);
    s.len = more.len + 1;
    unit_ok(tee_cert_read(s, &cert) == TEE_MALFORMED, "a byte behind it");
    s.len = 0;
    unit_ok(tee_cert_read(s, &cert) == TEE_MALFORMED, "nothing");

    unit_ok(tee_cert_read(sample_spki(), &cert) == TEE_MALFORMED, "a key");
    unit_ok(ERR_peek_error() == 0, "the error queue is as it was");

    free(large);
    unit_free(more);

    return unit_done();
}
