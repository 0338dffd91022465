/*
 * human-approval. The principal is who the subject says; a vote binds execution, step, attempt and the hash
 * of what was shown. The step ends as soon as enough have approved, or enough can't be had any more.
 */

#include "engine/internal.h"

static bool listed(const Slice *users, size_t n, Slice user) {
        for (size_t i = 0; i < n; i++)
                if (slice_eq(users[i], user))
                        return true;
        return false;
}

/* May @user ever vote here, but for being listed? */
static bool eligible(const Execution *x, const ApprovalConfig *config, Slice user) {
        return execution_user_allowed(x, user) &&
               (config->allow_self_approval || !slice_eq(user, x->initiated_by));
}

static const Vote *vote_of(const StepExtra *extra, Slice user) {
        for (uint32_t i = 0; i < extra->n_votes; i++)
                if (slice_eq_str(user, extra->votes[i].user))
                        return &extra->votes[i];
        return NULL;
}

static uint32_t count_votes(const StepExtra *extra, VoteDecision decision) {
        uint32_t n = 0;
        for (uint32_t i = 0; i < extra->n_votes; i++)
                n += extra->votes[i].decision == decision;
        return n;
}

/* How many people could still be found to approve, those who did included; who may come by escalation counts too. */
static uint32_t count_possible(const Execution *x, const ApprovalConfig *config, const StepExtra *extra) {
        uint32_t n = 0;
        for (size_t i = 0; i < config->n_approvers + config->n_escalate_to; i++) {
                bool first_list = i < config->n_approvers;
                Slice user = first_list ? config->approvers[i] : config->escalate_to[i - config->n_approvers];
                const Vote *vote = vote_of(extra, user);
                if (!first_list && listed(config->approvers, config->n_approvers, user))
                        continue;
                if (eligible(x, config, user) && (!vote || vote->decision == VOTE_APPROVED))
                        n++;
        }
        return n;
}

static void put_votes(JsonWriter *w, const StepExtra *extra) {
        json_begin_array(w);
        for (uint32_t i = 0; i < extra->n_votes; i++) {
                const Vote *v = &extra->votes[i];
                json_begin_object(w);
                json_key(w, "at");
                json_put_time_ms(w, v->at_ms);
                if (v->comments) {
                        json_key(w, "comments");
                        json_put_str(w, v->comments);
                }
                json_key(w, "decision");
                json_put_str(w, v->decision == VOTE_APPROVED ? "approved" : "rejected");
                json_key(w, "user");
                json_put_str(w, v->user);
                json_end_object(w);
        }
        json_end_array(w);
}

static Value *approval_output(const StepExtra *extra, bool timed_out) {
        _cleanup_(buf_deinit) Buf b = {0};
        JsonWriter w = json_writer(&b);
        json_begin_object(&w);
        json_key(&w, "approvals");
        put_votes(&w, extra);
        json_key(&w, "approved");
        json_put_bool(&w, true);
        if (timed_out) {
                json_key(&w, "timedOut");
                json_put_bool(&w, true);
        }
        json_end_object(&w);
        return b.error ? NULL : value_new_bytes(buf_slice(&b));
}

/* What the approver is shown, hashed: nobody can approve one thing and have another run. */
static int hash_shown(Move *m, uint32_t instance, Value *prompt, Value *input, Digest *ret) {
        _cleanup_(buf_deinit) Buf b = {0};
        JsonWriter w = json_writer(&b);
        char digest[DIGEST_TEXT_SIZE + 1];
        digest_format(&m->x->runbook->digest, digest);
        json_begin_object(&w);
        json_key(&w, "attempt");
        json_put_i64(&w, move_state(m, instance)->attempt);
        json_key(&w, "executionId");
        json_put_string(&w, (Slice){m->id_text, UUID_TEXT_SIZE});
        json_key(&w, "input");
        json_put_raw(&w, move_bytes(m, input));
        json_key(&w, "prompt");
        json_put_raw(&w, prompt ? move_bytes(m, prompt) : SLICE("null"));
        json_key(&w, "runbookDigest");
        json_put_str(&w, digest);
        json_key(&w, "stepPath");
        json_put_string(&w, move_path(m, instance));
        json_end_object(&w);
        return b.error ? b.error : digest_slice(buf_slice(&b), ret);
}

