
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <ngx_http_tee.h>
#include <ngx_http_tee_threads.h>


/*
 * tee_threads: jobs of requests.  As many runners as there are processors, or
 * fewer, take them from a queue, each in a thread of the pool: more of them
 * would only take the time from the event loop, and one that finds the next
 * job waiting does not have to be woken up for it.  A pipe tells the event loop
 * what is done.
 */

/* A worker that shuts down does not go while a timer is set. */

#define NGX_HTTP_TEE_THREADS_TICK  1000

#define NGX_HTTP_TEE_THREADS_MAX   1024


typedef struct {
    ngx_thread_pool_t             *pool;
    ngx_uint_t                     max;
    ngx_uint_t                     jobs;       /* at a time */
    unsigned                       used:1;
} ngx_http_tee_threads_main_conf_t;


typedef struct {
    ngx_thread_task_t              task;
    unsigned                       posted:1;
} ngx_http_tee_runner_t;


/* Of this worker. */

typedef struct {
    ngx_thread_pool_t             *pool;
    ngx_uint_t                     n;          /* jobs, until they are done */
    ngx_http_tee_runner_t         *runners;
    ngx_uint_t                     nrunners;
    ngx_event_t                    tick;
    ngx_fd_t                       wake[2];

    /* under the mutex */
    ngx_thread_mutex_t             mutex;
    ngx_queue_t                    waiting;
    ngx_queue_t                    finished;
    unsigned                       woken:1;
} ngx_http_tee_threads_t;


static void ngx_http_tee_runners_start(void);
static void ngx_http_tee_runner_thread(void *data, ngx_log_t *log);
static ngx_http_tee_job_t *ngx_http_tee_runner_next(
    ngx_http_tee_job_t *finished);
