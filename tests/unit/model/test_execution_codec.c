#include "../leaks.h"
#include "model/execution_codec.h"
#include "sample.h"

TestSuite(execution_codec, .fini = check_leaks);

#define PIECES_MAX 128

/** An execution's records, and the long values that a store would keep beside them. */
typedef struct Records {
        Buf statics, state, pages[PIECES_MAX], scopes[PIECES_MAX];
        uint32_t n_pages, n_scopes;
        struct {
                uint32_t index, which;
                Value *value;
        } values[512];
        size_t n_values;
} Records;

static void records_deinit(Records *r) {
        buf_deinit(&r->statics);
        buf_deinit(&r->state);
        for (uint32_t i = 0; i < r->n_pages; i++)
                buf_deinit(&r->pages[i]);
        for (uint32_t i = 0; i < r->n_scopes; i++)
                buf_deinit(&r->scopes[i]);
        for (size_t i = 0; i < r->n_values; i++)
                value_unref(r->values[i].value);
}

static void keep_value(Records *r, const Execution *x, uint32_t index, ExecutionValue which) {
        int error = 0;
        Value *v = execution_value_to_store(x, index, which, &error);
        cr_assert_eq(error, 0);
        if (!v)
                return;
        cr_assert_gt(value_bytes(v).n, OUTPUT_INLINE_MAX);
        r->values[r->n_values].index = index;
        r->values[r->n_values].which = which;
        r->values[r->n_values++].value = value_ref(v);
}

static void encode(Records *r, const Execution *x) {
        *r = (Records){0};
        cr_assert_eq(execution_encode_static(x, &r->statics), 0);
        cr_assert_eq(execution_encode_state(x, &r->state), 0);
        for (uint32_t page = 0; page * STEP_PAGE < x->n_instances; page++)
                cr_assert_eq(execution_encode_page(x, page, &r->pages[r->n_pages++]), 0);
        for (uint32_t scope = 0; scope < x->n_scopes; scope++)
                cr_assert_eq(execution_encode_scope(x, scope, &r->scopes[r->n_scopes++]), 0);
        for (uint32_t i = 0; i < x->n_instances; i++)
                for (unsigned which = 0; which < EXECUTION_VALUE_ITEM; which++)
                        keep_value(r, x, i, which);
        for (uint32_t i = 0; i < x->n_scopes; i++)
                keep_value(r, x, i, EXECUTION_VALUE_ITEM);
}

static int fetch(void *userdata, uint32_t index, uint32_t which, Value **ret) {
        Records *r = userdata;
        for (size_t i = 0; i < r->n_values; i++)
                if (r->values[i].index == index && r->values[i].which == which) {
                        *ret = value_ref(r->values[i].value);
                        return 0;
                }
        return -EBADMSG;
}

static int decode(Records *r, Runbook *runbook, Uuid id, Execution **ret) {
        Execution *x = NULL;
        int e = execution_decode(runbook, id, buf_slice(&r->statics), buf_slice(&r->state), &x);
        for (uint32_t i = 0; e == 0 && i * STEP_PAGE < x->n_instances; i++)
                e = i < r->n_pages ? execution_decode_page(x, i, buf_slice(&r->pages[i]), fetch, r)
                                   : -EBADMSG;
        for (uint32_t i = 1; e == 0 && i < x->n_scopes; i++)
                e = i < r->n_scopes ? execution_decode_scope(x, i, buf_slice(&r->scopes[i]), fetch, r)
                                    : -EBADMSG;
        if (e == 0)
                e = execution_finish_load(x);
        if (e) {
                execution_free(x);
                x = NULL;
        }
        *ret = x;
        return e;
}

static void check_equal(const Buf *a, const Buf *b, const char *what, uint64_t seed) {
        cr_assert(slice_eq(buf_slice(a), buf_slice(b)), "%s differs, seed %llu", what,
                  (unsigned long long)seed);
}

static void check_records_equal(const Records *a, const Records *b, uint64_t seed) {
        check_equal(&a->statics, &b->statics, "static", seed);
        check_equal(&a->state, &b->state, "state", seed);
        cr_assert_eq(a->n_pages, b->n_pages);
        cr_assert_eq(a->n_scopes, b->n_scopes);
        for (uint32_t i = 0; i < a->n_pages; i++)
                check_equal(&a->pages[i], &b->pages[i], "page", seed);
        for (uint32_t i = 0; i < a->n_scopes; i++)
                check_equal(&a->scopes[i], &b->scopes[i], "scope", seed);
}

