#pragma once
/* Making a failing life shorter. */

#include "sim.h"

/**
 * Run @options in a child process, so that nothing that goes wrong in it is ours. False: the child died of a
 * signal or a sanitizer; then ret->checker says so.
 */
void run_apart(const Options *options, Outcome *ret);
/** Leave out faults and steps of @options as long as it fails by the same checker. *skip gets n_steps flags,
 * owned by the caller. */
void shrink(Options *options, const Outcome *first, bool *skip, unsigned max_runs);
/** The one line that repeats it. */
void print_command(const Options *options);
