/*
 * A store without its engine: the consistency check, and a copy taken beside a running engine.
 *
 * The check keeps engines out of the directory while it reads, and is kept out by one: a long look beside a
 * writer makes the store grow, since no page that the look might need can be used again. A backup is such a
 * look, too, but a short one; whoever wants to check a running engine's store checks a backup.
 */
#include "daemon/offline.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "json/json_write.h"
#include "runtime/check.h"

#define EXIT_FAULTS     1
#define EXIT_UNREADABLE 2
#define FAULTS_SHOWN    1000 /* further ones are only counted */

typedef struct Output {
        bool json;
        Buf faults; /* JSON, gathered until the counts are known */
        JsonWriter w;
        uint64_t n;
} Output;

static void show_fault(void *userdata, const char *table, const char *key, const char *sentence) {
        Output *o = userdata;

        if (o->n++ >= FAULTS_SHOWN)
                return;
        if (!o->json) {
                printf("fault: %s%s%s: %s\n", table, *key ? " " : "", key, sentence);
                return;
        }
        json_begin_object(&o->w);
        json_key(&o->w, "key");
        json_put_str(&o->w, key);
        json_key(&o->w, "sentence");
        json_put_str(&o->w, sentence);
        json_key(&o->w, "table");
        json_put_str(&o->w, table);
        json_end_object(&o->w);
}

static void print_text(const RuntimeCheck *check, const Output *o, const char *path) {
        const StoreCheck *told = &check->told;

        if (o->n > FAULTS_SHOWN)
                printf("… and %llu more\n", (unsigned long long)(o->n - FAULTS_SHOWN));
        printf("checked %s:", path);
        for (size_t i = 0; i < told->n_counts; i++)
                printf("%s %llu %s", i ? "," : "", (unsigned long long)told->counts[i].n,
                       told->counts[i].name);
        if (check->deep)
                printf("; %llu journal(s) replayed", (unsigned long long)check->n_replayed);
        printf("\n%llu fault(s)\n", (unsigned long long)told->n_faults);
}

static int print_json(const RuntimeCheck *check, const Output *o, const char *path) {
        _cleanup_(buf_deinit) Buf b = {0};
        const StoreCheck *told = &check->told;
        JsonWriter w = json_writer(&b);

        json_begin_object(&w);
        json_key(&w, "checked");
        json_begin_object(&w);
        for (size_t i = 0; i < told->n_counts; i++) {
                json_key_slice(&w, slice_from_str(told->counts[i].name));
                json_put_i64(&w, (int64_t)told->counts[i].n);
        }
        json_end_object(&w);
        json_key(&w, "dataDir");
        json_put_str(&w, path);
        json_key(&w, "faultCount");
        json_put_i64(&w, (int64_t)told->n_faults);
        json_key(&w, "faults");
        json_begin_array(&w);
        if (o->faults.n > 0)
                json_put_raw(&w, buf_slice(&o->faults));
        json_end_array(&w);
        if (check->deep) {
                json_key(&w, "replayed");
                json_put_i64(&w, (int64_t)check->n_replayed);
        }
        json_key(&w, "version");
        json_put_str(&w, "v1");
        json_end_object(&w);
        if (b.error || o->faults.error)
                return -ENOMEM;
        printf("%.*s\n", SLICE_ARG(buf_slice(&b)));
        return 0;
}

static int open_store(const Config *config, KvAccess access, Store **ret) {
        _cleanup_(report_deinit) Report report = {0};
        StoreOptions options = {.backend = "lmdb", .path = config->data_dir, .access = access};

        int r = store_open(&options, UUID_NIL, &report, ret);
        if (r < 0)
                fprintf(stderr, "runbookd: %s\n", report.message ? report.message : strerror(-r));
        if (r == -EBUSY)
                fprintf(stderr,
                        "runbookd: A running engine's store is checked by way of a copy: runbookd --backup "
                        "%s "
                        "COPY && runbookd --check COPY\n",
                        config->data_dir);
        return r;
}

int offline_check(const Config *config, const OfflineSettings *settings) {
        Output o = {.json = config->json};
        RuntimeCheck check = {.deep = config->deep, .fault = show_fault, .userdata = &o};
        RuntimeSettings runtime = settings->runtime;
        char source[UUID_TEXT_SIZE + 16], engine[UUID_TEXT_SIZE + 1];
        Store *store;

        o.w = json_writer(&o.faults);
        if (open_store(config, KV_READ, &store) < 0)
                return EXIT_UNREADABLE;
        uuid_format(store_engine_id(store), engine);
        snprintf(source, sizeof(source), "runbookd/%s", engine);
        runtime.engine.source = slice_from_str(source);
        int r = runtime_check(&runtime, store, settings->clock, settings->ids, &check);
        store_close(store);
        if (r == 0 && config->json)
                r = print_json(&check, &o, config->data_dir);
        else if (r == 0)
                print_text(&check, &o, config->data_dir);
        if (r < 0)
                fprintf(stderr, "runbookd: The store in %s can't be read to its end: %s\n", config->data_dir,
                        strerror(-r));
        buf_deinit(&o.faults);
        if (r < 0 || fflush(stdout) != 0)
                return EXIT_UNREADABLE;
        return check.told.n_faults > 0 ? EXIT_FAULTS : 0;
}

int offline_backup(const Config *config) {
        _cleanup_(report_deinit) Report report = {0};
        Store *store;

        if (open_store(config, KV_BESIDE, &store) < 0)
                return EXIT_FAILURE;
        int r = store_backup(store, config->backup_to, &report);
        store_close(store);
        if (r < 0)
                fprintf(stderr, "runbookd: %s\n", report.message ? report.message : strerror(-r));
        else
                printf("copied %s to %s\n", config->data_dir, config->backup_to);
        return r < 0 || fflush(stdout) != 0 ? EXIT_FAILURE : 0;
}