Test(execution_codec, keeps_everything) {
        Runbook *runbook = sample_runbook();
        for (uint64_t seed = 1; seed <= 400; seed++) {
                Sample random = {seed * 0x9e3779b97f4a7c15ULL};
                Execution *x = sample_random_execution(&random, runbook), *y;
                Records before, after;
                encode(&before, x);
                cr_assert_eq(decode(&before, runbook, x->id, &y), 0, "seed %llu", (unsigned long long)seed);
                encode(&after, y);
                check_records_equal(&before, &after, seed);
                cr_assert_eq(after.n_values, 0, "what was fetched is known to be stored");

                /* what is not in the records but follows from them */
                size_t n_ready = 0;
                cr_assert(uuid_eq(x->id, y->id) && y->dirty == 0 && y->stored_status == x->status);
                for (uint32_t i = 0; i < x->n_instances; i++) {
                        cr_assert_eq(x->steps[i].step, y->steps[i].step);
                        cr_assert_eq(x->steps[i].scope, y->steps[i].scope);
                        cr_assert_eq(x->steps[i].output == NULL, y->steps[i].output == NULL);
                        if (x->steps[i].output)
                                cr_assert(slice_eq(value_bytes(x->steps[i].output),
                                                   value_bytes(y->steps[i].output)));
                        n_ready += x->steps[i].status == RUNBOOK_STEP_READY;
                }
                cr_assert_eq(y->ready.n, n_ready);
                for (uint64_t key, last = 0; heap_pop(&y->ready, &key); last = key) {
                        cr_assert_geq(key, last);
                        cr_assert_eq(key, execution_ready_key(y, (uint32_t)key));
                }
                execution_free(x);
                execution_free(y);
                records_deinit(&before);
                records_deinit(&after);
        }
        runbook_unref(runbook);
}

Test(execution_codec, loaded_execution_can_grow) {
        Runbook *runbook = sample_runbook();
        Sample random = {99};
        Execution *x = sample_random_execution(&random, runbook), *y;
        Records records;
        encode(&records, x);
        cr_assert_eq(decode(&records, runbook, x->id, &y), 0);
        uint32_t loop = runbook_find_step(runbook, SLICE("loop"));
        uint32_t owner = execution_find_instance(y, INSTANCE_NONE, loop);
        for (uint32_t i = 0; i < 500; i++)
                cr_assert_neq(execution_open_scope(y, runbook->steps[loop].loop->region, owner, i),
                              SCOPE_NONE);
        for (uint32_t i = 0; i < y->n_instances; i++)
                execution_touch(y, i);
        for (uint32_t i = 0; i < y->n_scopes; i++)
                execution_touch_scope(y, i);
        execution_free(x);
        execution_free(y);
        records_deinit(&records);
        runbook_unref(runbook);
}

Test(execution_codec, pending_steps_are_tiny) {
        Runbook *runbook = sample_runbook();
        Sample random = {5};
        Execution *x = sample_execution(runbook, sample_uuid(&random), "acme", 1, 1790000000000);
        Records records;
        encode(&records, x);
        cr_assert_leq(records.pages[0].n, 1 + 2 * STEP_PAGE);
        cr_assert_leq(records.state.n, 40);
        records_deinit(&records);
        execution_free(x);
        runbook_unref(runbook);
}

