
/*
 * Copyright (C) The ngx_http_tee authors
 */


#ifndef _NGX_HTTP_TEE_KEYS_H_INCLUDED_
#define _NGX_HTTP_TEE_KEYS_H_INCLUDED_


#include <ngx_http_tee_gateway.h>
#include <tee_schedule.h>


/* The keys of a gateway: their files, their times, and the list of them. */

#define NGX_HTTP_TEE_KEYS_MAX_SUITES  3


typedef struct {
    tee_ohttp_private_t            private;
    tee_hpke_key_t                *key;        /* NULL: there is none */
    tee_key_state_t                state;
    uint64_t                       epoch;      /* of a derived one */
} ngx_http_tee_key_t;


/* Of the cycle's pool. */

struct ngx_http_tee_keys_s {
    ngx_str_t                      name;
    ngx_str_t                      seed;
    time_t                         rotate;
    time_t                         announce;
    time_t                         accept;
    ngx_uint_t                     kem;
    u_char                         suites[4 * NGX_HTTP_TEE_KEYS_MAX_SUITES];
    size_t                         suites_len;
    ngx_uint_t                     profile;

    tee_schedule_t                 schedule;
    time_t                         modified;   /* of the files */

    /* secrets: memory that is in no core dump, and not swapped if possible */
    u_char                        *secret;     /* the seed */
    size_t                         secret_len;

    /* by id; keys from files in the order of the configuration */
    ngx_http_tee_key_t             keys[256];
    u_char                         order[256];
    ngx_uint_t                     n;

    /* of this process, if derived: what holds from "from" on, before "next" */
    u_char                        *list;
    size_t                         list_len;
    size_t                         list_size;
    time_t                         from;
    time_t                         next;
    time_t                         since;      /* of the list */
    time_t                         until;
    ngx_event_t                    timer;
    unsigned                       failing:1;
    unsigned                       started:1;
};


/* conf: the block */

char *ngx_http_tee_keys_block(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
ngx_array_t *ngx_http_tee_keys_array(ngx_conf_t *cf);


/* keys: what they are now */

/* Derives and destroys, if it is time; the list may be empty after it, which
 * has been logged. */

void ngx_http_tee_keys_update(ngx_http_tee_keys_t *keys);
ngx_int_t ngx_http_tee_keys_list(ngx_http_tee_keys_t *keys);

/* In each process that serves requests; and in others, which must not keep
 * what they have inherited. */

void ngx_http_tee_keys_start(ngx_http_tee_keys_t *keys);
void ngx_http_tee_keys_wipe(ngx_http_tee_keys_t *keys);
void ngx_http_tee_crypto_done(void);


#endif /* _NGX_HTTP_TEE_KEYS_H_INCLUDED_ */
