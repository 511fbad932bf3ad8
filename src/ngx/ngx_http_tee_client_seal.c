
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <ngx_http_tee.h>
#include <ngx_http_tee_client_ctx.h>
#include <ngx_http_tee_threads.h>
#include <tee_date.h>

#include <openssl/rand.h>


/* Every request has a key of its own; RFC 9458, 6.1. */


/* Encrypting less than this takes a fraction of a millisecond. */

#define NGX_HTTP_TEE_CLIENT_ENCRYPT  (256 * 1024)


/* What is encrypted, perhaps in a thread. */

typedef struct {
    ngx_http_tee_client_ctx_t     *ctx;
    tee_write_t                    head;
    tee_str_t                      pieces[2];  /* the head, what is within */
    u_char                        *stage;      /* for a chunk */
    tee_rc_t                       rc;
} ngx_http_tee_client_job_t;


static tee_rc_t ngx_http_tee_client_message(ngx_http_request_t *r,
    ngx_http_tee_client_ctx_t *ctx, tee_write_t *w);
static ngx_uint_t ngx_http_tee_client_for_us(ngx_http_request_t *r,
    ngx_str_t *name);
static tee_str_t ngx_http_tee_client_trimmed(ngx_str_t *value);
static void ngx_http_tee_client_inner_fields(ngx_http_request_t *r,
    ngx_http_tee_client_ctx_t *ctx, tee_write_t *w);
static tee_rc_t ngx_http_tee_client_begin_seal(ngx_http_request_t *r,
    ngx_http_tee_client_job_t *job);
static tee_rc_t ngx_http_tee_client_seal_keys(ngx_http_tee_client_ctx_t *ctx);
static void ngx_http_tee_client_encrypt(void *data);
static tee_rc_t ngx_http_tee_client_chunks(ngx_http_tee_client_job_t *job);
static void ngx_http_tee_client_encrypted(ngx_http_request_t *r, void *data);
static ngx_int_t ngx_http_tee_client_end_seal(ngx_http_tee_client_job_t *job);
static void ngx_http_tee_client_seal_handler(ngx_http_request_t *r);


/* What is passed on within, of what an application sends; nothing of it is
 * about who asks, but what the model's server asks for. */

static ngx_str_t  ngx_http_tee_client_default_fields[] = {
    ngx_string("accept"),
    ngx_string("authorization"),
    ngx_string("content-encoding"),
    ngx_string("content-type"),
    ngx_string("idempotency-key"),
    ngx_string("openai-beta"),
    ngx_string("openai-organization"),
    ngx_string("openai-project"),
    ngx_string("range")
};


ngx_int_t
ngx_http_tee_client_seal(ngx_http_request_t *r,
    ngx_http_tee_client_ctx_t *ctx)
{
    ngx_http_tee_job_t         *job;
    ngx_http_tee_client_job_t  *later, now;

    ngx_memzero(&now, sizeof(ngx_http_tee_client_job_t));

    now.ctx = ctx;
    now.rc = ngx_http_tee_client_begin_seal(r, &now);

    if (now.rc != TEE_OK) {
        return ngx_http_tee_client_end_seal(&now);
    }

    if (ctx->inner.len <= NGX_HTTP_TEE_CLIENT_ENCRYPT) {
        ngx_http_tee_client_encrypt(&now);

        return ngx_http_tee_client_end_seal(&now);
    }

    job = ngx_http_tee_job_create(r, sizeof(ngx_http_tee_client_job_t));

    if (job == NULL) {
        now.rc = TEE_NOMEM;
        return ngx_http_tee_client_end_seal(&now);
    }

    later = job->data;
    *later = now;

    job->work = ngx_http_tee_client_encrypt;
    job->done = ngx_http_tee_client_encrypted;

    ctx->sealing = 1;
    r->write_event_handler = ngx_http_tee_client_seal_handler;

    ngx_http_tee_job_post(job);

    return NGX_AGAIN;
}


/* All that asks for more than the cipher. */

