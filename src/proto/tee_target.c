
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <string.h>

#include <tee_endpoint.h>
#include <tee_target.h>
#include <tee_text.h>


#define TEE_TARGET_SCHEME   "https://"
#define TEE_TARGET_MAX_LEN  (253 + 6)


static tee_rc_t tee_target_authority(uint8_t *text, size_t len,
    tee_target_t *target);
static int tee_target_path_valid(tee_str_t path);
static int tee_target_dots(tee_str_t path);
static int tee_target_host_is(tee_str_t host, tee_str_t other);
static int tee_target_port(tee_str_t text, uint16_t *port);
static int tee_target_path_is(const tee_target_t *target, tee_str_t path);
static int tee_target_hidden(tee_str_t raw);


tee_rc_t
tee_target_parse(uint8_t *text, size_t len, tee_str_t path,
    tee_target_t *target)
{
    tee_rc_t   rc;
    tee_str_t  scheme;

    static const tee_str_t  http = tee_string("http");
    static const tee_str_t  https = tee_string("https");

    memset(target, 0, sizeof(tee_target_t));

    scheme.data = text;
    scheme.len = sizeof("https://") - 1;

    target->scheme = https;

    if (len >= scheme.len && tee_text_is_nocase(scheme, "https://")) {
        text += scheme.len;
        len -= scheme.len;

    } else if (len >= --scheme.len && tee_text_is_nocase(scheme, "http://")) {
        text += scheme.len;
        len -= scheme.len;
        target->scheme = http;
    }

    rc = tee_target_authority(text, len, target);

    if (rc == TEE_OK && !tee_target_path_valid(path)) {
        rc = TEE_MALFORMED;
    }

    if (rc != TEE_OK) {
        memset(target, 0, sizeof(tee_target_t));
        return rc;
    }

    target->path = path;

    return TEE_OK;
}


/* What is a host and a port has been decided elsewhere, with "https://". */

static tee_rc_t
tee_target_authority(uint8_t *text, size_t len, tee_target_t *target)
{
    size_t          i, n;
    uint8_t         buf[sizeof(TEE_TARGET_SCHEME) - 1 + TEE_TARGET_MAX_LEN];
    tee_str_t       s;
    tee_endpoint_t  e;

    n = sizeof(TEE_TARGET_SCHEME) - 1;

    if (len == 0 || len > TEE_TARGET_MAX_LEN || text[len - 1] == '/') {
        return TEE_MALFORMED;
    }

    memcpy(buf, TEE_TARGET_SCHEME, n);
    memcpy(buf + n, text, len);

    s.len = n + len;
    s.data = buf;

    if (tee_endpoint_parse(s, &e) != TEE_OK) {
        return TEE_MALFORMED;
    }

    target->host.len = e.host.len + (e.form == TEE_HOST_IPV6 ? 2 : 0);
    target->host.data = text;
    target->port = e.port;

    if (target->host.len == len && tee_text_is(target->scheme, "http")) {
        target->port = 80;
    }

    for (i = 0; i < target->host.len; i++) {
        if (text[i] >= 'A' && text[i] <= 'Z') {
            text[i] |= 0x20;
        }
    }

    return TEE_OK;
}


static int
tee_target_path_valid(tee_str_t path)
{
    size_t   i;
    uint8_t  ch;

    if (path.len == 0 || path.data[0] != '/') {
        return 0;
    }

    for (i = 0; i < path.len; i++) {
        ch = path.data[i];

        if (ch <= 0x20 || ch == 0x7f || strchr("?#%\\", ch) != NULL) {
            return 0;
        }
    }

    return !tee_target_dots(path);
}


/* 1 if there is a dot segment, or what some take for one: "..;x". */

