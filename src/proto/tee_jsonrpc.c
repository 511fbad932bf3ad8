
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <string.h>

#include <tee_json.h>
#include <tee_jsonrpc.h>
#include <tee_text.h>
#include <tee_write.h>


/* A block names its transactions, one value each. */
#define TEE_JSONRPC_NODES  65536


static void tee_jsonrpc_begin(tee_write_t *w, uint32_t id, const char *method);
static size_t tee_jsonrpc_end(tee_write_t *w);
static void tee_jsonrpc_number(tee_write_t *w, uint64_t block);
static tee_rc_t tee_jsonrpc_open(tee_str_t body, uint32_t id,
    const tee_alloc_t *alloc, tee_json_doc_t *doc, const tee_json_t **result,
    tee_jsonrpc_error_t *err);
static tee_rc_t tee_jsonrpc_check(const tee_json_t *root, uint32_t id,
    const tee_json_t **result, tee_jsonrpc_error_t *err);
static void tee_jsonrpc_error(const tee_json_t *error,
    tee_jsonrpc_error_t *err);
static tee_rc_t tee_jsonrpc_hex(tee_str_t text, tee_str_t *digits);
static tee_rc_t tee_jsonrpc_uint(tee_str_t text, uint64_t *value);
static tee_rc_t tee_jsonrpc_fields(const tee_json_t *result,
    tee_jsonrpc_block_t *block);


/* keccak256 of the signature; what follows is one word */

static const uint8_t  tee_jsonrpc_selectors[][4] = {
    { 0x4b, 0x60, 0x14, 0xda },            /* getActiveTEEs(uint8) */
    { 0xb8, 0x26, 0x44, 0xb7 },            /* getTEEsByType(uint8) */
    { 0x63, 0xb8, 0x6b, 0x89 },            /* getEnabledTEEs(uint8) */
    { 0x41, 0x8b, 0x20, 0x7d },            /* getTEE(bytes32) */
    { 0xa3, 0xbf, 0x31, 0xf1 }             /* isTEEActive(bytes32) */
};


size_t
tee_jsonrpc_chain_id(uint8_t *buf, uint32_t id)
{
    tee_write_t  w;

    tee_write_fixed(&w, buf, TEE_JSONRPC_REQUEST_LEN);

    tee_jsonrpc_begin(&w, id, "eth_chainId");

    return tee_jsonrpc_end(&w);
}


size_t
tee_jsonrpc_block(uint8_t *buf, uint32_t id, uint64_t number)
{
    tee_write_t  w;

    tee_write_fixed(&w, buf, TEE_JSONRPC_REQUEST_LEN);

    tee_jsonrpc_begin(&w, id, "eth_getBlockByNumber");
    tee_jsonrpc_number(&w, number);
    tee_write_text(&w, ",false");

    return tee_jsonrpc_end(&w);
}


size_t
tee_jsonrpc_call(uint8_t *buf, uint32_t id, uint64_t block,
    const uint8_t contract[20], tee_call_t call, const uint8_t *arg)
{
    uint8_t      word[32];
    tee_write_t  w;

    if (call == TEE_CALL_GET_TEE || call == TEE_CALL_IS_ACTIVE) {
        memcpy(word, arg, 32);

    } else {
        memset(word, 0, 31);
        word[31] = arg[0];
    }

    tee_write_fixed(&w, buf, TEE_JSONRPC_REQUEST_LEN);

    tee_jsonrpc_begin(&w, id, "eth_call");
    tee_write_text(&w, "{\"to\":\"0x");
    tee_write_hex(&w, contract, 20);
    tee_write_text(&w, "\",\"data\":\"0x");
    tee_write_hex(&w, tee_jsonrpc_selectors[call], 4);
    tee_write_hex(&w, word, 32);
    tee_write_text(&w, "\"},");
    tee_jsonrpc_number(&w, block);

    return tee_jsonrpc_end(&w);
}


static void
tee_jsonrpc_begin(tee_write_t *w, uint32_t id, const char *method)
{
    tee_write_text(w, "{\"jsonrpc\":\"2.0\",\"id\":");
    tee_write_decimal(w, id);
    tee_write_text(w, ",\"method\":\"");
    tee_write_text(w, method);
    tee_write_text(w, "\",\"params\":[");
}


static size_t
tee_jsonrpc_end(tee_write_t *w)
{
    tee_write_text(w, "]}");

    return w->len;
}


static void
tee_jsonrpc_number(tee_write_t *w, uint64_t block)
{
    if (block == TEE_JSONRPC_BLOCK_LATEST) {
        tee_write_text(w, "\"latest\"");
        return;
    }

    tee_write_text(w, "\"0x");
    tee_write_hex_number(w, block);
    tee_write_text(w, "\"");
}


