/*
 * fail_nth.so, for LD_PRELOAD: makes the n-th call of a chosen set fail, once or some times in a row.
 *
 *     RUNBOOK_FAIL_PROGRAM  only in a program of this name: those that start it, and its children, are left alone
 *     RUNBOOK_FAIL_SET      memory, disk, map, thread, socket (the table at the end of this file)
 *     RUNBOOK_FAIL_NTH      which call, from 1; 0: none, only count
 *     RUNBOOK_FAIL_RUN      how many in a row (1)
 *     RUNBOOK_FAIL_ERRNO    the error of those calls that set errno (5, EIO; memory always gives ENOMEM)
 *     RUNBOOK_FAIL_MARK     a file that gets the name of each call that failed, and at the end `calls <count>`
 *
 * Counting is one atomic: which thread gets the n-th
 * call is chance, but every number is somebody's.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

typedef enum Set { SET_NONE, SET_MEMORY, SET_DISK, SET_MAP, SET_THREAD, SET_SOCKET } Set;

static struct {
        Set set;
        long nth, run;
        int error, mark_fd;
        atomic_long n;
} failer = {.mark_fd = -1};

static _Thread_local bool is_looking, is_allocating;

/** By the kernel's own door: our wrappers must not see it. */
static void mark(const char *text) { (void)!syscall(SYS_write, failer.mark_fd, text, strlen(text)); }

static bool fails(Set set, const char *name) {
        if (failer.set != set || is_allocating)
                return false;
        long n = atomic_fetch_add(&failer.n, 1) + 1;
        if (failer.nth == 0 || n < failer.nth || n >= failer.nth + failer.run)
                return false;
        if (failer.mark_fd >= 0) {
                mark(name);
                mark("\n");
        }
        errno = failer.error;
        return true;
}

/* ---- memory ----------------------------------------------------------------------------------- */

/* The next malloc is the program's own (jemalloc's perhaps) or libc's. While it is looked up, dlsym may allocate
 * itself: that comes from here and is never given back. */
static _Alignas(16) char first_bytes[64 << 10];
static atomic_size_t n_first;

static struct {
        void *(*malloc)(size_t n);
        void *(*calloc)(size_t n, size_t size);
        void *(*realloc)(void *p, size_t n);
        void (*free)(void *p);
} next;

static void *take_first(size_t n) {
        size_t at = atomic_fetch_add(&n_first, (n + 15) & ~(size_t)15);
        return at + n <= sizeof(first_bytes) ? first_bytes + at : NULL;
}

static void *real(const char *name) {
        bool was_looking = is_looking;
        is_looking = true;
        void *found = dlsym(RTLD_NEXT, name);
        is_looking = was_looking;
        if (!found)
                abort();
        return found;
}

static bool can_allocate(void) {
        if (is_looking)
                return false;
        if (!next.free) {
                next.malloc = (__typeof__(next.malloc))real("malloc");
                next.calloc = (__typeof__(next.calloc))real("calloc");
                next.realloc = (__typeof__(next.realloc))real("realloc");
                next.free = (__typeof__(next.free))real("free");
        }
        return true;
}

/* An allocator's own maps are none of the program's: not getting one is what the memory set is about. */
#define ALLOCATE(name, call)                                                                                 \
        ({                                                                                                   \
                void *given = NULL;                                                                          \
                if (!fails(SET_MEMORY, name)) {                                                              \
                        is_allocating = true;                                                                \
                        given = call;                                                                        \
                        is_allocating = false;                                                               \
                }                                                                                            \
                given;                                                                                       \
        })

EXPORT void *malloc(size_t n) {
        if (!can_allocate())
                return take_first(n);
        return ALLOCATE("malloc", next.malloc(n));
}

EXPORT void *calloc(size_t n, size_t size) {
        if (!can_allocate())
                return take_first(n * size); /* zeroed: nothing of it is used twice */
        return ALLOCATE("calloc", next.calloc(n, size));
}

EXPORT void *realloc(void *p, size_t n) {
        if (!can_allocate())
                return p ? NULL : take_first(n);
        return ALLOCATE("realloc", next.realloc(p, n));
}

EXPORT void free(void *p) {
        if ((char *)p >= first_bytes && (char *)p < first_bytes + sizeof(first_bytes))
                return;
        if (can_allocate())
                next.free(p);
}

/* ---- the others ------------------------------------------------------------------------------- */

#define REAL(name) ((__typeof__(&name))real(#name))