static int
tee_target_dots(tee_str_t path)
{
    size_t  i, dots;

    i = 0;

    while (i < path.len) {

        if (path.data[i++] != '/') {
            continue;
        }

        for (dots = 0; i < path.len && path.data[i] == '.'; i++) {
            dots++;
        }

        if ((dots == 1 || dots == 2)
            && (i == path.len || path.data[i] == '/' || path.data[i] == ';'))
        {
            return 1;
        }
    }

    return 0;
}


int
tee_target_match(const tee_target_t *target, tee_str_t scheme,
    tee_str_t authority, tee_str_t path, tee_str_t raw)
{
    size_t          len;
    uint16_t        port;
    tee_str_t       host, rest;
    const uint8_t  *end;

    len = target->scheme.len;

    if (scheme.len != len || len == 0
        || memcmp(scheme.data, target->scheme.data, len) != 0)
    {
        return 0;
    }

    if (authority.len == 0) {
        return 0;
    }

    end = memchr(authority.data, authority.data[0] == '[' ? ']' : ':',
                 authority.len);

    host = authority;

    if (end) {
        host.len = (size_t) (end - authority.data) + (*end == ']');
    }

    rest.len = authority.len - host.len;
    rest.data = authority.data + host.len;

    port = tee_text_is(target->scheme, "http") ? 80 : 443;

    if (!tee_target_host_is(target->host, host)
        || !tee_target_port(rest, &port)
        || port != target->port)
    {
        return 0;
    }

    if (tee_text_is(target->path, "/")) {
        return 1;
    }

    return tee_target_path_is(target, path) && !tee_target_dots(path)
           && !tee_target_hidden(raw);
}


static int
tee_target_host_is(tee_str_t host, tee_str_t other)
{
    size_t     i;
    uint8_t    ch, a[16], b[16];

    if (host.data[0] == '[') {
        host.len -= 2;
        host.data++;

        if (other.len < 2 || other.data[0] != '[') {
            return 0;
        }

        other.len -= 2;
        other.data++;

        return tee_addr_ipv6(host, a) == TEE_OK
               && tee_addr_ipv6(other, b) == TEE_OK
               && memcmp(a, b, 16) == 0;
    }

    if (other.len != host.len) {
        return 0;
    }

    for (i = 0; i < host.len; i++) {
        ch = other.data[i];

        if (ch >= 'A' && ch <= 'Z') {
            ch |= 0x20;
        }

        if (ch != host.data[i]) {
            return 0;
        }
    }

    return 1;
}


/* Nothing, or ":" and any number of digits, RFC 3986, 3.2.3; 1 if so. */

static int
tee_target_port(tee_str_t text, uint16_t *port)
{
    uint64_t  n;

    if (text.len == 0) {
        return 1;
    }

    if (text.data[0] != ':') {
        return 0;
    }

    text.len--;
    text.data++;

    if (text.len == 0) {
        return 1;
    }

    while (text.len > 1 && text.data[0] == '0') {
        text.len--;
        text.data++;
    }

    if (tee_decimal(text, 65535, &n) != TEE_OK) {
        return 0;
    }

    *port = (uint16_t) n;

    return 1;
}


static int
tee_target_path_is(const tee_target_t *target, tee_str_t path)
{
    size_t  len;

    len = target->path.len;

    if (path.len < len || memcmp(path.data, target->path.data, len) != 0) {
        return 0;
    }

    return path.len == len || path.data[len - 1] == '/'
           || path.data[len] == '/';
}


/* 1 if a slash is escaped, or may be meant by a backslash. */

static int
tee_target_hidden(tee_str_t raw)
{
    size_t     i;
    tee_str_t  digits;

    for (i = 0; i < raw.len && raw.data[i] != '?'; i++) {

        if (raw.data[i] == '\\') {
            return 1;
        }

        if (raw.data[i] != '%' || raw.len - i < 3) {
            continue;
        }

        digits.len = 2;
        digits.data = raw.data + i + 1;

        if (tee_text_is_nocase(digits, "2f")
            || tee_text_is_nocase(digits, "5c"))
        {
            return 1;
        }
    }

    return 0;
}
