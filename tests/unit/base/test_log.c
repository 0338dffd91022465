#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../leaks.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"

TestSuite(log, .fini = check_leaks);

/** Everything that @write logs, as a string. */
static char *capture(void (*write)(void)) {
        FILE *file = tmpfile();
        int saved = dup(STDERR_FILENO);
        cr_assert(file && saved >= 0);
        dup2(fileno(file), STDERR_FILENO);
        write();
        dup2(saved, STDERR_FILENO);
        close(saved);
        off_t n = lseek(fileno(file), 0, SEEK_END);
        char *text = calloc(1, (size_t)n + 1);
        cr_assert_not_null(text);
        cr_assert_eq(pread(fileno(file), text, (size_t)n, 0), n);
        fclose(file);
        return text;
}

/* After {"time":"…": */
static const char *without_time(const char *line) {
        int64_t ms;
        cr_assert(slice_starts_with(slice_from_str(line), SLICE("{\"time\":\"")));
        cr_assert(time_parse_ms((Slice){line + 9, TIME_TEXT_SIZE}, &ms));
        cr_assert_gt(ms, 1600000000000);
        return line + 9 + TIME_TEXT_SIZE + 1;
}

static void write_pairs(void) {
        log_event(LOG_WARN, "nats is \"away\"", "url", "nats://x\n", "error", NULL, NULL);
}

Test(log, one_line_with_pairs) {
        _cleanup_free_ char *text = capture(write_pairs);
        cr_assert_str_eq(without_time(text), ",\"level\":\"warn\",\"message\":\"nats is "
                                             "\\\"away\\\"\",\"url\":\"nats://x\\n\",\"error\":null}\n");
}

static void write_printf(void) { log_printf(LOG_ERROR, "step %d of %s", 3, "x"); }

Test(log, formatted) {
        _cleanup_free_ char *text = capture(write_printf);
        cr_assert_str_eq(without_time(text), ",\"level\":\"error\",\"message\":\"step 3 of x\"}\n");
}

static void write_levels(void) {
        log_event(LOG_DEBUG, "no", NULL);
        log_set_level(LOG_ERROR);
        log_event(LOG_WARN, "no", NULL);
        log_printf(LOG_INFO, "no");
        log_event(LOG_ERROR, "yes", NULL);
        log_set_level_name("debug");
        log_event(LOG_DEBUG, "yes", NULL);
        log_set_level_name("loud"); /* none */
        log_event(LOG_DEBUG, "yes", NULL);
}

Test(log, levels) {
        cr_assert_eq(log_level(), LOG_INFO);
        _cleanup_free_ char *text = capture(write_levels);
        cr_assert_null(strstr(text, "no"));
        cr_assert_not_null(strstr(text, "\"level\":\"error\",\"message\":\"yes\""));
        cr_assert_not_null(strstr(text, "\"level\":\"debug\",\"message\":\"yes\""));
}

/** In a process of its own: with @closed, do all three exist afterwards, and does @closed refuse to be used? */
static int claim_without(int closed) {
        pid_t child = fork();
        if (child == 0) {
                char byte = 0;
                close(closed);
                bool fine = log_claim_streams() == 0;
                for (int fd = 0; fd <= 2; fd++)
                        fine = fine && fcntl(fd, F_GETFD) >= 0;
                errno = 0;
                ssize_t n = closed == 0 ? read(closed, &byte, 1) : write(closed, &byte, 1);
                fine = fine && n < 0 && errno == EBADF;
                int next = open("/dev/null", O_RDONLY);
                _exit(fine && next > 2 ? 0 : 1);
        }
        int status = -1;
        cr_assert_eq(waitpid(child, &status, 0), child);
        return status;
}

Test(log, nothing_takes_the_place_of_a_closed_stream) {
        for (int fd = 0; fd <= 2; fd++)
                cr_assert_eq(claim_without(fd), 0, "%d", fd);
}

static void write_huge(void) {
        _cleanup_free_ char *huge = malloc(LOG_LINE_MAX);
        memset(huge, '\x01', LOG_LINE_MAX);
        huge[LOG_LINE_MAX - 1] = '\0';
        log_event(LOG_INFO, "m", "a", huge, "b", huge, "c", huge, "d", "lost", NULL);
}

Test(log, long_values_are_cut_and_long_lines_end) {
        _cleanup_free_ char *text = capture(write_huge);
        size_t n = strlen(text);
        cr_assert_leq(n, LOG_LINE_MAX + 64);
        cr_assert_not_null(strstr(text, "…\",\"b\":"));
        cr_assert_str_eq(text + n - strlen(",\"truncated\":true}\n"), ",\"truncated\":true}\n");
        cr_assert_null(strstr(text, "lost"));
}

static void write_errno(void) {
        errno = EXDEV;
        log_event(LOG_INFO, "a", NULL);
        cr_assert_eq(errno, EXDEV);
        log_printf(LOG_INFO, "%m");
        cr_assert_eq(errno, EXDEV);
}

Test(log, errno_survives) {
        _cleanup_free_ char *text = capture(write_errno);
        cr_assert_not_null(strstr(text, strerror(EXDEV)));
}

static void *write_many(void *unused) {
        for (int i = 0; i < 500; i++)
                log_event(LOG_INFO, "0123456789", "key", "value", NULL);
        return unused;
}

static void write_threads(void) {
        pthread_t threads[4];
        for (size_t i = 0; i < N_ELEMENTS(threads); i++)
                cr_assert_eq(pthread_create(&threads[i], NULL, write_many, NULL), 0);
        for (size_t i = 0; i < N_ELEMENTS(threads); i++)
                pthread_join(threads[i], NULL);
}

Test(log, lines_of_several_threads_do_not_mix) {
        _cleanup_free_ char *text = capture(write_threads);
        size_t n = 0;
        for (char *line = text, *end; (end = strchr(line, '\n')); line = end + 1, n++) {
                *end = '\0';
                cr_assert_str_eq(without_time(line),
                                 ",\"level\":\"info\",\"message\":\"0123456789\",\"key\":\"value\"}");
        }
        cr_assert_eq(n, 2000);
}
