
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <string.h>

#include <tee_json_raw.h>

#include "unit.h"


/* What stands at the start of a text, up to the bar. */

static void
raw_table(void)
{
    size_t     i, len, end, bad;
    char       text[200];
    tee_str_t  in, cut;

    static const struct {
        size_t      (*f)(tee_str_t json, size_t pos);
        const char   *in;
    } cases[] = {
        { tee_json_raw_blank, " \t\r\n|\v " },
        { tee_json_raw_blank, "|1 " },
        { tee_json_raw_blank, "  |" },
        { tee_json_raw_string, "\"\"|," },
        { tee_json_raw_string, "\"a\\\"b\"|:1" },
        { tee_json_raw_string, "\"\\\\\"|\"" },
        { tee_json_raw_string, "\"\\u0022]}\"|" },
        { tee_json_raw_value, "1.5e+3|,2" },
        { tee_json_raw_value, "1|}" },
        { tee_json_raw_value, "null| ]" },
        { tee_json_raw_value, "-Infinity|\n" },
        { tee_json_raw_value, "\"a,]}\"|," },
        { tee_json_raw_value, "\"a\"|]" },
        { tee_json_raw_value, "[]|]" },
        { tee_json_raw_value, "{}|}" },
        { tee_json_raw_value, "[1, {\"]\": [ ]}, \"}\"]|, 2" },
        { tee_json_raw_value, "{\"a\" : {\"b\":[{}]} }| }" }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        end = (size_t) (strchr(cases[i].in, '|') - cases[i].in);

        memcpy(text, cases[i].in, end);
        memcpy(text + end, cases[i].in + end + 1,
               strlen(cases[i].in + end));

        in = unit_copy(text, strlen(text));
        unit_ok(cases[i].f(in, 0) == end, "%u bytes, case %u", (unsigned) end,
                (unsigned) i);

        bad = 0;

        for (len = 0; len < in.len; len++) {
            cut = unit_copy(in.data, len);

            /* a backslash and a quote may be missing */

            bad += cases[i].f(cut, 0) > len + 2;
            unit_free(cut);
        }

        unit_ok(bad == 0, "every prefix, case %u", (unsigned) i);
        unit_free(in);
    }
}


static void
raw_starts(void)
{
    size_t     i;
    tee_str_t  in;

    static const struct {
        const char  *in;
        int          starts;
    } cases[] = {
        { "\"tee_\"", 1 },
        { "\"tee_signature\"", 1 },
        { "\"\\u0074\\u0065\\u0065\\u005F\"", 1 },
        { "\"te\\u0065_x\"", 1 },
        { "\"tee\\u005f\"", 1 },
        { "\"tee\"", 0 },
        { "\"tee-\"", 0 },
        { "\"Tee_\"", 0 },
        { "\" tee_\"", 0 },
        { "\"\"", 0 },
        { "\"tee\\_\"", 0 },
        { "\"\\tee_\"", 0 },
        { "\"t\\u0165e_\"", 0 },
        { "\"t\\u0064e_\"", 0 },
        { "\"t\\U0065e_\"", 0 },
        { "\"tee\\u005", 0 },
        { "\"tee", 0 },
        { "\"", 0 }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        in = unit_copy(cases[i].in, strlen(cases[i].in));

        unit_ok(tee_json_raw_starts(in, 0, "tee_") == cases[i].starts,
                "a name: %s", cases[i].in);

        unit_free(in);
    }
}


int
main(void)
{
    raw_table();
    raw_starts();

    return unit_done();
}
