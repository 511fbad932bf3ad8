
/*
 * Copyright (C) The ngx_http_tee authors
 */


/*
 * The first byte tells how the rest is taken: as the bytes of a response, or
 * as records, each of which becomes a chunk that is authentic, in a frame that
 * need not be.
 */


#include <string.h>

#include <tee_ohttp.h>
#include <tee_write.h>

#include "fuzz.h"


#define FUZZ_MAX      4096

#define FUZZ_CHUNKED  0x01
#define FUZZ_FORGED   0x02
#define FUZZ_AEAD     0x0c
#define FUZZ_PIECE    0xf0

/* of a record: its flags, and the length of its content */

#define FUZZ_FINAL    0x01
#define FUZZ_AS_OTHER 0x02
#define FUZZ_SHORT    0x04
#define FUZZ_LONG     0x08
#define FUZZ_BAD_TAG  0x10
#define FUZZ_WIDE     0x20


typedef struct {
    tee_rc_t              rc;
    size_t                chunks;
    size_t                len;
    uint8_t               data[8 * FUZZ_MAX];
} fuzz_opened_t;


static tee_crypto_t  *fuzz_crypto;

static const tee_ohttp_exchange_t  fuzz_exchanges[3] = {
    { { 1, 0x20, 1, 1 }, 32, 16, { 1 }, { 2 }, { 3 } },
    { { 1, 0x20, 1, 2 }, 32, 32, { 1 }, { 2 }, { 3 } },
    { { 1, 0x20, 1, 3 }, 32, 32, { 1 }, { 2 }, { 3 } }
};


static void
fuzz_take(fuzz_opened_t *r, tee_str_t plain)
{
    FUZZ_CHECK(plain.len <= FUZZ_MAX);

    if (plain.len) {
        FUZZ_CHECK(r->len + plain.len <= sizeof(r->data));
        memcpy(r->data + r->len, plain.data, plain.len);
        r->len += plain.len;
        r->chunks++;
    }
}


static void
fuzz_open(fuzz_opened_t *r, const tee_ohttp_exchange_t *e, int chunked,
    tee_str_t all, size_t piece)
{
    size_t                     before;
    tee_str_t                  in, plain;
    tee_ohttp_response_open_t  o;

    memset(r, 0, sizeof(fuzz_opened_t));

    tee_ohttp_response_open_init(&o, fuzz_crypto, &fuzz_alloc, e, chunked,
                                 FUZZ_MAX);

    while (r->rc == TEE_OK && all.len) {
        in.len = all.len < piece ? all.len : piece;
        in.data = all.data;
        all.len -= in.len;
        all.data += in.len;

        while (r->rc == TEE_OK && in.len) {
            before = in.len;
            r->rc = tee_ohttp_response_open_read(&o, &in, &plain);

            FUZZ_CHECK(r->rc == TEE_OK || plain.len == 0);
            FUZZ_CHECK(r->rc != TEE_OK || plain.len || in.len == 0);
            FUZZ_CHECK(in.len < before || r->rc != TEE_OK);
            fuzz_take(r, plain);
        }
    }

    if (r->rc == TEE_OK) {
        r->rc = tee_ohttp_response_open_end(&o, &plain);
        FUZZ_CHECK(r->rc == TEE_OK || plain.len == 0);
        FUZZ_CHECK(r->rc == TEE_OK || r->rc == TEE_CRYPTO
                   || r->rc == TEE_INCOMPLETE);
        fuzz_take(r, plain);

    } else {
        FUZZ_CHECK(r->rc == TEE_CRYPTO || r->rc == TEE_LIMIT);

        /* once failed, it stays so */

        in.len = 1;
        in.data = r->data;
        FUZZ_CHECK(tee_ohttp_response_open_read(&o, &in, &plain) == r->rc);
        FUZZ_CHECK(tee_ohttp_response_open_end(&o, &plain) == r->rc);
    }

    tee_ohttp_response_open_free(&o);
}


static void
fuzz_varint(tee_write_t *w, uint64_t n, int wide)
{
    unsigned  i;

    if (!wide) {
        tee_write_varint(w, n);
        return;
    }

    for (i = 0; i < 8; i++) {
        tee_write_u8(w, (uint8_t) ((n >> (56 - 8 * i) & 0xff)
                                   | (i ? 0 : 0xc0)));
    }
}


/* One record to one chunk; 1 if it is a good one. */

