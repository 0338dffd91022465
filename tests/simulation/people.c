/*
 * People and machines that send commands: what fits, what doesn't fit any more, what never made sense; the
 * same again, the same id with another body; by request-reply or through the durable queue. And what they may
 * hold the engine to: one recorded answer for each command id, and nothing lost that was accepted.
 */
#include "sim.h"

#include <stdlib.h>

#include "base/cleanup.h"
#include "json/json_read.h"

#define RUNBOOKS_MAX 8
#define HELP_VOTERS  5

typedef struct Command {
        char verb[12];
        char *subject, *body;
        char id[40]; /* "": none */
        const char *tenant, *user;
        bool queue; /* by the durable queue (first) */
        Uuid execution;
        char step[72];
        bool approved; /* verb approve */
        bool recorded; /* its answer is kept by the engine */
        int group;     /* the first command with the same id */
        uint32_t n_sent;
        bool answered; /* by something that counts */
        RunbookCode code;
        char *answer;
} Command;

struct People {
        Command *commands;
        size_t n, cap;
        struct {
                char id[16], *text;
                const char *tenant;
                bool sent;
        } runbooks[RUNBOOKS_MAX * 2];
        size_t n_runbooks;
        uint32_t serial;
        int *owner; /* by group: the command whose answer the id stands for; -1: not known */
        size_t cap_owner;
        size_t insisted;
};

static const char *const users[] = {"alice", "bob", "carol", "dave", "mallory"};
static const char *const tenants[] = {"acme", "umbrella"};

People *people_new(Sim *s) {
        People *p = sim_realloc(NULL, sizeof(*p));
        Rng r = rng_of(s->seed, UINT64_MAX - 1);
        const char *others[RUNBOOKS_MAX];

        *p = (People){0};
        for (size_t t = 0; t < N_ELEMENTS(tenants); t++)
                for (uint32_t i = 0; i < s->plan.n_runbooks; i++) {
                        snprintf(p->runbooks[p->n_runbooks].id, sizeof(p->runbooks[0].id), "r%u", i);
                        p->runbooks[p->n_runbooks].tenant = tenants[t];
                        for (uint32_t k = 0; k < i; k++)
                                others[k] = p->runbooks[k].id;
                        p->runbooks[p->n_runbooks].text =
                                        definition_draw(&r, p->runbooks[p->n_runbooks].id, "1", others, i);
                        p->n_runbooks++;
                }
        return p;
}

void people_free(People *p) {
        for (size_t i = 0; i < p->n; i++) {
                free(p->commands[i].subject);
                free(p->commands[i].body);
                free(p->commands[i].answer);
        }
        for (size_t i = 0; i < p->n_runbooks; i++)
                free(p->runbooks[i].text);
        free(p->commands);
        free(p->owner);
        free(p);
}

/* ---- sending --------------------------------------------------------------------------------------------- */

static Command *command_new(People *p, const char *verb, const char *tenant, const char *user) {
        SIM_GROW(p->commands, p->n, p->cap);
        Command *c = &p->commands[p->n];
        *c = (Command){.tenant = tenant, .user = user, .group = (int)p->n};
        snprintf(c->verb, sizeof(c->verb), "%s", verb);
        p->n++;
        return c;
}

static void set_subject(Command *c, const char *family, const char *rest) {
        char text[512];
        snprintf(text, sizeof(text), SIM_PREFIX ".%s.%s.%s.%s", c->tenant, family, c->user, rest);
        free(c->subject);
        c->subject = sim_dup(slice_from_str(text));
}

static void set_body(Command *c, const char *body) {
        free(c->body);
        c->body = sim_dup(slice_from_str(body));
}

