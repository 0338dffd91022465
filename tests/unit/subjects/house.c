#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "house.h"

static House *the_house; /* the fake bus has no state of its own: one test, one process, one house */

/* ---- the fake bus ------------------------------------------------------------------ */

void (*house_in_bus)(bool inside);

static void note(Sent *list, int *n, Slice subject, RunbookCode code, Slice body) {
        if (house_in_bus)
                house_in_bus(true);
        cr_assert_lt(*n, HOUSE_SENT_MAX);
        list[(*n)++] = (Sent){slice_dup(subject), slice_dup(body), body.n, code};
        if (house_in_bus)
                house_in_bus(false);
}

void bus_reply(Bus *b, Slice subject, RunbookCode code, Slice body) {
        note(the_house->sent, &the_house->n_sent, subject, code, body);
}
void bus_reply_now(Bus *b, Slice subject, RunbookCode code, Slice body) { bus_reply(b, subject, code, body); }
void bus_queue_ack(Bus *b, Slice ack, bool done) {
        note(the_house->acks, &the_house->n_acks, ack, done ? RUNBOOK_OK : RUNBOOK_UNAVAILABLE, SLICE_NULL);
}
void bus_queue_hold(Bus *b, Slice ack) { bus_queue_ack(b, ack, false); }
int bus_request(Bus *b, const char *subject, const char *reply, Slice body) { return -EAGAIN; }
size_t bus_payload_max(const Bus *b) { return the_house->payload_max; }
bool log_gate_pass(LogGate *g, uint64_t *ret_held) {
        *ret_held = g->n_held++;
        return false;
}
int bus_new(const BusOptions *options, Report *report, Bus **ret) { return -ENOSYS; }
int bus_claim(const SubjectsSettings *settings, bool adopt, Report *report) { return 0; }
int bus_start(Bus *b) { return -ENOSYS; }
void bus_stop(Bus *b, int64_t timeout_ms) {}
void bus_free(Bus *b) {}
uint64_t bus_n_reconnects(const Bus *b) { return 0; }
uint64_t bus_queue_n_held(const Bus *b) { return 0; }
bool bus_is_connected(const Bus *b) { return true; }
int bus_audit_publish(void *userdata, const AuditMessage *messages, size_t n, uint64_t *ret) {
        return -EAGAIN;
}
int bus_audit_tail(void *userdata, AuditTail *ret) { return -EAGAIN; }
uint64_t bus_audit_epoch(void *userdata) { return 1; }
int bus_outlet_send(void *userdata, const OutMessage *m) { return -EAGAIN; }
void bus_outlet_retract(void *userdata, uint64_t stream_seq, uint64_t epoch) {}
void bus_outlet_acknowledge(void *userdata, Slice ack) {}
size_t bus_outlet_payload_max(void *userdata) { return the_house->payload_max; }
void bus_outlet_forget(void *userdata, void *owner) {}
int bus_pull(Bus *b, const BusPull *pull) { return -EAGAIN; }

/* ---- the house --------------------------------------------------------------------- */

static int64_t now_ms(void *userdata) { return ((House *)userdata)->now_ms; }

static void random_words(void *userdata, uint64_t *words, size_t n) {
        House *h = userdata;
        for (size_t i = 0; i < n; i++) {
                h->random = h->random * 6364136223846793005u + 1442695040888963407u;
                words[i] = h->random ^ h->random >> 29;
        }
}

static int submit(void *userdata, Request *r) {
        House *h = userdata;
        if (h->submit_result)
                return h->submit_result;
        h->n_submitted++;
        if (h->runtime)
                return runtime_submit(h->runtime, r);
        request_free(h->kept);
        h->kept = r;
        return 0;
}

static int lookup(void *userdata, StoreTxn *t, Slice tenant, Slice id, Slice version, Runbook **ret) {
        return runtime_runbook_lookup(((House *)userdata)->runtime, t, tenant, id, version, ret);
}

House *house_new(bool with_runtime) {
        House *h = calloc(1, sizeof(*h));
        StoreOptions store = {.backend = "memory"};
        Report report = {0};
        the_house = h;
        h->now_ms = 1767225600000; /* 2026-01-01 */
        h->random = 42;
        h->payload_max = 1024 * 1024;
        h->settings = (SubjectsSettings){.prefix = PREFIX,
                                         .engine_id = "0190a0b0-0000-7000-8000-000000000001",
                                         .version = "0.1.0"};
        Clock clock = {now_ms, h};
        Ids ids = {random_words, h};
        if (with_runtime) {
                RuntimeSettings settings = {
                                .engine = {.max_concurrent_steps = 5, .source = SLICE("runbookd/test")},
                                .definitions = runbook_defaults_builtin,
                                .subject_prefix = SLICE(PREFIX),
                };
                cr_assert_eq(store_open(&store, uuid_v7(1, 2, 3), &report, &h->store), 0);
                cr_assert_eq(runtime_new(&settings, h->store, clock, ids, NULL, &h->runtime), 0);
                cr_assert_eq(runtime_recover(h->runtime, &report), 0);
        }
        SubjectsHost host = {
                        .submit = submit,
                        .lookup = lookup,
                        .store = h->store,
                        .definitions = &runbook_defaults_builtin,
                        .clock = clock,
                        .ids = ids,
                        .userdata = h,
        };
        cr_assert_eq(subjects_init(&h->subjects, &h->settings, &host), 0);
        return h;
}

