
/*
 * Copyright (C) The ngx_http_tee authors
 */


#ifndef SAMPLE_H_INCLUDED
#define SAMPLE_H_INCLUDED


#include <tee.h>
#include <tee_registry.h>
#include <tee_sig.h>
#include <tee_signed.h>


/*
 * Answers of a registry, as a Solidity compiler encodes them.  A sample has
 * distinct keys and certificates for distinct numbers; it is all valid unless
 * the test changes it.
 */

#define SAMPLE_SPKI_LEN  294
#define SAMPLE_CERT_LEN  418


typedef struct {
    uint8_t               owner[32];
    uint8_t               payment[32];
    tee_str_t             endpoint;
    tee_str_t             spki;
    tee_str_t             certificate;
    uint8_t               pcr_hash[32];
    uint8_t               type[32];
    uint8_t               enabled[32];
    uint8_t               registered_at[32];
    uint8_t               last_heartbeat_at[32];

    uint8_t               key_id[32];
    uint8_t               kem[32];
    uint8_t               kdf[32];
    uint8_t               aead[32];
    tee_str_t             ohttp_key;
    tee_str_t             key_config;

    /* what the texts above point to */
    uint8_t               endpoint_buf[64];
    uint8_t               spki_buf[SAMPLE_SPKI_LEN];
    uint8_t               cert_buf[SAMPLE_CERT_LEN];
    uint8_t               ohttp_key_buf[32];
    uint8_t               key_config_buf[41];
} sample_tee_t;


/* The texts point into *t, so that it must not be copied. */

void sample_tee(sample_tee_t *t, uint32_t number);

/* The key and certificate of keys.json that signatures are made with. */

tee_str_t sample_spki(void);
tee_str_t sample_cert(void);

/* A new key of 2048 bits; tee_sig_key_free() it. */

tee_sig_key_t *sample_key(void);

/* tee_signed_verify() with a key that is used once. */

tee_rc_t sample_verify(const tee_signed_t *s, const uint8_t request[32],
    const uint8_t output[32], tee_str_t spki, const uint8_t *tee_id,
    tee_signed_check_t *failed);

/*
 * The answer of getActiveTEEs(uint8), or, with "single", of getTEE(bytes32),
 * for the first of "n"; words is 10 or 11.  unit_free() it.
 */

tee_str_t sample_abi(const sample_tee_t *tees, size_t n, unsigned words,
    unsigned single);

/* n samples from number 0 on, in one answer. */

tee_str_t sample_answer(uint32_t n, unsigned words);

/* "{...,"result":"0x..."}" with id 1; unit_free() it. */

tee_str_t sample_jsonrpc(tee_str_t result);

tee_registry_rules_t sample_rules(void);

/* Byte "at" of the word at byte "off"; for tests that damage an answer. */

void sample_set(tee_str_t abi, size_t off, uint8_t value);


#endif /* SAMPLE_H_INCLUDED */
