#include "world.h"

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "json/json_read.h"
#include "runtime/check.h"

/* ---- the outside ------------------------------------------------------------------------------------ */

static int64_t fake_now(void *userdata) { return ((World *)userdata)->now_ms; }

static void fake_random(void *userdata, uint64_t *words, size_t n) {
        World *w = userdata;
        for (size_t i = 0; i < n; i++) {
                uint64_t z = w->random += 0x9e3779b97f4a7c15u;
                z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
                words[i] = z ^ (z >> 27);
        }
}

static void told(World *w, Uuid id, uint64_t seq) {
        if (w->on_told)
                w->on_told(w, id, seq);
}

/** "<execution>/<sequence>"; log entries tell of no event. */
static void told_message(World *w, const AuditMessage *m) {
        Uuid id = UUID_NIL;
        uint64_t seq = 0;
        if (m->id.n > UUID_TEXT_SIZE && uuid_parse((Slice){m->id.data, UUID_TEXT_SIZE}, &id))
                (void)slice_to_u64((Slice){m->id.data + UUID_TEXT_SIZE + 1, m->id.n - UUID_TEXT_SIZE - 1}, &seq);
        told(w, id, seq);
}

static void fake_submit(Executor *e, Task *task) {
        FakeExecutor *f = (FakeExecutor *)e;
        told(f->world, task->execution_id, 0);
        cr_assert(f->n < WORLD_TASKS_MAX);
        f->tasks[f->n++] = task;
        f->n_submitted++;
}

static void fake_cancel(Executor *e, Uuid execution_id, uint32_t instance, uint32_t attempt) {
        FakeExecutor *f = (FakeExecutor *)e;
        for (size_t i = 0; i < f->n; i++)
                if (uuid_eq(f->tasks[i]->execution_id, execution_id) && f->tasks[i]->instance == instance &&
                    f->tasks[i]->attempt == attempt) {
                        task_free(f->tasks[i]);
                        f->tasks[i] = f->tasks[--f->n];
                        f->n_cancelled++;
                        return;
                }
}

static uint64_t fake_n_open(Executor *e) { return ((FakeExecutor *)e)->n; }

static void fake_stop(Executor *e) {
        FakeExecutor *f = (FakeExecutor *)e;
        while (f->n > 0)
                task_free(f->tasks[--f->n]);
}

static const ExecutorVtable fake_vtable = {"fake", fake_submit, fake_cancel, fake_n_open, fake_stop};

static void audit_take(FakeAudit *a, const AuditMessage *m) {
        if (a->n == a->cap) {
                a->cap = a->cap ? a->cap * 2 : 256;
                a->messages = realloc(a->messages, a->cap * sizeof(*a->messages));
                cr_assert_not_null(a->messages);
        }
        cr_assert(m->subject.data[m->subject.n] == '\0' && m->id.data[m->id.n] == '\0');
        a->messages[a->n++] = (Published){slice_dup(m->subject), slice_dup(m->id), slice_dup(m->payload)};
}

static int fake_publish(void *userdata, const AuditMessage *messages, size_t n, uint64_t *ret_stream_seq) {
        FakeAudit *a = userdata;
        a->n_publishes++;
        for (size_t i = 0; i < n; i++)
                told_message((World *)((char *)a - offsetof(World, audit)), &messages[i]);
        cr_assert(n > 0);
        if (a->fail_publish > 0) {
                a->fail_publish--;
                for (size_t i = 0; i < n && i < a->keep_of_failed; i++)
                        audit_take(a, &messages[i]);
                return a->fail_code;
        }
        for (size_t i = 0; i < n; i++)
                audit_take(a, &messages[i]);
        *ret_stream_seq = a->base + a->n;
        return 0;
}

static int fake_tail(void *userdata, AuditTail *ret) {
        FakeAudit *a = userdata;
        if (a->fail_tail > 0) {
                a->fail_tail--;
                return -EAGAIN;
        }
        *ret = (AuditTail){.last_seq = a->base + a->n, .created_ms = a->created_ms, .epoch = a->epoch};
        return 0;
}

