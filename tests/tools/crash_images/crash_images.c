/*
 * crash_images: the disk after a power failure, thousands of times.
 *
 *     workload ──under write_logger──► log ──replay──► clean states, one for each commit (judge_learn)
 *                                           └─replay──► images: what a crash at each point may have left (judge_image)
 *
 * One worker process makes images one after the other in memory and judges each; where an image kills it (a damaged
 * map is read by address), that is a violation like others, and a fresh worker goes on behind it. Prints TAP.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../write_logger/write_log.h"
#include "base/log.h"
#include "crash_images.h"
#include "storage/store_check.h"

#define JOBS_MAX       64
#define FAULTS_TOLD    5
#define THOROUGH_EVERY 256
#define CONTROL_IMAGES 1000
#define CONTROL_LEAST  80 /* percent of the control's images that must fail */

typedef struct Settings {
        uint64_t n_images, seed;
        unsigned jobs;
        const char *moves, *dir;
} Settings;

/** Shared with the workers. */
typedef struct Progress {
        uint64_t next, n_judged, n_faults, n_killed, n_thorough;
        char faults[FAULTS_TOLD][700];
} Progress;

typedef struct Run {
        const Settings *settings;
        char work[256]; /* everything is below */
        uint8_t *log;
        size_t n_log;
        uint64_t n_points; /* places in the log where a crash leaves something new */
        uint64_t n_writes, n_syncs, n_acks;
        Judge judge;
} Run;

static int64_t now_ms(void) {
        struct timespec t;
        clock_gettime(CLOCK_MONOTONIC, &t);
        return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void path_of(const Run *run, const char *name, char ret[512]) {
        snprintf(ret, 512, "%s/%s", run->work, name);
}

static void die(const char *what) {
        printf("Bail out! %s: %s\n", what, strerror(errno));
        exit(1);
}

/* ---- the log ---------------------------------------------------------------------------------- */

static void run_workload(const Run *run) {
        char data[512], log[512], seed[24];

        path_of(run, "data", data);
        path_of(run, "log", log);
        if (mkdir(data, 0700) < 0)
                die(data);
        snprintf(seed, sizeof(seed), "%llu", (unsigned long long)run->settings->seed);
        fflush(stdout);
        pid_t pid = fork();
        if (pid == 0) {
                setenv(WRITE_LOG_FILE_ENV, log, 1);
                setenv(WRITE_LOG_DIR_ENV, data, 1);
                setenv("LD_PRELOAD", WRITE_LOGGER, 1);
                /* In a sanitized build: the logger comes first on purpose, and the life ends without tidying up. */
                setenv("ASAN_OPTIONS", "verify_asan_link_order=0:detect_leaks=0", 1);
                int null = open("/dev/null", O_WRONLY);
                dup2(null, STDOUT_FILENO);
                dup2(null, STDERR_FILENO);
                execl(WORKLOAD, WORKLOAD, data, seed, run->settings->moves, NULL);
                _exit(127);
        }
        int status;
        if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0) {
                errno = ECHILD;
                die("the workload failed");
        }
}

static void load_log(Run *run) {
        char path[512];
        struct stat st;

        path_of(run, "log", path);
        int fd = open(path, O_RDONLY);
        if (fd < 0 || fstat(fd, &st) < 0)
                die(path);
        run->n_log = (size_t)st.st_size;
        run->log = mmap(NULL, run->n_log, PROT_READ, MAP_PRIVATE, fd, 0);
        if (run->log == MAP_FAILED)
                die(path);
        close(fd);
}

/* ---- learning --------------------------------------------------------------------------------- */

/** The image in which everything written so far has arrived. */
static int make_clean(const Disk *d, uint8_t *kept, const char *dir) {
        ImagePlan plan = {.dir = &d->history[d->n_history - 1], .kept = kept};

        for (size_t i = 0, at = 0; i < d->n_all; i++)
                for (size_t k = 0; k < d->all[i]->n_pending; k++)
                        kept[at++] = 1;
        return image_make(d, &plan, dir);
}