static void ngx_http_tee_runner_handler(ngx_event_t *ev);
static void ngx_http_tee_wake_handler(ngx_event_t *ev);
static void ngx_http_tee_job_end(ngx_http_tee_job_t *job);
static void ngx_http_tee_threads_tick(ngx_event_t *ev);
static char *ngx_http_tee_threads_set(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static void *ngx_http_tee_threads_create_main_conf(ngx_conf_t *cf);
static char *ngx_http_tee_threads_init_main_conf(ngx_conf_t *cf, void *conf);
static ngx_int_t ngx_http_tee_threads_init_process(ngx_cycle_t *cycle);
static ngx_int_t ngx_http_tee_threads_wake_init(ngx_cycle_t *cycle);


static ngx_command_t  ngx_http_tee_threads_commands[] = {

    { ngx_string("tee_threads"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE123,
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
    ngx_http_tee_job_t  *job;

    job = ngx_pcalloc(r->pool, sizeof(ngx_http_tee_job_t));
    if (job == NULL) {
        return NULL;
    }

    job->request = r;
    job->data = ngx_pcalloc(r->pool, size);

    return job->data ? job : NULL;
}


void
ngx_http_tee_job_post(ngx_http_tee_job_t *job)
{
    job->request->main->blocked++;

    (void) pthread_mutex_lock(&ngx_http_tee_threads.mutex);
    ngx_queue_insert_tail(&ngx_http_tee_threads.waiting, &job->queue);
    (void) pthread_mutex_unlock(&ngx_http_tee_threads.mutex);

    if (ngx_http_tee_threads.n++ == 0) {
        ngx_add_timer(&ngx_http_tee_threads.tick, NGX_HTTP_TEE_THREADS_TICK);
    }

    ngx_http_tee_runners_start();
}


ngx_uint_t
ngx_http_tee_jobs_busy(ngx_http_request_t *r)
{
    ngx_http_tee_threads_main_conf_t  *tmcf;

    tmcf = ngx_http_get_module_main_conf(r, ngx_http_tee_threads_module);

    return ngx_http_tee_threads.n >= tmcf->max;
}


void
ngx_http_tee_threads_use(ngx_conf_t *cf)
{
    ngx_http_tee_threads_main_conf_t  *tmcf;

    tmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_tee_threads_module);

    tmcf->used = 1;
}


/* A pool that others have filled up says so in the log; every second it is
 * tried again. */

static void
ngx_http_tee_runners_start(void)
{
    ngx_uint_t              i;
    ngx_http_tee_runner_t  *runner;

    for (i = 0; i < ngx_http_tee_threads.nrunners; i++) {
        runner = &ngx_http_tee_threads.runners[i];

        if (!runner->posted) {
            runner->posted = (ngx_thread_task_post(ngx_http_tee_threads.pool,
                                                   &runner->task)
                              == NGX_OK);
            return;
        }
    }
}


static void
ngx_http_tee_runner_thread(void *data, ngx_log_t *log)
{
    ngx_http_tee_job_t  *job;

    job = NULL;

    for ( ;; ) {
        job = ngx_http_tee_runner_next(job);

        if (job == NULL) {
            return;
        }

        job->work(job->data);
    }
}


static ngx_http_tee_job_t *
ngx_http_tee_runner_next(ngx_http_tee_job_t *finished)
{
    ngx_uint_t           wake;
    ngx_queue_t         *q;
    ngx_http_tee_job_t  *job;

    job = NULL;
    wake = 0;

    (void) pthread_mutex_lock(&ngx_http_tee_threads.mutex);

    if (finished) {
        ngx_queue_insert_tail(&ngx_http_tee_threads.finished,
                              &finished->queue);

        wake = !ngx_http_tee_threads.woken;
        ngx_http_tee_threads.woken = 1;
    }

    /* a worker that is told to go at once waits for its threads */

    if (!ngx_terminate && !ngx_queue_empty(&ngx_http_tee_threads.waiting)) {
        q = ngx_queue_head(&ngx_http_tee_threads.waiting);
        ngx_queue_remove(q);

        job = ngx_queue_data(q, ngx_http_tee_job_t, queue);
    }

    (void) pthread_mutex_unlock(&ngx_http_tee_threads.mutex);

    /* the pipe holds one byte at most: there is room */

    if (wake && write(ngx_http_tee_threads.wake[1], "", 1) == -1) {
        ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, ngx_errno,
                      "tee threads: write() failed");
    }

    return job;
}


/* A runner has found nothing to do; perhaps there is something since. */

static void
ngx_http_tee_runner_handler(ngx_event_t *ev)
{
    ngx_uint_t              empty;
    ngx_http_tee_runner_t  *runner = ev->data;

    runner->posted = 0;

    (void) pthread_mutex_lock(&ngx_http_tee_threads.mutex);
    empty = ngx_queue_empty(&ngx_http_tee_threads.waiting);
    (void) pthread_mutex_unlock(&ngx_http_tee_threads.mutex);

    if (!empty) {
        ngx_http_tee_runners_start();
    }
}


static void
ngx_http_tee_wake_handler(ngx_event_t *ev)
{
    u_char               buf[8];
    ngx_queue_t          finished, *q;
    ngx_connection_t    *c;

    c = ev->data;

    while (read(c->fd, buf, sizeof(buf)) > 0) { /* void */ }

    if (ngx_handle_read_event(ev, 0) != NGX_OK) {
        ngx_log_error(NGX_LOG_ALERT, ev->log, 0,
                      "tee threads: no read event");
    }

    ngx_queue_init(&finished);

    (void) pthread_mutex_lock(&ngx_http_tee_threads.mutex);

    ngx_http_tee_threads.woken = 0;

    if (!ngx_queue_empty(&ngx_http_tee_threads.finished)) {
        ngx_queue_add(&finished, &ngx_http_tee_threads.finished);
        ngx_queue_init(&ngx_http_tee_threads.finished);
    }

    (void) pthread_mutex_unlock(&ngx_http_tee_threads.mutex);

    while (!ngx_queue_empty(&finished)) {
        q = ngx_queue_head(&finished);
        ngx_queue_remove(q);

        if (--ngx_http_tee_threads.n == 0) {
            ngx_del_timer(&ngx_http_tee_threads.tick);
        }

        ngx_http_tee_job_end(ngx_queue_data(q, ngx_http_tee_job_t, queue));
    }
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


static void
ngx_http_tee_threads_tick(ngx_event_t *ev)
{
    ngx_http_tee_runners_start();

    ngx_add_timer(ev, NGX_HTTP_TEE_THREADS_TICK);
}


static char *
ngx_http_tee_threads_set(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_tee_threads_main_conf_t  *tmcf = conf;

    ngx_int_t    n;
    ngx_str_t   *value;
    ngx_uint_t   i, *to;

    if (tmcf->pool) {
        return "is duplicate";
    }

    value = cf->args->elts;

    tmcf->pool = ngx_thread_pool_add(cf, &value[1]);
    if (tmcf->pool == NULL) {
        return NGX_CONF_ERROR;
    }

    for (i = 2; i < cf->args->nelts; i++) {

        n = NGX_ERROR;
        to = NULL;

        if (ngx_strncmp(value[i].data, "queue=", 6) == 0) {
            n = ngx_atoi(value[i].data + 6, value[i].len - 6);
            to = &tmcf->max;

        } else if (ngx_strncmp(value[i].data, "jobs=", 5) == 0) {
            n = ngx_atoi(value[i].data + 5, value[i].len - 5);
            to = &tmcf->jobs;
        }

        if (n <= 0 || *to != NGX_CONF_UNSET_UINT
            || (to == &tmcf->jobs && n > NGX_HTTP_TEE_THREADS_MAX))
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "\"tee_threads\" takes a pool, \"queue=\" above "
                               "0 and \"jobs=\" from 1 to 1024, each once, not "
                               "\"%V\"", &value[i]);
            return NGX_CONF_ERROR;
        }

        *to = n;
    }

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
    tmcf->jobs = NGX_CONF_UNSET_UINT;

    return tmcf;
}


