/*
 * completion: scripts for bash, zsh and fish, made from the command tables. Executions and runbooks are
 * completed by asking the engine (`runbook list -q`, `runbook runbooks -q`), quietly nothing when it can't be
 * asked.
 */

#include "base/cleanup.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/text.h"

#define ASK_EXECUTIONS "runbook list -q -n 50 --timeout 1s 2>/dev/null"
#define ASK_RUNBOOKS   "runbook runbooks -q --timeout 1s 2>/dev/null"
#define ASK_CONTEXTS   "ls ~/.config/nats/context 2>/dev/null | sed -n 's/\\.json$//p'"

/** The positional's kind @i: the last one given repeats. */
static CliKind kind_at(const CliCommand *c, size_t i) {
        CliKind kind = c->kinds[0];

        for (size_t k = 1; k <= i && k < N_ELEMENTS(c->kinds); k++)
                kind = c->kinds[k] != KIND_NONE ? c->kinds[k] : kind;
        return kind;
}

/** A shell command that prints candidates; NULL where there are none, or files. */
static const char *question(CliKind kind) {
        switch (kind) {
        case KIND_EXECUTION:
                return ASK_EXECUTIONS;
        case KIND_RUNBOOK:
        case KIND_RUNBOOK_OR_FILE:
                return ASK_RUNBOOKS;
        case KIND_CONTEXT:
                return ASK_CONTEXTS;
        default:
                return NULL;
        }
}

static bool wants_files(CliKind kind) { return kind == KIND_FILE || kind == KIND_RUNBOOK_OR_FILE; }

static void put_names(Buf *b) {
        for (size_t i = 0; i < n_cli_commands; i++)
                buf_printf(b, "%s%s", i ? " " : "", cli_commands[i]->name);
}

static void put_option_names(Buf *b, const CliOption *options, size_t n) {
        for (size_t i = 0; i < n; i++)
                buf_printf(b, " --%s", options[i].name);
}

/* ── bash ──────────────────────────────────────────────────────────────────────────────────────── */

/** Cases that complete the value of an option. */
static void put_bash_values(Buf *b, const CliOption *options, size_t n, const char *indent) {
        for (size_t i = 0; i < n; i++) {
                const CliOption *o = &options[i];

                if (!o->argument)
                        continue;
                buf_printf(b, "%s--%s%s%.1s) ", indent, o->name, o->letter ? "|-" : "",
                           o->letter ? &o->letter : "");
                if (o->kind == KIND_WORDS)
                        buf_printf(b, "COMPREPLY=($(compgen -W '%s' -- \"$cur\"));", o->words);
                else if (question(o->kind))
                        buf_printf(b, "COMPREPLY=($(compgen -W \"$(%s)\" -- \"$cur\"));", question(o->kind));
                else if (wants_files(o->kind))
                        buf_put_str(b, "COMPREPLY=($(compgen -f -- \"$cur\"));");
                buf_put_str(b, " return;;\n");
        }
}

/** "--comment|--creds|…": options whose next word is a value, so that it isn't counted as an argument. */
static void put_bash_value_options(Buf *b) {
        for (size_t k = 0; k < n_cli_global_options; k++)
                if (cli_global_options[k].argument)
                        buf_printf(b, "--%s|", cli_global_options[k].name);
        for (size_t i = 0; i < n_cli_commands; i++)
                for (size_t k = 0; k < cli_commands[i]->n_options; k++)
                        if (cli_commands[i]->options[k].argument)
                                buf_printf(b, "--%s|", cli_commands[i]->options[k].name);
        buf_put_str(b, "-s|-t|-u");
}

