/*
 * Numbers
 *
 * A JSON number comes as a 64-bit integer or as a double, depending on how it was spelled. Both are brought
 * to one form first, so that equality is equality of that form. Between an integer and a double nothing is
 * converted: either direction loses digits.
 *
 * Multiples are decided in decimal. Doubles can't hold 0.01, and dividing 4.35 by it gives
 * 434.99999999999994; the writer of the schema meant decimals. A number is its digits times a power of ten:
 * whether one divides the other is then a question about integers, answered by modular multiplication even
 * where the exponents lie 600 apart.
 */
#include <math.h>
#include <stdlib.h>

#include "json/number.h"
#include "schema/numeric.h"

#define I64_EDGE 9223372036854775808.0 /* 2^63, the first double past int64_t */

__extension__ typedef unsigned __int128 Wide;

Number number_of(const json_t *value) {
        if (json_is_integer(value))
                return (Number){.is_i64 = true, .i = json_integer_value(value)};
        double d = json_real_value(value);
        if (d == trunc(d) && d >= -I64_EDGE && d < I64_EDGE)
                return (Number){.is_i64 = true, .i = (int64_t)d};
        return (Number){.d = d};
}

bool number_is_whole(Number n) { return n.is_i64 || n.d == trunc(n.d); }

/** @d is a fraction, or beyond 64 bits: never equal to @i. */
static int cmp_i64(int64_t i, double d) {
        if (d >= I64_EDGE)
                return -1;
        if (d < -I64_EDGE)
                return 1;
        return i <= (int64_t)floor(d) ? -1 : 1;
}

int number_cmp(Number a, Number b) {
        if (a.is_i64 && b.is_i64)
                return (a.i > b.i) - (a.i < b.i);
        if (a.is_i64)
                return cmp_i64(a.i, b.d);
        if (b.is_i64)
                return -cmp_i64(b.i, a.d);
        return (a.d > b.d) - (a.d < b.d);
}

/** digits × 10^exponent; the sign is left out. */
typedef struct Decimal {
        uint64_t digits;
        int exponent;
} Decimal;

static Decimal decimal_of(Number n) {
        if (n.is_i64)
                return (Decimal){.digits = n.i < 0 ? 0 - (uint64_t)n.i : (uint64_t)n.i};
        char text[NUMBER_TEXT_MAX + 1];
        text[number_format(fabs(n.d), text)] = '\0';
        Decimal d = {0};
        bool after_point = false;
        const char *p = text;
        for (; *p && *p != 'e'; p++) {
                if (*p == '.') {
                        after_point = true;
                } else if (d.digits >
                           (UINT64_MAX - 9) / 10) { /* zeros that pad 18 to 21 places; no more digits */
                        d.exponent += !after_point;
                } else {
                        d.digits = d.digits * 10 + (uint64_t)(*p - '0');
                        d.exponent -= after_point;
                }
        }
        if (*p == 'e')
                d.exponent += atoi(p + 1);
        return d;
}

/** digits × 10^exponent modulo @m. */
static uint64_t power_modulo(uint64_t digits, int exponent, uint64_t m) {
        uint64_t result = digits % m, factor = 10 % m;
        for (unsigned left = (unsigned)exponent; left > 0; left >>= 1) {
                if (left & 1)
                        result = (uint64_t)((Wide)result * factor % m);
                factor = (uint64_t)((Wide)factor * factor % m);
        }
        return result;
}

bool number_is_multiple(Number n, Number of) {
        if (n.is_i64 && of.is_i64)
                return n.i % of.i == 0;
        Decimal a = decimal_of(n), b = decimal_of(of);
        if (a.digits == 0)
                return true;
        int shift = a.exponent - b.exponent;
        if (shift >= 0)
                return power_modulo(a.digits, shift, b.digits) == 0;
        Wide divisor = b.digits;
        for (; shift < 0 && divisor <= a.digits; shift++)
                divisor *= 10;
        return divisor <= a.digits && a.digits % divisor == 0;
}
