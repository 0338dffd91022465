/*
 * Times as text
 *
 * Days are counted in years that begin in March, so that the leap day is the last of its year and the
 * month lengths follow one formula; eras of 400 years (146,097 days) make negative years no special case.
 * No libc calendar function is used: they read the time zone and are slow.
 */
#include "base/clock.h"

#define DAY_MS 86400000LL
#define ERA_DAYS 146097LL
#define EPOCH_DAYS 719468LL          /* from 0000-03-01 to 1970-01-01 */
#define MS_MIN (-62167219200000LL)   /* 0000-01-01T00:00:00.000Z */
#define MS_MAX 253402300799999LL     /* 9999-12-31T23:59:59.999Z */
#define FRACTION_DIGITS_MAX 9

typedef struct Date {
        int64_t year;
        unsigned month, day; /* from 1 */
} Date;

static Date date_from_days(int64_t days) {
        days += EPOCH_DAYS;
        int64_t era = (days >= 0 ? days : days - (ERA_DAYS - 1)) / ERA_DAYS;
        unsigned day_of_era = (unsigned)(days - era * ERA_DAYS);
        unsigned year_of_era =
                (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
        unsigned day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        unsigned month = (5 * day_of_year + 2) / 153; /* from March = 0 */
        Date d = {.year = era * 400 + year_of_era, .day = day_of_year - (153 * month + 2) / 5 + 1};
        d.month = month < 10 ? month + 3 : month - 9;
        d.year += d.month <= 2;
        return d;
}

static int64_t date_to_days(Date d) {
        int64_t year = d.year - (d.month <= 2);
        int64_t era = (year >= 0 ? year : year - 399) / 400;
        unsigned year_of_era = (unsigned)(year - era * 400);
        unsigned day_of_year = (153 * (d.month > 2 ? d.month - 3 : d.month + 9) + 2) / 5 + d.day - 1;
        unsigned day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        return era * ERA_DAYS + day_of_era - EPOCH_DAYS;
}

static unsigned month_days(int64_t year, unsigned month) {
        static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
        bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        return days[month - 1] + (month == 2 && leap);
}

static char *put_digits(char *p, unsigned v, int n) {
        for (int i = n - 1; i >= 0; i--, v /= 10)
                p[i] = (char)('0' + v % 10);
        return p + n;
}

void time_format_ms(int64_t unix_ms, char ret[TIME_TEXT_SIZE + 1]) {
        if (unix_ms < MS_MIN)
                unix_ms = MS_MIN;
        if (unix_ms > MS_MAX)
                unix_ms = MS_MAX;
        int64_t days = (unix_ms >= 0 ? unix_ms : unix_ms - (DAY_MS - 1)) / DAY_MS;
        unsigned ms = (unsigned)(unix_ms - days * DAY_MS);
        Date d = date_from_days(days);
        char *p = put_digits(ret, (unsigned)d.year, 4);
        *p++ = '-';
        p = put_digits(p, d.month, 2);
        *p++ = '-';
        p = put_digits(p, d.day, 2);
        *p++ = 'T';
        p = put_digits(p, ms / 3600000, 2);
        *p++ = ':';
        p = put_digits(p, ms / 60000 % 60, 2);
        *p++ = ':';
        p = put_digits(p, ms / 1000 % 60, 2);
        *p++ = '.';
        p = put_digits(p, ms % 1000, 3);
        *p++ = 'Z';
        *p = '\0';
}

/** A cursor over the text; the first thing that does not fit makes `ok` false for good. */
typedef struct Scan {
        const char *p, *end;
        bool ok;
} Scan;

static char scan_char(Scan *s) {
        if (s->p == s->end) {
                s->ok = false;
                return '\0';
        }
        return *s->p++;
}

static void scan_expect(Scan *s, char upper, char lower) {
        char c = scan_char(s);
        if (c != upper && c != lower)
                s->ok = false;
}

static unsigned scan_number(Scan *s, int n_digits, unsigned max) {
        unsigned v = 0;
        for (int i = 0; i < n_digits; i++) {
                char c = scan_char(s);
                if (c < '0' || c > '9') {
                        s->ok = false;
                        return 0;
                }
                v = v * 10 + (unsigned)(c - '0');
        }
        if (v > max)
                s->ok = false;
        return v;
}

/** The fraction, if there is one, in whole milliseconds; the rest is cut off. */
static unsigned scan_fraction_ms(Scan *s) {
        if (s->p == s->end || *s->p != '.')
                return 0;
        s->p++;
        unsigned ms = 0, n = 0;
        for (; s->p < s->end && *s->p >= '0' && *s->p <= '9'; s->p++, n++)
                if (n < 3)
                        ms = ms * 10 + (unsigned)(*s->p - '0');
        if (n == 0 || n > FRACTION_DIGITS_MAX)
                s->ok = false;
        for (; n < 3; n++)
                ms *= 10;
        return ms;
}

/** "Z" or "+hh:mm" in minutes east of UTC. */
static int scan_offset_min(Scan *s) {
        char sign = scan_char(s);
        if (sign == 'Z' || sign == 'z')
                return 0;
        if (sign != '+' && sign != '-')
                s->ok = false;
        int minutes = (int)scan_number(s, 2, 23) * 60;
        scan_expect(s, ':', ':');
        minutes += (int)scan_number(s, 2, 59);
        return sign == '-' ? -minutes : minutes;
}

bool time_parse_ms(Slice text, int64_t *ret_unix_ms) {
        if (text.n == 0)
                return false;
        Scan s = {text.data, text.data + text.n, true};
        Date d = {.year = scan_number(&s, 4, 9999)};
        scan_expect(&s, '-', '-');
        d.month = scan_number(&s, 2, 12);
        scan_expect(&s, '-', '-');
        d.day = scan_number(&s, 2, 31);
        scan_expect(&s, 'T', 't');
        unsigned hour = scan_number(&s, 2, 23);
        scan_expect(&s, ':', ':');
        unsigned minute = scan_number(&s, 2, 59);
        scan_expect(&s, ':', ':');
        unsigned second = scan_number(&s, 2, 60);
        unsigned ms = scan_fraction_ms(&s);
        int offset_min = scan_offset_min(&s);
        if (!s.ok || s.p != s.end || d.month < 1 || d.day < 1 || d.day > month_days(d.year, d.month))
                return false;
        int64_t minutes = date_to_days(d) * 1440 + hour * 60 + minute - offset_min;
        /* A leap second ends a UTC day and nothing else; Unix time counts it as the second after. */
        if (second == 60 && ((minutes % 1440) + 1440) % 1440 != 1439)
                return false;
        *ret_unix_ms = (minutes * 60 + second) * 1000 + ms;
        return true;
}
