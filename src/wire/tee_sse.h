
/*
 * Copyright (C) The ngx_http_tee authors
 */


#ifndef TEE_SSE_H_INCLUDED
#define TEE_SSE_H_INCLUDED


#include <tee.h>


/*
 * Cuts a stream of server-sent events (WHATWG HTML, 9.2) after each of them:
 * behind the blank line that ends it, whatever its line endings are.  Nothing
 * is copied; the caller keeps what is not whole yet.
 */

typedef struct {
    /* all of it is private */
    unsigned              blank:1;             /* at the start of a line */
    unsigned              cr:1;                /* the last byte was a CR */
    unsigned              any:1;               /* the event is not empty */
} tee_sse_t;


void tee_sse_init(tee_sse_t *s);

/*
 * The number of bytes at the front of "in" that belong to the event that is
 * being read; *end is 1 if it ends with them.  A LF that follows the CR of a
 * blank line is the first byte of the next event, and makes it no longer.
 */

size_t tee_sse_scan(tee_sse_t *s, tee_str_t in, int *end);

/*
 * The data of an event, its lines joined as WHATWG HTML, 9.2.6 has it, with a
 * line feed behind each of them.
 *
 * to  room for event.len bytes; may be the same memory as "event"
 *
 * Answers the length; 0 if there is no such line.
 */

size_t tee_sse_data(tee_str_t event, uint8_t *to);

/*
 * Takes a line off the front of an event, with its end: CR, LF, CR LF, or
 * nothing.
 *
 * all   the line and its end
 *
 * Answers the line.
 */

tee_str_t tee_sse_line(tee_str_t *event, tee_str_t *all);

/* 1 if the line has data; "data" is what is behind the name. */

int tee_sse_is_data(tee_str_t line, tee_str_t *data);

/* 1 if an event is of another type than "message": to most clients it is not
 * there, others read its data all the same. */

int tee_sse_typed(tee_str_t event);

/*
 * 0 if other readers might find more lines, and so more data, in an event:
 * where a line without data has one of the characters that Python's
 * splitlines() knows besides CR and LF, or begins with a blank, which some
 * strip, or where a byte order mark, which some ignore, stands at the
 * beginning of the stream ("first").
 */

int tee_sse_plain(tee_str_t event, int first);


#endif /* TEE_SSE_H_INCLUDED */