Test(execution_codec, summary_reads_the_heads) {
        Runbook *runbook = sample_runbook();
        for (uint64_t seed = 1; seed <= 50; seed++) {
                Sample random = {seed * 77777};
                Execution *x = sample_random_execution(&random, runbook);
                Records records;
                ExecutionSummary s;
                Slice tenant, id, version;
                encode(&records, x);
                cr_assert_eq(execution_peek_summary(buf_slice(&records.statics), buf_slice(&records.state),
                                                    &s),
                             0);
                cr_assert(slice_eq(s.tenant, x->tenant) && slice_eq(s.initiated_by, x->initiated_by));
                cr_assert(s.status == x->status && s.created_ms == x->created_ms &&
                          s.start_ms == x->start_ms && s.end_ms == x->end_ms);
                cr_assert(s.n_instances == x->n_instances && s.n_completed == x->n_completed &&
                          s.n_failed == x->n_failed);
                cr_assert(s.n_skipped == x->n_skipped && s.n_cancelled == x->n_cancelled && s.order == x->order);
                cr_assert(uuid_eq(s.parent, x->parent) && uuid_eq(s.original, x->original));
                cr_assert_eq(execution_peek_static(buf_slice(&records.statics), &tenant, &id, &version), 0);
                cr_assert(slice_eq(tenant, x->tenant) && slice_eq(id, runbook->id) &&
                          slice_eq(version, runbook->version));
                records_deinit(&records);
                execution_free(x);
        }
        runbook_unref(runbook);
}

Test(execution_codec, values_stand_alone_once) {
        Runbook *runbook = sample_runbook();
        Sample random = {6};
        Execution *x = sample_execution(runbook, sample_uuid(&random), "acme", 1, 1790000000000);
        int error = 0;
        x->steps[0].output = sample_value_of(OUTPUT_INLINE_MAX);
        cr_assert_null(execution_value_to_store(x, 0, EXECUTION_VALUE_OUTPUT, &error));
        value_unref(x->steps[0].output);
        x->steps[0].output = sample_value_of(OUTPUT_INLINE_MAX + 1);
        cr_assert_eq(execution_value_to_store(x, 0, EXECUTION_VALUE_OUTPUT, &error), x->steps[0].output);
        cr_assert_null(execution_value_to_store(x, 0, EXECUTION_VALUE_ERROR, &error));
        execution_value_stored(x, 0, EXECUTION_VALUE_OUTPUT);
        cr_assert_null(execution_value_to_store(x, 0, EXECUTION_VALUE_OUTPUT, &error));
        x->steps[0].error = sample_value_of(9999);
        cr_assert_eq(execution_value_to_store(x, 0, EXECUTION_VALUE_ERROR, &error), x->steps[0].error);
        Buf b = {0};
        cr_assert_eq(execution_encode_page(x, 0, &b), 0);
        cr_assert_leq(b.n, 60, "long values are not in the page");
        buf_deinit(&b);
        execution_free(x);
        runbook_unref(runbook);
}

Test(execution_codec, fetched_value_of_another_length_is_damage) {
        Runbook *runbook = sample_runbook();
        Sample random = {7};
        Execution *x = sample_execution(runbook, sample_uuid(&random), "acme", 1, 1790000000000), *y;
        x->steps[3].output = sample_value_of(1000);
        Records records;
        encode(&records, x);
        cr_assert_eq(records.n_values, 1);
        value_unref(records.values[0].value);
        records.values[0].value = sample_value_of(1001);
        cr_assert_eq(decode(&records, runbook, x->id, &y), -EBADMSG);
        records.n_values = 0;
        cr_assert_eq(decode(&records, runbook, x->id, &y), -EBADMSG, "not there at all");
        records.n_values = 1;
        records_deinit(&records);
        execution_free(x);
        runbook_unref(runbook);
}

/** Counters that contradict the steps, and scopes that the runbook does not have. */
Test(execution_codec, contradictions_are_damage) {
        Runbook *runbook = sample_runbook();
        for (unsigned what = 0; what < 12; what++) {
                Sample random = {8};
                Execution *x = sample_execution(runbook, sample_uuid(&random), "acme", 1, 1790000000000),
                          *y = NULL;
                uint32_t loop = runbook_find_step(runbook, SLICE("loop"));
                uint32_t owner = execution_find_instance(x, INSTANCE_NONE, loop);
                execution_open_scope(x, runbook->steps[loop].loop->region, owner, 0);
                execution_open_scope(x, runbook->steps[loop].loop->region, owner, 1);
                x->scopes[1].next_scope = 2;
                sample_set_status(x, 2, RUNBOOK_STEP_COMPLETED);
                uint32_t *spoil[] = {&x->n_completed,      &x->n_failed,
                                     &x->n_skipped,        &x->n_cancelled,
                                     &x->n_active,         &x->n_running,
                                     &x->scopes[1].n_open, &x->scopes[1].n_active,
                                     &x->scopes[2].first,  &x->scopes[1].region,
                                     &x->n_quiet};
                if (what < N_ELEMENTS(spoil))
                        ++*spoil[what];
                Records records;
                encode(&records, x);
                cr_assert_eq(decode(&records, runbook, x->id, &y), what < N_ELEMENTS(spoil) ? -EBADMSG : 0,
                             "contradiction %u", what);
                execution_free(y);
                execution_free(x);
                records_deinit(&records);
        }
        runbook_unref(runbook);
}

