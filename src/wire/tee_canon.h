
/*
 * Copyright (C) The ngx_http_tee authors
 */


#ifndef TEE_CANON_H_INCLUDED
#define TEE_CANON_H_INCLUDED


#include <tee.h>
#include <tee_json.h>
#include <tee_write.h>


/*
 * The JSON that signatures cover: what Python's json.dumps(sort_keys=True)
 * makes of what json.loads() has read.  ", " and ": " between values, members
 * in the order of code points, all but printable ASCII escaped, whole numbers
 * as they are, others as repr() has them.
 */

/* Whole numbers with more digits are an error of Python's. */

#define TEE_CANON_MAX_DIGITS  4300


/*
 * Reads a text as Python does: of members with the same name the last one
 * remains, and all are in order.
 *
 * doc  tee_json_free() it when TEE_OK; its texts point into "text"
 *
 * TEE_OK
 * TEE_MALFORMED    Python refuses it, too
 * TEE_UNSUPPORTED  deeper than TEE_JSON_PYTHON_DEPTH
 * TEE_LIMIT        more than max_nodes values
 * TEE_NOMEM
 */

TEE_MUST_CHECK tee_rc_t tee_canon_parse(tee_str_t text, size_t max_nodes,
    const tee_alloc_t *alloc, tee_json_doc_t *doc);

/* The same, but a member that is there twice is TEE_UNSUPPORTED: not all who
 * read it would take the last one. */

TEE_MUST_CHECK tee_rc_t tee_canon_parse_once(tee_str_t text, size_t max_nodes,
    const tee_alloc_t *alloc, tee_json_doc_t *doc);

/* Write what tee_canon_parse() has read; a failure is in the writer. */

void tee_canon_write(tee_write_t *w, const tee_json_t *v);
void tee_canon_string(tee_write_t *w, tee_str_t text);

/* The member of an object, or NULL, also if it is no object. */

const tee_json_t *tee_canon_get(const tee_json_t *object, const char *name);

/* 1 if "v" is a string, and this one. */

int tee_canon_is(const tee_json_t *v, const char *text);

/* The order of members: below 0, 0 or above. */

int tee_canon_cmp(tee_str_t a, tee_str_t b);

/*
 * 1 if a member of this object, if it is one, has a name that differs from one
 * of "names", which are lower case, in its case alone: some readers match
 * without regard to it, and find more in an object than others do.
 */

#define TEE_CANON_MAX_NAME  24

int tee_canon_cased(const tee_json_t *object, const char *const *names,
    size_t n);

/* What bool() says; 0 for NULL. */

int tee_canon_true(const tee_json_t *v);

/* 1 if Python has an int for this number, and not a float. */

int tee_canon_int(const tee_json_t *v);


#endif /* TEE_CANON_H_INCLUDED */
