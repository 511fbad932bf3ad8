
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <string.h>

#include <tee_sse.h>
#include <tee_text.h>


static int tee_sse_ends(tee_str_t line);


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
    size_t     len;
    tee_str_t  line, all, data;

    len = 0;

    while (event.len) {
        line = tee_sse_line(&event, &all);

        if (tee_sse_is_data(line, &data)) {
            memmove(to + len, data.data, data.len);
            len += data.len;
            to[len++] = '\n';
        }
    }

    return len;
}


tee_str_t
tee_sse_line(tee_str_t *event, tee_str_t *all)
{
    size_t     i;
    tee_str_t  line;

    for (i = 0; i < event->len; i++) {
        if (event->data[i] == '\n' || event->data[i] == '\r') {
            break;
        }
    }

    line.len = i;
    line.data = event->data;

    if (i < event->len) {
        i += i + 1 < event->len
             && event->data[i] == '\r' && event->data[i + 1] == '\n';
        i++;
    }

    all->len = i;
    all->data = event->data;

    event->len -= i;
    event->data += i;

    return line;
}


int
tee_sse_is_data(tee_str_t line, tee_str_t *data)
{
    size_t     n;
    tee_str_t  name;

    name.len = 5;
    name.data = line.data;

    if (line.len < name.len || !tee_text_is(name, "data:")) {
        return 0;
    }

    n = name.len + (line.len > 5 && line.data[5] == ' ');

    data->len = line.len - n;
    data->data = line.data + n;

    return 1;
}


int
tee_sse_typed(tee_str_t event)
{
    tee_str_t  line, all, name;

    while (event.len) {
        line = tee_sse_line(&event, &all);

        name.len = 6;
        name.data = line.data;

        if (line.len < name.len || !tee_text_is(name, "event:")) {
            continue;
        }

        name.len = line.len - 6;
        name.data = line.data + 6;

        if (name.len && name.data[0] == ' ') {
            name.len--;
            name.data++;
        }

        if (name.len && !tee_text_is(name, "message")) {
            return 1;
        }
    }

    return 0;
}


int
tee_sse_plain(tee_str_t event, int first)
{
    tee_str_t  line, all, data;

    if (first && event.len >= 3 && memcmp(event.data, "\xef\xbb\xbf", 3) == 0)
    {
        return 0;
    }

    while (event.len) {
        line = tee_sse_line(&event, &all);

        if (tee_sse_is_data(line, &data)) {
            continue;
        }

        if (tee_sse_ends(line)
            || (line.len && (line.data[0] == ' ' || line.data[0] == '\t')))
        {
            return 0;
        }
    }

    return 1;
}


static int
tee_sse_ends(tee_str_t line)
{
    size_t          i;
    uint8_t         ch;
    const uint8_t  *p;

    for (i = 0; i < line.len; i++) {
        p = line.data + i;
        ch = *p;

        /* VT, FF, FS, GS, RS */

        if (ch == 0x0b || ch == 0x0c || (ch >= 0x1c && ch <= 0x1e)) {
            return 1;
        }

        /* U+0085, U+2028, U+2029 */

        if ((ch == 0xc2 && line.len - i > 1 && p[1] == 0x85)
            || (ch == 0xe2 && line.len - i > 2 && p[1] == 0x80
                && (p[2] == 0xa8 || p[2] == 0xa9)))
        {
            return 1;
        }
    }

    return 0;
}
