
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <ngx_http_tee.h>
#include <tee_pin.h>


/*
 * Every TLS connection to a peer carries its pin, from before the handshake
 * to its end.  The verify callback ends a full handshake with any certificate
 * but the pinned one, before a byte of a request is sent.  The check before
 * the first byte of each request covers what never calls it: resumed sessions
 * and connections from a keepalive cache.
 *
 * Pins are public, so comparing them needs no constant time.
 */


static int ngx_http_tee_pin_verify(int ok, X509_STORE_CTX *store);
static void ngx_http_tee_pin_refused(ngx_http_tee_pin_t *pin,
    tee_pin_t result, u_char sha256[32]);
static ngx_int_t ngx_http_tee_pin_digest(X509 *cert, u_char sha256[32]);
static void ngx_http_tee_pin_cleanup(void *data);


static int          ngx_http_tee_pin_index = -1;
static ngx_queue_t  ngx_http_tee_pins;


/* Once per process image; reading a configuration again changes nothing. */

ngx_int_t
ngx_http_tee_pin_init(ngx_conf_t *cf)
{
    if (ngx_http_tee_pin_index != -1) {
        return NGX_OK;
    }

    ngx_http_tee_pin_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, NULL);

    if (ngx_http_tee_pin_index == -1) {
        ngx_ssl_error(NGX_LOG_EMERG, cf->log, 0,
                      "SSL_get_ex_new_index() failed");
        return NGX_ERROR;
    }

    ngx_queue_init(&ngx_http_tee_pins);

    return NGX_OK;
}


ngx_int_t
ngx_http_tee_pin_expect(ngx_connection_t *c, void *conf,
    ngx_http_tee_registry_t *reg, tee_snapshot_t *image,
    const tee_snapshot_entry_t *entry, ngx_str_t *peer)
{
    char                 name[256];
    tee_str_t            host;
    ngx_pool_cleanup_t  *cln;
    ngx_http_tee_pin_t  *pin;

    cln = ngx_pool_cleanup_add(c->pool, sizeof(ngx_http_tee_pin_t));
    if (cln == NULL) {
        return NGX_ERROR;
    }

    pin = cln->data;
    ngx_memzero(pin, sizeof(ngx_http_tee_pin_t));

    pin->connection = c;
    pin->conf = conf;
    pin->registry = reg;
    pin->entry = *entry;

    pin->peer.len = ngx_min(peer->len, NGX_SOCKADDR_STRLEN);
    pin->peer.data = pin->text;
    ngx_memcpy(pin->text, peer->data, pin->peer.len);

    ngx_queue_insert_tail(&ngx_http_tee_pins, &pin->queue);
    cln->handler = ngx_http_tee_pin_cleanup;

    if (SSL_set_ex_data(c->ssl->connection, ngx_http_tee_pin_index, pin) == 0)
    {
        ngx_ssl_error(NGX_LOG_ALERT, c->log, 0, "SSL_set_ex_data() failed");
        return NGX_ERROR;
    }

    SSL_set_verify(c->ssl->connection, SSL_VERIFY_PEER,
                   ngx_http_tee_pin_verify);

    if (SSL_set_min_proto_version(c->ssl->connection, TLS1_2_VERSION) == 0) {
        ngx_ssl_error(NGX_LOG_ERR, c->log, 0,
                      "SSL_set_min_proto_version() failed");
        return NGX_ERROR;
    }

    /* the endpoint's own name, whatever proxy_ssl_name says; no literals */

    host = tee_snapshot_str(image, entry->host);

    if (entry->host_form != TEE_HOST_NAME) {
        (void) SSL_set_tlsext_host_name(c->ssl->connection, NULL);
        return NGX_OK;
    }

    if (host.len >= sizeof(name)) {
        return NGX_ERROR;
    }

    ngx_memcpy(name, host.data, host.len);
    name[host.len] = '\0';

    if (SSL_set_tlsext_host_name(c->ssl->connection, name) == 0) {
        ngx_ssl_error(NGX_LOG_ERR, c->log, 0,
                      "SSL_set_tlsext_host_name(\"%s\") failed", name);
        return NGX_ERROR;
    }

    return NGX_OK;
}


