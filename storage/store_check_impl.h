#pragma once
/* What the files of the check share. */

#include "base/map.h"
#include "storage/store_check.h"
#include "storage/store_impl.h"

/** What the executions and early events of one tenant come to. */
typedef struct CheckTenant {
        uint64_t executions[RUNBOOK_N_EXECUTION_STATUSES], early;
} CheckTenant;

/** Rows that the executions account for; held against what the tables hold. */
typedef struct CheckTally {
        uint64_t executions, steps, open, timers, waits, approvals;
        uint64_t journal, events, logs, evidence; /* records */
        uint64_t announced;                       /* of them those of history and logs */
        uint64_t versions, registrations;         /* of runbooks; as the tenants' catalogs tell */
        uint64_t checkpoints;
        uint64_t counted;                         /* by all rows of TABLE_COUNTERS */
        int64_t catalogs;                         /* series without an execution that nobody has claimed */
        uint64_t expiring[2];        /* keys of results and of events that are noted to expire, and there */
        uint64_t last_row, last_seq; /* of the outbox; of the mark seen last */
        uint64_t order;              /* the greatest one seen */
} CheckTally;

typedef struct Check {
        StoreCheck *told;
        StoreTxn *t;
        CheckTally tally;
        Arena arena;
        Map tenants; /* to CheckTenant */
} Check;

/** Every execution with all its rows, everywhere. 0 or negative. */
int check_executions(Check *c);
/** The series @series of @id from 1 on: gapless, @n_said records. *ret_last_hash (may be NULL): of the last event. */
int check_series(Check *c, StoreSeries series, Uuid id, uint64_t n_said, const char *key,
                 char ret_last_hash[DIGEST_TEXT_SIZE + 1]);
/** Registered runbooks; results, events, early events and their expiry; the outbox. 0 or negative. */
int check_runbooks(Check *c);
int check_expiring(Check *c);
int check_outbox(Check *c);
/** @each (0 or negative) for every row of @table, whose number is told. *ret (may be NULL): how many. */
int check_walk(Check *c, StoreTable table, int (*each)(Check *c, Slice key, Slice value), uint64_t *ret);
/** A fault of a row, with its key made readable. */
void check_row_fault(Check *c, StoreTable table, Slice key, const char *format, ...)
                __attribute__((format(printf, 4, 5)));
void check_count(Check *c, const char *name, uint64_t n);
static inline void check_see_order(Check *c, uint64_t order) {
        if (order > c->tally.order)
                c->tally.order = order;
}
/** The tenant's counts; NULL when out of memory. */
CheckTenant *check_tenant(Check *c, Slice tenant);
/** A table's name, for faults. */
static inline const char *check_table(StoreTable table) { return store_table_names[table]; }
/** Does @table have @key? 0 no, 1 yes, negative. */
int check_has(Check *c, StoreTable table, const Key *key);