static void announce_to(Move *m, uint32_t instance, EffectKind kind, const Slice *users, size_t n) {
        Effect *e = update_effect(m->out, kind, instance);
        e->users = users;
        e->n_users = n;
}

void approval_end(Move *m, uint32_t instance) {
        const ApprovalConfig *config = move_step(m, instance)->approval;
        announce_to(m, instance, EFFECT_APPROVAL_REMOVE, config->approvers, config->n_approvers);
        if (move_state(m, instance)->extra->escalated)
                announce_to(m, instance, EFFECT_APPROVAL_REMOVE, config->escalate_to, config->n_escalate_to);
}

static void fail_unreachable(Move *m, uint32_t instance, uint32_t possible) {
        const ApprovalConfig *config = move_step(m, instance)->approval;
        uint32_t rejected = count_votes(move_state(m, instance)->extra, VOTE_REJECTED);
        approval_end(m, instance);
        step_fail(m, instance,
                  rejected > 0 ? move_error(m, "APPROVAL_REJECTED", false,
                                            "rejected by %u: at most %u of the %u approvals needed can still "
                                            "be had",
                                            rejected, possible, config->min_approvals)
                               : move_error(m, "APPROVAL_IMPOSSIBLE", false,
                                            "%u approvals are needed, but only %u of the approvers may vote "
                                            "here (authorizedUsers, or the initiator's own vote)",
                                            config->min_approvals, possible));
}

static void forget_votes(StepExtra *extra) {
        for (uint32_t i = 0; i < extra->n_votes; i++) {
                free(extra->votes[i].user);
                free(extra->votes[i].comments);
        }
        extra->n_votes = 0;
        extra->escalated = false;
}

void approval_start(Move *m, uint32_t instance) {
        const RunbookStep *step = move_step(m, instance);
        const ApprovalConfig *config = step->approval;
        StepExtra *extra = execution_extra(m->x, instance);
        Value *error = NULL;
        if (!extra)
                return;
        forget_votes(extra); /* of an attempt before a retry: they were given to something else */
        value_unref(extra->prompt);
        move_state(m, instance)->stored_values &= (uint8_t)~4u;
        extra->prompt = config->prompt ? template_value(m, instance, config->prompt, &error) : NULL;
        _cleanup_(value_unref_p) Value *input = error ? NULL : step_input(m, instance, &error);
        if (error) {
                step_fail(m, instance, error);
                return;
        }
        if (!input || hash_shown(m, instance, extra->prompt, input, &extra->shown) < 0) {
                move_oom(m);
                return;
        }
        int64_t timeout = config->timeout_ms > 0 ? config->timeout_ms : step->timeout_ms;
        if (timeout > 0)
                timer_set(m, instance, TIMER_STEP, m->in->now_ms + timeout);
        if (config->n_escalate_to > 0 && config->escalate_after_ms > 0)
                timer_set(m, instance, TIMER_ESCALATE, m->in->now_ms + config->escalate_after_ms);
        announce_to(m, instance, EFFECT_APPROVAL_ADD, config->approvers, config->n_approvers);
        char shown[DIGEST_TEXT_SIZE + 1];
        digest_format(&extra->shown, shown);
        record_step(m, "step.awaiting_approval", instance,
                    &(EventData){.approvers = config->approvers,
                                 .n_approvers = config->n_approvers,
                                 .min_approvals = config->min_approvals,
                                 .deadline_ms = move_state(m, instance)->timer_ms[TIMER_STEP],
                                 .prompt = extra->prompt,
                                 .shown_sha256 = slice_from_str(shown)});
        uint32_t possible = count_possible(m->x, config, extra);
        if (possible < config->min_approvals)
                fail_unreachable(m, instance, possible);
}

/* ---- votes ------------------------------------------------------------------------------------------------- */

