
/*
 * Copyright (C) The ngx_http_tee authors
 */


#ifndef TEE_SIGNED_MEMBERS_H_INCLUDED
#define TEE_SIGNED_MEMBERS_H_INCLUDED


#include <tee.h>
#include <tee_json.h>
#include <tee_signed.h>
#include <tee_write.h>


/* For tee_signed_write.c and tee_signed_events.c. */

/* 1 if an object has a member whose name begins with "tee_". */

int tee_signed_foreign(const tee_json_t *object);

/*
 * Writes an object without these members, and without what is behind it.
 *
 * json  the text of an object that tee_canon_parse() takes
 *
 * Answers where the last brace is in "json", which is not written.
 */

size_t tee_signed_strip(tee_write_t *w, tee_str_t json);

/*
 * Writes the members of a signature in the order of the gateway.
 *
 * comma   1 if there are others before
 * stream  1 for an event
 */

void tee_signed_members_write(tee_write_t *w, const tee_signed_t *s,
    int comma, int stream);


#endif /* TEE_SIGNED_MEMBERS_H_INCLUDED */
