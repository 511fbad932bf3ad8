
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <string.h>

#include <openssl/err.h>

#include <tee_ohttp.h>
#include <tee_write.h>

#include "unit.h"


#define OHTTP_MAX  4096


/* A gateway with two keys, and what a client does with one of them. */

typedef struct {
    tee_crypto_t         *crypto;
    tee_hpke_key_t       *keys[2];
    tee_ohttp_private_t   offered[2];
    size_t                asked;               /* for a key */
    size_t                wrong;               /* what must not be told so */

    tee_ohttp_header_t    header;
    tee_str_t             wire;                /* of a request */
    tee_str_t             answer;              /* of a response */
    unsigned              chunked:1;
    unsigned              known:1;
    tee_ohttp_exchange_t  exchange;
} ohttp_t;


static const uint8_t  ohttp_suites[] = { 0, 1, 0, 3, 0, 1, 0, 1, 0, 1, 0, 2 };
static const tee_str_t  ohttp_none = { 0, NULL };

/* the first of them has no content in its final chunk */

static const char  *ohttp_texts[] = { "The first chunk", ", the second", "" };

#define OHTTP_TEXT  "The first chunk, the second"


/* Memory that must be clean when it is given back. */

typedef struct {
    size_t                size;
    uint8_t               data[1];
} ohttp_block_t;

static size_t  ohttp_dirty;
static size_t  ohttp_blocks;


static void *
ohttp_malloc(void *ctx, size_t size)
{
    ohttp_block_t  *b;

    b = unit_alloc.alloc(ctx, sizeof(ohttp_block_t) + size);
    if (b == NULL) {
        return NULL;
    }

    b->size = size;
    memset(b->data, 0, size);
    ohttp_blocks++;

    return b->data;
}


static void
ohttp_release(void *ctx, void *p)
{
    size_t          i;
    ohttp_block_t  *b;

    b = (ohttp_block_t *) (void *) ((uint8_t *) p
                                    - offsetof(ohttp_block_t, data));

    for (i = 0; i < b->size; i++) {
        ohttp_dirty += b->data[i] != 0;
    }

    unit_alloc.free(ctx, b);
}


static const tee_alloc_t  ohttp_alloc = {
    ohttp_malloc,
    ohttp_release,
    &unit_memory
};


static const tee_ohttp_private_t *
ohttp_find(void *data, uint8_t id)
{
    ohttp_t  *t = data;

    t->asked++;

    return id == 1 || id == 2 ? &t->offered[id - 1] : NULL;
}


/* Seals the texts; the outputs are on the heap, with their exact length. */

static tee_rc_t
ohttp_seal_request(ohttp_t *t)
{
    size_t                     i, len;
    uint8_t                    ikm[64], buf[TEE_OHTTP_HEADER_LEN
                                            + TEE_HPKE_MAX_ENC];
    tee_rc_t                   rc;
    tee_str_t                  in;
    tee_write_t                w;
    tee_ohttp_request_seal_t   s;

    memset(ikm, 7, sizeof(ikm));
    tee_write_grow(&w, &unit_alloc);

    rc = tee_ohttp_request_seal_init(&s, t->crypto, &t->header,
                       tee_hpke_key_public(t->keys[t->header.id == 2]), ikm,
                       t->chunked, buf, &len);
    if (rc != TEE_OK) {
        goto done;
    }

    tee_write_bytes(&w, buf, len);

    for (i = 0; i < 3 && rc == TEE_OK; i++) {
        in = unit_text(ohttp_texts[i]);

        if (t->chunked) {
            rc = tee_ohttp_request_seal_chunk(&s, in, i == 2, buf, &len);
            tee_write_bytes(&w, buf, len);

        } else {
            rc = tee_ohttp_request_seal_update(&s, in, buf);
            tee_write_bytes(&w, buf, in.len);
        }
    }

    if (!t->chunked && rc == TEE_OK) {
        rc = tee_ohttp_request_seal_end(&s, buf);
        tee_write_bytes(&w, buf, TEE_AEAD_TAG_LEN);
    }

    if (rc == TEE_OK) {
        rc = tee_write_rc(&w);
    }

    t->exchange = s.exchange;

done:

    tee_ohttp_request_seal_free(&s);
    unit_free(t->wire);
    t->wire = rc == TEE_OK ? unit_copy(w.data, w.len) : ohttp_none;
    tee_write_free(&w);

    return rc;
}


