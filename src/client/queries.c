/* The queries of the protocol: the same body of filters and paging for all of them. */

#include "base/cleanup.h"
#include "client/client.h"
#include "client/subject.h"
#include "json/json_write.h"

#define QUERY_LIMIT_MAX 1000

/** The text filters of RunbookQuery and their names on the wire. */
static const struct {
        const char *key;
        size_t offset;
} filters[] = {
                {"cursor", offsetof(RunbookQuery, cursor)},
                {"endTime", offsetof(RunbookQuery, end_time)},
                {"initiatedBy", offsetof(RunbookQuery, initiated_by)},
                {"level", offsetof(RunbookQuery, level)},
                {"runbookId", offsetof(RunbookQuery, runbook_id)},
                {"since", offsetof(RunbookQuery, since)},
                {"startTime", offsetof(RunbookQuery, start_time)},
                {"status", offsetof(RunbookQuery, status)},
                {"stepId", offsetof(RunbookQuery, step_id)},
                {"until", offsetof(RunbookQuery, until)},
                {"version", offsetof(RunbookQuery, version)},
};

static int put_query(const RunbookQuery *query, Buf *body, RunbookClientError *e) {
        JsonWriter w = json_writer(body);

        json_begin_object(&w);
        for (size_t i = 0; query && i < N_ELEMENTS(filters); i++) {
                const char *value = *(const char *const *)((const char *)query + filters[i].offset);

                if (!value)
                        continue;
                if (!slice_is_utf8(slice_from_str(value)))
                        return client_error_set(e, RUNBOOK_CLIENT_E_INVALID, "%s is not UTF-8",
                                                filters[i].key);
                json_key(&w, filters[i].key);
                json_put_str(&w, value);
        }
        if (query && query->limit != 0) {
                if (query->limit < 0 || query->limit > QUERY_LIMIT_MAX)
                        return client_error_set(e, RUNBOOK_CLIENT_E_INVALID, "the limit must be 1 to %d",
                                                QUERY_LIMIT_MAX);
                json_key(&w, "limit");
                json_put_i64(&w, query->limit);
        }
        json_end_object(&w);
        return body->error ? client_error_memory(e) : 0;
}

/** Ask `query.<what>[.<id>]`. */
static int ask(RunbookClient *c, const char *what, bool has_id, const char *id, const RunbookQuery *query,
               const RunbookCall *call, RunbookReply **ret, RunbookClientError *e) {
        _cleanup_(buf_deinit) Buf body = {0}, subject = {0};
        int r;

        if (has_id && (!id || !*id))
                return client_error_set(e, RUNBOOK_CLIENT_E_INVALID, "the id is missing");
        r = put_query(query, &body, e);
        if (r < 0)
                return r;
        buf_put_str(&subject, "query.");
        buf_put_str(&subject, what);
        if (has_id) {
                buf_put_char(&subject, '.');
                subject_put_token(&subject, slice_from_str(id));
        }
        buf_put_char(&subject, 0);
        if (subject.error)
                return client_error_memory(e);
        return runbook_client_request(c, subject.data, body.data, body.n, call, ret, e);
}

int runbook_client_runbooks(RunbookClient *c, const RunbookQuery *query, const RunbookCall *call,
                            RunbookReply **ret, RunbookClientError *e) {
        return ask(c, "runbooks", false, NULL, query, call, ret, e);
}

int runbook_client_runbook(RunbookClient *c, const char *runbook_id, const RunbookQuery *query,
                           const RunbookCall *call, RunbookReply **ret, RunbookClientError *e) {
        return ask(c, "runbook", true, runbook_id, query, call, ret, e);
}

int runbook_client_executions(RunbookClient *c, const RunbookQuery *query, const RunbookCall *call,
                              RunbookReply **ret, RunbookClientError *e) {
        return ask(c, "executions", false, NULL, query, call, ret, e);
}

int runbook_client_execution(RunbookClient *c, const char *execution_id, const RunbookQuery *query,
                             const RunbookCall *call, RunbookReply **ret, RunbookClientError *e) {
        return ask(c, "execution", true, execution_id, query, call, ret, e);
}

int runbook_client_history(RunbookClient *c, const char *execution_id, const RunbookQuery *query,
                           const RunbookCall *call, RunbookReply **ret, RunbookClientError *e) {
        return ask(c, "history", true, execution_id, query, call, ret, e);
}

int runbook_client_logs(RunbookClient *c, const char *execution_id, const RunbookQuery *query,
                        const RunbookCall *call, RunbookReply **ret, RunbookClientError *e) {
        return ask(c, "logs", true, execution_id, query, call, ret, e);
}

int runbook_client_evidence(RunbookClient *c, const char *execution_id, const RunbookQuery *query,
                            const RunbookCall *call, RunbookReply **ret, RunbookClientError *e) {
        return ask(c, "evidence", true, execution_id, query, call, ret, e);
}

int runbook_client_audit(RunbookClient *c, const char *execution_id, const RunbookQuery *query,
                         const RunbookCall *call, RunbookReply **ret, RunbookClientError *e) {
        return ask(c, "audit", true, execution_id, query, call, ret, e);
}

int runbook_client_approvals(RunbookClient *c, const RunbookQuery *query, const RunbookCall *call,
                             RunbookReply **ret, RunbookClientError *e) {
        return ask(c, "approvals", false, NULL, query, call, ret, e);
}

int runbook_client_stats(RunbookClient *c, const RunbookCall *call, RunbookReply **ret,
                         RunbookClientError *e) {
        return ask(c, "stats", false, NULL, NULL, call, ret, e);
}
