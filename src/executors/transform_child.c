/*
 * Helper processes
 *
 * Each place holds at most one process. It is started when somebody waits for it (the first one at once, to
 * see that it works), gets one job at a time, and is killed when its job's time is up: a program that does
 * not end can't be stopped otherwise. A process that is gone is waited for by looking again and again, at
 * most 50 ms apart, because a wait that blocks would hold up the others for as long as the kernel takes to
 * free its memory.
 *
 * A job whose process ran out of memory gets another try in a new process if earlier runs had used this one:
 * what they left behind must not decide.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "executors/transform_internal.h"

#define LOOK_MIN_NS (NS_PER_MS / 2)
#define LOOK_MAX_NS (50 * NS_PER_MS)
#define CPU_SLACK_MS 1000
#define READ_BYTES  (64 << 10)

static int64_t backoff_ns(uint32_t n_deaths) {
        int64_t ms = TRANSFORM_BACKOFF_MIN_MS;
        if (n_deaths < 2)
                return 0;
        for (uint32_t i = 2; i < n_deaths && ms < TRANSFORM_BACKOFF_MAX_MS; i++)
                ms *= 2;
        return (ms < TRANSFORM_BACKOFF_MAX_MS ? ms : TRANSFORM_BACKOFF_MAX_MS) * NS_PER_MS;
}

static void watch(TransformEngine *e, TransformChild *c, int how) {
        struct epoll_event event = {.events = EPOLLIN | (c->wants_write ? EPOLLOUT : 0), .data.ptr = c};
        /* Fails for want of memory only, and then the process looks silent: its job's timeout ends that. */
        (void)epoll_ctl(e->epoll, how, c->fd, &event);
}

/* ---- starting ------------------------------------------------------------------------------------------ */

static int spawn(TransformEngine *e, int socket, pid_t *ret) {
        char memory[16];
        char *argv[] = {"runbook-jq", memory, NULL}, *environment[] = {NULL};
        posix_spawn_file_actions_t files;
        posix_spawnattr_t attributes;
        sigset_t none, all;
        snprintf(memory, sizeof(memory), "%u", e->settings.memory_mb);
        sigemptyset(&none);
        sigfillset(&all);
        int r = posix_spawn_file_actions_init(&files);
        if (r != 0)
                return -r;
        r = posix_spawnattr_init(&attributes);
        if (r != 0) {
                posix_spawn_file_actions_destroy(&files);
                return -r;
        }
        r = r ? r : posix_spawn_file_actions_adddup2(&files, socket, 0);
        r = r ? r : posix_spawn_file_actions_addopen(&files, 1, "/dev/null", O_WRONLY, 0);
        r = r ? r : posix_spawn_file_actions_adddup2(&files, 1, 2);
        r = r ? r : posix_spawn_file_actions_addclosefrom_np(&files, 3);
        /* A process group of its own: what a terminal sends to the engine is not for it. */
        r = r ? r
              : posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF |
                                                                      POSIX_SPAWN_SETSIGMASK);
        r = r ? r : posix_spawnattr_setsigmask(&attributes, &none);
        r = r ? r : posix_spawnattr_setsigdefault(&attributes, &all);
        r = r ? r : posix_spawn(ret, e->helper, &files, &attributes, argv, environment);
        posix_spawnattr_destroy(&attributes);
        posix_spawn_file_actions_destroy(&files);
        return -r;
}

/** No process came of it. */
static void not_started(TransformEngine *e, TransformChild *c, const char *why) {
        snprintf(e->start_fault, sizeof(e->start_fault), "%.400s can't be started: %s", e->helper, why);
        c->state = CHILD_NONE;
        c->act_ns = e->now_ns + backoff_ns(++c->n_deaths) + TRANSFORM_BACKOFF_MIN_MS * NS_PER_MS;
        if (e->start == START_PENDING)
                transform_report_start(e, false);
        else
                log_event(LOG_WARN, "a helper process of transform steps did not start", "error",
                          e->start_fault, NULL);
        if (c->job)
                transform_job_fail(e, c->job, "TRANSFORM_CRASHED", true,
                                   "the program found no process to run in: %s", e->start_fault);
}

