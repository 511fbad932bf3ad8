
/*
 * Copyright (C) The ngx_http_tee authors
 */


/*
 * The first byte tells how the rest is taken: as the bytes of a request, or
 * as its content, which is sealed, and of which one byte may be changed then.
 */


#include <string.h>

#include <tee_ohttp.h>
#include <tee_write.h>

#include "fuzz.h"


#define FUZZ_MAX      4096

#define FUZZ_CHUNKED  0x01
#define FUZZ_SEALED   0x02
#define FUZZ_P256     0x04
#define FUZZ_AEAD     0x18


typedef struct {
    tee_rc_t              rc;
    size_t                len;
    uint8_t               data[8 * FUZZ_MAX];
    tee_ohttp_exchange_t  exchange;
} fuzz_opened_t;


/* RFC 9458, A; chunked-08, A; and any scalar */

static const uint8_t  fuzz_sk[3][32] = {
    { 0x3c, 0x16, 0x89, 0x75, 0x67, 0x4b, 0x2f, 0xa8, 0xe4, 0x65, 0x97, 0x0b,
      0x79, 0xc8, 0xdc, 0xf0, 0x9f, 0x1c, 0x74, 0x16, 0x26, 0x48, 0x0b, 0xd4,
      0xc6, 0x16, 0x2f, 0xc5, 0xb6, 0xa9, 0x8e, 0x1a },
    { 0x1c, 0x19, 0x0d, 0x72, 0xac, 0xdb, 0xe4, 0xdb, 0xc6, 0x9e, 0x68, 0x05,
      0x03, 0xbb, 0x78, 0x1a, 0x93, 0x2c, 0x70, 0xa1, 0x2c, 0x8f, 0x37, 0x54,
      0x43, 0x4c, 0x67, 0xd8, 0x64, 0x0d, 0x86, 0x98 },
    { 1, 2, 3 }
};

static const uint8_t  fuzz_suites[] = { 0, 1, 0, 1, 0, 1, 0, 2, 0, 1, 0, 3 };

static tee_crypto_t         *fuzz_crypto;
static tee_hpke_key_t       *fuzz_keys[3];
static tee_ohttp_private_t   fuzz_private[3];


static void
fuzz_init(void)
{
    size_t     i;
    tee_str_t  sk;

    fuzz_crypto = tee_crypto_new(&fuzz_alloc);
    FUZZ_CHECK(fuzz_crypto != NULL);

    for (i = 0; i < 3; i++) {
        sk.len = 32;
        sk.data = fuzz_sk[i];

        FUZZ_CHECK(tee_hpke_key_new(fuzz_crypto,
                                    i == 2 ? TEE_KEM_P256 : TEE_KEM_X25519,
                                    sk, &fuzz_keys[i])
                   == TEE_OK);

        fuzz_private[i].key = fuzz_keys[i];
        fuzz_private[i].suites.len = sizeof(fuzz_suites);
        fuzz_private[i].suites.data = fuzz_suites;
        fuzz_private[i].id = i == 2 ? 2 : 1;
    }
}


/* Both appendices have the key id 1. */

static const tee_ohttp_private_t *
fuzz_find(void *data, uint8_t id)
{
    const int  *chunked = data;

    return id == 1 ? &fuzz_private[*chunked] : id == 2 ? &fuzz_private[2]
                                                       : NULL;
}


static void
fuzz_take(fuzz_opened_t *r, tee_str_t plain)
{
    FUZZ_CHECK(plain.len <= FUZZ_MAX);

    if (plain.len) {
        FUZZ_CHECK(r->len + plain.len <= sizeof(r->data));
        memcpy(r->data + r->len, plain.data, plain.len);
        r->len += plain.len;
    }
}


static void
fuzz_open(fuzz_opened_t *r, int chunked, tee_str_t all, size_t piece)
{
    tee_str_t                 in, plain;
    tee_ohttp_request_open_t  o;

    memset(r, 0, sizeof(fuzz_opened_t));

    tee_ohttp_request_open_init(&o, fuzz_crypto, &fuzz_alloc, chunked,
                                FUZZ_MAX, fuzz_find, &chunked);

    while (r->rc == TEE_OK && all.len) {
        in.len = all.len < piece ? all.len : piece;
        in.data = all.data;
        all.len -= in.len;
        all.data += in.len;

        while (r->rc == TEE_OK && in.len) {
            r->rc = tee_ohttp_request_open_read(&o, &in, &plain);

            FUZZ_CHECK(r->rc == TEE_OK || plain.len == 0);
            FUZZ_CHECK(r->rc != TEE_OK || plain.len || in.len == 0);
            fuzz_take(r, plain);
        }
    }

    if (r->rc == TEE_OK) {
        r->rc = tee_ohttp_request_open_end(&o, &plain);
        FUZZ_CHECK(r->rc == TEE_OK || plain.len == 0);
        FUZZ_CHECK(r->rc == TEE_OK || r->rc == TEE_CRYPTO
                   || r->rc == TEE_INCOMPLETE);
        fuzz_take(r, plain);

    } else {
        FUZZ_CHECK(r->rc == TEE_CRYPTO || r->rc == TEE_LIMIT
                   || r->rc == TEE_UNSUPPORTED);
        FUZZ_CHECK(tee_ohttp_request_open_end(&o, &plain) == r->rc);
    }

    r->exchange = o.exchange;
    tee_ohttp_request_open_free(&o);
}


