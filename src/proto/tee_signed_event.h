
/*
 * Copyright (C) The ngx_http_tee authors
 */


#ifndef TEE_SIGNED_EVENT_H_INCLUDED
#define TEE_SIGNED_EVENT_H_INCLUDED


#include <tee.h>
#include <tee_write.h>


/* One event of a streamed answer: for tee_signed_stream.c, and for
 * tee_signed_events.c, which changes some. */

/*
 * The data of an event, without the blanks behind it.
 *
 * first  1 if nothing was before the event
 * data   what it is written to; "text" points there
 *
 * TEE_OK, TEE_UNSUPPORTED (a BOM, or what is a line's end to some, in another
 * place than in data, or a line that begins with a blank), TEE_NOMEM
 */

TEE_MUST_CHECK tee_rc_t tee_signed_event_text(tee_str_t event, int first,
    tee_write_t *data, tee_str_t *text);

/* How many lines have data. */

size_t tee_signed_event_lines(tee_str_t event);

/* 1 if an event with this data has one line "data: ", in which there is
 * nothing that some take for the end of a line. */

int tee_signed_event_usual(tee_str_t event, tee_str_t text);

/* Writes an event with other data, which is JSON, on one line in the place of
 * the first one; all other lines are as they were. */

void tee_signed_event_write(tee_write_t *w, tee_str_t event, tee_str_t text);

/* Where the last brace of an event is, which has an object as its data. */

size_t tee_signed_event_brace(tee_str_t event);


#endif /* TEE_SIGNED_EVENT_H_INCLUDED */
