/* Run the program as a person or a script would. */

#include <criterion/criterion.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "run.h"

#define LINE_MAX_BYTES 8192
#define RUN_MS         30000
#define EXPECT_MS      10000

static int64_t now_ms(void) {
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void exec_line(const char *line) {
        char command[LINE_MAX_BYTES + 512];

        prctl(PR_SET_PDEATHSIG, SIGKILL);
        /* A function, so that a line may be a whole pipeline; a single command replaces the shell, and gets
         * its signals. */
        if (strchr(line, '|'))
                snprintf(command, sizeof command, "runbook() { \"$RUNBOOK_PROGRAM\" \"$@\"; }\nrunbook %s",
                         line);
        else
                snprintf(command, sizeof command, "exec \"$RUNBOOK_PROGRAM\" %s", line);
        execl("/bin/bash", "bash", "-c", command, (char *)NULL);
        _exit(127);
}

/** Read what is there into @room; false at the end. */
static bool drain(int fd, char *room, size_t *n) {
        char chunk[4096];
        ssize_t k = read(fd, chunk, sizeof chunk);

        if (k <= 0)
                return false;
        for (ssize_t i = 0; i < k && *n + 1 < RUN_OUTPUT_MAX; i++)
                room[(*n)++] = chunk[i];
        room[*n] = 0;
        return true;
}

static int exit_of(int status) { return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status); }

const Run *run(const char *format, ...) {
        static Run r;
        char line[LINE_MAX_BYTES];
        int out[2], err[2], status = 0;
        size_t n_out = 0, n_err = 0;
        int64_t end_ms = now_ms() + RUN_MS;
        bool out_open = true, err_open = true;
        va_list ap;
        pid_t pid;

        va_start(ap, format);
        vsnprintf(line, sizeof line, format, ap);
        va_end(ap);
        r.out[0] = r.err[0] = 0;
        cr_assert_eq(pipe(out) | pipe(err), 0);
        pid = fork();
        cr_assert_geq(pid, 0);
        if (pid == 0) {
                dup2(out[1], STDOUT_FILENO);
                dup2(err[1], STDERR_FILENO);
                close(out[0]), close(err[0]), close(out[1]), close(err[1]);
                exec_line(line);
        }
        close(out[1]), close(err[1]);
        while ((out_open || err_open) && now_ms() < end_ms) {
                struct pollfd p[2] = {{out_open ? out[0] : -1, POLLIN, 0},
                                      {err_open ? err[0] : -1, POLLIN, 0}};

                poll(p, 2, 100);
                if (p[0].revents)
                        out_open = drain(out[0], r.out, &n_out);
                if (p[1].revents)
                        err_open = drain(err[0], r.err, &n_err);
        }
        if (now_ms() >= end_ms)
                kill(pid, SIGKILL);
        waitpid(pid, &status, 0);
        close(out[0]), close(err[0]);
        r.exit = exit_of(status);
        return &r;
}

void terminal_start(Terminal *t, int columns, int rows, const char *format, ...) {
        struct winsize size = {.ws_col = (unsigned short)columns, .ws_row = (unsigned short)rows};
        char line[LINE_MAX_BYTES];
        va_list ap;

        va_start(ap, format);
        vsnprintf(line, sizeof line, format, ap);
        va_end(ap);
        t->n = 0;
        t->out[0] = 0;
        t->pid = forkpty(&t->fd, NULL, NULL, &size);
        cr_assert_geq(t->pid, 0);
        if (t->pid == 0) {
                setenv("TERM", "xterm", 1);
                exec_line(line);
        }
}

int terminal_expect(Terminal *t, const char *text) {
        int64_t end_ms = now_ms() + EXPECT_MS;

        while (!strstr(t->out, text) && now_ms() < end_ms) {
                struct pollfd p = {t->fd, POLLIN, 0};

                if (poll(&p, 1, 100) > 0 && !drain(t->fd, t->out, &t->n))
                        break;
        }
        return strstr(t->out, text) != NULL;
}

void terminal_interrupt(Terminal *t) { cr_assert_eq(write(t->fd, "\003", 1), 1); }

int terminal_finish(Terminal *t) {
        int64_t end_ms = now_ms() + EXPECT_MS;
        int status = 0;

        while (now_ms() < end_ms) {
                struct pollfd p = {t->fd, POLLIN, 0};

                if (poll(&p, 1, 100) > 0 && !drain(t->fd, t->out, &t->n))
                        break;
        }
        if (now_ms() >= end_ms)
                kill(t->pid, SIGKILL);
        waitpid(t->pid, &status, 0);
        close(t->fd);
        return exit_of(status);
}
