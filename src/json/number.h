#pragma once
/* Doubles as ECMAScript's Number::toString prints them (ECMA-262, 6.1.6.1.20), which RFC 8785 asks for. */

#include <stddef.h>

#define NUMBER_TEXT_MAX 32 /* the longest is "-0.0000012345678901234567": 25 */

/** Write finite @v, without NUL; returns the length. Independent of the locale. */
size_t number_format(double v, char ret[NUMBER_TEXT_MAX]);
