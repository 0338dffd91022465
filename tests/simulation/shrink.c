/*
 * Shrinking: which faults and which steps can be left out, and it still fails by the same checker? Steps draw
 * from streams of their own, so leaving one out leaves the others' choices as they were.
 */
#include "shrink.h"

#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

void run_apart(const Options *o, Outcome *ret) {
        int fds[2], status = 0;
        size_t got = 0;

        *ret = (Outcome){0};
        fflush(NULL);
        if (pipe(fds))
                abort();
        pid_t child = fork();
        if (child < 0)
                abort();
        if (child == 0) {
                close(fds[0]);
                sim_run(o, ret);
                fflush(NULL);
                bool ok = write(fds[1], ret, sizeof(*ret)) == (ssize_t)sizeof(*ret);
                _exit(ok ? 0 : 1);
        }
        close(fds[1]);
        for (ssize_t n; got < sizeof(*ret) && (n = read(fds[0], (char *)ret + got, sizeof(*ret) - got)) > 0;)
                got += (size_t)n;
        close(fds[0]);
        waitpid(child, &status, 0);
        if (got == sizeof(*ret))
                return;
        *ret = (Outcome){.failed = true};
        if (WIFSIGNALED(status))
                snprintf(ret->checker, sizeof(ret->checker), "signal %d", WTERMSIG(status));
        else
                snprintf(ret->checker, sizeof(ret->checker), "exit status %d", WEXITSTATUS(status));
        snprintf(ret->failure, sizeof(ret->failure), "the engine ended itself; what it wrote stands above");
}

static bool still_fails(const Options *o, const Outcome *first, unsigned *budget) {
        Outcome out;
        if (*budget == 0)
                return false;
        (*budget)--;
        run_apart(o, &out);
        return out.failed && strcmp(out.checker, first->checker) == 0;
}

static void shrink_steps(Options *o, const Outcome *first, bool *skip, unsigned *budget) {
        uint32_t n = o->n_skip;
        bool *saved = malloc(n ? n : 1);

        if (!saved)
                abort();
        for (uint32_t chunk = n / 2 ? n / 2 : 1;; chunk /= 2) {
                for (uint32_t at = 0; at<n && * budget> 0; at += chunk) {
                        bool any = false;
                        memcpy(saved, skip, n);
                        for (uint32_t i = at; i < at + chunk && i < n; i++) {
                                any |= !skip[i];
                                skip[i] = true;
                        }
                        if (any && !still_fails(o, first, budget))
                                memcpy(skip, saved, n);
                }
                if (chunk == 1)
                        break;
        }
        free(saved);
}

void shrink(Options *o, const Outcome *first, bool *skip, unsigned max_runs) {
        unsigned budget = max_runs;

        o->skip = skip;
        o->n_skip = o->n_steps;
        for (Fault f = 0; f < N_FAULTS; f++) {
                if (o->without[f])
                        continue;
                o->without[f] = true;
                if (first->fault_used[f] || first->n_steps == 0 ? !still_fails(o, first, &budget) : false)
                        o->without[f] = false;
        }
        shrink_steps(o, first, skip, &budget);
}

void print_command(const Options *o) {
        const char *comma = "";
        printf("simulate --seed %llu --steps %u", (unsigned long long)o->seed, o->n_steps);
        for (uint32_t i = 0, n = 0; i < o->n_skip; i++) {
                uint32_t from = i;
                if (!o->skip[i])
                        continue;
                while (i + 1 < o->n_skip && o->skip[i + 1])
                        i++;
                printf("%s%u", n++ ? "," : " --skip ", from);
                if (i > from)
                        printf("-%u", i);
        }
        for (Fault f = 0; f < N_FAULTS; f++)
                if (o->without[f]) {
                        printf("%s%s", comma[0] ? comma : " --without ", fault_names[f]);
                        comma = ",";
                }
        printf(" --trace\n");
}
