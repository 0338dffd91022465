/*
 * The process's own log
 *
 * The one file of this floor that reads the clock and does I/O, and the one that holds a process-wide
 * variable (the level). A line is made in memory and written with one write(2), so that lines of several
 * threads, or processes, don't mix.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/quote.h"

#define WRITE_TRIES_MAX 100 /* a stderr that takes nothing must not hold up the process */

static const char *const level_names[] = {
        [LOG_ERROR] = "error", [LOG_WARN] = "warn", [LOG_INFO] = "info", [LOG_DEBUG] = "debug"};

static atomic_int current_level = LOG_INFO;

int log_claim_streams(void) {
        for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
                /* The lowest free number is taken. The wrong direction: reads and writes give EBADF as before. */
                int flags = fd == STDIN_FILENO ? O_WRONLY : O_RDONLY;
                if (fcntl(fd, F_GETFD) < 0 && errno == EBADF && open("/dev/null", flags) < 0)
                        return -errno;
        }
        return 0;
}

void log_set_level(LogLevel level) {
        atomic_store_explicit(&current_level, (int)level, memory_order_relaxed);
}

void log_set_level_name(const char *name) {
        for (size_t i = 0; i < N_ELEMENTS(level_names); i++)
                if (!strcmp(level_names[i], name))
                        log_set_level((LogLevel)i);
}

LogLevel log_level(void) { return (LogLevel)atomic_load_explicit(&current_level, memory_order_relaxed); }

static void write_line(Slice line) {
        for (int tries = 0; line.n > 0 && tries < WRITE_TRIES_MAX; tries++) {
                ssize_t n = write(STDERR_FILENO, line.data, line.n);
                if (n < 0 && errno != EINTR)
                        return; /* nowhere to complain */
                if (n > 0)
                        line = (Slice){line.data + n, line.n - (size_t)n};
        }
}

static void put_text(Buf *b, const char *text) {
        Slice whole = slice_from_str(text), cut = slice_cut_utf8(whole, LOG_VALUE_MAX);
        quote_json_lossy(b, cut);
        if (cut.n < whole.n && !b->error) {
                b->n--; /* the closing quote comes after the mark */
                buf_put_str(b, "…\"");
        }
}

static void put_pair(Buf *b, const char *key, const char *value) {
        buf_put_char(b, ',');
        put_text(b, key);
        buf_put_char(b, ':');
        if (value)
                put_text(b, value);
        else
                buf_put_str(b, "null");
}

void log_event(LogLevel level, const char *message, ...) {
        if (level > log_level())
                return;
        int saved_errno = errno;
        struct timespec now;
        clock_gettime(CLOCK_REALTIME, &now);
        char time_text[TIME_TEXT_SIZE + 1];
        time_format_ms((int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000, time_text);

        _cleanup_(buf_deinit) Buf b = {0};
        buf_printf(&b, "{\"time\":\"%s\",\"level\":\"%s\",\"message\":", time_text,
                   (unsigned)level < N_ELEMENTS(level_names) ? level_names[level] : "error");
        put_text(&b, message);
        va_list ap;
        va_start(ap, message);
        for (const char *key; (key = va_arg(ap, const char *));) {
                const char *value = va_arg(ap, const char *);
                size_t before = b.n;
                put_pair(&b, key, value);
                if (b.n > LOG_LINE_MAX) {
                        b.n = before;
                        buf_put_str(&b, ",\"truncated\":true");
                        break;
                }
        }
        va_end(ap);
        buf_put_str(&b, "}\n");
        if (b.error)
                write_line(SLICE("{\"level\":\"error\",\"message\":\"out of memory while logging\"}\n"));
        else
                write_line(buf_slice(&b));
        errno = saved_errno;
}

void log_printf(LogLevel level, const char *format, ...) {
        if (level > log_level())
                return;
        int saved_errno = errno;
        _cleanup_(buf_deinit) Buf b = {0};
        va_list ap;
        va_start(ap, format);
        buf_vprintf(&b, format, ap);
        va_end(ap);
        _cleanup_free_ char *message = buf_steal_str(&b);
        errno = saved_errno;
        log_event(level, message ? message : "out of memory while logging", NULL);
}
