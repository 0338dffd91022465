#pragma once
/*
 * Drives the core by hand: virtual time, tasks and timers kept in lists, every invariant checked after every input,
 * and the state stored and loaded again (byte for byte the same) each time. A failed check aborts with a sentence.
 */

#include "engine/engine.h"

#define DRIVER_MAX 4096 /* timers, tasks and inputs a test may have open */

typedef struct DriverTimer {
        int64_t at_ms;
        uint32_t instance;
        uint8_t slot;
} DriverTimer;
typedef struct DriverTask {
        uint32_t instance, attempt;
        bool is_question; /* to the authorization service: config is what is asked */
        char *config;
        char *input;
} DriverTask;

typedef struct Driver {
        Runbook *runbook;
        Execution *x;
        EngineSettings settings;
        Update out;
        int64_t now_ms;
        uint64_t seed;
        DriverTimer timers[DRIVER_MAX];
        size_t n_timers;
        DriverTask tasks[DRIVER_MAX];
        size_t n_tasks;
        Buf history; /* all event frames */
        uint64_t n_events;
        Buf journal; /* u32 length + input record, for replay */
        Buf logs;
        char last_error[1024]; /* the refusal's "CODE: sentence", "" when the last command was taken */
        Uuid child;            /* of the last child started */
        uint32_t child_instance;
        uint32_t n_children;
        Buf start; /* the start's own record: input and context as JSON */
        char *input, *context;
        RunbookDefaults defaults;
} Driver;

/** Compile @definition (JSON) and start it as alice of tenant acme; @input JSON or NULL, @context JSON or NULL. */
Driver *driver_start(const char *definition, const char *input, const char *context);
void driver_free(Driver *d);
/** Apply an input (time and seed are filled in) and check everything. */
void driver_apply(Driver *d, Input *in);
/** Answer the open task of step @path. */
void driver_ok(Driver *d, const char *path, const char *output);
void driver_fail(Driver *d, const char *path, const char *code, bool retryable);
/**
 * Answer the open question of step @path: "allow", "deny", a decision's JSON, or "AUTHZ_…": no answer, an
 * error with that code.
 */
void driver_authz(Driver *d, const char *path, const char *answer);
bool driver_is_asking(Driver *d, const char *path);
bool driver_has_task(Driver *d, const char *path);
const char *driver_task_config(Driver *d, const char *path);
/** Let @ms pass, firing due timers in order. */
void driver_advance(Driver *d, int64_t ms);
void driver_event(Driver *d, const char *path, const char *payload);
void driver_vote(Driver *d, const char *user, const char *path, VoteDecision decision);
/** Word from @path's attempt under way; @number below 0: no progress given; @logs, @evidence: JSON or NULL. */
void driver_progress(Driver *d, const char *path, double number, const char *logs, const char *evidence);
void driver_command(Driver *d, InputKind kind, const char *path);
const char *driver_status(Driver *d);
const char *driver_step(Driver *d, const char *path);   /* status name; "absent" */
const char *driver_output(Driver *d, const char *path); /* canonical JSON; "" */
const char *driver_error(Driver *d, const char *path);  /* error's code; "" */
/** How often event @type of @path ("" the execution; NULL any) is in the history. */
unsigned driver_count(Driver *d, const char *type, const char *path);
/** Drive the recorded inputs through a fresh execution: history and state must be the same, byte for byte. */
void driver_replay(Driver *d);
