/*
 * write_logger.so, for LD_PRELOAD: writes down what a program does to the files below one directory.
 *
 * Each successful open gets a handle of its own, so that the log needs no inode numbers; whoever replays it
 * follows the names. A write is logged when it has been done, whole or as far as it came; with O_DSYNC or O_SYNC
 * among the flags of its handle it is on disk by then. One mutex makes the log's order the order of calls.
 * Where the log can't be written the program ends: a log with holes proves nothing.
 */
#include "write_log.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#define EXPORT  __attribute__((visibility("default")))
#define FDS_MAX 4096 /* descriptors beyond are not watched */

static struct {
        pthread_mutex_t lock;
        int fd; /* of the log; -1: nothing is watched */
        char dir[4096];
        size_t n_dir;
        uint32_t n_handles, handles[FDS_MAX]; /* by descriptor; 0: not watched */
        char buffer[1 << 16];
        size_t n_buffer;
} logger = {.lock = PTHREAD_MUTEX_INITIALIZER, .fd = -1};

#define REAL(name) ((__typeof__(&name))real(#name))
static void *real(const char *name) {
        void *found = dlsym(RTLD_NEXT, name);
        if (!found)
                abort();
        return found;
}

/* ---- the log ---------------------------------------------------------------------------------- */

static void put_through(const void *data, size_t n) {
        const char *p = data;
        while (n > 0) {
                ssize_t done = REAL(write)(logger.fd, p, n);
                if (done < 0 && errno == EINTR)
                        continue;
                if (done <= 0)
                        abort();
                p += done;
                n -= (size_t)done;
        }
}

static void log_flush(void) {
        put_through(logger.buffer, logger.n_buffer);
        logger.n_buffer = 0;
}

static void log_put(const void *data, size_t n) {
        if (n > sizeof(logger.buffer) - logger.n_buffer)
                log_flush();
        if (n > sizeof(logger.buffer)) {
                put_through(data, n);
                return;
        }
        memcpy(logger.buffer + logger.n_buffer, data, n);
        logger.n_buffer += n;
}

static void log_record(WriteLogKind kind, uint32_t handle, int flags, uint64_t offset, const void *data,
                       size_t n) {
        WriteLogRecord r = {.kind = kind,
                            .handle = handle,
                            .flags = (uint32_t)flags,
                            .n = (uint32_t)n,
                            .offset = offset};
        log_put(&r, sizeof(r));
        log_put(data, n);
}