/** "…​.cmd.alice.start" by the queue is "….queue.alice.start", "….event.alice.x" is "….queue.alice.event.x". */
static void send_queued(Sim *s, const Command *c, int index) {
        char subject[600], head[128];
        const char *rest = c->subject + snprintf(head, sizeof(head), SIM_PREFIX ".%s.", c->tenant);
        bool event = strncmp(rest, "event.", 6) == 0;
        rest = strchr(rest, '.') + 1 + strlen(c->user) + 1;
        snprintf(subject, sizeof(subject), "%squeue.%s.%s%s", head, c->user, event ? "event." : "", rest);
        queue_put(s, subject, slice_from_str(c->body), c->id[0] ? c->id : NULL, index);
}

static void send(Sim *s, int index) {
        Command *c = &s->people->commands[index];
        bool queue = c->queue;
        if (c->n_sent > 0 && c->id[0] && !s->healing && rng_chance(&s->rng, 200))
                queue = !queue; /* the same command by the other road is still the same */
        c->n_sent++;
        if (queue)
                send_queued(s, c, index);
        else
                net_send(s, c->subject, slice_from_str(c->body), c->id[0] ? c->id : NULL, index);
}

static void name_command(Sim *s, Command *c, bool always) {
        c->queue = rng_chance(&s->rng, 250);
        if (always || rng_chance(&s->rng, 600))
                snprintf(c->id, sizeof(c->id), "c-%u", ++s->people->serial);
        c->recorded = c->id[0] != '\0' || c->queue;
}

/* ---- what is asked ------------------------------------------------------------------------------------- */

static const char *some_user(Sim *s) { return users[rng_below(&s->rng, N_ELEMENTS(users))]; }

static bool ask_register(Sim *s, size_t i) {
        People *p = s->people;
        Command *c = command_new(p, "register", p->runbooks[i].tenant, "alice");
        p->runbooks[i].sent = true;
        set_subject(c, "cmd", "register");
        set_body(c, p->runbooks[i].text);
        name_command(s, c, true);
        send(s, c->group);
        return true;
}

static void put_input(Sim *s, Buf *b) {
        static const char *const items[] = {"[]", "[1]", "[1,2,3]", "\"none\""};
        buf_printf(b, "{\"go\":%s,\"items\":%s,\"k\":\"%s\"}", rng_chance(&s->rng, 500) ? "true" : "false",
                   items[rng_below(&s->rng, rng_chance(&s->rng, 100) ? 4 : 3)],
                   rng_chance(&s->rng, 500) ? "a" : "b");
}

static void put_start(Sim *s, Buf *b, const char *runbook) {
        static const char *const bases[] = {"", "", ",\"authorizedUsers\":[\"alice\",\"bob\",\"carol\"]"};
        buf_printf(b,
                   "{\"runbookId\":\"%s\",\"context\":{\"assumptions\":[],\"legalBasis\":{\"authority\":"
                   "\"law\","
                   "\"classification\":\"internal\"%s}}",
                   runbook, bases[rng_below(&s->rng, 3)]);
        if (rng_chance(&s->rng, 950)) {
                buf_put_str(b, ",\"input\":");
                put_input(s, b);
        }
        switch (rng_below(&s->rng, 10)) {
        case 0:
                buf_put_str(b, ",\"options\":{\"dryRun\":true}");
                break;
        case 1:
                buf_printf(b, ",\"options\":{\"pauseAt\":\"s%u\"}", rng_below(&s->rng, 3));
                break;
        case 2:
                buf_put_str(b, ",\"options\":{\"skipIdempotencyCheck\":true}");
                break;
        case 3:
                buf_printf(b, ",\"options\":{\"idempotencyKey\":\"key-%u\"}", rng_below(&s->rng, 3));
                break;
        default:
                break;
        }
        buf_put_char(b, '}');
}

