#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "driver.h"
#include "base/cleanup.h"
#include "json/json_read.h"
#include "json/json_write.h"
#include "model/execution_codec.h"

#define CHECK(condition, ...)                                                                                \
        do {                                                                                                 \
                if (!(condition)) {                                                                          \
                        fprintf(stderr, "%s:%d: ", __FILE__, __LINE__);                                      \
                        fprintf(stderr, __VA_ARGS__);                                                        \
                        fputc('\n', stderr);                                                                 \
                        abort();                                                                             \
                }                                                                                            \
        } while (0)

static Value *value_of(const char *json) {
        if (!json)
                return NULL;
        json_t *tree = json_loads(json, JSON_DECODE_ANY, NULL);
        CHECK(tree, "test JSON is wrong: %s", json);
        return value_new(tree);
}

/* The whole state as stored: static, state, pages, scopes. */
static void encode_all(const Execution *x, Buf *b) {
        CHECK(execution_encode_static(x, b) == 0 && execution_encode_state(x, b) == 0, "encode");
        for (uint32_t i = 0; i * STEP_PAGE < x->n_instances; i++)
                CHECK(execution_encode_page(x, i, b) == 0, "encode page");
        for (uint32_t i = 0; i < x->n_scopes; i++)
                CHECK(execution_encode_scope(x, i, b) == 0, "encode scope");
}

static int fetch(void *userdata, uint32_t instance, uint32_t which, Value **ret) {
        const Execution *x = userdata;
        Value *v = NULL;
        switch ((ExecutionValue)which) {
        case EXECUTION_VALUE_OUTPUT:
                v = x->steps[instance].output;
                break;
        case EXECUTION_VALUE_ERROR:
                v = x->steps[instance].error;
                break;
        case EXECUTION_VALUE_PROMPT:
                v = x->steps[instance].extra->prompt;
                break;
        case EXECUTION_VALUE_ITEM:
                v = x->scopes[instance].item;
                break;
        default:
                break;
        }
        *ret = value_new_bytes(value_bytes(v));
        return *ret ? 0 : -ENOMEM;
}

static Execution *reload(const Execution *x) {
        _cleanup_(buf_deinit) Buf stat = {0}, state = {0}, b = {0};
        Execution *y = NULL;
        CHECK(execution_encode_static(x, &stat) == 0 && execution_encode_state(x, &state) == 0, "encode");
        int r = execution_decode(x->runbook, x->id, buf_slice(&stat), buf_slice(&state), &y);
        CHECK(r == 0, "decode: %d", r);
        for (uint32_t i = 0; i * STEP_PAGE < x->n_instances; i++) {
                buf_reset(&b);
                CHECK(execution_encode_page(x, i, &b) == 0, "encode page");
                r = execution_decode_page(y, i, buf_slice(&b), fetch, (void *)x);
                CHECK(r == 0, "decode page %u: %d", i, r);
        }
        for (uint32_t i = 0; i < x->n_scopes; i++) {
                buf_reset(&b);
                CHECK(execution_encode_scope(x, i, &b) == 0, "encode scope");
                r = execution_decode_scope(y, i, buf_slice(&b), fetch, (void *)x);
                CHECK(r == 0, "decode scope %u: %d", i, r);
        }
        r = execution_finish_load(y);
        CHECK(r == 0, "finish load: %d", r);
        return y;
}

static void check_same(const Execution *a, const Execution *b, const char *what) {
        _cleanup_(buf_deinit) Buf x = {0}, y = {0};
        encode_all(a, &x);
        encode_all(b, &y);
        CHECK(slice_eq(buf_slice(&x), buf_slice(&y)), "%s: the states differ", what);
}

static void add_timer(Driver *d, const Effect *e) {
        CHECK(d->n_timers < DRIVER_MAX, "too many timers");
        d->timers[d->n_timers++] = (DriverTimer){e->at_ms, e->instance, e->slot};
}

