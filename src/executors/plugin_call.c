/*
 * What plugins may call
 *
 * A plugin may use threads of its own, so everything it says goes through the call's lock; and it may say
 * anything, so everything has a limit and JSON is read as a stranger's. What is said after the attempt was
 * answered is still taken (the call is there until `execute` returns) and thrown away with it.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/quote.h"
#include "executors/http_json.h"
#include "executors/plugin_internal.h"

PluginCall *plugin_call_new(PluginEngine *e, PluginType *type, Task *task) {
        PluginCall *c = calloc(1, sizeof(*c));
        if (!c)
                return NULL;
        c->engine = e;
        c->type = type;
        c->task = task;
        c->submit_ns = attempt_now_ns();
        c->timeout_ms = task->timeout_ms > 0 ? task->timeout_ms : e->settings.timeout_default_ms;
        c->deadline_ms = e->host.clock.now_ms(e->host.clock.userdata) + c->timeout_ms;
        c->percent = -1;
        c->logs.limit = c->evidence.limit = PLUGIN_LOGS_BYTES_MAX;
        atomic_init(&c->is_cancelled, false);
        list_init(&c->node);
        list_init(&c->hook_node);
        pthread_mutex_init(&c->lock, NULL);
        attempt_key(c->key, task->execution_id, task->instance, task->attempt);
        return c;
}

void plugin_call_free(PluginCall *c) {
        for (uint32_t i = 0; i < c->n_secrets; i++) {
                explicit_bzero(c->secrets[i], strlen(c->secrets[i]));
                free(c->secrets[i]);
        }
        value_unref(c->output);
        value_unref(c->output_fault);
        buf_deinit(&c->code);
        buf_deinit(&c->message);
        buf_deinit(&c->details);
        buf_deinit(&c->logs);
        buf_deinit(&c->evidence);
        pthread_mutex_destroy(&c->lock);
        task_free(c->task);
        free(c);
}

static int status_of(int r) {
        return r == 0         ? RUNBOOK_PLUGIN_OK
               : r == -ENOMEM ? RUNBOOK_PLUGIN_E_MEMORY
               : r == -EFBIG  ? RUNBOOK_PLUGIN_E_LIMIT
                              : RUNBOOK_PLUGIN_E_INVALID;
}

/** @text, cut, bytes that are no UTF-8 and all: it is written lossily. */
static Slice short_text(const char *text) {
        return slice_cut_utf8((Slice){text, strnlen(text, PLUGIN_TEXT_MAX + 4)}, PLUGIN_TEXT_MAX);
}

/** Canonical form of the NUL-terminated @json, in @j. NULL is nothing. 0, -EINVAL, -EFBIG, -ENOMEM. */
static int canonical(const char *json, HttpJson *j, Slice *ret) {
        *ret = SLICE_NULL;
        if (!json)
                return 0;
        size_t n = strnlen(json, PLUGIN_JSON_MAX + 1);
        if (n > PLUGIN_JSON_MAX)
                return -EFBIG;
        int r = http_json_canonical(j, (Slice){json, n});
        *ret = buf_slice(&j->text);
        return r == -EBADMSG ? -EINVAL : r;
}

/** Keep what was put to @b since @n_before, or take it off again. */
static int commit(Buf *b, size_t n_before, uint32_t *n_entries) {
        int r = b->error;
        if (r == 0)
                (*n_entries)++;
        else
                b->n = n_before;
        b->error = 0;
        return r;
}

/* ---- results ------------------------------------------------------------------------------------------- */

static Value *output_error(const PluginCall *c, Slice json, int r) {
        _cleanup_(report_deinit) Report report = {0};
        _cleanup_(buf_deinit) Buf message = {0};
        const char *type = c->type->abi.type;
        if (r == -ENOMEM)
                return value_ref(c->engine->out_of_memory);
        if (r == -EFBIG) {
                buf_printf(&message,
                           "the output of %s has more than the %d bytes allowed (LIMIT_VALUE_BYTES)", type,
                           LIMIT_VALUE_BYTES);
                return attempt_error("OUTPUT_TOO_LARGE", false, buf_slice(&message), SLICE_NULL);
        }
        json_decref(json_parse(json, LIMIT_VALUE_BYTES, &report)); /* for what it says about the place */
        buf_printf(&message, "the output of %s is not JSON: %s", type,
                   report.message ? report.message : "a number in it is too large");
        return attempt_error("OUTPUT_INVALID", false, buf_slice(&message), SLICE_NULL);
}

