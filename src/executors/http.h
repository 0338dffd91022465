#pragma once
/* call-service over HTTP: libcurl multi in a thread of its own. */

#include "runtime/ports.h"

typedef struct HttpSettings {
        uint32_t in_flight_max;       /* transfers at once; more wait in order. One host gets at most half, see README.md. Default HTTP_IN_FLIGHT_MAX */
        uint32_t per_host_max;        /* connections per host. Default HTTP_PER_HOST_MAX */
        int64_t timeout_default_ms;   /* where the step has none. Default HTTP_TIMEOUT_DEFAULT_MS */
        size_t response_bytes_max;    /* body; beyond: RESPONSE_TOO_LARGE, not retried. Default HTTP_RESPONSE_BYTES_MAX */
        const char *allow;            /* HTTP_ALLOW: comma-separated hosts and CIDRs that may be private, loopback or link-local; NULL: none */
        const char *ca_file;          /* NULL: the system's */
        const char *user_agent;       /* "runbookd/0.1.0" */
        uint32_t slow_bytes_per_s;    /* an answer that has begun and comes slower than this, over… Default HTTP_SLOW_BYTES_PER_S */
        int64_t slow_window_ms;       /* …so long: TOO_SLOW. Default HTTP_SLOW_WINDOW_MS */
} HttpSettings;

#define HTTP_IN_FLIGHT_MAX 4096
#define HTTP_PER_HOST_MAX 1024
#define HTTP_TIMEOUT_DEFAULT_MS 30000
#define HTTP_RESPONSE_BYTES_MAX (768 * 1024)
#define HTTP_HEADER_BYTES_MAX (64 * 1024)
#define HTTP_SLOW_BYTES_PER_S 16
#define HTTP_SLOW_WINDOW_MS 20000

/** Check settings and start the thread. A wrong HTTP_ALLOW entry is a sentence in @report. */
int http_executor_new(const HttpSettings *settings, const ExecutorHost *host, Report *report, Executor **ret);
