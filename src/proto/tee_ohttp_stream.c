
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <string.h>

#include <tee_ohttp_stream.h>
#include <tee_write.h>


/* The first buffer, if no more is known to come. */

#define TEE_OHTTP_ROOM       1024

/* What is larger grows in longer steps. */

#define TEE_OHTTP_MOVED      ((size_t) 1 << 20)

#define TEE_OHTTP_MAX_CHUNK  ((size_t) 1 << 30)


typedef enum {
    TEE_OHTTP_LENGTH = 0,
    TEE_OHTTP_CONTENT,                         /* of a chunk */
    TEE_OHTTP_TAG,
    TEE_OHTTP_LAST,                            /* to the end of the input */
    TEE_OHTTP_DONE
} tee_ohttp_state_t;


static tee_rc_t tee_ohttp_stream_length(tee_ohttp_stream_t *s, tee_str_t *in);
static tee_rc_t tee_ohttp_stream_begin(tee_ohttp_stream_t *s);
static tee_rc_t tee_ohttp_stream_content(tee_ohttp_stream_t *s, tee_str_t *in);
static tee_rc_t tee_ohttp_stream_tag(tee_ohttp_stream_t *s, tee_str_t *in,
    tee_str_t *plain);
static tee_rc_t tee_ohttp_stream_last(tee_ohttp_stream_t *s, tee_str_t *in);
static tee_rc_t tee_ohttp_stream_open(tee_ohttp_stream_t *s, tee_str_t in);
static tee_rc_t tee_ohttp_stream_room(tee_ohttp_stream_t *s, size_t len);
static void tee_ohttp_stream_drop(tee_ohttp_stream_t *s);


static const tee_str_t  tee_ohttp_none = { 0, NULL };
static const tee_str_t  tee_ohttp_final = tee_string("final");


void
tee_ohttp_stream_init(tee_ohttp_stream_t *s, const tee_alloc_t *alloc,
    int chunked, size_t max)
{
    memset(s, 0, sizeof(tee_ohttp_stream_t));

    s->alloc = alloc;
    s->chunked = chunked ? 1 : 0;
    s->max = max;
    s->state = chunked ? TEE_OHTTP_LENGTH : TEE_OHTTP_LAST;
}


void
tee_ohttp_stream_free(tee_ohttp_stream_t *s)
{
    tee_aead_free(&s->aead);
    tee_ohttp_stream_drop(s);
    tee_wipe(s->hold, sizeof(s->hold));
}


tee_rc_t
tee_ohttp_stream_fail(tee_ohttp_stream_t *s, tee_rc_t rc)
{
    tee_ohttp_stream_free(s);
    s->rc = rc;

    return rc;
}


tee_rc_t
tee_ohttp_stream_read(tee_ohttp_stream_t *s, tee_str_t *in, tee_str_t *plain)
{
    tee_rc_t  rc;

    *plain = tee_ohttp_none;

    rc = s->rc;

    while (rc == TEE_OK && in->len && plain->len == 0) {

        switch (s->state) {

        case TEE_OHTTP_LENGTH:
            rc = tee_ohttp_stream_length(s, in);
            break;

        case TEE_OHTTP_CONTENT:
            rc = tee_ohttp_stream_content(s, in);
            break;

        case TEE_OHTTP_TAG:
            rc = tee_ohttp_stream_tag(s, in, plain);
            break;

        case TEE_OHTTP_LAST:
            rc = tee_ohttp_stream_last(s, in);
            break;

        default:
            /* there is nothing behind the end */
            rc = TEE_CRYPTO;
        }
    }

    if (rc != TEE_OK && s->rc == TEE_OK) {
        *plain = tee_ohttp_none;
        return tee_ohttp_stream_fail(s, rc);
    }

    return rc;
}


/* A varint of any width; chunked-08, 3. */

static tee_rc_t
tee_ohttp_stream_length(tee_ohttp_stream_t *s, tee_str_t *in)
{
    size_t  width;

    if (s->nhold == 0) {
        s->left = 0;
    }

    do {
        s->left = s->left << 8 | in->data[0];
        s->hold[s->nhold++] = in->data[0];
        in->len--;
        in->data++;

        width = (size_t) 1 << (s->hold[0] >> 6);

    } while (in->len && s->nhold < width);

    if (s->nhold < width) {
        return TEE_OK;
    }

    s->nhold = 0;
    s->left &= UINT64_MAX >> (64 - 8 * width + 2);

    if (s->left == 0) {
        s->state = TEE_OHTTP_LAST;
        return TEE_OK;
    }

    /* chunked-08, 6: without content, only the final chunk */

    if (s->left <= TEE_AEAD_TAG_LEN) {
        return TEE_CRYPTO;
    }

    s->left -= TEE_AEAD_TAG_LEN;

    if (s->left > s->max) {
        return TEE_LIMIT;
    }

    s->state = TEE_OHTTP_CONTENT;

    return tee_ohttp_stream_begin(s);
}


