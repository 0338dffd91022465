/*
 * Files of checkpoints. They grow for years, so they are read line by line; a line that is longer than any
 * checkpoint is kept in part only, enough for the verifier to find it too long.
 */

#include <errno.h>
#include <stdarg.h>
#include "base/cleanup.h"
#include "cli/checkpoint_file.h"
#include "cli/output.h"

#define FAULTS_TOLD 50 /* all are counted */
#define CHUNK_BYTES 65536

/* ── Faults ────────────────────────────────────────────────────────────────────────────────────── */

void fault_list_deinit(FaultList *f) { json_decref(f->list); }

void fault_list_tell(FaultList *f, const char *format, ...) {
        _cleanup_(buf_deinit) Buf text = {0};
        va_list ap;

        if (f->n++ >= FAULTS_TOLD)
                return;
        va_start(ap, format);
        buf_vprintf(&text, format, ap);
        va_end(ap);
        if (!f->cli->json) {
                output_error(f->cli, "%.*s", SLICE_ARG(buf_slice(&text)));
                return;
        }
        if (!f->list)
                f->list = json_array();
        /* A sentence may quote what is no UTF-8, or be cut in the middle of a character. */
        json_array_append_new(f->list, json_stringn(text.data, slice_utf8_prefix(buf_slice(&text))));
}

json_t *fault_list_steal(FaultList *f) { return f->list ? STEAL(f->list) : json_array(); }

/* ── The verifier ──────────────────────────────────────────────────────────────────────────────── */

int checkpoint_verifier_new(Cli *cli, const CliArgs *args, RunbookCheckpointMemory memory,
                            RunbookCheckpoints **ret) {
        RunbookCheckpoints *checkpoints = runbook_checkpoints_new(memory);
        const char *key;
        size_t it = 0;

        if (!checkpoints)
                return cli_no_memory(cli);
        while ((key = args_each(args, "key", &it))) {
                int r = runbook_checkpoints_trust(checkpoints, key, &cli->error);

                if (r < 0) {
                        runbook_checkpoints_free(checkpoints);
                        return r == RUNBOOK_CLIENT_E_INVALID ? cli_usage(cli, "--key: %s", cli->error.message)
                                                             : cli_explain(cli, r, NULL);
                }
        }
        *ret = checkpoints;
        return 0;
}

/* ── Lines ─────────────────────────────────────────────────────────────────────────────────────── */

typedef struct LineReader {
        Cli *cli;
        RunbookCheckpoints *checkpoints;
        FaultList *faults;
        const char *path;
        uint64_t number;
        Buf line;
} LineReader;

static int take_line(LineReader *l) {
        Slice line = buf_slice(&l->line);
        int r;

        l->number++;
        if (l->line.error)
                return cli_no_memory(l->cli);
        while (line.n > 0 && memchr(" \t\r", line.data[line.n - 1], 3))
                line.n--;
        if (line.n == 0)
                return 0;
        r = runbook_checkpoints_add(l->checkpoints, line.data, line.n, &l->cli->error);
        if (r < 0)
                return cli_explain(l->cli, r, NULL);
        if (r > RUNBOOK_CHECKPOINT_REPEATED)
                fault_list_tell(l->faults, "%s:%llu: %s", l->path, (unsigned long long)l->number,
                                l->cli->error.message);
        return 0;
}

/** The next bytes of the file: lines may begin and end anywhere in them. */
static int take_chunk(LineReader *l, Slice chunk) {
        while (chunk.n > 0) {
                const char *newline = memchr(chunk.data, '\n', chunk.n);
                size_t n = newline ? (size_t)(newline - chunk.data) : chunk.n;
                size_t room = RUNBOOK_CHECKPOINT_BYTES_MAX + 1 - l->line.n;
                int r = 0;

                buf_put(&l->line, chunk.data, n < room ? n : room);
                chunk = (Slice){chunk.data + n + (newline != NULL), chunk.n - n - (newline != NULL)};
                if (newline) {
                        r = take_line(l);
                        buf_reset(&l->line);
                }
                if (r)
                        return r;
        }
        return 0;
}

int checkpoint_file_read(Cli *cli, RunbookCheckpoints *checkpoints, const char *path, FaultList *faults,
                         bool *ret_is_open) {
        bool is_stdin = !strcmp(path, "-");
        LineReader l = {.cli = cli, .checkpoints = checkpoints, .faults = faults, .path = path};
        FILE *f = is_stdin ? stdin : fopen(path, "re");
        char chunk[CHUNK_BYTES];
        int r = 0, error;
        size_t n;

        if (!f)
                return cli_fail(cli, EXIT_REFUSED, "NO_FILE", "cannot read %s: %s", path, strerror(errno));
        while (r == 0 && (n = fread(chunk, 1, sizeof chunk, f)) > 0)
                r = take_chunk(&l, (Slice){chunk, n});
        error = ferror(f) ? errno : 0;
        if (!is_stdin)
                fclose(f);
        if (r == 0 && error)
                r = cli_fail(cli, EXIT_REFUSED, "NO_FILE", "cannot read %s: %s", path, strerror(error));
        if (r == 0 && l.line.n > 0 && ret_is_open)
                *ret_is_open = true;
        if (r == 0)
                r = take_line(&l);
        buf_deinit(&l.line);
        return r;
}
