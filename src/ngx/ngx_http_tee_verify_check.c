
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <ngx_http_tee.h>
#include <ngx_http_tee_threads.h>
#include <ngx_http_tee_verify.h>
#include <tee_text.h>


/*
 * The verdict: whether an answer is what the TEE has signed, and if not, what
 * to say about it.
 */


/* Checking less than this takes a fraction of a millisecond. */

#define NGX_HTTP_TEE_VERIFY_INLINE  32768


/* What is checked, perhaps in a thread. */

typedef struct {
    ngx_http_tee_verify_ctx_t     *ctx;
    ngx_http_tee_verify_key_t     *key;
    tee_str_t                      body;       /* of JSON */
    uint64_t                       now;

    tee_signed_t                   s;
    tee_rc_t                       rc;
    tee_signed_check_t             failed;
    unsigned                       stale:1;
} ngx_http_tee_verify_job_t;


static void ngx_http_tee_verify_work(void *data);
static void ngx_http_tee_verify_check(ngx_http_tee_verify_job_t *job,
    const u_char output[32]);
static void ngx_http_tee_verify_done(ngx_http_request_t *r, void *data);
static ngx_int_t ngx_http_tee_verify_verdict(ngx_http_request_t *r,
    ngx_http_tee_verify_job_t *job);
static void ngx_http_tee_verify_why_check(ngx_http_tee_verify_job_t *job);


ngx_int_t
ngx_http_tee_verify_check_body(ngx_http_request_t *r,
    ngx_http_tee_verify_ctx_t *ctx)
{
    ngx_http_tee_job_t         *job;
    ngx_http_tee_verify_job_t  *later, now;

    ngx_memzero(&now, sizeof(ngx_http_tee_verify_job_t));

    if (ngx_http_tee_verify_held(r, ctx, &now.body) != NGX_OK) {
        return NGX_ERROR;
    }

    now.ctx = ctx;
    now.now = ngx_time();
    now.rc = TEE_NOMEM;

    ctx->pending = now.body;

    now.key = ngx_http_tee_verify_key_get(ctx->id, ctx->spki);

    if (now.key == NULL) {
        return ngx_http_tee_verify_verdict(r, &now);
    }

    if (now.body.len <= NGX_HTTP_TEE_VERIFY_INLINE && ctx->file == NULL) {
        ngx_http_tee_verify_work(&now);
        ngx_http_tee_verify_key_put(now.key);

        return ngx_http_tee_verify_verdict(r, &now);
    }

    job = ngx_http_tee_job_create(r, sizeof(ngx_http_tee_verify_job_t));
    if (job == NULL) {
        ngx_http_tee_verify_key_put(now.key);
        return NGX_ERROR;
    }

    later = job->data;
    *later = now;

    job->work = ngx_http_tee_verify_work;
    job->done = ngx_http_tee_verify_done;

    ctx->checking = 1;

    r->aio = 1;
    r->connection->buffered |= NGX_HTTP_TEE_BUFFERED_SIGNED;

    ngx_http_tee_job_post(job);

    return NGX_AGAIN;
}


static void
ngx_http_tee_verify_work(void *data)
{
    ngx_http_tee_verify_job_t  *job = data;

    u_char  output[32];

    job->rc = tee_signed_body(job->body, job->ctx->asked.endpoint, 1,
                              &ngx_http_tee_alloc, &job->s, output);

    if (job->rc == TEE_OK) {
        ngx_http_tee_verify_check(job, output);
    }
}


static void
ngx_http_tee_verify_check(ngx_http_tee_verify_job_t *job,
    const u_char output[32])
{
    uint64_t                         max_age;
    ngx_http_tee_verify_ctx_t       *ctx;
    ngx_http_tee_verify_loc_conf_t  *vlcf;

    ctx = job->ctx;
    vlcf = ctx->conf;

    job->rc = tee_signed_verify(&job->s, ctx->asked.hash, output,
                                &job->key->key, ctx->id, &job->failed);

    if (job->rc != TEE_OK) {
        return;
    }

    max_age = vlcf->max_age ? (uint64_t) vlcf->max_age : UINT64_MAX;

    if (!tee_signed_fresh(&job->s, job->now, max_age, vlcf->max_skew)) {
        job->rc = TEE_CRYPTO;
        job->stale = 1;
    }
}


