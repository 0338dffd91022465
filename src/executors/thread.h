#pragma once
/* Threads of executors. */

#include <pthread.h>

/** Start @run(@userdata) in a thread of that name (at most 15 bytes). 0 or negative errno. */
int executor_thread_start(pthread_t *ret, const char *name, void *(*run)(void *), void *userdata);
