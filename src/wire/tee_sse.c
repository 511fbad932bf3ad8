
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <tee_sse.h>


void
tee_sse_init(tee_sse_t *s)
{
    s->blank = 1;
    s->cr = 0;
    s->any = 0;
}


size_t
tee_sse_scan(tee_sse_t *s, tee_str_t in, int *end)
{
    size_t   i;
    uint8_t  ch;

    *end = 0;

    for (i = 0; i < in.len; i++) {
        ch = in.data[i];

        if (ch == '\n' && s->cr) {

            /* of the line that has ended already */

            s->cr = 0;
            continue;
        }

        s->cr = ch == '\r';

        if (ch != '\r' && ch != '\n') {
            s->blank = 0;
            s->any = 1;
            continue;
        }

        /* blank lines before the first other one end nothing */

        if (s->blank && s->any) {
            s->any = 0;
            *end = 1;
            return i + 1;
        }

        s->blank = 1;
    }

    return in.len;
}
