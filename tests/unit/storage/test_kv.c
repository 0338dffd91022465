/* What kv.h promises, held against both backends: this file is compiled once for each. */
#include "fixture.h"

#define MAP_SMALL ((size_t)1 << 20)

static const char *const tables[] = {"one", "two", "three"};
static char dir[256];
static Kv *kv;

static Kv *open_sized(size_t map_size, size_t map_size_max) {
        KvOptions options = {.path = dir, .map_size = map_size, .map_size_max = map_size_max};
        _cleanup_(report_deinit) Report report = {0};
        Kv *opened = NULL;
        int r = BACKEND_IS_LMDB ? kv_open_lmdb(&options, tables, N_ELEMENTS(tables), &report, &opened)
                                : kv_open_mem(tables, N_ELEMENTS(tables), &report, &opened);
        cr_assert_eq(r, 0, "%d: %s", r, report_text(&report));
        return opened;
}

static void set_up(void) {
        fixture_make_dir(dir);
        kv = open_sized(64 << 20, 0);
}

static void tear_down(void) {
        kv_close(kv);
        fixture_remove(dir);
        check_leaks();
}

TestSuite(kv, .init = set_up, .fini = tear_down);

static Slice str(const char *s) { return slice_from_str(s); }

static KvTxn *begin(bool write) {
        KvTxn *t = NULL;
        cr_assert_eq(write ? kv_begin_write(kv, &t) : kv_begin_read(kv, &t), 0);
        return t;
}

static void put(KvTxn *t, unsigned table, const char *key, const char *value) {
        cr_assert_eq(kv_put(t, table, str(key), str(value)), 0);
}

static void check_value(KvTxn *t, unsigned table, const char *key, const char *expected) {
        Slice value;
        int r = kv_get(t, table, str(key), &value);
        if (!expected)
                cr_assert_eq(r, KV_E_NOT_FOUND, "%s: %d", key, r);
        else
                cr_assert(r == 0 && slice_eq_str(value, expected), "%s: %d %.*s", key, r, SLICE_ARG(value));
}

Test(kv, puts_gets_replaces_deletes) {
        KvTxn *t = begin(true);
        put(t, 0, "a", "1");
        put(t, 1, "a", "other table");
        check_value(t, 0, "a", "1");
        put(t, 0, "a", "a longer value than before");
        check_value(t, 0, "a", "a longer value than before");
        put(t, 0, "empty", "");
        check_value(t, 0, "empty", "");
        cr_assert_eq(kv_count(t, 0), 2);
        cr_assert_eq(kv_delete(t, 0, str("a")), 0);
        cr_assert_eq(kv_delete(t, 0, str("a")), KV_E_NOT_FOUND);
        cr_assert_eq(kv_delete(t, 2, str("never")), KV_E_NOT_FOUND);
        cr_assert_eq(kv_commit(t), 0);

        t = begin(false);
        check_value(t, 0, "a", NULL);
        check_value(t, 0, "empty", "");
        check_value(t, 1, "a", "other table");
        cr_assert_eq(kv_count(t, 0), 1);
        cr_assert_eq(kv_count(t, 1), 1);
        cr_assert_eq(kv_count(t, 2), 0);
        kv_abort(t);
}

Test(kv, null_value_is_empty) {
        KvTxn *t = begin(true);
        cr_assert_eq(kv_put(t, 0, str("k"), SLICE_NULL), 0);
        check_value(t, 0, "k", "");
        cr_assert_eq(kv_commit(t), 0);
}

Test(kv, large_values) {
        size_t sizes[] = {1, 2000, 2047, 2048, 4096, 65536, 1 << 20, 9 << 20};
        for (size_t i = 0; i < N_ELEMENTS(sizes); i++) {
                char *data = malloc(sizes[i]);
                memset(data, (int)('a' + i), sizes[i]);
                KvTxn *t = begin(true);
                Slice value;
                cr_assert_eq(kv_put(t, 0, str("large"), (Slice){data, sizes[i]}), 0);
                cr_assert_eq(kv_commit(t), 0);
                t = begin(false);
                cr_assert_eq(kv_get(t, 0, str("large"), &value), 0);
                cr_assert(slice_eq(value, (Slice){data, sizes[i]}));
                kv_abort(t);
                free(data);
        }
}

