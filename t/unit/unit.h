
/*
 * Copyright (C) The ngx_http_tee authors
 */


#ifndef UNIT_H_INCLUDED
#define UNIT_H_INCLUDED


#include <tee.h>


/* A test program prints TAP; unit_done() is its exit status. */

int unit_ok(int ok, const char *name, ...)
    __attribute__((format(printf, 2, 3)));
int unit_done(void);


/*
 * An allocator that counts, and that fails at one call.  What it hands out
 * begins with rubbish, and has exactly the size asked for.
 */

typedef struct {
    size_t                calls;
    size_t                live;
    size_t                fail;                /* this call, from 1; 0: none */
    size_t                largest;
} unit_memory_t;

extern unit_memory_t  unit_memory;
extern const tee_alloc_t  unit_alloc;

/* Starts counting anew; the "fail"-th call will fail. */

void unit_memory_reset(size_t fail);

/*
 * From now on, memory that is given back with "marker" in it is counted in
 * unit_unwiped; NULL: no more.
 */

extern size_t  unit_unwiped;

void unit_watch(const char *marker);

/*
 * Counting for libcrypto.  Call unit_crypto_init() before anything else, and
 * run what is measured once before, as it keeps what it has fetched.
 */

extern unit_memory_t  unit_crypto;

void unit_crypto_init(void);
void unit_crypto_reset(size_t fail);

/*
 * Calls "f" until no allocation is left to fail, once for each; it answers
 * TEE_NOMEM or what it would have without a failure.  Checks that nothing
 * leaks.
 */

typedef tee_rc_t (*unit_pt)(void *ctx);

void unit_oom(unit_pt f, void *ctx, tee_rc_t expected, const char *name);
void unit_crypto_oom(unit_pt f, void *ctx, tee_rc_t expected,
    const char *name);


/* On the heap, with the exact length, so that a sanitizer sees one byte too
 * much; free() it. */

tee_str_t unit_copy(const void *p, size_t len);
tee_str_t unit_hex(const char *hex);
void unit_free(tee_str_t s);

/* A text as it stands in the source, not copied. */

tee_str_t unit_text(const char *text);

int unit_equal(tee_str_t s, const void *p, size_t len);
int unit_is(tee_str_t s, const char *text);

/* Repeatable; not random. */

uint32_t unit_rand(void);


#endif /* UNIT_H_INCLUDED */
