
/*
 * Copyright (C) The ngx_http_tee authors
 */


#ifndef TEE_CHAT_MESSAGE_H_INCLUDED
#define TEE_CHAT_MESSAGE_H_INCLUDED


#include <tee.h>
#include <tee_canon.h>


/* For tee_chat.c; with the results of tee_chat_canonical(). */

TEE_MUST_CHECK tee_rc_t tee_chat_message(tee_write_t *w, const tee_json_t *m);

/* A comma, unless this is the first member. */

void tee_chat_comma(tee_write_t *w);

/* A member's name, behind a comma if it is not the first one. */

void tee_chat_name(tee_write_t *w, const char *name);

/* A member; NULL is null. */

void tee_chat_value(tee_write_t *w, const char *name, const tee_json_t *v);


#endif /* TEE_CHAT_MESSAGE_H_INCLUDED */