static uint64_t fake_epoch(void *userdata) { return ((FakeAudit *)userdata)->epoch; }

static void published_free(Published *p) {
        free(p->subject);
        free(p->id);
        free(p->payload);
}

void audit_lose(World *w, size_t n) {
        while (w->audit.n > n)
                published_free(&w->audit.messages[--w->audit.n]);
        w->audit.epoch++;
}

static uint64_t number_of(const char *id) {
        const char *slash = strrchr(id, '/');
        cr_assert_not_null(slash);
        return strtoull(slash + 1, NULL, 10);
}

unsigned audit_check(World *w, const char *execution) {
        uint64_t seen[2] = {0, 0}; /* events, logs */
        unsigned n = 0;
        for (size_t i = 0; i < w->audit.n; i++) {
                const Published *p = &w->audit.messages[i];
                if (strncmp(p->id, execution, strlen(execution)) != 0)
                        continue;
                bool is_log = strstr(p->id, "/log/") != NULL;
                uint64_t number = number_of(p->id);
                cr_assert(strstr(p->subject, is_log ? ".log." : ".lifecycle.") &&
                          strstr(p->subject, execution));
                cr_assert(number <= seen[is_log] + 1, "a gap before %s", p->id);
                if (number > seen[is_log])
                        seen[is_log] = number;
                n++;
        }
        return n;
}

/* ---- the house -------------------------------------------------------------------------------------- */

