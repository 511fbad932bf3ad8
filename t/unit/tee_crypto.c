
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <string.h>

#include <openssl/err.h>

#include <tee_crypto.h>

#include "unit.h"


static tee_rc_t
crypto_sha256(void *ctx)
{
    uint8_t  digest[32];

    (void) ctx;

    return tee_sha256(unit_text("abc"), digest);
}


static tee_rc_t
crypto_point(void *ctx)
{
    return tee_crypto_p256_point(ctx);
}


int
main(void)
{
    size_t     i, wrong;
    uint8_t    digest[32], point[65];
    tee_str_t  want;

    unit_crypto_init();

    want = unit_hex("ba7816bf8f01cfea414140de5dae2223"
                    "b00361a396177a9cb410ff61f20015ad");
    unit_ok(tee_sha256(unit_text("abc"), digest) == TEE_OK
            && unit_equal(want, digest, 32), "SHA-256 of abc");
    unit_free(want);

    want = unit_hex("e3b0c44298fc1c149afbf4c8996fb924"
                    "27ae41e4649b934ca495991b7852b855");
    unit_ok(tee_sha256(unit_copy(NULL, 0), digest) == TEE_OK
            && unit_equal(want, digest, 32), "SHA-256 of nothing");
    unit_free(want);

    /* the generator; SEC 2, 2.4.2 */

    want = unit_hex("046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0"
                    "f4a13945d898c2964fe342e2fe1a7f9b8ee7eb4a7c0f9e162b"
                    "ce33576b315ececbb6406837bf51f5");
    memcpy(point, want.data, 65);
    unit_free(want);

    unit_ok(tee_crypto_p256_point(point) == TEE_OK, "a point of P-256");

    wrong = 0;

    for (i = 0; i < 65 * 8; i += 7) {
        point[i / 8] ^= (uint8_t) (1 << i % 8);
        wrong += tee_crypto_p256_point(point) != TEE_CRYPTO;
        point[i / 8] ^= (uint8_t) (1 << i % 8);
    }

    unit_ok(wrong == 0, "no other bit, no other form");

    unit_crypto_oom(crypto_point, point, TEE_OK, "point");
    unit_crypto_oom(crypto_sha256, NULL, TEE_OK, "SHA-256");

    memset(point + 1, 0, 64);
    unit_ok(tee_crypto_p256_point(point) == TEE_CRYPTO, "zeros");
    memset(point + 1, 0xff, 64);
    unit_ok(tee_crypto_p256_point(point) == TEE_CRYPTO, "ones");
    unit_crypto_oom(crypto_point, point, TEE_CRYPTO, "no point");

    unit_ok(ERR_peek_error() == 0, "the error queue is as it was");

    return unit_done();
}
