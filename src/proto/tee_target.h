
/*
 * Copyright (C) The ngx_http_tee authors
 */


#ifndef TEE_TARGET_H_INCLUDED
#define TEE_TARGET_H_INCLUDED


#include <tee.h>


/* What a gateway may be asked for: an origin, and a part of its paths. */

typedef struct {
    tee_str_t             scheme;              /* "http" or "https" */
    tee_str_t             host;                /* lower case, with [] if IPv6 */
    uint16_t              port;
    tee_str_t             path;                /* a prefix; "/" for all */
} tee_target_t;


/*
 * Reads "[http://|https://]host[:port]"; https if not told.
 *
 * text    of the target; *target points into it
 * path    begins with "/"; without query, dot segments or escapes
 *
 * The host is lower-cased in place.
 *
 * TEE_OK, TEE_MALFORMED (userinfo, a path, a bad host or port)
 */

TEE_MUST_CHECK tee_rc_t tee_target_parse(uint8_t *text, size_t len,
    tee_str_t path, tee_target_t *target);

/*
 * 1 if a request may go to this target.
 *
 * authority  as in the request: host and port in any spelling
 * path       decoded and without dot segments; a prefix matches at the end
 *            of a segment, so "/v1" matches "/v1" and "/v1/x", not "/v10"
 * raw        as in the request: for a target with a part of the paths, an
 *            escaped slash or a backslash in it does not match, since what is
 *            behind may read it differently
 */

int tee_target_match(const tee_target_t *target, tee_str_t scheme,
    tee_str_t authority, tee_str_t path, tee_str_t raw);


#endif /* TEE_TARGET_H_INCLUDED */