static tee_rc_t
ohttp_seal_response(ohttp_t *t)
{
    size_t                      i, len;
    uint8_t                     nonce[TEE_OHTTP_MAX_SECRET], buf[256];
    tee_rc_t                    rc;
    tee_str_t                   in;
    tee_write_t                 w;
    tee_ohttp_response_seal_t   s;

    memset(nonce, 9, sizeof(nonce));
    tee_write_grow(&w, &unit_alloc);
    tee_write_bytes(&w, nonce, t->exchange.secret_len);

    rc = tee_ohttp_response_seal_init(&s, t->crypto, &t->exchange, t->chunked,
                                      nonce);

    for (i = 0; i < 3 && rc == TEE_OK; i++) {
        in = unit_text(ohttp_texts[i]);

        if (t->chunked) {
            rc = tee_ohttp_response_seal_chunk(&s, in, i == 2, buf, &len);
            tee_write_bytes(&w, buf, len);

        } else {
            memcpy(buf, in.data, in.len);
            in.data = buf;
            rc = tee_ohttp_response_seal_update(&s, in, buf);
            tee_write_bytes(&w, buf, in.len);
        }
    }

    if (!t->chunked && rc == TEE_OK) {
        rc = tee_ohttp_response_seal_end(&s, buf);
        tee_write_bytes(&w, buf, TEE_AEAD_TAG_LEN);
    }

    if (rc == TEE_OK) {
        rc = tee_write_rc(&w);
    }

    tee_ohttp_response_seal_free(&s);
    unit_free(t->answer);
    t->answer = rc == TEE_OK ? unit_copy(w.data, w.len) : ohttp_none;
    tee_write_free(&w);

    return rc;
}


/* Opens either; "text" has what came out, even before a failure. */

typedef struct {
    union {
        tee_ohttp_request_open_t    request;
        tee_ohttp_response_open_t   response;
    } u;
    unsigned              response:1;
    char                  text[128];
    size_t                len;
    size_t                chunks;
} ohttp_open_t;


static void
ohttp_open_init(ohttp_open_t *o, ohttp_t *t, int response, size_t max)
{
    memset(o, 0, sizeof(ohttp_open_t));

    o->response = response ? 1 : 0;

    if (response) {
        tee_ohttp_response_open_init(&o->u.response, t->crypto, &ohttp_alloc,
                                     &t->exchange, t->chunked, max);

    } else {
        tee_ohttp_request_open_init(&o->u.request, t->crypto, &ohttp_alloc,
                                    t->chunked, max, ohttp_find, t);
    }
}


static void
ohttp_open_free(ohttp_open_t *o)
{
    if (o->response) {
        tee_ohttp_response_open_free(&o->u.response);
        tee_ohttp_response_open_free(&o->u.response);

    } else {
        tee_ohttp_request_open_free(&o->u.request);
        tee_ohttp_request_open_free(&o->u.request);
    }
}


static void
ohttp_take(ohttp_open_t *o, tee_str_t plain)
{
    if (plain.len && o->len + plain.len <= sizeof(o->text)) {
        memcpy(o->text + o->len, plain.data, plain.len);
        o->len += plain.len;
    }
}


static tee_rc_t
ohttp_open_read(ohttp_open_t *o, tee_str_t in)
{
    tee_rc_t   rc;
    tee_str_t  plain;

    do {
        rc = o->response
             ? tee_ohttp_response_open_read(&o->u.response, &in, &plain)
             : tee_ohttp_request_open_read(&o->u.request, &in, &plain);

        if (rc != TEE_OK) {
            return plain.len ? TEE_DONE : rc;
        }

        o->chunks += plain.len != 0;
        ohttp_take(o, plain);

    } while (in.len);

    return rc;
}


