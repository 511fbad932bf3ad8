
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <tee_der.h>

#include "unit.h"


#define BYTES16   "00000000000000000000000000000000"
#define BYTES128  BYTES16 BYTES16 BYTES16 BYTES16 \
                  BYTES16 BYTES16 BYTES16 BYTES16


int
main(void)
{
    size_t     i;
    tee_rc_t   rc;
    tee_str_t  in, rest, content;

    static const struct {
        const char  *name;
        const char  *hex;
        tee_rc_t     rc;
        size_t       len;
        size_t       rest;
    } cases[] = {
        { "empty", "3000", TEE_OK, 0, 0 },
        { "one byte, one behind", "30010203", TEE_OK, 1, 1 },
        { "a length in its own byte", "308180" BYTES128, TEE_OK, 128, 0 },
        { "the same in two", "30820080" BYTES128, TEE_MALFORMED, 0, 0 },
        { "the same in three", "3083000080" BYTES128, TEE_MALFORMED, 0, 0 },
        { "nothing", "", TEE_MALFORMED, 0, 0 },
        { "no length", "30", TEE_MALFORMED, 0, 0 },
        { "too short", "300200", TEE_MALFORMED, 0, 0 },
        { "another tag", "310100", TEE_MALFORMED, 0, 0 },
        { "an indefinite length", "30800000", TEE_MALFORMED, 0, 0 },
        { "a length below 128 in a byte of its own", "30810100",
          TEE_MALFORMED, 0, 0 },
        { "a length with a leading zero", "3082000100", TEE_MALFORMED, 0, 0 },
        { "half a length", "308201", TEE_MALFORMED, 0, 0 },
        { "a length of 4 GiB", "3084ffffffff00", TEE_MALFORMED, 0, 0 },
        { "a length in five bytes", "3085010000000000", TEE_MALFORMED, 0, 0 },
        { "a length of length 127", "30ff00", TEE_MALFORMED, 0, 0 }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        in = unit_hex(cases[i].hex);
        rest = in;

        rc = tee_der_read(&rest, TEE_DER_SEQUENCE, &content);

        unit_ok(rc == cases[i].rc && content.len == cases[i].len
                && rest.len == (rc == TEE_OK ? cases[i].rest : in.len),
                "%s", cases[i].name);
        unit_free(in);
    }

    in = unit_hex("0201051f0000");
    rest = in;
    unit_ok(tee_der_next(rest, TEE_DER_INTEGER)
            && !tee_der_next(rest, TEE_DER_SEQUENCE), "next");
    unit_ok(tee_der_skip(&rest) == TEE_OK && rest.len == 3, "skip");
    unit_ok(tee_der_skip(&rest) == TEE_MALFORMED, "a tag of more bytes");
    rest.len = 1;
    rest.data = in.data + 5;
    unit_ok(tee_der_skip(&rest) == TEE_MALFORMED, "an end of contents");
    rest.len = 0;
    unit_ok(tee_der_skip(&rest) == TEE_MALFORMED
            && !tee_der_next(rest, 0), "the end");
    unit_free(in);

    return unit_done();
}
