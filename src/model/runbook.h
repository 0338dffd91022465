#pragma once
/*
 * A runbook as the engine runs it: parsed, checked and compiled once, immutable after. Everything
 * lives in one arena; indices instead of pointers between steps, so nothing recurses over the graph.
 *
 * Regions. Every step belongs to exactly one region: region 0 is the top level; each loop step owns a
 * region with its body step and all steps that only hang on the body. Compensation steps (named by some
 * compensateWith) belong to region REGION_COMPENSATION, run on demand only. An execution runs a region as
 * a *scope*: the root scope once, a loop's region once per iteration. `local` is a step's index within
 * its region, and regions list their steps in topological order.
 */

#include <jansson.h>
#include "base/arena.h"
#include "base/report.h"
#include "json/digest.h"
#include "json/value.h"
#include "model/limits.h"

typedef struct JsonAt JsonAt; /* json/json_read.h */
typedef struct ExprCondition ExprCondition; /* expr/expr.h */
typedef struct ExprTemplate ExprTemplate;
typedef struct ExprPath ExprPath;
typedef struct Schema Schema; /* schema/schema.h */

#define STEP_NONE UINT32_MAX
#define REGION_ROOT 0u
#define REGION_COMPENSATION UINT32_MAX

typedef enum StepType {
        STEP_TYPE_CALL_SERVICE,
        STEP_TYPE_CONDITIONAL,
        STEP_TYPE_CUSTOM, /* "custom:<name>": plugin or remote worker */
        STEP_TYPE_HUMAN_APPROVAL,
        STEP_TYPE_LOOP,
        STEP_TYPE_PUBLISH_EVENT,
        STEP_TYPE_RUN_RUNBOOK,
        STEP_TYPE_TRANSFORM,
        STEP_TYPE_WAIT,
        STEP_TYPE_WAIT_FOR_EVENT,
        N_STEP_TYPES
} StepType;

/** "call-service"…; for STEP_TYPE_CUSTOM "custom". Static string. */
const char *step_type_name(StepType type);

typedef struct RetryPolicy {
        uint32_t max_attempts; /* 1…LIMIT_RETRY_ATTEMPTS, the first attempt included */
        int64_t initial_delay_ms, max_delay_ms;
        double backoff_multiplier; /* ≥ 1 */
        double jitter;             /* 0–1: the delay is drawn from [d·(1−jitter), d] */
        /* Error codes: exact, case-insensitive, or a prefix ending in '*'. Empty retryable list: what the executor
         * calls retryable. */
        const Slice *retryable;
        size_t n_retryable;
        const Slice *non_retryable;
        size_t n_non_retryable;
} RetryPolicy;

typedef enum EdgeKind { EDGE_DEPENDENCY, EDGE_TRUE, EDGE_FALSE } EdgeKind;
/** Out-edges lead to the steps that wait for this one. EDGE_TRUE/FALSE: `to` is a target of this conditional. */
typedef struct Edge {
        uint32_t to;
        EdgeKind kind;
} Edge;

typedef enum TimeoutAction { TIMEOUT_FAIL, TIMEOUT_APPROVE, TIMEOUT_REJECT } TimeoutAction;

typedef struct ApprovalConfig {
        const Slice *approvers;
        size_t n_approvers;
        uint32_t min_approvals;
        int64_t timeout_ms; /* 0: none */
        TimeoutAction timeout_action;
        const ExprTemplate *prompt; /* NULL: none */
        bool allow_self_approval;
        const Slice *escalate_to;
        size_t n_escalate_to;
        int64_t escalate_after_ms; /* 0: no escalation */
} ApprovalConfig;

typedef struct LoopConfig {
        uint32_t max_iterations; /* 1…LIMIT_LOOP_ITERATIONS */
        const ExprPath *iterate_over;         /* exactly one of the two is set */
        const ExprCondition *continue_while;
        uint32_t concurrency;       /* ≥ 1; 1 with continue_while */
        uint32_t failure_tolerance; /* failed iterations that do not fail the loop */
        uint32_t body;              /* step index of the body step */
        uint32_t region;            /* the region this loop runs */
} LoopConfig;

typedef struct EvidenceSpec {
        const ExprTemplate *type, *source_ref, *confidence, *value; /* confidence, value may be NULL */
} EvidenceSpec;

/**
 * A header of call-service whose value is `prefix${secrets.name}suffix`. It is taken out of the config template
 * at compile time, so that no data can ever pose as a secret reference, and no secret reaches state or history.
 */
typedef struct SecretHeader {
        Slice header, prefix, secret, suffix;
} SecretHeader;

/**
 * `descriptorSet` of a gRPC call: a protobuf FileDescriptorSet. Not part of the config template, since it is large,
 * fixed, and the same for every attempt.
 */
typedef struct DescriptorSet {
        Slice base64;  /* as written: blanks and line breaks may stand in it */
        Digest digest; /* SHA-256 of that text */
} DescriptorSet;