Test(kv, keys_of_every_allowed_size) {
        char key[KV_KEY_MAX + 1];
        Slice value;
        memset(key, 0xff, sizeof(key));
        KvTxn *t = begin(true);
        for (size_t n = 1; n <= KV_KEY_MAX; n++)
                cr_assert_eq(kv_put(t, 0, (Slice){key, n}, (Slice){key, n % 7}), 0);
        cr_assert_eq(kv_commit(t), 0);
        t = begin(false);
        for (size_t n = 1; n <= KV_KEY_MAX; n++) {
                cr_assert_eq(kv_get(t, 0, (Slice){key, n}, &value), 0);
                cr_assert_eq(value.n, n % 7);
        }
        cr_assert_eq(kv_count(t, 0), KV_KEY_MAX);
        kv_abort(t);
}

Test(kv, order_is_by_bytes_shorter_first) {
        const char *const keys[] = {"\x01",  "a",    "a\x01", "aa",   "ab",      "b",
                                    "b\xff", "\x7f", "\x80",  "\xff", "\xff\xff"};
        KvTxn *t = begin(true);
        for (size_t i = N_ELEMENTS(keys); i-- > 0;)
                put(t, 0, keys[i], "");
        KvCursor *c;
        Slice key, value;
        size_t i = 0;
        cr_assert_eq(kv_cursor_open(t, 0, &c), 0);
        for (int r = kv_cursor_seek(c, SLICE_NULL, &key, &value); r == 0; r = kv_cursor_next(c, &key, &value))
                cr_assert(slice_eq_str(key, keys[i++]));
        cr_assert_eq(i, N_ELEMENTS(keys));
        for (int r = kv_cursor_seek_last(c, SLICE_NULL, &key, &value); r == 0;
             r = kv_cursor_prev(c, &key, &value))
                cr_assert(slice_eq_str(key, keys[--i]));
        cr_assert_eq(i, 0);
        kv_cursor_close(c);
        cr_assert_eq(kv_commit(t), 0);
}

static void check_seek(KvCursor *c, const char *key, const char *first, const char *last_below) {
        Slice k, v;
        int r = kv_cursor_seek(c, str(key), &k, &v);
        cr_assert(first ? r == 0 && slice_eq_str(k, first) : r == KV_E_NOT_FOUND, "first from %s", key);
        r = kv_cursor_seek_last(c, str(key), &k, &v);
        cr_assert(last_below ? r == 0 && slice_eq_str(k, last_below) : r == KV_E_NOT_FOUND, "last below %s",
                  key);
}

Test(kv, cursor_seeks_both_ways) {
        KvTxn *t = begin(true);
        KvCursor *c;
        Slice k, v;
        cr_assert_eq(kv_cursor_open(t, 0, &c), 0);
        cr_assert_eq(kv_cursor_seek(c, SLICE_NULL, &k, &v), KV_E_NOT_FOUND);
        cr_assert_eq(kv_cursor_seek_last(c, SLICE_NULL, &k, &v), KV_E_NOT_FOUND);
        put(t, 0, "b", "");
        put(t, 0, "d", "");
        put(t, 0, "f", "");
        check_seek(c, "a", "b", NULL);
        check_seek(c, "b", "b", NULL);
        check_seek(c, "c", "d", "b");
        check_seek(c, "d", "d", "b");
        check_seek(c, "f", "f", "d");
        check_seek(c, "g", NULL, "f");
        /* turning round in the middle */
        cr_assert_eq(kv_cursor_seek(c, str("d"), &k, &v), 0);
        cr_assert(kv_cursor_next(c, &k, &v) == 0 && slice_eq_str(k, "f"));
        cr_assert(kv_cursor_prev(c, &k, &v) == 0 && slice_eq_str(k, "d"));
        cr_assert(kv_cursor_prev(c, &k, &v) == 0 && slice_eq_str(k, "b"));
        cr_assert(kv_cursor_next(c, &k, &v) == 0 && slice_eq_str(k, "d"));
        kv_cursor_close(c);
        kv_abort(t);
}

