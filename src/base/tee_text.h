
/*
 * Copyright (C) The ngx_http_tee authors
 */


#ifndef TEE_TEXT_H_INCLUDED
#define TEE_TEXT_H_INCLUDED


#include <tee.h>


/* Room for the digits of any uint256. */

#define TEE_U256_DIGITS  78


/*
 * Reads hexadecimal digits of any case, two for a byte, no prefix.
 *
 * out  in.len / 2 bytes; may be the same memory as "in"
 *
 * TEE_OK or TEE_MALFORMED; then "out" has no meaning
 */

TEE_MUST_CHECK tee_rc_t tee_hex_decode(tee_str_t in, uint8_t *out);

/* As above, but for exactly "len" bytes, with or without 0x. */

TEE_MUST_CHECK tee_rc_t tee_hex_fixed(tee_str_t in, uint8_t *out, size_t len);

/*
 * Reads canonical base64, RFC 4648, 4: padded, one line, no spare bits, so
 * that every byte string has one spelling only.
 *
 * out  room for in.len / 4 * 3 bytes
 * len  how many there were; 0 on failure
 *
 * TEE_OK or TEE_MALFORMED
 */

TEE_MUST_CHECK tee_rc_t tee_base64_decode(tee_str_t in, uint8_t *out,
    size_t *len);

/*
 * Reads a decimal number without sign, blank or needless zero.
 *
 * TEE_OK, TEE_MALFORMED, or TEE_LIMIT (over "max")
 */

TEE_MUST_CHECK tee_rc_t tee_decimal(tee_str_t in, uint64_t max, uint64_t *n);

/* Writes a big-endian number in decimal, without NUL; answers the length. */

size_t tee_u256_text(const uint8_t n[32], uint8_t text[TEE_U256_DIGITS]);

/* The reverse, with the rules of tee_decimal(). */

TEE_MUST_CHECK tee_rc_t tee_u256_parse(tee_str_t in, uint8_t n[32]);

/* The number, or UINT64_MAX if it is not below that. */

uint64_t tee_u256_saturate(const uint8_t n[32]);

/* 1 if "in" is UTF-8 as RFC 3629 has it: no overlong forms, surrogates, or
 * code points above U+10FFFF. */

int tee_utf8_valid(tee_str_t in);

/* 1 for the characters of a token, RFC 9110, 5.6.2. */

int tee_token_char(uint8_t ch);

/* 1 if "in" is a token: at least one of them, and nothing else. */

int tee_token_valid(tee_str_t in);

/* 1 if "in" is this text. */

int tee_text_is(tee_str_t in, const char *text);

/* As above, the letters of ASCII being equal in both cases. */

int tee_text_is_nocase(tee_str_t in, const char *text);


#endif /* TEE_TEXT_H_INCLUDED */
