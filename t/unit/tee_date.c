
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <string.h>

#include <tee_date.h>

#include "unit.h"


/* 2026-11-21 12:00:00 */

#define NOW  INT64_C(1795262400)


static const struct {
    const char           *text;
    int64_t               date;
} date_good[] = {
    { "Sun, 06 Nov 1994 08:49:37 GMT", 784111777 },
    { "Sunday, 06-Nov-94 08:49:37 GMT", 784111777 },
    { "Sun Nov  6 08:49:37 1994", 784111777 },
    { "Sun Nov 06 08:49:37 1994", 784111777 },
    { "Wed Nov 16 08:49:37 1994", 784975777 },
    { "Thu, 01 Jan 1970 00:00:00 GMT", 0 },
    { "Wed, 31 Dec 1969 23:59:59 GMT", -1 },
    { "Tue, 29 Feb 2000 00:00:00 GMT", 951782400 },
    { "Thu, 29 Feb 2024 12:00:00 GMT", 1709208000 },
    { "Fri, 31 Dec 2016 23:59:60 GMT", 1483228800 },
    { "Tue, 19 Jan 2038 03:14:08 GMT", INT64_C(2147483648) },
    { "Mon, 01 Jan 0001 00:00:00 GMT", INT64_C(-62135596800) },
    { "Fri, 31 Dec 9999 23:59:59 GMT", INT64_C(253402300799) },

    /* a century that is not 50 years away */

    { "Thursday, 01-Jan-70 00:00:00 GMT", INT64_C(3155760000) },
    { "Friday, 01-Jan-77 00:00:00 GMT", 220924800 },
    { "Saturday, 21-Nov-76 12:00:00 GMT", INT64_C(3373185600) },
    { "Saturday, 21-Nov-76 12:00:01 GMT", 217425601 },
    { "Saturday, 22-Nov-76 00:00:00 GMT", 217468800 },
    { "Saturday, 01-Dec-76 00:00:00 GMT", 218246400 },
    { "Saturday, 01-Jan-00 00:00:00 GMT", 946684800 },
    { "Friday, 31-Dec-99 23:59:59 GMT", 946684799 }
};


static const char *const  date_bad[] = {
    "", "S", "Sun", "Sun,", "Sun ", "0", "784111777",
    "sun, 06 Nov 1994 08:49:37 GMT",
    "Son, 06 Nov 1994 08:49:37 GMT",
    "Sun, 06 nov 1994 08:49:37 GMT",
    "Sun, 06 Nov 1994 08:49:37 UTC",
    "Sun, 06 Nov 1994 08:49:37 gmt",
    "Sun, 06 Nov 1994 08:49:37 GMT ",
    " Sun, 06 Nov 1994 08:49:37 GMT",
    "Sun, 6 Nov 1994 08:49:37 GMT",
    "Sun,  6 Nov 1994 08:49:37 GMT",
    "Sun, 00 Nov 1994 08:49:37 GMT",
    "Sun, 31 Nov 1994 08:49:37 GMT",
    "Sun, 32 Dec 1994 08:49:37 GMT",
    "Sun, 30 Feb 2024 08:49:37 GMT",
    "Sun, 29 Feb 2023 08:49:37 GMT",
    "Sun, 29 Feb 1900 08:49:37 GMT",
    "Sun, 06 Nov 0000 08:49:37 GMT",
    "Sun, 06 Nov -994 08:49:37 GMT",
    "Sun, 06 Nov 1994 24:00:00 GMT",
    "Sun, 06 Nov 1994 08:60:37 GMT",
    "Sun, 06 Nov 1994 08:49:61 GMT",
    "Sun, 06 Nov 1994 08.49.37 GMT",
    "Sun, 06-Nov-1994 08:49:37 GMT",
    "Sun, 06-Nov-94 08:49:37 GMT",
    "Sunday, 06 Nov 1994 08:49:37 GMT",
    "Sunday, 06-Nov-1994 08:49:37 GMT",
    "Sunday, 29-Feb-23 08:49:37 GMT",
    "Sun Nov 6 08:49:37 1994",
    "Sun Nov  6 08:49:37 1994 GMT",
    "Sun Nov   6 08:49:37 1994",
    "Sun, 06 Nov 1994 08:49:37 +000"
};


static void
date_reading(void)
{
    size_t     i, n;
    int64_t    date;
    unsigned   wrong;
    tee_str_t  in, cut;

    for (i = 0; i < sizeof(date_good) / sizeof(date_good[0]); i++) {
        in = unit_copy(date_good[i].text, strlen(date_good[i].text));

        unit_ok(tee_date_read(in, NOW, &date) == TEE_OK
                && date == date_good[i].date, "%s", date_good[i].text);

        wrong = 0;

        for (n = 0; n < in.len; n++) {
            cut = unit_copy(in.data, n);
            date = 1;
            wrong += tee_date_read(cut, NOW, &date) != TEE_MALFORMED
                     || date != 0;
            unit_free(cut);
        }

        unit_ok(wrong == 0, "%s, every prefix", date_good[i].text);
        unit_free(in);
    }

    for (i = 0; i < sizeof(date_bad) / sizeof(date_bad[0]); i++) {
        in = unit_copy(date_bad[i], strlen(date_bad[i]));
        date = 1;

        unit_ok(tee_date_read(in, NOW, &date) == TEE_MALFORMED && date == 0,
                "\"%s\" is none", date_bad[i]);
        unit_free(in);
    }

    in = unit_text("Sunday, 06-Nov-94 08:49:37 GMT");
    unit_ok(tee_date_read(in, INT64_C(2208988800), &date) == TEE_OK
            && date == 784111777, "94 in 2040 is behind");
    unit_ok(tee_date_read(in, INT64_C(2524608000), &date) == TEE_OK
            && date == INT64_C(3939871777), "94 in 2050 is ahead");
    unit_ok(tee_date_read(in, INT64_MIN, &date) == TEE_OK
            && date == INT64_C(-59174032223)
            && tee_date_read(in, INT64_MAX, &date) == TEE_OK
            && date == INT64_C(253239727777),
            "any time of the clock");
}


static void
date_writing(void)
{
    int64_t    date, back;
    uint8_t    out[TEE_DATE_LEN];
    unsigned   wrong;
    tee_str_t  s;

    s.len = TEE_DATE_LEN;
    s.data = out;

    tee_date_write(784111777, out);
    unit_ok(unit_is(s, "Sun, 06 Nov 1994 08:49:37 GMT"), "written");

    tee_date_write(-1, out);
    unit_ok(unit_is(s, "Wed, 31 Dec 1969 23:59:59 GMT"), "before 1970");

    tee_date_write(INT64_C(-62135596800), out);
    unit_ok(unit_is(s, "Mon, 01 Jan 0001 00:00:00 GMT"), "the first");

    tee_date_write(INT64_C(253402300799), out);
    unit_ok(unit_is(s, "Fri, 31 Dec 9999 23:59:59 GMT"), "the last");

    /* every day of 9999 years, at changing times */

    wrong = 0;

    for (date = INT64_C(-62135596800); date < INT64_C(253402300800);
         date += 86399)
    {
        tee_date_write(date, out);
        wrong += tee_date_read(s, NOW, &back) != TEE_OK || back != date;
    }

    unit_ok(wrong == 0, "what is written is read");
}


int
main(void)
{
    date_reading();
    date_writing();

    return unit_done();
}
