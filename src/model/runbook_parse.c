/*
 * The document: what a runbook and all its steps have, whatever their type
 *
 * draft_begin reads the head and the ids, draft_finish all the rest once the graph is known.
 */
#include <errno.h>

#include "base/cleanup.h"
#include "model/runbook_draft.h"
#include "schema/schema.h"

#define BACKOFF_MULTIPLIER_MAX 1000.0

static const char *const runbook_fields[] = {
                "createdBy",    "defaultRetryPolicy",
                "description",  "globalTimeoutMs",
                "id",           "idempotency",
                "inputSchema",  "maxConcurrentSteps",
                "maxDepth",     "metadata",
                "name",         "output",
                "outputSchema", "steps",
                "version",
};
static const char *const step_fields[] = {
                "approvalConfig",      "compensateWith", "condition", "config",    "dependsOn",
                "description",         "evidence",       "id",        "input",     "inputSchema",
                "joinPolicy",          "loopConfig",     "name",      "onFailure", "outputSchema",
                "requiredPermissions", "retryPolicy",    "timeoutMs", "type",
};
static const char *const retry_fields[] = {
                "backoffMultiplier", "initialDelayMs",     "jitter",          "maxAttempts",
                "maxDelayMs",        "nonRetryableErrors", "retryableErrors",
};
static const char *const evidence_fields[] = {"confidence", "sourceRef", "type", "value"};

/** Error codes: exact, or a prefix and '*'. */
static bool check_error_code(const JsonAt *at, Slice text) {
        const char *star = memchr(text.data, '*', text.n);
        if (!star || star == text.data + text.n - 1)
                return true;
        json_at_error(at, "* may stand only at the end of an error code");
        return false;
}

/** Overwrite in @policy what the object at @at gives. */
static void parse_retry(Draft *d, const JsonAt *at, RetryPolicy *policy) {
        static const DraftList codes = {LIMIT_NAMED(LIMIT_RETRY_CODES), true, check_error_code};
        int64_t attempts = policy->max_attempts;
        json_check_keys(at, retry_fields, N_ELEMENTS(retry_fields));
        json_get_i64(at, "maxAttempts", 1, LIMIT_RETRY_ATTEMPTS, &attempts);
        policy->max_attempts = (uint32_t)attempts;
        draft_duration(at, "initialDelayMs", 0, &policy->initial_delay_ms);
        draft_duration(at, "maxDelayMs", 0, &policy->max_delay_ms);
        json_get_number(at, "backoffMultiplier", 1, BACKOFF_MULTIPLIER_MAX, &policy->backoff_multiplier);
        json_get_number(at, "jitter", 0, 1, &policy->jitter);
        draft_strings(d, at, "retryableErrors", &codes, &policy->retryable, &policy->n_retryable);
        draft_strings(d, at, "nonRetryableErrors", &codes, &policy->non_retryable, &policy->n_non_retryable);
}

/** The defaults may go before the runbook does. */
static const Slice *copy_slices(Draft *d, const Slice *slices, size_t n) {
        Slice *copy = ARENA_NEW_ARRAY(d->arena, Slice, n);
        for (size_t i = 0; copy && i < n; i++) {
                copy[i] = arena_dup(d->arena, slices[i]);
                if (!copy[i].data)
                        draft_oom(d);
        }
        if (!copy)
                draft_oom(d);
        return copy;
}

static void release_schema(void *p) { schema_unref(p); }

/** A schema: an object or a boolean; `{}` is none. Compiled once, here. */
static const Schema *parse_schema(Draft *d, const JsonAt *object, const char *key) {
        JsonAt at = json_at_key(object, key);
        if (!at.value)
                return NULL;
        if (!json_is_object(at.value) && !json_is_boolean(at.value)) {
                json_at_error(&at, "must be a JSON Schema: an object, true or false; is %s",
                              json_type_text(at.value));
                return NULL;
        }
        if (json_is_object(at.value) && json_object_size(at.value) == 0)
                return NULL;
        Schema *schema = schema_compile(&at);
        if (!schema) {
                if (d->report->oom)
                        draft_oom(d);
                return NULL;
        }
        return draft_own(d, release_schema, schema) ? schema : NULL;
}

static int parse_ids(Draft *d) {
        for (uint32_t i = 0; i < d->n_steps; i++) {
                RunbookStep *step = &d->steps[i];
                JsonAt at = draft_step_at(d, i), id_at = json_at_key(&at, "id"),
                       type_at = json_at_key(&at, "type");
                *step = (RunbookStep){.index = i,
                                      .type = N_STEP_TYPES,
                                      .id = SLICE(""),
                                      .compensate_with = STEP_NONE,
                                      .loop_step = STEP_NONE};
                d->more[i] = (DraftStep){.body_of = STEP_NONE, .body = STEP_NONE, .position = STEP_NONE};
                if (!json_is_object(at.value)) {
                        json_at_error(&at, "must be a step, an object; is %s", json_type_text(at.value));
                        continue;
                }
                if (json_get_string_required(&at, "type", &step->type_name))
                        step->type = step_type_from_name(step->type_name, &type_at);
                if (!json_get_string_required(&at, "id", &step->id) ||
                    !draft_id_is_valid(&id_at, step->id, ""))
                        continue;
                const RunbookStep *first = map_get(&d->index->by_id, step->id);
                if (first) {
                        json_at_error(&id_at, "\"%s\" is the id of /steps/%u already", step->id.data,
                                      first->index);
                        continue;
                }
                if (map_put(&d->index->by_id, step->id, step) < 0)
                        return draft_oom(d);
                d->index->names[d->index->n_names++] = step->id.data;
        }
        return 0;
}

