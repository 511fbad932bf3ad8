
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <string.h>

#include <tee_abi.h>
#include <tee_text.h>


static tee_rc_t tee_abi_size(const uint8_t *word, size_t *n);
static tee_rc_t tee_abi_tail(const tee_abi_t *abi, size_t i, tee_str_t *tail);


tee_rc_t
tee_abi_init(tee_abi_t *abi, tee_str_t data, size_t head)
{
    abi->data = data;
    abi->head = head;

    if (data.len == 0
        || data.len % TEE_ABI_WORD != 0
        || data.len / TEE_ABI_WORD < head)
    {
        abi->data.len = 0;
        abi->data.data = NULL;
        abi->head = 0;

        return TEE_MALFORMED;
    }

    return TEE_OK;
}


const uint8_t *
tee_abi_word(const tee_abi_t *abi, size_t i)
{
    return abi->data.data + i * TEE_ABI_WORD;
}


tee_rc_t
tee_abi_uint(const tee_abi_t *abi, size_t i, unsigned bits, uint64_t *n)
{
    uint64_t  v;

    *n = 0;

    v = tee_u256_saturate(tee_abi_word(abi, i));

    if (v >> bits != 0) {
        return TEE_LIMIT;
    }

    *n = v;

    return TEE_OK;
}


tee_rc_t
tee_abi_address(const tee_abi_t *abi, size_t i, uint8_t address[20])
{
    const uint8_t  *word;

    static const uint8_t  zeros[12];

    word = tee_abi_word(abi, i);

    if (memcmp(word, zeros, 12) != 0) {
        memset(address, 0, 20);
        return TEE_LIMIT;
    }

    memcpy(address, word + 12, 20);

    return TEE_OK;
}


tee_rc_t
tee_abi_tuple(const tee_abi_t *abi, size_t i, size_t head, tee_abi_t *tuple)
{
    tee_str_t  tail;

    if (tee_abi_tail(abi, i, &tail) != TEE_OK) {
        tail.len = 0;
    }

    return tee_abi_init(tuple, tail, head);
}


tee_rc_t
tee_abi_bytes(const tee_abi_t *abi, size_t i, tee_str_t *bytes)
{
    size_t     len;
    tee_str_t  tail;

    bytes->len = 0;
    bytes->data = NULL;

    if (tee_abi_tail(abi, i, &tail) != TEE_OK
        || tee_abi_size(tail.data, &len) != TEE_OK
        || len > tail.len - TEE_ABI_WORD)
    {
        return TEE_MALFORMED;
    }

    bytes->len = len;
    bytes->data = tail.data + TEE_ABI_WORD;

    return TEE_OK;
}


tee_rc_t
tee_abi_array(const tee_abi_t *abi, size_t i, tee_abi_t *array)
{
    size_t     n;
    tee_str_t  tail;

    memset(array, 0, sizeof(tee_abi_t));

    if (tee_abi_tail(abi, i, &tail) != TEE_OK
        || tee_abi_size(tail.data, &n) != TEE_OK)
    {
        return TEE_MALFORMED;
    }

    tail.len -= TEE_ABI_WORD;

    if (n > tail.len / TEE_ABI_WORD) {
        return TEE_MALFORMED;
    }

    if (n) {
        array->data.len = tail.len;
        array->data.data = tail.data + TEE_ABI_WORD;
        array->head = n;
    }

    return TEE_OK;
}


/* All that follows the place word i leads to; at least one word. */

static tee_rc_t
tee_abi_tail(const tee_abi_t *abi, size_t i, tee_str_t *tail)
{
    size_t  off;

    if (tee_abi_size(tee_abi_word(abi, i), &off) != TEE_OK
        || off % TEE_ABI_WORD != 0
        || off / TEE_ABI_WORD < abi->head
        || off >= abi->data.len)
    {
        return TEE_MALFORMED;
    }

    tail->len = abi->data.len - off;
    tail->data = abi->data.data + off;

    return TEE_OK;
}


/* A word as an offset or a length, if one could be so large at all. */

static tee_rc_t
tee_abi_size(const uint8_t *word, size_t *n)
{
    uint64_t  v;

    v = tee_u256_saturate(word);

    if (v > SIZE_MAX / 2) {
        return TEE_MALFORMED;
    }

    *n = (size_t) v;

    return TEE_OK;
}