World *world_new(const char *backend) {
        World *w = calloc(1, sizeof(*w));
        cr_assert_not_null(w);
        w->backend = backend;
        w->now_ms = 1750000000000;
        w->random = 42;
        w->with_audit = true;
        w->audit.created_ms = 1749000000000;
        w->audit.epoch = 1;
        w->audit.stream = (AuditStream){fake_publish, fake_tail, fake_epoch, &w->audit};
        w->executor.base.vtable = &fake_vtable;
        w->executor.world = w;
        w->settings = (RuntimeSettings){
                .engine = {.max_concurrent_steps = 100, .source = SLICE("runbookd/test")},
                .definitions = runbook_defaults_builtin,
                .subject_prefix = SLICE("runbook.v1"),
        };
        snprintf(w->dir, sizeof(w->dir), "%s/runbook-runtime-XXXXXX",
                 getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
        cr_assert_not_null(mkdtemp(w->dir));
        return w;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw) {
        return remove(path);
}

void world_open(World *w) {
        StoreOptions options = {.backend = w->backend,
                                .path = w->dir,
                                .map_size = w->map_size,
                                .map_size_max = w->map_size_max};
        Clock clock = {fake_now, w};
        Ids ids = {fake_random, w};
        Report report = {0};
        uint64_t words[2];

        ids.random(w, words, 2);
        cr_assert_eq(store_open(&options, uuid_v7(w->now_ms, words[0], words[1]), &report, &w->store), 0,
                     "%s", report.message);
        cr_assert_eq(runtime_new(&w->settings, w->store, clock, ids, w->with_audit ? &w->audit.stream : NULL,
                                 &w->rt),
                     0);
        runtime_executor_host(w->rt, NULL, NULL);
        runtime_set_executor(w->rt, STEP_TYPE_CALL_SERVICE, &w->executor.base);
        runtime_set_authz(w->rt, &w->executor.base);
        runtime_set_executor(w->rt, STEP_TYPE_CUSTOM, &w->executor.base);
        cr_assert_eq(runtime_recover(w->rt, &report), 0, "%s", report.message);
        report_deinit(&report);
}

void world_close(World *w) {
        fake_stop(&w->executor.base);
        runtime_free(w->rt);
        store_close(w->store);
        w->rt = NULL;
        w->store = NULL;
}

void world_restart(World *w) {
        world_close(w);
        w->audit.epoch++;
        world_open(w);
}

void world_free(World *w) {
        char dir[sizeof(w->dir)];
        strcpy(dir, w->dir);
        world_leave(w);
        nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

void world_leave(World *w) {
        world_close(w);
        while (w->audit.n > 0)
                published_free(&w->audit.messages[--w->audit.n]);
        free(w->audit.messages);
        for (size_t i = 0; i < w->n_replies; i++)
                cr_assert_eq(w->replies[i].n_done, 1, "request %zu was answered %d times", i,
                             w->replies[i].n_done);
        free(w);
}

void world_turn(World *w) {
        int64_t next_ms;
        int r;
        while ((r = runtime_turn(w->rt, &next_ms)) == 0)
                ;
        cr_assert_eq(r, 1);
        cr_assert(next_ms > w->now_ms);
}

void world_run(World *w) {
        for (int i = 0; i < 1000; i++) {
                world_turn(w);
                if (runtime_outbox_turn(w->rt) != 0) {
                        world_turn(w); /* a mark that it waits for */
                        if (runtime_outbox_turn(w->rt) != 0)
                                return;
                }
        }
        cr_assert_fail("the outbox never ends");
}

void world_pass(World *w, int64_t ms) {
        w->now_ms += ms;
        world_run(w);
}

/* ---- requests --------------------------------------------------------------------------------------- */

static void on_done(Request *q, RunbookCode code, Slice body, bool durable) {
        Reply *r = q->userdata;
        told(r->world, code == RUNBOOK_OK && q->kind == REQUEST_START ? q->input.execution_id : UUID_NIL, 0);
        r->n_done++;
        r->order = ++*r->counter;
        r->code = code;
        r->durable = durable;
        cr_assert(body.n > 0, "an empty answer");
        snprintf(r->body, sizeof(r->body), "%.*s", SLICE_ARG(body));
        cr_assert(slice_is_utf8(body));
}

Value *value_of(const char *json) {
        if (!json)
                return NULL;
        json_t *tree = json_loads(json, JSON_DECODE_ANY, NULL);
        cr_assert_not_null(tree, "test JSON is wrong: %s", json);
        return value_new(tree);
}

static Request *request_by(RequestKind kind, const char *user) {
        Request *q = request_new(kind);
        cr_assert_not_null(q);
        q->input.tenant = SLICE("acme");
        q->input.user = slice_from_str(user);
        return q;
}

static Uuid id_of(const char *text) {
        Uuid id;
        cr_assert(uuid_parse(slice_from_str(text), &id), "not an id: %s", text);
        return id;
}

Request *request_register(const char *json, const char *user) {
        Request *q = request_by(REQUEST_REGISTER, user);
        Report report = {0};
        int r = runbook_def_parse(slice_from_str(json), &runbook_defaults_builtin, &report, &q->runbook);
        cr_assert_eq(r, 0, "%s: %s %s", report.message, report.n_details ? report.details[0].path : "",
                     report.n_details ? report.details[0].message : "");
        report_deinit(&report);
        return q;
}

Request *request_start_of(const char *runbook, const char *input, const char *user) {
        Request *q = request_by(REQUEST_START, user);
        q->input.kind = INPUT_START;
        q->runbook_id = slice_from_str(runbook);
        q->input.value = value_of(input);
        q->input.context =
                value_of("{\"tenantId\":\"acme\",\"initiatedBy\":\"alice\",\"assumptions\":[],\"legalBasis\":"
                         "{\"authority\":\"policy\",\"classification\":\"internal\"}}");
        return q;
}

Request *request_command(InputKind kind, const char *execution, const char *user) {
        Request *q = request_by(REQUEST_COMMAND, user);
        q->input.kind = kind;
        q->input.execution_id = id_of(execution);
        q->input.flag = true;
        return q;
}

Request *request_approve(const char *execution, const char *step, const char *user) {
        Request *q = request_command(INPUT_APPROVE, execution, user);
        q->input.path = slice_from_str(step);
        q->input.decision = VOTE_APPROVED;
        return q;
}

Request *request_event(const char *correlation, const char *payload, const char *event_id) {
        Request *q = request_by(REQUEST_EVENT, "sensor");
        q->input.kind = INPUT_EVENT;
        q->event_type = SLICE("alarm");
        q->correlation = slice_from_str(correlation);
        q->event_id = slice_from_str(event_id);
        q->input.value = value_of(payload);
        return q;
}

Request *request_replay(const char *execution, const char *mode) {
        Request *q = request_by(REQUEST_REPLAY, "alice");
        q->input.execution_id = id_of(execution);
        q->input.text = slice_from_str(mode);
        return q;
}

void request_name(Request *q, const char *command_id, const char *digest_of) {
        q->input.command_id = slice_from_str(command_id);
        cr_assert_eq(digest_slice(slice_from_str(digest_of), &q->digest), 0);
}

Reply *world_send(World *w, Request *q) {
        cr_assert(w->n_replies < WORLD_REPLIES_MAX);
        Reply *r = &w->replies[w->n_replies++];
        r->counter = &w->n_answered;
        r->world = w;
        q->done = on_done;
        q->userdata = r;
        int rc = runtime_submit(w->rt, q);
        if (rc < 0) {
                r->n_done = 1;
                r->code = rc == -EAGAIN || rc == -EDQUOT ? RUNBOOK_OVERLOADED : RUNBOOK_UNAVAILABLE;
                request_free(q);
        }
        return r;
}

Reply *world_ask(World *w, Request *q) {
        Reply *r = world_send(w, q);
        world_run(w);
        cr_assert_eq(r->n_done, 1, "not answered");
        return r;
}

void world_register(World *w, const char *json) {
        Reply *r = world_ask(w, request_register(json, "alice"));
        cr_assert_eq(r->code, RUNBOOK_OK, "%s", r->body);
}

const char *reply_text(const Reply *r, const char *key) {
        static _Thread_local char text[8][256];
        static _Thread_local unsigned next;
        char *ret = text[next++ % 8];
        json_t *tree = json_loads(r->body, 0, NULL);
        cr_assert_not_null(tree, "not JSON: %s", r->body);
        const char *s = json_string_value(json_object_get(tree, key));
        snprintf(ret, sizeof(text[0]), "%s", s ? s : "");
        json_decref(tree);
        return ret;
}

const char *world_start(World *w, const char *runbook, const char *input) {
        Reply *r = world_ask(w, request_start_of(runbook, input, "alice"));
        cr_assert_eq(r->code, RUNBOOK_OK, "%s", r->body);
        snprintf(r->id, sizeof(r->id), "%s", reply_text(r, "executionId"));
        return r->id;
}

/* ---- looking ---------------------------------------------------------------------------------------- */

Task *world_task(World *w, const char *execution, const char *step) {
        for (size_t i = 0; i < w->executor.n; i++) {
                Task *t = w->executor.tasks[i];
                if ((!execution || uuid_eq(t->execution_id, id_of(execution))) &&
                    slice_eq_str(t->step_path, step))
                        return t;
        }
        return NULL;
}

void world_answer(World *w, Task *task, bool ok, const char *json) {
        cr_assert_not_null(task);
        TaskResult result = {.execution_id = task->execution_id,
                             .instance = task->instance,
                             .attempt = task->attempt,
                             .ok = ok};
        *(ok ? &result.output : &result.error) = value_of(json);
        for (size_t i = 0; i < w->executor.n; i++)
                if (w->executor.tasks[i] == task) {
                        w->executor.tasks[i] = w->executor.tasks[--w->executor.n];
                        break;
                }
        task_free(task);
        ExecutorHost host = runtime_executor_host(w->rt, NULL, NULL);
        host.post_result(host.userdata, &result);
}

Execution *world_load(World *w, const char *execution) {
        Execution *x = NULL;
        StoreTxn *t;
        cr_assert_eq(store_begin_read(w->store, &t), 0);
        int r = store_execution_load(t, id_of(execution), runtime_runbook_lookup, w->rt, &x);
        store_abort(t);
        cr_assert_eq(r, 0, "load %s: %d", execution, r);
        return x;
}

const char *world_status(World *w, const char *execution) {
        Execution *x = world_load(w, execution);
        const char *name = runbook_execution_status_name((RunbookExecutionStatus)x->status);
        execution_free(x);
        return name;
}

const char *world_step(World *w, const char *execution, const char *step) {
        Execution *x = world_load(w, execution);
        uint32_t instance = execution_find_path(x, slice_from_str(step));
        cr_assert_neq(instance, INSTANCE_NONE, "no step %s", step);
        const char *name = runbook_step_status_name((RunbookStepStatus)x->steps[instance].status);
        execution_free(x);
        return name;
}

unsigned world_events(World *w, const char *execution, const char *type) {
        Execution *x = world_load(w, execution);
        unsigned n = 0;
        uint64_t at = 1, first;
        uint32_t n_frames;
        Slice frames, frame_type, json;
        StoreTxn *t;

        const char *broken = engine_check(x);
        cr_assert_null(broken, "%s", broken);
        cr_assert_eq(store_begin_read(w->store, &t), 0);
        while (store_series_segment(t, STORE_HISTORY, x->id, at, &first, &n_frames, &frames) == 0) {
                cr_assert_eq(first, at, "a gap in the history");
                size_t offset = 0;
                for (uint32_t i = 0; i < n_frames; i++) {
                        cr_assert(frame_next(frames, &offset, &frame_type, &json));
                        n += !type || slice_eq_str(frame_type, type);
                }
                at += n_frames;
        }
        store_abort(t);
        cr_assert_eq(at, x->seq + 1, "the history ends at %llu, the state says %llu",
                     (unsigned long long)at - 1, (unsigned long long)x->seq);
        execution_free(x);
        return n;
}

static void fail_on_fault(void *userdata, const char *table, const char *key, const char *sentence) {
        cr_assert_fail("%s %s: %s", table, key, sentence);
}

void world_check(World *w, bool deep) {
        RuntimeCheck check = {.deep = deep, .fault = fail_on_fault};
        Clock clock = {fake_now, w};
        Ids ids = {fake_random, w};
        uint64_t random = w->random;
        cr_assert_eq(runtime_check(&w->settings, w->store, clock, ids, &check), 0);
        w->random = random; /* looking changes nothing of what comes */
}

const char *world_eventful(World *w) {
        world_register(
                w,
                RUNBOOK("r", "1",
                        CALL("a", "") "," WAIT_EVENT("e", "\"a\"", "${input.host}") "," APPROVE(
                                "ok",
                                "\"e\"") "," CALL("b",
                                                  "\"ok\"") "," STEP("t",
                                                                     "\"type\":\"wait\",\"dependsOn\":[\"b\"]"
                                                                     ",\"config\":{\"durationMs\":500}")));
        const char *id = world_start(w, "r", "{\"host\":\"h\"}");
        world_answer(w, world_task(w, id, "a"), false,
                     "{\"code\":\"HTTP_503\",\"message\":\"busy\",\"retryable\":true}");
        world_run(w);
        world_pass(w, 30000);
        world_answer(w, world_task(w, id, "a"), true, "{\"status\":200}");
        world_run(w);
        world_pass(w, 10);
        world_ask(w, request_event("h", "{\"seen\":true}", "ev"));
        world_ask(w, request_command(INPUT_PAUSE, id, "alice"));
        world_pass(w, 100);
        world_ask(w, request_command(INPUT_RESUME, id, "alice"));
        world_ask(w, request_approve(id, "ok", "mallory"));
        world_ask(w, request_approve(id, "ok", "bob"));
        world_answer(w, world_task(w, id, "b"), true, "{\"status\":204}");
        world_run(w);
        return id;
}