void transform_child_spawn(TransformEngine *e, TransformChild *c) {
        int ends[2];
        c->n_runs = 0;
        c->is_forgiven = c->wants_write = false;
        buf_reset(&c->in);
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0) {
                not_started(e, c, strerror(errno));
                return;
        }
        int r = fcntl(ends[0], F_SETFL, O_NONBLOCK) < 0 ? -errno : spawn(e, ends[1], &c->pid);
        close(ends[1]);
        if (r < 0) {
                close(ends[0]);
                not_started(e, c, strerror(-r));
                return;
        }
        c->fd = ends[0];
        c->state = CHILD_STARTING;
        c->act_ns = e->now_ns + TRANSFORM_START_MS * NS_PER_MS;
        watch(e, c, EPOLL_CTL_ADD);
}

/* ---- jobs ---------------------------------------------------------------------------------------------- */

/** Send what can be sent. False: the process is not there to take it. */
static bool send_request(TransformEngine *e, TransformChild *c) {
        const TransformJob *job = c->job;
        while (job) {
                Slice parts[] = {slice_from_bytes(&c->request, sizeof(c->request)), job->program, job->input};
                struct iovec iov[3];
                int n_iov = 0;
                size_t skip = c->n_sent;
                for (int i = 0; i < 3; i++) {
                        size_t gone = skip < parts[i].n ? skip : parts[i].n;
                        skip -= gone;
                        if (gone < parts[i].n)
                                iov[n_iov++] = (struct iovec){(char *)parts[i].data + gone,
                                                              parts[i].n - gone};
                }
                if (n_iov == 0)
                        break;
                struct msghdr message = {.msg_iov = iov, .msg_iovlen = (size_t)n_iov};
                ssize_t n = sendmsg(c->fd, &message, MSG_NOSIGNAL);
                if (n < 0 && errno == EAGAIN) {
                        if (!c->wants_write) {
                                c->wants_write = true;
                                watch(e, c, EPOLL_CTL_MOD);
                        }
                        return true;
                }
                if (n < 0 && errno != EINTR)
                        return false;
                c->n_sent += n > 0 ? (size_t)n : 0;
        }
        if (c->wants_write) {
                c->wants_write = false;
                watch(e, c, EPOLL_CTL_MOD);
        }
        return true;
}

void transform_child_give(TransformEngine *e, TransformChild *c, TransformJob *job) {
        int64_t left_ms = (job->due.ns - e->now_ns) / NS_PER_MS + 1;
        /* With less time than that left it is the clock that ends it: our kill, not the process's own timer. */
        int64_t cpu_ms = left_ms < e->settings.cpu_ms ? left_ms + CPU_SLACK_MS : e->settings.cpu_ms;
        job->child = c;
        job->start_ns = e->now_ns;
        c->job = job;
        c->state = CHILD_BUSY;
        c->act_ns = NEVER;
        c->n_sent = 0;
        c->request = (JqRequest){.n_program = (uint32_t)job->program.n,
                                 .n_input = (uint32_t)job->input.n,
                                 .output_max = TRANSFORM_TEXT_MAX,
                                 .cpu_ms = (uint32_t)(cpu_ms > 0 ? cpu_ms : 1)};
        buf_reset(&c->logs);
        c->n_logs = 0;
        if (!send_request(e, c))
                transform_child_kill(e, c, false);
}

void transform_child_started(TransformEngine *e, TransformChild *c) {
        c->state = CHILD_IDLE;
        c->act_ns = NEVER;
        e->start_fault[0] = '\0';
        if (e->start == START_PENDING)
                transform_report_start(e, true);
        if (c->job)
                transform_child_give(e, c, c->job);
}

void transform_child_answered(TransformEngine *e, TransformChild *c) {
        c->state = CHILD_IDLE;
        c->n_deaths = 0;
        if (++c->n_runs >= TRANSFORM_RUNS_MAX)
                transform_child_kill(e, c, true);
}

static void receive(TransformEngine *e, TransformChild *c) {
        for (;;) {
                char *room = buf_reserve(&c->in, READ_BYTES) < 0 ? NULL : c->in.data + c->in.n;
                ssize_t n = room ? read(c->fd, room, READ_BYTES) : -1;
                if (n < 0 && room && errno == EINTR)
                        continue;
                if (n < 0 && room && errno == EAGAIN)
                        return;
                if (n <= 0) {
                        transform_child_kill(e, c, false);
                        return;
                }
                c->in.n += (size_t)n;
                if (!transform_frames_take(e, c)) {
                        transform_child_kill(e, c, false);
                        return;
                }
                if (c->fd < 0)
                        return; /* it was its last run */
        }
}

