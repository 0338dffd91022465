/*
 * The check's other half: each table by itself, and whether it holds more than the executions account for.
 *
 *     executions ──every row that a state implies must be there──► timers, waits, approvals, listing, open,
 *                                                                  idempotency, series (store_check_execution.c)
 *     tables     ──as many rows as were implied, no more─────────► the same tables
 *
 * Together they make each table and the executions a bijection, without holding more in memory than some
 * numbers for each tenant.
 */
#include "storage/store_check_impl.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include "base/cleanup.h"
#include "json/json_read.h"
#include "model/codec.h"
#include "model/execution_codec.h"

#define FAULT_TEXT_MAX 512

void store_check_fault(StoreCheck *c, const char *table, const char *key, const char *format, ...) {
        char text[FAULT_TEXT_MAX];
        va_list ap;

        c->n_faults++;
        va_start(ap, format);
        vsnprintf(text, sizeof(text), format, ap);
        va_end(ap);
        if (c->fault)
                c->fault(c->userdata, table, key, text);
}

/** A table's key, readable: text as it is, other bytes in hex. */
static const char *key_text(Slice key, char ret[FAULT_TEXT_MAX]) {
        size_t n = 0;

        for (size_t i = 0; i < key.n && n + 5 < FAULT_TEXT_MAX; i++) {
                unsigned char byte = (unsigned char)key.data[i];
                if (byte > ' ' && byte < 0x7f && byte != '\\')
                        ret[n++] = (char)byte;
                else
                        n += (size_t)snprintf(ret + n, 5, "\\x%02x", byte);
        }
        ret[n] = 0;
        return ret;
}

void check_row_fault(Check *c, StoreTable table, Slice key, const char *format, ...) {
        char text[FAULT_TEXT_MAX], name[FAULT_TEXT_MAX];
        va_list ap;

        va_start(ap, format);
        vsnprintf(text, sizeof(text), format, ap);
        va_end(ap);
        store_check_fault(c->told, check_table(table), key_text(key, name), "%s", text);
}

void check_count(Check *c, const char *name, uint64_t n) {
        if (c->told->n_counts < STORE_CHECK_COUNTS_MAX) {
                c->told->counts[c->told->n_counts].name = name;
                c->told->counts[c->told->n_counts++].n = n;
        }
}

CheckTenant *check_tenant(Check *c, Slice tenant) {
        CheckTenant *found = map_get(&c->tenants, tenant);
        if (found)
                return found;
        Slice copy = arena_dup(&c->arena, tenant);
        found = ARENA_NEW(&c->arena, CheckTenant);
        return copy.data && found && map_put(&c->tenants, copy, found) >= 0 ? found : NULL;
}

int check_walk(Check *c, StoreTable table, int (*each)(Check *c, Slice key, Slice value), uint64_t *ret) {
        _cleanup_(kv_cursor_close_p) KvCursor *cursor = NULL;
        uint64_t n = 0;
        Slice k, v;

        int r = store_cursor(c->t, table, &cursor);
        if (r)
                return r;
        for (r = kv_cursor_seek(cursor, SLICE_NULL, &k, &v); r == 0; r = kv_cursor_next(cursor, &k, &v)) {
                n++;
                r = each(c, k, v);
                if (r < 0)
                        return r;
        }
        check_count(c, check_table(table), n);
        if (ret)
                *ret = n;
        return r == KV_E_NOT_FOUND ? 0 : r;
}

/* ---- rows that belong to executions ----------------------------------------------------------- */

/** @table must have @n_expected rows: each execution has looked for its own. */
static void check_total(Check *c, StoreTable table, uint64_t n_expected) {
        uint64_t n = kv_count(c->t->kv, table);

        check_count(c, check_table(table), n);
        if (n > n_expected)
                store_check_fault(c->told, check_table(table), "",
                                  "%llu row(s) belong to no execution: there are %llu, the executions "
                                  "account for %llu",
                                  (unsigned long long)(n - n_expected), (unsigned long long)n,
                                  (unsigned long long)n_expected);
}

static int check_holder(Check *c, Slice key, Uuid id) {
        Slice static_record, state_record;
        ExecutionSummary s;

        Key first = execution_key(id, ROW_STATIC), second = execution_key(id, ROW_STATE);
        int r = store_get(c->t, TABLE_EXECUTIONS, &first, &static_record);
        if (r == 0)
                r = store_get(c->t, TABLE_EXECUTIONS, &second, &state_record);
        if (r < 0)
                return r;
        if (r || execution_peek_summary(static_record, state_record, &s) < 0)
                check_row_fault(c, TABLE_IDEMPOTENCY, key, "it names an execution that is not there");
        else if (s.status == RUNBOOK_EXECUTION_FAILED || s.status == RUNBOOK_EXECUTION_CANCELLED)
                check_row_fault(c, TABLE_IDEMPOTENCY, key,
                                "it names an execution that has failed or was cancelled");
        return 0;
}

