/*
 * What a person wants to know of an execution, from its events: each "step.…" event carries the
 * step's status, each "execution.…" event the execution's; those that wait say for what.
 */

#include <stdlib.h>
#include "base/clock.h"
#include "base/cleanup.h"
#include "cli/progress.h"
#include "cli/session.h"

#define STEPS_MAX      1000000 /* further ones are not shown */
#define NOTE_BYTES_MAX 1000

void progress_init(Progress *p, const char *execution_id) {
        *p = (Progress){.runbook_id = "", .version = "", .note = "", .status = RUNBOOK_EXECUTION_PENDING};
        p->id = arena_dup_str(&p->arena, execution_id);
        if (!p->id) {
                p->id = "";
                p->oom = true;
        }
}

void progress_deinit(Progress *p) {
        map_deinit(&p->by_path);
        arena_deinit(&p->arena);
        free(p->steps);
        *p = (Progress){0};
}

/** Keep a copy of @text unless it is what we have already. */
static void keep(Progress *p, const char **field, const char *text) {
        Slice s = slice_from_str(text);

        if (!strcmp(*field, text))
                return;
        if (s.n > NOTE_BYTES_MAX)
                s.n = NOTE_BYTES_MAX;
        s = arena_dup(&p->arena, s);
        p->oom |= !s.data;
        *field = s.data ? s.data : "";
}

static ProgressStep *add_step(Progress *p, const char *path) {
        ProgressStep *s;

        if (p->n_steps == p->cap_steps) {
                size_t cap = p->cap_steps ? p->cap_steps * 2 : 64;
                ProgressStep *steps = reallocarray(p->steps, cap, sizeof *steps);

                if (!steps) {
                        p->oom = true;
                        return NULL;
                }
                p->steps = steps;
                p->cap_steps = cap;
        }
        s = &p->steps[p->n_steps];
        *s = (ProgressStep){.type = "",
                            .note = "",
                            .prompt = "",
                            .approvers = "",
                            .event_type = "",
                            .correlation = ""};
        s->path = arena_dup_str(&p->arena, path);
        if (!s->path ||
            map_put(&p->by_path, slice_from_str(s->path), (void *)(uintptr_t)(p->n_steps + 1)) < 0) {
                p->oom = true;
                return NULL;
        }
        p->n_steps++;
        return s;
}

/** The step at @path, made if need be; NULL when there are too many, or out of memory. */
static ProgressStep *get_step(Progress *p, const char *path) {
        size_t i = (size_t)(uintptr_t)map_get(&p->by_path, slice_from_str(path));

        if (i > 0)
                return &p->steps[i - 1];
        i = (size_t)(uintptr_t)map_get(&p->by_path, (Slice){path, strcspn(path, "[")});
        if (i > 0)
                p->steps[i - 1].is_body = true;
        return p->n_steps < STEPS_MAX ? add_step(p, path) : NULL;
}

/** What waits (approvers and so on) as @source has it: an event's data, or a step's approvalConfig and
 * config. */
static void keep_wait(Progress *p, ProgressStep *s, const json_t *source) {
        const json_t *approvers = json_object_get(source, "approvers"), *name;
        size_t i;

        if (json_array_size(approvers) > 0) {
                _cleanup_(buf_deinit) Buf b = {0};
                _cleanup_free_ char *text = NULL;

                json_array_foreach(approvers, i, name)
                                buf_printf(&b, "%s%s", i ? ", " : "",
                                           json_string_value(name) ? json_string_value(name) : "?");
                text = buf_steal_str(&b);
                keep(p, &s->approvers, text ? text : "");
        }
        if (json_number(source, "minApprovals") > 0)
                s->n_needed = (int)json_number(source, "minApprovals");
        if (*json_text(source, "prompt"))
                keep(p, &s->prompt, json_text(source, "prompt"));
        if (*json_text(source, "eventType"))
                keep(p, &s->event_type, json_text(source, "eventType"));
        if (*json_text(source, "correlationId"))
                keep(p, &s->correlation, json_text(source, "correlationId"));
        if (json_time(source, "deadline"))
                s->deadline_ms = json_time(source, "deadline");
        if (json_time(source, "until"))
                s->until_ms = json_time(source, "until");
}