#define WRAP(set, type, failed, name, parameters, arguments)                                                 \
        EXPORT type name parameters { return fails(set, #name) ? (failed) : REAL(name) arguments; }

static bool is_file(int fd) {
        struct stat st;
        return fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
}

/* What a program writes on its standard descriptors is its log: to lose a line is no failure to survive. What it
 * writes into pipes and eventfds reaches no disk. */
EXPORT ssize_t write(int fd, const void *data, size_t n) {
        bool may_fail = failer.set == SET_DISK && fd > STDERR_FILENO && is_file(fd);
        return may_fail && fails(SET_DISK, "write") ? -1 : REAL(write)(fd, data, n);
}
WRAP(SET_DISK, ssize_t, -1, pwrite, (int fd, const void *p, size_t n, off_t at), (fd, p, n, at))
WRAP(SET_DISK, ssize_t, -1, pwrite64, (int fd, const void *p, size_t n, off64_t at), (fd, p, n, at))
WRAP(SET_DISK, ssize_t, -1, pwritev, (int fd, const struct iovec *v, int n, off_t at), (fd, v, n, at))
WRAP(SET_DISK, ssize_t, -1, pwritev64, (int fd, const struct iovec *v, int n, off64_t at), (fd, v, n, at))
WRAP(SET_DISK, int, -1, fsync, (int fd), (fd))
WRAP(SET_DISK, int, -1, fdatasync, (int fd), (fd))
WRAP(SET_DISK, int, -1, ftruncate, (int fd, off_t n), (fd, n))
WRAP(SET_DISK, int, -1, ftruncate64, (int fd, off64_t n), (fd, n))
WRAP(SET_DISK, int, -1, rename, (const char *from, const char *to), (from, to))

#define WRAP_OPEN(name)                                                                                      \
        EXPORT int name(const char *path, int flags, ...) {                                                  \
                va_list ap;                                                                                  \
                va_start(ap, flags);                                                                         \
                mode_t mode = flags & (O_CREAT | O_TMPFILE) ? (mode_t)va_arg(ap, int) : 0;                   \
                va_end(ap);                                                                                  \
                return fails(SET_DISK, #name) ? -1 : REAL(name)(path, flags, mode);                          \
        }
WRAP_OPEN(open)
WRAP_OPEN(open64)

WRAP(SET_MAP, void *, MAP_FAILED, mmap, (void *at, size_t n, int prot, int flags, int fd, off_t o),
     (at, n, prot, flags, fd, o))
WRAP(SET_MAP, void *, MAP_FAILED, mmap64, (void *at, size_t n, int prot, int flags, int fd, off64_t o),
     (at, n, prot, flags, fd, o))

EXPORT int pthread_create(pthread_t *ret, const pthread_attr_t *attr, void *(*body)(void *), void *argument) {
        return fails(SET_THREAD, "pthread_create") ? EAGAIN : REAL(pthread_create)(ret, attr, body, argument);
}
WRAP(SET_THREAD, pid_t, -1, fork, (void), ())

WRAP(SET_SOCKET, int, -1, socket, (int domain, int type, int protocol), (domain, type, protocol))
WRAP(SET_SOCKET, int, -1, connect, (int fd, const struct sockaddr *to, socklen_t n), (fd, to, n))
WRAP(SET_SOCKET, ssize_t, -1, send, (int fd, const void *p, size_t n, int flags), (fd, p, n, flags))
WRAP(SET_SOCKET, ssize_t, -1, recv, (int fd, void *p, size_t n, int flags), (fd, p, n, flags))
WRAP(SET_SOCKET, int, -1, socketpair, (int domain, int type, int protocol, int ret[2]),
     (domain, type, protocol, ret))
WRAP(SET_SOCKET, int, -1, pipe2, (int ret[2], int flags), (ret, flags))

/* ---- which ------------------------------------------------------------------------------------ */

static const struct {
        const char *name;
        Set set;
} sets[] = {
                {"disk", SET_DISK},     {"map", SET_MAP},       {"memory", SET_MEMORY},
                {"socket", SET_SOCKET}, {"thread", SET_THREAD},
};

static long number(const char *name, long fallback) {
        const char *value = getenv(name);
        return value && *value ? strtol(value, NULL, 10) : fallback;
}

__attribute__((constructor)) static void failer_init(void) {
        const char *program = getenv("RUNBOOK_FAIL_PROGRAM"), *set = getenv("RUNBOOK_FAIL_SET");
        const char *file = getenv("RUNBOOK_FAIL_MARK");

        if (!program || !set || strcmp(program, program_invocation_short_name) != 0)
                return;
        failer.nth = number("RUNBOOK_FAIL_NTH", 0);
        failer.run = number("RUNBOOK_FAIL_RUN", 1);
        failer.error = (int)number("RUNBOOK_FAIL_ERRNO", EIO);
        if (file)
                failer.mark_fd = (int)syscall(SYS_openat, AT_FDCWD, file,
                                              O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
        unsetenv("LD_PRELOAD");
        for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++)
                if (!strcmp(sets[i].name, set)) {
                        if (sets[i].set == SET_MEMORY)
                                failer.error = ENOMEM;
                        failer.set = sets[i].set;
                }
}

__attribute__((destructor)) static void failer_end(void) {
        char text[48];
        long n = atomic_load(&failer.n);

        failer.set = SET_NONE;
        if (failer.mark_fd < 0)
                return;
        snprintf(text, sizeof(text), "calls %ld\n", n);
        mark(text);
}
