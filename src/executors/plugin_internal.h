#pragma once
/*
 * The inside of the plugin executor. A PluginCall is one task from submit to result; a PluginType is a step
 * type that a Plugin, a loaded shared object, offers.
 */

#include <pthread.h>
#include <runbook/executor.h>
#include <stdatomic.h>

#include "base/map.h"
#include "executors/attempt.h"
#include "executors/due.h"
#include "executors/plugin.h"
#include "base/turns.h"
#include "schema/schema.h"

/* Limits */
#define PLUGIN_FILES_MAX        256
#define PLUGIN_TYPES_MAX        64 /* of one plugin */
#define PLUGIN_NAME_MAX         64 /* its name and its version */
#define PLUGIN_SCHEMA_BYTES_MAX (1 << 20)
#define PLUGIN_CODE_MAX         64         /* an error's code */
#define PLUGIN_TEXT_MAX         4096       /* a message; more is cut */
#define PLUGIN_JSON_MAX         (64 << 10) /* metadata, details */
#define PLUGIN_LOGS_BYTES_MAX   (1 << 20)  /* all of an attempt's log; its evidence likewise */
#define PLUGIN_SECRETS_MAX      64         /* read by one attempt */

#define PLUGIN_NO_CONFIG "{}" /* the config of a step that has none */
#define NS_PER_MS        1000000LL

typedef struct PluginEngine PluginEngine;
typedef struct Plugin Plugin;

typedef struct PluginType {
        Plugin *plugin;
        RunbookPluginType abi; /* members that the plugin does not know are zero */
        Schema *config_schema; /* NULL: any */
        bool is_plain;         /* it applies all its subschemas, whatever the values: see plugin_config.c */
} PluginType;

struct Plugin {
        char *file; /* name within the folder */
        void *handle;
        RunbookPlugin abi; /* likewise */
        bool is_ready;     /* init has succeeded, or there is none */
        PluginType *types;
        size_t n_types;
};

/** Immutable once loaded. Zero-initialised is empty and valid. */
typedef struct PluginSet {
        char *dir; /* "": none */
        Plugin *plugins;
        size_t n_plugins;
        Map types; /* name → PluginType */
} PluginSet;

/**
 *   submitted ──▶ waiting ──▶ running ──▶ over (freed by the thread that ran it)
 *                    └──────────────────▶ over (freed by whoever took it out of the queue)
 *
 * Beside that, a call is answered once: by its result, its timeout, a cancel, or stop. A call that is
 * answered while it runs goes on until the plugin comes back; nobody listens to it any more.
 */
struct RunbookPluginCall {
        PluginEngine *engine;
        PluginType *type;
        Task *task;
        int64_t timeout_ms, deadline_ms; /* Unix */
        int64_t submit_ns;
        uint8_t key[ATTEMPT_KEY_SIZE];
        atomic_bool is_cancelled; /* what the plugin asks for */
        /* Under PluginEngine.lock: */
        List node;      /* PluginEngine.running */
        List hook_node; /* PluginEngine.hooks: its type's cancel is to be called */
        Turn turn;
        Due due;
        int64_t start_ns; /* 0: waiting */
        bool is_answered;
        bool in_hook; /* its type's cancel runs */
        /* Under its own lock, which is never held together with the engine's: what the plugin has said. */
        pthread_mutex_t lock;
        Value *output;       /* NULL: none */
        Value *output_fault; /* the error that the last set_output makes */
        Buf code, message, details;
        bool has_error, retryable;
        int64_t retry_after_ms;
        Buf logs, evidence; /* entries, separated by commas */
        uint32_t n_logs, n_evidence;
        int percent;
        char *secrets[PLUGIN_SECRETS_MAX];
        uint32_t n_secrets;
};
typedef struct RunbookPluginCall PluginCall;

struct PluginEngine {
        Executor executor;
        Executor *fallback;
        PluginSettings settings; /* no zeros left */
        PluginSet set;
        Value *out_of_memory, *overloaded; /* errors there may be no memory or time to make */

        pthread_mutex_t host_lock; /* around calls of `host` by plugins, so that none is under way after stop */
        ExecutorHost host;
        bool is_gone; /* under host_lock: stop has left without the plugins that did not come back */

        pthread_t *threads, keeper;
        uint32_t n_threads;
        bool has_keeper;

        pthread_mutex_t lock;
        pthread_cond_t work; /* for the threads: the queue, stopping */
        pthread_cond_t change; /* for the keeper: due, hooks, stopping; for others: in_hook, n_running */
        Map calls;             /* key → call: those that are not answered */
        uint64_t n_calls; /* all, answered ones that still run included */
        uint32_t n_running;
        TurnQueue queue;
        DueHeap due;
        List running, hooks;
        bool stopping, keeper_over;
};

/* plugin_loader.c */
/** 0, or -EINVAL with every fault in @report, or -ENOMEM. @set is to be unloaded in any case. */
int plugin_set_load(PluginSet *set, const char *dir, uint64_t seed0, uint64_t seed1, Report *report);
/** No call may be running. */
void plugin_set_unload(PluginSet *set);
PluginType *plugin_set_find(const PluginSet *set, Slice type_name);

/* plugin_type.c: is what a plugin says of itself good? */
/**
 * Take the descriptor @abi into @p and its types into p->types. 0, -EINVAL with what is wrong in @fault,
 * -ENOMEM.
 */
int plugin_take_descriptor(Plugin *p, const RunbookPlugin *abi, Buf *fault);

/* plugin_config.c */
/** Compile t->abi.config_schema. 0, -EINVAL with what is wrong in @fault, -ENOMEM. */
int plugin_config_compile(PluginType *t, Buf *fault);
/**
 * Does the config of @task fit the type's schema? If not @ret_error is the error that makes, NULL: no memory.
 */
bool plugin_config_fits(const PluginType *type, const Task *task, Value **ret_error);

int plugin_config_check_type(const PluginType *type,
                             const JsonAt *config); /* as plugin_config_check; NULL: 0 */

/* plugin_call.c: what plugins may call */
extern const RunbookPluginHost plugin_host;
PluginCall *plugin_call_new(PluginEngine *e, PluginType *type, Task *task); /* takes @task, but not on NULL */
void plugin_call_free(PluginCall *c);

/* plugin_result.c */
/** Post how `execute` ended. */
void plugin_result_post(PluginCall *c, int status);
/** Post @error (taken), with what the plugin has logged so far. */
void plugin_error_post(PluginCall *c, Value *error);

/* plugin_pool.c: the threads */
void *plugin_worker(void *engine);
void *plugin_keeper(void *engine);
/** Under the lock: nobody waits for @c any more. */
void plugin_call_answer(PluginEngine *e, PluginCall *c);
/** Under the lock: tell the plugin, if it runs. */
void plugin_call_abort(PluginEngine *e, PluginCall *c);
