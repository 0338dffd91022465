/*
 * simulate: run seeds, and say of the first that fails how to repeat it.
 *
 *     simulate --seed N                  one life; with --trace its story
 *     simulate --seeds A..B              many; stops at the first failure and shrinks it
 *     simulate --hash --seeds A..B       a hash of each life's story, for comparing builds
 *     --steps N --skip 3,7-20 --without crash,disk-full      a shorter life
 *     --no-shrink                        say the seed and stop
 *
 * Exit status: 0 all is well, 1 a failure was found, 2 wrong arguments.
 */
#include <jansson.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shrink.h"

#define SHRINK_RUNS 400
#define STEPS_MAX   100000

typedef struct Arguments {
        Options options;
        uint64_t from, to;
        bool trace, hash, no_shrink, quiet;
        bool skip[STEPS_MAX];
} Arguments;

/** What a child that runs many seeds shares with who waits for it. */
typedef struct Progress {
        uint64_t seed;
        Outcome outcome;
        uint64_t n_done, n_executions, n_lifecycle, n_crashes, hash;
        uint64_t n_fault_seeds[N_FAULTS];
} Progress;

static void usage(void) {
        fprintf(stderr,
                "usage: simulate --seed N | --seeds A..B  [--steps N] [--skip LIST] [--without FAULTS]\n"
                "                [--trace] [--hash] [--no-shrink] [--quiet]\nfaults:");
        for (Fault f = 0; f < N_FAULTS; f++)
                fprintf(stderr, " %s", fault_names[f]);
        fprintf(stderr, "\n");
        exit(2);
}

static uint64_t number(const char *text, char **ret_end) {
        if (!text || *text < '0' || *text > '9')
                usage();
        return strtoull(text, ret_end, 10);
}

static void parse_skip(Arguments *a, const char *list) {
        char *end = (char *)list;
        while (*end) {
                uint64_t from = number(end, &end), to = from;
                if (*end == '-')
                        to = number(end + 1, &end);
                for (uint64_t i = from; i <= to && i < STEPS_MAX; i++)
                        a->skip[i] = true;
                if (*end == ',')
                        end++;
                else if (*end)
                        usage();
        }
        a->options.skip = a->skip;
        a->options.n_skip = STEPS_MAX;
}

static void parse_without(Arguments *a, char *list) {
        for (char *name = strtok(list, ","); name; name = strtok(NULL, ",")) {
                Fault f = 0;
                while (f < N_FAULTS && strcmp(name, fault_names[f]) != 0)
                        f++;
                if (f == N_FAULTS)
                        usage();
                a->options.without[f] = true;
        }
}

static void parse(Arguments *a, int argc, char **argv) {
        char *end;
        for (int i = 1; i < argc; i++) {
                const char *name = argv[i];
                char *value = i + 1 < argc ? argv[i + 1] : NULL;
                bool takes = true;
                if (strcmp(name, "--seed") == 0) {
                        a->from = a->to = number(value, &end);
                } else if (strcmp(name, "--seeds") == 0) {
                        a->from = number(value, &end);
                        if (strncmp(end, "..", 2) != 0)
                                usage();
                        a->to = number(end + 2, &end);
                } else if (strcmp(name, "--steps") == 0) {
                        a->options.n_steps = (uint32_t)number(value, &end);
                } else if (strcmp(name, "--skip") == 0 && value) {
                        parse_skip(a, value);
                } else if (strcmp(name, "--without") == 0 && value) {
                        parse_without(a, value);
                } else {
                        takes = false;
                        a->trace |= strcmp(name, "--trace") == 0;
                        a->hash |= strcmp(name, "--hash") == 0;
                        a->no_shrink |= strcmp(name, "--no-shrink") == 0;
                        a->quiet |= strcmp(name, "--quiet") == 0;
                        if (strcmp(name, "--trace") && strcmp(name, "--hash") &&
                            strcmp(name, "--no-shrink") && strcmp(name, "--quiet"))
                                usage();
                }
                i += takes;
        }
        if (a->to < a->from || a->options.n_steps > STEPS_MAX)
                usage();
}

static void run_all(const Arguments *a, Progress *p) {
        for (uint64_t seed = a->from; seed <= a->to; seed++) {
                Options o = a->options;
                p->seed = o.seed = seed;
                o.trace = a->trace ? stdout : NULL;
                sim_run(&o, &p->outcome);
                p->n_executions += p->outcome.n_executions;
                p->n_lifecycle += p->outcome.n_lifecycle;
                p->n_crashes += p->outcome.n_crashes;
                p->hash = p->hash * 0x100000001b3u ^ p->outcome.hash;
                for (Fault f = 0; f < N_FAULTS; f++)
                        p->n_fault_seeds[f] += p->outcome.fault_used[f];
                if (a->hash)
                        printf("%llu %016llx\n", (unsigned long long)seed,
                               (unsigned long long)p->outcome.hash);
                if (p->outcome.failed)
                        return;
                p->n_done++;
        }
}

static void report(const Arguments *a, const Progress *p) {
        static bool skip[STEPS_MAX];
        Options o = a->options;
        Outcome out = p->outcome;

        o.seed = p->seed;
        printf("seed %llu FAILED: %s\n  %s\n", (unsigned long long)p->seed, out.checker, out.failure);
        if (!o.n_steps)
                o.n_steps = out.n_steps ? out.n_steps : SIM_STEPS;
        if (a->no_shrink) {
                print_command(&o);
                return;
        }
        memcpy(skip, a->skip, sizeof(skip));
        shrink(&o, &out, skip, SHRINK_RUNS);
        printf("repeat it, shrunk, with\n  ");
        print_command(&o);
        printf("its story:\n");
        o.trace = stdout;
        run_apart(&o, &out);
        printf("%s: %s\n", out.checker, out.failure);
}

int main(int argc, char **argv) {
        static Arguments a;
        int status = 0;

        a.from = 1;
        a.to = 0;
        parse(&a, argc, argv);
        json_object_seed(1);
        Progress *p = mmap(NULL, sizeof(*p), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (p == MAP_FAILED)
                return 2;
        fflush(NULL);
        pid_t child = fork();
        if (child < 0)
                return 2;
        if (child == 0) {
                run_all(&a, p);
                fflush(NULL);
                /* Not _exit: the sanitizers look for leaks on the way out. */
                exit(0);
        }
        waitpid(child, &status, 0);
        if (status != 0 && !p->outcome.failed) {
                p->outcome = (Outcome){.failed = true};
                snprintf(p->outcome.checker, sizeof(p->outcome.checker),
                         WIFSIGNALED(status) ? "signal %d" : "exit status %d",
                         WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
                snprintf(p->outcome.failure, sizeof(p->outcome.failure),
                         "the engine ended itself; see above");
        }
        if (!p->outcome.failed) {
                if (!a.quiet && !a.hash)
                        printf("%llu seeds, %llu executions, %llu events, %llu deaths of the process, hash "
                               "%016llx\n",
                               (unsigned long long)p->n_done, (unsigned long long)p->n_executions,
                               (unsigned long long)p->n_lifecycle, (unsigned long long)p->n_crashes,
                               (unsigned long long)p->hash);
                return 0;
        }
        report(&a, p);
        return 1;
}
