#pragma once
/*
 * The pure core. One function moves an execution; it reads no clock, draws no random number, does no I/O,
 * starts no thread, and two calls with equal state and input do equal things.
 */

#include "model/execution.h"
#include "model/input.h"
#include "model/update.h"

typedef struct EngineSettings {
        uint32_t max_concurrent_steps; /* per execution, where the runbook gives none (default 5) */
        bool detailed_logging;         /* debug log entries for every step */
        Slice source;                  /* CloudEvents `source`, e.g. "runbookd/<engine id>" */
} EngineSettings;

/**
 * Begin an execution: @in is INPUT_START (execution_id, tenant, user, value, context, … filled; already
 * authorised and checked for duplicates). 0 with an owned execution in *ret and @out filled (reply included);
 * -EINVAL: refused, @out->refusal says why, *ret is NULL; -ENOMEM.
 */
int engine_start(Runbook *runbook, const EngineSettings *settings, const Input *in, Update *out,
                 Execution **ret);

/**
 * Move @x by @in. Always fills the reply (or refusal) for commands. 0: done (out->applied says whether
 * anything changed; a refused command may still change the history: command.refused, approval.refused).
 * -ENOMEM: @x is broken, drop it and everything of this batch.
 * Stale inputs (late task results, cleared timers, events for a step that no longer waits) are ignored: 0,
 * applied false.
 */
int engine_step(Execution *x, const EngineSettings *settings, const Input *in, Update *out);

/**
 * After a restart: emit EFFECT_TASK again for every attempt in flight (same attempt, same idempotency key).
 * Changes nothing. 0 or -ENOMEM.
 */
int engine_reopen_tasks(Execution *x, const EngineSettings *settings, Update *out);

/**
 * Check every invariant of @x (see engine/README.md); NULL if they hold, else a static sentence naming the
 * broken one.
 */
const char *engine_check(const Execution *x);

/** The chain of a series of events: where its next one hangs on. */
typedef struct EventChain {
        Uuid id;      /* of the execution, or of the tenant's catalog */
        uint64_t seq; /* last event's; 0: none yet */
        Digest hash;  /* of event `seq`; zeros before the first */
} EventChain;

/**
 * The id under which a tenant's runbook registrations are recorded: a UUIDv8 of SHA-256("catalog:"
 * tenant). 0 or -ENOMEM.
 */
int engine_catalog_id(Slice tenant, Uuid *ret);
/**
 * Record `runbook.registered` by @in (tenant, user, now_ms, command_id) in the tenant's catalog: appends to out->events
 * (first_seq, n_events set) and moves @chain. 0 or -ENOMEM.
 */
int engine_catalog_event(EventChain *chain, const EngineSettings *settings, const Input *in,
                         const Runbook *runbook, Update *out);
/**
 * Record `runbook.checkpoint` with @data (canonical JSON) in the engine's own series, whose id is the engine's: as
 * above. 0 or -ENOMEM.
 */
int engine_checkpoint_event(EventChain *chain, const EngineSettings *settings, int64_t now_ms, Slice data,
                            Update *out);

/** The step's idempotency key: hex of H(execution id, step path), the same for every attempt. */
int engine_idempotency_key(const Execution *x, uint32_t instance, char ret[DIGEST_TEXT_SIZE + 1]);
