
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <string.h>

#include <tee_crypto.h>
#include <tee_schedule.h>
#include <tee_write.h>


#define TEE_SCHEDULE_MAX       ((uint64_t) 1 << 32)
#define TEE_SCHEDULE_MAX_NAME  255


static tee_rc_t tee_schedule_hmac(tee_str_t key, tee_str_t msg,
    uint8_t mac[32]);


static const char  tee_schedule_label[] = "tee gateway key";


tee_rc_t
tee_schedule_check(const tee_schedule_t *s)
{
    uint64_t  more;

    if (s->rotate == 0
        || s->rotate > TEE_SCHEDULE_MAX
        || s->accept > TEE_SCHEDULE_MAX
        || s->announce >= s->rotate)
    {
        return TEE_LIMIT;
    }

    /* the one that is active, and those before and after it */

    more = s->announce + s->accept;

    return more / s->rotate + (more % s->rotate != 0) + 1 > 256 ? TEE_LIMIT
                                                                : TEE_OK;
}


void
tee_schedule_live(const tee_schedule_t *s, uint64_t now, uint64_t *first,
    uint64_t *last)
{
    *first = now < s->accept ? 0 : (now - s->accept) / s->rotate;
    *last = (now + s->announce) / s->rotate;
}


tee_key_state_t
tee_schedule_state(const tee_schedule_t *s, uint64_t epoch, uint64_t now)
{
    uint64_t  first, last, active;

    tee_schedule_live(s, now, &first, &last);

    if (epoch < first || epoch > last) {
        return TEE_KEY_DESTROYED;
    }

    active = now / s->rotate;

    if (epoch == active) {
        return TEE_KEY_ACTIVE;
    }

    return epoch < active ? TEE_KEY_ACCEPTED : TEE_KEY_ANNOUNCED;
}


void
tee_schedule_list(const tee_schedule_t *s, uint64_t now, uint64_t *since,
    uint64_t *until)
{
    uint64_t  start, end, announced;

    start = now - now % s->rotate;
    end = start + s->rotate;
    announced = end - s->announce;

    if (now < announced) {
        *since = start;
        *until = announced;

    } else {
        *since = announced;
        *until = end;
    }
}


uint64_t
tee_schedule_next(const tee_schedule_t *s, uint64_t now)
{
    uint64_t  first, last, since, until, destroyed;

    tee_schedule_list(s, now, &since, &until);
    tee_schedule_live(s, now, &first, &last);

    destroyed = (first + 1) * s->rotate + s->accept;

    return destroyed < until ? destroyed : until;
}


uint8_t
tee_schedule_id(uint64_t epoch)
{
    return (uint8_t) epoch;
}


tee_rc_t
tee_schedule_ikm(tee_str_t seed, tee_str_t name, uint16_t kem, uint64_t epoch,
    uint8_t ikm[32])
{
    uint8_t      buf[sizeof(tee_schedule_label) + TEE_SCHEDULE_MAX_NAME + 11];
    unsigned     i;
    tee_str_t    msg;
    tee_write_t  w;

    memset(ikm, 0, 32);

    if (name.len > TEE_SCHEDULE_MAX_NAME) {
        return TEE_LIMIT;
    }

    tee_write_fixed(&w, buf, sizeof(buf));
    tee_write_bytes(&w, tee_schedule_label, sizeof(tee_schedule_label));
    tee_write_bytes(&w, name.data, name.len);
    tee_write_u8(&w, 0);
    tee_write_u16(&w, kem);

    for (i = 0; i < 4; i++) {
        tee_write_u16(&w, (uint16_t) (epoch >> (48 - 16 * i)));
    }

    msg.data = buf;
    msg.len = w.len;

    return tee_schedule_hmac(seed, msg, ikm);
}


/* HMAC-SHA256, RFC 2104; "msg" is not longer than what is above. */

static tee_rc_t
tee_schedule_hmac(tee_str_t key, tee_str_t msg, uint8_t mac[32])
{
    size_t     i;
    uint8_t    block[64], inner[512], outer[96];
    tee_rc_t   rc;
    tee_str_t  in;

    memset(block, 0, sizeof(block));

    if (key.len > sizeof(block)) {
        rc = tee_sha256(key, block);

        if (rc != TEE_OK) {
            return rc;
        }

    } else if (key.len) {
        memcpy(block, key.data, key.len);
    }

    for (i = 0; i < sizeof(block); i++) {
        inner[i] = block[i] ^ 0x36;
        outer[i] = block[i] ^ 0x5c;
    }

    memcpy(inner + 64, msg.data, msg.len);

    in.data = inner;
    in.len = 64 + msg.len;

    rc = tee_sha256(in, outer + 64);

    if (rc == TEE_OK) {
        in.data = outer;
        in.len = sizeof(outer);

        rc = tee_sha256(in, mac);
    }

    tee_wipe(block, sizeof(block));
    tee_wipe(inner, sizeof(inner));
    tee_wipe(outer, sizeof(outer));

    return rc;
}
