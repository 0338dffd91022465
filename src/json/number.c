/*
 * Doubles as text
 *
 * Wanted are the fewest digits that read back as the same double, and of those the nearest. libc gives
 * correctly rounded digits for any precision, so: try 15 (every decimal of up to 15 digits survives a trip
 * through a normal double, so fewer come out as trailing zeros), then 16, then 17, which is always enough.
 * Subnormal numbers have less precision and start at 1. One case needs care: below a power of two the
 * doubles lie twice as dense as above it, so the nearest decimal (below) may fail to read back where its
 * upper neighbour does; that one is tried as well.
 */
#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "json/number.h"

#define DIGITS_MAX 17
#define POINT_MAX 21 /* larger ones are written with an exponent */
#define POINT_MIN (-5)
#define SHORT_MAX 1e15 /* below it all integers have at most 15 digits */
#define INTEGER_EXACT_MAX 9007199254740992.0 /* 2^53 */

/** 0.d1d2d3… × 10^point */
typedef struct Decimal {
        char digits[DIGITS_MAX + 1];
        int n, point;
} Decimal;

static Decimal decimal_round(double v, int n_digits) {
        char text[DIGITS_MAX + 32];
        snprintf(text, sizeof(text), "%.*e", n_digits - 1, v);
        Decimal d = {.n = 0};
        const char *p = text;
        for (; *p != 'e'; p++)
                if (*p >= '0' && *p <= '9') /* the rest is the decimal point, whatever it looks like here */
                        d.digits[d.n++] = *p;
        d.point = atoi(p + 1) + 1;
        return d;
}

static bool decimal_is(const Decimal *d, double v) {
        char text[DIGITS_MAX + 32]; /* as an integer with an exponent: no decimal point, no locale */
        snprintf(text, sizeof(text), "%.*se%d", d->n, d->digits, d->point - d->n);
        return strtod(text, NULL) == v;
}

/** The next larger decimal of as many digits. */
static void decimal_increment(Decimal *d) {
        int i = d->n - 1;
        for (; i >= 0 && d->digits[i] == '9'; i--)
                d->digits[i] = '0';
        if (i >= 0) {
                d->digits[i]++;
                return;
        }
        d->digits[0] = '1';
        d->point++;
}

static Decimal decimal_shortest(double v) {
        int exponent;
        bool is_power_of_two = frexp(v, &exponent) == 0.5;
        Decimal d;
        for (int n = v < DBL_MIN ? 1 : DBL_DIG; n < DIGITS_MAX; n++) {
                d = decimal_round(v, n);
                if (decimal_is(&d, v))
                        return d;
                if (is_power_of_two) {
                        decimal_increment(&d);
                        if (decimal_is(&d, v))
                                return d;
                }
        }
        return decimal_round(v, DIGITS_MAX);
}

static char *put(char *p, const char *data, int n) {
        memcpy(p, data, (size_t)n);
        return p + n;
}

static char *put_integer(char *p, uint64_t v) {
        char text[20];
        int at = sizeof(text);
        do
                text[--at] = (char)('0' + v % 10);
        while ((v /= 10) > 0);
        return put(p, text + at, (int)sizeof(text) - at);
}

/**
 * The usual case, 0.25 or 12.5, without libc. m / 10^k, both exact in a double, is rounded once: if it gives
 * @v, then so does reading "m × 10^-k"; and as m has at most 15 digits, no other decimal as short does.
 */
static bool decimal_short(double v, Decimal *ret) {
        static const double powers[] = {1e1, 1e2, 1e3, 1e4, 1e5, 1e6};
        for (int k = 0; k < (int)N_ELEMENTS(powers); k++) {
                double m = v * powers[k];
                if (m >= SHORT_MAX)
                        return false;
                if (m < 1 || m != (double)(uint64_t)m || m / powers[k] != v)
                        continue;
                ret->n = (int)(put_integer(ret->digits, (uint64_t)m) - ret->digits);
                ret->point = ret->n - (k + 1);
                return true;
        }
        return false;
}

static char *put_zeros(char *p, int n) {
        memset(p, '0', (size_t)n);
        return p + n;
}

static char *put_decimal(char *p, const Decimal *d) {
        if (d->point >= d->n && d->point <= POINT_MAX) {
                p = put(p, d->digits, d->n);
                return put_zeros(p, d->point - d->n);
        }
        if (d->point > 0 && d->point <= POINT_MAX) {
                p = put(p, d->digits, d->point);
                *p++ = '.';
                return put(p, d->digits + d->point, d->n - d->point);
        }
        if (d->point <= 0 && d->point >= POINT_MIN) {
                p = put(p, "0.", 2);
                p = put_zeros(p, -d->point);
                return put(p, d->digits, d->n);
        }
        *p++ = d->digits[0];
        if (d->n > 1) {
                *p++ = '.';
                p = put(p, d->digits + 1, d->n - 1);
        }
        int exponent = d->point - 1;
        *p++ = 'e';
        *p++ = exponent < 0 ? '-' : '+';
        return put_integer(p, (uint64_t)abs(exponent));
}

size_t number_format(double v, char ret[NUMBER_TEXT_MAX]) {
        char *p = ret;
        if (v < 0) {
                *p++ = '-';
                v = -v;
        }
        if (v < INTEGER_EXACT_MAX && v == (double)(uint64_t)v) /* also -0, which prints as 0 */
                return (size_t)(put_integer(p, (uint64_t)v) - ret);
        Decimal d;
        if (!decimal_short(v, &d))
                d = decimal_shortest(v);
        while (d.n > 1 && d.digits[d.n - 1] == '0')
                d.n--;
        return (size_t)(put_decimal(p, &d) - ret);
}