static void put_bash_positionals(Buf *b, const CliCommand *c) {
        for (size_t i = 0; i < N_ELEMENTS(c->kinds) && (i == 0 || c->kinds[i] != KIND_NONE); i++) {
                CliKind kind = kind_at(c, i);

                if (c->n_max == 0 || kind == KIND_NONE || kind == KIND_STEP)
                        continue;
                buf_printf(b, "          if [ $n -%s %zu ]; then",
                           i + 1 < N_ELEMENTS(c->kinds) && c->kinds[i + 1] != KIND_NONE ? "eq" : "ge", i);
                if (kind == KIND_COMMAND) {
                        buf_put_str(b, " COMPREPLY=($(compgen -W '");
                        put_names(b);
                        buf_put_str(b, "' -- \"$cur\"));");
                }
                if (question(kind))
                        buf_printf(b, " COMPREPLY=($(compgen -W \"$(%s)\" -- \"$cur\"));", question(kind));
                if (wants_files(kind))
                        buf_put_str(b, " COMPREPLY+=($(compgen -f -- \"$cur\"));");
                if (kind == KIND_WORDS)
                        buf_put_str(b, " COMPREPLY=($(compgen -W 'bash zsh fish' -- \"$cur\"));");
                buf_put_str(b, " fi\n");
        }
}

static void put_bash(Buf *b) {
        buf_put_str(b,
                    "# bash completion for runbook: source <(runbook completion bash)\n"
                    "_runbook() {\n"
                    "  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} cmd='' n=0 i w\n"
                    "  COMPREPLY=()\n"
                    "  for ((i = 1; i < COMP_CWORD; i++)); do\n"
                    "    w=${COMP_WORDS[i]}\n"
                    "    case ${COMP_WORDS[i-1]} in ");
        put_bash_value_options(b);
        buf_put_str(b, ") continue;; esac\n"
                       "    case $w in -*) continue;; esac\n"
                       "    if [ -z \"$cmd\" ]; then cmd=$w; else n=$((n + 1)); fi\n"
                       "  done\n"
                       "  case $prev in\n");
        put_bash_values(b, cli_global_options, n_cli_global_options, "    ");
        buf_put_str(b, "  esac\n  if [ -z \"$cmd\" ]; then\n    COMPREPLY=($(compgen -W '");
        put_names(b);
        put_option_names(b, cli_global_options, n_cli_global_options);
        buf_put_str(b, "' -- \"$cur\"))\n    return\n  fi\n  case $cmd in\n");
        for (size_t i = 0; i < n_cli_commands; i++) {
                const CliCommand *c = cli_commands[i];

                buf_printf(b, "    %s)\n", c->name);
                if (c->n_options > 0) {
                        buf_put_str(b, "      case $prev in\n");
                        put_bash_values(b, c->options, c->n_options, "        ");
                        buf_put_str(b, "      esac\n");
                }
                buf_put_str(b, "      case $cur in\n        -*) COMPREPLY=($(compgen -W '");
                put_option_names(b, c->options, c->n_options);
                put_option_names(b, cli_global_options, n_cli_global_options);
                buf_put_str(b, "' -- \"$cur\"));;\n        *)\n");
                put_bash_positionals(b, c);
                buf_put_str(b, "          ;;\n      esac;;\n");
        }
        buf_put_str(b, "  esac\n}\ncomplete -o filenames -F _runbook runbook\n");
}

/* ── zsh ───────────────────────────────────────────────────────────────────────────────────────── */

/** Inside single quotes, where brackets and colons mean something to _arguments. */
static void put_zsh_text(Buf *b, const char *s) {
        for (; *s; s++) {
                if (*s == '\'')
                        buf_put_str(b, "'\\''");
                else if (strchr("[]:\\", *s))
                        buf_printf(b, "\\%c", *s);
                else
                        buf_put_char(b, *s);
        }
}

static void put_zsh_action(Buf *b, CliKind kind, const char *words) {
        if (kind == KIND_WORDS)
                buf_printf(b, "(%s)", words);
        else if (kind == KIND_RUNBOOK_OR_FILE)
                buf_put_str(b, "_runbook_or_file");
        else if (kind == KIND_EXECUTION)
                buf_put_str(b, "_runbook_executions");
        else if (kind == KIND_RUNBOOK)
                buf_put_str(b, "_runbook_runbooks");
        else if (kind == KIND_CONTEXT)
                buf_put_str(b, "_runbook_contexts");
        else if (kind == KIND_FILE)
                buf_put_str(b, "_files");
        else if (kind == KIND_COMMAND)
                buf_put_str(b, "_runbook_commands");
}