static tee_rc_t
ohttp_open_end(ohttp_open_t *o)
{
    tee_rc_t   rc;
    tee_str_t  plain;

    rc = o->response
         ? tee_ohttp_response_open_end(&o->u.response, &plain)
         : tee_ohttp_request_open_end(&o->u.request, &plain);

    if (rc != TEE_OK) {
        return plain.len ? TEE_DONE : rc;
    }

    ohttp_take(o, plain);

    return rc;
}


/* In two pieces; "at" may be the length. */

static tee_rc_t
ohttp_open(ohttp_open_t *o, ohttp_t *t, int response, tee_str_t in, size_t at,
    size_t max)
{
    tee_rc_t   rc;
    tee_str_t  one, two;

    one = unit_copy(in.data, at);
    two = unit_copy(in.data + at, in.len - at);

    ohttp_open_init(o, t, response, max);

    rc = ohttp_open_read(o, one);

    if (rc == TEE_OK) {
        rc = ohttp_open_read(o, two);
    }

    if (rc == TEE_OK) {
        rc = ohttp_open_end(o);
    }

    unit_free(one);
    unit_free(two);
    ohttp_open_free(o);

    return rc;
}


static int
ohttp_right(const ohttp_open_t *o)
{
    return o->len == sizeof(OHTTP_TEXT) - 1
           && memcmp(o->text, OHTTP_TEXT, o->len) == 0;
}


/* What holds for requests and responses, whole or in chunks. */

static void
ohttp_one(ohttp_t *t, int response, const char *name)
{
    size_t        i, j, wrong, once, head;
    tee_rc_t      rc;
    tee_str_t     in, bad;
    ohttp_open_t  o;

    in = response ? t->answer : t->wire;
    wrong = 0;

    for (i = 0; i <= in.len; i++) {
        t->asked = 0;
        wrong += ohttp_open(&o, t, response, in, i, OHTTP_MAX) != TEE_OK;
        wrong += !ohttp_right(&o);
        wrong += o.chunks != (t->chunked ? 2 : 0);
        wrong += !response && t->asked != 1;
    }

    unit_ok(wrong == 0, "%s, opens in any two pieces", name);

    ohttp_open_init(&o, t, response, OHTTP_MAX);
    wrong = 0;

    for (i = 0; i < in.len; i++) {
        bad = unit_copy(in.data + i, 1);
        wrong += ohttp_open_read(&o, bad) != TEE_OK;
        wrong += ohttp_open_read(&o, ohttp_none) != TEE_OK;
        unit_free(bad);
    }

    wrong += ohttp_open_end(&o) != TEE_OK;
    wrong += !ohttp_right(&o);
    ohttp_open_free(&o);

    unit_ok(wrong == 0, "%s, opens byte by byte", name);

    /* a cut is either seen as one, or the tag is not the tag */

    wrong = 0;
    once = 0;

    for (i = 0; i < in.len; i++) {
        bad = unit_copy(in.data, i);
        rc = ohttp_open(&o, t, response, bad, i / 2, OHTTP_MAX);
        wrong += rc != TEE_INCOMPLETE && rc != TEE_CRYPTO;
        once += rc == TEE_INCOMPLETE;
        unit_free(bad);
    }

    unit_ok(wrong == 0 && once >= TEE_AEAD_TAG_LEN, "%s, no prefix opens",
            name);

    head = response ? 0 : TEE_OHTTP_HEADER_LEN;
    wrong = 0;

    for (i = 0; i < in.len; i++) {
        for (j = 0; j < 8; j += i < head ? 1 : 3) {
            bad = unit_copy(in.data, in.len);
            ((uint8_t *) (uintptr_t) bad.data)[i] ^= (uint8_t) (1 << j);
            wrong += ohttp_open(&o, t, response, bad, i, OHTTP_MAX) == TEE_OK;
            unit_free(bad);
        }
    }

    unit_ok(wrong == 0, "%s, no other byte opens", name);

    bad = unit_copy(in.data, in.len);
    ((uint8_t *) (uintptr_t) bad.data)[in.len - 1] ^= 1;
    ohttp_open_init(&o, t, response, OHTTP_MAX);
    wrong = ohttp_open_read(&o, bad) != TEE_OK;
    wrong += ohttp_open_end(&o) != TEE_CRYPTO;
    wrong += ohttp_open_end(&o) != TEE_CRYPTO;
    wrong += ohttp_open_read(&o, in) != TEE_CRYPTO;
    ohttp_open_free(&o);
    wrong += ohttp_open(&o, t, response, in, 1, OHTTP_MAX) != TEE_OK;
    unit_free(bad);

    unit_ok(wrong == 0, "%s, once failed it stays so, and then begins anew",
            name);

    ohttp_open_init(&o, t, response, OHTTP_MAX);
    wrong = ohttp_open_read(&o, in) != TEE_OK;
    wrong += ohttp_open_end(&o) != TEE_OK;
    wrong += ohttp_open_read(&o, in) == TEE_OK;
    ohttp_open_free(&o);

    ohttp_open_init(&o, t, response, OHTTP_MAX);
    wrong += ohttp_open_read(&o, in) != TEE_OK;
    wrong += ohttp_open_end(&o) != TEE_OK;
    wrong += ohttp_open_end(&o) != TEE_INCOMPLETE;
    ohttp_open_free(&o);

    unit_ok(wrong == 0, "%s, nothing behind the end", name);
}