void transform_child_ready(TransformEngine *e, TransformChild *c, uint32_t events) {
        if (c->fd >= 0 && (events & EPOLLOUT) && !send_request(e, c))
                transform_child_kill(e, c, false);
        if (c->fd >= 0 && (events & ~(uint32_t)EPOLLOUT))
                receive(e, c);
}

/* ---- ends ---------------------------------------------------------------------------------------------- */

/** What a wait status says, for people. */
static const char *describe(int status, char text[64]) {
        if (WIFSIGNALED(status))
                snprintf(text, 64, "%s", strsignal(WTERMSIG(status)));
        else
                snprintf(text, 64, "exit status %d", WEXITSTATUS(status));
        return text;
}

/** Is the process of @c the one to blame that its job had no memory? If not there is another try. */
static bool try_again(TransformEngine *e, TransformChild *c) {
        if (c->n_runs == 0 || c->job->had_no_memory)
                return false;
        c->job->had_no_memory = true;
        transform_child_spawn(e, c);
        return true;
}

static void judge_job(TransformEngine *e, TransformChild *c, int status) {
        char text[64];
        if (WIFEXITED(status) && WEXITSTATUS(status) == JQ_EXIT_MEMORY) {
                if (!try_again(e, c))
                        transform_job_fail(e, c->job, "TRANSFORM_MEMORY", false,
                                           "the program needs more than the %u MiB of memory allowed "
                                           "(TRANSFORM_MEMORY_MB)",
                                           e->settings.memory_mb);
        } else if (WIFSIGNALED(status) && WTERMSIG(status) == SIGPROF)
                transform_job_fail(e, c->job, "TRANSFORM_TIMEOUT", false,
                                   "the program was ended after %u ms of CPU time (TRANSFORM_CPU_MS is %lld, "
                                   "the "
                                   "step's time %lld ms)",
                                   c->request.cpu_ms, (long long)e->settings.cpu_ms,
                                   (long long)c->job->timeout_ms);
        else
                transform_job_fail(e, c->job, "TRANSFORM_CRASHED", true,
                                   "the process that ran the program ended badly (%s)%s",
                                   describe(status, text),
                                   WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL
                                                   ? "; the machine may have run out of memory"
                                                   : "");
}

/** The process is gone. */
static void ended(TransformEngine *e, TransformChild *c, int status) {
        char text[64], why[160];
        if (c->was_starting) {
                snprintf(why, sizeof(why), "it ended before it was ready (%s); is libjq installed?",
                         describe(status, text));
                not_started(e, c, why);
                return;
        }
        c->state = CHILD_NONE;
        c->act_ns = e->now_ns + (c->is_forgiven ? 0 : backoff_ns(++c->n_deaths));
        if (c->job)
                judge_job(e, c, status);
}

static void look(TransformEngine *e, TransformChild *c) {
        int status = 0;
        pid_t r = waitpid(c->pid, &status, WNOHANG);
        if (r == 0 || (r < 0 && errno == EINTR)) {
                c->act_ns = e->now_ns + c->look_ns;
                c->look_ns = c->look_ns < LOOK_MAX_NS / 2 ? c->look_ns * 2 : LOOK_MAX_NS;
        } else {
                ended(e, c, status);
        }
}

void transform_child_kill(TransformEngine *e, TransformChild *c, bool forgiven) {
        if (c->state == CHILD_NONE || c->state == CHILD_DYING)
                return;
        close(c->fd); /* out of epoll, too: nobody else has it */
        c->fd = -1;
        kill(c->pid, SIGKILL); /* changes nothing in the status of one that has ended already */
        c->was_starting = c->state == CHILD_STARTING;
        c->state = CHILD_DYING;
        c->is_forgiven = forgiven;
        c->look_ns = LOOK_MIN_NS;
        c->act_ns = e->now_ns + c->look_ns;
}

void transform_child_act(TransformEngine *e, TransformChild *c) {
        if (c->state == CHILD_DYING)
                look(e, c);
        else if (c->state == CHILD_STARTING)
                transform_child_kill(e, c, false);
}

void transform_child_deinit(TransformEngine *e, TransformChild *c) {
        transform_child_kill(e, c, true);
        if (c->state == CHILD_DYING)
                while (waitpid(c->pid, NULL, 0) < 0 && errno == EINTR)
                        continue;
        c->state = CHILD_NONE;
        buf_deinit(&c->in);
        buf_deinit(&c->logs);
}