/* The answer goes on from here: nobody has anything left to call us with. */

static void
ngx_http_tee_verify_done(ngx_http_request_t *r, void *data)
{
    ngx_http_tee_verify_job_t  *job = data;

    job->ctx->checking = 0;

    ngx_http_tee_verify_key_put(job->key);

    r->aio = 0;
    r->connection->buffered &= ~NGX_HTTP_TEE_BUFFERED_SIGNED;

    if (r->connection->error) {
        return;
    }

    if (ngx_http_tee_verify_verdict(r, job) == NGX_ERROR) {
        r->connection->error = 1;
    }
}


ngx_int_t
ngx_http_tee_verify_check_events(ngx_http_request_t *r,
    ngx_http_tee_verify_ctx_t *ctx)
{
    u_char                     output[32];
    ngx_int_t                  rc;
    tee_str_t                  rest;
    ngx_http_tee_verify_job_t  job;

    ngx_memzero(&job, sizeof(ngx_http_tee_verify_job_t));

    job.ctx = ctx;
    job.now = ngx_time();
    job.rc = tee_signed_stream_end(&ctx->stream, output);
    job.s = ctx->stream.last;

    if (job.rc == TEE_OK) {
        job.key = ngx_http_tee_verify_key_get(ctx->id, ctx->spki);
        job.rc = TEE_NOMEM;

        if (job.key) {
            ngx_http_tee_verify_check(&job, output);
            ngx_http_tee_verify_key_put(job.key);
        }

    } else if (job.rc == TEE_INCOMPLETE) {

        /* the upstream has ended it well */

        job.rc = TEE_MALFORMED;
    }

    rest = tee_signed_stream_rest(&ctx->stream);

    if (job.rc == TEE_OK && rest.len) {
        rc = NGX_OK;

        if (ctx->state == NGX_HTTP_TEE_VERIFY_STREAM) {
            rc = ngx_http_tee_verify_keep(r, ctx, (u_char *) rest.data,
                                          rest.len);
        }

        /*
         * Without the blank line behind it, many would not take it for one;
         * a single LF belongs to the CR that has ended the last event.
         */

        if (rc == NGX_OK && (rest.len > 1 || *rest.data != '\n')) {
            rc = ngx_http_tee_verify_keep(r, ctx, (u_char *) "\n\n", 2);
        }

        if (rc != NGX_OK) {
            return rc == NGX_ERROR ? NGX_ERROR
                                   : ngx_http_tee_verify_refuse(r, ctx);
        }
    }

    if (ngx_http_tee_verify_held(r, ctx, &ctx->pending) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_tee_verify_verdict(r, &job);
}


static ngx_int_t
ngx_http_tee_verify_verdict(ngx_http_request_t *r,
    ngx_http_tee_verify_job_t *job)
{
    ngx_http_tee_said_t        *said;
    ngx_http_tee_verify_ctx_t  *ctx;

    ctx = job->ctx;

    if (job->rc != TEE_OK) {

        if (job->failed != TEE_SIGNED_NOTHING || job->stale) {
            ngx_http_tee_verify_why_check(job);

        } else {
            ngx_http_tee_verify_why_content(ctx, job->rc);
        }

        return ngx_http_tee_verify_refuse(r, ctx);
    }

    /* the registry may have thought better of it while the answer came */

    if (ngx_http_tee_verify_answerer(r, ctx->id, &ctx->spki) != NGX_OK) {
        ngx_http_tee_verify_why_unknown(ctx);

        return ngx_http_tee_verify_refuse(r, ctx);
    }

    ctx->verified = 1;

    ngx_http_tee_count(NGX_HTTP_TEE_VERIFY_VERIFIED);

    said = ngx_http_tee_said(r);

    if (said) {
        ngx_hex_dump(said->request_hash, job->s.request_hash, 32);
        ngx_hex_dump(said->output_hash, job->s.output_hash, 32);

        said->timestamp_len = ngx_sprintf(said->timestamp, "%uL",
                                     tee_u256_saturate(job->s.timestamp))
                              - said->timestamp;
    }

    return ngx_http_tee_verify_release(r, ctx);
}


void
ngx_http_tee_verify_why_unknown(ngx_http_tee_verify_ctx_t *ctx)
{
    ctx->counter = NGX_HTTP_TEE_VERIFY_TEE_ID;
    ctx->reason = "no_key";
    ctx->detail = "it is not known which TEE has answered, or the registry "
                  "does not have it any more";
    ctx->advice = "name an upstream with \"tee_peers\" in \"proxy_pass\", or "
                  "look at the registry";
}


static void
ngx_http_tee_verify_why_check(ngx_http_tee_verify_job_t *job)
{
    ngx_http_tee_verify_ctx_t  *ctx;

    ctx = job->ctx;

    if (job->stale) {
        ctx->counter = NGX_HTTP_TEE_VERIFY_STALE;
        ctx->reason = "stale";
        ctx->detail = "the answer was signed too long ago, or in the future";
        ctx->advice = "compare the clocks; see \"tee_verify_max_age\" and "
                      "\"tee_verify_max_skew\"";
        return;
    }

    switch (job->failed) {

    case TEE_SIGNED_TEE_ID:
        ctx->counter = NGX_HTTP_TEE_VERIFY_TEE_ID;
        ctx->reason = "tee_id";
        ctx->detail = "the answer names another TEE than the one that was "
                      "asked";
        ctx->advice = "is its key the one that the registry holds, or "
                      "\"key=\"?";
        break;

    case TEE_SIGNED_REQUEST:
        ctx->counter = NGX_HTTP_TEE_VERIFY_REQUEST;
        ctx->reason = "request_hash";
        ctx->detail = "the answer is to another request than the one that "
                      "was sent";
        ctx->advice = "if this happens always, the TEE signs other members: "
                      "see \"tee_verify_fields\"";
        break;

    case TEE_SIGNED_OUTPUT:
        ctx->counter = NGX_HTTP_TEE_VERIFY_OUTPUT;
        ctx->reason = "output_hash";
        ctx->detail = "the answer is not the one that was signed";
        ctx->advice = "it has been changed on its way, or cut";
        break;

    default: /* TEE_SIGNED_SIGNATURE */
        ctx->counter = NGX_HTTP_TEE_VERIFY_SIGNATURE;
        ctx->reason = "signature";
        ctx->detail = "the signature is not one of the TEE that was asked";
        ctx->advice = "it has been changed on its way, or made by another "
                      "key";
        break;
    }
}


void
ngx_http_tee_verify_why_content(ngx_http_tee_verify_ctx_t *ctx, tee_rc_t rc)
{
    ctx->counter = NGX_HTTP_TEE_VERIFY_MALFORMED;

    switch (rc) {

    case TEE_LIMIT:
        ctx->counter = NGX_HTTP_TEE_VERIFY_LARGE;
        ctx->reason = "too_large";
        ctx->detail = "the answer, or an event of it, is too large to be "
                      "verified";
        ctx->advice = "see \"tee_verify_max_body\" and \"tee_verify_buffer\"";
        break;

    case TEE_INCOMPLETE:
        ctx->reason = "cut";
        ctx->detail = "the answer has been cut";
        ctx->advice = "the upstream, or something in front of it, breaks "
                      "answers off";
        break;

    case TEE_UNSUPPORTED:
        ctx->reason = "unsupported";
        ctx->detail = "the answer has something in it that no signature "
                      "covers, or that others may read differently";
        ctx->advice = "it has more than one choice, or content that is no "
                      "text";
        break;

    case TEE_NOMEM:
        ctx->reason = "no_memory";
        ctx->detail = "there is no room to verify the answer";
        ctx->advice = "memory, or the disk with the temporary files, is full";
        break;

    default: /* TEE_MALFORMED */
        ctx->counter = NGX_HTTP_TEE_VERIFY_MEMBERS;
        ctx->reason = "unsigned";
        ctx->detail = "the answer has no signature that can be read";
        ctx->advice = "does it come from a TEE, and has this path "
                      "signatures?";
        break;
    }
}
