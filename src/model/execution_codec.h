#pragma once
/* What storage needs of the execution's records beyond writing and reading them whole. */

#include "model/execution.h"

/** Values that stand alone when they are longer than OUTPUT_INLINE_MAX; numbers are part of the stored form. */
typedef enum ExecutionValue {
        EXECUTION_VALUE_OUTPUT = 0, /* of instance @index */
        EXECUTION_VALUE_ERROR = 1,
        EXECUTION_VALUE_PROMPT = 2, /* its extra's */
        EXECUTION_VALUE_ITEM = 3,   /* of scope @index */
        N_EXECUTION_VALUES
} ExecutionValue;

/**
 * The value @which of instance (or scope) @index if it stands alone and is not stored yet, else NULL;
 * borrowed. *ret_error is set to -ENOMEM when its bytes can't be made.
 */
Value *execution_value_to_store(const Execution *x, uint32_t index, ExecutionValue which, int *ret_error);
/** Note that it is stored now. */
void execution_value_stored(Execution *x, uint32_t index, ExecutionValue which);

/** What a listing shows; slices borrow the records. */
typedef struct ExecutionSummary {
        Slice tenant, runbook_id, runbook_version, initiated_by;
        uint8_t status;
        int64_t created_ms, start_ms, end_ms;
        uint64_t order;
        uint32_t n_instances, n_completed, n_failed, n_skipped, n_cancelled;
        Uuid parent, original;
} ExecutionSummary;
/** Read from the heads of both records, without decoding the rest; 0 or -EBADMSG. */
int execution_peek_summary(Slice static_record, Slice state_record, ExecutionSummary *ret);