static tee_rc_t
tee_ohttp_stream_begin(tee_ohttp_stream_t *s)
{
    s->len = 0;

    return tee_aead_begin(&s->aead,
                          s->chunked && s->state == TEE_OHTTP_LAST
                          ? tee_ohttp_final : tee_ohttp_none);
}


static tee_rc_t
tee_ohttp_stream_content(tee_ohttp_stream_t *s, tee_str_t *in)
{
    tee_rc_t   rc;
    tee_str_t  part;

    part.len = in->len < s->left ? in->len : (size_t) s->left;
    part.data = in->data;

    rc = tee_ohttp_stream_open(s, part);

    if (rc != TEE_OK) {
        return rc;
    }

    in->len -= part.len;
    in->data += part.len;
    s->left -= part.len;

    if (s->left == 0) {
        s->state = TEE_OHTTP_TAG;
    }

    return TEE_OK;
}


static tee_rc_t
tee_ohttp_stream_tag(tee_ohttp_stream_t *s, tee_str_t *in, tee_str_t *plain)
{
    size_t    n;
    tee_rc_t  rc;

    n = (size_t) TEE_AEAD_TAG_LEN - s->nhold;
    n = in->len < n ? in->len : n;

    memcpy(s->hold + s->nhold, in->data, n);

    in->len -= n;
    in->data += n;
    s->nhold = (uint8_t) (s->nhold + n);

    if (s->nhold < TEE_AEAD_TAG_LEN) {
        return TEE_OK;
    }

    s->nhold = 0;
    s->state = TEE_OHTTP_LENGTH;

    rc = tee_aead_open_end(&s->aead, s->hold);

    if (rc == TEE_OK) {
        plain->len = s->len;
        plain->data = s->data;
    }

    return rc;
}


/* The last bytes of the input are the tag, so as many are held back. */

static tee_rc_t
tee_ohttp_stream_last(tee_ohttp_stream_t *s, tee_str_t *in)
{
    size_t     n, held;
    tee_rc_t   rc;
    tee_str_t  part;

    /* the nonce of a message is used up when its first byte is here */

    if (s->nhold == 0) {
        rc = tee_ohttp_stream_begin(s);

        if (rc != TEE_OK) {
            return rc;
        }
    }

    rc = TEE_OK;

    n = s->nhold + in->len;
    n = n > TEE_AEAD_TAG_LEN ? n - TEE_AEAD_TAG_LEN : 0;

    held = n < s->nhold ? n : s->nhold;

    if (held) {
        part.len = held;
        part.data = s->hold;
        rc = tee_ohttp_stream_open(s, part);

        s->nhold = (uint8_t) (s->nhold - held);
        memmove(s->hold, s->hold + held, s->nhold);
    }

    n -= held;

    if (n && rc == TEE_OK) {
        part.len = n;
        part.data = in->data;
        rc = tee_ohttp_stream_open(s, part);

        in->len -= n;
        in->data += n;
    }

    if (rc == TEE_OK) {
        memcpy(s->hold + s->nhold, in->data, in->len);

        s->nhold = (uint8_t) (s->nhold + in->len);
        in->data += in->len;
        in->len = 0;
    }

    return rc;
}


static tee_rc_t
tee_ohttp_stream_open(tee_ohttp_stream_t *s, tee_str_t in)
{
    tee_rc_t  rc;

    if (in.len > s->max - s->len) {
        return TEE_LIMIT;
    }

    rc = tee_ohttp_stream_room(s, in.len);

    if (rc != TEE_OK) {
        return rc;
    }

    if (s->used < s->len + in.len) {
        s->used = s->len + in.len;
    }

    rc = tee_aead_update(&s->aead, in, s->data + s->len);

    if (rc == TEE_OK) {
        s->len += in.len;
    }

    return rc;
}