static void
ohttp_limits(ohttp_t *t, int response, const char *name)
{
    size_t        max;
    tee_str_t     in;
    ohttp_open_t  o;

    in = response ? t->answer : t->wire;
    max = t->chunked ? strlen(ohttp_texts[0]) : sizeof(OHTTP_TEXT) - 1;

    unit_memory_reset(0);
    unit_ok(ohttp_open(&o, t, response, in, in.len, max) == TEE_OK
            && ohttp_right(&o)
            && unit_memory.largest <= max + sizeof(ohttp_block_t),
            "%s, as long as allowed", name);
    unit_ok(ohttp_open(&o, t, response, in, in.len, max - 1) == TEE_LIMIT,
            "%s, a byte too long", name);
    unit_ok(ohttp_open(&o, t, response, in, in.len, 0) == TEE_LIMIT,
            "%s, nothing is allowed", name);
}


static void
ohttp_kind(ohttp_t *t, const char *name)
{
    tee_rc_t      rc;
    ohttp_open_t  o;

    unit_ok(ohttp_seal_request(t) == TEE_OK, "%s request, sealed", name);
    unit_ok(ohttp_seal_response(t) == TEE_OK, "%s response, sealed", name);

    ohttp_one(t, 0, t->chunked ? "a chunked request" : "a request");
    ohttp_one(t, 1, t->chunked ? "a chunked response" : "a response");
    ohttp_limits(t, 0, t->chunked ? "a chunked request" : "a request");
    ohttp_limits(t, 1, t->chunked ? "a chunked response" : "a response");

    t->chunked = !t->chunked;
    rc = ohttp_open(&o, t, 0, t->wire, 0, OHTTP_MAX);
    unit_ok(rc == TEE_CRYPTO || rc == TEE_LIMIT || rc == TEE_INCOMPLETE,
            "%s request, taken for the other", name);
    rc = ohttp_open(&o, t, 1, t->answer, 0, OHTTP_MAX);
    unit_ok(rc == TEE_CRYPTO || rc == TEE_LIMIT || rc == TEE_INCOMPLETE,
            "%s response, taken for the other", name);
    t->chunked = !t->chunked;
}