__attribute__((constructor)) static void logger_init(void) {
        const char *file = getenv(WRITE_LOG_FILE_ENV), *dir = getenv(WRITE_LOG_DIR_ENV);

        if (!file || !dir || strlen(dir) >= sizeof(logger.dir))
                return;
        strcpy(logger.dir, dir);
        logger.n_dir = strlen(dir);
        logger.fd = REAL(open)(file, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
        if (logger.fd < 0)
                abort();
        unsetenv(WRITE_LOG_FILE_ENV); /* children have files of their own */
}

/* At the end, also by _exit: nothing is lost but by a signal, and then the crash is the point. */
__attribute__((destructor)) static void logger_end(void) {
        if (logger.fd >= 0)
                log_flush();
}

/** @path as below the directory; NULL: it isn't. */
static const char *watched(const char *path) {
        if (logger.fd < 0 || strncmp(path, logger.dir, logger.n_dir) != 0)
                return NULL;
        path += logger.n_dir;
        if (*path == '/')
                path++;
        else if (*path)
                return NULL;
        return path;
}

static uint32_t handle_of(int fd) { return fd >= 0 && fd < FDS_MAX ? logger.handles[fd] : 0; }

static void lock(void) { pthread_mutex_lock(&logger.lock); }
static void unlock(void) { pthread_mutex_unlock(&logger.lock); }

static void note_open(int fd, const char *path, int flags) {
        const char *below = watched(path);
        if (fd < 0 || fd >= FDS_MAX)
                return;
        lock();
        logger.handles[fd] = below ? ++logger.n_handles : 0;
        if (below)
                log_record(WRITE_LOG_OPEN, logger.handles[fd], flags, 0, below, strlen(below));
        unlock();
}

/* ---- opening and closing ---------------------------------------------------------------------- */

static mode_t mode_of(int flags, va_list ap) {
        return flags & (O_CREAT | O_TMPFILE) ? (mode_t)va_arg(ap, int) : 0;
}

#define WRAP_OPEN(name)                                                                                      \
        EXPORT int name(const char *path, int flags, ...) {                                                  \
                va_list ap;                                                                                  \
                va_start(ap, flags);                                                                         \
                mode_t mode = mode_of(flags, ap);                                                            \
                va_end(ap);                                                                                  \
                int fd = REAL(name)(path, flags, mode);                                                      \
                note_open(fd, path, flags);                                                                  \
                return fd;                                                                                   \
        }
WRAP_OPEN(open)
WRAP_OPEN(open64)

EXPORT int close(int fd) {
        lock();
        if (fd >= 0 && fd < FDS_MAX)
                logger.handles[fd] = 0;
        unlock();
        return REAL(close)(fd);
}

/* ---- writing ---------------------------------------------------------------------------------- */

static void note_write(int fd, const void *data, ssize_t n, off_t offset) {
        if (n > 0)
                log_record(WRITE_LOG_WRITE, handle_of(fd), 0, (uint64_t)offset, data, (size_t)n);
}

static void note_vector(int fd, const struct iovec *parts, int n_parts, ssize_t n, off_t offset) {
        for (int i = 0; i < n_parts && n > 0; i++) {
                ssize_t here = (ssize_t)parts[i].iov_len < n ? (ssize_t)parts[i].iov_len : n;
                note_write(fd, parts[i].iov_base, here, offset);
                offset += here;
                n -= here;
        }
}

#define LOGGED(type, call, note)                                                                             \
        if (!handle_of(fd))                                                                                  \
                return call;                                                                                 \
        lock();                                                                                              \
        type r = call;                                                                                       \
        int e = errno;                                                                                       \
        note;                                                                                                \
        unlock();                                                                                            \
        errno = e;                                                                                           \
        return r

EXPORT ssize_t pwrite(int fd, const void *data, size_t n, off_t offset) {
        LOGGED(ssize_t, REAL(pwrite)(fd, data, n, offset), note_write(fd, data, r, offset));
}
EXPORT ssize_t pwrite64(int fd, const void *data, size_t n, off64_t offset) {
        LOGGED(ssize_t, REAL(pwrite64)(fd, data, n, offset), note_write(fd, data, r, offset));
}
EXPORT ssize_t pwritev(int fd, const struct iovec *parts, int n, off_t offset) {
        LOGGED(ssize_t, REAL(pwritev)(fd, parts, n, offset), note_vector(fd, parts, n, r, offset));
}
EXPORT ssize_t pwritev64(int fd, const struct iovec *parts, int n, off64_t offset) {
        LOGGED(ssize_t, REAL(pwritev64)(fd, parts, n, offset), note_vector(fd, parts, n, r, offset));
}
/** Where a plain write went: it has moved the offset by what it wrote. */
static off_t written_at(int fd, ssize_t n) { return n > 0 ? lseek(fd, 0, SEEK_CUR) - n : 0; }

EXPORT ssize_t write(int fd, const void *data, size_t n) {
        LOGGED(ssize_t, REAL(write)(fd, data, n), note_write(fd, data, r, written_at(fd, r)));
}
EXPORT ssize_t writev(int fd, const struct iovec *parts, int n) {
        LOGGED(ssize_t, REAL(writev)(fd, parts, n), note_vector(fd, parts, n, r, written_at(fd, r)));
}
EXPORT int ftruncate(int fd, off_t size) {
        LOGGED(int, REAL(ftruncate)(fd, size),
               if (r == 0) log_record(WRITE_LOG_TRUNCATE, handle_of(fd), 0, (uint64_t)size, NULL, 0));
}
EXPORT int ftruncate64(int fd, off64_t size) {
        LOGGED(int, REAL(ftruncate64)(fd, size),
               if (r == 0) log_record(WRITE_LOG_TRUNCATE, handle_of(fd), 0, (uint64_t)size, NULL, 0));
}

/* ---- syncing ---------------------------------------------------------------------------------- */

static void note_sync(int fd, int r) {
        if (r == 0)
                log_record(WRITE_LOG_SYNC, handle_of(fd), 0, 0, NULL, 0);
}
EXPORT int fsync(int fd) { LOGGED(int, REAL(fsync)(fd), note_sync(fd, r)); }
EXPORT int fdatasync(int fd) { LOGGED(int, REAL(fdatasync)(fd), note_sync(fd, r)); }
/* What is written through a map is seen by nobody here: a watched program that does that must not be believed. */
EXPORT int msync(void *at, size_t n, int flags) {
        if (logger.fd >= 0) {
                fprintf(stderr, "write_logger: msync: writes through maps can't be logged\n");
                abort();
        }
        return REAL(msync)(at, n, flags);
}

/* ---- names ------------------------------------------------------------------------------------ */

EXPORT int rename(const char *from, const char *to) {
        const char *a = watched(from), *b = watched(to);
        char data[2 * 4096];

        if (!a || !b || strlen(a) + strlen(b) + 2 > sizeof(data))
                return REAL(rename)(from, to);
        size_t n = strlen(a) + 1;
        memcpy(data, a, n);
        memcpy(data + n, b, strlen(b) + 1);
        lock();
        int r = REAL(rename)(from, to), e = errno;
        if (r == 0)
                log_record(WRITE_LOG_RENAME, 0, 0, 0, data, n + strlen(b) + 1);
        unlock();
        errno = e;
        return r;
}

EXPORT int unlink(const char *path) {
        const char *below = watched(path);

        if (!below)
                return REAL(unlink)(path);
        lock();
        int r = REAL(unlink)(path), e = errno;
        if (r == 0)
                log_record(WRITE_LOG_UNLINK, 0, 0, 0, below, strlen(below));
        unlock();
        errno = e;
        return r;
}
