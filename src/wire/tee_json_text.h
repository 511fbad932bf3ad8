
/*
 * Copyright (C) The ngx_http_tee authors
 */


#ifndef TEE_JSON_TEXT_H_INCLUDED
#define TEE_JSON_TEXT_H_INCLUDED


#include <tee.h>
#include <tee_arena.h>


/* For tee_json.c: what is done with a text before yajl reads it. */

/* TEE_OK, or TEE_MALFORMED where yajl is not strict. */

TEE_MUST_CHECK tee_rc_t tee_json_text_check(tee_str_t text);

/*
 * Writes what only Python takes so that yajl takes it, and gives it back as
 * tee_json_parse_python() has it.
 *
 * out  "in" itself, or a text of the arena
 *
 * TEE_OK, TEE_MALFORMED or TEE_NOMEM
 */

TEE_MUST_CHECK tee_rc_t tee_json_text_python(tee_str_t in, tee_arena_t *arena,
    tee_str_t *out);

/* 1 if this number of the text above stands for NaN. */

int tee_json_text_nan(const char *p, size_t len);


#endif /* TEE_JSON_TEXT_H_INCLUDED */
