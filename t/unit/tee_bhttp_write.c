
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <string.h>

#include <tee_bhttp.h>

#include "unit.h"


#define A1  "0161" "0131"


static void
bhttp_write(void)
{
    uint8_t      a[256], b[256];
    tee_str_t    s, in;
    unsigned     indeterminate;
    tee_write_t  w, section;

    static const char *const  requests[] = {
        "00" "04504f5354" "0468747470" "0161" "022f78" "04" A1 "026869" "04"
        A1,
        "02" "04504f5354" "0468747470" "0161" "022f78" A1 "00" "026869" "00"
        A1 "00"
    };

    static const char *const  responses[] = {
        "01" "4067" "04" A1 "40c8" "04" A1 "00" "00",
        "03" "4067" A1 "00" "40c8" A1 "00" "00" "00"
    };

    for (indeterminate = 0; indeterminate < 2; indeterminate++) {
        tee_write_fixed(&section, b, sizeof(b));
        tee_bhttp_write_field(&section, unit_text("A"), unit_text("1"));
        s.len = section.len;
        s.data = b;

        tee_write_fixed(&w, a, sizeof(a));
        tee_bhttp_write_request(&w, (int) indeterminate, unit_text("POST"),
                                unit_text("http"), unit_text("a"),
                                unit_text("/x"));
        tee_bhttp_write_section(&w, (int) indeterminate, s);
        tee_bhttp_write_content(&w, 2);
        tee_write_text(&w, "hi");

        if (indeterminate) {
            tee_bhttp_write_end(&w);
        }

        tee_bhttp_write_section(&w, (int) indeterminate, s);

        in = unit_hex(requests[indeterminate]);
        unit_ok(unit_equal(in, a, w.len) && tee_write_rc(&w) == TEE_OK,
                "a request is written, form %u", indeterminate);
        unit_free(in);

        tee_write_fixed(&w, a, sizeof(a));
        tee_bhttp_write_response(&w, (int) indeterminate);
        tee_bhttp_write_status(&w, 103);
        tee_bhttp_write_section(&w, (int) indeterminate, s);
        tee_bhttp_write_status(&w, 200);
        tee_bhttp_write_section(&w, (int) indeterminate, s);

        if (indeterminate) {
            tee_bhttp_write_end(&w);

        } else {
            tee_bhttp_write_content(&w, 0);
        }

        s.len = 0;
        tee_bhttp_write_section(&w, (int) indeterminate, s);

        in = unit_hex(responses[indeterminate]);
        unit_ok(unit_equal(in, a, w.len) && tee_write_rc(&w) == TEE_OK,
                "a response is written, form %u", indeterminate);
        unit_free(in);
    }

    tee_write_fixed(&w, a, sizeof(a));
    tee_bhttp_write_field(&w, unit_text("X-A-Name-Of-More-Than-Sixty-Four-"
                          "Bytes-Is-Written-In-Two-Pieces-AZ@[`{"),
                          unit_text(""));
    s.len = w.len;
    s.data = a;
    unit_ok(unit_is(s, "\x40\x47x-a-name-of-more-than-sixty-four-bytes-is-"
                    "written-in-two-pieces-az@[`{") == 0
            && w.len == 2 + 70 + 1
            && memcmp(a + 2, "x-a-name-of-more-than-sixty-four-bytes-is-"
                      "written-in-two-pieces-az@[`{", 70) == 0,
            "a long name is written in lower case");

    tee_write_fixed(&w, a, 3);
    tee_bhttp_write_field(&w, unit_text("a"), unit_text("1"));
    unit_ok(tee_write_rc(&w) == TEE_LIMIT, "no room for a field");
}


static void
bhttp_hop_by_hop(void)
{
    size_t  i;

    static const char *const  names[] = {
        "connection", "Proxy-Connection", "keep-alive", "TE",
        "Transfer-Encoding", "upgrade"
    };

    static const char *const  others[] = {
        "", "t", "te2", "trailer", "content-length", "host", "connections"
    };

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        unit_ok(tee_bhttp_hop_by_hop(unit_text(names[i])),
                "%s is hop by hop", names[i]);
    }

    for (i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        unit_ok(!tee_bhttp_hop_by_hop(unit_text(others[i])),
                "\"%s\" is not", others[i]);
    }
}


int
main(void)
{
    bhttp_write();
    bhttp_hop_by_hop();

    return unit_done();
}
