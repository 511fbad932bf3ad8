
/*
 * Copyright (C) The ngx_http_tee authors
 */


#ifndef TEE_SIGNED_H_INCLUDED
#define TEE_SIGNED_H_INCLUDED


#include <tee.h>
#include <tee_chat.h>
#include <tee_json.h>
#include <tee_sig.h>


/*
 * Signed answers of OpenGradient's gateway: an enclave signs the hash of what
 * it was asked, the hash of what it answered, and the time.  All hashes are
 * Keccak-256.  Of an answer only the text is signed, or, if it ended with
 * them, the tool calls: not which of the two it is, nor images or costs.
 */

typedef struct {
    uint8_t               request_hash[32];
    uint8_t               output_hash[32];
    uint8_t               tee_id[32];
    uint8_t               timestamp[32];       /* seconds, big-endian */
    size_t                signature_len;
    uint8_t               signature[TEE_SIG_MAX_LEN];
} tee_signed_t;


/* What has failed, in the order of the checks. */

typedef enum {
    TEE_SIGNED_NOTHING = 0,
    TEE_SIGNED_MEMBERS,
    TEE_SIGNED_TEE_ID,
    TEE_SIGNED_REQUEST,
    TEE_SIGNED_OUTPUT,
    TEE_SIGNED_SIGNATURE
} tee_signed_check_t;


/* A few English words for a log line, for instance "request hash". */

const char *tee_signed_name(tee_signed_check_t check);

/* What is signed; "timestamp" is a big-endian number. */

void tee_signed_msg_hash(const uint8_t request_hash[32],
    const uint8_t output_hash[32], const uint8_t timestamp[32],
    uint8_t hash[32]);

/*
 * Reads the members tee_signature, tee_request_hash, tee_output_hash,
 * tee_timestamp and tee_id of an object that tee_canon_parse() has read.
 *
 * TEE_OK; TEE_MALFORMED, with *s cleared
 */

TEE_MUST_CHECK tee_rc_t tee_signed_read(const tee_json_t *object,
    tee_signed_t *s);

/*
 * Reads a whole answer.
 *
 * strict  1: it goes on to others as it is, so that what they might read
 *         differently is TEE_UNSUPPORTED: a member that is there twice, and an
 *         envelope {"status": ..., "body": ...}; 0: as the SDK reads it, in an
 *         envelope or not
 * s       its members
 * output  the hash of what it says, which is not what it claims
 *
 * TEE_OK, TEE_MALFORMED, TEE_UNSUPPORTED, TEE_LIMIT, TEE_NOMEM; both are
 * cleared on failure
 */

TEE_MUST_CHECK tee_rc_t tee_signed_body(tee_str_t body,
    tee_chat_endpoint_t endpoint, int strict, const tee_alloc_t *alloc,
    tee_signed_t *s, uint8_t output[32]);

/* The key of an enclave, and its id, which is the hash of the key. */

typedef struct {
    uint8_t               tee_id[32];
    tee_sig_public_t     *public;
} tee_signed_key_t;

/* TEE_OK (then _free() it), or what tee_sig_public_read() answers. */

TEE_MUST_CHECK tee_rc_t tee_signed_key_init(tee_signed_key_t *key,
    tee_str_t spki);

/* May be called on a cleared structure, and twice. */

void tee_signed_key_free(tee_signed_key_t *key);

/*
 * Checks an answer: the key's id, the expected id, both hashes, the signature.
 *
 * request  the hash of the canonical text of what was asked
 * output   of what was answered
 * tee_id   32 bytes, or NULL: whatever the key's is
 * failed   TEE_SIGNED_NOTHING, or the first check that has failed
 *
 * TEE_OK, TEE_CRYPTO, TEE_NOMEM
 */

TEE_MUST_CHECK tee_rc_t tee_signed_verify(const tee_signed_t *s,
    const uint8_t request[32], const uint8_t output[32],
    const tee_signed_key_t *key, const uint8_t *tee_id,
    tee_signed_check_t *failed);

/* 1 if the time is not more than max_age before "now", nor more than max_skew
 * behind it; all in seconds. */

int tee_signed_fresh(const tee_signed_t *s, uint64_t now, uint64_t max_age,
    uint64_t max_skew);


#endif /* TEE_SIGNED_H_INCLUDED */
