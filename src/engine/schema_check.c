/* inputSchema and outputSchema, of steps and of whole runbooks: compiled at registration, held against what comes. */

#include "engine/internal.h"
#include "schema/schema.h"

/* Validate with a null for "nothing". 0 fine; 1 faults in @report; -EOVERFLOW, -ELOOP: a limit, in @report; -ENOMEM. */
static int validate(const Schema *schema, Value *value, Report *report) {
        const json_t *tree = value ? value_json(value) : json_null();
        return tree ? schema_validate(schema, tree, report) : -ENOMEM;
}

bool schema_admits(Move *m, const Schema *schema, Value *value, const char *what, Value **ret_error) {
        _cleanup_(report_deinit) Report report = {0};
        int r = validate(schema, value, &report);
        if (r == 0)
                return true;
        if (r == -ENOMEM || report.oom) {
                move_oom(m);
                return false;
        }
        const char *code = what[0] == 'i' ? "INPUT_SCHEMA" : "OUTPUT_SCHEMA";
        size_t n_more = report.n_details + report.n_dropped;
        if (report.n_details == 0)
                *ret_error = move_error(m, code, false, "the %s can't be checked against %sSchema: %s", what,
                                        what, report.message ? report.message : "a limit was passed");
        else if (n_more == 1)
                *ret_error = move_error(m, code, false, "the %s does not satisfy %sSchema: %s %s", what, what,
                                        report.details[0].path, report.details[0].message);
        else
                *ret_error = move_error(m, code, false,
                                        "the %s does not satisfy %sSchema: %s %s; and %zu more", what, what,
                                        report.details[0].path, report.details[0].message, n_more - 1);
        return false;
}

bool schema_admits_input(const Schema *schema, Value *value, Report *refusal) {
        _cleanup_(report_deinit) Report report = {0};
        _cleanup_(buf_deinit) Buf path = {0};
        int r = validate(schema, value, &report);
        if (r == 0)
                return true;
        refusal->oom |= r == -ENOMEM || report.oom;
        if (report.code) {
                report_set(refusal, report.code, "%s", report.message);
                return false;
        }
        report_set(refusal, RUNBOOK_INVALID_INPUT, "the input does not satisfy the runbook's inputSchema");
        for (size_t i = 0; i < report.n_details; i++) {
                buf_reset(&path);
                buf_put_str(&path, "/input");
                buf_put_str(&path, report.details[i].path);
                buf_put_char(&path, '\0');
                if (!path.error)
                        report_detail(refusal, path.data, "%s", report.details[i].message);
                refusal->oom |= path.error != 0;
        }
        refusal->n_dropped += report.n_dropped;
        return false;
}
