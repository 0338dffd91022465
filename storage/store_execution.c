/*
 * Executions: saved in pieces, as marked dirty, and loaded whole; and their children. What is appended to them
 * is in store_series.c.
 */
#include "storage/store_impl.h"

#include "base/cleanup.h"
#include "model/codec.h"
#include "model/execution_codec.h"

static Key piece_key(Uuid id, uint8_t row, uint32_t number) {
        Key k = execution_key(id, row);
        store_key_u32(&k, number);
        return k;
}

static Key value_key(Uuid id, uint32_t index, uint32_t which) {
        Key k = piece_key(id, ROW_VALUE, index);
        store_key_u8(&k, (uint8_t)which);
        return k;
}

/* ---- saving
 * --------------------------------------------------------------------------------------------------- */

/** A long value in a row of its own, if it is new. */
static int save_value(StoreTxn *t, Execution *x, uint32_t index, ExecutionValue which) {
        int r = 0;
        Value *v = execution_value_to_store(x, index, which, &r);

        if (!v || r < 0)
                return store_fail(t, r);
        Key key = value_key(x->id, index, which);
        Buf *b = store_value(t);
        buf_put_slice(b, value_bytes(v));
        r = store_put(t, TABLE_EXECUTIONS, &key, b);
        if (r == 0)
                execution_value_stored(x, index, which);
        return r;
}

static int save_page(StoreTxn *t, Execution *x, uint32_t page) {
        Key key = piece_key(x->id, ROW_PAGE, page);
        uint32_t end = (page + 1) * STEP_PAGE < x->n_instances ? (page + 1) * STEP_PAGE : x->n_instances;
        int r = 0;

        for (uint32_t i = page * STEP_PAGE; i < end && r == 0; i++)
                for (uint32_t which = EXECUTION_VALUE_OUTPUT; which <= EXECUTION_VALUE_PROMPT && r == 0;
                     which++)
                        r = save_value(t, x, i, which);
        if (r)
                return r;
        buf_reset(&t->value);
        (void)execution_encode_page(x, page, &t->value);
        return store_put(t, TABLE_EXECUTIONS, &key, &t->value);
}

static int save_scope(StoreTxn *t, Execution *x, uint32_t scope) {
        Key key = piece_key(x->id, ROW_SCOPE, scope);

        if (scope == 0)
                return 0; /* the state record holds it */
        int r = save_value(t, x, scope, EXECUTION_VALUE_ITEM);
        if (r)
                return r;
        buf_reset(&t->value);
        (void)execution_encode_scope(x, scope, &t->value);
        return store_put(t, TABLE_EXECUTIONS, &key, &t->value);
}

/** @save for every set bit below @n; the bits are cleared. */
static int save_marked(StoreTxn *t, Execution *x, uint32_t *bits, uint32_t n,
                       int (*save)(StoreTxn *, Execution *, uint32_t)) {
        int r = 0;

        for (uint32_t word = 0; word * 32 < n && r == 0; word++) {
                while (bits[word] && r == 0) {
                        uint32_t bit = (uint32_t)__builtin_ctz(bits[word]);
                        bits[word] &= bits[word] - 1;
                        r = save(t, x, word * 32 + bit);
                }
        }
        return r;
}

int store_execution_save(StoreTxn *t, Execution *x) {
        bool is_new = x->dirty & DIRTY_STATIC;
        int r = 0;

        if (x->broken)
                return store_fail(t, -ENOMEM);
        if (is_new) {
                Key key = execution_key(x->id, ROW_STATIC);
                buf_reset(&t->value);
                (void)execution_encode_static(x, &t->value);
                r = store_put(t, TABLE_EXECUTIONS, &key, &t->value);
        }
        if (r == 0 && x->dirty & DIRTY_STATE) {
                Key key = execution_key(x->id, ROW_STATE);
                buf_reset(&t->value);
                (void)execution_encode_state(x, &t->value);
                r = store_put(t, TABLE_EXECUTIONS, &key, &t->value);
        }
        if (r == 0 && x->n_instances > 0)
                r = save_marked(t, x, x->dirty_pages, (x->n_instances + STEP_PAGE - 1) / STEP_PAGE,
                                save_page);
        if (r == 0 && x->n_scopes > 0)
                r = save_marked(t, x, x->dirty_scopes, x->n_scopes, save_scope);
        if (r == 0 && (is_new || x->status != x->stored_status))
                r = store_listing_update(t, x, is_new);
        if (r)
                return r;
        x->dirty = 0;
        x->stored_status = x->status;
        return 0;
}

