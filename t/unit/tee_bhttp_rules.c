
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <string.h>

#include <tee_bhttp_rules.h>

#include "unit.h"


#define ALNUM                                                                 \
    "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

/* RFC 9110, 5.6.2 */
#define TOKEN  ALNUM "!#$%&'*+-.^_`|~"

/* RFC 3986, 3.2.2 and 3.2.3 */
#define HOST   ALNUM "-._~%!$&'()*+,;=:[]"


static int
rules_in(const char *set, unsigned ch)
{
    return ch != '\0' && strchr(set, (int) ch) != NULL;
}


/* Control data in copies of their exact size. */

static tee_rc_t
rules_request(tee_str_t method, const char *scheme, tee_str_t authority,
    tee_str_t path)
{
    tee_rc_t          rc;
    tee_bhttp_read_t  b;

    memset(&b, 0, sizeof(tee_bhttp_read_t));

    b.request = 1;
    b.method = unit_copy(method.data, method.len);
    b.scheme = unit_copy(scheme, strlen(scheme));
    b.authority = unit_copy(authority.data, authority.len);
    b.path = unit_copy(path.data, path.len);

    rc = tee_bhttp_check_request(&b);

    unit_free(b.method);
    unit_free(b.scheme);
    unit_free(b.authority);
    unit_free(b.path);

    return rc;
}


static void
rules_requests(void)
{
    size_t  i;

    static const struct {
        const char  *method;
        const char  *scheme;
        const char  *authority;
        const char  *path;
        unsigned     good;
    } cases[] = {
        { "GET", "https", "a", "/", 1 },
        { "GET", "http", "", "/", 1 },
        { "GET", "https", "[::1]:1", "/?", 1 },
        { "get", "https", "a", "//", 1 },
        { "OPTIONS", "https", "a", "*", 1 },
        { "OPTIONS", "https", "a", "/", 1 },
        { "CONNECT", "", "a:1", "", 1 },
        { "CONNECT", "https", "a", "/", 1 },

        { "", "https", "a", "/", 0 },
        { "", "", "a", "", 0 },
        { "GET", "", "a", "/", 0 },
        { "GET", "https", "a", "", 0 },
        { "GET", "", "a", "", 0 },
        { "GET", "httpss", "a", "/", 0 },
        { "GET", "HTTP", "a", "/", 0 },
        { "GET", "ftp", "a", "/", 0 },
        { "GET", "https", "a@b", "/", 0 },
        { "GET", "https", "a", "*", 0 },
        { "GET", "https", "a", "a/", 0 },
        { "options", "https", "a", "*", 0 },
        { "OPTIONS", "https", "a", "**", 0 },
        { "OPTIONS", "", "a", "", 0 },
        { "CONNECT", "", "", "", 0 },
        { "CONNECT", "", "a", "/", 0 },
        { "CONNECT", "https", "a", "", 0 },
        { "CONNECT", "", "a b", "", 0 },
        { "connect", "", "a", "", 0 },
        { "CONNECTS", "", "a", "", 0 }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        unit_ok(rules_request(unit_text(cases[i].method), cases[i].scheme,
                              unit_text(cases[i].authority),
                              unit_text(cases[i].path))
                == (cases[i].good ? TEE_OK : TEE_MALFORMED),
                "\"%s\" \"%s\" \"%s\" \"%s\" is %s", cases[i].method,
                cases[i].scheme, cases[i].authority, cases[i].path,
                cases[i].good ? "a request" : "none");
    }
}


/* Every byte, at the front, in the middle and at the end. */

static void
rules_bytes(void)
{
    size_t     at;
    uint8_t    text[4];
    unsigned   ch, method, authority, path;
    tee_str_t  s, get, a, root;

    get = unit_text("GET");
    a = unit_text("a");
    root = unit_text("/");

    method = 0;
    authority = 0;
    path = 0;

    for (ch = 0; ch < 256; ch++) {

        for (at = 0; at < 4; at++) {
            memcpy(text, "/aaa", 4);
            text[at] = (uint8_t) ch;

            /* without what only a path begins with */

            s.len = at == 0 ? 4 : 3;
            s.data = at == 0 ? text : text + 1;

            method += (rules_request(s, "https", a, root) == TEE_OK)
                      != rules_in(TOKEN, ch);
            authority += (rules_request(get, "https", s, root) == TEE_OK)
                         != rules_in(HOST, ch);

            s.len = 4;
            s.data = text;

            path += (rules_request(get, "https", a, s) == TEE_OK)
                    != (at == 0 ? ch == '/'
                                : ch > ' ' && ch != 0x7f && ch != '#');
        }
    }

    unit_ok(method == 0, "the bytes of a method");
    unit_ok(authority == 0, "the bytes of an authority");
    unit_ok(path == 0, "the bytes of a path");
}