static bool ask_start(Sim *s) {
        People *p = s->people;
        size_t i = rng_below(&s->rng, (uint32_t)p->n_runbooks);
        _cleanup_(buf_deinit) Buf b = {0};
        Command *c = command_new(p, "start", p->runbooks[i].tenant,
                                 rng_chance(&s->rng, 800) ? "alice" : some_user(s));
        set_subject(c, "cmd", "start");
        put_start(s, &b, rng_chance(&s->rng, 970) ? p->runbooks[i].id : "nowhere");
        free(c->body);
        c->body = buf_steal_str(&b);
        name_command(s, c, false);
        send(s, c->group);
        return true;
}

/** Somebody's execution: the command's tenant is its own, but for a few. */
static Command *about(Sim *s, const char *verb, uint32_t *ret_index) {
        Uuid id;
        uint8_t status;
        Slice tenant;
        uint32_t n = books_count(s->books);
        *ret_index = n ? rng_below(&s->rng, n) : 0;
        if (n == 0)
                return NULL;
        if (rng_chance(&s->rng, 700) && n > 6)
                *ret_index = n - 1 - rng_below(&s->rng, 6); /* mostly the younger ones */
        books_execution(s->books, *ret_index, &id, &status, &tenant);
        bool other = rng_chance(&s->rng, 30);
        const char *of = slice_eq_str(tenant, tenants[0]) != other ? tenants[0] : tenants[1];
        Command *c = command_new(s->people, verb, of, rng_chance(&s->rng, 700) ? "alice" : some_user(s));
        c->execution = id;
        name_command(s, c, false);
        return c;
}

static bool ask_control(Sim *s) {
        static const char *const verbs[] = {"pause",  "pause",  "resume", "resume",
                                            "resume", "cancel", "replay"};
        static const char *const bodies[] = {"",   "{\"freezeClocks\":false}", "", "",
                                             "{}", "{\"reason\":\"why not\"}"};
        char rest[128], id[UUID_TEXT_SIZE + 1];
        uint32_t which = rng_below(&s->rng, rng_chance(&s->rng, 700) ? 5 : 7), index;
        Command *c = about(s, verbs[which], &index);
        if (!c)
                return false;
        uuid_format(c->execution, id);
        snprintf(rest, sizeof(rest), "%s.%s", c->verb, id);
        set_subject(c, "cmd", rest);
        bool verify = which == 6 && rng_chance(&s->rng, 600);
        set_body(c, which == 6 ? (verify ? "{\"mode\":\"verify\"}" : "{}") : bodies[which]);
        c->recorded = c->recorded && !verify;
        send(s, c->group);
        return true;
}

static bool ask_step(Sim *s, const char *verb) {
        char rest[256], id[UUID_TEXT_SIZE + 1];
        _cleanup_(buf_deinit) Buf token = {0};
        uint32_t index;
        Command *c = about(s, verb, &index);
        if (!c)
                return false;
        uuid_format(c->execution, id);
        snprintf(c->step, sizeof(c->step), "%s", books_some_path(s->books, index, &s->rng));
        name_put_token(&token, slice_from_str(c->step[0] ? c->step : "s0"));
        snprintf(rest, sizeof(rest), "%s.%s.%.*s", verb, id, (int)token.n, token.data);
        set_subject(c, "cmd", rest);
        if (strcmp(verb, "approve") == 0) {
                c->user = some_user(s);
                set_subject(c, "cmd", rest);
                c->approved = rng_chance(&s->rng, 750);
                set_body(c, c->approved ? "{\"decision\":\"approved\",\"comments\":\"fine\"}"
                                        : "{\"decision\":\"rejected\"}");
        } else {
                set_body(c, "");
        }
        send(s, c->group);
        return true;
}