static void put_zsh_options(Buf *b, const CliOption *options, size_t n) {
        for (size_t i = 0; i < n; i++) {
                const CliOption *o = &options[i];

                buf_put_str(b, " \\\n        ");
                if (o->letter)
                        buf_printf(b, "'*'{-%c%s,--%s%s}'[", o->letter, o->argument ? "+" : "", o->name,
                                   o->argument ? "=" : "");
                else
                        buf_printf(b, "'*--%s%s[", o->name, o->argument ? "=" : "");
                put_zsh_text(b, o->help);
                buf_put_char(b, ']');
                if (o->argument) {
                        buf_put_char(b, ':');
                        put_zsh_text(b, o->argument);
                        buf_put_char(b, ':');
                        put_zsh_action(b, o->kind, o->words);
                }
                buf_put_char(b, '\'');
        }
}

static void put_zsh(Buf *b) {
        buf_put_str(b, "#compdef runbook\n"
                       "# zsh completion for runbook: runbook completion zsh > \"${fpath[1]}/_runbook\"\n"
                       "_runbook_executions() { compadd -- ${(f)\"$(" ASK_EXECUTIONS ")\"} }\n"
                       "_runbook_runbooks() { compadd -- ${(f)\"$(" ASK_RUNBOOKS ")\"} }\n"
                       "_runbook_contexts() { compadd -- ${(f)\"$(" ASK_CONTEXTS ")\"} }\n"
                       "_runbook_or_file() { _runbook_runbooks; _files }\n"
                       "_runbook_commands() {\n  local -a commands\n  commands=(\n");
        for (size_t i = 0; i < n_cli_commands; i++) {
                buf_printf(b, "    '%s:", cli_commands[i]->name);
                put_zsh_text(b, cli_commands[i]->summary);
                buf_put_str(b, "'\n");
        }
        buf_put_str(b, "  )\n  _describe command commands\n}\n"
                       "_runbook() {\n  local curcontext=$curcontext state line\n  _arguments -C");
        put_zsh_options(b, cli_global_options, n_cli_global_options);
        buf_put_str(b, " \\\n        '1:command:_runbook_commands' '*::argument:->arguments'\n"
                       "  [[ $state == arguments ]] || return\n  case $words[1] in\n");
        for (size_t i = 0; i < n_cli_commands; i++) {
                const CliCommand *c = cli_commands[i];

                buf_printf(b, "    %s)\n      _arguments", c->name);
                put_zsh_options(b, c->options, c->n_options);
                put_zsh_options(b, cli_global_options, n_cli_global_options);
                for (size_t k = 0;
                     c->n_max != 0 && k < N_ELEMENTS(c->kinds) && (k == 0 || c->kinds[k] != KIND_NONE); k++) {
                        if (c->n_max < 0)
                                buf_put_str(b, " \\\n        '*:argument:");
                        else
                                buf_printf(b, " \\\n        '%zu:argument:", k + 1);
                        put_zsh_action(b, c->kinds[k], "bash zsh fish");
                        buf_put_char(b, '\'');
                }
                buf_put_str(b, ";;\n");
        }
        buf_put_str(b, "  esac\n}\nif [ \"$funcstack[1]\" = _runbook ]; then _runbook \"$@\"; else compdef "
                       "_runbook runbook; fi\n");
}

/* ── fish ──────────────────────────────────────────────────────────────────────────────────────── */

static void put_fish_text(Buf *b, const char *s) {
        buf_put_char(b, '\'');
        for (; *s; s++)
                buf_printf(b, strchr("'\\", *s) ? "\\%c" : "%c", *s);
        buf_put_char(b, '\'');
}

