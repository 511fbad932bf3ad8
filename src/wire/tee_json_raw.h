
/*
 * Copyright (C) The ngx_http_tee authors
 */


#ifndef TEE_JSON_RAW_H_INCLUDED
#define TEE_JSON_RAW_H_INCLUDED


#include <tee.h>


/*
 * Positions in a text that is known to be JSON, or what Python takes for it,
 * for who changes a few members and leaves the rest as it was written.  All of
 * these answer the position behind what stands at "pos"; of a text that is
 * none they make no sense, but they do not read behind its end.
 */

size_t tee_json_raw_blank(tee_str_t json, size_t pos);
size_t tee_json_raw_string(tee_str_t json, size_t pos);
size_t tee_json_raw_value(tee_str_t json, size_t pos);

/* 1 if the string at "pos" begins with these letters, digits or underscores,
 * however they are escaped. */

int tee_json_raw_starts(tee_str_t json, size_t pos, const char *prefix);


#endif /* TEE_JSON_RAW_H_INCLUDED */
