/*
 * The backend in memory, for tests, the simulator and STORAGE_BACKEND=memory. Nothing survives the process.
 *
 * Each table is a persistent AVL tree: nodes are reference counted and never change while more than one tree
 * holds them. A snapshot is one reference to all roots. The write transaction starts from the current
 * snapshot and copies the path to what it changes; committing replaces the current snapshot; readers keep
 * theirs and wait for nobody.
 *
 * A node with a single reference below nodes with single references belongs to the write transaction alone
 * and is changed in place (`node_own`): many puts in one transaction copy a path once.
 *
 * The recursion is over tree height, at most HEIGHT_MAX: an AVL tree of 2^40 records is 58 high.
 */
#include "storage/kv_backend.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#define HEIGHT_MAX 64

typedef struct Item {
        atomic_uint refs;
        uint32_t n_key;
        size_t n_value;
        char bytes[]; /* key, value */
} Item;

typedef struct Node {
        atomic_uint refs;
        unsigned height; /* 1: a leaf */
        struct Node *child[2];
        Item *item;
} Node;

typedef struct Snapshot {
        atomic_uint refs;
        uint64_t txn;
        size_t n_bytes;
        uint64_t n_records[KV_TABLES_MAX];
        Node *roots[KV_TABLES_MAX];
} Snapshot;

typedef struct MemTxn {
        KvTxn base;
        Snapshot *snapshot; /* a write transaction's is its own */
} MemTxn;

typedef struct MemCursor {
        KvCursor base;
        Item *item; /* a reference to where it stands, or to the deleted record (KV_CURSOR_GAP) */
} MemCursor;

typedef struct Mem {
        Kv base;
        pthread_mutex_t lock; /* of `current` and n_readers */
        Snapshot *current;
        uint32_t n_readers;
} Mem;

static Mem *mem_of(Kv *kv) { return (Mem *)kv; }
static MemTxn *txn_of(KvTxn *t) { return (MemTxn *)t; }
static MemCursor *cursor_of(KvCursor *c) { return (MemCursor *)c; }

/* ---- items and nodes -------------------------------------------------------------------------- */

static Slice item_key(const Item *i) { return (Slice){i->bytes, i->n_key}; }
static Slice item_value(const Item *i) { return (Slice){i->bytes + i->n_key, i->n_value}; }
static size_t item_size(const Item *i) { return sizeof(*i) + sizeof(Node) + i->n_key + i->n_value; }

static Item *item_new(Slice key, Slice value) {
        Item *i = malloc(sizeof(*i) + key.n + value.n);
        if (!i)
                return NULL;
        atomic_init(&i->refs, 1);
        i->n_key = (uint32_t)key.n;
        i->n_value = value.n;
        memcpy(i->bytes, key.data, key.n);
        if (value.n)
                memcpy(i->bytes + key.n, value.data, value.n);
        return i;
}

static Item *item_ref(Item *i) {
        atomic_fetch_add_explicit(&i->refs, 1, memory_order_relaxed);
        return i;
}

static void item_unref(Item *i) {
        if (i && atomic_fetch_sub_explicit(&i->refs, 1, memory_order_acq_rel) == 1)
                free(i);
}

static Node *node_ref(Node *n) {
        if (n)
                atomic_fetch_add_explicit(&n->refs, 1, memory_order_relaxed);
        return n;
}

static void node_unref(Node *n) {
        if (!n || atomic_fetch_sub_explicit(&n->refs, 1, memory_order_acq_rel) != 1)
                return;
        node_unref(n->child[0]);
        node_unref(n->child[1]);
        item_unref(n->item);
        free(n);
}

/** Takes the reference @item, also on failure. */
static Node *node_new(Item *item) {
        Node *n = item ? malloc(sizeof(*n)) : NULL;
        if (!n) {
                item_unref(item);
                return NULL;
        }
        *n = (Node){.height = 1, .item = item};
        atomic_init(&n->refs, 1);
        return n;
}

/** Make *@slot a node of this tree alone, by copying it if others hold it too. On failure it stays as it was. */
static int node_own(Node **slot) {
        Node *n = *slot;

        if (atomic_load_explicit(&n->refs, memory_order_acquire) == 1)
                return 0;
        Node *copy = node_new(item_ref(n->item));
        if (!copy)
                return -ENOMEM;
        copy->height = n->height;
        for (unsigned i = 0; i < 2; i++)
                copy->child[i] = node_ref(n->child[i]);
        node_unref(n);
        *slot = copy;
        return 0;
}