static void
ohttp_suites_all(ohttp_t *t)
{
    size_t        wrong;
    ohttp_open_t  o;

    wrong = 0;

    for (t->header.id = 1; t->header.id <= 2; t->header.id++) {
        t->header.kem = t->header.id == 1 ? TEE_KEM_X25519 : TEE_KEM_P256;

        for (t->header.aead = 1; t->header.aead <= 3; t->header.aead++) {
            t->chunked = !t->chunked;

            wrong += ohttp_seal_request(t) != TEE_OK;
            wrong += ohttp_open(&o, t, 0, t->wire, 50, OHTTP_MAX) != TEE_OK;
            wrong += !ohttp_right(&o);
            wrong += memcmp(&o.u.request.exchange, &t->exchange,
                            offsetof(tee_ohttp_exchange_t, enc))
                     != 0;
            wrong += !tee_ct_equal(o.u.request.exchange.secret,
                                   t->exchange.secret,
                                   t->exchange.secret_len);
            wrong += !tee_ct_equal(o.u.request.exchange.chunked_secret,
                                   t->exchange.chunked_secret,
                                   t->exchange.secret_len);
            wrong += tee_ct_equal(t->exchange.chunked_secret,
                                  t->exchange.secret,
                                  t->exchange.secret_len);

            wrong += ohttp_seal_response(t) != TEE_OK;
            wrong += ohttp_open(&o, t, 1, t->answer, 50, OHTTP_MAX) != TEE_OK;
            wrong += !ohttp_right(&o);
        }
    }

    unit_ok(wrong == 0, "every KEM with every AEAD");

    unit_ok(tee_ohttp_secret_len(1) == 16 && tee_ohttp_secret_len(2) == 32
            && tee_ohttp_secret_len(3) == 32 && tee_ohttp_secret_len(4) == 0,
            "lengths of a secret");
}


static void
ohttp_keys(ohttp_t *t)
{
    size_t        i;
    tee_str_t     bad;
    ohttp_open_t  o;

    static const struct {
        const char           *name;
        uint8_t               header[TEE_OHTTP_HEADER_LEN];
        tee_rc_t              rc;
        size_t                asked;
    } cases[] = {
        { "an unknown key", { 3, 0, 0x20, 0, 1, 0, 1 }, TEE_UNSUPPORTED, 1 },
        { "the key of another KEM", { 2, 0, 0x20, 0, 1, 0, 1 },
          TEE_UNSUPPORTED, 1 },
        { "an unknown KEM", { 1, 0, 0x21, 0, 1, 0, 1 }, TEE_UNSUPPORTED, 0 },
        { "a pair not offered", { 1, 0, 0x20, 0, 1, 0, 2 }, TEE_UNSUPPORTED,
          1 },
        { "an offer of what we lack", { 1, 0, 0x20, 0, 3, 0, 1 },
          TEE_UNSUPPORTED, 1 },
        { "the export of keys only", { 1, 0, 0x20, 0, 1, 0xff, 0xff },
          TEE_UNSUPPORTED, 1 },
        { "an enc of zeros", { 1, 0, 0x20, 0, 1, 0, 1 }, TEE_CRYPTO, 1 }
    };

    static const uint8_t  pairs[] = { 0, 1, 0, 1, 0, 3, 0, 1, 0, 1, 0xff,
                                      0xff };

    t->offered[0].suites.len = sizeof(pairs);
    t->offered[0].suites.data = pairs;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        bad = unit_copy(t->wire.data, t->wire.len);
        memset((void *) (uintptr_t) bad.data, 0, TEE_OHTTP_HEADER_LEN + 32);
        memcpy((void *) (uintptr_t) bad.data, cases[i].header,
               TEE_OHTTP_HEADER_LEN);

        t->asked = 0;
        unit_ok(ohttp_open(&o, t, 0, bad, 3, OHTTP_MAX) == cases[i].rc
                && t->asked == cases[i].asked, "%s", cases[i].name);
        unit_ok(o.u.request.exchange.header.id == cases[i].header[0]
                && o.u.request.exchange.secret_len == 0
                && o.u.request.exchange.enc_len == 0,
                "%s, of the exchange the header is left", cases[i].name);
        unit_free(bad);
    }

    t->offered[0].suites.len = sizeof(ohttp_suites);
    t->offered[0].suites.data = ohttp_suites;
}


/* Lengths, which nobody has authenticated. */

