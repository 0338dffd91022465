#pragma once
/* The engine's time: the wall clock's, made monotone and deaf to sudden jumps. */

#include <pthread.h>

#include "runtime/ports.h"

#define CLOCK_STEP_MS 1000     /* the wall clock differing by more than this has jumped: wait and see */
#define CLOCK_HOLD_MS 10000    /* how long a jump must hold before it is believed */
#define CLOCK_SLEW_DIVISOR 8   /* small differences and backward jumps are made up for at 1/8 of real time */

/** Where the two clocks are read; tests give their own. */
typedef struct ClockSource {
        int64_t (*wall_ms)(void *userdata);    /* CLOCK_REALTIME */
        int64_t (*elapsed_ms)(void *userdata); /* CLOCK_BOOTTIME: counts suspends, never set */
        void *userdata;
} ClockSource;

typedef struct ClockSystem {
        pthread_mutex_t lock;
        ClockSource source;
        int64_t elapsed_ms;  /* when `now_ms` was told */
        int64_t now_ms;
        int64_t slew_rest;   /* 1/CLOCK_SLEW_DIVISOR ms not used yet */
        int64_t jump_ms;     /* the jump under observation; 0: none */
        int64_t jump_since;  /* elapsed_ms when it was first seen */
} ClockSystem;

/** @source NULL: the system's clocks. */
void clock_system_init(ClockSystem *c, const ClockSource *source);
void clock_system_deinit(ClockSystem *c);
/** Borrows @c; thread-safe. */
Clock clock_system(ClockSystem *c);