static unsigned node_height(const Node *n) { return n ? n->height : 0; }

static void node_update(Node *n) {
        unsigned a = node_height(n->child[0]), b = node_height(n->child[1]);
        n->height = 1 + (a > b ? a : b);
        assert(n->height <= HEIGHT_MAX);
}

/* ---- balance ------------------------------------------------------------------------------------------
 *
 * node_rotate(slot, 1) lifts the left child, node_rotate(slot, 0) the right one:
 *
 *          n              l
 *         / \            / \
 *        l   c   ->     a   n
 *       / \                / \
 *      a   b              b   c
 */

static int node_rotate(Node **slot, unsigned to) {
        Node *n = *slot;
        int r = node_own(&n->child[!to]);
        if (r)
                return r;
        Node *lifted = n->child[!to];
        n->child[!to] = lifted->child[to];
        lifted->child[to] = n;
        node_update(n);
        node_update(lifted);
        *slot = lifted;
        return 0;
}

/** *@slot is owned. A failure leaves a valid, merely unbalanced tree: its transaction is poisoned and goes no
 * further. */
static int node_balance(Node **slot) {
        Node *n = *slot;
        unsigned a = node_height(n->child[0]), b = node_height(n->child[1]);

        if (a <= b + 1 && b <= a + 1) {
                node_update(n);
                return 0;
        }
        unsigned heavy = b > a;
        int r = node_own(&n->child[heavy]);
        Node *child = n->child[heavy];
        if (r == 0 && node_height(child->child[!heavy]) > node_height(child->child[heavy]))
                r = node_rotate(&n->child[heavy], heavy);
        return r ? r : node_rotate(slot, !heavy);
}

/* ---- changing a tree -------------------------------------------------------------------------- */

/** Insert or replace; @item is referenced. *ret_old is the replaced item, a reference handed over, or NULL. */
static int tree_put(Node **slot, Item *item, Item **ret_old) {
        if (!*slot) {
                *slot = node_new(item_ref(item));
                return *slot ? 0 : -ENOMEM;
        }
        int r = node_own(slot);
        if (r)
                return r;
        Node *n = *slot;
        int order = slice_cmp(item_key(item), item_key(n->item));
        if (order == 0) {
                *ret_old = n->item;
                n->item = item_ref(item);
                return 0;
        }
        r = tree_put(&n->child[order > 0], item, ret_old);
        return r ? r : node_balance(slot);
}

/** Take the outermost node on the left out of the tree; its item is handed over. */
static int tree_take_first(Node **slot, Item **ret) {
        int r = node_own(slot);
        if (r)
                return r;
        Node *n = *slot;
        if (n->child[0]) {
                r = tree_take_first(&n->child[0], ret);
                return r ? r : node_balance(slot);
        }
        *slot = n->child[1];
        n->child[1] = NULL;
        *ret = item_ref(n->item);
        node_unref(n);
        return 0;
}

/** Remove @key, which must be there. *ret_old: its item, handed over. */
static int tree_remove(Node **slot, Slice key, Item **ret_old) {
        int r = node_own(slot);
        if (r)
                return r;
        Node *n = *slot;
        int order = slice_cmp(key, item_key(n->item));
        if (order != 0) {
                r = tree_remove(&n->child[order > 0], key, ret_old);
                return r ? r : node_balance(slot);
        }
        if (n->child[0] && n->child[1]) {
                Item *successor;
                r = tree_take_first(&n->child[1], &successor);
                if (r)
                        return r;
                *ret_old = n->item;
                n->item = successor;
                return node_balance(slot);
        }
        *slot = n->child[0] ? n->child[0] : n->child[1];
        n->child[0] = n->child[1] = NULL;
        *ret_old = item_ref(n->item);
        node_unref(n);
        return 0;
}

/* ---- searching -------------------------------------------------------------------------------- */

static Item *tree_find(Node *n, Slice key) {
        while (n) {
                int order = slice_cmp(key, item_key(n->item));
                if (order == 0)
                        return n->item;
                n = n->child[order > 0];
        }
        return NULL;
}

/** First item > @key, or ≥ it with @or_equal. */
static Item *tree_after(Node *n, Slice key, bool or_equal) {
        Item *best = NULL;
        while (n) {
                int order = slice_cmp(item_key(n->item), key);
                if (order > 0 || (order == 0 && or_equal)) {
                        best = n->item;
                        n = n->child[0];
                } else {
                        n = n->child[1];
                }
        }
        return best;
}

