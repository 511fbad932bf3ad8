
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <string.h>

#include <tee_canon.h>
#include <tee_signed_members.h>
#include <tee_signed_output.h>
#include <tee_signed_write.h>


static tee_rc_t tee_signed_signable(const tee_json_t *root,
    tee_chat_endpoint_t endpoint);


tee_rc_t
tee_signed_make(tee_signed_t *s, const uint8_t request[32],
    const uint8_t output[32], uint64_t now, const uint8_t tee_id[32],
    const tee_sig_key_t *key)
{
    size_t     i;
    uint8_t    hash[32];
    tee_rc_t   rc;
    tee_str_t  msg;

    memset(s, 0, sizeof(tee_signed_t));

    memcpy(s->request_hash, request, 32);
    memcpy(s->output_hash, output, 32);
    memcpy(s->tee_id, tee_id, 32);

    for (i = 0; i < 8; i++) {
        s->timestamp[31 - i] = (uint8_t) (now >> 8 * i & 0xff);
    }

    tee_signed_msg_hash(request, output, s->timestamp, hash);

    msg.len = 32;
    msg.data = hash;

    rc = tee_sig_key_sign(key, msg, s->signature, &s->signature_len);

    if (rc != TEE_OK) {
        memset(s, 0, sizeof(tee_signed_t));
    }

    return rc;
}


tee_rc_t
tee_signed_body_begin(tee_str_t body, tee_chat_endpoint_t endpoint,
    const tee_alloc_t *alloc, uint8_t output[32], tee_write_t *w)
{
    tee_rc_t         rc;
    tee_json_doc_t   doc;

    memset(output, 0, 32);

    rc = tee_canon_parse_once(body, TEE_SIGNED_NODES, alloc, &doc);

    if (rc != TEE_OK) {
        return rc;
    }

    rc = tee_signed_signable(doc.root, endpoint);

    if (rc == TEE_OK) {
        rc = tee_signed_output(doc.root, endpoint, alloc, output);

        /* it is JSON, but nothing that has a hash */

        if (rc == TEE_MALFORMED) {
            rc = TEE_UNSUPPORTED;
        }
    }

    tee_json_free(&doc);

    if (rc == TEE_OK) {
        (void) tee_signed_strip(w, body);
        rc = tee_write_rc(w);
    }

    if (rc != TEE_OK) {
        memset(output, 0, 32);
    }

    return rc;
}


static tee_rc_t
tee_signed_signable(const tee_json_t *root, tee_chat_endpoint_t endpoint)
{
    tee_rc_t           rc;
    const tee_json_t  *v, *status;

    v = tee_canon_get(root, "error");

    if (root->type != TEE_JSON_OBJECT || (v && v->type != TEE_JSON_NULL)) {
        return TEE_UNSUPPORTED;
    }

    /* to who verifies it, this would be an answer in an envelope */

    v = tee_canon_get(root, "body");
    status = tee_canon_get(root, "status");

    if (v && v->type == TEE_JSON_OBJECT && status && tee_canon_int(status)) {
        return TEE_UNSUPPORTED;
    }

    if (endpoint == TEE_CHAT_WEB_SEARCH) {
        v = tee_canon_get(root, "content");

        return v ? TEE_OK : TEE_UNSUPPORTED;
    }

    rc = tee_signed_only(root, endpoint == TEE_CHAT ? "message" : "text", &v);

    return rc == TEE_OK && v == NULL ? TEE_UNSUPPORTED : rc;
}


void
tee_signed_body_end(tee_write_t *w, const tee_signed_t *s)
{
    size_t     i;
    uint8_t    ch;

    /* only an object that is empty ends with its first brace */

    ch = 0;

    for (i = w->len; i > 0; i--) {
        ch = w->data[i - 1];

        if (ch != ' ' && ch != '\t' && ch != '\r' && ch != '\n') {
            break;
        }
    }

    tee_signed_members_write(w, s, ch != '{', 0);
    tee_write_u8(w, '}');
}
