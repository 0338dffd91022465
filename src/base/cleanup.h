#pragma once
/* Scope-bound release: `_cleanup_(buf_deinit) Buf b = …;` and an explicit steal. */

#include <stdlib.h>

#define _cleanup_(fn) __attribute__((cleanup(fn)))

static inline void cleanup_free_(void *p) { free(*(void **)p); }
#define _cleanup_free_ _cleanup_(cleanup_free_)

/** Take the pointer out of @p, leaving NULL there. */
#define STEAL(p) ({ __typeof__(p) steal_ = (p); (p) = NULL; steal_; })
/** Define cleanup function `fn##_p(T **)` for a `T_free(T *)`. */
#define CLEANUP_DEFINE(T, fn) \
        static inline void fn##_p(T **p) { if (*p) fn(*p); }

#define N_ELEMENTS(a) (sizeof(a) / sizeof((a)[0]))