/** Last item < @key. */
static Item *tree_before(Node *n, Slice key) {
        Item *best = NULL;
        while (n) {
                if (slice_cmp(item_key(n->item), key) < 0) {
                        best = n->item;
                        n = n->child[1];
                } else {
                        n = n->child[0];
                }
        }
        return best;
}

static Item *tree_last(Node *n) {
        while (n && n->child[1])
                n = n->child[1];
        return n ? n->item : NULL;
}

/* ---- transactions
 * ------------------------------------------------------------------------------------------ */

static void snapshot_unref(Snapshot *s) {
        if (!s || atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) != 1)
                return;
        for (unsigned i = 0; i < KV_TABLES_MAX; i++)
                node_unref(s->roots[i]);
        free(s);
}

static Snapshot *snapshot_copy(const Snapshot *s) {
        Snapshot *copy = malloc(sizeof(*copy));
        if (!copy)
                return NULL;
        *copy = (Snapshot){.txn = s->txn + 1, .n_bytes = s->n_bytes};
        atomic_init(&copy->refs, 1);
        memcpy(copy->n_records, s->n_records, sizeof(copy->n_records));
        for (unsigned i = 0; i < KV_TABLES_MAX; i++)
                copy->roots[i] = node_ref(s->roots[i]);
        return copy;
}

static int mem_begin(Kv *kv, bool write, KvTxn **ret) {
        Mem *m = mem_of(kv);
        MemTxn *t = calloc(1, sizeof(*t));

        if (!t)
                return -ENOMEM;
        t->base = (KvTxn){.kv = kv, .write = write};
        pthread_mutex_lock(&m->lock);
        if (write) {
                t->snapshot = snapshot_copy(m->current);
        } else {
                t->snapshot = m->current;
                atomic_fetch_add_explicit(&m->current->refs, 1, memory_order_relaxed);
                m->n_readers++;
        }
        pthread_mutex_unlock(&m->lock);
        if (!t->snapshot) {
                free(t);
                return -ENOMEM;
        }
        *ret = &t->base;
        return 0;
}

static int mem_commit(KvTxn *t) {
        Mem *m = mem_of(t->kv);

        pthread_mutex_lock(&m->lock);
        Snapshot *old = m->current;
        m->current = txn_of(t)->snapshot;
        pthread_mutex_unlock(&m->lock);
        snapshot_unref(old);
        free(t);
        return 0;
}

static void mem_abort(KvTxn *t) {
        Mem *m = mem_of(t->kv);

        if (!t->write) {
                pthread_mutex_lock(&m->lock);
                m->n_readers--;
                pthread_mutex_unlock(&m->lock);
        }
        snapshot_unref(txn_of(t)->snapshot);
        free(t);
}

static int mem_grow(Kv *kv) { return 0; /* there is no map: whatever memory there is */ }

static int mem_stats(Kv *kv, KvStats *ret) {
        Mem *m = mem_of(kv);

        pthread_mutex_lock(&m->lock);
        *ret = (KvStats){.used_bytes = m->current->n_bytes,
                         .map_bytes = SIZE_MAX,
                         .map_max_bytes = SIZE_MAX,
                         .last_txn = m->current->txn,
                         .n_readers = m->n_readers};
        pthread_mutex_unlock(&m->lock);
        return 0;
}

static int mem_backup(Kv *kv, const char *path, Report *report) {
        report_set(report, RUNBOOK_UNAVAILABLE,
                   "The store is kept in memory only (STORAGE_BACKEND=memory): there is nothing to back up.");
        return -EOPNOTSUPP;
}

/* ---- records
 * ------------------------------------------------------------------------------------------------- */

static int mem_get(KvTxn *t, unsigned table, Slice key, Slice *ret) {
        Item *i = tree_find(txn_of(t)->snapshot->roots[table], key);
        if (!i)
                return KV_E_NOT_FOUND;
        *ret = item_value(i);
        return 0;
}

static int mem_put(KvTxn *t, unsigned table, Slice key, Slice value) {
        Snapshot *s = txn_of(t)->snapshot;
        Item *old = NULL, *item = item_new(key, value);

        if (!item)
                return -ENOMEM;
        int r = tree_put(&s->roots[table], item, &old);
        if (r == 0) {
                s->n_records[table] += !old;
                s->n_bytes += item_size(item) - (old ? item_size(old) : 0);
        }
        item_unref(old);
        item_unref(item);
        return r;
}