static int set_output(RunbookPluginCall *c, const char *json, size_t size) {
        if (!json)
                return RUNBOOK_PLUGIN_E_INVALID;
        HttpJson j = {0};
        Slice text = {json, size};
        int r = size > LIMIT_VALUE_BYTES * 2 ? -EFBIG : http_json_canonical(&j, text);
        if (r == 0 && j.text.n > LIMIT_VALUE_BYTES)
                r = -EFBIG;
        Value *output = r == 0 ? value_new_bytes(buf_slice(&j.text)) : NULL;
        if (r == 0 && !output)
                r = -ENOMEM;
        Value *fault = r < 0 ? output_error(c, text, r) : NULL;
        pthread_mutex_lock(&c->lock);
        value_unref(c->output);
        value_unref(c->output_fault);
        c->output = output;
        c->output_fault = r < 0 && !fault ? value_ref(c->engine->out_of_memory) : fault;
        pthread_mutex_unlock(&c->lock);
        http_json_deinit(&j);
        return status_of(r);
}

static bool is_code(const char *code) {
        size_t n = strnlen(code, PLUGIN_CODE_MAX + 1);
        bool good = n > 0 && n <= PLUGIN_CODE_MAX;
        for (size_t i = 0; good && i < n; i++)
                good = (code[i] >= 'A' && code[i] <= 'Z') || (i > 0 && code[i] >= '0' && code[i] <= '9') ||
                       (i > 0 && code[i] == '_');
        return good;
}

static int set_error(RunbookPluginCall *c, const char *code, const char *message, int retryable,
                     const char *details) {
        HttpJson j = {0};
        Slice text;
        if (!code || !message || !is_code(code))
                return RUNBOOK_PLUGIN_E_INVALID;
        int r = canonical(details, &j, &text);
        if (r == 0) {
                pthread_mutex_lock(&c->lock);
                buf_reset(&c->code);
                buf_reset(&c->message);
                buf_reset(&c->details);
                buf_put_str(&c->code, code);
                buf_put_char(&c->code, '\0');
                buf_put_slice(&c->message, short_text(message));
                buf_put_slice(&c->details, text);
                c->retryable = retryable != 0;
                r = c->code.error || c->message.error || c->details.error ? -ENOMEM : 0;
                c->has_error = r == 0;
                pthread_mutex_unlock(&c->lock);
        }
        http_json_deinit(&j);
        return status_of(r);
}

static int set_retry_after(RunbookPluginCall *c, int64_t ms) {
        if (ms < 0 || ms > LIMIT_DURATION_MS)
                return RUNBOOK_PLUGIN_E_INVALID;
        pthread_mutex_lock(&c->lock);
        c->retry_after_ms = ms;
        pthread_mutex_unlock(&c->lock);
        return RUNBOOK_PLUGIN_OK;
}

/* ---- logs and evidence --------------------------------------------------------------------------------- */

static int put_log(PluginCall *c, const char *level, Slice message, Slice metadata) {
        pthread_mutex_lock(&c->lock);
        int r = -EFBIG;
        if (c->n_logs < LIMIT_LOGS_PER_RESULT - 1) { /* one is ours */
                size_t before = c->logs.n;
                JsonWriter w = {&c->logs, c->n_logs > 0};
                attempt_put_log(&w, level, message, metadata);
                r = commit(&c->logs, before, &c->n_logs);
        }
        pthread_mutex_unlock(&c->lock);
        return r;
}

static int log_entry(RunbookPluginCall *c, int level, const char *message, const char *metadata) {
        static const char *const levels[] = {"debug", "info", "warn", "error"};
        HttpJson j = {0};
        Slice text;
        if (!message || level < RUNBOOK_PLUGIN_DEBUG || level > RUNBOOK_PLUGIN_ERROR)
                return RUNBOOK_PLUGIN_E_INVALID;
        int r = canonical(metadata, &j, &text);
        if (r == 0 && text.n > 0 && text.data[0] != '{')
                r = -EINVAL;
        if (r == 0)
                r = put_log(c, levels[level], short_text(message), text);
        http_json_deinit(&j);
        return status_of(r);
}

