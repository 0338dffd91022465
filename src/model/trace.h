#pragma once
/* W3C trace context: which trace an execution and its steps belong to (https://www.w3.org/TR/trace-context/). */

#include "base/uuid.h"

#define TRACEPARENT_SIZE 55 /* bytes of "00-<trace id>-<parent id>-<flags>" */

typedef struct TraceContext {
        uint8_t trace_id[16];
        uint8_t parent_id[8]; /* zeros: the trace begins here */
        uint8_t flags;        /* bit 0: sampled */
} TraceContext;

/** Parse a traceparent of version 00; false (and *ret untouched) if it is malformed or all zeros. */
bool trace_parse(Slice traceparent, TraceContext *ret);
/**
 * The trace of execution @id that was started with @traceparent: that one's, or where there is none (or it is
 * malformed) a trace whose id is the execution's, sampled.
 */
TraceContext trace_of_execution(Uuid id, Slice traceparent);
/** The id of a step's span, or of the execution's own (@instance INSTANCE_NONE): derived, so it needs no store. */
void trace_span_id(Uuid id, uint32_t instance, uint8_t ret[8]);
/** The traceparent that step @instance hands on; @ret gets TRACEPARENT_SIZE bytes and a NUL. */
void trace_put_step(Uuid id, Slice traceparent, uint32_t instance, char ret[TRACEPARENT_SIZE + 1]);
/** @n bytes as lower-case hexadecimal digits and a NUL. */
void trace_put_hex(const uint8_t *bytes, size_t n, char *ret);
