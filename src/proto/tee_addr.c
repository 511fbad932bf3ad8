
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <string.h>

#include <tee_addr.h>
#include <tee_text.h>


#define TEE_ADDR_NO_GAP  32


typedef struct {
    uint8_t               prefix[4];
    uint8_t               bits;
} tee_addr_block_t;


static tee_rc_t tee_addr_group(tee_str_t text, size_t *pos, uint8_t out[2]);
static int tee_addr_private4(const uint8_t addr[4]);
static int tee_addr_private6(const uint8_t addr[16]);


tee_rc_t
tee_addr_ipv4(tee_str_t text, uint8_t addr[4])
{
    size_t     i, n, from;
    uint64_t   v;
    tee_str_t  part;

    memset(addr, 0, 4);

    n = 0;
    from = 0;

    for (i = 0; i <= text.len; i++) {

        if (i < text.len && text.data[i] != '.') {
            continue;
        }

        part.len = i - from;
        part.data = text.len ? text.data + from : NULL;
        from = i + 1;

        if (n == 4 || tee_decimal(part, 255, &v) != TEE_OK) {
            memset(addr, 0, 4);
            return TEE_MALFORMED;
        }

        addr[n++] = (uint8_t) v;
    }

    if (n != 4) {
        memset(addr, 0, 4);
        return TEE_MALFORMED;
    }

    return TEE_OK;
}


tee_rc_t
tee_addr_ipv6(tee_str_t text, uint8_t addr[16])
{
    size_t     pos, n, gap;
    uint8_t    out[16];
    tee_str_t  tail;

    memset(addr, 0, 16);
    memset(out, 0, 16);

    pos = 0;
    n = 0;
    gap = TEE_ADDR_NO_GAP;

    if (text.len >= 2 && text.data[0] == ':' && text.data[1] == ':') {
        pos = 2;
        gap = 0;
    }

    while (pos < text.len) {

        tail.len = text.len - pos;
        tail.data = text.data + pos;

        if (n <= 12 && tee_addr_ipv4(tail, out + n) == TEE_OK) {
            n += 4;
            pos = text.len;
            break;
        }

        if (n == 16 || tee_addr_group(text, &pos, out + n) != TEE_OK) {
            return TEE_MALFORMED;
        }

        n += 2;

        if (pos == text.len) {
            break;
        }

        /* the group ended before a colon */

        pos++;

        if (pos < text.len && text.data[pos] == ':') {

            if (gap != TEE_ADDR_NO_GAP) {
                return TEE_MALFORMED;
            }

            gap = n;
            pos++;

        } else if (pos == text.len) {
            return TEE_MALFORMED;
        }
    }

    if (gap == TEE_ADDR_NO_GAP ? n != 16 : n > 14) {
        return TEE_MALFORMED;
    }

    if (gap == TEE_ADDR_NO_GAP) {
        gap = n;
    }

    memcpy(addr, out, gap);
    memcpy(addr + 16 - (n - gap), out + gap, n - gap);

    return TEE_OK;
}


/* One to four digits, up to the end or a colon. */

static tee_rc_t
tee_addr_group(tee_str_t text, size_t *pos, uint8_t out[2])
{
    size_t     len;
    uint8_t    digits[4] = { '0', '0', '0', '0' };
    tee_str_t  group = { 4, digits };

    len = 0;

    while (*pos + len < text.len && text.data[*pos + len] != ':') {
        if (++len > 4) {
            return TEE_MALFORMED;
        }
    }

    if (len == 0) {
        return TEE_MALFORMED;
    }

    memcpy(digits + 4 - len, text.data + *pos, len);
    *pos += len;

    return tee_hex_decode(group, out);
}


int
tee_addr_private(int host_form, const uint8_t *addr)
{
    switch (host_form) {

    case TEE_HOST_IPV4:
        return tee_addr_private4(addr);

    case TEE_HOST_IPV6:
        return tee_addr_private6(addr);

    default:
        return 0;
    }
}


/* The IANA special-purpose registry, without what is globally reachable. */

static int
tee_addr_private4(const uint8_t addr[4])
{
    size_t    i;
    uint32_t  a, p;

    static const tee_addr_block_t  blocks[] = {
        { { 0, 0, 0, 0 }, 8 },             /* this network */
        { { 10, 0, 0, 0 }, 8 },            /* private use */
        { { 100, 64, 0, 0 }, 10 },         /* shared, carrier NAT */
        { { 127, 0, 0, 0 }, 8 },           /* loopback */
        { { 169, 254, 0, 0 }, 16 },        /* link-local, cloud metadata */
        { { 172, 16, 0, 0 }, 12 },         /* private use */
        { { 192, 0, 0, 0 }, 24 },          /* protocol assignments */
        { { 192, 0, 2, 0 }, 24 },          /* documentation */
        { { 192, 88, 99, 0 }, 24 },        /* 6to4 relays, gone */
        { { 192, 168, 0, 0 }, 16 },        /* private use */
        { { 198, 18, 0, 0 }, 15 },         /* benchmarks */
        { { 198, 51, 100, 0 }, 24 },       /* documentation */
        { { 203, 0, 113, 0 }, 24 },        /* documentation */
        { { 224, 0, 0, 0 }, 3 }            /* multicast, reserved */
    };

    a = (uint32_t) addr[0] << 24 | (uint32_t) addr[1] << 16
        | (uint32_t) addr[2] << 8 | addr[3];

    for (i = 0; i < sizeof(blocks) / sizeof(blocks[0]); i++) {
        p = (uint32_t) blocks[i].prefix[0] << 24
            | (uint32_t) blocks[i].prefix[1] << 16
            | (uint32_t) blocks[i].prefix[2] << 8 | blocks[i].prefix[3];

        if ((a ^ p) >> (32 - blocks[i].bits) == 0) {
            return 1;
        }
    }

    return 0;
}


static int
tee_addr_private6(const uint8_t addr[16])
{
    static const uint8_t  nat64[12] = { 0, 0x64, 0xff, 0x9b };
    static const uint8_t  mapped[12] = {
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff
    };

    if (memcmp(addr, mapped, 12) == 0 || memcmp(addr, nat64, 12) == 0) {
        return tee_addr_private4(addr + 12);
    }

    /* RFC 4291, 2.4: all that is routed is in 2000::/3 */

    if ((addr[0] & 0xe0) != 0x20) {
        return 1;
    }

    /* 2001::/23, Teredo and other protocols; 2001:db8::/32, 3fff::/20 */

    if (addr[0] == 0x20 && addr[1] == 0x01) {

        if ((addr[2] & 0xfe) == 0 || (addr[2] == 0x0d && addr[3] == 0xb8)) {
            return 1;
        }
    }

    if (addr[0] == 0x3f && addr[1] == 0xff && (addr[2] & 0xf0) == 0) {
        return 1;
    }

    /* 6to4, RFC 3056, and ISATAP, RFC 5214 */

    if (addr[0] == 0x20 && addr[1] == 0x02) {
        return tee_addr_private4(addr + 2);
    }

    if ((addr[8] & 0xfd) == 0 && addr[9] == 0
        && addr[10] == 0x5e && addr[11] == 0xfe)
    {
        return tee_addr_private4(addr + 12);
    }

    return 0;
}
