/*
 * A worker's report
 *
 *     {"status":"completed","output":…}   {"status":"failed","error":{"code","message","retryable","details"?}}
 *     {"status":"heartbeat","progress":0.5}           and with all of them "logs":[…] and "evidence":[…]
 *
 * Faults are told at their place, as in commands; members that are not known are ignored.
 */
#include <errno.h>

#include "base/cleanup.h"
#include "json/json_read.h"
#include "json/json_write.h"
#include "model/limits.h"
#include "subjects/result.h"

static void json_unref(json_t **json) { json_decref(*json); }

/* ---- pieces ------------------------------------------------------------------------ */

static Value *keep(const json_t *json) { return value_new(json_incref((json_t *)json)); }

static bool read_word(const JsonAt *at, WorkerWord *ret) {
        static const char *const words[] = {[WORKER_COMPLETED] = "completed",
                                            [WORKER_FAILED] = "failed",
                                            [WORKER_HEARTBEAT] = "heartbeat"};
        Slice word = SLICE_NULL;
        if (!json_get_string_required(at, "status", &word))
                return false;
        for (size_t i = 0; i < N_ELEMENTS(words); i++) {
                *ret = (WorkerWord)i;
                if (slice_eq_str(word, words[i]))
                        return true;
        }
        JsonAt status = json_at_key(at, "status");
        json_at_error(&status, "must be \"completed\", \"failed\" or \"heartbeat\"");
        return false;
}

static bool code_is_good(Slice code) {
        for (size_t i = 0; i < code.n; i++)
                if ((unsigned char)code.data[i] <= ' ' || code.data[i] == 0x7f)
                        return false;
        return code.n > 0 && code.n <= RESULT_CODE_MAX;
}

/** The error of a failure, in the form that the engine keeps. */
static Value *read_error(const JsonAt *at, Report *report) {
        JsonAt error = json_at_key(at, "error"), member;
        Slice code = SLICE("WORKER_FAILED"), message = SLICE("the worker gave no reason");
        bool retryable = false;
        const json_t *details = NULL;
        if (error.value && json_get_object(at, "error", &error)) {
                member = json_at_key(&error, "code");
                if (json_get_string(&error, "code", &code) && !code_is_good(code))
                        json_at_error(&member, "must be 1 to %d bytes without blanks", RESULT_CODE_MAX);
                json_get_string(&error, "message", &message);
                json_get_bool(&error, "retryable", &retryable);
                details = json_at_key(&error, "details").value;
        }
        if (report_is_error(report))
                return NULL;
        _cleanup_(buf_deinit) Buf b = {0};
        JsonWriter w = json_writer(&b);
        json_begin_object(&w);
        json_key(&w, "code");
        json_put_string(&w, code);
        if (details) {
                json_key(&w, "details");
                json_put_tree(&w, details);
        }
        json_key(&w, "message");
        json_put_string(&w, slice_cut_utf8(message, RESULT_MESSAGE_MAX));
        json_key(&w, "retryable");
        json_put_bool(&w, retryable);
        json_end_object(&w);
        return b.error ? NULL : value_new_bytes(buf_slice(&b));
}

/** Each entry an object whose string members are strings. False: absent, or faulty. */
static bool read_records(const JsonAt *at, const char *key, const char *const *required,
                         const char *const *optional, JsonAt *ret) {
        if (!json_at_key(at, key).value || !json_get_array(at, key, ret))
                return false;
        if (json_array_size(ret->value) > RESULT_RECORDS_MAX) {
                json_at_error(ret, "has %zu entries, more than %d", json_array_size(ret->value),
                              RESULT_RECORDS_MAX);
                return false;
        }
        for (size_t i = 0; i < json_array_size(ret->value); i++) {
                JsonAt entry = json_at_index(ret, i);
                Slice text;
                if (!json_is_object(entry.value)) {
                        json_at_error(&entry, "must be an object, is %s", json_type_text(entry.value));
                        continue;
                }
                for (size_t k = 0; required[k]; k++)
                        json_get_string_required(&entry, required[k], &text);
                for (size_t k = 0; optional[k]; k++)
                        json_get_string(&entry, optional[k], &text);
        }
        return json_array_size(ret->value) > 0;
}

