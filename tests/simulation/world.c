/*
 * One life: the process starts, dies and starts again, a scheduler draws who acts next, and at the end all
 * faults heal, everything that can end must end, and everything is counted.
 *
 * A process that dies does so within one of its own calls. Nothing is unwound by force: from that moment
 * `dead` is set, its store gives EIO and nobody hears what it says, so it comes back by itself, and what it
 * did on its way out has no effect, as if it had not happened.
 */
#include "sim.h"

#include <stdarg.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/log.h"

#define HEAL_ROUNDS 3000
#define HELP_ROUNDS 60
#define JUMP_MAX_MS (3 * 3600 * 1000)
#define AWAY_MAX_MS 30000

Sim *the_sim;

/* ---- the story ------------------------------------------------------------------------------------------ */

void sim_tell(Sim *s, const char *format, ...) {
        char line[1024];
        va_list ap;
        int was = memory_suspend();

        va_start(ap, format);
        int n = vsnprintf(line, sizeof(line), format, ap);
        va_end(ap);
        memory_resume(was);
        if (n >= (int)sizeof(line))
                n = (int)sizeof(line) - 1;
        for (int i = 0; i < n; i++)
                s->hash = (s->hash ^ (unsigned char)line[i]) * 0x100000001b3u;
        s->hash = (s->hash ^ '\n') * 0x100000001b3u;
        s->n_events++;
        if (s->trace)
                fprintf(s->trace, "%5u %8lld  %s\n", s->step, (long long)(s->now_ms - SIM_EPOCH_MS), line);
}

void sim_fail(Sim *s, const char *checker, const char *format, ...) {
        va_list ap;
        int was = memory_suspend();
        if (!s->failed) {
                va_start(ap, format);
                vsnprintf(s->failure, sizeof(s->failure), format, ap);
                va_end(ap);
                snprintf(s->checker, sizeof(s->checker), "%s", checker);
                s->failed = true;
                sim_tell(s, "FAILURE %s: %s", checker, s->failure);
        }
        memory_resume(was);
}

static bool fault_used[N_FAULTS];

bool sim_fault(Sim *s, Fault fault) {
        if (s->healing || s->looking || s->dead || s->plan.rate[fault] == 0 ||
            !rng_chance(&s->rng, s->plan.rate[fault]))
                return false;
        fault_used[fault] = true;
        return true;
}

bool sim_may_die(Sim *s, const char *where) {
        if (s->dead)
                return true;
        if (!sim_fault(s, FAULT_CRASH))
                return false;
        sim_tell(s, "crash: %s", where);
        s->dead = true;
        return true;
}

/* ---- the process ------------------------------------------------------------------------------------- */

static int64_t clock_now(void *userdata) { return ((Sim *)userdata)->now_ms; }

static void ids_random(void *userdata, uint64_t *words, size_t n) {
        Rng r = {((Sim *)userdata)->ids};
        for (size_t i = 0; i < n; i++)
                words[i] = rng_next(&r);
        ((Sim *)userdata)->ids = r.s;
}

static int host_submit(void *userdata, Request *request) {
        return runtime_submit(((Sim *)userdata)->rt, request);
}

static int host_lookup(void *userdata, StoreTxn *t, Slice tenant, Slice id, Slice version, Runbook **ret) {
        return runtime_runbook_lookup(((Sim *)userdata)->rt, t, tenant, id, version, ret);
}

static void host_put_stats(void *userdata, Slice tenant, JsonWriter *w) {}

bool process_is_up(const Sim *s) { return s->rt && !s->dead; }

static void process_end(Sim *s) {
        if (!s->store)
                return;
        sim_tell(s, "the process is gone");
        s->dead = true;
        s->n_crashes++;
        runtime_free(s->rt);
        s->rt = NULL;
        if (s->subjects)
                subjects_deinit(s->subjects);
        free(s->subjects);
        s->subjects = NULL;
        store_close(s->store);
        s->store = NULL;
        net_process_ended(s);
        s->dead = false; /* the next faults are the world's */
        workers_process_ended(s);
}