static int mem_remove(KvTxn *t, unsigned table, Slice key) {
        Snapshot *s = txn_of(t)->snapshot;
        Item *old = NULL;

        if (!tree_find(s->roots[table], key))
                return KV_E_NOT_FOUND;
        int r = tree_remove(&s->roots[table], key, &old);
        if (r == 0) {
                s->n_records[table]--;
                s->n_bytes -= item_size(old);
        }
        item_unref(old);
        return r;
}

static uint64_t mem_count(KvTxn *t, unsigned table) { return txn_of(t)->snapshot->n_records[table]; }

/* ---- cursors
 * --------------------------------------------------------------------------------------------------- */

static int mem_cursor_open(KvTxn *t, unsigned table, KvCursor **ret) {
        MemCursor *c = calloc(1, sizeof(*c));
        if (!c)
                return -ENOMEM;
        c->base = (KvCursor){.txn = t, .table = table};
        *ret = &c->base;
        return 0;
}

static void mem_cursor_close(KvCursor *c) {
        item_unref(cursor_of(c)->item);
        free(c);
}

static int cursor_stand(KvCursor *c, Item *item, Slice *ret_key, Slice *ret_value) {
        if (!item)
                return KV_E_NOT_FOUND;
        item_ref(item);
        item_unref(cursor_of(c)->item);
        cursor_of(c)->item = item;
        *ret_key = item_key(item);
        *ret_value = item_value(item);
        return 0;
}

static Node *cursor_root(KvCursor *c) { return txn_of(c->txn)->snapshot->roots[c->table]; }

static int mem_cursor_seek(KvCursor *c, Slice key, Slice *ret_key, Slice *ret_value) {
        return cursor_stand(c, tree_after(cursor_root(c), key, true), ret_key, ret_value);
}

static int mem_cursor_seek_last(KvCursor *c, Slice bound, Slice *ret_key, Slice *ret_value) {
        Node *root = cursor_root(c);
        return cursor_stand(c, bound.n ? tree_before(root, bound) : tree_last(root), ret_key, ret_value);
}

static int mem_cursor_next(KvCursor *c, Slice *ret_key, Slice *ret_value) {
        bool or_equal = c->place == KV_CURSOR_GAP; /* the key may have been put again */
        return cursor_stand(c, tree_after(cursor_root(c), item_key(cursor_of(c)->item), or_equal), ret_key,
                            ret_value);
}

static int mem_cursor_prev(KvCursor *c, Slice *ret_key, Slice *ret_value) {
        return cursor_stand(c, tree_before(cursor_root(c), item_key(cursor_of(c)->item)), ret_key, ret_value);
}

static int mem_cursor_remove(KvCursor *c) {
        return mem_remove(c->txn, c->table, item_key(cursor_of(c)->item));
}

static void mem_close(Kv *kv) {
        Mem *m = mem_of(kv);

        assert(m->n_readers == 0);
        snapshot_unref(m->current);
        pthread_mutex_destroy(&m->lock);
        free(m);
}

static const KvBackend mem_backend = {
                .close = mem_close,
                .begin = mem_begin,
                .commit = mem_commit,
                .abort = mem_abort,
                .grow = mem_grow,
                .stats = mem_stats,
                .backup = mem_backup,
                .get = mem_get,
                .put = mem_put,
                .remove = mem_remove,
                .count = mem_count,
                .cursor_open = mem_cursor_open,
                .cursor_close = mem_cursor_close,
                .cursor_seek = mem_cursor_seek,
                .cursor_seek_last = mem_cursor_seek_last,
                .cursor_next = mem_cursor_next,
                .cursor_prev = mem_cursor_prev,
                .cursor_remove = mem_cursor_remove,
};

int kv_open_mem(const char *const *tables, size_t n_tables, Report *report, Kv **ret) {
        assert(n_tables <= KV_TABLES_MAX);
        Mem *m = calloc(1, sizeof(*m));
        Snapshot *s = calloc(1, sizeof(*s));
        if (!m || !s) {
                free(m);
                free(s);
                report_set(report, RUNBOOK_UNAVAILABLE, "Out of memory while opening the store.");
                return -ENOMEM;
        }
        atomic_init(&s->refs, 1);
        m->base = (Kv){.backend = &mem_backend, .n_tables = (unsigned)n_tables};
        m->current = s;
        pthread_mutex_init(&m->lock, NULL);
        *ret = &m->base;
        return 0;
}