Test(kv, cursor_that_found_nothing_stands_nowhere) {
        KvTxn *t = begin(true);
        KvCursor *c;
        Slice k, v;
        put(t, 0, "a", "");
        put(t, 0, "b", "");
        cr_assert_eq(kv_cursor_open(t, 0, &c), 0);
        cr_assert_eq(kv_cursor_next(c, &k, &v), KV_E_NOT_FOUND);
        cr_assert_eq(kv_cursor_prev(c, &k, &v), KV_E_NOT_FOUND);
        cr_assert_eq(kv_cursor_delete(c), KV_E_NOT_FOUND);
        cr_assert_eq(kv_cursor_seek(c, str("b"), &k, &v), 0);
        cr_assert_eq(kv_cursor_next(c, &k, &v), KV_E_NOT_FOUND);
        cr_assert_eq(kv_cursor_next(c, &k, &v), KV_E_NOT_FOUND);
        cr_assert_eq(kv_cursor_prev(c, &k, &v), KV_E_NOT_FOUND);
        cr_assert_eq(kv_cursor_delete(c), KV_E_NOT_FOUND);
        cr_assert_eq(kv_cursor_seek(c, str("a"), &k, &v), 0);
        cr_assert_eq(kv_cursor_prev(c, &k, &v), KV_E_NOT_FOUND);
        cr_assert_eq(kv_cursor_next(c, &k, &v), KV_E_NOT_FOUND);
        kv_cursor_close(c);
        cr_assert_eq(kv_count(t, 0), 2);
        kv_abort(t);
}

Test(kv, cursor_deletes_as_it_goes) {
        KvTxn *t = begin(true);
        char text[16];
        for (int i = 0; i < 2000; i++) {
                snprintf(text, sizeof(text), "%06d", i);
                put(t, 0, text, "some value to fill pages with, so that deleting merges them");
        }
        KvCursor *c;
        Slice k, v;
        int n = 0;
        cr_assert_eq(kv_cursor_open(t, 0, &c), 0);
        /* every third stays */
        for (int r = kv_cursor_seek(c, SLICE_NULL, &k, &v); r == 0; r = kv_cursor_next(c, &k, &v), n++) {
                snprintf(text, sizeof(text), "%06d", n);
                cr_assert(slice_eq_str(k, text), "%.*s for %s", SLICE_ARG(k), text);
                if (n % 3)
                        cr_assert_eq(kv_cursor_delete(c), 0);
        }
        cr_assert_eq(n, 2000);
        cr_assert_eq(kv_count(t, 0), 667);
        /* the rest backwards */
        for (int r = kv_cursor_seek_last(c, SLICE_NULL, &k, &v); r == 0; r = kv_cursor_prev(c, &k, &v)) {
                cr_assert_eq(kv_cursor_delete(c), 0);
                cr_assert_eq(kv_cursor_delete(c), KV_E_NOT_FOUND, "deleted once already");
        }
        cr_assert_eq(kv_count(t, 0), 0);
        kv_cursor_close(c);
        cr_assert_eq(kv_commit(t), 0);
}

Test(kv, abort_discards_everything) {
        KvTxn *t = begin(true);
        put(t, 0, "kept", "1");
        cr_assert_eq(kv_commit(t), 0);
        t = begin(true);
        put(t, 0, "kept", "2");
        put(t, 0, "dropped", "1");
        cr_assert_eq(kv_delete(t, 0, str("kept")), 0);
        kv_abort(t);
        t = begin(false);
        check_value(t, 0, "kept", "1");
        check_value(t, 0, "dropped", NULL);
        cr_assert_eq(kv_count(t, 0), 1);
        kv_abort(t);
        kv_abort(NULL);
}

Test(kv, reader_keeps_its_snapshot) {
        KvTxn *t = begin(true);
        put(t, 0, "a", "1");
        put(t, 0, "b", "1");
        cr_assert_eq(kv_commit(t), 0);

        KvTxn *old = begin(false);
        t = begin(true);
        put(t, 0, "a", "2");
        put(t, 0, "c", "2");
        cr_assert_eq(kv_delete(t, 0, str("b")), 0);
        KvTxn *meanwhile = begin(false);
        check_value(meanwhile, 0, "a", "1");
        cr_assert_eq(kv_commit(t), 0);
        KvTxn *new = begin(false);

        KvTxn *before[] = {old, meanwhile};
        for (size_t i = 0; i < 2; i++) {
                check_value(before[i], 0, "a", "1");
                check_value(before[i], 0, "b", "1");
                check_value(before[i], 0, "c", NULL);
                cr_assert_eq(kv_count(before[i], 0), 2);
                kv_abort(before[i]);
        }
        check_value(new, 0, "a", "2");
        check_value(new, 0, "b", NULL);
        check_value(new, 0, "c", "2");
        kv_abort(new);
}

