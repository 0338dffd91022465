#pragma once
/*
 * Allocations that fail, in our own code: the linker puts these functions in the place of malloc and its likes, and
 * what libraries allocate stays as it is. For one file of a program, linked with failing_link_args (tests/meson.build).
 */

#include <limits.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

static atomic_long failing_left = LONG_MAX; /* allocations until one fails; LONG_MAX: none does */
static atomic_long failing_run;             /* so many fail in a row */
static atomic_long failing_n;               /* so many have failed */
static _Thread_local int failing_aside_depth;

/** From now on: @after allocations succeed, then @run fail, and then all succeed again. */
static inline void failing_begin(long after, long run) {
        failing_n = 0;
        failing_run = run;
        failing_left = after;
}

static inline void failing_end(void) { failing_left = LONG_MAX; }

/** Has one failed since failing_begin? */
static inline bool failing_reached(void) { return failing_n > 0; }

/** What this thread allocates inside is the test's own: it neither counts nor fails. May be nested. */
static inline void failing_aside(bool inside) { failing_aside_depth += inside ? 1 : -1; }

static bool failing_now(void) {
        if (failing_aside_depth > 0 || failing_left == LONG_MAX)
                return false;
        long left = atomic_fetch_sub(&failing_left, 1);
        bool fails = left <= 0 && left > -failing_run;
        failing_n += fails;
        return fails;
}

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void *__real_reallocarray(void *p, size_t n, size_t size);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
void *__wrap_reallocarray(void *p, size_t n, size_t size);
void *__wrap_malloc(size_t n) { return failing_now() ? NULL : __real_malloc(n); }
void *__wrap_calloc(size_t n, size_t size) { return failing_now() ? NULL : __real_calloc(n, size); }
void *__wrap_realloc(void *p, size_t n) { return failing_now() ? NULL : __real_realloc(p, n); }
void *__wrap_reallocarray(void *p, size_t n, size_t size) {
        return failing_now() ? NULL : __real_reallocarray(p, n, size);
}
