
/*
 * Copyright (C) The ngx_http_tee authors
 */


#ifndef TEE_REGISTRY_LIST_H_INCLUDED
#define TEE_REGISTRY_LIST_H_INCLUDED


#include <tee_registry.h>


/* What the readers of the several formats share. */


/* Where a list was before a reader touched it. */

typedef struct {
    uint32_t              n;
    uint32_t              nskipped;
    uint32_t              total;
} tee_registry_mark_t;


/*
 * Makes room for so many more slots.
 *
 * TEE_OK, TEE_LIMIT (more than max_tees slots), TEE_NOMEM; the list is as it
 * was then
 */

TEE_MUST_CHECK tee_rc_t tee_registry_reserve(tee_registry_list_t *list,
    size_t slots);

tee_registry_mark_t tee_registry_mark(const tee_registry_list_t *list);
void tee_registry_rollback(tee_registry_list_t *list,
    tee_registry_mark_t mark);

/*
 * Counts a slot, for which there is room, and adds its entry or the reason to
 * skip it.
 *
 * raw     filled but for what this function computes: the id, and what comes
 *         from endpoint and certificate; kem_id is 0 if there is no OHTTP part
 * reason  on input, TEE_SKIP_NONE or what the reader has found; on output, why
 *         the entry was skipped
 *
 * TEE_OK or TEE_NOMEM
 */

TEE_MUST_CHECK tee_rc_t tee_registry_add(tee_registry_list_t *list,
    tee_registry_entry_t *raw, tee_skip_t *reason);

/*
 * Checks that an OHTTP part can be used: a suite and a KEM that we know, the
 * length of the key, and a key_config that says the same.
 */

int tee_registry_ohttp_usable(const tee_registry_entry_t *e);


/* The ids of the list as a tree; list->seen. */

TEE_MUST_CHECK tee_rc_t tee_registry_seen_reserve(tee_registry_list_t *list,
    uint32_t n);

/* 1 if an entry of the list has this id. */

int tee_registry_seen_has(const tee_registry_list_t *list,
    const uint8_t id[32]);

/* Adds the id of entry list->n, which no entry before it has. */

void tee_registry_seen_add(tee_registry_list_t *list);

/* Makes the tree anew, for the entries there are. */

void tee_registry_seen_rebuild(tee_registry_list_t *list);

/* The indices of all entries by ascending id; "order" has room for list->n. */

void tee_registry_seen_order(const tee_registry_list_t *list, uint32_t *order);


#endif /* TEE_REGISTRY_LIST_H_INCLUDED */