Test(execution_codec, another_runbook_is_damage) {
        Runbook *runbook = sample_runbook();
        Sample random = {9};
        Execution *x = sample_execution(runbook, sample_uuid(&random), "acme", 1, 1790000000000), *y;
        x->runbook_version = SLICE("2.0.0");
        Records records;
        encode(&records, x);
        cr_assert_eq(decode(&records, runbook, x->id, &y), -EBADMSG);
        records_deinit(&records);
        execution_free(x);
        runbook_unref(runbook);
}

/** Flip, cut and stretch one record. Whatever still decodes must be a spelling that we write. */
static void damage(Sample *random, Buf *b) {
        if (sample_one_in(random, 4) && b->n > 0)
                b->n = sample_below(random, (uint32_t)b->n);
        else if (sample_one_in(random, 4))
                buf_put_u8(b, (uint8_t)sample_next(random));
        else
                for (uint32_t n = 1 + sample_below(random, 3); n > 0 && b->n > 0; n--)
                        b->data[sample_below(random, (uint32_t)b->n)] ^= (char)(1 << sample_below(random, 8));
}

Test(execution_codec, damage_never_crashes_and_never_half_loads, .timeout = 60) {
        Runbook *runbook = sample_runbook();
        unsigned n_refused = 0, n_taken = 0;
        for (uint64_t seed = 1; seed <= 3000; seed++) {
                Sample random = {seed * 0x2545f4914f6cdd1dULL};
                Execution *x = sample_random_execution(&random, runbook), *y = NULL;
                Records records, again;
                encode(&records, x);
                switch (sample_below(&random, 4)) {
                case 0:
                        damage(&random, &records.statics);
                        break;
                case 1:
                        damage(&random, &records.state);
                        break;
                case 2:
                        damage(&random, &records.pages[sample_below(&random, records.n_pages)]);
                        break;
                default:
                        damage(&random, &records.scopes[sample_below(&random, records.n_scopes)]);
                        break;
                }
                int e = decode(&records, runbook, x->id, &y);
                if (e == 0) {
                        encode(&again, y);
                        /* scope 0's own record is not read: the state has it */
                        buf_reset(&records.scopes[0]);
                        buf_put_slice(&records.scopes[0], buf_slice(&again.scopes[0]));
                        check_records_equal(&records, &again, seed);
                        records_deinit(&again);
                        n_taken++;
                } else {
                        cr_assert_eq(e, -EBADMSG, "seed %llu: %d", (unsigned long long)seed, e);
                        n_refused++;
                }
                execution_free(x);
                execution_free(y);
                records_deinit(&records);
        }
        cr_assert_gt(n_refused, 1000);
        cr_assert_gt(n_taken, 10, "harmless changes (a time, a name) are not refused");
        runbook_unref(runbook);
}

Test(execution_codec, absurd_counts_allocate_nothing) {
        Runbook *runbook = sample_runbook();
        Sample random = {10};
        Execution *x = sample_execution(runbook, sample_uuid(&random), "acme", 1, 1790000000000), *y;
        Records records;
        encode(&records, x);
        uint32_t n_instances = x->n_instances, absurd[] = {LIMIT_INSTANCES + 1, UINT32_MAX, 0};
        for (size_t i = 0; i < N_ELEMENTS(absurd); i++) {
                x->n_instances = absurd[i];
                buf_reset(&records.state);
                cr_assert_eq(execution_encode_state(x, &records.state), 0);
                cr_assert_eq(execution_decode(runbook, x->id, buf_slice(&records.statics),
                                              buf_slice(&records.state), &y),
                             -EBADMSG);
        }
        x->n_instances = n_instances;
        records_deinit(&records);
        execution_free(x);
        runbook_unref(runbook);
}
