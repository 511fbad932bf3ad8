
/*
 * Copyright (C) The ngx_http_tee authors
 */


#ifndef TEE_ABI_H_INCLUDED
#define TEE_ABI_H_INCLUDED


#include <tee.h>


/*
 * Reads what a contract answers: the Solidity contract ABI, strictly.  An
 * encoding is a row of 32-byte words.  A "frame" is one head (of a tuple, or
 * the offsets of an array) together with all that its offsets may reach;
 * offsets count from the start of the frame, are multiples of 32, and lead
 * behind its head.  Bytes that nothing refers to are ignored.
 */

#define TEE_ABI_WORD  32


typedef struct {
    tee_str_t             data;                /* from the frame's start */
    size_t                head;                /* words, not 0 */
} tee_abi_t;


/*
 * The frame of the whole answer, with so many words of head.
 *
 * TEE_OK, or TEE_MALFORMED: empty, not a multiple of 32 bytes, or shorter
 * than its head
 */

TEE_MUST_CHECK tee_rc_t tee_abi_init(tee_abi_t *abi, tee_str_t data,
    size_t head);

/* The bytes of a word of the head; i is below "head". */

const uint8_t *tee_abi_word(const tee_abi_t *abi, size_t i);

/*
 * The value of a word: an unsigned number of so many bits (1, as for a bool,
 * to 63), or an address.
 *
 * TEE_OK, or TEE_LIMIT, with 0 or all zeros, if the word is over the range of
 * its type
 */

TEE_MUST_CHECK tee_rc_t tee_abi_uint(const tee_abi_t *abi, size_t i,
    unsigned bits, uint64_t *n);
TEE_MUST_CHECK tee_rc_t tee_abi_address(const tee_abi_t *abi, size_t i,
    uint8_t address[20]);

/* The tuple that word i leads to; TEE_OK or TEE_MALFORMED. */

TEE_MUST_CHECK tee_rc_t tee_abi_tuple(const tee_abi_t *abi, size_t i,
    size_t head, tee_abi_t *tuple);

/* The bytes or string that word i leads to; TEE_OK or TEE_MALFORMED.  Padding
 * must be there, and may be anything.  bytes->data is behind the length word,
 * even if there are none. */

TEE_MUST_CHECK tee_rc_t tee_abi_bytes(const tee_abi_t *abi, size_t i,
    tee_str_t *bytes);

/*
 * The dynamic array that word i leads to: a frame whose head has one word for
 * each element, an offset or a value.
 *
 * TEE_OK or TEE_MALFORMED; array->head is 0 for an array without elements
 */

TEE_MUST_CHECK tee_rc_t tee_abi_array(const tee_abi_t *abi, size_t i,
    tee_abi_t *array);


#endif /* TEE_ABI_H_INCLUDED */