static bool send_event(Sim *s, const char *tenant, const char *type, const char *correlation) {
        char rest[64], body[256], event_id[32] = "";
        Command *c = command_new(s->people, "event", tenant, "sensor");
        snprintf(rest, sizeof(rest), "%s", type);
        set_subject(c, "event", rest);
        if (rng_chance(&s->rng, 600))
                snprintf(event_id, sizeof(event_id), ",\"eventId\":\"e-%u\"",
                         rng_chance(&s->rng, 200) ? rng_below(&s->rng, 20) : 1000 + s->people->serial++);
        snprintf(body, sizeof(body), "{\"payload\":{\"n\":%u}%s%s%s%s}", rng_below(&s->rng, 100),
                 correlation[0] ? ",\"correlationId\":\"" : "", correlation, correlation[0] ? "\"" : "",
                 event_id);
        set_body(c, body);
        name_command(s, c, false);
        send(s, c->group);
        return true;
}

static bool ask_event(Sim *s) {
        static const char *const correlations[] = {"a", "b", "", "zzz"};
        return send_event(s, tenants[rng_chance(&s->rng, 200)],
                          rng_chance(&s->rng, 500) ? "alarm" : "door.open",
                          correlations[rng_below(&s->rng, rng_chance(&s->rng, 50) ? 4 : 3)]);
}

static bool ask_nonsense(Sim *s) {
        static const struct {
                const char *family, *rest, *body;
        } nonsense[] = {
                        {"cmd", "stat", "{}"},
                        {"cmd", "start", "{"},
                        {"cmd", "start", "{}"},
                        {"cmd", "start.x", "{}"},
                        {"cmd", "register", ""},
                        {"cmd", "register", "{\"id\":\"x\"}"},
                        {"cmd", "pause", ""},
                        {"cmd", "pause.not-an-id", ""},
                        {"cmd", "pause.01890a5d-ac96-774b-bcce-b302099a8057", ""},
                        {"cmd", "approve.01890a5d-ac96-774b-bcce-b302099a8057", "{}"},
                        {"cmd", "approve.01890a5d-ac96-774b-bcce-b302099a8057.s0",
                         "{\"decision\":\"maybe\"}"},
                        {"cmd", "retry.01890a5d-ac96-774b-bcce-b302099a8057.%ZZ", ""},
                        {"cmd", "resume.01890a5d-ac96-774b-bcce-b302099a8057", "[1,2]"},
                        {"event", "alarm", "{\"payload\":{}"},
                        {"query", "execution.01890a5d-ac96-774b-bcce-b302099a8057", ""},
                        {"query", "executions", ""},
                        {"query", "stats", ""},
                        {"query", "runbooks", ""},
                        {"query", "approvals", ""},
        };
        uint32_t i = rng_below(&s->rng, N_ELEMENTS(nonsense));
        Command *c = command_new(s->people, "nonsense", tenants[0], some_user(s));
        set_subject(c, nonsense[i].family, nonsense[i].rest);
        set_body(c, nonsense[i].body);
        send(s, c->group);
        return true;
}

void people_ask(Sim *s) {
        People *p = s->people;
        size_t i = 0;

        while (i < p->n_runbooks && p->runbooks[i].sent)
                i++;
        if (i < p->n_runbooks) {
                ask_register(s, i);
                return;
        }
        uint32_t draw = rng_below(&s->rng, 100);
        bool done = draw < 35   ? ask_start(s)
                    : draw < 50 ? ask_control(s)
                    : draw < 70 ? ask_step(s, "approve")
                    : draw < 77 ? ask_step(s, "retry")
                    : draw < 94 ? ask_event(s)
                    : draw < 95 ? ask_register(s, rng_below(&s->rng, (uint32_t)p->n_runbooks))
                                : ask_nonsense(s);
        if (!done)
                ask_start(s);
}

/** The same id for something else: one of the two is refused, whichever comes second. */
static void send_forgery(Sim *s, int of) {
        People *p = s->people;
        char verb[sizeof(p->commands[of].verb)];
        memcpy(verb, p->commands[of].verb, sizeof(verb)); /* the list moves when it grows */
        Command *c = command_new(p, verb, p->commands[of].tenant, p->commands[of].user);
        Command *original = &p->commands[of];
        int index = c->group;
        char body[96];
        c->subject = sim_dup(slice_from_str(original->subject));
        snprintf(body, sizeof(body),
                 "{\"decision\":\"rejected\",\"comments\":\"forged %d\",\"reason\":\"forged %d\"}", index,
                 index);
        set_body(c, body);
        snprintf(c->id, sizeof(c->id), "%s", original->id);
        c->execution = original->execution;
        snprintf(c->step, sizeof(c->step), "%s", original->step);
        c->group = original->group;
        c->recorded = true;
        send(s, index);
}

