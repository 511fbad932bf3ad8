
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <tee_cert.h>
#include <tee_endpoint.h>
#include <tee_sig.h>
#include <tee_text.h>

#include "fuzz.h"


/* What registrants choose: a certificate, a key, an endpoint. */

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    tee_rc_t        rc;
    tee_str_t       in = { size, data };
    tee_cert_t      cert;
    tee_endpoint_t  e;

    rc = tee_cert_read(in, &cert);

    FUZZ_CHECK(rc == TEE_OK || rc == TEE_MALFORMED || rc == TEE_LIMIT);
    FUZZ_CHECK(rc == TEE_OK || (cert.not_before == 0 && cert.not_after == 0));

    rc = tee_sig_spki(in);

    FUZZ_CHECK(rc == TEE_OK || rc == TEE_MALFORMED || rc == TEE_UNSUPPORTED);
    FUZZ_CHECK(rc != TEE_OK || size <= TEE_SPKI_MAX_LEN);

    rc = tee_endpoint_parse(in, &e);

    if (rc == TEE_OK) {
        FUZZ_CHECK(fuzz_within(e.host, in) && e.host.len && e.host.len <= 253);
        FUZZ_CHECK(e.port != 0 && tee_utf8_valid(in));
        (void) tee_endpoint_private(&e);

    } else {
        FUZZ_CHECK(rc == TEE_MALFORMED && e.port == 0 && e.host.len == 0);
    }

    return 0;
}