static bool add_vote(Move *m, StepExtra *extra) {
        const Input *in = m->in;
        Vote *bigger = realloc(extra->votes, (extra->n_votes + 1) * sizeof(*bigger));
        if (!bigger)
                return false;
        extra->votes = bigger;
        Vote *v = &bigger[extra->n_votes];
        *v = (Vote){.user = slice_dup(in->user),
                    .comments = in->text.n > 0 ? slice_dup(in->text) : NULL,
                    .decision = (VoteDecision)in->decision,
                    .at_ms = in->now_ms};
        extra->n_votes++;
        return v->user && (v->comments || in->text.n == 0);
}

static void reply_vote(Move *m, uint32_t instance) {
        const StepState *s = move_state(m, instance);
        JsonWriter w = json_writer(&m->out->reply);
        json_begin_object(&w);
        json_key(&w, "approvals");
        json_put_i64(&w, count_votes(s->extra, VOTE_APPROVED));
        json_key(&w, "decision");
        json_put_str(&w, m->in->decision == VOTE_APPROVED ? "approved" : "rejected");
        json_key(&w, "executionId");
        json_put_string(&w, (Slice){m->id_text, UUID_TEXT_SIZE});
        json_key(&w, "required");
        json_put_i64(&w, move_step(m, instance)->approval->min_approvals);
        json_key(&w, "status");
        json_put_str(&w, runbook_step_status_name((RunbookStepStatus)s->status));
        json_key(&w, "stepId");
        json_put_string(&w, move_step(m, instance)->id);
        json_key(&w, "stepPath");
        json_put_string(&w, move_path(m, instance));
        json_key(&w, "version");
        json_put_str(&w, "v1");
        json_end_object(&w);
}

/* Everything that forbids this vote; true when it was refused. */
static bool vote_is_refused(Move *m, uint32_t instance) {
        const Input *in = m->in;
        const RunbookStep *step = move_step(m, instance);
        const StepState *s = move_state(m, instance);
        const ApprovalConfig *config = step->approval;
        Digest seen;

        if (step->type != STEP_TYPE_HUMAN_APPROVAL)
                return refuse(m, RUNBOOK_INVALID_REQUEST,
                              "step \"%.*s\" is of type %.*s; only a human-approval can be approved",
                              SLICE_ARG(step->id), SLICE_ARG(step->type_name)),
                       true;
        bool in_list = listed(config->approvers, config->n_approvers, in->user) ||
                       (s->extra && s->extra->escalated &&
                        listed(config->escalate_to, config->n_escalate_to, in->user));
        if (!in_list)
                return refuse(m, RUNBOOK_NOT_AN_APPROVER, "\"%.*s\" is not an approver of step \"%.*s\"",
                              SLICE_ARG(in->user), SLICE_ARG(step->id)),
                       true;
        if (!config->allow_self_approval && slice_eq(in->user, m->x->initiated_by))
                return refuse(m, RUNBOOK_SELF_APPROVAL,
                              "\"%.*s\" started this execution and can't approve it; somebody else must (or "
                              "the runbook says allowSelfApproval)",
                              SLICE_ARG(in->user)),
                       true;
        if (s->extra && vote_of(s->extra, in->user))
                return refuse(m, RUNBOOK_DUPLICATE_VOTE,
                              "\"%.*s\" has voted on step \"%.*s\" already: one vote a person",
                              SLICE_ARG(in->user), SLICE_ARG(step->id)),
                       true;
        if (runbook_step_status_is_final((RunbookStepStatus)s->status))
                return refuse(m, RUNBOOK_ALREADY_DECIDED,
                              "step \"%.*s\" is %s: there is nothing left to decide", SLICE_ARG(step->id),
                              runbook_step_status_name((RunbookStepStatus)s->status)),
                       true;
        if (s->status != RUNBOOK_STEP_AWAITING_APPROVAL)
                return refuse(m, RUNBOOK_WRONG_STATE, "step \"%.*s\" is %s and not awaiting approval (yet)",
                              SLICE_ARG(step->id), runbook_step_status_name((RunbookStepStatus)s->status)),
                       true;
        if (in->hash.n > 0 && (!digest_parse(in->hash, &seen) || !digest_eq(&seen, &s->extra->shown)))
                return refuse(m, RUNBOOK_WRONG_STATE,
                              "the hash in the vote is not that of what step \"%.*s\" shows for approval "
                              "now; look at it again",
                              SLICE_ARG(step->id)),
                       true;
        return false;
}

