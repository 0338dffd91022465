/* The queries `runbooks` and `runbook.<id>`. Runbooks belong to the tenant: all its users may read them. */
#include <errno.h>

#include "base/cleanup.h"
#include "model/limits.h"
#include "subjects/query.h"

#define VERSIONS_MAX      1000 /* listed with one runbook */
#define ROW_BYTES_MAX     (8 * 1024)
#define DESCRIPTION_SHOWN 2048 /* bytes of a description in the list; whole in runbook.<id> */

typedef struct Rows {
        Query *q;
        uint32_t n;
        bool is_full;
        char last[LIMIT_ID_BYTES + 1]; /* id of the last row */
} Rows;

static void put_text(JsonWriter *w, const char *key, Slice s) {
        json_key(w, key);
        json_put_string(w, s);
}

static bool put_row(void *userdata, const StoreRunbook *r) {
        Rows *rows = userdata;
        JsonWriter *w = &rows->q->w;
        if (rows->n == rows->q->limit || !query_has_room(rows->q, ROW_BYTES_MAX)) {
                rows->is_full = true;
                return false;
        }
        json_begin_object(w);
        put_text(w, "id", r->id);
        put_text(w, "name", r->name);
        put_text(w, "version", r->version);
        put_text(w, "description", slice_cut_utf8(r->description, DESCRIPTION_SHOWN));
        json_key(w, "stepCount");
        json_put_i64(w, r->n_steps);
        json_key(w, "registeredAt");
        json_put_time_ms(w, r->registered_ms);
        put_text(w, "registeredBy", r->registered_by);
        json_end_object(w);
        rows->n++;
        size_t n = r->id.n < LIMIT_ID_BYTES ? r->id.n : LIMIT_ID_BYTES;
        memcpy(rows->last, r->id.data, n);
        rows->last[n] = 0;
        return true;
}

int query_runbooks(Query *q) {
        Rows rows = {.q = q};
        Slice after = SLICE_NULL;
        if (q->cursor.n > 0 && q->cursor.data[0] == 'r')
                after = (Slice){q->cursor.data + 1, q->cursor.n - 1};
        else if (q->cursor.n > 0)
                return query_bad_cursor(q);
        json_key(&q->w, "runbooks");
        json_begin_array(&q->w);
        int r = store_runbook_list(q->txn, q->tenant, after, put_row, &rows);
        json_end_array(&q->w);
        json_key(&q->w, "count");
        json_put_i64(&q->w, rows.n);
        if (rows.is_full) {
                char cursor[LIMIT_ID_BYTES + 2] = "r";
                memcpy(cursor + 1, rows.last, strlen(rows.last) + 1);
                json_key(&q->w, "nextCursor");
                json_put_str(&q->w, cursor);
        }
        return r < 0 ? r : 0;
}

static bool put_version(void *userdata, const StoreRunbook *r) {
        Rows *rows = userdata;
        JsonWriter *w = &rows->q->w;
        char digest[DIGEST_TEXT_SIZE + 1];
        if (rows->n++ == VERSIONS_MAX)
                return false;
        digest_format(&r->digest, digest);
        json_begin_object(w);
        put_text(w, "version", r->version);
        put_text(w, "sha256", (Slice){digest, DIGEST_TEXT_SIZE});
        json_key(w, "registeredAt");
        json_put_time_ms(w, r->registered_ms);
        put_text(w, "registeredBy", r->registered_by);
        json_end_object(w);
        return true;
}

int query_runbook(Query *q) {
        Slice version = query_get_string(q, "version");
        StoreRunbook found;
        Rows rows = {.q = q};
        if (report_is_error(&q->report))
                return -EINVAL;
        int r = q->arg.n <= LIMIT_ID_BYTES && version.n <= LIMIT_ID_BYTES
                                ? store_runbook_get(q->txn, q->tenant, q->arg, version, &found)
                                : STORE_E_NOT_FOUND;
        if (r < 0)
                return r;
        if (r == STORE_E_NOT_FOUND)
                return report_set(&q->report, RUNBOOK_RUNBOOK_NOT_FOUND, "there is no runbook \"%.*s\"%s%.*s",
                                  SLICE_ARG(slice_cut_utf8(q->arg, LIMIT_ID_BYTES)),
                                  version.n > 0 ? " of version " : "",
                                  SLICE_ARG(slice_cut_utf8(version, LIMIT_ID_BYTES)));
        json_key(&q->w, "runbook");
        json_put_raw(&q->w, found.definition);
        json_key(&q->w, "versions");
        json_begin_array(&q->w);
        r = store_runbook_versions(q->txn, q->tenant, q->arg, put_version, &rows);
        json_end_array(&q->w);
        return r < 0 ? r : 0;
}
