/* Checks of arrays. */

#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "schema/eval.h"
#include "schema/key.h"

#define BYTES_A_STEP 16 /* when keys are made and compared */

static JsonAt item_at(const JsonAt *at, size_t i) {
        return (JsonAt){.value = json_array_get(at->value, i),
                        .parent = at,
                        .index = i,
                        .report = at->report};
}

static int evaluate_min_items(Eval *e, const Frame *f, const Check *c, const JsonAt *at) {
        size_t n = json_array_size(at->value);
        if (n >= c->count)
                return 0;
        return eval_fault(e, f, "minItems", at, "must have at least %llu items, has %zu",
                          (unsigned long long)c->count, n);
}

static int evaluate_max_items(Eval *e, const Frame *f, const Check *c, const JsonAt *at) {
        size_t n = json_array_size(at->value);
        if (n <= c->count)
                return 0;
        return eval_fault(e, f, "maxItems", at, "must have at most %llu items, has %zu",
                          (unsigned long long)c->count, n);
}

/* --- uniqueItems: sorted by key, equal items are neighbours --- */

typedef struct ItemKey {
        Slice key;
        size_t index, offset;
} ItemKey;

static int item_cmp(const void *a, const void *b) {
        const ItemKey *x = a, *y = b;
        if (x->key.n != y->key.n)
                return x->key.n < y->key.n ? -1 : 1;
        int order = memcmp(x->key.data, y->key.data, x->key.n);
        return order ? order : (x->index > y->index) - (x->index < y->index);
}

static int make_keys(Eval *e, const JsonAt *at, ItemKey *items, size_t n) {
        size_t work = 0;
        buf_reset(&e->key);
        e->key.limit = 0;
        for (size_t i = 0; i < n; i++) {
                size_t offset = e->key.n;
                JsonAt item = item_at(at, i);
                int r = key_put(&e->key, item.value, &work, e->steps_left);
                if (r == -EOVERFLOW && work <= e->steps_left)
                        return eval_too_deep(e, &item);
                if (r == -ENOMEM)
                        return r;
                if (work + e->key.n / BYTES_A_STEP > e->steps_left)
                        return eval_charge(e, at, e->steps_left + 1);
                items[i] = (ItemKey){.key = {NULL, e->key.n - offset}, .index = i, .offset = offset};
        }
        for (size_t i = 0; i < n; i++)
                items[i].key.data = e->key.data + items[i].offset;
        return eval_charge(e, at, n + work + e->key.n / BYTES_A_STEP);
}

static int evaluate_unique_items(Eval *e, const Frame *f, const Check *c, const JsonAt *at) {
        size_t n = json_array_size(at->value);
        if (n < 2)
                return 0;
        if (eval_charge(e, at, n) < 0)
                return -EOVERFLOW;
        _cleanup_free_ ItemKey *items = reallocarray(NULL, n, sizeof(*items));
        if (!items)
                return -ENOMEM;
        int r = make_keys(e, at, items, n);
        if (r < 0)
                return r;
        qsort(items, n, sizeof(*items), item_cmp);
        for (size_t i = 1; i < n; i++)
                if (slice_eq(items[i - 1].key, items[i].key))
                        return eval_fault(e, f, "uniqueItems", at,
                                          "must not hold a value twice; items %zu and %zu are equal",
                                          items[i - 1].index, items[i].index);
        return 0;
}

/* --- applicators --- */

static int evaluate_items(Eval *e, const Frame *f, const Check *c, const JsonAt *at) {
        const Items *items = c->items;
        size_t n = json_array_size(at->value);
        int verdict = 0;
        for (size_t i = 0; i < n; i++) {
                const Node *node = i < items->prefix.n ? items->prefix.list[i] : items->rest;
                if (!node || (node == items->rest && node->kind == NODE_ANYTHING && f->marks == NO_MARKS))
                        break;
                JsonAt item = item_at(at, i);
                int r = eval_child(e, f, node, &item, 0);
                if (r < 0)
                        return r;
                verdict |= r;
                if (verdict && !eval_is_loud(e, f))
                        break;
                eval_mark(e, f, i);
        }
        return verdict;
}

static int evaluate_contains(Eval *e, const Frame *f, const Check *c, const JsonAt *at) {
        const Contains *contains = c->contains;
        size_t n = json_array_size(at->value);
        uint64_t n_found = 0;
        unsigned nearness = e->nearness;
        /* Without marks, what is decided needs no further look. */
        for (size_t i = 0; i < n; i++) {
                bool decided = n_found >= contains->min && contains->max == UINT64_MAX;
                if (n_found > contains->max || (decided && f->marks == NO_MARKS))
                        break;
                JsonAt item = item_at(at, i);
                int r = eval_child(e, f, contains->node, &item, EVAL_QUIET);
                if (r < 0)
                        return r;
                if (r == 0) {
                        n_found++;
                        eval_mark(e, f, i);
                }
        }
        e->nearness = nearness;
        if (n_found > contains->max)
                return eval_fault(e, f, "maxContains", at,
                                  "must hold at most %llu items that match `contains`, holds more",
                                  (unsigned long long)contains->max);
        if (n_found >= contains->min)
                return 0;
        return eval_fault(e, f, contains->min == 1 ? "contains" : "minContains", at,
                          "must hold at least %llu items that match `contains`, holds %llu",
                          (unsigned long long)contains->min, (unsigned long long)n_found);
}

static int evaluate_unevaluated_items(Eval *e, const Frame *f, const Check *c, const JsonAt *at) {
        size_t n = json_array_size(at->value);
        int verdict = 0;
        if (eval_charge(e, at, n / BYTES_A_STEP) < 0)
                return -EOVERFLOW;
        for (size_t i = 0; i < n; i++) {
                if (eval_is_marked(e, f, i))
                        continue;
                JsonAt item = item_at(at, i);
                int r = eval_child(e, f, c->node, &item, 0);
                if (r < 0)
                        return r;
                verdict |= r;
                if (verdict && !eval_is_loud(e, f))
                        break;
                eval_mark(e, f, i);
        }
        return verdict;
}

const CheckKind check_min_items = {"minItems", TYPES_ARRAY, RANK_SIZE, FORM_PLAIN, evaluate_min_items};
const CheckKind check_max_items = {"maxItems", TYPES_ARRAY, RANK_SIZE, FORM_PLAIN, evaluate_max_items};
const CheckKind check_unique_items = {"uniqueItems", TYPES_ARRAY, RANK_PATTERN, FORM_PLAIN,
                                      evaluate_unique_items};
const CheckKind check_items = {"items", TYPES_ARRAY, RANK_INSIDE, FORM_INSIDE, evaluate_items};
const CheckKind check_contains = {"contains", TYPES_ARRAY, RANK_INSIDE, FORM_INSIDE, evaluate_contains};
const CheckKind check_unevaluated_items = {"unevaluatedItems", TYPES_ARRAY, RANK_UNEVALUATED, FORM_INSIDE,
                                           evaluate_unevaluated_items};
