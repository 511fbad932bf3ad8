
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <malloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include <tee_text.h>

#include "unit.h"


static unsigned  unit_run;
static unsigned  unit_failed;
static uint32_t  unit_seed = 2463534242U;

unit_memory_t  unit_memory;
unit_memory_t  unit_crypto;
size_t  unit_unwiped;

static const char  *unit_marker;


int
unit_ok(int ok, const char *name, ...)
{
    va_list  args;

    unit_run++;
    unit_failed += !ok;

    printf("%sok %u - ", ok ? "" : "not ", unit_run);

    va_start(args, name);
    vprintf(name, args);
    va_end(args);

    putchar('\n');

    return ok;
}


int
unit_done(void)
{
    printf("1..%u\n", unit_run);
    fflush(stdout);

    return unit_failed != 0;
}


static void *
unit_malloc(void *ctx, size_t size)
{
    void           *p;
    unit_memory_t  *m = ctx;

    m->calls++;

    if (size > m->largest) {
        m->largest = size;
    }

    if (m->calls == m->fail) {
        return NULL;
    }

    p = malloc(size);
    if (p == NULL) {
        return NULL;
    }

    /* also where it is not used, as something may be left there */

    memset(p, 0xa5, unit_marker ? malloc_usable_size(p) : size);
    m->live++;

    return p;
}


static void
unit_release(void *ctx, void *p)
{
    size_t          i, len, size;
    unit_memory_t  *m = ctx;

    if (unit_marker) {
        len = strlen(unit_marker);
        size = malloc_usable_size(p);

        for (i = 0; i + len <= size; i++) {
            if (memcmp((char *) p + i, unit_marker, len) == 0) {
                unit_unwiped++;
                break;
            }
        }
    }

    m->live--;
    free(p);
}


const tee_alloc_t  unit_alloc = {
    unit_malloc,
    unit_release,
    &unit_memory
};


void
unit_memory_reset(size_t fail)
{
    memset(&unit_memory, 0, sizeof(unit_memory_t));

    unit_memory.fail = fail;
}


void
unit_watch(const char *marker)
{
    unit_marker = marker;
    unit_unwiped = 0;
}


static void *
unit_crypto_malloc(size_t size, const char *file, int line)
{
    (void) file;
    (void) line;

    return unit_malloc(&unit_crypto, size);
}


static void
unit_crypto_free(void *p, const char *file, int line)
{
    (void) file;
    (void) line;

    if (p) {
        unit_release(&unit_crypto, p);
    }
}


static void *
unit_crypto_realloc(void *p, size_t size, const char *file, int line)
{
    void  *to;

    (void) file;
    (void) line;

    unit_crypto.calls++;

    if (unit_crypto.calls == unit_crypto.fail) {
        return NULL;
    }

    to = realloc(p, size);

    if (to && p == NULL) {
        unit_crypto.live++;
    }

    return to;
}


void
unit_crypto_init(void)
{
    if (CRYPTO_set_mem_functions(unit_crypto_malloc, unit_crypto_realloc,
                                 unit_crypto_free)
        != 1)
    {
        abort();
    }
}


void
unit_crypto_reset(size_t fail)
{
    unit_crypto.calls = 0;
    unit_crypto.fail = fail;
}


void
unit_oom(unit_pt f, void *ctx, tee_rc_t expected, const char *name)
{
    size_t    n, leaks;
    tee_rc_t  rc;
    unsigned  wrong;

    leaks = 0;
    wrong = 0;

    for (n = 1; /* void */ ; n++) {
        unit_memory_reset(n);

        rc = f(ctx);

        leaks += unit_memory.live;

        if (unit_memory.calls < n) {
            break;
        }

        wrong += rc != TEE_NOMEM;
    }

    unit_ok(rc == expected, "%s, in the end", name);
    unit_ok(wrong == 0, "%s, each of %u failures is told", name,
            (unsigned) n - 1);
    unit_ok(leaks == 0, "%s, no leak", name);

    unit_memory_reset(0);
}


void
unit_crypto_oom(unit_pt f, void *ctx, tee_rc_t expected, const char *name)
{
    size_t    n, i, before, leaks;
    tee_rc_t  rc;
    unsigned  wrong;

    unit_crypto_reset(0);
    (void) f(ctx);
    (void) f(ctx);

    rc = TEE_OK;
    leaks = 0;
    wrong = 0;

    for (n = 1; /* void */ ; n++) {

        /* what libcrypto keeps for later grows once, a leak every time */

        for (i = 0; i < 4; i++) {
            before = unit_crypto.live;
            unit_crypto_reset(n);

            rc = f(ctx);

            if (unit_crypto.live <= before) {
                break;
            }
        }

        leaks += i == 4;

        if (unit_crypto.calls < n) {
            break;
        }

        /* libcrypto gets over some failures, and tells some as others */

        wrong += rc == TEE_OK && expected != TEE_OK;
    }

    unit_ok(rc == expected, "%s, libcrypto, in the end", name);
    unit_ok(wrong == 0, "%s, libcrypto, none of %u failures is a success",
            name, (unsigned) n - 1);
    unit_ok(leaks == 0, "%s, libcrypto, no leak", name);

    unit_crypto_reset(0);
}


tee_str_t
unit_copy(const void *p, size_t len)
{
    uint8_t    *to;
    tee_str_t   s = { 0, NULL };

    if (len == 0) {
        return s;
    }

    to = malloc(len);
    if (to == NULL) {
        abort();
    }

    memcpy(to, p, len);

    s.len = len;
    s.data = to;

    return s;
}


tee_str_t
unit_hex(const char *hex)
{
    tee_str_t  text, s;

    if (hex[0] == '\0') {
        return unit_copy(NULL, 0);
    }

    text = unit_copy(hex, strlen(hex));

    if (tee_hex_decode(text, (uint8_t *) (uintptr_t) text.data) != TEE_OK) {
        abort();
    }

    s = unit_copy(text.data, text.len / 2);
    unit_free(text);

    return s;
}


void
unit_free(tee_str_t s)
{
    free((void *) (uintptr_t) s.data);
}


tee_str_t
unit_text(const char *text)
{
    tee_str_t  s;

    s.len = strlen(text);
    s.data = (const uint8_t *) text;

    return s;
}


int
unit_equal(tee_str_t s, const void *p, size_t len)
{
    return s.len == len && (len == 0 || memcmp(s.data, p, len) == 0);
}


int
unit_is(tee_str_t s, const char *text)
{
    return unit_equal(s, text, strlen(text));
}


uint32_t
unit_rand(void)
{
    unit_seed ^= unit_seed << 13;
    unit_seed ^= unit_seed >> 17;
    unit_seed ^= unit_seed << 5;

    return unit_seed;
}
