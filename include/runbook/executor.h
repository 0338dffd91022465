#pragma once
/*
 * The plugin ABI: steps of type "custom:<name>" run by shared objects. C99, stands alone.
 *
 * A plugin is a shared object in the engine's PLUGIN_DIR that exports one function, RUNBOOK_PLUGIN_ENTRY. It
 * returns a descriptor with the step types that the plugin offers. The engine then calls a type's `execute`
 * for each attempt of a step, in a thread of a pool: it may block, several calls may run at once. All data is
 * JSON text in UTF-8.
 *
 *     static int greet(void *userdata, const RunbookPluginHost *host, RunbookPluginCall *call,
 *                      const RunbookPluginTask *task) {
 *             return host->set_output(call, "\"hello\"", 7);
 *     }
 *     static const RunbookPluginType types[] = {{.type = "custom:greet", .execute = greet}};
 *     static const RunbookPlugin plugin = RUNBOOK_PLUGIN_INIT("greet", "1.0.0", types);
 *     RUNBOOK_PLUGIN_EXPORT const RunbookPlugin *runbook_plugin_entry(void) { return &plugin; }
 *
 * Versions. RUNBOOK_PLUGIN_ABI changes when something here changes its meaning or its place; the engine
 * refuses plugins made for another one. Members may be added at the end of a struct without that: each struct
 * says its size, and whoever reads it looks no further than that.
 *
 * Trust. A plugin is part of the engine's process: what it breaks is broken there. It must not end the
 * process, change signals, the locale, the environment or the working directory, or let C++ exceptions out.
 * An attempt may run again after a crash of the engine, or beside an earlier one that has not come back: the
 * idempotency key is the same for all attempts of a step, so make outside effects depend on it.
 */

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define RUNBOOK_PLUGIN_ABI 1u
#define RUNBOOK_PLUGIN_ENTRY "runbook_plugin_entry"

#if defined(__GNUC__)
#define RUNBOOK_PLUGIN_EXPORT __attribute__((visibility("default")))
#else
#define RUNBOOK_PLUGIN_EXPORT
#endif

/** One attempt, seen from inside. The engine's; valid until `execute` returns. */
typedef struct RunbookPluginCall RunbookPluginCall;

typedef enum RunbookPluginLevel {
        RUNBOOK_PLUGIN_DEBUG = 0,
        RUNBOOK_PLUGIN_INFO = 1,
        RUNBOOK_PLUGIN_WARN = 2,
        RUNBOOK_PLUGIN_ERROR = 3
} RunbookPluginLevel;

/** What the host's functions return. The values are part of the ABI. */
typedef enum RunbookPluginStatus {
        RUNBOOK_PLUGIN_OK = 0,
        RUNBOOK_PLUGIN_E_INVALID = -1, /* NULL, not UTF-8, not JSON, out of range */
        RUNBOOK_PLUGIN_E_LIMIT = -2,   /* too large, or too many */
        RUNBOOK_PLUGIN_E_MEMORY = -3
} RunbookPluginStatus;

/**
 * What is to be done. All of it is valid until `execute` returns; texts are NUL-terminated and never NULL.
 */
typedef struct RunbookPluginTask {
        size_t struct_size;
        const char *type;            /* "custom:greet" */
        const char *tenant;
        const char *execution_id;    /* a UUID */
        const char *step_path;       /* "greet", in a loop "greet[3]" */
        const char *initiated_by;    /* who started the execution */
        const char *traceparent;     /* W3C trace context, to be passed on; "" if there is none */
        const char *idempotency_key; /* the same for every attempt of the step */
        uint32_t attempt;            /* from 1 */
        int64_t deadline_ms;         /* Unix milliseconds; what comes later is thrown away */
        const char *config;          /* the step's config, templates filled in; fits the type's config_schema */
        size_t config_size;          /* bytes, without the NUL */
        const char *input;           /* the step's input */
        size_t input_size;
        const char *context;         /* the execution's context: legal basis and so on */
        size_t context_size;
} RunbookPluginTask;

/**
 * What the engine does for plugins. Every function may be called from any thread while `execute` has not
 * returned. Texts are copied. A function returns a RunbookPluginStatus unless it says otherwise.
 */
