
/*
 * Copyright (C) The ngx_http_tee authors
 */


#include <string.h>

#include <tee_date.h>
#include <tee_read.h>
#include <tee_text.h>
#include <tee_write.h>


#define TEE_DATE_DAY     86400

/* from 0001-01-01, a Monday, to 1970-01-01, and to 10000-01-01 */
#define TEE_DATE_EPOCH   INT64_C(719162)
#define TEE_DATE_END     INT64_C(3652059)


typedef struct {
    unsigned              year;
    unsigned              mon;                 /* 0 to 11 */
    unsigned              day;                 /* 1 to 31 */
    unsigned              hour;
    unsigned              min;
    unsigned              sec;                 /* 60: a leap second */
    unsigned              wday;                /* 0: Sunday */
} tee_date_civil_t;


/* A name of a list answers its index; what does not fit makes it bad. */

typedef struct {
    tee_read_t            r;
    unsigned              bad:1;
} tee_date_scan_t;


static void tee_date_imf(tee_date_scan_t *s, tee_date_civil_t *c);
static void tee_date_rfc850(tee_date_scan_t *s, tee_date_civil_t *c,
    int64_t now);
static void tee_date_asctime(tee_date_scan_t *s, tee_date_civil_t *c);
static void tee_date_time(tee_date_scan_t *s, tee_date_civil_t *c);
static unsigned tee_date_name(tee_date_scan_t *s, const char *const *names,
    unsigned n);
static unsigned tee_date_number(tee_date_scan_t *s, size_t digits);
static void tee_date_text(tee_date_scan_t *s, const char *text);
static void tee_date_century(tee_date_civil_t *c, int64_t now);
static uint64_t tee_date_order(const tee_date_civil_t *c);
static int64_t tee_date_days(unsigned year);
static unsigned tee_date_month_len(unsigned year, unsigned mon);
static void tee_date_civil(int64_t date, tee_date_civil_t *c);
static void tee_date_put(tee_write_t *w, unsigned n);


static const char *const  tee_date_wdays[] = {
    "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"
};

static const char *const  tee_date_long_wdays[] = {
    "Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday",
    "Saturday"
};

static const char *const  tee_date_months[] = {
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct",
    "Nov", "Dec"
};


tee_rc_t
tee_date_read(tee_str_t in, int64_t now, int64_t *date)
{
    int64_t           days;
    unsigned          i;
    tee_date_scan_t   s;
    tee_date_civil_t  c;

    *date = 0;

    memset(&c, 0, sizeof(tee_date_civil_t));
    tee_read_init(&s.r, in);
    s.bad = 0;

    /* the day of the week, which nobody relies on, tells the forms apart */

    if (in.len == TEE_DATE_LEN && in.data[3] == ',') {
        tee_date_imf(&s, &c);

    } else if (in.len > 3 && in.data[3] == ' ') {
        tee_date_asctime(&s, &c);

    } else {
        tee_date_rfc850(&s, &c, now);
    }

    if (s.bad || tee_read_left(&s.r) || c.year == 0
        || c.hour > 23 || c.min > 59 || c.sec > 60
        || c.day == 0 || c.day > tee_date_month_len(c.year, c.mon))
    {
        return TEE_MALFORMED;
    }

    days = tee_date_days(c.year) + (int64_t) c.day - 1;

    for (i = 0; i < c.mon; i++) {
        days += tee_date_month_len(c.year, i);
    }

    *date = (days - TEE_DATE_EPOCH) * TEE_DATE_DAY
            + (int64_t) (c.hour * 3600 + c.min * 60 + c.sec);

    return TEE_OK;
}


void
tee_date_write(int64_t date, uint8_t out[TEE_DATE_LEN])
{
    tee_write_t       w;
    tee_date_civil_t  c;

    tee_date_civil(date, &c);

    tee_write_fixed(&w, out, TEE_DATE_LEN);
    tee_write_text(&w, tee_date_wdays[c.wday]);
    tee_write_text(&w, ", ");
    tee_date_put(&w, c.day);
    tee_write_text(&w, " ");
    tee_write_text(&w, tee_date_months[c.mon]);
    tee_write_text(&w, " ");
    tee_date_put(&w, c.year / 100);
    tee_date_put(&w, c.year % 100);
    tee_write_text(&w, " ");
    tee_date_put(&w, c.hour);
    tee_write_text(&w, ":");
    tee_date_put(&w, c.min);
    tee_write_text(&w, ":");
    tee_date_put(&w, c.sec);
    tee_write_text(&w, " GMT");
}


/* Sun, 06 Nov 1994 08:49:37 GMT */

static void
tee_date_imf(tee_date_scan_t *s, tee_date_civil_t *c)
{
    (void) tee_date_name(s, tee_date_wdays, 7);
    tee_date_text(s, ", ");
    c->day = tee_date_number(s, 2);
    tee_date_text(s, " ");
    c->mon = tee_date_name(s, tee_date_months, 12);
    tee_date_text(s, " ");
    c->year = tee_date_number(s, 4);
    tee_date_text(s, " ");
    tee_date_time(s, c);
    tee_date_text(s, " GMT");
}


/* Sunday, 06-Nov-94 08:49:37 GMT */

