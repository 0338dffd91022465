#pragma once
/* Task tokens: names of attempts that nobody but the engine can make. */

#include "base/uuid.h"
#include "json/digest.h"

#define TASK_TOKEN_SIZE 54 /* characters, without NUL */
#define TASK_KEY_SIZE   32

/** Which attempt a token names. */
typedef struct TaskName {
        Uuid execution_id;
        uint32_t instance, attempt;
} TaskName;

/** 0 or -ENOMEM. */
int task_token_write(const uint8_t key[TASK_KEY_SIZE], Slice tenant, const TaskName *name,
                     char ret[TASK_TOKEN_SIZE + 1]);
/** 0 with the attempt; -EINVAL: not one that this key has made for @tenant; -ENOMEM. */
int task_token_read(const uint8_t key[TASK_KEY_SIZE], Slice tenant, Slice token, TaskName *ret);
