
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <string.h>

#include <tee_canon.h>
#include <tee_float.h>
#include <tee_text.h>


static tee_rc_t tee_canon_read(tee_str_t text, size_t max_nodes,
    const tee_alloc_t *alloc, int once, tee_json_doc_t *doc);
static tee_rc_t tee_canon_order(tee_json_t *root, int once);
static int tee_canon_digits(const tee_json_t *v);
static tee_json_t *tee_canon_sort(tee_json_t *list, size_t n);

static size_t tee_canon_fold(tee_str_t name, uint8_t *to);
static void tee_canon_scalar(tee_write_t *w, const tee_json_t *v);
static void tee_canon_number(tee_write_t *w, const tee_json_t *v);
static size_t tee_canon_plain(tee_str_t text);
static size_t tee_canon_escape(tee_write_t *w, tee_str_t text);
static void tee_canon_unit(tee_write_t *w, uint32_t unit);


tee_rc_t
tee_canon_parse(tee_str_t text, size_t max_nodes, const tee_alloc_t *alloc,
    tee_json_doc_t *doc)
{
    return tee_canon_read(text, max_nodes, alloc, 0, doc);
}


tee_rc_t
tee_canon_parse_once(tee_str_t text, size_t max_nodes,
    const tee_alloc_t *alloc, tee_json_doc_t *doc)
{
    return tee_canon_read(text, max_nodes, alloc, 1, doc);
}


static tee_rc_t
tee_canon_read(tee_str_t text, size_t max_nodes, const tee_alloc_t *alloc,
    int once, tee_json_doc_t *doc)
{
    tee_rc_t  rc;

    rc = tee_json_parse_python(text, max_nodes, alloc, doc);

    if (rc != TEE_OK) {
        return rc;
    }

    rc = tee_canon_order(doc->root, once);

    if (rc != TEE_OK) {
        tee_json_free(doc);
    }

    return rc;
}


/* Sorts every object when all in it has been seen. */

static tee_rc_t
tee_canon_order(tee_json_t *root, int once)
{
    size_t       n, depth;
    tee_json_t  *v, *m, *stack[TEE_JSON_PYTHON_DEPTH];

    depth = 0;
    v = root;

    for ( ;; ) {

        if (!tee_canon_digits(v)) {
            return TEE_MALFORMED;
        }

        if (v->child) {
            stack[depth++] = v;
            v = v->child;
            continue;
        }

        while (depth && v->next == NULL) {
            v = stack[--depth];

            if (v->type == TEE_JSON_OBJECT) {

                for (m = v->child, n = 0; m; m = m->next) {
                    n++;
                }

                v->child = tee_canon_sort(v->child, n);

                for (m = v->child; m; m = m->next) {
                    n--;
                }

                if (once && n) {
                    return TEE_UNSUPPORTED;
                }
            }
        }

        if (depth == 0) {
            return TEE_OK;
        }

        v = v->next;
    }
}


static int
tee_canon_digits(const tee_json_t *v)
{
    return v->type != TEE_JSON_NUMBER
           || v->text.len <= TEE_CANON_MAX_DIGITS
           || !tee_canon_int(v)
           || v->text.len - (v->text.data[0] == '-') <= TEE_CANON_MAX_DIGITS;
}


/* Merges two halves; a list of 2^32 members makes 32 calls deep. */

static tee_json_t *
tee_canon_sort(tee_json_t *list, size_t n)
{
    int           cmp;
    size_t        i;
    tee_json_t   *a, *b, **tail;

    if (n == 1) {
        list->next = NULL;
        return list;
    }

    for (b = list, i = 0; i < n / 2; i++) {
        b = b->next;
    }

    a = tee_canon_sort(list, n / 2);
    b = tee_canon_sort(b, n - n / 2);

    tail = &list;

    while (a && b) {
        cmp = tee_canon_cmp(a->name, b->name);

        if (cmp == 0) {

            /* the later one is in the later half */

            a = a->next;

        } else if (cmp < 0) {
            *tail = a;
            tail = &a->next;
            a = a->next;

        } else {
            *tail = b;
            tail = &b->next;
            b = b->next;
        }
    }

    *tail = a ? a : b;

    return list;
}


