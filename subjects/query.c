/*
 * Queries: `<prefix>.<tenant>.query.<user>.<what>[.<id>]`
 *
 * Read only, answered on the bus's threads out of one short read transaction, never by the writer: they go
 * on while it is busy. The tenant is the subject's; whoever an execution's legal basis does not name is
 * refused.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "model/limits.h"
#include "subjects/call.h"
#include "subjects/query.h"

typedef struct QueryVerb {
        const char *name;
        const char *arg; /* what follows in the subject; NULL: nothing */
        QueryHandler handle;
        QueryHandler prepare; /* takes the body as it is, before the read transaction; NULL: it is JSON */
} QueryVerb;

/* Alphabetical. README.md documents every row; tests/tidy checks that. */
/* clang-format off */
static const QueryVerb verbs[] = {
        {"approvals", NULL, query_approvals, NULL},
        {"audit", "execution id", query_audit, NULL},
        {"evidence", "execution id", query_evidence, NULL},
        {"execution", "execution id", query_execution, NULL},
        {"executions", NULL, query_executions, NULL},
        {"history", "execution id", query_history, NULL},
        {"logs", "execution id", query_logs, NULL},
        {"runbook", "runbook id", query_runbook, NULL},
        {"runbooks", NULL, query_runbooks, NULL},
        {"stats", NULL, query_stats, NULL},
        {"validate", NULL, query_validate, query_validate_prepare},
};
/* clang-format on */

static const QueryVerb *find_verb(const SubjectParts *parts, Report *report) {
        const char *names[N_ELEMENTS(verbs)];
        Slice name = parts->tokens[0];
        const QueryVerb *verb = NULL;
        for (size_t i = 0; i < N_ELEMENTS(verbs); i++) {
                if (slice_eq_str(name, verbs[i].name))
                        verb = &verbs[i];
                names[i] = verbs[i].name;
        }
        if (!verb) {
                const char *near = slice_nearest(name, names, N_ELEMENTS(names));
                report_set(report, RUNBOOK_INVALID_REQUEST, "there is no query \"%.*s\"%s%s%s",
                           SLICE_ARG(slice_cut_utf8(name, LIMIT_ID_BYTES)), near ? "; did you mean \"" : "",
                           near ? near : "", near ? "\"?" : "");
        } else if (parts->n_tokens != (verb->arg ? 2u : 1u)) {
                report_set(report, RUNBOOK_INVALID_REQUEST,
                           "the subject of the query \"%s\" must end with %s%s%s", verb->name,
                           verb->arg ? "one token more: the " : "its name", verb->arg ? verb->arg : "",
                           verb->arg ? "" : ", without further tokens");
                return NULL;
        }
        return verb;
}

Slice query_get_string(Query *q, const char *key) {
        Slice s = SLICE_NULL;
        json_get_string(&q->at, key, &s);
        return s;
}

void query_get_time(Query *q, const char *key, int64_t *ret) {
        Slice s = query_get_string(q, key);
        if (s.n > 0 && !time_parse_ms(s, ret)) {
                JsonAt at = json_at_key(&q->at, key);
                json_at_error(&at, "must be an RFC 3339 time like \"2026-01-02T03:04:05Z\"");
        }
}

int query_bad_cursor(Query *q) {
        JsonAt at = json_at_key(&q->at, "cursor");
        return json_at_error(&at, "is not a nextCursor of this query");
}

uint64_t query_cursor_number(Query *q, char kind) {
        uint64_t n = 0;
        if (q->cursor.n == 0)
                return 0;
        if (q->cursor.data[0] != kind || !slice_to_u64((Slice){q->cursor.data + 1, q->cursor.n - 1}, &n) ||
            n == 0)
                query_bad_cursor(q);
        return n;
}

void query_put_cursor_number(Query *q, char kind, uint64_t number) {
        char text[32];
        snprintf(text, sizeof(text), "%c%" PRIu64, kind, number);
        json_key(&q->w, "nextCursor");
        json_put_str(&q->w, text);
}

void query_put_last_sequence(Query *q, uint64_t number) {
        json_key(&q->w, "lastSequence");
        json_put_i64(&q->w, (int64_t)number);
}

int query_load_execution(Query *q, Execution **ret) {
        Uuid id;
        Execution *x = NULL;
        int r = uuid_parse(q->arg, &id) ? store_execution_load(q->txn, id, q->subjects->host.lookup,
                                                               q->subjects->host.userdata, &x)
                                        : STORE_E_NOT_FOUND;
        if (r < 0)
                return r;
        if (r == STORE_E_NOT_FOUND || !slice_eq(x->tenant, q->tenant)) {
                execution_free(x); /* another tenant's is no more than absent here */
                return report_set(&q->report, RUNBOOK_EXECUTION_NOT_FOUND, "there is no execution \"%.*s\"",
                                  SLICE_ARG(slice_cut_utf8(q->arg, LIMIT_ID_BYTES)));
        }
        if (!execution_user_allowed(x, q->user)) {
                execution_free(x);
                return report_set(&q->report, RUNBOOK_FORBIDDEN,
                                  "the legal basis of execution \"%.*s\" does not name \"%.*s\" among its "
                                  "authorized users",
                                  SLICE_ARG(q->arg), SLICE_ARG(q->user));
        }
        *ret = x;
        return 0;
}