static int begin_steps(Draft *d) {
        if (!json_get_array(&d->root, "steps", &d->list)) {
                JsonAt at = json_at_key(&d->root, "steps");
                return at.value ? -EINVAL : json_at_error(&at, "is required, and must be an array of steps");
        }
        size_t n = json_array_size(d->list.value);
        if (n == 0)
                return json_at_error(&d->list, "must hold at least one step");
        if (n > LIMIT_STEPS)
                return draft_limit(d, json_at_error(&d->list,
                                                    "has %zu steps, more than the %d allowed (LIMIT_STEPS)",
                                                    n, LIMIT_STEPS));
        d->n_steps = (uint32_t)n;
        d->steps = ARENA_NEW_ARRAY(d->arena, RunbookStep, n);
        d->more = ARENA_NEW_ARRAY(&d->scratch, DraftStep, n);
        d->index->names = ARENA_NEW_ARRAY(d->arena, const char *, n);
        if (!d->steps || !d->more || !d->index->names)
                return draft_oom(d);
        d->runbook->steps = d->steps;
        d->runbook->n_steps = d->n_steps;
        return parse_ids(d);
}

static void parse_numbers(Draft *d) {
        Runbook *r = d->runbook;
        int64_t depth = LIMIT_DEPTH_DEFAULT, concurrent = 0;
        json_get_i64(&d->root, "maxDepth", 1, LIMIT_DEPTH, &depth);
        json_get_i64(&d->root, "maxConcurrentSteps", 1, LIMIT_CONCURRENT_STEPS, &concurrent);
        draft_duration(&d->root, "globalTimeoutMs", 1, &r->global_timeout_ms);
        r->max_depth = (uint32_t)depth;
        r->max_concurrent_steps = (uint32_t)concurrent;
}

static void parse_head(Draft *d) {
        static const char *const modes[] = {[IDEMPOTENCY_INPUT] = "input",
                                            [IDEMPOTENCY_KEY] = "key",
                                            [IDEMPOTENCY_NONE] = "none"};
        Runbook *r = d->runbook;
        JsonAt id = json_at_key(&d->root, "id"), version = json_at_key(&d->root, "version"), object;
        unsigned mode = IDEMPOTENCY_INPUT;
        json_check_keys(&d->root, runbook_fields, N_ELEMENTS(runbook_fields));
        if (json_get_string_required(&d->root, "id", &r->id))
                draft_id_is_valid(&id, r->id, "");
        if (json_get_string_required(&d->root, "version", &r->version))
                draft_id_is_valid(&version, r->version, "+~");
        r->name = r->id;
        draft_text(d, &d->root, "name", LIMIT_NAMED(LIMIT_NAME_BYTES), &r->name);
        draft_text(d, &d->root, "description", LIMIT_NAMED(LIMIT_TEXT_BYTES), &r->description);
        draft_text(d, &d->root, "createdBy", LIMIT_NAMED(LIMIT_NAME_BYTES), &r->created_by);
        json_get_object(&d->root, "metadata", &object);
        draft_enum(&d->root, "idempotency", modes, N_ELEMENTS(modes), &mode);
        r->idempotency = (IdempotencyMode)mode;
        parse_numbers(d);
        r->input_schema = parse_schema(d, &d->root, "inputSchema");
        r->output_schema = parse_schema(d, &d->root, "outputSchema");
        d->retry = d->defaults->retry;
        d->retry.retryable = copy_slices(d, d->retry.retryable, d->retry.n_retryable);
        d->retry.non_retryable = copy_slices(d, d->retry.non_retryable, d->retry.n_non_retryable);
        if (json_get_object(&d->root, "defaultRetryPolicy", &object))
                parse_retry(d, &object, &d->retry);
}

int draft_begin(Draft *d, const json_t *definition) {
        Runbook *r = d->runbook;
        d->root = json_at_root(definition, d->report);
        if (!json_is_object(definition))
                return json_at_error(&d->root, "a runbook must be an object, is %s",
                                     json_type_text(definition));
        r->definition = value_new(json_incref((json_t *)definition));
        Slice canonical = value_bytes(r->definition);
        if (!canonical.data || digest_slice(canonical, &r->digest) < 0)
                return draft_oom(d);
        if (canonical.n > LIMIT_DEFINITION_BYTES)
                return draft_limit(d, json_at_error(&d->root,
                                                    "the runbook has %zu bytes, more than the %d allowed "
                                                    "(LIMIT_DEFINITION_BYTES)",
                                                    canonical.n, LIMIT_DEFINITION_BYTES));
        /* Ids are chosen by whoever writes the runbook: a key that depends on all of them can't be planned
         * for. */
        uint64_t seed[2];
        memcpy(seed, r->digest.bytes, sizeof(seed));
        map_init(&d->index->by_id, seed[0], seed[1]);
        parse_head(d);
        return begin_steps(d);
}

