/*
 * Words of a command line against the tables of options. Not getopt_long, whose state is global and whose
 * answer to an unknown option is no more than "unknown": here the nearest known name is told, and nothing is
 * abbreviated by accident.
 */

#include <errno.h>
#include "base/cleanup.h"
#include "cli/cli.h"

static const CliOption *find_in(const CliOption *options, size_t n, Slice name, char letter) {
        for (size_t i = 0; i < n; i++)
                if (letter ? options[i].letter == letter : slice_eq_str(name, options[i].name))
                        return &options[i];
        return NULL;
}

/** By long @name, or by @letter if that is not 0. */
static const CliOption *find(const CliCommand *command, Slice name, char letter) {
        const CliOption *o = command ? find_in(command->options, command->n_options, name, letter) : NULL;

        return o ? o : find_in(cli_global_options, n_cli_global_options, name, letter);
}

static int unknown(const CliCommand *command, Slice name, Buf *message) {
        const char *candidates[128];
        const char *nearest;
        size_t n = 0;

        for (size_t i = 0; command && i < command->n_options && n < N_ELEMENTS(candidates); i++)
                candidates[n++] = command->options[i].name;
        for (size_t i = 0; i < n_cli_global_options && n < N_ELEMENTS(candidates); i++)
                candidates[n++] = cli_global_options[i].name;
        nearest = slice_nearest(name, candidates, n);
        buf_printf(message, "unknown option --%.*s", SLICE_ARG(name));
        if (nearest)
                buf_printf(message, "; did you mean --%s?", nearest);
        return -EINVAL;
}

static int add(CliArgs *args, const CliOption *option, const char *value, Buf *message) {
        if (args->n >= ARGS_MAX) {
                buf_printf(message, "more than %d arguments", ARGS_MAX);
                return -EINVAL;
        }
        args->items[args->n++] = (CliArg){option, value};
        return 0;
}

/** The state of one walk along argv. */
typedef struct Walk {
        CliArgs *args;
        const CliCommand *command;
        int argc, i;
        char **argv;
        Buf *message;
} Walk;

static int take_long(Walk *w) {
        const char *word = w->argv[w->i] + 2, *equals = strchr(word, '=');
        Slice name = equals ? (Slice){word, (size_t)(equals - word)} : slice_from_str(word);
        const CliOption *option = find(w->command, name, 0);
        const char *value = equals ? equals + 1 : NULL;

        if (!option)
                return unknown(w->command, name, w->message);
        if (!option->argument && value) {
                buf_printf(w->message, "--%s takes no value", option->name);
                return -EINVAL;
        }
        if (option->argument && !value) {
                if (w->i + 1 >= w->argc) {
                        buf_printf(w->message, "--%s wants %s", option->name, option->argument);
                        return -EINVAL;
                }
                value = w->argv[++w->i];
        }
        return add(w->args, option, value, w->message);
}

/** One word of letters: "-fq", "-s URL", "-sURL". */
static int take_letters(Walk *w) {
        for (const char *p = w->argv[w->i] + 1; *p; p++) {
                const CliOption *option = find(w->command, SLICE_NULL, *p);
                const char *value = NULL;
                int r;

                if (!option) {
                        buf_printf(w->message, "unknown option -%c", *p >= ' ' && *p < 0x7f ? *p : '?');
                        return -EINVAL;
                }
                if (option->argument) {
                        value = p[1] ? p + 1 : w->i + 1 < w->argc ? w->argv[++w->i] : NULL;
                        if (!value) {
                                buf_printf(w->message, "-%c wants %s", *p, option->argument);
                                return -EINVAL;
                        }
                }
                r = add(w->args, option, value, w->message);
                if (r < 0 || value)
                        return r;
        }
        return 0;
}

int args_parse(CliArgs *args, const CliCommand *command, int argc, char **argv, int *ret_rest, Buf *message) {
        Walk w = {.args = args, .command = command, .argc = argc, .argv = argv, .message = message};
        bool only_positional = false;
        int r = 0;

        /* A word of letters gives at most as many items as it has bytes; ARGS_MAX bounds both. */
        if (!args->items)
                args->items = calloc(ARGS_MAX, sizeof *args->items);
        if (!args->items)
                return -ENOMEM;
        for (; w.i < argc && r == 0; w.i++) {
                const char *word = argv[w.i];

                if (only_positional || word[0] != '-' || word[1] == 0) {
                        if (!command)
                                break;
                        r = add(args, NULL, word, message);
                } else if (!strcmp(word, "--")) {
                        only_positional = true;
                } else if (word[1] == '-') {
                        r = take_long(&w);
                } else {
                        r = take_letters(&w);
                }
        }
        if (ret_rest)
                *ret_rest = w.i;
        return r;
}

void args_deinit(CliArgs *args) {
        free(args->items);
        *args = (CliArgs){0};
}

static const CliArg *find_arg(const CliArgs *args, const char *name) {
        for (size_t i = args->n; i > 0; i--)
                if (args->items[i - 1].option && !strcmp(args->items[i - 1].option->name, name))
                        return &args->items[i - 1];
        return NULL;
}

const char *args_get(const CliArgs *args, const char *name) {
        const CliArg *a = find_arg(args, name);

        return a ? a->value : NULL;
}

bool args_has(const CliArgs *args, const char *name) { return find_arg(args, name) != NULL; }

const char *args_each(const CliArgs *args, const char *name, size_t *it) {
        while (*it < args->n) {
                const CliArg *a = &args->items[(*it)++];

                if (a->option && !strcmp(a->option->name, name))
                        return a->value;
        }
        return NULL;
}

const char *args_at(const CliArgs *args, size_t i) {
        for (size_t k = 0; k < args->n; k++)
                if (!args->items[k].option && i-- == 0)
                        return args->items[k].value;
        return NULL;
}

size_t args_count(const CliArgs *args) {
        size_t n = 0;

        for (size_t k = 0; k < args->n; k++)
                n += !args->items[k].option;
        return n;
}