int
tee_canon_cmp(tee_str_t a, tee_str_t b)
{
    int     cmp;
    size_t  len;

    len = a.len < b.len ? a.len : b.len;
    cmp = len ? memcmp(a.data, b.data, len) : 0;

    if (cmp == 0 && a.len != b.len) {
        return a.len < b.len ? -1 : 1;
    }

    return cmp;
}


void
tee_canon_write(tee_write_t *w, const tee_json_t *v)
{
    size_t             depth;
    const tee_json_t  *stack[TEE_JSON_PYTHON_DEPTH];

    depth = 0;
    stack[0] = NULL;

    for ( ;; ) {

        if (depth && stack[depth - 1]->type == TEE_JSON_OBJECT) {
            tee_canon_string(w, v->name);
            tee_write_text(w, ": ");
        }

        if (v->child) {
            tee_write_text(w, v->type == TEE_JSON_OBJECT ? "{" : "[");
            stack[depth++] = v;
            v = v->child;
            continue;
        }

        tee_canon_scalar(w, v);

        while (depth && v->next == NULL) {
            v = stack[--depth];
            tee_write_text(w, v->type == TEE_JSON_OBJECT ? "}" : "]");
        }

        if (depth == 0) {
            return;
        }

        tee_write_text(w, ", ");
        v = v->next;
    }
}


/* Or an empty container. */

static void
tee_canon_scalar(tee_write_t *w, const tee_json_t *v)
{
    switch (v->type) {

    case TEE_JSON_NULL:
        tee_write_text(w, "null");
        break;

    case TEE_JSON_BOOL:
        tee_write_text(w, v->value ? "true" : "false");
        break;

    case TEE_JSON_NUMBER:
        tee_canon_number(w, v);
        break;

    case TEE_JSON_STRING:
        tee_canon_string(w, v->text);
        break;

    case TEE_JSON_ARRAY:
        tee_write_text(w, "[]");
        break;

    case TEE_JSON_OBJECT:
        tee_write_text(w, "{}");
        break;
    }
}


static void
tee_canon_number(tee_write_t *w, const tee_json_t *v)
{
    uint8_t   text[TEE_FLOAT_MAX_LEN];
    uint64_t  bits;

    if (tee_text_is(v->text, "-0")) {
        tee_write_u8(w, '0');

    } else if (tee_canon_int(v)
               || tee_float_parse(v->text, &bits) != TEE_OK)
    {
        /* the only one that does not parse is NaN */

        tee_write_bytes(w, v->text.data, v->text.len);

    } else {
        tee_write_bytes(w, text, tee_float_repr(bits, text));
    }
}


void
tee_canon_string(tee_write_t *w, tee_str_t text)
{
    size_t  n;

    tee_write_u8(w, '"');

    while (text.len) {
        n = tee_canon_plain(text);

        if (n) {
            tee_write_bytes(w, text.data, n);

        } else {
            n = tee_canon_escape(w, text);
        }

        text.len -= n;
        text.data += n;
    }

    tee_write_u8(w, '"');
}


static size_t
tee_canon_plain(tee_str_t text)
{
    size_t   i;
    uint8_t  ch;

    for (i = 0; i < text.len; i++) {
        ch = text.data[i];

        if (ch < 0x20 || ch > 0x7e || ch == '"' || ch == '\\') {
            break;
        }
    }

    return i;
}


/* One character, which is valid, or half a pair; answers its length. */

