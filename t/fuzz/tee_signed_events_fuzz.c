
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <string.h>

#include <openssl/pem.h>
#include <openssl/rsa.h>

#include <tee_signed_events.h>
#include <tee_signed_stream.h>
#include <tee_signed_write.h>

#include "fuzz.h"


#define FUZZ_MAX  4096


typedef struct {
    tee_rc_t              rc;
    tee_write_t           out;
    size_t                end;                 /* of what is signed, or 0 */
    uint8_t               output[32];
    tee_signed_t          s;
} fuzz_run_t;


int LLVMFuzzerInitialize(int *argc, char ***argv);


static tee_sig_key_t     *fuzz_key;
static tee_signed_key_t   fuzz_public;
static uint8_t            fuzz_id[32];
static uint8_t            fuzz_request[32];


int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
    BIO        *bio;
    char       *p;
    EVP_PKEY   *pkey;
    tee_str_t   pem;

    (void) argc;
    (void) argv;

    bio = BIO_new(BIO_s_mem());
    pkey = EVP_RSA_gen(2048);

    FUZZ_CHECK(bio && pkey);
    FUZZ_CHECK(PEM_write_bio_PKCS8PrivateKey(bio, pkey, NULL, NULL, 0, NULL,
                                             NULL)
               == 1);

    pem.len = (size_t) BIO_get_mem_data(bio, &p);
    pem.data = (const uint8_t *) p;

    FUZZ_CHECK(tee_sig_key_read(pem, &fuzz_key) == TEE_OK);
    FUZZ_CHECK(tee_signed_key_init(&fuzz_public, tee_sig_key_public(fuzz_key))
               == TEE_OK);

    BIO_free(bio);
    EVP_PKEY_free(pkey);

    tee_keccak256(tee_sig_key_public(fuzz_key), fuzz_id);
    memset(fuzz_request, 9, 32);

    return 0;
}


/* Most often without the arithmetic of a signature. */

static void
fuzz_make(fuzz_run_t *run, int real)
{
    if (real) {
        FUZZ_CHECK(tee_signed_make(&run->s, fuzz_request, run->output, 1234,
                                   fuzz_id, fuzz_key)
                   == TEE_OK);
        return;
    }

    memset(&run->s, 0, sizeof(tee_signed_t));

    memcpy(run->s.request_hash, fuzz_request, 32);
    memcpy(run->s.output_hash, run->output, 32);
    memcpy(run->s.tee_id, fuzz_id, 32);

    run->s.timestamp[31] = 77;
    run->s.signature_len = 5;
    memcpy(run->s.signature, "never", 5);
}


static void
fuzz_sign(tee_signed_events_t *e, fuzz_run_t *run, int real)
{
    tee_str_t  out;

    FUZZ_CHECK(run->end == 0);

    tee_signed_events_output(e, run->output);
    fuzz_make(run, real);

    FUZZ_CHECK(tee_signed_events_sign(e, &run->s, &out) == TEE_OK);

    tee_write_bytes(&run->out, out.data, out.len);
    run->end = run->out.len;
}


static void
fuzz_events(tee_str_t in, size_t step, int real, fuzz_run_t *run)
{
    size_t               len, piece;
    tee_str_t            left, out;
    tee_signed_events_t  e;

    memset(run, 0, sizeof(fuzz_run_t));

    tee_write_grow(&run->out, &fuzz_alloc);
    tee_signed_events_init(&e, FUZZ_MAX, &fuzz_alloc);

    while (run->rc == TEE_OK && in.len) {
        left.len = piece = in.len < step ? in.len : step;
        left.data = in.data;

        do {
            len = left.len;
            run->rc = tee_signed_events_read(&e, &left, &out);
            tee_write_bytes(&run->out, out.data, out.len);

            FUZZ_CHECK(left.len <= len);
            FUZZ_CHECK(run->rc != TEE_OK || left.len < len);
            FUZZ_CHECK(run->rc == TEE_OK || out.len == 0);

            if (run->rc == TEE_DONE) {
                fuzz_sign(&e, run, real);
                run->rc = TEE_OK;
            }

        } while (run->rc == TEE_OK && left.len);

        in.len -= piece - left.len;
        in.data += piece - left.len;
    }

    if (run->rc == TEE_OK) {
        run->rc = tee_signed_events_end(&e);

        if (run->rc == TEE_DONE) {
            fuzz_sign(&e, run, real);
            run->rc = tee_signed_events_end(&e);

            FUZZ_CHECK(run->rc == TEE_OK);
        }

        FUZZ_CHECK((run->rc == TEE_OK) == (run->end || e.error));
    }

    FUZZ_CHECK(run->rc != TEE_CRYPTO && run->rc != TEE_NOMEM);
    FUZZ_CHECK(!e.error || run->end == 0);

    tee_signed_events_rest(&e, &out);
    FUZZ_CHECK(run->end == 0 || out.len == 0);

    tee_write_bytes(&run->out, out.data, out.len);
    tee_write_bytes(&run->out, in.data, in.len);

    FUZZ_CHECK(tee_write_rc(&run->out) == TEE_OK);

    tee_signed_events_free(&e);
}