/** Who gave the result is part of the log. */
static json_t *signature(Slice worker, WorkerWord word) {
        _cleanup_(buf_deinit) Buf text = {0};
        const char *verb = word == WORKER_COMPLETED ? "completed" : "failed";
        buf_printf(&text, "worker %.*s: %s", SLICE_ARG(worker), verb);
        return text.error ? NULL
                          : json_pack("{s:s, s:s%, s:{s:s%}}", "level",
                                      word == WORKER_COMPLETED ? "info" : "warn", "message", text.data,
                                      text.n, "metadata", "worker", worker.data, worker.n);
}

static Value *read_logs(const JsonAt *at, Slice worker, WorkerWord word) {
        static const char *const required[] = {"message", NULL}, *const optional[] = {"level", NULL};
        JsonAt logs = {0};
        bool has = read_records(at, "logs", required, optional, &logs);
        if (word == WORKER_HEARTBEAT)
                return has ? keep(logs.value) : NULL;
        json_t *all = json_array();
        int r = json_array_append_new(all, signature(worker, word));
        if (has && r == 0)
                r = json_array_extend(all, (json_t *)logs.value);
        if (r == 0)
                return value_new(all);
        json_decref(all);
        return NULL;
}

static Value *read_evidence(const JsonAt *at) {
        static const char *const required[] = {"type", NULL}, *const optional[] = {"sourceRef", "sha256",
                                                                                   NULL};
        JsonAt list = {0};
        if (!read_records(at, "evidence", required, optional, &list))
                return NULL;
        for (size_t i = 0; i < json_array_size(list.value); i++) {
                JsonAt entry = json_at_index(&list, i);
                double confidence;
                if (json_is_object(entry.value))
                        json_get_number(&entry, "confidence", 0, 1, &confidence);
        }
        return keep(list.value);
}

/* ---- the whole --------------------------------------------------------------------- */

void result_release(ResultBody *r) {
        value_unref(r->output);
        value_unref(r->error);
        value_unref(r->logs);
        value_unref(r->evidence);
        *r = (ResultBody){0};
}

static int check_output(const JsonAt *at, Value *output) {
        JsonAt member = json_at_key(at, "output");
        Slice bytes = value_bytes(output);
        if (!bytes.data)
                return -ENOMEM;
        return bytes.n <= LIMIT_VALUE_BYTES
                               ? 0
                               : report_set(member.report, RUNBOOK_TOO_LARGE,
                                            "output has %zu bytes, more than the %d that a step may give",
                                            bytes.n, LIMIT_VALUE_BYTES);
}

int result_decode(Slice body, Slice worker, ResultBody *ret, Report *report) {
        *ret = (ResultBody){0};
        _cleanup_(json_unref) json_t *json = json_parse(body, RESULT_BYTES_MAX, report);
        if (!json)
                return report_is_error(report) ? -EINVAL : -ENOMEM;
        JsonAt at = json_at_root(json, report);
        if (!json_is_object(json))
                return json_at_error(&at, "must be an object, is %s", json_type_text(json));
        if (!read_word(&at, &ret->word))
                return -EINVAL;
        int r = 0;
        bool has_output = ret->word == WORKER_COMPLETED && json_object_get(json, "output");
        ret->has_progress = json_get_number(&at, "progress", 0, 1, &ret->progress);
        if (ret->word == WORKER_FAILED)
                ret->error = read_error(&at, report);
        ret->logs = read_logs(&at, worker, ret->word);
        ret->evidence = read_evidence(&at);
        if (has_output) {
                ret->output = keep(json_object_get(json, "output"));
                r = ret->output ? check_output(&at, ret->output) : -ENOMEM;
        }
        if (report_is_error(report))
                r = -EINVAL;
        else if (r == 0 && ret->word != WORKER_HEARTBEAT &&
                 (!ret->logs || (ret->word == WORKER_FAILED && !ret->error)))
                r = -ENOMEM;
        if (r < 0)
                result_release(ret);
        return r;
}