bool people_ask_again(Sim *s) {
        People *p = s->people;
        if (p->n == 0)
                return false;
        size_t i = rng_below(&s->rng, (uint32_t)p->n);
        if (rng_chance(&s->rng, 700) && p->n > 10)
                i = p->n - 1 - rng_below(&s->rng, 10);
        Command *c = &p->commands[i];
        bool again = c->id[0] || !c->queue; /* a queued one without an id is another message each time */
        if (!again)
                return false;
        bool can_forge = c->id[0] && (strcmp(c->verb, "approve") == 0 || strcmp(c->verb, "cancel") == 0 ||
                                      strcmp(c->verb, "pause") == 0);
        if (can_forge && rng_chance(&s->rng, 300))
                send_forgery(s, (int)i);
        else
                send(s, (int)i);
        return true;
}

/* ---- answers ---------------------------------------------------------------------------------------------- */

static int *owner_of(People *p, int group) {
        size_t had = p->cap_owner;
        if ((size_t)group >= had) {
                p->cap_owner = p->n * 2 + 16;
                p->owner = sim_realloc(p->owner, p->cap_owner * sizeof(*p->owner));
                for (size_t i = had; i < p->cap_owner; i++)
                        p->owner[i] = -1;
        }
        return &p->owner[group];
}

/** One id, one command, one answer. */
static void check_recorded(Sim *s, int index, RunbookCode code, Slice body) {
        People *p = s->people;
        Command *c = &p->commands[index];
        bool misused = code == RUNBOOK_INVALID_REQUEST &&
                       memmem(body.data, body.n, "was used for another", 20);

        if (c->answered && (c->code != code || !slice_eq_str(body, c->answer)))
                sim_fail(s, "another answer", "command %s %s was answered %s, now %.*s", c->subject, c->id,
                         c->answer, SLICE_ARG(body));
        if (!c->id[0])
                return;
        int *owner = owner_of(p, c->group);
        if (!misused && *owner >= 0 && *owner != index)
                sim_fail(s, "one id, two commands", "%s %s: %.*s", c->subject, c->id, SLICE_ARG(body));
        if (!misused)
                *owner = index;
        else if (*owner == index)
                sim_fail(s, "forgotten", "%s %s is not known as what it was", c->subject, c->id);
}

/** What is told must be in the store. */
static void check_told(Sim *s, const Command *c, json_t *tree, Slice body) {
        StoreTxn *t;
        StoreResult result;
        Uuid id;

        s->looking++;
        if (store_begin_read(s->store, &t) == 0) {
                if (c->id[0] && c->recorded && !s->plan.short_memory &&
                    store_result_get(t, slice_from_str(c->tenant), slice_from_str(c->user),
                                     slice_from_str(c->id), &result) != 0)
                        sim_fail(s, "told before its commit", "%s %s was answered and is not recorded: %.*s",
                                 c->subject, c->id, SLICE_ARG(body));
                const char *text = json_string_value(json_object_get(tree, "executionId"));
                if (text && (!uuid_parse(slice_from_str(text), &id) || !store_execution_exists(t, id)))
                        sim_fail(s, "told before its commit", "%s: there is no execution %s", c->subject,
                                 text);
                store_abort(t);
        }
        s->looking--;
}