/* What there is to verify, if anything. */

static tee_rc_t
fuzz_stream(tee_str_t in, size_t step, tee_signed_t *s, uint8_t output[32])
{
    tee_rc_t             rc;
    tee_str_t            piece;
    tee_signed_stream_t  stream;

    /* events have become longer */

    tee_signed_stream_init(&stream, 4 * FUZZ_MAX + TEE_SIGNED_MAX_MEMBERS, 1,
                           &fuzz_alloc);

    rc = TEE_OK;

    while (rc == TEE_OK && in.len) {
        piece.len = in.len < step ? in.len : step;
        piece.data = in.data;

        in.len -= piece.len;
        in.data += piece.len;

        rc = tee_signed_stream_read(&stream, piece);
    }

    if (rc == TEE_OK) {
        rc = tee_signed_stream_end(&stream, output);
    }

    *s = stream.last;

    tee_signed_stream_free(&stream);

    return rc;
}


static tee_rc_t
fuzz_verify(tee_str_t in, size_t step)
{
    uint8_t              output[32];
    tee_rc_t             rc;
    tee_signed_t         s;
    tee_signed_check_t   failed;

    rc = fuzz_stream(in, step, &s, output);

    if (rc == TEE_OK) {
        rc = tee_signed_verify(&s, fuzz_request, output, &fuzz_public,
                               fuzz_id, &failed);
    }

    return rc;
}


/* 1 if somebody might find another line in it. */

static int
fuzz_ends(tee_str_t in)
{
    size_t  i;

    for (i = 0; i + 2 < in.len; i++) {
        if (memcmp(in.data + i, "\xc2\x85", 2) == 0
            || memcmp(in.data + i, "\xe2\x80\xa8", 3) == 0
            || memcmp(in.data + i, "\xe2\x80\xa9", 3) == 0)
        {
            return 1;
        }
    }

    return 0;
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int           real;
    size_t        step;
    uint8_t       output[32];
    tee_str_t     in = { size, data };
    tee_str_t     out;
    fuzz_run_t    run, pieces;
    tee_signed_t  s;

    real = size && data[size - 1] % 8 == 0;
    step = 1 + size % 13;

    FUZZ_CHECK(fuzz_verify(in, step) != TEE_OK);

    fuzz_events(in, SIZE_MAX, real, &run);
    fuzz_events(in, step, 0, &pieces);

    FUZZ_CHECK(pieces.rc == run.rc);
    FUZZ_CHECK((pieces.end == 0) == (run.end == 0));
    FUZZ_CHECK(memcmp(pieces.output, run.output, 32) == 0);

    if (!real) {
        FUZZ_CHECK(pieces.out.len == run.out.len && pieces.end == run.end);
        FUZZ_CHECK(run.out.len == 0
                   || memcmp(pieces.out.data, run.out.data, run.out.len) == 0);
    }

    out.data = run.out.data;
    out.len = run.out.len;

    if (run.end == 0) {
        FUZZ_CHECK(fuzz_verify(out, step) != TEE_OK);

    } else {
        out.len = run.end;

        FUZZ_CHECK(!fuzz_ends(out));
        FUZZ_CHECK(fuzz_stream(out, step, &s, output) == TEE_OK);
        FUZZ_CHECK(memcmp(output, run.output, 32) == 0);
        FUZZ_CHECK(memcmp(&s, &run.s, sizeof(tee_signed_t)) == 0);
        FUZZ_CHECK((fuzz_verify(out, step) == TEE_OK) == real);
    }

    tee_write_free(&run.out);
    tee_write_free(&pieces.out);

    return 0;
}