Test(kv, one_writer_at_a_time) {
        KvTxn *t = begin(true), *second = NULL;
        cr_assert_eq(kv_begin_write(kv, &second), -EBUSY);
        cr_assert_null(second);
        kv_abort(t);
        t = begin(true);
        cr_assert_eq(kv_commit(t), 0);
        t = begin(true);
        kv_abort(t);
}

/** Everything but abort and commit must give @error. */
static void check_poisoned(KvTxn *t, int error) {
        Slice value;
        KvCursor *c = NULL;
        cr_assert_eq(kv_put(t, 0, str("x"), str("y")), error);
        cr_assert_eq(kv_get(t, 0, str("before"), &value), error);
        cr_assert_eq(kv_delete(t, 0, str("before")), error);
        cr_assert_eq(kv_cursor_open(t, 0, &c), error);
        cr_assert_eq(kv_count(t, 0), 0);
}

Test(kv, failure_poisons_the_transaction) {
        char key[KV_KEY_MAX + 1] = {'k'};
        Slice bad_keys[] = {{key, sizeof(key)}, SLICE_NULL};
        Slice k, v;
        for (size_t i = 0; i < N_ELEMENTS(bad_keys); i++) {
                KvTxn *t = begin(true);
                KvCursor *c;
                put(t, 0, "before", "1");
                cr_assert_eq(kv_cursor_open(t, 0, &c), 0);
                cr_assert_eq(kv_cursor_seek(c, str("before"), &k, &v), 0);
                cr_assert_eq(kv_put(t, 0, bad_keys[i], str("y")), -EINVAL);
                check_poisoned(t, -EINVAL);
                cr_assert_eq(kv_cursor_next(c, &k, &v), -EINVAL);
                cr_assert_eq(kv_cursor_prev(c, &k, &v), -EINVAL);
                cr_assert_eq(kv_cursor_seek(c, SLICE_NULL, &k, &v), -EINVAL);
                cr_assert_eq(kv_cursor_seek_last(c, SLICE_NULL, &k, &v), -EINVAL);
                cr_assert_eq(kv_cursor_delete(c), -EINVAL);
                kv_cursor_close(c);
                cr_assert_eq(kv_commit(t), -EINVAL);
        }
        KvTxn *t = begin(true);
        check_value(t, 0, "before", NULL);
        put(t, 0, "after", "1");
        cr_assert_eq(kv_commit(t), 0, "a new transaction is clean");
}

Test(kv, transaction_has_a_largest_size) {
        KvTxn *t = begin(true);
        put(t, 0, "before", "1");
        /* refused by its size alone: the bytes are never touched */
        cr_assert_eq(kv_put(t, 0, str("huge"), (Slice){"", (size_t)1 << 40}), -EFBIG);
        check_poisoned(t, -EFBIG);
        cr_assert_eq(kv_commit(t), -EFBIG);
}

Test(kv, stats_count_readers_and_commits) {
        KvStats a, b;
        cr_assert_eq(kv_stats(kv, &a), 0);
        cr_assert_eq(a.n_readers, 0);
        cr_assert_geq(a.map_max_bytes, a.map_bytes);
        KvTxn *reader = begin(false), *t = begin(true);
        char *data = calloc(1, 1 << 20);
        cr_assert_eq(kv_put(t, 0, str("k"), (Slice){data, 1 << 20}), 0);
        cr_assert_eq(kv_commit(t), 0);
        free(data);
        cr_assert_eq(kv_stats(kv, &b), 0);
        cr_assert_eq(b.n_readers, 1);
        cr_assert_eq(b.last_txn, a.last_txn + 1);
        cr_assert_geq(b.used_bytes, a.used_bytes + (1 << 20));
        kv_abort(reader);
        /* what is deleted is room again */
        t = begin(true);
        cr_assert_eq(kv_delete(t, 0, str("k")), 0);
        cr_assert_eq(kv_commit(t), 0);
        cr_assert_eq(kv_stats(kv, &a), 0);
        cr_assert_leq(a.used_bytes, b.used_bytes - (1 << 20) + 65536);
}

/* ---- against a model -------------------------------------------------------------------------- */

#define MODEL_KEYS 400
typedef struct Model {
        bool there[MODEL_KEYS];
        uint32_t value[MODEL_KEYS];
} Model;

static uint64_t random_next(uint64_t *s) {
        *s ^= *s << 13, *s ^= *s >> 7, *s ^= *s << 17;
        return *s;
}

