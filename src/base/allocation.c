/*
 * Out of memory below
 *
 * Our own code takes a failed allocation as an error like any other. The libraries below it don't, all of them:
 * nats.c walks a table that was never made, OpenSSL takes a lock that is NULL, jansson's reader leaves out the byte
 * that it had no room for and goes on with another text. So in a program that is linked with this file they never
 * see one: an allocation of theirs that fails is tried again for a while, and then the process ends with a sentence.
 * What it has acknowledged is on disk; it is started again and goes on from there.
 *
 * How: the program defines malloc, calloc and realloc, and a program's symbols come before those of its shared
 * objects, in all of them. The linker (--wrap) leads our own calls past them, to the __wrap_ ones. Both end in the
 * next definition in line: jemalloc's, libc's, or that of a test that lets some fail.
 */
#include <dlfcn.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"

#define TRIES_MAX    200
#define TRY_AGAIN_NS 5000000 /* with the above a second: others free what they hold, or nobody does */
#define EXIT_MEMORY  70      /* EX_SOFTWARE, as when the store fails */

#define PUBLIC __attribute__((visibility("default")))

void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
void *__wrap_reallocarray(void *p, size_t n, size_t size);
char *__wrap_strdup(const char *text);
char *__wrap_strndup(const char *text, size_t n_max);

/* Looked up at the first call, whichever thread makes it: all find the same. */
static struct {
        void *(*malloc)(size_t n);
        void *(*calloc)(size_t n, size_t size);
        void *(*realloc)(void *p, size_t n);
} next;

static void *find(const char *name) {
        void *found = dlsym(RTLD_NEXT, name);
        if (!found)
                abort(); /* libc has it */
        return found;
}

#define NEXT(name)                                                                                           \
        ({                                                                                                   \
                __typeof__(next.name) f = __atomic_load_n(&next.name, __ATOMIC_RELAXED);                     \
                if (!f) {                                                                                    \
                        f = (__typeof__(next.name))find(#name);                                              \
                        __atomic_store_n(&next.name, f, __ATOMIC_RELAXED);                                   \
                }                                                                                            \
                f;                                                                                           \
        })

/* ---- our own ------------------------------------------------------------------------ */

void *__wrap_malloc(size_t n) { return NEXT(malloc)(n); }
void *__wrap_calloc(size_t n, size_t size) { return NEXT(calloc)(n, size); }
void *__wrap_realloc(void *p, size_t n) { return NEXT(realloc)(p, n); }

void *__wrap_reallocarray(void *p, size_t n, size_t size) {
        size_t total;
        if (__builtin_mul_overflow(n, size, &total)) {
                errno = ENOMEM;
                return NULL;
        }
        return __wrap_realloc(p, total);
}

static char *copy(const char *text, size_t n) {
        char *ret = __wrap_malloc(n + 1);
        if (ret) {
                memcpy(ret, text, n);
                ret[n] = '\0';
        }
        return ret;
}

char *__wrap_strdup(const char *text) { return copy(text, strlen(text)); }
char *__wrap_strndup(const char *text, size_t n_max) { return copy(text, strnlen(text, n_max)); }

/* ---- the libraries' ----------------------------------------------------------------- */

static void wait_or_end(int n_tries) {
        if (n_tries < TRIES_MAX) {
                nanosleep(&(struct timespec){.tv_nsec = TRY_AGAIN_NS}, NULL);
                return;
        }
        log_event(LOG_ERROR, "out of memory in a library below, which would not survive it: ending. Nothing that was "
                  "acknowledged is lost; start again, with more memory or with smaller limits", NULL);
        _exit(EXIT_MEMORY);
}

#define ALLOCATE(call, is_request)                                                                           \
        ({                                                                                                   \
                void *given = call;                                                                          \
                for (int i = 0; !given && (is_request); i++) {                                               \
                        wait_or_end(i);                                                                      \
                        given = call;                                                                        \
                }                                                                                            \
                given;                                                                                       \
        })

/** What no memory would ever do for is the caller's mistake, and his to see. */
static bool is_request(size_t n, size_t size) {
        size_t total;
        return !__builtin_mul_overflow(n, size, &total) && total > 0 && total <= PTRDIFF_MAX;
}

PUBLIC void *malloc(size_t n) { return ALLOCATE(NEXT(malloc)(n), is_request(n, 1)); }
PUBLIC void *calloc(size_t n, size_t size) { return ALLOCATE(NEXT(calloc)(n, size), is_request(n, size)); }
PUBLIC void *realloc(void *p, size_t n) { return ALLOCATE(NEXT(realloc)(p, n), is_request(n, 1)); }
