
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <string.h>

#include <tee.h>


const char *
tee_strerror(tee_rc_t rc)
{
    switch (rc) {

    case TEE_OK:
        return "success";

    case TEE_DONE:
        return "done";

    case TEE_MALFORMED:
        return "malformed";

    case TEE_UNSUPPORTED:
        return "unsupported";

    case TEE_LIMIT:
        return "over a limit";

    case TEE_CRYPTO:
        return "cryptographic check failed";

    case TEE_INCOMPLETE:
        return "incomplete";

    case TEE_NOMEM:
        return "out of memory";
    }

    return "unknown error";
}


void
tee_wipe(void *p, size_t len)
{
    if (len == 0) {
        return;
    }

    memset(p, 0, len);

    /* the compiler has to believe that somebody reads the zeroes */

    __asm__ __volatile__("" : : "r" (p) : "memory");
}


int
tee_ct_equal(const void *a, const void *b, size_t len)
{
    size_t                   i;
    volatile unsigned        diff;
    const volatile uint8_t  *x, *y;

    x = a;
    y = b;
    diff = 0;

    for (i = 0; i < len; i++) {
        diff |= (unsigned) (x[i] ^ y[i]);
    }

    /* diff is below 256: all ones above it if, and only if, it is 0 */

    return (int) (((diff - 1U) >> 8) & 1U);
}
