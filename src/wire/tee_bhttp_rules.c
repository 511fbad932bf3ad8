
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <string.h>

#include <tee_bhttp_rules.h>
#include <tee_text.h>


static tee_rc_t tee_bhttp_check_authority(tee_str_t authority);
static tee_rc_t tee_bhttp_check_path(tee_str_t path);
static tee_rc_t tee_bhttp_check_name(tee_bhttp_read_t *b);
static tee_rc_t tee_bhttp_check_value(tee_str_t value);


/* RFC 9292, 3.4, and what RFC 9113, 8.3.1 says of pseudo-fields */

tee_rc_t
tee_bhttp_check_request(const tee_bhttp_read_t *b)
{
    if (!tee_token_valid(b->method)) {
        return TEE_MALFORMED;
    }

    if (tee_bhttp_check_authority(b->authority) != TEE_OK) {
        return TEE_MALFORMED;
    }

    if (b->scheme.len == 0 && b->path.len == 0) {

        /* RFC 9113, 8.5 */

        return tee_text_is(b->method, "CONNECT") && b->authority.len
               ? TEE_OK : TEE_MALFORMED;
    }

    /* the scheme is lower case wherever it comes from; others are not ours */

    if (!tee_text_is(b->scheme, "https") && !tee_text_is(b->scheme, "http")) {
        return TEE_MALFORMED;
    }

    if (tee_text_is(b->path, "*")) {
        return tee_text_is(b->method, "OPTIONS") ? TEE_OK : TEE_MALFORMED;
    }

    return tee_bhttp_check_path(b->path);
}


/* The characters of a host and a port; whether they are one is not said. */

static tee_rc_t
tee_bhttp_check_authority(tee_str_t authority)
{
    size_t   i;
    uint8_t  ch;

    for (i = 0; i < authority.len; i++) {
        ch = authority.data[i];

        if ((ch >= '0' && ch <= '9') || (ch >= 'A' && ch <= 'Z')
            || (ch >= 'a' && ch <= 'z'))
        {
            continue;
        }

        /* RFC 3986, 3.2.2: no "@", as RFC 9113, 8.3.1 has it */

        if (ch == '\0' || strchr("-._~%!$&'()*+,;=:[]", ch) == NULL) {
            return TEE_MALFORMED;
        }
    }

    return TEE_OK;
}


static tee_rc_t
tee_bhttp_check_path(tee_str_t path)
{
    size_t   i;
    uint8_t  ch;

    if (path.len == 0 || path.data[0] != '/') {
        return TEE_MALFORMED;
    }

    for (i = 0; i < path.len; i++) {
        ch = path.data[i];

        if (ch <= 0x20 || ch == 0x7f || ch == '#') {
            return TEE_MALFORMED;
        }
    }

    return TEE_OK;
}


tee_rc_t
tee_bhttp_check_field(tee_bhttp_read_t *b)
{
    if (tee_bhttp_check_name(b) != TEE_OK
        || tee_bhttp_check_value(b->value) != TEE_OK)
    {
        return TEE_MALFORMED;
    }

    if (b->request && tee_text_is_nocase(b->name, "host")) {

        /* RFC 9112, 3.2: which of two is the right one, nobody knows */

        if (b->host) {
            return TEE_MALFORMED;
        }

        b->host = 1;
    }

    return TEE_OK;
}


/* RFC 9292, 3.6; upper case is fine there */

static tee_rc_t
tee_bhttp_check_name(tee_bhttp_read_t *b)
{
    size_t     i;
    tee_str_t  rest;

    static const char *const  known[] = {
        "method", "scheme", "authority", "path", "status"
    };

    if (b->name.data[0] != ':') {
        b->regular = 1;
        return tee_token_valid(b->name) ? TEE_OK : TEE_MALFORMED;
    }

    if (b->regular || b->trailer) {
        return TEE_MALFORMED;
    }

    rest.len = b->name.len - 1;
    rest.data = b->name.data + 1;

    for (i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (tee_text_is_nocase(rest, known[i])) {
            return TEE_MALFORMED;
        }
    }

    return tee_token_valid(rest) ? TEE_OK : TEE_MALFORMED;
}


/* RFC 9113, 8.2.1 */

static tee_rc_t
tee_bhttp_check_value(tee_str_t value)
{
    size_t   i;
    uint8_t  ch;

    if (value.len == 0) {
        return TEE_OK;
    }

    for (i = 0; i < value.len; i++) {
        ch = value.data[i];

        if (ch == '\0' || ch == '\r' || ch == '\n') {
            return TEE_MALFORMED;
        }
    }

    ch = value.data[0];

    if (ch == ' ' || ch == '\t') {
        return TEE_MALFORMED;
    }

    ch = value.data[value.len - 1];

    return ch == ' ' || ch == '\t' ? TEE_MALFORMED : TEE_OK;
}
