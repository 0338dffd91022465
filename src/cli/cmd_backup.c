/*
 * backup: copy an engine's store, on the engine's host, while it runs.
 *
 * The store is runbookd's, and so is the copying: this finds the program beside ours or in PATH, has it copy and
 * then check the copy. It is no request to the engine, since whoever could make one could have it write anywhere.
 */
#include <errno.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/session.h"

extern char **environ;

#define PROGRAM "runbookd"

/** Our own folder's runbookd, if there is one; else the name, to be looked for in PATH. Owned; NULL: no memory. */
static char *find_program(const char *given) {
        char self[4096];
        char *path = NULL;

        if (given)
                return strdup(given);
        ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
        char *slash = n > 0 ? memrchr(self, '/', (size_t)n) : NULL;
        if (slash && asprintf(&path, "%.*s/" PROGRAM, (int)(slash - self), self) < 0)
                return NULL;
        if (path && access(path, X_OK) == 0)
                return path;
        free(path);
        return strdup(PROGRAM);
}

/** Run it to its end with our own output, or with its stdout on our stderr; a CliExit, everything said. */
static int run_program(Cli *cli, const char *program, const char *const *words, bool out_to_stderr) {
        posix_spawn_file_actions_t actions;
        pid_t pid;
        int status;

        int e = posix_spawn_file_actions_init(&actions);
        if (e)
                return cli_no_memory(cli);
        if (out_to_stderr)
                e = posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, STDOUT_FILENO);
        if (!e)
                e = posix_spawnp(&pid, program, &actions, NULL, (char *const *)words, environ);
        posix_spawn_file_actions_destroy(&actions);
        if (e == ENOENT)
                return cli_fail(cli, EXIT_REFUSED, "NOT_FOUND",
                                "there is no %s here: a backup is made on the engine's host (--runbookd "
                                "names the "
                                "program)",
                                program);
        if (e)
                return cli_fail(cli, EXIT_REFUSED, "NOT_FOUND", "%s can't be run: %s", program, strerror(e));
        while (waitpid(pid, &status, 0) < 0)
                if (errno != EINTR)
                        return EXIT_REFUSED;
        if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
                return EXIT_FINE;
        /* With --json its faults are a document on stdout (1), but not why it could not begin. */
        if (cli->json && (out_to_stderr || !WIFEXITED(status) || WEXITSTATUS(status) != 1))
                cli_fail(cli, EXIT_REFUSED, "BACKUP_FAILED", "%s %s failed; stderr has why", program, words[1]);
        return EXIT_REFUSED;
}

static void tell_copied(const char *from, const char *to) {
        json_t *json = json_pack("{ss ss ss}", "version", "v1", "dataDir", from, "target", to);

        cli_print_json(json);
        json_decref(json);
}

static int run_backup(Cli *cli, const CliArgs *args) {
        _cleanup_free_ char *program = find_program(args_get(args, "runbookd"));
        const char *from = args_at(args, 0), *to = args_at(args, 1);

        if (!program)
                return cli_no_memory(cli);
        const char *copy[] = {PROGRAM, "--backup", from, to, NULL};
        const char *check[] = {PROGRAM, "--check", to, cli->json ? "--json" : NULL, NULL};
        if (from[0] == '-' || to[0] == '-')
                return cli_usage(cli, "DATA_DIR and TARGET are folders; ./%s if it is called so",
                                 from[0] == '-' ? from : to);
        bool is_checked = !args_has(args, "no-check");
        int r = run_program(cli, program, copy, cli->json);
        if (r == 0 && cli->json && !is_checked)
                tell_copied(from, to);
        return r || !is_checked ? r : run_program(cli, program, check, false);
}

static const CliOption backup_options[] = {
                {"no-check", 0, NULL, "only copy", KIND_NONE, NULL},
                {"runbookd", 0, "PROGRAM", "the engine's program (beside this one, else in PATH)", KIND_FILE,
                 NULL},
};

const CliCommand command_backup = {
                .name = "backup",
                .usage = "DATA_DIR TARGET",
                .summary = "copy the engine's store while it runs, and check the copy",
                .details = "On the engine's host, as the engine's user. TARGET must be missing or empty; it "
                           "is a data "
                           "directory then. To restore, start runbookd on it, once with --adopt-restored.",
                .examples = "  runbook backup /var/lib/runbook /backup/runbook-$(date +%F)",
                .options = backup_options,
                .n_options = N_ELEMENTS(backup_options),
                .n_min = 2,
                .n_max = 2,
                .kinds = {KIND_FILE},
                .run = run_backup,
};
