#pragma once
/* What execution_codec.c and execution_page_codec.c share. */

#include "model/codec.h"
#include "model/execution_codec.h"

/** The field at byte @at of @base; for tables of fields that are written alike. */
#define MEMBER(T, base, at) ((T *)(void *)((char *)(base) + (at)))

typedef struct Fetcher {
        ExecutionFetch fetch;
        void *userdata;
} Fetcher;

/** The length, with the mark "stands alone" in its lowest bit, then the bytes unless it does. */
void codec_put_page_value(Buf *b, Value *v);
/** Read it into its place; what stands alone is fetched, and must have the length noted here. 0, -EBADMSG,
 * -ENOMEM, fetch's error. */
int codec_page_value(Execution *x, Reader *r, const Fetcher *f, uint32_t index, ExecutionValue which);

static inline int codec_version(Reader *r) {
        return reader_u8(r) == EXECUTION_RECORD_VERSION && !r->failed ? 0 : -EBADMSG;
}
