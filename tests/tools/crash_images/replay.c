/*
 * The disk as a log of system calls tells it: what each file surely holds, what was written and may or may not have
 * arrived, and which names the directory may have.
 *
 * The model is the weakest that POSIX and a disk allow: between two syncs of a file any subset of the sectors written
 * may be there, in any order; a sync of the file makes all of them durable, a write through O_DSYNC only itself.
 * Names become durable with a sync of the directory, and before that in the order in which they were made (journaled
 * metadata). A file's length follows its writes.
 */
#include "crash_images.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "../write_logger/write_log.h"

static void *must(void *p) {
        if (!p) {
                fprintf(stderr, "crash_images: out of memory\n");
                exit(2);
        }
        return p;
}

void disk_init(Disk *d, const uint8_t *log, size_t n, bool ignore_syncs) {
        *d = (Disk){.log = log, .n_log = n, .ignore_syncs = ignore_syncs, .n_history = 1};
}

void disk_deinit(Disk *d) {
        for (size_t i = 0; i < d->n_all; i++) {
                free(d->all[i]->data);
                free(d->all[i]->pending);
                free(d->all[i]);
        }
        free(d->handles);
}

DiskFile *disk_find(const DiskDir *dir, const char *name) {
        for (size_t i = 0; i < dir->n; i++)
                if (!strcmp(dir->names[i].name, name))
                        return dir->names[i].file;
        return NULL;
}

static DiskName *find_name(DiskDir *dir, const char *name, size_t n) {
        for (size_t i = 0; i < dir->n; i++)
                if (strlen(dir->names[i].name) == n && !memcmp(dir->names[i].name, name, n))
                        return &dir->names[i];
        return NULL;
}

/** The directory has changed, and the disk may not know yet. */
static void dir_changed(Disk *d) {
        if (d->n_history == PENDING_DIRS_MAX) { /* what is older counts as durable */
                memmove(d->history, d->history + 1, (PENDING_DIRS_MAX - 1) * sizeof(*d->history));
                d->n_history--;
        }
        d->history[d->n_history++] = d->dir;
        d->changed = true;
}

static DiskFile *make_file(Disk *d, const char *name, size_t n) {
        if (d->dir.n == NAMES_MAX || d->n_all == NAMES_MAX * 4 || n >= NAME_MAX_BYTES) {
                fprintf(stderr, "crash_images: too many files, or a long name\n");
                exit(2);
        }
        DiskFile *f = must(calloc(1, sizeof(*f)));
        d->all[d->n_all++] = f;
        DiskName *new = &d->dir.names[d->dir.n++];
        *new = (DiskName){.file = f};
        memcpy(new->name, name, n);
        dir_changed(d);
        return f;
}

static void file_apply(DiskFile *f, uint64_t offset, const uint8_t *data, size_t n) {
        if (offset + n > f->cap) {
                f->cap = (offset + n) * 2;
                f->data = must(realloc(f->data, f->cap));
        }
        if (offset + n > f->n) {
                if (offset > f->n)
                        memset(f->data + f->n, 0, offset - f->n);
                f->n = offset + n;
        }
        memcpy(f->data + offset, data, n);
}

static void file_sync(DiskFile *f) {
        for (size_t i = 0; i < f->n_pending; i++)
                file_apply(f, f->pending[i].offset, f->pending[i].data, f->pending[i].n);
        f->n_pending = 0;
}

#define IGNORED_MAX                                                                                          \
        400 /* with syncs ignored: writes that may still be lost; older ones have arrived by now */

static void file_write(Disk *d, DiskFile *f, uint64_t offset, const uint8_t *data, size_t n) {
        if (d->ignore_syncs && f->n_pending == IGNORED_MAX) {
                file_apply(f, f->pending[0].offset, f->pending[0].data, f->pending[0].n);
                memmove(f->pending, f->pending + 1, --f->n_pending * sizeof(*f->pending));
        }
        if (f->n_pending == f->cap_pending) {
                f->cap_pending = f->cap_pending ? f->cap_pending * 2 : 64;
                f->pending = must(realloc(f->pending, f->cap_pending * sizeof(*f->pending)));
        }
        f->pending[f->n_pending++] = (PendingWrite){offset, n, data};
        d->n_writes++;
        d->changed = true;
}

/* ---- records ---------------------------------------------------------------------------------- */

/** Files that hold data; lock files and probes are nothing that a start depends on. */
static bool is_data(const char *name, size_t n) {
        Slice s = {name, n};
        return slice_ends_with(s, SLICE(".mdb")) && !slice_eq(s, SLICE("lock.mdb"));
}

