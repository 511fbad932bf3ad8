
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <string.h>

#include <tee_jsonrpc.h>
#include <tee_registry.h>

#include "fuzz.h"


static void
fuzz_free(tee_str_t s)
{
    FUZZ_CHECK((s.data == NULL) == (s.len == 0));
    free((void *) (uintptr_t) s.data);
}


static void
fuzz_error(tee_rc_t rc, const tee_jsonrpc_error_t *err)
{
    size_t  i;

    FUZZ_CHECK(rc == TEE_OK || rc == TEE_MALFORMED || rc == TEE_UNSUPPORTED);
    FUZZ_CHECK(memchr(err->message, '\0', sizeof(err->message)) != NULL);

    for (i = 0; err->message[i]; i++) {
        FUZZ_CHECK(err->message[i] >= 0x20 && err->message[i] <= 0x7e);
    }

    FUZZ_CHECK(rc == TEE_UNSUPPORTED || (i == 0 && err->code == 0));
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t              id[32];
    uint64_t             n;
    tee_rc_t             rc, text_rc;
    tee_str_t            body = { size, data }, none = { 0, NULL };
    tee_str_t            text, bytes;
    tee_jsonrpc_block_t  block;
    tee_jsonrpc_error_t  err;

    text_rc = tee_jsonrpc_text(body, 1, &fuzz_alloc, &text, &err);
    fuzz_error(text_rc, &err);

    rc = tee_jsonrpc_bytes(body, 1, &fuzz_alloc, &bytes, &err);
    fuzz_error(rc, &err);

    FUZZ_CHECK(rc != TEE_OK || (text_rc == TEE_OK
                                && text.len == bytes.len * 2 + 2));
    fuzz_free(text);
    fuzz_free(bytes);

    rc = tee_jsonrpc_quantity(body, 1, &fuzz_alloc, &n, &err);
    fuzz_error(rc, &err);
    FUZZ_CHECK(rc == TEE_OK ? text_rc == TEE_OK : n == 0);

    rc = tee_jsonrpc_read_block(body, 1, &fuzz_alloc, &block, &err);
    fuzz_error(rc, &err);
    FUZZ_CHECK(rc == TEE_OK || (block.number == 0 && block.timestamp == 0));

    /* no signing key is empty */

    rc = tee_registry_ohttp_config(body, none, &fuzz_alloc, id);
    FUZZ_CHECK(rc != TEE_OK);

    return 0;
}
