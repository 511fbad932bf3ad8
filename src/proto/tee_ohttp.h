
/*
 * Copyright (C) The ngx_http_tee authors
 */


#ifndef TEE_OHTTP_H_INCLUDED
#define TEE_OHTTP_H_INCLUDED


#include <tee.h>
#include <tee_aead.h>
#include <tee_hpke.h>


/*
 * Oblivious HTTP: RFC 9458, and in chunks draft-ietf-ohai-chunked-ohttp-08.
 * Everything is incremental, and indifferent to where its input is split.
 *
 *     request:   id(1) kem(2) kdf(2) aead(2) enc(Nenc)  sealed
 *     response:  nonce(max(Nn, Nk))                     sealed
 *     sealed, whole:    ciphertext, tag(16)
 *     sealed, chunked:  { varint(len > 0) sealed(len) }* varint(0) sealed
 */

#define TEE_OHTTP_HEADER_LEN    7
#define TEE_OHTTP_MAX_SECRET    32

/* RFC 9458, 4.1 and 4.2; chunked-08, 4.1 and 4.2: a plaintext chunk. */

#define TEE_OHTTP_CHUNK         16384

/* What a chunk takes beyond its plaintext, at most. */

#define TEE_OHTTP_CHUNK_EXTRA   (8 + TEE_AEAD_TAG_LEN)


typedef struct {
    uint8_t               id;
    uint16_t              kem;
    uint16_t              kdf;
    uint16_t              aead;
} tee_ohttp_header_t;


/* max(Nn, Nk): the length of a response's nonce and of an exported secret. */

size_t tee_ohttp_secret_len(uint16_t aead);


/* What both sides of an exchange know when its request has been set up.  Both
 * secrets are exported whatever the form of the request: an OpenGradient
 * exchange has a whole request and may have a chunked response. */

typedef struct {
    tee_ohttp_header_t    header;
    size_t                enc_len;
    size_t                secret_len;
    uint8_t               enc[TEE_HPKE_MAX_ENC];
    uint8_t               secret[TEE_OHTTP_MAX_SECRET];
    uint8_t               chunked_secret[TEE_OHTTP_MAX_SECRET];
} tee_ohttp_exchange_t;

void tee_ohttp_exchange_wipe(tee_ohttp_exchange_t *e);


/* A private key of a gateway: the id names one key and one KEM. */

typedef struct {
    const tee_hpke_key_t *key;
    tee_str_t             suites;              /* pairs of u16: kdf, aead */
    uint8_t               id;
} tee_ohttp_private_t;

/* Looks a key up; NULL if there is none with this id. */

typedef const tee_ohttp_private_t *(*tee_ohttp_find_pt)(void *data,
    uint8_t id);


/* What has been opened but not read: one chunk, or a message. */

typedef struct {
    /* all of it is private */
    const tee_alloc_t    *alloc;
    tee_aead_t            aead;
    uint8_t              *data;
    size_t                len;
    size_t                room;
    size_t                used;                /* of it, ever */
    size_t                max;
    uint64_t              left;                /* of a chunk, or its length */
    tee_rc_t              rc;                  /* of the first failure */
    uint8_t               hold[TEE_AEAD_TAG_LEN];
    uint8_t               nhold;
    uint8_t               state;
    unsigned              chunked:1;
} tee_ohttp_stream_t;


/* A request, as the gateway opens it. */

typedef struct {
    tee_ohttp_exchange_t  exchange;            /* set once enc has been read;
                                                  on failure the header only */

    /* the rest is private */
    tee_crypto_t         *crypto;
    tee_ohttp_find_pt     find;
    void                 *data;
    tee_ohttp_stream_t    stream;
    uint8_t               header[TEE_OHTTP_HEADER_LEN];
    size_t                nhead;               /* enc included */
} tee_ohttp_request_open_t;


/*
 * chunked  the label of info and the framing
 * max      of the plaintext of a message, or of one chunk; LIMIT is told from
 *          a chunk's length, before it is buffered
 * find     asked once, when the header and enc have come; what it answers is
 *          used at once, and not kept
 */

void tee_ohttp_request_open_init(tee_ohttp_request_open_t *o,
    tee_crypto_t *crypto, const tee_alloc_t *alloc, int chunked, size_t max,
    tee_ohttp_find_pt find, void *data);

/* Wipes all but the exchange; may be called twice. */

void tee_ohttp_request_open_free(tee_ohttp_request_open_t *o);

/*
 * Takes bytes from the front of *in; RFC 9458, 4.3; chunked-08, 6.1.
 *
 * plain  a chunk that has been authenticated, or empty; valid until the next
 *        call.  A whole message comes from _end() only, and so does the final
 *        chunk.
 *
 * TEE_OK           plain has a chunk (call again), or in is used up
 * TEE_UNSUPPORTED  no such key, not its KEM, or a pair it does not offer
 * TEE_CRYPTO       enc or a tag; also an empty chunk that is not final
 * TEE_LIMIT        over max, or too many chunks
 * TEE_NOMEM
 *
 * Once failed, it stays so.
 */

TEE_MUST_CHECK tee_rc_t tee_ohttp_request_open_read(
    tee_ohttp_request_open_t *o, tee_str_t *in, tee_str_t *plain);

/*
 * The input has ended.
 *
 * plain  the whole message or the final chunk; may be empty, and is writable
 *        memory that stays until _free()
 *
 * TEE_OK, TEE_INCOMPLETE (cut anywhere), TEE_CRYPTO
 */

