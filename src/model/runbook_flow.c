/*
 * Approvals and loops: `approvalConfig` and `loopConfig`
 */
#include <errno.h>

#include "base/cleanup.h"
#include "model/runbook_draft.h"

static const char *const approval_fields[] = {
                "allowSelfApproval", "approvers", "escalateAfterMs", "escalateTo",
                "minApprovals",      "prompt",    "timeoutAction",   "timeoutMs",
};
static const char *const loop_config_fields[] = {
                "concurrency", "continueWhile", "failureTolerance", "iterateOver", "maxIterations",
};

/** Who may approve is fixed: no data may choose it. */
static bool check_person(const JsonAt *at, Slice text) {
        if (expr_text_is_constant(text))
                return true;
        json_at_error(at, "people are named, they can't be chosen by ${…}");
        return false;
}

static void parse_people(Draft *d, const JsonAt *at, ApprovalConfig *a) {
        static const DraftList people = {LIMIT_NAMED(LIMIT_APPROVERS), true, check_person};
        JsonAt approvers = json_at_key(at, "approvers"), min = json_at_key(at, "minApprovals");
        int64_t n_min = 1;
        json_get_i64(at, "minApprovals", 1, LIMIT_APPROVERS, &n_min);
        a->min_approvals = (uint32_t)n_min;
        bool good = draft_strings(d, at, "approvers", &people, &a->approvers, &a->n_approvers);
        if (!approvers.value)
                json_at_error(&approvers, "is required: the people who may approve");
        else if (good && a->n_approvers == 0)
                json_at_error(&approvers, "must name at least one person");
        else if (a->n_approvers > 0 && a->min_approvals > a->n_approvers)
                json_at_error(&min, "is %u, but only %zu approver%s named", a->min_approvals, a->n_approvers,
                              a->n_approvers == 1 ? " is" : "s are");
        draft_strings(d, at, "escalateTo", &people, &a->escalate_to, &a->n_escalate_to);
}

static void parse_deadlines(Draft *d, const JsonAt *at, ApprovalConfig *a) {
        static const char *const actions[] = {
                        [TIMEOUT_FAIL] = "fail", [TIMEOUT_APPROVE] = "approve", [TIMEOUT_REJECT] = "reject"};
        JsonAt action_at = json_at_key(at, "timeoutAction"), to = json_at_key(at, "escalateTo"),
               after = json_at_key(at, "escalateAfterMs");
        unsigned action = TIMEOUT_FAIL;
        draft_duration(at, "timeoutMs", 1, &a->timeout_ms);
        draft_enum(at, "timeoutAction", actions, N_ELEMENTS(actions), &action);
        a->timeout_action = (TimeoutAction)action;
        if (action == TIMEOUT_APPROVE && !d->defaults->allow_timeout_approve)
                json_at_error(&action_at, "\"approve\" is refused: nobody would have approved. The operator "
                                          "may consent to it by "
                                          "the setting ALLOW_TIMEOUT_APPROVE=true");
        draft_duration(at, "escalateAfterMs", 1, &a->escalate_after_ms);
        if (to.value && !after.value)
                json_at_error(&to, "needs escalateAfterMs: when to escalate");
        if (after.value && !to.value)
                json_at_error(&after, "needs escalateTo: whom to escalate to");
}

void draft_human_approval(Draft *d, RunbookStep *step, const JsonAt *step_at, const JsonAt *config) {
        JsonAt at;
        Slice prompt;
        if (!json_get_object(step_at, "approvalConfig", &at)) {
                at = json_at_key(step_at, "approvalConfig");
                if (!at.value)
                        json_at_error(&at, "is required: who approves");
                return;
        }
        ApprovalConfig *a = ARENA_NEW(d->arena, ApprovalConfig);
        if (!a) {
                draft_oom(d);
                return;
        }
        json_check_keys(&at, approval_fields, N_ELEMENTS(approval_fields));
        a->timeout_ms = step->timeout_ms; /* unless it has one of its own */
        parse_people(d, &at, a);
        parse_deadlines(d, &at, a);
        json_get_bool(&at, "allowSelfApproval", &a->allow_self_approval);
        if (draft_text(d, &at, "prompt", LIMIT_NAMED(LIMIT_TEXT_BYTES), &prompt))
                a->prompt = draft_template_member(d, &at, "prompt", step->index, PLACE_STEP);
        step->timeout_ms = a->timeout_ms;
        step->approval = a;
}

static void parse_repetition(Draft *d, RunbookStep *step, const JsonAt *at, LoopConfig *loop) {
        JsonAt over = json_at_key(at, "iterateOver"), again = json_at_key(at, "continueWhile"),
               concurrency = json_at_key(at, "concurrency");
        Slice path;
        if (!over.value == !again.value)
                json_at_error(at, "a loop needs either iterateOver or continueWhile%s",
                              over.value ? ", not both" : "");
        if (over.value && json_get_string(at, "iterateOver", &path))
                loop->iterate_over = draft_path(d, path, &over, step->index, PLACE_STEP);
        if (again.value)
                loop->continue_while = draft_condition(d, &again, step->index, PLACE_WHILE);
        if (again.value && loop->concurrency > 1)
                json_at_error(&concurrency, "must be 1 with continueWhile: each iteration decides whether "
                                            "there is a next one");
}

void draft_loop(Draft *d, RunbookStep *step, const JsonAt *step_at, const JsonAt *config) {
        JsonAt at;
        int64_t max_iterations = LIMIT_LOOP_ITERATIONS, concurrency = 1, tolerance = 0;
        if (!json_get_object(step_at, "loopConfig", &at)) {
                at = json_at_key(step_at, "loopConfig");
                if (!at.value)
                        json_at_error(&at, "is required: what the loop iterates over");
                return;
        }
        LoopConfig *loop = ARENA_NEW(d->arena, LoopConfig);
        if (!loop) {
                draft_oom(d);
                return;
        }
        json_check_keys(&at, loop_config_fields, N_ELEMENTS(loop_config_fields));
        json_get_i64(&at, "maxIterations", 1, LIMIT_LOOP_ITERATIONS, &max_iterations);
        json_get_i64(&at, "concurrency", 1, LIMIT_LOOP_ITERATIONS, &concurrency);
        json_get_i64(&at, "failureTolerance", 0, LIMIT_LOOP_ITERATIONS, &tolerance);
        loop->max_iterations = (uint32_t)max_iterations;
        loop->concurrency = (uint32_t)concurrency;
        loop->failure_tolerance = (uint32_t)tolerance;
        loop->body = d->more[step->index].body;
        loop->region = d->more[step->index].region;
        parse_repetition(d, step, &at, loop);
        step->loop = loop;
}
