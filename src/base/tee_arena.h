
/*
 * Copyright (C) The ngx_http_tee authors
 */


#ifndef TEE_ARENA_H_INCLUDED
#define TEE_ARENA_H_INCLUDED


#include <tee.h>


/*
 * Many small pieces with one lifetime.  Pieces are aligned for any of our
 * types, never freed alone, and stay where they are.
 */

typedef struct {
    const tee_alloc_t    *alloc;

    /* the rest is private */
    void                 *blocks;
    uint8_t              *pos;
    size_t                left;
    size_t                next;
} tee_arena_t;


/* Takes no memory yet; "alloc" has to outlive the arena. */

void tee_arena_init(tee_arena_t *a, const tee_alloc_t *alloc);

/* Wipes and frees every piece; the arena may be used again. */

void tee_arena_free(tee_arena_t *a);

/* A piece of "size" bytes, not cleared, or NULL: no memory. */

TEE_MUST_CHECK void *tee_arena_alloc(tee_arena_t *a, size_t size);

/* A copy of "in" in *out: TEE_OK or TEE_NOMEM. */

TEE_MUST_CHECK tee_rc_t tee_arena_copy(tee_arena_t *a, tee_str_t in,
    tee_str_t *out);


#endif /* TEE_ARENA_H_INCLUDED */
