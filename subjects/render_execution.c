/*
 * An execution as JSON, straight from its state
 *
 * Status queries are what people poll, so nothing is parsed or built on the way: values are stored as
 * canonical JSON and go out as they are. The shape is README.md's. The head always has all its members
 * (null where there is nothing); a step has only those that mean something for it, since there may be a
 * hundred thousand steps.
 */
#include "base/cleanup.h"
#include "subjects/query.h"

#define HEAD_RESERVE 4096 /* bytes kept for the head's small members and the closing brackets */
#define STEP_RESERVE 1024 /* a step without its values */

void render_time(JsonWriter *w, const char *key, int64_t ms) {
        json_key(w, key);
        if (ms > 0)
                json_put_time_ms(w, ms);
        else
                json_put_null(w);
}

static void put_some_time(JsonWriter *w, const char *key, int64_t ms) {
        if (ms > 0)
                render_time(w, key, ms);
}

static void put_uuid(JsonWriter *w, const char *key, Uuid id) {
        char text[UUID_TEXT_SIZE + 1];
        json_key(w, key);
        uuid_format(id, text);
        json_put_str(w, uuid_is_nil(id) ? NULL : text);
}

static void put_value(JsonWriter *w, const char *key, Value *value) {
        json_key(w, key);
        if (value)
                json_put_raw(w, value_bytes(value));
        else
                json_put_null(w);
}

static void put_i64(JsonWriter *w, const char *key, int64_t v) {
        json_key(w, key);
        json_put_i64(w, v);
}

void render_votes(const StepState *step, JsonWriter *w) {
        json_begin_array(w);
        for (uint32_t i = 0; step->extra && i < step->extra->n_votes; i++) {
                const Vote *v = &step->extra->votes[i];
                json_begin_object(w);
                json_key(w, "user");
                json_put_str(w, v->user);
                json_key(w, "decision");
                json_put_str(w, v->decision == VOTE_APPROVED ? "approved" : "rejected");
                if (v->comments) {
                        json_key(w, "comments");
                        json_put_str(w, v->comments);
                }
                render_time(w, "at", v->at_ms);
                json_end_object(w);
        }
        json_end_array(w);
}

/* ---- what a step waits for --------------------------------------------------------- */

static void put_names(JsonWriter *w, const Slice *names, size_t n) {
        for (size_t i = 0; i < n; i++)
                json_put_string(w, names[i]);
}

static void put_approval_wait(const StepState *state, const ApprovalConfig *config, JsonWriter *w) {
        json_key(w, "approvers");
        json_begin_array(w);
        put_names(w, config->approvers, config->n_approvers);
        if (state->extra && state->extra->escalated)
                put_names(w, config->escalate_to, config->n_escalate_to);
        json_end_array(w);
        put_i64(w, "minApprovals", config->min_approvals);
}

static void put_event_wait(const StepState *state, JsonWriter *w) {
        json_key(w, "eventType");
        json_put_str(w, state->extra ? state->extra->event_type : NULL);
        json_key(w, "correlationId");
        json_put_str(w, state->extra ? state->extra->correlation : NULL);
}

int64_t render_deadline(const Execution *x, uint32_t instance) {
        bool stands_still = x->paused_ms > 0 && execution_clock_freezes(x, instance);
        return stands_still ? 0 : x->steps[instance].timer_ms[TIMER_STEP];
}

static void put_waiting_for(const Execution *x, uint32_t instance, JsonWriter *w) {
        const StepState *state = &x->steps[instance];
        const RunbookStep *step = execution_step(x, instance);
        static const struct {
                uint8_t status;
                const char *type, *until;
        } kinds[] = {
                        {RUNBOOK_STEP_RETRYING, "retry", "until"},
                        {RUNBOOK_STEP_AWAITING_APPROVAL, "approval", "deadline"},
                        {RUNBOOK_STEP_AWAITING_EVENT, "event", "deadline"},
                        {RUNBOOK_STEP_WAITING, "time", "until"},
        };
        if (state->asking) {
                json_key(w, "waitingFor");
                json_begin_object(w);
                json_key(w, "type");
                json_put_str(w, "authorization");
                json_key(w, "permissions");
                json_begin_array(w);
                put_names(w, step->required_permissions, step->n_required_permissions);
                json_end_array(w);
                json_end_object(w);
        }
        for (size_t i = 0; i < N_ELEMENTS(kinds); i++) {
                if (kinds[i].status != state->status)
                        continue;
                json_key(w, "waitingFor");
                json_begin_object(w);
                json_key(w, "type");
                json_put_str(w, kinds[i].type);
                if (state->status == RUNBOOK_STEP_AWAITING_APPROVAL && step->approval)
                        put_approval_wait(state, step->approval, w);
                else if (state->status == RUNBOOK_STEP_AWAITING_EVENT)
                        put_event_wait(state, w);
                put_some_time(w, kinds[i].until, render_deadline(x, instance));
                json_end_object(w);
        }
}

