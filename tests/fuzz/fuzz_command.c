/*
 * A message from a client: subject, headers and body, as commands, external events and messages of the durable queue.
 * Whatever it is, it gets one answer; and a request that goes to the writer keeps the protocol's caps and is what the
 * subject says. First line: c, e or q and the subject behind the prefix; second: the command id; the rest is the body.
 */
#include <errno.h>
#include <string.h>

#include "fuzz.h"
#include "model/limits.h"
#include "subjects/handler.h"

#define PREFIX "runbook.v1"

static struct {
        Subjects subjects;
        SubjectsSettings settings;
        bool is_made;
        unsigned n_answers, n_submitted;
        const char *command_id;
} world;

/* ---- the bus, which only counts ---------------------------------------------------------------- */

void bus_reply(Bus *b, Slice subject, RunbookCode code, Slice body) {
        PROMISE(body.n > 1 && body.data[0] == '{' && body.data[body.n - 1] == '}',
                "an answer is a JSON object");
        PROMISE(slice_is_utf8(body), "an answer is UTF-8");
        world.n_answers++;
}
void bus_reply_now(Bus *b, Slice subject, RunbookCode code, Slice body) { bus_reply(b, subject, code, body); }
void bus_queue_ack(Bus *b, Slice ack, bool done) { world.n_answers++; }
void bus_queue_hold(Bus *b, Slice ack) { world.n_answers++; }
int bus_request(Bus *b, const char *subject, const char *reply, Slice body) { return -EAGAIN; }
size_t bus_payload_max(const Bus *b) { return 1024 * 1024; }
bool log_gate_pass(LogGate *g, uint64_t *ret_held) {
        *ret_held = 0;
        return false;
}
int bus_claim(const SubjectsSettings *settings, bool adopt, Report *report) { return 0; }
int bus_new(const BusOptions *options, Report *report, Bus **ret) { return -ENOSYS; }
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
uint64_t bus_audit_epoch(void *userdata) { return 0; }
int bus_outlet_send(void *userdata, const OutMessage *m) { return -EAGAIN; }
void bus_outlet_retract(void *userdata, uint64_t stream_seq, uint64_t epoch) {}
void bus_outlet_acknowledge(void *userdata, Slice ack) {}
size_t bus_outlet_payload_max(void *userdata) { return 1024 * 1024; }
void bus_outlet_forget(void *userdata, void *owner) {}
int bus_pull(Bus *b, const BusPull *pull) { return -EAGAIN; }

/* ---- the house ---------------------------------------------------------------------------------- */

static int submit(void *userdata, Request *q) {
        world.n_submitted++;
        PROMISE(q->input.tenant.n > 0 && q->input.tenant.n <= 128 && slice_is_utf8(q->input.tenant),
                "a tenant");
        PROMISE(q->input.user.n > 0 && q->input.user.n <= 128 && slice_is_utf8(q->input.user), "a user");
        PROMISE(q->input.command_id.n <= LIMIT_COMMAND_ID_BYTES, "a command id is short");
        PROMISE(q->event_type.n <= LIMIT_EVENT_TYPE_BYTES, "an event type is short");
        PROMISE(q->correlation.n <= LIMIT_CORRELATION_BYTES, "a correlation id is short");
        PROMISE(q->input.text.n <= LIMIT_TEXT_ARG_BYTES, "a text is short");
        PROMISE(!q->input.value || value_bytes(q->input.value).n <= LIMIT_VALUE_BYTES, "a value has a cap");
        PROMISE(q->kind != REQUEST_REGISTER || q->runbook, "what is registered was compiled");
        PROMISE(q->kind != REQUEST_START || q->input.context, "a start has a context");
        q->done(q, RUNBOOK_OK, SLICE("{\"version\":\"v1\"}"), true);
        request_free(q);
        return 0;
}

static int lookup(void *userdata, StoreTxn *t, Slice tenant, Slice id, Slice version, Runbook **ret) {
        return STORE_E_NOT_FOUND;
}
static int64_t now_ms(void *userdata) { return 1767225600000; }
static void random_words(void *userdata, uint64_t *words, size_t n) { memset(words, 7, n * sizeof(*words)); }

static void make_world(void) {
        SubjectsHost host = {.submit = submit,
                             .lookup = lookup,
                             .definitions = &runbook_defaults_builtin,
                             .clock = {now_ms, NULL},
                             .ids = {random_words, NULL}};
        world.settings = (SubjectsSettings){.prefix = PREFIX,
                                            .engine_id = "0190a0b0-0000-7000-8000-000000000001",
                                            .version = "0"};
        PROMISE(subjects_init(&world.subjects, &world.settings, &host) == 0, "the handlers are made");
        world.is_made = true;
}

static const char *header(void *userdata, const char *name) {
        return !strcmp(name, "Nats-Msg-Id") && *world.command_id ? world.command_id : NULL;
}

/** Up to the next line's end; a copy that ends in NUL. */
static char *take_line(Slice *rest, const char *before) {
        const char *end = rest->n ? memchr(rest->data, '\n', rest->n) : NULL;
        size_t n = end ? (size_t)(end - rest->data) : rest->n, n_before = strlen(before);
        char *line = malloc(n_before + n + 1);
        if (!line)
                abort();
        memcpy(line, before, n_before);
        memcpy(line + n_before, rest->data ? rest->data : "", n);
        line[n_before + n] = 0;
        size_t used = end ? n + 1 : n;
        *rest = (Slice){rest->data + used, rest->n - used};
        return line;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        if (!world.is_made)
                make_world();
        if (size < 2)
                return 0;
        char kind = (char)data[0];
        Slice rest = {(const char *)data + 1, size - 1};
        char *subject = take_line(&rest, PREFIX "."), *id = take_line(&rest, "");
        /* A queue message has the reply subject by which the stream is told. */
        Message m = {.subject = slice_from_str(subject),
                     .body = rest,
                     .reply = kind == 'q' ? SLICE("$JS.ACK.RUNBOOK_QUEUE.runbookd.1.7.7.1767225600000000000."
                                                  "0")
                                          : SLICE("_INBOX.fuzz"),
                     .header = header};
        world.n_answers = world.n_submitted = 0;
        world.command_id = id;
        if (kind == 'q')
                queue_handle(&world.subjects, &m);
        else
                family_handle(&world.subjects, kind == 'e' ? ENDPOINT_EVENT : ENDPOINT_CMD, &m, false);
        PROMISE(world.n_answers == 1, "every message has one answer");
        PROMISE(world.n_submitted <= 1, "one message is one request");
        free(subject);
        free(id);
        return 0;
}
