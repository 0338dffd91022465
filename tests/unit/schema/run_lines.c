/*
 * Validates what another program sends: run_lines < LINES > LINES
 *
 * Each line in is {"schema": …, "instances": […]}, the line out {"faults": [[path, message]…]} if the schema
 * has faults, and otherwise {"results": […], "first": […]}: what schema_validate returned for each instance,
 * and the first fault told of each (null if none).
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "json/json_write.h"
#include "schema/schema.h"

static void put_detail(JsonWriter *w, const ReportDetail *d) {
        json_begin_array(w);
        json_put_str(w, d->path);
        json_put_str(w, d->message);
        json_end_array(w);
}

static void put_results(JsonWriter *w, const Schema *s, const json_t *instances) {
        _cleanup_(buf_deinit) Buf texts = {0};
        JsonWriter first = json_writer(&texts);
        json_key(w, "results");
        json_begin_array(w);
        json_begin_array(&first);
        for (size_t i = 0; i < json_array_size(instances); i++) {
                _cleanup_(report_deinit) Report report = {0};
                json_put_i64(w, schema_validate(s, json_array_get(instances, i), &report));
                if (report.n_details)
                        put_detail(&first, &report.details[0]);
                else
                        json_put_str(&first, report.message);
        }
        json_end_array(w);
        json_end_array(&first);
        json_key(w, "first");
        json_put_raw(w, buf_slice(&texts));
}

static void run_line(const json_t *line) {
        _cleanup_(report_deinit) Report report = {0};
        _cleanup_(buf_deinit) Buf b = {0};
        JsonWriter w = json_writer(&b);
        JsonAt at = json_at_root(json_object_get(line, "schema"), &report);
        _cleanup_(schema_unref_p) Schema *s = schema_compile(&at);
        json_begin_object(&w);
        if (s) {
                put_results(&w, s, json_object_get(line, "instances"));
        } else {
                json_key(&w, "faults");
                json_begin_array(&w);
                for (size_t i = 0; i < report.n_details; i++)
                        put_detail(&w, &report.details[i]);
                json_end_array(&w);
        }
        json_end_object(&w);
        printf("%.*s\n", SLICE_ARG(buf_slice(&b)));
}

int main(void) {
        char *text = NULL;
        size_t cap = 0;
        ssize_t n;
        while ((n = getline(&text, &cap, stdin)) > 0) {
                json_t *line = json_parse_own((Slice){text, (size_t)n});
                if (!json_is_object(line)) {
                        fprintf(stderr, "run_lines: not a JSON object: %.100s\n", text);
                        return 2;
                }
                run_line(line);
                json_decref(line);
        }
        free(text);
        return 0;
}
