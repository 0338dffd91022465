/*
 * Helpers of compiling: small readers that report what is wrong and go on.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "model/runbook_draft.h"

#define NAMES_COMPARED_MAX                                                                                   \
        2000000           /* by one compilation: a definition full of typos must not cost minutes            \
                           */
#define SHOWN_MAX      80 /* bytes of somebody's text repeated in a message */
#define DISTINCT_SMALL 16 /* lists up to this are compared pair by pair */

int draft_oom(Draft *d) {
        d->oom = true;
        return -ENOMEM;
}

bool draft_own(Draft *d, void (*release)(void *p), void *p) {
        RunbookForeign *foreign = p ? ARENA_NEW(d->arena, RunbookForeign) : NULL;
        if (!foreign) {
                if (p)
                        release(p);
                draft_oom(d);
                return false;
        }
        *foreign = (RunbookForeign){.next = d->index->foreign, .release = release, .p = p};
        d->index->foreign = foreign;
        return true;
}

uint32_t draft_find_step(const Draft *d, Slice id) { return runbook_find_step(d->runbook, id); }

const char *draft_nearest_step(Draft *d, Slice id) {
        size_t n = d->index->n_names;
        if (id.n < 2) /* any other letter would be near */
                return NULL;
        if (d->report->n_details >= REPORT_DETAILS_MAX || n > NAMES_COMPARED_MAX - d->n_compared)
                return NULL;
        d->n_compared += n;
        return runbook_nearest_step(d->runbook, id);
}

bool draft_text(Draft *d, const JsonAt *object, const char *key, size_t max, const char *limit, Slice *ret) {
        Slice text;
        if (!json_get_string(object, key, &text))
                return false;
        if (text.n > max) {
                JsonAt at = json_at_key(object, key);
                draft_limit(d, json_at_error(&at, "has %zu bytes, more than the %zu allowed (%s)", text.n,
                                             max, limit));
                return false;
        }
        *ret = text;
        return true;
}

static bool is_alnum(char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool draft_id_is_valid(const JsonAt *at, Slice id, const char *extra) {
        bool good = id.n > 0 && id.n <= LIMIT_ID_BYTES && (is_alnum(id.data[0]) || id.data[0] == '_');
        for (size_t i = 0; good && i < id.n; i++)
                good = is_alnum(id.data[i]) || memchr("_-.:", id.data[i], 4) || strchr(extra, id.data[i]);
        if (!good)
                json_at_error(at,
                              "must be 1 to %d (LIMIT_ID_BYTES) characters of A–Z a–z 0–9 _ - . :%s%s and "
                              "begin with a "
                              "letter, a "
                              "digit or _",
                              LIMIT_ID_BYTES, *extra ? " " : "", extra);
        return good;
}

/** Append "a", "b" or "c" for messages. */
static void put_names(Buf *b, const char *const *names, unsigned n_names) {
        for (unsigned i = 0; i < n_names; i++)
                buf_printf(b, "%s\"%s\"", i == 0 ? "" : i + 1 == n_names ? " or " : ", ", names[i]);
        buf_put_char(b, '\0');
}

bool draft_enum(const JsonAt *object, const char *key, const char *const *names, unsigned n_names,
                unsigned *ret) {
        Slice text;
        if (!json_get_string(object, key, &text))
                return false;
        for (unsigned i = 0; i < n_names; i++) {
                if (slice_eq_str(text, names[i])) {
                        *ret = i;
                        return true;
                }
        }
        JsonAt at = json_at_key(object, key);
        _cleanup_(buf_deinit) Buf b = {0};
        put_names(&b, names, n_names);
        Slice shown = slice_cut_utf8(text, SHOWN_MAX);
        const char *nearest = slice_nearest(text, names, n_names);
        if (b.error)
                at.report->oom = true;
        else if (nearest)
                json_at_error(&at, "must be %s, is \"%.*s\"; did you mean \"%s\"?", b.data, SLICE_ARG(shown),
                              nearest);
        else
                json_at_error(&at, "must be %s, is \"%.*s\"", b.data, SLICE_ARG(shown));
        return false;
}

bool draft_duration(const JsonAt *object, const char *key, int64_t min, int64_t *ret) {
        return json_get_i64(object, key, min, LIMIT_DURATION_MS, ret);
}

static void report_twice(const JsonAt *array, size_t i, Slice text) {
        JsonAt at = json_at_index(array, i);
        Slice shown = slice_cut_utf8(text, SHOWN_MAX);
        json_at_error(&at, "\"%.*s\" is in the list already", SLICE_ARG(shown));
}

/** Report every text that was in the list before; false if there is one. */
static bool check_distinct(Draft *d, const JsonAt *array, const Slice *texts, size_t n) {
        bool good = true;
        if (n <= DISTINCT_SMALL) {
                for (size_t i = 1; i < n; i++) {
                        size_t j = 0;
                        while (j < i && !slice_eq(texts[i], texts[j]))
                                j++;
                        if (j < i) {
                                report_twice(array, i, texts[i]);
                                good = false;
                        }
                }
                return good;
        }
        _cleanup_(map_deinit) Map seen;
        map_init(&seen, d->index->by_id.seed[0], d->index->by_id.seed[1]);
        for (size_t i = 0; i < n; i++) {
                int r = map_put(&seen, texts[i], (void *)&texts[i]);
                if (r < 0)
                        return draft_oom(d) == 0;
                if (r > 0)
                        report_twice(array, i, texts[i]);
                good = good && r == 0;
        }
        return good;
}

bool draft_strings(Draft *d, const JsonAt *object, const char *key, const DraftList *list, const Slice **ret,
                   size_t *ret_n) {
        JsonAt array;
        bool good = true;
        if (!json_get_array(object, key, &array))
                return false;
        size_t n = json_array_size(array.value);
        if (n > list->max) {
                draft_limit(d, json_at_error(&array, "has %zu entries, more than the %zu allowed (%s)", n,
                                             list->max, list->limit));
                return false;
        }
        Slice *texts = ARENA_NEW_ARRAY(d->arena, Slice, n);
        if (!texts)
                return draft_oom(d) == 0;
        for (size_t i = 0; i < n; i++) {
                JsonAt at = json_at_index(&array, i);
                texts[i] = json_is_string(at.value) ? json_string_slice(at.value) : SLICE_NULL;
                if (!json_is_string(at.value)) {
                        json_at_error(&at, "must be a string, is %s", json_type_text(at.value));
                        good = false;
                } else if (texts[i].n == 0 || texts[i].n > LIMIT_NAME_BYTES) {
                        json_at_error(&at, "must have 1 to %d bytes (LIMIT_NAME_BYTES)", LIMIT_NAME_BYTES);
                        good = false;
                } else if (list->check && !list->check(&at, texts[i])) {
                        good = false;
                }
        }
        if (good && list->distinct)
                good = check_distinct(d, &array, texts, n);
        *ret = texts;
        *ret_n = n;
        return good;
}