static int progress(RunbookPluginCall *c, double fraction, const char *message) {
        if (!isfinite(fraction) || fraction < 0 || fraction > 1)
                return RUNBOOK_PLUGIN_E_INVALID;
        int percent = (int)(fraction * 100);
        pthread_mutex_lock(&c->lock);
        bool is_gain = percent > c->percent;
        c->percent = is_gain ? percent : c->percent;
        pthread_mutex_unlock(&c->lock);
        if (!is_gain)
                return RUNBOOK_PLUGIN_OK;
        char metadata[32];
        int n = snprintf(metadata, sizeof(metadata), "{\"percent\":%d}", percent);
        return status_of(put_log(c, "info", message ? short_text(message) : SLICE("progress"),
                                 (Slice){metadata, (size_t)n}));
}

static void put_lossy(JsonWriter *w, const char *key, const char *text) {
        json_key(w, key);
        quote_json_lossy(w->buf, short_text(text));
        w->need_comma = true;
}

static int put_evidence(PluginCall *c, const char *type, const char *source_ref, double confidence,
                        const Digest *digest, Slice value) {
        char hex[DIGEST_TEXT_SIZE + 1];
        digest_format(digest, hex);
        pthread_mutex_lock(&c->lock);
        int r = -EFBIG;
        if (c->n_evidence < LIMIT_EVIDENCE_PER_RESULT) {
                size_t before = c->evidence.n;
                JsonWriter w = {&c->evidence, c->n_evidence > 0};
                json_begin_object(&w);
                json_key(&w, "confidence");
                json_put_double(&w, confidence);
                json_key(&w, "sha256");
                json_put_str(&w, hex);
                put_lossy(&w, "sourceRef", source_ref);
                put_lossy(&w, "type", type);
                if (value.n > 0) {
                        json_key(&w, "value");
                        json_put_raw(&w, value);
                }
                json_end_object(&w);
                r = commit(&c->evidence, before, &c->n_evidence);
        }
        pthread_mutex_unlock(&c->lock);
        return r;
}

static int evidence(RunbookPluginCall *c, const char *type, const char *source_ref, double confidence,
                    const char *sha256, const char *value) {
        HttpJson j = {0};
        Slice text;
        Digest digest;
        if (!type || !*type || !source_ref || !isfinite(confidence) || confidence < 0 || confidence > 1)
                return RUNBOOK_PLUGIN_E_INVALID;
        if (sha256 && !digest_parse((Slice){sha256, strnlen(sha256, DIGEST_TEXT_SIZE + 1)}, &digest))
                return RUNBOOK_PLUGIN_E_INVALID;
        int r = canonical(value, &j, &text);
        if (r == 0 && !sha256)
                r = digest_slice(text, &digest);
        if (r == 0)
                r = put_evidence(c, type, source_ref, confidence, &digest, text);
        http_json_deinit(&j);
        return status_of(r);
}

/* ---- questions ----------------------------------------------------------------------------------------- */

static const char *secret(RunbookPluginCall *c, const char *name) {
        PluginEngine *e = c->engine;
        if (!name)
                return NULL;
        pthread_mutex_lock(&e->host_lock);
        char *text = e->is_gone ? NULL
                                : e->host.secret(e->host.userdata, c->task->tenant, slice_from_str(name));
        pthread_mutex_unlock(&e->host_lock);
        if (!text)
                return NULL;
        pthread_mutex_lock(&c->lock);
        bool kept = c->n_secrets < PLUGIN_SECRETS_MAX;
        if (kept)
                c->secrets[c->n_secrets++] = text;
        pthread_mutex_unlock(&c->lock);
        if (kept)
                return text;
        explicit_bzero(text, strlen(text));
        free(text);
        return NULL;
}

static int64_t now_ms(RunbookPluginCall *c) {
        PluginEngine *e = c->engine;
        pthread_mutex_lock(&e->host_lock);
        int64_t ms = e->is_gone ? c->deadline_ms : e->host.clock.now_ms(e->host.clock.userdata);
        pthread_mutex_unlock(&e->host_lock);
        return ms;
}

static int is_cancelled(RunbookPluginCall *c) { return atomic_load(&c->is_cancelled); }

const RunbookPluginHost plugin_host = {.struct_size = sizeof(RunbookPluginHost),
                                       .abi = RUNBOOK_PLUGIN_ABI,
                                       .set_output = set_output,
                                       .set_error = set_error,
                                       .set_retry_after = set_retry_after,
                                       .log = log_entry,
                                       .evidence = evidence,
                                       .progress = progress,
                                       .secret = secret,
                                       .now_ms = now_ms,
                                       .is_cancelled = is_cancelled};
