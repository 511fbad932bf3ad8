
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <string.h>

#include <tee_snapshot.h>


const tee_snapshot_entry_t *
tee_snapshot_find(const tee_snapshot_t *s, const uint8_t tee_id[32])
{
    uint32_t  i;

    i = tee_snapshot_lower(s, tee_id);

    if (i == s->n || memcmp(s->entries[i].tee_id, tee_id, 32) != 0) {
        return NULL;
    }

    return &s->entries[i];
}


uint32_t
tee_snapshot_lower(const tee_snapshot_t *s, const uint8_t tee_id[32])
{
    uint32_t  low, high, i;

    low = 0;
    high = s->n;

    while (low < high) {
        i = low + (high - low) / 2;

        /* ids are public */

        if (memcmp(s->entries[i].tee_id, tee_id, 32) < 0) {
            low = i + 1;

        } else {
            high = i;
        }
    }

    return low;
}


tee_str_t
tee_snapshot_str(const tee_snapshot_t *s, tee_span_t span)
{
    tee_str_t  str;

    str.len = span.len;
    str.data = span.len ? (const uint8_t *) s + span.off : NULL;

    return str;
}
