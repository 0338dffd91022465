/*
 * Memory that runs out. The program is linked with --wrap: every allocation of the project's own code comes
 * by here. Between memory_enter and memory_leave a run of them fails, drawn when entering; allocations are
 * counted, never timed or sized, so every build fails the same ones.
 *
 * jansson's own allocations don't fail. Its lexer (2.14, lex_save) does not look whether its buffer could
 * grow, and writes past a string's end then: nothing that stands on it could be right.
 *
 * Other seams at link time are here, too: naps, and the log.
 */
#include "sim.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
int __wrap_usleep(useconds_t us);

static struct {
        bool inside;
        int suspended;
        long left; /* allocations until the first failure; negative: none fails */
        long run;  /* how many fail in a row */
} memory = {.left = -1};

static bool fails(void) {
        if (!memory.inside || memory.suspended || memory.left < 0)
                return false;
        if (memory.left > 0) {
                memory.left--;
                return false;
        }
        if (--memory.run <= 0)
                memory.left = -1;
        memory.suspended++;
        sim_tell(the_sim, "memory: an allocation fails");
        memory.suspended--;
        return true;
}

void *__wrap_malloc(size_t n) { return fails() ? NULL : __real_malloc(n); }
void *__wrap_calloc(size_t n, size_t size) { return fails() ? NULL : __real_calloc(n, size); }
void *__wrap_realloc(void *p, size_t n) { return fails() ? NULL : __real_realloc(p, n); }

/* Codecs that wait for a full inbox: in here nobody else would empty it meanwhile. */
int __wrap_usleep(useconds_t us) { return 0; }

/* What the engine logs is part of the story. */
void __wrap_log_event(LogLevel level, const char *message, ...);
void __wrap_log_printf(LogLevel level, const char *format, ...);
void __wrap_log_event(LogLevel level, const char *message, ...) { sim_tell(the_sim, "log: %s", message); }
void __wrap_log_printf(LogLevel level, const char *format, ...) { sim_tell(the_sim, "log: %.60s", format); }

void memory_enter(Sim *s) {
        memory.inside = true;
        memory.left = -1;
        if (!sim_fault(s, FAULT_NO_MEMORY))
                return;
        memory.left = (long)rng_below(&s->rng, rng_chance(&s->rng, 500) ? 30 : 400);
        memory.run = 1 + (long)rng_below(&s->rng, rng_chance(&s->rng, 800) ? 1 : 20);
}

void memory_leave(void) {
        memory.inside = false;
        memory.left = -1;
}

int memory_suspend(void) { return memory.suspended++; }
void memory_resume(int was) { memory.suspended = was; }

void *sim_realloc(void *p, size_t n) {
        void *q = __real_realloc(p, n);
        if (!q && n)
                abort();
        return q;
}

char *sim_dup(Slice s) {
        char *copy = sim_realloc(NULL, s.n + 1);
        if (s.n)
                memcpy(copy, s.data, s.n);
        copy[s.n] = '\0';
        return copy;
}
