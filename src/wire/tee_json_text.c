
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <string.h>

#include <tee_json_text.h>
#include <tee_text.h>


/* The only number with a capital E when the text has been rewritten. */

#define TEE_JSON_NAN  "0E0"


static tee_rc_t tee_json_text_bytes(tee_str_t text);
static int tee_json_text_unit(tee_str_t text, size_t pos, unsigned *unit);

static size_t tee_json_text_rewrite(tee_str_t in, uint8_t *to, int *changed);
static size_t tee_json_text_plain(tee_str_t in, size_t pos);
static size_t tee_json_text_escape(tee_str_t in, size_t pos, uint8_t half[3],
    tee_str_t *put);
static size_t tee_json_text_word(tee_str_t in, size_t pos, tee_str_t *put);
static int tee_json_text_alone(tee_str_t in, size_t start, size_t end);


tee_rc_t
tee_json_text_check(tee_str_t text)
{
    size_t          i;
    unsigned        unit;
    const uint8_t  *p;

    if (tee_json_text_bytes(text) != TEE_OK) {
        return TEE_MALFORMED;
    }

    i = 0;

    /* a backslash can only be in a string; anywhere else yajl refuses it */

    for ( ;; ) {
        p = memchr(text.data + i, '\\', text.len - i);

        if (p == NULL) {
            return TEE_OK;
        }

        i = (size_t) (p - text.data);

        if (!tee_json_text_unit(text, i, &unit)) {
            i += 2;

            if (i > text.len) {
                return TEE_MALFORMED;
            }

            continue;
        }

        i += 6;

        if (unit < 0xd800 || unit > 0xdfff) {
            continue;
        }

        /* RFC 3629, 3: a pair, high half first, is one code point */

        if (unit > 0xdbff || !tee_json_text_unit(text, i, &unit)
            || unit < 0xdc00 || unit > 0xdfff)
        {
            return TEE_MALFORMED;
        }

        i += 6;
    }
}


/*
 * yajl accepts overlong UTF-8, turns half a surrogate pair into "?", takes an
 * empty text, and has two more characters for white space.
 */

static tee_rc_t
tee_json_text_bytes(tee_str_t text)
{
    if (text.len == 0 || !tee_utf8_valid(text)
        || memchr(text.data, '\v', text.len) != NULL
        || memchr(text.data, '\f', text.len) != NULL)
    {
        return TEE_MALFORMED;
    }

    return TEE_OK;
}


/* 1 if there is a \u escape here. */

static int
tee_json_text_unit(tee_str_t text, size_t pos, unsigned *unit)
{
    uint8_t    b[2];
    tee_str_t  digits;

    if (text.len - pos < 6
        || text.data[pos] != '\\'
        || text.data[pos + 1] != 'u')
    {
        return 0;
    }

    digits.len = 4;
    digits.data = text.data + pos + 2;

    if (tee_hex_decode(digits, b) != TEE_OK) {
        return 0;
    }

    *unit = (unsigned) b[0] << 8 | b[1];

    return 1;
}


tee_rc_t
tee_json_text_python(tee_str_t in, tee_arena_t *arena, tee_str_t *out)
{
    int       changed;
    size_t    len;
    uint8_t  *p;

    *out = in;

    if (tee_json_text_bytes(in) != TEE_OK) {
        return TEE_MALFORMED;
    }

    len = tee_json_text_rewrite(in, NULL, &changed);

    if (!changed) {
        return TEE_OK;
    }

    p = tee_arena_alloc(arena, len);
    if (p == NULL) {
        return TEE_NOMEM;
    }

    (void) tee_json_text_rewrite(in, p, &changed);

    out->len = len;
    out->data = p;

    return TEE_OK;
}


int
tee_json_text_nan(const char *p, size_t len)
{
    return len == sizeof(TEE_JSON_NAN) - 1 && memcmp(p, TEE_JSON_NAN, len) == 0;
}


/* Answers the new length, which is not larger; "to" may be NULL. */

static size_t
tee_json_text_rewrite(tee_str_t in, uint8_t *to, int *changed)
{
    int        string;
    size_t     i, n, used;
    uint8_t    ch, half[3];
    tee_str_t  put;

    *changed = 0;

    string = 0;
    n = 0;

    for (i = 0; i < in.len; i += used) {
        ch = in.data[i];

        used = 1;
        put.len = 1;
        put.data = in.data + i;

        if (ch == '"') {
            string = !string;

        } else if (string && ch == '\\') {
            used = tee_json_text_escape(in, i, half, &put);

        } else if (string) {
            used = tee_json_text_plain(in, i);
            put.len = used;

        } else if (ch == 'E' || ch == 'I' || ch == 'N') {
            used = tee_json_text_word(in, i, &put);
        }

        *changed |= put.data != in.data + i;

        if (to) {
            memcpy(to + n, put.data, put.len);
        }

        n += put.len;
    }

    return n;
}


/* How far a string goes on without anything that means something. */

static size_t
tee_json_text_plain(tee_str_t in, size_t pos)
{
    size_t  i;

    for (i = pos; i < in.len; i++) {
        if (in.data[i] == '"' || in.data[i] == '\\') {
            break;
        }
    }

    return i - pos;
}


/*
 * Both of these answer how many bytes "put" is in the place of.  yajl makes
 * "?" of half a pair, but leaves the bytes of a text as they are.
 */

static size_t
tee_json_text_escape(tee_str_t in, size_t pos, uint8_t half[3],
    tee_str_t *put)
{
    unsigned  unit, low;

    if (!tee_json_text_unit(in, pos, &unit)) {
        put->len = in.len - pos < 2 ? 1 : 2;
        return put->len;
    }

    put->len = 6;

    if (unit < 0xd800 || unit > 0xdfff) {
        return 6;
    }

    if (unit < 0xdc00 && tee_json_text_unit(in, pos + 6, &low)
        && low >= 0xdc00 && low <= 0xdfff)
    {
        put->len = 12;
        return 12;
    }

    half[0] = 0xed;
    half[1] = (uint8_t) (0x80 | (unit >> 6 & 0x3f));
    half[2] = (uint8_t) (0x80 | (unit & 0x3f));

    put->len = 3;
    put->data = half;

    return 6;
}


static size_t
tee_json_text_word(tee_str_t in, size_t pos, tee_str_t *put)
{
    tee_str_t  word;

    static const tee_str_t  e = tee_string("e");
    static const tee_str_t  nan = tee_string(TEE_JSON_NAN);
    static const tee_str_t  infinity = tee_string("9e999");

    word.len = in.data[pos] == 'N' ? 3 : 8;
    word.data = in.data + pos;

    if (in.data[pos] == 'E') {

        /* not in "truE" */

        if (pos && in.data[pos - 1] >= '0' && in.data[pos - 1] <= '9') {
            *put = e;
        }

        return 1;
    }

    if (in.len - pos < word.len) {
        return 1;
    }

    if (tee_text_is(word, "NaN")
        && tee_json_text_alone(in, pos, pos + word.len))
    {
        *put = nan;
        return word.len;
    }

    if (tee_text_is(word, "Infinity")
        && tee_json_text_alone(in, pos - (pos && in.data[pos - 1] == '-'),
                               pos + word.len))
    {
        *put = infinity;
        return word.len;
    }

    return 1;
}


/* 1 if no more of a word or a number is on either side. */

static int
tee_json_text_alone(tee_str_t in, size_t start, size_t end)
{
    return (start == 0 || memchr(" \t\r\n,:[", in.data[start - 1], 7) != NULL)
           && (end == in.len || memchr(" \t\r\n,]}", in.data[end], 7) != NULL);
}
