
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <string.h>

#include <tee_arena.h>


#define TEE_ARENA_ALIGN   16
#define TEE_ARENA_FIRST   1024
#define TEE_ARENA_LAST    (256 * 1024)


typedef union tee_arena_block_u  tee_arena_block_t;

union tee_arena_block_u {
    struct {
        tee_arena_block_t  *next;
        size_t              size;
    } s;
    uint8_t               align[TEE_ARENA_ALIGN];
};


static tee_arena_block_t *tee_arena_block(tee_arena_t *a, size_t size);


void
tee_arena_init(tee_arena_t *a, const tee_alloc_t *alloc)
{
    a->alloc = alloc;
    a->blocks = NULL;
    a->pos = NULL;
    a->left = 0;
    a->next = TEE_ARENA_FIRST;
}


void
tee_arena_free(tee_arena_t *a)
{
    tee_arena_block_t  *b, *next;

    for (b = a->blocks; b; b = next) {
        next = b->s.next;

        tee_wipe(b + 1, b->s.size);
        a->alloc->free(a->alloc->ctx, b);
    }

    tee_arena_init(a, a->alloc);
}


void *
tee_arena_alloc(tee_arena_t *a, size_t size)
{
    uint8_t            *p;
    tee_arena_block_t  *b;

    if (size > SIZE_MAX - 2 * TEE_ARENA_ALIGN) {
        return NULL;
    }

    size += size == 0;
    size = (size + TEE_ARENA_ALIGN - 1) & ~(size_t) (TEE_ARENA_ALIGN - 1);

    if (size <= a->left) {
        p = a->pos;
        a->pos += size;
        a->left -= size;
        return p;
    }

    if (size > a->next / 4) {
        /* a block of its own, so that the current one stays in use */

        b = tee_arena_block(a, size);
        return b ? b + 1 : NULL;
    }

    b = tee_arena_block(a, a->next);
    if (b == NULL) {
        return NULL;
    }

    p = (uint8_t *) (b + 1);
    a->pos = p + size;
    a->left = a->next - size;

    if (a->next < TEE_ARENA_LAST) {
        a->next *= 2;
    }

    return p;
}


static tee_arena_block_t *
tee_arena_block(tee_arena_t *a, size_t size)
{
    tee_arena_block_t  *b;

    b = a->alloc->alloc(a->alloc->ctx, sizeof(tee_arena_block_t) + size);
    if (b == NULL) {
        return NULL;
    }

    b->s.next = a->blocks;
    b->s.size = size;
    a->blocks = b;

    return b;
}


tee_rc_t
tee_arena_copy(tee_arena_t *a, tee_str_t in, tee_str_t *out)
{
    uint8_t  *p;

    out->len = 0;
    out->data = NULL;

    if (in.len == 0) {
        return TEE_OK;
    }

    p = tee_arena_alloc(a, in.len);
    if (p == NULL) {
        return TEE_NOMEM;
    }

    memcpy(p, in.data, in.len);

    out->len = in.len;
    out->data = p;

    return TEE_OK;
}
