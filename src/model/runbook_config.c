/*
 * `config` by type
 *
 * One row a type: its fields and the function that checks and compiles them. A new type is a new row (and, if
 * it is engine behaviour, a new field of RunbookStep). Where a template may stand, only constants can be
 * checked here.
 */
#include <errno.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "model/runbook_draft.h"

#define SHOWN_MAX 80

typedef void Compile(Draft *d, RunbookStep *step, const JsonAt *at, const JsonAt *config);

typedef struct StepKind {
        const char *name;
        const char *const *fields; /* of `config`; NULL: the function checks them, or they are free */
        size_t n_fields;
        Compile *compile;
        bool retried;     /* has attempts that the retry policy counts */
        bool compensates; /* may stand in compensateWith */
} StepKind;

bool draft_config_text(const JsonAt *config, const char *key, bool required, Slice *ret, bool *ret_constant) {
        bool good = required ? json_get_string_required(config, key, ret) : json_get_string(config, key, ret);
        if (!good)
                return false;
        JsonAt at = json_at_key(config, key);
        if (ret->n == 0) {
                json_at_error(&at, "must not be empty");
                return false;
        }
        *ret_constant = expr_text_is_constant(*ret);
        return true;
}

static void release_json(void *p) { json_decref(p); }

/** The whole config is resolved when an attempt starts. */
static void compile_whole(Draft *d, RunbookStep *step, const JsonAt *at, const JsonAt *config) {
        JsonAt whole = *config;
        if (!whole.value) {
                json_t *empty = json_object();
                if (!empty || !draft_own(d, release_json, empty)) {
                        draft_oom(d);
                        return;
                }
                whole.value = empty;
        }
        step->config = draft_template(d, &whole, step->index, PLACE_STEP);
}

static void compile_conditional(Draft *d, RunbookStep *step, const JsonAt *at, const JsonAt *config) {
        JsonAt condition = json_at_key(config, "condition");
        if (condition.value)
                step->branch_condition = draft_condition(d, &condition, step->index, PLACE_STEP);
        else
                json_at_error(&condition, "is required: the condition that chooses the branch");
}

/**
 * Is @text a subject that can be published to: tokens between dots, without blanks and wildcards? What stands
 * in ${…} is taken for one good character.
 */
static bool check_subject(const JsonAt *at, Slice text) {
        bool token_is_empty = true, good = text.n <= LIMIT_EVENT_TYPE_BYTES;
        for (size_t i = 0; i < text.n && good; i++) {
                unsigned char c = (unsigned char)text.data[i];
                if (c == '$' && i + 1 < text.n && text.data[i + 1] == '{') {
                        const char *end = memchr(text.data + i, '}', text.n - i);
                        i = end ? (size_t)(end - text.data) : text.n;
                }
                good = c == '.' ? !token_is_empty : c > ' ' && c != 0x7f && c != '*' && c != '>';
                token_is_empty = c == '.';
        }
        if (!good || token_is_empty)
                json_at_error(at,
                              "must be a subject: at most %d bytes (LIMIT_EVENT_TYPE_BYTES), names between "
                              "single dots, no blanks and "
                              "no wildcards "
                              "(* and >)",
                              LIMIT_EVENT_TYPE_BYTES);
        return good && !token_is_empty;
}

static void compile_publish_event(Draft *d, RunbookStep *step, const JsonAt *at, const JsonAt *config) {
        JsonAt subject_at = json_at_key(config, "subject");
        Slice subject;
        bool constant;
        if (draft_config_text(config, "subject", true, &subject, &constant))
                check_subject(&subject_at, subject);
        compile_whole(d, step, at, config);
}

static void compile_run_runbook(Draft *d, RunbookStep *step, const JsonAt *at, const JsonAt *config) {
        JsonAt id_at = json_at_key(config, "runbookId"), version_at = json_at_key(config, "version");
        Slice id, version;
        bool constant;
        if (draft_config_text(config, "runbookId", true, &id, &constant) && constant)
                draft_id_is_valid(&id_at, id, "");
        if (draft_config_text(config, "version", false, &version, &constant) && constant)
                draft_id_is_valid(&version_at, version, "+~");
        compile_whole(d, step, at, config);
}

