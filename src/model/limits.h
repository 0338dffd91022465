#pragma once
/*
 * Every cap of definitions and executions, in one place. An error that a cap causes names it, its value and
 * how to raise it; subjects/limits.md lists them for users, with those of other folders, and tests/tidy holds
 * the two together.
 */

/** A limit as two arguments: its value, and its name for the sentence that it causes. */
#define LIMIT_NAMED(limit) (limit), #limit

/* Definitions */
#define LIMIT_DEFINITION_BYTES (64 * 1024 * 1024) /* size of one runbook definition, as JSON or YAML */
#define LIMIT_STEPS 100000              /* steps of one runbook */
#define LIMIT_EDGES 1000000             /* dependsOn entries and branch targets of one runbook */
#define LIMIT_ID_BYTES 128              /* runbook id, version, step id */
#define LIMIT_NAME_BYTES 1024           /* name */
#define LIMIT_TEXT_BYTES 65536          /* description, prompt */
#define LIMIT_APPROVERS 1000            /* approvers and escalateTo of one step */
#define LIMIT_CONDITION_DEPTH 32        /* nesting of all/any/not */
#define LIMIT_CONDITION_NODES 1000      /* nodes of one condition */
#define LIMIT_TEMPLATE_NODES 100000     /* nodes of one template */
#define LIMIT_PATH_SEGMENTS 64          /* segments of one path */
#define LIMIT_ANCESTRY_VISITS 50000000  /* edges walked in all to check `steps.<id>` references */
#define LIMIT_PATTERN_BYTES 1024        /* a `matches` pattern */
#define LIMIT_PATTERN_MATCH_STEPS 100000 /* PCRE2 match limit: a hostile pattern is an error, not a stall */
#define LIMIT_PATTERN_WORK 1000000      /* items tried, bytes passed by all patterns of a condition, each evaluation */
#define LIMIT_LOOP_ITERATIONS 1000      /* hard cap of maxIterations */
#define LIMIT_LOOP_NESTING 8            /* loops within loops */
#define LIMIT_RETRY_ATTEMPTS 1000       /* maxAttempts */
#define LIMIT_RETRY_CODES 1000          /* entries of retryableErrors and of nonRetryableErrors */
#define LIMIT_PERMISSIONS 1000          /* requiredPermissions of one step */
#define LIMIT_EVIDENCE_SPECS 100        /* evidence entries of one step */
#define LIMIT_TARGET_COUNT 1000000      /* concurrency, burst, failureThreshold, halfOpenCalls */
#define LIMIT_TARGET_RATE_MIN 0.001     /* rateLimit.perSecond: a call in a quarter of an hour… */
#define LIMIT_TARGET_RATE_MAX 1e6       /* …to a million a second */
#define LIMIT_HEADERS 100               /* headers (metadata) of one call-service step */
#define LIMIT_PROGRAM_BYTES 65536       /* a transform step's jq program */
#define LIMIT_DESCRIPTOR_SET_BYTES (512 * 1024) /* descriptorSet of one gRPC call, decoded */
#define LIMIT_DURATION_MS (10LL * 366 * 86400 * 1000) /* any duration: ten years */

/* Executions */
#define LIMIT_INSTANCES 1000000         /* step instances (with loop iterations) of one execution */
#define LIMIT_VALUE_BYTES (1024 * 1024) /* an execution input, a step output, an event payload; NATS carries no more */
#define LIMIT_CONTEXT_BYTES (256 * 1024)
#define LIMIT_TEXT_ARG_BYTES 16384      /* reason, comments, correlation id, event type */
#define LIMIT_EVENT_TYPE_BYTES 256
#define LIMIT_CORRELATION_BYTES 1024
#define LIMIT_COMMAND_ID_BYTES 256
#define LIMIT_DEPTH_DEFAULT 10          /* sub-runbook nesting unless maxDepth says otherwise */
#define LIMIT_DEPTH 100                 /* hard cap of maxDepth */
#define LIMIT_CONCURRENT_STEPS 10000    /* hard cap of maxConcurrentSteps */
#define LIMIT_REFUSALS_AUDITED 1000     /* refused commands kept in one execution's history */
#define LIMIT_LOGS_PER_RESULT 1000
#define LIMIT_EVIDENCE_PER_RESULT 100
#define LIMIT_PROGRESS_RECORDS 10000    /* logs and evidence of a step; then attempts under way add none */
#define LIMIT_AUTHORIZED_USERS 10000

/* Early events */
#define LIMIT_EARLY_EVENTS_PER_TENANT 10000
#define LIMIT_EARLY_EVENT_TTL_MS (24LL * 3600 * 1000)
