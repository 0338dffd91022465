/* Approvals, counted again from the raw votes: who may vote, once each, and what the count allows. */
#include "books.h"

void votes_begin(StepModel *m) {
        m->n_votes = 0;
        m->escalated = m->expired = false;
}

static bool listed(const Slice *users, size_t n, const char *user) {
        for (size_t i = 0; i < n; i++)
                if (slice_eq_str(users[i], user))
                        return true;
        return false;
}

static const RawVote *vote_of(const StepModel *m, const char *user) {
        for (uint32_t i = 0; i < m->n_votes; i++)
                if (strcmp(m->votes[i].user, user) == 0)
                        return &m->votes[i];
        return NULL;
}

static uint32_t approvals(const StepModel *m) {
        uint32_t n = 0;
        for (uint32_t i = 0; i < m->n_votes; i++)
                n += m->votes[i].approved;
        return n;
}

/** May @user ever vote here, by the legal basis and the initiator's own vote? */
static bool eligible(const Case *c, const ApprovalConfig *a, const char *user) {
        const json_t *basis = json_object_get(value_json(c->context), "legalBasis"), *entry;
        const json_t *authorized = json_object_get(basis, "authorizedUsers");
        bool named = json_array_size(authorized) == 0;
        size_t i;
        json_array_foreach((json_t *)authorized, i, entry) named |=
                        strcmp(json_string_value(entry), user) == 0;
        if (!named)
                return false;
        return a->allow_self_approval || strcmp(user, c->initiator) != 0;
}

void votes_add(Sim *s, Case *c, StepModel *m, const EventView *e) {
        const ApprovalConfig *a = m->step->approval;
        const char *decision = event_text(e, "decision");

        if (vote_of(m, e->by))
                sim_fail(s, "a person votes twice", "%s on %s", e->by, m->path);
        if (!listed(a->approvers, a->n_approvers, e->by) &&
            !(m->escalated && listed(a->escalate_to, a->n_escalate_to, e->by)))
                sim_fail(s, "a stranger votes", "%s on %s", e->by, m->path);
        if (!eligible(c, a, e->by))
                sim_fail(s, "somebody approves what is his own", "%s on %s", e->by, m->path);
        if (!people_voted(s, c->id, slice_from_str(m->path), slice_from_str(e->by), slice_from_str(decision),
                          slice_from_str(e->command_id)))
                sim_fail(s, "a vote that nobody gave", "%s %s on %s", e->by, decision, m->path);
        if (m->n_votes == RAW_VOTES_MAX)
                return;
        RawVote *v = &m->votes[m->n_votes++];
        snprintf(v->user, sizeof(v->user), "%s", e->by);
        v->approved = strcmp(decision, "approved") == 0;
}

const char *votes_may_complete(const Case *c, const StepModel *m) {
        const ApprovalConfig *a = m->step->approval;
        if (m->expired)
                return a->timeout_action == TIMEOUT_APPROVE ? NULL : "a timeout approves what it must not";
        return approvals(m) >= a->min_approvals ? NULL : "approved with too few votes";
}

/** People who approved or still could. */
static uint32_t possible(const Case *c, const StepModel *m) {
        const ApprovalConfig *a = m->step->approval;
        uint32_t n = 0;
        for (size_t i = 0; i < a->n_approvers + a->n_escalate_to; i++) {
                bool first = i < a->n_approvers;
                Slice user = first ? a->approvers[i] : a->escalate_to[i - a->n_approvers];
                char name[16];
                snprintf(name, sizeof(name), "%.*s", SLICE_ARG(user));
                const RawVote *v = vote_of(m, name);
                if (!first && listed(a->approvers, a->n_approvers, name))
                        continue;
                n += eligible(c, a, name) && (!v || v->approved);
        }
        return n;
}

const char *votes_may_fail(const Case *c, const StepModel *m, const char *code) {
        const ApprovalConfig *a = m->step->approval;
        if (strcmp(code, "APPROVAL_TIMEOUT") == 0)
                return m->expired && a->timeout_action == TIMEOUT_FAIL
                                       ? NULL
                                       : "an approval times out without a reason";
        if (strcmp(code, "APPROVAL_REJECTED") == 0 && m->expired)
                return a->timeout_action == TIMEOUT_REJECT ? NULL : "a timeout rejects what it must not";
        if (strcmp(code, "APPROVAL_REJECTED") == 0)
                return possible(c, m) < a->min_approvals ? NULL
                                                         : "rejected although enough could still approve";
        return NULL;
}

const char *votes_must_end(const Case *c, const StepModel *m) {
        if (m->status != RUNBOOK_STEP_AWAITING_APPROVAL || c->dry_run)
                return NULL;
        if (approvals(m) >= m->step->approval->min_approvals)
                return "enough have approved and nothing happens";
        return possible(c, m) < m->step->approval->min_approvals
                               ? "nobody can approve any more and nothing happens"
                               : NULL;
}