static void remove_timer(Driver *d, int64_t at_ms, uint32_t instance, uint8_t slot) {
        for (size_t i = 0; i < d->n_timers; i++)
                if (d->timers[i].at_ms == at_ms && d->timers[i].instance == instance &&
                    d->timers[i].slot == slot) {
                        d->timers[i] = d->timers[--d->n_timers];
                        return;
                }
}

static void remove_task(Driver *d, uint32_t instance, uint32_t attempt, bool is_question) {
        for (size_t i = 0; i < d->n_tasks; i++)
                if (d->tasks[i].instance == instance && d->tasks[i].attempt == attempt &&
                    d->tasks[i].is_question == is_question) {
                        free(d->tasks[i].config);
                        free(d->tasks[i].input);
                        d->tasks[i] = d->tasks[--d->n_tasks];
                        return;
                }
}

static void take_effect(Driver *d, const Effect *e) {
        switch (e->kind) {
        case EFFECT_TIMER_SET:
                add_timer(d, e);
                break;
        case EFFECT_TIMER_CLEAR:
                remove_timer(d, e->at_ms, e->instance, e->slot);
                break;
        case EFFECT_TASK:
        case EFFECT_AUTHZ:
                CHECK(d->n_tasks < DRIVER_MAX, "too many tasks");
                /* the runtime knows both by step and attempt alone */
                for (size_t i = 0; i < d->n_tasks; i++)
                        CHECK(d->tasks[i].instance != e->instance || d->tasks[i].attempt != e->attempt,
                              "attempt %u is out twice", e->attempt);
                d->tasks[d->n_tasks++] =
                                (DriverTask){e->instance, e->attempt, e->kind == EFFECT_AUTHZ,
                                             slice_dup(value_bytes(e->value)),
                                             slice_dup(value_bytes(e->input))};
                break;
        case EFFECT_TASK_CANCEL:
        case EFFECT_AUTHZ_CANCEL:
                remove_task(d, e->instance, e->attempt, e->kind == EFFECT_AUTHZ_CANCEL);
                break;
        case EFFECT_START_CHILD:
                d->child = d->x->steps[e->instance].extra->child;
                d->child_instance = e->instance;
                d->n_children++;
                break;
        default:
                break;
        }
}

/* Exactly the questions of the state are out. */
static void check_questions(Driver *d) {
        size_t asking = 0, out = 0;
        for (uint32_t i = 0; i < d->x->n_instances; i++)
                asking += d->x->steps[i].asking;
        for (size_t i = 0; i < d->n_tasks; i++)
                out += d->tasks[i].is_question;
        CHECK(asking == out, "%zu steps ask, %zu questions are out", asking, out);
}

/* Exactly the armed timers of the state are in the list, unless the clocks stand still. */
static void check_timers(Driver *d) {
        size_t armed = d->x->global_deadline_ms > 0 && d->x->paused_ms == 0;
        for (uint32_t i = 0; i < d->x->n_instances; i++)
                for (int slot = 0; slot < 2; slot++)
                        armed += d->x->steps[i].timer_ms[slot] > 0 && d->x->paused_ms == 0;
        CHECK(d->x->paused_ms > 0 || armed == d->n_timers, "%zu timers are armed in the state, %zu outside",
              armed, d->n_timers);
}

static void absorb(Driver *d) {
        Slice frames = buf_slice(&d->out.events), type, json;
        for (size_t i = 0; i < d->out.n_effects; i++)
                take_effect(d, &d->out.effects[i]);
        for (size_t at = 0; frame_next(frames, &at, &type, &json);)
                d->n_events++;
        CHECK(d->out.n_events == 0 || d->out.first_seq + d->out.n_events - 1 == d->x->seq,
              "sequences have a gap");
        CHECK(d->n_events == d->x->seq, "%llu events for sequence %llu", (unsigned long long)d->n_events,
              (unsigned long long)d->x->seq);
        buf_put_slice(&d->history, frames);
        buf_put_slice(&d->logs, buf_slice(&d->out.logs));
        const char *broken = engine_check(d->x);
        CHECK(!broken, "invariant: %s", broken);
        check_timers(d);
        check_questions(d);
        d->last_error[0] = '\0';
        if (d->out.refusal.code)
                snprintf(d->last_error, sizeof(d->last_error), "%s: %s",
                         runbook_code_name(d->out.refusal.code), d->out.refusal.message);
        Execution *again = reload(d->x);
        check_same(d->x, again, "store and load");
        /* Go on with the loaded one: what is not stored can't matter. */
        execution_free(d->x);
        d->x = again;
        update_reset(&d->out);
}