tee_rc_t
tee_jsonrpc_text(tee_str_t body, uint32_t id, const tee_alloc_t *alloc,
    tee_str_t *result, tee_jsonrpc_error_t *err)
{
    uint8_t           *p;
    tee_rc_t           rc;
    tee_json_doc_t     doc;
    const tee_json_t  *v;

    result->len = 0;
    result->data = NULL;

    rc = tee_jsonrpc_open(body, id, alloc, &doc, &v, err);

    if (rc != TEE_OK) {
        return rc;
    }

    if (v->type != TEE_JSON_STRING) {
        rc = TEE_MALFORMED;
        goto done;
    }

    if (v->text.len == 0) {
        goto done;
    }

    p = alloc->alloc(alloc->ctx, v->text.len);
    if (p == NULL) {
        rc = TEE_NOMEM;
        goto done;
    }

    memcpy(p, v->text.data, v->text.len);

    result->len = v->text.len;
    result->data = p;

done:

    tee_json_free(&doc);

    return rc;
}


tee_rc_t
tee_jsonrpc_bytes(tee_str_t body, uint32_t id, const tee_alloc_t *alloc,
    tee_str_t *result, tee_jsonrpc_error_t *err)
{
    uint8_t           *p;
    tee_rc_t           rc;
    tee_str_t          digits;
    tee_json_doc_t     doc;
    const tee_json_t  *v;

    result->len = 0;
    result->data = NULL;

    rc = tee_jsonrpc_open(body, id, alloc, &doc, &v, err);

    if (rc != TEE_OK) {
        return rc;
    }

    if (v->type != TEE_JSON_STRING
        || tee_jsonrpc_hex(v->text, &digits) != TEE_OK
        || digits.len % 2 != 0)
    {
        rc = TEE_MALFORMED;
        goto done;
    }

    if (digits.len == 0) {
        goto done;
    }

    p = alloc->alloc(alloc->ctx, digits.len / 2);
    if (p == NULL) {
        rc = TEE_NOMEM;
        goto done;
    }

    rc = tee_hex_decode(digits, p);

    if (rc != TEE_OK) {
        alloc->free(alloc->ctx, p);
        goto done;
    }

    result->len = digits.len / 2;
    result->data = p;

done:

    tee_json_free(&doc);

    return rc;
}


tee_rc_t
tee_jsonrpc_quantity(tee_str_t body, uint32_t id, const tee_alloc_t *alloc,
    uint64_t *value, tee_jsonrpc_error_t *err)
{
    tee_rc_t           rc;
    tee_json_doc_t     doc;
    const tee_json_t  *v;

    *value = 0;

    rc = tee_jsonrpc_open(body, id, alloc, &doc, &v, err);

    if (rc != TEE_OK) {
        return rc;
    }

    rc = v->type == TEE_JSON_STRING ? tee_jsonrpc_uint(v->text, value)
                                    : TEE_MALFORMED;

    tee_json_free(&doc);

    return rc;
}


tee_rc_t
tee_jsonrpc_read_block(tee_str_t body, uint32_t id, const tee_alloc_t *alloc,
    tee_jsonrpc_block_t *block, tee_jsonrpc_error_t *err)
{
    tee_rc_t           rc;
    tee_json_doc_t     doc;
    const tee_json_t  *v;

    memset(block, 0, sizeof(tee_jsonrpc_block_t));

    rc = tee_jsonrpc_open(body, id, alloc, &doc, &v, err);

    if (rc != TEE_OK) {
        return rc;
    }

    rc = tee_jsonrpc_fields(v, block);

    if (rc != TEE_OK) {
        memset(block, 0, sizeof(tee_jsonrpc_block_t));
    }

    tee_json_free(&doc);

    return rc;
}


static tee_rc_t
tee_jsonrpc_fields(const tee_json_t *result, tee_jsonrpc_block_t *block)
{
    tee_str_t  number, timestamp, hash, digits;

    if (tee_json_get_text(result, "number", &number) != TEE_OK
        || tee_json_get_text(result, "timestamp", &timestamp) != TEE_OK
        || tee_json_get_text(result, "hash", &hash) != TEE_OK
        || tee_jsonrpc_uint(number, &block->number) != TEE_OK
        || tee_jsonrpc_uint(timestamp, &block->timestamp) != TEE_OK
        || tee_jsonrpc_hex(hash, &digits) != TEE_OK
        || tee_hex_fixed(hash, block->hash, 32) != TEE_OK)
    {
        return TEE_MALFORMED;
    }

    return TEE_OK;
}


/* On TEE_OK the caller frees the document. */