void progress_seed(Progress *p, const json_t *definition) {
        const json_t *step;
        size_t i;

        keep(p, &p->runbook_id, json_text(definition, "id"));
        keep(p, &p->version, json_text(definition, "version"));
        json_array_foreach(json_object_get(definition, "steps"), i, step) {
                ProgressStep *s = *json_text(step, "id") ? get_step(p, json_text(step, "id")) : NULL;

                if (!s)
                        continue;
                keep(p, &s->type, json_text(step, "type"));
                keep_wait(p, s, json_object_get(step, "approvalConfig"));
                keep_wait(p, s, json_object_get(step, "config"));
        }
        json_array_foreach(json_object_get(definition, "steps"), i, step) {
                const char *other = json_text(step, "compensateWith");
                ProgressStep *s = *other ? get_step(p, other) : NULL;

                if (s)
                        s->is_compensation = true;
        }
}

/** A ready step that the authorization service is asked about. */
static void keep_question(Progress *p, ProgressStep *s, const json_t *permissions) {
        _cleanup_(buf_deinit) Buf b = {0};
        _cleanup_free_ char *text = NULL;
        const json_t *name;
        size_t i;

        if (s->status != RUNBOOK_STEP_READY || json_array_size(permissions) == 0)
                return;
        buf_put_str(&b, "asks whether it may");
        json_array_foreach(permissions, i, name) buf_printf(
                        &b, "%s%s", i ? ", " : ": ", json_string_value(name) ? json_string_value(name) : "?");
        text = buf_steal_str(&b);
        keep(p, &s->note, text ? text : "");
}

/** "message (CODE)" of an error object, into @field. */
static void keep_error(Progress *p, const char **field, const json_t *error) {
        const char *message = json_text(error, "message"), *code = json_text(error, "code");
        char *text;

        if (!*message && !*code)
                return;
        text = *message && *code ? arena_printf(&p->arena, "%s (%s)", message, code)
                                 : arena_dup_str(&p->arena, *message ? message : code);
        p->oom |= !text;
        *field = text ? text : "";
}

/* ── Events ────────────────────────────────────────────────────────────────────────────────────── */

static void apply_execution(Progress *p, const char *what, const json_t *data, int64_t at_ms) {
        int status = runbook_execution_status_from_name(json_text(data, "status"));

        if (status < 0 && (!strcmp(what, "started") || !strcmp(what, "resumed")))
                status = RUNBOOK_EXECUTION_RUNNING;
        else if (status < 0)
                status = runbook_execution_status_from_name(what);
        if (status < 0)
                return;
        p->status = (RunbookExecutionStatus)status;
        if (!strcmp(what, "started")) {
                p->start_ms = at_ms;
                if (*json_text(data, "runbookId"))
                        keep(p, &p->runbook_id, json_text(data, "runbookId"));
                if (*json_text(data, "runbookVersion"))
                        keep(p, &p->version, json_text(data, "runbookVersion"));
        }
        p->end_ms = runbook_execution_status_is_final(p->status) ? at_ms : 0;
        keep(p, &p->note, "");
        keep_error(p, &p->note, json_object_get(data, "error"));
        if (!strcmp(what, "cancelled") || !strcmp(what, "paused") || !strcmp(what, "pausing")) {
                char *text = arena_printf(&p->arena, "%s%s%s%s", *json_text(data, "by") ? "by " : "",
                                          json_text(data, "by"), *json_text(data, "reason") ? ": " : "",
                                          json_text(data, "reason"));

                p->oom |= !text;
                p->note = text ? text : "";
        }
}

static void set_step(ProgressStep *s, RunbookStepStatus status, int64_t at_ms) {
        bool begins = status != RUNBOOK_STEP_PENDING && status != RUNBOOK_STEP_READY &&
                      !runbook_step_status_is_final(status);

        if (begins && (s->start_ms == 0 || runbook_step_status_is_final(s->status)))
                s->start_ms = at_ms;
        if (begins && runbook_step_status_is_final(s->status))
                s->n_approved = 0;
        s->end_ms = runbook_step_status_is_final(status) ? at_ms : 0;
        s->status = status;
}