void people_acked(Sim *s, int index, const char *identity) {
        const Command *c = &s->people->commands[index];
        const char *id = c->id[0] ? c->id : identity;
        bool may_be_malformed =
                        strcmp(c->verb, "register") == 0; /* refused by the codec, and so not recorded */
        StoreTxn *t;
        StoreResult result;

        if (!c->recorded || may_be_malformed || s->plan.short_memory)
                return;
        s->looking++;
        if (store_begin_read(s->store, &t) == 0) {
                if (store_result_get(t, slice_from_str(c->tenant), slice_from_str(c->user),
                                     slice_from_str(id), &result) != 0)
                        sim_fail(s, "acknowledged before its commit",
                                 "%s %s is forgotten by the queue and not recorded", c->subject, id);
                store_abort(t);
        }
        s->looking--;
}

/** Nobody reaches into another tenant. */
static void check_tenant(Sim *s, const Command *c) {
        Uuid id;
        uint8_t status;
        Slice tenant;
        for (uint32_t i = 0; books_execution(s->books, i, &id, &status, &tenant); i++)
                if (uuid_eq(id, c->execution) && !slice_eq_str(tenant, c->tenant))
                        sim_fail(s, "another tenant's", "%s was accepted", c->subject);
}

void people_answered(Sim *s, int index, RunbookCode code, Slice body, bool durable) {
        Command *c = &s->people->commands[index];
        json_t *tree = json_loadb(body.data, body.n, 0, NULL);
        const char *version = json_string_value(json_object_get(tree, "version"));
        const char *error = json_string_value(json_object_get(tree, "error"));

        if (!version || strcmp(version, "v1") != 0 ||
            (code != RUNBOOK_OK && (!error || strcmp(error, runbook_code_name(code)) != 0)))
                sim_fail(s, "malformed answer", "%s: %.*s", c->subject, SLICE_ARG(body));
        if (durable && code == RUNBOOK_OK && strncmp(c->verb, "nonsense", 8) != 0)
                check_told(s, c, tree, body);
        if (code == RUNBOOK_OK)
                check_tenant(s, c);
        bool verified = strcmp(c->verb, "replay") == 0 && json_object_get(tree, "divergences");
        if (verified && !json_is_true(json_object_get(tree, "identical")))
                sim_fail(s, "replay diverges", "%.*s", SLICE_ARG(body));
        if (durable && c->recorded && !s->plan.short_memory)
                check_recorded(s, index, code, body);
        if (durable && !c->answered) {
                c->answered = true;
                c->code = code;
                c->answer = sim_dup(body);
        }
        json_decref(tree);
}

/* ---- the end ------------------------------------------------------------------------------------------------- */

bool people_insist(Sim *s) {
        People *p = s->people;
        bool sent = false;
        for (size_t i = 0; i < p->n; i++)
                if (p->commands[i].id[0] && p->commands[i].n_sent > 0 && !p->commands[i].answered) {
                        net_send(s, p->commands[i].subject, slice_from_str(p->commands[i].body),
                                 p->commands[i].id, (int)i);
                        sent = true;
                }
        return sent;
}

static void order(Sim *s, const char *verb, const Execution *x, const char *user, const char *rest,
                  const char *body) {
        Command *c = command_new(s->people, verb,
                                 slice_eq_str(x->tenant, tenants[0]) ? tenants[0] : tenants[1], user);
        c->execution = x->id;
        c->approved = true;
        set_subject(c, "cmd", rest);
        set_body(c, body);
        send(s, c->group);
}

static void help_step(Sim *s, const Execution *x, uint32_t i, const char *id) {
        const StepState *step = &x->steps[i];
        _cleanup_(buf_deinit) Buf path = {0}, token = {0};
        char rest[256];

        execution_put_path(x, i, &path);
        name_put_token(&token, buf_slice(&path));
        snprintf(rest, sizeof(rest), "approve.%s.%.*s", id, (int)token.n, token.data);
        if (step->status == RUNBOOK_STEP_AWAITING_APPROVAL)
                for (size_t u = 0; u < HELP_VOTERS; u++)
                        order(s, "approve", x, users[u], rest, "{\"decision\":\"approved\"}");
        if (step->status == RUNBOOK_STEP_AWAITING_EVENT)
                send_event(s, slice_eq_str(x->tenant, tenants[0]) ? tenants[0] : tenants[1],
                           step->extra->event_type, step->extra->correlation);
}

