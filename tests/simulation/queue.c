/*
 * The durable queue RUNBOOK_QUEUE as its consumer sees it: kept until acknowledged, delivered again after a
 * while, and after a bad end of the server without its latest messages, though it had acknowledged them.
 */
#include "sim.h"

#include <stdlib.h>

typedef struct Kept {
        uint64_t seq;
        int64_t stored_ns, due_ms; /* when it is delivered (again) */
        char *subject, *body, *command_id;
        size_t n_body;
        int command;
        uint32_t n_delivered;
} Kept;

struct Queue {
        Kept *kept;
        size_t n, cap;
        uint64_t last_seq, n_deliveries;
};

Queue *queue_new(void) {
        Queue *q = sim_realloc(NULL, sizeof(*q));
        *q = (Queue){0};
        return q;
}

static void drop(Queue *q, size_t i) {
        free(q->kept[i].subject);
        free(q->kept[i].body);
        free(q->kept[i].command_id);
        memmove(&q->kept[i], &q->kept[i + 1], (q->n - i - 1) * sizeof(q->kept[i]));
        q->n--;
}

void queue_free(Queue *q) {
        while (q->n > 0)
                drop(q, q->n - 1);
        free(q->kept);
        free(q);
}

size_t queue_waiting(const Queue *q) { return q->n; }

int64_t queue_next_ms(const Queue *q) {
        int64_t next = INT64_MAX;
        for (size_t i = 0; i < q->n; i++)
                if (q->kept[i].due_ms < next)
                        next = q->kept[i].due_ms;
        return next;
}

void queue_put(Sim *s, const char *subject, Slice body, const char *command_id, int command) {
        Queue *q = s->queue;
        SIM_GROW(q->kept, q->n, q->cap);
        Kept *k = &q->kept[q->n++];
        *k = (Kept){.seq = ++q->last_seq,
                    .stored_ns = s->now_ms * 1000000 + (int64_t)rng_below(&s->rng, 1000000),
                    .subject = sim_dup(slice_from_str(subject)),
                    .body = sim_dup(body),
                    .n_body = body.n,
                    .command_id = command_id ? sim_dup(slice_from_str(command_id)) : NULL,
                    .command = command};
        sim_tell(s, "queue: %llu is kept", (unsigned long long)k->seq);
}

typedef struct Head {
        const Kept *kept;
        char reply_to[64];
} Head;

static const char *kept_header(void *userdata, const char *name) {
        const Head *h = userdata;
        if (strcmp(name, "Nats-Msg-Id") == 0)
                return h->kept->command_id;
        return strcmp(name, "Runbook-Reply-To") == 0 ? h->reply_to : NULL;
}

bool queue_deliver(Sim *s) {
        Queue *q = s->queue;
        size_t at = 0;

        if (!process_is_up(s) || bus_is_away(s))
                return false;
        while (at < q->n && q->kept[at].due_ms > s->now_ms && !sim_fault(s, FAULT_QUEUE_AGAIN))
                at++;
        if (at == q->n)
                return false;
        Kept *k = &q->kept[at];
        char ack[160];
        Head head = {.kept = k};
        snprintf(head.reply_to, sizeof(head.reply_to), "_INBOX.queue.%d", k->command);
        k->n_delivered++;
        k->due_ms = s->now_ms + QUEUE_ACK_WAIT_MS;
        snprintf(ack, sizeof(ack), "$JS.ACK.%s.%s.%u.%llu.%llu.%lld.%zu", STREAM_QUEUE, QUEUE_CONSUMER,
                 k->n_delivered, (unsigned long long)k->seq, (unsigned long long)++q->n_deliveries,
                 (long long)k->stored_ns, q->n);
        sim_tell(s, "queue: deliver %llu %s %.*s", (unsigned long long)k->seq, k->subject,
                 (int)(k->n_body > 200 ? 200 : k->n_body), k->body);
        /* The codecs may acknowledge at once, and the message is gone then: they get copies. */
        char *subject = sim_dup(slice_from_str(k->subject)), *body = sim_dup((Slice){k->body, k->n_body});
        char *command_id = k->command_id ? sim_dup(slice_from_str(k->command_id)) : NULL;
        Kept copy = {.command_id = command_id};
        head.kept = &copy;
        Message m = {.subject = slice_from_str(subject),
                     .body = {body, k->n_body},
                     .reply = slice_from_str(ack),
                     .header = kept_header,
                     .userdata = &head};
        bus_hand_over(s, &m, true);
        free(subject);
        free(body);
        free(command_id);
        return true;
}

void queue_acked(Sim *s, Slice ack, bool done) {
        Queue *q = s->queue;
        char identity[64];

        if (!queue_identity(ack, identity, sizeof(identity))) {
                sim_fail(s, "stray ack", "%.*s is no acknowledgement", SLICE_ARG(ack));
                return;
        }
        sim_tell(s, "queue: %s %s", identity, done ? "is done" : "is wanted again");
        for (size_t i = 0; i < q->n; i++) {
                char of[64];
                snprintf(of, sizeof(of), "queue/%lld/%llu", (long long)q->kept[i].stored_ns,
                         (unsigned long long)q->kept[i].seq);
                if (strcmp(of, identity) != 0)
                        continue;
                if (done)
                        people_acked(s, q->kept[i].command, identity);
                if (done)
                        drop(q, i);
                else
                        q->kept[i].due_ms = s->now_ms + QUEUE_NAK_DELAY_MS;
                return;
        }
}

void queue_lose(Sim *s) {
        Queue *q = s->queue;
        size_t n = q->n ? 1 + rng_below(&s->rng, (uint32_t)q->n) : 0;
        if (n == 0)
                return;
        sim_tell(s, "queue: loses %zu", n);
        for (size_t i = 0; i < n; i++)
                drop(q, q->n - 1);
        q->last_seq = q->n ? q->kept[q->n - 1].seq : q->last_seq - (q->last_seq >= n ? n : q->last_seq);
}