static int open_parts(Sim *s, Report *report) {
        StoreOptions options = {.backend = "memory"};
        Clock clock = {clock_now, s};
        Ids ids = {ids_random, s};
        static const AuditStream audit = {bus_audit_publish, bus_audit_tail, bus_audit_epoch, NULL};
        uint64_t words[2];

        ids_random(s, words, 2);
        int r = store_open(&options, uuid_v7(s->now_ms, words[0], words[1]), report, &s->store);
        if (r == 0)
                r = runtime_new(&s->plan.runtime, s->store, clock, ids, &audit, &s->rt);
        if (r)
                return r;
        s->subjects_settings = (SubjectsSettings){.prefix = SIM_PREFIX,
                                                  .engine_id = "0190a0b0-0000-7000-8000-000000000001",
                                                  .version = "0"};
        const SubjectsHost host = {.submit = host_submit,
                                   .lookup = host_lookup,
                                   .put_stats = host_put_stats,
                                   .store = s->store,
                                   .definitions = &s->plan.runtime.definitions,
                                   .clock = clock,
                                   .ids = ids,
                                   .userdata = s};
        s->subjects = sim_realloc(NULL, sizeof(*s->subjects));
        memset(s->subjects, 0, sizeof(*s->subjects));
        r = subjects_init(s->subjects, &s->subjects_settings, &host);
        if (r < 0)
                return r;
        workers_attach(s);
        return runtime_recover(s->rt, report);
}

static void process_start(Sim *s) {
        Report report = {0};

        s->life++;
        s->dead = false;
        s->next_timer_ms = s->now_ms;
        sim_tell(s, "the process starts, life %llu", (unsigned long long)s->life);
        int r = open_parts(s, &report);
        if (r || s->dead) {
                sim_tell(s, "the start fails: %s", r ? strerror(r < 0 ? -r : r) : "died");
                if (!s->store)
                        s->dead = false;
                process_end(s);
        }
        report_deinit(&report);
}

/** After anything that the process did: is it still there? */
static void settle(Sim *s, int r) {
        if (s->rt && (r < 0 || s->dead))
                process_end(s);
        if (!s->failed)
                books_look(s);
}

/** 0: something was done; 1: nothing to do (or no process). */
static int turn(Sim *s) {
        if (!s->rt)
                return 1;
        memory_enter(s);
        int r = runtime_turn(s->rt, &s->next_timer_ms);
        memory_leave();
        s->n_turns++;
        settle(s, r < 0 ? r : 0);
        return r == 0 ? 0 : 1;
}

static int outbox(Sim *s) {
        if (!s->rt)
                return 1;
        memory_enter(s);
        int r = runtime_outbox_turn(s->rt);
        memory_leave();
        settle(s, s->dead ? -1 : 0);
        return r == 0 ? 0 : 1;
}

/** Turns until there is nothing to do at this time. */
static void run(Sim *s) {
        int n = 0;
        while (!s->failed && turn(s) == 0)
                if (++n > SIM_DRAIN_MAX) {
                        sim_fail(s, "never idle", "the engine is busy without an end");
                        return;
                }
        if (!s->failed && process_is_up(s))
                net_check_answered(s);
}

/* ---- what may happen -------------------------------------------------------------------------------- */

static void op_ask(Sim *s) {
        for (uint32_t n = rng_chance(&s->rng, 100) ? 1 + rng_below(&s->rng, 10) : 1; n > 0; n--)
                people_ask(s);
}

static void op_ask_again(Sim *s) { people_ask_again(s); }

static void op_clock(Sim *s) {
        bool to_timer = process_is_up(s) && s->next_timer_ms < INT64_MAX && s->next_timer_ms > s->now_ms &&
                        s->next_timer_ms - s->now_ms < 60000 && rng_chance(&s->rng, 400);
        s->now_ms = to_timer ? s->next_timer_ms + rng_below(&s->rng, 2)
                             : s->now_ms + rng_range(&s->rng, 1, s->plan.clock_ms);
}

static void op_deliver(Sim *s) {
        for (uint32_t n = 1 + rng_below(&s->rng, 3); n > 0 && net_deliver(s); n--)
                settle(s, s->dead ? -1 : 0);
}

static void op_outbox(Sim *s) { (void)outbox(s); }

static void op_queue(Sim *s) {
        if (queue_deliver(s))
                settle(s, s->dead ? -1 : 0);
}

