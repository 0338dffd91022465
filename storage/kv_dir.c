/*
 * The data directory: made, judged and locked before anything is opened in it. Two engines on one directory
 * would each drive the same executions, so the lock is ours and held for as long as the store is open; the
 * kernel drops it when the process ends, however it ends. Its file also holds the owner's pid, for the
 * sentence that the second one prints.
 */
#include "storage/kv_backend.h"

#include <errno.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>
#include "base/cleanup.h"

#define LOCK_NAME  "engine.lock"
#define PROBE_NAME "room.probe"

/** Locks and shared maps of these reach over a network, where neither can be trusted (LMDB: "do not use on
 * remote filesystems"). */
static const struct {
        unsigned long magic;
        const char *name;
} remote_file_systems[] = {
                {0x00006969, "NFS"},    {0x0000517b, "SMB"},   {0x5346414f, "AFS"},  {0x6b414653, "AFS"},
                {0x00c36400, "Ceph"},   {0x0000564c, "NCP"},   {0x73757245, "Coda"}, {0x01161970, "GFS2"},
                {0x0bd00bd0, "Lustre"}, {0x7461636f, "OCFS2"}, {0xfe534d42, "SMB"},  {0xff534d42, "CIFS"},
};

/** Make a new directory's name durable, as far as its parent can be opened: without it the store would be
 * lost with its place. */
static void dir_sync_parent(const char *path) {
        _cleanup_free_ char *parent = NULL;

        if (asprintf(&parent, "%s/..", path) < 0)
                parent = NULL;
        else
                (void)kv_dir_sync(parent);
}

static int dir_make(const char *path) {
        _cleanup_free_ char *partial = strdup(path);

        if (!partial)
                return -ENOMEM;
        if (!*partial)
                return -ENOENT;
        for (char *p = partial + 1;; p++) {
                char kept = *p;
                if (kept && kept != '/')
                        continue;
                *p = 0;
                if (mkdir(partial, 0700) == 0)
                        dir_sync_parent(partial);
                else if (errno != EEXIST)
                        return -errno;
                if (!kept)
                        return 0;
                *p = kept;
        }
}

static int dir_check_kind(const char *path, bool reading, Report *report) {
        struct statfs fs;
        struct stat st;

        if (stat(path, &st) < 0 || statfs(path, &fs) < 0) {
                int e = errno;
                report_set(report, RUNBOOK_UNAVAILABLE, "The data directory %s can't be looked at: %s.", path,
                           strerror(e));
                return -e;
        }
        if (!S_ISDIR(st.st_mode)) {
                report_set(report, RUNBOOK_UNAVAILABLE,
                           "%s is to be the data directory but is not a directory.", path);
                return -ENOTDIR;
        }
        for (size_t i = 0; i < N_ELEMENTS(remote_file_systems); i++)
                if ((unsigned long)fs.f_type == remote_file_systems[i].magic) {
                        report_set(report, RUNBOOK_UNAVAILABLE,
                                   "The data directory %s is on a network file system (%s), which can't "
                                   "keep the store safe; put it on a local disk.",
                                   path, remote_file_systems[i].name);
                        return -EOPNOTSUPP;
                }
        if (faccessat(AT_FDCWD, path, R_OK | X_OK | (reading ? 0 : W_OK), AT_EACCESS) < 0) {
                report_set(report, RUNBOOK_UNAVAILABLE,
                           "The data directory %s belongs to user %u with mode %04o; this program runs as "
                           "user %u and may not %s there. Give it to that user or choose another "
                           "directory.",
                           path, (unsigned)st.st_uid, (unsigned)(st.st_mode & 07777), (unsigned)geteuid(),
                           reading ? "read" : "write");
                return -EACCES;
        }
        return 0;
}

/** Sentence for a lock that somebody has; the pid is theirs if they came so far as to write it. */
static int lock_report_taken(int fd, const char *path, Report *report) {
        char text[24] = "";
        ssize_t n = pread(fd, text, sizeof(text) - 1, 0);
        uint64_t pid = 0;

        while (n > 0 && text[n - 1] == '\n')
                n--;
        if (n > 0 && slice_to_u64((Slice){text, (size_t)n}, &pid) && pid == (uint64_t)getpid())
                report_set(report, RUNBOOK_UNAVAILABLE,
                           "The data directory %s is open already in this very process.", path);
        else if (pid)
                report_set(report, RUNBOOK_UNAVAILABLE,
                           "The data directory %s is in use by another engine (process %llu); stop that "
                           "one first, or give this one a directory of its own.",
                           path, (unsigned long long)pid);
        else
                report_set(report, RUNBOOK_UNAVAILABLE,
                           "The data directory %s is in use by another engine; stop that one first, or "
                           "give this one a directory of its own.",
                           path);
        return -EBUSY;
}

static int lock_open(const char *name, bool reading) {
        int fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0 && reading && (errno == EROFS || errno == EACCES || errno == ENOSPC))
                fd = open(name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        return fd;
}

