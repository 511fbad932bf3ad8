
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <stdio.h>
#include <string.h>
#include <arpa/inet.h>

#include <tee_addr.h>

#include "unit.h"


typedef struct {
    const char           *text;
    int                   is_private;
} addr_case_t;


static const addr_case_t  addr_ipv4[] = {
    { "0.0.0.0", 1 }, { "0.255.255.255", 1 }, { "1.0.0.0", 0 },
    { "9.255.255.255", 0 }, { "10.0.0.0", 1 }, { "10.255.255.255", 1 },
    { "11.0.0.0", 0 }, { "100.63.255.255", 0 }, { "100.64.0.0", 1 },
    { "100.127.255.255", 1 }, { "100.128.0.0", 0 },
    { "126.255.255.255", 0 }, { "127.0.0.1", 1 }, { "127.255.255.255", 1 },
    { "128.0.0.0", 0 }, { "169.253.255.255", 0 }, { "169.254.169.254", 1 },
    { "169.255.0.0", 0 }, { "172.15.255.255", 0 }, { "172.16.0.0", 1 },
    { "172.31.255.255", 1 }, { "172.32.0.0", 0 }, { "192.0.0.1", 1 },
    { "192.0.1.0", 0 }, { "192.0.2.1", 1 }, { "192.0.3.0", 0 },
    { "192.88.99.1", 1 }, { "192.167.255.255", 0 }, { "192.168.0.1", 1 },
    { "192.169.0.0", 0 }, { "198.17.255.255", 0 }, { "198.18.0.0", 1 },
    { "198.19.255.255", 1 }, { "198.20.0.0", 0 }, { "198.51.100.7", 1 },
    { "203.0.113.7", 1 }, { "203.0.114.0", 0 }, { "223.255.255.255", 0 },
    { "224.0.0.0", 1 }, { "239.255.255.255", 1 }, { "240.0.0.0", 1 },
    { "255.255.255.255", 1 }, { "8.8.8.8", 0 }
};


static const addr_case_t  addr_ipv6[] = {
    { "::", 1 }, { "::1", 1 }, { "::ffff:127.0.0.1", 1 },
    { "::ffff:10.1.2.3", 1 }, { "::ffff:8.8.8.8", 0 },
    { "::127.0.0.1", 1 }, { "::8.8.8.8", 1 },
    { "64:ff9b::7f00:1", 1 }, { "64:ff9b::8.8.8.8", 0 },
    { "64:ff9b:1::8.8.8.8", 1 }, { "100::1", 1 }, { "fe80::1", 1 },
    { "febf::1", 1 }, { "fec0::1", 1 }, { "fc00::1", 1 }, { "fdff::1", 1 },
    { "ff02::1", 1 }, { "2001::1", 1 }, { "2001:1::1", 1 },
    { "2001:1ff::1", 1 }, { "2001:200::1", 0 }, { "2001:db8::1", 1 },
    { "2001:db9::1", 0 }, { "2001:4860:4860::8888", 0 },
    { "2002:7f00:1::", 1 }, { "2002:808:808::", 0 }, { "2003::1", 0 },
    { "3fff::1", 1 }, { "3fff:fff::1", 1 }, { "3fff:1000::1", 0 },
    { "4000::1", 1 }, { "5f00::1", 1 }, { "2a00:1450::5efe:10.0.0.1", 1 },
    { "2a00:1450::200:5efe:127.0.0.1", 1 },
    { "2a00:1450::5efe:8.8.8.8", 0 }
};


static void
addr_table(int form, const addr_case_t *cases, size_t n)
{
    size_t     i;
    uint8_t    addr[16];
    tee_rc_t   rc;
    tee_str_t  text;

    for (i = 0; i < n; i++) {
        text = unit_copy(cases[i].text, strlen(cases[i].text));
        rc = form == TEE_HOST_IPV4 ? tee_addr_ipv4(text, addr)
                                   : tee_addr_ipv6(text, addr);
        unit_ok(rc == TEE_OK
                && tee_addr_private(form, addr) == cases[i].is_private,
                "%s is %s", cases[i].text,
                cases[i].is_private ? "private" : "public");
        unit_free(text);
    }
}


/* inet_pton() has to agree on random texts. */

static void
addr_model(void)
{
    size_t     i, k, n, wrong, good, good4;
    char       text[40];
    uint8_t    a[16], b[16];
    tee_rc_t   rc;
    tee_str_t  copy;

    static const char *const  parts[] = {
        ":", ":", ":", "::", "0", "1", "ffff", "A", "12345", ".", "127.0.0.1",
        "::", ":2", ":3", ":4", "g"
    };

    static const char *const  parts4[] = {
        ".", ".", ".", "0", "1", "255", "256", "01", ".1", ".2", ".3.4", "a"
    };

    wrong = 0;
    good = 0;
    good4 = 0;

    for (i = 0; i < 300000; i++) {
        memset(text, 0, sizeof(text));
        n = unit_rand() % 10;

        for (k = 0; k < n && strlen(text) < 24; k++) {
            (void) strncat(text, parts[unit_rand() % 16], 12);
        }

        copy = unit_copy(text, strlen(text));
        rc = tee_addr_ipv6(copy, a);
        unit_free(copy);

        wrong += (rc == TEE_OK) != (inet_pton(AF_INET6, text, b) == 1);
        wrong += rc == TEE_OK && memcmp(a, b, 16) != 0;
        good += rc == TEE_OK;

        memset(text, 0, sizeof(text));

        for (k = 0; k < n && strlen(text) < 24; k++) {
            (void) strncat(text, parts4[unit_rand() % 12], 12);
        }

        copy = unit_copy(text, strlen(text));
        rc = tee_addr_ipv4(copy, a);
        unit_free(copy);

        wrong += (rc == TEE_OK) != (inet_pton(AF_INET, text, b) == 1);
        wrong += rc == TEE_OK && memcmp(a, b, 4) != 0;
        good4 += rc == TEE_OK;
    }

    unit_ok(wrong == 0, "as inet_pton() has it");
    unit_ok(good > 100 && good4 > 10, "with %u and %u addresses among them",
            (unsigned) good, (unsigned) good4);
}


int
main(void)
{
    size_t     i;
    uint8_t    addr[16];
    tee_str_t  text;

    static const char *const  bad[] = {
        "", ":", ":::", "1", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9",
        "1:2:3:4:5:6:7:8::", "::1:2:3:4:5:6:7:8", "1::2::3", "1:2:3:4:5:6:7:",
        ":1:2:3:4:5:6:7", "12345::", "::g", "::1%eth0", "::1.2.3",
        "::1.2.3.4.5", "1.2.3.4", "::1.2.3.4:5", "1:2:3:4:5:6:7:1.2.3.4",
        "::1.2.3.256", " ::1", "::1 ", "[::1]"
    };

    addr_table(TEE_HOST_IPV4, addr_ipv4,
               sizeof(addr_ipv4) / sizeof(addr_ipv4[0]));
    addr_table(TEE_HOST_IPV6, addr_ipv6,
               sizeof(addr_ipv6) / sizeof(addr_ipv6[0]));

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        text = unit_copy(bad[i], strlen(bad[i]));
        unit_ok(tee_addr_ipv6(text, addr) == TEE_MALFORMED,
                "\"%s\" is no IPv6 address", bad[i]);
        unit_free(text);
    }

    unit_ok(!tee_addr_private(TEE_HOST_NAME, addr), "a name is not private");

    addr_model();

    return unit_done();
}