static void op_result(Sim *s) {
        for (uint32_t n = 1 + rng_below(&s->rng, 3); n > 0 && workers_answer(s); n--)
                ;
}

static void op_run(Sim *s) { run(s); }
static void op_turn(Sim *s) { (void)turn(s); }
static void op_verify(Sim *s) { books_verify_one(s); }

static void fault_away(Sim *s) {
        s->bus_away_until_ms = s->now_ms + rng_below(&s->rng, AWAY_MAX_MS);
        audit_reconnect(s);
        sim_tell(s, "bus: away");
}

static void fault_jump(Sim *s) {
        s->now_ms += rng_range(&s->rng, 1000, JUMP_MAX_MS);
        sim_tell(s, "clock: jumps");
}

static void fault_pause(Sim *s) {
        s->now_ms += rng_range(&s->rng, 1000, 300000);
        sim_tell(s, "the process stands still");
}

static void fault_disk(Sim *s) {
        disk_set_full(s->disk, !disk_is_full(s->disk));
        sim_tell(s, "disk: %s", disk_is_full(s->disk) ? "full" : "has room again");
}

static void fault_crash(Sim *s) {
        if (s->rt)
                process_end(s);
}

static void op_fault(Sim *s) {
        static const struct {
                Fault fault;
                void (*make)(Sim *s);
        } makes[] = {
                        {FAULT_AUDIT_LOSES, audit_lose}, {FAULT_AUDIT_NEW, audit_replace},
                        {FAULT_BUS_AWAY, fault_away},    {FAULT_CLOCK_JUMP, fault_jump},
                        {FAULT_CRASH, fault_crash},      {FAULT_DISK_FULL, fault_disk},
                        {FAULT_PAUSE, fault_pause},      {FAULT_QUEUE_LOSES, queue_lose},
        };
        uint32_t i = rng_below(&s->rng, N_ELEMENTS(makes));
        if (makes[i].fault == FAULT_CRASH ? s->plan.rate[FAULT_CRASH] > 0 : sim_fault(s, makes[i].fault))
                makes[i].make(s);
}

static void (*const ops[N_OPS])(Sim *s) = {
                [OP_ASK] = op_ask,         [OP_ASK_AGAIN] = op_ask_again, [OP_CLOCK] = op_clock,
                [OP_DELIVER] = op_deliver, [OP_FAULT] = op_fault,         [OP_OUTBOX] = op_outbox,
                [OP_QUEUE] = op_queue,     [OP_RESULT] = op_result,       [OP_RUN] = op_run,
                [OP_TURN] = op_turn,       [OP_VERIFY] = op_verify,
};

static void restart(Sim *s) {
        if (sim_fault(s, FAULT_CLOCK_BACK)) {
                s->now_ms -= rng_range(&s->rng, 1, 20000);
                sim_tell(s, "clock: set back");
        }
        audit_reconnect(s);
        process_start(s);
        if (!s->failed)
                books_look(s);
}

static void step(Sim *s) {
        uint32_t total = 0, op = 0;

        s->rng = rng_of(s->seed, s->step);
        if (!s->rt && rng_chance(&s->rng, 300))
                restart(s);
        for (uint32_t i = 0; i < N_OPS; i++)
                total += s->plan.weight[i];
        uint32_t draw = rng_below(&s->rng, total);
        while (draw >= s->plan.weight[op])
                draw -= s->plan.weight[op++];
        sim_tell(s, "%s", op_names[op]);
        ops[op](s);
}

/* ---- the end -------------------------------------------------------------------------------------------- */

/** Everything that can be done without time passing and without help. True: something was done. */
static bool heal_round(Sim *s) {
        bool did = false;
        while (!s->failed && net_deliver(s))
                did = true;
        while (!s->failed && queue_deliver(s))
                did = true;
        while (!s->failed && turn(s) == 0)
                did = true;
        while (!s->failed && outbox(s) == 0)
                did = true;
        while (!s->failed && workers_answer(s))
                did = true;
        return did;
}

/** When the world moves on by itself. */
static int64_t next_ms(const Sim *s) {
        int64_t queued = queue_next_ms(s->queue);
        return s->next_timer_ms < queued ? s->next_timer_ms : queued;
}

