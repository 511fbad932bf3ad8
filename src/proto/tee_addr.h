
/*
 * Copyright (C) The ngx_http_tee authors
 */


#ifndef TEE_ADDR_H_INCLUDED
#define TEE_ADDR_H_INCLUDED


#include <tee.h>


#define TEE_HOST_NAME  0
#define TEE_HOST_IPV4  4
#define TEE_HOST_IPV6  6


/* Four decimal numbers, none with a leading zero; TEE_OK, TEE_MALFORMED. */

TEE_MUST_CHECK tee_rc_t tee_addr_ipv4(tee_str_t text, uint8_t addr[4]);

/* RFC 4291, 2.2, without a zone; TEE_OK, TEE_MALFORMED. */

TEE_MUST_CHECK tee_rc_t tee_addr_ipv6(tee_str_t text, uint8_t addr[16]);

/*
 * 1 if a node of the public Internet cannot have this address: loopback,
 * private, link-local, shared, documentation, benchmark, multicast, reserved,
 * and IPv6 forms that carry such an IPv4 address.
 *
 * addr  4 or 16 bytes, as host_form says; a name is never private here
 */

int tee_addr_private(int host_form, const uint8_t *addr);


#endif /* TEE_ADDR_H_INCLUDED */
