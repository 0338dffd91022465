#pragma once
/* publish-event: a message below the tenant's `out.`. */

#include "runtime/ports.h"

#define PUBLISH_TIMEOUT_DEFAULT_MS 30000 /* where the step has none; waiting for NATS counts */
#define PUBLISH_SUBJECT_MAX        256   /* bytes of config.subject, templates filled in */
#define PUBLISH_HEADERS_MAX        100   /* of config.headers */
#define PUBLISH_HEADER_BYTES_MAX   4096  /* of one value */

/** @outlet is borrowed, as long as the executor lives; @prefix is copied ("runbook.v1"). 0 or -ENOMEM. */
int publish_executor_new(const char *prefix, const ExecutorHost *host, const Outlet *outlet, Executor **ret);
