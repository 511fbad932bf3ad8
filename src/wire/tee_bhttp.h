
/*
 * Copyright (C) The ngx_http_tee authors
 */


#ifndef TEE_BHTTP_H_INCLUDED
#define TEE_BHTTP_H_INCLUDED


#include <tee.h>
#include <tee_write.h>


/* Binary HTTP, RFC 9292: known and indeterminate length, both directions. */

typedef enum {
    TEE_BHTTP_NOTHING = 0,
    TEE_BHTTP_HEAD,            /* control data of a request; a final status */
    TEE_BHTTP_INFORMATIONAL,   /* a status from 100 to 199 */
    TEE_BHTTP_FIELD,           /* of the head or status before it */
    TEE_BHTTP_HEAD_END,        /* behind the last field of a HEAD, always */
    TEE_BHTTP_CONTENT,         /* a piece */
    TEE_BHTTP_TRAILER          /* a field of the trailer section */
} tee_bhttp_event_t;


/* Bounds, checked against a length before anything is kept; those of type
 * size_t are below SIZE_MAX / 2. */

typedef struct {
    size_t                control;     /* bytes of the control data */
    size_t                field;       /* bytes of a name and its value */
    size_t                section;     /* bytes of a section, with lengths */
    size_t                fields;      /* how many of them in a section */
    size_t                informational;
    uint64_t              content;
} tee_bhttp_limits_t;


typedef struct {
    tee_bhttp_event_t     event;

    /* what the event is about; valid until the next call */
    tee_str_t             method;
    tee_str_t             scheme;
    tee_str_t             authority;
    tee_str_t             path;
    unsigned              status;
    tee_str_t             name;        /* as received */
    tee_str_t             value;
    tee_str_t             content;

    unsigned              indeterminate:1;

    /* the rest is private */
    const tee_bhttp_limits_t  *limits;
    const tee_alloc_t    *alloc;
    uint8_t              *buf;                 /* what was cut */
    size_t                len;
    size_t                room;
    uint64_t              left;                /* of a section, or content */
    uint64_t              total;               /* of content */
    size_t                section;
    size_t                count;
    size_t                interims;
    tee_rc_t              rc;                  /* the failure, which stays */
    unsigned              state;
    unsigned              request:1;
    unsigned              taken:1;             /* texts are in the buffer */
    unsigned              interim:1;           /* an informational response */
    unsigned              trailer:1;
    unsigned              regular:1;           /* after such a field */
    unsigned              host:1;
} tee_bhttp_read_t;


/*
 * request  1 for a request, 0 for a response
 * limits   have to outlive the reader
 */

void tee_bhttp_read_init(tee_bhttp_read_t *b, int request,
    const tee_bhttp_limits_t *limits, const tee_alloc_t *alloc);

/* Wipes what was buffered. */

void tee_bhttp_read_free(tee_bhttp_read_t *b);

/*
 * Takes bytes from the front of *in, up to and with the next event.  Texts
 * point into *in or, where they were cut, into the reader.
 *
 * last  no bytes follow *in: sections that are missing at the end are empty
 *       (3.8), and padding is complete
 *
 * TEE_OK           b->event
 * TEE_INCOMPLETE   *in is used up, and it was not the last
 * TEE_DONE         the message is complete; *in is used up
 * TEE_MALFORMED    3.3 to 3.8, the other kind of message, or "last" and cut.
 *                  In a request also what would confuse a target: a method
 *                  that is not a token, a scheme but "http" and "https", an
 *                  authority with anything but a host and a port, a path
 *                  without "/" at its front ("*" for OPTIONS), with blanks,
 *                  control characters or a fragment, two Host fields
 * TEE_LIMIT, TEE_NOMEM
 *
 * A CONNECT request has neither scheme nor path (RFC 9113, 8.5): they are
 * empty, and so are they for no other.  An authority may be empty (3.4).
 *
 * Once failed, it stays so.
 */

TEE_MUST_CHECK tee_rc_t tee_bhttp_read(tee_bhttp_read_t *b, tee_str_t *in,
    int last);


/*
 * Writing.  A section is collected in a writer of its own by
 * tee_bhttp_write_field(), and then written with its length or terminator.
 * In the indeterminate form content is chunks, with tee_bhttp_write_content()
 * before each, and tee_bhttp_write_end() after the last; in the known form it
 * is one piece with its length before it, and no end.
 *
 *     request/status  { section, status }*  section  content  [ end ]  section
 */

void tee_bhttp_write_request(tee_write_t *w, int indeterminate,
    tee_str_t method, tee_str_t scheme, tee_str_t authority, tee_str_t path);

/* The indicator of a response, once, and a status, before each section. */

void tee_bhttp_write_response(tee_write_t *w, int indeterminate);
void tee_bhttp_write_status(tee_write_t *w, unsigned status);

/* The name is written in lower case. */

void tee_bhttp_write_field(tee_write_t *section, tee_str_t name,
    tee_str_t value);
void tee_bhttp_write_section(tee_write_t *w, int indeterminate,
    tee_str_t section);

/* The length of content; not 0 in the indeterminate form. */

void tee_bhttp_write_content(tee_write_t *w, uint64_t len);
void tee_bhttp_write_end(tee_write_t *w);

/* 1 if a field belongs to a connection and is not forwarded; RFC 9110, 7.6.1;
 * those named by Connection are the caller's. */

int tee_bhttp_hop_by_hop(tee_str_t name);


#endif /* TEE_BHTTP_H_INCLUDED */
