#pragma once
/* Talking to the engine and to the person: connections, answers, errors, output. */

#include "base/clock.h"
#include "cli/cli.h"

int64_t cli_now_ms(void); /* Unix milliseconds */

/** Write to stdout at once. A reader that has gone ends the program quietly; a full disk with a sentence. */
void cli_write(const Buf *b);
void cli_print(const char *format, ...) __attribute__((format(printf, 1, 2)));
/** Columns of the terminal; 80 when unknown, and a lot when stdout is none (so that nothing is cut in files).
 */
int cli_width(const Cli *cli);
int cli_height(const Cli *cli);

/** Say what is wrong with the command line (stderr) and give EXIT_USAGE. */
int cli_usage(Cli *cli, const char *format, ...) __attribute__((format(printf, 2, 3)));
/** Say what went wrong: a line on stderr, or with --json an error document on stdout. Gives @exit. */
int cli_fail(Cli *cli, CliExit exit, const char *code, const char *format, ...)
                __attribute__((format(printf, 4, 5)));
int cli_no_memory(Cli *cli);
/** The same for a report: code, sentence, and every detail, prefixed by @name (a file; NULL: none).
 * EXIT_REFUSED. */
int cli_fail_report(Cli *cli, const Report *report, const char *name);

/** Connect unless we are. 0, or a CliExit after having said why. */
int cli_connect(Cli *cli);
/** Settings of a connection from options, environment and config; strings are borrowed. */
void cli_client_options(const Cli *cli, RunbookClientOptions *ret);

/**
 * The outcome of a request: 0 when @reply is a good answer; else a CliExit, everything said and @reply freed.
 * `cli->error` is what the request filled.
 */
int cli_outcome(Cli *cli, int r, RunbookReply **reply);
/** Print what a failed or refused request says; @reply may be NULL. Gives the CliExit. */
int cli_explain(Cli *cli, int r, const RunbookReply *reply);
/** Parse the answer; NULL after having said why. */
json_t *cli_parse(Cli *cli, const RunbookReply *reply);
/** With --json: print the reply verbatim and give true. */
bool cli_print_json_reply(const Cli *cli, const RunbookReply *reply);
/** What people see of an answer. */
typedef void (*CliShow)(Cli *cli, const json_t *json);
/**
 * The end of a request: cli_outcome, then the answer verbatim (--json) or through @show. Takes @reply. Gives a
 * CliExit.
 */
int cli_show(Cli *cli, int r, RunbookReply *reply, CliShow show);
/** "there is more", where the answer is a page and not the last; nothing with -q. */
void cli_put_more(const Cli *cli, const json_t *page, Buf *b);
/** One JSON line. */
void cli_print_json(const json_t *json);

/* Reading answers without tears: "" and 0 for what is absent or of another type. */
const char *json_text(const json_t *object, const char *key);
int64_t json_number(const json_t *object, const char *key);
int64_t json_time(const json_t *object, const char *key); /* Unix ms, 0: none */

/** `--input`-like values: JSON text, @file (JSON or YAML), @- (stdin). 0 and an owned tree, or a CliExit. */
int cli_json_argument(Cli *cli, const char *option, const char *value, json_t **ret);
/** Option @name, a time, as the engine wants it, in @room; *ret stays if it is not given. 0 or EXIT_USAGE. */
int cli_time_option(Cli *cli, const CliArgs *args, const char *name, char room[TIME_TEXT_SIZE + 1],
                    const char **ret);
/** A whole file ("-": stdin), at most @size_max bytes. 0 and an owned buffer, or a CliExit. */
int cli_read_file(Cli *cli, const char *path, size_t size_max, Buf *ret);

/** SIGINT and SIGTERM from now on only set a flag. */
void cli_catch_interrupt(void);
bool cli_interrupted(void);
