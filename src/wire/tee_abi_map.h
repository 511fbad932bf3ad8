
/*
 * Copyright (C) The ngx_http_tee authors
 */


#ifndef TEE_ABI_MAP_H_INCLUDED
#define TEE_ABI_MAP_H_INCLUDED


#include <tee.h>
#include <tee_abi.h>


/*
 * Which words of an answer are heads.  Every offset may be right in its own
 * frame, and still make one word mean two things: a head that begins inside of
 * another one, or a string that runs through a head.  No compiler does that.
 * What is allowed is that two offsets lead to the very same place.
 *
 * All heads are added, then the map is sealed, then tails are asked about.
 */

typedef struct {
    tee_str_t             data;

    /* the rest is private */
    const tee_alloc_t    *alloc;
    uint64_t             *heads;               /* one bit for each word */
    uint64_t             *starts;              /* first words of heads */
    uint32_t             *ranks;               /* heads before each group */
    size_t                words;
} tee_abi_map_t;


/*
 * "data" is the whole answer, of at least one word.
 *
 * TEE_OK, TEE_LIMIT (4 G words), TEE_NOMEM; free only after TEE_OK
 */

TEE_MUST_CHECK tee_rc_t tee_abi_map_init(tee_abi_map_t *map, tee_str_t data,
    const tee_alloc_t *alloc);
void tee_abi_map_free(tee_abi_map_t *map);

/* Adds so many words at a word inside of data; TEE_OK or TEE_MALFORMED. */

TEE_MUST_CHECK tee_rc_t tee_abi_map_add(tee_abi_map_t *map,
    const uint8_t *head, size_t words);

void tee_abi_map_seal(tee_abi_map_t *map);

/* Asks about what tee_abi_bytes() has answered, with the length word before
 * it: TEE_OK, or TEE_MALFORMED if there is a head. */

TEE_MUST_CHECK tee_rc_t tee_abi_map_tail(const tee_abi_map_t *map,
    tee_str_t bytes);


#endif /* TEE_ABI_MAP_H_INCLUDED */