/** Keys of several lengths whose byte order is the number's order. */
static Slice model_key(char text[80], unsigned i) {
        int n = snprintf(text, 80, "%05u%.*s", i, (int)(i % 60),
                         "............................................................");
        return (Slice){text, (size_t)n};
}
static unsigned model_number(Slice key) {
        uint64_t n = UINT64_MAX;
        cr_assert(slice_to_u64((Slice){key.data, 5}, &n));
        return (unsigned)n;
}

static Slice model_value(Buf *b, uint32_t v) {
        buf_reset(b);
        buf_put_u32(b, v);
        char *fill = buf_extend(b, v % 5000 < 4000 ? v % 300 + 1 : v % 5000);
        memset(fill, 'v', b->n - 4);
        return buf_slice(b);
}

static void check_model(KvTxn *t, const Model *m) {
        KvCursor *c;
        Slice key, value;
        unsigned n = 0, i = 0;
        cr_assert_eq(kv_cursor_open(t, 1, &c), 0);
        for (int r = kv_cursor_seek(c, SLICE_NULL, &key, &value); r == 0;
             r = kv_cursor_next(c, &key, &value), i++, n++) {
                while (i < MODEL_KEYS && !m->there[i])
                        i++;
                cr_assert(i < MODEL_KEYS && model_number(key) == i);
                Reader reader = reader_from_slice(value);
                cr_assert_eq(reader_u32(&reader), m->value[i]);
        }
        while (i < MODEL_KEYS && !m->there[i])
                i++;
        cr_assert_eq(i, MODEL_KEYS);
        cr_assert_eq(kv_count(t, 1), n);
        kv_cursor_close(c);
}

/** The neighbour of @from in the model: step +1 or -1; MODEL_KEYS: none. */
static unsigned model_neighbour(const Model *m, int from, int step) {
        for (from += step; from >= 0 && from < MODEL_KEYS; from += step)
                if (m->there[from])
                        return (unsigned)from;
        return MODEL_KEYS;
}

/** One random act through a cursor that lives as long as its transaction. *at: where it stands; -1: nowhere. */
static void model_cursor_act(KvCursor *c, Model *m, uint64_t *s, int *at, bool *gap) {
        char text[80];
        Slice key, value;
        unsigned expected, act = random_next(s) % 5, i = random_next(s) % MODEL_KEYS;
        int r;
        if (act == 0) {
                r = kv_cursor_seek(c, model_key(text, i), &key, &value);
                expected = model_neighbour(m, (int)i - 1, 1);
        } else if (act == 1) {
                r = kv_cursor_seek_last(c, model_key(text, i), &key, &value);
                expected = model_neighbour(m, (int)i, -1);
        } else if (act == 4) {
                r = kv_cursor_delete(c);
                cr_assert_eq(r, *at >= 0 && !*gap ? 0 : KV_E_NOT_FOUND);
                if (r == 0) {
                        m->there[*at] = false;
                        *gap = true;
                }
                return;
        } else {
                int step = act == 2 ? 1 : -1;
                r = act == 2 ? kv_cursor_next(c, &key, &value) : kv_cursor_prev(c, &key, &value);
                expected = *at < 0 ? MODEL_KEYS : model_neighbour(m, *at, step);
        }
        cr_assert_eq(r, expected < MODEL_KEYS ? 0 : KV_E_NOT_FOUND, "act %u: %d, expected %u", act, r,
                     expected);
        int was = *at, was_gap = *gap;
        *gap = false;
        *at = r ? -1 : (int)expected;
        if (r == 0)
                cr_assert_eq(model_number(key), expected, "act %u: %u, expected %u (stood at %d, gap %d)",
                             act, model_number(key), expected, was, was_gap);
}

static void run_model(uint64_t seed, unsigned n_txns) {
        Model committed = {0};
        _cleanup_(buf_deinit) Buf value = {0};
        uint64_t s = seed;
        for (unsigned n = 0; n < n_txns; n++) {
                Model m = committed;
                KvTxn *t = begin(true), *reader = begin(false);
                KvCursor *c;
                int at = -1;
                bool gap = false;
                cr_assert_eq(kv_cursor_open(t, 1, &c), 0);
                for (unsigned acts = random_next(&s) % 200; acts > 0; acts--) {
                        char text[80];
                        unsigned i = random_next(&s) % MODEL_KEYS;
                        if (random_next(&s) % 2 || (int)i == at) {
                                model_cursor_act(c, &m, &s, &at, &gap);
                        } else if (random_next(&s) % 5 < 3) {
                                m.there[i] = true;
                                m.value[i] = (uint32_t)random_next(&s);
                                cr_assert_eq(kv_put(t, 1, model_key(text, i),
                                                    model_value(&value, m.value[i])),
                                             0);
                        } else {
                                cr_assert_eq(kv_delete(t, 1, model_key(text, i)),
                                             m.there[i] ? 0 : KV_E_NOT_FOUND);
                                m.there[i] = false;
                        }
                }
                kv_cursor_close(c);
                check_model(t, &m);
                check_model(reader, &committed);
                if (random_next(&s) % 4) {
                        cr_assert_eq(kv_commit(t), 0);
                        committed = m;
                } else {
                        kv_abort(t);
                }
                kv_abort(reader);
        }
        KvTxn *t = begin(false);
        check_model(t, &committed);
        kv_abort(t);
}

