/*
 * Images: which of the pending writes a crash spared, and the directory that is left.
 *
 * Shapes go round: nothing and everything arrived; all but one write; only one; a prefix with the last one torn
 * between sectors; a suffix (the disk wrote backwards); random writes at three rates; random sectors.
 */
#include "crash_images.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE 4096

uint64_t random_below(Random *r, uint64_t n) {
        uint64_t z = r->state += 0x9e3779b97f4a7c15u;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
        return n ? (z ^ (z >> 31)) % n : 0;
}

/* ---- plans ------------------------------------------------------------------------------------ */

enum { LOST, WHOLE, TORN };

static void keep_all(ImagePlan *p, size_t n, Random *r) { memset(p->kept, WHOLE, n); }
static void keep_none(ImagePlan *p, size_t n, Random *r) { memset(p->kept, LOST, n); }

static void keep_all_but_one(ImagePlan *p, size_t n, Random *r) {
        memset(p->kept, WHOLE, n);
        p->kept[random_below(r, n)] = LOST;
}

static void keep_one(ImagePlan *p, size_t n, Random *r) {
        memset(p->kept, LOST, n);
        p->kept[random_below(r, n)] = WHOLE;
}

static void keep_prefix(ImagePlan *p, size_t n, Random *r) {
        size_t k = random_below(r, n);
        memset(p->kept, LOST, n);
        memset(p->kept, WHOLE, k);
        p->kept[k] = TORN;
}

static void keep_suffix(ImagePlan *p, size_t n, Random *r) {
        size_t k = random_below(r, n);
        memset(p->kept, LOST, n);
        memset(p->kept + k, WHOLE, n - k);
}

static void keep_writes(ImagePlan *p, size_t n, Random *r) {
        static const uint64_t percents[] = {10, 50, 90};
        uint64_t percent = percents[random_below(r, 3)];
        for (size_t i = 0; i < n; i++)
                p->kept[i] = random_below(r, 100) < percent ? WHOLE : LOST;
}

static void keep_sectors(ImagePlan *p, size_t n, Random *r) { memset(p->kept, TORN, n); }

static void keep_mixed(ImagePlan *p, size_t n, Random *r) {
        for (size_t i = 0; i < n; i++)
                p->kept[i] = (uint8_t)random_below(r, 3);
}

static const struct {
        const char *name;
        void (*keep)(ImagePlan *p, size_t n, Random *r);
} shapes[] = {
                {"no write arrived", keep_none},    {"every write arrived", keep_all},
                {"a torn prefix", keep_prefix},     {"all but one write", keep_all_but_one},
                {"random writes", keep_writes},     {"random sectors", keep_sectors},
                {"one write alone", keep_one},      {"a suffix", keep_suffix},
                {"writes and sectors", keep_mixed},
};
#define N_SHAPES (sizeof(shapes) / sizeof(shapes[0]))

/** The pending writes of all files, as one row: file by file. */
static size_t n_pending(const Disk *d) {
        size_t n = 0;
        for (size_t i = 0; i < d->n_all; i++)
                n += d->all[i]->n_pending;
        return n;
}

void image_plan(const Disk *d, uint64_t number, Random *random, ImagePlan *plan) {
        size_t n = n_pending(d), shape = n ? number % N_SHAPES : 0;

        plan->dir = &d->history[random_below(random, d->n_history)];
        plan->torn_seed = random_below(random, UINT64_MAX);
        if (n > 0)
                shapes[shape].keep(plan, n, random);
        plan->lossy = plan->dir != &d->history[d->n_history - 1];
        for (size_t i = 0; i < n; i++)
                plan->lossy |= plan->kept[i] != WHOLE;
        snprintf(plan->shape, sizeof(plan->shape), "%s of %zu pending, names %zu of %zu", shapes[shape].name,
                 n, (size_t)(plan->dir - d->history) + 1, d->n_history);
}

/* ---- the image -------------------------------------------------------------------------------- */

typedef struct Content {
        uint8_t *data;
        size_t n, cap;
} Content;

static void content_put(Content *c, uint64_t offset, const uint8_t *data, size_t n) {
        if (offset + n > c->cap) {
                c->cap = (offset + n) * 2;
                c->data = realloc(c->data, c->cap);
                if (!c->data)
                        abort();
        }
        if (offset + n > c->n) {
                if (offset > c->n)
                        memset(c->data + c->n, 0, offset - c->n);
                c->n = offset + n;
        }
        memcpy(c->data + offset, data, n);
}

/** Sectors are the disk's, not the write's: a write that begins within one shares it. */
static void put_torn(Content *c, const PendingWrite *w, Random *r) {
        for (size_t at = 0; at < w->n;) {
                size_t n = SECTOR - (w->offset + at) % SECTOR;
                if (n > w->n - at)
                        n = w->n - at;
                if (random_below(r, 2))
                        content_put(c, w->offset + at, w->data + at, n);
                at += n;
        }
}

static void fill(Content *c, const Disk *d, const DiskFile *file, const ImagePlan *plan) {
        Random random = {plan->torn_seed};
        size_t at = 0;

        c->n = 0;
        content_put(c, 0, file->data, file->n);
        for (size_t i = 0; i < d->n_all; i++) {
                for (size_t k = 0; k < d->all[i]->n_pending; k++, at++) {
                        const PendingWrite *w = &d->all[i]->pending[k];
                        if (d->all[i] != file || plan->kept[at] == LOST)
                                continue;
                        if (plan->kept[at] == WHOLE)
                                content_put(c, w->offset, w->data, w->n);
                        else
                                put_torn(c, w, &random);
                }
        }
}

/** Only pages that differ are written: most images are nearly the one before. */
static int store_content(const Content *c, const char *path) {
        struct stat st;
        int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

        if (fd < 0)
                return -errno;
        if (fstat(fd, &st) < 0 || ((size_t)st.st_size != c->n && ftruncate(fd, (off_t)c->n) < 0)) {
                close(fd);
                return -errno;
        }
        uint8_t *map = c->n ? mmap(NULL, c->n, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) : NULL;
        close(fd);
        if (map == MAP_FAILED)
                return -errno;
        for (size_t at = 0; at < c->n; at += PAGE) {
                size_t n = c->n - at < PAGE ? c->n - at : PAGE;
                if (memcmp(map + at, c->data + at, n))
                        memcpy(map + at, c->data + at, n);
        }
        if (map)
                munmap(map, c->n);
        return 0;
}

static const char *const names[] = {"data.mdb", "fresh.mdb"};

int image_make(const Disk *d, const ImagePlan *plan, const char *dir) {
        static Content content; /* one process makes one image at a time; its memory is kept */
        char path[512];
        int r = 0;

        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]) && r == 0; i++) {
                const DiskFile *file = disk_find(plan->dir, names[i]);
                snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
                if (!file) {
                        (void)unlink(path);
                        continue;
                }
                fill(&content, d, file, plan);
                r = store_content(&content, path);
        }
        return r;
}
