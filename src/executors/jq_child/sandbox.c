/*
 * The sandbox
 *
 * Programs come with definitions, from whoever may register them, and libjq was not written for hostile ones.
 * So nothing is taken from its word: `import` would read files, `env` the environment (which is empty here),
 * an endless program would run, a bug would do what it likes. The limits hold for all of these.
 *
 * Descriptors: no new ones (RLIMIT_NOFILE 0), so no files, no network, no pipes; the socket on 0 was there
 * before. System calls: those that memory, reading, writing, time and ending need; all others fail with
 * EPERM. Signals to others, tracing and setting limits are among the others. Where the kernel takes no filter
 * the limits stand alone.
 *
 * Sanitizers need address space and system calls of their own; in their builds both of these are left out.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "executors/jq_child/sandbox.h"

#ifndef __has_feature
#define __has_feature(x) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || __has_feature(address_sanitizer) ||     \
                __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define IS_SANITIZED true
#else
#define IS_SANITIZED false
#endif

#if defined(__x86_64__)
#define ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCH AUDIT_ARCH_AARCH64
#endif

#ifdef ARCH
static bool filter_system_calls(void) {
        static const uint16_t allowed[] = {
                        __NR_brk,
                        __NR_clock_gettime,
                        __NR_exit,
                        __NR_exit_group,
                        __NR_futex,
                        __NR_getpid,
                        __NR_getrandom,
                        __NR_gettid,
                        __NR_gettimeofday,
                        __NR_madvise,
                        __NR_mmap,
                        __NR_mprotect,
                        __NR_mremap,
                        __NR_munmap,
                        __NR_read,
                        __NR_restart_syscall,
                        __NR_rt_sigprocmask,
                        __NR_rt_sigreturn,
                        __NR_sched_yield,
                        __NR_setitimer,
                        __NR_write,
#ifdef __NR_time
                        __NR_time,
#endif
        };
        struct sock_filter filter[N_ELEMENTS(allowed) * 2 + 8];
        unsigned short n = 0;
        filter[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
                                                   offsetof(struct seccomp_data, arch));
        filter[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCH, 1, 0);
        filter[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
        filter[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
                                                   offsetof(struct seccomp_data, nr));
        for (size_t i = 0; i < N_ELEMENTS(allowed); i++) {
                filter[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, allowed[i], 0, 1);
                filter[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
        }
        filter[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM);
        struct sock_fprog program = {.len = n, .filter = filter};
        return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) == 0;
}
#else
static bool filter_system_calls(void) { return false; }
#endif

/** When the machine has no memory left, this is what should go, not the engine. */
static void volunteer_for_oom(void) {
        int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
        if (fd < 0)
                return;
        ssize_t n = write(fd, "1000", 4);
        (void)n; /* a kindness: nothing depends on it */
        close(fd);
}

static int limit(int resource, rlim_t value) {
        struct rlimit l = {.rlim_cur = value, .rlim_max = value};
        /* Not setrlimit: where system calls are filtered for the whole service that one may be kept from it. */
        return prlimit(0, resource, &l, NULL) < 0 ? -errno : 0;
}

int sandbox_enter(size_t memory_bytes, bool *ret_has_seccomp) {
        const struct {
                int resource;
                rlim_t value;
        } limits[] = {
                        {RLIMIT_CORE, 0},     {RLIMIT_FSIZE, 0},  {RLIMIT_MEMLOCK, 0},
                        {RLIMIT_MSGQUEUE, 0}, {RLIMIT_NOFILE, 0}, {RLIMIT_NPROC, 0},
        };
        *ret_has_seccomp = false;
        if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
                return -errno;
        volunteer_for_oom();
        for (size_t i = 0; i < N_ELEMENTS(limits); i++) {
                int r = limit(limits[i].resource, limits[i].value);
                if (r < 0)
                        return r;
        }
        if (IS_SANITIZED)
                return 0;
        int r = limit(RLIMIT_AS, memory_bytes);
        if (r == 0)
                *ret_has_seccomp = filter_system_calls();
        return r;
}