static void compile_transform(Draft *d, RunbookStep *step, const JsonAt *at, const JsonAt *config) {
        JsonAt program_at = json_at_key(config, "jq");
        Slice program;
        bool constant;
        if (!draft_config_text(config, "jq", true, &program, &constant))
                return;
        if (program.n > LIMIT_PROGRAM_BYTES) {
                draft_limit(d, json_at_error(&program_at,
                                             "has %zu bytes, more than the %d allowed (LIMIT_PROGRAM_BYTES)",
                                             program.n, LIMIT_PROGRAM_BYTES));
        } else if (!constant) {
                json_at_error(&program_at, "a program is fixed text: it takes its data from the step's "
                                           "input, not from ${…} (a "
                                           "literal ${ is written $${)");
        } else {
                compile_whole(d, step, at, config);
        }
}

static void compile_wait(Draft *d, RunbookStep *step, const JsonAt *at, const JsonAt *config) {
        JsonAt duration = json_at_key(config, "durationMs"), until = json_at_key(config, "until");
        int64_t ms;
        Slice text;
        bool constant;
        if (!duration.value == !until.value) {
                json_at_error(config, "a wait needs either durationMs or until%s",
                              until.value ? ", not both" : "");
        } else if (duration.value) {
                bool fixed = !json_is_string(duration.value) ||
                             expr_text_is_constant(json_string_slice(duration.value));
                if (!fixed || draft_duration(config, "durationMs", 0, &ms))
                        step->wait = draft_template(d, &duration, step->index, PLACE_STEP);
        } else if (draft_config_text(config, "until", true, &text, &constant)) {
                step->wait_until = true;
                if (constant && !time_parse_ms(text, &ms))
                        json_at_error(&until, "must be a time like 2030-01-31T12:00:00Z (RFC 3339)");
                else
                        step->wait = draft_template(d, &until, step->index, PLACE_STEP);
        }
}

static void compile_wait_for_event(Draft *d, RunbookStep *step, const JsonAt *at, const JsonAt *config) {
        JsonAt type_at = json_at_key(config, "eventType"),
               correlation_at = json_at_key(config, "correlationId");
        Slice correlation;
        bool constant;
        if (draft_config_text(config, "eventType", true, &step->event_type, &constant)) {
                if (!constant)
                        json_at_error(&type_at, "an event type is fixed text; what tells events of one type "
                                                "apart is correlationId");
                else
                        check_subject(&type_at, step->event_type);
        }
        if (json_get_string(config, "correlationId", &correlation)) {
                if (correlation.n > LIMIT_CORRELATION_BYTES && expr_text_is_constant(correlation))
                        draft_limit(d, json_at_error(&correlation_at,
                                                     "has %zu bytes, more than the %d allowed "
                                                     "(LIMIT_CORRELATION_BYTES)",
                                                     correlation.n, LIMIT_CORRELATION_BYTES));
                else
                        step->event_correlation = draft_template(d, &correlation_at, step->index, PLACE_STEP);
        }
        draft_duration(config, "timeoutMs", 1, &step->timeout_ms);
}

static const char *const conditional_fields[] = {"condition", "falseBranch", "trueBranch"};
static const char *const loop_fields[] = {"bodyStepId"};
static const char *const publish_event_fields[] = {"headers", "payload", "subject"};
static const char *const run_runbook_fields[] = {"input", "runbookId", "version"};
static const char *const transform_fields[] = {"jq"};
static const char *const wait_fields[] = {"durationMs", "until"};
static const char *const wait_for_event_fields[] = {"correlationId", "eventType", "timeoutMs"};
static const char *const no_fields[] = {""};

