/*
 * Expressions and where their paths may lead
 *
 * Every path is checked when it is compiled, with the whole graph at hand: an id must exist and its step must
 * have ended when the expression is evaluated. A bare name that is no step's id may be a field of a
 * dependency's output or of the input, which nobody can know yet.
 */
#include <errno.h>

#include "base/cleanup.h"
#include "model/runbook_draft.h"

#define SHOWN_MAX 80
#define MARK_BASE 0x80000000u /* above all marks of the passes before */

typedef struct PathCheck {
        Draft *d;
        uint32_t step;
        DraftPlace place;
} PathCheck;

void draft_check_begin(Draft *d, uint32_t step) {
        for (uint32_t i = 0; i < d->steps[step].n_deps; i++)
                d->more[d->steps[step].deps[i]].mark = MARK_BASE + step;
}

static void report_unknown_step(Draft *d, Slice id, const JsonAt *at) {
        Slice shown = slice_cut_utf8(id, SHOWN_MAX);
        const char *nearest = draft_nearest_step(d, id);
        if (nearest)
                json_at_error(at, "there is no step \"%.*s\"; did you mean \"%s\"?", SLICE_ARG(shown),
                              nearest);
        else
                json_at_error(at, "there is no step \"%.*s\"", SLICE_ARG(shown));
}

static bool is_around(const Draft *d, uint32_t loop, uint32_t step) {
        for (step = d->steps[step].loop_step; step != STEP_NONE; step = d->steps[step].loop_step)
                if (step == loop)
                        return true;
        return false;
}

/** Say why @target's output is not there for an expression of @c; @direct: a bare name. */
static void report_unseen(const PathCheck *c, uint32_t target, bool direct, const JsonAt *at) {
        const RunbookStep *to = &c->d->steps[target];
        const char *id = to->id.data;
        bool is_output = c->place == PLACE_OUTPUT;
        const char *place = is_output ? "the runbook's output" : "this step";
        if (to->is_compensation)
                json_at_error(at, "\"%s\" is a compensation step: its output can't be referred to", id);
        else if (target == c->step && c->place == PLACE_EVIDENCE)
                json_at_error(at, "\"%s\" is this step itself: write steps.%s", id, id);
        else if (!is_output && target == c->step)
                json_at_error(at, "\"%s\" is this step itself: its output is not there yet", id);
        else if (!is_output && is_around(c->d, target, c->step))
                json_at_error(at,
                              "the loop \"%s\" has not ended while its steps run; there are loop.item and "
                              "loop.index",
                              id);
        else if (to->loop_step != STEP_NONE && (is_output || !is_around(c->d, to->loop_step, c->step)))
                json_at_error(at,
                              "\"%s\" runs inside the loop \"%s\": outside of it there is only the loop's "
                              "own output",
                              id, c->d->steps[to->loop_step].id.data);
        else if (!is_output && c->d->steps[c->step].is_compensation)
                json_at_error(at, "a compensation step sees \"%s\" as steps.%s only", id, id);
        else if (direct && draft_sees(c->d, c->step, target, at))
                json_at_error(at, "\"%s\" is not a direct dependency: write steps.%s, or add it to dependsOn",
                              id, id);
        else
                json_at_error(at, "\"%s\" may not have run before %s: add it to dependsOn%s%s%s", id, place,
                              direct ? " (a field of the input is written input." : "", direct ? id : "",
                              direct ? ")" : "");
}

/** Is @to a direct dependency of a step that @compensation undoes? It sees by name what that step saw. */
static bool is_seen_by_compensated(Draft *d, uint32_t compensation, const RunbookStep *to, const JsonAt *at) {
        for (uint32_t i = 0; i < to->n_out; i++) {
                if (draft_visit(d, at) || d->steps[to->out[i].to].compensate_with == compensation)
                        return true;
        }
        return false;
}

/** May an expression of @c name @target? @direct: as a bare name. */
static bool may_name(const PathCheck *c, uint32_t target, bool direct, const JsonAt *at) {
        const RunbookStep *to = &c->d->steps[target], *step = &c->d->steps[c->step];
        if (to->is_compensation)
                return false;
        if (c->place == PLACE_OUTPUT)
                return to->loop_step == STEP_NONE;
        if (target == c->step)
                return c->place == PLACE_EVIDENCE && !direct;
        if (c->place == PLACE_WHILE && to->loop_step == c->step)
                return true;
        if (step->is_compensation)
                return !direct || to->compensate_with == c->step ||
                       is_seen_by_compensated(c->d, c->step, to, at);
        if (direct && c->d->more[target].mark == MARK_BASE + c->step)
                return true;
        if (!direct)
                return draft_sees(c->d, c->step, target, at);
        return c->d->more[c->step].uncertain || c->d->more[c->step].position == STEP_NONE ||
               c->d->more[target].position == STEP_NONE;
}