static Input start_input(Driver *d) {
        return (Input){.kind = INPUT_START,
                       .now_ms = d->now_ms,
                       .seed = d->seed,
                       .execution_id = uuid_v7(d->now_ms, d->seed, 7),
                       .tenant = SLICE("acme"),
                       .user = SLICE("alice"),
                       .parent_instance = INSTANCE_NONE};
}

Driver *driver_start(const char *definition, const char *input, const char *context) {
        Driver *d = calloc(1, sizeof(*d));
        _cleanup_(report_deinit) Report report = {0};
        d->now_ms = 1700000000000;
        d->seed = 42;
        d->settings = (EngineSettings){.max_concurrent_steps = 5, .source = SLICE("runbookd/test")};
        d->defaults = runbook_defaults_builtin;
        d->defaults.allow_timeout_approve = true;
        d->input = input ? strdup(input) : NULL;
        d->context = context ? strdup(context) : NULL;
        int r = runbook_def_parse(slice_from_str(definition), &d->defaults, &report, &d->runbook);
        CHECK(r == 0, "definition: %s: %s %s", report.message, report.n_details ? report.details[0].path : "",
              report.n_details ? report.details[0].message : "");
        Input in = start_input(d);
        _cleanup_(value_unref_p) Value *v = value_of(input), *c = value_of(context);
        in.value = v;
        in.context = c;
        r = engine_start(d->runbook, &d->settings, &in, &d->out, &d->x);
        CHECK(r == 0, "start: %d %s", r, d->out.refusal.message);
        absorb(d);
        return d;
}

void driver_free(Driver *d) {
        if (!d)
                return;
        while (d->n_tasks)
                remove_task(d, d->tasks[0].instance, d->tasks[0].attempt, d->tasks[0].is_question);
        execution_free(d->x);
        runbook_unref(d->runbook);
        update_deinit(&d->out);
        buf_deinit(&d->history);
        buf_deinit(&d->journal);
        buf_deinit(&d->logs);
        free(d->input);
        free(d->context);
        free(d);
}

void driver_apply(Driver *d, Input *in) {
        in->now_ms = d->now_ms;
        in->seed = ++d->seed;
        in->execution_id = d->x->id;
        int r = engine_step(d->x, &d->settings, in, &d->out);
        CHECK(r == 0, "engine_step: %d", r);
        if (d->out.applied) {
                _cleanup_(buf_deinit) Buf record = {0};
                CHECK(input_encode(in, &record) == 0, "journal");
                buf_put_u32(&d->journal, (uint32_t)record.n);
                buf_put_slice(&d->journal, buf_slice(&record));
        }
        absorb(d);
}

static DriverTask *find_task(Driver *d, const char *path) {
        uint32_t instance = execution_find_path(d->x, slice_from_str(path));
        for (size_t i = 0; i < d->n_tasks; i++)
                if (d->tasks[i].instance == instance)
                        return &d->tasks[i];
        return NULL;
}

bool driver_has_task(Driver *d, const char *path) { return find_task(d, path) != NULL; }

const char *driver_task_config(Driver *d, const char *path) {
        DriverTask *t = find_task(d, path);
        return t ? t->config : "";
}

