
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <string.h>

#include <tee_endpoint.h>

#include "unit.h"


#define L63  "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define N253 L63 "." L63 "." L63 "." \
             "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"


typedef struct {
    const char           *text;
    const char           *host;                /* NULL: refused */
    uint16_t              port;
    uint8_t               form;
    int                   is_private;
} endpoint_case_t;


static const endpoint_case_t  endpoint_cases[] = {
    { "https://a", "a", 443, TEE_HOST_NAME, 0 },
    { "https://a/", "a", 443, TEE_HOST_NAME, 0 },
    { "HTTPS://A.example", "A.example", 443, TEE_HOST_NAME, 0 },
    { "https://a:1", "a", 1, TEE_HOST_NAME, 0 },
    { "https://a:65535/", "a", 65535, TEE_HOST_NAME, 0 },
    { "https://t_1.a-b.example", "t_1.a-b.example", 443, TEE_HOST_NAME, 0 },
    { "https://1.2.3.com", "1.2.3.com", 443, TEE_HOST_NAME, 0 },
    { "https://0x7g", "0x7g", 443, TEE_HOST_NAME, 0 },
    { "https://" N253, N253, 443, TEE_HOST_NAME, 0 },
    { "https://" N253 ":65535/", N253, 65535, TEE_HOST_NAME, 0 },
    { "https://8.8.8.8:8443", "8.8.8.8", 8443, TEE_HOST_IPV4, 0 },
    { "https://127.0.0.1", "127.0.0.1", 443, TEE_HOST_IPV4, 1 },
    { "https://[2001:4860::1]", "2001:4860::1", 443, TEE_HOST_IPV6, 0 },
    { "https://[::1]:8443/", "::1", 8443, TEE_HOST_IPV6, 1 },
    { "https://localhost", "localhost", 443, TEE_HOST_NAME, 1 },
    { "https://a.LocalHost", "a.LocalHost", 443, TEE_HOST_NAME, 1 },
    { "https://localhost.a", "localhost.a", 443, TEE_HOST_NAME, 0 },

    { "", NULL, 0, 0, 0 },
    { "https://", NULL, 0, 0, 0 },
    { "https:///", NULL, 0, 0, 0 },
    { "https:/a", NULL, 0, 0, 0 },
    { "http://a", NULL, 0, 0, 0 },
    { "a", NULL, 0, 0, 0 },
    { " https://a", NULL, 0, 0, 0 },
    { "https://a ", NULL, 0, 0, 0 },
    { "https://a\n", NULL, 0, 0, 0 },
    { "https://a//", NULL, 0, 0, 0 },
    { "https://a/b", NULL, 0, 0, 0 },
    { "https://a?b", NULL, 0, 0, 0 },
    { "https://a#b", NULL, 0, 0, 0 },
    { "https://a/?", NULL, 0, 0, 0 },
    { "https://u@a", NULL, 0, 0, 0 },
    { "https://u:p@a", NULL, 0, 0, 0 },
    { "https://@a", NULL, 0, 0, 0 },
    { "https://a\\b", NULL, 0, 0, 0 },
    { "https://a:", NULL, 0, 0, 0 },
    { "https://a:/", NULL, 0, 0, 0 },
    { "https://a:0", NULL, 0, 0, 0 },
    { "https://a:65536", NULL, 0, 0, 0 },
    { "https://a:443x", NULL, 0, 0, 0 },
    { "https://a:0443", NULL, 0, 0, 0 },
    { "https://a:-1", NULL, 0, 0, 0 },
    { "https://a:443:443", NULL, 0, 0, 0 },
    { "https://:443", NULL, 0, 0, 0 },
    { "https://a.", NULL, 0, 0, 0 },
    { "https://.a", NULL, 0, 0, 0 },
    { "https://a..b", NULL, 0, 0, 0 },
    { "https://-a", NULL, 0, 0, 0 },
    { "https://a-", NULL, 0, 0, 0 },
    { "https://a-.b", NULL, 0, 0, 0 },
    { "https://" L63 "a", NULL, 0, 0, 0 },
    { "https://" N253 "b", NULL, 0, 0, 0 },
    { "https://\xc3\xa9", NULL, 0, 0, 0 },
    { "https://\xff", NULL, 0, 0, 0 },
    { "https://a%2eb", NULL, 0, 0, 0 },
    { "https://127.1", NULL, 0, 0, 0 },
    { "https://2130706433", NULL, 0, 0, 0 },
    { "https://0x7f000001", NULL, 0, 0, 0 },
    { "https://0X7F.1", NULL, 0, 0, 0 },
    { "https://127.0.0.0x1", NULL, 0, 0, 0 },
    { "https://0x", NULL, 0, 0, 0 },
    { "https://0177.0.0.1", NULL, 0, 0, 0 },
    { "https://1.2.3.256", NULL, 0, 0, 0 },
    { "https://1.2.3.4.5", NULL, 0, 0, 0 },
    { "https://[", NULL, 0, 0, 0 },
    { "https://[]", NULL, 0, 0, 0 },
    { "https://[::1", NULL, 0, 0, 0 },
    { "https://[::1]x", NULL, 0, 0, 0 },
    { "https://[::1]443", NULL, 0, 0, 0 },
    { "https://[::1%25lo]", NULL, 0, 0, 0 },
    { "https://[127.0.0.1]", NULL, 0, 0, 0 },
    { "https://::1", NULL, 0, 0, 0 },
    { "https://[[::1]]", NULL, 0, 0, 0 }
};


int
main(void)
{
    size_t                  i;
    uint8_t                 nul[] = "https://a\0b";
    tee_rc_t                rc;
    tee_str_t               text;
    tee_endpoint_t          e;
    const endpoint_case_t  *c;

    for (i = 0; i < sizeof(endpoint_cases) / sizeof(endpoint_cases[0]); i++) {
        c = &endpoint_cases[i];
        text = unit_copy(c->text, strlen(c->text));
        rc = tee_endpoint_parse(text, &e);

        if (c->host) {
            unit_ok(rc == TEE_OK && unit_is(e.host, c->host)
                    && e.port == c->port && e.form == c->form
                    && tee_endpoint_private(&e) == c->is_private,
                    "%.40s", c->text);

        } else {
            unit_ok(rc == TEE_MALFORMED && e.host.data == NULL && e.port == 0,
                    "number %u refused", (unsigned) i);
        }

        unit_free(text);
    }

    text = unit_copy(nul, sizeof(nul) - 1);
    unit_ok(tee_endpoint_parse(text, &e) == TEE_MALFORMED, "NUL");
    unit_free(text);

    return unit_done();
}
