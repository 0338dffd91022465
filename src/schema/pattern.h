#pragma once
/* ECMAScript's patterns, by PCRE2 (the only file that includes <pcre2.h> is pattern.c). */

#include "json/json_read.h"

typedef struct Pattern Pattern;

/**
 * Compile @text, borrowing it. NULL: a fault was reported at @at, or memory ran out (report->oom).
 * *ret_bytes: memory that the pattern takes.
 */
Pattern *pattern_compile(const JsonAt *at, Slice text, size_t *ret_bytes);
void pattern_free(Pattern *p); /* NULL-safe */

/** What matching needs besides the pattern; zero-initialised is valid. One for each thread. */
typedef struct PatternScratch {
        void *context, *data;
} PatternScratch;

void pattern_scratch_deinit(PatternScratch *s);

/**
 * Does @text, UTF-8, hold a match? The work is taken from @steps_left. 1, 0, -ENOMEM, -EOVERFLOW (out of
 * steps, or of the memory that a match may take), -EINVAL (@text is not UTF-8).
 */
int pattern_match(const Pattern *p, PatternScratch *s, Slice text, size_t *steps_left);
