
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <ngx_http_tee.h>
#include <ngx_http_tee_threads.h>


/*
 * tee_threads: jobs of requests.  No more of them are in the pool of threads
 * at a time than there are processors, so that a burst leaves the event loop
 * its share; the others wait in line.
 */


#define NGX_HTTP_TEE_THREADS_RETRY  10


typedef struct {
    ngx_thread_pool_t             *pool;
    ngx_uint_t                     max;
} ngx_http_tee_threads_main_conf_t;


/* Of this worker. */

typedef struct {
    ngx_queue_t                    waiting;
    ngx_uint_t                     n;          /* waiting and running */
    ngx_uint_t                     running;
    ngx_event_t                    retry;
} ngx_http_tee_threads_t;


static void ngx_http_tee_job_start(void);
static void ngx_http_tee_job_retry(ngx_event_t *ev);
static void ngx_http_tee_job_thread(void *data, ngx_log_t *log);
static void ngx_http_tee_job_handler(ngx_event_t *ev);
static void ngx_http_tee_job_end(ngx_http_tee_job_t *job);
static char *ngx_http_tee_threads_set(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static void *ngx_http_tee_threads_create_main_conf(ngx_conf_t *cf);
static char *ngx_http_tee_threads_init_main_conf(ngx_conf_t *cf, void *conf);
static ngx_int_t ngx_http_tee_threads_init_process(ngx_cycle_t *cycle);


static ngx_command_t  ngx_http_tee_threads_commands[] = {

    { ngx_string("tee_threads"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE12,
      ngx_http_tee_threads_set,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_tee_threads_module_ctx = {
    NULL,                                  /* preconfiguration */
    NULL,                                  /* postconfiguration */

    ngx_http_tee_threads_create_main_conf, /* create main configuration */
    ngx_http_tee_threads_init_main_conf,   /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    NULL,                                  /* create location configuration */
    NULL                                   /* merge location configuration */
};


ngx_module_t  ngx_http_tee_threads_module = {
    NGX_MODULE_V1,
    &ngx_http_tee_threads_module_ctx,      /* module context */
    ngx_http_tee_threads_commands,         /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    ngx_http_tee_threads_init_process,     /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    NULL,                                  /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static ngx_http_tee_threads_t  ngx_http_tee_threads;


ngx_http_tee_job_t *
ngx_http_tee_job_create(ngx_http_request_t *r, size_t size)
{
    ngx_thread_task_t   *task;
    ngx_http_tee_job_t  *job;

    task = ngx_thread_task_alloc(r->pool, sizeof(ngx_http_tee_job_t));
    if (task == NULL) {
        return NULL;
    }

    job = task->ctx;

    ngx_memzero(job, sizeof(ngx_http_tee_job_t));

    job->task = task;
    job->request = r;
    job->data = ngx_pcalloc(r->pool, size);

    if (job->data == NULL) {
        return NULL;
    }

    task->handler = ngx_http_tee_job_thread;
    task->event.handler = ngx_http_tee_job_handler;
    task->event.data = job;
    task->event.log = ngx_cycle->log;

    return job;
}


void
ngx_http_tee_job_post(ngx_http_tee_job_t *job)
{
    job->request->main->blocked++;

    ngx_queue_insert_tail(&ngx_http_tee_threads.waiting, &job->queue);
    ngx_http_tee_threads.n++;

    ngx_http_tee_job_start();
}


ngx_uint_t
ngx_http_tee_jobs_busy(ngx_http_request_t *r)
{
    ngx_http_tee_threads_main_conf_t  *tmcf;

    tmcf = ngx_http_get_module_main_conf(r, ngx_http_tee_threads_module);

    return ngx_http_tee_threads.n >= tmcf->max;
}


static void
ngx_http_tee_job_start(void)
{
    ngx_queue_t                       *q;
    ngx_http_tee_job_t                *job;
    ngx_http_tee_threads_main_conf_t  *tmcf;

    while (ngx_http_tee_threads.running < (ngx_uint_t) ngx_ncpu
           && !ngx_queue_empty(&ngx_http_tee_threads.waiting))
    {
        q = ngx_queue_head(&ngx_http_tee_threads.waiting);
        job = ngx_queue_data(q, ngx_http_tee_job_t, queue);

        job->skipped = job->request->connection->error;

        tmcf = ngx_http_get_module_main_conf(job->request,
                                             ngx_http_tee_threads_module);

        if (ngx_thread_task_post(tmcf->pool, job->task) != NGX_OK) {

            /* others have filled it up; perhaps no job of ours is in it */

            if (!ngx_http_tee_threads.retry.timer_set) {
                ngx_add_timer(&ngx_http_tee_threads.retry,
                              NGX_HTTP_TEE_THREADS_RETRY);
            }

            return;
        }

        ngx_queue_remove(q);
        ngx_http_tee_threads.running++;
    }
}


static void
ngx_http_tee_job_retry(ngx_event_t *ev)
{
    ngx_http_tee_job_start();
}


static void
ngx_http_tee_job_thread(void *data, ngx_log_t *log)
{
    ngx_http_tee_job_t  *job = data;

    if (!job->skipped) {
        job->work(job->data);
    }
}


static void
ngx_http_tee_job_handler(ngx_event_t *ev)
{
    ngx_http_tee_job_t  *job = ev->data;

    ngx_http_tee_threads.n--;
    ngx_http_tee_threads.running--;

    ngx_http_tee_job_start();
    ngx_http_tee_job_end(job);
}


static void
ngx_http_tee_job_end(ngx_http_tee_job_t *job)
{
    ngx_connection_t    *c;
    ngx_http_request_t  *r;

    r = job->request;
    c = r->connection;

    ngx_http_set_log_request(c->log, r);

    r->main->blocked--;

    job->done(r, job->data);

#if (nginx_version >= 1025004)
    if (r->done || r->main->terminated)
#else
    if (r->done)
#endif
    {
        /* the subrequest has been finalized, or the connection closed */

        c->write->handler(c->write);

    } else {
        r->write_event_handler(r);
        ngx_http_run_posted_requests(c);
    }
}


static char *
ngx_http_tee_threads_set(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_tee_threads_main_conf_t  *tmcf = conf;

    ngx_int_t   n;
    ngx_str_t  *value;

    if (tmcf->pool) {
        return "is duplicate";
    }

    value = cf->args->elts;

    tmcf->pool = ngx_thread_pool_add(cf, &value[1]);
    if (tmcf->pool == NULL) {
        return NGX_CONF_ERROR;
    }

    if (cf->args->nelts == 2) {
        return NGX_CONF_OK;
    }

    n = NGX_ERROR;

    if (ngx_strncmp(value[2].data, "queue=", 6) == 0) {
        n = ngx_atoi(value[2].data + 6, value[2].len - 6);
    }

    if (n <= 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"tee_threads\" takes a pool and \"queue=\" with "
                           "a number above 0, not \"%V\"", &value[2]);
        return NGX_CONF_ERROR;
    }

    tmcf->max = n;

    return NGX_CONF_OK;
}


static void *
ngx_http_tee_threads_create_main_conf(ngx_conf_t *cf)
{
    ngx_http_tee_threads_main_conf_t  *tmcf;

    tmcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_tee_threads_main_conf_t));
    if (tmcf == NULL) {
        return NULL;
    }

    tmcf->max = NGX_CONF_UNSET_UINT;

    return tmcf;
}


static char *
ngx_http_tee_threads_init_main_conf(ngx_conf_t *cf, void *conf)
{
    ngx_http_tee_threads_main_conf_t  *tmcf = conf;

    ngx_conf_init_uint_value(tmcf->max, 1024);

    if (tmcf->pool == NULL) {
        tmcf->pool = ngx_thread_pool_add(cf, NULL);
        if (tmcf->pool == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_tee_threads_init_process(ngx_cycle_t *cycle)
{
    ngx_queue_init(&ngx_http_tee_threads.waiting);

    ngx_http_tee_threads.retry.handler = ngx_http_tee_job_retry;
    ngx_http_tee_threads.retry.log = cycle->log;

    return NGX_OK;
}
