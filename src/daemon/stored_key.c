/* Keys of the engine: in its store, or brought in a file. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "daemon/secrets.h"
#include "daemon/stored_key.h"

#define META_CHECKPOINT_KEY "checkpoint.key"

static int key_make(StoreTxn *t, const char *name, Ids ids, uint8_t ret[STORED_KEY_SIZE]) {
        uint64_t words[STORED_KEY_SIZE / sizeof(uint64_t)];
        ids.random(ids.userdata, words, STORED_KEY_SIZE / sizeof(uint64_t));
        memcpy(ret, words, STORED_KEY_SIZE);
        return store_meta_put(t, name, slice_from_bytes(ret, STORED_KEY_SIZE));
}

int stored_key_load(Store *store, const char *name, const char *what, Ids ids, uint8_t ret[STORED_KEY_SIZE],
                    Report *report) {
        Slice kept;
        StoreTxn *t = NULL;
        int r = store_begin_write(store, &t);
        if (r == 0)
                r = store_meta_get(t, name, &kept);
        if (r == 0 && kept.n != STORED_KEY_SIZE)
                r = -EBADMSG;
        if (r == 0) {
                memcpy(ret, kept.data, STORED_KEY_SIZE);
                store_abort(t);
                return 0;
        }
        if (r == STORE_E_NOT_FOUND)
                r = key_make(t, name, ids, ret);
        if (r == 0)
                return store_commit(t) == 0 ? 0
                                            : report_set(report, RUNBOOK_UNAVAILABLE, "%s can't be stored", what);
        store_abort(t);
        return report_set(report, RUNBOOK_UNAVAILABLE, "%s can't be %s the store: %s", what,
                          r == -EBADMSG ? "taken from" : "put into", strerror(r < 0 ? -r : EIO));
}

static int key_from_file(const char *file, SigningKey *ret, Report *report) {
        char *pem = secret_read(file);
        if (!pem)
                return report_set(report, RUNBOOK_INVALID_REQUEST, "CHECKPOINT_KEY_FILE: \"%s\" can't be read: %s",
                                  file, strerror(errno));
        int r = signing_key_from_pem(slice_from_str(pem), ret);
        explicit_bzero(pem, strlen(pem));
        free(pem);
        return r == 0 ? 0
                      : report_set(report, RUNBOOK_INVALID_REQUEST,
                                   "CHECKPOINT_KEY_FILE: \"%s\" holds no Ed25519 key in PEM without a password "
                                   "(openssl genpkey -algorithm ed25519 makes one)",
                                   file);
}

int checkpoint_key_load(Store *store, const char *file, Ids ids, SigningKey *ret, Report *report) {
        uint8_t seed[STORED_KEY_SIZE];
        if (file)
                return key_from_file(file, ret, report);
        int r = stored_key_load(store, META_CHECKPOINT_KEY, "the key of checkpoints", ids, seed, report);
        if (r == 0 && signing_key_from_seed(seed, ret) < 0)
                r = report_set(report, RUNBOOK_UNAVAILABLE, "out of memory");
        explicit_bzero(seed, sizeof(seed));
        return r;
}