static void sent_free(Sent *list, int *n) {
        for (int i = 0; i < *n; i++) {
                free(list[i].subject);
                free(list[i].body);
        }
        *n = 0;
}

void house_forget(House *h) {
        sent_free(h->sent, &h->n_sent);
        sent_free(h->acks, &h->n_acks);
        request_free(h->kept);
        h->kept = NULL;
        h->n_submitted = 0;
}

void house_free(House *h) {
        /* A request that was kept still owes its answer: give it, so that nothing leaks. */
        if (h->kept && h->kept->userdata)
                h->kept->done(h->kept, RUNBOOK_UNAVAILABLE, SLICE("{}"), false);
        house_forget(h);
        if (h->runtime)
                runtime_stop(h->runtime, 0);
        runtime_free(h->runtime);
        subjects_deinit(&h->subjects);
        store_close(h->store);
        free(h);
}

void house_run(House *h) {
        int64_t next;
        int r = 0;
        for (int i = 0; h->runtime && i < 10000 && r == 0; i++)
                r = runtime_turn(h->runtime, &next);
        cr_assert_geq(r, 0);
}

/* ---- messages ---------------------------------------------------------------------- */

static const char *header(void *userdata, const char *name) {
        for (const Header *x = userdata; x && x->name; x++)
                if (!strcmp(x->name, name))
                        return x->value;
        return NULL;
}

void house_send(House *h, const char *tail, const char *reply, const void *body, size_t n,
                const Header *headers) {
        char subject[8192];
        snprintf(subject, sizeof(subject), PREFIX ".%s", tail);
        Message m = {slice_from_str(subject), {body, n}, slice_from_str(reply), header, (void *)headers};
        const char *family = strchr(tail, '.');
        EndpointId id = family && !strncmp(family, ".event", 6)   ? ENDPOINT_EVENT
                        : family && !strncmp(family, ".query", 6) ? ENDPOINT_QUERY
                                                                  : ENDPOINT_CMD;
        if (h->kept && h->kept->userdata)
                h->kept->done(h->kept, RUNBOOK_UNAVAILABLE, SLICE("{}"), false);
        house_forget(h);
        family_handle(&h->subjects, id, &m, false);
        house_run(h);
}

Sent *house_ask(House *h, const char *tail, const char *body) {
        house_send(h, tail, INBOX, body, body ? strlen(body) : 0, NULL);
        cr_assert_eq(h->n_sent, 1, "%d answers to %s", h->n_sent, tail);
        cr_assert_str_eq(h->sent[0].subject, INBOX);
        return &h->sent[0];
}

json_t *house_get(House *h, const char *tail, const char *body) {
        Sent *s = house_ask(h, tail, body);
        cr_assert_eq(s->code, RUNBOOK_OK, "%s: %s", tail, s->body);
        json_t *json = json_parse_own((Slice){s->body, s->n_body});
        cr_assert_not_null(json, "not JSON: %s", s->body);
        return json;
}

void house_queue(House *h, const char *tail, const char *body, const char *ack, const Header *headers) {
        char subject[8192];
        snprintf(subject, sizeof(subject), PREFIX ".%s", tail);
        const char *proper = "$JS.ACK.RUNBOOK_QUEUE.runbookd.1.17.3.1767225600123456789.0";
        Message m = {slice_from_str(subject),
                     {body, body ? strlen(body) : 0},
                     slice_from_str(ack ? ack : proper),
                     header,
                     (void *)headers};
        if (h->kept && h->kept->userdata)
                h->kept->done(h->kept, RUNBOOK_UNAVAILABLE, SLICE("{}"), false);
        house_forget(h);
        queue_handle(&h->subjects, &m);
        house_run(h);
}

void house_check_error(const Sent *s, RunbookCode code) {
        json_t *json = json_parse_own((Slice){s->body, s->n_body});
        cr_assert_not_null(json, "not JSON: %s", s->body);
        const char *name = json_string_value(json_object_get(json, "error")),
                   *message = json_string_value(json_object_get(json, "message"));
        cr_assert_str_eq(json_string_value(json_object_get(json, "version")), "v1");
        cr_assert_not_null(name);
        cr_assert_str_eq(name, runbook_code_name(code), "%s", s->body);
        cr_assert_eq(s->code, code);
        cr_assert(message && strlen(message) > 8, "%s", s->body);
        const json_t *details = json_object_get(json, "details"), *detail;
        size_t i;
        cr_assert(!details || json_array_size(details) > 0);
        json_array_foreach((json_t *)details, i, detail) {
                const char *path = json_string_value(json_object_get(detail, "path"));
                cr_assert(path && (path[0] == 0 || path[0] == '/'), "%s", s->body);
                cr_assert_not_null(json_string_value(json_object_get(detail, "message")));
        }
        json_decref(json);
}
