
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <ngx_http_tee.h>
#include <ngx_http_tee_gateway_seal.h>


/*
 * The responses of OpenGradient's profile: JSON sealed in one piece, events
 * sealed one by one, and errors, which a relay has to see, not at all.
 */


static ngx_int_t ngx_http_tee_gateway_collect(ngx_http_request_t *r,
    ngx_http_tee_gateway_ctx_t *ctx);
static ngx_uint_t ngx_http_tee_gateway_passes(ngx_str_t *name);
static ngx_int_t ngx_http_tee_gateway_clear(ngx_http_request_t *r,
    ngx_http_tee_gateway_ctx_t *ctx);
static ngx_int_t ngx_http_tee_gateway_costs(ngx_http_request_t *r,
    ngx_http_tee_gateway_ctx_t *ctx);
static ngx_int_t ngx_http_tee_gateway_cost(ngx_http_request_t *r,
    ngx_http_tee_gateway_ctx_t *ctx, const char *name, u_char *value,
    size_t len);
static ngx_int_t ngx_http_tee_gateway_next_event(ngx_http_request_t *r,
    ngx_http_tee_gateway_ctx_t *ctx);
static ngx_int_t ngx_http_tee_gateway_take_event(ngx_http_request_t *r,
    ngx_http_tee_gateway_ctx_t *ctx, size_t size);
static ngx_int_t ngx_http_tee_gateway_line_feed(ngx_http_request_t *r,
    ngx_http_tee_gateway_ctx_t *ctx);
static ngx_int_t ngx_http_tee_gateway_bill(ngx_http_tee_gateway_ctx_t *ctx);
static ngx_uint_t ngx_http_tee_gateway_may_end(ngx_http_tee_held_t *event);
static ngx_int_t ngx_http_tee_gateway_seal_event(ngx_http_request_t *r,
    ngx_http_tee_gateway_ctx_t *ctx, ngx_uint_t final);


/* Beginnings of names; the last one is the whole. */

static ngx_str_t  ngx_http_tee_gateway_clear_fields[] = {
    ngx_string("x-payment"),
    ngx_string("x-upto"),
    ngx_string("x-settlement"),
    ngx_string("x-tee"),
    ngx_string("x-moderation"),
    ngx_string("www-authenticate"),
    ngx_null_string
};


static ngx_str_t  ngx_http_tee_gateway_cut =
    ngx_string("data: {\"error\":\"the model's answer has been cut\"}\n\n");


