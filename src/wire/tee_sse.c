
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <string.h>

#include <tee_sse.h>
#include <tee_text.h>


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


size_t
tee_sse_data(tee_str_t event, uint8_t *to)
{
    size_t     i, len;
    tee_str_t  line, name;

    len = 0;

    while (event.len) {

        for (i = 0; i < event.len; i++) {
            if (event.data[i] == '\n' || event.data[i] == '\r') {
                break;
            }
        }

        line.len = i;
        line.data = event.data;

        /* the LF of a CR LF makes an empty line here, which does nothing */

        i += i < event.len;
        event.len -= i;
        event.data += i;

        name.len = 5;
        name.data = line.data;

        if (line.len < name.len || !tee_text_is(name, "data:")) {
            continue;
        }

        i = name.len + (line.len > 5 && line.data[5] == ' ');

        memmove(to + len, line.data + i, line.len - i);
        len += line.len - i;
        to[len++] = '\n';
    }

    return len;
}
