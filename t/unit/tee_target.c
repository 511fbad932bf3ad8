
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <string.h>

#include <tee_target.h>

#include "unit.h"


typedef struct {
    const char           *text;
    const char           *scheme;
    const char           *host;
    unsigned              port;
} target_good_t;


static const target_good_t  target_good[] = {
    { "api.example", "https", "api.example", 443 },
    { "API.Example", "https", "api.example", 443 },
    { "https://api.example", "https", "api.example", 443 },
    { "HTTPS://api.example:8443", "https", "api.example", 8443 },
    { "http://api.example", "http", "api.example", 80 },
    { "http://api.example:443", "http", "api.example", 443 },
    { "https://api.example:80", "https", "api.example", 80 },
    { "localhost:65535", "https", "localhost", 65535 },
    { "http", "https", "http", 443 },
    { "https", "https", "https", 443 },
    { "http:81", "https", "http", 81 },
    { "127.0.0.1", "https", "127.0.0.1", 443 },
    { "[::1]", "https", "[::1]", 443 },
    { "http://[2001:DB8::A]:81", "http", "[2001:db8::a]", 81 }
};


static const char *const  target_bad[] = {
    "", "http://", "https://", "//a", "ftp://a", "https:a", "https:/a",
    "a/", "a/b", "https://a/", "https://a//", "a?", "a#b", "u@a", "u:p@a",
    "a:", "a:0", "a:65536", "a:080", "a:8x", "a: 80", "a:-1", "a:80:80",
    ".a", "a.", "a..b", "-a", "a b", "a\\b", "a%2e", "\xc3\xa9", "*",
    "127.1", "0x7f000001", "127.0.0.256", "::1", "[::1", "[::1]x", "[]",
    "[::1%lo]", "[127.0.0.1]", "https://https://a"
};


static const char *const  target_bad_paths[] = {
    "", "v1", "/v1?", "/v1#", "/%76", "/v1\\", "/a b", "/a\x7f", "/a\n",
    "/.", "/..", "/a/./b", "/a/../b", "/a/..", "/..;x/b", "/.;"
};


static tee_rc_t
target_parse(const char *text, const char *path, uint8_t **copy,
    tee_target_t *target)
{
    tee_str_t  s;

    s = unit_copy(text, strlen(text));
    *copy = (uint8_t *) (uintptr_t) s.data;

    return tee_target_parse(*copy, s.len, unit_text(path), target);
}


static int
target_none(const tee_target_t *t)
{
    return t->scheme.len == 0 && t->host.len == 0 && t->port == 0
           && t->path.len == 0;
}


static void
target_parsing(void)
{
    char                  text[1024];
    size_t                i;
    uint8_t              *p;
    tee_rc_t              rc;
    tee_str_t             s;
    tee_target_t          t;
    const target_good_t  *c;

    for (i = 0; i < sizeof(target_good) / sizeof(target_good[0]); i++) {
        c = &target_good[i];
        rc = target_parse(c->text, "/v1/", &p, &t);

        unit_ok(rc == TEE_OK && unit_is(t.scheme, c->scheme)
                && unit_is(t.host, c->host) && t.port == c->port
                && unit_is(t.path, "/v1/"), "%s", c->text);

        s.data = p;
        unit_free(s);
    }

    for (i = 0; i < sizeof(target_bad) / sizeof(target_bad[0]); i++) {
        rc = target_parse(target_bad[i], "/", &p, &t);

        unit_ok(rc == TEE_MALFORMED && target_none(&t), "\"%s\" is none",
                target_bad[i]);

        s.data = p;
        unit_free(s);
    }

    for (i = 0; i < sizeof(target_bad_paths) / sizeof(target_bad_paths[0]);
         i++)
    {
        rc = target_parse("a", target_bad_paths[i], &p, &t);

        unit_ok(rc == TEE_MALFORMED && target_none(&t), "path %u is bad",
                (unsigned) i);

        s.data = p;
        unit_free(s);
    }

    memset(text, 'a', sizeof(text));
    text[sizeof(text) - 1] = '\0';

    rc = target_parse(text, "/", &p, &t);
    unit_ok(rc == TEE_MALFORMED && target_none(&t), "a long host");
    s.data = p;
    unit_free(s);

    rc = target_parse("a", "/a/.b/..c/...", &p, &t);
    unit_ok(rc == TEE_OK, "dots that are no segments");
    s.data = p;
    unit_free(s);
}


typedef struct {
    const char           *target;
    const char           *prefix;
    const char           *scheme;
    const char           *authority;
    const char           *path;
    const char           *raw;                 /* NULL: the path */
    int                   match;
} target_case_t;


