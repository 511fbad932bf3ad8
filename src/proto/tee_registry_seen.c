
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <string.h>

#include <tee_registry_list.h>


/*
 * A binary tree in which each node tests one bit of the id, from the first to
 * the last.  Whoever registers TEEs can choose ids to some extent, and would
 * slow a hash table or quicksort down; the depth here is bounded by the length
 * of the common prefix, and every bit of that doubles the attacker's work.
 *
 * The tree for n entries has n - 1 nodes.
 */

#define TEE_SEEN_LEAF  0x80000000U             /* the rest is an entry */
#define TEE_SEEN_MAX   0x01ffffffU             /* in 32 bits of size_t */


typedef struct {
    uint32_t              child[2];
    uint16_t              bit;
} tee_seen_node_t;


static const uint8_t *tee_seen_nearest(const tee_registry_list_t *list,
    const uint8_t id[32]);
static unsigned tee_seen_bit(const uint8_t id[32], unsigned bit);


tee_rc_t
tee_registry_seen_reserve(tee_registry_list_t *list, uint32_t n)
{
    void               *p;
    const tee_alloc_t  *alloc;

    if (n <= list->seen_room) {
        return TEE_OK;
    }

    if (n > TEE_SEEN_MAX) {
        return TEE_NOMEM;
    }

    alloc = list->rules.alloc;

    p = alloc->alloc(alloc->ctx, n * sizeof(tee_seen_node_t));
    if (p == NULL) {
        return TEE_NOMEM;
    }

    if (list->seen) {
        memcpy(p, list->seen, list->seen_room * sizeof(tee_seen_node_t));
        alloc->free(alloc->ctx, list->seen);
    }

    list->seen = p;
    list->seen_room = n;

    return TEE_OK;
}


int
tee_registry_seen_has(const tee_registry_list_t *list, const uint8_t id[32])
{
    return list->n != 0
           && memcmp(id, tee_seen_nearest(list, id), 32) == 0;
}


void
tee_registry_seen_add(tee_registry_list_t *list)
{
    unsigned          bit;
    uint32_t          i, *at;
    const uint8_t    *id, *near;
    tee_seen_node_t  *nodes, *node;

    i = list->n;

    if (i == 0) {
        list->root = TEE_SEEN_LEAF;
        return;
    }

    nodes = list->seen;
    id = list->entries[i].tee_id;
    near = tee_seen_nearest(list, id);

    bit = 0;

    while (tee_seen_bit(id, bit) == tee_seen_bit(near, bit)) {
        bit++;
    }

    at = &list->root;

    while (!(*at & TEE_SEEN_LEAF) && nodes[*at].bit < bit) {
        node = &nodes[*at];
        at = &node->child[tee_seen_bit(id, node->bit)];
    }

    node = &nodes[i - 1];
    node->bit = (uint16_t) bit;
    node->child[tee_seen_bit(id, bit)] = TEE_SEEN_LEAF | i;
    node->child[!tee_seen_bit(id, bit)] = *at;

    *at = i - 1;
}


/* The id that shares the longest prefix with this one, or is it. */

static const uint8_t *
tee_seen_nearest(const tee_registry_list_t *list, const uint8_t id[32])
{
    uint32_t                at;
    const tee_seen_node_t  *nodes;

    nodes = list->seen;
    at = list->root;

    while (!(at & TEE_SEEN_LEAF)) {
        at = nodes[at].child[tee_seen_bit(id, nodes[at].bit)];
    }

    return list->entries[at & ~TEE_SEEN_LEAF].tee_id;
}


void
tee_registry_seen_rebuild(tee_registry_list_t *list)
{
    uint32_t  n;

    n = list->n;

    for (list->n = 0; list->n < n; list->n++) {
        tee_registry_seen_add(list);
    }
}


void
tee_registry_seen_order(const tee_registry_list_t *list, uint32_t *order)
{
    uint32_t                at, depth, n;
    uint32_t                stack[257];
    const tee_seen_node_t  *nodes;

    if (list->n == 0) {
        return;
    }

    nodes = list->seen;
    stack[0] = list->root;
    depth = 1;
    n = 0;

    /* each bit is tested once on a path, so that 256 nodes are the most */

    while (depth) {
        at = stack[--depth];

        if (at & TEE_SEEN_LEAF) {
            order[n++] = at & ~TEE_SEEN_LEAF;
            continue;
        }

        stack[depth++] = nodes[at].child[1];
        stack[depth++] = nodes[at].child[0];
    }
}


static unsigned
tee_seen_bit(const uint8_t id[32], unsigned bit)
{
    return id[bit / 8] >> (7 - bit % 8) & 1U;
}
