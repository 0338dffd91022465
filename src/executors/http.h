#pragma once
/* call-service over HTTP: libcurl multi in a thread of its own. */

#include "runtime/ports.h"

/** Zeros and NULLs mean the defaults below. */
typedef struct HttpSettings {
        uint32_t in_flight_max; /* calls at once; more wait in order. One host gets at most half: README.md */
        uint32_t per_host_max;      /* of them, per host */
        int64_t timeout_default_ms; /* where the step has none */
        size_t response_bytes_max;  /* body; beyond: RESPONSE_TOO_LARGE, not retried */
        const char *allow; /* HTTP_ALLOW: comma-separated hosts and CIDRs that may be private, loopback… */
        const char *ca_file;        /* NULL: the system's */
        const char *user_agent;     /* NULL: "runbookd/0.1.0" */
        uint32_t slow_bytes_per_s;  /* an answer that has begun and comes slower than this, over… */
        int64_t slow_window_ms;     /* …so long: TOO_SLOW */
        uint64_t open_max;          /* calls taken and not finished, waiting ones included; beyond: OVERLOADED */
} HttpSettings;

#define HTTP_IN_FLIGHT_MAX 4096
#define HTTP_PER_HOST_MAX 1024
#define HTTP_TIMEOUT_DEFAULT_MS 30000
#define HTTP_RESPONSE_BYTES_MAX (768 * 1024)
#define HTTP_HEADER_BYTES_MAX (64 * 1024)
#define HTTP_OPEN_MAX 1000000
#define HTTP_SLOW_BYTES_PER_S 16
#define HTTP_SLOW_WINDOW_MS 20000

/** Check settings and start the thread. A wrong HTTP_ALLOW entry is a sentence in @report. */
int http_executor_new(const HttpSettings *settings, const ExecutorHost *host, Report *report, Executor **ret);
