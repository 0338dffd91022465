#pragma once
/*
 * Submit and cancel from several threads at once, for plain programs, so that they can run under
 * ThreadSanitizer. Every task must end exactly once: by a result, or by its cancel.
 */

#include "harness.h"

#define STRESS_THREADS 4

typedef struct Stress {
        unsigned n_tasks; /* of each thread */
        /** The task of one turn. @own is a harness for its instance number; @kind random. */
        Task *(*make)(Harness *own, unsigned kind);
        unsigned n_kinds;
        unsigned endless; /* bits: kinds that only a cancel ends */
} Stress;

/** Run @s on h->executor, which is stopped at the end. The program's exit status. */
int stress_run(Harness *h, const Stress *s);
