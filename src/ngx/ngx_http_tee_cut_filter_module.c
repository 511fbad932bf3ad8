
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <ngx_http_tee.h>


/*
 * An upstream that has failed in the middle of its response says no more than
 * a flush: what has come of it looks like any other to filters that hold it.
 * Here, where its buffers have been through nothing else, the two can be told
 * apart.
 */


static ngx_int_t ngx_http_tee_cut_body_filter(ngx_http_request_t *r,
    ngx_chain_t *in);
static ngx_int_t ngx_http_tee_cut_filter_init(ngx_conf_t *cf);


static ngx_http_module_t  ngx_http_tee_cut_filter_module_ctx = {
    NULL,                                  /* preconfiguration */
    ngx_http_tee_cut_filter_init,          /* postconfiguration */

    NULL,                                  /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    NULL,                                  /* create location configuration */
    NULL                                   /* merge location configuration */
};


ngx_module_t  ngx_http_tee_cut_filter_module = {
    NGX_MODULE_V1,
    &ngx_http_tee_cut_filter_module_ctx,   /* module context */
    NULL,                                  /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    NULL,                                  /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    NULL,                                  /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static ngx_http_output_body_filter_pt    ngx_http_next_body_filter;


ngx_uint_t
ngx_http_tee_cut(ngx_http_request_t *r)
{
    return ngx_http_get_module_ctx(r, ngx_http_tee_cut_filter_module) != NULL;
}


static ngx_int_t
ngx_http_tee_cut_body_filter(ngx_http_request_t *r, ngx_chain_t *in)
{
    ngx_chain_t  *cl;

    /* while a subrequest has its turn, a flush is none of the upstream's */

    if (r == r->main
        && r->upstream && r->upstream->cleanup == NULL
        && r->connection->data == r)
    {
        for (cl = in; cl; cl = cl->next) {

            if (cl->buf->flush
                && !cl->buf->last_buf
                && ngx_buf_size(cl->buf) == 0)
            {
                ngx_http_set_ctx(r, r, ngx_http_tee_cut_filter_module);
            }
        }
    }

    return ngx_http_next_body_filter(r, in);
}


static ngx_int_t
ngx_http_tee_cut_filter_init(ngx_conf_t *cf)
{
    ngx_http_next_body_filter = ngx_http_top_body_filter;
    ngx_http_top_body_filter = ngx_http_tee_cut_body_filter;

    return NGX_OK;
}