static tee_rc_t
rules_field(tee_bhttp_read_t *b, tee_str_t name, tee_str_t value)
{
    tee_rc_t  rc;

    b->name = unit_copy(name.data, name.len);
    b->value = unit_copy(value.data, value.len);

    rc = tee_bhttp_check_field(b);

    unit_free(b->name);
    unit_free(b->value);

    return rc;
}


/* A field alone. */

static tee_rc_t
rules_alone(tee_str_t name, tee_str_t value)
{
    tee_bhttp_read_t  b;

    memset(&b, 0, sizeof(tee_bhttp_read_t));

    return rules_field(&b, name, value);
}


static void
rules_field_bytes(void)
{
    size_t     at;
    uint8_t    text[4];
    unsigned   ch, name, pseudo, value, blank;
    tee_str_t  s, a;

    a = unit_text("a");

    name = 0;
    pseudo = 0;
    value = 0;

    for (ch = 0; ch < 256; ch++) {
        blank = ch == ' ' || ch == '\t';

        for (at = 0; at < 3; at++) {
            memcpy(text, ":aaa", 4);
            text[1 + at] = (uint8_t) ch;

            s.len = 4;
            s.data = text;

            pseudo += (rules_alone(s, a) == TEE_OK) != rules_in(TOKEN, ch);

            s.len = 3;
            s.data = text + 1;

            /* with a colon in front it is of the other kind */

            name += (rules_alone(s, a) == TEE_OK)
                    != (rules_in(TOKEN, ch) || (ch == ':' && at == 0));

            value += (rules_alone(a, s) == TEE_OK)
                     != (ch != '\0' && ch != '\r' && ch != '\n'
                         && (at == 1 || !blank));
        }

        s.len = 1;
        s.data = text + 1;
        text[1] = (uint8_t) ch;

        name += (rules_alone(s, a) == TEE_OK) != rules_in(TOKEN, ch);
        value += (rules_alone(a, s) == TEE_OK)
                 != (ch != '\0' && ch != '\r' && ch != '\n' && !blank);
    }

    unit_ok(name == 0, "the bytes of a name");
    unit_ok(pseudo == 0, "the bytes of the name of a pseudo-field");
    unit_ok(value == 0, "the bytes of a value");
    unit_ok(rules_alone(a, unit_text("")) == TEE_OK, "an empty value");
}


/* Which fields follow which. */

static void
rules_order(void)
{
    size_t             i, n;
    tee_rc_t           rc;
    tee_bhttp_read_t   b;

    static const struct {
        const char  *name;
        unsigned     request;
        unsigned     trailer;
        const char  *fields[4];
        size_t       good;
    } cases[] = {
        { "pseudo-fields come first", 1, 0, { ":p", ":q", "a" }, 3 },
        { "and not later", 1, 0, { ":p", "a", ":q" }, 2 },
        { "nor in a response", 0, 0, { "a", ":q" }, 1 },
        { "nor in trailers", 1, 1, { ":p" }, 0 },
        { "there others may be", 1, 1, { "a", "b", "a" }, 3 },
        { "one host", 1, 0, { "a", "host", "hosts" }, 3 },
        { "not two", 1, 0, { "host", "a", "HoSt" }, 2 },
        { "not in trailers either", 1, 1, { "host", "host" }, 1 },
        { "names that begin as it does", 1, 0, { "hos", "host", "host2" }, 3 },
        { "as many as it likes, in a response", 0, 0, { "host", "host" }, 2 },
        { ":method", 1, 0, { ":method" }, 0 },
        { ":METHOD", 0, 0, { ":METHOD" }, 0 },
        { ":scheme", 1, 0, { ":Scheme" }, 0 },
        { ":authority", 1, 0, { ":authoritY" }, 0 },
        { ":path", 1, 0, { ":pAth" }, 0 },
        { ":status", 0, 0, { ":status" }, 0 },
        { "names that are almost known", 1, 0, { ":methods", ":metho",
          ":protocol" }, 3 }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        memset(&b, 0, sizeof(tee_bhttp_read_t));

        b.request = cases[i].request;
        b.trailer = cases[i].trailer;

        rc = TEE_OK;

        for (n = 0; n < 4 && cases[i].fields[n]; n++) {
            rc = rules_field(&b, unit_text(cases[i].fields[n]),
                             unit_text("v"));

            if (rc != TEE_OK) {
                break;
            }
        }

        unit_ok(n == cases[i].good
                && rc == (cases[i].fields[n] && n < 4 ? TEE_MALFORMED
                                                      : TEE_OK),
                "%s", cases[i].name);
    }
}


int
main(void)
{
    rules_requests();
    rules_bytes();
    rules_field_bytes();
    rules_order();

    return unit_done();
}
