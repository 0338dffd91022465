#pragma once
/* What this process gives up before it reads the first program. */

#include <stdbool.h>
#include <stddef.h>

/**
 * Take the limits: @memory_bytes of address space, no files, no processes, no dumps, death with the parent,
 * and a filter that lets only harmless system calls through. 0, or -errno of what can't be done without;
 * @ret_has_seccomp: the kernel took the filter.
 */
int sandbox_enter(size_t memory_bytes, bool *ret_has_seccomp);
