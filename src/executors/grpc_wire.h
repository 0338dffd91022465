#pragma once
/* gRPC's own layer over HTTP/2: frames, statuses, timeouts, and what trailers say. No I/O, no protobuf library. */

#include "base/buf.h"

#define GRPC_FRAME_HEAD_BYTES 5
#define GRPC_DETAILS_MAX      16 /* details of one status that are looked at */
#define GRPC_TIMEOUT_TEXT     24

/** The codes of google.rpc.Code. */
typedef enum GrpcStatus {
        GRPC_OK,
        GRPC_CANCELLED,
        GRPC_UNKNOWN,
        GRPC_INVALID_ARGUMENT,
        GRPC_DEADLINE_EXCEEDED,
        GRPC_NOT_FOUND,
        GRPC_ALREADY_EXISTS,
        GRPC_PERMISSION_DENIED,
        GRPC_RESOURCE_EXHAUSTED,
        GRPC_FAILED_PRECONDITION,
        GRPC_ABORTED,
        GRPC_OUT_OF_RANGE,
        GRPC_UNIMPLEMENTED,
        GRPC_INTERNAL,
        GRPC_UNAVAILABLE,
        GRPC_DATA_LOSS,
        GRPC_UNAUTHENTICATED,
        GRPC_N_STATUSES
} GrpcStatus;

const char *grpc_status_name(GrpcStatus status); /* "NOT_FOUND" */
/** A `grpc-status`; codes that nobody knows are UNKNOWN. False: no number. */
bool grpc_status_parse(Slice text, GrpcStatus *ret);
/** What an answer without a grpc-status means (gRPC's http-grpc-status-mapping). */
GrpcStatus grpc_status_of_http(unsigned http_status);
/** May the same call succeed later? */
bool grpc_status_is_retryable(GrpcStatus status);
/** Is something wrong with the server rather than with the call? (As HTTP's 5xx.) */
bool grpc_status_is_servers(GrpcStatus status);

/** Append a frame: its head and @message. */
void grpc_frame_put(Buf *b, Slice message);
/** Set the size in the head that begins at @head: the message was put behind it later. */
void grpc_frame_set_size(char *head, uint32_t n);
/**
 * The message in @body, which must be one frame. NULL and *ret_message (borrowed), or a static sentence on what is
 * wrong. An empty body is no frame.
 */
const char *grpc_frame_read(Slice body, Slice *ret_message);

/** `grpc-timeout`: @ms (≥ 1) in the finest unit that gives at most eight digits, rounded up. */
void grpc_timeout_format(int64_t ms, char ret[GRPC_TIMEOUT_TEXT]);
/**
 * `grpc-retry-pushback-ms`: after how long to try again, cut to @max_ms; -1: not at all, which is also what an
 * unreadable one says.
 */
int64_t grpc_pushback_ms(Slice text, int64_t max_ms);
/** Append a `grpc-message`, whose %XX are undone; what is no %XX stays as it is. */
void grpc_message_put(Buf *b, Slice text);

/** A google.protobuf.Any among the details of a google.rpc.Status. */
typedef struct GrpcDetail {
        Slice type_url, value;
} GrpcDetail;
/** Details of the encoded @status, at most GRPC_DETAILS_MAX; borrowed. False: no such message. */
bool grpc_details_read(Slice status, GrpcDetail ret[GRPC_DETAILS_MAX], size_t *ret_n);
/** The delay of a google.rpc.RetryInfo in ms, cut to @max_ms; 0: there is none, or no such message. */
int64_t grpc_retry_info_ms(const GrpcDetail *detail, int64_t max_ms);