static tee_rc_t
ngx_http_tee_client_begin_seal(ngx_http_request_t *r,
    ngx_http_tee_client_job_t *job)
{
    size_t                      plain, chunks;
    tee_rc_t                    rc;
    ngx_http_tee_client_ctx_t  *ctx;

    ctx = job->ctx;
    chunks = 1;

    tee_write_grow(&job->head, &ngx_http_tee_alloc);

    if (ctx->conf->whom->profile == NGX_HTTP_TEE_RFC9458) {
        rc = ngx_http_tee_client_message(r, ctx, &job->head);

        if (rc != TEE_OK) {
            return rc;
        }
    }

    job->pieces[0].data = job->head.data;
    job->pieces[0].len = job->head.len;
    job->pieces[1] = ctx->inner;

    plain = job->head.len + ctx->inner.len;

    if (ctx->conf->whom->chunked) {
        chunks = plain / TEE_OHTTP_CHUNK + 1;

        job->stage = ngx_palloc(r->pool, TEE_OHTTP_CHUNK);
        if (job->stage == NULL) {
            return TEE_NOMEM;
        }
    }

    ctx->wire = ngx_create_temp_buf(r->pool,
                                    TEE_OHTTP_HEADER_LEN + TEE_HPKE_MAX_ENC
                                    + plain + chunks * TEE_OHTTP_CHUNK_EXTRA);
    if (ctx->wire == NULL) {
        return TEE_NOMEM;
    }

    ctx->wire->last_buf = 1;

    return ngx_http_tee_client_seal_keys(ctx);
}


/* Up to its content; what follows that may be left out (RFC 9292, 3.8). */

static tee_rc_t
ngx_http_tee_client_message(ngx_http_request_t *r,
    ngx_http_tee_client_ctx_t *ctx, tee_write_t *w)
{
    tee_str_t    section;
    tee_write_t  fields;

    tee_write_grow(&fields, &ngx_http_tee_alloc);

    ngx_http_tee_client_inner_fields(r, ctx, &fields);

    section.data = fields.data;
    section.len = fields.len;

    tee_bhttp_write_request(w, 0, ngx_http_tee_str(&r->method_name),
                            ngx_http_tee_str(&ctx->conf->scheme),
                            ngx_http_tee_str(&ctx->conf->authority),
                            ngx_http_tee_str(&r->unparsed_uri));
    tee_bhttp_write_section(w, 0, section);
    tee_bhttp_write_content(w, ctx->inner.len);

    if (tee_write_rc(&fields) != TEE_OK) {
        tee_write_free(&fields);
        return TEE_NOMEM;
    }

    if (fields.data) {
        tee_wipe(fields.data, fields.len);
    }

    tee_write_free(&fields);

    return tee_write_rc(w);
}


/* RFC 9110, 7.6.1 */

static ngx_uint_t
ngx_http_tee_client_for_us(ngx_http_request_t *r, ngx_str_t *name)
{
    ngx_uint_t        i;
    ngx_table_elt_t  *h;

    static ngx_str_t  connection = ngx_string("connection");

    for (i = 0; /* void */ ; i++) {
        h = ngx_http_tee_field(&r->headers_in.headers, &connection, i);
        if (h == NULL) {
            return 0;
        }

        if (ngx_http_tee_client_named(&h->value, ngx_http_tee_str(name))) {
            return 1;
        }
    }
}


/* RFC 9110, 5.6.3: nginx takes away what stands in front in HTTP/1, blanks but
 * no tabs. */

static tee_str_t
ngx_http_tee_client_trimmed(ngx_str_t *value)
{
    tee_str_t  s;

    s = ngx_http_tee_str(value);

    while (s.len && (s.data[0] == ' ' || s.data[0] == '\t')) {
        s.data++;
        s.len--;
    }

    while (s.len && (s.data[s.len - 1] == ' ' || s.data[s.len - 1] == '\t')) {
        s.len--;
    }

    return s;
}


static void
ngx_http_tee_client_inner_fields(ngx_http_request_t *r,
    ngx_http_tee_client_ctx_t *ctx, tee_write_t *w)
{
    u_char            text[NGX_OFF_T_LEN];
    u_char            now[TEE_DATE_LEN];
    ngx_str_t        *names;
    tee_str_t         value;
    ngx_uint_t        i, n, j;
    ngx_table_elt_t  *h;

    static const tee_str_t  length = tee_string("content-length");
    static const tee_str_t  date = tee_string("date");

    names = ngx_http_tee_client_default_fields;
    n = sizeof(ngx_http_tee_client_default_fields) / sizeof(ngx_str_t);

    if (ctx->conf->pass) {
        names = ctx->conf->pass->elts;
        n = ctx->conf->pass->nelts;
    }

    for (i = 0; i < n; i++) {

        if (ngx_http_tee_client_for_us(r, &names[i])) {
            continue;
        }

        for (j = 0; /* void */ ; j++) {
            h = ngx_http_tee_field(&r->headers_in.headers, &names[i], j);
            if (h == NULL) {
                break;
            }

            /* nginx has refused what ends a line */

            tee_bhttp_write_field(w, ngx_http_tee_str(&names[i]),
                                  ngx_http_tee_client_trimmed(&h->value));
        }
    }

    if (ctx->inner.len || r->headers_in.content_length_n == 0) {
        value.data = text;
        value.len = ngx_sprintf(text, "%uz", ctx->inner.len) - text;

        tee_bhttp_write_field(w, length, value);
    }

    /* RFC 9458, 6.5.1; if it is not ours, 6.5.2 */

    value.data = ngx_cached_http_time.data;
    value.len = ngx_cached_http_time.len;

    if (ctx->date) {
        tee_date_write(ctx->date, now);

        value.data = now;
        value.len = TEE_DATE_LEN;
    }

    tee_bhttp_write_field(w, date, value);
}