static uint8_t *kept_new(const Run *run) {
        uint8_t *kept = calloc(run->n_writes + 1, 1);
        if (!kept)
                die("memory");
        return kept;
}

static void count_log(Run *run) {
        Disk d;
        disk_init(&d, run->log, run->n_log, false);
        while (disk_step(&d)) {
                run->n_points += d.changed;
                run->n_acks += d.n_acks;
        }
        run->n_writes = d.n_writes;
        run->n_syncs = d.n_syncs;
        disk_deinit(&d);
}

/** Learn every commit's state; each acknowledgement must be true of the state that it was made in. 0 or -1. */
static int learn(Run *run, const char *dir) {
        uint8_t *kept = kept_new(run);
        Disk d;
        int r = 0;

        disk_init(&d, run->log, run->n_log, false);
        while (r == 0 && disk_step(&d)) {
                if (d.committed)
                        r = make_clean(&d, kept, dir) < 0 ? -1 : judge_learn(&run->judge, dir);
                else if (d.n_acks)
                        r = judge_ack(&run->judge, dir, &d.ack);
        }
        disk_deinit(&d);
        free(kept);
        return r;
}

/** The log replayed whole must be what is really there; else the log has holes and proves nothing. */
static int compare_with_disk(Run *run, const char *dir) {
        Digest digests[2];
        char data[512];
        const char *dirs[] = {dir, data};

        path_of(run, "data", data);
        for (int i = 0; i < 2; i++) {
                uint64_t txn;
                Store *store;
                StoreTxn *t;
                if (judge_open(&run->judge, dirs[i], &store, &txn) < 0)
                        return -1;
                int r = store_begin_read(store, &t);
                if (r == 0) {
                        r = store_digest(t, &digests[i]);
                        store_abort(t);
                }
                store_close(store);
                if (r < 0)
                        return -1;
        }
        if (digest_eq(&digests[0], &digests[1]))
                return 0;
        snprintf(run->judge.fault, sizeof(run->judge.fault),
                 "the log has holes: replayed it gives another store");
        return -1;
}

/* ---- images ----------------------------------------------------------------------------------- */

typedef struct Worker {
        Run *run;
        unsigned number;
        bool ignore_syncs;
        uint64_t n_images;
        Progress *progress;
} Worker;

static void note_fault(Progress *p, uint64_t image, const char *shape, const char *why) {
        uint64_t n = p->n_faults++;
        if (n < FAULTS_TOLD)
                snprintf(p->faults[n], sizeof(p->faults[n]), "image %llu (%s): %.500s",
                         (unsigned long long)image, shape, why);
}

/** All images of one point in the log that are this worker's and were not judged yet. */
static void judge_point(Worker *w, const Disk *d, uint64_t first, uint64_t end, uint64_t acked, uint8_t *kept,
                        const char *dir) {
        Progress *p = w->progress;

        for (uint64_t i = first; i < end; i++) {
                if (i % w->run->settings->jobs != w->number || i < p->next)
                        continue;
                Random random = {w->run->settings->seed * 0x9e3779b97f4a7c15u + i};
                ImagePlan plan = {.kept = kept};
                p->next = i + 1; /* if this one kills us, the next worker goes on behind it */
                image_plan(d, i, &random, &plan);
                if (w->ignore_syncs && !plan.lossy)
                        continue; /* the control is about what was lost */
                if (image_make(d, &plan, dir) < 0)
                        die("making an image");
                p->n_judged++;
                if (judge_image(&w->run->judge, dir, acked, !w->ignore_syncs && i % THOROUGH_EVERY == 0) < 0)
                        note_fault(p, i, plan.shape, w->run->judge.fault);
        }
        p->n_thorough += w->run->judge.n_thorough;
        w->run->judge.n_thorough = 0;
}

