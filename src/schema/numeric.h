#pragma once
/* JSON numbers compared by what they are, however they are spelled: 1, 1.0 and 1e0 are one number. */

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

/** Whole numbers of up to 64 bits are in `i`; all others (fractions, and whole ones beyond) in `d`. */
typedef struct Number {
        bool is_i64;
        int64_t i;
        double d;
} Number;

/** @value is a JSON number. */
Number number_of(const json_t *value);
/** <0, 0, >0; exact, also between integers beyond 2^53 and doubles. */
int number_cmp(Number a, Number b);
/** Has @n no fractional part? */
bool number_is_whole(Number n);
/**
 * Is @n a multiple of @of, which is greater than 0? Exact in decimal: a double stands for the shortest
 * decimal that reads back as it, which is what was written unless it had more than 15 digits. 0.3 is a
 * multiple of 0.1.
 */
bool number_is_multiple(Number n, Number of);