static int
fuzz_chunk(tee_write_t *w, tee_aead_t *a, unsigned flags, tee_str_t in)
{
    int        final, sealed_final;
    uint8_t    out[256], tag[TEE_AEAD_TAG_LEN];
    uint64_t   len;
    tee_str_t  aad;

    static const tee_str_t  last = tee_string("final");

    final = flags & FUZZ_FINAL ? 1 : 0;
    sealed_final = flags & FUZZ_AS_OTHER ? !final : final;

    aad = last;
    aad.len = sealed_final ? last.len : 0;

    FUZZ_CHECK(tee_aead_begin(a, aad) == TEE_OK
               && tee_aead_update(a, in, out) == TEE_OK
               && tee_aead_seal_end(a, tag) == TEE_OK);

    len = in.len + TEE_AEAD_TAG_LEN;
    len -= flags & FUZZ_SHORT ? 1 : 0;
    len += flags & FUZZ_LONG ? 1 : 0;
    tag[flags >> 6] ^= flags & FUZZ_BAD_TAG ? 1 : 0;

    fuzz_varint(w, final ? 0 : len, flags & FUZZ_WIDE);
    tee_write_bytes(w, out, in.len);
    tee_write_bytes(w, tag, TEE_AEAD_TAG_LEN);

    return sealed_final == final
           && !(flags & FUZZ_BAD_TAG)
           && (final || (in.len && len == in.len + TEE_AEAD_TAG_LEN));
}


/* 1 if what has been written must open, 0 if it must not. */

static int
fuzz_forge(tee_write_t *w, tee_write_t *text, const tee_ohttp_exchange_t *e,
    tee_str_t in)
{
    int                         good, final;
    uint8_t                     nonce[TEE_OHTTP_MAX_SECRET];
    unsigned                    flags;
    tee_str_t                   part;
    tee_ohttp_response_seal_t   s;

    memset(nonce, 4, sizeof(nonce));
    tee_write_bytes(w, nonce, e->secret_len);

    FUZZ_CHECK(tee_ohttp_response_seal_init(&s, fuzz_crypto, e, 1, nonce)
               == TEE_OK);

    good = 1;
    final = 0;

    while (in.len >= 2 && text->len < 4 * FUZZ_MAX) {
        flags = in.data[0];
        part.len = in.data[1] < in.len - 2 ? in.data[1] : in.len - 2;
        part.data = in.data + 2;

        /* nothing may follow a final chunk */

        good = good && !final;
        final = flags & FUZZ_FINAL;

        if (!fuzz_chunk(w, &s.seal.aead, flags, part)) {
            good = 0;
        }

        tee_write_bytes(text, part.data, part.len);

        in.len -= 2 + part.len;
        in.data += 2 + part.len;
    }

    tee_ohttp_response_seal_free(&s);

    return good && final;
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int                           good, chunked;
    tee_str_t                     in;
    tee_write_t                   w, text;
    const tee_ohttp_exchange_t   *e;

    static fuzz_opened_t  whole, pieces;

    if (size == 0) {
        return 0;
    }

    if (fuzz_crypto == NULL) {
        fuzz_crypto = tee_crypto_new(&fuzz_alloc);
        FUZZ_CHECK(fuzz_crypto != NULL);
    }

    e = &fuzz_exchanges[((data[0] & FUZZ_AEAD) >> 2) % 3];
    chunked = data[0] & FUZZ_CHUNKED;

    in.len = size - 1;
    in.data = data + 1;

    tee_write_grow(&w, &fuzz_alloc);
    tee_write_grow(&text, &fuzz_alloc);

    good = -1;

    if ((data[0] & FUZZ_FORGED) && chunked) {
        good = fuzz_forge(&w, &text, e, in);

    } else {
        tee_write_bytes(&w, in.data, in.len < 4 * FUZZ_MAX ? in.len
                                                           : 4 * FUZZ_MAX);
    }

    FUZZ_CHECK(tee_write_rc(&w) == TEE_OK && tee_write_rc(&text) == TEE_OK);

    in.len = w.len;
    in.data = w.data;

    fuzz_open(&whole, e, chunked, in, SIZE_MAX);
    fuzz_open(&pieces, e, chunked, in,
              1 + (size_t) ((data[0] & FUZZ_PIECE) >> 4));

    FUZZ_CHECK(whole.rc == pieces.rc
               && whole.len == pieces.len
               && whole.chunks == pieces.chunks
               && memcmp(whole.data, pieces.data, whole.len) == 0);

    if (good == 1) {
        FUZZ_CHECK(whole.rc == TEE_OK
                   && whole.len == text.len
                   && (text.len == 0
                       || memcmp(whole.data, text.data, text.len) == 0));

    } else if (good == 0) {
        FUZZ_CHECK(whole.rc != TEE_OK);
    }

    tee_write_free(&w);
    tee_write_free(&text);

    return 0;
}