static void
tee_date_rfc850(tee_date_scan_t *s, tee_date_civil_t *c, int64_t now)
{
    (void) tee_date_name(s, tee_date_long_wdays, 7);
    tee_date_text(s, ", ");
    c->day = tee_date_number(s, 2);
    tee_date_text(s, "-");
    c->mon = tee_date_name(s, tee_date_months, 12);
    tee_date_text(s, "-");
    c->year = tee_date_number(s, 2);
    tee_date_text(s, " ");
    tee_date_time(s, c);
    tee_date_text(s, " GMT");
    tee_date_century(c, now);
}


/* Sun Nov  6 08:49:37 1994 */

static void
tee_date_asctime(tee_date_scan_t *s, tee_date_civil_t *c)
{
    (void) tee_date_name(s, tee_date_wdays, 7);
    tee_date_text(s, " ");
    c->mon = tee_date_name(s, tee_date_months, 12);
    tee_date_text(s, " ");

    if (tee_read_left(&s->r) && s->r.in.data[s->r.pos] == ' ') {
        tee_date_text(s, " ");
        c->day = tee_date_number(s, 1);

    } else {
        c->day = tee_date_number(s, 2);
    }

    tee_date_text(s, " ");
    tee_date_time(s, c);
    tee_date_text(s, " ");
    c->year = tee_date_number(s, 4);
}


static void
tee_date_time(tee_date_scan_t *s, tee_date_civil_t *c)
{
    c->hour = tee_date_number(s, 2);
    tee_date_text(s, ":");
    c->min = tee_date_number(s, 2);
    tee_date_text(s, ":");
    c->sec = tee_date_number(s, 2);
}


static unsigned
tee_date_name(tee_date_scan_t *s, const char *const *names, unsigned n)
{
    unsigned   i;
    tee_str_t  text;

    for (i = 0; i < n; i++) {
        text.len = strlen(names[i]);
        text.data = s->r.in.data + s->r.pos;

        if (text.len <= tee_read_left(&s->r) && tee_text_is(text, names[i])) {
            (void) tee_read_bytes(&s->r, text.len);
            return i;
        }
    }

    s->bad = 1;

    return 0;
}


static unsigned
tee_date_number(tee_date_scan_t *s, size_t digits)
{
    uint8_t   ch;
    unsigned  n;

    n = 0;

    while (digits--) {
        ch = tee_read_u8(&s->r);

        if (ch < '0' || ch > '9') {
            s->bad = 1;
            return 0;
        }

        n = n * 10 + (unsigned) (ch - '0');
    }

    return n;
}


static void
tee_date_text(tee_date_scan_t *s, const char *text)
{
    if (!tee_text_is(tee_read_bytes(&s->r, strlen(text)), text)) {
        s->bad = 1;
    }
}


/* RFC 9110, 5.6.7: not more than 50 years in the future */

static void
tee_date_century(tee_date_civil_t *c, int64_t now)
{
    tee_date_civil_t  limit;

    tee_date_civil(now, &limit);

    limit.year += 50;
    c->year += limit.year - limit.year % 100;

    if (c->year > 100 && tee_date_order(c) > tee_date_order(&limit)) {
        c->year -= 100;
    }
}


static uint64_t
tee_date_order(const tee_date_civil_t *c)
{
    return ((((uint64_t) c->year * 12 + c->mon) * 32 + c->day) * 32 + c->hour)
           * 4096 + c->min * 64 + c->sec;
}


/* From 0001-01-01 to the first day of a year. */

static int64_t
tee_date_days(unsigned year)
{
    year--;

    return (int64_t) year * 365 + year / 4 - year / 100 + year / 400;
}


static unsigned
tee_date_month_len(unsigned year, unsigned mon)
{
    static const uint8_t  len[] = {
        31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31
    };

    if (mon == 1 && tee_date_days(year + 1) - tee_date_days(year) == 366) {
        return 29;
    }

    return len[mon];
}


static void
tee_date_civil(int64_t date, tee_date_civil_t *c)
{
    int64_t   n, rest;
    unsigned  len;

    n = date / TEE_DATE_DAY;
    rest = date % TEE_DATE_DAY;

    if (rest < 0) {
        rest += TEE_DATE_DAY;
        n--;
    }

    /* nothing before the year 1, or after 9999 */

    n = n < -TEE_DATE_EPOCH ? 0 : n + TEE_DATE_EPOCH;
    n = n < TEE_DATE_END ? n : TEE_DATE_END - 1;

    c->hour = (unsigned) (rest / 3600);
    c->min = (unsigned) (rest / 60 % 60);
    c->sec = (unsigned) (rest % 60);
    c->wday = (unsigned) ((n + 1) % 7);

    /* the year, or the one after it: 365.2425 days each */

    c->year = (unsigned) (n * 400 / 146097) + 2;

    while (tee_date_days(c->year) > n) {
        c->year--;
    }

    n -= tee_date_days(c->year);

    for (c->mon = 0; /* void */ ; c->mon++) {
        len = tee_date_month_len(c->year, c->mon);

        if (n < len) {
            break;
        }

        n -= len;
    }

    c->day = (unsigned) n + 1;
}


static void
tee_date_put(tee_write_t *w, unsigned n)
{
    tee_write_u8(w, (uint8_t) ('0' + n / 10 % 10));
    tee_write_u8(w, (uint8_t) ('0' + n % 10));
}