static void answer(Driver *d, const char *path, bool ok, const char *json) {
        DriverTask *t = find_task(d, path);
        CHECK(t && !t->is_question, "step %s has no open task", path);
        _cleanup_(value_unref_p) Value *v = value_of(json);
        Input in = {.kind = INPUT_TASK_RESULT, .instance = t->instance, .attempt = t->attempt, .ok = ok};
        if (ok)
                in.value = v;
        else
                in.error = v;
        remove_task(d, t->instance, t->attempt, false);
        driver_apply(d, &in);
}

void driver_authz(Driver *d, const char *path, const char *answer) {
        DriverTask *t = find_task(d, path);
        CHECK(t && t->is_question, "step %s asks nothing", path);
        bool is_answer = answer[0] != 'A';
        char error[256];
        snprintf(error, sizeof(error), "{\"code\":\"%s\",\"message\":\"nobody\",\"retryable\":true}", answer);
        _cleanup_(value_unref_p) Value *v = value_of(
                        !strcmp(answer, "allow")  ? "{\"allow\":true}"
                        : !strcmp(answer, "deny") ? "{\"allow\":false,\"reason\":\"not today\"}"
                        : is_answer               ? answer
                                                  : error);
        _cleanup_(value_unref_p) Value *evidence =
                        value_of("[{\"type\":\"authorization\",\"sourceRef\":\"test\",\"value\":1}]");
        Input in = {.kind = INPUT_AUTHZ,
                    .instance = t->instance,
                    .attempt = t->attempt,
                    .ok = is_answer,
                    .value = is_answer ? v : NULL,
                    .error = is_answer ? NULL : v,
                    .evidence = is_answer ? evidence : NULL};
        remove_task(d, t->instance, t->attempt, true);
        driver_apply(d, &in);
}

bool driver_is_asking(Driver *d, const char *path) {
        DriverTask *t = find_task(d, path);
        return t && t->is_question;
}

void driver_ok(Driver *d, const char *path, const char *output) { answer(d, path, true, output); }

void driver_fail(Driver *d, const char *path, const char *code, bool retryable) {
        char json[256];
        snprintf(json, sizeof(json), "{\"code\":\"%s\",\"message\":\"as the test says\",\"retryable\":%s}",
                 code, retryable ? "true" : "false");
        answer(d, path, false, json);
}

void driver_progress(Driver *d, const char *path, double number, const char *logs, const char *evidence) {
        DriverTask *t = find_task(d, path);
        CHECK(t, "step %s has no open task", path);
        _cleanup_(value_unref_p) Value *l = logs ? value_of(logs) : NULL, *e = evidence ? value_of(evidence) : NULL;
        driver_apply(d, &(Input){.kind = INPUT_TASK_PROGRESS,
                                 .instance = t->instance,
                                 .attempt = t->attempt,
                                 .flag = number >= 0,
                                 .number = number >= 0 ? number : 0,
                                 .logs = l,
                                 .evidence = e});
}

void driver_advance(Driver *d, int64_t ms) {
        int64_t until = d->now_ms + ms;
        for (;;) {
                size_t first = SIZE_MAX;
                for (size_t i = 0; i < d->n_timers; i++)
                        if (d->timers[i].at_ms <= until &&
                            (first == SIZE_MAX || d->timers[i].at_ms < d->timers[first].at_ms))
                                first = i;
                if (first == SIZE_MAX)
                        break;
                DriverTimer t = d->timers[first];
                d->timers[first] = d->timers[--d->n_timers];
                if (t.at_ms > d->now_ms)
                        d->now_ms = t.at_ms;
                driver_apply(d, &(Input){.kind = INPUT_TIMER,
                                         .instance = t.instance,
                                         .slot = t.slot,
                                         .at_ms = t.at_ms});
        }
        d->now_ms = until;
}

void driver_event(Driver *d, const char *path, const char *payload) {
        uint32_t instance = execution_find_path(d->x, slice_from_str(path));
        CHECK(instance != INSTANCE_NONE, "no step %s", path);
        _cleanup_(value_unref_p) Value *v = value_of(payload);
        driver_apply(d, &(Input){.kind = INPUT_EVENT,
                                 .tenant = SLICE("acme"),
                                 .user = SLICE("edr"),
                                 .instance = instance,
                                 .attempt = d->x->steps[instance].attempt,
                                 .value = v});
}