/* ---- loading
 * ---------------------------------------------------------------------------------------------------- */

typedef struct Loading {
        StoreTxn *t;
        Uuid id;
} Loading;

static int absent_is_damage(int r) { return r == KV_E_NOT_FOUND ? -EBADMSG : r; }

static int fetch_value(void *userdata, uint32_t index, uint32_t which, Value **ret) {
        Loading *l = userdata;
        Key key = value_key(l->id, index, which);
        Slice found;

        int r = absent_is_damage(store_get(l->t, TABLE_EXECUTIONS, &key, &found));
        if (r)
                return r;
        if (found.n < 2 || found.data[0] != RECORD_VERSION)
                return -EBADMSG;
        *ret = value_new_bytes((Slice){found.data + 1, found.n - 1});
        return *ret ? 0 : -ENOMEM;
}

static int load_pieces(Loading *l, Execution *x) {
        Slice found;
        int r = 0;

        for (uint32_t page = 0; page * STEP_PAGE < x->n_instances && r == 0; page++) {
                Key key = piece_key(l->id, ROW_PAGE, page);
                r = absent_is_damage(store_get(l->t, TABLE_EXECUTIONS, &key, &found));
                if (r == 0)
                        r = execution_decode_page(x, page, found, fetch_value, l);
        }
        for (uint32_t scope = 1; scope < x->n_scopes && r == 0; scope++) {
                Key key = piece_key(l->id, ROW_SCOPE, scope);
                r = absent_is_damage(store_get(l->t, TABLE_EXECUTIONS, &key, &found));
                if (r == 0)
                        r = execution_decode_scope(x, scope, found, fetch_value, l);
        }
        return r ? r : execution_finish_load(x);
}

int store_execution_load(StoreTxn *t, Uuid id, StoreRunbookLookup lookup, void *userdata, Execution **ret) {
        Key static_key = execution_key(id, ROW_STATIC), state_key = execution_key(id, ROW_STATE);
        Slice static_record, state_record, tenant, runbook_id, version;
        _cleanup_(runbook_unref_p) Runbook *runbook = NULL;
        _cleanup_(execution_free_p) Execution *x = NULL;
        Loading l = {t, id};

        int r = store_get(t, TABLE_EXECUTIONS, &static_key, &static_record);
        if (r)
                return r;
        r = absent_is_damage(store_get(t, TABLE_EXECUTIONS, &state_key, &state_record));
        if (r == 0)
                r = execution_peek_static(static_record, &tenant, &runbook_id, &version);
        if (r == 0)
                r = absent_is_damage(lookup(userdata, t, tenant, runbook_id, version, &runbook));
        if (r == 0)
                r = execution_decode(runbook, id, static_record, state_record, &x);
        if (r == 0)
                r = load_pieces(&l, x);
        if (r)
                return store_fail(t, r);
        *ret = STEAL(x);
        return 0;
}

bool store_execution_exists(StoreTxn *t, Uuid id) {
        Key key = execution_key(id, ROW_STATIC);
        Slice found;
        return store_get(t, TABLE_EXECUTIONS, &key, &found) == 0;
}

/* ---- children
 * ------------------------------------------------------------------------------------------------------- */

int store_child_add(StoreTxn *t, Uuid parent, uint32_t instance, Uuid child) {
        Key key = piece_key(parent, ROW_CHILD, instance);
        Buf *b = store_value(t);
        buf_put(b, child.bytes, sizeof(child.bytes));
        return store_put(t, TABLE_EXECUTIONS, &key, b);
}

int store_child_next(StoreTxn *t, Uuid parent, uint32_t after_instance, uint32_t *ret_instance, Uuid *ret) {
        _cleanup_(kv_cursor_close_p) KvCursor *c = NULL;
        Key prefix = execution_key(parent, ROW_CHILD);
        Key from = after_instance == INSTANCE_NONE ? prefix
                                                   : piece_key(parent, ROW_CHILD, after_instance + 1);
        Slice k, v;

        int r = store_cursor(t, TABLE_EXECUTIONS, &c);
        if (r == 0)
                r = store_seek(t, c, &from, &prefix, &k, &v);
        if (r)
                return r;
        Reader key = store_key_tail(k, 4), value = reader_from_slice(v);
        *ret_instance = reader_u32(&key);
        store_take_version(&value);
        *ret = store_key_take_uuid(&value);
        return value.failed ? store_fail(t, -EBADMSG) : 0;
}
