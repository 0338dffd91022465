#pragma once
/* Random bits from the kernel, a page at a time. */

#include <pthread.h>

#include "runtime/ports.h"

#define IDS_BUFFER_WORDS 256 /* one getrandom(2) a so many words */

typedef struct IdsSystem {
        pthread_mutex_t lock;
        uint64_t words[IDS_BUFFER_WORDS];
        size_t n_left;
} IdsSystem;

void ids_system_init(IdsSystem *s);
void ids_system_deinit(IdsSystem *s);
/** Borrows @s; thread-safe. */
Ids ids_system(IdsSystem *s);