static void take_open(Disk *d, const WriteLogRecord *r, const char *name) {
        if (r->handle >= d->cap_handles) {
                size_t cap = (r->handle + 1) * 2;
                d->handles = must(realloc(d->handles, cap * sizeof(*d->handles)));
                memset(d->handles + d->cap_handles, 0, (cap - d->cap_handles) * sizeof(*d->handles));
                d->cap_handles = cap;
        }
        DiskName *found = find_name(&d->dir, name, r->n);
        DiskFile *f = found ? found->file : NULL;
        if (!is_data(name, r->n))
                f = NULL;
        else if (!f && (r->flags & O_CREAT))
                f = make_file(d, name, r->n);
        if (f && (r->flags & O_TRUNC))
                f->n_pending = f->n = 0;
        d->handles[r->handle].file = f;
        d->handles[r->handle].is_dir = r->n == 0;
        d->handles[r->handle].is_sync = (r->flags & O_DSYNC) != 0;
        d->handles[r->handle].is_acks = r->n == strlen(CRASH_ACKS) && !memcmp(name, CRASH_ACKS, r->n);
}

static void take_write(Disk *d, const WriteLogRecord *r, const uint8_t *data) {
        if (d->handles[r->handle].is_acks) {
                memcpy(&d->ack, data, sizeof(d->ack));
                d->n_acks = r->n == sizeof(CrashAck);
                return;
        }
        if (d->handles[r->handle].file)
                file_write(d, d->handles[r->handle].file, r->offset, data, r->n);
        d->committed = d->handles[r->handle].file && d->handles[r->handle].is_sync;
}

static void take_sync(Disk *d, const WriteLogRecord *r) {
        d->n_syncs++;
        if (d->ignore_syncs)
                return;
        if (d->handles[r->handle].is_dir) {
                d->history[0] = d->dir;
                d->n_history = 1;
        } else if (d->handles[r->handle].file) {
                file_sync(d->handles[r->handle].file);
        }
}

static void take_rename(Disk *d, const WriteLogRecord *r, const char *data) {
        const char *to = data + strlen(data) + 1;
        DiskName *from = find_name(&d->dir, data, strlen(data)), *over = find_name(&d->dir, to, strlen(to));

        if (!from || strlen(to) >= NAME_MAX_BYTES)
                return;
        DiskFile *f = from->file;
        if (over)
                over->file = f;
        else
                strcpy(from->name, to);
        if (over)
                *from = d->dir.names[--d->dir.n];
        dir_changed(d);
}

static void take_unlink(Disk *d, const WriteLogRecord *r, const char *name) {
        DiskName *found = find_name(&d->dir, name, r->n);
        if (!found)
                return;
        *found = d->dir.names[--d->dir.n];
        dir_changed(d);
}

/** The write that an O_DSYNC handle did last is durable once the program has gone on. */
static void settle_last(Disk *d) {
        WriteLogRecord r;

        if (d->at == 0 || d->ignore_syncs)
                return;
        memcpy(&r, d->log + d->last, sizeof(r));
        DiskFile *f = r.kind == WRITE_LOG_WRITE ? d->handles[r.handle].file : NULL;
        if (!f || !d->handles[r.handle].is_sync || f->n_pending == 0)
                return;
        PendingWrite *last = &f->pending[--f->n_pending];
        file_apply(f, last->offset, last->data, last->n);
}

bool disk_step(Disk *d) {
        WriteLogRecord r;

        settle_last(d);
        d->changed = d->committed = false;
        d->n_acks = 0;
        if (d->n_log - d->at < sizeof(r))
                return false;
        memcpy(&r, d->log + d->at, sizeof(r));
        const uint8_t *data = d->log + d->at + sizeof(r);
        if (r.n > d->n_log - d->at - sizeof(r))
                return false;
        d->last = d->at;
        d->at += sizeof(r) + r.n;
        switch (r.kind) {
        case WRITE_LOG_OPEN:
                take_open(d, &r, (const char *)data);
                break;
        case WRITE_LOG_WRITE:
                take_write(d, &r, data);
                break;
        case WRITE_LOG_SYNC:
                take_sync(d, &r);
                break;
        case WRITE_LOG_RENAME:
                take_rename(d, &r, (const char *)data);
                break;
        case WRITE_LOG_UNLINK:
                take_unlink(d, &r, (const char *)data);
                break;
        default:
                break; /* truncations: of lock files only */
        }
        return true;
}
