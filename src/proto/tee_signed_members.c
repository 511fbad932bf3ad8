
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <string.h>

#include <tee_json_raw.h>
#include <tee_signed_members.h>
#include <tee_text.h>


static void tee_signed_number(tee_write_t *w, const uint8_t timestamp[32]);
static void tee_signed_digits(tee_write_t *w, const char *before,
    const uint8_t hash[32]);


static const char  tee_signed_prefix[] = "tee_";


int
tee_signed_foreign(const tee_json_t *object)
{
    size_t             len;
    const tee_json_t  *m;

    if (object->type != TEE_JSON_OBJECT) {
        return 0;
    }

    len = sizeof(tee_signed_prefix) - 1;

    for (m = object->child; m; m = m->next) {
        if (m->name.len >= len
            && memcmp(m->name.data, tee_signed_prefix, len) == 0)
        {
            return 1;
        }
    }

    return 0;
}


size_t
tee_signed_strip(tee_write_t *w, tee_str_t json)
{
    size_t    start, name, pos;
    unsigned  first;

    pos = tee_json_raw_blank(json, 0) + 1;

    tee_write_bytes(w, json.data, pos);

    first = 1;

    do {
        start = pos;
        name = tee_json_raw_blank(json, pos);

        if (name >= json.len || json.data[name] == '}') {

            /* an empty object */

            tee_write_bytes(w, json.data + start, name - start);
            return name;
        }

        pos = tee_json_raw_string(json, name);
        pos = tee_json_raw_blank(json, pos) + 1;
        pos = tee_json_raw_value(json, tee_json_raw_blank(json, pos));
        pos = tee_json_raw_blank(json, pos);

        if (pos >= json.len) {

            /* it is an object, and this is not its last brace */

            return json.len;
        }

        if (!tee_json_raw_starts(json, name, tee_signed_prefix)) {

            if (!first) {
                tee_write_u8(w, ',');
            }

            tee_write_bytes(w, json.data + start, pos - start);
            first = 0;
        }

    } while (json.data[pos++] == ',');

    return pos - 1;
}


void
tee_signed_members_write(tee_write_t *w, const tee_signed_t *s, int comma,
    int stream)
{
    tee_str_t  sig;

    sig.len = s->signature_len;
    sig.data = s->signature;

    tee_write_text(w, comma ? ", \"tee_signature\": \""
                            : "\"tee_signature\": \"");
    tee_write_base64(w, sig);
    tee_write_u8(w, '"');

    if (stream) {
        tee_signed_number(w, s->timestamp);
    }

    tee_signed_digits(w, ", \"tee_request_hash\": \"", s->request_hash);
    tee_signed_digits(w, ", \"tee_output_hash\": \"", s->output_hash);

    if (!stream) {
        tee_signed_number(w, s->timestamp);
    }

    tee_signed_digits(w, ", \"tee_id\": \"0x", s->tee_id);
}


static void
tee_signed_number(tee_write_t *w, const uint8_t timestamp[32])
{
    size_t   len;
    uint8_t  text[TEE_U256_DIGITS];

    len = tee_u256_text(timestamp, text);

    tee_write_text(w, ", \"tee_timestamp\": ");
    tee_write_bytes(w, text, len);
}


static void
tee_signed_digits(tee_write_t *w, const char *before, const uint8_t hash[32])
{
    tee_write_text(w, before);
    tee_write_hex(w, hash, 32);
    tee_write_u8(w, '"');
}
