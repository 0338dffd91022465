#pragma once
/* Criterion's assertions for plain programs that use the world: a failed one prints and aborts. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PLAIN_ASSERT(holds, ...)                                                                                       \
        do {                                                                                                           \
                if (!(holds)) {                                                                                        \
                        fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #holds);                                    \
                        fprintf(stderr, " " __VA_ARGS__);                                                              \
                        abort();                                                                                       \
                }                                                                                                      \
        } while (0)
#define cr_assert(holds, ...)        PLAIN_ASSERT((holds), ##__VA_ARGS__)
#define cr_assert_not(holds, ...)    PLAIN_ASSERT(!(holds), ##__VA_ARGS__)
#define cr_assert_eq(a, b, ...)      PLAIN_ASSERT((a) == (b), ##__VA_ARGS__)
#define cr_assert_neq(a, b, ...)     PLAIN_ASSERT((a) != (b), ##__VA_ARGS__)
#define cr_assert_null(a, ...)       PLAIN_ASSERT((a) == NULL, ##__VA_ARGS__)
#define cr_assert_not_null(a, ...)   PLAIN_ASSERT((a) != NULL, ##__VA_ARGS__)
#define cr_assert_str_eq(a, b, ...)  PLAIN_ASSERT(strcmp((a), (b)) == 0, ##__VA_ARGS__)
#define cr_assert_fail(...)          PLAIN_ASSERT(false, ##__VA_ARGS__)