#define FIELDS(a) (a), N_ELEMENTS(a)
static const StepKind kinds[N_STEP_TYPES] = {
                [STEP_TYPE_CALL_SERVICE] = {"call-service", NULL, 0, draft_call_service, true, true},
                [STEP_TYPE_CONDITIONAL] = {"conditional", FIELDS(conditional_fields), compile_conditional,
                                           false, false},
                [STEP_TYPE_CUSTOM] = {"custom", NULL, 0, compile_whole, true, true},
                [STEP_TYPE_HUMAN_APPROVAL] = {"human-approval", no_fields, 0, draft_human_approval, false,
                                              false},
                [STEP_TYPE_LOOP] = {"loop", FIELDS(loop_fields), draft_loop, false, false},
                [STEP_TYPE_PUBLISH_EVENT] = {"publish-event", FIELDS(publish_event_fields),
                                             compile_publish_event, true, true},
                [STEP_TYPE_RUN_RUNBOOK] = {"run-runbook", FIELDS(run_runbook_fields), compile_run_runbook,
                                           true, true},
                [STEP_TYPE_TRANSFORM] = {"transform", FIELDS(transform_fields), compile_transform, true,
                                         true},
                [STEP_TYPE_WAIT] = {"wait", FIELDS(wait_fields), compile_wait, false, true},
                [STEP_TYPE_WAIT_FOR_EVENT] = {"wait-for-event", FIELDS(wait_for_event_fields),
                                              compile_wait_for_event, false, false},
};

const char *step_type_name(StepType type) { return (unsigned)type < N_STEP_TYPES ? kinds[type].name : NULL; }
bool step_type_is_retried(StepType type) { return kinds[type].retried; }
bool step_type_compensates(StepType type) { return kinds[type].compensates; }

StepType step_type_from_name(Slice name, const JsonAt *at) {
        static const Slice custom = {"custom:", 7};
        const char *names[N_STEP_TYPES];
        Slice shown = slice_cut_utf8(name, SHOWN_MAX);
        for (unsigned i = 0; i < N_STEP_TYPES; i++) {
                names[i] = i == STEP_TYPE_CUSTOM ? "custom:" : kinds[i].name;
                if (i != STEP_TYPE_CUSTOM && slice_eq_str(name, kinds[i].name))
                        return (StepType)i;
        }
        if (slice_starts_with(name, custom)) {
                bool good = draft_id_is_valid(at, (Slice){name.data + custom.n, name.n - custom.n}, "");
                return good ? STEP_TYPE_CUSTOM : N_STEP_TYPES;
        }
        const char *nearest = slice_nearest(name, names, N_STEP_TYPES);
        if (nearest)
                json_at_error(at, "unknown type \"%.*s\"; did you mean \"%s\"?", SLICE_ARG(shown), nearest);
        else
                json_at_error(at,
                              "unknown type \"%.*s\"; there are call-service, conditional, custom:<name>, "
                              "human-approval, loop, "
                              "publish-event, run-runbook, transform, wait and wait-for-event",
                              SLICE_ARG(shown));
        return N_STEP_TYPES;
}

/** `approvalConfig` and `loopConfig` belong to one type each. */
static void check_misplaced(const RunbookStep *step, const JsonAt *at, const char *key, StepType owner) {
        JsonAt misplaced = json_at_key(at, key);
        if (misplaced.value && step->type != owner)
                json_at_error(&misplaced, "only steps of type %s have this", kinds[owner].name);
}

static void release_value(void *p) { value_unref(p); }

/** A config without templates is the same for every attempt: made here, once. */
static void keep_constant(Draft *d, RunbookStep *step) {
        const json_t *constant = step->config ? expr_template_constant(step->config) : NULL;
        if (!constant)
                return;
        Value *value = value_new(json_incref((json_t *)constant));
        /* Both faces now: the runbook is shared between threads. */
        if (!value || !value_bytes(value).data) {
                value_unref(value);
                draft_oom(d);
        } else if (draft_own(d, release_value, value)) {
                step->config_value = value;
        }
}

void draft_config(Draft *d, RunbookStep *step, const JsonAt *at) {
        const StepKind *kind = &kinds[step->type];
        JsonAt config = json_at_key(at, "config");
        check_misplaced(step, at, "approvalConfig", STEP_TYPE_HUMAN_APPROVAL);
        check_misplaced(step, at, "loopConfig", STEP_TYPE_LOOP);
        if (config.value && !json_is_object(config.value)) {
                json_at_error(&config, "must be an object, is %s", json_type_text(config.value));
                return;
        }
        if (config.value && kind->fields)
                json_check_keys(&config, kind->fields, kind->n_fields);
        kind->compile(d, step, at, &config);
        keep_constant(d, step);
        const RunbookDefaults *defaults = d->defaults;
        if (defaults->check_config && defaults->check_config(defaults->check_userdata, step, &config) == -ENOMEM)
                draft_oom(d);
}