static void work(Worker *w) {
        uint8_t *kept = kept_new(w->run);
        uint64_t point = 0, acked = 0, n_points = w->run->n_points;
        char dir[512], name[32];
        Disk d;

        snprintf(name, sizeof(name), "image%u", w->number);
        path_of(w->run, name, dir);
        mkdir(dir, 0700);
        disk_init(&d, w->run->log, w->run->n_log, w->ignore_syncs);
        while (disk_step(&d)) {
                if (d.n_acks && d.ack.txn > acked)
                        acked = d.ack.txn;
                if (!d.changed)
                        continue;
                judge_point(w, &d, point * w->n_images / n_points, (point + 1) * w->n_images / n_points,
                            acked, kept, dir);
                point++;
        }
        disk_deinit(&d);
        free(kept);
}

static pid_t spawn(Worker *w) {
        fflush(stdout);
        pid_t pid = fork();
        if (pid == 0) {
                int null = open("/dev/null", O_WRONLY);
                dup2(null,
                     STDERR_FILENO); /* LMDB's and the checks' last words; the parent counts the end itself */
                work(w);
                _exit(0);
        }
        if (pid < 0)
                die("fork");
        return pid;
}

/** Judge @n_images; workers that die are replaced. The sum is in *ret. */
static void judge_images(Run *run, uint64_t n_images, bool ignore_syncs, Progress *ret) {
        Progress *all = mmap(NULL, sizeof(*all) * JOBS_MAX, PROT_READ | PROT_WRITE,
                             MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        Worker workers[JOBS_MAX];
        pid_t pids[JOBS_MAX];
        unsigned n_alive = run->settings->jobs;

        if (all == MAP_FAILED)
                die("memory");
        for (unsigned i = 0; i < run->settings->jobs; i++) {
                workers[i] = (Worker){run, i, ignore_syncs, n_images, &all[i]};
                pids[i] = spawn(&workers[i]);
        }
        while (n_alive > 0) {
                int status;
                pid_t pid = wait(&status);
                for (unsigned i = 0; i < run->settings->jobs; i++) {
                        if (pids[i] != pid)
                                continue;
                        if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
                                n_alive--;
                                continue;
                        }
                        char why[64];
                        snprintf(why, sizeof(why),
                                 WIFSIGNALED(status) ? "killed by signal %d" : "exit status %d",
                                 WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
                        note_fault(&all[i], all[i].next - 1,
                                   "the image kills who opens it, or a check failed", why);
                        all[i].n_killed++;
                        pids[i] = spawn(&workers[i]);
                }
        }
        *ret = (Progress){0};
        for (unsigned i = 0; i < run->settings->jobs; i++) {
                ret->n_judged += all[i].n_judged;
                ret->n_killed += all[i].n_killed;
                ret->n_thorough += all[i].n_thorough;
                for (unsigned k = 0; k < FAULTS_TOLD && k < all[i].n_faults; k++)
                        if (ret->n_faults + k < FAULTS_TOLD)
                                strcpy(ret->faults[ret->n_faults + k], all[i].faults[k]);
                ret->n_faults += all[i].n_faults;
        }
        munmap(all, sizeof(*all) * JOBS_MAX);
}

/* ---- the three cases -------------------------------------------------------------------------- */

static bool case_learn(Run *run) {
        char dir[512];

        path_of(run, "clean", dir);
        mkdir(dir, 0700);
        int r = learn(run, dir);
        if (r == 0)
                r = compare_with_disk(run, dir);
        printf("%s 1 - every commit of the log replayed is a consistent store, and nothing was told before "
               "its commit\n",
               r == 0 ? "ok" : "not ok");
        printf("# %llu commits, %llu writes, %llu syncs, %llu acknowledgements, %zu KiB of log\n",
               (unsigned long long)run->judge.last, (unsigned long long)run->n_writes,
               (unsigned long long)run->n_syncs, (unsigned long long)run->n_acks, run->n_log >> 10);
        if (r < 0)
                printf("# %s\n", run->judge.fault);
        return r == 0;
}

static bool case_images(Run *run) {
        int64_t begun = now_ms();
        Progress p;

        judge_images(run, run->settings->n_images, false, &p);
        int64_t ms = now_ms() - begun;
        bool ok = p.n_faults == 0 && p.n_judged == run->settings->n_images;
        printf("%s 2 - %llu power-loss images: each opens, has lost nothing acknowledged and shows whole "
               "commits only\n",
               ok ? "ok" : "not ok", (unsigned long long)p.n_judged);
        printf("# %llu faults; %llu images were checked from end to end and worked on; %lld ms, %lld "
               "images/s\n",
               (unsigned long long)p.n_faults, (unsigned long long)p.n_thorough, (long long)ms,
               (long long)(p.n_judged * 1000 / (uint64_t)(ms > 0 ? ms : 1)));
        for (unsigned i = 0; i < FAULTS_TOLD && i < p.n_faults; i++)
                printf("# %s\n", p.faults[i]);
        return ok;
}

static bool case_control(Run *run) {
        uint64_t n = run->settings->n_images < CONTROL_IMAGES ? run->settings->n_images : CONTROL_IMAGES;
        Progress p;

        judge_images(run, n, true, &p);
        bool ok = p.n_judged > 0 && p.n_faults * 100 >= p.n_judged * CONTROL_LEAST;
        printf("%s 3 - the control: with syncs ignored nearly every image is wrong\n", ok ? "ok" : "not ok");
        printf("# %llu of %llu, %llu of them by killing who opens them\n", (unsigned long long)p.n_faults,
               (unsigned long long)p.n_judged, (unsigned long long)p.n_killed);
        return ok;
}

/* ---- the program ------------------------------------------------------------------------------ */

static void usage(void) {
        puts("crash_images: power-loss images of a real store under a random life\n"
             "  --images N  how many (20000)      --seed N   which life and which images (1)\n"
             "  --moves N   how long a life (600) --jobs N   processes (1)\n"
             "  --dir DIR   where (/dev/shm)");
}

static int take_options(int argc, char **argv, Settings *s) {
        static const struct option options[] = {{"images", 1, NULL, 'i'}, {"seed", 1, NULL, 's'},
                                                {"moves", 1, NULL, 'm'},  {"jobs", 1, NULL, 'j'},
                                                {"dir", 1, NULL, 'd'},    {"help", 0, NULL, 'h'},
                                                {NULL, 0, NULL, 0}};
        int c;
        while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
                switch (c) {
                case 'i':
                        s->n_images = strtoull(optarg, NULL, 10);
                        break;
                case 's':
                        s->seed = strtoull(optarg, NULL, 10);
                        break;
                case 'm':
                        s->moves = optarg;
                        break;
                case 'j':
                        s->jobs = (unsigned)strtoul(optarg, NULL, 10);
                        break;
                case 'd':
                        s->dir = optarg;
                        break;
                default:
                        usage();
                        return -1;
                }
        }
        return s->jobs > 0 && s->jobs <= JOBS_MAX && s->n_images > 0 ? 0 : -1;
}

static void remove_all(const Run *run) {
        char command[300];
        snprintf(command, sizeof(command), "rm -rf -- '%s'", run->work);
        if (system(command) != 0)
                printf("# %s was not removed\n", run->work);
}

int main(int argc, char **argv) {
        Settings settings = {.n_images = 20000, .seed = 1, .jobs = 1, .moves = "600", .dir = "/dev/shm"};
        Run run = {.settings = &settings};

        if (take_options(argc, argv, &settings) < 0)
                return 2;
        if (access(settings.dir, W_OK) < 0)
                settings.dir = "/tmp";
        setvbuf(stdout, NULL, _IOLBF, 0);
        log_set_level(LOG_ERROR);
        snprintf(run.work, sizeof(run.work), "%s/runbook-crash-XXXXXX", settings.dir);
        if (!mkdtemp(run.work))
                die(run.work);
        printf("1..3\n");
        run_workload(&run);
        load_log(&run);
        count_log(&run);
        bool ok = case_learn(&run);
        ok = case_images(&run) && ok;
        ok = case_control(&run) && ok;
        judge_deinit(&run.judge);
        munmap(run.log, run.n_log);
        remove_all(&run);
        return ok ? 0 : 1;
}
