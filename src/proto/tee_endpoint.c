
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <string.h>

#include <tee_endpoint.h>
#include <tee_text.h>


#define TEE_NAME_MAX_LEN   253
#define TEE_LABEL_MAX_LEN  63

/* https://, name, port, slash: nobody shall make us look for a longer host */
#define TEE_ENDPOINT_MAX_LEN  (8 + TEE_NAME_MAX_LEN + 6 + 1)


static tee_rc_t tee_endpoint_host(tee_str_t *rest, tee_endpoint_t *e);
static tee_rc_t tee_endpoint_name(tee_str_t name);
static int tee_endpoint_number(tee_str_t label);
static tee_str_t tee_endpoint_last_label(tee_str_t name);


tee_rc_t
tee_endpoint_parse(tee_str_t text, tee_endpoint_t *e)
{
    uint64_t   port;
    tee_str_t  scheme, rest;

    memset(e, 0, sizeof(tee_endpoint_t));

    scheme.len = sizeof("https://") - 1;
    scheme.data = text.data;

    if (text.len <= scheme.len || text.len > TEE_ENDPOINT_MAX_LEN
        || !tee_text_is_nocase(scheme, "https://"))
    {
        return TEE_MALFORMED;
    }

    rest.len = text.len - scheme.len;
    rest.data = text.data + scheme.len;

    if (rest.data[rest.len - 1] == '/') {
        rest.len--;
    }

    if (tee_endpoint_host(&rest, e) != TEE_OK) {
        goto failed;
    }

    e->port = 443;

    if (rest.len == 0) {
        return TEE_OK;
    }

    if (rest.data[0] != ':') {
        goto failed;
    }

    rest.len--;
    rest.data++;

    if (tee_decimal(rest, 65535, &port) != TEE_OK || port == 0) {
        goto failed;
    }

    e->port = (uint16_t) port;

    return TEE_OK;

failed:

    memset(e, 0, sizeof(tee_endpoint_t));

    return TEE_MALFORMED;
}


/* Takes the host from the front. */

static tee_rc_t
tee_endpoint_host(tee_str_t *rest, tee_endpoint_t *e)
{
    size_t          len;
    const uint8_t  *end;

    if (rest->len && rest->data[0] == '[') {

        end = memchr(rest->data, ']', rest->len);
        if (end == NULL) {
            return TEE_MALFORMED;
        }

        e->form = TEE_HOST_IPV6;
        e->host.data = rest->data + 1;
        e->host.len = (size_t) (end - rest->data) - 1;

        rest->len -= e->host.len + 2;
        rest->data += e->host.len + 2;

        return tee_addr_ipv6(e->host, e->addr);
    }

    len = 0;

    while (len < rest->len && rest->data[len] != ':') {
        len++;
    }

    e->host.data = rest->data;
    e->host.len = len;

    rest->len -= len;
    rest->data += len;

    if (tee_addr_ipv4(e->host, e->addr) == TEE_OK) {
        e->form = TEE_HOST_IPV4;
        return TEE_OK;
    }

    e->form = TEE_HOST_NAME;

    return tee_endpoint_name(e->host);
}


/* RFC 1123, 2.1, and "_", which real names have */

static tee_rc_t
tee_endpoint_name(tee_str_t name)
{
    size_t   i, label;
    uint8_t  ch;

    if (name.len > TEE_NAME_MAX_LEN) {
        return TEE_MALFORMED;
    }

    label = 0;

    for (i = 0; i < name.len; i++) {
        ch = name.data[i];

        if (ch == '.') {

            if (label == 0 || name.data[i - 1] == '-') {
                return TEE_MALFORMED;
            }

            label = 0;
            continue;
        }

        if (!((ch >= '0' && ch <= '9') || (ch >= 'a' && ch <= 'z')
              || (ch >= 'A' && ch <= 'Z') || ch == '_'
              || (ch == '-' && label != 0))
            || ++label > TEE_LABEL_MAX_LEN)
        {
            return TEE_MALFORMED;
        }
    }

    if (label == 0 || name.data[name.len - 1] == '-'
        || tee_endpoint_number(tee_endpoint_last_label(name)))
    {
        return TEE_MALFORMED;
    }

    return TEE_OK;
}


/* 1 if inet_aton() would read it: decimal, octal, or 0x. */

static int
tee_endpoint_number(tee_str_t label)
{
    size_t   i;
    uint8_t  ch;

    i = 0;

    if (label.len >= 2 && label.data[0] == '0'
        && (label.data[1] | 0x20) == 'x')
    {
        for (i = 2; i < label.len; i++) {
            ch = label.data[i] | 0x20;

            if (!(label.data[i] >= '0' && label.data[i] <= '9')
                && !(ch >= 'a' && ch <= 'f'))
            {
                return 0;
            }
        }

        return 1;
    }

    for (i = 0; i < label.len; i++) {
        if (label.data[i] < '0' || label.data[i] > '9') {
            return 0;
        }
    }

    return 1;
}


static tee_str_t
tee_endpoint_last_label(tee_str_t name)
{
    size_t     i;
    tee_str_t  label;

    i = name.len;

    while (i > 0 && name.data[i - 1] != '.') {
        i--;
    }

    label.len = name.len - i;
    label.data = name.data + i;

    return label;
}


int
tee_endpoint_private(const tee_endpoint_t *e)
{
    if (e->form != TEE_HOST_NAME) {
        return tee_addr_private(e->form, e->addr);
    }

    /* RFC 6761, 6.3 */

    return tee_text_is_nocase(tee_endpoint_last_label(e->host), "localhost");
}
