
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <tee_h1_state.h>
#include <tee_text.h>


/* What must not be kept, or asked about each time, is old at once. */

void
tee_h1_cache(tee_h1_t *h, tee_str_t value)
{
    size_t     i;
    tee_str_t  item, arg;

    while (value.len) {

        for (i = 0; i < value.len && value.data[i] != ','; i++) {
            /* void */
        }

        item.data = value.data;
        item.len = i;

        i += i < value.len;
        value.data += i;
        value.len -= i;

        while (item.len && (item.data[0] == ' ' || item.data[0] == '\t')) {
            item.data++;
            item.len--;
        }

        while (item.len && (item.data[item.len - 1] == ' '
                            || item.data[item.len - 1] == '\t'))
        {
            item.len--;
        }

        arg = item;

        if (item.len >= sizeof("max-age=") - 1) {
            arg.data = item.data + sizeof("max-age=") - 1;
            arg.len = item.len - (sizeof("max-age=") - 1);
            item.len = sizeof("max-age=") - 1;
        }

        if (tee_text_is_nocase(item, "max-age=")) {

            if (!h->has_max_age) {
                h->has_max_age = 1;
                h->max_age = tee_h1_seconds(arg);
            }

        } else if (tee_text_is_nocase(item, "no-store")
                   || tee_text_is_nocase(item, "no-cache"))
        {
            h->has_max_age = 1;
            h->max_age = 0;
        }
    }
}


/* RFC 9111, 1.2.2; what is none is 0. */

uint32_t
tee_h1_seconds(tee_str_t value)
{
    size_t    i;
    uint64_t  n;

    for (i = 0, n = 0; i < value.len; i++) {

        if (value.data[i] < '0' || value.data[i] > '9') {
            return 0;
        }

        n = n * 10 + (uint64_t) (value.data[i] - '0');

        if (n > UINT32_MAX) {
            n = UINT32_MAX;
        }
    }

    return (uint32_t) n;
}