Test(kv, behaves_like_a_sorted_array, .timeout = 60) {
        for (uint64_t seed = 1; seed <= 3; seed++) {
                run_model(seed * 0x9e3779b97f4a7c15ULL, 60);
                KvTxn *t = begin(true);
                KvCursor *c;
                Slice k, v;
                cr_assert_eq(kv_cursor_open(t, 1, &c), 0);
                for (int r = kv_cursor_seek(c, SLICE_NULL, &k, &v); r == 0; r = kv_cursor_next(c, &k, &v))
                        cr_assert_eq(kv_cursor_delete(c), 0);
                kv_cursor_close(c);
                cr_assert_eq(kv_commit(t), 0);
        }
}

/* ---- growing ---------------------------------------------------------------------------------- */

/** One batch of a quarter of the small map; the runtime's way: abort, grow, again. */
static int put_batch(Kv *store, unsigned batch) {
        static const char fill[4000];
        KvTxn *t;
        int r = kv_begin_write(store, &t);
        cr_assert_eq(r, 0);
        for (unsigned i = 0; i < MAP_SMALL / 4 / sizeof(fill) && r == 0; i++) {
                char key[16];
                snprintf(key, sizeof(key), "%05u/%05u", batch, i);
                r = kv_put(t, 0, str(key), (Slice){fill, sizeof(fill)});
        }
        if (r) {
                Slice v;
                cr_assert_eq(kv_get(t, 0, str("x"), &v), r, "poisoned");
                cr_assert_eq(kv_commit(t), r);
                return r;
        }
        return kv_commit(t);
}

Test(kv, full_map_grows_and_the_batch_runs_again) {
        kv_close(kv);
        kv = open_sized(MAP_SMALL, 0);
        unsigned n_grown = 0;
        for (unsigned batch = 0; batch < 32; batch++) {
                int r;
                while ((r = put_batch(kv, batch)) == KV_E_MAP_FULL) {
                        cr_assert_eq(kv_grow(kv), 0);
                        n_grown++;
                }
                cr_assert_eq(r, 0);
        }
        KvTxn *t = begin(false);
        cr_assert_eq(kv_count(t, 0), 32 * (MAP_SMALL / 4 / 4000));
        kv_abort(t);
        cr_assert_eq(n_grown > 0, BACKEND_IS_LMDB, "grown %u times", n_grown);
}

Test(kv, map_stops_at_its_maximum) {
        if (!BACKEND_IS_LMDB)
                return; /* memory has no map */
        kv_close(kv);
        kv = open_sized(MAP_SMALL, 3 * MAP_SMALL);
        int r = 0;
        unsigned batch = 0;
        while (r == 0 && batch < 100) {
                r = put_batch(kv, batch);
                if (r == KV_E_MAP_FULL)
                        r = kv_grow(kv);
                else
                        batch++;
        }
        KvStats st;
        cr_assert_eq(r, -ENOSPC);
        cr_assert_eq(kv_stats(kv, &st), 0);
        cr_assert_eq(st.map_bytes, 3 * MAP_SMALL);
        cr_assert_eq(st.map_max_bytes, 3 * MAP_SMALL);
        /* deleting still works and makes room */
        KvTxn *t = begin(true);
        for (unsigned i = 0; i < MAP_SMALL / 4 / 4000; i++) {
                char key[16];
                snprintf(key, sizeof(key), "%05u/%05u", 0, i);
                cr_assert_eq(kv_delete(t, 0, str(key)), 0);
        }
        cr_assert_eq(kv_commit(t), 0);
        t = begin(true);
        put(t, 0, "finish", "still goes through");
        cr_assert_eq(kv_commit(t), 0);
}