void approval_vote(Move *m) {
        const Input *in = m->in;
        if (!may_control(m))
                return;
        uint32_t instance = execution_find_path(m->x, in->path);
        if (instance == INSTANCE_NONE) {
                const char *near = runbook_nearest_step(m->x->runbook, in->path);
                refuse(m, RUNBOOK_STEP_NOT_FOUND, "this execution has no step \"%.*s\"%s%s%s",
                       SLICE_ARG(in->path), near ? "; did you mean \"" : "", near ? near : "",
                       near ? "\"?" : "");
                return;
        }
        if (vote_is_refused(m, instance))
                return;

        StepExtra *extra = move_state(m, instance)->extra;
        const ApprovalConfig *config = move_step(m, instance)->approval;
        if (!add_vote(m, extra)) {
                move_oom(m);
                return;
        }
        execution_touch(m->x, instance);
        char shown[DIGEST_TEXT_SIZE + 1];
        digest_format(&extra->shown, shown);
        const char *decision = in->decision == VOTE_APPROVED ? "approved" : "rejected";
        record_step(m, "approval.recorded", instance,
                    &(EventData){.by = in->user,
                                 .command_id = in->command_id,
                                 .comments = in->text,
                                 .decision = slice_from_str(decision),
                                 .shown_sha256 = slice_from_str(shown)});
        record_log(m, "info", instance, "%.*s %s", SLICE_ARG(in->user), decision);
        uint32_t possible = count_possible(m->x, config, extra);
        if (count_votes(extra, VOTE_APPROVED) >= config->min_approvals) {
                approval_end(m, instance);
                step_complete(m, instance, approval_output(extra, false));
        } else if (possible < config->min_approvals) {
                fail_unreachable(m, instance, possible);
        }
        reply_vote(m, instance);
}

/* ---- time ---------------------------------------------------------------------------------------------------- */

static void escalate(Move *m, uint32_t instance) {
        const ApprovalConfig *config = move_step(m, instance)->approval;
        StepExtra *extra = move_state(m, instance)->extra;
        extra->escalated = true;
        execution_touch(m->x, instance);
        announce_to(m, instance, EFFECT_APPROVAL_ADD, config->escalate_to, config->n_escalate_to);
        record_step(m, "approval.escalated", instance,
                    &(EventData){.approvers = config->escalate_to, .n_approvers = config->n_escalate_to});
        record_log(m, "warn", instance, "no decision after %lld ms: escalated to %zu more",
                   (long long)config->escalate_after_ms, config->n_escalate_to);
}

void approval_due(Move *m, uint32_t instance, TimerSlot slot) {
        const ApprovalConfig *config = move_step(m, instance)->approval;
        StepState *s = move_state(m, instance);
        s->timer_ms[slot] = 0; /* the runtime deleted the timer that fired */
        execution_touch(m->x, instance);
        m->out->applied = true;
        if (slot == TIMER_ESCALATE) {
                escalate(m, instance);
                return;
        }
        s->timed_out = true;
        approval_end(m, instance);
        record_step(m, "approval.expired", instance, &(EventData){.min_approvals = config->min_approvals});
        if (config->timeout_action == TIMEOUT_APPROVE) {
                step_complete(m, instance, approval_output(s->extra, true));
                return;
        }
        bool reject = config->timeout_action == TIMEOUT_REJECT;
        step_fail(m, instance,
                  move_error(m, reject ? "APPROVAL_REJECTED" : "APPROVAL_TIMEOUT", false,
                             "%u of %u approvals when the time was over%s",
                             count_votes(s->extra, VOTE_APPROVED), config->min_approvals,
                             reject ? ", which counts as rejected" : ""));
}