static tee_rc_t
tee_jsonrpc_open(tee_str_t body, uint32_t id, const tee_alloc_t *alloc,
    tee_json_doc_t *doc, const tee_json_t **result, tee_jsonrpc_error_t *err)
{
    tee_rc_t  rc;

    *result = NULL;

    if (err) {
        memset(err, 0, sizeof(tee_jsonrpc_error_t));
    }

    rc = tee_json_parse(body, TEE_JSONRPC_NODES, alloc, doc);

    if (rc != TEE_OK) {
        return rc == TEE_NOMEM ? rc : TEE_MALFORMED;
    }

    rc = tee_jsonrpc_check(doc->root, id, result, err);

    if (rc != TEE_OK) {
        tee_json_free(doc);
    }

    return rc;
}


/* JSON-RPC 2.0, 5; a version that is missing is forgiven. */

static tee_rc_t
tee_jsonrpc_check(const tee_json_t *root, uint32_t id,
    const tee_json_t **result, tee_jsonrpc_error_t *err)
{
    uint64_t           n;
    tee_rc_t           rc;
    const tee_json_t  *version, *error, *v;

    rc = tee_json_get(root, "jsonrpc", &version);

    if (rc == TEE_MALFORMED) {
        return TEE_MALFORMED;
    }

    if (version && (version->type != TEE_JSON_STRING
                    || !tee_text_is(version->text, "2.0")))
    {
        return TEE_MALFORMED;
    }

    rc = tee_json_get(root, "error", &error);

    if (rc == TEE_MALFORMED) {
        return TEE_MALFORMED;
    }

    /* a node that could not read the request does not know its id */

    if (tee_json_get_uint(root, "id", UINT32_MAX, &n) != TEE_OK || n != id) {

        if (error == NULL || tee_json_get(root, "id", &v) != TEE_OK
            || v->type != TEE_JSON_NULL)
        {
            return TEE_MALFORMED;
        }
    }

    if (error) {

        if (error->type != TEE_JSON_OBJECT) {
            return TEE_MALFORMED;
        }

        tee_jsonrpc_error(error, err);

        return TEE_UNSUPPORTED;
    }

    return tee_json_get(root, "result", result) == TEE_OK ? TEE_OK
                                                          : TEE_MALFORMED;
}


static void
tee_jsonrpc_error(const tee_json_t *error, tee_jsonrpc_error_t *err)
{
    size_t             i;
    uint64_t           n;
    unsigned           minus;
    tee_str_t          text;
    const tee_json_t  *code;

    if (err == NULL) {
        return;
    }

    if (tee_json_get_type(error, "code", TEE_JSON_NUMBER, &code) == TEE_OK) {

        text = code->text;
        minus = text.len && text.data[0] == '-';
        text.len -= minus;
        text.data += minus;

        if (tee_decimal(text, INT64_MAX, &n) == TEE_OK) {
            err->code = minus ? -(int64_t) n : (int64_t) n;
        }
    }

    if (tee_json_get_text(error, "message", &text) != TEE_OK) {
        return;
    }

    for (i = 0; i < text.len && i < sizeof(err->message) - 1; i++) {
        err->message[i] = text.data[i] >= 0x20 && text.data[i] <= 0x7e
                          ? (char) text.data[i] : '?';
    }
}


/* Takes 0x off. */

static tee_rc_t
tee_jsonrpc_hex(tee_str_t text, tee_str_t *digits)
{
    digits->len = 0;
    digits->data = NULL;

    if (text.len < 2 || text.data[0] != '0' || text.data[1] != 'x') {
        return TEE_MALFORMED;
    }

    digits->len = text.len - 2;
    digits->data = text.data + 2;

    return TEE_OK;
}


/* A QUANTITY of the Ethereum JSON-RPC specification. */

static tee_rc_t
tee_jsonrpc_uint(tee_str_t text, uint64_t *value)
{
    size_t     i;
    uint8_t    padded[16], bytes[8];
    tee_str_t  digits, number = { sizeof(padded), padded };

    *value = 0;

    if (tee_jsonrpc_hex(text, &digits) != TEE_OK
        || digits.len == 0
        || digits.len > sizeof(padded)
        || (digits.len > 1 && digits.data[0] == '0'))
    {
        return TEE_MALFORMED;
    }

    memset(padded, '0', sizeof(padded));
    memcpy(padded + sizeof(padded) - digits.len, digits.data, digits.len);

    if (tee_hex_decode(number, bytes) != TEE_OK) {
        return TEE_MALFORMED;
    }

    for (i = 0; i < 8; i++) {
        *value = *value << 8 | bytes[i];
    }

    return TEE_OK;
}
