/* The key of task tokens: made once, kept in the store, so that tokens stay good over a restart. */
#include <errno.h>
#include <string.h>

#include "daemon/task_key.h"

#define META_TASK_KEY "worker.task_key"

static int key_make(StoreTxn *t, Ids ids, uint8_t ret[TASK_KEY_SIZE]) {
        uint64_t words[TASK_KEY_SIZE / sizeof(uint64_t)];
        ids.random(ids.userdata, words, TASK_KEY_SIZE / sizeof(uint64_t));
        memcpy(ret, words, TASK_KEY_SIZE);
        return store_meta_put(t, META_TASK_KEY, slice_from_bytes(ret, TASK_KEY_SIZE));
}

int task_key_load(Store *store, Ids ids, uint8_t ret[TASK_KEY_SIZE], Report *report) {
        Slice kept;
        StoreTxn *t = NULL;
        int r = store_begin_write(store, &t);
        if (r == 0)
                r = store_meta_get(t, META_TASK_KEY, &kept);
        if (r == 0 && kept.n != TASK_KEY_SIZE)
                r = -EBADMSG;
        if (r == 0) {
                memcpy(ret, kept.data, TASK_KEY_SIZE);
                store_abort(t);
                return 0;
        }
        if (r == STORE_E_NOT_FOUND)
                r = key_make(t, ids, ret);
        if (r == 0)
                return store_commit(t) == 0 ? 0
                                            : report_set(report, RUNBOOK_UNAVAILABLE,
                                                         "the key of task tokens can't be stored");
        store_abort(t);
        return report_set(report, RUNBOOK_UNAVAILABLE, "the key of task tokens can't be %s the store: %s",
                          r == -EBADMSG ? "taken from" : "put into", strerror(r < 0 ? -r : EIO));
}