typedef struct RunbookPluginHost {
        size_t struct_size;
        uint32_t abi;

        /** The step's output: any JSON value, at most 1 MiB. The last one counts; without one it is null. */
        int (*set_output)(RunbookPluginCall *call, const char *json, size_t size);
        /**
         * Why the attempt failed, for an `execute` that is about to return something else than 0. @code is
         * short and in capitals ("GEO_UNKNOWN_PLACE"), so that retry policies can name it; @message is a
         * sentence; @retryable: another attempt may succeed; @details is JSON, or NULL. The last one counts.
         */
        int (*set_error)(RunbookPluginCall *call, const char *code, const char *message, int retryable,
                         const char *details);
        /** With a retryable error: do not try again sooner than in @ms milliseconds. */
        int (*set_retry_after)(RunbookPluginCall *call, int64_t ms);
        /** An entry of the step's log. @metadata is a JSON object, or NULL. */
        int (*log)(RunbookPluginCall *call, int level, const char *message, const char *metadata);
        /**
         * A piece of evidence. @confidence is from 0 to 1; @sha256 64 hex digits, or NULL: that of @value's
         * canonical form; @value is JSON, or NULL.
         */
        int (*evidence)(RunbookPluginCall *call, const char *type, const char *source_ref, double confidence,
                        const char *sha256, const char *value);
        /**
         * How far it is, from 0 to 1, and what it does (or NULL). Goes to the step's log when a percent is
         * gained.
         */
        int (*progress)(RunbookPluginCall *call, double fraction, const char *message);
        /**
         * The secret @name of the task's tenant, valid until `execute` returns and wiped then; NULL: there is
         * none.
         */
        const char *(*secret)(RunbookPluginCall *call, const char *name);
        /** Unix milliseconds. */
        int64_t (*now_ms)(RunbookPluginCall *call);
        /**
         * 1: nobody waits for this attempt any more (it was cancelled, its time is up, or the engine stops):
         * come back soon. Its result is thrown away. Cheap: ask often.
         */
        int (*is_cancelled)(RunbookPluginCall *call);
} RunbookPluginHost;

/** A step type. */
typedef struct RunbookPluginType {
        /** "custom:" and 1 to 128 characters of A–Z a–z 0–9 _ - . : of which the first is none of - . : */
        const char *type;
        /**
         * JSON Schema (draft 2020-12) of the step's config, or NULL. Compiled when the plugin is loaded; a
         * config that does not fit fails the step before `execute` is called.
         */
        const char *config_schema;
        /** 0: completed. Anything else: failed; say why with set_error before. */
        int (*execute)(void *userdata, const RunbookPluginHost *host, RunbookPluginCall *call,
                       const RunbookPluginTask *task);
        /**
         * NULL, or called once, by another thread, while `execute` runs and nobody waits for it any more: to
         * wake it, for instance by closing what it waits for. Must not block. @call tells which one, and
         * is_cancelled says 1 already.
         */
        void (*cancel)(void *userdata, RunbookPluginCall *call);
        void *userdata; /* passed to both */
} RunbookPluginType;

/** The descriptor; valid as long as the plugin is loaded. */
typedef struct RunbookPlugin {
        uint32_t abi;        /* RUNBOOK_PLUGIN_ABI */
        size_t struct_size;  /* sizeof(RunbookPlugin) */
        const char *name;    /* for logs; 1 to 64 bytes */
        const char *version; /* for logs; 1 to 64 bytes */
        size_t n_types;      /* 1 to 64 */
        size_t type_size;    /* sizeof(RunbookPluginType): the distance from one to the next */
        const RunbookPluginType *types;
        /**
         * NULL, or called once when the plugin is loaded. Not 0: it can't be used, and the engine does not
         * start.
         */
        int (*init)(void);
        /** NULL, or called once, when the engine stops and no call is running, if init succeeded. */
        void (*fini)(void);
} RunbookPlugin;

/**
 * A descriptor with this header's version and sizes; @types is an array. C only: in C++ fill in the members.
 */
#define RUNBOOK_PLUGIN_INIT(name_, version_, types_)                                                  \
        {                                                                                             \
                .abi = RUNBOOK_PLUGIN_ABI, .struct_size = sizeof(RunbookPlugin), .name = (name_),     \
                .version = (version_), .n_types = sizeof(types_) / sizeof((types_)[0]),               \
                .type_size = sizeof(RunbookPluginType), .types = (types_), .init = NULL, .fini = NULL \
        }

/** What a plugin exports under the name RUNBOOK_PLUGIN_ENTRY. */
typedef const RunbookPlugin *(*RunbookPluginEntry)(void);
RUNBOOK_PLUGIN_EXPORT const RunbookPlugin *runbook_plugin_entry(void);

#ifdef __cplusplus
}
#endif
