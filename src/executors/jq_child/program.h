#pragma once
/* Compiled programs, the latest used ones kept: compiling takes a thousand times as long as running. */

#include <jq.h>

#include "base/buf.h"
#include "executors/jq_child/protocol.h"

#define PROGRAMS_MAX       128       /* compiled programs kept */
#define PROGRAMS_BYTES_MAX (4 << 20) /* text of all of them */

typedef struct Program {
        char *text; /* NUL-terminated; NULL: a free place */
        size_t n_text;
        uint64_t used; /* when it was used last, in runs */
        jq_state *jq;
} Program;

/** Zero-initialised is empty and valid. */
typedef struct Programs {
        Program all[PROGRAMS_MAX];
        size_t n_bytes;
        uint64_t n_runs;
} Programs;

/** What a run says before it answers. */
typedef struct RunSink {
        void (*debug)(void *userdata, Slice text);
        void *userdata;
} RunSink;

/**
 * Run @program (NUL-terminated) over @input, which is taken. @out is filled with the answer's payload and its
 * kind is returned. Out of memory ends the process with JQ_EXIT_MEMORY.
 */
JqFrameKind programs_run(Programs *p, Slice program, jv input, uint32_t output_max, const RunSink *sink,
                         Buf *out);
/** Forget all. */
void programs_clear(Programs *p);
/** Ends the process. */
void out_of_memory(void *userdata) __attribute__((noreturn));