static int lock_take(const char *path, bool reading, Report *report, int *ret_fd) {
        _cleanup_free_ char *name = NULL;
        char text[24];

        if (asprintf(&name, "%s/" LOCK_NAME, path) < 0) {
                name = NULL;
                return -ENOMEM;
        }
        int fd = lock_open(name, reading);
        if (fd < 0 && reading)
                return 0; /* nothing can be written here, by anybody */
        if (fd < 0) {
                int e = errno;
                report_set(report, RUNBOOK_UNAVAILABLE, "The lock file %s can't be opened: %s.", name,
                           strerror(e));
                return -e;
        }
        if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
                int r = errno == EWOULDBLOCK ? lock_report_taken(fd, path, report) : -errno;
                if (r != -EBUSY)
                        report_set(report, RUNBOOK_UNAVAILABLE, "The lock file %s can't be locked: %s.", name,
                                   strerror(-r));
                close(fd);
                return r;
        }
        /* The pid is a courtesy to whoever comes second: a disk too full to hold it must not stop a start. */
        int n = snprintf(text, sizeof(text), "%ld\n", (long)getpid());
        if (ftruncate(fd, 0) < 0 || pwrite(fd, text, (size_t)n, 0) != n)
                (void)!ftruncate(fd, 0);
        *ret_fd = fd;
        return 0;
}

int kv_dir_open(const char *path, Report *report, KvDir *ret) {
        *ret = (KvDir){.lock_fd = -1};
        if (!path || !*path) {
                report_set(report, RUNBOOK_UNAVAILABLE, "No data directory is set (DATA_DIR).");
                return -EINVAL;
        }
        int r = dir_make(path);
        if (r < 0) {
                report_set(report, RUNBOOK_UNAVAILABLE, "The data directory %s can't be made: %s.", path,
                           strerror(-r));
                return r;
        }
        r = dir_check_kind(path, false, report);
        if (r < 0)
                return r;
        ret->path = strdup(path);
        if (!ret->path)
                return -ENOMEM;
        r = lock_take(path, false, report, &ret->lock_fd);
        if (r < 0)
                kv_dir_close(ret);
        return r;
}

int kv_dir_open_reading(const char *path, const char *file, bool locked, Report *report, KvDir *ret) {
        _cleanup_free_ char *name = NULL;

        *ret = (KvDir){.lock_fd = -1};
        int r = dir_check_kind(path, true, report);
        if (r < 0)
                return r;
        if (asprintf(&name, "%s/%s", path, file) < 0) {
                name = NULL;
                return -ENOMEM;
        }
        if (access(name, R_OK) < 0) {
                r = -errno;
                report_set(report, RUNBOOK_UNAVAILABLE,
                           r == -ENOENT ? "%s is not a data directory: there is no %s in it."
                                        : "The store in %s can't be read: its file %s belongs to somebody else.",
                           path, file);
                return r;
        }
        ret->path = strdup(path);
        if (!ret->path)
                return -ENOMEM;
        r = locked ? lock_take(path, true, report, &ret->lock_fd) : 0;
        if (r < 0)
                kv_dir_close(ret);
        return r;
}

void kv_dir_close(KvDir *d) {
        if (d->lock_fd >= 0) {
                /* Emptied, not unlinked: whoever waits on this very file would else hold a lock on a name
                 * that is gone. */
                (void)!ftruncate(d->lock_fd, 0);
                close(d->lock_fd);
        }
        free(d->path);
        *d = (KvDir){.lock_fd = -1};
}

int kv_dir_sync(const char *path) {
        int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        int r = fsync(fd) < 0 ? -errno : 0;
        close(fd);
        return r;
}

bool kv_dir_is_full(const char *path, size_t n) {
        _cleanup_free_ char *name = NULL;

        if (asprintf(&name, "%s/" PROBE_NAME, path) < 0) {
                name = NULL;
                return false;
        }
        int fd = open(name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0)
                return errno == ENOSPC || errno == EDQUOT;
        unlink(name); /* before it takes room: the kernel gives that back even if we are killed now */
        int e = posix_fallocate(fd, 0, (off_t)n);
        close(fd);
        return e == ENOSPC || e == EDQUOT || e == EFBIG;
}

int kv_dir_prepare_backup(const char *path, Report *report) {
        struct dirent *entry;

        int r = dir_make(path);
        DIR *d = r < 0 ? NULL : opendir(path);
        if (!d) {
                r = r < 0 ? r : -errno;
                report_set(report, RUNBOOK_UNAVAILABLE, "The backup directory %s can't be made or read: %s.",
                           path, strerror(-r));
                return r;
        }
        while ((entry = readdir(d)) && r == 0)
                if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
                        r = -ENOTEMPTY;
        closedir(d);
        if (r < 0)
                report_set(report, RUNBOOK_INVALID_REQUEST,
                           "The backup directory %s is not empty; a backup never overwrites anything.", path);
        return r;
}