/* ---- steps ------------------------------------------------------------------------- */

/** The output or error, or, where it would fit no message, how large it is. */
static void put_step_value(JsonWriter *w, const char *key, const char *key_bytes, Value *value, size_t most) {
        if (!value)
                return;
        Slice bytes = value_bytes(value);
        if (bytes.n <= most)
                put_value(w, key, value);
        else
                put_i64(w, key_bytes, (int64_t)bytes.n);
}

static void put_step(const Execution *x, uint32_t instance, size_t most, JsonWriter *w) {
        const StepState *s = &x->steps[instance];
        const RunbookStep *step = execution_step(x, instance);
        json_begin_object(w);
        json_key(w, "status");
        json_put_str(w, runbook_step_status_name(s->status));
        put_i64(w, "attemptNumber", s->attempt);
        put_some_time(w, "startTime", s->start_ms);
        put_some_time(w, "endTime", s->end_ms);
        if (s->start_ms > 0 && s->end_ms > 0)
                put_i64(w, "durationMs", s->end_ms - s->start_ms);
        put_step_value(w, "output", "outputBytes", s->output, most);
        put_step_value(w, "error", "errorBytes", s->error, most);
        if (step->type == STEP_TYPE_HUMAN_APPROVAL && s->extra) {
                json_key(w, "approvals");
                render_votes(s, w);
        }
        if (s->skip_reason != SKIP_NONE) {
                json_key(w, "skipReason");
                json_put_str(w, skip_reason_name(s->skip_reason));
        }
        if (s->extra && !uuid_is_nil(s->extra->child))
                put_uuid(w, "childExecutionId", s->extra->child);
        if (s->status == RUNBOOK_STEP_RUNNING && s->extra && s->extra->progress > 0) {
                json_key(w, "progress");
                json_put_double(w, s->extra->progress);
        }
        put_i64(w, "evidenceCount", s->n_evidence);
        put_i64(w, "logCount", s->n_logs);
        put_waiting_for(x, instance, w);
        json_end_object(w);
}

static size_t step_values_size(const StepState *s) {
        return (s->output ? value_bytes(s->output).n : 0) + (s->error ? value_bytes(s->error).n : 0);
}

static void put_steps(const Execution *x, const RenderOptions *options, size_t budget, JsonWriter *w,
                      uint32_t *ret_next) {
        _cleanup_(buf_deinit) Buf path = {0};
        uint32_t n = 0;
        json_key(w, "stepResults");
        json_begin_object(w);
        for (uint32_t i = options->first; i < x->n_instances; i++, n++) {
                bool is_full = w->buf->n + step_values_size(&x->steps[i]) + STEP_RESERVE > budget;
                /* At least one step a page, or a step with large values would be the end of all paging. */
                if (n > 0 && (is_full || (options->limit > 0 && n == options->limit))) {
                        *ret_next = i;
                        break;
                }
                buf_reset(&path);
                execution_put_path(x, i, &path);
                json_key_slice(w, buf_slice(&path));
                put_step(x, i, budget > w->buf->n ? budget - w->buf->n : 0, w);
        }
        json_end_object(w);
        if (path.error && !w->buf->error)
                w->buf->error = path.error;
}

/* ---- head -------------------------------------------------------------------------- */

