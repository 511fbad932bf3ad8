
/*
 * Copyright (C) The ngx_http_tee authors
 */


#ifndef TEE_JSON_H_INCLUDED
#define TEE_JSON_H_INCLUDED


#include <tee.h>
#include <tee_arena.h>


/*
 * JSON, RFC 8259, read whole into a tree.  Stricter than most: the text is
 * UTF-8 without exception, a \u escape is never half of a surrogate pair, and
 * a member that somebody asks for must not be there twice.  Numbers stay text.
 */

#define TEE_JSON_MAX_DEPTH     64
#define TEE_JSON_PYTHON_DEPTH  512


typedef enum {
    TEE_JSON_NULL = 0,
    TEE_JSON_BOOL,
    TEE_JSON_NUMBER,
    TEE_JSON_STRING,
    TEE_JSON_ARRAY,
    TEE_JSON_OBJECT
} tee_json_type_t;


typedef struct tee_json_s  tee_json_t;

struct tee_json_s {
    tee_json_t           *next;                /* in the same array, object */
    tee_json_t           *child;               /* the first one */
    tee_str_t             name;                /* of a member, unescaped */
    tee_str_t             text;                /* string unescaped, number */
    tee_json_type_t       type;
    unsigned              value:1;             /* of a bool */
};


typedef struct {
    tee_json_t           *root;

    /* the rest is private */
    tee_arena_t           arena;
} tee_json_doc_t;


/*
 * Reads one value with nothing but white space around it.
 *
 * max_nodes  values of all kinds that the text may hold
 * doc        tee_json_free() it when TEE_OK; texts without an escape point
 *            into "text", the others live with the document
 *
 * TEE_OK, TEE_MALFORMED, TEE_LIMIT (nodes, or TEE_JSON_MAX_DEPTH), TEE_NOMEM
 */

TEE_MUST_CHECK tee_rc_t tee_json_parse(tee_str_t text, size_t max_nodes,
    const tee_alloc_t *alloc, tee_json_doc_t *doc);

/*
 * Reads what Python's json.loads() takes from a text that is UTF-8, to see the
 * same in it.  That is, besides JSON: NaN, Infinity and -Infinity, which are
 * numbers with the texts "NaN", "9e999" and "-9e999"; and a \u escape that is
 * half of a pair, which stands in its text as three bytes in the manner of
 * UTF-8, ED A0 80 to ED BF BF.  So texts are UTF-8 or have such halves; the
 * order of their bytes is the order of their code points in any case.
 *
 * As above, but TEE_UNSUPPORTED is deeper than TEE_JSON_PYTHON_DEPTH.
 */

TEE_MUST_CHECK tee_rc_t tee_json_parse_python(tee_str_t text,
    size_t max_nodes, const tee_alloc_t *alloc, tee_json_doc_t *doc);

void tee_json_free(tee_json_doc_t *doc);

/*
 * The member of an object.
 *
 * TEE_OK, TEE_DONE (not there; *value is NULL), TEE_MALFORMED (there twice,
 * or not an object)
 */

TEE_MUST_CHECK tee_rc_t tee_json_get(const tee_json_t *object,
    const char *name, const tee_json_t **value);

/* As above, but it must be there and have this type, else TEE_MALFORMED. */

TEE_MUST_CHECK tee_rc_t tee_json_get_type(const tee_json_t *object,
    const char *name, tee_json_type_t type, const tee_json_t **value);

/* A text member; TEE_OK or TEE_MALFORMED. */

TEE_MUST_CHECK tee_rc_t tee_json_get_text(const tee_json_t *object,
    const char *name, tee_str_t *text);

/* A member that is a number, not negative, without fraction or exponent, and
 * not above "max"; TEE_OK or TEE_MALFORMED. */

TEE_MUST_CHECK tee_rc_t tee_json_get_uint(const tee_json_t *object,
    const char *name, uint64_t max, uint64_t *n);


#endif /* TEE_JSON_H_INCLUDED */
