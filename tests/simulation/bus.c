/*
 * The bus: core messages that get lost, come twice, late and in another order; answers that find nobody. The
 * functions of subjects/bus.h are answered here, so the codecs above them are the real ones.
 */
#include "sim.h"

#include <errno.h>
#include <stdlib.h>

#define LATE_MAX_MS 20000

typedef struct Mail {
        char *subject, *body, *command_id, *reply; /* owned; command_id may be NULL */
        size_t n_body;
        int64_t from_ms; /* not delivered before */
} Mail;

/** A message in the engine's hands, which owes one answer. */
typedef struct Delivery {
        uint64_t number;
        int command;
        bool open;
} Delivery;

struct Net {
        Mail *mails;
        size_t n, cap;
        Delivery *open;
        size_t n_open, cap_open;
        uint64_t n_delivered;
};

Net *net_new(void) {
        Net *n = sim_realloc(NULL, sizeof(*n));
        *n = (Net){0};
        return n;
}

static void mail_deinit(Mail *m) {
        free(m->subject);
        free(m->body);
        free(m->command_id);
        free(m->reply);
}

void net_free(Net *n) {
        for (size_t i = 0; i < n->n; i++)
                mail_deinit(&n->mails[i]);
        free(n->mails);
        free(n->open);
        free(n);
}

size_t net_waiting(const Net *n) { return n->n; }
bool bus_is_away(const Sim *s) { return s->now_ms < s->bus_away_until_ms; }

void net_process_ended(Sim *s) { s->net->n_open = 0; }

/* ---- to the engine ------------------------------------------------------------------------------------ */

static void post(Sim *s, const char *subject, Slice body, const char *command_id, int command) {
        Net *n = s->net;
        char reply[64];
        SIM_GROW(n->mails, n->n, n->cap);
        Mail *m = &n->mails[n->n++];
        *m = (Mail){.subject = sim_dup(slice_from_str(subject)), .body = sim_dup(body), .n_body = body.n};
        m->command_id = command_id ? sim_dup(slice_from_str(command_id)) : NULL;
        snprintf(reply, sizeof(reply), "_INBOX.sim.%d.%llu", command, (unsigned long long)++n->n_delivered);
        m->reply = sim_dup(slice_from_str(reply));
        m->from_ms = sim_fault(s, FAULT_MESSAGE_LATE) ? s->now_ms + rng_range(&s->rng, 0, LATE_MAX_MS) : 0;
}

void net_send(Sim *s, const char *subject, Slice body, const char *command_id, int command) {
        if (sim_fault(s, FAULT_MESSAGE_LOST)) {
                sim_tell(s, "bus: lost on the way to the engine");
                return;
        }
        post(s, subject, body, command_id, command);
        if (sim_fault(s, FAULT_MESSAGE_TWICE))
                post(s, subject, body, command_id, command);
}

static const char *mail_header(void *userdata, const char *name) {
        const Mail *m = userdata;
        return strcmp(name, "Nats-Msg-Id") == 0 ? m->command_id : NULL;
}

void bus_hand_over(Sim *s, const Message *m, bool queue) {
        SubjectParts parts;
        Report report = {0};
        EndpointId id = ENDPOINT_CMD;

        if (!queue) {
                subject_split(m->subject, SLICE(SIM_PREFIX), &parts, &report);
                if (slice_eq_str(parts.family, "event"))
                        id = ENDPOINT_EVENT;
                else if (slice_eq_str(parts.family, "query"))
                        id = ENDPOINT_QUERY;
                report_deinit(&report);
        }
        memory_enter(s);
        if (queue)
                queue_handle(s->subjects, m);
        else
                family_handle(s->subjects, id, m, false);
        memory_leave();
}

static Delivery *find_open(Net *n, uint64_t number) {
        for (size_t i = 0; i < n->n_open; i++)
                if (n->open[i].number == number)
                        return &n->open[i];
        return NULL;
}

bool net_deliver(Sim *s) {
        Net *n = s->net;
        size_t at = 0, candidates = 0;

        if (!process_is_up(s) || bus_is_away(s))
                return false;
        for (size_t i = 0; i < n->n; i++)
                if (s->healing || n->mails[i].from_ms <= s->now_ms) {
                        at = candidates == 0 ? i : at;
                        candidates++;
                }
        if (candidates == 0)
                return false;
        Mail m = n->mails[at];
        memmove(&n->mails[at], &n->mails[at + 1], (n->n - at - 1) * sizeof(m));
        n->n--;
        const char *dot = strrchr(m.reply, '.');
        uint64_t number = strtoull(dot + 1, NULL, 10);
        SIM_GROW(n->open, n->n_open, n->cap_open);
        n->open[n->n_open++] = (Delivery){.number = number, .open = true};
        sim_tell(s, "deliver %s %.*s -> %s", m.subject, (int)(m.n_body > 200 ? 200 : m.n_body), m.body,
                 m.reply);
        Message message = {.subject = slice_from_str(m.subject),
                           .body = {m.body, m.n_body},
                           .reply = slice_from_str(m.reply),
                           .header = mail_header,
                           .userdata = &m};
        bus_hand_over(s, &message, false);
        mail_deinit(&m);
        return true;
}