/*
 * Called for every certificate of the chain and for every error in it; the
 * leaf alone decides.  That it has no known issuer, another name or another
 * purpose does not matter: the chain's registry vouches for exactly this one.
 */

static int
ngx_http_tee_pin_verify(int ok, X509_STORE_CTX *store)
{
    SSL                 *ssl;
    u_char               sha256[32];
    tee_pin_t            result;
    ngx_http_tee_pin_t  *pin;

    ssl = X509_STORE_CTX_get_ex_data(store,
                                     SSL_get_ex_data_X509_STORE_CTX_idx());
    pin = ssl ? SSL_get_ex_data(ssl, ngx_http_tee_pin_index) : NULL;

    if (pin == NULL
        || ngx_http_tee_pin_digest(X509_STORE_CTX_get0_cert(store), sha256)
           != NGX_OK)
    {
        X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION);
        return 0;
    }

    result = tee_pin_check(&pin->entry, sha256, ngx_time());

    if (result != TEE_PIN_MATCH) {

        if (!pin->mismatch) {
            pin->mismatch = 1;
            ngx_http_tee_pin_refused(pin, result, sha256);
        }

        X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION);
        return 0;
    }

    X509_STORE_CTX_set_error(store, X509_V_OK);

    return 1;
}


/*
 * One line says it all; nginx would log the failed handshake once more, as
 * critical.  This is the connection's last message, so one log serves all of
 * them in turn.
 */

static void
ngx_http_tee_pin_refused(ngx_http_tee_pin_t *pin, tee_pin_t result,
    u_char sha256[32])
{
    u_char  expected[65], presented[65], id[65];

    static ngx_log_t  quiet;

    ngx_http_tee_hex_id(id, pin->entry.tee_id);

    if (result == TEE_PIN_MISMATCH) {
        ngx_http_tee_count(NGX_HTTP_TEE_PIN_MISMATCH);
        ngx_http_tee_hex_id(expected, pin->entry.pin_sha256);
        ngx_http_tee_hex_id(presented, sha256);

        ngx_log_error(NGX_LOG_ERR, pin->connection->log, 0,
                      "tee pin: %V is not TEE 0x%s: expected certificate "
                      "SHA-256 %s, presented %s",
                      &pin->peer, id, expected, presented);

    } else {
        ngx_http_tee_count(NGX_HTTP_TEE_PIN_EXPIRED);

        ngx_log_error(NGX_LOG_ERR, pin->connection->log, 0,
                      "tee pin: certificate of TEE 0x%s at %V is %s",
                      id, &pin->peer, tee_pin_name(result));
    }

    quiet = *pin->connection->log;
    quiet.log_level = NGX_LOG_ALERT;

    pin->connection->log = &quiet;
}