bool people_help(Sim *s) {
        Uuid id;
        uint8_t status;
        Slice tenant;
        bool helped = false;

        for (uint32_t i = 0; books_execution(s->books, i, &id, &status, &tenant); i++) {
                char text[UUID_TEXT_SIZE + 1], rest[64];
                Execution *x = NULL;
                StoreTxn *t;
                if (runbook_execution_status_is_final((RunbookExecutionStatus)status) ||
                    store_begin_read(s->store, &t))
                        continue;
                int r = store_execution_load(t, id, runtime_runbook_lookup, s->rt, &x);
                store_abort(t);
                if (r)
                        continue;
                uuid_format(id, text);
                if (x->status == RUNBOOK_EXECUTION_PAUSED || x->status == RUNBOOK_EXECUTION_PAUSING) {
                        snprintf(rest, sizeof(rest), "resume.%s", text);
                        _cleanup_free_ char *user = slice_dup(x->initiated_by);
                        size_t u = 0;
                        while (u < N_ELEMENTS(users) - 1 && strcmp(users[u], user) != 0)
                                u++;
                        order(s, "resume", x, users[u], rest, "");
                        order(s, "resume", x, "alice", rest, "");
                }
                for (uint32_t k = 0; k < x->n_instances; k++)
                        help_step(s, x, k, text);
                execution_free(x);
                helped = true;
        }
        return helped;
}

bool people_voted(Sim *s, Uuid execution, Slice step, Slice user, Slice decision, Slice command_id) {
        const People *p = s->people;
        bool named = command_id.n > 0 && !slice_starts_with(command_id, SLICE("queue/"));
        for (size_t i = 0; i < p->n; i++) {
                const Command *c = &p->commands[i];
                bool approved = c->body && strstr(c->body, "\"approved\"") != NULL;
                if (strcmp(c->verb, "approve") == 0 && uuid_eq(c->execution, execution) &&
                    slice_eq_str(user, c->user) &&
                    slice_eq_str(decision, approved ? "approved" : "rejected") &&
                    (!named || slice_eq_str(command_id, c->id)))
                        return true;
        }
        return false;
}

bool people_commanded(Sim *s, const char *verb, Uuid execution, Slice user) {
        const People *p = s->people;
        for (size_t i = 0; i < p->n; i++)
                if (strcmp(p->commands[i].verb, verb) == 0 && uuid_eq(p->commands[i].execution, execution) &&
                    slice_eq_str(user, p->commands[i].user))
                        return true;
        return false;
}

/** What was accepted must show. */
static void check_kept(Sim *s, const Command *c) {
        Uuid id;
        uint8_t status = 0;
        Slice tenant;
        bool found = false;

        for (uint32_t i = 0; !found && books_execution(s->books, i, &id, &status, &tenant); i++)
                found = uuid_eq(id, c->execution);
        if (strcmp(c->verb, "cancel") == 0 && found && status != RUNBOOK_EXECUTION_CANCELLED)
                sim_fail(s, "accepted and lost", "%s %s was accepted, the execution ended as %s", c->subject,
                         c->id, runbook_execution_status_name((RunbookExecutionStatus)status));
}

void people_check_end(Sim *s) {
        const People *p = s->people;
        for (size_t i = 0; i < p->n && !s->failed; i++) {
                const Command *c = &p->commands[i];
                if (c->id[0] && c->n_sent > 0 && !c->answered)
                        sim_fail(s, "never answered", "%s %s", c->subject, c->id);
                if (c->answered && c->code == RUNBOOK_OK)
                        check_kept(s, c);
        }
}
