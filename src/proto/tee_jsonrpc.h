
/*
 * Copyright (C) The ngx_http_tee authors
 */


#ifndef TEE_JSONRPC_H_INCLUDED
#define TEE_JSONRPC_H_INCLUDED


#include <tee.h>


/* Calls of an Ethereum node, JSON-RPC 2.0. */

#define TEE_JSONRPC_BLOCK_LATEST  UINT64_MAX

/* Room that every request below fits into. */
#define TEE_JSONRPC_REQUEST_LEN   512


typedef enum {
    TEE_CALL_ACTIVE_TEES,      /* getActiveTEEs(uint8)   arg: [type]     */
    TEE_CALL_TEES_BY_TYPE,     /* getTEEsByType(uint8)                   */
    TEE_CALL_ENABLED_TEES,     /* getEnabledTEEs(uint8)                  */
    TEE_CALL_GET_TEE,          /* getTEE(bytes32)        arg: 32 bytes   */
    TEE_CALL_IS_ACTIVE         /* isTEEActive(bytes32)                   */
} tee_call_t;


/* What a node's error object says, cleaned for a log line. */

typedef struct {
    int64_t               code;
    char                  message[128];        /* NUL-terminated, printable */
} tee_jsonrpc_error_t;


/* Each writes a request body into "buf", TEE_JSONRPC_REQUEST_LEN bytes, and
 * answers its length. */

size_t tee_jsonrpc_chain_id(uint8_t *buf, uint32_t id);
size_t tee_jsonrpc_block(uint8_t *buf, uint32_t id, uint64_t number);
size_t tee_jsonrpc_call(uint8_t *buf, uint32_t id, uint64_t block,
    const uint8_t contract[20], tee_call_t call, const uint8_t *arg);

/*
 * Reads an answer whose result is a text.
 *
 * body    one JSON object with this id, a text "result" and no "error"
 * result  from the allocator, the caller frees result->data
 * err     may be NULL; filled on TEE_UNSUPPORTED
 *
 * TEE_OK, TEE_MALFORMED, TEE_UNSUPPORTED (the node answered an error object),
 * TEE_NOMEM
 */

TEE_MUST_CHECK tee_rc_t tee_jsonrpc_text(tee_str_t body, uint32_t id,
    const tee_alloc_t *alloc, tee_str_t *result, tee_jsonrpc_error_t *err);

/* As above, the text being 0x and an even number of hexadecimal digits; the
 * result is the bytes. */

TEE_MUST_CHECK tee_rc_t tee_jsonrpc_bytes(tee_str_t body, uint32_t id,
    const tee_alloc_t *alloc, tee_str_t *result, tee_jsonrpc_error_t *err);

/* As above, the text being a QUANTITY (0x, no leading zero) below 2^64. */

TEE_MUST_CHECK tee_rc_t tee_jsonrpc_quantity(tee_str_t body, uint32_t id,
    const tee_alloc_t *alloc, uint64_t *value, tee_jsonrpc_error_t *err);

/* Reads the answer of eth_getBlockByNumber: number, timestamp and hash. */

typedef struct {
    uint64_t              number;
    uint64_t              timestamp;
    uint8_t               hash[32];
} tee_jsonrpc_block_t;

TEE_MUST_CHECK tee_rc_t tee_jsonrpc_read_block(tee_str_t body, uint32_t id,
    const tee_alloc_t *alloc, tee_jsonrpc_block_t *block,
    tee_jsonrpc_error_t *err);


#endif /* TEE_JSONRPC_H_INCLUDED */