/** Context, input and output, as far as there is room; what had to be left out is named. */
static void put_large(const Execution *x, size_t budget, JsonWriter *w) {
        struct {
                const char *key;
                Value *value;
                bool omitted;
        } members[] = {{"context", x->context, false},
                       {"input", x->input, false},
                       {"output", x->output, false}};
        bool any = false;
        for (size_t i = 0; i < N_ELEMENTS(members); i++) {
                members[i].omitted = w->buf->n + value_bytes(members[i].value).n + HEAD_RESERVE > budget;
                any |= members[i].omitted;
                if (!members[i].omitted)
                        put_value(w, members[i].key, members[i].value);
        }
        if (!any)
                return;
        json_key(w, "omitted");
        json_begin_array(w);
        for (size_t i = 0; i < N_ELEMENTS(members); i++)
                if (members[i].omitted)
                        json_put_str(w, members[i].key);
        json_end_array(w);
}

static void put_progress(const RenderHead *h, JsonWriter *w) {
        int64_t done = (int64_t)h->n_completed + h->n_failed + h->n_skipped + h->n_cancelled;
        json_key(w, "progress");
        json_begin_object(w);
        put_i64(w, "total", h->n_total);
        put_i64(w, "completed", h->n_completed);
        put_i64(w, "failed", h->n_failed);
        put_i64(w, "skipped", h->n_skipped);
        put_i64(w, "percent", h->n_total > 0 ? done * 100 / h->n_total : 0);
        json_end_object(w);
}

void render_head(const RenderHead *h, JsonWriter *w) {
        put_uuid(w, "id", h->id);
        json_key(w, "runbookId");
        json_put_string(w, h->runbook_id);
        json_key(w, "runbookVersion");
        json_put_string(w, h->runbook_version);
        json_key(w, "status");
        json_put_str(w, runbook_execution_status_name(h->status));
        json_key(w, "initiatedBy");
        json_put_string(w, h->initiated_by);
        render_time(w, "startTime", h->start_ms);
        render_time(w, "endTime", h->end_ms);
        json_key(w, "durationMs");
        if (h->start_ms > 0 && h->end_ms > 0)
                json_put_i64(w, h->end_ms - h->start_ms);
        else
                json_put_null(w);
        put_progress(h, w);
}

static void put_head(const Execution *x, JsonWriter *w) {
        render_head(&(RenderHead){.id = x->id,
                                  .runbook_id = x->runbook_id,
                                  .runbook_version = x->runbook_version,
                                  .initiated_by = x->initiated_by,
                                  .status = x->status,
                                  .start_ms = x->start_ms,
                                  .end_ms = x->end_ms,
                                  .n_total = x->n_instances,
                                  .n_completed = x->n_completed,
                                  .n_failed = x->n_failed,
                                  .n_skipped = x->n_skipped,
                                  .n_cancelled = x->n_cancelled},
                    w);
        json_key(w, "isReplay");
        json_put_bool(w, !uuid_is_nil(x->original));
        json_key(w, "isDryRun");
        json_put_bool(w, x->is_dry_run);
        put_uuid(w, "originalExecutionId", x->original);
        put_uuid(w, "parentExecutionId", x->parent);
        json_key(w, "cancelledBy");
        json_put_str(w, x->cancelled_by);
        json_key(w, "cancellationReason");
        json_put_str(w, x->cancel_reason);
        put_value(w, "error", x->error);
}

bool render_member(const Execution *x, Slice name, JsonWriter *w) {
        const struct {
                const char *key;
                Value *value;
        } members[] = {{"context", x->context}, {"input", x->input}, {"output", x->output}};
        for (size_t i = 0; i < N_ELEMENTS(members); i++) {
                if (!slice_eq_str(name, members[i].key))
                        continue;
                json_begin_object(w);
                put_uuid(w, "id", x->id);
                put_value(w, members[i].key, members[i].value);
                json_end_object(w);
                return true;
        }
        return false;
}

void render_execution(const Execution *x, const RenderOptions *options, size_t budget, JsonWriter *w,
                      uint32_t *ret_next) {
        *ret_next = 0;
        json_begin_object(w);
        put_head(x, w);
        if (options->first == 0)
                put_large(x, budget, w);
        if (options->with_steps)
                put_steps(x, options, budget, w, ret_next);
        json_end_object(w);
}
