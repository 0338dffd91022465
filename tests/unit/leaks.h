#pragma once
/* Leaks inside Criterion cases pass silently; `TestSuite(x, .fini = check_leaks)` makes them fail under ASan. */

#include <criterion/criterion.h>

#ifndef __has_feature
#define __has_feature(x) 0
#endif

#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
#include <sanitizer/lsan_interface.h>
static inline void check_leaks(void) { cr_assert(__lsan_do_recoverable_leak_check() == 0, "memory was leaked"); }
#else
static inline void check_leaks(void) {}
#endif
