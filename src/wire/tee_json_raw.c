
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <tee_json_raw.h>
#include <tee_text.h>


size_t
tee_json_raw_blank(tee_str_t json, size_t pos)
{
    while (pos < json.len
           && (json.data[pos] == ' ' || json.data[pos] == '\t'
               || json.data[pos] == '\n' || json.data[pos] == '\r'))
    {
        pos++;
    }

    return pos;
}


size_t
tee_json_raw_string(tee_str_t json, size_t pos)
{
    for (pos++; pos < json.len && json.data[pos] != '"'; pos++) {
        pos += json.data[pos] == '\\';
    }

    return pos + 1;
}


size_t
tee_json_raw_value(tee_str_t json, size_t pos)
{
    size_t   depth;
    uint8_t  ch;

    depth = 0;

    while (pos < json.len) {
        ch = json.data[pos];

        if (ch == '"') {
            pos = tee_json_raw_string(json, pos);
            continue;
        }

        if (ch == '{' || ch == '[') {
            depth++;

        } else if (ch == '}' || ch == ']') {

            if (depth == 0) {
                return pos;
            }

            if (--depth == 0) {
                return pos + 1;
            }

        } else if (depth == 0
                   && (ch == ',' || tee_json_raw_blank(json, pos) != pos))
        {
            return pos;
        }

        pos++;
    }

    return pos;
}


int
tee_json_raw_starts(tee_str_t json, size_t pos, const char *prefix)
{
    uint8_t    unit[2];
    tee_str_t  digits;

    for (pos++; *prefix; prefix++) {

        if (pos >= json.len) {
            return 0;
        }

        if (json.data[pos] == (uint8_t) *prefix) {
            pos++;
            continue;
        }

        if (json.len - pos < 6
            || json.data[pos] != '\\' || json.data[pos + 1] != 'u')
        {
            return 0;
        }

        digits.len = 4;
        digits.data = json.data + pos + 2;

        if (tee_hex_decode(digits, unit) != TEE_OK
            || unit[0] != 0 || unit[1] != (uint8_t) *prefix)
        {
            return 0;
        }

        pos += 6;
    }

    return 1;
}