static ngx_int_t
ngx_http_tee_pin_digest(X509 *cert, u_char sha256[32])
{
    unsigned  len;

    if (cert == NULL
        || X509_digest(cert, EVP_sha256(), sha256, &len) != 1
        || len != 32)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


ngx_http_tee_pin_t *
ngx_http_tee_pin_get(ngx_connection_t *c)
{
    if (c == NULL || c->ssl == NULL || ngx_http_tee_pin_index == -1) {
        return NULL;
    }

    return SSL_get_ex_data(c->ssl->connection, ngx_http_tee_pin_index);
}


/* For a connection from a cache: may it carry a request to this entry? */

ngx_int_t
ngx_http_tee_pin_reusable(ngx_http_tee_pin_t *pin, void *conf,
    const tee_snapshot_entry_t *entry)
{
    if (pin == NULL
        || !pin->verified
        || pin->conf != conf
        || ngx_memcmp(pin->entry.tee_id, entry->tee_id, 32) != 0
        || tee_pin_check(entry, pin->entry.pin_sha256, ngx_time())
           != TEE_PIN_MATCH)
    {
        return NGX_DECLINED;
    }

    return NGX_OK;
}


/* Before the first byte of a request. */

ngx_int_t
ngx_http_tee_pin_check(ngx_http_tee_pin_t *pin, ngx_connection_t *c,
    void *conf, const tee_snapshot_entry_t *entry, ngx_log_t *log)
{
    X509        *cert;
    u_char       sha256[32], id[65];
    ngx_int_t    rc;
    const char  *why;

    if (pin == NULL || !c->ssl->handshaked) {
        why = "carries no pin; does something replace TLS here?";
        goto failed;
    }

    if (pin->conf != conf
        || ngx_memcmp(pin->entry.tee_id, entry->tee_id, 32) != 0
        || ngx_memcmp(pin->entry.pin_sha256, entry->pin_sha256, 32) != 0)
    {
        why = "was made for another TEE, certificate or location";
        goto failed;
    }

    if (tee_pin_check(entry, pin->entry.pin_sha256, ngx_time())
        != TEE_PIN_MATCH)
    {
        ngx_http_tee_count(NGX_HTTP_TEE_PIN_EXPIRED);
        why = "has shown a certificate that is not valid now";
        goto failed;
    }

    if (pin->verified) {
        ngx_http_tee_count(NGX_HTTP_TEE_PIN_REUSED);
        return NGX_OK;
    }

    cert = SSL_get_peer_certificate(c->ssl->connection);
    rc = ngx_http_tee_pin_digest(cert, sha256);
    X509_free(cert);

    if (rc != NGX_OK
        || tee_pin_check(entry, sha256, ngx_time()) != TEE_PIN_MATCH)
    {
        why = "has not shown the pinned certificate";
        goto failed;
    }

    ngx_http_tee_count(SSL_session_reused(c->ssl->connection)
                       ? NGX_HTTP_TEE_PIN_RESUMED
                       : NGX_HTTP_TEE_PIN_HANDSHAKES);

    pin->verified = 1;

    return NGX_OK;

failed:

    ngx_http_tee_count(NGX_HTTP_TEE_PIN_UNVERIFIED);
    ngx_http_tee_hex_id(id, entry->tee_id);

    ngx_log_error(NGX_LOG_ERR, log, 0,
                  "tee pin: connection to TEE 0x%s %s; nothing was sent",
                  id, why);

    return NGX_ERROR;
}


void
ngx_http_tee_pin_sweep(ngx_http_tee_registry_t *reg, tee_snapshot_t *image)
{
    u_char                       id[65];
    ngx_queue_t                 *q, *next;
    ngx_http_tee_pin_t          *pin;
    const tee_snapshot_entry_t  *entry;

    if (ngx_http_tee_pin_index == -1) {
        return;
    }

    for (q = ngx_queue_head(&ngx_http_tee_pins);
         q != ngx_queue_sentinel(&ngx_http_tee_pins);
         q = next)
    {
        next = ngx_queue_next(q);
        pin = ngx_queue_data(q, ngx_http_tee_pin_t, queue);

        if (pin->registry != reg || !pin->connection->idle) {
            continue;
        }

        entry = tee_snapshot_find(image, pin->entry.tee_id);

        if (entry
            && ngx_memcmp(entry->pin_sha256, pin->entry.pin_sha256, 32) == 0)
        {
            continue;
        }

        ngx_http_tee_count(NGX_HTTP_TEE_PIN_CLOSED);
        ngx_http_tee_hex_id(id, pin->entry.tee_id);

        ngx_log_error(NGX_LOG_INFO, ngx_cycle->log, 0,
                      "tee pin: closing an idle connection of TEE 0x%s, "
                      "which the registry no longer has so", id);

        /* its cache sees the end and closes it, whichever cache that is */

        (void) shutdown(pin->connection->fd, SHUT_RDWR);
    }
}


static void
ngx_http_tee_pin_cleanup(void *data)
{
    ngx_http_tee_pin_t  *pin = data;

    ngx_queue_remove(&pin->queue);
}
