/* One line per event: for pipes and files, for the tail of a tenant, for logs. */

#include <stdlib.h>
#include "base/cleanup.h"
#include "cli/session.h"
#include "cli/view.h"

/** Members of an event's data that are worth telling, in this order. */
static const struct {
        const char *key, *label;
        bool is_name;
} facts[] = {
                {"by", "by ", false},          {"decision", "", false},
                {"eventType", "", false},      {"correlationId", "for ", false},
                {"comments", "", false},       {"reason", "", false},
                {"skipReason", "", true},      {"message", "", false},
                {"code", "", false},           {"evidenceType", "", false},
                {"sourceRef", "", false},      {"runbookId", "", false},
                {"runbookVersion", "", false}, {"childExecutionId", "as ", false},
};

static void put_time_of(const json_t *object, const char *key, const ViewSettings *v, Buf *out) {
        text_color(out, v->term, COLOR_DIM);
        text_put_time(out, json_time(object, key), v->now_ms);
        text_plain(out, v->term);
        buf_put_char(out, ' ');
}

/** A name out of the protocol for people: "awaiting_approval" → "awaiting approval". */
static void put_name(const ViewSettings *v, const char *name, Buf *out) {
        size_t start = out->n;

        text_put_str(out, v->term, name, TEXT_ANY_WIDTH);
        for (size_t i = start; i < out->n; i++)
                if (out->data[i] == '_')
                        out->data[i] = ' ';
}

/** Who may approve, and how many must. */
static void put_approvers(const json_t *data, const ViewSettings *v, Buf *out) {
        const json_t *approvers = json_object_get(data, "approvers"), *name;
        size_t i;

        json_array_foreach(approvers, i, name) {
                buf_put_str(out, i ? ", " : ": by ");
                text_put_str(out, v->term, json_string_value(name), TEXT_ANY_WIDTH);
        }
        if (json_number(data, "minApprovals") > 1)
                buf_printf(out, " (%lld of them)", (long long)json_number(data, "minApprovals"));
}

static void put_facts(const json_t *data, const ViewSettings *v, Buf *out) {
        const json_t *error = json_object_get(data, "error");
        const char *separator = ": ";

        if (json_array_size(json_object_get(data, "approvers")) > 0) {
                put_approvers(data, v, out);
                separator = ", ";
        }
        if (json_number(data, "attempt") > 1) {
                buf_printf(out, "%sattempt %lld", separator, (long long)json_number(data, "attempt"));
                separator = ", ";
        }
        if (json_object_get(data, "durationMs")) {
                buf_put_str(out, separator);
                text_put_duration(out, json_number(data, "durationMs"));
                separator = ", ";
        }
        for (size_t i = 0; i < N_ELEMENTS(facts); i++) {
                const char *value = json_text(data, facts[i].key);

                if (!*value)
                        continue;
                buf_printf(out, "%s%s", separator, facts[i].label);
                if (facts[i].is_name)
                        put_name(v, value, out);
                else
                        text_put_str(out, v->term, value, TEXT_ANY_WIDTH);
                separator = ", ";
        }
        if (*json_text(error, "message") || *json_text(error, "code")) {
                buf_put_str(out, separator);
                text_color(out, v->term, COLOR_RED);
                text_put_str(out, v->term,
                             *json_text(error, "message") ? json_text(error, "message")
                                                          : json_text(error, "code"),
                             TEXT_ANY_WIDTH);
                text_plain(out, v->term);
        }
}

/** "step fetch completed": the type's two words around the path; false for events that people need not see.
 */
static bool put_what(const json_t *event, const ViewSettings *v, Buf *out) {
        const char *type = json_text(event, "type"), *slash = strchr(json_text(event, "subject"), '/'), *dot;

        if (!strncmp(type, "runbook.", 8))
                type += 8;
        dot = strchr(type, '.');
        if (!dot)
                return false;
        text_put(out, v->term, (Slice){type, (size_t)(dot - type)}, TEXT_ANY_WIDTH);
        buf_put_char(out, ' ');
        if (slash) {
                text_color(out, v->term, COLOR_BOLD);
                text_put_str(out, v->term, slash + 1, TEXT_ANY_WIDTH);
                text_plain(out, v->term);
                buf_put_char(out, ' ');
        }
        text_color(out, v->term, view_status_color(dot + 1));
        put_name(v, dot + 1, out);
        text_plain(out, v->term);
        return true;
}