/** Candidates asked for when they are wanted: quoted, or fish would ask while it reads the script. */
static void put_fish_question(Buf *b, CliKind kind) {
        _cleanup_(buf_deinit) Buf call = {0};

        buf_printf(&call, "(%s)", question(kind));
        buf_put_char(&call, 0);
        buf_put_str(b, " -a ");
        put_fish_text(b, call.data ? call.data : "");
}

static void put_fish_options(Buf *b, const char *condition, const CliOption *options, size_t n) {
        for (size_t i = 0; i < n; i++) {
                const CliOption *o = &options[i];

                buf_printf(b, "complete -c runbook %s -l %s", condition, o->name);
                if (o->letter)
                        buf_printf(b, " -s %c", o->letter);
                buf_put_str(b, " -d ");
                put_fish_text(b, o->help);
                if (o->argument && wants_files(o->kind))
                        buf_put_str(b, " -r -F");
                else if (o->argument)
                        buf_put_str(b, " -x");
                if (o->kind == KIND_WORDS)
                        buf_printf(b, " -a '%s'", o->words);
                else if (question(o->kind))
                        put_fish_question(b, o->kind);
                buf_put_char(b, '\n');
        }
}

static void put_fish(Buf *b) {
        buf_put_str(b, "# fish completion for runbook: runbook completion fish > "
                       "~/.config/fish/completions/runbook.fish\n"
                       "complete -c runbook -f\n");
        put_fish_options(b, "", cli_global_options, n_cli_global_options);
        for (size_t i = 0; i < n_cli_commands; i++) {
                const CliCommand *c = cli_commands[i];
                _cleanup_(buf_deinit) Buf condition = {0};

                buf_printf(b, "complete -c runbook -n __fish_use_subcommand -a %s -d ", c->name);
                put_fish_text(b, c->summary);
                buf_put_char(b, '\n');
                buf_printf(&condition, "-n '__fish_seen_subcommand_from %s'", c->name);
                buf_put_char(&condition, 0);
                if (condition.error) {
                        b->error = condition.error;
                        return;
                }
                put_fish_options(b, condition.data, c->options, c->n_options);
                if (question(c->kinds[0])) {
                        buf_printf(b, "complete -c runbook %s", condition.data);
                        put_fish_question(b, c->kinds[0]);
                        buf_put_char(b, '\n');
                }
                if (wants_files(c->kinds[0]))
                        buf_printf(b, "complete -c runbook %s -F\n", condition.data);
                if (c->kinds[0] == KIND_WORDS)
                        buf_printf(b, "complete -c runbook %s -a 'bash zsh fish'\n", condition.data);
        }
}

static int run_completion(Cli *cli, const CliArgs *args) {
        static const struct {
                const char *shell;
                void (*put)(Buf *b);
        } shells[] = {{"bash", put_bash}, {"fish", put_fish}, {"zsh", put_zsh}};
        _cleanup_(buf_deinit) Buf b = {0};

        for (size_t i = 0; i < N_ELEMENTS(shells); i++) {
                if (strcmp(shells[i].shell, args_at(args, 0)) != 0)
                        continue;
                shells[i].put(&b);
                if (b.error)
                        return cli_no_memory(cli);
                cli_write(&b);
                return 0;
        }
        return cli_usage(cli, "completion is made for bash, zsh and fish, not for %s", args_at(args, 0));
}

const CliCommand command_completion = {
                .name = "completion",
                .usage = "bash|zsh|fish",
                .summary = "print a completion script for a shell",
                .examples = "  source <(runbook completion bash)\n  runbook completion zsh > "
                            "\"${fpath[1]}/_runbook\"\n"
                            "  runbook completion fish > ~/.config/fish/completions/runbook.fish",
                .n_min = 1,
                .n_max = 1,
                .kinds = {KIND_WORDS},
                .run = run_completion,
};
