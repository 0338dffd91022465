#pragma once
/* What the files of the power-loss replayer share. */

#include "base/uuid.h"
#include "runtime/runtime.h"

#define CRASH_ACKS "acks" /* the file below the watched directory that acknowledgements are written to */
#define SECTOR     512    /* bytes that a disk writes whole or not at all */

/** Something was told to the world: at least commit @txn has happened, in which @id (if not nil) is there with events
 * up to @seq. */
typedef struct CrashAck {
        uint64_t txn;
        Uuid id;
        uint64_t seq;
} CrashAck;

extern const char *const crash_runbooks[];
#define CRASH_RUNBOOKS 4

/* ---- replay.c: the disk as the log tells it ---------------------------------------------------- */

/** A run of bytes that was written and is not known to be on disk. */
typedef struct PendingWrite {
        uint64_t offset;
        size_t n;
        const uint8_t *data; /* in the log */
} PendingWrite;

/** A file's content: what is surely on disk, and what may be. */
typedef struct DiskFile {
        uint8_t *data; /* durable */
        size_t n, cap;
        PendingWrite *pending;
        size_t n_pending, cap_pending;
} DiskFile;

#define NAMES_MAX      16
#define NAME_MAX_BYTES 64

/** A name, and the file it leads to; what a directory has. */
typedef struct DiskName {
        char name[NAME_MAX_BYTES];
        DiskFile *file;
} DiskName;
typedef struct DiskDir {
        DiskName names[NAMES_MAX];
        size_t n;
} DiskDir;

#define PENDING_DIRS_MAX 64

typedef struct Disk {
        const uint8_t *log;
        size_t n_log, at, last; /* `last`: where the record taken last begins */
        bool ignore_syncs;
        DiskDir dir;                       /* as programs see it */
        DiskDir history[PENDING_DIRS_MAX]; /* the durable one, then after each change that is not synced */
        size_t n_history;
        DiskFile *all[NAMES_MAX * 4]; /* owned */
        size_t n_all;
        struct {
                DiskFile *file;
                bool is_dir, is_sync, is_acks;
        } * handles;
        size_t n_handles, cap_handles;
        size_t n_writes, n_syncs;
        /* of the last step */
        bool changed;   /* the disk may be in states that it could not be in before */
        bool committed; /* a write through O_DSYNC was done: LMDB's meta page, which makes a commit */
        size_t n_acks;  /* 0 or 1 */
        CrashAck ack;
} Disk;

void disk_init(Disk *d, const uint8_t *log, size_t n, bool ignore_syncs);
void disk_deinit(Disk *d);
/** Take the next record. False at the end. */
bool disk_step(Disk *d);
/** The file that @dir calls @name; NULL. */
DiskFile *disk_find(const DiskDir *dir, const char *name);

/* ---- image.c: one state that a crash could leave ------------------------------------------------- */

typedef struct Random {
        uint64_t state;
} Random;
uint64_t random_below(Random *r, uint64_t n);

/** Sectors of pending writes that made it: all of write `i` with kept[i] = full, else a bitmap. */
typedef struct ImagePlan {
        const DiskDir *dir; /* which names the directory has */
        char shape[96];     /* for people */
        uint8_t *kept;      /* per pending write: 0 lost, 1 whole, 2 some of its sectors */
        bool lossy;         /* something was lost */
        uint64_t torn_seed; /* which sectors, where only some were kept */
} ImagePlan;

/** Draw a plan for the state that @d is in. @kept has room for all pending writes. */
void image_plan(const Disk *d, uint64_t number, Random *random, ImagePlan *plan);
/** Make @dir hold what @plan says. */
int image_make(const Disk *d, const ImagePlan *plan, const char *dir);

/* ---- judge.c: what becomes of an image ------------------------------------------------------------- */

#define COMMIT_FORMS                                                                                         \
        4 /* a commit that an opening made (format, tables) may be made anew by the next opening */

/** What a commit left: of the log replayed with every write done. */
typedef struct Commit {
        unsigned n;
        Digest digests[COMMIT_FORMS];
} Commit;

typedef struct Judge {
        Commit *commits;
        size_t cap_commits;
        uint64_t last;   /* the newest one known */
        char fault[512]; /* what was wrong with the last image */
        uint64_t n_thorough;
} Judge;

/** Open the store in @dir as an engine would. 0 with its last commit, or -1 with judge->fault. */
int judge_open(Judge *j, const char *dir, Store **ret, uint64_t *ret_txn);
/** Note what the store in @dir is: a clean state. The whole check runs on it. */
int judge_learn(Judge *j, const char *dir);
/** Must be the clean state of a commit ≥ @acked; @thorough: also checked and worked on. */
int judge_image(Judge *j, const char *dir, uint64_t acked, bool thorough);
/** Is what @ack says true of the store in @dir? */
int judge_ack(Judge *j, const char *dir, const CrashAck *ack);
void judge_deinit(Judge *j);