/** What a step that waits needs, from the data of its event. */
static void put_need(const Progress *p, const json_t *event, const ViewSettings *v, Buf *out) {
        const json_t *data = json_object_get(event, "data");
        const char *type = json_text(event, "type"), *slash = strchr(json_text(event, "subject"), '/');
        _cleanup_(buf_deinit) Buf command = {0};
        const ProgressStep *s;
        size_t i;

        i = slash ? (size_t)(uintptr_t)map_get(&p->by_path, slice_from_str(slash + 1)) : 0;
        s = i ? &p->steps[i - 1] : NULL;
        put_facts(data, v, out);
        if (s && !strcmp(type, "runbook.step.awaiting_approval")) {
                buf_put_str(&command, "runbook approve ");
                text_put_shell(&command, slice_from_str(p->id));
                buf_put_char(&command, ' ');
                text_put_shell(&command, slice_from_str(s->path));
        } else if (s && !strcmp(type, "runbook.step.awaiting_event")) {
                buf_put_str(&command, "runbook event ");
                text_put_shell(&command, slice_from_str(s->event_type));
                if (*s->correlation) {
                        buf_put_str(&command, " --correlation ");
                        text_put_shell(&command, slice_from_str(s->correlation));
                }
        } else {
                return;
        }
        buf_put_str(out, ": ");
        text_put(out, v->term, buf_slice(&command), TEXT_ANY_WIDTH);
        buf_put_str(out, v->flags);
}

void view_event(const Progress *p, const json_t *event, const ViewSettings *v, Buf *out) {
        size_t start = out->n;

        if (!strcmp(json_text(event, "type"), "runbook.step.ready") ||
            !strcmp(json_text(event, "type"), "runbook.evidence.recorded"))
                return;
        put_time_of(event, "time", v, out);
        if (!put_what(event, v, out)) {
                out->n = start;
                return;
        }
        put_need(p, event, v, out);
        buf_put_char(out, '\n');
}

void view_plain_event(const json_t *event, bool with_execution, const ViewSettings *v, Buf *out) {
        const char *subject = json_text(event, "subject");
        size_t start = out->n;

        put_time_of(event, "time", v, out);
        if (with_execution) {
                text_color(out, v->term, COLOR_BLUE);
                text_put(out, v->term, (Slice){subject, strcspn(subject, "/")}, TEXT_ANY_WIDTH);
                text_plain(out, v->term);
                buf_put_char(out, ' ');
        }
        if (!put_what(event, v, out)) {
                out->n = start;
                return;
        }
        put_facts(json_object_get(event, "data"), v, out);
        buf_put_char(out, '\n');
}

void view_log(const json_t *entry, const ViewSettings *v, Buf *out) {
        const char *level = json_text(entry, "level"), *step = *json_text(entry, "stepPath")
                                                                               ? json_text(entry, "stepPath")
                                                                               : json_text(entry, "stepId");
        char *metadata = json_object_size(json_object_get(entry, "metadata")) > 0
                                         ? json_dumps(json_object_get(entry, "metadata"), JSON_COMPACT)
                                         : NULL;

        put_time_of(entry, "timestamp", v, out);
        text_color(out, v->term,
                   !strcmp(level, "error")  ? COLOR_RED
                   : !strcmp(level, "warn") ? COLOR_YELLOW
                                            : COLOR_DIM);
        text_pad(out, 5 - text_put_str(out, v->term, level, TEXT_ANY_WIDTH));
        text_plain(out, v->term);
        buf_put_char(out, ' ');
        if (*step) {
                text_color(out, v->term, COLOR_BOLD);
                text_put_str(out, v->term, step, TEXT_ANY_WIDTH);
                text_plain(out, v->term);
                buf_put_char(out, ' ');
        }
        text_put_str(out, v->term, json_text(entry, "message"), TEXT_ANY_WIDTH);
        if (metadata) {
                buf_put_char(out, ' ');
                text_color(out, v->term, COLOR_DIM);
                text_put_str(out, v->term, metadata, TEXT_ANY_WIDTH);
                text_plain(out, v->term);
        }
        buf_put_char(out, '\n');
        free(metadata);
}