tee_rc_t
tee_ohttp_stream_end(tee_ohttp_stream_t *s, tee_str_t *plain)
{
    tee_rc_t  rc;

    *plain = tee_ohttp_none;

    if (s->rc != TEE_OK) {
        return s->rc;
    }

    if (s->state != TEE_OHTTP_LAST || s->nhold < TEE_AEAD_TAG_LEN) {
        return tee_ohttp_stream_fail(s, TEE_INCOMPLETE);
    }

    rc = tee_aead_open_end(&s->aead, s->hold);

    if (rc != TEE_OK) {
        return tee_ohttp_stream_fail(s, rc);
    }

    tee_aead_free(&s->aead);

    s->state = TEE_OHTTP_DONE;

    plain->len = s->len;
    plain->data = s->data;

    return TEE_OK;
}


/* Room for more; what has been opened is not left behind anywhere. */

static tee_rc_t
tee_ohttp_stream_room(tee_ohttp_stream_t *s, size_t len)
{
    size_t    room, used;
    uint8_t  *data;

    used = s->len;

    if (len <= s->room - used) {
        return TEE_OK;
    }

    room = s->room > s->max / 2 ? s->max : s->room * 2;

    if (room < TEE_OHTTP_ROOM) {
        room = s->max < TEE_OHTTP_ROOM ? s->max : TEE_OHTTP_ROOM;
    }

    if (room < used + len) {
        room = used + len;
    }

    /* moving it takes long; what is not touched takes no memory */

    if (room > TEE_OHTTP_MOVED) {
        room = room > s->max / 16 ? s->max : room * 16;
    }

    data = s->alloc->alloc(s->alloc->ctx, room);
    if (data == NULL) {
        return TEE_NOMEM;
    }

    if (used) {
        memcpy(data, s->data, used);
    }

    tee_ohttp_stream_drop(s);

    s->data = data;
    s->len = used;
    s->used = used;
    s->room = room;

    return TEE_OK;
}


static void
tee_ohttp_stream_drop(tee_ohttp_stream_t *s)
{
    if (s->data) {
        tee_wipe(s->data, s->used);
        s->alloc->free(s->alloc->ctx, s->data);
    }

    s->data = NULL;
    s->len = 0;
    s->used = 0;
    s->room = 0;
}


tee_rc_t
tee_ohttp_seal_update(tee_ohttp_seal_t *s, tee_str_t in, uint8_t *out)
{
    tee_rc_t  rc;

    if (s->chunked) {
        return TEE_LIMIT;
    }

    if (!s->begun) {
        rc = tee_aead_begin(&s->aead, tee_ohttp_none);

        if (rc != TEE_OK) {
            return rc;
        }

        s->begun = 1;
    }

    return tee_aead_update(&s->aead, in, out);
}


tee_rc_t
tee_ohttp_seal_end(tee_ohttp_seal_t *s, uint8_t tag[TEE_AEAD_TAG_LEN])
{
    tee_rc_t  rc;

    memset(tag, 0, TEE_AEAD_TAG_LEN);

    rc = tee_ohttp_seal_update(s, tee_ohttp_none, NULL);

    if (rc == TEE_OK) {
        rc = tee_aead_seal_end(&s->aead, tag);

        /* a second message would be sealed with another nonce, but nobody
         * would open it */

        tee_aead_free(&s->aead);
    }

    return rc;
}


tee_rc_t
tee_ohttp_seal_chunk(tee_ohttp_seal_t *s, tee_str_t in, int final,
    uint8_t *out, size_t *len)
{
    uint8_t      tag[TEE_AEAD_TAG_LEN];
    tee_rc_t     rc;
    tee_write_t  w;

    *len = 0;

    if (!s->chunked || in.len > TEE_OHTTP_MAX_CHUNK) {
        return TEE_LIMIT;
    }

    if (in.len == 0 && !final) {
        return TEE_MALFORMED;
    }

    rc = tee_aead_begin(&s->aead, final ? tee_ohttp_final : tee_ohttp_none);

    if (rc != TEE_OK) {
        return rc;
    }

    tee_write_fixed(&w, out, in.len + TEE_OHTTP_CHUNK_EXTRA);
    tee_write_varint(&w, final ? 0 : in.len + TEE_AEAD_TAG_LEN);

    rc = tee_aead_update(&s->aead, in, out + w.len);

    if (rc == TEE_OK) {
        rc = tee_aead_seal_end(&s->aead, tag);
    }

    if (rc != TEE_OK) {
        return rc;
    }

    memcpy(out + w.len + in.len, tag, TEE_AEAD_TAG_LEN);
    *len = w.len + in.len + TEE_AEAD_TAG_LEN;

    if (final) {
        tee_aead_free(&s->aead);
    }

    return TEE_OK;
}