static char *
ngx_http_tee_threads_init_main_conf(ngx_conf_t *cf, void *conf)
{
    ngx_http_tee_threads_main_conf_t  *tmcf = conf;

    ngx_conf_init_uint_value(tmcf->max, 1024);
    ngx_conf_init_uint_value(tmcf->jobs, (ngx_uint_t) ngx_max(ngx_ncpu, 1));

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
    ngx_uint_t                         i;
    ngx_http_tee_runner_t             *runner;
    ngx_http_tee_threads_main_conf_t  *tmcf;

    static ngx_connection_t  nobody;

    tmcf = ngx_http_cycle_get_module_main_conf(cycle,
                                               ngx_http_tee_threads_module);

    if (tmcf == NULL || !tmcf->used
        || (ngx_process != NGX_PROCESS_WORKER
            && ngx_process != NGX_PROCESS_SINGLE))
    {
        return NGX_OK;
    }

    ngx_http_tee_threads.nrunners = tmcf->jobs;
    ngx_http_tee_threads.runners = ngx_pcalloc(cycle->pool,
                                         ngx_http_tee_threads.nrunners
                                         * sizeof(ngx_http_tee_runner_t));

    if (ngx_http_tee_threads.runners == NULL
        || ngx_thread_mutex_create(&ngx_http_tee_threads.mutex, cycle->log)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    for (i = 0; i < ngx_http_tee_threads.nrunners; i++) {
        runner = &ngx_http_tee_threads.runners[i];

        runner->task.handler = ngx_http_tee_runner_thread;
        runner->task.event.handler = ngx_http_tee_runner_handler;
        runner->task.event.data = runner;
        runner->task.event.log = cycle->log;
    }

    ngx_queue_init(&ngx_http_tee_threads.waiting);
    ngx_queue_init(&ngx_http_tee_threads.finished);

    ngx_http_tee_threads.pool = tmcf->pool;

    /* the event loop names a connection in its debug log */

    nobody.fd = (ngx_socket_t) -1;

    ngx_http_tee_threads.tick.data = &nobody;
    ngx_http_tee_threads.tick.handler = ngx_http_tee_threads_tick;
    ngx_http_tee_threads.tick.log = cycle->log;

    return ngx_http_tee_threads_wake_init(cycle);
}


static ngx_int_t
ngx_http_tee_threads_wake_init(ngx_cycle_t *cycle)
{
    ngx_fd_t          *wake;
    ngx_event_t       *rev;
    ngx_connection_t  *c;

    wake = ngx_http_tee_threads.wake;

    if (pipe(wake) == -1
        || ngx_nonblocking(wake[0]) == -1 || ngx_nonblocking(wake[1]) == -1)
    {
        ngx_log_error(NGX_LOG_EMERG, cycle->log, ngx_errno,
                      "tee threads: no pipe");
        return NGX_ERROR;
    }

    c = ngx_get_connection(wake[0], cycle->log);
    if (c == NULL) {
        return NGX_ERROR;
    }

    rev = c->read;

    rev->log = cycle->log;
    rev->handler = ngx_http_tee_wake_handler;

    /* none of a client's: a worker that exits does not complain of it */

    rev->channel = 1;

    c->recv = ngx_recv;
    c->pool = cycle->pool;

    return ngx_handle_read_event(rev, 0);
}
