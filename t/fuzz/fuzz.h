
/*
 * Copyright (C) The ngx_http_tee authors
 */


#ifndef FUZZ_H_INCLUDED
#define FUZZ_H_INCLUDED


#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <tee.h>


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


/* A promise of a header. */

#define FUZZ_CHECK(promise)  do { if (!(promise)) { abort(); } } while (0)


static inline void *
fuzz_malloc(void *ctx, size_t size)
{
    (void) ctx;

    /* nothing that is claimed may be allocated before it is there */

    FUZZ_CHECK(size < 64 * 1024 * 1024);

    return malloc(size);
}


static inline void
fuzz_release(void *ctx, void *p)
{
    (void) ctx;

    FUZZ_CHECK(p != NULL);

    free(p);
}


static const tee_alloc_t  fuzz_alloc = { fuzz_malloc, fuzz_release, NULL };


/* 1 if "s" is empty or a piece of "in". */

static inline int
fuzz_within(tee_str_t s, tee_str_t in)
{
    return s.len == 0
           || (s.data >= in.data && s.data + s.len <= in.data + in.len);
}


#endif /* FUZZ_H_INCLUDED */