/** A digest's row must name executions that have it, are there and may still have it. */
static int check_idempotency_row(Check *c, Slice key, Slice value) {
        Reader reader = reader_from_slice(value);
        int r = 0;

        store_take_version(&reader);
        do {
                Uuid id = codec_uuid(&reader);
                if (reader.failed || key.n != DIGEST_SIZE) {
                        check_row_fault(c, TABLE_IDEMPOTENCY, key, "the row is damaged");
                        return 0;
                }
                r = check_holder(c, key, id);
        } while (r == 0 && reader_left(&reader) > 0);
        return r;
}

static void compare_counts(Check *c, Slice key, const uint64_t *stored, const CheckTenant *real) {
        for (unsigned i = 0; i < RUNBOOK_N_EXECUTION_STATUSES; i++)
                if (stored[i] != real->executions[i])
                        check_row_fault(c, TABLE_COUNTERS, key,
                                        "%llu execution(s) are counted as %s, there are %llu",
                                        (unsigned long long)stored[i], runbook_execution_status_name(i),
                                        (unsigned long long)real->executions[i]);
        if (stored[RUNBOOK_N_EXECUTION_STATUSES] != real->early)
                check_row_fault(c, TABLE_COUNTERS, key, "%llu early event(s) are counted, there are %llu",
                                (unsigned long long)stored[RUNBOOK_N_EXECUTION_STATUSES],
                                (unsigned long long)real->early);
}

/** What is counted for @tenant against what there is. *ret_sum: of what is counted. */
static int check_counter(Check *c, Slice tenant, const CheckTenant *real, uint64_t *ret_sum) {
        uint64_t stored[RUNBOOK_N_EXECUTION_STATUSES + 1] = {0};
        Slice found;
        Key key;

        store_key_begin(&key);
        store_key_text(&key, tenant);
        int r = store_get(c->t, TABLE_COUNTERS, &key, &found);
        if (r < 0)
                return r;
        Reader reader = reader_from_slice(found);
        if (r == 0)
                store_take_version(&reader);
        for (size_t i = 0; r == 0 && i < N_ELEMENTS(stored); i++)
                *ret_sum += stored[i] = reader_varint(&reader);
        if (r == 0 && reader.failed)
                check_row_fault(c, TABLE_COUNTERS, store_key_slice(&key), "the row is damaged");
        else
                compare_counts(c, store_key_slice(&key), stored, real);
        return 0;
}

/** A row's sum is added up: what is counted for tenants that have nothing shows in the whole. */
static int add_counter_row(Check *c, Slice key, Slice value) {
        Reader reader = reader_from_slice(value);

        store_take_version(&reader);
        for (unsigned i = 0; i <= RUNBOOK_N_EXECUTION_STATUSES; i++)
                c->tally.counted += reader_varint(&reader);
        if (reader.failed)
                check_row_fault(c, TABLE_COUNTERS, key, "the row is damaged");
        return 0;
}

static int check_counters(Check *c) {
        uint64_t sum = 0;
        size_t it = 0;
        Slice tenant;
        void *real;
        int r = 0;

        while (r == 0 && map_next(&c->tenants, &it, &tenant, &real))
                r = check_counter(c, tenant, real, &sum);
        if (r == 0)
                r = check_walk(c, TABLE_COUNTERS, add_counter_row, NULL);
        if (r == 0 && sum != c->tally.counted)
                store_check_fault(c->told, check_table(TABLE_COUNTERS), "",
                                  "something is counted for a tenant that has nothing");
        return r;
}

/* ---- small named values and catalogs ---------------------------------------------------------- */

/** A series without an execution: @value, in the row @key, says how long it is and what its last hash is. */
static int check_noted_series(Check *c, Uuid id, const char *key, Slice value, uint64_t *ret_n) {
        char last[DIGEST_TEXT_SIZE + 1] = "", head[DIGEST_TEXT_SIZE + 1];
        Reader reader = reader_from_slice(value);
        uint64_t n = reader_u64(&reader);
        Digest hash = codec_digest(&reader);

        if (reader.failed) {
                store_check_fault(c->told, check_table(TABLE_META), key, "the row is damaged");
                return 0;
        }
        int r = check_series(c, STORE_HISTORY, id, n, key, last);
        if (r)
                return r;
        digest_format(&hash, head);
        if (strcmp(head, last) != 0)
                store_check_fault(c->told, check_table(TABLE_META), key,
                                  "the hash of the last event is not the one that is noted");
        c->tally.announced += n;
        c->tally.catalogs--; /* one series that belongs to somebody */
        *ret_n += n;
        return 0;
}