static size_t
tee_canon_escape(tee_write_t *w, tee_str_t text)
{
    size_t       n, i;
    uint32_t     code;
    const char  *p;

    static const char  chars[] = "\"\\\b\f\n\r\t";
    static const char  names[] = "\"\\bfnrt";

    code = text.data[0];

    p = code ? memchr(chars, (int) code, sizeof(chars) - 1) : NULL;

    if (p) {
        tee_write_u8(w, '\\');
        tee_write_u8(w, (uint8_t) names[p - chars]);
        return 1;
    }

    n = code < 0x80 ? 1 : code < 0xe0 ? 2 : code < 0xf0 ? 3 : 4;
    n = n < text.len ? n : text.len;

    if (n > 1) {
        code &= 0x7fU >> n;
    }

    for (i = 1; i < n; i++) {
        code = code << 6 | (text.data[i] & 0x3f);
    }

    if (code > 0xffff) {
        tee_canon_unit(w, 0xd7c0 + (code >> 10));
        code = 0xdc00 | (code & 0x3ff);
    }

    tee_canon_unit(w, code);

    return n;
}


static void
tee_canon_unit(tee_write_t *w, uint32_t unit)
{
    uint8_t  b[2];

    b[0] = (uint8_t) (unit >> 8);
    b[1] = (uint8_t) (unit & 0xff);

    tee_write_text(w, "\\u");
    tee_write_hex(w, b, 2);
}


const tee_json_t *
tee_canon_get(const tee_json_t *object, const char *name)
{
    const tee_json_t  *v;

    if (tee_json_get(object, name, &v) != TEE_OK) {
        return NULL;
    }

    return v;
}


int
tee_canon_is(const tee_json_t *v, const char *text)
{
    return v && v->type == TEE_JSON_STRING && tee_text_is(v->text, text);
}


int
tee_canon_true(const tee_json_t *v)
{
    uint64_t  bits;

    if (v == NULL) {
        return 0;
    }

    switch (v->type) {

    case TEE_JSON_NULL:
        return 0;

    case TEE_JSON_BOOL:
        return v->value;

    case TEE_JSON_NUMBER:
        return tee_float_parse(v->text, &bits) != TEE_OK
               || (bits & ~TEE_FLOAT_SIGN) != 0;

    case TEE_JSON_STRING:
        return v->text.len != 0;

    case TEE_JSON_ARRAY:
    case TEE_JSON_OBJECT:
        break;
    }

    return v->child != NULL;
}


int
tee_canon_int(const tee_json_t *v)
{
    size_t  i;

    if (v->type != TEE_JSON_NUMBER) {
        return 0;
    }

    for (i = v->text.len && v->text.data[0] == '-'; i < v->text.len; i++) {
        if (v->text.data[i] < '0' || v->text.data[i] > '9') {
            return 0;
        }
    }

    return 1;
}


int
tee_canon_cased(const tee_json_t *object, const char *const *names, size_t n)
{
    size_t             i, len;
    uint8_t            name[TEE_CANON_MAX_NAME];
    tee_str_t          folded;
    const tee_json_t  *v;

    if (object == NULL || object->type != TEE_JSON_OBJECT) {
        return 0;
    }

    for (v = object->child; v; v = v->next) {
        len = tee_canon_fold(v->name, name);

        if (len == v->name.len && memcmp(name, v->name.data, len) == 0) {
            continue;
        }

        folded.len = len;
        folded.data = name;

        for (i = 0; i < n; i++) {
            if (tee_text_is(folded, names[i])) {
                return 1;
            }
        }
    }

    return 0;
}


/* In small letters, as Unicode's simple folding has it where that ends in
 * ASCII; 0 if it is none of the names anyway. */

static size_t
tee_canon_fold(tee_str_t name, uint8_t *to)
{
    size_t          i, len;
    uint8_t         ch;
    const uint8_t  *p;

    for (i = 0, len = 0; i < name.len; i++) {

        if (len == TEE_CANON_MAX_NAME) {
            return 0;
        }

        p = name.data + i;
        ch = *p;

        if (ch >= 'A' && ch <= 'Z') {
            ch = (uint8_t) (ch | 0x20);

        } else if (name.len - i > 1 && ch == 0xc5 && p[1] == 0xbf) {

            /* U+017F, a long s */

            ch = 's';
            i += 1;

        } else if (name.len - i > 2 && ch == 0xe2 && p[1] == 0x84
                   && p[2] == 0xaa)
        {
            /* U+212A, of Kelvin */

            ch = 'k';
            i += 2;
        }

        to[len++] = ch;
    }

    return len;
}