TEE_MUST_CHECK tee_rc_t tee_ohttp_request_open_end(
    tee_ohttp_request_open_t *o, tee_str_t *plain);


/* What seals one message, or its chunks. */

typedef struct {
    /* all of it is private */
    tee_aead_t            aead;
    unsigned              chunked:1;
    unsigned              begun:1;
} tee_ohttp_seal_t;


/* A response, as the gateway seals it. */

typedef struct {
    /* all of it is private */
    tee_ohttp_seal_t      seal;
} tee_ohttp_response_seal_t;


/*
 * nonce  of the response, secret_len fresh random bytes, which are sent before
 *        everything else; never twice for one exchange
 *
 * TEE_OK (then _free() it), TEE_UNSUPPORTED, TEE_NOMEM
 */

TEE_MUST_CHECK tee_rc_t tee_ohttp_response_seal_init(
    tee_ohttp_response_seal_t *s, tee_crypto_t *crypto,
    const tee_ohttp_exchange_t *e, int chunked, const uint8_t *nonce);
void tee_ohttp_response_seal_free(tee_ohttp_response_seal_t *s);

/*
 * A piece of a message that is not chunked, and its end.
 *
 * out  as many bytes as "in" has; may be the same memory
 *
 * TEE_OK, TEE_LIMIT (too much, in chunks, or after the end), TEE_NOMEM
 */

TEE_MUST_CHECK tee_rc_t tee_ohttp_response_seal_update(
    tee_ohttp_response_seal_t *s, tee_str_t in, uint8_t *out);
TEE_MUST_CHECK tee_rc_t tee_ohttp_response_seal_end(
    tee_ohttp_response_seal_t *s, uint8_t tag[TEE_AEAD_TAG_LEN]);

/*
 * A chunk, with its length.
 *
 * in   may be empty if "final"; up to 2^30 bytes
 * out  room for in.len + TEE_OHTTP_CHUNK_EXTRA; not the memory of "in"
 *
 * TEE_OK, TEE_LIMIT (too much, not in chunks, or after the final one),
 * TEE_MALFORMED (empty and not final), TEE_NOMEM
 */

TEE_MUST_CHECK tee_rc_t tee_ohttp_response_seal_chunk(
    tee_ohttp_response_seal_t *s, tee_str_t in, int final, uint8_t *out,
    size_t *len);


/* A request, as a client seals it. */

typedef struct {
    tee_ohttp_exchange_t  exchange;

    /* the rest is private */
    tee_ohttp_seal_t      seal;
} tee_ohttp_request_seal_t;


/*
 * header  which key, and a pair that it offers
 * pk      the public key of the gateway
 * ikm     64 fresh random bytes, used for nothing else
 * out     room for TEE_OHTTP_HEADER_LEN + TEE_HPKE_MAX_ENC: what is sent first
 *
 * TEE_OK (then _free() it), TEE_UNSUPPORTED, TEE_MALFORMED and TEE_CRYPTO
 * (pk), TEE_NOMEM
 */

TEE_MUST_CHECK tee_rc_t tee_ohttp_request_seal_init(
    tee_ohttp_request_seal_t *s, tee_crypto_t *crypto,
    const tee_ohttp_header_t *header, tee_str_t pk, const uint8_t ikm[64],
    int chunked, uint8_t *out, size_t *len);

/* As above, with an ephemeral key or a seed as tee_hpke_send() takes them. */

TEE_MUST_CHECK tee_rc_t tee_ohttp_request_seal_with(
    tee_ohttp_request_seal_t *s, tee_crypto_t *crypto,
    const tee_ohttp_header_t *header, tee_str_t pk,
    const tee_hpke_key_t *ephemeral, tee_str_t seed, int chunked,
    uint8_t *out, size_t *len);

void tee_ohttp_request_seal_free(tee_ohttp_request_seal_t *s);

/* As for a response. */

TEE_MUST_CHECK tee_rc_t tee_ohttp_request_seal_update(
    tee_ohttp_request_seal_t *s, tee_str_t in, uint8_t *out);
TEE_MUST_CHECK tee_rc_t tee_ohttp_request_seal_end(
    tee_ohttp_request_seal_t *s, uint8_t tag[TEE_AEAD_TAG_LEN]);
TEE_MUST_CHECK tee_rc_t tee_ohttp_request_seal_chunk(
    tee_ohttp_request_seal_t *s, tee_str_t in, int final, uint8_t *out,
    size_t *len);


/* A response, as a client opens it. */

typedef struct {
    /* all of it is private */
    tee_crypto_t         *crypto;
    const tee_ohttp_exchange_t  *exchange;
    tee_ohttp_stream_t    stream;
    uint8_t               nonce[TEE_OHTTP_MAX_SECRET];
    size_t                nnonce;
} tee_ohttp_response_open_t;


/* "exchange" has to outlive it; the rest is as for a request. */

void tee_ohttp_response_open_init(tee_ohttp_response_open_t *o,
    tee_crypto_t *crypto, const tee_alloc_t *alloc,
    const tee_ohttp_exchange_t *exchange, int chunked, size_t max);
void tee_ohttp_response_open_free(tee_ohttp_response_open_t *o);
TEE_MUST_CHECK tee_rc_t tee_ohttp_response_open_read(
    tee_ohttp_response_open_t *o, tee_str_t *in, tee_str_t *plain);
TEE_MUST_CHECK tee_rc_t tee_ohttp_response_open_end(
    tee_ohttp_response_open_t *o, tee_str_t *plain);


#endif /* TEE_OHTTP_H_INCLUDED */
