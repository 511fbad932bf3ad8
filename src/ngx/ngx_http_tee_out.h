
/*
 * Copyright (C) The ngx_http_tee authors
 */


#ifndef _NGX_HTTP_TEE_OUT_H_INCLUDED_
#define _NGX_HTTP_TEE_OUT_H_INCLUDED_


#include <ngx_http_tee.h>


/*
 * What a body filter writes, in a few buffers that are used again.  When all
 * of them wait to be sent, so has the filter, and whoever feeds it.
 */

#define NGX_HTTP_TEE_OUT_BUFS  4
#define NGX_HTTP_TEE_OUT_SIZE  8192

/* Bits of c->buffered that no module of nginx uses; of the filters of one
 * request each has its own. */

#define NGX_HTTP_TEE_BUFFERED_SEALED  0x40
#define NGX_HTTP_TEE_BUFFERED_SIGNED  0x80


typedef struct {
    ngx_http_output_body_filter_pt  next;
    ngx_buf_tag_t                  tag;        /* of this filter */
    ngx_uint_t                     bit;
    ngx_uint_t                     most;       /* buffers */

    /* the rest is private */
    ngx_chain_t                   *free;
    ngx_chain_t                   *busy;
    ngx_chain_t                   *out;
    ngx_chain_t                  **last_out;
    ngx_uint_t                     bufs;
} ngx_http_tee_out_t;


void ngx_http_tee_out_init(ngx_http_tee_out_t *o,
    ngx_http_output_body_filter_pt next, ngx_buf_tag_t tag, ngx_uint_t bit);

/*
 * Takes bytes from the front of "in", as many as there is room for, and sends
 * what fills up the buffers.
 *
 * NGX_OK: all; NGX_AGAIN: the filter has to wait, and is called when there is
 * room; NGX_ERROR
 */

ngx_int_t ngx_http_tee_out_put(ngx_http_request_t *r, ngx_http_tee_out_t *o,
    tee_str_t *in);

/*
 * The same without a copy: an empty buffer with this room, to which bytes are
 * appended.  NULL: *rc is NGX_AGAIN, all of them wait and the filter has to as
 * well, or NGX_ERROR.  It is added to what will be sent, or given back.
 */

ngx_buf_t *ngx_http_tee_out_get(ngx_http_request_t *r, ngx_http_tee_out_t *o,
    size_t room, ngx_int_t *rc);
ngx_int_t ngx_http_tee_out_add(ngx_http_request_t *r, ngx_http_tee_out_t *o,
    ngx_buf_t *b);
ngx_int_t ngx_http_tee_out_unget(ngx_http_request_t *r,
    ngx_http_tee_out_t *o, ngx_buf_t *b);

/* Sends what has been added; what the filters below say. */

ngx_int_t ngx_http_tee_out_send(ngx_http_request_t *r,
    ngx_http_tee_out_t *o);

/* Sends what is there; with "last", that was all, otherwise at once. */

ngx_int_t ngx_http_tee_out_flush(ngx_http_request_t *r,
    ngx_http_tee_out_t *o, ngx_uint_t last);

/* There is nothing new: lets what is on its way go on. */

ngx_int_t ngx_http_tee_out_more(ngx_http_request_t *r,
    ngx_http_tee_out_t *o);


/* Adds links to the buffers of "in", in which all is in memory, to "chain". */

ngx_int_t ngx_http_tee_chain_add(ngx_http_request_t *r, ngx_chain_t **chain,
    ngx_chain_t *in);

/* The end of a response without content, or of its content. */

ngx_int_t ngx_http_tee_chain_end(ngx_http_request_t *r,
    ngx_http_output_body_filter_pt next);

/*
 * Nothing more of a response is wanted, though there may be more, and no end of
 * it: takes away what is left in "in", and tells whoever proxies that this was
 * all.  Its connection, which is not at the end of a response, is not used
 * again.
 */

void ngx_http_tee_chain_enough(ngx_http_request_t *r, ngx_chain_t **in);

/* A body filter that has done its part swallows what still comes. */

ngx_int_t ngx_http_tee_chain_drop(ngx_http_request_t *r, ngx_chain_t *in,
    ngx_http_output_body_filter_pt next);


/*
 * A buffer that grows, outside of the pool, and is wiped with the request, by
 * "init" or by whoever frees it.
 *
 * NGX_OK, NGX_DECLINED (it would be more than "max"; nothing has been added),
 * NGX_ERROR
 */

typedef struct {
    u_char                        *data;
    size_t                         len;
    size_t                         room;
} ngx_http_tee_held_t;

ngx_int_t ngx_http_tee_held_init(ngx_http_request_t *r,
    ngx_http_tee_held_t *h);
ngx_int_t ngx_http_tee_held_add(ngx_http_request_t *r,
    ngx_http_tee_held_t *h, u_char *p, size_t len, size_t max);
void ngx_http_tee_held_empty(ngx_http_tee_held_t *h);
void ngx_http_tee_held_free(ngx_http_tee_held_t *h);


#endif /* _NGX_HTTP_TEE_OUT_H_INCLUDED_ */