ngx_int_t
ngx_http_tee_gateway_envelope(ngx_http_request_t *r,
    ngx_http_tee_gateway_ctx_t *ctx)
{
    if (ngx_http_tee_gateway_collect(r, ctx) != NGX_OK) {
        return NGX_ERROR;
    }

    ctx->length = -1;

    if (!ctx->envelope
        && (ctx->status >= NGX_HTTP_SPECIAL_RESPONSE || ctx->absent))
    {
        ctx->seal = NGX_HTTP_TEE_SEAL_PLAIN;

        return ngx_http_tee_gateway_clear(r, ctx);
    }

    if (ngx_http_tee_is_type(&r->headers_out.content_type,
                             "text/event-stream"))
    {
        ctx->seal = NGX_HTTP_TEE_SEAL_EVENTS;
        tee_sse_init(&ctx->sse);

    } else {
        ctx->seal = NGX_HTTP_TEE_SEAL_HOLD;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_tee_gateway_collect(ngx_http_request_t *r,
    ngx_http_tee_gateway_ctx_t *ctx)
{
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h, *copy;

    ctx->kept = ngx_array_create(r->pool, 4, sizeof(ngx_table_elt_t));
    if (ctx->kept == NULL) {
        return NGX_ERROR;
    }

    for (part = &r->headers_out.headers.part; part; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {

            if (h[i].hash == 0 || !ngx_http_tee_gateway_passes(&h[i].key)) {
                continue;
            }

            copy = ngx_array_push(ctx->kept);
            if (copy == NULL) {
                return NGX_ERROR;
            }

            ngx_memzero(copy, sizeof(ngx_table_elt_t));
            copy->hash = 1;
            copy->key = h[i].key;
            copy->value = h[i].value;
        }
    }

    return NGX_OK;
}


static ngx_uint_t
ngx_http_tee_gateway_passes(ngx_str_t *name)
{
    ngx_str_t  *f;

    for (f = ngx_http_tee_gateway_clear_fields; f->len; f++) {
        if (name->len >= f->len
            && ngx_strncasecmp(name->data, f->data, f->len) == 0
            && ((f + 1)->len || name->len == f->len))
        {
            return 1;
        }
    }

    return 0;
}


ngx_int_t
ngx_http_tee_gateway_keep(ngx_http_request_t *r,
    ngx_http_tee_gateway_ctx_t *ctx)
{
    ngx_uint_t        i;
    ngx_table_elt_t  *h, *kept;

    if (ctx->kept == NULL) {
        return NGX_OK;
    }

    kept = ctx->kept->elts;

    for (i = 0; i < ctx->kept->nelts; i++) {
        h = ngx_list_push(&r->headers_out.headers);
        if (h == NULL) {
            return NGX_ERROR;
        }

        *h = kept[i];
    }

    return NGX_OK;
}


/* An error as it is, but for the fields that are nobody's business. */

static ngx_int_t
ngx_http_tee_gateway_clear(ngx_http_request_t *r,
    ngx_http_tee_gateway_ctx_t *ctx)
{
    off_t      length;
    ngx_str_t  type;

    type = r->headers_out.content_type;
    length = r->headers_out.content_length_n;

    ngx_http_clean_header(r);

    r->headers_out.status = ctx->status;
    r->headers_out.content_type = type;
    r->headers_out.content_type_len = type.len;
    r->headers_out.content_length_n = length;
    r->allow_ranges = 0;

    return ngx_http_tee_gateway_keep(r, ctx);
}


/* Of a whole answer the costs go into the outer header. */

ngx_int_t
ngx_http_tee_gateway_envelope_decide(ngx_http_request_t *r,
    ngx_http_tee_gateway_ctx_t *ctx)
{
    size_t  len;

    ctx->seal = NGX_HTTP_TEE_SEAL_JSON;

    if (ctx->envelope) {
        len = sizeof("{\"status\":,\"body\":") + NGX_INT_T_LEN;

        ctx->head = ngx_create_temp_buf(r->pool, len);
        ctx->tail = ngx_create_temp_buf(r->pool, 1);

        if (ctx->head == NULL || ctx->tail == NULL) {
            return NGX_ERROR;
        }

        ctx->head->last = ngx_sprintf(ctx->head->pos,
                                      "{\"status\":%ui,\"body\":",
                                      ctx->status);
        *ctx->tail->last++ = '}';

        return NGX_OK;
    }

    if (!ctx->last) {
        ngx_log_error(NGX_LOG_WARN, r->connection->log, 0,
                      "tee gateway: an answer of more than %uz bytes is sent "
                      "without fields about its cost; see "
                      "\"tee_gateway_buffer_size\"", ctx->conf->buffer);
        return NGX_OK;
    }

    return ngx_http_tee_gateway_costs(r, ctx);
}


static ngx_int_t
ngx_http_tee_gateway_costs(ngx_http_request_t *r,
    ngx_http_tee_gateway_ctx_t *ctx)
{
    tee_rc_t              rc;
    tee_str_t             json;
    tee_envelope_cost_t  *cost;

    if (ctx->held.len == 0) {
        return NGX_OK;
    }

    cost = &ctx->cost;

    json.data = ctx->held.data;
    json.len = ctx->held.len;

    rc = tee_envelope_cost(json, 0, &ngx_http_tee_alloc, cost);

    if (rc != TEE_OK) {
        return rc == TEE_DONE ? NGX_OK : NGX_ERROR;
    }

    if (ngx_http_tee_gateway_cost(r, ctx, "X-Inference-Cost-OPG", cost->opg,
                                  cost->opg_len)
        != NGX_OK
        || ngx_http_tee_gateway_cost(r, ctx, "X-Inference-Cost-USD",
                                     cost->usd, cost->usd_len)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_tee_gateway_cost(r, ctx, "X-Inference-Price-OPG-USD",
                                     cost->price, cost->price_len);
}


static ngx_int_t
ngx_http_tee_gateway_cost(ngx_http_request_t *r,
    ngx_http_tee_gateway_ctx_t *ctx, const char *name, u_char *value,
    size_t len)
{
    ngx_table_elt_t  *h;

    h = ngx_array_push(ctx->kept);
    if (h == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(h, sizeof(ngx_table_elt_t));

    h->hash = 1;
    h->key.data = (u_char *) name;
    h->key.len = ngx_strlen(name);

    h->value.len = len;
    h->value.data = value;

    return NGX_OK;
}


/*
 * A client may lose an event that is cut, so each has its chunk.  What is
 * known to come last waits for the end, to be the final chunk.
 */

ngx_int_t
ngx_http_tee_gateway_event(ngx_http_request_t *r,
    ngx_http_tee_gateway_ctx_t *ctx)
{
    ngx_int_t  rc;

    if (!ctx->whole_event) {
        rc = ngx_http_tee_gateway_next_event(r, ctx);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    if (ctx->whole_event && ctx->in
        && ngx_http_tee_gateway_line_feed(r, ctx) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ctx->in) {
        return ngx_http_tee_gateway_seal_event(r, ctx, 0);
    }

    if (ctx->last) {
        return ngx_http_tee_gateway_seal_event(r, ctx, 1);
    }

    if (ctx->whole_event) {

        if (!ctx->failed && ngx_http_tee_gateway_may_end(&ctx->event)) {
            return NGX_DECLINED;
        }

        return ngx_http_tee_gateway_seal_event(r, ctx, 0);
    }

    if (!ctx->failed) {
        return NGX_DECLINED;
    }

    /* what has come of the event that was cut means nothing */

    ngx_http_tee_held_empty(&ctx->event);

    if (ngx_http_tee_held_add(r, &ctx->event, ngx_http_tee_gateway_cut.data,
                              ngx_http_tee_gateway_cut.len, ctx->conf->buffer)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    ctx->last = 1;

    return ngx_http_tee_gateway_seal_event(r, ctx, 1);
}


/* Takes content up to the end of an event, or all that is there. */

static ngx_int_t
ngx_http_tee_gateway_next_event(ngx_http_request_t *r,
    ngx_http_tee_gateway_ctx_t *ctx)
{
    int        end;
    tee_str_t  in;

    while (ctx->in) {
        in.data = ctx->in->buf->pos;
        in.len = ctx->in->buf->last - ctx->in->buf->pos;

        if (ngx_http_tee_gateway_take_event(r, ctx,
                                            tee_sse_scan(&ctx->sse, in, &end))
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        if (end) {
            ctx->whole_event = 1;
            return ngx_http_tee_gateway_bill(ctx);
        }
    }

    return NGX_OK;
}


/* Moves bytes from the front of what has come to the event. */

static ngx_int_t
ngx_http_tee_gateway_take_event(ngx_http_request_t *r,
    ngx_http_tee_gateway_ctx_t *ctx, size_t size)
{
    ngx_int_t     rc;
    ngx_buf_t    *b;
    ngx_chain_t  *cl;

    cl = ctx->in;
    b = cl->buf;

    rc = ngx_http_tee_held_add(r, &ctx->event, b->pos, size,
                               ctx->conf->buffer);

    if (rc == NGX_DECLINED) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "tee gateway: an event of more than %uz bytes; see "
                      "\"tee_gateway_buffer_size\"", ctx->conf->buffer);
        return NGX_ERROR;
    }

    if (rc != NGX_OK) {
        return NGX_ERROR;
    }

    b->pos += size;

    if (b->in_file) {
        b->file_pos += size;
    }

    if (b->pos == b->last) {
        ctx->in = cl->next;
        ngx_free_chain(r->pool, cl);
    }

    return NGX_OK;
}


/* After a CR the scanner cannot know that a LF will follow: it is put where it
 * belongs, to the event that ends with it. */

static ngx_int_t
ngx_http_tee_gateway_line_feed(ngx_http_request_t *r,
    ngx_http_tee_gateway_ctx_t *ctx)
{
    int        end;
    tee_str_t  in;

    if (ctx->event.data[ctx->event.len - 1] != CR
        || *ctx->in->buf->pos != LF)
    {
        return NGX_OK;
    }

    in.data = ctx->in->buf->pos;
    in.len = 1;

    return ngx_http_tee_gateway_take_event(r, ctx,
                                           tee_sse_scan(&ctx->sse, in, &end));
}


/* The last block of costs is the one that counts. */

static ngx_int_t
ngx_http_tee_gateway_bill(ngx_http_tee_gateway_ctx_t *ctx)
{
    tee_rc_t             rc;
    tee_str_t            event;
    tee_envelope_cost_t  cost;

    event.data = ctx->event.data;
    event.len = ctx->event.len;

    rc = tee_envelope_cost(event, 1, &ngx_http_tee_alloc, &cost);

    if (rc == TEE_OK) {
        ctx->cost = cost;
        ctx->billed = 1;
    }

    return rc == TEE_NOMEM ? NGX_ERROR : NGX_OK;
}


static ngx_uint_t
ngx_http_tee_gateway_may_end(ngx_http_tee_held_t *event)
{
    ngx_str_t  *s;

    static ngx_str_t  ends[] = {
        ngx_string("data: [DONE]"),
        ngx_string("data:[DONE]"),
        ngx_string("data: {\"error\""),
        ngx_null_string
    };

    for (s = ends; s->len; s++) {
        if (event->len >= s->len
            && ngx_memcmp(event->data, s->data, s->len) == 0)
        {
            return 1;
        }
    }

    return 0;
}


static ngx_int_t
ngx_http_tee_gateway_seal_event(ngx_http_request_t *r,
    ngx_http_tee_gateway_ctx_t *ctx, ngx_uint_t final)
{
    size_t      size;
    ngx_int_t   rc;
    ngx_buf_t  *b;
    tee_str_t   in;

    in.data = ctx->event.data;
    in.len = ctx->event.len;

    b = ngx_http_tee_out_get(r, &ctx->out, in.len + TEE_OHTTP_CHUNK_EXTRA
                                           + TEE_ENVELOPE_MAX_FRAME
                                           + TEE_OHTTP_MAX_SECRET, &rc);
    if (b == NULL) {
        return rc;
    }

    if (!ctx->nonce_sent) {
        b->last = ngx_cpymem(b->last, ctx->nonce,
                             ctx->open.exchange.secret_len);
        ctx->nonce_sent = 1;
    }

    if (final && ctx->billed) {
        b->last += tee_envelope_frame(&ctx->cost, b->last);
    }

    if (tee_ohttp_response_seal_chunk(&ctx->sealer, in, final, b->last, &size)
        != TEE_OK)
    {
        return NGX_ERROR;
    }

    b->last += size;

    ngx_http_tee_held_empty(&ctx->event);

    ctx->whole_event = 0;
    ctx->done = final;

    return ngx_http_tee_gateway_put(r, ctx, b);
}
