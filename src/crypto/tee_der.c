
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <tee_der.h>
#include <tee_read.h>


tee_rc_t
tee_der_read(tee_str_t *in, uint8_t tag, tee_str_t *content)
{
    size_t      i, n, len;
    tee_read_t  r;

    content->len = 0;
    content->data = NULL;

    tee_read_init(&r, *in);

    if (tee_read_u8(&r) != tag) {
        return TEE_MALFORMED;
    }

    len = tee_read_u8(&r);

    if (len & 0x80) {
        n = len & 0x7f;
        len = 0;

        /* 4 bytes of length are more than anything here may have */

        if (n == 0 || n > 4) {
            return TEE_MALFORMED;
        }

        for (i = 0; i < n; i++) {
            len = len << 8 | tee_read_u8(&r);
        }

        if (len < 0x80 || len >> 8 * (n - 1) == 0) {
            return TEE_MALFORMED;
        }
    }

    *content = tee_read_bytes(&r, len);

    if (tee_read_bad(&r)) {
        return TEE_MALFORMED;
    }

    in->data += in->len - tee_read_left(&r);
    in->len = tee_read_left(&r);

    return TEE_OK;
}


int
tee_der_next(tee_str_t in, uint8_t tag)
{
    return in.len != 0 && in.data[0] == tag;
}


tee_rc_t
tee_der_skip(tee_str_t *in)
{
    tee_str_t  content;

    /* tag numbers above 30 take more bytes, and nothing here has one */

    if (in->len == 0 || in->data[0] == 0 || (in->data[0] & 0x1f) == 0x1f) {
        return TEE_MALFORMED;
    }

    return tee_der_read(in, in->data[0], &content);
}
