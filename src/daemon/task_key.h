#pragma once
/* The key that task tokens are made with. */

#include "executors/task_token.h"
#include "runtime/ports.h"
#include "storage/store.h"

/** The store's key, made from @ids the first time. 0, or negative with @report. */
int task_key_load(Store *store, Ids ids, uint8_t ret[TASK_KEY_SIZE], Report *report);
