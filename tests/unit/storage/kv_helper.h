#pragma once
/* What kv_helper.c writes and test_kv_lmdb.c looks for. */

#include "base/buf.h"
#include "base/cleanup.h"

#define BATCH_ROWS   20
#define BATCHES_KEPT 50

static inline void batch_key(Buf *b, uint64_t n, uint64_t i) {
        buf_reset(b);
        buf_put_u64(b, n * 0x9e3779b97f4a7c15ULL); /* anywhere in the tree */
        buf_put_u64(b, n);
        buf_put_u64(b, i);
}
