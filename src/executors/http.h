#pragma once
/* call-service over HTTP: libcurl multi in a thread of its own. */

#include "executors/breaker.h"
#include "runtime/ports.h"

/** Zeros and NULLs mean the defaults below. */
typedef struct HttpSettings {
        uint32_t in_flight_max; /* calls at once; more wait in order. One host gets at most half: README.md */
        uint32_t per_host_max;      /* of them, per host */
        uint32_t tenant_max;        /* of them, per tenant; 0: three quarters, see README.md */
        const char *target_limits;  /* HTTP_TARGET_LIMITS, see target_rules.h */
        int64_t timeout_default_ms; /* where the step has none */
        size_t response_bytes_max;  /* body; beyond: RESPONSE_TOO_LARGE, not retried */
        size_t answers_bytes_max;   /* answers being received, or not yet committed: beyond, no call is started; beyond
                                       twice that, large answers are given up (OVERLOADED) */
        const char *allow; /* HTTP_ALLOW: comma-separated hosts and CIDRs that may be private, loopback… */
        bool any_address;           /* the operator chose the URL: no address is refused */
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
#define HTTP_ANSWERS_BYTES_MAX (256UL << 20)
#define HTTP_SLOW_BYTES_PER_S 16
#define HTTP_SLOW_WINDOW_MS 20000

/** One tenant's calls to one target (scheme, name and port). */
typedef struct HttpTargetStats {
        char target[280], tenant[256]; /* cut */
        BreakerState state;            /* the worse of the tenant's own and the operator's for all */
        uint32_t n_running;
        uint32_t n_failed;             /* within the breaker's window */
        uint64_t n_queued, n_refused;  /* n_refused: by an open breaker, since the target is known */
        bool waits_for_rate;           /* what is queued waits for a rate limit */
} HttpTargetStats;

/** Since the start. */
typedef struct HttpTotals {
        uint64_t n_refused, n_opened;  /* calls that open breakers refused; how often one opened */
        uint64_t n_rate_waits;         /* calls that had to wait for a rate limit */
} HttpTotals;

/**
 * What targets are doing: up to @n_rows rows, those with open breakers and queues first; @tenant empty: of all.
 * Any thread but the executor's; waits for the executor's thread, some microseconds. Returns how many rows.
 */
size_t http_executor_targets(Executor *e, Slice tenant, HttpTargetStats *rows, size_t n_rows,
                             HttpTotals *ret_totals);

/** Can @url be called? 0, or -EINVAL with a sentence in @report that does not repeat its secrets, or -ENOMEM. */
int http_url_check(const char *url, Report *report);
/** Check settings and start the thread. A wrong HTTP_ALLOW entry is a sentence in @report. */
int http_executor_new(const HttpSettings *settings, const ExecutorHost *host, Report *report, Executor **ret);
