
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <string.h>

#include <tee_abi_map.h>


#define TEE_ABI_GROUP  64


static uint32_t tee_abi_map_rank(const tee_abi_map_t *map, size_t i);
static unsigned tee_abi_map_bit(const uint64_t *bits, size_t i);
static void tee_abi_map_set(uint64_t *bits, size_t i);
static uint32_t tee_abi_map_count(uint64_t bits);


tee_rc_t
tee_abi_map_init(tee_abi_map_t *map, tee_str_t data, const tee_alloc_t *alloc)
{
    size_t    groups, size;
    uint8_t  *p;

    memset(map, 0, sizeof(tee_abi_map_t));

    map->data = data;
    map->alloc = alloc;
    map->words = data.len / TEE_ABI_WORD;

    if (map->words > UINT32_MAX) {
        return TEE_LIMIT;
    }

    groups = map->words / TEE_ABI_GROUP + 1;
    size = groups * (2 * sizeof(uint64_t) + sizeof(uint32_t));

    p = alloc->alloc(alloc->ctx, size);
    if (p == NULL) {
        return TEE_NOMEM;
    }

    memset(p, 0, size);

    map->heads = (void *) p;
    map->starts = map->heads + groups;
    map->ranks = (void *) (map->starts + groups);

    return TEE_OK;
}


void
tee_abi_map_free(tee_abi_map_t *map)
{
    map->alloc->free(map->alloc->ctx, map->heads);
    map->heads = NULL;
}


tee_rc_t
tee_abi_map_add(tee_abi_map_t *map, const uint8_t *head, size_t words)
{
    size_t    i, start;
    unsigned  again;

    start = (size_t) (head - map->data.data) / TEE_ABI_WORD;
    again = tee_abi_map_bit(map->starts, start);

    for (i = start; i < start + words; i++) {

        if (tee_abi_map_bit(map->heads, i) != again
            || (i > start && tee_abi_map_bit(map->starts, i)))
        {
            return TEE_MALFORMED;
        }
    }

    if (again) {
        /* the same place as before, but it must not be a shorter head */

        return i < map->words && tee_abi_map_bit(map->heads, i)
                              && !tee_abi_map_bit(map->starts, i)
               ? TEE_MALFORMED : TEE_OK;
    }

    for (i = start; i < start + words; i++) {
        tee_abi_map_set(map->heads, i);
    }

    tee_abi_map_set(map->starts, start);

    return TEE_OK;
}


void
tee_abi_map_seal(tee_abi_map_t *map)
{
    size_t    i;
    uint32_t  n;

    n = 0;

    for (i = 0; i <= map->words / TEE_ABI_GROUP; i++) {
        map->ranks[i] = n;
        n += tee_abi_map_count(map->heads[i]);
    }
}


tee_rc_t
tee_abi_map_tail(const tee_abi_map_t *map, tee_str_t bytes)
{
    size_t  first, end;

    first = (size_t) (bytes.data - map->data.data) / TEE_ABI_WORD - 1;
    end = first + 1 + (bytes.len + TEE_ABI_WORD - 1) / TEE_ABI_WORD;

    return tee_abi_map_rank(map, first) == tee_abi_map_rank(map, end)
           ? TEE_OK : TEE_MALFORMED;
}


/* How many words before this one are in heads. */

static uint32_t
tee_abi_map_rank(const tee_abi_map_t *map, size_t i)
{
    uint64_t  bits;

    bits = map->heads[i / TEE_ABI_GROUP];
    bits &= ((uint64_t) 1 << i % TEE_ABI_GROUP) - 1;

    return map->ranks[i / TEE_ABI_GROUP] + tee_abi_map_count(bits);
}


static unsigned
tee_abi_map_bit(const uint64_t *bits, size_t i)
{
    return (unsigned) (bits[i / TEE_ABI_GROUP] >> i % TEE_ABI_GROUP & 1);
}


static void
tee_abi_map_set(uint64_t *bits, size_t i)
{
    bits[i / TEE_ABI_GROUP] |= (uint64_t) 1 << i % TEE_ABI_GROUP;
}


static uint32_t
tee_abi_map_count(uint64_t bits)
{
    uint32_t  n;

    for (n = 0; bits; n++) {
        bits &= bits - 1;
    }

    return n;
}