static void
ohttp_lengths(ohttp_t *t)
{
    size_t        i, wrong;
    uint8_t       buf[64];
    ohttp_open_t  o;
    tee_write_t   w;
    tee_str_t     in;

    static const struct {
        const char           *name;
        uint64_t              len;
        tee_rc_t              rc;
    } cases[] = {
        { "1", 1, TEE_CRYPTO },
        { "less than a tag", TEE_AEAD_TAG_LEN - 1, TEE_CRYPTO },
        { "no more than a tag", TEE_AEAD_TAG_LEN, TEE_CRYPTO },
        { "a byte", TEE_AEAD_TAG_LEN + 1, TEE_INCOMPLETE },
        { "the limit", TEE_AEAD_TAG_LEN + OHTTP_MAX, TEE_INCOMPLETE },
        { "over the limit", TEE_AEAD_TAG_LEN + OHTTP_MAX + 1, TEE_LIMIT },
        { "2^30 - 1", 0x3fffffff, TEE_LIMIT },
        { "2^32 + 20", UINT64_C(0x100000014), TEE_LIMIT },
        { "2^62 - 1", UINT64_C(0x3fffffffffffffff), TEE_LIMIT }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        memset(buf, 9, sizeof(buf));
        tee_write_fixed(&w, buf, sizeof(buf));
        tee_write_bytes(&w, buf, t->exchange.secret_len);
        tee_write_varint(&w, cases[i].len);

        in.len = w.len;
        in.data = w.data;

        unit_memory_reset(0);
        unit_ok(ohttp_open(&o, t, 1, in, in.len, OHTTP_MAX) == cases[i].rc
                && unit_memory.calls == 0, "a length, %s", cases[i].name);
    }

    /* with a limit that allows anything, what has come is what is kept */

    memset(buf, 9, sizeof(buf));
    tee_write_fixed(&w, buf, sizeof(buf));
    tee_write_bytes(&w, buf, t->exchange.secret_len);
    tee_write_varint(&w, UINT64_C(0x3fffffffffffffff));
    tee_write_u8(&w, 0);

    in.len = w.len;
    in.data = w.data;

    unit_memory_reset(0);
    wrong = ohttp_open(&o, t, 1, in, in.len, SIZE_MAX) != TEE_INCOMPLETE;
    unit_ok(wrong == 0 && unit_memory.largest < OHTTP_MAX,
            "a length, nothing is allocated for it");
}


/* A long message, so that the buffer grows; how often it does. */

static size_t
ohttp_grows(ohttp_t *t, size_t n)
{
    size_t                      i, blocks, wrong;
    uint8_t                    *text, tag[TEE_AEAD_TAG_LEN];
    tee_str_t                   in, plain;
    tee_ohttp_response_open_t   o;
    tee_ohttp_response_seal_t   s;

    static const uint8_t  nonce[TEE_OHTTP_MAX_SECRET];

    text = unit_alloc.alloc(unit_alloc.ctx, n);
    blocks = ohttp_blocks;

    for (i = 0; i < n; i++) {
        text[i] = (uint8_t) (i % 251);
    }

    wrong = tee_ohttp_response_seal_init(&s, t->crypto, &t->exchange, 0, nonce)
            != TEE_OK;

    in.len = n;
    in.data = text;
    wrong += tee_ohttp_response_seal_update(&s, in, text) != TEE_OK;
    wrong += tee_ohttp_response_seal_end(&s, tag) != TEE_OK;
    tee_ohttp_response_seal_free(&s);

    tee_ohttp_response_open_init(&o, t->crypto, &ohttp_alloc, &t->exchange, 0,
                                 n);
    in.len = t->exchange.secret_len;
    in.data = nonce;
    wrong += tee_ohttp_response_open_read(&o, &in, &plain) != TEE_OK;

    for (i = 0; i < n; i += 1000) {
        in.len = 1000;
        in.data = text + i;
        wrong += tee_ohttp_response_open_read(&o, &in, &plain) != TEE_OK;
        wrong += in.len != 0;
    }

    in.len = TEE_AEAD_TAG_LEN;
    in.data = tag;
    wrong += tee_ohttp_response_open_read(&o, &in, &plain) != TEE_OK;
    wrong += tee_ohttp_response_open_end(&o, &plain) != TEE_OK;
    wrong += plain.len != n;

    for (i = 0; i < plain.len; i++) {
        wrong += plain.data[i] != i % 251;
    }

    tee_ohttp_response_open_free(&o);
    unit_alloc.free(unit_alloc.ctx, text);

    unit_ok(wrong == 0, "a message of many buffers");
    unit_ok(ohttp_dirty == 0, "memory is clean when it is given back");

    return ohttp_blocks - blocks;
}


