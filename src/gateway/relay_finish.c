/* Answers that HTTP tells with more than "200 and the body": what was made, and where it is. */

#include <stdio.h>
#include "base/cleanup.h"
#include "client/subject.h"
#include "gateway/relay.h"
#include "json/json_read.h"
#include "json/json_write.h"

static json_t *parse(const LinkAnswer *answer) {
        return json_parse_own((Slice){answer->body, answer->body_size});
}

/** 201 with the place of what was made. */
static void pass_created(Request *r, LinkAnswer *answer, const char *collection, const char *id) {
        _cleanup_(buf_deinit) Buf location = {0};

        buf_printf(&location, "/api/v1/%s/", collection);
        subject_put_token(&location, slice_from_str(id)); /* the same escapes do for URLs */
        buf_put_char(&location, 0);
        if (!location.error)
                reply_header(r, "Location", location.data);
        relay_pass(r, 201, answer);
}

static void finish_execution(Request *r, LinkAnswer *answer) {
        json_t *json = parse(answer);
        const char *id = json_string_value(json_object_get(json, "executionId"));

        if (id && !json_is_true(json_object_get(json, "duplicate")))
                pass_created(r, answer, "executions", id);
        else
                relay_pass(r, 200, answer);
        json_decref(json);
}

void finish_start(Request *r, LinkAnswer *answer) { finish_execution(r, answer); }

/** A rerun is a new execution; a verification's answer names none. */
void finish_replay(Request *r, LinkAnswer *answer) { finish_execution(r, answer); }

void finish_register(Request *r, LinkAnswer *answer) {
        json_t *json = parse(answer);
        const char *id = json_string_value(json_object_get(json_object_get(json, "runbook"), "id"));

        if (id)
                pass_created(r, answer, "runbooks", id);
        else
                relay_pass(r, 201, answer);
        json_decref(json);
}

/** How far one execution is, cut out of its answer. */
void finish_stats(Request *r, LinkAnswer *answer) {
        static const char *const members[] = {"runbookId", "runbookVersion", "status",  "startTime",
                                              "endTime",   "durationMs",     "progress"};
        json_t *json = parse(answer);
        const json_t *execution = json_object_get(json, "execution");
        _cleanup_(buf_deinit) Buf body = {0};
        JsonWriter w = json_writer(&body);

        json_begin_object(&w);
        json_key(&w, "version");
        json_put_str(&w, "v1");
        json_key(&w, "executionId");
        json_put_tree(&w, json_object_get(execution, "id"));
        for (size_t i = 0; i < N_ELEMENTS(members); i++) {
                json_key(&w, members[i]);
                json_put_tree(&w, json_object_get(execution, members[i]));
        }
        json_end_object(&w);
        json_decref(json);
        reply_json(r, 200, &body);
        reply_etag(r);
}
