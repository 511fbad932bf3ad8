
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <tee_bhttp.h>
#include <tee_text.h>


static void tee_bhttp_write_text(tee_write_t *w, tee_str_t text);
static void tee_bhttp_write_lower(tee_write_t *w, tee_str_t text);


void
tee_bhttp_write_request(tee_write_t *w, int indeterminate, tee_str_t method,
    tee_str_t scheme, tee_str_t authority, tee_str_t path)
{
    tee_write_varint(w, indeterminate ? 2 : 0);
    tee_bhttp_write_text(w, method);
    tee_bhttp_write_text(w, scheme);
    tee_bhttp_write_text(w, authority);
    tee_bhttp_write_text(w, path);
}


void
tee_bhttp_write_response(tee_write_t *w, int indeterminate)
{
    tee_write_varint(w, indeterminate ? 3 : 1);
}


void
tee_bhttp_write_status(tee_write_t *w, unsigned status)
{
    tee_write_varint(w, status);
}


void
tee_bhttp_write_field(tee_write_t *section, tee_str_t name, tee_str_t value)
{
    tee_write_varint(section, name.len);
    tee_bhttp_write_lower(section, name);
    tee_bhttp_write_text(section, value);
}


void
tee_bhttp_write_section(tee_write_t *w, int indeterminate, tee_str_t section)
{
    if (!indeterminate) {
        tee_bhttp_write_text(w, section);
        return;
    }

    tee_write_bytes(w, section.data, section.len);
    tee_bhttp_write_end(w);
}


void
tee_bhttp_write_content(tee_write_t *w, uint64_t len)
{
    tee_write_varint(w, len);
}


void
tee_bhttp_write_end(tee_write_t *w)
{
    tee_write_varint(w, 0);
}


static void
tee_bhttp_write_text(tee_write_t *w, tee_str_t text)
{
    tee_write_varint(w, text.len);
    tee_write_bytes(w, text.data, text.len);
}


static void
tee_bhttp_write_lower(tee_write_t *w, tee_str_t text)
{
    size_t   i, n;
    uint8_t  ch, buf[64];

    n = 0;

    for (i = 0; i < text.len; i++) {
        ch = text.data[i];

        if (ch >= 'A' && ch <= 'Z') {
            ch |= 0x20;
        }

        buf[n++] = ch;

        if (n == sizeof(buf)) {
            tee_write_bytes(w, buf, n);
            n = 0;
        }
    }

    tee_write_bytes(w, buf, n);
}


int
tee_bhttp_hop_by_hop(tee_str_t name)
{
    size_t  i;

    static const char *const  names[] = {
        "connection", "proxy-connection", "keep-alive", "te",
        "transfer-encoding", "upgrade"
    };

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (tee_text_is_nocase(name, names[i])) {
            return 1;
        }
    }

    return 0;
}
