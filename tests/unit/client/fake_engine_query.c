/* A small engine for testing clients: queries. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "fake_engine_internal.h"

static json_t *summary(FakeEngine *f, json_t *x, bool whole) {
        json_t *runbook = json_object_get(f->runbooks, fake_text(x, "runbookId"));
        json_t *s = json_pack("{ss ss ss ss sO sO}", "id", fake_text(x, "id"), "runbookId",
                              fake_text(x, "runbookId"), "runbookVersion", fake_text(runbook, "version"),
                              "status", fake_text(x, "status"), "startTime", json_object_get(x, "startTime"),
                              "context", json_object_get(x, "context"));
        size_t total = json_array_size(json_object_get(runbook, "steps"));

        json_object_set_new(s, "progress",
                            json_pack("{sIsI}", "total", (json_int_t)total, "completed",
                                      json_integer_value(json_object_get(x, "at"))));
        if (whole)
                json_object_set(s, "stepResults", json_object_get(x, "stepResults"));
        return s;
}

/** One page of @list: `limit` entries from the number in `cursor`; matching `stepId` and `level`. */
static void page(Call *c, const char *key, json_t *list) {
        json_int_t limit = json_integer_value(json_object_get(c->body, "limit"));
        size_t from = (size_t)atoi(fake_text(c->body, "cursor")), n = 0, i = from;
        const char *level = fake_text(c->body, "level");
        json_t *out = json_array();
        char cursor[32];

        if (limit == 0)
                limit = 100;
        for (; i < json_array_size(list) && n < (size_t)limit; i++) {
                json_t *entry = json_array_get(list, i);

                if (*level && strcmp(fake_text(entry, "level"), level) != 0)
                        continue;
                json_array_append(out, entry);
                n++;
        }
        c->reply = json_pack("{ssss so}", "version", "v1", "executionId", c->n_tokens > 6 ? c->tokens[6] : "",
                             key, out);
        snprintf(cursor, sizeof cursor, "%zu", i);
        if (i < json_array_size(list))
                json_object_set_new(c->reply, "nextCursor", json_string(cursor));
}

static void query_executions(Call *c) {
        json_t *list = json_array();
        size_t i;
        json_t *x;

        json_array_foreach(c->f->executions, i, x) {
                if (!strcmp(fake_text(x, "tenant"), c->tenant) &&
                    (!*fake_text(c->body, "status") ||
                     !strcmp(fake_text(c->body, "status"), fake_text(x, "status"))))
                        json_array_insert_new(list, 0, summary(c->f, x, false));
        }
        c->reply = json_pack("{sssiso}", "version", "v1", "count", (int)json_array_size(list), "executions",
                             list);
}

static void query_approvals(Call *c) {
        json_t *list = json_array();
        size_t i;
        json_t *x;

        json_array_foreach(c->f->executions, i, x) {
                json_t *step = fake_current_step(c->f, x),
                       *approval = json_object_get(step, "approvalConfig");

                if (!strcmp(fake_text(x, "waiting"), "human-approval"))
                        json_array_append_new(list,
                                              json_pack("{ss ss ss sO sO so s[] ss}", "executionId",
                                                        fake_text(x, "id"), "stepId", fake_text(step, "id"),
                                                        "runbookId", fake_text(x, "runbookId"), "prompt",
                                                        json_object_get(approval, "prompt"), "minApprovals",
                                                        json_object_get(approval, "minApprovals"),
                                                        "requestedAt", fake_time(), "approvals",
                                                        "initiatedBy", "root"));
        }
        c->reply = json_pack("{ssso}", "version", "v1", "approvals", list);
}

static void query_runbooks(Call *c) {
        json_t *list = json_array(), *runbook;
        const char *id;

        json_object_foreach(c->f->runbooks, id, runbook) json_array_append_new(
                        list, json_pack("{ss ss ss si}", "id", id, "name", fake_text(runbook, "name"),
                                        "version", fake_text(runbook, "version"), "stepCount",
                                        (int)json_array_size(json_object_get(runbook, "steps"))));
        c->reply = json_pack("{sssiso}", "version", "v1", "count", (int)json_array_size(list), "runbooks",
                             list);
}

void fake_query(Call *c) {
        const char *what = c->tokens[5];
        json_t *x;

        if (!strcmp(what, "runbooks")) {
                query_runbooks(c);
        } else if (!strcmp(what, "executions")) {
                query_executions(c);
        } else if (!strcmp(what, "approvals")) {
                query_approvals(c);
        } else if (!strcmp(what, "stats")) {
                c->reply = json_pack("{sss{sisi}}", "version", "v1", "executions", "running", 1, "completed",
                                     2);
        } else if (c->n_tokens > 6 && !strcmp(what, "runbook")) {
                json_t *runbook = json_object_get(c->f->runbooks, c->tokens[6]);

                if (runbook)
                        c->reply = json_pack("{sssO}", "version", "v1", "runbook", runbook);
                else
                        fake_refuse(c, "RUNBOOK_NOT_FOUND", 404, "there is no runbook of this id");
        } else if (c->n_tokens > 6 && (x = fake_find(c, c->tokens[6]))) {
                if (!strcmp(what, "execution"))
                        c->reply = json_pack("{ssso}", "version", "v1", "execution", summary(c->f, x, true));
                else if (!strcmp(what, "history"))
                        page(c, "events", json_object_get(x, "history"));
                else if (!strcmp(what, "logs"))
                        page(c, "logs", json_object_get(x, "logs"));
                else if (!strcmp(what, "evidence"))
                        c->reply = json_pack("{sss[{ss ss ss sf ss}]}", "version", "v1", "evidence", "id",
                                             "e1", "type", "http", "sourceRef", "http://localhost/",
                                             "confidence", 1.0, "stepId", "call");
        }
}