static void apply_step(Progress *p, ProgressStep *s, const char *what, const json_t *data, int64_t at_ms) {
        int status = runbook_step_status_from_name(json_text(data, "status"));

        if (status < 0)
                status = !strcmp(what, "started") ? RUNBOOK_STEP_RUNNING
                                                  : runbook_step_status_from_name(what);
        if (!strcmp(what, "compensated"))
                s->compensated = true;
        else if (status >= 0)
                set_step(s, (RunbookStepStatus)status, at_ms);
        if (json_number(data, "attempt") > 0)
                s->attempt = (int)json_number(data, "attempt");
        if (*json_text(data, "stepType"))
                keep(p, &s->type, json_text(data, "stepType"));
        keep_wait(p, s, data);
        keep(p, &s->note, "");
        if (*json_text(data, "skipReason"))
                keep(p, &s->note, json_text(data, "skipReason"));
        else if (*json_text(data, "reason"))
                keep(p, &s->note, json_text(data, "reason"));
        keep_question(p, s, json_object_get(data, "permissions"));
        keep_error(p, &s->note, json_object_get(data, "error"));
}

void progress_apply(Progress *p, const json_t *event) {
        const char *type = json_text(event, "type"), *subject = json_text(event, "subject"),
                   *slash = strchr(subject, '/');
        const json_t *data = json_object_get(event, "data");
        int64_t at_ms = json_time(event, "time");
        ProgressStep *s;

        if (!strncmp(type, "runbook.", 8))
                type += 8;
        if (!strncmp(type, "execution.", 10)) {
                apply_execution(p, type + 10, data, at_ms);
                return;
        }
        if (!slash || (strncmp(type, "step.", 5) != 0 && strncmp(type, "approval.", 9) != 0))
                return;
        s = get_step(p, slash + 1);
        if (!s)
                return;
        s->changed = json_number(event, "sequence");
        if (!strncmp(type, "step.", 5))
                apply_step(p, s, type + 5, data, at_ms);
        else if (!strcmp(type, "approval.recorded") && !strcmp(json_text(data, "decision"), "approved"))
                s->n_approved++;
        else if (!strcmp(type, "approval.escalated"))
                keep_wait(p, s, data);
}

/* ── The execution query ───────────────────────────────────────────────────────────────────────── */

void progress_load(Progress *p, const json_t *x) {
        json_t *results = json_object_get(x, "stepResults"), *result;
        int status = runbook_execution_status_from_name(json_text(x, "status"));
        const char *path;

        if (status >= 0)
                p->status = (RunbookExecutionStatus)status;
        keep(p, &p->runbook_id, json_text(x, "runbookId"));
        keep(p, &p->version, json_text(x, "runbookVersion"));
        p->start_ms = json_time(x, "startTime");
        p->end_ms = json_time(x, "endTime");
        keep_error(p, &p->note, json_object_get(x, "error"));
        if (*json_text(x, "cancelledBy")) {
                char *text = arena_printf(&p->arena, "by %s%s%s", json_text(x, "cancelledBy"),
                                          *json_text(x, "cancellationReason") ? ": " : "",
                                          json_text(x, "cancellationReason"));

                p->note = text ? text : "";
        }
        json_object_foreach(results, path, result) {
                ProgressStep *s = get_step(p, path);
                const json_t *votes = json_object_get(result, "approvals"), *vote;
                size_t i;

                if (!s)
                        continue;
                status = runbook_step_status_from_name(json_text(result, "status"));
                if (status >= 0)
                        s->status = (RunbookStepStatus)status;
                s->attempt = (int)json_number(result, "attemptNumber");
                s->start_ms = json_time(result, "startTime");
                s->end_ms = json_time(result, "endTime");
                s->changed = s->end_ms ? s->end_ms : s->start_ms;
                keep(p, &s->note, json_text(result, "skipReason"));
                keep_error(p, &s->note, json_object_get(result, "error"));
                keep_wait(p, s, json_object_get(result, "waitingFor"));
                keep_question(p, s, json_object_get(json_object_get(result, "waitingFor"), "permissions"));
                json_array_foreach(votes, i, vote) s->n_approved +=
                                !strcmp(json_text(vote, "decision"), "approved");
        }
}

bool progress_is_final(const Progress *p) { return runbook_execution_status_is_final(p->status); }

bool progress_step_counts(const ProgressStep *s) {
        return !(s->status == RUNBOOK_STEP_PENDING && (s->is_compensation || s->is_body));
}

void progress_count(const Progress *p, size_t *ret_done, size_t *ret_total) {
        *ret_done = *ret_total = 0;
        for (size_t i = 0; i < p->n_steps; i++) {
                const ProgressStep *s = &p->steps[i];

                *ret_total += progress_step_counts(s);
                *ret_done += progress_step_counts(s) && runbook_step_status_is_final(s->status);
        }
}