/** Names, body, paging. 0, -EINVAL with the report set, -ENOMEM. */
static int begin(Query *q, Subjects *s, const QueryVerb *verb, const SubjectParts *parts, const Message *m) {
        int r = name_get_identity(parts->tenant, "tenant", &q->arena, &q->tenant, &q->report);
        if (!r)
                r = name_get_identity(parts->user, "user", &q->arena, &q->user, &q->report);
        if (!r && verb->arg)
                r = name_get_token(parts->tokens[1], verb->arg, SUBJECT_BYTES_MAX, &q->arena, &q->arg,
                                   &q->report);
        if (r)
                return r;
        size_t payload = bus_payload_max(s->bus) / 3 * 2;
        q->budget = payload < QUERY_REPLY_BYTES ? payload : QUERY_REPLY_BYTES;
        if (verb->prepare) {
                q->text = m->body;
                return verb->prepare(q);
        }
        q->body = m->body.n == 0 ? json_object() : body_parse(m->body, BODY_SMALL_MAX, &q->report);
        if (!q->body)
                return report_is_error(&q->report) ? -EINVAL : -ENOMEM;
        q->at = json_at_root(q->body, &q->report);
        if (!json_is_object(q->body))
                return json_at_error(&q->at, "must be an object, is %s", json_type_text(q->body));
        int64_t limit = QUERY_LIMIT_DEFAULT;
        json_get_i64(&q->at, "limit", 1, QUERY_LIMIT_MAX, &limit);
        q->limit = (uint32_t)limit;
        q->cursor = query_get_string(q, "cursor");
        if (q->cursor.n > QUERY_CURSOR_MAX)
                query_bad_cursor(q);
        return report_is_error(&q->report) ? -EINVAL : 0;
}

static int run(Query *q, const QueryVerb *verb) {
        int r = store_begin_read(q->subjects->host.store, &q->txn);
        if (r == -EAGAIN)
                return report_set(
                                &q->report, RUNBOOK_OVERLOADED,
                                "%d queries are reading already, as many as can (KV_READERS_MAX); try again "
                                "later",
                                KV_READERS_MAX);
        if (r < 0)
                return r;
        q->w = json_writer(&q->out);
        json_begin_object(&q->w);
        json_key(&q->w, "version");
        json_put_str(&q->w, "v1");
        r = verb->handle(q);
        json_end_object(&q->w);
        store_abort(q->txn);
        if (!r && report_is_error(&q->report))
                r = -EINVAL;
        return r < 0 ? r : q->out.error;
}

static void refuse(Query *q, int r, const char *name, Answer *answer) {
        if (r == -EINVAL && !q->report.oom) {
                report_conclude(&q->report, name);
                answer_refuse(answer, &q->report);
                return;
        }
        if (r != -ENOMEM)
                log_event(LOG_ERROR, "a query could not read the store", "query", name, "error", strerror(-r),
                          NULL);
        answer_refuse_code(answer, RUNBOOK_INTERNAL,
                           r == -ENOMEM ? "out of memory" : "the store could not be read");
}

static void answer_fitting(Query *q, Answer *answer) {
        size_t most = bus_payload_max(q->subjects->bus);
        if (q->out.n > most) {
                report_set(&q->report, RUNBOOK_TOO_LARGE,
                           "the answer has %zu bytes, the NATS server takes %zu in one message: ask for "
                           "less, "
                           "or raise max_payload there",
                           q->out.n, most);
                answer_refuse(answer, &q->report);
        } else {
                answer->give(answer, RUNBOOK_OK, buf_slice(&q->out), true);
        }
}

void query_handle(Subjects *s, const SubjectParts *parts, const Message *m, Answer *answer) {
        Query q = {.subjects = s};
        const QueryVerb *verb = find_verb(parts, &q.report);
        int r = verb ? begin(&q, s, verb, parts, m) : -EINVAL;
        if (!r)
                r = run(&q, verb);
        if (r)
                refuse(&q, r, verb ? verb->name : "query", answer);
        else
                answer_fitting(&q, answer);
        json_decref(q.body);
        runbook_unref(q.runbook);
        report_deinit(&q.report);
        buf_deinit(&q.out);
        arena_deinit(&q.arena);
}
