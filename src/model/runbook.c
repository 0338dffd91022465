/*
 * Runbooks: life, lookup, and the order of compiling
 *
 * A compiled runbook borrows all its text from the definition tree, to which it holds a reference, and keeps
 * everything else in one arena. The few things of other libraries (trees made on the way, patterns) hang on a
 * list in the index and go with it.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "json/yaml.h"
#include "model/runbook_draft.h"

const RunbookDefaults runbook_defaults_builtin = {
                .retry = {.max_attempts = 3,
                          .initial_delay_ms = 1000,
                          .max_delay_ms = 10000,
                          .backoff_multiplier = 2},
};

static void runbook_free(Runbook *r) {
        RunbookIndex *index = (RunbookIndex *)r->step_ids;
        for (RunbookForeign *foreign = index ? index->foreign : NULL; foreign; foreign = foreign->next)
                foreign->release(foreign->p);
        if (index)
                map_deinit(&index->by_id);
        value_unref(r->definition);
        arena_deinit(&r->arena);
        free(r);
}

Runbook *runbook_ref(const Runbook *r) {
        Runbook *counted = (Runbook *)r;
        __atomic_add_fetch(&counted->refs, 1, __ATOMIC_RELAXED);
        return counted;
}

void runbook_unref(Runbook *r) {
        if (r && __atomic_sub_fetch(&r->refs, 1, __ATOMIC_ACQ_REL) == 0)
                runbook_free(r);
}

uint32_t runbook_find_step(const Runbook *r, Slice id) {
        const RunbookIndex *index = r->step_ids;
        const RunbookStep *step = map_get(&index->by_id, id);
        return step ? step->index : STEP_NONE;
}

const char *runbook_nearest_step(const Runbook *r, Slice id) {
        const RunbookIndex *index = r->step_ids;
        return slice_nearest(id, index->names, index->n_names);
}

static Runbook *runbook_new(void) {
        Runbook *r = calloc(1, sizeof(*r));
        if (!r)
                return NULL;
        r->refs = 1;
        r->step_ids = ARENA_NEW(&r->arena, RunbookIndex);
        if (!r->step_ids) {
                runbook_free(r);
                return NULL;
        }
        return r;
}

static void compile(Draft *d, const json_t *definition) {
        if (draft_begin(d, definition) < 0)
                return;
        draft_link(d);
        if (!d->oom)
                draft_order(d);
        if (!d->oom)
                draft_regions(d);
        if (!d->oom)
                draft_ancestry(d);
        if (!d->oom)
                draft_finish(d);
}

int runbook_compile(const json_t *definition, const RunbookDefaults *defaults, Report *report,
                    Runbook **ret) {
        _cleanup_(runbook_unref_p) Runbook *r = runbook_new();
        if (!r)
                return -ENOMEM;
        size_t n_before = report->n_details + report->n_dropped;
        Draft d = {.runbook = r,
                   .index = (RunbookIndex *)r->step_ids,
                   .arena = &r->arena,
                   .report = report,
                   .defaults = defaults};
        compile(&d, definition);
        free(d.edges);
        arena_deinit(&d.scratch);
        if (d.oom || report->oom)
                return -ENOMEM;
        size_t n = report->n_details + report->n_dropped - n_before;
        if (n > 0)
                return report_set(report, n == d.n_limits ? RUNBOOK_LIMIT_EXCEEDED : RUNBOOK_INVALID_RUNBOOK,
                                  "the runbook has %zu error%s", n, n == 1 ? "" : "s");
        *ret = STEAL(r);
        return 0;
}

/** JSON or YAML, by the first byte that is neither blank nor a byte order mark. */
static json_t *parse_text(Slice text, size_t tree_max, Report *report) {
        if (slice_starts_with(text, SLICE("\xef\xbb\xbf")))
                text = (Slice){text.data + 3, text.n - 3};
        if (text.n > LIMIT_DEFINITION_BYTES) {
                report_set(report, RUNBOOK_TOO_LARGE,
                           "the definition has %zu bytes, more than the %d allowed (LIMIT_DEFINITION_BYTES)",
                           text.n, LIMIT_DEFINITION_BYTES);
                return NULL;
        }
        size_t i = 0;
        while (i < text.n && memchr(" \t\r\n", text.data[i], 4))
                i++;
        if (i >= text.n || text.data[i] != '{')
                return yaml_parse(text, LIMIT_DEFINITION_BYTES, report);
        return tree_max > 0 ? json_parse_within(text, LIMIT_DEFINITION_BYTES, tree_max,
                                                "an eighth of MEMORY_MAX_MB", report)
                            : json_parse(text, LIMIT_DEFINITION_BYTES, report);
}

int runbook_def_parse(Slice text, const RunbookDefaults *defaults, Report *report, Runbook **ret) {
        json_t *definition = parse_text(text, defaults->tree_bytes_max, report);
        if (!definition)
                return report->oom ? -ENOMEM : -EINVAL;
        int r = runbook_compile(definition, defaults, report, ret);
        json_decref(definition);
        return r;
}