static void parse_evidence(Draft *d, RunbookStep *step, const JsonAt *step_at) {
        JsonAt list;
        if (!json_get_array(step_at, "evidence", &list))
                return;
        size_t n = json_array_size(list.value);
        if (n > LIMIT_EVIDENCE_SPECS) {
                draft_limit(d,
                            json_at_error(&list,
                                          "has %zu entries, more than the %d allowed (LIMIT_EVIDENCE_SPECS)",
                                          n, LIMIT_EVIDENCE_SPECS));
                return;
        }
        EvidenceSpec *specs = ARENA_NEW_ARRAY(d->arena, EvidenceSpec, n);
        if (!specs) {
                draft_oom(d);
                return;
        }
        for (size_t i = 0; i < n; i++) {
                JsonAt at = json_at_index(&list, i);
                JsonAt confidence = json_at_key(&at, "confidence");
                Slice text;
                double number;
                if (!json_is_object(at.value)) {
                        json_at_error(&at, "must be an object with type and sourceRef, is %s",
                                      json_type_text(at.value));
                        continue;
                }
                json_check_keys(&at, evidence_fields, N_ELEMENTS(evidence_fields));
                if (json_get_string_required(&at, "type", &text))
                        specs[i].type = draft_template_member(d, &at, "type", step->index, PLACE_EVIDENCE);
                if (json_get_string_required(&at, "sourceRef", &text))
                        specs[i].source_ref = draft_template_member(d, &at, "sourceRef", step->index,
                                                                    PLACE_EVIDENCE);
                bool fixed = !json_is_string(confidence.value) ||
                             expr_text_is_constant(json_string_slice(confidence.value));
                if (confidence.value && (!fixed || json_get_number(&at, "confidence", 0, 1, &number)))
                        specs[i].confidence = draft_template(d, &confidence, step->index, PLACE_EVIDENCE);
                specs[i].value = draft_template_member(d, &at, "value", step->index, PLACE_EVIDENCE);
        }
        step->evidence = specs;
        step->n_evidence = (uint32_t)n;
}

static void parse_policies(Draft *d, RunbookStep *step, const JsonAt *at) {
        static const char *const joins[] = {"all", "any"}, *const failures[] = {"fail", "continue"};
        static const DraftList permissions = {LIMIT_NAMED(LIMIT_PERMISSIONS), true, NULL};
        unsigned join = 0, failure = 0;
        size_t n = 0;
        JsonAt retry;
        draft_enum(at, "joinPolicy", joins, N_ELEMENTS(joins), &join);
        draft_enum(at, "onFailure", failures, N_ELEMENTS(failures), &failure);
        step->join_any = join;
        step->on_failure_continue = failure;
        draft_duration(at, "timeoutMs", 1, &step->timeout_ms);
        draft_strings(d, at, "requiredPermissions", &permissions, &step->required_permissions, &n);
        step->n_required_permissions = (uint32_t)n;
        step->retry = d->retry;
        if (json_get_object(at, "retryPolicy", &retry))
                parse_retry(d, &retry, &step->retry);
        /* What is done inside the engine has nothing to try again; a loop's steps are retried each for itself. */
        if (step->type != N_STEP_TYPES && !step_type_is_retried(step->type))
                step->retry.max_attempts = 1;
}

static void parse_step(Draft *d, RunbookStep *step, const JsonAt *at) {
        json_check_keys(at, step_fields, N_ELEMENTS(step_fields));
        step->name = step->id;
        draft_text(d, at, "name", LIMIT_NAMED(LIMIT_NAME_BYTES), &step->name);
        draft_text(d, at, "description", LIMIT_NAMED(LIMIT_TEXT_BYTES), &step->description);
        parse_policies(d, step, at);
        step->input_schema = parse_schema(d, at, "inputSchema");
        step->output_schema = parse_schema(d, at, "outputSchema");
        draft_check_begin(d, step->index);
        step->input = draft_template_member(d, at, "input", step->index, PLACE_STEP);
        JsonAt condition = json_at_key(at, "condition");
        if (condition.value)
                step->condition = draft_condition(d, &condition, step->index, PLACE_STEP);
        parse_evidence(d, step, at);
        if (step->type != N_STEP_TYPES)
                draft_config(d, step, at);
}

void draft_finish(Draft *d) {
        for (uint32_t i = 0; i < d->n_steps && !d->oom; i++) {
                JsonAt at = draft_step_at(d, i);
                if (json_is_object(at.value))
                        parse_step(d, &d->steps[i], &at);
        }
        d->runbook->output = draft_template_member(d, &d->root, "output", 0, PLACE_OUTPUT);
}