/* What is sent first. */

static tee_rc_t
ngx_http_tee_client_seal_keys(ngx_http_tee_client_ctx_t *ctx)
{
    size_t         len;
    u_char         ikm[64];
    tee_rc_t       rc;
    tee_crypto_t  *crypto;

    crypto = ngx_http_tee_crypto();

    if (crypto == NULL || RAND_bytes(ikm, sizeof(ikm)) != 1) {
        return TEE_CRYPTO;
    }

    rc = tee_ohttp_request_seal_init(&ctx->seal, crypto, &ctx->key.header,
                                     ctx->key.pk, ikm,
                                     ctx->conf->whom->chunked,
                                     ctx->wire->last, &len);

    tee_wipe(ikm, sizeof(ikm));

    ctx->wire->last += len;

    return rc;
}


static void
ngx_http_tee_client_encrypt(void *data)
{
    ngx_http_tee_client_job_t  *job = data;

    size_t                     i;
    ngx_buf_t                 *b;
    tee_ohttp_request_seal_t  *seal;

    if (job->stage) {
        job->rc = ngx_http_tee_client_chunks(job);
        return;
    }

    b = job->ctx->wire;
    seal = &job->ctx->seal;

    for (i = 0; i < 2 && job->rc == TEE_OK; i++) {
        job->rc = tee_ohttp_request_seal_update(seal, job->pieces[i], b->last);
        b->last += job->pieces[i].len;
    }

    if (job->rc == TEE_OK) {
        job->rc = tee_ohttp_request_seal_end(seal, b->last);
        b->last += TEE_AEAD_TAG_LEN;
    }
}


/* chunked-08, 3: a receiver need not take more than this at a time. */

static tee_rc_t
ngx_http_tee_client_chunks(ngx_http_tee_client_job_t *job)
{
    size_t      i, len, size;
    tee_rc_t    rc;
    ngx_buf_t  *b;
    tee_str_t   chunk, *pieces;

    b = job->ctx->wire;
    pieces = job->pieces;

    chunk.data = job->stage;
    chunk.len = 0;
    rc = TEE_OK;

    for (i = 0; rc == TEE_OK; /* void */ ) {

        while (i < 2 && chunk.len < TEE_OHTTP_CHUNK) {
            size = ngx_min(pieces[i].len, TEE_OHTTP_CHUNK - chunk.len);

            ngx_memcpy(job->stage + chunk.len, pieces[i].data, size);

            chunk.len += size;
            pieces[i].data += size;
            pieces[i].len -= size;

            if (pieces[i].len == 0) {
                i++;
            }
        }

        rc = tee_ohttp_request_seal_chunk(&job->ctx->seal, chunk, i == 2,
                                          b->last, &len);
        if (rc == TEE_OK) {
            b->last += len;
        }

        if (i == 2) {
            break;
        }

        chunk.len = 0;
    }

    tee_wipe(job->stage, TEE_OHTTP_CHUNK);

    return rc;
}


static void
ngx_http_tee_client_encrypted(ngx_http_request_t *r, void *data)
{
    ngx_http_tee_client_job_t  *job = data;

    job->ctx->sealing = 0;
    job->ctx->job = ngx_http_tee_client_end_seal(job);
}


static ngx_int_t
ngx_http_tee_client_end_seal(ngx_http_tee_client_job_t *job)
{
    if (job->head.data) {
        tee_wipe(job->head.data, job->head.len);
    }

    tee_write_free(&job->head);

    return job->rc == TEE_OK ? NGX_OK : NGX_ERROR;
}


static void
ngx_http_tee_client_seal_handler(ngx_http_request_t *r)
{
    ngx_http_tee_client_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_tee_client_module);

    if (!ctx->sealing) {
        ngx_http_tee_client_seal_done(r, ctx, ctx->job);
    }
}
