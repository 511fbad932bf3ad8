
/*
 * Copyright (C) The ngx_http_tee authors
 */


#ifndef TEE_KECCAK_H_INCLUDED
#define TEE_KECCAK_H_INCLUDED


#include <tee.h>


/*
 * Keccak-256 as Ethereum has it, that is, with the padding from before
 * FIPS 202: not SHA3-256.
 */

typedef struct {
    uint64_t              a[25];
    uint8_t               block[136];
    size_t                used;
} tee_keccak_t;


void tee_keccak_init(tee_keccak_t *k);
void tee_keccak_update(tee_keccak_t *k, const void *p, size_t len);

/* Afterwards the state is wiped; init before the next use. */

void tee_keccak_final(tee_keccak_t *k, uint8_t digest[32]);

void tee_keccak256(tee_str_t in, uint8_t digest[32]);


#endif /* TEE_KECCAK_H_INCLUDED */
