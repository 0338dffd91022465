#pragma once
/* The body of a worker's report: from bytes to values. */

#include "base/report.h"
#include "model/limits.h"
#include "runtime/ports.h"

#define RESULT_BYTES_MAX   (LIMIT_VALUE_BYTES + 512 * 1024) /* output, logs and evidence together */
#define RESULT_CODE_MAX    128                              /* bytes of an error's code */
#define RESULT_MESSAGE_MAX 16384                            /* bytes of an error's message */
#define RESULT_RECORDS_MAX 10000 /* logs or evidence looked at; the engine keeps fewer of them */

/** What the body says; the values are owned. */
typedef struct ResultBody {
        WorkerWord word;
        bool has_progress;
        double progress;
        Value *output, *error, *logs, *evidence;
} ResultBody;

/**
 * Decode @body of @worker. 0; -EINVAL with every fault in @report; -ENOMEM. Values that are not there are NULL; a
 * result's logs begin with one that names the worker, a failure has an error always.
 */
int result_decode(Slice body, Slice worker, ResultBody *ret, Report *report);
void result_release(ResultBody *r);