static const target_case_t  target_cases[] = {
    { "a", "/", "https", "a", "/", NULL, 1 },
    { "a", "/", "https", "A", "/x", NULL, 1 },
    { "a", "/", "https", "a:443", "/", NULL, 1 },
    { "a", "/", "https", "a:", "/", NULL, 1 },
    { "a", "/", "https", "a:0443", "/", NULL, 1 },
    { "a", "/", "https", "a:80", "/", NULL, 0 },
    { "a", "/", "http", "a", "/", NULL, 0 },
    { "a", "/", "http", "a:443", "/", NULL, 0 },
    { "a", "/", "", "a", "/", NULL, 0 },
    { "a", "/", "https", "", "/", NULL, 0 },
    { "a", "/", "https", ":443", "/", NULL, 0 },
    { "a", "/", "https", "b", "/", NULL, 0 },
    { "a", "/", "https", "a.", "/", NULL, 0 },
    { "a", "/", "https", "aa", "/", NULL, 0 },
    { "a", "/", "https", "b@a", "/", NULL, 0 },
    { "a", "/", "https", "a@b", "/", NULL, 0 },
    { "a", "/", "https", "a:443@b", "/", NULL, 0 },
    { "a", "/", "https", "a:443:443", "/", NULL, 0 },
    { "a", "/", "https", "a:65979", "/", NULL, 0 },
    { "a", "/", "https", "a:18446744073709552059", "/", NULL, 0 },
    { "a", "/", "https", "a:443x", "/", NULL, 0 },
    { "a", "/", "https", "a:+443", "/", NULL, 0 },
    { "a", "/", "https", "[a]", "/", NULL, 0 },
    { "a", "/", "https", "a", "/x", "/%2f\\", 1 },
    { "http://a", "/", "http", "a:80", "/", NULL, 1 },
    { "http://a", "/", "http", "a", "/", NULL, 1 },
    { "http://a", "/", "https", "a", "/", NULL, 0 },
    { "http://a:81", "/", "http", "a:81", "/", NULL, 1 },
    { "http://a:81", "/", "http", "a", "/", NULL, 0 },
    { "[::1]", "/", "https", "[::1]", "/", NULL, 1 },
    { "[::1]", "/", "https", "[0:0::0001]:443", "/", NULL, 1 },
    { "[::a]", "/", "https", "[::A]", "/", NULL, 1 },
    { "[::1]", "/", "https", "[::2]", "/", NULL, 0 },
    { "[::1]", "/", "https", "[::1", "/", NULL, 0 },
    { "[::1]", "/", "https", "::1", "/", NULL, 0 },
    { "[::1]", "/", "https", "[", "/", NULL, 0 },
    { "[::1]", "/", "https", "[::1]443", "/", NULL, 0 },
    { "127.0.0.1", "/", "https", "127.0.0.1", "/", NULL, 1 },
    { "127.0.0.1", "/", "https", "127.1", "/", NULL, 0 },

    { "a", "/v1", "https", "a", "/v1", NULL, 1 },
    { "a", "/v1", "https", "a", "/v1/", NULL, 1 },
    { "a", "/v1", "https", "a", "/v1/x", NULL, 1 },
    { "a", "/v1", "https", "a", "/v10", NULL, 0 },
    { "a", "/v1", "https", "a", "/v", NULL, 0 },
    { "a", "/v1", "https", "a", "/", NULL, 0 },
    { "a", "/v1", "https", "a", "", NULL, 0 },
    { "a", "/v1", "https", "a", "/V1", NULL, 0 },
    { "a", "/v1", "https", "a", "*", NULL, 0 },
    { "a", "/v1", "https", "a", "/x/v1", NULL, 0 },
    { "a", "/v1/", "https", "a", "/v1/", NULL, 1 },
    { "a", "/v1/", "https", "a", "/v1/x", NULL, 1 },
    { "a", "/v1/", "https", "a", "/v1", NULL, 0 },
    { "a", "/v1/", "https", "a", "/v1x/", NULL, 0 },
    { "a", "/v1", "https", "a", "/v1/x/y", "/v1/x%2fy", 0 },
    { "a", "/v1", "https", "a", "/v1/x/y", "/v1/x%2Fy", 0 },
    { "a", "/v1", "https", "a", "/v1/x\\y", "/v1/x%5cy", 0 },
    { "a", "/v1", "https", "a", "/v1/x\\y", "/v1/x%5Cy", 0 },
    { "a", "/v1", "https", "a", "/v1/x\\y", NULL, 0 },
    { "a", "/v1", "https", "a", "/v1/x", "/v1/x%2", 1 },
    { "a", "/v1", "https", "a", "/v1/x", "/v1/x%20", 1 },
    { "a", "/v1", "https", "a", "/v1/x", "/v1/x?u=%2f\\", 1 },
    { "a", "/v1", "https", "a", "/v1/..", NULL, 0 },
    { "a", "/v1", "https", "a", "/v1/../x", NULL, 0 },
    { "a", "/v1", "https", "a", "/v1/..;a/x", NULL, 0 },
    { "a", "/v1", "https", "a", "/v1/.;/x", NULL, 0 },
    { "a", "/v1", "https", "a", "/v1/...", NULL, 1 },
    { "a", "/v1", "https", "a", "/v1/..a", NULL, 1 },
    { "a", "/v1", "https", "a", "/v1/a..", NULL, 1 }
};


static void
target_matching(void)
{
    size_t                i;
    uint8_t              *p;
    tee_str_t             scheme, authority, path, raw, s;
    tee_target_t          t;
    const target_case_t  *c;

    for (i = 0; i < sizeof(target_cases) / sizeof(target_cases[0]); i++) {
        c = &target_cases[i];

        if (target_parse(c->target, c->prefix, &p, &t) != TEE_OK) {
            unit_ok(0, "%s", c->target);
            continue;
        }

        scheme = unit_copy(c->scheme, strlen(c->scheme));
        authority = unit_copy(c->authority, strlen(c->authority));
        path = unit_copy(c->path, strlen(c->path));
        raw = c->raw ? unit_copy(c->raw, strlen(c->raw))
                     : unit_copy(c->path, strlen(c->path));

        unit_ok(tee_target_match(&t, scheme, authority, path, raw)
                == c->match, "%s%s %s %s://%s%s", c->target, c->prefix,
                c->match ? "is" : "is not", c->scheme, c->authority,
                c->raw ? c->raw : c->path);

        unit_free(scheme);
        unit_free(authority);
        unit_free(path);
        unit_free(raw);

        s.data = p;
        unit_free(s);
    }
}


int
main(void)
{
    target_parsing();
    target_matching();

    return unit_done();
}
