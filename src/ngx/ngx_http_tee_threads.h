
/*
 * Copyright (C) The ngx_http_tee authors
 */


#ifndef _NGX_HTTP_TEE_THREADS_H_INCLUDED_
#define _NGX_HTTP_TEE_THREADS_H_INCLUDED_


#include <ngx_http_tee.h>


/*
 * What takes longer than an event loop should be held up, done for a request
 * in a thread.  The request stays until it is done, whatever its client does.
 */

typedef struct {
    ngx_queue_t                    queue;
    ngx_http_request_t            *request;

    /* in the thread: touches nothing of nginx but "data" */
    void                         (*work)(void *data);

    /* in the event loop, before the write handler of the request is called */
    void                         (*done)(ngx_http_request_t *r, void *data);

    void                          *data;
} ngx_http_tee_job_t;


/* A job with "size" zeroed bytes of data, or NULL. */

ngx_http_tee_job_t *ngx_http_tee_job_create(ngx_http_request_t *r,
    size_t size);

/*
 * done() will be called, and then r->write_event_handler(), once and always,
 * also when the client has gone.  For a body filter the caller sets r->aio, and
 * done() clears it: whoever feeds the filter waits, and then it is called once
 * more.
 */

void ngx_http_tee_job_post(ngx_http_tee_job_t *job);

/* As many jobs wait as may: whoever has a choice makes no more of them. */

ngx_uint_t ngx_http_tee_jobs_busy(ngx_http_request_t *r);

/* There will be jobs; for a directive, when the configuration is read. */

void ngx_http_tee_threads_use(ngx_conf_t *cf);


#endif /* _NGX_HTTP_TEE_THREADS_H_INCLUDED_ */
