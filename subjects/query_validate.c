/*
 * The query `validate`: would `register` take this definition, and if not, why not
 *
 * The same checker with the same settings, so an editor can show while somebody types what registering would
 * say. Nothing is stored. The text is read before the store's transaction begins: that one must stay short.
 */
#include <errno.h>

#include "base/cleanup.h"
#include "model/limits.h"
#include "subjects/query.h"

#define ANSWER_RESERVE 4096 /* the members beside the definition */

int query_validate_prepare(Query *q) {
        if (q->text.n == 0)
                return report_set(&q->report, RUNBOOK_INVALID_REQUEST,
                                  "the body is empty: it must be a runbook definition, JSON or YAML");
        if (q->text.n > BODY_BYTES_MAX)
                return report_set(&q->report, RUNBOOK_TOO_LARGE,
                                  "the definition has %zu bytes; up to %zu (BODY_BYTES_MAX) are checked "
                                  "before registering",
                                  q->text.n, (size_t)BODY_BYTES_MAX);
        int r = runbook_def_parse(q->text, q->subjects->host.definitions, &q->report, &q->runbook);
        if (q->report.code == RUNBOOK_INVALID_REQUEST)
                q->report.code = RUNBOOK_INVALID_RUNBOOK; /* as `register` says it */
        return r;
}

static void put_text(JsonWriter *w, const char *key, Slice s) {
        json_key(w, key);
        json_put_string(w, s);
}

int query_validate(Query *q) {
        const Runbook *rb = q->runbook;
        JsonWriter *w = &q->w;
        StoreRunbook found;
        int r = store_runbook_get(q->txn, q->tenant, rb->id, rb->version, &found);
        if (r < 0)
                return r;
        bool exists = r != STORE_E_NOT_FOUND;
        if (exists && !digest_eq(&found.digest, &rb->digest)) {
                report_set(&q->report, RUNBOOK_VERSION_CONFLICT,
                           "version \"%.*s\" of runbook \"%.*s\" is registered with other content: give the "
                           "new content a new version",
                           SLICE_ARG(rb->version), SLICE_ARG(rb->id));
                return report_detail(&q->report, "/version", "is registered with other content");
        }
        json_key(w, "runbook");
        json_begin_object(w);
        put_text(w, "id", rb->id);
        put_text(w, "name", rb->name);
        put_text(w, "version", rb->version);
        put_text(w, "description", slice_cut_utf8(rb->description, LIMIT_TEXT_ARG_BYTES));
        json_key(w, "stepCount");
        json_put_i64(w, rb->n_steps);
        json_end_object(w);
        json_key(w, "status");
        json_put_str(w, exists ? "unchanged" : "new");
        Slice definition = value_bytes(rb->definition);
        if (definition.data && query_has_room(q, definition.n + ANSWER_RESERVE)) {
                json_key(w, "definition");
                json_put_raw(w, definition);
        }
        return 0;
}
