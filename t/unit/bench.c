
/*
 * Copyright (C) The ngx_http_tee authors
 */


/*
 * How long a registry answer takes, from the body of the HTTP response to the
 * snapshot: bench [number of TEEs]
 */


#define _POSIX_C_SOURCE  200809L

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <tee_jsonrpc.h>
#include <tee_registry.h>

#include "sample.h"
#include "unit.h"


static double
bench_now(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);

    return (double) ts.tv_sec + (double) ts.tv_nsec / 1e9;
}


static double
bench_step(const char *name, double since)
{
    double  now;

    now = bench_now();
    printf("%-10s %8.1f ms\n", name, (now - since) * 1e3);

    return now;
}


static void
bench_check(tee_rc_t rc)
{
    if (rc != TEE_OK) {
        printf("%s\n", tee_strerror(rc));
        exit(1);
    }
}


int
main(int argc, char *argv[])
{
    double                start, at;
    size_t                len;
    uint32_t              n, index;
    uint8_t              *text;
    tee_str_t             abi, body, state;
    const char           *why;
    tee_snapshot_t       *snapshot;
    tee_registry_meta_t   meta = { { 0 }, 10740, 1, 1, 0 };
    tee_registry_list_t   list;
    tee_registry_rules_t  rules;

    n = argc > 1 ? (uint32_t) strtoul(argv[1], NULL, 10) : 10000;

    abi = sample_answer(n, 11);
    body = sample_jsonrpc(abi);
    unit_free(abi);

    printf("%u TEEs, %.1f MB\n", n, (double) body.len / 1e6);

    rules = sample_rules();
    rules.max_tees = n;
    tee_registry_init(&list, &rules);

    start = bench_now();

    bench_check(tee_jsonrpc_bytes(body, 1, &unit_alloc, &abi, NULL));
    at = bench_step("JSON-RPC", start);

    bench_check(tee_registry_add_tees(&list, abi));
    at = bench_step("decode", at);

    bench_check(tee_registry_finish(&list, &snapshot));
    at = bench_step("finish", at);

    bench_step("total", start);

    printf("%.0f bytes a TEE, %.0f without the certificate\n",
           (double) snapshot->size / n,
           (double) snapshot->size / n - SAMPLE_CERT_LEN);

    at = bench_now();

    bench_check(tee_registry_save(snapshot, &meta, &unit_alloc, &text, &len));
    at = bench_step("save", at);

    tee_registry_free(&list);
    unit_alloc.free(unit_alloc.ctx, snapshot);

    state.len = len;
    state.data = text;

    bench_check(tee_registry_load_meta(state, &unit_alloc, &meta));
    at = bench_step("check", at);

    bench_check(tee_registry_add_json(&list, state, NULL, NULL, &index, &why));
    bench_check(tee_registry_finish(&list, &snapshot));
    bench_step("load", at);

    tee_registry_free(&list);
    unit_alloc.free(unit_alloc.ctx, snapshot);
    unit_alloc.free(unit_alloc.ctx, text);
    unit_alloc.free(unit_alloc.ctx, (void *) (uintptr_t) abi.data);
    unit_free(body);

    return 0;
}