typedef struct RunbookStep {
        uint32_t index, region, local;
        StepType type;
        Slice id, name, description;
        Slice type_name;          /* as written: "call-service", "custom:geo" */
        const uint32_t *deps;     /* steps it waits for, dependsOn order first, then conditionals that target it */
        uint32_t n_deps;
        uint32_t n_dep_edges;     /* of them from dependsOn (a conditional that is in both counts as a branch) */
        uint32_t n_branch_edges;  /* in-edges of kind EDGE_TRUE/FALSE: it runs only if one is taken */
        const Edge *out;
        uint32_t n_out;
        bool join_any;            /* joinPolicy "any" */
        bool on_failure_continue; /* onFailure "continue" */
        bool wait_until;          /* `wait` with an absolute time: not frozen by pause */
        bool is_compensation;     /* some step's compensateWith names it */
        uint32_t compensate_with; /* STEP_NONE: none */
        uint32_t loop_step;       /* the loop whose region this step is in; STEP_NONE at top level */
        RetryPolicy retry;
        int64_t timeout_ms;       /* per attempt; for waits the deadline; 0: none */
        const ExprTemplate *input;         /* NULL: default input */
        const ExprCondition *condition;    /* `condition`: false skips the step. NULL: none */
        const ExprTemplate *config;        /* resolved when an attempt starts: call-service, transform, publish-event,
                                            * custom (whole config), run-runbook (`{runbookId, version, input}`) */
        Value *config_value; /* what `config` gives where it needs no data, made once; else NULL */
        const SecretHeader *secret_headers;    /* call-service */
        uint32_t n_secret_headers;
        const DescriptorSet *descriptor_set;   /* call-service over gRPC; else NULL */
        const ExprCondition *branch_condition; /* conditional */
        const ExprTemplate *event_correlation; /* wait-for-event; NULL: "" */
        Slice event_type;                      /* wait-for-event */
        const ExprTemplate *wait;              /* wait: durationMs (number) or until (RFC 3339 string) */
        const ApprovalConfig *approval;        /* human-approval */
        const LoopConfig *loop;                /* loop */
        const Schema *input_schema, *output_schema; /* NULL: none (or `{}`) */
        const Slice *required_permissions;
        uint32_t n_required_permissions;
        const EvidenceSpec *evidence;
        uint32_t n_evidence;
} RunbookStep;

typedef struct Region {
        uint32_t loop_step;        /* STEP_NONE for the root */
        const uint32_t *steps;     /* step indices in topological order; local index = position */
        uint32_t n_steps;
        const uint32_t *sinks;     /* step indices with no successor within the region */
        uint32_t n_sinks;
} Region;

typedef enum IdempotencyMode { IDEMPOTENCY_INPUT, IDEMPOTENCY_KEY, IDEMPOTENCY_NONE } IdempotencyMode;

/** Reference counted: executions and caches share it across threads; immutable. */
typedef struct Runbook {
        Arena arena;
        int refs; /* atomic */
        Slice id, name, version, description, created_by;
        Value *definition;    /* the whole definition, canonical */
        Digest digest;        /* SHA-256 of the canonical definition: tells versions apart */
        const RunbookStep *steps; /* as listed in the definition */
        uint32_t n_steps;
        const Region *regions;
        uint32_t n_regions;
        uint32_t n_compensation_steps;
        int64_t global_timeout_ms;     /* 0: none */
        uint32_t max_depth;
        uint32_t max_concurrent_steps; /* 0: the engine's default */
        IdempotencyMode idempotency;
        const Schema *input_schema, *output_schema; /* NULL: none (or `{}`) */
        const ExprTemplate *output;          /* NULL: output of the sinks */
        const void *step_ids; /* internal index of runbook_find_step */
} Runbook;

/** What a definition is completed and checked with; comes from the settings. */
typedef struct RunbookDefaults {
        RetryPolicy retry;           /* where neither step nor runbook gives one */
        bool allow_timeout_approve;  /* operator's consent to timeoutAction "approve" */
        size_t tree_bytes_max; /* memory of a definition's tree while it is read; 0: JSON_TREE_BYTES_MAX */
        /**
         * Asked about the config of each step, as it is written: what only those can tell who will run it.
         * NULL: nobody. 0, -EINVAL with its faults reported at @config (whose value may be absent), -ENOMEM.
         * For definitions that come in, not for stored ones that are compiled again: what was registered stays,
         * whatever became of a plugin since.
         */
        int (*check_config)(void *userdata, const RunbookStep *step, const JsonAt *config);
        void *check_userdata;
} RunbookDefaults;
extern const RunbookDefaults runbook_defaults_builtin; /* protocol's: 3 attempts, 1000–10000 ms, ×2 */

/**
 * Parse, check and compile a definition tree. The runbook keeps a reference to @definition and borrows its text:
 * the tree must not be changed afterwards. All errors are collected in @report, with JSON pointers into the definition
 * (INVALID_RUNBOOK; LIMIT_EXCEEDED if all of them are limits). 0 and an owned reference, -EINVAL with @report set,
 * -ENOMEM. Linear in steps and edges.
 */
int runbook_compile(const json_t *definition, const RunbookDefaults *defaults, Report *report, Runbook **ret);

/**
 * The same from text, JSON or YAML (told apart by the first significant byte: '{' is JSON).
 * Used by the CLI's offline `validate` and wherever a definition arrives as bytes.
 */
int runbook_def_parse(Slice text, const RunbookDefaults *defaults, Report *report, Runbook **ret);

Runbook *runbook_ref(const Runbook *r);
void runbook_unref(Runbook *r);
static inline void runbook_unref_p(Runbook **r) { runbook_unref(*r); }
/** Index of step @id, STEP_NONE if there is none. O(1). */
uint32_t runbook_find_step(const Runbook *r, Slice id);
/** The step id nearest to @id, NULL if none is near. */
const char *runbook_nearest_step(const Runbook *r, Slice id);
