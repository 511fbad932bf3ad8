
/*
 * Copyright (C) The ngx_http_tee authors
 */


#ifndef TEE_ENDPOINT_H_INCLUDED
#define TEE_ENDPOINT_H_INCLUDED


#include <tee.h>
#include <tee_addr.h>


typedef struct {
    tee_str_t             host;                /* as spelled, no brackets */
    uint16_t              port;                /* 443 if there is none */
    uint8_t               form;                /* TEE_HOST_* */
    uint8_t               addr[16];            /* zeros for a name */
} tee_endpoint_t;


/*
 * Reads https://host[:port][/], and nothing more: whoever registers a TEE
 * chooses this text, and clients put a path behind it.
 *
 * The host is a DNS name of letters, digits, "-" and "_", an IPv4 address, or
 * an IPv6 address in brackets.  A name whose last label is a number is
 * refused: some resolvers would take "127.1" or "0x7f000001" for an address
 * that nobody here has looked at.
 *
 * TEE_OK or TEE_MALFORMED
 */

TEE_MUST_CHECK tee_rc_t tee_endpoint_parse(tee_str_t text, tee_endpoint_t *e);

/* 1 if this is an address, or a name, that stays on the own machine or
 * network; see tee_addr_private(). */

int tee_endpoint_private(const tee_endpoint_t *e);


#endif /* TEE_ENDPOINT_H_INCLUDED */