static void heal(Sim *s) {
        uint32_t n_helps = 0;

        s->rng = rng_of(s->seed, UINT64_MAX - 2);
        s->healing = true;
        s->step = UINT32_MAX;
        sim_tell(s, "all faults heal");
        disk_heal(s->disk);
        s->plan.map_max = 0;
        s->bus_away_until_ms = 0;
        s->now_ms += 600000; /* backoffs, and refusals while the store was full, are over */
        if (!s->rt)
                restart(s);
        audit_reconnect(s);
        for (uint32_t i = 0; i < HEAL_ROUNDS && !s->failed; i++) {
                if (!s->rt) {
                        sim_fail(s, "no start", "the engine does not start in a world without faults");
                        return;
                }
                if (heal_round(s))
                        continue;
                net_check_answered(s);
                if (people_insist(s))
                        continue;
                if (next_ms(s) < INT64_MAX) {
                        s->now_ms = next_ms(s) > s->now_ms ? next_ms(s) : s->now_ms + 1;
                        continue;
                }
                books_check_quiet(s);
                if (s->failed || !people_help(s))
                        return;
                if (++n_helps > HELP_ROUNDS) {
                        sim_fail(s, "never ends", "an execution does not end, whatever is done for it");
                        return;
                }
        }
        if (!s->failed)
                sim_fail(s, "never quiet", "the world does not come to rest");
}

static void last_checks(Sim *s) {
        s->now_ms += s->plan.runtime.checkpoint_ms; /* for what came last */
        for (uint32_t i = 0; i < HEAL_ROUNDS && !s->failed && heal_round(s); i++)
                ;
        if (!s->failed)
                people_check_end(s);
        if (!s->failed)
                books_check_end(s);
        if (!s->failed)
                attest_check_end(s);
        if (!s->failed)
                audit_check_complete(s);
}

/* ---- the whole -------------------------------------------------------------------------------------------- */

static void begin(Sim *s, const Options *o) {
        *s = (Sim){.seed = o->seed, .now_ms = SIM_EPOCH_MS, .hash = 0xcbf29ce484222325u, .trace = o->trace};
        s->ids = rng_of(o->seed, UINT64_MAX - 3).s;
        memset(fault_used, 0, sizeof(fault_used));
        plan_draw(&s->plan, o->seed);
        if (o->n_steps)
                s->plan.n_steps = o->n_steps;
        for (Fault f = 0; f < N_FAULTS; f++)
                if (o->without[f])
                        s->plan.rate[f] = 0;
        s->rng = rng_of(o->seed, UINT64_MAX - 4);
        s->disk = disk_new();
        s->net = net_new();
        s->queue = queue_new();
        s->audit = audit_new();
        s->workers = workers_new(s);
        s->people = people_new(s);
        s->books = books_new();
        s->next_timer_ms = INT64_MAX;
}

static void end(Sim *s) {
        process_end(s);
        books_free(s->books);
        people_free(s->people);
        workers_free(s->workers);
        audit_free(s->audit);
        queue_free(s->queue);
        net_free(s->net);
        disk_free(s->disk);
}

void sim_run(const Options *o, Outcome *ret) {
        Sim *s = sim_realloc(NULL, sizeof(*s));

        the_sim = s;
        begin(s, o);
        process_start(s);
        for (s->step = 0; s->step < s->plan.n_steps && !s->failed; s->step++)
                if (!o->skip || s->step >= o->n_skip || !o->skip[s->step])
                        step(s);
        if (!s->failed)
                heal(s);
        if (!s->failed)
                last_checks(s);
        *ret = (Outcome){.failed = s->failed,
                         .hash = s->hash,
                         .n_events = s->n_events,
                         .n_steps = s->plan.n_steps,
                         .n_executions = books_count(s->books),
                         .n_crashes = (uint32_t)s->n_crashes,
                         .n_lifecycle = books_events(s->books)};
        memcpy(ret->failure, s->failure, sizeof(ret->failure));
        memcpy(ret->checker, s->checker, sizeof(ret->checker));
        memcpy(ret->fault_used, fault_used, sizeof(fault_used));
        end(s);
        free(s);
}