static void
ohttp_overflow(ohttp_t *t)
{
    tee_str_t     in;
    ohttp_open_t  o;

    in = t->answer;
    in.len = t->exchange.secret_len;

    ohttp_open_init(&o, t, 1, OHTTP_MAX);
    unit_ok(ohttp_open_read(&o, in) == TEE_OK, "a nonce");

    o.u.response.stream.aead.seq = UINT64_MAX;
    in.data += in.len;
    in.len = t->answer.len - in.len;
    unit_ok(ohttp_open_read(&o, in) == TEE_LIMIT,
            "more chunks than there are nonces");
    ohttp_open_free(&o);
}


/* Both directions, whatever fails on the way. */

static tee_rc_t
ohttp_all(void *ctx)
{
    ohttp_t       *t = ctx;
    tee_rc_t       rc;
    ohttp_open_t   o;

    rc = ohttp_seal_request(t);

    if (rc == TEE_OK) {
        rc = ohttp_open(&o, t, 0, t->wire, 44, OHTTP_MAX);
        t->wrong += rc == TEE_OK && !ohttp_right(&o);
    }

    if (rc == TEE_OK) {
        rc = ohttp_seal_response(t);
    }

    if (rc == TEE_OK) {
        rc = ohttp_open(&o, t, 1, t->answer, 44, OHTTP_MAX);
        t->wrong += rc == TEE_OK && !ohttp_right(&o);
    }

    return rc;
}


int
main(void)
{
    size_t     i;
    ohttp_t    t;
    tee_str_t  sk;

    unit_crypto_init();

    memset(&t, 0, sizeof(ohttp_t));

    t.crypto = tee_crypto_new(&unit_alloc);
    sk = unit_hex("0102030405060708090a0b0c0d0e0f10"
                  "1112131415161718191a1b1c1d1e1f20");

    if (!unit_ok(t.crypto
                 && tee_hpke_key_new(t.crypto, TEE_KEM_X25519, sk, &t.keys[0])
                    == TEE_OK
                 && tee_hpke_key_new(t.crypto, TEE_KEM_P256, sk, &t.keys[1])
                    == TEE_OK, "two keys"))
    {
        return unit_done();
    }

    unit_free(sk);

    for (i = 0; i < 2; i++) {
        t.offered[i].key = t.keys[i];
        t.offered[i].id = (uint8_t) (i + 1);
        t.offered[i].suites.len = sizeof(ohttp_suites);
        t.offered[i].suites.data = ohttp_suites;
    }

    t.header.kdf = TEE_KDF_HKDF_SHA256;

    ohttp_suites_all(&t);

    t.header.id = 1;
    t.header.kem = TEE_KEM_X25519;
    t.header.aead = TEE_AEAD_AES_128_GCM;
    t.chunked = 0;

    ohttp_kind(&t, "whole");
    ohttp_keys(&t);
    ohttp_grows(&t, 100000);
    unit_ok(ohttp_grows(&t, 5000000) <= ohttp_grows(&t, 1500000),
            "what is large is not moved again");

    unit_crypto_oom(ohttp_all, &t, TEE_OK, "whole");

    t.chunked = 1;

    ohttp_kind(&t, "chunked");
    ohttp_lengths(&t);
    ohttp_overflow(&t);

    unit_oom(ohttp_all, &t, TEE_OK, "chunked");
    unit_crypto_oom(ohttp_all, &t, TEE_OK, "chunked");

    unit_ok(t.wrong == 0, "whatever succeeds is right");
    unit_ok(ohttp_dirty == 0, "memory is clean after a failure");

    unit_free(t.wire);
    unit_free(t.answer);
    tee_hpke_key_free(t.keys[0]);
    tee_hpke_key_free(t.keys[1]);
    tee_crypto_free(t.crypto);

    unit_ok(ERR_peek_error() == 0, "the error queue is as it was");

    return unit_done();
}