static int check_catalog(Check *c, Slice tenant, Slice value) {
        char key[FAULT_TEXT_MAX];
        Uuid id;

        snprintf(key, sizeof(key), STORE_META_CATALOG "%.*s", SLICE_ARG(slice_cut_utf8(tenant, 200)));
        int r = c->told->catalog_id(tenant, &id);
        return r ? r : check_noted_series(c, id, key, value, &c->tally.registrations);
}

static int check_meta_row(Check *c, Slice key, Slice value) {
        Reader reader = reader_from_slice(value);

        if (slice_starts_with(key, SLICE(STORE_META_CATALOG)))
                return check_catalog(c,
                                     (Slice){key.data + strlen(STORE_META_CATALOG), key.n - strlen(STORE_META_CATALOG)},
                                     value);
        if (slice_eq(key, SLICE(STORE_META_CHECKPOINT)))
                return check_noted_series(c, store_engine_id(c->t->store), STORE_META_CHECKPOINT, value,
                                          &c->tally.checkpoints);
        if (slice_eq(key, SLICE(META_ORDER))) {
                uint64_t order = reader_u64(&reader);
                if (order < c->tally.order)
                        check_row_fault(c, TABLE_META, key, "orders up to %llu were given, it says %llu",
                                        (unsigned long long)c->tally.order, (unsigned long long)order);
        }
        return 0;
}

/* ---- the whole -------------------------------------------------------------------------------- */

static void check_totals(Check *c) {
        const CheckTally *t = &c->tally;

        check_count(c, "steps", t->steps);
        check_count(c, "journal records", t->journal);
        check_count(c, "lifecycle events", t->events + t->registrations);
        check_count(c, "checkpoints", t->checkpoints);
        check_count(c, "log entries", t->logs);
        check_count(c, "evidence records", t->evidence);
        check_total(c, TABLE_OPEN, t->open);
        check_total(c, TABLE_LISTING, 3 * t->executions);
        check_total(c, TABLE_TIMERS, t->timers);
        check_total(c, TABLE_WAITS, t->waits);
        check_total(c, TABLE_APPROVALS, t->approvals);
}

static int check_all(Check *c) {
        int r = check_runbooks(c);
        if (r == 0)
                r = check_executions(c);
        check_count(c, "executions", c->tally.executions);
        if (r == 0)
                r = check_walk(c, TABLE_IDEMPOTENCY, check_idempotency_row, NULL);
        if (r == 0)
                r = check_expiring(c);
        if (r == 0)
                r = check_counters(c);
        if (r == 0)
                r = check_walk(c, TABLE_META, check_meta_row, NULL);
        if (r == 0)
                check_totals(c);
        if (r == 0 && c->tally.catalogs != 0)
                store_check_fault(c->told, check_table(TABLE_EXECUTIONS), "",
                                  "%lld series belong to neither an execution nor a tenant's registrations",
                                  (long long)c->tally.catalogs);
        if (r == 0 && c->tally.versions != c->tally.registrations)
                store_check_fault(c->told, check_table(TABLE_RUNBOOKS), "",
                                  "%llu version(s) are there, %llu were registered",
                                  (unsigned long long)c->tally.versions,
                                  (unsigned long long)c->tally.registrations);
        return r ? r : check_outbox(c);
}

int store_check(StoreTxn *t, StoreCheck *told) {
        Check c = {.told = told, .t = t};

        told->n_faults = 0;
        told->n_counts = 0;
        int r = check_all(&c);
        map_deinit(&c.tenants);
        arena_deinit(&c.arena);
        return r;
}

int store_digest(StoreTxn *t, Digest *ret) {
        Digest table_digest;
        int r = 0;

        *ret = (Digest){0};
        for (unsigned table = 0; table < N_STORE_TABLES && r == 0; table++) {
                _cleanup_(kv_cursor_close_p) KvCursor *cursor = NULL;
                _cleanup_(buf_deinit) Buf rows = {0};
                Slice k, v;

                r = store_cursor(t, table, &cursor);
                if (r)
                        return r;
                for (r = kv_cursor_seek(cursor, SLICE_NULL, &k, &v); r == 0 && !rows.error;
                     r = kv_cursor_next(cursor, &k, &v)) {
                        buf_put_bytes(&rows, k);
                        buf_put_bytes(&rows, v);
                }
                if (r < 0 || rows.error)
                        return r < 0 ? r : rows.error;
                const Slice parts[] = {slice_from_bytes(ret->bytes, DIGEST_SIZE), buf_slice(&rows)};
                r = digest_slices(parts, 2, &table_digest);
                *ret = table_digest;
        }
        return r;
}