void net_check_answered(Sim *s) {
        Net *n = s->net;
        for (size_t i = 0; i < n->n_open; i++)
                if (n->open[i].open) {
                        sim_fail(s, "unanswered", "delivery %llu got no answer from a living, idle engine",
                                 (unsigned long long)n->open[i].number);
                        return;
                }
        n->n_open = 0;
}

/* ---- from the engine (subjects/bus.h) ------------------------------------------------------------------- */

/** "_INBOX.sim.<command>.<delivery>", or "_INBOX.queue.<command>". */
static void take_answer(Sim *s, Slice subject, RunbookCode code, Slice body) {
        char text[128];
        int command;
        unsigned long long number;

        snprintf(text, sizeof(text), "%.*s", SLICE_ARG(subject));
        sim_tell(s, "answer %s %s %.*s", text, runbook_code_name(code), (int)(body.n > 300 ? 300 : body.n),
                 body.data);
        if (sscanf(text, "_INBOX.queue.%d", &command) == 1) {
                if (!code_is_durable(code))
                        sim_fail(s, "given up", "a durable command is told %s for good",
                                 runbook_code_name(code));
                people_answered(s, command, code, body, true);
                return;
        }
        if (sscanf(text, "_INBOX.sim.%d.%llu", &command, &number) != 2) {
                sim_fail(s, "stray answer", "an answer went to %s", text);
                return;
        }
        Delivery *d = find_open(s->net, number);
        if (!d || !d->open) {
                sim_fail(s, "answered twice", "%s was answered twice", text);
                return;
        }
        d->open = false;
        if (sim_fault(s, FAULT_MESSAGE_LOST) || bus_is_away(s)) {
                sim_tell(s, "bus: the answer is lost");
                return;
        }
        people_answered(s, command, code, body, code_is_durable(code));
}

void bus_reply(Bus *b, Slice subject, RunbookCode code, Slice body) {
        Sim *s = the_sim;
        if (s->dead || sim_may_die(s, "before an answer"))
                return;
        int was = memory_suspend();
        take_answer(s, subject, code, body);
        memory_resume(was);
}

void bus_reply_now(Bus *b, Slice subject, RunbookCode code, Slice body) { bus_reply(b, subject, code, body); }

void bus_queue_ack(Bus *b, Slice ack, bool done) {
        Sim *s = the_sim;
        if (s->dead || bus_is_away(s) || sim_may_die(s, "before an acknowledgement"))
                return;
        int was = memory_suspend();
        queue_acked(s, ack, done);
        memory_resume(was);
}

void bus_queue_hold(Bus *b, Slice ack) { bus_queue_ack(b, ack, false); }

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
int bus_request(Bus *b, const char *subject, const char *reply, Slice body) { return -EAGAIN; }
uint64_t bus_n_reconnects(const Bus *b) { return 0; }
uint64_t bus_queue_n_held(const Bus *b) { return 0; }
bool bus_is_connected(const Bus *b) { return !bus_is_away(the_sim); }

static int callback(int (*f)(Sim *, const AuditMessage *, size_t, uint64_t *), const AuditMessage *messages,
                    size_t n, uint64_t *ret) {
        int was = memory_suspend();
        int r = f(the_sim, messages, n, ret);
        memory_resume(was);
        return r;
}

int bus_audit_publish(void *userdata, const AuditMessage *messages, size_t n, uint64_t *ret_stream_seq) {
        return callback(audit_publish, messages, n, ret_stream_seq);
}
int bus_audit_tail(void *userdata, AuditTail *ret) { return audit_tail(the_sim, ret); }
uint64_t bus_audit_epoch(void *userdata) { return audit_epoch(the_sim); }

/* The simulation's executors send nothing, and no worker waits here. */
int bus_outlet_send(void *userdata, const OutMessage *m) { return -EAGAIN; }
void bus_outlet_retract(void *userdata, uint64_t stream_seq, uint64_t epoch) {}
void bus_outlet_acknowledge(void *userdata, Slice ack) {}
size_t bus_outlet_payload_max(void *userdata) { return bus_payload_max(NULL); }
void bus_outlet_forget(void *userdata, void *owner) {}
int bus_pull(Bus *b, const BusPull *pull) { return -EAGAIN; }
