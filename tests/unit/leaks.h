#pragma once
/*
 * Leaks inside Criterion cases pass silently; `TestSuite(x, .fini = check_leaks)` makes them fail under ASan.
 * It aborts, because an assertion that fails in a fixture is ignored: the case still reads "ok", but the
 * program's exit status is 1 and the leak is on stderr.
 */

#include <stdlib.h>

#include <criterion/criterion.h>

#ifndef __has_feature
#define __has_feature(x) 0
#endif

#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
#include <sanitizer/lsan_interface.h>
/* Absurd sizes give NULL, as without ASan, instead of ending the program. */
__attribute__((visibility("default"))) const char *__asan_default_options(void);
const char *__asan_default_options(void) { return "allocator_may_return_null=1"; }

static inline void check_leaks(void) {
        if (__lsan_do_recoverable_leak_check() != 0)
                abort();
}
#else
static inline void check_leaks(void) {}
#endif
