#pragma once
/* A fresh store for every case, on the backend that the test program was compiled for (-DBACKEND="lmdb" or
 * "memory"). */

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "../leaks.h"
#include "base/cleanup.h"
#include "storage/kv.h"

#ifndef BACKEND
#define BACKEND "lmdb"
#endif
#define BACKEND_IS_LMDB (!strcmp(BACKEND, "lmdb"))

static inline int fixture_remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw) {
        return remove(path);
}
static inline void fixture_remove(const char *path) {
        nftw(path, fixture_remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/** A new directory under $TMPDIR or /tmp. */
static inline void fixture_make_dir(char ret[256]) {
        const char *base = getenv("TMPDIR");
        snprintf(ret, 256, "%s/runbook-test-XXXXXX", base ? base : "/tmp");
        cr_assert_not_null(mkdtemp(ret));
}

static inline const char *report_text(const Report *r) { return r->message ? r->message : "(nothing)"; }