/* The content in two chunks, or in one message. */

static void
fuzz_seal(tee_write_t *w, unsigned flags, tee_str_t in)
{
    int                        chunked;
    size_t                     len;
    uint8_t                    buf[FUZZ_MAX + TEE_OHTTP_CHUNK_EXTRA], ikm[64];
    tee_str_t                  part;
    tee_hpke_key_t            *key;
    tee_ohttp_header_t         h;
    tee_ohttp_request_seal_t   s;

    chunked = flags & FUZZ_CHUNKED;

    h.id = flags & FUZZ_P256 ? 2 : 1;
    h.kem = flags & FUZZ_P256 ? TEE_KEM_P256 : TEE_KEM_X25519;
    h.kdf = TEE_KDF_HKDF_SHA256;
    h.aead = (uint16_t) (1 + (flags & FUZZ_AEAD) / 8 % 3);

    key = fuzz_keys[flags & FUZZ_P256 ? 2 : chunked];
    memset(ikm, 6, sizeof(ikm));

    FUZZ_CHECK(tee_ohttp_request_seal_init(&s, fuzz_crypto, &h,
                                           tee_hpke_key_public(key), ikm,
                                           chunked, buf, &len)
               == TEE_OK);

    tee_write_bytes(w, buf, len);

    part = in;

    if (chunked) {
        part.len = in.len / 2;

        if (part.len) {
            FUZZ_CHECK(tee_ohttp_request_seal_chunk(&s, part, 0, buf, &len)
                       == TEE_OK);
            tee_write_bytes(w, buf, len);
        }

        part.data += part.len;
        part.len = in.len - part.len;
        FUZZ_CHECK(tee_ohttp_request_seal_chunk(&s, part, 1, buf, &len)
                   == TEE_OK);
        tee_write_bytes(w, buf, len);

    } else {
        FUZZ_CHECK(tee_ohttp_request_seal_update(&s, part, buf) == TEE_OK);
        FUZZ_CHECK(tee_ohttp_request_seal_end(&s, buf + part.len) == TEE_OK);
        tee_write_bytes(w, buf, part.len + TEE_AEAD_TAG_LEN);
    }

    tee_ohttp_request_seal_free(&s);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int          changed;
    tee_str_t    in, content;
    tee_write_t  w;

    static fuzz_opened_t  whole, pieces;

    if (size < 4) {
        return 0;
    }

    if (fuzz_crypto == NULL) {
        fuzz_init();
    }

    tee_write_grow(&w, &fuzz_alloc);

    content.len = 0;
    content.data = data + 4;
    changed = 0;

    if (data[0] & FUZZ_SEALED) {
        content.len = size - 4 < FUZZ_MAX ? size - 4 : FUZZ_MAX;

        fuzz_seal(&w, data[0], content);
        FUZZ_CHECK(tee_write_rc(&w) == TEE_OK);

        changed = data[1] != 0;
        w.data[(size_t) (data[2] << 8 | data[3]) % w.len] ^= data[1];

    } else {
        tee_write_bytes(&w, data + 1, size - 1 < 4 * FUZZ_MAX ? size - 1
                                                              : 4 * FUZZ_MAX);
    }

    in.len = w.len;
    in.data = w.data;

    fuzz_open(&whole, data[0] & FUZZ_CHUNKED, in, SIZE_MAX);
    fuzz_open(&pieces, data[0] & FUZZ_CHUNKED, in,
              1 + 5 * (size_t) (data[0] >> 5));

    FUZZ_CHECK(whole.rc == pieces.rc
               && whole.len == pieces.len
               && memcmp(whole.data, pieces.data, whole.len) == 0
               && memcmp(&whole.exchange, &pieces.exchange,
                         sizeof(tee_ohttp_exchange_t))
                  == 0);

    if (data[0] & FUZZ_SEALED) {
        FUZZ_CHECK(changed
                   ? whole.rc != TEE_OK
                   : whole.rc == TEE_OK
                     && whole.len == content.len
                     && memcmp(whole.data, content.data, content.len) == 0);
    }

    tee_write_free(&w);

    return 0;
}
