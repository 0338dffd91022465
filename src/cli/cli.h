#pragma once
/*
 * The command line's frame: commands and their options are data, so that parsing, help, suggestions and shell
 * completion all read the same tables.
 */

#include <jansson.h>
#include <runbook/client.h>
#include <stdio.h>
#include "base/buf.h"
#include "base/report.h"

/** What the process ends with; --help tells them. */
typedef enum CliExit {
        EXIT_FINE = 0,
        EXIT_REFUSED = 1, /* the engine said no, the definition is wrong, the execution failed, the trail is
                             damaged */
        EXIT_USAGE = 2,
        EXIT_UNREACHABLE = 3, /* no NATS, or no engine behind it */
        EXIT_TIMEOUT = 4,
        EXIT_CANCELLED = 5, /* the execution was cancelled */
        EXIT_INTERRUPTED = 130,
        EXIT_PIPE = 141
} CliExit;

/** What an argument names; shells complete by it. */
typedef enum CliKind {
        KIND_NONE,
        KIND_COMMAND,
        KIND_CONTEXT, /* a NATS context */
        KIND_EXECUTION,
        KIND_FILE,
        KIND_RUNBOOK,
        KIND_RUNBOOK_OR_FILE,
        KIND_STEP,
        KIND_WORDS /* one of `words`; others are refused before the command runs */
} CliKind;

typedef struct CliOption {
        const char *name;     /* without dashes */
        char letter;          /* 0: none */
        const char *argument; /* "FILE"; NULL: a flag */
        const char *help;
        CliKind kind;
        const char *words; /* KIND_WORDS: "a b c" */
} CliOption;

typedef struct Cli Cli;
typedef struct CliArgs CliArgs;

typedef struct CliCommand {
        const char *name;
        const char *usage;    /* arguments: "EXECUTION STEP" */
        const char *summary;  /* one line, no full stop */
        const char *details;  /* more sentences, or NULL */
        const char *examples; /* lines of commands */
        const CliOption *options;
        size_t n_options;
        int n_min, n_max;                          /* positional arguments; n_max -1: any number */
        CliKind kinds[3];                          /* of the positionals; the last one repeats */
        int (*run)(Cli *cli, const CliArgs *args); /* gives a CliExit */
} CliCommand;

/** All commands, alphabetical. */
extern const CliCommand *const cli_commands[];
extern const size_t n_cli_commands;
/** Options that every command takes. */
extern const CliOption cli_global_options[];
extern const size_t n_cli_global_options;

const CliCommand *cli_find_command(const char *name);
/** Say so, with the nearest name. EXIT_USAGE. */
int cli_unknown_command(Cli *cli, const char *name);

/* ── Parsed arguments (args.c) ─────────────────────────────────────────────────────────────────── */

#define ARGS_MAX 4096 /* words of one command line */

typedef struct CliArg {
        const CliOption *option; /* NULL: positional */
        const char *value;       /* of a flag: NULL */
} CliArg;

struct CliArgs {
        CliArg *items;
        size_t n;
};

/**
 * Parse @argv (borrowed) by @command's options and the global ones. Options may stand anywhere; "--" ends
 * them. With @command NULL only leading global options are read and *ret_rest is the first word after them.
 * 0, or -EINVAL with a sentence in @message, or -ENOMEM.
 */
int args_parse(CliArgs *args, const CliCommand *command, int argc, char **argv, int *ret_rest, Buf *message);
void args_deinit(CliArgs *args);
/** The last value given; NULL: not given (flags: see args_has). */
const char *args_get(const CliArgs *args, const char *name);
bool args_has(const CliArgs *args, const char *name);
/** Values of a repeated option: start with *it = 0; NULL at the end. */
const char *args_each(const CliArgs *args, const char *name, size_t *it);
/** The @i-th positional argument; NULL if there are fewer. */
const char *args_at(const CliArgs *args, size_t i);
size_t args_count(const CliArgs *args);

/* ── The running program ───────────────────────────────────────────────────────────────────────── */

/** What we may do on the terminal. */
typedef struct CliTerm {
        bool is_tty; /* stdout can be redrawn in place */
        bool color;
        bool utf8;
} CliTerm;

/** ~/.config/runbook/config.yaml and the environment. */
typedef struct CliConfig {
        json_t *file; /* object or NULL */
} CliConfig;

struct Cli {
        const CliCommand *command;
        CliTerm term;
        CliConfig config;
        bool json;          /* machine output */
        bool wants_json;    /* --json stands in the command line, which may be wrong otherwise */
        bool quiet;         /* ids only */
        int64_t timeout_ms; /* --timeout; 0: not given */
        const char *server, *nats_context, *credentials, *tenant, *user, *prefix;
        RunbookClient *client; /* NULL until cli_connect */
        RunbookCall call;      /* timeouts for requests */
        RunbookClientError error;
};

/** The whole program; gives the exit status. */
int cli_main(int argc, char **argv);

/* help.c */
void help_program(Cli *cli, FILE *to);
void help_command(Cli *cli, const CliCommand *command, FILE *to);
