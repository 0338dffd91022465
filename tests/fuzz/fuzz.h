#pragma once
/*
 * A fuzz target is one function that takes any bytes and must neither crash nor break what it promises.
 * libFuzzer drives it when it is built with -Dfuzz=true, replay.c (over the corpus, as an ordinary test)
 * otherwise.
 */

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/** A promise of the code under test; unlike assert() it says what was promised. */
#define PROMISE(condition, sentence)                                                                         \
        do {                                                                                                 \
                if (!(condition)) {                                                                          \
                        fprintf(stderr, "%s:%d: broken promise: %s\n", __FILE__, __LINE__, sentence);        \
                        abort();                                                                             \
                }                                                                                            \
        } while (0)