void driver_vote(Driver *d, const char *user, const char *path, VoteDecision decision) {
        driver_apply(d, &(Input){.kind = INPUT_APPROVE,
                                 .tenant = SLICE("acme"),
                                 .user = slice_from_str(user),
                                 .path = slice_from_str(path),
                                 .decision = (uint8_t)decision});
}

void driver_command(Driver *d, InputKind kind, const char *path) {
        driver_apply(d, &(Input){.kind = kind,
                                 .tenant = SLICE("acme"),
                                 .user = SLICE("alice"),
                                 .flag = true,
                                 .path = slice_from_str(path),
                                 .text = kind == INPUT_CANCEL ? SLICE("no longer needed") : SLICE_NULL});
}

const char *driver_status(Driver *d) {
        return runbook_execution_status_name((RunbookExecutionStatus)d->x->status);
}

static const StepState *find(Driver *d, const char *path) {
        uint32_t instance = execution_find_path(d->x, slice_from_str(path));
        return instance == INSTANCE_NONE ? NULL : &d->x->steps[instance];
}

const char *driver_step(Driver *d, const char *path) {
        const StepState *s = find(d, path);
        return s ? runbook_step_status_name((RunbookStepStatus)s->status) : "absent";
}

const char *driver_output(Driver *d, const char *path) {
        const StepState *s = path[0] ? find(d, path) : NULL;
        Value *v = path[0] ? (s ? s->output : NULL) : d->x->output;
        return v ? value_bytes(v).data : "";
}

const char *driver_error(Driver *d, const char *path) {
        const StepState *s = path[0] ? find(d, path) : NULL;
        Value *v = path[0] ? (s ? s->error : NULL) : d->x->error;
        const char *code = json_string_value(json_object_get(value_json(v), "code"));
        return code ? code : "";
}

unsigned driver_count(Driver *d, const char *type, const char *path) {
        Slice frame_type, json;
        unsigned n = 0;
        for (size_t at = 0; frame_next(buf_slice(&d->history), &at, &frame_type, &json);) {
                json_t *event = json_loadb(json.data, json.n, 0, NULL);
                const char *subject = json_string_value(json_object_get(event, "subject"));
                const char *slash = strchr(subject, '/');
                if (slice_eq_str(frame_type, type) && (!path || !strcmp(slash ? slash + 1 : "", path)))
                        n++;
                json_decref(event);
        }
        return n;
}

void driver_replay(Driver *d) {
        Update out = {0};
        Execution *y = NULL;
        _cleanup_(buf_deinit) Buf history = {0};
        _cleanup_(value_unref_p) Value *v = value_of(d->input), *c = value_of(d->context);
        Input in = {.kind = INPUT_START,
                    .now_ms = d->x->created_ms,
                    .seed = 42,
                    .execution_id = d->x->id,
                    .tenant = SLICE("acme"),
                    .user = SLICE("alice"),
                    .value = v,
                    .context = c,
                    .parent_instance = INSTANCE_NONE};
        CHECK(engine_start(d->runbook, &d->settings, &in, &out, &y) == 0, "replay start");
        buf_put_slice(&history, buf_slice(&out.events));
        for (Reader r = reader_from_slice(buf_slice(&d->journal)); reader_left(&r) > 0;) {
                uint32_t n = reader_u32(&r);
                Input again = {0};
                CHECK(input_decode(reader_take(&r, n), &again) == 0, "replay decode");
                update_reset(&out);
                again.execution_id = d->x->id;
                CHECK(engine_step(y, &d->settings, &again, &out) == 0, "replay step");
                buf_put_slice(&history, buf_slice(&out.events));
                input_release(&again);
        }
        CHECK(slice_eq(buf_slice(&history), buf_slice(&d->history)), "replay gave another history");
        check_same(d->x, y, "replay");
        execution_free(y);
        update_deinit(&out);
}