static void check_steps_root(const PathCheck *c, const ExprPath *path, const JsonAt *at) {
        if (path->n_segments == 0 || path->segments[0].is_index) {
                json_at_error(at, "\"steps\" needs a step id: steps.<id>");
                return;
        }
        Slice id = path->segments[0].key;
        uint32_t target = draft_find_step(c->d, id);
        if (target == STEP_NONE)
                report_unknown_step(c->d, id, at);
        else if (!may_name(c, target, false, at))
                report_unseen(c, target, false, at);
}

static void check_name_root(const PathCheck *c, const ExprPath *path, const JsonAt *at) {
        uint32_t target = draft_find_step(c->d, path->segments[0].key);
        if (target != STEP_NONE && !may_name(c, target, true, at))
                report_unseen(c, target, true, at);
}

static bool is_in_loop(const PathCheck *c) {
        const RunbookStep *step = &c->d->steps[c->step];
        if (c->place == PLACE_OUTPUT)
                return false;
        if (step->is_compensation)
                return !c->d->more[c->step].compensates_outside;
        return c->place == PLACE_WHILE || step->loop_step != STEP_NONE ||
               c->d->more[c->step].position == STEP_NONE;
}

/** Does the innermost loop around the expression iterate over items? Yes also where it can't be told. */
static bool has_items(const PathCheck *c) {
        uint32_t loop = c->place == PLACE_WHILE ? c->step : c->d->steps[c->step].loop_step;
        if (loop == STEP_NONE)
                return true;
        JsonAt step = draft_step_at(c->d, loop), config = json_at_key(&step, "loopConfig");
        return json_at_key(&config, "iterateOver").value || !json_at_key(&config, "continueWhile").value;
}

static void check_loop_root(const PathCheck *c, const ExprPath *path, const JsonAt *at) {
        static const char *const fields[] = {"index", "item"};
        Slice field = path->n_segments > 0 ? path->segments[0].key : SLICE_NULL;
        if (!is_in_loop(c)) {
                json_at_error(at, "\"loop\" is there only for steps that a loop runs");
        } else if (slice_eq_str(field, "item")) {
                if (!has_items(c))
                        json_at_error(at, "\"loop.item\" is there only in loops with iterateOver");
        } else if (!slice_eq_str(field, "index")) {
                const char *nearest = slice_nearest(field, fields, N_ELEMENTS(fields));
                json_at_error(at, "\"loop\" has the fields item and index%s%s%s",
                              nearest ? "; did you mean \"loop." : "", nearest ? nearest : "",
                              nearest ? "\"?" : "");
        }
}

static void check_path(void *userdata, const ExprPath *path, const JsonAt *at) {
        const PathCheck *c = userdata;
        switch (path->root) {
        case EXPR_ROOT_LOOP:
                check_loop_root(c, path, at);
                break;
        case EXPR_ROOT_NAME:
                check_name_root(c, path, at);
                break;
        case EXPR_ROOT_SECRETS:
                json_at_error(at, "secrets are allowed only in values of a call-service step's headers "
                                  "(metadata), as "
                                  "${secrets.NAME}, and by name in its auth");
                break;
        case EXPR_ROOT_STEPS:
                check_steps_root(c, path, at);
                break;
        case EXPR_ROOT_CONTEXT:
        case EXPR_ROOT_EXECUTION:
        case EXPR_ROOT_INPUT:
                break;
        }
}

static void release_template(void *p) { expr_template_release(p); }
static void release_condition(void *p) { expr_condition_release(p); }

const ExprTemplate *draft_template(Draft *d, const JsonAt *at, uint32_t step, DraftPlace place) {
        PathCheck check = {d, step, place};
        ExprSink sink = {check_path, &check};
        const ExprTemplate *template = expr_template_compile(at, d->arena, &sink);
        return template && draft_own(d, release_template, (void *)template) ? template : NULL;
}

const ExprTemplate *draft_template_member(Draft *d, const JsonAt *object, const char *key, uint32_t step,
                                          DraftPlace place) {
        JsonAt at = json_at_key(object, key);
        return at.value ? draft_template(d, &at, step, place) : NULL;
}

const ExprCondition *draft_condition(Draft *d, const JsonAt *at, uint32_t step, DraftPlace place) {
        PathCheck check = {d, step, place};
        ExprSink sink = {check_path, &check};
        const ExprCondition *condition = expr_condition_compile(at, d->arena, &sink);
        return condition && draft_own(d, release_condition, (void *)condition) ? condition : NULL;
}

const ExprPath *draft_path(Draft *d, Slice text, const JsonAt *at, uint32_t step, DraftPlace place) {
        PathCheck check = {d, step, place};
        ExprSink sink = {check_path, &check};
        return expr_path_compile(text, at, d->arena, &sink);
}
