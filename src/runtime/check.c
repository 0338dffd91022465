/*
 * The check: storage walks the tables and asks about each execution what it cannot know itself: whether the
 * core's invariants hold, and, if that is wanted, whether the journal replayed gives what is stored. For that a
 * runtime is made that never runs.
 */
#include "runtime/check.h"

#include <errno.h>

#include "runtime/runtime_private.h"

typedef struct Checking {
        RuntimeCheck *check;
        Runtime *runtime;
} Checking;

static void on_fault(void *userdata, const char *table, const char *key, const char *sentence) {
        RuntimeCheck *check = ((Checking *)userdata)->check;
        if (check->fault)
                check->fault(check->userdata, table, key, sentence);
}

static int replay(void *userdata, StoreCheck *told, const Execution *x) {
        Checking *c = userdata;
        _cleanup_(buf_deinit) Buf body = {0};
        char key[UUID_TEXT_SIZE + 1];
        bool identical = false;

        uuid_format(x->id, key);
        int r = verify_execution(c->runtime, x->id, &body, &identical);
        if (r == -ENOMEM || r == -EIO)
                return r;
        c->check->n_replayed++;
        if (r)
                store_check_fault(told, "executions", key,
                                  "its journal can't be replayed: a record is missing or damaged");
        else if (!identical)
                store_check_fault(told, "executions", key,
                                  "its journal, replayed, gives something else: %.*s",
                                  SLICE_ARG(slice_cut_utf8(buf_slice(&body), 300)));
        return 0;
}

int runtime_check(const RuntimeSettings *settings, Store *store, Clock clock, Ids ids, RuntimeCheck *check) {
        Checking c = {.check = check};
        StoreTxn *t;

        int r = runtime_new(settings, store, clock, ids, NULL, &c.runtime);
        if (r < 0)
                return r;
        check->told = (StoreCheck){
                        .lookup = runtime_runbook_lookup,
                        .lookup_userdata = c.runtime,
                        .judge = engine_check,
                        .each = check->deep ? replay : NULL,
                        .catalog_id = engine_catalog_id,
                        .fault = on_fault,
                        .userdata = &c,
        };
        r = store_begin_read(store, &t);
        if (r == 0) {
                r = store_check(t, &check->told);
                store_abort(t);
        }
        runtime_free(c.runtime);
        return r;
}
